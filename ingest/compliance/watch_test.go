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

func TestMain(m *testing.M) { enginetest.Main(m) }

// rig is a watcher on a real database; the read model and the log are in memory.
type rig struct {
	t        *testing.T
	pool     *pgxpool.Pool
	watcher  *compliance.Watcher
	standing map[string]*access.UserCompliance
	listing  map[int64][]string
	shown    []event.Position
	log      []event.Event
	away     error
	offset   int64
}

func (r *rig) Append(_ context.Context, events ...event.Event) error {
	if r.away != nil {
		return r.away
	}
	r.log = append(r.log, events...)
	return nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, pool: enginetest.Postgres(t), standing: map[string]*access.UserCompliance{}, listing: map[int64][]string{}}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	r.start()
	return r
}

// start begins anew, as after a crash.
func (r *rig) start() {
	r.t.Helper()
	var err error
	r.watcher, err = compliance.NewWatcher(compliance.Config{
		Pool: r.pool, Appender: r, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Shown: func(_ context.Context, at event.Position) error { r.shown = append(r.shown, at); return nil },
		Look:  func(_ context.Context, user string) (*access.UserCompliance, error) { return r.standing[user], nil },
		LookAll: func(_ context.Context, after string, limit int) (page []access.UserCompliance, _ error) {
			for _, id := range slices.Sorted(maps.Keys(r.standing)) {
				if s := r.standing[id]; s != nil && id > after && len(page) < limit {
					page = append(page, *s)
				}
			}
			return page, nil
		},
		Listing: func(_ context.Context, character int64) ([]string, error) { return r.listing[character], nil },
	})
	require.NoError(r.t, err)
}

func (r *rig) react(stream event.Stream, p event.Payload) error {
	r.t.Helper()
	r.offset++
	e, err := event.New(uuid.New(), stream, "test", time.Date(2026, 5, 1, 12, 0, int(r.offset), 0, time.UTC), p)
	require.NoError(r.t, err)
	recorded := event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAccess, Offset: r.offset}}
	if err := r.watcher.React(r.t.Context(), recorded); err != nil {
		return err
	}
	// Its second copy changes nothing.
	return r.watcher.React(r.t.Context(), recorded)
}

func (r *rig) user(id string, main *int64, total, unregistered int) {
	r.t.Helper()
	standing := access.UserOf(id, main, total, unregistered)
	if unregistered > 0 {
		standing.Reasons = []access.Reason{{CharacterID: 7, Fault: access.FaultNeverRegistered}}
	}
	r.standing[id] = &standing
	require.NoError(r.t, r.react(event.User(id), access.UserRegistered{UserID: id}))
}

// told are the changes in the log, each once.
func (r *rig) told() []access.ComplianceChanged {
	r.t.Helper()
	registry := event.NewRegistry()
	access.Register(registry)
	changes, seen := []access.ComplianceChanged{}, map[uuid.UUID]bool{}
	for _, e := range r.log {
		p, err := registry.Decode(e)
		require.NoError(r.t, err)
		if !seen[e.ID] {
			changes = append(changes, p.(access.ComplianceChanged))
		}
		seen[e.ID] = true
	}
	return changes
}

func at(second int) time.Time { return time.Date(2026, 5, 1, 12, 0, second, 0, time.UTC) }

func TestTheLogIsToldWhenAUserBecomesCompliantAndWhenHeIsSoNoMore(t *testing.T) {
	r := newRig(t)
	main := new(int64(1))
	r.user("ada", main, 2, 1)
	want := []access.ComplianceChanged{{UserID: "ada", Considered: true, Total: 2, Unregistered: 1, Since: at(1), Reasons: []access.Reason{{CharacterID: 7, Fault: access.FaultNeverRegistered}}}}
	require.Equal(t, want, r.told())
	r.user("ada", main, 3, 2)
	require.Equal(t, want, r.told(), "he is as compliant as he was")

	// A character that he is said to own is registered.
	r.listing[7] = []string{"ada"}
	standing := access.UserOf("ada", main, 3, 0)
	r.standing["ada"] = &standing
	require.NoError(t, r.react(event.Character(8), eve.CharacterRegistered{CharacterID: 8}))
	require.Equal(t, want, r.told(), "this one is nobody's")
	require.NoError(t, r.react(event.Character(7), eve.CharacterRegistered{CharacterID: 7}))
	want = append(want, access.ComplianceChanged{UserID: "ada", Considered: true, Compliant: true, Total: 3, Since: at(4)})
	require.Equal(t, want, r.told())

	// He becomes a guest, and comes back.
	delete(r.standing, "ada")
	require.NoError(t, r.react(event.User("ada"), access.MainSet{UserID: "ada"}))
	want = append(want, access.ComplianceChanged{UserID: "ada", Since: at(5)})
	require.Equal(t, want, r.told())
	r.user("ada", main, 3, 0)
	require.Len(t, r.told(), 4)
	require.Contains(t, r.shown, event.Position{Topic: event.TopicAccess, Offset: 6}, "the read model is waited for")
}

