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
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/auditreport"
)

// Consortia are all consortia as they are now; [postgres.AnVILReader] knows them.
type Consortia interface {
	ConsortiumReader

	// All lists them by name.
	All(context.Context) ([]postgres.ConsortiumOverview, error)
	AllFindings(context.Context, postgres.FindingFilter) ([]postgres.ConsortiumFinding, error)
	// FindingPlace is a finding of whichever consortium.
	FindingPlace(ctx context.Context, id uuid.UUID) (postgres.FindingPlace, error)
}

// ConsortiumReader answers about a consortium as it is now or as it was at a
// moment, see [Past].
type ConsortiumReader interface {
	// State is everything that is known of a consortium.
	State(ctx context.Context, consortium string) (*anvil.State, error)
	Audit(ctx context.Context, consortium string, options anvil.Options) (postgres.Audit, error)
	Findings(context.Context, postgres.FindingFilter) ([]postgres.Finding, error)
	Finding(ctx context.Context, consortium string, id uuid.UUID) (postgres.Finding, error)
	Sweeps(ctx context.Context, consortium string, before *postgres.SweepCursor, limit int) ([]postgres.Sweep, error)
}

// Declarer changes what a consortium declares.
type Declarer interface {
	Declare(context.Context, DeclareInput) (DeclareResult, error)
	// Patch changes single records and leaves the others as they are.
	Patch(context.Context, PatchInput) (DeclareResult, error)
	// Accept accepts a finding, or withdraws that; it tells whether the read model
	// shows it already.
	Accept(context.Context, AcceptInput) (bool, error)
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
	//
	// A scope limits it to single groups and workspaces; models then says nothing
	// more. Such a sweep joins only one of the same scope, and fails with
	// [event.CodeConflict] during any other.
	Sweep(ctx context.Context, actor, consortium string, models []anvil.Model, scope anvil.Scope) (postgres.Sweep, error)
}

// Audit is an audit of the present state, or of that of a moment.
type Audit struct {
	Consortium string     `json:"consortium"`
	OK         bool       `json:"ok" doc:"Everything was seen, and nothing is wrong."`
	SweepID    *uuid.UUID `json:"sweep_id" nullable:"true" doc:"The last completed sweep; null before the first."`
	SweptAt    *time.Time `json:"swept_at" doc:"When that sweep ended; null before the first."`
	// Result has a field for each audit that was asked for.
	Result json.RawMessage `json:"result" doc:"By audit: ok, verified, errors, not_in_app, ignored, ignored_unmatched and, unless compat, beyond (what django-anvil-consortium-manager passes) and unknown."`
	// Discrepancies explain the errors and what is not in app.
	Discrepancies []Discrepancy `json:"discrepancies" nullable:"false" doc:"Each error and each record that is not in app, with what was expected and what was observed."`

	report auditreport.Report
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
	Beyond      bool              `json:"beyond" doc:"django-anvil-consortium-manager passes this."`
	RoleSwap    bool              `json:"role_swap" doc:"A member is an admin instead, or the other way round: one finding, where django-anvil-consortium-manager has two lines."`
	Accepted    *Acceptance       `json:"accepted,omitempty" doc:"Who accepted it as it is; absent if nobody did."`
	Reopened    int               `json:"reopened" doc:"How often it had been resolved when it was last opened."`
	ChangedSide string            `json:"changed_side" enum:"declared,observed" doc:"The side that changed last."`
	Evidence    []FindingEvidence `json:"evidence" nullable:"false"`
	Traced
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
	Groups      []string       `json:"groups,omitempty" doc:"The only groups that it was about; it was of whole models if this and workspaces are absent."`
	Workspaces  []string       `json:"workspaces,omitempty" doc:"The only workspaces that it was about, as billing-project/name."`
	StartedAt   time.Time      `json:"started_at"`
	CompletedAt *time.Time     `json:"completed_at" doc:"null while it is under way, and if it was interrupted."`
	Covered     map[string]int `json:"covered,omitempty" doc:"How many records of each kind were read."`
	Calls       int            `json:"calls"`
	Retries     int            `json:"retries"`
	Observed    int            `json:"observed" doc:"How many records differed from the last observation."`
	UnseenCount int            `json:"unseen_count" doc:"How many records could not be read."`
	Unseen      []anvil.Unseen `json:"unseen,omitempty" doc:"The first of those that could not be read."`
	Traced
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
	AsOfInput

	asked

	Compat bool     `query:"compat" doc:"Results exactly as those of django-anvil-consortium-manager."`
	Models []string `query:"models" maxItems:"6" doc:"What to audit, separated by commas: billing_projects, accounts, managed_groups, workspaces, or BillingProject, Account, ManagedGroup, Workspace; all if left out."`
}

