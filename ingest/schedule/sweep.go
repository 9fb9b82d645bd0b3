package schedule

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
)

// analyseFrom is how many jobs, when they are added at once, make Postgres look at
// the table.
const analyseFrom = 5000

// insertChunk bounds how many jobs are made in one statement.
const insertChunk = 1000

func (s *Scheduler) sweepLoop(ctx context.Context) {
	ticker := time.NewTicker(s.config.SweepEvery)
	defer ticker.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			level := slog.LevelError
			if event.CodeOf(err) == event.CodeUnavailable {
				// Such as at the very first start, before there is a list.
				level = slog.LevelInfo
			}
			s.config.Logger.Log(ctx, level, "the schedule was not brought in line; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// Swept is what a sweep did.
type Swept struct {
	// Added counts jobs made, Removed jobs of characters that are not synced any
	// more, Reclaimed jobs taken over from programs that died.
	Added, Removed, Reclaimed int
}

// Sweep makes the jobs that should be there agree with those that are: sections
// of new characters are added, those of characters that are gone or whose login
// waits are removed, and what a dead program was working on is freed. It is cheap
// when there is nothing to do.
func (s *Scheduler) Sweep(ctx context.Context) (Swept, error) {
	var swept Swept
	var err error
	if swept.Reclaimed, err = s.reclaim(ctx); err != nil {
		return swept, err
	}
	characters, err := s.config.Characters.Syncable(ctx)
	if err != nil {
		return swept, fmt.Errorf("listing the characters to sync: %w", err)
	}
	now, err := s.stateOf(ctx, characters)
	if err != nil {
		return swept, err
	}
	if now == s.swept && time.Since(s.sweptAt) < sweepAnyway {
		return swept, s.measure(ctx)
	}
	// Of several programs one at a time does so; the next finds nothing to do.
	unlock, err := s.lockSweep(ctx)
	if err != nil {
		return swept, err
	}
	defer unlock()
	if err := s.sortOut(ctx); err != nil {
		return swept, err
	}
	if swept.Removed, err = s.remove(ctx, characters); err != nil {
		return swept, err
	}
	missing, err := s.missing(ctx, characters)
	if err != nil {
		return swept, err
	}
	following, err := s.unfollowed(ctx, characters)
	if err != nil {
		return swept, err
	}
	missing = append(missing, following...)
	for len(missing) > 0 {
		chunk := missing[:min(insertChunk, len(missing))]
		missing = missing[len(chunk):]
		added, err := s.client.InsertManyFast(ctx, chunk)
		if err != nil {
			return swept, fmt.Errorf("adding jobs to the schedule: %w", err)
		}
		swept.Added += added
	}
	if swept.Added >= analyseFrom {
		// Postgres would find out by itself within a minute; until then it takes the
		// table for a small one, and looks through all of it for each job.
		if _, err := s.config.Pool.Exec(ctx, "ANALYZE ingest.river_job"); err != nil {
			return swept, fmt.Errorf("having Postgres look at the schedule: %w", err)
		}
	}
	if swept != (Swept{}) {
		s.config.Logger.InfoContext(ctx, "schedule brought in line", "characters", len(characters),
			"added", swept.Added, "removed", swept.Removed, "reclaimed", swept.Reclaimed)
	}
	s.swept, s.sweptAt = now, time.Now()
	return swept, s.measure(ctx)
}

// lockSweep waits until no other program brings the schedule in line.
func (s *Scheduler) lockSweep(ctx context.Context) (unlock func(), err error) {
	conn, err := s.config.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking turns to bring the schedule in line: %w", err)
	}
	const key = "(hashtextextended('muster/ingest/schedule/sweep', 0))"
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock"+key); err != nil {
		conn.Release()
		return nil, fmt.Errorf("taking turns to bring the schedule in line: %w", err)
	}
	return func() {
		defer conn.Release()
		if _, err := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock"+key); err != nil {
			// The lock goes with the connection.
			s.config.Logger.WarnContext(ctx, "the lock of the schedule was not let go; its connection is closed", "error", err)
			_ = conn.Conn().Close(context.WithoutCancel(ctx))
		}
	}, nil
}

// sweepAnyway is how often the schedule is compared though nothing hints at a
// difference: comparing hundreds of thousands of jobs takes a second.
const sweepAnyway = 5 * time.Minute

