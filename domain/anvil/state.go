package anvil

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// State is the fold of one consortium's stream: what is declared, what was
// observed last, and which findings are open. Events must be applied in the
// order of the stream. A second copy of a finding's event, or of the newest
// observation or declaration of a record, changes nothing. It is not safe for
// concurrent use.
type State struct {
	stream event.Stream
	seq    int64
	// latest is the time of the newest fact that was applied.
	latest time.Time

	serviceAccount     string
	billingProjects    table[BillingProject]
	accounts           table[Account]
	groups             table[ManagedGroup]
	groupMemberships   table[GroupMembership]
	accountMemberships table[AccountMembership]
	workspaces         table[Workspace]
	sharing            table[Sharing]
	ignoredMemberships table[IgnoredMembership]
	ignoredSharing     table[IgnoredSharing]

	observed   *Observed
	groupRoles map[string]GroupRoleObserved
	listed     map[string]WorkspaceRow

	declaredMarks map[RecordKey]Mark
	observedMarks map[RecordKey]Mark

	open     map[uuid.UUID]Finding
	reopened map[uuid.UUID]int
	accepted map[uuid.UUID]Accepted
	// applying is the event that is being folded.
	applying event.Event
	// applied are the ids of the findings' events: one may come twice, first
	// from whoever made it and then from the log.
	applied map[uuid.UUID]bool
	sweep   *SweepCompleted
}

// NewState is the state of a consortium's stream before its first event.
func NewState(stream event.Stream) *State {
	return &State{
		stream:             stream,
		billingProjects:    table[BillingProject]{},
		accounts:           table[Account]{},
		groups:             table[ManagedGroup]{},
		groupMemberships:   table[GroupMembership]{},
		accountMemberships: table[AccountMembership]{},
		workspaces:         table[Workspace]{},
		sharing:            table[Sharing]{},
		ignoredMemberships: table[IgnoredMembership]{},
		ignoredSharing:     table[IgnoredSharing]{},
		observed:           NewObserved(),
		groupRoles:         map[string]GroupRoleObserved{},
		listed:             map[string]WorkspaceRow{},
		declaredMarks:      map[RecordKey]Mark{},
		observedMarks:      map[RecordKey]Mark{},
		open:               map[uuid.UUID]Finding{},
		reopened:           map[uuid.UUID]int{},
		accepted:           map[uuid.UUID]Accepted{},
		applied:            map[uuid.UUID]bool{},
	}
}

// row is a record and its place among the declarations.
type row[T any] struct {
	record T
	place  int64
}

// table holds the declared records of one kind by key.
type table[T any] map[string]row[T]

// put declares a record. One that was there keeps its place.
func (t table[T]) put(key string, record T, place int64) {
	if before, ok := t[key]; ok {
		place = before.place
	}
	t[key] = row[T]{record, place}
}

// list is the records in the order of their first declaration.
func (t table[T]) list() []T {
	rows := slices.SortedFunc(maps.Values(t), func(a, b row[T]) int { return cmp.Compare(a.place, b.place) })
	records := make([]T, len(rows))
	for i, r := range rows {
		records[i] = r.record
	}
	return records
}

// folded is a payload that changes the state.
type folded interface {
	fold(s *State, m Mark)
}

// Apply folds one event of the stream, decoded as p. It fails with
// [event.CodeInvalid] for an event of another stream or a payload that is none
// of this world.
func (s *State) Apply(e event.Event, p event.Payload) error {
	if e.Stream != s.stream {
		return event.Errorf(event.CodeInvalid, "event %s: it belongs to another stream than %s", e.Key(), s.stream)
	}
	if _, is := p.(AuditCompleted); is {
		// What an audit came to changes nothing that the next one rests on.
		return nil
	}
	f, ok := p.(folded)
	if !ok {
		return event.Errorf(event.CodeInvalid, "event %s: a consortium's stream holds no %s", e.Key(), p.EventType())
	}
	switch p.(type) {
	case FindingOpened, FindingChanged, FindingResolved:
		if s.applied[e.ID] {
			return nil
		}
		s.applied[e.ID] = true
	}
	if e.Time.After(s.latest) {
		s.latest = e.Time
	}
	s.seq++
	mark := Mark{EventID: e.ID, Seq: s.seq}
	s.applying = e
	f.fold(s, mark)
	s.mark(p, mark)
	return nil
}

// mark notes where the record that an event is about was last declared or
// observed.
func (s *State) mark(p event.Payload, m Mark) {
	slot, ok := SlotOf(p)
	switch {
	case !ok:
	case slot.Side == SideDeclared:
		s.declaredMarks[slot.Key] = m
	default:
		s.observedMarks[slot.Key] = m
	}
}

// Stream is the stream that the state is folded from.
func (s *State) Stream() event.Stream { return s.stream }

