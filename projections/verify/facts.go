package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// Facts is the oracle of the projection of what characters traded, mined and learned:
// it compares every row with what the records and the sections say.
type Facts struct {
	conn  driver.Conn
	model *eve.Model
	// points are the skill points of each observation, places where characters were;
	// by character and moment.
	points, places map[int64]map[time.Time]noted
}

// noted is what an event told in words.
type noted struct {
	event uuid.UUID
	words string
}

// NewFacts is an oracle for the rows behind conn.
func NewFacts(conn driver.Conn) *Facts { return &Facts{conn: conn} }

// Projection implements [Oracle].
func (o *Facts) Projection() string { return "facts" }

// Topics implements [Oracle].
func (o *Facts) Topics() []string { return []string{event.TopicEVE} }

// Begin implements [Oracle].
func (o *Facts) Begin() {
	o.model = eve.NewModel()
	o.points, o.places = map[int64]map[time.Time]noted{}, map[int64]map[time.Time]noted{}
}

// Apply implements [Oracle].
func (o *Facts) Apply(e event.Recorded, p event.Payload) error {
	switch p := p.(type) {
	case eve.CharacterForgotten:
		delete(o.points, p.CharacterID)
		delete(o.places, p.CharacterID)
	case eve.CharacterRegistered:
		if p.CorporationID > 0 {
			note(o.places, p.CharacterID, e, e.Time, fmt.Sprintf("in %d of %d", p.CorporationID, p.AllianceID))
		}
		return nil
	case eve.SectionObserved:
		if p.Section != eve.SectionSkills && p.Section != eve.SectionDetails {
			return nil
		}
	case eve.FactsEvent:
		if s := p.Content().Section; s != eve.SectionWalletTransactions && s != eve.SectionMining {
			return nil
		}
	default:
		return nil
	}
	if err := o.model.Apply(e.Event, p); err != nil {
		return err
	}
	observed, is := p.(eve.SectionObserved)
	if !is {
		return nil
	}
	value := o.model.Character(observed.CharacterID).Sections[observed.Section].Value
	var told struct {
		Total         *int64 `json:"total_sp"`
		Unallocated   int64  `json:"unallocated_sp"`
		CorporationID int64  `json:"corporation_id"`
		AllianceID    int64  `json:"alliance_id"`
	}
	if err := json.Unmarshal(value, &told); err != nil {
		return fmt.Errorf("reading section %s of character %d: %w", observed.Section, observed.CharacterID, err)
	}
	switch {
	case observed.Section == eve.SectionDetails:
		note(o.places, observed.CharacterID, e, observed.FetchedAt, fmt.Sprintf("in %d of %d", told.CorporationID, told.AllianceID))
	case told.Total != nil:
		note(o.points, observed.CharacterID, e, observed.FetchedAt, pointsInWords(*told.Total, told.Unallocated))
	}
	return nil
}

// Expire implements [TombstoneOracle].
func (o *Facts) Expire(e event.Recorded) {
	expire(o.model, e)
	id, _ := e.Stream.CharacterID()
	for _, told := range []map[time.Time]noted{o.points[id], o.places[id]} {
		maps.DeleteFunc(told, func(_ time.Time, n noted) bool { return n.event == e.ID })
	}
}

func note(into map[int64]map[time.Time]noted, character int64, e event.Recorded, at time.Time, words string) {
	if into[character] == nil {
		into[character] = map[time.Time]noted{}
	}
	into[character][at.UTC().Truncate(time.Millisecond)] = noted{e.ID, words}
}

func pointsInWords(total, unallocated int64) string {
	return fmt.Sprintf("%d skill points, %d unallocated", total, unallocated)
}

// Compare implements [Oracle].
func (o *Facts) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	c := comparison{projection: o.Projection(), report: r, wanted: wanted, seen: map[string]bool{}}
	if err := o.trades(ctx, g, at, &c); err != nil {
		return err
	}
	if err := o.mining(ctx, g, at, &c); err != nil {
		return err
	}
	if err := o.moments(ctx, g, at, &c); err != nil {
		return err
	}
	for _, id := range o.model.IDs() {
		for key, record := range o.model.Character(id).Records[eve.SectionWalletTransactions] {
			c.missing(event.Character(id), "transaction "+key, o.trade(id, key, record))
		}
		for key, record := range o.model.Character(id).Records[eve.SectionMining] {
			if quantity, counted := whole(record["quantity"]); counted {
				c.missing(event.Character(id), "mining "+key, strconv.FormatInt(quantity, 10))
			}
		}
	}
	for what, all := range map[string]map[int64]map[time.Time]noted{"skill points": o.points, "affiliation": o.places} {
		for id, list := range all {
			for moment, n := range list {
				c.missing(event.Character(id), what+" at "+moment.Format(time.RFC3339Nano), n.words)
			}
		}
	}
	return nil
}

