package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/query/viewlog"
)

// retentionSettings say how long what is recorded of characters is kept.
type retentionSettings struct {
	Days         string `env:"MUSTER_RETENTION_DAYS" default:"360" help:"Days for which mails, contracts, the wallet's journal, transactions and mining are kept, at least 7; none keeps them for ever."`
	StateDays    string `env:"MUSTER_RETENTION_STATE_DAYS" default:"360" help:"Days back for which sections can be asked for as they were; none keeps all observations for ever."`
	StateAllDays string `env:"MUSTER_RETENTION_STATE_ALL_DAYS" default:"30" help:"Days for which every observation of a section is kept, before the last of each day is left; none thins nothing out."`
	AccessDays   string `env:"MUSTER_RETENTION_ACCESS_DAYS" default:"360" help:"Days for which is kept who looked at data of others; none keeps it for ever."`
	RewriteMiB   uint32 `name:"rewrite-mib" env:"MUSTER_RETENTION_REWRITE_MIB" default:"256" help:"Tables of Postgres up to that size, in MiB with their indexes, are written anew after a run, so that no byte of what was deleted is left in their files; each is held for as long as that takes. 0 leaves all of them to vacuum."`
}

func (r retentionSettings) policies() (retention.Policies, error) {
	var p retention.Policies
	for _, s := range []struct {
		flag, text string
		days       *int
	}{{"retention-days", r.Days, &p.HistoryDays}, {"retention-state-days", r.StateDays, &p.StateDays}, {"retention-state-all-days", r.StateAllDays, &p.StateAllDays}, {"retention-access-days", r.AccessDays, &p.AccessDays}} {
		days, err := retention.ParseDays(s.text)
		if err != nil {
			return p, fmt.Errorf("--%s: %w", s.flag, err)
		}
		*s.days = days
	}
	return p, nil
}

// newRetention enforces the policies.
func (e *environment) newRetention(s *stores, appender worker.Appender, settings retentionSettings) (*worker.Worker, error) {
	policies, err := settings.policies()
	if err != nil {
		return nil, err
	}
	generations := live.New(s.control)
	parts := chviews.NewDeletedRows(s.clickhouse, s.cluster, s.namespaces)
	c := worker.Config{
		Policies: policies, Pool: s.pool, Log: s.reader, Registry: s.registry, Appender: appender, Control: s.control,
		Index:     chviews.NewEventIndexReader(s.clickhouse, generations, s.control),
		IndexName: chviews.EventIndexName, ViewNames: []string{pgviews.CharactersName, chviews.WalletName, chviews.FactsName, chviews.RecordsName, chviews.OrganisationName},
		Views: []worker.View{
			{Name: "postgres: records", Before: func(ctx context.Context, at time.Time) ([]retention.Aged, error) {
				g, err := s.control.Live(ctx, pgviews.CharactersName)
				if err != nil {
					return nil, err
				}
				return pgviews.RecordsBefore(ctx, s.pool, g, at)
			}},
			{Name: "clickhouse: wallet_journal", Before: chviews.NewWalletReader(s.clickhouse, generations).EntriesBefore},
			{Name: "clickhouse: transactions and mining", Before: chviews.NewFactReader(s.clickhouse, generations, chviews.DefaultBudget()).RecordsBefore},
			{Name: "schemas made by muster replay --into, and generations that are not live", Before: s.agedBeside},
			{Name: "clickhouse: contracts and mails", Before: chviews.NewRecordReader(s.clickhouse, generations, chviews.DefaultBudget()).RecordsBefore},
		},
		Copies: []worker.Copies{
			{
				Name:   "postgres: quarantine",
				Remove: func(ctx context.Context, at time.Time) (int64, error) { return esi.RemoveQuarantined(ctx, s.pool, at) },
				Count:  func(ctx context.Context, at time.Time) (int64, error) { return esi.CountQuarantined(ctx, s.pool, at) },
			},
			{
				Name: "postgres: looks that are not in the log", Class: retention.ClassAccess,
				Remove: func(ctx context.Context, at time.Time) (int64, error) { return viewlog.RemoveBefore(ctx, s.pool, at) },
				Count:  func(ctx context.Context, at time.Time) (int64, error) { return viewlog.CountBefore(ctx, s.pool, at) },
			},
		},
		Purge: func(ctx context.Context) error { return s.folder.Purge(ctx, s.projections()) }, Beside: s.beside, Step: e.step,
		Disks: append([]worker.Disk{{Name: "clickhouse: deleted rows in parts", Clean: parts.Clean, Left: parts.Left}}, e.remnants(s, settings)...),
		Keys:  s.keys, Logger: e.logger, Metrics: s.metrics,
	}
	if len(e.settings.KafkaBrokers) == 0 {
		// A Kafka of its own compacts by itself when a segment is closed; the
		// embedded one once a day.
		c.Compact = func(context.Context) error { return engine.RequestCompaction(e.settings.DataDir) }
	}
	return worker.New(c), nil
}

