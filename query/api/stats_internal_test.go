package api

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
)

func keysOf(t *testing.T, v any) []string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	return slices.Sorted(maps.Keys(fields))
}

func TestStatsHaveEveryKeyOfMemberAudit(t *testing.T) {
	require.Subset(t, keysOf(t, Stats{}), []string{"app_totals", "settings", "update_statistics"})
	require.Subset(t, keysOf(t, Stats{}), []string{"players_online", "players_online_at"}, "and what its launcher shows")
	require.Equal(t, []string{
		"all_characters_count", "assets_count", "contacts_count", "contracts_count", "mails_count", "skill_set_groups_count", "skill_sets_count", "users_count",
	}, keysOf(t, AppTotals{}))
	require.Equal(t, []string{"first", "last", "max", "sections", "total"}, keysOf(t, RingStats{}))
	require.Equal(t, []string{
		"available_time", "characters_count", "completed", "duration", "finished_at", "finshed_at", "root_task_id", "started_at", "throughput_est", "within_available_time",
	}, keysOf(t, RingTotal{}), "beside the misspelt key stands the right one")
	require.Equal(t, []string{"character", "duration", "section"}, keysOf(t, RunStats{}))
	require.Equal(t, []string{"avg", "max", "min"}, keysOf(t, SectionTook{}))
	require.Equal(t, []string{
		"assets", "attributes", "character_details", "contacts", "contracts", "corporation_history", "implants", "jump_clones", "location", "loyalty", "mails", "online_status",
		"ship", "skill_queue", "skills", "wallet_balance", "wallet_journal", "wallet_transactions",
	}, slices.Sorted(maps.Values(peerSections())))
}

func TestTheStatisticsOfARingAreThoseOfItsLatestRound(t *testing.T) {
	require.Empty(t, updateStatistics(nil, 3), "as Member Audit has it where nothing was read")
	began := time.Date(2026, 5, 1, 11, 0, 0, 0, time.UTC)
	round := SyncRound{
		Ring: 1, StartedAt: began, FinishedAt: began.Add(30 * time.Minute), Characters: 2,
		Longest: SyncRun{Section: eve.SectionOnline, CharacterID: 7, Took: 2500 * time.Millisecond}, First: SyncRun{Section: eve.SectionLocation, CharacterID: 8, Took: time.Second},
		Sections: map[eve.Section]SyncTook{eve.SectionOnline: {Min: time.Second, Avg: 1500 * time.Millisecond, Max: 2500 * time.Millisecond, Characters: 2}},
	}
	rings := updateStatistics([]SyncRound{round}, 3)
	require.Equal(t, []string{"ring_1", "ring_2", "ring_3"}, slices.Sorted(maps.Keys(rings)))
	data, err := json.Marshal(rings["ring_1"])
	require.NoError(t, err)
	require.JSONEq(t, `{
		"total": {"duration": 1800, "started_at": "2026-05-01T11:00:00Z", "finished_at": "2026-05-01T11:30:00Z", "finshed_at": "2026-05-01T11:30:00Z", "root_task_id": null,
			"throughput_est": 6, "available_time": 3300, "within_available_time": true, "characters_count": 2, "completed": false},
		"max": {"section": "online_status", "character": 7, "duration": 2.5}, "first": {"section": "location", "character": 8, "duration": 1}, "last": {"section": "", "character": 0, "duration": 0},
		"sections": {"online_status": {"max": 2.5, "avg": 1.5, "min": 1}}}`, string(data))
	data, err = json.Marshal(rings["ring_3"])
	require.NoError(t, err)
	require.JSONEq(t, `{"total": {"duration": null, "started_at": null, "finished_at": null, "finshed_at": null, "root_task_id": null, "throughput_est": null,
		"available_time": 28500, "within_available_time": null, "characters_count": null, "completed": null}, "max": null, "first": null, "last": null, "sections": {}}`, string(data))

	round.FinishedAt, round.Characters = began.Add(61*time.Minute), 3
	late := updateStatistics([]SyncRound{round}, 3)["ring_1"].Total
	require.False(t, *late.WithinAvailableTime)
	require.True(t, *late.Completed)
	round.FinishedAt = began
	require.Nil(t, updateStatistics([]SyncRound{round}, 3)["ring_1"].Total.ThroughputEst, "nothing can be reckoned from no time at all")
}
