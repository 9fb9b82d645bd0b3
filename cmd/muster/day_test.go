//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/internal/eventlog"
)

// day is a run of the sync against a simulated world whose clock is fast, judged
// by the simulator's own books.
type day struct {
	*stack
	daySize

	stores *stores
	// began is when the sync began, on the world's clock.
	began time.Time
}

// daySize is how big a run is.
type daySize struct {
	characters int
	hours      float64
	speed      float64
	// assets is how many each character has; 0 draws it for each.
	assets int
	faults []string
}

// TestDayOfSync keeps characters in step through hours of a fast world in which
// everything goes wrong now and then, and requires that no rule of ESI was broken
// and that everything held is what was served last. MUSTER_DAY_CHARACTERS,
// MUSTER_DAY_HOURS, MUSTER_DAY_SPEED, MUSTER_DAY_ASSETS and MUSTER_DAY_FAULTS set
// its size; it reports what it cost.
func TestDayOfSync(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	d := startDay(t, sizeOfDay(t))
	d.wait()
	d.settle()
	d.requireNoBreach()
	d.report()
	// What is being read while the log is would be served and not yet held.
	require.NoError(t, d.ingest.stop())
	d.requireTruth()
	d.stopDay()
}

// sizeOfDay is what the environment says.
func sizeOfDay(t *testing.T) daySize {
	t.Helper()
	return daySize{
		characters: int(floatFromEnvironment(t, "MUSTER_DAY_CHARACTERS", 8)),
		hours:      floatFromEnvironment(t, "MUSTER_DAY_HOURS", 12),
		speed:      floatFromEnvironment(t, "MUSTER_DAY_SPEED", 3600),
		assets:     int(floatFromEnvironment(t, "MUSTER_DAY_ASSETS", 0)),
		faults:     strings.Fields(os.Getenv("MUSTER_DAY_FAULTS")),
	}
}

func floatFromEnvironment(t *testing.T, name string, otherwise float64) float64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err, name)
	return v
}

func startDay(t testing.TB, size daySize) *day {
	t.Helper()
	requireEngines(t)
	d := &day{
		stack:   &stack{t: t, binary: testBinary(t), data: filepath.Join(passableTempDir(t), "data"), files: t.TempDir()},
		daySize: size,
	}
	t.Cleanup(d.requireNothingLeft)
	ports, err := freeport.Find(t.Context(), 5)
	require.NoError(t, err)
	port := func(i int) string { return strconv.Itoa(ports[i]) }
	// A partition's characters are judged at once.
	d.partitions = defaultPartitions + d.characters/500
	d.esiURL, d.apiURL = "http://127.0.0.1:"+port(3), "http://127.0.0.1:"+port(4)
	d.env = cleanEnvironment(
		"MUSTER_DATA_DIR="+d.data, "MUSTER_LISTEN=127.0.0.1:"+port(4), "MUSTER_KAFKA_PARTITIONS="+strconv.Itoa(d.partitions),
		"MUSTER_ESI_URL="+d.esiURL, "MUSTER_SSO_URL="+d.esiURL, "MUSTER_SSO_CLIENT_ID=muster-simulated", "MUSTER_SSO_CLIENT_SECRET=simulated-secret",
		"MUSTER_CONTACT=day@example.org", "MUSTER_ESI_DOWNTIME=false", "MUSTER_ANVIL_CREDENTIALS=none", "MUSTER_SAM_URL="+d.esiURL, "MUSTER_RAWLS_URL="+d.esiURL,
		"MUSTER_INTERVALS="+d.intervals(),
		// What hangs holds its worker up for as long as on a slow clock.
		"MUSTER_INGEST_WORKERS=64",
	)
	start := func(name string, args ...string) *service {
		return startService(t, d.binary, d.files, name, d.env, args...)
	}
	simulate := []string{
		"simulate", "esi", "--address", "127.0.0.1:" + port(3), "--characters", strconv.Itoa(d.characters), "--speed", fmt.Sprint(d.speed),
		"--epoch", time.Now().Add(-60 * 24 * time.Hour).UTC().Format(time.RFC3339), "--token-lifetime", "20m", "--organisation", d.file("org.json"),
		"--assets", strconv.Itoa(d.assets),
	}
	for _, f := range d.faults {
		simulate = append(simulate, "--fault", f)
	}
	d.esi = start("esi", simulate...)
	d.kafka = start("kafka", "engine", "kafka", "--port", port(0))
	d.postgres = start("postgres", "engine", "postgres", "--port", port(1))
	d.clickhouse = start("clickhouse", "engine", "clickhouse", "--port", port(2))
	d.eventually("the engines answer", func(context.Context) error {
		_, err := engine.Running(d.data, engine.Addresses{}, nil)
		return err
	})
	d.project, d.serve = start("project", "project"), start("serve", "serve")
	d.eventually("the API is ready", func(ctx context.Context) error { return d.get(ctx, d.apiURL+"/readyz", nil) })
	d.run("import", "-f", d.file("org.json"))
	d.began = d.books().World
	d.stores = d.stack.stores()
	// The world's clock is fast, the disk is not; and nothing is killed here.
	_, err = d.stores.pool.Exec(t.Context(), "ALTER DATABASE muster SET synchronous_commit = off")
	require.NoError(t, err)
	d.ingest = start("ingest", "ingest")
	return d
}

