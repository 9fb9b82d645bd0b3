package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/retention"
)

// Retention removes what is older than the policies keep.
type Retention interface {
	// Standing is how it stands.
	Standing(ctx context.Context) (RetentionStanding, error)
	// Enforce removes what may go now. It fails with [event.CodeConflict] while
	// another run is under way.
	Enforce(ctx context.Context, actor string) (retention.Completed, error)
}

// RetentionStanding is how retention stands.
type RetentionStanding struct {
	Policies retention.Policies `json:"policies" doc:"Days; 0 keeps for ever."`
	// Runs and Certificates are in the order in which they were made.
	Runs         []retention.Completed `json:"runs" nullable:"false"`
	Unfinished   []string              `json:"unfinished" nullable:"false" doc:"Runs that were interrupted; a later one has gone on with them."`
	Certificates []retention.Certified `json:"certificates" nullable:"false"`
}

func (s *Server) registerRetention() {
	op := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Path: path, Tags: []string{tagOperations}, Summary: summary}
	}
	register(s, access.ActionReadOperations, op("get-retention", "/v1/retention", "How long data are kept, and what was removed"), s.getRetention)
	register(s, access.ActionReadOperations, asTable(op("list-retention-certificates", "/v1/retention/certificates", "The searches for what should be gone")), s.listCertificates)
	run := op("run-retention", "/v1/retention/runs", "Remove what is older than the policies keep")
	run.Method, run.DefaultStatus = http.MethodPost, http.StatusCreated
	run.Description = "It answers when all tombstones are in the log. The read models follow at once, and the log's compaction later."
	run.Errors = []int{http.StatusConflict}
	register(s, access.ActionOperate, run, s.runRetention)
}

func (s *Server) getRetention(ctx context.Context, _ *nothing) (*body[RetentionStanding], error) {
	standing, err := s.config.Retention.Standing(ctx)
	if err != nil {
		return nil, err
	}
	return &body[RetentionStanding]{&standing}, nil
}

func (s *Server) runRetention(ctx context.Context, _ *nothing) (*body[retention.Completed], error) {
	done, err := s.config.Retention.Enforce(ctx, principalOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	return &body[retention.Completed]{&done}, nil
}

func (s *Server) listCertificates(ctx context.Context, _ *nothing) (*body[Page[retention.Certified]], error) {
	standing, err := s.config.Retention.Standing(ctx)
	if err != nil {
		return nil, err
	}
	return &body[Page[retention.Certified]]{&Page[retention.Certified]{Items: standing.Certificates}}, nil
}
