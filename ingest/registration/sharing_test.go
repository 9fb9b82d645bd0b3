package registration_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

// Links implements registration.SharingView.
func (w *world) Links(_ context.Context, character int64, user string, at time.Time) ([]uuid.UUID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []uuid.UUID
	for id, l := range w.links {
		if l.CharacterID == character && l.UserID == user && at.Before(l.ExpiresAt) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Lapsed implements registration.SharingView.
func (w *world) Lapsed(_ context.Context, at time.Time, _ int) ([]int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []int64
	for id, c := range w.characters {
		u := w.users[c.UserID]
		if c.Shared && (c.SharedUntil != nil && !at.Before(*c.SharedUntil) || !u.Superuser && !slices.Contains(u.Permissions, "share_characters")) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// sharingRig is a sharer on the real bus.
type sharingRig struct {
	t      *testing.T
	log    *logOf
	bus    *command.Bus
	sharer *registration.Sharer
	now    time.Time
}

func newSharingRig(t *testing.T, timeout time.Duration) *sharingRig {
	t.Helper()
	pool := enginetest.Postgres(t)
	require.NoError(t, command.Migrate(t.Context(), pool))
	r := &sharingRig{t: t, log: &logOf{world: newWorld(), registry: event.NewRegistry(), seen: map[uuid.UUID]bool{}}, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	eve.Register(r.log.registry)
	access.Register(r.log.registry)
	r.bus = forwarded(t, pool, r.log)
	var err error
	r.sharer, err = registration.NewSharer(registration.SharerConfig{Bus: r.bus, View: r.log.world, Timeout: timeout, Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	r.user("ada", false, true, "basic_access", "share_characters")
	r.tell(event.Character(1), eve.CharacterRegistered{CharacterID: 1, UserID: "ada"})
	r.tell(event.Character(2), eve.CharacterRegistered{CharacterID: 2, UserID: "ada"})
	return r
}

// tell decides on whatever it is.
func (r *sharingRig) tell(stream event.Stream, p ...event.Payload) {
	r.t.Helper()
	receipts, err := r.bus.DoAll(r.t.Context(), []event.Stream{stream}, command.BatchInput{Actor: "test"}, decideOn(stream, p...))
	require.NoError(r.t, err)
	_, err = r.bus.Await(r.t.Context(), receipts...)
	require.NoError(r.t, err)
}

func (r *sharingRig) user(id string, superuser, active bool, permissions ...string) {
	r.t.Helper()
	r.tell(event.User(id), access.UserRegistered{UserID: id, Superuser: superuser, Active: active, Permissions: permissions})
}

// since is what was told of characters after f.
func (r *sharingRig) since(f func()) []event.Payload {
	r.t.Helper()
	n := len(r.log.since(0))
	f()
	return r.log.since(n)
}

func by(user string, character int64) registration.OwnerInput {
	return registration.OwnerInput{Actor: "user:" + user, UserID: user, CharacterID: character}
}

func TestOnlyItsOwnerSharesACharacter(t *testing.T) {
	r := newSharingRig(t, 0)
	r.user("root", true, true)
	r.user("idle", true, false)
	refused := func(in registration.OwnerInput, code event.Code) {
		t.Helper()
		require.Empty(t, r.since(func() {
			_, err := r.sharer.Share(t.Context(), in, nil)
			require.Equal(t, code, event.CodeOf(err), "%v", err)
			_, err = r.sharer.IssueLink(t.Context(), registration.LinkInput{OwnerInput: in, ExpiresAt: r.now.Add(time.Hour)})
			require.Equal(t, code, event.CodeOf(err), "%v", err)
			_, err = r.sharer.Unshare(t.Context(), in)
			require.Equal(t, code, event.CodeOf(err), "%v", err)
			_, err = r.sharer.RevokeLink(t.Context(), in, uuid.New())
			require.Equal(t, code, event.CodeOf(err), "%v", err)
		}))
	}
	refused(by("root", 1), event.CodeForbidden)
	refused(registration.OwnerInput{Actor: "token:admin", CharacterID: 1}, event.CodeForbidden)
	refused(by("idle", 1), event.CodeForbidden)
	refused(by("nobody", 1), event.CodeForbidden)
	refused(by("ada", 3), event.CodeNotFound)

	told := r.since(func() {
		for range 2 {
			result, err := r.sharer.Share(t.Context(), by("ada", 1), nil)
			require.NoError(t, err)
			require.True(t, result.Shown)
		}
	})
	require.Equal(t, []event.Payload{eve.CharacterShared{CharacterID: 1, UserID: "ada"}}, told, "what is so already is not told again")

	// To take it back needs no permission to share.
	r.user("ada", false, true, "basic_access")
	_, err := r.sharer.Share(t.Context(), by("ada", 2), nil)
	require.Equal(t, event.CodeForbidden, event.CodeOf(err))
	told = r.since(func() {
		_, err := r.sharer.Unshare(t.Context(), by("ada", 1))
		require.NoError(t, err)
	})
	require.Equal(t, []event.Payload{eve.CharacterUnshared{CharacterID: 1, Reason: "taken back by its owner"}}, told)
}

func TestASharingEndsAtItsTimeOut(t *testing.T) {
	r := newSharingRig(t, time.Hour)
	_, err := r.sharer.Share(t.Context(), by("ada", 1), nil)
	require.NoError(t, err)
	sooner := r.now.Add(time.Minute)
	_, err = r.sharer.Share(t.Context(), by("ada", 2), &sooner)
	require.NoError(t, err)
	ends := func(want ...event.Payload) {
		t.Helper()
		require.Equal(t, append([]event.Payload{}, want...), append([]event.Payload{}, r.since(func() {
			n, err := r.sharer.EndLapsed(t.Context())
			require.NoError(t, err)
			require.Equal(t, len(want), n)
		})...))
	}
	ends()
	r.now = r.now.Add(time.Minute)
	ends(eve.CharacterUnshared{CharacterID: 2, Reason: eve.ReasonTimeout})
	ends()
	_, err = r.sharer.Share(t.Context(), by("ada", 2), &sooner)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err), "that is over")
	r.now = r.now.Add(59*time.Minute - 1)
	ends()
	r.now = r.now.Add(1)
	ends(eve.CharacterUnshared{CharacterID: 1, Reason: eve.ReasonTimeout})
}

func TestASharingEndsWhenItsOwnerMayNotShareAnyMore(t *testing.T) {
	r := newSharingRig(t, 0)
	r.user("root", true, true)
	r.tell(event.Character(3), eve.CharacterRegistered{CharacterID: 3, UserID: "root"})
	for _, in := range []registration.OwnerInput{by("ada", 1), by("ada", 2), by("root", 3)} {
		_, err := r.sharer.Share(t.Context(), in, nil)
		require.NoError(t, err)
	}
	// A transfer ends the sharing without a further event.
	r.tell(event.Character(2), eve.CharacterOrphaned{CharacterID: 2, Reason: "sold"}, eve.CharacterReclaimed{CharacterID: 2, UserID: "root"})
	r.user("ada", false, true, "basic_access")
	told := r.since(func() {
		for range 2 {
			_, err := r.sharer.EndLapsed(t.Context())
			require.NoError(t, err)
		}
	})
	require.Equal(t, []event.Payload{eve.CharacterUnshared{CharacterID: 1, Reason: eve.ReasonPermissionLost}}, told, "superusers hold every permission")
	require.Equal(t, "muster:sharing", r.log.actors[len(r.log.actors)-1])
}

func TestALinkIsMadeWithoutItsSecretInTheLog(t *testing.T) {
	r := newSharingRig(t, 0)
	in := registration.LinkInput{OwnerInput: by("ada", 1), Sections: []eve.Section{eve.SectionSkills}, Note: " for Bob ", ExpiresAt: r.now.Add(time.Hour)}
	link, err := r.sharer.IssueLink(t.Context(), in)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(link.Secret, access.LinkPrefix))
	require.Len(t, link.Secret, len(access.LinkPrefix)+43)
	require.Equal(t, eve.LinkIssued{
		CharacterID: 1, LinkID: link.ID, UserID: "ada", SecretHash: access.HashSecret(link.Secret), Sections: in.Sections, Note: "for Bob", ExpiresAt: in.ExpiresAt,
	}, r.log.since(0)[len(r.log.since(0))-1])
	other, err := r.sharer.IssueLink(t.Context(), in)
	require.NoError(t, err)
	require.NotEqual(t, link.Secret, other.Secret)

	f := func(change func(*registration.LinkInput), want string) {
		t.Helper()
		bad := in
		change(&bad)
		_, err := r.sharer.IssueLink(t.Context(), bad)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, want)
	}
	f(func(l *registration.LinkInput) { l.ExpiresAt = r.now }, "that is over")
	f(func(l *registration.LinkInput) { l.ExpiresAt = time.Time{} }, "that is over")
	f(func(l *registration.LinkInput) { l.ExpiresAt = r.now.Add(registration.DefaultLongestLink + 1) }, "720h0m0s at most")
	f(func(l *registration.LinkInput) { l.Sections = []eve.Section{"secrets"} }, `"secrets"`)
	f(func(l *registration.LinkInput) { l.Note = strings.Repeat("x", 501) }, "501 bytes")

	_, err = r.sharer.RevokeLink(t.Context(), by("ada", 2), link.ID)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "it is a link to another character")
	told := r.since(func() {
		_, err := r.sharer.RevokeLink(t.Context(), by("ada", 1), link.ID)
		require.NoError(t, err)
	})
	require.Equal(t, []event.Payload{eve.LinkRevoked{CharacterID: 1, LinkID: link.ID, Reason: "taken back by its owner"}}, told)
	_, err = r.sharer.RevokeLink(t.Context(), by("ada", 1), link.ID)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func decideOn(stream event.Stream, p ...event.Payload) command.DecideAll {
	return func(context.Context, pgx.Tx, map[event.Stream]int64) ([]command.Decision, error) {
		return []command.Decision{{Stream: stream, Events: p}}, nil
	}
}
