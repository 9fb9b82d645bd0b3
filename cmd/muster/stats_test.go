package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

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
