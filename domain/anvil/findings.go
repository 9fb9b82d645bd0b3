package anvil

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Severity ranks findings for those who act on them.
type Severity string

const (
	// SeverityHigh: somebody has access who should not, or a guard is down.
	SeverityHigh Severity = "high"
	// SeverityMedium: something or somebody is missing, or not declared.
	SeverityMedium Severity = "medium"
	// SeverityLow: a setting differs, or the finding sums up others.
	SeverityLow Severity = "low"
)

// Side names one of the two that are compared.
type Side string

// The sides of a comparison.
const (
	SideDeclared Side = "declared"
	SideObserved Side = "observed"
)

// Finding is a discrepancy over time.
type Finding struct {
	// ID is the same whenever the same discrepancy is found again, see
	// [FindingID].
	ID     uuid.UUID `json:"finding_id"`
	Model  Model     `json:"model"`
	Scope  string    `json:"scope,omitempty"`
	Record string    `json:"record"`
	// Kind is an error text of the audits, or "not_in_app".
	Kind     string   `json:"kind"`
	Severity Severity `json:"severity"`
	// Expected and Observed are the two values, in words.
	Expected string `json:"expected"`
	Observed string `json:"observed"`
	// Beyond: the peer passes this.
	Beyond bool `json:"beyond,omitempty"`
	// RoleSwap: the address has the other role in the group.
	RoleSwap bool `json:"role_swap,omitempty"`
	// OpenedAt is when it was opened, the last time if it was reopened, UTC.
	OpenedAt time.Time `json:"opened_at"`
	// ChangedSide is the side that changed last.
	ChangedSide Side `json:"changed_side"`
	// Evidence names the events that the two values rest on.
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is an event that one side of a finding rests on.
type Evidence struct {
	Side Side `json:"side"`
	// Kind and Name say which record the event is about.
	Kind    Kind      `json:"kind"`
	Name    string    `json:"name,omitempty"`
	EventID uuid.UUID `json:"event_id"`
}

// FindingID is the identity of a finding: the same for the same point of the
// same record of a consortium, however often it is found and resolved.
func FindingID(stream event.Stream, m Model, scope, record, kind string) uuid.UUID {
	name := strings.Join([]string{"finding", string(stream), string(m), scope, record, kind}, "\x00")
	return uuid.NewSHA1(event.Namespace, []byte(name))
}

// severity of a discrepancy.
func severity(d Discrepancy) Severity {
	switch d.Kind {
	case NotInApp:
		if d.Model == ModelMemberships || d.Model == ModelSharing {
			return SeverityHigh
		}
		return SeverityMedium
	case ErrDeactivatedAccount, ErrDifferentAccess, ErrDifferentCanShare, ErrDifferentAuthDomains, ErrIsOwner, ErrIsWriter,
		ErrProjectOwner, ErrHiddenOwner:
		return SeverityHigh
	case ErrAccountMemberMissing, ErrGroupMemberMissing:
		if d.RoleSwap {
			return SeverityHigh
		}
		return SeverityMedium
	case ErrGroupMembership, ErrWorkspaceSharing, ErrDifferentLock, ErrDifferentRequesterPay, ErrPending, ErrNeverRegistered, ErrNoAccess:
		return SeverityLow
	default:
		return SeverityMedium
	}
}

// Mark is where a record was last declared, withdrawn or observed.
type Mark struct {
	EventID uuid.UUID
	// Seq is the event's place in the stream; later ones are larger.
	Seq int64
}

// Marks finds the events that findings rest on.
type Marks interface {
	DeclaredMark(RecordKey) (Mark, bool)
	ObservedMark(RecordKey) (Mark, bool)
}

// Comparison is what [Diff] compares the open findings with.
type Comparison struct {
	Stream event.Stream
	// Declared is what was audited.
	Declared Declared
	// Result is the result of an audit in default mode.
	Result *Result
	Marks  Marks
	// Reopened counts how often findings were resolved before, by id.
	Reopened map[uuid.UUID]int
	// At is when the result held, UTC.
	At time.Time
}

// Diff tells how the open findings change by a new result: payloads of
// [FindingOpened], [FindingChanged] and [FindingResolved], in a fixed order. It
// changes nothing; the same input gives the same output.
//
// A finding is resolved only if its record was looked at: what is unknown
// leaves it as it is.
func Diff(open map[uuid.UUID]Finding, c Comparison) []event.Payload {
	var payloads []event.Payload
	current := make(map[uuid.UUID]bool, len(open))
	for _, d := range c.Result.Discrepancies() {
		f := c.finding(d)
		current[f.ID] = true
		before, was := open[f.ID]
		switch {
		case !was:
			payloads = append(payloads, FindingOpened{Finding: f, Reopened: c.Reopened[f.ID]})
		case before.Expected != f.Expected || before.Observed != f.Observed || before.Severity != f.Severity:
			f.OpenedAt = before.OpenedAt
			payloads = append(payloads, FindingChanged{Finding: f, ExpectedBefore: before.Expected, ObservedBefore: before.Observed})
		}
	}
	index := c.index()
	for _, f := range sortedFindings(open) {
		if current[f.ID] || !c.settled(f, index) {
			continue
		}
		declared := append(f.keys(SideDeclared), index.settlers(f)...)
		f.Evidence, f.ChangedSide = c.evidence(declared, f.keys(SideObserved))
		payloads = append(payloads, FindingResolved{Finding: f, ResolvedAt: c.At})
	}
	return payloads
}

func sortedFindings(open map[uuid.UUID]Finding) []Finding {
	list := make([]Finding, 0, len(open))
	for _, f := range open {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Record, b.Record), cmp.Compare(a.Kind, b.Kind))
	})
	return list
}

