package eve

import "time"

// TrainingState is the name of the field that tells how an entry of the skill
// queue stands: one of the states below. ESI does not send it.
const TrainingState = "training_state"

// How an entry of the skill queue stands.
const (
	// TrainingFinished: it is trained. ESI lists it until the character logs in.
	TrainingFinished = "finished"
	// TrainingActive: it is being trained.
	TrainingActive = "training"
	// TrainingQueued: its turn is to come.
	TrainingQueued = "queued"
	// TrainingPaused: the queue stands still; its entries have no dates.
	TrainingPaused = "paused"
)

// TrainingOf tells how an entry of the skill queue stands at a moment. It follows
// from its dates alone: entries that are trained stay at the head of the queue, so
// that position 0 says nothing. A zero date is none.
func TrainingOf(start, finish, now time.Time) string {
	switch {
	case start.IsZero() || finish.IsZero():
		return TrainingPaused
	case !now.Before(finish):
		return TrainingFinished
	case !now.Before(start):
		return TrainingActive
	default:
		return TrainingQueued
	}
}
