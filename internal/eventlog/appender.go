package eventlog

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tracing"
)

// MaxEventBytes is how large an event may be: its key, headers and value
// together, before compression. It leaves room in a batch of the topics'
// max.message.bytes.
const MaxEventBytes = 15 << 20

// maxBatchBytes bounds a batch before compression. Data that zstd cannot
// compress grows by a little.
const maxBatchBytes = MaxEventBytes + 64<<10

// AppenderConfig says where and how an [Appender] writes.
type AppenderConfig struct {
	// Brokers are the addresses to begin with.
	Brokers []string
	// Security is how they are spoken with; the zero value in the open.
	Security Security
	// ClientID is the name brokers know the client by; default "muster".
	ClientID string
	// Workers is how many events can be on their way at once, each of another
	// stream; default 512. Throughput is workers divided by the round trip to
	// the brokers.
	Workers int
	// Queue is how many pieces of work wait for each worker before Append
	// blocks; default 4.
	Queue int
	// Now is the clock of [event.Event.Recorded]; default time.Now.
	Now func() time.Time
	// Logger is for what nobody is told otherwise; default discards.
	Logger *slog.Logger
	// Metrics is where the appender's metrics are registered; nil for nowhere.
	Metrics prometheus.Registerer
	// Tracer makes a span of each append, whose context goes along with the events as
	// their TraceParent; nil for none.
	Tracer trace.Tracer
}

func (c AppenderConfig) withDefaults() AppenderConfig {
	if c.ClientID == "" {
		c.ClientID = defaultClientID
	}
	if c.Workers == 0 {
		c.Workers = 512
	}
	if c.Queue == 0 {
		c.Queue = 4
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports a configuration that cannot work, as [event.CodeInvalid].
func (c AppenderConfig) Validate() error {
	switch {
	case len(c.Brokers) == 0:
		return event.Errorf(event.CodeInvalid, "appender: no Kafka brokers are configured")
	case c.Workers < 0 || c.Queue < 0:
		return event.Errorf(event.CodeInvalid, "appender: %d workers with a queue of %d: neither may be negative", c.Workers, c.Queue)
	}
	return nil
}

// Appender appends events to the log. It is safe for concurrent use.
//
// The events of a stream are written one after the other in the order in which
// they were handed over, also when several calls append to one stream: the call
// that got there first comes first. Different streams are written in parallel.
// When all is busy, Append waits.
type Appender struct {
	publisher message.Publisher
	now       func() time.Time
	metrics   *appenderMetrics
	tracer    trace.Tracer
	// queues are the workers' queues; a stream's is found by hash with seed.
	queues  []chan job
	seed    maphash.Seed
	workers sync.WaitGroup

	// mu is held for reading while work is handed over and for writing while
	// the appender closes, so that nothing is handed over afterwards.
	mu     sync.RWMutex
	closed bool
}

// job is what one call appends to one stream.
type job struct {
	ctx    context.Context
	topics []string
	events []event.Event
	done   chan<- outcome
}

// outcome is what became of a job: the events from unknown on are not known to
// be written; all after the first of them were not sent.
type outcome struct {
	job     job
	unknown int
	err     error
}

// NewAppender connects to the brokers. [Appender.Close] must be called in the
// end.
func NewAppender(cfg AppenderConfig) (*Appender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers:               cfg.Brokers,
		Marshaler:             eventMarshaler{},
		OverwriteSaramaConfig: producerConfig(cfg.Security, cfg.ClientID),
	}, watermillLogger{cfg.Logger})
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "connecting to Kafka at %s to append: %w", strings.Join(cfg.Brokers, ","), err)
	}
	metrics, err := newAppenderMetrics(cfg.Metrics)
	if err != nil {
		return nil, errors.Join(err, publisher.Close())
	}
	return startAppender(cfg, publisher, metrics), nil
}

func startAppender(cfg AppenderConfig, publisher message.Publisher, metrics *appenderMetrics) *Appender {
	a := &Appender{
		publisher: publisher,
		now:       cfg.Now,
		metrics:   metrics,
		tracer:    cfg.Tracer,
		queues:    make([]chan job, cfg.Workers),
		seed:      maphash.MakeSeed(),
	}
	for i := range a.queues {
		a.queues[i] = make(chan job, cfg.Queue)
		a.workers.Go(func() { a.work(a.queues[i]) })
	}
	return a
}

