package anvil

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// LevelProjectOwner is the level of those who own a workspace because they own
// its billing project. Rawls ranks it above OWNER and shows it in no access
// list, only in the list of workspaces and only to themselves.
const LevelProjectOwner = "PROJECT_OWNER"

// Rights are what somebody may do in a workspace.
type Rights struct {
	// Level is OWNER, WRITER, READER or PROJECT_OWNER; any other is kept as it
	// came and ranks below these.
	Level      string `json:"level"`
	CanShare   bool   `json:"can_share"`
	CanCompute bool   `json:"can_compute"`
}

// rank orders levels as Rawls does; what it does not know comes last.
func rank(level string) int {
	switch level {
	case LevelProjectOwner:
		return 4
	case levelOwner:
		return 3
	case levelWriter:
		return 2
	case levelReader:
		return 1
	default:
		return 0
	}
}

// join is what two rights come to that one address holds: the higher level, and
// each permission that either grants, for Sam keeps them in policies of their
// own.
func (r Rights) join(other Rights) Rights {
	if r.Level == "" || other.Level != "" && cmp.Or(cmp.Compare(rank(other.Level), rank(r.Level)), cmp.Compare(r.Level, other.Level)) > 0 {
		r.Level = other.Level
	}
	r.CanShare = r.CanShare || other.CanShare
	r.CanCompute = r.CanCompute || other.CanCompute
	return r
}

// Link is a group on the way from a workspace to an address.
type Link struct {
	// Group is the name of the group.
	Group string `json:"group"`
	// Role is what the next group, or in the end the address, is in it. Admins
	// are in their group as members are.
	Role Role `json:"role"`
}

// Path is one way by which an address comes to a workspace.
type Path struct {
	// Rights are those of the workspace's entry at which the path begins.
	Rights
	// Pending: the entry is an invitation that was not taken up.
	Pending bool `json:"pending,omitempty"`
	// Through are the groups from the entry to the address; empty when the
	// workspace names the address itself.
	Through []Link `json:"through"`
}

// Admission says whether the authorization domains let an address in.
type Admission string

const (
	// AdmissionIn: it is in every authorization domain, or there is none.
	AdmissionIn Admission = "in"
	// AdmissionBarred: it is outside of one at least. An owner who is barred can
	// still read the access list, though nothing in the workspace.
	AdmissionBarred Admission = "barred"
	// AdmissionUnknown: who is in one of them cannot be known in full.
	AdmissionUnknown Admission = "unknown"
)

// AddressAccess is what one address, of a person or a service account, may do
// in a workspace on one side.
type AddressAccess struct {
	// Address is in lower case.
	Address string `json:"address"`
	// Rights are the highest of all paths.
	Rights
	Admission Admission `json:"admission"`
	// Lacks are the authorization domains that bar it, Uncertain those of which
	// it is unknown whether it is in them.
	Lacks     []string `json:"lacks,omitempty"`
	Uncertain []string `json:"uncertain,omitempty"`
	// Pending: it was invited, as far as is known, and has not registered.
	Pending bool `json:"pending,omitempty"`
	// Paths are all ways to the workspace, those with the highest level first.
	Paths []Path `json:"paths"`
	// MorePaths: there are more ways than were followed.
	MorePaths bool `json:"more_paths,omitempty"`
}

// AdmissionText words whether the authorization domains let the address in, with
// those that matter.
func (a AddressAccess) AdmissionText() string {
	text := string(a.Admission)
	if why := slices.Concat(a.Lacks, a.Uncertain); len(why) > 0 {
		text += ": " + strings.Join(why, ", ")
	}
	return text
}

// PathsText words all ways of the address: the level, and the groups from the
// workspace on with what the next one is in each.
func (a AddressAccess) PathsText() string {
	texts := make([]string, 0, len(a.Paths)+1)
	for _, p := range a.Paths {
		through := make([]string, len(p.Through))
		for i, link := range p.Through {
			through[i] = link.Group + " (" + string(link.Role) + ")"
		}
		texts = append(texts, p.Level+" "+cmp.Or(strings.Join(through, " > "), "directly"))
	}
	if a.MorePaths {
		texts = append(texts, "and more")
	}
	return strings.Join(texts, "; ")
}

// Opaque is a group of which it cannot be known in full who is in it.
type Opaque struct {
	Group  string `json:"group"`
	Reason string `json:"reason"`
	// Rights are what those in it may do who are not known; the level is empty
	// if the group only stands in the way of an authorization domain.
	Rights
	// Domains are the authorization domains that it is or that it is in.
	Domains []string `json:"domains,omitempty"`
}

