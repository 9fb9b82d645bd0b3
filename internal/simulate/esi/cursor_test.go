package esi

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// someone is a character with at least n elements in a list.
func (c *client) someone(s section, n int) int64 {
	for id := FirstCharacter; c.sim.world.has(id); id++ {
		if sectionContents[s].count(c.sim.world, id, c.sim.WorldTime()) >= n {
			return id
		}
	}
	c.t.Fatalf("no character has %d elements of %s", n, sectionNames[s])
	return 0
}

func TestCursorsWalkTheWholeList(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		c := newClient(t, Config{Seed: 3, Characters: 200, PageSize: 10, ExclusiveFromID: exclusive})
		for _, test := range []struct {
			section     section
			rest, name  string
			least       int
			repeatsLast bool
		}{
			{sectionTransactions, "/wallet/transactions", "from_id", 25, !exclusive},
			{sectionMails, "/mail", "last_mail_id", 25, false},
			{sectionCalendar, "/calendar", "from_event", 3, false},
		} {
			id := c.someone(test.section, test.least)
			all := keysOf(test.section, c.sim.world.contentAt(nil, test.section, id, c.sim.WorldTime()))
			descending := slices.Clone(all)
			slices.Sort(descending)
			if test.section != sectionCalendar {
				slices.Reverse(descending)
			}
			require.Equal(t, descending, all, "the order of "+test.name)
			var got []int64
			query := ""
			for {
				page := keysOf(test.section, []byte(body(t, c.get(path(id, test.rest+query), id))))
				require.LessOrEqual(t, len(page), 10)
				if len(got) > 0 && test.repeatsLast {
					require.Equal(t, got[len(got)-1], page[0], "from_id names the first of the page")
					page = page[1:]
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				query = "?" + test.name + "=" + strconv.FormatInt(got[len(got)-1], 10)
			}
			require.Equal(t, all, got, test.name)
		}
		require.Empty(t, c.rules())
	}
}

func TestCompletedJobsAreListedOnRequest(t *testing.T) {
	require.JSONEq(t, `[{"job_id":2}]`, string(withoutCompleted([]byte(`[{"completed_date":"2026-01-01T00:00:00Z","job_id":1},{"job_id":2}]`))))
	c := newClient(t, Config{})
	require.Equal(t, 200, c.get(path(FirstCharacter, "/industry/jobs?include_completed=true"), FirstCharacter).StatusCode)
	require.Equal(t, 400, c.get(path(FirstCharacter, "/industry/jobs?include_completed=maybe"), FirstCharacter).StatusCode)
}

func TestOneBadItemFailsTheWholeBatchOfNames(t *testing.T) {
	c := newClient(t, Config{})
	id := c.someone(sectionAssets, 3)
	c.get(path(id, "/assets"), id)
	names := func(body string) int {
		r := request("POST", path(id, "/assets/names"), strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+c.token(id))
		return c.do(r).StatusCode
	}
	var assets []struct {
		ID json.Number `json:"item_id"`
	}
	data := c.sim.world.contentAt(nil, sectionAssets, id, c.sim.WorldTime())
	require.NoError(t, json.Unmarshal(data, &assets))
	first := assets[0].ID.String()
	require.Equal(t, 200, names("["+first+"]"))
	require.Equal(t, 404, names("["+first+",5]"))
	require.Equal(t, 400, names("["+first+","+first+"]"))
	require.Equal(t, []string{RuleBody}, c.rules())
}
