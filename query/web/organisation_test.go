package web

import (
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// faked is a site whose API answers what stands at each path.
func faked(t *testing.T, answers map[string]string) (*Site, *[]string) {
	t.Helper()
	var asked []string
	// A page asks for several things at once.
	var mu sync.Mutex
	site, err := New(Config{
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked = append(asked, r.Method+" "+r.URL.RequestURI())
			mu.Unlock()
			answer, ok := answers[r.URL.Path]
			switch {
			case r.URL.Path == "/v1/me":
				answer = `{"id":"user:u1","user_id":"u1","kind":"user","actions":["characters.read","reports.read","analytics.read","skill-sets.define","exports.read"]}`
			case !ok:
				w.WriteHeader(http.StatusNotFound)
				return
			case strings.HasPrefix(answer, "422 "):
				w.WriteHeader(http.StatusUnprocessableEntity)
				answer = `{"status":422,"detail":"` + strings.TrimPrefix(answer, "422 ") + `"}`
			}
			_, _ = w.Write([]byte(answer))
		}),
		Now: func() time.Time { return time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC) },
	})
	require.NoError(t, err)
	return site, &asked
}

func ask(site *Site, method, target, form string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form))
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	site.Handler().ServeHTTP(w, r)
	return w
}

func rowOf(t *testing.T, text string) row {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var r row
	require.NoError(t, d.Decode(&r))
	return r
}

func TestFiguresAddUpToTheLastDigit(t *testing.T) {
	items := rowOf(t, `{"items":[{"income":"90071992547409.93","balance":"1.00"},{"income":"0.01","balance":null},{"income":"-0.05","balance":"2.50"},{"income":"1.00","balance":null}]}`).Rows("items")
	require.Equal(t, "90071992547410.89", measure{Name: "income", Kind: kindISK}.over(items))
	require.Equal(t, "2.50", measure{Name: "balance", Kind: kindISK, Over: atItsEnd}.over(items), "the last one that is known")
	require.Empty(t, measure{Name: "income", Over: apart}.over(items))
	require.Equal(t, "7", decimal(big.NewRat(7, 1), kindNumber))
}

