package eventlog_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

type journal struct{}

func (journal) EventType() event.Type { return "muster.eve.journal.recorded.v1" }

type viewed struct{}

func (viewed) EventType() event.Type { return "muster.access.data.viewed.v1" }

func TestAReactorMayReadSeveralTopicsAndIsCounted(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(2, append(event.Topics(), event.TopicPoison)...))
	registry := event.NewRegistry()
	event.Register[journal](registry)
	event.Register[viewed](registry)
	metrics := prometheus.NewRegistry()
	r, err := eventlog.NewReactors(eventlog.ReactorsConfig{
		Brokers: cluster.ListenAddrs(), Registry: registry, Metrics: metrics, Retries: 1, FirstRetry: time.Millisecond,
		SessionTimeout: 6 * time.Second,
	})
	require.NoError(t, err)
	var done atomic.Int32
	react := func(_ context.Context, e event.Recorded) error {
		if e.Version == 2 {
			return event.Errorf(event.CodeInvalid, "no use in trying again")
		}
		done.Add(1)
		return nil
	}
	require.NoError(t, r.Handle("notifier", event.TopicEVE, react))
	require.NoError(t, r.Handle("notifier", event.TopicAccess, react))
	require.Equal(t, event.CodeInvalid, event.CodeOf(r.Handle("notifier", event.TopicEVE, react)), "the name is taken")
	require.Equal(t, event.CodeInvalid, event.CodeOf(r.Handle("", event.TopicEVE, react)))

	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	seen, bad, unknown := sample(1, 1), sample(1, 2), sample(1, 3)
	seen.Type, bad.Version, unknown.Type = viewed{}.EventType(), 2, "muster.eve.journal.recorded.v9"
	require.NoError(t, a.Append(t.Context(), sample(1, 0), seen, bad, unknown, sample(2, 4)))
	require.NoError(t, a.Close())

	running := make(chan error, 1)
	go func() { running <- r.Run(t.Context()) }()
	require.Eventually(t, func() bool { return done.Load() == 3 }, time.Minute, 10*time.Millisecond)
	want := `
# HELP muster_reactor_events_total Attempts to have a reactor handle an event, by reactor and result.
# TYPE muster_reactor_events_total counter
muster_reactor_events_total{reactor="notifier",result="done"} 3
muster_reactor_events_total{reactor="notifier",result="failed"} 1
muster_reactor_events_total{reactor="notifier",result="poisoned"} 1
muster_reactor_events_total{reactor="notifier",result="unknown_type"} 1
`
	require.Eventually(t, func() bool {
		return testutil.GatherAndCompare(metrics, strings.NewReader(want), "muster_reactor_events_total") == nil
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, r.Close())
	require.NoError(t, <-running)
	require.NoError(t, r.Close(), "it may be closed twice")
}

func TestReactorsEndWithTheirContext(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, append(event.Topics(), event.TopicPoison)...))
	r, err := eventlog.NewReactors(eventlog.ReactorsConfig{Brokers: cluster.ListenAddrs(), Registry: event.NewRegistry()})
	require.NoError(t, err)
	require.NoError(t, r.Handle("idle", event.TopicEVE, func(context.Context, event.Recorded) error { return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan error, 1)
	go func() { running <- r.Run(ctx) }()
	<-r.Running()
	cancel()
	require.NoError(t, <-running)
	require.NoError(t, r.Close())
}

func TestReactorsMayBeClosedWithoutHavingRun(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, append(event.Topics(), event.TopicPoison)...))
	r, err := eventlog.NewReactors(eventlog.ReactorsConfig{Brokers: cluster.ListenAddrs(), Registry: event.NewRegistry()})
	require.NoError(t, err)
	require.NoError(t, r.Handle("idle", event.TopicEVE, func(context.Context, event.Recorded) error { return nil }))
	require.NoError(t, r.Close())
	require.Equal(t, event.CodeConflict, event.CodeOf(r.Run(t.Context())))
}

func TestReactorsWhoseBrokersAreAwayFailToRun(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, append(event.Topics(), event.TopicPoison)...))
	r, err := eventlog.NewReactors(eventlog.ReactorsConfig{Brokers: cluster.ListenAddrs(), Registry: event.NewRegistry()})
	require.NoError(t, err)
	require.NoError(t, r.Handle("idle", event.TopicEVE, func(context.Context, event.Recorded) error { return nil }))
	cluster.Close()
	require.Equal(t, event.CodeUnavailable, event.CodeOf(r.Run(t.Context())))
	require.NoError(t, r.Close())
}

func TestReactorsThatCannotWorkAreRefused(t *testing.T) {
	for _, cfg := range []eventlog.ReactorsConfig{
		{},
		{Brokers: []string{"x:1"}},
		{Brokers: []string{"x:1"}, Registry: event.NewRegistry(), Retries: -1},
	} {
		_, err := eventlog.NewReactors(cfg)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
	}
}
