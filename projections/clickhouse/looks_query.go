package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/muster-sync/muster/domain/event"
)

// LookQuery says which looks at data of others to count. Zero fields do not filter.
type LookQuery struct {
	// From is inclusive, To exclusive.
	From, To time.Time
	Interval Interval
	// Zone is the time zone of the calendar; UTC if nil.
	Zone    *time.Location
	GroupBy []Dimension

	// Owner is whose data was looked at, as it was owned then.
	Owner string
	// Viewers are the users who looked.
	Viewers, Sections []string
	CharacterIDs      []int64
}

// LookGroup is what figures are of. Fields of dimensions that were not asked for are
// empty.
type LookGroup struct {
	Section string
	// Viewer is who looked, as a principal.
	Viewer string
	// Owner is empty for orphans and lists.
	Owner string
	Way   string
}

// LookFigures are the looks of one group in one period.
type LookFigures struct {
	LookGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Looks counts looks, Entries the entries of the log that tell of them.
	Looks, Entries int64
	// Viewers, Owners and Characters count those who looked and what was looked at, each
	// once. A list has no owner and no character.
	Viewers, Owners, Characters int64
}

// Looks counts looks by group and period. Groups come in order, each with all its
// periods. Looks that are told together count for when the last of them was. Those at a
// character that was forgotten since are told no more.
//
// It fails with [event.CodeInvalid] for a question that cannot be or goes over the
// budget, and with [event.CodeUnavailable] if the projection or ClickHouse is not there.
func (r *OrganisationReader) Looks(ctx context.Context, q LookQuery) ([]LookFigures, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	if err := checkDimensions(q.GroupBy, []Dimension{BySection, ByViewer, ByOwner, ByWay}); err != nil {
		return nil, err
	}
	bounds, err := Bounds(q.From, q.To, q.Interval, q.Zone)
	if err != nil {
		return nil, err
	}
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	periods := len(bounds) - 1
	figures := newTable[LookGroup, LookFigures](periods, q.GroupBy)
	p := &query{}
	n := 0
	sql := q.sql(p, database, bounds)
	err = r.each(ctx, "counting looks", sql, p, func(rows driver.Rows) error {
		var g LookGroup
		var bucket uint32
		var f LookFigures
		var looks int64
		var counts [4]uint64
		if err := rows.Scan(&bucket, &g.Section, &g.Viewer, &g.Owner, &g.Way, &looks, &counts[0], &counts[1], &counts[2], &counts[3]); err != nil {
			return err
		}
		if n++; n > MaxFigures {
			return event.Errorf(event.CodeInvalid, "the answer would have more than %d figures: choose a coarser interval, a shorter range, fewer dimensions or a filter", MaxFigures)
		}
		list, err := figures.of(g)
		if err != nil {
			return err
		}
		f.Looks, f.Entries, f.Viewers, f.Owners, f.Characters = looks, int64(counts[0]), int64(counts[1]), int64(counts[2]), int64(counts[3])
		list[periodOf(bounds, time.Unix(int64(bucket), 0))] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []LookFigures
	for _, g := range figures.inOrder(func(a, b LookGroup) int {
		return cmp.Or(strings.Compare(a.Section, b.Section), strings.Compare(a.Viewer, b.Viewer), strings.Compare(a.Owner, b.Owner), strings.Compare(a.Way, b.Way))
	}) {
		for i, f := range figures.groups[g] {
			f.LookGroup, f.Start, f.End = g, bounds[i], bounds[i+1]
			out = append(out, f)
		}
	}
	return out, nil
}

func (q *LookQuery) sql(p *query, database string, bounds []time.Time) string {
	by := func(d Dimension, column string) string {
		if slices.Contains(q.GroupBy, d) {
			return "toString(" + column + ")"
		}
		return "''"
	}
	where := fmt.Sprintf("last_at >= toDateTime64(%s, 3, 'UTC') AND last_at < toDateTime64(%s, 3, 'UTC')", p.moment(bounds[0]), p.moment(bounds[len(bounds)-1]))
	if q.Owner != "" {
		where += " AND owner_id = " + p.text(q.Owner)
	}
	if len(q.Viewers) > 0 {
		where += " AND viewer_user_id IN " + p.texts(q.Viewers)
	}
	if len(q.Sections) > 0 {
		where += " AND section IN " + p.texts(q.Sections)
	}
	if len(q.CharacterIDs) > 0 {
		where += " AND character_id IN " + p.integers(q.CharacterIDs)
	}
	return fmt.Sprintf(`SELECT roundDown(toUInt32(toUnixTimestamp(l.last_at)), %s) AS bucket, %s AS section_, %s AS viewer_, %s AS owner_, %s AS way_,
			sum(l.count) AS looks, count() AS entries, uniqExact(l.viewer_id) AS viewers, uniqExactIf(l.owner_id, l.owner_id != '') AS owners, uniqExactIf(l.character_id, l.character_id != 0) AS characters
		FROM (SELECT * FROM %[6]s.looks FINAL WHERE %[7]s) AS l
		LEFT ANY JOIN (SELECT character_id, max(forgotten_at) AS forgotten_at FROM %[6]s.forgettings GROUP BY character_id) AS f ON f.character_id = l.character_id
		WHERE l.last_at > f.forgotten_at GROUP BY bucket, section_, viewer_, owner_, way_ LIMIT %[8]d`+finalByPartition,
		startsOf(bounds[:len(bounds)-1]), by(BySection, "l.section"), by(ByViewer, "l.viewer_id"), by(ByOwner, "l.owner_id"), by(ByWay, "l.way"), database, where, MaxFigures+1)
}
