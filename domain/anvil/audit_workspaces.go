package anvil

import (
	"fmt"
	"slices"
	"strings"
)

// workspaces audits the workspaces, and the sharing of each one that the
// service account is declared to own and really owns.
func (a *auditor) workspaces(out *Outcome, subs map[string]*Outcome) error {
	if !a.o.WorkspaceList.Found() {
		for _, w := range a.d.Workspaces {
			if err := a.unknown(out, w.Key(), a.o.WorkspaceList.Response); err != nil {
				return err
			}
		}
		return a.unknown(out, Everything, a.o.WorkspaceList.Response)
	}
	rows := a.o.WorkspaceList.Value
	at := make(map[string]int, len(rows))
	for i, row := range slices.Backward(rows) {
		at[row.Key()] = i
	}
	declared := make(map[int]bool, len(rows))
	sharing := a.sharingRows()
	for _, w := range a.d.Workspaces {
		i, listed := at[w.Key()]
		var err error
		if listed {
			declared[i] = true
			err = a.workspace(out, w, rows[i], sharing[w.Key()], subs)
		} else if w.AppAccess != AppNoAccess {
			wrong(out, Discrepancy{
				Model: ModelWorkspaces, Record: w.Key(), Kind: ErrWorkspaceNotInAnVIL,
				Expected: "access " + string(w.AppAccess), Observed: "not in the list of workspaces",
				Declared: declaredWorkspace(w), Seen: []RecordKey{{Kind: KindWorkspaceList}, {KindWorkspace, w.Key()}},
			})
		}
		if err != nil {
			return err
		}
		settle(out, w.Key())
	}
	return a.undeclaredWorkspaces(out, rows, declared)
}

func declaredWorkspace(w Workspace) []RecordKey { return []RecordKey{{KindWorkspace, w.Key()}} }

