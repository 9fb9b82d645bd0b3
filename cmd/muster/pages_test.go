//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// pageTimeout bounds how long a page may take on a busy machine.
const pageTimeout = 3 * time.Minute

// TestPages goes through the pages as people do, in a browser, with the whole demo running.
func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything and a browser")
	}
	requireEngines(t)
	p := startPages(t)
	// The first one finds an organisation without any skill set.
	t.Run("organisation", p.organisation)
	t.Run("characters", p.characters)
	t.Run("operations", p.operations)
	t.Run("anvil", p.anvil)
}

// site is a running demo and a browser that looks at it.
type site struct {
	*life

	chromium, axe string
}

// startPages starts the demo and a browser. It waits until everything was read once.
func startPages(t *testing.T) *site {
	t.Helper()
	chromium := chromiumOr(t)
	s := oneProcess(t, "MUSTER_RATE_LIMIT=-1")
	p := &site{life: &life{demoRun: startDemo(t, s, "up"), t: t}, chromium: chromium}
	axe, err := os.ReadFile(filepath.Join("..", "..", "query", "web", "assets", "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err, "the accessibility checks are fetched by `make assets`")
	p.axe = string(axe)

	return p
}

// chromiumOr finds the browser, or skips the test unless everything must be there.
func chromiumOr(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("MUSTER_REQUIRE_ENGINES") != "" {
		t.Fatal("chromium is missing: install it")
	}
	t.Skip("chromium is missing")
	return ""
}

// ask sends a request to the API as the administrator.
func (p *site) ask(t *testing.T, method, path, body string) (status int, text string) {
	t.Helper()
	b := newBrowser(t, p.apiURL)
	status, text, _ = b.ask(method, p.apiURL+path, body, "Authorization", "Bearer "+strings.TrimSpace(readToken(t, p.stack)))
	return status, text
}

// read asks the API for something as the administrator.
func (p *site) read(t *testing.T, path string, into any) {
	t.Helper()
	status, text := p.ask(t, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, json.Unmarshal([]byte(text), into))
}

// grant lets a user do something, by a role of its own.
func (p *site) grant(t *testing.T, user, role string, permissions ...string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"permissions": permissions})
	require.NoError(t, err)
	status, text := p.ask(t, http.MethodPut, "/v1/roles/"+url.PathEscape(role), string(body))
	require.Less(t, status, 300, text)
	// A role that was only accepted so far can be granted a moment later.
	p.eventually("the role can be granted", func(context.Context) error {
		if status, text = p.ask(t, http.MethodPut, "/v1/users/"+url.PathEscape(user)+"/roles/"+url.PathEscape(role), ""); status >= 300 {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
}

// person is somebody with a browser of his own.
type person struct {
	*site
	t      *testing.T
	window context.Context

	mu       sync.Mutex
	faults   []string
	statuses map[string]int64
}

// nobody starts the browser of somebody who has not signed in.
func (p *site) nobody(t *testing.T) *person {
	t.Helper()
	profile, err := os.MkdirTemp("", "muster-browser-") //nolint:usetesting // removed below: that of the test fails while the browser still writes
	require.NoError(t, err)
	// A browser that is stopped writes to its profile for a moment.
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.RemoveAll(profile) == nil }, pageTimeout, 100*time.Millisecond)
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(p.chromium), chromedp.NoSandbox, chromedp.WindowSize(1280, 900), chromedp.UserDataDir(profile),
		// The browser asks nobody but Muster.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-US"))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	window, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	who := &person{site: p, t: t, window: window, statuses: map[string]int64{}}
	chromedp.ListenTarget(window, func(event any) {
		who.mu.Lock()
		defer who.mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			// The browser itself logs each answer that is an error; which page has which is checked apart.
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "the server responded with a status") {
				who.faults = append(who.faults, e.Entry.Text+" "+e.Entry.URL)
			}
		case *cdpruntime.EventExceptionThrown:
			who.faults = append(who.faults, e.ExceptionDetails.Error())
		case *network.EventResponseReceived:
			if e.Type == network.ResourceTypeDocument {
				who.statuses[e.Response.URL] = e.Response.Status
			}
		}
	})
	who.do(log.Enable(), network.Enable())
	return who
}

// as starts the browser of somebody who signs in with a character.
func (p *site) as(t *testing.T, character int64) *person {
	t.Helper()
	b := newBrowser(t, p.apiURL)
	status, text, _ := b.signIn(character, "/v1/me")
	require.Equal(t, http.StatusOK, status, text)
	home, err := url.Parse(p.apiURL)
	require.NoError(t, err)
	who := p.nobody(t)
	for _, cookie := range b.http.Jar.Cookies(home) {
		who.do(chromedp.ActionFunc(func(ctx context.Context) error {
			return network.SetCookie(cookie.Name, cookie.Value).WithURL(p.apiURL).WithHTTPOnly(true).Do(ctx)
		}))
	}
	return who
}

