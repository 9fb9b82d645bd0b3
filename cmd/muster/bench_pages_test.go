//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/query/web"
)

const (
	// pagesBar bounds what a page takes beside what it asks the API for.
	pagesBar = 1.5
	// pageRounds is how often each page is opened.
	pageRounds = 40
	// pageLimit is what a page should take at the median, in milliseconds.
	pageLimit = 200
)

// overheard is the API, noting what it is asked for.
type overheard struct {
	http.Handler

	mu    sync.Mutex
	asked []string
}

// ServeHTTP implements [http.Handler].
func (o *overheard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked = append(o.asked, r.RequestURI)
	o.mu.Unlock()
	o.Handler.ServeHTTP(w, r)
}

// during is what the API is asked for by do.
func (o *overheard) during(do func()) []string {
	o.mu.Lock()
	o.asked = nil
	o.mu.Unlock()
	do()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// pageTimes are what a page took, and what it asked the API for took without it, in
// milliseconds.
type pageTimes struct {
	Page      string
	Calls     int
	page, api []float64
}

func (t pageTimes) Median() float64    { return median(t.page) }
func (t pageTimes) APIMedian() float64 { return median(t.api) }
func (t pageTimes) Ratio() float64     { return t.Median() / t.APIMedian() }

// pagesSpeed is what the pages took.
type pagesSpeed struct {
	Date, Machine, Go, Load    string
	Characters, Assets, Rounds int
	Bar                        float64
	Limit                      int
	All                        pageTimes
	Pages                      []pageTimes
}

// Verdict says whether a ratio is within the bar.
func (s pagesSpeed) Verdict(ratio float64) string {
	if ratio <= s.Bar {
		return "reached"
	}
	return "missed"
}

// BenchmarkPagesBesideTheAPI opens the pages of an organisation of 10,000 characters as users
// with different roles, and in turns asks the API for just what these pages ask it for, within the
// process and one after the other. MUSTER_BENCH_API_CHARACTERS sizes it.
func BenchmarkPagesBesideTheAPI(b *testing.B) {
	r := newAPIRig(b, int(benchSetting(b, "MUSTER_BENCH_API_CHARACTERS", defaultAPICharacters)))
	heard := &overheard{Handler: r.api}
	site, err := web.New(web.Config{API: heard, Version: "bench"})
	require.NoError(b, err)
	pages := site.Handler()
	for b.Loop() {
		s := pagesSpeed{
			Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Characters: r.characters, Assets: r.characters * apiAssets,
			Rounds: pageRounds, Bar: pagesBar, Limit: pageLimit, All: pageTimes{Page: "all"},
		}
		random := rand.New(rand.NewPCG(benchSeed, 2))
		for _, page := range r.pages() {
			s.Pages = append(s.Pages, r.openInTurns(page, pages, heard, random))
		}
		for _, t := range s.Pages {
			s.All.page, s.All.api = append(s.All.page, t.page...), append(s.All.api, t.api...)
			b.Logf("%-40s %2d calls  page %8.2f ms  API %8.2f ms  ratio %5.2f", t.Page, t.Calls, t.Median(), t.APIMedian(), t.Ratio())
		}
		s.Load = loadAverage()
		b.Logf("all: page %.2f ms, API %.2f ms, ratio %.2f; load %s, bar %.1f", s.All.Median(), s.All.APIMedian(), s.All.Ratio(), s.Load, s.Bar)
		b.ReportMetric(s.All.Median(), "page-median-ms")
		b.ReportMetric(s.All.Ratio(), "page-API-ratio")
		if folder := os.Getenv("MUSTER_BENCH_REPORT"); folder != "" {
			s.write(b, folder)
		}
	}
}

// openedPage is a page that people open.
type openedPage struct {
	name string
	path func(character int64) string
	// reports is for those who see reports.
	reports bool
}

// pages are what people look at.
func (r *apiRig) pages() []openedPage {
	tab := func(section string) openedPage {
		return openedPage{name: "viewer, " + section, path: func(c int64) string { return fmt.Sprintf("/characters/%d/%s", c, section) }}
	}
	fixed := func(name, path string, reports bool) openedPage {
		return openedPage{name: name, path: func(int64) string { return path }, reports: reports}
	}
	return []openedPage{
		fixed("launcher", "/", false),
		fixed("finder", "/finder", false),
		fixed("finder, by a part of a name", "/finder?search=0042", false),
		tab("assets"), tab("skills"), tab("wallet-journal"), tab("mails"), tab("contracts"), tab("contacts"),
		fixed("search in assets", "/search/assets?type_id=600", false),
		fixed("compliance of users", "/compliance", true),
	}
}

// openInTurns opens a page and asks for what it asks for, in turns.
func (r *apiRig) openInTurns(page openedPage, pages http.Handler, heard *overheard, random *rand.Rand) pageTimes {
	r.b.Helper()
	t := pageTimes{Page: page.name}
	open := func(handler http.Handler, path, token string) {
		q := httptest.NewRequestWithContext(r.b.Context(), http.MethodGet, path, nil)
		q.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, q)
		require.Equal(r.b, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	}
	for round := range pageRounds {
		as := r.roles[round%len(r.roles)]
		if page.reports && as.name == "member" {
			continue
		}
		path := page.path(r.opened(as, random))
		// What is looked up once in a while is looked up now.
		open(pages, path, as.token)
		calls := heard.during(func() { open(pages, path, as.token) })
		t.Calls = max(t.Calls, len(calls))
		took := func(do func()) float64 {
			start := time.Now()
			do()
			return float64(time.Since(start).Microseconds()) / 1000
		}
		page := func() { t.page = append(t.page, took(func() { open(pages, path, as.token) })) }
		api := func() {
			t.api = append(t.api, took(func() {
				for _, call := range calls {
					open(r.api, call, as.token)
				}
			}))
		}
		if round%2 == 0 {
			page()
			api()
		} else {
			api()
			page()
		}
	}
	return t
}

const pagesPage = `# The pages beside the API, {{.Date}}

` + "`MUSTER_BENCH_REPORT=$PWD/docs/benchmarks MUSTER_TEST_BINARY=$PWD/bin/muster go test -run '^$' -bench PagesBesideTheAPI -benchtime 1x -timeout 30m -v ./cmd/muster`" + ` makes this page.

{{.Characters}} characters with {{.Assets}} assets. Each page is opened {{.Rounds}} times, by users of the organisation with different roles, each time of another character; beside it, in turns, the API is
asked within the process, one call after the other, for just what the page asks it for. The page has to wait for that, read it, and write itself.

* Machine: {{.Machine}}
* {{.Go}}
* Processes that wanted to run at the end, on average of a minute: {{.Load}}

| page | calls | page, median | API, median | ratio | bar |
| --- | ---: | ---: | ---: | ---: | --- |
{{range .Pages}}| {{.Page}} | {{.Calls}} | {{printf "%.2f" .Median}} ms | {{printf "%.2f" .APIMedian}} ms | {{printf "%.2f" .Ratio}} | {{$.Bar}}, {{$.Verdict .Ratio}} |
{{end}}| all | | {{printf "%.2f" .All.Median}} ms of {{.Limit}} | {{printf "%.2f" .All.APIMedian}} ms | {{printf "%.2f" .All.Ratio}} | {{.Bar}}, {{.Verdict .All.Ratio}} |
`

func (s pagesSpeed) write(b *testing.B, folder string) {
	b.Helper()
	var page bytes.Buffer
	require.NoError(b, template.Must(template.New("pages").Parse(pagesPage)).Execute(&page, s))
	require.NoError(b, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, s.Date+"-pages.md")
	require.NoError(b, os.WriteFile(path, page.Bytes(), 0o644))
	b.Logf("written to %s", path)
}
