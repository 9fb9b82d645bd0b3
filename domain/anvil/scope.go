package anvil

import (
	"fmt"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Scope limits a sweep to single groups and workspaces. The zero value limits
// nothing.
//
// Such a sweep asks for the lists, which are the only place where AnVIL tells
// its service account's roles, but takes from them only what it is about: it
// says nothing of other groups and workspaces, not even that they are gone. Only
// a list that was never read before, or not the last time, is taken as a whole,
// for no entry of it can be audited without it.
type Scope struct {
	// Groups are names of groups, in order.
	Groups []string `json:"groups,omitempty"`
	// Workspaces are billing-project/name, in order.
	Workspaces []string `json:"workspaces,omitempty"`
}

// NewScope is a scope of these groups and workspaces, each once. It fails with
// [event.CodeInvalid] for what can be no name.
func NewScope(groups, workspaces []string) (Scope, error) {
	for _, name := range groups {
		if name == "" || strings.Contains(name, "/") || hasControl(name) {
			return Scope{}, event.Errorf(event.CodeInvalid, "group %q: a group's name is not empty and holds no slash", name)
		}
	}
	for _, key := range workspaces {
		project, name, ok := strings.Cut(key, "/")
		if !ok || project == "" || name == "" || strings.Contains(name, "/") || hasControl(key) {
			return Scope{}, event.Errorf(event.CodeInvalid, "workspace %q: write it as billing-project/name", key)
		}
	}
	s := Scope{}
	if len(groups) > 0 {
		s.Groups = nameSet(groups)
	}
	if len(workspaces) > 0 {
		s.Workspaces = nameSet(workspaces)
	}
	return s, nil
}

// Whole tells whether the scope limits nothing.
func (s Scope) Whole() bool { return len(s.Groups) == 0 && len(s.Workspaces) == 0 }

// Models are the families of audits that the scope belongs to; all if it limits
// nothing.
func (s Scope) Models() []Model {
	if s.Whole() {
		return Models()
	}
	var models []Model
	if len(s.Groups) > 0 {
		models = append(models, ModelManagedGroups)
	}
	if len(s.Workspaces) > 0 {
		models = append(models, ModelWorkspaces)
	}
	return models
}

// Covers tells whether a record belongs to the scope. Lists do not, unless it
// limits nothing.
func (s Scope) Covers(key RecordKey) bool {
	if s.Whole() {
		return true
	}
	switch key.Kind {
	case KindGroupRole, KindGroup, KindGroupMembers, KindGroupAdmins:
		return slices.Contains(s.Groups, key.Name)
	case KindWorkspace, KindAccessList, KindSettings:
		return slices.Contains(s.Workspaces, key.Name)
	default:
		return false
	}
}

// Check fails with [event.CodeNotFound] if the scope names a group or workspace
// that is neither declared nor in the lists of o, and with
// [event.CodeUnavailable] if that cannot be told because a list could not be
// read.
func (s Scope) Check(d Declared, o *Observed) error {
	_, roles := groupRoles(o.GroupList.Value)
	for _, name := range s.Groups {
		declared := slices.ContainsFunc(d.ManagedGroups, func(g ManagedGroup) bool { return g.Name == name })
		if err := mustBeKnown("group", name, declared, roles[name] != nil, o.GroupList.Response); err != nil {
			return err
		}
	}
	for _, key := range s.Workspaces {
		declared := slices.ContainsFunc(d.Workspaces, func(w Workspace) bool { return w.Key() == key })
		listed := slices.ContainsFunc(o.WorkspaceList.Value, func(row WorkspaceRow) bool { return row.Key() == key })
		if err := mustBeKnown("workspace", key, declared, listed, o.WorkspaceList.Response); err != nil {
			return err
		}
	}
	return nil
}

func mustBeKnown(what, name string, declared, listed bool, list Response) error {
	switch {
	case declared || listed:
		return nil
	case !list.Found():
		return event.Errorf(event.CodeUnavailable, "%s %q is not declared, and AnVIL's list could not be read: %s", what, name, list.cause())
	default:
		return event.Errorf(event.CodeNotFound, "%s %q is neither declared nor in AnVIL's list: the case of letters counts", what, name)
	}
}

// Words are the scope for people, such as "group g, workspace bp/ws".
func (s Scope) Words() string {
	var parts []string
	for _, name := range s.Groups {
		parts = append(parts, "group "+name)
	}
	for _, key := range s.Workspaces {
		parts = append(parts, "workspace "+key)
	}
	if parts == nil {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

// Listed tells which of the lists a record is an entry of; false if of none.
func (k RecordKey) Listed() (list RecordKey, ok bool) {
	switch k.Kind {
	case KindGroupRole:
		return RecordKey{Kind: KindGroupList}, true
	case KindWorkspace:
		return RecordKey{Kind: KindWorkspaceList}, true
	default:
		return RecordKey{}, false
	}
}

// ReadList is the observation of a list that could be read: all its entries are
// observed while this is the last one of it.
func ReadList(key RecordKey) Observation {
	read := Response{Status: 200}
	switch key.Kind {
	case KindGroupList:
		return Observation{key, GroupListObserved{read}}
	case KindWorkspaceList:
		return Observation{key, WorkspaceListObserved{read}}
	default:
		panic(fmt.Sprintf("BUG: %s is no list", key))
	}
}
