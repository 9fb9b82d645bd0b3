package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// Viewer is somebody who asks, as the rules of access need him.
type Viewer struct {
	UserID string
	access.Grants
	// Home is where his main is; zero without one.
	Home access.Home
	// At is the moment at which he asks, when some sharings are over; zero for now.
	At time.Time
}

// View is what he may open.
func (v Viewer) View() access.View { return v.asked(access.ViewOf(v.UserID, v.Grants, v.Home)) }

// FinderView is what the finder lists for him.
func (v Viewer) FinderView() access.View {
	return v.asked(access.FinderViewOf(v.UserID, v.Grants, v.Home))
}

// ListView is what lists of characters show him.
func (v Viewer) ListView() access.View {
	return v.asked(access.ListViewOf(v.UserID, v.Grants, v.Home))
}

// asked is a view as of the moment of the request, where that matters.
func (v Viewer) asked(view access.View) access.View {
	if view.Shared {
		view.At = v.At
	}
	return view
}

// Audience is whom reports may show to him.
func (v Viewer) Audience() access.Audience { return access.AudienceOf(v.UserID, v.Grants, v.Home) }

// Viewer is a user as the rules of access need him. Somebody unknown holds nothing
// and may do nothing. It fails with [event.CodeUnavailable] if the projection or the
// database is not there.
func (r *CharacterReader) Viewer(ctx context.Context, user string) (Viewer, error) {
	v, _, err := r.KnownViewer(ctx, user)
	return v, err
}

// KnownViewer is [CharacterReader.Viewer], and tells whether there is such a user.
func (r *CharacterReader) KnownViewer(ctx context.Context, user string) (Viewer, bool, error) {
	seen, _ := ctx.Value(viewerSeenKey{}).(*viewerSeen)
	if v, known, there := seen.of(user); there {
		return v, known, nil
	}
	v, known, err := r.readViewer(ctx, user)
	if err == nil {
		seen.keep(v, known)
	}
	return v, known, err
}

func (r *CharacterReader) readViewer(ctx context.Context, user string) (Viewer, bool, error) {
	v := Viewer{UserID: user}
	schema, err := r.schema(ctx)
	if err != nil {
		return v, false, err
	}
	var given []string
	var holdings []access.Holding
	err = r.pool.QueryRow(ctx, fmt.Sprintf(`SELECT g.superuser, g.active, g.permissions, u.permissions, `+holdingsJSON+`, coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0)
		FROM %[1]s.grants g JOIN %[1]s.users u USING (user_id) LEFT JOIN %[1]s.homes h USING (user_id) WHERE u.user_id = $1`, schema), user).
		Scan(&v.Superuser, &v.Active, &v.Permissions, &given, &holdings, &v.Home.CorporationID, &v.Home.AllianceID)
	if errors.Is(err, pgx.ErrNoRows) {
		return v, false, nil
	}
	if err != nil {
		return v, false, queryError("reading what a user may do", err)
	}
	v.Limited = access.LimitsOf(given, holdings)
	return v, true, nil
}

// viewerSeen is the user who was read last for one request.
type viewerSeen struct {
	mu          sync.Mutex
	over, there bool
	viewer      Viewer
	known       bool
}

type viewerSeenKey struct{}

// RememberViewer has a user be read once who is asked for again and again at the
// beginning of a request, to find out who asks and what he may do. From over on each
// question is asked anew: what is decided later is decided by what holds then.
func RememberViewer(ctx context.Context) (_ context.Context, over func()) {
	seen := &viewerSeen{}
	return context.WithValue(ctx, viewerSeenKey{}, seen), func() {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.over, seen.there, seen.viewer = true, false, Viewer{}
	}
}

func (s *viewerSeen) of(user string) (v Viewer, known, there bool) {
	if s == nil {
		return Viewer{}, false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.there || s.viewer.UserID != user {
		return Viewer{}, false, false
	}
	return s.viewer, s.known, true
}

func (s *viewerSeen) keep(v Viewer, known bool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.viewer, s.known, s.there = v, known, true
	}
}

// For is the viewer as far as a section of characters goes, see [access.Grants.For].
func (v Viewer) For(section string) Viewer {
	v.Grants = v.Grants.For(section)
	return v
}

// ExportView is of which characters he may take something out.
func (v Viewer) ExportView() access.View {
	return v.asked(access.ExportViewOf(v.UserID, v.Grants, v.Home))
}