// dayBooks are the simulator's own.
type dayBooks struct {
	World    time.Time        `json:"world_time"`
	Tokens   map[string]int64 `json:"tokens"`
	Requests []struct {
		Route  string `json:"route"`
		Status int    `json:"status"`
		Count  int64  `json:"count"`
	} `json:"requests"`
}

func (d *day) books() dayBooks {
	d.t.Helper()
	var books dayBooks
	require.NoError(d.t, d.get(d.t.Context(), d.esiURL+"/_simulator/ledger", &books))
	return books
}

// spentSoFar are the requests and tokens so far.
func (b dayBooks) spentSoFar() (requests, tokens int64) {
	for _, n := range b.Tokens {
		tokens += n
	}
	for _, r := range b.Requests {
		requests += r.Count
	}
	return requests, tokens
}

// intervals are the defaults, in the world's time.
func (d *day) intervals() string {
	defaults := schedule.DefaultIntervals()
	var out []string
	for _, section := range esi.Sections(esi.Options{}) {
		interval := max(time.Second, time.Duration(float64(defaults[section.Name])/d.speed))
		out = append(out, string(section.Name)+"="+interval.String())
	}
	return strings.Join(out, ";")
}

// dayReports is how often a run tells how it stands.
const dayReports = 8

// wait lets the hours go by. What it tells between shows what keeping in step costs
// once the first reading is over; it returns that of the last half, in tokens for a
// character and day.
func (d *day) wait() (steady float64) {
	d.t.Helper()
	until := time.Now().Add(time.Duration(d.hours / d.speed * float64(time.Hour)))
	var requests, tokens int64
	for step, n := time.Until(until)/dayReports, 1; time.Until(until) > step/2; n++ {
		time.Sleep(step) //nolint:forbidigo // The world's clock runs by the wall clock.
		books := d.books()
		before, spent := requests, tokens
		requests, tokens = books.spentSoFar()
		days := float64(d.characters) * step.Hours() * d.speed / 24
		d.t.Logf("%5.1f hours: %.0f requests and %.0f tokens a character-day, ingest at most %.0f MiB",
			books.World.Sub(d.began).Hours(), float64(requests-before)/days, float64(tokens-spent)/days, d.ingest.peakMemory(d.t))
		if n > dayReports/2 {
			steady += float64(tokens-spent) / days / (dayReports / 2)
		}
	}
	return steady
}

// settle stops the world and what goes wrong in it, and waits until nothing is
// failing, half read or still to be fetched apart. A section that is none of that
// was read in full when it was last validated.
func (d *day) settle() {
	d.t.Helper()
	for _, ask := range [][2]string{{http.MethodDelete, "faults"}, {http.MethodPost, "freeze"}} {
		require.NoError(d.t, d.ask(d.t.Context(), ask[0], d.esiURL+"/_simulator/"+ask[1], nil))
	}
	// The items of a thousand contracts take nine minutes, whatever the clock: ESI
	// gives those of 20 in ten seconds.
	limit := 15*time.Minute + time.Duration(30*float64(time.Hour)/d.speed)
	require.NoError(d.t, waitPolling(d.t.Context(), time.Second, limit, func(ctx context.Context) error {
		if err := d.calm(ctx); err != nil {
			return err
		}
		return followed(ctx, d.stores.pool)
	}), "everything is read to its end")
}