func (c Comparison) finding(d Discrepancy) Finding {
	f := Finding{
		ID:    FindingID(c.Stream, d.Model, d.Scope, d.Record, d.Kind),
		Model: d.Model, Scope: d.Scope, Record: d.Record, Kind: d.Kind, Severity: severity(d),
		Expected: d.Expected, Observed: d.Observed, Beyond: d.Beyond, RoleSwap: d.RoleSwap, OpenedAt: c.At,
	}
	f.Evidence, f.ChangedSide = c.evidence(d.Declared, d.Seen)
	return f
}

// evidence looks up the events of both sides, and which side's is the newest.
func (c Comparison) evidence(declared, seen []RecordKey) ([]Evidence, Side) {
	var list []Evidence
	newest, last := SideObserved, int64(-1)
	add := func(side Side, keys []RecordKey, find func(RecordKey) (Mark, bool)) {
		for _, key := range keys {
			mark, ok := find(key)
			if !ok {
				continue
			}
			list = append(list, Evidence{Side: side, Kind: key.Kind, Name: key.Name, EventID: mark.EventID})
			if mark.Seq > last {
				newest, last = side, mark.Seq
			}
		}
	}
	add(SideDeclared, declared, c.Marks.DeclaredMark)
	add(SideObserved, seen, c.Marks.ObservedMark)
	return list, newest
}

// keys are the records of one side that the finding's evidence is about.
func (f Finding) keys(side Side) []RecordKey {
	var keys []RecordKey
	for _, e := range f.Evidence {
		if e.Side == side {
			keys = append(keys, RecordKey{e.Kind, e.Name})
		}
	}
	return keys
}

// index answers questions about the declaration that was audited.
type index struct {
	// audited tells of each group and workspace whether its sub-audit would be
	// run if AnVIL let the service account look.
	audited map[Model]map[string]bool
	// groupOf is the name of a group by its address in lower case.
	groupOf map[string]string
}

func (c Comparison) index() index {
	groups, workspaces, groupOf := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, g := range c.Declared.ManagedGroups {
		groups[g.Name] = g.IsManagedByApp
		groupOf[strings.ToLower(g.Email)] = g.Name
	}
	for _, w := range c.Declared.Workspaces {
		workspaces[w.Key()] = w.AppAccess == AppOwner
	}
	return index{map[Model]map[string]bool{ModelMemberships: groups, ModelSharing: workspaces}, groupOf}
}

// settlers are the declarations that would settle a finding of what nobody
// declared.
func (x index) settlers(f Finding) []RecordKey {
	if f.Kind != NotInApp {
		return nil
	}
	_, email, _ := strings.Cut(f.Record, ": ")
	group := f.Scope + "/" + x.groupOf[email]
	switch f.Model {
	case ModelManagedGroups:
		return []RecordKey{{KindGroup, f.Record}}
	case ModelWorkspaces:
		return []RecordKey{{KindWorkspace, f.Record}}
	case ModelMemberships:
		return []RecordKey{{KindAccountMembership, f.Scope + "/" + email}, {KindGroupMembership, group}, {KindIgnoredMembership, f.Scope + "/" + email}, {KindIgnoredMembership, Anywhere + "/" + email}}
	case ModelSharing:
		return []RecordKey{{KindSharing, group}, {KindIgnoredSharing, f.Scope + "/" + email}, {KindIgnoredSharing, Anywhere + "/" + email}}
	default:
		return nil
	}
}

// settled tells whether a finding that was not found again was looked at. A
// sub-audit that was not run leaves its findings open for as long as it ought
// to be run.
func (c Comparison) settled(f Finding, x index) bool {
	o := c.Result.outcome(f.Model, f.Scope)
	if o == nil {
		return f.Scope != "" && c.Result.outcome(parentOf(f.Model), "") != nil && !x.audited[f.Model][f.Scope]
	}
	if o.Aborted != "" || o.Unknown[f.Record] != "" {
		return false
	}
	return f.Kind != NotInApp || o.Unknown[Everything] == ""
}

// outcome of one audit; nil if it was not run.
func (r *Result) outcome(m Model, scope string) *Outcome {
	switch m {
	case ModelBillingProjects:
		return r.BillingProjects
	case ModelAccounts:
		return r.Accounts
	case ModelManagedGroups:
		return r.ManagedGroups
	case ModelWorkspaces:
		return r.Workspaces
	case ModelMemberships:
		return r.Memberships[scope]
	case ModelSharing:
		return r.Sharing[scope]
	default:
		return nil
	}
}

func parentOf(m Model) Model {
	if m == ModelSharing {
		return ModelWorkspaces
	}
	return ModelManagedGroups
}

// FindingEvents wraps the payloads of [Diff] into events of the consortium's
// stream, as of the given time. Their ids follow from the event that caused the
// audit and from what was found: an audit repeated after a crash gives the same
// events if it sees the same, and other ones if the consortium has changed since,
// for those must not be taken for second copies.
func FindingEvents(stream event.Stream, source string, cause event.Event, at time.Time, payloads []event.Payload) ([]event.Event, error) {
	events := make([]event.Event, 0, len(payloads))
	for _, p := range payloads {
		content, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encoding a finding: %w", err)
		}
		hash := sha256.Sum256(content)
		e, err := event.New(event.ObservationID(stream, p.EventType(), cause.ID, hex.EncodeToString(hash[:])), stream, source, at, p)
		if err != nil {
			return nil, err
		}
		e.CausationID = cause.ID.String()
		e.CorrelationID = cause.CorrelationID
		events = append(events, e)
	}
	return events, nil
}
