package anvil

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// maxNamed bounds how many of a long list's names are told.
const maxNamed = 20

// facet is one point of a record: a value, or a set of names.
type facet struct {
	name  string
	value string
	set   []string
	isSet bool
}

func yes(b bool) string { return yesNo(b, "yes", "no") }

// content is what an event says of a record in points; there is false if it says
// that there is no such record, and unread why it could not be read.
type content struct {
	there  bool
	absent string
	unread string
	facets []facet
}

func gone(words string) content { return content{absent: words} }

func has(facets ...facet) content { return content{there: true, facets: facets} }

func value(name, text string) facet { return facet{name: name, value: text} }

func names(name string, set []string) facet {
	return facet{name: name, set: nameSet(set), isSet: true}
}

// contentOf is what the event of a slot says.
func contentOf(p event.Payload) content {
	if c, ok := declaredContent(p); ok {
		return c
	}
	if cause := (Observation{Payload: p}).Unseen(); cause != "" {
		return content{unread: cause}
	}
	return observedContent(p)
}

func declaredContent(p event.Payload) (content, bool) {
	switch p := p.(type) {
	case ConsortiumDeclared:
		return has(value("service account", p.ServiceAccount)), true
	case BillingProjectDeclared:
		return has(value("service account is a user", yes(p.HasAppAsUser))), true
	case AccountDeclared:
		return has(value("status", string(p.Status)), value("service account", yes(p.IsServiceAccount))), true
	case GroupDeclared:
		return has(value("address", p.Email), value("managed", yes(p.IsManagedByApp))), true
	case GroupMembershipDeclared:
		return has(value("role", string(p.Role))), true
	case AccountMembershipDeclared:
		return has(value("role", string(p.Role))), true
	case WorkspaceDeclared:
		return has(names("authorization domains", p.AuthorizationDomains), value("locked", yes(p.IsLocked)),
			value("requester pays", yes(p.IsRequesterPays)), value("access", string(p.AppAccess))), true
	case SharingDeclared:
		return has(value("access", string(p.Access)), value("can compute", yes(p.CanCompute))), true
	case IgnoredMembershipDeclared:
		return has(value("accepted", p.Note)), true
	case IgnoredSharingDeclared:
		return has(value("accepted", p.Note)), true
	case BillingProjectWithdrawn, AccountWithdrawn, GroupWithdrawn, GroupMembershipWithdrawn, AccountMembershipWithdrawn,
		WorkspaceWithdrawn, SharingWithdrawn, IgnoredMembershipWithdrawn, IgnoredSharingWithdrawn:
		return gone("not declared"), true
	default:
		return content{}, false
	}
}

func observedContent(p event.Payload) content {
	switch p := p.(type) {
	case BillingProjectObserved:
		if !p.Found() {
			return gone("missing, or the service account is no user of it")
		}
		return has(names("roles", p.Value.Roles), value("invalid billing account", yes(p.Value.InvalidBillingAccount)))
	case AccountObserved:
		switch {
		case p.Status == 204:
			return gone("the address is a group's")
		case !p.Found():
			return gone("no such account")
		}
		return has(value("registered", yes(p.Value.Registered)), value("address", p.Value.Email))
	case GroupListObserved, WorkspaceListObserved:
		return has(value("readable", "yes"))
	case GroupRoleObserved:
		if !p.Listed {
			return gone("the service account is not in it")
		}
		return has(names("roles of the service account", p.Roles))
	case GroupObserved:
		if !p.Found() {
			return gone("no such group")
		}
		return has(value("address", p.Value))
	case GroupMembersObserved:
		return has(names("members", p.Value))
	case GroupAdminsObserved:
		return has(names("admins", p.Value))
	case WorkspaceObserved:
		if !p.Listed {
			return gone("not in the list of workspaces")
		}
		return has(value("access", p.AccessLevel), value("locked", yes(p.IsLocked)), names("authorization domains", p.AuthorizationDomains))
	case AccessListObserved:
		if !p.Found() {
			return gone("the service account may not read it")
		}
		var all []facet
		for _, email := range slices.Sorted(maps.Keys(p.Value)) {
			all = append(all, value(email, p.Value[email].words()))
		}
		return has(all...)
	case SettingsObserved:
		return has(value("requester pays", yes(p.Value.RequesterPays)))
	default:
		return content{}
	}
}

