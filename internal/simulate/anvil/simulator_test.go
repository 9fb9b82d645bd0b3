package anvil

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// wallClock is a wall clock that a test moves.
type wallClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *wallClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *wallClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newSim(t *testing.T, config Config) (*Simulator, *wallClock) {
	clock := &wallClock{now: start}
	config.Clock = clock.time
	s, err := New(config)
	require.NoError(t, err)
	return s, clock
}

// ask sends a request with a token, as it stands in the target.
func ask(s *Simulator, target string, change ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Authorization", "Bearer ya29.token")
	for _, f := range change {
		f(r)
	}
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, r)
	return rec.Result()
}

func body(t *testing.T, r *http.Response) string {
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func rules(s *Simulator) []string {
	all := []string{}
	for _, v := range s.Violations() {
		all = append(all, v.Rule)
	}
	return all
}

// target is the request line of an answer, correctly escaped.
func target(a Answer) string {
	var b strings.Builder
	for segment := range strings.SplitSeq(strings.TrimPrefix(a.Path, "/"), "/") {
		b.WriteString("/" + strings.NewReplacer("%", "%25", " ", "%20", "?", "%3F", "#", "%23").Replace(segment))
	}
	if a.Query != "" {
		b.WriteString("?" + a.Query)
	}
	return b.String()
}

func TestTheSameSeedAndTimeGiveTheSameWorld(t *testing.T) {
	first, _ := newSim(t, Config{Seed: 5})
	second, _ := newSim(t, Config{Seed: 5})
	require.Equal(t, first.Declared(), second.Declared())
	require.Equal(t, first.Answers(), second.Answers())
	other, _ := newSim(t, Config{Seed: 6})
	require.NotEqual(t, first.Answers(), other.Answers())
}

func TestTheWorldDriftsButTheDeclarationDoesNot(t *testing.T) {
	s, clock := newSim(t, Config{Seed: 5, Drift: 0.2})
	declared, answers := s.Declared(), s.Answers()
	clock.advance(24 * time.Hour)
	require.Equal(t, declared, s.Declared())
	later := s.Answers()
	require.NotEqual(t, answers, later)
	require.NoError(t, s.Freeze(s.WorldTime()))
	clock.advance(24 * time.Hour)
	require.Equal(t, later, s.Answers())
}

func TestTheServerGivesTheAnswersOfTheWorld(t *testing.T) {
	s, _ := newSim(t, Config{Seed: 2, Accounts: 200, Groups: 60, Workspaces: 60})
	statuses := map[int]int{}
	for _, a := range s.Answers() {
		resp := ask(s, target(a))
		require.Equal(t, a.Status, resp.StatusCode, a.Path)
		statuses[a.Status]++
		if string(a.Body) == "null" {
			require.Empty(t, body(t, resp), a.Path)
			continue
		}
		require.JSONEq(t, string(a.Body), body(t, resp), a.Path)
	}
	require.Empty(t, s.Violations())
	require.Positive(t, statuses[http.StatusOK])
	require.Positive(t, statuses[http.StatusNotFound])
	require.Positive(t, statuses[http.StatusForbidden])
	require.Len(t, s.Served(), len(s.Answers()))
}

func TestAStateFolderKeepsItsWorldAndWhatWasServed(t *testing.T) {
	dir := t.TempDir()
	clock := &wallClock{now: start}
	config := Config{Seed: 2, Drift: 0.3, Speed: 3600, Epoch: start.Add(-100 * 24 * time.Hour), Clock: clock.time, StateDir: dir}
	s, err := New(config)
	require.NoError(t, err)
	for range 5 {
		clock.advance(time.Minute)
		for _, a := range s.Answers() {
			require.Equal(t, a.Status, ask(s, target(a)).StatusCode)
		}
	}
	served, at := s.Served(), s.WorldTime()
	require.Len(t, served, len(s.Answers()))
	require.NoError(t, s.Freeze(at))
	require.NoError(t, s.Close())

	clock.advance(time.Hour)
	config.Epoch, config.Speed = time.Time{}, 1
	again, err := New(config)
	require.NoError(t, err)
	require.Equal(t, at, again.WorldTime())
	require.Equal(t, served, again.Served())
	require.NoError(t, again.Close())

	config.Groups = 21
	_, err = New(config)
	require.ErrorContains(t, err, "another folder")
}

func TestAnAddressOfAGroupIsNoUser(t *testing.T) {
	s, _ := newSim(t, Config{})
	require.Equal(t, http.StatusNoContent, ask(s, "/api/users/v1/DEMO_ALL@firecloud.org").StatusCode)
	require.Equal(t, http.StatusNotFound, ask(s, "/api/users/v1/nobody@example.org").StatusCode)
}

func TestTheListHasOneRowForEachRole(t *testing.T) {
	s, _ := newSim(t, Config{Seed: 1, Groups: 80})
	var rows []struct{ GroupName, Role string }
	require.NoError(t, json.Unmarshal([]byte(body(t, ask(s, "/api/groups/v1"))), &rows))
	byName := map[string][]string{}
	for _, r := range rows {
		byName[r.GroupName] = append(byName[r.GroupName], r.Role)
	}
	both := 0
	for _, held := range byName {
		if len(held) == 2 {
			require.Equal(t, []string{"admin", "member"}, held)
			both++
		}
	}
	// Umbrella groups contain groups that the application is in.
	require.Positive(t, both)
}

func TestTheListOfWorkspacesIsCutDownToTheFieldsAskedFor(t *testing.T) {
	s, _ := newSim(t, Config{})
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(body(t, ask(s, "/api/workspaces?fields=accessLevel,workspace.name"))), &rows))
	require.NotEmpty(t, rows)
	require.Len(t, rows[0], 2)
	require.Len(t, rows[0]["workspace"], 1)
}

