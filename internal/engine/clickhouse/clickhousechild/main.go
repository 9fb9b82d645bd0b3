// Command clickhousechild serves the embedded ClickHouse and nothing else. It is the child process of tests that need a
// ClickHouse; Muster itself runs the same server as a subcommand of its own binary. Build it with CGO_ENABLED=0.
//
// It writes "ready ADDRESS" to standard output when it serves, logs to standard error, and stops on SIGTERM or SIGINT.
// User and password come from MUSTER_CLICKHOUSE_USER and MUSTER_CLICKHOUSE_PASSWORD, so that no process list shows them.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/muster-sync/muster/internal/engine/clickhouse"
)

func main() {
	library := flag.String("library", os.Getenv("MUSTER_LIBCHDB"), "path of libchdb.so")
	data := flag.String("data", "", "folder of the data")
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on; port 0 takes a free one")
	memory := flag.Uint64("max-memory", 0, "bound of the engine's memory in bytes; 0 leaves it to the engine")
	queries := flag.Int("max-queries", 0, "how many statements run at once; 0 means 32")
	shards := flag.Int("local-shards", 0, "shards of the cluster \"local\", all of which are this engine")
	stopTimeout := flag.Duration("stop-timeout", 0, "how long a stop waits for running statements; 0 means 10s")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := clickhouse.Serve(ctx, clickhouse.Config{
		Library:     *library,
		DataDir:     *data,
		Listen:      *listen,
		User:        os.Getenv("MUSTER_CLICKHOUSE_USER"),
		Password:    os.Getenv("MUSTER_CLICKHOUSE_PASSWORD"),
		MaxMemory:   *memory,
		MaxQueries:  *queries,
		LocalShards: *shards,
		StopTimeout: *stopTimeout,
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Ready:       func(addr net.Addr) { fmt.Println("ready", addr) },
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "clickhousechild:", err)
		os.Exit(1) //nolint:gocritic // stop was called
	}
}
