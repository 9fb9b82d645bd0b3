package clickhouse_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPingNeedsNoCredentials(t *testing.T) {
	s := sharedServer(t)
	for _, path := range []string{"/ping", "/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
		require.NoError(t, err)
		got := do(t, req)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, "Ok.\n", got.body)
	}
}

func TestCredentialsAreTakenFromEveryPlace(t *testing.T) {
	s := sharedServer(t)
	for name, c := range map[string]struct {
		query  url.Values
		header http.Header
		ok     bool
	}{
		"basic":               {header: http.Header{"Authorization": {basicAuth(testUser, testPassword)}}, ok: true},
		"headers":             {header: http.Header{"X-Clickhouse-User": {testUser}, "X-Clickhouse-Key": {testPassword}}, ok: true},
		"parameters":          {query: url.Values{"user": {testUser}, "password": {testPassword}}, ok: true},
		"wrong password":      {header: http.Header{"Authorization": {basicAuth(testUser, "wrong")}}},
		"wrong user":          {header: http.Header{"Authorization": {basicAuth("default", testPassword)}}},
		"wrong header":        {header: http.Header{"X-Clickhouse-User": {testUser}, "X-Clickhouse-Key": {"wrong"}}},
		"wrong parameter":     {query: url.Values{"user": {testUser}, "password": {"wrong"}}},
		"no password":         {query: url.Values{"user": {testUser}}},
		"none":                {},
		"headers before auth": {header: http.Header{"Authorization": {basicAuth(testUser, testPassword)}, "X-Clickhouse-User": {testUser}, "X-Clickhouse-Key": {"wrong"}}},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/?"+c.query.Encode(), strings.NewReader("SELECT 1"))
			require.NoError(t, err)
			req.Header = c.header
			if req.Header == nil {
				req.Header = http.Header{}
			}
			got := do(t, req)
			if c.ok {
				require.Equal(t, http.StatusOK, got.status, got.body)
				require.Equal(t, "1\n", got.body)
				return
			}
			require.Equal(t, http.StatusForbidden, got.status)
			require.Equal(t, "516", got.header.Get("X-ClickHouse-Exception-Code"))
			require.NotContains(t, got.body, testPassword)
		})
	}
}

func basicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestFormatsGoOutAndComeBack(t *testing.T) {
	s := sharedServer(t)
	db := database(t, s)
	const columns = "n UInt32, s String, d Decimal(20, 2), o Nullable(Int8)"
	const source = "SELECT number::UInt32 AS n, concat('t \"', toString(number), '\\t') AS s, (number / 100)::Decimal(20, 2) AS d, if(number % 2 = 0, NULL, 1)::Nullable(Int8) AS o FROM numbers(1000)"
	where := func(query string) url.Values { return url.Values{"database": {db}, "query": {query}} }
	for format, contentType := range map[string]string{
		"Native":                "application/octet-stream",
		"RowBinary":             "application/octet-stream",
		"JSONEachRow":           "application/x-ndjson; charset=UTF-8",
		"JSON":                  "application/json; charset=UTF-8",
		"CSV":                   "text/csv; charset=UTF-8; header=absent",
		"CSVWithNames":          "text/csv; charset=UTF-8; header=present",
		"TabSeparated":          "text/tab-separated-values; charset=UTF-8",
		"TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
		"Parquet":               "application/vnd.apache.parquet",
		"Values":                "text/plain; charset=UTF-8",
	} {
		t.Run(format, func(t *testing.T) {
			require.Equal(t, 200, s.post(t, where(fmt.Sprintf("CREATE TABLE f_%s (%s) ENGINE = MergeTree ORDER BY n", format, columns)), "").status)
			byClause := s.post(t, url.Values{}, source+" FORMAT "+format)
			require.Equal(t, http.StatusOK, byClause.status, byClause.body)
			require.Equal(t, contentType, byClause.header.Get("Content-Type"))
			require.Equal(t, format, byClause.header.Get("X-ClickHouse-Format"))
			byDefault := s.post(t, url.Values{"default_format": {format}}, source)
			byHeader := s.send(t, http.MethodPost, url.Values{}, strings.NewReader(source), http.Header{"X-Clickhouse-Format": {format}})
			if format != "JSON" { // JSON carries the elapsed time.
				require.Equal(t, byClause.body, byDefault.body)
				require.Equal(t, byClause.body, byHeader.body)
			}

			// The statement in the parameter and the data in the body; then both in the body.
			half := fmt.Sprintf("INSERT INTO f_%s (n, s, d, o) FORMAT %s", format, format)
			got := s.post(t, where(half), byClause.body)
			require.Equal(t, http.StatusOK, got.status, got.body)
			var summary map[string]string
			require.NoError(t, json.Unmarshal([]byte(got.header.Get("X-ClickHouse-Summary")), &summary))
			require.Equal(t, "1000", summary["written_rows"])
			got = s.post(t, url.Values{"database": {db}}, half+"\n"+byClause.body)
			require.Equal(t, http.StatusOK, got.status, got.body)

			got = s.post(t, where(fmt.Sprintf("SELECT count(), uniqExact(n), (SELECT count() FROM (SELECT n, s, d, o FROM f_%s EXCEPT DISTINCT SELECT * FROM (%s))) FROM f_%s", format, source, format)), "")
			require.Equal(t, "2000\t1000\t0\n", got.body)
		})
	}
}

