package compliance_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/compliance"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

var registered, blues = uuid.UUID{1}, uuid.UUID{2}

// groupRig is a watcher on a real database; the read model and the log are in memory.
type groupRig struct {
	t         *testing.T
	pool      *pgxpool.Pool
	watcher   *compliance.GroupWatcher
	groups    *access.ComplianceGroups
	standings map[string]access.GroupStanding
	concerned map[int64][]string
	shown     []event.Position
	log       []event.Event
	away      error
	offset    int64
}

func (r *groupRig) Append(_ context.Context, events ...event.Event) error {
	if r.away != nil {
		return r.away
	}
	r.log = append(r.log, events...)
	return nil
}

func (r *groupRig) Shown(_ context.Context, at event.Position) error {
	r.shown = append(r.shown, at)
	return nil
}

func (r *groupRig) GroupsNow(context.Context) (*access.ComplianceGroups, error) { return r.groups, nil }

func (r *groupRig) GroupStandings(_ context.Context, ids []string, after string, limit int) (found []access.GroupStanding, _ error) {
	if ids != nil {
		after, limit = "", len(r.standings)
	}
	for _, id := range slices.Sorted(maps.Keys(r.standings)) {
		if id > after && len(found) < limit && (ids == nil || slices.Contains(ids, id)) {
			found = append(found, r.standings[id])
		}
	}
	return found, nil
}

func (r *groupRig) GroupCandidates(_ context.Context, character int64) ([]string, error) {
	return r.concerned[character], nil
}

func newGroupRig(t *testing.T) *groupRig {
	t.Helper()
	r := &groupRig{t: t, pool: enginetest.Postgres(t), groups: access.NewComplianceGroups(), standings: map[string]access.GroupStanding{}, concerned: map[int64][]string{7: {"ada"}}}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	r.start()
	return r
}

// start begins anew, as after a crash.
func (r *groupRig) start() {
	r.t.Helper()
	var err error
	r.watcher, err = compliance.NewGroupWatcher(compliance.GroupConfig{
		Pool: r.pool, Model: r, Appender: r, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return at(59) },
	})
	require.NoError(r.t, err)
}

func (r *groupRig) react(stream event.Stream, p event.Payload) error {
	r.t.Helper()
	r.offset++
	e, err := event.New(uuid.UUID{byte(r.offset)}, stream, "test", at(int(r.offset)), p)
	require.NoError(r.t, err)
	recorded := event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAccess, Offset: r.offset}}
	if err := r.watcher.React(r.t.Context(), recorded); err != nil {
		return err
	}
	// Its second copy changes nothing.
	return r.watcher.React(r.t.Context(), recorded)
}

// define defines groups: one for all, and one for a state.
func (r *groupRig) define() {
	r.t.Helper()
	for _, d := range []access.GroupDefined{
		{GroupID: registered, ComplianceGroup: access.ComplianceGroup{Name: "Registered"}},
		{GroupID: blues, ComplianceGroup: access.ComplianceGroup{Name: "Blues", States: []string{"Blue"}}},
	} {
		r.groups.Apply(d)
		require.NoError(r.t, r.react(event.Roles, d))
	}
}

// told are the changes in the log, each once.
func (r *groupRig) told() (changes []event.Payload) {
	r.t.Helper()
	registry := event.NewRegistry()
	access.Register(registry)
	seen := map[uuid.UUID]bool{}
	for _, e := range r.log {
		p, err := registry.Decode(e)
		require.NoError(r.t, err)
		if !seen[e.ID] {
			changes = append(changes, p)
		}
		seen[e.ID] = true
	}
	return changes
}

