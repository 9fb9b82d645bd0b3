package anvil

import (
	"slices"
	"strings"
)

// The services that are asked.
const (
	ServiceSam   = "sam"
	ServiceRawls = "rawls"
)

// WorkspaceFields is the query of the list of workspaces: it limits the answer,
// which is never paged, to what the audits need.
const WorkspaceFields = "fields=workspace.namespace,workspace.name,workspace.authorizationDomain,workspace.isLocked,accessLevel"

// Request is a question to AnVIL. All of them are GET requests.
type Request struct {
	// Record is what the answer tells about.
	Record RecordKey
	// Service is "sam" or "rawls".
	Service string
	// Segments are the parts of the path, decoded: each must be escaped on its
	// own, because names and addresses may hold any character.
	Segments []string
	// Query is the query, decoded; empty except for the list of workspaces.
	Query string
}

// Path is the path of the request, decoded.
func (r Request) Path() string { return "/" + strings.Join(r.Segments, "/") }

// ListRequest asks a service for its list: of groups or of workspaces.
func ListRequest(service string) Request {
	if service == ServiceSam {
		return Request{RecordKey{Kind: KindGroupList}, ServiceSam, []string{"api", "groups", "v1"}, ""}
	}
	return Request{RecordKey{Kind: KindWorkspaceList}, ServiceRawls, []string{"api", "workspaces"}, WorkspaceFields}
}

// FirstRequests is what has to be asked without knowing anything of AnVIL:
// the declared billing projects and accounts that are audited, and the lists. A
// scope that limits anything has no billing projects and accounts.
func FirstRequests(d Declared, models []Model, scope Scope) []Request {
	var requests []Request
	if slices.Contains(models, ModelManagedGroups) {
		requests = append(requests, ListRequest(ServiceSam))
	}
	if slices.Contains(models, ModelWorkspaces) {
		requests = append(requests, ListRequest(ServiceRawls))
	}
	if !scope.Whole() {
		return requests
	}
	if slices.Contains(models, ModelBillingProjects) {
		for _, b := range d.BillingProjects {
			if b.HasAppAsUser {
				requests = append(requests, Request{RecordKey{KindBillingProject, b.Name}, ServiceRawls, []string{"api", "billing", "v2", b.Name}, ""})
			}
		}
	}
	if slices.Contains(models, ModelAccounts) {
		for _, a := range d.Accounts {
			if a.Status == StatusActive {
				requests = append(requests, Request{RecordKey{KindAccount, a.Email}, ServiceSam, []string{"api", "users", "v1", a.Email}, ""})
			}
		}
	}
	return requests
}

// NextRequests is what has to be asked once the answers to [FirstRequests] are
// in o: what a list leaves open, of what belongs to the scope. Of an unreadable
// list nothing follows.
func NextRequests(d Declared, o *Observed, models []Model, scope Scope) []Request {
	var requests []Request
	if slices.Contains(models, ModelManagedGroups) && o.GroupList.Found() {
		requests = groupRequests(d, o, requests)
	}
	if slices.Contains(models, ModelWorkspaces) && o.WorkspaceList.Found() {
		requests = workspaceRequests(d, o, requests)
	}
	return slices.DeleteFunc(requests, func(q Request) bool { return !scope.Covers(q.Record) })
}

func groupRequests(d Declared, o *Observed, requests []Request) []Request {
	_, roles := groupRoles(o.GroupList.Value)
	for _, g := range d.ManagedGroups {
		path := []string{"api", "groups", "v1", g.Name}
		if roles[g.Name] == nil {
			requests = append(requests, Request{RecordKey{KindGroup, g.Name}, ServiceSam, path, ""})
		} else if g.IsManagedByApp && isAdmin(roles[g.Name]) {
			requests = append(requests,
				Request{RecordKey{KindGroupMembers, g.Name}, ServiceSam, append(slices.Clone(path), "member"), ""},
				Request{RecordKey{KindGroupAdmins, g.Name}, ServiceSam, append(slices.Clone(path), "admin"), ""})
		}
	}
	return requests
}

func workspaceRequests(d Declared, o *Observed, requests []Request) []Request {
	declared := make(map[string]Workspace, len(d.Workspaces))
	for _, w := range d.Workspaces {
		declared[w.Key()] = w
	}
	asked := map[string]bool{}
	for _, row := range o.WorkspaceList.Value {
		key := row.Key()
		w, known := declared[key]
		if asked[key] {
			continue
		}
		asked[key] = true
		owned := known && w.AppAccess == AppOwner
		// The peer does not ask of a workspace that is declared without access whether
		// the service account owns it all the same; default mode wants to know.
		probe := row.AccessLevel == levelNoAccess
		if probe || owned && row.AccessLevel == levelOwner {
			requests = append(requests, Request{
				RecordKey{KindAccessList, key},
				ServiceRawls,
				[]string{"api", "workspaces", row.Namespace, row.Name, "acl"},
				"",
			})
		}
		if owned && (row.AccessLevel == levelOwner || row.AccessLevel == levelNoAccess) {
			requests = append(requests, Request{
				RecordKey{KindSettings, key},
				ServiceRawls,
				[]string{"api", "workspaces", "v2", row.Namespace, row.Name, "settings"},
				"",
			})
		}
	}
	return requests
}
