package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

func looked(viewer, owner string, character int64, section string, hour int) access.DataViewed {
	return access.DataViewed{
		ViewerID: "user:" + viewer, ViewerUserID: viewer, OwnerID: owner, CharacterID: character, Section: section, Way: access.BySharing,
		FirstAt: at(hour), LastAt: at(hour), Count: 1,
	}
}

func TestTheAccessLogIsListedTheNewestFirst(t *testing.T) {
	v := newViews(t, postgres.Characters())
	list := access.DataViewed{ViewerID: "token:admin", Section: "list-characters", Way: access.ByToken, FirstAt: at(4), LastAt: at(4), Count: 2, Rows: 7}
	link := uuid.UUID{7}
	byLink := access.DataViewed{ViewerID: "link:x", OwnerID: "ada", CharacterID: 1, Section: "skills", Way: access.ByLink, LinkID: &link, FirstAt: at(4), LastAt: at(5), Count: 3}
	all := []access.DataViewed{looked("bob", "ada", 1, "wallet", 1), looked("bob", "cy", 2, "wallet", 2), looked("dee", "ada", 1, "mails", 3), list, byLink}
	for _, p := range all {
		v.fold(p.Stream(), p.LastAt, p)
	}
	reader := postgres.NewCharacterReader(v.pool, v.live())
	f := func(filter postgres.LookFilter, want ...int) {
		t.Helper()
		filter.Limit = 100
		looks, err := reader.Looks(t.Context(), filter)
		require.NoError(t, err)
		require.Len(t, looks, len(want))
		for i, n := range want {
			require.Equal(t, all[n], looks[i].DataViewed)
		}
	}
	f(postgres.LookFilter{}, 4, 3, 2, 1, 0)
	f(postgres.LookFilter{OwnerID: "ada"}, 4, 2, 0)
	f(postgres.LookFilter{OwnerID: "ada", Section: "wallet"}, 0)
	f(postgres.LookFilter{ViewerUserID: "bob"}, 1, 0)
	f(postgres.LookFilter{ViewerID: "token:admin"}, 3)
	f(postgres.LookFilter{CharacterID: 1}, 4, 2, 0)
	f(postgres.LookFilter{Since: at(2), Until: at(4)}, 2, 1)
	looks, err := reader.Looks(t.Context(), postgres.LookFilter{Limit: 2})
	require.NoError(t, err)
	require.Len(t, looks, 2)
	f(postgres.LookFilter{Before: &postgres.LookCursor{LastAt: looks[1].LastAt, EventID: looks[1].EventID}}, 2, 1, 0)
}

// The two topics are read in any order, and come to the same.
func TestLooksAtACharacterGoWhenItIsForgotten(t *testing.T) {
	var tables []map[string]string
	before, after, other := looked("bob", "ada", 1, "wallet", 1), looked("bob", "ada", 1, "wallet", 3), looked("bob", "ada", 2, "wallet", 1)
	events := []runner.Event{
		written(t, before.Stream(), at(1), 100, before), written(t, after.Stream(), at(3), 101, after), written(t, other.Stream(), at(1), 102, other),
		written(t, event.Character(1), at(2), 5, eve.CharacterForgotten{CharacterID: 1, Reason: "asked for"}),
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 0, 1, 2}, {0, 3, 1, 2}} {
		for _, batches := range []bool{true, false} {
			v := newViews(t, postgres.Characters())
			batch := v.projection.NewBatch()
			for _, n := range order {
				require.NoError(t, batch.Add(events[n]))
				if batches {
					v.enter(batch.(runner.PostgresBatch).Write)
					batch = v.projection.NewBatch()
				}
			}
			v.enter(batch.(runner.PostgresBatch).Write)
			tables = append(tables, v.all())
			looks, err := postgres.NewCharacterReader(v.pool, v.live()).Looks(t.Context(), postgres.LookFilter{Limit: 9})
			require.NoError(t, err)
			require.Len(t, looks, 2)
			require.Equal(t, []access.DataViewed{after, other}, []access.DataViewed{looks[0].DataViewed, looks[1].DataViewed})
		}
	}
	for _, other := range tables {
		require.Equal(t, tables[0], other)
	}
}

func TestALinkHoldsForAsLongAsItsOwnerMayShare(t *testing.T) {
	link := eve.LinkIssued{CharacterID: 1, LinkID: uuid.UUID{7}, UserID: "ada", SecretHash: "hash", Sections: []eve.Section{eve.SectionSkills}, Note: "n", ExpiresAt: at(10)}
	may := func(superuser, active bool, permissions ...string) access.UserRegistered {
		return access.UserRegistered{UserID: "ada", Superuser: superuser, Active: active, Permissions: permissions}
	}
	f := func(name string, holds bool, now time.Time, events ...event.Payload) {
		t.Helper()
		v := newViews(t, postgres.Characters())
		v.fold(event.User("ada"), at(0), may(false, true, "basic_access", "share_characters"))
		v.fold(event.Character(1), at(1), register(1, "Pilot", "ada", 10, 0), link)
		for _, p := range events {
			stream := event.Character(1)
			if _, is := p.(access.UserRegistered); is {
				stream = event.User("ada")
			}
			v.fold(stream, at(2), p)
		}
		reader := postgres.NewCharacterReader(v.pool, v.live())
		found, err := reader.LinkOf(t.Context(), "hash", now)
		if err != nil {
			require.Equal(t, event.CodeNotFound, event.CodeOf(err), name)
			found = postgres.Link{}
		}
		require.Equal(t, holds, found.Holds, name)
		if holds {
			require.Equal(t, postgres.Link{
				ID: link.LinkID, CharacterID: 1, UserID: "ada", Sections: link.Sections, Note: "n", IssuedAt: at(1), ExpiresAt: at(10), Holds: true,
				Origin: event.Origin{Stream: event.Character(1), Position: event.Position{Topic: event.TopicEVE, Offset: 3}},
			}, found)
			links, err := reader.Links(t.Context(), 1, "ada", now)
			require.NoError(t, err)
			require.Equal(t, []postgres.Link{found}, links)
		}
	}
	f("as issued", true, at(9))
	f("expired", false, at(10))
	f("revoked", false, at(9), eve.LinkRevoked{CharacterID: 1, LinkID: link.LinkID})
	f("permission lost", false, at(9), may(false, true, "basic_access"))
	f("deactivated", false, at(9), may(true, false))
	f("superuser", true, at(9), may(true, true))
	f("orphan", false, at(9), eve.CharacterOrphaned{CharacterID: 1, Reason: "sold"})
	f("another owner", false, at(9), eve.CharacterReclaimed{CharacterID: 1, UserID: "cy"})
	f("renewed login", true, at(9), eve.CharacterReclaimed{CharacterID: 1, UserID: "ada"})
	f("come back", false, at(9), eve.CharacterOrphaned{CharacterID: 1, Reason: "sold"}, eve.CharacterReclaimed{CharacterID: 1, UserID: "ada"})
	f("forgotten", false, at(9), eve.CharacterForgotten{CharacterID: 1, Reason: "asked for"})
	f("registered anew", false, at(9), eve.CharacterForgotten{CharacterID: 1, Reason: "asked for"}, register(1, "Pilot", "ada", 10, 0))
}
