package postgres

import (
	"fmt"
	"strings"

	"github.com/muster-sync/muster/domain/eve"
)

// FieldKind says what a field of a section holds.
type FieldKind string

// The kinds of fields.
const (
	FieldText FieldKind = "text"
	FieldBool FieldKind = "bool"
	FieldTime FieldKind = "time"
	FieldDate FieldKind = "date"
	// FieldInt is a whole number, FieldNumber any number.
	FieldInt    FieldKind = "int"
	FieldNumber FieldKind = "num"
	// FieldISK is an amount of money.
	FieldISK FieldKind = "isk"
	// FieldID is an id that has no name of its own. FieldType, FieldLocation and
	// FieldEntity are ids of types, of places, and of somebody: a character, a
	// corporation, an alliance, a faction or an agent.
	FieldID       FieldKind = "id"
	FieldType     FieldKind = "type"
	FieldLocation FieldKind = "loc"
	FieldEntity   FieldKind = "ent"
	// FieldMarkup is a text that may hold the game's own markup, or whatever its
	// writer put in: it must not be shown to people as it is.
	FieldMarkup FieldKind = "markup"
	// FieldJSON is a list or an object.
	FieldJSON FieldKind = "json"
)

// Field is a field that ESI sends, under ESI's name.
type Field struct {
	Name string
	Kind FieldKind
}

// FieldSet are the fields of a section's value, of the elements of one of its
// lists, or of its records.
type FieldSet struct {
	Section eve.Section
	// View is the name of the view that shows them.
	View string
	// Path is, below a list or the records, the field whose elements these are.
	Path string
	// List is the list whose elements these are.
	List   string
	Fields []Field
	// source is of what the view is made.
	source source
}

// source is where fields lie.
type source int

const (
	ofHead source = iota
	ofElements
	ofRecords
	// ofNested are lists within records.
	ofNested
)

