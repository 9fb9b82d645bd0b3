package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware" //nolint:depguard // These are the reactors that the rule sends others to.
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
)

// ReactorsConfig says how [Reactors] are given events.
type ReactorsConfig struct {
	// Brokers are the addresses to begin with.
	Brokers []string
	// Security is how they are spoken with; the zero value in the open.
	Security Security
	// ClientID is the name brokers know the clients by; default "muster".
	ClientID string
	// Registry knows the event types that reactors may be given. Events of
	// other types, written by a newer Muster, are passed over and counted.
	Registry *event.Registry
	// Retries is how often a failed event is tried again before it is parked
	// as poison; default 8.
	Retries int
	// FirstRetry is the pause before the first retry, which doubles with each
	// up to a minute; default 100 ms.
	FirstRetry time.Duration
	// SessionTimeout is after how long without a sign of life another member
	// of the group takes over; default 10 s.
	SessionTimeout time.Duration
	// CloseTimeout is how long closing waits for reactors that are at work;
	// default 30 s.
	CloseTimeout time.Duration
	// Logger is for failures and poison; default discards.
	Logger *slog.Logger
	// Metrics is where metrics are registered; nil for nowhere.
	Metrics prometheus.Registerer
}

func (c ReactorsConfig) withDefaults() ReactorsConfig {
	if c.ClientID == "" {
		c.ClientID = defaultClientID
	}
	if c.Retries == 0 {
		c.Retries = 8
	}
	if c.FirstRetry == 0 {
		c.FirstRetry = 100 * time.Millisecond
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = 10 * time.Second
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports a configuration that cannot work, as [event.CodeInvalid].
func (c ReactorsConfig) Validate() error {
	switch {
	case len(c.Brokers) == 0:
		return event.Errorf(event.CodeInvalid, "reactors: no Kafka brokers are configured")
	case c.Registry == nil:
		return event.Errorf(event.CodeInvalid, "reactors: no registry of event types is given")
	case c.Retries < 0 || c.FirstRetry < 0:
		return event.Errorf(event.CodeInvalid, "reactors: %d retries after %s: neither may be negative", c.Retries, c.FirstRetry)
	}
	return nil
}

// ReactorFunc does what is to be done about an event. It is given every event
// at least once, those of a stream in order, and must therefore bear repetition.
//
// An error is retried, and an event that keeps failing is copied to the poison
// topic and passed. There is no use in retrying errors of [event.CodePoisoned]
// and [event.CodeInvalid], so they are parked at once; [event.CodeUnavailable]
// and the errors of a context say nothing about the event, so it is never parked
// for them but tried until it succeeds, and what lies behind it waits.
type ReactorFunc func(ctx context.Context, e event.Recorded) error

// Reactors gives events to functions that have side effects, each in a consumer
// group of its own named muster-<name>, beginning with the oldest event.
//
// Call Handle for each reactor, then Run once. Run and Close may be called by
// different goroutines.
type Reactors struct {
	cfg         ReactorsConfig
	logger      *slog.Logger
	metrics     *reactorMetrics
	router      *message.Router
	poison      message.Publisher
	subscribers []message.Subscriber
	closeOnce   sync.Once
	closeErr    error

	// mu guards whether Run was called or may no longer be.
	mu      sync.Mutex
	started bool
	closed  bool
	// ended is closed when Run returns.
	ended chan struct{}
}

// NewReactors connects to the brokers. [Reactors.Close] must be called in the
// end.
func NewReactors(cfg ReactorsConfig) (*Reactors, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	metrics, err := newReactorMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	poison, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers:               cfg.Brokers,
		Marshaler:             poisonMarshaler{},
		OverwriteSaramaConfig: producerConfig(cfg.Security, cfg.ClientID),
	}, watermillLogger{cfg.Logger})
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "connecting to Kafka at %s for reactors: %w", strings.Join(cfg.Brokers, ","), err)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: cfg.CloseTimeout}, watermillLogger{cfg.Logger})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a router: %w", err), poison.Close())
	}
	r := &Reactors{cfg: cfg, logger: cfg.Logger, metrics: metrics, router: router, poison: poison, ended: make(chan struct{})}
	park, err := middleware.PoisonQueueWithFilter(poison, event.TopicPoison, isPoison)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the poison queue: %w", err), poison.Close())
	}
	router.AddMiddleware(r.countPoison, park, middleware.Retry{
		MaxRetries:      cfg.Retries,
		InitialInterval: cfg.FirstRetry,
		MaxInterval:     time.Minute,
		Multiplier:      2,
		ShouldRetry:     func(p middleware.RetryParams) bool { return mayPass(p.Err) },
		// Otherwise a context that one attempt has cancelled would make all
		// later ones fail.
		ResetContextOnRetry: true,
	}.Middleware)
	return r, nil
}

