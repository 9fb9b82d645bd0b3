package api

import (
	"context"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// stateGuest is the state of users whom reports leave out.
const stateGuest = "Guest"

// reportedAtOnce bounds the characters whose skills are in memory at the same time.
const reportedAtOnce = 500

// closeOne is a character that fails a set, with what it lacks.
type closeOne struct {
	holder   postgres.SkillHolder
	check    eve.SkillCheck
	has      eve.Skills
	training eve.Training
}

func (c closeOne) compare(other closeOne) int {
	if n := eve.Closest(c.training, other.training); n != 0 {
		return n
	}
	if n := len(c.check.FailedRequired) - len(other.check.FailedRequired); n != 0 {
		return n
	}
	return int(min(1, max(-1, c.holder.CharacterID-other.holder.CharacterID)))
}

// standing is how all characters stand to a set.
type setStanding struct {
	passed  int
	who     []postgres.SkillHolder
	closest []closeOne
}

// add counts a character in. Of those who fail the closest are kept.
func (t *setStanding) add(in *skillSetReportInput, holder postgres.SkillHolder, has eve.Skills, set eve.SkillSet, natures map[int64]eve.SkillNature) {
	check := eve.CheckSkills(has, set)
	if check.HasRequired() {
		t.passed++
		if len(t.who) < in.Who {
			t.who = append(t.who, holder)
		}
		return
	}
	if in.Closest == 0 {
		return
	}
	one := closeOne{holder, check, has, eve.TrainingFor(check.FailedRequired, has, holder.Attributes, natures)}
	at, _ := slices.BinarySearchFunc(t.closest, one, closeOne.compare)
	if at >= in.Closest {
		return
	}
	t.closest = slices.Insert(t.closest, at, one)
	t.closest = t.closest[:min(len(t.closest), in.Closest)]
}

// reported are the characters that a report is about: for a user those of the users whom
// reports may show to him, as in Member Audit 1.9.4. (Its later versions show everybody's
// to all who may see reports.) Guests are in no report.
func (s *Server) reported(ctx context.Context, in *skillSetReportInput) ([]postgres.SkillHolder, error) {
	holders, err := s.config.SkillSets.SkillHolders(ctx)
	if v := viewerOf(ctx); err == nil && v != nil {
		var users []string
		users, err = s.config.Characters.AccessibleUsers(ctx, v.For(string(eve.SectionSkills)).Audience())
		holders = slices.DeleteFunc(holders, func(h postgres.SkillHolder) bool {
			_, shown := slices.BinarySearch(users, h.UserID)
			return !shown
		})
	}
	return slices.DeleteFunc(holders, func(h postgres.SkillHolder) bool {
		return h.UserState == stateGuest || (in.CorporationID != 0 && h.CorporationID != in.CorporationID) || (in.AllianceID != 0 && h.AllianceID != in.AllianceID)
	}), err
}

func (s *Server) reportSkillSets(ctx context.Context, in *skillSetReportInput) (*pageOutput[SkillSetReport], error) {
	found, err := s.config.SkillSets.SkillSets(ctx)
	if err != nil {
		return nil, err
	}
	by := labels{}
	for _, group := range found.Groups {
		by[group.ID] = group.Label()
	}
	if err := ofGroup(&found, in.GroupID); err != nil {
		return nil, err
	}
	if in.SkillSetID != "" {
		found.Sets = slices.DeleteFunc(found.Sets, func(set postgres.SkillSet) bool { return set.ID.String() != strings.ToLower(in.SkillSetID) })
		if len(found.Sets) == 0 {
			return nil, event.Errorf(event.CodeNotFound, "there is no skill set %s, or it is not in the group", in.SkillSetID)
		}
	}
	const list = "report-skill-sets"
	part, err := partOf(in.PageInput, list, found.Sets, cursorOfSet)
	if err != nil {
		return nil, err
	}
	holders, err := s.reported(ctx, in)
	if err != nil {
		return nil, err
	}
	ids := skillIDs(contents(part)...)
	natures, err := s.config.SkillSets.SkillNatures(ctx, ids)
	if err != nil {
		return nil, err
	}
	for id := range natures {
		ids = append(ids, id)
	}
	unread := 0
	standings := make(map[string]*setStanding, len(part))
	for _, set := range part {
		standings[set.ID.String()] = &setStanding{}
	}
	for some := range slices.Chunk(holders, reportedAtOnce) {
		characters := make([]int64, len(some))
		for i, h := range some {
			characters[i] = h.CharacterID
		}
		skills, err := s.config.SkillSets.SkillsOf(ctx, characters, ids)
		if err != nil {
			return nil, err
		}
		for _, h := range some {
			if !h.Synced {
				unread++
			}
			for _, set := range part {
				standings[set.ID.String()].add(in, h, skills[h.CharacterID], set.SkillSet, natures)
			}
		}
	}
	names, err := s.typeNames(ctx, contents(part)...)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, part, func(set postgres.SkillSet) SkillSetReport {
		t := standings[set.ID.String()]
		report := SkillSetReport{
			SkillSetID: set.ID, Name: set.Name, Visible: set.Visible, Groups: by.of(set), Characters: len(holders), Unread: unread, Passed: t.passed,
			Who: []SkillHolder{}, Closest: []CloseHolder{},
			Traced: tracedTo(set.Origin),
		}
		for _, h := range t.who {
			report.Who = append(report.Who, showHolder(h))
		}
		for _, c := range t.closest {
			report.Closest = append(report.Closest, CloseHolder{
				SkillHolder: showHolder(c.holder), FailedRequired: failed(c.check.FailedRequired, requiredLevel, c.has, names), Points: c.training.Points, Seconds: c.training.Seconds,
			})
		}
		return report
	}, cursorOfSet)
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func showHolder(h postgres.SkillHolder) SkillHolder {
	return SkillHolder{
		CharacterID: h.CharacterID, Name: h.Name, CorporationID: h.CorporationID, AllianceID: optional(h.AllianceID), UserID: h.UserID, State: h.UserState,
		MainID: optional(h.MainID), MainName: h.MainName,
	}
}