// stateOf sums up what the schedule follows from: who is to be synced, with which
// logins, and what is paused.
func (s *Scheduler) stateOf(ctx context.Context, characters []int64) (string, error) {
	h := fnv.New64a()
	for _, id := range characters {
		// A hash never fails to write.
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(id)))
	}
	var logins, failures, pauses string
	err := s.config.Pool.QueryRow(ctx, `SELECT
		(SELECT count(*) || ' ' || count(*) FILTER (WHERE state = 'active') || ' ' || coalesce(sum(cardinality(scopes)), 0) || ' ' || coalesce(max(registered_at), '-infinity') FROM ingest.token),
		(SELECT count(*)::text FROM ingest.section_state WHERE failure_class = 'token'),
		(SELECT coalesce(string_agg(character_id || '/' || section, ' ' ORDER BY character_id, section), '') FROM ingest.pause)`,
	).Scan(&logins, &failures, &pauses)
	if err != nil {
		return "", fmt.Errorf("looking at what the schedule follows from: %w", err)
	}
	return fmt.Sprintf("%x|%s|%s|%s", h.Sum64(), logins, failures, pauses), nil
}

// sections are those that this scheduler syncs, as [wanted] takes them.
func (s *Scheduler) sections() (public, login, scopes []string) { return byLogin(s.config.Sections) }

// byLogin are the names of the sections that need no login, and of those that do
// with the scopes that they need, separated by spaces.
func byLogin(sections []esi.Section) (public, login, scopes []string) {
	for _, section := range sections {
		needed := section.Scopes()
		if len(needed) == 0 {
			public = append(public, string(section.Name))
			continue
		}
		login, scopes = append(login, string(section.Name)), append(scopes, strings.Join(needed, " "))
	}
	return public, login, scopes
}

// wanted is the SQL of the sections that should have a job: $1 are characters, $2
// sections without a login, $3 sections with one and $4 the scopes of these. A
// section that its owner has not consented to is not asked for; of a login whose
// scopes are not known yet all are tried. A section whose login failed waits until
// the login is given again. What is paused waits. What is forgotten is not synced,
// also before the read model shows that.
const wanted = `
	SELECT w.* FROM (
	    SELECT c.id AS character_id, s.name AS section
	    FROM unnest($1::bigint[]) AS c (id) CROSS JOIN unnest($2::text[]) AS s (name)
	    UNION ALL
	    SELECT t.character_id, s.name
	    FROM ingest.token t CROSS JOIN unnest($3::text[], $4::text[]) AS s (name, scopes)
	    LEFT JOIN ingest.section_state st ON st.character_id = t.character_id AND st.section = s.name
	    WHERE t.character_id = ANY ($1::bigint[]) AND t.state = 'active'
	      AND (cardinality(t.scopes) = 0 OR string_to_array(s.scopes, ' ') <@ t.scopes)
	      AND (st.failure_class IS DISTINCT FROM 'token' OR st.failed_at < t.registered_at)
	) w
	WHERE NOT EXISTS (SELECT FROM ingest.pause p WHERE p.character_id IN (0, w.character_id) AND p.section IN ('', w.section))
	  AND NOT EXISTS (SELECT FROM ingest.forgotten g WHERE g.character_id = w.character_id)`

// missing are the jobs that should be there and are not.
func (s *Scheduler) missing(ctx context.Context, characters []int64) ([]river.InsertManyParams, error) {
	public, login, scopes := s.sections()
	rows, err := s.config.Pool.Query(ctx, `
		WITH wanted AS (`+wanted+`), live AS (
		    SELECT (args->>'character_id')::bigint AS character_id, args->>'section' AS section FROM ingest.river_job
		    WHERE kind = '`+syncKind+`' AND state IN ('available', 'pending', 'running', 'scheduled', 'retryable'))
		SELECT w.character_id, w.section, st.validated_at, st.not_before
		FROM wanted w
		LEFT JOIN live l ON l.character_id = w.character_id AND l.section = w.section
		LEFT JOIN ingest.section_state st ON st.character_id = w.character_id AND st.section = w.section
		WHERE l.character_id IS NULL`, characters, public, login, scopes)
	if err != nil {
		return nil, fmt.Errorf("looking for missing jobs: %w", err)
	}
	now := time.Now()
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (river.InsertManyParams, error) {
		var args syncArgs
		var validated, notBefore *time.Time
		if err := row.Scan(&args.CharacterID, &args.Section, &validated, &notBefore); err != nil {
			return river.InsertManyParams{}, err //nolint:wrapcheck // Wrapped below.
		}
		return river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{
			Queue:       queueOf(args.CharacterID),
			Priority:    priorityDue,
			ScheduledAt: unlessDue(s.plan.due(args.CharacterID, args.Section, orZero(validated), orZero(notBefore), now)),
			UniqueOpts:  unique(),
		}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for missing jobs: %w", err)
	}
	return jobs, nil
}

