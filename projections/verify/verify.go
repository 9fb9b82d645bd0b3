// Package verify folds the log in memory, by the plainest means there are, and
// holds the result against the live rows of the read models. It shares the
// domain's oracles with nobody: not a line of the projections' folds or SQL.
package verify

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// Difference is a point in which a live row and the log disagree.
type Difference struct {
	Projection string `json:"projection"`
	// Stream is what the row is about.
	Stream string `json:"stream"`
	// What names the row and the field.
	What string `json:"what"`
	// Log is what follows from the log, Live what the read model shows.
	Log  string `json:"log"`
	Live string `json:"live"`
}

// Report is the outcome of a verification.
type Report struct {
	// Events is how many events were folded, Streams of how many streams.
	Events  int64 `json:"events"`
	Streams int64 `json:"streams"`
	// Rows is how many rows were compared, by projection.
	Rows map[string]int64 `json:"rows"`
	// Differences are all that were found, at most [MaxDifferences]; Count is
	// how many there are.
	Differences []Difference `json:"differences"`
	Count       int64        `json:"count"`
}

// MaxDifferences bounds the list of a report.
const MaxDifferences = 1000

func (r *Report) differ(d Difference) {
	r.Count++
	if len(r.Differences) < MaxDifferences {
		r.Differences = append(r.Differences, d)
	}
}

// same compares two texts and reports when they differ.
func (r *Report) same(projection string, stream event.Stream, what, log, live string) {
	if log != live {
		r.differ(Difference{projection, string(stream), what, log, live})
	}
}

// Log is what is folded.
type Log interface {
	Ends(ctx context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error)
	ReadRange(ctx context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error
}

// Config is what a verification needs.
type Config struct {
	Pool       *pgxpool.Pool
	ClickHouse driver.Conn
	Log        Log
	Registry   *event.Registry
	Control    *runner.Control
	// Percent limits it to that share of all streams, the same ones each time.
	Percent int
	// Progress is called with the offsets folded so far and in all; may be nil.
	Progress func(done, total int64)
}

// Oracle folds one partition and compares it with the rows that came from it.
type Oracle interface {
	// Projection is the name of the projection it checks.
	Projection() string
	// Topics are what it folds.
	Topics() []string
	// Begin forgets everything before a partition is folded.
	Begin()
	// Apply folds an event; p is its decoded payload.
	Apply(e event.Recorded, p event.Payload) error
	// Compare holds the fold against the rows of the partition in a generation.
	// wanted tells which streams are part of the sample.
	Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error
}

// EnvelopeOracle is an [Oracle] of a projection that takes every event as it lies in
// the log: it gets tombstones and events of unknown types, too, and no payloads.
type EnvelopeOracle interface {
	Oracle
	ApplyEnvelope(event.Recorded) error
}

// TombstoneOracle is an [Oracle] of a projection that removes what tombstones name.
type TombstoneOracle interface {
	Oracle
	// Expire takes a tombstone, in its place in the log.
	Expire(event.Recorded)
}

// expire takes what a tombstone of a character's stream removes out of the model.
func expire(m *eve.Model, e event.Recorded) {
	id, is := e.Stream.CharacterID()
	if !is {
		return
	}
	m.Expire(id, e.ID)
	if e.Expiry.Policy == string(retention.ClassHistory) {
		m.ExpireHistory(id, e.Expiry.CutOff)
	}
}

// Run verifies the projections of the oracles. The caller sees to it that they
// stand still (see [runner.Runner.Hold]).
func Run(ctx context.Context, c Config, oracles ...Oracle) (Report, error) {
	v := &verification{Config: c, report: Report{Rows: map[string]int64{}}}
	if c.Percent <= 0 || c.Percent > 100 {
		return v.report, event.Errorf(event.CodeInvalid, "a sample of %d percent: give 1 to 100", c.Percent)
	}
	for _, o := range oracles {
		ends, err := c.Log.Ends(ctx, o.Topics()...)
		if err != nil {
			return v.report, fmt.Errorf("reading the ends of the log: %w", err)
		}
		for _, e := range ends {
			v.total += e.Len()
		}
	}
	for _, o := range oracles {
		if err := v.check(ctx, o); err != nil {
			return v.report, fmt.Errorf("verifying %s: %w", o.Projection(), err)
		}
	}
	return v.report, nil
}

type verification struct {
	Config
	report      Report
	done, total int64
}

// wanted tells whether a stream is part of the sample.
func (v *verification) wanted(s event.Stream) bool {
	if v.Percent == 100 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return int(h.Sum32()%100) < v.Percent
}

func (v *verification) check(ctx context.Context, o Oracle) error {
	g, err := v.Control.Live(ctx, o.Projection())
	if err != nil {
		return err
	}
	checkpoints, err := v.Control.Checkpoints(ctx, g)
	if err != nil {
		return err
	}
	// Streams of two topics may share a row, so partitions of the same number
	// belong together.
	byID := map[int32][]runner.Checkpoint{}
	var ids []int32
	for _, cp := range checkpoints {
		if byID[cp.ID] == nil {
			ids = append(ids, cp.ID)
		}
		byID[cp.ID] = append(byID[cp.ID], cp)
	}
	slices.Sort(ids)
	parked, err := v.parked(ctx, o.Projection())
	if err != nil {
		return err
	}
	for _, id := range ids {
		o.Begin()
		for _, cp := range byID[id] {
			if err := v.fold(ctx, o, cp, parked); err != nil {
				return err
			}
		}
		if err := o.Compare(ctx, g, eventlog.Partition{ID: id}, v.wanted, &v.report); err != nil {
			return err
		}
	}
	return nil
}

// parked are the events that the live rows leave out on purpose.
func (v *verification) parked(ctx context.Context, projection string) (map[event.Position]bool, error) {
	left := map[event.Position]bool{}
	parked, err := v.Control.ParkedEvents(ctx, projection)
	if err != nil {
		return nil, err
	}
	for _, p := range parked {
		left[p.Position] = true
	}
	skipped, err := v.Control.Skipped(ctx, projection)
	if err != nil {
		return nil, err
	}
	for _, at := range skipped {
		left[at] = true
	}
	return left, nil
}

// fold applies a partition up to the checkpoint of the live rows.
func (v *verification) fold(ctx context.Context, o Oracle, cp runner.Checkpoint, left map[event.Position]bool) error {
	streams := map[string]struct{}{}
	versions := map[event.Stream]int64{}
	envelopes, whole := o.(EnvelopeOracle)
	err := v.Log.ReadRange(ctx, cp.Partition, 0, cp.Next, func(rec eventlog.Record) error {
		v.done++
		if v.Progress != nil && v.done%10_000 == 0 {
			v.Progress(v.done, v.total)
		}
		name, _, _ := strings.Cut(rec.Key, "/")
		if left[rec.Position] || !v.wanted(event.Stream(name)) {
			return nil
		}
		e, err := rec.Recorded()
		if err != nil {
			return err
		}
		if !whole && e.IsTombstone() {
			if o, takes := o.(TombstoneOracle); takes {
				o.Expire(e)
			}
			return nil
		}
		if !whole && !v.Registry.Knows(e.Type) {
			return nil
		}
		if e.Version > 0 && !whole {
			if e.Version <= versions[e.Stream] {
				return nil
			}
			versions[e.Stream] = e.Version
		}
		streams[name] = struct{}{}
		v.report.Events++
		if whole {
			return envelopes.ApplyEnvelope(e)
		}
		p, err := v.Registry.Decode(e.Event)
		if err != nil {
			return err
		}
		return o.Apply(e, p)
	})
	v.report.Streams += int64(len(streams))
	return err
}
