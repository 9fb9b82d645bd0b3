package api

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// OrganisationTrends know how an organisation stood over time;
// [clickhouse.OrganisationReader] does.
type OrganisationTrends interface {
	Compliance(ctx context.Context, q clickhouse.ComplianceQuery) ([]clickhouse.ComplianceFigures, error)
	OpenCompliance(ctx context.Context, q clickhouse.ComplianceQuery) ([]clickhouse.OpenCompliance, error)
	Readiness(ctx context.Context, q clickhouse.ReadinessQuery) ([]clickhouse.ReadinessFigures, error)
	Looks(ctx context.Context, q clickhouse.LookQuery) ([]clickhouse.LookFigures, error)
}

// PastRangeInput is what questions take about how things stood, which can be asked as of
// a moment.
type PastRangeInput struct {
	RangeInput

	AsOf time.Time `query:"as_of" doc:"Answer as if it were this moment: what came later does not count, and the range ends there at the latest. Leave it out for now."`
}

// past are the range and its zone, as of the moment that was asked for.
func (s *Server) past(in *PastRangeInput) (from, to time.Time, zone *time.Location, err error) {
	r, now, err := s.rangeAsOf(in.RangeInput, in.AsOf)
	if err != nil {
		return from, to, nil, err
	}
	return r.bounds(now)
}

// rangeAsOf is a range as of a moment, where it ends at the latest, and what is now then.
// The zero time is now.
func (s *Server) rangeAsOf(r RangeInput, at time.Time) (_ RangeInput, now time.Time, err error) {
	if at.IsZero() {
		return r, s.config.Now(), nil
	}
	if err := s.hasCome(at); err != nil {
		return r, now, err
	}
	if r.To.After(at) {
		r.To = at
	}
	return r, at, nil
}

// ComplianceFigures are how users stood at the end of an interval, and what happened
// within it.
type ComplianceFigures struct {
	Start              time.Time `json:"start" doc:"Inclusive."`
	End                time.Time `json:"end" doc:"Exclusive."`
	CorporationID      *int64    `json:"corporation_id,omitempty" doc:"Only if grouped by corporation: where the main was at that moment; 0 for no main, or if that is not known."`
	Cause              *string   `json:"cause,omitempty" doc:"Only if grouped by cause: no_main, never_registered, login_lost, or none. Who has several counts in each."`
	Users              int64     `json:"users" doc:"Whom reports considered at the end."`
	Compliant          int64     `json:"compliant"`
	NonCompliant       int64     `json:"non_compliant"`
	WithoutMain        int64     `json:"without_main"`
	NeverRegistered    int64     `json:"never_registered" doc:"Who had a character that was never registered."`
	LoginLost          int64     `json:"login_lost" doc:"Who had a character whose login did not work any more: the token was gone, or it lacked scopes."`
	BecameCompliant    int64     `json:"became_compliant"`
	BecameNonCompliant int64     `json:"became_non_compliant"`
	Arrived            int64     `json:"arrived" doc:"Who was considered from then on."`
	Left               int64     `json:"left" doc:"Who was considered no more."`
	MedianSeconds      *int64    `json:"median_seconds" doc:"How long those who became compliant had not been so; null if nobody did."`
	P90Seconds         *int64    `json:"p90_seconds" doc:"How long nine of ten of them had not been so at most."`
}

type complianceTrendInput struct {
	PastRangeInput

	GroupBy       []string `query:"group_by" enum:"corporation,cause" maxItems:"2" doc:"None, one or both, separated by commas."`
	CorporationID []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: users whose main was in one of them at that moment."`
}

// OpenCompliance is a user who is not compliant.
type OpenCompliance struct {
	User          string    `json:"user"`
	Since         time.Time `json:"since" doc:"When he last became so."`
	Seconds       int64     `json:"seconds" doc:"How long that is, at the moment that was asked for."`
	CorporationID int64     `json:"corporation_id" doc:"Where his main is; 0 if he has none, or if that is not known."`
	Causes        string    `json:"causes" doc:"What there is to be put right, separated by commas: no_main, never_registered, login_lost."`
	Total         int64     `json:"total" doc:"How many characters he owned when that was last told."`
	Unregistered  int64     `json:"unregistered" doc:"How many of them were not registered."`
}

type openComplianceInput struct {
	PageInput

	AsOf          time.Time `query:"as_of" doc:"Answer as it was at this moment; leave it out for now."`
	CorporationID []int64   `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: users whose main was in one of them."`
}

