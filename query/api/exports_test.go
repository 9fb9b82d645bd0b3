package api_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/query/api"
	"github.com/muster-sync/muster/query/export"
)

const parquetType = "application/vnd.apache.parquet"

func TestExportsAreListed(t *testing.T) {
	c := newClient(t)
	text := c.get("/v1/exports").text
	for _, want := range []string{
		`{"topic":"contract","title":"Contract",`, `{"topic":"contract-item",`, `{"topic":"wallet-journal",`,
		`{"name":"amount","type":"money","optional":false},{"name":"balance","type":"money","optional":true}`, `"formats":["text/csv","application/vnd.apache.parquet"]`,
	} {
		require.Contains(t, text, want)
	}
}

func TestAnExportIsCSVUnlessParquetIsAskedFor(t *testing.T) {
	c := newClient(t)
	for _, accept := range []string{"", "*/*", "text/csv", "application/json", "application/vnd.apache.parquet;q=0.1, text/csv"} {
		a := c.get("/v1/exports/contract-item", "Accept", accept)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, "text/csv", a.Header.Get("Content-Type"))
		require.Equal(t, `attachment; filename="muster_contract-item.csv"`, a.Header.Get("Content-Disposition"))
		lines, err := csv.NewReader(strings.NewReader(a.text)).ReadAll()
		require.NoError(t, err)
		require.Len(t, lines, 3)
		require.Equal(t, "contract pk,record id,type", strings.Join(lines[0][:3], ","))
		require.Equal(t, "contract pk,1,type,1,yes", strings.Join(lines[1][:5], ","))
	}
	a := c.get("/v1/exports/contract-item", "Accept", parquetType, "Accept-Encoding", "gzip")
	require.Equal(t, parquetType, a.Header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="muster_contract-item.parquet"`, a.Header.Get("Content-Disposition"))
	require.Empty(t, a.Header.Get("Content-Encoding"), "it is compressed already")
	file, err := parquet.OpenFile(strings.NewReader(a.text), int64(len(a.text)))
	require.NoError(t, err)
	require.Equal(t, int64(2), file.NumRows())
	require.Equal(t, "contract pk", file.Schema().Fields()[0].Name())
}

func TestAnExportIsFilteredAsSaid(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/exports/wallet-journal?character_id=5&corporation_id=6&from=2026-01-01T00:00:00%2B02:00&to=2026-02-01T00:00:00Z")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, int64(5), c.world.export.CharacterID)
	require.Equal(t, int64(6), c.world.export.CorporationID)
	require.True(t, c.world.export.From.Equal(time.Date(2025, 12, 31, 22, 0, 0, 0, time.UTC)))
	require.True(t, c.world.export.To.Equal(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)))
	for query, why := range map[string]string{"character_id=0": "character_id", "from=yesterday": "from", "corporation=5": "corporation"} {
		c.requireProblem(c.get("/v1/exports/wallet-journal?"+query), http.StatusUnprocessableEntity, why)
	}
}

func TestWhatFailsBeforeTheFirstByteIsAProblem(t *testing.T) {
	for _, accept := range []string{"text/csv", parquetType} {
		c := newClient(t)
		c.requireProblem(c.get("/v1/exports/moon", "Accept", accept), http.StatusNotFound, "wallet-journal")
		c.world.err = event.Errorf(event.CodeNotFound, "there is no character 77")
		c.requireProblem(c.get("/v1/exports/contract", "Accept", accept), http.StatusNotFound, "character 77")
		c.world.exported, c.world.breaks = 5, 5
		a := c.get("/v1/exports/contract", "Accept", accept, "Accept-Encoding", "gzip")
		c.requireProblem(a, http.StatusServiceUnavailable, "the store has gone")
		require.Equal(t, "5", a.Header.Get("Retry-After"))
		require.Empty(t, a.Header.Get("Content-Disposition"))
		require.Empty(t, a.Header.Get("Content-Encoding"))
	}
}

// serve has the API answer over a real connection.
func serve(t *testing.T, c *client) func(target string, header ...string) *http.Response {
	t.Helper()
	server := httptest.NewServer(c.server.Handler())
	t.Cleanup(server.Close)
	return func(target string, header ...string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+target, http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		// Else Go's client asks for gzip by itself, and a few kilobytes hold all rows.
		request.Header.Set("Accept-Encoding", "identity")
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
}

func TestATornExportIsNeverTakenForAWholeOne(t *testing.T) {
	c := newClient(t)
	c.world.exported, c.world.breaks = 100_000, 60_000
	get := serve(t, c)
	for _, header := range [][]string{{"Accept", "text/csv"}, {"Accept-Encoding", "gzip"}, {"Accept", parquetType}} {
		response := get("/v1/exports/contract", header...)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, []string{"chunked"}, response.TransferEncoding)
		got, err := io.ReadAll(response.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%v", header)
		require.NotEmpty(t, got)
	}
	require.Eventually(t, func() bool { return strings.Count(c.log.String(), `"msg":"export broken off"`) == 3 }, 10*time.Second, 5*time.Millisecond)
	require.Contains(t, c.log.String(), "the store has gone")

	whole := newClient(t)
	whole.world.exported = 100_000
	response := serve(t, whole)("/v1/exports/contract")
	lines, err := csv.NewReader(response.Body).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 100_001)
}

func TestAnExportIsCompressedIfThatIsAskedFor(t *testing.T) {
	c := newClient(t)
	c.world.exported = 5000
	plain := c.get("/v1/exports/contract")
	a := c.get("/v1/exports/contract", "Accept-Encoding", "br, gzip;q=0.8")
	require.Equal(t, "gzip", a.Header.Get("Content-Encoding"))
	require.Contains(t, a.Header.Values("Vary"), "Accept-Encoding")
	unpacked, err := gzip.NewReader(strings.NewReader(a.text))
	require.NoError(t, err)
	text, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	require.Equal(t, plain.text, string(text))
	require.Empty(t, c.get("/v1/exports/contract", "Accept-Encoding", "gzip;q=0").Header.Get("Content-Encoding"))
}

// slow yields rows, and goes on only when it is told to.
type slow struct {
	rows     int
	began    chan struct{}
	goOn     chan struct{}
	deadline chan time.Time
}

func newSlow(rows int) *slow {
	return &slow{rows: rows, began: make(chan struct{}, 10), goOn: make(chan struct{}), deadline: make(chan time.Time, 10)}
}

func (s *slow) Export(ctx context.Context, topic string, _ export.Filter, out export.Sink) error {
	deadline, _ := ctx.Deadline()
	s.deadline <- deadline
	described, err := export.Find(topic)
	if err != nil {
		return err
	}
	row := make([]tablefile.Cell, len(described.Columns))
	for i := range row {
		row[i] = tablefile.Int(1)
	}
	for range s.rows {
		if err := out.Write(row); err != nil {
			return err
		}
	}
	s.began <- struct{}{}
	select {
	case <-s.goOn:
		return out.Write(row)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestRowsArriveWhileOthersAreStillRead(t *testing.T) {
	source := newSlow(10_000)
	get := serve(t, newClient(t, func(config *api.Config) { config.Exports = source }))
	response := get("/v1/exports/contract-item")
	first := make([]byte, 100_000)
	_, err := io.ReadFull(response.Body, first)
	require.NoError(t, err, "while the source waits")
	close(source.goOn)
	rest, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, 10_002, strings.Count(string(first)+string(rest), "\r\n"))
}

func TestAReaderThatLeavesEndsTheExport(t *testing.T) {
	source := newSlow(10_000)
	c := newClient(t, func(config *api.Config) { config.Exports = source })
	server := httptest.NewServer(c.server.Handler())
	defer server.Close()
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/exports/contract-item", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept-Encoding", "identity")
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	<-source.began
	leave()
	require.Error(t, func() error { _, err := io.ReadAll(response.Body); return err }())
	require.NoError(t, response.Body.Close())
	require.Eventually(t, func() bool { return strings.Contains(c.log.String(), `"level":"WARN","msg":"export broken off"`) }, 10*time.Second, 5*time.Millisecond)
}

func TestSoManyExportsAtOnceAndNoMore(t *testing.T) {
	source := newSlow(0)
	c := newClient(t, func(config *api.Config) {
		config.Exports, config.Timeout, config.ExportTimeout = source, time.Minute, 10*time.Hour
	})
	done := make(chan answer, 4)
	for range 4 {
		go func() { done <- c.get("/v1/exports/contract-item") }()
	}
	for range 4 {
		<-source.began
		require.Greater(t, time.Until(<-source.deadline), time.Hour, "an export may take longer than other requests")
	}
	a := c.get("/v1/exports/contract-item")
	c.requireProblem(a, http.StatusServiceUnavailable, "4 exports")
	require.Equal(t, "5", a.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, c.get("/v1/exports").StatusCode)
	close(source.goOn)
	for range 4 {
		require.Equal(t, http.StatusOK, (<-done).StatusCode)
	}
	require.Equal(t, http.StatusOK, c.get("/v1/exports/contract-item").StatusCode)
}

func TestAnExportThatTakesTooLongSaysSo(t *testing.T) {
	c := newClient(t, func(config *api.Config) { config.Exports, config.ExportTimeout = newSlow(0), 20*time.Millisecond })
	c.requireProblem(c.get("/v1/exports/contract-item"), http.StatusServiceUnavailable, "longer than 20ms")
}

func TestNoLineOfAnExportIsAFormula(t *testing.T) {
	var out strings.Builder
	topic, err := export.Find("contract")
	require.NoError(t, err)
	w, err := tablefile.NewCSV(&out, topic.Columns)
	require.NoError(t, err)
	row := make([]tablefile.Cell, len(topic.Columns))
	for i, c := range topic.Columns {
		if c.Kind == tablefile.Text {
			row[i] = tablefile.String(fmt.Sprintf("=cmd|%d", i))
		}
	}
	require.NoError(t, w.Write(row))
	require.NoError(t, w.Close())
	require.NotContains(t, strings.ReplaceAll(out.String(), "'=cmd", ""), "=cmd")
}
