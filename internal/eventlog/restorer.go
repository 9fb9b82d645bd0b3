package eventlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/muster-sync/muster/domain/event"
)

// RestorerConfig says where a [Restorer] writes.
type RestorerConfig struct {
	// Brokers are the addresses to begin with.
	Brokers []string
	// Security is how they are spoken with; the zero value in the open.
	Security Security
	// ClientID is the name brokers know the client by; default "muster".
	ClientID string
	// Logger is for what nobody is told otherwise; default discards.
	Logger *slog.Logger
}

// Restorer writes records back to where they were: the same partition and the
// same offset, byte for byte. Brokers count offsets themselves and cannot be
// told one, so every offset that compaction had emptied is filled with a pulse
// (see [Appender.Pulse]), which no reader heeds and which compaction removes again.
//
// It must be the only writer of the log. It is not for concurrent use.
type Restorer struct {
	client     *kgo.Client
	admin      *kadm.Client
	next       map[Partition]int64
	partitions map[string]int32
	// pulses are the streams of the pulses that were needed so far.
	pulses map[Partition]event.Stream
}

// NewRestorer connects to the brokers and looks where the topics end. The topics
// must exist. [Restorer.Close] must be called in the end.
func NewRestorer(ctx context.Context, cfg RestorerConfig, topics ...string) (*Restorer, error) {
	if len(cfg.Brokers) == 0 {
		return nil, event.Errorf(event.CodeInvalid, "restorer: no Kafka brokers are configured")
	}
	if cfg.ClientID == "" {
		cfg.ClientID = defaultClientID
	}
	client, err := kgo.NewClient(append(baseOptions(cfg.Brokers, cfg.Security, cfg.ClientID, cfg.Logger),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(maxMessageBytes),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerLinger(0),
	)...)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "opening a restorer on brokers %s: %w", strings.Join(cfg.Brokers, ","), err)
	}
	r := &Restorer{client: client, admin: kadm.NewClient(client), next: map[Partition]int64{}, partitions: map[string]int32{}, pulses: map[Partition]event.Stream{}}
	ends, err := listEnds(ctx, r.admin, topics...)
	if err != nil {
		client.Close()
		return nil, err
	}
	for p, span := range ends {
		r.next[p] = span.End
		r.partitions[p.Topic]++
	}
	return r, nil
}

// Close disconnects.
func (r *Restorer) Close() { r.client.Close() }

// Next is the offset that the next record of a partition gets; false if there is
// no such partition.
func (r *Restorer) Next(p Partition) (int64, bool) {
	next, ok := r.next[p]
	return next, ok
}

