package main

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/ingest/registration"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
	"github.com/muster-sync/muster/query/viewlog"
)

// sharingSettings are the settings of what owners show of their characters, and of the
// log of who looked at it.
type sharingSettings struct {
	SharingTimeout int           `env:"MUSTER_SHARING_TIMEOUT" default:"0" help:"Minutes after which a sharing ends of which its owner has not said when; 0 is never." placeholder:"MINUTES"`
	LongestLink    time.Duration `name:"share-link-longest" env:"MUSTER_SHARE_LINK_LONGEST" default:"720h" help:"The longest time that a link to a character may hold."`
	ViewWindow     time.Duration `name:"access-log-window" env:"MUSTER_ACCESS_LOG_WINDOW" default:"5m" help:"For how long repeated looks at the same thing are added up to one entry of the access log."`
}

// sharingView looks up what decisions on sharing rest on.
type sharingView struct{ known }

// Links implements [registration.SharingView].
func (v sharingView) Links(ctx context.Context, character int64, user string, at time.Time) ([]uuid.UUID, error) {
	g, err := v.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	return pgviews.KnownLinks(ctx, v.pool, g, character, user, at)
}

// Lapsed implements [registration.SharingView].
func (v sharingView) Lapsed(ctx context.Context, at time.Time, limit int) ([]int64, error) {
	g, err := v.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	return pgviews.LapsedSharings(ctx, v.pool, g, at, limit)
}

// newSharer decides on what owners show of their characters.
func (r *roles) newSharer() (*registration.Sharer, error) {
	return registration.NewSharer(registration.SharerConfig{
		Bus: r.bus, View: sharingView{known{r.stores}}, Logger: r.logger,
		Timeout: time.Duration(r.worlds.Sharing.SharingTimeout) * time.Minute, LongestLink: r.worlds.Sharing.LongestLink,
	})
}

// endSharings ends sharings that are over, until ctx ends.
func (r *roles) endSharings(ctx context.Context) error {
	sharer, err := r.newSharer()
	if err != nil {
		return err
	}
	return sharer.Run(ctx)
}

// newViewlog notes who looks at data of others.
func (r *roles) newViewlog() (*viewlog.Recorder, error) {
	return viewlog.New(viewlog.Config{Pool: r.pool, Log: r.appender, Window: r.worlds.Sharing.ViewWindow, Logger: r.logger})
}

// sharer decides on what owners show, for the API.
type sharer struct{ *registration.Sharer }

// Share implements [api.Sharer].
func (s sharer) Share(ctx context.Context, in api.ShareDecision) (api.CharacterChange, error) {
	result, err := s.Sharer.Share(ctx, registration.OwnerInput{Actor: in.Actor, UserID: in.UserID, CharacterID: in.CharacterID}, in.Until)
	return sharingChange(in.CharacterID, result), err
}

// Unshare implements [api.Sharer].
func (s sharer) Unshare(ctx context.Context, in api.ShareDecision) (api.CharacterChange, error) {
	result, err := s.Sharer.Unshare(ctx, registration.OwnerInput{Actor: in.Actor, UserID: in.UserID, CharacterID: in.CharacterID})
	return sharingChange(in.CharacterID, result), err
}

// IssueLink implements [api.Sharer].
func (s sharer) IssueLink(ctx context.Context, in api.LinkDecision) (api.IssuedLink, error) {
	result, err := s.Sharer.IssueLink(ctx, registration.LinkInput{
		OwnerInput: registration.OwnerInput{Actor: in.Actor, UserID: in.UserID, CharacterID: in.CharacterID}, Sections: in.Sections, Note: in.Note, ExpiresAt: in.ExpiresAt,
	})
	return api.IssuedLink{ID: result.ID, Secret: result.Secret, ExpiresAt: result.ExpiresAt, Shown: result.Shown}, err
}

// RevokeLink implements [api.Sharer].
func (s sharer) RevokeLink(ctx context.Context, actor, user string, character int64, link uuid.UUID) (api.CharacterChange, error) {
	result, err := s.Sharer.RevokeLink(ctx, registration.OwnerInput{Actor: actor, UserID: user, CharacterID: character}, link)
	return sharingChange(character, result), err
}

func sharingChange(character int64, result registration.ChangeResult) api.CharacterChange {
	return api.CharacterChange{CharacterID: character, Changed: result.Changed, Version: result.Version, Shown: result.Shown}
}
