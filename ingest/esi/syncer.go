// Package esi turns what ESI answers about characters into events: it reads a
// section, compares it with what was last seen, appends what is new to the log and
// only then takes over the new state.
package esi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/sso"
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

// Config is what a [Syncer] works with; all but Logger and Now are required.
type Config struct {
	// Pool is on a database with the tables of package schema.
	Pool       *pgxpool.Pool
	Client     *transport.Client
	Appender   Appender
	Logins     Logins
	Registerer prometheus.Registerer
	Logger     *slog.Logger
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
}

// Syncer syncs sections of characters. It is safe for concurrent use, also by
// several programs on one database.
type Syncer struct {
	config   Config
	store    store
	sections map[eve.Section]Section
	flights  singleflight.Group
	results  *prometheus.CounterVec
	events   *prometheus.CounterVec
}

// NewSyncer makes a syncer of all [Sections].
func NewSyncer(config Config) (*Syncer, error) {
	if config.Pool == nil || config.Client == nil || config.Appender == nil || config.Logins == nil || config.Registerer == nil {
		return nil, event.Errorf(event.CodeInvalid, "a syncer needs a pool, a client, an appender, logins and a registerer")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Syncer{
		config:   config,
		store:    store{pool: config.Pool},
		sections: map[eve.Section]Section{},
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_ingest_syncs_total",
			Help: "Syncs by section, result and class of failure.",
		}, []string{"section", "result", "class"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_ingest_events_total",
			Help: "Events that syncs appended, by section.",
		}, []string{"section"}),
	}
	for _, section := range Sections() {
		s.sections[section.Name] = section
	}
	for _, c := range []prometheus.Collector{s.results, s.events} {
		if err := config.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of the sync: %w", err)
		}
	}
	return s, nil
}

