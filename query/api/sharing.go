package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Sharer decides on what owners show of their characters. All of it is for the owner
// alone, superusers included: it fails with [event.CodeForbidden] for everybody else.
type Sharer interface {
	Share(context.Context, ShareDecision) (CharacterChange, error)
	Unshare(context.Context, ShareDecision) (CharacterChange, error)
	// IssueLink makes a link and returns it with its secret, which nobody can tell
	// afterwards.
	IssueLink(context.Context, LinkDecision) (IssuedLink, error)
	// RevokeLink takes a link back. It fails with [event.CodeNotFound] for one that
	// does not hold.
	RevokeLink(ctx context.Context, actor, user string, character int64, link uuid.UUID) (CharacterChange, error)
}

// Links are the links that owners gave away; [postgres.CharacterReader] knows them.
type Links interface {
	Links(ctx context.Context, character int64, user string, at time.Time) ([]postgres.Link, error)
}

// ShareDecision says who shares a character or ends that.
type ShareDecision struct {
	Actor, UserID string
	CharacterID   int64
	// Until is when it ends; nil for what the settings say.
	Until *time.Time
}

// LinkDecision says who makes a link to a character.
type LinkDecision struct {
	Actor, UserID string
	CharacterID   int64
	// Sections are those that it shows; none means all.
	Sections  []eve.Section
	Note      string
	ExpiresAt time.Time
}

// IssuedLink is a link that was just made.
type IssuedLink struct {
	ID        uuid.UUID
	Secret    string
	ExpiresAt time.Time
	Shown     bool
}

// NewShare says how a character is shared.
type NewShare struct {
	Until *time.Time `json:"until,omitempty" doc:"When it ends; if it is left out, after the time-out of the settings, or never."`
}

// NewLink says what a link shows.
type NewLink struct {
	ExpiresAt time.Time `json:"expires_at" doc:"From when on it shows nothing: at most as far ahead as the settings allow."`
	Sections  []string  `json:"sections,omitempty" maxItems:"100" doc:"The sections that it shows; all if it is left out."`
	Note      string    `json:"note,omitempty" maxLength:"500" doc:"For yourself, such as whom it is for."`
}

// NewLinkAnswer is a link that was just made.
type NewLinkAnswer struct {
	LinkID    uuid.UUID `json:"link_id"`
	Secret    string    `json:"secret" doc:"Whoever sends it as a bearer token reads the character. It is shown this once."`
	ExpiresAt time.Time `json:"expires_at"`
	URL       string    `json:"url" doc:"Where the character is, below the address of this server."`
}

