// Package retention says how long what is recorded of characters is kept: which
// events of a stream may go at a moment, by which policy and why. What a later fold
// needs never goes before it is carried forward.
//
// It is pure: it knows nothing of Kafka, SQL or HTTP, and takes the time as it is
// told.
package retention

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Class names a policy, as in the headers of tombstones.
type Class string

// The classes of events.
const (
	// ClassHistory: mails, contracts, the journal, transactions and mining. They go
	// once the UTC day that they tell of lies before the cut-off.
	ClassHistory Class = "history"
	// ClassState: observations of sections. All are kept for a while, then the last
	// of each UTC day, and in the end none but the last of all.
	ClassState Class = "state"
	// ClassAccess: looks at data of others. They go when they are older than the cut-off.
	ClassAccess Class = "access"
	// ClassForgotten: what lies before a character was forgotten. It goes at once.
	ClassForgotten Class = "forgotten"
	// ClassKept: registrations and what proves a decision, a failure or a finding.
	// It stays until the character is forgotten, and for ever where it is of none: users,
	// roles and tokens, and all that is recorded of AnVIL.
	ClassKept Class = "kept"
)

// Classes are the classes in the order in which they are told.
func Classes() []Class {
	return []Class{ClassHistory, ClassState, ClassAccess, ClassForgotten, ClassKept}
}

// ClassOf is the class of a type of event. Types that this Muster does not know are
// kept.
func ClassOf(t event.Type) Class {
	switch eve.Newest(t) {
	case eve.TypeJournalRecorded, eve.TypeJournalClosed,
		eve.TypeTransactionsRecorded, eve.TypeTransactionsChanged, eve.TypeMiningRecorded, eve.TypeMiningChanged,
		eve.TypeMailRecorded, eve.TypeMailChanged, eve.TypeContractRecorded, eve.TypeContractChanged:
		return ClassHistory
	case eve.TypeSectionObserved:
		return ClassState
	case access.TypeDataViewed:
		return ClassAccess
	default:
		return ClassKept
	}
}

// Policies say how long each class is kept.
type Policies struct {
	// HistoryDays is how many days history is kept; zero keeps it for ever.
	HistoryDays int `json:"history_days"`
	// StateDays is how many days back the state of a section can be told; zero
	// keeps observations for ever, and thins them out neither.
	StateDays int `json:"state_days"`
	// StateAllDays is how many days all observations are kept, before the last of
	// each UTC day is left; zero thins nothing out.
	StateAllDays int `json:"state_all_days"`
	// AccessDays is how many days looks at data of others are kept; zero keeps them for
	// ever.
	AccessDays int `json:"access_days,omitempty"`
}

// MinHistoryDays is the least that history is kept: anything shorter counts as that
// (Member Audit, MEMBERAUDIT_DATA_RETENTION_LIMIT).
const MinHistoryDays = 7

// DefaultPolicies are those where nothing else is said.
func DefaultPolicies() Policies {
	return Policies{HistoryDays: 360, StateDays: 360, StateAllDays: 30, AccessDays: 360}
}

// maxDays is far enough to be the same as for ever, and near enough for any clock.
const maxDays = 36500

// ParseDays reads a number of days; "none" is zero, which keeps for ever. It fails
// with [event.CodeInvalid] for anything else.
func ParseDays(text string) (int, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "none") {
		return 0, nil
	}
	days, err := strconv.Atoi(text)
	if err != nil || days < 1 || days > maxDays {
		return 0, event.Errorf(event.CodeInvalid, "%q is no number of days to keep something: give 1 to %d, or none to keep it for ever", text, maxDays)
	}
	return days, nil
}

// Bounded is the policies as they are applied, and what was changed to make them
// so, one sentence each.
func (p Policies) Bounded() (Policies, []string) {
	var warnings []string
	if p.HistoryDays > 0 && p.HistoryDays < MinHistoryDays {
		warnings = append(warnings, "history is kept for "+strconv.Itoa(MinHistoryDays)+" days, the least there is, instead of "+strconv.Itoa(p.HistoryDays))
		p.HistoryDays = MinHistoryDays
	}
	if p.StateDays > 0 && p.StateAllDays > p.StateDays {
		warnings = append(warnings, "observations are kept for "+strconv.Itoa(p.StateDays)+" days, so that all of them cannot be kept for "+strconv.Itoa(p.StateAllDays))
		p.StateAllDays = p.StateDays
	}
	return p, warnings
}

const day = 24 * time.Hour

// CutOff is the moment before which a class is removed; the zero time if it is kept.
// That of history is the beginning of a UTC day, for its events tell of whole days:
// what is left is never younger than the policy says, and at most a day older.
func (p Policies) CutOff(c Class, now time.Time) time.Time {
	switch {
	case c == ClassHistory && p.HistoryDays > 0:
		return now.UTC().Add(-time.Duration(p.HistoryDays) * day).Truncate(day)
	case c == ClassState && p.StateDays > 0:
		return now.UTC().Add(-time.Duration(p.StateDays) * day)
	case c == ClassAccess && p.AccessDays > 0:
		return now.UTC().Add(-time.Duration(p.AccessDays) * day)
	case c == ClassForgotten:
		return now.UTC()
	default:
		return time.Time{}
	}
}

// Look is a look at data of others that is recorded.
type Look struct {
	// Stream is that of the character, or of the viewer for a list.
	Stream event.Stream
	ID     uuid.UUID
	// Time is that of the last look, UTC.
	Time time.Time
}

// ExpireLook tells by which class a look goes, and its cut-off; false if it stays. forgotten
// is when the character was last forgotten, the zero time if it was not, or if the look is
// not at one: looks from before that go at once.
func (p Policies) ExpireLook(l Look, forgotten, now time.Time) (Class, time.Time, bool) {
	cutOff := p.CutOff(ClassAccess, now)
	switch {
	case !forgotten.IsZero() && !l.Time.After(forgotten):
		return ClassForgotten, p.CutOff(ClassForgotten, now), true
	case !cutOff.IsZero() && l.Time.Before(cutOff):
		return ClassAccess, cutOff, true
	default:
		return "", time.Time{}, false
	}
}
