package registration

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

// Defaults of [SharerConfig].
const (
	DefaultLongestLink  = 30 * 24 * time.Hour
	DefaultSharingEvery = time.Minute
)

// lapsedAtOnce bounds how many sharings are ended in one round.
const lapsedAtOnce = 500

// SharingView tells what decisions on sharing rest on, as of the last decision on the
// streams.
type SharingView interface {
	Users(ctx context.Context, ids []string) (map[string]KnownUser, error)
	Characters(ctx context.Context, ids []int64) (map[int64]KnownCharacter, error)
	// Links are the links to a character that the user has made and that hold.
	Links(ctx context.Context, character int64, user string, at time.Time) ([]uuid.UUID, error)
	// Lapsed are the characters whose sharing is over by the moment, or whose owners
	// may not share any more, at most limit.
	Lapsed(ctx context.Context, at time.Time, limit int) ([]int64, error)
}

// SharerConfig is what a [Sharer] works with. Bus and View must be set; the rest has
// defaults.
type SharerConfig struct {
	Bus  Bus
	View SharingView
	// Timeout is after how long a sharing ends of which nobody said when; 0 is never.
	Timeout time.Duration
	// LongestLink is for how long a link may hold at most.
	LongestLink time.Duration
	// Every is the time between two looks for sharings that are over.
	Every  time.Duration
	Logger *slog.Logger
	Now    func() time.Time
}

// Sharer decides on what owners show of their characters: that they share them, and the
// links that they give away. It is safe for concurrent use.
type Sharer struct {
	config SharerConfig
}

// NewSharer is a sharer. It fails with [event.CodeInvalid] for a configuration that
// cannot work.
func NewSharer(c SharerConfig) (*Sharer, error) {
	if c.Bus == nil || c.View == nil {
		return nil, event.Errorf(event.CodeInvalid, "a sharer of characters needs a bus and a view")
	}
	if c.Timeout < 0 || c.LongestLink < 0 {
		return nil, event.Errorf(event.CodeInvalid, "the time-out of sharings and the longest time of links must not be negative: 0 is none, and the default")
	}
	if c.LongestLink == 0 {
		c.LongestLink = DefaultLongestLink
	}
	if c.Every <= 0 {
		c.Every = DefaultSharingEvery
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sharer{config: c}, nil
}

// OwnerInput says who decides on which character of his.
type OwnerInput struct {
	Actor, UserID string
	CharacterID   int64
}

// Share has a character shared until the moment, or for the time-out if there is none,
// as [eve.DecideShare] says. It fails with [event.CodeForbidden] for an owner who may not
// share.
func (s *Sharer) Share(ctx context.Context, in OwnerInput, until *time.Time) (ChangeResult, error) {
	now := s.config.Now()
	if until == nil && s.config.Timeout > 0 {
		until = new(now.Add(s.config.Timeout).UTC())
	}
	return s.change(ctx, in, access.Grants.CanShare, func(_ context.Context, standing eve.Standing, sharing eve.Sharing) ([]event.Payload, error) {
		return eve.DecideShare(standing, sharing, in.CharacterID, in.UserID, until, now)
	})
}

// Unshare ends the sharing of a character, as [eve.DecideUnshare] says.
func (s *Sharer) Unshare(ctx context.Context, in OwnerInput) (ChangeResult, error) {
	return s.change(ctx, in, mayDecide, func(_ context.Context, standing eve.Standing, sharing eve.Sharing) ([]event.Payload, error) {
		return eve.DecideUnshare(standing, sharing, in.CharacterID, in.UserID, "taken back by its owner")
	})
}

// LinkInput says what a link shows.
type LinkInput struct {
	OwnerInput

	Sections  []eve.Section
	Note      string
	ExpiresAt time.Time
}

// LinkResult is a link that was made. Secret is told this once.
type LinkResult struct {
	ChangeResult

	ID        uuid.UUID
	Secret    string
	ExpiresAt time.Time
}

// secretBytes is how many random bytes the secret of a link has.
const secretBytes = 32

// IssueLink makes a link, as [eve.DecideLink] says. The log keeps the hash of the secret
// alone.
func (s *Sharer) IssueLink(ctx context.Context, in LinkInput) (LinkResult, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return LinkResult{}, event.Errorf(event.CodeInternal, "making the id of a link: %w", err)
	}
	random := make([]byte, secretBytes)
	if _, err := rand.Read(random); err != nil {
		return LinkResult{}, event.Errorf(event.CodeInternal, "making the secret of a link: %w", err)
	}
	secret := access.LinkPrefix + base64.RawURLEncoding.EncodeToString(random)
	now := s.config.Now()
	link := eve.LinkIssued{
		CharacterID: in.CharacterID, LinkID: id, UserID: in.UserID, SecretHash: access.HashSecret(secret), Sections: in.Sections, Note: in.Note, ExpiresAt: in.ExpiresAt,
	}
	result, err := s.change(ctx, in.OwnerInput, access.Grants.CanShare, func(_ context.Context, standing eve.Standing, _ eve.Sharing) ([]event.Payload, error) {
		return eve.DecideLink(standing, link, s.config.LongestLink, now)
	})
	if err != nil {
		return LinkResult{}, err
	}
	return LinkResult{ChangeResult: result, ID: id, Secret: secret, ExpiresAt: in.ExpiresAt}, nil
}

