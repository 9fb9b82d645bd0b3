//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	simesi "github.com/muster-sync/muster/internal/simulate/esi"
)

// asked is what a simulated ESI says it has served to somebody who asked for every
// section of its characters, as far as their first pages, and then for all details
// that are due.
func asked(t *testing.T, characters int) []servedCharacter {
	t.Helper()
	simulator, err := simesi.New(simesi.Config{Seed: 3, Characters: characters, Activity: 3, Assets: 60, Window: time.Second, TokenLifetime: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, simulator.Close()) })
	handler := simulator.Handler()
	ask := func(method, target, token, body string) []byte {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header = http.Header{"User-Agent": {"judge@example.org"}, "Accept": {"application/json"}, "X-Compatibility-Date": {catalogue.CompatibilityDate}, "Authorization": {token}}
		if strings.HasPrefix(target, "/v2/") {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth("muster-simulated", "simulated-secret")
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			// Not all details are there any more, and nobody looks at the buckets here.
			return nil
		}
		return answer.Body.Bytes()
	}
	var all []servedCharacter
	for _, owned := range simulator.Organisation().Characters {
		var tokens struct {
			Access string `json:"access_token"`
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {owned.RefreshToken}}
		require.NoError(t, json.Unmarshal(ask(http.MethodPost, "/v2/oauth/token", "", form.Encode()), &tokens))
		get := func(route catalogue.Route, query url.Values, params map[string]string) []byte {
			path, err := route.Resolve(owned.ID, params)
			require.NoError(t, err)
			if len(query) > 0 {
				path += "?" + query.Encode()
			}
			return ask(http.MethodGet, path, "Bearer "+tokens.Access, "")
		}
		for _, section := range esi.Sections(esi.Options{}) {
			for _, part := range section.Parts {
				require.NotNil(t, get(part.Route, part.Query, nil), "%s %s", section.Name, part.Name)
			}
		}
		served := func() (c servedCharacter) {
			require.NoError(t, json.Unmarshal(ask(http.MethodGet, "/_simulator/served?character="+strconv.FormatInt(owned.ID, 10), "", ""), &c))
			return c
		}
		for name, records := range served().Records {
			for _, record := range records {
				for _, due := range record.Due {
					switch name + " " + due {
					case "mails body":
						get(catalogue.CharacterMail(), nil, map[string]string{"mail_id": record.Key})
					case "contracts items":
						get(catalogue.CharacterContractItems(), nil, map[string]string{"contract_id": record.Key})
					case "contracts bids":
						get(catalogue.CharacterContractBids(), nil, map[string]string{"contract_id": record.Key})
					case "calendar details":
						get(catalogue.CharacterCalendarEvent(), nil, map[string]string{"event_id": record.Key})
					case "killmails details":
						var listed struct {
							Hash string `json:"killmail_hash"`
						}
						require.NoError(t, json.Unmarshal(record.Item, &listed))
						get(catalogue.Killmail(), nil, map[string]string{"killmail_id": record.Key, "killmail_hash": listed.Hash})
					default:
						require.Fail(t, "nobody knows how to fetch", "%s of %s", due, name)
					}
				}
			}
		}
		all = append(all, served())
	}
	return all
}

// faithful is what Muster holds if it has lost nothing.
func faithful(t *testing.T, served servedCharacter) heldCharacter {
	t.Helper()
	held := heldCharacter{
		Sections: map[eve.Section]json.RawMessage{}, Records: map[eve.Section]map[string]map[string]json.RawMessage{},
		Journal: map[int64]eve.JournalLine{}, FollowUps: map[string]bool{},
	}
	for name, value := range served.Sections {
		held.Sections[eve.Section(name)] = value
	}
	for name, records := range served.Records {
		held.Records[eve.Section(name)] = map[string]map[string]json.RawMessage{}
		for _, record := range records {
			for _, due := range record.Due {
				held.FollowUps[name+"/"+record.Key+"/"+due] = true
			}
			if name == "killmails" && len(record.Details) == 0 {
				continue
			}
			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(record.Item, &fields))
			held.Records[eve.Section(name)][record.Key] = fields
		}
	}
	for _, e := range served.Journal {
		held.Journal[e.ID] = eve.JournalLine{Date: e.Date, RefType: e.RefType, Amount: eve.ISK(e.Amount), Balance: new(eve.ISK(e.Balance))}
	}
	return held
}

