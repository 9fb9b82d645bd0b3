package signin_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/session"
	"github.com/muster-sync/muster/ingest/signin"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	simesi "github.com/muster-sync/muster/internal/simulate/esi"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const pilot = simesi.FirstCharacter

// owners are whose characters are; those of others are nobody's.
type owners map[int64]signin.Owner

func (o owners) Owner(_ context.Context, character int64) (signin.Owner, error) {
	return o[character], nil
}

// Active implements [session.Users].
func (o owners) Active(context.Context, string) (bool, error) { return true, nil }

type rig struct {
	t        *testing.T
	pool     *pgxpool.Pool
	sim      *simesi.Simulator
	desk     *signin.Desk
	sessions *session.Sessions
	owners   owners
	log      bytes.Buffer
	now      time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, pool: enginetest.Postgres(t), now: time.Now(), owners: owners{}}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	var err error
	r.sim, err = simesi.New(simesi.Config{Characters: 5})
	require.NoError(t, err)
	server := httptest.NewServer(r.sim.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		require.NoError(t, r.sim.Close())
	})
	vault, err := sso.NewVault(sso.Config{Pool: r.pool, Key: sso.NewKey(), URL: server.URL, ClientID: "muster-simulated-sign-in"})
	require.NoError(t, err)
	t.Cleanup(vault.Close)
	clock := func() time.Time { return r.now }
	r.sessions, err = session.New(session.Config{Pool: r.pool, Users: r.owners, Now: clock})
	require.NoError(t, err)
	r.desk, err = signin.New(signin.Config{
		Pool: r.pool, Owners: r.owners, Sessions: r.sessions, SignOn: vault, CallbackURL: "http://127.0.0.1:8080/auth/callback",
		Logger: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: clock,
	})
	require.NoError(t, err)
	for _, c := range r.sim.Organisation().Characters {
		r.owners[c.ID] = signin.Owner{UserID: *c.Owner, Active: true, OwnerHash: c.OwnerHash}
	}
	return r
}

func (r *rig) begin() signin.Begun {
	r.t.Helper()
	begun, err := r.desk.Begin(r.t.Context(), "/v1/me?x=1")
	require.NoError(r.t, err)
	require.NotContains(r.t, fmt.Sprintf("%v %+v %#v", begun, begun, begun), begun.Browser)
	return begun
}

// visit sends a browser to the sign-on; it returns what comes back.
func (r *rig) visit(begun signin.Begun, with url.Values) signin.Answer {
	r.t.Helper()
	u, err := url.Parse(begun.AuthorizeURL)
	require.NoError(r.t, err)
	q := u.Query()
	require.Equal(r.t, "S256", q.Get("code_challenge_method"))
	require.Empty(r.t, q.Get("scope"), "nothing is asked for but who he is")
	maps.Copy(q, with)
	u.RawQuery = q.Encode()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get(u.String())
	require.NoError(r.t, err)
	require.NoError(r.t, answer.Body.Close())
	back, err := url.Parse(answer.Header.Get("Location"))
	require.NoError(r.t, err)
	require.Equal(r.t, "/auth/callback", back.Path)
	return signin.Answer{State: back.Query().Get("state"), Code: back.Query().Get("code"), Error: back.Query().Get("error"), Browser: begun.Browser}
}

func chosen(character int64) url.Values {
	return url.Values{"character_id": {strconv.FormatInt(character, 10)}}
}

func (r *rig) refused(in signin.Answer, code event.Code, text string) {
	r.t.Helper()
	signed, err := r.desk.Finish(r.t.Context(), in)
	require.Equal(r.t, code, event.CodeOf(err), "%v", err)
	require.ErrorContains(r.t, err, text)
	require.Empty(r.t, signed.ID)
	var n int
	require.NoError(r.t, r.pool.QueryRow(r.t.Context(), `SELECT count(*) FROM ingest.session`).Scan(&n))
	require.Zero(r.t, n)
}

func TestWhoProvesACharacterIsItsUser(t *testing.T) {
	r := newRig(t)
	begun := r.begin()
	back := r.visit(begun, chosen(pilot))
	signed, err := r.desk.Finish(t.Context(), back)
	require.NoError(t, err)
	require.Equal(t, r.owners[pilot].UserID, signed.UserID)
	require.Equal(t, pilot, signed.CharacterID)
	require.NotEmpty(t, signed.CharacterName)
	require.Equal(t, "/v1/me?x=1", signed.ReturnTo)
	p, err := r.sessions.Principal(t.Context(), signed.ID)
	require.NoError(t, err)
	require.Equal(t, r.owners[pilot].UserID, p.UserID)
	require.Empty(t, r.sim.Violations())

	require.Contains(t, r.log.String(), "signed in")
	for _, secret := range []string{signed.ID, back.State, back.Code, back.Browser} {
		require.NotContains(t, r.log.String(), secret)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", signed, begun, signed), secret)
	}
	var kept string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT count(*)::text FROM ingest.token`).Scan(&kept))
	require.Equal(t, "0", kept, "no login is kept")
}

func TestASignInIsGoodOnceInTimeAndInItsBrowser(t *testing.T) {
	r := newRig(t)
	const none = "not known"
	begun := r.begin()
	back := r.visit(begun, chosen(pilot))
	for _, change := range []func(*signin.Answer){
		func(a *signin.Answer) { a.State = "" },
		func(a *signin.Answer) { a.State += "x" },
		func(a *signin.Answer) { a.Browser = "" },
		func(a *signin.Answer) { a.Browser = r.begin().Browser },
	} {
		wrong := back
		change(&wrong)
		r.refused(wrong, event.CodeNotFound, none)
	}
	r.now = r.now.Add(signin.Lifetime)
	r.refused(back, event.CodeNotFound, none)

	back = r.visit(r.begin(), chosen(pilot))
	_, err := r.desk.Finish(t.Context(), back)
	require.NoError(t, err)
	_, err = r.desk.Finish(t.Context(), back)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "a second time")
	r.begin()
	var left int
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM ingest.person_sign_in`).Scan(&left))
	require.Equal(t, 1, left, "what is too old is not kept")
}

