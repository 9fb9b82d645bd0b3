package clickhouse

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"

	chcompress "github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// acceptable lists the content encodings of answers, the preferred first.
var acceptable = [...]string{"zstd", "lz4", "br", "gzip", "deflate"}

// acceptedEncoding chooses the encoding of the answer: the first known one that Accept-Encoding names and does not
// exclude, "" for none. ClickHouse does not weigh q values either.
func acceptedEncoding(header http.Header) string {
	accepted := make(map[string]bool)
	for _, list := range header.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(list, ",") {
			name, params, _ := strings.Cut(strings.ToLower(item), ";")
			weight := strings.ReplaceAll(params, " ", "")
			accepted[strings.TrimSpace(name)] = weight != "q=0" && weight != "q=0.0"
		}
	}
	for _, name := range acceptable {
		if accepted[name] {
			return name
		}
	}
	return ""
}

// encode compresses what is written to it into w by a content encoding of acceptable. Closing it ends the compressed
// data and leaves w open.
func encode(w io.Writer, encoding string) (io.WriteCloser, error) {
	switch encoding {
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	case "lz4":
		return lz4.NewWriter(w), nil
	case "br":
		return brotli.NewWriterLevel(w, brotli.BestSpeed), nil
	case "gzip":
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case "deflate":
		return zlib.NewWriterLevel(w, zlib.BestSpeed)
	}
	return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED", "Unknown content encoding '%s'", encoding)
}

// decode undoes a request's Content-Encoding. The result must be closed; that leaves r open.
func decode(r io.Reader, encoding string) (io.ReadCloser, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return io.NopCloser(r), nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "lz4":
		return io.NopCloser(lz4.NewReader(r)), nil
	case "br":
		return io.NopCloser(brotli.NewReader(r)), nil
	case "gzip":
		return gzip.NewReader(r)
	case "deflate":
		return zlib.NewReader(r)
	}
	return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED", "Unknown content encoding '%s': send one of zstd, lz4, br, gzip, deflate", encoding)
}

// nativeBlock is how many bytes go into one block of ClickHouse's own compression.
const nativeBlock = 1 << 20

// nativeWriter compresses into ClickHouse's own framing, which clients ask for with compress=1.
type nativeWriter struct {
	w          io.Writer
	compressor *chcompress.Writer
}

// newNativeWriter picks the method by the name in the setting network_compression_method; LZ4 is ClickHouse's default.
func newNativeWriter(w io.Writer, method string) io.WriteCloser {
	m := chcompress.LZ4
	switch strings.ToUpper(method) {
	case "ZSTD":
		m = chcompress.ZSTD
	case "NONE":
		m = chcompress.None
	}
	n := &nativeWriter{w: w, compressor: chcompress.NewWriter(chcompress.LevelZero, m)}
	return &bufferedWriteCloser{Writer: bufio.NewWriterSize(n, nativeBlock)}
}

// Write makes one block of p.
func (n *nativeWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		block := rest[:min(len(rest), nativeBlock)]
		rest = rest[len(block):]
		if err := n.compressor.Compress(block); err != nil {
			return 0, err
		}
		if _, err := n.w.Write(n.compressor.Data); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// bufferedWriteCloser flushes its buffer when closed.
type bufferedWriteCloser struct{ *bufio.Writer }

func (b *bufferedWriteCloser) Close() error { return b.Flush() }

// nativeReader undoes ClickHouse's own compression. It tells the end of the data from a block that breaks off, which
// the decompressor reports alike.
type nativeReader struct {
	source       *countingReader
	decompressor *chcompress.Reader
	err          error
}

func newNativeReader(r io.Reader) io.Reader {
	source := &countingReader{r: r}
	return &nativeReader{source: source, decompressor: chcompress.NewReader(source)}
}

// Read answers io.EOF only between blocks. An error stays: the decompressor would deliver its last block again.
func (n *nativeReader) Read(p []byte) (int, error) {
	if n.err != nil {
		return 0, n.err
	}
	before := n.source.count
	read, err := n.decompressor.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.EOF
		if n.source.count != before {
			err = io.ErrUnexpectedEOF
		}
	}
	n.err = err
	return read, err
}

// countingReader counts the bytes it has delivered.
type countingReader struct {
	r     io.Reader
	count int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count += int64(n)
	return n, err
}
