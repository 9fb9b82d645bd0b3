package anvil

import (
	"context"
	"log/slog"
	"slices"
	"time"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// Rounds sweeps every consortium again and again.
type Rounds struct {
	Sweeper *Sweeper
	// Consortia lists the names of those that are declared.
	Consortia func(ctx context.Context) ([]string, error)
	// Load reads what is declared and when the last sweep ended.
	Load LoadState
	// Every is the time from the end of a sweep to the next.
	Every  time.Duration
	Logger *slog.Logger
}

// looks is how often a round looks for consortia that are due, at most.
const looks = 20

// Run sweeps until ctx ends. What goes wrong with one consortium is logged; the
// others go on.
func (r *Rounds) Run(ctx context.Context) error {
	ticker := time.NewTicker(min(max(r.Every/looks, time.Second), time.Minute))
	defer ticker.Stop()
	for {
		r.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (r *Rounds) round(ctx context.Context) {
	names, err := r.Consortia(ctx)
	if err != nil {
		if ctx.Err() == nil && event.CodeOf(err) != event.CodeUnavailable {
			r.Logger.WarnContext(ctx, "consortia cannot be listed; trying again", "error", err)
		}
		return
	}
	for _, name := range names {
		if err := r.sweepIfDue(ctx, name); err != nil && ctx.Err() == nil && event.CodeOf(err) != event.CodeConflict {
			r.Logger.WarnContext(ctx, "AnVIL sweep failed; trying again", "consortium", name, "error", err)
		}
	}
}

func (r *Rounds) sweepIfDue(ctx context.Context, name string) error {
	state, err := r.Load(ctx, event.Consortium(name))
	if err != nil {
		return err
	}
	if last, ok := state.LastSweep(); ok && time.Since(last.CompletedAt) < r.Every {
		return nil
	}
	_, err = r.Sweeper.Run(ctx, name, state.Declared(), dueModels(state))
	return err
}

// dueModels are the models of which something is declared, and those that were
// looked at before: what is withdrawn may still be there. Groups are always
// looked at, for AnVIL may have more than is declared.
func dueModels(state *domain.State) []domain.Model {
	d := state.Declared()
	last, _ := state.LastSweep()
	due := map[domain.Model]bool{
		domain.ModelManagedGroups:   true,
		domain.ModelAccounts:        len(d.Accounts) > 0,
		domain.ModelBillingProjects: len(d.BillingProjects) > 0,
		domain.ModelWorkspaces:      len(d.Workspaces) > 0 || slices.Contains(last.Models, domain.ModelWorkspaces),
	}
	return slices.DeleteFunc(domain.Models(), func(m domain.Model) bool { return !due[m] })
}
