package registration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	simesi "github.com/muster-sync/muster/internal/simulate/esi"
)

const pilot = simesi.FirstCharacter

// syncLog is a log that tests read while others write.
type syncLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *syncLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// keeperRig is a keeper on the real bus and vault, before the simulated sign-on.
type keeperRig struct {
	t      *testing.T
	pool   *pgxpool.Pool
	log    *logOf
	sim    *simesi.Simulator
	vault  *sso.Vault
	keeper *registration.Keeper
	url    string
	out    *syncLog
	now    time.Time
	config registration.KeeperConfig
}

func newKeeperRig(t *testing.T) *keeperRig {
	t.Helper()
	r := &keeperRig{t: t, pool: enginetest.Postgres(t), out: &syncLog{}, now: time.Now()}
	require.NoError(t, command.Migrate(t.Context(), r.pool))
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	r.log = &logOf{world: newWorld(), registry: event.NewRegistry(), seen: map[uuid.UUID]bool{}}
	eve.Register(r.log.registry)
	access.Register(r.log.registry)
	bus := forwarded(t, r.pool, r.log)
	var err error

	r.sim, err = simesi.New(simesi.Config{Characters: 5})
	require.NoError(t, err)
	server := httptest.NewServer(r.sim.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		require.NoError(t, r.sim.Close())
	})
	r.url = server.URL
	r.vault, err = sso.NewVault(sso.Config{Pool: r.pool, Key: sso.NewKey(), URL: server.URL, ClientID: "muster-simulated", ClientSecret: "simulated-secret"})
	require.NoError(t, err)
	t.Cleanup(r.vault.Close)
	requests, err := schedule.NewRequests(r.pool, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	r.config = registration.KeeperConfig{
		Pool: r.pool, Bus: bus, View: r.log.world, Schedule: requests, SignOn: r.vault, CallbackURL: "http://127.0.0.1:8080/sso/callback",
		Logger: slog.New(slog.NewTextHandler(r.out, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: func() time.Time { return r.now },
	}
	r.keeper, err = registration.NewKeeper(r.config)
	require.NoError(t, err)
	for _, id := range []string{"ada", "bob"} {
		r.log.apply(event.User(id), "", access.UserRegistered{UserID: id, Active: true})
	}
	r.log.apply(event.User("zed"), "", access.UserRegistered{UserID: "zed"})
	// What was there before counts as decided.
	r.log.versions = map[event.Stream]int64{}
	return r
}

// visit sends a browser to the sign-on; it returns what comes back.
func (r *keeperRig) visit(authorize string, with url.Values) registration.Callback {
	r.t.Helper()
	u, err := url.Parse(authorize)
	require.NoError(r.t, err)
	q := u.Query()
	require.Equal(r.t, "S256", q.Get("code_challenge_method"))
	maps.Copy(q, with)
	u.RawQuery = q.Encode()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get(u.String())
	require.NoError(r.t, err)
	require.NoError(r.t, answer.Body.Close())
	require.Equal(r.t, http.StatusFound, answer.StatusCode)
	back, err := url.Parse(answer.Header.Get("Location"))
	require.NoError(r.t, err)
	require.Equal(r.t, "/sso/callback", back.Path)
	return registration.Callback{State: back.Query().Get("state"), Code: back.Query().Get("code"), Error: back.Query().Get("error")}
}

func chosen(character int64) url.Values {
	return url.Values{"character_id": {strconv.FormatInt(character, 10)}}
}

func (r *keeperRig) begin(in registration.BeginInput) registration.Begun {
	r.t.Helper()
	in.Actor = "token:admin"
	begun, err := r.keeper.Begin(r.t.Context(), in)
	require.NoError(r.t, err)
	return begun
}

// register registers a character for a user; it returns what was decided since.
func (r *keeperRig) register(user string, character int64, sections ...eve.Section) (registration.SignIn, []event.Payload) {
	r.t.Helper()
	before := len(r.log.since(0))
	begun := r.begin(registration.BeginInput{UserID: user, Sections: sections})
	came, err := r.keeper.Complete(r.t.Context(), r.visit(begun.AuthorizeURL, chosen(character)))
	require.NoError(r.t, err)
	require.Equal(r.t, registration.SignInCompleted, came.Status, came.Failure)
	require.Equal(r.t, character, came.CharacterID)
	told, err := r.keeper.Registration(r.t.Context(), begun.ID)
	require.NoError(r.t, err)
	require.Equal(r.t, came.Outcome, told.Outcome)
	require.Equal(r.t, came.Status, told.Status)
	return came, r.log.since(before)
}

func (r *keeperRig) change(reason string, f func(context.Context, registration.ChangeInput) (registration.ChangeResult, error)) registration.ChangeResult {
	r.t.Helper()
	result, err := f(r.t.Context(), registration.ChangeInput{Actor: "token:admin", CharacterID: pilot, Reason: reason})
	require.NoError(r.t, err)
	return result
}

func (r *keeperRig) count(sql string, args ...any) (n int) {
	r.t.Helper()
	require.NoError(r.t, r.pool.QueryRow(r.t.Context(), sql, args...).Scan(&n))
	return n
}

func (r *keeperRig) refreshes() int {
	r.t.Helper()
	return r.count("SELECT count(*) FROM ingest.river_job WHERE kind = 'eve_refresh' AND state = 'available'")
}

func TestACharacterIsRegisteredBySignOn(t *testing.T) {
	r := newKeeperRig(t)
	came, events := r.register("ada", pilot, eve.SectionWallet, eve.SectionDetails)
	require.Equal(t, eve.RegisteredNew, came.Outcome)
	require.Len(t, events, 1)
	registered := events[0].(eve.CharacterRegistered)
	require.Equal(t, "ada", registered.UserID)
	require.NotEmpty(t, registered.OwnerHash)
	require.NotEmpty(t, registered.Name)
	require.Equal(t, []string{"esi-wallet.read_character_wallet.v1"}, registered.Scopes, "only what the chosen sections need")
	require.Equal(t, "token:admin", r.log.actors[len(r.log.actors)-1])

	login, err := r.vault.Access(t.Context(), pilot)
	require.NoError(t, err)
	require.Equal(t, registered.Scopes, login.Scopes)
	require.Empty(t, r.sim.Violations())

	all, _ := r.register("ada", pilot+1)
	require.Len(t, all.Sections, 34)
}

func TestAnApplicationWithoutASecretProvesItselfByPKCEAlone(t *testing.T) {
	r := newKeeperRig(t)
	vault, err := sso.NewVault(sso.Config{Pool: r.pool, Key: sso.NewKey(), URL: r.url, ClientID: "muster-simulated-public"})
	require.NoError(t, err)
	t.Cleanup(vault.Close)
	r.config.SignOn = vault
	r.keeper, err = registration.NewKeeper(r.config)
	require.NoError(t, err)
	r.register("ada", pilot, eve.SectionWallet)
	_, err = vault.Access(t.Context(), pilot)
	require.NoError(t, err, "its logins are renewed without a secret, too")
	r.change("left", r.keeper.Remove)
	require.Empty(t, r.sim.Violations())
}

func TestWithoutASectionThatNeedsALoginNoneIsKept(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionDetails)
	require.Zero(t, r.count("SELECT count(*) FROM ingest.token"))
}

func TestAnOwnerWhoComesBackGivesANewLogin(t *testing.T) {
	r := newKeeperRig(t)
	_, first := r.register("ada", pilot, eve.SectionWallet)
	hash := first[0].(eve.CharacterRegistered).OwnerHash
	require.Zero(t, r.refreshes())
	_, err := r.pool.Exec(t.Context(), `INSERT INTO ingest.section_state (character_id, section, revision, failure_class, failed_at, failures) VALUES ($1, 'wallet', 1, 'token', now(), 3)`, pilot)
	require.NoError(t, err)
	require.NoError(t, r.vault.Park(t.Context(), pilot, "revoked"))

	came, events := r.register("ada", pilot, eve.SectionWallet, eve.SectionLocation)
	require.Equal(t, eve.RegisteredAgain, came.Outcome)
	require.Equal(t, []event.Payload{eve.CharacterReclaimed{
		CharacterID: pilot, UserID: "ada", OwnerHash: hash, Scopes: []string{"esi-location.read_location.v1", "esi-wallet.read_character_wallet.v1"},
	}}, events)
	_, err = r.vault.Access(t.Context(), pilot)
	require.NoError(t, err, "the parked login is active again")
	require.Equal(t, 6, r.refreshes(), "location, two public sections and three of the wallet are read now, also the one that waited for its owner")
}

func TestATransferEndsOneOwnershipAndBeginsAnother(t *testing.T) {
	r := newKeeperRig(t)
	_, first := r.register("ada", pilot, eve.SectionWallet, eve.SectionLocation)
	before := first[0].(eve.CharacterRegistered)
	r.log.apply(event.User("ada"), "", access.MainSet{UserID: "ada", CharacterID: new(pilot)})
	r.log.versions[event.User("ada")] = 0

	require.NoError(t, r.sim.Transfer(pilot))
	came, events := r.register("bob", pilot, eve.SectionLocation)
	require.Equal(t, eve.RegisteredTransfer, came.Outcome)
	require.Len(t, events, 3)
	require.Equal(t, eve.CharacterOrphaned{CharacterID: pilot, Reason: eve.ReasonOwnerHash}, events[0])
	claimed := events[1].(eve.CharacterReclaimed)
	require.Equal(t, "bob", claimed.UserID)
	require.NotEqual(t, before.OwnerHash, claimed.OwnerHash)
	require.Equal(t, []string{"esi-location.read_location.v1"}, claimed.Scopes, "nothing of the former owner's consent is inherited")
	require.Equal(t, access.MainSet{UserID: "ada"}, events[2], "it is not the former owner's main any more")
	require.Equal(t, "bob", r.log.characters[pilot].UserID)
	login, err := r.vault.Access(t.Context(), pilot)
	require.NoError(t, err)
	require.Equal(t, claimed.Scopes, login.Scopes)
}

func TestAnotherUserOfTheSamePlayerTakesACharacterOver(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	came, events := r.register("bob", pilot, eve.SectionLocation)
	require.Equal(t, eve.RegisteredTransfer, came.Outcome)
	require.Equal(t, eve.CharacterOrphaned{CharacterID: pilot, Reason: eve.ReasonOtherUser}, events[0])
}

func TestARemovedCharacterIsReclaimed(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	r.log.apply(event.User("ada"), "", access.MainSet{UserID: "ada", CharacterID: new(pilot)})
	r.log.versions[event.User("ada")] = 0
	result := r.change("gave it up", r.keeper.Remove)
	require.True(t, result.Changed)
	require.True(t, result.Shown)
	require.Zero(t, r.count("SELECT count(*) FROM ingest.token"), "the login goes")
	require.Nil(t, r.log.users["ada"].Main)
	require.False(t, r.change("gave it up", r.keeper.Remove).Changed, "an orphan stays one")

	came, _ := r.register("bob", pilot, eve.SectionLocation)
	require.Equal(t, eve.RegisteredOrphan, came.Outcome)
	require.Equal(t, "bob", r.log.characters[pilot].UserID)
}

func TestACharacterThatItsOwnerRemovesIsOneThatHeHasNotRegistered(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	name := r.log.characters[pilot].Name
	others := []access.ListedCharacter{{CharacterID: 1, Name: "One"}, {CharacterID: pilot + 1, Name: "Two"}}
	r.log.apply(event.User("ada"), "", access.CharactersListed{UserID: "ada", Characters: others})
	r.log.apply(event.User("ada"), "", access.MainSet{UserID: "ada", CharacterID: new(pilot)})
	r.log.versions[event.User("ada")] = 0
	before := len(r.log.since(0))
	remove := func(user string) registration.ChangeResult {
		t.Helper()
		result, err := r.keeper.Remove(t.Context(), registration.ChangeInput{Actor: "user:" + user, UserID: user, CharacterID: pilot, Reason: "gave it up"})
		require.NoError(t, err)
		return result
	}
	require.True(t, remove("ada").Shown)
	require.ElementsMatch(t, []event.Payload{
		eve.CharacterOrphaned{CharacterID: pilot, Reason: "gave it up"},
		access.MainSet{UserID: "ada"},
		access.CharactersListed{UserID: "ada", Characters: []access.ListedCharacter{others[0], {CharacterID: pilot, Name: name}, others[1]}},
	}, r.log.since(before))
	require.False(t, remove("ada").Changed, "an orphan stays one")

	// Once it is on the list it is not put there again; and what somebody else takes from
	// its owner is his no more.
	r.register("ada", pilot, eve.SectionLocation)
	before = len(r.log.since(0))
	remove("ada")
	require.Equal(t, []event.Payload{eve.CharacterOrphaned{CharacterID: pilot, Reason: "gave it up"}}, r.log.since(before))
	r.register("bob", pilot, eve.SectionLocation)
	before = len(r.log.since(0))
	remove("ada")
	require.Equal(t, []event.Payload{eve.CharacterOrphaned{CharacterID: pilot, Reason: "gave it up"}}, r.log.since(before))
	require.Empty(t, r.log.users["bob"].Listed)
}

// TestDataAreNeverRootedOnTheToken: neither a revoked token nor a removed
// character nor a sold one takes away what is remembered of its sections.
func TestDataAreNeverRootedOnTheToken(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	_, err := r.pool.Exec(t.Context(), `INSERT INTO ingest.section_state (character_id, section, revision, content_hash) VALUES ($1, 'location', 1, 'h')`, pilot)
	require.NoError(t, err)
	kept := func(what string) {
		t.Helper()
		require.Equal(t, 1, r.count("SELECT count(*) FROM ingest.section_state WHERE content_hash = 'h'"), what)
		for _, p := range r.log.since(0) {
			require.NotEqual(t, eve.TypeCharacterForgotten, p.EventType(), what)
		}
	}
	require.NoError(t, r.sim.Revoke(pilot))
	_, err = r.pool.Exec(t.Context(), "UPDATE ingest.token SET access_sealed = NULL")
	require.NoError(t, err)
	_, err = r.vault.Access(t.Context(), pilot)
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
	kept("a revoked token")
	r.change("left", r.keeper.Remove)
	kept("a removed character")
	require.NoError(t, r.sim.Transfer(pilot))
	r.register("bob", pilot, eve.SectionLocation)
	kept("a sold character")
}

func TestASignInIsGoodOnceInTimeAndWithItsState(t *testing.T) {
	r := newKeeperRig(t)
	begun := r.begin(registration.BeginInput{UserID: "ada", Sections: []eve.Section{eve.SectionLocation}})
	refused := func(in registration.Callback) {
		t.Helper()
		_, err := r.keeper.Complete(t.Context(), in)
		require.Equal(t, event.CodeNotFound, event.CodeOf(err))
		require.EqualError(t, err, "this sign-in is not known, was used already, or is too old: begin the registration again", "nothing more is said")
	}
	back := r.visit(begun.AuthorizeURL, chosen(pilot))
	refused(registration.Callback{Code: back.Code})
	refused(registration.Callback{State: back.State + "x", Code: back.Code})
	refused(registration.Callback{State: begun.ID.String(), Code: back.Code})

	came, err := r.keeper.Complete(t.Context(), back)
	require.NoError(t, err)
	require.Equal(t, registration.SignInCompleted, came.Status)
	refused(back)

	late := r.begin(registration.BeginInput{UserID: "ada"})
	back = r.visit(late.AuthorizeURL, chosen(pilot))
	r.now = r.now.Add(registration.SignInLifetime)
	refused(back)
	r.now = r.now.Add(time.Minute)
	told, err := r.keeper.Registration(t.Context(), late.ID)
	require.NoError(t, err)
	require.Equal(t, registration.SignInExpired, told.Status)
	r.now = r.now.Add(25 * time.Hour)
	r.begin(registration.BeginInput{UserID: "ada"})
	_, err = r.keeper.Registration(t.Context(), late.ID)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "old ones are not kept")
}

