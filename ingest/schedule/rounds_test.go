package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/schedule"
)

func TestRoundsTellHowLongTheSectionsOfARingTake(t *testing.T) {
	r := newRig(t)
	intervals := map[eve.Section]time.Duration{eve.SectionLocation: 55 * time.Minute, eve.SectionShip: 55 * time.Minute, eve.SectionAssets: 475 * time.Minute, eve.SectionPlanets: 235 * time.Minute}
	rounds, err := schedule.Rounds(t.Context(), r.pool, intervals)
	require.NoError(t, err)
	require.Empty(t, rounds, "nothing was read yet")

	r.exec(t, `INSERT INTO ingest.section_state (character_id, section, revision, run_started_at, run_finished_at, failure_class) VALUES
		(1, 'location', 1, '2026-05-01 12:00:00', '2026-05-01 12:00:01', NULL), (1, 'ship', 1, '2026-05-01 12:00:02', '2026-05-01 12:00:05', NULL),
		(2, 'location', 1, '2026-05-01 11:30:00', '2026-05-01 11:30:02.5', NULL), (2, 'ship', 1, '2026-05-01 11:40:00', '2026-05-01 11:40:01', 'server'),
		(3, 'location', 1, '2026-05-01 10:54:00', '2026-05-01 10:54:04', NULL), (3, 'ship', 1, NULL, NULL, NULL),
		(1, 'planets', 1, '2026-05-01 09:00:00', '2026-05-01 09:00:02', NULL), (1, 'mails', 1, '2026-05-01 09:00:00', '2026-05-01 09:00:02', NULL)`)
	rounds, err = schedule.Rounds(t.Context(), r.pool, intervals)
	require.NoError(t, err)
	at := func(hour, minute, second int) time.Time {
		return time.Date(2026, 5, 1, hour, minute, second, 0, time.UTC)
	}
	planets := schedule.RunOf{Section: eve.SectionPlanets, CharacterID: 1, Took: 2 * time.Second}
	require.Equal(t, []schedule.Round{
		{
			Ring: schedule.RingNone, StartedAt: at(9, 0, 0), FinishedAt: at(9, 0, 2), Characters: 1, Longest: planets, First: planets, Last: planets,
			Sections: map[eve.Section]schedule.Took{eve.SectionPlanets: {Min: 2 * time.Second, Avg: 2 * time.Second, Max: 2 * time.Second, Characters: 1}},
		},
		{
			Ring: schedule.Ring1, StartedAt: at(11, 30, 0), FinishedAt: at(12, 0, 5), Characters: 1,
			Longest: schedule.RunOf{Section: eve.SectionShip, CharacterID: 1, Took: 3 * time.Second},
			First:   schedule.RunOf{Section: eve.SectionLocation, CharacterID: 2, Took: 2500 * time.Millisecond},
			Last:    schedule.RunOf{Section: eve.SectionShip, CharacterID: 1, Took: 3 * time.Second},
			Sections: map[eve.Section]schedule.Took{
				eve.SectionLocation: {Min: time.Second, Avg: 1750 * time.Millisecond, Max: 2500 * time.Millisecond, Characters: 2},
				eve.SectionShip:     {Min: 3 * time.Second, Avg: 3 * time.Second, Max: 3 * time.Second, Characters: 1},
			},
		},
	}, rounds, "neither what failed, nor what is older than the schedule lets it get, nor what is not asked for")
}

func TestTheRingsAreThoseOfTheDefaultIntervals(t *testing.T) {
	for section, interval := range schedule.DefaultIntervals() {
		switch schedule.RingOf(section) {
		case schedule.Ring1:
			require.Equal(t, 55*time.Minute, interval, section)
		case schedule.Ring2:
			require.Equal(t, 235*time.Minute, interval, section)
		case schedule.Ring3:
			require.Equal(t, 475*time.Minute, interval, section)
		}
	}
	require.Equal(t, schedule.Ring1, schedule.RingOf(eve.SectionSkillQueue))
	require.Equal(t, schedule.Ring2, schedule.RingOf(eve.SectionMails))
	require.Equal(t, schedule.Ring3, schedule.RingOf(eve.SectionAssets))
	require.Equal(t, schedule.RingNone, schedule.RingOf(eve.SectionPlanets))
}
