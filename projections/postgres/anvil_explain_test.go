package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

func TestFindingsOfAllConsortiaAreListedTogether(t *testing.T) {
	v, reader := consortium(t)
	for n := range 7 {
		v.fold(event.Consortium("acme"), at(1), anvil.FindingOpened{Finding: finding(n, at(1).Add(time.Duration(n)*time.Minute))})
		other := finding(100+n, at(1).Add(time.Duration(n)*time.Minute))
		other.ID, other.Severity = uuid.New(), anvil.SeverityHigh
		v.fold(event.Consortium("other"), at(1), anvil.FindingOpened{Finding: other})
	}
	v.fold(event.Consortium("acme"), at(2), anvil.FindingResolved{Finding: finding(0, at(1)), ResolvedAt: at(2)})
	list := func(filter postgres.FindingFilter) map[string]int {
		t.Helper()
		filter.Limit = 3
		counts, seen, last := map[string]int{}, map[uuid.UUID]bool{}, at(23)
		for {
			page, err := reader.AllFindings(t.Context(), filter)
			require.NoError(t, err)
			for _, f := range page {
				require.False(t, seen[f.ID])
				require.False(t, f.Cursor().OpenedAt.After(last))
				seen[f.ID], last = true, f.Cursor().OpenedAt
				counts[f.Consortium]++
			}
			if len(page) < filter.Limit {
				return counts
			}
			filter.Before = new(page[len(page)-1].Cursor())
		}
	}
	require.Equal(t, map[string]int{"acme": 7, "other": 7}, list(postgres.FindingFilter{}))
	require.Equal(t, map[string]int{"acme": 6, "other": 7}, list(postgres.FindingFilter{State: postgres.FindingsOpen}))
	require.Equal(t, map[string]int{"acme": 1}, list(postgres.FindingFilter{State: postgres.FindingsResolved}))
	require.Equal(t, map[string]int{"other": 7}, list(postgres.FindingFilter{Severity: anvil.SeverityHigh, Models: []anvil.Model{anvil.ModelAccounts}}))
	require.Equal(t, map[string]int{"other": 7}, list(postgres.FindingFilter{Consortium: "other"}))
	require.Empty(t, list(postgres.FindingFilter{Models: []anvil.Model{anvil.ModelSharing}}))
}

func TestAFindingKnowsWhereItsEventsLie(t *testing.T) {
	v, reader := consortium(t)
	f := finding(1, at(1))
	declared := written(t, event.Consortium("acme"), at(1), 41, anvil.AccountDeclared{Account: anvil.Account{Email: "record 1", Status: anvil.StatusActive}})
	gone := uuid.New()
	f.Evidence = []anvil.Evidence{
		{Side: anvil.SideDeclared, Kind: anvil.KindAccount, Name: "record 1", EventID: declared.ID},
		{Side: anvil.SideObserved, Kind: anvil.KindAccount, Name: "record 1", EventID: gone},
	}
	batch := v.projection.NewBatch()
	require.NoError(t, batch.Add(declared))
	opened := written(t, event.Consortium("acme"), at(1), 42, anvil.FindingOpened{Finding: f, Reopened: 3})
	require.NoError(t, batch.Add(opened))
	v.enter(batch.(runner.PostgresBatch).Write)

	p, err := reader.FindingPlace(t.Context(), f.ID)
	require.NoError(t, err)
	require.Equal(t, "acme", p.Consortium)
	require.Equal(t, f, p.Finding.Finding)
	require.Equal(t, 3, p.Reopened)
	require.Equal(t, opened.ID, p.EventID)
	require.Equal(t, event.Position{Topic: event.TopicAnVIL, Offset: 42}, p.At)
	require.Equal(t, map[uuid.UUID]event.Position{declared.ID: {Topic: event.TopicAnVIL, Offset: 41}}, p.Evidence, "what was replaced has no place any more")
	_, err = reader.FindingPlace(t.Context(), uuid.New())
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}
