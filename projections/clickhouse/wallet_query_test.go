package clickhouse_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/runner/clustertest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// place names a database as the live generation.
type place string

func (p place) Live(context.Context, string) (runner.Generation, error) {
	return runner.Generation{Namespace: string(p)}, nil
}

// wallets is a database with the projection's tables, and what was put there.
type wallets struct {
	t      testing.TB
	conn   driver.Conn
	name   string
	reader *clickhouse.WalletReader
	offset int64
}

// ofShard is what the names of tables with rows end with.
func ofShard() string {
	if clustertest.Asked() {
		return "_local"
	}
	return ""
}

// newTables are the tables of a projection in a database of the test's own.
func newTables(t testing.TB, p runner.Projection) (driver.Conn, string) {
	t.Helper()
	conn, name, cluster := clustertest.Connect(t, p)
	statements, err := cluster.Statements(p.Schema, name, enginetest.LocalShards)
	require.NoError(t, err)
	for _, statement := range statements {
		require.NoError(t, conn.Exec(t.Context(), statement))
	}
	return conn, name
}

func newWallets(t testing.TB) *wallets {
	t.Helper()
	w := &wallets{t: t}
	w.conn, w.name = newTables(t, clickhouse.Wallet())
	conn := w.conn
	w.reader = clickhouse.NewWalletReader(conn, live.New(place(w.name)))
	return w
}

// empty removes all rows.
func (w *wallets) empty() {
	for _, t := range clickhouse.Wallet().Tables {
		require.NoError(w.t, w.conn.Exec(w.t.Context(), "TRUNCATE TABLE "+w.name+"."+t.Name+ofShard()))
	}
}

// put folds events and inserts the rows as often as said, each time as new parts.
func (w *wallets) put(copies int, payloads ...event.Payload) {
	w.t.Helper()
	batch := clickhouse.Wallet().NewBatch()
	for _, p := range payloads {
		w.offset++
		require.NoError(w.t, batch.Add(runner.Event{
			Recorded: event.Recorded{
				Event:    event.Event{ID: uuid.New(), Time: timeOf(p)},
				Position: event.Position{Topic: event.TopicEVE, Offset: w.offset},
			},
			Payload: p,
		}))
	}
	ctx := chgo.Context(w.t.Context(), chgo.WithSettings(chgo.Settings{"insert_deduplicate": 0}))
	for range copies {
		for _, in := range batch.(runner.ClickHouseBatch).Inserts() {
			if in.Rows == 0 {
				continue
			}
			w.insert(ctx, in)
		}
	}
}

func (w *wallets) insert(ctx context.Context, in runner.Insert) {
	w.t.Helper()
	b, err := w.conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s.%s (%s)", w.name, in.Table, in.Columns))
	require.NoError(w.t, err)
	defer b.Close()
	require.NoError(w.t, in.Fill(b))
	require.NoError(w.t, b.Send())
}

func timeOf(p event.Payload) time.Time {
	if o, ok := p.(eve.SectionObserved); ok {
		return o.FetchedAt
	}
	return time.Time{}
}

func balanceSeen(character int64, at time.Time, balance string) eve.SectionObserved {
	return eve.SectionObserved{CharacterID: character, Section: eve.SectionWallet, Encoding: eve.EncodingFull, FetchedAt: at, Value: json.RawMessage(balance)}
}

func joined(character, corporation int64, at time.Time) eve.SectionObserved {
	value := fmt.Sprintf(`{"name": "Somebody", "corporation_id": %d}`, corporation)
	return eve.SectionObserved{CharacterID: character, Section: eve.SectionDetails, Encoding: eve.EncodingFull, FetchedAt: at, Value: json.RawMessage(value)}
}

func journal(character int64, entries ...eve.JournalEntry) eve.JournalRecorded {
	return eve.JournalRecorded{CharacterID: character, Entries: entries}
}

func entry(id int64, at time.Time, refType, amount, balance string) eve.JournalEntry {
	return eve.JournalEntry{ID: id, Date: at, RefType: refType, Amount: json.Number(amount), Balance: json.Number(balance)}
}

