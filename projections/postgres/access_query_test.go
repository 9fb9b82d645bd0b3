package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// empty takes all rows away.
func (v *views) empty() {
	v.t.Helper()
	v.enter(func(ctx context.Context, tx pgx.Tx) error {
		for _, t := range v.projection.Tables {
			if _, err := tx.Exec(ctx, "DELETE FROM "+t.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// foldOrganisation folds events that add up to an organisation. What they go through
// before is drawn: characters have had other owners, were shared by them, and were in
// other corporations.
func (v *views) foldOrganisation(t *rapid.T, org access.Organisation) {
	some := func(label string) bool { return rapid.Bool().Draw(t, label) }
	zero := func(id *int64) int64 {
		if id == nil {
			return 0
		}
		return *id
	}
	listed := map[string][]access.ListedCharacter{}
	for _, c := range org.Characters {
		if !c.Registered {
			listed[*c.Owner] = append(listed[*c.Owner], access.ListedCharacter{CharacterID: c.ID, Name: fmt.Sprint("Alt ", c.ID), CorporationID: c.CorporationID, AllianceID: zero(c.AllianceID)})
			continue
		}
		var payloads []event.Payload
		owner := ""
		if c.Owner != nil {
			owner = *c.Owner
		}
		before := owner
		if len(org.Users) > 0 && (owner == "" || some("another owner before")) {
			before = rapid.SampledFrom(org.Users).Draw(t, "owner before").ID
		}
		corporation, alliance := c.CorporationID, zero(c.AllianceID)
		moved := some("moved")
		if moved {
			corporation, alliance = 2000+rapid.Int64Range(0, 8).Draw(t, "from"), rapid.Int64Range(2999, 3005).Draw(t, "alliance")
		}
		payloads = append(payloads, register(c.ID, fmt.Sprint("Pilot ", c.ID), before, corporation, alliance))
		if before != owner || c.Owner == nil {
			if some("shared before") {
				payloads = append(payloads, eve.CharacterShared{CharacterID: c.ID, UserID: before})
			}
			if c.Owner == nil || some("orphaned") {
				payloads = append(payloads, eve.CharacterOrphaned{CharacterID: c.ID, Reason: "sold"})
			}
			if c.Owner != nil {
				payloads = append(payloads, eve.CharacterReclaimed{CharacterID: c.ID, UserID: owner})
			}
		}
		if c.Owner != nil {
			if c.Shared || some("shared for a while") {
				payloads = append(payloads, eve.CharacterShared{CharacterID: c.ID, UserID: owner, Until: c.SharedUntil})
				if !c.Shared {
					payloads = append(payloads, eve.CharacterUnshared{CharacterID: c.ID})
				}
			}
			if some("renewed") {
				payloads = append(payloads, eve.CharacterReclaimed{CharacterID: c.ID, UserID: owner})
			}
		}
		if moved {
			value, err := json.Marshal(map[string]any{"name": fmt.Sprint("Pilot ", c.ID), "corporation_id": c.CorporationID, "alliance_id": zero(c.AllianceID)})
			require.NoError(t, err)
			payloads = append(payloads, eve.SectionObserved{CharacterID: c.ID, Section: eve.SectionDetails, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: at(1), Value: value})
		}
		v.fold(event.Character(c.ID), at(1), payloads...)
	}
	for _, u := range org.Users {
		var payloads []event.Payload
		if some("listed before") {
			payloads = append(payloads, access.CharactersListed{UserID: u.ID, Characters: []access.ListedCharacter{{CharacterID: accesstest.FirstUnknown}}})
		}
		payloads = append(payloads,
			access.UserRegistered{UserID: u.ID, Superuser: u.Superuser, Active: u.Active, State: u.State, Permissions: u.Permissions},
			access.MainSet{UserID: u.ID, CharacterID: u.Main}, access.CharactersListed{UserID: u.ID, Characters: listed[u.ID]})
		v.fold(event.User(u.ID), at(2), payloads...)
	}
}

func TestTheRulesOverTheTablesAreThoseOverTheRoster(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	rapid.Check(t, func(rt *rapid.T) {
		v.empty()
		org := accesstest.Organisation(rt)
		now := at(12)
		for i, c := range org.Characters {
			if c.Shared && rapid.Bool().Draw(rt, "ends") {
				// The moment itself is no longer part of the sharing.
				org.Characters[i].SharedUntil = new(now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(rt, "from now")) * time.Microsecond))
			}
		}
		v.foldOrganisation(rt, org)
		roster := access.NewRosterAt(org, now)
		for _, id := range append(roster.Users(), "nobody") {
			viewer, err := reader.Viewer(t.Context(), id)
			require.NoError(rt, err)
			for _, p := range access.Permissions() {
				require.Equal(rt, roster.Grants(id).Can(p), viewer.Can(p))
				require.Equal(rt, roster.Grants(id).Holds(p), viewer.Holds(p))
			}
			view := viewer.View()
			view.At = now
			opened, err := reader.Characters(t.Context(), postgres.CharacterFilter{View: &view, Sort: postgres.SortByID, Limit: 1000})
			require.NoError(rt, err)
			require.Equal(rt, roster.Viewer(id), idsOf(opened, func(c postgres.Character) int64 { return c.CharacterID }))
			for _, c := range org.Characters {
				may, err := reader.MayOpen(t.Context(), view, c.ID)
				require.NoError(rt, err)
				require.Equal(rt, roster.MayOpen(id, c.ID), may)
				if c.Registered {
					subject, err := reader.Subject(t.Context(), c.ID, now)
					require.NoError(rt, err)
					require.Equal(rt, may, view.Way(subject) != "")
				}
			}
			view = viewer.FinderView()
			view.At = now
			found, err := reader.Finder(t.Context(), postgres.FinderFilter{View: &view, Registered: new(true), Limit: 1000})
			require.NoError(rt, err)
			ids := idsOf(found, func(f postgres.FinderRow) int64 { return f.CharacterID })
			slices.Sort(ids)
			require.Equal(rt, roster.Finder(id), ids)
			requireUnregistered(rt, reader, org, roster, id, view)
			for _, row := range found {
				requireFinderRow(rt, org, row)
			}
			users, err := reader.AccessibleUsers(t.Context(), viewer.Audience())
			require.NoError(rt, err)
			require.Equal(rt, roster.AccessibleUsers(id), users)
		}
	})
}

func idsOf[T any](list []T, id func(T) int64) []int64 {
	ids := []int64{}
	for _, item := range list {
		ids = append(ids, id(item))
	}
	return ids
}

// requireFinderRow compares a row with the organisation: the main's corporation is
// the main's, not the character's own.
func requireFinderRow(t *rapid.T, org access.Organisation, row postgres.FinderRow) {
	of := func(id int64) access.OrganisationCharacter {
		return org.Characters[slices.IndexFunc(org.Characters, func(c access.OrganisationCharacter) bool { return c.ID == id })]
	}
	alliance := func(c access.OrganisationCharacter) int64 {
		if c.AllianceID == nil {
			return 0
		}
		return *c.AllianceID
	}
	c := of(row.CharacterID)
	require.Equal(t, c.CorporationID, row.CorporationID)
	require.Equal(t, alliance(c), row.AllianceID)
	if c.Owner == nil {
		require.Equal(t, postgres.CharacterOrphaned, row.Status)
		require.Empty(t, row.State)
		require.Nil(t, row.Main)
		require.False(t, row.Shared)
		return
	}
	// The column is as of the clock of the database.
	require.Equal(t, c.Shared && (c.SharedUntil == nil || c.SharedUntil.After(time.Now())), row.Shared)
	owner := org.Users[slices.IndexFunc(org.Users, func(u access.OrganisationUser) bool { return u.ID == *c.Owner })]
	require.Equal(t, owner.ID, row.UserID)
	require.Equal(t, owner.State, row.State)
	if owner.Main == nil {
		require.Nil(t, row.Main)
		return
	}
	main := of(*owner.Main)
	name := fmt.Sprint("Pilot ", main.ID)
	if !main.Registered {
		name = fmt.Sprint("Alt ", main.ID)
	}
	require.Equal(t, &postgres.Main{CharacterID: main.ID, Name: name, CorporationID: main.CorporationID, AllianceID: alliance(main)}, row.Main)
	require.Equal(t, main.ID == c.ID, row.IsMain())
}

// node is a step of a plan of Postgres.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	// Loops is how often the step was taken; it is only known once it was.
	Loops float64 `json:"Actual Loops"`
	Plans []node  `json:"Plans"`
}

// walk calls visit for the step and all below it.
func (n node) walk(visit func(node)) {
	visit(n)
	for _, p := range n.Plans {
		p.walk(visit)
	}
}

// plan is how Postgres means to answer.
func (v *views) plan(sql string, args ...any) node {
	v.t.Helper()
	return v.explain("EXPLAIN (FORMAT JSON) "+sql, args...)
}

// taken is how Postgres has answered.
func (v *views) taken(sql string, args ...any) node {
	v.t.Helper()
	return v.explain("EXPLAIN (ANALYZE, FORMAT JSON) "+sql, args...)
}

func (v *views) explain(sql string, args ...any) node {
	v.t.Helper()
	var raw []byte
	require.NoError(v.t, v.pool.QueryRow(v.t.Context(), sql, args...).Scan(&raw))
	var plans []struct{ Plan node }
	require.NoError(v.t, json.Unmarshal(raw, &plans))
	require.Len(v.t, plans, 1)
	return plans[0].Plan
}

// Of 50,000 characters an alliance auditor sees 250: they are found by indexes, and
// no table of characters, owners or users is read from end to end.
func TestAnAuditorOfABigOrganisationIsAnsweredByIndexes(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.bigOrganisation()
	schema := pgx.Identifier{v.schema}.Sanitize()
	reader := postgres.NewCharacterReader(v.pool, v.live())
	viewer, err := reader.Viewer(t.Context(), "u77")
	require.NoError(t, err)
	view := viewer.FinderView()
	require.Equal(t, access.View{Owner: "u77", Scope: access.Scope{AllianceID: 3077}}, view)
	filter := postgres.CharacterFilter{View: &view, Limit: 1000}
	find := postgres.FinderFilter{View: &view, Limit: 1000}
	rows, err := reader.Finder(t.Context(), find)
	require.NoError(t, err)
	require.Len(t, rows, 300, "of 50 users five characters and one that is not registered")
	for _, row := range rows {
		require.Equal(t, int64(3077), row.Main.AllianceID)
	}

	f := func(sql string, args []any, want ...string) {
		t.Helper()
		indexes := map[string]bool{}
		v.plan(sql, args...).walk(func(n node) {
			indexes[n.Index] = true
			switch n.Relation {
			case "", "switches", "failures", "role_definitions", "compliance_groups", "recorded", "misfits":
				return // these are empty, or have few rows
			}
			require.NotEqual(t, "Seq Scan", n.Type, "all of %s is read", n.Relation)
		})
		for _, index := range want {
			require.True(t, indexes[index], "%s is not used, but %v", index, indexes)
		}
	}
	scope := []string{"identities_alliance", "registrations_alliance", "listed_alliance", "owners_user"}
	sql, args, err := postgres.FinderSQL(schema, false, find)
	require.NoError(t, err)
	f(sql, args, scope...)
	find.Order, find.SystemID = []postgres.FinderOrder{{Column: "main", Down: true}, {Column: "name"}}, 30000007
	sql, args, err = postgres.FinderSQL(schema, false, find)
	require.NoError(t, err)
	f(sql, args, scope...)
	sql, args, err = postgres.FinderSQL(schema, false, postgres.FinderFilter{Prefix: "Pilot 4711", Limit: 100})
	require.NoError(t, err)
	f(sql, args, "identities_name", "registrations_name", "listed_name")
	sql, args = postgres.CharactersSQL(schema, filter)
	f(sql, args, scope...)
	view.Shared = true
	sql, args = postgres.CharactersSQL(schema, filter)
	f(sql, args, append(scope, "sharings_shared")...)
	f(postgres.SubjectSQL(schema), []any{int64(500), nil, "share_characters"}, "registrations_pkey", "owners_pkey", "users_pkey", "mains_pkey")
	state, err := reader.StateSQL(t.Context(), schema, eve.SectionLocation)
	require.NoError(t, err)
	f(state, []any{int64(500), string(eve.SectionLocation)}, "registrations_pkey", "owners_pkey", "sections_pkey")
	filter.ID = 500
	sql, args = postgres.CharactersSQL(schema, filter)
	f(sql, args, "registrations_pkey", "owners_pkey")
}

// A main can be set for somebody who is not known, and is nobody's home.
func TestAMainOfSomebodyUnknownOpensNothing(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.fold(event.Character(1), at(1), register(1, "Pilot", "ghost", 10, 99))
	v.fold(event.User("ghost"), at(1), access.MainSet{UserID: "ghost", CharacterID: new(int64(1))})
	reader := postgres.NewCharacterReader(v.pool, v.live())
	f := func(view access.View, want bool) {
		t.Helper()
		may, err := reader.MayOpen(t.Context(), view, 1)
		require.NoError(t, err)
		require.Equal(t, want, may)
		opened, err := reader.Opened(t.Context(), view)
		require.NoError(t, err)
		require.Equal(t, want, slices.Contains(opened, 1))
	}
	f(access.View{Scope: access.Scope{CorporationID: 10}}, false)
	f(access.View{Scope: access.Scope{AllianceID: 99}}, false)
	f(access.View{Everything: true}, true)
	f(access.View{Owner: "ghost"}, true)
	may, err := reader.MayOpen(t.Context(), access.View{Everything: true}, 2)
	require.NoError(t, err)
	require.False(t, may, "there is no such character")
}

// Who asks is read once at the beginning of a request; what is decided later is decided
// by what holds then.
func TestAViewerIsRememberedUntilHeIsAdmitted(t *testing.T) {
	v := newViews(t, postgres.Characters())
	give := func(permissions ...string) {
		v.fold(event.User("ada"), at(1), access.UserRegistered{UserID: "ada", Active: true, Permissions: permissions})
	}
	reader := postgres.NewCharacterReader(v.pool, v.live())
	holds := func(ctx context.Context, user string) bool {
		viewer, known, err := reader.KnownViewer(ctx, user)
		require.NoError(t, err)
		require.Equal(t, user == "ada", known)
		return viewer.Holds(access.BasicAccess)
	}
	give("basic_access")
	ctx, over := postgres.RememberViewer(t.Context())
	require.True(t, holds(ctx, "ada"))
	give()
	require.True(t, holds(ctx, "ada"), "read once")
	require.False(t, holds(t.Context(), "ada"), "another request")
	require.False(t, holds(ctx, "bob"), "somebody else is somebody else")
	over()
	require.False(t, holds(ctx, "ada"))
	give("basic_access")
	require.True(t, holds(ctx, "ada"), "nothing is remembered any more")
}
