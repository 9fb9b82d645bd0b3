package anvil

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// Observation is what was observed of one record, ready to be an event.
type Observation struct {
	Key     RecordKey
	Payload event.Payload
}

// Hash is the same for observations that say the same. The wording of error
// messages does not count: it may hold a time or a request's number.
func (ob Observation) Hash() (string, error) {
	data, err := json.Marshal(withoutMessage(ob.Payload))
	if err != nil {
		return "", fmt.Errorf("hashing the observation of %s: %w", ob.Key, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

func withoutMessage(p event.Payload) event.Payload {
	switch o := p.(type) {
	case BillingProjectObserved:
		o.Message = ""
		return o
	case AccountObserved:
		o.Message = ""
		return o
	case GroupListObserved:
		o.Message = ""
		return o
	case GroupObserved:
		o.Message = ""
		return o
	case GroupMembersObserved:
		o.Message = ""
		return o
	case GroupAdminsObserved:
		o.Message = ""
		return o
	case WorkspaceListObserved:
		o.Message = ""
		return o
	case AccessListObserved:
		o.Message = ""
		return o
	case SettingsObserved:
		o.Message = ""
		return o
	default:
		return p
	}
}

// Observations are the observations of everything that was asked, in a fixed
// order. known are the records that were observed before: groups and workspaces
// among them that a complete list does not hold any more are observed as gone.
//
// What AnVIL sends as a set is put in order, so that equal sets look equal.
func (o *Observed) Observations(known []RecordKey) []Observation {
	var all []Observation
	all = append(all, o.groupListObservations(known)...)
	all = append(all, o.workspaceListObservations(known)...)
	each(&all, KindBillingProject, o.BillingProjects, func(name string, r Reading[BillingInfo]) event.Payload {
		return BillingProjectObserved{name, r}
	})
	each(&all, KindAccount, o.Accounts, func(name string, r Reading[AccountInfo]) event.Payload { return AccountObserved{name, r} })
	each(&all, KindGroup, o.Groups, func(name string, r Reading[string]) event.Payload { return GroupObserved{name, r} })
	each(&all, KindGroupMembers, o.GroupMembers, func(name string, r Reading[[]string]) event.Payload {
		return GroupMembersObserved{name, inOrder(r)}
	})
	each(&all, KindGroupAdmins, o.GroupAdmins, func(name string, r Reading[[]string]) event.Payload {
		return GroupAdminsObserved{name, inOrder(r)}
	})
	each(&all, KindAccessList, o.AccessLists, func(name string, r Reading[map[string]AccessEntry]) event.Payload {
		return AccessListObserved{name, r}
	})
	each(&all, KindSettings, o.Settings, func(name string, r Reading[Settings]) event.Payload { return SettingsObserved{name, r} })
	return all
}

// each appends the observations of one kind, in order of their names.
func each[T any](all *[]Observation, kind Kind, readings map[string]Reading[T], payload func(string, Reading[T]) event.Payload) {
	for _, name := range slices.Sorted(maps.Keys(readings)) {
		*all = append(*all, Observation{RecordKey{kind, name}, payload(name, readings[name])})
	}
}

func inOrder(r Reading[[]string]) Reading[[]string] {
	if r.Value != nil {
		r.Value = slices.Sorted(slices.Values(r.Value))
	}
	return r
}

func (o *Observed) groupListObservations(known []RecordKey) []Observation {
	if o.GroupList.Response == (Response{}) {
		return nil
	}
	all := []Observation{{RecordKey{Kind: KindGroupList}, GroupListObserved{o.GroupList.Response}}}
	if !o.GroupList.Found() {
		return all
	}
	groups := map[string]GroupRoleObserved{}
	for _, row := range o.GroupList.Value {
		g := groups[row.Name]
		g.Name, g.Listed = row.Name, true
		if g.Email == "" || row.Email < g.Email {
			g.Email = row.Email
		}
		g.Roles = append(g.Roles, row.Role)
		groups[row.Name] = g
	}
	for name, g := range groups {
		slices.Sort(g.Roles)
		g.Roles = slices.Compact(g.Roles)
		groups[name] = g
	}
	for _, key := range known {
		if _, there := groups[key.Name]; key.Kind == KindGroupRole && !there {
			groups[key.Name] = GroupRoleObserved{Name: key.Name}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		all = append(all, Observation{RecordKey{KindGroupRole, name}, groups[name]})
	}
	return all
}

func (o *Observed) workspaceListObservations(known []RecordKey) []Observation {
	if o.WorkspaceList.Response == (Response{}) {
		return nil
	}
	all := []Observation{{RecordKey{Kind: KindWorkspaceList}, WorkspaceListObserved{o.WorkspaceList.Response}}}
	if !o.WorkspaceList.Found() {
		return all
	}
	rows := map[string]WorkspaceObserved{}
	for _, row := range o.WorkspaceList.Value {
		if _, twice := rows[row.Key()]; twice {
			continue
		}
		row.AuthorizationDomains = nameSet(row.AuthorizationDomains)
		rows[row.Key()] = WorkspaceObserved{WorkspaceRow: row, Listed: true}
	}
	for _, key := range known {
		if _, there := rows[key.Name]; key.Kind == KindWorkspace && !there {
			rows[key.Name] = goneWorkspace(key.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		all = append(all, Observation{RecordKey{KindWorkspace, name}, rows[name]})
	}
	return all
}

// Unseen says why the record could not be read; empty if the answer means
// something to the audits.
func (ob Observation) Unseen() string {
	var r Response
	var meaningful []int
	switch o := ob.Payload.(type) {
	case BillingProjectObserved:
		r, meaningful = o.Response, []int{404}
	case AccountObserved:
		r, meaningful = o.Response, []int{204, 404}
	case GroupListObserved:
		r = o.Response
	case GroupObserved:
		r, meaningful = o.Response, []int{404}
	case GroupMembersObserved:
		r = o.Response
	case GroupAdminsObserved:
		r = o.Response
	case WorkspaceListObserved:
		r = o.Response
	case AccessListObserved:
		r, meaningful = o.Response, []int{403, 404}
	case SettingsObserved:
		r = o.Response
	default:
		return ""
	}
	if r.Found() || r.Unknown == "" && slices.Contains(meaningful, r.Status) {
		return ""
	}
	return r.cause()
}
