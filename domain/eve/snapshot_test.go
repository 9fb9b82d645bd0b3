package eve_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func wallets(value string) eve.Snapshot {
	return eve.Snapshot{CharacterID: pilot, Section: eve.SectionWallet, FetchedAt: fetched, ETag: `"e"`, Value: json.RawMessage(value)}
}

func TestCompareMakesAnEventOnlyOfOtherContent(t *testing.T) {
	first, series, err := eve.Compare("test", eve.Series{}, wallets("1.5"))
	require.NoError(t, err)
	require.NoError(t, first.Validate())
	require.Equal(t, first.ID, series.LastID)

	same, still, err := eve.Compare("test", series, wallets(" 1.5"))
	require.NoError(t, err)
	require.Nil(t, same)
	require.Equal(t, series, still)

	second, _, err := eve.Compare("test", series, wallets("2"))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
}

func TestCompareGivesTheSameIDForTheSameStep(t *testing.T) {
	from := eve.Series{LastID: uuid.MustParse("0b3cbb39-6a2f-5b0c-8e6a-9bd1bfb6a3f1"), ContentHash: "x"}
	a, _, err := eve.Compare("test", from, wallets("1.5"))
	require.NoError(t, err)
	later := wallets("1.5")
	later.FetchedAt, later.ETag = fetched.AddDate(0, 0, 1), ""
	b, _, err := eve.Compare("test", from, later)
	require.NoError(t, err)
	require.Equal(t, a.ID, b.ID)
	c, _, err := eve.Compare("test", eve.Series{LastID: uuid.New(), ContentHash: "x"}, wallets("1.5"))
	require.NoError(t, err)
	require.NotEqual(t, a.ID, c.ID)
}

func TestCompareRefusesWhatIsNotJSON(t *testing.T) {
	_, series, err := eve.Compare("test", eve.Series{ContentHash: "x"}, wallets("<html>"))
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.Equal(t, "x", series.ContentHash)
}
