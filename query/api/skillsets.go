package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// SkillSets are skill sets and the skills of characters as they are now;
// [postgres.CharacterReader] knows them.
type SkillSets interface {
	SkillSets(ctx context.Context) (postgres.SkillSets, error)
	SkillHolders(ctx context.Context) ([]postgres.SkillHolder, error)
	SkillsOf(ctx context.Context, characters, types []int64) (map[int64]eve.Skills, error)
	SkillNatures(ctx context.Context, types []int64) (map[int64]eve.SkillNature, error)
	TypesNamed(ctx context.Context, names []string) (eve.TypesByName, error)
}

// SkillSetDefiner decides on skill sets and groups.
type SkillSetDefiner interface {
	DefineSkillSet(context.Context, SkillSetDefinition) (SkillSetDecision, error)
	RemoveSkillSet(context.Context, SkillSetRemoval) (SkillSetDecision, error)
	DefineSkillSetGroup(context.Context, SkillSetGroupDefinition) (SkillSetDecision, error)
	RemoveSkillSetGroup(context.Context, SkillSetRemoval) (SkillSetDecision, error)
}

// SkillSetDefinition says who defines which skill set.
type SkillSetDefinition struct {
	Actor string
	// ID is the set to replace; the zero id makes a new one.
	ID  uuid.UUID
	Set eve.SkillSet
	// Overwrite has a new set replace the one that has its name already.
	Overwrite bool
	// ExpectedVersion is the version that the sender has seen; nil expects nothing.
	ExpectedVersion *int64
}

// SkillSetGroupDefinition says who defines which group.
type SkillSetGroupDefinition struct {
	Actor string
	// ID is the group to replace; the zero id makes a new one.
	ID              uuid.UUID
	Group           eve.SkillSetGroup
	ExpectedVersion *int64
}

// SkillSetRemoval says who removes a skill set or a group, and why.
type SkillSetRemoval struct {
	Actor           string
	ID              uuid.UUID
	Reason          string
	ExpectedVersion *int64
}

// SkillSetDecision is what a decision came to.
type SkillSetDecision struct {
	ID      uuid.UUID
	Changed bool
	Version int64
	// Shown is false when the read model did not show the change in time: it will.
	Shown bool
}

