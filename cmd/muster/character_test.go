package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// characterAPI answers commands about characters as the API does.
type characterAPI struct {
	mu      sync.Mutex
	asked   []sent
	answers map[string][]string
	status  int
}

func (a *characterAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, sent{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body), r.URL.Query()})
	key := r.Method + " " + r.URL.Path
	left := a.answers[key]
	if len(left) == 0 {
		http.NotFound(w, r)
		return
	}
	if len(left) > 1 {
		a.answers[key] = left[1:]
	}
	w.WriteHeader(max(a.status, http.StatusOK))
	_, _ = io.WriteString(w, left[0])
}

func (a *characterAPI) run(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	server := httptest.NewServer(a)
	defer server.Close()
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	exit = p.run(t.Context(), append(append([]string{"character"}, args...), "--url", server.URL, "--token", "let-me-in"))
	return out.String(), errs.String(), exit
}

const (
	begunAnswer = `{"registration_id": "abc", "status": "pending", "authorize_url": "https://login.example.org/?state=x", "expires_at": "2026-09-01T12:10:00Z", "user_id": "ada", "sections": ["wallet"], "scopes": ["s"]}`
	wentWell    = `{"registration_id": "abc", "status": "completed", "expires_at": "2026-09-01T12:10:00Z", "user_id": "ada", "sections": ["wallet"], "scopes": ["s"],
		"character_id": 90000001, "character_name": "Bruce Wayne", "outcome": "registered"}`
	begin = "POST /v1/characters/registrations"
	look  = "GET /v1/characters/registrations/abc"
)

func TestRegisteringPrintsTheAddressAndWaits(t *testing.T) {
	api := &characterAPI{answers: map[string][]string{begin: {begunAnswer}, look: {begunAnswer, begunAnswer, wentWell}}}
	stdout, stderr, exit := api.run(t, "register", "--user", "ada", "--character", "90000001", "--section", "wallet", "--every", "1ms")
	require.Equal(t, exitOK, exit, stderr)
	require.Contains(t, stdout, "https://login.example.org/?state=x\n")
	require.Contains(t, stdout, "Bruce Wayne (90000001) is registered for user ada")
	require.Len(t, api.asked, 4)
	require.JSONEq(t, `{"user_id": "ada", "character_id": 90000001, "sections": ["wallet"]}`, api.asked[0].body)
	require.Equal(t, "Bearer let-me-in", api.asked[0].token)

	api = &characterAPI{answers: map[string][]string{begin: {begunAnswer}, look: {wentWell}}}
	stdout, stderr, exit = api.run(t, "register", "--user", "ada", "--output", "json")
	require.Equal(t, exitOK, exit)
	require.JSONEq(t, wentWell, stdout)
	require.Contains(t, stderr, "https://login.example.org/?state=x")

	stdout, _, exit = api.run(t, "register", "--user", "ada", "--no-wait", "--output", "json")
	require.Equal(t, exitOK, exit)
	require.JSONEq(t, begunAnswer, stdout)
}

func TestARegistrationThatFailsIsAnError(t *testing.T) {
	for answer, want := range map[string]string{
		strings.NewReplacer("completed", "failed", `"outcome": "registered"`, `"failure": "the player has declined"`).Replace(wentWell): "nothing was registered: the player has declined",
		strings.Replace(begunAnswer, "pending", "expired", 1):                                                                           "nobody has come back",
	} {
		api := &characterAPI{answers: map[string][]string{begin: {begunAnswer}, look: {answer}}}
		_, stderr, exit := api.run(t, "register", "--user", "ada")
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, want)
	}
}

