// Package notify tells people what they should know of characters: that a login
// was lost, that a character was removed or sold, that it was disabled; of users:
// that they have gained or lost compliance groups; and of consortia: that findings
// were opened, have changed or were resolved.
//
// A [Noticer] is a reactor: it turns events into notices, which it writes to
// Postgres, once for each event and channel; the findings of one audit are one
// notice. A [Deliverer] sends what is due there,
// and tries again what could not be sent.
package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Kind says what a notice is about.
type Kind string

// The kinds of notices.
const (
	// KindTokenError: its login is lost or does not do; its owner has to register
	// the character again.
	KindTokenError Kind = "token_error"
	// KindRemoved: the character has no owner any more.
	KindRemoved Kind = "removed"
	// KindDisabled: the character is not synced for the time being.
	KindDisabled Kind = "disabled"
)

// Notice is what people are told. It holds no secret.
type Notice struct {
	// EventID is the event that it is about, of findings the one that caused the
	// audit; whoever gets a notice twice knows it by that.
	EventID uuid.UUID `json:"event_id"`
	Kind    Kind      `json:"kind"`
	// CharacterID is zero if it is not about a character.
	CharacterID int64 `json:"character_id,omitzero"`
	// CharacterName and UserID are as of the notice; empty if they are not known.
	CharacterName string `json:"character_name,omitempty"`
	UserID        string `json:"user_id,omitempty"`
	// Recipients are the ids of the users whom it concerns beside the owner: of a removal
	// those who may be told of it.
	Recipients []string `json:"recipients,omitempty"`
	// Groups are the names of the compliance groups that it is about.
	Groups []string `json:"groups,omitempty"`
	// Consortium and Findings are of notices about findings alone.
	Consortium string       `json:"consortium,omitempty"`
	Findings   *FindingNews `json:"findings,omitempty"`
	Reason     string       `json:"reason"`
	OccurredAt time.Time    `json:"occurred_at"`
}

// Subject is the notice in one line.
func (n Notice) Subject() string {
	switch n.Kind {
	case KindTokenError:
		return n.who() + " has to be registered again"
	case KindRemoved:
		return n.who() + " has no owner any more"
	case KindDisabled:
		return n.who() + " was disabled"
	case KindFindings:
		return n.findingsSubject()
	case KindGroupsGained, KindGroupsLost:
		return n.groupsSubject()
	default:
		return n.who() + ": " + string(n.Kind)
	}
}

// Text is the notice in full, with what to do.
func (n Notice) Text() string {
	if n.Kind == KindFindings {
		return n.findingsText()
	}
	if n.aboutUser() {
		return n.groupsText()
	}
	owner, remedy := "", ""
	if n.UserID != "" {
		owner = "\nUser: " + n.UserID
	}
	if len(n.Recipients) > 0 {
		owner += "\nFor: " + strings.Join(n.Recipients, ", ")
	}
	switch n.Kind {
	case KindTokenError:
		remedy = fmt.Sprintf("What was read so far stays, and nothing new is read until its owner has registered the character again:\n  muster character register --user %s --character %d", orElse(n.UserID, "USER"), n.CharacterID)
	case KindRemoved:
		remedy = "What was read so far stays. A new owner has to register the character."
	case KindDisabled:
		remedy = fmt.Sprintf("What was read so far stays, and nothing new is read until it is enabled:\n  muster character enable %d", n.CharacterID)
	}
	return fmt.Sprintf("%s.\n\nCharacter: %d%s\nWhen: %s\nWhy: %s\n\n%s\n", n.Subject(), n.CharacterID, owner, n.OccurredAt.UTC().Format(time.RFC3339), n.Reason, remedy)
}

