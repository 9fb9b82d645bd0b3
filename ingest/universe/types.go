package universe

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// esiType is what ESI tells of a type.
type esiType struct {
	ID        int64    `json:"type_id"`
	Name      string   `json:"name"`
	GroupID   int64    `json:"group_id"`
	Volume    *float64 `json:"volume"`
	Published bool     `json:"published"`
}

func decodeType(body []byte, id int64) (esiType, error) {
	var t esiType
	if err := json.Unmarshal(body, &t); err != nil {
		return t, event.Errorf(event.CodeInvalid, "type %d: %w", id, err)
	}
	if t.ID != id || t.Name == "" {
		return t, event.Errorf(event.CodeInvalid, "type %d: the answer is of type %d with the name %.40q", id, t.ID, t.Name)
	}
	t.Name = printable(t.Name)
	return t, nil
}

// types asks for one type that static data does not have.
func (r *Resolver) types(ctx context.Context) (time.Time, error) {
	now := r.config.Now().UTC()
	var id int64
	err := r.config.Pool.QueryRow(ctx, `SELECT coalesce((SELECT id FROM universe.wanted WHERE lookup = 'type' AND due_at <= $1 ORDER BY due_at, id LIMIT 1), 0)`, now).Scan(&id)
	if err != nil || id == 0 {
		return now.Add(idle), err
	}
	answer, failure, later, err := r.ask(ctx, transport.Request{Route: catalogue.UniverseType(), Params: map[string]string{"type_id": strconv.FormatInt(id, 10)}})
	switch {
	case err != nil || !later.IsZero():
		return later, err
	case failure != nil:
		return time.Time{}, r.refuse(ctx, eve.LookupType, []int64{id}, failure.Message, r.unsure)
	}
	t, err := decodeType(answer.Pages[0].Body, id)
	if err != nil {
		return time.Time{}, r.refuse(ctx, eve.LookupType, []int64{id}, err.Error(), r.unsure)
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO universe.type (type_id, name, group_id, volume, published, source) VALUES ($1, $2, $3, $4, $5, '`+sourceESI+`') ON CONFLICT DO NOTHING`,
		t.ID, t.Name, t.GroupID, t.Volume, t.Published)
	batch.Queue(`DELETE FROM universe.wanted WHERE lookup = 'type' AND id = $1`, id)
	if err := pgx.BeginFunc(ctx, r.config.Pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
		return time.Time{}, fmt.Errorf("keeping type %d: %w", id, err)
	}
	r.lookups.WithLabelValues(string(eve.LookupType), "found").Inc()
	return time.Time{}, nil
}

// unsure is the wait after a refusal that may be a passing trouble: an hour the first
// time.
func (r *Resolver) unsure(refusals int) time.Duration {
	if refusals <= 1 {
		return min(time.Hour, r.after(1))
	}
	return r.after(refusals - 1)
}
