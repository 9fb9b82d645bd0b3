// Package esi turns what ESI answers about characters into events: it reads a
// section, compares it with what was last seen, appends what is new to the log and
// only then takes over the new state.
package esi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// Appender appends events to the log and returns when it has them. The same
// events may be appended again.
type Appender interface {
	Append(ctx context.Context, events ...event.Event) error
}

// Logins is where the logins of characters are kept.
type Logins interface {
	// Park keeps a login from being used until its character is registered
	// again.
	Park(ctx context.Context, character int64, reason string) error
}

// Sealer seals the personal texts of events; [*keyring.Keyring] does.
type Sealer interface {
	// Seal returns the events in their order. What is sealed already stays as it is.
	Seal(ctx context.Context, events ...event.Event) ([]event.Event, error)
}

// Config is what a [Syncer] works with; all but Sealer, Logger and Now are required.
type Config struct {
	// Pool is on a database with the tables of package schema.
	Pool *pgxpool.Pool
	// Relaxed is a pool on the same database which does not wait until the disk has
	// what it commits: Pool if nil. All goes through it but what is about to be
	// appended. Should the database crash, what was committed last is done again: an
	// append gives the same events.
	Relaxed  *pgxpool.Pool
	Client   *transport.Client
	Appender Appender
	// Sealer is what events pass before they are written down or appended; nil leaves
	// them as they are. What changed is found before, in the open: that a text is sealed
	// makes no difference to anything that is compared.
	Sealer     Sealer
	Logins     Logins
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Tracer makes a span of each sync, and of each fetching of what a list named; nil
	// for none.
	Tracer trace.Tracer
	// Options say how sections are read.
	Options Options
	// ReadWithin bounds how long ESI is asked in one sync: 50 s. That the log is waited
	// for comes on top.
	ReadWithin time.Duration
	// Now is the clock: time.Now.
	Now func() time.Time
}

// Result is how a sync ended.
type Result string

const (
	// Changed: there was something new, and the log has it.
	Changed Result = "changed"
	// Unchanged: ESI confirmed what was known.
	Unchanged Result = "unchanged"
	// NotDue: it is too early to ask; nothing was asked.
	NotDue Result = "not_due"
	// Spared: nothing can have changed, since the character was not played; nothing
	// was asked. Outcome.NotBefore is when to look again.
	Spared Result = "spared"
	// Deferred: a limit holds the request back; nothing was learnt.
	Deferred Result = "deferred"
	// Failed: the section could not be read; see Outcome.Failure.
	Failed Result = "failed"
)

// Outcome is what a sync came to.
type Outcome struct {
	Result Result
	// Events is how many events were appended, those about failures included.
	Events int
	// ValidatedAt is when ESI last confirmed what is known; zero if never.
	ValidatedAt time.Time
	// NotBefore is the earliest moment at which another sync can help.
	NotBefore time.Time
	// Failure is set if the result is Failed or Deferred.
	Failure *transport.Failure
	// Failures is how many times in a row the section failed so.
	Failures int
	// FollowUps tells that there is something to be fetched apart now.
	FollowUps bool
}

// Syncer syncs sections of characters. It is safe for concurrent use, also by
// several programs on one database.
type Syncer struct {
	config   Config
	store    store
	door     *door
	sections map[eve.Section]Section
	kinds    map[string]followKind
	// heavy bounds how many long readings are in memory at once, line how many may
	// wait for that beside them.
	heavy   chan struct{}
	line    chan struct{}
	syncs   flights[Outcome]
	answers flights[transport.Answer]
	results *prometheus.CounterVec
	events  *prometheus.CounterVec
}

