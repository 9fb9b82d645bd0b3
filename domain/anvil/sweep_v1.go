package anvil

import (
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// First versions of the events of sweeps. A sweep was always of whole models
// then: whoever takes a later one for such a sweep would take what it did not
// ask for as unchanged, so these are versions of their own.
const (
	typeSweepStartedV1   event.Type = "muster.anvil.sweep.started.v1"
	typeSweepCompletedV1 event.Type = "muster.anvil.sweep.completed.v1"
)

type sweepStartedV1 struct {
	SweepID        uuid.UUID `json:"sweep_id"`
	Models         []Model   `json:"models"`
	ServiceAccount string    `json:"service_account"`
	StartedAt      time.Time `json:"started_at"`
}

type sweepCompletedV1 struct {
	SweepID        uuid.UUID    `json:"sweep_id"`
	Models         []Model      `json:"models"`
	ServiceAccount string       `json:"service_account"`
	StartedAt      time.Time    `json:"started_at"`
	CompletedAt    time.Time    `json:"completed_at"`
	Covered        map[Kind]int `json:"covered"`
	Calls          int          `json:"calls"`
	Retries        int          `json:"retries,omitempty"`
	Observed       int          `json:"observed"`
	UnseenCount    int          `json:"unseen_count"`
	Unseen         []Unseen     `json:"unseen,omitempty"`
}

func registerOldSweeps(r *event.Registry) {
	event.Upcast(r, typeSweepStartedV1, func(o sweepStartedV1) (SweepStarted, error) {
		return SweepStarted{SweepID: o.SweepID, Models: o.Models, ServiceAccount: o.ServiceAccount, StartedAt: o.StartedAt}, nil
	})
	event.Upcast(r, typeSweepCompletedV1, func(o sweepCompletedV1) (SweepCompleted, error) {
		return SweepCompleted{
			SweepID: o.SweepID, Models: o.Models, ServiceAccount: o.ServiceAccount, StartedAt: o.StartedAt, CompletedAt: o.CompletedAt,
			Covered: o.Covered, Calls: o.Calls, Retries: o.Retries, Observed: o.Observed, UnseenCount: o.UnseenCount, Unseen: o.Unseen,
		}, nil
	})
}

// LeadsToAudit tells whether events of the type, in any of its versions, lead to
// an audit; see [State.Reaction].
func LeadsToAudit(t event.Type) bool {
	switch t {
	case TypeSweepCompleted, typeSweepCompletedV1, TypePlanApplied:
		return true
	}
	return false
}
