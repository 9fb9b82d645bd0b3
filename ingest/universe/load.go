package universe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
)

// Where rows of static data come from, as in their column source.
const (
	sourceBuiltin = "builtin"
	sourceStatic  = "static"
	sourceESI     = "esi"
)

// Progress is how far a load is.
type Progress struct {
	// Phase is what is being done, such as "reading types.jsonl".
	Phase string
	// Done and Total are bytes; Total is 0 or less if it is not known.
	Done, Total int64
}

// LoadOptions say how static data is loaded. Zero values mean the defaults named.
type LoadOptions struct {
	// Progress is told how far the load is: nobody.
	Progress func(Progress)
	// Client downloads: one with a limit of half an hour.
	Client *http.Client
	// Now is the clock: time.Now.
	Now func() time.Time
}

// TableChange is what a load did to a table.
type TableChange struct {
	Table string `json:"table"`
	// Rows is how many the export has.
	Rows    int64 `json:"rows"`
	Added   int64 `json:"added"`
	Changed int64 `json:"changed"`
	Removed int64 `json:"removed"`
}

// RejectedRow is a row that could not be read.
type RejectedRow struct {
	File string `json:"file"`
	// Line is counted from 1.
	Line   int64  `json:"line"`
	Reason string `json:"reason"`

	content string
}

// LoadReport is what a load came to.
type LoadReport struct {
	// Source is static or builtin, Origin the path or URL.
	Source string `json:"source"`
	Origin string `json:"origin"`
	// Build is CCP's number of the export, ReleasedAt its date; nil if it does not
	// say.
	Build      *int64        `json:"build"`
	ReleasedAt *time.Time    `json:"released_at"`
	LoadedAt   time.Time     `json:"loaded_at"`
	Tables     []TableChange `json:"tables"`
	// Unnamed is how many stations have no name of their own in the export, and
	// none that could be made; ESI is asked when they are needed.
	Unnamed int64 `json:"unnamed_stations"`
	// Rejected counts rows that could not be read; the first of them are listed, and
	// all up to a bound are kept with their content.
	Rejected     int64         `json:"rejected"`
	RejectedRows []RejectedRow `json:"rejected_rows"`
	// Ignored counts files of the export that are of no use to Muster.
	Ignored int `json:"ignored_files"`
}

// Bounds of what is kept of rows that could not be read.
const (
	listRejected    = 100
	keepRejected    = 1000
	keepRejectedLen = 2000
)

// downloadTimeout bounds a download with its body.
const downloadTimeout = 30 * time.Minute

// Load reads static data from a folder, a zip, a file or the URL of a zip, and makes
// the tables equal to it, all in one transaction: readers see what was there before
// or all of the new. Tables of which the export has no file stay as they are, and so
// does what ESI was asked for and the export lacks. Rows that cannot be read are kept
// aside and reported; a file of which none can be read, or that is damaged, fails the
// load with [event.CodeInvalid]. Of several loads at once one waits for the other.
func Load(ctx context.Context, pool *pgxpool.Pool, origin string, options LoadOptions) (LoadReport, error) {
	if options.Progress == nil {
		options.Progress = func(Progress) {}
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Client == nil {
		options.Client = &http.Client{Timeout: downloadTimeout}
	}
	e, err := openExport(ctx, origin, options.Client, options.Progress)
	if err != nil {
		return LoadReport{}, err
	}
	l := &loader{export: e, progress: options.Progress, now: options.Now().UTC(), report: LoadReport{Source: sourceStatic, Origin: origin}}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return l.load(ctx, tx) })
	if err = errors.Join(err, e.close()); err != nil {
		return LoadReport{}, fmt.Errorf("loading the static data at %s: %w", origin, err)
	}
	return l.report, nil
}

// loader is one load.
type loader struct {
	export   *export
	progress func(Progress)
	now      time.Time
	// digest tells built-in data apart; empty for other.
	digest string
	report LoadReport

	rejected []RejectedRow
	done     int64
	total    int64
}

// loadLock keeps loads apart.
const loadLock = "SELECT pg_advisory_xact_lock(hashtextextended('muster/ingest/universe/load', 0))"

func (l *loader) load(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, loadLock); err != nil {
		return fmt.Errorf("waiting for other loads of static data: %w", err)
	}
	l.report.LoadedAt, l.report.Ignored, l.report.RejectedRows = l.now, l.export.ignored, []RejectedRow{}
	if e := l.export.edition; e != nil {
		if e.Build > 0 {
			l.report.Build = &e.Build
		}
		l.report.ReleasedAt = e.released()
	}
	for _, kind := range fileKinds() {
		if _, err := tx.Exec(ctx, kind.create()); err != nil {
			return fmt.Errorf("preparing the load of static data: %w", err)
		}
	}
	for _, f := range l.export.files {
		l.total += f.size
	}
	for _, f := range l.export.files {
		if err := l.stage(ctx, tx, f); err != nil {
			return err
		}
	}
	if err := l.merge(ctx, tx); err != nil {
		return err
	}
	return l.note(ctx, tx)
}