func TestARegistrationThatFailsRegistersNothing(t *testing.T) {
	r := newKeeperRig(t)
	f := func(want string, in registration.BeginInput, with url.Values, spoil func(*registration.Callback)) {
		t.Helper()
		begun := r.begin(in)
		back := r.visit(begun.AuthorizeURL, with)
		if spoil != nil {
			spoil(&back)
		}
		came, err := r.keeper.Complete(t.Context(), back)
		require.NoError(t, err)
		require.Equal(t, registration.SignInFailed, came.Status)
		require.Contains(t, came.Failure, want)
		told, err := r.keeper.Registration(t.Context(), begun.ID)
		require.NoError(t, err)
		require.Equal(t, came.Failure, told.Failure)
		require.Empty(t, r.log.characters)
		require.Zero(t, r.count("SELECT count(*) FROM ingest.token"))
		for _, secret := range []string{back.Code, back.State} {
			if secret != "" {
				require.NotContains(t, came.Failure+r.out.text(), secret)
			}
		}
	}
	ada := registration.BeginInput{UserID: "ada"}
	f("declined", ada, url.Values{"decline": {"1"}}, nil)
	f("error temporarily_unavailable", ada, url.Values{"decline": {"1"}}, func(c *registration.Callback) { c.Error = "temporarily_unavailable" })
	f("without a code", ada, url.Values{"decline": {"1"}}, func(c *registration.Callback) { c.Error = "<script>" })
	f("refuses the code", ada, chosen(pilot), func(c *registration.Callback) { c.Code = "never-issued" })
	f("it is character "+strconv.FormatInt(pilot+1, 10), registration.BeginInput{UserID: "ada", CharacterID: pilot + 1}, chosen(pilot), nil)

	// The code of one sign-in with the state, and so the verifier, of another.
	other := r.visit(r.begin(ada).AuthorizeURL, chosen(pilot))
	f("refuses the code", ada, chosen(pilot), func(c *registration.Callback) { c.Code = other.Code })

	begun := r.begin(ada)
	back := r.visit(begun.AuthorizeURL, chosen(pilot))
	r.log.apply(event.User("ada"), "", access.UserRegistered{UserID: "ada"})
	r.log.versions = map[event.Stream]int64{}
	came, err := r.keeper.Complete(t.Context(), back)
	require.NoError(t, err)
	require.Contains(t, came.Failure, "not active", "he was sent away meanwhile")
	require.Empty(t, r.log.characters)
}

