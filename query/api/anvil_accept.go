package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
)

// AcceptInput says who accepts a finding, or withdraws its acceptance, and why.
type AcceptInput struct {
	Actor      string
	Consortium string
	FindingID  uuid.UUID
	Reason     string
	// Until is when the acceptance ends; zero means never.
	Until time.Time
	// Withdraw ends an acceptance instead.
	Withdraw bool
}

// Acceptance says that a finding is known and may stay as it is.
type Acceptance struct {
	By     string     `json:"by"`
	At     time.Time  `json:"at"`
	Reason string     `json:"reason"`
	Until  *time.Time `json:"until" doc:"When it ends; null if never. It ends sooner when the finding gets other values or is resolved."`
}

// NewAcceptance says why a finding may stay as it is, and for how long.
type NewAcceptance struct {
	Reason string     `json:"reason" minLength:"1" maxLength:"2000" doc:"Why; auditors will ask."`
	Until  *time.Time `json:"until,omitempty" doc:"When the acceptance ends; never if left out."`
}

type acceptInput struct {
	ConsortiumPath

	ID   string `path:"id" format:"uuid" doc:"The finding's id."`
	Body NewAcceptance
}

type unacceptInput struct {
	ConsortiumPath

	ID     string `path:"id" format:"uuid" doc:"The finding's id."`
	Reason string `query:"reason" maxLength:"2000" doc:"Why."`
}

type acceptOutput struct {
	Status int
	Body   *Finding
}

func (s *Server) registerAcceptances() {
	const path = "/v1/anvil/{consortium}/findings/{id}/acceptance"
	accept := accepted(huma.Operation{
		Method: http.MethodPost, OperationID: "accept-finding", Path: path, Tags: []string{tagAnvil}, Errors: []int{http.StatusNotFound},
		Summary:     "Accept an open finding as it is",
		Description: "It stays open and shows who accepted it, and why. Accepting it again replaces that.",
	})
	register(s, access.ActionDeclare, accept, s.acceptFinding)
	withdraw := accepted(huma.Operation{
		Method: http.MethodDelete, OperationID: "unaccept-finding", Path: path, Tags: []string{tagAnvil}, Errors: []int{http.StatusNotFound},
		Summary: "Withdraw the acceptance of a finding",
	})
	register(s, access.ActionDeclare, withdraw, s.unacceptFinding)
}

func (s *Server) acceptFinding(ctx context.Context, in *acceptInput) (*acceptOutput, error) {
	decision := AcceptInput{Consortium: in.Consortium, Reason: in.Body.Reason}
	if in.Body.Until != nil {
		decision.Until = *in.Body.Until
	}
	return s.decideAcceptance(ctx, in.ID, decision)
}

func (s *Server) unacceptFinding(ctx context.Context, in *unacceptInput) (*acceptOutput, error) {
	return s.decideAcceptance(ctx, in.ID, AcceptInput{Consortium: in.Consortium, Reason: in.Reason, Withdraw: true})
}

func (s *Server) decideAcceptance(ctx context.Context, id string, in AcceptInput) (*acceptOutput, error) {
	var err error
	if in.FindingID, err = uuid.Parse(id); err != nil {
		return nil, fmt.Errorf("reading the finding's id: %w", err)
	}
	in.Actor = principalOf(ctx).ID
	shown, err := s.config.Declarer.Accept(ctx, in)
	if err != nil {
		return nil, err
	}
	f, err := s.config.Consortia.Finding(ctx, in.Consortium, in.FindingID)
	if err != nil {
		return nil, err
	}
	return &acceptOutput{Status: shownStatus(shown), Body: new(showFinding(f))}, nil
}