// FieldSets lists what is known of the fields of all sections: of the types of the
// columns of the views, of what is money, and of which ids have names. Fields that
// are not listed are kept and shown all the same. The names and types are those of
// ESI's OpenAPI document of 2026-08-04.
func FieldSets() []FieldSet {
	set := func(of source, view string, s eve.Section, list, path, fields string) FieldSet {
		return FieldSet{Section: s, View: view, List: list, Path: path, Fields: parseFields(fields), source: of}
	}
	head := func(s eve.Section, fields string) FieldSet { return set(ofHead, viewOf(s), s, "", "", fields) }
	list := func(s eve.Section, fields string) FieldSet { return set(ofElements, viewOf(s), s, "", "", fields) }
	listAt := func(s eve.Section, view, path, fields string) FieldSet {
		return set(ofElements, view, s, path, "", fields)
	}
	records := func(s eve.Section, fields string) FieldSet { return set(ofRecords, viewOf(s), s, "", "", fields) }
	nested := func(s eve.Section, view, path, fields string) FieldSet {
		return set(ofNested, view, s, "", path, fields)
	}
	const order = "order_id:id type_id:type location_id:loc region_id:id is_buy_order:bool is_corporation:bool price:isk escrow:isk volume_remain:int volume_total:int min_volume:int range:text duration:int issued:time"
	return []FieldSet{
		head(eve.SectionDetails, "name:text corporation_id:ent alliance_id:ent faction_id:ent race_id:id bloodline_id:id gender:text birthday:time security_status:num description:markup corporation_title:markup character_title_id:text achievement_score:int"),
		list(eve.SectionCorporationHistory, "record_id:id corporation_id:ent start_date:time is_deleted:bool"),
		list(eve.SectionAssets, "item_id:id type_id:type name:text location_id:loc location_type:text location_flag:text quantity:int is_singleton:bool is_blueprint_copy:bool is_current_ship:bool"),
		head(eve.SectionAttributes, "charisma:int intelligence:int memory:int perception:int willpower:int bonus_remaps:int last_remap_date:time accrued_remap_cooldown_date:time"),
		listAt(eve.SectionContacts, "contacts", "contacts", "contact_id:ent contact_type:text standing:num is_blocked:bool is_watched:bool label_ids:json"),
		listAt(eve.SectionContacts, "contact_labels", "labels", "label_id:id label_name:text"),
		records(eve.SectionContracts, "contract_id:id type:text status:text title:text availability:text issuer_id:ent issuer_corporation_id:ent assignee_id:ent acceptor_id:ent for_corporation:bool start_location_id:loc end_location_id:loc price:isk reward:isk collateral:isk buyout:isk volume:num days_to_complete:int date_issued:time date_expired:time date_accepted:time date_completed:time"),
		nested(eve.SectionContracts, "contract_items", "items", "record_id:id type_id:type quantity:int raw_quantity:int is_included:bool is_singleton:bool"),
		nested(eve.SectionContracts, "contract_bids", "bids", "bid_id:id bidder_id:ent amount:isk date_bid:time"),
		list(eve.SectionImplants, "type_id:type"),
		head(eve.SectionClones, "home_location:json last_clone_jump_date:time last_station_change_date:time"),
		listAt(eve.SectionClones, "jump_clones", "jump_clones", "jump_clone_id:id location_id:loc location_type:text name:text implants:json"),
		head(eve.SectionLocation, "solar_system_id:loc station_id:loc structure_id:loc"),
		list(eve.SectionLoyalty, "corporation_id:ent loyalty_points:int"),
		records(eve.SectionMails, "mail_id:id from:ent subject:text timestamp:time is_read:bool labels:json recipients:json body:markup body_missing:bool"),
		nested(eve.SectionMails, "mail_recipients", "recipients", "recipient_id:ent recipient_type:text"),
		listAt(eve.SectionMails, "mail_labels", "labels", "label_id:id name:text color:text unread_count:int"),
		listAt(eve.SectionMails, "mailing_lists", "lists", "mailing_list_id:id name:text"),
		head(eve.SectionOnline, "online:bool last_login:time last_logout:time logins:int"),
		head(eve.SectionShip, "ship_item_id:id ship_type_id:type ship_name:text"),
		set(ofHead, "skill_points", eve.SectionSkills, "", "", "total_sp:int unallocated_sp:int"),
		listAt(eve.SectionSkills, "skills", "skills", "skill_id:type trained_skill_level:int active_skill_level:int skillpoints_in_skill:int"),
		list(eve.SectionSkillQueue, "queue_position:int skill_id:type finished_level:int start_date:time finish_date:time level_start_sp:int level_end_sp:int training_start_sp:int training_state:text"),
		head(eve.SectionWallet, "balance:isk"),
		records(eve.SectionWalletTransactions, "transaction_id:id date:time type_id:type quantity:int unit_price:isk is_buy:bool is_personal:bool client_id:ent location_id:loc journal_ref_id:id"),
		head(eve.SectionFWStats, "faction_id:ent enlisted_on:time current_rank:int highest_rank:int kills:json victory_points:json"),
		records(eve.SectionMining, "date:date solar_system_id:loc type_id:type quantity:int"),
		list(eve.SectionPlanets, "planet_id:id solar_system_id:loc planet_type:text owner_id:ent upgrade_level:int num_pins:int last_update:time pins:json links:json routes:json"),
		set(ofElements, viewOf(eve.SectionRoles), eve.SectionRoles, "*", "", "role:text"),
		list(eve.SectionStandings, "from_type:text from_id:ent standing:num"),
		list(eve.SectionTitles, "title_id:id name:markup"),
		listAt(eve.SectionOrders, "orders", "orders", order),
		listAt(eve.SectionOrders, "order_history", "history", order+" state:text"),
		list(eve.SectionIndustryJobs, "job_id:id status:text activity_id:id blueprint_id:id blueprint_type_id:type product_type_id:type runs:int licensed_runs:int successful_runs:int probability:num cost:isk installer_id:ent completed_character_id:ent facility_id:loc station_id:loc blueprint_location_id:loc output_location_id:loc duration:int start_date:time end_date:time pause_date:time completed_date:time"),
		list(eve.SectionBlueprints, "item_id:id type_id:type location_id:loc location_flag:text quantity:int runs:int material_efficiency:int time_efficiency:int"),
		records(eve.SectionKillmails, "killmail_id:id killmail_hash:text killmail_time:time solar_system_id:loc moon_id:id war_id:id victim:json attackers:json"),
		nested(eve.SectionKillmails, "killmail_attackers", "attackers", "character_id:ent corporation_id:ent alliance_id:ent faction_id:ent ship_type_id:type weapon_type_id:type damage_done:int final_blow:bool security_status:num"),
		nested(eve.SectionKillmails, "killmail_items", "victim.items", "item_type_id:type flag:int singleton:int quantity_destroyed:int quantity_dropped:int items:json"),
		records(eve.SectionNotifications, "notification_id:id timestamp:time type:text sender_id:ent sender_type:text is_read:bool text:text"),
		records(eve.SectionCalendar, "event_id:id event_date:time title:text event_response:text importance:int listed:bool duration:int owner_id:ent owner_name:text owner_type:text text:markup"),
		head(eve.SectionFatigue, "jump_fatigue_expire_date:time last_jump_date:time last_update_date:time"),
		list(eve.SectionMedals, "medal_id:id date:time issuer_id:ent corporation_id:ent title:text description:text reason:text status:text graphics:json"),
		list(eve.SectionResearch, "agent_id:ent skill_type_id:type started_at:time points_per_day:num remainder_points:num"),
		list(eve.SectionFittings, "fitting_id:id name:text description:markup ship_type_id:type items:json"),
	}
}

func viewOf(s eve.Section) string { return strings.ReplaceAll(string(s), "-", "_") }

