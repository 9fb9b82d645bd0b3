package api

import (
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
)

// SkillSet is a skill set.
type SkillSet struct {
	SkillSetID   uuid.UUID       `json:"skill_set_id"`
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	ShipTypeID   *int64          `json:"ship_type_id" doc:"The ship whose picture is shown; null for none. What it needs is not part of the set by itself."`
	ShipTypeName string          `json:"ship_type_name,omitempty" doc:"If it is known."`
	Visible      bool            `json:"visible" doc:"false: for auditors alone."`
	Skills       []SkillSetSkill `json:"skills" nullable:"false"`
	Groups       []SkillSetLabel `json:"groups" nullable:"false" doc:"The groups that it is in."`
	DefinedAt    time.Time       `json:"defined_at"`
	DefinedBy    string          `json:"defined_by"`
	Traced
}

// SkillSetSkill is a skill of a skill set.
type SkillSetSkill struct {
	TypeID      int64  `json:"type_id"`
	TypeName    string `json:"type_name,omitempty" doc:"If it is known."`
	Required    *int   `json:"required" doc:"The level that decides; null for none."`
	Recommended *int   `json:"recommended" doc:"The level that never decides; null for none."`
}

// SkillSetLabel names a group of skill sets.
type SkillSetLabel struct {
	SkillSetGroupID uuid.UUID `json:"skill_set_group_id"`
	Label           string    `json:"label" doc:"The name, with \"Doctrine: \" before that of a doctrine, and \" [Not active]\" behind that of a group that is not."`
}

// SkillSetGroup is a group of skill sets.
type SkillSetGroup struct {
	SkillSetGroupID uuid.UUID   `json:"skill_set_group_id"`
	Name            string      `json:"name"`
	Label           string      `json:"label" doc:"How it is shown."`
	Description     string      `json:"description"`
	Doctrine        bool        `json:"doctrine"`
	Active          bool        `json:"active" doc:"false changes only the label: its sets are checked and reported all the same."`
	SkillSetIDs     []uuid.UUID `json:"skill_set_ids" nullable:"false"`
	DefinedAt       time.Time   `json:"defined_at"`
	DefinedBy       string      `json:"defined_by"`
	Traced
}

// NewSkillSet is what a skill set is to be.
type NewSkillSet struct {
	Name        string     `json:"name" minLength:"1" maxLength:"100" doc:"Unique, without regard to case."`
	Description string     `json:"description,omitempty" maxLength:"10000"`
	ShipTypeID  *int64     `json:"ship_type_id,omitempty" minimum:"1" nullable:"true" doc:"The ship whose picture is shown."`
	Visible     *bool      `json:"visible,omitempty" doc:"Whether members are shown how they stand; true if it is left out."`
	Skills      []NewSkill `json:"skills" minItems:"1" maxItems:"1000" nullable:"false" doc:"Each skill once."`
}

// NewSkill is a skill that a set is to ask for.
type NewSkill struct {
	TypeID      int64  `json:"type_id,omitempty" minimum:"0" doc:"The skill, if it is not given by its name."`
	TypeName    string `json:"type_name,omitempty" maxLength:"200" doc:"Its English name, in any case; not looked at beside type_id."`
	Required    *int   `json:"required,omitempty" minimum:"1" maximum:"5" nullable:"true" doc:"One level, this or the other, must be there."`
	Recommended *int   `json:"recommended,omitempty" minimum:"1" maximum:"5" nullable:"true"`
}

// NewSkillSetGroup is what a group is to be.
type NewSkillSetGroup struct {
	Name        string      `json:"name" minLength:"1" maxLength:"100" doc:"Unique, without regard to case."`
	Description string      `json:"description,omitempty" maxLength:"10000"`
	Doctrine    bool        `json:"doctrine,omitempty"`
	Active      *bool       `json:"active,omitempty" doc:"true if it is left out."`
	SkillSetIDs []uuid.UUID `json:"skill_set_ids,omitempty" maxItems:"1000"`
}

// SkillText is a text to be read into a skill set.
type SkillText struct {
	Text        string `json:"text" minLength:"1" maxLength:"1000000" doc:"The fitting or the skill plan."`
	Name        string `json:"name,omitempty" maxLength:"100" doc:"What the set is called. A fitting has a name of its own."`
	Description string `json:"description,omitempty" maxLength:"10000"`
	Visible     *bool  `json:"visible,omitempty" doc:"true if it is left out."`
	Overwrite   bool   `json:"overwrite,omitempty" doc:"Replace the set that has the name already; without it the answer is then 409."`
	DryRun      bool   `json:"dry_run,omitempty" doc:"Only read the text."`
}

