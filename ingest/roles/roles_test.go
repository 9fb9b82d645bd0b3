package roles_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/roles"
	"github.com/muster-sync/muster/internal/command"
)

// organisation is a bus with a read model that shows each decision at once.
type organisation struct {
	t        *testing.T
	known    *access.Roles
	groups   *access.ComplianceGroups
	users    map[string]access.UserRegistered
	granted  map[string]map[uuid.UUID]bool
	inputs   []command.Input
	versions map[event.Stream]int64
	away     error
}

func newOrganisation(t *testing.T) (*organisation, *roles.Keeper) {
	o := &organisation{
		t: t, known: access.NewRoles(), groups: access.NewComplianceGroups(), versions: map[event.Stream]int64{}, granted: map[string]map[uuid.UUID]bool{"ada": {}},
		users: map[string]access.UserRegistered{"ada": {UserID: "ada", Active: true, State: "Member", Permissions: []string{"basic_access"}}},
	}
	return o, roles.NewKeeper(o, o)
}

func (o *organisation) Do(ctx context.Context, stream event.Stream, in command.Input, decide command.Decide) (command.Receipt, error) {
	o.inputs = append(o.inputs, in)
	// A decision may run more than once; only the last counts.
	if _, err := decide(ctx, nil, o.versions[stream]); err != nil {
		return command.Receipt{}, err
	}
	events, err := decide(ctx, nil, o.versions[stream])
	require.NoError(o.t, err)
	for _, p := range events {
		o.known.Apply(p)
		o.groups.Apply(p)
		o.versions[stream]++
		switch p := p.(type) {
		case access.RoleGranted:
			o.granted[p.UserID][p.RoleID] = true
		case access.RoleRevoked:
			delete(o.granted[p.UserID], p.RoleID)
		case access.UserRegistered:
			o.users[p.UserID] = p
		}
	}
	return command.Receipt{Stream: stream, Version: o.versions[stream]}, nil
}

func (o *organisation) Await(context.Context, ...command.Receipt) (bool, error) { return true, nil }

func (o *organisation) Roles(context.Context) (*access.Roles, error) { return o.known, o.away }

func (o *organisation) ComplianceGroups(context.Context) (*access.ComplianceGroups, error) {
	return o.groups, o.away
}

func (o *organisation) User(_ context.Context, id string) (access.UserRegistered, bool, error) {
	u, there := o.users[id]
	return u, there, o.away
}

func (o *organisation) Granted(_ context.Context, user string) (map[uuid.UUID]bool, error) {
	return o.granted[user], o.away
}

func TestRolesAreGrantedAndRevoked(t *testing.T) {
	o, k := newOrganisation(t)
	result, err := k.Define(t.Context(), roles.DefineInput{Actor: "token:admin", Role: access.Role{Name: "Recruiter", Permissions: []string{"finder_access"}}, ExpectedVersion: new(int64(0))})
	require.NoError(t, err)
	require.Equal(t, roles.Result{Changed: true, Version: 1, Shown: true}, result)
	require.Equal(t, command.Input{Actor: "token:admin", ExpectedVersion: new(int64(0))}, o.inputs[0])

	grant := roles.GrantInput{Actor: "token:admin", UserID: "ada", Role: "recruiter"}
	for _, changed := range []bool{true, false} {
		result, err = k.Grant(t.Context(), grant)
		require.NoError(t, err)
		require.Equal(t, roles.Result{Changed: changed, Version: 1, Shown: true}, result)
	}
	require.Len(t, o.granted["ada"], 1)
	grant.Revoke, grant.Reason = true, "has left"
	for _, changed := range []bool{true, false} {
		result, err = k.Grant(t.Context(), grant)
		require.NoError(t, err)
		require.Equal(t, roles.Result{Changed: changed, Version: 2, Shown: true}, result)
	}
	require.Empty(t, o.granted["ada"])
	require.EqualValues(t, 1, o.versions[event.Roles], "a grant is the user's")

	for _, wrong := range []roles.GrantInput{{UserID: "bob", Role: "Recruiter"}, {UserID: "ada", Role: "Pilot"}} {
		_, err = k.Grant(t.Context(), wrong)
		require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	}
	_, err = k.Grant(t.Context(), roles.GrantInput{UserID: "a/b", Role: "Recruiter"})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	result, err = k.Remove(t.Context(), roles.RemoveInput{Name: "Recruiter"})
	require.NoError(t, err)
	require.True(t, result.Changed)
	require.Empty(t, o.known.ByID)
}

