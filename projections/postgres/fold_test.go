package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

func worlds() *event.Registry {
	r := event.NewRegistry()
	eve.Register(r)
	anvil.Register(r)
	access.Register(r)
	return r
}

// written is the event as the runner hands it to the fold: through JSON.
func written(t require.TestingT, stream event.Stream, at time.Time, offset int64, p event.Payload) runner.Event {
	e, err := event.New(uuid.New(), stream, "test", at, p)
	require.NoError(t, err)
	e.Actor = "user:ada"
	read, err := worlds().Decode(e)
	require.NoError(t, err)
	return runner.Event{Recorded: event.Recorded{Event: e, Position: event.Position{Offset: offset}}, Payload: read}
}

// foldAt applies a single fact that lies at an offset, in a batch of its own.
func (v *views) foldAt(stream event.Stream, at time.Time, offset int64, p event.Payload) {
	v.t.Helper()
	batch := v.projection.NewBatch()
	require.NoError(v.t, batch.Add(written(v.t, stream, at, offset, p)))
	v.enter(batch.(runner.PostgresBatch).Write)
}

// table is all that a table holds.
func (v *views) table(name string) string {
	v.t.Helper()
	var rows string
	require.NoError(v.t, v.pool.QueryRow(v.t.Context(),
		"SELECT coalesce(json_agg(t ORDER BY t::text)::text, '') FROM "+pgx.Identifier{v.schema, name}.Sanitize()+" t").Scan(&rows))
	return rows
}

func (v *views) all() map[string]string {
	tables := map[string]string{}
	for _, t := range v.projection.Tables {
		tables[t.Name] = v.table(t.Name)
	}
	return tables
}

func (v *views) generation() runner.Generation { return runner.Generation{Namespace: v.schema} }

func (v *views) rows(sql string, into ...any) {
	v.t.Helper()
	v.enter(func(ctx context.Context, tx pgx.Tx) error { return tx.QueryRow(ctx, sql).Scan(into...) })
}