// Handle registers a reactor for the events of one topic. One reactor may read
// several topics: its name may be used once for each. only are the events that it is
// about, by their types; without any it is given all. Most of what happens is no
// reactor's concern, and is then passed without a look at more than the type. It fails
// with [event.CodeInvalid] if the name is used twice for a topic or empty.
func (r *Reactors) Handle(name, topic string, fn ReactorFunc, only ...func(event.Type) bool) error {
	id := name + "/" + topic
	if name == "" || topic == "" || fn == nil {
		return event.Errorf(event.CodeInvalid, "reactor %q of topic %q: name, topic and function must be given", name, topic)
	}
	if _, twice := r.router.Handlers()[id]; twice {
		return event.Errorf(event.CodeInvalid, "reactor %q of topic %q is registered already", name, topic)
	}
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               r.cfg.Brokers,
		Unmarshaler:           recordUnmarshaler{only: only},
		ConsumerGroup:         "muster-" + name,
		NackResendSleep:       time.Second,
		ReconnectRetrySleep:   time.Second,
		OverwriteSaramaConfig: r.consumerConfig(),
	}, watermillLogger{r.logger})
	if err != nil {
		return event.Errorf(event.CodeInvalid, "subscribing reactor %s to %s: %w", name, topic, err)
	}
	r.subscribers = append(r.subscribers, subscriber)
	r.router.AddConsumerHandler(id, topic, subscriber, func(m *message.Message) error {
		if passed(m) {
			return nil
		}
		return r.react(name, m, fn)
	})
	return nil
}

const (
	// reactWithin is how long events may wait at the broker until there are enough of
	// them to be worth an answer, reactBytes how many bytes are enough: nobody who waits
	// for a reactor notices the one, and to be sent each event by itself costs a process
	// that appends many as much as all it does to make them.
	reactWithin = 500 * time.Millisecond
	reactBytes  = 64 << 10
)

// joinReserve is how much longer than the broker needs is waited for the answer
// to a join.
const joinReserve = 10 * time.Second

func (r *Reactors) consumerConfig() *sarama.Config {
	c := kafka.DefaultSaramaSubscriberConfig()
	c.ClientID = r.cfg.ClientID
	c.Metadata.AllowAutoTopicCreation = false
	// Events can be megabytes long, and a reactor takes one at a time: few need to
	// wait in memory.
	c.ChannelBufferSize = 8
	c.Consumer.MaxWaitTime, c.Consumer.Fetch.Min = reactWithin, reactBytes
	c.MetricRegistry = unmeasured{}
	// A reactor that is new begins with all of history; sarama would begin at
	// the end and miss it without a word.
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	// A reactor may take its time for an event, retries included, without the
	// partition being given up.
	c.Consumer.MaxProcessingTime = 10 * time.Minute
	c.Consumer.Group.Session.Timeout = r.cfg.SessionTimeout
	c.Consumer.Group.Heartbeat.Interval = r.cfg.SessionTimeout / 3
	// The answer to a join comes when the members that were killed are given up,
	// each of which may begin the wait anew. A client that does not wait for it
	// joins again as somebody else, and so for ever.
	c.Consumer.Group.Rebalance.Timeout = 2 * r.cfg.SessionTimeout
	c.Net.ReadTimeout = max(c.Net.ReadTimeout, r.cfg.SessionTimeout+c.Consumer.Group.Rebalance.Timeout+joinReserve)
	return r.cfg.Security.secure(c)
}