func TestAChartDrawsTheLargestGroupsAndAddsTheOthersUp(t *testing.T) {
	site, _ := faked(t, nil)
	v := site.visit(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	var items []string
	for i := range 12 {
		for _, start := range []string{"2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"} {
			items = append(items, `{"start":"`+start+`","ref_type":"k`+string(rune('a'+i))+`","income":"`+big.NewInt(int64(i)).String()+`.00"}`)
		}
	}
	answered := rowOf(t, `{"interval":"day","items":[`+strings.Join(items, ",")+`]}`)
	m := measure{Name: "income", Kind: kindISK}
	sorted := largest(groupsOf(answered.Rows("items"), []string{"ref_type"}), m)
	require.Equal(t, []string{"kl"}, sorted[0].IDs)
	c := v.chartOfGroups(answered, time.UTC, m, sorted, func(g *group) string { return g.IDs[0] })
	require.Len(t, c.Headings, 1+maxSeries+1)
	require.Equal(t, "4 others", c.Headings[1+maxSeries].Text)
	require.Len(t, c.Lines, 2)
	require.Equal(t, "2026-05-01", c.Lines[0].Cells[0].Text)
	require.Equal(t, "6.00", c.Lines[0].Cells[1+maxSeries].Value, "0 + 1 + 2 + 3")
	// What does not add up is not drawn, and that is said.
	m.Over = atItsEnd
	c = v.chartOfGroups(answered, time.UTC, m, sorted, func(g *group) string { return g.IDs[0] })
	require.Len(t, c.Headings, 1+maxSeries)
	require.Contains(t, c.Note, "4 smaller groups")
}

func TestPeriodsAreNamedInTheCalendarThatWasAskedFor(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for interval, want := range map[string]string{"hour": "2026-07-01 00:00", "day": "2026-07-01", "week": "2026-07-01", "month": "2026-07", "quarter": "2026 Q3", "year": "2026"} {
		require.Equal(t, want, period("2026-06-30T22:00:00Z", interval, berlin))
	}
}

func TestARangeIsWholeDaysOfTheZone(t *testing.T) {
	for _, c := range []struct{ query, from, to, interval string }{
		{"", "2026-04-10T12:00:00Z", "2026-05-10T12:00:00Z", "day"},
		{"range=1", "2026-05-09T12:00:00Z", "2026-05-10T12:00:00Z", "hour"},
		{"range=365", "2025-05-10T12:00:00Z", "2026-05-10T12:00:00Z", "week"},
		{"from=2026-05-01&to=2026-05-03&tz=Europe/Berlin", "2026-04-30T22:00:00Z", "2026-05-03T22:00:00Z", "day"},
		{"from=2020-01-01", "2020-01-01T00:00:00Z", "2026-05-10T12:00:00Z", "month"},
		{"from=2026-05-01&interval=week", "2026-05-01T00:00:00Z", "2026-05-10T12:00:00Z", "week"},
	} {
		site, asked := faked(t, map[string]string{"/v1/analytics/wallet": `{"from":"2026-05-01T00:00:00Z","to":"2026-05-03T00:00:00Z","interval":"day","tz":"UTC","group_by":[],"items":[]}`})
		w := ask(site, http.MethodGet, "/analytics/wallet?"+c.query, "")
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		found := false
		for _, a := range *asked {
			u, err := url.Parse(strings.TrimPrefix(a, "GET "))
			require.NoError(t, err)
			if u.Path == "/v1/analytics/wallet" {
				found = true
				require.Equal(t, []string{c.from, c.to, c.interval}, []string{u.Query().Get("from"), u.Query().Get("to"), u.Query().Get("interval")}, c.query)
			}
		}
		require.True(t, found)
	}
}

func TestAFileOfFiguresAsksForThemAndNothingElse(t *testing.T) {
	site, asked := faked(t, map[string]string{"/v1/analytics/wallet": "start,end\n"})
	w := ask(site, http.MethodGet, "/analytics/wallet?range=7&group_by=ref_type&measure=net&format=csv", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "start,end\n", w.Body.String())
	require.Equal(t, `attachment; filename="wallet.csv"`, w.Header().Get("Content-Disposition"))
	require.Equal(t, "GET /v1/analytics/wallet?from=2026-05-03T12%3A00%3A00Z&group_by=ref_type&interval=day&to=2026-05-10T12%3A00%3A00Z&tz=UTC", (*asked)[len(*asked)-1])
}

func TestCountsAreWordedForOneAsForMany(t *testing.T) {
	site, _ := faked(t, nil)
	for _, tongue := range site.languages.all {
		for _, id := range []string{"compliance.more", "compliance.omitted", "compliance.hidden", "figures.others", "figures.not-drawn", "skillsets.unread"} {
			for _, n := range []any{1, 2, int64(1), int64(5)} {
				require.NotEqual(t, id, tongue.T(id, "Count", n))
			}
		}
	}
}

func TestWhatIsRefusedIsSaidAtTheForm(t *testing.T) {
	site, _ := faked(t, map[string]string{"/v1/analytics/wallet": "422 choose a coarser interval"})
	w := ask(site, http.MethodGet, "/analytics/wallet?interval=hour&corporation_id=98000001", "")
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Contains(t, w.Body.String(), "choose a coarser interval")
	require.Contains(t, w.Body.String(), `value="98000001"`, "what was asked for is still there")
	// A part of a page is exchanged only for a success.
	require.Equal(t, http.StatusOK, ask(site, http.MethodGet, "/analytics/wallet?interval=hour", "", "Hx-Request", "true").Code)
	for _, query := range []string{"tz=Middle/Earth", "tz=Local", "from=yesterday", "to=2026-02-30"} {
		require.Equal(t, http.StatusUnprocessableEntity, ask(site, http.MethodGet, "/analytics/wallet?"+query, "").Code, query)
	}
}

func TestSharesAreCutAndNeverAll(t *testing.T) {
	site, _ := faked(t, nil)
	v := site.visit(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	for _, c := range []struct{ part, total, words string }{{"9999", "10000", "99.9 %"}, {"1", "3", "33.3 %"}, {"5", "5", "100.0 %"}, {"-1", "5", ""}, {"6", "5", ""}, {"1", "0", ""}} {
		total, ok := number(c.total)
		require.True(t, ok)
		words, _ := v.share(c.part, total)
		require.Equal(t, c.words, words, "%s of %s", c.part, c.total)
	}
}

func TestTheEditorReadsItsLines(t *testing.T) {
	form, body := typedSet(url.Values{
		"name": {" Gunners "}, "visible": {"true"}, "ship_type_id": {"587"},
		"skill": {"Gunnery", "", "3300", "Drones"}, "required": {"4", "5", "", ""}, "recommended": {"", "", "5", ""},
	}, "")
	sent, err := json.Marshal(body)
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"Gunners","description":"","visible":true,"ship_type_id":587,"skills":[{"type_name":"Gunnery","required":4},{"type_id":3300,"recommended":5},{"type_name":"Drones"}]}`, string(sent),
		"an empty name is no skill; whether a level is missing is the API's to say")
	require.Len(t, form.Skills, 3+emptyLines)
	require.Equal(t, "Drones", form.Skills[2].Name)
}

func TestAnExportIsHandedThrough(t *testing.T) {
	var accept, encoding, query string
	site, err := New(Config{API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/me" {
			_, _ = w.Write([]byte(`{"id":"user:u1","actions":["exports.read"]}`))
			return
		}
		if r.URL.Path == "/v1/exports" || r.URL.Path == "/v1/finder/facets" {
			_, _ = w.Write([]byte(`{"items":[]}`))
			return
		}
		accept, encoding, query = r.Header.Get("Accept"), r.Header.Get("Accept-Encoding"), r.URL.Query().Encode()
		if r.URL.Query().Get("character_id") == "0" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"status":422,"detail":"character_id: at least 1"}`))
			return
		}
		w.Header().Set("Content-Type", "text/csv")
		w.Header().Set("Content-Disposition", `attachment; filename="muster_contract.csv"`)
		_, _ = w.Write([]byte("a,b\n"))
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write([]byte("1,2\n"))
	})})
	require.NoError(t, err)
	w := ask(site, http.MethodGet, "/exports/contract/download?from=2026-05-01&to=2026-05-31&corporation_id=7", "", "Accept-Encoding", "gzip")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "a,b\n1,2\n", w.Body.String())
	require.True(t, w.Flushed, "nothing is kept back")
	require.Equal(t, `attachment; filename="muster_contract.csv"`, w.Header().Get("Content-Disposition"))
	require.NotEmpty(t, w.Header().Get("Content-Security-Policy"))
	require.Equal(t, []string{"text/csv", "gzip", "corporation_id=7&from=2026-05-01T00%3A00%3A00Z&to=2026-06-01T00%3A00%3A00Z"}, []string{accept, encoding, query})
	w = ask(site, http.MethodGet, "/exports/contract/download?format=parquet&character_id=0", "")
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Equal(t, "application/vnd.apache.parquet", accept)
	require.Contains(t, w.Header().Get("Content-Type"), "text/html")
	require.Contains(t, w.Body.String(), "character_id: at least 1")
}

