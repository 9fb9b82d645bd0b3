package eve_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// said is a happening in words, ids by their kind and number.
func said(h eve.Happening) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s", h.Kind, h.Section)
	for i, p := range h.Words {
		if i == 0 {
			out.WriteString(": ")
		}
		if p.Kind != "" {
			fmt.Fprintf(&out, "<%s %d>", p.Kind, p.ID)
		}
		out.WriteString(p.Text)
	}
	return out.String()
}

func TestATimelineTellsWhatHappened(t *testing.T) {
	timeline := eve.NewTimeline(10_000)
	f := func(p event.Payload, want ...string) {
		t.Helper()
		e, err := event.New(uuid.New(), event.Character(5), "test", time.Unix(0, 0), p)
		require.NoError(t, err)
		told, err := timeline.Follow(e, p)
		require.NoError(t, err)
		var have []string
		for _, h := range told {
			have = append(have, said(h))
		}
		require.Equal(t, want, have)
	}
	observed := func(section eve.Section, value string) event.Payload {
		return eve.SectionObserved{CharacterID: 5, Section: section, Encoding: eve.EncodingFull, Value: json.RawMessage(value)}
	}
	facts := func(section eve.Section, item string) eve.Facts {
		return eve.Facts{CharacterID: 5, Section: section, Day: "2026-01-01", Items: []json.RawMessage{json.RawMessage(item)}}
	}
	f(eve.CharacterRegistered{UserID: "ada"}, "registered : Registered by user ada.")
	f(eve.CharacterReclaimed{UserID: "ada"}, "renewed : Login renewed by user ada.")
	f(eve.CharacterOrphaned{Reason: eve.ReasonOtherUser}, "orphaned : Has no owner any more: "+eve.ReasonOtherUser+".")
	f(eve.CharacterReclaimed{UserID: "bob"}, "transferred : Transferred to user bob.")
	f(eve.CharacterOrphaned{Reason: "given up"}, "orphaned : Has no owner any more: given up.")
	f(eve.CharacterReclaimed{UserID: "bob"}, "reclaimed : Has an owner again: user bob.")
	f(eve.CharacterDisabled{Reason: "asked"}, "disabled : Sync switched off: asked.")
	f(eve.CharacterEnabled{}, "enabled : Sync switched on.")
	f(eve.CharacterEnabled{Reason: "back"}, "enabled : Sync switched on: back.")
	f(eve.CharacterShared{UserID: "bob"}, "shared : Shared by user bob.")
	f(eve.CharacterUnshared{}, "unshared : Shared no more.")
	f(eve.SectionFailed{Section: eve.SectionMails, Class: eve.FailureToken, Message: "gone"}, "section_failed mails: Section mails cannot be read (token): gone.")
	f(eve.SectionRecovered{Section: eve.SectionMails}, "section_recovered mails: Section mails can be read again.")
	f(observed(eve.SectionDetails, `{"name":"A","corporation_id":1}`))
	f(observed(eve.SectionDetails, `{"name":"B","corporation_id":2,"alliance_id":3}`),
		"name_changed details: Name changed from A to B.", "corporation_changed details: Corporation changed from <ent 1> to <ent 2>.", "alliance_changed details: Alliance changed from none to <ent 3>.")
	f(observed(eve.SectionDetails, `{"name":"B","corporation_id":2,"alliance_id":3,"security_status":1.5}`))
	f(observed(eve.SectionLocation, `{"solar_system_id":7}`))
	f(observed(eve.SectionLocation, `{"solar_system_id":7,"station_id":8}`), "location_changed location: Location changed from <loc 7> to <loc 8>.")
	f(observed(eve.SectionShip, `{"ship_type_id":587,"ship_item_id":1,"ship_name":"a"}`))
	f(observed(eve.SectionShip, `{"ship_type_id":587,"ship_item_id":1,"ship_name":"b"}`))
	f(observed(eve.SectionShip, `{"ship_type_id":588,"ship_item_id":2,"ship_name":"b"}`), "ship_changed ship: Ship changed from <type 587> to <type 588>.")
	f(observed(eve.SectionSkills, `{"skills":[{"skill_id":1,"trained_skill_level":3},{"skill_id":2,"trained_skill_level":3}]}`))
	f(observed(eve.SectionSkills, `{"total_sp":1,"skills":[{"skill_id":1,"trained_skill_level":4},{"skill_id":3,"trained_skill_level":0},{"skill_id":4,"trained_skill_level":1}]}`),
		"skill_trained skills: Skill trained: <type 1> to level 4.", "skill_lost skills: Skill lost: <type 2>.", "skill_trained skills: Skill injected: <type 3>.", "skill_trained skills: Skill trained: <type 4> to level 1.")
	f(observed(eve.SectionSkills, `{"skills":[{"skill_id":1,"trained_skill_level":2},{"skill_id":3,"trained_skill_level":0},{"skill_id":4,"trained_skill_level":1,"skillpoints_in_skill":9}]}`),
		"skill_lost skills: Skill lost: <type 1> from level 4 to 2.")
	f(observed(eve.SectionImplants, `[9,10]`))
	f(observed(eve.SectionImplants, `[10,11]`), "implants_changed implants: Implants changed: +<type 11>, -<type 9>.")
	f(observed(eve.SectionClones, `{"home_location":{"location_id":1},"jump_clones":[{"jump_clone_id":5,"location_id":2}]}`))
	f(observed(eve.SectionClones, `{"home_location":{"location_id":3},"jump_clones":[{"jump_clone_id":6,"location_id":4}]}`),
		"home_changed clones: Home changed from <loc 1> to <loc 3>.", "jump_clones_changed clones: Jump clone gone: <loc 2>.", "jump_clones_changed clones: Jump clone made: <loc 4>.")
	f(observed(eve.SectionWallet, `100`))
	f(observed(eve.SectionWallet, `199.99`))
	f(observed(eve.SectionWallet, `0`), "wallet_changed wallet: Wallet changed by -199.99 ISK, from 199.99 to 0.00.")
	f(observed(eve.SectionRoles, `{"roles":["Director"],"roles_at_hq":[]}`))
	f(observed(eve.SectionRoles, `{"roles":[],"roles_at_hq":["Trader"]}`), "roles_changed roles: Roles in the corporation changed: -Director, +Trader (roles_at_hq).")
	f(eve.ContractRecorded{Facts: facts(eve.SectionContracts, `{"contract_id":7,"type":"courier","status":"outstanding","issuer_id":5,"assignee_id":6}`)},
		"contract_recorded contracts: Contract 7 (courier) by <ent 5> for <ent 6>: outstanding.")
	f(eve.ContractChanged{Facts: facts(eve.SectionContracts, `{"contract_id":7,"items":[]}`)})
	f(eve.ContractChanged{Facts: facts(eve.SectionContracts, `{"contract_id":7,"status":"finished"}`)}, "contract_changed contracts: Contract 7 (courier) changed from outstanding to finished.")
	f(eve.KillmailRecorded{Facts: facts(eve.SectionKillmails, `{"killmail_id":7,"victim":{"character_id":5,"ship_type_id":587}}`)},
		"killmail_recorded killmails: Killmail 7: <ent 5> lost <type 587>.")
	f(eve.MailRecorded{Facts: facts(eve.SectionMails, `{"mail_id":7}`)})
	f(eve.JournalRecorded{})
}

func TestEveryKindOfHappeningIsListedOnce(t *testing.T) {
	seen := map[eve.HappeningKind]bool{}
	for _, k := range eve.HappeningKinds() {
		require.False(t, seen[k], k)
		seen[k] = true
	}
	require.Len(t, seen, 26)
}