// facts are two of each kind about the same things; the second differs from the
// first in whatever it says.
func facts() [][2]event.Payload {
	section := func(hash, value string, hour int) event.Payload {
		return eve.SectionObserved{CharacterID: 5, Section: eve.SectionDetails, Encoding: eve.EncodingFull, ContentHash: hash, FetchedAt: at(hour), Value: json.RawMessage(value)}
	}
	return [][2]event.Payload{
		{access.UserRegistered{UserID: "u", Name: "a", Permissions: []string{"p"}}, access.UserRegistered{UserID: "u", Name: "b", Superuser: true, Active: true, State: "Blue"}},
		{access.MainSet{UserID: "u", CharacterID: new(int64(5))}, access.MainSet{UserID: "u"}},
		{
			access.CharactersListed{UserID: "u", Characters: []access.ListedCharacter{{CharacterID: 6, Name: "a", CorporationID: 1}, {CharacterID: 7, AllianceID: 2}}},
			access.CharactersListed{UserID: "u", Characters: []access.ListedCharacter{{CharacterID: 6, Name: "b\x00", AllianceID: 3}, {CharacterID: 8}}},
		},
		{
			eve.CharacterRegistered{CharacterID: 5, Name: "a", UserID: "u", OwnerHash: "h", Scopes: []string{"s"}, CorporationID: 1, AllianceID: 2},
			eve.CharacterRegistered{CharacterID: 5, Name: "b", UserID: "w", OwnerHash: "i", CorporationID: 3},
		},
		{eve.CharacterReclaimed{CharacterID: 5, UserID: "u"}, eve.CharacterOrphaned{CharacterID: 5, Reason: "sold"}},
		{eve.CharacterUnshared{CharacterID: 5}, eve.CharacterShared{CharacterID: 5, UserID: "u", Until: new(at(9))}},
		{
			eve.LinkIssued{CharacterID: 5, LinkID: uuid.UUID{3}, UserID: "u", SecretHash: "a", ExpiresAt: at(8)},
			eve.LinkIssued{CharacterID: 5, LinkID: uuid.UUID{3}, UserID: "w", SecretHash: "b", Sections: []eve.Section{eve.SectionWallet}, Note: "n", ExpiresAt: at(9)},
		},
		{eve.CharacterDisabled{CharacterID: 5, Reason: "asked"}, eve.CharacterEnabled{CharacterID: 5, Reason: "asked again"}},
		{section("h1", `{"name":"a","corporation_id":1}`, 1), section("h2", `{"name":"b","corporation_id":2}`, 2)},
		{implants(`[1, 2]`), implants(`[3]`)},
		{mailingList("a"), mailingList("b")},
		{transaction(1), transaction(2)},
		{misfit(1), misfit(2)},
		{
			eve.SectionFailed{CharacterID: 5, Section: eve.SectionWallet, Class: eve.FailureServer, Status: 502, Message: "m", Since: at(1)},
			eve.SectionRecovered{CharacterID: 5, Section: eve.SectionWallet, Since: at(2)},
		},
		{skillSet("a", 1), skillSet("b", 1, 2)},
		{skillSetGroup("a", 1), skillSetGroup("b", 1, 2)},
		{
			access.RoleDefined{RoleID: uuid.UUID{3}, Role: access.Role{Name: "a", Permissions: []string{"p", "q"}, States: []string{"Member"}, Groups: []string{"g"}, Sections: []string{"skills"}}},
			access.RoleRemoved{RoleID: uuid.UUID{3}, Name: "a"},
		},
		{
			access.GroupDefined{GroupID: uuid.UUID{4}, ComplianceGroup: access.ComplianceGroup{Name: "g", Description: "d", States: []string{"Member"}}},
			access.GroupRemoved{GroupID: uuid.UUID{4}, Name: "g"},
		},
		{
			access.GroupsGained{UserID: "u", Groups: []access.GainedGroup{{GroupID: uuid.UUID{4}, Name: "g"}}, Characters: 1, GroupCause: access.GroupCause{Since: at(1)}},
			access.GroupsLost{UserID: "u", Groups: []access.LostGroup{{GroupID: uuid.UUID{4}, Name: "g"}}, GroupCause: access.GroupCause{Since: at(2)}},
		},
		{access.RoleGranted{UserID: "u", RoleID: uuid.UUID{3}, Name: "a"}, access.RoleRevoked{UserID: "u", RoleID: uuid.UUID{3}, Name: "a"}},
	}
}

func skillSet(name string, skills ...int64) event.Payload {
	set := eve.SkillSetDefined{SkillSetID: uuid.UUID{1}, SkillSet: eve.SkillSet{Name: name}}
	for _, id := range skills {
		set.Skills = append(set.Skills, eve.SetSkill{TypeID: id, Required: eve.SkillLevel(len(skills))})
	}
	return set
}

func skillSetGroup(name string, sets ...byte) event.Payload {
	group := eve.SkillSetGroupDefined{SkillSetGroupID: uuid.UUID{9}, SkillSetGroup: eve.SkillSetGroup{Name: name}}
	for _, n := range sets {
		group.SkillSetIDs = append(group.SkillSetIDs, uuid.UUID{n})
	}
	return group
}

func implants(value string) event.Payload {
	return eve.SectionObserved{CharacterID: 5, Section: eve.SectionImplants, Encoding: eve.EncodingFull, ContentHash: value, FetchedAt: at(1), Value: json.RawMessage(value)}
}

func mailingList(name string) event.Payload {
	return eve.SectionObserved{
		CharacterID: 5, Section: eve.SectionMails, Encoding: eve.EncodingFull, ContentHash: name, FetchedAt: at(1),
		Value: json.RawMessage(`{"lists": [{"mailing_list_id": 9, "name": "` + name + `"}]}`),
	}
}

func transaction(n int) event.Payload {
	item := fmt.Sprintf(`{"transaction_id": 7, "date": "2026-05-01T0%d:00:00Z", "quantity": %d}`, n, n)
	return eve.TransactionsRecorded{Facts: eve.Facts{CharacterID: 5, Section: eve.SectionWalletTransactions, Day: "2026-05-01", FetchedAt: at(n), Items: []json.RawMessage{json.RawMessage(item)}}}
}

