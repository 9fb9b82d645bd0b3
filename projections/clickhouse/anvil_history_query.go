package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/projections/live"
)

// AnVILHistoryReader answers how sweeps and audits went over time. It is safe for
// concurrent use.
type AnVILHistoryReader struct {
	conn   driver.Conn
	live   *live.Generations
	budget Budget
}

// NewAnVILHistoryReader reads the projection [AnVILHistoryName] behind the connection;
// no question may cost more than the budget.
func NewAnVILHistoryReader(conn driver.Conn, generations *live.Generations, budget Budget) *AnVILHistoryReader {
	return &AnVILHistoryReader{conn: conn, live: generations, budget: budget}
}

// AuditQuery says which figures of audits or sweeps to make. Zero fields do not filter.
type AuditQuery struct {
	// From is inclusive, To exclusive.
	From, To time.Time
	Interval Interval
	// Zone is the time zone of the calendar; UTC if nil.
	Zone    *time.Location
	GroupBy []Dimension

	// Models are of audits alone: a sweep is of several.
	Consortia, Models []string
}

func (q *AuditQuery) filters(p *query, models bool) string {
	var where strings.Builder
	if len(q.Consortia) > 0 {
		where.WriteString(" AND consortium IN " + p.texts(q.Consortia))
	}
	if models && len(q.Models) > 0 {
		where.WriteString(" AND model IN " + p.texts(q.Models))
	}
	return where.String()
}

// AuditGroup is what figures are of. Fields of dimensions that were not asked for are
// empty.
type AuditGroup struct{ Consortium, Model string }

func compareAuditGroups(a, b AuditGroup) int {
	return cmp.Or(strings.Compare(a.Consortium, b.Consortium), strings.Compare(a.Model, b.Model))
}

func (q *AuditQuery) group(g AuditGroup) AuditGroup {
	var of AuditGroup
	for _, d := range q.GroupBy {
		if d == ByConsortium {
			of.Consortium = g.Consortium
		} else {
			of.Model = g.Model
		}
	}
	return of
}

// AuditCounts are what an audit came to; see [anvil.ModelAudited].
type AuditCounts struct {
	Audited, Verified, Errors, Beyond, Unknown, NotInApp, Ignored, Unlisted int64
}

func (c *AuditCounts) add(other AuditCounts) {
	c.Audited += other.Audited
	c.Verified += other.Verified
	c.Errors += other.Errors
	c.Beyond += other.Beyond
	c.Unknown += other.Unknown
	c.NotInApp += other.NotInApp
	c.Ignored += other.Ignored
	c.Unlisted += other.Unlisted
}

// countColumns are the columns of [AuditCounts], in their order.
const countColumns = "audited, verified, errors, beyond, unknown, not_in_app, ignored, unlisted"

func (c *AuditCounts) fields() []any {
	return []any{&c.Audited, &c.Verified, &c.Errors, &c.Beyond, &c.Unknown, &c.NotInApp, &c.Ignored, &c.Unlisted}
}

// AuditFigures are how audits of one group went in one period.
type AuditFigures struct {
	AuditGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Audits counts those of the period. A model of one consortium is one of each.
	Audits int64
	// AuditCounts are those of the last audits before the end, carried forward; nil before
	// the first.
	*AuditCounts
}

