package runner

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/internal/tracing"
)

// Attributes of the span of a batch.
const (
	traceProjection = attribute.Key("muster.projection")
	traceGeneration = attribute.Key("muster.generation")
	traceRecords    = attribute.Key("muster.records")
)

// commitTraced writes a batch. If it is traced, its span began when it was folded, and
// the one of the commit is below it.
func (r *Runner) commitTraced(ctx context.Context, b Bound, f *fold, p *prepared) error {
	if !f.traces {
		return b.commit(ctx, f, p)
	}
	ctx, batch := r.Tracer.Start(ctx, "fold a batch", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(p.begun),
		trace.WithLinks(p.origins.Links()...),
		trace.WithAttributes(traceProjection.String(b.Name), traceGeneration.Int(f.generation.Number), traceRecords.Int(p.records), tracing.Events.Int(p.folded)))
	committing, commit := r.Tracer.Start(ctx, "commit")
	err := b.commit(committing, f, p)
	tracing.End(commit, err)
	tracing.End(batch, err)
	return err
}
