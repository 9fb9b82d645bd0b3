//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/internal/engine"
	pgviews "github.com/muster-sync/muster/projections/postgres"
)

// defaultRounds is how often the short run strikes.
const defaultRounds = 3

// Kills of every part in random order, while the worlds go on, must leave nothing
// lost and nothing twice: all that the worlds have served is in the log and in
// every read model, once. MUSTER_CHAOS_ROUNDS says how often to strike,
// MUSTER_CHAOS_SEED repeats an order; the worlds are always the same.
func TestChaosLosesAndRepeatsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("kills and restarts take a minute")
	}
	rounds := int(fromEnvironment(t, "MUSTER_CHAOS_ROUNDS", defaultRounds))
	seed := fromEnvironment(t, "MUSTER_CHAOS_SEED", uint64(time.Now().UnixNano())%1_000_000)
	t.Logf("%d rounds; MUSTER_CHAOS_SEED=%d repeats this order", rounds, seed)

	s := startStack(t, chaosWorld)
	c := &chaos{stack: s, dice: rand.New(rand.NewPCG(seed, 1)), watch: s.stores()}
	c.awaitFirstReading()
	for round := 1; round <= rounds; round++ {
		c.strike(round)
	}
	c.settle()
	c.compare()
	c.requireRules()
	s.stopAll()
}

func fromEnvironment(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	n, err := numberFromEnvironment(name, otherwise)
	require.NoError(t, err)
	return n
}

func numberFromEnvironment(name string, otherwise uint64) (uint64, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s must be a number: %w", name, err)
	}
	return n, nil
}

// chaos kills the parts of a stack and looks what comes of it.
type chaos struct {
	*stack
	dice  *rand.Rand
	watch *stores
	kills map[string]int
}

// victim is something that can be killed.
type victim struct {
	name string
	// kill sends SIGKILL; false if the victim is down already.
	kill func() bool
}

func (c *chaos) victims() []victim {
	process := func(s *service) victim {
		return victim{s.name, func() bool { return s.signal(syscall.SIGKILL) }}
	}
	return []victim{
		process(c.ingest),
		process(c.project),
		process(c.serve),
		process(c.kafka),
		process(c.postgres),
		process(c.clickhouse),
		{"postgres child", func() bool { return c.killChild(engine.Postgres) }},
		{"clickhouse child", func() bool { return c.killChild(engine.ClickHouse) }},
	}
}

// strike kills one to three parts at once, waits until data flows from end to end
// again, and sometimes strikes again while the rest is still recovering.
func (c *chaos) strike(round int) {
	c.t.Helper()
	all := c.victims()
	c.dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	chosen := all[:1+min(c.dice.IntN(4), 2)]
	c.blow(round, chosen)
	if c.dice.IntN(3) == 0 {
		again := all[len(chosen) : len(chosen)+1]
		c.eventually("what is struck again runs", func(context.Context) error {
			if !c.ingest.running() || !c.project.running() {
				return fmt.Errorf("ingest or projectors are down")
			}
			return nil
		})
		c.blow(round, again)
	}
	c.declareAgain(round)
	before := c.positions()
	c.awaitFlow(fmt.Sprintf("data flows after round %d", round), before)
}

func (c *chaos) blow(round int, chosen []victim) {
	var hit []string
	for _, v := range chosen {
		if !v.kill() {
			continue
		}
		hit = append(hit, v.name)
		if c.kills == nil {
			c.kills = map[string]int{}
		}
		c.kills[v.name]++
	}
	c.t.Logf("round %d: killed %s", round, strings.Join(hit, ", "))
}

// declareAgain changes what is declared and changes it back, so that commands
// are under way while parts are down.
func (c *chaos) declareAgain(round int) {
	c.t.Helper()
	var declared map[string]json.RawMessage
	content, err := os.ReadFile(c.file("declared.json"))
	require.NoError(c.t, err)
	require.NoError(c.t, json.Unmarshal(content, &declared))
	var memberships []json.RawMessage
	require.NoError(c.t, json.Unmarshal(declared["group_account_memberships"], &memberships))
	out := c.dice.IntN(len(memberships))
	memberships = append(memberships[:out:out], memberships[out+1:]...)
	declared["group_account_memberships"], err = json.Marshal(memberships)
	require.NoError(c.t, err)
	content, err = json.Marshal(declared)
	require.NoError(c.t, err)
	require.NoError(c.t, os.WriteFile(c.file("changed.json"), content, 0o600))
	c.run("declare", "--consortium", chaosConsortium, "-f", c.file("changed.json"), "--reason", fmt.Sprintf("round %d", round))
}

// worldName is the entry of [chaos.positions] that says how much of the
// simulated ESI has been read.
const worldName = "entries served"

// positions are the offsets that each projection has reached, added up, and how
// many journal entries were served; what cannot be asked now counts as nothing.
func (c *chaos) positions() map[string]int64 {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	reached := map[string]int64{}
	var served struct {
		Entries int64 `json:"journal_entries"`
	}
	if c.get(ctx, c.esiURL+"/_simulator/served/summary", &served) == nil {
		reached[worldName] = served.Entries
	}
	for _, b := range c.watch.projections() {
		g, err := c.watch.control.Live(ctx, b.Name)
		if err != nil {
			continue
		}
		checkpoints, err := c.watch.control.Checkpoints(ctx, g)
		if err != nil {
			continue
		}
		for _, cp := range checkpoints {
			reached[b.Name] += cp.Next
		}
	}
	return reached
}

