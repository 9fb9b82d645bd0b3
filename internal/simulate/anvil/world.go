package anvil

import (
	"fmt"
	"strings"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// Names of what is drawn; each has its own independent stream.
const (
	drawAccount uint64 = iota + 1
	drawGroup
	drawWorkspace
	drawDrift
	drawWide
)

// Roles and levels as the services spell them when compared.
const (
	roleMember = "MEMBER"
	roleAdmin  = "ADMIN"

	levelReader   = "READER"
	levelWriter   = "WRITER"
	levelOwner    = "OWNER"
	levelNoAccess = "NO ACCESS"
)

// world is a consortium on AnVIL. It is made once from the seed and does not
// change; what moves in time follows from the seed and the time. So it is safe
// for concurrent use and the same after a restart.
type world struct {
	seed       uint64
	app        string
	drift      float64
	wide       float64
	driftEvery time.Duration

	projects   []project
	accounts   []account
	groups     []group
	workspaces []workspace

	groupByName    map[string]int
	groupByEmail   map[string]int // lower case
	accountByEmail map[string]int // lower case
	projectByName  map[string]int
	workspaceByKey map[string]int // project/name
}

type project struct {
	name   string
	hasApp bool // as declared
	exists bool
	// wavers: the service account comes to be no user of it, and a user again.
	wavers bool
}

// accountKind says what Sam knows of an address.
type accountKind uint8

const (
	accountRegistered accountKind = iota
	// accountInvited never registered: it lacks a Google subject.
	accountInvited
	accountMissing
)

type account struct {
	email    string // lower case, as declared
	stored   string // as Sam spells it
	service  bool
	declared bool
	inactive bool
	kind     accountKind
	// wavers: it vanishes and comes back in time.
	wavers bool
	// unregisters: it comes to be one that was only invited, and back.
	unregisters bool
}

type group struct {
	name            string
	email           string
	exists          bool
	declared        bool
	declaredManaged bool
	appRole         string // the app's direct role; empty for none
	members         []membership
	// loses: the app's direct role goes and comes back; strays: an address that
	// nobody declared comes and goes.
	loses, strays bool
}

// membership is one address in a group, in the world or in the declaration or
// in both.
type membership struct {
	account int // -1 for a group
	group   int // -1 for an account
	// role is the one in the world, declaredRole the declared one; empty if it is
	// not there.
	role         string
	declaredRole string
	ignored      bool
	// wavers: it comes and goes in time; swaps: the role becomes the other one and
	// back.
	wavers, swaps bool
}

type workspace struct {
	project, name   string
	exists          bool
	declared        bool
	declaredAccess  string
	level           string // of the app in the world; empty if it has none
	locked          bool
	wavers          bool // the lock comes and goes
	pays            bool
	declaredPays    bool
	domains         []int
	declaredDomains []int
	shares          []share
	// paysWavers: requester pays comes and goes; redomains: so do the
	// authorization domains; unlists: so does all access of the app; guests: so
	// does an address that nobody declared.
	paysWavers, redomains, unlists, guests bool
}

type share struct {
	group         int // -1 for a stray address
	stray         string
	level         string
	declaredLevel string
	compute       bool
	canShare      bool
	ignored       bool
	wavers        bool
	// shifts: the level becomes another one and back.
	shifts bool
}

func newWorld(c *Config) *world {
	w := &world{
		seed: c.Seed, app: c.ServiceAccount, drift: c.Drift, wide: c.WideDrift, driftEvery: c.DriftEvery,
		groupByName: map[string]int{}, groupByEmail: map[string]int{}, accountByEmail: map[string]int{},
		projectByName: map[string]int{}, workspaceByKey: map[string]int{},
	}
	for i := range c.Workspaces/20 + 2 {
		name := fmt.Sprintf("%s-billing-%d", c.Consortium, i+1)
		w.projectByName[name] = i
		// The application is no user of the last one, and has lost the one before
		// if there are many.
		n := c.Workspaces/20 + 2
		w.projects = append(w.projects, project{name: name, hasApp: i < n-1, exists: n < 4 || i != n-2})
	}
	for i := range c.Accounts {
		w.accounts = append(w.accounts, w.newAccount(i))
		w.accountByEmail[w.accounts[i].email] = i
	}
	for i := range c.Groups {
		w.groups = append(w.groups, w.newGroup(i, c))
		w.groupByName[w.groups[i].name] = i
		w.groupByEmail[strings.ToLower(w.groups[i].email)] = i
	}
	for i := range c.Workspaces {
		w.workspaces = append(w.workspaces, w.newWorkspace(i, c))
		w.workspaceByKey[w.workspaces[i].project+"/"+w.workspaces[i].name] = i
	}
	w.widen()
	return w
}

var givenNames = [...]string{"ada", "ben", "cleo", "dev", "edda", "finn", "gale", "hana", "imre", "june", "kofi", "lena", "mina", "nils", "oona", "per"}

func (w *world) newAccount(i int) account {
	d := dice.New(w.seed, drawAccount, uint64(i))
	name := givenNames[d.IntN(len(givenNames))]
	a := account{
		email:    fmt.Sprintf("%s.%d@example.org", name, i+1),
		service:  d.Chance(0.05),
		declared: !d.Chance(0.05),
		inactive: d.Chance(0.05),
		wavers:   d.Chance(w.drift / 4),
	}
	if a.service {
		a.email = fmt.Sprintf("%s-pipeline-%d@example.iam.gserviceaccount.com", name, i+1)
	} else if d.Chance(0.1) {
		a.email = fmt.Sprintf("%s.%d+anvil@example.org", name, i+1)
	}
	a.stored = a.email
	if d.Chance(0.15) {
		a.stored = strings.ToUpper(a.email[:1]) + a.email[1:]
	}
	switch f := d.Float(); {
	case f < 0.02:
		a.kind = accountMissing
	case f < 0.06:
		a.kind = accountInvited
	}
	return a
}

// newGroup makes group i of the consortium: the first is the group of all, the
// next few are umbrellas, the rest are studies with people in them. A group
// contains only groups of higher numbers, so there are no cycles.
func (w *world) newGroup(i int, c *Config) group {
	d := dice.New(w.seed, drawGroup, uint64(i))
	name := fmt.Sprintf("%s_Study_%d", c.Consortium, i+1)
	if i == 0 {
		name = c.Consortium + "_ALL"
	}
	g := group{name: name, email: name + "@firecloud.org", exists: true, declared: true, declaredManaged: true, appRole: roleAdmin}
	switch f := d.Float(); {
	case i == 0:
	case f < 0.02:
		g.exists = false
	case f < 0.04:
		g.declared = false
	case f < 0.07:
		g.appRole = roleMember
	case f < 0.11:
		g.appRole, g.declaredManaged = roleMember, false
	case f < 0.13:
		g.appRole, g.declaredManaged = "", false
	case f < 0.14:
		g.appRole = ""
	}
	if d.Chance(0.5) {
		g.email = strings.ToLower(g.email)
	}
	children := 0
	if i < c.Groups/10+1 {
		children = min(10, c.Groups-i-1)
	}
	taken := map[int]bool{}
	for range children {
		child := i + 1 + d.IntN(c.Groups-i-1)
		if !taken[child] {
			taken[child] = true
			g.members = append(g.members, w.newMembership(&d, -1, child))
		}
	}
	clear(taken)
	for range min(int(d.LogNormal(8, 0.8))+1, c.Accounts) {
		if n := d.IntN(c.Accounts); !taken[n] {
			taken[n] = true
			g.members = append(g.members, w.newMembership(&d, n, -1))
		}
	}
	return g
}

func (w *world) newMembership(d *dice.Stream, account, group int) membership {
	m := membership{account: account, group: group, role: roleMember, wavers: d.Chance(w.drift)}
	if d.Chance(0.1) {
		m.role = roleAdmin
	}
	m.declaredRole = m.role
	switch f := d.Float(); {
	case f < 0.01:
		m.role = "" // lost in the world
	case f < 0.02:
		m.declaredRole = "" // never declared
	case f < 0.03:
		m.declaredRole, m.ignored = "", true
	case f < 0.033:
		m.role, m.declaredRole, m.ignored = "", "", true // an ignore row that covers nothing
	case f < 0.04 && m.role == roleMember:
		m.role = roleAdmin
	}
	return m
}

func (w *world) newWorkspace(i int, c *Config) workspace {
	d := dice.New(w.seed, drawWorkspace, uint64(i))
	ws := workspace{
		project: w.projects[i%len(w.projects)].name, name: fmt.Sprintf("workspace-%d", i+1),
		exists: true, declared: true, declaredAccess: levelOwner, level: levelOwner,
		locked: d.Chance(0.1), pays: d.Chance(0.1), wavers: d.Chance(w.drift),
	}
	ws.declaredPays = ws.pays
	switch f := d.Float(); {
	case f < 0.02:
		ws.exists = false
	case f < 0.04:
		ws.declared = false
	case f < 0.06:
		ws.level = levelReader
	case f < 0.1:
		ws.level, ws.declaredAccess = levelReader, "LIMITED"
	case f < 0.13:
		ws.level, ws.declaredAccess = "", "NO_ACCESS"
	case f < 0.15:
		ws.declaredPays = !ws.pays
	}
	if d.Chance(0.4) {
		n := d.IntN(c.Groups)
		ws.domains = []int{n}
		if w.groups[n].declared {
			ws.declaredDomains = []int{n}
		}
	}
	if ws.declaredAccess != levelOwner {
		return ws
	}
	taken := map[int]bool{}
	for range 1 + d.IntN(4) {
		g := d.IntN(c.Groups)
		if taken[g] || !w.groups[g].declared {
			continue
		}
		taken[g] = true
		ws.shares = append(ws.shares, w.newShare(&d, g))
	}
	if d.Chance(0.1) {
		ws.shares = append(ws.shares, share{
			group: -1, stray: fmt.Sprintf("Guest.%d@elsewhere.example", i+1), level: levelReader, ignored: d.Chance(0.5),
		})
	}
	return ws
}

func (w *world) newShare(d *dice.Stream, g int) share {
	s := share{group: g, level: [...]string{levelReader, levelReader, levelWriter, levelOwner}[d.IntN(4)], wavers: d.Chance(w.drift)}
	s.compute = s.level == levelOwner || s.level == levelWriter && d.Chance(0.5)
	s.canShare = s.level == levelOwner
	s.declaredLevel = s.level
	switch f := d.Float(); {
	case f < 0.02:
		s.level = ""
	case f < 0.04:
		s.declaredLevel = ""
	case f < 0.06 && s.level == levelReader:
		s.level = levelWriter
	case f < 0.07 && s.level == levelWriter:
		s.canShare = true
	}
	return s
}

// addressOf is the address of a member in lower case, as it is declared.
func (w *world) addressOf(m membership) string {
	if m.group >= 0 {
		return strings.ToLower(w.groups[m.group].email)
	}
	return w.accounts[m.account].email
}

// storedAddress is the address of a member as Sam spells it.
func (w *world) storedAddress(m membership) string {
	if m.group >= 0 {
		return w.groups[m.group].email
	}
	return w.accounts[m.account].stored
}

func (w *world) shareAddress(s share) string {
	if s.group < 0 {
		return strings.ToLower(s.stray)
	}
	return strings.ToLower(w.groups[s.group].email)
}

// appRoles are the roles that the app holds in each group at a time, directly
// or through groups in it: being in a group in any role puts one wherever that
// group is.
func (w *world) appRoles(at time.Time) []roles {
	held := make([]roles, len(w.groups))
	// Groups contain groups of higher numbers only, so the last come first.
	for g := len(w.groups) - 1; g >= 0; g-- {
		if !w.groups[g].exists {
			continue
		}
		held[g].add(w.appRoleAt(g, at))
		for n, m := range w.groups[g].members {
			if m.group >= 0 && held[m.group].any() {
				held[g].add(w.roleAt(g, n, at))
			}
		}
	}
	return held
}

type roles struct{ member, admin bool }

func (r *roles) add(role string) {
	r.member = r.member || role == roleMember
	r.admin = r.admin || role == roleAdmin
}

func (r roles) any() bool { return r.member || r.admin }
