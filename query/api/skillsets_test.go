package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

var (
	gunnersID = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad5")
	secretID  = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad6")
	shieldID  = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad7")
)

func skillSets() postgres.SkillSets {
	return postgres.SkillSets{
		Sets: []postgres.SkillSet{
			{ID: secretID, SkillSet: eve.SkillSet{Name: "auditors only", Skills: []eve.SetSkill{{TypeID: 3300, Required: 1}}}, DefinedAt: moment, DefinedBy: "token:admin"},
			{ID: gunnersID, SkillSet: eve.SkillSet{Name: "Gunners", ShipTypeID: 34, Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}, {TypeID: 3301, Recommended: 5}}}, DefinedAt: moment, DefinedBy: "token:admin", GroupIDs: []uuid.UUID{shieldID}},
		},
		Groups: []postgres.SkillSetGroup{{ID: shieldID, SkillSetGroup: eve.SkillSetGroup{Name: "Shield", Doctrine: true, SkillSetIDs: []uuid.UUID{gunnersID}}, DefinedAt: moment}},
	}
}

func skillHolders() []postgres.SkillHolder {
	attributes := &eve.Attributes{Charisma: 17, Intelligence: 17, Memory: 17, Perception: 27, Willpower: 21}
	return []postgres.SkillHolder{
		{CharacterID: 90000001, Name: "Bruce", CorporationID: 98000001, AllianceID: 99000001, UserID: "u1", UserState: "Member", MainID: 90000001, MainName: "Bruce", Attributes: attributes, Synced: true},
		{CharacterID: 90000003, Name: "Guest", CorporationID: 98000001, UserID: "u3", UserState: "Guest", Synced: true},
		{CharacterID: 90000004, Name: "Clark", CorporationID: 98000002, UserID: "u4", Attributes: attributes},
		{CharacterID: 90000005, Name: "Diana", CorporationID: 98000002, UserID: "u4", Synced: true},
	}
}

func (w *world) SkillSets(ctx context.Context) (postgres.SkillSets, error) {
	found := w.skillSets
	found.Sets, found.Groups = slices.Clone(found.Sets), slices.Clone(found.Groups)
	return found, w.enter(ctx)
}

func (w *world) SkillHolders(ctx context.Context) ([]postgres.SkillHolder, error) {
	return slices.Clone(w.holders), w.enter(ctx)
}

func (w *world) SkillsOf(ctx context.Context, characters, types []int64) (map[int64]eve.Skills, error) {
	found := map[int64]eve.Skills{}
	for id, skills := range w.skills {
		if slices.Contains(characters, id) {
			found[id] = maps.Clone(skills)
			maps.DeleteFunc(found[id], func(skill int64, _ eve.SkillState) bool { return !slices.Contains(types, skill) })
		}
	}
	return found, w.enter(ctx)
}

func (w *world) SkillNatures(ctx context.Context, _ []int64) (map[int64]eve.SkillNature, error) {
	return map[int64]eve.SkillNature{
		3300: {Rank: 1, Primary: 167, Secondary: 168},
		3301: {Rank: 1, Primary: 167, Secondary: 168, Needs: []eve.SetSkill{{TypeID: 3302, Required: 1}}},
		3302: {Rank: 1, Primary: 167, Secondary: 168},
	}, w.enter(ctx)
}

func (w *world) TypesNamed(ctx context.Context, names []string) (eve.TypesByName, error) {
	known := eve.TypesByName{
		"gunnery": {TypeID: 3300, Skill: true}, "rifter": {TypeID: 587, Needs: []eve.SetSkill{{TypeID: 3329, Required: 1}}}, "tritanium": {TypeID: 34},
	}
	maps.DeleteFunc(known, func(called string, _ eve.KnownType) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, called) })
	})
	return known, w.enter(ctx)
}

func (w *world) DefineSkillSet(ctx context.Context, in api.SkillSetDefinition) (api.SkillSetDecision, error) {
	w.defined = in
	if in.Set.Name == "taken" && !in.Overwrite {
		return api.SkillSetDecision{}, event.Errorf(event.CodeConflict, "names are unique")
	}
	return api.SkillSetDecision{ID: gunnersID, Changed: true, Version: 7, Shown: w.shown}, w.enter(ctx)
}

