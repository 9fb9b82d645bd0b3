package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Looks notes who looked at data of others; [viewlog.Recorder] does.
type Looks interface {
	// Record notes a look so that it is not lost. What was looked at is not shown if it
	// fails.
	Record(ctx context.Context, look access.DataViewed) error
}

// AccessLog knows who looked at what; [postgres.CharacterReader] does.
type AccessLog interface {
	Looks(context.Context, postgres.LookFilter) ([]postgres.Look, error)
	Subject(ctx context.Context, character int64, at time.Time) (access.Subject, error)
}

// target is what an operation shows of characters.
type target struct {
	// id is the text of a character's id; empty for a list.
	id string
	// section is what is shown of the character, or the id of the operation.
	section string
	// shows is false for operations that show nothing of a character that would be
	// noted, such as decisions.
	shows bool
	// below is true for what lies below a character's path.
	below bool
	// launcher is true for what shows the characters of one user, who is user; empty for
	// the one who asks.
	launcher bool
	user     string
	// report is true for what shows those whom reports may show.
	report bool
}

// own tells whether a user is shown nothing but what is his.
func (t target) own(user string) bool { return t.launcher && (t.user == "" || t.user == user) }

// wholeCharacter is the section of the character itself.
const wholeCharacter = "character"

type targetKey struct{}

func targetOf(ctx context.Context) target {
	t, _ := ctx.Value(targetKey{}).(target)
	return t
}

const (
	charactersPath = "/v1/characters"
	characterPath  = charactersPath + "/{id}"
	accessLogPath  = "/v1/access-log"
	launcherPath   = "/v1/launcher"
	reportsPath    = "/v1/reports/"
	looksPath      = characterPath + "/views"
	sharePath      = characterPath + "/share"
	linksPath      = characterPath + "/share-links"
)

// listsOfCharacters begin the paths of what shows data of many characters.
func listsOfCharacters() []string {
	return []string{reportsPath, "/v1/analytics/", exportsPath + "/", "/v1/finder", "/v1/search", "/v1/events"}
}

// aims tells what an operation that somebody asks for shows.
func aims(ctx huma.Context) target {
	op := ctx.Operation()
	t := target{section: op.OperationID, shows: op.Method == http.MethodGet}
	switch below, of := strings.CutPrefix(op.Path, characterPath); {
	case of && (below == "" || below[0] == '/'):
		t.id, t.section, t.below = ctx.Param("id"), sectionBelow(ctx), true
		// The log is not part of what it tells of, nor are links.
		t.shows = t.shows && op.Path != looksPath && !strings.HasPrefix(op.Path, sharePath)
	case op.Path == accessLogPath, op.Path == looksTrendPath:
		t.shows = false
	case op.Path == launcherPath:
		t.launcher, t.user = true, ctx.Query("user_id")
	case op.Path == explainCompliancePath:
		t.launcher, t.user, t.report = true, ctx.Param("user_id"), true
	default:
		t.id = ctx.Query("character_id")
		if id, of := event.Stream(ctx.Param("stream")).CharacterID(); of {
			t.id = strconv.FormatInt(id, 10)
		}
		list := op.Path == charactersPath
		for _, prefix := range listsOfCharacters() {
			list = list || strings.HasPrefix(op.Path, prefix)
		}
		t.shows = t.shows && (list || t.id != "")
		t.report = strings.HasPrefix(op.Path, reportsPath)
	}
	return t
}

// sectionBelow is the part of the path behind the character's id.
func sectionBelow(ctx huma.Context) string {
	u := ctx.URL()
	_, below, _ := strings.Cut(strings.TrimPrefix(u.Path, charactersPath+"/"), "/")
	section, _, _ := strings.Cut(below, "/")
	if section == "" {
		return wholeCharacter
	}
	return section
}

// boundByLink holds somebody who has come by a link to what it shows.
func boundByLink(ctx context.Context, link *access.Link) error {
	t := targetOf(ctx)
	if !t.below {
		return event.Errorf(event.CodeForbidden, "a link shows one character: ask for /v1/characters/%d and what is below it", link.CharacterID)
	}
	id, err := strconv.ParseInt(t.id, 10, 64)
	if err != nil || id != link.CharacterID {
		return postgres.NoCharacter(id)
	}
	if !link.Shows(id, t.section) {
		return event.Errorf(event.CodeForbidden, "this link does not show %s: ask the owner of the character for another one", t.section)
	}
	return nil
}

// counted is an answer that knows how many rows it has.
type counted interface{ count() int }