// misfit is a difference from an observation that there never was.
func misfit(n byte) event.Payload {
	return eve.SectionObserved{CharacterID: 5, Section: eve.SectionContacts, Encoding: eve.EncodingDelta, Base: &uuid.UUID{n}, FetchedAt: at(1), Value: json.RawMessage(`{}`)}
}

func TestTheLastFactWinsInOneBatchAndInTwo(t *testing.T) {
	one, two := newViews(t, postgres.Characters()), newViews(t, postgres.Characters())
	for _, pair := range facts() {
		a, b := written(t, event.Org, at(1), 10, pair[0]), written(t, event.Org, at(2), 20, pair[1])
		batch := one.projection.NewBatch()
		require.NoError(t, batch.Add(a))
		require.NoError(t, batch.Add(b))
		one.enter(batch.(runner.PostgresBatch).Write)
		for _, e := range []runner.Event{a, b} {
			batch := two.projection.NewBatch()
			require.NoError(t, batch.Add(e))
			two.enter(batch.(runner.PostgresBatch).Write)
		}
	}
	require.Equal(t, one.all(), two.all())
	for name, rows := range one.all() {
		if name == "changes" || name == "looks" || name == "forgettings" {
			continue // nothing here fits, each look has a row of its own, and nothing is forgotten
		}
		require.Contains(t, rows, `"log_offset":20`, name)
		require.NotContains(t, rows, `"log_offset":10`, name)
	}
}

