package export_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/export"
)

var issued = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// facts are what the read models hold.
type facts struct {
	entries   []clickhouse.OwnedEntry
	contracts []postgres.Contract
	items     []postgres.ContractItem
	// categories tell that the category of types is known.
	categories map[int64]bool

	asked    clickhouse.EntryFilter
	filter   postgres.ContractFilter
	lookedUp int
	err      error
}

func (f *facts) EachContract(_ context.Context, filter postgres.ContractFilter, each func(postgres.Contract) error) error {
	f.filter = filter
	for _, k := range f.contracts {
		if err := each(k); err != nil {
			return err
		}
	}
	return f.err
}

func (f *facts) EachContractItem(_ context.Context, filter postgres.ContractFilter, each func(postgres.ContractItem) error) error {
	f.filter = filter
	for _, i := range f.items {
		if err := each(i); err != nil {
			return err
		}
	}
	return f.err
}

func (f *facts) EachEntry(_ context.Context, filter clickhouse.EntryFilter, each func(clickhouse.OwnedEntry) error) error {
	f.asked = filter
	for _, e := range f.entries {
		if err := each(e); err != nil {
			return err
		}
	}
	return f.err
}

func (f *facts) Owners(_ context.Context, ids []int64) (map[int64]postgres.Owner, error) {
	owners := map[int64]postgres.Owner{}
	for _, id := range ids {
		switch id {
		case 1:
			owners[id] = postgres.Owner{Name: "Bruce Wayne", CorporationID: 2001}
		case 2:
			owners[id] = postgres.Owner{Name: "=HYPERLINK(1)"}
		}
	}
	return owners, nil
}

func (f *facts) Members(_ context.Context, corporation int64) ([]int64, error) {
	if corporation == 2001 {
		return []int64{1, 5}, nil
	}
	return nil, nil
}

func (f *facts) Opened(_ context.Context, view access.View) ([]int64, error) {
	if view.Owner == "u5" {
		return []int64{5}, nil
	}
	return []int64{}, nil
}

func (f *facts) Names(_ context.Context, ids postgres.NameRequest) (postgres.Names, error) {
	f.lookedUp += len(ids.Entities)
	return postgres.Names{
		Types: map[int64]string{34: "Tritanium", 683: "Bantam Blueprint"}, Locations: map[int64]string{60003760: "Jita IV - Moon 4"},
		Entities: map[int64]string{2001: "Wayne Tech", 3: "CONCORD"},
	}, nil
}

func (f *facts) Blueprints(context.Context, []int64) (map[int64]bool, error) {
	return f.categories, nil
}

