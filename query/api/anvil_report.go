package api

import (
	"io"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/anvil"
)

// Discrepancy is one point in which a record and AnVIL disagree now.
type Discrepancy struct {
	Model    string `json:"model"`
	Scope    string `json:"scope,omitempty" doc:"The group or workspace whose membership or sharing it is about."`
	Record   string `json:"record"`
	Kind     string `json:"kind" doc:"The error's text, or not_in_app."`
	Expected string `json:"expected"`
	Observed string `json:"observed"`
	Severity string `json:"severity" enum:"high,medium,low"`
	Beyond   bool   `json:"beyond" doc:"django-anvil-consortium-manager passes this."`
	RoleSwap bool   `json:"role_swap" doc:"A member is an admin instead, or the other way round."`
}

func showDiscrepancies(result *anvil.Result) []Discrepancy {
	shown := []Discrepancy{}
	for _, d := range result.Discrepancies() {
		shown = append(shown, Discrepancy{
			Model: string(d.Model), Scope: d.Scope, Record: d.Record, Kind: d.Kind, Expected: d.Expected, Observed: d.Observed, Severity: string(d.Severity()),
			Beyond: d.Beyond, RoleSwap: d.RoleSwap,
		})
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