func (w *world) RemoveSkillSet(ctx context.Context, in api.SkillSetRemoval) (api.SkillSetDecision, error) {
	w.removed = in
	return api.SkillSetDecision{ID: in.ID, Changed: true, Version: 8, Shown: w.shown}, w.enter(ctx)
}

func (w *world) DefineSkillSetGroup(ctx context.Context, in api.SkillSetGroupDefinition) (api.SkillSetDecision, error) {
	w.definedGroup = in
	return api.SkillSetDecision{ID: shieldID, Changed: true, Version: 9, Shown: w.shown}, w.enter(ctx)
}

func (w *world) RemoveSkillSetGroup(ctx context.Context, in api.SkillSetRemoval) (api.SkillSetDecision, error) {
	w.removed = in
	return api.SkillSetDecision{ID: in.ID, Changed: true, Version: 10, Shown: w.shown}, w.enter(ctx)
}

func TestSkillSetsAreListedByNameAndPageByPage(t *testing.T) {
	c := newClient(t)
	names := func(target string) (list []string) {
		for target != "" {
			a := c.get(target)
			require.Equal(t, http.StatusOK, a.StatusCode, a.text)
			var page api.Page[api.SkillSet]
			require.NoError(t, json.Unmarshal([]byte(a.text), &page))
			for _, set := range page.Items {
				list = append(list, set.Name)
			}
			target, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
		}
		return list
	}
	require.Equal(t, []string{"auditors only", "Gunners"}, names("/v1/skill-sets"))
	require.Equal(t, []string{"auditors only", "Gunners"}, names("/v1/skill-sets?limit=1"))
	require.Equal(t, []string{"Gunners"}, names("/v1/skill-sets?group_id="+shieldID.String()))
	require.Equal(t, []string{"Gunners"}, names("/v1/skill-sets?name=GUN"))
	c.requireProblem(c.get("/v1/skill-sets?group_id="+secretID.String()), http.StatusNotFound, "no skill set group")
	c.requireProblem(c.get("/v1/skill-sets?cursor=x"), http.StatusUnprocessableEntity, "cursor")

	a := c.get("/v1/skill-sets/" + gunnersID.String())
	require.JSONEq(t, `{"skill_set_id": "`+gunnersID.String()+`", "name": "Gunners", "description": "", "ship_type_id": 34, "ship_type_name": "Tritanium", "visible": true,
		"skills": [{"type_id": 3300, "required": 3, "recommended": null}, {"type_id": 3301, "required": null, "recommended": 5}],
		"groups": [{"skill_set_group_id": "`+shieldID.String()+`", "label": "Doctrine: Shield [Not active]"}], "defined_at": "2026-05-01T12:00:00Z", "defined_by": "token:admin"}`, a.text)
	require.Equal(t, http.StatusNotModified, c.get("/v1/skill-sets/"+gunnersID.String(), "If-None-Match", a.Header.Get("ETag")).StatusCode)
	c.requireProblem(c.get("/v1/skill-sets/"+shieldID.String()), http.StatusNotFound, shieldID.String())
	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/skill-sets", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 3)

	require.Contains(t, c.get("/v1/skill-set-groups").text, `"label":"Doctrine: Shield [Not active]"`)
	require.Contains(t, c.get("/v1/skill-set-groups/"+shieldID.String()).text, `"skill_set_ids":["`+gunnersID.String()+`"]`)
	c.requireProblem(c.get("/v1/skill-set-groups/"+gunnersID.String()), http.StatusNotFound, "no skill set group")
}

