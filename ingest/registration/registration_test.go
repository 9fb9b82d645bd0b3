package registration_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// world is the log and the views that show all of it.
type world struct {
	mu         sync.Mutex
	payloads   []event.Payload
	actors     []string
	versions   map[event.Stream]int64
	users      map[string]registration.KnownUser
	characters map[int64]registration.KnownCharacter
	links      map[uuid.UUID]eve.LinkIssued
}

func newWorld() *world {
	return &world{versions: map[event.Stream]int64{}, users: map[string]registration.KnownUser{}, characters: map[int64]registration.KnownCharacter{}, links: map[uuid.UUID]eve.LinkIssued{}}
}

// apply folds a fact into the views, as the read model does.
func (w *world) apply(stream event.Stream, actor string, p event.Payload) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.payloads, w.actors = append(w.payloads, p), append(w.actors, actor)
	w.versions[stream]++
	switch p := p.(type) {
	case access.UserRegistered:
		u := w.users[p.UserID]
		u.UserRegistered = p
		w.users[p.UserID] = u
	case access.MainSet:
		u := w.users[p.UserID]
		u.Main, u.HasMain = p.CharacterID, true
		w.users[p.UserID] = u
	case access.CharactersListed:
		u := w.users[p.UserID]
		u.Listed = p.Characters
		w.users[p.UserID] = u
	case eve.CharacterShared:
		c := w.characters[p.CharacterID]
		c.Shared, c.SharedUntil = true, p.Until
		w.characters[p.CharacterID] = c
	case eve.CharacterUnshared:
		c := w.characters[p.CharacterID]
		c.Shared, c.SharedUntil = false, nil
		w.characters[p.CharacterID] = c
	case eve.LinkIssued:
		w.links[p.LinkID] = p
	case eve.LinkRevoked:
		delete(w.links, p.LinkID)
	case eve.CharacterRegistered:
		w.characters[p.CharacterID] = registration.KnownCharacter{UserID: p.UserID, OwnerHash: p.OwnerHash, Scopes: p.Scopes}
	case eve.CharacterReclaimed:
		w.characters[p.CharacterID] = registration.KnownCharacter{
			UserID: p.UserID, OwnerHash: p.OwnerHash, Scopes: p.Scopes, Disabled: w.characters[p.CharacterID].Disabled,
			Shared: w.characters[p.CharacterID].Shared && w.characters[p.CharacterID].UserID == p.UserID,
		}
	case eve.CharacterOrphaned:
		c := w.characters[p.CharacterID]
		c.UserID, c.Shared = "", false
		w.characters[p.CharacterID] = c
	case eve.CharacterDisabled:
		c := w.characters[p.CharacterID]
		c.Disabled = true
		w.characters[p.CharacterID] = c
	case eve.CharacterEnabled:
		c := w.characters[p.CharacterID]
		c.Disabled = false
		w.characters[p.CharacterID] = c
	case eve.CharacterForgotten:
		delete(w.characters, p.CharacterID)
	}
}

// since are the payloads after the first n.
func (w *world) since(n int) []event.Payload {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.payloads[n:])
}

// Users implements registration.View.
func (w *world) Users(_ context.Context, ids []string) (map[string]registration.KnownUser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := map[string]registration.KnownUser{}
	for _, id := range ids {
		if u, ok := w.users[id]; ok {
			u.Granted = u.Permissions
			known[id] = u
		}
	}
	return known, nil
}

// Characters implements registration.View.
func (w *world) Characters(_ context.Context, ids []int64) (map[int64]registration.KnownCharacter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := map[int64]registration.KnownCharacter{}
	for _, id := range ids {
		if c, ok := w.characters[id]; ok {
			known[id] = c
		}
	}
	return known, nil
}

// Mains implements registration.View.
func (w *world) Mains(_ context.Context, character int64) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var users []string
	for id, u := range w.users {
		if u.Main != nil && *u.Main == character {
			users = append(users, id)
		}
	}
	slices.Sort(users)
	return users, nil
}

