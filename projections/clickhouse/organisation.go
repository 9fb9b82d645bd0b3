package clickhouse

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed organisation.sql
var organisationSchema string

// OrganisationName is the name of the projection of how an organisation stood over
// time.
const OrganisationName = "organisation"

// Organisation is the projection of how users were compliant, of the skills of
// characters and what skill sets asked for, and of who looked at whose data. Like
// [Facts] it has a row for each fact and sums nothing up. Rows go with the tombstone of
// their event.
func Organisation() runner.Projection {
	return runner.Projection{
		Name:    OrganisationName,
		Version: 1,
		Topics:  []string{event.TopicAccess, event.TopicEVE},
		Schema:  organisationSchema,

		Tombstones: true,
		Tables: []runner.Table{
			{Name: "compliance", Key: "user_id, since, event_id", Replacing: true},
			{Name: "mains", Key: "user_id, since, event_id", Replacing: true},
			{Name: "listed", Key: "character_id, since, event_id", Replacing: true},
			{Name: "looks", Key: "owner_id, last_at, event_id", Replacing: true},
			{Name: "forgettings", Key: "character_id, forgotten_at, event_id", Replacing: true},
			{Name: "skill_levels", Key: "character_id, observed_at, event_id", Replacing: true},
			{Name: "skill_sets", Key: "skill_set_id, since, event_id", Replacing: true},
			{Name: "skill_set_groups", Key: "group_id, since, event_id", Replacing: true},
		},
		Bare: []event.Type{
			eve.TypeJournalRecorded, eve.TypeTransactionsRecorded, eve.TypeTransactionsChanged, eve.TypeMiningRecorded, eve.TypeMiningChanged,
			eve.TypeMailRecorded, eve.TypeMailChanged, eve.TypeContractRecorded, eve.TypeContractChanged, eve.TypeKillmailRecorded, eve.TypeKillmailChanged,
			eve.TypeNotificationRecorded, eve.TypeNotificationChanged, eve.TypeCalendarRecorded, eve.TypeCalendarChanged,
		},
		NewBatch: func() runner.Batch { return &organisationBatch{forgotten: map[int64]event.Position{}} },
	}
}

type complianceRow struct {
	placed
	access.ComplianceChanged

	at     time.Time
	faults map[access.Fault]bool
}

type mainRow struct {
	placed

	user      string
	at        time.Time
	character int64
}

type listedRow struct {
	placed

	user                   string
	character, corporation int64
	at                     time.Time
}

type lookRow struct {
	placed
	access.DataViewed
}

type forgettingRow struct {
	placed

	character int64
	at        time.Time
}

type levelsRow struct {
	placed

	character    int64
	at           time.Time
	base         uuid.UUID
	skills, gone []int64
	levels       []int8
}

type skillSetRow struct {
	placed

	id                    uuid.UUID
	at                    time.Time
	defined               bool
	name                  string
	skills                []int64
	required, recommended []int8
}

type skillSetGroupRow struct {
	placed

	id      uuid.UUID
	at      time.Time
	defined bool
	name    string
	sets    []uuid.UUID
}

// organisationBatch gathers rows.
type organisationBatch struct {
	compliance  []complianceRow
	mains       []mainRow
	listed      []listedRow
	looks       []lookRow
	forgettings []forgettingRow
	levels      []levelsRow
	sets        []skillSetRow
	groups      []skillSetGroupRow
	// gone are the tombstones, by topic.
	gone map[string][]runner.Event
	// forgotten has, by character, the place of the event before which its skills count
	// no more.
	forgotten map[int64]event.Position
}

