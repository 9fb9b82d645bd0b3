package main

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const explained = `{"finding": {"consortium": "primed"}, "narrative": ["It was so.", "Then it was not."],
	"timeline": [
		{"at": "2026-05-01T12:00:00Z", "side": "declared", "kind": "account", "name": "a@example.com", "actor": "ada", "reason": "joined", "what": "first: status: active",
			"agreed": "unknown", "event_id": "11111111-0000-0000-0000-000000000000", "topic": "muster.anvil.v1", "partition": 2, "offset": 7},
		{"at": "2026-05-01T13:00:00Z", "what": "Not in AnVIL", "mark": "opened", "agreed": "no", "event_id": "22222222-0000-0000-0000-000000000000", "topic": "muster.anvil.v1", "partition": 2, "offset": 9}],
	"timeline_omitted": 4,
	"touched": [{"at": "2026-05-01T13:00:00Z", "side": "observed", "kind": "account", "name": "b@example.com", "change": "no such account"}], "touched_count": 70,
	"evidence": [{"event_id": "11111111-0000-0000-0000-000000000000", "type": "muster.anvil.account.declared.v1", "topic": "muster.anvil.v1", "partition": 2, "offset": 7}],
	"verified": true, "checks": [{"what": "the event is in the log", "verified": true}], "unreadable": 0}`

const findingArg = "0f5c2d0e-6d1f-5b7e-9a53-2f4d3c1b7a10"

func TestAFindingIsExplainedByCommand(t *testing.T) {
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, explained, "explain", findingArg)
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/findings/"+findingArg+"/explain", asked[0].path)
	for _, text := range []string{
		"It was so.\nThen it was not.\n", "(4 older events are left out)", "account a@example.com", "OPENED", "muster.anvil.v1/2@7", "ada", "joined",
		"Changed together with it: 70 records", "account b@example.com", "Evidence", "muster.anvil.account.declared.v1", "verified: the read model and the log agree in 1 points",
	} {
		require.Contains(t, stdout, text)
	}

	asked, stdout, _, exit = declaring(t, http.StatusOK, explained, "explain", findingArg, "--consortium", "a b", "--output", "json")
	require.Equal(t, exitOK, exit)
	require.Equal(t, "/v1/anvil/a%20b/findings/"+findingArg+"/explain", asked[0].path)
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Contains(t, got, "finding", "all that the API says is printed")

	_, stdout, _, exit = declaring(t, http.StatusOK, explained, "explain", findingArg, "--output", "csv")
	require.Equal(t, exitOK, exit)
	lines, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 3)
	require.Equal(t, []string{"2026-05-01T13:00:00Z", "OPENED", "", "", "Not in AnVIL", "", "no", "22222222-0000-0000-0000-000000000000", "muster.anvil.v1/2@9"}, lines[2])
}

func TestAReadModelThatDiffersFromTheLogEndsWithOne(t *testing.T) {
	differs := strings.Replace(explained, `"verified": true, "checks": [{"what": "the event is in the log", "verified": true}], "unreadable": 0`,
		`"verified": false, "checks": [{"what": "the event is in the log", "verified": false, "differs": "the log has no event"}], "unreadable": 3`, 1)
	_, stdout, _, exit := declaring(t, http.StatusOK, differs, "explain", findingArg)
	require.Equal(t, exitFindings, exit)
	require.Contains(t, stdout, "NOT verified")
	require.Contains(t, stdout, "the event is in the log: the log has no event")
	require.Contains(t, stdout, "3 events of the consortium cannot be read")

	_, _, stderr, exit := declaring(t, http.StatusNotFound, `{"detail": "there is no finding"}`, "explain", findingArg)
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "there is no finding")
}

const stepLine = `{"at": "2026-05-01T12:00:00Z", "kind": "gone", "section": "assets", "words": "=It went.", "actor": "ada", ` + lies + `}`