func TestJournalIsListedNewestFirstPageByPageWithoutDoubles(t *testing.T) {
	w := newWallets(t)
	at := utc(t, "2026-01-31T23:59:58Z")
	var entries []eve.JournalEntry
	for i := range int64(25) {
		// Three entries share each second.
		entries = append(entries, entry(100+i, at.Add(time.Duration(i/3)*time.Second), "bounty_prizes", "10.10", fmt.Sprintf("%d.10", i)))
	}
	entries[4].RefType = "it's a \\ test"
	w.put(3, journal(7, entries...), journal(8, entries...))

	var got []int64
	filter := clickhouse.JournalFilter{CharacterID: 7, Limit: 4}
	for {
		page, err := w.reader.Journal(t.Context(), filter)
		require.NoError(t, err)
		for _, e := range page {
			got = append(got, e.ID)
			require.Equal(t, "10.1", e.Amount.String())
			require.Equal(t, time.UTC, e.Date.Location())
		}
		if len(page) < filter.Limit {
			break
		}
		last := page[len(page)-1].Cursor()
		filter.Before = &last
	}
	want := make([]int64, 25)
	for i := range want {
		want[i] = 124 - int64(i)
	}
	require.Equal(t, want, got)

	page, err := w.reader.Journal(t.Context(), clickhouse.JournalFilter{CharacterID: 7, From: at.Add(time.Second), To: at.Add(2 * time.Second), Limit: 100})
	require.NoError(t, err)
	require.Len(t, page, 3)
	require.Equal(t, int64(105), page[0].ID)

	page, err = w.reader.Journal(t.Context(), clickhouse.JournalFilter{CharacterID: 7, RefTypes: []string{"it's a \\ test", "other"}, Limit: 100})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "4.1", page[0].Balance.String())

	counts, err := w.reader.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(50), counts.JournalEntries)
}

func TestQueriesSayThatClickHouseIsAway(t *testing.T) {
	conn, err := chgo.Open(&chgo.Options{Addr: []string{"127.0.0.1:1"}, Protocol: chgo.HTTP, DialTimeout: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	reader := clickhouse.NewWalletReader(conn, live.New(place("nowhere")))
	_, err = reader.Journal(t.Context(), clickhouse.JournalFilter{CharacterID: 1, Limit: 1})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "%v", err)

	w := newWallets(t)
	gone := clickhouse.NewWalletReader(w.conn, live.New(place("dropped_a_moment_ago")))
	_, err = gone.Journal(t.Context(), clickhouse.JournalFilter{CharacterID: 1, Limit: 1})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "%v", err)
}

// figure is a figure in words.
func figure(f clickhouse.WalletFigures) string {
	closing := "-"
	if f.ClosingBalance != nil {
		closing = f.ClosingBalance.StringFixed(2)
	}
	group := ""
	if f.CharacterID != 0 {
		group += fmt.Sprintf(" char %d", f.CharacterID)
	}
	if f.CorporationID != 0 {
		group += fmt.Sprintf(" corp %d", f.CorporationID)
	}
	if f.RefType+f.Direction != "" {
		group += " " + f.RefType + f.Direction
	}
	return fmt.Sprintf("%s%s: +%s -%s =%s n%d %s", f.Start.Format("01-02T15"), group,
		f.Income.StringFixed(2), f.Expense.StringFixed(2), f.Net.StringFixed(2), f.Entries, closing)
}

func analyse(t *testing.T, w *wallets, q clickhouse.WalletQuery) []string {
	t.Helper()
	figures, err := w.reader.Analyse(t.Context(), q)
	require.NoError(t, err)
	var got []string
	for _, f := range figures {
		got = append(got, figure(f))
	}
	return got
}

