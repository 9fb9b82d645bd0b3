package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// RoleDefinition says who defines which role.
type RoleDefinition struct {
	Actor string
	// Role replaces the one of its name, if there is one.
	Role access.Role
	// ExpectedVersion is the version of all roles that the sender has seen; nil expects
	// nothing.
	ExpectedVersion *int64
}

// RoleRemoval says who removes which role, and why.
type RoleRemoval struct {
	Actor, Name, Reason string
	ExpectedVersion     *int64
}

// Role is a named group of permissions.
type Role struct {
	RoleID      uuid.UUID `json:"role_id" doc:"A role that is removed and defined again is another one."`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Permissions []string  `json:"permissions" nullable:"false"`
	States      []string  `json:"states" nullable:"false" doc:"The states whose users all hold it."`
	Groups      []string  `json:"compliance_groups" nullable:"false" doc:"The compliance groups whose members all hold it."`
	Sections    []string  `json:"sections" nullable:"false" doc:"The only sections of others' characters that it opens; empty for all."`
	Granted     int64     `json:"granted" doc:"How many users it was granted."`
	Holders     int64     `json:"holders" doc:"How many users hold it, also through their states and compliance groups."`
	DefinedAt   time.Time `json:"defined_at"`
	DefinedBy   string    `json:"defined_by"`
	Traced
}

// NewRole is what a role is to be.
type NewRole struct {
	Description string   `json:"description,omitempty" maxLength:"2000"`
	Permissions []string `json:"permissions" maxItems:"100" nullable:"false"`
	States      []string `json:"states,omitempty" maxItems:"100" doc:"The states whose users all hold it."`
	Groups      []string `json:"compliance_groups,omitempty" maxItems:"100" doc:"The compliance groups whose members all hold it; each must be defined already." example:"[\"Registered\"]"`
	Sections    []string `json:"sections,omitempty" maxItems:"100" doc:"The only sections of others' characters that it is to open; all if it is left out. That has to be switched on by MUSTER_SECTION_PERMISSIONS."`
}

type roleInput struct {
	Conditional
	ProvenanceInput

	Name string `path:"name" maxLength:"100" doc:"The role's name, in any case."`
}

type defineRoleInput struct {
	Expecting

	Name string `path:"name" maxLength:"100" doc:"The role's name, in any case."`
	Body NewRole
}

type removeRoleInput struct {
	Expecting

	Name   string `path:"name" maxLength:"100" doc:"The role's name, in any case."`
	Reason string `query:"reason" maxLength:"2000" doc:"Why; it is kept in the log."`
}

func (s *Server) registerRoles() {
	tags := []string{tagUsers}
	const all, one = "/v1/roles", "/v1/roles/{name}"
	register(s, access.ActionReadUsers, asTable(huma.Operation{OperationID: "list-roles", Path: all, Tags: tags, Summary: "Roles by name"}), s.listRoles)
	register(s, access.ActionReadUsers, notModified(huma.Operation{
		OperationID: "get-role", Path: one, Tags: tags, Summary: "A role", Errors: []int{http.StatusNotFound},
	}), s.getRole)
	change := func(method, id, summary, description string) huma.Operation {
		return accepted(huma.Operation{
			Method: method, OperationID: id, Path: one, Tags: tags, Summary: summary, Description: description,
			Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
		})
	}
	register(s, access.ActionManageUsers, change(http.MethodPut, "define-role", "Define a role, or give it another definition",
		"Who holds it has what it gives from now on."), s.defineRole)
	register(s, access.ActionManageUsers, change(http.MethodDelete, "remove-role", "Remove a role",
		"Nobody holds it any more, also if a role of the name is defined again."), s.removeRole)
}

func cursorOfRole(r postgres.Role) namedCursor { return namedCursor{strings.ToLower(r.Name), r.ID} }

type rolesInput struct {
	PageInput
	ProvenanceInput
}

func (s *Server) listRoles(ctx context.Context, in *rolesInput) (*pageOutput[Role], error) {
	found, err := s.config.Users.Roles(ctx)
	if err != nil {
		return nil, err
	}
	const list = "roles"
	page, err := partOf(in.PageInput, list, found, cursorOfRole)
	if err != nil {
		return nil, err
	}
	shown, err := pageOf(in.PageInput, list, page, showRole, cursorOfRole)
	return tracePage(ctx, s, in.ProvenanceInput, shown, err)
}

func showRole(r postgres.Role) Role {
	return Role{
		RoleID: r.ID, Name: r.Name, Description: r.Description, Permissions: append([]string{}, r.Permissions...), States: append([]string{}, r.States...),
		Groups: append([]string{}, r.Groups...), Sections: append([]string{}, r.Sections...), Granted: r.Granted, Holders: r.Holders, DefinedAt: r.DefinedAt, DefinedBy: r.DefinedBy,
		Traced: tracedTo(r.Origin),
	}
}

func (s *Server) getRole(ctx context.Context, in *roleInput) (*single[Role], error) {
	found, err := s.config.Users.Roles(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if strings.EqualFold(r.Name, in.Name) {
			shown := showRole(r)
			if err := s.trace(ctx, in.ProvenanceInput, &shown.Traced); err != nil {
				return nil, err
			}
			return singleOf(in.Conditional, &shown)
		}
	}
	return nil, event.Errorf(event.CodeNotFound, "there is no role %q: it was never defined, or it was removed", in.Name)
}

func (s *Server) defineRole(ctx context.Context, in *defineRoleInput) (*roleDecided, error) {
	role := access.Role{Name: in.Name, Description: in.Body.Description, Permissions: in.Body.Permissions, States: in.Body.States, Groups: in.Body.Groups, Sections: in.Body.Sections}
	if err := s.limitable(role); err != nil {
		return nil, err
	}
	return decided(s.config.RoleKeeper.DefineRole(ctx, RoleDefinition{Actor: principalOf(ctx).ID, Role: role, ExpectedVersion: in.version()}))
}

// limitable tells whether a role may be limited to the sections that it names: nil if it
// may. Limits that were defined hold, whatever the setting is: to switch it off must not
// give anybody more.
func (s *Server) limitable(role access.Role) error {
	if len(role.Sections) > 0 && !s.config.SectionPermissions {
		return event.Errorf(event.CodeInvalid, "role %q: permissions by section are switched off: set MUSTER_SECTION_PERMISSIONS=true, or leave sections out", role.Name)
	}
	for _, name := range role.Sections {
		if _, known := eve.ShapeOf(eve.Section(name)); !known {
			return event.Errorf(event.CodeInvalid, "role %q: there is no section %q: see the sections of a character for their names", role.Name, name)
		}
	}
	return nil
}

func (s *Server) removeRole(ctx context.Context, in *removeRoleInput) (*roleDecided, error) {
	return decided(s.config.RoleKeeper.RemoveRole(ctx, RoleRemoval{Actor: principalOf(ctx).ID, Name: in.Name, Reason: in.Reason, ExpectedVersion: in.version()}))
}