// ReadinessFigures are how characters stood to a skill set at the end of an interval, and
// what happened within it.
type ReadinessFigures struct {
	Start             time.Time  `json:"start" doc:"Inclusive."`
	End               time.Time  `json:"end" doc:"Exclusive."`
	SkillSetID        uuid.UUID  `json:"skill_set_id"`
	SkillSetName      string     `json:"skill_set_name" doc:"How it was called last within the range."`
	GroupID           *uuid.UUID `json:"group_id,omitempty" doc:"Only if grouped by group, for a set that was in one."`
	GroupName         string     `json:"group_name,omitempty"`
	CorporationID     *int64     `json:"corporation_id,omitempty" doc:"Only if grouped by corporation: where the character was at that moment; 0 if none is known."`
	CharacterID       *int64     `json:"character_id,omitempty" doc:"Only if grouped by character."`
	Characters        int64      `json:"characters" doc:"Those whose skills were known at the end, while there was the set."`
	Passed            int64      `json:"passed" doc:"Those of them who reached all required levels."`
	Recommended       int64      `json:"recommended" doc:"Those who reached all required and all recommended levels."`
	GainedByCharacter int64      `json:"gained_by_character" doc:"Who passed from then on because the character learned, or was read for the first time."`
	GainedBySkillSet  int64      `json:"gained_by_skill_set" doc:"Who passed from then on because the set was defined, or asked for less."`
	LostByCharacter   int64      `json:"lost_by_character" doc:"Who passed no more because the character lost skills, or their use."`
	LostBySkillSet    int64      `json:"lost_by_skill_set" doc:"Who passed no more because the set asked for more, or was removed."`
}

type readinessInput struct {
	PastRangeInput

	GroupBy       []string `query:"group_by" enum:"group,corporation,character" maxItems:"3" doc:"What to group by beside the set: none, one or several, separated by commas."`
	SkillSetID    []string `query:"skill_set_id" maxItems:"100" doc:"One or several, separated by commas."`
	GroupID       []string `query:"group_id" maxItems:"100" doc:"One or several groups, separated by commas: sets that were in one of them at that moment."`
	CorporationID []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: characters that were in one of them at that moment."`
}

// LookFigures are looks at data of others in an interval.
type LookFigures struct {
	Start      time.Time `json:"start" doc:"Inclusive."`
	End        time.Time `json:"end" doc:"Exclusive."`
	Section    *string   `json:"section,omitempty" doc:"Only if grouped by section: what was looked at."`
	Viewer     *string   `json:"viewer,omitempty" doc:"Only if grouped by viewer: user:..., token:..., or link:..."`
	Owner      *string   `json:"owner,omitempty" doc:"Only if grouped by owner: who owned the character then; empty for orphans and lists."`
	Way        *string   `json:"way,omitempty" doc:"Only if grouped by way: by which right."`
	Looks      int64     `json:"looks"`
	Entries    int64     `json:"entries" doc:"The entries of the access log that tell of them."`
	Viewers    int64     `json:"viewers" doc:"How many there were who looked."`
	Owners     int64     `json:"owners" doc:"At how many owners' data."`
	Characters int64     `json:"characters" doc:"At how many characters."`
}

