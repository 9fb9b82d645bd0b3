//go:build noembedded

package clickhouse

import "errors"

// loadLibrary refuses: a program that can load a library needs the system's own loader, and
// one built with the tag noembedded is a static one, for images that have none.
func loadLibrary(string) (*library, error) {
	return nil, errors.New("this program was built without the embedded ClickHouse: set MUSTER_CLICKHOUSE_DSN to one of your own")
}
