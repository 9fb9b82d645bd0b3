package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

func TestErrorCodesBecomeStatuses(t *testing.T) {
	f := func(code event.Code, status int) {
		t.Helper()
		c := newClient(t)
		c.world.err = fmt.Errorf("reading: %w", event.Errorf(code, "what and why"))
		p := c.requireProblem(c.get("/v1/characters"), status, "urn:muster:problem:"+strings.ReplaceAll(string(code), "_", "-"))
		if status == http.StatusInternalServerError {
			require.NotContains(t, p["detail"], "what and why")
			require.Contains(t, c.log.String(), "what and why")
			require.Contains(t, c.log.String(), strings.TrimPrefix(p["instance"].(string), "urn:muster:request:"))
			return
		}
		require.Contains(t, p["detail"], "what and why")
	}
	f(event.CodeInvalid, 422)
	f(event.CodeNotFound, 404)
	f(event.CodeConflict, 409)
	f(event.CodeForbidden, 403)
	f(event.CodeUnauthenticated, 401)
	f(event.CodeUnavailable, 503)
	f(event.CodePoisoned, 500)
	f(event.CodeInternal, 500)
}

func TestWhatIsAwayTellsWhenToComeBack(t *testing.T) {
	c := newClient(t)
	c.world.err = event.Errorf(event.CodeUnavailable, "ClickHouse is away")
	a := c.get("/v1/analytics/wallet")
	c.requireProblem(a, http.StatusServiceUnavailable, "ClickHouse is away")
	require.Equal(t, "5", a.Header.Get("Retry-After"))

	c = newClient(t, func(config *api.Config) { config.Authenticator = tokens{away: true} })
	a = c.get("/v1/characters")
	c.requireProblem(a, http.StatusServiceUnavailable, "vault")
	require.Equal(t, "5", a.Header.Get("Retry-After"))
}

func TestWorkForARequestIsBounded(t *testing.T) {
	c := newClient(t, func(config *api.Config) { config.Timeout = 10 * time.Millisecond })
	c.world.block = true
	c.requireProblem(c.get("/v1/characters"), http.StatusServiceUnavailable, "longer than 10ms")
}

func TestAPanicIsOneRequestsProblem(t *testing.T) {
	c := newClient(t)
	c.world.panics = true
	a := c.get("/v1/characters")
	c.requireProblem(a, http.StatusInternalServerError, "a defect of Muster")
	require.NotContains(t, a.text, "secret")
	require.Contains(t, c.log.String(), "a defect with a secret in it")
	c.world.panics = false
	require.Equal(t, http.StatusOK, c.get("/v1/characters").StatusCode)
}

func TestListsAreReadPageByPage(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/characters?limit=1&corporation_id=5&name=ab%26c&status=active")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, postgres.CharacterFilter{CorporationID: 5, Name: "ab&c", Status: postgres.CharacterActive, Sort: postgres.SortByName, Limit: 2}, c.world.filter)
	var page api.Page[api.Character]
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	require.Len(t, page.Items, 1)
	require.NotEmpty(t, page.NextCursor)

	link := a.Header.Get("Link")
	require.True(t, strings.HasSuffix(link, `>; rel="next"`), link)
	next := strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
	c.world.characters = c.world.characters[1:]
	a = c.get(next)
	require.Equal(t, &postgres.CharacterCursor{ID: 90000001}, c.world.filter.After)
	require.Equal(t, "ab&c", c.world.filter.Name)
	require.NotContains(t, a.text, "next_cursor")
	require.Empty(t, a.Header.Get("Link"))

	c.requireProblem(c.get("/v1/characters?sort=id&cursor="+page.NextCursor), http.StatusUnprocessableEntity, "cursor")
	c.requireProblem(c.get("/v1/characters?cursor=nonsense"), http.StatusUnprocessableEntity, "cursor")
	for _, limit := range []string{"0", "1001", "-1", "x"} {
		c.requireProblem(c.get("/v1/characters?limit="+limit), http.StatusUnprocessableEntity, "limit")
	}
	c.requireProblem(c.get("/v1/characters/0"), http.StatusUnprocessableEntity, "id")
	c.requireProblem(c.get("/v1/characters/90000009"), http.StatusNotFound, "90000009")
}

