// Package schedule decides what is synced when. Each section of each character
// is one job in Postgres that is put off from run to run; jobs of programs that
// died are taken over.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/fleet"
	"github.com/muster-sync/muster/ingest/schema"
)

// Syncer syncs a section of a character once; [*esi.Syncer] is one.
type Syncer interface {
	Sync(ctx context.Context, character int64, section eve.Section) (esi.Outcome, error)
	// Refresh is Sync for somebody who has asked.
	Refresh(ctx context.Context, character int64, section eve.Section) (esi.Outcome, error)
	// FollowUp fetches what is due of what a section's list named.
	FollowUp(ctx context.Context, character int64, section eve.Section) (esi.FollowOutcome, error)
}

// Characters says who is to be synced.
type Characters interface {
	// Syncable lists the ids of the characters that are registered and enabled.
	// Whether they have a login that works is not its concern.
	Syncable(ctx context.Context) ([]int64, error)
}

// Config is what a [Scheduler] works with. Zero values mean the defaults named.
type Config struct {
	// Pool is on a database with the tables of package schema. A few connections
	// are in use beside those of the workers.
	Pool       *pgxpool.Pool
	Syncer     Syncer
	Characters Characters
	Registerer prometheus.Registerer
	// Logger: none.
	Logger *slog.Logger
	// Sections are those that are synced; default: all of [esi.Sections].
	Sections []esi.Section
	// Member shares the characters with other programs on this database; default:
	// one of its own, that nobody else looks at.
	Member *fleet.Member
	// Intervals replaces the interval of sections: Member Audit's rings of 55,
	// 235 and 475 minutes.
	Intervals map[eve.Section]time.Duration
	// Workers is how many syncs run at once: 32.
	Workers int
	// SweepEvery is how often new, forgotten and stranded characters are looked
	// for: 15 s.
	SweepEvery time.Duration
	// JobTimeout bounds one sync, with the time that the log is waited for: 3 min.
	JobTimeout time.Duration
	// StopTimeout is how long running syncs may take to end: 10 s.
	StopTimeout time.Duration
}

