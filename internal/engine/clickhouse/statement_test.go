package clickhouse

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestInsertIsCutWhereItsDataBegins(t *testing.T) {
	for text, want := range map[string]struct{ sql, format, data string }{
		"INSERT INTO t FORMAT CSV\n1,2\n":                                      {"INSERT INTO t ", "CSV", "1,2\n"},
		"insert into t (a, b) format Native\n\x00\n ":                          {"insert into t (a, b) ", "Native", "\x00\n "},
		"INSERT INTO t FORMAT CSV \t\r\n\n1":                                   {"INSERT INTO t ", "CSV", "\n1"},
		"INSERT INTO t FORMAT JSONEachRow {}":                                  {"INSERT INTO t ", "JSONEachRow", "{}"},
		"INSERT INTO t VALUES (1), (2)":                                        {"INSERT INTO t ", "Values", " (1), (2)"},
		"INSERT INTO t(a)VALUES(1)":                                            {"INSERT INTO t(a)", "Values", "(1)"},
		"  -- first\n/* x */ INSERT INTO db.t VALUES (1)":                      {"  -- first\n/* x */ INSERT INTO db.t ", "Values", " (1)"},
		"INSERT INTO `FORMAT CSV` (`VALUES`) FORMAT TSV\n1":                    {"INSERT INTO `FORMAT CSV` (`VALUES`) ", "TSV", "1"},
		"INSERT INTO values FORMAT TSV\n1":                                     {"INSERT INTO values ", "TSV", "1"},
		"INSERT INTO format.values (format, values) FORMAT T\n1":               {"INSERT INTO format.values (format, values) ", "T", "1"},
		"INSERT INTO TABLE format VALUES (1)":                                  {"INSERT INTO TABLE format ", "Values", " (1)"},
		"INSERT INTO FUNCTION file('FORMAT X') VALUES (1)":                     {"INSERT INTO FUNCTION file('FORMAT X') ", "Values", " (1)"},
		"INSERT INTO t SETTINGS a = 'x\\' FORMAT', b = 1 FORMAT RowBinary\n\n": {"INSERT INTO t SETTINGS a = 'x\\' FORMAT', b = 1 ", "RowBinary", "\n"},
		"INSERT INTO t FORMAT CSV\nSETTINGS,1":                                 {"INSERT INTO t ", "CSV", "SETTINGS,1"},
	} {
		got, ok := findInsert([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want.sql, got.sql, text)
		require.Equal(t, want.format, got.format, text)
		require.Equal(t, want.data, text[got.data:], text)
	}
}

func TestOtherStatementsAreNotCut(t *testing.T) {
	for _, text := range []string{
		"",
		"SELECT 'INSERT INTO t VALUES (1)'",
		"SELECT 1 FORMAT CSV",
		"-- INSERT INTO t VALUES (1)",
		"INSERT INTO t SELECT 1",
		"INSERT INTO t (a) WITH 1 AS x SELECT x",
		"INSERT INTO t (SELECT 1)",
		"INSERT INTO t (a) SELECT a FROM input('a Int8') FORMAT CSV 1",
		"INSERT INTO t FROM INFILE 'f' FORMAT CSV",
		"INSERT INTO t",
		"INSERT INTO t FORMAT",
		"INSERT INTO t FORMAT 'CSV'",
		"INSERT INTO t /* VALUES (1)",
		"INSERT INTO t $x$ VALUES (1) $x$",
		"EXPLAIN INSERT INTO t VALUES (1)",
		"CREATE TABLE t (values Int8) ENGINE = Memory",
	} {
		_, ok := findInsert([]byte(text))
		require.False(t, ok, text)
	}
}

func TestOutputFormatIsTheClauseAtTheEnd(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1":                               "",
		"SELECT 1 FORMAT JSON":                   "JSON",
		"SELECT 1 format Native;":                "Native",
		"SELECT 1 FORMAT CSV SETTINGS x = 1":     "CSV",
		"SELECT 1 SETTINGS x = 1 FORMAT CSV":     "CSV",
		"SELECT format FROM t":                   "",
		"SELECT format AS f FROM t FORMAT TSV":   "TSV",
		"SELECT 'FORMAT CSV'":                    "",
		"SELECT 1 -- FORMAT CSV":                 "",
		"SELECT (SELECT 1 FORMAT CSV)":           "",
		"SELECT format, format FROM t FORMAT X ": "X",
		"SELECT t.format FORMAT Y":               "Y",
	} {
		require.Equal(t, want, outputFormat(sql), sql)
	}
}

func TestSelectsAreRecognized(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT 1": true, "/* x */ select 1": true, "((SELECT 1) UNION ALL (SELECT 2))": true, "WITH 1 AS x SELECT x": true,
		"SHOW TABLES": false, "EXPLAIN SELECT 1": false, "DESCRIBE t": false, "": false, "`SELECT` 1": false,
	} {
		require.Equal(t, want, isSelect(sql), sql)
	}
}

func TestDataForASelectIsRecognized(t *testing.T) {
	for sql, want := range map[string]bool{
		"INSERT INTO t SELECT * FROM input('n Int8') FORMAT CSV 1": true,
		"insert into t select * from INPUT ('n Int8')":             true,
		"INSERT INTO t SELECT input FROM u":                        false,
		"INSERT INTO t SELECT 'input('":                            false,
		"SELECT * FROM input('n Int8')":                            false,
	} {
		require.Equal(t, want, readsInput(sql), sql)
	}
}

// Quoting is undone by the lexer exactly at the closing quote, whatever is inside.
func TestQuotedTextIsOneToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching("['`\\\\\"$x]{0,8}")).Draw(t, "s")
		for _, quoted := range []string{quoteString(s), quoteIdentifier(s)} {
			l := &lexer{text: []byte(quoted + " FORMAT")}
			first := l.next()
			if first.kind != tokenQuoted || first.end != len(quoted) {
				t.Fatalf("%q ends at %d", quoted, first.end)
			}
			if l.word(l.next()) != "FORMAT" {
				t.Fatalf("%q swallows what follows", quoted)
			}
		}
	})
}

func FuzzFindInsert(f *testing.F) {
	for _, seed := range []string{"INSERT INTO t FORMAT CSV\n1", "INSERT INTO t VALUES (1)", "insert into `a\\``.b (c) settings x='$$' format X\r\n", "INSERT $a$ $a$ /*", "INSERT INTO t FORMAT", "'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := findInsert(text)
		if !ok {
			return
		}
		if got.data < len(got.sql) || got.data > len(text) {
			t.Fatalf("data at %d of %d, behind a statement of %d", got.data, len(text), len(got.sql))
		}
		if !strings.HasPrefix(string(text), got.sql) || !isFormatName(got.format) {
			t.Fatalf("statement %q, format %q", got.sql, got.format)
		}
		// What precedes the clause holds no data of its own, so cutting again finds nothing.
		if again, ok := findInsert([]byte(got.sql)); ok {
			t.Fatalf("%q is cut again: %+v", got.sql, again)
		}
	})
}

func FuzzOutputFormat(f *testing.F) {
	f.Add("SELECT 1 FORMAT CSV")
	f.Add("SELECT (1, FORMAT 'x' FORMAT y;")
	f.Fuzz(func(t *testing.T, sql string) {
		if got := outputFormat(sql); got != "" && !isFormatName(got) {
			t.Fatalf("%q in %q", got, sql)
		}
		_ = isSelect(sql)
	})
}