func TestSkillSetsAreDefinedAsSaid(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/skill-sets?expected_version=3", bodies["create-skill-set"])
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.JSONEq(t, `{"skill_set_id": "`+gunnersID.String()+`", "changed": true, "version": 7}`, a.text)
	require.Equal(t, api.SkillSetDefinition{Actor: "token:admin", ExpectedVersion: new(int64(3)), Set: eve.SkillSet{Name: "Pilots", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}, {TypeID: 3301, Recommended: 5}}}}, c.world.defined)
	c.requireProblem(c.do(http.MethodPost, "/v1/skill-sets", `{"name": "taken", "skills": [{"type_id": 1, "required": 1}]}`), http.StatusConflict, "unique")
	require.Equal(t, http.StatusCreated, c.do(http.MethodPost, "/v1/skill-sets?overwrite=true", `{"name": "taken", "skills": [{"type_id": 1, "required": 1}]}`).StatusCode)
	c.world.shown = false
	a = c.do(http.MethodPut, "/v1/skill-sets/"+gunnersID.String(), bodies["replace-skill-set"])
	require.Equal(t, http.StatusAccepted, a.StatusCode, a.text)
	require.Equal(t, api.SkillSetDefinition{Actor: "token:admin", ID: gunnersID, Set: eve.SkillSet{Name: "Pilots", Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}}}}, c.world.defined)
	require.Equal(t, http.StatusAccepted, c.do(http.MethodDelete, "/v1/skill-sets/"+gunnersID.String()+"?reason=over", "").StatusCode)
	require.Equal(t, api.SkillSetRemoval{Actor: "token:admin", ID: gunnersID, Reason: "over"}, c.world.removed)

	for body, want := range map[string]string{
		`{"name": "x", "skills": []}`:                                       "skills",
		`{"name": "", "skills": [{"type_id": 1, "required": 1}]}`:           "name",
		`{"name": "x", "skills": [{"type_id": 1, "required": 6}]}`:          "required",
		`{"name": "x", "skills": [{"type_name": "Moon", "required": 1}]}`:   `no skill called \"Moon\"`,
		`{"name": "x", "skills": [{"type_name": "Rifter", "required": 1}]}`: `no skill called \"Rifter\"`,
		`{"name": "x", "skils": []}`:                                        "skils",
	} {
		c.requireProblem(c.do(http.MethodPost, "/v1/skill-sets", body), http.StatusUnprocessableEntity, want)
	}
}

func TestGroupsOfSkillSetsAreDefinedAsSaid(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/skill-set-groups", `{"name": "Armour", "doctrine": true, "skill_set_ids": ["`+gunnersID.String()+`"]}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.JSONEq(t, `{"skill_set_group_id": "`+shieldID.String()+`", "changed": true, "version": 9}`, a.text)
	require.Equal(t, api.SkillSetGroupDefinition{Actor: "token:admin", Group: eve.SkillSetGroup{Name: "Armour", Doctrine: true, Active: true, SkillSetIDs: []uuid.UUID{gunnersID}}}, c.world.definedGroup)
	c.do(http.MethodPut, "/v1/skill-set-groups/"+shieldID.String(), `{"name": "Armour", "active": false}`)
	require.Equal(t, api.SkillSetGroupDefinition{Actor: "token:admin", ID: shieldID, Group: eve.SkillSetGroup{Name: "Armour"}}, c.world.definedGroup)
	c.do(http.MethodDelete, "/v1/skill-set-groups/"+shieldID.String()+"?expected_version=2", "")
	require.Equal(t, api.SkillSetRemoval{Actor: "token:admin", ID: shieldID, ExpectedVersion: new(int64(2))}, c.world.removed)
}

