package anvil

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// Answer is one answer of one of the services, with the request it belongs to.
type Answer struct {
	Service string `json:"service"`
	Method  string `json:"method"`
	// Path and Query are decoded.
	Path   string `json:"path"`
	Query  string `json:"query"`
	Status int    `json:"status"`
	// Body is JSON; null for an empty body.
	Body json.RawMessage `json:"body"`
}

// Services by the names they have in answers.
const (
	sam   = "sam"
	rawls = "rawls"
)

// WorkspaceFields is the query that a sweep sends for the list of workspaces.
const WorkspaceFields = "fields=workspace.namespace,workspace.name,workspace.authorizationDomain,workspace.isLocked,accessLevel"

// reply is the status and the body of an answer; a nil body is empty.
type reply struct {
	status int
	body   any
}

func report(service string, status int, message string) reply {
	return reply{status, map[string]any{
		"source": service, "message": message, "statusCode": status, "causes": []any{}, "stackTrace": []any{},
	}}
}

// call is one of the requests that the services know, with its parameters.
type call struct {
	route   string
	service string
	args    []string
}

// Routes by their names in ledgers and faults.
const (
	routeBillingProject = "billing-project"
	routeUser           = "user"
	routeGroups         = "groups"
	routeGroup          = "group"
	routeMembers        = "group-members"
	routeAdmins         = "group-admins"
	routeWorkspaces     = "workspaces"
	routeACL            = "workspace-acl"
	routeSettings       = "workspace-settings"
)

// callOf finds the call of a decoded path, segment by segment.
func callOf(segments []string) (call, bool) {
	if len(segments) < 2 || segments[0] != "api" || slices.Contains(segments, "") {
		return call{}, false
	}
	switch s := segments[1:]; {
	case len(s) == 1 && s[0] == "workspaces":
		return call{routeWorkspaces, rawls, nil}, true
	case len(s) == 3 && s[0] == "billing" && s[1] == "v2":
		return call{routeBillingProject, rawls, s[2:]}, true
	case len(s) == 3 && s[0] == "users" && s[1] == "v1":
		return call{routeUser, sam, s[2:]}, true
	case len(s) == 2 && s[0] == "groups" && s[1] == "v1":
		return call{routeGroups, sam, nil}, true
	case len(s) == 3 && s[0] == "groups" && s[1] == "v1":
		return call{routeGroup, sam, s[2:]}, true
	case len(s) == 4 && s[0] == "groups" && s[1] == "v1" && s[3] == "member":
		return call{routeMembers, sam, s[2:3]}, true
	case len(s) == 4 && s[0] == "groups" && s[1] == "v1" && s[3] == "admin":
		return call{routeAdmins, sam, s[2:3]}, true
	case len(s) == 5 && s[0] == "workspaces" && s[1] == "v2" && s[4] == "settings":
		return call{routeSettings, rawls, s[2:4]}, true
	case len(s) == 4 && s[0] == "workspaces" && s[3] == "acl":
		return call{routeACL, rawls, s[1:3]}, true
	}
	return call{}, false
}

// reply answers a call at a time of the world.
func (w *world) reply(c call, query string, at time.Time) reply {
	switch c.route {
	case routeBillingProject:
		return w.billingProject(c.args[0], at)
	case routeUser:
		return w.user(c.args[0], at)
	case routeGroups:
		return w.listGroups(at)
	case routeGroup:
		if g, ok := w.groupByName[c.args[0]]; ok && w.groups[g].exists {
			return reply{http.StatusOK, w.groups[g].email}
		}
		return report(sam, http.StatusNotFound, "group not found")
	case routeMembers:
		return w.policy(c.args[0], roleMember, at)
	case routeAdmins:
		return w.policy(c.args[0], roleAdmin, at)
	case routeWorkspaces:
		return w.listWorkspaces(query, at)
	case routeACL:
		return w.acl(c.args[0]+"/"+c.args[1], at)
	default:
		return w.settings(c.args[0]+"/"+c.args[1], at)
	}
}

func (w *world) billingProject(name string, at time.Time) reply {
	i, ok := w.projectByName[name]
	if !ok || !w.billedAt(i, at) {
		return report(rawls, http.StatusNotFound, "billing project not available")
	}
	return reply{http.StatusOK, map[string]any{
		"projectName": name, "invalidBillingAccount": false, "roles": []string{"User"}, "status": "Ready", "cloudPlatform": "GCP",
	}}
}

