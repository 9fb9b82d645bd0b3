package api

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/internal/tracing"
)

// traceRequest is the id by which the log and problems name a request.
const traceRequest = attribute.Key("muster.request_id")

// startSpan begins the span of a request, below which what it asks the stores is. Only
// what is guarded is traced: probes and scrapes come every few seconds.
func (s *Server) startSpan(ctx context.Context, r *http.Request, guarded bool) (context.Context, oteltrace.Span) {
	if !guarded {
		return tracing.Start(ctx, nil, "", oteltrace.SpanKindServer)
	}
	if s.config.Tracer != nil && s.config.TrustTraceParent {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	return tracing.Start(ctx, s.config.Tracer, methodLabel(r.Method), oteltrace.SpanKindServer)
}

// endSpan names the span after the route, which is known by now. Like the log it takes
// no path and no query.
func endSpan(span oteltrace.Span, r *http.Request, seen *request, answer *answer) {
	if !span.IsRecording() {
		span.End()
		return
	}
	route, status := routeOf(r), answer.sent()
	span.SetName(methodLabel(r.Method) + " " + route)
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(methodLabel(r.Method)), semconv.HTTPRoute(route), semconv.HTTPResponseStatusCode(status), traceRequest.String(seen.id))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
