package retention_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/projections/runner"
)

// generationsOf are the generations of a projection with that status.
func (o *organisation) generationsOf(name string, status runner.Status) []runner.Generation {
	o.Helper()
	all, err := o.control.Generations(o.Context(), name)
	require.NoError(o, err)
	var found []runner.Generation
	for _, g := range all {
		if g.Status == status {
			found = append(found, g)
		}
	}
	return found
}

func (o *organisation) boundOf(name string) runner.Bound {
	for _, b := range o.bound {
		if b.Name == name {
			return b
		}
	}
	o.Fatalf("no projection %s", name)
	return runner.Bound{}
}

// leftOf counts the rows of a character in the tables of a generation.
func (o *organisation) leftOf(g runner.Generation, id int64, tables ...string) (n int) {
	o.Helper()
	for _, table := range tables {
		var rows int64
		if g.Projection == pgviews.CharactersName {
			require.NoError(o, o.pool.QueryRow(o.Context(), fmt.Sprintf("SELECT count(*) FROM %s.%s WHERE character_id = %d", g.Namespace, table, id)).Scan(&rows))
		} else {
			require.NoError(o, o.conn.QueryRow(o.Context(), fmt.Sprintf("SELECT toInt64(count()) FROM `%s`.%s WHERE character_id = %d", g.Namespace, table, id)).Scan(&rows))
		}
		n += int(rows)
	}
	return n
}

// What is kept for a rollback lets go of what is removed and forgotten, as what is live
// does, and can be gone back to all the same. What could not let go is dropped.
func TestGenerationsThatAreNotLiveLetGoToo(t *testing.T) {
	o := newOrganisation(t)
	const forgotten, stays = 1, 2
	o.told(forgotten)
	o.told(stays)
	o.settle()
	characters, wallet, records := o.boundOf(pgviews.CharactersName), o.boundOf(chviews.WalletName), o.boundOf(chviews.RecordsName)
	for _, b := range []runner.Bound{characters, wallet} {
		result, err := o.runner.Replay(t.Context(), b, runner.ReplayOptions{})
		require.NoError(t, err)
		require.True(t, result.Promoted)
	}
	// One that is of another version, and one whose build nobody goes on with.
	_, err := o.pool.Exec(t.Context(), `UPDATE runner.generations SET version = version - 1 WHERE name = $1 AND status = 'retired'`, chviews.WalletName)
	require.NoError(t, err)
	building, stop := context.WithCancel(t.Context())
	_, err = o.runner.Replay(building, records, runner.ReplayOptions{Progress: func(p runner.Progress) {
		if p.Phase == "catching up" {
			stop()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, o.generationsOf(chviews.RecordsName, runner.StatusBuilding), 1)

	w := worker.New(o.config(360))
	purged := o.config(360)
	purged.Purge = nil
	o.put(forgotten, o.now, eve.CharacterForgotten{CharacterID: forgotten, Reason: "asked for"})
	_, err = worker.New(purged).Run(t.Context())
	require.NoError(t, err)
	retired := o.generationsOf(pgviews.CharactersName, runner.StatusRetired)
	require.Len(t, retired, 1)
	require.Positive(t, o.leftOf(retired[0], forgotten, "records", "items", "sections"))
	o.settle()
	found, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.Positive(t, found.Found, "a generation that is not live still has it")

	_, err = w.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, o.leftOf(retired[0], forgotten, "records", "items", "sections", "identities"))
	o.settle()
	shown := o.generationsOf(pgviews.CharactersName, runner.StatusLive)[0]
	require.Positive(t, o.leftOf(shown, stays, "records"))
	require.Equal(t, o.leftOf(shown, stays, "records", "items", "mailing_list_names"), o.leftOf(retired[0], stays, "records", "items", "mailing_list_names"))
	require.Empty(t, o.generationsOf(chviews.WalletName, runner.StatusRetired), "of another version")
	require.Empty(t, o.generationsOf(chviews.RecordsName, runner.StatusBuilding))
	for _, name := range []string{chviews.WalletName, chviews.RecordsName} {
		gone := o.generationsOf(name, runner.StatusDropped)
		require.Len(t, gone, 1)
		var databases uint64
		require.NoError(t, o.conn.QueryRow(t.Context(), "SELECT count() FROM system.databases WHERE name = ?", gone[0].Namespace).Scan(&databases))
		require.Zero(t, databases)
	}
	o.settle()
	clean, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.Zero(t, clean.Found, "%+v", clean.Stores)
	require.Contains(t, clean.Stores, retention.ScannedStore{Name: "tombstones that " + retired[0].Namespace + " has not applied"})

	_, err = o.runner.Rollback(t.Context(), wallet)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "it held what retention has removed since")
	back, err := o.runner.Rollback(t.Context(), characters)
	require.NoError(t, err)
	require.Equal(t, retired[0].Number, back.Number)
	o.verified()
	o.replayed()
}
