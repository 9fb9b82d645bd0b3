package enginetest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/internal/engine/kafka"
	"github.com/muster-sync/muster/internal/engine/supervise"
)

// Kafka gives the test the addresses of an embedded broker of its own, empty, in memory, stopped when the test ends. Topics are not made
// by themselves.
func Kafka(t testing.TB) []string {
	t.Helper()
	broker, err := kafka.Start(context.Background(), kafka.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	})
	return broker.Brokers()
}

// RealKafka gives the test the addresses of a real Apache Kafka broker (KRaft, one node), shared by the tests of this binary: take
// topic and group names of the test's own. Topics are not made by themselves. The log cleaner looks for work every half second. It needs Java
// 17 and the jars of "deploy/engines/fetch.sh kafka".
func RealKafka(t testing.TB) []string {
	t.Helper()
	brokers, err := shared.kafka.get(startKafka)
	need(t, err, requireKafka)
	return brokers
}

// RealKafkaFiles gives the test the folder in which the broker of [RealKafka] keeps the segments of its partitions.
func RealKafkaFiles(t testing.TB) string {
	t.Helper()
	RealKafka(t)
	dir, err := shared.folder("kafka")
	if err != nil {
		t.Fatal(err)
	}
	return logsOf(dir)
}

func logsOf(dir string) string { return filepath.Join(dir, "log") }

func startKafka() ([]string, error) {
	jars, err := engine.LocateKafka()
	if err != nil {
		return nil, err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, &engine.NotFetchedError{What: "Java (17 or newer, for Apache Kafka)", Dir: "PATH", Remedy: "apt-get install openjdk-17-jre-headless"}
	}
	dir, err := shared.folder("kafka")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ports, err := freeport.Find(ctx, 2)
	if err != nil {
		return nil, err
	}
	broker := fmt.Sprintf("127.0.0.1:%d", ports[0])
	if err := writeKafkaFiles(dir, broker, fmt.Sprintf("127.0.0.1:%d", ports[1])); err != nil {
		return nil, fmt.Errorf("preparing Apache Kafka: %w", err)
	}
	child := supervise.New(supervise.Spec{
		Name: "apache-kafka",
		Path: java,
		Args: []string{
			"-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.properties"),
			"-cp", filepath.Join(jars, "*"), "kafka.Kafka", filepath.Join(dir, "server.properties"),
		},
		Env:          []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"},
		Dir:          dir,
		Ready:        func(ctx context.Context) error { return pingKafka(ctx, broker) },
		ReadyTimeout: startTimeout,
		// What it holds is thrown away with the tests, so it need not finish in order.
		StopSignal: syscall.SIGKILL,
	}, supervise.Options{})
	if err := child.Start(ctx); err != nil {
		return nil, err
	}
	shared.atEnd(child.Stop)
	return []string{broker}, nil
}

func pingKafka(ctx context.Context, broker string) error {
	// The port opens before the broker takes part in its own cluster, and Java is slow to open it: a plain connection first keeps the
	// many tries cheap.
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", broker)
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// writeKafkaFiles writes the broker's configuration, and the identity that kafka-storage.sh would give its log folder.
func writeKafkaFiles(dir, broker, controller string) error {
	logs := logsOf(dir)
	settings := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        "1",
		"controller.quorum.voters":       "1@" + controller,
		"listeners":                      "PLAINTEXT://" + broker + ",CONTROLLER://" + controller,
		"advertised.listeners":           "PLAINTEXT://" + broker,
		"controller.listener.names":      "CONTROLLER",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       logs,
		"auto.create.topics.enable":      "false",
		"num.partitions":                 "12",
		"message.max.bytes":              "17825792",
		"offsets.topic.num.partitions":   "2",
		// One node: every internal topic has one copy.
		"offsets.topic.replication.factor":                 "1",
		"transaction.state.log.num.partitions":             "2",
		"transaction.state.log.replication.factor":         "1",
		"transaction.state.log.min.isr":                    "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr":            "1",
		"group.initial.rebalance.delay.ms":                 "0",
		"group.min.session.timeout.ms":                     "1000",
		// Tests of compaction and deletion cannot wait for the usual minutes.
		"log.cleaner.backoff.ms":          "500",
		"log.cleaner.dedupe.buffer.size":  "8388608",
		"log.initial.task.delay.ms":       "500",
		"log.retention.check.interval.ms": "1000",
		"log.segment.delete.delay.ms":     "500",
	}
	var server strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&server, "%s=%s\n", name, settings[name])
	}
	logging := "rootLogger.level=warn\nrootLogger.appenderRef.console.ref=console\n" +
		"appender.console.type=Console\nappender.console.name=console\nappender.console.layout.type=PatternLayout\nappender.console.layout.pattern=%p %c{1} %m%n\n"
	identity := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=1\ndirectory.id=%s\n", kafkaUUID(), kafkaUUID())
	return errors.Join(
		os.MkdirAll(logs, 0o700),
		os.WriteFile(filepath.Join(dir, "server.properties"), []byte(server.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "log4j2.properties"), []byte(logging), 0o600),
		os.WriteFile(filepath.Join(logs, "meta.properties"), []byte(identity), 0o600),
	)
}

// kafkaUUID makes an id as Kafka writes them: 16 random bytes in URL-safe base 64. One that begins with "-" is avoided, as Kafka does.
func kafkaUUID() string {
	for {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		if text := base64.RawURLEncoding.EncodeToString(id[:]); text[0] != '-' {
			return text
		}
	}
}
