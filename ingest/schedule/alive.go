package schedule

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bury frees the running jobs of programs that are dead: those whose lease on
// characters, with the grace after it, is over, or who never had one. If one of them
// was the leader another is elected.
func (s *Scheduler) Bury(ctx context.Context) error {
	_, err := s.reclaim(ctx)
	return err
}

// alive is the SQL of whether the program named by an expression may be alive; $1
// is itself, $2 the grace in seconds.
func alive(program string) string {
	return `(` + program + ` = $1 OR EXISTS (
		SELECT FROM ingest.member m WHERE m.id = ` + program + ` AND m.expires_at + make_interval(secs => $2) > now()))`
}

// lostAfter is how long a job may be called running that this program does not work
// on: what became of it could not be written down, because the database was away.
const lostAfter = time.Minute

// atWork are the jobs that a program works on. It is safe for concurrent use.
type atWork struct {
	mu   sync.Mutex
	jobs map[int64]struct{}
}

// begin tells that a job is worked on, until the function returned is called.
func (w *atWork) begin(job int64) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs == nil {
		w.jobs = map[int64]struct{}{}
	}
	w.jobs[job] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.jobs, job)
	}
}

func (w *atWork) ids() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.AppendSeq([]int64{}, maps.Keys(w.jobs))
}

// reclaim frees the running jobs of programs that are dead, and those of this one that
// are lost, and tells how many.
func (s *Scheduler) reclaim(ctx context.Context) (int, error) {
	freed := 0
	err := pgx.BeginFunc(ctx, s.config.Pool, func(tx pgx.Tx) error {
		args := []any{s.member.ID(), s.member.Grace().Seconds()}
		tag, err := tx.Exec(ctx, `
			UPDATE ingest.river_job SET state = 'available', scheduled_at = now(), attempt = greatest(attempt - 1, 0)
			WHERE state = 'running' AND cardinality(attempted_by) > 0 AND NOT `+alive("attempted_by[cardinality(attempted_by)]"), args...)
		if err != nil {
			return err //nolint:wrapcheck // Wrapped below.
		}
		freed = int(tag.RowsAffected())
		tag, err = tx.Exec(ctx, `
			UPDATE ingest.river_job SET state = 'available', scheduled_at = now(), attempt = greatest(attempt - 1, 0)
			WHERE state = 'running' AND attempted_by[cardinality(attempted_by)] = $1 AND attempted_at < now() - make_interval(secs => $2) AND id <> ALL ($3)`,
			s.member.ID(), lostAfter.Seconds(), s.working.ids())
		if err != nil {
			return err //nolint:wrapcheck // Wrapped below.
		}
		freed += int(tag.RowsAffected())
		_, err = tx.Exec(ctx, `DELETE FROM ingest.river_leader WHERE NOT `+alive("leader_id"), args...)
		return err //nolint:wrapcheck // Wrapped below.
	})
	if err != nil {
		return 0, fmt.Errorf("freeing the jobs of dead programs: %w", err)
	}
	return freed, nil
}
