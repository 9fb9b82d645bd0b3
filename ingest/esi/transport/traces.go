package transport

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/internal/tracing"
)

// Attributes of a request's span.
const (
	traceGroup  = attribute.Key("esi.rate_group")
	traceCached = attribute.Key("esi.not_modified")
	traceTokens = attribute.Key("esi.tokens")
)

// traced is send within a span. The span has the route as the catalogue writes it: the
// address has ids of mails and contracts in it, and a killmail's hash, which is a key.
func (r *reading) traced(ctx context.Context, paging url.Values, etag string, reserved *reservation, group string) (*reply, error) {
	ctx, span := tracing.Start(ctx, r.client.config.Tracer, "ESI "+r.route.Operation, trace.SpanKindClient)
	answer, err := r.send(ctx, paging, etag, reserved, group)
	if !span.IsRecording() {
		return answer, err
	}
	defer span.End()
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(r.route.Method), semconv.URLTemplate(r.route.Template), tracing.CharacterID.Int64(r.character))
	if group != "" {
		span.SetAttributes(traceGroup.String(group))
	}
	status := 0
	var failure *Failure
	switch {
	case err == nil:
		status = answer.status
	case errors.As(err, &failure):
		status = failure.Status
		span.SetStatus(codes.Error, string(failure.Class))
	default:
		span.SetStatus(codes.Error, tracing.Class(err))
	}
	if status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status), traceCached.Bool(status == http.StatusNotModified))
	}
	if reserved != nil {
		span.SetAttributes(traceTokens.Int(costOf(status)))
	}
	return answer, err
}
