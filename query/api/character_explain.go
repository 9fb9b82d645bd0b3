package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
)

// ExplainedStep is one thing that an explanation rests on, and the event that shows it.
type ExplainedStep struct {
	At      time.Time `json:"at" doc:"When ESI was asked, when it was decided, or when the record says that it happened."`
	Kind    string    `json:"kind" example:"moved"`
	Section string    `json:"section,omitempty" example:"assets" doc:"The section that it shows in; left out for what concerns the character as a whole."`
	Words   string    `json:"words" doc:"What it was, as a sentence." example:"Quantity changed from 100 to 60."`
	Actor   string    `json:"actor,omitempty" doc:"Who decided it."`
	Provenance
}

// TypeSum is what the entries of one kind come to.
type TypeSum struct {
	RefType string `json:"ref_type" example:"market_escrow"`
	Entries int    `json:"entries" example:"3"`
	Sum     Money  `json:"sum"`
}

// BalanceExplanation is why the balance of a wallet is what it is.
type BalanceExplanation struct {
	CharacterID int64           `json:"character_id" example:"90000001"`
	Verdict     string          `json:"verdict" enum:"accounted_for,differs,unknown" doc:"differs: the entries do not account for the balance, and breaks say where. unknown: there are no entries."`
	Since       *time.Time      `json:"since" doc:"When the first of the breaks began; null for none."`
	Narrative   []string        `json:"narrative" nullable:"false" doc:"The explanation in sentences."`
	Opening     *Money          `json:"opening_balance" doc:"Before the first of the entries; null if not known."`
	Closing     *Money          `json:"closing_balance" doc:"After the last of them; null if not known."`
	Entries     int             `json:"entries"`
	Income      Money           `json:"income"`
	Expense     Money           `json:"expense" doc:"As a positive amount."`
	Missing     Money           `json:"missing" doc:"What the entries do not account for: opening balance, income and this, less expense, is the closing balance."`
	Types       []TypeSum       `json:"types" nullable:"false" doc:"The entries by kind, those that moved most first."`
	Breaks      []LedgerBreak   `json:"breaks" nullable:"false" doc:"The oldest first."`
	Steps       []ExplainedStep `json:"steps" nullable:"false" doc:"Entries, breaks and their causes, the oldest first, each with its event. kind: entry, cause, before (why nothing is known of before), or that of a break."`
	Omitted     int             `json:"steps_omitted" doc:"How many in the middle are left out."`
}

// AssetPlace is where an asset was seen.
type AssetPlace struct {
	LocationID   int64   `json:"location_id" example:"60003760" doc:"A station, structure or solar system, or the item that it is in."`
	LocationName string  `json:"location_name,omitempty"`
	LocationType string  `json:"location_type" example:"station"`
	LocationFlag string  `json:"location_flag" example:"Hangar"`
	Quantity     int64   `json:"quantity" example:"100"`
	In           []int64 `json:"in_items" nullable:"false" doc:"The items that it is in, the nearest first."`
}

// AssetMatch is something that may have taken an asset away.
type AssetMatch struct {
	ExplainedStep

	Quantity int64 `json:"quantity" doc:"How many of the type it was about."`
	Exact    bool  `json:"exact" doc:"It was about just as many as are gone."`
	Certain  bool  `json:"certain" doc:"ESI names this very item. Of all others it only names the type: that they took this item is possible, not known."`
}

// AssetLoss is that an asset, or a part of it, was gone between two readings.
type AssetLoss struct {
	After    time.Time    `json:"after" doc:"When it was last seen."`
	Before   time.Time    `json:"before" doc:"When it was first not seen any more."`
	Quantity int64        `json:"quantity"`
	Whole    bool         `json:"whole" doc:"Nothing was left."`
	Matches  []AssetMatch `json:"matches" nullable:"false" doc:"What may have become of it, the likeliest first."`
}

// AssetExplanation is where an asset went.
type AssetExplanation struct {
	CharacterID int64           `json:"character_id" example:"90000001"`
	ItemID      int64           `json:"item_id" example:"1000000016835"`
	TypeID      int64           `json:"type_id" example:"34"`
	TypeName    string          `json:"type_name,omitempty" example:"Tritanium"`
	Verdict     string          `json:"verdict" enum:"there,aboard,gone" doc:"there: the last reading lists it. aboard: it is the ship that the character was last seen in. gone: the last readings do not list it."`
	Since       time.Time       `json:"since" doc:"Since when it is where it is, or since when it is gone."`
	Narrative   []string        `json:"narrative" nullable:"false" doc:"The explanation in sentences."`
	Last        AssetPlace      `json:"last_place"`
	LastAt      time.Time       `json:"last_seen_at" doc:"The last reading that brought something new and lists it."`
	Losses      []AssetLoss     `json:"losses" nullable:"false" doc:"The oldest first."`
	Steps       []ExplainedStep `json:"steps" nullable:"false" doc:"What was seen of it, the oldest first, each with its event."`
	Omitted     int             `json:"steps_omitted" doc:"How many in the middle are left out."`
	NotShown    []string        `json:"sections_not_shown" nullable:"false" doc:"Sections that you may not see, in which there may be more."`

	shows []string
}

