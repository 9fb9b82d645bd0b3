//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/simulate/year"
	"github.com/muster-sync/muster/projections/runner"
)

const (
	// The year that is an ordinary test, and what `make year` makes of it.
	defaultYearCharacters = 10
	defaultYearRows       = 20_000
	yearSeed              = 11
)

// yearRig is Muster with a year in it, and the record of that year.
type yearRig struct {
	*benchRig

	t       *testing.T
	size    year.Config
	roles   *roles
	heard   *listener
	engines bareEngines
	project *service
	url     string
	token   string
	client  *http.Client

	record  *yearRecord
	figures yearFigures
	// floors are how many events a second the bare engines take, by read model.
	floors map[string]float64
}

// yearRecord is what really happened, as far as it is kept. Of journals nothing is: they
// are added up for each question while the year is made.
type yearRecord struct {
	stays    yearStays
	wallets  *yearWallets
	market   yearMarket
	users    yearUsers
	doctrine yearDoctrine

	rows, entries int
	mined         []year.Mined
	points        []year.Points
	contracts     []year.Contract
	killmails     []year.Killmail
	mails         []year.Mail
	notifications []year.Notification
	sessions      []year.Session
	looks         []year.Look
	steps         []yearStep
	words         yearWords
	viewed        []year.Viewed
}

func newYearRecord() *yearRecord {
	stays := yearStays{}
	return &yearRecord{
		stays: stays, wallets: &yearWallets{stays: stays}, market: yearMarket{holds: map[[2]int64]*yearHold{}},
		users:    yearUsers{standings: map[string][]year.Standing{}, mains: map[string][]year.Main{}, stays: stays},
		doctrine: yearDoctrine{levels: map[int64][]year.Levels{}, stays: stays},
	}
}

// tell takes a fact.
func (r *yearRecord) tell(fact any) {
	r.rows++
	switch f := fact.(type) {
	case *year.Entry:
		r.entries++
		for _, flow := range r.wallets.flows {
			flow.entry(f)
		}
	case *year.Balance:
		for _, flow := range r.wallets.flows {
			flow.balance(f)
		}
	case *year.Stay:
		r.stays[f.Character] = append(r.stays[f.Character], yearStay{f.Since.UnixMilli(), f.Corporation})
	case *year.Trade:
		r.market.trade(f)
	case *year.Mined:
		r.mined = append(r.mined, *f)
	case *year.Points:
		r.points = append(r.points, *f)
	case *year.Contract:
		r.contracts = append(r.contracts, *f)
	case *year.Killmail:
		r.killmails = append(r.killmails, *f)
	case *year.Mail:
		r.mails = append(r.mails, *f)
	case *year.Notification:
		r.notifications = append(r.notifications, *f)
	case *year.Session:
		r.sessions = append(r.sessions, *f)
		r.rows-- // Nobody is told of it but by looks.
	case *year.Look:
		r.looks = append(r.looks, *f)
	case *year.Step:
		r.steps = append(r.steps, yearStep{f.At.UnixMilli(), int32(f.Character), r.words.number(f.Section), r.words.number(f.Kind), r.words.number(f.Class)})
	default:
		r.tellOrganisation(fact)
	}
}

func (r *yearRecord) tellOrganisation(fact any) {
	switch f := fact.(type) {
	case *year.Levels:
		r.doctrine.levels[f.Character] = append(r.doctrine.levels[f.Character], *f)
	case *year.Standing:
		r.users.standings[f.User] = append(r.users.standings[f.User], *f)
	case *year.Main:
		r.users.mains[f.User] = append(r.users.mains[f.User], *f)
	case *year.Viewed:
		r.viewed = append(r.viewed, *f)
	case *year.SkillSet:
		r.doctrine.sets = append(r.doctrine.sets, *f)
	case *year.Group:
		r.doctrine.groups = append(r.doctrine.groups, *f)
	default:
		panic(fmt.Sprintf("BUG: a fact of type %T", fact))
	}
}