func TestUsersComeIntoComplianceGroupsAndLeaveThem(t *testing.T) {
	r := newGroupRig(t)
	unregistered := access.GroupReason{Reason: access.Reason{CharacterID: 7, Fault: access.FaultNeverRegistered}, Since: new(at(1))}
	ada := access.GroupStanding{UserID: "ada", State: "Member", BasicAccess: true, Registered: 1, Unregistered: []access.GroupReason{unregistered}}
	r.standings["ada"] = ada
	r.standings["bob"] = access.GroupStanding{UserID: "bob", State: "Blue", BasicAccess: true, Registered: 1}
	require.NoError(t, r.react(event.User("ada"), access.UserRegistered{UserID: "ada"}))
	require.Empty(t, r.log, "there are no groups")
	r.define()
	all, blue := access.GainedGroup{GroupID: registered, Name: "Registered"}, access.GainedGroup{GroupID: blues, Name: "Blues"}
	want := []event.Payload{
		access.GroupsGained{UserID: "bob", Groups: []access.GainedGroup{all}, Characters: 1, GroupCause: access.GroupCause{Cause: access.TypeGroupDefined, Since: at(2)}},
		access.GroupsGained{UserID: "bob", Groups: []access.GainedGroup{blue}, Characters: 1, GroupCause: access.GroupCause{Cause: access.TypeGroupDefined, Since: at(3)}},
	}
	require.Equal(t, want, r.told())
	require.Equal(t, uuid.UUID{2}.String(), r.log[0].CausationID)

	// The last one is registered.
	ada.Unregistered, ada.Registered = nil, 2
	r.standings["ada"] = ada
	require.NoError(t, r.react(event.Character(8), eve.CharacterRegistered{CharacterID: 8}))
	require.Equal(t, want, r.told(), "this one is nobody's")
	require.NoError(t, r.react(event.Character(7), eve.CharacterRegistered{CharacterID: 7, UserID: "ada"}))
	want = append(want, access.GroupsGained{UserID: "ada", Groups: []access.GainedGroup{all}, Characters: 2, GroupCause: access.GroupCause{Cause: eve.TypeCharacterRegistered, CharacterID: 7, Since: at(5)}})
	require.Equal(t, want, r.told())

	// He is moved to another state.
	ada.State = "Blue"
	r.standings["ada"] = ada
	require.NoError(t, r.react(event.User("ada"), access.UserRegistered{UserID: "ada"}))
	want = append(want, access.GroupsGained{UserID: "ada", Groups: []access.GainedGroup{blue}, Characters: 2, GroupCause: access.GroupCause{Cause: access.TypeUserRegistered, Since: at(6)}})
	require.Equal(t, want, r.told())

	// A character comes to light.
	ada.Unregistered = []access.GroupReason{unregistered}
	r.standings["ada"] = ada
	require.NoError(t, r.react(event.User("ada"), access.CharactersListed{UserID: "ada"}))
	reasons := []access.GroupReason{unregistered}
	want = append(want, access.GroupsLost{
		UserID: "ada", Groups: []access.LostGroup{{GroupID: blues, Name: "Blues", Reasons: reasons}, {GroupID: registered, Name: "Registered", Reasons: reasons}},
		GroupCause: access.GroupCause{Cause: access.TypeListed, Since: at(7)},
	})
	require.Equal(t, want, r.told())

	// A group is removed.
	r.groups.Apply(access.GroupRemoved{GroupID: registered})
	require.NoError(t, r.react(event.Roles, access.GroupRemoved{GroupID: registered, Name: "Registered"}))
	want = append(want, access.GroupsLost{
		UserID: "bob", Groups: []access.LostGroup{{GroupID: registered, Name: "Registered", Reasons: []access.GroupReason{{Reason: access.Reason{Fault: access.FaultGroupRemoved}}}}},
		GroupCause: access.GroupCause{Cause: access.TypeGroupRemoved, Since: at(8)},
	})
	require.Equal(t, want, r.told())
	require.Contains(t, r.shown, event.Position{Topic: event.TopicAccess, Offset: 8}, "the read model is waited for")
}

