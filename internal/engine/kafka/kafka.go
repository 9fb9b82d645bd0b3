// Package kafka runs the embedded Kafka: franz-go's kfake with its data on disk, in this process, on loopback. It speaks Kafka's protocol
// to the same clients as a real broker and is meant for one machine: no replication, no authentication.
package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// DefaultPartitions is the number of partitions of a topic made without saying how many.
const DefaultPartitions = 12

// maxMessageBytes is the largest record batch the broker takes: 16 MiB of event and room for its frame.
const maxMessageBytes = 17 << 20

// Config says where the broker keeps its log and how careful it is.
type Config struct {
	// DataDir holds the log; it is made if it is missing. Empty keeps everything in memory. Whoever starts the broker must have made sure
	// that nobody else uses the folder.
	DataDir string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Partitions is the default of new topics; 0 is DefaultPartitions.
	Partitions int
	// SyncWrites waits for the disk at each batch. Without it an acknowledged record survives the death of this process but not that of
	// the machine.
	SyncWrites bool
	// CompactEvery is the pause between two compactions of all topics, in which nothing is served; 0 is a day, which is how long a record may
	// lie uncompacted as of the topics' max.compaction.lag.ms. Who appends tombstones need not wait for it: see Broker.Compact.
	CompactEvery time.Duration
	// Logger receives what the broker has to say. Nil discards.
	Logger *slog.Logger
}

// Broker is a running embedded Kafka. Its methods may be called from several goroutines at once.
type Broker struct {
	cluster *kfake.Cluster
	address string
	stop    sync.Once
}

// RetentionError says that compacted topics would lose records to time: kfake expires records of a topic that is only compacted, which
// Kafka does not.
type RetentionError struct {
	// DataDir is the broker's folder.
	DataDir string
	// Topics are the topics concerned, sorted.
	Topics []string
}

// Error names the folder, the topics, the rule and the remedy.
func (e *RetentionError) Error() string {
	return fmt.Sprintf("starting the embedded Kafka in %s: topics %s have cleanup.policy=compact without retention.ms=-1, and the embedded broker would delete their old records: set retention.ms=-1 in topics.json of that folder, or use a real Kafka (MUSTER_KAFKA_BROKERS)",
		e.DataDir, strings.Join(e.Topics, ", "))
}

// Start opens the log and serves it. It returns a *RetentionError when the folder has a compacted topic from which records would expire.
func Start(ctx context.Context, cfg Config) (*Broker, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting the embedded Kafka: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = DefaultPartitions
	}
	if cfg.CompactEvery == 0 {
		cfg.CompactEvery = 24 * time.Hour
	}
	opts := []kfake.Opt{
		kfake.Ports(cfg.Port),
		kfake.DefaultNumPartitions(cfg.Partitions),
		kfake.ClusterID("muster"),
		kfake.WithLogger(logger{cfg.Logger.With("engine", "kafka")}),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":      strconv.Itoa(maxMessageBytes),
			"log.cleaner.backoff.ms": strconv.FormatInt(cfg.CompactEvery.Milliseconds(), 10),
		}),
	}
	if cfg.DataDir != "" {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the embedded Kafka: %w", err)
		}
		if err := checkRetention(cfg.DataDir); err != nil {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(cfg.DataDir))
	}
	if cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded Kafka on port %d: %w", cfg.Port, err)
	}
	return &Broker{cluster: cluster, address: cluster.ListenAddrs()[0]}, nil
}

// Brokers are the addresses for a client's bootstrap list.
func (b *Broker) Brokers() []string { return []string{b.address} }

// Compact runs the log cleaner on all topics now and returns when it is through. Nothing is served meanwhile.
func (b *Broker) Compact() { b.cluster.Compact() }

// Stop writes everything out and closes all connections. It may be called more than once.
func (b *Broker) Stop() error {
	b.stop.Do(b.cluster.Close)
	return nil
}

// checkRetention reads the topics as the broker stored them, before anything is served or cleaned.
func checkRetention(dir string) error {
	content, err := os.ReadFile(filepath.Join(dir, "topics.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the topics of the embedded Kafka: %w", err)
	}
	var stored struct {
		Topics []struct {
			Name    string            `json:"name"`
			Configs map[string]string `json:"configs"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(content, &stored); err != nil {
		return fmt.Errorf("reading the topics of the embedded Kafka in %s: %w: put the file back from a backup", filepath.Join(dir, "topics.json"), err)
	}
	expiring := make(map[string]bool)
	for _, topic := range stored.Topics {
		if compacted(topic.Configs["cleanup.policy"]) && topic.Configs["retention.ms"] != "-1" {
			expiring[topic.Name] = true
		}
	}
	if len(expiring) > 0 {
		return &RetentionError{DataDir: dir, Topics: slices.Sorted(maps.Keys(expiring))}
	}
	return nil
}

// compacted tells whether a policy is compaction alone: a topic that also has "delete" asks for its records to expire.
func compacted(policy string) bool {
	parts := strings.Split(policy, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return slices.Contains(parts, "compact") && !slices.Contains(parts, "delete")
}

// logger passes the broker's messages on, one level lower than it thinks of them: it calls each client that goes away an error.
type logger struct{ to *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	target := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		target = slog.LevelWarn
	case kfake.LogLevelWarn:
		target = slog.LevelInfo
	default:
	}
	if l.to.Enabled(context.Background(), target) {
		l.to.Log(context.Background(), target, "engine output", "line", fmt.Sprintf(format, args...))
	}
}
