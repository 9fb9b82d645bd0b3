package api

import (
	"context"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/postgres"
)

// Compliance knows how far users have registered their characters, and who is in which
// compliance group;
// [postgres.CharacterReader] does.
type Compliance interface {
	ComplianceOfUsers(context.Context, postgres.ComplianceFilter) ([]postgres.UserCompliance, error)
	ComplianceOfCorporations(context.Context, postgres.ComplianceFilter) ([]access.CorporationCompliance, error)
	ComplianceGroups(ctx context.Context, audience access.Audience) ([]postgres.ComplianceGroup, error)
	GroupMembers(context.Context, postgres.GroupMemberFilter) ([]postgres.GroupMember, error)
	GroupsOf(ctx context.Context, user string) ([]postgres.Membership, error)
}

// UserCompliance is how far one user has registered his characters. What Member Audit's
// report has is named as in [access.UserCompliance].
type UserCompliance struct {
	User            string             `json:"user"`
	Name            string             `json:"name"`
	State           string             `json:"state"`
	Main            *int64             `json:"main" doc:"null for none; such a user is not compliant."`
	MainName        string             `json:"main_name,omitempty"`
	CorporationID   *int64             `json:"corporation_id" doc:"The main's; null if it is not known."`
	CorporationName string             `json:"corporation_name,omitempty"`
	AllianceID      *int64             `json:"alliance_id" doc:"The main's; null for none."`
	AllianceName    string             `json:"alliance_name,omitempty"`
	Total           int                `json:"total" doc:"How many characters he owns."`
	Unregistered    int                `json:"unregistered" doc:"How many of them are not registered."`
	Registered      bool               `json:"registered" doc:"At least one is registered."`
	Compliant       bool               `json:"compliant" doc:"He has a main, and all are registered."`
	Reasons         []ComplianceReason `json:"reasons" nullable:"false" doc:"What there is to be put right."`
	Traced
}

// ComplianceReason is one thing to be put right.
type ComplianceReason struct {
	CharacterID   *int64     `json:"character_id,omitempty" doc:"Absent for what is not about a character."`
	CharacterName string     `json:"character_name,omitempty"`
	Fault         string     `json:"fault" enum:"no_main,never_registered,login_lost" doc:"login_lost: it was registered, and its login does not work any more; while it still is registered, that does not make its owner non-compliant."`
	Since         *time.Time `json:"since,omitempty" doc:"When it began, if that is known."`
}

// CorporationCompliance is how far the users whose mains are in a corporation have
// registered their characters, wherever those are.
type CorporationCompliance struct {
	CorporationID   int64  `json:"corporation_id"`
	CorporationName string `json:"corporation_name,omitempty"`
	Mains           int    `json:"mains" doc:"How many users have their main there."`
	Characters      int    `json:"characters" doc:"How many characters these users own."`
	Unregistered    int    `json:"unregistered" doc:"How many of them are not registered."`
	Percent         string `json:"percent_floor_2" doc:"The share that is registered, cut after two decimals: 249 of 250 is 99.60." example:"99.60"`
	Compliant       bool   `json:"compliant" doc:"All are registered."`
	Partly          bool   `json:"partly" doc:"Not all, but at least 85 % are registered."`
}

// ComplianceInput is what both reports take.
type ComplianceInput struct {
	PageInput

	State         string `query:"state" maxLength:"100" doc:"Only users in this state, such as Member. Guests are never considered."`
	CorporationID int64  `query:"corporation_id" minimum:"1" doc:"Where the main is."`
	AllianceID    int64  `query:"alliance_id" minimum:"1" doc:"Where the main is."`
	Compliant     string `query:"compliant" enum:"true,false"`
}

func (in ComplianceInput) filter(audience access.Audience) postgres.ComplianceFilter {
	return postgres.ComplianceFilter{
		Audience: audience, State: in.State, CorporationID: in.CorporationID, AllianceID: in.AllianceID, Compliant: yesNo(in.Compliant), Limit: in.Limit + 1,
	}
}

type userComplianceInput struct {
	ComplianceInput
	ProvenanceInput

	UserID     string `query:"user_id" maxLength:"200"`
	Registered string `query:"registered" enum:"true,false" doc:"Only users with a registered character, or only those without."`
}

