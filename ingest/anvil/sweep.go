package anvil

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// Source is the source of the events of sweeps.
const Source = "muster/ingest/anvil"

// Asker asks AnVIL; [Client] does. It must be safe for concurrent use.
type Asker interface {
	// CheckToken fails if there is no way to ask.
	CheckToken() error
	// Ask fails only when ctx ends.
	Ask(ctx context.Context, q domain.Request) (Reply, error)
}

// Appender appends events to the log, in order, and answers once they are
// there. Appending an event again is harmless.
type Appender interface {
	Append(ctx context.Context, events ...event.Event) error
}

// Mark is what was recorded of a record last: the hash of its content and the
// event that says it.
type Mark struct {
	Hash    string
	EventID uuid.UUID
}

// Batch is what a sweep is about to record: the events to append, and the marks
// that hold once they were appended.
type Batch struct {
	Events []event.Event
	Marks  map[domain.RecordKey]Mark
}

// StateStore keeps what was recorded last of each record of a consortium.
type StateStore interface {
	// Begin starts the sweep of a stream. It fails with [event.CodeConflict]
	// while another sweep of the stream is going on.
	Begin(ctx context.Context, stream event.Stream) (Session, error)
}

// Session is one sweep's hold on the state of a stream. It is not safe for
// concurrent use.
//
// A batch is prepared before its events are appended, and committed
// afterwards: a crash in between leaves it to the next session, which appends
// the same events again. So the log never says something that the marks do not
// know of.
type Session interface {
	// Marks are those of the last committed batch.
	Marks() map[domain.RecordKey]Mark
	// Pending is the batch that was prepared and not committed; nil if none.
	Pending() []event.Event
	// Prepare keeps a batch. There must be none pending.
	Prepare(ctx context.Context, b Batch) error
	// Commit makes the pending batch's marks those of the stream.
	Commit(ctx context.Context) error
	// Close ends the session. It may be called after ctx has ended.
	Close()
}

// Summary is what came of a sweep.
type Summary struct {
	domain.SweepCompleted
	// Recovered counts the events of an earlier, interrupted sweep that were
	// appended first.
	Recovered int
	// World is everything that was observed.
	World *domain.Observed
}

// SweeperConfig is what a sweeper works with. All fields without a default
// must be set.
type SweeperConfig struct {
	Asker      Asker
	Store      StateStore
	Appender   Appender
	Quarantine Quarantine
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Concurrency bounds the questions that are open at once; default 32.
	Concurrency int
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Sweeper sweeps consortia. It is safe for concurrent use; two sweeps of one
// consortium exclude each other.
type Sweeper struct {
	config  SweeperConfig
	metrics sweepMetrics
}

type sweepMetrics struct {
	sweeps    *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	unseen    *prometheus.GaugeVec
	observed  *prometheus.CounterVec
	completed *prometheus.GaugeVec
}

// NewSweeper makes a sweeper.
func NewSweeper(config SweeperConfig) (*Sweeper, error) {
	if config.Asker == nil || config.Store == nil || config.Appender == nil || config.Quarantine == nil || config.Logger == nil || config.Registerer == nil {
		return nil, event.Errorf(event.CodeInternal, "a sweeper needs an asker, a store, an appender, a quarantine, a logger and a registerer")
	}
	setDefault(&config.Concurrency, 32)
	if config.Now == nil {
		config.Now = time.Now
	}
	labels := []string{"consortium"}
	m := sweepMetrics{
		sweeps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_anvil_sweeps_total",
			Help: "Sweeps by outcome: complete, partial (something could not be read) or failed.",
		}, append(labels, "outcome")),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_anvil_sweep_seconds",
			Help: "Time of one sweep.", Buckets: prometheus.ExponentialBuckets(0.1, 2, 14),
		}, labels),
		unseen: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_anvil_sweep_unseen_records",
			Help: "Records that the last sweep could not read.",
		}, labels),
		observed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_anvil_observations_total",
			Help: "Records that differed from their last observation.",
		}, labels),
		completed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_anvil_sweep_completed_timestamp_seconds",
			Help: "When the last sweep was completed.",
		}, labels),
	}
	for _, collector := range []prometheus.Collector{m.sweeps, m.seconds, m.unseen, m.observed, m.completed} {
		if err := config.Registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("registering metrics of sweeps: %w", err)
		}
	}
	return &Sweeper{config: config, metrics: m}, nil
}

