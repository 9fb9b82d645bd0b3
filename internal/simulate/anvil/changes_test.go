package anvil

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// restless is a world in which every kind of thing changes.
func restless() Config {
	began := start.Add(-30 * 24 * time.Hour)
	return Config{Seed: 20, Accounts: 50, Groups: 14, Workspaces: 24, Drift: 0.06, WideDrift: 0.25, DriftEvery: 54 * time.Hour, Epoch: began, Start: began}
}

func TestAMonthChangesEveryKindOfThing(t *testing.T) {
	s, _ := newSim(t, restless())
	changes := s.Changes(start.Add(-30*24*time.Hour), start)
	require.GreaterOrEqual(t, len(changes), 200)
	kinds := map[ChangeKind]int{}
	seen := map[string]bool{}
	for _, c := range changes {
		kinds[c.Kind]++
		require.NotEqual(t, c.Before, c.After)
		key := string(c.Kind) + " " + c.Record + c.At.String()
		require.False(t, seen[key], key)
		seen[key] = true
		switch {
		case c.Kind == ChangedMembership && c.Before != "" && c.After != "":
			kinds["role swapped"]++
		case c.Kind == ChangedMembership && strings.Contains(c.Record, "/stray."):
			kinds["stray"]++
		case c.Kind == ChangedAccount && c.After == "invited":
			kinds["invited"]++
		case c.Kind == ChangedAccount && c.After == "":
			kinds["vanished"]++
		case c.Kind == ChangedSharing && strings.Contains(c.Record, "/visitor."):
			kinds["guest"]++
		case c.Kind == ChangedSharing && c.Before != "" && c.After != "":
			kinds["level"]++
		case c.Kind == ChangedSharing && c.After == "":
			kinds["ended"]++
		case c.Kind == ChangedAccess && c.After == levelNoAccess:
			kinds["kept out"]++
		case c.Kind == ChangedAccess && c.After == "":
			kinds["unlisted"]++
		}
	}
	require.Len(t, kinds, 9+9, "%v", kinds)
}

// What is said to change is what the services show to have changed, and nothing
// else does.
func TestTheAnswersChangeExactlyWhenAChangeIsListed(t *testing.T) {
	s, _ := newSim(t, restless())
	w := s.world
	from := start.Add(-30 * 24 * time.Hour)
	answers := func(at time.Time) string {
		b, err := json.Marshal(w.answersFor(w.declared(), at))
		require.NoError(t, err)
		return string(b)
	}
	at := from
	for _, c := range s.Changes(from, start)[:60] {
		if c.At.After(at) {
			require.Equal(t, answers(at), answers(c.At.Add(-1)), "nothing is said to change until %s", c.At)
		}
		at = c.At
	}
	invisible := 0
	for _, c := range s.Changes(from, start)[:60] {
		// What lies in a group or workspace that the application is kept out of
		// changes unseen.
		if answers(c.At.Add(-1)) == answers(c.At) {
			invisible++
		}
	}
	require.Less(t, invisible, 30)
}

func TestChangesOfTwoSpansAreThoseOfBoth(t *testing.T) {
	s, _ := newSim(t, restless())
	from, middle := start.Add(-20*24*time.Hour), start.Add(-7*24*time.Hour)
	require.Equal(t, s.Changes(from, start), append(s.Changes(from, middle), s.Changes(middle, start)...))
	require.Empty(t, s.Changes(start, start))
	vector, err := NewFromVector(Config{}, nil)
	require.NoError(t, err)
	require.Empty(t, vector.Changes(from, start))
}

func TestAWorldWithoutWideDriftChangesAsItAlwaysDid(t *testing.T) {
	s, _ := newSim(t, Config{Seed: 5, Drift: 0.2})
	kinds := map[ChangeKind]bool{}
	for _, c := range s.Changes(start.Add(-30*24*time.Hour), start) {
		kinds[c.Kind] = true
		require.NotContains(t, []ChangeKind{ChangedBillingProject, ChangedRequesterPays, ChangedDomains}, c.Kind)
		require.False(t, c.Before != "" && c.After != "" && c.Kind != ChangedAppRole && c.Kind != ChangedAccess, "%+v", c)
	}
	require.True(t, kinds[ChangedMembership] && kinds[ChangedLock] && kinds[ChangedSharing])
}

func TestAFolderOlderThanWideDriftGoesOnWithoutIt(t *testing.T) {
	dir := t.TempDir()
	clock := &wallClock{now: start}
	config := Config{Seed: 2, Clock: clock.time, StateDir: dir}
	s, err := New(config)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	again, err := New(config)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	config.WideDrift = 0.2
	_, err = New(config)
	require.ErrorContains(t, err, "another folder")
	config.WideDrift = 1.1
	_, err = New(config)
	require.ErrorContains(t, err, "wide drift")
}

func TestChangesAreToldAtTheAdminRoute(t *testing.T) {
	s, _ := newSim(t, restless())
	var got []Change
	resp := ask(s, "/_simulator/changes?from=2026-11-01T00:00:00Z&to=2026-11-10T00:00:00Z")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, json.Unmarshal([]byte(body(t, resp)), &got))
	require.Equal(t, s.Changes(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)), got)
	require.NotEmpty(t, got)
	got = nil
	require.NoError(t, json.Unmarshal([]byte(body(t, ask(s, "/_simulator/changes"))), &got))
	require.Equal(t, s.Changes(start.Add(-30*24*time.Hour), start), got)
	for _, query := range []string{"from=yesterday", "from=0001-01-01T00:00:00Z"} {
		resp := ask(s, "/_simulator/changes?"+query)
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	}
}
