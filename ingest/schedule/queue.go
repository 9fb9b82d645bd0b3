package schedule

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/riverqueue/river"

	"github.com/muster-sync/muster/ingest/fleet"
)

// The jobs of each shard of characters have a queue of their own, which only the
// program works that has the shard: so nobody fetches a job that is another's.

const (
	// queuePrefix is before the number of a shard in the name of its queue.
	queuePrefix = "characters-"
	// idleQueue never has a job.
	idleQueue = "idle"
	// fetchCooldown is the least time between two looks into a queue: under load each
	// look finds several jobs, and costs as much as one.
	fetchCooldown = 200 * time.Millisecond
	// pollSoonest and pollLatest bound how often each queue is looked into. What is
	// inserted is told of; only runs that were put off wait for the next look. The looks
	// are most of what a program costs that has little to do.
	pollSoonest, pollLatest = 500 * time.Millisecond, 4 * time.Second
	// pollPart is what part of the shortest interval runs may be late by.
	pollPart = 10
)

// pollEvery is how often each queue is looked into: runs are late by a small part of the
// shortest interval, or by what nobody notices.
func (s *Scheduler) pollEvery() time.Duration {
	shortest := pollLatest * pollPart
	for _, section := range s.config.Sections {
		shortest = min(shortest, s.plan.interval(section.Name))
	}
	return max(pollSoonest, min(shortest/pollPart, pollLatest))
}

func queueName(shard int) string { return queuePrefix + strconv.Itoa(shard) }

// queueOf is the queue of a character's jobs.
func queueOf(character int64) string { return queueName(fleet.ShardOf(character)) }

// perQueue is how many jobs are fetched of a queue at once. It is more than its part
// of the slots, so that the few queues of one of many programs, or those with much
// to do, can use all of them, and that fewer fetches are needed.
func (s *Scheduler) perQueue() int { return max(4, s.config.Workers/2) }

// runTimeout bounds how long a job may be in work, that it waits for a slot
// included.
func (s *Scheduler) runTimeout() time.Duration { return 2 * s.config.JobTimeout }

// Take begins to work a shard's queue.
func (s *Scheduler) Take(ctx context.Context, shard int) error {
	name := queueName(shard)
	err := s.client.Queues().Add(name, river.QueueConfig{MaxWorkers: s.perQueue()})
	if err != nil {
		// One that could not be started is there all the same.
		return fmt.Errorf("beginning to work queue %s: %w", name, errors.Join(err, s.Give(ctx, shard)))
	}
	return nil
}

// Give ends the work in a shard's queue: nothing new is fetched, and what is under
// way comes to its end.
func (s *Scheduler) Give(ctx context.Context, shard int) error {
	err := s.client.Queues().Remove(ctx, queueName(shard))
	if gone := new(river.QueueNotFoundError); err != nil && !errors.As(err, &gone) {
		return fmt.Errorf("ending work in queue %s: %w", queueName(shard), err)
	}
	return nil
}

// sortOut puts jobs that an older version left in one queue for all where they
// belong.
func (s *Scheduler) sortOut(ctx context.Context) error {
	_, err := s.config.Pool.Exec(ctx, `
		UPDATE ingest.river_job SET queue = $1 || ((args->>'character_id')::bigint % $2)
		WHERE queue = $3 AND state IN ('available', 'pending', 'scheduled', 'retryable') AND args->>'character_id' IS NOT NULL`,
		queuePrefix, int64(fleet.Shards), river.QueueDefault)
	if err != nil {
		return fmt.Errorf("putting jobs into the queues of their characters: %w", err)
	}
	return nil
}
