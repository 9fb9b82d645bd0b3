package api

import (
	"context"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// LinkFinder finds links by the hashes of their secrets; [postgres.CharacterReader]
// does.
type LinkFinder interface {
	LinkOf(ctx context.Context, secretHash string, at time.Time) (postgres.Link, error)
}

// LinkTokens is an [access.Authenticator] that knows the secrets of links. It is safe
// for concurrent use.
type LinkTokens struct {
	links LinkFinder
	now   func() time.Time
}

// NewLinkTokens is an authenticator of links, which hold as of the clock.
func NewLinkTokens(links LinkFinder, now func() time.Time) *LinkTokens {
	return &LinkTokens{links: links, now: now}
}

// Authenticate implements [access.Authenticator]. Of a link that does not hold any more
// it says no more than of one that there never was.
func (l *LinkTokens) Authenticate(ctx context.Context, token string) (access.Principal, error) {
	unknown := event.Errorf(event.CodeUnauthenticated, "nobody holds this token: a link may have expired, or its owner has taken it back")
	if !strings.HasPrefix(token, access.LinkPrefix) {
		return access.Principal{}, unknown
	}
	link, err := l.links.LinkOf(ctx, access.HashSecret(token), l.now())
	switch {
	case event.CodeOf(err) == event.CodeNotFound && err != nil, err == nil && !link.Holds:
		return access.Principal{}, unknown
	case err != nil:
		return access.Principal{}, err
	}
	shown := &access.Link{ID: link.ID, CharacterID: link.CharacterID, OwnerID: link.UserID, ExpiresAt: link.ExpiresAt}
	for _, section := range link.Sections {
		shown.Sections = append(shown.Sections, string(section))
	}
	return access.Principal{ID: "link:" + link.ID.String(), Link: shown}, nil
}
