package clickhouse_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/runner"
)

func (f *factTables) records() *clickhouse.RecordReader {
	return clickhouse.NewRecordReader(f.conn, live.New(place(f.name)), clickhouse.DefaultBudget())
}

// facts of one day, fetched at a moment.
func factsOf(character int64, s eve.Section, day, fetched time.Time, items ...string) eve.Facts {
	f := eve.Facts{CharacterID: character, Section: s, Day: day.Format(time.DateOnly), FetchedAt: fetched}
	for _, item := range items {
		f.Items = append(f.Items, json.RawMessage(item))
	}
	return f
}

// recordQuestion draws a question with filters of what records have.
func recordQuestion(rt *rapid.T, t *testing.T, dimensions ...clickhouse.Dimension) (origin time.Time, q clickhouse.RecordQuery) {
	origin, q.FactQuery = question(rt, t, clickhouse.Intervals(), dimensions...)
	return origin, q
}

// grid adds up texts of numbers by group and period, the slow way.
type grid struct {
	q      clickhouse.RecordQuery
	bounds []time.Time
	sums   map[clickhouse.RecordGroup][][]int64
	width  int
}

func newGrid(t require.TestingT, q clickhouse.RecordQuery, width int) *grid {
	bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
	require.NoError(t, err)
	g := &grid{q, bounds, map[clickhouse.RecordGroup][][]int64{}, width}
	if len(q.GroupBy) == 0 {
		g.row(clickhouse.RecordGroup{})
	}
	return g
}

func (g *grid) row(of clickhouse.RecordGroup) [][]int64 {
	if g.sums[of] == nil {
		g.sums[of] = make([][]int64, len(g.bounds)-1)
		for i := range g.sums[of] {
			g.sums[of][i] = make([]int64, g.width)
		}
	}
	return g.sums[of]
}

func pass[T comparable](filter []T, v T) bool { return len(filter) == 0 || slices.Contains(filter, v) }

// add adds numbers to the columns given, if the question asks for them.
func (g *grid) add(at time.Time, of clickhouse.RecordGroup, columns map[int]int64) {
	q := g.q
	if !selected(q.FactQuery, of.CharacterID, of.CorporationID) || !pass(q.TypeIDs, of.TypeID) || !pass(q.PlaceIDs, of.PlaceID) ||
		!pass(q.CounterpartyIDs, of.CounterpartyID) || !pass(q.Kinds, of.Kind) || !pass(q.Statuses, of.Status) || !pass(q.Roles, of.Role) {
		return
	}
	for i := range len(g.bounds) - 1 {
		if at.Before(g.bounds[i]) || !at.Before(g.bounds[i+1]) {
			continue
		}
		row := g.row(masked(q.GroupBy, of))[i]
		for column, n := range columns {
			row[column] += n
		}
	}
}

func masked(by []clickhouse.Dimension, of clickhouse.RecordGroup) (g clickhouse.RecordGroup) {
	for _, d := range by {
		switch d {
		case clickhouse.ByCharacter:
			g.CharacterID = of.CharacterID
		case clickhouse.ByCorporation:
			g.CorporationID = of.CorporationID
		case clickhouse.ByShipType:
			g.TypeID = of.TypeID
		case clickhouse.BySolarSystem:
			g.PlaceID = of.PlaceID
		case clickhouse.ByCounterparty, clickhouse.BySender:
			g.CounterpartyID = of.CounterpartyID
		case clickhouse.ByType, clickhouse.BySection:
			g.Kind = of.Kind
		case clickhouse.ByStatus, clickhouse.ByClass:
			g.Status = of.Status
		default:
			g.Role = of.Role
		}
	}
	return g
}

// lines are the sums as texts, to be compared.
func (g *grid) lines() map[string]string {
	out := map[string]string{}
	for of, periods := range g.sums {
		for i, sums := range periods {
			out[fmt.Sprintln(of, g.bounds[i], g.bounds[i+1])] = fmt.Sprint(sums)
		}
	}
	return out
}

func isk(d decimal.Decimal) int64 { return d.Shift(2).IntPart() }

