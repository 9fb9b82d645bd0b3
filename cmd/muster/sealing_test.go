//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/domain/sealed"
	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/internal/eventlog"
)

// letters are pieces of what the simulated players write to one another, as JSON and
// tables have them.
var letters = []string{"Form up in staging", "Все на флот", "https://example.com/?a=1", "CTA tonight", "Structure timer", "Welcome to the corporation!"}

// logged is what the log holds, read as a whole.
type logged struct {
	// sealed is how many events have sealed texts, plain how many pieces of what was
	// letters were found.
	sealed int
	plain  []string
	// bodies are the events with the bodies of mails, by character.
	bodies map[int64][]event.Event
	// left are the events of characters that no tombstone names, by character.
	left map[int64]map[string]event.Type
}

func readLog(t *testing.T, reader *eventlog.Reader) logged {
	t.Helper()
	found := logged{bodies: map[int64][]event.Event{}, left: map[int64]map[string]event.Type{}}
	ends, err := reader.Ends(t.Context(), append(event.Topics(), event.TopicPoison)...)
	require.NoError(t, err)
	for at, span := range ends {
		require.NoError(t, reader.ReadRange(t.Context(), at, span.Start, span.End, func(rec eventlog.Record) error {
			for _, piece := range letters {
				if bytes.Contains(rec.Value, []byte(piece)) || strings.Contains(fmt.Sprint(rec.Key, rec.Headers), piece) {
					found.plain = append(found.plain, fmt.Sprintf("%s: %s", rec.Position, piece))
				}
			}
			e, err := rec.Event()
			character, is := e.Stream.CharacterID()
			if err != nil || !is || at.Topic != event.TopicEVE {
				return nil //nolint:nilerr // What is no event is of no character.
			}
			if e.IsTombstone() {
				delete(found.left[character], rec.Key)
				return nil
			}
			if found.left[character] == nil {
				found.left[character] = map[string]event.Type{}
			}
			found.left[character][rec.Key] = e.Type
			if len(sealed.KeyIDs(e.Data)) > 0 {
				found.sealed++
				if e.Type == eve.TypeMailChanged && bytes.Contains(e.Data, []byte(`"body"`)) {
					found.bodies[character] = append(found.bodies[character], e)
				}
			}
			return nil
		}))
	}
	return found
}

// sentMail is a mail that holds one of the letters, and the event that has its body.
type sentMail struct {
	event event.Event
	mail  int64
}

// lettersOf are a mail with a letter of each character that has one.
func lettersOf(t *testing.T, s *stores, bodies map[int64][]event.Event) map[int64]sentMail {
	t.Helper()
	found := map[int64]sentMail{}
	for character, events := range bodies {
		for _, e := range events {
			opened, err := s.registry.Open(e)
			require.NoError(t, err)
			var told struct {
				Items []struct {
					Mail int64  `json:"mail_id"`
					Body string `json:"body"`
				} `json:"items"`
			}
			require.NoError(t, json.Unmarshal(opened.Data, &told))
			if slices.ContainsFunc(letters, func(piece string) bool { return strings.Contains(told.Items[0].Body, piece) }) {
				found[character] = sentMail{e, told.Items[0].Mail}
			}
		}
	}
	return found
}

// requireNotOnDisk fails if a file below a folder holds what was written.
func requireNotOnDisk(t *testing.T, dir string) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || (err == nil && !d.Type().IsRegular()) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Parts are merged while they are looked at.
		}
		files++
		for _, piece := range letters {
			require.False(t, bytes.Contains(content, []byte(piece)), "%s holds %q", path, piece)
		}
		return err
	}))
	require.Positive(t, files, dir)
}

// requireNotIndexed fails if a table of ClickHouse holds what was written: files of
// tables are compressed, and would not show it.
func requireNotIndexed(t *testing.T, s *stores) {
	t.Helper()
	rows, err := s.clickhouse.Query(t.Context(), `SELECT database, name FROM system.tables WHERE database LIKE 'muster%' AND total_rows > 0`)
	require.NoError(t, err)
	var tables [][2]string
	for rows.Next() {
		var table [2]string
		require.NoError(t, rows.Scan(&table[0], &table[1]))
		tables = append(tables, table)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, tables)
	for _, table := range tables {
		for _, piece := range letters {
			var n uint64
			require.NoError(t, s.clickhouse.QueryRow(t.Context(), fmt.Sprintf("SELECT count() FROM `%s`.`%s` WHERE position(toString(tuple(*)), ?) > 0", table[0], table[1]), piece).Scan(&n))
			require.Zero(t, n, "%v holds %q", table, piece)
		}
	}
}

// rowsOf counts the rows of read models, and of all that ingest keeps, that are about a
// character, but for what says that it was forgotten.
func rowsOf(t *testing.T, s *stores, character int64) map[string]int64 {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT table_schema, table_name FROM information_schema.columns
		WHERE column_name = 'character_id' AND table_schema NOT IN ('pg_catalog', 'information_schema') AND data_type = 'bigint'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (pgx.Identifier, error) {
		name := make(pgx.Identifier, 2)
		return name, row.Scan(&name[0], &name[1])
	})
	require.NoError(t, err)
	found := map[string]int64{}
	for _, table := range tables {
		if slices.Contains([]string{"forgotten", "text_key", "forgettings", "looks", "listed"}, table[1]) {
			continue
		}
		var n int64
		require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table.Sanitize()+" WHERE character_id = $1", character).Scan(&n))
		if n > 0 {
			found[table.Sanitize()] = n
		}
	}
	return found
}

