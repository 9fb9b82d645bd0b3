package backup

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Target is the log that a backup is restored into; [eventlog.Restorer] is one.
type Target interface {
	Next(p eventlog.Partition) (int64, bool)
	Put(ctx context.Context, p eventlog.Partition, records []eventlog.Record) error
	Fill(ctx context.Context, p eventlog.Partition, to int64, at time.Time) error
	Append(ctx context.Context, p eventlog.Partition, records []eventlog.Record) error
}

// RestoreConfig is where a backup is brought back to.
type RestoreConfig struct {
	Target Target
	// Log reads what Target writes, and takes how far reactors have come.
	Log interface {
		ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]eventlog.Record, error)
		CommitLag(ctx context.Context, group string, next map[eventlog.Partition]int64) error
	}
	Pool *pgxpool.Pool
	// Tables are those that may be filled; they must be there. Copies and Forgets
	// are as in [TakeConfig].
	Tables  []Table
	Copies  string
	Forgets Forgets
	// Since is the log that the backup was taken of, if it is still there: what
	// was removed and forgotten since is then removed and forgotten here, too.
	Since SinceLog
	// Again tells which records of that log have to hold here, too, such as those
	// that forget: they are appended behind the backup's. Apply does to the tables
	// what such a record did, within the transaction that fills them.
	Again func(eventlog.Record) bool
	Apply func(ctx context.Context, tx pgx.Tx, rec eventlog.Record) error
	// Progress is called with the offsets done so far and in all; may be nil.
	Progress func(phase string, done, total int64)
}

// SinceLog is a log in which is read what has happened since a backup.
type SinceLog interface {
	Ends(ctx context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error)
	ReadRange(ctx context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error
	ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]eventlog.Record, error)
}

// RestoreReport is what a restore did.
type RestoreReport struct {
	// ID and CutAt are those of the backup.
	ID    string    `json:"id"`
	CutAt time.Time `json:"cut_at"`
	// Records is how many were written, Found how many offsets were there from a
	// restore that was interrupted, and LeftOut how many records were removed by
	// what came later.
	Records int64 `json:"records"`
	Found   int64 `json:"found"`
	LeftOut int64 `json:"left_out"`
	// Rows counts what was put into tables.
	Rows map[string]int64 `json:"rows"`
	// TablesFound tells that the tables were filled by an earlier call.
	TablesFound bool `json:"tables_found"`
	// Since tells that the log was asked what has happened since; then Again counts
	// what was done again for that, and Lost the facts that came after the backup
	// and are not here.
	Since bool  `json:"since"`
	Again int64 `json:"again"`
	Lost  int64 `json:"lost"`
}

// restoring is a restore under way.
type restoring struct {
	RestoreConfig
	backup *Backup
	report RestoreReport
	// since are what has to be removed for the log that is still there.
	since map[eventlog.Partition]*gone
	// again are the records of that log that hold here, too.
	again       []eventlog.Record
	copies      *copies
	done, total int64
}

// Restore brings a backup back: the records of the log to the same partitions and
// offsets, then the tables and how far reactors had come. Read models are not part of it;
// they are built from the log at the next start.
//
// The log must be empty, or hold the beginning of the same backup: then it goes
// on. Tables are filled in one transaction, which also notes up to which offset
// the log is that of the backup. Nothing else may write meanwhile. It fails with
// [event.CodeConflict] if something is there already.
func (b *Backup) Restore(ctx context.Context, c RestoreConfig) (RestoreReport, error) {
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	r := &restoring{
		RestoreConfig: c, backup: b, since: map[eventlog.Partition]*gone{}, copies: newCopies(),
		report: RestoreReport{ID: b.newest().ID, CutAt: b.newest().CutAt, Rows: map[string]int64{}},
	}
	err := r.run(ctx)
	return r.report, err
}

func (r *restoring) run(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	if err := migrate.Postgres(ctx, r.Pool, "backup", files); err != nil {
		return err
	}
	if err := r.knownTables(); err != nil {
		return err
	}
	filled, err := r.checkEmpty(ctx)
	if err != nil {
		return err
	}
	if filled && r.Since != nil {
		return event.Errorf(event.CodeConflict, "backup %s was restored here already: what has happened since can only be asked in the restore itself", r.backup.newest().ID)
	}
	if err := r.readSince(ctx); err != nil {
		return err
	}
	parts := slices.Clone(r.backup.newest().Partitions)
	slices.SortStableFunc(parts, func(a, b PartitionPart) int { return btoi(a.Topic == r.Copies) - btoi(b.Topic == r.Copies) })
	for _, p := range parts {
		r.total += p.To
	}
	for _, p := range parts {
		if err := r.partition(ctx, p); err != nil {
			return fmt.Errorf("restoring %s: %w", p.At(), err)
		}
	}
	r.Progress("tables", r.total, r.total)
	if filled {
		r.report.TablesFound = true
	} else if err := pgx.BeginFunc(ctx, r.Pool, func(tx pgx.Tx) error { return r.tables(ctx, tx) }); err != nil {
		return err
	}
	return r.groups(ctx)
}

