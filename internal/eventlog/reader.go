package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
)

// ReaderConfig says how a [Reader] reads.
type ReaderConfig struct {
	// Brokers are the addresses to begin with.
	Brokers []string
	// Security is how they are spoken with; the zero value in the open.
	Security Security
	// ClientID is the name brokers know the client by; default "muster".
	ClientID string
	// Patience is how long a read waits for the next record before it fails;
	// default 30 s.
	Patience time.Duration
	// Logger is for what nobody is told otherwise; default discards.
	Logger *slog.Logger
}

// Reader reads parts of the log that are already written: ranges, streams and
// single positions. It is safe for concurrent use.
type Reader struct {
	cfg    ReaderConfig
	client *kgo.Client
	admin  *kadm.Client
}

// NewReader makes a reader; the brokers are not contacted yet. [Reader.Close]
// must be called in the end.
func NewReader(cfg ReaderConfig) (*Reader, error) {
	if len(cfg.Brokers) == 0 {
		return nil, event.Errorf(event.CodeInvalid, "reader: no Kafka brokers are configured")
	}
	if cfg.ClientID == "" {
		cfg.ClientID = defaultClientID
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := kgo.NewClient(baseOptions(cfg.Brokers, cfg.Security, cfg.ClientID, cfg.Logger)...)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "opening a reader of brokers %s: %w", strings.Join(cfg.Brokers, ","), err)
	}
	return &Reader{cfg: cfg, client: client, admin: kadm.NewClient(client)}, nil
}

// Close disconnects. Reads that are under way are not affected.
func (r *Reader) Close() { r.client.Close() }

// Ping tells whether the brokers answer; [event.CodeUnavailable] if not.
func (r *Reader) Ping(ctx context.Context) error {
	if err := r.client.Ping(ctx); err != nil {
		return event.Errorf(event.CodeUnavailable, "reaching Kafka: %w", err)
	}
	return nil
}

// Ends tells, for every partition of the topics, which offsets its log holds.
func (r *Reader) Ends(ctx context.Context, topics ...string) (map[Partition]Span, error) {
	return listEnds(ctx, r.admin, topics...)
}

// ReadRange calls fn with every record from offset from up to, but without,
// offset to, in order. What lies outside of the log when it is called is left
// out; offsets that compaction has emptied are passed over. It stops at fn's
// first error and returns it as it is.
func (r *Reader) ReadRange(ctx context.Context, p Partition, from, to int64, fn func(Record) error) error {
	ends, err := r.Ends(ctx, p.Topic)
	if err != nil {
		return err
	}
	have, ok := ends[p]
	if !ok {
		return noPartition(p)
	}
	from, to = max(from, have.Start), min(to, have.End)
	if from >= to {
		return nil
	}
	c, err := r.consumer(map[Partition]int64{p: from}, 1<<20)
	if err != nil {
		return err
	}
	defer c.Close()
	for c.next[p] < to {
		records, err := r.poll(ctx, c)
		if err != nil {
			return fmt.Errorf("reading %s from offset %d to %d: %w", p, from, to, err)
		}
		for _, rec := range records {
			if rec.Offset >= to {
				return nil
			}
			if err := fn(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadStream calls fn with every record of a stream that lies at or behind
// offset from of the stream's partition, up to the end that the log has when it
// is called. The partition holds other streams, too, and is read as a whole.
func (r *Reader) ReadStream(ctx context.Context, topic string, stream event.Stream, from int64, fn func(Record) error) error {
	ends, err := r.Ends(ctx, topic)
	if err != nil {
		return err
	}
	p := Partition{topic, PartitionOf(stream, int32(len(ends)))}
	prefix := string(stream) + "/"
	return r.ReadRange(ctx, p, from, ends[p].End, func(rec Record) error {
		if !strings.HasPrefix(rec.Key, prefix) {
			return nil
		}
		return fn(rec)
	})
}

// near is how many offsets are rather read through than jumped over.
const near = 500

// ReadAt reads the records at the given positions. A position without a record,
// because compaction has removed it or nothing was written there yet, is
// missing in the result.
func (r *Reader) ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]Record, error) {
	wanted := make(map[Partition][]int64)
	for _, at := range positions {
		p := Partition{at.Topic, at.Partition}
		wanted[p] = append(wanted[p], at.Offset)
	}
	found := make(map[event.Position]Record, len(positions))
	for p, offsets := range wanted {
		slices.Sort(offsets)
		if err := r.readOffsets(ctx, p, offsets, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// readOffsets adds the records at the sorted offsets of one partition to found.
func (r *Reader) readOffsets(ctx context.Context, p Partition, offsets []int64, found map[event.Position]Record) error {
	ends, err := r.Ends(ctx, p.Topic)
	if err != nil {
		return err
	}
	have, ok := ends[p]
	if !ok {
		return noPartition(p)
	}
	offsets = slices.DeleteFunc(offsets, func(o int64) bool { return o < have.Start || o >= have.End })
	if len(offsets) == 0 {
		return nil
	}
	c, err := r.consumer(map[Partition]int64{p: offsets[0]}, 128<<10)
	if err != nil {
		return err
	}
	defer c.Close()
	for len(offsets) > 0 {
		records, err := r.poll(ctx, c)
		if err != nil {
			return fmt.Errorf("reading %s at offset %d: %w", p, offsets[0], err)
		}
		for _, rec := range records {
			if _, hit := slices.BinarySearch(offsets, rec.Offset); hit {
				found[rec.Position] = rec
			}
		}
		// What was passed without being met is a hole.
		offsets = offsets[lowerBound(offsets, c.next[p]):]
		if len(offsets) > 0 && offsets[0] > c.next[p]+near {
			c.seek(p, offsets[0])
		}
	}
	return nil
}

func lowerBound(sorted []int64, offset int64) int {
	i, _ := slices.BinarySearch(sorted, offset)
	return i
}

func (r *Reader) consumer(offsets map[Partition]int64, partitionBytes int32) (*Consumer, error) {
	return NewConsumer(ConsumerConfig{
		Brokers: r.cfg.Brokers, Security: r.cfg.Security, ClientID: r.cfg.ClientID, Logger: r.cfg.Logger, PartitionBytes: partitionBytes,
	}, offsets)
}

// poll fails if nothing comes for long: the callers only wait for records that
// the brokers said are there.
func (r *Reader) poll(ctx context.Context, c *Consumer) ([]Record, error) {
	waiting, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	records, err := c.step(waiting, 0)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, event.Errorf(event.CodeUnavailable, "no record came within %s", r.cfg.Patience)
	}
	return records, err
}

// CommitLag tells Kafka how far a reader that keeps its own positions has come,
// so that Kafka's tools can show its lag. The offsets are those that will be
// read next. Muster itself never reads them back.
func (r *Reader) CommitLag(ctx context.Context, group string, next map[Partition]int64) error {
	offsets := make(kadm.Offsets)
	for p, offset := range next {
		offsets.AddOffset(p.Topic, p.ID, offset, -1)
	}
	if err := r.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return event.Errorf(event.CodeUnavailable, "committing the offsets of group %s for display: %w", group, err)
	}
	return nil
}
