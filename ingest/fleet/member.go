// Package fleet lets several ingest processes share one database, the characters
// and what ESI allows: each character has one process that asks for it, and what
// one process learns of limits that all share reaches the others.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/event"
)

// A member holds a lease: a row in Postgres that it renews. It counts the lease from
// before it sent a renewal, and Postgres from after it came, each by a clock of its
// own; so a member stops, and cuts short what it asks, before Postgres lets another
// have its characters, however much the two clocks differ in what time it is. Only
// that they run about as fast is assumed.

// Config is what a [Member] works with. Zero values mean the defaults named.
type Config struct {
	// Pool is on a database with the tables of package schema. The member has
	// connections of its own to it, so that the lease does not wait for others.
	Pool *pgxpool.Pool
	// Logger: none.
	Logger *slog.Logger
	// Registerer takes the metrics; none.
	Registerer prometheus.Registerer
	// Lease is how long a member that does not renew its lease counts as alive:
	// 10 s.
	Lease time.Duration
	// Beat is how often it is renewed: 2 s.
	Beat time.Duration
	// Grace is how long after a lease's end its characters are left alone: 3 s.
	Grace time.Duration
}

// margin is the part of a lease, one of so many, that a member leaves unused.
const margin = 10

// Keeper works for shards.
type Keeper interface {
	// Take begins to work for a shard. If it fails it is called again.
	Take(ctx context.Context, shard int) error
	// Give ends the work for a shard and returns when nothing of it goes on any
	// more. If it fails, such as because ctx ended first, it is called again.
	Give(ctx context.Context, shard int) error
	// Bury frees what members that are dead were working on. It is called before
	// their shards are taken.
	Bury(ctx context.Context) error
}

// Member is one process of those that share the characters. It is safe for
// concurrent use.
type Member struct {
	config Config
	id     string
	pool   *pgxpool.Pool

	// until is when the lease ends by this program's clock, as the steady and the
	// wall clock say.
	until    atomic.Pointer[time.Time]
	terms    [Shards]atomic.Pointer[term]
	programs atomic.Int64
	draining atomic.Bool

	// soon has the lease looked at before it is due.
	soon chan struct{}

	mu    sync.Mutex
	guard *time.Timer
	// working are the shards that the keeper works for, busy those that are being
	// taken or given.
	working, busy [Shards]bool
	moves         sync.WaitGroup
}

// term is an unbroken time in which a shard is this member's.
type term struct {
	//nolint:containedctx // It is what ends with the term.
	ctx   context.Context
	end   context.CancelCauseFunc
	since time.Time
	// closing: nothing new is begun.
	closing atomic.Bool
}

// errEnded is why work is cut short. It is a kind of [context.Canceled], so that it
// is not taken for a failure.
var errEnded = fmt.Errorf("another program may work for the character now: %w", context.Canceled)

// New makes a member. It takes part from [Member.Run] on.
func New(config Config) (*Member, error) {
	if config.Pool == nil {
		return nil, event.Errorf(event.CodeInvalid, "a member of the fleet needs a database")
	}
	setDefault(&config.Lease, 10*time.Second)
	setDefault(&config.Beat, 2*time.Second)
	setDefault(&config.Grace, 3*time.Second)
	if config.Beat > config.Lease/2 {
		return nil, event.Errorf(event.CodeInvalid, "a lease of %s that is renewed every %s: must be renewed at least twice as often as it ends", config.Lease, config.Beat)
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Member{config: config, id: newID(), soon: make(chan struct{}, 1)}
	m.programs.Store(1)
	m.until.Store(&time.Time{})
	if config.Registerer != nil {
		if err := m.register(config.Registerer); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func setDefault(setting *time.Duration, value time.Duration) {
	if *setting == 0 {
		*setting = value
	}
}

// newID names this process among all.
func newID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%.40s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}

func (m *Member) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_fleet_shards",
			Help: "Parts of the characters, of 16, that this process works for.",
		}, func() float64 { return float64(len(m.Shards())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_fleet_members",
			Help: "Ingest processes that share the characters, those counted that ended within two minutes.",
		}, func() float64 { return float64(m.programs.Load()) }),
	} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("registering the metrics of the fleet: %w", err)
		}
	}
	return nil
}

