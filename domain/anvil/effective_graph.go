package anvil

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

const (
	// maxPaths bounds the paths that are listed of one address: groups that are
	// nested crosswise have more of them than anybody reads.
	maxPaths = 100
	// maxPathSteps bounds the work of finding them.
	maxPathSteps = 20_000
)

// node is a group by its name, or an address in lower case.
type node struct {
	name  string
	group bool
}

func groupNode(name string) node { return node{name, true} }

func addressNode(address string) node { return node{strings.ToLower(address), false} }

// entry is what a workspace grants to one group or address.
type entry struct {
	Rights
	pending bool
}

// nesting is who is in which group, on one side.
type nesting struct {
	// parents are the groups that a group or an address is directly in, with
	// its role there.
	parents map[node]map[string]Role
	// opaque says why it cannot be known in full who is in a group.
	opaque map[string]string
	// above are all groups that a group or an address is in, filled by close.
	above map[node]map[string]bool
	// pending are the addresses that are known not to have registered.
	pending map[string]bool
	// surely has the addresses of which all groups are known, though the groups'
	// members are not.
	surely map[string]bool
}

func newNesting() *nesting {
	return &nesting{
		parents: map[node]map[string]Role{}, opaque: map[string]string{}, above: map[node]map[string]bool{},
		pending: map[string]bool{}, surely: map[string]bool{},
	}
}

// put puts a group or an address into a group. Of two roles there the admin's
// is kept: AnVIL lists an admin that was a member before in both lists.
func (n *nesting) put(in string, what node, role Role) {
	if n.parents[what] == nil {
		n.parents[what] = map[string]Role{}
	}
	if n.parents[what][in] != RoleAdmin {
		n.parents[what][in] = role
	}
}

// close finds, for each group and address, all groups that it is in. Groups that
// are in one another do no harm.
func (n *nesting) close() {
	for what := range n.parents {
		n.above[what] = n.closure(what)
	}
}

func (n *nesting) closure(what node) map[string]bool {
	found := map[string]bool{}
	queue := []node{what}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for parent := range n.parents[next] {
			if !found[parent] {
				found[parent] = true
				queue = append(queue, groupNode(parent))
			}
		}
	}
	return found
}

// rights are what the entries give to a group or an address, by itself or as one
// that is in a group; false if nothing.
func (n *nesting) rights(entries map[node]entry, what node) (Rights, bool) {
	var r Rights
	own, found := entries[what]
	if found {
		r = own.Rights
	}
	for group := range n.above[what] {
		if e, ok := entries[groupNode(group)]; ok {
			r, found = r.join(e.Rights), true
		}
	}
	return r, found
}

// doubtful are, of the given authorization domains, those of which it cannot be
// known in full who is in them, with the opaque groups to blame.
func (n *nesting) doubtful(domains []string) map[string][]string {
	doubt := map[string][]string{}
	for group := range n.opaque {
		for _, domain := range domains {
			if group == domain || n.above[groupNode(group)][domain] {
				doubt[domain] = append(doubt[domain], group)
			}
		}
	}
	return doubt
}

// newSideAccess is nobody's access to a workspace.
func newSideAccess(domains []string) *SideAccess {
	return &SideAccess{AuthorizationDomains: notNil(nameSet(domains)), Addresses: []AddressAccess{}, Opaque: []Opaque{}, ProjectOwners: []string{}}
}

// access answers who can come to a workspace with the given entries and
// authorization domains; only limits the answer to one address.
func (n *nesting) access(entries map[node]entry, domains []string, only *string) *SideAccess {
	s := newSideAccess(domains)
	s.surely = n.surely
	doubt := n.doubtful(s.AuthorizationDomains)
	candidates := n.candidates(entries, only)
	for _, address := range candidates {
		rights, ok := n.rights(entries, addressNode(address))
		if !ok {
			continue
		}
		a := AddressAccess{Address: address, Rights: rights, Admission: AdmissionIn, Pending: n.pending[address] || entries[addressNode(address)].pending}
		for _, domain := range s.AuthorizationDomains {
			switch {
			case n.above[addressNode(address)][domain]:
			case doubt[domain] != nil && !n.surely[address]:
				a.Uncertain = append(a.Uncertain, domain)
			default:
				a.Lacks = append(a.Lacks, domain)
			}
		}
		switch {
		case a.Lacks != nil:
			a.Admission = AdmissionBarred
		case a.Uncertain != nil:
			a.Admission = AdmissionUnknown
		}
		a.Paths, a.MorePaths = n.paths(entries, addressNode(address))
		s.Addresses = append(s.Addresses, a)
	}
	s.Opaque = n.opaqueTo(entries, s.AuthorizationDomains, only)
	return s
}

func (n *nesting) candidates(entries map[node]entry, only *string) []string {
	if only != nil {
		return []string{*only}
	}
	addresses := map[string]bool{}
	for what := range n.parents {
		if !what.group {
			addresses[what.name] = true
		}
	}
	for what := range entries {
		if !what.group {
			addresses[what.name] = true
		}
	}
	return slices.Sorted(maps.Keys(addresses))
}

// opaqueTo lists the opaque groups that matter to a workspace. Of an address
// whose groups are all known none does.
func (n *nesting) opaqueTo(entries map[node]entry, domains []string, only *string) []Opaque {
	list := []Opaque{}
	if only != nil && n.surely[*only] {
		return list
	}
	for _, group := range slices.Sorted(maps.Keys(n.opaque)) {
		o := Opaque{Group: group, Reason: n.opaque[group]}
		rights, grants := n.rights(entries, groupNode(group))
		o.Rights = rights
		for _, domain := range domains {
			if group == domain || n.above[groupNode(group)][domain] {
				o.Domains = append(o.Domains, domain)
			}
		}
		if grants || o.Domains != nil {
			list = append(list, o)
		}
	}
	return list
}

// paths finds the ways from the entries to an address, which has some. A path
// passes no group twice.
func (n *nesting) paths(entries map[node]entry, address node) (found []Path, more bool) {
	// The walk goes upwards, so that only groups that the address is in are
	// looked at.
	var through []Link
	onWay := map[string]bool{}
	steps := 0
	var walk func(node)
	walk = func(at node) {
		steps++
		if len(found) == maxPaths || steps > maxPathSteps {
			more = true
			return
		}
		if e, ok := entries[at]; ok {
			p := Path{Rights: e.Rights, Pending: e.pending, Through: make([]Link, 0, len(through))}
			for _, link := range slices.Backward(through) {
				p.Through = append(p.Through, link)
			}
			found = append(found, p)
		}
		for _, group := range slices.Sorted(maps.Keys(n.parents[at])) {
			parent := groupNode(group)
			if _, useful := n.rights(entries, parent); !useful || onWay[group] {
				continue
			}
			onWay[group] = true
			through = append(through, Link{group, n.parents[at][group]})
			walk(parent)
			through = through[:len(through)-1]
			delete(onWay, group)
		}
	}
	walk(address)
	slices.SortStableFunc(found, func(a, b Path) int {
		return cmp.Or(cmp.Compare(rank(b.Level), rank(a.Level)), cmp.Compare(len(a.Through), len(b.Through)),
			slices.CompareFunc(a.Through, b.Through, func(x, y Link) int { return cmp.Compare(x.Group, y.Group) }))
	})
	return found, more
}