// drawnContract is a contract as it comes to be, step by step.
type drawnContract struct {
	character, id                      int64
	kind                               string
	issuer, assignee, acceptor         int64
	issued, accepted, completed, ended time.Time
	status                             string
	price, reward, collateral          int64
}

// drawContracts draws contracts with all that is told of them.
func drawContracts(rt *rapid.T, origin time.Time) (all []drawnContract, events []told) {
	minutes := func(label string, most int) time.Duration {
		return time.Duration(rapid.IntRange(1, most).Draw(rt, label)) * time.Minute
	}
	money := func(label string) int64 { return rapid.Int64Range(0, 5e13).Draw(rt, label) }
	for id := range int64(rapid.IntRange(0, 14).Draw(rt, "contracts")) {
		k := drawnContract{
			character: rapid.Int64Range(1, 3).Draw(rt, "character"), id: id + 1, kind: rapid.SampledFrom([]string{"courier", "item_exchange"}).Draw(rt, "kind"),
			issuer: rapid.Int64Range(1, 3).Draw(rt, "issuer"), assignee: rapid.Int64Range(1, 3).Draw(rt, "assignee"), status: "outstanding",
			issued: origin.Add(minutes("issued", 4*24*60)), price: money("price"), reward: money("reward"), collateral: money("collateral"),
		}
		read := k.issued.Add(minutes("read", 60))
		whole := func() string {
			item := fmt.Sprintf(`{"contract_id":%d,"type":%q,"status":%q,"issuer_id":%d,"assignee_id":%d,"acceptor_id":%d,"date_issued":%q,"price":%s,"reward":%s,"collateral":%s`,
				k.id, k.kind, k.status, k.issuer, k.assignee, k.acceptor, k.issued.Format(time.RFC3339), eve.ISK(k.price), eve.ISK(k.reward), eve.ISK(k.collateral))
			if !k.accepted.IsZero() {
				item += fmt.Sprintf(`,"date_accepted":%q`, k.accepted.Format(time.RFC3339))
			}
			if !k.completed.IsZero() {
				item += fmt.Sprintf(`,"date_completed":%q`, k.completed.Format(time.RFC3339))
			}
			return item + "}"
		}
		tell := func(p event.Payload) {
			events = append(events, told{stream: event.Character(k.character), at: read, payload: p})
		}
		tell(eve.ContractRecorded{Facts: factsOf(k.character, eve.SectionContracts, k.issued, read, whole())})
		tell(eve.ContractChanged{Facts: factsOf(k.character, eve.SectionContracts, k.issued, read, fmt.Sprintf(`{"contract_id":%d,"items":[{"type_id":34}]}`, k.id))})
		for range rapid.IntRange(0, 2).Draw(rt, "steps") {
			read = read.Add(minutes("later", 24*60))
			switch {
			case k.accepted.IsZero() && rapid.Bool().Draw(rt, "accepts"):
				k.accepted, k.acceptor, k.status = read.Add(-30*time.Second), rapid.Int64Range(1, 3).Draw(rt, "acceptor"), "in_progress"
				tell(eve.ContractChanged{Facts: factsOf(k.character, eve.SectionContracts, k.issued, read, whole())})
			default:
				if k.ended.IsZero() {
					k.ended = read
				}
				k.status = rapid.SampledFrom([]string{"finished", "finished_issuer"}).Draw(rt, "finished")
				if rapid.Bool().Draw(rt, "ends badly") {
					// ESI tells no moment of it, and an amendment may tell the status alone.
					k.status = rapid.SampledFrom([]string{"cancelled", "failed"}).Draw(rt, "unfinished")
					tell(eve.ContractChanged{Facts: factsOf(k.character, eve.SectionContracts, k.issued, read, fmt.Sprintf(`{"contract_id":%d,"status":%q}`, k.id, k.status))})
				} else {
					k.completed = read.Add(-time.Second)
					tell(eve.ContractChanged{Facts: factsOf(k.character, eve.SectionContracts, k.issued, read, whole())})
				}
			}
			if !k.ended.IsZero() {
				break
			}
		}
		all = append(all, k)
	}
	return all, events
}