// anew takes characters that were not known before.
func anew(context.Context, pgx.Tx, ...int64) error { return nil }

// fakeBus decides at once, after running each decision twice, as the real one
// may.
type fakeBus struct {
	world   *world
	streams [][]event.Stream
	fail    error
	hidden  bool
}

func (b *fakeBus) DoAll(ctx context.Context, streams []event.Stream, in command.BatchInput, decide command.DecideAll) ([]command.Receipt, error) {
	if b.fail != nil {
		return nil, b.fail
	}
	b.streams = append(b.streams, streams)
	versions := map[event.Stream]int64{}
	for _, s := range streams {
		versions[s] = b.world.versions[s]
	}
	if _, err := decide(ctx, nil, versions); err != nil {
		return nil, err
	}
	decisions, err := decide(ctx, nil, versions)
	if err != nil {
		return nil, err
	}
	for _, d := range decisions {
		for _, p := range d.Events {
			b.world.apply(d.Stream, in.Actor, p)
		}
	}
	receipts := make([]command.Receipt, len(streams))
	for i, s := range streams {
		receipts[i] = command.Receipt{Stream: s, Version: b.world.versions[s]}
	}
	return receipts, nil
}

func (b *fakeBus) Await(context.Context, ...command.Receipt) (bool, error) { return !b.hidden, nil }

// fakeVault keeps logins in memory.
type fakeVault struct {
	logins map[int64]sso.Login
	tokens map[int64]string
	err    error
}

func newVault() *fakeVault {
	return &fakeVault{logins: map[int64]sso.Login{}, tokens: map[int64]string{}}
}

func (v *fakeVault) PutTx(_ context.Context, _ pgx.Tx, g sso.Grant) error {
	v.logins[g.CharacterID], v.tokens[g.CharacterID] = sso.Login{CharacterID: g.CharacterID, Scopes: g.Scopes}, g.RefreshToken
	return nil
}

func (v *fakeVault) Logins(context.Context) ([]sso.Login, error) {
	var all []sso.Login
	for _, l := range v.logins {
		all = append(all, l)
	}
	return all, v.err
}

func ada() access.OrganisationUser {
	return access.OrganisationUser{ID: "ada", Name: "Ada", Active: true, State: "Member", Permissions: []string{"p"}, Main: new(int64(1)), Characters: []int64{1, 2}}
}

func character(id int64, owner string) access.OrganisationCharacter {
	c := access.OrganisationCharacter{ID: id, Name: fmt.Sprintf("Pilot %d", id), CorporationID: 7, AllianceID: new(int64(8)), Registered: true, OwnerHash: "h1", Scopes: []string{"s1", "s2"}}
	if owner != "" {
		c.Owner = &owner
	}
	return c
}

type bench struct {
	*world
	bus       *fakeBus
	vault     *fakeVault
	registrar *registration.Registrar
}

func newBench() *bench {
	w := newWorld()
	b := &bench{world: w, bus: &fakeBus{world: w}, vault: newVault()}
	b.registrar = registration.New(b.bus, b.vault, w, anew)
	return b
}

// bring imports and returns what was decided.
func (b *bench) bring(t require.TestingT, org access.Organisation) (registration.Result, []event.Payload) {
	before := len(b.payloads)
	result, err := b.registrar.Import(context.Background(), "user:admin", org)
	require.NoError(t, err)
	return result, b.since(before)
}