func (c *Config) setDefaults() {
	if c.Workers == 0 {
		c.Workers = 32
	}
	if c.SweepEvery == 0 {
		c.SweepEvery = 15 * time.Second
	}
	if c.JobTimeout == 0 {
		c.JobTimeout = 3 * time.Minute
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Sections == nil {
		c.Sections = esi.Sections(esi.Options{})
	}
}

// Scheduler runs syncs when they are due. It is safe for concurrent use; several
// programs may run one each on the same database.
type Scheduler struct {
	config Config
	plan   plan
	member *fleet.Member
	// slots bounds how many syncs run at once in all queues together.
	slots   chan struct{}
	working atWork
	client  *river.Client[pgx.Tx]
	wake    chan struct{}
	metrics *metrics
	// swept is the state of the last full sweep, which was at sweptAt.
	swept   string
	sweptAt time.Time
}

// New makes a scheduler. It does nothing until [Scheduler.Run].
func New(config Config) (*Scheduler, error) {
	config.setDefaults()
	if config.Pool == nil || config.Syncer == nil || config.Characters == nil || config.Registerer == nil {
		return nil, event.Errorf(event.CodeInvalid, "a scheduler needs a pool, a syncer, characters and a registerer")
	}
	known := make([]string, len(config.Sections))
	for i, section := range config.Sections {
		known[i] = string(section.Name)
	}
	for section, interval := range config.Intervals {
		if !slices.Contains(known, string(section)) {
			return nil, event.Errorf(event.CodeInvalid, "interval of section %q: there is no such section; those that are synced are %s", section, strings.Join(known, ", "))
		}
		if interval < time.Second {
			return nil, event.Errorf(event.CodeInvalid, "interval %s of section %s: must be at least a second", interval, section)
		}
	}
	metrics, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering the metrics of the schedule: %w", err)
	}
	s := &Scheduler{
		config:  config,
		plan:    plan{intervals: config.Intervals},
		member:  config.Member,
		slots:   make(chan struct{}, config.Workers),
		wake:    make(chan struct{}, 1),
		metrics: metrics,
	}
	if s.member == nil {
		s.member, err = fleet.New(fleet.Config{Pool: config.Pool, Logger: config.Logger})
		if err != nil {
			return nil, err //nolint:wrapcheck // It says what it is about.
		}
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &syncWorker{scheduler: s})
	river.AddWorker(workers, &refreshWorker{scheduler: s})
	river.AddWorker(workers, &followWorker{scheduler: s})
	s.client, err = river.NewClient(newDriver(config.Pool), &river.Config{
		ID:     s.member.ID(),
		Schema: schema.Name,
		Logger: slog.New(&quiet{Handler: config.Logger.Handler()}),
		// A client without any queue cannot get one later. Those with jobs in them
		// come and go with the shards.
		Queues:                      map[string]river.QueueConfig{idleQueue: {MaxWorkers: 1, FetchPollInterval: time.Hour}},
		Workers:                     workers,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           s.pollEvery(),
		JobTimeout:                  s.runTimeout(),
		RescueStuckJobsAfter:        s.runTimeout() + 10*time.Second,
		CompletedJobRetentionPeriod: time.Hour,
		SoftStopTimeout:             config.StopTimeout,
		// A job is a standing order; only its runs end.
		MaxAttempts: 1000,
		RetryPolicy: soon{},
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the schedule: %w", err)
	}
	return s, nil
}

// Run works until the context ends, then lets running syncs come to their end,
// for a bounded time, and returns. It is called once.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("starting the schedule: %w", err)
	}
	// The lease on characters must hold until nothing is asked for them any more.
	leased, end := context.WithCancel(context.WithoutCancel(ctx))
	left := make(chan error, 1)
	go func() { left <- s.member.Run(leased, s) }()
	s.sweepLoop(ctx)

	s.member.Drain()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.config.StopTimeout)
	defer cancel()
	var err error
	if stopErr := s.client.Stop(stopping); stopErr != nil {
		err = fmt.Errorf("stopping the schedule: %w", stopErr)
	}
	end()
	return errors.Join(err, <-left)
}

// Wake has characters that were just registered found at once.
func (s *Scheduler) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// elsewhere is how long a job is left alone that another program has to do.
const elsewhere = 2 * time.Second

// begin waits for a slot, and gives a context for work for a character, which ends
// with the time that a sync may take or when the character may be another
// program's. If nothing is to be done now, its error puts the job off.
func (s *Scheduler) begin(ctx context.Context, character int64) (context.Context, func(), error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, river.JobSnooze(0)
	}
	term, ours := s.member.Begin(character)
	if !ours {
		<-s.slots
		return nil, nil, river.JobSnooze(elsewhere + jitter(elsewhere))
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.JobTimeout)
	ctx, cut := context.WithCancelCause(ctx)
	stop := context.AfterFunc(term, func() { cut(context.Cause(term)) })
	return ctx, func() {
		stop()
		cut(nil)
		cancel()
		<-s.slots
	}, nil
}

// Refresh has a section read before all that is merely due, because a person
// asked for it, as soon as its cache has expired.
func (s *Scheduler) Refresh(ctx context.Context, character int64, section eve.Section) error {
	if _, err := s.client.Insert(ctx, refreshArgs{CharacterID: character, Section: section}, requested(character)); err != nil {
		return fmt.Errorf("asking for section %s of character %d: %w", section, character, err)
	}
	return nil
}

const (
	priorityRequested = 1
	priorityDue       = 2
)

// unique lets there be one live job of a kind for a section of a character.
func unique() river.UniqueOpts {
	return river.UniqueOpts{
		ByArgs: true,
		ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateScheduled, rivertype.JobStateRetryable,
		},
	}
}

// soon has a job that was rescued or went wrong run again within seconds.
type soon struct{}

