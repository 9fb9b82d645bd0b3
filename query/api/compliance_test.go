package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

func (w *world) ComplianceOfUsers(ctx context.Context, f postgres.ComplianceFilter) ([]postgres.UserCompliance, error) {
	w.compliance = f
	reason := access.Reason{CharacterID: 7, Fault: access.FaultNeverRegistered}
	ada := access.UserOf("ada", new(int64(90000001)), 2, 1)
	ada.Reasons = []access.Reason{reason}
	return []postgres.UserCompliance{
		{
			UserCompliance: ada, Name: "Ada", State: "Member", Home: access.Home{CorporationID: 98000001}, MainName: "Bruce",
			Why: []postgres.ComplianceReason{{Reason: reason, Name: "Alt", Since: &moment}},
		},
		{UserCompliance: access.UserOf("bob", nil, 0, 0), Why: []postgres.ComplianceReason{{Reason: access.Reason{Fault: access.FaultNoMain}}}},
	}, w.enter(ctx)
}

func (w *world) ComplianceOfCorporations(ctx context.Context, f postgres.ComplianceFilter) ([]access.CorporationCompliance, error) {
	w.compliance = f
	return []access.CorporationCompliance{access.CorporationOf(98000001, 3, 250, 1)}, w.enter(ctx)
}

