package api_test

import (
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
	"github.com/muster-sync/muster/query/api"
)

// observe tells of a reading of a section.
func (w *watched) observe(id int64, section eve.Section, at time.Time, value string) {
	w.t.Helper()
	w.append(event.Character(id), at, eve.SectionObserved{CharacterID: id, Section: section, Encoding: eve.EncodingFull, ContentHash: uuid.NewString(), FetchedAt: at, Value: json.RawMessage(value)})
}

// explained waits until an explanation has a verdict. Each of its events must be found in
// the index, at the place that is told.
func explained[T any](w *watched, target, verdict string, who ...string) (x T) {
	w.t.Helper()
	var text string
	require.Eventually(w.t, func() bool {
		a := w.get(target, who...)
		text = a.text
		var body struct{ Verdict string }
		return a.StatusCode == http.StatusOK && json.Unmarshal([]byte(a.text), &body) == nil && body.Verdict == verdict
	}, 30*time.Second, 50*time.Millisecond, "%s", target)
	require.NoError(w.t, json.Unmarshal([]byte(text), &x))
	return x
}

func (w *watched) requireEvents(steps ...api.Provenance) {
	w.t.Helper()
	require.NotEmpty(w.t, steps)
	for _, p := range steps {
		target := "/v1/events/" + p.EventID.String()
		// The index may be behind.
		require.Eventually(w.t, func() bool { return w.get(target).StatusCode == http.StatusOK }, 30*time.Second, 20*time.Millisecond, "%s", target)
		found := decoded[api.EventDetail](w.t, w.get(target))
		at := api.Provenance{EventID: found.ID, Topic: found.Topic, Partition: found.Partition, Offset: found.Offset}
		require.Equal(w.t, p, at)
	}
}

func provenances(steps []api.ExplainedStep) (all []api.Provenance) {
	for _, s := range steps {
		all = append(all, s.Provenance)
	}
	return all
}

