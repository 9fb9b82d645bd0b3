package backup

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// A segment is one zstd frame of a line of JSON, [segmentHead], and records one
// after the other. Numbers are varints as of package encoding/binary:
//
//	offset    unsigned, minus the one expected: the first is head.From
//	time      signed, milliseconds since the record before, the first since 1970
//	key       length and bytes; no key has length 0
//	headers   their count, then name and value of each, with lengths
//	value     0 for null, else its length plus one and its bytes
type segmentHead struct {
	Format    int    `json:"format"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
}

// Bounds of a segment. One is held in memory at a time, compressed.
const (
	segmentFormat  = 1
	segmentPacked  = 8 << 20
	segmentRaw     = 48 << 20
	maxPiece       = 32 << 20
	maxHeaders     = 1 << 12
	maxHead        = 4 << 10
	decoderMemory  = 64 << 20
	startOfSegment = 1 << 20
)

// segmentWriter packs the records of one partition.
type segmentWriter struct {
	head    segmentHead
	out     bytes.Buffer
	zip     *zstd.Encoder
	next    int64
	time    int64
	raw     int
	records int64
	scratch []byte
}

func newSegmentWriter(head segmentHead) (*segmentWriter, error) {
	head.Format = segmentFormat
	w := &segmentWriter{head: head, next: head.From}
	w.out.Grow(startOfSegment)
	var err error
	if w.zip, err = zstd.NewWriter(&w.out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true)); err != nil {
		return nil, fmt.Errorf("packing records: %w", err)
	}
	line, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encoding the head of a segment: %w", err)
	}
	w.scratch = append(append(w.scratch, line...), '\n')
	if err := w.flush(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *segmentWriter) flush() error {
	w.raw += len(w.scratch)
	_, err := w.zip.Write(w.scratch)
	w.scratch = w.scratch[:0]
	if err != nil {
		return fmt.Errorf("packing records: %w", err)
	}
	return nil
}

// add packs a record; its offset must be at or behind those before it.
func (w *segmentWriter) add(rec *eventlog.Record) error {
	if rec.Offset < w.next {
		return event.Errorf(event.CodeInternal, "BUG: the record at %s is packed behind offset %d", rec.Position, w.next)
	}
	w.scratch = appendRecord(w.scratch, rec, w.next, w.time)
	w.next, w.time = rec.Offset+1, rec.Timestamp.UnixMilli()
	w.records++
	return w.flush()
}

// appendRecord packs a record that follows on an offset and a time.
func appendRecord(b []byte, rec *eventlog.Record, next, at int64) []byte {
	b = binary.AppendUvarint(b, uint64(rec.Offset-next))
	b = binary.AppendVarint(b, rec.Timestamp.UnixMilli()-at)
	b = appendText(b, rec.Key)
	b = binary.AppendUvarint(b, uint64(len(rec.Headers)))
	for _, h := range rec.Headers {
		b = appendText(appendText(b, h.Name), h.Value)
	}
	if rec.Value == nil {
		return binary.AppendUvarint(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(rec.Value))+1), rec.Value...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// full tells that it is time for the next segment.
func (w *segmentWriter) full() bool { return w.out.Len() >= segmentPacked || w.raw >= segmentRaw }

// finish ends the segment and returns it.
func (w *segmentWriter) finish() ([]byte, error) {
	if err := w.zip.Close(); err != nil {
		return nil, fmt.Errorf("packing records: %w", err)
	}
	return w.out.Bytes(), nil
}

// readSegment calls fn with each record of a segment. It fails with
// [event.CodePoisoned] for what is no segment.
func readSegment(r io.Reader, fn func(head segmentHead, rec eventlog.Record) error) (segmentHead, error) {
	unzip, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(decoderMemory), zstd.WithDecoderMaxWindow(decoderMemory))
	if err != nil {
		return segmentHead{}, fmt.Errorf("unpacking records: %w", err)
	}
	defer unzip.Close()
	in := bufio.NewReaderSize(unzip, 64<<10)
	d := &segmentReader{in: in}
	head, err := d.readHead()
	if err != nil {
		return head, event.Errorf(event.CodePoisoned, "reading a segment: %w", err)
	}
	next, at := head.From, int64(0)
	for {
		if _, err := in.Peek(1); errors.Is(err, io.EOF) {
			return head, nil
		}
		rec, err := d.read(head, next, at)
		if err != nil {
			return head, event.Errorf(event.CodePoisoned, "reading the records of %s/%d behind offset %d: %w", head.Topic, head.Partition, next-1, err)
		}
		next, at = rec.Offset+1, rec.Timestamp.UnixMilli()
		if err := fn(head, rec); err != nil {
			return head, err
		}
	}
}

type segmentReader struct{ in *bufio.Reader }

func (d *segmentReader) readHead() (segmentHead, error) {
	var head segmentHead
	line, err := d.in.ReadSlice('\n')
	if err != nil || len(line) > maxHead {
		return head, errors.Join(errors.New("it does not begin with a line of JSON"), err)
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return head, fmt.Errorf("its first line is no JSON: %w", err)
	}
	switch {
	case head.Format != segmentFormat:
		return head, fmt.Errorf("its format is %d and this Muster reads %d", head.Format, segmentFormat)
	case head.Topic == "" || head.Partition < 0 || head.From < 0:
		return head, fmt.Errorf("its head names no partition and offset: %s", bytes.TrimSpace(line))
	}
	return head, nil
}

func (d *segmentReader) read(head segmentHead, next, at int64) (eventlog.Record, error) {
	var rec eventlog.Record
	skip, err := binary.ReadUvarint(d.in)
	if err != nil {
		return rec, truncated(err)
	}
	if skip > 1<<62 || next+int64(skip) < next {
		return rec, fmt.Errorf("an offset %d further on cannot be", skip)
	}
	since, err := binary.ReadVarint(d.in)
	if err != nil {
		return rec, truncated(err)
	}
	rec.Position = event.Position{Topic: head.Topic, Partition: head.Partition, Offset: next + int64(skip)}
	rec.Timestamp = time.UnixMilli(at + since).UTC()
	key, err := d.piece(0)
	if err != nil {
		return rec, err
	}
	rec.Key = string(key)
	count, err := binary.ReadUvarint(d.in)
	if err != nil {
		return rec, truncated(err)
	}
	if count > maxHeaders {
		return rec, fmt.Errorf("%d headers cannot be", count)
	}
	for range count {
		name, err := d.piece(0)
		if err != nil {
			return rec, err
		}
		value, err := d.piece(0)
		if err != nil {
			return rec, err
		}
		rec.Headers = append(rec.Headers, event.Header{Name: string(name), Value: string(value)})
	}
	rec.Value, err = d.piece(1)
	return rec, err
}

// piece reads a length, less shift, and that many bytes; nil for a length below
// shift.
func (d *segmentReader) piece(shift uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(d.in)
	if err != nil {
		return nil, truncated(err)
	}
	if n < shift {
		return nil, nil
	}
	n -= shift
	if n > maxPiece {
		return nil, fmt.Errorf("a piece of %d bytes cannot be", n)
	}
	// What a length promises is not believed before it is there.
	var b bytes.Buffer
	b.Grow(int(min(n, 64<<10)))
	if _, err := io.CopyN(&b, d.in, int64(n)); err != nil {
		return nil, truncated(err)
	}
	if n == 0 {
		return []byte{}, nil
	}
	return b.Bytes(), nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
