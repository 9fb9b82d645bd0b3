package universe

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Appender appends events to the log.
type Appender interface {
	Append(ctx context.Context, events ...event.Event) error
}

// Finder finds the ids that events mention and puts those on the list of what is
// wanted that have no name. It costs a look through the events that were appended
// anyway, and a row only for an id that was never seen before. It is safe for
// concurrent use.
type Finder struct {
	pool   *pgxpool.Pool
	logger *slog.Logger
	now    func() time.Time
	found  prometheus.Counter
	// fresh is told when there is something new.
	fresh chan struct{}

	mu       sync.Mutex
	mentions *eve.Mentions
	known    map[foundID]struct{}
	pending  []foundID
}

// foundID is an id that is to be looked up. character is only set where it matters
// who has seen it.
type foundID struct {
	lookup    eve.Lookup
	id        int64
	character int64
}

// Bounds of what a finder remembers. What does not fit is found by the sweep, or
// costs a look into the database.
const (
	mostKnown   = 400_000
	mostPending = 100_000
	flushEvery  = time.Second
)

// NewFinder makes a finder on a database with the tables of [Migrate].
func NewFinder(pool *pgxpool.Pool, registerer prometheus.Registerer, logger *slog.Logger, now func() time.Time) (*Finder, error) {
	if now == nil {
		now = time.Now
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	f := &Finder{
		pool: pool, logger: logger, now: now, fresh: make(chan struct{}, 1), mentions: eve.NewMentions(), known: map[foundID]struct{}{},
		found: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_universe_found_total", Help: "Ids without a name that events mentioned for the first time.",
		}),
	}
	if err := registerer.Register(f.found); err != nil {
		return nil, fmt.Errorf("registering the metrics of ids that are found: %w", err)
	}
	return f, nil
}

// Watch is an appender that looks through what it has appended.
func (f *Finder) Watch(appender Appender) Appender { return watched{appender, f} }

type watched struct {
	Appender

	finder *Finder
}

// Append implements [Appender].
func (w watched) Append(ctx context.Context, events ...event.Event) error {
	if err := w.Appender.Append(ctx, events...); err != nil {
		return err
	}
	w.finder.See(events...)
	return nil
}

// See looks through events.
func (f *Finder) See(events ...event.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		character, _ := e.Stream.CharacterID()
		f.mentions.OfEvent(e, func(m eve.Mention) { f.add(character, m) })
	}
}

// SeeSection looks through JSON of a section of a character.
func (f *Finder) SeeSection(character int64, section eve.Section, value []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mentions.OfSection(section, value, func(m eve.Mention) { f.add(character, m) })
}

// add notes what is mentioned. The caller holds the lock.
func (f *Finder) add(character int64, m eve.Mention) {
	id := foundID{lookup: m.Kind.Lookup(m.ID), id: m.ID}
	switch id.lookup {
	case eve.LookupNone:
		return
	case eve.LookupStructure:
		id.character = character
	case eve.LookupName, eve.LookupType:
	}
	if _, is := f.known[id]; is || len(f.pending) >= mostPending {
		return
	}
	if len(f.known) >= mostKnown {
		clear(f.known)
	}
	f.known[id] = struct{}{}
	f.pending = append(f.pending, id)
}

// Run writes down what is found every second, until the context ends.
func (f *Finder) Run(ctx context.Context) error {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := f.Flush(ctx); err != nil && ctx.Err() == nil {
			f.logger.WarnContext(ctx, "ids without a name could not be written down; they are kept in memory", "error", err)
		}
	}
}

// Flush writes down what was found and has no name yet.
func (f *Finder) Flush(ctx context.Context) error {
	f.mu.Lock()
	pending := f.pending
	f.pending = nil
	f.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	added, err := f.write(ctx, pending)
	if err != nil {
		f.mu.Lock()
		f.pending = append(pending, f.pending...)
		f.mu.Unlock()
		return err
	}
	f.found.Add(float64(added))
	if added > 0 {
		select {
		case f.fresh <- struct{}{}:
		default:
		}
	}
	return nil
}

func (f *Finder) write(ctx context.Context, found []foundID) (int64, error) {
	ids := map[eve.Lookup][]int64{}
	var characters []int64
	for _, id := range found {
		ids[id.lookup] = append(ids[id.lookup], id.id)
		if id.lookup == eve.LookupStructure {
			characters = append(characters, id.character)
		}
	}
	now := f.now().UTC()
	var added int64
	batch := &pgx.Batch{}
	count := func(rows pgx.Row) error {
		var n int64
		err := rows.Scan(&n)
		added += n
		return err
	}
	// Each in the order of ids, so that programs that do the same do not wait for
	// one another in a circle.
	if names := ids[eve.LookupName]; len(names) > 0 {
		batch.Queue(`WITH new AS (INSERT INTO universe.wanted (lookup, id, found_at, due_at)
			SELECT 'name', i.id, $2, $2 FROM unnest($1::bigint[]) AS i (id)
			WHERE NOT EXISTS (SELECT FROM universe.system t WHERE t.system_id = i.id) AND NOT EXISTS (SELECT FROM universe.station t WHERE t.station_id = i.id)
			AND NOT EXISTS (SELECT FROM universe.npc_corporation t WHERE t.corporation_id = i.id) AND NOT EXISTS (SELECT FROM universe.faction t WHERE t.faction_id = i.id)
			ORDER BY i.id ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM new`, names, now).QueryRow(count)
	}
	if types := ids[eve.LookupType]; len(types) > 0 {
		batch.Queue(`WITH new AS (INSERT INTO universe.wanted (lookup, id, found_at, due_at)
			SELECT 'type', i.id, $2, $2 FROM unnest($1::bigint[]) AS i (id) WHERE NOT EXISTS (SELECT FROM universe.type t WHERE t.type_id = i.id)
			ORDER BY i.id ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM new`, types, now).QueryRow(count)
	}
	if structures := ids[eve.LookupStructure]; len(structures) > 0 {
		// Whoever is new may be allowed to see what others were refused.
		batch.Queue(`WITH seen AS (INSERT INTO universe.structure_seen (structure_id, character_id)
				SELECT s.id, s.character FROM unnest($1::bigint[], $2::bigint[]) AS s (id, character) ORDER BY 1, 2 ON CONFLICT DO NOTHING RETURNING structure_id),
			new AS (INSERT INTO universe.wanted AS w (lookup, id, found_at, due_at) SELECT DISTINCT 'structure', structure_id, $3::timestamptz, $3 FROM seen ORDER BY 2
				ON CONFLICT (lookup, id) DO UPDATE SET due_at = excluded.due_at WHERE w.reason <> '' AND w.due_at > excluded.due_at RETURNING 1)
			SELECT count(*) FROM new`, structures, characters, now).QueryRow(count)
	}
	if err := f.pool.SendBatch(ctx, batch).Close(); err != nil {
		return 0, fmt.Errorf("writing down ids without a name: %w", err)
	}
	return added, nil
}
