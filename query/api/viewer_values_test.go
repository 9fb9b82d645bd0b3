package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

// userOf is an active member who may do everything but administer.
func userOf(id string) access.UserRegistered {
	return access.UserRegistered{UserID: id, Active: true, State: "Member", Permissions: []string{"basic_access"}}
}

// refer makes the tables of reference data, as they are, with a small universe.
func refer(t *testing.T, pool *pgxpool.Pool, rows ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "ingest", "universe", "migrations", "*.sql"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	sql := "CREATE SCHEMA universe; SET LOCAL search_path TO universe;"
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		sql += string(text)
	}
	sql += `
		INSERT INTO category VALUES (2, 'Celestial', 'x'), (4, 'Material', 'x'), (6, 'Ship', 'x'), (9, 'Blueprint', 'x'), (16, 'Skill', 'x'), (20, 'Implant', 'x'), (25, 'Asteroid', 'x');
		INSERT INTO type_group VALUES (18, 'Mineral', 4, 'x'), (25, 'Frigate', 6, 'x'), (105, 'Frigate Blueprint', 9, 'x'), (255, 'Gunnery', 16, 'x'), (300, 'Cyberimplant', 20, 'x'), (340, 'Secure Cargo Container', 2, 'x'), (462, 'Veldspar', 25, 'x');
		INSERT INTO type (type_id, name, group_id, volume, source) VALUES (34, 'Tritanium', 18, 0.01, 'x'), (587, 'Rifter', 25, 27289, 'x'), (688, 'Rifter Blueprint', 105, 0.01, 'x'), (1230, 'Veldspar', 462, 0.1, 'x'),
			(3300, 'Gunnery', 255, 0.01, 'x'), (3465, 'Large Secure Container', 340, 650, 'x'), (9899, 'Ocular Filter - Basic', 300, 1, 'x'), (9941, 'Memory Augmentation - Basic', 300, 1, 'x');
		INSERT INTO price VALUES (34, 4.105, 4), (587, 500000.37, 1), (688, 1000000, 1), (1230, 15.5, 1), (3465, NULL, 12.5);
		INSERT INTO implant VALUES (9899, 1, 'x'), (9941, 2, 'x');
		INSERT INTO system VALUES (30000142, 'Jita', 0.9459, 'Kimotoro', 'The Forge', 'x'), (30002187, 'Amarr', 1, 'Throne Worlds', 'Domain', 'x');
		INSERT INTO station VALUES (60003760, 'Jita IV - Moon 4', 30000142, NULL, NULL, 'x'), (60008494, 'Amarr VIII', 30002187, NULL, NULL, 'x');
		INSERT INTO planet VALUES (40009077, 'Jita I', 30000142, 'x');
		INSERT INTO race VALUES (1, 'Caldari', 'x');
		INSERT INTO bloodline VALUES (1, 'Deteis', 1, 'x');
		INSERT INTO faction VALUES (500001, 'Caldari State', 'x');
		INSERT INTO npc_corporation VALUES (1000035, 'Caldari Navy', 500001, 'x');
		INSERT INTO named VALUES (98000001, 'corporation', 'Wayne Enterprises', now()), (98000002, 'corporation', 'Arkham', now()), (90000002, 'character', 'Alfred', now());` + strings.Join(rows, "\n")
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.WithoutCancel(t.Context()), sql)
		return err
	}))
}

const bruce = 90000001

