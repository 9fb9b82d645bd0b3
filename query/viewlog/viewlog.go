// Package viewlog notes who looked at data of others, so that no look is lost: it is in
// Postgres before the answer is given, and goes from there to the log.
//
// Repeated looks of the same viewer at the same thing become one event with a count:
// the first is told at once, those within a window after it together.
package viewlog

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/migrate"
)

// Defaults of [Config].
const (
	DefaultWindow = 5 * time.Minute
	DefaultPoll   = time.Second
	DefaultSource = "muster/api"
	DefaultBatch  = 500
)

const (
	// stopGrace bounds how long an append in flight may take after the stop.
	stopGrace = 5 * time.Second
	// retryPause is the pause after a failure of Postgres or of the log.
	retryPause = time.Second
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables of the access log.
func Migrations() migrate.Set { return migrate.Set{Schema: "viewlog", Files: migrations} }

// Migrate brings the Postgres schema "viewlog" to its newest version. Several processes
// may call it at once.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("opening the migrations of the access log: %w", err)
	}
	return migrate.Postgres(ctx, pool, "viewlog", files)
}

// Appender is the log. Append returns nil once every event is acknowledged, an error
// with [event.CodeInvalid] if the log can never take one of them, and any other error
// if trying again may help.
type Appender interface {
	Append(ctx context.Context, events ...event.Event) error
}

// Config is what a [Recorder] needs. Pool and Log must be set; the rest has defaults.
type Config struct {
	// Pool leads to the database that [Migrate] prepared.
	Pool *pgxpool.Pool
	Log  Appender
	// Window is for how long looks at the same thing are added up.
	Window time.Duration
	// Poll is how often what is due is looked for without being woken.
	Poll time.Duration
	// Batch bounds how many events are appended at once.
	Batch int
	// Source is the source attribute of the events.
	Source string
	// Now is the clock.
	Now    func() time.Time
	Logger *slog.Logger
}

// Recorder notes looks and brings them to the log. It is safe for concurrent use, also
// by several processes on one database.
type Recorder struct {
	config Config
	wake   chan struct{}
}