// Audits tells by group and period what the last audits came to. Groups come in order,
// each with all its periods. Over several consortia or models their last audits are added
// up.
//
// It fails with [event.CodeInvalid] for a question that cannot be or goes over the
// budget, and with [event.CodeUnavailable] if the projection or ClickHouse is not there.
func (r *AnVILHistoryReader) Audits(ctx context.Context, q AuditQuery) ([]AuditFigures, error) {
	bounds, database, err := r.begin(ctx, &q, ByConsortium, ByModel)
	if err != nil {
		return nil, err
	}
	periods := len(bounds) - 1
	figures := newTable[AuditGroup, AuditFigures](periods, q.GroupBy)
	type ended struct {
		audits int64
		counts AuditCounts
	}
	var of AuditGroup
	line := make([]*ended, periods+1)
	flush := func() error {
		if slices.IndexFunc(line, func(e *ended) bool { return e != nil }) < 0 {
			return nil
		}
		list, err := figures.of(q.group(of))
		if err != nil {
			return err
		}
		var last *ended
		for i, e := range line {
			if e != nil {
				last = e
			}
			if i == 0 || last == nil {
				continue
			}
			f := &list[i-1]
			if f.AuditCounts == nil {
				f.AuditCounts = &AuditCounts{}
			}
			f.AuditCounts.add(last.counts)
			if e != nil {
				f.Audits += e.audits
			}
		}
		clear(line)
		return nil
	}
	p := &query{}
	// What was before the range has a bucket of its own, that begins with time.
	starts := startsOf(append([]time.Time{firstMoment()}, bounds[:periods]...))
	sql := fmt.Sprintf(`SELECT consortium, model, roundDown(toUInt32(toUnixTimestamp(audited_at)), %s) AS bucket, count() AS audits, %s
		FROM %s.audits FINAL WHERE audited_at < toDateTime64(%s, 3, 'UTC')%s GROUP BY consortium, model, bucket ORDER BY consortium, model, bucket LIMIT %d`,
		starts, lastOf(countColumns), database, p.moment(bounds[periods]), q.filters(p, true), r.budget.Facts+1)
	n := 0
	err = eachRow(ctx, r.conn, r.budget, "reading what audits came to", sql, p, func(rows driver.Rows) error {
		var g AuditGroup
		var bucket uint32
		var audits uint64
		var e ended
		if err := rows.Scan(append([]any{&g.Consortium, &g.Model, &bucket, &audits}, e.counts.fields()...)...); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("results of audits")
		}
		if g != of {
			if err := flush(); err != nil {
				return err
			}
			of = g
		}
		e.audits = int64(audits)
		line[periodOf(bounds, time.Unix(int64(bucket), 0))+1] = &e
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return nil, err
	}
	return auditFigures(figures, bounds), nil
}

// auditFigures are the figures of each group, period by period.
func auditFigures(figures *table[AuditGroup, AuditFigures], bounds []time.Time) []AuditFigures {
	var out []AuditFigures
	for _, g := range figures.inOrder(compareAuditGroups) {
		for i, f := range figures.groups[g] {
			f.AuditGroup, f.Start, f.End = g, bounds[i], bounds[i+1]
			out = append(out, f)
		}
	}
	return out
}

// lastOf takes the values of columns of the last audit.
func lastOf(columns string) string {
	var last []string
	for name := range strings.SplitSeq(columns, ", ") {
		last = append(last, "argMax("+name+", (audited_at, log_offset)) AS last_"+name)
	}
	return strings.Join(last, ", ")
}

// begin checks a question and makes out what it needs.
func (r *AnVILHistoryReader) begin(ctx context.Context, q *AuditQuery, dimensions ...Dimension) ([]time.Time, string, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	if err := checkDimensions(q.GroupBy, dimensions); err != nil {
		return nil, "", err
	}
	bounds, err := Bounds(q.From, q.To, q.Interval, q.Zone)
	if err != nil {
		return nil, "", err
	}
	database, err := r.database(ctx)
	return bounds, database, err
}

func (r *AnVILHistoryReader) database(ctx context.Context) (string, error) {
	name, err := r.live.Namespace(ctx, AnVILHistoryName)
	if err != nil {
		return "", queryError("finding the history of sweeps and audits", err)
	}
	return quote(name), nil
}

// Audit is what one audit of a model came to.
type Audit struct {
	AuditGroup
	AuditCounts

	EventID uuid.UUID
	At      time.Time
	// SweepID is the sweep that led to it; zero if a declaration did.
	SweepID uuid.UUID
}

// AuditCursor is where a page of audits ends.
type AuditCursor struct {
	At                time.Time `json:"at"`
	Consortium, Model string
	EventID           uuid.UUID `json:"event_id"`
}

// Cursor is the place of an audit in the list.
func (a Audit) Cursor() AuditCursor { return AuditCursor{a.At, a.Consortium, a.Model, a.EventID} }