func TestAnEmptyListIsAList(t *testing.T) {
	c := newClient(t)
	c.world.characters = nil
	require.JSONEq(t, `{"items": []}`, c.get("/v1/characters").text)
}

func TestCursorsOfAnyContentAreReadOrRefused(t *testing.T) {
	c := newClient(t)
	rapid.Check(t, func(rt *rapid.T) {
		a := c.get("/v1/characters?cursor=" + rapid.StringMatching(`[A-Za-z0-9_-]{1,80}`).Draw(rt, "cursor"))
		require.Contains(rt, []int{200, 422}, a.StatusCode)
	})
}

func TestListsCanBeHadAsHarmlessCSV(t *testing.T) {
	c := newClient(t)
	read := func(target string) [][]string {
		t.Helper()
		a := c.get(target, "Accept", "text/csv")
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, "text/csv", a.Header.Get("Content-Type"))
		lines, err := csv.NewReader(strings.NewReader(a.text)).ReadAll()
		require.NoError(t, err)
		return lines
	}
	require.Equal(t, [][]string{
		{"character_id", "name", "corporation_id", "alliance_id", "user_id", "status", "registered_at", "failing_sections"},
		{"90000001", "'=cmd|' /C calc'!A0", "98000001", "99000001", "u1", "active", "2026-05-01T12:00:00Z", "0"},
		{"90000002", `Bruce, "B" Wayne`, "0", "", "", "orphaned", "2026-05-01T12:00:00Z", "2"},
	}, read("/v1/characters"))

	lines := read("/v1/characters/90000001/wallet-journal")
	require.Equal(t, "id,date,ref_type,amount,balance", strings.Join(lines[0][:5], ","))
	require.Equal(t, []string{"7", "2026-05-01T12:00:00Z", "bounty_prizes", "-1234.50", "0.05"}, lines[1][:5], "an amount below zero is no formula")
	require.Contains(t, lines[1], "'+SUM(A1)")

	require.Equal(t, "-1.50", read("/v1/analytics/wallet")[1][9])
	require.Len(t, read("/v1/anvil/acme/findings"), 2)
	require.Len(t, read("/v1/anvil/acme/sweeps"), 2)
	require.Equal(t, []string{"consortium", "finding_id"}, read("/v1/findings")[0][:2])
	require.Len(t, read("/v1/projections"), 2)
	require.Len(t, read("/v1/poison"), 2)

	// What is no list stays JSON, and so do problems.
	require.Equal(t, "application/json", c.get("/v1/stats", "Accept", "text/csv").Header.Get("Content-Type"))
	c.requireProblem(c.get("/v1/characters?limit=0", "Accept", "text/csv"), http.StatusUnprocessableEntity, "limit")
	c.world.err = event.Errorf(event.CodeConflict, "no")
	c.requireProblem(c.get("/v1/characters", "Accept", "text/csv"), http.StatusConflict, "no")
}

func TestSingleThingsHaveVersions(t *testing.T) {
	c := newClient(t)
	for _, target := range []string{"/v1/characters/90000001", "/v1/characters/90000001/location", "/v1/characters/90000001/wallet", "/v1/anvil/acme/audits", "/v1/anvil/acme/findings/" + findingID.String(), "/v1/findings/" + findingID.String(), "/v1/findings/" + findingID.String() + "/explain"} {
		a := c.get(target)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		etag := a.Header.Get("ETag")
		require.Regexp(t, `^"[\w-]{16}"$`, etag)
		for _, known := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
			a := c.get(target, "If-None-Match", known)
			require.Equal(t, http.StatusNotModified, a.StatusCode)
			require.Empty(t, a.text)
			require.Equal(t, etag, a.Header.Get("ETag"))
		}
		require.Equal(t, http.StatusOK, c.get(target, "If-None-Match", `"other"`).StatusCode)
	}
	before := c.get("/v1/characters/90000001").Header.Get("ETag")
	c.world.characters[0].Name = "Another"
	require.NotEqual(t, before, c.get("/v1/characters/90000001").Header.Get("ETag"))
}