// SkillSetChange is what a decision on a skill set or a group came to.
type SkillSetChange struct {
	SkillSetID      *uuid.UUID `json:"skill_set_id,omitempty"`
	SkillSetGroupID *uuid.UUID `json:"skill_set_group_id,omitempty"`
	Changed         bool       `json:"changed" doc:"false if it was so already."`
	Version         int64      `json:"version" doc:"The number of the last decision on skill sets and groups."`
}

// ImportedSkillSet is what was read from a text.
type ImportedSkillSet struct {
	SkillSetID *uuid.UUID        `json:"skill_set_id,omitempty" doc:"Absent from a dry run."`
	Changed    bool              `json:"changed"`
	Version    int64             `json:"version" doc:"0 in a dry run."`
	Name       string            `json:"name"`
	ShipTypeID *int64            `json:"ship_type_id"`
	Skills     []SkillSetSkill   `json:"skills" nullable:"false"`
	Ignored    []eve.IgnoredLine `json:"ignored" nullable:"false" doc:"Lines of which nothing, or not all, came into the set."`
}

// FailedSkill is a level that a character does not reach.
type FailedSkill struct {
	TypeID   int64  `json:"type_id"`
	TypeName string `json:"type_name,omitempty" doc:"If it is known."`
	Level    int    `json:"level"`
	Active   int    `json:"active_skill_level" doc:"What counts; 0 without the skill."`
	Trained  int    `json:"trained_skill_level" doc:"Higher than the active level for an Alpha clone."`
}

// CharacterSkillSet is how a character stands to a skill set.
type CharacterSkillSet struct {
	SkillSetID        uuid.UUID       `json:"skill_set_id"`
	Name              string          `json:"name"`
	ShipTypeID        *int64          `json:"ship_type_id"`
	ShipTypeName      string          `json:"ship_type_name,omitempty" doc:"If it is known."`
	Groups            []SkillSetLabel `json:"groups" nullable:"false"`
	HasRequired       bool            `json:"has_required" doc:"Whether the set is passed."`
	HasRecommended    bool            `json:"has_recommended" doc:"Never decides."`
	FailedRequired    []FailedSkill   `json:"failed_required" nullable:"false"`
	FailedRecommended []FailedSkill   `json:"failed_recommended" nullable:"false"`
	// Traced is about the definition of the set; what the section is traced to are the
	// skills.
	Traced
}

// SkillSetsSection is the section skill-sets: what follows from a character's skills.
type SkillSetsSection struct {
	SectionHead
	Page[CharacterSkillSet]
}

// MissingSkills are what a character lacks for a skill set.
type MissingSkills struct {
	CharacterID int64     `json:"character_id"`
	SkillSetID  uuid.UUID `json:"skill_set_id"`
	Name        string    `json:"name"`
	// The state of the skills that it was checked against.
	ObservedAt     *time.Time      `json:"observed_at" doc:"When the skills were last seen to change; null if they were never read, so that all are missing."`
	HasRequired    bool            `json:"has_required"`
	HasRecommended bool            `json:"has_recommended"`
	Skills         []SkillStanding `json:"skills" nullable:"false" doc:"All skills of the set, also those that are there."`
	Missing        []FailedSkill   `json:"missing" nullable:"false" doc:"Each skill once, with the higher of both levels."`
	Text           string          `json:"text" doc:"The same as a skill plan for the clipboard of EVE: \"Gunnery IV\" in each line."`
	Training       TrainingLeft    `json:"training"`
	// Traced is about the skills.
	Traced
}

// SkillStanding is how a character stands to a skill of a set.
type SkillStanding struct {
	SkillSetSkill

	Active  int    `json:"active_skill_level" doc:"What counts; 0 without the skill."`
	Trained int    `json:"trained_skill_level" doc:"Higher than the active level for an Alpha clone."`
	Met     string `json:"met" enum:"full,partial,none" doc:"none: the required level is not reached. partial: the recommended one is not."`
}

// TrainingLeft is what is left to be trained.
type TrainingLeft struct {
	Skills  []FailedSkill `json:"skills" nullable:"false" doc:"The levels to train, with what they need themselves."`
	Points  int64         `json:"skill_points"`
	Seconds *int64        `json:"seconds" doc:"As an Omega clone with the present attributes and implants; null if attributes or the rank of a skill are not known."`
}

