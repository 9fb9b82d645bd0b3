package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// followArgs is the order to fetch what a section's list named, until nothing of
// it is left.
type followArgs struct {
	CharacterID int64       `json:"character_id"`
	Section     eve.Section `json:"section"`
}

// followKind is the kind of the jobs in the table.
const followKind = "eve_follow"

// Kind implements [river.JobArgs].
func (followArgs) Kind() string { return followKind }

// priorityFollow is below that of lists: what is in them tells what there is.
const priorityFollow = 3

func followOpts(character int64, at time.Time) *river.InsertOpts {
	return &river.InsertOpts{Queue: queueOf(character), Priority: priorityFollow, ScheduledAt: unlessDue(at), UniqueOpts: unique()}
}

// unlessDue is when a job is scheduled for; zero for what is due: River then has it
// ready at once, and need not look at it again to find that out.
func unlessDue(at time.Time) time.Time {
	if !at.After(time.Now()) {
		return time.Time{}
	}
	return at
}

// followUp puts the follow-ups of a section on the schedule, at once.
func (s *Scheduler) followUp(ctx context.Context, character int64, section eve.Section) error {
	inserted, err := s.client.Insert(ctx, followArgs{CharacterID: character, Section: section}, followOpts(character, time.Now()))
	if err != nil {
		return fmt.Errorf("putting follow-ups of section %s of character %d on the schedule: %w", section, character, err)
	}
	if !inserted.UniqueSkippedAsDuplicate {
		return nil
	}
	// There is a job that waits for what is not due yet.
	_, err = s.config.Pool.Exec(ctx, `UPDATE ingest.river_job SET scheduled_at = least(scheduled_at, now()) WHERE id = $1 AND state = 'scheduled'`, inserted.Job.ID)
	if err != nil {
		return fmt.Errorf("bringing follow-ups of section %s of character %d forward: %w", section, character, err)
	}
	return nil
}

type followWorker struct {
	river.WorkerDefaults[followArgs]

	scheduler *Scheduler
}

// Work fetches what is due and puts the job off until the next is.
func (w *followWorker) Work(ctx context.Context, job *river.Job[followArgs]) error {
	s := w.scheduler
	done := s.working.begin(job.ID)
	defer done()
	ctx, end, err := s.begin(ctx, job.Args.CharacterID)
	if err != nil {
		return err
	}
	defer end()
	outcome, err := s.config.Syncer.FollowUp(ctx, job.Args.CharacterID, job.Args.Section)
	switch {
	case err == nil:
	case event.CodeOf(err) == event.CodeNotFound:
		return river.JobCancel(err)
	case errors.Is(err, context.Canceled):
		return river.JobSnooze(0)
	default:
		s.config.Logger.ErrorContext(ctx, "follow-up did not come to its end and is repeated",
			"character", job.Args.CharacterID, "section", string(job.Args.Section), "error", err)
		return river.JobSnooze(time.Second + jitter(2*time.Second))
	}
	if f := outcome.Failure; f != nil && f.Class == eve.FailureToken {
		// The sweep makes another job when the character is registered again.
		return nil
	}
	if outcome.NextAt.IsZero() {
		return nil
	}
	wait := time.Until(outcome.NextAt)
	if outcome.Failure != nil {
		wait = max(wait, time.Second) + comeBack(outcome.Failure)
	}
	return river.JobSnooze(max(0, wait))
}