func TestNoRowGoesBackToALowerOffset(t *testing.T) {
	f := func(p runner.Projection, pairs [][2]event.Payload) {
		t.Helper()
		v := newViews(t, p)
		for _, pair := range pairs {
			v.foldAt(event.Consortium("c"), at(2), 20, pair[1])
		}
		before := v.all()
		for _, pair := range pairs {
			v.foldAt(event.Consortium("c"), at(1), 10, pair[0])
			v.foldAt(event.Consortium("c"), at(1), 20, pair[0])
		}
		require.Equal(t, before, v.all())
	}
	f(postgres.Characters(), facts())
	id := uuid.New()
	f(postgres.AnVIL(), [][2]event.Payload{
		{anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.org", Status: anvil.StatusActive}}, anvil.AccountWithdrawn{Email: "a@example.org"}},
		{anvil.FindingOpened{Finding: anvil.Finding{ID: id, Record: "a"}}, anvil.FindingOpened{Finding: anvil.Finding{ID: id, Record: "b"}, Reopened: 1}},
		{anvil.SweepStarted{SweepID: id, StartedAt: at(1)}, anvil.SweepCompleted{SweepID: id, StartedAt: at(1), CompletedAt: at(2)}},
	})
}

func TestListsHoldEachItem(t *testing.T) {
	v := newViews(t, postgres.Characters())
	for i, want := range [][]string{nil, {}, {"one"}, {"one", "two", "three"}, {""}, {"", ""}, {"a, b", `{"x"}`, "NULL", "ä\n"}} {
		v.fold(event.User("u"), at(i), access.UserRegistered{UserID: "u", Permissions: want})
		v.fold(event.Character(5), at(i), register(5, "x", "u", 1, 0, want...))
		var permissions, scopes []string
		v.rows("SELECT permissions, scopes FROM users, owners", &permissions, &scopes)
		require.Equal(t, append([]string{}, want...), permissions)
		require.Equal(t, append([]string{}, want...), scopes)
	}
}

func TestTextsThatPostgresCannotHoldDoNotStopTheProjection(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.fold(event.User("u"), at(0), access.UserRegistered{UserID: "u", Name: "a\x00b", Permissions: []string{"c\x00", "d\x1fe"}})
	var name string
	var permissions []string
	v.rows("SELECT name, permissions FROM users", &name, &permissions)
	require.Equal(t, "a\uFFFDb", name)
	require.Equal(t, []string{"c\uFFFD", "d\uFFFDe"}, permissions)
}

func TestJSONIsKeptToTheLetter(t *testing.T) {
	// Order, spaces, tails of numbers, doubled keys and escapes: all of it but NUL,
	// which Postgres cannot read.
	const value = `{"z": 1.50,  "a":[1e2, 0.10000000000000000001],"name":"x\u0000\ud83d\ude00", "z": null, "corporation_id": 7}`
	v := newViews(t, postgres.Characters())
	// event.New compacts the value, so the fold is given it as it stands.
	batch := v.projection.NewBatch()
	e := written(t, event.Character(5), at(1), 1, eve.SectionRecovered{CharacterID: 5, Section: eve.SectionDetails})
	e.Payload = eve.SectionObserved{CharacterID: 5, Section: eve.SectionDetails, Encoding: eve.EncodingFull, Value: json.RawMessage(value)}
	require.NoError(t, batch.Add(e))
	v.enter(batch.(runner.PostgresBatch).Write)
	var kept string
	v.rows("SELECT value::text FROM sections", &kept)
	require.Equal(t, strings.ReplaceAll(value, `\u0000`, `\ufffd`), kept)

	consortia := newViews(t, postgres.AnVIL())
	const payload = `{"name": "g",  "future": 1.0, "email":"g@x"}`
	e = written(t, event.Consortium("c"), at(1), 1, anvil.GroupDeclared{ManagedGroup: anvil.ManagedGroup{Name: "g"}})
	e.Data = []byte(payload)
	batch = consortia.projection.NewBatch()
	require.NoError(t, batch.Add(e))
	consortia.enter(batch.(runner.PostgresBatch).Write)
	consortia.rows("SELECT payload::text FROM records", &kept)
	require.Equal(t, payload, kept)
}

func TestAnEventThatCannotBeFoldedLeavesTheBatchAsItWas(t *testing.T) {
	v := newViews(t, postgres.Characters())
	batch := v.projection.NewBatch()
	for _, p := range []event.Payload{
		eve.SectionObserved{CharacterID: 5, Section: eve.SectionWallet, Encoding: eve.EncodingDelta, Value: json.RawMessage(`{}`)},
		eve.SectionObserved{CharacterID: 5, Section: eve.SectionDetails, Encoding: eve.EncodingFull, Value: json.RawMessage(`[]`)},
	} {
		require.Error(t, batch.Add(written(t, event.Character(5), at(1), 1, p)))
	}
	v.enter(batch.(runner.PostgresBatch).Write)
	for name, rows := range v.all() {
		require.Empty(t, rows, name)
	}
}

func TestWhatDecisionsNeedIsKnown(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.fold(event.Org, at(0),
		access.UserRegistered{UserID: "u1", Name: "One", Superuser: true, Active: true, State: "Member", Permissions: []string{"p", "q"}},
		access.MainSet{UserID: "u1", CharacterID: new(int64(1))},
		access.UserRegistered{UserID: "u2"}, access.MainSet{UserID: "u2"},
		access.UserRegistered{UserID: "u3"},
		eve.CharacterRegistered{CharacterID: 3, UserID: "u1", OwnerHash: "h", Scopes: []string{"s", "t"}},
		register(1, "one", "u1", 1, 0), register(2, "two", "u1", 1, 0),
		register(4, "four", "", 1, 0), eve.CharacterOrphaned{CharacterID: 4, Reason: "imported"},
		eve.CharacterDisabled{CharacterID: 2, Reason: "asked"},
		eve.CharacterOrphaned{CharacterID: 1, Reason: "sold"})

	users, err := postgres.KnownUsers(t.Context(), v.pool, v.generation(), []string{"u1", "u2", "u3", "nobody"})
	require.NoError(t, err)
	require.Equal(t, map[string]postgres.KnownUser{
		"u1": {UserRegistered: access.UserRegistered{UserID: "u1", Name: "One", Superuser: true, Active: true, State: "Member", Permissions: []string{"p", "q"}}, Granted: []string{"p", "q"}, Main: new(int64(1)), HasMain: true},
		"u2": {UserRegistered: access.UserRegistered{UserID: "u2", Permissions: []string{}}, Granted: []string{}, HasMain: true},
		"u3": {UserRegistered: access.UserRegistered{UserID: "u3", Permissions: []string{}}, Granted: []string{}},
	}, users)

	characters, err := postgres.KnownCharacters(t.Context(), v.pool, v.generation(), []int64{1, 2, 3, 4, 99})
	require.NoError(t, err)
	require.Equal(t, map[int64]postgres.KnownCharacter{
		1: {Name: "one", Scopes: []string{}}, 2: {Name: "two", UserID: "u1", Scopes: []string{}, Disabled: true},
		3: {UserID: "u1", OwnerHash: "h", Scopes: []string{"s", "t"}}, 4: {Name: "four", Scopes: []string{}},
	}, characters)
	for id, want := range map[int64][]string{1: {"u1"}, 2: nil} {
		mains, err := postgres.KnownMains(t.Context(), v.pool, v.generation(), id)
		require.NoError(t, err)
		require.ElementsMatch(t, want, mains)
	}

	syncable := func(want ...int64) {
		t.Helper()
		got, err := postgres.SyncableCharacters(t.Context(), v.pool, v.generation())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	syncable(3)
	v.fold(event.Org, at(1), eve.CharacterReclaimed{CharacterID: 1, UserID: "u2"}, eve.CharacterEnabled{CharacterID: 2})
	syncable(1, 2, 3)

	all, err := postgres.AllCharacters(t.Context(), v.pool, v.generation())
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3, 4}, all)

	nowhere := runner.Generation{Namespace: "gone"}
	_, err = postgres.KnownUsers(t.Context(), v.pool, nowhere, nil)
	require.ErrorContains(t, err, "looking users up")
	_, err = postgres.KnownCharacters(t.Context(), v.pool, nowhere, nil)
	require.ErrorContains(t, err, "looking characters up")
	_, err = postgres.KnownMains(t.Context(), v.pool, nowhere, 1)
	require.Error(t, err)
	_, err = postgres.SyncableCharacters(t.Context(), v.pool, nowhere)
	require.Error(t, err)
}

