package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
)

// maxCauses is the most events that are named for one change of access.
const maxCauses = 20

// AccessCause is an event that can have changed access.
type AccessCause struct {
	Provenance

	Type  string `json:"type" doc:"The type of the event."`
	Actor string `json:"actor" doc:"Who gave the command; empty for an observation."`
}

// AccessStep is a change of how an address stands in a workspace.
type AccessStep struct {
	At        time.Time      `json:"at"`
	Workspace string         `json:"workspace"`
	Address   string         `json:"address"`
	Side      string         `json:"side" enum:"declared,observed"`
	Change    string         `json:"change" enum:"held,gained,lost,doubtful,ruled_out,changed" doc:"held: it stood so when the span began, or before anything named it. gained, lost: it can come in, or could and cannot any more. doubtful: it is not known any more whether it can. ruled_out: that was not known, and it cannot. changed: other rights, and it can come in or not as before."`
	Before    anvil.Standing `json:"before"`
	After     anvil.Standing `json:"after"`
	Events    int            `json:"events" doc:"How many events came at that moment that can have changed it; none for what was held."`
	Causes    []AccessCause  `json:"causes" nullable:"false" doc:"The first 20 of these events, in the order of the log."`
}

// AccessHistory is how access changed over a span, in the order of time.
type AccessHistory struct {
	Consortium string     `json:"consortium"`
	From       *time.Time `json:"from" doc:"The first moment; null for the beginning."`
	To         time.Time  `json:"to" doc:"The last moment."`
	SweepID    *uuid.UUID `json:"sweep_id" nullable:"true" doc:"The last sweep completed by then; null before the first."`
	SweptAt    *time.Time `json:"swept_at" doc:"When that sweep ended; null before the first."`
	Page[AccessStep]
}

// accessStepRow is a change as a line of a table.
type accessStepRow struct {
	At               time.Time  `json:"at"`
	Workspace        string     `json:"workspace"`
	Address          string     `json:"address"`
	Side             string     `json:"side"`
	Change           string     `json:"change"`
	BeforeReach      string     `json:"before_reach"`
	BeforeLevel      string     `json:"before_level"`
	BeforeCanShare   bool       `json:"before_can_share"`
	BeforeCanCompute bool       `json:"before_can_compute"`
	BeforeAdmission  string     `json:"before_admission"`
	AfterReach       string     `json:"after_reach"`
	AfterLevel       string     `json:"after_level"`
	AfterCanShare    bool       `json:"after_can_share"`
	AfterCanCompute  bool       `json:"after_can_compute"`
	AfterAdmission   string     `json:"after_admission"`
	Pending          bool       `json:"pending"`
	Events           int        `json:"events"`
	EventID          *uuid.UUID `json:"event_id"`
	EventType        string     `json:"event_type"`
	Actor            string     `json:"actor"`
}

func (h *AccessHistory) rows() any {
	rows := make([]accessStepRow, len(h.Items))
	for i, s := range h.Items {
		rows[i] = accessStepRow{
			At: s.At, Workspace: s.Workspace, Address: s.Address, Side: s.Side, Change: s.Change,
			BeforeReach: string(s.Before.Reach), BeforeLevel: s.Before.Level, BeforeCanShare: s.Before.CanShare, BeforeCanCompute: s.Before.CanCompute, BeforeAdmission: string(s.Before.Admission),
			AfterReach: string(s.After.Reach), AfterLevel: s.After.Level, AfterCanShare: s.After.CanShare, AfterCanCompute: s.After.CanCompute, AfterAdmission: string(s.After.Admission),
			Pending: s.After.Pending, Events: s.Events,
		}
		if len(s.Causes) > 0 {
			rows[i].EventID, rows[i].EventType, rows[i].Actor = &s.Causes[0].EventID, s.Causes[0].Type, s.Causes[0].Actor
		}
	}
	return rows
}

// AccessSpanInput is the span of access that is asked about.
type AccessSpanInput struct {
	PageInput
	ConsortiumPath

	Side string    `query:"side" enum:"declared,observed,both" default:"both" doc:"The side to look at. Both are told beside one another, and not compared."`
	From time.Time `query:"from" doc:"The first moment. How everybody stood then comes first, as held; the beginning if left out."`
	To   time.Time `query:"to" doc:"The last moment; now if left out."`
}

type workspaceHistoryInput struct {
	AccessSpanInput

	BillingProject string `path:"billing_project" minLength:"1" maxLength:"300" doc:"The billing project's name."`
	Name           string `path:"name" minLength:"1" maxLength:"300" doc:"The workspace's name."`
}

type accountHistoryInput struct {
	AccessSpanInput

	Email string `path:"email" minLength:"1" maxLength:"300" doc:"The address, in any case of letters."`
}

type accessHistoryOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *AccessHistory
}

// registerEffectiveHistory adds what is told of access over time; op makes an operation of
// a consortium.
func (s *Server) registerEffectiveHistory(op func(method, id, path, summary string, errors ...int) huma.Operation) {
	const how = " Told from the log: at each moment it is what the list of access says as of then. What was not known then is doubtful, and not lost."
	workspace := op(http.MethodGet, "list-workspace-access-history", "/workspaces/{billing_project}/{name}/access/history", "List who came to be able to come to a workspace, and who lost that, over time")
	workspace.Description = "Of everybody whom the workspace let in within the span, or would have but for an authorization domain or an invitation not taken up." + how
	register(s, access.ActionReadAnvil, asTable(workspace), s.workspaceHistory)
	account := op(http.MethodGet, "list-account-access-history", "/accounts/{email}/access/history", "List to which workspaces an address came to be able to come, and which it lost, over time")
	account.Description = "Of all workspaces that were declared or seen within the span." + how
	register(s, access.ActionReadAnvil, asTable(account), s.accountHistory)
}

func (s *Server) workspaceHistory(ctx context.Context, in *workspaceHistoryInput) (*accessHistoryOutput, error) {
	return s.accessHistory(ctx, &in.AccessSpanInput, history.AccessQuestion{Workspace: in.BillingProject + "/" + in.Name})
}

func (s *Server) accountHistory(ctx context.Context, in *accountHistoryInput) (*accessHistoryOutput, error) {
	return s.accessHistory(ctx, &in.AccessSpanInput, history.AccessQuestion{Address: strings.ToLower(in.Email)})
}

// accessCursor is the place of a step among those of a question.
type accessCursor struct {
	Nanos int64  `json:"t"`
	Of    string `json:"o"`
}

func cursorOfAccess(step history.AccessStep) accessCursor {
	return accessCursor{step.At.UnixNano(), step.Workspace + "\n" + step.Address + "\n" + string(step.Side)}
}

func (c accessCursor) behind(other accessCursor) bool {
	return c.Nanos > other.Nanos || c.Nanos == other.Nanos && c.Of > other.Of
}

func (s *Server) accessHistory(ctx context.Context, in *AccessSpanInput, q history.AccessQuestion) (*accessHistoryOutput, error) {
	now := s.config.Now()
	list := "access-history/" + in.Consortium + "/" + q.Workspace + "\n" + q.Address + "/" + in.Side + listAsOf(in.From) + "/" + listAsOf(in.To)
	after, err := cursorOf[accessCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	q.Consortium, q.Sides, q.From, q.To = in.Consortium, SideInput{in.Side}.sides(), in.From, in.To
	switch {
	case q.To.IsZero():
		q.To = now
	case q.To.After(now):
		return nil, event.Errorf(event.CodeInvalid, "to: %s is yet to come, it is %s: choose an earlier time, or leave it out for now", q.To.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if q.From.After(q.To) {
		return nil, event.Errorf(event.CodeInvalid, "from: %s is behind to, %s: choose an earlier time, or leave it out for the beginning", q.From.UTC().Format(time.RFC3339), q.To.UTC().Format(time.RFC3339))
	}
	story, err := s.config.Past.Access(ctx, q)
	if err != nil {
		return nil, err
	}
	steps := story.Steps
	if after != nil {
		for len(steps) > 0 && !cursorOfAccess(steps[0]).behind(*after) {
			steps = steps[1:]
		}
	}
	page, err := pageOf(in.PageInput, list, steps[:min(len(steps), in.Limit+1)], showAccessStep, cursorOfAccess)
	if err != nil {
		return nil, err
	}
	body := &AccessHistory{Consortium: in.Consortium, To: q.To.UTC(), Page: *page.Body}
	if !q.From.IsZero() {
		body.From = utcTime(&q.From)
	}
	if sweep := story.LastSweep; sweep != nil {
		body.SweepID, body.SweptAt = &sweep.SweepID, utcTime(&sweep.CompletedAt)
	}
	return &accessHistoryOutput{Link: page.Link, Body: body}, nil
}

func showAccessStep(step history.AccessStep) AccessStep {
	out := AccessStep{
		At: step.At, Workspace: step.Workspace, Address: step.Address, Side: string(step.Side), Change: string(step.Change), Before: step.Before, After: step.After,
		Events: len(step.Facts), Causes: []AccessCause{},
	}
	for _, f := range step.Facts[:min(len(step.Facts), maxCauses)] {
		out.Causes = append(out.Causes, AccessCause{Provenance: provenanceOf(f), Type: string(f.Type), Actor: f.Actor})
	}
	return out
}
