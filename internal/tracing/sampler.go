package tracing

import (
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Sampler records the given share of traces, 0 to 1, each as a whole: what belongs to
// a recorded trace is recorded, and so is a span that points to one, such as the batch
// that folds an event. Else a small share would nearly never show both ends.
func Sampler(share float64) sdk.Sampler {
	return sdk.ParentBased(linked{sdk.TraceIDRatioBased(share)})
}

// linked samples spans with links to recorded ones, and of others what the sampler does.
type linked struct{ sdk.Sampler }

// ShouldSample implements [sdk.Sampler].
func (l linked) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	for _, link := range p.Links {
		if link.SpanContext.IsSampled() {
			return sdk.SamplingResult{Decision: sdk.RecordAndSample, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
		}
	}
	return l.Sampler.ShouldSample(p)
}

// Description implements [sdk.Sampler].
func (l linked) Description() string { return "Linked{" + l.Sampler.Description() + "}" }
