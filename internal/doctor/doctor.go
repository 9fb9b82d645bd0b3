// Package doctor tells whether a setup is in order. A [Check] looks at one thing
// and writes nothing; what it has seen becomes a verdict by pure functions, one for
// each thing, so that every rule can be read and tried without that thing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Verdict is what a check comes to.
type Verdict string

// The verdicts, from best to worst.
const (
	OK      Verdict = "ok"
	Warning Verdict = "warning"
	Failed  Verdict = "failed"
)

func (v Verdict) rank() int {
	switch v {
	case Failed:
		return 2
	case Warning:
		return 1
	default:
		return 0
	}
}

// Problem is one thing that is not as it ought to be.
type Problem struct {
	// Verdict is [Warning] or [Failed].
	Verdict Verdict `json:"verdict"`
	Seen    string  `json:"seen"`
	Remedy  string  `json:"remedy"`
}

// Outcome is what a check has found. Without problems all is well.
type Outcome struct {
	// Seen is what was looked at, in a few words.
	Seen     string
	Problems []Problem
}

func (o *Outcome) warn(remedy, seen string, args ...any) {
	o.Problems = append(o.Problems, Problem{Warning, fmt.Sprintf(seen, args...), remedy})
}

func (o *Outcome) fail(remedy, seen string, args ...any) {
	o.Problems = append(o.Problems, Problem{Failed, fmt.Sprintf(seen, args...), remedy})
}

// Check looks at one thing.
type Check struct {
	// Name names it, such as "kafka.topics".
	Name string
	// Look must write nothing and return soon after ctx has ended. An error says
	// that it could not look, which is a warning: see [NotLooked].
	Look func(ctx context.Context) (Outcome, error)
}

// NotLooked says why a check could not be made, and what to do so that it can.
type NotLooked struct{ Why, Remedy string }

// Error is the reason.
func (n NotLooked) Error() string { return n.Why }

// Result is the line of one check.
type Result struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Seen    string  `json:"seen"`
	Remedy  string  `json:"remedy"`
	// Problems are what Seen and Remedy are put together from.
	Problems []Problem `json:"problems"`
}

// Run makes all checks at once and returns their results in the order of the checks.
// Each has the time given; one that does not come to its end is a warning.
func Run(ctx context.Context, limit time.Duration, checks ...Check) []Result {
	results := make([]Result, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { results[i] = run(ctx, limit, c) })
	}
	all.Wait()
	return results
}

func run(ctx context.Context, limit time.Duration, c Check) Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type answer struct {
		outcome Outcome
		err     error
	}
	// A file system that hangs heeds no context: nobody waits for it.
	answered := make(chan answer, 1)
	go func() {
		outcome, err := c.Look(ctx)
		answered <- answer{outcome, err}
	}()
	select {
	case a := <-answered:
		if a.err == nil {
			return a.outcome.result(c.Name)
		}
		return unlooked(a.err, limit).result(c.Name)
	case <-ctx.Done():
		return unlooked(ctx.Err(), limit).result(c.Name)
	}
}

// unlooked is the outcome of a check that could not be made.
func unlooked(err error, limit time.Duration) (o Outcome) {
	var why NotLooked
	switch {
	case errors.As(err, &why):
		o.warn(why.Remedy, "not looked at: %s", why.Why)
	case errors.Is(err, context.DeadlineExceeded):
		o.warn("try again with a greater --timeout; if it stays so, look at what is asked", "not looked at: no answer within %s", limit)
	default:
		o.warn("look at the line of the engine that it is about, and try again", "not looked at: %s", Reason(err))
	}
	return o
}

func (o Outcome) result(name string) Result {
	r := Result{Name: name, Verdict: OK, Seen: o.Seen, Problems: []Problem{}}
	var seen, remedies []string
	for _, p := range o.Problems {
		if p.Verdict.rank() > r.Verdict.rank() {
			r.Verdict = p.Verdict
		}
		seen, remedies = append(seen, p.Seen), append(remedies, p.Remedy)
		r.Problems = append(r.Problems, p)
	}
	if len(seen) > 0 {
		r.Seen, r.Remedy = strings.Join(seen, "; "), strings.Join(remedies, "; ")
	}
	return r
}

// Worst is the worst verdict of all results.
func Worst(results []Result) Verdict {
	worst := OK
	for _, r := range results {
		if r.Verdict.rank() > worst.rank() {
			worst = r.Verdict
		}
	}
	return worst
}
