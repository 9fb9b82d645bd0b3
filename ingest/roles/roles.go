// Package roles defines and removes roles and compliance groups, grants and revokes
// roles, and changes users: decisions on the stream of roles and on those of users.
package roles

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

// Bus decides on a stream; [*command.Bus] does.
type Bus interface {
	Do(ctx context.Context, stream event.Stream, in command.Input, decide command.Decide) (command.Receipt, error)
	Await(ctx context.Context, receipts ...command.Receipt) (bool, error)
}

// View tells what is known already, as of the last decision on the stream that is
// decided on.
type View interface {
	// Roles are all roles.
	Roles(ctx context.Context) (*access.Roles, error)
	// ComplianceGroups are all compliance groups.
	ComplianceGroups(ctx context.Context) (*access.ComplianceGroups, error)
	// User is a user; false if there is none of the id.
	User(ctx context.Context, id string) (access.UserRegistered, bool, error)
	// Granted are the roles that a user was granted.
	Granted(ctx context.Context, user string) (map[uuid.UUID]bool, error)
}

// Keeper decides on roles and on users. It is safe for concurrent use.
type Keeper struct {
	bus  Bus
	view View
}

// NewKeeper is a keeper.
func NewKeeper(bus Bus, view View) *Keeper { return &Keeper{bus: bus, view: view} }

// DefineInput says who defines which role.
type DefineInput struct {
	Actor string
	// Role replaces the one of its name, if there is one.
	Role access.Role
	// ExpectedVersion is the version of the stream of roles that the sender has seen; nil
	// expects nothing.
	ExpectedVersion *int64
}

// RemoveInput says who removes which role, and why.
type RemoveInput struct {
	Actor, Name, Reason string
	ExpectedVersion     *int64
}

// GrantInput says who grants a role to whom, or revokes it.
type GrantInput struct {
	Actor, UserID, Role string
	// Revoke takes the role away, Reason says why.
	Revoke bool
	Reason string
	// ExpectedVersion is the version of the user's stream that the sender has seen; nil
	// expects nothing.
	ExpectedVersion *int64
}

// ChangeInput says who changes what of a user. What is nil stays.
type ChangeInput struct {
	Actor, UserID     string
	Active, Superuser *bool
	State             *string
	ExpectedVersion   *int64
}

// Result is what a decision came to.
type Result struct {
	// Changed is false if it was so already.
	Changed bool
	// Version is the version of the stream after it.
	Version int64
	// Shown is false when the read model did not show it in time: it will.
	Shown bool
}

// Define defines a role. It fails like [access.Roles.DecideDefine], and like
// [access.Role.WithGroups].
func (k *Keeper) Define(ctx context.Context, in DefineInput) (Result, error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return Result{}, event.Errorf(event.CodeInternal, "making an id: %w", err)
	}
	return k.decide(ctx, event.Roles, in.Actor, in.ExpectedVersion, func(ctx context.Context) ([]event.Payload, error) {
		known, err := k.roles(ctx)
		if err != nil {
			return nil, err
		}
		role := in.Role
		if len(role.Groups) > 0 {
			groups, err := k.groups(ctx)
			if err != nil {
				return nil, err
			}
			if role, err = role.WithGroups(groups); err != nil {
				return nil, err
			}
		}
		return known.DecideDefine(fresh, role)
	})
}

// Remove removes a role. It fails like [access.Roles.DecideRemove].
func (k *Keeper) Remove(ctx context.Context, in RemoveInput) (Result, error) {
	return k.decide(ctx, event.Roles, in.Actor, in.ExpectedVersion, func(ctx context.Context) ([]event.Payload, error) {
		known, err := k.roles(ctx)
		if err != nil {
			return nil, err
		}
		return known.DecideRemove(in.Name, in.Reason)
	})
}

// Grant grants a role to a user, or revokes it. It fails with [event.CodeNotFound] for a
// user or a role that there is none of.
func (k *Keeper) Grant(ctx context.Context, in GrantInput) (Result, error) {
	return k.decide(ctx, event.User(in.UserID), in.Actor, in.ExpectedVersion, func(ctx context.Context) ([]event.Payload, error) {
		if _, err := k.user(ctx, in.UserID); err != nil {
			return nil, err
		}
		known, err := k.roles(ctx)
		if err != nil {
			return nil, err
		}
		id, role, err := known.Named(in.Role)
		if err != nil {
			return nil, err
		}
		granted, err := k.view.Granted(ctx, in.UserID)
		if err != nil {
			return nil, fmt.Errorf("reading the roles of user %s: %w", in.UserID, err)
		}
		switch {
		case granted[id] == !in.Revoke:
			return nil, nil
		case in.Revoke:
			return []event.Payload{access.RoleRevoked{UserID: in.UserID, RoleID: id, Name: role.Name, Reason: in.Reason}}, nil
		default:
			return []event.Payload{access.RoleGranted{UserID: in.UserID, RoleID: id, Name: role.Name}}, nil
		}
	})
}

// Change activates or deactivates a user, makes him a superuser or not, or moves him to
// another state. The next import of an organisation that says something else undoes it.
// It fails with [event.CodeNotFound] for a user that there is none of, and with
// [event.CodeInvalid] if nothing is to be changed.
func (k *Keeper) Change(ctx context.Context, in ChangeInput) (Result, error) {
	if in.Active == nil && in.Superuser == nil && in.State == nil {
		return Result{}, event.Errorf(event.CodeInvalid, "nothing is to be changed of user %s: give active, superuser or state", in.UserID)
	}
	return k.decide(ctx, event.User(in.UserID), in.Actor, in.ExpectedVersion, func(ctx context.Context) ([]event.Payload, error) {
		before, err := k.user(ctx, in.UserID)
		if err != nil {
			return nil, err
		}
		after := before
		if in.Active != nil {
			after.Active = *in.Active
		}
		if in.Superuser != nil {
			after.Superuser = *in.Superuser
		}
		if in.State != nil {
			after.State = strings.TrimSpace(*in.State)
		}
		if after.Active == before.Active && after.Superuser == before.Superuser && after.State == before.State {
			return nil, nil
		}
		return []event.Payload{after}, nil
	})
}

func (k *Keeper) roles(ctx context.Context) (*access.Roles, error) {
	known, err := k.view.Roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the roles that there are: %w", err)
	}
	return known, nil
}

func (k *Keeper) user(ctx context.Context, id string) (access.UserRegistered, error) {
	u, there, err := k.view.User(ctx, id)
	if err != nil {
		return u, fmt.Errorf("reading user %s: %w", id, err)
	}
	if !there {
		return u, event.Errorf(event.CodeNotFound, "there is no user %.100q: see the list of users", id)
	}
	return u, nil
}

// decide decides on a stream while nobody else can.
func (k *Keeper) decide(ctx context.Context, stream event.Stream, actor string, expected *int64, decide func(context.Context) ([]event.Payload, error)) (Result, error) {
	var result Result
	if err := stream.Validate(); err != nil {
		return result, err
	}
	receipt, err := k.bus.Do(ctx, stream, command.Input{Actor: actor, ExpectedVersion: expected}, func(ctx context.Context, _ pgx.Tx, _ int64) ([]event.Payload, error) {
		events, err := decide(ctx)
		result.Changed = len(events) > 0
		return events, err
	})
	if err != nil {
		return Result{}, err
	}
	result.Version = receipt.Version
	result.Shown, err = k.bus.Await(ctx, receipt)
	return result, err
}
