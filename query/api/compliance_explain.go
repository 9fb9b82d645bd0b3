package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
)

const explainCompliancePath = "/v1/reports/compliance/users/{user_id}/explain"

// ComplianceStep is one thing that bears on a user's compliance, and the event that shows
// it.
type ComplianceStep struct {
	At          time.Time   `json:"at"`
	Kind        string      `json:"kind" enum:"main_set,main_taken_back,listed,unlisted,registered,removed,login_lost,login_back,compliant,not_compliant"`
	CharacterID *int64      `json:"character_id,omitempty" example:"90000001"`
	Words       string      `json:"words" example:"Character 90000002 (Bruce) is on the list of what the user owns."`
	Actor       string      `json:"actor,omitempty" doc:"Who decided it."`
	Event       *Provenance `json:"event,omitempty" doc:"The event; absent if it is of a character that you may not open."`
}

// ExplainedReason is one thing to be put right, and by what it came to be so.
type ExplainedReason struct {
	CharacterID   *int64          `json:"character_id,omitempty" example:"90000002" doc:"Absent for what is not about a character."`
	CharacterName string          `json:"character_name,omitempty" example:"Bruce"`
	Fault         string          `json:"fault,omitempty" enum:"no_main,never_registered,login_lost" doc:"As the report has it; absent for what it does not count."`
	Cause         string          `json:"cause" enum:"no_main,never_registered,removed,token,scopes,hidden" doc:"removed: it has no owner any more. token: its login does not work. scopes: its login lacks scopes. hidden: you may not open the character, so only the report's word is told."`
	Decides       bool            `json:"decides" doc:"He is not compliant by it. The others are only worth knowing."`
	Since         *time.Time      `json:"since" doc:"When it began; null if that is not known."`
	Words         string          `json:"words"`
	By            *ComplianceStep `json:"by,omitempty" doc:"What it came to be so by, if that is known and may be told."`
}

// ComplianceExplanation is why a user is compliant or is not.
type ComplianceExplanation struct {
	User      string            `json:"user" example:"ada"`
	Verdict   string            `json:"verdict" enum:"compliant,not_compliant"`
	Since     *time.Time        `json:"since" doc:"The moment that it changed; null if the log tells nothing of him."`
	Narrative []string          `json:"narrative" nullable:"false" doc:"The explanation in sentences."`
	Reasons   []ExplainedReason `json:"reasons" nullable:"false"`
	Steps     []ComplianceStep  `json:"steps" nullable:"false" doc:"What bears on it, the oldest first, each with its event."`
	Omitted   int               `json:"steps_omitted" doc:"How many in the middle are left out."`
	Hidden    int               `json:"characters_hidden" doc:"Characters whose own events are left out, for you may not open them."`
	Verified  bool              `json:"verified" doc:"The report and the log say the same."`
	Differs   string            `json:"differs,omitempty" doc:"What differs."`
}

type explainComplianceInput struct {
	UserID string `path:"user_id" maxLength:"200" doc:"The user's id."`
}

func (s *Server) registerComplianceExplanation() {
	register(s, access.ActionReadReports, huma.Operation{
		OperationID: "explain-compliance", Path: explainCompliancePath, Tags: []string{tagReports}, Summary: "Why a user is not compliant, and since when, from the log", Errors: []int{http.StatusNotFound},
		Description: "Which characters, what happened to each, the moment at which it changed and the event that did it. Only of users that the caller's reports may show. Of characters that he may not open he is told what the report says, and none of their events but those from when they were his own.",
	}, s.explainCompliance)
}