func (p *pageOutput[T]) count() int {
	if p == nil {
		return 0
	}
	return len(p.Body.Items)
}

// note notes that data of others is about to be shown, by an answer that output is or
// err says is still good. What cannot be noted is not shown.
func (s *Server) note(ctx context.Context, output any, err error) error {
	t := targetOf(ctx)
	if status, is := errors.AsType[huma.StatusError](err); !t.shows || err != nil && (!is || status.GetStatus() != http.StatusNotModified) {
		return err
	}
	p := principalOf(ctx)
	look := access.DataViewed{ViewerID: p.ID, ViewerUserID: p.UserID, Section: t.section}
	// Of several characters there is a list.
	look.CharacterID, _ = strconv.ParseInt(t.id, 10, 64)
	if !s.aim(ctx, p, &look) {
		return err
	}
	if look.CharacterID == 0 {
		if c, is := output.(counted); is {
			look.Rows = int64(c.count())
		}
	} else if gone := s.own(ctx, p, &look); gone != nil {
		return gone
	}
	if look.Way == access.ByOwnership {
		return err
	}
	sections := []string{look.Section}
	if more, is := output.(spanning); is {
		sections = append(sections, more.alsoShown()...)
	}
	for _, section := range sections {
		look.Section = section
		if failed := s.config.Looks.Record(ctx, look); failed != nil {
			return failed
		}
	}
	return err
}

// aim says by which right a list is shown, and which link somebody has come by. It is
// false where there is nothing to note.
func (s *Server) aim(ctx context.Context, p access.Principal, look *access.DataViewed) bool {
	switch {
	case p.Link != nil:
		look.Way, look.LinkID = access.ByLink, &p.Link.ID
	case p.UserID == "":
		look.Way = access.ByToken
	case targetOf(ctx).own(p.UserID):
		look.Way = access.ByOwnership
	case targetOf(ctx).report && viewerOf(ctx) != nil:
		// Reports need not show what lists do: who may not use the finder has them, too.
		look.Way = audience(ctx).Way()
	default:
		view := viewOf(ctx)
		if view == nil {
			return false
		}
		look.Way = view.Widest()
	}
	return true
}

// own says whose the character is that is shown, and by which right it is. It fails with
// [event.CodeNotFound] if that has ended meanwhile.
func (s *Server) own(ctx context.Context, p access.Principal, look *access.DataViewed) error {
	now := s.config.Now()
	subject, err := s.config.AccessLog.Subject(ctx, look.CharacterID, now)
	if event.CodeOf(err) == event.CodeNotFound && p.UserID == "" {
		// The log has events also of those who are not there any more.
		return nil
	}
	if err != nil {
		return err
	}
	look.OwnerID = subject.Owner
	if p.UserID == "" {
		return nil
	}
	if subject.Owner == p.UserID {
		look.Way = access.ByOwnership
		return nil
	}
	viewer := *viewerOf(ctx)
	viewer.At = now
	view := viewer.View()
	if look.Way = view.Way(subject); look.Way == "" {
		return postgres.NoCharacter(look.CharacterID)
	}
	return nil
}

// AccessLogEntry is an entry of the access log: looks of one viewer at the same thing,
// within a short time.
type AccessLogEntry struct {
	EventID       uuid.UUID `json:"event_id"`
	FirstAt       time.Time `json:"first_at"`
	LastAt        time.Time `json:"last_at"`
	Count         int64     `json:"count" doc:"How many looks there were from first_at to last_at."`
	ViewerID      string    `json:"viewer_id" doc:"Who looked: user:..., token:..., or link:... for whoever has the link."`
	ViewerUserID  string    `json:"viewer_user_id" doc:"The user who looked; empty for a program and for a link."`
	ViewerName    string    `json:"viewer_name,omitempty" doc:"The main of that user, by name, if it is known."`
	UserID        string    `json:"user_id" doc:"Who owned the character then; empty for an orphan and for a list."`
	UserName      string    `json:"user_name,omitempty" doc:"The main of the owner, by name, if it is known."`
	CharacterID   *int64    `json:"character_id" doc:"null for a list of many characters."`
	CharacterName string    `json:"character_name,omitempty"`
	Section       string    `json:"section" doc:"What was looked at: a section, character for the character itself, or the operation."`
	Way           string    `json:"way" enum:"view_everything,same_alliance,same_corporation,shared,share_link,token" doc:"By which right. Of a list the widest."`
	LinkID        string    `json:"link_id" doc:"The link by which; empty for none."`
	Rows          int64     `json:"rows" doc:"Of a list: how many rows were shown in all. 0 if it was not known when the answer began."`
	Traced
}

