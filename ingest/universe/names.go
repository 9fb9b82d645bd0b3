package universe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// mostNames is how many ids ESI takes at once.
const mostNames = 1000

// controlID has a name as long as there is EVE: that of the Caldari State. Where ESI
// does not know it, it knows nothing, as it does during maintenance.
const controlID = 500001

// names asks for one batch of names, or for a part of one that was refused.
func (r *Resolver) names(ctx context.Context) (time.Time, error) {
	if r.batch.over() {
		ids, next, err := r.namesDue(ctx)
		if err != nil || len(ids) == 0 {
			return next, err
		}
		r.batch = newBisection(ids)
	}
	ids := r.batch.next()
	found, refused, later, err := r.askNames(ctx, ids)
	switch {
	case err != nil || !later.IsZero():
		return later, err
	case !refused:
		if err := r.takeNames(ctx, ids, found); err != nil {
			return time.Time{}, err
		}
		r.batch.good()
		return time.Time{}, nil
	case len(ids) > 1:
		r.batch.refused()
		return time.Time{}, nil
	}
	// Before an id is taken for bad for days it is made sure that ESI knows anything
	// at all.
	_, refused, later, err = r.askNames(ctx, []int64{controlID})
	if err != nil || !later.IsZero() {
		return later, err
	}
	if refused {
		r.config.Logger.WarnContext(ctx, "ESI knows no name at all for now; nothing is concluded from that")
		r.batch = newBisection(nil)
		return r.config.Now().Add(10 * time.Minute), nil
	}
	r.batch.refused()
	return time.Time{}, r.refuse(ctx, eve.LookupName, ids, "ESI knows no name of it", r.after)
}

// namesDue are the next ids to ask for: first those without a name, then those whose
// name is old, as many of them as may be asked within the hour.
func (r *Resolver) namesDue(ctx context.Context) (ids []int64, next time.Time, err error) {
	now := r.config.Now().UTC()
	if now.Sub(r.hour) >= time.Hour {
		r.hour, r.refreshed = now, 0
	}
	again := min(max(0, r.config.Settings.NamesPerHour-r.refreshed), mostNames)
	rows, err := r.config.Pool.Query(ctx, `SELECT id, old FROM (
			(SELECT id, false AS old, due_at FROM universe.wanted WHERE lookup = 'name' AND due_at <= $1 AND answered_at IS NULL ORDER BY due_at LIMIT $2)
			UNION ALL (SELECT id, true, due_at FROM universe.wanted WHERE lookup = 'name' AND due_at <= $1 AND answered_at IS NOT NULL ORDER BY due_at LIMIT $3)
		) d ORDER BY old, due_at LIMIT $2`, now, mostNames, again)
	if err != nil {
		return nil, next, fmt.Errorf("reading which names are wanted: %w", err)
	}
	var id int64
	var old bool
	_, err = pgx.ForEachRow(rows, []any{&id, &old}, func() error {
		ids = append(ids, id)
		if old {
			r.refreshed++
		}
		return nil
	})
	if err != nil {
		return nil, next, fmt.Errorf("reading which names are wanted: %w", err)
	}
	return ids, now.Add(idle), nil
}

// namedID is an answer of ESI.
type namedID struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Category string `json:"category"`
}

// decodeNames reads ESI's answer. What cannot be a name is left out.
func decodeNames(body []byte) ([]namedID, error) {
	var all []namedID
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("reading names: %w", err)
	}
	all = slices.DeleteFunc(all, func(n namedID) bool { return n.ID <= 0 || n.Name == "" || n.Category == "" })
	for i := range all {
		all[i].Name, all[i].Category = printable(all[i].Name), printable(all[i].Category)
	}
	return all, nil
}

// askNames asks for names. One bad id has all of them refused.
func (r *Resolver) askNames(ctx context.Context, ids []int64) (found []namedID, refused bool, later time.Time, err error) {
	body, err := json.Marshal(ids)
	if err != nil {
		return nil, false, later, fmt.Errorf("writing a list of ids: %w", err)
	}
	answer, failure, later, err := r.ask(ctx, transport.Request{Route: catalogue.UniverseNames(), Body: body})
	switch {
	case err != nil || !later.IsZero():
		return nil, false, later, err
	case failure != nil && (failure.Status == 404 || failure.Status == 400):
		return nil, true, later, nil
	case failure != nil:
		r.odd(ctx, failure)
		return nil, false, r.config.Now().Add(10 * time.Minute), nil
	}
	found, err = decodeNames(answer.Pages[0].Body)
	if err != nil {
		r.config.Logger.WarnContext(ctx, "ESI's list of names cannot be read; it is asked for again later", "error", err)
		return nil, false, r.config.Now().Add(10 * time.Minute), nil
	}
	return found, false, later, nil
}

