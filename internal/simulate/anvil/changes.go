package anvil

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ChangeKind is a kind of record that changes in the simulated world.
type ChangeKind string

// The kinds of changes. What the world takes along changes, too: with an account
// its memberships, with the app's role in a group its roles in the groups above
// and its access to the workspaces within.
const (
	ChangedBillingProject ChangeKind = "billing_project"
	ChangedAccount        ChangeKind = "account"
	ChangedAppRole        ChangeKind = "app_role"
	ChangedMembership     ChangeKind = "membership"
	ChangedAccess         ChangeKind = "workspace_access"
	ChangedLock           ChangeKind = "lock"
	ChangedRequesterPays  ChangeKind = "requester_pays"
	ChangedDomains        ChangeKind = "authorization_domains"
	ChangedSharing        ChangeKind = "sharing"
)

// Change is one change of a record of the world, in the words of the domain.
type Change struct {
	// At is the first moment of the world at which it is so.
	At   time.Time  `json:"at"`
	Kind ChangeKind `json:"kind"`
	// Record names it: a project, an address, a group, billing-project/name of a
	// workspace; of memberships group/address, of sharing
	// billing-project/name/address, addresses in lower case.
	Record string `json:"record"`
	// Before and After are the values; empty if it is not there.
	Before string `json:"before"`
	After  string `json:"after"`
}

// changing is a record with the waves that move it.
type changing struct {
	kind   ChangeKind
	record string
	waves  []wave
	value  func(at time.Time) string
}

// Changes lists all that changes in the world after from and not after to, both
// in its own time, in order. It follows from the seed and the times alone, so it
// tells the future as well. It is empty if a vector is served.
func (s *Simulator) Changes(from, to time.Time) []Change {
	if s.world == nil {
		return []Change{}
	}
	return s.world.changes(from, to)
}

func (w *world) changes(from, to time.Time) []Change {
	list := []Change{}
	for _, c := range w.changing() {
		var moments []time.Time
		for _, v := range c.waves {
			moments = append(moments, w.moments(v, from, to)...)
		}
		slices.SortFunc(moments, time.Time.Compare)
		moments = slices.Compact(moments)
		for _, at := range moments {
			before, after := c.value(at.Add(-1)), c.value(at)
			if before != after {
				list = append(list, Change{at, c.kind, c.record, before, after})
			}
		}
	}
	slices.SortFunc(list, func(a, b Change) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Record, b.Record))
	})
	return list
}

// moments are the times after from and not after to at which a wave may turn.
func (w *world) moments(parts wave, from, to time.Time) []time.Time {
	_, phase := w.swing(parts)
	every := int64(w.driftEvery)
	var all []time.Time
	for n := (from.UnixNano()+phase)/every + 1; n*every-phase <= to.UnixNano(); n++ {
		all = append(all, time.Unix(0, n*every-phase).UTC())
	}
	return all
}

// changing lists the records that can change.
func (w *world) changing() []changing {
	var all []changing
	add := func(kind ChangeKind, record string, value func(time.Time) string, waves ...wave) {
		if len(waves) > 0 {
			all = append(all, changing{kind, record, waves, value})
		}
	}
	for i := range w.projects {
		add(ChangedBillingProject, w.projects[i].name, func(at time.Time) string { return when(w.billedAt(i, at), "available") },
			waves(w.projects[i].wavers, waveBilling, i)...)
	}
	for i := range w.accounts {
		add(ChangedAccount, w.accounts[i].email, func(at time.Time) string { return w.accountAt(i, at).String() }, w.accountWaves(i)...)
	}
	w.changingGroups(add)
	w.changingWorkspaces(add)
	return all
}

type adder func(kind ChangeKind, record string, value func(time.Time) string, waves ...wave)

func (w *world) changingGroups(add adder) {
	roles := w.roleWaves()
	held := w.rememberedRoles()
	for g := range w.groups {
		if !w.groups[g].exists {
			continue
		}
		add(ChangedAppRole, w.groups[g].name, func(at time.Time) string { return held(at)[g].String() }, roles...)
		for n, m := range w.groups[g].members {
			own := append(waves(m.wavers, waveMembership, g, n), waves(m.swaps, waveRole, g, n)...)
			if m.group < 0 {
				own = append(own, w.accountWaves(m.account)...)
			}
			add(ChangedMembership, w.groups[g].name+"/"+w.addressOf(m), func(at time.Time) string {
				if !w.presentAt(m, at) {
					return ""
				}
				return w.roleAt(g, n, at)
			}, own...)
		}
		add(ChangedMembership, w.groups[g].name+"/"+strings.ToLower(strayAddress(g)), func(at time.Time) string { return when(w.strayAt(g, at), roleMember) },
			waves(w.groups[g].strays, waveStray, g)...)
	}
}