// viewed is the API over a character with something on every tab.
func viewed(t *testing.T) *folded {
	t.Helper()
	past := &annals{}
	f := newFolded(t, func(c *api.Config) { c.Past = past.past() })
	refer(t, f.pool)
	observed := func(section eve.Section, value string) eve.SectionObserved {
		return eve.SectionObserved{CharacterID: bruce, Section: section, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: moment, Value: json.RawMessage(value)}
	}
	facts := func(section eve.Section, items ...string) eve.Facts {
		of := eve.Facts{CharacterID: bruce, Section: section, Day: moment.Format(time.DateOnly), FetchedAt: moment}
		for _, item := range items {
			of.Items = append(of.Items, json.RawMessage(item))
		}
		return of
	}
	f.tell(t, event.User("ada"), userOf("ada"), access.MainSet{UserID: "ada", CharacterID: new(int64(bruce))})
	told := []event.Payload{
		eve.CharacterRegistered{CharacterID: bruce, Name: "Bruce", UserID: "ada", CorporationID: 98000001},
		observed(eve.SectionDetails, `{"name":"Bruce","corporation_id":98000001,"race_id":1,"bloodline_id":1,"faction_id":500001}`),
		observed(eve.SectionAssets, `[{"item_id":1,"type_id":587,"location_id":60003760,"quantity":1,"is_singleton":true},{"item_id":2,"type_id":3465,"location_id":60003760,"quantity":1,"is_singleton":true},
			{"item_id":3,"type_id":34,"location_id":2,"quantity":1000},{"item_id":4,"type_id":688,"location_id":2,"quantity":1,"is_blueprint_copy":true},
			{"item_id":5,"type_id":34,"location_id":60008494,"quantity":7},{"item_id":6,"type_id":34,"location_id":1035466617946,"quantity":1}]`),
		observed(eve.SectionContacts, `{"contacts":[{"contact_id":1000035,"contact_type":"corporation","standing":5.5,"label_ids":[1,2,9]},{"contact_id":90000002,"contact_type":"character","standing":-10}],
			"labels":[{"label_id":1,"label_name":"friends"},{"label_id":2,"label_name":"navy"}]}`),
		observed(eve.SectionCorporationHistory, `[{"record_id":9,"corporation_id":98000001,"start_date":"2026-04-01T00:00:00Z"},{"record_id":10,"corporation_id":98000002,"start_date":"2026-01-01T00:00:00Z","is_deleted":true},
			{"record_id":8,"corporation_id":98000002,"start_date":"2026-04-11T12:00:00Z"}]`),
		observed(eve.SectionImplants, `[9941,9899]`),
		observed(eve.SectionClones, `{"home_location":{"location_id":60003760,"location_type":"station"},"jump_clones":[{"jump_clone_id":1,"location_id":60008494,"location_type":"station","implants":[9941,9899,99]}]}`),
		observed(eve.SectionLocation, `{"solar_system_id":30000142,"station_id":60003760}`),
		observed(eve.SectionShip, `{"ship_item_id":1,"ship_type_id":587,"ship_name":"Batwing"}`),
		observed(eve.SectionSkills, `{"skills":[{"skill_id":3300,"active_skill_level":4},{"skill_id":3357,"active_skill_level":2},{"skill_id":3359,"active_skill_level":3}],"total_sp":5}`),
		observed(eve.SectionSkillQueue, `[{"queue_position":0,"skill_id":3300,"finished_level":5,"start_date":"2026-05-01T10:00:00Z","finish_date":"2026-05-01T20:00:00Z","level_start_sp":1000,"level_end_sp":2000,"training_start_sp":1500}]`),
		observed(eve.SectionFWStats, `{"faction_id":500001,"current_rank":0,"highest_rank":3,"kills":{},"victory_points":{}}`),
		observed(eve.SectionPlanets, `[{"planet_id":40009077,"solar_system_id":30000142,"planet_type":"gas","num_pins":3,"upgrade_level":4}]`),
		observed(eve.SectionRoles, `{"roles":["Director","Trader"],"roles_at_hq":["Hangar_Take_1"]}`),
		observed(eve.SectionStandings, `[{"from_type":"npc_corp","from_id":1000035,"standing":5.0},{"from_type":"faction","from_id":500001,"standing":-0.5}]`),
		observed(eve.SectionMails, `{"labels":[{"label_id":1,"name":"Inbox","unread_count":1},{"label_id":4,"name":"Corp","unread_count":0}],"lists":[{"mailing_list_id":145,"name":"Fleet"},{"mailing_list_id":146,"name":"Trade"}],"total_unread_count":1}`),
		eve.MailRecorded{Facts: facts(eve.SectionMails, `{"mail_id":1,"timestamp":"2026-04-30T00:00:00Z","from":90000002,"subject":"o7","is_read":false,"labels":[1,4],"recipients":[{"recipient_id":145,"recipient_type":"mailing_list"}]}`,
			`{"mail_id":2,"timestamp":"2026-04-30T01:00:00Z","from":90000002,"subject":"o/","is_read":true,"labels":[1],"recipients":[{"recipient_id":145,"recipient_type":"mailing_list"},{"recipient_id":90000001,"recipient_type":"character"}]}`)},
		eve.ContractRecorded{Facts: facts(eve.SectionContracts,
			`{"contract_id":1,"type":"courier","status":"outstanding","date_issued":"2026-04-01T00:00:00Z","start_location_id":60003760,"end_location_id":60008494,"volume":12000.5,"price":0,"reward":100.5}`,
			`{"contract_id":2,"type":"item_exchange","status":"outstanding","date_issued":"2026-04-02T00:00:00Z","price":7,"items":[{"record_id":1,"type_id":34,"quantity":3,"is_included":true},{"record_id":2,"type_id":688,"quantity":1,"raw_quantity":-2,"is_included":false}]}`,
			`{"contract_id":3,"type":"auction","status":"outstanding","date_issued":"2026-04-03T00:00:00Z","price":10,"buyout":99,"items":[{"record_id":1,"type_id":34,"quantity":1,"is_included":true},{"record_id":2,"type_id":587,"quantity":2,"is_included":true}],
				"bids":[{"bid_id":1,"bidder_id":90000002,"amount":900000.1},{"bid_id":2,"bidder_id":90000002,"amount":1000000.25}]}`,
			`{"contract_id":4,"type":"item_exchange","status":"outstanding","date_issued":"2026-04-04T00:00:00Z"}`, `{"contract_id":5,"type":"item_exchange","status":"outstanding","date_issued":"2026-04-05T00:00:00Z","items":[]}`)},
		eve.TransactionsRecorded{Facts: facts(eve.SectionWalletTransactions, `{"transaction_id":1,"date":"2026-04-01T00:00:00Z","type_id":34,"quantity":1000000,"unit_price":4.35,"is_buy":true,"client_id":90000002,"location_id":60003760}`,
			`{"transaction_id":2,"date":"2026-04-02T00:00:00Z","type_id":587,"quantity":3,"unit_price":333333.33,"is_buy":false,"client_id":90000002,"location_id":60008494}`)},
		eve.MiningRecorded{Facts: facts(eve.SectionMining, `{"date":"2026-04-30","solar_system_id":30000142,"type_id":1230,"quantity":12345}`)},
	}
	f.tell(t, event.Character(bruce), told...)
	past.tell(t, bruce, moment.Add(-time.Second), told...)
	return f
}