func parseFields(text string) []Field {
	parts := strings.Fields(text)
	fields := make([]Field, len(parts))
	for i, part := range parts {
		name, kind, _ := strings.Cut(part, ":")
		fields[i] = Field{name, FieldKind(kind)}
	}
	return fields
}

// sectionViews makes the views of all sections: typed columns with ESI's names.
func sectionViews() string {
	var sql strings.Builder
	for _, set := range FieldSets() {
		sql.WriteString(set.view())
	}
	return sql.String()
}

func (f FieldSet) view() string {
	const place = "t.log_partition, t.log_offset"
	section := "'" + string(f.Section) + "'"
	read := "sections s USING (character_id, section) WHERE t.section = " + section
	switch {
	case f.Section == eve.SectionWallet:
		return fmt.Sprintf("CREATE VIEW wallet AS SELECT t.character_id, (t.value #>> '{}')::numeric AS balance, t.observed_at, %s FROM sections t WHERE t.section = %s;\n", place, section)
	case f.Section == eve.SectionImplants:
		return fmt.Sprintf("CREATE VIEW implants AS SELECT t.character_id, t.key::bigint AS type_id, s.observed_at, %s FROM elements t JOIN %s;\n", place, read)
	case f.Section == eve.SectionRoles:
		return fmt.Sprintf("CREATE VIEW roles AS SELECT t.character_id, t.list AS place, t.key AS role, s.observed_at, %s FROM elements t JOIN %s;\n", place, read)
	case f.source == ofHead:
		return fmt.Sprintf("CREATE VIEW %s AS SELECT t.character_id, %s, t.observed_at, %s FROM sections t WHERE t.section = %s;\n", f.View, f.columns("t.value"), place, section)
	case f.source == ofElements:
		return fmt.Sprintf("CREATE VIEW %s AS SELECT t.character_id, %s, s.observed_at, %s FROM %s t JOIN %s AND t.list = '%s';\n", f.View, f.columns("t.value"), place, elementsOf(f.Section), read, f.List)
	case f.source == ofRecords:
		return fmt.Sprintf("CREATE VIEW %s AS SELECT t.character_id, %s, t.observed_at, %s FROM records t WHERE t.section = %s;\n", f.View, f.columns("t.value"), place, section)
	default:
		shape, _ := eve.ShapeOf(f.Section)
		id := shape.Records.Key[0]
		return fmt.Sprintf(`CREATE VIEW %s AS SELECT t.character_id, number_of(t.value, '%s') AS %s, %s, t.observed_at, %s
			FROM records t CROSS JOIN LATERAL json_array_elements(CASE WHEN json_typeof(t.value #> '{%[6]s}') = 'array' THEN t.value #> '{%[6]s}' ELSE '[]' END) AS n(value) WHERE t.section = %[7]s;
`, f.View, id, id, f.columns("n.value"), place, strings.ReplaceAll(f.Path, ".", ","), section)
	}
}

// elementsOf is the view with the elements of a section's lists.
func elementsOf(s eve.Section) string {
	if s == eve.SectionAssets {
		return "shown"
	}
	return "elements"
}

// trainingState is [eve.TrainingOf] in SQL, at the moment of the query.
func trainingState(from string) string {
	return fmt.Sprintf(`CASE WHEN %[1]s ->> 'start_date' IS NULL OR %[1]s ->> 'finish_date' IS NULL THEN '%[2]s'
		WHEN (%[1]s ->> 'finish_date')::timestamptz <= now() THEN '%[3]s'
		WHEN (%[1]s ->> 'start_date')::timestamptz <= now() THEN '%[4]s' ELSE '%[5]s' END`,
		from, eve.TrainingPaused, eve.TrainingFinished, eve.TrainingActive, eve.TrainingQueued)
}

// columns are the expressions that read the fields from a JSON object.
func (f FieldSet) columns(from string) string {
	columns := make([]string, len(f.Fields))
	for i, field := range f.Fields {
		read := fmt.Sprintf("(%s ->> '%s')", from, field.Name)
		switch field.Kind {
		case FieldID, FieldType, FieldLocation, FieldEntity, FieldInt:
			// So that the indexes on ids are of use.
			read = fmt.Sprintf("number_of(%s, '%s')", from, field.Name)
		case FieldNumber, FieldISK:
			read += "::numeric"
		case FieldBool:
			// ESI leaves out what is false.
			read = "coalesce(" + read + "::boolean, false)"
		case FieldTime:
			read += "::timestamptz"
		case FieldDate:
			read += "::date"
		case FieldJSON:
			read = fmt.Sprintf("(%s -> '%s')", from, field.Name)
		case FieldText, FieldMarkup:
		}
		if f.Section == eve.SectionSkillQueue && field.Name == eve.TrainingState {
			read = trainingState(from)
		}
		name := field.Name
		if name == "character_id" {
			// That is whose record it is.
			name = "attacker_id"
		}
		columns[i] = fmt.Sprintf(`%s AS "%s"`, read, name)
	}
	return strings.Join(columns, ", ")
}