func TestFittingsAndSkillPlansBecomeSkillSets(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/skill-sets/import-fitting", bodies["import-fitting"])
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.JSONEq(t, `{"skill_set_id": "`+gunnersID.String()+`", "changed": true, "version": 7, "name": "Fast", "ship_type_id": 587, "skills": [{"type_id": 3329, "required": 1, "recommended": null}],
		"ignored": [{"line": 3, "text": "Old Thing I", "reason": "there is no type called \"Old Thing I\""}]}`, a.text)
	require.Equal(t, eve.SkillSet{Name: "Fast", ShipTypeID: 587, Visible: true, Skills: []eve.SetSkill{{TypeID: 3329, Required: 1}}}, c.world.defined.Set)

	c.world.defined = api.SkillSetDefinition{}
	a = c.do(http.MethodPost, "/v1/skill-sets/import-plan", bodies["import-skill-plan"])
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Contains(t, a.text, `"skills":[{"type_id":3300,"required":4,"recommended":null}],"ignored":[{"line":2,`)
	require.Zero(t, c.world.defined, "a dry run decides nothing")
	a = c.do(http.MethodPost, "/v1/skill-sets/import-plan", `{"text": "Gunnery 2", "name": "taken", "visible": false, "overwrite": true}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, api.SkillSetDefinition{Actor: "token:admin", Overwrite: true, Set: eve.SkillSet{Name: "taken", Skills: []eve.SetSkill{{TypeID: 3300, Required: 2}}}}, c.world.defined)

	f := func(path, body, want string) {
		t.Helper()
		c.requireProblem(c.do(http.MethodPost, "/v1/skill-sets/"+path, body), http.StatusUnprocessableEntity, want)
	}
	f("import-fitting", `{"text": "Rifter"}`, "line 1")
	f("import-fitting", `{"text": "[Riftor, x]\nTritanium"}`, "no ship called")
	f("import-fitting", `{"text": "[Rifter,]"}`, "name: must not be empty")
	f("import-plan", `{"text": "Gunnery 2"}`, "name: must not be empty")
	f("import-plan", `{"text": "Gunneri 2", "name": "x"}`, "none of the names")
	f("import-plan", `{"text": "Tritanium 2", "name": "x"}`, "is no skill")
}

func TestACharacterIsHeldAgainstTheVisibleSets(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/characters/90000001/skill-sets")
	require.JSONEq(t, `{"character_id": 90000001, "section": "skill-sets", "observed_at": "2026-05-01T12:00:00Z", "validated_at": "2026-05-01T12:00:00Z", "status": "ok", "items": [
		{"skill_set_id": "`+gunnersID.String()+`", "name": "Gunners", "ship_type_id": 34, "ship_type_name": "Tritanium", "groups": [{"skill_set_group_id": "`+shieldID.String()+`", "label": "Doctrine: Shield [Not active]"}],
			"has_required": false, "has_recommended": false,
			"failed_required": [{"type_id": 3300, "level": 3, "active_skill_level": 2, "trained_skill_level": 5}],
			"failed_recommended": [{"type_id": 3301, "level": 5, "active_skill_level": 0, "trained_skill_level": 0}]}]}`, a.text)
}

func TestMissingSkillsAreListedWithTheTimeToTrainThem(t *testing.T) {
	c := newClient(t)
	c.world.section.Value = json.RawMessage(`{"charisma":17,"intelligence":17,"memory":17,"perception":27,"willpower":21}`)
	target := "/v1/skill-sets/" + gunnersID.String() + "/missing?character_id="
	a := c.get(target + "90000001")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var m api.MissingSkills
	require.NoError(t, json.Unmarshal([]byte(a.text), &m))
	require.Equal(t, "3300 III\n3301 V", m.Text)
	require.False(t, m.HasRequired)
	require.Equal(t, []api.FailedSkill{{TypeID: 3300, Level: 3, Active: 2, Trained: 5}, {TypeID: 3301, Level: 5}}, m.Missing)
	// What is trained is not trained again; what 3301 needs is.
	require.Equal(t, api.TrainingLeft{Skills: []api.FailedSkill{{TypeID: 3301, Level: 5}, {TypeID: 3302, Level: 1}}, Points: 256250, Seconds: new(int64(410000))}, m.Training)

	c.world.section.Value = nil
	require.Contains(t, c.get(target+"90000001").text, `"seconds":null`)
	c.world.section.Value = json.RawMessage(`[]`)
	c.requireProblem(c.get(target+"90000001"), http.StatusInternalServerError, "")
	c.requireProblem(c.get(target), http.StatusUnprocessableEntity, "character_id")
	c.requireProblem(c.get(strings.TrimSuffix(target, "?character_id=")), http.StatusUnprocessableEntity, "character_id")
	c.requireProblem(c.get("/v1/skill-sets/"+shieldID.String()+"/missing?character_id=90000001"), http.StatusNotFound, shieldID.String())
}

func TestTheReportTellsWhoHasASkillSetAndWhoComesClosest(t *testing.T) {
	c := newClient(t)
	c.world.skills[90000005] = eve.Skills{3300: {Active: 3, Trained: 3, Points: 8000}}
	read := func(target string) []api.SkillSetReport {
		a := c.get(target)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		var page api.Page[api.SkillSetReport]
		require.NoError(t, json.Unmarshal([]byte(a.text), &page))
		return page.Items
	}
	report := read("/v1/reports/skill-sets")
	require.Len(t, report, 2)
	require.Equal(t, "auditors only", report[0].Name, "the report has those that members do not see")
	r := report[1]
	require.Equal(t, []int{3, 1, 1}, []int{r.Characters, r.Unread, r.Passed}, "guests are left out")
	require.Equal(t, []api.SkillHolder{{CharacterID: 90000005, Name: "Diana", CorporationID: 98000002, UserID: "u4"}}, r.Who)
	require.Len(t, r.Closest, 2)
	require.Equal(t, int64(90000001), r.Closest[0].CharacterID, "trained already, only not active")
	require.Equal(t, int64(0), *r.Closest[0].Seconds)
	require.Equal(t, []api.FailedSkill{{TypeID: 3300, Level: 3, Active: 2, Trained: 5}}, r.Closest[0].FailedRequired)
	require.Equal(t, int64(12800), *r.Closest[1].Seconds)
	require.Equal(t, int64(8000), r.Closest[1].Points)

	require.Len(t, read("/v1/reports/skill-sets?limit=1"), 1)
	require.Len(t, read("/v1/reports/skill-sets?group_id="+shieldID.String()), 1)
	r = read("/v1/reports/skill-sets?corporation_id=98000002&closest=0&who=0&skill_set_id=" + gunnersID.String())[0]
	require.Equal(t, 2, r.Characters)
	require.Equal(t, 1, r.Passed)
	require.Empty(t, r.Who)
	require.Empty(t, r.Closest)
	require.Equal(t, 1, read("/v1/reports/skill-sets?alliance_id=99000001")[0].Characters)
	require.Len(t, read("/v1/reports/skill-sets?closest=1")[1].Closest, 1)
	c.requireProblem(c.get("/v1/reports/skill-sets?skill_set_id="+shieldID.String()), http.StatusNotFound, shieldID.String())
	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/reports/skill-sets", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 3)
}

func TestTheReportKeepsTheClosestOfMany(t *testing.T) {
	c := newClient(t)
	c.world.holders = nil
	for n := range int64(1200) {
		id := 90000000 + (n*7)%1200
		c.world.holders = append(c.world.holders, postgres.SkillHolder{CharacterID: id, UserID: "u", UserState: "Member"})
		c.world.skills[id] = eve.Skills{3300: {Active: 1, Trained: 1, Points: id - 90000000}}
	}
	a := c.get("/v1/reports/skill-sets?closest=3&skill_set_id=" + gunnersID.String())
	var page api.Page[api.SkillSetReport]
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	var closest []int64
	for _, one := range page.Items[0].Closest {
		closest = append(closest, one.CharacterID)
	}
	require.Equal(t, []int64{90001199, 90001198, 90001197}, closest, "whose attributes are not known are told apart by their points")
}

func TestSkillSetsFollowTheirEventsInTheRealStores(t *testing.T) {
	s := newStores(t)
	day := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	s.append(event.User("u1"), day, access.UserRegistered{UserID: "u1", Active: true, State: "Member"})
	s.append(event.Character(90000001), day,
		eve.CharacterRegistered{CharacterID: 90000001, Name: "Bruce Wayne", UserID: "u1", CorporationID: 98000001},
		eve.SectionObserved{
			CharacterID: 90000001, Section: eve.SectionSkills, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: day,
			Value: json.RawMessage(`{"total_sp": 5, "skills": [{"skill_id": 3300, "active_skill_level": 3, "trained_skill_level": 5, "skillpoints_in_skill": 256000}]}`),
		})
	set := eve.SkillSetDefined{SkillSetID: gunnersID, SkillSet: eve.SkillSet{Name: "Gunners", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3, Recommended: 4}}}}
	s.append(event.Org, day, set, eve.SkillSetGroupDefined{SkillSetGroupID: shieldID, SkillSetGroup: eve.SkillSetGroup{Name: "Shield", Active: true, SkillSetIDs: []uuid.UUID{gunnersID}}})
	s.eventually("/v1/skill-set-groups", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 1 })
	s.eventually("/v1/characters/90000001/skill-sets", func(b map[string]any) bool { return b["status"] == "not_consented" || b["status"] == "ok" })
	text := s.eventually("/v1/characters/90000001/skill-sets", func(b map[string]any) bool { return b["observed_at"] != nil })
	require.Contains(t, text, `"has_required":true,"has_recommended":false,"failed_required":[],"failed_recommended":[{"type_id":3300,"level":4,"active_skill_level":3,"trained_skill_level":5}]`)
	require.Contains(t, s.get("/v1/reports/skill-sets").text, fmt.Sprintf(`"passed":1,"who":[{"character_id":%d`, 90000001))
	require.Contains(t, s.get("/v1/skill-sets/"+gunnersID.String()+"/missing?character_id=90000001").text, `"text":"3300 IV"`)
	s.append(event.Org, day, eve.SkillSetRemoved{SkillSetID: gunnersID})
	s.eventually("/v1/skill-sets", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 0 })
	require.Contains(t, s.get("/v1/skill-set-groups").text, `"skill_set_ids":[]`)
}