// comparison notes which rows were seen.
type comparison struct {
	projection string
	report     *Report
	wanted     func(event.Stream) bool
	seen       map[string]bool
}

// row compares a row with what follows from the log; an empty text is none.
func (c *comparison) row(stream event.Stream, what, log, live string) {
	if !c.wanted(stream) {
		return
	}
	c.report.Rows[c.projection]++
	c.seen[string(stream)+" "+what] = true
	if log == "" {
		log = "missing"
	}
	c.report.same(c.projection, stream, what, log, live)
}

func (c *comparison) missing(stream event.Stream, what, log string) {
	if !c.seen[string(stream)+" "+what] {
		c.report.differ(Difference{c.projection, string(stream), what, log, "missing"})
	}
}

// whole is a whole number that is not below zero; false for anything else.
func whole(raw json.RawMessage) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil && n >= 0
}

// trade tells a transaction as the log has it, put together from all that was
// recorded of it.
func (o *Facts) trade(id int64, key string, record map[string]json.RawMessage) string {
	if record == nil {
		if ch := o.model.Character(id); ch != nil {
			record = ch.Records[eve.SectionWalletTransactions][key]
		}
	}
	if record == nil {
		return ""
	}
	text, err := json.Marshal(record)
	if err != nil {
		return err.Error()
	}
	t, err := eve.DecodeTransaction(text)
	if err != nil {
		return "no trade that counts"
	}
	return tradeInWords(t.Date, t.TypeID, t.Quantity, t.UnitPrice, t.IsBuy, t.LocationID)
}

func tradeInWords(date time.Time, kind, quantity int64, price eve.ISK, buy bool, location int64) string {
	return fmt.Sprintf("%s: %d of type %d for %s each, bought %t, at %d", date.UTC().Truncate(time.Second).Format(time.RFC3339), quantity, kind, price, buy, location)
}

func (o *Facts) trades(ctx context.Context, g runner.Generation, at eventlog.Partition, c *comparison) error {
	rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT character_id, transaction_id, date, readable, type_id, quantity, unit_price, is_buy, location_id FROM `%s`.transactions FINAL WHERE log_partition = %d", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var (
			character, id, kind, quantity, location int64
			date                                    time.Time
			readable, buy                           bool
			price                                   decimal.Decimal
		)
		if err := rows.Scan(&character, &id, &date, &readable, &kind, &quantity, &price, &buy, &location); err != nil {
			return err
		}
		live := "no trade that counts"
		if readable {
			live = tradeInWords(date, kind, quantity, hundredths(price), buy, location)
		}
		key := strconv.FormatInt(id, 10)
		c.row(event.Character(character), "transaction "+key, o.trade(character, key, nil), live)
	}
	return rows.Err()
}

func (o *Facts) mining(ctx context.Context, g runner.Generation, at eventlog.Partition, c *comparison) error {
	rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT character_id, day, solar_system_id, type_id, quantity FROM `%s`.mining FINAL WHERE log_partition = %d", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var (
			character, system, kind, quantity int64
			day                               time.Time
		)
		if err := rows.Scan(&character, &day, &system, &kind, &quantity); err != nil {
			return err
		}
		key := fmt.Sprintf("%s/%d/%d", day.Format(time.DateOnly), system, kind)
		log := ""
		if ch := o.model.Character(character); ch != nil {
			if n, counted := whole(ch.Records[eve.SectionMining][key]["quantity"]); counted {
				log = strconv.FormatInt(n, 10)
			}
		}
		c.row(event.Character(character), "mining "+key, log, strconv.FormatInt(quantity, 10))
	}
	return rows.Err()
}

