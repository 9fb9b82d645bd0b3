package api_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
)

// viewerColumn is a column, a total or a group of Member Audit's character viewer, with
// the fields that have it: paths into the answer, a list as name[].
type viewerColumn struct {
	tab, column, request string
	fields               []string
}

// viewerColumns are all of them: those of 1.9.4, and what 5.1.0 has beyond.
func viewerColumns() []viewerColumn {
	var columns []viewerColumn
	tab := func(name, request string, rows ...[2]string) {
		for _, row := range rows {
			columns = append(columns, viewerColumn{name, row[0], request, strings.Fields(row[1])})
		}
	}
	const of = "/v1/characters/{id}"
	tab("Header", of, [2]string{"portrait, links (made from the id)", "character_id"}, [2]string{"name", "name"}, [2]string{"corporation", "corporation_name"}, [2]string{"alliance", "alliance_name"},
		[2]string{"main", "main_id main_name is_main"}, [2]string{"last updated", "sections[].validated_at sections[].observed_at sections[].status"})
	tab("Header", of+"/details", [2]string{"faction", "value.faction_name"}, [2]string{"race, bloodline", "value.race_name value.bloodline_name"}, [2]string{"birthday", "value.birthday"}, [2]string{"security status", "value.security_status"})
	tab("Header", of+"/skills", [2]string{"skill points", "value.total_sp value.unallocated_sp"})
	tab("Header", of+"/assets", [2]string{"asset value", "total_value"})
	tab("Header", of+"/wallet", [2]string{"wallet", "value.balance"})
	tab("Header", of+"/location", [2]string{"location", "value.station_name value.structure_name"}, [2]string{"system", "value.solar_system_name value.security_status value.region"})
	tab("Header", of+"/ship", [2]string{"ship", "value.ship_type_name value.ship_name value.group_name"})
	tab("Header", of+"/online", [2]string{"last login", "value.last_login value.last_logout value.logins value.online"})
	tab("Header", of+"/skill-queue", [2]string{"training", "items[].skill_name items[].finished_level items[].training_state"})
	tab("Header", of+"/clones", [2]string{"home station", "value.home_location"})
	tab("Sidebar", "/v1/finder", [2]string{"the owner's characters (user_id)", "items[].character_id items[].name items[].status"})
	tab("Assets", of+"/assets", [2]string{"location", "items[].place_name items[].location_name"}, [2]string{"items of a location", "places[].place_name places[].items"}, [2]string{"total of a location", "places[].total_value"},
		[2]string{"name", "items[].type_name items[].name"}, [2]string{"quantity", "items[].quantity items[].is_singleton"}, [2]string{"group", "items[].group_name"}, [2]string{"volume", "items[].volume"},
		[2]string{"price", "items[].price"}, [2]string{"total", "items[].total"}, [2]string{"open container (location_id)", "items[].item_id items[].within"}, [2]string{"grand total", "total_value"},
		[2]string{"filters: region, system, location, ship?", "items[].region items[].system_name items[].place_id items[].is_ship"})
	tab("Attributes", of+"/attributes", [2]string{"attributes", "value.charisma value.intelligence value.memory value.perception value.willpower"}, [2]string{"remap date, bonus remaps", "value.last_remap_date value.accrued_remap_cooldown_date value.bonus_remaps"})
	tab("Bio", of+"/details", [2]string{"text", "value.description_html value.description_plain"})
	tab("Contacts", of+"/contacts", [2]string{"level", "items[].standing_level"}, [2]string{"name, NPC", "items[].contact_name items[].is_npc"}, [2]string{"type", "items[].contact_type"}, [2]string{"value", "items[].standing"},
		[2]string{"watched, blocked", "items[].is_watched items[].is_blocked"}, [2]string{"labels", "items[].label_names labels[].label_name"})
	tab("Contracts", of+"/contracts", [2]string{"summary", "items[].summary"}, [2]string{"type, status", "items[].type items[].status"}, [2]string{"from", "items[].issuer_name items[].issuer_corporation_name items[].for_corporation"},
		[2]string{"to", "items[].assignee_name items[].acceptor_name"}, [2]string{"issued", "items[].date_issued"}, [2]string{"time left (until)", "items[].date_expired"}, [2]string{"title", "items[].title"})
	tab("Contract details", of+"/contracts/{contract_id}", [2]string{"availability", "value.availability"}, [2]string{"location, destination", "value.start_location_name value.end_location_name"},
		[2]string{"dates, days", "value.date_issued value.date_expired value.date_accepted value.date_completed value.days_to_complete"}, [2]string{"volume", "value.volume"},
		[2]string{"reward, collateral, price", "value.reward value.collateral value.price"}, [2]string{"items", "value.items[].type_name value.items[].quantity value.items[].group_name value.items[].is_blueprint_copy"},
		[2]string{"included or requested", "value.items[].is_included"}, [2]string{"price, total", "value.items[].price value.items[].total"},
		[2]string{"auction: start, buyout", "value.price value.buyout"}, [2]string{"auction: current bid, bids", "value.current_bid value.bids_count value.bids[].bidder_name value.bids[].amount"})
	tab("Corporations", of+"/corporation-history", [2]string{"corporation", "items[].corporation_name"}, [2]string{"closed", "items[].is_deleted"}, [2]string{"from, to", "items[].start_date items[].end_date"}, [2]string{"duration", "items[].days"})
	tab("Implants", of+"/implants", [2]string{"implant by slot", "items[].type_name items[].slot"})
	tab("Jump clones", of+"/clones", [2]string{"region, system", "value.jump_clones[].region value.jump_clones[].system_name"}, [2]string{"location", "value.jump_clones[].location_name value.jump_clones[].name"},
		[2]string{"implants by slot", "value.jump_clones[].implant_types"})
	tab("Loyalty", of+"/loyalty", [2]string{"corporation", "items[].corporation_name"}, [2]string{"points", "items[].loyalty_points"})
	tab("Mails", of+"/mails", [2]string{"labels with unread counts (label_id)", "labels[].label_id labels[].name labels[].unread_count labels[].color"}, [2]string{"lists with unread counts (to_id)", "lists[].mailing_list_id lists[].name lists[].unread_count"},
		[2]string{"all mails", "total_unread_count"}, [2]string{"sent", "items[].timestamp"}, [2]string{"from", "items[].from_name"}, [2]string{"to", "items[].recipients[].recipient_name items[].recipients[].recipient_type"},
		[2]string{"subject", "items[].subject"}, [2]string{"unread", "items[].is_read"}, [2]string{"labels", "items[].label_names"})
	tab("A mail", of+"/mails/{mail_id}", [2]string{"text", "value.body_html value.body_plain"})
	tab("Skill queue", of+"/skill-queue", [2]string{"skill, level", "items[].skill_name items[].finished_level"}, [2]string{"active", "items[].training_state"}, [2]string{"finish time", "items[].finish_date"},
		[2]string{"position", "items[].queue_position"}, [2]string{"%, remaining", "items[].percent items[].seconds_left"})
	tab("Skill sets", of+"/skill-sets", [2]string{"group", "items[].groups[].label"}, [2]string{"set", "items[].name items[].ship_type_name"}, [2]string{"has all required?", "items[].has_required"},
		[2]string{"missing required", "items[].failed_required[].type_name items[].failed_required[].level"}, [2]string{"missing recommended", "items[].failed_recommended[].type_name items[].failed_recommended[].level"})
	tab("Skill set details", "/v1/skill-sets/{id}/missing", [2]string{"skill", "skills[].type_name"}, [2]string{"required, recommended", "skills[].required skills[].recommended"}, [2]string{"current level", "skills[].active_skill_level"},
		[2]string{"icon", "skills[].met"}, [2]string{"missing skills as text", "text"})
	tab("Skills", of+"/skills", [2]string{"group", "value.skills[].group_name"}, [2]string{"skill", "value.skills[].skill_name"}, [2]string{"level", "value.skills[].active_skill_level value.skills[].trained_skill_level"})
	tab("Wallet: Transactions", of+"/wallet-journal", [2]string{"date, type", "items[].date items[].ref_type"}, [2]string{"first party, second party", "items[].first_party_name items[].second_party_name"},
		[2]string{"amount, balance", "items[].amount items[].balance"}, [2]string{"description, reason", "items[].description items[].reason"})
	tab("Wallet: Market", of+"/wallet-transactions", [2]string{"date", "items[].date"}, [2]string{"quantity, type", "items[].quantity items[].type_name"}, [2]string{"unit price, total", "items[].unit_price items[].total"},
		[2]string{"client", "items[].client_name"}, [2]string{"where", "items[].location_name items[].system_name"}, [2]string{"buy or sell", "items[].is_buy"})
	tab("Faction warfare", of+"/fw-stats", [2]string{"faction, enlisted", "value.faction_name value.enlisted_on"}, [2]string{"ranks", "value.current_rank_name value.current_rank value.highest_rank_name value.highest_rank"},
		[2]string{"kills, victory points", "value.kills value.victory_points"})
	tab("Mining", of+"/mining", [2]string{"date", "items[].date"}, [2]string{"type, quantity", "items[].type_name items[].quantity"}, [2]string{"price", "items[].price items[].total"}, [2]string{"system", "items[].solar_system_name items[].region"})
	tab("Planets", of+"/planets", [2]string{"region, system", "items[].region items[].solar_system_name"}, [2]string{"planet, type", "items[].planet_name items[].planet_type"}, [2]string{"pins, level", "items[].num_pins items[].upgrade_level"},
		[2]string{"updated", "items[].last_update"})
	tab("NPC standings", of+"/standings", [2]string{"level", "items[].standing_level"}, [2]string{"name, type", "items[].from_name items[].from_type"}, [2]string{"effective (raw)", "items[].effective_standing items[].standing"})
	tab("Roles", of+"/roles", [2]string{"group, role, granted?", "value.duties"})
	tab("Titles", of+"/titles", [2]string{"title", "items[].name_plain"})
	return columns
}