func TestTheLogIsToldWhenTheReasonsBecomeOthers(t *testing.T) {
	r := newRig(t)
	stands := func(main *int64, reasons ...access.Reason) {
		t.Helper()
		standing := access.UserOf("ada", main, 3, 2)
		standing.Reasons = reasons
		r.standing["ada"] = &standing
		require.NoError(t, r.react(event.User("ada"), access.MainSet{UserID: "ada", CharacterID: main}))
	}
	never := access.Reason{CharacterID: 7, Fault: access.FaultNeverRegistered}
	stands(nil, access.Reason{Fault: access.FaultNoMain}, never)
	stands(nil, access.Reason{Fault: access.FaultNoMain}, never, access.Reason{CharacterID: 8, Fault: access.FaultNeverRegistered})
	require.Len(t, r.told(), 1, "another character with the same fault is nothing else")
	main := new(int64(1))
	stands(main, never)
	r.start()
	stands(main, never)
	require.Equal(t, []access.ComplianceChanged{
		{UserID: "ada", Considered: true, Total: 3, Unregistered: 2, Since: at(1), Reasons: []access.Reason{{Fault: access.FaultNoMain}, never}},
		{UserID: "ada", Considered: true, Total: 3, Unregistered: 2, Since: at(3), Reasons: []access.Reason{never}},
	}, r.told())
}

func TestRolesThatLetReportsConsiderUsersAreReactedTo(t *testing.T) {
	r := newRig(t)
	main := new(int64(1))
	r.user("ada", main, 1, 0)
	r.user("bob", main, 2, 1)
	require.Len(t, r.told(), 2)
	stands := func(id string, compliant bool) {
		standing := access.UserOf(id, main, 1, 0)
		if !compliant {
			standing = access.UserOf(id, main, 1, 1)
			standing.Reasons = []access.Reason{{CharacterID: 7, Fault: access.FaultNeverRegistered}}
		}
		r.standing[id] = &standing
	}

	// A role of one's own, or of a group that one has come into, has reports consider one.
	stands("cat", true)
	require.NoError(t, r.react(event.User("cat"), access.RoleGranted{UserID: "cat"}))
	delete(r.standing, "cat")
	require.NoError(t, r.react(event.User("cat"), access.RoleRevoked{UserID: "cat"}))
	stands("cat", true)
	require.NoError(t, r.react(event.User("cat"), access.GroupsGained{UserID: "cat"}))
	delete(r.standing, "cat")
	require.NoError(t, r.react(event.User("cat"), access.GroupsLost{UserID: "cat"}))
	var considered []bool
	for _, change := range r.told()[2:] {
		require.Equal(t, "cat", change.UserID)
		considered = append(considered, change.Considered)
	}
	require.Equal(t, []bool{true, false, true, false}, considered)

	// What a role gives, all may have gained or lost.
	delete(r.standing, "ada")
	stands("bob", false)
	stands("dan", false)
	require.NoError(t, r.react(event.Roles, access.RoleDefined{}))
	require.Equal(t, []access.ComplianceChanged{
		{UserID: "ada", Since: at(7)},
		{UserID: "dan", Considered: true, Total: 1, Unregistered: 1, Since: at(7), Reasons: []access.Reason{{CharacterID: 7, Fault: access.FaultNeverRegistered}}},
	}, r.told()[6:])
	r.away = errors.New("the log is away")
	delete(r.standing, "dan")
	require.Equal(t, event.CodeUnavailable, event.CodeOf(r.react(event.Roles, access.RoleRemoved{})))
	r.away = nil
	r.start()
	require.NoError(t, r.react(event.Roles, access.RoleRemoved{}))
	require.Equal(t, []access.ComplianceChanged{{UserID: "dan", Since: at(8)}}, r.told()[8:])
}

func TestWhatDoesNotConcernComplianceIsNotLookedAt(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.react(event.Character(7), eve.CharacterDisabled{CharacterID: 7}))
	require.NoError(t, r.react(event.User("ada"), access.ComplianceChanged{UserID: "ada", Compliant: true}))
	require.NoError(t, r.react(event.User("ada"), access.MainSet{UserID: "ada"}), "nobody considers him")
	require.Empty(t, r.log)
	require.Len(t, r.shown, 2)
}

func TestAChangeThatCouldNotBeToldIsToldAsItWas(t *testing.T) {
	r := newRig(t)
	main := new(int64(1))
	r.user("ada", main, 1, 0)
	r.away = errors.New("the log is away")
	standing := access.UserOf("ada", main, 2, 1)
	r.standing["ada"] = &standing
	require.ErrorContains(t, r.react(event.User("ada"), access.CharactersListed{UserID: "ada"}), "the log is away")
	require.Equal(t, event.CodeUnavailable, event.CodeOf(r.react(event.User("ada"), access.CharactersListed{UserID: "ada"})))

	// Before it comes back he is compliant again: both is told, in its order.
	r.away = nil
	r.start()
	standing = access.UserOf("ada", main, 2, 0)
	require.NoError(t, r.react(event.User("ada"), access.MainSet{UserID: "ada", CharacterID: main}))
	var compliant []bool
	for _, change := range r.told() {
		compliant = append(compliant, change.Compliant)
	}
	require.Equal(t, []bool{true, false, true}, compliant)
	require.Equal(t, at(2), r.told()[1].Since)
}

func TestAWatcherWithoutWhatItNeedsIsRefused(t *testing.T) {
	_, err := compliance.NewWatcher(compliance.Config{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}