func TestContractFiguresAgreeWithAFoldOfTheContracts(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := recordQuestion(rt, t, clickhouse.ByCharacter, clickhouse.ByCorporation, clickhouse.ByType, clickhouse.ByStatus, clickhouse.ByRole, clickhouse.ByCounterparty)
		events, corporation := moves(rt, origin)
		contracts, more := drawContracts(rt, origin)
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), append(events, more...)...)
		switch rapid.IntRange(0, 4).Draw(rt, "filter") {
		case 1:
			q.Kinds = []string{"courier"}
		case 2:
			q.Statuses = []string{"finished", "failed"}
		case 3:
			q.Roles = []string{"issuer"}
		case 4:
			q.CounterpartyIDs = []int64{2}
		}
		figures, err := f.records().Contracts(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, c := range figures {
			line := []int64{}
			for _, s := range []clickhouse.ContractSums{c.Issued, c.Accepted, c.Finished, c.Unfinished} {
				line = append(line, s.Contracts, isk(s.Price), isk(s.Reward), isk(s.Collateral))
			}
			if c.Accepted.Contracts > 0 {
				line = append(line, *c.MeanSeconds)
			} else {
				require.Nil(rt, c.MeanSeconds)
				line = append(line, 0)
			}
			got[fmt.Sprintln(c.RecordGroup, c.Start, c.End)] = fmt.Sprint(line)
			require.Zero(rt, c.Unreadable)
		}
		want := newGrid(rt, q, 17)
		for _, k := range contracts {
			role, other := "other", k.issuer
			switch k.character {
			case k.issuer:
				role, other = "issuer", k.assignee
				if k.acceptor != 0 {
					other = k.acceptor
				}
			case k.acceptor:
				role = "acceptor"
			case k.assignee:
				role = "assignee"
			}
			step := func(column int, at time.Time, waited int64) {
				g := clickhouse.RecordGroup{FactGroup: clickhouse.FactGroup{CharacterID: k.character, CorporationID: corporation(k.character, at)}, CounterpartyID: other, Kind: k.kind, Status: k.status, Role: role}
				want.add(at, g, map[int]int64{column: 1, column + 1: k.price, column + 2: k.reward, column + 3: k.collateral, 16: waited})
			}
			step(0, k.issued, 0)
			if !k.accepted.IsZero() {
				step(4, k.accepted, int64(k.accepted.Sub(k.issued)/time.Second))
			}
			switch {
			case strings.HasPrefix(k.status, "finished"):
				step(8, k.completed, 0)
			case !k.ended.IsZero():
				step(12, k.ended, 0)
			}
		}
		for _, periods := range want.sums {
			for _, sums := range periods {
				if sums[4] > 0 {
					sums[16] /= sums[4]
				}
			}
		}
		require.Equal(rt, want.lines(), got)
	})
}