func TestEachBreachIsNoted(t *testing.T) {
	withoutToken := func(r *http.Request) { r.Header.Del("Authorization") }
	tests := map[string]struct {
		target string
		change func(*http.Request)
		status int
		rule   string
	}{
		"unknown path":       {"/api/groups/v2", nil, 404, RuleUnknownPath},
		"trailing slash":     {"/api/groups/v1/", nil, 404, RuleEscaping},
		"doubled slash":      {"/api//groups/v1", nil, 404, RuleEscaping},
		"dot segment":        {"/api/groups/v1/../v1", nil, 404, RuleEscaping},
		"slash in a segment": {"/api/groups/v1/a%2Fb", nil, 404, RuleEscaping},
		"bare umlaut":        {"/api/groups/v1/gr\u00fcn", nil, 404, RuleEscaping},
		"method":             {"/api/groups/v1", func(r *http.Request) { r.Method = http.MethodPost }, 405, RuleMethod},
		"no token":           {"/api/groups/v1", withoutToken, 401, RuleToken},
		"needless query":     {"/api/groups/v1?page=1", nil, 400, RuleQuery},
		"unknown field":      {"/api/workspaces?fields=workspace.owner", nil, 400, RuleQuery},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, _ := newSim(t, Config{})
			if test.change == nil {
				test.change = func(*http.Request) {}
			}
			require.Equal(t, test.status, ask(s, test.target, test.change).StatusCode)
			require.Contains(t, rules(s), test.rule)
		})
	}
	s, _ := newSim(t, Config{NoToken: true})
	require.Equal(t, 200, ask(s, "/api/groups/v1", withoutToken).StatusCode)
	require.Empty(t, s.Violations())
}

func TestTooManyRequestsAtATimeAreNoted(t *testing.T) {
	s, err := New(Config{MaxInFlight: 2, Faults: []fault.Fault{{Kind: fault.Hang, Count: 2}}})
	require.NoError(t, err)
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 300 * time.Millisecond}
	get := func() {
		r, _ := http.NewRequest(http.MethodGet, server.URL+"/api/groups/v1", nil)
		r.Header.Set("Authorization", "Bearer x")
		if resp, err := client.Do(r); err == nil {
			resp.Body.Close()
		}
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(get)
	}
	require.Eventually(t, func() bool { return s.inFlight.Load() == 2 }, 5*time.Second, time.Millisecond)
	require.Empty(t, s.Violations())
	get()
	require.Equal(t, []string{RuleConcurrency}, rules(s))
	wg.Wait()
	require.EqualValues(t, 3, s.Ledger().MaxInFlight)
}

