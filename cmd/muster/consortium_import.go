package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	ingestanvil "github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/query/api"
)

// consortiumImporter declares what AnVIL has for the API.
type consortiumImporter struct{ *roles }

// ImportConsortium implements [api.ConsortiumImporter].
func (i consortiumImporter) ImportConsortium(ctx context.Context, in api.ConsortiumImportInput) (api.ConsortiumImportResult, error) {
	if i.roles.sweeper == nil {
		return api.ConsortiumImportResult{}, event.Errorf(event.CodeUnavailable, "this Muster cannot ask AnVIL: %w", i.noSweeps)
	}
	i.logger.InfoContext(ctx, "import asked for", "actor", in.Actor, "consortium", in.Consortium)
	result, err := ingestanvil.NewImporter(i.roles.sweeper, i.declarer()).Import(ctx, ingestanvil.ImportInput(in))
	return api.ConsortiumImportResult{DeclareResult: api.DeclareResult(result.DeclareResult), LeftOut: result.LeftOut}, err
}

// consortiumImportAnswer is what the API says of an import from AnVIL.
type consortiumImportAnswer struct {
	declareAnswer

	LeftOut []anvil.LeftOut `json:"left_out"`
}

// importFromAnVIL has a running Muster declare what AnVIL has already, and prints
// the plan and what was left out. What was left out is a finding.
func (c *declareFile) importFromAnVIL(ctx context.Context, env *environment) error {
	muster, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, value := range map[string]string{"reason": c.Reason, "service_account": c.ServiceAccount} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, on := range map[string]bool{"dry_run": c.DryRun, "with_accounts": c.WithAccounts} {
		if on {
			query.Set(name, "true")
		}
	}
	var answer consortiumImportAnswer
	path := "/v1/anvil/" + url.PathEscape(c.Consortium) + "/imports?" + query.Encode()
	if err := muster.do(ctx, http.MethodPost, path, nil, "", &answer); err != nil {
		return err
	}
	if err := c.show(env, answer.declareAnswer, answer); err != nil {
		return err
	}
	if len(answer.LeftOut) == 0 {
		return nil
	}
	if c.Output != "json" {
		// A table of changes has no place for it.
		w := env.stdout
		if c.Output == "csv" {
			w = env.stderr
		}
		for _, l := range answer.LeftOut {
			fmt.Fprintf(w, "  left out: %s %s: %s\n", l.Kind, l.Name, l.Cause)
		}
		fmt.Fprintf(w, "%d left out\n", len(answer.LeftOut))
	}
	return errFindings
}
