package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/query/api"
)

func TestTheServiceManagerIsToldWhenAllIsReady(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer func() { require.NoError(t, manager.Close()) }()
	t.Setenv("NOTIFY_SOCKET", socket)
	var asked atomic.Int32
	checks := []api.Check{{Name: "kafka", Ready: func(context.Context) error {
		if asked.Add(1) < 3 {
			return errors.New("no broker answers")
		}
		return nil
	}}}
	require.NoError(t, announce(t.Context(), checks))
	require.EqualValues(t, 3, asked.Load(), "nothing is told before")
	message := make([]byte, 64)
	n, err := manager.Read(message)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(message[:n]))
}

func TestWithoutAServiceManagerNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	require.NoError(t, announce(t.Context(), nil))
	ended, end := context.WithCancel(t.Context())
	end()
	never := []api.Check{{Name: "kafka", Ready: func(context.Context) error { return errors.New("away") }}}
	require.ErrorIs(t, announce(ended, never), context.Canceled)
}
