package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
)

func (w *world) LauncherFigures(ctx context.Context, ids []int64, _ time.Time) (map[int64]postgres.LauncherFigures, error) {
	figures := map[int64]postgres.LauncherFigures{}
	for _, id := range ids {
		figures[id] = postgres.LauncherFigures{
			CharacterID: id, Balance: new(decimal.New(123450, -2)), SkillPoints: new(int64(5000)), Mined: new(decimal.New(5, -1)), Failing: []string{"wallet", "mails"}, LoginLost: []string{"wallet", "mails"},
		}
	}
	return figures, w.enter(ctx)
}

func (w *world) Players(ctx context.Context) (*postgres.Players, error) {
	return w.players, w.enter(ctx)
}

func TestPlayersAreShownWhileTheirCountHolds(t *testing.T) {
	c := newClient(t)
	shown := func() string {
		t.Helper()
		a := c.get("/v1/launcher?user_id=ada")
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		_, text, _ := strings.Cut(a.text, `"summary":{`)
		text, _, _ = strings.Cut(text, `,"characters"`)
		return text
	}
	c.world.players.ReadAt = moment.Add(-30 * time.Minute)
	require.Equal(t, `"players_online":21345,"players_online_at":"2026-05-01T11:30:00Z"`, shown())
	c.world.players.ReadAt = moment.Add(-31 * time.Minute)
	require.Equal(t, `"players_online":null,"players_online_at":"2026-05-01T11:29:00Z","players_online_reason":"ESI has not said so for more than 30 minutes"`, shown())
	c.world.players = nil
	require.Equal(t, `"players_online":null,"players_online_at":null,"players_online_reason":"ESI has not been asked so far"`, shown())
}

func TestTheLauncherIsForOneUser(t *testing.T) {
	c := newClient(t)
	c.requireProblem(c.get("/v1/launcher"), http.StatusUnprocessableEntity, "user_id")
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access"}}
	c.requireProblem(c.get("/v1/launcher?user_id=bob", as("ada")...), http.StatusForbidden, "bob")
	a := c.get("/v1/launcher", as("ada")...)
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, "ada", c.world.find.UserID)
	require.Equal(t, a.text, c.get("/v1/launcher?user_id=ada").text)
	require.Equal(t, http.StatusNotModified, c.get("/v1/launcher?user_id=ada", "If-None-Match", a.Header.Get("ETag")).StatusCode)
	require.JSONEq(t, `{"user_id": "ada",
		"cards": [{"character_id": 90000001, "name": "Bruce", "is_main": true, "shared": true, "corporation_id": 98000001, "corporation_name": "Wayne Enterprises", "alliance_id": 99000001,
			"system_id": 30000142, "system_name": "Jita", "security_status": 0.95, "region": "The Forge", "location_id": 60003760, "location_name": "Jita IV - Moon 4",
			"balance": "1234.50", "skill_points": 5000, "status": "error", "failing": ["wallet", "mails"]}],
		"unregistered": [{"character_id": 7, "name": "Alt", "reason": "never_registered"}],
		"reregister": [{"character_id": 90000001, "name": "Bruce", "reason": "login_lost"}],
		"summary": {"players_online": 21345, "players_online_at": "2026-05-01T11:59:00Z", "characters": 2, "registered": 1, "percent_floor_2": "50.00",
			"wallet": "1234.50", "mined": "0.50", "ratted": "-1.50", "skill_points": 5000, "month_from": "2026-05-01T00:00:00Z"}}`, a.text)
	require.Equal(t, []int64{90000001}, c.world.wallet.CharacterIDs)
	require.Equal(t, []string{"bounty_prizes"}, c.world.wallet.RefTypes)
	require.Equal(t, []clickhouse.Dimension{clickhouse.ByRefType}, c.world.wallet.GroupBy, "balances are not looked up")
}

func TestTheLaunchersFiguresComeFromTheRealStores(t *testing.T) {
	s := newStores(t)
	const wallet, skills = "esi-wallet.read_character_wallet.v1", "esi-skills.read_skills.v1"
	s.append(event.User("ada"), moment, access.UserRegistered{UserID: "ada", Active: true, State: "Member", Permissions: []string{"basic_access"}}, access.MainSet{UserID: "ada", CharacterID: new(int64(1))},
		access.CharactersListed{UserID: "ada", Characters: []access.ListedCharacter{{CharacterID: 9, Name: "Alt"}}})
	full := func(id int64, section eve.Section, value string) eve.SectionObserved {
		return eve.SectionObserved{CharacterID: id, Section: section, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: moment, Value: json.RawMessage(value)}
	}
	for id := int64(1); id <= 2; id++ {
		s.append(event.Character(id), moment, eve.CharacterRegistered{CharacterID: id, Name: "Pilot", UserID: "ada", CorporationID: 5, Scopes: []string{wallet, skills}},
			full(id, eve.SectionWallet, `1000.25`), full(id, eve.SectionSkills, `{"skills":[],"total_sp":5000000}`),
			eve.JournalRecorded{CharacterID: id, Day: "2026-05-01", FetchedAt: moment, Entries: []eve.JournalEntry{
				{ID: 1, Date: moment.Add(-time.Hour), RefType: "bounty_prizes", Amount: "150.00", Balance: "1150"}, {ID: 2, Date: moment.Add(-time.Hour), RefType: "tax", Amount: "-9.00", Balance: "1141"},
			}})
	}
	// Mails are not consented to: that they cannot be read is nothing to be put right.
	s.append(event.Character(2), moment, eve.SectionFailed{CharacterID: 2, Section: eve.SectionWallet, Class: eve.FailureToken, Message: "gone", Since: moment},
		eve.SectionFailed{CharacterID: 2, Section: eve.SectionMails, Class: eve.FailureToken, Message: "no scope", Since: moment})
	s.eventually("/v1/launcher?user_id=ada", func(b map[string]any) bool {
		summary, _ := b["summary"].(map[string]any)
		list, _ := b["reregister"].([]any)
		return summary["ratted"] == "300.00" && summary["wallet"] == "2000.50" && summary["skill_points"] == 10000000.0 && summary["characters"] == 3.0 && len(list) == 1
	})
	text := s.get("/v1/launcher", as("ada")...).text
	require.Contains(t, text, `"status":"limited_token","failing":["wallet"]`)
	require.Contains(t, text, `"status":"in_progress","failing":[]`)
	require.Contains(t, text, `"unregistered":[{"character_id":9,"name":"Alt","reason":"never_registered"}]`)
	require.Contains(t, text, `"mined":null`)
}
