package eve_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func mentioned(s eve.Section, value string) []eve.Mention {
	var all []eve.Mention
	eve.NewMentions().OfSection(s, []byte(value), func(m eve.Mention) { all = append(all, m) })
	slices.SortFunc(all, func(a, b eve.Mention) int { return int(a.ID - b.ID) })
	return slices.Compact(all)
}

func TestIDsAreFoundByTheMeaningOfTheirFields(t *testing.T) {
	type ids = []eve.Mention
	const structure, item = 1030000000001, 1030000000002
	for name, c := range map[string]struct {
		section eve.Section
		value   string
		want    ids
	}{
		"an asset in a station":         {eve.SectionAssets, `[{"item_id":1000000000001,"type_id":34,"location_id":60003760,"location_flag":"Hangar","location_type":"station"}]`, ids{{eve.FieldType, 34}, {eve.FieldLocation, 60003760}}},
		"an asset in a structure":       {eve.SectionAssets, `[{"type_id":34,"location_id":1030000000001,"location_flag":"Hangar","location_type":"item"}]`, ids{{eve.FieldType, 34}, {eve.FieldLocation, structure}}},
		"an asset in a container":       {eve.SectionAssets, `[{"type_id":34,"location_id":1030000000002,"location_flag":"Unlocked","location_type":"item"}]`, ids{{eve.FieldType, 34}}},
		"an asset in a ship":            {eve.SectionAssets, `[{"type_id":34,"location_id":1030000000002,"location_flag":"Cargo","location_type":"item"}]`, ids{{eve.FieldType, 34}}},
		"a difference":                  {eve.SectionAssets, `{"lists":[{"path":"","added":[{"item_id":7,"type_id":35}],"changed":[{"type_id":36}],"removed":["1000000000009"]}]}`, ids{{eve.FieldType, 35}, {eve.FieldType, 36}}},
		"blueprint in a container":      {eve.SectionBlueprints, `[{"type_id":683,"location_id":1030000000002,"location_flag":"Unlocked"}]`, ids{{eve.FieldType, 683}}},
		"a job's places":                {eve.SectionIndustryJobs, `[{"facility_id":1030000000001,"blueprint_location_id":1030000000002,"output_location_id":60003760,"installer_id":90000001}]`, ids{{eve.FieldLocation, 60003760}, {eve.FieldEntity, 90000001}, {eve.FieldLocation, structure}}},
		"implants":                      {eve.SectionImplants, `[9899, 9941]`, ids{{eve.FieldType, 9899}, {eve.FieldType, 9941}}},
		"clones with implants":          {eve.SectionClones, `{"home_location":{"location_id":60003760,"location_type":"station"},"jump_clones":[{"implants":[9899],"jump_clone_id":12,"location_id":1030000000001,"location_type":"structure"}]}`, ids{{eve.FieldType, 9899}, {eve.FieldLocation, 60003760}, {eve.FieldLocation, structure}}},
		"mails":                         {eve.SectionMails, `[{"mail_id":7,"from":90000001,"recipients":[{"recipient_id":145156607,"recipient_type":"mailing_list"},{"recipient_id":98000001,"recipient_type":"corporation"}]}]`, ids{{eve.FieldEntity, 90000001}, {eve.FieldEntity, 98000001}}},
		"a killmail":                    {eve.SectionKillmails, `[{"killmail_id":8,"solar_system_id":30000142,"moon_id":40009082,"victim":{"character_id":90000001,"ship_type_id":587,"items":[{"item_type_id":34,"items":[{"item_type_id":35}]}]},"attackers":[{"corporation_id":98000001,"faction_id":500001}]}]`, ids{{eve.FieldType, 34}, {eve.FieldType, 35}, {eve.FieldType, 587}, {eve.FieldEntity, 500001}, {eve.FieldLocation, 30000142}, {eve.FieldEntity, 90000001}, {eve.FieldEntity, 98000001}}},
		"a colony":                      {eve.SectionPlanets, `[{"planet_id":40009082,"solar_system_id":30000142,"owner_id":90000001,"pins":[{"type_id":2254,"extractor_details":{"product_type_id":2268}}]}]`, ids{{eve.FieldType, 2254}, {eve.FieldType, 2268}, {eve.FieldLocation, 30000142}, {eve.FieldEntity, 90000001}}},
		"nobody, nothing and no number": {eve.SectionContracts, `[{"assignee_id":0,"acceptor_id":null,"issuer_id":"x","start_location_id":-1,"end_location_id":1.5}]`, nil},
	} {
		require.Equal(t, c.want, mentioned(c.section, c.value), name)
	}
}

// The defect of Member Audit (issue 156): a title was taken for a corporation.
func TestTitleIDsAreNotTakenForEntityIDs(t *testing.T) {
	require.Empty(t, mentioned(eve.SectionTitles, `[{"title_id":98000001,"name":"Director"}]`))
	require.Equal(t, []eve.Mention{{Kind: eve.FieldEntity, ID: 98000002}},
		mentioned(eve.SectionDetails, `{"character_title_id":98000001,"corporation_title":"98000003","corporation_id":98000002,"race_id":1}`))
}

