package universe_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/universe"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func migrated(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := enginetest.Postgres(t)
	require.NoError(t, universe.Migrate(t.Context(), pool))
	return pool
}

// one reads one value.
func one[T any](t *testing.T, pool *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, pool.QueryRow(t.Context(), sql, args...).Scan(&v))
	return v
}

// folder writes files into a folder; those whose names end in .gz are packed.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		data := []byte(content)
		if strings.HasSuffix(name, ".gz") {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write(data)
			require.NoError(t, z.Close())
			data = packed.Bytes()
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

// zipped packs files into a zip.
func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for name, content := range files {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, _ = w.Write([]byte(content))
	}
	require.NoError(t, z.Close())
	file := filepath.Join(t.TempDir(), "export.zip")
	require.NoError(t, os.WriteFile(file, packed.Bytes(), 0o600))
	return file
}

func load(t *testing.T, pool *pgxpool.Pool, origin string) universe.LoadReport {
	t.Helper()
	report, err := universe.Load(t.Context(), pool, origin, universe.LoadOptions{})
	require.NoError(t, err)
	return report
}

func changeOf(t *testing.T, r universe.LoadReport, table string) universe.TableChange {
	t.Helper()
	for _, c := range r.Tables {
		if c.Table == table {
			return c
		}
	}
	require.Fail(t, "the load says nothing of table "+table)
	return universe.TableChange{}
}

func TestAFreshDatabaseHasTheBuiltInData(t *testing.T) {
	pool := migrated(t)
	require.Equal(t, "Tritanium", one[string](t, pool, `SELECT name FROM universe.type WHERE type_id = 34`))
	require.Equal(t, "Jita IV - Moon 4 - Caldari Navy Assembly Plant", one[string](t, pool, `SELECT name FROM universe.location WHERE location_id = 60003760`))
	require.Equal(t, "Jita/TheForge", one[string](t, pool, `SELECT name || '/' || region FROM universe.system WHERE system_id = 30000142`))
	require.Equal(t, "Asset Safety", one[string](t, pool, `SELECT name FROM universe.location WHERE location_id = 2004`))
	require.Equal(t, "faction/Caldari State", one[string](t, pool, `SELECT category || '/' || name FROM universe.entity WHERE id = 500001`))
	require.Equal(t, 483, one[int](t, pool, `SELECT count(*) FROM universe.skill WHERE rank > 0 AND primary_attribute BETWEEN 164 AND 168`))
	require.Equal(t, 4, one[int](t, pool, `SELECT level FROM universe.requirement WHERE type_id = 2403 AND skill_id = 2406`))
	require.Equal(t, "builtin", one[string](t, pool, `SELECT string_agg(DISTINCT source, ',') FROM universe.type`))
	require.Equal(t, "1 2 3 4 5 10", one[string](t, pool, `SELECT string_agg(slot::text, ' ' ORDER BY slot) FROM universe.implant JOIN universe.type USING (type_id)
		WHERE name IN ('Ocular Filter - Basic', 'Mid-grade Snake Beta', 'Neural Boost - Basic', 'Cybernetic Subprocessor - Basic', 'Social Adaptation Chip - Basic', 'Shield Command Mindlink')`))
	require.Equal(t, "1 10", one[string](t, pool, `SELECT concat_ws(' ', min(slot), max(slot)) FROM universe.implant`))

	require.NoError(t, universe.Migrate(t.Context(), pool))
	require.Equal(t, 1, one[int](t, pool, `SELECT count(*) FROM universe.load`), "it is loaded once")
}

