package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Tokens issues and revokes tokens.
type Tokens interface {
	// Issue issues a token. It fails like [access.DecideToken], and with
	// [event.CodeInvalid] for a user who is not there or not active.
	Issue(ctx context.Context, by access.Principal, wanted access.NewToken) (IssuedToken, error)
	// List lists the tokens that somebody may know of, the newest first, at most limit:
	// those issued before the one with the id after, unless that is the zero id.
	List(ctx context.Context, by access.Principal, after uuid.UUID, limit int) ([]HeldToken, error)
	// Revoke revokes a token. It fails with [event.CodeNotFound] if there is none that
	// he may know of.
	Revoke(ctx context.Context, by access.Principal, id uuid.UUID) (TokenRevocation, error)
}

// HeldToken is a token as it is listed.
type HeldToken struct {
	access.TokenIssued

	IssuedAt   time.Time
	RevokedAt  *time.Time
	RevokedBy  string
	LastUsedAt *time.Time
}

// IssuedToken is a token that was issued.
type IssuedToken struct {
	HeldToken

	// Secret is the token itself.
	Secret string
	// Shown is false when the log did not have it in time: it will.
	Shown bool
}

// TokenRevocation is what revoking a token came to.
type TokenRevocation struct {
	TokenID uuid.UUID `json:"token_id"`
	Changed bool      `json:"changed" doc:"false if it was revoked already."`
	Version int64     `json:"version" doc:"The version of the stream of its user, or of the organisation's."`
	Shown   bool      `json:"-"`
}

// Token is a token without what makes it one.
type Token struct {
	TokenID    uuid.UUID  `json:"token_id"`
	Name       string     `json:"name"`
	UserID     string     `json:"user_id,omitempty" doc:"The user whom it lets act; absent for a program."`
	Scope      []string   `json:"scope" nullable:"true" doc:"The actions that it is for; null for all that its user may do."`
	Status     string     `json:"status" enum:"active,expired,revoked"`
	IssuedBy   string     `json:"issued_by"`
	IssuedAt   time.Time  `json:"issued_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	RevokedBy  string     `json:"revoked_by,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"To the minute; null if it was never used."`
}

// NewlyIssued is a token with what makes it one.
type NewlyIssued struct {
	Token

	Secret string `json:"token" doc:"The token itself. It is told this once and cannot be had again."`
}

// NewToken says what a token is to be.
type NewToken struct {
	Name      string     `json:"name" minLength:"1" maxLength:"100" doc:"What it is for."`
	UserID    string     `json:"user_id,omitempty" maxLength:"200" doc:"The user whom it lets act; oneself if it is left out. Only superusers issue tokens for others."`
	Program   bool       `json:"program,omitempty" doc:"It is for a program: bounded by its scope and not by what somebody may see. Only superusers issue these."`
	Scope     []string   `json:"scope,omitempty" maxItems:"100" doc:"The actions that it is for, see GET /v1/me; all that its user may do if it is left out, which a program's must not."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Until when it is good, at most 366 days; 90 days if it is left out."`
}

// Me is who asks.
type Me struct {
	ID          string     `json:"id" doc:"How the log and events name you."`
	Kind        string     `json:"kind" enum:"user,program,administrator"`
	UserID      string     `json:"user_id,omitempty"`
	MainID      *int64     `json:"main_id" doc:"Your main character; null for a program, and while you have none."`
	MainName    string     `json:"main_name,omitempty" doc:"If it is known."`
	TokenID     string     `json:"token_id,omitempty" doc:"The token that you have used; absent for a session and for the administrator's token."`
	Superuser   bool       `json:"superuser"`
	Permissions []string   `json:"permissions" nullable:"false" doc:"Of Member Audit's permissions, those that you hold; none for a program."`
	Actions     []string   `json:"actions" nullable:"false" doc:"What you may do now, with this token or in this session."`
	Scope       []string   `json:"scope" nullable:"true" doc:"What your token is for, as far as its issuer may do it; null if it is not bounded."`
	ExpiresAt   *time.Time `json:"expires_at" doc:"When your token or session ends; null for never."`
	Groups      []MyGroup  `json:"compliance_groups" nullable:"false" doc:"The compliance groups that you are in, by name; none for a program."`
}

// MyGroup is a compliance group that the one who asks is in.
type MyGroup struct {
	GroupID     uuid.UUID `json:"group_id"`
	Name        string    `json:"name" example:"Registered"`
	Description string    `json:"description"`
	Since       time.Time `json:"since" doc:"When you came into it."`
}

type issueInput struct {
	Body NewToken
}

type issueOutput struct {
	Status int
	Body   *NewlyIssued
}

type tokensInput struct {
	PageInput
}

type tokenInput struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The token's id."`
}

type revocationOutput struct {
	Status int
	Body   *TokenRevocation
}

