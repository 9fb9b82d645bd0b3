package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Users are users and roles as they are now; [postgres.CharacterReader] knows them.
type Users interface {
	Users(context.Context, postgres.UserFilter) ([]postgres.User, error)
	OwnedBy(ctx context.Context, user string) ([]postgres.OwnedCharacter, error)
	Roles(ctx context.Context) ([]postgres.Role, error)
}

// RoleKeeper decides on roles, on compliance groups and on users.
type RoleKeeper interface {
	DefineRole(context.Context, RoleDefinition) (RoleDecision, error)
	RemoveRole(context.Context, RoleRemoval) (RoleDecision, error)
	GrantRole(context.Context, RoleGrant) (RoleDecision, error)
	ChangeUser(context.Context, UserChange) (RoleDecision, error)
	DefineGroup(context.Context, GroupDefinition) (RoleDecision, error)
	RemoveGroup(context.Context, GroupRemoval) (RoleDecision, error)
}

// UserChange says who changes what of a user. What is nil stays.
type UserChange struct {
	Actor, UserID     string
	Active, Superuser *bool
	State             *string
	ExpectedVersion   *int64
}

// RoleGrant says who grants a role to whom, or revokes it.
type RoleGrant struct {
	Actor, UserID, Role string
	// Revoke takes the role away, Reason says why.
	Revoke bool
	Reason string
	// ExpectedVersion is the version of the user that the sender has seen; nil expects
	// nothing.
	ExpectedVersion *int64
}

// RoleDecision is what a decision on a role or a user came to.
type RoleDecision struct {
	Changed bool
	Version int64
	// Shown is false when the read model did not show the change in time: it will.
	Shown bool
}

// User is a user in a list.
type User struct {
	UserID                 string   `json:"user_id"`
	Name                   string   `json:"name"`
	Active                 bool     `json:"active"`
	Superuser              bool     `json:"superuser"`
	State                  string   `json:"state"`
	MainID                 *int64   `json:"main_id" doc:"null for none."`
	MainName               string   `json:"main_name,omitempty" doc:"If it is known."`
	MainCorporationID      int64    `json:"main_corporation_id" doc:"Where the main is, which decides whose scope the user is in; 0 for none."`
	MainAllianceID         *int64   `json:"main_alliance_id" doc:"null for none."`
	RegisteredCharacters   int64    `json:"registered_characters"`
	UnregisteredCharacters int64    `json:"unregistered_characters"`
	Roles                  []string `json:"roles" nullable:"false" doc:"Those that the user holds, also through his state or a compliance group."`
	Traced
}

// UserDetail is a user with what is his and what he may do.
type UserDetail struct {
	User

	HeldRoles   []HeldRole        `json:"held_roles" nullable:"false"`
	Permissions []HeldPermission  `json:"permissions" nullable:"false" doc:"What the user was given in all, by name. A superuser holds all permissions beside."`
	Actions     []PermittedAction `json:"actions" nullable:"false" doc:"What that lets the user do now."`
	Characters  []UserCharacter   `json:"characters" nullable:"false"`
	Groups      []HeldGroup       `json:"compliance_groups" nullable:"false" doc:"The compliance groups that the user is in, by name."`
}

// HeldGroup is a compliance group that a user is in.
type HeldGroup struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
}

// HeldRole is a role that a user holds.
type HeldRole struct {
	Name     string   `json:"name"`
	State    string   `json:"state,omitempty" doc:"The state through which the user holds it; absent if it was granted to him, or is held through a compliance group."`
	Group    string   `json:"compliance_group,omitempty" doc:"The compliance group through which the user holds it."`
	Sections []string `json:"sections,omitempty" doc:"The only sections of others' characters that it opens."`
}

// HeldPermission is a permission that a user was given.
type HeldPermission struct {
	Permission string   `json:"permission"`
	From       []string `json:"from" nullable:"false" doc:"Where it comes from: import, a role, or a role of the user's state or compliance group."`
	Sections   []string `json:"sections,omitempty" doc:"The only sections of others' characters for which it counts; absent for all."`
}

// PermittedAction is something that a user may do.
type PermittedAction struct {
	Action string `json:"action"`
	Reach  string `json:"reach" enum:"own,seen,all" doc:"own: with the user's own characters. seen: with what the user may see. all: with everything."`
}

// UserCharacter is a character that a user owns.
type UserCharacter struct {
	CharacterID   int64  `json:"character_id"`
	Name          string `json:"name"`
	CorporationID int64  `json:"corporation_id" doc:"0 if it is not known."`
	AllianceID    *int64 `json:"alliance_id" doc:"null for none."`
	Main          bool   `json:"main"`
	Registered    bool   `json:"registered"`
	Shared        bool   `json:"shared"`
}

// RoleChange is what a decision on a role or a user came to.
type RoleChange struct {
	Changed bool  `json:"changed" doc:"false if it was so already."`
	Version int64 `json:"version" doc:"The number of the last decision: on all roles, or on the user."`
}

