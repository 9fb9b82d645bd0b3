package backup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Log is what is backed up; [eventlog.Reader] is one.
type Log interface {
	SinceLog
	Committed(ctx context.Context, prefix string) (map[string]map[eventlog.Partition]int64, error)
	Settings(ctx context.Context, topics ...string) (map[string]map[string]string, error)
}

// TakeConfig is what a backup is made of and where it goes.
type TakeConfig struct {
	Place Place
	Log   Log
	Pool  *pgxpool.Pool
	// Topics are those of facts, and Copies that of copies of their records.
	Topics []string
	Copies string
	// Groups is how the names of the reactors' consumer groups begin.
	Groups string
	Tables []Table
	// Forgets tells which records end what came before them; nil for none.
	Forgets Forgets
	// Whole begins a new chain instead of going on from the newest backup.
	Whole bool
	// SecretKey is the key that seals secrets in the tables; nil if there is none.
	// Only its fingerprint is kept, unless there is a passphrase.
	SecretKey []byte
	// Passphrase encrypts the secret key; empty leaves the key out.
	Passphrase string
	// Version is that of the program.
	Version string
	// Now makes the id: time.Now.
	Now func() time.Time
	// Progress is called with the offsets done so far and in all; may be nil.
	Progress func(phase string, done, total int64)
	// Logger: none.
	Logger *slog.Logger
}

// longest bounds the time between the cut of the log and the copy of the tables:
// what the outbox has appended it keeps for a day.
const longest = 12 * time.Hour

// begun is what a backup goes on from, written first.
type begun struct {
	Previous *Link `json:"previous,omitempty"`
}

// Take makes a backup while Muster runs. It goes on with one that was interrupted.
//
// The order is what makes it consistent. First the time is taken from Postgres,
// then how far reactors have come, then where the log ends: that is the cut. The
// log is copied up to the cut, and the tables last, at one moment. So the tables
// are never behind the log: versions of streams are not given twice. What the
// outbox appended after the cut is kept as if it had not been appended, and is
// appended again after a restore, with the same ids.
//
// Records whose tombstone was there at the cut are left out, and so is what came
// before a record that ends its stream. In what an earlier backup holds they stay:
// begin a new chain and remove the old one to be rid of them.
//
// It fails with [event.CodeConflict] if another one runs, or if the newest backup
// in the place is not of this log.
func Take(ctx context.Context, c TakeConfig) (Manifest, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	t := &taking{TakeConfig: c, copies: newCopies()}
	var m Manifest
	err := t.alone(ctx, func() error {
		var err error
		m, err = t.run(ctx)
		return err
	})
	return m, err
}

type taking struct {
	TakeConfig
	id       string
	previous *Manifest
	link     *Link
	// there are the objects that an interrupted backup has left.
	there       []string
	copies      *copies
	done, total int64
}

// alone holds a lock in Postgres: two at once would spoil one another's chain.
func (t *taking) alone(ctx context.Context, do func() error) error {
	conn, err := pgx.ConnectConfig(ctx, t.Pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var mine bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended('muster backup', 78))").Scan(&mine); err != nil {
		return fmt.Errorf("taking turns with other backups: %w", err)
	}
	if !mine {
		return event.Errorf(event.CodeConflict, "another backup is being taken: wait until it has ended")
	}
	err = do()
	// The end of the connection lets go of it in any case, but only a moment later.
	_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(hashtextextended('muster backup', 78))")
	return err
}

