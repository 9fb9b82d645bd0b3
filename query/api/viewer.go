package api

import (
	"context"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Viewers know who may open which character; [postgres.CharacterReader] does.
type Viewers interface {
	Viewer(ctx context.Context, user string) (postgres.Viewer, error)
	MayOpen(ctx context.Context, view access.View, character int64) (bool, error)
	// Opened are the ids of the characters of a view, ascending.
	Opened(ctx context.Context, view access.View) ([]int64, error)
	// AccessibleUsers are the ids of the users of an audience, in byte order.
	AccessibleUsers(ctx context.Context, audience access.Audience) ([]string, error)
}

type viewerKey struct{}

// skillSetsPart is the part of a character that shows how it stands to skill sets.
const skillSetsPart = "skill-sets"

// viewerOf is the user who asks, as of the beginning of his request; nil for a program,
// whose bounds are its actions.
func viewerOf(ctx context.Context) *postgres.Viewer {
	v, _ := ctx.Value(viewerKey{}).(*postgres.Viewer)
	return v
}

// viewOf is what lists of characters are bounded by; nil for a program.
func viewOf(ctx context.Context) *access.View {
	v := viewerOf(ctx)
	if v == nil {
		return nil
	}
	view := v.ListView()
	return &view
}

// viewOfSection is what a search in a section of many characters is bounded by: of those
// that somebody may open those whose section he may see; nil for a program.
func viewOfSection(ctx context.Context, section eve.Section) *access.View {
	v := viewerOf(ctx)
	if v == nil {
		return nil
	}
	view := v.For(string(section)).View()
	return &view
}

// may tells whether who asks may do something beside what he asks for.
func may(ctx context.Context, action access.Action) bool {
	if v := viewerOf(ctx); v != nil {
		return access.AuthorizeUser(principalOf(ctx), v.Grants, action) == nil
	}
	return access.Authorize(principalOf(ctx), action) == nil
}

// admit lets those pass who may do an action at all. What a user was given is read
// once for a request.
func (s *Server) admit(ctx context.Context, action access.Action) (context.Context, error) {
	if over, is := ctx.Value(knownByKey{}).(func()); is {
		defer over()
	}
	p := principalOf(ctx)
	if p.ID == "" || p.UserID == "" {
		return ctx, access.Authorize(p, action)
	}
	v, err := s.config.Characters.Viewer(ctx, p.UserID)
	if err != nil {
		return ctx, err
	}
	v.At = s.config.Now()
	return context.WithValue(ctx, viewerKey{}, &v), access.AuthorizeUser(p, v.Grants, action)
}

// everybodys tells whether a user sees who looked at data of everybody.
func everybodys(v *postgres.Viewer) bool { return v.Superuser && v.Active }

// ofCharacter remembers what an operation is about, for [Server.bound] and
// [Server.note].
func ofCharacter(ctx huma.Context) huma.Context {
	return huma.WithValue(ctx, targetKey{}, aims(ctx))
}

// bound holds whoever asks to what the rules of access let him see and do with the one
// character that an operation is about, whichever it is. A character that he may not open
// is not there for him.
func (s *Server) bound(ctx context.Context, action access.Action) error {
	if link := principalOf(ctx).Link; link != nil {
		return boundByLink(ctx, link)
	}
	of := targetOf(ctx)
	if viewerOf(ctx) == nil || !of.below {
		return nil
	}
	id, err := strconv.ParseInt(of.id, 10, 64)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "the id of a character must be a number, not %.40q", of.id)
	}
	part := of.section
	if part == wholeCharacter {
		part = ""
	}
	return s.boundTo(ctx, action, id, part)
}

// boundTo is [Server.bound] for a character that is not in the address. part is the
// section that is shown, empty if what is shown belongs to none.
func (s *Server) boundTo(ctx context.Context, action access.Action, id int64, part string) error {
	v := viewerOf(ctx)
	if v == nil {
		return nil
	}
	opened, err := s.config.Characters.MayOpen(ctx, v.View(), id)
	if err != nil {
		return err
	}
	if !opened {
		return postgres.NoCharacter(id)
	}
	shown := action == access.ActionReadCharacters && part != ""
	own := access.ReachOf(v.Grants, action) == access.ReachOwn
	if !own && (!shown || len(v.Limited) == 0 && (part != skillSetsPart || v.Can(access.ViewSkillSets))) {
		return nil
	}
	owned, err := s.config.Characters.MayOpen(ctx, access.View{Owner: v.UserID}, id)
	if err != nil || owned {
		return err
	}
	if own {
		return event.Errorf(event.CodeForbidden, "user %s may not do %q with character %d: that is for its owner", v.UserID, action, id)
	}
	return s.boundToPart(ctx, v, id, part)
}

// boundToPart holds a user to the sections that he may see of a character of somebody
// else.
func (s *Server) boundToPart(ctx context.Context, v *postgres.Viewer, id int64, part string) error {
	section := part
	if part == skillSetsPart {
		section = string(eve.SectionSkills)
	}
	of := v.For(section)
	seen, err := s.config.Characters.MayOpen(ctx, of.View(), id)
	switch {
	case err != nil:
		return err
	case !seen:
		return event.Errorf(event.CodeForbidden, "user %s may open character %d, but not its %s: the roles that open it are limited to other sections", v.UserID, id, part)
	case part == skillSetsPart && !of.Can(access.ViewSkillSets):
		return event.Errorf(event.CodeForbidden, "user %s may not see how character %d of somebody else stands to skill sets: that needs %s", v.UserID, id, access.ViewSkillSets)
	default:
		return nil
	}
}

// analysed are the characters whose figures of a section somebody gets who asks for some
// of them, or for all with none. A program gets what it asks for.
func (s *Server) analysed(ctx context.Context, section eve.Section, wanted []int64) ([]int64, error) {
	v := viewerOf(ctx)
	if v == nil {
		return wanted, nil
	}
	of := v.For(string(section))
	view := of.View()
	if view.Everything {
		return wanted, nil
	}
	opened, err := s.config.Characters.Opened(ctx, view)
	if err != nil {
		return nil, err
	}
	for _, id := range wanted {
		if _, there := slices.BinarySearch(opened, id); !there {
			return nil, postgres.NoCharacter(id)
		}
	}
	switch {
	case len(wanted) > 0:
		return wanted, nil
	case len(opened) == 0:
		// No character has this id, and none would mean all of them.
		return []int64{0}, nil
	default:
		return opened, nil
	}
}
