package runner

import (
	"cmp"
	"context"

	"github.com/muster-sync/muster/internal/eventlog"
)

// Log is what projections read from.
type Log interface {
	// Ends are the first and the next offset of each partition of the topics.
	Ends(ctx context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error)
	// Consume reads from the given offsets on, in order within a partition.
	Consume(ctx context.Context, from map[eventlog.Partition]int64) (*eventlog.Consumer, error)
	// ReadRange reads the records of a partition from an offset up to, not
	// including, another.
	ReadRange(ctx context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error
}

// Kafka is the log as it lies in Kafka.
type Kafka struct {
	*eventlog.Reader
	Consumer eventlog.ConsumerConfig
}

// Consume implements [Log].
func (k Kafka) Consume(_ context.Context, from map[eventlog.Partition]int64) (*eventlog.Consumer, error) {
	return eventlog.NewConsumer(k.Consumer, from)
}

func comparePartitions(a, b eventlog.Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
}