// The past says the same of what is in the log, and nothing of prices, which are not.
func TestThePastOfTheViewerIsThatOfTheLog(t *testing.T) {
	f := viewed(t)
	const at = "as_of=2026-05-01T12:00:00Z"
	prices := regexp.MustCompile(`"(price|total|total_value)":"[^"]*",?`)
	for _, path := range []string{
		"details", "assets", "assets?directly=true", "assets?location_id=2", "contacts", "contracts", "corporation-history", "implants", "clones", "location", "ship", "mails", "mails?label_id=4", "mails?label_id=5", "mails?to_id=145",
		"mails?to_id=90000001", "mails/1", "skills", "skill-queue", "wallet-transactions", "fw-stats", "mining", "planets", "roles", "standings",
	} {
		join := "?"
		if strings.Contains(path, "?") {
			join = "&"
		}
		now, then := f.get(character+path), f.get(character+path+join+at)
		require.Equal(t, http.StatusOK, now.StatusCode, now.text)
		require.Equal(t, http.StatusOK, then.StatusCode, then.text)
		items := func(text string) string {
			var answer map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(text), &answer))
			return prices.ReplaceAllString(string(answer["items"])+string(answer["value"])+string(answer["places"])+string(answer["lists"])+string(answer["labels"]), "")
		}
		require.Equal(t, strings.ReplaceAll(items(now.text), ",}", "}"), strings.ReplaceAll(items(then.text), ",}", "}"), path)
		if strings.HasPrefix(path, "assets") || path == "mining" {
			require.NotRegexp(t, `"(price|total|total_value)"`, then.text)
		}
	}
	require.NotContains(t, f.get("/v1/characters/90000001?"+at).text, "main_id")
}