// Declared is what is declared now, each list in the order of declaration. The
// caller may keep it.
func (s *State) Declared() Declared {
	d := Declared{
		ServiceAccount:          s.serviceAccount,
		BillingProjects:         s.billingProjects.list(),
		Accounts:                s.accounts.list(),
		ManagedGroups:           s.groups.list(),
		GroupGroupMemberships:   s.groupMemberships.list(),
		GroupAccountMemberships: s.accountMemberships.list(),
		Workspaces:              s.workspaces.list(),
		WorkspaceGroupSharing:   s.sharing.list(),
		IgnoredGroupMemberships: s.ignoredMemberships.list(),
		IgnoredWorkspaceSharing: s.ignoredSharing.list(),
	}
	d.Normalise()
	return d
}

// Observed is what was observed last of each record. The caller may keep it but
// must not change it.
func (s *State) Observed() *Observed {
	o := *s.observed
	o.BillingProjects = maps.Clone(o.BillingProjects)
	o.Accounts = maps.Clone(o.Accounts)
	o.Groups = maps.Clone(o.Groups)
	o.GroupMembers = maps.Clone(o.GroupMembers)
	o.GroupAdmins = maps.Clone(o.GroupAdmins)
	o.AccessLists = maps.Clone(o.AccessLists)
	o.Settings = maps.Clone(o.Settings)
	if o.GroupList.Found() {
		o.GroupList.Value = make([]GroupRow, 0, len(s.groupRoles))
		for _, name := range slices.Sorted(maps.Keys(s.groupRoles)) {
			for _, role := range s.groupRoles[name].Roles {
				o.GroupList.Value = append(o.GroupList.Value, GroupRow{Name: name, Email: s.groupRoles[name].Email, Role: role})
			}
		}
	}
	if o.WorkspaceList.Found() {
		o.WorkspaceList.Value = make([]WorkspaceRow, 0, len(s.listed))
		for _, key := range slices.Sorted(maps.Keys(s.listed)) {
			o.WorkspaceList.Value = append(o.WorkspaceList.Value, s.listed[key])
		}
	}
	return &o
}

// OpenFindings lists the findings that are open, in a fixed order.
func (s *State) OpenFindings() []Finding { return sortedFindings(s.open) }

// LastSweep is the last sweep of whole models that was completed; false if there
// was none. A sweep of single groups and workspaces tells how those are and not
// how old the rest is, so it does not count.
func (s *State) LastSweep() (SweepCompleted, bool) {
	if s.sweep == nil {
		return SweepCompleted{}, false
	}
	return *s.sweep, true
}

// DeclaredMark is where a record was last declared or withdrawn.
func (s *State) DeclaredMark(key RecordKey) (Mark, bool) {
	m, ok := s.declaredMarks[key]
	return m, ok
}

// ObservedMark is where a record was last observed.
func (s *State) ObservedMark(key RecordKey) (Mark, bool) {
	m, ok := s.observedMarks[key]
	return m, ok
}

// Audit audits what is declared against what was observed last.
func (s *State) Audit(opts Options) *Result { return Audit(s.Declared(), s.Observed(), opts) }

// Reaction is what an event leads to once it was applied: the end of a sweep
// and the end of a batch of declarations lead to an audit in default mode, and
// so to the events of findings that it opens, changes or resolves. Other
// events lead to nothing. The result, which is nil if there was no audit, is
// for those who record audits. What is found bears the time of the newest fact
// that was applied: the state may be newer than the cause.
//
// The same state and event give the same events with the same ids. Whoever
// appends them ought to apply them at once: the next cause may lie before them
// in the log. When they come from the log they change nothing any more.
func (s *State) Reaction(source string, cause event.Event, p event.Payload) ([]event.Event, *Result, error) {
	switch p.(type) {
	case SweepCompleted, PlanApplied:
	default:
		return nil, nil, nil
	}
	at := s.auditedAt(cause)
	declared := s.Declared()
	result := Audit(declared, s.Observed(), Options{At: at})
	payloads := Diff(s.open, Comparison{Stream: s.stream, Declared: declared, Result: result, Marks: s, Reopened: s.reopened, At: at})
	events, err := FindingEvents(s.stream, source, cause, at, payloads)
	return events, result, err
}

func (p ConsortiumDeclared) fold(s *State, _ Mark) {
	s.serviceAccount = p.ServiceAccount
}

func (p BillingProjectDeclared) fold(s *State, m Mark) {
	s.billingProjects.put(p.Name, p.BillingProject, m.Seq)
}

func (p BillingProjectWithdrawn) fold(s *State, _ Mark) {
	delete(s.billingProjects, p.Name)
}

func (p AccountDeclared) fold(s *State, m Mark) {
	s.accounts.put(p.Email, p.Account, m.Seq)
}

func (p AccountWithdrawn) fold(s *State, _ Mark) {
	delete(s.accounts, p.Email)
}