// calm fails while a section was never read, is failing, is half read or is being
// appended. What fails is asked for again at once, as a person would; ESI's own
// times hold all the same.
func (d *day) calm(ctx context.Context) error {
	const restless = `validated_at IS NULL OR failing_since IS NOT NULL OR pending IS NOT NULL OR 0 = ANY (parts_complete)`
	var open, there int
	err := d.stores.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE `+restless+`), count(*) FROM ingest.section_state`).Scan(&open, &there)
	if err != nil {
		return err
	}
	if missing := d.characters*len(eve.Shapes()) - there; missing > 0 {
		return fmt.Errorf("%d sections were never asked for", missing)
	}
	if open == 0 {
		return nil
	}
	_, err = d.stores.pool.Exec(ctx, `
		UPDATE ingest.river_job j SET scheduled_at = now() FROM ingest.section_state s
		WHERE j.kind = 'eve_sync' AND j.state = 'scheduled' AND j.scheduled_at > now() AND (`+restless+`)
		  AND (j.args->>'character_id')::bigint = s.character_id AND j.args->>'section' = s.section`)
	return errors.Join(fmt.Errorf("%d sections were not read to their end", open), err)
}

// followed fails while something is to be fetched apart. What the world does not
// have any more is not waited for.
func followed(ctx context.Context, pool *pgxpool.Pool) error {
	var open int
	err := pool.QueryRow(ctx, `SELECT count(*) FROM ingest.follow_up WHERE class <> 'not_found' AND (failures > 0 OR due_at <= now())`).Scan(&open)
	if err == nil && open > 0 {
		err = fmt.Errorf("%d to be fetched apart", open)
	}
	return err
}

func (d *day) requireNoBreach() {
	d.t.Helper()
	var books struct {
		ByRule     map[string]int64 `json:"by_rule"`
		Violations []struct{ Rule, Request, Detail string }
	}
	require.NoError(d.t, d.get(d.t.Context(), d.esiURL+"/_simulator/violations", &books))
	for i, v := range books.Violations {
		if i < 20 {
			d.t.Logf("%s: %s: %s", v.Rule, v.Request, v.Detail)
		}
	}
	if len(books.ByRule) > 0 {
		d.t.Errorf("rules of ESI were broken: %v", books.ByRule)
	}
}

// enoughForAll is how many characters it takes for each section to be somebody's.
const enoughForAll = 50

// requireTruth folds the log, a partition at a time, and holds it against what was
// served.
func (d *day) requireTruth() {
	d.t.Helper()
	ctx := d.t.Context()
	ends, err := d.stores.reader.Ends(ctx, event.TopicEVE)
	require.NoError(d.t, err)
	followUps, err := followUpsOf(ctx, d.stores.pool)
	require.NoError(d.t, err)
	var differ []error
	never := unserved() // of all sections at first
	judged, records, elements := 0, 0, 0
	for at, span := range ends {
		model := eve.NewModel()
		require.NoError(d.t, d.stores.reader.ReadRange(ctx, at, span.Start, span.End, func(r eventlog.Record) error {
			return d.apply(model, r)
		}))
		for _, id := range model.IDs() {
			var answer servedCharacter
			require.NoError(d.t, d.get(ctx, d.esiURL+"/_simulator/served?character="+strconv.FormatInt(id, 10), &answer))
			c := model.Character(id)
			held := heldCharacter{Sections: map[eve.Section]json.RawMessage{}, Records: c.Records, Journal: c.Journal, FollowUps: followUps[id]}
			if held.FollowUps == nil {
				held.FollowUps = map[string]bool{}
			}
			for section, state := range c.Sections {
				held.Sections[section] = state.Value
				elements += strings.Count(string(state.Value), "},{")
			}
			for _, r := range c.Records {
				records += len(r)
			}
			differ = append(differ, judge(answer, held)...)
			never = slices.DeleteFunc(never, func(section string) bool { return !slices.Contains(unserved(answer), section) })
			judged++
		}
	}
	d.t.Logf("judged: %d characters, %d records, about %d elements", judged, records, elements)
	require.Equal(d.t, d.characters, judged)
	if d.characters >= enoughForAll {
		require.Empty(d.t, never, "sections of which nobody was served anything")
	}
	require.NoError(d.t, firstOf(differ))
}

func (d *day) apply(model *eve.Model, r eventlog.Record) error {
	e, err := r.Recorded()
	if err != nil || e.IsTombstone() || !d.stores.registry.Knows(e.Type) {
		return err
	}
	p, err := d.stores.registry.Decode(e.Event)
	if err != nil {
		return err
	}
	return model.Apply(e.Event, p)
}

// report says what it cost.
func (d *day) report() {
	d.t.Helper()
	books := d.books()
	requests, tokens := books.spentSoFar()
	hours := books.World.Sub(d.began).Hours()
	days := float64(d.characters) * hours / 24
	d.t.Logf("%d characters, %.1f hours at %.0f times the clock: %d requests (%.0f a character-day), %d tokens (%.0f a character-day)",
		d.characters, hours, d.speed, requests, float64(requests)/days, tokens, float64(tokens)/days)
	d.t.Logf("tokens by group: %v", books.Tokens)
	for _, p := range []*service{d.ingest, d.project, d.postgres, d.clickhouse, d.kafka, d.esi} {
		spent := p.spent(d.t)
		d.t.Logf("%-10s %7.1f s of CPU, %4.0f us a request, %5.2f s a character-day, %4.0f MiB at most",
			p.name, spent.Seconds(), float64(spent.Microseconds())/float64(requests), spent.Seconds()/days, p.peakMemory(d.t))
	}
}

func (d *day) stopDay() {
	for _, p := range []*service{d.serve, d.ingest, d.project, d.clickhouse, d.postgres, d.kafka, d.esi} {
		require.NoError(d.t, p.stop(), "stopping %s", p.name)
	}
}

// spent is the processor time that the process and all its descendants have used,
// those that have ended included.
func (s *service) spent(t testing.TB) time.Duration {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotNil(t, s.cmd, "%s does not run", s.name)
	all, err := procfs.AllProcs()
	require.NoError(t, err)
	stats := map[int]procfs.ProcStat{}
	for _, p := range all {
		// A process that has ended meanwhile is counted by its parent.
		if stat, err := p.Stat(); err == nil {
			stats[p.PID] = stat
		}
	}
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	ticks := uint(0)
	for pid, stat := range stats {
		for at := pid; at > 1; at = stats[at].PPID {
			if at == s.cmd.Process.Pid {
				ticks += stat.UTime + stat.STime + uint(stat.CUTime) + uint(stat.CSTime)
				break
			}
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}
