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
		require.Contains(t, []string{"GET", "POST"}, r.Method)
		require.LessOrEqual(t, r.Since, catalogue.CompatibilityDate, "%s does not exist at the date that is sent", r.Operation)
		require.Equal(t, r.Cache != catalogue.NotCached, r.TTL > 0 || r.Daily > 0, "%s needs a lifetime of last resort", r.Operation)
		params := map[string]string{}
		for _, name := range r.Params() {
			if name != catalogue.CharacterParam {
				params[name] = "a/b"
			}
		}
		path, err := r.Resolve(7, params)
		require.NoError(t, err)
		require.NotContains(t, path, "{")
		require.NotContains(t, path, "a/b", "values are escaped")
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

func TestWhatTheDocumentDoesNotSay(t *testing.T) {
	require.Equal(t, 11*time.Hour+5*time.Minute, catalogue.CharacterFactionWarfareStats().Daily)
	require.Equal(t, 10*time.Minute, catalogue.MetaStatus().TTL)
	items := catalogue.CharacterContractItems()
	require.Equal(t, 20, items.Calls)
	require.Equal(t, 10*time.Second, items.CallsPer)
	require.Equal(t, catalogue.FromID, catalogue.CharacterWalletTransactions().Paging)
	require.Equal(t, catalogue.LastMailID, catalogue.CharacterMailHeaders().Paging)
	require.Equal(t, catalogue.FromEvent, catalogue.CharacterCalendar().Paging)
	require.Equal(t, []string{"include_completed"}, catalogue.CharacterIndustryJobs().Query)
	require.False(t, catalogue.UniverseStructure().OfCharacter())
}

func TestPathsNeedAllOfTheirParametersAndNoOther(t *testing.T) {
	mail := catalogue.CharacterMail()
	path, err := mail.Resolve(7, map[string]string{"mail_id": "8"})
	require.NoError(t, err)
	require.Equal(t, "/characters/7/mail/8", path)
	for _, params := range []map[string]string{nil, {"mail_id": ".."}, {"mail_id": "8", "label": "9"}, {"mail_id": "8", "character_id": "9"}} {
		_, err := mail.Resolve(7, params)
		require.Error(t, err)
	}
	_, err = mail.Resolve(0, map[string]string{"mail_id": "8"})
	require.Error(t, err)
}
