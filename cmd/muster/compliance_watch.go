package main

import (
	"context"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/compliance"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// newComplianceWatcher tells the log of changes of compliance, as the read model of
// characters shows them.
func (r *roles) newComplianceWatcher() (*compliance.Watcher, error) {
	reader := pgviews.NewCharacterReader(r.pool, live.New(r.control))
	return compliance.NewWatcher(compliance.Config{
		Pool: r.pool, Appender: r.appender, Registerer: r.metrics, Logger: r.logger,
		Shown: func(ctx context.Context, at event.Position) error {
			return waitFor(ctx, r.control, pgviews.CharactersName, eventlog.Partition{Topic: at.Topic, ID: at.Partition}, at.Offset+1)
		},
		Look: func(ctx context.Context, user string) (*access.UserCompliance, error) {
			found, err := reader.ComplianceOfUsers(ctx, pgviews.ComplianceFilter{Audience: access.Audience{Everybody: true}, UserID: user, Limit: 1})
			if err != nil || len(found) == 0 {
				return nil, err
			}
			return &found[0].UserCompliance, nil
		},
		LookAll: func(ctx context.Context, after string, limit int) ([]access.UserCompliance, error) {
			found, err := reader.ComplianceOfUsers(ctx, pgviews.ComplianceFilter{Audience: access.Audience{Everybody: true}, AfterUser: after, Limit: limit})
			if err != nil {
				return nil, err
			}
			users := make([]access.UserCompliance, len(found))
			for i, u := range found {
				users[i] = u.UserCompliance
			}
			return users, nil
		},
		Listing: reader.ListingUsers,
	})
}

// groupModel is the read model as memberships in compliance groups need it.
type groupModel struct {
	*pgviews.CharacterReader
	control *runner.Control
}

// Shown implements [compliance.GroupModel].
func (m groupModel) Shown(ctx context.Context, at event.Position) error {
	return waitFor(ctx, m.control, pgviews.CharactersName, eventlog.Partition{Topic: at.Topic, ID: at.Partition}, at.Offset+1)
}

// newGroupWatcher keeps users in the compliance groups in which they should be.
func (r *roles) newGroupWatcher() (*compliance.GroupWatcher, error) {
	return compliance.NewGroupWatcher(compliance.GroupConfig{
		Pool: r.pool, Model: groupModel{pgviews.NewCharacterReader(r.pool, live.New(r.control)), r.control},
		Appender: r.appender, Registerer: r.metrics, Logger: r.logger, Every: r.worlds.GroupsEvery,
	})
}