type usersInput struct {
	PageInput
	ProvenanceInput

	Name       string `query:"name" maxLength:"100" doc:"A part of the id, the name or the main's name, in any case."`
	State      string `query:"state" maxLength:"100"`
	Role       string `query:"role" maxLength:"100" doc:"Who holds this role."`
	Permission string `query:"permission" maxLength:"100" doc:"Who holds this permission, superusers among them."`
	Active     string `query:"active" enum:"true,false"`
	Superuser  string `query:"superuser" enum:"true,false"`
}

type userInput struct {
	Conditional
	ProvenanceInput

	ID string `path:"id" maxLength:"200" doc:"The user's id."`
}

type myselfInput struct {
	Conditional
}

type changeUserInput struct {
	Expecting

	ID   string `path:"id" maxLength:"200" doc:"The user's id."`
	Body UserPatch
}

// UserPatch is what is to be changed of a user; what is left out stays.
type UserPatch struct {
	Active    *bool   `json:"active,omitempty" doc:"false: the user may do nothing. What is his stays."`
	Superuser *bool   `json:"superuser,omitempty" doc:"true: the user holds every permission, and may administer."`
	State     *string `json:"state,omitempty" minLength:"1" maxLength:"100" doc:"Member, Blue, Guest or another."`
}

type grantInput struct {
	Expecting

	ID   string `path:"id" maxLength:"200" doc:"The user's id."`
	Name string `path:"name" maxLength:"100" doc:"The role's name."`
}

type revokeInput struct {
	Expecting

	ID     string `path:"id" maxLength:"200" doc:"The user's id."`
	Name   string `path:"name" maxLength:"100" doc:"The role's name."`
	Reason string `query:"reason" maxLength:"2000" doc:"Why; it is kept in the log."`
}

type roleDecided struct {
	Status int
	Body   *RoleChange
}

func (s *Server) registerUsers() {
	tags := []string{tagUsers}
	const users, one = "/v1/users", "/v1/users/{id}"
	decide := func(method, id, path, summary, description string) huma.Operation {
		return accepted(huma.Operation{
			Method: method, OperationID: id, Path: path, Tags: tags, Summary: summary, Description: description,
			Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
		})
	}
	register(s, access.ActionReadUsers, asTable(huma.Operation{OperationID: "list-users", Path: users, Tags: tags, Summary: "Users by their ids"}), s.listUsers)
	register(s, access.ActionReadUsers, notModified(huma.Operation{
		OperationID: "get-user", Path: one, Tags: tags, Summary: "A user: characters, roles, and what he may do and why", Errors: []int{http.StatusNotFound},
	}), s.getUser)
	register(s, access.ActionReadSelf, notModified(huma.Operation{
		OperationID: "get-myself", Path: "/v1/me/user", Tags: []string{tagAccess}, Summary: "You as a user: characters, roles, compliance groups, and what you may do and why",
		Description: "What administrators see of a user, for the user himself. Programs have nothing of it: 403.", Errors: []int{http.StatusNotFound},
	}), s.getMyself)
	register(s, access.ActionManageUsers, decide(http.MethodPatch, "change-user", one, "Activate or deactivate a user, make him a superuser, or move him to another state",
		"An organisation that is imported later and says something else undoes it."), s.changeUser)
	register(s, access.ActionManageUsers, decide(http.MethodPut, "grant-role", one+"/roles/{name}", "Grant a role to a user", ""), s.grantRole)
	register(s, access.ActionManageUsers, decide(http.MethodDelete, "revoke-role", one+"/roles/{name}", "Revoke a role that a user was granted",
		"He holds it still if his state or a compliance group of his does."), s.revokeRole)
	s.registerRoles()
}

func flagOf(text string) *bool {
	if text == "" {
		return nil
	}
	return new(text == "true")
}

type userCursor struct {
	ID string `json:"u"`
}