func TestWalletFigures(t *testing.T) {
	w := newWallets(t)
	at := func(text string) time.Time { return utc(t, text) }
	w.put(2,
		joined(1, 100, at("2026-03-01T12:00:00Z")), joined(2, 200, at("2026-03-01T12:00:00.5Z")), joined(3, 200, at("2026-03-05T00:00:00Z")),
		// Character 1 moves on the second day.
		joined(1, 200, at("2026-03-02T12:00:00.25Z")),
		journal(1,
			// Before its first known corporation: counts for the first known one.
			entry(1, at("2026-03-01T08:00:00Z"), "bounty_prizes", "100.10", "1100.10"),
			entry(2, at("2026-03-02T11:59:59Z"), "market_escrow", "-50.05", "1050.05"),
			// Same second: the larger id is the later one. The move is already over
			// at 12:00:01 and not yet at 12:00:00.
			entry(3, at("2026-03-02T12:00:00Z"), "bounty_prizes", "1", "1051.05"),
			entry(4, at("2026-03-02T12:00:01Z"), "bounty_prizes", "2", "1053.05"),
			entry(5, at("2026-03-02T12:00:01Z"), "player_donation", "-3", "1050.05")),
		journal(2, entry(3, at("2026-03-04T00:00:00Z"), "player_donation", "90071992547409.93", "90071992547419.93")),
		// Character 3 has no journal, only a balance.
		balanceSeen(3, at("2026-03-02T06:00:00Z"), "5.5"), balanceSeen(3, at("2026-03-03T06:00:00Z"), "7"),
		// Seen by a stale cache: the journal knows better.
		balanceSeen(1, at("2026-03-02T12:00:30Z"), "1100.10"),
	)
	q := clickhouse.WalletQuery{From: at("2026-03-01T00:00:00Z"), To: at("2026-03-05T00:00:00Z"), Interval: clickhouse.Day}

	t.Run("all together", func(t *testing.T) {
		require.Equal(t, []string{
			"03-01T00: +100.10 -0.00 =100.10 n1 1100.10",
			"03-02T00: +3.00 -53.05 =-50.05 n4 1055.55",
			"03-03T00: +0.00 -0.00 =0.00 n0 1057.05",
			"03-04T00: +90071992547409.93 -0.00 =90071992547409.93 n1 90071992548476.98",
		}, analyse(t, w, q))
	})
	t.Run("by corporation", func(t *testing.T) {
		q := q
		q.GroupBy = []clickhouse.Dimension{clickhouse.ByCorporation}
		require.Equal(t, []string{
			"03-01T00 corp 100: +100.10 -0.00 =100.10 n1 1100.10",
			"03-02T00 corp 100: +1.00 -50.05 =-49.05 n2 0.00",
			"03-03T00 corp 100: +0.00 -0.00 =0.00 n0 0.00",
			"03-04T00 corp 100: +0.00 -0.00 =0.00 n0 0.00",
			"03-01T00 corp 200: +0.00 -0.00 =0.00 n0 -",
			"03-02T00 corp 200: +2.00 -3.00 =-1.00 n2 1055.55",
			"03-03T00 corp 200: +0.00 -0.00 =0.00 n0 1057.05",
			"03-04T00 corp 200: +90071992547409.93 -0.00 =90071992547409.93 n1 90071992548476.98",
		}, analyse(t, w, q))
	})
	t.Run("by ref type and direction there is no balance", func(t *testing.T) {
		q := q
		q.GroupBy = []clickhouse.Dimension{clickhouse.ByDirection, clickhouse.ByRefType}
		q.From, q.To = at("2026-03-02T00:00:00Z"), at("2026-03-03T00:00:00Z")
		require.Equal(t, []string{
			"03-02T00 bounty_prizesincome: +3.00 -0.00 =3.00 n2 -",
			"03-02T00 market_escrowexpense: +0.00 -50.05 =-50.05 n1 -",
			"03-02T00 player_donationexpense: +0.00 -3.00 =-3.00 n1 -",
		}, analyse(t, w, q))
	})
	t.Run("a balance from before the range is carried into it", func(t *testing.T) {
		q := q
		q.CharacterIDs = []int64{1, 4}
		q.GroupBy = []clickhouse.Dimension{clickhouse.ByCharacter}
		q.From, q.To, q.Interval = at("2026-03-03T00:00:00Z"), at("2026-03-03T02:00:00Z"), clickhouse.Hour
		require.Equal(t, []string{
			"03-03T00 char 1: +0.00 -0.00 =0.00 n0 1050.05",
			"03-03T01 char 1: +0.00 -0.00 =0.00 n0 1050.05",
		}, analyse(t, w, q))
	})
	t.Run("filters", func(t *testing.T) {
		q := q
		q.CorporationIDs, q.RefTypes, q.Interval = []int64{200}, []string{"bounty_prizes"}, clickhouse.Month
		require.Equal(t, []string{"03-01T00: +2.00 -0.00 =2.00 n1 90071992548476.98"}, analyse(t, w, q))
	})
	t.Run("days of a zone", func(t *testing.T) {
		q := q
		q.Zone = zone(t, "America/New_York")
		q.From, q.To = at("2026-03-03T05:00:00Z"), at("2026-03-05T05:00:00Z")
		require.Equal(t, []string{
			"03-03T05: +90071992547409.93 -0.00 =90071992547409.93 n1 90071992548476.98",
			"03-04T05: +0.00 -0.00 =0.00 n0 90071992548476.98",
		}, analyse(t, w, q))
	})
	t.Run("nothing at all is one group of zeros", func(t *testing.T) {
		q := q
		q.CharacterIDs, q.Interval = []int64{4}, clickhouse.Year
		require.Equal(t, []string{"03-01T00: +0.00 -0.00 =0.00 n0 -"}, analyse(t, w, q))
	})
}