// The judge of the long tests is of use only if it sees whatever may be lost: each
// section, each element of each list, each field of each record, what is fetched
// apart, and each entry of the journal.
func TestTheJudgeSeesWhateverIsLost(t *testing.T) {
	all := asked(t, 40)
	require.Empty(t, unserved(all...), "all sections are judged")
	require.Contains(t, unserved(all[0:0]...), "wallet-journal")
	require.NotEmpty(t, judge(servedCharacter{ID: 1}, heldCharacter{}), "who was served nothing proves nothing")
	seen := map[string]bool{}
	// noticed takes something away and requires that this is seen.
	noticed := func(served servedCharacter, what string, take func(*heldCharacter)) {
		held := faithful(t, served)
		take(&held)
		require.NotEmpty(t, judge(served, held), "%s of %d", what, served.ID)
		seen[what] = true
	}
	for _, served := range all {
		require.NoError(t, firstOf(judge(served, faithful(t, served))))
		for _, shape := range eve.Shapes() {
			name := shape.Section
			if value := served.Sections[string(name)]; value != nil && !seen["section "+string(name)] {
				noticed(served, "section "+string(name), func(h *heldCharacter) { delete(h.Sections, name) })
			}
			loseElements(t, served, shape, seen, noticed)
		}
		for name, records := range served.Records {
			for _, record := range records {
				loseFields(t, served, eve.Section(name), record, seen, noticed)
			}
		}
		if n := len(served.Journal); n > 0 {
			id := served.Journal[n/2].ID
			noticed(served, "journal entry", func(h *heldCharacter) { delete(h.Journal, id) })
			noticed(served, "journal amount", func(h *heldCharacter) {
				line := h.Journal[id]
				line.Amount++
				h.Journal[id] = line
			})
			noticed(served, "journal ref type", func(h *heldCharacter) {
				line := h.Journal[id]
				line.RefType += "x"
				h.Journal[id] = line
			})
			noticed(served, "journal double", func(h *heldCharacter) { h.Journal[-1] = h.Journal[id] })
		}
		noticed(served, "section of nobody", func(h *heldCharacter) { h.Sections["bookmarks"] = json.RawMessage(`{}`) })
	}
	for _, shape := range eve.Shapes() {
		if shape.Valued {
			require.True(t, seen["section "+string(shape.Section)], shape.Section)
			for _, list := range shape.Lists {
				require.True(t, seen[fmt.Sprintf("element of %s %s", shape.Section, list.Path)], "%s %s", shape.Section, list.Path)
			}
		}
		if shape.Records != nil {
			require.True(t, seen["record of "+string(shape.Section)], shape.Section)
		}
	}
	for _, what := range []string{
		"field label_ids of contacts", "body of mails", "is_read of mails", "items of contracts", "bids of contracts", "status of contracts", "attackers of killmails",
		"victim of killmails", "text of calendar", "event_response of calendar", "quantity of mining", "type of notifications", "unit_price of wallet-transactions",
		"journal entry", "due body of mails", "due items of contracts", "due bids of contracts", "due details of killmails", "due details of calendar",
	} {
		require.True(t, seen[what], "nothing was tried about %s: %v", what, slices.Sorted(maps.Keys(seen)))
	}
}

// loseElements takes an element out of each list of a section, and its labels from
// a contact.
func loseElements(t *testing.T, served servedCharacter, shape eve.Shape, seen map[string]bool, noticed func(servedCharacter, string, func(*heldCharacter))) {
	t.Helper()
	value := served.Sections[string(shape.Section)]
	if value == nil || len(shape.Lists) == 0 {
		return
	}
	content, err := eve.Dissect(shape.Section, value)
	require.NoError(t, err)
	for i, list := range content.Lists {
		what := fmt.Sprintf("element of %s %s", shape.Section, list.Path)
		if len(list.Items) > 0 && !seen[what] {
			noticed(served, what, func(h *heldCharacter) {
				less := content
				less.Lists = slices.Clone(content.Lists)
				less.Lists[i].Items = slices.Delete(slices.Clone(list.Items), 0, 1)
				h.Sections[shape.Section] = less.Value()
			})
		}
		if shape.Section != eve.SectionContacts || seen["field label_ids of contacts"] {
			continue
		}
		for at, item := range list.Items {
			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(item.Raw, &fields))
			if fields["label_ids"] == nil {
				continue
			}
			delete(fields, "label_ids")
			noticed(served, "field label_ids of contacts", func(h *heldCharacter) {
				other := content
				other.Lists = slices.Clone(content.Lists)
				other.Lists[i].Items = slices.Clone(list.Items)
				other.Lists[i].Items[at].Raw, err = json.Marshal(fields)
				require.NoError(t, err)
				h.Sections[shape.Section] = other.Value()
			})
			break
		}
	}
}

// loseFields takes a record away, each of its fields, and what is to come of it.
func loseFields(t *testing.T, served servedCharacter, section eve.Section, record servedRecord, seen map[string]bool, noticed func(servedCharacter, string, func(*heldCharacter))) {
	t.Helper()
	if section != eve.SectionKillmails || len(record.Details) > 0 {
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(record.Item, &fields))
		if what := "record of " + string(section); !seen[what] {
			noticed(served, what, func(h *heldCharacter) { delete(h.Records[section], record.Key) })
		}
		for field := range fields {
			if what := field + " of " + string(section); !seen[what] {
				noticed(served, what, func(h *heldCharacter) { delete(h.Records[section][record.Key], field) })
			}
		}
	}
	for _, due := range record.Due {
		if what := "due " + due + " of " + string(section); !seen[what] {
			noticed(served, what, func(h *heldCharacter) { delete(h.FollowUps, string(section)+"/"+record.Key+"/"+due) })
		}
	}
	for _, detail := range record.Details {
		what := "due " + detail + " of " + string(section)
		if seen[what] {
			continue
		}
		// As if it had never been served.
		record.Due = []string{detail}
		held := faithful(t, served)
		require.Empty(t, judgeDue(served.ID, section, record, held), "it has come")
		delete(held.Records[section][record.Key], fieldOfDetail(section, detail))
		require.Len(t, judgeDue(served.ID, section, record, held), 1, what)
		held.FollowUps[string(section)+"/"+record.Key+"/"+detail] = true
		require.Empty(t, judgeDue(served.ID, section, record, held), "it is going to be fetched")
		seen[what] = true
	}
}