// ID names this process among all that share the database.
func (m *Member) ID() string { return m.id }

// Grace is how long after a lease's end a member counts as dead.
func (m *Member) Grace() time.Duration { return m.config.Grace }

// Programs is how many processes ask from this address, those counted that ended
// within two minutes; at least 1.
func (m *Member) Programs() int { return int(max(1, m.programs.Load())) }

// leased tells whether the lease holds. The wall clock is looked at, too: the steady
// one may stand still while the machine sleeps.
func (m *Member) leased() bool {
	until := m.until.Load()
	now := time.Now()
	return now.Before(*until) && now.Round(0).Before(until.Round(0))
}

// Since is from when on this process alone works for a character; false if another
// one does, or may.
func (m *Member) Since(character int64) (time.Time, bool) {
	t := m.terms[ShardOf(character)].Load()
	if t == nil || !m.leased() {
		return time.Time{}, false
	}
	return t.since, true
}

// Begin gives a context for work for a character, which ends as soon as another
// process may work for it; false if nothing is to be begun here.
func (m *Member) Begin(character int64) (context.Context, bool) {
	t := m.terms[ShardOf(character)].Load()
	if t == nil || t.closing.Load() || !m.leased() {
		return nil, false
	}
	return t.ctx, true
}

// Shards are those that this process works for now.
func (m *Member) Shards() []int {
	var mine []int
	for shard := range Shards {
		if m.terms[shard].Load() != nil && m.leased() {
			mine = append(mine, shard)
		}
	}
	return mine
}

// Drain has shards neither taken nor given any more; the lease is still renewed.
// Call it before what works for them is stopped.
func (m *Member) Drain() { m.draining.Store(true) }

// Run takes part until ctx ends, and then gives everything up. keeper must have
// stopped all work by then. It is called once. It fails if the pool's configuration
// cannot be used; a database that is away is waited for.
func (m *Member) Run(ctx context.Context, keeper Keeper) error {
	config := m.config.Pool.Config()
	config.MinConns, config.MinIdleConns, config.MaxConns = 0, 0, 2
	var err error
	if m.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return fmt.Errorf("preparing the lease on characters: %w", err)
	}
	defer m.pool.Close()
	defer m.leave(ctx)
	defer m.moves.Wait()
	ticker := time.NewTicker(m.config.Beat)
	defer ticker.Stop()
	for {
		held, err := m.beat(ctx)
		switch {
		case err == nil:
			m.reconcile(ctx, keeper, held)
		case ctx.Err() == nil:
			m.config.Logger.WarnContext(ctx, "the lease on characters was not renewed; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-m.soon:
		}
	}
}

// holding is what a look at the table said.
type holding struct {
	// mine are the shards that this member owns, wanted those that it should own.
	mine, wanted [Shards]bool
	// bereft tells that shards came from a member that is dead.
	bereft bool
}

// fleetLock is the SQL of the lock under which members look at one another.
const fleetLock = "pg_advisory_xact_lock(hashtextextended('muster/ingest/fleet', 0))"

// beat renews the lease and takes what is free and should be this member's.
func (m *Member) beat(ctx context.Context) (holding, error) {
	sent := time.Now()
	limited, cancel := context.WithTimeout(ctx, m.config.Lease-m.config.Lease/margin)
	defer cancel()
	var held holding
	var programs int64
	err := pgx.BeginFunc(limited, m.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(limited, "SELECT "+fleetLock); err != nil {
			return err //nolint:wrapcheck // Wrapped below.
		}
		// now() is when the transaction began, after it was sent.
		_, err := tx.Exec(limited, `
			INSERT INTO ingest.member (id, expires_at) VALUES ($1, now() + make_interval(secs => $2))
			ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`, m.id, m.config.Lease.Seconds())
		if err != nil {
			return err //nolint:wrapcheck // Wrapped below.
		}
		members, err := m.members(limited, tx, &programs)
		if err != nil {
			return err
		}
		return m.look(limited, tx, assign(members), &held)
	})
	if err != nil {
		return holding{}, fmt.Errorf("renewing the lease on characters: %w", err)
	}
	m.programs.Store(programs)
	m.extend(sent.Add(m.config.Lease - m.config.Lease/margin))
	return held, nil
}