// newYearRig starts the engines, and the API of this process over them.
func newYearRig(t *testing.T, size year.Config) *yearRig {
	t.Helper()
	r := &yearRig{benchRig: newEmptyRig(t), t: t, size: size, heard: &listener{}, client: &http.Client{}, record: newYearRecord(), floors: map[string]float64{}}
	t.Cleanup(r.client.CloseIdleConnections)
	r.env.settings.Listen = "127.0.0.1:8080"
	direct := r.stores.pool
	r.engines = bareEngines{direct, r.stores.clickhouse}
	config := direct.Config()
	config.ConnConfig.Tracer = r.heard
	heard, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(heard.Close)
	r.stores.pool, r.stores.clickhouse = heard, heardConn{r.stores.clickhouse, r.heard}
	r.stores.control, err = runner.NewControl(t.Context(), heard)
	require.NoError(t, err)
	const forever = "none"
	r.roles, err = r.env.newRoles(t.Context(), r.stores, worlds{Retention: retentionSettings{Days: forever, StateDays: forever, StateAllDays: forever, AccessDays: forever}})
	require.NoError(t, err)
	looks, err := r.roles.newViewlog()
	require.NoError(t, err)
	server, err := r.roles.newAPI(looks, newRebuilds(r.roles), r.roles.metrics)
	require.NoError(t, err)
	listening := httptest.NewServer(server.Handler())
	t.Cleanup(listening.Close)
	r.url = listening.URL
	r.token, err = r.env.settings.adminToken()
	require.NoError(t, err)
	var batch pgx.Batch
	for of, price := range yearPrices() {
		batch.Queue(`INSERT INTO universe.price (type_id, average, adjusted) VALUES ($1, $2::numeric / 100, 1) ON CONFLICT DO NOTHING`, of, price)
	}
	require.NoError(t, direct.SendBatch(t.Context(), &batch).Close())
	return r
}

// make makes the year, which goes into the log and into the record.
func (r *yearRig) make() {
	r.t.Helper()
	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: r.stores.addresses.KafkaBrokers, Workers: 1024})
	require.NoError(r.t, err)
	started := time.Now()
	require.NoError(r.t, year.Generate(r.t.Context(), r.size, func(ctx context.Context, events ...event.Event) error {
		r.events += len(events)
		return appender.Append(ctx, events...)
	}, r.record.tell))
	require.NoError(r.t, appender.Close())
	r.findEnds(event.TopicEVE, event.TopicAccess)
	r.figures.Rows, r.figures.Entries, r.figures.Events = r.record.rows, r.record.entries, r.events
	r.figures.Appended = time.Since(started)
	r.t.Logf("%d facts, %d journal entries among them, in %d events, appended within %s", r.record.rows, r.record.entries, r.events, r.figures.Appended.Round(time.Second))
}

// yearProjections are the read models that a year is folded into.
func yearProjections() []string {
	return []string{"characters", "wallet", "event_index", "facts", "records", "organisation"}
}

// fold has the projectors catch up, as a process of their own.
func (r *yearRig) fold() {
	r.t.Helper()
	started := time.Now()
	r.project = startService(r.t, r.binary, r.files, "project", r.environment(), "project")
	r.caughtUp()
	r.figures.Folded = time.Since(started)
	r.figures.Memory = r.project.peakMemory(r.t)
	r.t.Logf("folded into %d read models within %s, %.0f events a second, %.0f MiB at most", len(yearProjections()), r.figures.Folded.Round(time.Second), float64(r.events)/r.figures.Folded.Seconds(), r.figures.Memory)
}

// caughtUp waits until the projectors have folded the log as it is now.
func (r *yearRig) caughtUp() {
	r.t.Helper()
	r.findEnds(event.TopicEVE, event.TopicAccess)
	const limit = time.Hour
	require.NoError(r.t, waitUntil(r.t.Context(), limit, func(ctx context.Context) error {
		for _, name := range yearProjections() {
			if err := r.atEnd(ctx, name); err != nil {
				return err
			}
		}
		return nil
	}))
}

// atEnd fails while a read model is behind the end of its topics.
func (r *yearRig) atEnd(ctx context.Context, name string) error {
	b, err := r.stores.projection(name)
	if err != nil {
		return err
	}
	g, err := r.stores.control.Live(ctx, b.Name)
	if err != nil {
		return err
	}
	checkpoints, err := r.stores.control.Checkpoints(ctx, g)
	if err != nil {
		return err
	}
	next := map[eventlog.Partition]int64{}
	for _, cp := range checkpoints {
		next[cp.Partition] = cp.Next
	}
	for at, end := range r.ends {
		if slices.Contains(b.Topics, at.Topic) && next[at] < end {
			return fmt.Errorf("%s is at %d of %d in %s", name, next[at], end, at)
		}
	}
	return nil
}

