package esi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

const (
	// slowAppend is how long an append may take before nothing new is read: what ESI
	// answers could not be written down, and would have to be asked for again.
	slowAppend = 3 * time.Second
	// shutFor is how long nothing is read after an append that failed.
	shutFor = 5 * time.Second
	// appendAgain is the pause before an append that failed is tried again.
	appendAgain = time.Second
	// backAtDoor is when readings come back that were not begun, spread over as long
	// again and more.
	backAtDoor, doorSpread = 5 * time.Second, 10 * time.Second
)

// door is an [Appender] that does not give up while the log is away, and knows
// whether it is, so that no reading is begun meanwhile. It is safe for concurrent
// use.
type door struct {
	log Appender
	// now is the clock that outages are measured by, whatever the clock of ESI says.
	now func() time.Time

	mu sync.Mutex
	// under are the beginnings of appends that are under way.
	under  map[int]time.Time
	number int
	// shut is until when an append that failed keeps the door shut.
	shut time.Time
}

func newDoor(log Appender) *door {
	return &door{log: log, now: time.Now, under: map[int]time.Time{}}
}

// Append implements [Appender]. While the log is away it tries again until ctx ends.
func (d *door) Append(ctx context.Context, events ...event.Event) error {
	number := d.enter()
	defer d.leave(number)
	for {
		err := d.log.Append(ctx, events...)
		if event.CodeOf(err) != event.CodeUnavailable {
			if err == nil {
				d.open()
			}
			return err //nolint:wrapcheck // The caller says what was appended.
		}
		d.close()
		select {
		case <-time.After(appendAgain):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

func (d *door) enter() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	d.under[d.number] = d.now()
	return d.number
}

func (d *door) leave(number int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.under, number)
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = d.now().Add(shutFor)
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = time.Time{}
}

// closed tells whether what is read now could not be written down.
func (d *door) closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if now.Before(d.shut) {
		return true
	}
	for _, since := range d.under {
		if now.Sub(since) > slowAppend {
			return true
		}
	}
	return false
}

// held puts a reading off because the log takes nothing; now is the time of ESI.
func (d *door) held(character int64, section eve.Section, now time.Time) *transport.Failure {
	return &transport.Failure{
		Class: eve.FailureServer, Deferred: true, RetryAt: now.Add(backAtDoor), Spread: doorSpread,
		Message: fmt.Sprintf("%s of character %d has to wait: the log takes no events at present, so nothing is asked", section, character),
	}
}
