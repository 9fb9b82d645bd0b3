package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/projections/postgres"
)

// Consortia are consortia as they are now; [postgres.AnVILReader] knows them.
type Consortia interface {
	Audit(ctx context.Context, consortium string, options anvil.Options) (postgres.Audit, error)
	Findings(context.Context, postgres.FindingFilter) ([]postgres.Finding, error)
	Finding(ctx context.Context, consortium string, id uuid.UUID) (postgres.Finding, error)
	// AllFindings and FindingPlace are of whichever consortium.
	AllFindings(context.Context, postgres.FindingFilter) ([]postgres.ConsortiumFinding, error)
	FindingPlace(ctx context.Context, id uuid.UUID) (postgres.FindingPlace, error)
	Sweeps(ctx context.Context, consortium string, before *postgres.SweepCursor, limit int) ([]postgres.Sweep, error)
}

// Declarer changes what a consortium declares.
type Declarer interface {
	Declare(context.Context, DeclareInput) (DeclareResult, error)
	// Patch changes single records and leaves the others as they are.
	Patch(context.Context, PatchInput) (DeclareResult, error)
}

// DeclareInput says who declares what, and why.
type DeclareInput struct {
	Actor, Consortium string
	// Wanted is the whole declaration: what it lacks is withdrawn.
	Wanted anvil.Declared
	Reason string
	// DryRun plans and changes nothing.
	DryRun bool
	// ExpectedVersion is the version of the consortium that the sender has seen;
	// nil expects nothing.
	ExpectedVersion *int64
}

// PatchInput says who changes which records of a declaration, and why.
type PatchInput struct {
	Actor, Consortium string
	// Patch holds the records to declare and to withdraw; all others stay.
	Patch  anvil.Patch
	Reason string
	// DryRun plans and changes nothing.
	DryRun bool
	// ExpectedVersion is the version of the consortium that the sender has seen;
	// nil expects nothing.
	ExpectedVersion *int64
}

// DeclareResult is what a declaration or a patch came to.
type DeclareResult struct {
	Plan []anvil.Change
	// Version is the consortium's version after the change; zero of a dry run.
	Version int64
	// Shown is false when the read model did not show the change in time: it
	// will.
	Shown bool
}

// Sweeper has AnVIL asked.
type Sweeper interface {
	// Sweep asks AnVIL now, or joins a sweep of the consortium that is under way,
	// and waits for its end for as long as ctx allows. A sweep goes on after
	// that; it is then returned as it stands, without Completed.
	Sweep(ctx context.Context, actor, consortium string, models []anvil.Model) (postgres.Sweep, error)
}

// Audit is an audit of the present state.
type Audit struct {
	Consortium string     `json:"consortium"`
	OK         bool       `json:"ok" doc:"Everything was seen, and nothing is wrong."`
	SweepID    *uuid.UUID `json:"sweep_id" doc:"The last completed sweep; null before the first."`
	SweptAt    *time.Time `json:"swept_at" doc:"When that sweep ended; null before the first."`
	// Result has a field for each audit that was asked for.
	Result json.RawMessage `json:"result" doc:"By audit: ok, verified, errors, not_in_app, ignored, ignored_unmatched and, unless compat, unknown."`
}

// Finding is a discrepancy and what has become of it.
type Finding struct {
	FindingID   uuid.UUID         `json:"finding_id"`
	Model       string            `json:"model"`
	Scope       string            `json:"scope,omitempty" doc:"The group or workspace whose membership or sharing it is about."`
	Record      string            `json:"record"`
	Kind        string            `json:"kind"`
	Severity    string            `json:"severity" enum:"high,medium,low"`
	State       string            `json:"state" enum:"open,resolved"`
	Expected    string            `json:"expected"`
	Observed    string            `json:"observed"`
	OpenedAt    time.Time         `json:"opened_at"`
	ChangedAt   time.Time         `json:"changed_at"`
	ResolvedAt  *time.Time        `json:"resolved_at"`
	Reopened    int               `json:"reopened" doc:"How often it had been resolved when it was last opened."`
	ChangedSide string            `json:"changed_side" enum:"declared,observed" doc:"The side that changed last."`
	Evidence    []FindingEvidence `json:"evidence" nullable:"false"`
}

