package tracing

import (
	"context"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// statement begins the span of a statement, if there is one of what it is done for:
// what a process does by itself all the time would be a trace for each look.
func statement(ctx context.Context, tracer trace.Tracer, system attribute.KeyValue, sql string) (context.Context, trace.Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	operation := operationOf(sql)
	ctx, span := tracer.Start(ctx, system.Value.AsString()+" "+operation, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(system, semconv.DBOperationName(operation)))
	if text := Masked(sql); text != "" {
		span.SetAttributes(semconv.DBQueryText(text))
	}
	return ctx, span
}

// endStatement ends what statement has begun. That a store failed is told, and not how:
// its messages quote values.
func endStatement(span trace.Span, err error) {
	if span != nil {
		End(span, err)
	}
}

func operationOf(sql string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	word = strings.ToUpper(strings.Fields(word + " -")[0])
	for _, r := range word {
		if r < 'A' || r > 'Z' {
			return "STATEMENT"
		}
	}
	return word
}

// maxText bounds the text of a statement in a span, in bytes.
const maxText = 2000

var (
	literal = regexp.MustCompile(`'[^']*'`)
	spaces  = regexp.MustCompile(`\s+`)
)

// Masked is the text of a statement with each literal text in it masked. Parameters
// stand in it as their numbers. It is empty where it cannot be told for sure, in every
// dialect, where a literal begins and ends.
func Masked(sql string) string {
	for _, unsure := range []string{`\`, "$$", "--", "/*", "#"} {
		if strings.Contains(sql, unsure) {
			return ""
		}
	}
	text := spaces.ReplaceAllString(literal.ReplaceAllString(sql, "'?'"), " ")
	if strings.Count(sql, "'")%2 != 0 {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(text)[:min(maxText, len(strings.TrimSpace(text)))], "")
}

// Postgres makes a span of each statement that is sent for a traced piece of work. It
// is for a connection's configuration. It is safe for concurrent use.
type Postgres struct{ tracer trace.Tracer }

// NewPostgres is a tracer of statements on the given one, which must not be nil.
func NewPostgres(tracer trace.Tracer) *Postgres { return &Postgres{tracer} }

type statementKey struct{}

// begin puts the span of a statement where the end of it finds it: a span in ctx may
// be that of the work.
func (p *Postgres) begin(ctx context.Context, sql string) context.Context {
	ctx, span := statement(ctx, p.tracer, semconv.DBSystemNamePostgreSQL, sql)
	if span == nil {
		return ctx
	}
	return context.WithValue(ctx, statementKey{}, span)
}

func (p *Postgres) end(ctx context.Context, err error) {
	if span, ok := ctx.Value(statementKey{}).(trace.Span); ok {
		endStatement(span, err)
	}
}

// TraceQueryStart implements [pgx.QueryTracer].
func (p *Postgres) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return p.begin(ctx, data.SQL)
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (p *Postgres) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	p.end(ctx, data.Err)
}

// TraceBatchStart implements [pgx.BatchTracer]: a batch is one span.
func (p *Postgres) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return p.begin(ctx, "BATCH")
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (*Postgres) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements [pgx.BatchTracer].
func (p *Postgres) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	p.end(ctx, data.Err)
}

// TraceCopyFromStart implements [pgx.CopyFromTracer].
func (p *Postgres) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return p.begin(ctx, "COPY "+data.TableName.Sanitize())
}

// TraceCopyFromEnd implements [pgx.CopyFromTracer].
func (p *Postgres) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	p.end(ctx, data.Err)
}

// clickHouse makes a span of each question and statement.
type clickHouse struct {
	driver.Conn

	tracer trace.Tracer
}

// ClickHouse is the connection, with a span for each statement that is sent for a
// traced piece of work. With a nil tracer it is the connection itself.
func ClickHouse(conn driver.Conn, tracer trace.Tracer) driver.Conn {
	if tracer == nil {
		return conn
	}
	return clickHouse{conn, tracer}
}

// Select implements [driver.Conn].
func (c clickHouse) Select(ctx context.Context, dest any, query string, args ...any) error {
	ctx, span := statement(ctx, c.tracer, semconv.DBSystemNameClickHouse, query)
	err := c.Conn.Select(ctx, dest, query, args...)
	endStatement(span, err)
	return err
}

// Query implements [driver.Conn]. The span lasts until the rows are closed.
func (c clickHouse) Query(ctx context.Context, query string, args ...any) (driver.Rows, error) {
	ctx, span := statement(ctx, c.tracer, semconv.DBSystemNameClickHouse, query)
	answer, err := c.Conn.Query(ctx, query, args...)
	if span == nil {
		return answer, err
	}
	if err != nil {
		endStatement(span, err)
		return answer, err
	}
	return &rows{answer, span}, nil
}

// QueryRow implements [driver.Conn]. It returns when the row has come.
func (c clickHouse) QueryRow(ctx context.Context, query string, args ...any) driver.Row {
	ctx, span := statement(ctx, c.tracer, semconv.DBSystemNameClickHouse, query)
	row := c.Conn.QueryRow(ctx, query, args...)
	endStatement(span, row.Err())
	return row
}

// Exec implements [driver.Conn].
func (c clickHouse) Exec(ctx context.Context, query string, args ...any) error {
	ctx, span := statement(ctx, c.tracer, semconv.DBSystemNameClickHouse, query)
	err := c.Conn.Exec(ctx, query, args...)
	endStatement(span, err)
	return err
}

// rows end their span when they are closed.
type rows struct {
	driver.Rows

	span trace.Span
}

// Close implements [driver.Rows].
func (r *rows) Close() error {
	err := r.Rows.Close()
	failed := r.Err()
	if failed == nil {
		failed = err
	}
	End(r.span, failed)
	return err
}
