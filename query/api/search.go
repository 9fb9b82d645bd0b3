package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Searcher searches in one section of many characters; [postgres.CharacterReader] does.
type Searcher interface {
	Search(context.Context, postgres.SearchFilter) ([]postgres.Hit, error)
	Types(context.Context, postgres.TypeFilter) ([]int64, error)
	Places(context.Context, postgres.PlaceFilter) ([]int64, error)
	Entities(ctx context.Context, name string) ([]int64, error)
}

// Hits are what was found, one page of it. Each item has ESI's own fields, and whose it is.
type Hits struct {
	Page[Item]

	fields []postgres.Field
}

func (h *Hits) rows() any { return itemRows{columnNames(h.fields), h.fields, h.Items} }

type hitsOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *Hits
}

// whose are the fields that say whose something is.
func whose() []postgres.Field {
	return []postgres.Field{{Name: "character_id", Kind: postgres.FieldID}, {Name: "character_name", Kind: postgres.FieldText}, {Name: "user_id", Kind: postgres.FieldText}}
}

// SearchInput is what every search takes.
type SearchInput struct {
	PageInput
	ProvenanceInput

	CharacterID int64  `query:"character_id" minimum:"1" doc:"Only of this character."`
	UserID      string `query:"user_id" maxLength:"200" doc:"Only of the characters that this user owns."`
}

// wish is what somebody searches for, with names that are still to be looked up.
type wish struct {
	postgres.SearchFilter
	PageInput
	ProvenanceInput

	// types, places and entities say what the fields that they are named for must be one of.
	types    map[string]postgres.TypeFilter
	places   map[string]postgres.PlaceFilter
	entities map[string]string
	// implants are types of which a list of ids must hold one.
	implants postgres.TypeFilter
}

func (in *SearchInput) wish() wish {
	return wish{
		SearchFilter: postgres.SearchFilter{
			CharacterID: in.CharacterID, UserID: in.UserID, Limit: in.Limit + 1,
			Numbers: map[string][]int64{}, Texts: map[string]string{}, Parts: map[string]string{}, AtLeast: map[string]float64{}, AtMost: map[string]float64{},
		},
		PageInput: in.PageInput, ProvenanceInput: in.ProvenanceInput, types: map[string]postgres.TypeFilter{}, places: map[string]postgres.PlaceFilter{}, entities: map[string]string{},
	}
}

func (w *wish) number(field string, id int64) {
	if id != 0 {
		w.Numbers[field] = []int64{id}
	}
}

// entity takes an id or a part of a name.
func (w *wish) entity(field string, id int64, name string) {
	w.number(field, id)
	if name != "" {
		w.entities[field] = name
	}
}

func (w *wish) text(field, value string) {
	if value != "" {
		w.Texts[field] = value
	}
}

func (w *wish) part(field, value string) {
	if value != "" {
		w.Parts[field] = value
	}
}

// limits are bounds on a number; what is out of the range of numbers bounds nothing.
func (w *wish) limits(field string, atLeast, atMost, lowest, highest float64) {
	if atLeast > lowest {
		w.AtLeast[field] = atLeast
	}
	if atMost < highest {
		w.AtMost[field] = atMost
	}
}

// searching is the input of a search.
type searching interface{ wish() wish }

// TypeInput says which types are meant.
type TypeInput struct {
	TypeID  int64  `query:"type_id" minimum:"1"`
	Type    string `query:"type" maxLength:"100" doc:"A part of the type's name, in any case."`
	GroupID int64  `query:"group_id" minimum:"1" doc:"The type's group."`
	Group   string `query:"group" maxLength:"100" doc:"The whole name of the type's group, in any case."`
}

func (in TypeInput) meant(w *wish, field string) {
	w.number(field, in.TypeID)
	w.types[field] = postgres.TypeFilter{Name: in.Type, Group: in.Group, GroupID: in.GroupID}
}

