package clickhouse

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed records.sql
var recordsSchema string

// RecordsName is the name of the projection of contracts, killmails, mails,
// notifications, presence and the sync over time.
const RecordsName = "records"

// Steps of the sync of a section, as the log has them.
const (
	// StepTold: a reading told something new.
	StepTold = "told"
	// StepFailed: a spell of failures began, or became one of another class.
	StepFailed = "failed"
	// StepRecovered: the section can be read again.
	StepRecovered = "recovered"
)

// Records is the projection of what became of contracts, of killmails, of who wrote when,
// of who was online, and of what the log says of the sync; and of where characters were.
// Like [Facts] it sums nothing up, and loses what retention removes. Of mails and
// notifications nothing is kept that says what they are about.
func Records() runner.Projection {
	return runner.Projection{
		Name:    RecordsName,
		Version: 2,
		Topics:  []string{event.TopicEVE},
		Schema:  recordsSchema,

		Tombstones: true,
		Tables: []runner.Table{
			{Name: "contracts", Key: "character_id, contract_id, event_id", Replacing: true},
			{Name: "killmails", Key: "character_id, killmail_id", Replacing: true},
			{Name: "presence", Key: "character_id, observed_at", Replacing: true},
			{Name: "mails", Key: "character_id, mail_id", Replacing: true},
			{Name: "notifications", Key: "character_id, notification_id", Replacing: true},
			{Name: "sync_steps", Key: "section, character_id, event_id", Replacing: true},
			{Name: "affiliations", Key: "character_id, since", Replacing: true},
		},
		Bare:     []event.Type{eve.TypeJournalRecorded},
		NewBatch: func() runner.Batch { return &recordsBatch{forgotten: map[int64]event.Position{}} },
	}
}

// recordRow is a row of whichever table: of an event that told content of a character.
// Day is zero for what retention does not remove by the day.
type recordRow[C any] struct {
	placed

	character int64
	day       time.Time
	readable  bool
	content   C
}

type (
	contractTold struct {
		eve.Contract

		at time.Time
	}
	affiliated struct {
		corporation, alliance int64
		since                 time.Time
	}
	syncStep struct {
		section     eve.Section
		at          time.Time
		step, class string
	}
)

// recordsBatch gathers rows.
type recordsBatch struct {
	contracts     []recordRow[contractTold]
	killmails     []recordRow[eve.Killmail]
	presence      []recordRow[eve.Presence]
	mails         []recordRow[eve.MailHead]
	notifications []recordRow[eve.NotificationHead]
	steps         []recordRow[syncStep]
	affiliations  []recordRow[affiliated]

	expired []characterExpiry
	// forgotten has, by character, the place of the event before which nothing
	// counts any more.
	forgotten map[int64]event.Position
}

// Add implements [runner.Batch].
func (b *recordsBatch) Add(e runner.Event) error {
	if e.Expiry != nil {
		if x, is := expiryOf(e); is {
			b.without(func(p placed, character int64, day time.Time) bool {
				return character == x.character && (p.event == x.id || !day.IsZero() && day.Before(x.cutOff))
			})
			b.expired = append(b.expired, x)
		}
		return nil
	}
	if e.Type == eve.TypeJournalRecorded {
		if id, is := e.Stream.CharacterID(); is {
			b.step(e, id, eve.SectionWalletJournal, e.Time, StepTold, "")
		}
		return nil
	}
	switch p := e.Payload.(type) {
	case eve.FactsEvent:
		return b.record(e, p)
	case eve.SectionObserved:
		return b.observe(e, p)
	case eve.SectionFailed:
		b.step(e, p.CharacterID, p.Section, e.Time, StepFailed, string(p.Class))
	case eve.SectionRecovered:
		b.step(e, p.CharacterID, p.Section, e.Time, StepRecovered, "")
	case eve.CharacterRegistered:
		if p.CorporationID > 0 {
			b.affiliate(e, p.CharacterID, affiliated{p.CorporationID, p.AllianceID, storable(e.Time)})
		}
	case eve.CharacterForgotten:
		b.without(func(_ placed, character int64, _ time.Time) bool { return character == p.CharacterID })
		b.forgotten[p.CharacterID] = e.Position
	}
	return nil
}

func (b *recordsBatch) step(e runner.Event, character int64, s eve.Section, at time.Time, step, class string) {
	b.steps = append(b.steps, recordRow[syncStep]{placed: placeOf(e), character: character, content: syncStep{s, storable(at), step, class}})
}

func (b *recordsBatch) affiliate(e runner.Event, character int64, a affiliated) {
	b.affiliations = append(b.affiliations, recordRow[affiliated]{placed: placeOf(e), character: character, content: a})
}

