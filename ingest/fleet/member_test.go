package fleet_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/fleet"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

// keeper works for shards and remembers for which.
type keeper struct {
	mu       sync.Mutex
	working  map[int]bool
	buried   int
	refusing error
	// hold keeps Give from returning until it is closed; nil for not.
	hold chan struct{}
}

func (k *keeper) Take(_ context.Context, shard int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refusing != nil {
		return k.refusing
	}
	k.working[shard] = true
	return nil
}

func (k *keeper) Give(ctx context.Context, shard int) error {
	k.mu.Lock()
	hold := k.hold
	k.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.working, shard)
	return nil
}

func (k *keeper) Bury(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.buried++
	return nil
}

func (k *keeper) shards() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.working)
}

// process is a member with its keeper, as in a process of its own.
type process struct {
	*fleet.Member

	keeper *keeper
	line   *line
	stop   func()
}

// line is a way to the database that can be cut.
type line struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.cut {
		return nil, errors.Join(errors.New("the line is cut"), conn.Close())
	}
	l.conns = append(l.conns, conn)
	return conn, err
}

// fast are spans at which a test sees in two seconds what takes ten.
func fast() fleet.Config {
	return fleet.Config{Lease: 2 * time.Second, Beat: 100 * time.Millisecond, Grace: time.Second}
}

func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := enginetest.Postgres(t)
	require.NoError(t, schema.Migrate(t.Context(), pool))
	return pool
}

func start(t *testing.T, pool *pgxpool.Pool, config fleet.Config) *process {
	t.Helper()
	p := &process{keeper: &keeper{working: map[int]bool{}}, line: &line{}}
	settings := pool.Config()
	settings.ConnConfig.DialFunc = p.line.dial
	own, err := pgxpool.NewWithConfig(context.Background(), settings)
	require.NoError(t, err)
	config.Pool = own
	p.Member, err = fleet.New(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, p.keeper) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
		own.Close()
	})
	t.Cleanup(p.stop)
	return p
}

// lose cuts a process off from the database, as its death does for the others.
func (p *process) lose() {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.line.cut = true
	for _, conn := range p.line.conns {
		// It is only cut off if this fails.
		_ = conn.Close()
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, what)
}

func TestAMemberThatIsAloneWorksForAll(t *testing.T) {
	p := start(t, database(t), fast())
	eventually(t, "all shards are taken", func() bool { return p.keeper.shards() == fleet.Shards })
	require.Len(t, p.Shards(), fleet.Shards)
	require.Equal(t, 1, p.Programs())
	_, mine := p.Since(90000001)
	require.True(t, mine)
}

func TestMembersShareAndNoCharacterHasTwo(t *testing.T) {
	pool := database(t)
	first := start(t, pool, fast())
	eventually(t, "all shards are taken", func() bool { return first.keeper.shards() == fleet.Shards })

	all := []*process{first}
	watch := watchFor(t, &all)
	for range 2 {
		watch.add(start(t, pool, fast()))
	}
	eventually(t, "each has a third", func() bool {
		for _, p := range watch.members() {
			if n := len(p.Shards()); n < 4 || n > 6 || p.keeper.shards() != n {
				return false
			}
		}
		return true
	})
	eventually(t, "all know how many they are", func() bool { return first.Programs() == 3 })

	first.stop()
	eventually(t, "the others have the rest, at once", func() bool {
		return len(watch.members()[1].Shards())+len(watch.members()[2].Shards()) == fleet.Shards
	})
	require.Equal(t, 3, watch.members()[1].Programs(), "what the one that left has asked still counts")
}

// watcher sees all the time that no shard has two owners.
type watcher struct {
	mu    sync.Mutex
	all   *[]*process
	twice atomic.Int64
}

func watchFor(t *testing.T, all *[]*process) *watcher {
	t.Helper()
	w := &watcher{all: all}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		look := time.NewTicker(time.Millisecond)
		defer look.Stop()
		for {
			select {
			case <-stop:
				return
			case <-look.C:
			}
			for shard := range int64(fleet.Shards) {
				owners := 0
				for _, p := range w.members() {
					if _, mine := p.Since(shard); mine {
						owners++
					}
				}
				if owners > 1 {
					w.twice.Add(1)
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		require.Zero(t, w.twice.Load(), "a shard had two owners")
	})
	return w
}

func (w *watcher) add(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*w.all = append(*w.all, p)
}

func (w *watcher) members() []*process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*process(nil), *w.all...)
}