func TestWhoIsNobodyHereIsNotSignedIn(t *testing.T) {
	r := newRig(t)
	known := r.owners[pilot]
	f := func(owner signin.Owner, text string) {
		t.Helper()
		r.owners[pilot] = owner
		r.refused(r.visit(r.begin(), chosen(pilot)), event.CodeForbidden, text)
	}
	f(signin.Owner{}, "belongs to no user of this Muster")
	f(signin.Owner{UserID: "u1", Active: true, OwnerHash: "another"}, "another owner at EVE")
	f(signin.Owner{UserID: "u1", OwnerHash: known.OwnerHash}, "not active")

	r.owners[pilot] = known
	require.NoError(t, r.sim.Transfer(pilot))
	r.refused(r.visit(r.begin(), chosen(pilot)), event.CodeForbidden, "another owner at EVE")
	r.owners[pilot] = signin.Owner{UserID: "u1", Active: true}
	signed, err := r.desk.Finish(t.Context(), r.visit(r.begin(), chosen(pilot)))
	require.NoError(t, err, "a hash that is not known refuses nobody")
	require.Equal(t, "u1", signed.UserID)
}

func TestWhatEVESaysInsteadOfACodeIsTold(t *testing.T) {
	r := newRig(t)
	r.refused(r.visit(r.begin(), url.Values{"decline": {"1"}}), event.CodeForbidden, "declined")
	for given, want := range map[string]string{"server_error": "the error server_error", "<script>": "without a code", "": "without a code"} {
		back := r.visit(r.begin(), chosen(pilot))
		back.Code, back.Error = "", given
		r.refused(back, event.CodeForbidden, want)
	}
	back := r.visit(r.begin(), chosen(pilot))
	back.Code = "made-up"
	r.refused(back, event.CodeInvalid, "refuses the code")
}

func TestWithoutAnApplicationNobodySignsIn(t *testing.T) {
	pool := &pgxpool.Pool{}
	desk, err := signin.New(signin.Config{Pool: pool, Owners: owners{}, Sessions: &session.Sessions{}})
	require.NoError(t, err)
	_, err = desk.Begin(t.Context(), "")
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "MUSTER_SIGN_IN_CLIENT_ID")
	_, err = desk.Finish(t.Context(), signin.Answer{State: "x", Browser: "y"})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = signin.New(signin.Config{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, err = signin.New(signin.Config{Pool: pool, Owners: owners{}, Sessions: &session.Sessions{}, SignOn: &sso.Vault{}, CallbackURL: "/auth/callback"})
	require.ErrorContains(t, err, "MUSTER_SIGN_IN_CALLBACK_URL")
}

func TestNobodyIsSentElsewhereAfterwards(t *testing.T) {
	for _, good := range []string{"", "/", "/v1/me", "/v1/characters?name=a%20b&x=//y"} {
		got, err := signin.LocalPath(good)
		require.NoError(t, err, good)
		require.Equal(t, good, got)
	}
	for _, bad := range []string{
		"//evil.example.org", "/\\evil.example.org", "\\\\evil.example.org", "https://evil.example.org", "javascript:alert(1)", "evil", "/a\r\nSet-Cookie: x", "/%2f/x\x00", "/\tx", "?x", "#x",
		"///evil.example.org", "/%5cevil.example.org", "/%2fevil.example.org", "/" + strings.Repeat("x", 3000), "/%zz",
	} {
		_, err := signin.LocalPath(bad)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%q", bad)
	}
}

func requireLocal(t require.TestingT, text string) {
	got, err := signin.LocalPath(text)
	if err != nil || got == "" {
		return
	}
	base, err := url.Parse("https://muster.example.org/auth/callback")
	require.NoError(t, err)
	u, err := base.Parse(got)
	require.NoError(t, err)
	require.Equal(t, "muster.example.org", u.Host, "%q", text)
	require.Equal(t, "https", u.Scheme)
	require.NotContains(t, got, "\\")
	require.False(t, strings.HasPrefix(got, "//"), "%q", got)
}

func TestWhateverIsAskedForIsLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requireLocal(t, rapid.StringMatching(`[/\\]{0,3}[a-z.:@?#%/\\ \t25fc]{0,20}`).Draw(t, "return"))
	})
}

func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/v1/me", "//x", "/\\x", "/%2f%2fx", "/x?y#z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { requireLocal(t, text) })
}
