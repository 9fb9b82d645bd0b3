package anvil

import (
	"cmp"
	"slices"
)

// Ordered is the declaration with each list in the order of the names of its
// records, so that equal declarations look equal however they came about. d
// itself stays as it is.
func (d Declared) Ordered() Declared {
	d.BillingProjects = ordered(d.BillingProjects)
	d.Accounts = ordered(d.Accounts)
	d.ManagedGroups = ordered(d.ManagedGroups)
	d.GroupGroupMemberships = ordered(d.GroupGroupMemberships)
	d.GroupAccountMemberships = ordered(d.GroupAccountMemberships)
	d.Workspaces = ordered(d.Workspaces)
	d.WorkspaceGroupSharing = ordered(d.WorkspaceGroupSharing)
	d.IgnoredGroupMemberships = ordered(d.IgnoredGroupMemberships)
	d.IgnoredWorkspaceSharing = ordered(d.IgnoredWorkspaceSharing)
	return d
}

func ordered[T keyed](records []T) []T {
	return notNil(slices.SortedStableFunc(slices.Values(records), func(a, b T) int { return cmp.Compare(a.key(), b.key()) }))
}
