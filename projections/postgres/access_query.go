package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
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
	v := Viewer{UserID: user}
	schema, err := r.schema(ctx)
	if err != nil {
		return v, err
	}
	var given []string
	var holdings []access.Holding
	err = r.pool.QueryRow(ctx, fmt.Sprintf(`SELECT g.superuser, g.active, g.permissions, u.permissions, `+holdingsJSON+`, coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0)
		FROM %[1]s.grants g JOIN %[1]s.users u USING (user_id) LEFT JOIN %[1]s.homes h USING (user_id) WHERE u.user_id = $1`, schema), user).
		Scan(&v.Superuser, &v.Active, &v.Permissions, &given, &holdings, &v.Home.CorporationID, &v.Home.AllianceID)
	if errors.Is(err, pgx.ErrNoRows) {
		return v, nil
	}
	if err != nil {
		return v, queryError("reading what a user may do", err)
	}
	v.Limited = access.LimitsOf(given, holdings)
	return v, nil
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

// MayOpen tells whether a character is among those of a view. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) MayOpen(ctx context.Context, view access.View, character int64) (bool, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return false, err
	}
	sql, args := charactersSQL(schema, CharacterFilter{View: &view, ID: character, Sort: SortByID, Limit: 1})
	var may bool
	if err := r.pool.QueryRow(ctx, `SELECT EXISTS (`+sql+`)`, args...).Scan(&may); err != nil {
		return false, queryError("asking whether a character may be opened", err)
	}
	return may, nil
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
