// Package skillset defines and removes skill sets and their groups: decisions on the
// organisation's stream.
package skillset

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

// Bus decides on a stream; [*command.Bus] does.
type Bus interface {
	Do(ctx context.Context, stream event.Stream, in command.Input, decide command.Decide) (command.Receipt, error)
	Await(ctx context.Context, receipts ...command.Receipt) (bool, error)
}

// Load reads all skill sets and groups from the read model, which shows every decision
// made on them so far.
type Load func(ctx context.Context) (*eve.SkillSets, error)

// Definer decides on skill sets and groups. It is safe for concurrent use.
type Definer struct {
	bus  Bus
	load Load
}

// NewDefiner is a definer.
func NewDefiner(bus Bus, load Load) *Definer { return &Definer{bus: bus, load: load} }

// DefineInput says who defines which skill set.
type DefineInput struct {
	Actor string
	// ID is the set to replace; the zero id makes a new one.
	ID  uuid.UUID
	Set eve.SkillSet
	// Overwrite has a new set replace the one that has its name already.
	Overwrite bool
	// ExpectedVersion is the version of the organisation's stream that the sender has
	// seen; nil expects nothing.
	ExpectedVersion *int64
}

// GroupInput says who defines which group.
type GroupInput struct {
	Actor string
	// ID is the group to replace; the zero id makes a new one.
	ID              uuid.UUID
	Group           eve.SkillSetGroup
	ExpectedVersion *int64
}

// RemoveInput says who removes what, and why.
type RemoveInput struct {
	Actor           string
	ID              uuid.UUID
	Reason          string
	ExpectedVersion *int64
}

// Result is what a decision came to.
type Result struct {
	// ID is that of the set or group.
	ID uuid.UUID
	// Changed is false if it was so already.
	Changed bool
	// Version is the version of the organisation's stream after it.
	Version int64
	// Shown is false when the read model did not show it in time: it will.
	Shown bool
}

// DefineSkillSet defines a new skill set or gives one another definition. It fails
// like [eve.SkillSets.DecideCreateSkillSet] and
// [eve.SkillSets.DecideReplaceSkillSet].
func (d *Definer) DefineSkillSet(ctx context.Context, in DefineInput) (Result, error) {
	if in.ID != uuid.Nil {
		return d.decide(ctx, in.Actor, in.ExpectedVersion, func(known *eve.SkillSets) (uuid.UUID, []event.Payload, error) {
			events, err := known.DecideReplaceSkillSet(in.ID, in.Set)
			return in.ID, events, err
		})
	}
	fresh, err := newID()
	if err != nil {
		return Result{}, err
	}
	return d.decide(ctx, in.Actor, in.ExpectedVersion, func(known *eve.SkillSets) (uuid.UUID, []event.Payload, error) {
		return known.DecideCreateSkillSet(fresh, in.Set, in.Overwrite)
	})
}

// RemoveSkillSet removes a skill set, from its groups too. It fails like
// [eve.SkillSets.DecideRemoveSkillSet].
func (d *Definer) RemoveSkillSet(ctx context.Context, in RemoveInput) (Result, error) {
	return d.decide(ctx, in.Actor, in.ExpectedVersion, func(known *eve.SkillSets) (uuid.UUID, []event.Payload, error) {
		events, err := known.DecideRemoveSkillSet(in.ID, in.Reason)
		return in.ID, events, err
	})
}

// DefineSkillSetGroup defines a new group or gives one another definition. It fails
// like [eve.SkillSets.DecideCreateGroup] and [eve.SkillSets.DecideReplaceGroup].
func (d *Definer) DefineSkillSetGroup(ctx context.Context, in GroupInput) (Result, error) {
	id, fresh := in.ID, in.ID == uuid.Nil
	if fresh {
		var err error
		if id, err = newID(); err != nil {
			return Result{}, err
		}
	}
	return d.decide(ctx, in.Actor, in.ExpectedVersion, func(known *eve.SkillSets) (uuid.UUID, []event.Payload, error) {
		decide := known.DecideReplaceGroup
		if fresh {
			decide = known.DecideCreateGroup
		}
		events, err := decide(id, in.Group)
		return id, events, err
	})
}

// RemoveSkillSetGroup removes a group; its sets stay. It fails like
// [eve.SkillSets.DecideRemoveGroup].
func (d *Definer) RemoveSkillSetGroup(ctx context.Context, in RemoveInput) (Result, error) {
	return d.decide(ctx, in.Actor, in.ExpectedVersion, func(known *eve.SkillSets) (uuid.UUID, []event.Payload, error) {
		events, err := known.DecideRemoveGroup(in.ID, in.Reason)
		return in.ID, events, err
	})
}

func newID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return id, event.Errorf(event.CodeInternal, "making an id: %w", err)
	}
	return id, nil
}

// decide decides on all sets and groups as they are, while nobody else can.
func (d *Definer) decide(ctx context.Context, actor string, expected *int64, decide func(*eve.SkillSets) (uuid.UUID, []event.Payload, error)) (Result, error) {
	var result Result
	receipt, err := d.bus.Do(ctx, event.Org, command.Input{Actor: actor, ExpectedVersion: expected}, func(ctx context.Context, _ pgx.Tx, _ int64) ([]event.Payload, error) {
		known, err := d.load(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the skill sets that there are: %w", err)
		}
		id, events, err := decide(known)
		result.ID, result.Changed = id, len(events) > 0
		return events, err
	})
	if err != nil {
		return Result{}, err
	}
	result.Version = receipt.Version
	result.Shown, err = d.bus.Await(ctx, receipt)
	return result, err
}
