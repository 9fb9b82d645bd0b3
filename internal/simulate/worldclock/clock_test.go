package worldclock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestTheWorldMovesFastUntilItHasCaughtUp(t *testing.T) {
	now := start
	c, err := New(start.Add(-10*time.Hour), start, 11, func() time.Time { return now })
	require.NoError(t, err)
	require.Equal(t, start.Add(-10*time.Hour), c.World())
	now = start.Add(30 * time.Minute)
	require.Equal(t, start.Add(-10*time.Hour).Add(330*time.Minute), c.World())
	now = start.Add(time.Hour)
	require.Equal(t, now, c.World(), "10 hours behind at 11 times the speed take an hour")
	now = start.Add(1000 * time.Hour)
	require.Equal(t, now, c.World())
	now = start.Add(-time.Hour)
	require.Equal(t, start.Add(-10*time.Hour), c.World(), "nothing moves before the start")
}

func TestTheWorldNeverGoesBackNorBeyondThePresent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		behind := time.Duration(rapid.Int64Range(0, int64(1000*24*time.Hour)).Draw(t, "behind"))
		speed := rapid.Float64Range(0.001, 1e6).Draw(t, "speed")
		c, err := New(start.Add(-behind), start, speed, nil)
		require.NoError(t, err)
		a := time.Duration(rapid.Int64Range(0, int64(1000*24*time.Hour)).Draw(t, "a"))
		b := a + time.Duration(rapid.Int64Range(0, int64(1000*24*time.Hour)).Draw(t, "b"))
		first, second := c.At(start.Add(a)), c.At(start.Add(b))
		require.False(t, first.After(second))
		require.False(t, second.After(start.Add(b)))
		require.False(t, first.Before(start.Add(-behind)))
	})
}

func TestAFrozenWorldStandsStill(t *testing.T) {
	now := start
	c, err := New(start, start, 1, func() time.Time { return now })
	require.NoError(t, err)
	c.Freeze(start.Add(time.Hour))
	now = start.Add(30 * time.Minute)
	require.Equal(t, now, c.World(), "it runs until then")
	now = start.Add(2 * time.Hour)
	require.Equal(t, start.Add(time.Hour), c.World())
	require.Equal(t, start.Add(time.Hour), c.Frozen())
	c.Thaw()
	require.Equal(t, now, c.World())
}

func TestLifetimesAreShortenedToWholeSeconds(t *testing.T) {
	c, err := New(start, start, 60, nil)
	require.NoError(t, err)
	require.Equal(t, time.Minute, c.Shorten(time.Hour))
	require.Equal(t, 2*time.Second, c.Shorten(61*time.Second))
	require.Equal(t, time.Second, c.Shorten(5*time.Second))
}

func TestImpossibleWorldsAreRefused(t *testing.T) {
	_, err := New(start, start, 0, nil)
	require.ErrorContains(t, err, "must be positive")
	_, err = New(start.Add(time.Second), start, 1, nil)
	require.ErrorContains(t, err, "in the future")
}
