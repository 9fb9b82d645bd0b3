package api_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

const character = "/v1/characters/90000001/"

func TestItemsKeepESIsWordsWithNamesBesideIDs(t *testing.T) {
	c := newClient(t)
	c.world.element = `{"item_id":1000000000001,"type_id":34,"location_id":60003760,"quantity":1e3,"odd":243877.49999999997,"none":null}`
	a := c.get(character + "assets?type_id=34&location_flag=Hangar&limit=1")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Contains(t, a.text, `{"item_id":1000000000001,"location_id":60003760,"location_name":"Jita IV - Moon 4","none":null,"odd":243877.49999999997,"place_id":60003760,"quantity":1e3,"type_id":34,"type_name":"Tritanium"}`)
	require.Contains(t, a.text, `"total_value":"1234.57"`)
	require.Equal(t, map[string]string{"type_id": "34", "location_flag": "Hangar"}, c.world.elements.Where)
	require.Equal(t, 2, c.world.elements.Limit)

	link := a.Header.Get("Link")
	next := strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
	require.Equal(t, http.StatusOK, c.get(next).StatusCode)
	require.Equal(t, &postgres.ElementCursor{Key: "5"}, c.world.elements.After)
	c.requireProblem(c.get(strings.Replace(next, "/assets", "/blueprints", 1)+"&location_flag="), http.StatusUnprocessableEntity, "location_flag")
	_, cursor, _ := strings.Cut(next, "cursor=")
	c.requireProblem(c.get(character+"blueprints?cursor="+strings.Split(cursor, "&")[0]), http.StatusUnprocessableEntity, "cursor")

	c.world.element = `34`
	require.Contains(t, c.get(character+"implants").text, `"items":[{"type_id":34,"type_name":"Tritanium"},`)
}

func TestMoneyOfSectionsIsText(t *testing.T) {
	c := newClient(t)
	c.world.record = `{"contract_id":7,"price":243877.49999999997,"reward":5,"volume":5.5,"issuer_id":98000001,"items":[{"type_id":34}],"bids":[{"amount":1e3}]}`
	list := c.get(character + "contracts?status=outstanding&type=courier&from=2026-01-01T00:00:00Z").text
	require.Contains(t, list, `{"contract_id":7,"issuer_id":98000001,"issuer_name":"Wayne Enterprises","price":"243877.50","reward":"5.00","volume":5.5}`)
	require.Equal(t, map[string]string{"status": "outstanding", "type": "courier"}, c.world.records.Where)
	require.Equal(t, 2026, c.world.records.From.Year())
	require.JSONEq(t, `{"character_id":90000001,"section":"contracts","observed_at":"2026-05-01T12:00:00Z","value":{"contract_id":7,"issuer_id":98000001,"issuer_name":"Wayne Enterprises",
		"price":"243877.50","reward":"5.00","volume":5.5,"items":[{"type_id":34,"type_name":"Tritanium"}],"bids":[{"amount":"1000.00"}]}}`, c.get(character+"contracts/7").text)
	c.requireProblem(c.get(character+"contracts/8"), http.StatusNotFound, "8")

	// The same word means another thing elsewhere.
	c.world.element = `{"planet_id":1,"pins":[{"contents":[{"amount":5,"type_id":34}]}]}`
	require.Contains(t, c.get(character+"planets").text, `{"amount":5,"type_id":34,"type_name":"Tritanium"}`)
	c.world.record = `{"contract_id":7,"price":"much"}`
	require.Contains(t, c.get(character+"contracts/7").text, `"price":"much"`)
}