func TestFaultsCanAlwaysBeTold(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Truncated, fault.HTML, fault.WrongTypes} {
		for _, target := range []string{"/api/groups/v1", "/api/groups/v1/demo_ALL", "/api/billing/v2/demo-billing-1"} {
			s, _ := newSim(t, Config{Faults: []fault.Fault{{Kind: kind, Count: 1}}})
			spoilt := body(t, ask(s, target))
			good := body(t, ask(s, target))
			var want, got any
			require.NoError(t, json.Unmarshal([]byte(good), &want))
			if json.Unmarshal([]byte(spoilt), &got) == nil {
				require.NotEqual(t, jsonKind(want), jsonKind(got), "%s of %s: %s", kind, target, spoilt)
			}
			require.Len(t, s.Served(), 1)
		}
	}
}

func jsonKind(v any) string {
	switch v.(type) {
	case []any:
		return "list"
	case map[string]any:
		return "object"
	default:
		return "scalar"
	}
}

// The declaration keeps the rules of the application that it stands for.
func TestTheDeclarationIsValid(t *testing.T) {
	for seed := range uint64(20) {
		s, _ := newSim(t, Config{Seed: seed, Accounts: 300, Groups: 80, Workspaces: 60})
		d := s.Declared()
		groups, accounts, workspaces := map[string]int{}, map[string]bool{}, map[string]bool{}
		for i, g := range d.ManagedGroups {
			require.NotContains(t, groups, g.Name)
			groups[g.Name] = i
		}
		for _, a := range d.Accounts {
			require.Equal(t, strings.ToLower(a.Email), a.Email)
			require.False(t, accounts[a.Email])
			accounts[a.Email] = true
		}
		seen := map[string]bool{}
		once := func(key string) {
			require.False(t, seen[key], key)
			seen[key] = true
		}
		for _, m := range d.GroupGroupMemberships {
			once("g:" + m.Parent + "/" + m.Child)
			// Children come later, so there are no cycles.
			require.Contains(t, groups, m.Child)
			require.Less(t, groups[m.Parent], groups[m.Child])
		}
		for _, m := range d.GroupAccountMemberships {
			once("a:" + m.Group + "/" + m.Account)
			require.Contains(t, groups, m.Group)
			require.True(t, accounts[m.Account])
		}
		for _, w := range d.Workspaces {
			once("w:" + w.BillingProject + "/" + w.Name)
			workspaces[w.BillingProject+"/"+w.Name] = true
		}
		for _, w := range d.WorkspaceGroupSharing {
			once("s:" + w.Workspace + "/" + w.Group)
			require.True(t, workspaces[w.Workspace])
			require.Contains(t, groups, w.Group)
			require.False(t, w.Access == "READER" && w.CanCompute)
			require.False(t, w.Access == "OWNER" && !w.CanCompute)
		}
		for _, i := range d.IgnoredGroupMemberships {
			once("i:" + i.Group + "/" + i.Email)
			require.Contains(t, groups, i.Group)
			require.Equal(t, strings.ToLower(i.Email), i.Email)
		}
	}
}

// shared opens a file of the shared folder, or skips the test.
func shared(t *testing.T, name string) *os.File {
	dir := os.Getenv("MUSTER_SHARED_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%v: set MUSTER_SHARED_DIR to the folder with specifications and vectors", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestAVectorIsServedExactly(t *testing.T) {
	lines := bufio.NewScanner(shared(t, "vectors/anvil/cases.jsonl"))
	lines.Buffer(nil, 1<<24)
	cases := 0
	for lines.Scan() {
		var v struct {
			Name  string
			Anvil []Answer
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &v))
		s, err := NewFromVector(Config{}, v.Anvil)
		require.NoError(t, err)
		for _, a := range v.Anvil {
			resp := ask(s, target(a))
			require.Equal(t, a.Status, resp.StatusCode, "%s: %s", v.Name, a.Path)
			if got := body(t, resp); string(a.Body) == "null" {
				require.Empty(t, got)
			} else {
				require.JSONEq(t, string(a.Body), got)
			}
		}
		require.Empty(t, s.Violations(), v.Name)
		require.Equal(t, 500, ask(s, "/api/groups/v1/no_such_group_anywhere").StatusCode)
		require.Equal(t, []string{RuleUnlisted}, rules(s))
		cases++
	}
	require.NoError(t, lines.Err())
	require.Equal(t, 120, cases)
}

func BenchmarkSweepOfALargeConsortium(b *testing.B) {
	s, err := New(Config{Accounts: 2000, Groups: 500, Workspaces: 400})
	require.NoError(b, err)
	for b.Loop() {
		s.Answers()
	}
}