// export is an export in CCP's own layout, as small as possible.
func export() map[string]string {
	return map[string]string{
		"_sde.jsonl":              `{"_key":"sde","buildNumber":3561556,"releaseDate":"2026-09-29T11:00:00Z"}`,
		"categories.jsonl":        `{"_key":16,"name":{"de":"Fertigkeit","en":"Skill"}}` + "\n" + `{"_key":4,"name":{"en":"Material"}}`,
		"groups.jsonl":            `{"_key":255,"categoryID":16,"name":{"en":"Gunnery"}}` + "\n" + `{"_key":18,"categoryID":4,"name":{"en":"Mineral"}}`,
		"types.jsonl":             `{"_key":34,"groupID":18,"name":{"en":"Tritanium","ru":"Тританиум"},"volume":0.01,"basePrice":2.0,"published":true}` + "\n" + `{"_key":3300,"groupID":255,"name":{"en":"Gunnery"}}` + "\n" + `{"_key":3301,"groupID":255,"name":{"en":"Small Hybrid Turret"},"published":false}`,
		"typeDogma.jsonl":         `{"_key":3301,"dogmaAttributes":[{"attributeID":275,"value":1.0},{"attributeID":180,"value":167.0},{"attributeID":181,"value":168.0},{"attributeID":182,"value":3300.0},{"attributeID":277,"value":3.0}],"dogmaEffects":[]}` + "\n" + `{"_key":34,"dogmaAttributes":[{"attributeID":275,"value":2.0},{"attributeID":331,"value":8.0}]}` + "\n" + `{"_key":3300,"dogmaAttributes":[{"attributeID":331,"value":0.0}]}`,
		"mapPlanets.jsonl":        `{"_key":40009077,"celestialIndex":4,"solarSystemID":30000142,"typeID":2016}`,
		"mapRegions.jsonl":        `{"_key":10000002,"name":{"en":"The Forge"}}`,
		"mapConstellations.jsonl": `{"_key":20000020,"name":{"en":"Kimotoro"}}`,
		"mapSolarSystems.jsonl":   `{"_key":30000142,"constellationID":20000020,"regionID":10000002,"name":{"en":"Jita"},"securityStatus":0.9459}`,
		"npcCorporations.jsonl":   `{"_key":1000035,"name":{"en":"Caldari Navy"},"factionID":500001}`,
		"stationOperations.jsonl": `{"_key":26,"operationName":{"en":"Assembly Plant"}}`,
		"npcStations.jsonl": `{"_key":60003760,"celestialIndex":4,"orbitIndex":4,"operationID":26,"ownerID":1000035,"solarSystemID":30000142,"typeID":52678,"useOperationName":true}` + "\n" +
			`{"_key":60003761,"celestialIndex":14,"operationID":26,"ownerID":1000035,"solarSystemID":30000142,"typeID":52678}` + "\n" +
			`{"_key":60003762,"operationID":26,"ownerID":1000035,"solarSystemID":30000142}`,
		"agentsInSpace.jsonl": `{"_key":1}`,
		"readme.txt":          "hello",
	}
}

func TestCCPsExportReplacesTheBuiltInData(t *testing.T) {
	pool := migrated(t)
	var phases []string
	report, err := universe.Load(t.Context(), pool, zipped(t, export()), universe.LoadOptions{Progress: func(p universe.Progress) {
		require.LessOrEqual(t, p.Done, p.Total)
		phases = append(phases, p.Phase)
	}})
	require.NoError(t, err)
	require.Contains(t, phases, "reading types.jsonl")
	require.EqualValues(t, 3561556, *report.Build)
	require.Equal(t, time.Date(2026, 9, 29, 11, 0, 0, 0, time.UTC), *report.ReleasedAt)
	require.Equal(t, 1, report.Ignored)
	require.Zero(t, report.Rejected)
	require.EqualValues(t, 1, report.Unnamed)
	types := changeOf(t, report, "type")
	require.EqualValues(t, 3, types.Rows)
	require.EqualValues(t, 24396-3, types.Removed)
	require.Equal(t, "static", one[string](t, pool, `SELECT string_agg(DISTINCT source, ',') FROM universe.type`))

	require.Equal(t, "Tritanium 18 0.01 2 true", one[string](t, pool, `SELECT concat_ws(' ', name, group_id, volume, base_price, published::text) FROM universe.type WHERE type_id = 34`))
	require.Equal(t, "Jita Kimotoro The Forge 0.9459", one[string](t, pool, `SELECT concat_ws(' ', name, constellation, region, security) FROM universe.system WHERE system_id = 30000142`))
	require.Equal(t, "3301 1 167 168", one[string](t, pool, `SELECT string_agg(concat_ws(' ', type_id, rank, primary_attribute, secondary_attribute), ';') FROM universe.skill`), "only skills are skills")
	require.Equal(t, "3301 3300 3", one[string](t, pool, `SELECT string_agg(concat_ws(' ', type_id, skill_id, level), ';') FROM universe.requirement`))
	require.Equal(t, "Jita IV - Moon 4 - Caldari Navy Assembly Plant", one[string](t, pool, `SELECT name FROM universe.station WHERE station_id = 60003760`))
	require.Equal(t, "Jita XIV - Caldari Navy", one[string](t, pool, `SELECT name FROM universe.station WHERE station_id = 60003761`))
	require.Equal(t, "Jita IV 30000142", one[string](t, pool, `SELECT string_agg(concat_ws(' ', name, system_id), ';') FROM universe.planet`))
	require.Equal(t, "34 8", one[string](t, pool, `SELECT string_agg(concat_ws(' ', type_id, slot), ';') FROM universe.implant`), "what is built in goes")
	require.Equal(t, "Navka", one[string](t, pool, `SELECT name FROM universe.bloodline WHERE bloodline_id = 27`), "a table without a file stays")

	again := load(t, pool, zipped(t, export()))
	for _, c := range again.Tables {
		require.Equal(t, [3]int64{}, [3]int64{c.Added, c.Changed, c.Removed}, "a second load changes nothing in %s", c.Table)
	}
	require.NoError(t, universe.Migrate(t.Context(), pool))
	require.Equal(t, 3, one[int](t, pool, `SELECT count(*) FROM universe.type`), "what is built in does not come back")

	files := export()
	files["types.jsonl"] = strings.Replace(files["types.jsonl"], "Tritanium", "Tritaniom", 1) + "\n" + `{"_key":35,"groupID":18,"name":{"en":"Pyerite"}}`
	delete(files, "npcStations.jsonl")
	files["types.jsonl"] = strings.Replace(files["types.jsonl"], `{"_key":3301`, `{"_key":3302`, 1)
	changed := changeOf(t, load(t, pool, zipped(t, files)), "type")
	require.Equal(t, universe.TableChange{Table: "type", Rows: 4, Added: 2, Changed: 1, Removed: 1}, changed)
}