// Asked as of a moment, contracts are what they were known as then.
func TestContractsAreCountedAsTheyWereKnown(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	day := utc(t, "2026-05-01T00:00:00Z")
	item := func(status, more string) string {
		return fmt.Sprintf(`{"contract_id":7,"type":"courier","status":%q,"issuer_id":1,"assignee_id":2,"date_issued":"2026-05-01T10:00:00Z","reward":5.25%s}`, status, more)
	}
	f.fill(t, t, 2,
		told{payload: eve.ContractRecorded{Facts: factsOf(1, eve.SectionContracts, day, day.Add(11*time.Hour), item("outstanding", ""), `{"contract_id":8,"price":"dear"}`)}},
		told{payload: eve.ContractChanged{Facts: factsOf(1, eve.SectionContracts, day, day.Add(36*time.Hour), item("in_progress", `,"acceptor_id":3,"date_accepted":"2026-05-02T10:00:00Z"`))}},
		told{payload: eve.ContractChanged{Facts: factsOf(1, eve.SectionContracts, day, day.Add(60*time.Hour), item("finished", `,"acceptor_id":3,"date_accepted":"2026-05-02T10:00:00Z","date_completed":"2026-05-02T20:00:00Z"`))}})
	known := func(asOf time.Time) string {
		figures, err := f.records().Contracts(t.Context(), clickhouse.RecordQuery{AsOf: asOf, FactQuery: clickhouse.FactQuery{
			From: day, To: day.AddDate(0, 1, 0), Interval: clickhouse.Month, GroupBy: []clickhouse.Dimension{clickhouse.ByStatus, clickhouse.ByCounterparty},
		}})
		require.NoError(t, err)
		var lines []string
		for _, c := range figures {
			lines = append(lines, fmt.Sprint(c.Status, c.CounterpartyID, c.Issued.Contracts, c.Accepted.Contracts, c.Finished.Contracts, c.Finished.Reward, c.Unreadable))
		}
		return strings.Join(lines, "; ")
	}
	require.Empty(t, known(day.Add(10*time.Hour)))
	require.Equal(t, "0 0 0 0 0 1; outstanding2 1 0 0 0 0", known(day.Add(11*time.Hour)))
	require.Equal(t, "0 0 0 0 0 1; in_progress3 1 1 0 0 0", known(day.Add(59*time.Hour)))
	require.Equal(t, "0 0 0 0 0 1; finished3 1 1 1 5.25 0", known(day.Add(60*time.Hour)))
	require.Equal(t, known(day.Add(60*time.Hour)), known(time.Time{}))
}

func TestKillmailFiguresAgreeWithAFoldOfTheKillmails(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := recordQuestion(rt, t, clickhouse.ByCharacter, clickhouse.ByCorporation, clickhouse.ByOutcome, clickhouse.ByShipType, clickhouse.BySolarSystem)
		switch rapid.IntRange(0, 3).Draw(rt, "filter") {
		case 1:
			q.Roles = []string{"loss"}
		case 2:
			q.TypeIDs = []int64{34}
		case 3:
			q.PlaceIDs = []int64{2}
		}
		events, corporation := moves(rt, origin)
		want := newGrid(rt, q, 7)
		price := map[int64]int64{34: 509, 35: 1e14 / 1e6}
		for id := range int64(rapid.IntRange(0, 20).Draw(rt, "killmails")) {
			character, victim := rapid.Int64Range(1, 3).Draw(rt, "character"), rapid.Int64Range(1, 3).Draw(rt, "victim")
			at := origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "at")) * time.Minute)
			ship, system := rapid.Int64Range(34, 36).Draw(rt, "ship"), rapid.Int64Range(1, 2).Draw(rt, "system")
			blow, company := rapid.Bool().Draw(rt, "blow"), rapid.IntRange(0, 2).Draw(rt, "company")
			item, quantity := rapid.Int64Range(34, 36).Draw(rt, "item"), rapid.Int64Range(0, 1e6).Draw(rt, "quantity")
			attackers := fmt.Sprintf(`{"character_id":%d,"final_blow":%t}`, character, blow)
			for range company {
				attackers += `,{"corporation_id":1000125,"final_blow":false}`
			}
			mail := fmt.Sprintf(`{"killmail_id":%d,"killmail_time":%q,"solar_system_id":%d,"victim":{"character_id":%d,"ship_type_id":%d,"items":[{"item_type_id":%d,"quantity_destroyed":%d}]},"attackers":[%s]}`,
				id+1, at.Format(time.RFC3339), system, victim, ship, item, quantity, attackers)
			events = append(events, told{payload: eve.KillmailRecorded{Facts: factsOf(character, eve.SectionKillmails, at, at, mail)}})
			g := clickhouse.RecordGroup{FactGroup: clickhouse.FactGroup{CharacterID: character, CorporationID: corporation(character, at), TypeID: ship, PlaceID: system}, Role: "kill"}
			columns := map[int]int64{0: 1, 4: price[ship] + price[item]*quantity}
			if blow {
				columns[2] = 1
			}
			if company == 0 {
				columns[3] = 1
			}
			if character == victim {
				g.Role, columns = "loss", map[int]int64{1: 1, 5: columns[4]}
			}
			if price[ship] == 0 || price[item] == 0 && quantity > 0 {
				columns[6] = 1
			}
			want.add(at, g, columns)
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		figures, err := f.records().Killmails(t.Context(), q, map[int64]decimal.Decimal{34: decimal.RequireFromString("5.09"), 35: decimal.RequireFromString("1000000")})
		require.NoError(rt, err)
		got := map[string]string{}
		for _, k := range figures {
			got[fmt.Sprintln(k.RecordGroup, k.Start, k.End)] = fmt.Sprint([]int64{k.Kills, k.Losses, k.FinalBlows, k.Solo, isk(k.DestroyedValue), isk(k.LostValue), k.Unpriced})
		}
		require.Equal(rt, want.lines(), got)
	})
}