// Run sweeps a consortium: it asks AnVIL everything that the audits of the
// models need, and appends what differs from the last sweep, between an event
// that says that it started and one that says what it covered. models empty
// means all. The declaration must be normalised and valid, at least literally.
//
// A question that cannot be answered makes its record unknown and nothing
// else. Run fails with [event.CodeUnavailable] if AnVIL cannot be asked at all,
// with [event.CodeConflict] while another sweep of the consortium is going on,
// and when ctx ends, the store fails or the events cannot be appended; the next
// sweep then goes on without loss.
func (s *Sweeper) Run(ctx context.Context, consortium string, d domain.Declared, models []domain.Model) (Summary, error) {
	return s.sweep(ctx, consortium, d, models, domain.Scope{})
}

// RunPart sweeps single groups and workspaces of a consortium and leaves the
// others as they were observed last. Besides what [Sweeper.Run] fails with, it
// fails with [event.CodeNotFound], before anything is appended, for a group or
// workspace that is neither declared nor in AnVIL's lists, and with
// [event.CodeUnavailable] if a list that would tell could not be read.
func (s *Sweeper) RunPart(ctx context.Context, consortium string, d domain.Declared, scope domain.Scope) (Summary, error) {
	return s.sweep(ctx, consortium, d, scope.Models(), scope)
}

func (s *Sweeper) sweep(ctx context.Context, consortium string, d domain.Declared, models []domain.Model, scope domain.Scope) (Summary, error) {
	start := s.config.Now()
	summary, err := s.run(ctx, event.Consortium(consortium), d, models, scope)
	s.metrics.seconds.WithLabelValues(consortium).Observe(s.config.Now().Sub(start).Seconds())
	outcome := "complete"
	switch {
	case err != nil:
		outcome = "failed"
	case summary.UnseenCount > 0:
		outcome = "partial"
	}
	s.metrics.sweeps.WithLabelValues(consortium, outcome).Inc()
	if err != nil {
		return summary, fmt.Errorf("sweeping %s: %w", consortium, err)
	}
	s.metrics.observed.WithLabelValues(consortium).Add(float64(summary.Observed))
	if scope.Whole() {
		s.metrics.unseen.WithLabelValues(consortium).Set(float64(summary.UnseenCount))
		s.metrics.completed.WithLabelValues(consortium).Set(float64(summary.CompletedAt.Unix()))
	}
	s.config.Logger.InfoContext(ctx, "AnVIL sweep completed", "consortium", consortium, "sweep", summary.SweepID, "scope", scope.Words(), "calls", summary.Calls,
		"retries", summary.Retries, "observed", summary.Observed, "unseen", summary.UnseenCount,
		"duration", summary.CompletedAt.Sub(summary.StartedAt).Round(time.Millisecond))
	return summary, nil
}

func (s *Sweeper) run(ctx context.Context, stream event.Stream, d domain.Declared, models []domain.Model, scope domain.Scope) (Summary, error) {
	if err := errors.Join(stream.Validate(), d.Validate(domain.Literal)); err != nil {
		return Summary{}, err
	}
	if len(models) == 0 {
		models = domain.Models()
	}
	session, err := s.config.Store.Begin(ctx, stream)
	if err != nil {
		return Summary{}, err
	}
	defer session.Close()
	recovered, err := s.recover(ctx, session)
	if err != nil {
		return Summary{}, err
	}
	if err := s.config.Asker.CheckToken(); err != nil {
		return Summary{Recovered: recovered}, err
	}
	w := s.newWindow(stream)
	if !scope.Whole() {
		// A name that nobody knows is refused before there is a trace of the sweep.
		if err := w.ask(ctx, domain.FirstRequests(d, models, scope)); err != nil {
			return Summary{Recovered: recovered}, err
		}
		if err := scope.Check(d, w.world); err != nil {
			return Summary{Recovered: recovered}, err
		}
	}
	begun := domain.SweepStarted{SweepID: w.id, Models: models, Scope: scope, ServiceAccount: d.ServiceAccount, StartedAt: w.started}
	first, err := w.event(w.id, w.started, begun)
	if err != nil {
		return Summary{Recovered: recovered}, err
	}
	if err := s.config.Appender.Append(ctx, first); err != nil {
		return Summary{Recovered: recovered}, fmt.Errorf("appending the start of the sweep: %w", err)
	}
	if scope.Whole() {
		if err := w.ask(ctx, domain.FirstRequests(d, models, scope)); err != nil {
			return Summary{Recovered: recovered}, err
		}
	}
	if err := w.ask(ctx, domain.NextRequests(d, w.world, models, scope)); err != nil {
		return Summary{Recovered: recovered}, err
	}
	if err := w.doubt(ctx); err != nil {
		return Summary{Recovered: recovered}, err
	}
	batch, completed, err := w.compare(session.Marks(), begun)
	if err != nil {
		return Summary{Recovered: recovered}, err
	}
	if err := session.Prepare(ctx, batch); err != nil {
		return Summary{Recovered: recovered}, err
	}
	if err := s.config.Appender.Append(ctx, batch.Events...); err != nil {
		return Summary{Recovered: recovered}, fmt.Errorf("appending %d observations: %w", len(batch.Events)-1, err)
	}
	if err := session.Commit(ctx); err != nil {
		return Summary{Recovered: recovered}, err
	}
	return Summary{SweepCompleted: completed, Recovered: recovered, World: w.world}, nil
}

