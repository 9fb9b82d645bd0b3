package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A program that was killed leaves jobs behind as running. River frees them once
// they have run longer than any job may, a minute or more. To be faster, each
// program holds an advisory lock on its own name for as long as it lives: Postgres
// drops the lock with the connection, and whoever gets it knows that the program
// is gone.

// probeEvery is how often the lock's connection is tried.
const probeEvery = 5 * time.Second

// beacon holds the lock that shows that this program is alive.
type beacon struct {
	scheduler *Scheduler
	conn      *pgx.Conn
}

// showAlive takes the lock on a connection of its own.
func (s *Scheduler) showAlive(ctx context.Context) (*beacon, error) {
	b := &beacon{scheduler: s}
	if err := b.light(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *beacon) light(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, b.scheduler.config.Pool.Config().ConnConfig.Copy())
	if err != nil {
		return fmt.Errorf("connecting to show that the schedule is alive: %w", err)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock("+lockOf+")", b.scheduler.id); err != nil {
		return errors.Join(fmt.Errorf("showing that the schedule is alive: %w", err), conn.Close(context.WithoutCancel(ctx)))
	}
	b.conn = conn
	return nil
}

// lockOf is the SQL of the lock of the program named by $1.
const lockOf = "hashtextextended('muster/ingest/schedule/' || $1, 0)"

// keep takes the lock again whenever its connection is lost, until the context
// ends. Meanwhile others may free jobs that run here; they then run twice, which
// does no harm.
func (b *beacon) keep(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if b.conn != nil && b.conn.Ping(ctx) == nil {
			continue
		}
		// What is closed has failed already.
		_ = b.close()
		if err := b.light(ctx); err != nil && ctx.Err() == nil {
			b.scheduler.config.Logger.WarnContext(ctx, "cannot show that the schedule is alive", "error", err)
		}
	}
}

func (b *beacon) close() error {
	if b.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeEvery)
	defer cancel()
	err := b.conn.Close(ctx)
	b.conn = nil
	if err != nil {
		return fmt.Errorf("closing the connection that shows that the schedule is alive: %w", err)
	}
	return nil
}

// reclaim frees the running jobs of programs that are gone.
func (s *Scheduler) reclaim(ctx context.Context) (int, error) {
	rows, err := s.config.Pool.Query(ctx, `
		SELECT DISTINCT attempted_by[cardinality(attempted_by)] FROM ingest.river_job
		WHERE state = 'running' AND cardinality(attempted_by) > 0
		UNION SELECT leader_id FROM ingest.river_leader`)
	if err != nil {
		return 0, fmt.Errorf("looking for jobs of dead programs: %w", err)
	}
	programs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("looking for jobs of dead programs: %w", err)
	}
	freed := 0
	for _, program := range programs {
		if program == s.id {
			continue
		}
		n, err := s.free(ctx, program)
		if err != nil {
			return freed, err
		}
		freed += n
	}
	return freed, nil
}

// free makes the running jobs of a program available if it is dead, and has
// another elected if it was the leader.
func (s *Scheduler) free(ctx context.Context, program string) (int, error) {
	freed := 0
	err := pgx.BeginFunc(ctx, s.config.Pool, func(tx pgx.Tx) error {
		var dead bool
		if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock("+lockOf+")", program).Scan(&dead); err != nil || !dead {
			return err //nolint:wrapcheck // Wrapped below.
		}
		tag, err := tx.Exec(ctx, `
			UPDATE ingest.river_job SET state = 'available', scheduled_at = now(), attempt = greatest(attempt - 1, 0)
			WHERE state = 'running' AND attempted_by[cardinality(attempted_by)] = $1`, program)
		if err != nil {
			return err //nolint:wrapcheck // Wrapped below.
		}
		freed = int(tag.RowsAffected())
		_, err = tx.Exec(ctx, "DELETE FROM ingest.river_leader WHERE leader_id = $1", program)
		return err //nolint:wrapcheck // Wrapped below.
	})
	if err != nil {
		return 0, fmt.Errorf("freeing the jobs of %s: %w", program, err)
	}
	return freed, nil
}