// stage streams the rows of a file into its stage.
func (l *loader) stage(ctx context.Context, tx pgx.Tx, f *exportFile) error {
	phase := "reading " + f.name
	l.progress(Progress{phase, l.done, l.total})
	rows := make(chan []any, 256)
	// The copy takes rows while the file is read; whoever stops first stops the
	// other.
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	finished := make(chan error, 1)
	var count, good int64
	go func() {
		defer close(rows)
		var err error
		count, err = f.lines(func(n int) { l.done += int64(n); l.progress(Progress{phase, l.done, l.total}) }, func(number int64, line []byte, tooLong bool) error {
			id, values, err := f.kind.decodeLine(line)
			if tooLong {
				err = event.Errorf(event.CodeInvalid, "is longer than %d bytes", maxLine)
			}
			if err != nil {
				l.reject(f.name, number, line, err)
				return nil
			}
			good++
			select {
			case rows <- append([]any{number, id}, values...):
				return nil
			case <-reading.Done():
				return context.Cause(reading)
			}
		})
		finished <- err
	}()
	_, copyErr := tx.CopyFrom(ctx, pgx.Identifier{f.kind.stage}, f.kind.stageColumns(), pgx.CopyFromFunc(func() ([]any, error) {
		row, more := <-rows
		if !more {
			return nil, nil
		}
		return row, nil
	}))
	stop(copyErr)
	for range rows {
		// The reader must not wait for ever.
	}
	readErr := <-finished
	switch {
	case readErr != nil && copyErr == nil:
		return readErr
	case copyErr != nil:
		return fmt.Errorf("copying %s: %w", f.name, copyErr)
	case good == 0 && count > 0:
		return event.Errorf(event.CodeInvalid, "none of the %d rows of %s can be read, such as line %d: %s; is it CCP's export in JSON Lines?",
			count, f.name, l.rejected[len(l.rejected)-1].Line, l.rejected[len(l.rejected)-1].Reason)
	case good == 0:
		return event.Errorf(event.CodeInvalid, "%s has no rows: all that is known of its kind would be removed; leave the file out, or take a whole export", f.name)
	}
	return nil
}

func (l *loader) reject(file string, line int64, content []byte, why error) {
	l.report.Rejected++
	r := RejectedRow{
		File: file, Line: line, Reason: printable(why.Error()), content: printable(string(content[:min(len(content), keepRejectedLen)])),
	}
	if len(l.report.RejectedRows) < listRejected {
		l.report.RejectedRows = append(l.report.RejectedRows, r)
	}
	if len(l.rejected) < keepRejected {
		l.rejected = append(l.rejected, r)
	}
}

