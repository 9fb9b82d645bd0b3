package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/retention"
)

// Retention removes what is older than the policies keep.
type Retention interface {
	// Standing is how it stands.
	Standing(ctx context.Context) (RetentionStanding, error)
	// Plan tells what would go now, without removing it, in the order in which it first
	// comes up. It fails with [event.CodeUnavailable] if the index of events has not come to
	// the end of the log in good time.
	Plan(ctx context.Context) ([]RetentionPlanned, error)
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

// RetentionPlanned is what would go by one policy for one reason.
type RetentionPlanned struct {
	Class      retention.Class  `json:"class" enum:"history,state,access,forgotten"`
	Reason     retention.Reason `json:"reason" enum:"older than the policy keeps,replaced before the time that can be asked for,not the last observation of its day,held by a later closing,its character was forgotten"`
	Characters int              `json:"characters" doc:"Of how many."`
	Events     int              `json:"events"`
	Oldest     time.Time        `json:"oldest" doc:"When the first of them was observed or decided, which may be long after what it tells of."`
}

func (s *Server) registerRetention() {
	op := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Path: path, Tags: []string{tagOperations}, Summary: summary}
	}
	register(s, access.ActionReadOperations, op("get-retention", "/v1/retention", "How long data are kept, and what was removed"), s.getRetention)
	register(s, access.ActionReadOperations, asTable(op("list-retention-certificates", "/v1/retention/certificates", "The searches for what should be gone")), s.listCertificates)
	plan := asTable(op("plan-retention", "/v1/retention/plan", "What a run would remove now"))
	plan.Description = "Nothing is removed. Every character is looked at: it takes a while with many."
	register(s, access.ActionReadOperations, plan, s.planRetention)
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

func (s *Server) planRetention(ctx context.Context, _ *nothing) (*body[Page[RetentionPlanned]], error) {
	planned, err := s.config.Retention.Plan(ctx)
	if err != nil {
		return nil, err
	}
	return &body[Page[RetentionPlanned]]{&Page[RetentionPlanned]{Items: planned}}, nil
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
