package retention_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
)

func TestALookGoesByItsAgeOrWithItsCharacter(t *testing.T) {
	require.Equal(t, retention.ClassAccess, retention.ClassOf(access.TypeDataViewed))
	require.Equal(t, retention.ClassKept, retention.ClassOf(access.TypeTokenIssued))
	policies := retention.DefaultPolicies()
	for name, c := range map[string]struct {
		days      int
		at        time.Time
		forgotten time.Time
		want      retention.Class
	}{
		"a young one stays":                      {360, ago(359), time.Time{}, ""},
		"an old one goes":                        {360, ago(361), time.Time{}, retention.ClassAccess},
		"one at the cut-off stays":               {360, ago(360), time.Time{}, ""},
		"an old one stays if all are kept":       {0, ago(5000), time.Time{}, ""},
		"one from before it was forgotten goes":  {0, ago(3), ago(2), retention.ClassForgotten},
		"one of the moment goes":                 {0, ago(2), ago(2), retention.ClassForgotten},
		"one from after it was forgotten stays":  {360, ago(1), ago(2), ""},
		"an old one goes after it was forgotten": {360, ago(400), ago(500), retention.ClassAccess},
		"what was forgotten goes as such":        {360, ago(600), ago(500), retention.ClassForgotten},
	} {
		policies.AccessDays = c.days
		class, cutOff, goes := policies.ExpireLook(retention.Look{Stream: event.Character(pilot), ID: uuid.New(), Time: c.at}, c.forgotten, now)
		require.Equal(t, c.want, class, name)
		require.Equal(t, c.want != "", goes, name)
		require.Equal(t, goes, !cutOff.IsZero(), name)
	}
}
