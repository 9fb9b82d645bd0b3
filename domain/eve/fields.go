package eve

import "strings"

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
	Section Section
	// View is the name of the view that shows them.
	View string
	// Path is, below a list or the records, the field whose elements these are.
	Path string
	// List is the list whose elements these are.
	List   string
	Fields []Field
	// Of is where they lie.
	Of FieldsOf
}

// FieldsOf is where fields lie.
type FieldsOf int

const (
	// OfHead: in the section's value, beside its lists.
	OfHead FieldsOf = iota
	// OfElements: in the elements of a list.
	OfElements
	// OfRecords: in records.
	OfRecords
	// OfNested: in lists within records.
	OfNested
)

// FieldSets lists what is known of the fields of all sections: of the types of the
// columns of the views, of what is money, and of which ids have names. Fields that
// are not listed are kept and shown all the same. The names and types are those of
// ESI's OpenAPI document of 2026-08-04.
func FieldSets() []FieldSet {
	set := func(of FieldsOf, view string, s Section, list, path, fields string) FieldSet {
		return FieldSet{Section: s, View: view, List: list, Path: path, Fields: parseFields(fields), Of: of}
	}
	head := func(s Section, fields string) FieldSet { return set(OfHead, viewOf(s), s, "", "", fields) }
	list := func(s Section, fields string) FieldSet { return set(OfElements, viewOf(s), s, "", "", fields) }
	listAt := func(s Section, view, path, fields string) FieldSet {
		return set(OfElements, view, s, path, "", fields)
	}
	records := func(s Section, fields string) FieldSet { return set(OfRecords, viewOf(s), s, "", "", fields) }
	nested := func(s Section, view, path, fields string) FieldSet {
		return set(OfNested, view, s, "", path, fields)
	}
	const order = "order_id:id type_id:type location_id:loc region_id:id is_buy_order:bool is_corporation:bool price:isk escrow:isk volume_remain:int volume_total:int min_volume:int range:text duration:int issued:time"
	return []FieldSet{
		head(SectionDetails, "name:text corporation_id:ent alliance_id:ent faction_id:ent race_id:id bloodline_id:id gender:text birthday:time security_status:num description:markup corporation_title:markup character_title_id:text achievement_score:int"),
		list(SectionCorporationHistory, "record_id:id corporation_id:ent start_date:time is_deleted:bool"),
		list(SectionAssets, "item_id:id type_id:type name:text location_id:loc location_type:text location_flag:text quantity:int is_singleton:bool is_blueprint_copy:bool is_current_ship:bool"),
		head(SectionAttributes, "charisma:int intelligence:int memory:int perception:int willpower:int bonus_remaps:int last_remap_date:time accrued_remap_cooldown_date:time"),
		listAt(SectionContacts, "contacts", "contacts", "contact_id:ent contact_type:text standing:num is_blocked:bool is_watched:bool label_ids:json"),
		listAt(SectionContacts, "contact_labels", "labels", "label_id:id label_name:text"),
		records(SectionContracts, "contract_id:id type:text status:text title:text availability:text issuer_id:ent issuer_corporation_id:ent assignee_id:ent acceptor_id:ent for_corporation:bool start_location_id:loc end_location_id:loc price:isk reward:isk collateral:isk buyout:isk volume:num days_to_complete:int date_issued:time date_expired:time date_accepted:time date_completed:time"),
		nested(SectionContracts, "contract_items", "items", "record_id:id type_id:type quantity:int raw_quantity:int is_included:bool is_singleton:bool"),
		nested(SectionContracts, "contract_bids", "bids", "bid_id:id bidder_id:ent amount:isk date_bid:time"),
		list(SectionImplants, "type_id:type"),
		head(SectionClones, "home_location:json last_clone_jump_date:time last_station_change_date:time"),
		listAt(SectionClones, "jump_clones", "jump_clones", "jump_clone_id:id location_id:loc location_type:text name:text implants:json"),
		head(SectionLocation, "solar_system_id:loc station_id:loc structure_id:loc"),
		list(SectionLoyalty, "corporation_id:ent loyalty_points:int"),
		records(SectionMails, "mail_id:id from:ent subject:text timestamp:time is_read:bool labels:json recipients:json body:markup body_missing:bool"),
		nested(SectionMails, "mail_recipients", "recipients", "recipient_id:ent recipient_type:text"),
		listAt(SectionMails, "mail_labels", "labels", "label_id:id name:text color:text unread_count:int"),
		listAt(SectionMails, "mailing_lists", "lists", "mailing_list_id:id name:text"),
		head(SectionOnline, "online:bool last_login:time last_logout:time logins:int"),
		head(SectionShip, "ship_item_id:id ship_type_id:type ship_name:text"),
		set(OfHead, "skill_points", SectionSkills, "", "", "total_sp:int unallocated_sp:int"),
		listAt(SectionSkills, "skills", "skills", "skill_id:type trained_skill_level:int active_skill_level:int skillpoints_in_skill:int"),
		list(SectionSkillQueue, "queue_position:int skill_id:type finished_level:int start_date:time finish_date:time level_start_sp:int level_end_sp:int training_start_sp:int training_state:text"),
		head(SectionWallet, "balance:isk"),
		records(SectionWalletTransactions, "transaction_id:id date:time type_id:type quantity:int unit_price:isk is_buy:bool is_personal:bool client_id:ent location_id:loc journal_ref_id:id"),
		head(SectionFWStats, "faction_id:ent enlisted_on:time current_rank:int highest_rank:int kills:json victory_points:json"),
		records(SectionMining, "date:date solar_system_id:loc type_id:type quantity:int"),
		list(SectionPlanets, "planet_id:id solar_system_id:loc planet_type:text owner_id:ent upgrade_level:int num_pins:int last_update:time pins:json links:json routes:json"),
		set(OfElements, viewOf(SectionRoles), SectionRoles, "*", "", "role:text"),
		list(SectionStandings, "from_type:text from_id:ent standing:num"),
		list(SectionTitles, "title_id:id name:markup"),
		listAt(SectionOrders, "orders", "orders", order),
		listAt(SectionOrders, "order_history", "history", order+" state:text"),
		list(SectionIndustryJobs, "job_id:id status:text activity_id:id blueprint_id:id blueprint_type_id:type product_type_id:type runs:int licensed_runs:int successful_runs:int probability:num cost:isk installer_id:ent completed_character_id:ent facility_id:loc station_id:loc blueprint_location_id:loc output_location_id:loc duration:int start_date:time end_date:time pause_date:time completed_date:time"),
		list(SectionBlueprints, "item_id:id type_id:type location_id:loc location_flag:text quantity:int runs:int material_efficiency:int time_efficiency:int"),
		records(SectionKillmails, "killmail_id:id killmail_hash:text killmail_time:time solar_system_id:loc moon_id:id war_id:id victim:json attackers:json"),
		nested(SectionKillmails, "killmail_attackers", "attackers", "character_id:ent corporation_id:ent alliance_id:ent faction_id:ent ship_type_id:type weapon_type_id:type damage_done:int final_blow:bool security_status:num"),
		nested(SectionKillmails, "killmail_items", "victim.items", "item_type_id:type flag:int singleton:int quantity_destroyed:int quantity_dropped:int items:json"),
		records(SectionNotifications, "notification_id:id timestamp:time type:text sender_id:ent sender_type:text is_read:bool text:text"),
		records(SectionCalendar, "event_id:id event_date:time title:text event_response:text importance:int listed:bool duration:int owner_id:ent owner_name:text owner_type:text text:markup"),
		head(SectionFatigue, "jump_fatigue_expire_date:time last_jump_date:time last_update_date:time"),
		list(SectionMedals, "medal_id:id date:time issuer_id:ent corporation_id:ent title:text description:text reason:text status:text graphics:json"),
		list(SectionResearch, "agent_id:ent skill_type_id:type started_at:time points_per_day:num remainder_points:num"),
		list(SectionFittings, "fitting_id:id name:text description:markup ship_type_id:type items:json"),
	}
}

// viewOf is the name of a section's own view.
func viewOf(s Section) string { return strings.ReplaceAll(string(s), "-", "_") }

func parseFields(text string) []Field {
	parts := strings.Fields(text)
	fields := make([]Field, len(parts))
	for i, part := range parts {
		name, kind, _ := strings.Cut(part, ":")
		fields[i] = Field{name, FieldKind(kind)}
	}
	return fields
}

// KindsOf are the kinds of all fields of a section by their names, however deep they
// lie. Two fields of one name in one section are of one kind.
func KindsOf(s Section) map[string]FieldKind {
	kinds := map[string]FieldKind{}
	for _, set := range FieldSets() {
		if set.Section == s {
			for _, f := range set.Fields {
				kinds[f.Name] = f.Kind
			}
		}
	}
	// Within lists and objects that have no view.
	switch s {
	case SectionPlanets:
		kinds["type_id"], kinds["product_type_id"], kinds["content_type_id"] = FieldType, FieldType, FieldType
	case SectionFittings:
		kinds["type_id"] = FieldType
	case SectionWalletJournal:
		kinds["first_party_id"], kinds["second_party_id"], kinds["tax_receiver_id"] = FieldEntity, FieldEntity, FieldEntity
	default:
	}
	return kinds
}