// Opened lists the ids of the registered characters of a view, ascending. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) Opened(ctx context.Context, view access.View) ([]int64, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var q conditions
	q.view(schema, view)
	rows, err := r.pool.Query(ctx, `SELECT c.character_id FROM `+schema+`.characters c`+q.clause()+` ORDER BY c.character_id`, q.args...)
	if err != nil {
		return nil, queryError("listing the characters that may be opened", err)
	}
	ids, err := pgx.AppendRows([]int64{}, rows, pgx.RowTo[int64])
	if err != nil {
		return nil, queryError("listing the characters that may be opened", err)
	}
	return ids, nil
}

// view takes what a character c must meet to be opened. Each way to come to
// characters is a branch of its own that begins with an index, so that nobody's
// characters are read to find that they are out of scope.
func (c *conditions) view(schema string, v access.View) {
	if v.Everything {
		return
	}
	var branches []string
	var args []any
	if v.Owner != "" {
		branches, args = append(branches, `SELECT w.character_id FROM %[1]s.owners w WHERE w.user_id = ?`), append(args, v.Owner)
	}
	// Users are asked for because a main can be set for somebody unknown.
	const scoped = `SELECT w.character_id FROM %[1]s.homes h JOIN %[1]s.users u USING (user_id) JOIN %[1]s.owners w USING (user_id) WHERE `
	switch {
	case v.Scope.AllianceID != 0:
		branches, args = append(branches, scoped+`h.alliance_id = ?`), append(args, v.Scope.AllianceID)
	case v.Scope.CorporationID != 0:
		branches, args = append(branches, scoped+`h.corporation_id = ?`), append(args, v.Scope.CorporationID)
	}
	if v.Shared {
		branches = append(branches, `SELECT w.character_id FROM %[1]s.sharings s JOIN %[1]s.owners w USING (character_id, user_id) JOIN %[1]s.grants u USING (user_id)
			WHERE s.shared AND (s.until IS NULL OR s.until > coalesce(?::timestamptz, now())) AND (u.superuser OR ? = ANY(u.permissions))`)
		args = append(args, optionalMoment(v.At), string(access.ShareCharacters))
	}
	if len(branches) == 0 {
		c.add("false")
		return
	}
	// The row of the last owner stays when a character becomes an orphan.
	c.add("NOT c.orphaned")
	c.add("c.character_id IN ("+fmt.Sprintf(strings.Join(branches, "\n\t\tUNION "), schema)+")", args...)
}

// optionalMoment is a moment as a parameter; nil for the zero value.
func optionalMoment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// MayOpen tells whether a character is among those of a view. It asks for the one
// character, whose it is and where its owner's main is, rather than for all that the view
// opens. It fails with [event.CodeUnavailable] if the projection or the database is not
// there.
func (r *CharacterReader) MayOpen(ctx context.Context, view access.View, character int64) (bool, error) {
	subject, err := r.subject(ctx, character, optionalMoment(view.At))
	if err != nil && event.CodeOf(err) == event.CodeNotFound {
		// Who is not registered is opened by nobody.
		return false, nil
	}
	return err == nil && view.Way(subject) != "", err
}

// AccessibleUsers lists the ids of the users of an audience, in byte order, as
// [access.Roster.AccessibleUsers] does. It fails with [event.CodeUnavailable] if the
// projection or the database is not there.
func (r *CharacterReader) AccessibleUsers(ctx context.Context, a access.Audience) ([]string, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	sql, args := `SELECT u.user_id FROM %[1]s.grants u LEFT JOIN %[1]s.homes h USING (user_id) WHERE (u.superuser OR $1 = ANY(u.permissions))`, []any{string(access.BasicAccess)}
	switch {
	case a.User != "":
		return []string{a.User}, nil
	case a.Everybody:
	case a.Scope.AllianceID != 0:
		sql, args = sql+` AND h.alliance_id = $2`, append(args, a.Scope.AllianceID)
	case a.Scope.CorporationID != 0:
		sql, args = sql+` AND h.corporation_id = $2`, append(args, a.Scope.CorporationID)
	default:
		return []string{}, nil
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(sql, schema)+` ORDER BY u.user_id COLLATE "C"`, args...)
	if err != nil {
		return nil, queryError("listing the users of a report", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, queryError("listing the users of a report", err)
	}
	return ids, nil
}
