package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
)

// ConsortiumImporter declares what AnVIL has already.
type ConsortiumImporter interface {
	// ImportConsortium asks AnVIL now, and declares what can be declared of it
	// beside what is declared already; it withdraws nothing.
	ImportConsortium(context.Context, ConsortiumImportInput) (ConsortiumImportResult, error)
}

// ConsortiumImportInput says who imports what, and why.
type ConsortiumImportInput struct {
	Actor, Consortium string
	// Import says as whom to ask and whether accounts are declared, too.
	Import anvil.Import
	Reason string
	// DryRun asks and plans, and changes nothing.
	DryRun bool
	// ExpectedVersion is the version of the consortium that the sender has seen;
	// nil expects nothing.
	ExpectedVersion *int64
}

// ConsortiumImportResult is what an import came to.
type ConsortiumImportResult struct {
	DeclareResult
	// LeftOut is what was not declared, and why.
	LeftOut []anvil.LeftOut
}

// ImportPlan is what an import changes, or would change, and what it leaves out.
type ImportPlan struct {
	Plan
	LeftOut []anvil.LeftOut `json:"left_out" nullable:"false" doc:"What could not be read or cannot be declared, one by one."`
}

type consortiumImportInput struct {
	ConsortiumPath

	DryRun          bool   `query:"dry_run" doc:"Ask AnVIL and plan, and change nothing."`
	Reason          string `query:"reason" maxLength:"2000" doc:"Why; auditors will ask. \"imported from AnVIL\" if left out."`
	WithAccounts    bool   `query:"with_accounts" doc:"Ask Sam about the addresses in managed groups, and declare those that are accounts."`
	ServiceAccount  string `query:"service_account" maxLength:"320" doc:"The address of the account that asks AnVIL. The declared one if left out; a consortium of which nothing is declared needs it."`
	ExpectedVersion int64  `query:"expected_version" minimum:"-1" default:"-1" doc:"The version that the sender has seen: if it is another by now the answer is 409. -1 expects nothing."`
}

type consortiumImportOutput struct {
	Status int
	Body   *ImportPlan
}

func (s *Server) registerAnvilImport() {
	op := accepted(huma.Operation{
		Method: http.MethodPost, OperationID: "import-consortium", Path: "/v1/anvil/{consortium}/imports", Tags: []string{tagAnvil},
		Summary: "Declare what AnVIL has already", Errors: []int{http.StatusConflict, http.StatusNotFound},
	})
	op.Description = "AnVIL is asked now. What it has is added to the declaration or updates it, by the rules of django-anvil-consortium-manager's imports; " +
		"nothing is withdrawn. What could not be read or cannot be declared is left out and listed. All of it happens, or nothing."
	op.Responses["200"] = &huma.Response{Description: "A dry run: nothing has changed."}
	register(s, access.ActionDeclare, op, s.importConsortium)
}

func (s *Server) importConsortium(ctx context.Context, in *consortiumImportInput) (*consortiumImportOutput, error) {
	about := declareInput{ConsortiumPath: in.ConsortiumPath, DryRun: in.DryRun, ExpectedVersion: in.ExpectedVersion}
	result, err := s.config.ConsortiumImporter.ImportConsortium(ctx, ConsortiumImportInput{
		Actor: principalOf(ctx).ID, Consortium: in.Consortium, Reason: in.Reason, DryRun: in.DryRun, ExpectedVersion: about.expected(),
		Import: anvil.Import{ServiceAccount: in.ServiceAccount, WithAccounts: in.WithAccounts},
	})
	declared, err := about.answer(result.DeclareResult, err)
	if err != nil {
		return nil, err
	}
	plan := &ImportPlan{Plan: *declared.Body, LeftOut: []anvil.LeftOut{}}
	plan.LeftOut = append(plan.LeftOut, result.LeftOut...)
	return &consortiumImportOutput{Status: declared.Status, Body: plan}, nil
}