type findingsInput struct {
	PageInput
	ProvenanceInput
	ConsortiumPath
	AsOfInput

	State    string   `query:"state" enum:"open,resolved,all" default:"open"`
	Model    []string `query:"model" enum:"billing_projects,accounts,managed_groups,managed_group_memberships,workspaces,workspace_sharing" maxItems:"6" doc:"One or several, separated by commas."`
	Severity string   `query:"severity" enum:"high,medium,low"`
	Accepted string   `query:"accepted" enum:"true,false" doc:"Only those that are accepted, or only those that are not; both if left out."`
}

type findingInput struct {
	Conditional
	ProvenanceInput
	ConsortiumPath
	AsOfInput

	ID string `path:"id" format:"uuid" doc:"The finding's id."`
}

type sweepsInput struct {
	PageInput
	ProvenanceInput
	ConsortiumPath
	AsOfInput
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

	Models     []string `query:"models" maxItems:"6" doc:"What to read, separated by commas; all if left out."`
	Groups     []string `query:"groups" maxItems:"1000" doc:"Read only these groups, and those workspaces, if any; separated by commas."`
	Workspaces []string `query:"workspaces" maxItems:"1000" doc:"Read only these workspaces, billing-project/name, and those groups, if any; separated by commas."`
}

// scope is what the sweep is limited to.
func (in *sweepInput) scope() (anvil.Scope, error) {
	scope, err := anvil.NewScope(in.Groups, in.Workspaces)
	if err == nil && !scope.Whole() && len(in.Models) > 0 {
		err = event.Errorf(event.CodeInvalid, "models, and groups or workspaces: a sweep is of whole models or of single groups and workspaces; leave one out")
	}
	return scope, err
}

type sweepOutput struct {
	Status int
	Body   *Sweep
}

func (s *Server) registerAnvil() {
	s.registerConsortia()
	const base = "/v1/anvil/{consortium}"
	op := func(method, id, path, summary string, errors ...int) huma.Operation {
		return huma.Operation{Method: method, OperationID: id, Path: base + path, Tags: []string{tagAnvil}, Summary: summary, Errors: append(errors, http.StatusNotFound)}
	}
	audit := notModified(op(http.MethodGet, "audit-consortium", "/audits", "Audit what is declared against what was observed"))
	register(s, access.ActionReadAnvil, asDocument(audit, "A line for each record and finding, with a header line.", "A page for people, complete in itself."), s.audit)
	register(s, access.ActionReadAnvil, asTable(op(http.MethodGet, "list-findings", "/findings", "List findings, the newest first")), s.listFindings)
	register(s, access.ActionReadAnvil, notModified(op(http.MethodGet, "get-finding", "/findings/{id}", "One finding with its evidence")), s.getFinding)
	register(s, access.ActionReadAnvil, asTable(op(http.MethodGet, "list-sweeps", "/sweeps", "List sweeps, the newest first")), s.listSweeps)
	s.registerEffective(op)
	s.registerEffectiveHistory(op)

	declare := accepted(op(http.MethodPost, "declare-consortium", "/declarations", "Bring the declaration to what the body says", http.StatusConflict))
	declare.Description = "The body is a whole declaration in YAML or JSON: what it lacks is withdrawn. All of it happens, or nothing."
	declare.Responses["200"] = &huma.Response{Description: "A dry run: nothing has changed."}
	declare = withFile(declare, maxDeclarationBytes, mediaYAML, mediaJSON)
	register(s, access.ActionDeclare, declare, s.declare)

	patch := accepted(op(http.MethodPatch, "patch-declaration", "/declarations", "Declare or withdraw single records", http.StatusConflict))
	patch.Description = "Each record under declare is added, or replaces the one of its name as a whole; each under withdraw is removed. " +
		"An account under deactivate becomes inactive and leaves its groups, one under activate becomes active again. All others stay. All of it happens, or nothing."
	patch.Responses["200"] = &huma.Response{Description: "A dry run: nothing has changed."}
	register(s, access.ActionDeclare, withPatch(patch), s.patch)
	s.registerAnvilImport()

	sweep := accepted(op(http.MethodPost, "sweep-consortium", "/sweeps", "Have AnVIL asked now, and wait for the end", http.StatusConflict))
	register(s, access.ActionSweep, sweep, s.sweep)
}

