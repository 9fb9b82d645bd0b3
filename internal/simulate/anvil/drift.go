package anvil

import (
	"fmt"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// Waves are the ways in which things change in time; each has its own
// independent stream. The first four are the drift of every world, the others
// that of worlds with [Config.WideDrift].
const (
	waveMembership uint64 = iota + 1
	waveAccount
	waveLock
	waveShare
	waveRole
	waveStray
	waveRegistration
	wavePays
	waveLevel
	waveGuest
	waveDomains
	waveAppRole
	waveListing
	waveBilling
)

// wave names what changes in one way: the way and the thing's numbers.
type wave []uint64

// widen chooses what changes in further ways. It draws from streams of its own,
// so that worlds without wide drift stay as they are.
func (w *world) widen() {
	chosen := func(parts ...uint64) bool {
		if w.wide == 0 {
			return false
		}
		d := dice.New(w.seed, append([]uint64{drawWide}, parts...)...)
		return d.Chance(w.wide)
	}
	for i := range w.projects {
		w.projects[i].wavers = chosen(waveBilling, uint64(i))
	}
	for i := range w.accounts {
		w.accounts[i].unregisters = chosen(waveRegistration, uint64(i))
	}
	for g := range w.groups {
		w.groups[g].loses = w.groups[g].appRole != "" && chosen(waveAppRole, uint64(g))
		w.groups[g].strays = chosen(waveStray, uint64(g))
		for n := range w.groups[g].members {
			w.groups[g].members[n].swaps = chosen(waveRole, uint64(g), uint64(n))
		}
	}
	for n := range w.workspaces {
		ws := &w.workspaces[n]
		ws.paysWavers, ws.redomains = chosen(wavePays, uint64(n)), chosen(waveDomains, uint64(n))
		ws.unlists, ws.guests = chosen(waveListing, uint64(n)), chosen(waveGuest, uint64(n))
		for i := range ws.shares {
			ws.shares[i].shifts = chosen(waveLevel, uint64(n), uint64(i))
		}
	}
}

// swing is a wave's own stream and phase.
func (w *world) swing(parts wave) (dice.Stream, int64) {
	d := dice.New(w.seed, append([]uint64{drawDrift}, parts...)...)
	phase := int64(d.Float() * float64(w.driftEvery))
	return d, phase
}

// flipped tells whether a wavering thing is in its other state at a time. It
// changes its mind by the period, each thing at its own moment.
func (w *world) flipped(at time.Time, parts ...uint64) bool {
	d, phase := w.swing(parts)
	n := uint64((at.UnixNano() + phase) / int64(w.driftEvery))
	d = dice.New(d.Uint64(), n)
	return d.Chance(0.5)
}

// roleAt is the role of a membership in the world at a time; empty if it is not
// there.
func (w *world) roleAt(g, n int, at time.Time) string {
	m := &w.groups[g].members[n]
	role := m.role
	if m.wavers && w.flipped(at, waveMembership, uint64(g), uint64(n)) {
		if role != "" {
			return ""
		}
		role = roleMember
	}
	if role != "" && m.swaps && w.flipped(at, waveRole, uint64(g), uint64(n)) {
		if role == roleMember {
			return roleAdmin
		}
		return roleMember
	}
	return role
}

func (w *world) accountAt(n int, at time.Time) accountKind {
	a := &w.accounts[n]
	if a.wavers && w.flipped(at, waveAccount, uint64(n)) {
		return accountMissing
	}
	if a.unregisters && a.kind != accountMissing && w.flipped(at, waveRegistration, uint64(n)) {
		if a.kind == accountInvited {
			return accountRegistered
		}
		return accountInvited
	}
	return a.kind
}

// presentAt tells whether who a membership is about is there to be a member.
func (w *world) presentAt(m membership, at time.Time) bool {
	if m.group >= 0 {
		return w.groups[m.group].exists
	}
	return w.accountAt(m.account, at) != accountMissing
}

// appRoleAt is the app's direct role in a group at a time; empty for none.
func (w *world) appRoleAt(g int, at time.Time) string {
	if w.groups[g].loses && w.flipped(at, waveAppRole, uint64(g)) {
		return ""
	}
	return w.groups[g].appRole
}

// strayAt tells whether an address that nobody declared is in a group.
func (w *world) strayAt(g int, at time.Time) bool {
	return w.groups[g].strays && w.flipped(at, waveStray, uint64(g))
}

func strayAddress(g int) string { return fmt.Sprintf("Stray.%d@elsewhere.example", g+1) }

// billedAt tells whether the app can see a billing project.
func (w *world) billedAt(i int, at time.Time) bool {
	p := &w.projects[i]
	return p.exists && p.hasApp && (!p.wavers || !w.flipped(at, waveBilling, uint64(i)))
}

func (w *world) lockedAt(n int, at time.Time) bool {
	ws := &w.workspaces[n]
	return ws.locked != (ws.wavers && w.flipped(at, waveLock, uint64(n)))
}

func (w *world) paysAt(n int, at time.Time) bool {
	ws := &w.workspaces[n]
	return ws.pays != (ws.paysWavers && w.flipped(at, wavePays, uint64(n)))
}

// openAt tells whether the app has any access to a workspace.
func (w *world) openAt(n int, at time.Time) bool {
	ws := &w.workspaces[n]
	return ws.exists && ws.level != "" && (!ws.unlists || !w.flipped(at, waveListing, uint64(n)))
}

// domainsAt are the authorization domains of a workspace: its own, or while they
// have changed none of them, or a group if it has none.
func (w *world) domainsAt(n int, at time.Time) []int {
	ws := &w.workspaces[n]
	if !ws.redomains || !w.flipped(at, waveDomains, uint64(n)) {
		return ws.domains
	}
	if len(ws.domains) > 0 {
		return nil
	}
	d := dice.New(w.seed, drawWide, waveDomains, uint64(n), 1)
	return []int{d.IntN(len(w.groups))}
}

// levelAt is the level of a share in the world at a time; empty if it is not
// there.
func (w *world) levelAt(n, i int, at time.Time) string {
	s := &w.workspaces[n].shares[i]
	if s.wavers && w.flipped(at, waveShare, uint64(n), uint64(i)) {
		return ""
	}
	if s.shifts && s.level != "" && w.flipped(at, waveLevel, uint64(n), uint64(i)) {
		if s.level == levelReader {
			return levelWriter
		}
		return levelReader
	}
	return s.level
}

// guestAt tells whether a workspace is shared with an address that nobody
// declared.
func (w *world) guestAt(n int, at time.Time) bool {
	return w.workspaces[n].guests && w.flipped(at, waveGuest, uint64(n))
}

func guestAddress(n int) string { return fmt.Sprintf("Visitor.%d@elsewhere.example", n+1) }
