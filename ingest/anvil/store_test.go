package anvil_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

// Every state store keeps these rules; the tests' own as well, so that what is
// tested with it holds for Postgres.
func TestStateStores(t *testing.T) {
	stores := map[string]func(t *testing.T) (anvil.StateStore, func() anvil.StateStore){
		"memory": func(*testing.T) (anvil.StateStore, func() anvil.StateStore) {
			s := &memoryStore{}
			return s, func() anvil.StateStore { return s }
		},
		"postgres": func(t *testing.T) (anvil.StateStore, func() anvil.StateStore) {
			pool := enginetest.Postgres(t)
			open := func() anvil.StateStore {
				s, err := anvil.NewPostgresStore(t.Context(), pool)
				require.NoError(t, err)
				return s
			}
			return open(), open
		},
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			store, reopen := open(t)
			testStore(t, store, reopen)
		})
	}
}

func testStore(t *testing.T, store anvil.StateStore, reopen func() anvil.StateStore) {
	ctx := t.Context()
	key := domain.RecordKey{Kind: domain.KindGroupMembers, Name: "g1"}
	list := domain.RecordKey{Kind: domain.KindGroupList}
	first, second := uuid.New(), uuid.New()

	session, err := store.Begin(ctx, stream)
	require.NoError(t, err)
	require.Empty(t, session.Marks())
	require.Nil(t, session.Pending())
	_, err = store.Begin(ctx, stream)
	require.Equal(t, event.CodeConflict, event.CodeOf(err), "one sweep of a stream at a time")

	e, err := event.New(first, stream, anvil.Source, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		domain.GroupMembersObserved{Group: "g1", Reading: domain.Reading[[]string]{Response: domain.Response{Status: 200}, Value: []string{"<a&b>@example.com"}}})
	require.NoError(t, err)
	e.CorrelationID = "sweep"
	marks := map[domain.RecordKey]anvil.Mark{key: {Hash: "h1", EventID: first}, list: {Hash: "h2", EventID: second}}
	require.NoError(t, session.Prepare(ctx, anvil.Batch{Events: []event.Event{e}, Marks: marks}))
	require.Empty(t, session.Marks(), "prepared is not committed")
	session.Close()

	store = reopen()
	session, err = store.Begin(ctx, stream)
	require.NoError(t, err)
	require.Equal(t, []event.Event{e}, session.Pending(), "a prepared batch outlives its session, byte for byte")
	require.Error(t, session.Prepare(ctx, anvil.Batch{Events: []event.Event{e}}), "only one batch may be pending")
	require.NoError(t, session.Commit(ctx))
	require.Nil(t, session.Pending())
	require.Equal(t, marks, session.Marks())
	require.NoError(t, session.Prepare(ctx, anvil.Batch{Events: []event.Event{e}, Marks: map[domain.RecordKey]anvil.Mark{key: {Hash: "h3", EventID: second}}}))
	require.NoError(t, session.Commit(ctx))
	session.Close()

	session, err = reopen().Begin(ctx, stream)
	require.NoError(t, err)
	require.Equal(t, map[domain.RecordKey]anvil.Mark{key: {Hash: "h3", EventID: second}, list: {Hash: "h2", EventID: second}}, session.Marks())
	require.Nil(t, session.Pending())
	session.Close()
}

func TestPostgresStoreKeepsStreamsApart(t *testing.T) {
	store, err := anvil.NewPostgresStore(t.Context(), enginetest.Postgres(t))
	require.NoError(t, err)
	one, err := store.Begin(t.Context(), event.Consortium("one"))
	require.NoError(t, err)
	defer one.Close()
	two, err := store.Begin(t.Context(), event.Consortium("two"))
	require.NoError(t, err, "another consortium may be swept at the same time")
	defer two.Close()
	e, err := event.New(uuid.New(), event.Consortium("one"), anvil.Source, time.Now(), domain.GroupListObserved{})
	require.NoError(t, err)
	require.NoError(t, one.Prepare(t.Context(), anvil.Batch{
		Events: []event.Event{e},
		Marks:  map[domain.RecordKey]anvil.Mark{{Kind: domain.KindGroupList}: {Hash: "h", EventID: e.ID}},
	}))
	require.NoError(t, one.Commit(t.Context()))
	require.Empty(t, two.Marks())
}