type corporationComplianceInput struct {
	ComplianceInput

	Partly string `query:"partly" enum:"true,false"`
}

// yesNo is a filter that is not set unless it is said.
func yesNo(text string) *bool {
	yes, err := strconv.ParseBool(text)
	if err != nil {
		return nil
	}
	return &yes
}

func (s *Server) registerCompliance() {
	tags := []string{tagReports}
	register(s, access.ActionReadReports, asTable(huma.Operation{
		OperationID: "report-compliance-of-users", Path: "/v1/reports/compliance/users", Tags: tags, Summary: "How far users have registered their characters, and what there is to be put right",
		Description: "Of the users that the caller's reports may show, without guests, in byte order of their ids.",
	}), s.reportComplianceOfUsers)
	register(s, access.ActionReadReports, asTable(huma.Operation{
		OperationID: "report-compliance-of-corporations", Path: "/v1/reports/compliance/corporations", Tags: tags, Summary: "How far the users whose mains are in a corporation have registered their characters",
		Description: "Of the users that the caller's reports may show, without guests, by ascending id of the corporation.",
	}), s.reportComplianceOfCorporations)
}

// audience is whom reports may show to the caller. A program's bounds are its actions.
func audience(ctx context.Context) access.Audience {
	if v := viewerOf(ctx); v != nil {
		return v.Audience()
	}
	return access.Audience{Everybody: true}
}

func (s *Server) reportComplianceOfUsers(ctx context.Context, in *userComplianceInput) (*pageOutput[UserCompliance], error) {
	const list = "compliance/users"
	after, err := cursorOf[string](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	filter := in.filter(audience(ctx))
	filter.UserID, filter.Registered = in.UserID, yesNo(in.Registered)
	if after != nil {
		filter.AfterUser = *after
	}
	found, err := s.config.Compliance.ComplianceOfUsers(ctx, filter)
	if err != nil {
		return nil, err
	}
	var wanted postgres.NameRequest
	for _, u := range found {
		wanted.Entities = append(wanted.Entities, u.Home.CorporationID, u.Home.AllianceID)
	}
	names, err := s.config.Characters.Names(ctx, wanted)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, found, func(u postgres.UserCompliance) UserCompliance {
		row := UserCompliance{
			User: u.User, Name: u.Name, State: u.State, Main: u.Main, MainName: u.MainName,
			CorporationID: optional(u.Home.CorporationID), CorporationName: names.Entities[u.Home.CorporationID],
			AllianceID: optional(u.Home.AllianceID), AllianceName: names.Entities[u.Home.AllianceID],
			Total: u.Total, Unregistered: u.Unregistered, Registered: u.Registered, Compliant: u.Compliant, Reasons: []ComplianceReason{},
			Traced: tracedTo(u.Origin),
		}
		for _, why := range u.Why {
			row.Reasons = append(row.Reasons, ComplianceReason{CharacterID: optional(why.CharacterID), CharacterName: why.Name, Fault: string(why.Fault), Since: why.Since})
		}
		return row
	}, func(u postgres.UserCompliance) string { return u.User })
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func (s *Server) reportComplianceOfCorporations(ctx context.Context, in *corporationComplianceInput) (*pageOutput[CorporationCompliance], error) {
	const list = "compliance/corporations"
	after, err := cursorOf[int64](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	filter := in.filter(audience(ctx))
	filter.Partly = yesNo(in.Partly)
	if after != nil {
		filter.AfterCorporation = *after
	}
	found, err := s.config.Compliance.ComplianceOfCorporations(ctx, filter)
	if err != nil {
		return nil, err
	}
	var wanted postgres.NameRequest
	for _, c := range found {
		wanted.Entities = append(wanted.Entities, c.CorporationID)
	}
	names, err := s.config.Characters.Names(ctx, wanted)
	if err != nil {
		return nil, err
	}
	return pageOf(in.PageInput, list, found, func(c access.CorporationCompliance) CorporationCompliance {
		return CorporationCompliance{
			CorporationID: c.CorporationID, CorporationName: names.Entities[c.CorporationID], Mains: c.Mains, Characters: c.Characters, Unregistered: c.Unregistered,
			Percent: c.Percent, Compliant: c.Compliant, Partly: c.Partly,
		}
	}, func(c access.CorporationCompliance) int64 { return c.CorporationID })
}
