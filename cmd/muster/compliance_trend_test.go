package main

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComplianceOverTimeIsShownByCommand(t *testing.T) {
	const answer = `{"items": [{"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", "corporation_id": 98000001, "users": 5, "compliant": 3, "non_compliant": 2, "without_main": 1,
		"became_compliant": 2, "became_non_compliant": 1, "median_seconds": 3600, "p90_seconds": 90000}, {"start": "2026-02-01T00:00:00Z", "end": "2026-03-01T00:00:00Z", "cause": "no_main", "median_seconds": null}]}`
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, "compliance", "trend", "--from", "2026-01-01T00:00:00Z", "--interval", "month", "--by", "corporation,cause", "--corporation", "1,2", "--as-of", "2026-04-01T00:00:00Z", "-o", "csv")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/analytics/compliance", asked[0].path)
	require.Equal(t, url.Values{
		"from": {"2026-01-01T00:00:00Z"}, "interval": {"month"}, "tz": {"UTC"}, "group_by": {"corporation,cause"}, "corporation_id": {"1,2"}, "as_of": {"2026-04-01T00:00:00Z"},
	}, asked[0].query)
	require.Equal(t, "start,corporation,cause,users,compliant,not,without main,became,fell,median,p90\n"+
		"2026-01-01T00:00:00Z,98000001,-,5,3,2,1,2,1,1h0m0s,25h0m0s\n2026-02-01T00:00:00Z,-,no_main,0,0,0,0,0,0,-,-\n", stdout)
}

func TestThoseWhoAreNotCompliantAreShownByCommand(t *testing.T) {
	const answer = `{"items": [{"user": "ada", "since": "2026-01-01T00:00:00Z", "seconds": 60, "corporation_id": 98000001, "causes": "no_main,never_registered", "total": 3, "unregistered": 1}]}`
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, "compliance", "open", "--as-of", "2026-01-01T00:01:00Z")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/analytics/compliance/open", asked[0].path)
	require.Equal(t, url.Values{"limit": {"1000"}, "as_of": {"2026-01-01T00:01:00Z"}}, asked[0].query)
	require.Regexp(t, `(?m)^ada +2026-01-01T00:00:00Z +1m0s +98000001 +no_main,never_registered +3 +1$`, stdout)
}