func TestMailAndNotificationFiguresAgreeWithAFoldOfTheHeads(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, mails := recordQuestion(rt, t, clickhouse.ByCharacter, clickhouse.ByCorporation, clickhouse.ByDirection, clickhouse.ByCounterparty)
		notes := mails
		notes.GroupBy = rapid.SliceOfNDistinct(rapid.SampledFrom([]clickhouse.Dimension{clickhouse.ByCharacter, clickhouse.ByType, clickhouse.BySender}), 0, 3, rapid.ID).Draw(rt, "group notes")
		switch rapid.IntRange(0, 2).Draw(rt, "filter") {
		case 1:
			mails.Roles, notes.Kinds = []string{"sent"}, []string{"WarDeclared"}
		case 2:
			mails.CounterpartyIDs, notes.CounterpartyIDs = []int64{2, 9}, []int64{9}
		}
		events, corporation := moves(rt, origin)
		wantMails, wantNotes := newGrid(rt, mails, 2), newGrid(rt, notes, 1)
		for id := range int64(rapid.IntRange(0, 20).Draw(rt, "mails")) {
			character, from := rapid.Int64Range(1, 3).Draw(rt, "character"), rapid.Int64Range(1, 3).Draw(rt, "from")
			at := origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "at")) * time.Minute)
			to := rapid.SliceOfNDistinct(rapid.SampledFrom([]int64{1, 2, 3, 9}), 1, 3, rapid.ID).Draw(rt, "to")
			var recipients []string
			for _, id := range to {
				recipients = append(recipients, fmt.Sprintf(`{"recipient_id":%d,"recipient_type":"character"}`, id))
			}
			head := fmt.Sprintf(`{"mail_id":%d,"from":%d,"timestamp":%q,"subject":"secret","recipients":[%s]}`, id+1, from, at.Format(time.RFC3339), strings.Join(recipients, ","))
			events = append(events, told{payload: eve.MailRecorded{Facts: factsOf(character, eve.SectionMails, at, at, head)}},
				told{payload: eve.MailChanged{Facts: factsOf(character, eve.SectionMails, at, at, fmt.Sprintf(`{"mail_id":%d,"body":"secret"}`, id+1))}})
			in := corporation(character, at)
			g := clickhouse.RecordGroup{FactGroup: clickhouse.FactGroup{CharacterID: character, CorporationID: in}, CounterpartyID: from, Role: "received"}
			if from != character {
				wantMails.add(at, g, map[int]int64{1: 1})
			} else {
				g.Role = "sent"
				for _, g.CounterpartyID = range to {
					if !pass(mails.CounterpartyIDs, g.CounterpartyID) {
						continue
					}
					wantMails.add(at, g, map[int]int64{0: 1})
					if !slices.Contains(mails.GroupBy, clickhouse.ByCounterparty) {
						break
					}
				}
			}
			kind := rapid.SampledFrom([]string{"WarDeclared", "StructureUnderAttack"}).Draw(rt, "kind")
			sender := rapid.SampledFrom([]int64{8, 9}).Draw(rt, "sender")
			note := fmt.Sprintf(`{"notification_id":%d,"sender_id":%d,"sender_type":"corporation","timestamp":%q,"type":%q,"text":"secret"}`, id+1, sender, at.Format(time.RFC3339), kind)
			events = append(events, told{payload: eve.NotificationRecorded{Facts: factsOf(character, eve.SectionNotifications, at, at, note)}})
			wantNotes.add(at, clickhouse.RecordGroup{FactGroup: g.FactGroup, CounterpartyID: sender, Kind: kind}, map[int]int64{0: 1})
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		figures, err := f.records().Mails(t.Context(), mails)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, m := range figures {
			got[fmt.Sprintln(m.RecordGroup, m.Start, m.End)] = fmt.Sprint([]int64{m.Sent, m.Received})
			require.Zero(rt, m.Unreadable)
		}
		require.Equal(rt, wantMails.lines(), got)
		notified, err := f.records().Notifications(t.Context(), notes)
		require.NoError(rt, err)
		got = map[string]string{}
		for _, n := range notified {
			got[fmt.Sprintln(n.RecordGroup, n.Start, n.End)] = fmt.Sprint([]int64{n.Notifications})
		}
		require.Equal(rt, wantNotes.lines(), got)
	})
}