func (w *world) user(email string, at time.Time) reply {
	email = strings.ToLower(email)
	if g, ok := w.groupByEmail[email]; ok && w.groups[g].exists {
		return reply{http.StatusNoContent, nil}
	}
	n, ok := w.accountByEmail[email]
	if !ok || w.accountAt(n, at) == accountMissing {
		return report(sam, http.StatusNotFound, "user not found")
	}
	d := dice.New(w.seed, drawAccount, uint64(n), 1)
	user := map[string]any{"userSubjectId": fmt.Sprintf("%021d", d.Uint64()), "userEmail": w.accounts[n].stored}
	if w.accountAt(n, at) == accountRegistered {
		user["googleSubjectId"] = fmt.Sprintf("1%020d", d.Uint64())
	}
	return reply{http.StatusOK, user}
}

// listGroups has one row for each role that the app holds.
func (w *world) listGroups(at time.Time) reply {
	type row struct {
		Name  string `json:"groupName"`
		Role  string `json:"role"`
		Email string `json:"groupEmail"`
	}
	rows := []row{}
	for g, held := range w.appRoles(at) {
		if held.admin {
			rows = append(rows, row{w.groups[g].name, "admin", w.groups[g].email})
		}
		if held.member {
			rows = append(rows, row{w.groups[g].name, "member", w.groups[g].email})
		}
	}
	return reply{http.StatusOK, rows}
}

// policy lists the direct members or admins of a group; only its admins may
// see them.
func (w *world) policy(name, role string, at time.Time) reply {
	g, ok := w.groupByName[name]
	if !ok || !w.groups[g].exists {
		return report(sam, http.StatusNotFound, "group not found")
	}
	held := w.appRoles(at)[g]
	switch {
	case !held.any():
		return report(sam, http.StatusNotFound, "group not found")
	case !held.admin:
		return report(sam, http.StatusForbidden, "not an admin")
	}
	emails := []string{}
	if w.appRoleAt(g, at) == role {
		emails = append(emails, w.app)
	}
	if role == roleMember && w.strayAt(g, at) {
		emails = append(emails, strayAddress(g))
	}
	for n, m := range w.groups[g].members {
		if w.presentAt(m, at) && w.roleAt(g, n, at) == role {
			emails = append(emails, w.storedAddress(m))
		}
	}
	return reply{http.StatusOK, emails}
}

// appLevel is the level of the app as the list of workspaces shows it: nothing
// can be done without being in all groups of the authorization domain.
func (w *world) appLevel(n int, held []roles, at time.Time) string {
	ws := &w.workspaces[n]
	if !w.openAt(n, at) {
		return ""
	}
	for _, g := range w.domainsAt(n, at) {
		if !held[g].any() {
			return levelNoAccess
		}
	}
	return ws.level
}

func (w *world) listWorkspaces(query string, at time.Time) reply {
	values, _ := url.ParseQuery(query)
	fields := map[string]bool{}
	for f := range strings.SplitSeq(values.Get("fields"), ",") {
		fields[f] = true
	}
	all := !values.Has("fields")
	held := w.appRoles(at)
	rows := []map[string]any{}
	for n := range w.workspaces {
		level := w.appLevel(n, held, at)
		if level == "" {
			continue
		}
		row, details := map[string]any{}, map[string]any{}
		for name, value := range w.workspaceDetails(n, at) {
			if all || fields["workspace."+name] || fields["workspace"] {
				details[name] = value
			}
		}
		if len(details) > 0 {
			row["workspace"] = details
		}
		top := map[string]any{"accessLevel": level, "public": false, "canShare": level == levelOwner, "canCompute": level == levelOwner, "policies": []any{}}
		for name, value := range top {
			if all || fields[name] {
				row[name] = value
			}
		}
		rows = append(rows, row)
	}
	return reply{http.StatusOK, rows}
}

