package eventlog

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tracing"
	"github.com/muster-sync/muster/internal/tracing/tracingtest"
)

// traceparents are those of what was sent, by key.
func (r *recorder) traceparents() map[string]string {
	all := map[string]string{}
	for _, e := range r.sent {
		all[e.Key()] = e.TraceParent
	}
	return all
}

func TestEventsTakeTheContextOfTheirAppendAlong(t *testing.T) {
	spans, r := tracingtest.New(t), &recorder{}
	a := appendTo(t, r, AppenderConfig{Tracer: spans.Tracer()})
	defer a.Close()
	ctx, sync := spans.Tracer().Start(t.Context(), "sync")
	first, second := section(1), section(2)
	second.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	require.NoError(t, a.Append(ctx, first, second))
	sync.End()

	appended := spans.One(t, "append to the log")
	require.Equal(t, sync.SpanContext().SpanID(), appended.Parent.SpanID())
	require.Equal(t, trace.SpanKindProducer, appended.SpanKind)
	require.EqualValues(t, 2, tracingtest.Attributes(appended.Attributes)["messaging.batch.message_count"])
	got := tracing.Remote(r.traceparents()[first.Key()])
	require.Equal(t, appended.SpanContext.SpanID(), got.SpanID())
	require.Equal(t, sync.SpanContext().TraceID(), got.TraceID())
	require.Equal(t, second.TraceParent, r.traceparents()[second.Key()], "who brings one keeps it")
	require.Empty(t, first.TraceParent, "the caller's copy stays as it is")
}

func TestWhatIsNotRecordedLeavesNoTraceInTheLog(t *testing.T) {
	spans, r := tracingtest.NewShare(t, 0), &recorder{}
	for _, tracer := range []trace.Tracer{nil, spans.Tracer()} {
		a := appendTo(t, r, AppenderConfig{Tracer: tracer})
		require.NoError(t, a.Append(t.Context(), section(1)))
		require.NoError(t, a.Close())
	}
	for key, parent := range r.traceparents() {
		require.Empty(t, parent, key)
	}
}

func TestAnAppendBelongsToTheTraceThatItsEventsBring(t *testing.T) {
	spans, r := tracingtest.NewShare(t, 0), &recorder{}
	a := appendTo(t, r, AppenderConfig{Tracer: spans.Tracer()})
	defer a.Close()
	first, second, third := section(1), section(1), section(2)
	first.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	second.TraceParent = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	require.NoError(t, a.Append(t.Context(), first, second, third))
	appended := spans.One(t, "append to the log")
	require.Equal(t, tracing.Remote(first.TraceParent).TraceID(), appended.SpanContext.TraceID())
	require.Equal(t, "00f067aa0ba902b7", appended.Parent.SpanID().String())
	require.Len(t, appended.Links, 1)
	require.Equal(t, tracing.Remote(second.TraceParent).TraceID(), appended.Links[0].SpanContext.TraceID())
}

func TestAnAppendThatFailsSaysWhyByItsClassAlone(t *testing.T) {
	spans := tracingtest.New(t)
	a := appendTo(t, &recorder{allow: func(event.Event) error { return event.Errorf(event.CodeUnavailable, "broker of Ada is away") }}, AppenderConfig{Tracer: spans.Tracer()})
	defer a.Close()
	require.Error(t, a.Append(t.Context(), section(1)))
	require.Equal(t, "unavailable", spans.One(t, "append to the log").Status.Description)
	require.NotContains(t, spans.Text(), "Ada")
}

// Copies of one event that were traced differently, or not at all, are the same event:
// they have the same key and value, and differ in that one header.
func TestTracingChangesNothingOfAnEventButItsTraceParent(t *testing.T) {
	e := section(5)
	e.Time, e.Recorded = e.Time.UTC(), time.Now().UTC()
	traced := e
	traced.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	bare, err := eventMarshaler{}.Marshal("t", newMessage(&e))
	require.NoError(t, err)
	along, err := eventMarshaler{}.Marshal("t", newMessage(&traced))
	require.NoError(t, err)
	require.Equal(t, bare.Key, along.Key)
	require.Equal(t, bare.Value, along.Value)
	var rest []string
	for _, h := range along.Headers {
		if string(h.Key) != event.HeaderTraceParent {
			rest = append(rest, string(h.Key)+"="+string(h.Value))
		}
	}
	var had []string
	for _, h := range bare.Headers {
		had = append(had, string(h.Key)+"="+string(h.Value))
	}
	require.Equal(t, had, rest)
	require.NotContains(t, strings.Join(had, " "), event.HeaderTraceParent)
}

// BenchmarkAppendOfOne is an append of one event without a broker, while nothing is traced.
func BenchmarkAppendOfOne(b *testing.B) {
	for name, tracer := range map[string]trace.Tracer{"off": nil, "nothing sampled": tracingtest.NewShare(b, 0).Tracer()} {
		b.Run(name, func(b *testing.B) {
			a := appendTo(b, &recorder{}, AppenderConfig{Tracer: tracer})
			defer a.Close()
			e := section(5)
			b.ReportAllocs()
			for b.Loop() {
				if err := a.Append(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
