package retention_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	worker "github.com/muster-sync/muster/projections/retention"
)

// keys are text keys in memory.
type keys struct {
	mu      sync.Mutex
	alive   map[uuid.UUID]bool
	waiting map[int64]time.Time
}

func (k *keys) DestroyAgain(_ context.Context, _ int64, ids []uuid.UUID) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, id := range ids {
		if k.alive[id] {
			n++
		}
		delete(k.alive, id)
	}
	return n, nil
}

func (k *keys) Alive(_ context.Context, ids []uuid.UUID) (int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var n int64
	for _, id := range ids {
		if k.alive[id] {
			n++
		}
	}
	return n, nil
}

func (k *keys) Waiting(context.Context) (map[int64]time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.waiting), nil
}

func (k *keys) Expired(_ context.Context, done map[int64]time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range done {
		delete(k.waiting, id)
	}
	return nil
}

// A forgotten character's events get their tombstones without a run, and those of
// nobody else. A key that has come back is destroyed again by what the log says, and
// the certificate tells of one that is still there.
func TestWhoIsForgottenDoesNotWaitForTheNextRun(t *testing.T) {
	o := newOrganisation(t)
	o.told(1)
	o.told(2)
	o.settle()
	key, others := uuid.New(), uuid.New()
	k := &keys{alive: map[uuid.UUID]bool{key: true, others: true}, waiting: map[int64]time.Time{1: o.now}}
	config := o.config(0)
	config.Policies.StateDays = 0
	config.Keys = k
	w := worker.New(config)
	removed, err := w.Forget(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed)
	require.NotEmpty(t, k.waiting, "the log does not have the decision yet")

	o.put(1, o.now, eve.CharacterForgotten{CharacterID: 1, Reason: "asked for", KeyIDs: []uuid.UUID{key}})
	removed, err = w.Forget(t.Context())
	require.NoError(t, err)
	require.Positive(t, removed)
	require.Empty(t, k.waiting)
	require.Equal(t, map[uuid.UUID]bool{others: true}, k.alive)
	tombstones, values := o.scan()
	named := 0
	for name := range tombstones {
		stream, _, err := event.ParseKey(name)
		require.NoError(t, err)
		require.NotEqual(t, event.Character(2), stream)
		if stream == event.Character(1) {
			named++
			require.Empty(t, values[name], "it was compacted")
		}
	}
	require.Equal(t, removed, named)
	removed, err = w.Forget(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed)

	k.alive[key] = true
	_, err = w.Run(t.Context())
	require.NoError(t, err)
	require.False(t, k.alive[key])
	o.settle()
	const store = "postgres: keys of forgotten characters"
	certificate, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.Zero(t, certificate.Found)
	require.EqualValues(t, 1, certificate.DestroyedTextKeys)
	require.Contains(t, certificate.Stores, retention.ScannedStore{Name: store})
	k.alive[key] = true
	certificate, err = w.Prove(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, certificate.Found)
	require.Contains(t, certificate.Stores, retention.ScannedStore{Name: store, Found: 1})
}
