package anvil

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

func TestTheBookKnowsWhichRequestsFaultsBroke(t *testing.T) {
	s, _ := newSim(t, Config{Seed: 1})
	email := s.Declared().ServiceAccount
	once := func(kind fault.Kind) {
		require.NoError(t, s.Faults().Add(fault.Fault{Kind: kind, Count: 1, Delay: fault.Duration(time.Millisecond)}))
	}
	const groups, spaces = "/api/groups/v1", "/api/workspaces?" + WorkspaceFields
	ask(s, groups)
	once(fault.ServerError)
	ask(s, groups)
	once(fault.HTML)
	ask(s, spaces)
	ask(s, groups)
	once(fault.Slow)
	ask(s, spaces)
	require.Equal(t, []Failure{{sam, groups, 2, fault.ServerError}, {rawls, "/api/workspaces", 1, fault.HTML}}, s.Failures(), "of a slow answer nothing is lost")
	require.Empty(t, s.LastFailures(), "all were answered later")

	once(fault.Maintenance)
	ask(s, "/api/users/v1/"+email)
	last := []Failure{{sam, "/api/users/v1/" + email, 1, fault.Maintenance}}
	require.Equal(t, last, s.LastFailures())
	require.Len(t, s.Failures(), 3)

	var shown []Failure
	require.NoError(t, json.Unmarshal([]byte(body(t, ask(s, adminPrefix+"failures"))), &shown))
	require.Equal(t, s.Failures(), shown)
}
