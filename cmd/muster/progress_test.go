package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPaceIsThatOfTheLaterHalf(t *testing.T) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var p pace
	require.Zero(t, p.rate())
	// Half of it was there before.
	p.note(at, 1_000_000)
	require.Zero(t, p.rate())
	done := int64(1_000_000)
	pass := func(seconds int, perSecond int64) {
		for range seconds {
			at, done = at.Add(time.Second), done+perSecond
			p.note(at, done)
		}
	}
	pass(100, 1000)
	require.InDelta(t, 1000, p.rate(), 1)
	// From now on it is half as fast, which counts when as much time has passed again.
	pass(100, 500)
	require.InDelta(t, 500, p.rate(), 10)
	pass(2000, 500)
	require.InDelta(t, 500, p.rate(), 1)
	require.LessOrEqual(t, len(p.notes), pacedNotes)
}
