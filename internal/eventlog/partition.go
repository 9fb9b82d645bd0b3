package eventlog

import (
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/muster-sync/muster/domain/event"
)

// Partition is one partition of a topic.
type Partition struct {
	Topic string
	ID    int32
}

// String prints the partition as topic/id.
func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.ID) }

// murmur2 hashes as Kafka's Java client does. It has no state that a record
// with a key could touch, so it is shared by all.
var murmur2 = sarama.NewMurmur2Partitioner("")

// PartitionOf is the partition that all events of a stream go to, in a topic of
// that many partitions. It equals what Kafka's Java client and franz-go choose
// for a record whose key is the stream's name. It panics if partitions is not
// positive.
func PartitionOf(stream event.Stream, partitions int32) int32 {
	if partitions < 1 {
		panic(fmt.Sprintf("BUG: a topic of %d partitions", partitions))
	}
	p, err := murmur2.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(stream)}, partitions)
	if err != nil {
		// Only encoding the key can fail, and a string's encoding cannot.
		panic("BUG: partitioning a stream: " + err.Error())
	}
	return p
}

// streamPartitioner chooses the partition by the stream's part of the record
// key, so that a stream stays together although its keys are all different, and
// so that a tombstone meets the record that it removes.
type streamPartitioner struct{}

func newStreamPartitioner(string) sarama.Partitioner { return streamPartitioner{} }

// Partition implements [sarama.Partitioner].
func (streamPartitioner) Partition(m *sarama.ProducerMessage, partitions int32) (int32, error) {
	if m.Key == nil {
		return -1, fmt.Errorf("record for %s has no key", m.Topic)
	}
	key, err := m.Key.Encode()
	if err != nil {
		return -1, fmt.Errorf("encoding the key of a record for %s: %w", m.Topic, err)
	}
	stream := string(key)
	if i := strings.LastIndexByte(stream, '/'); i >= 0 {
		stream = stream[:i]
	}
	return murmur2.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(stream)}, partitions)
}

// RequiresConsistency implements [sarama.Partitioner]: an unavailable partition
// is waited for, never replaced by another.
func (streamPartitioner) RequiresConsistency() bool { return true }
