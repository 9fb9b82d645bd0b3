package anvil

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

// Bus decides on a stream; [*command.Bus] does.
type Bus interface {
	Do(ctx context.Context, stream event.Stream, in command.Input, decide command.Decide) (command.Receipt, error)
	Await(ctx context.Context, receipts ...command.Receipt) (bool, error)
}

// LoadState reads the state of a consortium from the read model, which shows
// every decision made on it so far.
type LoadState func(ctx context.Context, stream event.Stream) (*domain.State, error)

// Declarer changes what is declared of consortia. It is safe for concurrent use.
type Declarer struct {
	bus  Bus
	load LoadState
	now  func() time.Time
}

// NewDeclarer is a declarer.
func NewDeclarer(bus Bus, load LoadState) *Declarer {
	return &Declarer{bus: bus, load: load, now: time.Now}
}

// DeclareInput says who declares what, and why.
type DeclareInput struct {
	Actor      string
	Consortium string
	// Wanted is the whole declaration: what it lacks is withdrawn.
	Wanted domain.Declared
	Reason string
	// DryRun plans and changes nothing.
	DryRun bool
	// ExpectedVersion is the version of the consortium that the sender has
	// seen; nil expects nothing.
	ExpectedVersion *int64
}

// DeclareResult is what came of it.
type DeclareResult struct {
	Plan []domain.Change
	// Version is the consortium's version after the change.
	Version int64
	// Shown is false when the read model did not show the change in time: it
	// will.
	Shown bool
}

// PatchInput says who changes which records of a declaration, and why.
type PatchInput struct {
	Actor      string
	Consortium string
	// Patch holds the records to declare and to withdraw; all others stay.
	Patch  domain.Patch
	Reason string
	// DryRun plans and changes nothing.
	DryRun bool
	// ExpectedVersion is the version of the consortium that the sender has
	// seen; nil expects nothing.
	ExpectedVersion *int64
}

// Declare brings a consortium's declaration to what is wanted, all of it or
// nothing. A declaration that is so already changes nothing. It fails with
// [event.CodeInvalid] for a declaration that breaks a rule.
func (d *Declarer) Declare(ctx context.Context, in DeclareInput) (DeclareResult, error) {
	return d.change(ctx, in, func(domain.Declared) (domain.Declared, error) { return in.Wanted, nil })
}

// Patch declares and withdraws single records, all of them or none. Records
// that are declared so already change nothing. Besides what [Declarer.Declare]
// fails with, it fails with [event.CodeConflict] for withdrawing what is not
// declared or is still referred to.
func (d *Declarer) Patch(ctx context.Context, in PatchInput) (DeclareResult, error) {
	about := DeclareInput{Actor: in.Actor, Consortium: in.Consortium, Reason: in.Reason, DryRun: in.DryRun, ExpectedVersion: in.ExpectedVersion}
	return d.change(ctx, about, in.Patch.Apply)
}

// change brings a declaration from what it is to what wanted makes of it. What
// in itself wants does not count.
func (d *Declarer) change(ctx context.Context, in DeclareInput, wanted func(current domain.Declared) (domain.Declared, error)) (DeclareResult, error) {
	stream := event.Consortium(in.Consortium)
	if err := stream.Validate(); err != nil {
		return DeclareResult{}, err
	}
	if in.DryRun {
		plan, err := d.plan(ctx, stream, wanted)
		return DeclareResult{Plan: plan, Shown: true}, err
	}
	var result DeclareResult
	receipt, err := d.bus.Do(ctx, stream, command.Input{Actor: in.Actor, ExpectedVersion: in.ExpectedVersion},
		func(ctx context.Context, _ pgx.Tx, _ int64) ([]event.Payload, error) {
			plan, err := d.plan(ctx, stream, wanted)
			if err != nil {
				return nil, err
			}
			result.Plan = plan
			return domain.PlanEvents(plan, in.Reason), nil
		})
	if err != nil {
		return result, err
	}
	result.Version = receipt.Version
	result.Shown, err = d.bus.Await(ctx, receipt)
	return result, err
}

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

// Accept accepts an open finding as it is, or ends that; it tells whether the read
// model shows it already. It fails with [event.CodeNotFound] if the finding is not
// open, or not accepted, and with [event.CodeInvalid] without a reason.
func (d *Declarer) Accept(ctx context.Context, in AcceptInput) (bool, error) {
	stream := event.Consortium(in.Consortium)
	if err := stream.Validate(); err != nil {
		return false, err
	}
	receipt, err := d.bus.Do(ctx, stream, command.Input{Actor: in.Actor}, func(ctx context.Context, _ pgx.Tx, _ int64) ([]event.Payload, error) {
		state, err := d.load(ctx, stream)
		if err != nil {
			return nil, fmt.Errorf("reading the findings of %s: %w", stream, err)
		}
		var p event.Payload
		if in.Withdraw {
			p, err = state.Unaccept(in.FindingID, in.Reason)
		} else {
			p, err = state.Accept(in.FindingID, in.Reason, in.Until, d.now())
		}
		if p == nil || err != nil {
			return nil, err
		}
		return []event.Payload{p}, nil
	})
	if err != nil {
		return false, err
	}
	return d.bus.Await(ctx, receipt)
}

func (d *Declarer) plan(ctx context.Context, stream event.Stream, wanted func(domain.Declared) (domain.Declared, error)) ([]domain.Change, error) {
	state, err := d.load(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("reading what is declared of %s: %w", stream, err)
	}
	current := state.Declared()
	next, err := wanted(current)
	if err != nil {
		return nil, err
	}
	return domain.Plan(current, next, domain.Strict)
}