// Put writes records of one partition at their offsets, which must ascend and
// lie at or behind [Restorer.Next], and returns when all in-sync replicas have
// them. It fails with [event.CodeConflict] if somebody else writes to the
// partition; what it wrote stays.
func (r *Restorer) Put(ctx context.Context, p Partition, records []Record) error {
	batch := make([]*kgo.Record, 0, len(records))
	next := r.next[p]
	for i := range records {
		rec := &records[i]
		if rec.Partition() != p || rec.Offset < next {
			return event.Errorf(event.CodeInvalid, "restoring %s: the record at %s comes after offset %d was reached", p, rec.Position, next)
		}
		for ; next < rec.Offset; next++ {
			if len(batch) >= fillChunk {
				if err := r.write(ctx, p, batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
			batch = append(batch, r.filler(p, rec.Timestamp))
		}
		batch = append(batch, restored(rec))
		next++
	}
	return r.write(ctx, p, batch)
}

// Fill writes pulses up to, but without, offset to. It does nothing if the
// partition is as long already.
func (r *Restorer) Fill(ctx context.Context, p Partition, to int64, at time.Time) error {
	for r.next[p] < to {
		n := min(to-r.next[p], fillChunk)
		batch := make([]*kgo.Record, 0, n)
		for range n {
			batch = append(batch, r.filler(p, at))
		}
		if err := r.write(ctx, p, batch); err != nil {
			return err
		}
	}
	return nil
}

// Append writes records behind the end of their partition, whatever their
// offsets were.
func (r *Restorer) Append(ctx context.Context, p Partition, records []Record) error {
	batch := make([]*kgo.Record, len(records))
	for i := range records {
		batch[i] = restored(&records[i])
		batch[i].Topic, batch[i].Partition = p.Topic, p.ID
	}
	return r.write(ctx, p, batch)
}

// fillChunk bounds how many records are handed to the client at once.
const fillChunk = 10_000

func (r *Restorer) write(ctx context.Context, p Partition, batch []*kgo.Record) error {
	for len(batch) > 0 {
		n := min(len(batch), fillChunk)
		// The client keeps the records of a partition in their order, also
		// when it has to send them again.
		for i, result := range r.client.ProduceSync(ctx, batch[:n]...) {
			if result.Err != nil {
				return event.Errorf(event.CodeUnavailable, "restoring %s: %w", p, result.Err)
			}
			if want := r.next[p] + int64(i); batch[i].Offset != want {
				return event.Errorf(event.CodeConflict, "restoring %s: a record went to offset %d instead of %d: something else writes to this log; stop it and restore into an empty log", p, batch[i].Offset, want)
			}
		}
		r.next[p] += int64(n)
		batch = batch[n:]
	}
	return nil
}

func restored(rec *Record) *kgo.Record {
	to := &kgo.Record{Topic: rec.Topic, Partition: rec.Position.Partition, Value: rec.Value, Timestamp: rec.Timestamp}
	if rec.Key != "" {
		to.Key = []byte(rec.Key)
	}
	for _, h := range rec.Headers {
		to.Headers = append(to.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
	}
	return to
}

func (r *Restorer) filler(p Partition, at time.Time) *kgo.Record {
	// A pulse has a time; a partition whose first record has none gets the epoch.
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	stream, ok := r.pulses[p]
	if !ok {
		stream = pulseStream(p.ID, r.partitions[p.Topic])
		r.pulses[p] = stream
	}
	pulse := event.Tombstone(stream, pulseID, at, event.Expiry{Policy: PulsePolicy, CutOff: at})
	pulse.Recorded = at.UTC()
	return restored(&Record{
		Position: event.Position{Topic: p.Topic, Partition: p.ID}, Key: pulse.Key(), Headers: pulse.Headers(), Timestamp: at,
	})
}

// Committed tells how far the consumer groups whose names begin with prefix have
// come: the offsets that they read next.
func (r *Reader) Committed(ctx context.Context, prefix string) (map[string]map[Partition]int64, error) {
	groups, err := r.admin.ListGroups(ctx)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "listing the consumer groups: %w", err)
	}
	found := map[string]map[Partition]int64{}
	for _, name := range groups.Groups() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		offsets, err := r.admin.FetchOffsets(ctx, name)
		if err != nil {
			return nil, event.Errorf(event.CodeUnavailable, "reading how far group %s has come: %w", name, err)
		}
		at := map[Partition]int64{}
		var failed error
		offsets.Each(func(o kadm.OffsetResponse) {
			if o.Err != nil {
				failed = fmt.Errorf("%s/%d: %w", o.Topic, o.Partition, o.Err)
				return
			}
			at[Partition{o.Topic, o.Partition}] = o.At
		})
		if failed != nil {
			return nil, event.Errorf(event.CodeUnavailable, "reading how far group %s has come: %w", name, failed)
		}
		if len(at) > 0 {
			found[name] = at
		}
	}
	return found, nil
}

// Settings tells how the topics are set up at the brokers: each setting that
// somebody has stated, by topic and Kafka's name.
func (r *Reader) Settings(ctx context.Context, topics ...string) (map[string]map[string]string, error) {
	_, configs, err := describe(ctx, r.admin, topics)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "reading the topics' settings: %w", err)
	}
	stated := map[string]map[string]string{}
	for topic, all := range configs {
		stated[topic] = map[string]string{}
		for _, c := range all {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				stated[topic][c.Key] = c.MaybeValue()
			}
		}
	}
	return stated, nil
}
