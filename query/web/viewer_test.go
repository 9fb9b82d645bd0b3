package web

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeAPI answers what it was told to, by path, and anything else with 404.
type fakeAPI struct {
	answers map[string]string
	refused map[string]int

	mu    sync.Mutex
	asked []string
	sent  []string
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI())
	if r.Method != http.MethodGet {
		f.sent = append(f.sent, r.Method+" "+r.URL.Path+" "+string(body))
	}
	f.mu.Unlock()
	if status := f.refused[r.Method+" "+r.URL.Path]; status != 0 {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"title":"No","detail":"the rule and the remedy"}`)
		return
	}
	answer, ok := f.answers[r.Method+" "+r.URL.Path]
	for _, key := range []string{r.URL.RequestURI(), r.URL.Path} {
		if !ok {
			answer, ok = f.answers[key]
		}
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"title":"Not Found","detail":"there is no such thing"}`)
		return
	}
	_, _ = io.WriteString(w, answer)
}

// has tells whether something was asked for that contains a text.
func (f *fakeAPI) has(text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Contains(strings.Join(f.asked, "\n"), text)
}

const someone = "/v1/characters/7"

// newFake knows one character, of the user who looks.
func newFake() *fakeAPI {
	return &fakeAPI{refused: map[string]int{}, answers: map[string]string{
		"/v1/me":         `{"id":"user:u1","user_id":"u1","actions":["characters.read","characters.update","characters.share","characters.unshare","characters.remove","characters.forget"]}`,
		someone:          `{"character_id":7,"name":"Ada Lovelace","user_id":"u1","status":"active","registered_at":"2026-01-01T00:00:00Z","sections":[{"section":"mails","status":"failing"}]}`,
		"/v1/characters": `{"items":[{"character_id":7,"name":"Ada Lovelace"},{"character_id":8,"name":"Grace Hopper"}]}`,
		"/v1/launcher":   `{"cards":[{"character_id":7,"name":"Ada Lovelace","shared":true}]}`,
	}}
}

func siteOf(t *testing.T, api http.Handler) *Site {
	t.Helper()
	s, err := New(Config{API: api, Version: "test", Now: func() time.Time { return time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) }})
	require.NoError(t, err)
	return s
}

func open(t *testing.T, s *Site, path string) (status int, page string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func post(t *testing.T, s *Site, path string, form url.Values) (status int, page, to string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header().Get("Location")
}

// everyPage are the addresses of all pages about a character.
func everyPage() []string {
	pages := []string{"", "/timeline", "/ledger", "/views", "/manage", "/mails/1", "/contracts/1", "/killmails/1", "/assets/1", "/skill-sets/1"}
	for _, g := range tabGroups() {
		for _, one := range g.Tabs {
			if one.Section == sectionOverview {
				continue
			}
			pages = append(pages, "/"+one.Section, "/"+one.Section+"?as_of=2026-01-02T00:00", "/"+one.Section+"?as_of=2026-01-02T00:00&_against=now")
			if one.Section != "skill-sets" {
				pages = append(pages, "/"+one.Section+"/changes")
			}
		}
	}
	return pages
}

func TestNoPageOfACharacterIsThereForWhomItIsNot(t *testing.T) {
	t.Parallel()
	api := newFake()
	delete(api.answers, someone)
	// Even if the API gave away what it must not, no page would show it.
	api.answers[someone+"/mails"] = `{"status":"ok","items":[{"mail_id":1,"subject":"secret"}]}`
	s := siteOf(t, api)
	for _, page := range everyPage() {
		status, text := open(t, s, "/characters/7"+page)
		require.Equal(t, http.StatusNotFound, status, page)
		require.NotContains(t, text, "secret", page)
		require.NotContains(t, text, "Ada", page)
	}
}

func TestEveryTextOfTheViewerIsInBothLanguages(t *testing.T) {
	t.Parallel()
	s := siteOf(t, newFake())
	for _, spoken := range s.languages.all {
		requireText := func(id string) { require.NotEqual(t, id, spoken.T(id), "%s lacks a text", spoken.Code) }
		requireList := func(l list, name string) {
			requireText("list." + name)
			for _, c := range l.Columns {
				requireText("column." + c.Name)
			}
			for _, f := range l.Filters {
				requireText("filter." + f.Name)
			}
		}
		for _, g := range tabGroups() {
			requireText("group." + g.Name)
			for _, one := range g.Tabs {
				requireText("section." + one.Section)
				for _, c := range one.Facts {
					requireText("column." + c.Name)
				}
				if one.Section != sectionOverview {
					requireList(one.List, one.Section)
				}
			}
		}
		for _, l := range searches() {
			requireList(l, "search-"+l.ID)
		}
		for _, kind := range happenings() {
			requireText("word.happened_" + kind)
		}
	}
}

func TestASectionTellsHowItStandsAndWhy(t *testing.T) {
	t.Parallel()
	api := newFake()
	s := siteOf(t, api)
	for _, c := range []struct{ answer, shows string }{
		{`{"status":"not_consented","items":[]}`, "has not consented"},
		{`{"status":"not_consented","items":[]}`, "Register again and consent"},
		{`{"status":"failing","failure":{"class":"esi","message":"ESI says 500","since":"2026-01-05T00:00:00Z"},"items":[]}`, "ESI says 500"},
		{`{"status":"incomplete","outstanding":3,"items":[]}`, "still to be fetched: 3"},
		{`{"status":"not_yet","items":[]}`, "was not read so far"},
		{`{"status":"ok","observed_at":"2026-01-05T00:00:00Z","validated_at":"2026-01-06T10:00:00Z","items":[]}`, "confirmed 2026-01-06 10:00"},
	} {
		api.answers[someone+"/mails"] = c.answer
		status, page := open(t, s, "/characters/7/mails")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, page, c.shows)
	}
	// What others write is shown as text, and a link to others tells them nothing.
	api.answers[someone+"/mails"] = `{"status":"ok","items":[{"mail_id":1,"subject":"<script>alert(1)</script>","is_read":false}]}`
	_, page := open(t, s, "/characters/7/mails")
	require.Contains(t, page, "&lt;script&gt;")
	require.NotContains(t, page, "<script>alert")
	for _, link := range regexp.MustCompile(`<a href="https://[^>]*>`).FindAllString(page, -1) {
		require.Contains(t, link, `rel="noreferrer`)
	}
}