// NewSyncer makes a syncer of all [Sections].
func NewSyncer(config Config) (*Syncer, error) {
	if config.Pool == nil || config.Client == nil || config.Appender == nil || config.Logins == nil || config.Registerer == nil {
		return nil, event.Errorf(event.CodeInvalid, "a syncer needs a pool, a client, an appender, logins and a registerer")
	}
	if config.Relaxed == nil {
		config.Relaxed = config.Pool
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.ReadWithin == 0 {
		config.ReadWithin = readWithin
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Syncer{
		config:   config,
		door:     newDoor(config.Appender),
		store:    newStore(config.Relaxed, config.Pool),
		sections: map[eve.Section]Section{},
		kinds:    followKinds(),
		heavy:    make(chan struct{}, heavyAtOnce),
		line:     make(chan struct{}, heavyAtOnce+heavyInLine),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_ingest_syncs_total",
			Help: "Syncs by section, result and class of failure.",
		}, []string{"section", "result", "class"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_ingest_events_total",
			Help: "Events that syncs appended, by section.",
		}, []string{"section"}),
	}
	for _, section := range Sections(config.Options) {
		s.sections[section.Name] = section
	}
	for _, c := range []prometheus.Collector{s.results, s.events} {
		if err := config.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of the sync: %w", err)
		}
	}
	return s, nil
}

const (
	// readWithin is how long ESI is asked in one sync.
	readWithin = 50 * time.Second
	// heavyAtOnce is how many sections with long answers are read at once.
	heavyAtOnce = 3
	// heavyInLine is how many more may wait for that; the others come back later, so
	// that they do not hold up all who have little to read.
	heavyInLine = 5
	// backInLine is when they come back, spread over as long again and more.
	backInLine, backSpread = 5 * time.Second, 20 * time.Second
)

// Sync reads a section of a character once, if its cache has expired, and
// appends what is new. What the outside world does wrong is part of the outcome;
// an error means that Muster itself could not do its part, and that the same sync
// is to be repeated: it then appends the same events. Of several calls for the
// same section at once only one asks ESI.
func (s *Syncer) Sync(ctx context.Context, character int64, name eve.Section) (Outcome, error) {
	return s.join(ctx, character, name, s.config.Options.SpareIdle)
}

// Refresh is [Syncer.Sync] for somebody who has asked: nothing is spared.
func (s *Syncer) Refresh(ctx context.Context, character int64, name eve.Section) (Outcome, error) {
	return s.join(ctx, character, name, false)
}

// join syncs a section, or waits for another call that does.
func (s *Syncer) join(ctx context.Context, character int64, name eve.Section, spare bool) (Outcome, error) {
	section, ok := s.sections[name]
	if !ok {
		return Outcome{}, event.Errorf(event.CodeNotFound, "section %q is not synced by this Muster", name)
	}
	key := strconv.FormatInt(character, 10) + "/" + string(name)
	for {
		outcome, mine, err := s.syncs.do(ctx, key, func() (Outcome, error) { return s.traced(ctx, character, section, spare) })
		switch {
		case ctx.Err() != nil && !mine:
			return Outcome{}, fmt.Errorf("syncing %s of character %d: %w", name, character, err)
		case !mine && errors.Is(err, context.Canceled):
			// The call that was joined was given up, this one was not.
			continue
		case !mine && err == nil && !spare && outcome.Result == Spared:
			continue
		case mine && err == nil:
			s.count(name, outcome)
		}
		return outcome, err
	}
}

func (s *Syncer) count(section eve.Section, o Outcome) {
	class := ""
	if o.Failure != nil {
		class = string(o.Failure.Class)
	}
	s.results.WithLabelValues(string(section), string(o.Result), class).Inc()
	s.events.WithLabelValues(string(section)).Add(float64(o.Events))
}