func (s *Server) listUsers(ctx context.Context, in *usersInput) (*pageOutput[User], error) {
	const list = "users"
	after, err := cursorOf[userCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	if in.Permission != "" && !slices.Contains(access.Permissions(), access.Permission(in.Permission)) {
		return nil, event.Errorf(event.CodeInvalid, "there is no permission %q", in.Permission)
	}
	filter := postgres.UserFilter{
		Name: in.Name, State: in.State, Role: in.Role, Permission: access.Permission(in.Permission), Active: flagOf(in.Active), Superuser: flagOf(in.Superuser), Limit: in.Limit + 1,
	}
	if after != nil {
		filter.After = after.ID
	}
	found, err := s.config.Users.Users(ctx, filter)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, found, showUser, func(u postgres.User) userCursor { return userCursor{u.UserID} })
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func showUser(u postgres.User) User {
	shown := User{
		UserID: u.UserID, Name: u.Name, Active: u.Active, Superuser: u.Superuser, State: u.State,
		RegisteredCharacters: u.Registered, UnregisteredCharacters: u.Unregistered, Roles: []string{},
		Traced: tracedTo(u.Origin),
	}
	if u.Main != nil {
		shown.MainID, shown.MainName, shown.MainCorporationID, shown.MainAllianceID = &u.Main.CharacterID, u.Main.Name, u.Main.CorporationID, optional(u.Main.AllianceID)
	}
	for _, h := range u.Holdings {
		if !slices.Contains(shown.Roles, h.Name) {
			shown.Roles = append(shown.Roles, h.Name)
		}
	}
	return shown
}

func (s *Server) getUser(ctx context.Context, in *userInput) (*single[UserDetail], error) {
	detail, err := s.userDetail(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.trace(ctx, in.ProvenanceInput, &detail.Traced); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, detail)
}

// getMyself shows a user himself.
func (s *Server) getMyself(ctx context.Context, in *myselfInput) (*single[UserDetail], error) {
	id := principalOf(ctx).UserID
	if id == "" {
		return nil, event.Errorf(event.CodeForbidden, "a program may not do this: only users have characters and roles")
	}
	detail, err := s.userDetail(ctx, id)
	if err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, detail)
}

// userDetail is a user with what is his. It fails with [event.CodeNotFound] for one that is
// not there.
func (s *Server) userDetail(ctx context.Context, id string) (*UserDetail, error) {
	found, err := s.config.Users.Users(ctx, postgres.UserFilter{ID: id, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, postgres.NoUser(id)
	}
	u := found[0]
	owned, err := s.config.Users.OwnedBy(ctx, u.UserID)
	if err != nil {
		return nil, err
	}
	groups, err := s.config.Compliance.GroupsOf(ctx, u.UserID)
	if err != nil {
		return nil, err
	}
	detail := &UserDetail{
		User: showUser(u), HeldRoles: []HeldRole{}, Permissions: []HeldPermission{}, Actions: []PermittedAction{}, Characters: []UserCharacter{}, Groups: []HeldGroup{},
	}
	for _, g := range groups {
		detail.Groups = append(detail.Groups, HeldGroup{g.Name, g.Since})
	}
	for _, h := range u.Holdings {
		detail.HeldRoles = append(detail.HeldRoles, HeldRole{Name: h.Name, State: h.State, Group: h.Group, Sections: h.Sections})
	}
	for _, p := range u.Sources() {
		detail.Permissions = append(detail.Permissions, HeldPermission{Permission: p.Permission, From: p.From, Sections: p.Sections})
	}
	grants := u.Grants()
	for _, a := range access.ActionsOf(grants) {
		detail.Actions = append(detail.Actions, PermittedAction{string(a), reachWords(access.ReachOf(grants, a))})
	}
	for _, c := range owned {
		detail.Characters = append(detail.Characters, UserCharacter{
			CharacterID: c.CharacterID, Name: c.Name, CorporationID: c.CorporationID, AllianceID: optional(c.AllianceID),
			Main: u.Main != nil && u.Main.CharacterID == c.CharacterID, Registered: c.Registered, Shared: c.Shared,
		})
	}
	return detail, nil
}

func reachWords(r access.Reach) string {
	switch r {
	case access.ReachOwn:
		return "own"
	case access.ReachSeen:
		return "seen"
	case access.ReachAll:
		return "all"
	case access.ReachNone:
		return "none"
	default:
		return strconv.Itoa(int(r))
	}
}

func (s *Server) changeUser(ctx context.Context, in *changeUserInput) (*roleDecided, error) {
	return decided(s.config.RoleKeeper.ChangeUser(ctx, UserChange{
		Actor: principalOf(ctx).ID, UserID: in.ID, Active: in.Body.Active, Superuser: in.Body.Superuser, State: in.Body.State, ExpectedVersion: in.version(),
	}))
}

func (s *Server) grantRole(ctx context.Context, in *grantInput) (*roleDecided, error) {
	return decided(s.config.RoleKeeper.GrantRole(ctx, RoleGrant{Actor: principalOf(ctx).ID, UserID: in.ID, Role: in.Name, ExpectedVersion: in.version()}))
}

func (s *Server) revokeRole(ctx context.Context, in *revokeInput) (*roleDecided, error) {
	return decided(s.config.RoleKeeper.GrantRole(ctx, RoleGrant{
		Actor: principalOf(ctx).ID, UserID: in.ID, Role: in.Name, Revoke: true, Reason: in.Reason, ExpectedVersion: in.version(),
	}))
}

func decided(d RoleDecision, err error) (*roleDecided, error) {
	if err != nil {
		return nil, err
	}
	return &roleDecided{Status: shownStatus(d.Shown), Body: &RoleChange{Changed: d.Changed, Version: d.Version}}, nil
}