// printable is a foreign text that Postgres can keep.
func printable(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// mergeStep makes a table equal to what was staged.
type mergeStep struct {
	table string
	key   string
	// columns are all but the source, the key's first.
	columns string
	// from selects them, with a column line.
	from string
	// stages are those whose files must be there, any of them.
	stages []string
	// scope bounds what may be removed; empty for all.
	scope string
}

func (l *loader) merge(ctx context.Context, tx pgx.Tx) error {
	staged := map[string]bool{}
	for _, f := range l.export.files {
		staged[f.kind.stage] = true
	}
	for _, step := range mergeSteps() {
		if !slices.ContainsFunc(step.stages, func(s string) bool { return staged[s] }) {
			continue
		}
		l.progress(Progress{"comparing " + step.table, l.total, l.total})
		change, err := step.run(ctx, tx, l.report.Source)
		if err != nil {
			return fmt.Errorf("taking over table %s: %w", step.table, err)
		}
		l.report.Tables = append(l.report.Tables, change)
	}
	err := tx.QueryRow(ctx, `SELECT count(*) FROM stage_station s WHERE NOT EXISTS (SELECT FROM universe.station t WHERE t.station_id = s.id)`).Scan(&l.report.Unnamed)
	if err != nil {
		return fmt.Errorf("counting stations without a name: %w", err)
	}
	return nil
}

// mergeSteps are in the order in which they need one another.
func mergeSteps() []mergeStep {
	return []mergeStep{
		{table: "category", key: "category_id", columns: "category_id, name", from: "SELECT line, id, name FROM stage_category", stages: []string{"stage_category"}},
		{table: "type_group", key: "group_id", columns: "group_id, name, category_id", from: "SELECT line, id, name, category_id FROM stage_group", stages: []string{"stage_group"}},
		{
			table: "type", key: "type_id", columns: "type_id, name, group_id, volume, base_price, published",
			from: "SELECT line, id, name, group_id, volume, base_price, published FROM stage_type", stages: []string{"stage_type"},
		},
		{
			// Other types than skills have some of these attributes, too.
			table: "skill", key: "type_id", columns: "type_id, rank, primary_attribute, secondary_attribute",
			from: `SELECT line, id, rank::integer, primary_attribute, secondary_attribute FROM stage_skill
				UNION ALL SELECT -line, d.id, rank::integer, primary_attribute, secondary_attribute FROM stage_dogma d
				JOIN universe.type t ON t.type_id = d.id JOIN universe.type_group g USING (group_id)
				WHERE g.category_id = 16 AND d.rank BETWEEN 1 AND 100`,
			stages: []string{"stage_skill", "stage_dogma"},
		},
		{
			// Boosters have an attribute of their own.
			table: "implant", key: "type_id", columns: "type_id, slot",
			from: `SELECT line, id, slot::integer FROM stage_implant
				UNION ALL SELECT -line, id, slot::integer FROM stage_dogma WHERE slot BETWEEN 1 AND ` + strconv.Itoa(lastSlot),
			stages: []string{"stage_implant", "stage_dogma"},
		},
		{
			table: "requirement", key: "type_id, skill_id", columns: "type_id, skill_id, level",
			from: `SELECT max(line) AS line, id, skill, max(level) FROM (
					SELECT r.line, r.id, r.required[i] AS skill, r.required[i + 1]::integer AS level
					FROM (SELECT line, id, required FROM stage_type UNION ALL SELECT line, id, required FROM stage_skill UNION ALL SELECT line, id, required FROM stage_dogma) r,
					generate_series(1, coalesce(cardinality(r.required), 0), 2) AS i) one GROUP BY id, skill`,
			stages: []string{"stage_type", "stage_skill", "stage_dogma"},
			// Of types whose files say nothing of requirements nothing is known.
			scope: `(t.type_id IN (SELECT id FROM stage_skill UNION ALL SELECT id FROM stage_dogma)
				OR t.type_id IN (SELECT id FROM stage_type WHERE EXISTS (SELECT FROM stage_type WHERE required IS NOT NULL))
				OR NOT EXISTS (SELECT FROM universe.type k WHERE k.type_id = t.type_id))`,
		},
		{
			table: "system", key: "system_id", columns: "system_id, name, security, constellation, region",
			from: `SELECT s.line, s.id, s.name, s.security, coalesce(s.constellation, c.name), coalesce(s.region, r.name)
				FROM stage_system s LEFT JOIN stage_constellation c ON c.id = s.constellation_id LEFT JOIN stage_region r ON r.id = s.region_id`,
			stages: []string{"stage_system"},
		},
		{
			// Planets are called after their systems.
			table: "planet", key: "planet_id", columns: "planet_id, name, system_id",
			from: `SELECT line, id, name, system_id FROM (
					SELECT s.line, s.id, coalesce(nullif(s.name, ''), y.name || ' ' || to_char(s.celestial, 'FMRN')) AS name, s.system_id
					FROM stage_planet s LEFT JOIN universe.system y USING (system_id)) made WHERE name IS NOT NULL`,
			stages: []string{"stage_planet"},
		},
		{table: "faction", key: "faction_id", columns: "faction_id, name", from: "SELECT line, id, name FROM stage_faction", stages: []string{"stage_faction"}},
		{table: "race", key: "race_id", columns: "race_id, name", from: "SELECT line, id, name FROM stage_race", stages: []string{"stage_race"}},
		{table: "bloodline", key: "bloodline_id", columns: "bloodline_id, name, race_id", from: "SELECT line, id, name, race_id FROM stage_bloodline", stages: []string{"stage_bloodline"}},
		{
			table: "npc_corporation", key: "corporation_id", columns: "corporation_id, name, faction_id",
			from: "SELECT line, id, name, faction_id FROM stage_corporation", stages: []string{"stage_corporation"},
		},
		{
			// CCP's export has no names of stations: they are made of those of the
			// place, the owner and, for most, what is done there.
			table: "station", key: "station_id", columns: "station_id, name, system_id, type_id, owner_id",
			from: `SELECT line, id, name, system_id, type_id, owner_id FROM (
					SELECT s.line, s.id, coalesce(nullif(s.name, ''),
						y.name || ' ' || to_char(s.planet, 'FMRN') || coalesce(' - Moon ' || s.moon, '') || ' - ' || c.name ||
						CASE WHEN s.says_operation THEN ' ' || o.name ELSE '' END, t.name) AS name, s.system_id, s.type_id, s.owner_id
					FROM stage_station s LEFT JOIN universe.system y USING (system_id) LEFT JOIN universe.npc_corporation c ON c.corporation_id = s.owner_id
					LEFT JOIN stage_operation o ON o.id = s.operation_id LEFT JOIN universe.station t ON t.station_id = s.id) made
				WHERE name IS NOT NULL`,
			stages: []string{"stage_station"},
		},
	}
}

func (s mergeStep) run(ctx context.Context, tx pgx.Tx, source string) (TableChange, error) {
	change := TableChange{Table: s.table}
	columns := strings.Split(s.columns, ", ")
	keys := strings.Split(s.key, ", ")
	var match, of, now, set []string
	for _, key := range keys {
		match = append(match, "t."+key+" = n."+key)
	}
	for _, column := range columns[len(keys):] {
		of, now, set = append(of, "t."+column), append(now, "n."+column), append(set, column+" = excluded."+column)
	}
	target, on := "universe."+s.table, strings.Join(match, " AND ")
	differs := fmt.Sprintf("(%s) IS DISTINCT FROM (%s)", strings.Join(of, ", "), strings.Join(now, ", "))
	// The last row of an id stands.
	_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TEMPORARY TABLE new_%s ON COMMIT DROP AS SELECT DISTINCT ON (%s) %s FROM (%s) AS s (line, %s) ORDER BY %[2]s, line DESC`,
		s.table, s.key, s.columns, s.from, s.columns))
	if err != nil {
		return change, err
	}
	err = tx.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), count(*) FILTER (WHERE t.source IS NULL), count(*) FILTER (WHERE t.source IS NOT NULL AND %s)
		FROM new_%s n LEFT JOIN %s t ON %s`, differs, s.table, target, on)).Scan(&change.Rows, &change.Added, &change.Changed)
	if err != nil {
		return change, err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf(`INSERT INTO %s AS t (%s, source) SELECT %[2]s, $1 FROM new_%s
		ON CONFLICT (%s) DO UPDATE SET %s, source = excluded.source WHERE (%s, t.source) IS DISTINCT FROM (%s, excluded.source)`,
		target, s.columns, s.table, s.key, strings.Join(set, ", "), strings.Join(of, ", "),
		strings.ReplaceAll(strings.Join(now, ", "), "n.", "excluded.")), source)
	if err != nil {
		return change, err
	}
	where := "t.source <> '" + sourceESI + "'"
	if s.scope != "" {
		where += " AND " + s.scope
	}
	tag, err := tx.Exec(ctx, fmt.Sprintf(`DELETE FROM %s t WHERE %s AND NOT EXISTS (SELECT FROM new_%s n WHERE %s)`, target, where, s.table, on))
	change.Removed = tag.RowsAffected()
	return change, err
}