func TestABalanceAnAssetAndASkillSetAreExplainedFromTheRealLog(t *testing.T) {
	w := newWatched(t)
	w.organisation()
	day := func(n int) time.Time { return moment.AddDate(0, 0, n) }
	w.append(event.Character(1), day(2), eve.JournalRecorded{CharacterID: 1, Day: "2026-05-02", FetchedAt: day(2), Entries: []eve.JournalEntry{{ID: 1, Date: day(1), RefType: "bounty_prizes", Amount: "10", Balance: "110"}}})
	w.append(event.Character(1), day(3), eve.SectionFailed{CharacterID: 1, Section: eve.SectionWalletJournal, Class: eve.FailureToken, Message: "log in again", Since: day(3)})
	w.append(event.Character(1), day(60), eve.SectionRecovered{CharacterID: 1, Section: eve.SectionWalletJournal, Since: day(60)},
		eve.JournalRecorded{CharacterID: 1, Day: "2026-06-29", FetchedAt: day(60), Entries: []eve.JournalEntry{{ID: 9, Date: day(59), RefType: "market_escrow", Amount: "-1", Balance: "149"}}})
	const ledger = "/v1/characters/1/ledger/explain"
	balance := explained[api.BalanceExplanation](w, ledger, "differs")
	require.Equal(t, api.Money("40.00"), balance.Missing)
	require.Equal(t, "gap", balance.Breaks[0].Kind)
	kinds := map[string]int{}
	for _, s := range balance.Steps {
		kinds[s.Kind]++
	}
	require.Equal(t, map[string]int{"entry": 2, "gap": 1, "cause": 2}, kinds)
	w.requireEvents(provenances(balance.Steps)...)

	item := `[{"item_id":1000000000009,"type_id":34,"quantity":%d,"location_id":60003760,"location_type":"station","location_flag":"Hangar"}]`
	w.observe(1, eve.SectionAssets, day(1), fmt.Sprintf(item, 100))
	w.observe(1, eve.SectionAssets, day(3), `[]`)
	w.append(event.Character(1), day(3), eve.ContractRecorded{Facts: eve.Facts{CharacterID: 1, Section: eve.SectionContracts, Day: "2026-05-03", FetchedAt: day(3), Items: []json.RawMessage{
		json.RawMessage(fmt.Sprintf(`{"contract_id":70,"type":"item_exchange","status":"finished","issuer_id":1,"assignee_id":3,"date_issued":%q}`, day(2).Format(time.RFC3339))),
	}}}, eve.ContractChanged{Facts: eve.Facts{CharacterID: 1, Section: eve.SectionContracts, Day: "2026-05-03", FetchedAt: day(3), Items: []json.RawMessage{
		json.RawMessage(`{"contract_id":70,"items":[{"record_id":1,"type_id":34,"quantity":100,"is_included":true}]}`),
	}}})
	const assets = "/v1/characters/1/assets/1000000000009/explain"
	var asset api.AssetExplanation
	require.Eventually(t, func() bool {
		asset = explained[api.AssetExplanation](w, assets, "gone")
		return len(asset.Losses[0].Matches) == 1
	}, 30*time.Second, 50*time.Millisecond)
	match := asset.Losses[0].Matches[0]
	require.Equal(t, "contract", match.Kind)
	require.True(t, match.Exact)
	require.False(t, match.Certain)
	w.requireEvents(append(provenances(asset.Steps), match.Provenance)...)

	set := eve.SkillSetDefined{SkillSetID: gunnersID, SkillSet: eve.SkillSet{Name: "Gunners", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}}}}
	w.append(event.Org, day(1), set)
	w.observe(1, eve.SectionSkills, day(2), `{"total_sp":9,"skills":[{"skill_id":3300,"trained_skill_level":4,"active_skill_level":4,"skillpoints_in_skill":45255}]}`)
	sets := "/v1/characters/1/skill-sets/" + gunnersID.String() + "/explain"
	explained[api.SkillSetExplanation](w, sets, "met")
	w.observe(1, eve.SectionSkills, day(4), `{"total_sp":9,"skills":[{"skill_id":3300,"trained_skill_level":4,"active_skill_level":2,"skillpoints_in_skill":45255}]}`)
	lacking := explained[api.SkillSetExplanation](w, sets, "no_longer_met")
	require.Equal(t, day(4), *lacking.Since)
	require.Equal(t, "inactive", lacking.Lacks[0].Cause)
	w.requireEvents(append(provenances(lacking.Steps), lacking.Lacks[0].By.Provenance)...)

	// Who may not open the character learns nothing; who looks is noted, the owner is not.
	for _, target := range []string{ledger, assets, sets} {
		w.requireProblem(w.get(target, as("cy")...), http.StatusNotFound, "no character 1")
		require.Equal(t, http.StatusOK, w.get(target, as("ada")...).StatusCode)
	}
	w.requireProblem(w.get(sets, as("bob")...), http.StatusForbidden, "view_skill_sets")
	require.Equal(t, http.StatusOK, w.get(assets, as("auditor")...).StatusCode)
	require.Eventually(t, func() bool {
		looks := w.log("/v1/characters/1/views", as("ada")...)
		return looks["user:auditor assets view_everything"] == 1 && looks["user:auditor contracts view_everything"] == 1 && looks["user:ada assets own"] == 0
	}, 30*time.Second, 50*time.Millisecond)

	// The set was hidden once: what it asked for then is not for members.
	hidden, secret := set, set
	hidden.Visible, hidden.Skills = false, []eve.SetSkill{{TypeID: 3300, Required: 5}}
	secret.Skills = []eve.SetSkill{{TypeID: 3300, Required: 2}}
	w.append(event.Org, day(5), hidden)
	w.append(event.Org, day(6), secret)
	require.NotEmpty(t, explained[api.SkillSetExplanation](w, sets, "met").Steps)
	require.Contains(t, w.get(sets).text, "at V instead of III")
	require.NotContains(t, w.get(sets, as("ada")...).text, "at V instead of III")
}