func TestAnImportRegistersWhatIsRegistered(t *testing.T) {
	b := newBench()
	unregistered := character(3, "ada")
	unregistered.Registered = false
	result, decided := b.bring(t, access.Organisation{
		Users:      []access.OrganisationUser{ada(), {ID: "bob", State: "Guest"}},
		Characters: []access.OrganisationCharacter{character(1, "ada"), unregistered, character(2, "")},
	})
	require.Equal(t, registration.Result{Users: 2, Mains: 1, Characters: 2, Shown: true}, result)
	require.Equal(t, []event.Payload{
		access.UserRegistered{UserID: "ada", Name: "Ada", Active: true, State: "Member", Permissions: []string{"p"}},
		access.CharactersListed{UserID: "ada", Characters: []access.ListedCharacter{{CharacterID: 3, Name: "Pilot 3", CorporationID: 7, AllianceID: 8}}},
		access.MainSet{UserID: "ada", CharacterID: new(int64(1))},
		access.UserRegistered{UserID: "bob", State: "Guest"},
		eve.CharacterRegistered{CharacterID: 1, Name: "Pilot 1", UserID: "ada", OwnerHash: "h1", Scopes: []string{"s1", "s2"}, CorporationID: 7, AllianceID: 8},
		eve.CharacterRegistered{CharacterID: 2, Name: "Pilot 2", OwnerHash: "h1", Scopes: []string{"s1", "s2"}, CorporationID: 7, AllianceID: 8},
		eve.CharacterOrphaned{CharacterID: 2, Reason: "imported without an owner"},
	}, decided)
	for _, actor := range b.actors {
		require.Equal(t, "user:admin", actor)
	}
}

func TestOnlyDifferencesOfUsersAreDecided(t *testing.T) {
	f := func(change func(*access.OrganisationUser), want ...event.Payload) {
		t.Helper()
		b := newBench()
		b.bring(t, access.Organisation{Users: []access.OrganisationUser{ada()}})
		u := ada()
		change(&u)
		result, decided := b.bring(t, access.Organisation{Users: []access.OrganisationUser{u}})
		require.ElementsMatch(t, want, decided)
		require.Equal(t, len(want), result.Users+result.Mains)
	}
	registered := func(change func(*access.UserRegistered)) access.UserRegistered {
		u := access.UserRegistered{UserID: "ada", Name: "Ada", Active: true, State: "Member", Permissions: []string{"p"}}
		change(&u)
		return u
	}
	f(func(*access.OrganisationUser) {})
	f(func(u *access.OrganisationUser) { u.Name = "Ada L." }, registered(func(u *access.UserRegistered) { u.Name = "Ada L." }))
	f(func(u *access.OrganisationUser) { u.Superuser = true }, registered(func(u *access.UserRegistered) { u.Superuser = true }))
	f(func(u *access.OrganisationUser) { u.Active = false }, registered(func(u *access.UserRegistered) { u.Active = false }))
	f(func(u *access.OrganisationUser) { u.State = "Blue" }, registered(func(u *access.UserRegistered) { u.State = "Blue" }))
	f(func(u *access.OrganisationUser) { u.Permissions = nil }, registered(func(u *access.UserRegistered) { u.Permissions = nil }))
	f(func(u *access.OrganisationUser) { u.Main = new(int64(2)) }, access.MainSet{UserID: "ada", CharacterID: new(int64(2))})
	f(func(u *access.OrganisationUser) { u.Main = nil }, access.MainSet{UserID: "ada"})
}

func TestAMainThatWasTakenAwayIsNotTakenAwayAgain(t *testing.T) {
	b := newBench()
	u := ada()
	u.Main = nil
	_, decided := b.bring(t, access.Organisation{Users: []access.OrganisationUser{u}})
	require.Len(t, decided, 1, "no main was ever set, so none is taken away")
	b.bring(t, access.Organisation{Users: []access.OrganisationUser{ada()}})
	_, decided = b.bring(t, access.Organisation{Users: []access.OrganisationUser{u}})
	require.Equal(t, []event.Payload{access.MainSet{UserID: "ada"}}, decided)
	_, decided = b.bring(t, access.Organisation{Users: []access.OrganisationUser{u}})
	require.Empty(t, decided)
}