// SideAccess is who can come to a workspace on one side.
type SideAccess struct {
	// Unknown says why nothing can be said of this side; the rest is then empty.
	Unknown string `json:"unknown,omitempty"`
	// Absent: this side has no such workspace.
	Absent bool `json:"absent,omitempty"`
	// AuthorizationDomains are the groups that an address must all be in.
	AuthorizationDomains []string `json:"authorization_domains"`
	// Addresses are those with any access, in order.
	Addresses []AddressAccess `json:"addresses"`
	// Opaque are the groups through which others may come in, or of which it
	// cannot be known whom they let in, in order.
	Opaque []Opaque `json:"opaque"`
	// ProjectOwners are the owners of the billing project that are known. They
	// own its workspaces and no access list names them, so there may be more.
	ProjectOwners []string `json:"project_owners"`

	// surely has the addresses that are in no opaque group beyond what is known.
	surely map[string]bool
}

// Agreement says how the two sides of an address agree.
type Agreement string

const (
	// Agrees: the same rights and the same admission on both sides.
	Agrees Agreement = "agrees"
	// DeclaredOnly: the declaration alone gives it access.
	DeclaredOnly Agreement = "declared_only"
	// ObservedOnly: AnVIL alone gives it access.
	ObservedOnly Agreement = "observed_only"
	// LevelDiffers: both give it access, at different levels.
	LevelDiffers Agreement = "level_differs"
	// RightsDiffer: the level is the same, can_share or can_compute is not.
	RightsDiffer Agreement = "rights_differ"
	// AdmissionDiffers: the rights are the same, but the authorization domains
	// let it in on one side alone.
	AdmissionDiffers Agreement = "admission_differs"
	// AgreementUnknown: what cannot be known of one side could make them agree.
	AgreementUnknown Agreement = "unknown"
)

// ComparedAccess is an address with what both sides give it.
type ComparedAccess struct {
	Address string
	// IsApp: it is the service account that asks AnVIL.
	IsApp bool
	// Known: an account of that address is declared; IsServiceAccount and
	// Inactive are what its declaration says.
	Known, IsServiceAccount, Inactive bool
	// Agreement is empty if one side alone was asked for.
	Agreement Agreement
	// Declared and Observed are nil where the side gives it no access that is
	// known of.
	Declared, Observed *AddressAccess
}

// WorkspaceAccess is who can come to a workspace. A side that was not asked for
// is nil.
type WorkspaceAccess struct {
	// Workspace is billing-project/name.
	Workspace          string
	Declared, Observed *SideAccess
	// Addresses are in order.
	Addresses []ComparedAccess
}

// Doubtful tells whether others than the addresses may have access: nothing is
// known of a side, or there are groups of which it cannot be known who is in
// them.
func (w WorkspaceAccess) Doubtful() bool {
	for _, side := range []*SideAccess{w.Declared, w.Observed} {
		if side == nil {
			continue
		}
		if side.Unknown != "" || slices.ContainsFunc(side.Opaque, func(o Opaque) bool { return o.Level != "" }) {
			return true
		}
	}
	return false
}

// EffectiveAccess answers who can come to the workspaces of a consortium:
// through nested groups, and past authorization domains. It is safe for
// concurrent use.
//
// Whoever is a member or an admin of a group is in it, and so is who is in a
// group that is: Sam makes each managed group the union of its policies member
// and admin (ManagedGroupService.createAggregateGroup) and looks at the
// flattened union when it grants a policy or checks an authorization domain.
type EffectiveAccess struct {
	people   map[string]Account
	app      string
	declared *declaredSide
	observed *observedSide
}

// NewEffectiveAccess prepares to answer questions about a declaration, which
// must be normalised, and what was observed. It changes neither.
func NewEffectiveAccess(d Declared, o *Observed) *EffectiveAccess {
	e := &EffectiveAccess{people: make(map[string]Account, len(d.Accounts)), app: strings.ToLower(d.ServiceAccount)}
	for _, a := range d.Accounts {
		e.people[a.Email] = a
	}
	e.declared = newDeclaredSide(d)
	e.observed = newObservedSide(d, o)
	return e
}