// knownTables refuses to fill what it was not told of: a manifest is only a file.
func (r *restoring) knownTables() error {
	m := r.backup.newest()
	for _, part := range m.Tables {
		if !slices.ContainsFunc(r.Tables, func(t Table) bool { return t.Schema == part.Schema && t.Name == part.Table }) {
			return event.Errorf(event.CodeInvalid, "backup %s holds table %s.%s, which this Muster does not know: restore with version %s", m.ID, part.Schema, part.Table, m.Muster)
		}
	}
	return nil
}

// checkEmpty refuses logs and databases that hold something else. It tells whether
// the tables are filled from this backup already.
func (r *restoring) checkEmpty(ctx context.Context) (filled bool, err error) {
	m := r.backup.newest()
	counts := map[string]int32{}
	for _, p := range m.Partitions {
		counts[p.Topic]++
		next, ok := r.Target.Next(p.At())
		if !ok {
			return false, event.Errorf(event.CodeConflict, "the log has no partition %s: the backup's topics have %d partitions, set MUSTER_KAFKA_PARTITIONS to that and begin with an empty log", p.At(), len(m.Partitions)/max(len(m.Topics), 1))
		}
		if next == 0 {
			continue
		}
		if err := r.checkPrefix(ctx, p, next); err != nil {
			return false, err
		}
	}
	for topic, n := range counts {
		if _, more := r.Target.Next(eventlog.Partition{Topic: topic, ID: n}); more {
			return false, event.Errorf(event.CodeConflict, "topic %s has more than the %d partitions of the backup, so streams would not be found: set MUSTER_KAFKA_PARTITIONS to %d and begin with an empty log", topic, n, n)
		}
	}
	var from *string
	if err := r.Pool.QueryRow(ctx, "SELECT max(backup_id) FROM backup.restored").Scan(&from); err != nil {
		return false, fmt.Errorf("reading what was restored before: %w", err)
	}
	if from != nil && *from != m.ID {
		return false, event.Errorf(event.CodeConflict, "the database was restored from backup %s already: restore %s into an empty one", *from, m.ID)
	}
	return from != nil, nil
}

// checkPrefix holds the end of what is in the log against the backup.
func (r *restoring) checkPrefix(ctx context.Context, p PartitionPart, next int64) error {
	const remedy = "restore into an empty log"
	if next > p.To {
		// What a restore appends for the log that is still there lies behind.
		var restored bool
		err := r.Pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM backup.restored WHERE backup_id = $1)", r.backup.newest().ID).Scan(&restored)
		if err != nil {
			return fmt.Errorf("reading what was restored before: %w", err)
		}
		if !restored {
			return event.Errorf(event.CodeConflict, "%s ends at offset %d, behind the %d of the backup: "+remedy, p.At(), next, p.To)
		}
		return nil
	}
	// The last of the backup's records that must be there, and are not pulses.
	var last *eventlog.Record
	err := r.backup.ReadRange(ctx, p.At(), max(0, next-prefixWindow), next, func(rec eventlog.Record) error {
		last = &rec
		return nil
	})
	if err != nil || last == nil {
		return err
	}
	found, err := r.Log.ReadAt(ctx, []event.Position{last.Position})
	if err != nil {
		return err
	}
	rec, ok := found[last.Position]
	if !ok || (*markOf(&rec) != *markOf(last) && !isPulse(&rec)) {
		return event.Errorf(event.CodeConflict, "the log holds something else at %s than the backup: "+remedy, last.Position)
	}
	return nil
}

// prefixWindow is how far back a record is looked for to compare with.
const prefixWindow = 10_000

func isPulse(rec *eventlog.Record) bool {
	e, err := rec.Event()
	return err == nil && e.Expiry != nil && e.Expiry.Policy == eventlog.PulsePolicy
}

