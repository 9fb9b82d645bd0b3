package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/tracing"
)

func TestWhereTracesGoIsChecked(t *testing.T) {
	f := func(endpoint string, share float64, want string) {
		t.Helper()
		u, err := tracesSettings{Endpoint: endpoint, Share: share}.target()
		if strings.HasPrefix(want, "http") {
			require.NoError(t, err)
			require.Equal(t, want, u.String())
			return
		}
		require.ErrorContains(t, err, want)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.NotContains(t, err.Error(), "hunter2")
	}
	f("http://127.0.0.1:4318", 1, "http://127.0.0.1:4318/v1/traces")
	f("https://collector.example.org/", 0, "https://collector.example.org/v1/traces")
	f("https://collector.example.org/otlp", 0.5, "https://collector.example.org/otlp")
	f("collector:4318", 0.5, "MUSTER_TRACES_ENDPOINT")
	f("grpc://collector:4317", 0.5, "MUSTER_TRACES_ENDPOINT")
	f("http://me:hunter2@collector:4318", 0.5, "OTEL_EXPORTER_OTLP_HEADERS")
	f("http://collector:4318?key=hunter2", 0.5, "OTEL_EXPORTER_OTLP_HEADERS")
	f("http://collector:4318", 1.5, "MUSTER_TRACES_SHARE")
	f("http://collector:4318", -1, "MUSTER_TRACES_SHARE")
}

// collector takes what is sent by OTLP.
type collector struct {
	mu    sync.Mutex
	paths []string
	body  bytes.Buffer
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths = append(c.paths, r.Method+" "+r.URL.Path)
	_, _ = io.Copy(&c.body, r.Body)
}

func TestAProcessSendsItsSpansToTheCollector(t *testing.T) {
	got := &collector{}
	server := httptest.NewServer(got)
	t.Cleanup(server.Close)
	r := wired(t, "--traces-endpoint", server.URL, "--traces-share", "1")
	require.NotNil(t, r.tracer)
	ctx, request := r.tracer.Start(t.Context(), "the request", trace.WithSpanKind(trace.SpanKindServer))
	e, err := event.New(uuid.New(), event.Character(90000001), "test", time.Now(), eve.CharacterForgotten{CharacterID: 90000001})
	require.NoError(t, err)
	require.NoError(t, r.appender.Append(ctx, e))
	require.NoError(t, r.clickhouse.Exec(ctx, "SELECT 1"))
	_, err = r.pool.Exec(ctx, "SELECT 2")
	require.NoError(t, err)
	request.End()

	var along string
	ends, err := r.reader.Ends(t.Context(), event.TopicEVE)
	require.NoError(t, err)
	for at, span := range ends {
		require.NoError(t, r.reader.ReadRange(t.Context(), at, span.Start, span.End, func(rec eventlog.Record) error {
			read, err := rec.Event()
			along = read.TraceParent
			return err
		}))
	}
	require.Equal(t, request.SpanContext().TraceID(), tracing.Remote(along).TraceID(), "the record leads to the request")

	r.stores.Close()
	r.stores.close = nil
	require.Equal(t, "POST /v1/traces", got.paths[0])
	for _, text := range []string{"the request", "append to the log", "clickhouse SELECT", "postgresql SELECT", tracerName} {
		require.Contains(t, got.body.String(), text)
	}
	require.NotContains(t, got.body.String(), r.settings.PostgresDSN)
}

func TestWithoutAnEndpointNothingIsTraced(t *testing.T) {
	cli := parsed(t)
	s := &stores{}
	require.NoError(t, (&environment{settings: &cli.settings}).trace(t.Context(), s))
	require.Nil(t, s.tracer)
	require.Empty(t, s.close)
}

// broken is an exporter whose collector is away.
type broken struct{}

func (broken) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return errors.New("refused") }
func (broken) Shutdown(context.Context) error                        { return nil }

func TestThatTracesCannotBeSentIsSaidNowAndThen(t *testing.T) {
	var log bytes.Buffer
	r := &reporting{SpanExporter: broken{}, logger: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		require.NoError(t, r.ExportSpans(t.Context(), make([]sdk.ReadOnlySpan, 2)))
	}
	require.Equal(t, 1, strings.Count(log.String(), "MUSTER_TRACES_ENDPOINT"))
	r.told = r.told.Add(-tracesTold)
	require.NoError(t, r.ExportSpans(t.Context(), make([]sdk.ReadOnlySpan, 2)))
	require.Contains(t, log.String(), "spans_lost=6")
}