// who names the character. Its name came from outside and stays in its line.
func (n Notice) who() string {
	if name := strings.Join(strings.Fields(n.CharacterName), " "); name != "" {
		return name
	}
	return fmt.Sprintf("character %d", n.CharacterID)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// Standing is what a notice says of a character beside the event.
type Standing struct {
	Name, UserID string
	Orphaned     bool
}

// Config is what a [Noticer] works with. TokenErrors and Findings are off unless
// they are set, MaxAge, Settle, Reconsider and Now have defaults; the rest must be set.
type Config struct {
	// Pool is on a database with the tables of ingest's schema.
	Pool     *pgxpool.Pool
	Registry *event.Registry
	// Look tells how a character stands; false if it is not known.
	Look func(ctx context.Context, character int64) (Standing, bool, error)
	// Recipients tells which users are to hear that a character was removed; nil names
	// nobody.
	Recipients func(ctx context.Context, character int64) ([]string, error)
	// Channels are the names of the channels that each notice goes to.
	Channels []string
	// TokenErrors tells of lost logins, too.
	TokenErrors bool
	// Findings tells of findings, too, from this severity on; empty tells of none.
	Findings anvil.Severity
	// Settle is how long nothing must have come of an audit until its findings are
	// told: 5 s.
	Settle time.Duration
	// Reconsider is how long a lost login is not told of yet: 30 s. Removing a character
	// ends its login, too, and whoever reads at that moment sees it first.
	Reconsider time.Duration
	// MaxAge is how old an event may be to be news: 24 h. Of older ones, such as
	// those of a log that is read for the first time, nobody is told.
	MaxAge time.Duration
	// Noted is told that there are notices to be sent.
	Noted      func()
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time
}

// DefaultMaxAge is how old an event may be to be news.
const DefaultMaxAge = 24 * time.Hour

// DefaultSettle is how long nothing must have come of an audit until its findings
// are told.
const DefaultSettle = 5 * time.Second

// DefaultReconsider is how long a lost login is not told of yet.
const DefaultReconsider = 30 * time.Second

// Noticer makes notices of events. It must be given those of a character, a user or a
// consortium in order, each at least once.
type Noticer struct {
	config  Config
	notices *prometheus.CounterVec
}

// NewNoticer is a noticer. It fails with [event.CodeInvalid] if something that has
// no default is missing.
func NewNoticer(c Config) (*Noticer, error) {
	if c.Pool == nil || c.Registry == nil || c.Look == nil || c.Registerer == nil || c.Logger == nil || len(c.Channels) == 0 {
		return nil, event.Errorf(event.CodeInvalid, "notices need a pool, a registry, a look at characters, channels, a registerer and a logger")
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.Settle == 0 {
		c.Settle = DefaultSettle
	}
	if c.Reconsider == 0 {
		c.Reconsider = DefaultReconsider
	}
	if c.Noted == nil {
		c.Noted = func() {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	n := &Noticer{config: c, notices: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "muster_notices_total", Help: "Notices by what they are about, and whether they came too late to be news.",
	}, []string{"kind", "too_old"})}
	if err := c.Registerer.Register(n.notices); err != nil {
		return nil, fmt.Errorf("registering the metrics of notices: %w", err)
	}
	return n, nil
}

// React makes a notice of an event, if it is worth one. The same event may be
// given again.
func (n *Noticer) React(ctx context.Context, e event.Recorded) error {
	if consortium, ok := e.Stream.ConsortiumName(); ok {
		return n.reactToFinding(ctx, e, consortium)
	}
	if _, ok := e.Stream.UserID(); ok {
		return n.reactToGroups(ctx, e)
	}
	character, ok := e.Stream.CharacterID()
	if !ok || !Watches(e.Type) {
		return nil
	}
	payload, err := n.config.Registry.Decode(e.Event)
	if err != nil {
		return err
	}
	var noted bool
	err = pgx.BeginFunc(ctx, n.config.Pool, func(tx pgx.Tx) error {
		noted, err = n.react(ctx, tx, e, character, payload)
		return err
	})
	if err != nil {
		// Postgres may be away; the event is not to blame.
		return event.Errorf(event.CodeUnavailable, "noting what to tell of %s: %w", e.Key(), err)
	}
	if noted {
		n.config.Noted()
	}
	return nil
}

// Watches tells whether a [Noticer] is about events of a type of characters.
func Watches(t event.Type) bool {
	switch t {
	case eve.TypeSectionFailed, eve.TypeCharacterOrphaned, eve.TypeCharacterDisabled,
		eve.TypeCharacterRegistered, eve.TypeCharacterReclaimed, eve.TypeCharacterForgotten:
		return true
	default:
		return false
	}
}

func (n *Noticer) react(ctx context.Context, tx pgx.Tx, e event.Recorded, character int64, payload event.Payload) (bool, error) {
	switch p := payload.(type) {
	case eve.CharacterForgotten:
		return false, Forget(ctx, tx, character)
	case eve.CharacterRegistered, eve.CharacterReclaimed:
		if err := n.withdraw(ctx, tx, character); err != nil {
			return false, err
		}
		_, err := tx.Exec(ctx, "DELETE FROM ingest.notice_login WHERE character_id = $1", character)
		return false, err
	case eve.CharacterOrphaned:
		return n.removed(ctx, tx, e, character, p)
	case eve.CharacterDisabled:
		return n.note(ctx, tx, e, Notice{Kind: KindDisabled, CharacterID: character, Reason: p.Reason})
	case eve.SectionFailed:
		if p.Class != eve.FailureToken || !n.config.TokenErrors {
			return false, nil
		}
		return n.loginLost(ctx, tx, e, character, p)
	default:
		return false, nil
	}
}

// removed tells of a character without an owner, and whom it concerns.
func (n *Noticer) removed(ctx context.Context, tx pgx.Tx, e event.Recorded, character int64, p eve.CharacterOrphaned) (bool, error) {
	if err := n.withdraw(ctx, tx, character); err != nil {
		return false, err
	}
	notice := Notice{Kind: KindRemoved, CharacterID: character, Reason: p.Reason}
	if n.config.Recipients != nil {
		var err error
		if notice.Recipients, err = n.config.Recipients(ctx, character); err != nil {
			return false, fmt.Errorf("looking up who is told that character %d was removed: %w", character, err)
		}
	}
	return n.note(ctx, tx, e, notice)
}

// withdraw takes back that a login was lost, if nobody was told yet. The row stays: the
// same event may be given again.
func (n *Noticer) withdraw(ctx context.Context, tx pgx.Tx, character int64) error {
	_, err := tx.Exec(ctx, `
		UPDATE ingest.notice SET state = 'withdrawn', settled_at = $3 WHERE character_id = $1 AND kind = $2 AND state = 'due' AND attempts = 0`,
		character, string(KindTokenError), n.config.Now().UTC())
	return err
}

// loginLost tells of a lost login once until the character is registered again:
// its sections all fail, one after the other.
func (n *Noticer) loginLost(ctx context.Context, tx pgx.Tx, e event.Recorded, character int64, p eve.SectionFailed) (bool, error) {
	s, known, err := n.config.Look(ctx, character)
	if err != nil {
		return false, err
	}
	if known && s.Orphaned {
		// Nobody is waited for; that it has no owner is told by itself.
		return false, nil
	}
	var by uuid.UUID
	err = tx.QueryRow(ctx, `
		INSERT INTO ingest.notice_login AS l (character_id, event_id) VALUES ($1, $2)
		ON CONFLICT (character_id) DO UPDATE SET event_id = l.event_id RETURNING event_id`, character, e.ID).Scan(&by)
	if err != nil || by != e.ID {
		return false, err
	}
	return n.note(ctx, tx, e, Notice{Kind: KindTokenError, CharacterID: character, Reason: p.Message})
}

// note writes a notice down for every channel that does not have it.
func (n *Noticer) note(ctx context.Context, tx pgx.Tx, e event.Recorded, notice Notice) (bool, error) {
	s, known, err := n.config.Look(ctx, notice.CharacterID)
	if err != nil {
		return false, err
	}
	if known {
		notice.CharacterName, notice.UserID = s.Name, s.UserID
	}
	notice.EventID, notice.OccurredAt = e.ID, e.Time.UTC()
	return n.settle(ctx, tx, e, notice)
}

// settle writes a notice down that is complete, and tells whether it is to be sent.
func (n *Noticer) settle(ctx context.Context, tx pgx.Tx, e event.Recorded, notice Notice) (bool, error) {
	now := n.config.Now().UTC()
	state, due := "due", now
	if notice.Kind == KindTokenError {
		due = now.Add(n.config.Reconsider)
	}
	old := now.Sub(notice.OccurredAt) > n.config.MaxAge
	if old {
		state = "too_old"
	}
	noted, err := n.write(ctx, tx, written{notice: notice, state: state, at: now, due: due})
	if err != nil || !noted {
		return false, err
	}
	n.notices.WithLabelValues(string(notice.Kind), strconv.FormatBool(old)).Inc()
	if old {
		n.config.Logger.InfoContext(ctx, "an event is too old to be news, nobody is told", "event", e.Key(), "kind", string(notice.Kind), "occurred_at", notice.OccurredAt)
	}
	return !old, nil
}

// written is a notice as it is written down.
type written struct {
	notice Notice
	// audit is the audit that it is about; nil for one about a character.
	audit *uuid.UUID
	state string
	// at is now, and due is when it is to be sent.
	at, due time.Time
}

// write writes a notice down for every channel that does not have it. It tells
// whether there was one.
func (n *Noticer) write(ctx context.Context, tx pgx.Tx, w written) (bool, error) {
	content, err := json.Marshal(w.notice)
	if err != nil {
		return false, err
	}
	var character *int64
	var user *string
	switch {
	case w.notice.aboutUser():
		user = &w.notice.UserID
	case w.audit == nil:
		character = &w.notice.CharacterID
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO ingest.notice (event_id, channel, character_id, audit_id, user_id, kind, content, noticed_at, state, due_at, settled_at)
		SELECT $1, channel, $3, $4, $10, $5, $6, $7, $8, $9, CASE WHEN $8 = 'due' THEN NULL ELSE $7::timestamptz END FROM unnest($2::text[]) AS channel
		ON CONFLICT (event_id, channel) DO NOTHING`,
		w.notice.EventID, n.config.Channels, character, w.audit, string(w.notice.Kind), content, w.at, w.state, w.due, user)
	return tag.RowsAffected() > 0, err
}

// Forget removes all notices of a character, also those that wait, within the
// caller's transaction.
func Forget(ctx context.Context, tx pgx.Tx, character int64) error {
	for _, table := range []string{"notice", "notice_login"} {
		if _, err := tx.Exec(ctx, "DELETE FROM ingest."+table+" WHERE character_id = $1", character); err != nil {
			return fmt.Errorf("forgetting the notices of character %d: %w", character, err)
		}
	}
	return nil
}
