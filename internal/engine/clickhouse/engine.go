package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/google/uuid"
)

// engine is the one ClickHouse of this process. It is safe for concurrent use.
type engine struct {
	lib  *library
	args []string

	// slots bounds the statements that run at once.
	slots chan struct{}

	idle idlePool

	// control keeps the engine open and serves KILL QUERY; one statement at a time, hence the mutex.
	mu      sync.Mutex
	control *connection
	closed  bool
}

// connection is one connection to the engine: a session with settings and a current database of its own. It is not
// safe for concurrent use.
type connection struct {
	lib    *library
	handle unsafe.Pointer // chdb_connection *, what chdb_connect answered
	// state is the key of the session's settings and current database, and tag what its statements carry in their log
	// comment.
	state, tag string
}

// fixedSettings hold for every session. The library's defaults are those of clickhouse-local; these bring back the
// server's, and pin the time zone so that a DateTime means the same on every machine.
func fixedSettings() []string {
	return []string{
		"--implicit_select=0",
		"--allow_introspection_functions=0",
		"--session_timezone=UTC",
	}
}

// openEngine starts the engine in its folder.
func openEngine(lib *library, folder *folder, cfg Config) (*engine, error) {
	config, err := folder.writeConfig()
	if err != nil {
		return nil, err
	}
	args := append([]string{"clickhouse", "--path=" + folder.enginePath(), "--config-file=" + config}, fixedSettings()...)
	if cfg.MaxMemory > 0 {
		args = append(args, "--max_server_memory_usage="+strconv.FormatUint(cfg.MaxMemory, 10))
	}
	e := &engine{lib: lib, args: args, slots: make(chan struct{}, cfg.MaxQueries)}
	control, err := e.connect()
	if err != nil {
		return nil, fmt.Errorf("opening the ClickHouse data in %s: %w", folder.path, err)
	}
	e.control = control
	return e, nil
}

// connect opens a further connection, with extra arguments of the form --name=value. It costs about 0.1 ms, which buys
// a session that no earlier request has touched.
func (e *engine) connect(extra ...string) (*connection, error) {
	args := append(append([]string(nil), e.args...), extra...)
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		argv = append(argv, &append([]byte(arg), 0)[0])
	}
	handle := e.lib.connect(int32(len(args)), append(argv, nil))
	if handle == nil || *(*unsafe.Pointer)(handle) == nil {
		return nil, errors.New("the ClickHouse library refused the connection (its reason is on standard error)")
	}
	return &connection{lib: e.lib, handle: handle}, nil
}

// close waits for the running statements and closes the engine. When statements do not end within
// the timeout it leaves the engine as it is, since closing under them would crash, and says so; the process must end.
func (e *engine) close(timeout time.Duration) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for i := range cap(e.slots) {
		select {
		case e.slots <- struct{}{}:
		case <-deadline.C:
			return fmt.Errorf("closing ClickHouse: at least %d statements still run after %s", cap(e.slots)-i-1, timeout)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	e.idle.clear()
	// Closing the last connection shuts the engine down in order. Some of the library's idle threads outlive it (its
	// own chdb_shutdown does not end them either once there are MergeTree tables); they end with the process.
	e.control.close()
	return nil
}

// session is one request's connection, with the means to cancel what runs on it.
type session struct {
	*connection
	engine *engine
	// clean says that what ran has left the session as it was, so that a later request of the same state may have it.
	clean bool
	stop  func()
}

// options are what one request asks of its session.
type options struct {
	database   string
	settings   []setting
	parameters []setting
}

// setting is a name with its value: a setting, or a query parameter.
type setting struct{ name, value string }

// state is a key of the session that the options ask for: equal keys, equal sessions. It is "" for a session that no
// other request will ask for.
func (o options) state() string {
	var key strings.Builder
	key.WriteString(quoteIdentifier(firstOf(o.database, "default")))
	for _, s := range o.settings {
		if s.name == "insert_deduplication_token" || s.name == "log_comment" {
			return ""
		}
		key.WriteString(quoteIdentifier(s.name) + quoteString(s.value))
	}
	return key.String()
}

// begin waits for a free slot and opens a session. Its statements are cancelled when ctx is done. The caller must call
// end.
func (e *engine) begin(ctx context.Context, opts options) (*session, error) {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries, at most %d, and the request ended while it waited", cap(e.slots))
	}
	conn := e.idle.take(opts.state())
	if conn == nil {
		var err error
		if conn, err = e.prepare(opts); err != nil {
			<-e.slots
			return nil, err
		}
	}
	s := &session{connection: conn, engine: e}
	s.watch(ctx)
	return s, nil
}

