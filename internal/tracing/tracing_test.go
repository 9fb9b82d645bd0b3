package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/tracing"
	"github.com/muster-sync/muster/internal/tracing/tracingtest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestWithoutATracerNothingIsRecordedOrAllocated(t *testing.T) {
	ctx := t.Context()
	allocated := testing.AllocsPerRun(100, func() {
		within, span := tracing.Start(ctx, nil, "work", trace.SpanKindInternal)
		tracing.End(span, context.Canceled)
		if within != ctx || span.IsRecording() || tracing.Parent(within) != "" {
			t.Fail()
		}
	})
	require.Zero(t, allocated)
}

// BenchmarkOff is what a traced place costs while nothing is traced.
func BenchmarkOff(b *testing.B) {
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		within, span := tracing.Start(ctx, nil, "work", trace.SpanKindInternal)
		_ = tracing.Parent(within)
		tracing.End(span, nil)
	}
}

func TestAParentIsReadBackAsTheSameSpan(t *testing.T) {
	r := tracingtest.New(t)
	ctx, span := r.Tracer().Start(t.Context(), "work")
	at := tracing.Remote(tracing.Parent(ctx))
	require.Equal(t, span.SpanContext().TraceID(), at.TraceID())
	require.Equal(t, span.SpanContext().SpanID(), at.SpanID())
	require.True(t, at.IsRemote())

	silent, _ := tracingtest.NewShare(t, 0).Tracer().Start(t.Context(), "work")
	require.Empty(t, tracing.Parent(silent), "nobody can look it up")
	require.Empty(t, tracing.Parent(t.Context()))
}

func TestOnlyTheClassOfAnErrorIsTold(t *testing.T) {
	f := func(err error, class string) {
		t.Helper()
		r := tracingtest.New(t)
		_, span := r.Tracer().Start(t.Context(), "work")
		tracing.End(span, err)
		got := r.One(t, "work")
		require.Equal(t, class, got.Status.Description)
		require.Equal(t, err != nil, got.Status.Code == codes.Error)
		require.NotContains(t, r.Text(), "Ada")
		require.Empty(t, got.Events)
	}
	f(nil, "")
	f(fmt.Errorf("asking for Ada: %w", context.Canceled), "canceled")
	f(fmt.Errorf("asking for Ada: %w", context.DeadlineExceeded), "deadline exceeded")
	f(event.Errorf(event.CodeNotFound, "no Ada"), "not_found")
	f(fmt.Errorf("Ada"), "internal")
}

func TestOriginsAreTheFirstDifferentTracesThatWereRecorded(t *testing.T) {
	var o tracing.Origins
	for range 3 {
		for _, p := range []string{"", parent, "nonsense", strings.TrimSuffix(parent, "1") + "0"} {
			o.Add(p)
		}
	}
	links := o.Links()
	require.Len(t, links, 1, "nonsense and what was not recorded lead nowhere")
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", links[0].SpanContext.TraceID().String())

	for i := range 2 * tracing.MaxLinks {
		o.Add(fmt.Sprintf("00-4bf92f3577b34da6a3ce929d0e0e4736-%016x-01", i+1))
	}
	require.Len(t, o.Links(), tracing.MaxLinks-2, "what was added first stays")
}

func TestASpanThatPointsToARecordedOneIsRecorded(t *testing.T) {
	r := tracingtest.NewShare(t, 0)
	sampled := trace.Link{SpanContext: tracing.Remote(parent)}
	unsampled := trace.Link{SpanContext: tracing.Remote(strings.TrimSuffix(parent, "1") + "0")}
	for name, links := range map[string][]trace.Link{"linked": {unsampled, sampled}, "alone": nil, "to nothing": {unsampled}} {
		ctx, span := r.Tracer().Start(t.Context(), name, trace.WithLinks(links...))
		_, child := r.Tracer().Start(ctx, "below "+name)
		child.End()
		span.End()
	}
	_, remote := r.Tracer().Start(trace.ContextWithRemoteSpanContext(t.Context(), tracing.Remote(parent)), "remote")
	remote.End()
	var names []string
	for _, s := range r.Spans() {
		names = append(names, s.Name)
	}
	require.ElementsMatch(t, []string{"linked", "below linked", "remote"}, names)
}

func TestLinesOfTheLogNameTheTrace(t *testing.T) {
	r := tracingtest.New(t)
	ctx, span := r.Tracer().Start(t.Context(), "work")
	silent, _ := tracingtest.NewShare(t, 0).Tracer().Start(t.Context(), "work")
	line := func(ctx context.Context) string {
		var text bytes.Buffer
		slog.New(tracing.NewHandler(slog.NewTextHandler(&text, nil))).With("a", 1).InfoContext(ctx, "hello", "b", 2)
		return text.String()
	}
	require.Contains(t, line(ctx), "a=1 b=2 trace_id="+span.SpanContext().TraceID().String())
	require.NotContains(t, line(silent), "trace_id")
	require.NotContains(t, line(t.Context()), "trace_id")
}

