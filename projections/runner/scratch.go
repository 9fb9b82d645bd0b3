package runner

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Scratch is the log folded up to a moment into tables of its own, for auditors to
// query. It is never live. An event counts if the time that it bears is not after
// the moment, whenever it was appended; tombstones and the forgetting of characters
// count always. [Runner.Run] keeps it like that for as long as it is there.
type Scratch struct {
	// Name is the Postgres schema with a view of each table that lies in Postgres.
	Name string
	// Until is the moment, inclusive.
	Until     time.Time
	CreatedAt time.Time
	// ReadyAt is when it had come to the end of the log for the first time; nil if it
	// has not.
	ReadyAt *time.Time
	// Generations are where its tables lie, by projection.
	Generations []Generation
}

// ScratchOptions steer the making of a scratch.
type ScratchOptions struct {
	// Name has small letters, digits and underscores.
	Name string
	// Until is the moment, inclusive.
	Until time.Time
	// Replace throws a scratch of that name away first.
	Replace bool
	// Progress is called now and then with the projection that is folded; may be nil.
	Progress func(projection string, p Progress)
}

// ScratchTable is how much a projection of a scratch has folded.
type ScratchTable struct {
	Projection string `json:"projection"`
	Namespace  string `json:"namespace"`
	Records    int64  `json:"records"`
}

const (
	// scratchInterval is the pause between two looks at the scratches.
	scratchInterval = 5 * time.Second
	// scratchStride bounds the offsets of a partition that are folded in one hold of a
	// scratch, so that whoever wants it waits seconds.
	scratchStride = 100_000
	// scratchPatience is how long is waited for a scratch that another process holds.
	scratchPatience = 30 * time.Second
)

