package universe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// Client asks ESI; [*transport.Client] does.
type Client interface {
	Get(ctx context.Context, request transport.Request) (transport.Answer, error)
}

// Views is the read model of characters, in which ids are looked for that were
// appended before anybody looked.
type Views interface {
	// CharacterIDs lists all characters.
	CharacterIDs(ctx context.Context) ([]int64, error)
	// Contents calls each for all JSON that is kept of a character's sections. It
	// is valid during the call.
	Contents(ctx context.Context, character int64, each func(section eve.Section, value []byte)) error
}

// Settings say how often what is asked. Zero values mean the defaults named.
type Settings struct {
	// Names is how old the name of a character, a corporation or an alliance may
	// become: 7 days. NamesPerHour bounds how many are asked again: 20,000.
	Names        time.Duration
	NamesPerHour int
	// Structures is how old what is known of a structure may become: 24 hours.
	Structures time.Duration
	// Prices is how old the market's prices may become: 240 minutes.
	Prices time.Duration
	// Players is how old the count of players who are online may become: 5 minutes.
	Players time.Duration
	// Refused is how long a refusal counts: 7 days. What is refused again waits
	// twice as long each time, 60 days at most.
	Refused time.Duration
	// ErrorsPerMinute bounds the errors that asking may cause: 20 of the 100 that
	// ESI allows.
	ErrorsPerMinute int
	// Sweep is how often the read model is looked through for ids: 7 days.
	Sweep time.Duration
}

func (s *Settings) setDefaults() {
	days := func(d *time.Duration, n time.Duration) {
		if *d == 0 {
			*d = n
		}
	}
	days(&s.Names, 7*24*time.Hour)
	days(&s.Structures, 24*time.Hour)
	days(&s.Prices, 240*time.Minute)
	days(&s.Players, 5*time.Minute)
	days(&s.Refused, 7*24*time.Hour)
	days(&s.Sweep, 7*24*time.Hour)
	if s.NamesPerHour == 0 {
		s.NamesPerHour = 20_000
	}
	if s.ErrorsPerMinute == 0 {
		s.ErrorsPerMinute = 20
	}
}

func (s *Settings) validate() error {
	for name, d := range map[string]time.Duration{
		"names (MUSTER_UNIVERSE_NAMES_EVERY)": s.Names, "structures (MUSTER_UNIVERSE_STRUCTURES_EVERY)": s.Structures,
		"prices (MUSTER_UNIVERSE_PRICES_EVERY)": s.Prices, "players (MUSTER_UNIVERSE_PLAYERS_EVERY)": s.Players, "refusals (MUSTER_UNIVERSE_REFUSED_FOR)": s.Refused, "sweeps": s.Sweep,
	} {
		if d < time.Minute {
			return event.Errorf(event.CodeInvalid, "%s: %s is too short: ESI must not be asked more often than once a minute", name, d)
		}
	}
	if s.ErrorsPerMinute < 2*worstErrors || s.ErrorsPerMinute > 80 {
		return event.Errorf(event.CodeInvalid, "errors a minute (MUSTER_UNIVERSE_ERRORS_PER_MINUTE): %d must be from %d to 80: ESI allows 100 to all of Muster", s.ErrorsPerMinute, 2*worstErrors)
	}
	if s.NamesPerHour < 1 {
		return event.Errorf(event.CodeInvalid, "names an hour (MUSTER_UNIVERSE_NAMES_PER_HOUR): %d must be at least 1", s.NamesPerHour)
	}
	return nil
}

// Config is what a [Resolver] works with; Pool, Client, Finder and Registerer are
// required.
type Config struct {
	// Pool is on a database with the tables of [Migrate] and of package schema.
	Pool   *pgxpool.Pool
	Client Client
	// Finder is where new ids come from, and where a resolver puts those that it
	// meets itself.
	Finder *Finder
	// Views is where older ids are looked for; nil looks nowhere.
	Views      Views
	Settings   Settings
	Registerer prometheus.Registerer
	// Logger: none.
	Logger *slog.Logger
	// Now is the clock: time.Now.
	Now func() time.Time
}

// Resolver asks ESI for what has no name, and again for what may have another one. Of
// several programs on one database one at a time works.
type Resolver struct {
	config Config
	// nameErrors and otherErrors are the halves of what errors are allowed, so that
	// names do not wait for structures that are refused one by one.
	nameErrors, otherErrors *allowance
	lookups                 *prometheus.CounterVec
	gauges                  *prometheus.GaugeVec
	// batch is what is being found out about a batch of names.
	batch *bisection
	// refreshed counts names that were asked again since hour.
	refreshed int
	hour      time.Time
}

