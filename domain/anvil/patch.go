package anvil

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Patch changes single records of a declaration and leaves the others as they
// are. Both parts must be normalised, as decoded ones are.
type Patch struct {
	// Declare are the records to add, or to replace as a whole. Its service
	// account replaces the declared one unless it is empty.
	Declare Declared
	// Withdraw are the records to remove. Only what names a record counts: of
	// memberships the pair, not the role.
	Withdraw Declared
	// Deactivate are addresses of declared accounts that become inactive; what they
	// are in goes with that (ACM v0.23 and later). Activate makes accounts active
	// again, and gives nothing back.
	Deactivate, Activate []string
}

// Apply is the current declaration after the patch. Replaced records keep their
// places, new ones come last; current itself stays as it is. The result is not
// validated: [Plan] does that.
//
// It fails with [event.CodeInvalid] for a patch that contradicts itself, and
// with [event.CodeConflict] for one that withdraws what is not declared, or what
// other records would still refer to; the error names them.
func (p Patch) Apply(current Declared) (Declared, error) {
	var a patching
	next := Declared{
		ServiceAccount:          cmp.Or(p.Declare.ServiceAccount, current.ServiceAccount),
		BillingProjects:         patched(&a, KindBillingProject, current.BillingProjects, p.Declare.BillingProjects, p.Withdraw.BillingProjects),
		Accounts:                patched(&a, KindAccount, current.Accounts, p.Declare.Accounts, p.Withdraw.Accounts),
		ManagedGroups:           patched(&a, KindGroup, current.ManagedGroups, p.Declare.ManagedGroups, p.Withdraw.ManagedGroups),
		GroupGroupMemberships:   patched(&a, KindGroupMembership, current.GroupGroupMemberships, p.Declare.GroupGroupMemberships, p.Withdraw.GroupGroupMemberships),
		GroupAccountMemberships: patched(&a, KindAccountMembership, current.GroupAccountMemberships, p.Declare.GroupAccountMemberships, p.Withdraw.GroupAccountMemberships),
		Workspaces:              patched(&a, KindWorkspace, current.Workspaces, p.Declare.Workspaces, p.Withdraw.Workspaces),
		WorkspaceGroupSharing:   patched(&a, KindSharing, current.WorkspaceGroupSharing, p.Declare.WorkspaceGroupSharing, p.Withdraw.WorkspaceGroupSharing),
		IgnoredGroupMemberships: patched(&a, KindIgnoredMembership, current.IgnoredGroupMemberships, p.Declare.IgnoredGroupMemberships, p.Withdraw.IgnoredGroupMemberships),
		IgnoredWorkspaceSharing: patched(&a, KindIgnoredSharing, current.IgnoredWorkspaceSharing, p.Declare.IgnoredWorkspaceSharing, p.Withdraw.IgnoredWorkspaceSharing),
	}
	a.setStatus(p, &next)
	if p.Withdraw.ServiceAccount != "" {
		a.contradict("the service account cannot be withdrawn: declare another one")
	}
	a.refuseReferred(next)
	return next, a.err()
}

// patching collects what happens to the records while a patch is applied.
type patching struct {
	// withdrawn are the records that were there and are gone, in order.
	withdrawn []RecordKey
	// contradictions are within the patch, conflicts with what is declared.
	contradictions, conflicts []error
}

func (a *patching) contradict(format string, args ...any) {
	a.contradictions = append(a.contradictions, fmt.Errorf(format, args...))
}

func (a *patching) conflict(format string, args ...any) {
	a.conflicts = append(a.conflicts, fmt.Errorf(format, args...))
}

func (a *patching) err() error {
	// A patch that contradicts itself says nothing about what is declared.
	if len(a.contradictions) > 0 {
		return event.Errorf(event.CodeInvalid, "patch: %w", joined(a.contradictions))
	}
	if len(a.conflicts) > 0 {
		return event.Errorf(event.CodeConflict, "patch: %w", joined(a.conflicts))
	}
	return nil
}

// patched is the list of one kind after the patch.
func patched[T keyed](a *patching, kind Kind, current, declare, withdraw []T) []T {
	goes, comes := map[string]bool{}, map[string]int{}
	for _, record := range withdraw {
		if goes[record.key()] {
			a.contradict("%s %q is withdrawn twice: keep one", kind, record.key())
		}
		goes[record.key()] = true
	}
	for i, record := range declare {
		name := record.key()
		if _, twice := comes[name]; twice {
			a.contradict("%s %q is declared twice: keep one", kind, name)
		}
		if goes[name] {
			a.contradict("%s %q is both declared and withdrawn: keep one", kind, name)
		}
		comes[name] = i
	}
	next := make([]T, 0, len(current)+len(declare))
	for _, record := range current {
		name := record.key()
		if goes[name] {
			a.withdrawn = append(a.withdrawn, RecordKey{kind, name})
			delete(goes, name)
			continue
		}
		if i, ok := comes[name]; ok {
			record = declare[i]
			delete(comes, name)
		}
		next = append(next, record)
	}
	for _, record := range withdraw {
		if goes[record.key()] {
			a.conflict("%s %q is not declared, so it cannot be withdrawn: is it spelt as in the declaration?", kind, record.key())
		}
	}
	for _, record := range declare {
		if _, ok := comes[record.key()]; ok {
			next = append(next, record)
		}
	}
	return next
}

