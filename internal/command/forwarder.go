package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/event"
)

// Defaults of [ForwarderConfig].
const (
	DefaultPoll        = time.Second
	DefaultBatchEvents = 500
	DefaultBatchBytes  = 8 << 20
	DefaultKeep        = 24 * time.Hour
	DefaultPruneEvery  = 10 * time.Minute
	DefaultStopGrace   = 5 * time.Second
)

const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 5 * time.Second
	// pruneBatch bounds how many rows one statement removes, so that none holds
	// locks for long.
	pruneBatch = 10_000
)

// Appender is the log. Append returns nil once every event is acknowledged, an
// error with [event.CodeInvalid] if the log can never take one of them, and any
// other error if trying again may help. After an error, some may have been
// appended; of one stream, never one without those before it.
type Appender interface {
	Append(ctx context.Context, events ...event.Event) error
}

// ForwarderConfig is what a [Forwarder] needs. Pool and Log must be set; the rest
// has defaults.
type ForwarderConfig struct {
	// Pool leads to the database that [Migrate] prepared. A running forwarder
	// takes one connection out of it.
	Pool *pgxpool.Pool
	Log  Appender
	// Poll is how often the outbox is looked at without being woken, and how often
	// a forwarder that does not lead tries to.
	Poll time.Duration
	// BatchEvents and BatchBytes bound what is appended at once.
	BatchEvents int
	BatchBytes  int
	// Keep is how long appended rows stay for operators to look at.
	Keep time.Duration
	// PruneEvery is how often older ones are removed.
	PruneEvery time.Duration
	// StopGrace bounds how long an append in flight may take after the stop.
	StopGrace time.Duration
	Logger    *slog.Logger
	// Registerer gets the metrics of the outbox and of the forwarder; nil for none.
	Registerer prometheus.Registerer
}

// Forwarder appends the outbox to the log. Any number of them may run, in any
// number of processes: an advisory lock of the database lets one work, and
// another takes over when its connection ends.
type Forwarder struct {
	config  ForwarderConfig
	metrics metrics
}

// NewForwarder is a forwarder on the given configuration; [Forwarder.Run] sets it
// to work. It fails with [event.CodeInvalid] when something that has no default is
// missing.
func NewForwarder(c ForwarderConfig) (*Forwarder, error) {
	if c.Pool == nil || c.Log == nil {
		return nil, event.Errorf(event.CodeInvalid, "the forwarder needs a Postgres pool and a log: set ForwarderConfig.Pool and ForwarderConfig.Log")
	}
	orDefault(&c.Poll, DefaultPoll)
	orDefault(&c.BatchEvents, DefaultBatchEvents)
	orDefault(&c.BatchBytes, DefaultBatchBytes)
	orDefault(&c.Keep, DefaultKeep)
	orDefault(&c.PruneEvery, DefaultPruneEvery)
	orDefault(&c.StopGrace, DefaultStopGrace)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Forwarder{config: c, metrics: newMetrics()}
	if c.Registerer != nil {
		if err := f.metrics.register(c.Registerer, c.Pool); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func orDefault[T int | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// Run forwards until ctx ends and then returns nil, after the append in flight was
// acknowledged and noted or [ForwarderConfig.StopGrace] is over. Failures of
// Postgres and of the log are logged and tried again. It must be called once; the
// log must stay open until it has returned.
func (f *Forwarder) Run(ctx context.Context) error {
	// Work outlives ctx for a moment: what is already on its way to the log should
	// be noted, or the next forwarder repeats it.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	detach := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(f.config.StopGrace, stopWork)
		context.AfterFunc(work, func() { timer.Stop() })
	})
	defer detach()

	pause := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := f.session(ctx, work)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > longestRetry {
			pause = firstRetry
		}
		f.config.Logger.WarnContext(ctx, "forwarding commands was interrupted, trying again", "error", err, "pause", pause)
		if sleep(ctx, pause) != nil {
			break
		}
		pause = min(2*pause, longestRetry)
	}
	return nil
}

// session is the life of one connection: wait for the lock, then forward until
// ctx ends or the connection breaks.
func (f *Forwarder) session(ctx, work context.Context) error {
	pooled, err := f.config.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	// The lock and the subscription are the connection's; it must not go back to
	// the pool with them.
	conn := pooled.Hijack()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listening for new commands: %w", err)
	}
	if err := f.lead(ctx, conn); err != nil {
		return err
	}
	f.metrics.leading.Set(1)
	defer f.metrics.leading.Set(0)
	f.config.Logger.InfoContext(ctx, "this process forwards commands to the log")
	return f.forwardAll(ctx, work, conn)
}

