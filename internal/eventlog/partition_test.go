package eventlog_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

func TestPartitionAgreesWithOtherClients(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic(event.TopicEVE)
	var streams []event.Stream
	for i := range int64(8000) {
		streams = append(streams, event.Character(90000000+i))
	}
	for range 1000 {
		streams = append(streams, event.User(uuid.NewString()), event.Consortium("Konsortium-ÄÖÜ-"+uuid.NewString()))
	}
	used := make(map[int32]int)
	for _, s := range streams {
		for _, partitions := range []int32{1, 12, 48} {
			require.EqualValues(t, theirs.Partition(&kgo.Record{Key: []byte(s)}, int(partitions)), eventlog.PartitionOf(s, partitions), "stream %s", s)
		}
		used[eventlog.PartitionOf(s, 12)]++
	}
	for p := range int32(12) {
		require.InDelta(t, len(streams)/12, used[p], float64(len(streams))/60, "partition %d", p)
	}
}

func TestPartitionOfNoPartitionsIsADefect(t *testing.T) {
	require.Panics(t, func() { eventlog.PartitionOf(event.Org, 0) })
}
