//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/notify"
)

// life takes one character through all that can happen to it, by the commands that
// people have.
type life struct {
	*demoRun

	t *testing.T
	// last is where the last visit has ended.
	last string
}

// muster runs a command once.
func (l *life) muster(args ...string) (stdout, stderr string, status int) {
	l.t.Helper()
	stdout, stderr, status, err := runProgram(l.t.Context(), l.binary, l.env, args...)
	require.NoError(l.t, err)
	return stdout, stderr, status
}

func (l *life) ok(args ...string) string {
	l.t.Helper()
	stdout, stderr, status := l.muster(args...)
	require.Equal(l.t, exitOK, status, "%v: %s%s", args, stdout, stderr)
	return stdout
}

// visit goes to an address like a browser, and on to where it is sent.
func (l *life) visit(address string) (status int, page string) {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, address, http.NoBody)
	require.NoError(l.t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(l.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(l.t, err)
	l.last = response.Request.URL.String()
	return response.StatusCode, string(body)
}

// register registers a character for a user; with tells what the player does.
func (l *life) register(user string, with url.Values, sections ...string) (registrationAnswer, string) {
	l.t.Helper()
	args := []string{"character", "register", "--user", user, "--no-wait", "--output", "json"}
	for _, section := range sections {
		args = append(args, "--section", section)
	}
	var begun registrationAnswer
	require.NoError(l.t, json.Unmarshal([]byte(l.ok(args...)), &begun))
	authorize, err := url.Parse(begun.AuthorizeURL)
	require.NoError(l.t, err)
	query := authorize.Query()
	maps.Copy(query, with)
	authorize.RawQuery = query.Encode()
	_, page := l.visit(authorize.String())
	var came registrationAnswer
	require.NoError(l.t, l.get(l.t.Context(), l.apiURL+"/v1/characters/registrations/"+begun.ID, &came))
	return came, page
}

func (l *life) show(id int64) (c characterDetail) {
	l.t.Helper()
	require.NoError(l.t, json.Unmarshal([]byte(l.ok("character", "show", strconv.FormatInt(id, 10), "--output", "json")), &c))
	return c
}

// journal counts the entries of a journal on its first page.
func (l *life) journal(ctx context.Context, id int64) (int, error) {
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	err := l.get(ctx, fmt.Sprintf("%s/v1/characters/%d/wallet-journal", l.apiURL, id), &page)
	return len(page.Items), err
}

func (l *life) eventuallyHasJournal(id int64) {
	l.t.Helper()
	l.eventually("the journal shows", func(ctx context.Context) error {
		n, err := l.journal(ctx, id)
		if err == nil && n == 0 {
			return fmt.Errorf("no entries yet")
		}
		return err
	})
}

const noticeSecret = "a-secret-that-signs-notices"

// listenToNotices takes what is posted and rightly signed.
func listenToNotices(t *testing.T) (told chan notify.Kind, address string) {
	t.Helper()
	told = make(chan notify.Kind, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var notice notify.Notice
		if err != nil || json.Unmarshal(body, &notice) != nil ||
			r.Header.Get(notify.HeaderSignature) != notify.Signature([]byte(noticeSecret), r.Header.Get(notify.HeaderTimestamp), body) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		told <- notice.Kind
	}))
	t.Cleanup(server.Close)
	return told, server.URL
}

func TestTheLifeOfACharacterByCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	s := oneProcess(t)
	told, hook := listenToNotices(t)
	s.env = append(s.env, "MUSTER_NOTIFY_WEBHOOK_URL="+hook, "MUSTER_NOTIFY_WEBHOOK_SECRET="+noticeSecret)
	l := &life{demoRun: startDemo(t, s, "up"), t: t}

	var all []characterLine
	require.NoError(t, json.Unmarshal([]byte(l.ok("character", "list", "--status", "active", "--output", "json")), &all))
	first, other := all[0], all[0]
	for _, c := range all {
		if *c.UserID != *first.UserID {
			other = c
		}
	}
	require.NotEqual(t, *first.UserID, *other.UserID)
	pilot := strconv.FormatInt(first.ID, 10)
	chosen := url.Values{"character_id": {pilot}}
	l.eventuallyHasJournal(first.ID)

	// Its owner comes back, with fewer sections.
	came, page := l.register(*first.UserID, chosen, "wallet", "wallet-journal")
	require.Equal(t, "renewed", came.Outcome, came.Failure)
	require.Contains(t, page, "is registered for the user")
	c := l.show(first.ID)
	require.Equal(t, "active", c.Login.State)
	require.Equal(t, []string{"esi-wallet.read_character_wallet.v1"}, c.Scopes)

	// What comes from elsewhere, or twice, is refused.
	var status int
	for _, back := range []string{l.last, l.apiURL + "/sso/callback?code=x&state=y"} {
		status, page = l.visit(back)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, page, "not known, was used already, or is too old")
	}
	came, page = l.register(*first.UserID, url.Values{"decline": {"1"}})
	require.Equal(t, "failed", came.Status)
	require.Contains(t, page, "declined")

	l.ok("character", "disable", pilot, "--reason", "on leave")
	require.Equal(t, "disabled", l.show(first.ID).Status)
	_, stderr, status := l.muster("character", "update", pilot)
	require.Equal(t, exitError, status)
	require.Contains(t, stderr, "is disabled")
	l.ok("character", "enable", pilot)
	l.ok("character", "update", pilot, "--section", "wallet")
	asked := time.Now()
	l.ok("character", "reset", pilot, "--section", "wallet")
	l.eventually("the wallet is read anew", func(context.Context) error {
		for _, s := range l.show(first.ID).Sections {
			if s.Section == "wallet" && s.ValidatedAt != nil && s.ValidatedAt.After(asked) {
				return nil
			}
		}
		return errors.New("it was not yet")
	})

	// It is removed, and another user takes it.
	l.ok("character", "remove", pilot, "--reason", "gave it up")
	c = l.show(first.ID)
	require.Equal(t, "orphaned", c.Status)
	require.Equal(t, "none", c.Login.State)
	n, err := l.journal(t.Context(), first.ID)
	require.NoError(t, err)
	require.Positive(t, n, "what is known of it stays")
	came, _ = l.register(*other.UserID, chosen)
	require.Equal(t, "reclaimed", came.Outcome, came.Failure)
	require.Equal(t, *other.UserID, *l.show(first.ID).UserID)
	came, _ = l.register(*first.UserID, chosen)
	require.Equal(t, "transferred", came.Outcome, came.Failure)

	// Disabled, removed and transferred: each is told once.
	var kinds []notify.Kind
	l.eventually("three notices come", func(context.Context) error {
		select {
		case kind := <-told:
			// The demo's consortium has findings meanwhile, as it likes.
			if kind != notify.KindFindings {
				kinds = append(kinds, kind)
			}
		default:
		}
		if len(kinds) < 3 {
			return fmt.Errorf("%v", kinds)
		}
		return nil
	})
	require.Equal(t, []notify.Kind{notify.KindDisabled, notify.KindRemoved, notify.KindRemoved}, kinds)

	// It is forgotten, and begins anew.
	l.ok("character", "forget", pilot, "--reason", "asked for")
	_, stderr, status = l.muster("character", "show", pilot)
	require.Equal(t, exitError, status)
	require.Contains(t, stderr, "there is no character "+pilot)
	require.Contains(t, l.run("verify"), ", 0 differ")
	came, _ = l.register(*first.UserID, chosen)
	require.Equal(t, "registered", came.Outcome, came.Failure)
	l.eventuallyHasJournal(first.ID)
	require.Contains(t, l.run("verify"), ", 0 differ")
	l.interrupt(t)
}