// ask asks the API a question.
func (r *yearRig) ask(path string) []byte {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, http.NoBody)
	require.NoError(r.t, err)
	request.Header.Set("Authorization", "Bearer "+r.token)
	response, err := r.client.Do(request)
	require.NoError(r.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	require.Equal(r.t, http.StatusOK, response.StatusCode, "%s: %s", path, body)
	return body
}

// judge asks a question and holds the answer against the record.
func (r *yearRig) judge(q yearQuestion) (figures int) {
	r.t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(r.ask(q.path)))
	decoder.UseNumber()
	var answer map[string]any
	require.NoError(r.t, decoder.Decode(&answer))
	items, is := answer["items"].([]any)
	require.True(r.t, is, q.path)
	got := make([]string, len(items))
	for i, item := range items {
		got[i] = yearFields(item.(map[string]any)).line()
	}
	if next := answer["next_cursor"]; next != nil {
		r.t.Errorf("%s: there is more than one page", q.path)
	}
	for name, want := range q.heads {
		had := answer[name]
		if nested, is := had.(map[string]any); is {
			had = yearFields(nested).line()
		}
		if nested, is := want.(yearFields); is {
			want = nested.line()
		}
		if fmt.Sprint(want) != fmt.Sprint(had) {
			r.t.Errorf("%s: %s is %v, by the record it is %v", q.path, name, had, want)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(q.want))
	if !slices.Equal(want, got) {
		r.t.Errorf("%s differs:\n%s", q.path, yearDifference(want, got))
	}
	return len(want)
}

// yearDifference are the first lines that only one of both has.
func yearDifference(want, got []string) string {
	var b strings.Builder
	const most = 4
	side := func(name string, list, other []string) {
		there := map[string]bool{}
		for _, line := range other {
			there[line] = true
		}
		n := 0
		for _, line := range list {
			if there[line] {
				continue
			}
			if n++; n <= most {
				fmt.Fprintf(&b, "  %s: %s\n", name, line)
			}
		}
		fmt.Fprintf(&b, "  %s: %d of %d lines\n", name, n, len(list))
	}
	side("only in the record", want, got)
	side("only in the answer", got, want)
	return b.String()
}

// judgeAll holds the answers to all questions against the record.
func (r *yearRig) judgeAll(questions []yearQuestion) {
	r.t.Helper()
	started, figures := time.Now(), 0
	for _, q := range questions {
		figures += r.judge(q)
	}
	r.figures.Questions, r.figures.Compared = len(questions), figures
	r.t.Logf("%d questions with %d figures asked within %s", len(questions), figures, time.Since(started).Round(time.Millisecond))
}

// TestAYearOfCharacters makes a year of an organisation from a seed, folds it, and holds
// every answer of analytics against a plain computation over what really happened, to the
// last hundredth of an ISK. Then it replays the log and verifies the read models, before
// and after retention and compaction. MUSTER_YEAR_CHARACTERS and MUSTER_YEAR_ROWS set its
// size; MUSTER_YEAR_MEASURE has it measure, too, which `make year` does.
func TestAYearOfCharacters(t *testing.T) {
	if os.Getenv("MUSTER_YEAR_CHARACTERS") == "" {
		t.Skip("takes minutes: make year")
	}
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	size := year.Config{
		Characters: int(benchSetting(t, "MUSTER_YEAR_CHARACTERS", defaultYearCharacters)), Rows: int(benchSetting(t, "MUSTER_YEAR_ROWS", defaultYearRows)), Seed: yearSeed,
	}
	r := newYearRig(t, size)
	before, after := r.questions()
	r.make()
	r.fold()
	r.judgeAll(before())
	if t.Failed() {
		t.FailNow()
	}
	measured := os.Getenv("MUSTER_YEAR_MEASURE") != ""
	if measured {
		r.measureSize()
		r.measureAnswers(before())
	}
	r.verify()
	r.replayAll(measured)
	r.retain()
	r.verify()
	r.replayAll(measured)
	r.judgeAll(after())
	if measured {
		r.report()
	}
}
