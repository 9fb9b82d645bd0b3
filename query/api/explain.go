package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/explain"
)

// Explainer tells why findings are there; [explain.Explainer] does.
type Explainer interface {
	// Finding explains a finding of a consortium; of any if that is empty.
	Finding(ctx context.Context, consortium string, id uuid.UUID) (explain.Explanation, error)
}

// ConsortiumFinding is a finding with the consortium that it belongs to.
type ConsortiumFinding struct {
	Consortium string `json:"consortium"`
	Finding
}

// Explanation is why a finding is there.
type Explanation struct {
	Finding      ConsortiumFinding `json:"finding" doc:"As the log has it."`
	Narrative    []string          `json:"narrative" nullable:"false" doc:"The explanation in sentences."`
	Cause        anvil.Cause       `json:"cause" doc:"What opened it, the last time."`
	Resolution   *anvil.Cause      `json:"resolution,omitempty" doc:"What settled it; left out while it is open."`
	Earlier      []anvil.Episode   `json:"earlier" nullable:"false" doc:"The times that it was open before."`
	Parts        []anvil.Part      `json:"parts" nullable:"false" doc:"The findings that it sums up, at most 50."`
	PartCount    int               `json:"part_count"`
	Timeline     []anvil.Moment    `json:"timeline" nullable:"false" doc:"What bears on it on both sides, in the order of the log; the newest 500."`
	Omitted      int               `json:"timeline_omitted" doc:"How many older events the timeline leaves out."`
	Touched      []anvil.Touched   `json:"touched" nullable:"false" doc:"Other records that changed in the same sweep, or by the same plan; at most 50."`
	TouchedCount int               `json:"touched_count"`
	Evidence     []anvil.Proof     `json:"evidence" nullable:"false" doc:"The events that the explanation rests on, with their places in the log."`
	Verified     bool              `json:"verified" doc:"The read model and the log say the same: all checks came out well."`
	Checks       []explain.Check   `json:"checks" nullable:"false" doc:"What the read model says, held against the log."`
	Unreadable   int               `json:"unreadable" doc:"Events of the consortium that cannot be read; what they say is missing here."`
}

type allFindingsInput struct {
	PageInput
	ProvenanceInput

	State    string   `query:"state" enum:"open,resolved,all" default:"open"`
	Model    []string `query:"model" enum:"billing_projects,accounts,managed_groups,managed_group_memberships,workspaces,workspace_sharing" maxItems:"6" doc:"One or several, separated by commas."`
	Severity string   `query:"severity" enum:"high,medium,low"`
	Accepted string   `query:"accepted" enum:"true,false" doc:"Only those that are accepted, or only those that are not; both if left out."`
}

type explainInput struct {
	Conditional
	ConsortiumPath

	ID string `path:"id" format:"uuid" doc:"The finding's id."`
}

type anyFindingInput struct {
	Conditional
	ProvenanceInput

	ID string `path:"id" format:"uuid" doc:"The finding's id."`
}

type explainAnyInput struct {
	Conditional

	ID string `path:"id" format:"uuid" doc:"The finding's id."`
}

func (s *Server) registerExplain() {
	op := func(id, path, summary string) huma.Operation {
		return huma.Operation{Method: http.MethodGet, OperationID: id, Path: path, Tags: []string{tagAnvil}, Summary: summary, Errors: []int{http.StatusNotFound}}
	}
	register(s, access.ActionReadAnvil, asTable(op("list-all-findings", "/v1/findings", "List findings of all consortia, the newest first")), s.listAllFindings)
	register(s, access.ActionReadAnvil, notModified(op("get-any-finding", "/v1/findings/{id}", "One finding of whichever consortium")), s.getAnyFinding)
	why := op("explain-any-finding", "/v1/findings/{id}/explain", "Why a finding is there, from the log")
	why.Description = "Reads all that the log says of the consortium: which side changed, which record, by which event, by whom and why, or between which two readings; and holds the read model against it."
	register(s, access.ActionReadAnvil, notModified(why), s.explainAnyFinding)
	of := why
	of.OperationID, of.Path = "explain-finding", "/v1/anvil/{consortium}/findings/{id}/explain"
	of.Metadata, of.Responses, of.Errors = nil, nil, []int{http.StatusNotFound}
	register(s, access.ActionReadAnvil, notModified(of), s.explainFinding)
}

func (s *Server) listAllFindings(ctx context.Context, in *allFindingsInput) (*pageOutput[ConsortiumFinding], error) {
	const list = "findings"
	before, err := cursorOf[postgres.FindingCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	filter := postgres.FindingFilter{State: postgres.FindingState(in.State), Severity: anvil.Severity(in.Severity), Before: before, Limit: in.Limit + 1}
	if in.Accepted != "" {
		filter.Accepted = new(in.Accepted == "true")
	}
	for _, m := range in.Model {
		filter.Models = append(filter.Models, anvil.Model(m))
	}
	found, err := s.config.Consortia.AllFindings(ctx, filter)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, found, showConsortiumFinding, func(f postgres.ConsortiumFinding) postgres.FindingCursor { return f.Cursor() })
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func showConsortiumFinding(f postgres.ConsortiumFinding) ConsortiumFinding {
	return ConsortiumFinding{Consortium: f.Consortium, Finding: showFinding(f.Finding)}
}

func (s *Server) getAnyFinding(ctx context.Context, in *anyFindingInput) (*single[ConsortiumFinding], error) {
	id, err := findingIDOf(in.ID)
	if err != nil {
		return nil, err
	}
	f, err := s.config.Consortia.FindingPlace(ctx, id)
	if err != nil {
		return nil, err
	}
	shown := showConsortiumFinding(f.ConsortiumFinding)
	if err := s.trace(ctx, in.ProvenanceInput, &shown.Traced); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, &shown)
}

func (s *Server) explainAnyFinding(ctx context.Context, in *explainAnyInput) (*single[Explanation], error) {
	return s.explained(ctx, in.Conditional, "", in.ID)
}

func (s *Server) explainFinding(ctx context.Context, in *explainInput) (*single[Explanation], error) {
	return s.explained(ctx, in.Conditional, in.Consortium, in.ID)
}

func (s *Server) explained(ctx context.Context, c Conditional, consortium, text string) (*single[Explanation], error) {
	id, err := findingIDOf(text)
	if err != nil {
		return nil, err
	}
	x, err := s.config.Explainer.Finding(ctx, consortium, id)
	if err != nil {
		return nil, err
	}
	return singleOf(c, new(showExplanation(x)))
}

func findingIDOf(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, fmt.Errorf("reading the finding's id: %w", err)
	}
	return id, nil
}

func showExplanation(x explain.Explanation) Explanation {
	finding := postgres.Finding{Finding: x.Finding, Open: x.Open, Reopened: x.Reopened, ChangedAt: x.ChangedAt, ResolvedAt: utcTime(x.ResolvedAt)}
	return Explanation{
		Finding:   ConsortiumFinding{Consortium: x.Consortium, Finding: showFinding(finding)},
		Narrative: some(x.Narrative), Cause: x.Cause, Resolution: x.Resolution, Earlier: some(x.Earlier),
		Parts: some(x.Parts), PartCount: x.PartCount, Timeline: some(x.Timeline), Omitted: x.Omitted,
		Touched: some(x.Touched), TouchedCount: x.TouchedCount, Evidence: some(x.Evidence),
		Verified: x.Verified, Checks: some(x.Checks), Unreadable: x.Unreadable,
	}
}

// some is a list that is shown as empty rather than as null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