func (t *taking) run(ctx context.Context) (Manifest, error) {
	if err := t.begin(ctx); err != nil {
		return Manifest{}, err
	}
	m := Manifest{Format: manifestFormat, ID: t.id, Muster: t.Version, Previous: t.link}
	if err := t.Pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&m.CutAt); err != nil {
		return m, fmt.Errorf("asking Postgres for the time: %w", err)
	}
	m.CutAt = m.CutAt.UTC()
	groups, err := t.Log.Committed(ctx, t.Groups)
	if err != nil {
		return m, err
	}
	all := append(slices.Clone(t.Topics), t.Copies)
	ends, err := t.Log.Ends(ctx, all...)
	if err != nil {
		return m, fmt.Errorf("reading the ends of the log: %w", err)
	}
	if m.Topics, err = t.topics(ctx, all, ends); err != nil {
		return m, err
	}
	if err := t.copyLog(ctx, &m, ends); err != nil {
		return m, err
	}
	m.Groups = groupParts(groups, ends)
	t.Progress("tables", t.total, t.total)
	if m.Tables, err = copyTables(ctx, t.Pool, t.Place, t.id, m.CutAt, t.Tables); err != nil {
		return m, err
	}
	var now time.Time
	if err := t.Pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return m, fmt.Errorf("asking Postgres for the time: %w", err)
	}
	if now.Sub(m.CutAt) > longest {
		return m, event.Errorf(event.CodeUnavailable, "the backup has taken %s, and what the outbox has appended since is certain to be there for %s only: run it again, it goes on where it is", now.Sub(m.CutAt).Round(time.Minute), longest)
	}
	if m.SecretKey, err = sealKey(ctx, t.Place, t.id, t.SecretKey, t.Passphrase); err != nil {
		return m, err
	}
	m.FinishedAt = now.UTC()
	return m, t.putJSON(ctx, manifestName, m)
}

// begin chooses the id and what it goes on from.
func (t *taking) begin(ctx context.Context) error {
	finished, unfinished, err := List(ctx, t.Place)
	if err != nil {
		return err
	}
	if len(finished) > 0 && !t.Whole {
		newest := finished[len(finished)-1]
		m, link, err := load(ctx, t.Place, newest)
		if err != nil {
			return fmt.Errorf("going on from the newest backup: %w; --whole begins a new chain", err)
		}
		if err := sameLog(ctx, t.Log, m); err != nil {
			return err
		}
		t.previous, t.link = &m, &link
	}
	for _, id := range slices.Backward(unfinished) {
		data, err := readAll(ctx, t.Place, id+"/"+begunName, maxManifest)
		if err != nil {
			return err
		}
		var b begun
		if err := json.Unmarshal(data, &b); err != nil {
			return event.Errorf(event.CodePoisoned, "%s/%s of %s cannot be read: %w; remove what is under %s", id, begunName, t.Place, err, id)
		}
		same := (b.Previous == nil && t.link == nil) || (b.Previous != nil && t.link != nil && *b.Previous == *t.link)
		if !same {
			t.Logger.WarnContext(ctx, "an unfinished backup is left alone: it goes on from another one; remove it", "backup", id)
			continue
		}
		t.id = id
		t.there, err = t.Place.List(ctx, id+"/")
		t.Logger.InfoContext(ctx, "going on with an unfinished backup", "backup", id, "objects", len(t.there))
		return err
	}
	t.id = t.Now().UTC().Format(idLayout)
	return t.putJSON(ctx, begunName, begun{Previous: t.link})
}

// sameLog refuses a log that is not the one that a backup is of.
func sameLog(ctx context.Context, log SinceLog, m Manifest) error {
	const remedy = "this is another log than the one that backup %s is of, or an older state of it; take backups of it to another place, or begin a new chain with --whole"
	var topics []string
	for _, t := range m.Topics {
		topics = append(topics, t.Name)
	}
	ends, err := log.Ends(ctx, topics...)
	if err != nil {
		return fmt.Errorf("reading the ends of the log: %w", err)
	}
	var marks []event.Position
	for _, p := range m.Partitions {
		have, ok := ends[p.At()]
		if !ok || have.End < p.To {
			return event.Errorf(event.CodeConflict, "%s ends at offset %d, before offset %d of the backup: "+remedy, p.At(), have.End, p.To, m.ID)
		}
		if p.Last != nil {
			marks = append(marks, event.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Last.Offset})
		}
	}
	found, err := log.ReadAt(ctx, marks)
	if err != nil {
		return err
	}
	for _, p := range m.Partitions {
		if p.Last == nil {
			continue
		}
		// What compaction has removed since tells nothing.
		rec, ok := found[event.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Last.Offset}]
		if ok && *markOf(&rec) != *p.Last && !isPulse(&rec) {
			return event.Errorf(event.CodeConflict, "the record at %s is not the one of the backup: "+remedy, rec.Position, m.ID)
		}
	}
	return nil
}

