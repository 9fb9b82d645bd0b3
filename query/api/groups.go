package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/postgres"
)

// GroupDefinition says who defines which compliance group.
type GroupDefinition struct {
	Actor string
	// Group replaces the one of its name, if there is one.
	Group access.ComplianceGroup
	// ExpectedVersion is the version of all roles and groups that the sender has seen; nil
	// expects nothing.
	ExpectedVersion *int64
}

// GroupRemoval says who removes which compliance group, and why.
type GroupRemoval struct {
	Actor, Name, Reason string
	ExpectedVersion     *int64
}

// ComplianceGroup is a group of the users who have registered all their characters.
type ComplianceGroup struct {
	GroupID     uuid.UUID `json:"group_id" doc:"A group that is removed and defined again is another one."`
	Name        string    `json:"name" example:"Registered"`
	Description string    `json:"description"`
	States      []string  `json:"states" nullable:"false" doc:"The only states whose users are let in; empty for all." example:"[\"Member\"]"`
	Members     int64     `json:"members" doc:"How many users are in it, of those whom the caller's reports may show."`
	DefinedAt   time.Time `json:"defined_at"`
	DefinedBy   string    `json:"defined_by"`
	Traced
}

// NewComplianceGroup is what a compliance group is to be.
type NewComplianceGroup struct {
	Description string   `json:"description,omitempty" maxLength:"2000" example:"All characters are registered."`
	States      []string `json:"states,omitempty" maxItems:"100" doc:"The only states whose users are let in; all if it is left out." example:"[\"Member\"]"`
}

// ComplianceGroupMember is a user who is in a compliance group.
type ComplianceGroupMember struct {
	User            string    `json:"user" example:"ada"`
	Name            string    `json:"name"`
	State           string    `json:"state" example:"Member"`
	Main            *int64    `json:"main" doc:"null for none: a compliance group does not ask for one."`
	MainName        string    `json:"main_name,omitempty"`
	CorporationID   *int64    `json:"corporation_id" doc:"The main's; null if it is not known."`
	CorporationName string    `json:"corporation_name,omitempty"`
	AllianceID      *int64    `json:"alliance_id" doc:"The main's; null for none."`
	AllianceName    string    `json:"alliance_name,omitempty"`
	Since           time.Time `json:"since" doc:"When the user came into it."`
	Traced
}

type groupInput struct {
	Conditional
	ProvenanceInput

	Name string `path:"name" maxLength:"100" doc:"The group's name, in any case." example:"Registered"`
}

type defineGroupInput struct {
	Expecting

	Name string `path:"name" maxLength:"100" doc:"The group's name, in any case." example:"Registered"`
	Body NewComplianceGroup
}

type removeGroupInput struct {
	Expecting

	Name   string `path:"name" maxLength:"100" doc:"The group's name, in any case." example:"Registered"`
	Reason string `query:"reason" maxLength:"2000" doc:"Why; it is kept in the log."`
}

type groupsInput struct {
	PageInput
	ProvenanceInput
}

type groupMembersInput struct {
	PageInput
	ProvenanceInput

	Name          string `path:"name" maxLength:"100" doc:"The group's name, in any case." example:"Registered"`
	State         string `query:"state" maxLength:"100" doc:"Only users in this state, such as Member."`
	CorporationID int64  `query:"corporation_id" minimum:"1" doc:"Where the main is."`
	AllianceID    int64  `query:"alliance_id" minimum:"1" doc:"Where the main is."`
}

func (s *Server) registerComplianceGroups() {
	tags := []string{tagReports}
	const all, one = "/v1/compliance-groups", "/v1/compliance-groups/{name}"
	register(s, access.ActionReadReports, asTable(huma.Operation{
		OperationID: "list-compliance-groups", Path: all, Tags: tags, Summary: "Compliance groups by name",
		Description: "A user is in a group while he holds basic_access, owns characters that are all registered, and the group is open to his state.",
	}), s.listComplianceGroups)
	register(s, access.ActionReadReports, notModified(huma.Operation{
		OperationID: "get-compliance-group", Path: one, Tags: tags, Summary: "A compliance group", Errors: []int{http.StatusNotFound},
	}), s.getComplianceGroup)
	register(s, access.ActionReadReports, asTable(huma.Operation{
		OperationID: "list-compliance-group-members", Path: one + "/members", Tags: tags, Summary: "Who is in a compliance group", Errors: []int{http.StatusNotFound},
		Description: "Of the users that the caller's reports may show, in byte order of their ids.",
	}), s.listComplianceGroupMembers)
	change := func(method, id, summary, description string) huma.Operation {
		return accepted(huma.Operation{
			Method: method, OperationID: id, Path: one, Tags: tags, Summary: summary, Description: description,
			Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
		})
	}
	register(s, access.ActionManageUsers, change(http.MethodPut, "define-compliance-group", "Define a compliance group, or give it another definition",
		"Who should be in it is so a moment later, and who should not is so no more."), s.defineComplianceGroup)
	register(s, access.ActionManageUsers, change(http.MethodDelete, "remove-compliance-group", "Remove a compliance group",
		"Nobody is in it any more. That is refused while a role names it."), s.removeComplianceGroup)
}