func TestComplianceIsExplainedFromTheRealLogAndHidesWhatIsNotForEverybody(t *testing.T) {
	w := newWatched(t)
	at := func(n int) time.Time { return moment.Add(time.Duration(n) * time.Hour) }
	may := func(user string, main int64, permissions ...string) {
		w.append(event.User(user), at(0), access.UserRegistered{UserID: user, Active: true, State: "Member", Permissions: append(permissions, "basic_access")}, access.MainSet{UserID: user, CharacterID: &main})
		w.append(event.Character(main), at(0), eve.CharacterRegistered{CharacterID: main, Name: user, UserID: user, CorporationID: 7})
	}
	may("ada", 1, "reports_access")
	may("rita", 2, "reports_access", "characters_access", "view_same_corporation")
	may("auditor", 3, "reports_access", "characters_access", "view_everything")
	may("bob", 4)
	const target = "/v1/reports/compliance/users/ada/explain"
	require.Equal(t, at(0), *explained[api.ComplianceExplanation](w, target, "compliant").Since)
	w.append(event.User("ada"), at(1), access.CharactersListed{UserID: "ada", Characters: []access.ListedCharacter{{CharacterID: 5, Name: "Alt"}, {CharacterID: 6, Name: "Other"}}})
	w.append(event.Character(5), at(2), eve.CharacterRegistered{CharacterID: 5, Name: "Alt", UserID: "bob"}, eve.CharacterOrphaned{CharacterID: 5, Reason: "a secret of bob"})
	w.append(event.Character(6), at(3), eve.CharacterRegistered{CharacterID: 6, Name: "Other", UserID: "ada"})
	w.append(event.Character(6), at(4), eve.SectionFailed{CharacterID: 6, Section: eve.SectionWallet, Class: eve.FailureToken, Message: "log in again", Since: at(4)})

	var whole api.ComplianceExplanation
	require.Eventually(t, func() bool {
		whole = explained[api.ComplianceExplanation](w, target, "not_compliant")
		return whole.Verified && len(whole.Reasons) >= 2
	}, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, at(1), *whole.Since)
	causes := map[string]bool{}
	var events []api.Provenance
	for _, r := range whole.Reasons {
		causes[fmt.Sprint(*r.CharacterID, " ", r.Cause, " ", r.Decides)] = true
		require.NotNil(t, r.By)
		events = append(events, *r.By.Event)
	}
	require.True(t, causes["5 removed true"], "%v", causes)
	require.True(t, causes["6 scopes false"], "%v", causes)
	w.requireEvents(events...)
	require.Contains(t, w.get(target, as("auditor")...).text, "a secret of bob")

	for _, who := range []string{"ada", "rita"} {
		a := w.get(target, as(who)...)
		x := decoded[api.ComplianceExplanation](t, a)
		require.Equal(t, whole.Since, x.Since)
		require.NotContains(t, a.text, "a secret of bob", "character 5 was bob's and is nobody's")
		require.NotContains(t, a.text, "user bob")
		require.Equal(t, 1, x.Hidden)
		hidden := slices.DeleteFunc(slices.Clone(x.Reasons), func(r api.ExplainedReason) bool { return r.CharacterID == nil || *r.CharacterID != 5 })
		require.Len(t, hidden, 1)
		require.Equal(t, "hidden", hidden[0].Cause)
		require.Equal(t, "login_lost", hidden[0].Fault)
		require.Nil(t, hidden[0].By)
		require.Contains(t, a.text, "lacks the scopes", "character 6 is ada's, and rita may open it")
	}
	w.requireProblem(w.get(target, as("bob")...), http.StatusForbidden, "reports_access")
	w.requireProblem(w.get("/v1/reports/compliance/users/bob/explain", as("ada")...), http.StatusNotFound, "no user")
	require.Eventually(t, func() bool {
		looks := w.log("/v1/access-log")
		return looks["user:rita explain-compliance same_corporation"] == 1 && looks["user:auditor explain-compliance view_everything"] == 1 && looks["user:ada explain-compliance own"] == 0
	}, 30*time.Second, 50*time.Millisecond)
}
