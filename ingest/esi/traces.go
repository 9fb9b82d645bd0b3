package esi

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/internal/tracing"
)

// Attributes of the span of a sync.
const (
	traceSection = attribute.Key("muster.section")
	traceResult  = attribute.Key("muster.result")
)

// traced is sync within a span, below which its requests and its append are.
func (s *Syncer) traced(ctx context.Context, character int64, section Section, spare bool) (Outcome, error) {
	ctx, span := tracing.Start(ctx, s.config.Tracer, "sync section", trace.SpanKindInternal)
	outcome, err := s.sync(ctx, character, section, spare)
	if span.IsRecording() {
		span.SetAttributes(traceSection.String(string(section.Name)), tracing.CharacterID.Int64(character),
			traceResult.String(string(outcome.Result)), tracing.Events.Int(outcome.Events))
		failedAt(span, outcome.Failure)
	}
	tracing.End(span, err)
	return outcome, err
}

// tracedFollowUp is followUp within a span.
func (s *Syncer) tracedFollowUp(ctx context.Context, character int64, name eve.Section) (FollowOutcome, error) {
	ctx, span := tracing.Start(ctx, s.config.Tracer, "follow up", trace.SpanKindInternal)
	outcome, err := s.followUp(ctx, character, name)
	if span.IsRecording() {
		span.SetAttributes(traceSection.String(string(name)), tracing.CharacterID.Int64(character), tracing.Events.Int(outcome.Events))
		failedAt(span, outcome.Failure)
	}
	tracing.End(span, err)
	return outcome, err
}

// failedAt says of which class a failure was; what it says in words may quote ESI.
func failedAt(span trace.Span, failure *transport.Failure) {
	if failure != nil && !failure.Deferred {
		span.SetStatus(codes.Error, string(failure.Class))
	}
}