// scratchName is what a scratch may be called; the rest of Postgres' 63 bytes are for
// the names of projections.
var scratchName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// validate tells whether a scratch may be made. now is the time.
func (o ScratchOptions) validate(now time.Time) error {
	switch {
	case !scratchName.MatchString(o.Name):
		return event.Errorf(event.CodeInvalid, "schema %q: use up to 32 small letters, digits and underscores, a letter first, such as audit_2026", o.Name)
	case strings.HasPrefix(o.Name, "pg_"), strings.HasPrefix(o.Name, "muster_"):
		return event.Errorf(event.CodeInvalid, "schema %q: names that begin with pg_ or muster_ are those of Postgres and of the live read models: choose another, such as audit_2026", o.Name)
	case o.Until.IsZero():
		return event.Errorf(event.CodeInvalid, "say up to which moment the log is to be folded, such as --to 2026-03-01T00:00:00Z")
	case o.Until.Year() < 1970 || o.Until.Year() > 2261:
		return event.Errorf(event.CodeInvalid, "%s is no moment of this log: choose one between 1970 and now", o.Until.UTC().Format(time.RFC3339))
	case o.Until.After(now):
		return event.Errorf(event.CodeInvalid, "%s is yet to come, it is %s: choose an earlier time", o.Until.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

// ReplayInto folds the log up to a moment into a scratch of those projections. It can
// be interrupted: the next call with the same moment goes on where this one stopped,
// and so does [Runner.Run]. A scratch of that moment that is ready is left as it is. It
// fails with [event.CodeConflict] if there is a schema of that name that is no scratch of
// that moment, and at a poisoned event.
func (r *Runner) ReplayInto(ctx context.Context, list []Bound, o ScratchOptions) (Scratch, []ScratchTable, error) {
	if err := o.validate(time.Now()); err != nil {
		return Scratch{}, nil, err
	}
	lock, err := r.ownScratch(ctx, o.Name)
	if err != nil {
		return Scratch{}, nil, err
	}
	defer lock.release(ctx)
	s, err := r.pickScratch(ctx, list, o)
	if err != nil {
		return s, nil, err
	}
	r.Step("scratch.noted")
	var tables []ScratchTable
	if s.ReadyAt != nil {
		for _, g := range s.Generations {
			folded, err := r.Control.folded(ctx, g)
			if err != nil {
				return s, nil, err
			}
			tables = append(tables, folded)
		}
		return s, tables, nil
	}
	for _, g := range s.Generations {
		b := list[boundOf(list, g)]
		var progress func(Progress)
		if o.Progress != nil {
			progress = func(p Progress) { o.Progress(b.Name, p) }
		}
		if err := b.prepare(ctx, b.Projection, g); err != nil {
			return s, tables, err
		}
		if err := r.aside().build(ctx, b, g, progress); err != nil {
			return s, tables, err
		}
		folded, err := r.Control.folded(ctx, g)
		if err != nil {
			return s, tables, err
		}
		tables = append(tables, folded)
		r.Step("scratch.folded")
	}
	if err := r.Control.openScratch(ctx, s, list); err != nil {
		return s, tables, err
	}
	r.Step("scratch.opened")
	s, err = r.Control.Scratch(ctx, o.Name)
	return s, tables, err
}

// folded is what was folded into a generation of a scratch.
func (c *Control) folded(ctx context.Context, g Generation) (ScratchTable, error) {
	checkpoints, err := c.Checkpoints(ctx, g)
	if err != nil {
		return ScratchTable{}, err
	}
	folded := ScratchTable{Projection: g.Projection, Namespace: g.Namespace}
	for _, cp := range checkpoints {
		folded.Records += cp.Records
	}
	return folded, nil
}

// aside is the runner without its metrics, which are about the live generations.
func (r *Runner) aside() *Runner { return &Runner{Config: r.Config, metrics: newMetrics(nil)} }

// boundOf is the place of the projection of a generation in the list; negative if it is
// not there in that version.
func boundOf(list []Bound, g Generation) int {
	return slices.IndexFunc(list, func(b Bound) bool { return b.Name == g.Projection && b.Version == g.Version })
}

// ownScratch takes the lock of a scratch. Others hold it for a few seconds at a time,
// except while they build.
func (r *Runner) ownScratch(ctx context.Context, name string) (*owner, error) {
	return r.ownSoon(ctx, "scratch "+name, fmt.Sprintf("scratch %q is being built by another process: wait for it to end", name))
}

// pickScratch finds the scratch of that moment, or makes one.
func (r *Runner) pickScratch(ctx context.Context, list []Bound, o ScratchOptions) (Scratch, error) {
	s, err := r.Control.Scratch(ctx, o.Name)
	switch {
	case event.CodeOf(err) == event.CodeNotFound:
		return r.Control.createScratch(ctx, list, o)
	case err != nil:
		return s, err
	case o.Replace:
		if err := r.discard(ctx, list, s); err != nil {
			return s, err
		}
		return r.Control.createScratch(ctx, list, o)
	case !s.Until.Equal(o.Until) || !s.isOf(list):
		return s, event.Errorf(event.CodeConflict, "there is a scratch %q already, of %s: choose another name, replace it with --replace, or drop it with `muster replay drop %s`",
			s.Name, s.Until.Format(time.RFC3339Nano), s.Name)
	default:
		return s, nil
	}
}

// Live is where the tables of a projection lie, so that what reads the live generations
// can read a scratch, too. It fails with [event.CodeNotFound] if it is not of that
// projection.
func (s Scratch) Live(_ context.Context, projection string) (Generation, error) {
	if i := slices.IndexFunc(s.Generations, func(g Generation) bool { return g.Projection == projection }); i >= 0 {
		return s.Generations[i], nil
	}
	return Generation{}, event.Errorf(event.CodeNotFound, "scratch %q is not of projection %q: make one of it with `muster replay %s --to TIME --into SCHEMA`", s.Name, projection, projection)
}

// isOf tells whether a scratch is of exactly these projections.
func (s Scratch) isOf(list []Bound) bool {
	return len(s.Generations) == len(list) && !slices.ContainsFunc(s.Generations, func(g Generation) bool { return boundOf(list, g) < 0 })
}

// DropScratch removes a scratch with all its tables. list has at least the projections
// that it is of. It fails with [event.CodeNotFound] if there is none of that name.
func (r *Runner) DropScratch(ctx context.Context, list []Bound, name string) error {
	lock, err := r.ownScratch(ctx, name)
	if err != nil {
		return err
	}
	defer lock.release(ctx)
	s, err := r.Control.Scratch(ctx, name)
	if err != nil {
		return err
	}
	return r.discard(ctx, list, s)
}

// discard removes a scratch; what is interrupted can be done again.
func (r *Runner) discard(ctx context.Context, list []Bound, s Scratch) error {
	// Views that auditors made of their own on the schema go with it.
	if _, err := r.Pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{s.Name}.Sanitize()+" CASCADE"); err != nil {
		return fmt.Errorf("dropping the schema of scratch %s: %w", s.Name, err)
	}
	r.Step("scratch.schema-dropped")
	for _, g := range s.Generations {
		i := slices.IndexFunc(list, func(b Bound) bool { return b.Name == g.Projection })
		if i < 0 {
			return event.Errorf(event.CodeConflict, "scratch %q has tables of projection %q, which this version does not know: drop it with the version that made it", s.Name, g.Projection)
		}
		if err := list[i].drop(ctx, g); err != nil {
			return err
		}
		r.Step("scratch.tables-dropped")
	}
	if _, err := r.Pool.Exec(ctx, `DELETE FROM runner.scratches WHERE name = $1`, s.Name); err != nil {
		return fmt.Errorf("forgetting scratch %s: %w", s.Name, err)
	}
	return nil
}

// keepScratches brings all scratches to the end of the log again and again, so that
// what is removed and forgotten goes from them, too, until ctx ends.
func (r *Runner) keepScratches(ctx context.Context, list []Bound) {
	look := time.NewTicker(scratchInterval)
	defer look.Stop()
	for {
		if err := r.FollowScratches(ctx, list); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "a scratch was not brought up to date, trying again", "error", err, "pause", scratchInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// FollowScratches brings all scratches that no other process works on to the end of
// the log, or a stride nearer to it. Those whose tables are of an older version than
// the projections are dropped, for nobody could take from them what is forgotten.
func (r *Runner) FollowScratches(ctx context.Context, list []Bound) error {
	all, err := r.Control.Scratches(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range all {
		if err := r.followScratch(ctx, list, s.Name); err != nil {
			failed = append(failed, fmt.Errorf("scratch %s: %w", s.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (r *Runner) followScratch(ctx context.Context, list []Bound, name string) error {
	lock, err := r.Control.own(ctx, "scratch "+name)
	if err != nil || lock == nil {
		return err
	}
	defer lock.release(ctx)
	s, err := r.Control.Scratch(ctx, name)
	if event.CodeOf(err) == event.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if old, is := outdated(list, s); is {
		r.Logger.WarnContext(ctx, "a scratch is dropped: its tables are of an older version; make it again with `muster replay --to TIME --into SCHEMA`",
			"schema", s.Name, "to", s.Until, "projection", old.Projection, "version", old.Version)
		return r.discard(ctx, list, s)
	}
	atEnd := s.isOf(list)
	for _, g := range s.Generations {
		i := boundOf(list, g)
		if i < 0 {
			continue
		}
		reached, err := r.stride(ctx, list[i], g)
		if err != nil {
			return err
		}
		atEnd = atEnd && reached
	}
	if s.ReadyAt == nil && atEnd {
		return r.Control.openScratch(ctx, s, list)
	}
	return nil
}

// outdated finds tables of a scratch that are older than their projection.
func outdated(list []Bound, s Scratch) (Generation, bool) {
	for _, g := range s.Generations {
		if slices.ContainsFunc(list, func(b Bound) bool { return b.Name == g.Projection && b.Version > g.Version }) {
			return g, true
		}
	}
	return Generation{}, false
}

// stride folds the next records of each partition. It tells whether that was all.
// Unlike the first build it parks what it cannot apply, so that the rest goes on.
func (r *Runner) stride(ctx context.Context, b Bound, g Generation) (bool, error) {
	quiet := r.aside()
	if err := b.prepare(ctx, b.Projection, g); err != nil {
		return false, err
	}
	ends, err := r.Log.Ends(ctx, b.Topics...)
	if err != nil {
		return false, fmt.Errorf("reading the ends of the log: %w", err)
	}
	f, err := quiet.open(ctx, b, g, false)
	if err != nil {
		return false, err
	}
	goal, reached := map[eventlog.Partition]int64{}, true
	for at, span := range ends {
		from := max(f.next[at], span.Start)
		goal[at] = min(span.End, from+scratchStride)
		reached = reached && goal[at] == span.End
	}
	return reached, quiet.pumpTo(ctx, b, f, goal, func(*prepared) {})
}

// Scratches lists the scratches by name.
func (c *Control) Scratches(ctx context.Context) ([]Scratch, error) {
	rows, err := c.pool.Query(ctx, `SELECT name, until_ns, created_at, ready_at FROM runner.scratches ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("listing scratches: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Scratch, error) {
		var s Scratch
		var until int64
		err := row.Scan(&s.Name, &until, &s.CreatedAt, &s.ReadyAt)
		s.Until = time.Unix(0, until).UTC()
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing scratches: %w", err)
	}
	for i := range list {
		rows, err := c.pool.Query(ctx, selectGeneration+` WHERE g.scratch = $1 ORDER BY g.name, g.generation`, list[i].Name)
		if err != nil {
			return nil, fmt.Errorf("reading the tables of scratch %s: %w", list[i].Name, err)
		}
		list[i].Generations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Generation, error) { return c.scanGeneration(row) })
		if err != nil {
			return nil, fmt.Errorf("reading the tables of scratch %s: %w", list[i].Name, err)
		}
	}
	return list, nil
}

// Scratch is the one of that name. It fails with [event.CodeNotFound] if there is none.
func (c *Control) Scratch(ctx context.Context, name string) (Scratch, error) {
	all, err := c.Scratches(ctx)
	if err != nil {
		return Scratch{}, err
	}
	if i := slices.IndexFunc(all, func(s Scratch) bool { return s.Name == name }); i >= 0 {
		return all[i], nil
	}
	return Scratch{}, event.Errorf(event.CodeNotFound, "there is no scratch %q: see `muster replay list`", name)
}

// createScratch notes a new scratch. Its tables are made by whoever builds it.
func (c *Control) createScratch(ctx context.Context, list []Bound, o ScratchOptions) (Scratch, error) {
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		var taken bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) OR EXISTS (SELECT FROM runner.generations WHERE namespace = $1)`, o.Name).Scan(&taken); err != nil {
			return err
		}
		if taken {
			return event.Errorf(event.CodeConflict, "schema %q is there already and no scratch: choose another name", o.Name)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO runner.scratches (name, until_ns) VALUES ($1, $2)`, o.Name, o.Until.UnixNano()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{o.Name}.Sanitize()); err != nil {
			return err
		}
		for _, b := range list {
			if _, err := tx.Exec(ctx, `INSERT INTO runner.projections (name) VALUES ($1) ON CONFLICT DO NOTHING`, b.Name); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT name FROM runner.projections WHERE name = $1 FOR UPDATE`, b.Name).Scan(new(string)); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO runner.generations (name, generation, version, namespace, status, scratch)
				SELECT $1, coalesce(max(generation), 0) + 1, $2, $3, 'scratch', $4 FROM runner.generations WHERE name = $1`,
				b.Name, b.Version, fmt.Sprintf("%s_%s_%s", b.prefix(), o.Name, b.Name), o.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Scratch{}, fmt.Errorf("making scratch %s: %w", o.Name, err)
	}
	return c.Scratch(ctx, o.Name)
}

// openScratch gives the schema of a scratch a view of each table and view that lies in
// Postgres, and says that it is there. A name that a projection before has
// taken has the projection's put before it.
func (c *Control) openScratch(ctx context.Context, s Scratch, list []Bound) error {
	schema := pgx.Identifier{s.Name}.Sanitize()
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		taken := map[string]bool{}
		for _, b := range list {
			i := slices.IndexFunc(s.Generations, func(g Generation) bool { return g.Projection == b.Name })
			if i < 0 {
				continue
			}
			rows, err := tx.Query(ctx, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = $1 AND c.relkind IN ('r', 'v') ORDER BY c.relname`, s.Generations[i].Namespace)
			if err != nil {
				return err
			}
			names, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, name := range names {
				shown := name
				if taken[shown] {
					shown = b.Name + "_" + name
				}
				taken[shown] = true
				if _, err := tx.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE VIEW %s.%s AS SELECT * FROM %s", schema, pgx.Identifier{shown}.Sanitize(),
					pgx.Identifier{s.Generations[i].Namespace, name}.Sanitize())); err != nil {
					return err
				}
			}
		}
		_, err := tx.Exec(ctx, `UPDATE runner.scratches SET ready_at = now() WHERE name = $1`, s.Name)
		return err
	})
	if err != nil {
		return fmt.Errorf("opening the schema of scratch %s: %w", s.Name, err)
	}
	return nil
}