func TestComplianceIsReported(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/reports/compliance/users?state=Member&alliance_id=8&corporation_id=9&compliant=false&registered=true&limit=1")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, postgres.ComplianceFilter{
		Audience: access.Audience{Everybody: true}, State: "Member", AllianceID: 8, CorporationID: 9, Compliant: new(false), Registered: new(true), Limit: 2,
	}, c.world.compliance)
	var page struct {
		Items      []map[string]any
		NextCursor string `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	require.Equal(t, map[string]any{
		"user": "ada", "name": "Ada", "state": "Member", "main": 90000001.0, "main_name": "Bruce", "corporation_id": 98000001.0, "corporation_name": "Wayne Enterprises", "alliance_id": nil,
		"total": 2.0, "unregistered": 1.0, "registered": true, "compliant": false,
		"reasons": []any{map[string]any{"character_id": 7.0, "character_name": "Alt", "fault": "never_registered", "since": "2026-05-01T12:00:00Z"}},
	}, page.Items[0])
	c.get("/v1/reports/compliance/users?cursor=" + page.NextCursor)
	require.Equal(t, "ada", c.world.compliance.AfterUser)

	require.JSONEq(t, `{"items": [{"corporation_id": 98000001, "corporation_name": "Wayne Enterprises", "mains": 3, "characters": 250, "unregistered": 1,
		"percent_floor_2": "99.60", "compliant": false, "partly": true}]}`, c.get("/v1/reports/compliance/corporations?partly=true").text)
	require.Equal(t, new(true), c.world.compliance.Partly)
	require.Contains(t, c.get("/v1/reports/compliance/corporations", "Accept", "text/csv").text, "98000001,Wayne Enterprises,3,250,1,99.60,false,true")
	c.requireProblem(c.get("/v1/reports/compliance/users?compliant=maybe"), http.StatusUnprocessableEntity, "compliant")
	c.requireProblem(c.get("/v1/reports/compliance/corporations?cursor="+page.NextCursor), http.StatusUnprocessableEntity, "cursor")
}

func TestReportsShowAUserHisAudience(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{"/v1/reports/compliance/users", "/v1/reports/compliance/corporations"} {
		c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "view_everything"}}
		c.requireProblem(c.get(path, as("ada")...), http.StatusForbidden, "reports_access")
		c.world.grants = access.Grants{Superuser: true}
		c.requireProblem(c.get(path, as("root")...), http.StatusForbidden, "active")
		c.world.grants = access.Grants{Active: true, Permissions: []string{"reports_access"}}
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, access.Audience{User: "ada"}, c.world.compliance.Audience)
	}
}

// foldOrganisation appends events that add up to an organisation.
func (s *stores) appendOrganisation(org access.Organisation) {
	s.t.Helper()
	listed := map[string][]access.ListedCharacter{}
	for _, c := range org.Characters {
		alliance, owner := int64(0), ""
		if c.AllianceID != nil {
			alliance = *c.AllianceID
		}
		if c.Owner != nil {
			owner = *c.Owner
		}
		if !c.Registered {
			listed[owner] = append(listed[owner], access.ListedCharacter{CharacterID: c.ID, CorporationID: c.CorporationID, AllianceID: alliance})
			continue
		}
		s.append(event.Character(c.ID), moment, eve.CharacterRegistered{CharacterID: c.ID, Name: "Pilot", UserID: owner, CorporationID: c.CorporationID, AllianceID: alliance})
		if c.Owner == nil {
			s.append(event.Character(c.ID), moment, eve.CharacterOrphaned{CharacterID: c.ID, Reason: "sold"})
		}
		if c.Shared {
			s.append(event.Character(c.ID), moment, eve.CharacterShared{CharacterID: c.ID, UserID: owner})
		}
	}
	for _, u := range org.Users {
		s.append(event.User(u.ID), moment,
			access.UserRegistered{UserID: u.ID, Superuser: u.Superuser, Active: u.Active, State: u.State, Permissions: u.Permissions},
			access.MainSet{UserID: u.ID, CharacterID: u.Main}, access.CharactersListed{UserID: u.ID, Characters: listed[u.ID]})
	}
}

// apart moves an organisation of a vector away from those of the others, so that all of
// them fit into one log: it adds to ids, and puts a letter before those of users whose
// order it keeps.
func apart(org access.Organisation, n int64) access.Organisation {
	prefix := prefixOf(n)
	move := func(id *int64) *int64 {
		if id == nil {
			return nil
		}
		return new(*id + n*1_000_000)
	}
	for i := range org.Users {
		u := &org.Users[i]
		u.ID, u.Main = prefix+u.ID, move(u.Main)
	}
	for i := range org.Characters {
		c := &org.Characters[i]
		c.ID, c.CorporationID, c.AllianceID = c.ID+n*1_000_000, c.CorporationID+n*1_000_000, move(c.AllianceID)
		if c.Owner != nil {
			c.Owner = new(prefix + *c.Owner)
		}
	}
	return org
}

func prefixOf(n int64) string { return "v" + string(rune('a'+n)) + "-" }

func complianceVectors(t *testing.T) []access.Vector {
	t.Helper()
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	file, err := os.Open(filepath.Join(shared, "vectors", "eve", "compliance.jsonl"))
	if err != nil {
		t.Skipf("no acceptance vectors: set MUSTER_SHARED_DIR to the folder that holds vectors/eve/compliance.jsonl (%v)", err)
	}
	defer func() { require.NoError(t, file.Close()) }()
	var vectors []access.Vector
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		v, err := access.DecodeVector(lines.Bytes())
		require.NoError(t, err)
		vectors = append(vectors, v)
	}
	require.NoError(t, lines.Err())
	return vectors
}

// reported are rows of both reports.
type reported struct {
	Users        []map[string]any
	Corporations []map[string]any
}

func TestAllVectorsOfComplianceComeOutOverHTTPAsExpected(t *testing.T) {
	vectors := complianceVectors(t)
	require.NotEmpty(t, vectors)
	s := newStores(t)
	users := 0
	for n, v := range vectors {
		org := apart(v.Organisation, int64(n))
		s.appendOrganisation(org)
		users += len(org.Users)
	}
	// The last user is folded last: partitions apart, so all are waited for.
	require.Eventually(t, func() bool {
		var stats struct{ Users int }
		a := s.get("/v1/stats")
		return a.StatusCode == http.StatusOK && json.Unmarshal([]byte(a.text), &stats) == nil && stats.Users == users
	}, 60*time.Second, 50*time.Millisecond)
	all := func(target string) (rows []map[string]any) {
		for cursor := ""; ; {
			a := s.get(target + "?limit=50" + cursor)
			require.Equal(t, http.StatusOK, a.StatusCode, a.text)
			var page struct {
				Items      []map[string]any
				NextCursor string `json:"next_cursor"`
			}
			require.NoError(t, json.Unmarshal([]byte(a.text), &page))
			rows = append(rows, page.Items...)
			if page.NextCursor == "" {
				return rows
			}
			cursor = "&cursor=" + page.NextCursor
		}
	}
	differing := func() (names []string) {
		rows := reported{all("/v1/reports/compliance/users"), all("/v1/reports/compliance/corporations")}
		for n, v := range vectors {
			if difference := compareReports(t, v, int64(n), rows); difference != "" {
				names = append(names, v.Name+": "+difference)
			}
		}
		return names
	}
	// Characters may come after users.
	var names []string
	require.Eventually(t, func() bool { names = differing(); return len(names) == 0 }, 60*time.Second, 200*time.Millisecond, "%v", names)
}

// compareReports says how the rows of a vector differ from what it expects.
func compareReports(t *testing.T, v access.Vector, n int64, rows reported) string {
	t.Helper()
	var expected struct{ Users, Corporations []map[string]any }
	require.NoError(t, json.Unmarshal(v.Expected, &expected))
	moved := func(id any) any {
		if number, is := id.(float64); is {
			return number + float64(n*1_000_000)
		}
		return id
	}
	for _, u := range expected.Users {
		u["user"], u["main"] = prefixOf(n)+u["user"].(string), moved(u["main"])
	}
	for _, c := range expected.Corporations {
		c["corporation_id"] = moved(c["corporation_id"])
	}
	compare := func(want, got []map[string]any) string {
		for i, row := range want {
			if i >= len(got) {
				return "a row is missing"
			}
			for field, value := range row {
				if got[i][field] != value {
					return field + " differs"
				}
			}
		}
		if len(got) > len(want) {
			return "a row too many"
		}
		return ""
	}
	var users, corporations []map[string]any
	for _, u := range rows.Users {
		if strings.HasPrefix(u["user"].(string), prefixOf(n)) {
			users = append(users, u)
		}
	}
	for _, c := range rows.Corporations {
		if int64(c["corporation_id"].(float64))/1_000_000 == n {
			corporations = append(corporations, c)
		}
	}
	if difference := compare(expected.Users, users); difference != "" {
		return difference
	}
	return compare(expected.Corporations, corporations)
}