// PlaceInput says which places are meant.
type PlaceInput struct {
	LocationID int64  `query:"location_id" minimum:"1" doc:"A station, a structure or a system; of assets also another asset."`
	Location   string `query:"location" maxLength:"100" doc:"A part of the place's name, in any case."`
	SystemID   int64  `query:"system_id" minimum:"1" doc:"The system that the place is in."`
	Region     string `query:"region" maxLength:"100" doc:"The name of the region that it is in."`
}

func (in PlaceInput) meant(w *wish, field string) {
	w.number(field, in.LocationID)
	w.places[field] = postgres.PlaceFilter{Name: in.Location, SystemID: in.SystemID, Region: in.Region}
}

type searchAssetsInput struct {
	SearchInput
	TypeInput
	PlaceInput

	Name         string `query:"name" maxLength:"100" doc:"A part of the name that its owner gave it, in any case."`
	LocationFlag string `query:"location_flag" maxLength:"100" doc:"As ESI writes it, such as Hangar."`
}

func (in *searchAssetsInput) wish() wish {
	w := in.SearchInput.wish()
	in.TypeInput.meant(&w, "type_id")
	in.PlaceInput.meant(&w, "location_id")
	w.part("name", in.Name)
	w.text("location_flag", in.LocationFlag)
	return w
}

type searchContactsInput struct {
	SearchInput

	ContactID   int64   `query:"contact_id" minimum:"1"`
	Name        string  `query:"name" maxLength:"100" doc:"A part of the contact's name, in any case."`
	ContactType string  `query:"contact_type" maxLength:"100" doc:"As ESI writes it, such as alliance."`
	AtLeast     float64 `query:"standing_at_least" minimum:"-10" maximum:"10" default:"-10"`
	AtMost      float64 `query:"standing_at_most" minimum:"-10" maximum:"10" default:"10"`
}

// The bounds of standings.
const worst, best = -10, 10

func (in *searchContactsInput) wish() wish {
	w := in.SearchInput.wish()
	w.entity("contact_id", in.ContactID, in.Name)
	w.text("contact_type", in.ContactType)
	w.limits("standing", in.AtLeast, in.AtMost, worst, best)
	return w
}

type searchStandingsInput struct {
	SearchInput

	FromID   int64   `query:"from_id" minimum:"1" doc:"The agent, corporation or faction."`
	Name     string  `query:"name" maxLength:"100" doc:"A part of its name, in any case."`
	FromType string  `query:"from_type" maxLength:"100" doc:"As ESI writes it: agent, npc_corp or faction."`
	AtLeast  float64 `query:"standing_at_least" minimum:"-10" maximum:"10" default:"-10"`
	AtMost   float64 `query:"standing_at_most" minimum:"-10" maximum:"10" default:"10"`
}

func (in *searchStandingsInput) wish() wish {
	w := in.SearchInput.wish()
	w.entity("from_id", in.FromID, in.Name)
	w.text("from_type", in.FromType)
	w.limits("standing", in.AtLeast, in.AtMost, worst, best)
	return w
}

// SearchRecordsInput is what searches in records take.
type SearchRecordsInput struct {
	SearchInput

	From time.Time `query:"from" doc:"At this moment or later."`
	To   time.Time `query:"to" doc:"Before this moment."`
}

func (in *SearchRecordsInput) wish() wish {
	w := in.SearchInput.wish()
	w.From, w.To = in.From, in.To
	return w
}

type searchContractsInput struct {
	SearchRecordsInput

	Status  string `query:"status" maxLength:"100" doc:"As ESI writes it, such as outstanding."`
	Type    string `query:"type" maxLength:"100" doc:"As ESI writes it, such as courier."`
	Title   string `query:"title" maxLength:"100" doc:"A part of the title, in any case."`
	PartyID int64  `query:"party_id" minimum:"1" doc:"Who issued it, to whom it is assigned, or who has accepted it."`
}