// setStatus deactivates and activates accounts in next.
func (a *patching) setStatus(p Patch, next *Declared) {
	status := map[string]AccountStatus{}
	for to, addresses := range map[AccountStatus][]string{StatusInactive: p.Deactivate, StatusActive: p.Activate} {
		for _, email := range addresses {
			email = strings.ToLower(email)
			if before, twice := status[email]; twice && before != to {
				a.contradict("account %q is both activated and deactivated: keep one", email)
			}
			status[email] = to
		}
	}
	for _, account := range slices.Concat(p.Declare.Accounts, p.Withdraw.Accounts) {
		if _, both := status[account.Email]; both {
			a.contradict("account %q is declared or withdrawn, and activated or deactivated: keep one", account.Email)
		}
	}
	for _, m := range p.Declare.GroupAccountMemberships {
		if status[m.Account] == StatusInactive {
			a.contradict("account %q is deactivated and declared in group %q: keep one", m.Account, m.Group)
		}
	}
	for i, account := range next.Accounts {
		if to, ok := status[account.Email]; ok {
			next.Accounts[i].Status = to
			if to == StatusActive {
				delete(status, account.Email)
			}
		}
	}
	known := map[string]bool{}
	for _, account := range next.Accounts {
		known[account.Email] = true
	}
	for _, email := range slices.Sorted(maps.Keys(status)) {
		if !known[email] {
			a.conflict("account %q is not declared, so it has no status: is it spelt as in the declaration?", email)
		}
	}
	next.GroupAccountMemberships = slices.DeleteFunc(next.GroupAccountMemberships, func(m AccountMembership) bool {
		return status[m.Account] == StatusInactive
	})
}

// maxReferences bounds how many references to a record an error names.
const maxReferences = 5

// refuseReferred refuses to withdraw what the remaining records refer to.
func (a *patching) refuseReferred(remaining Declared) {
	if len(a.withdrawn) == 0 {
		return
	}
	references := remaining.references()
	for _, key := range a.withdrawn {
		by := references[key]
		if len(by) == 0 {
			continue
		}
		names := make([]string, 0, maxReferences+1)
		for _, r := range by[:min(len(by), maxReferences)] {
			names = append(names, fmt.Sprintf("%s %q", r.Kind, r.Name))
		}
		if more := len(by) - maxReferences; more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		a.conflict("%s %q cannot be withdrawn, it is referred to by %s: withdraw or change that first, or with it",
			key.Kind, key.Name, strings.Join(names, ", "))
	}
}

// references lists, for each record, the records that refer to it.
func (d Declared) references() map[RecordKey][]RecordKey {
	to := map[RecordKey][]RecordKey{}
	add := func(by Kind, record keyed, kind Kind, names ...string) {
		for _, name := range names {
			key := RecordKey{kind, name}
			to[key] = append(to[key], RecordKey{by, record.key()})
		}
	}
	for _, w := range d.Workspaces {
		add(KindWorkspace, w, KindBillingProject, w.BillingProject)
		add(KindWorkspace, w, KindGroup, w.AuthorizationDomains...)
	}
	for _, m := range d.GroupAccountMemberships {
		add(KindAccountMembership, m, KindGroup, m.Group)
		add(KindAccountMembership, m, KindAccount, m.Account)
	}
	for _, m := range d.GroupGroupMemberships {
		add(KindGroupMembership, m, KindGroup, m.Parent, m.Child)
	}
	for _, s := range d.WorkspaceGroupSharing {
		add(KindSharing, s, KindWorkspace, s.Workspace)
		add(KindSharing, s, KindGroup, s.Group)
	}
	for _, r := range d.IgnoredGroupMemberships {
		if r.Group != Anywhere {
			add(KindIgnoredMembership, r, KindGroup, r.Group)
		}
	}
	for _, r := range d.IgnoredWorkspaceSharing {
		if r.Workspace != Anywhere {
			add(KindIgnoredSharing, r, KindWorkspace, r.Workspace)
		}
	}
	return to
}
