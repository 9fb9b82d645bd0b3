// Package tracing begins and ends spans of OpenTelemetry where there may be no tracer,
// and takes their context along with events.
//
// A nil tracer is tracing that is off: nothing is recorded and nothing allocated. No
// text of an error comes into a span, nor the parameters of a statement: both may hold
// names, addresses and secrets.
package tracing

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/muster-sync/muster/domain/event"
)

// off is the span of a tracer that is not there.
var off trace.Span = noop.Span{}

// Start begins a span below the one of ctx, or a trace if there is none. With a nil
// tracer ctx comes back as it is, with a span that takes nothing.
func Start(ctx context.Context, tracer trace.Tracer, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if tracer == nil {
		return ctx, off
	}
	return tracer.Start(ctx, name, trace.WithSpanKind(kind))
}

// End ends a span. Of an error it says the class alone, see [Class].
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, Class(err))
	}
	span.End()
}

// Class is what may be told of an error everywhere: its [event.Code], or that somebody
// has given up waiting.
func Class(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline exceeded"
	default:
		return string(event.CodeOf(err))
	}
}

// Parent is the context of the span of ctx as W3C Trace Context writes it, for
// [event.Event.TraceParent]; empty if it is not recorded, so that the log keeps no ids
// that lead nowhere.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get(event.HeaderTraceParent)
}

// Remote is the span that a traceparent names. It is not valid if that cannot be read:
// anybody may have written it.
func Remote(traceparent string) trace.SpanContext {
	if traceparent == "" {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{event.HeaderTraceParent: traceparent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// MaxLinks bounds how many other traces one span points to.
const MaxLinks = 32

// Origins are the traces that events come from: the first [MaxLinks] different ones.
// The zero value is ready. It is not for concurrent use.
type Origins struct{ parents []string }

// Add takes the traceparent of an event; an empty one is none.
func (o *Origins) Add(traceparent string) {
	if traceparent != "" && len(o.parents) < MaxLinks && !slices.Contains(o.parents, traceparent) {
		o.parents = append(o.parents, traceparent)
	}
}

// Links point to them. What cannot be read, or was not recorded, is left out.
func (o *Origins) Links() []trace.Link {
	links := make([]trace.Link, 0, len(o.parents))
	for _, parent := range o.parents {
		if at := Remote(parent); at.IsSampled() {
			links = append(links, trace.Link{SpanContext: at})
		}
	}
	return links
}
