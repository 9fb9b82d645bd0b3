package catalogue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

func TestRoutesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range catalogue.Routes() {
		require.False(t, seen[r.Operation], "%s is there twice", r.Operation)
		seen[r.Operation] = true
		require.Equal(t, "GET", r.Method)
		require.LessOrEqual(t, r.Since, catalogue.CompatibilityDate, "%s does not exist at the date that is sent", r.Operation)
		require.Positive(t, r.TTL)
		require.NotContains(t, r.Path(7), "{")
		require.Equal(t, r.Group != "", r.MaxTokens > 0 && r.Window > 0)
	}
}

func TestWhatIsKnownOfTheRoutes(t *testing.T) {
	details, journal := catalogue.CharacterDetails(), catalogue.CharacterWalletJournal()
	require.True(t, details.Public())
	require.Empty(t, details.Group, "it is under the shared error limit")
	require.Equal(t, 24*time.Hour, details.TTL)
	require.Equal(t, "/characters/90000001/wallet/journal", journal.Path(90000001))
	require.Equal(t, catalogue.Pages, journal.Paging)
	require.Equal(t, []string{"esi-wallet.read_character_wallet.v1"}, journal.Scopes)
	require.Equal(t, "char-wallet", journal.Group)
	require.Equal(t, 150, journal.MaxTokens)
	require.Equal(t, 15*time.Minute, journal.Window)
}
