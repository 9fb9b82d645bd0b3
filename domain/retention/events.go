package retention

import (
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events that tell of retention itself. They lie in the organisation's
// stream and hold nothing about anybody.
const (
	TypeStarted   event.Type = "muster.eve.retention.started.v1"
	TypeCompleted event.Type = "muster.eve.retention.completed.v1"
	TypeCertified event.Type = "muster.eve.retention.certified.v1"
)

// Register makes every version of these events readable.
func Register(r *event.Registry) {
	event.Register[Started](r)
	event.Register[Completed](r)
	event.Register[Certified](r)
}

// CutOff is the moment before which a class is removed.
type CutOff struct {
	Class Class     `json:"class"`
	At    time.Time `json:"at"`
}

// CutOffs are the cut-offs of a run at a moment, of the classes that are removed by
// age.
func (p Policies) CutOffs(now time.Time) []CutOff {
	var all []CutOff
	for _, c := range []Class{ClassHistory, ClassState, ClassAccess} {
		if at := p.CutOff(c, now); !at.IsZero() {
			all = append(all, CutOff{c, at})
		}
	}
	return all
}

// Started says that a run of retention has begun.
type Started struct {
	RunID string `json:"run_id"`
	// At is the moment at which the policies were applied, UTC.
	At       time.Time `json:"at"`
	Policies Policies  `json:"policies"`
	CutOffs  []CutOff  `json:"cut_offs"`
}

// EventType implements [event.Payload].
func (Started) EventType() event.Type { return TypeStarted }

// Completed says what a run of retention has done. A run that was interrupted has
// none; the next one goes on with what it left.
type Completed struct {
	RunID string `json:"run_id"`
	// At is the moment at which the policies were applied, UTC.
	At       time.Time `json:"at"`
	Policies Policies  `json:"policies"`
	CutOffs  []CutOff  `json:"cut_offs"`
	// Streams is how many streams were looked at, Touched of how many something
	// went.
	Streams int `json:"streams"`
	Touched int `json:"touched"`
	// Tombstones is how many events went, by class.
	Tombstones map[Class]int `json:"tombstones"`
	// Closings is how many closing balances were recorded.
	Closings int `json:"closings"`
	// Swept is of how many streams a read model still showed what is too old.
	Swept int `json:"swept"`
}

// EventType implements [event.Payload].
func (Completed) EventType() event.Type { return TypeCompleted }

// Certified says that the stores were searched for what should be gone.
type Certified struct {
	// RunID is the last completed run, Hash that of the certificate, and Previous
	// that of the one before it, empty for the first.
	RunID    string `json:"run_id"`
	Hash     string `json:"hash"`
	Previous string `json:"previous,omitempty"`
	// Clean tells that nothing was found; Found is how much was.
	Clean bool  `json:"clean"`
	Found int64 `json:"found"`
}

// EventType implements [event.Payload].
func (Certified) EventType() event.Type { return TypeCertified }