func (s *Server) registerTokens() {
	register(s, access.ActionReadSelf, huma.Operation{
		OperationID: "get-me", Path: "/v1/me", Tags: []string{tagAccess}, Summary: "Who you are and what you may do",
	}, s.getMe)
	register(s, access.ActionManageTokens, huma.Operation{
		OperationID: "list-tokens", Path: "/v1/tokens", Tags: []string{tagAccess}, Summary: "Tokens, the newest first",
		Description: "A user's own; all of them for superusers and programs. Also those that are good no more.",
	}, s.listTokens)
	register(s, access.ActionManageTokens, accepted(huma.Operation{
		Method: http.MethodPost, OperationID: "issue-token", Path: "/v1/tokens", Tags: []string{tagAccess}, Summary: "Issue a token",
		Description: "The answer has the token itself, this once. It never does more than who has issued it may do at the time of its use. A token issues no tokens.",
		Errors:      []int{http.StatusConflict},
	}), s.issueToken)
	register(s, access.ActionManageTokens, accepted(huma.Operation{
		Method: http.MethodDelete, OperationID: "revoke-token", Path: "/v1/tokens/{id}", Tags: []string{tagAccess}, Summary: "Revoke a token",
		Description: "It is good for nothing from this moment.", Errors: []int{http.StatusNotFound},
	}), s.revokeToken)
}

func (s *Server) getMe(ctx context.Context, _ *struct{}) (*body[Me], error) {
	p := principalOf(ctx)
	me := &Me{ID: p.ID, Kind: "program", UserID: p.UserID, TokenID: p.TokenID, Superuser: p.Superuser, Permissions: []string{}, Actions: []string{}, Scope: textsOf(p.Scope), Groups: []MyGroup{}}
	if !p.Expires.IsZero() {
		me.ExpiresAt = &p.Expires
	}
	may := func(a access.Action) bool { return access.Authorize(p, a) == nil }
	switch {
	case p.UserID != "":
		v, err := s.config.Characters.Viewer(ctx, p.UserID)
		if err != nil {
			return nil, err
		}
		me.Kind, me.Superuser = "user", v.Superuser
		may = func(a access.Action) bool { return access.AuthorizeUser(p, v.Grants, a) == nil }
		for _, permission := range access.Permissions() {
			if v.Can(permission) {
				me.Permissions = append(me.Permissions, string(permission))
			}
		}
		users, err := s.config.Users.Users(ctx, postgres.UserFilter{ID: p.UserID, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(users) == 1 && users[0].Main != nil {
			me.MainID, me.MainName = &users[0].Main.CharacterID, users[0].Main.Name
		}
		groups, err := s.config.Compliance.GroupsOf(ctx, p.UserID)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			me.Groups = append(me.Groups, MyGroup(g))
		}
	case p.Superuser && p.TokenID == "":
		me.Kind = "administrator"
	}
	for _, action := range access.Actions() {
		if may(action) {
			me.Actions = append(me.Actions, string(action))
		}
	}
	return &body[Me]{me}, nil
}

// textsOf are actions as texts; nil for nil.
func textsOf(actions []access.Action) []string {
	if actions == nil {
		return nil
	}
	texts := make([]string, len(actions))
	for i, action := range actions {
		texts[i] = string(action)
	}
	return texts
}

func (s *Server) showToken(t HeldToken) Token {
	status := "active"
	switch {
	case t.RevokedAt != nil:
		status = "revoked"
	case !s.config.Now().Before(t.ExpiresAt):
		status = "expired"
	}
	return Token{
		TokenID: t.TokenID, Name: t.Name, UserID: t.UserID, Scope: textsOf(t.Scope), Status: status, IssuedBy: t.IssuedBy, IssuedAt: t.IssuedAt,
		ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt, RevokedBy: t.RevokedBy, LastUsedAt: t.LastUsedAt,
	}
}

func (s *Server) listTokens(ctx context.Context, in *tokensInput) (*pageOutput[Token], error) {
	const list = "tokens"
	after, err := cursorOf[uuid.UUID](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	if after == nil {
		after = &uuid.Nil
	}
	found, err := s.config.Tokens.List(ctx, principalOf(ctx), *after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return pageOf(in.PageInput, list, found, s.showToken, func(t HeldToken) uuid.UUID { return t.TokenID })
}

func (s *Server) issueToken(ctx context.Context, in *issueInput) (*issueOutput, error) {
	p, wanted := principalOf(ctx), access.NewToken{Name: in.Body.Name, UserID: in.Body.UserID}
	switch {
	case in.Body.Program && in.Body.UserID != "":
		return nil, event.Errorf(event.CodeInvalid, "a token is for a program or for a user: leave program or user_id out")
	case !in.Body.Program && in.Body.UserID == "":
		if wanted.UserID = p.UserID; wanted.UserID == "" {
			return nil, event.Errorf(event.CodeInvalid, "say for whom the token is: user_id, or program")
		}
	}
	for _, action := range in.Body.Scope {
		wanted.Scope = append(wanted.Scope, access.Action(action))
	}
	if in.Body.Scope != nil && len(in.Body.Scope) == 0 {
		wanted.Scope = []access.Action{}
	}
	if in.Body.ExpiresAt != nil {
		if wanted.Lifetime = in.Body.ExpiresAt.Sub(s.config.Now()); wanted.Lifetime <= 0 {
			return nil, event.Errorf(event.CodeInvalid, "expires_at: must be in the future")
		}
	}
	issued, err := s.config.Tokens.Issue(ctx, p, wanted)
	if err != nil {
		return nil, err
	}
	return &issueOutput{Status: shownStatus(issued.Shown), Body: &NewlyIssued{Token: s.showToken(issued.HeldToken), Secret: issued.Secret}}, nil
}

func (s *Server) revokeToken(ctx context.Context, in *tokenInput) (*revocationOutput, error) {
	revoked, err := s.config.Tokens.Revoke(ctx, principalOf(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &revocationOutput{Status: shownStatus(revoked.Shown), Body: &revoked}, nil
}