// do carries actions out in the window.
func (w *person) do(actions ...chromedp.Action) {
	w.t.Helper()
	// The first use of a window must not be bounded: its end would be the window's.
	require.NoError(w.t, chromedp.Run(w.window))
	ctx, cancel := context.WithTimeout(w.window, pageTimeout)
	defer cancel()
	require.NoError(w.t, chromedp.Run(ctx, actions...))
}

// open goes to a page that must be there, and looks at it as [person.look] does.
func (w *person) open(path string) string {
	w.t.Helper()
	return w.openTo(http.StatusOK, path)
}

// openTo goes to a page that must have a status.
func (w *person) openTo(status int64, path string) string {
	w.t.Helper()
	w.do(chromedp.Navigate(w.apiURL+path), chromedp.WaitReady("main"))
	var at string
	w.do(chromedp.Location(&at))
	w.mu.Lock()
	got, ok := w.statuses[at]
	w.mu.Unlock()
	require.True(w.t, ok, "no answer was seen of %s", at)
	require.Equal(w.t, status, got, "status of %s", path)
	return w.look()
}

// look reads what the page says, and checks what holds for every page: no error on the
// console, nothing that the policy about contents has stopped, nothing that axe finds serious, no
// text that the catalogue lacks, nothing wider than the window.
func (w *person) look() string {
	w.t.Helper()
	var text, at string
	var wide bool
	var findings []struct {
		ID     string `json:"id"`
		Impact string `json:"impact"`
		Help   string `json:"help"`
		Nodes  []struct {
			HTML string `json:"html"`
		} `json:"nodes"`
	}
	w.do(
		chromedp.Location(&at), chromedp.Text("body", &text, chromedp.ByQuery),
		chromedp.Evaluate(`document.documentElement.scrollWidth > window.innerWidth + 1`, &wide),
		chromedp.Evaluate(w.axe+"; true", nil),
		chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical"))`, &findings,
			func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams { return p.WithAwaitPromise(true) }),
	)
	w.mu.Lock()
	faults := w.faults
	w.faults = nil
	w.mu.Unlock()
	require.Empty(w.t, faults, "the console of %s", at)
	require.Empty(w.t, findings, "accessibility of %s", at)
	require.False(w.t, wide, "%s is wider than the window", at)
	for _, prefix := range []string{"column.", "filter.", "list.", "section.", "nav.", "word.", "done."} {
		for word := range strings.FieldsSeq(text) {
			require.False(w.t, strings.HasPrefix(word, prefix) && len(word) > len(prefix), "%s shows the text %q, which the catalogue lacks", at, word)
		}
	}
	return text
}

// follow clicks on something that leads to another page, and looks at that one.
func (w *person) follow(selector string) string {
	w.t.Helper()
	w.do(chromedp.Evaluate(`window.stale = true`, nil), chromedp.Click(selector, chromedp.ByQuery))
	require.Eventually(w.t, func() bool {
		ctx, cancel := context.WithTimeout(w.window, pageTimeout)
		defer cancel()
		var there bool
		// The page that goes may take the answer along.
		err := chromedp.Run(ctx, chromedp.Evaluate(`!window.stale && document.readyState === "complete"`, &there))
		return err == nil && there
	}, pageTimeout, 50*time.Millisecond)
	w.do(chromedp.WaitReady("main"))
	return w.look()
}

// fill types into a field, in place of what is in it.
func (w *person) fill(selector, text string) {
	w.t.Helper()
	w.do(chromedp.WaitVisible(selector, chromedp.ByQuery), chromedp.Evaluate(`document.querySelector(`+strconv.Quote(selector)+`).value = ""`, nil))
	if text != "" {
		w.do(chromedp.SendKeys(selector, text, chromedp.ByQuery))
	}
}

// choose picks an option, as a person does: lists that are filtered by it follow at once.
func (w *person) choose(selector, value string) {
	w.t.Helper()
	w.do(chromedp.SetValue(selector, value, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector(`+strconv.Quote(selector)+`).dispatchEvent(new Event("change", {bubbles: true}))`, nil))
}

// shows waits until something of the page has a text.
func (w *person) shows(selector, text string) {
	w.t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(w.t, err)
	w.do(chromedp.Poll(`Array.from(document.querySelectorAll(`+strconv.Quote(selector)+`)).some(e => e.textContent.includes(`+string(quoted)+`))`, nil, chromedp.WithPollingTimeout(0)))
}

// count is how many of something the page has.
func (w *person) count(selector string) int {
	w.t.Helper()
	var n int
	w.do(chromedp.Evaluate(`document.querySelectorAll(`+strconv.Quote(selector)+`).length`, &n))
	return n
}

// size changes the window's, to that of a phone for example.
func (w *person) size(width, height int64) {
	w.t.Helper()
	w.do(chromedp.EmulateViewport(width, height))
}

// shot keeps a picture of the page for the documentation, where MUSTER_SCREENSHOTS says.
func (w *person) shot(name string) {
	w.t.Helper()
	folder := os.Getenv("MUSTER_SCREENSHOTS")
	if folder == "" {
		return
	}
	var png []byte
	w.do(chromedp.CaptureScreenshot(&png))
	require.NoError(w.t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}
