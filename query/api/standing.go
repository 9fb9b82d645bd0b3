package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// LogEnds tells where the log ends; [eventlog.Reader] does.
type LogEnds interface {
	Ends(ctx context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error)
}

// Standing implements [Operations] on the control tables, the log and the read
// models. It is safe for concurrent use.
type Standing struct {
	*runner.Control

	log        LogEnds
	characters *postgres.CharacterReader
	wallets    *clickhouse.WalletReader
	consortia  *postgres.AnVILReader
	now        func() time.Time
	sync       SyncReport
}

// NewStanding asks all of these.
func NewStanding(control *runner.Control, log LogEnds, characters *postgres.CharacterReader, wallets *clickhouse.WalletReader, consortia *postgres.AnVILReader) *Standing {
	return &Standing{Control: control, log: log, characters: characters, wallets: wallets, consortia: consortia, now: time.Now}
}

// Projections implements [Operations].
func (s *Standing) Projections(ctx context.Context) ([]Projection, error) {
	generations, err := s.Generations(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("reading the generations: %w", err)
	}
	parked, err := s.ParkedEvents(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("reading what is parked: %w", err)
	}
	byName := map[string]*Projection{}
	for _, g := range generations {
		p := byName[g.Projection]
		if p == nil {
			p = &Projection{Name: g.Projection, Generations: []Generation{}}
			byName[g.Projection] = p
		}
		one := Generation{
			Number: g.Number, Version: g.Version, Status: string(g.Status), Reason: g.Reason, CreatedAt: g.CreatedAt.UTC(), PromotedAt: utcTime(g.PromotedAt),
		}
		if g.Status == runner.StatusBuilding {
			if one.Progress, err = s.progress(ctx, g); err != nil {
				return nil, err
			}
		}
		p.Generations = append(p.Generations, one)
		if g.Status != runner.StatusLive {
			continue
		}
		p.Live = g.Number
		if p.LagRecords, p.LagSeconds, err = s.lag(ctx, g); err != nil {
			return nil, err
		}
	}
	for _, k := range parked {
		if p := byName[k.Projection]; p != nil {
			p.Parked++
		}
	}
	list := make([]Projection, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, *byName[name])
	}
	return list, nil
}

// reached is how far a generation is, and where the log ends for it.
func (s *Standing) reached(ctx context.Context, g runner.Generation) ([]runner.Checkpoint, map[eventlog.Partition]eventlog.Span, error) {
	checkpoints, err := s.Checkpoints(ctx, g)
	if err != nil {
		return nil, nil, fmt.Errorf("reading how far %s is: %w", g.Projection, err)
	}
	topics := map[string]bool{}
	for _, c := range checkpoints {
		topics[c.Topic] = true
	}
	if len(topics) == 0 {
		return nil, nil, nil
	}
	ends, err := s.log.Ends(ctx, slices.Sorted(maps.Keys(topics))...)
	if err != nil {
		return nil, nil, fmt.Errorf("reading where the log ends: %w", err)
	}
	return checkpoints, ends, nil
}

// progress is how much of the log a build has read.
func (s *Standing) progress(ctx context.Context, g runner.Generation) (*Progress, error) {
	checkpoints, ends, err := s.reached(ctx, g)
	if err != nil {
		return nil, err
	}
	p := &Progress{}
	for _, c := range checkpoints {
		span := ends[c.Partition]
		p.Records += max(span.End-span.Start, 0)
		p.Read += min(max(c.Next-span.Start, 0), max(span.End-span.Start, 0))
	}
	if p.Records > 0 {
		p.Percent = int(p.Read * 100 / p.Records)
	}
	return p, nil
}

// lag is how far a generation is behind the end of the log.
func (s *Standing) lag(ctx context.Context, g runner.Generation) (records int64, seconds float64, err error) {
	checkpoints, ends, err := s.reached(ctx, g)
	if err != nil {
		return 0, 0, err
	}
	for _, c := range checkpoints {
		behind := ends[c.Partition].End - max(c.Next, ends[c.Partition].Start)
		if behind <= 0 {
			continue
		}
		records += behind
		since := c.RecordTime
		if since.IsZero() {
			since = g.CreatedAt
		}
		seconds = max(seconds, s.now().Sub(since).Seconds())
	}
	return records, seconds, nil
}

// Sections implements [Operations].
func (s *Standing) Sections(ctx context.Context) ([]postgres.SectionCount, error) {
	return s.characters.SectionCounts(ctx)
}

// Stats implements [Operations].
func (s *Standing) Stats(ctx context.Context) (Stats, error) {
	characters, err := s.characters.Counts(ctx)
	if err != nil {
		return Stats{}, err
	}
	wallets, err := s.wallets.Counts(ctx)
	if err != nil {
		return Stats{}, err
	}
	findings, err := s.consortia.OpenFindings(ctx)
	if err != nil {
		return Stats{}, err
	}
	stats := Stats{
		Users: characters.Users, Characters: named(characters.Characters), Sections: named(characters.Observed), Failing: named(characters.Failing),
		JournalEntries: wallets.JournalEntries, Balances: wallets.Balances, OpenFindings: findings,
	}
	players, err := s.characters.Players(ctx)
	if err != nil {
		return Stats{}, err
	}
	stats.PlayersOnline = showPlayers(players, s.now())
	if err := s.peer(ctx, &stats); err != nil {
		return Stats{}, err
	}
	if err := s.beyond(ctx, &stats); err != nil {
		return Stats{}, err
	}
	return stats, nil
}

func named[K ~string](counts map[K]int64) map[string]int64 {
	out := make(map[string]int64, len(counts))
	for k, n := range counts {
		out[string(k)] = n
	}
	return out
}