// Add implements [runner.Batch].
func (b *organisationBatch) Add(e runner.Event) error {
	if e.Expiry != nil {
		b.expire(e)
		return nil
	}
	switch p := e.Payload.(type) {
	case access.ComplianceChanged:
		row := complianceRow{placed: placeOf(e), ComplianceChanged: p, at: storable(p.Since), faults: map[access.Fault]bool{}}
		for _, r := range p.Reasons {
			row.faults[r.Fault] = true
		}
		b.compliance = append(b.compliance, row)
	case access.MainSet:
		row := mainRow{placed: placeOf(e), user: p.UserID, at: storable(e.Time)}
		if p.CharacterID != nil {
			row.character = *p.CharacterID
		}
		b.mains = append(b.mains, row)
	case access.CharactersListed:
		for _, c := range p.Characters {
			if c.CorporationID > 0 {
				b.listed = append(b.listed, listedRow{placeOf(e), p.UserID, c.CharacterID, c.CorporationID, storable(e.Time)})
			}
		}
	case access.DataViewed:
		p.FirstAt, p.LastAt = storable(p.FirstAt), storable(p.LastAt)
		b.looks = append(b.looks, lookRow{placeOf(e), p})
	case eve.CharacterForgotten:
		b.forget(e, p.CharacterID)
	case eve.SectionObserved:
		return b.observe(e, p)
	default:
		b.define(e)
	}
	return nil
}

// observe adds the levels of skills.
func (b *organisationBatch) observe(e runner.Event, p eve.SectionObserved) error {
	if p.Section != eve.SectionSkills {
		return nil
	}
	row := levelsRow{placed: placeOf(e), character: p.CharacterID, at: storable(p.FetchedAt), base: e.ID}
	switch {
	case p.Encoding == eve.EncodingDelta && p.Base != nil:
		row.base = *p.Base
	case p.Encoding != eve.EncodingFull:
		return event.Errorf(event.CodePoisoned, "encoding %q of section %s cannot be read by this Muster: upgrade it", p.Encoding, p.Section)
	}
	levels, err := eve.DecodeSkillLevels(p)
	if err != nil {
		return err
	}
	row.skills, row.gone = slices.Sorted(maps.Keys(levels.Active)), levels.Gone
	for _, id := range row.skills {
		row.levels = append(row.levels, int8(levels.Active[id]))
	}
	b.levels = append(b.levels, row)
	return nil
}

// define adds what skill sets and their groups are.
func (b *organisationBatch) define(e runner.Event) {
	switch p := e.Payload.(type) {
	case eve.SkillSetDefined:
		row := skillSetRow{placed: placeOf(e), id: p.SkillSetID, at: storable(e.Time), defined: true, name: p.Name}
		for _, s := range p.Skills {
			row.skills, row.required, row.recommended = append(row.skills, s.TypeID), append(row.required, int8(s.Required)), append(row.recommended, int8(s.Recommended))
		}
		b.sets = append(b.sets, row)
	case eve.SkillSetRemoved:
		b.sets = append(b.sets, skillSetRow{placed: placeOf(e), id: p.SkillSetID, at: storable(e.Time)})
	case eve.SkillSetGroupDefined:
		b.groups = append(b.groups, skillSetGroupRow{placeOf(e), p.SkillSetGroupID, storable(e.Time), true, p.Label(), p.SkillSetIDs})
	case eve.SkillSetGroupRemoved:
		b.groups = append(b.groups, skillSetGroupRow{placed: placeOf(e), id: p.SkillSetGroupID, at: storable(e.Time)})
	}
}

// forget drops the skills that were gathered of a character, has those of earlier
// batches removed, and notes when it was, for looks.
func (b *organisationBatch) forget(e runner.Event, id int64) {
	b.levels = slices.DeleteFunc(b.levels, func(r levelsRow) bool { return r.character == id })
	b.forgettings = append(b.forgettings, forgettingRow{placeOf(e), id, storable(e.Time)})
	b.forgotten[id] = e.Position
}

