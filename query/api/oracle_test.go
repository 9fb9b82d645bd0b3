package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/query/api"
)

// schemaOfFolds is where organisations are folded into.
const schemaOfFolds = "organisations"

// standing names the schema as the live generation.
type standing struct{}

func (standing) Live(context.Context, string) (runner.Generation, error) {
	return runner.Generation{Namespace: schemaOfFolds}, nil
}

// folded is the API over real tables, into which one organisation after the other is
// folded.
type folded struct {
	*client

	pool       *pgxpool.Pool
	projection runner.Projection
	offset     int64
}

// everybodyPasses is a skill set without required levels: its report lists all
// characters that it is about.
var everybodyPasses = eve.SkillSetDefined{SkillSetID: gunnersID, SkillSet: eve.SkillSet{Name: "Everybody", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Recommended: 5}}}}

func newFolded(t *testing.T, change ...func(*api.Config)) *folded {
	t.Helper()
	f := &folded{pool: enginetest.Postgres(t), projection: postgres.Characters()}
	f.enter(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE SCHEMA "+schemaOfFolds+"; "+f.projection.Schema)
		return err
	})
	reader := postgres.NewCharacterReader(f.pool, live.New(standing{}))
	f.client = newClient(t, append([]func(*api.Config){func(c *api.Config) {
		c.Characters, c.Users, c.SkillSets, c.AccessLog, c.Finder, c.Figures = reader, reader, reader, reader, reader, reader
	}}, change...)...)
	return f
}

// tell folds what happened to a stream.
func (f *folded) tell(t *testing.T, stream event.Stream, payloads ...event.Payload) {
	t.Helper()
	batch := f.projection.NewBatch()
	for _, p := range payloads {
		f.offset++
		e, err := event.New(uuid.New(), stream, "test", moment, p)
		require.NoError(t, err)
		require.NoError(t, batch.Add(runner.Event{Recorded: event.Recorded{Event: e, Position: event.Position{Offset: f.offset}}, Payload: p}))
	}
	f.enter(t, batch.(runner.PostgresBatch).Write)
}

func (f *folded) enter(t *testing.T, do func(context.Context, pgx.Tx) error) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL search_path TO "+schemaOfFolds); err != nil {
			return err
		}
		return do(t.Context(), tx)
	}))
}

// fold replaces what is there by an organisation and roles. Permissions that the roles
// give are not among the imported ones.
func (f *folded) fold(t *testing.T, org access.Organisation, spread spread) {
	t.Helper()
	batch := f.projection.NewBatch()
	add := func(stream event.Stream, payloads ...event.Payload) {
		for _, p := range payloads {
			f.offset++
			e, err := event.New(uuid.New(), stream, "test", moment, p)
			require.NoError(t, err)
			require.NoError(t, batch.Add(runner.Event{Recorded: event.Recorded{Event: e, Position: event.Position{Offset: f.offset}}, Payload: p}))
		}
	}
	add(event.Org, everybodyPasses)
	listed := map[string][]access.ListedCharacter{}
	for _, c := range org.Characters {
		alliance := int64(0)
		if c.AllianceID != nil {
			alliance = *c.AllianceID
		}
		if !c.Registered {
			listed[*c.Owner] = append(listed[*c.Owner], access.ListedCharacter{CharacterID: c.ID, CorporationID: c.CorporationID, AllianceID: alliance})
			continue
		}
		r := eve.CharacterRegistered{CharacterID: c.ID, Name: fmt.Sprint("Pilot ", c.ID), UserID: "before", CorporationID: c.CorporationID, AllianceID: alliance}
		if c.Owner != nil {
			r.UserID = *c.Owner
		}
		add(event.Character(c.ID), r)
		switch {
		case c.Owner == nil:
			add(event.Character(c.ID), eve.CharacterOrphaned{CharacterID: c.ID, Reason: "sold"})
		case c.Shared:
			add(event.Character(c.ID), eve.CharacterShared{CharacterID: c.ID, UserID: *c.Owner})
		}
	}
	for _, role := range spread.roles {
		add(event.Roles, role)
		if slices.Contains(spread.removed, role.RoleID) {
			add(event.Roles, access.RoleRemoved{RoleID: role.RoleID, Name: role.Name})
		}
	}
	for _, u := range org.Users {
		add(event.User(u.ID), access.UserRegistered{UserID: u.ID, Superuser: u.Superuser, Active: u.Active, State: u.State, Permissions: spread.imported[u.ID]},
			access.MainSet{UserID: u.ID, CharacterID: u.Main}, access.CharactersListed{UserID: u.ID, Characters: listed[u.ID]})
		for _, role := range spread.granted[u.ID] {
			add(event.User(u.ID), access.RoleGranted{UserID: u.ID, RoleID: role, Name: "role"})
		}
	}
	f.enter(t, func(ctx context.Context, tx pgx.Tx) error {
		for _, table := range []string{
			"users", "mains", "listings", "listed", "role_definitions", "role_grants", "owners", "registrations", "sharings", "orphans", "skill_sets", "skill_set_skills",
		} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return batch.(runner.PostgresBatch).Write(ctx, tx)
	})
}