func TestJoinedFormatsStayOneDocument(t *testing.T) {
	s := sharedServer(t)
	const rows = 200_000
	lines := strings.Split(strings.TrimSuffix(s.post(t, url.Values{}, fmt.Sprintf("SELECT number FROM numbers(%d) FORMAT CSVWithNames", rows)).body, "\n"), "\n")
	require.Len(t, lines, rows+1, "one header row")
	require.Equal(t, `"number"`, lines[0])
	var document struct {
		Rows int                 `json:"rows"`
		Data []map[string]string `json:"data"`
	}
	got := s.post(t, url.Values{"output_format_json_quote_64bit_integers": {"1"}}, fmt.Sprintf("SELECT number FROM numbers(%d) FORMAT JSON", rows))
	require.NoError(t, json.Unmarshal([]byte(got.body), &document))
	require.Equal(t, rows, document.Rows)
	require.Len(t, document.Data, rows)
	csv := s.post(t, url.Values{}, fmt.Sprintf("SELECT number FROM numbers(%d) FORMAT CSV", rows)).body
	require.Equal(t, strings.Join(lines[1:], "\n")+"\n", csv)
	require.Equal(t, csv, s.post(t, url.Values{"wait_end_of_query": {"1"}}, fmt.Sprintf("SELECT number FROM numbers(%d) FORMAT CSV", rows)).body)
}

func TestInsertTakesValuesAndLeavesSelectsAlone(t *testing.T) {
	s := sharedServer(t)
	in := url.Values{"database": {database(t, s)}}
	for _, sql := range []string{
		"CREATE TABLE v (n UInt32, s String DEFAULT 'd') ENGINE = MergeTree ORDER BY n",
		"INSERT INTO v VALUES (1, 'a'), (2, concat('b', 'c'));",
		"INSERT INTO v (n) VALUES (3)",
		"/* a comment: FORMAT CSV */ insert into `v` (`n`, \"s\") values (4, 'FORMAT CSV')",
		"INSERT INTO v SELECT number, 'VALUES' FROM numbers(5, 2)",
		"INSERT INTO v (SELECT 7, 'x')",
		"INSERT INTO v SETTINGS max_threads = 1 FORMAT JSONEachRow {\"n\": 8}",
		"INSERT INTO v SETTINGS format_csv_delimiter = '|' FORMAT CSV\n9|semi;colon\n",
	} {
		got := s.post(t, in, sql)
		require.Equal(t, http.StatusOK, got.status, "%s: %s", sql, got.body)
	}
	require.Equal(t, "1\ta\n2\tbc\n3\td\n4\tFORMAT CSV\n5\tVALUES\n6\tVALUES\n7\tx\n8\td\n9\tsemi;colon\n", s.post(t, in, "SELECT * FROM v ORDER BY n").body)
}