// expire drops what a tombstone names of what was gathered, and has its rows of earlier
// batches removed. What goes by the age of its records is nothing that is here.
func (b *organisationBatch) expire(e runner.Event) {
	if retention.Class(e.Expiry.Policy) == retention.ClassHistory {
		return
	}
	b.compliance = slices.DeleteFunc(b.compliance, func(r complianceRow) bool { return r.event == e.ID })
	b.mains = slices.DeleteFunc(b.mains, func(r mainRow) bool { return r.event == e.ID })
	b.listed = slices.DeleteFunc(b.listed, func(r listedRow) bool { return r.event == e.ID })
	b.looks = slices.DeleteFunc(b.looks, func(r lookRow) bool { return r.event == e.ID })
	b.forgettings = slices.DeleteFunc(b.forgettings, func(r forgettingRow) bool { return r.event == e.ID })
	b.levels = slices.DeleteFunc(b.levels, func(r levelsRow) bool { return r.event == e.ID })
	b.sets = slices.DeleteFunc(b.sets, func(r skillSetRow) bool { return r.event == e.ID })
	b.groups = slices.DeleteFunc(b.groups, func(r skillSetGroupRow) bool { return r.event == e.ID })
	if b.gone == nil {
		b.gone = map[string][]runner.Event{}
	}
	b.gone[e.Topic] = append(b.gone[e.Topic], e)
}

// Removals implements [runner.ClickHouseRemover].
func (b *organisationBatch) Removals() []runner.Removal {
	var removals []runner.Removal
	for some := range slices.Chunk(b.gone[event.TopicAccess], namedAtOnce) {
		for _, table := range []string{"compliance", "mains", "listed", "looks"} {
			removals = append(removals, runner.Removal{Table: table, Where: namedBy(some)})
		}
	}
	for some := range slices.Chunk(b.gone[event.TopicEVE], namedAtOnce) {
		var ofCharacters, others []runner.Event
		for _, e := range some {
			if _, is := e.Stream.CharacterID(); is {
				ofCharacters = append(ofCharacters, e)
			} else {
				others = append(others, e)
			}
		}
		if len(ofCharacters) > 0 {
			where := charactersOf(ofCharacters) + " AND " + namedBy(ofCharacters)
			removals = append(removals, runner.Removal{Table: "skill_levels", Where: where}, runner.Removal{Table: "forgettings", Where: where})
		}
		if len(others) > 0 {
			removals = append(removals, runner.Removal{Table: "skill_sets", Where: namedBy(others)}, runner.Removal{Table: "skill_set_groups", Where: namedBy(others)})
		}
	}
	if len(b.forgotten) == 0 {
		return removals
	}
	var conditions []string
	for _, id := range slices.Sorted(maps.Keys(b.forgotten)) {
		at := b.forgotten[id]
		conditions = append(conditions, fmt.Sprintf("(character_id = %d AND log_partition = %d AND log_offset < %d)", id, at.Partition, at.Offset))
	}
	return append(removals, runner.Removal{Table: "skill_levels", Where: strings.Join(conditions, " OR ")})
}