func (s *Syncer) sync(ctx context.Context, character int64, section Section, spare bool) (Outcome, error) {
	if section.Heavy {
		select {
		case s.line <- struct{}{}:
			defer func() { <-s.line }()
		default:
			return s.tooLong(character, section), nil
		}
		select {
		case s.heavy <- struct{}{}:
			defer func() { <-s.heavy }()
		case <-ctx.Done():
			return Outcome{}, fmt.Errorf("syncing %s of character %d: %w", section.Name, character, context.Cause(ctx))
		}
	}
	known, err := s.store.load(ctx, character, section)
	if err != nil {
		return Outcome{}, err
	}
	st, resumed := known.state, 0
	if st.pending != nil {
		if st, err = s.resume(ctx, character, section, st); err != nil {
			return Outcome{}, err
		}
		resumed = 1
	}
	if now := s.config.Now(); now.Before(st.NotBefore) {
		result := NotDue
		if resumed > 0 {
			result = Changed
		}
		return Outcome{Result: result, ValidatedAt: st.ValidatedAt, NotBefore: st.NotBefore, Events: resumed}, nil
	}
	if spare && known.presence != nil && resumed == 0 {
		if next, idle := known.presence.spare(s.config.Options, section, st, s.config.Now()); idle {
			return Outcome{Result: Spared, ValidatedAt: st.ValidatedAt, NotBefore: next}, nil
		}
	}
	if s.door.closed() {
		held := s.door.held(character, section.Name, s.config.Now())
		return Outcome{Result: Deferred, ValidatedAt: st.ValidatedAt, NotBefore: held.RetryAt, Failure: held, Events: resumed}, nil
	}
	a := &attempt{syncer: s, character: character, section: section, state: st, prior: known.parts}
	err = a.readWithin(ctx, s.config.ReadWithin)
	var failure *transport.Failure
	switch {
	case errors.As(err, &failure):
		return a.failed(ctx, failure)
	case err != nil:
		return Outcome{}, err
	default:
		return a.answered(ctx)
	}
}

// seal seals the personal texts of events.
func (s *Syncer) seal(ctx context.Context, events []event.Event) ([]event.Event, error) {
	if s.config.Sealer == nil || len(events) == 0 {
		return events, nil
	}
	return s.config.Sealer.Seal(ctx, events...)
}

// tooLong puts a long reading off because the line is.
func (s *Syncer) tooLong(character int64, section Section) Outcome {
	at := s.config.Now().Add(backInLine)
	return Outcome{Result: Deferred, NotBefore: at, Failure: &transport.Failure{
		Class: eve.FailureRateLimited, Deferred: true, RetryAt: at, Spread: backSpread,
		Message: fmt.Sprintf("%s of character %d has to wait: many long lists are being read", section.Name, character),
	}}
}

// resume finishes an append that was begun before. After a crash the pages of its
// reading are gone, so that the next one asks for all of them; when the log was away
// they were kept, and are taken over once ESI confirms them.
func (s *Syncer) resume(ctx context.Context, character int64, section Section, st state) (state, error) {
	s.config.Logger.InfoContext(ctx, "finishing an append that was begun earlier", "character", character, "section", string(section.Name), "events", len(st.pending.Events))
	t := taken{next: st.pending.Next, followUps: st.pending.FollowUps, settled: st.pending.Settled}
	t.next.PartsComplete = nil
	// What an earlier version wrote down may not be sealed.
	events, err := s.seal(ctx, st.pending.Events)
	if err != nil {
		return st, fmt.Errorf("appending again for section %s of character %d: %w", section.Name, character, err)
	}
	err = s.door.Append(ctx, events...)
	if event.CodeOf(err) == event.CodeInvalid {
		// The log will never take them: the section is read anew.
		s.config.Logger.ErrorContext(ctx, "the log refuses an append that was begun earlier; it is dropped",
			"character", character, "section", string(section.Name), "error", err)
		t = taken{next: st}
	} else if err != nil {
		return st, fmt.Errorf("appending again for section %s of character %d: %w", section.Name, character, err)
	}
	if err := s.store.commit(ctx, character, section, st.revision, t); err != nil {
		return st, err
	}
	t.next.revision, t.next.pending = st.revision+1, nil
	return t.next, nil
}
