package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// Records is the oracle of the projection of contracts, killmails, mails, notifications,
// presence and the sync: it compares every row with what its event says.
type Records struct {
	conn driver.Conn
	// told has what there must be, by character and row.
	told map[int64]map[string]recorded
}

// recorded is what an event told in words. Day is that of what goes by its day; zero for
// everything else.
type recorded struct {
	noted

	day time.Time
}

// NewRecords is an oracle for the rows behind conn.
func NewRecords(conn driver.Conn) *Records { return &Records{conn: conn} }

// Projection implements [Oracle].
func (o *Records) Projection() string { return "records" }

// Topics implements [Oracle].
func (o *Records) Topics() []string { return []string{event.TopicEVE} }

// Begin implements [Oracle].
func (o *Records) Begin() { o.told = map[int64]map[string]recorded{} }

// Apply implements [Oracle].
func (o *Records) Apply(e event.Recorded, p event.Payload) error {
	id, is := e.Stream.CharacterID()
	if !is {
		return nil
	}
	if o.told[id] == nil {
		o.told[id] = map[string]recorded{}
	}
	note := func(what, words string, day time.Time) { o.told[id][what] = recorded{noted{e.ID, words}, day} }
	step := func(s eve.Section, at time.Time, words string) {
		note(fmt.Sprintf("step of %s by %s", s, e.ID), words+" at "+inMillis(at), time.Time{})
	}
	switch p := p.(type) {
	case eve.CharacterForgotten:
		delete(o.told, id)
	case eve.CharacterRegistered:
		if p.CorporationID > 0 {
			note("affiliation at "+inMillis(e.Time), fmt.Sprintf("in %d of %d", p.CorporationID, p.AllianceID), time.Time{})
		}
	case eve.SectionFailed:
		step(p.Section, e.Time, "failed "+string(p.Class))
	case eve.SectionRecovered:
		step(p.Section, e.Time, "recovered ")
	case eve.JournalRecorded:
		step(eve.SectionWalletJournal, e.Time, "told ")
	case eve.SectionObserved:
		step(p.Section, p.FetchedAt, "told ")
		return o.observed(p, note)
	case eve.FactsEvent:
		f := p.Content()
		step(f.Section, f.FetchedAt, "told ")
		day, err := time.Parse(time.DateOnly, f.Day)
		if err != nil {
			return fmt.Errorf("reading the day of facts of character %d: %w", id, err)
		}
		first := strings.Contains(string(e.Type), ".recorded.v")
		for _, item := range f.Items {
			recordInWords(e.ID, f, day, item, first, note)
		}
	}
	return nil
}

// inMillis is a moment as the tables hold it: none lies before the first one.
func inMillis(t time.Time) string {
	if first := time.Unix(0, 0); t.Before(first) {
		t = first
	}
	return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
}

// inSeconds is a moment as the tables hold it: what is not told is the first one.
func inSeconds(t time.Time) int64 { return max(0, t.Unix()) }

func (o *Records) observed(p eve.SectionObserved, note func(what, words string, day time.Time)) error {
	switch p.Section { //nolint:exhaustive // the others have no rows
	case eve.SectionDetails:
		d, err := eve.DecodeDetails(p.Value)
		if err != nil {
			return err
		}
		note("affiliation at "+inMillis(p.FetchedAt), fmt.Sprintf("in %d of %d", d.CorporationID, d.AllianceID), time.Time{})
	case eve.SectionOnline:
		seen, err := eve.DecodePresence(p)
		if err != nil {
			return err
		}
		note("presence at "+inMillis(p.FetchedAt), presenceInWords(seen.Online, seen.LastLogin, seen.LastLogout, seen.Logins), time.Time{})
	}
	return nil
}

func presenceInWords(online bool, login, logout time.Time, logins int64) string {
	return fmt.Sprintf("online %t, from %d to %d, %d logins", online, inSeconds(login), inSeconds(logout), logins)
}

