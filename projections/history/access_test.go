package history_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
)

// drawAccess draws a life in which people come into workspaces and leave them: through
// groups that are nested, past authorization domains, and as far as AnVIL tells.
func drawAccess(t *rapid.T, late time.Duration) *drawn {
	d := &drawn{t: t, state: anvil.NewState(event.Consortium("primed")), now: noon}
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	some := func(what string, of ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID).Draw(t, what)
	}
	people, groups, names := []string{"a@example.com", "b@example.com"}, []string{"readers", "curators"}, []string{"ws", "other"}
	flip := func(what string) bool { return rapid.Bool().Draw(t, what) }
	status := func() anvil.Response {
		return anvil.Response{Status: rapid.SampledFrom([]int{200, 200, 403}).Draw(t, "status")}
	}
	put := func(p event.Payload) {
		d.now = d.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes pass")) * time.Minute)
		e, err := event.New(d.id(), d.state.Stream(), "test", d.now.Add(-time.Duration(rapid.IntRange(0, int(late/time.Minute)).Draw(t, "minutes late"))*time.Minute), p)
		require.NoError(t, err)
		d.append(e)
	}
	put(anvil.ConsortiumDeclared{ServiceAccount: "app@example.com"})
	put(anvil.BillingProjectDeclared{BillingProject: anvil.BillingProject{Name: "bp", HasAppAsUser: true}})
	steps := map[string]func(){
		"account": func() {
			put(anvil.AccountDeclared{Account: anvil.Account{Email: pick("who", people...), Status: anvil.StatusActive}})
		},
		"registered": func() {
			put(anvil.AccountObserved{Email: pick("who", people...), Reading: answered(anvil.AccountInfo{Registered: flip("registered")})})
		},
		"group": func() {
			name := pick("group", groups...)
			put(anvil.GroupDeclared{ManagedGroup: anvil.ManagedGroup{Name: name, Email: name + "@firecloud.org", IsManagedByApp: flip("managed")}})
		},
		"in": func() {
			put(anvil.AccountMembershipDeclared{AccountMembership: anvil.AccountMembership{Group: pick("group", groups...), Account: pick("who", people...), Role: anvil.RoleMember}})
		},
		"out": func() {
			put(anvil.AccountMembershipWithdrawn{Group: pick("group", groups...), Account: pick("who", people...)})
		},
		"nest": func() {
			put(anvil.GroupMembershipDeclared{GroupMembership: anvil.GroupMembership{Parent: "readers", Child: "curators", Role: anvil.RoleMember}})
		},
		"unnest": func() { put(anvil.GroupMembershipWithdrawn{Parent: "readers", Child: "curators"}) },
		"workspace": func() {
			put(anvil.WorkspaceDeclared{Workspace: anvil.Workspace{BillingProject: "bp", Name: pick("name", names...), AppAccess: anvil.AppOwner, AuthorizationDomains: some("domains", groups...)}})
		},
		"away": func() { put(anvil.WorkspaceWithdrawn{BillingProject: "bp", Name: pick("name", names...)}) },
		"share": func() {
			access := rapid.SampledFrom([]anvil.Access{anvil.AccessReader, anvil.AccessWriter}).Draw(t, "access")
			put(anvil.SharingDeclared{Sharing: anvil.Sharing{Workspace: "bp/" + pick("name", names...), Group: pick("group", groups...), Access: access}})
		},
		"unshare": func() {
			put(anvil.SharingWithdrawn{Workspace: "bp/" + pick("name", names...), Group: pick("group", groups...)})
		},
		"roles": func() {
			put(anvil.GroupListObserved{Response: status()})
			name := pick("group", groups...)
			put(anvil.GroupRoleObserved{Name: name, Email: name + "@firecloud.org", Roles: some("roles", "admin", "member"), Listed: flip("listed")})
		},
		"members": func() {
			name := pick("group", groups...)
			put(anvil.GroupMembersObserved{Group: name, Reading: anvil.Reading[[]string]{Response: status(), Value: some("members", append(people, "curators@firecloud.org")...)}})
			put(anvil.GroupAdminsObserved{Group: name, Reading: answered([]string{"app@example.com"})})
		},
		"listed": func() {
			put(anvil.WorkspaceListObserved{Response: status()})
			put(anvil.WorkspaceObserved{WorkspaceRow: anvil.WorkspaceRow{Namespace: "bp", Name: pick("name", names...), AccessLevel: "OWNER", AuthorizationDomains: some("domains", groups...)}, Listed: flip("listed")})
		},
		"shared": func() {
			acl := map[string]anvil.AccessEntry{}
			for _, who := range some("entries", append(people, "readers@firecloud.org", "curators@firecloud.org")...) {
				acl[who] = anvil.AccessEntry{AccessLevel: pick("level", "READER", "WRITER"), Pending: flip("pending")}
			}
			put(anvil.AccessListObserved{Workspace: "bp/" + pick("name", names...), Reading: anvil.Reading[map[string]anvil.AccessEntry]{Response: status(), Value: acl}})
		},
		"sweep": func() {
			put(anvil.SweepCompleted{SweepID: d.id(), Models: anvil.Models(), StartedAt: d.now, CompletedAt: d.now})
		},
	}
	kinds := slices.Sorted(func(yield func(string) bool) {
		for k := range steps {
			if !yield(k) {
				return
			}
		}
	})
	for range rapid.IntRange(10, 40).Draw(t, "steps") {
		steps[pick("step", kinds...)]()
	}
	return d
}

