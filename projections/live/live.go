// Package live tells queries where the live generation of a projection lies,
// without asking the control tables for every query.
package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/muster-sync/muster/projections/runner"
)

// DefaultFor is how long an answer is believed. A generation that is no longer
// live is kept for much longer than that.
const DefaultFor = time.Second

// Source knows the live generations; [runner.Control] is one.
type Source interface {
	Live(ctx context.Context, projection string) (runner.Generation, error)
}

// Generations remembers the live generations for a short time. It is safe for
// concurrent use; queries that come at the same moment ask once.
type Generations struct {
	source  Source
	keep    time.Duration
	now     func() time.Time
	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	mu         sync.Mutex
	generation runner.Generation
	until      time.Time
}

// New remembers what source says for [DefaultFor].
func New(source Source) *Generations {
	return &Generations{source: source, keep: DefaultFor, now: time.Now, entries: map[string]*entry{}}
}

// Namespace is the Postgres schema or ClickHouse database of the live
// generation. It fails like [Generations.Generation].
func (g *Generations) Namespace(ctx context.Context, projection string) (string, error) {
	generation, err := g.Generation(ctx, projection)
	return generation.Namespace, err
}

// Generation is the live generation. It fails as [runner.Control.Live] does;
// failures are not remembered.
func (g *Generations) Generation(ctx context.Context, projection string) (runner.Generation, error) {
	g.mu.Lock()
	e := g.entries[projection]
	if e == nil {
		e = &entry{}
		g.entries[projection] = e
	}
	g.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if now := g.now(); now.Before(e.until) {
		return e.generation, nil
	}
	generation, err := g.source.Live(ctx, projection)
	if err != nil {
		return runner.Generation{}, fmt.Errorf("finding the tables of %s: %w", projection, err)
	}
	e.generation, e.until = generation, g.now().Add(g.keep)
	return generation, nil
}
