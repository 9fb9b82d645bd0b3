package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/session"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// active are the users who are.
type active map[string]bool

func (a active) Active(_ context.Context, user string) (bool, error) { return a[user], nil }

type rig struct {
	*session.Sessions

	t     *testing.T
	pool  *pgxpool.Pool
	users active
	now   time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, pool: enginetest.Postgres(t), users: active{"ada": true, "bob": true}, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	var err error
	r.Sessions, err = session.New(session.Config{Pool: r.pool, Users: r.users, Lifetime: 10 * time.Hour, Idle: time.Hour, Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	return r
}

func (r *rig) begin(user string) string {
	r.t.Helper()
	begun, err := r.Begin(r.t.Context(), user, 90000001)
	require.NoError(r.t, err)
	require.Equal(r.t, r.now.Add(10*time.Hour), begun.EndsAt)
	require.NotContains(r.t, fmt.Sprintf("%v %+v %#v", begun, begun, begun), begun.ID)
	return begun.ID
}

func (r *rig) is(id, user string) {
	r.t.Helper()
	p, err := r.Principal(r.t.Context(), id)
	require.NoError(r.t, err)
	require.Equal(r.t, "user:"+user, p.ID)
	require.Equal(r.t, user, p.UserID)
	require.False(r.t, p.Superuser)
	require.Nil(r.t, p.Scope)
}

func (r *rig) isOver(id string) {
	r.t.Helper()
	_, err := r.Principal(r.t.Context(), id)
	require.Equal(r.t, event.CodeUnauthenticated, event.CodeOf(err))
	require.EqualError(r.t, err, "this session is over: sign in again at /auth/sign-in", "it is the same for all")
}

func (r *rig) kept() (n int) {
	r.t.Helper()
	require.NoError(r.t, r.pool.QueryRow(r.t.Context(), `SELECT count(*) FROM ingest.session`).Scan(&n))
	return n
}

func TestASessionLastsWhileItIsUsed(t *testing.T) {
	r := newRig(t)
	id := r.begin("ada")
	for range 9 {
		r.now = r.now.Add(59 * time.Minute)
		r.is(id, "ada")
	}
	r.now = r.now.Add(time.Hour)
	r.isOver(id)
}

func TestASessionEndsHoweverMuchItIsUsed(t *testing.T) {
	r := newRig(t)
	id := r.begin("ada")
	for range 20 {
		r.now = r.now.Add(29 * time.Minute)
		r.is(id, "ada")
	}
	r.now = r.now.Add(20 * time.Minute)
	r.isOver(id)
	r.begin("bob")
	require.Equal(t, 1, r.kept(), "what is over is not kept")
}

func TestUseIsNotedToTheMinute(t *testing.T) {
	r := newRig(t)
	id, begun := r.begin("ada"), r.now
	seen := func() (at time.Time) {
		require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT seen_at FROM ingest.session`).Scan(&at))
		return at.UTC()
	}
	r.now = begun.Add(59 * time.Second)
	r.is(id, "ada")
	require.Equal(t, begun, seen())
	r.now = begun.Add(time.Minute)
	r.is(id, "ada")
	require.Equal(t, r.now, seen())
}

func TestOnlyItsOwnIDOpensASession(t *testing.T) {
	r := newRig(t)
	id, other := r.begin("ada"), r.begin("ada")
	require.NotEqual(t, id, other)
	require.Len(t, id, 43, "256 bits")
	for _, wrong := range []string{"", id[1:], id + "A", strings.ToUpper(id)} {
		r.isOver(wrong)
	}
	var text string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT string_agg(to_json(s)::text, ' ') FROM ingest.session s`).Scan(&text))
	require.NotContains(t, text, id, "only its hash is kept")

	require.NoError(t, r.End(t.Context(), id))
	require.NoError(t, r.End(t.Context(), id), "again")
	r.isOver(id)
	r.is(other, "ada")
}

func TestAllSessionsOfAUserEndWhenHeIsNotActive(t *testing.T) {
	r := newRig(t)
	first, second, bobs := r.begin("ada"), r.begin("ada"), r.begin("bob")
	r.users["ada"] = false
	r.isOver(first)
	r.users["ada"] = true
	r.isOver(second)
	r.is(bobs, "bob")

	// And at once where that is decided.
	tx, err := r.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, session.EndAllTx(t.Context(), tx, "bob", "cy"))
	require.NoError(t, tx.Commit(t.Context()))
	r.isOver(bobs)
	require.Zero(t, r.kept())
}

func TestSessionsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []session.Config{{}, {Pool: &pgxpool.Pool{}}, {Pool: &pgxpool.Pool{}, Users: active{}, Lifetime: time.Second}, {Pool: &pgxpool.Pool{}, Users: active{}, Idle: time.Minute}} {
		_, err := session.New(c)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	}
}
