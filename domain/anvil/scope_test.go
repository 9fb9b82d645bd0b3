package anvil_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

func TestAScopeNamesEachThingOnceAndRefusesWhatIsNoName(t *testing.T) {
	s, err := anvil.NewScope([]string{"h", "g", "h"}, []string{"bp/ws"})
	require.NoError(t, err)
	require.Equal(t, anvil.Scope{Groups: []string{"g", "h"}, Workspaces: []string{"bp/ws"}}, s)
	require.Equal(t, []anvil.Model{anvil.ModelManagedGroups, anvil.ModelWorkspaces}, s.Models())
	require.Equal(t, "group g, group h, workspace bp/ws", s.Words())

	none, err := anvil.NewScope(nil, []string{})
	require.NoError(t, err)
	require.Equal(t, anvil.Scope{}, none)
	require.True(t, none.Whole())
	require.Equal(t, anvil.Models(), none.Models())
	require.Equal(t, "everything", none.Words())

	for _, bad := range []string{"", "a/b", "a\x00"} {
		_, err := anvil.NewScope([]string{bad}, nil)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "group %q", bad)
	}
	for _, bad := range []string{"", "ws", "/ws", "bp/", "bp/ws/x", "bp/w\ns"} {
		_, err := anvil.NewScope(nil, []string{bad})
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "workspace %q", bad)
	}
}

func TestAScopeAsksForTheListsAndForItsOwnRecordsAlone(t *testing.T) {
	d := decodeText(t, `{"service_account": "app@example.com", "billing_projects": [{"name": "bp"}], "accounts": [{"email": "a@example.com"}],
		"managed_groups": [{"name": "g", "email": "g@x.org"}, {"name": "h", "email": "h@x.org"}, {"name": "lost", "email": "l@x.org"}],
		"workspaces": [{"billing_project": "bp", "name": "ws"}, {"billing_project": "bp", "name": "other"}]}`)
	o := anvil.NewObserved()
	list := groupRows("g:g@x.org:admin", "h:h@x.org:admin")
	o.Record(anvil.RecordKey{Kind: anvil.KindGroupList}, 200, list.Body)
	o.Record(anvil.RecordKey{Kind: anvil.KindWorkspaceList}, 200, spaceRows("bp/ws:OWNER:", "bp/other:OWNER:", "bp/stray:NO ACCESS:").Body)
	for _, f := range []struct {
		scope anvil.Scope
		first []string
		next  []string
	}{
		{anvil.Scope{}, []string{"group_list:", "workspace_list:", "billing_project:bp", "account:a@example.com"}, []string{
			"group_members:g", "group_admins:g", "group_members:h", "group_admins:h", "group:lost",
			"access_list:bp/ws", "settings:bp/ws", "access_list:bp/other", "settings:bp/other", "access_list:bp/stray",
		}},
		{anvil.Scope{Groups: []string{"g", "lost"}}, []string{"group_list:"}, []string{"group_members:g", "group_admins:g", "group:lost"}},
		{anvil.Scope{Workspaces: []string{"bp/stray", "bp/ws"}}, []string{"workspace_list:"}, []string{"access_list:bp/ws", "settings:bp/ws", "access_list:bp/stray"}},
	} {
		require.Equal(t, f.first, asked(anvil.FirstRequests(d, f.scope.Models(), f.scope)), f.scope.Words())
		require.Equal(t, f.next, asked(anvil.NextRequests(d, o, f.scope.Models(), f.scope)), f.scope.Words())
	}
}

func decodeText(t *testing.T, text string) anvil.Declared {
	d, err := anvil.DecodeDeclared(strings.NewReader(text))
	require.NoError(t, err)
	return d
}

func asked(requests []anvil.Request) []string {
	var keys []string
	for _, q := range requests {
		keys = append(keys, q.Record.String())
	}
	return keys
}

