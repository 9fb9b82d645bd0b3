package event_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
)

func TestTheOutermostCodeCounts(t *testing.T) {
	f := func(err error, want event.Code) {
		t.Helper()
		require.Equal(t, want, event.CodeOf(err))
	}
	conflict := event.Errorf(event.CodeConflict, "at version %d", 7)
	f(nil, "")
	f(io.EOF, event.CodeInternal)
	f(conflict, event.CodeConflict)
	f(fmt.Errorf("declaring: %w", conflict), event.CodeConflict)
	f(fmt.Errorf("%w and %w", io.EOF, conflict), event.CodeConflict)
	f(errors.Join(io.EOF, conflict), event.CodeConflict)
	f(event.Errorf(event.CodePoisoned, "folding: %w", conflict), event.CodePoisoned)
	f(fmt.Errorf("again: %w", event.Errorf(event.CodePoisoned, "folding: %w", conflict)), event.CodePoisoned)
}

func TestErrorsKeepWhatTheyWrap(t *testing.T) {
	conflict := event.Errorf(event.CodeConflict, "at version 7")
	err := event.Errorf(event.CodeUnavailable, "reading: %w, then %w, then %w", io.ErrUnexpectedEOF, fs.ErrClosed, conflict)
	require.EqualError(t, err, "reading: unexpected EOF, then file already closed, then at version 7")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, err, conflict)
	require.ErrorIs(t, event.Errorf(event.CodeInternal, "once: %w", io.EOF), io.EOF)
	require.NotErrorIs(t, event.Errorf(event.CodeInternal, "never: %v", io.EOF), io.EOF)
}