// readSince reads what the log that is still there says was removed.
func (r *restoring) readSince(ctx context.Context) error {
	if r.Since == nil {
		return nil
	}
	r.report.Since = true
	m := r.backup.newest()
	var topics []string
	for _, t := range m.Topics {
		if t.Name != r.Copies {
			topics = append(topics, t.Name)
		}
	}
	ends, err := r.Since.Ends(ctx, topics...)
	if err != nil {
		return fmt.Errorf("reading the ends of the log that the backup was taken of: %w", err)
	}
	facts := m
	facts.Topics = slices.DeleteFunc(slices.Clone(m.Topics), func(t TopicPart) bool { return t.Name == r.Copies })
	facts.Partitions = slices.DeleteFunc(slices.Clone(m.Partitions), func(p PartitionPart) bool { return p.Topic == r.Copies })
	if err := sameLog(ctx, r.Since, facts); err != nil {
		return fmt.Errorf("asking the log that the backup was taken of: %w", err)
	}
	for _, p := range facts.Partitions {
		g := newGone(r.Forgets)
		r.since[p.At()] = g
		err := r.Since.ReadRange(ctx, p.At(), p.To, ends[p.At()].End, func(rec eventlog.Record) error {
			g.see(&rec)
			r.copies.note(&rec, r.Forgets)
			switch {
			case rec.Value == nil:
			case r.Again != nil && r.Again(rec):
				rec.Value = slices.Clone(rec.Value)
				r.again = append(r.again, rec)
			default:
				r.report.Lost++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading what has happened to %s since: %w", p.At(), err)
		}
	}
	return nil
}

// partition brings the records of a partition back, from where it ends on.
func (r *restoring) partition(ctx context.Context, p PartitionPart) error {
	at := p.At()
	left, err := r.removedLater(ctx, p)
	if err != nil {
		return err
	}
	drops := left.drops
	if at.Topic == r.Copies {
		drops = r.copies.drops
	}
	next, _ := r.Target.Next(at)
	r.report.Found += min(next, p.To)
	r.done += min(next, p.To)
	first := next
	var batch []eventlog.Record
	var size int
	var last time.Time
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := r.Target.Put(ctx, at, batch)
		r.report.Records += int64(len(batch))
		r.done += batch[len(batch)-1].Offset + 1 - first
		first = batch[len(batch)-1].Offset + 1
		r.Progress("log", r.done, r.total)
		batch, size = batch[:0], 0
		return err
	}
	err = r.backup.ReadRange(ctx, at, next, p.To, func(rec eventlog.Record) error {
		if drops(&rec) {
			r.report.LeftOut++
			return nil
		}
		batch = append(batch, rec)
		last = rec.Timestamp
		if size += len(rec.Key) + len(rec.Value); len(batch) < batchRecords && size < batchBytes {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = r.Target.Fill(ctx, at, p.To, last)
	}
	if next < p.To {
		r.done += p.To - first
	}
	return err
}

// Bounds of what is written at a time.
const (
	batchRecords = 10_000
	batchBytes   = 24 << 20
)

// removedLater is what is removed by what came after the first backup of the
// chain: each of them left out already what was removed within it.
func (r *restoring) removedLater(ctx context.Context, p PartitionPart) (*gone, error) {
	g := r.since[p.At()]
	if g == nil {
		g = newGone(r.Forgets)
	}
	first, _ := r.backup.chain[0].part(p.At())
	if first.To >= p.To || p.Topic == r.Copies {
		return g, nil
	}
	seen := newGone(r.Forgets)
	err := r.backup.ReadRange(ctx, p.At(), first.To, p.To, func(rec eventlog.Record) error {
		seen.see(&rec)
		r.copies.note(&rec, r.Forgets)
		return nil
	})
	// What the log that is still there says came later, and so goes further.
	for key, at := range seen.keys {
		g.keys[key] = max(g.keys[key], at)
	}
	for stream, at := range seen.streams {
		g.streams[stream] = max(g.streams[stream], at)
	}
	return g, err
}

// tables fills the tables, does again what has to hold here, too, and notes where
// all of it came from.
func (r *restoring) tables(ctx context.Context, tx pgx.Tx) error {
	m := r.backup.newest()
	for _, part := range m.Tables {
		if err := restoreTable(ctx, tx, r.backup.place, part); err != nil {
			return fmt.Errorf("restoring table %s.%s: %w", part.Schema, part.Table, err)
		}
		r.report.Rows[part.Schema+"."+part.Table] = part.Rows
	}
	for _, p := range m.Partitions {
		_, err := tx.Exec(ctx, "INSERT INTO backup.restored (backup_id, topic, partition, next_offset) VALUES ($1, $2, $3, $4)", m.ID, p.Topic, p.Partition, p.To)
		if err != nil {
			return fmt.Errorf("noting what was restored: %w", err)
		}
	}
	for _, rec := range r.again {
		if err := r.Apply(ctx, tx, rec); err != nil {
			return fmt.Errorf("doing again what %s says: %w", rec.Position, err)
		}
		// Appended twice if the transaction fails after all: the event's id tells.
		if err := r.Target.Append(ctx, rec.Partition(), []eventlog.Record{rec}); err != nil {
			return err
		}
		r.report.Again++
	}
	return nil
}

// groups has reactors go on where they were: what they told is not told again.
func (r *restoring) groups(ctx context.Context) error {
	groups := map[string]map[eventlog.Partition]int64{}
	for _, g := range r.backup.newest().Groups {
		if groups[g.Group] == nil {
			groups[g.Group] = map[eventlog.Partition]int64{}
		}
		groups[g.Group][eventlog.Partition{Topic: g.Topic, ID: g.Partition}] = g.Next
	}
	for name, next := range groups {
		if err := r.Log.CommitLag(ctx, name, next); err != nil {
			return err
		}
	}
	return nil
}
