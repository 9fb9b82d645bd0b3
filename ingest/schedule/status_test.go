package schedule_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/schedule"
)

func status(t *testing.T, r *rig, character int64, section eve.Section) schedule.SectionStatus {
	t.Helper()
	all, err := schedule.Status(t.Context(), r.pool, character)
	require.NoError(t, err)
	for _, s := range all {
		if s.Section == section {
			return s
		}
	}
	t.Fatalf("no status of %s", section)
	return schedule.SectionStatus{}
}

func TestStatusTellsHowSectionsStand(t *testing.T) {
	r := newRig(t, 1, 2, 3)
	r.login(t, 1, 2, 3)
	r.exec(t, "UPDATE ingest.token SET scopes = '{esi-wallet.read_character_wallet.v1}' WHERE character_id = 3")
	_, err := r.scheduler(t).Sweep(t.Context())
	require.NoError(t, err)
	r.exec(t, "UPDATE ingest.river_job SET scheduled_at = now() - interval '5 minutes' WHERE args->>'character_id' = '1'")
	r.exec(t, "UPDATE ingest.river_job SET scheduled_at = now() + interval '5 minutes', state = 'scheduled' WHERE args->>'character_id' = '2'")
	r.exec(t, `INSERT INTO ingest.section_state (character_id, section, revision, validated_at, failure_class) VALUES
		(1, 'wallet', 1, '2026-01-02', 'server'), (2, 'wallet', 1, '2026-01-01', NULL), (3, 'wallet', 1, NULL, 'forbidden')`)
	r.exec(t, `INSERT INTO ingest.follow_up (character_id, section, kind, item_id, moment, once, due_at, failures, class) VALUES
		(1, 'mails', 'mail-body', 7, now(), true, now(), 0, ''), (1, 'mails', 'mail-body', 8, now(), true, now(), 2, 'server')`)

	wallet := status(t, r, 0, eve.SectionWallet)
	require.Equal(t, 2, wallet.Due, "the late one and the new one")
	require.Equal(t, 1, wallet.Late)
	require.Equal(t, 1, wallet.Waiting)
	require.Zero(t, wallet.Running)
	require.Equal(t, map[eve.FailureClass]int{eve.FailureServer: 1, eve.FailureForbidden: 1}, wallet.Failing)
	require.Equal(t, 1, wallet.NeverRead)
	require.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), wallet.OldestValidation)
	require.Equal(t, 1, status(t, r, 0, eve.SectionLocation).NotConsented)
	require.Zero(t, status(t, r, 0, eve.SectionDetails).NotConsented, "needs no login")

	mails := status(t, r, 1, eve.SectionMails)
	require.Equal(t, 2, mails.FollowUps)
	require.Equal(t, map[eve.FailureClass]int{eve.FailureServer: 1}, mails.FollowUpsFailing)

	one := status(t, r, 1, eve.SectionWallet)
	require.Equal(t, 1, one.Due)
	require.Zero(t, one.Waiting)
	require.Zero(t, status(t, r, 2, eve.SectionMails).FollowUps)
}

type meter []schedule.Spent

func (m *meter) Spent() []schedule.Spent { return *m }

func TestUsageAddsUpWhatSeveralProgramsSpentInADay(t *testing.T) {
	r := newRig(t)
	now := time.Date(2026, 9, 1, 23, 59, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	first := &meter{{Group: "char-wallet", Route: "Wallet", Requests: 3, NotModified: 1, Tokens: 5}}
	second := &meter{{Group: "char-wallet", Route: "Wallet", Requests: 1, Tokens: 2}}
	a, b := schedule.NewUsage(r.pool, first, clock), schedule.NewUsage(r.pool, second, clock)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, a.Flush(cancelled), "and the next flush makes up for it")
	for range 2 {
		require.NoError(t, a.Flush(t.Context()))
		require.NoError(t, b.Flush(t.Context()))
	}
	now = now.Add(time.Hour)
	(*first)[0].Requests, (*first)[0].Tokens = 4, 7
	require.NoError(t, a.Flush(t.Context()))

	for day, want := range map[string][3]int64{"2026-09-01": {4, 1, 7}, "2026-09-02": {1, 0, 2}} {
		var got [3]int64
		require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT requests, not_modified, tokens FROM ingest.usage WHERE day = $1::text::date", day).Scan(&got[0], &got[1], &got[2]))
		require.Equal(t, want, got, day)
	}
}

func TestBudgetIsForeseenFromIntervalsPagesAndExperience(t *testing.T) {
	r := newRig(t, 1, 2)
	r.login(t, 1, 2)
	r.config.Sections = nil
	_, err := r.scheduler(t).Sweep(t.Context())
	require.NoError(t, err)
	now := time.Date(2026, 9, 8, 12, 0, 0, 0, time.UTC)

	cold, err := schedule.PredictBudget(t.Context(), r.pool, nil, now)
	require.NoError(t, err)
	require.Equal(t, 2, cold.Characters)
	require.InDelta(t, 880, cold.PeerTokens, 0.001)
	require.InDelta(t, 2*cold.Total().Requests, cold.Total().Tokens, 0.001, "nothing is known to confirm")

	// A page more doubles what a part costs; ten bodies a day go on as they did.
	r.exec(t, `INSERT INTO ingest.page_etag (character_id, section, page, etag, last_modified)
		SELECT c, 'assets', p, '', '' FROM generate_series(1, 2) c, generate_series(1, 2) p`)
	r.exec(t, `INSERT INTO ingest.usage SELECT '2026-09-06'::date + d, 'char-social', 'Body', 10, 0, 20 FROM generate_series(0, 1) d`)
	r.exec(t, `INSERT INTO ingest.usage VALUES ('2026-09-08', 'char-social', 'Body', 3, 0, 6)`)
	warm, err := schedule.PredictBudget(t.Context(), r.pool, nil, now)
	require.NoError(t, err)
	perDay := 24 * 60 / (475 * 1.05)
	require.InDelta(t, cold.Total().Requests+2*perDay+10, warm.Total().Requests, 0.01)
	require.Equal(t, int64(3), warm.Total().UsedRequests)
	require.Equal(t, int64(6), warm.Total().UsedTokens)
	t.Logf("for each of 2 characters: %.0f requests and %.0f tokens a day without any 304, Member Audit %.0f", cold.Total().Requests/2, cold.Total().Tokens/2, cold.PeerTokens/2)
}
