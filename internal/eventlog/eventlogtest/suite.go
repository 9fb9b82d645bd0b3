// Package eventlogtest is the conformance suite of the log: what package
// eventlog promises, checked against whatever broker is given to it.
package eventlogtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Backend is the broker that the suite runs against. The topics of the log are
// created by the suite and must not be there before.
type Backend struct {
	// Brokers are the addresses.
	Brokers []string
	// Compact forces compaction, on a broker that can be forced; nil for one
	// that compacts by itself within seconds once it may.
	Compact func()
	// RefusesKeyless tells that the broker refuses records without a key on
	// compacted topics.
	RefusesKeyless bool
}

// partitions is the partition count of the suite's topics.
const partitions = 4

// source is the Source of the suite's events.
const source = "muster/eventlogtest"

// policy is the retention policy that the suite's tombstones name.
const policy = "history"

// testType is the type of the suite's events.
const testType event.Type = "muster.eve.section.observed.v1"

// deadline is for whatever must come about; far longer than it takes.
const deadline = 90 * time.Second

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	s := &suite{Backend: b}
	manifest := Manifest()
	require.NoError(t, manifest.Ensure(t.Context(), b.Brokers, eventlog.Security{}))
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"manifest accepts what it made", s.manifestAcceptsItsOwn},
		{"manifest reports all deviations at once", s.manifestReportsDeviations},
		{"manifest refuses another partition count", s.manifestRefusesPartitionCount},
		{"round trip keeps every byte", s.roundTrip},
		{"tombstone is null, empty value is not", s.tombstoneIsNull},
		{"the largest event passes", s.largest},
		{"a stream keeps its order under concurrent appends", s.streamOrder},
		{"a stream lies where its name says", s.streamPlacement},
		{"foreign records are coded errors", s.foreignRecords},
		{"a range is read without its ends", s.readRange},
		{"positions are read one by one", s.readAt},
		{"a stream is read alone", s.readStream},
		{"a position behind the end is refused", s.positionBehindEnd},
		{"a paused partition waits", s.pause},
		{"lag is shown", s.commitLag},
		{"compaction removes what a tombstone names and nothing else", s.compaction},
		{"records go back to their offsets", s.restore},
		{"reactor gets a stream in order and all of it", s.reactorOrder},
		{"reactor is asked again after a failure", s.reactorRetry},
		{"reactor's poison is parked and passed", s.reactorPoison},
		{"reactor is given again what it did not finish", s.reactorRedelivery},
		{"reactor passes unknown types and tombstones", s.reactorUnknown},
	} {
		t.Run(test.name, test.run)
	}
}

// Manifest is what the suite sets the topics up with: times are so short that a
// real broker compacts within seconds.
func Manifest() eventlog.Manifest {
	m := eventlog.DefaultManifest()
	m.Partitions = partitions
	m.MinCompactionLag = 0
	m.MaxCompactionLag = time.Second
	m.Segment = time.Second
	return m
}

type suite struct{ Backend }

func (s *suite) appender(t *testing.T) *eventlog.Appender {
	t.Helper()
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: s.Brokers, Workers: 32})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

func (s *suite) reader(t *testing.T) *eventlog.Reader {
	t.Helper()
	r, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: s.Brokers})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// ends are the offsets at which the topic's partitions end now: what a test
// appends lies behind.
func (s *suite) ends(t *testing.T, topic string) map[eventlog.Partition]int64 {
	t.Helper()
	spans, err := s.reader(t).Ends(t.Context(), topic)
	require.NoError(t, err)
	ends := make(map[eventlog.Partition]int64)
	for p, span := range spans {
		ends[p] = span.End
	}
	return ends
}

// consume reads until n records have come.
func (s *suite) consume(t *testing.T, from map[eventlog.Partition]int64, n int) []eventlog.Record {
	t.Helper()
	c, err := eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: s.Brokers}, from)
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	var all []eventlog.Record
	for len(all) < n {
		records, err := c.Poll(ctx, 1000)
		require.NoError(t, err, "after %d of %d records", len(all), n)
		all = append(all, records...)
	}
	require.Len(t, all, n)
	return all
}

// newStream is a stream that no other test uses.
func newStream() event.Stream { return event.Consortium("test-" + uuid.NewString()) }

// numbered makes an event whose value is its number.
func numbered(s event.Stream, n int) event.Event {
	return event.Event{
		ID:     uuid.New(),
		Type:   testType,
		Source: source,
		Stream: s,
		Time:   time.Now(),
		Data:   fmt.Appendf(nil, `{"n":%d}`, n),
	}
}