func TestUsersAreChangedAndKeepTheRest(t *testing.T) {
	o, k := newOrganisation(t)
	f := func(in roles.ChangeInput, changed bool, want access.UserRegistered) {
		t.Helper()
		in.UserID = "ada"
		result, err := k.Change(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, changed, result.Changed)
		require.Equal(t, want, o.users["ada"])
	}
	want := o.users["ada"]
	f(roles.ChangeInput{Active: new(true)}, false, want)
	want.Active = false
	f(roles.ChangeInput{Active: new(false)}, true, want)
	want.Superuser, want.State = true, "Blue"
	f(roles.ChangeInput{Superuser: new(true), State: new(" Blue ")}, true, want)

	_, err := k.Change(t.Context(), roles.ChangeInput{UserID: "ada"})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, err = k.Change(t.Context(), roles.ChangeInput{UserID: "bob", Active: new(true)})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	o.away = errors.New("the read model is away")
	_, err = k.Change(t.Context(), roles.ChangeInput{UserID: "ada", Active: new(true)})
	require.ErrorContains(t, err, "away")
	_, err = k.Define(t.Context(), roles.DefineInput{Role: access.Role{Name: "a"}})
	require.ErrorContains(t, err, "away")
}

func TestComplianceGroupsAreDefinedForRolesAndRemovedAfterThem(t *testing.T) {
	o, k := newOrganisation(t)
	pilot := roles.DefineInput{Actor: "token:admin", Role: access.Role{Name: "Pilot", Permissions: []string{"finder_access"}, Groups: []string{"registered"}}}
	_, err := k.Define(t.Context(), pilot)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "define it first")

	group := roles.DefineGroupInput{Actor: "token:admin", Group: access.ComplianceGroup{Name: "Registered", States: []string{"Member"}}, ExpectedVersion: new(int64(0))}
	result, err := k.DefineGroup(t.Context(), group)
	require.NoError(t, err)
	require.Equal(t, roles.Result{Changed: true, Version: 1, Shown: true}, result)
	require.Equal(t, command.Input{Actor: "token:admin", ExpectedVersion: new(int64(0))}, o.inputs[1])
	result, err = k.DefineGroup(t.Context(), group)
	require.NoError(t, err)
	require.False(t, result.Changed)

	_, err = k.Define(t.Context(), pilot)
	require.NoError(t, err)
	_, role, err := o.known.Named("pilot")
	require.NoError(t, err)
	require.Equal(t, []string{"Registered"}, role.Groups, "it is spelt as the group is")
	_, err = k.RemoveGroup(t.Context(), roles.RemoveGroupInput{Actor: "token:admin", Name: "registered"})
	require.ErrorContains(t, err, "role Pilot")
	_, err = k.Remove(t.Context(), roles.RemoveInput{Actor: "token:admin", Name: "pilot"})
	require.NoError(t, err)
	result, err = k.RemoveGroup(t.Context(), roles.RemoveGroupInput{Actor: "token:admin", Name: "registered", Reason: "over"})
	require.NoError(t, err)
	require.True(t, result.Changed)
	require.Empty(t, o.groups.ByID)

	o.away = errors.New("the view is away")
	_, err = k.DefineGroup(t.Context(), group)
	require.ErrorContains(t, err, "the view is away")
	_, err = k.RemoveGroup(t.Context(), roles.RemoveGroupInput{Name: "registered"})
	require.ErrorContains(t, err, "the view is away")
}
