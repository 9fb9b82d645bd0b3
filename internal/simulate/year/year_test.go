package year_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/simulate/year"
)

func generate(t *testing.T, seed uint64) (events []event.Event, facts []any) {
	t.Helper()
	require.NoError(t, year.Generate(t.Context(), year.Config{Characters: 12, Rows: 9_000, Seed: seed}, func(_ context.Context, some ...event.Event) error {
		events = append(events, some...)
		return nil
	}, func(fact any) {
		switch f := fact.(type) {
		case *year.Entry:
			facts = append(facts, *f)
		case *year.Trade:
			facts = append(facts, *f)
		default:
			facts = append(facts, fact)
		}
	}))
	return events, facts
}

func TestAYearFollowsFromItsSeed(t *testing.T) {
	events, facts := generate(t, 7)
	again, _ := generate(t, 7)
	require.Equal(t, events, again)
	other, _ := generate(t, 8)
	require.NotEqual(t, events, other)
	n := 0
	for _, f := range facts {
		switch f.(type) {
		case year.Entry, year.Trade, *year.Mined, *year.Mail, *year.Notification:
			n++
		}
	}
	require.InDelta(t, 9_000, n, 2_500)
}

func TestEventsOfAYearCanBeReadAndHaveNoMoreThanTheirCopies(t *testing.T) {
	events, facts := generate(t, 7)
	registry := event.NewRegistry()
	eve.Register(registry)
	access.Register(registry)
	seen, types := map[uuid.UUID]event.Event{}, map[event.Type]int{}
	entries := map[[2]int64]bool{}
	for _, e := range events {
		require.NoError(t, e.Validate())
		if before, there := seen[e.ID]; there {
			require.Equal(t, before, e)
		}
		seen[e.ID] = e
		types[e.Type]++
		require.False(t, e.Time.Before(year.Start()))
		require.True(t, e.Time.Before(year.End().Add(time.Hour)))
		payload, err := registry.Decode(e)
		require.NoError(t, err)
		if p, is := payload.(eve.JournalRecorded); is {
			for _, entry := range p.Entries {
				require.Equal(t, p.Day, entry.Date.Format(time.DateOnly))
				entries[[2]int64{p.CharacterID, entry.ID}] = true
			}
		}
	}
	require.Less(t, len(seen), len(events), "some are there twice")
	require.Len(t, types, 20, "%v", types)
	told := 0
	for _, f := range facts {
		if _, is := f.(year.Entry); is {
			told++
		}
	}
	require.Len(t, entries, told)
}
