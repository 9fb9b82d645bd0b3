package schedule

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
)

// Rings are Member Audit's, of 1.9.4: sections that are read equally often.
const (
	// RingNone has what Member Audit 1.9.4 does not read.
	RingNone = iota
	// Ring1 is read every 55 minutes, unless it is set otherwise.
	Ring1
	// Ring2 is read every 235 minutes.
	Ring2
	// Ring3 is read every 475 minutes.
	Ring3
)

// RingOf is the ring of a section by how often it is read by default. Muster reads
// loyalty points and the history of corporations in the third ring, which Member Audit
// has in its second.
func RingOf(section eve.Section) int {
	switch section {
	case eve.SectionDetails, eve.SectionCorporationHistory, eve.SectionAssets, eve.SectionAttributes, eve.SectionContacts, eve.SectionContracts,
		eve.SectionImplants, eve.SectionClones, eve.SectionLocation, eve.SectionLoyalty, eve.SectionMails, eve.SectionOnline, eve.SectionShip,
		eve.SectionSkills, eve.SectionSkillQueue, eve.SectionWallet, eve.SectionWalletJournal, eve.SectionWalletTransactions:
		switch defaultInterval(section) {
		case 55 * time.Minute:
			return Ring1
		case 475 * time.Minute:
			return Ring3
		default:
			return Ring2
		}
	default:
		return RingNone
	}
}

// RunOf is one reading of a section that succeeded.
type RunOf struct {
	Section     eve.Section
	CharacterID int64
	Took        time.Duration
}

// Took tells how long readings took.
type Took struct {
	Min, Avg, Max time.Duration
	// Characters is how many readings these are: one of each.
	Characters int64
}

// Round is the latest time around of a ring: the last successful reading of each of its
// sections of each character, as far as it is no older than the schedule lets it get.
type Round struct {
	Ring int
	// StartedAt is when the earliest of the readings began, FinishedAt when the latest
	// was done.
	StartedAt, FinishedAt time.Time
	// Characters counts those of whom every section of the ring is among the readings.
	Characters int64
	// Longest, First and Last are the readings that took the longest, began first and
	// were done last.
	Longest, First, Last RunOf
	Sections             map[eve.Section]Took
}

// roundSlack is how much older than the schedule foresees a reading may be and still be
// of the latest round: what Member Audit allows, its MEMBERAUDIT_UPDATE_STALE_OFFSET.
const roundSlack = 5 * time.Minute

// Rounds tells of the latest round of each ring that has one, in order. intervals are how
// often sections are read, see [Intervals]. It needs no scheduler that runs.
func Rounds(ctx context.Context, pool *pgxpool.Pool, intervals map[eve.Section]time.Duration) ([]Round, error) {
	var sections []string
	var rings []int
	var windows []float64
	for section, interval := range intervals {
		// The schedule spreads characters over a tenth of the interval that follows it.
		sections, rings = append(sections, string(section)), append(rings, RingOf(section))
		windows = append(windows, (interval + interval/10 + roundSlack).Seconds())
	}
	const round = `
		WITH ring (section, number, age) AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::integer[], $3::float8[])),
		run AS MATERIALIZED (
		    SELECT r.number, r.age, s.section, s.character_id, s.run_started_at AS began, s.run_finished_at AS done,
		           extract(epoch FROM s.run_finished_at - s.run_started_at)::float8 AS took
		    FROM ingest.section_state s JOIN ring r ON r.section = s.section
		    WHERE s.run_finished_at IS NOT NULL AND s.failure_class IS NULL),
		newest AS MATERIALIZED (SELECT number, max(done) AS done FROM run GROUP BY number),
		round AS MATERIALIZED (SELECT run.* FROM run JOIN newest n ON n.number = run.number WHERE run.done >= n.done - make_interval(secs => run.age))`
	found := map[int]*Round{}
	of := func(ring int) *Round {
		if found[ring] == nil {
			found[ring] = &Round{Ring: ring, Sections: map[eve.Section]Took{}}
		}
		return found[ring]
	}
	batch := &pgx.Batch{}
	batch.Queue(round+` SELECT number, section, min(took), avg(took), max(took), count(*) FROM round GROUP BY 1, 2`, sections, rings, windows).Query(func(rows pgx.Rows) error {
		var ring int
		var section eve.Section
		var least, mean, most float64
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&ring, &section, &least, &mean, &most, &n}, func() error {
			of(ring).Sections[section] = Took{Min: seconds(least), Avg: seconds(mean), Max: seconds(most), Characters: n}
			return nil
		})
		return err
	})
	batch.Queue(round+`, whole AS (
		    SELECT number, count(*) AS n FROM (SELECT number, character_id, count(*) AS n FROM round GROUP BY 1, 2) c
		    WHERE n = (SELECT count(*) FROM ring WHERE ring.number = c.number) GROUP BY 1)
		SELECT number, min(began), max(done), coalesce((SELECT n FROM whole WHERE whole.number = round.number), 0) FROM round GROUP BY 1`, sections, rings, windows,
	).Query(func(rows pgx.Rows) error {
		var ring int
		var began, done time.Time
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&ring, &began, &done, &n}, func() error {
			r := of(ring)
			r.StartedAt, r.FinishedAt, r.Characters = began.UTC(), done.UTC(), n
			return nil
		})
		return err
	})
	for order, run := range map[string]func(*Round) *RunOf{
		"took DESC":  func(r *Round) *RunOf { return &r.Longest },
		"began":      func(r *Round) *RunOf { return &r.First },
		"done DESC ": func(r *Round) *RunOf { return &r.Last },
	} {
		batch.Queue(round+` SELECT DISTINCT ON (number) number, section, character_id, took FROM round ORDER BY number, `+order+`, character_id, section`, sections, rings, windows).Query(func(rows pgx.Rows) error {
			var ring int
			var one RunOf
			var took float64
			_, err := pgx.ForEachRow(rows, []any{&ring, &one.Section, &one.CharacterID, &took}, func() error {
				one.Took = seconds(took)
				*run(of(ring)) = one
				return nil
			})
			return err
		})
	}
	if err := pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("reading how long sections take: %w", err)
	}
	var rounds []Round
	for _, ring := range []int{RingNone, Ring1, Ring2, Ring3} {
		if r := found[ring]; r != nil {
			rounds = append(rounds, *r)
		}
	}
	return rounds, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