// remnants are the bytes of rows that were deleted from Postgres, unless they are to be left
// to its vacuum.
func (e *environment) remnants(s *stores, settings retentionSettings) []worker.Disk {
	if settings.RewriteMiB == 0 {
		return nil
	}
	return []worker.Disk{{Name: "postgres: bytes of deleted rows", Clean: pgviews.NewRemnants(s.pool, int64(settings.RewriteMiB)<<20, e.logger).Clean}}
}

// retentionCommand looks at and enforces retention.
type retentionCommand struct {
	Status retentionStatus `cmd:"" default:"withargs" help:"Policies, the last runs and certificates, and what compaction has left to do."`
	Plan   retentionPlan   `cmd:"" help:"What would be removed now, and why, without removing it."`
	Run    retentionRun    `cmd:"" help:"Remove now what is older than the policies keep."`
	Prove  retentionProve  `cmd:"" help:"Search the log and the read models for what should be gone, and write a certificate."`
}

// withRetention opens the stores and what is needed to enforce retention.
func (e *environment) withRetention(ctx context.Context, settings retentionSettings, fn func(*worker.Worker) error) error {
	return e.withStores(ctx, func(s *stores) (err error) {
		if err := schema.Migrate(ctx, s.pool); err != nil {
			return err
		}
		appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: s.addresses.KafkaBrokers, Security: s.security, Logger: e.logger})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, appender.Close()) }()
		w, err := e.newRetention(s, appender, settings)
		if err != nil {
			return err
		}
		return fn(w)
	})
}