func TestQuestionsThatCannotBeAnsweredAreRefused(t *testing.T) {
	w := newWallets(t)
	f := func(change func(*clickhouse.WalletQuery), why string) {
		t.Helper()
		q := clickhouse.WalletQuery{From: utc(t, "2026-01-01T00:00:00Z"), To: utc(t, "2026-02-01T00:00:00Z"), Interval: clickhouse.Day}
		change(&q)
		_, err := w.reader.Analyse(t.Context(), q)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, why)
	}
	f(func(q *clickhouse.WalletQuery) { q.GroupBy = []clickhouse.Dimension{"moon"} }, "moon")
	f(func(q *clickhouse.WalletQuery) {
		q.GroupBy = []clickhouse.Dimension{clickhouse.ByCharacter, clickhouse.ByCharacter}
	}, "twice")
	f(func(q *clickhouse.WalletQuery) { q.To = q.From }, "not before")

	var entries []eve.JournalEntry
	for i := range int64(30) {
		entries = append(entries, entry(i+1, utc(t, "2026-01-02T00:00:00Z"), fmt.Sprintf("kind %d", i), "1", ""))
	}
	w.put(1, journal(1, entries...))
	f(func(q *clickhouse.WalletQuery) {
		q.GroupBy, q.Interval, q.To = []clickhouse.Dimension{clickhouse.ByRefType}, clickhouse.Hour, q.From.Add(9000*time.Hour)
	}, "figures")

	small := clickhouse.DefaultBudget()
	small.Rows = 10
	_, err := w.reader.Within(small).Analyse(t.Context(), clickhouse.WalletQuery{From: utc(t, "2026-01-01T00:00:00Z"), To: utc(t, "2026-02-01T00:00:00Z"), Interval: clickhouse.Day})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "reads more than 10 rows: choose a shorter range")
}

// fact is what happened to a character at some second.
type fact struct {
	character, corporation, id int64
	at                         time.Time
	refType                    string
	amount, balance            int64
	// known is when an entry was seen.
	known time.Time
}

// TestFiguresAgreeWithAFoldOfTheFacts compares the answers to random questions
// about random facts with figures added up one by one.
func TestFiguresAgreeWithAFoldOfTheFacts(t *testing.T) {
	w := newWallets(t)
	zones := []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"}
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin := rapid.SampledFrom([]time.Time{utc(t, "2026-03-27T00:00:00Z"), utc(t, "2026-10-23T00:00:00Z"), utc(t, "2017-10-13T00:00:00Z")}).Draw(rt, "origin")
		draw := func(label string) time.Time {
			return origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, label)) * time.Minute)
		}
		var entries, seen, moves []fact
		var payloads []event.Payload
		for id := range int64(rapid.IntRange(0, 25).Draw(rt, "entries")) {
			f := fact{
				character: rapid.Int64Range(1, 3).Draw(rt, "character"), id: id + 1, at: draw("date"),
				refType: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "type"),
				amount:  rapid.Int64Range(-1000, 1000).Draw(rt, "amount"), balance: rapid.Int64Range(0, 1e17).Draw(rt, "balance"),
			}
			f.known = f.at.Add(time.Duration(rapid.IntRange(0, 2*24*3600*1000).Draw(rt, "seen after")) * time.Millisecond)
			entries = append(entries, f)
			recorded := journal(f.character, entry(f.id, f.at, f.refType, eve.ISK(f.amount).String(), eve.ISK(f.balance).String()))
			recorded.FetchedAt = f.known
			payloads = append(payloads, recorded)
		}
		for i := range rapid.IntRange(0, 5).Draw(rt, "balances") {
			f := fact{character: rapid.Int64Range(1, 4).Draw(rt, "character"), at: draw("seen").Add(time.Duration(i+1) * time.Millisecond), balance: rapid.Int64Range(0, 1e6).Draw(rt, "balance")}
			seen = append(seen, f)
			payloads = append(payloads, balanceSeen(f.character, f.at, eve.ISK(f.balance).String()))
		}
		for i := range rapid.IntRange(0, 6).Draw(rt, "moves") {
			f := fact{character: rapid.Int64Range(1, 4).Draw(rt, "character"), at: draw("moved").Add(time.Duration(i+1) * time.Millisecond), corporation: rapid.Int64Range(10, 12).Draw(rt, "corporation")}
			moves = append(moves, f)
			payloads = append(payloads, joined(f.character, f.corporation, f.at))
		}
		w.empty()
		if len(payloads) > 0 {
			w.put(rapid.IntRange(1, 2).Draw(rt, "copies"), payloads...)
		}
		q := clickhouse.WalletQuery{
			From: draw("from"), Interval: rapid.SampledFrom(clickhouse.Intervals()).Draw(rt, "interval"),
			Zone:    zone(t, rapid.SampledFrom(zones).Draw(rt, "zone")),
			GroupBy: rapid.SliceOfNDistinct(rapid.SampledFrom(clickhouse.Dimensions()), 0, 3, rapid.ID).Draw(rt, "group"),
		}
		q.To = q.From.Add(time.Duration(rapid.IntRange(1, 4*24*3600).Draw(rt, "length")) * time.Second)
		if rapid.Bool().Draw(rt, "filter characters") {
			q.CharacterIDs = []int64{1, 4}
		}
		if rapid.Bool().Draw(rt, "filter corporations") {
			q.CorporationIDs = []int64{10, 11}
		}
		if rapid.Bool().Draw(rt, "as of a moment") {
			q.AsOf = draw("moment")
			later := func(at time.Time) bool { return at.After(q.AsOf) }
			entries = slices.DeleteFunc(entries, func(f fact) bool { return later(f.known) })
			seen = slices.DeleteFunc(seen, func(f fact) bool { return later(f.at) })
			moves = slices.DeleteFunc(moves, func(f fact) bool { return later(f.at) })
		}
		figures, err := w.reader.Analyse(t.Context(), q)
		require.NoError(rt, err)
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		require.Equal(rt, oracle{q, bounds, entries, seen, moves}.figures(), figuresByGroup(figures))
	})
}