// FindingEvidence is an event that one side of a finding rests on.
type FindingEvidence struct {
	Side    string    `json:"side" enum:"declared,observed"`
	Kind    string    `json:"kind"`
	Name    string    `json:"name,omitempty"`
	EventID uuid.UUID `json:"event_id"`
}

// Sweep is one reading of AnVIL.
type Sweep struct {
	SweepID     uuid.UUID      `json:"sweep_id"`
	Models      []anvil.Model  `json:"models,omitempty"`
	StartedAt   time.Time      `json:"started_at"`
	CompletedAt *time.Time     `json:"completed_at" doc:"null while it is under way, and if it was interrupted."`
	Covered     map[string]int `json:"covered,omitempty" doc:"How many records of each kind were read."`
	Calls       int            `json:"calls"`
	Retries     int            `json:"retries"`
	Observed    int            `json:"observed" doc:"How many records differed from the last observation."`
	UnseenCount int            `json:"unseen_count" doc:"How many records could not be read."`
	Unseen      []anvil.Unseen `json:"unseen,omitempty" doc:"The first of those that could not be read."`
}

// Change is one step of a plan.
type Change struct {
	Action string `json:"action" enum:"added,changed,withdrawn"`
	Kind   string `json:"kind"`
	Name   string `json:"name,omitempty"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// Plan is what a declaration changes, or would change.
type Plan struct {
	Consortium string   `json:"consortium"`
	DryRun     bool     `json:"dry_run"`
	Version    int64    `json:"version" doc:"The consortium's version after the change; 0 of a dry run."`
	Changes    []Change `json:"changes" nullable:"false" doc:"Empty if everything is declared so already."`
}

// ConsortiumPath is the part of a path that names a consortium.
type ConsortiumPath struct {
	Consortium string `path:"consortium" minLength:"1" maxLength:"150" doc:"The consortium's name."`
}

type auditInput struct {
	Conditional
	ConsortiumPath

	Compat bool     `query:"compat" doc:"Results exactly as those of django-anvil-consortium-manager."`
	Models []string `query:"models" maxItems:"6" doc:"What to audit, separated by commas: billing_projects, accounts, managed_groups, workspaces; all if left out."`
}

type findingsInput struct {
	PageInput
	ConsortiumPath

	State    string   `query:"state" enum:"open,resolved,all" default:"open"`
	Model    []string `query:"model" enum:"billing_projects,accounts,managed_groups,managed_group_memberships,workspaces,workspace_sharing" maxItems:"6" doc:"One or several, separated by commas."`
	Severity string   `query:"severity" enum:"high,medium,low"`
}

type findingInput struct {
	Conditional
	ConsortiumPath

	ID string `path:"id" format:"uuid" doc:"The finding's id."`
}

type sweepsInput struct {
	PageInput
	ConsortiumPath
}

type declareInput struct {
	ConsortiumPath

	DryRun          bool   `query:"dry_run" doc:"Plan, and change nothing."`
	Reason          string `query:"reason" maxLength:"2000" doc:"Why; auditors will ask."`
	ExpectedVersion int64  `query:"expected_version" minimum:"-1" default:"-1" doc:"The version that the sender has seen: if it is another by now the answer is 409. -1 expects nothing."`
	RawBody         []byte `contentType:"application/json"`
}

// expected is the version that the sender has seen; nil expects nothing.
func (in *declareInput) expected() *int64 {
	if in.ExpectedVersion < 0 {
		return nil
	}
	return &in.ExpectedVersion
}

type declareOutput struct {
	Status int
	Body   *Plan
}

type sweepInput struct {
	ConsortiumPath

	Models []string `query:"models" maxItems:"6" doc:"What to read, separated by commas; all if left out."`
}

type sweepOutput struct {
	Status int
	Body   *Sweep
}

func (s *Server) registerAnvil() {
	const base = "/v1/anvil/{consortium}"
	op := func(method, id, path, summary string, errors ...int) huma.Operation {
		return huma.Operation{Method: method, OperationID: id, Path: base + path, Tags: []string{tagAnvil}, Summary: summary, Errors: append(errors, http.StatusNotFound)}
	}
	register(s, access.ActionReadAnvil, notModified(op(http.MethodGet, "audit-consortium", "/audits", "Audit what is declared against what was observed, as of now")), s.audit)
	register(s, access.ActionReadAnvil, asTable(op(http.MethodGet, "list-findings", "/findings", "List findings, the newest first")), s.listFindings)
	register(s, access.ActionReadAnvil, notModified(op(http.MethodGet, "get-finding", "/findings/{id}", "One finding with its evidence")), s.getFinding)
	register(s, access.ActionReadAnvil, asTable(op(http.MethodGet, "list-sweeps", "/sweeps", "List sweeps, the newest first")), s.listSweeps)

	declare := accepted(op(http.MethodPost, "declare-consortium", "/declarations", "Bring the declaration to what the body says", http.StatusConflict))
	declare.Description = "The body is a whole declaration in YAML or JSON: what it lacks is withdrawn. All of it happens, or nothing."
	declare.Responses["200"] = &huma.Response{Description: "A dry run: nothing has changed."}
	declare = withFile(declare, maxDeclarationBytes, mediaYAML, mediaJSON)
	register(s, access.ActionDeclare, declare, s.declare)

	patch := accepted(op(http.MethodPatch, "patch-declaration", "/declarations", "Declare or withdraw single records", http.StatusConflict))
	patch.Description = "Each record under declare is added, or replaces the one of its name as a whole; each under withdraw is removed. All others stay. All of it happens, or nothing."
	patch.Responses["200"] = &huma.Response{Description: "A dry run: nothing has changed."}
	register(s, access.ActionDeclare, withPatch(patch), s.patch)

	sweep := accepted(op(http.MethodPost, "sweep-consortium", "/sweeps", "Have AnVIL asked now, and wait for the end", http.StatusConflict))
	register(s, access.ActionSweep, sweep, s.sweep)
}

// withPatch makes an operation one that takes a patch. It is read by the domain,
// which names the line at fault.
func withPatch(op huma.Operation) huma.Operation {
	part := func(about string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, Description: about + " A declaration with only the fields and lists that it is about.", AdditionalProperties: true}
	}
	op = withFile(op, maxDeclarationBytes, mediaJSON)
	op.RequestBody.Description = "What to declare, what to withdraw, or both."
	op.RequestBody.Content[mediaJSON] = &huma.MediaType{
		Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{
			"declare":  part("Records to add or to replace."),
			"withdraw": part("Records to remove; what names them is enough."),
		}},
		Example: map[string]any{
			"declare":  map[string]any{"group_account_memberships": []any{map[string]any{"group": "readers", "account": "a@example.com"}}},
			"withdraw": map[string]any{"accounts": []any{map[string]any{"email": "b@example.com"}}},
		},
	}
	return op
}

func (s *Server) audit(ctx context.Context, in *auditInput) (*single[Audit], error) {
	models, err := anvil.ParseModels(in.Models)
	if err != nil {
		return nil, err
	}
	audit, err := s.config.Consortia.Audit(ctx, in.Consortium, anvil.Options{Compat: in.Compat, Models: models})
	if err != nil {
		return nil, err
	}
	result, err := json.Marshal(audit.Result)
	if err != nil {
		return nil, fmt.Errorf("writing the result of the audit of %s: %w", in.Consortium, err)
	}
	out := &Audit{Consortium: in.Consortium, OK: audit.Result.OK(), Result: result}
	if sweep := audit.Sweep; sweep != nil {
		out.SweepID, out.SweptAt = &sweep.SweepID, utcTime(&sweep.CompletedAt)
	}
	return singleOf(in.Conditional, out)
}

func (s *Server) listFindings(ctx context.Context, in *findingsInput) (*pageOutput[Finding], error) {
	list := "findings/" + in.Consortium
	before, err := cursorOf[postgres.FindingCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	filter := postgres.FindingFilter{
		Consortium: in.Consortium, State: postgres.FindingState(in.State), Severity: anvil.Severity(in.Severity), Before: before, Limit: in.Limit + 1,
	}
	for _, m := range in.Model {
		filter.Models = append(filter.Models, anvil.Model(m))
	}
	found, err := s.config.Consortia.Findings(ctx, filter)
	if err != nil {
		return nil, err
	}
	return pageOf(in.PageInput, list, found, showFinding, postgres.Finding.Cursor)
}

func showFinding(f postgres.Finding) Finding {
	state := "resolved"
	if f.Open {
		state = "open"
	}
	out := Finding{
		FindingID: f.ID, Model: string(f.Model), Scope: f.Scope, Record: f.Record, Kind: f.Kind, Severity: string(f.Severity), State: state,
		Expected: f.Expected, Observed: f.Observed, OpenedAt: f.OpenedAt.UTC(), ChangedAt: f.ChangedAt, ResolvedAt: f.ResolvedAt,
		Reopened: f.Reopened, ChangedSide: string(f.ChangedSide), Evidence: []FindingEvidence{},
	}
	for _, e := range f.Evidence {
		out.Evidence = append(out.Evidence, FindingEvidence{Side: string(e.Side), Kind: string(e.Kind), Name: e.Name, EventID: e.EventID})
	}
	return out
}

func (s *Server) getFinding(ctx context.Context, in *findingInput) (*single[Finding], error) {
	id, err := uuid.Parse(in.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the finding's id: %w", err)
	}
	f, err := s.config.Consortia.Finding(ctx, in.Consortium, id)
	if err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, new(showFinding(f)))
}

func (s *Server) listSweeps(ctx context.Context, in *sweepsInput) (*pageOutput[Sweep], error) {
	list := "sweeps/" + in.Consortium
	before, err := cursorOf[postgres.SweepCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	sweeps, err := s.config.Consortia.Sweeps(ctx, in.Consortium, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return pageOf(in.PageInput, list, sweeps, showSweep, postgres.Sweep.Cursor)
}

func showSweep(sweep postgres.Sweep) Sweep {
	out := Sweep{SweepID: sweep.ID, StartedAt: sweep.StartedAt.UTC()}
	c := sweep.Completed
	if c == nil {
		return out
	}
	out.Models, out.CompletedAt = c.Models, utcTime(&c.CompletedAt)
	out.Calls, out.Retries, out.Observed, out.UnseenCount, out.Unseen = c.Calls, c.Retries, c.Observed, c.UnseenCount, c.Unseen
	out.Covered = make(map[string]int, len(c.Covered))
	for kind, n := range c.Covered {
		out.Covered[string(kind)] = n
	}
	return out
}

func (s *Server) declare(ctx context.Context, in *declareInput) (*declareOutput, error) {
	wanted, err := anvil.DecodeDeclared(bytes.NewReader(in.RawBody))
	if err != nil {
		return nil, err
	}
	result, err := s.config.Declarer.Declare(ctx, DeclareInput{
		Actor: principalOf(ctx).ID, Consortium: in.Consortium, Wanted: wanted, Reason: in.Reason, DryRun: in.DryRun, ExpectedVersion: in.expected(),
	})
	return in.answer(result, err)
}

func (s *Server) patch(ctx context.Context, in *declareInput) (*declareOutput, error) {
	patch, err := anvil.DecodePatch(bytes.NewReader(in.RawBody))
	if err != nil {
		return nil, err
	}
	result, err := s.config.Declarer.Patch(ctx, PatchInput{
		Actor: principalOf(ctx).ID, Consortium: in.Consortium, Patch: patch, Reason: in.Reason, DryRun: in.DryRun, ExpectedVersion: in.expected(),
	})
	return in.answer(result, err)
}

// answer shows what a declaration or a patch came to.
func (in *declareInput) answer(result DeclareResult, err error) (*declareOutput, error) {
	if err != nil {
		return nil, err
	}
	plan := &Plan{Consortium: in.Consortium, DryRun: in.DryRun, Version: result.Version, Changes: []Change{}}
	for _, c := range result.Plan {
		plan.Changes = append(plan.Changes, Change{Action: string(c.Action), Kind: string(c.Record.Kind), Name: c.Record.Name, Before: c.Before, After: c.After})
	}
	status := shownStatus(result.Shown)
	if in.DryRun {
		status = http.StatusOK
	}
	return &declareOutput{Status: status, Body: plan}, nil
}

func (s *Server) sweep(ctx context.Context, in *sweepInput) (*sweepOutput, error) {
	models, err := anvil.ParseModels(in.Models)
	if err != nil {
		return nil, err
	}
	sweep, err := s.config.Sweeper.Sweep(ctx, principalOf(ctx).ID, in.Consortium, models)
	if err != nil {
		return nil, err
	}
	return &sweepOutput{Status: shownStatus(sweep.Completed != nil), Body: new(showSweep(sweep))}, nil
}