func (a *auditor) undeclaredWorkspaces(out *Outcome, rows []WorkspaceRow, declared map[int]bool) error {
	seen := map[string]int{}
	for i, row := range rows {
		if declared[i] {
			continue
		}
		owned, err := a.reallyOwned(out, row)
		if err != nil {
			return err
		}
		if row.AccessLevel == levelProject {
			a.question(out, Discrepancy{
				Model: ModelWorkspaces, Record: row.Key(), Kind: ErrProjectOwner,
				Expected: NotDeclared, Observed: "access " + row.AccessLevel, Seen: []RecordKey{{KindWorkspace, row.Key()}},
			})
		}
		if !owned {
			continue
		}
		err = a.undeclared(out, seen, Discrepancy{
			Model: ModelWorkspaces, Record: row.Key(), Kind: NotInApp,
			Expected: NotDeclared, Observed: "access " + row.AccessLevel,
			Seen: []RecordKey{{KindWorkspace, row.Key()}, {KindAccessList, row.Key()}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reallyOwned tells whether the service account owns a listed workspace. An
// owner outside the authorization domain is listed with no access, but may
// still read the access list. If that cannot be told, the record is unknown.
func (a *auditor) reallyOwned(out *Outcome, row WorkspaceRow) (bool, error) {
	switch row.AccessLevel {
	case levelOwner:
		return true, nil
	case levelNoAccess:
	default:
		return false, nil
	}
	r := a.o.AccessLists[row.Key()]
	switch {
	case r.Status == 200 && (r.Unknown == "" || a.compat):
		return true, nil
	case (r.Status == 403 || r.Status == 404) && r.Unknown == "":
		return false, nil
	default:
		return false, a.unknown(out, row.Key(), r.Response)
	}
}

// workspace audits one workspace that is both declared and listed.
func (a *auditor) workspace(out *Outcome, w Workspace, row WorkspaceRow, rows *sharingRows, subs map[string]*Outcome) error {
	differs := func(kind, expected, observed string, seen ...RecordKey) {
		wrong(out, Discrepancy{
			Model: ModelWorkspaces, Record: w.Key(), Kind: kind, Expected: expected, Observed: observed,
			Declared: declaredWorkspace(w), Seen: append(seen, RecordKey{KindWorkspace, w.Key()}),
		})
	}
	want, have := nameSet(w.AuthorizationDomains), nameSet(row.AuthorizationDomains)
	if !slices.Equal(want, have) {
		differs(ErrDifferentAuthDomains, "authorization domains: "+list(want), "authorization domains: "+list(have))
	}
	if w.IsLocked != row.IsLocked {
		differs(ErrDifferentLock, yesNo(w.IsLocked, "locked", "not locked"), yesNo(row.IsLocked, "locked", "not locked"))
	}
	role := func(kind string) {
		differs(kind, "access "+string(w.AppAccess), "access "+row.AccessLevel)
	}
	question := func(kind string, seen ...RecordKey) {
		a.question(out, Discrepancy{
			Model: ModelWorkspaces, Record: w.Key(), Kind: kind, Expected: "access " + string(w.AppAccess), Observed: "access " + row.AccessLevel,
			Declared: declaredWorkspace(w), Seen: append(seen, RecordKey{KindWorkspace, w.Key()}),
		})
	}
	access := RecordKey{KindAccessList, w.Key()}
	switch w.AppAccess {
	case AppOwner:
		owned, err := a.reallyOwned(out, row)
		if err != nil {
			return err
		}
		if owned {
			return a.ownedWorkspace(out, w, rows, subs, differs)
		}
		if out.Unknown[w.Key()] == "" {
			role(ErrNotOwner)
		}
	case AppLimited:
		owned, err := a.reallyOwned(out, row)
		if err != nil {
			return err
		}
		switch {
		case owned:
			role(ErrIsOwner)
		case row.AccessLevel == levelProject:
			question(ErrProjectOwner)
		case row.AccessLevel == levelNoAccess && out.Unknown[w.Key()] == "":
			question(ErrNoAccess, access)
		}
	case AppNoAccess:
		switch row.AccessLevel {
		case levelOwner:
			role(ErrIsOwner)
		case levelProject:
			question(ErrProjectOwner)
		case levelNoAccess:
			// Before the first sweep that asks for it the list is not known.
			if a.o.AccessLists[w.Key()].Found() {
				question(ErrHiddenOwner, access)
			}
		case levelWriter:
			role(ErrIsWriter)
		case levelReader:
			role(ErrIsReader)
		}
	}
	return nil
}

// ownedWorkspace makes the checks that only an owner can make.
func (a *auditor) ownedWorkspace(out *Outcome, w Workspace, rows *sharingRows, subs map[string]*Outcome,
	differs func(kind, expected, observed string, seen ...RecordKey),
) error {
	sub := a.run(func(sub *Outcome) error { return a.sharing(sub, w.Key(), rows) })
	subs[w.Key()] = sub
	err := a.rollUp(out, sub, Discrepancy{
		Model: ModelWorkspaces, Record: w.Key(), Kind: ErrWorkspaceSharing,
		Expected: "shared as declared", Declared: declaredWorkspace(w), Seen: []RecordKey{{KindAccessList, w.Key()}},
	})
	if err != nil {
		return err
	}
	settings := a.o.Settings[w.Key()]
	if !settings.Found() {
		return a.unknown(out, w.Key(), settings.Response)
	}
	if w.IsRequesterPays != settings.Value.RequesterPays {
		differs(ErrDifferentRequesterPay, yesNo(w.IsRequesterPays, "requester pays", "owner pays"),
			yesNo(settings.Value.RequesterPays, "requester pays", "owner pays"), RecordKey{KindSettings, w.Key()})
	}
	return nil
}

func nameSet(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

// sharingRows are the declared rows of one workspace.
type sharingRows struct {
	shared  []Sharing
	ignored []IgnoredSharing
}

func (a *auditor) sharingRows() map[string]*sharingRows {
	byWorkspace := make(map[string]*sharingRows, len(a.d.Workspaces))
	of := func(workspace string) *sharingRows {
		if byWorkspace[workspace] == nil {
			byWorkspace[workspace] = &sharingRows{}
		}
		return byWorkspace[workspace]
	}
	for _, s := range a.d.WorkspaceGroupSharing {
		of(s.Workspace).shared = append(of(s.Workspace).shared, s)
	}
	for _, row := range a.d.IgnoredWorkspaceSharing {
		if row.Workspace != Anywhere {
			of(row.Workspace).ignored = append(of(row.Workspace).ignored, row)
		}
	}
	return byWorkspace
}

// sharing audits with whom one workspace is shared.
func (a *auditor) sharing(out *Outcome, workspace string, rows *sharingRows) error {
	r := a.o.AccessLists[workspace]
	if rows == nil {
		rows = &sharingRows{}
	}
	if !r.Found() {
		for _, s := range rows.shared {
			if err := a.unknown(out, a.sharingKey(s), r.Response); err != nil {
				return err
			}
		}
		return a.unknown(out, Everything, r.Response)
	}
	covered := map[string]bool{strings.ToLower(a.d.ServiceAccount): true}
	for _, s := range rows.shared {
		a.sharingRow(out, s, r.Value, covered)
	}
	for _, row := range rows.ignored {
		if !a.ignoreEntry(out, row, r.Value, covered) {
			out.IgnoredUnmatched = append(out.IgnoredUnmatched, row.Email)
		}
	}
	for _, row := range a.d.IgnoredWorkspaceSharing {
		if row.Workspace == Anywhere && !a.compat {
			a.ignoreEntry(out, row, r.Value, covered)
		}
	}
	for email, entry := range r.Value {
		if covered[email] {
			continue
		}
		key := entry.AccessLevel + ": " + email
		out.NotInApp = append(out.NotInApp, key)
		out.Discrepancies = append(out.Discrepancies, Discrepancy{
			Model: ModelSharing, Scope: workspace, Record: key, Kind: NotInApp,
			Expected: NotDeclared, Observed: entry.words(), Seen: []RecordKey{{KindAccessList, workspace}},
		})
	}
	slices.SortStableFunc(out.Discrepancies, func(x, y Discrepancy) int { return strings.Compare(x.Record, y.Record) })
	return nil
}

// ignoreEntry lets an ignore row cover its entry; false if it covers nothing. In
// default mode neither does a row that has expired or was given for another level.
func (a *auditor) ignoreEntry(out *Outcome, row IgnoredSharing, entries map[string]AccessEntry, covered map[string]bool) bool {
	entry, ok := entries[row.Email]
	if !ok || covered[row.Email] {
		return false
	}
	if !a.compat && (a.expired(row.ExpiresAt) || row.Access != "" && string(row.Access) != entry.AccessLevel) {
		return false
	}
	covered[row.Email] = true
	out.Ignored = append(out.Ignored, entry.AccessLevel+": "+row.Email)
	return true
}

func (a *auditor) sharingKey(s Sharing) string {
	return string(s.Access) + ": " + a.groups[s.Group].Email
}

// sharingRow compares one declared row literally, each of its three values on
// its own.
func (a *auditor) sharingRow(out *Outcome, s Sharing, entries map[string]AccessEntry, covered map[string]bool) {
	key, email := a.sharingKey(s), strings.ToLower(a.groups[s.Group].Email)
	differs := func(kind, expected, observed string) {
		wrong(out, Discrepancy{
			Model: ModelSharing, Scope: s.Workspace, Record: key, Kind: kind, Expected: expected, Observed: observed,
			Declared: []RecordKey{{KindSharing, s.Workspace + "/" + s.Group}, {KindGroup, s.Group}},
			Seen:     []RecordKey{{KindAccessList, s.Workspace}},
		})
	}
	entry, shared := entries[email]
	if !shared || covered[email] {
		differs(ErrNotShared, "shared with "+string(s.Access), "not shared")
		return
	}
	covered[email] = true
	if string(s.Access) != entry.AccessLevel {
		differs(ErrDifferentAccess, string(s.Access), entry.AccessLevel)
	}
	if s.CanCompute != entry.CanCompute {
		differs(ErrDifferentCanCompute, yesNo(s.CanCompute, "can compute", "cannot compute"), yesNo(entry.CanCompute, "can compute", "cannot compute"))
	}
	if owner := s.Access == AccessOwner; owner != entry.CanShare {
		differs(ErrDifferentCanShare, yesNo(owner, "can share", "cannot share"), yesNo(entry.CanShare, "can share", "cannot share"))
	}
	if entry.Pending {
		a.question(out, Discrepancy{
			Model: ModelSharing, Scope: s.Workspace, Record: key, Kind: ErrPending, Expected: "shared with " + string(s.Access), Observed: "invited as " + entry.AccessLevel,
			Declared: []RecordKey{{KindSharing, s.Workspace + "/" + s.Group}, {KindGroup, s.Group}}, Seen: []RecordKey{{KindAccessList, s.Workspace}},
		})
	}
	settle(out, key)
}

func (e AccessEntry) words() string {
	return fmt.Sprintf("%s, %s, %s%s", e.AccessLevel, yesNo(e.CanShare, "can share", "cannot share"),
		yesNo(e.CanCompute, "can compute", "cannot compute"), yesNo(e.Pending, ", invited", ""))
}
