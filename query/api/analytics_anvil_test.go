package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/query/api"
)

// Audits implements [api.AnVILTrends].
func (t trends) Audits(_ context.Context, q clickhouse.AuditQuery) ([]clickhouse.AuditFigures, error) {
	t.note(q)
	g := clickhouse.AuditGroup{Consortium: "acme", Model: "accounts"}
	return []clickhouse.AuditFigures{
		{AuditGroup: g, Start: q.From, End: q.To},
		{AuditGroup: g, Start: q.From, End: q.To, Audits: 2, AuditCounts: &clickhouse.AuditCounts{Audited: 3, Verified: 2, Errors: 1, NotInApp: 4}},
	}, nil
}

// AuditRuns implements [api.AnVILTrends].
func (t trends) AuditRuns(_ context.Context, q clickhouse.AuditQuery, after *clickhouse.AuditCursor, limit int) ([]clickhouse.Audit, error) {
	t.note(q)
	all := []clickhouse.Audit{
		{AuditGroup: clickhouse.AuditGroup{Consortium: "acme", Model: "accounts"}, AuditCounts: clickhouse.AuditCounts{Audited: 3, Verified: 2}, EventID: eventID, At: moment, SweepID: sweepID},
		{AuditGroup: clickhouse.AuditGroup{Consortium: "acme", Model: "accounts"}, EventID: findingID, At: moment.Add(-time.Hour)},
	}
	if after != nil {
		all = all[1:]
	}
	return all[:min(limit, len(all))], nil
}

// Sweeps implements [api.AnVILTrends].
func (t trends) Sweeps(_ context.Context, q clickhouse.AuditQuery) ([]clickhouse.SweepFigures, error) {
	t.note(q)
	return []clickhouse.SweepFigures{{
		AuditGroup: clickhouse.AuditGroup{Consortium: "acme"}, Start: q.From, End: q.To, Completed: 2, Interrupted: 1, Covered: 9, Calls: 8, Retries: 7, Observed: 6, Unseen: 5,
		MedianMilliseconds: new(int64(10)), P90Milliseconds: new(int64(20)), MaxMilliseconds: new(int64(20)),
	}}, nil
}

