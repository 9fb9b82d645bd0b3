//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/freeport"
)

// upWithin bounds the start of everything on a machine that is busy with other
// tests; a quiet one takes a few seconds.
const upWithin = 2 * time.Minute

// demoRun is `muster up --demo` on a data folder.
type demoRun struct {
	*stack
	up *service
}

// oneProcess is a Muster that `muster up` will run all of, with engines and settings of its own.
// Nothing of it may be left when the test ends.
func oneProcess(t *testing.T, settings ...string) *stack {
	t.Helper()
	requireEngines(t)
	s := &stack{t: t, binary: testBinary(t), data: filepath.Join(passableTempDir(t), "data"), files: t.TempDir()}
	t.Cleanup(s.requireNothingLeft)
	port, err := freeport.One(t.Context())
	require.NoError(t, err)
	s.apiURL = "http://127.0.0.1:" + strconv.Itoa(port)
	s.env = cleanEnvironment(append([]string{"MUSTER_DATA_DIR=" + s.data, "MUSTER_LISTEN=127.0.0.1:" + strconv.Itoa(port)}, settings...)...)
	return s
}

func startDemo(t *testing.T, s *stack, name string) *demoRun {
	t.Helper()
	started := time.Now()
	d := &demoRun{stack: s, up: startService(t, s.binary, s.files, name, s.env, "up", "--demo", "--demo-characters", "20")}
	err := waitUntil(t.Context(), upWithin, func(ctx context.Context) error {
		if starts := d.up.started(); starts > 1 {
			return fmt.Errorf("it ended and was started %d times", starts)
		}
		if !strings.Contains(d.up.tail(), "Muster is ready after") {
			return fmt.Errorf("it has not said that it is ready")
		}
		return d.get(ctx, d.apiURL+"/readyz", nil)
	})
	require.NoError(t, err, "the demo has to get ready")
	t.Logf("ready after %s", time.Since(started).Round(10*time.Millisecond))
	return d
}

// interrupt stops the demo as Ctrl-C does.
func (d *demoRun) interrupt(t *testing.T) {
	t.Helper()
	started := time.Now()
	d.up.endWith(syscall.SIGINT)
	require.NoError(t, d.up.stop(), "Ctrl-C has to end it with status 0")
	t.Logf("stopped after %s", time.Since(started).Round(10*time.Millisecond))
	d.requireNothingLeft()
}

func TestUpDemoGetsReadyStopsAndGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything twice")
	}
	s := oneProcess(t)

	first := startDemo(t, s, "up-first")
	first.requireBothWorlds(t, 1)
	token := readToken(t, s)
	entries := first.entries(t)
	first.interrupt(t)

	second := startDemo(t, s, "up-second")
	require.Equal(t, token, readToken(t, s), "the administrator's token stays")
	require.GreaterOrEqual(t, second.entries(t), entries, "what was there before is still there")
	second.requireBothWorlds(t, entries)
	second.requireNames(t)
	second.requireOnce(t)
	require.Contains(t, second.run("verify"), ", 0 differ")
	require.Contains(t, second.run("replay", "--to", time.Now().UTC().Format(time.RFC3339), "--into", "audit"), "audit holds what had happened by")
	require.Contains(t, second.run("replay", "list"), "muster_audit_characters")
	require.Contains(t, second.run("replay", "drop", "audit"), "audit is gone")
	second.interrupt(t)
}

