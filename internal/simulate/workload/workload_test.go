package workload

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func generate(t *testing.T, n int, seed uint64) ([]event.Event, map[int64]Totals) {
	var all []event.Event
	totals, err := Generate(context.Background(), n, seed, func(_ context.Context, batch ...event.Event) error {
		all = append(all, batch...)
		return nil
	})
	require.NoError(t, err)
	return all, totals
}

func TestEventsFollowFromSeedAndNumber(t *testing.T) {
	first, _ := generate(t, 3000, 7)
	second, _ := generate(t, 3000, 7)
	require.Equal(t, first, second)
	other, _ := generate(t, 3000, 8)
	require.NotEqual(t, first, other)
}

func TestEventsAreWellFormedAndUnique(t *testing.T) {
	events, _ := generate(t, 5000, 1)
	require.Len(t, events, 5000)
	registry := event.NewRegistry()
	eve.Register(registry)
	ids := map[uuid.UUID]bool{}
	types := map[event.Type]int{}
	for _, e := range events {
		require.NoError(t, e.Validate())
		require.False(t, ids[e.ID], "id of %s comes twice", e.Key())
		ids[e.ID] = true
		types[e.Type]++
		payload, err := registry.Decode(e)
		require.NoError(t, err)
		again, err := json.Marshal(payload)
		require.NoError(t, err)
		require.Equal(t, string(again), string(e.Data), "must be what the domain's own encoding writes")
	}
	require.Len(t, types, 3)
	require.Equal(t, Characters(5000), types[eve.TypeCharacterRegistered])
}

// The totals are kept while generating; this folds the events themselves.
func TestTotalsAreThoseOfTheEvents(t *testing.T) {
	events, totals := generate(t, 20_000, 3)
	registry := event.NewRegistry()
	eve.Register(registry)
	folded := map[int64]Totals{}
	lastID := map[int64]int64{}
	var lastTime time.Time
	for _, e := range events {
		require.False(t, e.Time.Before(lastTime))
		lastTime = e.Time
		id, ok := e.Stream.CharacterID()
		require.True(t, ok)
		c := folded[id]
		c.Events++
		payload, err := registry.Decode(e)
		require.NoError(t, err)
		switch p := payload.(type) {
		case eve.SectionObserved:
			switch p.Section {
			case eve.SectionDetails:
				c.Details = string(p.Value)
			case eve.SectionLocation:
				c.Location = string(p.Value)
			case eve.SectionWallet:
				c.Wallet = string(p.Value)
			}
		case eve.JournalRecorded:
			for _, entry := range p.Entries {
				require.Equal(t, p.Day, entry.Date.UTC().Format(time.DateOnly))
				require.Greater(t, entry.ID, lastID[id])
				lastID[id] = entry.ID
				amount, err := eve.ParseISK(entry.Amount)
				require.NoError(t, err)
				balance, err := eve.ParseISK(entry.Balance)
				require.NoError(t, err)
				if c.JournalEntries > 0 {
					require.Equal(t, c.Balance+int64(amount), int64(balance))
				}
				c.Balance = int64(balance)
				c.JournalEntries++
				if amount > 0 {
					c.Income += int64(amount)
				} else {
					c.Expense += int64(amount)
				}
			}
		}
		folded[id] = c
	}
	require.Len(t, folded, len(totals))
	for id, want := range totals {
		got := folded[id]
		if got.JournalEntries == 0 {
			got.Balance = want.Balance
		}
		require.Equal(t, want, got)
	}
}

func TestGenerateStopsWithTheFirstError(t *testing.T) {
	full := errors.New("log is full")
	calls := 0
	_, err := Generate(context.Background(), 5000, 1, func(context.Context, ...event.Event) error {
		calls++
		return full
	})
	require.ErrorIs(t, err, full)
	require.Equal(t, 1, calls)
}

func TestGenerateStopsWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Generate(ctx, 5000, 1, func(context.Context, ...event.Event) error {
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
}

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	_, err := Generate(context.Background(), b.N, 1, func(context.Context, ...event.Event) error { return nil })
	require.NoError(b, err)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
