package clickhouse

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
)

// handler answers ClickHouse's HTTP interface.
type handler struct {
	user, password string
	db             *engine
	log            *slog.Logger
}

func newHandler(cfg Config, db *engine) http.Handler {
	h := &handler{user: cfg.User, password: cfg.Password, db: db, log: cfg.Logger}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", h.ping)
	mux.HandleFunc("GET /{$}", h.root)
	mux.HandleFunc("POST /{$}", h.root)
	return mux
}

// ping says that the server is up. It asks for no credentials.
func (h *handler) ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	_, _ = io.WriteString(w, "Ok.\n")
}

// root runs a statement.
func (h *handler) root(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.RawQuery == "" {
		h.ping(w, r)
		return
	}
	if err := authenticate(r, h.user, h.password); err != nil {
		refuse(w, err)
		return
	}
	req, err := parseRequest(r)
	if err != nil {
		refuse(w, err)
		return
	}
	defer func() { _ = req.body.Close() }()

	started := time.Now()
	a := newAnswer(w, req)
	kind, err := h.run(r.Context(), req, a)
	if err == nil {
		err = a.finish()
	}
	h.log.DebugContext(r.Context(), "clickhouse: statement", "query_id", req.queryID, "kind", kind, "took", time.Since(started), "failed", err != nil)
	if err != nil {
		a.fail(err)
	}
}

// refuse answers a request that did not get as far as a statement.
func refuse(w http.ResponseWriter, err error) {
	var ex *exception
	if !errors.As(err, &ex) {
		ex = newException(codeBadArguments, "BAD_ARGUMENTS", "%s", err)
	}
	writeException(w, ex)
}

// run runs the request's statement and says, for the log, what kind it was.
func (h *handler) run(ctx context.Context, req *request, a *answer) (kind string, err error) {
	insert, ok, err := req.text.insert()
	if err != nil {
		return "unread", err
	}
	if ok {
		return "insert", h.insert(ctx, req, a, insert)
	}
	sql, err := req.text.statement()
	if err != nil {
		return "unread", err
	}
	if req.protocol && sql == helloQuery {
		return "hello", h.hello(ctx, req, a)
	}
	return "query", h.query(ctx, req, a, sql)
}

// insert runs an INSERT with the data behind it.
func (h *handler) insert(ctx context.Context, req *request, a *answer, insert insertHead) error {
	if req.readonly {
		return newException(codeReadonly, "READONLY", "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries")
	}
	s, err := h.db.begin(ctx, req.options)
	if err != nil {
		return err
	}
	defer s.end()
	sum, err := s.insert(insert.sql, insert.format, req.parameters, req.text)
	if err != nil {
		return err
	}
	a.setSummary(sum)
	s.clean = !hasSettings(insert.sql)
	return nil
}

// query runs any other statement.
func (h *handler) query(ctx context.Context, req *request, a *answer, sql string) (err error) {
	if readsInput(sql) {
		// The library would run it and insert nothing, without a word.
		return newException(codeNotImplemented, "NOT_IMPLEMENTED", "The embedded ClickHouse passes no data through input(): insert it into a table and select from there")
	}
	s, err := h.db.begin(ctx, req.options)
	if err != nil {
		return err
	}
	defer s.end()
	what, err := s.analyze(sql)
	if err != nil {
		return err
	}
	if what.statements > 1 {
		return newException(codeSyntaxError, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed): send one statement a request")
	}
	if req.readonly && (what.class == classMutating || what.class == classMutatingGlobal || what.class == classControl) {
		return newException(codeReadonly, "READONLY", "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries")
	}
	// Statements that only read leave a session as it was. One with settings of its own does too, by the library's
	// promise; its session is not used again all the same.
	defer func() { s.clean = err == nil && what.class == classReadOnly && !hasSettings(sql) }()
	format := firstOf(outputFormat(sql), req.format)
	a.setFormat(format)
	if what.class == classReadOnly && isSelect(sql) && joinable(format) && !req.waitForEnd {
		sum, err := s.stream(sql, req.format, req.parameters, func(chunk []byte) error {
			_, err := a.Write(chunk)
			return err
		})
		a.setSummary(sum)
		return err
	}
	_, err = s.query(sql, req.format, req.parameters, func(result []byte, sum summary) error {
		a.setSummary(sum)
		_, err := a.Write(result)
		return err
	})
	if err == nil && what.class == classUnknown && what.statements == 0 {
		// The library passes over a few texts that are no SQL (an empty one, "exit") without a word.
		return newException(codeSyntaxError, "SYNTAX_ERROR", "Syntax error: there is no statement in the request")
	}
	return err
}

// helloQuery is what clickhouse-go asks first on every connection.
const helloQuery = "SELECT displayName(), version(), revision(), timezone()"

// displayName is what the server calls itself.
const displayName = "muster-embedded"

// hello answers helloQuery. The client expects this one answer in the encoding of the protocol version it has
// announced, which the library cannot write. The answer says revision 0, and from then on the client reads plain Native
// blocks.
func (h *handler) hello(ctx context.Context, req *request, a *answer) error {
	s, err := h.db.begin(ctx, req.options)
	if err != nil {
		return err
	}
	defer s.end()
	s.clean = true
	var version string
	if _, err := s.query("SELECT version()", "TabSeparatedRaw", nil, func(result []byte, _ summary) error {
		version = string(result)
		return nil
	}); err != nil {
		return err
	}
	names, types := []string{"displayName()", "version()", "revision()", "timezone()"}, []string{"String", "String", "UInt32", "String"}
	var b chproto.Buffer
	chproto.BlockInfo{BucketNum: -1}.Encode(&b)
	b.PutUVarInt(uint64(len(names)))
	b.PutUVarInt(1)
	for i, name := range names {
		b.PutString(name)
		b.PutString(types[i])
		b.PutBool(false) // no custom serialization
		switch name {
		case "displayName()":
			b.PutString(displayName)
		case "version()":
			b.PutString(trimLine(version))
		case "revision()":
			b.PutUInt32(0)
		case "timezone()":
			b.PutString("UTC")
		}
	}
	a.setFormat("Native")
	_, err = a.Write(b.Buf)
	return err
}

// trimLine drops the line break of a single value.
func trimLine(s string) string {
	for len(s) > 0 && (s[len(s)-1] == '\n' || s[len(s)-1] == '\r') {
		s = s[:len(s)-1]
	}
	return s
}
