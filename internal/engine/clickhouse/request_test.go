package clickhouse

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However the statement and its data are split and packed, the same INSERT with the same data comes out.
func TestRequestDeliversTheSameInsertHoweverItIsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const statement = "INSERT INTO t (a) FORMAT RowBinary"
		data := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "data"), rapid.SampledFrom([]int{1, 100, 20_000}).Draw(t, "times"))
		encoding := rapid.SampledFrom(append([]string{""}, acceptable[:]...)).Draw(t, "encoding")
		native := rapid.Bool().Draw(t, "native")
		inParameter := rapid.Bool().Draw(t, "statement in the parameter")

		content, target := data, "/?"
		if inParameter {
			target += "query=INSERT%20INTO%20t%20(a)%20FORMAT%20RowBinary&"
		} else {
			content = append([]byte(statement+"\n"), data...)
		}
		if native {
			var packed bytes.Buffer
			w := newNativeWriter(&packed, "ZSTD")
			_, err := w.Write(content)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			content = packed.Bytes()
			target += "decompress=1"
		}
		if encoding != "" {
			var packed bytes.Buffer
			w, err := encode(&packed, encoding)
			require.NoError(t, err)
			_, err = w.Write(content)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			content = packed.Bytes()
		}
		r := httptest.NewRequest(http.MethodPost, target, bytes.NewReader(content))
		r.Header.Set("Content-Encoding", encoding)
		req, err := parseRequest(r)
		require.NoError(t, err)
		insert, ok, err := req.text.insert()
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "INSERT INTO t (a) ", insert.sql)
		require.Equal(t, "RowBinary", insert.format)
		var got bytes.Buffer
		buf := make([]byte, 1000)
		for err == nil {
			var n int
			n, err = fill(req.text, buf)
			got.Write(buf[:n])
		}
		require.ErrorIs(t, err, io.EOF)
		require.True(t, bytes.Equal(data, got.Bytes()), "%d bytes became %d", len(data), got.Len())
		require.NoError(t, req.body.Close())
	})
}
