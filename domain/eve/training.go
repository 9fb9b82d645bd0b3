package eve

import (
	"encoding/json"
	"math/big"
	"time"
)

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

// Progress is how far a skill of the queue is.
type Progress struct {
	// Percent is how much of the level's skill points are there, from 0 to 100 with at
	// most two decimals, cut; empty if the entry does not tell.
	Percent json.Number
	// Left is how long it is until the level is there; nil for one that stands still.
	Left *time.Duration
}

// QueuedSkill is what an entry of the skill queue says of its level. Zero moments are
// none.
type QueuedSkill struct {
	Start, Finish time.Time
	// The skill points at the level's beginning, at its end, and when the entry began to
	// be trained.
	LevelStart, LevelEnd, TrainingStart int64
}

// ProgressOf is how far an entry of the skill queue is at a moment: points come evenly
// from its beginning to its end.
func ProgressOf(q QueuedSkill, now time.Time) Progress {
	var p Progress
	state := TrainingOf(q.Start, q.Finish, now)
	if state != TrainingPaused {
		p.Left = new(max(0, q.Finish.Sub(now)).Truncate(time.Second))
	}
	if state == TrainingFinished {
		p.Percent = "100"
		return p
	}
	whole := q.LevelEnd - q.LevelStart
	if whole <= 0 || q.TrainingStart < q.LevelStart || q.TrainingStart > q.LevelEnd {
		return p
	}
	points := big.NewRat(q.TrainingStart-q.LevelStart, 1)
	if length := q.Finish.Sub(q.Start); state == TrainingActive && length > 0 {
		points.Add(points, new(big.Rat).Mul(big.NewRat(q.LevelEnd-q.TrainingStart, 1), big.NewRat(int64(now.Sub(q.Start)), int64(length))))
	}
	points.Mul(points, big.NewRat(10_000, whole))
	// Cut, so that 100 is said of what is finished alone.
	cut := new(big.Int).Quo(points.Num(), points.Denom())
	p.Percent = decimals(new(big.Rat).SetFrac(cut, big.NewInt(100)), 2)
	return p
}