// moments compares what holds from a moment on. The points of a difference that leaves
// them are looked up in its base, as queries do.
func (o *Facts) moments(ctx context.Context, g runner.Generation, at eventlog.Partition, c *comparison) error {
	rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT character_id, since, corporation_id, alliance_id FROM `%s`.affiliations FINAL WHERE log_partition = %d", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var character, corporation, alliance int64
		var since time.Time
		if err := rows.Scan(&character, &since, &corporation, &alliance); err != nil {
			return err
		}
		c.row(event.Character(character), "affiliation at "+since.UTC().Format(time.RFC3339Nano), o.places[character][since.UTC()].words, fmt.Sprintf("in %d of %d", corporation, alliance))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	type observed struct {
		character          int64
		at                 time.Time
		told               bool
		total, unallocated int64
		base, event        uuid.UUID
	}
	var all []observed
	byEvent := map[uuid.UUID]observed{}
	points, err := o.conn.Query(ctx, fmt.Sprintf("SELECT character_id, observed_at, told, total, unallocated, base_id, event_id FROM `%s`.skill_points FINAL WHERE log_partition = %d", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = points.Close() }()
	for points.Next() {
		var p observed
		if err := points.Scan(&p.character, &p.at, &p.told, &p.total, &p.unallocated, &p.base, &p.event); err != nil {
			return err
		}
		all = append(all, p)
		byEvent[p.event] = p
	}
	if err := points.Err(); err != nil {
		return err
	}
	for _, p := range all {
		if !p.told {
			base := byEvent[p.base]
			p.told, p.total, p.unallocated = base.told, base.total, base.unallocated
		}
		if p.told {
			c.row(event.Character(p.character), "skill points at "+p.at.UTC().Format(time.RFC3339Nano), o.points[p.character][p.at.UTC()].words, pointsInWords(p.total, p.unallocated))
		}
	}
	return nil
}

// FindingSteps is the oracle of the projection of what happened to findings.
type FindingSteps struct {
	conn  driver.Conn
	steps map[uuid.UUID]step
}

type step struct {
	stream event.Stream
	words  string
}

// NewFindingSteps is an oracle for the rows behind conn.
func NewFindingSteps(conn driver.Conn) *FindingSteps { return &FindingSteps{conn: conn} }

// Projection implements [Oracle].
func (o *FindingSteps) Projection() string { return "finding_steps" }

// Topics implements [Oracle].
func (o *FindingSteps) Topics() []string { return []string{event.TopicAnVIL} }

// Begin implements [Oracle].
func (o *FindingSteps) Begin() { o.steps = map[uuid.UUID]step{} }

// Apply implements [Oracle].
func (o *FindingSteps) Apply(e event.Recorded, p event.Payload) error {
	keep := func(what string, f anvil.Finding) {
		o.steps[e.ID] = step{e.Stream, stepInWords(e.Time, what, f.ID, string(f.Model), f.Scope, f.Record, f.Kind, string(f.Severity), f.OpenedAt)}
	}
	switch p := p.(type) {
	case anvil.FindingOpened:
		keep("opened", p.Finding)
	case anvil.FindingChanged:
		keep("changed", p.Finding)
	case anvil.FindingResolved:
		keep("resolved", p.Finding)
	}
	return nil
}

func stepInWords(at time.Time, what string, id uuid.UUID, model, scope, record, kind, severity string, opened time.Time) string {
	// A finding that does not tell when it was opened has the first moment there is.
	if first := time.Unix(0, 0); opened.Before(first) {
		opened = first
	}
	form := func(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) }
	return fmt.Sprintf("%s: %s %s, %s %q %q %q, %s, opened %s", form(at), what, id, model, scope, record, kind, severity, form(opened))
}

// Compare implements [Oracle].
func (o *FindingSteps) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT consortium, event_id, at, step, finding_id, model, scope, record, kind, severity, opened_at FROM `%s`.finding_steps FINAL WHERE log_partition = %d", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	c := comparison{projection: o.Projection(), report: r, wanted: wanted, seen: map[string]bool{}}
	for rows.Next() {
		var (
			consortium, what, model, scope, record, kind, severity string
			id, finding                                            uuid.UUID
			moment, opened                                         time.Time
		)
		if err := rows.Scan(&consortium, &id, &moment, &what, &finding, &model, &scope, &record, &kind, &severity, &opened); err != nil {
			return err
		}
		c.row(event.Consortium(consortium), "event "+id.String(), o.steps[id].words, stepInWords(moment, what, finding, model, scope, record, kind, severity, opened))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, s := range o.steps {
		c.missing(s.stream, "event "+id.String(), s.words)
	}
	return nil
}
