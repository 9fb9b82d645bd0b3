package eventlog

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
)

func TestPartitionerLooksAtTheStreamOnly(t *testing.T) {
	for range 100 {
		e := section(90000001)
		p, err := streamPartitioner{}.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(e.Key())}, 12)
		require.NoError(t, err)
		require.Equal(t, PartitionOf(e.Stream, 12), p)
	}
	_, err := streamPartitioner{}.Partition(&sarama.ProducerMessage{}, 12)
	require.Error(t, err, "a record without a key could lie anywhere")
}

func TestUnmarshalKeepsAnEventWhole(t *testing.T) {
	e := section(5)
	e.Recorded = time.Now().UTC()
	e.Time = e.Time.UTC()
	m, err := recordUnmarshaler{}.Unmarshal(asConsumed(e))
	require.NoError(t, err)
	got, err := recorded(m.Copy())
	require.NoError(t, err, "a copy loses nothing")
	require.Equal(t, event.Recorded{Event: e, Position: event.Position{Topic: "t", Partition: 3, Offset: 9}}, got)
}

func TestUnmarshalIsNotFooledByForeignMetadata(t *testing.T) {
	e := section(5)
	r := asConsumed(e)
	for _, name := range []string{metaUndecodable, metaTopic, metaPartition, metaOffset, metaKey} {
		r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(name), Value: []byte("1")})
	}
	m, err := recordUnmarshaler{}.Unmarshal(r)
	require.NoError(t, err)
	got, err := recorded(m)
	require.NoError(t, err)
	require.Equal(t, event.Position{Topic: "t", Partition: 3, Offset: 9}, got.Position)
}

func TestUnmarshalTakesTheLastOfRepeatedHeaders(t *testing.T) {
	e := section(5)
	r := asConsumed(e)
	r.Headers = append(r.Headers,
		&sarama.RecordHeader{Key: []byte("CE_Actor"), Value: []byte("first")},
		&sarama.RecordHeader{Key: []byte("ce_actor"), Value: []byte("last")})
	for range 20 {
		m, err := recordUnmarshaler{}.Unmarshal(r)
		require.NoError(t, err)
		got, err := recorded(m)
		require.NoError(t, err)
		require.Equal(t, "last", got.Actor)
	}
}

func asConsumed(e event.Event) *sarama.ConsumerMessage {
	r := &sarama.ConsumerMessage{Topic: "t", Partition: 3, Offset: 9, Key: []byte(e.Key()), Value: e.Data}
	for _, h := range e.Headers() {
		r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(h.Name), Value: []byte(h.Value)})
	}
	return r
}

func TestPoisonOfARecordWithoutKeyGetsItsPositionAsKey(t *testing.T) {
	m, err := recordUnmarshaler{}.Unmarshal(&sarama.ConsumerMessage{Topic: "t", Partition: 3, Offset: 9, Value: []byte("x")})
	require.NoError(t, err)
	m.Metadata.Set("long", string(bytes.Repeat([]byte("x"), 1<<20)))
	r, err := poisonMarshaler{}.Marshal("poison", m)
	require.NoError(t, err)
	require.Equal(t, sarama.StringEncoder("t/3@9"), r.Key)
	require.Equal(t, sarama.ByteEncoder("x"), r.Value)
	for i, h := range r.Headers {
		require.LessOrEqual(t, len(h.Value), maxPoisonHeader+3)
		if i > 0 {
			require.Negative(t, bytes.Compare(r.Headers[i-1].Key, h.Key), "headers stand in the order of their names")
		}
	}
}

// FuzzRecord feeds keys, headers and values as any client might write them to
// both ways of reading a record.
func FuzzRecord(f *testing.F) {
	e := section(90000001)
	e.Recorded = e.Time
	f.Add([]byte(e.Key()), packHeaders(e.Headers()), e.Data, false)
	tombstone := event.Tombstone(event.Org, e.ID, e.Time, event.Expiry{Policy: "history", CutOff: e.Time})
	f.Add([]byte(tombstone.Key()), packHeaders(tombstone.Headers()), []byte{}, true)
	f.Add([]byte{}, []byte{0xff}, []byte("x"), false)
	f.Fuzz(func(t *testing.T, key, packed, value []byte, null bool) {
		if null {
			value = nil
		}
		headers := unpackHeaders(packed)
		theirs := &kgo.Record{Topic: "t", Partition: 3, Offset: 9, Key: key, Value: value}
		consumed := &sarama.ConsumerMessage{Topic: "t", Partition: 3, Offset: 9, Key: key, Value: value}
		for _, h := range headers {
			theirs.Headers = append(theirs.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
			consumed.Headers = append(consumed.Headers, &sarama.RecordHeader{Key: []byte(h.Name), Value: []byte(h.Value)})
		}

		record := newRecordMaker(len(headers)).make(theirs)
		require.Equal(t, string(key), record.Key)
		require.Len(t, record.Headers, len(headers))
		for i := range headers {
			require.Equal(t, headers[i], record.Headers[i])
		}
		require.Equal(t, value == nil, record.Value == nil)
		read, err := record.Recorded()
		if err != nil {
			require.Equal(t, event.CodePoisoned, event.CodeOf(err))
		} else {
			require.Equal(t, string(key), read.Key())
			require.Equal(t, value == nil, read.IsTombstone())
		}

		m, failed := recordUnmarshaler{}.Unmarshal(consumed)
		require.NoError(t, failed, "an error would make watermill read the record for ever")
		got, again := recorded(m)
		require.Equal(t, err == nil, again == nil, "both ways agree: %v, %v", err, again)
		if err == nil {
			require.Equal(t, read.Event, got.Event)
		} else {
			require.Equal(t, event.CodePoisoned, event.CodeOf(again))
		}
		require.Equal(t, record.Position, got.Position)
		_, failed = poisonMarshaler{}.Marshal("poison", m)
		require.NoError(t, failed)
	})
}

// packHeaders writes headers as lengths and texts, for the fuzzer to vary.
func packHeaders(headers []event.Header) []byte {
	var packed []byte
	for _, h := range headers {
		for _, s := range []string{h.Name, h.Value} {
			packed = binary.AppendUvarint(packed, uint64(len(s)))
			packed = append(packed, s...)
		}
	}
	return packed
}

func unpackHeaders(packed []byte) []event.Header {
	next := func() string {
		n, size := binary.Uvarint(packed)
		if size <= 0 {
			packed = nil
			return ""
		}
		packed = packed[size:]
		n = min(n, uint64(len(packed)))
		s := string(packed[:n])
		packed = packed[n:]
		return s
	}
	var headers []event.Header
	for len(packed) > 0 && len(headers) < 100 {
		headers = append(headers, event.Header{Name: next(), Value: next()})
	}
	return headers
}