// spread is by which ways users are given their permissions.
type spread struct {
	imported map[string][]string
	granted  map[string][]uuid.UUID
	roles    []access.RoleDefined
	// removed are those of the roles that there are no more.
	removed []uuid.UUID
}

// imports gives all permissions as an import does.
func imports(org access.Organisation) spread {
	s := spread{imported: map[string][]string{}}
	for _, u := range org.Users {
		s.imported[u.ID] = u.Permissions
	}
	return s
}

// spreadOf draws by which ways the users of an organisation are given their permissions:
// by a role of their state if all of the state have them, by a role that they were
// granted, by the import, or by several of these. There are roles beside that gave them
// more before and do so no more.
func spreadOf(org access.Organisation, random *rand.Rand) spread {
	s := spread{imported: map[string][]string{}, granted: map[string][]uuid.UUID{}}
	id := func() uuid.UUID { return uuid.UUID{byte(len(s.roles) + 1), byte(len(s.roles) >> 8), 7} }
	given := map[string][]string{}
	for _, state := range []string{"Member", "Blue", "Guest"} {
		common := []string{}
		for _, p := range access.Permissions() {
			all := random.IntN(2) == 0
			for _, u := range org.Users {
				all = all && (u.State != state || slices.Contains(u.Permissions, string(p)))
			}
			if all {
				common = append(common, string(p))
			}
		}
		s.roles = append(s.roles, access.RoleDefined{RoleID: id(), Role: access.Role{Name: "state " + state, Permissions: common, States: []string{state}}})
		for _, u := range org.Users {
			if u.State == state {
				given[u.ID] = common
			}
		}
	}
	for _, u := range org.Users {
		role := access.RoleDefined{RoleID: id(), Role: access.Role{Name: "role " + u.ID}}
		for _, p := range u.Permissions {
			by := random.IntN(3)
			if by != 1 && (by == 2 || !slices.Contains(given[u.ID], p)) {
				s.imported[u.ID] = append(s.imported[u.ID], p)
			}
			if by != 0 && !slices.Contains(s.imported[u.ID], p) && !slices.Contains(given[u.ID], p) || by == 1 {
				role.Permissions = append(role.Permissions, p)
			}
		}
		s.roles = append(s.roles, role)
		s.granted[u.ID] = append(s.granted[u.ID], role.RoleID)
	}
	everything := access.RoleDefined{RoleID: id(), Role: access.Role{Name: "Everything"}}
	for _, p := range access.Permissions() {
		everything.Permissions = append(everything.Permissions, string(p))
	}
	s.roles = append(s.roles, everything)
	for user := range s.granted {
		s.granted[user] = append(s.granted[user], everything.RoleID)
	}
	// It is removed, and another one of its name is defined, which nobody was granted.
	s.removed = append(s.removed, everything.RoleID)
	s.roles = append(s.roles, access.RoleDefined{RoleID: id(), Role: everything.Role})
	return s
}