func TestPersonalTextsAreSealedInTheLogAndGoneWithTheCharacter(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	requireEngines(t)
	s := &stack{t: t, partitions: 12, binary: testBinary(t), data: filepath.Join(passableTempDir(t), "data"), files: t.TempDir()}
	t.Cleanup(s.requireNothingLeft)
	port, err := freeport.One(t.Context())
	require.NoError(t, err)
	s.apiURL = "http://127.0.0.1:" + strconv.Itoa(port)
	s.env = cleanEnvironment("MUSTER_DATA_DIR="+s.data, "MUSTER_LISTEN=127.0.0.1:"+strconv.Itoa(port), "MUSTER_RETENTION_DAYS=none")
	l := &life{demoRun: startDemo(t, s, "up"), t: t}
	connected := s.stores()

	// Everybody's mails, with their bodies.
	var all logged
	var mails map[int64]sentMail
	l.eventually("bodies of mails are in the log", func(context.Context) error {
		all = readLog(t, connected.reader)
		if mails = lettersOf(t, connected, all.bodies); len(mails) < 2 {
			return fmt.Errorf("of %d characters", len(mails))
		}
		return nil
	})
	require.Positive(t, all.sealed)
	characters := slices.Sorted(maps.Keys(mails))
	gone, stays := characters[0], characters[1]
	address := func(id int64) string {
		return fmt.Sprintf("%s/v1/characters/%d/mails/%d", l.apiURL, id, mails[id].mail)
	}
	for _, id := range []int64{gone, stays} {
		for _, from := range []string{address(id), address(id) + "?as_of=" + time.Now().UTC().Format(time.RFC3339)} {
			l.eventually("bodies are served", func(ctx context.Context) error {
				var page json.RawMessage
				if err := l.get(ctx, from, &page); err != nil {
					return err
				}
				for _, piece := range letters {
					if bytes.Contains(page, []byte(piece)) && !bytes.Contains(page, []byte(event.SealMark)) {
						return nil
					}
				}
				return fmt.Errorf("%s: %.300s", from, page)
			})
		}
	}
	require.Empty(t, all.plain)
	requireNotOnDisk(t, filepath.Join(s.data, "kafka"))
	requireNotOnDisk(t, filepath.Join(s.data, "clickhouse"))
	requireNotIndexed(t, connected)
	var told struct {
		Data struct {
			Items []struct {
				Body *string `json:"body"`
			} `json:"items"`
		} `json:"data"`
	}
	eventURL := l.apiURL + "/v1/events/" + mails[gone].event.ID.String()
	require.NoError(t, l.get(t.Context(), eventURL, &told))
	require.NotNil(t, told.Data.Items[0].Body, "who may read events reads them as they were")

	// With its key what the log holds of one of them is unreadable at once, and its
	// events get their tombstones without waiting for the next run.
	l.ok("character", "forget", strconv.FormatInt(gone, 10), "--reason", "asked for")
	opened, err := connected.registry.Open(mails[gone].event)
	require.NoError(t, err)
	require.Contains(t, string(opened.Data), `"body":null,"body_forgotten":true`)
	opened, err = connected.registry.Open(mails[stays].event)
	require.NoError(t, err)
	require.NotContains(t, string(opened.Data), "forgotten")
	l.eventually("its events have tombstones", func(context.Context) error {
		left := slices.Sorted(maps.Values(readLog(t, connected.reader).left[gone]))
		if len(left) != 1 || left[0] != eve.TypeCharacterForgotten {
			return fmt.Errorf("but for %v", left)
		}
		return nil
	})
	l.eventually("nothing of it is left in tables", func(context.Context) error {
		if found := rowsOf(t, connected, gone); len(found) > 0 {
			return fmt.Errorf("%v", found)
		}
		return nil
	})
	require.Error(t, l.get(t.Context(), eventURL, nil))
	require.Contains(t, l.run("verify"), ", 0 differ")
	require.Contains(t, l.run("replay", "characters"), "equal, switched")

	// The certificate says so. What compaction has not come to is not about keys.
	l.eventually("a run of retention", func(context.Context) error {
		// Muster's own may be under way.
		if _, stderr, status := l.muster("retention", "run"); status != 0 {
			return errors.New(stderr)
		}
		return nil
	})
	file := filepath.Join(t.TempDir(), "certificate.json")
	_, stderr, status := l.muster("retention", "prove", "-f", file)
	require.Less(t, status, exitError, stderr)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	certificate, err := retention.ReadCertificate(text)
	require.NoError(t, err)
	require.EqualValues(t, 1, certificate.DestroyedTextKeys)
	require.Contains(t, certificate.Stores, retention.ScannedStore{Name: "postgres: keys of forgotten characters"})
	l.interrupt(t)
}