func TestALoginThatIsNotKeptIsGivenBack(t *testing.T) {
	r := newKeeperRig(t)
	tokens := make(chan string, 1)
	signOn := &spySignOn{SignOn: r.vault, tokens: tokens}
	r.config.SignOn = signOn
	keeper, err := registration.NewKeeper(r.config)
	require.NoError(t, err)
	begun, err := keeper.Begin(t.Context(), registration.BeginInput{UserID: "ada", CharacterID: pilot + 1, Sections: []eve.Section{eve.SectionLocation}})
	require.NoError(t, err)
	_, err = keeper.Complete(t.Context(), r.visit(begun.AuthorizeURL, chosen(pilot)))
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
		return r.vault.PutTx(t.Context(), tx, sso.Grant{CharacterID: pilot, RefreshToken: <-tokens})
	}))
	_, err = r.vault.Access(t.Context(), pilot)
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err), "EVE takes it no more")
}

// spySignOn notes logins that are given back.
type spySignOn struct {
	registration.SignOn

	tokens chan string
}

func (s *spySignOn) Revoke(ctx context.Context, g sso.Grant) error {
	s.tokens <- g.RefreshToken
	return s.SignOn.Revoke(ctx, g)
}

func TestWhatCannotBeBegunIsRefused(t *testing.T) {
	r := newKeeperRig(t)
	f := func(want string, in registration.BeginInput) {
		t.Helper()
		_, err := r.keeper.Begin(t.Context(), in)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
	}
	f("no user", registration.BeginInput{UserID: "nobody"})
	f("not active", registration.BeginInput{UserID: "zed"})
	f("bookmarks", registration.BeginInput{UserID: "ada", Sections: []eve.Section{"bookmarks"}})

	r.config.SignOn = nil
	without, err := registration.NewKeeper(r.config)
	require.NoError(t, err)
	_, err = without.Begin(t.Context(), registration.BeginInput{UserID: "ada"})
	require.ErrorContains(t, err, "MUSTER_SSO_CLIENT_ID")
	_, err = without.Complete(t.Context(), registration.Callback{State: "x"})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))

	r.config.SignOn = r.vault
	for _, callback := range []string{"", "/sso/callback", "ftp://a/b", "http://a/b#c"} {
		r.config.CallbackURL = callback
		_, err := registration.NewKeeper(r.config)
		require.ErrorContains(t, err, "MUSTER_SSO_CALLBACK_URL")
	}
}

