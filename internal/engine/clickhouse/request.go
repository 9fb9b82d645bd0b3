package clickhouse

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// maxHead is how much of a request is searched for the end of an INSERT statement, where its data begins; ClickHouse
// itself reads at most this much as a statement unless max_query_size says otherwise.
const maxHead = 256 << 10

// maxStatement bounds a statement without data.
const maxStatement = 64 << 20

// request is a parsed request: what to run and how to answer.
type request struct {
	// text delivers the statement, and behind it the data of an INSERT.
	text *headReader
	// body releases what text reads from.
	body io.Closer
	options
	format         string
	queryID        string
	compress       bool
	compressMethod string
	encoding       string
	waitForEnd     bool
	readonly       bool
	protocol       bool
}

// reserved are the URL parameters that are neither settings nor query parameters. External tables' parameters are not
// among them: those requests are refused.
func reserved(name string) bool {
	switch name {
	case "query", "database", "default_format", "user", "password", "quota_key", "query_id", "stacktrace", "role",
		"compress", "decompress", "buffer_size", "wait_end_of_query", "client_protocol_version",
		"session_timeout", "session_check", "close_session", "enable_http_compression":
		return true
	}
	return false
}

// parseRequest reads everything but the statement and the data.
func parseRequest(r *http.Request) (*request, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && strings.HasPrefix(kind, "multipart/") {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED", "The embedded ClickHouse takes no external tables (multipart requests): write a table, or put the values into parameters")
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newException(codeBadArguments, "BAD_ARGUMENTS", "Malformed URL parameters: %s", err)
	}
	if params.Get("session_id") != "" {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED", "The embedded ClickHouse has no sessions: leave session_id out")
	}
	req := &request{
		options:        options{database: firstOf(params.Get("database"), r.Header.Get("X-ClickHouse-Database"))},
		format:         firstOf(params.Get("default_format"), r.Header.Get("X-ClickHouse-Format"), "TabSeparated"),
		queryID:        firstOf(params.Get("query_id"), r.Header.Get("X-ClickHouse-Query-Id")),
		compress:       isTrue(params.Get("compress")),
		compressMethod: params.Get("network_compression_method"),
		waitForEnd:     isTrue(params.Get("wait_end_of_query")),
		readonly:       r.Method == http.MethodGet,
		protocol:       params.Get("client_protocol_version") != "" && params.Get("client_protocol_version") != "0",
	}
	if req.queryID == "" {
		req.queryID = uuid.NewString()
	}
	if !req.compress && params.Get("enable_http_compression") != "0" {
		req.encoding = acceptedEncoding(r.Header)
	}
	if !isFormatName(req.format) {
		return nil, newException(codeUnknownFormat, "UNKNOWN_FORMAT", "Unknown format '%s'", req.format)
	}
	for _, name := range sortedKeys(params) {
		value := params[name][len(params[name])-1]
		if parameter, ok := strings.CutPrefix(name, "param_"); ok {
			req.parameters = append(req.parameters, setting{parameter, value})
		} else if !reserved(name) {
			req.settings = append(req.settings, setting{name, value})
		}
	}
	err = req.open(r, params)
	return req, err
}

// open makes the reader of the statement and the data: the query parameter, a line break, and the body.
func (req *request) open(r *http.Request, params url.Values) error {
	body, err := decode(r.Body, r.Header.Get("Content-Encoding"))
	if err != nil {
		if ex, ok := errors.AsType[*exception](err); ok {
			return ex
		}
		return newException(codeCannotParse, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", "Cannot decompress the request: %s", err)
	}
	req.body = body
	var data io.Reader = body
	if isTrue(params.Get("decompress")) {
		data = newNativeReader(data)
	}
	req.text = &headReader{rest: data}
	if query := params.Get("query"); query != "" {
		req.text.head = []byte(query + "\n")
		req.text.given = true
	}
	return nil
}

// headReader reads a request's text, of which a part has been read ahead.
type headReader struct {
	head []byte
	rest io.Reader
	// given says that the head came as a parameter and most likely holds the whole statement.
	given bool
}

// Read reads the head and then the rest.
func (h *headReader) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	return h.rest.Read(p)
}

// insert looks for an INSERT with data. If there is one, reading goes on at the data.
func (h *headReader) insert() (insertHead, bool, error) {
	if h.given {
		if found, ok := findInsert(h.head); ok {
			h.head = h.head[found.data:]
			return found, true, nil
		}
	}
	if err := h.peek(); err != nil {
		return insertHead{}, false, err
	}
	found, ok := findInsert(h.head)
	if ok {
		h.head = h.head[found.data:]
	}
	return found, ok, nil
}

// peek makes the head at least maxHead long, or all there is.
func (h *headReader) peek() error {
	if len(h.head) >= maxHead {
		return nil
	}
	more := make([]byte, maxHead-len(h.head))
	n, err := fill(h.rest, more)
	h.head = append(h.head, more[:n]...)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the statement: %w", err)
	}
	return nil
}

// statement reads the whole text as a statement.
func (h *headReader) statement() (string, error) {
	text, err := io.ReadAll(io.LimitReader(h, maxStatement+1))
	if err != nil {
		return "", fmt.Errorf("reading the statement: %w", err)
	}
	if len(text) > maxStatement {
		return "", newException(codeSyntaxError, "SYNTAX_ERROR", "The statement is longer than %d bytes", maxStatement)
	}
	return string(bytes.TrimSpace(text)), nil
}

// authenticate checks the request's credentials. They are compared by digest, in constant time.
func authenticate(r *http.Request, user, password string) error {
	givenUser, givenPassword, basic := r.BasicAuth()
	params := r.URL.Query()
	switch {
	case r.Header.Get("X-ClickHouse-User") != "" || r.Header.Get("X-ClickHouse-Key") != "":
		givenUser, givenPassword = r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key")
	case basic:
	default:
		givenUser, givenPassword = params.Get("user"), params.Get("password")
	}
	if givenUser == "" {
		givenUser = defaultUser
	}
	sameUser := sameSecret(givenUser, user)
	samePassword := sameSecret(givenPassword, password)
	if sameUser&samePassword == 1 {
		return nil
	}
	return newException(codeAuthenticationFailed, "AUTHENTICATION_FAILED", "Authentication failed: password is incorrect, or there is no such user")
}

func sameSecret(given, want string) int {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:])
}

// isFormatName reports whether name can be the name of a format; it goes into statements unquoted.
func isFormatName(name string) bool {
	for i := range len(name) {
		if !isWordPart(name[i]) {
			return false
		}
	}
	return name != "" && isWordStart(name[0])
}

func isTrue(value string) bool { return value == "1" || value == "true" }

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func sortedKeys(params url.Values) []string {
	keys := make([]string, 0, len(params))
	for name := range params {
		keys = append(keys, name)
	}
	slices.Sort(keys)
	return keys
}