// ids are those of the characters or users in an answer, ascending or in byte order.
func idsIn(t *testing.T, text, list, field string) []int64 {
	t.Helper()
	var answer map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	var items []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(answer[list]))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&items))
	ids := []int64{}
	for _, item := range items {
		id, err := strconv.ParseInt(fmt.Sprint(item[field]), 10, 64)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// requireOracle asks the API everything about an organisation and holds it against what
// is said.
func (f *folded) requireOracle(t *testing.T, org access.Organisation, says access.Rights) {
	t.Helper()
	s := accesstest.Statement{Organisation: org}
	for _, u := range org.Users {
		basic := s.Can(u, "basic_access")
		for _, id := range append(slices.Collect(func(yield func(int64) bool) {
			for _, c := range org.Characters {
				if !yield(c.ID) {
					return
				}
			}
		}), accesstest.FirstUnknown) {
			want := http.StatusNotFound
			switch {
			case !basic:
				want = http.StatusForbidden
			case slices.Contains(says.Viewer[u.ID], id):
				want = http.StatusOK
			}
			a := f.get(fmt.Sprintf("/v1/characters/%d/fatigue", id), as(u.ID)...)
			require.Equal(t, want, a.StatusCode, "user %s, character %d: %s", u.ID, id, a.text)
		}
		a := f.get("/v1/characters?limit=1000", as(u.ID)...)
		if !basic {
			f.requireProblem(a, http.StatusForbidden, "basic_access")
		} else {
			listed := says.Finder[u.ID]
			if !s.Can(u, "finder_access") {
				listed = []int64{}
				for _, c := range org.Characters {
					if c.Registered && c.Owner != nil && *c.Owner == u.ID {
						listed = append(listed, c.ID)
					}
				}
				slices.Sort(listed)
			}
			require.Equal(t, listed, idsIn(t, a.text, "items", "character_id"), "user %s", u.ID)
		}
		f.requireReport(t, s, u, says)
		status := http.StatusForbidden
		if says.Exports[u.ID] || s.Can(u, "scoped_exports_access") {
			status = http.StatusOK
		}
		require.Equal(t, status, f.get("/v1/exports", as(u.ID)...).StatusCode, "user %s", u.ID)
	}
}

// requireReport holds the skill-set report against the users whom reports may show.
func (f *folded) requireReport(t *testing.T, s accesstest.Statement, u access.OrganisationUser, says access.Rights) {
	t.Helper()
	a := f.get("/v1/reports/skill-sets", as(u.ID)...)
	if !s.Can(u, "reports_access") {
		f.requireProblem(a, http.StatusForbidden, "reports_access")
		return
	}
	want := []int64{}
	for _, c := range s.Characters {
		if owner := s.OwnerOf(c); c.Registered && owner != nil && owner.State != "Guest" && slices.Contains(says.AccessibleUsers[u.ID], owner.ID) {
			want = append(want, c.ID)
		}
	}
	slices.Sort(want)
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	require.Len(t, page.Items, 1)
	require.Equal(t, want, idsIn(t, string(page.Items[0]), "who", "character_id"), "user %s", u.ID)
}

// organisations is how many organisations are asked about.
func organisations(t *testing.T) int {
	t.Helper()
	text := os.Getenv("MUSTER_ACCESS_ORGANISATIONS")
	if text == "" {
		return 40
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "MUSTER_ACCESS_ORGANISATIONS must be a number")
	return n
}

// No character is shown to whom it must not be, and none is withheld from whom it may
// be: random organisations, each user, each character, over the tables and over HTTP,
// whichever way the users were given their permissions.
func TestTheAPIShowsEachUserWhatTheStatementSays(t *testing.T) {
	f := newFolded(t)
	drawn := rapid.Custom(accesstest.Organisation)
	asked := 0
	for seed := range organisations(t) {
		org := drawn.Example(seed)
		f.fold(t, org, spreadOf(org, rand.New(rand.NewPCG(uint64(seed), 1))))
		s := accesstest.Statement{Organisation: org}
		f.requireOracle(t, org, s.Rights())
		asked += len(org.Users) * len(org.Characters)
	}
	require.Positive(t, asked)
	t.Logf("%d organisations, %d pairs of a user and a character", organisations(t), asked)
}

// The acceptance cases, asked over HTTP.
func TestAllVectorsOfAccessComeOutAsExpectedOverHTTP(t *testing.T) {
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors", "eve", "access.jsonl"))
	if err != nil {
		t.Skipf("no acceptance vectors: set MUSTER_SHARED_DIR to the folder that holds vectors/eve (%v)", err)
	}
	f := newFolded(t)
	cases := 0
	for line := range strings.Lines(string(data)) {
		var vector struct {
			Name     string              `json:"name"`
			Org      access.Organisation `json:"org"`
			Expected access.Rights       `json:"expected"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &vector))
		t.Run(vector.Name, func(t *testing.T) {
			f.fold(t, vector.Org, imports(vector.Org))
			f.requireOracle(t, vector.Org, vector.Expected)
		})
		cases++
	}
	require.Equal(t, 50, cases)
}
