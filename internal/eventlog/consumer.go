package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
)

// ConsumerConfig says how a [Consumer] reads.
type ConsumerConfig struct {
	// Brokers are the addresses to begin with.
	Brokers []string
	// Security is how they are spoken with; the zero value in the open.
	Security Security
	// ClientID is the name brokers know the client by; default "muster".
	ClientID string
	// FetchBytes bounds what one broker sends at a time, as stored, which takes
	// several times as much in memory; default 2 MiB. A single larger batch still
	// arrives.
	FetchBytes int32
	// PartitionBytes bounds what is sent of one partition at a time; default
	// 512 KiB.
	PartitionBytes int32
	// OnSkip is called when the log begins behind the position a partition was
	// to be read from: the records from skipped up to resumed are no longer
	// there, and reading goes on at resumed. It must not call the consumer.
	// Compaction never causes this on Apache Kafka, but does on the embedded
	// broker, where the log's start moves to the first record that is left.
	OnSkip func(p Partition, skipped, resumed int64)
	// Logger is for what nobody is told otherwise; default discards.
	Logger *slog.Logger
}

func (c ConsumerConfig) withDefaults() ConsumerConfig {
	if c.ClientID == "" {
		c.ClientID = defaultClientID
	}
	if c.FetchBytes == 0 {
		c.FetchBytes = 2 << 20
	}
	if c.PartitionBytes == 0 {
		c.PartitionBytes = 512 << 10
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports a configuration that cannot work, as [event.CodeInvalid].
func (c ConsumerConfig) Validate() error {
	if len(c.Brokers) == 0 {
		return event.Errorf(event.CodeInvalid, "consumer: no Kafka brokers are configured")
	}
	if c.FetchBytes < 0 || c.PartitionBytes < 0 {
		return event.Errorf(event.CodeInvalid, "consumer: fetching %d bytes and %d of a partition: neither may be negative", c.FetchBytes, c.PartitionBytes)
	}
	return nil
}

// Consumer reads given partitions from given offsets on. It belongs to no
// consumer group and keeps no offsets: whoever folds the records keeps the
// position together with the result. It reconnects by itself when brokers go
// away and come back.
//
// Poll and Close must be called by one goroutine at a time; Pause and Resume
// may be called at any time.
type Consumer struct {
	client *kgo.Client
	admin  *kadm.Client
	cfg    ConsumerConfig
	// next is the offset that each partition is to be read from.
	next map[Partition]int64
	// checked tells that all partitions were found to be there.
	checked bool
	// failed is an error that came together with records; the next Poll
	// returns it.
	failed error
}

// NewConsumer makes a consumer of the partitions that are the keys of offsets,
// each from its offset on. An offset in a hole that compaction left is fine.
// The brokers are not contacted before the first Poll, which fails with
// [event.CodeNotFound] if there is no such partition and may be tried again if
// the brokers are away.
func NewConsumer(cfg ConsumerConfig, offsets map[Partition]int64) (*Consumer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	next := make(map[Partition]int64, len(offsets))
	start := make(map[string]map[int32]kgo.Offset)
	for p, offset := range offsets {
		if offset < 0 {
			return nil, event.Errorf(event.CodeInvalid, "consumer: partition %s cannot be read from offset %d", p, offset)
		}
		next[p] = offset
		addOffset(start, p, offset)
	}
	client, err := kgo.NewClient(append(baseOptions(cfg.Brokers, cfg.Security, cfg.ClientID, cfg.Logger),
		kgo.ConsumePartitions(start),
		// What to do with an offset that is not there is decided here, with
		// notice, and not in the client.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// Markers of foreign transactions take offsets, too.
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(cfg.FetchBytes),
		kgo.FetchMaxPartitionBytes(cfg.PartitionBytes),
		kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "opening a consumer of brokers %s: %w", strings.Join(cfg.Brokers, ","), err)
	}
	return &Consumer{client: client, admin: kadm.NewClient(client), cfg: cfg, next: next}, nil
}

func addOffset(to map[string]map[int32]kgo.Offset, p Partition, offset int64) {
	if to[p.Topic] == nil {
		to[p.Topic] = make(map[int32]kgo.Offset)
	}
	to[p.Topic][p.ID] = kgo.NewOffset().At(offset)
}

// Poll waits until there are records and returns up to maxRecords of them, all
// that are at hand if it is not positive. The records of a partition stand
// together, in the order of their offsets; offsets may have gaps.
//
// It returns ctx's error when that ends first. A position behind the end of the
// log is [event.CodeConflict]: the log was replaced or has lost records, and
// reading on would hide that. Any other error that retrying does not mend is
// [event.CodeUnavailable]. After an error the partitions concerned are no
// longer read; close the consumer.
func (c *Consumer) Poll(ctx context.Context, maxRecords int) ([]Record, error) {
	for {
		records, err := c.step(ctx, maxRecords)
		if len(records) > 0 || err != nil {
			return records, err
		}
	}
}

// step is one turn of Poll. It may come back without records, when all it did
// was to move a position on.
func (c *Consumer) step(ctx context.Context, maxRecords int) ([]Record, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	if !c.checked {
		if err := c.check(ctx); err != nil {
			return nil, err
		}
	}
	fetches := c.client.PollRecords(ctx, maxRecords)
	records := c.take(fetches)
	c.failed = c.settle(ctx, fetches)
	if len(records) > 0 {
		return records, nil
	}
	if c.failed != nil {
		return nil, c.failed
	}
	return nil, ctx.Err()
}

// take converts the fetched records and moves the positions on.
func (c *Consumer) take(fetches kgo.Fetches) []Record {
	total, headers := 0, 0
	fetches.EachRecord(func(r *kgo.Record) {
		total++
		headers += len(r.Headers)
	})
	if total == 0 {
		return nil
	}
	records := make([]Record, 0, total)
	maker := newRecordMaker(headers)
	sorted := true
	fetches.EachRecord(func(r *kgo.Record) {
		p := Partition{r.Topic, r.Partition}
		if r.Offset < c.next[p] {
			return
		}
		c.next[p] = r.Offset + 1
		if r.Attrs.IsControl() {
			return
		}
		rec := maker.make(r)
		if n := len(records); n > 0 && comparePartition(records[n-1], rec) > 0 {
			sorted = false
		}
		records = append(records, rec)
	})
	if !sorted {
		// Several brokers answered: bring together what belongs together.
		slices.SortStableFunc(records, comparePartition)
	}
	return records
}

func comparePartition(a, b Record) int {
	if a.Topic != b.Topic {
		return strings.Compare(a.Topic, b.Topic)
	}
	return int(a.Position.Partition) - int(b.Position.Partition)
}

// settle deals with the errors of a fetch: positions that are out of range are
// mended or refused, the end of ctx is left to the caller.
func (c *Consumer) settle(ctx context.Context, fetches kgo.Fetches) error {
	for _, f := range fetches.Errors() {
		p := Partition{f.Topic, f.Partition}
		switch {
		case ctx.Err() != nil && errors.Is(f.Err, ctx.Err()):
		case errors.Is(f.Err, kgo.ErrClientClosed):
			return event.Errorf(event.CodeUnavailable, "polling: the consumer is closed")
		case errors.Is(f.Err, kerr.OffsetOutOfRange):
			if err := c.reposition(ctx, p); err != nil {
				return err
			}
		case isDataLoss(f.Err):
			return event.Errorf(event.CodeConflict, "reading %s: the log has lost records that were read before; rebuild what was folded from it: %w", p, f.Err)
		default:
			return event.Errorf(event.CodeUnavailable, "reading %s from offset %d: %w", p, c.next[p], f.Err)
		}
	}
	return nil
}

func isDataLoss(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss)
}

// check finds positions that are not in the log before the first records are
// read. Of a partition that is not there, Kafka would never send anything.
func (c *Consumer) check(ctx context.Context) error {
	topics := make(map[string]bool)
	for p := range c.next {
		topics[p.Topic] = true
	}
	if len(topics) > 0 {
		ends, err := listEnds(ctx, c.admin, slices.Sorted(maps.Keys(topics))...)
		if err != nil {
			return err
		}
		for p, at := range c.next {
			begin, err := c.within(p, at, ends)
			if err != nil {
				return err
			}
			if begin != at {
				c.seek(p, begin)
			}
		}
	}
	c.checked = true
	return nil
}

// reposition makes a partition be read again whose position was out of range.
func (c *Consumer) reposition(ctx context.Context, p Partition) error {
	ends, err := listEnds(ctx, c.admin, p.Topic)
	if err != nil {
		return err
	}
	at, err := c.within(p, c.next[p], ends)
	if err != nil {
		return err
	}
	c.seek(p, at)
	return nil
}

// within is the position itself, or the start of a log that begins behind it.
func (c *Consumer) within(p Partition, at int64, ends map[Partition]Span) (int64, error) {
	have, ok := ends[p]
	switch {
	case !ok:
		return 0, noPartition(p)
	case at > have.End:
		return 0, event.Errorf(event.CodeConflict, "reading %s from offset %d: its log ends at %d; the log was replaced or has lost records, so rebuild what was folded from it", p, at, have.End)
	case at < have.Start:
		c.cfg.Logger.Warn("the log begins behind the position: going on at its start",
			"partition", p.String(), "position", at, "start", have.Start)
		if c.cfg.OnSkip != nil {
			c.cfg.OnSkip(p, at, have.Start)
		}
		return have.Start, nil
	}
	return at, nil
}

func noPartition(p Partition) error {
	return event.Errorf(event.CodeNotFound, "reading %s: the topic has no such partition", p)
}

// seek makes a partition be read from another offset, also after its reading
// has failed.
func (c *Consumer) seek(p Partition, offset int64) {
	c.next[p] = offset
	c.client.RemoveConsumePartitions(map[string][]int32{p.Topic: {p.ID}})
	start := make(map[string]map[int32]kgo.Offset)
	addOffset(start, p, offset)
	c.client.AddConsumePartitions(start)
}

// Pause stops reading the partitions until Resume. Records that have arrived
// before may still be returned by Poll.
func (c *Consumer) Pause(partitions ...Partition) {
	c.client.PauseFetchPartitions(byTopic(partitions))
}

// Resume goes on reading partitions that were paused.
func (c *Consumer) Resume(partitions ...Partition) {
	c.client.ResumeFetchPartitions(byTopic(partitions))
}

func byTopic(partitions []Partition) map[string][]int32 {
	topics := make(map[string][]int32)
	for _, p := range partitions {
		topics[p.Topic] = append(topics[p.Topic], p.ID)
	}
	return topics
}

// Close disconnects. It may be called more than once.
func (c *Consumer) Close() { c.client.Close() }

// Span is the part of a partition's offsets that its log holds: from Start up
// to, but without, End. Not every offset in it need have a record.
type Span struct{ Start, End int64 }

// Len is how many offsets the span has.
func (s Span) Len() int64 { return s.End - s.Start }

func listEnds(ctx context.Context, admin *kadm.Client, topics ...string) (map[Partition]Span, error) {
	starts, err := listed(admin.ListStartOffsets(ctx, topics...))
	if err != nil {
		return nil, fmt.Errorf("listing where %s begin: %w", strings.Join(topics, ", "), err)
	}
	ends, err := listed(admin.ListEndOffsets(ctx, topics...))
	if err != nil {
		return nil, fmt.Errorf("listing where %s end: %w", strings.Join(topics, ", "), err)
	}
	spans := make(map[Partition]Span)
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		spans[Partition{o.Topic, o.Partition}] = Span{Start: start.Offset, End: o.Offset}
	})
	return spans, nil
}

// listed codes the error of listing offsets, as a whole or of one partition.
func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = offsets.Error()
	}
	switch {
	case err == nil:
		return offsets, nil
	case isContextError(err):
		return nil, err
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return nil, event.Errorf(event.CodeNotFound, "no such topic: %w", err)
	default:
		return nil, event.Errorf(event.CodeUnavailable, "asking Kafka: %w", err)
	}
}
