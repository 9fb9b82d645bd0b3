package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// ledger is what events tell, row by row: a row follows from one event.
type ledger struct {
	conn       driver.Conn
	projection string
	// tables are queries of the rows of a partition, by the table: their streams, their
	// names and what they say, in words.
	tables map[string]string
	told   map[string]entry
}

// entry is a row as the log tells it.
type entry struct {
	stream event.Stream
	event  uuid.UUID
	words  string
}

func (l *ledger) tell(e event.Recorded, name, words string) {
	l.told[string(e.Stream)+" "+name] = entry{e.Stream, e.ID, words}
}

// Expire implements [TombstoneOracle]. What goes by the age of its records is nothing
// that is here.
func (l *ledger) Expire(e event.Recorded) {
	if e.Expiry.Policy != string(retention.ClassHistory) {
		maps.DeleteFunc(l.told, func(_ string, told entry) bool { return told.event == e.ID })
	}
}

func (l *ledger) compare(ctx context.Context, g runner.Generation, at eventlog.Partition, c *comparison) error {
	for _, table := range slices.Sorted(maps.Keys(l.tables)) {
		rows, err := l.conn.Query(ctx, fmt.Sprintf("SELECT %s FROM `%s`.%s FINAL WHERE log_partition = %d", l.tables[table], g.Namespace, table, at.ID))
		if err != nil {
			return err
		}
		for rows.Next() {
			var stream, name, words string
			if err := rows.Scan(&stream, &name, &words); err != nil {
				_ = rows.Close()
				return err
			}
			c.row(event.Stream(stream), table+" "+name, l.told[stream+" "+table+" "+name].words, words)
		}
		if err := rows.Close(); err != nil {
			return err
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// absent tells of what no row was seen of.
func (l *ledger) absent(c *comparison) {
	for key, told := range l.told {
		c.missing(told.stream, strings.TrimPrefix(key, string(told.stream)+" "), told.words)
	}
}

func milli(t time.Time) int64 {
	// What says nothing of its time is from the first moment there is.
	return max(0, t.UnixMilli())
}

// Organisation is the oracle of the projection of how an organisation stood over time.
type Organisation struct {
	ledger

	model *eve.Model
	// levels are the active levels of skills at each observation.
	levels map[string]entry
}

// NewOrganisation is an oracle for the rows behind conn.
func NewOrganisation(conn driver.Conn) *Organisation {
	const ms = "toString(toUnixTimestamp64Milli(%s))"
	user, character := "concat('eve:user:', user_id)", "concat('eve:character:', toString(character_id))"
	at := func(column string) string { return fmt.Sprintf(ms, column) }
	words := func(columns ...string) string { return "concatWithSeparator(' ', " + strings.Join(columns, ", ") + ")" }
	texts := func(columns ...string) string {
		for i, column := range columns {
			columns[i] = "toString(" + column + ")"
		}
		return strings.Join(columns, ", ")
	}
	const id = "toString(event_id)"
	return &Organisation{ledger: ledger{conn: conn, projection: "organisation", tables: map[string]string{
		"compliance":       strings.Join([]string{user, id, words(at("since"), texts("considered", "compliant", "no_main", "never_registered", "login_lost", "total", "unregistered"))}, ", "),
		"mains":            strings.Join([]string{user, id, words(at("since"), texts("character_id"))}, ", "),
		"listed":           strings.Join([]string{user, words(id, texts("character_id")), words(at("since"), texts("corporation_id"))}, ", "),
		"looks":            strings.Join([]string{"multiIf(character_id != 0, " + character + ", viewer_user_id != '', concat('eve:user:', viewer_user_id), 'eve:org')", id, words(at("first_at"), at("last_at"), texts("owner_id", "viewer_id", "section", "way", "count"))}, ", "),
		"forgettings":      strings.Join([]string{character, id, at("forgotten_at")}, ", "),
		"skill_sets":       strings.Join([]string{"'eve:org'", id, words(at("since"), texts("skill_set_id", "defined", "name", "skills", "required", "recommended"))}, ", "),
		"skill_set_groups": strings.Join([]string{"'eve:org'", id, words(at("since"), texts("group_id", "defined", "name"), "arrayStringConcat(arrayMap(s -> toString(s), sets), ',')")}, ", "),
	}}}
}

// Projection implements [Oracle].
func (o *Organisation) Projection() string { return o.projection }

// Topics implements [Oracle].
func (o *Organisation) Topics() []string { return []string{event.TopicAccess, event.TopicEVE} }

// Begin implements [Oracle].
func (o *Organisation) Begin() {
	o.model, o.told, o.levels = eve.NewModel(), map[string]entry{}, map[string]entry{}
}

// Expire implements [TombstoneOracle].
func (o *Organisation) Expire(e event.Recorded) {
	o.ledger.Expire(e)
	expire(o.model, e)
	maps.DeleteFunc(o.levels, func(_ string, told entry) bool { return told.event == e.ID })
}

// Apply implements [Oracle].
func (o *Organisation) Apply(e event.Recorded, p event.Payload) error {
	id := " " + e.ID.String()
	switch p := p.(type) {
	case access.ComplianceChanged:
		has := func(f access.Fault) bool {
			return slices.ContainsFunc(p.Reasons, func(r access.Reason) bool { return r.Fault == f })
		}
		o.tell(e, "compliance"+id, fmt.Sprint(milli(p.Since), " ", p.Considered, " ", p.Compliant, " ", has("no_main"), " ", has("never_registered"), " ", has("login_lost"), " ", p.Total, " ", p.Unregistered))
	case access.MainSet:
		main := int64(0)
		if p.CharacterID != nil {
			main = *p.CharacterID
		}
		o.tell(e, "mains"+id, fmt.Sprint(milli(e.Time), " ", main))
	case access.CharactersListed:
		for _, c := range p.Characters {
			if c.CorporationID > 0 {
				o.tell(e, fmt.Sprint("listed", id, " ", c.CharacterID), fmt.Sprint(milli(e.Time), " ", c.CorporationID))
			}
		}
	case access.DataViewed:
		o.tell(e, "looks"+id, fmt.Sprint(milli(p.FirstAt), " ", milli(p.LastAt), " ", p.OwnerID, " ", p.ViewerID, " ", p.Section, " ", string(p.Way), " ", p.Count))
	case eve.CharacterForgotten:
		o.tell(e, "forgettings"+id, strconv.FormatInt(milli(e.Time), 10))
		maps.DeleteFunc(o.levels, func(_ string, told entry) bool { return told.stream == e.Stream })
		return o.model.Apply(e.Event, p)
	case eve.SectionObserved:
		return o.observe(e, p)
	default:
		o.define(e, p)
	}
	return nil
}

func (o *Organisation) define(e event.Recorded, p event.Payload) {
	id := " " + e.ID.String()
	switch p := p.(type) {
	case eve.SkillSetDefined:
		var skills, required, recommended []string
		for _, s := range p.Skills {
			skills, required, recommended = append(skills, strconv.FormatInt(s.TypeID, 10)), append(required, strconv.Itoa(int(s.Required))), append(recommended, strconv.Itoa(int(s.Recommended)))
		}
		o.tell(e, "skill_sets"+id, fmt.Sprintf("%d %s true %s [%s] [%s] [%s]", milli(e.Time), p.SkillSetID, p.Name, strings.Join(skills, ","), strings.Join(required, ","), strings.Join(recommended, ",")))
	case eve.SkillSetRemoved:
		o.tell(e, "skill_sets"+id, fmt.Sprintf("%d %s false  [] [] []", milli(e.Time), p.SkillSetID))
	case eve.SkillSetGroupDefined:
		var sets []string
		for _, set := range p.SkillSetIDs {
			sets = append(sets, set.String())
		}
		o.tell(e, "skill_set_groups"+id, fmt.Sprintf("%d %s true %s %s", milli(e.Time), p.SkillSetGroupID, p.Label(), strings.Join(sets, ",")))
	case eve.SkillSetGroupRemoved:
		o.tell(e, "skill_set_groups"+id, fmt.Sprintf("%d %s false  ", milli(e.Time), p.SkillSetGroupID))
	}
}

// observe notes the whole section of skills after an observation.
func (o *Organisation) observe(e event.Recorded, p eve.SectionObserved) error {
	if p.Section != eve.SectionSkills {
		return nil
	}
	if err := o.model.Apply(e.Event, p); err != nil {
		return err
	}
	var whole struct {
		Skills []struct {
			ID     int64   `json:"skill_id"`
			Active float64 `json:"active_skill_level"`
		} `json:"skills"`
	}
	if err := json.Unmarshal(o.model.Character(p.CharacterID).Sections[eve.SectionSkills].Value, &whole); err != nil {
		return fmt.Errorf("reading the skills of character %d: %w", p.CharacterID, err)
	}
	levels := map[int64]int8{}
	for _, s := range whole.Skills {
		if s.Active >= 1 {
			levels[s.ID] = int8(min(s.Active, eve.MaxSkillLevel))
		}
	}
	o.levels[e.ID.String()] = entry{e.Stream, e.ID, levelsInWords(p.FetchedAt, levels)}
	return nil
}

func levelsInWords(at time.Time, levels map[int64]int8) string {
	var words []string
	for _, id := range slices.Sorted(maps.Keys(levels)) {
		words = append(words, fmt.Sprintf("%d:%d", id, levels[id]))
	}
	return fmt.Sprint(milli(at), " ", strings.Join(words, " "))
}

// Compare implements [Oracle].
func (o *Organisation) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	c := comparison{projection: o.projection, report: r, wanted: wanted, seen: map[string]bool{}}
	if err := o.compare(ctx, g, at, &c); err != nil {
		return err
	}
	if err := o.learned(ctx, g, at, &c); err != nil {
		return err
	}
	o.absent(&c)
	for id, told := range o.levels {
		c.missing(told.stream, "skill_levels "+id, told.words)
	}
	return nil
}

// learned lays the levels of differences over those of their bases, as queries do.
func (o *Organisation) learned(ctx context.Context, g runner.Generation, at eventlog.Partition, c *comparison) error {
	rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT character_id, observed_at, event_id, base_id, skills, levels, gone FROM `%s`.skill_levels FINAL WHERE log_partition = %d ORDER BY log_offset", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	bases := map[uuid.UUID]map[int64]int8{}
	for rows.Next() {
		var character int64
		var moment time.Time
		var id, base uuid.UUID
		var skills, gone []int64
		var levels []int8
		if err := rows.Scan(&character, &moment, &id, &base, &skills, &levels, &gone); err != nil {
			return err
		}
		has := map[int64]int8{}
		maps.Copy(has, bases[base])
		for _, skill := range gone {
			delete(has, skill)
		}
		for i, skill := range skills {
			has[skill] = levels[i]
		}
		if base == id {
			bases[id] = has
		}
		c.row(event.Character(character), "skill_levels "+id.String(), o.levels[id.String()].words, levelsInWords(moment, has))
	}
	return rows.Err()
}

// AnVILHistory is the oracle of the projection of sweeps and audits over time.
type AnVILHistory struct{ ledger }

// NewAnVILHistory is an oracle for the rows behind conn.
func NewAnVILHistory(conn driver.Conn) *AnVILHistory {
	return &AnVILHistory{ledger{conn: conn, projection: "anvil_history", tables: map[string]string{
		"sweeps": "concat('anvil:', consortium), toString(sweep_id), concatWithSeparator(' ', toString(toUnixTimestamp64Milli(started_at)), toString(completed), toString(milliseconds), toString(models), toString(scoped), toString(covered), toString(calls), toString(retries), toString(observed), toString(unseen))",
		"audits": "concat('anvil:', consortium), concatWithSeparator(' ', toString(event_id), model), concatWithSeparator(' ', toString(toUnixTimestamp64Milli(audited_at)), toString(sweep_id), toString(audited), toString(verified), toString(errors), toString(beyond), toString(unknown), toString(not_in_app), toString(ignored), toString(unlisted))",
	}}}
}

// Projection implements [Oracle].
func (o *AnVILHistory) Projection() string { return o.projection }

// Topics implements [Oracle].
func (o *AnVILHistory) Topics() []string { return []string{event.TopicAnVIL} }

// Begin implements [Oracle].
func (o *AnVILHistory) Begin() { o.told = map[string]entry{} }

// Apply implements [Oracle].
func (o *AnVILHistory) Apply(e event.Recorded, p event.Payload) error {
	switch p := p.(type) {
	case anvil.SweepStarted:
		o.tell(e, "sweeps "+p.SweepID.String(), fmt.Sprint(milli(p.StartedAt), " false 0 ", len(p.Models), " ", len(p.Groups)+len(p.Workspaces) > 0, " 0 0 0 0 0"))
	case anvil.SweepCompleted:
		covered := 0
		for _, n := range p.Covered {
			covered += n
		}
		o.tell(e, "sweeps "+p.SweepID.String(), fmt.Sprint(milli(p.StartedAt), " true ", max(0, p.CompletedAt.Sub(p.StartedAt).Milliseconds()), " ", len(p.Models), " ", len(p.Groups)+len(p.Workspaces) > 0,
			" ", covered, " ", p.Calls, " ", p.Retries, " ", p.Observed, " ", p.UnseenCount))
	case anvil.AuditCompleted:
		sweep := uuid.Nil
		if p.SweepID != nil {
			sweep = *p.SweepID
		}
		for _, m := range p.Models {
			o.tell(e, fmt.Sprint("audits ", e.ID, " ", m.Model), fmt.Sprint(milli(p.AuditedAt), " ", sweep, " ", m.Audited, " ", m.Verified, " ", m.Errors, " ", m.Beyond, " ", m.Unknown, " ", m.NotInApp, " ", m.Ignored, " ", m.Unlisted))
		}
	}
	return nil
}

// Compare implements [Oracle].
func (o *AnVILHistory) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	c := comparison{projection: o.projection, report: r, wanted: wanted, seen: map[string]bool{}}
	if err := o.compare(ctx, g, at, &c); err != nil {
		return err
	}
	o.absent(&c)
	return nil
}