func TestMailsHaveTheirListsBesideThem(t *testing.T) {
	c := newClient(t)
	c.world.section.Value = json.RawMessage(`{"labels":[{"label_id":1,"name":"Inbox"}],"lists":[{"mailing_list_id":9,"name":"Fleet"}],"total_unread_count":3}`)
	c.world.record = `{"mail_id":7,"from":98000001,"recipients":[{"recipient_id":9,"recipient_type":"mailing_list"},{"recipient_id":8,"recipient_type":"mailing_list"}],"body":"secret"}`
	a := c.get(character + "mails?unread=true&from_id=98000001")
	require.Contains(t, a.text, `"labels":[{"label_id":1,"name":"Inbox"}],"lists":[{"mailing_list_id":9,"name":"Fleet","unread_count":2}],"total_unread_count":3`)
	require.Contains(t, a.text, `{"from":98000001,"from_name":"Wayne Enterprises","mail_id":7,"recipients":[{"recipient_id":9,"recipient_name":"Fleet","recipient_type":"mailing_list"},{"recipient_id":8,"recipient_name":"A list that was left","recipient_type":"mailing_list"}]}`)
	require.NotContains(t, a.text, "secret")
	require.Equal(t, map[string]string{"is_read": "false", "from": "98000001"}, c.world.records.Where)
	require.Contains(t, c.get(character+"mails/7").text, `"body":"secret"`)
	require.Contains(t, c.get(character+"contacts").text, `"labels":[{"label_id":1,"label_name":"friends"}]`)
	c.get(character + "orders")
	require.Equal(t, "orders", c.world.elements.List)
	c.get(character + "orders?history=true")
	require.Equal(t, "history", c.world.elements.List)
}