// unfollowed are the jobs of follow-ups that should be there and are not: a
// program died between the two.
func (s *Scheduler) unfollowed(ctx context.Context, characters []int64) ([]river.InsertManyParams, error) {
	rows, err := s.config.Pool.Query(ctx, `
		SELECT f.character_id, f.section, min(f.due_at) FROM ingest.follow_up f
		JOIN ingest.token t ON t.character_id = f.character_id AND t.state = 'active'
		WHERE f.character_id = ANY ($1::bigint[]) AND f.due_at < '9999-01-01T00:00:00Z'
		  AND NOT EXISTS (SELECT FROM ingest.pause p WHERE p.character_id IN (0, f.character_id) AND p.section IN ('', f.section))
		  AND (f.character_id, f.section) NOT IN (
		    SELECT (args->>'character_id')::bigint, args->>'section' FROM ingest.river_job
		    WHERE kind = '`+followKind+`' AND state IN ('available', 'pending', 'running', 'scheduled', 'retryable'))
		GROUP BY 1, 2`, characters)
	if err != nil {
		return nil, fmt.Errorf("looking for follow-ups without a job: %w", err)
	}
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (river.InsertManyParams, error) {
		var args followArgs
		var due time.Time
		if err := row.Scan(&args.CharacterID, &args.Section, &due); err != nil {
			return river.InsertManyParams{}, err //nolint:wrapcheck // Wrapped below.
		}
		return river.InsertManyParams{Args: args, InsertOpts: followOpts(args.CharacterID, later(due, time.Now()))}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for follow-ups without a job: %w", err)
	}
	return jobs, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// remove deletes waiting jobs that should not be there.
func (s *Scheduler) remove(ctx context.Context, characters []int64) (int, error) {
	public, login, scopes := s.sections()
	tag, err := s.config.Pool.Exec(ctx, `
		WITH wanted AS (`+wanted+`)
		DELETE FROM ingest.river_job j
		WHERE j.kind = '`+syncKind+`' AND j.state IN ('available', 'pending', 'scheduled', 'retryable') AND NOT EXISTS (
		    SELECT FROM wanted w
		    WHERE w.character_id = (j.args->>'character_id')::bigint AND w.section = j.args->>'section')`,
		characters, public, login, scopes)
	if err != nil {
		return 0, fmt.Errorf("removing jobs of characters that are not synced: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

type metrics struct {
	jobs *prometheus.GaugeVec
	late prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_schedule_jobs",
			Help: "Sections of characters on the schedule, by whether they are due, running or waiting.",
		}, []string{"state"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "muster_schedule_late_seconds",
			Help:    "How long after it was due a section was synced.",
			Buckets: prometheus.ExponentialBuckets(0.1, 4, 9),
		}),
	}
	for _, c := range []prometheus.Collector{m.jobs, m.late} {
		if err := r.Register(c); err != nil {
			return nil, err //nolint:wrapcheck // The caller says what was registered.
		}
	}
	return m, nil
}

func (s *Scheduler) measure(ctx context.Context) error {
	var due, running, waiting int
	err := s.config.Pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE state <> 'running' AND scheduled_at <= now()),
		       count(*) FILTER (WHERE state = 'running'),
		       count(*) FILTER (WHERE state <> 'running' AND scheduled_at > now())
		FROM ingest.river_job
		WHERE kind = '`+syncKind+`' AND state IN ('available', 'pending', 'running', 'scheduled', 'retryable')`,
	).Scan(&due, &running, &waiting)
	if err != nil {
		return fmt.Errorf("counting jobs: %w", err)
	}
	s.metrics.jobs.WithLabelValues("due").Set(float64(due))
	s.metrics.jobs.WithLabelValues("running").Set(float64(running))
	s.metrics.jobs.WithLabelValues("waiting").Set(float64(waiting))
	return nil
}