// standing is how steps say that somebody stood at a moment, and whether they say so.
func standing(steps []history.AccessStep, workspace, address string, side anvil.Side, at time.Time) (anvil.Standing, bool) {
	found, told := anvil.Standing{Reach: anvil.ReachNo}, false
	for _, s := range steps {
		if s.Workspace == workspace && s.Address == address && s.Side == side && !s.At.After(at) {
			found, told = s.After, true
		}
	}
	return found, told
}

// The steps lead, at each event, to what is computed of the consortium as it was then.
func TestAccessOverTimeIsThatOfEachMoment(t *testing.T) {
	both := []anvil.Side{anvil.SideDeclared, anvil.SideObserved}
	rapid.Check(t, func(t *rapid.T) {
		d := drawAccess(t, time.Duration(rapid.SampledFrom([]int{0, 0, 120}).Draw(t, "late"))*time.Minute)
		reader := history.New(&d.log, registry())
		from := time.Time{}
		if rapid.Bool().Draw(t, "from") {
			from = d.moment()
		}
		to := from.Add(time.Duration(rapid.IntRange(0, 40*60).Draw(t, "minutes")) * time.Minute)
		if from.IsZero() || rapid.Bool().Draw(t, "to the end") {
			to = d.latest()
		}
		if to.Before(from) {
			to = from
		}
		ofWorkspace, err := reader.Access(t.Context(), history.AccessQuestion{Consortium: "primed", Workspace: "bp/ws", Sides: both, From: from, To: to})
		if err != nil {
			require.Equal(t, event.CodeNotFound, event.CodeOf(err), err)
		}
		ofAddress, err := reader.Access(t.Context(), history.AccessQuestion{Consortium: "primed", Address: "a@example.com", Sides: both, From: from, To: to})
		if err != nil {
			require.Equal(t, event.CodeNotFound, event.CodeOf(err), err)
			return
		}
		steps := slices.Concat(ofWorkspace.Steps, ofAddress.Steps)
		for _, s := range steps {
			require.False(t, s.At.Before(from) || s.At.After(to))
			want, changes := s.Before.ChangeTo(s.After)
			if s.Change == anvil.AccessHeld {
				require.False(t, changes)
				require.Empty(t, s.Facts)
				continue
			}
			require.True(t, changes)
			require.Equal(t, want, s.Change)
			require.NotEmpty(t, s.Facts)
			for _, f := range s.Facts {
				require.True(t, f.Time.Equal(s.At))
			}
		}
		seen := map[string]bool{}
		for _, at := range moments(d, from, to) {
			m, err := reader.At(t.Context(), "primed", at)
			if event.CodeOf(err) == event.CodeNotFound {
				continue
			}
			require.NoError(t, err)
			state, err := m.State(t.Context(), "primed")
			require.NoError(t, err)
			effective := anvil.NewEffectiveAccess(state.Declared(), state.Observed())
			w := effective.Workspace("bp/ws", both...)
			for _, a := range w.Addresses {
				seen[a.Address] = true
			}
			for _, side := range both {
				of := map[anvil.Side]*anvil.SideAccess{anvil.SideDeclared: w.Declared, anvil.SideObserved: w.Observed}[side]
				for address := range seen {
					got, _ := standing(ofWorkspace.Steps, "bp/ws", address, side, at)
					require.Equal(t, of.Standing(address), got, "%s, %s at %s", address, side, at)
				}
				for _, key := range effective.Workspaces() {
					one := effective.Of("a@example.com", key, side)
					want := map[anvil.Side]*anvil.SideAccess{anvil.SideDeclared: one.Declared, anvil.SideObserved: one.Observed}[side].Standing("A@example.com")
					got, _ := standing(ofAddress.Steps, key, "a@example.com", side, at)
					require.Equal(t, want, got, "%s, %s at %s", key, side, at)
				}
			}
		}
	})
}

// moments are those of a span at which anything happened, and its ends.
func moments(d *drawn, from, to time.Time) []time.Time {
	var all []time.Time
	if !from.IsZero() {
		all = append(all, from)
	}
	for _, f := range d.facts {
		if f.Time.After(from) && !f.Time.After(to) {
			all = append(all, f.Time)
		}
	}
	all = append(all, to)
	slices.SortFunc(all, time.Time.Compare)
	return all
}

func TestAccessOfWhatNeverWasIsNotFound(t *testing.T) {
	d := rapid.Custom(func(t *rapid.T) *drawn { return drawAccess(t, 0) }).Example(1)
	reader := history.New(&d.log, registry())
	ask := func(q history.AccessQuestion) error {
		q.Sides = []anvil.Side{anvil.SideDeclared}
		_, err := reader.Access(t.Context(), q)
		return err
	}
	err := ask(history.AccessQuestion{Consortium: "primed", Workspace: "bp/WS", To: d.latest()})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "the case of letters counts")
	err = ask(history.AccessQuestion{Consortium: "primed", Workspace: "bp/ws", To: noon.Add(-100 * time.Hour)})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "choose a later time")
	require.Equal(t, event.CodeInvalid, event.CodeOf(ask(history.AccessQuestion{Consortium: "no such\nname", To: noon})))
}
