package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// All settings of Member Audit 1.9.4, and its one beside them.
func TestStatsHaveEverySettingOfMemberAudit(t *testing.T) {
	shown := (&roles{environment: &environment{settings: &settings{}}}).shownSettings(nil)
	want := []string{"CELERYBEAT_SCHEDULE"}
	for _, name := range []string{
		"APP_NAME", "BULK_METHODS_BATCH_SIZE", "DATA_EXPORT_MIN_UPDATE_AGE", "DATA_RETENTION_LIMIT", "DEVELOPER_MODE", "ESI_ERROR_LIMIT_THRESHOLD", "LOCATION_STALE_HOURS", "LOG_UPDATE_STATS",
		"MAX_MAILS", "TASKS_MAX_ASSETS_PER_PASS", "TASKS_OBJECT_CACHE_TIMEOUT", "TASKS_TIME_LIMIT", "UPDATE_STALE_OFFSET", "UPDATE_STALE_RING_1", "UPDATE_STALE_RING_2", "UPDATE_STALE_RING_3",
	} {
		want = append(want, "MEMBERAUDIT_"+name)
	}
	require.Equal(t, want, slices.DeleteFunc(slices.Sorted(maps.Keys(shown)), func(name string) bool { return strings.HasPrefix(name, "MUSTER_") }))
}

func TestStatsAreShownAsMemberAuditWritesThem(t *testing.T) {
	const answer = `{"update_statistics": {"ring_1": {"total": {"finshed_at": null, "duration": 1800.5}}}, "app_totals": {"users_count": 12345678901234567, "all_characters_count": 3}, "projections": [{"name": "wallet"}]}`
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, "stats", "--output", "json")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/stats", asked[0].path)
	require.Equal(t, `{
    "app_totals": {
        "all_characters_count": 3,
        "users_count": 12345678901234567
    },
    "projections": [
        {
            "name": "wallet"
        }
    ],
    "update_statistics": {
        "ring_1": {
            "total": {
                "duration": 1800.5,
                "finshed_at": null
            }
        }
    }
}
`, stdout)
	_, stdout, stderr, exit = declaring(t, http.StatusOK, answer, "stats", "--output", "csv")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "name,value\napp_totals.all_characters_count,3\napp_totals.users_count,12345678901234567\nprojections.0.name,wallet\nupdate_statistics.ring_1.total.duration,1800.5\nupdate_statistics.ring_1.total.finshed_at,\n", stdout)
	_, stdout, stderr, exit = declaring(t, http.StatusOK, answer, "stats")
	require.Equal(t, exitOK, exit, stderr)
	require.Regexp(t, `(?m)^app_totals.users_count +12345678901234567$`, stdout)
}
