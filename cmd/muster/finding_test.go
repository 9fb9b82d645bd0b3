package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// finding is one as the API lists it.
func finding(severity, state, record string) string {
	return fmt.Sprintf(`{"finding_id": "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "model": "managed_group_memberships", "scope": "readers", "record": %s,
		"kind": "not_in_app", "severity": %q, "state": %q, "expected": "not declared", "observed": "MEMBER", "opened_at": "2026-05-01T12:00:00Z",
		"changed_at": "2026-05-01T12:00:00Z", "resolved_at": null, "reopened": 1, "changed_side": "observed", "said_by_a_newer": true,
		"evidence": [{"side": "observed", "kind": "group_members", "name": "readers", "event_id": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}]}`, quoted(record), severity, state)
}

// quoted is a text in JSON.
func quoted(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func findings(items ...string) string { return `{"items": [` + strings.Join(items, ",") + `]}` }

func TestFindingsAreListedAsAsked(t *testing.T) {
	answer := findings(finding("high", "open", "=m@example.com"), finding("low", "open", "b@example.com"))
	show := func(args ...string) string {
		asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, append([]string{"finding", "list", "--consortium", "a b"}, args...)...)
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, "/v1/anvil/a%20b/findings", asked[0].path)
		return stdout
	}
	require.Regexp(t, `(?m)^high +\d+ days +open +managed_group_memberships readers +=m@example\.com +not_in_app +not declared +MEMBER +0b0e7f6e-`, show())
	require.JSONEq(t, `[`+finding("high", "open", "=m@example.com")+`,`+finding("low", "open", "b@example.com")+`]`, show("--output", "json"), "what a newer Muster says is shown")
	lines, err := csv.NewReader(strings.NewReader(show("--output", "csv"))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{
		"0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "high", "open", "managed_group_memberships", "readers", "'=m@example.com", "not_in_app", "not declared", "MEMBER",
		"2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z", "", "1", "", "",
	}, lines[1])
	require.JSONEq(t, `[]`, func() string {
		_, stdout, _, exit := declaring(t, http.StatusOK, findings(), "finding", "list", "--consortium", "c", "--output", "json")
		require.Equal(t, exitOK, exit)
		return stdout
	}())
}

func TestFindingsAreFilteredByTheAPI(t *testing.T) {
	asked, _, stderr, exit := declaring(t, http.StatusOK, findings(), "finding", "list", "--consortium", "c", "--state", "all", "--model", "accounts", "--model", "workspaces", "--severity", "low")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, map[string][]string{"limit": {"1000"}, "state": {"all"}, "model": {"accounts,workspaces"}, "severity": {"low"}}, map[string][]string(asked[0].query))
}

func TestAllPagesOfFindingsAreRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			_, _ = io.WriteString(w, `{"items": [`+finding("low", "open", "first")+`], "next_cursor": "second"}`)
			return
		}
		_, _ = io.WriteString(w, findings(finding("high", "open", "last")))
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	require.Equal(t, exitFindings, p.run(t.Context(), []string{"finding", "list", "--consortium", "c", "--fail-on", "high", "--url", server.URL, "--token", "t"}), errs.String())
	require.Contains(t, out.String(), "first")
	require.Contains(t, out.String(), "last")
}

func TestOpenFindingsOfASeverityFailTheCommand(t *testing.T) {
	rank := map[string]int{"low": 1, "medium": 2, "high": 3}
	for severity := range rank {
		for threshold := range rank {
			for _, state := range []string{"open", "resolved", "accepted"} {
				_, stdout, stderr, exit := declaring(t, http.StatusOK, findings(finding(severity, state, "r")), "finding", "list", "--consortium", "c", "--state", "all", "--fail-on", threshold)
				want := exitOK
				if state == "open" && rank[severity] >= rank[threshold] {
					want = exitFindings
				}
				require.Equal(t, want, exit, "%s %s for %s: %s", state, severity, threshold, stderr)
				require.Contains(t, stdout, severity)
			}
		}
	}
	for args, want := range map[string]string{
		"--fail-on high --state resolved": "--state resolved lists none",
		"--fail-on high --severity low":   "can never fail",
		"--fail-on grave":                 "must be one of",
	} {
		asked, _, stderr, exit := declaring(t, http.StatusOK, findings(), append([]string{"finding", "list", "--consortium", "c"}, strings.Fields(args)...)...)
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, want)
		require.Empty(t, asked)
	}
	_, _, stderr, exit := declaring(t, http.StatusNotFound, `{"detail": "there is no consortium \"c\""}`, "finding", "list", "--consortium", "c", "--fail-on", "low")
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "no consortium")
}

func TestAFindingIsShownWithItsEvidence(t *testing.T) {
	const id = "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11"
	show := func(format string) string {
		asked, stdout, stderr, exit := declaring(t, http.StatusOK, finding("high", "open", "m@example.com\x1b[2J"), "finding", "show", "--consortium", "c", id, "--output", format)
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, "/v1/anvil/c/findings/"+id, asked[0].path)
		return stdout
	}
	text := show("table")
	require.Regexp(t, `(?m)^record +m@example\.com \[2J$`, text, "what is in a record steers no terminal")
	require.Regexp(t, `(?m)^opened +2026-05-01T12:00:00Z, \d+ days ago; reopened`, text)
	require.Regexp(t, `(?m)^observed +group_members +readers +7d444840-`, text)
	require.Contains(t, show("json"), "said_by_a_newer")
	require.Len(t, strings.Split(strings.TrimSpace(show("csv")), "\n"), 2)
}

func TestAnAgeIsTheLargestUnitThatFits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "under a minute", 0: "under a minute", 59 * time.Second: "under a minute", time.Minute: "1 minute", 119 * time.Second: "1 minute",
		59 * time.Minute: "59 minutes", time.Hour: "1 hour", 23*time.Hour + 59*time.Minute: "23 hours", 24 * time.Hour: "1 day", 72 * time.Hour: "3 days", 9000 * time.Hour: "375 days",
	} {
		require.Equal(t, want, age(d))
	}
}

func TestAnAcceptedFindingFailsNoJobAndSaysWhoAcceptedIt(t *testing.T) {
	known := strings.Replace(finding("high", "open", "r"), `"said_by_a_newer": true`,
		`"accepted": {"by": "token:admin", "at": "2026-05-02T12:00:00Z", "reason": "a guest", "until": "2026-06-01T00:00:00Z"}`, 1)
	_, stdout, stderr, exit := declaring(t, http.StatusOK, findings(known), "finding", "list", "--consortium", "c", "--fail-on", "high")
	require.Equal(t, exitOK, exit, stderr)
	require.Regexp(t, `(?m)^high +\d+ days +accepted `, stdout)

	asked, stdout, stderr, exit := declaring(t, http.StatusCreated, known, "finding", "accept", "--consortium", "c", "--reason", "a guest", "--for", "24h", "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/anvil/c/findings/0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11/acceptance", asked[0].path)
	require.Contains(t, asked[0].body, `"reason":"a guest","until":"`)
	require.Regexp(t, `(?m)^accepted +2026-05-02T12:00:00Z, by token:admin, until 2026-06-01T00:00:00Z: a guest$`, stdout)

	_, _, stderr, exit = declaring(t, http.StatusCreated, known, "finding", "accept", "--consortium", "c", "--reason", "r", "--for=-1h", "x")
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "over before it begins")
	asked, _, stderr, exit = declaring(t, http.StatusCreated, finding("high", "open", "r"), "finding", "unaccept", "--consortium", "c", "--reason", "over", "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "over", asked[0].query.Get("reason"))
}