func TestOnlyPostWrites(t *testing.T) {
	s := sharedServer(t)
	get := func(sql string) response { return s.send(t, http.MethodGet, url.Values{"query": {sql}}, nil, nil) }
	require.Equal(t, "3\n", get("SELECT 1 + 2").body)
	for _, sql := range []string{"CREATE TABLE g (n Int8) ENGINE = Memory", "DROP DATABASE default", "INSERT INTO g VALUES (1)", "SYSTEM RELOAD CONFIG"} {
		require.Equal(t, "164", get(sql).header.Get("X-ClickHouse-Exception-Code"), sql)
	}
}

func TestRefusedRequestsSayWhy(t *testing.T) {
	s := sharedServer(t)
	for name, c := range map[string]struct {
		params url.Values
		header http.Header
		body   string
		status int
		code   string
		words  string
	}{
		"two statements":    {body: "SELECT 1; SELECT 2", status: 400, code: "62", words: "one statement a request"},
		"none":              {body: "  ", status: 400, code: "62", words: "no statement"},
		"a client command":  {body: "exit", status: 400, code: "62"},
		"unknown table":     {body: "SELECT * FROM nope", status: 404, code: "60", words: "nope"},
		"unknown setting":   {params: url.Values{"nope": {"1"}}, body: "SELECT 1", status: 404, code: "115", words: "nope"},
		"hostile setting":   {params: url.Values{"max_threads = 1, x": {"1"}}, body: "SELECT 1", status: 404, code: "115"},
		"setting's value":   {params: url.Values{"max_threads": {"'; DROP"}}, body: "SELECT 1", status: 400, code: "27"},
		"unknown database":  {params: url.Values{"database": {"nope"}}, body: "SELECT 1", status: 404, code: "81", words: "nope"},
		"hostile database":  {params: url.Values{"database": {"a`; SELECT 1"}}, body: "SELECT 1", status: 404, code: "81"},
		"unknown format":    {params: url.Values{"default_format": {"Nope"}}, body: "SELECT 1", status: 404, code: "73"},
		"hostile format":    {params: url.Values{"default_format": {"CSV SETTINGS x"}}, body: "SELECT 1", status: 404, code: "73"},
		"a session":         {params: url.Values{"session_id": {"s"}}, body: "SELECT 1", status: 501, code: "48", words: "session_id"},
		"a multipart":       {header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, body: "--x--", status: 501, code: "48", words: "external tables"},
		"unknown encoding":  {header: http.Header{"Content-Encoding": {"snappy"}}, body: "x", status: 501, code: "48", words: "zstd"},
		"broken encoding":   {header: http.Header{"Content-Encoding": {"gzip"}}, body: "no gzip", status: 400, code: "27"},
		"data for a select": {body: "INSERT INTO v SELECT n, s FROM input('n UInt32, s String') FORMAT CSV\n9,i\n", status: 501, code: "48", words: "input()"},
		"broken blocks":     {params: url.Values{"decompress": {"1"}, "query": {"INSERT INTO FUNCTION null('n Int8') FORMAT TSV"}}, body: strings.Repeat("x", 100), status: 400, code: "210", words: "reading the data"},
		"missing parameter": {body: "SELECT {x:String}", status: 400, code: "456"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.send(t, http.MethodPost, c.params, strings.NewReader(c.body), c.header)
			require.Equal(t, c.code, got.header.Get("X-ClickHouse-Exception-Code"), got.body)
			require.Equal(t, c.status, got.status, got.body)
			require.True(t, strings.HasPrefix(got.body, "Code: "+c.code+". DB::Exception: "), got.body)
			require.Contains(t, got.body, c.words)
		})
	}
}

