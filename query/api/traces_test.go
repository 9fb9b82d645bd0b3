package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tracing"
	"github.com/muster-sync/muster/internal/tracing/tracingtest"
	"github.com/muster-sync/muster/query/api"
)

const remoteParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func traced(t *testing.T, change ...func(*api.Config)) (*client, *tracingtest.Recorder) {
	t.Helper()
	spans := tracingtest.New(t)
	return newClient(t, append([]func(*api.Config){func(c *api.Config) {
		c.Tracer, c.Logger = spans.Tracer(), slog.New(tracing.NewHandler(c.Logger.Handler()))
	}}, change...)...), spans
}

func TestARequestIsASpanNamedAfterItsRoute(t *testing.T) {
	c, spans := traced(t)
	a := c.get("/v1/characters/90000001?fields=name")
	c.get("/livez")
	c.get("/metrics")
	require.Len(t, spans.Spans(), 1, "probes and scrapes are not traced")
	span := spans.One(t, "GET /v1/characters/{id}")
	require.Equal(t, map[string]any{
		"http.request.method": "GET", "http.route": "/v1/characters/{id}", "http.response.status_code": int64(a.StatusCode), "muster.request_id": a.Header.Get("X-Request-Id"),
	}, tracingtest.Attributes(span.Attributes))
	require.False(t, span.Parent.IsValid())
	require.Contains(t, c.log.String(), `"trace_id":"`+span.SpanContext.TraceID().String()+`"`)

	c, spans = traced(t)
	c.world.err = event.Errorf(event.CodeUnavailable, "away")
	c.get("/v1/characters")
	require.Equal(t, codes.Error, spans.One(t, "GET /v1/characters").Status.Code)
	c, spans = traced(t)
	c.world.panics = true
	c.get("/v1/characters")
	require.Equal(t, codes.Error, spans.One(t, "GET /v1/characters").Status.Code)
	c, spans = traced(t)
	c.get("/v1/no/such/thing")
	require.Len(t, spans.Spans(), 1)
	require.NotContains(t, spans.Text(), "such")
}

func TestWhatIsDoneForARequestIsBelowItsSpan(t *testing.T) {
	c, spans := traced(t)
	c.world.entered = func(ctx context.Context) {
		_, span := spans.Tracer().Start(ctx, "statement")
		span.End()
	}
	require.Equal(t, http.StatusOK, c.get("/v1/characters").StatusCode)
	request := spans.One(t, "GET /v1/characters")
	require.NotEmpty(t, spans.Named("statement"))
	for _, statement := range spans.Named("statement") {
		require.Equal(t, request.SpanContext.SpanID(), statement.Parent.SpanID())
	}
}

func TestATraceFromOutsideIsTakenFromATrustedProxyAlone(t *testing.T) {
	f := func(trust bool, header, trace string) {
		t.Helper()
		c, spans := traced(t, func(c *api.Config) { c.TrustTraceParent = trust })
		c.get("/v1/characters", "Traceparent", header)
		got := spans.One(t, "GET /v1/characters").SpanContext.TraceID().String()
		require.Equal(t, trace != "", got == trace, got)
	}
	const theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
	f(true, remoteParent, theirs)
	f(false, remoteParent, "")
	f(true, "nonsense", "")
	f(true, "", "")
}

func TestNoSecretOfARequestComesIntoASpan(t *testing.T) {
	c, spans := traced(t)
	c.world.err = event.Errorf(event.CodeInvalid, "what Ada is called")
	c.get("/v1/characters?name=Ada")
	c.get("/v1/characters?secret=Ada")
	c.get("/v1/Ada")
	c.do("Ada", "/v1/characters", "Ada")
	c.do(http.MethodPost, "/v1/users/Ada/roles", `{"name": "Ada"}`)
	c.get("/v1/characters", "Authorization", "Bearer Ada")
	require.Len(t, spans.Spans(), 6)
	require.NotContains(t, spans.Text(), "Ada")
	require.NotContains(t, spans.Text(), token)
}

func TestWithoutATracerNoLineNamesATrace(t *testing.T) {
	c := newClient(t, func(c *api.Config) { c.TrustTraceParent = true })
	c.get("/v1/characters", "Traceparent", remoteParent)
	require.NotContains(t, c.log.String(), "trace_id")
}
