//go:build !noembedded

package clickhouse

import (
	"errors"
	"fmt"
	"os"

	"github.com/ebitengine/purego"
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
