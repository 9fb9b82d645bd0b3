package anvil

import (
	"slices"
	"strings"
)

// Response is how a question to AnVIL was answered. What a status means is for
// the audits to say: a 404 says "missing" of an account, but nothing at all of
// a list.
type Response struct {
	// Status is the HTTP status; zero when there was no answer.
	Status int `json:"status,omitempty"`
	// Message is the message in the body of an error; empty if it had none.
	Message string `json:"message,omitempty"`
	// Unknown says why there is nothing to go by: no answer came, or it could
	// not be read. Empty when the answer can be used.
	Unknown string `json:"unknown,omitempty"`
}

// Reading is what became of asking AnVIL one thing.
type Reading[T any] struct {
	Response
	// Value is what a status of 200 brought.
	Value T `json:"value,omitzero"`
}

// Found tells whether the answer was a readable 200.
func (r Response) Found() bool { return r.Status == 200 && r.Unknown == "" }

// GroupRow is one row of Sam's list of the groups that the service account is
// in: a group with two roles has two rows. Roles held through other groups
// count, too.
type GroupRow struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Role  string `json:"role"`
}

// AccountInfo is what Sam says of an address.
type AccountInfo struct {
	SubjectID string `json:"subject_id,omitempty"`
	Email     string `json:"email,omitempty"`
	// Registered is false for people who were invited and never signed in.
	Registered bool `json:"registered,omitempty"`
	// Disabled: the answer says so. Sam's own documents promise no such field;
	// where one tells, it counts.
	Disabled bool `json:"disabled,omitempty"`
}

// BillingInfo is what Rawls says of a billing project.
type BillingInfo struct {
	Name                  string   `json:"name,omitempty"`
	Roles                 []string `json:"roles,omitempty"`
	InvalidBillingAccount bool     `json:"invalid_billing_account,omitempty"`
}

// WorkspaceRow is one entry of Rawls' list of workspaces.
type WorkspaceRow struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// AccessLevel is the service account's highest: OWNER, PROJECT_OWNER,
	// WRITER, READER or "NO ACCESS". Others are kept.
	AccessLevel string `json:"access_level"`
	IsLocked    bool   `json:"is_locked"`
	// AuthorizationDomains are names of groups.
	AuthorizationDomains []string `json:"authorization_domains"`
}

// Key is how the workspace is called in results: billing-project/name.
func (w WorkspaceRow) Key() string { return w.Namespace + "/" + w.Name }

// AccessEntry is what one address may do in a workspace, from its access list.
type AccessEntry struct {
	AccessLevel string `json:"access_level"`
	CanShare    bool   `json:"can_share"`
	CanCompute  bool   `json:"can_compute"`
	// Pending: the address was invited and has not registered.
	Pending bool `json:"pending,omitempty"`
}

// Settings is what is kept of a workspace's settings.
type Settings struct {
	RequesterPays bool `json:"requester_pays"`
}

// Observed is everything that AnVIL answered, one reading for each thing that
// was asked. A thing that is in no map was never asked.
type Observed struct {
	// BillingProjects by name.
	BillingProjects map[string]Reading[BillingInfo]
	// Accounts by address in lower case.
	Accounts map[string]Reading[AccountInfo]
	// GroupList is the list of the service account's groups.
	GroupList Reading[[]GroupRow]
	// Groups, GroupMembers and GroupAdmins by name: the address of a group, and
	// the addresses in it as AnVIL spells them.
	Groups       map[string]Reading[string]
	GroupMembers map[string]Reading[[]string]
	GroupAdmins  map[string]Reading[[]string]
	// WorkspaceList is the list of workspaces that the service account can see.
	WorkspaceList Reading[[]WorkspaceRow]
	// AccessLists and Settings by billing-project/name. The entries of an access
	// list are by address in lower case.
	AccessLists map[string]Reading[map[string]AccessEntry]
	Settings    map[string]Reading[Settings]
}

// NewObserved is an observation of nothing.
func NewObserved() *Observed {
	return &Observed{
		BillingProjects: map[string]Reading[BillingInfo]{},
		Accounts:        map[string]Reading[AccountInfo]{},
		Groups:          map[string]Reading[string]{},
		GroupMembers:    map[string]Reading[[]string]{},
		GroupAdmins:     map[string]Reading[[]string]{},
		AccessLists:     map[string]Reading[map[string]AccessEntry]{},
		Settings:        map[string]Reading[Settings]{},
	}
}

// groupRoles is the list of groups as a map: the roles, in lower case, by name.
// The names come in the order of the list.
func groupRoles(rows []GroupRow) (names []string, roles map[string][]string) {
	roles = make(map[string][]string, len(rows))
	for _, row := range rows {
		if _, again := roles[row.Name]; !again {
			names = append(names, row.Name)
		}
		roles[row.Name] = append(roles[row.Name], strings.ToLower(row.Role))
	}
	return names, roles
}

func isAdmin(roles []string) bool { return slices.Contains(roles, "admin") }
