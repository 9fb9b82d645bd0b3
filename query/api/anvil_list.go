package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/postgres"
)

// Consortium is how a consortium stands.
type Consortium struct {
	Consortium    string           `json:"consortium"`
	SweepID       *uuid.UUID       `json:"sweep_id" nullable:"true" doc:"The last completed sweep of whole models; null before the first."`
	SweptAt       *time.Time       `json:"swept_at" doc:"When that sweep ended; null before the first."`
	UnseenCount   int              `json:"unseen_count" doc:"How many records it could not read."`
	OpenFindings  int64            `json:"open_findings"`
	High          int64            `json:"high" doc:"Open findings of high severity."`
	Medium        int64            `json:"medium" doc:"Open findings of medium severity."`
	Low           int64            `json:"low" doc:"Open findings of low severity."`
	Accepted      int64            `json:"accepted" doc:"Open findings that are accepted as they are."`
	DeclaredTotal int64            `json:"declared_total" doc:"How many records are declared."`
	Declared      map[string]int64 `json:"declared" doc:"How many records are declared, by kind."`
	Findings      []OpenFindings   `json:"findings" nullable:"false" doc:"Open findings by model and severity."`
}

// OpenFindings are how many findings of a model and severity are open.
type OpenFindings struct {
	Model    string `json:"model"`
	Severity string `json:"severity" enum:"high,medium,low"`
	Findings int64  `json:"findings"`
	Accepted int64  `json:"accepted" doc:"Those of them that are accepted as they are."`
}

// consortiumRow is a [Consortium] as columns of a table.
type consortiumRow struct {
	Consortium   string     `json:"consortium"`
	SweepID      *uuid.UUID `json:"sweep_id"`
	SweptAt      *time.Time `json:"swept_at"`
	UnseenCount  int        `json:"unseen_count"`
	OpenFindings int64      `json:"open_findings"`
	High         int64      `json:"high"`
	Medium       int64      `json:"medium"`
	Low          int64      `json:"low"`
	Accepted     int64      `json:"accepted"`
	Declared     int64      `json:"declared_total"`
}

// ConsortiaPage is a list of consortia.
type ConsortiaPage struct {
	Page[Consortium]
}

func (p *ConsortiaPage) rows() any {
	rows := make([]consortiumRow, len(p.Items))
	for i, c := range p.Items {
		rows[i] = consortiumRow{c.Consortium, c.SweepID, c.SweptAt, c.UnseenCount, c.OpenFindings, c.High, c.Medium, c.Low, c.Accepted, c.DeclaredTotal}
	}
	return rows
}

type consortiaInput struct {
	PageInput

	Consortium string `query:"consortium" maxLength:"150" doc:"Only the one of that name."`
}

type consortiaOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *ConsortiaPage
}

func (s *Server) registerConsortia() {
	register(s, access.ActionReadAnvil, asTable(huma.Operation{
		Method: http.MethodGet, OperationID: "list-consortia", Path: "/v1/anvil", Tags: []string{tagAnvil},
		Summary: "List consortia by name: when they were swept last, how many findings are open, and how much is declared",
	}), s.listConsortia)
}

func (s *Server) listConsortia(ctx context.Context, in *consortiaInput) (*consortiaOutput, error) {
	list := "consortia/" + in.Consortium
	after, err := cursorOf[string](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	all, err := s.config.Consortia.All(ctx)
	if err != nil {
		return nil, err
	}
	name := func(c postgres.ConsortiumOverview) string { return c.Name }
	var wanted []postgres.ConsortiumOverview
	for _, c := range following(all, after, name) {
		if in.Consortium == "" || c.Name == in.Consortium {
			wanted = append(wanted, c)
		}
	}
	page, err := pageOf(in.PageInput, list, wanted, showConsortium, name)
	if err != nil {
		return nil, err
	}
	return &consortiaOutput{Link: page.Link, Body: &ConsortiaPage{Page: *page.Body}}, nil
}

func showConsortium(c postgres.ConsortiumOverview) Consortium {
	out := Consortium{Consortium: c.Name, Declared: c.Declared, Findings: []OpenFindings{}}
	if c.Sweep != nil {
		out.SweepID, out.SweptAt, out.UnseenCount = &c.Sweep.SweepID, utcTime(&c.Sweep.CompletedAt), c.Sweep.UnseenCount
	}
	for _, n := range c.Declared {
		out.DeclaredTotal += n
	}
	by := map[string]*int64{"high": &out.High, "medium": &out.Medium, "low": &out.Low}
	for _, f := range c.Open {
		out.Findings = append(out.Findings, OpenFindings{Model: string(f.Model), Severity: string(f.Severity), Findings: f.Findings, Accepted: f.Accepted})
		out.OpenFindings += f.Findings
		out.Accepted += f.Accepted
		if n := by[string(f.Severity)]; n != nil {
			*n += f.Findings
		}
	}
	return out
}
