package anvil

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// managedGroups audits the groups, and the membership of each one that the
// service account is declared to be, and is, an admin of.
func (a *auditor) managedGroups(out *Outcome, subs map[string]*Outcome) error {
	roleOf := RecordKey{Kind: KindGroupList}
	if !a.o.GroupList.Found() {
		for _, g := range a.d.ManagedGroups {
			if err := a.unknown(out, g.Name, a.o.GroupList.Response); err != nil {
				return err
			}
		}
		return a.unknown(out, Everything, a.o.GroupList.Response)
	}
	names, roles := groupRoles(a.o.GroupList.Value)
	rows := a.membershipRows()
	for _, g := range a.d.ManagedGroups {
		held := roles[g.Name]
		d := Discrepancy{
			Model: ModelManagedGroups, Record: g.Name,
			Expected: yesNo(g.IsManagedByApp, "the service account is an admin", "the service account is no admin"),
			Observed: "the service account is " + list(slices.Compact(slices.Sorted(slices.Values(held)))),
			Declared: []RecordKey{{KindGroup, g.Name}}, Seen: []RecordKey{{KindGroupRole, g.Name}},
		}
		var err error
		switch {
		case held == nil:
			d.Seen = []RecordKey{roleOf, {KindGroupRole, g.Name}, {KindGroup, g.Name}}
			err = a.unlistedGroup(out, g, d)
		case g.IsManagedByApp != isAdmin(held):
			d.Kind = ErrDifferentRole
			wrong(out, d)
		case g.IsManagedByApp:
			sub := a.run(func(sub *Outcome) error { return a.membership(sub, g.Name, rows[g.Name]) })
			subs[g.Name] = sub
			err = a.rollUp(out, sub, Discrepancy{
				Model: ModelManagedGroups, Record: g.Name, Kind: ErrGroupMembership,
				Expected: "the members and admins that are declared", Declared: d.Declared,
				Seen: []RecordKey{{KindGroupMembers, g.Name}, {KindGroupAdmins, g.Name}},
			})
		}
		if err != nil {
			return err
		}
		settle(out, g.Name)
	}
	seen := map[string]int{}
	for _, name := range names {
		if _, declared := a.groups[name]; declared || !isAdmin(roles[name]) {
			continue
		}
		err := a.undeclared(out, seen, Discrepancy{
			Model: ModelManagedGroups, Record: name, Kind: NotInApp,
			Expected: NotDeclared, Observed: "the service account is an admin of it", Seen: []RecordKey{{KindGroupRole, name}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unlistedGroup judges a group that the service account is not in: whether it
// exists at all is asked on its own.
func (a *auditor) unlistedGroup(out *Outcome, g ManagedGroup, d Discrepancy) error {
	r := a.o.Groups[g.Name]
	switch {
	case r.Status == 404 && r.Unknown == "":
		d.Kind, d.Expected, d.Observed = ErrNotInAnVIL, "exists", "no such group"
		wrong(out, d)
	case !r.Found() && (r.Status != 200 || !a.compat):
		return a.unknown(out, g.Name, r.Response)
	case g.IsManagedByApp:
		d.Kind, d.Observed = ErrDifferentRole, "the group exists, the service account is not in it"
		wrong(out, d)
	}
	return nil
}

// rollUp carries the outcome of a sub-audit over to the record that it is about.
func (a *auditor) rollUp(out, sub *Outcome, d Discrepancy) error {
	switch {
	case sub.Aborted != "":
		return abort(sub.Aborted)
	case len(sub.Errors) > 0 || len(sub.NotInApp) > 0:
		d.Observed = summary(sub)
		wrong(out, d)
	case len(sub.Beyond) > 0:
		d.Observed = summary(sub)
		a.question(out, d)
	}
	if cause, key := firstUnknown(sub); cause != "" {
		out.Unknown[d.Record] = key + ": " + cause
	}
	return nil
}

// summary names the records that a sub-audit found at fault.
func summary(sub *Outcome) string {
	var parts []string
	if len(sub.Errors) > 0 {
		parts = append(parts, "not as declared: "+list(slices.Sorted(maps.Keys(sub.Errors))))
	}
	if len(sub.NotInApp) > 0 {
		parts = append(parts, "not declared: "+list(sub.NotInApp))
	}
	if len(sub.Beyond) > 0 {
		parts = append(parts, "to question: "+list(slices.Sorted(maps.Keys(sub.Beyond))))
	}
	return strings.Join(parts, "; ")
}

func firstUnknown(sub *Outcome) (cause, key string) {
	if len(sub.Unknown) == 0 {
		return "", ""
	}
	key = slices.Min(slices.Collect(maps.Keys(sub.Unknown)))
	return sub.Unknown[key], key
}

// groupRows are the declared rows of one group.
type groupRows struct {
	accounts []AccountMembership
	groups   []GroupMembership
	ignored  []IgnoredMembership
}

// membershipRows sorts the rows by group, so that each is looked at once.
func (a *auditor) membershipRows() map[string]*groupRows {
	byGroup := make(map[string]*groupRows, len(a.d.ManagedGroups))
	of := func(group string) *groupRows {
		if byGroup[group] == nil {
			byGroup[group] = &groupRows{}
		}
		return byGroup[group]
	}
	for _, m := range a.d.GroupAccountMemberships {
		of(m.Group).accounts = append(of(m.Group).accounts, m)
	}
	for _, m := range a.d.GroupGroupMemberships {
		of(m.Parent).groups = append(of(m.Parent).groups, m)
	}
	for _, row := range a.d.IgnoredGroupMemberships {
		if row.Group != Anywhere {
			of(row.Group).ignored = append(of(row.Group).ignored, row)
		}
	}
	return byGroup
}

// roster is one of a group's two lists of addresses while it is compared. As
// the peer does, an address is taken out once for each record that accounts for
// it: a second spelling of the same address stays.
type roster struct {
	role    Role
	reading Response
	read    bool
	emails  []string
	lower   []string
	there   map[string]int
	taken   map[string]int
}

func newRoster(role Role, r Reading[[]string], serviceAccount string) *roster {
	l := &roster{
		role: role, reading: r.Response, read: r.Found(), emails: r.Value, lower: make([]string, len(r.Value)),
		there: make(map[string]int, len(r.Value)), taken: map[string]int{},
	}
	for i, email := range r.Value {
		l.lower[i] = strings.ToLower(email)
		l.there[l.lower[i]]++
	}
	l.take(strings.ToLower(serviceAccount))
	return l
}

// take takes one occurrence of an address out; false if there is none.
func (l *roster) take(email string) bool {
	if l.there[email] == 0 {
		return false
	}
	l.there[email]--
	l.taken[email]++
	return true
}

// has tells whether an address is in the list as AnVIL gave it.
func (l *roster) has(email string) bool { return l.there[email]+l.taken[email] > 0 }

// membershipAudit compares one group's declared rows with its two lists.
type membershipAudit struct {
	*auditor
	out             *Outcome
	group           string
	members, admins *roster
}

func (a *auditor) membership(out *Outcome, group string, rows *groupRows) error {
	m := &membershipAudit{auditor: a, out: out, group: group}
	m.members = newRoster(RoleMember, a.o.GroupMembers[group], a.d.ServiceAccount)
	m.admins = newRoster(RoleAdmin, a.o.GroupAdmins[group], a.d.ServiceAccount)
	for _, l := range []*roster{m.members, m.admins} {
		if !l.read {
			if err := a.unknown(out, Everything, l.reading); err != nil {
				return err
			}
		}
	}
	if rows == nil {
		rows = &groupRows{}
	}
	for _, row := range rows.accounts {
		m.accountRow(row)
	}
	for _, row := range rows.groups {
		m.groupRow(row)
	}
	for _, row := range rows.ignored {
		m.ignoreRow(row)
	}
	if a.compat {
		return m.leftOver()
	}
	for _, row := range a.d.IgnoredGroupMemberships {
		if row.Group == Anywhere {
			m.ignoreRow(row)
		}
	}
	if err := m.leftOver(); err != nil {
		return err
	}
	m.joinSwaps()
	return nil
}

func (m *membershipAudit) list(role Role) *roster {
	if role == RoleAdmin {
		return m.admins
	}
	return m.members
}

func (m *membershipAudit) accountRow(row AccountMembership) {
	key := string(row.Role) + ": " + row.Account
	declared := func() []RecordKey { return []RecordKey{{KindAccountMembership, row.Group + "/" + row.Account}} }
	if account := m.people[row.Account]; account.Status != StatusActive {
		wrong(m.out, Discrepancy{
			Model: ModelMemberships, Scope: m.group, Record: key, Kind: ErrDeactivatedAccount,
			Expected: string(row.Role), Observed: "the account is declared inactive",
			Declared: append(declared(), RecordKey{KindAccount, row.Account}),
		})
	}
	text := ErrAccountMemberMissing
	if row.Role == RoleAdmin {
		text = ErrAccountAdminMissing
	}
	m.declared(key, row.Role, row.Account, text, declared)
}

func (m *membershipAudit) groupRow(row GroupMembership) {
	address := m.groups[row.Child].Email
	key := string(row.Role) + ": " + address
	email := strings.ToLower(address)
	text := ErrGroupMemberMissing
	if row.Role == RoleAdmin {
		// An admin of a group is often its member, too: the peer accepts that of
		// groups, though not of accounts.
		m.members.take(email)
		text = ErrGroupAdminMissing
	}
	m.declared(key, row.Role, email, text, func() []RecordKey {
		return []RecordKey{{KindGroupMembership, row.Parent + "/" + row.Child}, {KindGroup, row.Child}}
	})
}

// declared looks one declared address up in the list of its role. The keys of
// the declaration are made only when something is wrong.
func (m *membershipAudit) declared(key string, role Role, email, text string, declared func() []RecordKey) {
	l := m.list(role)
	switch {
	case !l.read:
		m.out.Unknown[key] = l.reading.cause()
	case !l.take(email):
		wrong(m.out, Discrepancy{
			Model: ModelMemberships, Scope: m.group, Record: key, Kind: text,
			Expected: string(role), Observed: m.held(email), Declared: declared(), Seen: m.seen(),
		})
	}
	settle(m.out, key)
}

// held says in words which roles an address has on AnVIL.
func (m *membershipAudit) held(email string) string {
	if strings.EqualFold(email, m.d.ServiceAccount) {
		return "it is the service account, which is left out of comparisons"
	}
	var roles []string
	for _, l := range []*roster{m.admins, m.members} {
		if l.has(email) {
			roles = append(roles, string(l.role))
		} else if !l.read {
			roles = append(roles, "unknown whether "+string(l.role))
		}
	}
	if roles == nil {
		return "not in the group"
	}
	return strings.Join(roles, ", ")
}

func (m *membershipAudit) seen() []RecordKey {
	return []RecordKey{{KindGroupMembers, m.group}, {KindGroupAdmins, m.group}}
}

// ignoreRow lets an ignore row cover the first place where its address is left
// (ACM v0.35.2, membership audit step 4). In default mode a row that has expired,
// or was given for another role, covers nothing there.
func (m *membershipAudit) ignoreRow(row IgnoredMembership) {
	for _, l := range []*roster{m.admins, m.members} {
		if !m.compat && (m.expired(row.ExpiresAt) || row.Role != "" && row.Role != l.role) {
			continue
		}
		if l.take(row.Email) {
			m.out.Ignored = append(m.out.Ignored, string(l.role)+": "+row.Email)
			return
		}
	}
	if m.admins.read && m.members.read && row.Group != Anywhere {
		m.out.IgnoredUnmatched = append(m.out.IgnoredUnmatched, row.Email)
	}
}

// joinSwaps makes one discrepancy of a role that is missing and another one that
// nobody declared, if they are of one address. If it cannot be read whether the
// declared role is missing, it is unknown which of the two the other one is: it
// must not look like a finding of its own for as long.
func (m *membershipAudit) joinSwaps() {
	swapped := map[string]bool{}
	for i := range m.out.Discrepancies {
		d := &m.out.Discrepancies[i]
		switch d.Kind {
		case ErrAccountAdminMissing, ErrGroupAdminMissing, ErrAccountMemberMissing, ErrGroupMemberMissing:
			if other, email := swap(d.Record); m.list(other).has(email) && !strings.EqualFold(email, m.d.ServiceAccount) {
				d.RoleSwap = true
				swapped[string(other)+": "+email] = true
			}
		}
	}
	doubtful := map[string]string{}
	for record, cause := range m.out.Unknown {
		if other, email := swap(record); record != Everything && slices.Contains(m.out.NotInApp, string(other)+": "+email) {
			doubtful[string(other)+": "+email] = cause
		}
	}
	maps.Copy(m.out.Unknown, doubtful)
	m.out.NotInApp = slices.DeleteFunc(m.out.NotInApp, func(record string) bool { return doubtful[record] != "" })
	m.out.Discrepancies = slices.DeleteFunc(m.out.Discrepancies, func(d Discrepancy) bool {
		return d.Kind == NotInApp && (swapped[d.Record] || doubtful[d.Record] != "")
	})
}

// swap is the other role of a record of a membership, and its address in lower
// case.
func swap(record string) (Role, string) {
	role, email, _ := strings.Cut(record, ": ")
	if role == string(RoleAdmin) {
		return RoleMember, strings.ToLower(email)
	}
	return RoleAdmin, strings.ToLower(email)
}

// leftOver reports the addresses that no record accounts for.
func (m *membershipAudit) leftOver() error {
	seen := map[string]int{}
	for _, l := range []*roster{m.admins, m.members} {
		for i, email := range l.lower {
			if l.taken[email] > 0 {
				l.taken[email]--
				continue
			}
			err := m.undeclared(m.out, seen, Discrepancy{
				Model: ModelMemberships, Scope: m.group,
				Record: string(l.role) + ": " + email, Kind: NotInApp, Expected: NotDeclared,
				Observed: fmt.Sprintf("%s, as %s", l.role, l.emails[i]), Seen: m.seen(),
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
