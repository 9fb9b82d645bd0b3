package esi

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOfSeveralCallersOneDoesTheWork(t *testing.T) {
	var f flights[int]
	arrived, answer := make(chan struct{}), make(chan struct{})
	type result struct {
		value int
		mine  bool
		err   error
	}
	first := make(chan result, 1)
	go func() {
		value, mine, err := f.do(t.Context(), "wallet", func() (int, error) { close(arrived); <-answer; return 7, nil })
		first <- result{value, mine, err}
	}()
	<-arrived

	given, giveUp := context.WithCancelCause(t.Context())
	giveUp(errors.New("the program is stopping"))
	_, mine, err := f.do(given, "wallet", func() (int, error) { return 8, nil })
	require.False(t, mine)
	require.EqualError(t, err, "the program is stopping")
	value, mine, err := f.do(t.Context(), "location", func() (int, error) { return 9, nil })
	require.NoError(t, err)
	require.True(t, mine, "another key is other work")
	require.Equal(t, 9, value)

	close(answer)
	require.Equal(t, result{7, true, nil}, <-first)
	value, mine, err = f.do(t.Context(), "wallet", func() (int, error) { return 8, nil })
	require.NoError(t, err)
	require.True(t, mine, "what is over is done anew")
	require.Equal(t, 8, value)
}

func TestWhoJoinsAPanicIsNotLeftWaiting(t *testing.T) {
	var f flights[int]
	require.Panics(t, func() { _, _, _ = f.do(t.Context(), "wallet", func() (int, error) { panic("bug") }) })
	value, mine, err := f.do(t.Context(), "wallet", func() (int, error) { return 8, nil })
	require.NoError(t, err)
	require.True(t, mine)
	require.Equal(t, 8, value)
}
