package api

import (
	"context"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Finder finds characters, registered or not; [postgres.CharacterReader] does.
type Finder interface {
	Finder(context.Context, postgres.FinderFilter) ([]postgres.FinderRow, error)
	FinderTotal(context.Context, postgres.FinderFilter) (int, error)
	FinderFacets(context.Context, postgres.FinderFilter) (postgres.FinderFacets, error)
}

// FoundCharacter is a character as the finder lists it.
type FoundCharacter struct {
	CharacterID     int64  `json:"character_id"`
	Name            string `json:"name"`
	Registered      bool   `json:"registered" doc:"false: its owner has it, by the word of the application that users come from, and has not registered it."`
	Status          string `json:"status" enum:"active,disabled,orphaned,unregistered"`
	Shared          bool   `json:"shared"`
	IsMain          bool   `json:"is_main"`
	CorporationID   *int64 `json:"corporation_id" doc:"null if it is not known."`
	CorporationName string `json:"corporation_name,omitempty"`
	AllianceID      *int64 `json:"alliance_id" doc:"null for none."`
	AllianceName    string `json:"alliance_name,omitempty"`

	SystemID     *int64   `json:"system_id" doc:"Where it is; null if that is not known."`
	SystemName   string   `json:"system_name,omitempty"`
	Security     *float64 `json:"security_status" doc:"Of the system; null if it is not known."`
	Region       string   `json:"region,omitempty"`
	LocationID   *int64   `json:"location_id" doc:"The station or structure; null in space."`
	LocationName string   `json:"location_name,omitempty"`

	UserID              *string `json:"user_id" doc:"The owner; null for an orphan."`
	State               string  `json:"state" doc:"The owner's; empty for an orphan."`
	MainID              *int64  `json:"main_id" doc:"The owner's main; null for none."`
	MainName            string  `json:"main_name,omitempty"`
	MainCorporationID   *int64  `json:"main_corporation_id" doc:"Where the main is, which is not where the character is."`
	MainCorporationName string  `json:"main_corporation_name,omitempty"`
	MainAllianceID      *int64  `json:"main_alliance_id"`
	MainAllianceName    string  `json:"main_alliance_name,omitempty"`

	Since           time.Time `json:"since" doc:"When its owner registered it, or since when it has been listed as unregistered."`
	FailingSections int       `json:"failing_sections" doc:"How many sections cannot be read at present."`
	Traced
}

// FoundPage is a page of what was found.
type FoundPage struct {
	Page[FoundCharacter]

	Total *int `json:"total,omitempty" doc:"Of all pages together, if it was asked for."`
}

type foundOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *FoundPage
}

// FinderFilters are what the finder and its facets take.
type FinderFilters struct {
	Search            string `query:"search" maxLength:"100" doc:"A part of the name of the character or of its owner's main, in any case."`
	Prefix            string `query:"prefix" maxLength:"100" doc:"The beginning of one of them, in any case; found by an index."`
	UserID            string `query:"user_id" maxLength:"200"`
	CorporationID     int64  `query:"corporation_id" minimum:"1"`
	AllianceID        int64  `query:"alliance_id" minimum:"1"`
	Region            string `query:"region" maxLength:"100" doc:"The name of the region in which it is."`
	SystemID          int64  `query:"system_id" minimum:"1" doc:"The system in which it is."`
	Status            string `query:"status" enum:"active,disabled,orphaned,unregistered"`
	Registered        string `query:"registered" enum:"true,false"`
	Shared            string `query:"shared" enum:"true,false"`
	IsMain            string `query:"is_main" enum:"true,false"`
	MainID            int64  `query:"main_id" minimum:"1"`
	MainName          string `query:"main_name" maxLength:"100" doc:"The whole name of the main, in any case."`
	MainCorporationID int64  `query:"main_corporation_id" minimum:"1" doc:"Where the main is."`
	MainAllianceID    int64  `query:"main_alliance_id" minimum:"1" doc:"Where the main is."`
	State             string `query:"state" maxLength:"100" doc:"The owner's."`
}

