package schedule

import (
	"context"
	"fmt"

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

// reclaim frees the running jobs of programs that are dead, and tells how many.
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
		_, err = tx.Exec(ctx, `DELETE FROM ingest.river_leader WHERE NOT `+alive("leader_id"), args...)
		return err //nolint:wrapcheck // Wrapped below.
	})
	if err != nil {
		return 0, fmt.Errorf("freeing the jobs of dead programs: %w", err)
	}
	return freed, nil
}