func TestFoldersFilesAndAddressesAreLoadedAlike(t *testing.T) {
	pool := migrated(t)
	rows := map[string]string{"sub/types.jsonl.gz": `{"id":34,"name":"Tritanium","group_id":18}` + "\r\n\n" + `{"id":35,"name":"Pyerite"}`}
	require.EqualValues(t, 2, changeOf(t, load(t, pool, folder(t, rows)), "type").Rows)
	dir := folder(t, map[string]string{"races.jsonl": `{"id":1,"name":"Caldari"}`, "types.jsonl": "broken"})
	require.Len(t, load(t, pool, filepath.Join(dir, "races.jsonl")).Tables, 1, "a single file is loaded alone")

	data, err := os.ReadFile(zipped(t, export()))
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest.zip":
			http.Redirect(w, r, "/build.zip", http.StatusFound)
		case "/build.zip":
			_, _ = w.Write(data)
		case "/page.zip":
			_, _ = w.Write([]byte("<html>"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	report := load(t, pool, server.URL+"/latest.zip")
	require.EqualValues(t, 3561556, *report.Build)
	_, err = universe.Load(t.Context(), pool, server.URL+"/nothing.zip", universe.LoadOptions{})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.ErrorContains(t, err, "404")
	_, err = universe.Load(t.Context(), pool, server.URL+"/page.zip", universe.LoadOptions{})
	require.ErrorContains(t, err, "is neither a zip nor")
	server.CloseClientConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestRowsThatCannotBeReadAreKeptAsideAndTheOthersLoaded(t *testing.T) {
	pool := migrated(t)
	report := load(t, pool, folder(t, map[string]string{"types.jsonl": strings.Join([]string{
		`{"id":34,"name":"Tritanium"}`,
		`{"id":35,"name":`,
		`[]`,
		`null`,
		``,
		`{"name":"Nameless"}`,
		`{"id":36,"name":{"de":"Mexallon"}}`,
		`{"id":37,"name":"a\u0000b"}`,
		`{"id":38,"name":"Nocxium","volume":"much"}`,
		`{"id":39,"name":"Zydrine","required_skills":[[1,9]]}`,
		`{"id":40,"name":"Megacyte","volume":1e999}`,
		`{"id":99999999999999999999,"name":"x"}`,
		"{\"id\":41,\"name\":\"Morphite\xff\"}",
		`{"id":42,"name":"` + strings.Repeat("x", 9<<20) + `"}`,
		`{"id":34,"name":"Tritanium II"}`,
	}, "\n")}))
	require.EqualValues(t, 11, report.Rejected)
	var lines []string
	for _, r := range report.RejectedRows {
		require.Equal(t, "types.jsonl", r.File)
		lines = append(lines, fmt.Sprint(r.Line))
	}
	require.Equal(t, "2 3 4 6 7 8 9 10 11 12 14", strings.Join(lines, " "))
	require.Contains(t, report.RejectedRows[4].Reason, "has no English name")
	require.Contains(t, report.RejectedRows[10].Reason, "longer than")
	require.Equal(t, 11, one[int](t, pool, `SELECT count(*) FROM universe.rejected_row WHERE length(content) BETWEEN 2 AND 2000 AND reason <> ''`))
	require.Equal(t, "Tritanium II", one[string](t, pool, `SELECT name FROM universe.type WHERE type_id = 34`), "the last row of an id stands")
	require.Equal(t, "Morphite\uFFFD", one[string](t, pool, `SELECT name FROM universe.type WHERE type_id = 41`))
	require.Equal(t, 2, one[int](t, pool, `SELECT count(*) FROM universe.type`))
	load(t, pool, folder(t, map[string]string{"races.jsonl": `{"id":1,"name":"Caldari"}`}))
	require.Zero(t, one[int](t, pool, `SELECT count(*) FROM universe.rejected_row`), "those of the last load are kept")
}

func TestWhatIsNoExportIsRefusedAndChangesNothing(t *testing.T) {
	pool := migrated(t)
	before := one[string](t, pool, `SELECT md5(string_agg(t::text, ',' ORDER BY type_id)) FROM universe.type t`)
	damaged := folder(t, map[string]string{"types.jsonl.gz": strings.Repeat(`{"id":34,"name":"Tritanium"}`+"\n", 100000)})
	file := filepath.Join(damaged, "types.jsonl.gz")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, content[:len(content)-20], 0o600))
	plain := folder(t, map[string]string{"types.jsonl.gz": ""})
	require.NoError(t, os.WriteFile(filepath.Join(plain, "types.jsonl.gz"), []byte("no gzip"), 0o600))
	for name, c := range map[string]struct{ origin, says string }{
		"nothing there":             {filepath.Join(t.TempDir(), "nothing"), "no such file"},
		"a folder without rows":     {folder(t, map[string]string{"types.yaml": "34: {}"}), "take the one in JSON Lines"},
		"another kind of file":      {filepath.Join(folder(t, map[string]string{"a.txt": "x"}), "a.txt"), "is neither a zip nor"},
		"rows of something else":    {folder(t, map[string]string{"races.jsonl": `{"id":1,"name":"Caldari"}`, "types.jsonl": "{\"a\":1}\n{\"b\":2}"}), "none of the 2 rows of types.jsonl can be read, such as line 2: lacks _key or id"},
		"an empty file":             {folder(t, map[string]string{"types.jsonl": "\n\n"}), "types.jsonl has no rows"},
		"a damaged file":            {damaged, "types.jsonl.gz is damaged after line"},
		"a file that is not packed": {plain, "cannot be unpacked"},
		"the same twice":            {folder(t, map[string]string{"systems.jsonl": "{}", "mapSolarSystems.jsonl": "{}"}), "rows of the same kind"},
	} {
		_, err := universe.Load(t.Context(), pool, c.origin, universe.LoadOptions{})
		require.ErrorContains(t, err, c.says, name)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), name)
		require.Contains(t, err.Error(), c.origin, name)
	}
	require.Equal(t, before, one[string](t, pool, `SELECT md5(string_agg(t::text, ',' ORDER BY type_id)) FROM universe.type t`))
	require.Equal(t, 1, one[int](t, pool, `SELECT count(*) FROM universe.load`))
}

