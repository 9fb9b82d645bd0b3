package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ByClass is the class of failures.
const ByClass Dimension = "class"

// SyncFigures are what the log says of the sync of sections of one group in one period.
// A section counts once for each character.
type SyncFigures struct {
	RecordGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Told counts readings that told something new. Failed counts spells of failures
	// that began or became one of another class, Recovered those that ended.
	Told, Failed, Recovered int64
	// Sections counts those that were told or failed before the end, Failing those of
	// them that could not be read at the end.
	Sections, Failing int64
	// MedianAge and P95Age are how many seconds before the end those that were told had
	// last told something new; by nearest rank, nil of none.
	MedianAge, P95Age *int64

	ages []int64
}

// Sync counts what the log says of the sync by group and period. Groups come in order,
// each with all its periods. The class is that of the failure; what has to do with none
// has the empty one. A section of a character counts for the corporation that the
// character is in at the end of the period. It fails like [RecordReader.Contracts].
func (r *RecordReader) Sync(ctx context.Context, q RecordQuery) ([]SyncFigures, error) {
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation, BySection, ByClass)
	if err != nil {
		return nil, err
	}
	f := syncFold{periodFigures: newPeriodFigures[SyncFigures](&q, bounds), where: where, periods: make([]syncPeriod, len(bounds))}
	p := &query{}
	pairs := 0
	err = r.each(ctx, "steps of the sync", syncSQL(&q, p, database, bounds, r.facts.budget.Facts+1), p, func(rows driver.Rows) error {
		var section string
		var character int64
		var bucket uint32
		var s syncPeriod
		if err := rows.Scan(&section, &character, &bucket, &s.told, &s.last, &s.failures, &s.recovered, &s.stepped, &s.class); err != nil {
			return err
		}
		if section != f.section || character != f.character {
			if pairs++; pairs*len(bounds) > r.facts.budget.Facts {
				return r.facts.budget.tooMany("states of sections at the ends of intervals")
			}
			if err := f.flush(); err != nil {
				return err
			}
			f.section, f.character = section, character
		}
		f.periods[periodOf(bounds, time.Unix(int64(bucket), 0))+1] = s
		return nil
	})
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		return nil, err
	}
	return f.all(func(f *SyncFigures, g RecordGroup, start, end time.Time) {
		f.RecordGroup, f.Start, f.End = g, start, end
		f.MedianAge, f.P95Age = rank(f.ages, 50), rank(f.ages, 95)
	}), nil
}

// rank is the percentile of values by nearest rank; nil of none.
func rank(values []int64, percent int) *int64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return new(values[(len(values)*percent+99)/100-1])
}

// syncSQL takes one row for each section of a character and period; what was before the
// range has a bucket of its own, that begins with time.
func syncSQL(q *RecordQuery, p *query, database string, bounds []time.Time, limit int) string {
	sections := ""
	if len(q.Kinds) > 0 {
		sections = " AND section IN " + p.texts(q.Kinds)
	}
	return fmt.Sprintf(`SELECT section, character_id, roundDown(toUInt32(toUnixTimestamp(at)), %[1]s) AS bucket,
			uniqExactIf(at, step = '%[2]s') AS told, maxIf(at, step = '%[2]s') AS last, arraySort(groupArrayIf(toString(class), step = '%[3]s')) AS failures,
			countIf(step = '%[4]s') AS recovered, countIf(step != '%[2]s') AS stepped, argMaxIf(if(step = '%[3]s', toString(class), ''), (at, log_offset), step != '%[2]s') AS now
		FROM %[5]s.sync_steps FINAL WHERE at < toDateTime64(%[6]s, 3, 'UTC')%[7]s%[8]s
		GROUP BY section, character_id, bucket ORDER BY section, character_id, bucket LIMIT %[9]d`+finalByPartition,
		startsOf(append([]time.Time{firstMoment()}, bounds[:len(bounds)-1]...)), StepTold, StepFailed, StepRecovered,
		database, p.moment(bounds[len(bounds)-1]), q.filters(p, false), sections, limit)
}

// syncPeriod is what happened to one section of one character in one period.
type syncPeriod struct {
	told, recovered uint64
	last            time.Time
	// failures are the classes of those that began.
	failures []string
	// stepped counts those that began or ended; class is that of the failure at the end,
	// empty if it can be read.
	stepped uint64
	class   string
}

type syncFold struct {
	periodFigures[SyncFigures]

	where     memberships
	section   string
	character int64
	// periods begin with what was before the range.
	periods []syncPeriod
}

// flush counts a section of a character.
func (f *syncFold) flush() error {
	defer func() { clear(f.periods) }()
	if f.section == "" {
		return nil
	}
	var last time.Time
	known, class := false, ""
	for i, s := range f.periods {
		known = known || s.told > 0 || s.stepped > 0
		if s.told > 0 {
			last = s.last
		}
		if s.stepped > 0 {
			class = s.class
		}
		if i == 0 || !known {
			continue
		}
		end := f.bounds[i].Add(-time.Nanosecond)
		g := RecordGroup{FactGroup: FactGroup{CharacterID: f.character, CorporationID: f.where.at(f.character, end)}, Kind: f.section}
		of := func(class string, add func(*SyncFigures)) error {
			g.Status = class
			return f.add(end, g, add)
		}
		if s.told+s.recovered > 0 {
			if err := of("", func(f *SyncFigures) { f.Told, f.Recovered = f.Told+int64(s.told), f.Recovered+int64(s.recovered) }); err != nil {
				return err
			}
		}
		for _, began := range s.failures {
			if err := of(began, func(f *SyncFigures) { f.Failed++ }); err != nil {
				return err
			}
		}
		if err := of(class, func(a *SyncFigures) {
			a.Sections++
			if class != "" {
				a.Failing++
			}
			if !last.IsZero() {
				a.ages = append(a.ages, int64(f.bounds[i].Sub(last)/time.Second))
			}
		}); err != nil {
			return err
		}
	}
	return nil
}