func (p GroupDeclared) fold(s *State, m Mark) {
	s.groups.put(p.Name, p.ManagedGroup, m.Seq)
}

func (p GroupWithdrawn) fold(s *State, _ Mark) {
	delete(s.groups, p.Name)
}

func (p GroupMembershipDeclared) fold(s *State, m Mark) {
	s.groupMemberships.put(p.Parent+"/"+p.Child, p.GroupMembership, m.Seq)
}

func (p GroupMembershipWithdrawn) fold(s *State, _ Mark) {
	delete(s.groupMemberships, p.Parent+"/"+p.Child)
}

func (p AccountMembershipDeclared) fold(s *State, m Mark) {
	s.accountMemberships.put(p.Group+"/"+p.AccountMembership.Account, p.AccountMembership, m.Seq)
}

func (p AccountMembershipWithdrawn) fold(s *State, _ Mark) {
	delete(s.accountMemberships, p.Group+"/"+p.Account)
}

func (p WorkspaceDeclared) fold(s *State, m Mark) {
	s.workspaces.put(p.Key(), p.Workspace, m.Seq)
}

func (p WorkspaceWithdrawn) fold(s *State, _ Mark) {
	delete(s.workspaces, p.BillingProject+"/"+p.Name)
}

func (p SharingDeclared) fold(s *State, m Mark) {
	s.sharing.put(p.Workspace+"/"+p.Group, p.Sharing, m.Seq)
}

func (p SharingWithdrawn) fold(s *State, _ Mark) {
	delete(s.sharing, p.Workspace+"/"+p.Group)
}

func (p IgnoredMembershipDeclared) fold(s *State, m Mark) {
	s.ignoredMemberships.put(p.Group+"/"+p.Email, p.IgnoredMembership, m.Seq)
}

func (p IgnoredMembershipWithdrawn) fold(s *State, _ Mark) {
	delete(s.ignoredMemberships, p.Group+"/"+p.Email)
}

func (p IgnoredSharingDeclared) fold(s *State, m Mark) {
	s.ignoredSharing.put(p.Workspace+"/"+p.Email, p.IgnoredSharing, m.Seq)
}

func (p IgnoredSharingWithdrawn) fold(s *State, _ Mark) {
	delete(s.ignoredSharing, p.Workspace+"/"+p.Email)
}

func (PlanApplied) fold(*State, Mark) {}

func (SweepStarted) fold(*State, Mark) {}

func (p SweepCompleted) fold(s *State, _ Mark) {
	if p.Whole() {
		s.sweep = &p
	}
}

func (p BillingProjectObserved) fold(s *State, _ Mark) {
	s.observed.BillingProjects[p.Name] = p.Reading
}

func (p AccountObserved) fold(s *State, _ Mark) {
	s.observed.Accounts[p.Email] = p.Reading
}

func (p GroupListObserved) fold(s *State, _ Mark) {
	s.observed.GroupList.Response = p.Response
}

func (p GroupRoleObserved) fold(s *State, _ Mark) {
	if p.Listed {
		s.groupRoles[p.Name] = p
	} else {
		delete(s.groupRoles, p.Name)
	}
}

func (p GroupObserved) fold(s *State, _ Mark) {
	s.observed.Groups[p.Name] = p.Reading
}

func (p GroupMembersObserved) fold(s *State, _ Mark) {
	s.observed.GroupMembers[p.Group] = p.Reading
}

func (p GroupAdminsObserved) fold(s *State, _ Mark) {
	s.observed.GroupAdmins[p.Group] = p.Reading
}

func (p WorkspaceListObserved) fold(s *State, _ Mark) {
	s.observed.WorkspaceList.Response = p.Response
}

func (p WorkspaceObserved) fold(s *State, _ Mark) {
	if p.Listed {
		s.listed[p.Key()] = p.WorkspaceRow
	} else {
		delete(s.listed, p.Key())
	}
}

func (p AccessListObserved) fold(s *State, _ Mark) {
	s.observed.AccessLists[p.Workspace] = p.Reading
}

func (p SettingsObserved) fold(s *State, _ Mark) {
	s.observed.Settings[p.Workspace] = p.Reading
}

func (p FindingOpened) fold(s *State, _ Mark) { s.open[p.ID] = p.Finding }

func (p FindingChanged) fold(s *State, _ Mark) { s.open[p.ID] = p.Finding }

func (p FindingResolved) fold(s *State, _ Mark) {
	if _, was := s.open[p.ID]; was {
		s.reopened[p.ID]++
	}
	delete(s.open, p.ID)
}

// goneWorkspace is the observation that a workspace is listed no more.
func goneWorkspace(key string) WorkspaceObserved {
	namespace, name, _ := strings.Cut(key, "/")
	return WorkspaceObserved{WorkspaceRow: WorkspaceRow{Namespace: namespace, Name: name, AuthorizationDomains: []string{}}}
}
