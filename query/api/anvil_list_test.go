package api_test

import (
	"context"
	"encoding/csv"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// All implements [api.Consortia].
func (w consortia) All(ctx context.Context) ([]postgres.ConsortiumOverview, error) {
	return []postgres.ConsortiumOverview{
		{Name: "acme", Sweep: w.sweeps[0].Completed, Declared: map[string]int64{"account": 3, "group": 2}, Open: []postgres.OpenFindings{
			{Model: anvil.ModelAccounts, Severity: anvil.SeverityHigh, Findings: 2, Accepted: 1}, {Model: anvil.ModelSharing, Severity: anvil.SeverityLow, Findings: 3},
		}},
		{Name: "new", Declared: map[string]int64{}},
	}, w.enter(ctx)
}

func TestConsortiaAreListed(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/anvil")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.JSONEq(t, `{"items": [
		{"consortium": "acme", "sweep_id": "`+sweepID.String()+`", "swept_at": "2026-05-01T12:00:01Z", "unseen_count": 1, "open_findings": 5, "high": 2, "medium": 0, "low": 3, "accepted": 1,
		 "declared_total": 5, "declared": {"account": 3, "group": 2}, "findings": [
			{"model": "accounts", "severity": "high", "findings": 2, "accepted": 1}, {"model": "workspace_sharing", "severity": "low", "findings": 3, "accepted": 0}]},
		{"consortium": "new", "sweep_id": null, "swept_at": null, "unseen_count": 0, "open_findings": 0, "high": 0, "medium": 0, "low": 0, "accepted": 0, "declared_total": 0, "declared": {}, "findings": []}
	]}`, a.text)

	first := c.get("/v1/anvil?limit=1")
	require.NotContains(t, first.text, `"new"`)
	next := strings.TrimSuffix(strings.TrimPrefix(first.Header.Get("Link"), "<"), `>; rel="next"`)
	require.NotContains(t, c.get(next).text, `"acme"`)
	require.NotContains(t, c.get("/v1/anvil?consortium=new").text, `"acme"`)

	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/anvil", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"consortium", "sweep_id", "swept_at", "unseen_count", "open_findings", "high", "medium", "low", "accepted", "declared_total"}, lines[0])
	require.Equal(t, []string{"5", "2", "0", "3", "1", "5"}, lines[1][4:])

	c.requireProblem(c.get("/v1/anvil", "Authorization", "Bearer "+limited), http.StatusForbidden, "may not do")
	c.world.err = event.Errorf(event.CodeUnavailable, "Postgres is away")
	c.requireProblem(c.get("/v1/anvil"), http.StatusServiceUnavailable, "Postgres is away")
}