// alsoShown are the sections beside the assets that are shown of the character.
func (x *AssetExplanation) alsoShown() []string { return x.shows }

// SkillLack is a skill of a set that a character lacks.
type SkillLack struct {
	TypeID   int64         `json:"type_id" example:"3300"`
	TypeName string        `json:"type_name,omitempty" example:"Gunnery"`
	Required int           `json:"required" example:"5"`
	Active   int           `json:"active" example:"4"`
	Trained  int           `json:"trained" example:"4"`
	Cause    string        `json:"cause" enum:"not_injected,not_trained,lost,inactive,set_changed" doc:"lost: it was trained so far once. inactive: it is trained so far, and the clone may not use it. set_changed: it was enough until the set asked for more."`
	Since    time.Time     `json:"since"`
	By       ExplainedStep `json:"by" doc:"What it is lacking by."`
}

// SkillSetExplanation is why a character meets a skill set or does not.
type SkillSetExplanation struct {
	CharacterID  int64           `json:"character_id" example:"90000001"`
	SkillSetID   uuid.UUID       `json:"skill_set_id"`
	SkillSetName string          `json:"skill_set_name" example:"Gunners"`
	Verdict      string          `json:"verdict" enum:"met,no_longer_met,never_met,unknown" doc:"By the required levels. unknown: the skills were never read."`
	Since        *time.Time      `json:"since" doc:"Since when that is known to be so; null if it is unknown."`
	Narrative    []string        `json:"narrative" nullable:"false" doc:"The explanation in sentences."`
	Lacks        []SkillLack     `json:"lacks" nullable:"false"`
	Steps        []ExplainedStep `json:"steps" nullable:"false" doc:"What changed of the set and of the skills that it asks for, the oldest first, each with its event."`
	Omitted      int             `json:"steps_omitted" doc:"How many in the middle are left out."`
}

// explanation is an answer that explains. It is made anew whenever somebody asks.
type explanation[T any] struct{ Body *T }

// spanning is what shows more sections of a character than the one that was asked for.
type spanning interface{ alsoShown() []string }

// alsoShown implements [spanning].
func (a *explanation[T]) alsoShown() []string {
	if a != nil {
		if body, is := any(a.Body).(spanning); is {
			return body.alsoShown()
		}
	}
	return nil
}

type explainBalanceInput struct {
	ID    int64     `path:"id" minimum:"1" doc:"The character's id."`
	Since time.Time `query:"since" doc:"Only entries at this moment or later, and breaks that touch it."`
	Until time.Time `query:"until" doc:"Only entries before this moment, and breaks that touch it."`
	Entry int64     `query:"entry" minimum:"1" doc:"Only the break before or after the journal entry with this id."`
}

type explainAssetInput struct {
	ID     int64 `path:"id" minimum:"1" doc:"The character's id."`
	ItemID int64 `path:"item_id" minimum:"1" doc:"The item's id."`
}

type explainSkillSetInput struct {
	ID         int64     `path:"id" minimum:"1" doc:"The character's id."`
	SkillSetID uuid.UUID `path:"skill_set_id" format:"uuid" doc:"The skill set's id."`
}

// registerCharacterExplanations serves why records of characters disagree.
func (s *Server) registerCharacterExplanations() {
	op := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Path: characterPath + path, Tags: []string{tagCharacters}, Summary: summary, Description: description, Errors: []int{http.StatusNotFound}}
	}
	read := access.ActionReadCharacters
	register(s, read, op("explain-balance", "/ledger/explain", "Why the balance of a wallet differs, from the log",
		"Which entries moved it between two moments, where they do not account for it, and the events that say why."), s.explainBalance)
	register(s, read, op("explain-asset", "/assets/{item_id}/explain", "Where an asset went, from the log",
		"Where it was seen over time, between which two readings it was gone, and what else happened to its type just then. What may have taken it is taken from the other sections that you may see, and is never said to be certain unless ESI names the item."), s.explainAsset)
	register(s, read, op("explain-skill-set", "/skill-sets/{skill_set_id}/explain", "Why a character does not meet a skill set any more, from the log",
		"By which skill, since when, and whether the character lost it, may not use it as an Alpha clone, or the set asks for more. Of a set that members did not see once, its story begins where they do."), s.explainSkillSet)
}