// members are those that are alive; those of long ago are forgotten.
func (m *Member) members(ctx context.Context, tx pgx.Tx, programs *int64) ([]string, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM ingest.member WHERE expires_at < now() - interval '1 hour'`); err != nil {
		return nil, err //nolint:wrapcheck // The caller does.
	}
	// The limits of the address count for up to two minutes.
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM ingest.member WHERE expires_at > now() - interval '2 minutes'`).Scan(programs); err != nil {
		return nil, err //nolint:wrapcheck // The caller does.
	}
	rows, err := tx.Query(ctx, `SELECT id FROM ingest.member WHERE expires_at > now()`)
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller does.
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// look finds out which shards are this member's, after taking those that it can.
func (m *Member) look(ctx context.Context, tx pgx.Tx, owners [Shards]string, held *holding) error {
	var wanted []int
	for shard, owner := range owners {
		if owner == m.id {
			held.wanted[shard] = true
			wanted = append(wanted, shard)
		}
	}
	if !m.draining.Load() {
		// Those of the dead are left alone for the grace.
		rows, err := tx.Query(ctx, `
			UPDATE ingest.shard s SET owner = $1, epoch = s.epoch + 1
			FROM (SELECT shard, owner FROM ingest.shard FOR UPDATE) AS was
			WHERE s.shard = was.shard AND s.shard = ANY ($2::int[]) AND s.owner IS DISTINCT FROM $1 AND (s.owner IS NULL OR NOT EXISTS (
			    SELECT FROM ingest.member m WHERE m.id = s.owner AND m.expires_at + make_interval(secs => $3) > now()))
			RETURNING was.owner IS NOT NULL`, m.id, wanted, m.config.Grace.Seconds())
		if err != nil {
			return err //nolint:wrapcheck // The caller does.
		}
		var bereft bool
		_, err = pgx.ForEachRow(rows, []any{&bereft}, func() error { held.bereft = held.bereft || bereft; return nil })
		if err != nil {
			return err //nolint:wrapcheck // The caller does.
		}
	}
	rows, err := tx.Query(ctx, `SELECT shard FROM ingest.shard WHERE owner = $1 AND shard < $2`, m.id, Shards)
	if err != nil {
		return err //nolint:wrapcheck // The caller does.
	}
	var shard int
	_, err = pgx.ForEachRow(rows, []any{&shard}, func() error { held.mine[shard] = true; return nil })
	return err //nolint:wrapcheck // The caller does.
}

// extend lets the lease hold until a moment, at which all terms end unless it is
// extended again.
func (m *Member) extend(until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.leased() {
		// Others may have had the characters in between.
		m.endTerms()
	}
	m.until.Store(&until)
	wait := time.Until(until)
	if m.guard == nil {
		m.guard = time.AfterFunc(wait, m.lapse)
		return
	}
	m.guard.Reset(wait)
}

// lapse ends all terms if the lease is over.
func (m *Member) lapse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leased() {
		return
	}
	if ended := m.endTerms(); ended > 0 {
		m.config.Logger.Warn("the lease on characters ran out; nothing is asked for them until it is renewed", "shards", ended)
	}
}

// endTerms ends all terms, and tells how many there were.
func (m *Member) endTerms() int {
	ended := 0
	for shard := range Shards {
		if m.endTerm(shard) {
			ended++
		}
	}
	return ended
}

// endTerm ends a term; false if there was none.
func (m *Member) endTerm(shard int) bool {
	t := m.terms[shard].Swap(nil)
	if t == nil {
		return false
	}
	t.end(errEnded)
	return true
}