func TestSectionsCanBeHadAsCSV(t *testing.T) {
	c := newClient(t)
	c.world.element = `{"order_id":5,"type_id":34,"price":-1.5,"range":"=A1","odd":1}`
	a := c.get(character+"orders", "Accept", "text/csv")
	require.Equal(t, "text/csv", a.Header.Get("Content-Type"))
	lines, err := csv.NewReader(strings.NewReader(a.text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 3)
	row := map[string]string{}
	for i, name := range lines[0] {
		row[name] = lines[1][i]
	}
	require.Equal(t, []string{"5", "34", "Tritanium", "-1.50", "'=A1", ""}, []string{row["order_id"], row["type_id"], row["type_name"], row["price"], row["range"], row["issued"]})
}

// Defect 19 of Member Audit (before 1.14.4): biographies and mails are shown as the
// HTML that their writers made.
func TestDefect19WhatPeopleWroteIsNeverHTML(t *testing.T) {
	c := newClient(t)
	const wicked = `<b>o7</b><script>alert(1)</script>`
	text, err := json.Marshal(wicked)
	require.NoError(t, err)
	c.world.section.Value = json.RawMessage(`{"name":"x","corporation_id":1,"description":` + string(text) + `}`)
	c.world.record = `{"mail_id":7,"body":` + string(text) + `}`
	for _, path := range []string{"details", "mails/7"} {
		a := c.get(character + path)
		require.Equal(t, "application/json", a.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		require.Contains(t, a.text, `_plain":"o7"`)
		require.Contains(t, a.text, wicked, "what was written is kept")
	}
}

func TestTitlesAreShownWithoutTheirTagsAndKept(t *testing.T) {
	c := newClient(t)
	c.world.element = `{"title_id":1,"name":"<color=0xFF00FF00>Fleet</color> Commander"}`
	require.Contains(t, c.get(character+"titles").text, `{"name":"<color=0xFF00FF00>Fleet</color> Commander","name_html":"Fleet Commander","name_plain":"Fleet Commander","title_id":1}`)
	require.Contains(t, c.get(character+"titles", "Accept", "text/csv").text, "title_id,name,name_plain")
}

// Defect 20 of Member Audit: it takes the skill at position 0 for the one that is
// trained.
func TestDefect20TheQueueTellsWhatIsTrained(t *testing.T) {
	c := newClient(t)
	for dates, want := range map[string]string{
		``: "paused",
		`,"start_date":"2026-05-01T10:00:00Z","finish_date":"2026-05-01T12:00:00Z"`: "finished",
		`,"start_date":"2026-05-01T12:00:00Z","finish_date":"2026-05-01T12:00:01Z"`: "training",
		`,"start_date":"2026-05-01T12:00:01Z","finish_date":"2026-05-01T13:00:00Z"`: "queued",
	} {
		c.world.element = `{"queue_position":0,"skill_id":3300` + dates + `}`
		require.Contains(t, c.get(character+"skill-queue").text, `"training_state":"`+want+`"`)
	}
}

func TestWhatIsOutstandingIsShown(t *testing.T) {
	c := newClient(t)
	c.world.section.SectionState = postgres.SectionState{Status: postgres.SectionIncomplete, Outstanding: 3, Failure: &postgres.SectionFailure{Class: eve.FailureServer, Message: "bad gateway"}}
	require.Contains(t, c.get(character+"mails").text, `"status":"incomplete","outstanding":3,"failure":{"class":"server","message":"bad gateway"}`)
}

func TestEverySectionHasAResourceOfItsName(t *testing.T) {
	c := newClient(t)
	for _, shape := range eve.Shapes() {
		require.Contains(t, c.server.OpenAPI().Paths, "/v1/characters/{id}/"+string(shape.Section))
	}
}

func TestSectionsAreAnsweredFromTheRealStores(t *testing.T) {
	s := newStores(t)
	day := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	observed := func(section eve.Section, value string) eve.SectionObserved {
		return eve.SectionObserved{CharacterID: 90000001, Section: section, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: day, Value: json.RawMessage(value)}
	}
	facts := eve.Facts{CharacterID: 90000001, Section: eve.SectionContracts, Day: "2026-03-01", FetchedAt: day, Items: []json.RawMessage{json.RawMessage(`{"contract_id":7,"price":1.5}`)}}
	items := facts
	items.Items = []json.RawMessage{json.RawMessage(`{"contract_id":7,"items":[{"record_id":1}]}`)}
	s.append(event.Character(90000001), day,
		eve.CharacterRegistered{CharacterID: 90000001, Name: "Bruce Wayne", UserID: "u1"},
		observed(eve.SectionAssets, `[{"item_id":2,"type_id":34},{"item_id":10,"type_id":35},{"item_id":1,"type_id":34}]`),
		observed(eve.SectionSkills, `{"skills":[{"skill_id":3300}],"total_sp":9223372036854775807}`),
		observed(eve.SectionRoles, `{"roles":["Director"]}`),
		eve.ContractRecorded{Facts: facts}, eve.ContractChanged{Facts: items})
	s.eventually(character+"contracts/7", func(b map[string]any) bool {
		value, _ := b["value"].(map[string]any)
		return value["items"] != nil
	})
	page := s.get(character + "assets?limit=2")
	var got api.ListSection
	require.NoError(t, json.Unmarshal([]byte(page.text), &got))
	require.Len(t, got.Items, 2)
	require.Contains(t, page.text, `[{"item_id":1,"type_id":34},{"item_id":2,"type_id":34}]`)
	require.Contains(t, s.get(character+"assets?limit=2&cursor="+got.NextCursor).text, `"items":[{"item_id":10,"type_id":35}]`)
	require.Contains(t, s.get(character+"assets?type_id=35").text, `"items":[{"item_id":10,"type_id":35}]`)
	require.Contains(t, s.get(character+"skills").text, `"value":{"skills":[{"skill_id":3300}],"total_sp":9223372036854775807}`)
	require.Contains(t, s.get(character+"roles").text, `"roles":["Director"]`)
	require.Contains(t, s.get(character+"contracts").text, `"items":[{"contract_id":7,"price":"1.50"}]`)
	require.Contains(t, s.get("/v1/sync").text, `"section":"assets","status":"ok","characters":1`)

	misfit := observed(eve.SectionSkills, `{}`)
	misfit.Encoding, misfit.Base = eve.EncodingDelta, &uuid.UUID{1}
	s.append(event.Character(90000001), day, misfit)
	s.eventually(character+"skills", func(b map[string]any) bool { return b["status"] == "failing" && b["value"] != nil })
}
