package backup

import (
	"bytes"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// drawRecords draws records of one partition, with holes between them.
func drawRecords(t *rapid.T) []eventlog.Record {
	offset := rapid.Int64Range(0, 1<<40).Draw(t, "first")
	records := make([]eventlog.Record, rapid.IntRange(0, 20).Draw(t, "count"))
	for i := range records {
		rec := eventlog.Record{
			Position:  event.Position{Topic: event.TopicEVE, Partition: 3, Offset: offset},
			Key:       rapid.String().Draw(t, "key"),
			Timestamp: time.UnixMilli(rapid.Int64Range(-1, 1<<42).Draw(t, "time")).UTC(),
		}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			rec.Headers = append(rec.Headers, event.Header{Name: rapid.String().Draw(t, "name"), Value: rapid.String().Draw(t, "text")})
		}
		if rapid.Bool().Draw(t, "value") {
			rec.Value = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
		}
		records[i] = rec
		offset += rapid.Int64Range(1, 1000).Draw(t, "step")
	}
	return records
}

func pack(t require.TestingT, from int64, records []eventlog.Record) []byte {
	w, err := newSegmentWriter(segmentHead{Topic: event.TopicEVE, Partition: 3, From: from})
	require.NoError(t, err)
	for i := range records {
		require.NoError(t, w.add(&records[i]))
	}
	data, err := w.finish()
	require.NoError(t, err)
	return data
}

func unpack(data []byte) ([]eventlog.Record, error) {
	var got []eventlog.Record
	_, err := readSegment(bytes.NewReader(data), func(_ segmentHead, rec eventlog.Record) error {
		got = append(got, rec)
		return nil
	})
	return got, err
}

func TestASegmentGivesBackWhatWasPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		var from int64
		if len(records) > 0 {
			from = records[0].Offset - min(records[0].Offset, rapid.Int64Range(0, 50).Draw(t, "before"))
		}
		got, err := unpack(pack(t, from, records))
		require.NoError(t, err)
		require.Len(t, got, len(records))
		for i, rec := range records {
			require.Equal(t, rec, got[i])
		}
	})
}

func TestASegmentThatWasCutOffIsRefused(t *testing.T) {
	records := []eventlog.Record{
		{Position: event.Position{Topic: event.TopicEVE, Partition: 3, Offset: 7}, Key: "a/1", Value: []byte(`{"a":1}`), Timestamp: time.UnixMilli(5).UTC()},
		{Position: event.Position{Topic: event.TopicEVE, Partition: 3, Offset: 9}, Key: "a/2", Timestamp: time.UnixMilli(6).UTC()},
	}
	data := pack(t, 0, records)
	for n := range data {
		_, err := unpack(data[:n])
		require.Equal(t, event.CodePoisoned, event.CodeOf(err), "%d of %d bytes", n, len(data))
	}
}

func TestAnEmptyValueIsNoTombstone(t *testing.T) {
	at := event.Position{Topic: event.TopicEVE, Partition: 3, Offset: 1}
	got, err := unpack(pack(t, 1, []eventlog.Record{{Position: at, Value: []byte{}, Timestamp: time.UnixMilli(0).UTC()}}))
	require.NoError(t, err)
	require.NotNil(t, got[0].Value)
	require.Empty(t, got[0].Value)
}

func FuzzReadSegment(f *testing.F) {
	unzip, err := zstd.NewReader(nil)
	require.NoError(f, err)
	f.Cleanup(unzip.Close)
	plain, err := unzip.DecodeAll(pack(f, 0, []eventlog.Record{
		{Position: event.Position{Topic: event.TopicEVE, Partition: 3, Offset: 7}, Key: "a/1", Headers: []event.Header{{Name: "ce_id", Value: "1"}}, Value: []byte(`{}`), Timestamp: time.UnixMilli(5).UTC()},
	}), nil)
	require.NoError(f, err)
	f.Add(plain)
	f.Add([]byte("{\"format\":1,\"topic\":\"x\",\"partition\":0,\"from\":0}\n\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		zip, err := zstd.NewWriter(nil)
		require.NoError(t, err)
		data := zip.EncodeAll(plain, nil)
		require.NoError(t, zip.Close())
		var records []eventlog.Record
		head, err := readSegment(bytes.NewReader(data), func(_ segmentHead, rec eventlog.Record) error {
			records = append(records, rec)
			return nil
		})
		if err != nil {
			require.Equal(t, event.CodePoisoned, event.CodeOf(err))
			return
		}
		for i, rec := range records {
			require.GreaterOrEqual(t, rec.Offset, head.From)
			if i > 0 {
				require.Greater(t, rec.Offset, records[i-1].Offset)
			}
		}
		// Not compressed already, it is refused or read to its end, too.
		_, _ = unpack(plain)
	})
}