func (b *recordsBatch) observe(e runner.Event, p eve.SectionObserved) error {
	known := p.Section == eve.SectionDetails || p.Section == eve.SectionOnline
	if known && p.Encoding != eve.EncodingFull {
		return event.Errorf(event.CodePoisoned, "encoding %q of section %s cannot be read by this Muster: upgrade it", p.Encoding, p.Section)
	}
	switch p.Section { //nolint:exhaustive // of the others it counts that they were told
	case eve.SectionDetails:
		d, err := eve.DecodeDetails(p.Value)
		if err != nil {
			return err
		}
		b.affiliate(e, p.CharacterID, affiliated{d.CorporationID, d.AllianceID, storable(p.FetchedAt)})
	case eve.SectionOnline:
		seen, err := eve.DecodePresence(p)
		if err != nil {
			return err
		}
		b.presence = append(b.presence, recordRow[eve.Presence]{placed: placeOf(e), character: p.CharacterID, content: seen})
	}
	b.step(e, p.CharacterID, p.Section, p.FetchedAt, StepTold, "")
	return nil
}

// record adds records of a day. One that was recorded and cannot be counted is kept as
// such a row, so that figures can say that something is missing; an amendment that does
// not tell all that counts leaves the row as it is.
func (b *recordsBatch) record(e runner.Event, p eve.FactsEvent) error {
	f := p.Content()
	day, err := time.Parse(time.DateOnly, f.Day)
	if err != nil {
		return event.Errorf(event.CodePoisoned, "facts of the day %q: %w", f.Day, err)
	}
	day = storable(day)
	b.step(e, f.CharacterID, f.Section, f.FetchedAt, StepTold, "")
	switch p.(type) {
	case eve.ContractRecorded, eve.ContractChanged:
		_, recorded := p.(eve.ContractRecorded)
		b.contracts = append(b.contracts, contractRows(e, f, day, recorded)...)
	case eve.KillmailRecorded, eve.KillmailChanged:
		_, recorded := p.(eve.KillmailRecorded)
		b.killmails = append(b.killmails, readRows(e, f, day, recorded, "killmail_id",
			func(item json.RawMessage) (eve.Killmail, error) { return eve.DecodeKillmail(f.CharacterID, item) },
			func(id int64) eve.Killmail { return eve.Killmail{ID: id, Time: day} })...)
	case eve.MailRecorded, eve.MailChanged:
		_, recorded := p.(eve.MailRecorded)
		b.mails = append(b.mails, readRows(e, f, day, recorded, "mail_id", eve.DecodeMailHead,
			func(id int64) eve.MailHead { return eve.MailHead{ID: id, SentAt: day} })...)
	case eve.NotificationRecorded, eve.NotificationChanged:
		_, recorded := p.(eve.NotificationRecorded)
		b.notifications = append(b.notifications, readRows(e, f, day, recorded, "notification_id", eve.DecodeNotificationHead,
			func(id int64) eve.NotificationHead { return eve.NotificationHead{ID: id, At: day} })...)
	}
	return nil
}

// readRows are the rows of records that each event tells as a whole. unreadable is what
// stands for one that was recorded and cannot be read.
func readRows[C any](e runner.Event, f eve.Facts, day time.Time, recorded bool, key string, decode func(json.RawMessage) (C, error), unreadable func(id int64) C) []recordRow[C] {
	var rows []recordRow[C]
	for _, item := range f.Items {
		row := recordRow[C]{placed: placeOf(e), character: f.CharacterID, day: day, readable: true}
		var err error
		if row.content, err = decode(item); err != nil {
			id, known := keyIn(item, key)
			if !recorded || !known {
				continue
			}
			row.content, row.readable = unreadable(id), false
		}
		rows = append(rows, row)
	}
	return rows
}

// keyIn is the number in a field of an item.
func keyIn(item json.RawMessage, field string) (int64, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(item, &fields) != nil {
		return 0, false
	}
	var id int64
	return id, json.Unmarshal(fields[field], &id) == nil
}

// contractRows are what an event tells of contracts. A recorded one that cannot be read
// tells nothing, which keeps it from being counted; an amendment that tells nothing that
// counts, such as items or bids, is no row.
func contractRows(e runner.Event, f eve.Facts, day time.Time, recorded bool) []recordRow[contractTold] {
	var rows []recordRow[contractTold]
	for _, item := range f.Items {
		k, err := eve.DecodeContract(item)
		if err != nil {
			id, known := keyIn(item, "contract_id")
			if !recorded || !known {
				continue
			}
			k = eve.Contract{ID: id}
		}
		if k.Told == 0 && !recorded {
			continue
		}
		rows = append(rows, recordRow[contractTold]{placed: placeOf(e), character: f.CharacterID, day: day, readable: true, content: contractTold{k, storable(f.FetchedAt)}})
	}
	return rows
}