// words tells what the fact at i changed: the value before and after of what it
// says differently from the last fact of its slot that could be read.
func (s *story) words(i int) string {
	now := contentOf(s.facts[i].Payload)
	if now.unread != "" {
		return "could not be read: " + now.unread
	}
	last := s.before[i]
	unread := 0
	for last >= 0 && contentOf(s.facts[last].Payload).unread != "" {
		unread++
		last = s.before[last]
	}
	prefix := ""
	if unread > 0 {
		prefix = "can be read again: "
	}
	if last < 0 {
		if !now.there {
			return prefix + now.absent
		}
		return prefix + "first: " + told(now.facets)
	}
	before := contentOf(s.facts[last].Payload)
	switch {
	case before.there && !now.there:
		return prefix + now.absent + "; before: " + told(before.facets)
	case !before.there && now.there:
		return prefix + told(now.facets) + "; before: " + before.absent
	case !now.there:
		return prefix + now.absent
	}
	parts := differences(before.facets, now.facets)
	if len(parts) == 0 {
		return prefix + "as before"
	}
	return prefix + strings.Join(parts, "; ")
}

// told lists points with their values.
func told(facets []facet) string {
	parts := make([]string, 0, len(facets))
	for _, f := range facets[:min(len(facets), maxNamed)] {
		if f.isSet {
			f.value = some(f.set)
		}
		parts = append(parts, f.name+": "+f.value)
	}
	if n := len(facets) - maxNamed; n > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", n))
	}
	return list(parts)
}

// some lists names, of many only the first.
func some(set []string) string {
	if n := len(set) - maxNamed; n > 0 {
		return fmt.Sprintf("%s and %d more", list(set[:maxNamed]), n)
	}
	return list(set)
}