// Append writes events to the topics that their types belong to and returns
// when all are acknowledged by all in-sync replicas. An event without a
// Recorded time gets the present one in the record; the caller's copy stays as
// it is. Events' Data must not be changed until Append has returned nil or the
// appender is closed.
//
// Nothing is sent unless all events are valid: an invalid or too large one is
// [event.CodeInvalid]. Otherwise a failure is an [*AppendError] that names the
// events not known to be written; appending them again is safe, for a copy has
// the same id.
//
// When ctx ends, Append returns at once and the events not yet sent are not
// sent, but those on their way may be written or not: an abandoned append is
// undecided.
//
// A tombstone does not say which topic it belongs to: use [Appender.Expire].
func (a *Appender) Append(ctx context.Context, events ...event.Event) error {
	topics := make([]string, len(events))
	for i, e := range events {
		if e.IsTombstone() {
			return event.Errorf(event.CodeInvalid, "event %s is a tombstone: append it with Expire, which names the topic", e.Key())
		}
		topic, err := e.Type.Topic()
		if err != nil {
			return err
		}
		topics[i] = topic
	}
	return a.append(ctx, topics, events)
}

// Expire writes tombstones to the topic that holds the events they remove. For
// all else it is like [Appender.Append].
func (a *Appender) Expire(ctx context.Context, topic string, tombstones ...event.Event) error {
	if !slices.Contains(event.Topics(), topic) {
		return event.Errorf(event.CodeInvalid, "topic %q holds no events: tombstones go to one of %s", topic, strings.Join(event.Topics(), ", "))
	}
	for _, e := range tombstones {
		if !e.IsTombstone() {
			return event.Errorf(event.CodeInvalid, "event %s is no tombstone: only tombstones can be appended with Expire", e.Key())
		}
	}
	return a.append(ctx, slices.Repeat([]string{topic}, len(tombstones)), tombstones)
}

// PulsePolicy is the retention policy that the tombstones of a pulse name.
const PulsePolicy = "pulse"

// Pulse appends one record to every partition of a topic that has the given
// number of partitions. A segment is only closed when something is appended, so
// without a pulse what lies in a quiet partition would never be compacted away.
//
// The records are tombstones for events that never were, with a key for each
// partition: they need no reader's attention and compact to one record.
func (a *Appender) Pulse(ctx context.Context, topic string, partitions int32) error {
	at := a.now()
	pulses := make([]event.Event, 0, partitions)
	for p := range partitions {
		pulses = append(pulses, event.Tombstone(pulseStream(p, partitions), pulseID, at, event.Expiry{Policy: PulsePolicy, CutOff: at}))
	}
	return a.Expire(ctx, topic, pulses...)
}

// pulseID is the id of the event that every pulse pretends to remove.
var pulseID = uuid.NewSHA1(event.Namespace, []byte("retention pulse"))

// pulseStream is the first of a series of names that lies in the partition.
func pulseStream(partition, partitions int32) event.Stream {
	for i := 0; ; i++ {
		s := event.Consortium(fmt.Sprintf("muster-pulse-%d", i))
		if PartitionOf(s, partitions) == partition {
			return s
		}
	}
}

func (a *Appender) append(ctx context.Context, topics []string, events []event.Event) (err error) {
	if len(events) == 0 {
		return nil
	}
	if a.tracer != nil {
		var span trace.Span
		ctx, span = a.startSpan(ctx, events)
		defer func() { tracing.End(span, err) }()
	}
	jobs, err := a.prepare(ctx, topics, events)
	if err != nil {
		return err
	}
	start := time.Now()
	a.metrics.inFlight.Add(float64(len(events)))
	defer a.metrics.inFlight.Sub(float64(len(events)))

	done := make(chan outcome, len(jobs))
	failed := newAppendError(len(events))
	sent := 0
	for _, j := range jobs {
		j.done = done
		if err := a.hand(ctx, j); err != nil {
			failed.add(outcome{job: j, err: err}, false)
			continue
		}
		sent++
	}
	for range sent {
		select {
		case o := <-done:
			if o.err != nil {
				failed.add(o, true)
			}
		case <-ctx.Done():
			return fmt.Errorf("appending %d events: gave up waiting, some may be written: %w", len(events), ctx.Err())
		}
	}
	if failed.err != nil {
		return event.Errorf(codeOfAppend(failed.err), "%w", failed)
	}
	a.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

// startSpan begins the span of an append. Where nothing else is traced it belongs to
// the trace that the first event brings along, such as the request that a command came
// with, and points to those of the others.
func (a *Appender) startSpan(ctx context.Context, events []event.Event) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(semconv.MessagingSystemKafka, semconv.MessagingBatchMessageCount(len(events))),
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		var origins tracing.Origins
		for i := range events {
			origins.Add(events[i].TraceParent)
		}
		if links := origins.Links(); len(links) > 0 {
			ctx = trace.ContextWithRemoteSpanContext(ctx, links[0].SpanContext)
			options = append(options, trace.WithLinks(links[1:]...))
		}
	}
	return a.tracer.Start(ctx, "append to the log", options...)
}

