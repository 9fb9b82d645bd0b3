package anvil

import (
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// TypeAuditCompleted is the type of [AuditCompleted].
const TypeAuditCompleted event.Type = "muster.anvil.audit.completed.v1"

// AuditCompleted says what an audit in default mode came to, in numbers. It is there so
// that the share that was verified can be told for years, with what it is a share of:
// which records were wrong is in the events of findings, which bear the same cause.
type AuditCompleted struct {
	// SweepID is the sweep whose end led to the audit; nil if a change of the declaration
	// did.
	SweepID *uuid.UUID `json:"sweep_id,omitempty"`
	// AuditedAt is the time of the newest fact that it rests on, UTC.
	AuditedAt time.Time `json:"audited_at"`
	// Models are in the order of [Result.All], sub-audits of a model taken together.
	Models []ModelAudited `json:"models"`
}

// EventType implements [event.Payload].
func (AuditCompleted) EventType() event.Type { return TypeAuditCompleted }

// ModelAudited is what the audit of a model came to.
type ModelAudited struct {
	Model Model `json:"model"`
	// Audited counts the declared records that were looked at, Verified those of them with
	// which nothing was wrong.
	Audited  int `json:"audited"`
	Verified int `json:"verified"`
	// Errors, Beyond and Unknown count the declared records with an error, with what the
	// peer passes, and those that could not be audited, wholly or in part. A record may be
	// in several.
	Errors  int `json:"errors"`
	Beyond  int `json:"beyond"`
	Unknown int `json:"unknown"`
	// NotInApp counts what AnVIL has and nobody declared, Ignored that of it which ignore
	// rows cover.
	NotInApp int `json:"not_in_app"`
	Ignored  int `json:"ignored"`
	// Unlisted counts lists of AnVIL that could not be read, so that there may be more that
	// nobody declared.
	Unlisted int `json:"unlisted"`
}

// Counts are the numbers of the result, by model.
func (r *Result) Counts() []ModelAudited {
	counts := []ModelAudited{}
	for _, a := range r.All() {
		if a.Aborted != "" {
			continue
		}
		// The sub-audits of a model follow one another.
		if n := len(counts); n == 0 || counts[n-1].Model != a.Model {
			counts = append(counts, ModelAudited{Model: a.Model})
		}
		m := &counts[len(counts)-1]
		wrong := map[string]bool{}
		for _, texts := range []map[string][]string{a.Errors, a.Beyond} {
			for record := range texts {
				wrong[record] = true
			}
		}
		for record := range a.Unknown {
			if record == Everything {
				m.Unlisted++
				continue
			}
			wrong[record] = true
			m.Unknown++
		}
		m.Audited += len(a.Verified) + len(wrong)
		m.Verified += len(a.Verified)
		m.Errors += len(a.Errors)
		m.Beyond += len(a.Beyond)
		m.NotInApp += len(a.NotInApp)
		m.Ignored += len(a.Ignored)
	}
	return counts
}

// AuditEvent tells what the audit came to that an event has led to, see
// [State.Reaction]. The same state, event and result give the same event with the same
// id.
func (s *State) AuditEvent(source string, cause event.Event, p event.Payload, result *Result) (event.Event, error) {
	completed := AuditCompleted{AuditedAt: s.auditedAt(cause).UTC(), Models: result.Counts()}
	if sweep, is := p.(SweepCompleted); is {
		completed.SweepID = &sweep.SweepID
	}
	events, err := FindingEvents(s.stream, source, cause, completed.AuditedAt, []event.Payload{completed})
	if err != nil {
		return event.Event{}, err
	}
	return events[0], nil
}

// auditedAt is the time of an audit: that of the newest fact that was applied.
func (s *State) auditedAt(cause event.Event) time.Time {
	if s.latest.After(cause.Time) {
		return s.latest
	}
	return cause.Time
}