func TestAMomentOfWhichNothingIsKnownIsSaidAtTheForm(t *testing.T) {
	t.Parallel()
	api := newFake()
	early := "?as_of=2020-01-01T00%3A00%3A00Z"
	api.answers[someone+"/details"] = `{"status":"ok","value":{"name":"Ada Lovelace"}}`
	s := siteOf(t, &earlier{api, early})
	status, page := open(t, s, "/characters/7/details?as_of=2020-01-01T00:00")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, page, "known from 2026-01-01 on")
	require.Contains(t, page, `value="2020-01-01T00:00"`, "what was typed stays")
	require.Contains(t, page, "Ada Lovelace")
}

// earlier refuses what is asked of a moment.
type earlier struct {
	*fakeAPI
	moment string
}

func (e *earlier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.RequestURI(), e.moment) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"detail":"it is known from 2026-01-01 on"}`)
		return
	}
	e.fakeAPI.ServeHTTP(w, r)
}

func TestTwoMomentsAreComparedByWhatChanged(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers[someone+"/loyalty/changes"] = `{"items":[
		{"added":[{"item":{"corporation_id":1,"corporation_name":"New","loyalty_points":5}}],"changed":[{"before":{"corporation_id":2,"corporation_name":"More","loyalty_points":10},"after":{"corporation_id":2,"corporation_name":"More","loyalty_points":20}}],"removed":[]},
		{"added":[],"changed":[{"before":{"corporation_id":2,"corporation_name":"More","loyalty_points":20},"after":{"corporation_id":2,"corporation_name":"More","loyalty_points":30}}],"removed":[{"item":{"corporation_id":3,"corporation_name":"Gone","loyalty_points":7}}]},
		{"added":[{"item":{"corporation_id":4,"corporation_name":"Shortly","loyalty_points":1}}],"changed":[],"removed":[]},
		{"added":[],"changed":[],"removed":[{"item":{"corporation_id":4,"corporation_name":"Shortly","loyalty_points":1}}]}]}`
	s := siteOf(t, api)
	status, page := open(t, s, "/characters/7/loyalty?as_of=2026-01-10T00:00&_against=now")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "1 added, 1 changed, 1 removed")
	require.Contains(t, page, "10 → 30", "what lies between is no matter")
	require.Contains(t, page, "Gone")
	require.NotContains(t, page, "Shortly", "what came and went in between is in neither")
	require.True(t, api.has("since=2026-01-10T00%3A00%3A00Z"))
}

func TestTwoMomentsAreComparedAsTheyWereWhereChangesDoNotTell(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers[someone+"/loyalty/changes"] = `{"items":[{"first":true,"added_count":2,"added":[],"changed":[],"removed":[]}]}`
	api.answers[someone+"/loyalty"] = `{"status":"ok","items":[{"corporation_id":1,"corporation_name":"Stays","loyalty_points":5}]}`
	api.answers[someone+"/loyalty?as_of=2026-01-10T00%3A00%3A00Z&limit=1000"] = `{"status":"ok","items":[{"corporation_id":1,"corporation_name":"Stays","loyalty_points":5},{"corporation_id":3,"corporation_name":"Gone","loyalty_points":7}]}`
	api.answers[someone+"/attributes"] = `{"status":"ok","value":{"memory":25}}`
	api.answers[someone+"/attributes?as_of=2026-01-10T00%3A00%3A00Z"] = `{"status":"ok","value":{"memory":20}}`
	s := siteOf(t, api)
	_, page := open(t, s, "/characters/7/loyalty?as_of=2026-01-10T00:00&_against=now")
	require.Contains(t, page, "0 added, 0 changed, 1 removed")
	require.Contains(t, page, "Gone")
	require.NotContains(t, page, "Stays")
	// Whichever moment is typed first, the earlier one is the one before.
	_, page = open(t, s, "/characters/7/attributes?_against=2026-01-10T00:00")
	require.Regexp(t, `(?s)Memory</td><td>20</td><td>25`, page)
}

func TestFiltersThatTheAPIDoesNotHaveAreThePages(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers[someone+"/contacts"] = `{"status":"ok","items":[{"contact_id":1,"contact_name":"Friend","standing":10,"standing_level":"excellent"},{"contact_id":2,"contact_name":"Foe","standing":-10,"standing_level":"terrible","is_blocked":true}]}`
	s := siteOf(t, api)
	_, page := open(t, s, "/characters/7/contacts?level=terrible&blocked=true")
	require.Contains(t, page, "Foe")
	require.NotContains(t, page, "Friend")
	require.False(t, api.has("level="), "the API would refuse it")
	_, page = open(t, s, "/characters/7/contacts")
	require.Less(t, strings.Index(page, "Friend"), strings.Index(page, "Foe"), "the best first")
}

func TestWhatAnOwnerDecides(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers[someone+"/share-links"] = `{"items":[{"link_id":"l1","note":"for Bob","status":"active","sections":["mails"],"issued_at":"2026-01-02T00:00:00Z","expires_at":"2026-03-02T00:00:00Z"}]}`
	s := siteOf(t, api)
	_, page := open(t, s, "/characters/7/manage")
	require.Contains(t, page, "for Bob")

	api.answers["POST "+someone+"/share-links"] = `{"link_id":"l2","secret":"musterlink_once","url":"/v1/characters/7","expires_at":"2026-03-02T00:00:00Z"}`
	status, page, _ := post(t, s, "/characters/7/manage", url.Values{"do": {"link"}, "expires_at": {"2026-03-02T00:00"}, "sections": {"skills", "mails"}, "note": {"for Eve"}})
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "musterlink_once")
	var made map[string]any
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(api.sent[0], "POST "+someone+"/share-links ")), &made))
	require.Equal(t, map[string]any{"expires_at": "2026-03-02T00:00:00Z", "sections": []any{"skills", "mails"}, "note": "for Eve"}, made)
	_, page = open(t, s, "/characters/7/manage")
	require.NotContains(t, page, "musterlink_once", "it is told this once")

	// What is refused is said at its form, with what was typed.
	api.refused["POST "+someone+"/share-links"] = http.StatusUnprocessableEntity
	status, page, _ = post(t, s, "/characters/7/manage", url.Values{"do": {"link"}, "expires_at": {"2036-03-02T00:00"}, "note": {"too long"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, page, "the rule and the remedy")
	require.Contains(t, page, `value="too long"`)

	// To forget needs the name.
	api.answers["POST "+someone+"/forget"] = `{}`
	sent := len(api.sent)
	status, _, _ = post(t, s, "/characters/7/manage", url.Values{"do": {"forget"}, "expected": {"Ada Lovelace"}, "name": {"Ada"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, api.sent, sent, "nothing was forgotten")
	status, _, to := post(t, s, "/characters/7/manage", url.Values{"do": {"forget"}, "expected": {"Ada Lovelace"}, "name": {"Ada Lovelace"}})
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, "/?done=forget", to)
}

func TestOthersDecideNothing(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers["/v1/me"] = `{"id":"user:u2","user_id":"u2","actions":["characters.read","characters.share","characters.forget"]}`
	s := siteOf(t, api)
	status, _ := open(t, s, "/characters/7/manage")
	require.Equal(t, http.StatusForbidden, status)
	api.answers[someone+"/skills"] = `{"status":"ok","value":{"skills":[]}}`
	_, page := open(t, s, "/characters/7/skills")
	require.NotContains(t, page, "/manage")
}

func TestNothingIsSearchedUnasked(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers["/v1/search/mails"] = `{"items":[{"character_id":7,"character_name":"Ada Lovelace","mail_id":1,"subject":"Found"}]}`
	s := siteOf(t, api)
	_, page := open(t, s, "/search/mails")
	require.Contains(t, page, "Say what to look for.")
	require.False(t, api.has("/v1/search/"))
	_, page = open(t, s, "/search/mails?subject=foun")
	require.Contains(t, page, `href="/characters/7/mails/1"`)
	api.refused["GET /v1/search/mails"] = http.StatusUnprocessableEntity
	status, page := open(t, s, "/search/mails?from=never")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, page, "the rule and the remedy")
	require.Contains(t, page, `value="never"`)
}

func TestSecurityIsRoundedAsTheGameDoes(t *testing.T) {
	t.Parallel()
	for number, shown := range map[string]string{"0.7252": "0.7", "0.6967": "0.7", "0.45": "0.5", "0.02": "0.1", "-0.0233": "0.0", "-0.06": "-0.1", "1": "1.0", "": ""} {
		require.Equal(t, shown, tenth(number), number)
	}
}

func TestASliderHasAStepThatFitsTheLife(t *testing.T) {
	t.Parallel()
	s := siteOf(t, newFake())
	now := s.config.Now()
	for _, c := range []struct {
		life  time.Duration
		step  time.Duration
		steps int64
	}{{30 * time.Minute, time.Minute, 30}, {3 * time.Hour, 10 * time.Minute, 18}, {31 * 24 * time.Hour, 24 * time.Hour, 31}} {
		v := s.visit(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/characters/7/skills", nil))
		p := v.past(&viewerData{Section: "skills", Character: row{"registered_at": now.Add(-c.life).Format(time.RFC3339)}})
		require.Equal(t, int64(c.step/time.Second), p.Step)
		require.InDelta(t, c.steps, p.Max, 1)
		require.Equal(t, p.Max, p.Value, "it stands at now")
	}
}

func TestChangesAreToldWithWhatThereWasAndIs(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers[someone+"/wallet/changes"] = `{"items":[{"observed_at":"2026-01-03T00:00:00Z","event_id":"e1","value":{"fields":[],"before":{"balance":"10.00"},"after":{"balance":"-20.50"}},"added":[],"changed":[],"removed":[]},
		{"observed_at":"2026-01-02T00:00:00Z","event_id":"e0","first":true,"added_count":0,"added":[],"changed":[],"removed":[]}]}`
	api.answers[someone+"/loyalty/changes"] = `{"items":[{"observed_at":"2026-01-03T00:00:00Z","added_count":1,"changed_count":1,"removed_count":0,
		"added":[{"key":"1","item":{"corporation_id":1,"corporation_name":"New","loyalty_points":5}}],
		"changed":[{"key":"2","fields":["loyalty_points"],"before":{"corporation_id":2,"corporation_name":"More","loyalty_points":1000},"after":{"corporation_id":2,"corporation_name":"More","loyalty_points":2000}}],"removed":[]}]}`
	s := siteOf(t, api)
	_, page := open(t, s, "/characters/7/wallet/changes")
	require.Contains(t, page, "Balance, ISK: 10.00 → −20.50")
	require.Contains(t, page, "The first reading")
	require.NotContains(t, page, "/events/", "who may not see events is not led there")
	_, page = open(t, s, "/characters/7/loyalty/changes")
	require.Contains(t, page, "1 added, 1 changed<")
	require.Contains(t, page, "added: New · 5")
	require.Contains(t, page, "More · 2,000: loyalty points: 1,000 → 2,000")

	api.refused["GET "+someone+"/loyalty/changes"] = http.StatusUnprocessableEntity
	status, page := open(t, s, "/characters/7/loyalty/changes?since=yesterday")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, page, "the rule and the remedy")
}

func TestRowsLeadToTheirEventsForThoseWhoMaySeeThem(t *testing.T) {
	t.Parallel()
	api := newFake()
	api.answers[someone+"/loyalty"] = `{"status":"ok","items":[{"corporation_id":1,"corporation_name":"Stays","provenance":{"event_id":"e7","type":"eve.section.observed"}}]}`
	_, page := open(t, siteOf(t, api), "/characters/7/loyalty?_origin=1")
	require.NotContains(t, page, "/events/e7")
	require.False(t, api.has("provenance"))
	api.answers["/v1/me"] = `{"id":"user:u1","user_id":"u1","actions":["characters.read","events.read"]}`
	_, page = open(t, siteOf(t, api), "/characters/7/loyalty?_origin=1")
	require.Contains(t, page, `href="/events/e7"`)
	require.True(t, api.has("provenance=true"))
}

func TestALoginThatEndedLeadsToTheSignOn(t *testing.T) {
	t.Parallel()
	api := newFake()
	for _, path := range []string{someone, someone + "/mails", "/v1/me"} {
		api.refused["GET "+path] = http.StatusUnauthorized
	}
	s := siteOf(t, api)
	for _, page := range []string{"", "/mails", "/mails?as_of=2026-01-02T00:00", "/timeline", "/ledger", "/mails/changes"} {
		status, _ := open(t, s, "/characters/7"+page)
		require.Equal(t, http.StatusSeeOther, status, page)
	}
}
