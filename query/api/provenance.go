package api

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// ProvenanceInput is what everything takes that shows rows of the read models.
type ProvenanceInput struct {
	Provenance bool `query:"provenance" doc:"Tell of each row which event last set it, and where that lies in the log. In JSON alone."`
}

// rowsAt are lists with the rows that figures are made of: figures are set by many events.
func (in ProvenanceInput) rowsAt(lists ...string) []string {
	if !in.Provenance {
		return nil
	}
	return lists
}

// RowProvenance is the event that a row was last set by.
type RowProvenance struct {
	Provenance

	Stream     string    `json:"stream" doc:"What the event is about."`
	Type       string    `json:"type"`
	Time       time.Time `json:"time" doc:"When the fact held in the outside world, or was decided."`
	RecordedAt time.Time `json:"recorded_at" doc:"When it was handed to the log."`
}

// Traced is a row that can be traced back to the log.
type Traced struct {
	Provenance *RowProvenance `json:"provenance,omitempty" table:"-" doc:"The event that last set it, if provenance was asked for. GET /v1/events/{event_id} has it."`

	origin event.Origin
}

func tracedTo(origin event.Origin) Traced { return Traced{origin: origin} }

func (t *Traced) traced() *Traced { return t }

// traceable is a row that is [Traced].
type traceable[R any] interface {
	*R
	traced() *Traced
}

// trace completes the rows of a page, if provenance is asked for.
func trace[R any, P traceable[R]](ctx context.Context, s *Server, in ProvenanceInput, rows []R) error {
	if !in.Provenance {
		return nil
	}
	all := make([]*Traced, len(rows))
	for i := range rows {
		all[i] = P(&rows[i]).traced()
	}
	return s.trace(ctx, in, all...)
}

// tracePage completes a page, if provenance is asked for.
func tracePage[R any, P traceable[R]](ctx context.Context, s *Server, in ProvenanceInput, page *pageOutput[R], err error) (*pageOutput[R], error) {
	if err != nil {
		return nil, err
	}
	return page, trace[R, P](ctx, s, in, page.Body.Items)
}

// trace completes rows, if provenance is asked for.
func (s *Server) trace(ctx context.Context, in ProvenanceInput, rows ...*Traced) error {
	if !in.Provenance {
		return nil
	}
	var origins []event.Origin
	for _, row := range rows {
		origins = append(origins, row.origin)
	}
	found, err := s.provenance(ctx, origins)
	if err != nil {
		return err
	}
	for _, row := range rows {
		row.Provenance = found[row.origin]
	}
	return nil
}

// traceItems completes items, if provenance is asked for. origins are those of the
// items, in their order.
func (s *Server) traceItems(ctx context.Context, in ProvenanceInput, items []Item, origins []event.Origin) error {
	if !in.Provenance {
		return nil
	}
	found, err := s.provenance(ctx, origins)
	if err != nil {
		return err
	}
	for i, item := range items {
		if p := found[origins[i]]; p != nil {
			item["provenance"] = p
		}
	}
	return nil
}

// provenance finds the events of rows by the index, and those that it has not come to
// yet in the log. What is removed from the log is not there.
func (s *Server) provenance(ctx context.Context, origins []event.Origin) (map[event.Origin]*RowProvenance, error) {
	asked := map[event.Origin]bool{}
	for _, o := range origins {
		if o.Known() {
			asked[o] = true
		}
	}
	var wanted []event.Origin
	for o := range asked {
		wanted = append(wanted, o)
	}
	indexed, err := s.config.Events.Origins(ctx, wanted)
	if err != nil {
		return nil, err
	}
	found := make(map[event.Origin]*RowProvenance, len(wanted))
	for o, e := range indexed {
		found[o] = provenanceOfIndexed(e)
	}
	var missing []event.Position
	for _, o := range wanted {
		if found[o] == nil {
			missing = append(missing, o.Position)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	slices.SortFunc(missing, func(a, b event.Position) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	records, err := s.config.Records.ReadAt(ctx, slices.Compact(missing))
	if err != nil {
		return nil, fmt.Errorf("reading the events that rows are from: %w", err)
	}
	for at, record := range records {
		e, err := record.Event()
		if err != nil {
			return nil, fmt.Errorf("reading the event at %s: %w", at, internal(err))
		}
		o := event.Origin{Stream: e.Stream, Position: at}
		if asked[o] {
			found[o] = &RowProvenance{
				Provenance: Provenance{EventID: e.ID, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset},
				Stream:     string(e.Stream), Type: string(e.Type), Time: inIndex(e.Time), RecordedAt: inIndex(e.Recorded),
			}
		}
	}
	return found, nil
}

// inIndex is a time as the index keeps it, so that both answer the same.
func inIndex(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func provenanceOfIndexed(e clickhouse.IndexedEvent) *RowProvenance {
	return &RowProvenance{
		Provenance: Provenance{EventID: e.ID, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset},
		Stream:     e.Stream, Type: e.Type, Time: e.Time, RecordedAt: e.Recorded,
	}
}

// describedProvenance is the schema of the provenance of an item.
func describedProvenance(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[RowProvenance](), true, "")
}
