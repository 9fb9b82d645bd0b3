package api

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/postgres"
)

// derivedField is a field that Muster adds to what ESI sends.
type derivedField struct {
	postgres.Field

	doc string
}

// Fields that several sections have.
const (
	derivedPlace = `system_id:id The system that the place is in.
		system_name:text
		security_status:num Of the system.
		region:text The name of the region.`
	derivedSystem = `security_status:num Of the system.
		region:text The name of the region.`
	derivedGroup = `group_id:id Of the type.
		group_name:text`
	derivedPrice = `price:isk The average price of the market, of one; absent of the past.
		total:isk The price of all of it, exact before it is rounded.`
)

// derivedFields are the fields that Muster adds to the items of a section, or with at to
// those of a list within them. A field whose value is not known is absent.
func derivedFields(section eve.Section, at string) []derivedField {
	type place struct {
		section eve.Section
		at      string
	}
	text := map[place]string{
		{eve.SectionDetails, ""}:            "race_name:text\nbloodline_name:text",
		{eve.SectionCorporationHistory, ""}: "end_date:time When the next one began; absent of the present one.\ndays:int Whole days from start_date to end_date, or until now.",
		{eve.SectionAssets, ""}: derivedGroup + `
			category_id:id
			category_name:text
			is_ship:bool
			volume:num Cubic metres, of one.
			` + derivedPrice + `
			within:int How many assets lie directly in this one; absent for none. location_id=ITEM_ID lists them.
			place_id:id The place where it lies at last: its location, or where the outermost asset around it lies.
			place_name:text
			` + derivedPlace,
		{eve.SectionContacts, ""}:           "is_npc:bool Whether it belongs to the game.\nstanding_level:text excellent (above 5), good (above 0), neutral, bad (down to -5) or terrible.\nlabel_names:json The names of label_ids.",
		{eve.SectionContracts, ""}:          "summary:text What it is about: \"A >> B (12000 m3)\" of a courier, the one item, \"[Multiple Items]\" or \"(no items)\".\nbids_count:int Of an auction.\ncurrent_bid:isk The highest of an auction; absent without bids.",
		{eve.SectionContracts, "items"}:     derivedGroup + "\nis_blueprint_copy:bool Absent of what is none.\nvolume:num Cubic metres, of one.\n" + derivedPrice,
		{eve.SectionImplants, ""}:           "slot:int\n" + derivedGroup,
		{eve.SectionClones, "jump_clones"}:  derivedPlace + "\nimplant_types:json The implants by slot: type_id, type_name, slot.",
		{eve.SectionLocation, ""}:           derivedSystem,
		{eve.SectionMails, ""}:              "label_names:json The names of labels.",
		{eve.SectionMails, "lists"}:         "unread_count:int Mails to the list that are not read.",
		{eve.SectionShip, ""}:               derivedGroup,
		{eve.SectionSkills, "skills"}:       derivedGroup,
		{eve.SectionSkillQueue, ""}:         derivedGroup + "\npercent:num How much of the level is trained, cut after two decimals.\nseconds_left:int Until the level is trained; absent if the queue stands still.",
		{eve.SectionWalletTransactions, ""}: derivedGroup + "\ntotal:isk unit_price times quantity, negative for what was bought.\n" + derivedPlace,
		{eve.SectionFWStats, ""}:            "current_rank_name:text\nhighest_rank_name:text",
		{eve.SectionMining, ""}:             derivedGroup + "\nvolume:num Cubic metres, of one.\n" + derivedPrice + "\n" + derivedSystem,
		{eve.SectionPlanets, ""}:            "planet_name:text\n" + derivedSystem,
		{eve.SectionRoles, ""}:              "duties:json All roles of the game with group, place, role and whether it is granted, in the order of the game.",
		{eve.SectionStandings, ""}:          "standing_level:text Of the effective one: excellent (above 5), good (above 0), neutral, bad (down to -5) or terrible.\neffective_standing:num With Connections and Diplomacy; absent for whom the skills are not shown.",
	}
	var fields []derivedField
	for line := range strings.Lines(text[place{section, at}]) {
		head, doc, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, kind, _ := strings.Cut(head, ":")
		fields = append(fields, derivedField{postgres.Field{Name: name, Kind: postgres.FieldKind(kind)}, doc})
	}
	return fields
}

// columns are the fields of the section's items as a table has them.
func (s sectionSpec) columns() []postgres.Field {
	fields := s.fields()
	for _, f := range derivedFields(s.section, "") {
		fields = append(fields, f.Field)
	}
	return fields
}

// schema describes the section's items or its value.
func (s sectionSpec) schema() *huma.Schema {
	object := objectSchema(s.fields())
	describe(object, derivedFields(s.section, ""))
	for _, set := range postgres.FieldSets() {
		within := set.Path
		if s.list == "" && set.Of == eve.OfElements && set.List != anyList {
			within = set.List
		}
		if set.Section == s.section && within != "" && !strings.Contains(within, ".") && !slices.Contains(s.apart, within) {
			object.Properties[within] = listSchema(s.section, within, set.Fields)
		}
	}
	return object
}

// anyList stands in a set of fields for all lists of a section.
const anyList = "*"

// besides describes a list that is shown beside the items; nil if it is none.
func (s sectionSpec) besides(list string) *huma.Schema {
	for _, set := range postgres.FieldSets() {
		if set.Section == s.section && set.Of == eve.OfElements && set.List == list {
			return listSchema(s.section, list, set.Fields)
		}
	}
	return nil
}

func listSchema(section eve.Section, list string, fields []postgres.Field) *huma.Schema {
	element := objectSchema(fields)
	describe(element, derivedFields(section, list))
	return &huma.Schema{Type: huma.TypeArray, Items: element, Nullable: true}
}

func describe(object *huma.Schema, fields []derivedField) {
	for _, f := range fields {
		schema := schemaOf(f.Kind)
		schema.Nullable = false
		if f.doc != "" {
			schema.Description = f.doc
		}
		object.Properties[f.Name] = schema
	}
}