func TestAHeatMapHasAllHoursAndTheMostIsDarkest(t *testing.T) {
	site, _ := faked(t, nil)
	v := site.visit(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	require.Nil(t, v.heatOf(nil))
	h := v.heatOf(rowOf(t, `{"items":[{"weekday":1,"hour":0,"seconds":3599},{"weekday":7,"hour":23,"seconds":36000},{"weekday":7,"hour":22,"seconds":1},{"weekday":9,"hour":1,"seconds":5}]}`).Rows("items"))
	require.Len(t, h.Days, 7)
	require.Equal(t, "0.9", h.Days[0].Cells[0].Text, "cut, not rounded")
	require.Equal(t, []int{1, 5, 1, 0}, []int{h.Days[0].Cells[0].Level, h.Days[6].Cells[23].Level, h.Days[6].Cells[22].Level, h.Days[3].Cells[4].Level})
}

func TestEveryTextOfTheOrganisationIsInEachLanguage(t *testing.T) {
	site, _ := faked(t, nil)
	var ids []string
	for _, a := range append(topics(), *complianceTrend(nil), *readiness(nil)) {
		ids = append(ids, "analysis."+a.ID, "analysis."+a.ID+"-text")
		for _, m := range a.Measures {
			ids = append(ids, "measure."+m.Name)
		}
		for _, g := range a.Groups {
			ids = append(ids, "groupby."+g)
		}
		for _, d := range a.Charts {
			ids = append(ids, "chart."+a.ID+"-"+d.Name)
		}
		for _, f := range a.Filters {
			ids = append(ids, "filter."+f.Name)
		}
		for _, i := range a.Intervals {
			ids = append(ids, "interval."+i)
		}
	}
	for _, tongue := range site.languages.all {
		for _, id := range ids {
			require.NotEqual(t, id, tongue.T(id), "%s lacks it", tongue.Name)
		}
	}
}