// SkillSetReport tells of a skill set who has it, and who comes closest.
type SkillSetReport struct {
	SkillSetID uuid.UUID       `json:"skill_set_id"`
	Name       string          `json:"name"`
	Visible    bool            `json:"visible"`
	Groups     []SkillSetLabel `json:"groups" nullable:"false"`
	Characters int             `json:"characters" doc:"How many were checked."`
	Unread     int             `json:"unread" doc:"Of how many of them the skills were never read; they count as having none."`
	Passed     int             `json:"passed" doc:"How many have all required levels."`
	Who        []SkillHolder   `json:"who" nullable:"false" doc:"Who they are, by id; at most as many as were asked for."`
	Closest    []CloseHolder   `json:"closest" nullable:"false" doc:"Those who lack the least, by the time that is left to train."`
	// Traced is about the definition of the set; what is counted is of the skills of many.
	Traced
}

// SkillHolder is a character in a report.
type SkillHolder struct {
	CharacterID   int64  `json:"character_id"`
	Name          string `json:"name"`
	CorporationID int64  `json:"corporation_id"`
	AllianceID    *int64 `json:"alliance_id"`
	UserID        string `json:"user_id"`
	State         string `json:"state" doc:"The state of the owner."`
	MainID        *int64 `json:"main_id"`
	MainName      string `json:"main_name,omitempty"`
}

// CloseHolder is a character that lacks something.
type CloseHolder struct {
	SkillHolder

	FailedRequired []FailedSkill `json:"failed_required" nullable:"false"`
	Points         int64         `json:"skill_points" doc:"What is left to train, with what the skills need themselves. 0: all is trained, but not active."`
	Seconds        *int64        `json:"seconds" doc:"As an Omega clone with the present attributes and implants; null if it cannot be told."`
}

// SkillSetInput is what a single skill set or group takes.
type SkillSetInput struct {
	Conditional
	ProvenanceInput

	ID uuid.UUID `path:"id" format:"uuid" doc:"Its id."`
}

type skillSetsInput struct {
	PageInput
	ProvenanceInput

	GroupID string `query:"group_id" format:"uuid" doc:"Only sets in this group."`
	Name    string `query:"name" maxLength:"100" doc:"A part of the name, in any case."`
}

// Expecting is what decisions on skill sets take.
type Expecting struct {
	ExpectedVersion int64 `query:"expected_version" minimum:"-1" default:"-1" doc:"The version that the sender has seen: if it is another by now the answer is 409. -1 expects nothing."`
}

func (e Expecting) version() *int64 {
	if e.ExpectedVersion < 0 {
		return nil
	}
	return &e.ExpectedVersion
}

type newSkillSetInput struct {
	Expecting

	Overwrite bool `query:"overwrite" doc:"Replace the set that has the name already."`
	Body      NewSkillSet
}

type replaceSkillSetInput struct {
	Expecting

	ID   uuid.UUID `path:"id" format:"uuid" doc:"The set's id."`
	Body NewSkillSet
}

type newGroupInput struct {
	Expecting

	Body NewSkillSetGroup
}

type replaceGroupInput struct {
	Expecting

	ID   uuid.UUID `path:"id" format:"uuid" doc:"The group's id."`
	Body NewSkillSetGroup
}

type removeSkillSetInput struct {
	Expecting

	ID     uuid.UUID `path:"id" format:"uuid" doc:"Its id."`
	Reason string    `query:"reason" maxLength:"2000" doc:"Why; it is kept in the log."`
}

type skillTextInput struct {
	Expecting

	Body SkillText
}

type missingInput struct {
	Conditional
	ProvenanceInput

	ID          uuid.UUID `path:"id" format:"uuid" doc:"The set's id."`
	CharacterID int64     `query:"character_id" minimum:"1" required:"true" doc:"Who is asked about."`
}

type skillSetGroupsInput struct {
	PageInput
	ProvenanceInput
}

type skillSetReportInput struct {
	PageInput
	ProvenanceInput

	SkillSetID    string `query:"skill_set_id" format:"uuid" doc:"Only this set."`
	GroupID       string `query:"group_id" format:"uuid" doc:"Only sets in this group."`
	CorporationID int64  `query:"corporation_id" minimum:"1" doc:"Only characters in this corporation."`
	AllianceID    int64  `query:"alliance_id" minimum:"1" doc:"Only characters in this alliance."`
	Who           int    `query:"who" minimum:"0" maximum:"10000" default:"1000" doc:"How many of those who pass a set are listed."`
	Closest       int    `query:"closest" minimum:"0" maximum:"100" default:"5" doc:"How many of those who come closest are listed."`
}

type skillSetChanged struct {
	Status int
	Body   *SkillSetChange
}

type skillTextRead struct {
	Status int
	Body   *ImportedSkillSet
}

type skillSetsOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *SkillSetsSection
}