// withPatch makes an operation one that takes a patch. It is read by the domain,
// which names the line at fault.
func withPatch(op huma.Operation) huma.Operation {
	part := func(about string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, Description: about + " A declaration with only the fields and lists that it is about.", AdditionalProperties: true}
	}
	addresses := func(about string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeArray, Description: about, Items: &huma.Schema{Type: huma.TypeString}}
	}
	op = withFile(op, maxDeclarationBytes, mediaJSON)
	op.RequestBody.Description = "What to declare, to withdraw, to deactivate and to activate; one of them is enough."
	op.RequestBody.Content[mediaJSON] = &huma.MediaType{
		Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{
			"declare":    part("Records to add or to replace."),
			"withdraw":   part("Records to remove; what names them is enough."),
			"deactivate": addresses("Addresses of accounts that become inactive and leave their groups."),
			"activate":   addresses("Addresses of accounts that become active again."),
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
	consortia, err := s.consortia(ctx, in.Consortium, in.AsOf)
	if err != nil {
		return nil, err
	}
	at := in.AsOf
	if at.IsZero() {
		at = s.config.Now()
	}
	audit, err := consortia.Audit(ctx, in.Consortium, anvil.Options{Compat: in.Compat, Models: models, At: at})
	if err != nil {
		return nil, err
	}
	result, err := json.Marshal(audit.Result)
	if err != nil {
		return nil, fmt.Errorf("writing the result of the audit of %s: %w", in.Consortium, err)
	}
	out := &Audit{
		Consortium: in.Consortium, OK: audit.Result.OK(), Result: result, Discrepancies: showDiscrepancies(in.Consortium, in.Compat, audit.Result),
		report: auditreport.Report{Subject: in.Consortium, Compat: in.Compat, Result: audit.Result},
	}
	if sweep := audit.Sweep; sweep != nil {
		out.SweepID, out.SweptAt = &sweep.SweepID, utcTime(&sweep.CompletedAt)
		out.report.SweptAt = sweep.CompletedAt
	}
	return singleIn(in.Conditional, in.form(), out)
}

func (s *Server) listFindings(ctx context.Context, in *findingsInput) (*pageOutput[Finding], error) {
	list := "findings/" + in.Consortium + listAsOf(in.AsOf)
	before, err := cursorOf[postgres.FindingCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	filter := postgres.FindingFilter{
		Consortium: in.Consortium, State: postgres.FindingState(in.State), Severity: anvil.Severity(in.Severity), Before: before, Limit: in.Limit + 1,
	}
	if in.Accepted != "" {
		filter.Accepted = new(in.Accepted == "true")
	}
	for _, m := range in.Model {
		filter.Models = append(filter.Models, anvil.Model(m))
	}
	consortia, err := s.consortia(ctx, in.Consortium, in.AsOf)
	if err != nil {
		return nil, err
	}
	found, err := consortia.Findings(ctx, filter)
	if err != nil {
		return nil, err
	}
	place := postgres.Finding.Cursor
	if !in.AsOf.IsZero() {
		place = history.FindingCursor
	}
	page, err := pageOf(in.PageInput, list, found, showFinding, place)
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func showFinding(f postgres.Finding) Finding {
	state := "resolved"
	if f.Open {
		state = "open"
	}
	out := Finding{
		FindingID: f.ID, Model: string(f.Model), Scope: f.Scope, Record: f.Record, Kind: f.Kind, Severity: string(f.Severity), State: state,
		Expected: f.Expected, Observed: f.Observed, OpenedAt: f.OpenedAt.UTC(), ChangedAt: f.ChangedAt, ResolvedAt: f.ResolvedAt,
		Beyond: f.Beyond, RoleSwap: f.RoleSwap, Reopened: f.Reopened, ChangedSide: string(f.ChangedSide), Evidence: []FindingEvidence{},
		Traced: tracedTo(f.Origin),
	}
	if a := f.Accepted; a != nil {
		out.Accepted = &Acceptance{By: a.By, At: a.At, Reason: a.Reason}
		if !a.Until.IsZero() {
			out.Accepted.Until = utcTime(&a.Until)
		}
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
	consortia, err := s.consortia(ctx, in.Consortium, in.AsOf)
	if err != nil {
		return nil, err
	}
	f, err := consortia.Finding(ctx, in.Consortium, id)
	if err != nil {
		return nil, err
	}
	shown := showFinding(f)
	if err := s.trace(ctx, in.ProvenanceInput, &shown.Traced); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, &shown)
}

func (s *Server) listSweeps(ctx context.Context, in *sweepsInput) (*pageOutput[Sweep], error) {
	list := "sweeps/" + in.Consortium + listAsOf(in.AsOf)
	before, err := cursorOf[postgres.SweepCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	consortia, err := s.consortia(ctx, in.Consortium, in.AsOf)
	if err != nil {
		return nil, err
	}
	sweeps, err := consortia.Sweeps(ctx, in.Consortium, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, sweeps, showSweep, postgres.Sweep.Cursor)
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func showSweep(sweep postgres.Sweep) Sweep {
	out := Sweep{SweepID: sweep.ID, StartedAt: sweep.StartedAt.UTC(), Traced: tracedTo(sweep.Origin)}
	c := sweep.Completed
	if c == nil {
		return out
	}
	out.Models, out.CompletedAt = c.Models, utcTime(&c.CompletedAt)
	out.Groups, out.Workspaces = c.Groups, c.Workspaces
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
	scope, err := in.scope()
	if err != nil {
		return nil, err
	}
	sweep, err := s.config.Sweeper.Sweep(ctx, principalOf(ctx).ID, in.Consortium, models, scope)
	if err != nil {
		return nil, err
	}
	return &sweepOutput{Status: shownStatus(sweep.Completed != nil), Body: new(showSweep(sweep))}, nil
}
