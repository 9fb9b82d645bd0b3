package eventlog_test

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Two facts about a character are appended, and read from the position that a
// read model would have kept.
func Example() {
	ctx := context.Background()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	manifest := eventlog.DefaultManifest()
	if err := manifest.Ensure(ctx, broker.ListenAddrs(), eventlog.Security{}); err != nil {
		fmt.Println(err)
		return
	}

	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: broker.ListenAddrs()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer appender.Close()
	pilot := event.Character(90000001)
	fact := event.Event{
		ID:     uuid.New(),
		Type:   "muster.eve.character.registered.v1",
		Stream: pilot,
		Time:   time.Now(),
		Data:   []byte(`{"owner":"7"}`),
	}
	shared := fact
	shared.ID, shared.Type, shared.Data = uuid.New(), "muster.eve.character.shared.v1", []byte(`{}`)
	if err := appender.Append(ctx, fact, shared); err != nil {
		fmt.Println(err)
		return
	}

	p := eventlog.Partition{Topic: event.TopicEVE, ID: eventlog.PartitionOf(pilot, manifest.Partitions)}
	consumer, err := eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: broker.ListenAddrs()}, map[eventlog.Partition]int64{p: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer consumer.Close()
	records, err := consumer.Poll(ctx, 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range records {
		e, err := r.Event()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Position, e.Type)
	}
	// Output: muster.eve.v1/2@1 muster.eve.character.shared.v1
}