func (w *world) workspaceDetails(n int, at time.Time) map[string]any {
	ws := &w.workspaces[n]
	domains := []map[string]string{}
	for _, g := range w.domainsAt(n, at) {
		domains = append(domains, map[string]string{"membersGroupName": w.groups[g].name})
	}
	d := dice.New(w.seed, drawWorkspace, uint64(n), 1)
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(d.Uint64()), d.Uint64()>>16)
	return map[string]any{
		"namespace": ws.project, "name": ws.name, "authorizationDomain": domains, "isLocked": w.lockedAt(n, at),
		"attributes": map[string]any{}, "bucketName": "fc-" + id, "createdBy": w.app, "createdDate": "2024-02-29T08:00:00.000Z",
		"lastModified": "2025-06-30T23:59:59.999Z", "workspaceId": id, "googleProject": "terra-" + id[:8], "workspaceVersion": "v2",
		"state": "Ready",
	}
}

func (w *world) acl(key string, at time.Time) reply {
	n, ok := w.workspaceByKey[key]
	if !ok || !w.openAt(n, at) {
		return report(rawls, http.StatusNotFound, "acl not available")
	}
	ws := &w.workspaces[n]
	if ws.level != levelOwner {
		return report(rawls, http.StatusForbidden, "acl not available")
	}
	entry := func(level string, canShare, canCompute, pending bool) map[string]any {
		return map[string]any{"accessLevel": level, "pending": pending, "canShare": canShare, "canCompute": canCompute}
	}
	entries := map[string]any{w.app: entry(levelOwner, true, true, false)}
	for i, s := range ws.shares {
		level := w.levelAt(n, i, at)
		if level == "" {
			continue
		}
		address, pending := s.stray, s.group < 0
		if s.group >= 0 {
			if !w.groups[s.group].exists {
				continue
			}
			address = w.groups[s.group].email
		}
		compute, canShare := s.compute, s.canShare
		if level != s.level {
			compute, canShare = compute && level != levelReader, canShare && level != levelReader
		}
		entries[address] = entry(level, canShare, compute, pending)
	}
	if w.guestAt(n, at) {
		entries[guestAddress(n)] = entry(levelReader, false, false, true)
	}
	return reply{http.StatusOK, map[string]any{"acl": entries}}
}

func (w *world) settings(key string, at time.Time) reply {
	n, ok := w.workspaceByKey[key]
	if !ok || !w.openAt(n, at) {
		return report(rawls, http.StatusNotFound, "workspace not available")
	}
	all := []map[string]any{}
	if w.paysAt(n, at) {
		all = append(all, map[string]any{"settingType": "GcpBucketRequesterPays", "config": map[string]any{"enabled": true}})
	}
	if n%3 == 0 {
		all = append(all, map[string]any{"settingType": "GcpBucketSoftDelete", "config": map[string]any{"retentionDurationInSeconds": 604800}})
	}
	return reply{http.StatusOK, all}
}

// answersFor are the answers to every request that an audit of a declaration
// can need at a time of the world.
func (w *world) answersFor(d Declared, at time.Time) []Answer {
	var all []Answer
	ask := func(query string, segments ...string) {
		c, _ := callOf(append([]string{"api"}, segments...))
		r := w.reply(c, query, at)
		body, err := json.Marshal(r.body)
		if err != nil {
			panic("BUG: an answer of the simulated world cannot be encoded: " + err.Error())
		}
		all = append(all, Answer{c.service, http.MethodGet, "/api/" + strings.Join(segments, "/"), query, r.status, body})
	}
	for _, p := range d.BillingProjects {
		if p.HasAppAsUser {
			ask("", "billing", "v2", p.Name)
		}
	}
	for _, a := range d.Accounts {
		if a.Status == "active" {
			ask("", "users", "v1", a.Email)
		}
	}
	ask("", "groups", "v1")
	for _, g := range d.ManagedGroups {
		ask("", "groups", "v1", g.Name)
		if g.IsManagedByApp {
			ask("", "groups", "v1", g.Name, "member")
			ask("", "groups", "v1", g.Name, "admin")
		}
	}
	ask(WorkspaceFields, "workspaces")
	for _, ws := range d.Workspaces {
		ask("", "workspaces", ws.BillingProject, ws.Name, "acl")
		ask("", "workspaces", "v2", ws.BillingProject, ws.Name, "settings")
	}
	for i := range w.workspaces {
		if ws := &w.workspaces[i]; !ws.declared && ws.exists {
			ask("", "workspaces", ws.project, ws.name, "acl")
		}
	}
	return all
}
