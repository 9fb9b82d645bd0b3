package clickhouse_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	require.NoError(t, err)
	return z
}

func utc(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return at.UTC()
}

func TestPeriodsFollowTheCalendarOfTheZone(t *testing.T) {
	f := func(name, from, to string, interval clickhouse.Interval, zoneName string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			bounds, err := clickhouse.Bounds(utc(t, from), utc(t, to), interval, zone(t, zoneName))
			require.NoError(t, err)
			var got []string
			for _, b := range bounds {
				got = append(got, b.Format(time.RFC3339))
			}
			require.Equal(t, want, got)
		})
	}
	f("the first and the last period are cut to the range", "2026-01-01T12:30:00Z", "2026-01-03T06:00:00Z", clickhouse.Day, "UTC",
		"2026-01-01T12:30:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-03T06:00:00Z")
	f("fractions of seconds are rounded up", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:01.001Z", clickhouse.Hour, "UTC",
		"2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z")
	f("hours of a zone off by half an hour", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", clickhouse.Hour, "Asia/Kolkata",
		"2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z", "2026-01-01T01:30:00Z", "2026-01-01T02:00:00Z")
	f("a day of 23 hours", "2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z", clickhouse.Day, "Europe/Berlin",
		"2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z")
	f("a day of 25 hours", "2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z", clickhouse.Day, "Europe/Berlin",
		"2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z")
	f("the hour that comes twice is two hours", "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z", clickhouse.Hour, "Europe/Berlin",
		"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z")
	f("clocks go forward at midnight", "2017-10-14T03:00:00Z", "2017-10-16T02:00:00Z", clickhouse.Day, "America/Sao_Paulo",
		"2017-10-14T03:00:00Z", "2017-10-15T03:00:00Z", "2017-10-16T02:00:00Z")
	f("clocks go back to midnight", "2018-11-03T04:00:00Z", "2018-11-05T05:00:00Z", clickhouse.Day, "America/Havana",
		"2018-11-03T04:00:00Z", "2018-11-04T04:00:00Z", "2018-11-05T05:00:00Z")
	f("a day that never was", "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z", clickhouse.Day, "Pacific/Apia",
		"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z")
	f("weeks begin on Monday", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z", clickhouse.Week, "UTC",
		"2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z", "2026-01-13T00:00:00Z")
	f("months", "2026-01-31T00:00:00Z", "2026-03-02T00:00:00Z", clickhouse.Month, "UTC",
		"2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
	f("quarters", "2025-11-15T00:00:00Z", "2026-07-01T00:00:00Z", clickhouse.Quarter, "UTC",
		"2025-11-15T00:00:00Z", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z")
	f("years", "2024-02-29T00:00:00Z", "2026-01-01T00:00:00Z", clickhouse.Year, "UTC",
		"2024-02-29T00:00:00Z", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
}

func TestRangesThatCannotBeAnsweredAreRefused(t *testing.T) {
	f := func(from, to string, interval clickhouse.Interval, why string) {
		t.Helper()
		_, err := clickhouse.Bounds(utc(t, from), utc(t, to), interval, time.UTC)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, why)
	}
	f("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", clickhouse.Day, "not before")
	f("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", clickhouse.Day, "not before")
	f("2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z", clickhouse.Hour, "coarser interval")
	f("1969-01-01T00:00:00Z", "2026-01-01T00:00:00Z", clickhouse.Year, "between")
	f("2026-01-01T00:00:00Z", "2206-01-01T00:00:00Z", clickhouse.Year, "between")
	f("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "fortnight", "fortnight")
}

func TestAsManyPeriodsAsAllowedAreAnswered(t *testing.T) {
	from := utc(t, "2024-01-01T00:00:00Z")
	bounds, err := clickhouse.Bounds(from, from.Add(clickhouse.MaxBuckets*time.Hour), clickhouse.Hour, time.UTC)
	require.NoError(t, err)
	require.Len(t, bounds, clickhouse.MaxBuckets+1)
	_, err = clickhouse.Bounds(from, from.Add(clickhouse.MaxBuckets*time.Hour+time.Second), clickhouse.Hour, time.UTC)
	require.ErrorContains(t, err, "coarser interval")
}

func TestPeriodsCoverTheRangeWithoutGapInAnyZone(t *testing.T) {
	names := []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo", "America/Havana", "Asia/Kathmandu"}
	rapid.Check(t, func(rt *rapid.T) {
		z := zone(t, rapid.SampledFrom(names).Draw(rt, "zone"))
		interval := rapid.SampledFrom(clickhouse.Intervals()).Draw(rt, "interval")
		from := time.Unix(rapid.Int64Range(900_000_000, 1_800_000_000).Draw(rt, "from"), 0)
		to := from.Add(time.Duration(rapid.IntRange(1, 400*24*3600).Draw(rt, "seconds")) * time.Second)
		bounds, err := clickhouse.Bounds(from, to, interval, z)
		require.NoError(rt, err)
		require.True(rt, bounds[0].Equal(from))
		require.True(rt, bounds[len(bounds)-1].Equal(to))
		for i := 1; i < len(bounds); i++ {
			require.True(rt, bounds[i-1].Before(bounds[i]))
			if i == len(bounds)-1 || interval == clickhouse.Hour {
				continue
			}
			local := bounds[i].In(z)
			before := bounds[i].Add(-time.Second).In(z)
			require.NotEqual(rt, before.Format(time.DateOnly), local.Format(time.DateOnly), "a period begins with a day")
		}
	})
}