// AuditRuns lists the audits of the range, the newest first, at most limit of them,
// those after the cursor if there is one. Of the question intervals and groups do not
// matter. It fails like [AnVILHistoryReader.Audits].
func (r *AnVILHistoryReader) AuditRuns(ctx context.Context, q AuditQuery, after *AuditCursor, limit int) ([]Audit, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	p := &query{}
	where := fmt.Sprintf("audited_at >= toDateTime64(%s, 3, 'UTC') AND audited_at < toDateTime64(%s, 3, 'UTC')", p.moment(q.From), p.moment(q.To)) + q.filters(p, true)
	if after != nil {
		at := "fromUnixTimestamp64Milli(" + p.integer(after.At.UnixMilli()) + ", 'UTC')"
		where += fmt.Sprintf(" AND (audited_at < %[1]s OR audited_at = %[1]s AND (consortium, model, toString(event_id)) > (%[2]s, %[3]s, %[4]s))", at, p.text(after.Consortium), p.text(after.Model), p.text(after.EventID.String()))
	}
	audits := []Audit{}
	sql := fmt.Sprintf(`SELECT consortium, model, audited_at, event_id, sweep_id, %s FROM %s.audits FINAL WHERE %s
		ORDER BY audited_at DESC, consortium, model, toString(event_id) LIMIT %d`+finalByPartition, countColumns, database, where, limit)
	err = eachRow(ctx, r.conn, r.budget, "listing audits", sql, p, func(rows driver.Rows) error {
		var a Audit
		err := rows.Scan(append([]any{&a.Consortium, &a.Model, &a.At, &a.EventID, &a.SweepID}, a.fields()...)...)
		audits = append(audits, a)
		return err
	})
	return audits, err
}

// SweepFigures are the sweeps of one group that began in one period. Its group has no
// model.
type SweepFigures struct {
	AuditGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Completed counts those that came to their end, Interrupted those that did not, or
	// have not yet.
	Completed, Interrupted int64
	// Covered counts records that were read, Calls and Retries requests, Observed records
	// that differed, Unseen those that could not be read.
	Covered, Calls, Retries, Observed, Unseen int64
	// MedianMilliseconds, P90Milliseconds and MaxMilliseconds are how long those took that
	// were completed; nil if none was. They are values that occurred.
	MedianMilliseconds, P90Milliseconds, MaxMilliseconds *int64
}

// Sweeps adds up sweeps by group and by the period in which they began. Groups come in
// order, each with all its periods. It fails like [AnVILHistoryReader.Audits].
func (r *AnVILHistoryReader) Sweeps(ctx context.Context, q AuditQuery) ([]SweepFigures, error) {
	bounds, database, err := r.begin(ctx, &q, ByConsortium)
	if err != nil {
		return nil, err
	}
	type sums struct {
		SweepFigures
		took []int64
	}
	figures := newTable[AuditGroup, sums](len(bounds)-1, q.GroupBy)
	p := &query{}
	sql := fmt.Sprintf(`SELECT consortium, started_at, completed, milliseconds, covered, calls, retries, observed, unseen FROM %s.sweeps FINAL
		WHERE started_at >= toDateTime64(%s, 3, 'UTC') AND started_at < toDateTime64(%s, 3, 'UTC')%s LIMIT %d`+finalByPartition, database, p.moment(bounds[0]), p.moment(bounds[len(bounds)-1]), q.filters(p, false), r.budget.Facts+1)
	n := 0
	err = eachRow(ctx, r.conn, r.budget, "reading sweeps", sql, p, func(rows driver.Rows) error {
		var g AuditGroup
		var started time.Time
		var completed bool
		var took, covered, calls, retries, observed, unseen int64
		if err := rows.Scan(&g.Consortium, &started, &completed, &took, &covered, &calls, &retries, &observed, &unseen); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("sweeps")
		}
		list, err := figures.of(q.group(g))
		if err != nil {
			return err
		}
		s := &list[periodOf(bounds, started)]
		if !completed {
			s.Interrupted++
			return nil
		}
		s.Completed++
		s.Covered, s.Calls, s.Retries, s.Observed, s.Unseen = s.Covered+covered, s.Calls+calls, s.Retries+retries, s.Observed+observed, s.Unseen+unseen
		s.took = append(s.took, took)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []SweepFigures
	for _, g := range figures.inOrder(compareAuditGroups) {
		for i, s := range figures.groups[g] {
			s.AuditGroup, s.Start, s.End = g, bounds[i], bounds[i+1]
			s.MedianMilliseconds, s.P90Milliseconds, s.MaxMilliseconds = nearestRank(s.took, 50), nearestRank(s.took, 90), nearestRank(s.took, 100)
			out = append(out, s.SweepFigures)
		}
	}
	return out, nil
}
