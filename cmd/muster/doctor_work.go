package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
	ingestanvil "github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/ingest/keyring"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/sealing"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/doctor"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// workChecks look at what Muster does with its engines, and at the outside worlds.
func (x *examination) workChecks() []doctor.Check {
	all := []doctor.Check{
		{Name: "projections", Look: x.ofViews(doctor.Views)},
		{Name: "projections.lag", Look: x.inPostgres(x.lookAtLag)},
		{Name: "projections.parked", Look: x.inPostgres(lookAtParked)},
		{Name: "postgres.tables", Look: x.tablesIn(engine.Postgres)},
		{Name: "clickhouse.tables", Look: x.tablesIn(engine.ClickHouse)},
		{Name: "logins", Look: x.inPostgres(x.lookAtLogins)},
		{Name: "clock", Look: x.lookAtClocks},
	}
	return append(all, doctor.Check{Name: "services", Look: x.lookAtServices})
}

// view is how a read model stands and where its tables are.
type view struct {
	doctor.View
	bound runner.Bound
	live  runner.Generation
}

// bookkeeping is enough of the stores to ask how read models stand.
func (x *examination) bookkeeping(pool *pgxpool.Pool) *stores {
	return &stores{pool: pool, control: runner.LookControl(pool), registry: newRegistry(), metrics: newMetrics()}
}

func (x *examination) lookAtViews(ctx context.Context) ([]view, error) {
	pool, err := x.pool()
	if err != nil {
		return nil, missing(engine.Postgres)
	}
	s := x.bookkeeping(pool)
	var all []view
	for _, b := range s.projections() {
		v := view{View: doctor.View{Name: b.Name, Want: b.Version}, bound: b}
		switch v.live, err = s.control.Live(ctx, b.Name); {
		case err == nil:
			v.Live, v.Generation, v.Version = true, v.live.Number, v.live.Version
		case event.CodeOf(err) != event.CodeUnavailable:
			return nil, err
		}
		if v.Owned, err = s.control.Owned(ctx, b.Name); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func shown(all []view) []doctor.View {
	views := make([]doctor.View, len(all))
	for i, v := range all {
		views[i] = v.View
	}
	return views
}

func (x *examination) ofViews(judge func([]doctor.View) doctor.Outcome) func(context.Context) (doctor.Outcome, error) {
	return func(context.Context) (doctor.Outcome, error) {
		all, err := x.views()
		if err != nil {
			return doctor.Outcome{}, err
		}
		return judge(shown(all)), nil
	}
}

// tablesIn looks for the tables of live generations in one of the stores.
func (x *examination) tablesIn(name engine.Name) func(context.Context) (doctor.Outcome, error) {
	return func(ctx context.Context) (doctor.Outcome, error) {
		all, err := x.views()
		if err != nil {
			return doctor.Outcome{}, err
		}
		has := x.postgresHas
		if name == engine.ClickHouse {
			if _, err := x.clickhouse(); err != nil {
				return doctor.Outcome{}, missing(name)
			}
			has = x.clickhouseHas
		}
		var mine []doctor.View
		for _, v := range all {
			if _, overTime := v.bound.Store.(*runner.ClickHouse); !v.Live || overTime != (name == engine.ClickHouse) {
				continue
			}
			for _, t := range v.bound.Tables {
				there, err := has(ctx, v.live.Namespace, t.Name)
				if err != nil {
					return doctor.Outcome{}, fmt.Errorf("looking for tables of %s: %w", v.Name, err)
				}
				if !there {
					v.Missing = append(v.Missing, t.Name)
				}
			}
			mine = append(mine, v.View)
		}
		return doctor.Tables(mine), nil
	}
}

func (x *examination) postgresHas(ctx context.Context, namespace, table string) (there bool, err error) {
	pool, err := x.pool()
	if err != nil {
		return false, err
	}
	err = pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = $2)", namespace, table).Scan(&there)
	return there, err
}

func (x *examination) clickhouseHas(ctx context.Context, namespace, table string) (bool, error) {
	conn, err := x.clickhouse()
	if err != nil {
		return false, err
	}
	var n uint64
	err = conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {name:String}",
		clickhouse.Named("database", namespace), clickhouse.Named("name", table)).Scan(&n)
	return n > 0, err
}

// lagPause is how long a read model that is behind is given to move.
const lagPause = 2 * time.Second

