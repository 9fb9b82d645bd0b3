package command

import (
	"context"
	"sync"

	"github.com/muster-sync/muster/domain/event"
)

// turns lets one command of this process at a time work on a stream. The lock
// that counts is the head row in Postgres; waiting here instead costs no
// connection and is fair. The zero value is ready to use.
type turns struct {
	mu     sync.Mutex
	queues map[event.Stream]*queue
}

// queue is where commands wait for one stream. It lives while somebody has or
// wants the turn.
type queue struct {
	turn  chan struct{}
	users int
}

// take waits for the turn on all streams. They must be sorted and distinct: all
// take them in one order, so none wait for each other in a circle. The caller has
// to call leave once.
func (t *turns) take(ctx context.Context, streams []event.Stream) (leave func(), err error) {
	for i, s := range streams {
		select {
		case t.enter(s).turn <- struct{}{}:
		case <-ctx.Done():
			t.exit(s)
			t.leave(streams[:i])
			return nil, ctx.Err()
		}
	}
	return func() { t.leave(streams) }, nil
}

func (t *turns) leave(streams []event.Stream) {
	for _, s := range streams {
		<-t.exit(s).turn
	}
}

func (t *turns) enter(s event.Stream) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queues == nil {
		t.queues = map[event.Stream]*queue{}
	}
	q, ok := t.queues[s]
	if !ok {
		q = &queue{turn: make(chan struct{}, 1)}
		t.queues[s] = q
	}
	q.users++
	return q
}

func (t *turns) exit(s event.Stream) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[s]
	q.users--
	if q.users == 0 {
		delete(t.queues, s)
	}
	return q
}