func cursorOfComplianceGroup(g postgres.ComplianceGroup) namedCursor {
	return namedCursor{strings.ToLower(g.Name), g.ID}
}

func (s *Server) listComplianceGroups(ctx context.Context, in *groupsInput) (*pageOutput[ComplianceGroup], error) {
	found, err := s.config.Compliance.ComplianceGroups(ctx, audience(ctx))
	if err != nil {
		return nil, err
	}
	const list = "compliance-groups"
	page, err := partOf(in.PageInput, list, found, cursorOfComplianceGroup)
	if err != nil {
		return nil, err
	}
	shown, err := pageOf(in.PageInput, list, page, showComplianceGroup, cursorOfComplianceGroup)
	return tracePage(ctx, s, in.ProvenanceInput, shown, err)
}

func showComplianceGroup(g postgres.ComplianceGroup) ComplianceGroup {
	return ComplianceGroup{
		GroupID: g.ID, Name: g.Name, Description: g.Description, States: append([]string{}, g.States...), Members: g.Members, DefinedAt: g.DefinedAt, DefinedBy: g.DefinedBy,
		Traced: tracedTo(g.Origin),
	}
}

// groupNamed is the group of a name, in any case, as the caller may see it.
func (s *Server) groupNamed(ctx context.Context, name string) (postgres.ComplianceGroup, error) {
	found, err := s.config.Compliance.ComplianceGroups(ctx, audience(ctx))
	if err != nil {
		return postgres.ComplianceGroup{}, err
	}
	for _, g := range found {
		if strings.EqualFold(g.Name, name) {
			return g, nil
		}
	}
	return postgres.ComplianceGroup{}, access.NoGroup(name)
}

func (s *Server) getComplianceGroup(ctx context.Context, in *groupInput) (*single[ComplianceGroup], error) {
	g, err := s.groupNamed(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	shown := showComplianceGroup(g)
	if err := s.trace(ctx, in.ProvenanceInput, &shown.Traced); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, &shown)
}

func (s *Server) listComplianceGroupMembers(ctx context.Context, in *groupMembersInput) (*pageOutput[ComplianceGroupMember], error) {
	g, err := s.groupNamed(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	list := "compliance-group/" + g.ID.String()
	after, err := cursorOf[string](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	filter := postgres.GroupMemberFilter{GroupID: g.ID, Audience: audience(ctx), State: in.State, CorporationID: in.CorporationID, AllianceID: in.AllianceID, Limit: in.Limit + 1}
	if after != nil {
		filter.AfterUser = *after
	}
	found, err := s.config.Compliance.GroupMembers(ctx, filter)
	if err != nil {
		return nil, err
	}
	var wanted postgres.NameRequest
	for _, m := range found {
		if m.Main != nil {
			wanted.Entities = append(wanted.Entities, m.Main.CorporationID, m.Main.AllianceID)
		}
	}
	names, err := s.config.Characters.Names(ctx, wanted)
	if err != nil {
		return nil, err
	}
	shown, err := pageOf(in.PageInput, list, found, func(m postgres.GroupMember) ComplianceGroupMember {
		row := ComplianceGroupMember{User: m.UserID, Name: m.Name, State: m.State, Since: m.Since, Traced: tracedTo(m.Origin)}
		if m.Main != nil {
			row.Main, row.MainName = &m.Main.CharacterID, m.Main.Name
			row.CorporationID, row.CorporationName = optional(m.Main.CorporationID), names.Entities[m.Main.CorporationID]
			row.AllianceID, row.AllianceName = optional(m.Main.AllianceID), names.Entities[m.Main.AllianceID]
		}
		return row
	}, func(m postgres.GroupMember) string { return m.UserID })
	return tracePage(ctx, s, in.ProvenanceInput, shown, err)
}

func (s *Server) defineComplianceGroup(ctx context.Context, in *defineGroupInput) (*roleDecided, error) {
	return decided(s.config.RoleKeeper.DefineGroup(ctx, GroupDefinition{
		Actor: principalOf(ctx).ID, Group: access.ComplianceGroup{Name: in.Name, Description: in.Body.Description, States: in.Body.States}, ExpectedVersion: in.version(),
	}))
}

func (s *Server) removeComplianceGroup(ctx context.Context, in *removeGroupInput) (*roleDecided, error) {
	return decided(s.config.RoleKeeper.RemoveGroup(ctx, GroupRemoval{Actor: principalOf(ctx).ID, Name: in.Name, Reason: in.Reason, ExpectedVersion: in.version()}))
}
