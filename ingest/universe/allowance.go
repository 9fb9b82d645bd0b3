package universe

import (
	"sync"
	"time"
)

// allowance bounds how many errors of ESI looking for names may cause: they count
// towards a limit that all of Muster shares. It is safe for concurrent use.
type allowance struct {
	now func() time.Time
	// per is how many a minute.
	per int

	mu     sync.Mutex
	errors []time.Time
	// asked counts requests on their way.
	asked int
}

// worstErrors is how many errors one request may cause, being sent that often when ESI
// fails.
const worstErrors = 3

// take sets errors aside for a request, or tells until when to wait.
func (a *allowance) take() (until time.Time) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.errors) > 0 && now.Sub(a.errors[0]) >= time.Minute {
		a.errors = a.errors[1:]
	}
	if len(a.errors)+worstErrors*(a.asked+1) <= a.per {
		a.asked++
		return time.Time{}
	}
	if len(a.errors) == 0 || a.asked > 0 {
		// Requests on their way are settled soon.
		return now.Add(time.Second)
	}
	return a.errors[0].Add(time.Minute)
}

// settle says how many errors came of a request for which some were set aside.
func (a *allowance) settle(errors int) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked--
	for range errors {
		a.errors = append(a.errors, now)
	}
}
