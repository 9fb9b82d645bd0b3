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

// FindingTrendReader answers how findings came and went. It is safe for concurrent use.
type FindingTrendReader struct {
	conn   driver.Conn
	live   *live.Generations
	budget Budget
}

// NewFindingTrendReader reads the projection [FindingStepsName] behind the connection;
// no question may cost more than the budget.
func NewFindingTrendReader(conn driver.Conn, generations *live.Generations, budget Budget) *FindingTrendReader {
	return &FindingTrendReader{conn: conn, live: generations, budget: budget}
}

// FindingQuery says which figures to make. Zero fields do not filter.
type FindingQuery struct {
	// From is inclusive, To exclusive.
	From, To time.Time
	Interval Interval
	// Zone is the time zone of the calendar; UTC if nil.
	Zone    *time.Location
	GroupBy []Dimension

	// Scopes are the groups of memberships and the workspaces of sharing.
	Consortia, Models, Scopes, Kinds, Severities []string
}

// FindingGroup is what figures are of. Fields of dimensions that were not asked for
// are empty.
type FindingGroup struct{ Consortium, Model, Scope, Kind, Severity string }

// FindingFigures are how the findings of one group came and went in one period.
type FindingFigures struct {
	FindingGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Open counts those that were open at the end.
	Opened, Changed, Resolved, Open int64
	// MedianSeconds and MeanSeconds are how long those that were resolved in the period
	// had been open since they were last opened; nil if none was. Of an even number the
	// median is the lower one of the middle. P90Seconds is what nine of ten of them do not
	// go over, a value that occurred.
	MedianSeconds, P90Seconds, MeanSeconds *int64
}

// findingSums are figures while they are added up.
type findingSums struct {
	opened, changed, resolved int64
	// moved is by how many more are open after the period than before.
	moved int64
	took  []int64
}

// Trend counts by group and period. Groups come in order, each with all its periods. A
// finding whose severity changes is open in its new group from then on.
//
// It fails with [event.CodeInvalid] for a question that cannot be or goes over the
// budget, and with [event.CodeUnavailable] if the projection or ClickHouse is not
// there.
func (r *FindingTrendReader) Trend(ctx context.Context, q FindingQuery) ([]FindingFigures, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	if err := checkDimensions(q.GroupBy, []Dimension{ByConsortium, ByModel, ByScope, ByKind, BySeverity}); err != nil {
		return nil, err
	}
	bounds, err := Bounds(q.From, q.To, q.Interval, q.Zone)
	if err != nil {
		return nil, err
	}
	name, err := r.live.Namespace(ctx, FindingStepsName)
	if err != nil {
		return nil, queryError("finding the steps of findings", err)
	}
	periods := len(bounds) - 1
	// What was before the range is a period of its own.
	figures := newTable[FindingGroup, findingSums](periods+1, q.GroupBy)
	p := &query{}
	sql := fmt.Sprintf(`SELECT consortium, finding_id, at, step, model, scope, kind, severity, opened_at FROM %s.finding_steps FINAL
		WHERE at < toDateTime64(%s, 3, 'UTC')%s ORDER BY at, consortium, log_offset LIMIT %d`+finalByPartition, quote(name), p.moment(bounds[periods]), q.filters(p), r.budget.Facts+1)
	type which struct {
		consortium string
		id         uuid.UUID
	}
	open := map[which]FindingGroup{}
	n := 0
	err = eachRow(ctx, r.conn, r.budget, "reading what happened to findings", sql, p, func(rows driver.Rows) error {
		var g FindingGroup
		var id uuid.UUID
		var at, opened time.Time
		var step string
		if err := rows.Scan(&g.Consortium, &id, &at, &step, &g.Model, &g.Scope, &g.Kind, &g.Severity, &opened); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("steps of findings")
		}
		key, period := which{g.Consortium, id}, periodOf(bounds, at)+1
		if was, is := open[key]; is {
			list, err := figures.of(was)
			if err != nil {
				return err
			}
			list[period].moved--
			delete(open, key)
		}
		// The severity may change, so that the steps are not chosen by it: a finding that has
		// another one now is open among those no more.
		if len(q.Severities) > 0 && !slices.Contains(q.Severities, g.Severity) {
			return nil
		}
		g = q.group(g)
		list, err := figures.of(g)
		if err != nil {
			return err
		}
		s := &list[period]
		switch step {
		case StepResolved:
			s.resolved++
			s.took = append(s.took, int64(at.Sub(opened)/time.Second))
			return nil
		case StepOpened:
			s.opened++
		default:
			s.changed++
		}
		s.moved++
		open[key] = g
		return nil
	})
	if err != nil {
		return nil, err
	}
	return findingFigures(figures, bounds), nil
}

// findingFigures are the figures of each group, period by period; what was before the
// range is in what is open alone.
func findingFigures(figures *table[FindingGroup, findingSums], bounds []time.Time) []FindingFigures {
	var out []FindingFigures
	for _, g := range figures.inOrder(compareFindingGroups) {
		var held int64
		for i, s := range figures.groups[g] {
			held += s.moved
			if i == 0 {
				continue
			}
			f := FindingFigures{FindingGroup: g, Start: bounds[i-1], End: bounds[i], Opened: s.opened, Changed: s.changed, Resolved: s.resolved, Open: held}
			if len(s.took) > 0 {
				var sum int64
				for _, seconds := range s.took {
					sum += seconds
				}
				f.MedianSeconds, f.P90Seconds, f.MeanSeconds = nearestRank(s.took, 50), nearestRank(s.took, 90), new(sum/int64(len(s.took)))
			}
			out = append(out, f)
		}
	}
	return out
}

func (q *FindingQuery) filters(p *query) string {
	var where strings.Builder
	for _, f := range []struct {
		column string
		values []string
	}{{"consortium", q.Consortia}, {"model", q.Models}, {"scope", q.Scopes}, {"kind", q.Kinds}} {
		if len(f.values) > 0 {
			where.WriteString(" AND " + f.column + " IN " + p.texts(f.values))
		}
	}
	return where.String()
}

func (q *FindingQuery) group(f FindingGroup) FindingGroup {
	var g FindingGroup
	for _, d := range q.GroupBy {
		switch d {
		case ByConsortium:
			g.Consortium = f.Consortium
		case ByModel:
			g.Model = f.Model
		case ByScope:
			g.Scope = f.Scope
		case ByKind:
			g.Kind = f.Kind
		case BySeverity:
			g.Severity = f.Severity
		}
	}
	return g
}

func compareFindingGroups(a, b FindingGroup) int {
	return cmp.Or(cmp.Compare(a.Consortium, b.Consortium), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Severity, b.Severity))
}