func TestOwnersComeAndGo(t *testing.T) {
	f := func(first, then access.OrganisationCharacter, want ...event.Payload) {
		t.Helper()
		b := newBench()
		bring := func(c access.OrganisationCharacter) []event.Payload {
			_, decided := b.bring(t, access.Organisation{Characters: []access.OrganisationCharacter{c}})
			return decided
		}
		bring(first)
		require.ElementsMatch(t, want, bring(then))
		require.Empty(t, bring(then), "the same file again changes nothing")
	}
	change := func(c access.OrganisationCharacter, change func(*access.OrganisationCharacter)) access.OrganisationCharacter {
		change(&c)
		return c
	}
	owned, orphan := character(1, "ada"), character(1, "")
	f(owned, owned)
	f(orphan, orphan)
	f(owned, orphan, eve.CharacterOrphaned{CharacterID: 1, Reason: "the imported organisation gives it no owner"})
	f(orphan, owned, eve.CharacterReclaimed{CharacterID: 1, UserID: "ada", OwnerHash: "h1", Scopes: []string{"s1", "s2"}})
	f(owned, character(1, "bob"), eve.CharacterReclaimed{CharacterID: 1, UserID: "bob", OwnerHash: "h1", Scopes: []string{"s1", "s2"}})
	f(owned, change(owned, func(c *access.OrganisationCharacter) { c.OwnerHash = "h2" }),
		eve.CharacterReclaimed{CharacterID: 1, UserID: "ada", OwnerHash: "h2", Scopes: []string{"s1", "s2"}})
	f(owned, change(owned, func(c *access.OrganisationCharacter) { c.Scopes = []string{} }),
		eve.CharacterReclaimed{CharacterID: 1, UserID: "ada", OwnerHash: "h1", Scopes: []string{}})
	f(orphan, change(orphan, func(c *access.OrganisationCharacter) { c.OwnerHash, c.Scopes = "h2", nil }))
	// A file that says nothing of logins takes nothing away.
	f(owned, change(owned, func(c *access.OrganisationCharacter) { c.OwnerHash, c.Scopes = "", nil }))
	f(owned, change(owned, func(c *access.OrganisationCharacter) { c.OwnerHash, c.Scopes = "h2", nil }),
		eve.CharacterReclaimed{CharacterID: 1, UserID: "ada", OwnerHash: "h2", Scopes: []string{"s1", "s2"}})
	f(owned, change(character(1, "bob"), func(c *access.OrganisationCharacter) { c.OwnerHash, c.Scopes = "", nil }),
		eve.CharacterReclaimed{CharacterID: 1, UserID: "bob"})
	// Names and corporations come from ESI once a character is known.
	f(owned, change(owned, func(c *access.OrganisationCharacter) { c.Name, c.CorporationID, c.AllianceID = "Other", 9, nil }))
}

func TestWhatIsNotRegisteredIsListedAndTheListKept(t *testing.T) {
	b := newBench()
	bring := func(unregistered ...int64) []event.Payload {
		org := access.Organisation{Users: []access.OrganisationUser{ada()}}
		for _, id := range unregistered {
			c := character(id, "ada")
			c.Registered, c.AllianceID = false, nil
			org.Characters = append(org.Characters, c)
		}
		result, decided := b.bring(t, org)
		require.Equal(t, min(len(decided), 1), result.Users)
		return decided
	}
	listed := func(ids ...int64) event.Payload {
		l := access.CharactersListed{UserID: "ada"}
		for _, id := range ids {
			l.Characters = append(l.Characters, access.ListedCharacter{CharacterID: id, Name: fmt.Sprintf("Pilot %d", id), CorporationID: 7})
		}
		return l
	}
	require.Len(t, bring(), 2, "the user and his main, and no list of nothing")
	require.Equal(t, []event.Payload{listed(2, 3)}, bring(3, 2))
	require.Empty(t, bring(2, 3))
	require.Equal(t, []event.Payload{listed(3)}, bring(3))
	require.Equal(t, []event.Payload{listed()}, bring())
	require.Empty(t, bring())
}