func TestConsortiaAreListedOnceTheyAreDeclared(t *testing.T) {
	v := newViews(t, postgres.AnVIL())
	v.fold(event.Consortium("zeta"), at(0), anvil.ConsortiumDeclared{ServiceAccount: "a@example.org"})
	v.fold(event.Consortium("alpha"), at(0), anvil.ConsortiumDeclared{ServiceAccount: "a@example.org"}, anvil.ConsortiumDeclared{ServiceAccount: "b@example.org"})
	v.fold(event.Consortium("seen only"), at(0), anvil.GroupListObserved{})
	names, err := postgres.Consortia(t.Context(), v.pool, v.generation())
	require.NoError(t, err)
	require.Equal(t, []string{"alpha", "zeta"}, names)

	state, err := postgres.LoadState(t.Context(), v.pool, v.generation(), worlds(), event.Consortium("unknown"))
	require.NoError(t, err)
	require.Empty(t, state.OpenFindings())
	_, swept := state.LastSweep()
	require.False(t, swept)
}

// drawFacts draws a history of a consortium as it can be: findings are opened
// before they change, sweeps begin before they end.
func drawFacts(t *rapid.T, stream event.Stream) []event.Payload {
	found := anvil.Response{Status: 200}
	clock := 0
	type finding struct {
		open     bool
		resolved int
	}
	findings, sweeps := map[uuid.UUID]*finding{}, []uuid.UUID{}
	id := func(what string) uuid.UUID {
		return uuid.NewSHA1(event.Namespace, []byte(string(stream)+what))
	}
	one := func() event.Payload {
		clock++
		// Ranges favour small numbers, remainders do not.
		n := int(rapid.Uint64().Draw(t, "n") % 3)
		name := fmt.Sprintf("x%d", n)
		flag := rapid.Bool().Draw(t, "flag")
		switch rapid.Uint64().Draw(t, "kind") % 24 {
		case 0:
			return anvil.ConsortiumDeclared{ServiceAccount: name + "@example.org"}
		case 1:
			return anvil.BillingProjectDeclared{BillingProject: anvil.BillingProject{Name: name, HasAppAsUser: flag}}
		case 2:
			return anvil.BillingProjectWithdrawn{Name: name}
		case 3:
			return anvil.AccountDeclared{Account: anvil.Account{Email: name, IsServiceAccount: flag, Status: anvil.StatusActive}}
		case 4:
			return anvil.AccountWithdrawn{Email: name}
		case 5:
			return anvil.GroupDeclared{ManagedGroup: anvil.ManagedGroup{Name: name, Email: name + "@firecloud.org", IsManagedByApp: flag}}
		case 6:
			return anvil.GroupWithdrawn{Name: name}
		case 7:
			return anvil.AccountMembershipDeclared{AccountMembership: anvil.AccountMembership{Group: "x0", Account: name, Role: anvil.RoleMember}}
		case 8:
			return anvil.AccountMembershipWithdrawn{Group: "x0", Account: name}
		case 9:
			return anvil.WorkspaceDeclared{Workspace: anvil.Workspace{BillingProject: "x0", Name: name, IsLocked: flag, AppAccess: anvil.AppOwner, AuthorizationDomains: []string{"x1"}}}
		case 10:
			return anvil.WorkspaceWithdrawn{BillingProject: "x0", Name: name}
		case 11:
			return anvil.SharingDeclared{Sharing: anvil.Sharing{Workspace: "x0/x0", Group: name, Access: anvil.AccessWriter, CanCompute: flag}}
		case 12:
			return anvil.GroupListObserved{Response: found}
		case 13:
			return anvil.GroupRoleObserved{Name: name, Listed: flag, Email: name + "@firecloud.org", Roles: []string{"admin"}}
		case 14:
			return anvil.GroupMembersObserved{Group: name, Reading: anvil.Reading[[]string]{Response: found, Value: []string{"x0", "stranger"}}}
		case 15:
			return anvil.AccountObserved{Email: name, Reading: anvil.Reading[anvil.AccountInfo]{Response: found, Value: anvil.AccountInfo{Email: name, Registered: flag}}}
		case 16:
			return anvil.WorkspaceObserved{Listed: flag, WorkspaceRow: anvil.WorkspaceRow{Namespace: "x0", Name: name, AccessLevel: "OWNER", AuthorizationDomains: []string{}}}
		case 17:
			return anvil.WorkspaceListObserved{Response: found}
		case 18, 19:
			sweeps = append(sweeps, id(fmt.Sprint("sweep", clock)))
			return anvil.SweepStarted{SweepID: sweeps[len(sweeps)-1], StartedAt: at(0).Add(time.Duration(clock) * time.Second)}
		case 20, 21:
			if len(sweeps) == 0 {
				return anvil.PlanApplied{Reason: "nothing"}
			}
			// Clocks differ: the sweep that ends last need not have the latest time.
			skew := rapid.IntRange(-50, 50).Draw(t, "skew")
			// Some sweeps are of a single group, and stay so.
			sweep := sweeps[n%len(sweeps)]
			scope := anvil.Scope{}
			if sweep[0]%3 == 0 {
				scope.Groups = []string{"x0"}
			}
			return anvil.SweepCompleted{SweepID: sweep, Scope: scope, CompletedAt: at(1).Add(time.Duration(clock+skew) * time.Second), Models: anvil.Models(), Calls: clock}
		default:
			f := anvil.Finding{ID: id(name), Model: anvil.ModelAccounts, Record: name, Kind: "k", Observed: fmt.Sprint(clock), OpenedAt: at(0)}
			is := findings[f.ID]
			if is == nil {
				is = &finding{}
				findings[f.ID] = is
			}
			switch {
			case !is.open:
				is.open = true
				return anvil.FindingOpened{Finding: f, Reopened: is.resolved}
			case flag:
				return anvil.FindingChanged{Finding: f, ObservedBefore: "x"}
			default:
				is.open = false
				is.resolved++
				return anvil.FindingResolved{Finding: f, ResolvedAt: at(1)}
			}
		}
	}
	history := make([]event.Payload, rapid.SampledFrom([]int{0, 1, 5, 15, 30, 60}).Draw(t, "length"))
	for i := range history {
		history[i] = one()
	}
	return history
}

