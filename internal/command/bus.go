// Package command is the single writer of every stream of decisions.
//
// Kafka cannot append on condition, so a decision is made in Postgres: one
// transaction locks the stream's head, checks what the decision depends on, and
// writes its events, numbered, to an outbox. A [Forwarder] appends the outbox to
// the log in order. Postgres decides, Kafka tells.
//
// An event may reach the log more than once, always with the same id, when a
// forwarder dies between appending it and noting that; first copies are in the
// order of their versions. Folds ignore the others.
package command

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tracing"
)

// Defaults of [Config].
const (
	DefaultWait          = 5 * time.Second
	DefaultSource        = "muster/command"
	DefaultMaxEventBytes = 15 << 20
)

// View tells how far the read model that decisions are checked against has come.
// It must be safe for concurrent use.
type View interface {
	// Applied is the version of the last decision of the stream that the view
	// shows; 0 before the first.
	Applied(ctx context.Context, stream event.Stream) (int64, error)
}

// ViewFunc makes a function a [View].
type ViewFunc func(ctx context.Context, stream event.Stream) (int64, error)

// Applied implements [View].
func (f ViewFunc) Applied(ctx context.Context, stream event.Stream) (int64, error) {
	return f(ctx, stream)
}

// Config is what a [Bus] needs. Pool and View must be set; the rest has defaults.
type Config struct {
	// Pool leads to the database that [Migrate] prepared. A command holds one of
	// its connections while it decides, none while it waits.
	Pool *pgxpool.Pool
	// View is what decisions are checked against.
	View View
	// CatchUp bounds how long a command waits for the view before it decides.
	CatchUp time.Duration
	// Answer bounds how long [Bus.Await] waits for the view after the decision.
	Answer time.Duration
	// Source is the source attribute of the events.
	Source string
	// MaxEventBytes is the largest value of an event; it must fit into a record
	// of the log together with its headers.
	MaxEventBytes int
	// Now is the clock; decisions happen at the time it tells.
	Now    func() time.Time
	Logger *slog.Logger
}

// Bus decides commands. Its methods are safe for concurrent use, also by several
// processes on one database.
type Bus struct {
	config Config
	turns  turns
}

// New is a bus on the given configuration. It fails with [event.CodeInvalid] when
// something that has no default is missing.
func New(c Config) (*Bus, error) {
	if c.Pool == nil || c.View == nil {
		return nil, event.Errorf(event.CodeInvalid, "commands need a Postgres pool and a view: set Config.Pool and Config.View")
	}
	if c.CatchUp <= 0 {
		c.CatchUp = DefaultWait
	}
	if c.Answer <= 0 {
		c.Answer = DefaultWait
	}
	if c.Source == "" {
		c.Source = DefaultSource
	}
	if c.MaxEventBytes <= 0 {
		c.MaxEventBytes = DefaultMaxEventBytes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Bus{config: c}, nil
}

// Input says on whose behalf a command runs and what its sender believes.
type Input struct {
	// Actor is the user or part of the system that asks.
	Actor string
	// ExpectedVersion is the version of the stream that the sender has seen; the
	// command fails with [event.CodeConflict] if it is another by now. Nil
	// expects nothing.
	ExpectedVersion *int64
	// CorrelationID groups the events of one request; may be empty.
	CorrelationID string
}

// BatchInput is the [Input] of a command on several streams.
type BatchInput struct {
	Actor string
	// Expected holds the versions that the sender has seen, for the streams it
	// cares about.
	Expected      map[event.Stream]int64
	CorrelationID string
}

// Decide makes a decision on a stream that is at the given version and that
// nobody else can change meanwhile. The view shows everything up to that version.
// What it writes through tx is committed together with the decision. Its error is
// returned to the sender as it is, and nothing is written. No events are a
// decision, too: what it wrote through tx is kept.
//
// It may run more than once for one command, each time in a new transaction, so
// it must have no effect except through tx.
type Decide func(ctx context.Context, tx pgx.Tx, version int64) ([]event.Payload, error)

// DecideAll is [Decide] for several streams; versions has one entry for each. The
// outbox keeps the order of the decisions it returns.
type DecideAll func(ctx context.Context, tx pgx.Tx, versions map[event.Stream]int64) ([]Decision, error)

// Decision is what happens to one of the streams of a batch.
type Decision struct {
	Stream event.Stream
	Events []event.Payload
}

// Receipt says what a command has come to. The events it names will reach the
// log, whatever happens to this process.
type Receipt struct {
	Stream event.Stream
	// Version is the version of the stream after the command.
	Version int64
	// EventIDs are the ids of the command's events, in order; none if it changed
	// nothing.
	EventIDs []uuid.UUID
}

// Do runs a command on one stream.
//
// It fails with [event.CodeConflict] if the stream is not at the expected
// version, with [event.CodeUnavailable] if the view has not caught up in time or
// Postgres is away, with [event.CodeInvalid] if an event breaks a rule of the
// envelope, and with whatever error decide returns. After an error nothing was
// decided, with one exception: when the connection breaks at the moment of the
// commit, the error says that the outcome is not known.
func (b *Bus) Do(ctx context.Context, stream event.Stream, in Input, decide Decide) (Receipt, error) {
	batch := BatchInput{Actor: in.Actor, CorrelationID: in.CorrelationID}
	if in.ExpectedVersion != nil {
		batch.Expected = map[event.Stream]int64{stream: *in.ExpectedVersion}
	}
	receipts, err := b.DoAll(ctx, []event.Stream{stream}, batch,
		func(ctx context.Context, tx pgx.Tx, versions map[event.Stream]int64) ([]Decision, error) {
			events, err := decide(ctx, tx, versions[stream])
			return []Decision{{Stream: stream, Events: events}}, err
		})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// DoAll runs a command on several streams in one transaction: all of it happens
// or nothing. It returns one receipt for each stream, in the order of their
// names, and fails like [Bus.Do].
func (b *Bus) DoAll(ctx context.Context, streams []event.Stream, in BatchInput, decide DecideAll) ([]Receipt, error) {
	streams = slices.Compact(slices.Sorted(slices.Values(streams)))
	if len(streams) == 0 {
		return nil, event.Errorf(event.CodeInvalid, "a command needs a stream to decide on; none was named")
	}
	for _, s := range streams {
		if err := s.Validate(); err != nil {
			return nil, err
		}
	}
	leave, err := b.turns.take(ctx, streams)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "waiting for other commands on %s: %w", streams[0], err)
	}
	defer leave()

	waiting, cancel := context.WithTimeout(ctx, b.config.CatchUp)
	defer cancel()
	for {
		applied, err := b.caughtUp(waiting, streams)
		if err != nil {
			return nil, err
		}
		receipts, err := b.attempt(ctx, streams, applied, in, decide)
		if !errors.Is(err, errMoved) {
			return receipts, err
		}
	}
}