// NewResolver makes a resolver. It fails with [event.CodeInvalid] for settings that
// cannot work.
func NewResolver(config Config) (*Resolver, error) {
	if config.Pool == nil || config.Client == nil || config.Finder == nil || config.Registerer == nil {
		return nil, event.Errorf(event.CodeInvalid, "a resolver needs a pool, a client, a finder and a registerer")
	}
	config.Settings.setDefaults()
	if err := config.Settings.validate(); err != nil {
		return nil, err
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	r := &Resolver{
		config: config, batch: newBisection(nil),
		nameErrors:  &allowance{now: config.Now, per: config.Settings.ErrorsPerMinute / 2},
		otherErrors: &allowance{now: config.Now, per: config.Settings.ErrorsPerMinute - config.Settings.ErrorsPerMinute/2},
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_universe_lookups_total", Help: "Ids that ESI was asked about, by kind and result: found, refused or failed.",
		}, []string{"lookup", "result"}),
		gauges: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_universe_wanted", Help: "Ids on the list of what is wanted, by kind and state: waiting, refused or known.",
		}, []string{"lookup", "state"}),
	}
	for _, c := range []prometheus.Collector{r.lookups, r.gauges} {
		if err := config.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of names: %w", err)
		}
	}
	return r, nil
}

// Pauses of a resolver.
const (
	// idle is how long it waits for something new; other programs may have found
	// it.
	idle = 5 * time.Second
	// afterError is the wait after trouble of Muster's own, or of ESI that does not
	// say how long it lasts.
	afterError = 30 * time.Second
	// electEvery is how often it is tried to become the one that works.
	electEvery = 5 * time.Second
	gaugeEvery = 15 * time.Second
)

// step does a part of the work and tells when to call it again.
type step func(ctx context.Context) (next time.Time, err error)

// Run works until the context ends, whenever no other program does.
func (r *Resolver) Run(ctx context.Context) error {
	for {
		leader, err := r.lead(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			r.config.Logger.WarnContext(ctx, "cannot find out whether another program looks for names", "error", err)
		case leader != nil:
			r.work(ctx, leader)
			leader.end()
		}
		if !wait(ctx, electEvery, nil) {
			return nil
		}
	}
}

// wait waits until the time is over or there is something new; false if the context
// ended.
func wait(ctx context.Context, d time.Duration, fresh <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-fresh:
	}
	return ctx.Err() == nil
}

// leader holds the lock that lets one program work.
type leader struct{ conn *pgx.Conn }