// Inserts implements [runner.ClickHouseBatch].
func (b *organisationBatch) Inserts() []runner.Insert {
	return []runner.Insert{
		insertRows("compliance", b.compliance, "user_id, since, considered, compliant, no_main, never_registered, login_lost, total, unregistered",
			func(r *complianceRow) placed { return r.placed }, complianceColumns),
		insertRows("mains", b.mains, "user_id, since, character_id", func(r *mainRow) placed { return r.placed }, func(rows []mainRow) []any {
			return []any{
				column(rows, func(r *mainRow) string { return r.user }), column(rows, func(r *mainRow) time.Time { return r.at }),
				column(rows, func(r *mainRow) int64 { return r.character }),
			}
		}),
		insertRows("listed", b.listed, "character_id, since, user_id, corporation_id", func(r *listedRow) placed { return r.placed }, func(rows []listedRow) []any {
			return []any{
				column(rows, func(r *listedRow) int64 { return r.character }), column(rows, func(r *listedRow) time.Time { return r.at }),
				column(rows, func(r *listedRow) string { return r.user }), column(rows, func(r *listedRow) int64 { return r.corporation }),
			}
		}),
		insertRows("looks", b.looks, "owner_id, last_at, first_at, viewer_id, viewer_user_id, character_id, section, way, count", func(r *lookRow) placed { return r.placed }, lookColumns),
		insertRows("forgettings", b.forgettings, "character_id, forgotten_at", func(r *forgettingRow) placed { return r.placed }, func(rows []forgettingRow) []any {
			return []any{column(rows, func(r *forgettingRow) int64 { return r.character }), column(rows, func(r *forgettingRow) time.Time { return r.at })}
		}),
		insertRows("skill_levels", b.levels, "character_id, observed_at, base_id, skills, levels, gone", func(r *levelsRow) placed { return r.placed }, func(rows []levelsRow) []any {
			return []any{
				column(rows, func(r *levelsRow) int64 { return r.character }), column(rows, func(r *levelsRow) time.Time { return r.at }),
				column(rows, func(r *levelsRow) uuid.UUID { return r.base }), column(rows, func(r *levelsRow) []int64 { return r.skills }),
				column(rows, func(r *levelsRow) []int8 { return r.levels }), column(rows, func(r *levelsRow) []int64 { return r.gone }),
			}
		}),
		insertRows("skill_sets", b.sets, "skill_set_id, since, defined, name, skills, required, recommended", func(r *skillSetRow) placed { return r.placed }, func(rows []skillSetRow) []any {
			return []any{
				column(rows, func(r *skillSetRow) uuid.UUID { return r.id }), column(rows, func(r *skillSetRow) time.Time { return r.at }),
				column(rows, func(r *skillSetRow) bool { return r.defined }), column(rows, func(r *skillSetRow) string { return r.name }),
				column(rows, func(r *skillSetRow) []int64 { return r.skills }), column(rows, func(r *skillSetRow) []int8 { return r.required }),
				column(rows, func(r *skillSetRow) []int8 { return r.recommended }),
			}
		}),
		insertRows("skill_set_groups", b.groups, "group_id, since, defined, name, sets", func(r *skillSetGroupRow) placed { return r.placed }, func(rows []skillSetGroupRow) []any {
			return []any{
				column(rows, func(r *skillSetGroupRow) uuid.UUID { return r.id }), column(rows, func(r *skillSetGroupRow) time.Time { return r.at }),
				column(rows, func(r *skillSetGroupRow) bool { return r.defined }), column(rows, func(r *skillSetGroupRow) string { return r.name }),
				column(rows, func(r *skillSetGroupRow) []uuid.UUID { return r.sets }),
			}
		}),
	}
}

func complianceColumns(rows []complianceRow) []any {
	fault := func(f access.Fault) []bool {
		return column(rows, func(r *complianceRow) bool { return r.faults[f] })
	}
	return []any{
		column(rows, func(r *complianceRow) string { return r.UserID }), column(rows, func(r *complianceRow) time.Time { return r.at }),
		column(rows, func(r *complianceRow) bool { return r.Considered }), column(rows, func(r *complianceRow) bool { return r.Compliant }),
		fault(access.FaultNoMain), fault(access.FaultNeverRegistered), fault(access.FaultLoginLost),
		column(rows, func(r *complianceRow) int64 { return int64(r.Total) }), column(rows, func(r *complianceRow) int64 { return int64(r.Unregistered) }),
	}
}

func lookColumns(rows []lookRow) []any {
	text := func(value func(*lookRow) string) []string { return column(rows, value) }
	return []any{
		text(func(r *lookRow) string { return r.OwnerID }),
		column(rows, func(r *lookRow) time.Time { return r.LastAt }), column(rows, func(r *lookRow) time.Time { return r.FirstAt }),
		text(func(r *lookRow) string { return r.ViewerID }), text(func(r *lookRow) string { return r.ViewerUserID }),
		column(rows, func(r *lookRow) int64 { return r.CharacterID }),
		text(func(r *lookRow) string { return r.Section }), text(func(r *lookRow) string { return string(r.Way) }),
		column(rows, func(r *lookRow) int64 { return r.Count }),
	}
}