func TestSectionsKeepESIsWordsAndMoneyIsText(t *testing.T) {
	c := newClient(t)
	require.JSONEq(t, `{"character_id": 90000001, "section": "location", "observed_at": "2026-05-01T12:00:00Z", "validated_at": "2026-05-01T12:00:00Z",
		"status": "ok", "value": {"solar_system_id": 30000142, "odd": 1.50}}`, c.get("/v1/characters/90000001/location").text)
	require.Contains(t, c.get("/v1/characters/90000001/location").text, `"odd":1.50`)
	require.Contains(t, c.get("/v1/characters/90000001/wallet").text, `"value":{"balance":"-29500.01"}`)

	a := c.get("/v1/characters/90000001/wallet-journal?from=2026-01-01T00:00:00%2B02:00&ref_type=a,b&limit=5")
	require.Contains(t, a.text, `"section":"wallet-journal"`)
	require.Contains(t, a.text, `"amount":"-1234.50","balance":"0.05"`)
	require.Equal(t, []string{"a", "b"}, c.world.journal.RefTypes)
	require.True(t, c.world.journal.From.Equal(time.Date(2025, 12, 31, 22, 0, 0, 0, time.UTC)))
	require.Equal(t, 6, c.world.journal.Limit)

	c.world.section = postgres.Section{SectionState: postgres.SectionState{Status: postgres.SectionNotYet}}
	require.JSONEq(t, `{"character_id": 90000001, "section": "details", "observed_at": null, "validated_at": null, "status": "not_yet", "value": null}`,
		c.get("/v1/characters/90000001/details").text)
}

func TestWalletAnalyticsAreAskedAsSaid(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/analytics/wallet")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, clickhouse.WalletQuery{From: moment.Add(-30 * 24 * time.Hour), To: moment, Interval: clickhouse.Day, Zone: time.UTC}, c.world.wallet)

	a = c.get("/v1/analytics/wallet?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&interval=quarter&tz=Europe/Berlin&group_by=direction,character&character_id=1,2&corporation_id=3&ref_type=x")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	q := c.world.wallet
	require.Equal(t, "Europe/Berlin", q.Zone.String())
	require.Equal(t, clickhouse.Quarter, q.Interval)
	require.Equal(t, []clickhouse.Dimension{clickhouse.ByDirection, clickhouse.ByCharacter}, q.GroupBy)
	require.Equal(t, []int64{1, 2}, q.CharacterIDs)
	require.Equal(t, []int64{3}, q.CorporationIDs)
	require.JSONEq(t, `{"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "interval": "quarter", "tz": "Europe/Berlin", "group_by": ["direction", "character"],
		"items": [{"start": "2026-05-01T12:00:00Z", "end": "2026-05-01T13:00:00Z", "character_id": 5, "direction": "income",
			"income": "1.00", "expense": "2.50", "net": "-1.50", "tax": "0.00", "entries": 3, "closing_balance": "-0.05"}]}`, a.text)

	for query, why := range map[string]string{
		"tz=Moon/Crater": "IANA", "tz=Local": "IANA", "tz=../../etc/passwd": "IANA", "interval=fortnight": "interval", "group_by=moon": "group_by", "from=yesterday": "from", "character_id=x": "character_id",
	} {
		c.requireProblem(c.get("/v1/analytics/wallet?"+query), http.StatusUnprocessableEntity, why)
	}
}

