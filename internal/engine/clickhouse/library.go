package clickhouse

import "unsafe"

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
