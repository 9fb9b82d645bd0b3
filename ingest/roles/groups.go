package roles

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// DefineGroupInput says who defines which compliance group.
type DefineGroupInput struct {
	Actor string
	// Group replaces the one of its name, if there is one.
	Group access.ComplianceGroup
	// ExpectedVersion is the version of the stream of roles that the sender has seen; nil
	// expects nothing.
	ExpectedVersion *int64
}

// RemoveGroupInput says who removes which compliance group, and why.
type RemoveGroupInput struct {
	Actor, Name, Reason string
	ExpectedVersion     *int64
}

// DefineGroup defines a compliance group. It fails like
// [access.ComplianceGroups.DecideDefine].
func (k *Keeper) DefineGroup(ctx context.Context, in DefineGroupInput) (Result, error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return Result{}, event.Errorf(event.CodeInternal, "making an id: %w", err)
	}
	return k.decide(ctx, event.Roles, in.Actor, in.ExpectedVersion, func(ctx context.Context) ([]event.Payload, error) {
		known, err := k.groups(ctx)
		if err != nil {
			return nil, err
		}
		return known.DecideDefine(fresh, in.Group)
	})
}

// RemoveGroup removes a compliance group. It fails like
// [access.ComplianceGroups.DecideRemove].
func (k *Keeper) RemoveGroup(ctx context.Context, in RemoveGroupInput) (Result, error) {
	return k.decide(ctx, event.Roles, in.Actor, in.ExpectedVersion, func(ctx context.Context) ([]event.Payload, error) {
		known, err := k.groups(ctx)
		if err != nil {
			return nil, err
		}
		roles, err := k.roles(ctx)
		if err != nil {
			return nil, err
		}
		return known.DecideRemove(in.Name, in.Reason, roles)
	})
}

func (k *Keeper) groups(ctx context.Context) (*access.ComplianceGroups, error) {
	known, err := k.view.ComplianceGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the compliance groups that there are: %w", err)
	}
	return known, nil
}
