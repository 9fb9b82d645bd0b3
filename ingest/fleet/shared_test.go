package fleet_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/fleet"
	"github.com/muster-sync/muster/ingest/ingesttest"
	"github.com/muster-sync/muster/ingest/sso"
)

const pilot = int64(90000001)

type anyLogin struct{}

func (anyLogin) Access(context.Context, int64) (sso.Access, error) {
	return sso.Access{Token: "secret", Scopes: []string{"esi-location.read_location.v1", "esi-wallet.read_character_wallet.v1"}}, nil
}

func (anyLogin) Reject(context.Context, int64, string) error { return nil }

// program is a client of ESI with what carries its knowledge.
type program struct {
	*fleet.Shared

	client *transport.Client
}

func newProgram(t *testing.T, world *ingesttest.World, pool *pgxpool.Pool) *program {
	t.Helper()
	client, err := transport.New(transport.Config{
		BaseURL: world.URL, UserAgent: ingesttest.UserAgent, Tokens: anyLogin{}, Registerer: prometheus.NewRegistry(), Backoff: time.Millisecond, Attempts: 1,
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	p := &program{fleet.NewShared(pool, client, nil), client}
	require.NoError(t, p.Prime(t.Context()))
	return p
}

// run carries the program's knowledge until the test ends.
func (p *program) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (p *program) ask(route catalogue.Route) *transport.Failure {
	_, err := p.client.Get(context.Background(), transport.Request{Route: route, Character: pilot})
	failure, _ := err.(*transport.Failure) //nolint:errorlint // As the client returns it.
	return failure
}

func newWorld(t *testing.T) *ingesttest.World {
	t.Helper()
	world := ingesttest.New(t)
	world.TrustAnyToken()
	return world
}

func fixed(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		ingesttest.JSON(w, status, body)
	}
}

func TestA420OfOneProgramStopsAll(t *testing.T) {
	world, pool := newWorld(t), database(t)
	first, second := newProgram(t, world, pool), newProgram(t, world, pool)
	first.run(t)
	second.run(t)
	world.Handle("/characters/90000001", fixed(420, `{"error":"error limited"}`, "X-ESI-Error-Limit-Remain", "0", "X-ESI-Error-Limit-Reset", "50"))
	world.Handle("/characters/90000001/location", fixed(200, `{}`))
	require.Nil(t, second.ask(catalogue.CharacterLocation()))

	require.Equal(t, 420, first.ask(catalogue.CharacterDetails()).Status)

	eventually(t, "the other stops", func() bool { f := second.ask(catalogue.CharacterLocation()); return f != nil && f.Deferred })
	third := newProgram(t, world, pool)
	failure := third.ask(catalogue.CharacterLocation())
	require.True(t, failure.Deferred, "one that begins does not ask either")
	require.WithinDuration(t, time.Now().Add(50*time.Second), failure.RetryAt, 5*time.Second)
	var incidents int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT incidents FROM ingest.esi_errors").Scan(&incidents))
	require.Equal(t, 1, incidents)
}

func TestErrorsOfAllProgramsAreCountedTogether(t *testing.T) {
	world, pool := newWorld(t), database(t)
	first, second := newProgram(t, world, pool), newProgram(t, world, pool)
	world.Handle("/characters/90000001", fixed(404, `{"error":"gone"}`, "X-ESI-Error-Limit-Remain", "21", "X-ESI-Error-Limit-Reset", "50"))
	require.Equal(t, eve.FailureNotFound, first.ask(catalogue.CharacterDetails()).Class)
	require.NoError(t, first.TellErrors(t.Context()))

	// An error whose answer does not tell counts on top.
	world.Handle("/characters/90000001", fixed(500, `{"error":"oops"}`))
	require.Equal(t, eve.FailureServer, second.ask(catalogue.CharacterDetails()).Class)
	require.NoError(t, second.TellErrors(t.Context()))
	require.True(t, second.ask(catalogue.CharacterDetails()).Deferred, "20 are left")
	third := newProgram(t, world, pool)
	require.True(t, third.ask(catalogue.CharacterDetails()).Deferred)
	var left int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT errors_left FROM ingest.esi_errors").Scan(&left))
	require.Equal(t, 20, left)

	t.Run("until ESI counts anew", func(t *testing.T) {
		_, err := pool.Exec(t.Context(), "UPDATE ingest.esi_errors SET reset_at = now() - interval '1 second'")
		require.NoError(t, err)
		fourth := newProgram(t, world, pool)
		require.False(t, fourth.ask(catalogue.CharacterDetails()).Deferred)
		require.NoError(t, fourth.TellErrors(t.Context()))
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT errors_left FROM ingest.esi_errors").Scan(&left))
		require.Equal(t, 99, left)
	})
}

func TestGoodAnswersTouchNoDatabase(t *testing.T) {
	world, pool := newWorld(t), database(t)
	p := newProgram(t, world, pool)
	world.Handle("/characters/90000001", fixed(200, `{}`, "X-ESI-Error-Limit-Remain", "100", "X-ESI-Error-Limit-Reset", "50"))
	for range 10 {
		require.Nil(t, p.ask(catalogue.CharacterDetails()))
	}
	require.Empty(t, p.client.ErrorNews())
	require.Empty(t, p.client.TakeRefusals())
}

func TestRefusalsAreRememberedOverRestarts(t *testing.T) {
	world, pool := newWorld(t), database(t)
	p := newProgram(t, world, pool)
	world.Handle("/characters/90000001/location", fixed(403, `{"error":"no"}`))
	for range 5 {
		require.Equal(t, eve.FailureForbidden, p.ask(catalogue.CharacterLocation()).Class)
	}
	require.NoError(t, p.TellRefusals(t.Context()))

	again := newProgram(t, world, pool)
	failure := again.ask(catalogue.CharacterLocation())
	require.True(t, failure.Deferred)
	require.WithinDuration(t, time.Now().Add(5*time.Minute), failure.RetryAt, 5*time.Second)

	_, err := pool.Exec(t.Context(), "UPDATE ingest.esi_refusal SET until = now()")
	require.NoError(t, err)
	later := newProgram(t, world, pool)
	world.Handle("/characters/90000001/location", fixed(200, `{}`))
	require.Nil(t, later.ask(catalogue.CharacterLocation()))
	require.NoError(t, later.TellRefusals(t.Context()))
	var left int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM ingest.esi_refusal").Scan(&left))
	require.Zero(t, left)
}

func TestTheHealthOfRoutesIsReadOnceForAll(t *testing.T) {
	world, pool := newWorld(t), database(t)
	const down = `{"routes":[{"method":"GET","path":"/characters/{character_id}/location","status":"Down"},{"method":"GET","path":"/status","status":"OK"}]}`
	resource := world.Serve("/meta/status", 10*time.Minute, down)
	world.Handle("/characters/90000001/location", fixed(200, `{}`))
	var programs []*program
	for range 3 {
		programs = append(programs, newProgram(t, world, pool))
	}
	for range 3 {
		for _, p := range programs {
			wait, err := p.CarryHealth(t.Context())
			require.NoError(t, err)
			require.Greater(t, wait, 9*time.Minute)
		}
	}
	require.Len(t, world.Requests("/meta/status"), 1)
	for _, p := range programs {
		failure := p.ask(catalogue.CharacterLocation())
		require.True(t, failure.Deferred)
		require.WithinDuration(t, time.Now().Add(10*time.Minute), failure.RetryAt, 20*time.Second)
	}

	t.Run("and again when it is old", func(t *testing.T) {
		resource.Set(`{"routes":[{"method":"GET","path":"/characters/{character_id}/location","status":"Recovering"}]}`)
		world.Clock.Advance(time.Hour)
		_, err := pool.Exec(t.Context(), "UPDATE ingest.esi_health SET expires_at = now() - interval '10 seconds'")
		require.NoError(t, err)
		for _, p := range programs {
			_, err := p.CarryHealth(t.Context())
			require.NoError(t, err)
			require.Nil(t, p.ask(catalogue.CharacterLocation()))
		}
		require.Len(t, world.Requests("/meta/status"), 2)
		require.NotEmpty(t, world.Requests("/meta/status")[1].Header.Get("If-None-Match"))
	})
	t.Run("also when nothing changed", func(t *testing.T) {
		world.Clock.Advance(time.Hour)
		_, err := pool.Exec(t.Context(), "UPDATE ingest.esi_health SET expires_at = now() - interval '10 seconds'")
		require.NoError(t, err)
		for _, p := range programs {
			wait, err := p.CarryHealth(t.Context())
			require.NoError(t, err)
			require.Greater(t, wait, 9*time.Minute)
		}
		require.Equal(t, 304, world.Requests("/meta/status")[2].Status)
		require.Len(t, world.Requests("/meta/status"), 3)
	})
}

func TestAHealthThatCannotBeReadStopsNothing(t *testing.T) {
	world, pool := newWorld(t), database(t)
	var asked atomic.Int32
	bodies := []http.HandlerFunc{fixed(500, `{"error":"oops"}`), fixed(200, `<html>`), fixed(200, `{"error":"later"}`), fixed(404, `{}`)}
	world.Handle("/meta/status", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bodies[int(asked.Add(1)-1)%len(bodies)](w, r)
	}))
	world.Handle("/characters/90000001/location", fixed(200, `{}`))
	for range bodies {
		p := newProgram(t, world, pool)
		wait, err := p.CarryHealth(t.Context())
		require.Error(t, err)
		require.GreaterOrEqual(t, wait, time.Minute, "it is not asked for again and again")
		require.Nil(t, p.ask(catalogue.CharacterLocation()))
		_, err = pool.Exec(t.Context(), "UPDATE ingest.esi_health SET expires_at = 'epoch', taken_until = 'epoch'")
		require.NoError(t, err)
	}
	require.EqualValues(t, len(bodies), asked.Load())
}