func TestAnImportSaysWhatWasNotTaken(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/import", bodies["import-organisation"])
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, "token:admin", c.world.actor)
	require.Len(t, c.world.imported.Characters, 1)
	var got api.Imported
	require.NoError(t, json.Unmarshal([]byte(a.text), &got))
	require.Equal(t, 1, got.Users)
	require.Len(t, got.Rejections, 2)
	require.Equal(t, 2, got.Rejections[0].Line)
	require.Equal(t, "character 5", got.Rejections[1].Record)

	c.world.shown = false
	require.Equal(t, http.StatusAccepted, c.do(http.MethodPost, "/v1/import", bodies["import-organisation"]).StatusCode)
	c.requireProblem(c.do(http.MethodPost, "/v1/import", "{\n\n oops"), http.StatusUnprocessableEntity, "line 3")
	c.requireProblem(c.do(http.MethodPost, "/v1/import", ""), http.StatusBadRequest, "body")
}

func TestBodiesAreBounded(t *testing.T) {
	c := newClient(t)
	c.requireProblem(c.do(http.MethodPost, "/v1/poison", `{"reason": "`+strings.Repeat("x", 2<<20)+`"}`), http.StatusRequestEntityTooLarge, "body")
}

func TestSingleRecordsAreDeclaredAndWithdrawn(t *testing.T) {
	c := newClient(t)
	const target = "/v1/anvil/acme/declarations"
	a := c.do(http.MethodPatch, target+"?dry_run=true&reason=because&expected_version=3", bodies["patch-declaration"], "Content-Type", "application/json")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.True(t, c.world.patched.DryRun)
	require.Equal(t, int64(3), *c.world.patched.ExpectedVersion)
	require.Equal(t, "because", c.world.patched.Reason)
	require.Equal(t, "token:admin", c.world.patched.Actor)
	require.Equal(t, "acme", c.world.patched.Consortium)
	require.Contains(t, a.text, `{"action":"withdrawn","kind":"account","name":"old@example.com","before":{`)
	require.Contains(t, a.text, `{"action":"added","kind":"account","name":"a@example.com","after":{"email":"a@example.com","is_service_account":false,"status":"active"}}`)

	a = c.do(http.MethodPatch, target, `{"declare": {"service_account": "sa@example.com"}}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Contains(t, a.text, `"version":5,"changes":[]`)
	require.Nil(t, c.world.patched.ExpectedVersion)

	for body, want := range map[string]string{
		"declare:\n  accounts: []\n":       "line 1: not JSON",
		`{}`:                               "say what to declare or to withdraw",
		`{"accounts": []}`:                 `unknown field \"accounts\"`,
		"{\"declare\":\n{\"acounts\": 1}}": `declare: line 2: unknown field \"acounts\"`,
		`{"declare": {"group_account_memberships": [{"group": "g", "account": "old@example.com"}]}}`: `group \"g\" is not declared in managed_groups`,
	} {
		c.requireProblem(c.do(http.MethodPatch, target, body), http.StatusUnprocessableEntity, want)
	}
	c.requireProblem(c.do(http.MethodPatch, target, `{"withdraw": {"accounts": [{"email": "b@example.com"}]}}`), http.StatusConflict, `account \"b@example.com\" is not declared`)
}