// without drops of what was gathered what goes.
func (b *recordsBatch) without(goes func(p placed, character int64, day time.Time) bool) {
	b.contracts, b.killmails, b.presence = rowsLeft(b.contracts, true, goes), rowsLeft(b.killmails, false, goes), rowsLeft(b.presence, false, goes)
	b.mails, b.notifications = rowsLeft(b.mails, true, goes), rowsLeft(b.notifications, false, goes)
	b.steps, b.affiliations = rowsLeft(b.steps, false, goes), rowsLeft(b.affiliations, false, goes)
}

// rowsLeft are the rows that do not go; those of history go by their day, too.
func rowsLeft[C any](rows []recordRow[C], history bool, goes func(p placed, character int64, day time.Time) bool) []recordRow[C] {
	return slices.DeleteFunc(rows, func(r recordRow[C]) bool {
		if !history {
			r.day = time.Time{}
		}
		return goes(r.placed, r.character, r.day)
	})
}

// recordTables are those in which rows of an event can be that goes by a policy.
// Contracts and mails go by the cut-off.
func recordTables(policy retention.Class) []string {
	switch policy {
	case retention.ClassHistory:
		return []string{"sync_steps"}
	case retention.ClassState:
		return []string{"presence", "sync_steps", "affiliations"}
	default:
		return []string{"contracts", "killmails", "presence", "mails", "notifications", "sync_steps", "affiliations"}
	}
}

// Removals implements [runner.ClickHouseRemover].
func (b *recordsBatch) Removals() []runner.Removal {
	const day = "day < toDate(toDateTime(%d, 'UTC'))"
	removals := expiriesOf(b.expired, recordTables, []cutTable{{"contracts", day}, {"mails", day}})
	if len(b.forgotten) == 0 {
		return removals
	}
	var conditions []string
	for _, id := range slices.Sorted(maps.Keys(b.forgotten)) {
		at := b.forgotten[id]
		conditions = append(conditions, fmt.Sprintf("(character_id = %d AND log_partition = %d AND log_offset < %d)", id, at.Partition, at.Offset))
	}
	for _, t := range Records().Tables {
		removals = append(removals, runner.Removal{Table: t.Name, Where: strings.Join(conditions, " OR ")})
	}
	return removals
}

// recordInsert is a block of rows of one table: those of its columns that value tells.
func recordInsert[C any](table string, rows []recordRow[C], names string, columns func(rows []recordRow[C]) []any) runner.Insert {
	return insertRows(table, rows, "character_id, "+names, func(r *recordRow[C]) placed { return r.placed }, func(rows []recordRow[C]) []any {
		return append([]any{column(rows, func(r *recordRow[C]) int64 { return r.character })}, columns(rows)...)
	})
}

// of is a column of what rows hold.
func of[C, T any](rows []recordRow[C], value func(*C) T) []T {
	return column(rows, func(r *recordRow[C]) T { return value(&r.content) })
}

func dayOf[C any](rows []recordRow[C]) []time.Time {
	return column(rows, func(r *recordRow[C]) time.Time { return r.day })
}

func readableOf[C any](rows []recordRow[C]) []bool {
	return column(rows, func(r *recordRow[C]) bool { return r.readable })
}