// known is all that a state says, in a form that does not depend on the order
// of declarations, of which rows keep only the newest.
func known(t require.TestingT, s *anvil.State, stream event.Stream) map[string]any {
	declared := map[string]any{}
	text, err := json.Marshal(s.Declared())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &declared))
	for name, list := range declared {
		if items, ok := list.([]any); ok {
			texts := []string{}
			for _, item := range items {
				texts = append(texts, fmt.Sprint(item))
			}
			slices.Sort(texts)
			declared[name] = texts
		}
	}
	last, swept := s.LastSweep()
	cause := event.Event{ID: uuid.MustParse("0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11"), Stream: stream, Time: at(9), CorrelationID: "run"}
	reaction, _, err := s.Reaction("test", cause, anvil.PlanApplied{})
	require.NoError(t, err)
	found := map[string]string{}
	for _, e := range reaction {
		found[e.ID.String()] = string(e.Type) + string(e.Data)
	}
	return map[string]any{"declared": declared, "observed": s.Observed(), "open": s.OpenFindings(), "sweep": last, "swept": swept, "reaction": found}
}

// What is loaded from the rows must be what the log says, and must lead to the
// same findings with the same ids.
func TestAStateLoadedEqualsTheFoldOfItsStream(t *testing.T) {
	v := newViews(t, postgres.AnVIL())
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		stream := event.Consortium(fmt.Sprintf("c%d", n))
		want := anvil.NewState(stream)
		batch := v.projection.NewBatch()
		write := func() {
			v.enter(batch.(runner.PostgresBatch).Write)
			batch = v.projection.NewBatch()
		}
		take := func(e runner.Event) {
			require.NoError(t, want.Apply(e.Event, e.Payload))
			require.NoError(t, batch.Add(e))
		}
		for i, p := range drawFacts(t, stream) {
			v.offset++
			e := written(t, stream, at(0).Add(time.Duration(i)*time.Second), v.offset, p)
			take(e)
			findings, _, err := want.Reaction("test", e.Event, e.Payload)
			require.NoError(t, err)
			for _, f := range findings {
				v.offset++
				p, err := worlds().Decode(f)
				require.NoError(t, err)
				take(runner.Event{Recorded: event.Recorded{Event: f, Position: event.Position{Offset: v.offset}}, Payload: p})
			}
			if rapid.IntRange(0, 9).Draw(t, "batch ends") == 0 {
				write()
			}
		}
		write()
		got, err := postgres.LoadState(context.Background(), v.pool, v.generation(), worlds(), stream)
		require.NoError(t, err)
		require.Equal(t, known(t, want, stream), known(t, got, stream))
	})
}

