package esi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/ingesttest"
	"github.com/muster-sync/muster/internal/tracing"
	"github.com/muster-sync/muster/internal/tracing/tracingtest"
)

// tracedLog notes the span within which it is appended to.
type tracedLog struct {
	*journal

	parents []string
}

func (l *tracedLog) Append(ctx context.Context, events ...event.Event) error {
	l.parents = append(l.parents, tracing.Parent(ctx))
	return l.journal.Append(ctx, events...)
}

func TestASyncIsTracedFromItsRequestToItsAppend(t *testing.T) {
	r, spans := newRig(t), tracingtest.New(t)
	client, err := transport.New(transport.Config{
		BaseURL: r.world.URL, UserAgent: ingesttest.UserAgent, Tokens: r.vault, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now, Backoff: time.Millisecond, Tracer: spans.Tracer(),
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	log := &tracedLog{journal: r.log}
	syncer, err := esi.NewSyncer(esi.Config{
		Pool: r.pool, Client: client, Appender: log, Logins: r.vault, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now, Tracer: spans.Tracer(),
	})
	require.NoError(t, err)
	r.world.Serve(path("/wallet"), time.Hour, `12.5`)

	outcome, err := syncer.Sync(t.Context(), pilot, eve.SectionWallet)
	require.NoError(t, err)
	require.Equal(t, esi.Changed, outcome.Result)
	sync := spans.One(t, "sync section")
	require.Equal(t, map[string]any{"muster.section": "wallet", "muster.character_id": pilot, "muster.result": "changed", "muster.events": int64(outcome.Events)},
		tracingtest.Attributes(sync.Attributes))
	asked := spans.Spans()[0]
	require.Contains(t, asked.Name, "ESI ")
	require.Equal(t, sync.SpanContext.SpanID(), asked.Parent.SpanID())
	require.Len(t, log.parents, 1)
	require.Equal(t, sync.SpanContext.SpanID(), tracing.Remote(log.parents[0]).SpanID())

	r.world.Handle(path("/wallet"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ingesttest.JSON(w, http.StatusBadGateway, `{"error":"the secret of Ada"}`)
	}))
	r.world.Clock.Advance(2 * time.Hour)
	outcome, err = syncer.Sync(t.Context(), pilot, eve.SectionWallet)
	require.NoError(t, err)
	require.Equal(t, esi.Failed, outcome.Result)
	failed := spans.Named("sync section")[1]
	require.Equal(t, string(eve.FailureServer), failed.Status.Description)

	_, err = syncer.FollowUp(t.Context(), pilot, eve.SectionWallet)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"muster.section": "wallet", "muster.character_id": pilot, "muster.events": int64(0)},
		tracingtest.Attributes(spans.One(t, "follow up").Attributes))
	require.NotContains(t, spans.Text(), "secret")
}