func TestDecisionsOnCharactersAreSent(t *testing.T) {
	for verb, want := range map[string]string{
		"disable": "character 7 is disabled (version 3)\n", "enable": "character 7 is enabled (version 3)\n",
		"remove": "character 7 is without an owner (version 3)\n", "forget": "character 7 is forgotten (version 3)\n",
	} {
		path := "/v1/characters/7/" + verb
		api := &characterAPI{status: http.StatusCreated, answers: map[string][]string{"POST " + path: {`{"character_id": 7, "changed": true, "version": 3}`}}}
		stdout, stderr, exit := api.run(t, verb, "7", "--reason", "asked for", "--expected-version", "2")
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, want, stdout)
		require.JSONEq(t, `{"reason": "asked for"}`, api.asked[0].body)
		require.Equal(t, "2", api.asked[0].query.Get("expected_version"))
	}
	api := &characterAPI{}
	for _, verb := range []string{"disable", "remove", "forget"} {
		_, stderr, exit := api.run(t, verb, "7")
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, "--reason")
	}
	require.Empty(t, api.asked)
	api = &characterAPI{status: http.StatusConflict, answers: map[string][]string{"POST /v1/characters/7/update": {`{"detail": "character 7 is disabled"}`}}}
	_, stderr, exit := api.run(t, "update", "7")
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "character 7 is disabled")
}

func TestSectionsAreAskedForByCommand(t *testing.T) {
	for _, verb := range []string{"update", "reset"} {
		api := &characterAPI{status: http.StatusAccepted, answers: map[string][]string{"POST /v1/characters/7/" + verb: {`{"character_id": 7, "sections": ["wallet"]}`}}}
		stdout, stderr, exit := api.run(t, verb, "7", "--section", "wallet", "--output", "csv")
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, "section\nwallet\n", stdout)
		require.JSONEq(t, `{"sections": ["wallet"]}`, api.asked[0].body)
	}
}

func TestCharactersAreListedAndShown(t *testing.T) {
	const one = `{"character_id": 7, "name": "Bruce Wayne", "corporation_id": 98000001, "alliance_id": null, "user_id": "ada", "status": "active", "registered_at": "2026-09-01T12:00:00Z", "failing_sections": 1}`
	const two = `{"character_id": 8, "name": "Nobody's", "corporation_id": 98000001, "alliance_id": 9, "user_id": null, "status": "orphaned", "registered_at": "2026-09-01T12:00:00Z", "failing_sections": 0}`
	pages := func() *characterAPI {
		return &characterAPI{answers: map[string][]string{"GET /v1/characters": {`{"items": [` + one + `], "next_cursor": "n"}`, `{"items": [` + two + `]}`}}}
	}
	api := pages()
	stdout, stderr, exit := api.run(t, "list", "--user", "ada", "--status", "active", "--corporation", "98000001", "--name", "wa", "--output", "csv")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "character,name,user,status,corporation,failing,registered\n7,Bruce Wayne,ada,active,98000001,1,2026-09-01T12:00:00Z\n8,Nobody's,,orphaned,98000001,0,2026-09-01T12:00:00Z\n", stdout)
	require.Equal(t, "ada", api.asked[0].query.Get("user_id"))
	require.Equal(t, "n", api.asked[1].query.Get("cursor"))
	stdout, _, _ = pages().run(t, "list", "--output", "json")
	require.JSONEq(t, "["+one+","+two+"]", stdout)

	api = &characterAPI{answers: map[string][]string{"GET /v1/characters/7": {strings.TrimSuffix(one, "}") + `, "scopes": ["s"], "login": {"state": "parked", "reason": "EVE says so"},
		"sections": [{"section": "wallet", "status": "failing", "observed_at": null, "validated_at": "2026-09-01T12:00:00Z", "failure": {"class": "token", "message": "gone"}}]}`}}}
	stdout, stderr, exit = api.run(t, "show", "7")
	require.Equal(t, exitOK, exit, stderr)
	require.Contains(t, stdout, "Bruce Wayne (7), active, user ada, login parked: EVE says so\nscopes: s\n")
	require.Regexp(t, `wallet +failing +never +2026-09-01T12:00:00Z +token: gone`, stdout)
}