func readToken(t *testing.T, s *stack) string {
	t.Helper()
	path := filepath.Join(s.data, "admin-token")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// requireBothWorlds waits until characters with a wallet, journal entries beyond
// a number and a sweep show in the API.
func (d *demoRun) requireBothWorlds(t *testing.T, entries int64) {
	t.Helper()
	d.eventually("characters with wallets show", func(ctx context.Context) error {
		var characters struct {
			Items []struct {
				ID int64 `json:"character_id"`
			} `json:"items"`
		}
		if err := d.get(ctx, d.apiURL+"/v1/characters?limit=100", &characters); err != nil {
			return err
		}
		if n := len(characters.Items); n != 20 {
			return fmt.Errorf("%d characters", n)
		}
		var wallet struct {
			Value json.RawMessage `json:"value"`
		}
		if err := d.get(ctx, fmt.Sprintf("%s/v1/characters/%d/wallet", d.apiURL, characters.Items[0].ID), &wallet); err != nil {
			return err
		}
		if len(wallet.Value) == 0 {
			return fmt.Errorf("no wallet of %d yet", characters.Items[0].ID)
		}
		return nil
	})
	d.eventually("journal entries show", func(context.Context) error {
		if n := d.entries(t); n < entries {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
	d.eventually("sweeps of AnVIL show", func(ctx context.Context) error {
		var sweeps struct {
			Items []json.RawMessage `json:"items"`
		}
		if err := d.get(ctx, d.apiURL+"/v1/anvil/demo/sweeps", &sweeps); err != nil {
			return err
		}
		if len(sweeps.Items) == 0 {
			return fmt.Errorf("no sweep yet")
		}
		return nil
	})
}

// requireNames waits until ids of types, places and structures have names and assets
// a value, and loads other static data meanwhile.
func (d *demoRun) requireNames(t *testing.T) {
	t.Helper()
	d.eventually("assets carry names and are worth something", func(ctx context.Context) error {
		var assets struct {
			Items []struct {
				TypeName     string `json:"type_name"`
				LocationID   int64  `json:"location_id"`
				LocationName string `json:"location_name"`
			} `json:"items"`
			TotalValue string `json:"total_value"`
		}
		if err := d.get(ctx, d.apiURL+"/v1/characters/90000003/assets?limit=200&location_flag=Hangar", &assets); err != nil {
			return err
		}
		structures := 0
		for _, a := range assets.Items {
			if a.TypeName == "" || a.LocationName == "" && a.LocationID < 1_000_000_000_000 {
				return fmt.Errorf("there is an asset without a name: %+v", a)
			}
			if a.LocationID >= 1_000_000_000_000 && a.LocationName != "" {
				structures++
			}
		}
		if len(assets.Items) == 0 || structures == 0 || assets.TotalValue == "" {
			return fmt.Errorf("%d assets worth %q, %d of them in structures with names", len(assets.Items), assets.TotalValue, structures)
		}
		return nil
	})
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "races.jsonl"), []byte(`{"_key":1,"name":{"de":"Caldari","en":"Caldari, loaded"}}`), 0o600))
	require.Contains(t, d.run("universe", "load", folder, "--output", "json"), `"changed": 1`)
	status := d.run("universe")
	require.Regexp(t, `race +static +1\n`, status)
	require.Regexp(t, `type +builtin +24396\n`, status)
	require.Regexp(t, `prices: confirmed .* ago`, status)
	_, stderr, exit, err := runProgram(t.Context(), d.binary, d.env, "universe", "load", filepath.Join(folder, "nothing"))
	require.NoError(t, err)
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "give a folder, a zip or the URL of a zip")
}

// entries counts journal entries by the sums of the API.
func (d *demoRun) entries(t *testing.T) int64 {
	t.Helper()
	query := url.Values{
		"from": {time.Now().AddDate(-1, 0, 0).UTC().Format(time.RFC3339)}, "to": {time.Now().AddDate(0, 0, 1).UTC().Format(time.RFC3339)}, "interval": {"year"},
	}
	var answer struct {
		Items []struct {
			Entries int64 `json:"entries"`
		} `json:"items"`
	}
	require.NoError(t, d.ask(t.Context(), http.MethodGet, d.apiURL+"/v1/analytics/wallet?"+query.Encode(), &answer))
	var n int64
	for _, i := range answer.Items {
		n += i.Entries
	}
	return n
}

// requireOnce walks through the journals of all characters by pages: no entry
// comes twice.
func (d *demoRun) requireOnce(t *testing.T) {
	t.Helper()
	var characters struct {
		Items []struct {
			ID int64 `json:"character_id"`
		} `json:"items"`
	}
	require.NoError(t, d.get(t.Context(), d.apiURL+"/v1/characters?limit=100", &characters))
	all := 0
	for _, c := range characters.Items {
		all += d.walkJournal(t, c.ID)
	}
	require.Positive(t, all)
}

// walkJournal counts the entries of a character, each of which must come once.
func (d *demoRun) walkJournal(t *testing.T, character int64) int {
	t.Helper()
	seen := map[int64]bool{}
	query := url.Values{"limit": {"500"}}
	for {
		var page struct {
			Items []struct {
				ID int64 `json:"id"`
			} `json:"items"`
			Next string `json:"next_cursor"`
		}
		require.NoError(t, d.get(t.Context(), fmt.Sprintf("%s/v1/characters/%d/wallet-journal?%s", d.apiURL, character, query.Encode()), &page))
		for _, e := range page.Items {
			require.False(t, seen[e.ID], "entry %d of character %d shows twice", e.ID, character)
			seen[e.ID] = true
		}
		if page.Next == "" {
			return len(seen)
		}
		query.Set("cursor", page.Next)
	}
}
