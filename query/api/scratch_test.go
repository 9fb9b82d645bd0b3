package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/query/api"
)

// Ends implements [runner.Log].
func (a *annals) Ends(_ context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error) {
	ends := map[eventlog.Partition]eventlog.Span{}
	for _, topic := range topics {
		ends[eventlog.Partition{Topic: topic}] = eventlog.Span{}
	}
	ends[eventlog.Partition{Topic: event.TopicEVE}] = eventlog.Span{End: int64(len(a.records))}
	return ends, nil
}

// Consume implements [runner.Log].
func (a *annals) Consume(context.Context, map[eventlog.Partition]int64) (*eventlog.Consumer, error) {
	return nil, errors.New("nothing follows annals")
}

// ReadRange implements [runner.Log].
func (a *annals) ReadRange(_ context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error {
	if at.Topic != event.TopicEVE {
		return nil
	}
	for _, rec := range a.records[from:to] {
		if err := fn(rec); err != nil {
			return err
		}
	}
	return nil
}

// archive makes scratches of annals.
type archive struct {
	*runner.Runner
	list []runner.Bound
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	pool := enginetest.Postgres(t)
	control, err := runner.NewControl(t.Context(), pool)
	require.NoError(t, err)
	registry := event.NewRegistry()
	eve.Register(registry)
	access.Register(registry)
	return &archive{
		runner.New(runner.Config{Pool: pool, Control: control, Registry: registry, Logger: slog.New(slog.DiscardHandler)}),
		// Small batches: what a batch does with rows of those before shows.
		[]runner.Bound{{Projection: postgres.Characters(), Store: runner.NewPostgres(pool), Bulk: runner.Limits{Records: 7}}},
	}
}

// make makes the scratch anew.
func (a *archive) make(t require.TestingT, of *annals, until time.Time) {
	a.Log = of
	_, _, err := a.ReplayInto(context.Background(), a.list, runner.ScratchOptions{Name: "audit", Until: until, Replace: true})
	require.NoError(t, err)
}

// Live implements [live.Source].
func (a *archive) Live(ctx context.Context, projection string) (runner.Generation, error) {
	s, err := a.Control.Scratch(ctx, "audit")
	if err != nil {
		return runner.Generation{}, err
	}
	return s.Live(ctx, projection)
}

func TestAScratchSaysWhatIsAnsweredAsOfItsMoment(t *testing.T) {
	a := newArchive(t)
	characters := postgres.NewCharacterReader(a.Pool, live.New(a))
	var then time.Time
	var told annals
	scratch := newClient(t, func(c *api.Config) {
		c.Characters, c.SkillSets = characters, characters
		c.Now = func() time.Time { return then }
	})
	asOf := newClient(t, func(c *api.Config) {
		c.Characters, c.SkillSets, c.Past = characters, characters, told.past()
	})
	targets := pastTargets(t, scratch)
	found, gone := 0, 0
	same := func(t require.TestingT) {
		for _, target := range targets {
			sign := "?"
			if strings.Contains(target, "?") {
				sign = "&"
			}
			// The events that rows are from are the same, too.
			target += sign + "provenance=1"
			past, present := asOf.get(target+"&as_of="+then.Format(time.RFC3339)), scratch.get(target)
			require.Equal(t, past.StatusCode, present.StatusCode, "%s\nas of: %s\nscratch: %s", target, past.text, present.text)
			if past.StatusCode != http.StatusOK {
				gone++
				continue
			}
			found++
			want, have := plain(t, past.text), plain(t, present.text)
			require.Equal(t, want["next_cursor"] == nil, have["next_cursor"] == nil)
			delete(want, "next_cursor")
			delete(have, "next_cursor")
			require.Equal(t, want, have, target)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := &biography{T: t, id: 5, now: moment.Add(-2000 * time.Hour), series: map[eve.Section]eve.Series{}, known: map[eve.Section]eve.FactsResult{}}
		if rapid.IntRange(0, 5).Draw(t, "known from the start") > 0 {
			b.tell(t, b.id, b.now, eve.CharacterRegistered{CharacterID: b.id, Name: "First", UserID: "u1", CorporationID: 7})
		}
		b.Repeat(map[string]func(*rapid.T){"": func(*rapid.T) {}, "step": func(*rapid.T) { b.step() }})
		if len(b.records) == 0 {
			return
		}
		at, err := b.records[rapid.IntRange(0, len(b.records)-1).Draw(t, "moment")].Recorded()
		require.NoError(t, err)
		then = at.Time.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "off by")) * time.Minute)
		// It is made of what was in the log at some time, and follows what is appended then.
		made := rapid.IntRange(0, len(b.records)).Draw(t, "records when it was made")
		told = annals{records: b.records[:made]}
		a.make(t, &told, then)
		told = b.annals
		require.NoError(t, a.FollowScratches(context.Background(), a.list))
		same(t)
	})
	require.Positive(t, found)
	require.Positive(t, gone)
	t.Logf("%d answers compared, %d of what was not there", found, gone)
}

func TestWhatIsRemovedAndForgottenGoesFromAScratchToo(t *testing.T) {
	a := newArchive(t)
	characters := postgres.NewCharacterReader(a.Pool, live.New(a))
	c := newClient(t, func(c *api.Config) { c.Characters, c.SkillSets = characters, characters })
	told := theirs(t)
	a.make(t, told, moment)
	mining := "/v1/characters/90000001/mining"
	require.Contains(t, c.get(mining).text, `"type_id":7`)

	for _, rec := range told.records {
		e, err := rec.Recorded()
		require.NoError(t, err)
		if e.Type == eve.TypeMiningRecorded {
			told.add(event.Tombstone(e.Stream, e.ID, moment.Add(time.Hour), event.Expiry{Policy: string(retention.ClassHistory), CutOff: moment}))
		}
	}
	require.NoError(t, a.FollowScratches(t.Context(), a.list))
	gone := c.get(mining)
	require.Equal(t, http.StatusOK, gone.StatusCode)
	require.NotContains(t, gone.text, `"type_id":7`)

	// It was forgotten after the moment.
	e, err := event.New(uuid.New(), event.Character(90000001), "test", moment.Add(2*time.Hour), eve.CharacterForgotten{CharacterID: 90000001, Reason: "asked"})
	require.NoError(t, err)
	told.add(e)
	require.NoError(t, a.FollowScratches(t.Context(), a.list))
	require.Equal(t, http.StatusNotFound, c.get(mining).StatusCode)
	s, err := a.Control.Scratch(t.Context(), "audit")
	require.NoError(t, err)
	for _, table := range a.list[0].Tables {
		var columns []string
		rows, err := a.Pool.Query(t.Context(), `SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2`, s.Name, table.Name)
		require.NoError(t, err)
		for rows.Next() {
			var column string
			require.NoError(t, rows.Scan(&column))
			columns = append(columns, column)
		}
		require.NotEmpty(t, columns, table.Name)
		if table.Name == "forgettings" || !slices.Contains(columns, "character_id") {
			continue
		}
		var n int
		require.NoError(t, a.Pool.QueryRow(t.Context(), `SELECT count(*) FROM audit.`+table.Name+` WHERE character_id = 90000001`).Scan(&n))
		require.Zero(t, n, table.Name)
	}
	var line struct{ Status int }
	require.NoError(t, json.Unmarshal([]byte(c.get(mining).text), &line))
	require.Equal(t, http.StatusNotFound, line.Status)
}