func (w *world) changingWorkspaces(add adder) {
	roles := w.roleWaves()
	held := w.rememberedRoles()
	for n := range w.workspaces {
		ws := &w.workspaces[n]
		if !ws.exists {
			continue
		}
		key := ws.project + "/" + ws.name
		listing := append(append(waves(ws.unlists, waveListing, n), waves(ws.redomains, waveDomains, n)...), roles...)
		add(ChangedAccess, key, func(at time.Time) string { return w.appLevel(n, held(at), at) }, listing...)
		add(ChangedLock, key, func(at time.Time) string { return when(w.lockedAt(n, at), "locked") }, waves(ws.wavers, waveLock, n)...)
		add(ChangedRequesterPays, key, func(at time.Time) string { return when(w.paysAt(n, at), "requester pays") }, waves(ws.paysWavers, wavePays, n)...)
		add(ChangedDomains, key, func(at time.Time) string {
			var names []string
			for _, g := range w.domainsAt(n, at) {
				names = append(names, w.groups[g].name)
			}
			return strings.Join(names, ", ")
		}, waves(ws.redomains, waveDomains, n)...)
		for i := range ws.shares {
			add(ChangedSharing, key+"/"+w.shareAddress(ws.shares[i]), func(at time.Time) string { return w.levelAt(n, i, at) },
				append(waves(ws.shares[i].wavers, waveShare, n, i), waves(ws.shares[i].shifts, waveLevel, n, i)...)...)
		}
		add(ChangedSharing, key+"/"+strings.ToLower(guestAddress(n)), func(at time.Time) string { return when(w.guestAt(n, at), levelReader) },
			waves(ws.guests, waveGuest, n)...)
	}
}

// rememberedRoles is appRoles that remembers what it has worked out.
func (w *world) rememberedRoles() func(time.Time) []roles {
	known := map[time.Time][]roles{}
	return func(at time.Time) []roles {
		if _, ok := known[at]; !ok {
			known[at] = w.appRoles(at)
		}
		return known[at]
	}
}

// roleWaves are all waves that can move the app's roles.
func (w *world) roleWaves() []wave {
	var all []wave
	for g := range w.groups {
		all = append(all, waves(w.groups[g].loses, waveAppRole, g)...)
		for n, m := range w.groups[g].members {
			if m.group >= 0 {
				all = append(append(all, waves(m.wavers, waveMembership, g, n)...), waves(m.swaps, waveRole, g, n)...)
			}
		}
	}
	return all
}

func (w *world) accountWaves(i int) []wave {
	return append(waves(w.accounts[i].wavers, waveAccount, i), waves(w.accounts[i].unregisters, waveRegistration, i)...)
}

// waves is the wave of a thing, if it has it.
func waves(has bool, way uint64, numbers ...int) []wave {
	if !has {
		return nil
	}
	v := wave{way}
	for _, n := range numbers {
		v = append(v, uint64(n))
	}
	return []wave{v}
}

func when(is bool, value string) string {
	if is {
		return value
	}
	return ""
}

// String is the kind in words; empty for a missing account.
func (k accountKind) String() string {
	switch k {
	case accountRegistered:
		return "registered"
	case accountInvited:
		return "invited"
	default:
		return ""
	}
}

// String is the roles in words; empty for none.
func (r roles) String() string {
	switch {
	case r.admin && r.member:
		return roleAdmin + ", " + roleMember
	case r.admin:
		return roleAdmin
	case r.member:
		return roleMember
	default:
		return ""
	}
}

func (s *Simulator) adminChanges(w http.ResponseWriter, r *http.Request) {
	from, to := s.config.Epoch, s.clock.World()
	for name, at := range map[string]*time.Time{"from": &from, "to": &to} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			http.Error(w, fmt.Sprintf("%s must be a time such as 2026-05-01T00:00:00Z: %v", name, err), http.StatusBadRequest)
			return
		}
		*at = parsed
	}
	if to.Sub(from) > 2000*s.config.DriftEvery {
		http.Error(w, fmt.Sprintf("from %s to %s is too long: choose at most 2000 times %s", from.Format(time.RFC3339), to.Format(time.RFC3339), s.config.DriftEvery), http.StatusBadRequest)
		return
	}
	writeJSON(w, s.Changes(from, to))
}
