// Package tracingtest keeps spans in memory for tests.
package tracingtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/internal/tracing"
)

// Recorder keeps the spans that have ended. It is safe for concurrent use.
type Recorder struct {
	exporter *tracetest.InMemoryExporter
	provider *sdk.TracerProvider
}

// New records everything.
func New(t testing.TB) *Recorder { return NewShare(t, 1) }

// NewShare records a share of all traces, as [tracing.Sampler] says.
func NewShare(t testing.TB, share float64) *Recorder {
	t.Helper()
	r := &Recorder{exporter: tracetest.NewInMemoryExporter()}
	r.provider = sdk.NewTracerProvider(sdk.WithSyncer(r.exporter), sdk.WithSampler(tracing.Sampler(share)))
	t.Cleanup(func() { require.NoError(t, r.provider.Shutdown(context.WithoutCancel(t.Context()))) })
	return r
}

// Tracer makes spans that the recorder keeps.
func (r *Recorder) Tracer() trace.Tracer { return r.provider.Tracer("test") }

// Spans are all that have ended, in that order.
func (r *Recorder) Spans() tracetest.SpanStubs { return r.exporter.GetSpans() }

// Named are those of a name.
func (r *Recorder) Named(name string) tracetest.SpanStubs {
	var named tracetest.SpanStubs
	for _, s := range r.Spans() {
		if s.Name == name {
			named = append(named, s)
		}
	}
	return named
}

// One is the only one of a name.
func (r *Recorder) One(t testing.TB, name string) tracetest.SpanStub {
	t.Helper()
	named := r.Named(name)
	require.Len(t, named, 1, "spans named %q among\n%s", name, r.Text())
	return named[0]
}

// Text is everything that the spans say, to look for what they must not.
func (r *Recorder) Text() string {
	var text strings.Builder
	for _, s := range r.Spans() {
		fmt.Fprintln(&text, s.Name, s.SpanKind, s.Status.Code, s.Status.Description, Attributes(s.Attributes))
		for _, e := range s.Events {
			fmt.Fprintln(&text, " ", e.Name, Attributes(e.Attributes))
		}
		for _, l := range s.Links {
			fmt.Fprintln(&text, "  link", l.SpanContext.TraceID(), Attributes(l.Attributes))
		}
	}
	return text.String()
}

// Attributes are attributes by name.
func Attributes(all []attribute.KeyValue) map[string]any {
	by := map[string]any{}
	for _, a := range all {
		by[string(a.Key)] = a.Value.AsInterface()
	}
	return by
}