// lifeOf is what the log tells of a registered character, of some sections.
func (s *Server) lifeOf(ctx context.Context, id int64, sections ...eve.Section) ([]eve.Fact, error) {
	life, err := s.config.Past.Life(ctx, id, sections...)
	if err != nil {
		return nil, err
	}
	if err := life.Registered(id); err != nil {
		return nil, err
	}
	return eveFacts(life.Facts), nil
}

func eveFacts(told []history.Fact) []eve.Fact {
	facts := make([]eve.Fact, len(told))
	for i, f := range told {
		facts[i] = eve.Fact(f)
	}
	return facts
}

func (s *Server) explainBalance(ctx context.Context, in *explainBalanceInput) (*explanation[BalanceExplanation], error) {
	if !in.Since.IsZero() && !in.Until.IsZero() && !in.Since.Before(in.Until) {
		return nil, event.Errorf(event.CodeInvalid, "until: must be after since, %s", in.Since.UTC().Format(time.RFC3339))
	}
	facts, err := s.lifeOf(ctx, in.ID, eve.SectionWalletJournal, eve.SectionWallet)
	if err != nil {
		return nil, err
	}
	x, err := eve.ExplainBalance(facts, eve.BalanceQuestion{Since: in.Since, Until: in.Until, Entry: in.Entry})
	if err != nil {
		return nil, unlessMissing(err)
	}
	out := &BalanceExplanation{
		CharacterID: in.ID, Verdict: string(x.Verdict), Since: optional(x.Since), Narrative: x.Words, Opening: optionalISK(x.Opening), Closing: optionalISK(x.Closing),
		Entries: x.Entries, Income: isk(x.Income), Expense: isk(x.Expense), Missing: isk(x.Missing), Types: []TypeSum{}, Breaks: []LedgerBreak{},
		Steps: showSteps(x.Steps, postgres.Names{}), Omitted: x.Omitted,
	}
	for _, sum := range x.Types {
		out.Types = append(out.Types, TypeSum{RefType: sum.RefType, Entries: sum.Entries, Sum: isk(sum.Sum)})
	}
	for _, b := range x.Breaks {
		out.Breaks = append(out.Breaks, showBreak(b))
	}
	return &explanation[BalanceExplanation]{out}, nil
}

// unlessMissing is an error of the domain as the API tells it: what cannot be read is
// nobody's fault who asks, what is not there may be.
func unlessMissing(err error) error {
	if event.CodeOf(err) == event.CodeNotFound {
		return err
	}
	return internal(err)
}

func (s *Server) explainAsset(ctx context.Context, in *explainAssetInput) (*explanation[AssetExplanation], error) {
	sections, hidden := []eve.Section{}, []string{}
	for _, section := range eve.AssetSections() {
		seen, err := s.sees(ctx, in.ID, section)
		switch {
		case err != nil:
			return nil, err
		case seen || section == eve.SectionAssets:
			sections = append(sections, section)
		default:
			hidden = append(hidden, string(section))
		}
	}
	facts, err := s.lifeOf(ctx, in.ID, sections...)
	if err != nil {
		return nil, err
	}
	x, err := eve.ExplainAsset(in.ID, in.ItemID, facts)
	if err != nil {
		return nil, unlessMissing(err)
	}
	said := [][]eve.Part{x.Words}
	for _, step := range x.Steps {
		said = append(said, step.Words)
	}
	for _, loss := range x.Losses {
		for _, m := range loss.Matches {
			said = append(said, m.Words)
		}
	}
	names, err := s.namesOf(ctx, append(said, []eve.Part{{Kind: eve.FieldType, ID: x.TypeID}, {Kind: eve.FieldLocation, ID: x.Last.LocationID}})...)
	if err != nil {
		return nil, err
	}
	out := &AssetExplanation{
		CharacterID: in.ID, ItemID: x.ItemID, TypeID: x.TypeID, TypeName: names.Types[x.TypeID], Verdict: string(x.Verdict), Since: x.Since, Narrative: []string{inWords(x.Words, names)},
		Last: AssetPlace{
			LocationID: x.Last.LocationID, LocationName: names.Locations[x.Last.LocationID], LocationType: x.Last.LocationType, LocationFlag: x.Last.Flag, Quantity: x.Last.Quantity, In: some(x.Last.In),
		},
		LastAt: x.LastAt, Losses: []AssetLoss{}, Steps: showSteps(x.Steps, names), Omitted: x.Omitted, NotShown: hidden,
	}
	if x.Verdict == eve.AssetAboard {
		out.shows = append(out.shows, string(eve.SectionShip))
	}
	for _, loss := range x.Losses {
		shown := AssetLoss{After: loss.After, Before: loss.Before, Quantity: loss.Quantity, Whole: loss.Whole, Matches: []AssetMatch{}}
		for _, m := range loss.Matches {
			shown.Matches = append(shown.Matches, AssetMatch{ExplainedStep: showStep(m.Step, names), Quantity: m.Quantity, Exact: m.Exact, Certain: m.Certain})
			if section := string(m.Section); m.Section != eve.SectionAssets && !slices.Contains(out.shows, section) {
				out.shows = append(out.shows, section)
			}
		}
		out.Losses = append(out.Losses, shown)
	}
	return &explanation[AssetExplanation]{out}, nil
}

