package clickhouse

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestContentEncodingsAreUndone(t *testing.T) {
	for _, encoding := range acceptable {
		t.Run(encoding, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				content := bytes.Repeat(rapid.SliceOf(rapid.Byte()).Draw(t, "content"), rapid.IntRange(0, 200).Draw(t, "times"))
				var packed bytes.Buffer
				w, err := encode(&packed, encoding)
				require.NoError(t, err)
				_, err = w.Write(content)
				require.NoError(t, err)
				require.NoError(t, w.Close())
				r, err := decode(&packed, encoding)
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.NoError(t, r.Close())
				require.True(t, bytes.Equal(content, got))
			})
		})
	}
}

func TestNativeCompressionIsUndone(t *testing.T) {
	content := bytes.Repeat([]byte("some text "), 400_000)
	for _, method := range []string{"", "LZ4", "zstd", "NONE"} {
		var packed bytes.Buffer
		w := newNativeWriter(&packed, method)
		for rest := content; len(rest) > 0; rest = rest[min(len(rest), 777_777):] {
			_, err := w.Write(rest[:min(len(rest), 777_777)])
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		r := newNativeReader(bytes.NewReader(packed.Bytes()))
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		_, err = r.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "the end stays the end")
		require.True(t, bytes.Equal(content, got), method)
		for _, cut := range []int{1, 16, 24, 25, 26, packed.Len() - 1} {
			_, err := io.ReadAll(newNativeReader(bytes.NewReader(packed.Bytes()[:cut])))
			require.Error(t, err, "%s, cut after %d bytes", method, cut)
		}
	}
}

func TestEncodingIsChosenFromWhatIsAccepted(t *testing.T) {
	for accept, want := range map[string]string{
		"":                        "",
		"identity":                "",
		"gzip":                    "gzip",
		"gzip, deflate, br, zstd": "zstd",
		"GZIP;q=0.5, br;q=0":      "gzip",
		"br; q=0.0, deflate":      "deflate",
		"snappy, lz4":             "lz4",
		"*":                       "",
	} {
		require.Equal(t, want, acceptedEncoding(http.Header{"Accept-Encoding": {accept}}), accept)
	}
}

func FuzzNativeReader(f *testing.F) {
	var packed bytes.Buffer
	w := newNativeWriter(&packed, "LZ4")
	_, err := w.Write([]byte("some data, some data"))
	require.NoError(f, err)
	require.NoError(f, w.Close())
	f.Add(packed.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		content, err := io.ReadAll(io.LimitReader(newNativeReader(bytes.NewReader(data)), 1<<20))
		if err == nil && len(data) > 0 && len(content) == 0 {
			t.Fatalf("%d bytes passed for the end of the data", len(data))
		}
	})
}
