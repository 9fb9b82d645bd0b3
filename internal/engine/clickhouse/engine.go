package clickhouse

import (
	"context"
	"errors"
	"fmt"
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
	config, err := folder.writeConfig(cfg.LocalShards)
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
		return nil, errors.New("the ClickHouse library refused to open its data or a session of it (the reason, if it gives one, is on standard error)")
	}
	return &connection{lib: e.lib, handle: handle}, nil
}

// errStillRunning says that the engine could not be closed.
var errStillRunning = errors.New("statements still run")

// close waits for the running statements and closes the engine. When statements do not end within the timeout it leaves
// the engine as it is, since closing under them would crash, and says so; the process must end.
func (e *engine) close(timeout time.Duration) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for i := range cap(e.slots) {
		select {
		case e.slots <- struct{}{}:
		case <-deadline.C:
			return fmt.Errorf("closing ClickHouse: up to %d %w after %s", cap(e.slots)-i, errStillRunning, timeout)
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
	var commentSb163 strings.Builder
	for _, set := range opts.settings {
		if set.name == "log_comment" {
			commentSb163.WriteString(" " + set.value)
			continue
		}
		if !isSettingName(set.name) {
			return nil, newException(codeUnknownSetting, "UNKNOWN_SETTING", "Unknown setting '%s'", set.name)
		}
		settings = append(settings, set.name+" = "+quoteString(set.value))
	}
	comment += commentSb163.String()
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