// ShareLink is a link that was given away.
type ShareLink struct {
	LinkID    uuid.UUID `json:"link_id"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Sections  []string  `json:"sections" nullable:"false" doc:"The sections that it shows; empty for all."`
	Note      string    `json:"note"`
	Status    string    `json:"status" enum:"active,expired,revoked,ended" doc:"ended: its maker does not own the character any more, or may not share it."`
	Traced
}

type shareInput struct {
	ID   int64 `path:"id" minimum:"1" doc:"The character's id."`
	Body *NewShare
}

type ownedInput struct {
	ID int64 `path:"id" minimum:"1" doc:"The character's id."`
}

type linksInput struct {
	ProvenanceInput

	ID int64 `path:"id" minimum:"1" doc:"The character's id."`
}

type newLinkInput struct {
	ID   int64 `path:"id" minimum:"1" doc:"The character's id."`
	Body NewLink
}

type linkInput struct {
	ID   int64     `path:"id" minimum:"1" doc:"The character's id."`
	Link uuid.UUID `path:"link" format:"uuid" doc:"The link's id."`
}

type newLinkOutput struct {
	Status int
	Body   *NewLinkAnswer
}

func (s *Server) registerSharing() {
	decide := func(method, id, path, summary, description string) huma.Operation {
		return accepted(huma.Operation{
			Method: method, OperationID: id, Path: path, Tags: []string{tagAccess}, Summary: summary, Description: description,
			Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
		})
	}
	const owner = " It is for the owner alone, superusers included."
	share, unshare := access.ActionShareCharacter, access.ActionUnshareCharacter
	register(s, share, decide(http.MethodPut, "share-character", sharePath, "Share a character", "Whoever may view shared characters reads it, until it ends. It needs the permission share_characters."+owner), s.shareCharacter)
	register(s, unshare, decide(http.MethodDelete, "unshare-character", sharePath, "Share a character no more", "Links that were given away are not touched."+owner), s.unshareCharacter)
	register(s, share, decide(http.MethodPost, "create-share-link", linksPath, "Make a link to a character",
		"Whoever has its secret reads the character, or the sections named, until it expires, is revoked, or its maker does not own the character any more or may not share it. It needs the permission share_characters."+owner), s.createLink)
	list := asTable(huma.Operation{
		OperationID: "list-share-links", Path: linksPath, Tags: []string{tagAccess}, Summary: "The links to a character that its owner has made, the newest first",
		Description: "Without their secrets." + owner, Errors: []int{http.StatusNotFound},
	})
	register(s, unshare, list, s.listLinks)
	register(s, unshare, decide(http.MethodDelete, "revoke-share-link", linksPath+"/{link}", "Take a link to a character back", "It shows nothing from then on."+owner), s.revokeLink)
}

// ownerOf is the user who asks, if he may do something with what he owns. That he owns
// the character is for the decision to say.
func ownerOf(ctx context.Context, needed ...access.Permission) (*postgres.Viewer, error) {
	v := viewerOf(ctx)
	if v == nil {
		return nil, event.Errorf(event.CodeForbidden, "%s may not do this: only the owner of a character may, superusers included", principalOf(ctx).ID)
	}
	for _, p := range append([]access.Permission{access.BasicAccess}, needed...) {
		if !v.Can(p) {
			return nil, event.Errorf(event.CodeForbidden, "user %s may not do this: that needs the permission %s, and a user who is active", v.UserID, p)
		}
	}
	return v, nil
}

func (s *Server) shareCharacter(ctx context.Context, in *shareInput) (*decisionOutput, error) {
	v, err := ownerOf(ctx, access.ShareCharacters)
	if err != nil {
		return nil, err
	}
	decision := ShareDecision{Actor: principalOf(ctx).ID, UserID: v.UserID, CharacterID: in.ID}
	if in.Body != nil {
		decision.Until = in.Body.Until
	}
	return ownerDecided(s.config.Sharer.Share(ctx, decision))
}

func (s *Server) unshareCharacter(ctx context.Context, in *ownedInput) (*decisionOutput, error) {
	v, err := ownerOf(ctx)
	if err != nil {
		return nil, err
	}
	return ownerDecided(s.config.Sharer.Unshare(ctx, ShareDecision{Actor: principalOf(ctx).ID, UserID: v.UserID, CharacterID: in.ID}))
}

func ownerDecided(change CharacterChange, err error) (*decisionOutput, error) {
	if err != nil {
		return nil, err
	}
	return &decisionOutput{Status: shownStatus(change.Shown), Body: &change}, nil
}

func (s *Server) createLink(ctx context.Context, in *newLinkInput) (*newLinkOutput, error) {
	v, err := ownerOf(ctx, access.ShareCharacters)
	if err != nil {
		return nil, err
	}
	link, err := s.config.Sharer.IssueLink(ctx, LinkDecision{
		Actor: principalOf(ctx).ID, UserID: v.UserID, CharacterID: in.ID, Sections: sectionsOf(in.Body.Sections), Note: in.Body.Note, ExpiresAt: in.Body.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return &newLinkOutput{Status: shownStatus(link.Shown), Body: &NewLinkAnswer{
		LinkID: link.ID, Secret: link.Secret, ExpiresAt: link.ExpiresAt.UTC(), URL: charactersPath + "/" + strconv.FormatInt(in.ID, 10),
	}}, nil
}

func (s *Server) listLinks(ctx context.Context, in *linksInput) (*body[Page[ShareLink]], error) {
	v, err := ownerOf(ctx)
	if err != nil {
		return nil, err
	}
	now := s.config.Now()
	subject, err := s.config.AccessLog.Subject(ctx, in.ID, now)
	if err != nil {
		return nil, err
	}
	if subject.Owner != v.UserID {
		return nil, event.Errorf(event.CodeForbidden, "only the owner of character %d sees the links to it, superusers included", in.ID)
	}
	links, err := s.config.Links.Links(ctx, in.ID, v.UserID, now)
	if err != nil {
		return nil, err
	}
	page := &Page[ShareLink]{Items: []ShareLink{}}
	for _, l := range links {
		shown := ShareLink{LinkID: l.ID, IssuedAt: l.IssuedAt, ExpiresAt: l.ExpiresAt, Sections: []string{}, Note: l.Note, Status: "ended", Traced: tracedTo(l.Origin)}
		for _, section := range l.Sections {
			shown.Sections = append(shown.Sections, string(section))
		}
		switch {
		case l.Revoked:
			shown.Status = "revoked"
		case l.Holds:
			shown.Status = "active"
		case !now.Before(l.ExpiresAt):
			shown.Status = "expired"
		}
		page.Items = append(page.Items, shown)
	}
	return &body[Page[ShareLink]]{page}, trace(ctx, s, in.ProvenanceInput, page.Items)
}

func (s *Server) revokeLink(ctx context.Context, in *linkInput) (*decisionOutput, error) {
	v, err := ownerOf(ctx)
	if err != nil {
		return nil, err
	}
	return ownerDecided(s.config.Sharer.RevokeLink(ctx, principalOf(ctx).ID, v.UserID, in.ID, in.Link))
}
