package eventlog_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// sample is an event of the usual size: a wallet journal entry or two.
func sample(character, n int64) event.Event {
	return event.Event{
		ID:            uuid.New(),
		Type:          "muster.eve.journal.recorded.v1",
		Source:        "muster/ingest/esi",
		Stream:        event.Character(character),
		Time:          time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		CorrelationID: "01J00000000000000000000000",
		Data: fmt.Appendf(nil, `{"day":"2026-03-04","entries":[{"id":%d,"date":"2026-03-04T05:06:07Z","ref_type":"bounty_prizes","amount":"1234.50",`+
			`"balance":"99887766.55","description":"[r] got bounty prizes for killing pirates in Jita","first_party_id":1000125,"second_party_id":%d}]}`, n, character),
	}
}

// BenchmarkAppend appends from many callers, each event of another of 10,000
// streams.
func BenchmarkAppend(b *testing.B) {
	cluster := embedded(b, kfake.SeedTopics(12, event.Topics()...))
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(b, err)
	defer func() { require.NoError(b, a.Close()) }()
	for _, perCall := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("%d a call", perCall), func(b *testing.B) {
			var n atomic.Int64
			b.SetParallelism(max(1, 1024/perCall))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for more := true; more; {
					events := make([]event.Event, 0, perCall)
					for len(events) < perCall {
						if more = pb.Next(); !more {
							break
						}
						i := n.Add(1)
						events = append(events, sample(90000000+i%10000, i))
					}
					if err := a.Append(context.Background(), events...); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkReplay reads a log from its start and decodes every envelope.
func BenchmarkReplay(b *testing.B) {
	const size = 200_000
	cluster := embedded(b, kfake.SeedTopics(12, event.Topics()...))
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(b, err)
	defer func() { require.NoError(b, a.Close()) }()
	events := make([]event.Event, size)
	for i := range events {
		events[i] = sample(90000000+int64(i)%10000, int64(i))
	}
	require.NoError(b, a.Append(b.Context(), events...))
	for _, decode := range []bool{false, true} {
		b.Run(fmt.Sprintf("decode=%t", decode), func(b *testing.B) {
			b.ReportAllocs()
			read := 0
			for read < b.N {
				from := make(map[eventlog.Partition]int64)
				for p := range int32(12) {
					from[eventlog.Partition{Topic: event.TopicEVE, ID: p}] = 0
				}
				c, err := eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: cluster.ListenAddrs()}, from)
				require.NoError(b, err)
				for n := 0; n < size && read < b.N; {
					records, err := c.Poll(b.Context(), 10_000)
					require.NoError(b, err)
					for _, r := range records {
						if decode {
							if _, err := r.Event(); err != nil {
								b.Fatal(err)
							}
						}
					}
					n += len(records)
					read += len(records)
				}
				c.Close()
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRecordEvent decodes the envelope of one record.
func BenchmarkRecordEvent(b *testing.B) {
	e := sample(90000001, 1)
	e.Recorded = e.Time
	r := eventlog.Record{Key: e.Key(), Headers: e.Headers(), Value: e.Data}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Event(); err != nil {
			b.Fatal(err)
		}
	}
}
