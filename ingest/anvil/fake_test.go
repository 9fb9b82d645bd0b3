package anvil_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
)

const consortium = "test"

var stream = event.Consortium(consortium)

func vectors(t testing.TB) []domain.Vector {
	t.Helper()
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors", "anvil", "cases.jsonl"))
	if err != nil {
		t.Skipf("no acceptance vectors: set MUSTER_SHARED_DIR to the folder that holds vectors/anvil/cases.jsonl (%v)", err)
	}
	var all []domain.Vector
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		v, err := domain.DecodeVector(lines.Bytes())
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// terra answers exactly what it was given: any other question is a violation.
type terra struct {
	mu         sync.Mutex
	answers    map[string]domain.Answer
	violations []string
	headers    []http.Header
}

func newTerra(answers []domain.Answer) *terra {
	f := &terra{}
	f.set(answers)
	return f
}

func (f *terra) set(answers []domain.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = map[string]domain.Answer{}
	for _, a := range answers {
		f.answers[a.Service+" "+a.Method+" "+a.Path+"?"+a.Query] = a
	}
}

func (f *terra) service(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.headers = append(f.headers, r.Header.Clone())
		question := name + " " + r.Method + " " + r.URL.Path + "?" + r.URL.RawQuery
		answer, ok := f.answers[question]
		if !ok {
			f.violations = append(f.violations, question)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body)
	})
}

func (f *terra) start(t testing.TB) anvil.ClientConfig {
	samServer, rawlsServer := httptest.NewServer(f.service("sam")), httptest.NewServer(f.service("rawls"))
	t.Cleanup(samServer.Close)
	t.Cleanup(rawlsServer.Close)
	return anvil.ClientConfig{
		SamURL: samServer.URL, RawlsURL: rawlsServer.URL, Credentials: anvil.NoCredentials,
		FirstPause: time.Millisecond, Attempts: 2,
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newClient(t testing.TB, config anvil.ClientConfig) *anvil.Client {
	c, err := anvil.NewClient(t.Context(), config, quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// log is an appender that keeps events, and the fold of them.
type memoryLog struct {
	mu     sync.Mutex
	events []event.Event
	// failAfter makes the append fail once that many events are in; negative
	// means never.
	failAfter int
}

var errAppend = errors.New("the broker is away")

func (l *memoryLog) Append(_ context.Context, events ...event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if l.failAfter == 0 {
			return errAppend
		}
		l.failAfter--
		l.events = append(l.events, e)
	}
	return nil
}

// fold folds the declaration and then all events, each copy of them.
func (l *memoryLog) fold(t require.TestingT, d domain.Declared) *domain.State {
	registry := event.NewRegistry()
	domain.Register(registry)
	state := domain.NewState(stream)
	plan, err := domain.Plan(domain.Declared{}, d, domain.Literal)
	require.NoError(t, err)
	for i, p := range domain.PlanEvents(plan, "") {
		id := event.ObservationID(stream, p.EventType(), [16]byte{}, fmt.Sprint(i))
		e, err := event.New(id, stream, "test", time.Unix(0, 0), p)
		require.NoError(t, err)
		require.NoError(t, state.Apply(e, p))
	}
	said := map[string]string{}
	for _, e := range l.events {
		require.NoError(t, e.Validate())
		if before, again := said[e.Key()]; again {
			require.Equal(t, before, string(e.Data), "an id stands for one content")
		}
		said[e.Key()] = string(e.Data)
		p, err := registry.Decode(e)
		require.NoError(t, err)
		require.NoError(t, state.Apply(e, p))
	}
	return state
}

func (l *memoryLog) types() []string {
	var types []string
	for _, e := range l.events {
		name := strings.Split(string(e.Type), ".")
		types = append(types, name[2]+"."+name[3])
	}
	return types
}

// memoryStore is a state store for tests that need no Postgres.
type memoryStore struct {
	mu         sync.Mutex
	busy       bool
	marks      map[domain.RecordKey]anvil.Mark
	pending    *anvil.Batch
	failCommit bool
}

func (s *memoryStore) Begin(context.Context, event.Stream) (anvil.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return nil, event.Errorf(event.CodeConflict, "another sweep is going on")
	}
	s.busy = true
	if s.marks == nil {
		s.marks = map[domain.RecordKey]anvil.Mark{}
	}
	return &memorySession{s}, nil
}

type memorySession struct{ *memoryStore }

func (s *memorySession) Marks() map[domain.RecordKey]anvil.Mark { return maps.Clone(s.marks) }

func (s *memorySession) Pending() []event.Event {
	if s.pending == nil {
		return nil
	}
	return s.pending.Events
}

func (s *memorySession) Prepare(_ context.Context, b anvil.Batch) error {
	if s.pending != nil {
		return errors.New("a batch is pending")
	}
	s.pending = &anvil.Batch{Events: slices.Clone(b.Events), Marks: maps.Clone(b.Marks)}
	return nil
}

func (s *memorySession) Commit(context.Context) error {
	if s.failCommit {
		return errors.New("the database is away")
	}
	maps.Copy(s.marks, s.pending.Marks)
	s.pending = nil
	return nil
}

func (s *memorySession) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

type samples struct {
	mu   sync.Mutex
	list []anvil.Sample
}

func (q *samples) Keep(_ context.Context, s anvil.Sample) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, s)
	return nil
}

// bench is a sweeper with everything it works with.
type bench struct {
	*anvil.Sweeper
	log     *memoryLog
	store   *memoryStore
	samples *samples
}

func newBench(t require.TestingT, asker anvil.Asker) *bench {
	b := &bench{log: &memoryLog{failAfter: -1}, store: &memoryStore{}, samples: &samples{}}
	var err error
	b.Sweeper, err = anvil.NewSweeper(anvil.SweeperConfig{
		Asker: asker, Store: b.store, Appender: b.log, Quarantine: b.samples,
		Logger: quiet(), Registerer: prometheus.NewRegistry(), Now: time.Now,
	})
	require.NoError(t, err)
	return b
}
