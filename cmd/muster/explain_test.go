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
