package esi_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
)

// ESI changes within a date of compatibility: it adds fields and values, and leaves
// out what is false or empty. What it says is kept to the letter.

// value is what is held of a section.
func (r *rig) value(t *testing.T, section eve.Section) string {
	t.Helper()
	return string(r.fold(t).Character(pilot).Sections[section].Value)
}

func TestFieldsThatNobodyKnowsAreKept(t *testing.T) {
	r := newRig(t)
	r.names(map[int64]string{})
	for section, c := range map[eve.Section]struct{ path, body string }{
		eve.SectionDetails:  {"", `{"name":"Pilot","corporation_id":98000001,"portrait_frame":{"era":null,"grade":1.5}}`},
		eve.SectionAssets:   {"/assets", `[{"is_singleton":false,"item_id":1,"location_flag":"Hangar","location_id":60003760,"location_type":"station","quantity":1,"type_id":34,"provenance":{"era":null}}]`},
		eve.SectionOnline:   {"/online", `{"online":true,"device":"mobile"}`},
		eve.SectionImplants: {"/implants", `[9899,9941]`},
	} {
		r.world.Serve(path(c.path), time.Hour, c.body)
		require.Equal(t, esi.Changed, r.sync(t, section).Result, section)
		require.JSONEq(t, c.body, r.value(t, section))
	}
	r.world.Serve(path("/notifications"), 10*time.Minute, `[{"notification_id":1,"type":"x","timestamp":"2026-08-30T10:00:00Z","sender_id":1,"sender_type":"other","priority":[1,2]}]`)
	r.sync(t, eve.SectionNotifications)
	require.Equal(t, `[1,2]`, r.record(t, eve.SectionNotifications, "1")["priority"])
}

func TestValuesThatNobodyKnowsAreKept(t *testing.T) {
	r := newRig(t)
	roles := `{"roles":["Director","Keeper_of_Keys"],"roles_at_base":["Skill_Plan_Manager"]}`
	r.world.Serve(path("/roles"), time.Hour, roles)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionRoles).Result)
	require.Contains(t, r.value(t, eve.SectionRoles), "Keeper_of_Keys")
	require.Contains(t, r.value(t, eve.SectionRoles), "Skill_Plan_Manager")

	r.world.Serve(path("/contracts"), 5*time.Minute, "["+contract(1, "raffle", "drawn")+"]")
	outcome := r.sync(t, eve.SectionContracts)
	require.False(t, outcome.FollowUps, "what a type of contract that is not known holds is not guessed at")
	require.Equal(t, `"raffle"`, r.record(t, eve.SectionContracts, "1")["type"])
	require.Equal(t, `"drawn"`, r.record(t, eve.SectionContracts, "1")["status"])

	r.world.Serve(path("/notifications"), 10*time.Minute, `[{"notification_id":1,"type":"QuantumLinkSevered","timestamp":"2026-08-30T10:00:00Z","sender_id":1,"sender_type":"drone"}]`)
	r.sync(t, eve.SectionNotifications)
	require.Equal(t, `"QuantumLinkSevered"`, r.record(t, eve.SectionNotifications, "1")["type"])
	require.Equal(t, `"drone"`, r.record(t, eve.SectionNotifications, "1")["sender_type"])
}

func TestWhatIsLeftOutIsFalse(t *testing.T) {
	r := newRig(t)
	const notification = `{"notification_id":1,"type":"x","timestamp":"2026-08-30T10:00:00Z","sender_id":1,"sender_type":"other"`
	notifications := r.world.Serve(path("/notifications"), 10*time.Minute, `[`+notification+`,"is_read":true}]`)
	r.sync(t, eve.SectionNotifications)
	require.Equal(t, "true", r.record(t, eve.SectionNotifications, "1")["is_read"])
	notifications.Set(`[` + notification + `}]`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionNotifications).Result)
	require.Equal(t, "false", r.record(t, eve.SectionNotifications, "1")["is_read"], "a mark that is taken back is told")
	notifications.Set(`[` + notification + `,"is_read":false}]`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionNotifications).Result, "to leave it out and to say false is the same")

	box := r.mailbox(t, 1)
	box.mails[0] = `{"mail_id":1,"timestamp":"2026-08-02T00:00:00Z","subject":"s","from":5,"is_read":true,"labels":[1,2]}`
	box.serve()
	r.sync(t, eve.SectionMails)
	box.mails[0] = `{"mail_id":1,"timestamp":"2026-08-02T00:00:00Z","subject":"s","from":5}`
	box.serve()
	r.world.Clock.Advance(time.Hour)
	r.sync(t, eve.SectionMails)
	mail := r.record(t, eve.SectionMails, "1")
	require.Equal(t, []string{"false", "[]"}, []string{mail["is_read"], mail["labels"]})

	r.world.Serve(path("/contacts/labels"), 5*time.Minute, `[]`)
	contacts := r.world.Serve(path("/contacts"), 5*time.Minute, `[{"contact_id":9,"contact_type":"character","standing":10.0,"is_watched":true}]`)
	r.sync(t, eve.SectionContacts)
	contacts.Set(`[{"contact_id":9,"contact_type":"character","standing":10.0}]`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionContacts).Result)
	require.NotContains(t, r.value(t, eve.SectionContacts), "is_watched")
}