// reconcile has the keeper work for what is this member's and should be.
func (m *Member) reconcile(ctx context.Context, keeper Keeper, held holding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	buried := !held.bereft
	for shard := range Shards {
		mine, wanted := held.mine[shard], held.wanted[shard]
		if !mine {
			m.endTerm(shard)
		}
		if mine && m.working[shard] && !m.busy[shard] && m.terms[shard].Load() == nil {
			m.beginTerm(shard)
		}
		if m.busy[shard] || m.draining.Load() {
			continue
		}
		switch {
		case mine && wanted && !m.working[shard]:
			if !buried {
				buried = true
				if err := keeper.Bury(ctx); err != nil {
					// The keeper does so again and again.
					m.config.Logger.WarnContext(ctx, "what dead members worked on was not freed yet", "error", err)
				}
			}
			m.beginTerm(shard)
			m.move(shard, func() { m.take(ctx, keeper, shard) })
		case m.working[shard] && !(mine && wanted):
			if t := m.terms[shard].Load(); t != nil {
				t.closing.Store(true)
			}
			m.move(shard, func() { m.give(ctx, keeper, shard) })
		case mine && !wanted:
			// It was taken before a restart of the keeper, or could not be.
			m.move(shard, func() { m.release(ctx, shard) })
		}
	}
}

func (m *Member) beginTerm(shard int) {
	t := &term{since: time.Now()}
	t.ctx, t.end = context.WithCancelCause(context.Background())
	m.terms[shard].Store(t)
}

// move changes what is done for a shard, beside all else; m.mu is held.
func (m *Member) move(shard int, change func()) {
	m.busy[shard] = true
	m.moves.Go(func() {
		change()
		m.mu.Lock()
		m.busy[shard] = false
		m.mu.Unlock()
		select {
		case m.soon <- struct{}{}:
		default:
		}
	})
}

func (m *Member) take(ctx context.Context, keeper Keeper, shard int) {
	if err := keeper.Take(ctx, shard); err != nil {
		m.config.Logger.WarnContext(ctx, "work for a part of the characters could not begin; trying again", "shard", shard, "error", err)
		m.mu.Lock()
		m.endTerm(shard)
		m.mu.Unlock()
		m.pause(ctx)
		return
	}
	m.mu.Lock()
	m.working[shard] = true
	m.mu.Unlock()
	m.config.Logger.InfoContext(ctx, "working for a part of the characters", "shard", shard, "of", Shards)
}

// pause keeps a failed move from being tried again at once.
func (m *Member) pause(ctx context.Context) {
	timer := time.NewTimer(m.config.Beat)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (m *Member) give(ctx context.Context, keeper Keeper, shard int) {
	for ctx.Err() == nil && !m.draining.Load() {
		try, cancel := context.WithTimeout(ctx, m.config.Beat)
		err := keeper.Give(try, shard)
		cancel()
		if err == nil {
			m.mu.Lock()
			m.working[shard] = false
			m.endTerm(shard)
			m.mu.Unlock()
			m.release(ctx, shard)
			m.config.Logger.InfoContext(ctx, "a part of the characters was given to another member", "shard", shard)
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			m.config.Logger.WarnContext(ctx, "work for a part of the characters does not end; trying again", "shard", shard, "error", err)
			m.pause(ctx)
		}
	}
}

// release lets another member have a shard.
func (m *Member) release(ctx context.Context, shard int) {
	if _, err := m.pool.Exec(ctx, `UPDATE ingest.shard SET owner = NULL WHERE shard = $1 AND owner = $2`, shard, m.id); err != nil && ctx.Err() == nil {
		// The next look at the table does it.
		m.config.Logger.WarnContext(ctx, "a part of the characters could not be released; trying again", "shard", shard, "error", err)
	}
}

// leave gives up everything at once, so that others need not wait for the lease to
// end.
func (m *Member) leave(ctx context.Context) {
	m.mu.Lock()
	if m.guard != nil {
		m.guard.Stop()
	}
	m.until.Store(&time.Time{})
	m.endTerms()
	m.mu.Unlock()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.config.Beat)
	defer cancel()
	err := pgx.BeginFunc(last, m.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(last, "SELECT "+fleetLock); err != nil {
			return err //nolint:wrapcheck // It is logged below.
		}
		if _, err := tx.Exec(last, `UPDATE ingest.shard SET owner = NULL WHERE owner = $1`, m.id); err != nil {
			return err //nolint:wrapcheck // It is logged below.
		}
		_, err := tx.Exec(last, `UPDATE ingest.member SET expires_at = least(expires_at, now()) WHERE id = $1`, m.id)
		return err //nolint:wrapcheck // It is logged below.
	})
	if err != nil {
		m.config.Logger.WarnContext(last, "the characters were not given up; others have them when the lease ends", "error", err)
	}
}