// prepare opens a connection and brings it to the asked state. Names and values go through quoting, never bare.
func (e *engine) prepare(opts options) (_ *connection, err error) {
	tag := "session " + uuid.NewString()
	comment := tag
	settings := make([]string, 0, len(opts.settings))
	for _, set := range opts.settings {
		if set.name == "log_comment" {
			comment += " " + set.value
			continue
		}
		if !isSettingName(set.name) {
			return nil, newException(codeUnknownSetting, "UNKNOWN_SETTING", "Unknown setting '%s'", set.name)
		}
		settings = append(settings, set.name+" = "+quoteString(set.value))
	}
	conn, err := e.connect("--log_comment=" + comment)
	if err != nil {
		return nil, err
	}
	conn.state, conn.tag = opts.state(), tag
	defer func() {
		if err != nil {
			conn.close()
		}
	}()
	if len(settings) > 0 {
		if _, err := conn.run("SET " + strings.Join(settings, ", ")); err != nil {
			return nil, err
		}
	}
	if opts.database != "" && opts.database != "default" {
		if _, err := conn.run("USE " + quoteIdentifier(opts.database)); err != nil {
			return nil, err
		}
	}
	return conn, nil
}

// maxIdle bounds the connections kept for the next request of their state. Using one again saves half a millisecond,
// most of which a fresh session spends in its first statement.
const maxIdle = 16

// idlePool keeps connections that wait for a request of their state. It is safe for concurrent use.
type idlePool struct {
	mu          sync.Mutex
	connections []*connection // the longest unused first
}

// take removes and answers a connection of the state, nil if there is none.
func (p *idlePool) take(state string) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, conn := range slices.Backward(p.connections) {
		if state != "" && conn.state == state {
			p.connections = slices.Delete(p.connections, i, i+1)
			return conn
		}
	}
	return nil
}