// recordInWords notes what an item of a record says.
func recordInWords(by uuid.UUID, f eve.Facts, day time.Time, item json.RawMessage, first bool, note func(what, words string, day time.Time)) {
	var keys struct {
		Contract     int64 `json:"contract_id"`
		Killmail     int64 `json:"killmail_id"`
		Mail         int64 `json:"mail_id"`
		Notification int64 `json:"notification_id"`
	}
	if json.Unmarshal(item, &keys) != nil {
		return
	}
	say := func(what string, err error, words string, goes time.Time) {
		switch {
		case err == nil:
			note(what, words, goes)
		case first:
			note(what, "cannot be read", goes)
		}
	}
	switch f.Section { //nolint:exhaustive // the others have no rows
	case eve.SectionContracts:
		k, err := eve.DecodeContract(item)
		if err != nil {
			k = eve.Contract{}
		}
		if first || k.Told != 0 {
			note(fmt.Sprintf("contract %d by %s", keys.Contract, by), contractInWords(f.FetchedAt, &k), day)
		}
	case eve.SectionKillmails:
		k, err := eve.DecodeKillmail(f.CharacterID, item)
		say(fmt.Sprintf("killmail %d", keys.Killmail), err, killmailInWords(&k), time.Time{})
	case eve.SectionMails:
		m, err := eve.DecodeMailHead(item)
		say(fmt.Sprintf("mail %d", keys.Mail), err, fmt.Sprintf("at %d from %d to %v", inSeconds(m.SentAt), m.FromID, m.RecipientIDs), day)
	case eve.SectionNotifications:
		n, err := eve.DecodeNotificationHead(item)
		say(fmt.Sprintf("notification %d", keys.Notification), err, fmt.Sprintf("at %d: %s by %d", inSeconds(n.At), n.Type, n.SenderID), time.Time{})
	}
}

func contractInWords(told time.Time, k *eve.Contract) string {
	return fmt.Sprintf("told at %s (%b): %s, %s, by %d for %d with %d, %d %d %d, %s %s %s", inMillis(told), k.Told, k.Type, k.Status, k.IssuerID, k.AssigneeID, k.AcceptorID,
		inSeconds(k.Issued), inSeconds(k.Accepted), inSeconds(k.Completed), k.Price, k.Reward, k.Collateral)
}

func killmailInWords(k *eve.Killmail) string {
	return fmt.Sprintf("at %d in %d: loss %t of ship %d by %d, final blow %t, %d attackers, %v", inSeconds(k.Time), k.SolarSystemID, k.Loss, k.ShipTypeID, k.VictimID, k.FinalBlow, k.Attackers, k.Lost)
}

// Expire implements [TombstoneOracle].
func (o *Records) Expire(e event.Recorded) {
	id, is := e.Stream.CharacterID()
	if !is {
		return
	}
	history := e.Expiry.Policy == string(retention.ClassHistory)
	maps.DeleteFunc(o.told[id], func(_ string, n recorded) bool {
		if history && !n.day.IsZero() {
			return n.day.Before(e.Expiry.CutOff.UTC().Truncate(24 * time.Hour))
		}
		return n.event == e.ID
	})
}

// Compare implements [Oracle].
func (o *Records) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	c := comparison{projection: o.Projection(), report: r, wanted: wanted, seen: map[string]bool{}}
	row := func(character int64, what, live string) {
		c.row(event.Character(character), what, o.told[character][what].words, live)
	}
	for _, table := range recordTables() {
		rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT character_id, %s FROM `%s`.%s FINAL WHERE log_partition = %d", table.columns, g.Namespace, table.name, at.ID))
		if err != nil {
			return err
		}
		for rows.Next() {
			if err = table.scan(rows, row); err != nil {
				break
			}
		}
		if err == nil {
			err = rows.Err()
		}
		_ = rows.Close()
		if err != nil {
			return fmt.Errorf("reading %s: %w", table.name, err)
		}
	}
	for id, all := range o.told {
		for what, n := range all {
			c.missing(event.Character(id), what, n.words)
		}
	}
	return nil
}

// recordTable says how the rows of a table are put in words.
type recordTable struct {
	name, columns string
	scan          func(rows driver.Rows, row func(character int64, what, live string)) error
}

