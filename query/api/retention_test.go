package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/query/api"
)

// Standing implements [api.Retention].
func (w *world) Standing(context.Context) (api.RetentionStanding, error) {
	return api.RetentionStanding{
		Policies:     retention.DefaultPolicies(),
		Runs:         []retention.Completed{{RunID: "r1", At: moment, Tombstones: map[retention.Class]int{retention.ClassHistory: 5}}},
		Unfinished:   []string{},
		Certificates: []retention.Certified{{RunID: "r1", Hash: "ab", Clean: true}},
	}, w.err
}

// Plan implements [api.Retention].
func (w *world) Plan(context.Context) ([]api.RetentionPlanned, error) {
	return []api.RetentionPlanned{{Class: retention.ClassState, Reason: retention.ReasonThinned, Characters: 2, Events: 7, Oldest: moment}}, w.err
}

// Enforce implements [api.Retention].
func (w *world) Enforce(_ context.Context, actor string) (retention.Completed, error) {
	return retention.Completed{RunID: "run by " + actor, At: moment, Tombstones: map[retention.Class]int{}}, w.err
}

func TestRetentionIsShownAndStarted(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/retention")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Contains(t, a.text, `"history_days":360`)
	require.Contains(t, a.text, `"tombstones":{"history":5}`)
	a = c.get("/v1/retention/certificates")
	require.Contains(t, a.text, `"hash":"ab"`)
	a = c.get("/v1/retention/plan")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Contains(t, a.text, `{"class":"state","reason":"not the last observation of its day","characters":2,"events":7,"oldest":"`+moment.Format(time.RFC3339)+`"}`)
	a = c.do(http.MethodPost, "/v1/retention/runs", "")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Contains(t, a.text, `"run by token:admin"`)

	c.world.err = event.Errorf(event.CodeConflict, "another process enforces retention now")
	c.requireProblem(c.do(http.MethodPost, "/v1/retention/runs", ""), http.StatusConflict, "another process")
}