func differences(before, now []facet) []string {
	was := make(map[string]facet, len(before))
	for _, f := range before {
		was[f.name] = f
	}
	var parts []string
	for _, f := range now {
		b, there := was[f.name]
		delete(was, f.name)
		switch {
		case f.isSet:
			parts = append(parts, setDifference(f.name, b.set, f.set)...)
		case !there:
			parts = append(parts, f.name+": new, "+f.value)
		case b.value != f.value:
			parts = append(parts, f.name+": "+b.value+" -> "+f.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		parts = append(parts, name+": gone, was "+was[name].value)
	}
	return parts
}

func setDifference(name string, before, now []string) []string {
	var parts []string
	if came := without(now, before); len(came) > 0 {
		parts = append(parts, name+": came "+some(came))
	}
	if went := without(before, now); len(went) > 0 {
		parts = append(parts, name+": went "+some(went))
	}
	return parts
}

// without are the names of a that are not in b; both are in order.
func without(a, b []string) []string {
	var left []string
	for _, name := range a {
		if _, found := slices.BinarySearch(b, name); !found {
			left = append(left, name)
		}
	}
	return left
}

// reasonOf is why something was declared or withdrawn.
func reasonOf(p event.Payload) string {
	switch p := p.(type) {
	case ConsortiumDeclared:
		return p.Reason
	case BillingProjectDeclared:
		return p.Reason
	case BillingProjectWithdrawn:
		return p.Reason
	case AccountDeclared:
		return p.Reason
	case AccountWithdrawn:
		return p.Reason
	case GroupDeclared:
		return p.Reason
	case GroupWithdrawn:
		return p.Reason
	case GroupMembershipDeclared:
		return p.Reason
	case GroupMembershipWithdrawn:
		return p.Reason
	case AccountMembershipDeclared:
		return p.Reason
	case AccountMembershipWithdrawn:
		return p.Reason
	case WorkspaceDeclared:
		return p.Reason
	case WorkspaceWithdrawn:
		return p.Reason
	case SharingDeclared:
		return p.Reason
	case SharingWithdrawn:
		return p.Reason
	case IgnoredMembershipDeclared:
		return p.Reason
	case IgnoredMembershipWithdrawn:
		return p.Reason
	case IgnoredSharingDeclared:
		return p.Reason
	case IgnoredSharingWithdrawn:
		return p.Reason
	case PlanApplied:
		return p.Reason
	default:
		return ""
	}
}

// absent is how a thing stands on AnVIL that is not there.
const absent = ""

// stands says in words how the thing that the finding is about stands on AnVIL;
// [absent] if it is not there.
func (t *tracker) stands(s *State) string {
	o := s.observed
	switch t.last.Model {
	case ModelBillingProjects:
		if r := o.BillingProjects[t.scope]; r.Found() {
			return "available"
		}
	case ModelAccounts:
		switch r := o.Accounts[t.scope]; {
		case r.Found():
			return "an account"
		case r.Status == 204:
			return "a group's address"
		}
	case ModelManagedGroups:
		if g, ok := s.groupRoles[t.scope]; ok {
			return list(g.Roles)
		}
	case ModelMemberships:
		var roles []string
		for role, r := range map[Role]Reading[[]string]{RoleAdmin: o.GroupAdmins[t.scope], RoleMember: o.GroupMembers[t.scope]} {
			if slices.ContainsFunc(r.Value, func(email string) bool { return lower(email) == t.email }) {
				roles = append(roles, string(role))
			}
		}
		slices.Sort(roles)
		return strings.Join(roles, " and ")
	case ModelWorkspaces:
		return t.workspaceStands(s)
	case ModelSharing:
		if entry, ok := o.AccessLists[t.scope].Value[t.email]; ok {
			return entry.words()
		}
	}
	return absent
}

func (t *tracker) workspaceStands(s *State) string {
	row, ok := s.listed[t.scope]
	if !ok {
		return absent
	}
	switch t.last.Kind {
	case ErrDifferentLock:
		return yesNo(row.IsLocked, "locked", "not locked")
	case ErrDifferentRequesterPay:
		return yesNo(s.observed.Settings[t.scope].Value.RequesterPays, "requester pays", "owner pays")
	case ErrDifferentAuthDomains:
		return list(nameSet(row.AuthorizationDomains))
	default:
		return row.AccessLevel
	}
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// words tells the window.
func (w Window) words() string {
	from, to := w.From.UTC(), w.To.UTC()
	text := fmt.Sprintf("Between %s and %s", moment(from), moment(to))
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		text = fmt.Sprintf("On %s between %s and %s UTC", from.Format(time.DateOnly), from.Format(time.TimeOnly), to.Format(time.TimeOnly))
	}
	if w.Unseen > 0 {
		text += fmt.Sprintf(" (%s in between could not tell: %s)", counted(w.Unseen, "sweep"), w.Why)
	}
	return text
}

// outcomeWords tells what a verdict means for the finding.
func (t *tracker) outcomeWords(to verdict) string {
	switch {
	case to == agreed:
		return "the two sides agree"
	case t.last.Kind == NotInApp:
		return "AnVIL has what nobody has declared"
	default:
		return "AnVIL is not as declared"
	}
}

// conclusion ends a sentence on the world with what is declared.
func (t *tracker) conclusion(to verdict) string {
	switch {
	case to == agreed:
		return "; so the two sides agree."
	case t.rollUp():
		return "."
	case t.last.Kind == NotInApp:
		return "; nobody had declared it."
	default:
		return "; declared is: " + t.shown.Expected + "."
	}
}

func (t *tracker) observationWords(c Cause, before, after string, to verdict) string {
	return c.Window.words() + " " + t.happened(c, before, after) + t.conclusion(to)
}

// happened tells what somebody did on AnVIL.
func (t *tracker) happened(c Cause, before, after string) string {
	changed := "AnVIL changed: " + t.changes(c)
	if before == after || t.rollUp() {
		return changed
	}
	switch t.last.Model {
	case ModelBillingProjects:
		return fmt.Sprintf("the billing project %s %s", t.scope, yesNo(after == absent, "was lost to the service account", "became available to the service account"))
	case ModelAccounts:
		return fmt.Sprintf("%s, %s until then, came to be %s on AnVIL", t.scope, orNone(before, "no account"), orNone(after, "no account"))
	case ModelManagedGroups:
		return fmt.Sprintf("the service account's role in the group %s went from %s to %s", t.scope, orNone(before, "none"), orNone(after, "none"))
	case ModelMemberships:
		switch {
		case before == absent:
			return fmt.Sprintf("somebody made %s %s %s of %s on AnVIL", t.email, article(after), after, t.scope)
		case after == absent:
			return fmt.Sprintf("somebody took %s, until then %s %s, out of %s on AnVIL", t.email, article(before), before, t.scope)
		default:
			return fmt.Sprintf("somebody made %s, until then %s %s of %s, %s %s on AnVIL", t.email, article(before), before, t.scope, article(after), after)
		}
	case ModelSharing:
		switch {
		case before == absent:
			return fmt.Sprintf("somebody shared %s with %s on AnVIL (%s)", t.scope, t.email, after)
		case after == absent:
			return fmt.Sprintf("somebody ended the sharing of %s with %s on AnVIL (%s until then)", t.scope, t.email, before)
		default:
			return fmt.Sprintf("somebody changed on AnVIL what %s may do in %s (%s; until then %s)", t.email, t.scope, after, before)
		}
	case ModelWorkspaces:
		return t.workspaceHappened(before, after)
	}
	return changed
}

func (t *tracker) workspaceHappened(before, after string) string {
	switch {
	case after == absent:
		return fmt.Sprintf("the workspace %s left the list of what the service account sees", t.scope)
	case before == absent:
		return fmt.Sprintf("the workspace %s came to the list of what the service account sees", t.scope)
	}
	switch t.last.Kind {
	case ErrDifferentLock, ErrDifferentRequesterPay:
		return fmt.Sprintf("somebody set the workspace %s to %s on AnVIL, until then %s", t.scope, after, before)
	case ErrDifferentAuthDomains:
		return fmt.Sprintf("somebody changed the authorization domains of %s on AnVIL from %s to %s", t.scope, before, after)
	default:
		return fmt.Sprintf("the service account's access to the workspace %s went from %s to %s", t.scope, before, after)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orNone(s, none string) string {
	if s == absent {
		return none
	}
	return s
}

func article(noun string) string {
	if strings.HasPrefix(noun, "A") {
		return "an"
	}
	return "a"
}

// changes tells the records of a cause.
func (t *tracker) changes(c Cause) string {
	var parts []string
	for _, r := range c.Records {
		if r.Side == SideObserved || c.Side == CauseDeclared {
			parts = append(parts, r.called()+": "+r.Change)
		}
	}
	return some(parts)
}

// called is how people call the record.
func (r CauseRecord) called() string {
	return strings.TrimSpace(strings.ReplaceAll(string(r.Kind), "_", " ") + " " + r.Name)
}

func (t *tracker) declarationWords(c Cause, to verdict) string {
	who := c.Actor
	if who == "" {
		who = "somebody"
	}
	text := fmt.Sprintf("At %s %s changed the declaration: %s", moment(c.At), who, t.changes(c))
	if c.Reason != "" {
		text += fmt.Sprintf(" (reason: %s)", c.Reason)
	}
	if to == agreed {
		return text + "; so the two sides agree."
	}
	return text + "; on AnVIL it is: " + t.shown.Observed + "."
}

// endWords tells of an ignore row that was declared at a time and has ended.
func (t *tracker) endWords(c Cause, to verdict, declaredAt time.Time) string {
	who := c.Actor
	if who == "" {
		who = "somebody"
	}
	text := fmt.Sprintf("At %s the time of the %s was over, which %s had declared at %s", moment(c.At), c.Records[0].called(), who, moment(declaredAt))
	if c.Reason != "" {
		text += fmt.Sprintf(" (reason: %s)", c.Reason)
	}
	return text + "; " + t.outcomeWords(to) + "."
}

func (t *tracker) firstSeenWords(c Cause, to verdict) string {
	if to == agreed {
		return fmt.Sprintf("When AnVIL could first tell, at %s, the two sides agreed.", moment(c.At))
	}
	by := ""
	if c.Actor != "" {
		by = " by " + c.Actor
	}
	if c.Reason != "" {
		by += fmt.Sprintf(" (reason: %s)", c.Reason)
	}
	parts := []string{fmt.Sprintf("It was so when AnVIL was first looked at, at %s: expected is %s, observed was %s", moment(c.At), t.shown.Expected, t.shown.Observed)}
	for _, r := range c.Records {
		if r.Side == SideDeclared {
			parts = append(parts, r.called()+" had been declared before"+by)
		}
	}
	return strings.Join(parts, "; ") + "."
}

// narrative tells an explanation in sentences.
func (t *tracker) narrative(x Explanation) []string {
	f := x.Finding
	about := f.Record
	if f.Scope != "" {
		about += " in " + f.Scope
	}
	kind := strings.TrimSuffix(f.Kind, ".")
	if kind == NotInApp {
		kind = "on AnVIL, but not declared"
	}
	lines := []string{fmt.Sprintf("%s: %s. The finding is %s, opened at %s%s.", about, kind, yesNo(x.Open, "open", "resolved"), moment(f.OpenedAt), times(x.Reopened))}
	lines = append(lines, x.Cause.Words)
	if x.PartCount > 0 {
		lines = append(lines, fmt.Sprintf("It sums up %s:", counted(x.PartCount, "finding")))
		for _, p := range x.Parts {
			lines = append(lines, fmt.Sprintf("%s (%s): %s", p.Record, p.Kind, p.Cause.Words))
		}
	}
	if x.Resolution != nil && x.ResolvedAt != nil {
		lines = append(lines, fmt.Sprintf("It was resolved at %s. %s", moment(*x.ResolvedAt), x.Resolution.Words))
	}
	return lines
}

func times(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", after it had been resolved once before"
	default:
		return fmt.Sprintf(", after it had been resolved %d times before", n)
	}
}