func (x *examination) lookAtLag(ctx context.Context, pool *pgxpool.Pool) (doctor.Outcome, error) {
	at, err := x.locate(engine.Kafka)
	if err != nil {
		return doctor.Outcome{}, missing(engine.Kafka)
	}
	if _, err := x.cluster(); err != nil {
		return doctor.Outcome{}, missing(engine.Kafka)
	}
	all, err := x.views()
	if err != nil {
		return doctor.Outcome{}, err
	}
	s := x.bookkeeping(pool)
	s.addresses = at
	if s.security, err = x.env.settings.kafkaSecurity(); err != nil {
		return doctor.Outcome{}, err
	}
	if s.reader, err = eventlog.NewReader(eventlog.ReaderConfig{Brokers: at.KafkaBrokers, Security: s.security, Logger: x.env.logger}); err != nil {
		return doctor.Outcome{}, err
	}
	defer s.reader.Close()
	s.folder = x.env.newRunner(s)
	before, applied, err := s.lags(ctx, all)
	if err != nil {
		return doctor.Outcome{}, err
	}
	if slices.ContainsFunc(before, func(l doctor.Lag) bool { return l.After > 0 }) {
		select {
		case <-ctx.Done():
			return doctor.Outcome{}, ctx.Err()
		case <-time.After(lagPause):
		}
	}
	after, later, err := s.lags(ctx, all)
	if err != nil {
		return doctor.Outcome{}, err
	}
	for i := range after {
		after[i].Before, after[i].Moved = before[i].After, later[i]-applied[i]
	}
	return doctor.Lags(after), nil
}

// lags tells how far each live generation is behind, and how many records it has applied.
func (s *stores) lags(ctx context.Context, all []view) ([]doctor.Lag, []int64, error) {
	var lags []doctor.Lag
	var applied []int64
	for _, v := range all {
		if !v.Live {
			continue
		}
		lag, err := s.folder.Lag(ctx, v.live, v.bound.Topics)
		if err != nil {
			return nil, nil, err
		}
		checkpoints, err := s.control.Checkpoints(ctx, v.live)
		if err != nil {
			return nil, nil, err
		}
		var records int64
		for _, cp := range checkpoints {
			records += cp.Records
		}
		lags = append(lags, doctor.Lag{Name: v.Name, After: lag.Records, Behind: lag.Behind})
		applied = append(applied, records)
	}
	return lags, applied, nil
}

func lookAtParked(ctx context.Context, pool *pgxpool.Pool) (doctor.Outcome, error) {
	parked, err := runner.LookControl(pool).ParkedEvents(ctx, "")
	if err != nil {
		return doctor.Outcome{}, err
	}
	count := map[string]int{}
	for _, p := range parked {
		count[p.Projection]++
	}
	return doctor.Parked(count), nil
}

