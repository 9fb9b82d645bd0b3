package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
)

// clockSkew is how far the clock of a decision may be behind that of the database.
const clockSkew = time.Minute

// Forget appends the tombstones of characters that were forgotten and wait for them, as
// a run would, and tells how many. Most of the time there are none, and it is one look
// at a table. It fails with [event.CodeConflict] while another process runs.
func (w *Worker) Forget(ctx context.Context) (int, error) {
	if w.Keys == nil {
		return 0, nil
	}
	waiting, err := w.Keys.Waiting(ctx)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	removed, over, err := w.forget(ctx, waiting)
	if err != nil || len(over) == 0 {
		return removed, err
	}
	// The notes last: whatever ends the process before that, all of it is done again.
	if err := w.clean(ctx); err != nil {
		return removed, err
	}
	if err := w.Keys.Expired(ctx, over); err != nil {
		return removed, err
	}
	w.Step("retention.forgotten")
	return removed, nil
}

// forget appends the tombstones of characters that were forgotten at these moments, and
// tells how many, and which characters have them all.
func (w *Worker) forget(ctx context.Context, waiting map[int64]time.Time) (int, map[int64]time.Time, error) {
	unlock, err := w.lock(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer unlock()
	if err := w.settled(ctx, w.IndexName); err != nil {
		return 0, nil, err
	}
	streams := make([]event.Stream, 0, len(waiting))
	for id := range waiting {
		streams = append(streams, event.Character(id))
	}
	facts, err := w.Index.Facts(ctx, streams)
	if err != nil {
		return 0, nil, err
	}
	now, over := w.Now().UTC(), map[int64]time.Time{}
	done := retention.Completed{Tombstones: map[retention.Class]int{}}
	for _, stream := range streams {
		id, _ := stream.CharacterID()
		if !forgottenSince(facts[stream], waiting[id].Add(-clockSkew)) {
			continue // The log does not have the decision yet.
		}
		if err := w.expire(ctx, stream, facts[stream], now, nil, &done); err != nil {
			return 0, nil, fmt.Errorf("removing the events of %s, which was forgotten: %w", stream, err)
		}
		over[id] = waiting[id]
	}
	if len(over) > 0 {
		if err := w.expireLooks(ctx, now, &done); err != nil {
			return 0, nil, fmt.Errorf("removing looks at characters that were forgotten: %w", err)
		}
	}
	removed := 0
	for _, n := range done.Tombstones {
		removed += n
	}
	if len(over) == 0 {
		return removed, over, nil
	}
	// Also if there was nothing left to remove: who did that may have been interrupted.
	return removed, over, w.pulse(ctx, true)
}

func forgottenSince(facts []retention.Fact, at time.Time) bool {
	for _, f := range facts {
		if f.Type == eve.TypeCharacterForgotten && !f.Time.Before(at) {
			return true
		}
	}
	return false
}

// destroyKeys destroys the keys again that were destroyed with a character. They can
// have come back with a copy of the database from before.
func (w *Worker) destroyKeys(ctx context.Context, stream event.Stream, facts []retention.Fact) error {
	if w.Keys == nil {
		return nil
	}
	var forgotten []retention.Fact
	for _, f := range facts {
		if f.Type == eve.TypeCharacterForgotten {
			forgotten = append(forgotten, f)
		}
	}
	if len(forgotten) == 0 {
		return nil
	}
	at, err := w.partitionOf(ctx, stream)
	if err != nil {
		return err
	}
	var ids []uuid.UUID
	err = w.read(ctx, at, lastCopies(forgotten), func(_ event.Event, p event.Payload) error {
		if told, is := p.(eve.CharacterForgotten); is {
			ids = append(ids, told.KeyIDs...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	character, _ := stream.CharacterID()
	back, err := w.Keys.DestroyAgain(ctx, character, ids)
	if err == nil {
		w.Step("retention.keys-destroyed")
	}
	if back > 0 {
		w.Logger.WarnContext(ctx, "keys of a forgotten character had come back; they were destroyed again", "character", character, "keys", back)
	}
	return err
}
