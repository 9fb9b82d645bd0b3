package retention_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/projections/runner"
)

func (o *organisation) look(character int64, at time.Time) {
	o.Helper()
	at = at.Truncate(time.Microsecond) // as the database has it that notes looks first
	v := access.DataViewed{
		ViewerID: "user:bob", ViewerUserID: "bob", OwnerID: "u1", CharacterID: character, Section: "mails", Way: access.ByEverything, FirstAt: at, LastAt: at, Count: 1,
	}
	e, err := event.New(uuid.New(), v.Stream(), "test", at, v)
	require.NoError(o, err)
	require.NoError(o, o.appender.Append(o.Context(), e))
}

// looksInLog are the looks that the log has and no tombstone names.
func (o *organisation) looksInLog() (n int) {
	o.Helper()
	ends, err := o.reader.Ends(o.Context(), event.TopicAccess)
	require.NoError(o, err)
	left := map[string]bool{}
	for at, span := range ends {
		require.NoError(o, o.reader.ReadRange(o.Context(), at, span.Start, span.End, func(rec eventlog.Record) error {
			if left[rec.Key] = rec.Value != nil; !left[rec.Key] {
				delete(left, rec.Key)
			}
			return nil
		}))
	}
	return len(left)
}

// Looks at data of others go when they are too old, and those at a character that is
// forgotten at once: from the log, what is shown now, what is shown over time, and the index.
func TestLooksGoWhenTheyAreOldOrTheirCharacterIsForgotten(t *testing.T) {
	o := newOrganisation(t, chviews.Organisation())
	const forgotten, stays = 1, 2
	for _, id := range []int64{forgotten, stays} {
		o.put(id, o.ago(900), eve.CharacterRegistered{CharacterID: id, Name: "Pilot", UserID: "u1"})
		o.look(id, o.ago(500))
		o.look(id, o.ago(100))
	}
	o.look(0, o.ago(500)) // at a list
	o.look(0, o.ago(10))
	o.put(forgotten, o.ago(1), eve.CharacterForgotten{CharacterID: forgotten, Reason: "asked for"})
	o.look(forgotten, o.ago(0)) // at it as it is after that
	o.verified()
	require.Equal(t, 7, o.looksInLog())

	w := worker.New(o.config(0))
	done, err := w.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, done.Tombstones[retention.ClassAccess], "of the character that stays, and of the list")
	require.Equal(t, 3, o.looksInLog())
	o.settle()
	require.Equal(t, 3, o.count("SELECT count(*) FROM %s.looks"))
	require.Equal(t, 3, o.rows(chviews.OrganisationName, "SELECT count() FROM %s.looks FINAL"))
	require.Equal(t, 3, o.rows(chviews.EventIndexName, "SELECT count() FROM %s.event_index FINAL WHERE type = 'muster.access.data.viewed.v1'"))
	clean, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.Zero(t, clean.Found, "%+v", clean)
	o.verified()
	o.replayed()

	again, err := w.Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, again.Tombstones)

	// A run that says that it applied a policy which it did not is found out.
	lie := again
	lie.RunID, lie.At, lie.Policies.AccessDays = uuid.NewString(), time.Now(), 50
	e, err := event.New(uuid.New(), event.Org, "test", time.Now(), lie)
	require.NoError(t, err)
	require.NoError(t, o.appender.Append(t.Context(), e))
	out, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, out.Found, "the look of a hundred days ago")
}

// Nothing that was told of a character is left in a file of Postgres once it is forgotten: not
// in live tables, in those kept for a rollback, in indexes, statistics or the log.
func TestTheFilesOfPostgresHoldNothingOfWhoIsForgotten(t *testing.T) {
	o := newOrganisation(t)
	const forgotten, stays = 1, 2
	const private, young = "told in confidence 9204", "keep this letter 9204"
	for id, body := range map[int64]string{forgotten: private, stays: young} {
		o.told(id)
		o.put(id, o.ago(1), eve.MailRecorded{Facts: records(id, eve.SectionMails, o.ago(10), o.ago(1), `{"mail_id":99,"timestamp":"2026-01-01T00:00:00Z","subject":"`+body+`"}`)})
	}
	o.settle()
	characters := o.boundOf(pgviews.CharactersName)
	replayed, err := o.runner.Replay(t.Context(), characters, runner.ReplayOptions{})
	require.NoError(t, err)
	require.True(t, replayed.Promoted)
	_, err = o.pool.Exec(t.Context(), "ANALYZE")
	require.NoError(t, err)
	_, err = o.pool.Exec(t.Context(), "CHECKPOINT")
	require.NoError(t, err)
	require.NotEmpty(t, enginetest.PostgresFilesWith(t, o.pool, private))

	o.put(forgotten, o.now, eve.CharacterForgotten{CharacterID: forgotten, Reason: "asked for"})
	config := o.config(0)
	config.Disks = append(config.Disks, worker.Disk{Name: "postgres: rows that were deleted", Clean: pgviews.NewRemnants(o.pool, 64<<20, slog.New(slog.DiscardHandler)).Clean})
	_, err = worker.New(config).Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, enginetest.PostgresFilesWith(t, o.pool, private))
	require.NotEmpty(t, enginetest.PostgresFilesWith(t, o.pool, young))
	o.verified()
}