func (s *Server) registerSkillSets() {
	tags := []string{tagSkillSets}
	const sets, groups = "/v1/skill-sets", "/v1/skill-set-groups"
	get := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Path: path, Tags: tags, Summary: summary, Description: description}
	}
	single := func(op huma.Operation) huma.Operation {
		op.Errors = []int{http.StatusNotFound}
		return notModified(op)
	}
	decide := func(method, id, path, summary, description string) huma.Operation {
		return accepted(huma.Operation{
			Method: method, OperationID: id, Path: path, Tags: tags, Summary: summary, Description: description,
			Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
		})
	}
	read, define := access.ActionReadCharacters, access.ActionDefineSkillSets
	const hidden = "Those that are not visible to members are shown to those who may define skill sets."
	register(s, read, asTable(get("list-skill-sets", sets, "Skill sets by name", hidden)), s.listSkillSets)
	register(s, read, single(get("get-skill-set", sets+"/{id}", "A skill set", hidden)), s.getSkillSet)
	register(s, read, single(get("get-missing-skills", sets+"/{id}/missing", "What a character lacks for a skill set", "Active levels count. "+hidden)), s.getMissingSkills)
	register(s, define, decide(http.MethodPost, "create-skill-set", sets, "Define a new skill set", ""), s.createSkillSet)
	register(s, define, decide(http.MethodPut, "replace-skill-set", sets+"/{id}", "Give a skill set another definition", ""), s.replaceSkillSet)
	register(s, define, decide(http.MethodDelete, "remove-skill-set", sets+"/{id}", "Remove a skill set", "It leaves its groups, too."), s.removeSkillSet)
	const text = "Lines that cannot be read are reported; what they need themselves is not added to the skills."
	for _, i := range []struct {
		id, path, summary string
		read              func(text string) (skillText, error)
	}{
		{"import-fitting", "/import-fitting", "Make a skill set of a fitting in EFT's format", func(t string) (skillText, error) { return eve.ParseFitting(t) }},
		{"import-skill-plan", "/import-plan", "Make a skill set of a skill plan, one \"Gunnery IV\" or \"Gunnery 4\" in a line", func(t string) (skillText, error) { return eve.ParseSkillPlan(t) }},
	} {
		op := decide(http.MethodPost, i.id, sets+i.path, i.summary, text)
		op.Responses["200"] = &huma.Response{Description: "It was only read."}
		register(s, define, op, func(ctx context.Context, in *skillTextInput) (*skillTextRead, error) {
			return s.importSkills(ctx, in, i.read)
		})
	}
	register(s, read, asTable(get("list-skill-set-groups", groups, "Groups of skill sets by name, doctrines among them", "")), s.listSkillSetGroups)
	register(s, read, single(get("get-skill-set-group", groups+"/{id}", "A group of skill sets", "")), s.getSkillSetGroup)
	register(s, define, decide(http.MethodPost, "create-skill-set-group", groups, "Define a new group of skill sets", ""), s.createSkillSetGroup)
	register(s, define, decide(http.MethodPut, "replace-skill-set-group", groups+"/{id}", "Give a group of skill sets another definition", ""), s.replaceSkillSetGroup)
	register(s, define, decide(http.MethodDelete, "remove-skill-set-group", groups+"/{id}", "Remove a group of skill sets", "Its sets stay."), s.removeSkillSetGroup)

	section := asTable(get("list-character-skill-sets", "/v1/characters/{id}/skill-sets", "How a character stands to the skill sets that are visible", "It follows from the skills as they were last read, and has their times."))
	section.Errors = []int{http.StatusNotFound}
	register(s, read, section, s.listCharacterSkillSets)
	report := asTable(get("report-skill-sets", "/v1/reports/skill-sets", "For each skill set who has it, and who comes closest",
		"All characters with an owner who is no guest, for a user those of the users whom reports may show him. Sets that are not visible to members are among them."))
	report.Errors = []int{http.StatusNotFound}
	register(s, access.ActionReadReports, report, s.reportSkillSets)
}

// skillText is a text that can be read into a skill set.
type skillText interface {
	TypeNames() []string
	SkillSet(types eve.TypeLookup) (eve.SkillSet, []eve.IgnoredLine, error)
}

// namedCursor is a place in a list by name.
type namedCursor struct {
	Name string    `json:"n"`
	ID   uuid.UUID `json:"i"`
}

func (c namedCursor) compare(other namedCursor) int {
	return cmp.Or(cmp.Compare(c.Name, other.Name), cmp.Compare(c.ID.String(), other.ID.String()))
}

func cursorOfSet(set postgres.SkillSet) namedCursor {
	return namedCursor{strings.ToLower(set.Name), set.ID}
}

func cursorOfGroup(group postgres.SkillSetGroup) namedCursor {
	return namedCursor{strings.ToLower(group.Name), group.ID}
}

// partOf is the part of a whole list that a page shows, and one more.
func partOf[T any](in PageInput, list string, all []T, cursor func(T) namedCursor) ([]T, error) {
	after, err := cursorOf[namedCursor](in, list)
	if err != nil {
		return nil, err
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return cursor(a).compare(cursor(b)) })
	if after != nil {
		all = slices.DeleteFunc(all, func(v T) bool { return cursor(v).compare(*after) <= 0 })
	}
	return all[:min(len(all), in.Limit+1)], nil
}

// seesAll tells whether who asks may see sets that are not visible to members.
func seesAll(ctx context.Context) bool {
	return may(ctx, access.ActionDefineSkillSets)
}

// skillSets are those that who asks may see, with the labels of their groups.
func (s *Server) skillSets(ctx context.Context) (postgres.SkillSets, labels, error) {
	found, err := s.config.SkillSets.SkillSets(ctx)
	if err != nil {
		return found, nil, err
	}
	if !seesAll(ctx) {
		found.Sets = slices.DeleteFunc(found.Sets, func(set postgres.SkillSet) bool { return !set.Visible })
	}
	by := labels{}
	for _, group := range found.Groups {
		by[group.ID] = group.Label()
	}
	return found, by, nil
}

