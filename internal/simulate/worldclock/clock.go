// Package worldclock maps the wall clock to the time of a simulated world that
// begins in the past, moves faster than the wall clock until it has caught up
// with it, and runs with it from then on.
package worldclock

import (
	"fmt"
	"sync"
	"time"
)

// Clock tells the time of a simulated world. It is safe for concurrent use.
type Clock struct {
	epoch time.Time
	start time.Time
	speed float64
	now   func() time.Time

	mu     sync.Mutex
	frozen time.Time
}

// New is a clock that shows epoch at the wall time start and moves speed times
// as fast as the wall clock now, but never shows a time beyond now. A nil now
// is [time.Now]. It fails if speed is not positive or epoch lies after start.
func New(epoch, start time.Time, speed float64, now func() time.Time) (*Clock, error) {
	if speed <= 0 {
		return nil, fmt.Errorf("speed %v of the simulated world: must be positive", speed)
	}
	if epoch.After(start) {
		return nil, fmt.Errorf("epoch %s of the simulated world lies after its start %s: a world cannot begin in the future", epoch, start)
	}
	if now == nil {
		now = time.Now
	}
	return &Clock{epoch: epoch.UTC(), start: start.UTC(), speed: speed, now: now}, nil
}

// Start is the wall time at which the world begins to move, UTC.
func (c *Clock) Start() time.Time { return c.start }

// Wall is the wall time, UTC.
func (c *Clock) Wall() time.Time { return c.now().UTC() }

// World is the time in the simulated world, UTC.
func (c *Clock) World() time.Time { return c.At(c.Wall()) }

// At is the time of the simulated world at the given wall time.
func (c *Clock) At(wall time.Time) time.Time {
	c.mu.Lock()
	frozen := c.frozen
	c.mu.Unlock()
	world := c.running(wall)
	if !frozen.IsZero() && world.After(frozen) {
		return frozen
	}
	return world
}

func (c *Clock) running(wall time.Time) time.Time {
	elapsed := wall.Sub(c.start)
	if elapsed <= 0 {
		return c.epoch
	}
	// Compared as floats first: a fast clock would overflow a duration long
	// after it has caught up.
	if float64(elapsed)*c.speed >= float64(wall.Sub(c.epoch)) {
		return wall
	}
	return c.epoch.Add(time.Duration(float64(elapsed) * c.speed))
}

// Freeze stops the world at the given time of its own, for good or until
// [Clock.Thaw]. Freezing in the future lets it run until then.
func (c *Clock) Freeze(world time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = world.UTC()
}

// Thaw lets the world go on where it would be had it never been frozen.
func (c *Clock) Thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = time.Time{}
}

// Frozen is the world time at which the world stands or will stand still; the
// zero time if it is not frozen.
func (c *Clock) Frozen() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen
}

// Shorten is how long a span of the world lasts on the wall clock, rounded up
// to seconds and at least one: the times of HTTP headers have no smaller unit.
func (c *Clock) Shorten(d time.Duration) time.Duration { return Shorten(d, c.speed) }

// Shorten is how long a span of a world of the given speed lasts on the wall
// clock, rounded like [Clock.Shorten].
func Shorten(d time.Duration, speed float64) time.Duration {
	short := time.Duration(float64(d) / speed)
	short = (short + time.Second - 1).Truncate(time.Second)
	return max(short, time.Second)
}