// RevokeLink takes a link back, as [eve.DecideRevoke] says.
func (s *Sharer) RevokeLink(ctx context.Context, in OwnerInput, link uuid.UUID) (ChangeResult, error) {
	return s.change(ctx, in, mayDecide, func(ctx context.Context, standing eve.Standing, _ eve.Sharing) ([]event.Payload, error) {
		links, err := s.config.View.Links(ctx, in.CharacterID, in.UserID, s.config.Now())
		if err != nil {
			return nil, err
		}
		return eve.DecideRevoke(standing, links, in.CharacterID, in.UserID, link, "taken back by its owner")
	})
}

// mayDecide tells whether somebody may take back what he shows: [access.BasicAccess] is
// enough.
func mayDecide(g access.Grants) bool { return g.Can(access.BasicAccess) }

// change decides on a character, with it and its owner held still, and waits until that
// shows.
func (s *Sharer) change(
	ctx context.Context, in OwnerInput, may func(access.Grants) bool, decide func(context.Context, eve.Standing, eve.Sharing) ([]event.Payload, error),
) (ChangeResult, error) {
	if in.UserID == "" {
		return ChangeResult{}, event.Errorf(event.CodeForbidden, "%s may not decide what is shown of character %d: only its owner may, superusers included", in.Actor, in.CharacterID)
	}
	return s.decide(ctx, in, in.UserID, func(ctx context.Context, standing eve.Standing, sharing eve.Sharing, grants access.Grants) ([]event.Payload, error) {
		if !may(grants) {
			return nil, event.Errorf(event.CodeForbidden, "user %s may not decide what is shown of characters: that needs %s, to share also %s, and a user who is active",
				in.UserID, access.BasicAccess, access.ShareCharacters)
		}
		return decide(ctx, standing, sharing)
	})
}

// decide runs a decision on a character; the grants are those of the user.
func (s *Sharer) decide(
	ctx context.Context, in OwnerInput, user string, decide func(context.Context, eve.Standing, eve.Sharing, access.Grants) ([]event.Payload, error),
) (ChangeResult, error) {
	stream := event.Character(in.CharacterID)
	streams := []event.Stream{stream, event.User(user)}
	receipts, err := s.config.Bus.DoAll(ctx, streams, command.BatchInput{Actor: in.Actor}, func(ctx context.Context, _ pgx.Tx, _ map[event.Stream]int64) ([]command.Decision, error) {
		users, err := s.config.View.Users(ctx, []string{user})
		if err != nil {
			return nil, err
		}
		characters, err := s.config.View.Characters(ctx, []int64{in.CharacterID})
		if err != nil {
			return nil, err
		}
		u := users[user]
		c, known := characters[in.CharacterID]
		events, err := decide(ctx,
			eve.Standing{Known: known, UserID: c.UserID, OwnerHash: c.OwnerHash, Disabled: c.Disabled},
			eve.Sharing{Shared: c.Shared, Until: c.SharedUntil},
			access.Grants{Superuser: u.Superuser, Active: u.Active, Permissions: u.Granted})
		if err != nil {
			return nil, err
		}
		return []command.Decision{{Stream: stream, Events: events}}, nil
	})
	if err != nil {
		return ChangeResult{}, fmt.Errorf("deciding what is shown of character %d: %w", in.CharacterID, err)
	}
	shown, err := s.config.Bus.Await(ctx, receipts...)
	if err != nil {
		return ChangeResult{}, err
	}
	result := ChangeResult{Shown: shown}
	for _, r := range receipts {
		if r.Stream == stream {
			result.Version, result.Changed = r.Version, len(r.EventIDs) > 0
		}
	}
	return result, nil
}

// actorTimeout is who ends sharings that are over.
const actorTimeout = "muster:sharing"

// EndLapsed ends the sharings that give nothing any more, as [eve.DecideLapsed] says, and
// returns how many it has ended. What they gave has ended before, at their moments.
func (s *Sharer) EndLapsed(ctx context.Context) (int, error) {
	now := s.config.Now()
	lapsed, err := s.config.View.Lapsed(ctx, now, lapsedAtOnce)
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, id := range lapsed {
		characters, err := s.config.View.Characters(ctx, []int64{id})
		if err != nil {
			return ended, err
		}
		owner := characters[id].UserID
		if owner == "" {
			continue
		}
		result, err := s.decide(ctx, OwnerInput{Actor: actorTimeout, CharacterID: id}, owner,
			func(_ context.Context, standing eve.Standing, sharing eve.Sharing, grants access.Grants) ([]event.Payload, error) {
				if standing.UserID != owner {
					return nil, nil // somebody else has it now
				}
				return eve.DecideLapsed(sharing, id, grants.Holds(access.ShareCharacters), now), nil
			})
		if err != nil {
			return ended, err
		}
		if result.Changed {
			ended++
		}
	}
	return ended, nil
}

// Run ends lapsed sharings again and again, until ctx ends. Failures are logged and tried
// again at the next round. Any number of processes may run it: what one has decided the
// others find done.
func (s *Sharer) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.config.Every)
	defer ticker.Stop()
	for {
		switch ended, err := s.EndLapsed(ctx); {
		case event.CodeOf(err) == event.CodeUnavailable && err != nil:
			// As before the read model is first built: what was shared gives nothing anyway.
			s.config.Logger.DebugContext(ctx, "sharings that are over cannot be ended now", "error", err)
		case err != nil && ctx.Err() == nil:
			s.config.Logger.WarnContext(ctx, "sharings that are over could not all be ended, trying again", "error", err)
		case ended > 0:
			s.config.Logger.InfoContext(ctx, "sharings were over", "characters", ended)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