func TestSharingFollowsTheFile(t *testing.T) {
	b := newBench()
	bring := func(owner string, shared bool) []event.Payload {
		c := character(1, owner)
		c.Shared = shared
		_, decided := b.bring(t, access.Organisation{Characters: []access.OrganisationCharacter{c}})
		return decided
	}
	by := func(user string) event.Payload { return eve.CharacterShared{CharacterID: 1, UserID: user} }
	require.Equal(t, by("ada"), bring("ada", true)[1])
	require.Empty(t, bring("ada", true))
	require.Equal(t, []event.Payload{eve.CharacterUnshared{CharacterID: 1, Reason: "the imported organisation does not share it"}}, bring("ada", false))
	require.Empty(t, bring("ada", false))
	require.Equal(t, []event.Payload{by("ada")}, bring("ada", true))
	claimed := func(user string) event.Payload {
		return eve.CharacterReclaimed{CharacterID: 1, UserID: user, OwnerHash: "h1", Scopes: []string{"s1", "s2"}}
	}
	require.Equal(t, []event.Payload{claimed("bob")}, bring("bob", false), "what another owner has shared is not shared by this one")
	require.Equal(t, []event.Payload{claimed("cy"), by("cy")}, bring("cy", true))
	require.Len(t, bring("", true), 1, "nobody shares an orphan")
	require.Empty(t, bring("", true))
}

func TestAWorkingLoginIsKeptAndAParkedOneReplaced(t *testing.T) {
	b := newBench()
	b.vault.logins[1], b.vault.tokens[1] = sso.Login{CharacterID: 1}, "working"
	b.vault.logins[2], b.vault.tokens[2] = sso.Login{CharacterID: 2, Parked: true}, "parked"
	var characters []access.OrganisationCharacter
	for id := range int64(4) {
		c := character(id+1, "ada")
		c.RefreshToken = "from the file"
		characters = append(characters, c)
	}
	characters[3].RefreshToken = ""
	org := access.Organisation{Characters: characters}
	result, _ := b.bring(t, org)
	require.Equal(t, 2, result.Logins)
	require.Equal(t, map[int64]string{1: "working", 2: "from the file", 3: "from the file"}, b.vault.tokens)

	result, decided := b.bring(t, org)
	require.Empty(t, decided)
	require.Equal(t, registration.Result{Shown: true}, result)
}

func TestLoginsWithoutAnApplicationAreRefused(t *testing.T) {
	b := newBench()
	registrar := registration.New(b.bus, nil, b.world, anew)
	c := character(1, "ada")
	org := access.Organisation{Users: []access.OrganisationUser{ada()}, Characters: []access.OrganisationCharacter{c}}
	_, err := registrar.Import(t.Context(), "user:admin", org)
	require.NoError(t, err)

	org.Characters[0].RefreshToken = "top-secret"
	before := len(b.payloads)
	_, err = registrar.Import(t.Context(), "user:admin", org)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.EqualError(t, err, "the organisation brings logins, but this Muster has no EVE application to use them with: set MUSTER_SSO_CLIENT_ID, or leave refresh_token out")
	require.Len(t, b.payloads, before)
}

func TestWhoIsDeactivatedIsToldOfOnceAndWithTheDecision(t *testing.T) {
	b := newBench()
	var told []string
	var fail error
	b.registrar = b.registrar.OnDeactivation(func(_ context.Context, _ pgx.Tx, users ...string) error {
		told = append(told, users...)
		return fail
	})
	bob := access.OrganisationUser{ID: "bob", Active: true}
	b.bring(t, access.Organisation{Users: []access.OrganisationUser{ada(), bob, {ID: "cy"}}})
	require.Empty(t, told, "nobody was active before")
	bob.Active = false
	org := access.Organisation{Users: []access.OrganisationUser{ada(), bob, {ID: "cy"}}}
	fail = errors.New("not now")
	_, err := b.registrar.Import(t.Context(), "x", org)
	require.ErrorContains(t, err, "not now")
	require.True(t, b.users["bob"].Active, "it is decided together or not at all")
	fail, told = nil, nil
	b.bring(t, org)
	require.Equal(t, []string{"bob", "bob"}, told, "a decision runs twice here")
	told = nil
	b.bring(t, org)
	require.Empty(t, told)
}