// prepare checks the events, stamps them and groups them by stream, in order of
// each stream's first event.
func (a *Appender) prepare(ctx context.Context, topics []string, events []event.Event) ([]job, error) {
	now := a.now().UTC()
	parent := ""
	if a.tracer != nil {
		parent = tracing.Parent(ctx)
	}
	jobs := make([]job, 0, min(len(events), 16))
	var of map[event.Stream]int
	if len(events) > 1 {
		of = make(map[event.Stream]int)
	}
	for i, e := range events {
		if err := e.Validate(); err != nil {
			return nil, err
		}
		if e.Recorded.IsZero() {
			e.Recorded = now
		}
		if e.TraceParent == "" {
			e.TraceParent = parent
		}
		if size := eventBytes(e); size > MaxEventBytes {
			return nil, event.Errorf(event.CodeInvalid, "event %s (%s) is %d bytes large: at most %d are allowed, so split its value", e.Key(), e.Type, size, MaxEventBytes)
		}
		n, ok := of[e.Stream]
		if !ok {
			n = len(jobs)
			if of != nil {
				of[e.Stream] = n
			}
			jobs = append(jobs, job{ctx: ctx})
		}
		jobs[n].topics = append(jobs[n].topics, topics[i])
		jobs[n].events = append(jobs[n].events, e)
	}
	return jobs, nil
}

// eventBytes is the size of a record: exact in what an event brings along, and
// not below the truth in the rest.
func eventBytes(e event.Event) int {
	const fixed = 512 // Names of headers, times, ids, lengths.
	size := fixed + 2*len(e.Stream) + len(e.Type) + len(e.Source) + len(e.Actor) +
		len(e.CorrelationID) + len(e.CausationID) + len(e.TraceParent) + len(e.Data)
	if e.Expiry != nil {
		size += len(e.Expiry.Policy)
	}
	return size
}

// hand gives a job to the worker of its stream, waiting while that is busy.
func (a *Appender) hand(ctx context.Context, j job) error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.closed {
		return event.Errorf(event.CodeUnavailable, "the appender is closed")
	}
	select {
	case a.queues[maphash.String(a.seed, string(j.events[0].Stream))%uint64(len(a.queues))] <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Appender) work(queue <-chan job) {
	for j := range queue {
		j.done <- a.write(j)
	}
}

// write sends a job's events one after the other. Behind the first failure
// nothing is sent: the stream would have a hole.
func (a *Appender) write(j job) outcome {
	for i := range j.events {
		e := &j.events[i]
		if err := j.ctx.Err(); err != nil {
			return outcome{job: j, unknown: i, err: err}
		}
		if err := a.publisher.Publish(j.topics[i], newMessage(e)); err != nil {
			a.metrics.failed.Inc()
			return outcome{job: j, unknown: i, err: err}
		}
		a.metrics.appended(*e)
	}
	return outcome{job: j, unknown: len(j.events)}
}

// Close waits until all that was handed over is written or has failed, and
// disconnects. Append fails afterwards. It may be called more than once.
func (a *Appender) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	for _, q := range a.queues {
		close(q)
	}
	a.workers.Wait()
	if err := a.publisher.Close(); err != nil {
		return fmt.Errorf("closing the appender: %w", err)
	}
	return nil
}

// AppendError says which events of an append are not known to be in the log.
type AppendError struct {
	// Total is how many events were to be appended.
	Total int
	// Unknown are the keys of events that were sent without being acknowledged:
	// they may be written or not.
	Unknown []string
	// Unsent are the keys of events that were not sent.
	Unsent []string
	err    error
}

func newAppendError(total int) *AppendError { return &AppendError{Total: total} }

func (e *AppendError) add(o outcome, sent bool) {
	for i, ev := range o.job.events[o.unknown:] {
		if sent && i == 0 && !isContextError(o.err) {
			e.Unknown = append(e.Unknown, ev.Key())
		} else {
			e.Unsent = append(e.Unsent, ev.Key())
		}
	}
	if e.err == nil {
		e.err = o.err
	}
}

// Error names the first few events of each kind and the first cause.
func (e *AppendError) Error() string {
	text := fmt.Sprintf("appending %d events:", e.Total)
	if len(e.Unknown) > 0 {
		text += fmt.Sprintf(" %d not known to be written (%s),", len(e.Unknown), few(e.Unknown))
	}
	if len(e.Unsent) > 0 {
		text += fmt.Sprintf(" %d not sent (%s),", len(e.Unsent), few(e.Unsent))
	}
	return strings.TrimSuffix(text, ",") + ": " + e.err.Error()
}

// Unwrap is the first failure.
func (e *AppendError) Unwrap() error { return e.err }

func few(keys []string) string {
	const most = 5
	if len(keys) > most {
		return strings.Join(keys[:most], ", ") + ", ..."
	}
	return strings.Join(keys, ", ")
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// codeOfAppend tells failures that repeating cannot mend from all others.
func codeOfAppend(err error) event.Code {
	if errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrInvalidRecord) {
		return event.CodeInvalid
	}
	return event.CodeUnavailable
}

var _ io.Closer = (*Appender)(nil)