func TestAScopeIsOfWhatIsDeclaredOrListed(t *testing.T) {
	d := decodeText(t, `{"service_account": "app@example.com", "billing_projects": [{"name": "bp"}], "managed_groups": [{"name": "g", "email": "g@x.org"}],
		"workspaces": [{"billing_project": "bp", "name": "ws"}]}`)
	listed := anvil.NewObserved()
	listed.Record(anvil.RecordKey{Kind: anvil.KindGroupList}, 200, groupRows("stray:s@x.org:member").Body)
	listed.Record(anvil.RecordKey{Kind: anvil.KindWorkspaceList}, 200, spaceRows("bp/stray:READER:").Body)
	unread := anvil.NewObserved()
	unread.Fail(anvil.RecordKey{Kind: anvil.KindGroupList}, 500, "status 500")
	unread.Fail(anvil.RecordKey{Kind: anvil.KindWorkspaceList}, 0, "no answer: time-out")
	known := anvil.Scope{Groups: []string{"g"}, Workspaces: []string{"bp/ws"}}
	require.NoError(t, known.Check(d, listed))
	require.NoError(t, known.Check(d, unread))
	require.NoError(t, anvil.Scope{Groups: []string{"stray"}, Workspaces: []string{"bp/stray"}}.Check(d, listed))
	for _, f := range []struct {
		scope anvil.Scope
		o     *anvil.Observed
		code  event.Code
		text  string
	}{
		{anvil.Scope{Groups: []string{"G"}}, listed, event.CodeNotFound, `group "G" is neither declared nor in AnVIL's list`},
		{anvil.Scope{Workspaces: []string{"bp/WS"}}, listed, event.CodeNotFound, `workspace "bp/WS" is neither declared nor in AnVIL's list`},
		{anvil.Scope{Groups: []string{"stray"}}, unread, event.CodeUnavailable, "could not be read: status 500"},
		{anvil.Scope{Workspaces: []string{"bp/stray"}}, unread, event.CodeUnavailable, "could not be read: no answer: time-out"},
	} {
		err := f.scope.Check(d, f.o)
		require.Equal(t, f.code, event.CodeOf(err), f.scope.Words())
		require.ErrorContains(t, err, f.text)
	}
}

func TestASweepOfSingleGroupsDoesNotHideTheLastWholeOne(t *testing.T) {
	state := anvil.NewState(stream)
	complete := func(scope anvil.Scope) uuid.UUID {
		p := anvil.SweepCompleted{SweepID: uuid.New(), Scope: scope, CompletedAt: noon.Add(time.Minute)}
		require.NoError(t, state.Apply(event.Event{ID: uuid.New(), Stream: stream, Time: noon}, p))
		return p.SweepID
	}
	complete(anvil.Scope{Groups: []string{"g"}})
	_, ok := state.LastSweep()
	require.False(t, ok)
	whole := complete(anvil.Scope{})
	complete(anvil.Scope{Workspaces: []string{"bp/ws"}})
	last, ok := state.LastSweep()
	require.True(t, ok)
	require.Equal(t, whole, last.SweepID)
}

func TestSweepsOfTheFirstVersionAreWholeAndLeadToAudits(t *testing.T) {
	for _, name := range []event.Type{"muster.anvil.sweep.completed.v1", "muster.anvil.sweep.completed.v2", "muster.anvil.plan.applied.v1"} {
		require.True(t, anvil.LeadsToAudit(name), name)
	}
	require.False(t, anvil.LeadsToAudit("muster.anvil.sweep.started.v1"))
	registry := event.NewRegistry()
	anvil.Register(registry)
	p, err := registry.Decode(event.Event{
		Type: "muster.anvil.sweep.completed.v1", Stream: stream, ID: uuid.New(), Time: noon,
		Data: []byte(`{"sweep_id": "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "models": ["accounts"], "calls": 3, "covered": {"account": 2}, "unseen_count": 0}`),
	})
	require.NoError(t, err)
	done, ok := p.(anvil.SweepCompleted)
	require.True(t, ok)
	require.True(t, done.Whole())
	require.Equal(t, 3, done.Calls)
}
