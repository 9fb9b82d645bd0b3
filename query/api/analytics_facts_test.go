package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/query/api"
)

// trends answer every question about figures with one interval.
type trends struct{ asked *any }

func (t trends) note(q any) {
	if t.asked != nil {
		*t.asked = q
	}
}

var ofAll = clickhouse.FactGroup{CharacterID: 1, CorporationID: 2, TypeID: 3, PlaceID: 4}

// Market implements [api.Facts].
func (t trends) Market(_ context.Context, q clickhouse.FactQuery) ([]clickhouse.MarketFigures, error) {
	t.note(q)
	return []clickhouse.MarketFigures{{FactGroup: ofAll, Start: q.From, End: q.To, Trades: 1, SoldValue: decimal.RequireFromString("1.5"), ProfitFIFO: decimal.RequireFromString("-0.5")}}, nil
}

// Mining implements [api.Facts].
func (t trends) Mining(_ context.Context, q clickhouse.FactQuery, prices map[int64]decimal.Decimal) ([]clickhouse.MiningFigures, error) {
	t.note(q)
	return []clickhouse.MiningFigures{{FactGroup: ofAll, Start: q.From, End: q.To, Quantity: 2, Value: prices[34]}}, nil
}

// SkillPoints implements [api.Facts].
func (t trends) SkillPoints(_ context.Context, q clickhouse.FactQuery) ([]clickhouse.SkillFigures, error) {
	t.note(q)
	return []clickhouse.SkillFigures{{FactGroup: ofAll, Start: q.From, End: q.To, Characters: 1, Total: new(int64(5))}}, nil
}

// Trend implements [api.FindingTrends].
func (t trends) Trend(_ context.Context, q clickhouse.FindingQuery) ([]clickhouse.FindingFigures, error) {
	t.note(q)
	return []clickhouse.FindingFigures{{FindingGroup: clickhouse.FindingGroup{Consortium: "acme", Model: "accounts", Severity: "high"}, Start: q.From, End: q.To, Opened: 1, Open: 1}}, nil
}

// Prices implements [api.Prices].
func (trends) Prices(context.Context) (map[int64]decimal.Decimal, error) {
	return map[int64]decimal.Decimal{34: decimal.RequireFromString("5.09")}, nil
}

func TestFiguresOverTimeAreAskedAsSaid(t *testing.T) {
	c := newClient(t)
	const span = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&interval=month"
	const head = `"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "interval": "month"`
	const interval = `"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"`
	require.JSONEq(t, `{`+head+`, "tz": "Europe/Berlin", "group_by": ["type", "location"], "items": [{`+interval+`, "type_id": 3, "location_id": 4, "trades": 1, "bought_quantity": 0, "bought_value": "0.00",
		"sold_quantity": 0, "sold_value": "1.50", "known_quantity": 0, "unknown_quantity": 0, "known_value": "0.00", "cost_fifo": "0.00", "profit_fifo": "-0.50", "cost_average": "0.00", "profit_average": "0.00", "unreadable": 0}]}`,
		c.get("/v1/analytics/market?tz=Europe/Berlin&group_by=type,location&"+span).text)
	require.JSONEq(t, `{`+head+`, "tz": "UTC", "group_by": ["solar_system", "character"], "items": [{`+interval+`, "character_id": 1, "solar_system_id": 4, "quantity": 2, "value": "5.09", "unpriced_quantity": 0}]}`,
		c.get("/v1/analytics/mining?group_by=solar_system,character&"+span).text)
	require.JSONEq(t, `{`+head+`, "tz": "UTC", "group_by": ["corporation"], "items": [{`+interval+`, "corporation_id": 2, "characters": 1, "total": 5, "unallocated": null, "gained": 0}]}`,
		c.get("/v1/analytics/skills/points?group_by=corporation&"+span).text)
	require.JSONEq(t, `{`+head+`, "tz": "UTC", "group_by": ["model", "severity"], "items": [{`+interval+`, "model": "accounts", "severity": "high", "opened": 1, "changed": 0, "resolved": 0, "open": 1, "median_seconds": null, "p90_seconds": null, "mean_seconds": null}]}`,
		c.get("/v1/analytics/anvil/findings?group_by=model,severity&"+span).text)
	for target, why := range map[string]string{
		"market?tz=Moon/Crater": "IANA", "market?group_by=moon": "group_by", "mining?interval=hour": "interval", "mining?tz=UTC": "tz", "skills/points?group_by=type": "group_by", "anvil/findings?severity=grave": "severity",
	} {
		c.requireProblem(c.get("/v1/analytics/"+target), http.StatusUnprocessableEntity, why)
	}
	lines := c.get("/v1/analytics/market?"+span, "Accept", "text/csv").text
	require.True(t, strings.HasPrefix(lines, "start,end,character_id,corporation_id,type_id,location_id,solar_system_id,trades,"), lines)
	for _, target := range []string{"market", "mining", "skills/points", "anvil/findings"} {
		require.True(t, strings.HasPrefix(c.get("/v1/analytics/"+target+"?"+span, "Accept", "application/vnd.apache.parquet").text, "PAR1"), target)
	}
}

