package eve_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

var update = flag.Bool("update", false, "write golden files that are not there yet; those that are there never change")

// examples has one value of each current event type, every field set.
func examples() []event.Payload {
	base := uuid.MustParse("0b3cbb39-6a2f-5b0c-8e6a-9bd1bfb6a3f1")
	group := uuid.MustParse("0b3cbb39-6a2f-5b0c-8e6a-9bd1bfb6a3f2")
	modified := time.Date(2026, 9, 1, 11, 59, 0, 0, time.UTC)
	since := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
	return []event.Payload{
		eve.CharacterRegistered{CharacterID: pilot, Name: "Pilot", UserID: "u1", OwnerHash: "hash=", Scopes: []string{"esi-wallet.read_character_wallet.v1"}, CorporationID: 98000001, AllianceID: 99000001},
		eve.CharacterOrphaned{CharacterID: pilot, Reason: "sold"},
		eve.CharacterReclaimed{CharacterID: pilot, UserID: "u2", OwnerHash: "other=", Scopes: []string{"esi-location.read_location.v1"}},
		eve.CharacterDisabled{CharacterID: pilot, Reason: "asked for"},
		eve.CharacterEnabled{CharacterID: pilot, Reason: "asked for"},
		eve.CharacterForgotten{CharacterID: pilot, Reason: "asked for"},
		eve.CharacterShared{CharacterID: pilot, UserID: "u1", Until: &since},
		eve.LinkIssued{
			CharacterID: pilot, LinkID: base, UserID: "u1", SecretHash: "00112233445566778899aabbccddeeff", Sections: []eve.Section{eve.SectionSkills, eve.SectionWallet},
			Note: "for the recruiter", ExpiresAt: since,
		},
		eve.LinkRevoked{CharacterID: pilot, LinkID: base, Reason: "asked for"},
		eve.CharacterUnshared{CharacterID: pilot, Reason: "asked for"},
		eve.TransactionsRecorded{Facts: facts(eve.SectionWalletTransactions, `{"transaction_id":1,"date":"2026-08-31T10:00:00Z","unit_price":243877.49999999997,"unheard_of":[1.50]}`)},
		eve.TransactionsChanged{Facts: facts(eve.SectionWalletTransactions, `{"transaction_id":1,"is_personal":true}`)},
		eve.MiningRecorded{Facts: facts(eve.SectionMining, `{"date":"2026-08-31","solar_system_id":30000142,"type_id":1230,"quantity":7004}`)},
		eve.MiningChanged{Facts: facts(eve.SectionMining, `{"date":"2026-08-31","solar_system_id":30000142,"type_id":1230,"quantity":9000}`)},
		eve.MailRecorded{Facts: facts(eve.SectionMails, `{"mail_id":7,"timestamp":"2026-08-31T10:00:00Z","is_read":false,"labels":[]}`)},
		eve.MailChanged{Facts: facts(eve.SectionMails, `{"mail_id":7,"body":"hello"}`)},
		eve.ContractRecorded{Facts: facts(eve.SectionContracts, `{"contract_id":7,"type":"auction","status":"outstanding","date_issued":"2026-08-31T10:00:00Z"}`)},
		eve.ContractChanged{Facts: facts(eve.SectionContracts, `{"contract_id":7,"bids":[{"bid_id":1,"amount":1.5}]}`)},
		eve.KillmailRecorded{Facts: facts(eve.SectionKillmails, `{"killmail_id":7,"killmail_hash":"ab","killmail_time":"2026-08-31T10:00:00Z","attackers":[]}`)},
		eve.KillmailChanged{Facts: facts(eve.SectionKillmails, `{"killmail_id":7,"war_id":3}`)},
		eve.NotificationRecorded{Facts: facts(eve.SectionNotifications, `{"notification_id":7,"timestamp":"2026-08-31T10:00:00Z","type":"UnheardOf","text":"a: 1\n","is_read":false}`)},
		eve.NotificationChanged{Facts: facts(eve.SectionNotifications, `{"notification_id":7,"is_read":true}`)},
		eve.CalendarRecorded{Facts: facts(eve.SectionCalendar, `{"event_id":7,"event_date":"2026-08-31T10:00:00Z","listed":true}`)},
		eve.CalendarChanged{Facts: facts(eve.SectionCalendar, `{"event_id":7,"listed":false}`)},
		eve.SectionObserved{
			CharacterID: pilot, Section: eve.SectionLocation, ContentHash: "00112233445566778899aabbccddeeff", Encoding: eve.EncodingDelta, Base: &base,
			FetchedAt: fetched, ETag: `W/"abc"`, LastModified: &modified, Value: json.RawMessage(`{"solar_system_id":30000142,"unheard_of":[1.50]}`),
		},
		eve.SectionFailed{CharacterID: pilot, Section: eve.SectionWallet, Class: eve.FailureServer, Status: 503, Message: "ESI failed", Since: since},
		eve.SectionRecovered{CharacterID: pilot, Section: eve.SectionWallet, Since: since},
		eve.JournalRecorded{CharacterID: pilot, Day: "2026-08-31", FetchedAt: fetched, Entries: []eve.JournalEntry{{
			ID: 1234567890123, Date: modified, RefType: "unheard_of", Amount: "243877.49999999997", Balance: "-0.01", FirstPartyID: 1, SecondPartyID: 2,
			Description: "d", Reason: "r", ContextID: 3, ContextIDType: "structure_id", Tax: "1.5", TaxReceiverID: 4,
			Extra: map[string]json.RawMessage{"shiny": json.RawMessage(`{"a":[1]}`)},
		}}},
		eve.JournalClosed{CharacterID: pilot, Before: "2026-08-31", ReadAt: fetched, Entries: 2, Sum: "-12.50", LastEntryID: 1234567890123, LastAt: modified, Balance: "243877.49999999997"},
		eve.SkillSetDefined{SkillSetID: base, SkillSet: eve.SkillSet{
			Name: "Logistics", Description: "Shield", ShipTypeID: 11978, Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}, {TypeID: 3301, Required: 4, Recommended: 5}, {TypeID: 3302, Recommended: 5}},
		}},
		eve.SkillSetRemoved{SkillSetID: base, Reason: "asked for"},
		eve.SkillSetGroupDefined{SkillSetGroupID: group, SkillSetGroup: eve.SkillSetGroup{Name: "Shield", Description: "Of the year", Doctrine: true, Active: true, SkillSetIDs: []uuid.UUID{base}}},
		eve.SkillSetGroupRemoved{SkillSetGroupID: group, Reason: "asked for"},
	}
}

