package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/query/api"
)

// Read tells of the organisation's skill sets and of the user ada.
func (w *world) Read(ctx context.Context, topic string, stream event.Stream, until time.Time) (history.Story, error) {
	if err := w.enter(ctx); err != nil {
		return history.Story{}, err
	}
	a := &annals{}
	for _, told := range []struct {
		stream event.Stream
		event.Payload
	}{
		{event.Org, eve.SkillSetDefined{SkillSetID: gunnersID, SkillSet: eve.SkillSet{Name: "Gunners", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}}}}},
		{event.User("ada"), access.UserRegistered{UserID: "ada", Active: true, State: "Member"}},
		{event.User("ada"), access.MainSet{UserID: "ada", CharacterID: new(int64(90000001))}},
		{event.User("ada"), access.CharactersListed{UserID: "ada", Characters: []access.ListedCharacter{{CharacterID: 7, Name: "Alt"}}}},
	} {
		e, err := event.New(uuid.NewSHA1(uuid.Nil, []byte(told.EventType())), told.stream, "test", moment, told.Payload)
		if err != nil {
			return history.Story{}, err
		}
		a.add(e)
	}
	registry := event.NewRegistry()
	access.Register(registry)
	eve.Register(registry)
	return history.New(a, registry).Read(ctx, topic, stream, until)
}

func decoded[T any](t *testing.T, a answer) T {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var body T
	require.NoError(t, json.Unmarshal([]byte(a.text), &body))
	return body
}

func TestExplanationsOfACharacterAreAnsweredWithTheirEvents(t *testing.T) {
	c := newClient(t)
	balance := decoded[api.BalanceExplanation](t, c.get("/v1/characters/90000001/ledger/explain"))
	require.Equal(t, "accounted_for", balance.Verdict)
	require.Equal(t, []api.TypeSum{{RefType: "bounty_prizes", Entries: 1, Sum: "150.00"}}, balance.Types)
	require.Equal(t, "entry", balance.Steps[0].Kind)
	require.NotZero(t, balance.Steps[0].EventID)
	require.Equal(t, event.TopicEVE, balance.Steps[0].Topic)
	c.requireProblem(c.get("/v1/characters/90000001/ledger/explain?entry=1"), http.StatusNotFound, "no break at entry 1")
	c.requireProblem(c.get("/v1/characters/90000001/ledger/explain?since=2026-05-01T00:00:00Z&until=2026-05-01T00:00:00Z"), http.StatusUnprocessableEntity, "until")
	require.Equal(t, "unknown", decoded[api.BalanceExplanation](t, c.get("/v1/characters/90000001/ledger/explain?until=2001-01-01T00:00:00Z")).Verdict)

	asset := decoded[api.AssetExplanation](t, c.get("/v1/characters/90000001/assets/2/explain"))
	require.Equal(t, "there", asset.Verdict)
	require.Equal(t, "Tritanium", asset.TypeName)
	require.Contains(t, asset.Steps[0].Words, "Seen for the first time: 1 of Tritanium")
	require.Empty(t, asset.NotShown)
	c.requireProblem(c.get("/v1/characters/90000001/assets/999/explain"), http.StatusNotFound, "item 999")

	set := decoded[api.SkillSetExplanation](t, c.get("/v1/characters/90000001/skill-sets/"+gunnersID.String()+"/explain"))
	require.Equal(t, "never_met", set.Verdict)
	require.Equal(t, "not_injected", set.Lacks[0].Cause)
	require.NotZero(t, set.Lacks[0].By.EventID)
	c.requireProblem(c.get("/v1/characters/90000001/skill-sets/"+sweepID.String()+"/explain"), http.StatusNotFound, "no skill set")
	for _, path := range []string{"ledger", "assets/2", "skill-sets/" + gunnersID.String()} {
		c.requireProblem(c.get("/v1/characters/7/"+path+"/explain"), http.StatusNotFound, "no character 7")
	}
}

