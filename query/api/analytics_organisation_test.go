package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/query/api"
)

// Compliance implements [api.OrganisationTrends].
func (t trends) Compliance(_ context.Context, q clickhouse.ComplianceQuery) ([]clickhouse.ComplianceFigures, error) {
	t.note(q)
	return []clickhouse.ComplianceFigures{{
		ComplianceGroup: clickhouse.ComplianceGroup{CorporationID: 2, Cause: "no_main"}, Start: q.From, End: q.To, Users: 3, Compliant: 1, NoMain: 2, NeverRegistered: 1, LoginLost: 1,
		BecameCompliant: 1, BecameNonCompliant: 2, Arrived: 3, Left: 4, MedianSeconds: new(int64(60)), P90Seconds: new(int64(90)),
	}}, nil
}

// OpenCompliance implements [api.OrganisationTrends].
func (t trends) OpenCompliance(_ context.Context, q clickhouse.ComplianceQuery) ([]clickhouse.OpenCompliance, error) {
	t.note(q)
	since := q.To.Add(-time.Hour)
	return []clickhouse.OpenCompliance{
		{User: "ada", Since: since, CorporationID: 2, Causes: []string{"no_main", "login_lost"}, Total: 3, Unregistered: 1},
		{User: "bob", Since: since, Causes: []string{"never_registered"}, Total: 1, Unregistered: 1},
	}, nil
}

// Readiness implements [api.OrganisationTrends].
func (t trends) Readiness(_ context.Context, q clickhouse.ReadinessQuery) ([]clickhouse.ReadinessFigures, error) {
	t.note(q)
	return []clickhouse.ReadinessFigures{{
		ReadinessGroup: clickhouse.ReadinessGroup{SkillSetID: gunnersID, GroupID: shieldID, CorporationID: 2, CharacterID: 90000001}, SkillSetName: "Gunners", GroupName: "Shield",
		Start: q.From, End: q.To, Characters: 4, Passed: 3, Recommended: 2, GainedByCharacter: 1, GainedBySkillSet: 2, LostByCharacter: 3, LostBySkillSet: 4,
	}}, nil
}

// Looks implements [api.OrganisationTrends].
func (t trends) Looks(_ context.Context, q clickhouse.LookQuery) ([]clickhouse.LookFigures, error) {
	t.note(q)
	return []clickhouse.LookFigures{{
		LookGroup: clickhouse.LookGroup{Section: "wallet", Viewer: "user:bob", Owner: "ada", Way: "shared"}, Start: q.From, End: q.To, Looks: 5, Entries: 2, Viewers: 1, Owners: 1, Characters: 1,
	}}, nil
}