// New is a recorder. It fails with [event.CodeInvalid] when something that has no
// default is missing.
func New(c Config) (*Recorder, error) {
	if c.Pool == nil || c.Log == nil {
		return nil, event.Errorf(event.CodeInvalid, "the access log needs a Postgres pool and a log: set Config.Pool and Config.Log")
	}
	if c.Window <= 0 {
		c.Window = DefaultWindow
	}
	if c.Poll <= 0 {
		c.Poll = DefaultPoll
	}
	if c.Batch <= 0 {
		c.Batch = DefaultBatch
	}
	if c.Source == "" {
		c.Source = DefaultSource
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Recorder{config: c, wake: make(chan struct{}, 1)}, nil
}

// Record notes one look: when it returns nil the look will reach the log, whatever
// happens to this process. Count, FirstAt, LastAt of v are set here. It fails with
// [event.CodeUnavailable]; whoever shows data must not show it then.
func (r *Recorder) Record(ctx context.Context, v access.DataViewed) error {
	id, err := uuid.NewV7()
	if err != nil {
		return event.Errorf(event.CodeInternal, "making an event id: %w", err)
	}
	link := ""
	if v.LinkID != nil {
		link = v.LinkID.String()
	}
	now := r.config.Now().UTC()
	_, err = r.config.Pool.Exec(ctx, `INSERT INTO viewlog.looks AS l
			(id, viewer_id, viewer_user_id, owner_id, character_id, section, way, link_id, first_at, last_at, count, rows, due_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz, $9, 1, $10, CASE WHEN EXISTS (
			SELECT FROM viewlog.looks p WHERE p.viewer_id = $2 AND p.character_id = $5 AND p.section = $6 AND p.owner_id = $4 AND p.way = $7 AND p.link_id = $8
				AND p.sealed_at > $11::timestamptz) THEN $12::timestamptz ELSE $9 END
		ON CONFLICT (viewer_id, character_id, section, owner_id, way, link_id) WHERE sealed_at IS NULL
		DO UPDATE SET count = l.count + 1, rows = l.rows + excluded.rows,
			first_at = least(l.first_at, excluded.first_at), last_at = greatest(l.last_at, excluded.last_at)`,
		id, v.ViewerID, v.ViewerUserID, v.OwnerID, v.CharacterID, v.Section, string(v.Way), link, now, v.Rows, now.Add(-r.config.Window), now.Add(r.config.Window))
	if err != nil {
		return event.Errorf(event.CodeUnavailable, "noting in the access log that this was looked at, without which it is not shown: %w", err)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

// Forget removes looks at a character that the log does not have yet, within the
// transaction of the decision to forget it.
func Forget(ctx context.Context, tx pgx.Tx, character int64) error {
	if _, err := tx.Exec(ctx, `DELETE FROM viewlog.looks WHERE character_id = $1`, character); err != nil {
		return fmt.Errorf("forgetting who looked at character %d: %w", character, err)
	}
	return nil
}

// RemoveBefore removes looks from before a moment that the log does not have and, as those
// that it refuses, may never have. It tells how many.
func RemoveBefore(ctx context.Context, pool *pgxpool.Pool, at time.Time) (int64, error) {
	tag, err := pool.Exec(ctx, `DELETE FROM viewlog.looks WHERE last_at < $1`, at)
	if err != nil {
		return 0, fmt.Errorf("removing old looks: %w", err)
	}
	return tag.RowsAffected(), nil
}

// CountBefore is how many looks from before a moment are there.
func CountBefore(ctx context.Context, pool *pgxpool.Pool, at time.Time) (n int64, err error) {
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM viewlog.looks WHERE last_at < $1`, at).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting old looks: %w", err)
	}
	return n, nil
}

// Run brings looks to the log until ctx ends, and then returns nil, after it has brought
// there what there was. Failures are logged and tried again. The log must stay open
// until it has returned.
func (r *Recorder) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := r.forward(ctx, r.config.Now().UTC())
		pause := r.config.Poll
		switch {
		case err != nil && ctx.Err() == nil:
			r.config.Logger.WarnContext(ctx, "the access log could not be forwarded, trying again", "error", err)
			pause = retryPause
		case n > 0:
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.wake:
			timer.Stop()
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if err := r.Flush(last); err != nil {
		r.config.Logger.WarnContext(ctx, "what is left of the access log is forwarded at the next start", "error", err)
	}
	return nil
}

// Flush brings all looks to the log, also those whose window is not over.
func (r *Recorder) Flush(ctx context.Context) error {
	for {
		n, err := r.forward(ctx, r.config.Now().UTC().Add(r.config.Window))
		if err != nil || n == 0 {
			return err
		}
	}
}

// forward seals the looks that are due by then, appends what is sealed, and returns how
// many events were settled. The rows are locked until that is noted, so no two processes
// append the same; a crash in between repeats events whose ids and values are known.
func (r *Recorder) forward(ctx context.Context, due time.Time) (int, error) {
	// Sealed rows change no more: who looks from now on begins another one.
	if _, err := r.config.Pool.Exec(ctx, `UPDATE viewlog.looks SET sealed_at = $2 WHERE sealed_at IS NULL AND due_at <= $1`, due, r.config.Now().UTC()); err != nil {
		return 0, fmt.Errorf("sealing looks: %w", err)
	}
	settled := 0
	err := pgx.BeginFunc(ctx, r.config.Pool, func(tx pgx.Tx) error {
		looks, err := pending(ctx, tx, r.config.Batch)
		if err != nil || len(looks) == 0 {
			return err
		}
		settled = len(looks)
		err = r.append(ctx, looks...)
		if event.CodeOf(err) != event.CodeInvalid {
			if err != nil {
				return fmt.Errorf("appending looks to the log: %w", err)
			}
			return r.settle(ctx, tx, looks, "")
		}
		for _, l := range looks {
			refusal := ""
			switch err := r.append(ctx, l); {
			case event.CodeOf(err) == event.CodeInvalid && err != nil:
				refusal = err.Error()
				r.config.Logger.ErrorContext(ctx, "the log refuses a look, it stays in viewlog.looks", "id", l.id.String(), "error", err)
			case err != nil:
				return fmt.Errorf("appending looks to the log: %w", err)
			}
			if err := r.settle(ctx, tx, []look{l}, refusal); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	// The last ones of a key tell for a window that it was told already.
	if _, err := r.config.Pool.Exec(ctx, `DELETE FROM viewlog.looks WHERE appended_at < $1`, r.config.Now().UTC().Add(-2*r.config.Window)); err != nil {
		return settled, fmt.Errorf("removing looks that the log has: %w", err)
	}
	return settled, nil
}

// look is a sealed row.
type look struct {
	id uuid.UUID
	access.DataViewed
}

func pending(ctx context.Context, tx pgx.Tx, limit int) ([]look, error) {
	rows, err := tx.Query(ctx, `SELECT id, viewer_id, viewer_user_id, owner_id, character_id, section, way, link_id, first_at, last_at, count, rows
		FROM viewlog.looks WHERE sealed_at IS NOT NULL AND appended_at IS NULL AND refusal IS NULL
		ORDER BY sealed_at LIMIT $1 FOR UPDATE SKIP LOCKED`, limit)
	if err != nil {
		return nil, fmt.Errorf("reading looks: %w", err)
	}
	looks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (look, error) {
		var l look
		var link string
		err := row.Scan(&l.id, &l.ViewerID, &l.ViewerUserID, &l.OwnerID, &l.CharacterID, &l.Section, &l.Way, &link, &l.FirstAt, &l.LastAt, &l.Count, &l.Rows)
		if err != nil || link == "" {
			return l, err
		}
		id, err := uuid.Parse(link)
		l.LinkID = &id
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading looks: %w", err)
	}
	return looks, nil
}

func (r *Recorder) append(ctx context.Context, looks ...look) error {
	events := make([]event.Event, 0, len(looks))
	for _, l := range looks {
		l.FirstAt, l.LastAt = l.FirstAt.UTC(), l.LastAt.UTC()
		e, err := event.New(l.id, l.Stream(), r.config.Source, l.LastAt, l.DataViewed)
		if err != nil {
			return err
		}
		e.Actor = l.ViewerID
		if err := e.Validate(); err != nil {
			return err
		}
		events = append(events, e)
	}
	return r.config.Log.Append(ctx, events...)
}

func (r *Recorder) settle(ctx context.Context, tx pgx.Tx, looks []look, refusal string) error {
	ids := make([]uuid.UUID, len(looks))
	for i, l := range looks {
		ids[i] = l.id
	}
	sql, args := `UPDATE viewlog.looks SET appended_at = $2 WHERE id = ANY($1)`, []any{ids, r.config.Now().UTC()}
	if refusal != "" {
		sql, args = `UPDATE viewlog.looks SET refusal = $2 WHERE id = ANY($1)`, []any{ids, refusal}
	}
	if _, err := tx.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("noting which looks the log has: %w", err)
	}
	return nil
}
