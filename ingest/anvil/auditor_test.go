package anvil_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
)

// observedSharing puts on the log that g1 has an access level of a workspace, and the
// end of the sweep that saw it, which is returned.
func observedSharing(t *testing.T, log *memoryLog, level string) event.Recorded {
	t.Helper()
	found := domain.Response{Status: 200}
	var last event.Event
	for _, p := range []event.Payload{
		domain.GroupListObserved{Response: found},
		domain.GroupRoleObserved{Name: "g1", Listed: true, Email: "g1@firecloud.org", Roles: []string{"admin"}},
		domain.WorkspaceListObserved{Response: found},
		domain.WorkspaceObserved{Listed: true, WorkspaceRow: domain.WorkspaceRow{Namespace: "bp", Name: "ws", AccessLevel: "OWNER", AuthorizationDomains: []string{}}},
		domain.AccessListObserved{Workspace: "bp/ws", Reading: domain.Reading[map[string]domain.AccessEntry]{
			Response: found,
			Value:    map[string]domain.AccessEntry{"g1@firecloud.org": {AccessLevel: level}},
		}},
		domain.SweepCompleted{SweepID: uuid.New(), CompletedAt: time.Now()},
	} {
		e, err := event.New(uuid.New(), stream, "muster/test", time.Now(), p)
		require.NoError(t, err)
		require.NoError(t, log.Append(t.Context(), e))
		last = e
	}
	return event.Recorded{Event: last}
}

// sharing is a declared workspace that a group may read.
const sharing = `{"service_account": "app@example.com",
 "billing_projects": [{"name": "bp", "has_app_as_user": true}],
 "managed_groups": [{"name": "g1", "email": "g1@firecloud.org", "is_managed_by_app": true}],
 "workspaces": [{"billing_project": "bp", "name": "ws"}],
 "workspace_group_sharing": [{"workspace": "bp/ws", "group": "g1", "access": "WRITER"}]}`

func declaredSharing(t *testing.T) *logBus {
	t.Helper()
	bus := &logBus{log: &memoryLog{failAfter: -1}}
	_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: declared(t, sharing)})
	require.NoError(t, err)
	return bus
}

// aboutSharing are the events of the findings about the group's access.
func aboutSharing(t *testing.T, events []event.Event) []string {
	t.Helper()
	var all []string
	for _, e := range events {
		p, err := registry().Decode(e)
		require.NoError(t, err)
		switch p := p.(type) {
		case domain.FindingOpened:
			if p.Kind == domain.ErrDifferentAccess {
				all = append(all, "opened: "+p.Observed)
			}
		case domain.FindingChanged:
			if p.Kind == domain.ErrDifferentAccess {
				all = append(all, "changed: "+p.ObservedBefore+" to "+p.Observed)
			}
		case domain.FindingResolved:
			if p.Kind == domain.ErrDifferentAccess {
				all = append(all, "resolved: "+p.Observed)
			}
		}
	}
	return all
}

func TestAFindingIsOpenedChangedAndResolved(t *testing.T) {
	bus := declaredSharing(t)
	auditor := newAuditor(t, bus.load, bus.log)
	react := func(level string) []string {
		cause := observedSharing(t, bus.log, level)
		before := len(bus.log.events)
		require.NoError(t, auditor.React(t.Context(), cause))
		for _, e := range bus.log.events[before:] {
			require.Equal(t, cause.ID.String(), e.CausationID)
		}
		return aboutSharing(t, bus.log.events[before:])
	}
	require.Equal(t, []string{"opened: READER"}, react("READER"))
	require.Empty(t, react("READER"), "nothing changed")
	require.Equal(t, []string{"changed: READER to OWNER"}, react("OWNER"))
	require.Equal(t, []string{"resolved: OWNER"}, react("WRITER"))
	require.Equal(t, []string{"opened: READER"}, react("READER"))
}

func TestAnAuditSaysWhatItCameToAfterItsFindings(t *testing.T) {
	bus := declaredSharing(t)
	auditor := newAuditor(t, bus.load, bus.log)
	for level, verified := range map[string]int{"READER": 0, "WRITER": 1} {
		cause := observedSharing(t, bus.log, level)
		require.NoError(t, auditor.React(t.Context(), cause))
		last := bus.log.events[len(bus.log.events)-1]
		require.Equal(t, domain.TypeAuditCompleted, last.Type)
		require.Equal(t, cause.ID.String(), last.CausationID)
		p, err := registry().Decode(last)
		require.NoError(t, err)
		i := slices.IndexFunc(p.(domain.AuditCompleted).Models, func(m domain.ModelAudited) bool { return m.Model == domain.ModelSharing })
		require.Equal(t, domain.ModelAudited{Model: domain.ModelSharing, Audited: 1, Verified: verified, Errors: 1 - verified}, p.(domain.AuditCompleted).Models[i])
		require.NotNil(t, p.(domain.AuditCompleted).SweepID)

		// It leads to no audit itself.
		before := len(bus.log.events)
		require.NoError(t, auditor.React(t.Context(), event.Recorded{Event: last}))
		require.Len(t, bus.log.events, before)
	}
}

// A process that died between appending and noting that does it again before the
// read model shows what it appended.
func TestAnAuditThatIsRepeatedAppendsTheSameEvents(t *testing.T) {
	bus := declaredSharing(t)
	cause := observedSharing(t, bus.log, "READER")
	asOfThen := slices.Clone(bus.log.events)
	frozen := func(ctx context.Context, s event.Stream) (*domain.State, error) {
		return (&logBus{log: &memoryLog{failAfter: -1, events: asOfThen}}).load(ctx, s)
	}
	first, second := &memoryLog{failAfter: -1}, &memoryLog{failAfter: -1}
	require.NoError(t, newAuditor(t, frozen, first).React(t.Context(), cause))
	require.NoError(t, newAuditor(t, frozen, second).React(t.Context(), cause))
	require.NotEmpty(t, first.events)
	require.Equal(t, first.events, second.events)
}