// note writes down what came of the load, and forgets what need not be asked for any
// more.
func (l *loader) note(ctx context.Context, tx pgx.Tx) error {
	encoded, err := json.Marshal(l.report)
	if err != nil {
		return fmt.Errorf("writing the report of the load: %w", err)
	}
	var id int64
	err = tx.QueryRow(ctx, `INSERT INTO universe.load (source, origin, build, released_at, loaded_at, digest, report) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING load_id`,
		l.report.Source, printable(l.report.Origin), l.report.Build, l.report.ReleasedAt, l.now, l.digest, encoded).Scan(&id)
	if err != nil {
		return fmt.Errorf("writing down the load: %w", err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM universe.rejected_row`)
	for _, r := range l.rejected {
		batch.Queue(`INSERT INTO universe.rejected_row (load_id, file, line, reason, content) VALUES ($1, $2, $3, $4, $5)`, id, printable(r.File), r.Line, r.Reason, r.content)
	}
	batch.Queue(`DELETE FROM universe.wanted w WHERE lookup = 'type' AND EXISTS (SELECT FROM universe.type t WHERE t.type_id = w.id)`)
	batch.Queue(`DELETE FROM universe.wanted w WHERE lookup = 'name' AND (EXISTS (SELECT FROM universe.system t WHERE t.system_id = w.id)
		OR EXISTS (SELECT FROM universe.station t WHERE t.station_id = w.id) OR EXISTS (SELECT FROM universe.faction t WHERE t.faction_id = w.id)
		OR EXISTS (SELECT FROM universe.npc_corporation t WHERE t.corporation_id = w.id))`)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("writing down the load: %w", err)
	}
	return nil
}