func (in *searchContractsInput) wish() wish {
	w := in.SearchRecordsInput.wish()
	w.text("status", in.Status)
	w.text("type", in.Type)
	w.part("title", in.Title)
	if in.PartyID != 0 {
		w.AnyNumber = map[string]int64{"issuer_id,issuer_corporation_id,assignee_id,acceptor_id": in.PartyID}
	}
	return w
}

type searchMailsInput struct {
	SearchRecordsInput

	Subject    string `query:"subject" maxLength:"100" doc:"A part of the subject, in any case."`
	SenderID   int64  `query:"from_id" minimum:"1" doc:"The sender."`
	SenderName string `query:"from_name" maxLength:"100" doc:"A part of the sender's name, in any case."`
}

func (in *searchMailsInput) wish() wish {
	w := in.SearchRecordsInput.wish()
	w.part("subject", in.Subject)
	w.entity("from", in.SenderID, in.SenderName)
	return w
}

type searchSkillsInput struct {
	SearchInput
	TypeInput

	AtLeast int `query:"level_at_least" minimum:"0" maximum:"5" doc:"The active level, which is what counts."`
	Trained int `query:"trained_at_least" minimum:"0" maximum:"5" doc:"The trained level, which an Alpha clone cannot use in full."`
}

func (in *searchSkillsInput) wish() wish {
	w := in.SearchInput.wish()
	in.TypeInput.meant(&w, "skill_id")
	w.limits("active_skill_level", float64(in.AtLeast), 0, 0, 0)
	w.limits("trained_skill_level", float64(in.Trained), 0, 0, 0)
	return w
}

type searchImplantsInput struct {
	SearchInput
	TypeInput
}

func (in *searchImplantsInput) wish() wish {
	w := in.SearchInput.wish()
	in.TypeInput.meant(&w, "type_id")
	return w
}

type searchClonesInput struct {
	SearchInput
	TypeInput
	PlaceInput
}

func (in *searchClonesInput) wish() wish {
	w := in.SearchInput.wish()
	in.PlaceInput.meant(&w, "location_id")
	if in.TypeID != 0 {
		w.Holding = map[string][]int64{"implants": {in.TypeID}}
	}
	w.implants = postgres.TypeFilter{Name: in.Type, Group: in.Group, GroupID: in.GroupID}
	return w
}

func (s *Server) registerSearch() {
	in := func(section eve.Section, list, summary string, apart ...string) sectionSpec {
		return sectionSpec{section: section, list: list, summary: summary, apart: apart}
	}
	registerSearchIn[searchAssetsInput](s, in(eve.SectionAssets, "", "Search for assets of all characters"))
	registerSearchIn[searchContactsInput](s, in(eve.SectionContacts, "contacts", "Search for contacts of all characters"))
	registerSearchIn[searchContractsInput](s, in(eve.SectionContracts, "", "Search for contracts of all characters, the newest first", "items", "bids"))
	registerSearchIn[searchMailsInput](s, in(eve.SectionMails, "", "Search for mails of all characters, the newest first, without bodies", "body"))
	registerSearchIn[searchSkillsInput](s, in(eve.SectionSkills, "skills", "Search for skills of all characters"))
	registerSearchIn[searchStandingsInput](s, in(eve.SectionStandings, "", "Search for standings of all characters"))
	registerSearchIn[searchImplantsInput](s, in(eve.SectionImplants, "", "Search for implants in the heads of all characters"))
	registerSearchIn[searchClonesInput](s, in(eve.SectionClones, "jump_clones", "Search for jump clones of all characters, by place and by implant"))
}

// found are the fields of what is found.
func (s sectionSpec) found() []postgres.Field {
	fields := whose()
	for _, set := range postgres.FieldSets() {
		if set.Section != s.section || set.List != s.list || s.list == "" && set.Path != "" {
			continue
		}
		for _, f := range set.Fields {
			if !slices.Contains(s.apart, f.Name) {
				fields = append(fields, f)
			}
		}
		break
	}
	return fields
}