// awaitFirstReading waits until every section was read once and stored. An answer
// that is lost is asked for again, but days of the world pass meanwhile, and ESI
// serves journals for 30 days only: of a first reading that is lost, the oldest
// entries may be gone for good. No client can avoid that; later readings only
// bring what is new.
func (c *chaos) awaitFirstReading() {
	c.t.Helper()
	c.eventually("every section is read once", func(ctx context.Context) error {
		var missing int
		err := c.watch.pool.QueryRow(ctx, `SELECT $1 - count(*) FROM ingest.section_state WHERE validated_at IS NOT NULL AND pending IS NULL`,
			chaosCharacters*len(eve.Shapes())).Scan(&missing)
		if err == nil && missing > 0 {
			err = fmt.Errorf("%d sections were not read yet", missing)
		}
		return err
	})
	c.awaitFlow("data flows before the first kill", c.positions())
}

// awaitFlow waits until every projection has come further: the worlds are read,
// the log takes it, both stores get it. Then the API is asked.
func (c *chaos) awaitFlow(what string, before map[string]int64) {
	c.t.Helper()
	c.eventually(what, func(ctx context.Context) error {
		now := c.positions()
		if now[worldName] <= before[worldName] {
			return fmt.Errorf("nothing new is read from ESI since %d entries", now[worldName])
		}
		for _, b := range c.watch.projections() {
			if now[b.Name] <= before[b.Name] {
				return fmt.Errorf("projection %s stands still at %d", b.Name, now[b.Name])
			}
		}
		return c.get(ctx, c.apiURL+"/readyz", nil)
	})
}

// settle stops the worlds and waits until everything that they show has arrived.
func (c *chaos) settle() {
	c.t.Helper()
	c.t.Logf("kills: %v", c.kills)
	c.run("declare", "--consortium", chaosConsortium, "-f", c.file("declared.json"), "--reason", "the end")
	for _, world := range []string{c.esiURL, c.anvilURL} {
		require.NoError(c.t, c.ask(c.t.Context(), http.MethodPost, world+"/_simulator/freeze", nil))
	}
	frozen := time.Now().Add(time.Second) // answers that were under way are older
	c.eventually("every section is read from the frozen world", func(ctx context.Context) error {
		return settled(ctx, c.watch.pool, frozen)
	})
	c.run("sweep", "--consortium", chaosConsortium, "--once")
}

// settled fails while a section was not read since a moment.
func settled(ctx context.Context, pool *pgxpool.Pool, frozen time.Time) error {
	rows, err := pool.Query(ctx, `
		SELECT section, count(*) FROM ingest.section_state
		WHERE validated_at <= $1 OR validated_at IS NULL OR failing_since IS NOT NULL OR pending IS NOT NULL GROUP BY 1 ORDER BY 1`, frozen)
	if err != nil {
		return err
	}
	defer rows.Close()
	var behind []string
	for rows.Next() {
		var section string
		var n int
		if err := rows.Scan(&section, &n); err != nil {
			return err
		}
		behind = append(behind, fmt.Sprintf("%s %d", section, n))
	}
	if len(behind) > 0 {
		return fmt.Errorf("not read since: %s", strings.Join(behind, ", "))
	}
	return rows.Err()
}

// drained fails while the outbox or a projection is behind.
func (c *chaos) drained(ctx context.Context) error {
	var waiting int
	if err := c.watch.pool.QueryRow(ctx, `SELECT count(*) FROM command.outbox WHERE appended_at IS NULL`).Scan(&waiting); err != nil {
		return err
	}
	if waiting > 0 {
		return fmt.Errorf("%d decisions are not in the log yet", waiting)
	}
	for _, b := range c.watch.projections() {
		g, err := c.watch.control.Live(ctx, b.Name)
		if err != nil {
			return err
		}
		lag, err := c.watch.folder.Lag(ctx, g, b.Topics)
		if err != nil {
			return err
		}
		// The worlds stand still, but sweeps go on: a few records are always new.
		if lag.Records > 0 && b.Name != pgviews.AnVILName {
			return fmt.Errorf("%s is %d records behind", b.Name, lag.Records)
		}
	}
	return nil
}

// allowedBreaches are the rules of ESI that a client which is killed between an
// answer and its own commit cannot keep: it does not know that it has asked. All
// others must hold through every kill.
var allowedBreaches = map[string]string{
	"early-request":         "the answer was lost before it was stored, so it is asked for again within its lifetime",
	"unconditional-request": "the tag of the answer was lost with it",
}

// requireRules looks at the simulators' books.
func (c *chaos) requireRules() {
	c.t.Helper()
	var books struct {
		ByRule     map[string]int64 `json:"by_rule"`
		Violations []struct {
			Rule, Request, Detail string
		} `json:"violations"`
	}
	require.NoError(c.t, c.get(c.t.Context(), c.esiURL+"/_simulator/violations", &books))
	c.t.Logf("rules of ESI that kills made us break: %v", books.ByRule)
	for _, v := range books.Violations {
		require.Contains(c.t, allowedBreaches, v.Rule, "%s: %s", v.Request, v.Detail)
	}
	books.ByRule, books.Violations = nil, nil
	require.NoError(c.t, c.get(c.t.Context(), c.anvilURL+"/_simulator/violations", &books))
	require.Empty(c.t, books.Violations, "rules of AnVIL that were broken")
}
