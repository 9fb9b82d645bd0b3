package web

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// anvilAPI answers as the API would, and notes what it was asked to decide.
type anvilAPI struct {
	answers map[string]string
	asked   []string
}

func (a *anvilAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/me" {
		_, _ = io.WriteString(w, `{"id": "user:u1", "user_id": "u1", "actions": ["anvil.read", "anvil.declare", "anvil.sweep"]}`)
		return
	}
	what := r.Method + " " + r.URL.RequestURI()
	if r.Method != http.MethodGet {
		body, _ := io.ReadAll(r.Body)
		a.asked = append(a.asked, what+" "+r.Header.Get("Content-Type")+" "+string(body))
	}
	text, ok := a.answers[what]
	if !ok {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		text = `{"status": 422, "title": "wrong", "detail": "no answer to ` + strings.ReplaceAll(what, `"`, "") + `"}`
	}
	_, _ = io.WriteString(w, text)
}

// anvilSite is the pages over such an API, and what one of them answers.
func anvilSite(t *testing.T, api *anvilAPI) func(method, target string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	site, err := New(Config{API: api})
	require.NoError(t, err)
	return func(method, target string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		site.Handler().ServeHTTP(w, r)
		return w
	}
}

const (
	dryPatch = "PATCH /v1/anvil/acme/declarations?dry_run=true"
	onePlan  = `{"consortium": "acme", "dry_run": true, "version": 0, "changes": [{"action": "added", "kind": "account_membership", "name": "g/a@example.com",
		"after": {"group": "g", "account": "a@example.com", "role": "MEMBER"}}]}`
)

func TestAPlanIsCarriedOutAsItWasShown(t *testing.T) {
	api := &anvilAPI{answers: map[string]string{dryPatch: onePlan, "PATCH /v1/anvil/acme/declarations?reason=why": onePlan}}
	ask := anvilSite(t, api)
	w := ask(http.MethodPost, "/anvil/acme/declared/group_account_memberships/record", url.Values{"group": {"g"}, "account": {"a@example.com"}, "role": {"MEMBER"}})
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Contains(t, w.Body.String(), "g/a@example.com")
	var dry row
	require.NoError(t, json.Unmarshal([]byte(onePlan), &dry))
	form := url.Values{"what": {"patch"}, "body": {`{"declare":{"group_account_memberships":[{"account":"a@example.com","group":"g","role":"MEMBER"}]}}`}, "seen": {planSeen(dry)}, "back": {"/anvil/acme/declared"}}

	w = ask(http.MethodPost, "/anvil/acme/apply", form)
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Contains(t, w.Body.String(), "Say why")

	form.Set("reason", "why")
	api.answers[dryPatch] = strings.Replace(onePlan, "MEMBER", "ADMIN", 1)
	w = ask(http.MethodPost, "/anvil/acme/apply", form)
	require.Equal(t, http.StatusConflict, w.Code, "somebody else was faster")
	require.Contains(t, w.Body.String(), "has changed since you saw the plan")
	require.NotContains(t, strings.Join(api.asked, "\n"), "reason=why", "nothing was carried out")

	api.answers[dryPatch] = onePlan
	w = ask(http.MethodPost, "/anvil/acme/apply", form)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, "/anvil/acme/declared?done=anvil-declared", w.Header().Get("Location"))
	require.JSONEq(t, form.Get("body"), strings.TrimPrefix(api.asked[len(api.asked)-1], "PATCH /v1/anvil/acme/declarations?reason=why application/json "))
}

func TestAnImportIsDeclaredAsItWasPlanned(t *testing.T) {
	api := &anvilAPI{answers: map[string]string{"POST /v1/anvil/acme/imports?dry_run=true&with_accounts=true": `{"changes": [
		{"action": "added", "kind": "consortium", "after": "sa@example.com"}, {"action": "added", "kind": "group", "name": "g", "after": {"name": "g", "email": "g@firecloud.org", "is_managed_by_app": true}},
		{"action": "changed", "kind": "workspace", "name": "p/w", "before": {"billing_project": "p", "name": "w", "is_locked": false}, "after": {"billing_project": "p", "name": "w", "is_locked": true}}],
		"left_out": [{"kind": "account_membership", "name": "g/x@example.com", "cause": "the account is not declared"}]}`}}
	w := anvilSite(t, api)(http.MethodPost, "/anvil/acme/import", url.Values{"with_accounts": {"true"}})
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	for _, text := range []string{
		"the account is not declared", "Locked: yes", "imported from AnVIL",
		`{&#34;declare&#34;:{&#34;managed_groups&#34;:[{&#34;email&#34;:&#34;g@firecloud.org&#34;,&#34;is_managed_by_app&#34;:true,&#34;name&#34;:&#34;g&#34;}],&#34;service_account&#34;:&#34;sa@example.com&#34;,&#34;workspaces&#34;:[{&#34;billing_project&#34;:&#34;p&#34;,&#34;is_locked&#34;:true,&#34;name&#34;:&#34;w&#34;}]}}`,
	} {
		require.Contains(t, w.Body.String(), text)
	}
}

