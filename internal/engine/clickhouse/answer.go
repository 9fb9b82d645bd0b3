package clickhouse

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// holdBack is how much of a result waits before the status is sent: an error within it still becomes a status of its
// own and not a broken stream.
const holdBack = 64 << 10

// answer writes a response whose status is decided as late as possible.
type answer struct {
	w   http.ResponseWriter
	req *request
	// tag marks an error in the middle of a stream as the server's.
	tag     string
	pending []byte
	started bool
	out     io.Writer
	encoder io.Closer
}

func newAnswer(w http.ResponseWriter, req *request) *answer {
	a := &answer{w: w, req: req, tag: rand.Text()[:16]}
	h := w.Header()
	h.Set("X-ClickHouse-Query-Id", req.queryID)
	h.Set("X-ClickHouse-Timezone", "UTC")
	h.Set("X-ClickHouse-Server-Display-Name", displayName)
	h.Set("X-ClickHouse-Exception-Tag", a.tag)
	a.setFormat(req.format)
	return a
}

// setFormat announces the result's format. It has no effect once the answer has started.
func (a *answer) setFormat(format string) {
	a.w.Header().Set("X-ClickHouse-Format", format)
	a.w.Header().Set("Content-Type", contentType(format))
}

// setSummary announces what the statement has done. It has no effect once the answer has started.
func (a *answer) setSummary(sum summary) {
	text := func(n uint64) string { return strconv.FormatUint(n, 10) }
	content, err := json.Marshal(map[string]string{
		"read_rows": text(sum.readRows), "read_bytes": text(sum.readBytes),
		"written_rows": text(sum.writtenRows), "written_bytes": text(sum.writtenBytes),
		"result_rows": text(sum.resultRows), "result_bytes": text(sum.resultBytes),
	})
	if err == nil { // Marshalling strings does not fail.
		a.w.Header().Set("X-ClickHouse-Summary", string(content))
	}
}

// Write takes a piece of the result. p is not kept.
func (a *answer) Write(p []byte) (int, error) {
	if !a.started {
		if len(a.pending)+len(p) <= holdBack {
			a.pending = append(a.pending, p...)
			return len(p), nil
		}
		if err := a.start(); err != nil {
			return 0, err
		}
	}
	return a.out.Write(p)
}

// start sends the status and what was held back.
func (a *answer) start() (err error) {
	a.started = true
	a.out = a.w
	switch {
	case a.req.compress:
		w := newNativeWriter(a.w, a.req.compressMethod)
		a.out, a.encoder = w, w
	case a.req.encoding != "":
		w, err := encode(a.w, a.req.encoding)
		if err != nil {
			return err
		}
		a.w.Header().Set("Content-Encoding", a.req.encoding)
		a.out, a.encoder = w, w
	}
	_, err = a.out.Write(a.pending)
	a.pending = nil
	return err
}

// finish ends the answer. An empty result is an empty body, also for a client that asked for compression.
func (a *answer) finish() error {
	if !a.started && len(a.pending) == 0 {
		a.w.Header().Set("Content-Length", "0")
		return nil
	}
	if !a.started {
		if err := a.start(); err != nil {
			return err
		}
	}
	if a.encoder != nil {
		return a.encoder.Close()
	}
	return nil
}

// fail answers with an error. Before the start it becomes the status; after it, a block at the end of the stream that
// clients tell from data by its tag, and then a connection broken off, so that no client takes the result for whole.
func (a *answer) fail(err error) {
	var ex *exception
	if !errors.As(err, &ex) {
		// Only the request and the connection fail in words that are not the engine's.
		ex = newException(codeNetworkError, "NETWORK_ERROR", "%s", err)
	}
	if !a.started {
		writeException(a.w, ex)
		return
	}
	if a.encoder != nil && !a.req.compress {
		// The block belongs to the encoded content.
		_, _ = io.WriteString(a.out, exceptionBlock(ex.message, a.tag))
		_ = a.encoder.Close()
	} else {
		if a.encoder != nil {
			_ = a.encoder.Close()
		}
		_, _ = io.WriteString(a.w, exceptionBlock(ex.message, a.tag))
	}
	_ = http.NewResponseController(a.w).Flush()
	panic(http.ErrAbortHandler)
}

// exceptionBlock is ClickHouse's frame around an error in the middle of a result.
func exceptionBlock(message, tag string) string {
	const marker, limit = "__exception__", 16 << 10
	if len(message) > limit {
		message = message[:limit]
	}
	return fmt.Sprintf("\r\n%s\r\n%s\r\n%s\n%d %s\r\n%s\r\n", marker, tag, message, len(message)+1, tag, marker)
}

// writeException answers an error that comes before any result. The body is plain text whatever was asked for.
func writeException(w http.ResponseWriter, ex *exception) {
	h := w.Header()
	h.Del("Content-Encoding")
	h.Del("X-ClickHouse-Summary")
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(ex.code))
	if ex.code == 194 {
		h.Set("WWW-Authenticate", `Basic realm="ClickHouse"`)
	}
	body := ex.message + "\n"
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(ex.status())
	_, _ = io.WriteString(w, body)
}

// contentType is the media type of a result in format.
func contentType(format string) string {
	name := strings.ToUpper(format)
	switch {
	case strings.HasSuffix(name, "EACHROW"), name == "JSONLINES", name == "NDJSON":
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(name, "JSON"):
		return "application/json; charset=UTF-8"
	case name == "CSVWITHNAMES", name == "CSVWITHNAMESANDTYPES":
		return "text/csv; charset=UTF-8; header=present"
	case strings.HasPrefix(name, "CSV"):
		return "text/csv; charset=UTF-8; header=absent"
	case strings.HasPrefix(name, "TABSEPARATED"), strings.HasPrefix(name, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case strings.HasPrefix(name, "PRETTY"), name == "VERTICAL", name == "VALUES":
		return "text/plain; charset=UTF-8"
	case name == "XML":
		return "application/xml; charset=UTF-8"
	case name == "PARQUET":
		return "application/vnd.apache.parquet"
	}
	return "application/octet-stream"
}