func TestQueryIDIsAnswered(t *testing.T) {
	s := sharedServer(t)
	require.Equal(t, "mine", s.post(t, url.Values{"query_id": {"mine"}}, "SELECT 1").header.Get("X-ClickHouse-Query-Id"))
	require.NotEmpty(t, s.post(t, url.Values{}, "SELECT 1").header.Get("X-ClickHouse-Query-Id"))
}

func TestLogCommentOfTheClientIsKept(t *testing.T) {
	got := sharedServer(t).post(t, url.Values{"log_comment": {"it's mine"}}, "SELECT getSetting('log_comment')")
	require.Contains(t, got.body, "it\\'s mine")
}

func TestMaxExecutionTimeEndsAQuery(t *testing.T) {
	s := sharedServer(t)
	for _, sql := range []string{
		"SELECT sum(sipHash64(number)) FROM numbers(1000000000000)",
		"SELECT sum(sipHash64(number)) FROM numbers(1000000000000) FORMAT JSON",
		"SELECT number FROM numbers(1000000000000) WHERE sipHash64(number) = 1",
	} {
		started := time.Now()
		got := s.post(t, url.Values{"max_execution_time": {"0.3"}}, sql)
		require.Equal(t, "159", got.header.Get("X-ClickHouse-Exception-Code"), got.body)
		require.Equal(t, http.StatusRequestTimeout, got.status)
		require.Less(t, time.Since(started), 5*time.Second)
	}
}

func TestAbandonedStatementsAreCancelled(t *testing.T) {
	s := sharedServer(t)
	db := database(t, s)
	require.Equal(t, 200, s.post(t, url.Values{"database": {db}}, "CREATE TABLE a (n UInt64) ENGINE = MergeTree ORDER BY n").status)
	count := func(mark string) string {
		return s.post(t, url.Values{}, "SELECT count() FROM system.processes WHERE query LIKE '%"+mark+"%' AND query NOT LIKE '%system.processes%'").body
	}
	for mark, sql := range map[string]string{
		"abandoned_aggregate": "SELECT sum(sipHash64(number)) AS abandoned_aggregate FROM numbers(1000000000000)",
		"abandoned_stream":    "SELECT number AS abandoned_stream FROM numbers(1000000000000)",
		"abandoned_document":  "SELECT sum(sipHash64(number)) AS abandoned_document FROM numbers(1000000000000) FORMAT JSON",
		"abandoned_insert":    "INSERT INTO a SELECT sipHash64(number) AS abandoned_insert FROM numbers(1000000000000)",
	} {
		t.Run(mark, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/?database="+db, strings.NewReader(sql))
			require.NoError(t, err)
			req.SetBasicAuth(testUser, testPassword)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if res, err := http.DefaultClient.Do(req); err == nil {
					_, _ = io.CopyN(io.Discard, res.Body, 1<<20)
					<-ctx.Done()
					_ = res.Body.Close()
				}
			}()
			require.Eventually(t, func() bool { return count(mark) == "1\n" }, 10*time.Second, 10*time.Millisecond)
			cancel()
			<-ended
			require.Eventually(t, func() bool { return count(mark) == "0\n" }, 10*time.Second, 10*time.Millisecond)
		})
	}
}

func TestBrokenOffInsertWritesNothing(t *testing.T) {
	s := sharedServer(t)
	db := database(t, s)
	require.Equal(t, 200, s.post(t, url.Values{"database": {db}}, "CREATE TABLE b (n UInt64) ENGINE = MergeTree ORDER BY n").status)
	for name, head := range map[string]string{
		"with a length": "Content-Length: 1000000\r\n\r\n1\n2\n3\n",
		"in chunks":     "Transfer-Encoding: chunked\r\n\r\n6\r\n1\n2\n3\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
			require.NoError(t, err)
			query := url.Values{"database": {db}, "query": {"INSERT INTO b FORMAT CSV"}}
			_, err = fmt.Fprintf(conn, "POST /?%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n%s", query.Encode(), basicAuth(testUser, testPassword), head)
			require.NoError(t, err)
			inserting := func() string {
				return s.post(t, url.Values{}, "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO b %'").body
			}
			require.Eventually(t, func() bool { return inserting() == "1\n" }, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, conn.Close())
			require.Eventually(t, func() bool { return inserting() == "0\n" }, 10*time.Second, 10*time.Millisecond)
			require.Equal(t, "0\n", s.post(t, url.Values{"database": {db}}, "SELECT count() FROM b").body)
		})
	}
}