func TestEveryDerivedValueOfTheViewer(t *testing.T) {
	f := viewed(t)
	has := func(path string, fragments ...string) string {
		t.Helper()
		a := f.get("/v1/characters/90000001" + path)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		for _, fragment := range fragments {
			require.Contains(t, a.text, fragment, path)
		}
		return a.text
	}
	const jita, amarr = `"region":"The Forge","security_status":0.9459,"system_id":30000142,"system_name":"Jita"`, `"region":"Domain","security_status":1,"system_id":30002187,"system_name":"Amarr"`
	has("", `"corporation_name":"Wayne Enterprises"`, `"main_id":90000001,"main_name":"Bruce","is_main":true`)
	has("/details", `"bloodline_name":"Deteis"`, `"race_name":"Caldari"`, `"faction_name":"Caldari State"`)

	// Worth: 500000.37 + 12.5 + 1000 * 4.105 in Jita, 7 * 4.105 in Amarr, 4.105 elsewhere; the copy is worth nothing.
	assets := has("/assets", `"total_value":"504150.71"`,
		`"category_id":6,"category_name":"Ship","group_id":25,"group_name":"Frigate","is_ship":true,"is_singleton":true,"item_id":1`,
		`"place_id":60003760,"place_name":"Jita IV - Moon 4","price":"12.50","quantity":1,`+jita+`,"total":"12.50","type_id":3465,"type_name":"Large Secure Container","volume":650,"within":2}`,
		`"location_id":2,"place_id":60003760,"place_name":"Jita IV - Moon 4","price":"4.11","quantity":1000,`+jita+`,"total":"4105.00","type_id":34,"type_name":"Tritanium","volume":0.01}`,
		`"is_blueprint_copy":true,"is_ship":false,"item_id":4,"location_id":2,"place_id":60003760,"place_name":"Jita IV - Moon 4","quantity":1,`+jita+`,"type_id":688`,
		`{"place_id":60003760,"place_name":"Jita IV - Moon 4","system_id":30000142,"system_name":"Jita","security_status":0.9459,"region":"The Forge","items":2,"total_value":"504117.87"}`,
		`{"place_id":60008494,"place_name":"Amarr VIII","system_id":30002187,"system_name":"Amarr","security_status":1,"region":"Domain","items":1,"total_value":"28.74"}`,
		`{"place_id":1035466617946,"system_id":null,"items":1,"total_value":"4.11"}`)
	require.Equal(t, 6, strings.Count(assets, `"item_id"`))
	directly := has("/assets?directly=true", `"places":[`)
	require.Equal(t, 4, strings.Count(directly, `"item_id"`))
	require.Equal(t, 2, strings.Count(has("/assets?location_id=2"), `"item_id"`))
	require.NotContains(t, has("/assets?location_id=2"), `"places"`)
	f.requireProblem(f.get("/v1/characters/90000001/assets?directly=perhaps"), http.StatusUnprocessableEntity, "directly")

	has("/contacts", `"contact_name":"Caldari Navy","contact_type":"corporation","is_npc":true,"label_ids":[1,2,9],"label_names":["friends","navy"],"standing":5.5,"standing_level":"excellent"}`, `"is_npc":false,"standing":-10,"standing_level":"terrible"}`)
	contracts := has("/contracts", `"summary":"Jita >> Amarr (12000.5 m3)"`, `"summary":"Tritanium"`, `"summary":"[Multiple Items]"`, `"bids_count":2`, `"current_bid":"1000000.25"`, `"summary":"(no items)"`)
	require.Equal(t, 4, strings.Count(contracts, `"summary"`), "of one the items are not there yet")
	require.NotContains(t, contracts, `"items":[{"group`)
	has("/contracts/2", `{"group_id":18,"group_name":"Mineral","is_included":true,"price":"4.11","quantity":3,"record_id":1,"total":"12.32","type_id":34,"type_name":"Tritanium","volume":0.01}`,
		`{"group_id":105,"group_name":"Frigate Blueprint","is_blueprint_copy":true,"is_included":false,"quantity":1,"raw_quantity":-2,"record_id":2,"type_id":688,"type_name":"Rifter Blueprint","volume":0.01}`)
	has("/contracts/3", `"bidder_name":"Alfred"`, `"total":"1000000.74"`)

	// By their dates, whatever their records' numbers are; the last until now, the first of May at noon.
	history := has("/corporation-history", `"corporation_name":"Wayne Enterprises","days":10,"end_date":"2026-04-11T12:00:00Z","record_id":9`,
		`"days":90,"end_date":"2026-04-01T00:00:00Z","is_deleted":true,"record_id":10`, `"corporation_name":"Arkham","days":20,"record_id":8`)
	require.Equal(t, 2, strings.Count(history, "end_date"))
	require.Contains(t, has("/corporation-history?limit=1"), `"days":20`, "the neighbours of a page count, too")
	has("/implants", `{"group_id":300,"group_name":"Cyberimplant","slot":1,"type_id":9899,"type_name":"Ocular Filter - Basic"}`)
	has("/clones", `"implant_types":[{"type_id":99},{"slot":1,"type_id":9899,"type_name":"Ocular Filter - Basic"},{"slot":2,"type_id":9941,"type_name":"Memory Augmentation - Basic"}]`,
		`"location_name":"Amarr VIII","location_type":"station",`+amarr, `"home_location":{"location_id":60003760,"location_name":"Jita IV - Moon 4","location_type":"station",`+jita+`}`)
	has("/location", `"region":"The Forge","security_status":0.9459,"solar_system_id":30000142,"solar_system_name":"Jita","station_id":60003760,"station_name":"Jita IV - Moon 4"`)
	has("/ship", `"group_name":"Frigate"`, `"ship_type_name":"Rifter"`)
	has("/mails", `"lists":[{"mailing_list_id":145,"name":"Fleet","unread_count":1},{"mailing_list_id":146,"name":"Trade","unread_count":0}]`, `"label_names":["Inbox","Corp"]`, `"label_names":["Inbox"]`)
	for query, want := range map[string]int{"label_id=1": 2, "label_id=4": 1, "label_id=0": 2, "label_id=5": 0, "to_id=145": 2, "to_id=90000001": 1, "to_id=145&unread=true": 1} {
		require.Equal(t, want, strings.Count(has("/mails?"+query), `"mail_id"`), query)
	}
	has("/mails/1", `"label_names":["Inbox","Corp"]`)
	has("/skills", `{"active_skill_level":4,"group_id":255,"group_name":"Gunnery","skill_id":3300,"skill_name":"Gunnery"}`)
	// Two hours of ten: 1500 + 100 of the points from 1000 to 2000.
	has("/skill-queue", `"group_name":"Gunnery"`, `"percent":60,"queue_position":0,"seconds_left":28800`)
	has("/wallet-transactions", jita+`,"total":"-4350000.00","transaction_id":1`, amarr+`,"total":"999999.99","transaction_id":2`)
	has("/fw-stats", `"current_rank_name":"Protectorate Ensign"`, `"highest_rank_name":"Captain"`)
	has("/mining", `"group_name":"Veldspar","price":"15.50","quantity":12345,"region":"The Forge","security_status":0.9459`, `"total":"191347.50"`, `"volume":0.1`)
	has("/planets", `"planet_name":"Jita I"`, `"region":"The Forge"`)
	has("/roles", `{"group":"General","place":"universal","role":"Director","granted":true}`, `{"group":"Hangar access","place":"headquarters","role":"Hangar_Take_1","granted":true}`, `{"group":"Hangar access","place":"base","role":"Hangar_Take_1","granted":false}`)
	// 5 + 5 * 0.12, and -0.5 + 10.5 * 0.08.
	has("/standings", `{"effective_standing":5.6,"from_id":1000035,"from_name":"Caldari Navy","from_type":"npc_corp","standing":5.0,"standing_level":"excellent"}`, `"effective_standing":0.34,`)
	require.Contains(t, f.get("/v1/characters/90000001/assets", "Accept", "text/csv").text, "is_current_ship,group_id,group_name,category_id,category_name,is_ship,volume,price,total,within,place_id,place_name,system_id,system_name,security_status,region")
	requireDeclared(t, f.server.OpenAPI(), f.server.OpenAPI().Paths["/v1/characters/{id}/assets"].Get, f.get("/v1/characters/90000001/assets"))
}

// Whoever is shown standings and not skills learns nothing of skills.
func TestStandingsDoNotTellOfSkills(t *testing.T) {
	f := viewed(t)
	f.tell(t, event.User("eve"), access.UserRegistered{UserID: "eve", Active: true, State: "Member", Permissions: []string{"basic_access"}})
	role := access.RoleDefined{RoleID: gunnersID, Role: access.Role{Name: "Diplomats", Permissions: []string{"characters_access", "view_everything"}, Sections: []string{"standings"}}}
	f.tell(t, event.Roles, role)
	f.tell(t, event.User("eve"), access.RoleGranted{UserID: "eve", RoleID: role.RoleID, Name: role.Name})
	f.requireProblem(f.get("/v1/characters/90000001/skills", as("eve")...), http.StatusForbidden, "skills")
	a := f.get("/v1/characters/90000001/standings", as("eve")...)
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.NotContains(t, a.text, "effective_standing")
	require.Contains(t, a.text, `"standing":5.0,"standing_level":"good"`)
	require.Contains(t, f.get("/v1/characters/90000001/standings", as("ada")...).text, "effective_standing")
}