func (s *Server) explainSkillSet(ctx context.Context, in *explainSkillSetInput) (*explanation[SkillSetExplanation], error) {
	set, _, err := s.skillSet(ctx, in.SkillSetID)
	if err != nil {
		return nil, err
	}
	facts, err := s.lifeOf(ctx, in.ID, eve.SectionSkills)
	if err != nil {
		return nil, err
	}
	told, err := s.config.Past.Read(ctx, event.TopicEVE, event.Org, time.Time{})
	if err != nil {
		return nil, err
	}
	x, err := eve.ExplainSkillSet(set.ID, definitionsOf(set.ID, eveFacts(told.Facts), seesAll(ctx)), facts)
	if err != nil {
		return nil, unlessMissing(err)
	}
	said := [][]eve.Part{x.Words}
	for _, step := range x.Steps {
		said = append(said, step.Words)
	}
	for _, lack := range x.Lacks {
		said = append(said, lack.Step.Words, []eve.Part{{Kind: eve.FieldType, ID: lack.TypeID}})
	}
	names, err := s.namesOf(ctx, said...)
	if err != nil {
		return nil, err
	}
	out := &SkillSetExplanation{
		CharacterID: in.ID, SkillSetID: set.ID, SkillSetName: x.Set.Name, Verdict: string(x.Verdict), Since: optional(x.Since), Narrative: []string{inWords(x.Words, names)},
		Lacks: []SkillLack{}, Steps: showSteps(x.Steps, names), Omitted: x.Omitted,
	}
	for _, lack := range x.Lacks {
		out.Lacks = append(out.Lacks, SkillLack{
			TypeID: lack.TypeID, TypeName: names.Types[lack.TypeID], Required: int(lack.Required), Active: lack.State.Active, Trained: lack.State.Trained,
			Cause: string(lack.Cause), Since: lack.Since, By: showStep(lack.Step, names),
		})
		out.Narrative = append(out.Narrative, inWords(lack.Step.Words, names))
	}
	return &explanation[SkillSetExplanation]{out}, nil
}

// definitionsOf are the facts about a skill set. For somebody who does not see those that
// are hidden from members they begin where this one was hidden last.
func definitionsOf(id uuid.UUID, facts []eve.Fact, all bool) []eve.Fact {
	var of []eve.Fact
	for _, f := range facts {
		switch p := f.Payload.(type) {
		case eve.SkillSetDefined:
			if p.SkillSetID != id {
				continue
			}
			if !all && !p.Visible {
				of = nil
				continue
			}
			of = append(of, f)
		case eve.SkillSetRemoved:
			if p.SkillSetID == id {
				of = append(of, f)
			}
		}
	}
	return of
}

func showSteps(steps []eve.Step, names postgres.Names) []ExplainedStep {
	shown := make([]ExplainedStep, len(steps))
	for i, step := range steps {
		shown[i] = showStep(step, names)
	}
	return shown
}

func showStep(step eve.Step, names postgres.Names) ExplainedStep {
	return ExplainedStep{
		At: step.At, Kind: step.Kind, Section: string(step.Section), Words: inWords(step.Words, names), Actor: step.Actor, Provenance: provenanceAt(step.EventID, step.Position),
	}
}

func provenanceAt(id uuid.UUID, at event.Position) Provenance {
	return Provenance{EventID: id, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset}
}

// namesOf looks up the names of what is said.
func (s *Server) namesOf(ctx context.Context, said ...[]eve.Part) (postgres.Names, error) {
	var told []happened
	for _, words := range said {
		told = append(told, happened{Happening: eve.Happening{Words: words}})
	}
	names, err := s.namesIn(ctx, told)
	if err != nil {
		return names, fmt.Errorf("looking up the names of an explanation: %w", err)
	}
	return names, nil
}