func TestDeclarationsAndSweeps(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/anvil/acme/declarations?dry_run=true&reason=because&expected_version=3", bodies["declare-consortium"], "Content-Type", "application/yaml")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.True(t, c.world.declared.DryRun)
	require.Equal(t, int64(3), *c.world.declared.ExpectedVersion)
	require.Equal(t, "because", c.world.declared.Reason)
	require.Equal(t, "token:admin", c.world.declared.Actor)
	require.Contains(t, a.text, `{"action":"added","kind":"account","name":"a@example.com","after":{"email":"a@example.com"`)

	a = c.do(http.MethodPost, "/v1/anvil/acme/declarations", `{"service_account": "sa@example.com"}`, "Content-Type", "text/plain")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Nil(t, c.world.declared.ExpectedVersion)
	c.requireProblem(c.do(http.MethodPost, "/v1/anvil/acme/declarations", "service_account: x\nno_such_list: []\n"), http.StatusUnprocessableEntity, "no_such_list")

	a = c.do(http.MethodPost, "/v1/anvil/acme/sweeps?models=managed_group_memberships", "")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, []anvil.Model{anvil.ModelManagedGroups}, c.world.options.Models)
	c.world.shown = false
	a = c.do(http.MethodPost, "/v1/anvil/acme/sweeps", "")
	require.Equal(t, http.StatusAccepted, a.StatusCode)
	require.Contains(t, a.text, `"completed_at":null`)
	c.requireProblem(c.do(http.MethodPost, "/v1/anvil/acme/sweeps?models=moon", ""), http.StatusUnprocessableEntity, "moon")
}

func TestSweepsOfSingleGroupsAndWorkspaces(t *testing.T) {
	c := newClient(t)
	c.world.sweeps[0].Completed.Scope = anvil.Scope{Groups: []string{"g", "h"}, Workspaces: []string{"bp/ws"}}
	a := c.do(http.MethodPost, "/v1/anvil/acme/sweeps?groups=h,g&workspaces=bp/ws", "")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, anvil.Scope{Groups: []string{"g", "h"}, Workspaces: []string{"bp/ws"}}, c.world.scope)
	require.Contains(t, a.text, `"groups":["g","h"],"workspaces":["bp/ws"]`)
	require.Contains(t, c.get("/v1/anvil/acme/sweeps").text, `"groups":["g","h"],"workspaces":["bp/ws"]`)

	for query, want := range map[string]string{
		"workspaces=ws":                "write it as billing-project/name",
		"groups=a/b":                   `group \"a/b\"`,
		"models=accounts&groups=g":     "leave one out",
		"models=accounts&workspaces=a": "write it as billing-project/name",
	} {
		c.requireProblem(c.do(http.MethodPost, "/v1/anvil/acme/sweeps?"+query, ""), http.StatusUnprocessableEntity, want)
	}
}

func TestAuditsHaveTheResultsOfThePeer(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/anvil/acme/audits?models=managed_groups")
	require.JSONEq(t, `{"consortium": "acme", "ok": false, "sweep_id": "`+sweepID.String()+`", "swept_at": "2026-05-01T12:00:01Z", "result": {
		"managed_groups": {"ok": false, "verified": [], "errors": {}, "not_in_app": [], "ignored": [], "ignored_unmatched": [], "beyond": {}, "unknown": {"*": "not observed", "g": "not observed"}},
		"managed_group_memberships": {}}, "discrepancies": []}`, a.text)
	a = c.get("/v1/anvil/acme/audits?compat=true&models=accounts")
	require.True(t, c.world.options.Compat)
	require.Contains(t, a.text, `"result":{"accounts":{"ok":true`)
	c.requireProblem(c.get("/v1/anvil/none/audits"), http.StatusNotFound, "none")
	c.requireProblem(c.get("/v1/anvil/acme/findings/no-uuid"), http.StatusUnprocessableEntity, "uuid")
	c.requireProblem(c.get("/v1/findings/no-uuid/explain"), http.StatusUnprocessableEntity, "uuid")
	c.requireProblem(c.get("/v1/findings/"+sweepID.String()+"/explain"), http.StatusNotFound, sweepID.String())
	require.Contains(t, c.get("/v1/findings?state=resolved&model=accounts,workspaces&severity=high").text, `"consortium":"acme"`)
	require.Equal(t, postgres.FindingFilter{State: postgres.FindingsResolved, Models: []anvil.Model{anvil.ModelAccounts, anvil.ModelWorkspaces}, Severity: anvil.SeverityHigh, Limit: 101}, c.world.found)
}