func TestWhatFailsIsNotCounted(t *testing.T) {
	b := newBench()
	b.bus.fail = event.Errorf(event.CodeUnavailable, "Postgres is away")
	org := access.Organisation{Users: []access.OrganisationUser{ada()}, Characters: []access.OrganisationCharacter{character(1, "ada")}}
	result, err := b.registrar.Import(t.Context(), "x", org)
	require.EqualError(t, err, "registering users: Postgres is away")
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.Equal(t, registration.Result{}, result)

	org.Users = nil
	_, err = b.registrar.Import(t.Context(), "x", org)
	require.EqualError(t, err, "registering characters: Postgres is away")

	org.Characters[0].RefreshToken = "t"
	b.vault.err = errors.New("no logins")
	_, err = b.registrar.Import(t.Context(), "x", org)
	require.EqualError(t, err, "no logins")
}

func TestAnImportThatIsNotShownYetSaysSo(t *testing.T) {
	b := newBench()
	b.bus.hidden = true
	result, _ := b.bring(t, access.Organisation{Users: []access.OrganisationUser{ada()}})
	require.False(t, result.Shown)
}

func TestManyStreamsAreDecidedInParts(t *testing.T) {
	b := newBench()
	var org access.Organisation
	for id := range int64(450) {
		org.Users = append(org.Users, access.OrganisationUser{ID: fmt.Sprintf("u%d", id)})
		org.Characters = append(org.Characters, character(id+1, fmt.Sprintf("u%d", id)))
	}
	result, _ := b.bring(t, org)
	require.Equal(t, registration.Result{Users: 450, Characters: 450, Shown: true}, result)
	sizes := []int{}
	for _, s := range b.bus.streams {
		sizes = append(sizes, len(s))
	}
	require.Equal(t, []int{200, 200, 50, 200, 200, 50}, sizes)
}

// Whatever files come one after the other: the last one is what is known, and it
// changes nothing when it comes again.
func TestAnySequenceOfImportsEndsWithTheLastFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		var org access.Organisation
		for range rapid.IntRange(1, 4).Draw(t, "files") {
			org = access.Organisation{}
			for _, id := range []string{"ada", "bob"} {
				u := access.OrganisationUser{ID: id, Active: rapid.Bool().Draw(t, "active"), Permissions: rapid.SliceOfN(rapid.StringN(1, 3, 9), 0, 2).Draw(t, "permissions")}
				if rapid.Bool().Draw(t, "has a main") {
					u.Main = new(rapid.Int64Range(1, 3).Draw(t, "main"))
				}
				org.Users = append(org.Users, u)
			}
			for id := range int64(3) {
				c := character(id+1, rapid.SampledFrom([]string{"", "ada", "bob"}).Draw(t, "owner"))
				c.OwnerHash = rapid.SampledFrom([]string{"h1", "h2"}).Draw(t, "hash")
				c.Scopes = rapid.SliceOfN(rapid.SampledFrom([]string{"s1", "s2"}), 0, 2).Draw(t, "scopes")
				org.Characters = append(org.Characters, c)
			}
			b.bring(t, org)
		}
		_, decided := b.bring(t, org)
		require.Empty(t, decided)
		for _, u := range org.Users {
			require.Equal(t, u.Main, b.users[u.ID].Main)
			require.Equal(t, u.Active, b.users[u.ID].Active)
			require.ElementsMatch(t, u.Permissions, b.users[u.ID].Permissions)
		}
		for _, c := range org.Characters {
			known := b.characters[c.ID]
			if c.Owner == nil {
				require.Empty(t, known.UserID)
				continue
			}
			require.Equal(t, *c.Owner, known.UserID)
			require.Equal(t, c.OwnerHash, known.OwnerHash)
			require.ElementsMatch(t, c.Scopes, known.Scopes)
		}
	})
}

