package api_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
	"github.com/muster-sync/muster/query/web"
)

// pagesOf are the pages over an API.
func pagesOf(t *testing.T, c *client) http.Handler {
	t.Helper()
	pages, err := web.New(web.Config{API: c.server.Handler()})
	require.NoError(t, err)
	return pages.Handler()
}

// look opens a page as somebody.
func look(t *testing.T, pages http.Handler, path string, header ...string) (status int, text string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// No page shows a character to whom the statement does not, and none withholds it: random
// organisations, each user, each character.
func TestThePagesShowEachUserWhatTheStatementSays(t *testing.T) {
	f := newFolded(t)
	pages := pagesOf(t, f.client)
	drawn := rapid.Custom(accesstest.Organisation)
	links := regexp.MustCompile(`href="/characters/(\d+)"`)
	shown, hidden := 0, 0
	for seed := range organisations(t) {
		org := drawn.Example(seed)
		f.fold(t, org, spreadOf(org, rand.New(rand.NewPCG(uint64(seed), 1))))
		s := accesstest.Statement{Organisation: org}
		says := s.Rights()
		for _, u := range org.Users {
			// Nobody is remembered from the organisation before.
			who := append(as(u.ID), "Cookie", fmt.Sprintf("organisation=%d", seed))
			basic := s.Can(u, "basic_access")
			for _, c := range org.Characters {
				want := http.StatusNotFound
				switch {
				case !basic:
					want = http.StatusForbidden
				case slices.Contains(says.Viewer[u.ID], c.ID):
					want = http.StatusOK
				}
				status, text := look(t, pages, fmt.Sprintf("/characters/%d/assets", c.ID), who...)
				require.Equal(t, want, status, "user %s, character %d: %s", u.ID, c.ID, text)
				if want == http.StatusOK {
					shown++
				} else {
					hidden++
					// The head names one's own main.
					_, shownToHim, _ := strings.Cut(text, "<main")
					require.NotContains(t, shownToHim, fmt.Sprint("Pilot ", c.ID))
				}
			}
			requireFinderPage(t, pages, s, u, says, links, who)
		}
	}
	require.Positive(t, shown)
	require.Positive(t, hidden)
}

// requireFinderPage holds the links of the finder's page against who may be opened.
func requireFinderPage(t *testing.T, pages http.Handler, s accesstest.Statement, u access.OrganisationUser, says access.Rights, links *regexp.Regexp, who []string) {
	t.Helper()
	status, text := look(t, pages, "/finder", who...)
	if !s.Can(u, "finder_access") || !s.Can(u, "basic_access") {
		require.NotEqual(t, http.StatusInternalServerError, status, text)
	}
	for _, found := range links.FindAllStringSubmatch(text, -1) {
		id, err := strconv.ParseInt(found[1], 10, 64)
		require.NoError(t, err)
		require.Contains(t, says.Viewer[u.ID], id, "user %s", u.ID)
	}
}