func TestWhatWasTypedStaysAtTheForm(t *testing.T) {
	api := &anvilAPI{answers: map[string]string{"GET /v1/anvil/acme/declared": `{"workspaces": [{"billing_project": "p", "name": "w", "authorization_domains": ["g"], "app_access": "OWNER"}]}`, "GET /v1/anvil/acme/sweeps?limit=50": `{"items": []}`}}
	ask := anvilSite(t, api)
	w := ask(http.MethodPost, "/anvil/acme/declared/workspaces/record", url.Values{"billing_project": {"p"}, "name": {"w"}, "authorization_domains": {"a, b"}, "is_locked": {"true"}, "app_access": {"LIMITED"}})
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Contains(t, w.Body.String(), "no answer to PATCH")
	require.Contains(t, w.Body.String(), `value="a, b"`)
	require.Contains(t, w.Body.String(), `<option value="LIMITED" selected>`)
	require.Contains(t, api.asked[0], `{"declare":{"workspaces":[{"app_access":"LIMITED","authorization_domains":["a","b"],"billing_project":"p","is_locked":true,"is_requester_pays":false,"name":"w"}]}}`)

	w = ask(http.MethodPost, "/anvil/acme/sweeps", url.Values{"groups": {"g, h"}, "models": {"accounts"}})
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Contains(t, w.Body.String(), `value="g, h"`)
	require.Contains(t, w.Body.String(), `value="accounts" checked`)

	w = ask(http.MethodPost, "/anvil/acme/declaration", url.Values{"text": {"accounts: [\n"}})
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Contains(t, w.Body.String(), "accounts: [")
	require.Contains(t, api.asked[len(api.asked)-1], "application/yaml accounts: [")
}

func TestSingleAuditsAreDrawnWhole(t *testing.T) {
	run := func(at, model string, audited, verified int64) any {
		return map[string]any{"audited_at": at, "model": model, "audited": countOf(audited), "verified": countOf(verified), "errors": countOf(audited - verified)}
	}
	runs := row{"next_cursor": "x", "items": []any{run("2026-05-01T02:00:00Z", "accounts", 2, 1), run("2026-05-01T02:00:00Z", "workspaces", 1, 1), run("2026-05-01T01:00:00Z", "accounts", 2, 2), run("2026-05-01T00:00:00Z", "accounts", 2, 0)}}
	all := auditsIn(runs)
	require.Len(t, all, 2, "of the oldest on the page models may be missing")
	require.Equal(t, []string{"2026-05-01T01:00:00Z", "2026-05-01T02:00:00Z"}, []string{all[0].Text("start"), all[1].Text("start")})
	require.Equal(t, []string{"100.00", "66.66", "1"}, []string{all[0].Text("verified_percent_floor_2"), all[1].Text("verified_percent_floor_2"), all[1].Text("errors")})
	require.Equal(t, "0.05", percentOf(1, 1999))
}

func TestNamesOfRecordsMayHoldDots(t *testing.T) {
	outcome := row{"errors": map[string]any{"a@example.com": []any{"Not in AnVIL"}}, "unknown": map[string]any{"b@example.com": "status 500"}, "verified": []any{}}
	api := &anvilAPI{answers: map[string]string{"GET /v1/anvil/acme/audits?models=accounts": ""}}
	text, err := json.Marshal(map[string]any{"ok": false, "swept_at": nil, "result": map[string]any{"accounts": outcome}, "discrepancies": []any{}})
	require.NoError(t, err)
	api.answers["GET /v1/anvil/acme/audits?models=accounts"] = string(text)
	w := anvilSite(t, api)(http.MethodGet, "/anvil/acme/audits/accounts", nil)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	for _, said := range []string{"Not in AnVIL", "status 500", "b@example.com"} {
		require.Contains(t, w.Body.String(), said)
	}
}
