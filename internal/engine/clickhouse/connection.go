package clickhouse

import (
	"errors"
	"fmt"
	"io"
	"unsafe"
)

// connection is one connection to the engine: a session with settings and a current database of its own. It is not
// safe for concurrent use.
type connection struct {
	lib    *library
	handle unsafe.Pointer // chdb_connection *, what chdb_connect answered
	// state is the key of the session's settings and current database, and tag what its statements carry in their log
	// comment.
	state, tag string
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