func TestIDsOf64BitsAreKeptToTheLetter(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/contacts/labels"), 5*time.Minute, `[{"label_id":9223372036854775807,"label_name":"a"},{"label_id":4611686018427387904,"label_name":"b"}]`)
	r.world.Serve(path("/contacts"), 5*time.Minute, `[{"contact_id":2112625428,"contact_type":"character","standing":0,"label_ids":[9223372036854775807]}]`)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionContacts).Result)
	content, err := eve.Dissect(eve.SectionContacts, json.RawMessage(r.value(t, eve.SectionContacts)))
	require.NoError(t, err)
	require.Equal(t, "4611686018427387904", content.Lists[1].Items[0].Key)
	require.Equal(t, "9223372036854775807", content.Lists[1].Items[1].Key)
	require.Contains(t, string(content.Lists[0].Items[0].Raw), "9223372036854775807")

	r.world.Serve(path("/corporationhistory"), 24*time.Hour, `[{"record_id":5000000001,"corporation_id":98000001,"start_date":"2026-01-01T00:00:00Z"},{"record_id":5000000000,"corporation_id":98000002,"start_date":"2025-01-01T00:00:00Z"}]`)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionCorporationHistory).Result)
	require.Contains(t, r.value(t, eve.SectionCorporationHistory), `"record_id":5000000001`)

	r.world.Serve(path("/contracts"), 5*time.Minute, "["+contract(5_000_000_000, "item_exchange", "outstanding")+"]")
	r.world.Serve(path("/contracts/5000000000/items"), time.Hour, `[{"record_id":9007199254740993,"type_id":34,"quantity":5}]`)
	r.sync(t, eve.SectionContracts)
	require.Equal(t, 1, r.follow(t, eve.SectionContracts).Events)
	require.Contains(t, r.record(t, eve.SectionContracts, "5000000000")["items"], "9007199254740993", "more than a double holds")
}

func TestNumbersWithLongTailsAreKeptToTheLetter(t *testing.T) {
	r := newRig(t)
	for section, c := range map[eve.Section]struct{ path, body string }{
		eve.SectionWallet:    {"/wallet", `243877.49999999997`},
		eve.SectionStandings: {"/standings", `[{"from_id":500001,"from_type":"faction","standing":-7.199999999999999289457264239899814128875732421875}]`},
		eve.SectionResearch:  {"/agents_research", `[{"agent_id":3009358,"points_per_day":53.5346162146776,"remainder_points":53604.06345540000000001,"skill_type_id":11450,"started_at":"2017-03-23T14:47:00Z"}]`},
	} {
		resource := r.world.Serve(path(c.path), time.Minute, c.body)
		require.Equal(t, esi.Changed, r.sync(t, section).Result, section)
		require.Equal(t, c.body, r.value(t, section), section)
		resource.Set(" " + c.body)
		r.world.Clock.Advance(time.Hour)
		require.Equal(t, esi.Unchanged, r.sync(t, section).Result, section)
	}
	r.world.Serve(path("/wallet/transactions"), time.Hour, `[{"transaction_id":1,"date":"2026-08-30T00:00:00Z","type_id":34,"quantity":1,"unit_price":5.0900000000000007,"is_buy":true}]`)
	r.sync(t, eve.SectionWalletTransactions)
	require.Equal(t, "5.0900000000000007", r.record(t, eve.SectionWalletTransactions, "1")["unit_price"])
}
