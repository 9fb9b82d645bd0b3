package anvil

import (
	"context"
	"errors"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// importReason is why an import changed a declaration, when nobody says.
const importReason = "imported from AnVIL"

// Importer declares what AnVIL has already. It is safe for concurrent use.
type Importer struct {
	sweeper  *Sweeper
	declarer *Declarer
}

// NewImporter is an importer that asks as the sweeper does and declares by the
// declarer.
func NewImporter(sweeper *Sweeper, declarer *Declarer) *Importer {
	return &Importer{sweeper: sweeper, declarer: declarer}
}

// ImportInput says who imports what, and why.
type ImportInput struct {
	Actor      string
	Consortium string
	Import     domain.Import
	// Reason is "imported from AnVIL" if empty.
	Reason string
	// DryRun asks AnVIL and plans, and changes nothing.
	DryRun bool
	// ExpectedVersion is the version of the consortium that the sender has
	// seen; nil expects nothing.
	ExpectedVersion *int64
}

// ImportResult is what came of it.
type ImportResult struct {
	DeclareResult
	// LeftOut is what AnVIL has, or may have, and was not declared.
	LeftOut []domain.LeftOut
}

// Import asks AnVIL what is there, with the client, the concurrency and the
// retries of sweeps, and declares it beside what is declared already: all that
// can be, or nothing. What could not be read, or cannot be declared, is in the
// result's list. The answers are for this decision alone: what was observed stays
// what sweeps have observed.
//
// It fails with [event.CodeInvalid] for a consortium without a service account,
// with [event.CodeUnavailable] if AnVIL cannot be asked or neither list can be
// read, as [Declarer.Declare] does, and when ctx ends.
func (m *Importer) Import(ctx context.Context, in ImportInput) (ImportResult, error) {
	stream := event.Consortium(in.Consortium)
	if err := stream.Validate(); err != nil {
		return ImportResult{}, err
	}
	state, err := m.declarer.load(ctx, stream)
	if err != nil {
		return ImportResult{}, err
	}
	current := state.Declared()
	if in.Import.ServiceAccount == "" && current.ServiceAccount == "" {
		return ImportResult{}, event.Errorf(event.CodeInvalid, "nothing is declared of consortium %q: name the account that asks AnVIL with service_account, "+
			"it has to be left out of what is imported", in.Consortium)
	}
	world, err := m.sweeper.survey(ctx, stream, func(o *domain.Observed) []domain.Request { return in.Import.Requests(current, o) })
	if err != nil {
		return ImportResult{}, err
	}
	if !world.GroupList.Found() && !world.WorkspaceList.Found() {
		_, leftOut, err := in.Import.Apply(current, world)
		return ImportResult{LeftOut: leftOut}, errors.Join(err, event.Errorf(event.CodeUnavailable,
			"neither of AnVIL's lists could be read, so nothing was imported: %s; %s", leftOut[0].Cause, leftOut[len(leftOut)-1].Cause))
	}
	about := DeclareInput{Actor: in.Actor, Consortium: in.Consortium, Reason: in.Reason, DryRun: in.DryRun, ExpectedVersion: in.ExpectedVersion}
	if about.Reason == "" {
		about.Reason = importReason
	}
	var result ImportResult
	// The declaration may have changed while AnVIL was asked: what counts is what
	// it is when this is decided.
	result.DeclareResult, err = m.declarer.change(ctx, about, func(now domain.Declared) (domain.Declared, error) {
		var next domain.Declared
		var err error
		next, result.LeftOut, err = in.Import.Apply(now, world)
		return next, err
	})
	return result, err
}

// survey asks AnVIL, until nothing follows from the answers, and appends
// nothing.
func (s *Sweeper) survey(ctx context.Context, stream event.Stream, follow func(*domain.Observed) []domain.Request) (*domain.Observed, error) {
	if err := s.config.Asker.CheckToken(); err != nil {
		return nil, err
	}
	w := s.newWindow(stream)
	for questions := follow(w.world); len(questions) > 0; questions = follow(w.world) {
		if err := w.ask(ctx, questions); err != nil {
			return nil, err
		}
	}
	if err := w.doubt(ctx); err != nil {
		return nil, err
	}
	s.config.Logger.InfoContext(ctx, "AnVIL asked for an import", "stream", stream, "calls", w.calls, "retries", w.retries)
	return w.world, nil
}
