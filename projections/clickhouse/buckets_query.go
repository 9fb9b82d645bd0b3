package clickhouse

import (
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Interval is the length of the periods that figures are summed up by.
type Interval string

// The intervals. Weeks begin on Monday; all but hours follow the calendar of the
// time zone, so that a day may be 23 or 25 hours long.
const (
	Hour    Interval = "hour"
	Day     Interval = "day"
	Week    Interval = "week"
	Month   Interval = "month"
	Quarter Interval = "quarter"
	Year    Interval = "year"
)

// Intervals lists the intervals, the shortest first.
func Intervals() []Interval { return []Interval{Hour, Day, Week, Month, Quarter, Year} }

// MaxBuckets is the largest number of periods of one answer.
const MaxBuckets = 10_000

// Bounds are the moments at which the periods of [from, to) begin, and to at the
// end. The first period begins at from and the last ends at to, even if that is
// in the middle of one of the calendar's. Moments are whole seconds, as journal
// entries are; a fraction is rounded up, which keeps the same entries.
//
// It fails with [event.CodeInvalid] if there is nothing between from and to, if
// there would be more than [MaxBuckets] periods, or for an unknown interval.
func Bounds(from, to time.Time, interval Interval, zone *time.Location) ([]time.Time, error) {
	from, to = wholeSecond(from), wholeSecond(to)
	if !slices.Contains(Intervals(), interval) {
		return nil, event.Errorf(event.CodeInvalid, "interval %q: must be one of %v", interval, Intervals())
	}
	if !from.Before(to) {
		return nil, event.Errorf(event.CodeInvalid, "from %s is not before to %s: the range holds nothing", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	if from.Before(firstMoment()) || to.After(lastMoment()) {
		return nil, event.Errorf(event.CodeInvalid, "the range must lie between %s and %s", firstMoment().Format(time.RFC3339), lastMoment().Format(time.RFC3339))
	}
	bounds := []time.Time{from}
	for at := next(from, interval, zone); at.Before(to); at = next(at, interval, zone) {
		if len(bounds) == MaxBuckets {
			return nil, event.Errorf(event.CodeInvalid, "the range has more than %d intervals of one %s: choose a coarser interval or a shorter range", MaxBuckets, interval)
		}
		bounds = append(bounds, at.UTC())
	}
	return append(bounds, to), nil
}

// firstMoment and lastMoment enclose what ClickHouse's DateTime can hold.
func firstMoment() time.Time { return time.Unix(0, 0).UTC() }

func lastMoment() time.Time { return time.Date(2106, 1, 1, 0, 0, 0, 0, time.UTC) }

func wholeSecond(t time.Time) time.Time {
	down := t.UTC().Truncate(time.Second)
	if down.Before(t) {
		return down.Add(time.Second)
	}
	return down
}

// next is the first moment after t at which a period begins.
func next(t time.Time, interval Interval, zone *time.Location) time.Time {
	local := t.In(zone)
	if interval == Hour {
		into := time.Duration(local.Minute())*time.Minute + time.Duration(local.Second())*time.Second
		return local.Add(time.Hour - into)
	}
	year, month, day := local.Date()
	switch interval {
	case Week:
		// Monday is the first day of the week.
		day += 7 - (int(local.Weekday())+6)%7
	case Month:
		month, day = month+1, 1
	case Quarter:
		month, day = month-(month-1)%3+3, 1
	case Year:
		year, month, day = year+1, 1, 1
	default:
		day++
	}
	for {
		// A zone that skips a whole day, as Samoa did, has no such midnight: the
		// period begins where the next day does.
		if at := midnight(year, month, day, zone); at.After(t) {
			return at
		}
		day++
	}
}

// midnight is the first moment of a day in a zone. Where clocks go forward at
// midnight that is one o'clock; where they go back to midnight it is the first
// of the two.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	at := time.Date(year, month, day, 0, 0, 0, 0, zone)
	wanted := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	start, end := at.ZoneBounds()
	if dateOf(at).Before(wanted) && !end.IsZero() {
		return end
	}
	if start.IsZero() {
		return at
	}
	_, offset := at.Zone()
	_, before := start.Add(-time.Second).Zone()
	earlier := at.Add(time.Duration(offset-before) * time.Second)
	if earlier.Before(start) && dateOf(earlier).Equal(wanted) {
		return earlier
	}
	return at
}

// dateOf is the date that calendars show at t, as midnight in UTC.
func dateOf(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
