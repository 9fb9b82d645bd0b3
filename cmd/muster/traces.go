package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tracing"
)

// tracesSettings say what is traced, and who is told.
type tracesSettings struct {
	Endpoint      string  `env:"MUSTER_TRACES_ENDPOINT" help:"Where traces go, by OTLP over HTTP; empty traces nothing." placeholder:"URL"`
	Share         float64 `env:"MUSTER_TRACES_SHARE" default:"0.1" help:"Share of syncs and requests that are traced, 0 to 1."`
	TrustIncoming bool    `env:"MUSTER_TRACES_TRUST_INCOMING" help:"Let requests belong to the trace that their header traceparent names: for a proxy in front that sets it."`
}

// tracerName is the scope of Muster's spans.
const tracerName = "github.com/muster-sync/muster"

// target is the address that traces are sent to.
func (c tracesSettings) target() (*url.URL, error) {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_TRACES_ENDPOINT must be an http or https URL, such as http://127.0.0.1:4318")
	case u.User != nil || u.RawQuery != "":
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_TRACES_ENDPOINT must have no password and no query: set what the collector wants to be told with OTEL_EXPORTER_OTLP_HEADERS")
	case c.Share < 0 || c.Share > 1:
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_TRACES_SHARE is %v: it is a share, from 0 to 1", c.Share)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u, nil
}

// trace has a process make spans if it is told where they go.
func (e *environment) trace(ctx context.Context, s *stores) error {
	if e.settings.Traces.Endpoint == "" {
		return nil
	}
	target, err := e.settings.Traces.target()
	if err != nil {
		return err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target.String()))
	if err != nil {
		return fmt.Errorf("preparing to send traces: %w", err)
	}
	// What OpenTelemetry's own variables say of the process goes before.
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("muster"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return fmt.Errorf("describing the process to traces: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(&reporting{SpanExporter: exporter, logger: e.logger}),
		sdk.WithSampler(tracing.Sampler(e.settings.Traces.Share)), sdk.WithResource(about))
	s.tracer = provider.Tracer(tracerName)
	s.close = append(s.close, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), tracesGrace)
		defer cancel()
		if err := provider.Shutdown(stopping); err != nil {
			e.logger.WarnContext(ctx, "the last traces were not sent", "error", err)
		}
	})
	return nil
}

const (
	// tracesGrace bounds how long a process waits at its end for its last spans to be sent.
	tracesGrace = 5 * time.Second
	// tracesTold is how often is said that traces cannot be sent.
	tracesTold = 10 * time.Minute
)

// reporting is an exporter whose failures are lines of the log, now and then: spans are
// let go, and nothing waits for them. It is called by one goroutine at a time.
type reporting struct {
	sdk.SpanExporter

	logger *slog.Logger
	told   time.Time
	lost   int
}

// ExportSpans implements [sdk.SpanExporter].
func (r *reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	r.lost += len(spans)
	if time.Since(r.told) >= tracesTold {
		r.logger.WarnContext(ctx, "traces cannot be sent; look at MUSTER_TRACES_ENDPOINT", "spans_lost", r.lost, "error", err)
		r.told, r.lost = time.Now(), 0
	}
	return nil
}
