package api

import (
	"context"
	"errors"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Viewers know who may open which character; [postgres.CharacterReader] does.
type Viewers interface {
	Viewer(ctx context.Context, user string) (postgres.Viewer, error)
	MayOpen(ctx context.Context, view access.View, character int64) (bool, error)
}

type (
	viewKey   struct{}
	viewerKey struct{}
)

// viewer is the user who asks.
type viewer struct{ postgres.Viewer }

// everybodys tells whether he sees who looked at data of everybody.
func (v viewer) everybodys() bool { return v.Superuser && v.Active }

// viewerOf is the user who asks; nil for a program.
func viewerOf(ctx context.Context) *viewer {
	v, _ := ctx.Value(viewerKey{}).(*viewer)
	return v
}

// viewOf is what lists of characters are bounded by; nil for one who is not a user
// of the organisation, whose bounds are his actions.
func viewOf(ctx context.Context) *access.View {
	v, _ := ctx.Value(viewKey{}).(*access.View)
	return v
}

// ofCharacter remembers what an operation is about, for [Server.bound] and
// [Server.note].
func ofCharacter(ctx huma.Context) huma.Context {
	return huma.WithValue(ctx, targetKey{}, aims(ctx))
}

// bound holds a user of the organisation to what the rules of access let him see,
// whichever operation he asks for: one character is answered only if he may open it,
// and lists get his view, see [viewOf]. A character that he may not open is not there
// for him.
func (s *Server) bound(ctx context.Context, action access.Action) (context.Context, error) {
	p := principalOf(ctx)
	if p.Link != nil {
		return ctx, boundByLink(ctx, p.Link)
	}
	if p.UserID == "" {
		return ctx, nil
	}
	v, err := s.config.Characters.Viewer(ctx, p.UserID)
	if err != nil {
		return ctx, err
	}
	if !v.Can(access.BasicAccess) {
		return ctx, event.Errorf(event.CodeForbidden, "%s may not read characters: that needs the permission %s, and a user who is active", p.ID, access.BasicAccess)
	}
	now := s.config.Now()
	if text := targetOf(ctx).id; text != "" {
		view := v.View()
		view.At = now
		id, err := strconv.ParseInt(text, 10, 64)
		may := false
		if err == nil {
			may, err = s.config.Characters.MayOpen(ctx, view, id)
		}
		if err != nil && !errors.Is(err, strconv.ErrSyntax) && !errors.Is(err, strconv.ErrRange) {
			return ctx, err
		}
		if !may {
			return ctx, postgres.NoCharacter(id)
		}
	}
	view := access.ListViewOf(v.UserID, v.Grants, v.Home)
	if view.Shared {
		view.At = now
	}
	return context.WithValue(context.WithValue(ctx, viewKey{}, &view), viewerKey{}, &viewer{v}), nil
}