// react gives one message to a reactor.
func (r *Reactors) react(name string, m *message.Message, fn ReactorFunc) error {
	e, err := recorded(m)
	if err != nil {
		return err
	}
	at := e.Position
	if e.IsTombstone() || !r.cfg.Registry.Knows(e.Type) {
		r.metrics.handled.WithLabelValues(name, resultUnknown).Inc()
		return nil
	}
	start := time.Now()
	err = call(m.Context(), fn, e)
	r.metrics.seconds.WithLabelValues(name).Observe(time.Since(start).Seconds())
	if err == nil {
		r.metrics.handled.WithLabelValues(name, resultDone).Inc()
		return nil
	}
	if ctxErr := m.Context().Err(); ctxErr != nil && !isContextError(err) {
		// Whatever failed did so because all is being shut down.
		return fmt.Errorf("reactor %s was stopped at %s (%s): %w", name, at, err.Error(), ctxErr)
	}
	r.metrics.handled.WithLabelValues(name, resultFailed).Inc()
	r.logger.Warn("reactor failed", "reactor", name, "event", e.Key(), "position", at.String(), "error", err)
	return fmt.Errorf("reactor %s at %s: %w", name, at, err)
}

// call turns a panic into an error: one bad event must not take the process
// down with it.
func call(ctx context.Context, fn ReactorFunc, e event.Recorded) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = event.Errorf(event.CodeInternal, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(ctx, e)
}

// mayPass tells whether an error may be gone at the next attempt.
func mayPass(err error) bool {
	code := event.CodeOf(err)
	return code != event.CodePoisoned && code != event.CodeInvalid
}

// isPoison tells whether an error is about the event, and not about something
// that was away or a program that is stopping.
func isPoison(err error) bool {
	return !isContextError(err) && event.CodeOf(err) != event.CodeUnavailable
}

// countPoison reports what the poison queue took: from outside, it looks like
// success.
func (r *Reactors) countPoison(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		produced, err := next(m)
		if why := m.Metadata.Get(middleware.ReasonForPoisonedKey); why != "" && err == nil {
			name, _, _ := strings.Cut(message.HandlerNameFromCtx(m.Context()), "/")
			r.metrics.handled.WithLabelValues(name, resultPoisoned).Inc()
			at, _ := position(m)
			r.logger.Error("event parked as poison", "reactor", name, "position", at.String(), "reason", why)
		}
		return produced, err
	}
}

// Run gives events to the reactors until ctx ends or Close is called, and
// returns when none is at work any more. If the brokers are away when it is
// called, it fails with [event.CodeUnavailable] and may be called again;
// otherwise it can be called once.
func (r *Reactors) Run(ctx context.Context) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	refused := r.started || r.closed
	r.started = true
	r.mu.Unlock()
	if refused {
		return event.Errorf(event.CodeConflict, "running reactors: they were run or closed before")
	}
	defer close(r.ended)
	if err := r.router.Run(ctx); err != nil {
		return event.Errorf(event.CodeUnavailable, "running reactors: %w", err)
	}
	return nil
}

// reach asks whether the brokers answer. A router whose subscriptions fail can
// neither be run again nor be closed.
func (r *Reactors) reach(ctx context.Context) error {
	client, err := kgo.NewClient(baseOptions(r.cfg.Brokers, r.cfg.Security, r.cfg.ClientID, r.logger)...)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "running reactors with brokers %s: %w", strings.Join(r.cfg.Brokers, ","), err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return event.Errorf(event.CodeUnavailable, "running reactors: reaching Kafka at %s: %w", strings.Join(r.cfg.Brokers, ","), err)
	}
	return nil
}

// Running is closed once all reactors have subscribed.
func (r *Reactors) Running() <-chan struct{} { return r.router.Running() }

// Close stops the reactors, waits for those at work and disconnects. An event
// that was not finished is given again next time. It may be called more than
// once.
func (r *Reactors) Close() error {
	r.closeOnce.Do(func() {
		errs := []error{r.stop()}
		for _, s := range r.subscribers {
			errs = append(errs, s.Close())
		}
		if err := errors.Join(append(errs, r.poison.Close())...); err != nil {
			r.closeErr = fmt.Errorf("closing reactors: %w", err)
		}
	})
	return r.closeErr
}

// stop closes the router if it runs. A router that does not would wait for
// handlers that never started.
func (r *Reactors) stop() error {
	r.mu.Lock()
	started := r.started
	r.closed = true
	r.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-r.ended:
		return nil
	case <-r.router.Running():
		return r.router.Close()
	}
}