func TestAFindingIsAcceptedForAReason(t *testing.T) {
	c := newClient(t)
	c.world.shown = true
	target := "/v1/anvil/acme/findings/" + findingID.String() + "/acceptance"
	a := c.do(http.MethodPost, target, `{"reason": "a guest of the year", "until": "2027-01-01T01:00:00+01:00"}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, api.AcceptInput{
		Actor: "token:admin", Consortium: "acme", FindingID: findingID, Reason: "a guest of the year", Until: c.world.acceptance.Until,
	}, c.world.acceptance)
	require.True(t, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).Equal(c.world.acceptance.Until))
	c.requireProblem(c.do(http.MethodPost, target, `{}`), http.StatusUnprocessableEntity, "reason")
	a = c.do(http.MethodDelete, target+"?reason=over", "")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.True(t, c.world.acceptance.Withdraw)
}

func TestPoisonIsRetriedOrSkippedForAReason(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/poison", bodies["decide-poison"])
	require.Equal(t, http.StatusAccepted, a.StatusCode, a.text)
	require.Equal(t, "retry wallet t/1@9", c.world.decision)
	skip := `{"action": "skip", "projection": "wallet", "topic": "t", "partition": 1, "offset": 9%s}`
	c.requireProblem(c.do(http.MethodPost, "/v1/poison", fmt.Sprintf(skip, "")), http.StatusUnprocessableEntity, "say why")
	c.do(http.MethodPost, "/v1/poison", fmt.Sprintf(skip, `, "reason": "a test"`))
	require.Equal(t, "skip wallet t/1@9 token:admin a test", c.world.decision)
}

func TestARebuildIsBegunInTheNameOfWhoAskedForIt(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/projections/wallet/rebuilds", "")
	require.Equal(t, http.StatusAccepted, a.StatusCode, a.text)
	require.Equal(t, "rebuild wallet by token:admin", c.world.decision)
	c.world.err = event.Errorf(event.CodeConflict, "a rebuild is under way")
	c.requireProblem(c.do(http.MethodPost, "/v1/projections/wallet/rebuilds", ""), http.StatusConflict, "under way")
}

func TestGuessingTokensIsSlowedDownForTheGuesserAlone(t *testing.T) {
	now := moment
	c := newClient(t, func(config *api.Config) { config.Now = func() time.Time { return now } })
	for range 10 {
		c.requireProblem(c.get("/v1/stats", "Authorization", "Bearer guess"), http.StatusUnauthorized, "token")
	}
	a := c.get("/v1/stats", "Authorization", "Bearer guess")
	c.requireProblem(a, http.StatusTooManyRequests, "too many")
	require.Equal(t, "60", a.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, c.get("/v1/stats").StatusCode, "a good token is never kept waiting")
	now = now.Add(time.Minute)
	c.requireProblem(c.get("/v1/stats", "Authorization", "Bearer guess"), http.StatusUnauthorized, "token")
}

func TestTheLogHoldsNoTokensAndNoAddresses(t *testing.T) {
	c := newClient(t)
	c.get("/v1/anvil/somebody@example.com/findings?severity=high")
	c.get("/v1/characters?user_id=jane@example.com")
	c.get("/v1/characters?user_id=jane@example.com", "Authorization", "Bearer a-wrong-secret")
	log := c.log.String()
	require.Contains(t, log, `"route":"/v1/anvil/{consortium}/findings"`)
	require.Contains(t, log, `"status":401`)
	require.Contains(t, log, `"principal":"token:admin"`)
	for _, secret := range []string{token, "a-wrong-secret", "@", "192.0.2.1"} {
		require.NotContains(t, log, secret)
	}
}

func TestMetricsNameRoutesNotPaths(t *testing.T) {
	c := newClient(t)
	c.get("/v1/characters/90000001")
	c.do("BREW", "/v1/characters/90000001", "")
	text := c.get("/metrics", "Authorization", "").text
	require.Contains(t, text, `muster_api_request_seconds_count{method="GET",route="/v1/characters/{id}",status="200"} 1`)
	require.Contains(t, text, `method="other"`)
	require.NotContains(t, text, "90000001")
}

func TestMetricsAreLeftOutWhenTheyAreShownElsewhere(t *testing.T) {
	c := newClient(t, func(config *api.Config) { config.Gatherer = nil })
	require.Equal(t, http.StatusNotFound, c.get("/metrics", "Authorization", "").StatusCode)
}

func TestReadinessGivesReasons(t *testing.T) {
	var err error
	c := newClient(t, func(config *api.Config) {
		config.Checks = []api.Check{
			{Name: "postgres", Ready: func(context.Context) error { return nil }},
			{Name: "kafka", Ready: func(context.Context) error { return err }},
			{Name: "clickhouse", Ready: func(ctx context.Context) error { return ctx.Err() }},
		}
	})
	a := c.get("/readyz", "Authorization", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.JSONEq(t, `{"ready": true, "checks": {"postgres": "ok", "kafka": "ok", "clickhouse": "ok"}}`, a.text)
	err = errors.New("no broker answers")
	a = c.get("/readyz", "Authorization", "")
	require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
	require.JSONEq(t, `{"ready": false, "checks": {"postgres": "ok", "kafka": "no broker answers", "clickhouse": "ok"}}`, a.text)
	require.Equal(t, http.StatusOK, c.get("/livez", "Authorization", "").StatusCode)
}

func TestTheDocumentationLoadsNothingFromOthers(t *testing.T) {
	c := newClient(t)
	a := c.get("/docs", "Authorization", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Contains(t, a.Header.Get("Content-Security-Policy"), "default-src 'none'")
	for _, file := range []string{"/docs", "/docs/docs.js", "/docs/docs.css"} {
		a := c.get(file, "Authorization", "")
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.NotContains(t, a.text, "://", file)
	}
}

func TestAServerWithoutWhatItNeedsIsRefused(t *testing.T) {
	_, err := api.New(api.Config{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))

	c := newClient(t)
	registry := prometheus.NewRegistry()
	config := api.Config{
		Authenticator: tokens{}, SignIns: c.world, Tokens: c.world, Characters: c.world, Compliance: c.world, Finder: c.world, Searcher: c.world, Figures: c.world, Wallets: c.world, Facts: trends{}, FindingTrends: trends{}, RecordFigures: trends{}, OrganisationTrends: trends{}, AnVILTrends: trends{}, Prices: trends{}, Exports: c.world, Importer: c.world, Keeper: c.world, Users: c.world, RoleKeeper: c.world, SkillSets: c.world, SkillSetDefiner: c.world, Consortia: consortia{c.world}, Past: c.world, Events: indexed{c.world}, Records: indexed{c.world}, Explainer: explaining{c.world}, Declarer: c.world, ConsortiumImporter: c.world,
		Sweeper: c.world, Operations: c.world, Rebuilder: c.world, Retention: c.world, Looks: accessLog{c.world}, AccessLog: accessLog{c.world}, Sharer: c.world, Links: c.world, Gatherer: registry, Registerer: registry,
	}
	_, err = api.New(config)
	require.NoError(t, err)
	_, err = api.New(config)
	require.ErrorContains(t, err, "metrics")
}

func TestTheServerHasTimeLimitsAndStopsCleanly(t *testing.T) {
	c := newClient(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := c.server.HTTPServer(t.Context(), listener.Addr().String())
	require.NotZero(t, server.ReadHeaderTimeout)
	require.NotZero(t, server.ReadTimeout)
	require.NotZero(t, server.WriteTimeout)
	require.NotZero(t, server.IdleTimeout)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/v1/characters", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	transport := &http.Transport{}
	response, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "private, no-cache", response.Header.Get("Cache-Control"))
	transport.CloseIdleConnections()

	require.NoError(t, server.Shutdown(t.Context()))
	require.ErrorIs(t, <-done, http.ErrServerClosed)
}
