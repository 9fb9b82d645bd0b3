package schedule

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

const (
	// peerRequests is how many data calls Member Audit 1.9.4 makes for a character
	// in a day, as derived from its code; about 200 status calls come on top. It
	// sends no ETags, so each costs the full price.
	peerRequests = 220
	// Prices of an answer with content and of one that confirms.
	tokensOK, tokensNotModified = 2, 1
	// observedDays is how many whole days count as experience.
	observedDays = 7
)

// BudgetLine is what one rate group costs in a day.
type BudgetLine struct {
	// Group is empty for all routes under the shared error limit. These cost no
	// tokens; what they would cost is counted all the same, to compare.
	Group string
	// Requests and Tokens are foreseen for a day.
	Requests, Tokens float64
	// UsedRequests and UsedTokens are what was used today (UTC) so far.
	UsedRequests, UsedTokens int64
}

// Budget is what keeping the characters in step costs in a day.
type Budget struct {
	// Characters counts those with anything on the schedule.
	Characters int
	// Lines are in the order of their groups.
	Lines []BudgetLine
	// PeerTokens is what Member Audit 1.9.4 would use for as many characters: 440
	// each, status calls aside.
	PeerTokens float64
}

// Total sums all lines up.
func (b Budget) Total() BudgetLine {
	var total BudgetLine
	for _, line := range b.Lines {
		total.Requests += line.Requests
		total.Tokens += line.Tokens
		total.UsedRequests += line.UsedRequests
		total.UsedTokens += line.UsedTokens
	}
	return total
}

// PredictBudget foresees what a day costs. What is read by the clock is reckoned
// from the intervals (nil for the defaults), the pages that were kept and the part
// of answers that said 304 in the last seven whole days; where nothing is known,
// from one page and no 304. What is fetched as it turns up, such as bodies of mails,
// is taken to go on as it did in those days.
func PredictBudget(ctx context.Context, pool *pgxpool.Pool, intervals map[eve.Section]time.Duration, now time.Time) (Budget, error) {
	known, err := experienceOf(ctx, pool, now)
	if err != nil {
		return Budget{}, err
	}
	lines := map[string]*BudgetLine{}
	line := func(group string) *BudgetLine {
		if lines[group] == nil {
			lines[group] = &BudgetLine{Group: group}
		}
		return lines[group]
	}
	byClock := map[string]bool{}
	p := plan{intervals: intervals}
	for _, section := range esi.Sections(esi.Options{}) {
		for _, part := range section.Parts {
			if part.Walk != nil && known.asked(part.Route.Operation) {
				// How far it is walked follows from what is new.
				continue
			}
			byClock[part.Route.Operation] = true
			requests := float64(known.jobs[string(section.Name)]) * perDay(p, section.Name, part.Route) * known.pagesOf(section.Name, part)
			l := line(part.Route.Group)
			l.Requests += requests
			l.Tokens += requests * known.price(part.Route.Operation)
		}
	}
	for _, used := range known.used {
		l := line(used.group)
		if used.today {
			l.UsedRequests += used.requests
			l.UsedTokens += used.tokens
		} else if !byClock[used.route] {
			l.Requests += float64(used.requests) / float64(known.days)
			l.Tokens += float64(tokensOK*used.requests-(tokensOK-tokensNotModified)*used.notModified) / float64(known.days)
		}
	}
	budget := Budget{Characters: known.characters, PeerTokens: float64(known.characters) * peerRequests * tokensOK}
	for _, l := range lines {
		budget.Lines = append(budget.Lines, *l)
	}
	slices.SortFunc(budget.Lines, func(a, b BudgetLine) int { return cmp.Compare(a.Group, b.Group) })
	return budget, nil
}

// perDay is how often a part is asked for in a day: the interval and half of the
// span that phases are spread over, but not before the answer is old.
func perDay(p plan, section eve.Section, route catalogue.Route) float64 {
	interval := p.interval(section)
	return float64(24*time.Hour) / float64(max(interval+interval/20, route.TTL))
}

// experience is what is known of the days before.
type experience struct {
	characters int
	// jobs counts the characters of each section.
	jobs map[string]int
	// pages are the average pages of each part.
	pages map[string]float64
	used  []used
	// days is how many of the whole days before hold counts, at least 1.
	days int
	// saved is the part of a route's answers that said 304.
	saved map[string]float64
}

type used struct {
	group, route                  string
	today                         bool
	requests, notModified, tokens int64
}

// asked tells whether a route was asked in the whole days before.
func (e experience) asked(route string) bool {
	return slices.ContainsFunc(e.used, func(u used) bool { return !u.today && u.route == route && u.requests > 0 })
}

func (e experience) pagesOf(section eve.Section, part esi.Part) float64 {
	name := string(section)
	if part.Name != "" {
		name += "/" + part.Name
	}
	if part.Walk != nil {
		return 1
	}
	return max(1, e.pages[name])
}

// price is what an answer of a route costs on average.
func (e experience) price(route string) float64 {
	return tokensOK - (tokensOK-tokensNotModified)*e.saved[route]
}

func experienceOf(ctx context.Context, pool *pgxpool.Pool, now time.Time) (experience, error) {
	e := experience{jobs: map[string]int{}, pages: map[string]float64{}, saved: map[string]float64{}}
	today := now.UTC().Truncate(24 * time.Hour)
	batch := &pgx.Batch{}
	const live = `kind = '` + syncKind + `' AND state IN ('available', 'pending', 'running', 'scheduled', 'retryable')`
	batch.Queue(`SELECT count(DISTINCT args->>'character_id') FROM ingest.river_job WHERE ` + live).
		QueryRow(func(row pgx.Row) error { return row.Scan(&e.characters) })
	var name string
	var count int
	batch.Queue(`SELECT args->>'section', count(*) FROM ingest.river_job WHERE ` + live + ` GROUP BY 1`).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&name, &count}, func() error { e.jobs[name] = count; return nil })
		return err //nolint:wrapcheck // Wrapped below.
	})
	var pages float64
	batch.Queue(`SELECT section, count(*)::float8 / count(DISTINCT character_id) FROM ingest.page_etag GROUP BY 1`).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&name, &pages}, func() error { e.pages[name] = pages; return nil })
		return err //nolint:wrapcheck // Wrapped below.
	})
	batch.Queue(`SELECT greatest(1, count(DISTINCT day)) FROM ingest.usage WHERE day >= $1::date - $2::int AND day < $1::date`, today, observedDays).
		QueryRow(func(row pgx.Row) error { return row.Scan(&e.days) })
	var u used
	batch.Queue(`
		SELECT rate_group, route, day = $1::date, sum(requests)::bigint, sum(not_modified)::bigint, sum(tokens)::bigint FROM ingest.usage
		WHERE day >= $1::date - $2::int AND day <= $1::date GROUP BY 1, 2, 3`, today, observedDays,
	).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&u.group, &u.route, &u.today, &u.requests, &u.notModified, &u.tokens}, func() error {
			e.used = append(e.used, u)
			if !u.today && u.requests > 0 {
				e.saved[u.route] = float64(u.notModified) / float64(u.requests)
			}
			return nil
		})
		return err //nolint:wrapcheck // Wrapped below.
	})
	if err := pool.SendBatch(ctx, batch).Close(); err != nil {
		return experience{}, fmt.Errorf("reading what ESI was asked: %w", err)
	}
	return e, nil
}