// The questions pass on every filter.
func TestFiguresOverTimeAreFiltered(t *testing.T) {
	var asked any
	c := newClient(t, func(config *api.Config) {
		config.Facts, config.FindingTrends = trends{&asked}, trends{&asked}
	})
	base := clickhouse.FactQuery{From: moment.Add(-30 * 24 * time.Hour), To: moment, Interval: clickhouse.Day, Zone: time.UTC, CharacterIDs: []int64{1, 2}, CorporationIDs: []int64{3}}
	f := func(target string, want any) {
		t.Helper()
		a := c.get("/v1/analytics/" + target)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, want, asked)
	}
	skills, market := base, base
	market.TypeIDs, market.PlaceIDs = []int64{34}, []int64{60003760}
	f("skills/points?character_id=1,2&corporation_id=3", skills)
	f("market?character_id=1,2&corporation_id=3&type_id=34&location_id=60003760", market)
	f("mining?character_id=1,2&corporation_id=3&type_id=34&solar_system_id=60003760", market)
	f("anvil/findings?consortium=a,b&model=accounts&scope=g&kind=x&severity=high,low", clickhouse.FindingQuery{
		From: base.From, To: base.To, Interval: clickhouse.Day, Zone: time.UTC, Consortia: []string{"a", "b"}, Models: []string{"accounts"}, Scopes: []string{"g"}, Kinds: []string{"x"}, Severities: []string{"high", "low"},
	})
}

