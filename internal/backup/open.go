package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Backup is a backup together with those it goes on from. It reads like a log, by
// [Backup.Ends] and [Backup.ReadRange]. It is safe for concurrent use.
type Backup struct {
	place Place
	// chain begins with the whole one.
	chain []Manifest
}

// Open finds a backup in a place, the newest one for an empty id, and those it
// goes on from. It fails with [event.CodeNotFound] if there is none, and with
// [event.CodePoisoned] if one of the chain is missing or was changed.
func Open(ctx context.Context, at Place, id string) (*Backup, error) {
	if id == "" {
		finished, unfinished, err := List(ctx, at)
		if err != nil {
			return nil, err
		}
		if len(finished) == 0 {
			return nil, event.Errorf(event.CodeNotFound, "there is no finished backup in %s (%d unfinished)", at, len(unfinished))
		}
		id = finished[len(finished)-1]
	}
	b := &Backup{place: at}
	var want *Link
	for {
		if !isID(id) {
			return nil, event.Errorf(event.CodeInvalid, "%q is no id of a backup: they look like %s", id, idLayout)
		}
		m, link, err := load(ctx, at, id)
		switch {
		case err != nil && want != nil:
			return nil, event.Errorf(event.CodePoisoned, "backup %s goes on from %s: %w", b.chain[len(b.chain)-1].ID, id, err)
		case err != nil:
			return nil, err
		case want != nil && *want != link:
			return nil, event.Errorf(event.CodePoisoned, "backup %s goes on from %s, whose manifest is another one now", b.chain[len(b.chain)-1].ID, id)
		}
		b.chain = append(b.chain, m)
		if m.Previous == nil {
			break
		}
		if m.Previous.ID >= id {
			return nil, event.Errorf(event.CodePoisoned, "backup %s goes on from %s, which is not older", id, m.Previous.ID)
		}
		want, id = m.Previous, m.Previous.ID
	}
	slices.Reverse(b.chain)
	if err := b.joined(); err != nil {
		return nil, err
	}
	return b, nil
}

// joined checks that each backup begins where the one before has ended.
func (b *Backup) joined() error {
	for _, last := range b.newest().Partitions {
		var next int64
		for _, m := range b.chain {
			p, ok := m.part(last.At())
			if !ok && next == 0 {
				continue // the topic is younger than that backup
			}
			if p.From != next {
				return event.Errorf(event.CodePoisoned, "backup %s holds %s from offset %d, but those before end at %d", m.ID, last.At(), p.From, next)
			}
			next = p.To
		}
	}
	return nil
}

func (b *Backup) newest() Manifest { return b.chain[len(b.chain)-1] }

// Manifests are those of the chain, the whole backup first.
func (b *Backup) Manifests() []Manifest { return slices.Clone(b.chain) }

// Ends tells which offsets the backup holds of each partition.
func (b *Backup) Ends(_ context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error) {
	spans := map[eventlog.Partition]eventlog.Span{}
	for _, p := range b.newest().Partitions {
		if slices.Contains(topics, p.Topic) {
			spans[p.At()] = eventlog.Span{End: p.To}
		}
	}
	return spans, nil
}

// ReadRange calls fn with every record from offset from up to, but without,
// offset to, in order. It stops at fn's first error and returns it as it is. A
// damaged part is [event.CodePoisoned].
func (b *Backup) ReadRange(ctx context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error {
	if _, ok := b.newest().part(at); !ok {
		return event.Errorf(event.CodeNotFound, "backup %s holds no partition %s", b.newest().ID, at)
	}
	for _, m := range b.chain {
		part, _ := m.part(at)
		for _, s := range part.Segments {
			if s.To <= from || s.From >= to || s.From == s.To {
				continue
			}
			err := b.readSegment(ctx, at, s, func(rec eventlog.Record) error {
				if rec.Offset < from || rec.Offset >= to {
					return nil
				}
				return fn(rec)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readSegment calls fn with the records of a segment after it was found whole.
func (b *Backup) readSegment(ctx context.Context, at eventlog.Partition, s Segment, fn func(eventlog.Record) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.Size > maxSegment {
		return event.Errorf(event.CodePoisoned, "%s has %d bytes", s.Name, s.Size)
	}
	data, err := readObject(ctx, b.place, s.Object)
	if err != nil {
		return err
	}
	var records int64
	head, err := readSegment(bytes.NewReader(data), func(head segmentHead, rec eventlog.Record) error {
		if records++; rec.Offset >= s.To || head.From != s.From || rec.Partition() != at {
			return event.Errorf(event.CodePoisoned, "%s holds a record at %s", s.Name, rec.Position)
		}
		return fn(rec)
	})
	if err != nil {
		return err
	}
	if records != s.Records || head.From != s.From {
		return event.Errorf(event.CodePoisoned, "%s holds %d records from offset %d, not %d from %d", s.Name, records, head.From, s.Records, s.From)
	}
	return nil
}

// CheckReport is what a check has read.
type CheckReport struct {
	// Backups is how many the chain has, Objects how many parts of them.
	Backups int   `json:"backups"`
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	Records int64 `json:"records"`
	// Tombstones is how many of the records remove others.
	Tombstones int64 `json:"tombstones"`
}

// Check reads the whole chain: every object against its hash, every record
// against the rules of the format, and calls each with it, which may be nil. It
// stops at the first error.
func (b *Backup) Check(ctx context.Context, each func(eventlog.Record) error, progress func(done, total int64)) (CheckReport, error) {
	report := CheckReport{Backups: len(b.chain)}
	var total int64
	for _, m := range b.chain {
		total += m.Size()
	}
	tell := func(o Object) {
		report.Objects++
		report.Bytes += o.Size
		if progress != nil {
			progress(report.Bytes, total)
		}
	}
	for _, m := range b.chain {
		for _, p := range m.Partitions {
			for _, s := range p.Segments {
				err := b.readSegment(ctx, p.At(), s, func(rec eventlog.Record) error {
					report.Records++
					if rec.Value == nil {
						report.Tombstones++
					}
					if each == nil {
						return nil
					}
					return each(rec)
				})
				if err != nil {
					return report, fmt.Errorf("backup %s: %w", m.ID, err)
				}
				tell(s.Object)
			}
		}
		for _, t := range m.Tables {
			if err := b.checkObject(ctx, t.Object); err != nil {
				return report, fmt.Errorf("backup %s: %w", m.ID, err)
			}
			tell(t.Object)
		}
		if m.SecretKey != nil && m.SecretKey.Sealed != nil {
			if err := b.checkObject(ctx, *m.SecretKey.Sealed); err != nil {
				return report, fmt.Errorf("backup %s: %w", m.ID, err)
			}
			tell(*m.SecretKey.Sealed)
		}
	}
	return report, nil
}

// checkObject holds an object against its hash without keeping it.
func (b *Backup) checkObject(ctx context.Context, o Object) error {
	in, err := b.place.Open(ctx, o.Name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", o.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != o.SHA256 || n != o.Size {
		return event.Errorf(event.CodePoisoned, "%s is damaged: it has %d bytes with hash %s, not %d with %s", o.Name, n, got, o.Size, o.SHA256)
	}
	return nil
}
