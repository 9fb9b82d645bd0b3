package live

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/runner"
)

type source struct {
	mu    sync.Mutex
	asked int
	err   error
	space string
}

func (s *source) Live(_ context.Context, projection string) (runner.Generation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return runner.Generation{Projection: projection, Namespace: projection + s.space}, s.err
}

func TestAnswersAreBelievedForAWhile(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &source{space: "_g1"}
	g := New(s)
	g.now = func() time.Time { return now }

	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			name, err := g.Namespace(t.Context(), "wallet")
			if err != nil || name != "wallet_g1" {
				t.Errorf("got %q, %v", name, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, s.asked)

	s.space = "_g2"
	now = now.Add(DefaultFor)
	name, err := g.Namespace(t.Context(), "wallet")
	require.NoError(t, err)
	require.Equal(t, "wallet_g2", name)
}

func TestFailuresAreNotRemembered(t *testing.T) {
	s := &source{err: errors.New("away")}
	g := New(s)
	_, err := g.Namespace(t.Context(), "wallet")
	require.ErrorContains(t, err, "away")
	s.err = nil
	name, err := g.Namespace(t.Context(), "wallet")
	require.NoError(t, err)
	require.Equal(t, "wallet", name)
}