func (s *Server) explainCompliance(ctx context.Context, in *explainComplianceInput) (*explanation[ComplianceExplanation], error) {
	found, err := s.config.Compliance.ComplianceOfUsers(ctx, postgres.ComplianceFilter{Audience: audience(ctx), UserID: in.UserID, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || found[0].User != in.UserID {
		return nil, event.Errorf(event.CodeNotFound, "the reports that you may see have no user %q", in.UserID)
	}
	opens, err := s.opens(ctx)
	if err != nil {
		return nil, err
	}
	told, err := s.config.Past.Read(ctx, event.TopicAccess, event.User(in.UserID), time.Time{})
	if err != nil {
		return nil, err
	}
	facts := make([]access.Fact, len(told.Facts))
	for i, f := range told.Facts {
		facts[i] = access.Fact(f)
	}
	stories, err := s.storiesOf(ctx, found[0], facts)
	if err != nil {
		return nil, err
	}
	x := access.ExplainCompliance(in.UserID, facts, stories)
	out := &ComplianceExplanation{User: in.UserID, Differs: disagreement(x, found[0])}
	out.Verified = out.Differs == ""
	viewer := ""
	if v := viewerOf(ctx); v != nil {
		viewer = v.UserID
	}
	out.show(x.For(viewer, opens))
	return &explanation[ComplianceExplanation]{out}, nil
}

// opens tells which characters who asks may open.
func (s *Server) opens(ctx context.Context) (func(int64) bool, error) {
	v := viewerOf(ctx)
	if v == nil || v.View().Everything {
		return func(int64) bool { return true }, nil
	}
	opened, err := s.config.Characters.Opened(ctx, v.View())
	if err != nil {
		return nil, err
	}
	return func(id int64) bool {
		_, there := slices.BinarySearch(opened, id)
		return there
	}, nil
}

// storiesOf are what the log tells of the characters that bear on a user's compliance: all
// that were ever on his list, his mains, and those that the report names.
func (s *Server) storiesOf(ctx context.Context, u postgres.UserCompliance, facts []access.Fact) ([]access.CharacterStory, error) {
	names := map[int64]string{}
	for _, f := range facts {
		switch p := f.Payload.(type) {
		case access.CharactersListed:
			for _, c := range p.Characters {
				names[c.CharacterID] = c.Name
			}
		case access.MainSet:
			if p.CharacterID != nil {
				names[*p.CharacterID] += ""
			}
		}
	}
	for _, why := range u.Why {
		if why.CharacterID != 0 && (why.Name != "" || names[why.CharacterID] == "") {
			names[why.CharacterID] = why.Name
		}
	}
	var stories []access.CharacterStory
	for _, id := range slices.Sorted(maps.Keys(names)) {
		// The sections do not matter, but their failures do; details are small.
		life, err := s.config.Past.Life(ctx, id, eve.SectionDetails)
		if err != nil {
			return nil, err
		}
		story := storyOf(id, names[id], life)
		if story.Lacking, err = s.lacking(ctx, id, u.User); err != nil {
			return nil, err
		}
		stories = append(stories, story)
	}
	return stories, nil
}

// lacking are the sections of a user's character that he has not consented to.
func (s *Server) lacking(ctx context.Context, id int64, user string) ([]string, error) {
	c, states, err := s.config.Characters.Character(ctx, id)
	if event.CodeOf(err) == event.CodeNotFound {
		return nil, nil
	}
	if err != nil || c.UserID != user {
		return nil, err
	}
	var sections []string
	for _, state := range states {
		if state.Status == postgres.SectionNotConsented {
			sections = append(sections, string(state.Section))
		}
	}
	return sections, nil
}

// storyOf is what happened to a character that bears on compliance.
func storyOf(id int64, name string, life history.Life) access.CharacterStory {
	story := access.CharacterStory{ID: id, Name: name}
	owner, lost := "", map[eve.Section]bool{}
	for _, f := range life.Facts {
		step := access.CharacterStep{At: f.Time.UTC(), UserID: owner, Actor: f.Actor, EventID: f.ID, Position: f.Position}
		switch p := f.Payload.(type) {
		case eve.CharacterRegistered:
			owner = p.UserID
			step.Kind, step.UserID, step.Words = access.CharacterClaimed, owner, fmt.Sprintf("registered by user %s.", owner)
		case eve.CharacterReclaimed:
			owner = p.UserID
			step.Kind, step.UserID, step.Words = access.CharacterClaimed, owner, fmt.Sprintf("user %s has given a new login.", owner)
		case eve.CharacterOrphaned:
			step.Kind, step.Words = access.CharacterRemoved, fmt.Sprintf("has no owner any more (%s).", p.Reason)
			owner = ""
		case eve.SectionFailed:
			if p.Class != eve.FailureToken {
				if step = back(step, p.Section, lost); step.Kind == "" {
					continue
				}
				break
			}
			if !p.Since.IsZero() && p.Since.Before(step.At) {
				step.At = p.Since.UTC()
			}
			lost[p.Section] = true
			step.Kind, step.Section, step.Words = access.CharacterLoginLost, string(p.Section), fmt.Sprintf("section %s cannot be read: %s.", p.Section, strings.TrimSuffix(p.Message, "."))
		case eve.SectionRecovered:
			if step = back(step, p.Section, lost); step.Kind == "" {
				continue
			}
		default:
			continue
		}
		story.Steps = append(story.Steps, step)
	}
	return story
}

// back makes a step of a section whose login works again; its kind is empty if it did all
// the time.
func back(step access.CharacterStep, section eve.Section, lost map[eve.Section]bool) access.CharacterStep {
	if !lost[section] {
		return step
	}
	delete(lost, section)
	step.Kind, step.Section, step.Words = access.CharacterLoginBack, string(section), fmt.Sprintf("the login works again for section %s.", section)
	return step
}

// disagreement says in what the log and the report differ; empty if they do not.
func disagreement(x access.ComplianceExplanation, u postgres.UserCompliance) string {
	if x.Compliant != u.Compliant {
		return fmt.Sprintf("compliant is %v in the log and %v in the report, which may be behind", x.Compliant, u.Compliant)
	}
	deciding := func(r access.Reason) bool {
		return r.Fault == access.FaultNoMain || r.Fault == access.FaultNeverRegistered
	}
	var log, report []access.Reason
	for _, r := range x.Reasons {
		if r.Decides || deciding(r.Reason) {
			log = append(log, r.Reason)
		}
	}
	for _, why := range u.Why {
		// A login that was lost decides only for a character that is not registered, which
		// the report does not tell apart.
		if deciding(why.Reason) || slices.Contains(log, why.Reason) {
			report = append(report, why.Reason)
		}
	}
	if !slices.Equal(log, report) {
		return fmt.Sprintf("what decides is %v in the log and %v in the report, which may be behind", log, report)
	}
	return ""
}

func (out *ComplianceExplanation) show(x access.ComplianceExplanation) {
	out.Verdict, out.Since, out.Narrative = "not_compliant", optional(x.Since), []string{x.Words}
	if x.Compliant {
		out.Verdict = "compliant"
	}
	out.Reasons, out.Steps, out.Omitted, out.Hidden = []ExplainedReason{}, []ComplianceStep{}, x.Omitted, x.Hidden
	for _, r := range x.Reasons {
		shown := ExplainedReason{
			CharacterID: optional(r.CharacterID), CharacterName: r.Name, Fault: string(r.Fault), Cause: string(r.Cause), Decides: r.Decides, Since: optional(r.Since), Words: r.Words,
		}
		if r.By != nil {
			shown.By = new(showComplianceStep(*r.By))
		}
		out.Reasons = append(out.Reasons, shown)
		out.Narrative = append(out.Narrative, r.Words)
	}
	for _, step := range x.Steps {
		out.Steps = append(out.Steps, showComplianceStep(step))
	}
}

func showComplianceStep(step access.ComplianceStep) ComplianceStep {
	shown := ComplianceStep{At: step.At, Kind: step.Kind, CharacterID: optional(step.CharacterID), Words: step.Words, Actor: step.Actor}
	if step.Position.Topic != "" {
		shown.Event = new(provenanceAt(step.EventID, step.Position))
	}
	return shown
}