// AccessLogInput are the filters of the access log.
type AccessLogInput struct {
	PageInput
	ProvenanceInput

	Viewer  string    `query:"viewer" maxLength:"200" doc:"Only looks of this user."`
	Section string    `query:"section" maxLength:"100" doc:"Only looks at this section."`
	Since   time.Time `query:"since" doc:"Last looked at this moment or later."`
	Until   time.Time `query:"until" doc:"Last looked before this moment."`
}

type accessLogInput struct {
	AccessLogInput

	UserID      string `query:"user_id" maxLength:"200" doc:"Only looks at what this user owned then."`
	CharacterID int64  `query:"character_id" minimum:"1" doc:"Only looks at this character."`
}

type characterLooksInput struct {
	AccessLogInput

	ID int64 `path:"id" minimum:"1" doc:"The character's id."`
}

func (s *Server) registerLooks() {
	register(s, access.ActionReadAccessLog, asTable(huma.Operation{
		OperationID: "list-access-log", Path: accessLogPath, Tags: []string{tagAccess}, Summary: "Who looked at data of others, the newest first",
		Description: "Users see who looked at theirs. Looks at one's own data are not noted, and looks at this log neither. The first look is there within seconds, repeated ones together some minutes later.",
	}), func(ctx context.Context, in *accessLogInput) (*pageOutput[AccessLogEntry], error) {
		filter := in.filter()
		filter.OwnerID, filter.CharacterID = in.UserID, in.CharacterID
		if v := viewerOf(ctx); v != nil && !everybodys(v) {
			if in.UserID != "" && in.UserID != v.UserID {
				return nil, event.Errorf(event.CodeForbidden, "you see who looked at your data, not who looked at that of %s: leave user_id out", in.UserID)
			}
			filter.OwnerID = v.UserID
		}
		return s.listLooks(ctx, in.AccessLogInput, "access-log", filter)
	})
	op := asTable(huma.Operation{
		OperationID: "list-character-views", Path: looksPath, Tags: []string{tagAccess}, Summary: "Who looked at a character, the newest first",
		Description: "For its owner, who sees looks from when it was his, and for administrators.",
	})
	op.Errors = []int{http.StatusNotFound}
	register(s, access.ActionReadAccessLog, op, func(ctx context.Context, in *characterLooksInput) (*pageOutput[AccessLogEntry], error) {
		filter := in.filter()
		filter.CharacterID = in.ID
		subject, err := s.config.AccessLog.Subject(ctx, in.ID, s.config.Now())
		if err != nil {
			return nil, err
		}
		if v := viewerOf(ctx); v != nil && !everybodys(v) {
			if subject.Owner != v.UserID {
				return nil, event.Errorf(event.CodeForbidden, "only the owner of character %d and administrators see who looked at it", in.ID)
			}
			filter.OwnerID = v.UserID
		}
		return s.listLooks(ctx, in.AccessLogInput, "views/"+strconv.FormatInt(in.ID, 10), filter)
	})
}

func (in AccessLogInput) filter() postgres.LookFilter {
	return postgres.LookFilter{ViewerUserID: in.Viewer, Section: in.Section, Since: in.Since, Until: in.Until, Limit: in.Limit + 1}
}

func (s *Server) listLooks(ctx context.Context, in AccessLogInput, list string, filter postgres.LookFilter) (*pageOutput[AccessLogEntry], error) {
	before, err := cursorOf[postgres.LookCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	filter.Before = before
	looks, err := s.config.AccessLog.Looks(ctx, filter)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, looks, showLook, func(l postgres.Look) postgres.LookCursor {
		return postgres.LookCursor{LastAt: l.LastAt, EventID: l.EventID}
	})
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func showLook(l postgres.Look) AccessLogEntry {
	shown := AccessLogEntry{
		EventID: l.EventID, FirstAt: l.FirstAt, LastAt: l.LastAt, Count: l.Count, ViewerID: l.ViewerID, ViewerUserID: l.ViewerUserID,
		UserID: l.OwnerID, CharacterID: optional(l.CharacterID), Section: l.Section, Way: string(l.Way), Rows: l.Rows,
		ViewerName: l.ViewerName, UserName: l.OwnerName, CharacterName: l.CharacterName,
		Traced: tracedTo(l.Origin),
	}
	if l.LinkID != nil {
		shown.LinkID = l.LinkID.String()
	}
	return shown
}
