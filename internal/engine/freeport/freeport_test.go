package freeport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/freeport"
)

func TestPortsAreFreeAndDifferent(t *testing.T) {
	ports, err := freeport.Find(t.Context(), 20)
	require.NoError(t, err)
	require.Len(t, ports, 20)
	seen := make(map[int]bool)
	for _, port := range ports {
		require.False(t, seen[port])
		seen[port] = true
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		require.NoError(t, err)
		require.NoError(t, listener.Close())
	}
}
