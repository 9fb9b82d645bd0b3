package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// KindFindings: an audit of a consortium has opened, changed or resolved findings.
const KindFindings Kind = "findings"

// FindingChange is what has become of a finding.
type FindingChange struct {
	FindingID uuid.UUID `json:"finding_id"`
	// Change is "opened", "changed" or "resolved".
	Change   string         `json:"change"`
	Severity anvil.Severity `json:"severity"`
	Model    anvil.Model    `json:"model"`
	Scope    string         `json:"scope,omitempty"`
	Record   string         `json:"record"`
	// Kind is an error text of the audits, or "not_in_app".
	Kind     string `json:"kind"`
	Expected string `json:"expected"`
	Observed string `json:"observed"`
	// ExpectedBefore and ObservedBefore are the values until a change.
	ExpectedBefore string `json:"expected_before,omitempty"`
	ObservedBefore string `json:"observed_before,omitempty"`
	// Reopened counts how often the finding was resolved before it was opened.
	Reopened int `json:"reopened,omitempty"`
}

// What becomes of findings.
const (
	opened   = "opened"
	changed  = "changed"
	resolved = "resolved"
)

// FindingNews is what a notice tells of findings: how many there are, and the
// gravest of them one by one.
type FindingNews struct {
	Opened   int `json:"opened"`
	Changed  int `json:"changed"`
	Resolved int `json:"resolved"`
	// List are not more than [MaxListed], the gravest first; LeftOut is how many
	// more there are.
	List    []FindingChange `json:"list"`
	LeftOut int             `json:"left_out,omitempty"`
}

// MaxListed is how many findings a notice lists: the first audit of a consortium
// may find thousands, and nobody reads those in an e-mail.
const MaxListed = 200

// summary is how many findings have become what, in words.
func (f FindingNews) summary() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{f.Opened, opened}, {f.Changed, changed}, {f.Resolved, resolved}} {
		if p.n > 0 {
			parts = append(parts, strconv.Itoa(p.n)+" "+p.what)
		}
	}
	if len(parts) == 0 {
		return "no findings"
	}
	noun := " findings "
	if strings.HasPrefix(parts[0], "1 ") {
		noun = " finding "
	}
	parts[0] = strings.Replace(parts[0], " ", noun, 1)
	return strings.Join(parts, ", ")
}

// findingsSubject is the notice in one line.
func (n Notice) findingsSubject() string {
	return "AnVIL consortium " + oneLine(n.Consortium) + ": " + n.findings().summary()
}

func (n Notice) findings() FindingNews {
	if n.Findings == nil {
		return FindingNews{}
	}
	return *n.Findings
}

// findingsText is the notice in full, with what to do.
func (n Notice) findingsText() string {
	var out strings.Builder
	news := n.findings()
	fmt.Fprintf(&out, "%s.\n\nConsortium: %s\nWhen: %s\n", n.findingsSubject(), oneLine(n.Consortium), n.OccurredAt.UTC().Format(time.RFC3339))
	for _, change := range []string{opened, changed, resolved} {
		first := true
		for _, f := range news.List {
			if f.Change != change {
				continue
			}
			if first {
				fmt.Fprintf(&out, "\n%s:\n", strings.ToUpper(change[:1])+change[1:])
				first = false
			}
			out.WriteString(f.text())
		}
	}
	if news.LeftOut > 0 {
		fmt.Fprintf(&out, "\n%d more are not listed here.\n", news.LeftOut)
	}
	fmt.Fprintf(&out, "\nAll that is open:\n  muster finding list --consortium %s\n", shellWord(oneLine(n.Consortium)))
	return out.String()
}