// labels are those of groups by their ids.
type labels map[uuid.UUID]string

func (l labels) of(set postgres.SkillSet) []SkillSetLabel {
	list := []SkillSetLabel{}
	for _, id := range set.GroupIDs {
		list = append(list, SkillSetLabel{id, l[id]})
	}
	return list
}

// skillSet is a set that who asks may see. It fails with [event.CodeNotFound].
func (s *Server) skillSet(ctx context.Context, id uuid.UUID) (postgres.SkillSet, labels, error) {
	found, by, err := s.skillSets(ctx)
	if err != nil {
		return postgres.SkillSet{}, nil, err
	}
	for _, set := range found.Sets {
		if set.ID == id {
			return set, by, nil
		}
	}
	return postgres.SkillSet{}, nil, event.Errorf(event.CodeNotFound, "there is no skill set %s: it was never defined, or it was removed", id)
}

// typeNames knows the names of all skills and ships of sets.
func (s *Server) typeNames(ctx context.Context, sets ...eve.SkillSet) (map[int64]string, error) {
	var wanted []int64
	for _, set := range sets {
		if set.ShipTypeID != 0 {
			wanted = append(wanted, set.ShipTypeID)
		}
		for _, skill := range set.Skills {
			wanted = append(wanted, skill.TypeID)
		}
	}
	slices.Sort(wanted)
	names, err := s.config.Characters.Names(ctx, postgres.NameRequest{Types: slices.Compact(wanted)})
	return names.Types, err
}

func contents(sets []postgres.SkillSet) []eve.SkillSet {
	list := make([]eve.SkillSet, len(sets))
	for i, set := range sets {
		list[i] = set.SkillSet
	}
	return list
}

func showSkills(skills []eve.SetSkill, names map[int64]string) []SkillSetSkill {
	list := []SkillSetSkill{}
	for _, skill := range skills {
		list = append(list, SkillSetSkill{
			TypeID: skill.TypeID, TypeName: names[skill.TypeID], Required: optional(int(skill.Required)), Recommended: optional(int(skill.Recommended)),
		})
	}
	return list
}

func showSkillSet(set postgres.SkillSet, by labels, names map[int64]string) SkillSet {
	return SkillSet{
		SkillSetID: set.ID, Name: set.Name, Description: set.Description, ShipTypeID: optional(set.ShipTypeID), ShipTypeName: names[set.ShipTypeID], Visible: set.Visible,
		Skills: showSkills(set.Skills, names), Groups: by.of(set), DefinedAt: set.DefinedAt, DefinedBy: set.DefinedBy,
		Traced: tracedTo(set.Origin),
	}
}

func (s *Server) listSkillSets(ctx context.Context, in *skillSetsInput) (*pageOutput[SkillSet], error) {
	found, by, err := s.skillSets(ctx)
	if err != nil {
		return nil, err
	}
	if err := ofGroup(&found, in.GroupID); err != nil {
		return nil, err
	}
	if part := strings.ToLower(in.Name); part != "" {
		found.Sets = slices.DeleteFunc(found.Sets, func(set postgres.SkillSet) bool { return !strings.Contains(strings.ToLower(set.Name), part) })
	}
	const list = "skill-sets"
	part, err := partOf(in.PageInput, list, found.Sets, cursorOfSet)
	if err != nil {
		return nil, err
	}
	names, err := s.typeNames(ctx, contents(part)...)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, part, func(set postgres.SkillSet) SkillSet { return showSkillSet(set, by, names) }, cursorOfSet)
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

