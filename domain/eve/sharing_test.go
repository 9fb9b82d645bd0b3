package eve_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestTheFirstVersionOfSharingHasNoEnd(t *testing.T) {
	registry := event.NewRegistry()
	eve.Register(registry)
	p, err := registry.Decode(event.Event{ID: uuid.New(), Type: eve.TypeCharacterSharedV1, Stream: event.Character(pilot), Data: []byte(`{"character_id":90000001,"user_id":"u1"}`)})
	require.NoError(t, err)
	require.Equal(t, eve.CharacterShared{CharacterID: 90000001, UserID: "u1"}, p)
	require.False(t, registry.IsCurrent(eve.TypeCharacterSharedV1))
}

// Whatever is decided in which order, what is told is only ever a change, only by the
// owner, and what is over is ended once.
func TestSharingIsOnlyEverDecidedByTheOwner(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := fetched
		standing := eve.Standing{Known: rapid.Bool().Draw(rt, "known"), UserID: rapid.SampledFrom([]string{"", "ada", "bob"}).Draw(rt, "owner")}
		sharing := eve.Sharing{}
		for range rapid.IntRange(1, 10).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "later")) * time.Minute)
			user := rapid.SampledFrom([]string{"", "ada", "bob"}).Draw(rt, "user")
			var until *time.Time
			if rapid.Bool().Draw(rt, "ends") {
				until = new(now.Add(time.Duration(rapid.IntRange(-1, 3).Draw(rt, "end")) * time.Minute))
			}
			var events []event.Payload
			var err error
			lapse := false
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				events, err = eve.DecideShare(standing, sharing, pilot, user, until, now)
				if err == nil {
					require.True(rt, until == nil || now.Before(*until))
				}
			case 1:
				events, err = eve.DecideUnshare(standing, sharing, pilot, user, "")
			default:
				lapse = true
				may := rapid.Bool().Draw(rt, "may share")
				events = eve.DecideLapsed(sharing, pilot, may, now)
				require.Equal(rt, sharing.Shared && (!may || sharing.Over(now)), len(events) == 1)
			}
			switch {
			case lapse:
			case !standing.Known:
				require.Equal(rt, event.CodeNotFound, event.CodeOf(err))
			case user == "" || user != standing.UserID:
				require.Equal(rt, event.CodeForbidden, event.CodeOf(err))
			}
			for _, e := range events {
				before := sharing
				switch p := e.(type) {
				case eve.CharacterShared:
					require.Equal(rt, standing.UserID, p.UserID)
					sharing = eve.Sharing{Shared: true, Until: p.Until}
				case eve.CharacterUnshared:
					sharing = eve.Sharing{}
				}
				require.NotEqual(rt, before, sharing, "told without a change")
			}
		}
	})
}