// text is a finding in a few lines, which are its own whatever its values hold.
func (f FindingChange) text() string {
	where := strings.TrimSuffix(string(f.Model)+" "+oneLine(f.Scope), " ")
	again := ""
	if f.Reopened > 0 {
		again = fmt.Sprintf(", again: it was resolved %d times", f.Reopened)
		if f.Reopened == 1 {
			again = ", again: it was resolved once"
		}
	}
	before := func(value, now string) string {
		if value == "" || value == now {
			return ""
		}
		return " (before: " + oneLine(value) + ")"
	}
	return fmt.Sprintf("  [%s] %s, %s: %s%s\n    expected: %s%s\n    observed: %s%s\n    finding: %s\n", f.Severity, where, oneLine(f.Record), oneLine(f.Kind), again,
		oneLine(f.Expected), before(f.ExpectedBefore, f.Expected), oneLine(f.Observed), before(f.ObservedBefore, f.Observed), f.FindingID)
}

// oneLine is a text from outside that stays in its line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// shellWord is a text that a shell takes for one word and nothing else.
func shellWord(text string) string {
	harmless := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	if text != "" && strings.TrimFunc(text, harmless) == "" && text[0] != '-' {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// watchedFinding tells whether events of the type are about what has become of a
// finding.
func watchedFinding(t event.Type) bool {
	switch t {
	case anvil.TypeFindingOpened, anvil.TypeFindingChanged, anvil.TypeFindingResolved:
		return true
	default:
		return false
	}
}

// changeOf is what an event says of a finding.
func changeOf(payload event.Payload) FindingChange {
	of := func(f anvil.Finding, change string) FindingChange {
		return FindingChange{
			FindingID: f.ID, Change: change, Severity: f.Severity, Model: f.Model, Scope: f.Scope, Record: f.Record, Kind: f.Kind,
			Expected: f.Expected, Observed: f.Observed,
		}
	}
	switch p := payload.(type) {
	case anvil.FindingOpened:
		c := of(p.Finding, opened)
		c.Reopened = p.Reopened
		return c
	case anvil.FindingChanged:
		c := of(p.Finding, changed)
		c.ExpectedBefore, c.ObservedBefore = p.ExpectedBefore, p.ObservedBefore
		return c
	case anvil.FindingResolved:
		return of(p.Finding, resolved)
	default:
		return FindingChange{}
	}
}

// reactToFinding collects what is to be told of a finding.
func (n *Noticer) reactToFinding(ctx context.Context, e event.Recorded, consortium string) error {
	if !watchedFinding(e.Type) || n.config.Findings == "" {
		return nil
	}
	payload, err := n.config.Registry.Decode(e.Event)
	if err != nil {
		return err
	}
	change := changeOf(payload)
	if !change.Severity.AtLeast(n.config.Findings) {
		return nil
	}
	if err := pgx.BeginFunc(ctx, n.config.Pool, func(tx pgx.Tx) error { return n.collect(ctx, tx, e, consortium, change) }); err != nil {
		// Postgres may be away; the event is not to blame.
		return event.Errorf(event.CodeUnavailable, "noting what to tell of %s: %w", e.Key(), err)
	}
	return nil
}

// auditID names the audit that an event comes from: by the end of the sweep or of
// the declaration that caused it. All events of an audit have the same cause.
func auditID(e event.Recorded) uuid.UUID {
	if id, err := uuid.Parse(e.CausationID); err == nil {
		return id
	}
	return e.ID
}

// collect adds a finding to the notice of its audit.
//
// The events of an audit are appended at once, but they come one by one and none
// says that it is the last. So the notice of an audit, which is named after the
// event that caused it, becomes due only when nothing of the audit has come for a
// moment ([Config.Settle]), and is put together of what has come by then. All of
// that lies in Postgres, so neither a restart nor another process loses a finding
// or tells it twice. Should a finding come when its notice has been taken to be
// sent, as after a halt in the middle of an audit, a further notice, named after
// that finding's event, tells the rest.
func (n *Noticer) collect(ctx context.Context, tx pgx.Tx, e event.Recorded, consortium string, change FindingChange) error {
	now, audit := n.config.Now().UTC(), auditID(e)
	notice := Notice{EventID: audit, Kind: KindFindings, Consortium: consortium, Reason: "an audit found what was not so before", OccurredAt: e.Time.UTC()}
	if now.Sub(notice.OccurredAt) > n.config.MaxAge {
		noted, err := n.write(ctx, tx, written{notice, &audit, "too_old", now, now})
		if err == nil && noted {
			n.notices.WithLabelValues(string(KindFindings), "true").Inc()
			n.config.Logger.InfoContext(ctx, "findings are too old to be news, nobody is told", "consortium", consortium, "audit", audit.String(), "occurred_at", notice.OccurredAt)
		}
		return err
	}
	id, open, err := noticeOf(ctx, tx, e, audit)
	if err != nil || id == uuid.Nil {
		return err
	}
	content, err := json.Marshal(change)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO ingest.notice_finding (event_id, notice_id, content) VALUES ($1, $2, $3) ON CONFLICT (event_id) DO NOTHING`, e.ID, id, content)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	due := now.Add(n.config.Settle)
	if open {
		_, err := tx.Exec(ctx, `UPDATE ingest.notice SET due_at = $2 WHERE event_id = $1`, id, due)
		return err
	}
	notice.EventID = id
	noted, err := n.write(ctx, tx, written{notice, &audit, "due", now, due})
	if err == nil && noted {
		n.notices.WithLabelValues(string(KindFindings), "false").Inc()
	}
	return err
}

// noticeOf is the notice that is to tell of an event: one of its audit that nobody
// has taken yet, which is then open and locked against being taken, or a new one.
// It is [uuid.Nil] for an event that has been collected before.
func noticeOf(ctx context.Context, tx pgx.Tx, e event.Recorded, audit uuid.UUID) (id uuid.UUID, open bool, err error) {
	var collected bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM ingest.notice_finding WHERE event_id = $1)`, e.ID).Scan(&collected); err != nil || collected {
		return uuid.Nil, false, err
	}
	rows, err := tx.Query(ctx, `SELECT event_id, state = 'due' AND attempts = 0 FROM ingest.notice WHERE audit_id = $1 ORDER BY event_id, channel FOR UPDATE`, audit)
	if err != nil {
		return uuid.Nil, false, err
	}
	untouched := map[uuid.UUID]bool{}
	var here bool
	if _, err := pgx.ForEachRow(rows, []any{&id, &here}, func() error {
		before, seen := untouched[id]
		untouched[id] = here && (before || !seen)
		return nil
	}); err != nil {
		return uuid.Nil, false, err
	}
	for notice, ok := range untouched {
		if ok {
			return notice, true, nil
		}
	}
	if len(untouched) > 0 {
		return e.ID, false, nil
	}
	return audit, false, nil
}

// news puts together what a notice tells of findings.
func (d *Deliverer) news(ctx context.Context, notice uuid.UUID) (*FindingNews, error) {
	rows, err := d.config.Pool.Query(ctx, `SELECT content->>'change', count(*)::int FROM ingest.notice_finding WHERE notice_id = $1 GROUP BY 1`, notice)
	if err != nil {
		return nil, fmt.Errorf("counting the findings of notice %s: %w", notice, err)
	}
	counts := map[string]int{}
	var change string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&change, &n}, func() error { counts[change] = n; return nil }); err != nil {
		return nil, fmt.Errorf("counting the findings of notice %s: %w", notice, err)
	}
	rows, err = d.config.Pool.Query(ctx, `
		SELECT content FROM ingest.notice_finding WHERE notice_id = $1
		ORDER BY array_position(ARRAY['high', 'medium', 'low'], content->>'severity'), content->>'model', content->>'scope', content->>'record', content->>'kind', event_id
		LIMIT $2`, notice, MaxListed)
	if err != nil {
		return nil, fmt.Errorf("reading the findings of notice %s: %w", notice, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[FindingChange])
	if err != nil {
		return nil, fmt.Errorf("reading the findings of notice %s: %w", notice, err)
	}
	news := &FindingNews{Opened: counts[opened], Changed: counts[changed], Resolved: counts[resolved], List: list}
	news.LeftOut = news.Opened + news.Changed + news.Resolved - len(list)
	return news, nil
}