func TestBadDataIsRefusedWhileItIsSent(t *testing.T) {
	s := sharedServer(t)
	db := database(t, s)
	require.Equal(t, 200, s.post(t, url.Values{"database": {db}}, "CREATE TABLE b (n UInt64) ENGINE = MergeTree ORDER BY n").status)
	body := "1\nnot a number\n" + strings.Repeat("2\n", 20<<20)
	got := s.post(t, url.Values{"database": {db}, "query": {"INSERT INTO b FORMAT CSV"}}, body)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Equal(t, "117", got.header.Get("X-ClickHouse-Exception-Code"), got.body)
	require.Equal(t, "0\n", s.post(t, url.Values{"database": {db}}, "SELECT count() FROM b").body)
}

func TestBigResultsAndInsertsKeepMemoryFlat(t *testing.T) {
	s := start(t, t.TempDir(), "-max-memory", strconv.Itoa(1<<30))
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("resident memory is read from /proc, which this system lacks")
	}
	require.Equal(t, 200, s.post(t, url.Values{}, "CREATE TABLE big (n UInt64, s String) ENGINE = Null").status)
	const rows = 2_000_000 // of 200 bytes: 400 MB each way
	before := s.resident(t)
	peak := before
	watch := func(n int64) {
		if n%(32<<20) < 1<<20 {
			peak = max(peak, s.resident(t))
		}
	}

	query := url.Values{"query": {fmt.Sprintf("SELECT number, repeat('x', 192) FROM numbers(%d) FORMAT Native", rows)}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/?"+query.Encode(), nil)
	require.NoError(t, err)
	req.SetBasicAuth(testUser, testPassword)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	size, err := io.Copy(&meter{watch: watch}, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Greater(t, size, int64(370<<20))

	row := []byte("1234567," + strings.Repeat("y", 192) + "\n")
	source := bufio.NewReaderSize(&repeat{row: row, left: rows, meter: meter{watch: watch}}, 1<<20)
	got := s.send(t, http.MethodPost, url.Values{"query": {"INSERT INTO big FORMAT CSV"}, "max_insert_block_size": {"65536"}, "min_insert_block_size_rows": {"65536"}}, source, nil)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.header.Get("X-ClickHouse-Summary"), fmt.Sprintf(`"written_rows":"%d"`, rows))

	t.Logf("resident memory: %d MiB at rest, %d MiB at most", before>>20, peak>>20)
	require.Less(t, peak-before, int64(200<<20), "the memory of a streamed statement does not grow with its data")
}

// resident is the child's resident memory in bytes.
func (s *server) resident(t testing.TB) int64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	require.NoError(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(content))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// meter discards what is written and reports how much it was.
type meter struct {
	total int64
	watch func(total int64)
}

func (m *meter) Write(p []byte) (int, error) {
	m.total += int64(len(p))
	m.watch(m.total)
	return len(p), nil
}

// repeat reads as row, a number of times.
type repeat struct {
	row  []byte
	left int
	meter
}

func (r *repeat) Read(p []byte) (int, error) {
	n := min(len(p)/len(r.row), r.left)
	if n == 0 {
		return 0, io.EOF
	}
	r.left -= n
	copied := copy(p, bytes.Repeat(r.row, n))
	_, _ = r.Write(p[:copied])
	return copied, nil
}