// NextRetry implements [river.ClientRetryPolicy].
func (soon) NextRetry(*rivertype.JobRow) time.Time {
	return time.Now().Add(time.Second + jitter(4*time.Second))
}

// syncArgs is the standing order to keep a section in step.
type syncArgs struct {
	CharacterID int64       `json:"character_id"`
	Section     eve.Section `json:"section"`
}

// syncKind is the kind of the jobs in the table.
const syncKind = "eve_sync"

// Kind implements [river.JobArgs].
func (syncArgs) Kind() string { return syncKind }

// refreshArgs is the order to read a section once.
type refreshArgs struct {
	CharacterID int64       `json:"character_id"`
	Section     eve.Section `json:"section"`
}

// Kind implements [river.JobArgs].
func (refreshArgs) Kind() string { return "eve_refresh" }

type syncWorker struct {
	river.WorkerDefaults[syncArgs]

	scheduler *Scheduler
}

// Work syncs a section and puts the job off until it is due again.
func (w *syncWorker) Work(ctx context.Context, job *river.Job[syncArgs]) error {
	s := w.scheduler
	done := s.working.begin(job.ID)
	defer done()
	ctx, end, err := s.begin(ctx, job.Args.CharacterID)
	if err != nil {
		return err
	}
	defer end()
	s.metrics.late.Observe(max(0, time.Since(job.ScheduledAt).Seconds()))
	outcome, err := s.config.Syncer.Sync(ctx, job.Args.CharacterID, job.Args.Section)
	switch {
	case err == nil:
	case event.CodeOf(err) == event.CodeNotFound:
		return river.JobCancel(err)
	case errors.Is(err, context.Canceled):
		// The program is stopping; the next one goes on.
		return river.JobSnooze(0)
	default:
		s.config.Logger.ErrorContext(ctx, "sync did not come to its end and is repeated",
			"character", job.Args.CharacterID, "section", string(job.Args.Section), "error", err)
		return river.JobSnooze(time.Second + jitter(2*time.Second))
	}
	if outcome.FollowUps {
		if err := s.followUp(ctx, job.Args.CharacterID, job.Args.Section); err != nil {
			// The sweep makes up for it.
			s.config.Logger.WarnContext(ctx, "follow-ups were not put on the schedule; the next sweep does it", "error", err)
		}
	}
	next, again := s.plan.after(job.Args.CharacterID, job.Args.Section, outcome, time.Now())
	if !again {
		// The job is over; when the character is registered again the sweep
		// makes another.
		return nil
	}
	return river.JobSnooze(max(0, time.Until(next)))
}

type refreshWorker struct {
	river.WorkerDefaults[refreshArgs]

	scheduler *Scheduler
}

// Work syncs a section once, when its cache has expired.
func (w *refreshWorker) Work(ctx context.Context, job *river.Job[refreshArgs]) error {
	s := w.scheduler
	done := s.working.begin(job.ID)
	defer done()
	ctx, end, err := s.begin(ctx, job.Args.CharacterID)
	if err != nil {
		return err
	}
	defer end()
	outcome, err := s.config.Syncer.Refresh(ctx, job.Args.CharacterID, job.Args.Section)
	if err == nil && outcome.FollowUps {
		err = s.followUp(ctx, job.Args.CharacterID, job.Args.Section)
	}
	if err != nil {
		return fmt.Errorf("refreshing %s of character %s: %w", job.Args.Section, strconv.FormatInt(job.Args.CharacterID, 10), err)
	}
	if outcome.Result == esi.NotDue || outcome.Result == esi.Deferred {
		// What was asked for is done as soon as ESI allows it.
		return river.JobSnooze(max(0, time.Until(outcome.NotBefore)) + jitter(slack))
	}
	return nil
}

// quiet passes on River's lines from warnings on.
type quiet struct {
	slog.Handler
}

// Enabled implements [slog.Handler].
func (q *quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &quiet{Handler: q.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (q *quiet) WithGroup(name string) slog.Handler {
	return &quiet{Handler: q.Handler.WithGroup(name)}
}
