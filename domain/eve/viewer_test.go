package eve_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
)

func TestStandingsAreInGroups(t *testing.T) {
	for standing, want := range map[json.Number]string{
		"10": "excellent", "5.01": "excellent", "5": "good", "0.0001": "good", "0": "neutral", "-0.0": "neutral", "-0.1": "bad", "-5": "bad", "-5.0001": "terrible", "-10": "terrible", "x": "", "1e99": "",
	} {
		require.Equal(t, want, eve.StandingLevel(standing), standing)
	}
}

func TestSkillsMakeStandingsBetter(t *testing.T) {
	f := func(standing json.Number, connections, diplomacy int, want json.Number) {
		t.Helper()
		got, is := eve.EffectiveStanding(standing, connections, diplomacy)
		require.True(t, is)
		require.Equal(t, want, got)
	}
	// 5 + (10-5) * 0.04 * 5, and -5 + (10+5) * 0.04 * 4.
	f("5", 5, 0, "6")
	f("-5", 0, 4, "-2.6")
	f("0", 5, 5, "0")
	f("10", 5, 5, "10")
	f("6.7345", 3, 5, "7.1264")
	f("-0.5", 5, 0, "-0.5")
	// A bad one may become a good one.
	f("-0.1", 0, 1, "0.304")
	_, is := eve.EffectiveStanding("much", 1, 1)
	require.False(t, is)
}

func TestIDsTellWhoIsOfTheGame(t *testing.T) {
	require.True(t, eve.IsNPC("character", 3008416))
	require.False(t, eve.IsNPC("character", 90000001))
	require.True(t, eve.IsNPC("corporation", 1000035))
	require.False(t, eve.IsNPC("corporation", 98000001))
	require.True(t, eve.IsNPC("faction", 500001))
	require.False(t, eve.IsNPC("alliance", 99000001))
}

func TestDutiesAreAllRolesOfTheGame(t *testing.T) {
	none := eve.Duties(nil)
	// 14 general ones, 8 of stations, 4 of starbases, 7 divisions, and three times 21 at
	// places: of 54 words, 21 count at three places.
	require.Len(t, none, 14+8+4+7+3*21)
	words := map[string]bool{}
	for _, d := range none {
		require.False(t, d.Granted)
		require.NotEmpty(t, d.Group)
		words[d.Role] = true
	}
	require.Len(t, words, 54)
	some := eve.Duties(map[string][]string{"roles": {"Director", "Made_Up"}, "roles_at_hq": {"Hangar_Take_1"}, "roles_at_other": {"Director"}})
	var granted []eve.Duty
	for _, d := range some {
		if d.Granted {
			granted = append(granted, d)
		}
	}
	require.Equal(t, []eve.Duty{
		{Group: "General", Place: "universal", Role: "Director", Granted: true},
		{Group: "Hangar access", Place: "headquarters", Role: "Hangar_Take_1", Granted: true},
		{Place: "universal", Role: "Made_Up", Granted: true},
		{Place: "other", Role: "Director", Granted: true},
	}, granted)
	require.Len(t, some, len(none)+2)
}

func TestRanksHaveNames(t *testing.T) {
	require.Equal(t, "Protectorate Ensign", eve.MilitiaRank(500001, 0))
	require.Equal(t, "Divine Commodore", eve.MilitiaRank(500003, 9))
	for _, of := range [][2]int64{{500001, 10}, {500001, -1}, {500010, 1}} {
		require.Empty(t, eve.MilitiaRank(of[0], of[1]))
	}
}

func TestAssetsLieInPlacesAtLast(t *testing.T) {
	tree := eve.NewAssetTree([]eve.Asset{{ItemID: 1, LocationID: 60003760}, {ItemID: 2, LocationID: 1}, {ItemID: 3, LocationID: 2}, {ItemID: 4, LocationID: 2}, {ItemID: 8, LocationID: 9}, {ItemID: 9, LocationID: 8}})
	require.EqualValues(t, 60003760, tree.PlaceOf(60003760))
	require.EqualValues(t, 60003760, tree.PlaceOf(2))
	require.True(t, tree.Directly(60003760))
	require.False(t, tree.Directly(1))
	require.Equal(t, 2, tree.Within(2))
	require.Equal(t, 0, tree.Within(3))
	require.Contains(t, []int64{8, 9}, tree.PlaceOf(8), "a loop comes to an end")
}

func TestProgressIsCutAndFollowsTheDates(t *testing.T) {
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	q := eve.QueuedSkill{Start: start, Finish: start.Add(10 * time.Hour), LevelStart: 1000, LevelEnd: 2000, TrainingStart: 1500}
	f := func(q eve.QueuedSkill, after time.Duration, percent json.Number, left time.Duration) {
		t.Helper()
		p := eve.ProgressOf(q, start.Add(after))
		require.Equal(t, percent, p.Percent)
		require.Equal(t, left, *p.Left)
	}
	f(q, -time.Hour, "50", 11*time.Hour)
	f(q, 0, "50", 10*time.Hour)
	f(q, 5*time.Hour, "75", 5*time.Hour)
	f(q, 10*time.Hour-time.Second, "99.99", time.Second)
	f(q, 10*time.Hour, "100", 0)
	f(q, 20*time.Hour, "100", 0)
	require.Nil(t, eve.ProgressOf(eve.QueuedSkill{LevelStart: 1, LevelEnd: 3, TrainingStart: 2}, start).Left)
	require.Equal(t, json.Number("50"), eve.ProgressOf(eve.QueuedSkill{LevelStart: 1, LevelEnd: 3, TrainingStart: 2}, start).Percent)
	require.Empty(t, eve.ProgressOf(eve.QueuedSkill{Start: start, Finish: start.Add(time.Hour)}, start).Percent)
}