func (t *taking) topics(ctx context.Context, names []string, ends map[eventlog.Partition]eventlog.Span) ([]TopicPart, error) {
	settings, err := t.Log.Settings(ctx, names...)
	if err != nil {
		return nil, err
	}
	parts := make([]TopicPart, len(names))
	for i, name := range names {
		parts[i] = TopicPart{Name: name, Settings: settings[name]}
		for p := range ends {
			if p.Topic == name {
				parts[i].Partitions++
			}
		}
	}
	return parts, nil
}

// groupParts lists how far reactors had come, never further than the cut.
func groupParts(groups map[string]map[eventlog.Partition]int64, ends map[eventlog.Partition]eventlog.Span) []GroupPart {
	parts := []GroupPart{}
	for name, offsets := range groups {
		for p, next := range offsets {
			if end, ok := ends[p]; ok && next >= 0 {
				parts = append(parts, GroupPart{Group: name, Topic: p.Topic, Partition: p.ID, Next: min(next, end.End)})
			}
		}
	}
	slices.SortFunc(parts, func(a, b GroupPart) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return parts
}

// copyLog copies all partitions, those of copies last: only then is known what
// they must not hold.
func (t *taking) copyLog(ctx context.Context, m *Manifest, ends map[eventlog.Partition]eventlog.Span) error {
	parts := slices.SortedFunc(maps.Keys(ends), func(a, b eventlog.Partition) int {
		return cmp.Or(cmp.Compare(btoi(a.Topic == t.Copies), btoi(b.Topic == t.Copies)), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
	for _, p := range parts {
		t.total += 2 * (ends[p].End - max(t.from(p), ends[p].Start))
	}
	for _, p := range parts {
		if p.Topic == t.Copies {
			if err := t.read(ctx, p, ends[p].End, t.copies.hold); err != nil {
				return err
			}
		}
	}
	for _, p := range parts {
		part, err := t.copyPartition(ctx, p, ends[p].End)
		if err != nil {
			return fmt.Errorf("copying %s: %w", p, err)
		}
		m.Partitions = append(m.Partitions, part)
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// from is the offset where the backup before has ended.
func (t *taking) from(p eventlog.Partition) int64 {
	if t.previous != nil {
		if part, ok := t.previous.part(p); ok {
			return part.To
		}
	}
	return 0
}

func (t *taking) read(ctx context.Context, p eventlog.Partition, end int64, see func(*eventlog.Record)) error {
	return t.readFrom(ctx, p, t.from(p), end, func(rec *eventlog.Record) error {
		see(rec)
		return nil
	})
}

func (t *taking) readFrom(ctx context.Context, p eventlog.Partition, from, end int64, fn func(*eventlog.Record) error) error {
	return t.Log.ReadRange(ctx, p, from, end, func(rec eventlog.Record) error {
		if t.done++; t.done%1000 == 0 {
			t.Progress("log", min(t.done, t.total), t.total)
		}
		return fn(&rec)
	})
}

func (t *taking) copyPartition(ctx context.Context, p eventlog.Partition, end int64) (PartitionPart, error) {
	part := PartitionPart{Topic: p.Topic, Partition: p.ID, From: t.from(p), To: end, Segments: []Segment{}}
	drops := t.copies.drops
	if p.Topic != t.Copies {
		left := newGone(t.Forgets)
		err := t.read(ctx, p, end, func(rec *eventlog.Record) {
			left.see(rec)
			t.copies.note(rec, t.Forgets)
		})
		if err != nil {
			return part, err
		}
		drops = left.drops
	}
	next, err := t.resume(ctx, &part)
	if err != nil || next >= end {
		return part, err
	}
	head := segmentHead{Topic: p.Topic, Partition: p.ID, From: next}
	w, err := newSegmentWriter(head)
	if err != nil {
		return part, err
	}
	err = t.readFrom(ctx, p, next, end, func(rec *eventlog.Record) error {
		if drops(rec) {
			part.LeftOut++
			return nil
		}
		if err := w.add(rec); err != nil {
			return err
		}
		part.Last = markOf(rec)
		if !w.full() {
			return nil
		}
		if err := t.putSegment(ctx, &part, w, rec.Offset+1); err != nil {
			return err
		}
		head.From = rec.Offset + 1
		w, err = newSegmentWriter(head)
		return err
	})
	if err != nil {
		return part, err
	}
	if head.From < end {
		err = t.putSegment(ctx, &part, w, end)
	}
	return part, err
}

// resume takes over the segments that an interrupted backup has left, and tells
// from where to go on.
func (t *taking) resume(ctx context.Context, part *PartitionPart) (int64, error) {
	next := part.From
	prefix := segmentPrefix(t.id, part.At())
	for _, name := range t.there {
		var from, to int64
		rest, ours := strings.CutPrefix(name, prefix)
		if !ours {
			continue
		}
		if !parseSpan(rest, &from, &to) || from != next || to > part.To {
			continue
		}
		data, err := readAll(ctx, t.Place, name, maxSegment)
		if err != nil {
			return next, err
		}
		s := Segment{Object: Object{Name: name, Size: int64(len(data)), SHA256: hashOf(data)}, From: from, To: to}
		_, err = readSegment(bytes.NewReader(data), func(_ segmentHead, rec eventlog.Record) error {
			s.Records++
			part.Last = markOf(&rec)
			return nil
		})
		if err != nil {
			return next, err
		}
		part.Segments = append(part.Segments, s)
		part.Records += s.Records
		next = to
	}
	return next, nil
}

// maxSegment is more than a segment can have.
const maxSegment = 128 << 20

func segmentPrefix(id string, p eventlog.Partition) string {
	return fmt.Sprintf("%s/log/%s/%04d/", id, p.Topic, p.ID)
}

const segmentEnding = ".seg"

// parseSpan reads the offsets in the name of a segment.
func parseSpan(name string, from, to *int64) bool {
	a, b, ok := strings.Cut(strings.TrimSuffix(name, segmentEnding), "-")
	var err, err2 error
	*from, err = strconv.ParseInt(a, 10, 64)
	*to, err2 = strconv.ParseInt(b, 10, 64)
	return ok && err == nil && err2 == nil && strings.HasSuffix(name, segmentEnding) && *from <= *to
}

func (t *taking) putSegment(ctx context.Context, part *PartitionPart, w *segmentWriter, to int64) error {
	data, err := w.finish()
	if err != nil {
		return err
	}
	s := Segment{From: w.head.From, To: to, Records: w.records, Object: Object{
		Name: fmt.Sprintf("%s%020d-%020d%s", segmentPrefix(t.id, part.At()), w.head.From, to, segmentEnding),
		Size: int64(len(data)), SHA256: hashOf(data),
	}}
	if err := t.Place.Put(ctx, s.Name, bytes.NewReader(data)); err != nil {
		return err
	}
	part.Segments = append(part.Segments, s)
	part.Records += s.Records
	return nil
}

func (t *taking) putJSON(ctx context.Context, name string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	return t.Place.Put(ctx, t.id+"/"+name, bytes.NewReader(append(data, '\n')))
}
