package eventlog

import (
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/rcrowley/go-metrics"
	"github.com/twmb/franz-go/pkg/kgo"
)

// defaultClientID is how Muster names itself to brokers.
const defaultClientID = "muster"

// baseOptions are the options that all franz-go clients of this package share.
func baseOptions(brokers []string, security Security, clientID string, logger *slog.Logger) []kgo.Opt {
	options := append(security.options(),
		kgo.SeedBrokers(brokers...),
		kgo.ClientID(clientID),
		kgo.DisableClientMetrics(),
		// A reader whose partition moved, or that was added a partition, asks
		// for the new leader after at least this time.
		kgo.MetadataMinAge(250*time.Millisecond),
	)
	if logger != nil {
		options = append(options, kgo.WithLogger(kgoLogger{logger}))
	}
	return options
}

// unmeasured is a registry for sarama's own metrics, which nobody reads: keeping them
// takes several locks and samples for each request.
type unmeasured struct{ metrics.Registry }

// GetOrRegister implements [metrics.Registry].
func (unmeasured) GetOrRegister(_ string, metric any) any {
	switch metric.(type) {
	case func() metrics.Meter:
		return metrics.NilMeter{}
	case func() metrics.Counter:
		return metrics.NilCounter{}
	case func() metrics.Histogram:
		return metrics.NilHistogram{}
	default:
		return metric
	}
}

// Unregister implements [metrics.Registry].
func (unmeasured) Unregister(string) {}

// producerConfig is sarama's configuration for everything that this package
// writes: no acknowledged record is lost, none is doubled by a retry, and
// records of a stream keep their order.
func producerConfig(security Security, clientID string) *sarama.Config {
	c := kafka.DefaultSaramaSyncPublisherConfig()
	c.ClientID = clientID
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.Retry.Backoff = 250 * time.Millisecond
	c.Net.MaxOpenRequests = 1
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	// Most batches hold one event of a kilobyte or two: the next level makes them 6 %
	// smaller in three times the time, and its tables of a megabyte go through the cache
	// for each.
	c.Producer.Compression, c.Producer.CompressionLevel = sarama.CompressionZSTD, 1
	c.Producer.MaxMessageBytes = maxBatchBytes
	c.Producer.Partitioner = newStreamPartitioner
	c.MetricRegistry = unmeasured{}
	c.Producer.Retry.Max = 12
	c.Producer.Retry.BackoffFunc = sarama.NewExponentialBackoff(50*time.Millisecond, 5*time.Second)
	return security.secure(c)
}