// Inserts implements [runner.ClickHouseBatch].
func (b *recordsBatch) Inserts() []runner.Insert {
	return []runner.Insert{
		recordInsert("contracts", b.contracts, "contract_id, day, told_at, fields, kind, status, issuer_id, assignee_id, acceptor_id, issued, accepted, completed, price, reward, collateral", contractColumns),
		recordInsert("killmails", b.killmails, "killmail_id, day, date, readable, loss, final_blow, attackers, ship_type_id, solar_system_id, victim_id, item_types, item_quantities", killmailColumns),
		recordInsert("presence", b.presence, "observed_at, online, last_login, last_logout, logins", func(rows []recordRow[eve.Presence]) []any {
			return []any{
				of(rows, func(p *eve.Presence) time.Time { return storable(p.At) }), of(rows, func(p *eve.Presence) bool { return p.Online }),
				of(rows, func(p *eve.Presence) time.Time { return storable(p.LastLogin) }), of(rows, func(p *eve.Presence) time.Time { return storable(p.LastLogout) }),
				of(rows, func(p *eve.Presence) int64 { return p.Logins }),
			}
		}),
		recordInsert("mails", b.mails, "mail_id, day, date, readable, from_id, recipients", func(rows []recordRow[eve.MailHead]) []any {
			return []any{
				of(rows, func(m *eve.MailHead) int64 { return m.ID }), dayOf(rows), of(rows, func(m *eve.MailHead) time.Time { return storable(m.SentAt) }), readableOf(rows),
				of(rows, func(m *eve.MailHead) int64 { return m.FromID }), of(rows, func(m *eve.MailHead) []int64 { return m.RecipientIDs }),
			}
		}),
		recordInsert("notifications", b.notifications, "notification_id, day, date, readable, kind, sender_id", func(rows []recordRow[eve.NotificationHead]) []any {
			return []any{
				of(rows, func(n *eve.NotificationHead) int64 { return n.ID }), dayOf(rows), of(rows, func(n *eve.NotificationHead) time.Time { return storable(n.At) }), readableOf(rows),
				of(rows, func(n *eve.NotificationHead) string { return n.Type }), of(rows, func(n *eve.NotificationHead) int64 { return n.SenderID }),
			}
		}),
		recordInsert("sync_steps", b.steps, "section, at, step, class", func(rows []recordRow[syncStep]) []any {
			return []any{
				of(rows, func(s *syncStep) string { return string(s.section) }), of(rows, func(s *syncStep) time.Time { return s.at }),
				of(rows, func(s *syncStep) string { return s.step }), of(rows, func(s *syncStep) string { return s.class }),
			}
		}),
		recordInsert("affiliations", b.affiliations, "since, corporation_id, alliance_id", func(rows []recordRow[affiliated]) []any {
			return []any{
				of(rows, func(a *affiliated) time.Time { return a.since }), of(rows, func(a *affiliated) int64 { return a.corporation }), of(rows, func(a *affiliated) int64 { return a.alliance }),
			}
		}),
	}
}

func contractColumns(rows []recordRow[contractTold]) []any {
	number := func(value func(*contractTold) int64) []int64 { return of(rows, value) }
	moment := func(value func(*contractTold) time.Time) []time.Time {
		return of(rows, func(c *contractTold) time.Time { return storable(value(c)) })
	}
	money := func(value func(*contractTold) eve.ISK) []decimal.Decimal {
		return of(rows, func(c *contractTold) decimal.Decimal { return exact(value(c)) })
	}
	return []any{
		number(func(c *contractTold) int64 { return c.ID }), dayOf(rows), of(rows, func(c *contractTold) time.Time { return c.at }),
		of(rows, func(c *contractTold) uint32 { return uint32(c.Told) }), of(rows, func(c *contractTold) string { return c.Type }), of(rows, func(c *contractTold) string { return c.Status }),
		number(func(c *contractTold) int64 { return c.IssuerID }), number(func(c *contractTold) int64 { return c.AssigneeID }), number(func(c *contractTold) int64 { return c.AcceptorID }),
		moment(func(c *contractTold) time.Time { return c.Issued }), moment(func(c *contractTold) time.Time { return c.Accepted }), moment(func(c *contractTold) time.Time { return c.Completed }),
		money(func(c *contractTold) eve.ISK { return c.Price }), money(func(c *contractTold) eve.ISK { return c.Reward }), money(func(c *contractTold) eve.ISK { return c.Collateral }),
	}
}

func killmailColumns(rows []recordRow[eve.Killmail]) []any {
	number := func(value func(*eve.Killmail) int64) []int64 { return of(rows, value) }
	items := func(value func(eve.LostItem) int64) [][]int64 {
		return of(rows, func(k *eve.Killmail) []int64 {
			list := make([]int64, len(k.Lost))
			for i, lost := range k.Lost {
				list[i] = value(lost)
			}
			return list
		})
	}
	return []any{
		number(func(k *eve.Killmail) int64 { return k.ID }), dayOf(rows), of(rows, func(k *eve.Killmail) time.Time { return storable(k.Time) }), readableOf(rows),
		of(rows, func(k *eve.Killmail) bool { return k.Loss }), of(rows, func(k *eve.Killmail) bool { return k.FinalBlow }),
		number(func(k *eve.Killmail) int64 { return k.Attackers }), number(func(k *eve.Killmail) int64 { return k.ShipTypeID }),
		number(func(k *eve.Killmail) int64 { return k.SolarSystemID }), number(func(k *eve.Killmail) int64 { return k.VictimID }),
		items(func(l eve.LostItem) int64 { return l.TypeID }), items(func(l eve.LostItem) int64 { return l.Quantity }),
	}
}