// lead tries to get the lock, on a connection of its own; nil if another has it.
func (r *Resolver) lead(ctx context.Context) (*leader, error) {
	conn, err := pgx.ConnectConfig(ctx, r.config.Pool.Config().ConnConfig.Copy())
	if err != nil {
		return nil, fmt.Errorf("connecting to lead the lookup of names: %w", err)
	}
	l := &leader{conn}
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('muster/ingest/universe/resolve', 0))`).Scan(&got); err != nil {
		l.end()
		return nil, fmt.Errorf("taking the lock of the lookup of names: %w", err)
	}
	if !got {
		l.end()
		return nil, nil
	}
	return l, nil
}

// end lets go of the lock.
func (l *leader) end() {
	ctx, cancel := context.WithTimeout(context.Background(), electEvery)
	defer cancel()
	// What cannot be closed has lost its lock already.
	_ = l.conn.Close(ctx)
}

// work runs all steps until the context ends or the lock is lost.
func (r *Resolver) work(ctx context.Context, l *leader) {
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		for wait(working, electEvery, nil) {
			if err := l.conn.Ping(working); err != nil && working.Err() == nil {
				r.config.Logger.WarnContext(working, "the connection that lets this program look for names is lost", "error", err)
				return err
			}
		}
		return nil
	})
	steps := map[string]step{
		"names": r.names, "types": r.types, "structures": r.structures, "prices": r.prices, "players": r.players, "sweep": r.sweep, "gauges": r.measure,
	}
	fresh := make(map[string]chan struct{}, len(steps))
	for name, do := range steps {
		told := make(chan struct{}, 1)
		fresh[name] = told
		group.Go(func() error { r.repeat(working, name, do, told); return nil })
	}
	group.Go(func() error {
		for {
			select {
			case <-working.Done():
				return nil
			case <-r.config.Finder.fresh:
			}
			for _, name := range []string{"names", "types", "structures"} {
				select {
				case fresh[name] <- struct{}{}:
				default:
				}
			}
		}
	})
	_ = group.Wait() // It has been said what ended it.
}

// repeat calls a step again and again.
func (r *Resolver) repeat(ctx context.Context, name string, do step, fresh <-chan struct{}) {
	for ctx.Err() == nil {
		next, err := do(ctx)
		if err != nil && ctx.Err() == nil {
			r.config.Logger.WarnContext(ctx, "a look for reference data failed and is repeated", "step", name, "error", err)
			next = r.config.Now().Add(afterError)
		}
		pause := next.Sub(r.config.Now())
		switch {
		case pause > idle:
			// It is held back: something new does not change that.
			wait(ctx, pause, nil)
		case pause > 0:
			wait(ctx, pause, fresh)
		}
	}
}

// Resolve looks at once for what is wanted, sweeps the read model first, and returns
// when nothing is due any more, or when ESI makes it wait longer than patience: then
// held is what it waits for. If another program works already, it is left to that
// one, and Resolve waits for it. It is not called together with [Resolver.Run].
func (r *Resolver) Resolve(ctx context.Context, patience time.Duration, progress func(phase string, left int64)) (held string, err error) {
	leader, err := r.lead(ctx)
	if err != nil {
		return "", err
	}
	if leader != nil {
		defer leader.end()
	}
	if err := r.sweepAll(ctx, progress); err != nil {
		return "", err
	}
	steps := []struct {
		do step
		at time.Time
	}{{do: r.names}, {do: r.types}, {do: r.structures}}
	began := r.config.Now()
	for {
		left, err := r.due(ctx)
		if err != nil || left == 0 {
			return "", err
		}
		progress("looking names up", left)
		now := r.config.Now()
		held, progressed := time.Time{}, false
		for i := range steps {
			s := &steps[i]
			if leader == nil || s.at.After(now) {
				continue
			}
			if s.at, err = s.do(ctx); err != nil {
				return "", err
			}
			if !s.at.After(now) {
				began, progressed = now, true
			}
		}
		for _, s := range steps {
			if s.at.Sub(now) > idle && (held.IsZero() || s.at.Before(held)) {
				held = s.at
			}
		}
		switch {
		case progressed:
			continue
		case leader == nil && now.Sub(began) >= patience:
			return "another program looks for names and has not found all yet", nil
		case now.Sub(began) >= patience || held.Sub(began) >= patience:
			return "ESI is not to be asked before " + held.UTC().Format(time.RFC3339), nil
		}
		if !wait(ctx, min(electEvery, max(time.Second, held.Sub(now))), nil) {
			return "", context.Cause(ctx)
		}
	}
}

// due counts what is wanted, has no name, and may be asked for.
func (r *Resolver) due(ctx context.Context) (int64, error) {
	var n int64
	err := r.config.Pool.QueryRow(ctx, `SELECT count(*) FROM universe.wanted WHERE answered_at IS NULL AND due_at <= $1`, r.config.Now()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting what is wanted: %w", err)
	}
	return n, nil
}

// after is how long an id that was refused so many times in a row is left alone.
func (r *Resolver) after(refusals int) time.Duration {
	wait := r.config.Settings.Refused
	for range min(refusals-1, 10) {
		wait *= 2
	}
	return min(wait, max(60*24*time.Hour, r.config.Settings.Refused))
}

// ask asks ESI once within what errors are allowed. later is set if it is not to be
// asked before that moment; a refusal is a failure with the status 400, 401, 403 or
// 404.
func (r *Resolver) ask(ctx context.Context, request transport.Request) (answer transport.Answer, refusal *transport.Failure, later time.Time, err error) {
	allowed := r.otherErrors
	if request.Route.Operation == catalogue.UniverseNames().Operation {
		allowed = r.nameErrors
	}
	if until := allowed.take(); !until.IsZero() {
		return answer, nil, until, nil
	}
	answer, err = r.config.Client.Get(ctx, request)
	var failure *transport.Failure
	switch {
	case err == nil:
		allowed.settle(0)
		return answer, nil, time.Time{}, nil
	case !errors.As(err, &failure):
		allowed.settle(0)
		return answer, nil, time.Time{}, fmt.Errorf("asking for %s: %w", request.Route.Operation, err)
	}
	allowed.settle(costOf(failure))
	switch failure.Status {
	case 400, 401, 403, 404:
		return answer, failure, time.Time{}, nil
	}
	if failure.Class == eve.FailureToken || failure.Class == eve.FailureMalformed {
		return answer, failure, time.Time{}, nil
	}
	later = r.config.Now().Add(afterError)
	if failure.Deferred || failure.RetryAt.After(later) {
		later = failure.RetryAt
	} else {
		r.config.Logger.WarnContext(ctx, "ESI does not answer; it is asked again later", "operation", request.Route.Operation, "reason", failure.Message)
	}
	return answer, nil, later, nil
}

// costOf is how many errors a failure has cost.
func costOf(f *transport.Failure) int {
	switch {
	case f.Deferred || f.Status == 0 && f.Class == eve.FailureToken:
		return 0
	case f.Class == eve.FailureServer || f.Class == eve.FailureNetwork:
		return worstErrors
	case f.Status == 401:
		// And once more with a new token.
		return 2
	default:
		return 1
	}
}