func TestEventsMentionWhatTheyHold(t *testing.T) {
	of := func(p event.Payload) []eve.Mention {
		e, err := event.New(uuid.New(), event.Character(5), "test", time.Now(), p)
		require.NoError(t, err)
		var all []eve.Mention
		eve.NewMentions().OfEvent(e, func(m eve.Mention) { all = append(all, m) })
		return all
	}
	self := eve.Mention{Kind: eve.FieldEntity, ID: 5}
	require.Equal(t, []eve.Mention{self, {Kind: eve.FieldType, ID: 34}},
		of(eve.SectionObserved{CharacterID: 5, Section: eve.SectionAssets, Value: json.RawMessage(` [ {"type_id" : 34} ]`)}))
	require.Empty(t, of(eve.SectionFailed{CharacterID: 5, Section: eve.SectionAssets}))
	require.Equal(t, []eve.Mention{self}, of(eve.SectionObserved{CharacterID: 5, Section: "unheard-of", Value: json.RawMessage(`[{"type_id":34}]`)}))

	// The defects of Member Audit: bidders without names; structures and receivers
	// of taxes lost.
	bids := of(eve.ContractChanged{Facts: eve.Facts{CharacterID: 5, Section: eve.SectionContracts, Items: []json.RawMessage{[]byte(`{"contract_id":7,"bids":[{"bid_id":1,"bidder_id":90000002,"amount":5}]}`)}}})
	require.Equal(t, []eve.Mention{self, {Kind: eve.FieldEntity, ID: 90000002}}, bids)
	journal := of(eve.JournalRecorded{CharacterID: 5, Entries: []eve.JournalEntry{
		{ID: 1, FirstPartyID: 1000125, SecondPartyID: 90000003, TaxReceiverID: 98000001, ContextID: 1030000000001, ContextIDType: "structure_id"},
		{ID: 2, ContextID: 77, ContextIDType: "contract_id"},
		{ID: 3, ContextID: 34, ContextIDType: "type_id"},
	}})
	require.ElementsMatch(t, []eve.Mention{
		self,
		{Kind: eve.FieldEntity, ID: 1000125},
		{Kind: eve.FieldEntity, ID: 90000003},
		{Kind: eve.FieldEntity, ID: 98000001},
		{Kind: eve.FieldLocation, ID: 1030000000001},
		{Kind: eve.FieldType, ID: 34},
	}, journal)
}

func TestTheRangeOfAnIDDecidesHowItsNameIsFound(t *testing.T) {
	for id, want := range map[int64][3]eve.Lookup{
		// As a type, as a place, as somebody.
		0:             {eve.LookupNone, eve.LookupNone, eve.LookupNone},
		34:            {eve.LookupType, eve.LookupNone, eve.LookupNone},
		2004:          {eve.LookupType, eve.LookupNone, eve.LookupNone},
		500001:        {eve.LookupNone, eve.LookupNone, eve.LookupName},
		1000125:       {eve.LookupNone, eve.LookupNone, eve.LookupName},
		3008416:       {eve.LookupNone, eve.LookupNone, eve.LookupName},
		30000142:      {eve.LookupNone, eve.LookupName, eve.LookupNone},
		31000005:      {eve.LookupNone, eve.LookupName, eve.LookupNone},
		40009082:      {eve.LookupNone, eve.LookupNone, eve.LookupNone},
		60003760:      {eve.LookupNone, eve.LookupName, eve.LookupNone},
		66015148:      {eve.LookupNone, eve.LookupNone, eve.LookupNone},
		90000001:      {eve.LookupNone, eve.LookupNone, eve.LookupName},
		2112000001:    {eve.LookupNone, eve.LookupNone, eve.LookupName},
		1 << 31:       {eve.LookupNone, eve.LookupNone, eve.LookupNone},
		1030000000001: {eve.LookupNone, eve.LookupStructure, eve.LookupNone},
	} {
		require.Equal(t, want, [3]eve.Lookup{eve.FieldType.Lookup(id), eve.FieldLocation.Lookup(id), eve.FieldEntity.Lookup(id)}, "%d", id)
	}
	require.Equal(t, eve.FieldLocation, eve.ContextKind("structure_id"))
	require.Equal(t, eve.FieldID, eve.ContextKind("market_transaction_id"))
}

func FuzzMentions(f *testing.F) {
	f.Add("assets", `[{"type_id":34,"location_id":1030000000001,"location_flag":"Hangar"}]`)
	f.Add("clones", `{"jump_clones":[{"implants":[1,2]}]}`)
	f.Add("wallet-journal", `[{"context_id":1,"context_id_type":"type_id"}]`)
	f.Add("mails", strings.Repeat("[", 100)+`{"from":`)
	f.Fuzz(func(t *testing.T, section, value string) {
		eve.NewMentions().OfSection(eve.Section(section), []byte(value), func(m eve.Mention) {
			require.Positive(t, m.ID)
			require.Contains(t, []eve.FieldKind{eve.FieldType, eve.FieldLocation, eve.FieldEntity}, m.Kind)
		})
	})
}

// BenchmarkMentions is what looking for ids costs in an event of 20,000 assets.
func BenchmarkMentions(b *testing.B) {
	asset := `{"is_singleton":false,"item_id":1000000016835,"location_flag":"Hangar","location_id":60003760,"location_type":"station","quantity":123,"type_id":3516},`
	value := []byte("[" + strings.Repeat(asset, 19999) + strings.TrimSuffix(asset, ",") + "]")
	finder := eve.NewMentions()
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		found := 0
		finder.OfSection(eve.SectionAssets, value, func(eve.Mention) { found++ })
		require.Equal(b, 40000, found)
	}
}