func (in FinderFilters) filter(view *access.View) postgres.FinderFilter {
	return postgres.FinderFilter{
		View: view, Search: in.Search, Prefix: in.Prefix, UserID: in.UserID, CorporationID: in.CorporationID, AllianceID: in.AllianceID,
		Region: in.Region, SystemID: in.SystemID, Status: postgres.CharacterStatus(in.Status), Registered: yesNo(in.Registered), Shared: yesNo(in.Shared), IsMain: yesNo(in.IsMain),
		MainID: in.MainID, MainName: in.MainName, MainCorporationID: in.MainCorporationID, MainAllianceID: in.MainAllianceID, State: in.State,
	}
}

type finderInput struct {
	PageInput
	ProvenanceInput
	FinderFilters

	Sort  []string `query:"sort" maxItems:"5" doc:"Columns to order by, each with a minus for the other way round: alliance, corporation, main, main_alliance, main_corporation, name, region, state, status, system. name if it is left out." example:"-main_corporation,name"`
	Total bool     `query:"total" doc:"Count all that is found, too."`
}

// order is that of the list; each column counts once.
func (in *finderInput) order() []postgres.FinderOrder {
	var order []postgres.FinderOrder
	seen := map[string]bool{}
	for _, column := range in.Sort {
		name, down := strings.CutPrefix(column, "-")
		if !seen[name] {
			order = append(order, postgres.FinderOrder{Column: name, Down: down})
		}
		seen[name] = true
	}
	return order
}

type facetsInput struct {
	Conditional
	FinderFilters
}

// FinderFacets are the values that characters which are found have, the most frequent
// first.
type FinderFacets struct {
	Corporations     []Facet `json:"corporations" nullable:"false"`
	Alliances        []Facet `json:"alliances" nullable:"false"`
	MainCorporations []Facet `json:"main_corporations" nullable:"false"`
	MainAlliances    []Facet `json:"main_alliances" nullable:"false"`
	Regions          []Facet `json:"regions" nullable:"false"`
	Systems          []Facet `json:"systems" nullable:"false"`
	States           []Facet `json:"states" nullable:"false"`
	Statuses         []Facet `json:"statuses" nullable:"false"`
}

// Facet is a value to filter by.
type Facet struct {
	ID         *int64 `json:"id,omitempty" doc:"Absent for what only has a name."`
	Name       string `json:"name" doc:"Empty if it is not known."`
	Characters int    `json:"characters" doc:"How many have it."`
}

func (s *Server) registerFinder() {
	tags := []string{tagCharacters}
	register(s, access.ActionReadCharacters, asTable(huma.Operation{
		OperationID: "find-characters", Path: "/v1/finder", Tags: tags, Summary: "Find characters, registered or not, with where they are and the mains of their owners",
		Description: "A user finds the registered characters that he may open, and the unregistered ones of those whose characters he may open because of who they are. That needs finder_access.",
	}), s.findCharacters)
	register(s, access.ActionReadCharacters, notModified(huma.Operation{
		OperationID: "get-finder-facets", Path: "/v1/finder/facets", Tags: tags, Summary: "The values that the finder can be filtered by, with how many characters have them",
	}), s.finderFacets)
}

// finderView is what the finder lists for the caller; nil for a program, whose bounds
// are its actions. It fails with [event.CodeForbidden] for a user who may not use it.
func finderView(ctx context.Context) (*access.View, error) {
	v := viewerOf(ctx)
	if v == nil {
		return nil, nil //nolint:nilnil // no view leaves out nothing
	}
	if !v.Can(access.FinderAccess) {
		return nil, event.Errorf(event.CodeForbidden, "%s may not use the finder: that needs the permission %s; GET /v1/characters lists his own characters", principalOf(ctx).ID, access.FinderAccess)
	}
	view := v.FinderView()
	return &view, nil
}