// put keeps a connection and closes the longest unused one when there are too many.
func (p *idlePool) put(conn *connection) {
	p.mu.Lock()
	p.connections = append(p.connections, conn)
	var old *connection
	if len(p.connections) > maxIdle {
		old = p.connections[0]
		p.connections = slices.Delete(p.connections, 0, 1)
	}
	p.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// clear closes all connections.
func (p *idlePool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.connections {
		conn.close()
	}
	p.connections = nil
}

// killEvery is how often a cancelled statement is told to stop until it does: the first word may come before the engine
// has registered the statement.
const killEvery = 50 * time.Millisecond

// watch cancels the session's statements once ctx is done, until the session ends.
func (s *session) watch(ctx context.Context) {
	ended := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		tick := time.NewTicker(killEvery)
		defer tick.Stop()
		for {
			s.engine.kill(s.tag)
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	}()
	s.stop = func() { close(ended); <-gone }
}

// kill cancels the statement that carries tag in its log comment. The engine gives statements ids of its own that are
// not known beforehand, so the comment identifies them.
func (e *engine) kill(tag string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	// An error means that the statement has ended in the meantime.
	_, _ = e.control.run("KILL QUERY WHERE startsWith(Settings['log_comment'], " + quoteString(tag) + ") ASYNC FORMAT Null")
}

// end gives the connection back, or closes it unless the session is clean. No word to cancel it is under way any more
// then.
func (s *session) end() {
	s.stop()
	if s.clean && s.state != "" {
		s.engine.idle.put(s.connection)
	} else {
		s.connection.close()
	}
	<-s.engine.slots
}

// close closes the connection.
func (c *connection) close() {
	c.lib.closeConnection(c.handle)
	c.handle = nil
}

// raw is the chdb_connection that the functions take.
func (c *connection) raw() unsafe.Pointer { return *(*unsafe.Pointer)(c.handle) }

// analyze says what a text would do, by the engine's own parser.
func (c *connection) analyze(sql string) (analysis, error) {
	out := analysis{structSize: uint32(unsafe.Sizeof(analysis{}))}
	if c.lib.classify(c.raw(), []byte(sql), uint64(len(sql)), nil, 0, &out) != 0 {
		return analysis{}, newException(codeLogicalError, "LOGICAL_ERROR", "The engine could not analyze the statement")
	}
	return out, nil
}

// summary counts what a statement has done.
type summary struct {
	resultRows, resultBytes   uint64
	readRows, readBytes       uint64
	writtenRows, writtenBytes uint64
}

// add adds a result's counts.
func (s *summary) add(lib *library, result unsafe.Pointer) {
	s.resultRows += lib.resultRows(result)
	s.resultBytes += lib.resultBytes(result)
	s.readRows += lib.resultRowsRead(result)
	s.readBytes += lib.resultBytesRead(result)
	s.writtenRows += lib.resultRowsWritten(result)
	s.writtenBytes += lib.resultBytesWritten(result)
}

// run runs a statement of this package's own that has no result.
func (c *connection) run(sql string) (summary, error) {
	return c.query(sql, "Null", nil, nil)
}

// query runs a statement to its end and hands its result, built in the engine's memory, to consume (unless it is nil).
// The bytes are valid during that call only.
func (c *connection) query(sql, format string, params []setting, consume func([]byte, summary) error) (summary, error) {
	p := bind(params)
	result := c.lib.query(c.raw(), []byte(sql), uint64(len(sql)), []byte(format), uint64(len(format)), p.names, p.nameLens, p.values, p.valueLens, p.count)
	defer c.lib.resultDestroy(result)
	if err := engineException(text(c.lib.resultError(result))); err != nil {
		return summary{}, err
	}
	var sum summary
	sum.add(c.lib, result)
	if consume == nil {
		return sum, nil
	}
	return sum, consume(c.lib.view(result), sum)
}

// stream runs a SELECT and hands its result chunk by chunk to consume; the bytes are valid during each call only. When
// consume fails the statement is cancelled and the error answered.
func (c *connection) stream(sql, format string, params []setting, consume func([]byte) error) (sum summary, err error) {
	p := bind(params)
	stream := c.lib.streamQuery(c.raw(), []byte(sql), uint64(len(sql)), []byte(format), uint64(len(format)), p.names, p.nameLens, p.values, p.valueLens, p.count)
	defer c.lib.resultDestroy(stream)
	if err := engineException(text(c.lib.resultError(stream))); err != nil {
		return sum, err
	}
	for {
		more, err := c.fetch(stream, &sum, consume)
		if err != nil {
			c.lib.streamStop(c.raw(), stream)
			return sum, err
		}
		if !more {
			return sum, nil
		}
	}
}

// fetch hands the next chunk of a stream to consume, and says whether there may be more.
func (c *connection) fetch(stream unsafe.Pointer, sum *summary, consume func([]byte) error) (more bool, err error) {
	chunk := c.lib.streamFetch(c.raw(), stream)
	defer c.lib.resultDestroy(chunk)
	if err := engineException(text(c.lib.resultError(chunk))); err != nil {
		return false, err
	}
	sum.add(c.lib, chunk)
	data := c.lib.view(chunk)
	if len(data) == 0 {
		return false, nil
	}
	return true, consume(data)
}

// insertChunk is how much of an insert's data is handed to the engine at once. The engine queues up to 16 chunks and
// then holds the sender back, so this bounds the memory of an insert in flight.
const insertChunk = 512 << 10

// insert runs an INSERT, given without its FORMAT clause, with the data that r delivers in format. When r fails
// before its end the insert is cancelled.
func (c *connection) insert(sql, format string, params []setting, r io.Reader) (sum summary, err error) {
	p := bind(params)
	stream := c.lib.insert(c.raw(), []byte(sql), uint64(len(sql)), []byte(format), uint64(len(format)), p.names, p.nameLens, p.values, p.valueLens, p.count)
	defer c.lib.insertDestroy(stream)
	if err := engineException(text(c.lib.insertError(stream))); err != nil {
		return sum, err
	}
	buf := make([]byte, insertChunk)
	for more := true; more; {
		n, err := fill(r, buf)
		if err != nil && !errors.Is(err, io.EOF) {
			c.lib.insertCancel(stream)
			return sum, fmt.Errorf("reading the data to insert: %w", err)
		}
		more = err == nil
		if n > 0 && c.lib.insertAppend(stream, buf[:n], uint64(n)) != 0 {
			break // The engine has given up; finishing tells why.
		}
	}
	result := c.lib.insertDone(stream)
	defer c.lib.resultDestroy(result)
	if err := engineException(text(c.lib.resultError(result))); err != nil {
		return sum, err
	}
	sum.add(c.lib, result)
	return sum, nil
}

// fill reads until buf is full or r ends. Unlike io.ReadFull it answers io.EOF only for a true end of r: the
// io.ErrUnexpectedEOF of a request that broke off must not pass for one, or half an insert would be committed.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var read int
		read, err = r.Read(buf[n:])
		n += read
	}
	return n, err
}

// bound are query parameters in the shape of the C interface.
type bound struct {
	names, values       []*byte
	nameLens, valueLens []uint64
	count               uint64
}

// bind prepares query parameters. The engine substitutes them after parsing, by their declared type, so that a value
// can never change the statement.
func bind(params []setting) bound {
	var b bound
	for _, p := range params {
		// The terminating zero is not counted; it gives an empty value an address.
		b.names = append(b.names, &append([]byte(p.name), 0)[0])
		b.nameLens = append(b.nameLens, uint64(len(p.name)))
		b.values = append(b.values, &append([]byte(p.value), 0)[0])
		b.valueLens = append(b.valueLens, uint64(len(p.value)))
		b.count++
	}
	return b
}