func recordTables() []recordTable {
	return []recordTable{
		{"contracts", "contract_id, event_id, told_at, fields, kind, status, issuer_id, assignee_id, acceptor_id, issued, accepted, completed, price, reward, collateral", scanContract},
		{"killmails", "killmail_id, date, readable, loss, final_blow, attackers, ship_type_id, solar_system_id, victim_id, item_types, item_quantities", scanKillmail},
		{"presence", "observed_at, online, last_login, last_logout, logins", func(rows driver.Rows, row func(int64, string, string)) error {
			var character, logins int64
			var at, login, logout time.Time
			var online bool
			err := rows.Scan(&character, &at, &online, &login, &logout, &logins)
			row(character, "presence at "+inMillis(at), presenceInWords(online, login, logout, logins))
			return err
		}},
		{"mails", "mail_id, date, readable, from_id, recipients", func(rows driver.Rows, row func(int64, string, string)) error {
			var character, id, from int64
			var at time.Time
			var readable bool
			var to []int64
			err := rows.Scan(&character, &id, &at, &readable, &from, &to)
			row(character, fmt.Sprintf("mail %d", id), readableWords(readable, fmt.Sprintf("at %d from %d to %v", inSeconds(at), from, to)))
			return err
		}},
		{"notifications", "notification_id, date, readable, kind, sender_id", func(rows driver.Rows, row func(int64, string, string)) error {
			var character, id, sender int64
			var at time.Time
			var readable bool
			var kind string
			err := rows.Scan(&character, &id, &at, &readable, &kind, &sender)
			row(character, fmt.Sprintf("notification %d", id), readableWords(readable, fmt.Sprintf("at %d: %s by %d", inSeconds(at), kind, sender)))
			return err
		}},
		{"sync_steps", "section, at, event_id, step, class", func(rows driver.Rows, row func(int64, string, string)) error {
			var character int64
			var section, step, class string
			var at time.Time
			var id uuid.UUID
			err := rows.Scan(&character, &section, &at, &id, &step, &class)
			row(character, fmt.Sprintf("step of %s by %s", section, id), step+" "+class+" at "+inMillis(at))
			return err
		}},
		{"affiliations", "since, corporation_id, alliance_id", func(rows driver.Rows, row func(int64, string, string)) error {
			var character, corporation, alliance int64
			var since time.Time
			err := rows.Scan(&character, &since, &corporation, &alliance)
			row(character, "affiliation at "+inMillis(since), fmt.Sprintf("in %d of %d", corporation, alliance))
			return err
		}},
	}
}

func readableWords(readable bool, words string) string {
	if !readable {
		return "cannot be read"
	}
	return words
}

func scanContract(rows driver.Rows, row func(character int64, what, live string)) error {
	var character int64
	var id uuid.UUID
	var told time.Time
	var fields uint32
	var price, reward, collateral decimal.Decimal
	var k eve.Contract
	err := rows.Scan(&character, &k.ID, &id, &told, &fields, &k.Type, &k.Status, &k.IssuerID, &k.AssigneeID, &k.AcceptorID, &k.Issued, &k.Accepted, &k.Completed, &price, &reward, &collateral)
	k.Told, k.Price, k.Reward, k.Collateral = eve.ContractFields(fields), hundredths(price), hundredths(reward), hundredths(collateral)
	row(character, fmt.Sprintf("contract %d by %s", k.ID, id), contractInWords(told, &k))
	return err
}

func scanKillmail(rows driver.Rows, row func(character int64, what, live string)) error {
	var character int64
	var readable bool
	var types, quantities []int64
	var k eve.Killmail
	err := rows.Scan(&character, &k.ID, &k.Time, &readable, &k.Loss, &k.FinalBlow, &k.Attackers, &k.ShipTypeID, &k.SolarSystemID, &k.VictimID, &types, &quantities)
	for i, t := range types {
		k.Lost = append(k.Lost, eve.LostItem{TypeID: t, Quantity: quantities[i]})
	}
	row(character, fmt.Sprintf("killmail %d", k.ID), readableWords(readable, killmailInWords(&k)))
	return err
}