// Workspaces are those that are declared or that the service account can see,
// in order.
func (e *EffectiveAccess) Workspaces() []string {
	keys := map[string]bool{}
	for key := range e.declared.workspaces {
		keys[key] = true
	}
	for key := range e.observed.rows {
		keys[key] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// Knows tells whether a workspace is declared or seen by the service account.
func (e *EffectiveAccess) Knows(key string) bool {
	_, declared := e.declared.workspaces[key]
	_, listed := e.observed.rows[key]
	return declared || listed
}

// Address is what is declared of an address, without any access.
func (e *EffectiveAccess) Address(address string) ComparedAccess {
	address = strings.ToLower(address)
	account, known := e.people[address]
	return ComparedAccess{
		Address: address, IsApp: address == e.app, Known: known,
		IsServiceAccount: account.IsServiceAccount, Inactive: known && account.Status == StatusInactive,
	}
}

// Workspace answers who can come to a workspace, on the given sides.
func (e *EffectiveAccess) Workspace(key string, sides ...Side) WorkspaceAccess {
	return e.answer(key, sides, nil)
}

// Of answers how one address can come to a workspace, on the given sides. The
// opaque groups are those through which it may.
func (e *EffectiveAccess) Of(address, key string, sides ...Side) WorkspaceAccess {
	return e.answer(key, sides, &address)
}

func (e *EffectiveAccess) answer(key string, sides []Side, only *string) WorkspaceAccess {
	w := WorkspaceAccess{Workspace: key}
	if only != nil {
		only = new(strings.ToLower(*only))
	}
	if slices.Contains(sides, SideDeclared) {
		w.Declared = e.declared.workspace(key, only)
	}
	if slices.Contains(sides, SideObserved) {
		w.Observed = e.observed.workspace(key, only)
	}
	w.Addresses = e.compare(w.Declared, w.Observed)
	return w
}

// compare puts the two sides of each address beside one another.
func (e *EffectiveAccess) compare(declared, observed *SideAccess) []ComparedAccess {
	found := map[string]*ComparedAccess{}
	at := func(address string) *ComparedAccess {
		if found[address] == nil {
			found[address] = new(e.Address(address))
		}
		return found[address]
	}
	if declared != nil {
		for i := range declared.Addresses {
			at(declared.Addresses[i].Address).Declared = &declared.Addresses[i]
		}
	}
	if observed != nil {
		for i := range observed.Addresses {
			at(observed.Addresses[i].Address).Observed = &observed.Addresses[i]
		}
	}
	list := make([]ComparedAccess, 0, len(found))
	for _, address := range slices.Sorted(maps.Keys(found)) {
		c := *found[address]
		if declared != nil && observed != nil {
			c.Agreement = agreement(c, declared, observed)
		}
		list = append(list, c)
	}
	return list
}

// reach is between which bounds an address's rights on one side lie.
type reach struct{ least, most Rights }

// reachOf is what the side says of an address, and the most that it could turn
// out to be if the address were in every group that is opaque.
func reachOf(address string, known *AddressAccess, side *SideAccess) reach {
	var r reach
	if known != nil {
		r.least = known.Rights
	}
	r.most = r.least
	if side.surely[address] {
		return r
	}
	for _, o := range side.Opaque {
		if o.Level != "" {
			r.most = r.most.join(o.Rights)
		}
	}
	return r
}

// agreement compares what both sides say of an address. Only a difference that
// no opaque group could explain counts as one.
func agreement(c ComparedAccess, declared, observed *SideAccess) Agreement {
	if declared.Unknown != "" || observed.Unknown != "" {
		return AgreementUnknown
	}
	d, o := reachOf(c.Address, c.Declared, declared), reachOf(c.Address, c.Observed, observed)
	if c.IsApp {
		d, o = likeApp(d), likeApp(o)
	}
	levels := within(rankOf(d.least), rankOf(d.most), rankOf(o.least), rankOf(o.most))
	switch {
	case levels == AgreementUnknown:
		return AgreementUnknown
	case levels == LevelDiffers && c.Observed == nil:
		return DeclaredOnly
	case levels == LevelDiffers && c.Declared == nil:
		return ObservedOnly
	case levels == LevelDiffers || d.least.Level != o.least.Level:
		return LevelDiffers
	}
	share := within(bit(d.least.CanShare), bit(d.most.CanShare), bit(o.least.CanShare), bit(o.most.CanShare))
	compute := within(bit(d.least.CanCompute), bit(d.most.CanCompute), bit(o.least.CanCompute), bit(o.most.CanCompute))
	switch {
	case share == LevelDiffers || compute == LevelDiffers:
		return RightsDiffer
	case share == AgreementUnknown || compute == AgreementUnknown:
		return AgreementUnknown
	case c.Declared.Admission == AdmissionUnknown || c.Observed.Admission == AdmissionUnknown:
		return AgreementUnknown
	case c.Declared.Admission != c.Observed.Admission:
		return AdmissionDiffers
	}
	return Agrees
}

// within compares two values of which only bounds are known: they agree if what
// is known is equal, and differ if no value is possible for both.
func within(dLeast, dMost, oLeast, oMost int) Agreement {
	switch {
	case dMost < oLeast || oMost < dLeast:
		return LevelDiffers
	case dLeast == oLeast:
		// As far as is known they are equal; more could only come to light.
		return Agrees
	default:
		return AgreementUnknown
	}
}

// rankOf is the rank of a level, below all of them for no access.
func rankOf(r Rights) int {
	if r.Level == "" {
		return -1
	}
	return rank(r.Level)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// likeApp words rights of the service account so that both sides can be
// compared: it is declared as owner or with limited access, which means reader
// or writer, and a project owner has all rights of an owner.
func likeApp(r reach) reach {
	return reach{appRights(r.least), appRights(r.most)}
}

func appRights(r Rights) Rights {
	switch r.Level {
	case "":
		return r
	case levelOwner, LevelProjectOwner:
		return Rights{Level: levelOwner}
	default:
		return Rights{Level: string(AppLimited)}
	}
}