// errMoved says that another process has decided between the look at the view
// and the lock.
var errMoved = errors.New("the stream has moved on")

// attempt decides in one transaction. The view is known to show the versions in
// applied: asking it again here would hold a second connection under the lock.
func (b *Bus) attempt(ctx context.Context, streams []event.Stream, applied map[event.Stream]int64, in BatchInput, decide DecideAll) ([]Receipt, error) {
	var receipts []Receipt
	var decideErr error
	err := pgx.BeginFunc(ctx, b.config.Pool, func(tx pgx.Tx) error {
		versions, err := lockHeads(ctx, tx, streams)
		if err != nil {
			return err
		}
		for _, s := range streams {
			if versions[s] > applied[s] {
				return errMoved
			}
			// The view is ahead when the log outlived these tables, as after
			// restoring an older backup: numbers go on from what is in the log.
			versions[s] = applied[s]
			if want, ok := in.Expected[s]; ok && want != versions[s] {
				return event.Errorf(event.CodeConflict, "%s is at version %d, not at the expected %d: somebody was faster; read it again and decide anew", s, versions[s], want)
			}
		}
		decisions, err := decide(ctx, tx, maps.Clone(versions))
		if err != nil {
			decideErr = err
			return err
		}
		entries, err := b.number(ctx, versions, in, decisions)
		if err != nil {
			return err
		}
		if err := writeOutbox(ctx, tx, entries, versions); err != nil {
			return err
		}
		receipts = receiptsOf(streams, versions, entries)
		return nil
	})
	switch {
	case err == nil:
		return receipts, nil
	case decideErr != nil:
		return nil, decideErr
	case receipts != nil && isOutcomeUnknown(err):
		return nil, storeError("committing the decision (whether it was kept is not known)", err)
	default:
		return nil, storeError("deciding on "+string(streams[0]), err)
	}
}

// number makes events of the decisions and moves versions forward accordingly.
func (b *Bus) number(ctx context.Context, versions map[event.Stream]int64, in BatchInput, decisions []Decision) ([]event.Event, error) {
	parent := tracing.Parent(ctx)
	now := b.config.Now().UTC() // the outbox keeps microseconds of it
	var events []event.Event
	for _, d := range decisions {
		if _, locked := versions[d.Stream]; !locked {
			return nil, event.Errorf(event.CodeInternal, "the command decided on %s, which it had not named", d.Stream)
		}
		for _, payload := range d.Events {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, event.Errorf(event.CodeInternal, "making an event id: %w", err)
			}
			e, err := event.New(id, d.Stream, b.config.Source, now, payload)
			if err != nil {
				return nil, err
			}
			versions[d.Stream]++
			e.Version = versions[d.Stream]
			e.Actor = in.Actor
			e.CorrelationID = in.CorrelationID
			e.TraceParent = parent
			if err := e.Validate(); err != nil {
				return nil, err
			}
			if len(e.Data) > b.config.MaxEventBytes {
				return nil, event.Errorf(event.CodeInvalid, "%s of %s is %d bytes long, at most %d fit into the log: split the command", e.Type, e.Stream, len(e.Data), b.config.MaxEventBytes)
			}
			events = append(events, e)
		}
	}
	return events, nil
}

func receiptsOf(streams []event.Stream, versions map[event.Stream]int64, events []event.Event) []Receipt {
	ids := make(map[event.Stream][]uuid.UUID, len(streams))
	for _, e := range events {
		ids[e.Stream] = append(ids[e.Stream], e.ID)
	}
	receipts := make([]Receipt, 0, len(streams))
	for _, s := range streams {
		receipts = append(receipts, Receipt{Stream: s, Version: versions[s], EventIDs: ids[s]})
	}
	return receipts
}