// lead waits until the lock of the forwarders is ours. It asks again and again:
// a statement that waited for the lock would hold back Postgres's vacuum.
func (f *Forwarder) lead(ctx context.Context, conn *pgx.Conn) error {
	for {
		var ours bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('muster.command.forwarder', 0))`).Scan(&ours)
		if err != nil {
			return fmt.Errorf("taking the lock of the forwarders: %w", err)
		}
		if ours {
			return nil
		}
		if err := sleep(ctx, f.config.Poll); err != nil {
			return err
		}
	}
}

// forwardAll empties the outbox whenever there is something in it. A log that is
// away does not end the session: the lock stays ours.
func (f *Forwarder) forwardAll(ctx, work context.Context, conn *pgx.Conn) error {
	pause := firstRetry
	var pruned time.Time
	for ctx.Err() == nil {
		n, err := f.forward(work, conn)
		var away *logError
		switch {
		case errors.As(err, &away):
			f.metrics.failures.Inc()
			f.config.Logger.WarnContext(ctx, "the log does not take commands, trying again", "error", err, "pause", pause)
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, longestRetry)
			continue
		case err != nil:
			return err
		}
		pause = firstRetry
		if n > 0 {
			continue
		}
		if time.Since(pruned) >= f.config.PruneEvery {
			pruned = time.Now()
			if err := f.prune(ctx, conn); err != nil {
				return err
			}
		}
		if err := waitForCommand(ctx, conn, f.config.Poll); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// waitForCommand waits until a commit wakes us, at most for the given time.
func waitForCommand(ctx context.Context, conn *pgx.Conn, atMost time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	_, err := conn.WaitForNotification(waiting)
	if err != nil && waiting.Err() == nil {
		return fmt.Errorf("waiting for new commands: %w", err)
	}
	// One look at the outbox answers all calls that have come in by now. With a
	// context that is over, pgx hands out what it has and does not wait.
	cancel()
	for err == nil {
		_, err = conn.WaitForNotification(waiting)
	}
	return ctx.Err()
}

// logError marks an error of the log that may pass.
type logError struct{ err error }

func (e *logError) Error() string { return "appending to the log: " + e.err.Error() }
func (e *logError) Unwrap() error { return e.err }

// forward appends the next entries of the outbox and notes that, and returns how
// many entries were settled. Append first, note after: a crash between the two
// repeats events whose ids are known.
func (f *Forwarder) forward(ctx context.Context, conn *pgx.Conn) (int, error) {
	entries, err := readPending(ctx, conn, f.config.BatchEvents, f.config.BatchBytes)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	events := make([]event.Event, len(entries))
	for i, n := range entries {
		events[i] = n.event
	}
	err = f.config.Log.Append(ctx, events...)
	switch {
	case err == nil:
		return len(entries), f.markAppended(ctx, conn, entries)
	case event.CodeOf(err) == event.CodeInvalid:
		return f.forwardOneByOne(ctx, conn, entries)
	default:
		return 0, &logError{err}
	}
}

// forwardOneByOne finds out which entries the log refuses. Those are set aside
// with the reason, and the later entries of their streams wait behind them.
func (f *Forwarder) forwardOneByOne(ctx context.Context, conn *pgx.Conn, entries []entry) (int, error) {
	stopped := map[event.Stream]bool{}
	settled := 0
	for _, n := range entries {
		if stopped[n.event.Stream] {
			continue
		}
		err := f.config.Log.Append(ctx, n.event)
		switch {
		case err == nil:
			err = f.markAppended(ctx, conn, []entry{n})
		case event.CodeOf(err) == event.CodeInvalid:
			stopped[n.event.Stream] = true
			err = f.refuse(ctx, conn, n, err)
		default:
			err = &logError{err}
		}
		if err != nil {
			return settled, err
		}
		settled++
	}
	return settled, nil
}

func (f *Forwarder) markAppended(ctx context.Context, conn *pgx.Conn, entries []entry) error {
	seqs := make([]int64, len(entries))
	for i, n := range entries {
		seqs[i] = n.seq
	}
	if _, err := conn.Exec(ctx, `UPDATE command.outbox SET appended_at = clock_timestamp() WHERE seq = ANY($1)`, seqs); err != nil {
		return fmt.Errorf("noting what was appended: %w", err)
	}
	f.metrics.forwarded.Add(float64(len(entries)))
	return nil
}

func (f *Forwarder) refuse(ctx context.Context, conn *pgx.Conn, n entry, reason error) error {
	f.config.Logger.ErrorContext(ctx, "the log refuses a command's event, its stream stands still until it is retried or withdrawn",
		"stream", string(n.event.Stream), "version", n.event.Version, "id", n.event.ID.String(), "type", string(n.event.Type), "error", reason)
	if _, err := conn.Exec(ctx, `UPDATE command.outbox SET refusal = $2 WHERE seq = $1 AND appended_at IS NULL`, n.seq, reason.Error()); err != nil {
		return fmt.Errorf("noting what was refused: %w", err)
	}
	f.metrics.refused.Inc()
	return nil
}

// prune removes rows that were appended long enough ago.
func (f *Forwarder) prune(ctx context.Context, conn *pgx.Conn) error {
	for {
		tag, err := conn.Exec(ctx, `DELETE FROM command.outbox WHERE seq IN (
			SELECT seq FROM command.outbox WHERE appended_at < clock_timestamp() - make_interval(secs => $1) LIMIT $2)`,
			f.config.Keep.Seconds(), pruneBatch)
		if err != nil {
			return fmt.Errorf("removing old rows of the outbox: %w", err)
		}
		if tag.RowsAffected() < pruneBatch {
			return nil
		}
	}
}
