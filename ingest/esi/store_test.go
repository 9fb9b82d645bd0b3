package esi

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestOneThatWasOvertakenLeavesTheOthersOfItsRoundTripAlone(t *testing.T) {
	pool := enginetest.Postgres(t)
	require.NoError(t, schema.Migrate(t.Context(), pool))
	s := newStore(pool, pool)
	section := simple(eve.SectionLocation, Sections(Options{})[0].Parts[0].Route)
	at := time.Date(2026, time.August, 4, 11, 0, 0, 0, time.UTC)
	pages := [][]transport.Page{{{ETag: `"new"`}}}
	require.NoError(t, s.commit(t.Context(), 3, section, 0, taken{next: state{ValidatedAt: at}}), "the third has been read before")

	// They come at once, and only the third does not know of its row.
	var all sync.WaitGroup
	failures := make([]error, 6)
	for character := range failures {
		all.Go(func() {
			failures[character] = s.commit(t.Context(), int64(character), section, 0, taken{next: state{ValidatedAt: at.Add(time.Hour)}, parts: pages})
		})
	}
	all.Wait()

	for character, err := range failures {
		known, loadErr := s.load(t.Context(), int64(character), section)
		require.NoError(t, loadErr)
		if character == 3 {
			require.ErrorIs(t, err, errOvertaken)
			require.Equal(t, at, known.ValidatedAt)
			require.Empty(t, known.parts[0], "what goes with a state goes back with it")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, at.Add(time.Hour), known.ValidatedAt)
		require.Equal(t, pages[0], known.parts[0])
	}
}

func TestWhatIsForgottenIsNeitherReadNorWrittenWithTheOthers(t *testing.T) {
	pool := enginetest.Postgres(t)
	require.NoError(t, schema.Migrate(t.Context(), pool))
	s := newStore(pool, pool)
	section := simple(eve.SectionLocation, Sections(Options{})[0].Parts[0].Route)
	_, err := pool.Exec(t.Context(), "INSERT INTO ingest.forgotten (character_id, at) VALUES (2, now())")
	require.NoError(t, err)

	var all sync.WaitGroup
	for character := range int64(4) {
		all.Go(func() {
			_, err := s.load(t.Context(), character, section)
			require.Equal(t, character == 2, err != nil)
			st := state{}
			err = s.begin(t.Context(), character, section.Name, &st, &pending{})
			require.Equal(t, character == 2, err != nil)
			err = s.commit(t.Context(), character, section, st.revision, taken{})
			require.Equal(t, character == 2, err != nil)
		})
	}
	all.Wait()
}