func csvOf(t *testing.T, f *facts, topic string, filter export.Filter) string {
	t.Helper()
	described, err := export.Find(topic)
	require.NoError(t, err)
	var out bytes.Buffer
	w, err := tablefile.NewCSV(&out, described.Columns)
	require.NoError(t, err)
	require.NoError(t, export.New(f, f).Export(t.Context(), topic, filter, w))
	require.NoError(t, w.Close())
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

func entry(character, id int64, change func(*clickhouse.OwnedEntry)) clickhouse.OwnedEntry {
	e := clickhouse.OwnedEntry{CharacterID: character, JournalEntry: clickhouse.JournalEntry{ID: id, Date: issued, Type: "bounty_prizes"}}
	if change != nil {
		change(&e)
	}
	return e
}

func TestTheJournalHasThePeersColumnsAndNoneOfItsDefects(t *testing.T) {
	f := &facts{entries: []clickhouse.OwnedEntry{
		entry(1, 7, func(e *clickhouse.OwnedEntry) {
			balance := decimal.New(1, 16)
			e.Amount, e.Balance, e.Tax = decimal.New(-123450, -2), &balance, decimal.New(5, -2)
			e.FirstPartyID, e.SecondPartyID, e.TaxReceiverID = 3, 99, 2001
			e.ContextID, e.ContextIDType = 1_000_000_000_001, "structure_id"
			e.Description, e.Reason = "+1", "a, \"b\""
		}),
		entry(9, 8, nil), // of somebody who was forgotten
		entry(2, 9, func(e *clickhouse.OwnedEntry) { e.Type, e.ContextIDType, e.ContextID = "isk2buy_PLEX", "eve_system", 5 }),
	}}
	require.Equal(t, `date,owner character,owner corporation,entry id,ref type,first party,second party,amount,balance,context_id,context_id_type,tax,tax_receiver,description,reason
2026-05-01 12:00:00,Bruce Wayne,Wayne Tech,7,Bounty Prizes,CONCORD,#99,-1234.50,10000000000000000.00,1000000000001,structure ID,0.05,Wayne Tech,'+1,"a, ""b"""
2026-05-01 12:00:00,'=HYPERLINK(1),,9,Isk2Buy Plex,,,0.00,,5,eve system,,,,
`, csvOf(t, f, "wallet-journal", export.Filter{}))
	require.Nil(t, f.asked.CharacterIDs)

	f.entries = []clickhouse.OwnedEntry{entry(1, 7, nil)}
	require.Contains(t, csvOf(t, f, "wallet-journal", export.Filter{}), ",undefined,")
}

func TestTheJournalIsFilteredAsSaid(t *testing.T) {
	f := &facts{}
	of := func(filter export.Filter) []int64 {
		csvOf(t, f, "wallet-journal", filter)
		return f.asked.CharacterIDs
	}
	require.Equal(t, []int64{1}, of(export.Filter{CharacterID: 1}))
	require.Equal(t, []int64{1, 5}, of(export.Filter{CorporationID: 2001}))
	require.Equal(t, []int64{1}, of(export.Filter{CorporationID: 2001, CharacterID: 1}))
	require.Equal(t, []int64{}, of(export.Filter{CorporationID: 2001, CharacterID: 2}), "nobody, and not everybody")
	require.Equal(t, []int64{}, of(export.Filter{CorporationID: 7}))
	of(export.Filter{From: issued, To: issued.Add(1)})
	require.Equal(t, issued, f.asked.From)
	require.Equal(t, issued.Add(1), f.asked.To)
}

func TestAnExportOfAViewHasItsCharactersAlone(t *testing.T) {
	f := &facts{}
	of := func(filter export.Filter) []int64 {
		csvOf(t, f, "wallet-journal", filter)
		return f.asked.CharacterIDs
	}
	theirs, nobodys := &access.View{Owner: "u5"}, &access.View{}
	require.Equal(t, []int64{5}, of(export.Filter{View: theirs}))
	require.Equal(t, []int64{5}, of(export.Filter{View: theirs, CorporationID: 2001}))
	require.Equal(t, []int64{}, of(export.Filter{View: theirs, CharacterID: 1}))
	require.Equal(t, []int64{}, of(export.Filter{View: nobodys}), "none, which is not all")
	require.Nil(t, of(export.Filter{View: &access.View{Everything: true}}))
	csvOf(t, f, "contract", export.Filter{View: theirs})
	require.Equal(t, theirs, f.filter.View)
}

func TestContractsHaveThePeersColumns(t *testing.T) {
	isk := func(n eve.ISK) *eve.ISK { return &n }
	f := &facts{contracts: []postgres.Contract{
		{
			CharacterID: 1, ContractID: 4_000_000_000, Type: "item_exchange", Status: "finished_contractor", Availability: "personal", Title: "-a title",
			IssuerID: 3, IssuerCorporationID: 2001, AcceptorID: 98, AssigneeID: 0, StartLocationID: 60003760, EndLocationID: 1_000_000_000_001,
			DateIssued: &issued, DateExpired: new(issued.Add(time.Hour)), DateCompleted: new(issued.Add(time.Minute)),
			Reward: isk(0), Collateral: isk(-1), Price: isk(12345), Volume: new("0.01"), DaysToComplete: new(int64(0)),
		},
		{CharacterID: 2, ContractID: 5},
	}}
	require.Equal(t, `owner character,owner corporation,contract pk,contract id,contract_type,status,date issued,date expired,date accepted,date completed,availability,issuer,issuer corporation,acceptor,assignee,reward,collateral,volume,days to complete,start location,end location,price,buyout,title
Bruce Wayne,Wayne Tech,1-4000000000,4000000000,item exchange,finished contractor,2026-05-01 12:00:00,2026-05-01 13:00:00,,2026-05-01 12:01:00,private,CONCORD,Wayne Tech,#98,,0.00,-0.01,0.01,0,Jita IV - Moon 4,Unknown location #1000000000001,123.45,,'-a title
'=HYPERLINK(1),,2-5,5,,,,,,,,,,,,,,,,,,,,
`, csvOf(t, f, "contract", export.Filter{CharacterID: 1, CorporationID: 2001, From: issued}))
	require.Equal(t, postgres.ContractFilter{CharacterID: 1, CorporationID: 2001, From: issued}, f.filter)
}

func TestItemsOfContractsSayWhatTheyAre(t *testing.T) {
	item := func(record, typeID int64, singleton bool, raw *int64) postgres.ContractItem {
		return postgres.ContractItem{CharacterID: 1, ContractID: 7, RecordID: record, TypeID: typeID, Quantity: new(int64(1)), RawQuantity: raw, IsIncluded: record == 1, IsSingleton: singleton}
	}
	f := &facts{
		categories: map[int64]bool{34: false, 683: true},
		items: []postgres.ContractItem{
			item(1, 683, true, new(int64(-1))), item(2, 683, true, new(int64(-2))), item(3, 683, false, nil),
			item(4, 34, true, new(int64(-1))), item(5, 99, true, new(int64(-1))), item(6, 99, false, new(int64(-2))), item(7, 34, false, new(int64(5))),
		},
	}
	f.items[6].Quantity = nil
	require.Equal(t, `contract pk,record id,type,quantity,is included,is singleton,is blueprint,is blueprint_original,is blueprint_copy,raw quantity
1-7,1,Bantam Blueprint,1,yes,yes,yes,yes,no,-1
1-7,2,Bantam Blueprint,1,no,yes,yes,no,yes,-2
1-7,3,Bantam Blueprint,1,no,no,yes,yes,no,
1-7,4,Tritanium,1,no,yes,no,no,no,-1
1-7,5,#99,1,no,yes,yes,yes,no,-1
1-7,6,#99,1,no,no,yes,no,yes,-2
1-7,7,Tritanium,,no,no,no,no,no,5
`, csvOf(t, f, "contract-item", export.Filter{}))
}

func TestWhatCannotBeExportedIsSaid(t *testing.T) {
	f := &facts{}
	e := export.New(f, f)
	fails := func(code event.Code, why, topic string, filter export.Filter) {
		t.Helper()
		err := e.Export(t.Context(), topic, filter, &sink{})
		require.Equal(t, code, event.CodeOf(err))
		require.ErrorContains(t, err, why)
	}
	fails(event.CodeNotFound, "contract, contract-item, wallet-journal", "moon", export.Filter{})
	fails(event.CodeNotFound, "no character 77", "contract", export.Filter{CharacterID: 77})
	fails(event.CodeInvalid, "from", "contract", export.Filter{From: issued, To: issued})
	for _, topic := range export.Topics() {
		f.err = event.Errorf(event.CodeUnavailable, "away")
		fails(event.CodeUnavailable, "away", topic.Name, export.Filter{})
	}
}

// sink counts rows and may fail at one.
type sink struct {
	rows   int
	failAt int
	// each is told of each row.
	each func()
}

var errGone = errors.New("the reader has gone")

func (s *sink) Write([]tablefile.Cell) error {
	if s.rows++; s.rows == s.failAt {
		return errGone
	}
	if s.each != nil {
		s.each()
	}
	return nil
}

func TestAReaderThatIsGoneEndsTheReading(t *testing.T) {
	f := &facts{}
	for i := range int64(5000) {
		f.entries = append(f.entries, entry(1, i, nil))
	}
	out := &sink{failAt: 1500}
	require.ErrorIs(t, export.New(f, f).Export(t.Context(), "wallet-journal", export.Filter{}, out), errGone)
	require.Equal(t, 1500, out.rows)
}

// endless yields entries without holding any, and counts them.
type endless struct {
	facts

	rows, yielded int
}

func (e *endless) EachEntry(_ context.Context, _ clickhouse.EntryFilter, each func(clickhouse.OwnedEntry) error) error {
	row := entry(1, 0, nil)
	for e.yielded < e.rows {
		e.yielded++
		row.ID, row.FirstPartyID = int64(e.yielded), int64(e.yielded%7+1)
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

func TestAMillionEntriesAreNeverHeld(t *testing.T) {
	const million = 1_000_000
	f := &endless{rows: million}
	most, got := 0, 0
	out := &sink{}
	out.each = func() {
		got++
		most = max(most, f.yielded-got)
	}
	require.NoError(t, export.New(f, f).Export(t.Context(), "wallet-journal", export.Filter{}, out))
	require.Equal(t, million, out.rows)
	require.Less(t, most, 1000, "rows that were read and not written")
	require.LessOrEqual(t, f.lookedUp, million/1000*8, "names are looked up once for many rows")
}

func TestTopicsAreDescribed(t *testing.T) {
	var names []string
	for _, topic := range export.Topics() {
		names = append(names, topic.Name+" "+strconv.Itoa(len(topic.Columns)))
		require.NotEmpty(t, topic.Title)
		require.NotEmpty(t, topic.Description)
	}
	require.Equal(t, []string{"contract 24", "contract-item 10", "wallet-journal 15"}, names)
}