func TestHowTheOrganisationStoodIsAskedAsSaid(t *testing.T) {
	c := newClient(t)
	const span = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&interval=month"
	const head = `"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "interval": "month", "tz": "UTC"`
	const interval = `"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"`
	require.JSONEq(t, `{`+head+`, "group_by": ["corporation", "cause"], "items": [{`+interval+`, "corporation_id": 2, "cause": "no_main", "users": 3, "compliant": 1, "non_compliant": 2, "without_main": 2,
		"never_registered": 1, "login_lost": 1, "became_compliant": 1, "became_non_compliant": 2, "arrived": 3, "left": 4, "median_seconds": 60, "p90_seconds": 90}]}`,
		c.get("/v1/analytics/compliance?group_by=corporation,cause&"+span).text)
	require.JSONEq(t, `{`+head+`, "group_by": ["group"], "items": [{`+interval+`, "skill_set_id": "`+gunnersID.String()+`", "skill_set_name": "Gunners", "group_id": "`+shieldID.String()+`", "group_name": "Shield",
		"characters": 4, "passed": 3, "recommended": 2, "gained_by_character": 1, "gained_by_skill_set": 2, "lost_by_character": 3, "lost_by_skill_set": 4}]}`,
		c.get("/v1/analytics/skill-sets?group_by=group&"+span).text)
	require.JSONEq(t, `{`+head+`, "group_by": ["section", "way"], "items": [{`+interval+`, "section": "wallet", "way": "shared", "looks": 5, "entries": 2, "viewers": 1, "owners": 1, "characters": 1}]}`,
		c.get("/v1/analytics/access-log?group_by=section,way&"+span).text)
	for target, why := range map[string]string{
		"compliance?tz=Moon/Crater": "IANA", "compliance?group_by=moon": "group_by", "skill-sets?skill_set_id=7": "skill_set_id", "skill-sets?group_id=x": "group_id", "access-log?group_by=moon": "group_by",
		"compliance?as_of=2100-01-01T00:00:00Z": "yet to come", "compliance/open?as_of=2100-01-01T00:00:00Z": "yet to come", "compliance/open?cursor=x": "cursor",
	} {
		c.requireProblem(c.get("/v1/analytics/"+target), http.StatusUnprocessableEntity, why)
	}
	for target, head := range map[string]string{
		"compliance": "start,end,corporation_id,cause,users,compliant,", "compliance/open": "user,since,seconds,corporation_id,causes,total,unregistered",
		"skill-sets": "start,end,skill_set_id,skill_set_name,", "access-log": "start,end,section,viewer,owner,way,looks,",
	} {
		require.True(t, strings.HasPrefix(c.get("/v1/analytics/"+target, "Accept", "text/csv").text, head), target)
		require.True(t, strings.HasPrefix(c.get("/v1/analytics/"+target, "Accept", "application/vnd.apache.parquet").text, "PAR1"), target)
	}

	var page struct {
		Items      []api.OpenCompliance `json:"items"`
		NextCursor string               `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/analytics/compliance/open?limit=1").text), &page))
	require.Equal(t, []api.OpenCompliance{{User: "ada", Since: moment.Add(-time.Hour), Seconds: 3600, CorporationID: 2, Causes: "no_main,login_lost", Total: 3, Unregistered: 1}}, page.Items)
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/analytics/compliance/open?limit=1&cursor="+page.NextCursor).text), &page))
	require.Len(t, page.Items, 1)
	require.Equal(t, "bob", page.Items[0].User)
}

func TestHowTheOrganisationStoodIsFiltered(t *testing.T) {
	var asked any
	c := newClient(t, func(config *api.Config) { config.OrganisationTrends = trends{&asked} })
	f := func(target string, want any) {
		t.Helper()
		a := c.get("/v1/analytics/" + target)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, want, asked)
	}
	month := moment.Add(-30 * 24 * time.Hour)
	f("compliance?corporation_id=3,4&group_by=cause", clickhouse.ComplianceQuery{From: month, To: moment, Interval: clickhouse.Day, Zone: time.UTC, GroupBy: []clickhouse.Dimension{clickhouse.ByCause}, CorporationIDs: []int64{3, 4}})
	f("skill-sets?corporation_id=3&skill_set_id="+gunnersID.String()+"&group_id="+shieldID.String(), clickhouse.ReadinessQuery{
		From: month, To: moment, Interval: clickhouse.Day, Zone: time.UTC, CorporationIDs: []int64{3}, SkillSetIDs: []uuid.UUID{gunnersID}, GroupIDs: []uuid.UUID{shieldID},
	})
	f("access-log?user_id=ada&viewer=bob,cy&section=wallet&character_id=7", clickhouse.LookQuery{
		From: month, To: moment, Interval: clickhouse.Day, Zone: time.UTC, Owner: "ada", Viewers: []string{"bob", "cy"}, Sections: []string{"wallet"}, CharacterIDs: []int64{7},
	})
	f("compliance/open?corporation_id=3", clickhouse.ComplianceQuery{To: moment, CorporationIDs: []int64{3}})

	// As of a moment nothing later counts, whatever range was asked for.
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	f("compliance?as_of=2026-02-01T00:00:00Z", clickhouse.ComplianceQuery{From: at.Add(-30 * 24 * time.Hour), To: at, Interval: clickhouse.Day, Zone: time.UTC})
	f("compliance?as_of=2026-02-01T00:00:00Z&from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", clickhouse.ComplianceQuery{From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), To: at, Interval: clickhouse.Day, Zone: time.UTC})
	f("compliance/open?as_of=2026-02-01T00:00:00Z", clickhouse.ComplianceQuery{To: at})
}

func TestHowTheOrganisationStoodIsToldOfThoseWhomReportsMayShow(t *testing.T) {
	var asked any
	c := newClient(t, func(config *api.Config) { config.OrganisationTrends = trends{&asked} })
	c.world.grants, c.world.accessible = access.Grants{Active: true, Permissions: []string{"basic_access", "reports_access", "view_same_corporation"}}, []string{"ada", "u1"}
	c.world.holders = skillHolders()
	for _, target := range []string{"compliance", "compliance/open"} {
		require.Equal(t, http.StatusOK, c.get("/v1/analytics/"+target, as("ada")...).StatusCode)
		q := asked.(clickhouse.ComplianceQuery)
		require.True(t, q.Bounded)
		require.Equal(t, []string{"ada", "u1"}, q.Users)
	}
	require.Equal(t, http.StatusOK, c.get("/v1/analytics/skill-sets", as("ada")...).StatusCode)
	require.Equal(t, []int64{0, 90000001}, asked.(clickhouse.ReadinessQuery).CharacterIDs, "those of users whom reports show")
	c.world.accessible = []string{}
	require.Equal(t, http.StatusOK, c.get("/v1/analytics/compliance", as("ada")...).StatusCode)
	require.True(t, asked.(clickhouse.ComplianceQuery).Bounded, "to nobody")
	require.Equal(t, http.StatusOK, c.get("/v1/analytics/skill-sets", as("ada")...).StatusCode)
	require.Equal(t, []int64{0}, asked.(clickhouse.ReadinessQuery).CharacterIDs, "nobody's")

	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "reports_access", "view_everything"}}
	c.world.accessible = []string{"u1", "u3", "u4"}
	require.Equal(t, http.StatusOK, c.get("/v1/analytics/compliance", as("ada")...).StatusCode)
	require.False(t, asked.(clickhouse.ComplianceQuery).Bounded)
	require.Equal(t, http.StatusOK, c.get("/v1/analytics/skill-sets", as("ada")...).StatusCode)
	require.Equal(t, []int64{0, 90000001, 90000004, 90000005}, asked.(clickhouse.ReadinessQuery).CharacterIDs, "without those of guests")

	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access"}}
	for _, target := range []string{"compliance", "compliance/open", "skill-sets"} {
		c.requireProblem(c.get("/v1/analytics/"+target, as("ada")...), http.StatusForbidden, "reports_access")
	}
}

func TestLooksOverTimeAreToldToTheOwnerAlone(t *testing.T) {
	var asked any
	c := newClient(t, func(config *api.Config) { config.OrganisationTrends = trends{&asked} })
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access"}}
	for _, target := range []string{"", "?user_id=ada", "?character_id=90000003"} {
		require.Equal(t, http.StatusOK, c.get("/v1/analytics/access-log"+target, as("ada")...).StatusCode)
		require.Equal(t, "ada", asked.(clickhouse.LookQuery).Owner)
	}
	c.requireProblem(c.get("/v1/analytics/access-log?user_id=bob", as("ada")...), http.StatusForbidden, "not who looked at that of bob")
	c.world.grants = access.Grants{Active: true, Superuser: true}
	require.Equal(t, http.StatusOK, c.get("/v1/analytics/access-log", as("root")...).StatusCode)
	require.Empty(t, asked.(clickhouse.LookQuery).Owner)
	require.Equal(t, http.StatusOK, c.get("/v1/analytics/access-log?user_id=bob", as("root")...).StatusCode)
	require.Equal(t, "bob", asked.(clickhouse.LookQuery).Owner)
	require.Empty(t, c.world.looked, "looks at the log are not noted")
}

func TestHowTheOrganisationStoodComesFromTheRealStores(t *testing.T) {
	s := newStores(t)
	day := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	const id = 90000001
	main := int64(id)
	s.append(event.User("ada"), day, access.MainSet{UserID: "ada", CharacterID: &main},
		access.ComplianceChanged{UserID: "ada", Considered: true, Total: 2, Unregistered: 1, Reasons: []access.Reason{{CharacterID: 7, Fault: access.FaultNeverRegistered}}, Since: day})
	s.append(event.User("ada"), day.Add(time.Hour), access.ComplianceChanged{UserID: "ada", Considered: true, Compliant: true, Total: 2, Since: day.Add(time.Hour)})
	s.append(event.User("bob"), day, access.ComplianceChanged{UserID: "bob", Considered: true, Total: 1, Reasons: []access.Reason{{Fault: access.FaultNoMain}}, Since: day})
	s.append(event.Org, day, eve.SkillSetDefined{SkillSetID: gunnersID, SkillSet: eve.SkillSet{Name: "Gunners", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}}}})
	s.append(event.Character(id), day, eve.CharacterRegistered{CharacterID: id, Name: "Bruce Wayne", UserID: "ada", CorporationID: 98000001},
		eve.SectionObserved{CharacterID: id, Section: eve.SectionSkills, Encoding: eve.EncodingFull, ContentHash: "s", FetchedAt: day.Add(time.Minute), Value: json.RawMessage(`{"total_sp":5000,"skills":[{"skill_id":3300,"active_skill_level":4,"trained_skill_level":4,"skillpoints_in_skill":1}]}`)})
	look := access.DataViewed{ViewerID: "user:bob", ViewerUserID: "bob", OwnerID: "ada", CharacterID: id, Section: "wallet", Way: access.BySharing, FirstAt: day, LastAt: day, Count: 3}
	s.append(look.Stream(), day, look)

	const span = "?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z"
	first := func(field string, want float64) func(map[string]any) bool {
		return func(b map[string]any) bool {
			items, _ := b["items"].([]any)
			if len(items) == 0 {
				return false
			}
			item, _ := items[0].(map[string]any)
			return item[field] == want
		}
	}
	require.Contains(t, s.eventually("/v1/analytics/compliance"+span, first("users", 2)), `"users":2,"compliant":1,"non_compliant":1,"without_main":1,"never_registered":0,"login_lost":0,`+
		`"became_compliant":1,"became_non_compliant":0,"arrived":2,"left":0,"median_seconds":3600,"p90_seconds":3600`)
	require.Contains(t, s.eventually("/v1/analytics/compliance"+span+"&corporation_id=98000001", first("users", 1)), `"compliant":1`)
	require.Contains(t, s.eventually("/v1/analytics/compliance/open?as_of=2026-03-01T10:30:00Z", first("corporation_id", 98000001)), `"causes":"never_registered"`)
	require.Contains(t, s.eventually("/v1/analytics/skill-sets"+span+"&group_by=corporation", first("passed", 1)), `"skill_set_name":"Gunners","corporation_id":98000001,"characters":1,"passed":1,"recommended":1,"gained_by_character":1`)
	require.Contains(t, s.eventually("/v1/analytics/access-log"+span+"&group_by=owner", first("looks", 3)), `"owner":"ada","looks":3,"entries":1,"viewers":1,"owners":1,"characters":1`)
}