func registerSearchIn[I any, P interface {
	*I
	searching
}](s *Server, spec sectionSpec) {
	op := asTable(huma.Operation{
		OperationID: "search-" + string(spec.section), Path: "/v1/search/" + string(spec.section), Tags: []string{tagSearch}, Summary: spec.summary, Errors: []int{http.StatusNotFound},
		Description: "Of the characters that the caller may open.",
	})
	spec.shown = spec.found()
	s.shape(&op, reflect.TypeFor[Hits](), "items", objectSchema(spec.shown), func(string) *huma.Schema { return nil })
	register(s, access.ActionReadCharacters, op, func(ctx context.Context, in *I) (*hitsOutput, error) {
		return s.search(ctx, spec, P(in).wish())
	})
}

func (s *Server) search(ctx context.Context, spec sectionSpec, w wish) (*hitsOutput, error) {
	list := "search/" + string(spec.section)
	after, err := cursorOf[postgres.SearchCursor](w.PageInput, list)
	if err != nil {
		return nil, err
	}
	w.View = viewOfSection(ctx, spec.section)
	if err := s.mean(ctx, &w); err != nil {
		return nil, err
	}
	w.Section, w.List, w.After = spec.section, spec.list, after
	hits, err := s.config.Searcher.Search(ctx, w.SearchFilter)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(w.PageInput, list, hits, func(h postgres.Hit) postgres.Hit { return h }, postgres.Hit.Cursor)
	if err != nil {
		return nil, err
	}
	raw := make([]json.RawMessage, len(page.Body.Items))
	for i, h := range page.Body.Items {
		raw[i] = h.Value
	}
	items, err := s.items(ctx, s.config.Now(), spec.section, raw, nil)
	if err != nil {
		return nil, err
	}
	origins := make([]event.Origin, len(items))
	for i, h := range page.Body.Items {
		for _, field := range spec.apart {
			delete(items[i], field)
			delete(items[i], plainField(field))
			delete(items[i], htmlField(field))
		}
		items[i]["character_id"], items[i]["character_name"] = h.CharacterID, h.Name
		if h.UserID != "" {
			items[i]["user_id"] = h.UserID
		}
		origins[i] = h.Origin
	}
	if err := s.traceItems(ctx, w.ProvenanceInput, items, origins); err != nil {
		return nil, err
	}
	return &hitsOutput{Link: page.Link, Body: &Hits{Page: Page[Item]{Items: items, NextCursor: page.Body.NextCursor}, fields: spec.shown}}, nil
}

// mean looks the names of a wish up. What nothing is named like nothing is found for.
func (s *Server) mean(ctx context.Context, w *wish) error {
	narrow := func(field string, ids []int64) {
		if given, there := w.Numbers[field]; there {
			ids = common(given, ids)
		}
		w.Numbers[field] = ids
	}
	for field, filter := range w.types {
		if filter.IsZero() {
			continue
		}
		ids, err := s.config.Searcher.Types(ctx, filter)
		if err != nil {
			return err
		}
		narrow(field, ids)
	}
	for field, filter := range w.places {
		if filter.IsZero() {
			continue
		}
		ids, err := s.config.Searcher.Places(ctx, filter)
		if err != nil {
			return err
		}
		narrow(field, ids)
	}
	for field, name := range w.entities {
		ids, err := s.config.Searcher.Entities(ctx, name)
		if err != nil {
			return err
		}
		narrow(field, ids)
	}
	if w.implants.IsZero() {
		return nil
	}
	ids, err := s.config.Searcher.Types(ctx, w.implants)
	if err != nil {
		return err
	}
	if given, there := w.Holding["implants"]; there {
		ids = common(given, ids)
	}
	w.Holding = map[string][]int64{"implants": ids}
	return nil
}

// common are the ids that are in both lists.
func common(a, b []int64) []int64 {
	in := map[int64]bool{}
	for _, id := range a {
		in[id] = true
	}
	both := []int64{}
	for _, id := range b {
		if in[id] {
			both = append(both, id)
		}
	}
	return both
}