func figuresByGroup(figures []clickhouse.WalletFigures) map[string]bool {
	out := map[string]bool{}
	for _, f := range figures {
		out[figure(f)+" until "+f.End.String()] = true
	}
	return out
}

// oracle adds up figures in the plainest way.
type oracle struct {
	clickhouse.WalletQuery

	bounds               []time.Time
	entries, seen, moves []fact
}

func (o oracle) corporation(character int64, at time.Time) int64 {
	moves := slices.DeleteFunc(slices.Clone(o.moves), func(f fact) bool { return f.character != character })
	slices.SortFunc(moves, func(a, b fact) int { return a.at.Compare(b.at) })
	if len(moves) == 0 {
		return 0
	}
	corporation := moves[0].corporation
	for _, m := range moves {
		if !m.at.After(at) {
			corporation = m.corporation
		}
	}
	return corporation
}

// balance is what a wallet held just before a moment; false if it is not known.
func (o oracle) balance(character int64, before time.Time) (int64, bool) {
	last := func(facts []fact) (int64, bool) {
		facts = slices.DeleteFunc(slices.Clone(facts), func(f fact) bool { return f.character != character || !f.at.Before(before) })
		slices.SortFunc(facts, func(a, b fact) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
		if len(facts) == 0 {
			return 0, false
		}
		return facts[len(facts)-1].balance, true
	}
	if balance, ok := last(o.entries); ok {
		return balance, true
	}
	return last(o.seen)
}

func (o oracle) selects(character, corporation int64) bool {
	return (len(o.CharacterIDs) == 0 || slices.Contains(o.CharacterIDs, character)) &&
		(len(o.CorporationIDs) == 0 || slices.Contains(o.CorporationIDs, corporation))
}

func (o oracle) group(character, corporation int64, f *fact) clickhouse.WalletGroup {
	var g clickhouse.WalletGroup
	for _, d := range o.GroupBy {
		switch d {
		case clickhouse.ByCharacter:
			g.CharacterID = character
		case clickhouse.ByCorporation:
			g.CorporationID = corporation
		case clickhouse.ByRefType:
			g.RefType = f.refType
		case clickhouse.ByDirection:
			g.Direction = clickhouse.DirectionIncome
			if f.amount < 0 {
				g.Direction = clickhouse.DirectionExpense
			}
		}
	}
	return g
}

func (o oracle) figures() map[string]bool {
	balances := !slices.Contains(o.GroupBy, clickhouse.ByRefType) && !slices.Contains(o.GroupBy, clickhouse.ByDirection) && !slices.Contains(o.GroupBy, clickhouse.ByCounterparty)
	type sum struct{ income, expense, entries int64 }
	flows := map[clickhouse.WalletGroup][]sum{}
	closings := map[clickhouse.WalletGroup][]*int64{}
	periods := len(o.bounds) - 1
	touch := func(g clickhouse.WalletGroup) {
		if flows[g] == nil {
			flows[g], closings[g] = make([]sum, periods), make([]*int64, periods)
		}
	}
	if len(o.GroupBy) == 0 {
		touch(clickhouse.WalletGroup{})
	}
	for i := range periods {
		start, end := o.bounds[i], o.bounds[i+1]
		for _, f := range o.entries {
			corporation := o.corporation(f.character, f.at)
			if f.at.Before(start) || !f.at.Before(end) || !o.selects(f.character, corporation) {
				continue
			}
			g := o.group(f.character, corporation, &f)
			touch(g)
			flows[g][i].entries++
			flows[g][i].income += max(f.amount, 0)
			flows[g][i].expense -= min(f.amount, 0)
		}
		if !balances {
			continue
		}
		held := map[clickhouse.WalletGroup]int64{}
		for character := range int64(5) {
			corporation := o.corporation(character, end.Add(-time.Nanosecond))
			if balance, known := o.balance(character, end); known && o.selects(character, corporation) {
				g := o.group(character, corporation, nil)
				touch(g)
				held[g] += balance
				closings[g][i] = new(held[g])
			}
		}
		// A group whose last member has left holds nothing from then on.
		for g := range closings {
			if _, still := held[g]; !still && i > 0 && closings[g][i-1] != nil {
				closings[g][i] = new(int64)
			}
		}
	}
	out := map[string]bool{}
	exact := func(isk int64) decimal.Decimal { return decimal.New(isk, -2) }
	for g, periods := range flows {
		for i, s := range periods {
			f := clickhouse.WalletFigures{
				WalletGroup: g, Start: o.bounds[i], End: o.bounds[i+1], Entries: s.entries,
				Income: exact(s.income), Expense: exact(s.expense), Net: exact(s.income - s.expense),
			}
			if closings[g][i] != nil {
				f.ClosingBalance = new(exact(*closings[g][i]))
			}
			out[figure(f)+" until "+f.End.String()] = true
		}
	}
	return out
}

func TestWhatAJournalMentionsIsListedOnce(t *testing.T) {
	w := newWallets(t)
	at := utc(t, "2026-01-31T23:59:58Z")
	named := func(id, context int64, kind string) eve.JournalEntry {
		e := entry(id, at, "jump_clone_activation_fee", "1", "2")
		e.FirstPartyID, e.SecondPartyID, e.TaxReceiverID, e.ContextID, e.ContextIDType = 90000001, 1000125, 98000001, context, kind
		return e
	}
	w.put(3, journal(7, named(1, 1030000000001, "structure_id"), named(2, 1030000000001, "structure_id"), named(3, 55, "contract_id"), named(4, 34, "type_id")), journal(8, named(5, 35, "type_id")))
	got, err := w.reader.JournalMentions(t.Context(), 7)
	require.NoError(t, err)
	require.ElementsMatch(t, []clickhouse.JournalMention{{ID: 90000001}, {ID: 1000125}, {ID: 98000001}, {ID: 1030000000001, ContextType: "structure_id"}, {ID: 34, ContextType: "type_id"}}, got)
}

// ClickHouse compares a moment in milliseconds with one in seconds by whole seconds
// where it looks into its index.
func TestABalanceThatIsSeenInTheLastSecondCounts(t *testing.T) {
	w := newWallets(t)
	from := utc(t, "2026-03-27T00:01:00Z")
	w.put(1, balanceSeen(1, from.Add(2*time.Millisecond), "355.95"), joined(1, 11, from.Add(-time.Minute)))
	figures, err := w.reader.Analyse(t.Context(), clickhouse.WalletQuery{From: from, To: from.Add(time.Second), Interval: "hour", Zone: time.UTC, CorporationIDs: []int64{11}})
	require.NoError(t, err)
	require.Len(t, figures, 1)
	require.NotNil(t, figures[0].ClosingBalance)
	require.Equal(t, "355.95", figures[0].ClosingBalance.StringFixed(2))
}