func TestSecretsOfASignInAreNotKeptInTheClear(t *testing.T) {
	r := newKeeperRig(t)
	begun := r.begin(registration.BeginInput{UserID: "ada", Sections: []eve.Section{eve.SectionLocation}})
	back := r.visit(begun.AuthorizeURL, chosen(pilot))
	var row string
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT s::text || encode(verifier_sealed, 'escape') || encode(state_hash, 'escape') FROM ingest.sign_in s").Scan(&row))
	require.NotContains(t, row, back.State)
	_, err := r.keeper.Complete(t.Context(), back)
	require.NoError(t, err)
	require.Zero(t, r.count("SELECT count(*) FROM ingest.sign_in WHERE verifier_sealed IS NOT NULL"), "the verifier goes when it was used")

	var outbox string
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT string_agg(o::text, ' ') FROM command.outbox o").Scan(&outbox))
	login, err := r.vault.Access(t.Context(), pilot)
	require.NoError(t, err)
	for _, secret := range []string{back.Code, back.State, login.Token} {
		require.NotContains(t, outbox+r.out.text(), secret)
	}
}

func TestDisablingTakesACharacterOffTheSchedule(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	r.register("ada", pilot, eve.SectionLocation)
	require.Positive(t, r.refreshes())
	require.True(t, r.change("on leave", r.keeper.Disable).Changed)
	require.Zero(t, r.refreshes())
	again := r.change("on leave", r.keeper.Disable)
	require.False(t, again.Changed, "disabling a disabled character changes nothing")

	for name, request := range map[string]func(context.Context, string, int64, ...eve.Section) ([]eve.Section, error){"update": r.keeper.Update, "reset": r.keeper.Reset} {
		_, err := request(t.Context(), "token:admin", pilot)
		require.Equal(t, event.CodeConflict, event.CodeOf(err), name)
	}
	came, _ := r.register("ada", pilot, eve.SectionLocation)
	require.Equal(t, eve.RegisteredAgain, came.Outcome)
	require.True(t, r.log.characters[pilot].Disabled, "an owner does not undo what somebody has decided")
	require.Zero(t, r.refreshes())

	require.True(t, r.change("", r.keeper.Enable).Changed)
	asked, err := r.keeper.Update(t.Context(), "token:admin", pilot, eve.SectionLocation)
	require.NoError(t, err)
	require.Equal(t, []eve.Section{eve.SectionLocation}, asked)
	require.Equal(t, 1, r.refreshes())

	version := int64(1)
	_, err = r.keeper.Disable(t.Context(), registration.ChangeInput{CharacterID: pilot, Reason: "r", ExpectedVersion: &version})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
}