func TestComplianceIsExplainedToThoseWhoMayReadTheReport(t *testing.T) {
	c := newClient(t)
	x := decoded[api.ComplianceExplanation](t, c.get("/v1/reports/compliance/users/ada/explain"))
	require.Equal(t, "not_compliant", x.Verdict)
	require.True(t, x.Verified, x.Differs)
	require.Len(t, x.Reasons, 1)
	require.Equal(t, "never_registered", x.Reasons[0].Cause)
	require.Equal(t, "listed", x.Reasons[0].By.Kind)
	require.Equal(t, access.Audience{Everybody: true}, c.world.compliance.Audience)
	require.Equal(t, "ada", c.world.compliance.UserID)
	c.requireProblem(c.get("/v1/reports/compliance/users/nobody/explain"), http.StatusNotFound, "nobody")
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access"}}
	c.requireProblem(c.get("/v1/reports/compliance/users/ada/explain", as("ada")...), http.StatusForbidden, "reports_access")

	// Whoever reads it of himself is not noted, whoever reads it of others is.
	c.world.grants.Permissions = append(c.world.grants.Permissions, "reports_access", "view_everything", "characters_access")
	c.world.looked = nil
	decoded[api.ComplianceExplanation](t, c.get("/v1/reports/compliance/users/ada/explain", as("ada")...))
	require.Empty(t, c.world.looked)
	decoded[api.ComplianceExplanation](t, c.get("/v1/reports/compliance/users/ada/explain", as("bob")...))
	require.Len(t, c.world.looked, 1)
	require.Equal(t, "explain-compliance", c.world.looked[0].Section)
}

// lost are the lives of characters that had an item and lost it, with what happened then.
type lost struct{ *world }

func (lost) Life(ctx context.Context, id int64, sections ...eve.Section) (history.Life, error) {
	a := &annals{}
	at := func(hour int) time.Time { return moment.Add(time.Duration(hour) * time.Hour) }
	a.tell(panicking{}, id, at(0), eve.CharacterRegistered{CharacterID: id, UserID: "bob"})
	for hour, value := range []string{`[{"item_id":9,"type_id":34,"quantity":3,"location_id":60003760,"location_type":"station","location_flag":"Hangar"}]`, `[]`} {
		a.tell(panicking{}, id, at(hour), eve.SectionObserved{CharacterID: id, Section: eve.SectionAssets, Encoding: eve.EncodingFull, FetchedAt: at(hour), Value: json.RawMessage(value)})
	}
	a.tell(panicking{}, id, at(1), eve.ContractRecorded{Facts: eve.Facts{CharacterID: id, Section: eve.SectionContracts, Day: "2026-05-01", FetchedAt: at(1), Items: []json.RawMessage{
		json.RawMessage(fmt.Sprintf(`{"contract_id":7,"type":"item_exchange","status":"finished","issuer_id":%d,"date_issued":"2026-05-01T12:30:00Z","items":[{"record_id":1,"type_id":34,"quantity":3,"is_included":true}]}`, id)),
	}}})
	return a.past().Life(ctx, id, sections...)
}

func TestAnExplanationShowsNothingOfSectionsThatItsViewerMayNotSee(t *testing.T) {
	c, o := newTown(t, neighbours([]string{"basic_access"}, false), access.Role{Name: "Logistics", Permissions: []string{"characters_access", "view_everything"}, Sections: []string{"assets"}})
	c.server = newClient(t, func(config *api.Config) {
		config.Characters, config.SkillSets, config.AccessLog, config.Past, config.Looks = o, o, townLog{o}, lost{o.world}, accessLog{o.world}
	}).server
	target := "/v1/characters/4/assets/9/explain"
	x := decoded[api.AssetExplanation](t, c.get(target, as("ada")...))
	require.Equal(t, "gone", x.Verdict)
	require.Empty(t, x.Losses[0].Matches, "contracts are not for her")
	require.Contains(t, x.NotShown, "contracts")
	require.NotContains(t, fmt.Sprint(x.NotShown), "assets")
	looked := func() (sections []string) {
		for _, look := range o.world.looked {
			require.Equal(t, int64(4), look.CharacterID)
			sections = append(sections, look.Section)
		}
		return sections
	}
	require.Equal(t, []string{"assets"}, looked())

	o.limited["ada"][0].Sections = append(o.limited["ada"][0].Sections, "contracts")
	o.world.looked = nil
	x = decoded[api.AssetExplanation](t, c.get(target, as("ada")...))
	require.Equal(t, "contract", x.Losses[0].Matches[0].Kind)
	require.False(t, x.Losses[0].Matches[0].Certain)
	require.False(t, slices.Contains(x.NotShown, "contracts"))
	require.Equal(t, []string{"assets", "contracts"}, looked(), "what is shown of another section is noted as well")

	// Without the assets there is nothing.
	o.limited["ada"][0].Sections = []string{"contracts"}
	c.requireProblem(c.get(target, as("ada")...), http.StatusForbidden, "not its assets")
}