func TestAFindingThatComesBackIsKnownToHaveBeenResolved(t *testing.T) {
	v := newViews(t, postgres.AnVIL())
	stream := event.Consortium("c")
	folded := anvil.NewState(stream)
	take := func(e runner.Event) {
		require.NoError(t, folded.Apply(e.Event, e.Payload))
		batch := v.projection.NewBatch()
		require.NoError(t, batch.Add(e))
		v.enter(batch.(runner.PostgresBatch).Write)
	}
	happen := func(p event.Payload) runner.Event {
		v.offset++
		e := written(t, stream, at(int(v.offset)), v.offset, p)
		take(e)
		return e
	}
	audit := func() event.Payload {
		t.Helper()
		cause := happen(anvil.PlanApplied{})
		loaded, err := postgres.LoadState(t.Context(), v.pool, v.generation(), worlds(), stream)
		require.NoError(t, err)
		want, _, err := folded.Reaction("test", cause.Event, cause.Payload)
		require.NoError(t, err)
		got, _, err := loaded.Reaction("test", cause.Event, cause.Payload)
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Equal(t, want, got)
		p, err := worlds().Decode(got[0])
		require.NoError(t, err)
		v.offset++
		take(runner.Event{Recorded: event.Recorded{Event: got[0], Position: event.Position{Offset: v.offset}}, Payload: p})
		return p
	}
	observe := func(status int) {
		happen(anvil.AccountObserved{Email: "a@example.org", Reading: anvil.Reading[anvil.AccountInfo]{
			Response: anvil.Response{Status: status}, Value: anvil.AccountInfo{Email: "a@example.org", Registered: status == 200},
		}})
	}
	happen(anvil.ConsortiumDeclared{ServiceAccount: "app@example.org"})
	happen(anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.org", Status: anvil.StatusActive}})
	for resolved := range 3 {
		observe(404)
		opened, ok := audit().(anvil.FindingOpened)
		require.True(t, ok)
		require.Equal(t, resolved, opened.Reopened)
		observe(200)
		require.IsType(t, anvil.FindingResolved{}, audit())
	}
}