// logOf takes what the forwarder appends; the first copy of an event counts.
type logOf struct {
	*world
	registry *event.Registry
	seen     map[uuid.UUID]bool
}

func (l *logOf) Append(_ context.Context, events ...event.Event) error {
	for _, e := range events {
		p, err := l.registry.Decode(e)
		if err != nil {
			return err
		}
		if !l.seen[e.ID] {
			l.seen[e.ID] = true
			l.apply(e.Stream, e.Actor, p)
		}
	}
	return nil
}

// Applied implements command.View.
func (l *logOf) Applied(_ context.Context, s event.Stream) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.versions[s], nil
}

// forwarded is a bus whose decided events are forwarded to the log until the test ends.
func forwarded(t *testing.T, pool *pgxpool.Pool, log *logOf) *command.Bus {
	t.Helper()
	bus, err := command.New(command.Config{Pool: pool, View: log})
	require.NoError(t, err)
	forwarder, err := command.NewForwarder(command.ForwarderConfig{Pool: pool, Log: log, Poll: 10 * time.Millisecond, StopGrace: 100 * time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- forwarder.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return bus
}

func TestImportsThroughTheRealBusAndVault(t *testing.T) {
	pool := enginetest.Postgres(t)
	require.NoError(t, command.Migrate(t.Context(), pool))
	require.NoError(t, schema.Migrate(t.Context(), pool))
	log := &logOf{world: newWorld(), registry: event.NewRegistry(), seen: map[uuid.UUID]bool{}}
	eve.Register(log.registry)
	access.Register(log.registry)
	bus := forwarded(t, pool, log)
	vault, err := sso.NewVault(sso.Config{Pool: pool, Key: sso.NewKey(), URL: "http://127.0.0.1:1", ClientID: "client"})
	require.NoError(t, err)
	t.Cleanup(vault.Close)
	registrar := registration.New(bus, vault, log.world, esi.Remember)

	org := access.Organisation{Users: []access.OrganisationUser{ada()}}
	for id := range int64(250) {
		c := character(id+1, "ada")
		if id < 3 {
			c.RefreshToken = "from the file"
		}
		org.Characters = append(org.Characters, c)
	}
	result, err := registrar.Import(t.Context(), "user:admin", org)
	require.NoError(t, err)
	require.Equal(t, registration.Result{Users: 1, Mains: 1, Characters: 250, Logins: 3, Shown: true}, result)

	require.NoError(t, vault.Park(t.Context(), 2, "the owner changed"))
	sealed := func(id int64) (token []byte) {
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT refresh_sealed FROM ingest.token WHERE character_id = $1", id).Scan(&token))
		require.NotContains(t, string(token), "from the file")
		return token
	}
	kept, replaced := sealed(1), sealed(2)
	result, err = registrar.Import(t.Context(), "user:admin", org)
	require.NoError(t, err)
	require.Equal(t, registration.Result{Logins: 1, Shown: true}, result)
	require.Len(t, log.since(0), 252)
	require.Equal(t, kept, sealed(1))
	require.NotEqual(t, replaced, sealed(2))
	logins, err := vault.Logins(t.Context())
	require.NoError(t, err)
	require.Len(t, logins, 3)
	require.False(t, logins[1].Parked)

	org.Characters[0].Owner = nil
	org.Characters[0].RefreshToken = ""
	result, err = registrar.Import(t.Context(), "user:admin", org)
	require.NoError(t, err)
	require.Equal(t, registration.Result{Characters: 1, Shown: true}, result)
	require.Equal(t, []event.Payload{eve.CharacterOrphaned{CharacterID: 1, Reason: "the imported organisation gives it no owner"}}, log.since(252))
}
