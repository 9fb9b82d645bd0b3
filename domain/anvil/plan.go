package anvil

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// Action says how a declared record changes.
type Action string

// The ways in which a declared record can change.
const (
	Added     Action = "added"
	Changed   Action = "changed"
	Withdrawn Action = "withdrawn"
)

// Change is one step from a declaration to another.
type Change struct {
	Action Action
	Record RecordKey
	// Before and After are the declared record, such as [Account]; of the
	// consortium itself the service account's address. Before is nil of what is
	// added, After of what is withdrawn.
	Before, After any
}

// String words the change for people, such as "added account a@example.com".
func (c Change) String() string {
	return fmt.Sprintf("%s %s %s", c.Action, c.Record.Kind, c.Record.Name)
}

// Plan lists what has to change to get from one declaration to another. wanted
// must be normalised and valid, as strictly as s says, else Plan fails with its
// error. The changes stand in this order: first what goes, memberships before
// groups, then what comes or changes, groups before memberships. A plan between
// equal declarations is empty; the order of the lists does not count.
func Plan(current, wanted Declared, s Strictness) ([]Change, error) {
	if err := wanted.Validate(s); err != nil {
		return nil, err
	}
	var consortium []Change
	if current.ServiceAccount != wanted.ServiceAccount {
		c := Change{Action: Changed, Record: RecordKey{Kind: KindConsortium}, Before: current.ServiceAccount, After: wanted.ServiceAccount}
		if current.ServiceAccount == "" {
			c.Action, c.Before = Added, nil
		}
		consortium = []Change{c}
	}
	// In the order in which records can be declared: what is referred to first.
	kinds := [][]Change{
		consortium,
		compare(KindBillingProject, current.BillingProjects, wanted.BillingProjects),
		compare(KindAccount, current.Accounts, wanted.Accounts),
		compare(KindGroup, current.ManagedGroups, wanted.ManagedGroups),
		compare(KindWorkspace, current.Workspaces, wanted.Workspaces),
		compare(KindAccountMembership, current.GroupAccountMemberships, wanted.GroupAccountMemberships),
		compare(KindGroupMembership, current.GroupGroupMemberships, wanted.GroupGroupMemberships),
		compare(KindSharing, current.WorkspaceGroupSharing, wanted.WorkspaceGroupSharing),
		compare(KindIgnoredMembership, current.IgnoredGroupMemberships, wanted.IgnoredGroupMemberships),
		compare(KindIgnoredSharing, current.IgnoredWorkspaceSharing, wanted.IgnoredWorkspaceSharing),
	}
	var plan []Change
	for _, changes := range slices.Backward(kinds) {
		for _, c := range changes {
			if c.Action == Withdrawn {
				plan = append(plan, c)
			}
		}
	}
	for _, changes := range kinds {
		for _, c := range changes {
			if c.Action != Withdrawn {
				plan = append(plan, c)
			}
		}
	}
	return plan, nil
}

// compare lists the changes of the records of one kind, in their lists' order.
func compare[T keyed](kind Kind, current, wanted []T) []Change {
	before := make(map[string]T, len(current))
	for _, record := range current {
		before[record.key()] = record
	}
	kept := make(map[string]bool, len(wanted))
	var changes []Change
	for _, record := range wanted {
		name := record.key()
		kept[name] = true
		was, there := before[name]
		switch {
		case !there:
			changes = append(changes, Change{Action: Added, Record: RecordKey{kind, name}, After: record})
		case !equalRecords(was, record):
			changes = append(changes, Change{Action: Changed, Record: RecordKey{kind, name}, Before: was, After: record})
		}
	}
	for _, record := range current {
		if name := record.key(); !kept[name] {
			changes = append(changes, Change{Action: Withdrawn, Record: RecordKey{kind, name}, Before: record})
		}
	}
	return changes
}

// equalRecords compares two records of a kind; authorization domains are a set.
func equalRecords(a, b any) bool {
	w, ok := a.(Workspace)
	x, both := b.(Workspace)
	if ok && both {
		w.AuthorizationDomains, x.AuthorizationDomains = nameSet(w.AuthorizationDomains), nameSet(x.AuthorizationDomains)
		return reflect.DeepEqual(w, x)
	}
	return a == b
}

// PlanEvents are the payloads that carry a plan out, [PlanApplied] last. A plan
// without changes has none.
func PlanEvents(plan []Change, reason string) []event.Payload {
	if len(plan) == 0 {
		return nil
	}
	applied := PlanApplied{Reason: reason}
	payloads := make([]event.Payload, 0, len(plan)+1)
	for _, c := range plan {
		switch c.Action {
		case Added:
			applied.Added++
		case Changed:
			applied.Changed++
		case Withdrawn:
			applied.Withdrawn++
			payloads = append(payloads, withdrawal(c.Before, reason))
			continue
		}
		payloads = append(payloads, declaration(c.After, reason))
	}
	return append(payloads, applied)
}

func declaration(record any, reason string) event.Payload {
	switch r := record.(type) {
	case string:
		return ConsortiumDeclared{r, reason}
	case BillingProject:
		return BillingProjectDeclared{r, reason}
	case Account:
		return AccountDeclared{r, reason}
	case ManagedGroup:
		return GroupDeclared{r, reason}
	case GroupMembership:
		return GroupMembershipDeclared{r, reason}
	case AccountMembership:
		return AccountMembershipDeclared{r, reason}
	case Workspace:
		return WorkspaceDeclared{r, reason}
	case Sharing:
		return SharingDeclared{r, reason}
	case IgnoredMembership:
		return IgnoredMembershipDeclared{r, reason}
	case IgnoredSharing:
		return IgnoredSharingDeclared{r, reason}
	default:
		panic(fmt.Sprintf("BUG: %T is no declared record", record))
	}
}

func withdrawal(record any, reason string) event.Payload {
	switch r := record.(type) {
	case BillingProject:
		return BillingProjectWithdrawn{r.Name, reason}
	case Account:
		return AccountWithdrawn{r.Email, reason}
	case ManagedGroup:
		return GroupWithdrawn{r.Name, reason}
	case GroupMembership:
		return GroupMembershipWithdrawn{r.Parent, r.Child, reason}
	case AccountMembership:
		return AccountMembershipWithdrawn{r.Group, r.Account, reason}
	case Workspace:
		return WorkspaceWithdrawn{r.BillingProject, r.Name, reason}
	case Sharing:
		return SharingWithdrawn{r.Workspace, r.Group, reason}
	case IgnoredMembership:
		return IgnoredMembershipWithdrawn{r.Group, r.Email, reason}
	case IgnoredSharing:
		return IgnoredSharingWithdrawn{r.Workspace, r.Email, reason}
	default:
		panic(fmt.Sprintf("BUG: %T is no declared record that can be withdrawn", record))
	}
}