func TestHowAuditsWentIsAskedAsSaid(t *testing.T) {
	var asked any
	c := newClient(t, func(config *api.Config) { config.AnVILTrends = trends{&asked} })
	const span = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&interval=month"
	const head = `"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "interval": "month", "tz": "UTC"`
	const interval = `"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"`
	require.JSONEq(t, `{`+head+`, "group_by": ["model"], "items": [
		{`+interval+`, "model": "accounts", "audits": 0, "audited": null, "verified": null, "verified_percent_floor_2": null, "errors": null, "beyond": null, "unknown": null, "not_in_app": null, "ignored": null, "unlisted": null},
		{`+interval+`, "model": "accounts", "audits": 2, "audited": 3, "verified": 2, "verified_percent_floor_2": "66.66", "errors": 1, "beyond": 0, "unknown": 0, "not_in_app": 4, "ignored": 0, "unlisted": 0}]}`,
		c.get("/v1/analytics/anvil/audits?group_by=model&"+span).text)
	require.JSONEq(t, `{`+head+`, "group_by": ["consortium"], "items": [{`+interval+`, "consortium": "acme", "completed": 2, "interrupted": 1, "covered": 9, "calls": 8, "retries": 7, "observed": 6, "unseen": 5,
		"median_milliseconds": 10, "p90_milliseconds": 20, "max_milliseconds": 20}]}`, c.get("/v1/analytics/anvil/sweeps?group_by=consortium&"+span).text)
	for target, head := range map[string]string{"audits": "start,end,consortium,model,audits,audited,", "audits/runs": "audited_at,consortium,model,sweep_id,", "sweeps": "start,end,consortium,completed,"} {
		require.True(t, strings.HasPrefix(c.get("/v1/analytics/anvil/"+target, "Accept", "text/csv").text, head), target)
		require.True(t, strings.HasPrefix(c.get("/v1/analytics/anvil/"+target, "Accept", "application/vnd.apache.parquet").text, "PAR1"), target)
		c.requireProblem(c.get("/v1/analytics/anvil/"+target+"?moon=1"), http.StatusUnprocessableEntity, "moon")
	}
	month := moment.Add(-30 * 24 * time.Hour)
	for target, want := range map[string]clickhouse.AuditQuery{
		"audits?consortium=a,b&model=accounts&group_by=consortium": {From: month, To: moment, Interval: clickhouse.Day, Zone: time.UTC, GroupBy: []clickhouse.Dimension{clickhouse.ByConsortium}, Consortia: []string{"a", "b"}, Models: []string{"accounts"}},
		"audits/runs?consortium=a&model=accounts":                  {From: month, To: moment, Consortia: []string{"a"}, Models: []string{"accounts"}},
		"sweeps?consortium=a&as_of=" + moment.Format(time.RFC3339): {From: month, To: moment, Interval: clickhouse.Day, Zone: time.UTC, Consortia: []string{"a"}},
	} {
		require.Equal(t, http.StatusOK, c.get("/v1/analytics/anvil/"+target).StatusCode, target)
		require.Equal(t, want, asked, target)
	}
	var page struct {
		Items      []api.AuditRun `json:"items"`
		NextCursor string         `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/analytics/anvil/audits/runs?limit=1").text), &page))
	require.Equal(t, []api.AuditRun{{AuditedAt: moment, Consortium: "acme", Model: "accounts", SweepID: new(sweepID), Audited: 3, Verified: 2, VerifiedPercent: new("66.66"), EventID: eventID}}, page.Items)
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/analytics/anvil/audits/runs?limit=1&cursor="+page.NextCursor).text), &page))
	require.Equal(t, findingID, page.Items[0].EventID)
	require.Nil(t, page.Items[0].VerifiedPercent)
}

func TestHowAuditsWentIsForThoseWhoSeeAnVIL(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "reports_access", "view_everything"}}
	for _, target := range []string{"audits", "audits/runs", "sweeps", "findings"} {
		c.requireProblem(c.get("/v1/analytics/anvil/"+target, as("ada")...), http.StatusForbidden, "superusers")
	}
}

func TestHowAuditsWentComesFromTheRealStores(t *testing.T) {
	s := newStores(t)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	sweep := uuid.New()
	s.append(event.Consortium("acme"), at, anvil.SweepStarted{SweepID: sweep, StartedAt: at},
		anvil.SweepCompleted{SweepID: sweep, StartedAt: at, CompletedAt: at.Add(1500 * time.Millisecond), Covered: map[anvil.Kind]int{anvil.KindAccount: 2}, Calls: 4, UnseenCount: 1},
		anvil.AuditCompleted{SweepID: &sweep, AuditedAt: at.Add(2 * time.Second), Models: []anvil.ModelAudited{{Model: anvil.ModelAccounts, Audited: 250, Verified: 249, Errors: 1}, {Model: anvil.ModelWorkspaces}}})
	const span = "?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z"
	some := func(b map[string]any) bool {
		items, _ := b["items"].([]any)
		first, _ := items[0].(map[string]any)
		return first["audits"] == 2.0 || first["completed"] == 1.0
	}
	require.Contains(t, s.eventually("/v1/analytics/anvil/audits"+span, some), `"audits":2,"audited":250,"verified":249,"verified_percent_floor_2":"99.60","errors":1`)
	require.Contains(t, s.get("/v1/analytics/anvil/audits/runs"+span+"&model=accounts").text, `"sweep_id":"`+sweep.String()+`","audited":250,"verified":249`)
	require.Contains(t, s.eventually("/v1/analytics/anvil/sweeps"+span, some), `"completed":1,"interrupted":0,"covered":2,"calls":4,"retries":0,"observed":0,"unseen":1,"median_milliseconds":1500`)
}