func (s *Server) findCharacters(ctx context.Context, in *finderInput) (*foundOutput, error) {
	list := "finder/" + strings.Join(in.Sort, ",")
	after, err := cursorOf[postgres.FinderCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	view, err := finderView(ctx)
	if err != nil {
		return nil, err
	}
	filter := in.filter(view)
	filter.Order, filter.After, filter.Limit = in.order(), after, in.Limit+1
	found, err := s.config.Finder.Finder(ctx, filter)
	if err != nil {
		return nil, err
	}
	var wanted postgres.NameRequest
	for _, f := range found {
		wanted.Entities = append(wanted.Entities, f.CorporationID, f.AllianceID)
		wanted.Locations = append(wanted.Locations, f.Location.LocationID)
		if f.Main != nil {
			wanted.Entities = append(wanted.Entities, f.Main.CorporationID, f.Main.AllianceID)
		}
	}
	names, err := s.config.Characters.Names(ctx, wanted)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, found, func(f postgres.FinderRow) FoundCharacter { return showFound(f, names) }, postgres.FinderRow.Cursor)
	if err != nil {
		return nil, err
	}
	if err := trace(ctx, s, in.ProvenanceInput, page.Body.Items); err != nil {
		return nil, err
	}
	out := &foundOutput{Link: page.Link, Body: &FoundPage{Page: *page.Body}}
	if in.Total {
		total, err := s.config.Finder.FinderTotal(ctx, filter)
		if err != nil {
			return nil, err
		}
		out.Body.Total = &total
	}
	return out, nil
}

func showFound(f postgres.FinderRow, names postgres.Names) FoundCharacter {
	row := FoundCharacter{
		CharacterID: f.CharacterID, Name: f.Name, Registered: f.Status != postgres.CharacterUnregistered, Status: string(f.Status), Shared: f.Shared, IsMain: f.IsMain(),
		CorporationID: optional(f.CorporationID), CorporationName: names.Entities[f.CorporationID], AllianceID: optional(f.AllianceID), AllianceName: names.Entities[f.AllianceID],
		SystemID: optional(f.Location.SystemID), SystemName: f.Location.System, Security: f.Location.Security, Region: f.Location.Region,
		LocationID: optional(f.Location.LocationID), LocationName: names.Locations[f.Location.LocationID],
		UserID: optional(f.UserID), State: f.State, Since: f.Since, FailingSections: f.FailingSections,
		Traced: tracedTo(f.Origin),
	}
	if m := f.Main; m != nil {
		row.MainID, row.MainName = &m.CharacterID, m.Name
		row.MainCorporationID, row.MainCorporationName = optional(m.CorporationID), names.Entities[m.CorporationID]
		row.MainAllianceID, row.MainAllianceName = optional(m.AllianceID), names.Entities[m.AllianceID]
	}
	return row
}

func (s *Server) finderFacets(ctx context.Context, in *facetsInput) (*single[FinderFacets], error) {
	view, err := finderView(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.config.Finder.FinderFacets(ctx, in.filter(view))
	if err != nil {
		return nil, err
	}
	var wanted postgres.NameRequest
	entities := [][]postgres.Facet{found.Corporations, found.Alliances, found.MainCorporations, found.MainAlliances}
	for _, list := range entities {
		for _, f := range list {
			wanted.Entities = append(wanted.Entities, f.ID)
		}
	}
	names, err := s.config.Characters.Names(ctx, wanted)
	if err != nil {
		return nil, err
	}
	show := func(list []postgres.Facet) []Facet {
		shown := []Facet{}
		for _, f := range list {
			name := f.Name
			if name == "" {
				name = names.Entities[f.ID]
			}
			shown = append(shown, Facet{ID: optional(f.ID), Name: name, Characters: f.Characters})
		}
		return shown
	}
	return singleOf(in.Conditional, &FinderFacets{
		Corporations: show(found.Corporations), Alliances: show(found.Alliances), MainCorporations: show(found.MainCorporations), MainAlliances: show(found.MainAlliances),
		Regions: show(found.Regions), Systems: show(found.Systems), States: show(found.States), Statuses: show(found.Statuses),
	})
}
