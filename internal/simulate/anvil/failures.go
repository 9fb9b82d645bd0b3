package anvil

import (
	"slices"
	"sync"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// maxFailures bounds the list of failures.
const maxFailures = 10_000

// Failure is a request that a fault broke: its answer was replaced, spoilt or
// never sent. Of a slow answer nothing is lost, so it is none.
type Failure struct {
	Service string `json:"service"`
	// Path is decoded.
	Path string `json:"path"`
	// Times is how often the path had been asked for then, this time included.
	Times int        `json:"times"`
	Kind  fault.Kind `json:"kind"`
}

// failures is the book of what faults broke. The zero value is empty.
type failures struct {
	mu    sync.Mutex
	list  []Failure
	asked map[string]int
}

// ask notes a request and tells how often its path was asked for.
func (f *failures) ask(c call, path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[c.service+path]++
	return f.asked[c.service+path]
}

func (f *failures) add(broken Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) < maxFailures {
		f.list = append(f.list, broken)
	}
}

// Failures are the requests that faults broke, oldest first, at most ten
// thousand.
func (s *Simulator) Failures() []Failure {
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	return append([]Failure{}, s.broken.list...)
}

// LastFailures are the failures of the requests whose last answer was broken:
// those of which a client cannot know what it would have been.
func (s *Simulator) LastFailures() []Failure {
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.broken.list), func(f Failure) bool { return f.Times != s.broken.asked[f.Service+f.Path] })
}