func TestFiguresOverTimeAndTheLedgerComeFromTheRealStores(t *testing.T) {
	s := newStores(t)
	day := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	const id = 90000001
	facts := func(section eve.Section, items ...string) eve.Facts {
		f := eve.Facts{CharacterID: id, Section: section, Day: "2026-03-01", FetchedAt: day}
		for _, item := range items {
			f.Items = append(f.Items, json.RawMessage(item))
		}
		return f
	}
	trade := func(n int, buy bool, quantity int, price string) string {
		return fmt.Sprintf(`{"transaction_id":%d,"date":"2026-03-01T0%d:00:00Z","type_id":34,"quantity":%d,"unit_price":%s,"is_buy":%t,"is_personal":true,"client_id":1,"location_id":60003760,"journal_ref_id":%d}`, n, n, quantity, price, buy, n)
	}
	s.append(event.User("u1"), day, access.UserRegistered{UserID: "u1", Active: true})
	s.append(event.Character(id), day,
		eve.CharacterRegistered{CharacterID: id, Name: "Bruce Wayne", UserID: "u1", CorporationID: 98000001, Scopes: []string{"esi-wallet.read_character_wallet.v1"}},
		eve.TransactionsRecorded{Facts: facts(eve.SectionWalletTransactions, trade(1, true, 2, "10"), trade(2, true, 2, "20"), trade(3, false, 3, "30.5"))},
		eve.MiningRecorded{Facts: facts(eve.SectionMining, `{"date":"2026-03-01","solar_system_id":30000142,"type_id":1230,"quantity":10}`)},
		eve.SectionObserved{CharacterID: id, Section: eve.SectionSkills, Encoding: eve.EncodingFull, ContentHash: "s", FetchedAt: day, Value: json.RawMessage(`{"total_sp":5000,"unallocated_sp":7,"skills":[]}`)},
		eve.JournalRecorded{CharacterID: id, Day: "2026-03-01", FetchedAt: day, Entries: []eve.JournalEntry{{ID: 1, Date: day, RefType: "bounty_prizes", Amount: "150", Balance: "1150"}}},
		eve.SectionFailed{CharacterID: id, Section: eve.SectionWalletJournal, Class: eve.FailureToken, Message: "the login is gone", Since: day.Add(time.Hour)})
	finding := anvil.Finding{ID: findingID, Model: anvil.ModelAccounts, Record: "a@example.com", Kind: anvil.ErrNotInAnVIL, Severity: anvil.SeverityMedium, OpenedAt: day}
	s.append(event.Consortium("acme"), day, anvil.FindingOpened{Finding: finding})
	s.append(event.Consortium("acme"), day.Add(time.Hour), anvil.FindingResolved{Finding: finding, ResolvedAt: day.Add(time.Hour)})
	later := day.AddDate(0, 0, 60)
	s.append(event.Character(id), later, eve.SectionRecovered{CharacterID: id, Section: eve.SectionWalletJournal},
		eve.JournalRecorded{CharacterID: id, Day: "2026-04-30", FetchedAt: later, Entries: []eve.JournalEntry{{ID: 9, Date: later, RefType: "bounty_prizes", Amount: "1", Balance: "1101"}}})

	const span = "?from=2026-03-01T00:00:00Z&to=2026-03-03T00:00:00Z"
	some := func(field string) func(map[string]any) bool {
		return func(b map[string]any) bool {
			items, _ := b["items"].([]any)
			first, _ := items[0].(map[string]any)
			n, _ := first[field].(float64)
			return n > 0
		}
	}
	require.Contains(t, s.eventually("/v1/analytics/market"+span, some("trades")), `"trades":3,"bought_quantity":4,"bought_value":"60.00","sold_quantity":3,"sold_value":"91.50","known_quantity":3,"unknown_quantity":0,`+
		`"known_value":"91.50","cost_fifo":"40.00","profit_fifo":"51.50","cost_average":"45.00","profit_average":"46.50"`)
	require.Contains(t, s.eventually("/v1/analytics/mining"+span, some("quantity")), `"quantity":10,"value":"0.00","unpriced_quantity":10`)
	skills := s.eventually("/v1/analytics/skills/points"+span+"&group_by=corporation", func(b map[string]any) bool {
		items, _ := b["items"].([]any)
		// Where characters are is inserted after their points.
		return len(items) == 2 && some("corporation_id")(b)
	})
	require.Contains(t, skills, `"corporation_id":98000001,"characters":1,"total":5000,"unallocated":7,"gained":0}]`)
	require.Contains(t, s.eventually("/v1/analytics/anvil/findings"+span, some("resolved")), `"opened":1,"changed":0,"resolved":1,"open":0,"median_seconds":3600,"p90_seconds":3600,"mean_seconds":3600`)

	ledger := s.eventually("/v1/characters/90000001/ledger", func(b map[string]any) bool { return b["entries"] == 2.0 })
	require.Contains(t, ledger, `"continuous":false,"entries":2`)
	require.Contains(t, ledger, `"opening_balance":"1000.00","closing_balance":"1101.00","income":"151.00","expense":"0.00","missing":"-50.00"`)
	require.Contains(t, ledger, `"kind":"gap"`)
	require.Contains(t, ledger, `"kind":"expired"`)
	require.Contains(t, ledger, `The journal could not be read (token): the login is gone.`)
	require.Contains(t, s.get("/v1/characters/90000001/ledger?until=2026-02-01T00:00:00Z").text, `"items":[]`)
	require.True(t, strings.HasPrefix(s.get("/v1/characters/90000001/ledger", "Accept", "text/csv").text, "kind,from,to,entry_before,"))
	s.requireProblem(s.get("/v1/characters/5/ledger"), http.StatusNotFound, "5")
}

func TestFiguresOfFactsAreOfCharactersThatOneMayOpen(t *testing.T) {
	for _, path := range []string{"/v1/analytics/market", "/v1/analytics/mining", "/v1/analytics/skills/points"} {
		var last any
		asked := func() []int64 { return last.(clickhouse.FactQuery).CharacterIDs }
		c := newClient(t, func(config *api.Config) { config.Facts = trends{asked: &last} })
		c.world.grants, c.world.opens = access.Grants{Active: true, Permissions: []string{"basic_access"}}, []int64{90000001, 90000002}
		c.world.subject.Owner = "ada"
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, []int64{90000001, 90000002}, asked())
		require.Equal(t, http.StatusOK, c.get(path+"?character_id=90000002", as("ada")...).StatusCode)
		require.Equal(t, []int64{90000002}, asked())
		c.requireProblem(c.get(path+"?character_id=90000003", as("ada")...), http.StatusNotFound, "90000003")
		c.world.opens = nil
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, []int64{0}, asked(), "nobody's")
		require.Equal(t, http.StatusOK, c.get(path).StatusCode)
		require.Empty(t, asked(), "a program is bounded by its actions")
		c.requireProblem(c.get("/v1/analytics/anvil/findings", as("ada")...), http.StatusForbidden, "superusers")
	}
}
