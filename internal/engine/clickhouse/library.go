package clickhouse

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is libchdb's C interface, bound once for the process. Every handle is an opaque pointer; a zero handle means
// failure. The functions may be called from any thread, but one connection runs one statement at a time, and the calls
// on it must not overlap.
//
// Parameters of Go slice type are passed as pointers to their first element and are copied by the engine before the
// call returns.
type library struct {
	version           func() string
	setSignalHandlers func(enabled int32)

	connect         func(argc int32, argv []*byte) unsafe.Pointer
	closeConnection func(conn unsafe.Pointer)

	query       func(conn unsafe.Pointer, sql []byte, sqlLen uint64, format []byte, formatLen uint64, names []*byte, nameLens []uint64, values []*byte, valueLens []uint64, count uint64) unsafe.Pointer
	streamQuery func(conn unsafe.Pointer, sql []byte, sqlLen uint64, format []byte, formatLen uint64, names []*byte, nameLens []uint64, values []*byte, valueLens []uint64, count uint64) unsafe.Pointer
	streamFetch func(conn, stream unsafe.Pointer) unsafe.Pointer
	streamStop  func(conn, stream unsafe.Pointer)

	insert        func(conn unsafe.Pointer, sql []byte, sqlLen uint64, format []byte, formatLen uint64, names []*byte, nameLens []uint64, values []*byte, valueLens []uint64, count uint64) unsafe.Pointer
	insertAppend  func(stream unsafe.Pointer, data []byte, length uint64) int32
	insertDone    func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel  func(stream unsafe.Pointer)
	insertError   func(stream unsafe.Pointer) unsafe.Pointer
	insertDestroy func(stream unsafe.Pointer)

	resultBuffer       func(result unsafe.Pointer) unsafe.Pointer
	resultLength       func(result unsafe.Pointer) uint64
	resultError        func(result unsafe.Pointer) unsafe.Pointer
	resultRows         func(result unsafe.Pointer) uint64
	resultBytes        func(result unsafe.Pointer) uint64
	resultRowsRead     func(result unsafe.Pointer) uint64
	resultBytesRead    func(result unsafe.Pointer) uint64
	resultRowsWritten  func(result unsafe.Pointer) uint64
	resultBytesWritten func(result unsafe.Pointer) uint64
	resultDestroy      func(result unsafe.Pointer)

	classify func(conn unsafe.Pointer, sql []byte, sqlLen uint64, database []byte, databaseLen uint64, out *analysis) int32
}

// analysis is the engine's chdb_query_analysis_v1: what a text would do, without running it.
type analysis struct {
	structSize uint32
	statements uint32
	_          uint32 // flags, of no use here
	class      queryClass
}

// queryClass says what a statement does to state that outlives it (chdb_query_class).
type queryClass uint32

// The classes in the engine's order: a higher one is more restricted.
const (
	classReadOnly queryClass = iota
	classMutating
	classMutatingGlobal
	classControl
	classUnknown
)

// loadLibrary opens libchdb at path and binds its functions. It also keeps the engine from installing signal handlers,
// which would displace those of the Go runtime; that has to happen before the first connection.
func loadLibrary(path string) (lib *library, err error) {
	if path == "" {
		return nil, errors.New("no ClickHouse library given: fetch the engines with `make engines`, or name libchdb.so")
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("ClickHouse library: %w (fetch the engines with `make engines`)", err)
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("loading the ClickHouse library %s: %w", path, err)
	}
	lib = &library{}
	for _, symbol := range []struct {
		name string
		fn   any
	}{
		{"chdb_version", &lib.version},
		{"chdb_set_signal_handlers_enabled", &lib.setSignalHandlers},
		{"chdb_connect", &lib.connect},
		{"chdb_close_conn", &lib.closeConnection},
		{"chdb_query_with_params_n", &lib.query},
		{"chdb_stream_query_with_params_n", &lib.streamQuery},
		{"chdb_stream_fetch_result", &lib.streamFetch},
		{"chdb_stream_cancel_query", &lib.streamStop},
		{"chdb_stream_insert_with_params_n", &lib.insert},
		{"chdb_stream_append", &lib.insertAppend},
		{"chdb_stream_done", &lib.insertDone},
		{"chdb_stream_cancel_insert", &lib.insertCancel},
		{"chdb_stream_insert_error", &lib.insertError},
		{"chdb_destroy_insert_stream", &lib.insertDestroy},
		{"chdb_result_buffer", &lib.resultBuffer},
		{"chdb_result_length", &lib.resultLength},
		{"chdb_result_error", &lib.resultError},
		{"chdb_result_rows_read", &lib.resultRows},
		{"chdb_result_bytes_read", &lib.resultBytes},
		{"chdb_result_storage_rows_read", &lib.resultRowsRead},
		{"chdb_result_storage_bytes_read", &lib.resultBytesRead},
		{"chdb_result_rows_written", &lib.resultRowsWritten},
		{"chdb_result_bytes_written", &lib.resultBytesWritten},
		{"chdb_destroy_query_result", &lib.resultDestroy},
		{"chdb_classify_query_n", &lib.classify},
	} {
		address, err := purego.Dlsym(handle, symbol.name)
		if err != nil {
			return nil, fmt.Errorf("the ClickHouse library %s lacks %s: it needs libchdb 26.7 or newer: %w", path, symbol.name, err)
		}
		purego.RegisterFunc(symbol.fn, address)
	}
	lib.setSignalHandlers(0)
	return lib, nil
}

// text copies a NUL-terminated C string owned by the engine; "" for a nil pointer.
func text(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	length := 0
	for *(*byte)(unsafe.Add(p, length)) != 0 {
		length++
	}
	return string(unsafe.Slice((*byte)(p), length))
}

// view is the memory of a result's buffer, valid until the result is destroyed.
func (lib *library) view(result unsafe.Pointer) []byte {
	length := lib.resultLength(result)
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(lib.resultBuffer(result)), length)
}