func TestBasicAccessThatARoleGivesOrTakesCounts(t *testing.T) {
	r := newGroupRig(t)
	r.define()
	for i, p := range []event.Payload{access.RoleGranted{UserID: "ada"}, access.RoleRevoked{UserID: "ada"}, access.RoleDefined{}, access.RoleRemoved{}} {
		stream := event.User("ada")
		if i > 1 {
			stream = event.Roles
		}
		r.standings["ada"] = access.GroupStanding{UserID: "ada", BasicAccess: i%2 == 0, Registered: 1}
		require.NoError(t, r.react(stream, p))
		require.Len(t, r.told(), i+1)
	}
}

func TestAPeriodicRunFindsWhatNoEventTold(t *testing.T) {
	r := newGroupRig(t)
	r.define()
	r.standings["ada"] = access.GroupStanding{UserID: "ada", BasicAccess: true, Registered: 1}
	require.NoError(t, r.watcher.Sweep(t.Context()))
	require.NoError(t, r.watcher.Sweep(t.Context()))
	want := access.GroupsGained{UserID: "ada", Groups: []access.GainedGroup{{GroupID: registered, Name: "Registered"}}, Characters: 1, GroupCause: access.GroupCause{Since: at(59)}}
	require.Equal(t, []event.Payload{want}, r.told())
	require.Empty(t, r.log[0].CausationID)

	// It runs until it is told to stop.
	ctx, cancel := context.WithCancel(t.Context())
	r.standings["bob"] = access.GroupStanding{UserID: "bob", BasicAccess: true, Registered: 1}
	done := make(chan struct{})
	go func() { defer close(done); r.watcher.Run(ctx) }()
	require.Eventually(t, func() bool {
		var n int
		return r.pool.QueryRow(t.Context(), `SELECT count(*) FROM ingest.compliance_groups WHERE pending IS NULL`).Scan(&n) == nil && n == 2
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	require.Len(t, r.told(), 2)
}

func TestWhatDoesNotConcernComplianceGroupsIsNotLookedAt(t *testing.T) {
	r := newGroupRig(t)
	r.define()
	shown := len(r.shown)
	require.NoError(t, r.react(event.Character(7), eve.CharacterDisabled{CharacterID: 7}))
	require.NoError(t, r.react(event.User("ada"), access.MainSet{UserID: "ada"}))
	require.NoError(t, r.react(event.User("ada"), access.GroupsGained{UserID: "ada"}))
	require.Len(t, r.shown, shown)
	require.Empty(t, r.log)
}

func TestGroupsThatCouldNotBeToldAreToldAsTheyWere(t *testing.T) {
	r := newGroupRig(t)
	r.define()
	r.away = errors.New("the log is away")
	ada := access.GroupStanding{UserID: "ada", BasicAccess: true, Registered: 1}
	r.standings["ada"] = ada
	require.ErrorContains(t, r.react(event.User("ada"), access.UserRegistered{UserID: "ada"}), "the log is away")

	// Before it comes back he has lost the group again, and is known no more: both is
	// told, in its order.
	r.away = nil
	r.start()
	delete(r.standings, "ada")
	require.NoError(t, r.react(event.User("ada"), access.CharactersListed{UserID: "ada"}))
	told := r.told()
	require.Len(t, told, 2)
	require.Equal(t, at(3), told[0].(access.GroupsGained).Since)
	require.Equal(t, []access.GroupReason{{Reason: access.Reason{Fault: access.FaultNoBasicAccess}}, {Reason: access.Reason{Fault: access.FaultNoCharacters}}}, told[1].(access.GroupsLost).Groups[0].Reasons)

	// A sweep tells what was left, too.
	r.away = errors.New("the log is away")
	r.standings["ada"] = ada
	require.Equal(t, event.CodeUnavailable, event.CodeOf(r.watcher.Sweep(t.Context())))
	r.away = nil
	require.NoError(t, r.watcher.Sweep(t.Context()))
	require.Len(t, r.told(), 3)
}

func TestAWatcherOfGroupsWithoutWhatItNeedsIsRefused(t *testing.T) {
	_, err := compliance.NewGroupWatcher(compliance.GroupConfig{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}
