package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

// listed waits until a list has that many items.
func (s *stores) listed(target string, n int) []api.Event {
	s.t.Helper()
	text := s.eventually(target, func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == n })
	var page api.Page[api.Event]
	require.NoError(s.t, json.Unmarshal([]byte(text), &page))
	return page.Items
}

func TestEveryEventOfTheRealLogIsFoundAndReadAgain(t *testing.T) {
	s := newStores(t)
	day := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	wallet := func(hours int, value string) event.Payload {
		return eve.SectionObserved{CharacterID: 5, Section: eve.SectionWallet, Encoding: eve.EncodingFull, ContentHash: value, FetchedAt: day.Add(time.Duration(hours) * time.Hour), Value: json.RawMessage(value)}
	}
	s.append(event.Character(5), day, eve.CharacterRegistered{CharacterID: 5, Name: "Five", UserID: "u1"})
	s.append(event.Character(5), day.Add(time.Hour), wallet(1, "100"))
	s.append(event.Character(5), day.Add(2*time.Hour), wallet(2, "200"), eve.SectionFailed{CharacterID: 5, Section: eve.SectionMails, Class: eve.FailureServer, Message: "m", Since: day})
	s.append(event.Consortium("it's"), day, anvil.ConsortiumDeclared{ServiceAccount: "sa@example.com"})
	unknown, err := event.New(uuid.New(), event.Character(5), "test", day.Add(3*time.Hour), eve.CharacterEnabled{CharacterID: 5})
	require.NoError(t, err)
	unknown.Type = "muster.eve.character.dreamt.v1"
	require.NoError(t, s.appender.Append(t.Context(), unknown))

	all := s.listed("/v1/events", 6)
	require.Equal(t, "muster.eve.character.dreamt.v1", all[0].Type)
	require.Len(t, s.listed("/v1/events?character_id=5", 5), 5)
	require.Equal(t, "wallet", *s.listed("/v1/events?section=wallet", 2)[0].Section)
	s.listed("/v1/events?type_prefix=muster.anvil.", 1)
	s.listed("/v1/events?consortium=it%27s", 1)
	s.listed("/v1/events?type=muster.eve.section.failed.v1,muster.eve.character.registered.v1", 2)
	s.listed("/v1/events?since=2026-03-01T12:00:00Z&until=2026-03-01T13:00:00Z", 2)
	var first api.Page[api.Event]
	require.NoError(t, json.Unmarshal([]byte(s.get("/v1/events?limit=4").text), &first))
	require.Len(t, s.listed("/v1/events?limit=4&cursor="+first.NextCursor, 2), 2)

	found := s.listed("/v1/events?section=wallet", 2)[1]
	require.Contains(t, s.get("/v1/events/"+found.ID.String()).text, `"value":100`)
	stream := s.get("/v1/streams/eve:character:5").text
	require.Contains(t, stream, `"events":5,`)
	require.Contains(t, stream, `"muster.eve.section.observed.v2":2`)
	s.requireProblem(s.get("/v1/streams/eve:character:6"), http.StatusNotFound, "eve:character:6")

	// By the index, and the same where it was asked before the index came that far.
	require.Contains(t, s.get("/v1/characters/5/wallet?as_of=2026-03-01T11:30:00Z").text, `"balance":"100.00"`)
	s.append(event.Character(5), day.Add(4*time.Hour), wallet(4, "300"))
	require.Contains(t, s.get("/v1/characters/5/wallet?as_of=2026-03-01T15:00:00Z").text, `"balance":"300.00"`)
	require.Len(t, changesOf(t, s.get("/v1/characters/5/wallet/changes")).Items, 3)

	// A tombstone takes its event out, of an earlier batch and of its own.
	s.listed("/v1/events?section=wallet", 3)
	require.NoError(t, s.appender.Expire(t.Context(), event.TopicEVE, event.Tombstone(event.Character(5), found.ID, day.Add(5*time.Hour), event.Expiry{Policy: "state", CutOff: day})))
	s.listed("/v1/events?section=wallet", 2)
	declared := s.listed("/v1/events?consortium=it%27s", 1)[0]
	require.NoError(t, s.appender.Expire(t.Context(), event.TopicAnVIL, event.Tombstone(event.Consortium("it's"), declared.ID, day.Add(5*time.Hour), event.Expiry{Policy: "state", CutOff: day})))
	s.listed("/v1/events?consortium=it%27s", 0)
	s.requireProblem(s.get("/v1/events/"+found.ID.String()), http.StatusNotFound, found.ID.String())
	require.Len(t, changesOf(t, s.get("/v1/characters/5/wallet/changes")).Items, 2)

	// What was forgotten is not found, though it lies in the log.
	s.append(event.Character(5), day.Add(6*time.Hour), eve.CharacterForgotten{CharacterID: 5, Reason: "asked"})
	s.listed("/v1/events?character_id=5", 1)
	s.requireProblem(s.get("/v1/characters/5/wallet?as_of=2026-03-01T11:30:00Z"), http.StatusNotFound, "forgotten")
	s.requireProblem(s.get("/v1/characters/5/timeline"), http.StatusNotFound, "forgotten")
	s.append(event.Character(5), day.Add(7*time.Hour), eve.CharacterRegistered{CharacterID: 5, Name: "Again", UserID: "u2"})
	s.listed("/v1/events?character_id=5", 2)
	require.Contains(t, s.get("/v1/characters/5?as_of=2026-03-01T17:00:00Z").text, `"name":"Again"`)
}