func TestDiscrepanciesOfCharactersAreExplainedByCommand(t *testing.T) {
	f := func(answer string, wantExit int, path string, query map[string]string, want []string, args ...string) {
		t.Helper()
		asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, append([]string{"explain"}, args...)...)
		require.Equal(t, wantExit, exit, stderr)
		require.Equal(t, path, asked[0].path)
		for name, value := range query {
			require.Equal(t, value, asked[0].query.Get(name))
		}
		for _, text := range append(want, "In short.", "(4 in the middle are left out)", "=It went.", "muster.eve.v1/3@41", "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11") {
			require.Contains(t, stdout, text)
		}
		_, stdout, _, exit = declaring(t, http.StatusOK, answer, append(append([]string{"explain"}, args...), "--output", "json")...)
		require.Equal(t, wantExit, exit)
		require.JSONEq(t, answer, stdout)
		_, stdout, _, exit = declaring(t, http.StatusOK, answer, append(append([]string{"explain"}, args...), "--output", "csv")...)
		require.Equal(t, wantExit, exit)
		lines, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
		require.NoError(t, err)
		require.Equal(t, []string{"2026-05-01T12:00:00Z", "gone", "'=It went.", "ada", "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "muster.eve.v1/3@41"}, lines[1])
		_, _, stderr, exit = declaring(t, http.StatusNotFound, `{"detail": "there is no such thing"}`, append([]string{"explain"}, args...)...)
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, "there is no such thing")
	}
	answer := func(verdict, more string) string {
		return `{"verdict": "` + verdict + `", "narrative": ["In short."], "steps": [` + stepLine + `], "steps_omitted": 4` + more + `}`
	}
	const day, set = "2026-05-01T12:00:00Z", "7d444840-9dc0-11d1-b245-5ffdce74fad5"
	f(answer("differs", `, "types": [{"ref_type": "bounty_prizes", "entries": 3, "sum": "150.00"}]`), exitFindings, "/v1/characters/7/ledger/explain",
		map[string]string{"since": day, "until": "", "entry": "9"}, []string{"bounty_prizes", "150.00"}, "balance", "7", "--since", day, "--entry", "9")
	f(answer("accounted_for", ""), exitOK, "/v1/characters/7/ledger/explain", nil, nil, "balance", "7")
	match := strings.Replace(stepLine, `"at"`, `"exact": true, "certain": %CERTAIN%, "at"`, 1)
	losses := `, "losses": [{"after": "` + day + `", "before": "2026-05-02T12:00:00Z", "quantity": 3, "matches": [` + strings.Replace(match, "%CERTAIN%", "false", 1) + "," + strings.Replace(match, "%CERTAIN%", "true", 1) + `]},
		{"after": "` + day + `", "before": "` + day + `", "quantity": 1, "matches": []}], "sections_not_shown": ["contracts"]`
	f(answer("gone", losses), exitFindings, "/v1/characters/7/assets/9/explain", nil,
		[]string{"Gone between " + day + " and 2026-05-02T12:00:00Z: 3", "possible, as many", "certain", "Nothing is known that may have taken it.", "sections that you may not see: [contracts]"}, "asset", "7", "9")
	f(answer("there", ""), exitOK, "/v1/characters/7/assets/9/explain", nil, nil, "asset", "7", "9")
	f(answer("no_longer_met", `, "lacks": [{"type_id": 3300, "type_name": "Gunnery", "required": 5, "active": 4, "trained": 4, "cause": "set_changed", "since": "`+day+`"}]`), exitFindings,
		"/v1/characters/7/skill-sets/"+set+"/explain", nil, []string{"Gunnery", "set_changed"}, "skillset", "7", set)
	f(answer("met", ""), exitOK, "/v1/characters/7/skill-sets/"+set+"/explain", nil, nil, "skillset", "7", set)

	user := strings.Replace(stepLine, lies, `"event": {`+lies+`}`, 1)
	compliance := func(verdict, more string) string { return strings.Replace(answer(verdict, more), stepLine, user, 1) }
	f(compliance("not_compliant", `, "characters_hidden": 2, "verified": false, "differs": "it is behind"`), exitFindings, "/v1/reports/compliance/users/a%20b/explain", nil,
		[]string{"What happened to 2 characters is left out", "NOT verified: it is behind"}, "compliance", "a b")
	f(compliance("compliant", `, "verified": true`), exitOK, "/v1/reports/compliance/users/ada/explain", nil, nil, "compliance", "ada")
}