// recover brings a batch to an end that an earlier sweep prepared and did not
// commit: whether its events were appended is not known.
func (s *Sweeper) recover(ctx context.Context, session Session) (int, error) {
	pending := session.Pending()
	if pending == nil {
		return 0, nil
	}
	s.config.Logger.InfoContext(ctx, "finishing an interrupted AnVIL sweep", "events", len(pending))
	if err := s.config.Appender.Append(ctx, pending...); err != nil {
		return 0, fmt.Errorf("appending %d events of an interrupted sweep: %w", len(pending), err)
	}
	return len(pending), session.Commit(ctx)
}

// window is one sweep while it asks.
type window struct {
	sweeper *Sweeper
	stream  event.Stream
	id      uuid.UUID
	started time.Time

	mu             sync.Mutex
	world          *domain.Observed
	at             map[domain.RecordKey]time.Time
	calls, retries int
}

func (s *Sweeper) newWindow(stream event.Stream) *window {
	return &window{
		sweeper: s, stream: stream, id: uuid.New(), started: s.config.Now().UTC(), world: domain.NewObserved(), at: map[domain.RecordKey]time.Time{},
	}
}

// ask asks all questions, several at once, and takes the answers to the world.
func (w *window) ask(ctx context.Context, questions []domain.Request) error {
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(w.sweeper.config.Concurrency)
	for _, q := range questions {
		if asking.Err() != nil {
			break
		}
		group.Go(func() error {
			reply, err := w.sweeper.config.Asker.Ask(asking, q)
			if err != nil {
				return err
			}
			if w.take(q.Record, reply) {
				w.quarantine(asking, q.Record, reply)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// doubt asks a service that answered some questions with 404 for its list
// again: during maintenance AnVIL answers so to everything, which must not look
// as if everything were gone. The lists themselves are always there.
func (w *window) doubt(ctx context.Context) error {
	for _, service := range []string{domain.ServiceSam, domain.ServiceRawls} {
		missing := w.world.NotFound(service)
		if missing == 0 {
			continue
		}
		reply, err := w.sweeper.config.Asker.Ask(ctx, domain.ListRequest(service))
		if err != nil {
			return err
		}
		w.calls += reply.Calls
		w.retries += max(reply.Calls-1, 0)
		if reply.Status == http.StatusNotFound {
			w.sweeper.config.Logger.WarnContext(ctx, "AnVIL answers 404 even to what is always there; what it answered so is unknown",
				"stream", w.stream, "service", service, "records", missing)
			w.world.DoubtNotFound(service, "the service answers 404 to everything")
		}
	}
	return nil
}

// take notes an answer; true if it could not be read.
func (w *window) take(key domain.RecordKey, reply Reply) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls += reply.Calls
	w.retries += max(reply.Calls-1, 0)
	w.at[key] = reply.At
	if reply.Failure != "" {
		w.world.Fail(key, reply.Status, reply.Failure)
		return false
	}
	return w.world.Record(key, reply.Status, reply.Body)
}

// quarantine keeps an answer aside. If that fails the sweep goes on: the record
// is unknown either way.
func (w *window) quarantine(ctx context.Context, key domain.RecordKey, reply Reply) {
	log := w.sweeper.config.Logger
	log.WarnContext(ctx, "AnVIL's answer cannot be read; the record is unknown, the answer is kept in quarantine",
		"stream", w.stream, "kind", key.Kind, "bytes", len(reply.Body))
	sample := Sample{Stream: w.stream, Kind: key.Kind, Name: key.Name, Status: reply.Status, At: reply.At, Body: reply.Body}
	if err := w.sweeper.config.Quarantine.Keep(ctx, sample); err != nil {
		log.ErrorContext(ctx, "keeping an answer in quarantine", "kind", key.Kind, "error", err)
	}
}

// compare makes the batch of what differs from the marks, and its last event,
// which says what the sweep covered.
func (w *window) compare(marks map[domain.RecordKey]Mark, begun domain.SweepStarted) (Batch, domain.SweepCompleted, error) {
	known := make([]domain.RecordKey, 0, len(marks))
	for key := range marks {
		known = append(known, key)
	}
	done := domain.SweepCompleted{
		SweepID: w.id, Models: begun.Models, Scope: begun.Scope, ServiceAccount: begun.ServiceAccount,
		StartedAt: w.started, CompletedAt: w.sweeper.config.Now().UTC(), Covered: map[domain.Kind]int{}, Calls: w.calls, Retries: w.retries,
	}
	taken, err := takenLists(begun.Scope, marks)
	if err != nil {
		return Batch{}, done, err
	}
	batch := Batch{Marks: map[domain.RecordKey]Mark{}}
	for _, ob := range w.world.Observations(known) {
		list, entry := ob.Key.Listed()
		if entry && !taken[list] && !begun.Covers(ob.Key) {
			continue
		}
		done.Covered[ob.Key.Kind]++
		if cause := ob.Unseen(); cause != "" {
			done.UnseenCount++
			if len(done.Unseen) < domain.MaxUnseen {
				done.Unseen = append(done.Unseen, domain.Unseen{Kind: ob.Key.Kind, Name: ob.Key.Name, Cause: cause})
			}
		}
		if own, isList := taken[ob.Key]; isList && !own {
			continue
		}
		hash, err := ob.Hash()
		if err != nil {
			return Batch{}, done, err
		}
		before := marks[ob.Key]
		if before.Hash == hash {
			continue
		}
		id := event.ObservationID(w.stream, ob.Payload.EventType(), before.EventID, hash)
		e, err := w.event(id, w.seenAt(ob.Key, done.CompletedAt), ob.Payload)
		if err != nil {
			return Batch{}, done, err
		}
		batch.Events = append(batch.Events, e)
		batch.Marks[ob.Key] = Mark{Hash: hash, EventID: id}
	}
	done.Observed = len(batch.Events)
	last, err := w.event(event.ObservationID(w.stream, domain.TypeSweepCompleted, w.id, ""), done.CompletedAt, done)
	batch.Events = append(batch.Events, last)
	return batch, done, err
}

// takenLists tells of each list whether all of it is recorded: of a limited
// sweep only when its last observation is none that could be read.
func takenLists(scope domain.Scope, marks map[domain.RecordKey]Mark) (map[domain.RecordKey]bool, error) {
	taken := map[domain.RecordKey]bool{}
	for _, kind := range []domain.Kind{domain.KindGroupList, domain.KindWorkspaceList} {
		key := domain.RecordKey{Kind: kind}
		read, err := domain.ReadList(key).Hash()
		if err != nil {
			return nil, err
		}
		taken[key] = scope.Whole() || marks[key].Hash != read
	}
	return taken, nil
}

// seenAt is when a record was read. Entries of the lists have their list's time.
func (w *window) seenAt(key domain.RecordKey, otherwise time.Time) time.Time {
	if list, entry := key.Listed(); entry {
		key = list
	}
	if at, ok := w.at[key]; ok {
		return at
	}
	return otherwise
}

func (w *window) event(id uuid.UUID, at time.Time, p event.Payload) (event.Event, error) {
	e, err := event.New(id, w.stream, Source, at, p)
	e.CorrelationID = w.id.String()
	return e, err
}