// What ESI told and nobody can count is counted as that, and what an amendment leaves out
// stays; nothing of what mails say is kept.
func TestRecordsThatCannotBeReadAreTold(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	day := utc(t, "2026-05-01T00:00:00Z")
	f.fill(t, t, 1,
		told{payload: eve.MailRecorded{Facts: factsOf(1, eve.SectionMails, day, day, `{"mail_id":1,"timestamp":"2026-05-01T00:00:00Z","subject":"secret"}`, `{"subject":"no id"}`)}},
		told{payload: eve.KillmailRecorded{Facts: factsOf(1, eve.SectionKillmails, day, day, `{"killmail_id":1}`)}},
		told{payload: eve.NotificationRecorded{Facts: factsOf(1, eve.SectionNotifications, day, day, `{"notification_id":1}`)}},
		told{payload: eve.NotificationChanged{Facts: factsOf(1, eve.SectionNotifications, day, day, `{"notification_id":2}`)}})
	q := clickhouse.RecordQuery{FactQuery: clickhouse.FactQuery{From: day, To: day.AddDate(0, 0, 1), Interval: clickhouse.Day}}
	mails, err := f.records().Mails(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, 1, mails[0].Unreadable)
	kills, err := f.records().Killmails(t.Context(), q, nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, kills[0].Unreadable)
	notes, err := f.records().Notifications(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, 1, notes[0].Unreadable)
	require.NotContains(t, f.projection.Schema, "subject")

	for name, p := range map[string]event.Payload{
		"a day that is none":    eve.MailRecorded{Facts: eve.Facts{CharacterID: 1, Section: eve.SectionMails, Day: "yesterday"}},
		"a riddle":              eve.SectionObserved{CharacterID: 1, Section: eve.SectionOnline, Encoding: "riddle", Value: json.RawMessage(`{}`)},
		"no presence":           eve.SectionObserved{CharacterID: 1, Section: eve.SectionOnline, Encoding: eve.EncodingFull, Value: json.RawMessage(`[]`)},
		"details that are none": eve.SectionObserved{CharacterID: 1, Section: eve.SectionDetails, Encoding: eve.EncodingFull, Value: json.RawMessage(`[]`)},
	} {
		batch := clickhouse.Records().NewBatch()
		require.Error(t, batch.Add(runner.Event{Payload: p}), name)
		for _, in := range batch.(runner.ClickHouseBatch).Inserts() {
			require.Zero(t, in.Rows, name)
		}
	}
	small := clickhouse.DefaultBudget()
	small.Facts = 0
	_, err = clickhouse.NewRecordReader(f.conn, live.New(place(f.name)), small).Mails(t.Context(), q)
	require.ErrorContains(t, err, "more than 0 mails")
	q.GroupBy = []clickhouse.Dimension{clickhouse.ByModel}
	_, err = f.records().Contracts(t.Context(), q)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
	_, err = clickhouse.NewRecordReader(f.conn, live.New(place("dropped_a_moment_ago")), clickhouse.DefaultBudget()).Mails(t.Context(), clickhouse.RecordQuery{FactQuery: clickhouse.FactQuery{From: day, To: day.Add(time.Hour), Interval: clickhouse.Day}})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "%v", err)
}
