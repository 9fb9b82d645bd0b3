package notify_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/notify"
)

// sayOfUser reacts to an event of ada's stream, and to its second copy.
func (r *rig) sayOfUser(p event.Payload) event.Recorded {
	r.t.Helper()
	e, err := event.New(uuid.New(), event.User("ada"), "test", r.now, p)
	require.NoError(r.t, err)
	r.offset++
	recorded := event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAccess, Offset: r.offset}}
	for range 2 {
		require.NoError(r.t, r.noticer.React(r.t.Context(), recorded))
	}
	return recorded
}

func withAccess(c *notify.Config, _ *notify.DelivererConfig) {
	c.Registry = event.NewRegistry()
	access.Register(c.Registry)
}

func TestAUserIsToldOfComplianceGroupsThatHeGainsAndLoses(t *testing.T) {
	r := newRig(t, withAccess)
	id := uuid.UUID{1}
	cause := access.GroupCause{Cause: access.TypeListed, Since: r.now}
	gained := r.sayOfUser(access.GroupsGained{UserID: "ada", Groups: []access.GainedGroup{{GroupID: id, Name: "Registered"}}, Characters: 3, GroupCause: cause})
	lost := r.sayOfUser(access.GroupsLost{UserID: "ada", GroupCause: cause, Groups: []access.LostGroup{
		{GroupID: id, Name: "Blues", Reasons: []access.GroupReason{{Reason: access.Reason{Fault: access.FaultState}}, {Reason: access.Reason{CharacterID: 7, Fault: access.FaultNeverRegistered}, Since: new(r.now.Add(-time.Hour))}}},
		{GroupID: id, Name: "Registered", Reasons: []access.GroupReason{{Reason: access.Reason{CharacterID: 7, Fault: access.FaultNeverRegistered}, Since: new(r.now.Add(-time.Hour))}}},
	}})
	require.NoError(t, r.deliverer.Deliver(t.Context()))
	require.Equal(t, []notify.Notice{
		{EventID: gained.ID, Kind: notify.KindGroupsGained, UserID: "ada", Groups: []string{"Registered"}, Reason: "all 3 characters are registered", OccurredAt: r.now},
		{
			EventID: lost.ID, Kind: notify.KindGroupsLost, UserID: "ada", Groups: []string{"Blues", "Registered"},
			Reason: "the group is not open to the user's state; character 7 is not registered since 2026-09-01T11:00:00Z", OccurredAt: r.now,
		},
	}, r.fake.sent)
	require.Equal(t, "User ada is now in compliance group Registered", r.fake.sent[0].Subject())
	require.Equal(t, `User ada is no longer in compliance groups Blues, Registered.

User: ada
When: 2026-09-01T12:00:00Z
Why: the group is not open to the user's state; character 7 is not registered since 2026-09-01T11:00:00Z

What the groups give is lost until that is put right. Which characters are to be registered:
  muster compliance users --user ada
`, r.fake.sent[1].Text())
	require.Contains(t, r.fake.sent[0].Text(), "can be used from now on")
}

func TestNobodyIsToldOfGroupsThatWereDefinedOrRemoved(t *testing.T) {
	r := newRig(t, withAccess)
	for _, cause := range []event.Type{access.TypeGroupDefined, access.TypeGroupRemoved} {
		r.sayOfUser(access.GroupsGained{UserID: "ada", Groups: []access.GainedGroup{{Name: "a"}}, GroupCause: access.GroupCause{Cause: cause, Since: r.now}})
		r.sayOfUser(access.GroupsLost{UserID: "ada", Groups: []access.LostGroup{{Name: "a"}}, GroupCause: access.GroupCause{Cause: cause, Since: r.now}})
	}
	r.sayOfUser(access.MainSet{UserID: "ada"})
	require.Empty(t, r.told())
	// What is found by a periodic run is news.
	r.sayOfUser(access.GroupsLost{UserID: "ada", Groups: []access.LostGroup{{Name: "a", Reasons: []access.GroupReason{{Reason: access.Reason{Fault: access.FaultNoBasicAccess}}}}}, GroupCause: access.GroupCause{Since: r.now}})
	require.Equal(t, []notify.Kind{notify.KindGroupsLost}, r.told())
	r.now = r.now.Add(-25 * time.Hour)
	old := access.GroupsGained{UserID: "ada", Groups: []access.GainedGroup{{Name: "a"}}, GroupCause: access.GroupCause{Since: r.now}}
	e, err := event.New(uuid.New(), event.User("ada"), "test", r.now, old)
	require.NoError(t, err)
	r.now = r.now.Add(25 * time.Hour)
	require.NoError(t, r.noticer.React(t.Context(), event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAccess, Offset: 99}}))
	require.Len(t, r.told(), 1, "it is too old to be news")
}
