package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/clickhouse"
)

// engineCommand runs one embedded engine alone, until it is interrupted.
type engineCommand struct {
	Kafka      engineKafka      `cmd:"" help:"Run the embedded Kafka on the data folder."`
	Postgres   enginePostgres   `cmd:"" help:"Run the embedded Postgres on the data folder."`
	Clickhouse engineClickHouse `cmd:"" help:"Run the embedded ClickHouse on the data folder."`
}

type engineKafka struct {
	Port       int  `help:"Port on 127.0.0.1; 0 takes a free one." default:"0"`
	SyncWrites bool `help:"Wait for the disk at each batch." env:"MUSTER_KAFKA_SYNC_WRITES"`
}

// Run implements the subcommand.
func (c *engineKafka) Run(ctx context.Context, env *environment) error {
	return env.runEngine(ctx, engine.Kafka, engine.Config{KafkaPort: c.Port, KafkaSyncWrites: c.SyncWrites})
}

type enginePostgres struct {
	Port int `help:"Port on 127.0.0.1; 0 takes a free one." default:"0"`
}

// Run implements the subcommand.
func (c *enginePostgres) Run(ctx context.Context, env *environment) error {
	return env.runEngine(ctx, engine.Postgres, engine.Config{PostgresPort: c.Port})
}

// engineClickHouse supervises the child that serves the library; with
// --library it is that child, on the address of --listen.
type engineClickHouse struct {
	Port        int    `help:"Port on 127.0.0.1; 0 takes a free one." default:"0"`
	Library     string `help:"Serve this library in this very process." hidden:""`
	Data        string `help:"Folder of the data, with --library." hidden:""`
	LocalShards int    `help:"Shards of a cluster that are all this engine, with --library." hidden:""`
	MaxMemory   uint64 `help:"Bound of the engine's memory in bytes; 0 leaves it to the engine." default:"0" env:"MUSTER_CLICKHOUSE_MAX_MEMORY"`
}

// Run implements the subcommand.
func (c *engineClickHouse) Run(ctx context.Context, env *environment) error {
	if c.Library == "" {
		return env.runEngine(ctx, engine.ClickHouse, engine.Config{ClickHousePort: c.Port, ClickHouseMaxMemory: c.MaxMemory})
	}
	return clickhouse.Serve(ctx, clickhouse.Config{
		Library: c.Library, DataDir: c.Data, Listen: env.settings.Listen, MaxMemory: c.MaxMemory, LocalShards: c.LocalShards,
		User: os.Getenv("MUSTER_CLICKHOUSE_USER"), Password: os.Getenv("MUSTER_CLICKHOUSE_PASSWORD"),
		Logger: env.logger,
		Ready:  func(addr net.Addr) { fmt.Fprintln(env.stdout, "ready", addr) },
	})
}

// runEngine runs one engine until ctx ends.
func (e *environment) runEngine(ctx context.Context, name engine.Name, cfg engine.Config) error {
	cfg.DataDir, cfg.Only, cfg.Logger = e.settings.DataDir, []engine.Name{name}, e.logger
	cfg.KafkaPartitions = int(e.settings.KafkaPartitions)
	running, err := engine.Open(ctx, cfg)
	if err != nil {
		return err
	}
	at := running.Addresses()
	switch name {
	case engine.Kafka:
		fmt.Fprintf(e.stdout, "kafka ready at %s\n", at.KafkaBrokers[0])
	case engine.Postgres:
		fmt.Fprintf(e.stdout, "postgres ready, its address is in %s/engines.json\n", e.settings.DataDir)
	case engine.ClickHouse:
		fmt.Fprintf(e.stdout, "clickhouse ready, its address is in %s/engines.json\n", e.settings.DataDir)
	}
	<-ctx.Done()
	return running.Stop()
}
