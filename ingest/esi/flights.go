package esi

import (
	"context"
	"errors"
	"sync"
)

// flights have one of several callers with the same key do the work, in its own
// goroutine; the others wait for what it comes to. The zero value is ready. It is safe
// for concurrent use.
type flights[T any] struct {
	mu    sync.Mutex
	under map[string]*flight[T]
}

type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
}

var errNotLanded = errors.New("the call that was joined did not come to its end")

// do does the work, or waits for the call that does; mine tells that it was this one.
// Who only waits gives up when ctx ends, with its cause.
func (f *flights[T]) do(ctx context.Context, key string, work func() (T, error)) (value T, mine bool, err error) {
	f.mu.Lock()
	if joined := f.under[key]; joined != nil {
		f.mu.Unlock()
		select {
		case <-joined.done:
			return joined.value, false, joined.err
		case <-ctx.Done():
			return value, false, context.Cause(ctx)
		}
	}
	if f.under == nil {
		f.under = map[string]*flight[T]{}
	}
	own := &flight[T]{done: make(chan struct{}), err: errNotLanded}
	f.under[key] = own
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.under, key)
		f.mu.Unlock()
		close(own.done)
	}()
	own.value, own.err = work()
	return own.value, true, own.err
}