func TestAResetForgetsWhatWasKeptOfTheAnswers(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	_, err := r.pool.Exec(t.Context(), `INSERT INTO ingest.section_state (character_id, section, revision, content_hash) VALUES ($1, 'location', 1, 'h')`, pilot)
	require.NoError(t, err)
	_, err = r.keeper.Reset(t.Context(), "token:admin", pilot, eve.SectionWallet)
	require.Equal(t, event.CodeConflict, event.CodeOf(err), "the owner has not consented to it")
	asked, err := r.keeper.Reset(t.Context(), "token:admin", pilot)
	require.NoError(t, err)
	require.Len(t, asked, 3)
	require.Zero(t, r.count("SELECT count(*) FROM ingest.section_state WHERE content_hash = 'h'"))
	require.Equal(t, 3, r.refreshes())
	_, err = r.keeper.Reset(t.Context(), "token:admin", pilot, "bookmarks")
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, err = r.keeper.Update(t.Context(), "token:admin", 7)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func TestAForgottenCharacterLeavesNothingAndBeginsAnew(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	r.register("ada", pilot, eve.SectionLocation)
	r.log.apply(event.User("ada"), "", access.MainSet{UserID: "ada", CharacterID: new(pilot)})
	r.log.versions[event.User("ada")] = 0
	for _, sql := range []string{
		`INSERT INTO ingest.section_state (character_id, section, revision) VALUES ($1, 'location', 1)`,
		`INSERT INTO ingest.page_etag (character_id, section, page, etag, last_modified) VALUES ($1, 'location', 1, 'e', '')`,
		`INSERT INTO ingest.follow_up (character_id, section, kind, item_id, moment, once, due_at) VALUES ($1, 'mails', 'mail-body', 1, now(), true, now())`,
		`INSERT INTO ingest.quarantine (at, character_id, operation, path, status, content_type, reason, body) VALUES (now(), $1, 'o', 'p', 200, 'c', 'r', 'b')`,
		`INSERT INTO ingest.pause (character_id, section, reason, since) VALUES ($1, '', 'r', now())`,
	} {
		_, err := r.pool.Exec(t.Context(), sql, pilot)
		require.NoError(t, err)
	}
	_, err := r.keeper.Forget(t.Context(), registration.ChangeInput{CharacterID: pilot})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err), "it needs a reason")
	before, key := len(r.log.since(0)), uuid.New()
	_, err = r.pool.Exec(t.Context(), `INSERT INTO ingest.text_key (key_id, character_id, wrapped) VALUES ($1, $2, '\x01')`, key, pilot)
	require.NoError(t, err)
	require.True(t, r.change("asked for", r.keeper.Forget).Changed)
	require.Equal(t, []event.Payload{eve.CharacterForgotten{CharacterID: pilot, Reason: "asked for", KeyIDs: []uuid.UUID{key}}, access.MainSet{UserID: "ada"}}, r.log.since(before))
	require.Zero(t, r.count("SELECT count(*) FROM ingest.text_key WHERE wrapped IS NOT NULL"), "its texts cannot be read any more")
	require.Equal(t, 1, r.count("SELECT count(*) FROM ingest.to_expire"), "its events are removed at once")

	// Every table of ingest with a character in it.
	rows, err := r.pool.Query(t.Context(), `SELECT table_name FROM information_schema.columns WHERE table_schema = 'ingest' AND column_name = 'character_id'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(tables), 7)
	for _, table := range tables {
		// That it was forgotten, with which key, and what is to be done about it.
		if !slices.Contains([]string{"forgotten", "text_key", "to_expire"}, table) {
			require.Zero(t, r.count("SELECT count(*) FROM ingest."+pgx.Identifier{table}.Sanitize()+" WHERE character_id = $1", pilot), table)
		}
	}
	require.Zero(t, r.count("SELECT count(*) FROM ingest.river_job WHERE (args->>'character_id')::bigint = $1", pilot))
	_, err = r.keeper.Forget(t.Context(), registration.ChangeInput{CharacterID: pilot, Reason: "again"})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))

	came, events := r.register("ada", pilot, eve.SectionLocation)
	require.Equal(t, eve.RegisteredNew, came.Outcome)
	require.Equal(t, eve.TypeCharacterRegistered, events[0].EventType())
	require.Zero(t, r.count("SELECT count(*) FROM ingest.forgotten"))
}

func TestForgettingWaitsForWhatIsUnderWay(t *testing.T) {
	r := newKeeperRig(t)
	r.register("ada", pilot, eve.SectionLocation)
	running := func(state string) {
		t.Helper()
		args, err := json.Marshal(map[string]any{"character_id": pilot, "section": "location"})
		require.NoError(t, err)
		_, err = r.pool.Exec(t.Context(), `INSERT INTO ingest.river_job (state, args, kind, max_attempts, attempted_at) VALUES ($1, $2, 'eve_sync', 9, now())`, state, args)
		require.NoError(t, err)
	}
	running("running")
	done := make(chan error, 1)
	go func() {
		_, err := r.keeper.Forget(context.Background(), registration.ChangeInput{CharacterID: pilot, Reason: "r"})
		done <- err
	}()
	// Only once it has been refused is the rest taken off the schedule.
	running("available")
	require.Eventually(t, func() bool {
		return r.count("SELECT count(*) FROM ingest.river_job WHERE state = 'available'") == 0
	}, 10*time.Second, 10*time.Millisecond)
	require.Empty(t, done)
	require.Equal(t, 1, r.count("SELECT count(*) FROM ingest.token"), "nothing has changed yet")
	_, err := r.pool.Exec(t.Context(), "DELETE FROM ingest.river_job WHERE state = 'running'")
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.Zero(t, r.count("SELECT count(*) FROM ingest.token"))
	require.True(t, strings.HasPrefix(string(r.log.since(0)[len(r.log.since(0))-1].EventType()), "muster.eve.character.forgotten"))
}
