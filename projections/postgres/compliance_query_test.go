package postgres_test

import (
	"context"
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

// foldLosses folds that logins of some characters are lost: of those that are not
// registered, which were so once, and of those that are. It tells which.
func (v *views) foldLosses(t *rapid.T, org access.Organisation) map[int64]bool {
	lost := map[int64]bool{}
	for _, c := range org.Characters {
		if rapid.IntRange(0, 2).Draw(t, "lost") > 0 {
			continue
		}
		stream := event.Character(c.ID)
		if !c.Registered {
			alliance := int64(0)
			if c.AllianceID != nil {
				alliance = *c.AllianceID
			}
			v.fold(stream, at(3), register(c.ID, "Pilot", "seller", c.CorporationID, alliance), eve.CharacterOrphaned{CharacterID: c.ID, Reason: "sold"})
			lost[c.ID] = true
			continue
		}
		// What its owner has not consented to needs no login.
		failure := eve.SectionFailed{CharacterID: c.ID, Section: eve.SectionMails, Class: eve.FailureToken, Message: "invalid_grant", Since: at(4)}
		if lost[c.ID] = rapid.Bool().Draw(t, "consented"); lost[c.ID] {
			failure.Section = eve.SectionDetails
		}
		v.fold(stream, at(4), failure)
	}
	return lost
}

func TestTheReportsOnComplianceOverTheTablesAreThoseOverTheRoster(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	rapid.Check(t, func(rt *rapid.T) {
		v.empty()
		org := accesstest.Organisation(rt)
		v.foldOrganisation(rt, org)
		lost := v.foldLosses(rt, org)
		roster := access.NewRoster(org)
		compare := func(want access.ComplianceReport, audience access.Audience) {
			users, err := reader.ComplianceOfUsers(rt.Context(), postgres.ComplianceFilter{Audience: audience, Limit: 1000})
			require.NoError(rt, err)
			got := []access.UserCompliance{}
			for _, u := range users {
				got = append(got, u.UserCompliance)
			}
			require.Equal(rt, want.Users, got)
			corporations, err := reader.ComplianceOfCorporations(rt.Context(), postgres.ComplianceFilter{Audience: audience, Limit: 1000})
			require.NoError(rt, err)
			require.Equal(rt, want.Corporations, append([]access.CorporationCompliance{}, corporations...))
			for _, yes := range []bool{true, false} {
				filtered, err := reader.ComplianceOfUsers(rt.Context(), postgres.ComplianceFilter{Audience: audience, Compliant: &yes, Registered: new(true), Limit: 1000})
				require.NoError(rt, err)
				count := 0
				for _, u := range want.Users {
					if u.Compliant == yes && u.Registered {
						count++
					}
				}
				require.Len(rt, filtered, count)
				partly, err := reader.ComplianceOfCorporations(rt.Context(), postgres.ComplianceFilter{Audience: audience, Partly: &yes, Limit: 1000})
				require.NoError(rt, err)
				for _, c := range partly {
					require.Equal(rt, yes, c.Partly)
				}
			}
			// Page by page.
			var paged []string
			for after := ""; ; {
				page, err := reader.ComplianceOfUsers(rt.Context(), postgres.ComplianceFilter{Audience: audience, AfterUser: after, Limit: 2})
				require.NoError(rt, err)
				if len(page) == 0 {
					break
				}
				for _, u := range page {
					paged, after = append(paged, u.User), u.User
				}
			}
			require.Len(rt, paged, len(want.Users))
		}
		isLost := func(id int64) bool { return lost[id] }
		compare(roster.Compliance(roster.Everybody(), isLost), access.Audience{Everybody: true})
		for _, id := range roster.Users() {
			viewer, err := reader.Viewer(rt.Context(), id)
			require.NoError(rt, err)
			compare(roster.Compliance(roster.ReportUsers(id), isLost), viewer.Audience())
		}
		compare(access.ComplianceReport{Users: []access.UserCompliance{}, Corporations: []access.CorporationCompliance{}}, access.Audience{})
	})
}

func TestItIsKnownSinceWhenACharacterIsNotRegistered(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	list := func(hour int, batch ...[]int64) {
		t.Helper()
		var payloads []event.Payload
		for _, ids := range batch {
			l := access.CharactersListed{UserID: "u1"}
			for _, id := range ids {
				// Named twice is listed once.
				l.Characters = append(l.Characters, access.ListedCharacter{CharacterID: id}, access.ListedCharacter{CharacterID: id})
			}
			payloads = append(payloads, l)
		}
		v.fold(event.User("u1"), at(hour), payloads...)
	}
	since := func(want map[int64]int) {
		t.Helper()
		users, err := reader.ComplianceOfUsers(t.Context(), postgres.ComplianceFilter{Audience: access.Audience{Everybody: true}, Limit: 10})
		require.NoError(t, err)
		got := map[int64]time.Time{}
		for _, why := range users[0].Why {
			if why.Since != nil {
				got[why.CharacterID] = *why.Since
			}
		}
		expected := map[int64]time.Time{}
		for id, hour := range want {
			expected[id] = at(hour)
		}
		require.Equal(t, expected, got)
	}
	v.fold(event.User("u1"), at(0), access.UserRegistered{UserID: "u1", State: "Member", Permissions: []string{"basic_access"}})
	list(1, []int64{5, 6})
	list(2, []int64{5, 6, 7})
	since(map[int64]int{5: 1, 6: 1, 7: 2})
	list(3, []int64{5}, []int64{5, 6, 7})
	since(map[int64]int{5: 1, 6: 3, 7: 3})
	list(4, []int64{}, []int64{5})
	since(map[int64]int{5: 4})
	v.fold(event.Character(5), at(5), register(5, "Five", "u1", 1, 0))
	since(map[int64]int{})
	v.fold(event.Character(5), at(6), eve.CharacterOrphaned{CharacterID: 5, Reason: "its login was revoked"})
	since(map[int64]int{5: 6})
}

func TestTheReportsOnABigOrganisationAreAnsweredByIndexes(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.bigOrganisation()
	schema := pgx.Identifier{v.schema}.Sanitize()
	reader := postgres.NewCharacterReader(v.pool, v.live())
	f := func(sql string, args []any, free ...string) {
		t.Helper()
		v.plan(sql, args...).walk(func(n node) {
			if slices.Contains(append(free, "", "failures", "switches", "role_definitions", "compliance_groups"), n.Relation) {
				return
			}
			require.NotEqual(t, "Seq Scan", n.Type, "all of %s is read", n.Relation)
		})
	}
	everybody := postgres.ComplianceFilter{Audience: access.Audience{Everybody: true}, Limit: 101}
	sql, args := postgres.ComplianceOfUsersSQL(schema, everybody)
	f(sql, args)
	scoped := postgres.ComplianceFilter{Audience: access.Audience{Scope: access.Scope{AllianceID: 3077}}, Limit: 101}
	sql, args = postgres.ComplianceOfUsersSQL(schema, scoped)
	f(sql, args)
	sql, args = postgres.ComplianceOfCorporationsSQL(schema, scoped)
	f(sql, args)
	users, err := reader.ComplianceOfUsers(t.Context(), scoped)
	require.NoError(t, err)
	require.Len(t, users, 50)
	require.Equal(t, 6, users[0].Total)
	require.Equal(t, 1, users[0].Unregistered)
	corporations, err := reader.ComplianceOfCorporations(t.Context(), postgres.ComplianceFilter{Audience: access.Audience{Everybody: true}, Limit: 2000})
	require.NoError(t, err)
	require.Len(t, corporations, 1000)
	require.Equal(t, access.CorporationOf(2000, 10, 60, 10), corporations[0])
}

// bigOrganisation writes 10,000 users with five characters each; the first one is the
// main. There are 200 alliances of 50 users. Every third character is known by its
// details, and each user has one that is not registered.
func (v *views) bigOrganisation() {
	v.t.Helper()
	v.enter(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO users SELECT 'u' || u, 'user', false, true, 'Member', '{basic_access,finder_access,characters_access,view_same_alliance}', gen_random_uuid(), 0, u FROM generate_series(1, 10000) u;
			INSERT INTO role_definitions SELECT gen_random_uuid(), 'Auditor ' || n, '', '{share_characters}', '{}', '{}', '{}', false, now(), 'test', gen_random_uuid(), 0, n FROM generate_series(1, 10) n;
			INSERT INTO role_grants SELECT 'u' || u, role_id, true, now(), 'test', gen_random_uuid(), 0, u FROM generate_series(1, 1000) u, role_definitions;
			INSERT INTO compliance_groups SELECT gen_random_uuid(), 'Group ' || n, '', '{}', false, now(), 'test', gen_random_uuid(), 0, n FROM generate_series(1, 3) n;
			INSERT INTO compliance_memberships SELECT 'u' || u, group_id, true, now(), gen_random_uuid(), 0, u FROM generate_series(1, 10000) u, compliance_groups;
			INSERT INTO mains SELECT 'u' || u, u * 5, gen_random_uuid(), 0, u FROM generate_series(1, 10000) u;
			INSERT INTO listings SELECT 'u' || u, gen_random_uuid(), 0, u FROM generate_series(1, 10000) u;
			INSERT INTO listed SELECT 'u' || u, 1000000 + u, 'Alt ' || u, 2000 + u % 1000, 3000 + u % 200, now(), gen_random_uuid(), 0, u FROM generate_series(1, 10000) u;
			INSERT INTO registrations SELECT c, 'Pilot ' || c, 2000 + c / 5 % 1000, 3000 + c / 5 % 200, gen_random_uuid(), 0, c FROM generate_series(5, 50004) c;
			INSERT INTO identities SELECT c, 'Pilot ' || c, 2000 + c / 5 % 1000, 3000 + c / 5 % 200, gen_random_uuid(), 0, c FROM generate_series(5, 50004) c WHERE c % 3 = 0;
			INSERT INTO owners SELECT c, 'u' || c / 5, '', '{}', now(), gen_random_uuid(), 0, c FROM generate_series(5, 50004) c;
			INSERT INTO sharings SELECT c, c % 1000 = 0, 'u' || c / 5, NULL, gen_random_uuid(), 0, c FROM generate_series(5, 50004) c WHERE c % 10 = 0;
			INSERT INTO orphans SELECT c, false, '', now(), gen_random_uuid(), 0, c FROM generate_series(5, 50004) c;
			INSERT INTO sections SELECT c, 'location', 'h', now(), json_build_object('solar_system_id', 30000000 + c % 500), NULL, NULL, gen_random_uuid(), 0, c FROM generate_series(5, 50004) c`)
		return err
	})
	_, err := v.pool.Exec(v.t.Context(), "ANALYZE")
	require.NoError(v.t, err)
}
