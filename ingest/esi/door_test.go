package esi

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
)

// logFunc is a log that is a function.
type logFunc func(ctx context.Context) error

func (f logFunc) Append(ctx context.Context, _ ...event.Event) error { return f(ctx) }

func TestDoorIsShutWhileAnAppendTakesLong(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	arrived, answer := make(chan struct{}), make(chan struct{})
	d := newDoor(logFunc(func(context.Context) error { close(arrived); <-answer; return nil }))
	d.now = func() time.Time { return now }
	done := make(chan error, 1)
	go func() { done <- d.Append(t.Context()) }()
	<-arrived
	require.False(t, d.closed())
	now = now.Add(slowAppend + time.Millisecond)
	require.True(t, d.closed())

	close(answer)

	require.NoError(t, <-done)
	require.False(t, d.closed())
}

func TestDoorStaysShutForAMomentAfterTheLogWasAway(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	ctx, cancel := context.WithCancel(t.Context())
	d := newDoor(logFunc(func(context.Context) error {
		cancel()
		return event.Errorf(event.CodeUnavailable, "no broker answers")
	}))
	d.now = func() time.Time { return now }
	require.ErrorContains(t, d.Append(ctx), "no broker answers")
	require.True(t, d.closed())
	require.True(t, d.held(90000001, "wallet", now).Deferred)

	now = now.Add(shutFor)

	require.False(t, d.closed(), "somebody has to find out that the log is back")
}

func TestDoorTriesAgainUntilTheLogIsBack(t *testing.T) {
	tries := 0
	d := newDoor(logFunc(func(context.Context) error {
		tries++
		if tries == 1 {
			return event.Errorf(event.CodeUnavailable, "no broker answers")
		}
		return nil
	}))
	require.NoError(t, d.Append(t.Context()))
	require.Equal(t, 2, tries)
	require.False(t, d.closed())
}

func TestDoorDoesNotRepeatWhatTheLogRefuses(t *testing.T) {
	tries := 0
	refusal := event.Errorf(event.CodeInvalid, "too large")
	d := newDoor(logFunc(func(context.Context) error { tries++; return refusal }))
	require.ErrorIs(t, d.Append(t.Context()), refusal)
	require.Equal(t, 1, tries)
	require.False(t, d.closed())
}