// Sync reads a section of a character once, if its cache has expired, and
// appends what is new. What the outside world does wrong is part of the outcome;
// an error means that Muster itself could not do its part, and that the same sync
// is to be repeated: it then appends the same events. Of several calls for the
// same section at once only one asks ESI.
func (s *Syncer) Sync(ctx context.Context, character int64, name eve.Section) (Outcome, error) {
	section, ok := s.sections[name]
	if !ok {
		return Outcome{}, event.Errorf(event.CodeNotFound, "section %q is not synced by this Muster", name)
	}
	key := strconv.FormatInt(character, 10) + "/" + string(name)
	for {
		var mine bool
		result := s.flights.DoChan(key, func() (any, error) {
			mine = true
			return s.sync(ctx, character, section)
		})
		select {
		case r := <-result:
			if r.Err != nil && !mine && ctx.Err() == nil && errors.Is(r.Err, context.Canceled) {
				// The call that was joined was given up, this one was not.
				continue
			}
			outcome, _ := r.Val.(Outcome)
			if r.Err == nil && mine {
				s.count(name, outcome)
			}
			return outcome, r.Err
		case <-ctx.Done():
			return Outcome{}, fmt.Errorf("syncing %s of character %d: %w", name, character, context.Cause(ctx))
		}
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

func (s *Syncer) sync(ctx context.Context, character int64, section Section) (Outcome, error) {
	st, prior, err := s.store.load(ctx, character, section.Name)
	if err != nil {
		return Outcome{}, err
	}
	resumed := 0
	if st.pending != nil {
		if st, err = s.resume(ctx, character, section.Name, st); err != nil {
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
	answer, err := s.config.Client.Get(ctx, transport.Request{Route: section.Route, Character: character, Prior: prior, Complete: st.PagesComplete})
	var failure *transport.Failure
	switch {
	case errors.As(err, &failure):
		return s.failed(ctx, character, section.Name, st, failure)
	case err != nil:
		return Outcome{}, err //nolint:wrapcheck // The client says what failed.
	default:
		return s.answered(ctx, character, section, st, answer)
	}
}

// resume finishes an append that was begun before a crash.
func (s *Syncer) resume(ctx context.Context, character int64, section eve.Section, st state) (state, error) {
	s.config.Logger.InfoContext(ctx, "finishing an append that was begun earlier", "character", character, "section", string(section), "events", len(st.pending.Events))
	next := st.pending.Next
	err := s.config.Appender.Append(ctx, st.pending.Events...)
	if event.CodeOf(err) == event.CodeInvalid {
		// The log will never take them: the section is read anew.
		s.config.Logger.ErrorContext(ctx, "the log refuses an append that was begun earlier; it is dropped",
			"character", character, "section", string(section), "error", err)
		next = st
	} else if err != nil {
		return st, fmt.Errorf("appending again for section %s of character %d: %w", section, character, err)
	}
	if err := s.store.commit(ctx, character, section, st.revision, next, st.pending.Pages); err != nil {
		return st, err
	}
	next.revision, next.pending = st.revision+1, nil
	return next, nil
}

// answered takes a good answer.
func (s *Syncer) answered(ctx context.Context, character int64, section Section, st state, answer transport.Answer) (Outcome, error) {
	next := st
	next.ValidatedAt, next.NotBefore = answer.FetchedAt, answer.ExpiresAt
	var events []event.Event
	if !answer.NotModified {
		changes, err := section.Changes(Reading{CharacterID: character, Answer: answer, Series: st.Series, Cursor: st.Cursor})
		if err != nil {
			return s.failed(ctx, character, section.Name, st, unreadable(character, section, answer, err))
		}
		events = changes.Events
		next.FetchedAt, next.PagesComplete = answer.FetchedAt, len(answer.Pages)
		next.Series, next.Cursor = changes.Series, changes.Cursor
	}
	changed := len(events) > 0
	if changed {
		next.ChangedAt = answer.FetchedAt
	}
	recovered, err := next.recover(character, section.Name, answer.FetchedAt)
	if err != nil {
		return Outcome{}, err
	}
	if recovered != nil {
		events = append(events, *recovered)
	}
	err = s.record(ctx, character, section.Name, &st, events, next, answer.Pages)
	if changed && event.CodeOf(err) == event.CodeInvalid {
		return s.failed(ctx, character, section.Name, st, unreadable(character, section, answer, err))
	}
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{Result: Unchanged, Events: len(events), ValidatedAt: next.ValidatedAt, NotBefore: next.NotBefore}
	if changed {
		outcome.Result = Changed
	}
	return outcome, nil
}

// unreadable is the failure of an answer that is JSON, but not what it should be.
func unreadable(character int64, section Section, answer transport.Answer, err error) *transport.Failure {
	reason := err.Error()
	// All pages but the bad one are good, and need not be sent again.
	var kept []transport.Page
	var bad *eve.PageError
	if len(answer.Pages) > 1 && errors.As(err, &bad) {
		kept = slices.Clone(answer.Pages)
		kept[bad.Page-1] = transport.Page{}
	}
	return &transport.Failure{
		Kept:    kept,
		Class:   eve.FailureMalformed,
		Status:  200,
		Message: fmt.Sprintf("%s of character %d: %s; the answer is kept in quarantine", section.Route.Operation, character, reason),
		RetryAt: answer.ExpiresAt,
		Sample: &transport.Sample{
			CharacterID: character,
			Operation:   section.Route.Operation,
			Path:        section.Route.Path(character),
			Status:      200,
			ContentType: "application/json",
			Reason:      reason,
			Body:        sampleOf(answer.Pages),
			At:          answer.FetchedAt,
		},
	}
}

// sampleOf is the beginning of all pages, one a line.
func sampleOf(pages []transport.Page) []byte {
	var sample []byte
	for _, page := range pages {
		sample = append(append(sample, page.Body[:min(len(page.Body), transport.MaxSample)]...), '\n')
		if len(sample) >= transport.MaxSample {
			return slices.Clip(sample[:transport.MaxSample])
		}
	}
	return sample
}

// failed takes a failure: it is counted, and reported when it is worth it.
func (s *Syncer) failed(ctx context.Context, character int64, section eve.Section, st state, failure *transport.Failure) (Outcome, error) {
	if failure.Deferred {
		if failure.Kept != nil {
			st.NotBefore, st.PagesComplete = failure.RetryAt.UTC(), 0
			if err := s.store.commit(ctx, character, section, st.revision, st, failure.Kept); err != nil {
				return Outcome{}, err
			}
		}
		return Outcome{Result: Deferred, ValidatedAt: st.ValidatedAt, NotBefore: failure.RetryAt, Failure: failure}, nil
	}
	now := s.config.Now().UTC()
	if failure.Sample != nil {
		if err := s.store.keep(ctx, *failure.Sample); err != nil {
			return Outcome{}, err
		}
	}
	next := st
	next.fail(failure.Class, failure.Status, failure.Message, now)
	if failure.RetryAt.After(next.NotBefore) {
		next.NotBefore = failure.RetryAt.UTC()
	}
	if failure.Kept != nil {
		next.PagesComplete = 0
	}
	var events []event.Event
	reported, err := next.report(character, section, now)
	if err != nil {
		return Outcome{}, err
	}
	if reported != nil {
		events = append(events, *reported)
	}
	orphaned, err := orphan(character, failure, now)
	if err != nil {
		return Outcome{}, err
	}
	if orphaned != nil {
		events = append(events, *orphaned)
	}
	if err := s.record(ctx, character, section, &st, events, next, failure.Kept); err != nil {
		return Outcome{}, err
	}
	if orphaned != nil {
		// Only after the log has the fact: were the login parked first, a crash
		// would lose it.
		if err := s.config.Logins.Park(ctx, character, "the character changed its owner"); err != nil {
			return Outcome{}, fmt.Errorf("parking the login of character %d: %w", character, err)
		}
	}
	s.config.Logger.WarnContext(ctx, "section could not be read", "character", character, "section", string(section),
		"class", string(failure.Class), "status", failure.Status, "failures", next.Spell.Failures, "reason", failure.Message)
	return Outcome{
		Result:      Failed,
		Events:      len(events),
		ValidatedAt: next.ValidatedAt,
		NotBefore:   next.NotBefore,
		Failure:     failure,
		Failures:    next.Spell.Failures,
	}, nil
}

// orphan makes the event of a changed owner, if that is what failed.
func orphan(character int64, failure *transport.Failure, at time.Time) (*event.Event, error) {
	var changed *sso.OwnerChangedError
	if !errors.As(failure, &changed) {
		return nil, nil //nolint:nilnil // Nothing to report is the usual case, not a failure.
	}
	stream := event.Character(character)
	id := event.ObservationID(stream, eve.TypeCharacterOrphaned, uuid.Nil, changed.Was+"/"+changed.Is)
	e, err := event.New(id, stream, source, at, eve.CharacterOrphaned{
		CharacterID: character,
		Reason:      "its owner changed: EVE's owner hash is another one",
	})
	if err != nil {
		return nil, fmt.Errorf("making the event of an orphan: %w", err)
	}
	return &e, nil
}

// record appends events and then takes over the state that follows. The events
// are written down first, so that a crash at any point repeats exactly them. It
// fails with [event.CodeInvalid] if the log refuses them for good; then nothing is
// left of them, and st is the state as it is now.
func (s *Syncer) record(ctx context.Context, character int64, section eve.Section, st *state, events []event.Event, next state, pages []transport.Page) error {
	if len(pages) == 1 {
		// The content of a single page is not needed again.
		pages = []transport.Page{{ETag: pages[0].ETag, LastModified: pages[0].LastModified}}
	}
	if len(events) > 0 {
		if err := s.store.begin(ctx, character, section, st, &pending{Events: events, Next: next, Pages: pages}); err != nil {
			return err
		}
		err := s.config.Appender.Append(ctx, events...)
		if event.CodeOf(err) == event.CodeInvalid {
			if err := s.store.commit(ctx, character, section, st.revision, *st, nil); err != nil {
				return err
			}
			st.revision++
		}
		if err != nil {
			return fmt.Errorf("appending for section %s of character %d: %w", section, character, err)
		}
	}
	return s.store.commit(ctx, character, section, st.revision, next, pages)
}