// ofGroup leaves the sets of a group; an empty id leaves all. It fails with
// [event.CodeNotFound].
func ofGroup(found *postgres.SkillSets, id string) error {
	if id == "" {
		return nil
	}
	for _, group := range found.Groups {
		if group.ID.String() == strings.ToLower(id) {
			found.Sets = slices.DeleteFunc(found.Sets, func(set postgres.SkillSet) bool { return !slices.Contains(set.GroupIDs, group.ID) })
			return nil
		}
	}
	return event.Errorf(event.CodeNotFound, "there is no skill set group %s: it was never defined, or it was removed", id)
}

func (s *Server) getSkillSet(ctx context.Context, in *SkillSetInput) (*single[SkillSet], error) {
	set, by, err := s.skillSet(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	names, err := s.typeNames(ctx, set.SkillSet)
	if err != nil {
		return nil, err
	}
	shown := showSkillSet(set, by, names)
	if err := s.trace(ctx, in.ProvenanceInput, &shown.Traced); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, &shown)
}

// definition is what a set is to be, with the skills that are given by name looked up.
func (s *Server) definition(ctx context.Context, in NewSkillSet) (eve.SkillSet, error) {
	set := eve.SkillSet{Name: in.Name, Description: in.Description, Visible: in.Visible == nil || *in.Visible}
	if in.ShipTypeID != nil {
		set.ShipTypeID = *in.ShipTypeID
	}
	var names []string
	for _, skill := range in.Skills {
		if skill.TypeID == 0 && skill.TypeName != "" {
			names = append(names, skill.TypeName)
		}
	}
	types := eve.TypesByName{}
	if names != nil {
		var err error
		if types, err = s.config.SkillSets.TypesNamed(ctx, names); err != nil {
			return set, err
		}
	}
	for i, skill := range in.Skills {
		wanted := eve.SetSkill{TypeID: skill.TypeID, Required: levelOf(skill.Required), Recommended: levelOf(skill.Recommended)}
		if wanted.TypeID == 0 {
			known, there := types.TypeNamed(skill.TypeName)
			if !there || !known.Skill {
				return set, event.Errorf(event.CodeInvalid, "skills[%d]: there is no skill called %q: give its English name, or its type_id", i, skill.TypeName)
			}
			wanted.TypeID = known.TypeID
		}
		set.Skills = append(set.Skills, wanted)
	}
	return set, nil
}

func levelOf(level *int) eve.SkillLevel {
	if level == nil {
		return 0
	}
	return eve.SkillLevel(*level)
}