func facts(s eve.Section, items ...string) eve.Facts {
	f := eve.Facts{CharacterID: pilot, Section: s, Day: "2026-08-31", FetchedAt: fetched}
	for _, item := range items {
		f.Items = append(f.Items, json.RawMessage(item))
	}
	return f
}

func golden(t event.Type) string { return filepath.Join("testdata", "golden", string(t)+".json") }

// TestGoldenFilesOfCurrentTypes pins how the current version of each type is
// written and read. A file that fails here must not be changed: make a new version
// of the type, and an upcast from the old one.
func TestGoldenFilesOfCurrentTypes(t *testing.T) {
	registry := event.NewRegistry()
	eve.Register(registry)
	covered := map[event.Type]bool{}
	for _, p := range examples() {
		t.Run(string(p.EventType()), func(t *testing.T) {
			covered[p.EventType()] = true
			written, err := json.MarshalIndent(p, "", "  ")
			require.NoError(t, err)
			if _, err := os.Stat(golden(p.EventType())); *update && os.IsNotExist(err) {
				require.NoError(t, os.WriteFile(golden(p.EventType()), append(written, '\n'), 0o600))
			}
			kept, err := os.ReadFile(golden(p.EventType()))
			require.NoError(t, err)
			require.Equal(t, string(kept), string(written)+"\n")

			e := event.Event{ID: uuid.New(), Type: p.EventType(), Stream: event.Character(pilot), Data: compact(t, kept)}
			decoded, err := registry.Decode(e)
			require.NoError(t, err)
			require.Equal(t, p, decoded)
		})
	}
	for _, known := range registry.Types() {
		if registry.IsCurrent(known) {
			require.True(t, covered[known], "%s has no example and golden file", known)
		}
	}
}

// TestEveryVersionEverWrittenIsReadable reads all golden files, those of former
// versions too.
func TestEveryVersionEverWrittenIsReadable(t *testing.T) {
	registry := event.NewRegistry()
	eve.Register(registry)
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		name := event.Type(strings.TrimSuffix(filepath.Base(file), ".json"))
		p, err := registry.Decode(event.Event{ID: uuid.New(), Type: name, Stream: event.Character(pilot), Data: data})
		require.NoError(t, err, file)
		require.True(t, registry.IsCurrent(p.EventType()))
		require.Equal(t, p.EventType(), eve.Newest(name))
	}
}

func compact(t *testing.T, data []byte) []byte {
	t.Helper()
	var raw json.RawMessage
	require.NoError(t, json.Unmarshal(data, &raw))
	c, err := json.Marshal(raw)
	require.NoError(t, err)
	return c
}