// lookAtLogins counts; who it is about is for other commands to say.
func (x *examination) lookAtLogins(ctx context.Context, pool *pgxpool.Pool) (doctor.Outcome, error) {
	l := doctor.Logins{Configured: x.command.SSOClientID != "", NotConsented: map[string]int{}}
	err := pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'active' AND cardinality(scopes) > 0),
		count(*) FILTER (WHERE state <> 'active') FROM ingest.token`).Scan(&l.Active, &l.Known, &l.Ended)
	if err != nil {
		return doctor.Outcome{}, fmt.Errorf("counting logins: %w", err)
	}
	sections, err := schedule.Status(ctx, pool, 0)
	if err != nil {
		return doctor.Outcome{}, err
	}
	for _, s := range sections {
		l.NotConsented[string(s.Section)] = s.NotConsented
	}
	return doctor.Consent(l), nil
}

// lookAtSealed tries the keys on every secret that is kept.
func (x *examination) lookAtSealed(ctx context.Context, pool *pgxpool.Pool) (doctor.Outcome, error) {
	keys, err := x.env.settings.sealingKeys()
	if err != nil {
		return doctor.Outcome{}, doctor.NotLooked{Why: "there is no secret key that could be tried", Remedy: "see the line of secret-key"}
	}
	r := sealing.Rotation{Pool: pool, Keys: keys, Columns: append(sso.SealedColumns(), keyring.SealedColumns()...), DryRun: true}
	tallies, err := r.Run(ctx)
	if err != nil {
		return doctor.Outcome{}, err
	}
	var s doctor.Sealed
	for _, t := range tallies {
		s.Current, s.Former, s.Unopened = s.Current+t.Current, s.Former+t.Former, s.Unopened+t.Unopened
	}
	return doctor.Opens(s), nil
}

// lookAtClocks compares this machine's clock with those of the engines and of ESI.
func (x *examination) lookAtClocks(ctx context.Context) (doctor.Outcome, error) {
	var clocks []doctor.Clock
	read := func(name string, ask func() (time.Time, error)) error {
		before := time.Now()
		told, err := ask()
		if err == nil {
			clocks = append(clocks, doctor.NewClock(name, told, before, time.Now(), 0))
		}
		return err
	}
	if pool, err := x.pool(); err == nil {
		// The first question of a connection makes it; the second is the one that counts.
		if err := pool.Ping(ctx); err != nil {
			return doctor.Outcome{}, err
		}
		if err := read("Postgres", func() (told time.Time, err error) {
			err = pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&told)
			return told, err
		}); err != nil {
			return doctor.Outcome{}, fmt.Errorf("asking Postgres for the time: %w", err)
		}
	}
	if conn, err := x.clickhouse(); err == nil {
		if err := read("ClickHouse", func() (told time.Time, err error) {
			err = conn.QueryRow(ctx, "SELECT now64(6, 'UTC')").Scan(&told)
			return told, err
		}); err != nil {
			return doctor.Outcome{}, fmt.Errorf("asking ClickHouse for the time: %w", err)
		}
	}
	for _, s := range x.services() {
		if s.Name == "ESI" && !s.date.IsZero() {
			clocks = append(clocks, doctor.NewClock("ESI", s.date, s.before, s.after, time.Second))
		}
	}
	if len(clocks) == 0 {
		return doctor.Outcome{}, doctor.NotLooked{Why: "no other clock is reached", Remedy: "see the lines of the engines"}
	}
	return doctor.Clocks(clocks), nil
}

// serviceAnswer is a service's answer, and what its clock showed.
type serviceAnswer struct {
	doctor.Service
	before, after, date time.Time
}

// outside is a service that may be asked: it is on this machine, or configured.
type outside struct{ name, setting, url, route string }

// askable are the services that these settings have Muster use.
func (w worlds) askable() []outside {
	var all []outside
	add := func(configured bool, s outside) {
		if configured || doctor.IsLoopback(s.url) {
			all = append(all, s)
		}
	}
	eve := w.SSOClientID != "" || w.Door.SignInClientID != ""
	add(w.SSOClientID != "", outside{"ESI", "MUSTER_ESI_URL", w.ESIURL, "/meta/status"})
	add(eve, outside{"EVE's sign-on", "MUSTER_SSO_URL", w.SSOURL, "/.well-known/oauth-authorization-server"})
	anvil := w.AnvilCredentials != ""
	add(anvil || w.SamURL != "", outside{"Sam", "MUSTER_SAM_URL", cmp.Or(w.SamURL, ingestanvil.DefaultSamURL), "/status"})
	add(anvil || w.RawlsURL != "", outside{"Rawls", "MUSTER_RAWLS_URL", cmp.Or(w.RawlsURL, ingestanvil.DefaultRawlsURL), "/status"})
	return all
}

func (x *examination) lookAtServices(context.Context) (doctor.Outcome, error) {
	if x.command.Offline {
		return doctor.Outcome{Seen: "not asked (--offline)"}, nil
	}
	answers := x.services()
	if len(answers) == 0 {
		return doctor.Outcome{Seen: "none is configured"}, nil
	}
	services := make([]doctor.Service, len(answers))
	for i, a := range answers {
		services[i] = a.Service
	}
	return doctor.Services(services), nil
}

// askServices asks each service once, without a token.
func (x *examination) askServices(ctx context.Context) []serviceAnswer {
	if x.command.Offline {
		return nil
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	list := x.command.askable()
	answers := make([]serviceAnswer, len(list))
	var all sync.WaitGroup
	for i, s := range list {
		all.Go(func() { answers[i] = x.ask(ctx, client, s) })
	}
	all.Wait()
	return answers
}

func (x *examination) ask(ctx context.Context, client *http.Client, s outside) serviceAnswer {
	a := serviceAnswer{Service: doctor.Service{Name: s.name, Setting: s.setting}, before: time.Now()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.url, "/")+s.route, nil)
	if err != nil {
		a.Reason = "its address cannot be read"
		return a
	}
	request.Header.Set("User-Agent", "Muster/"+version+" ("+x.command.Contact+")")
	response, err := client.Do(request)
	a.after = time.Now()
	if err != nil {
		a.Reason = doctor.Reason(err)
		return a
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		a.Reason = doctor.Reason(err)
		return a
	}
	a.Status = response.StatusCode
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.date = date
	}
	return a
}