func (s *Server) createSkillSet(ctx context.Context, in *newSkillSetInput) (*skillSetChanged, error) {
	set, err := s.definition(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	return changedSet(s.config.SkillSetDefiner.DefineSkillSet(ctx, SkillSetDefinition{
		Actor: principalOf(ctx).ID, Set: set, Overwrite: in.Overwrite, ExpectedVersion: in.version(),
	}))
}

func (s *Server) replaceSkillSet(ctx context.Context, in *replaceSkillSetInput) (*skillSetChanged, error) {
	set, err := s.definition(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	return changedSet(s.config.SkillSetDefiner.DefineSkillSet(ctx, SkillSetDefinition{
		Actor: principalOf(ctx).ID, ID: in.ID, Set: set, ExpectedVersion: in.version(),
	}))
}

func (s *Server) removeSkillSet(ctx context.Context, in *removeSkillSetInput) (*skillSetChanged, error) {
	return changedSet(s.config.SkillSetDefiner.RemoveSkillSet(ctx, SkillSetRemoval{
		Actor: principalOf(ctx).ID, ID: in.ID, Reason: in.Reason, ExpectedVersion: in.version(),
	}))
}

func changedSet(d SkillSetDecision, err error) (*skillSetChanged, error) {
	if err != nil {
		return nil, err
	}
	return &skillSetChanged{Status: shownStatus(d.Shown), Body: &SkillSetChange{SkillSetID: &d.ID, Changed: d.Changed, Version: d.Version}}, nil
}

func (s *Server) importSkills(ctx context.Context, in *skillTextInput, read func(string) (skillText, error)) (*skillTextRead, error) {
	text, err := read(in.Body.Text)
	if err != nil {
		return nil, err
	}
	types, err := s.config.SkillSets.TypesNamed(ctx, text.TypeNames())
	if err != nil {
		return nil, err
	}
	if len(types) == 0 {
		return nil, event.Errorf(event.CodeInvalid, "none of the names in the text is that of a type: give the English ones, and see that reference data is there (`muster universe status`)")
	}
	set, ignored, err := text.SkillSet(types)
	if err != nil {
		return nil, err
	}
	set.Name, set.Description = cmp.Or(in.Body.Name, set.Name), in.Body.Description
	set.Visible = in.Body.Visible == nil || *in.Body.Visible
	set.Normalise()
	if err := set.Validate(); err != nil {
		return nil, err
	}
	names, err := s.typeNames(ctx, set)
	if err != nil {
		return nil, err
	}
	out := &skillTextRead{Status: http.StatusOK, Body: &ImportedSkillSet{
		Name: set.Name, ShipTypeID: optional(set.ShipTypeID), Skills: showSkills(set.Skills, names), Ignored: append([]eve.IgnoredLine{}, ignored...),
	}}
	if in.Body.DryRun {
		return out, nil
	}
	d, err := s.config.SkillSetDefiner.DefineSkillSet(ctx, SkillSetDefinition{
		Actor: principalOf(ctx).ID, Set: set, Overwrite: in.Body.Overwrite, ExpectedVersion: in.version(),
	})
	if err != nil {
		return nil, err
	}
	out.Status, out.Body.SkillSetID, out.Body.Changed, out.Body.Version = shownStatus(d.Shown), &d.ID, d.Changed, d.Version
	return out, nil
}

// showGroup shows of the sets in a group those that who asks may see.
func showGroup(group postgres.SkillSetGroup, seen map[uuid.UUID]bool) SkillSetGroup {
	return SkillSetGroup{
		SkillSetGroupID: group.ID, Name: group.Name, Label: group.Label(), Description: group.Description, Doctrine: group.Doctrine, Active: group.Active,
		SkillSetIDs: slices.DeleteFunc(append([]uuid.UUID{}, group.SkillSetIDs...), func(id uuid.UUID) bool { return !seen[id] }),
		DefinedAt:   group.DefinedAt, DefinedBy: group.DefinedBy,
		Traced: tracedTo(group.Origin),
	}
}

func seenSets(sets []postgres.SkillSet) map[uuid.UUID]bool {
	seen := make(map[uuid.UUID]bool, len(sets))
	for _, set := range sets {
		seen[set.ID] = true
	}
	return seen
}

func (s *Server) listSkillSetGroups(ctx context.Context, in *skillSetGroupsInput) (*pageOutput[SkillSetGroup], error) {
	found, _, err := s.skillSets(ctx)
	if err != nil {
		return nil, err
	}
	const list = "skill-set-groups"
	part, err := partOf(in.PageInput, list, found.Groups, cursorOfGroup)
	if err != nil {
		return nil, err
	}
	seen := seenSets(found.Sets)
	page, err := pageOf(in.PageInput, list, part, func(g postgres.SkillSetGroup) SkillSetGroup { return showGroup(g, seen) }, cursorOfGroup)
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func (s *Server) getSkillSetGroup(ctx context.Context, in *SkillSetInput) (*single[SkillSetGroup], error) {
	found, _, err := s.skillSets(ctx)
	if err != nil {
		return nil, err
	}
	for _, group := range found.Groups {
		if group.ID == in.ID {
			shown := showGroup(group, seenSets(found.Sets))
			if err := s.trace(ctx, in.ProvenanceInput, &shown.Traced); err != nil {
				return nil, err
			}
			return singleOf(in.Conditional, &shown)
		}
	}
	return nil, event.Errorf(event.CodeNotFound, "there is no skill set group %s: it was never defined, or it was removed", in.ID)
}

func (g NewSkillSetGroup) definition() eve.SkillSetGroup {
	return eve.SkillSetGroup{Name: g.Name, Description: g.Description, Doctrine: g.Doctrine, Active: g.Active == nil || *g.Active, SkillSetIDs: g.SkillSetIDs}
}

func (s *Server) createSkillSetGroup(ctx context.Context, in *newGroupInput) (*skillSetChanged, error) {
	return changedGroup(s.config.SkillSetDefiner.DefineSkillSetGroup(ctx, SkillSetGroupDefinition{
		Actor: principalOf(ctx).ID, Group: in.Body.definition(), ExpectedVersion: in.version(),
	}))
}

func (s *Server) replaceSkillSetGroup(ctx context.Context, in *replaceGroupInput) (*skillSetChanged, error) {
	return changedGroup(s.config.SkillSetDefiner.DefineSkillSetGroup(ctx, SkillSetGroupDefinition{
		Actor: principalOf(ctx).ID, ID: in.ID, Group: in.Body.definition(), ExpectedVersion: in.version(),
	}))
}

func (s *Server) removeSkillSetGroup(ctx context.Context, in *removeSkillSetInput) (*skillSetChanged, error) {
	return changedGroup(s.config.SkillSetDefiner.RemoveSkillSetGroup(ctx, SkillSetRemoval{
		Actor: principalOf(ctx).ID, ID: in.ID, Reason: in.Reason, ExpectedVersion: in.version(),
	}))
}

func changedGroup(d SkillSetDecision, err error) (*skillSetChanged, error) {
	if err != nil {
		return nil, err
	}
	return &skillSetChanged{Status: shownStatus(d.Shown), Body: &SkillSetChange{SkillSetGroupID: &d.ID, Changed: d.Changed, Version: d.Version}}, nil
}

// skillIDs are the ids of all skills of sets, each once.
func skillIDs(sets ...eve.SkillSet) []int64 {
	var ids []int64
	for _, set := range sets {
		for _, skill := range set.Skills {
			ids = append(ids, skill.TypeID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// failed shows levels that a character does not reach.
func failed(skills []eve.SetSkill, level func(eve.SetSkill) eve.SkillLevel, has eve.Skills, names map[int64]string) []FailedSkill {
	list := []FailedSkill{}
	for _, skill := range skills {
		list = append(list, FailedSkill{
			TypeID: skill.TypeID, TypeName: names[skill.TypeID], Level: int(level(skill)), Active: has[skill.TypeID].Active, Trained: has[skill.TypeID].Trained,
		})
	}
	return list
}

// standings shows how a character stands to each skill of a set.
func standings(set eve.SkillSet, has eve.Skills, names map[int64]string) []SkillStanding {
	list := []SkillStanding{}
	for i, shown := range showSkills(set.Skills, names) {
		skill := SkillStanding{SkillSetSkill: shown, Active: has[shown.TypeID].Active, Trained: has[shown.TypeID].Trained, Met: "full"}
		switch active := eve.SkillLevel(skill.Active); {
		case active < set.Skills[i].Required:
			skill.Met = "none"
		case active < set.Skills[i].Recommended:
			skill.Met = "partial"
		}
		list = append(list, skill)
	}
	return list
}

func requiredLevel(s eve.SetSkill) eve.SkillLevel { return s.Required }

func recommendedLevel(s eve.SetSkill) eve.SkillLevel { return s.Recommended }

func (s *Server) listCharacterSkillSets(ctx context.Context, in *SectionInput) (*skillSetsOutput, error) {
	of, err := s.section(ctx, in.ID, in.AsOf, eve.SectionSkills)
	if err != nil {
		return nil, err
	}
	section, err := of.State(ctx, in.ID, eve.SectionSkills)
	if err != nil {
		return nil, err
	}
	found, by, err := s.skillSets(ctx)
	if err != nil {
		return nil, err
	}
	// As members see it, whoever asks.
	found.Sets = slices.DeleteFunc(found.Sets, func(set postgres.SkillSet) bool { return !set.Visible })
	list := "character-skill-sets" + listAsOf(in.AsOf)
	part, err := partOf(in.PageInput, list, found.Sets, cursorOfSet)
	if err != nil {
		return nil, err
	}
	skills, err := of.SkillsOf(ctx, []int64{in.ID}, skillIDs(contents(part)...))
	if err != nil {
		return nil, err
	}
	names, err := s.typeNames(ctx, contents(part)...)
	if err != nil {
		return nil, err
	}
	has := skills[in.ID]
	page, err := pageOf(in.PageInput, list, part, func(set postgres.SkillSet) CharacterSkillSet {
		check := eve.CheckSkills(has, set.SkillSet)
		return CharacterSkillSet{
			SkillSetID: set.ID, Name: set.Name, ShipTypeID: optional(set.ShipTypeID), ShipTypeName: names[set.ShipTypeID], Groups: by.of(set), HasRequired: check.HasRequired(), HasRecommended: check.HasRecommended(),
			FailedRequired:    failed(check.FailedRequired, requiredLevel, has, names),
			FailedRecommended: failed(check.FailedRecommended, recommendedLevel, has, names),
			Traced:            tracedTo(set.Origin),
		}
	}, cursorOfSet)
	if err != nil {
		return nil, err
	}
	head := headOf(section, of.asOf())
	head.Section = "skill-sets"
	out := &SkillSetsSection{SectionHead: head, Page: *page.Body}
	if err := s.trace(ctx, in.ProvenanceInput, &out.Traced); err != nil {
		return nil, err
	}
	return &skillSetsOutput{Link: page.Link, Body: out}, trace(ctx, s, in.ProvenanceInput, out.Items)
}

// attributes are those of a character; nil if they were never read.
func (s *Server) attributes(ctx context.Context, id int64) (*eve.Attributes, error) {
	section, err := s.config.Characters.Section(ctx, id, eve.SectionAttributes)
	if err != nil || section.Value == nil {
		return nil, err
	}
	attributes, err := eve.DecodeAttributes(section.Value)
	if err != nil {
		return nil, fmt.Errorf("reading the attributes of character %d: %w", id, internal(err))
	}
	return &attributes, nil
}

func (s *Server) getMissingSkills(ctx context.Context, in *missingInput) (*single[MissingSkills], error) {
	set, _, err := s.skillSet(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.boundTo(ctx, access.ActionReadCharacters, in.CharacterID, skillSetsPart); err != nil {
		return nil, err
	}
	section, err := s.config.Characters.State(ctx, in.CharacterID, eve.SectionSkills)
	if err != nil {
		return nil, err
	}
	attributes, err := s.attributes(ctx, in.CharacterID)
	if err != nil {
		return nil, err
	}
	ids := skillIDs(set.SkillSet)
	natures, err := s.config.SkillSets.SkillNatures(ctx, ids)
	if err != nil {
		return nil, err
	}
	for id := range natures {
		ids = append(ids, id)
	}
	skills, err := s.config.SkillSets.SkillsOf(ctx, []int64{in.CharacterID}, ids)
	if err != nil {
		return nil, err
	}
	found, err := s.config.Characters.Names(ctx, postgres.NameRequest{Types: ids})
	if err != nil {
		return nil, err
	}
	names, has := found.Types, skills[in.CharacterID]
	check := eve.CheckSkills(has, set.SkillSet)
	wanted := slices.Clone(check.Missing)
	for i, skill := range wanted {
		wanted[i].Required = skill.Highest()
	}
	training := eve.TrainingFor(wanted, has, attributes, natures)
	out := &MissingSkills{
		CharacterID: in.CharacterID, SkillSetID: set.ID, Name: set.Name, ObservedAt: section.ObservedAt, HasRequired: check.HasRequired(), HasRecommended: check.HasRecommended(),
		Skills:   standings(set.SkillSet, has, names),
		Missing:  failed(check.Missing, eve.SetSkill.Highest, has, names),
		Text:     check.MissingText(func(id int64) string { return names[id] }),
		Training: TrainingLeft{Skills: failed(training.Skills, requiredLevel, has, names), Points: training.Points, Seconds: training.Seconds},
		Traced:   tracedTo(section.Origin),
	}
	if err := s.trace(ctx, in.ProvenanceInput, &out.Traced); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, out)
}
