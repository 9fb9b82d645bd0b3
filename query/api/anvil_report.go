package api

import (
	"io"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// Discrepancy is one point in which a record and AnVIL disagree now.
type Discrepancy struct {
	FindingID *uuid.UUID `json:"finding_id,omitempty" doc:"The finding that tells of it over time; absent in compat mode."`
	Model     string     `json:"model"`
	Scope     string     `json:"scope,omitempty" doc:"The group or workspace whose membership or sharing it is about."`
	Record    string     `json:"record"`
	Kind      string     `json:"kind" doc:"The error's text, or not_in_app."`
	Expected  string     `json:"expected"`
	Observed  string     `json:"observed"`
	Severity  string     `json:"severity" enum:"high,medium,low"`
	Beyond    bool       `json:"beyond" doc:"django-anvil-consortium-manager passes this."`
	RoleSwap  bool       `json:"role_swap" doc:"A member is an admin instead, or the other way round."`
}

// showDiscrepancies shows what an audit of a consortium found. In compat mode a role
// swap is two lines, which no finding has.
func showDiscrepancies(consortium string, compat bool, result *anvil.Result) []Discrepancy {
	shown := []Discrepancy{}
	for _, d := range result.Discrepancies() {
		one := Discrepancy{
			Model: string(d.Model), Scope: d.Scope, Record: d.Record, Kind: d.Kind, Expected: d.Expected, Observed: d.Observed, Severity: string(d.Severity()),
			Beyond: d.Beyond, RoleSwap: d.RoleSwap,
		}
		if !compat {
			one.FindingID = new(anvil.FindingID(event.Consortium(consortium), d.Model, d.Scope, d.Record, d.Kind))
		}
		shown = append(shown, one)
	}
	return shown
}

// writeHTML implements [document].
func (a *Audit) writeHTML(w io.Writer) error { return a.report.HTML(w) }

// writeCSV implements [document].
func (a *Audit) writeCSV(w io.Writer) error { return a.report.CSV(w) }

// asked notes which media type a request is answered with.
type asked struct{ media string }

// Resolve implements [huma.Resolver].
func (a *asked) Resolve(ctx huma.Context) []error {
	a.media = ctx.Header("Accept")
	return nil
}

// form is what tells versions of the answer apart; empty for JSON.
func (a *asked) form() string {
	if a.media == mediaJSON {
		return ""
	}
	return a.media
}