// field follows a path into a schema.
func field(schemas huma.Registry, schema *huma.Schema, path string) *huma.Schema {
	for name := range strings.SplitSeq(path, ".") {
		name, list := strings.CutSuffix(name, "[]")
		if schema = resolved(schemas, schema); schema == nil {
			return nil
		}
		if schema = resolved(schemas, schema.Properties[name]); schema != nil && list {
			schema = schema.Items
		}
	}
	return schema
}

func resolved(schemas huma.Registry, schema *huma.Schema) *huma.Schema {
	if schema != nil && schema.Ref != "" {
		return schemas.SchemaFromRef(schema.Ref)
	}
	return schema
}

func TestEveryColumnOfThePeersViewerHasAField(t *testing.T) {
	document := newClient(t).server.OpenAPI()
	tabs := map[string]bool{}
	for _, c := range viewerColumns() {
		tabs[c.tab] = true
		t.Run(c.tab+" "+c.column, func(t *testing.T) {
			require.Contains(t, document.Paths, c.request)
			schema := document.Paths[c.request].Get.Responses["200"].Content["application/json"].Schema
			require.NotEmpty(t, c.fields)
			for _, path := range c.fields {
				require.NotNil(t, field(document.Components.Schemas, schema, path), "%s has no %s", c.request, path)
			}
			require.Nil(t, field(document.Components.Schemas, schema, c.fields[0]+"_that_is_not"))
		})
	}
	require.Len(t, tabs, 26)
	// All sections of 5.1.0 are on some tab, and wallet and location in the header.
	for _, shape := range eve.Shapes() {
		beyond := []eve.Section{eve.SectionOrders, eve.SectionIndustryJobs, eve.SectionBlueprints, eve.SectionKillmails, eve.SectionNotifications, eve.SectionCalendar, eve.SectionFatigue, eve.SectionMedals, eve.SectionResearch, eve.SectionFittings}
		shown := slices.ContainsFunc(viewerColumns(), func(c viewerColumn) bool { return c.request == "/v1/characters/{id}/"+string(shape.Section) })
		require.Equal(t, !slices.Contains(beyond, shape.Section), shown, shape.Section)
	}
}

func TestTheMappingOfTheViewerIsInTheManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "coming-from-member-audit.md"))
	require.NoError(t, err)
	var table strings.Builder
	table.WriteString("| tab | column | `GET` | fields |\n| --- | --- | --- | --- |\n")
	for _, c := range viewerColumns() {
		fmt.Fprintf(&table, "| %s | %s | `%s` | `%s` |\n", c.tab, c.column, strings.TrimPrefix(c.request, "/v1"), strings.Join(c.fields, "`, `"))
	}
	if !strings.Contains(string(manual), table.String()) {
		require.Fail(t, "the table of docs/coming-from-member-audit.md should be", table.String())
	}
}