type looksTrendInput struct {
	PastRangeInput

	GroupBy     []string `query:"group_by" enum:"section,viewer,owner,way" maxItems:"4" doc:"None, one or several, separated by commas."`
	UserID      string   `query:"user_id" maxLength:"200" doc:"Only looks at what this user owned then."`
	Viewer      []string `query:"viewer" maxItems:"100" doc:"Only looks of these users: one or several, separated by commas."`
	Section     []string `query:"section" maxItems:"100" doc:"One or several, separated by commas."`
	CharacterID []int64  `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
}

// looksTrendPath is that of the access log over time.
const looksTrendPath = "/v1/analytics/access-log"

func (s *Server) registerOrganisationAnalytics() {
	tags := []string{tagAnalytics}
	register(s, access.ActionReadReports, asTable(huma.Operation{
		OperationID: "analyse-compliance", Path: "/v1/analytics/compliance", Tags: tags, Summary: "How many users were compliant over time, and how long it took them",
		Description: "Of the users that the caller's reports may show now. What was told last is carried forward; intervals in which nothing happened are there.",
	}), s.analyseCompliance)
	register(s, access.ActionReadReports, asTable(huma.Operation{
		OperationID: "list-open-compliance", Path: "/v1/analytics/compliance/open", Tags: tags, Summary: "Who is not compliant, and since when, those first who have been so for longest",
		Description: "Of the users that the caller's reports may show now.",
	}), s.listOpenCompliance)
	register(s, access.ActionReadReports, asTable(huma.Operation{
		OperationID: "analyse-skill-sets", Path: "/v1/analytics/skill-sets", Tags: tags, Summary: "How many characters met each skill set over time, and why that changed",
		Description: "For a user of the characters that belong now to users whom reports may show him. The last skills observed are carried forward; sets and groups are as they were at each moment.",
	}), s.analyseReadiness)
	register(s, access.ActionReadAccessLog, asTable(huma.Operation{
		OperationID: "analyse-access-log", Path: looksTrendPath, Tags: tags, Summary: "Who looked at data of others over time",
		Description: "Users see who looked at theirs. Looks that are told together count for when the last of them was.",
	}), s.analyseLooks)
}

// shownUsers are the users whom reports may show to the caller, and whether that is a
// bound at all.
func (s *Server) shownUsers(ctx context.Context, a access.Audience) (users []string, bounded bool, err error) {
	if a.Everybody {
		return nil, false, nil
	}
	users, err = s.config.Characters.AccessibleUsers(ctx, a)
	return users, true, err
}

func (s *Server) analyseCompliance(ctx context.Context, in *complianceTrendInput) (*figuresOutput[ComplianceFigures], error) {
	from, to, zone, err := s.past(&in.PastRangeInput)
	if err != nil {
		return nil, err
	}
	q := clickhouse.ComplianceQuery{From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy), CorporationIDs: in.CorporationID}
	if q.Users, q.Bounded, err = s.shownUsers(ctx, audience(ctx)); err != nil {
		return nil, err
	}
	figures, err := s.config.OrganisationTrends.Compliance(ctx, q)
	if err != nil {
		return nil, err
	}
	return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.ComplianceFigures) ComplianceFigures {
		out := ComplianceFigures{
			Start: f.Start, End: f.End, Users: f.Users, Compliant: f.Compliant, NonCompliant: f.Users - f.Compliant,
			WithoutMain: f.NoMain, NeverRegistered: f.NeverRegistered, LoginLost: f.LoginLost,
			BecameCompliant: f.BecameCompliant, BecameNonCompliant: f.BecameNonCompliant, Arrived: f.Arrived, Left: f.Left, MedianSeconds: f.MedianSeconds, P90Seconds: f.P90Seconds,
		}
		if slices.Contains(in.GroupBy, string(clickhouse.ByCorporation)) {
			out.CorporationID = &f.CorporationID
		}
		if slices.Contains(in.GroupBy, string(clickhouse.ByCause)) {
			out.Cause = &f.Cause
		}
		return out
	}).of(in.rowsAt("/v1/reports/compliance/users", "/v1/streams/{stream}")), nil
}

// openCursor is the last of a page of those who are not compliant.
type openCursor struct {
	Since time.Time `json:"since"`
	User  string    `json:"user"`
}

func (s *Server) listOpenCompliance(ctx context.Context, in *openComplianceInput) (*pageOutput[OpenCompliance], error) {
	at := s.config.Now()
	if !in.AsOf.IsZero() {
		if err := s.hasCome(in.AsOf); err != nil {
			return nil, err
		}
		at = in.AsOf
	}
	list := "compliance/open" + listAsOf(in.AsOf)
	after, err := cursorOf[openCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	q := clickhouse.ComplianceQuery{To: at, CorporationIDs: in.CorporationID}
	if q.Users, q.Bounded, err = s.shownUsers(ctx, audience(ctx)); err != nil {
		return nil, err
	}
	open, err := s.config.OrganisationTrends.OpenCompliance(ctx, q)
	if err != nil {
		return nil, err
	}
	if after != nil {
		open = slices.DeleteFunc(open, func(o clickhouse.OpenCompliance) bool {
			n := o.Since.Compare(after.Since)
			return n < 0 || n == 0 && o.User <= after.User
		})
	}
	return pageOf(in.PageInput, list, open[:min(len(open), in.Limit+1)], func(o clickhouse.OpenCompliance) OpenCompliance {
		return OpenCompliance{
			User: o.User, Since: o.Since.UTC(), Seconds: int64(at.Sub(o.Since) / time.Second), CorporationID: o.CorporationID,
			Causes: strings.Join(o.Causes, ","), Total: o.Total, Unregistered: o.Unregistered,
		}
	}, func(o clickhouse.OpenCompliance) openCursor { return openCursor{o.Since.UTC(), o.User} })
}

// parseIDs reads ids of things that are called name in the question.
func parseIDs(name string, texts []string) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "%s %.40q: must be an id such as 01980000-0000-7000-8000-000000000000", name, text)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// readers are the characters whose readiness somebody is shown; none is all of them.
func (s *Server) readers(ctx context.Context) ([]int64, error) {
	if v := viewerOf(ctx); v == nil || everybodys(v) {
		return nil, nil
	}
	holders, err := s.reported(ctx, &skillSetReportInput{})
	// No character has this id, and none would mean all of them.
	ids := []int64{0}
	for _, h := range holders {
		ids = append(ids, h.CharacterID)
	}
	return ids, err
}

func (s *Server) analyseReadiness(ctx context.Context, in *readinessInput) (*figuresOutput[ReadinessFigures], error) {
	from, to, zone, err := s.past(&in.PastRangeInput)
	if err != nil {
		return nil, err
	}
	q := clickhouse.ReadinessQuery{From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy), CorporationIDs: in.CorporationID}
	if q.SkillSetIDs, err = parseIDs("skill_set_id", in.SkillSetID); err != nil {
		return nil, err
	}
	if q.GroupIDs, err = parseIDs("group_id", in.GroupID); err != nil {
		return nil, err
	}
	if q.CharacterIDs, err = s.readers(ctx); err != nil {
		return nil, err
	}
	figures, err := s.config.OrganisationTrends.Readiness(ctx, q)
	if err != nil {
		return nil, err
	}
	return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.ReadinessFigures) ReadinessFigures {
		out := ReadinessFigures{
			Start: f.Start, End: f.End, SkillSetID: f.SkillSetID, SkillSetName: f.SkillSetName, GroupName: f.GroupName,
			Characters: f.Characters, Passed: f.Passed, Recommended: f.Recommended,
			GainedByCharacter: f.GainedByCharacter, GainedBySkillSet: f.GainedBySkillSet, LostByCharacter: f.LostByCharacter, LostBySkillSet: f.LostBySkillSet,
		}
		if !bytes.Equal(f.GroupID[:], uuid.Nil[:]) {
			out.GroupID = &f.GroupID
		}
		if slices.Contains(in.GroupBy, string(clickhouse.ByCorporation)) {
			out.CorporationID = &f.CorporationID
		}
		if slices.Contains(in.GroupBy, string(clickhouse.ByCharacter)) {
			out.CharacterID = &f.CharacterID
		}
		return out
	}).of(in.rowsAt("/v1/skill-sets", "/v1/characters/{id}/skills/changes")), nil
}

func (s *Server) analyseLooks(ctx context.Context, in *looksTrendInput) (*figuresOutput[LookFigures], error) {
	from, to, zone, err := s.past(&in.PastRangeInput)
	if err != nil {
		return nil, err
	}
	q := clickhouse.LookQuery{
		From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy),
		Owner: in.UserID, Viewers: in.Viewer, Sections: in.Section, CharacterIDs: in.CharacterID,
	}
	if v := viewerOf(ctx); v != nil && !everybodys(v) {
		if in.UserID != "" && in.UserID != v.UserID {
			return nil, event.Errorf(event.CodeForbidden, "you see who looked at your data, not who looked at that of %s: leave user_id out", in.UserID)
		}
		q.Owner = v.UserID
	}
	figures, err := s.config.OrganisationTrends.Looks(ctx, q)
	if err != nil {
		return nil, err
	}
	return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.LookFigures) LookFigures {
		out := LookFigures{Start: f.Start, End: f.End, Looks: f.Looks, Entries: f.Entries, Viewers: f.Viewers, Owners: f.Owners, Characters: f.Characters}
		for _, d := range []struct {
			dimension clickhouse.Dimension
			to        **string
			from      *string
		}{
			{clickhouse.BySection, &out.Section, &f.Section},
			{clickhouse.ByViewer, &out.Viewer, &f.Viewer},
			{clickhouse.ByOwner, &out.Owner, &f.Owner},
			{clickhouse.ByWay, &out.Way, &f.Way},
		} {
			if slices.Contains(in.GroupBy, string(d.dimension)) {
				*d.to = d.from
			}
		}
		return out
	}).of(in.rowsAt("/v1/access-log")), nil
}