func TestAMemberThatLosesTheDatabaseStopsBeforeOthersTakeOver(t *testing.T) {
	pool := database(t)
	all := []*process{start(t, pool, fast()), start(t, pool, fast())}
	watchFor(t, &all)
	eventually(t, "they share", func() bool { return len(all[0].Shards()) == 8 && len(all[1].Shards()) == 8 })
	term, ok := all[0].Begin(int64(all[0].Shards()[0]))
	require.True(t, ok)

	all[0].lose()
	eventually(t, "its work is cut short", func() bool { return term.Err() != nil })
	require.ErrorIs(t, context.Cause(term), context.Canceled, "that is no failure")
	require.Empty(t, all[0].Shards())
	require.Len(t, all[1].Shards(), 8, "the other waits for the grace")
	eventually(t, "the other takes over", func() bool { return all[1].keeper.shards() == fleet.Shards })
	require.Positive(t, all[1].keeper.buried)
}

func TestAShardIsHandedOverWhenItsWorkHasEnded(t *testing.T) {
	pool := database(t)
	first := start(t, pool, fast())
	eventually(t, "all shards are taken", func() bool { return first.keeper.shards() == fleet.Shards })
	first.keeper.mu.Lock()
	first.keeper.hold = make(chan struct{})
	first.keeper.mu.Unlock()

	second := start(t, pool, fast())
	all := []*process{first, second}
	watchFor(t, &all)
	eventually(t, "nothing new is begun for half of them", func() bool {
		closed := 0
		for shard := range int64(fleet.Shards) {
			if _, ok := first.Begin(shard); !ok {
				closed++
			}
		}
		return closed == 8
	})
	require.Len(t, first.Shards(), fleet.Shards, "what goes on may still ask")
	require.Empty(t, second.Shards())
	close(first.keeper.hold)
	eventually(t, "they share", func() bool { return len(first.Shards()) == 8 && second.keeper.shards() == 8 })
}

func TestAMemberThatDrainsKeepsItsLeaseAndTakesNothing(t *testing.T) {
	pool := database(t)
	first := start(t, pool, fast())
	second := start(t, pool, fast())
	eventually(t, "they share", func() bool { return len(first.Shards()) == 8 && len(second.Shards()) == 8 })
	first.Drain()
	second.stop()
	var renewed time.Time
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT expires_at FROM ingest.member WHERE id = $1", first.ID()).Scan(&renewed))
	eventually(t, "the lease is renewed", func() bool {
		var now time.Time
		return pool.QueryRow(t.Context(), "SELECT expires_at FROM ingest.member WHERE id = $1", first.ID()).Scan(&now) == nil && now.Sub(renewed) > 500*time.Millisecond
	})
	require.Len(t, first.Shards(), 8)
	require.Equal(t, 8, first.keeper.shards())
}

func TestATenureBeginsAnewAfterTheDatabaseWasAway(t *testing.T) {
	pool := database(t)
	p := start(t, pool, fast())
	eventually(t, "all shards are taken", func() bool { return p.keeper.shards() == fleet.Shards })
	before, _ := p.Since(1)
	lock, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "LOCK ingest.member IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	eventually(t, "the lease runs out", func() bool { return len(p.Shards()) == 0 })
	require.NoError(t, lock.Rollback(t.Context()))
	eventually(t, "it is renewed", func() bool { return len(p.Shards()) == fleet.Shards })
	after, _ := p.Since(1)
	require.True(t, after.After(before), "another may have asked in between")
	require.Equal(t, fleet.Shards, p.keeper.shards(), "the work was not taken up twice")
}

func TestWorkThatCannotBeginIsTriedAgain(t *testing.T) {
	p := start(t, database(t), fast())
	p.keeper.mu.Lock()
	p.keeper.refusing = errors.New("no connection")
	p.keeper.mu.Unlock()
	eventually(t, "it takes part", func() bool { return p.Programs() == 1 })
	p.keeper.mu.Lock()
	p.keeper.refusing = nil
	p.keeper.mu.Unlock()
	eventually(t, "all shards are taken", func() bool { return p.keeper.shards() == fleet.Shards && len(p.Shards()) == fleet.Shards })
}

func TestMembersThatCannotWorkAreRefused(t *testing.T) {
	_, err := fleet.New(fleet.Config{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, err = fleet.New(fleet.Config{Pool: database(t), Lease: time.Second, Beat: time.Second})
	require.ErrorContains(t, err, "twice as often")
	registry := prometheus.NewRegistry()
	_, err = fleet.New(fleet.Config{Pool: database(t), Registerer: registry})
	require.NoError(t, err)
	_, err = fleet.New(fleet.Config{Pool: database(t), Registerer: registry})
	require.Error(t, err)
}