func TestReadersNeverSeeHalfALoad(t *testing.T) {
	pool := migrated(t)
	seen := -1
	_, err := universe.Load(t.Context(), pool, zipped(t, export()), universe.LoadOptions{Progress: func(p universe.Progress) {
		if p.Phase == "comparing station" {
			seen = one[int](t, pool, `SELECT count(*) FROM universe.type`)
		}
	}})
	require.NoError(t, err)
	require.Equal(t, 24396, seen)

	ctx, cancel := context.WithCancel(t.Context())
	files := export()
	files["types.jsonl"] = `{"_key":7,"name":"x"}`
	_, err = universe.Load(ctx, pool, zipped(t, files), universe.LoadOptions{Progress: func(p universe.Progress) {
		if p.Phase == "comparing station" {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, one[int](t, pool, `SELECT count(*) FROM universe.type`))
}

func TestTheWholeExtractIsLoaded(t *testing.T) {
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	dir := filepath.Join(shared, "data", "sde")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no extract of the static data: set MUSTER_SHARED_DIR to the folder that holds data/sde (%v)", err)
	}
	pool := migrated(t)
	report := load(t, pool, dir)
	require.Zero(t, report.Rejected)
	rows := map[string]int64{}
	for _, c := range report.Tables {
		rows[c.Table] = c.Rows
		require.Zero(t, c.Added+c.Removed, "the built-in data has the rows of the extract: %s", c.Table)
	}
	require.Equal(t, map[string]int64{
		"category": 33, "type_group": 931, "type": 24396, "skill": 483, "requirement": rows["requirement"], "system": 8036,
		"faction": 27, "race": 11, "bloodline": 18, "npc_corporation": 283, "station": 5154,
	}, rows)
	require.Positive(t, changeOf(t, report, "type").Changed, "base prices are not built in")
}