// odd says that ESI answered in a way that makes no sense.
func (r *Resolver) odd(ctx context.Context, f *transport.Failure) {
	r.config.Logger.WarnContext(ctx, "an answer of ESI makes no sense; it is asked for again later", "class", string(f.Class), "status", f.Status, "reason", f.Message)
}

// takeNames keeps names. Ids that were asked for and not answered have none.
func (r *Resolver) takeNames(ctx context.Context, asked []int64, found []namedID) error {
	now := r.config.Now().UTC()
	missing := slices.Clone(asked)
	slices.Sort(missing)
	var somebody, stations, systems struct {
		ids               []int64
		names, categories []string
	}
	// In the order of ids, so that programs do not wait for one another in a circle.
	slices.SortFunc(found, func(a, b namedID) int { return int(a.ID - b.ID) })
	found = slices.CompactFunc(found, func(a, b namedID) bool { return a.ID == b.ID })
	for _, n := range found {
		at, is := slices.BinarySearch(missing, n.ID)
		if !is {
			continue
		}
		missing = slices.Delete(missing, at, at+1)
		to := &somebody
		switch n.Category {
		case "station":
			to = &stations
		case "solar_system":
			to = &systems
		}
		to.ids, to.names, to.categories = append(to.ids, n.ID), append(to.names, n.Name), append(to.categories, n.Category)
	}
	batch := &pgx.Batch{}
	if len(somebody.ids) > 0 {
		batch.Queue(`INSERT INTO universe.named AS t (id, category, name, fetched_at)
			SELECT id, category, name, $4 FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (id, category, name)
			ON CONFLICT (id) DO UPDATE SET category = excluded.category, name = excluded.name, fetched_at = excluded.fetched_at`,
			somebody.ids, somebody.categories, somebody.names, now)
		// Agents and the heads of NPC corporations keep their names. The others are
		// spread over a tenth of the time, so that they do not come in waves.
		batch.Queue(`UPDATE universe.wanted SET answered_at = $2, refusals = 0, reason = '',
				due_at = $2::timestamptz + make_interval(secs => CASE WHEN id < 90000000 THEN 10 ELSE 1 END * ($3::float8 + $3::float8 / 10 * (id % 997) / 997))
			WHERE lookup = 'name' AND id = ANY ($1)`, somebody.ids, now, r.config.Settings.Names.Seconds())
	}
	if len(stations.ids) > 0 {
		batch.Queue(`INSERT INTO universe.station (station_id, name, source) SELECT id, name, '`+sourceESI+`' FROM unnest($1::bigint[], $2::text[]) AS n (id, name)
			ON CONFLICT DO NOTHING`, stations.ids, stations.names)
	}
	if len(systems.ids) > 0 {
		batch.Queue(`INSERT INTO universe.system (system_id, name, source) SELECT id, name, '`+sourceESI+`' FROM unnest($1::bigint[], $2::text[]) AS n (id, name)
			ON CONFLICT DO NOTHING`, systems.ids, systems.names)
	}
	if settled := append(slices.Clone(stations.ids), systems.ids...); len(settled) > 0 {
		batch.Queue(`DELETE FROM universe.wanted WHERE lookup = 'name' AND id = ANY ($1)`, settled)
	}
	if err := pgx.BeginFunc(ctx, r.config.Pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
		return fmt.Errorf("keeping names: %w", err)
	}
	r.lookups.WithLabelValues(string(eve.LookupName), "found").Add(float64(len(asked) - len(missing)))
	if len(missing) == 0 {
		return nil
	}
	return r.refuse(ctx, eve.LookupName, missing, "ESI left it out of its answer", r.after)
}

// refuse has ids left alone for as long as wait says, because ESI knows nothing of
// them. What was known of them stays.
func (r *Resolver) refuse(ctx context.Context, lookup eve.Lookup, ids []int64, reason string, wait func(refusals int) time.Duration) error {
	now := r.config.Now().UTC()
	seconds := make([]float64, 12)
	for i := range seconds {
		seconds[i] = wait(i + 1).Seconds()
	}
	_, err := r.config.Pool.Exec(ctx, `UPDATE universe.wanted SET refusals = refusals + 1, reason = $3,
			due_at = $4::timestamptz + make_interval(secs => ($5::float8[])[least(refusals + 1, array_length($5::float8[], 1))])
		WHERE lookup = $1 AND id = ANY ($2)`, string(lookup), ids, printable(reason), now, seconds)
	if err != nil {
		return fmt.Errorf("remembering what ESI refused: %w", err)
	}
	r.lookups.WithLabelValues(string(lookup), "refused").Add(float64(len(ids)))
	return nil
}