type retentionPlan struct {
	retentionSettings `embed:"" prefix:"retention-"`

	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// plannedLine is what would go of a character by one policy for one reason.
type plannedLine struct {
	Stream string           `json:"stream"`
	Class  retention.Class  `json:"class"`
	Reason retention.Reason `json:"reason"`
	Events int              `json:"events"`
	Oldest time.Time        `json:"oldest"`
}

// Run implements the subcommand.
func (c *retentionPlan) Run(ctx context.Context, env *environment) error {
	lines, total := []plannedLine{}, 0
	err := env.withRetention(ctx, c.retentionSettings, func(w *worker.Worker) error {
		return w.Plan(ctx, func(p worker.Planned) error {
			total += len(p.Expired)
			lines = append(lines, summed(p)...)
			return nil
		})
	})
	if err != nil {
		return err
	}
	t := newTable("stream", "class", "reason", "events", "oldest")
	for _, l := range lines {
		t.row(l.Stream, string(l.Class), string(l.Reason), strconv.Itoa(l.Events), l.Oldest.Format(time.RFC3339))
	}
	if err := t.show(env.stdout, c.Output, lines); err != nil || c.Output != "table" {
		return err
	}
	fmt.Fprintf(env.stdout, "%d events would be removed; `muster retention run` removes them\n", total)
	return nil
}

// summed counts what would go by class and reason, in order of the log.
func summed(p worker.Planned) []plannedLine {
	type kind struct {
		class  retention.Class
		reason retention.Reason
	}
	var lines []plannedLine
	at := map[kind]int{}
	for _, x := range p.Expired {
		i, known := at[kind{x.Class, x.Reason}]
		if !known {
			i = len(lines)
			at[kind{x.Class, x.Reason}] = i
			lines = append(lines, plannedLine{Stream: string(p.Stream), Class: x.Class, Reason: x.Reason, Oldest: x.Time})
		}
		lines[i].Events++
		if x.Time.Before(lines[i].Oldest) {
			lines[i].Oldest = x.Time
		}
	}
	return lines
}

type retentionRun struct {
	retentionSettings `embed:"" prefix:"retention-"`

	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *retentionRun) Run(ctx context.Context, env *environment) error {
	return env.withRetention(ctx, c.retentionSettings, func(w *worker.Worker) error {
		done, err := w.Run(ctx)
		if err != nil {
			return err
		}
		return runsTable([]retention.Completed{done}).show(env.stdout, c.Output, done)
	})
}

func runsTable(runs []retention.Completed) *table {
	t := newTable("run", "at", "characters", "touched", "history", "state", "access", "forgotten", "closings", "swept")
	for _, r := range runs {
		n := func(c retention.Class) string { return strconv.Itoa(r.Tombstones[c]) }
		t.row(r.RunID, r.At.Format(time.RFC3339), strconv.Itoa(r.Streams), strconv.Itoa(r.Touched),
			n(retention.ClassHistory), n(retention.ClassState), n(retention.ClassAccess), n(retention.ClassForgotten), strconv.Itoa(r.Closings), strconv.Itoa(r.Swept))
	}
	return t
}

type retentionStatus struct {
	retentionSettings `embed:"" prefix:"retention-"`

	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// retentionStanding is how retention stands.
type retentionStanding struct {
	Policies retention.Policies    `json:"policies"`
	Runs     []retention.Completed `json:"runs"`
	// Unfinished are runs that were interrupted; a later one has gone on with them.
	Unfinished   []string              `json:"unfinished"`
	Certificates []retention.Certified `json:"certificates"`
	Backlogs     []worker.Backlog      `json:"backlogs"`
}

// Run implements the subcommand.
func (c *retentionStatus) Run(ctx context.Context, env *environment) error {
	return env.withRetention(ctx, c.retentionSettings, func(w *worker.Worker) error {
		records, err := w.Records(ctx)
		if err != nil {
			return err
		}
		standing := standingOf(w.Policies, records)
		if standing.Backlogs, err = w.Backlogs(ctx); err != nil {
			return err
		}
		return standing.show(env, c.Output)
	})
}

func standingOf(p retention.Policies, records []worker.Record) retentionStanding {
	s := retentionStanding{Policies: p, Runs: []retention.Completed{}, Unfinished: []string{}, Certificates: []retention.Certified{}, Backlogs: []worker.Backlog{}}
	completed := map[string]bool{}
	for _, r := range records {
		switch p := r.Payload.(type) {
		case retention.Completed:
			s.Runs, completed[p.RunID] = append(s.Runs, p), true
		case retention.Certified:
			s.Certificates = append(s.Certificates, p)
		}
	}
	for _, r := range records {
		if p, is := r.Payload.(retention.Started); is && !completed[p.RunID] {
			s.Unfinished = append(s.Unfinished, p.RunID)
		}
	}
	return s
}

// lastRuns is how many runs are shown in a table.
const lastRuns = 10

func (s retentionStanding) show(env *environment, format string) error {
	if format == "json" {
		return printJSON(env.stdout, s)
	}
	days := func(n int) string {
		if n == 0 {
			return "for ever"
		}
		return strconv.Itoa(n) + " days"
	}
	fmt.Fprintf(env.stdout, "history is kept %s; the state of sections %s, all of it %s; who looked at data of others %s\n\n", days(s.Policies.HistoryDays), days(s.Policies.StateDays), days(s.Policies.StateAllDays), days(s.Policies.AccessDays))
	runs := runsTable(s.Runs[max(0, len(s.Runs)-lastRuns):])
	if err := runs.print(env.stdout); err != nil {
		return err
	}
	t := newTable("partition", "tombstones", "not compacted", "oldest", "recorded")
	for _, b := range s.Backlogs {
		oldest, recorded := "", ""
		if b.Oldest != nil {
			oldest, recorded = strconv.FormatInt(*b.Oldest, 10), b.OldestTime.Format(time.RFC3339)
		}
		t.row(fmt.Sprintf("%s/%d", b.Topic, b.Partition), strconv.FormatInt(b.Tombstones, 10), strconv.FormatInt(b.Waiting, 10), oldest, recorded)
	}
	fmt.Fprintln(env.stdout)
	if err := t.print(env.stdout); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "\n%d certificates, %d interrupted runs\n", len(s.Certificates), len(s.Unfinished))
	return nil
}

type retentionProve struct {
	retentionSettings `embed:"" prefix:"retention-"`

	File  string   `short:"f" help:"File to write the certificate to; default is certificates/ID.json of the data folder, with the first letters of its hash." placeholder:"FILE"`
	Check []string `help:"Check certificates that were written before, in order, instead of making one." placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *retentionProve) Help() string {
	return `Reads the whole log, the read models and the answers kept aside, applies the policies of the last
run anew, and certifies how much is still there that should be gone. The certificate holds the hash
of the one before; its own hash is recorded as an event.

Exit status: 0 nothing was found, 1 something was, 2 it could not be done.

Examples:
  muster retention prove
  muster retention prove --check first.json --check second.json`
}

// Run implements the subcommand.
func (c *retentionProve) Run(ctx context.Context, env *environment) error {
	if len(c.Check) > 0 {
		return c.check(env)
	}
	var certificate retention.Certificate
	folder := certificates(env.settings.DataDir)
	err := env.withRetention(ctx, c.retentionSettings, func(w *worker.Worker) error {
		records, err := w.Records(ctx)
		if err != nil {
			return err
		}
		if err := folder.settle(records); err != nil {
			return err
		}
		w.Save = folder.save
		certificate, err = w.Prove(ctx)
		return err
	})
	if err != nil {
		return err
	}
	path := cmp.Or(c.File, folder.path(certificate))
	if err := writeCertificate(path, certificate); err != nil {
		return err
	}
	env.step("retention.certificate-written")
	if err := folder.written(certificate); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%d keys of tombstones, %d destroyed keys of texts, %d partitions and %d stores searched, %d found\n%s\n",
		certificate.Keys, certificate.DestroyedTextKeys, len(certificate.Partitions), len(certificate.Stores), certificate.Found, path)
	if certificate.Found > 0 {
		return errFindings
	}
	return nil
}

// check reads certificates and holds each against the one before it.
func (c *retentionProve) check(env *environment) error {
	previous := ""
	for i, path := range c.Check {
		text, err := os.ReadFile(path)
		if err != nil {
			return event.Errorf(event.CodeInvalid, "reading the certificate: %w", err)
		}
		certificate, err := retention.ReadCertificate(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if i > 0 && certificate.Previous != previous {
			return event.Errorf(event.CodeInvalid, "%s follows on the certificate %s, not on %s before it: one is missing, or they are in another order", path, certificate.Previous, previous)
		}
		previous = certificate.Hash
		fmt.Fprintf(env.stdout, "%s: sound, made at %s of the run of %s, %d found\n", path, certificate.MadeAt.Format(time.RFC3339), certificate.RunAt.Format(time.RFC3339), certificate.Found)
	}
	return nil
}