func TestTextsInStatementsAreMasked(t *testing.T) {
	f := func(sql, want string) {
		t.Helper()
		require.Equal(t, want, tracing.Masked(sql))
	}
	f("SELECT a\n\t FROM  t WHERE b = $1", "SELECT a FROM t WHERE b = $1")
	f("SELECT 'Ada', 7 FROM t WHERE c = 'it''s'", "SELECT '?', 7 FROM t WHERE c = '?''?'")
	f(`SELECT 'a\' , 'Ada'`, "")
	f("SELECT 1 -- don't\n, 'Ada'", "")
	f("SELECT /* don't */ 'Ada'", "")
	f("SELECT $$Ada$$", "")
	f("SELECT 'Ada", "")
	require.LessOrEqual(t, len(tracing.Masked("SELECT "+strings.Repeat("é", 5000))), 2000)
}

// secret is a parameter of statements that nobody else may see.
const secret = "the secret of Ada"

func TestStatementsOfPostgresAreBelowTheWorkTheyAreFor(t *testing.T) {
	r := tracingtest.New(t)
	config, err := pgxpool.ParseConfig(enginetest.PostgresDSN(t))
	require.NoError(t, err)
	config.ConnConfig.Tracer = tracing.NewPostgres(r.Tracer())
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), "CREATE TABLE t (name text UNIQUE)")
	require.NoError(t, err)
	require.Empty(t, r.Spans(), "what a process does by itself is no trace")

	ctx, work := r.Tracer().Start(t.Context(), "work")
	_, err = pool.Exec(ctx, "INSERT INTO t VALUES ($1)", secret)
	require.NoError(t, err)
	_, err = pool.Exec(ctx, "INSERT INTO t VALUES ($1)", secret)
	require.ErrorContains(t, err, "duplicate")
	var name string
	require.NoError(t, pool.QueryRow(ctx, "SELECT name FROM t WHERE name <> 'another secret'").Scan(&name))
	require.NoError(t, pool.SendBatch(ctx, &pgx.Batch{}).Close())
	_, err = pool.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"name"}, pgx.CopyFromRows([][]any{{"a second " + secret}}))
	require.NoError(t, err)
	work.End()

	for _, span := range r.Spans() {
		if span.Name != "work" {
			require.Equal(t, work.SpanContext().SpanID(), span.Parent.SpanID(), span.Name)
		}
	}
	inserts := r.Named("postgresql INSERT")
	require.Len(t, inserts, 2)
	require.Equal(t, "INSERT INTO t VALUES ($1)", tracingtest.Attributes(inserts[0].Attributes)["db.query.text"])
	require.Equal(t, "internal", inserts[1].Status.Description)
	r.One(t, "postgresql SELECT")
	r.One(t, "postgresql COPY")
	require.NotContains(t, r.Text(), "secret")
}

func TestStatementsOfClickHouseAreBelowTheWorkTheyAreFor(t *testing.T) {
	r := tracingtest.New(t)
	options, err := clickhouse.ParseDSN(enginetest.ClickHouse(t))
	require.NoError(t, err)
	bare, err := clickhouse.Open(options)
	require.NoError(t, err)
	defer func() { require.NoError(t, bare.Close()) }()
	require.Equal(t, bare, tracing.ClickHouse(bare, nil), "nothing is in between when nothing is traced")
	conn := tracing.ClickHouse(bare, r.Tracer())
	require.NoError(t, conn.Exec(t.Context(), "SELECT 1"))
	require.Empty(t, r.Spans())

	ctx, work := r.Tracer().Start(t.Context(), "work")
	rows, err := conn.Query(ctx, "SELECT number, ? FROM numbers(3)", secret)
	require.NoError(t, err)
	n := 0
	for rows.Next() {
		n++
	}
	require.Equal(t, 3, n)
	require.Empty(t, r.Named("clickhouse SELECT"), "rows are still to come")
	require.NoError(t, rows.Close())
	r.One(t, "clickhouse SELECT")
	var text string
	require.NoError(t, conn.QueryRow(ctx, "SELECT ?", secret).Scan(&text))
	require.Equal(t, secret, text)
	var all []struct {
		N uint8 `ch:"n"`
	}
	require.NoError(t, conn.Select(ctx, &all, "SELECT 1 AS n"))
	require.Error(t, conn.Exec(ctx, "SELECT throwIf(1, ?)", secret))
	_, err = conn.Query(ctx, "SELECT ? FROM nowhere", secret) //nolint:gocritic // There are no rows.
	require.Error(t, err)
	work.End()

	spans := r.Named("clickhouse SELECT")
	require.Len(t, spans, 5)
	failed := 0
	for _, span := range spans {
		require.Equal(t, work.SpanContext().SpanID(), span.Parent.SpanID())
		if span.Status.Code == codes.Error {
			failed++
		}
	}
	require.Equal(t, 2, failed)
	require.NotContains(t, r.Text(), "secret")
}
