package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/tracing"
	"github.com/muster-sync/muster/internal/tracing/tracingtest"
	"github.com/muster-sync/muster/projections/runner"
)

// trace makes a world append and run with traces: all appends are recorded, and of what
// runners do only what belongs to them.
func (w *world) trace(t *testing.T) (appends, folds *tracingtest.Recorder) {
	t.Helper()
	appends, folds = tracingtest.New(t), tracingtest.NewShare(t, 0)
	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: w.log.Consumer.Brokers, Tracer: appends.Tracer()})
	require.NoError(t, err)
	require.NoError(t, w.appender.Close())
	w.appender = appender // The world closes it in the end.
	config := w.pool.Config()
	config.ConnConfig.Tracer = tracing.NewPostgres(folds.Tracer())
	w.pool, err = pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(w.pool.Close)
	w.conn = tracing.ClickHouse(w.conn, folds.Tracer())
	w.tracer = folds.Tracer()
	return appends, folds
}

func TestATraceIsFollowedFromTheAppendThroughKafkaToTheBatchThatFoldedIt(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		appends, folds := w.trace(t)
		ctx, request := appends.Tracer().Start(t.Context(), "request")
		e, err := event.New(uuid.New(), event.Character(1), "test", time.Now(), counted{N: 7})
		require.NoError(t, err)
		require.NoError(t, w.appender.Append(ctx, e))
		request.End()
		// A second copy, of another trace, is the same event.
		require.NoError(t, w.appender.Append(t.Context(), e))
		appended := appends.Named("append to the log")
		require.Len(t, appended, 2)
		require.Equal(t, request.SpanContext().TraceID(), appended[0].SpanContext.TraceID())

		_, stop := w.run(t, w.bound(store))
		w.eventually(t, store, 2, 14) // the tally protects against nothing
		var linked []trace.SpanID
		require.Eventually(t, func() bool {
			linked = nil
			for _, batch := range folds.Named("fold a batch") {
				for _, link := range batch.Links {
					linked = append(linked, link.SpanContext.SpanID())
				}
			}
			return len(linked) == 2
		}, 20*time.Second, 20*time.Millisecond)
		require.ElementsMatch(t, []trace.SpanID{appended[0].SpanContext.SpanID(), appended[1].SpanContext.SpanID()}, linked)

		batch := folds.Named("fold a batch")[0]
		said := tracingtest.Attributes(batch.Attributes)
		require.Equal(t, []any{"tally", int64(1)}, []any{said["muster.projection"], said["muster.generation"]})
		require.Positive(t, said["muster.records"])
		require.Equal(t, said["muster.records"], said["muster.events"])
		require.Equal(t, batch.SpanContext.SpanID(), folds.Named("commit")[0].Parent.SpanID())
		require.NotEmpty(t, below(folds, folds.Named("commit")[0]), "the statements of a commit are below it")

		// What nobody traced makes no spans.
		before := len(folds.Spans())
		w.appendUntraced(t, 8)
		w.eventually(t, store, 3, 22)
		stop()
		require.Len(t, folds.Spans(), before)
	})
}

// below are the spans right below one.
func below(r *tracingtest.Recorder, span tracetest.SpanStub) tracetest.SpanStubs {
	var all tracetest.SpanStubs
	for _, s := range r.Spans() {
		if s.Parent.SpanID() == span.SpanContext.SpanID() {
			all = append(all, s)
		}
	}
	return all
}

func (w *world) appendUntraced(t *testing.T, n int64) {
	t.Helper()
	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: w.log.Consumer.Brokers})
	require.NoError(t, err)
	defer func() { require.NoError(t, appender.Close()) }()
	e, err := event.New(uuid.New(), event.Character(1), "test", time.Now(), counted{N: n})
	require.NoError(t, err)
	require.NoError(t, appender.Append(t.Context(), e))
}

func TestABatchPointsToABoundedNumberOfTraces(t *testing.T) {
	w := newWorld(t)
	appends, folds := w.trace(t)
	const events = 3 * tracing.MaxLinks
	for n := range int64(events) {
		w.append(t, event.Character(1), n)
	}
	require.Len(t, appends.Named("append to the log"), events)
	b := w.bound("postgres")
	b.Live.Records, b.Bulk.Records = 10*events, 10*events
	_, stop := w.run(t, b)
	w.eventually(t, "postgres", events, events*(events-1)/2)
	require.Eventually(t, func() bool { return len(folds.Named("fold a batch")) > 0 }, 20*time.Second, 20*time.Millisecond)
	stop()
	for _, batch := range folds.Named("fold a batch") {
		require.LessOrEqual(t, len(batch.Links), tracing.MaxLinks)
	}
}

func TestARebuildPointsToNoTraces(t *testing.T) {
	w := newWorld(t)
	_, folds := w.trace(t)
	b := w.bound("postgres")
	_, stop := w.run(t, b)
	w.append(t, event.Character(1), 1, 2, 3)
	w.eventually(t, "postgres", 3, 6)
	stop()
	before := len(folds.Named("fold a batch"))
	require.Positive(t, before)
	_, err := w.runner().Replay(context.WithoutCancel(t.Context()), b, runner.ReplayOptions{})
	require.NoError(t, err)
	require.Len(t, folds.Named("fold a batch"), before)
}
