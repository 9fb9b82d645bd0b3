package retention

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
)

// notProven is what a certificate says that it does not prove.
func notProven() []string {
	return []string{
		"Backups, and copies of the brokers' or databases' disks, were not searched.",
		"The log was read through the leader of each partition; other replicas compact by themselves.",
		"The files of Postgres were not searched for bytes of deleted rows: after each run its tables are written anew, but for those that are larger than the setting says or were held by others.",
		"Files that were exported lie with those who have them.",
		"What was recorded after the run is not looked at; the next run does that.",
	}
}

// Prove searches the whole log, the read models and the copies beside them for what
// the last completed run should have removed, and certifies what it found. It does
// not use what the run noted: it folds the log anew and asks the policies. It fails
// with [event.CodeNotFound] if no run was completed yet.
func (w *Worker) Prove(ctx context.Context) (retention.Certificate, error) {
	run, previous, err := w.last(ctx)
	if err != nil {
		return retention.Certificate{}, err
	}
	if err := w.settled(ctx, append([]string{w.IndexName}, w.ViewNames...)...); err != nil {
		return retention.Certificate{}, err
	}
	c := retention.Certificate{
		MadeAt: w.Now().UTC(), RunID: run.RunID, RunAt: run.At, Policies: run.Policies, CutOffs: run.CutOffs, NotProven: notProven(), Previous: previous,
	}
	s := scan{worker: w, run: run, keys: map[string]struct{}{}, before: map[int32]int64{}, forgotten: map[event.Stream]time.Time{}, tombstones: map[eventlog.Partition][]int64{}}
	topics := append(event.Topics(), event.TopicPoison)
	ends, err := w.Log.Ends(ctx, topics...)
	if err != nil {
		return c, err
	}
	partitions := slices.SortedFunc(maps.Keys(ends), func(a, b eventlog.Partition) int {
		if i, j := slices.Index(topics, a.Topic), slices.Index(topics, b.Topic); i != j {
			return i - j
		}
		return int(a.ID - b.ID)
	})
	for _, at := range partitions {
		scanned, err := s.partition(ctx, at, ends[at])
		if err != nil {
			return c, fmt.Errorf("searching %s: %w", at, err)
		}
		c.Partitions = append(c.Partitions, scanned)
	}
	c.Keys, c.KeysHash = int64(len(s.keys)), hashOf(s.keys)
	c.DestroyedTextKeys = int64(len(s.destroyed))
	if c.Stores, err = s.stores(ctx); err != nil {
		return c, err
	}
	if c, err = c.Sealed(); err != nil {
		return c, err
	}
	// One that is recorded and that nobody has would be a hole in the chain for ever.
	if w.Save != nil {
		if err := w.Save(c); err != nil {
			return c, fmt.Errorf("saving the certificate: %w", err)
		}
		w.Step("retention.certificate-saved")
	}
	if err := w.tell(ctx, retention.Certified{RunID: c.RunID, Hash: c.Hash, Previous: c.Previous, Clean: c.Found == 0, Found: c.Found}); err != nil {
		return c, err
	}
	w.Step("retention.certified")
	return c, nil
}

// last is the last completed run, and the hash of the last certificate.
func (w *Worker) last(ctx context.Context) (run retention.Completed, certificate string, err error) {
	records, err := w.Records(ctx)
	if err != nil {
		return run, "", err
	}
	for _, r := range records {
		switch p := r.Payload.(type) {
		case retention.Completed:
			run = p
		case retention.Certified:
			certificate = p.Hash
		}
	}
	if run.RunID == "" {
		return run, "", event.Errorf(event.CodeNotFound, "no run of retention was completed yet: start one with `muster retention run`")
	}
	return run, certificate, nil
}

func hashOf(keys map[string]struct{}) string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintln(h, key)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// scan is a search under way.
type scan struct {
	worker *Worker
	run    retention.Completed
	// keys are those that tombstones name.
	keys map[string]struct{}
	// before is, by partition of the topic of characters, the offset before which
	// everything was recorded before the run.
	before map[int32]int64
	// tombstones are where those lie, in order, by partition.
	tombstones map[eventlog.Partition][]int64
	// indexed is how many rows the index still has of what tombstones name.
	indexed int64
	// forgotten is when characters were last forgotten, of what is from before the run.
	forgotten map[event.Stream]time.Time
	// destroyed are the keys that the log says were destroyed.
	destroyed []uuid.UUID
}

// record is what is held of a record of the log.
type record struct {
	fact     retention.Fact
	recorded time.Time
}

// partition reads a partition and looks for what should be gone.
func (s *scan) partition(ctx context.Context, at eventlog.Partition, span eventlog.Span) (retention.ScannedPartition, error) {
	out := retention.ScannedPartition{Topic: at.Topic, Partition: at.ID, Start: span.Start, End: span.End}
	streams := map[string][]record{}
	gone := map[string]int64{}
	err := s.worker.Log.ReadRange(ctx, at, span.Start, span.End, func(rec eventlog.Record) error {
		out.Records++
		e, err := rec.Event()
		if err != nil {
			return nil //nolint:nilerr // What is no event is parked and reported elsewhere.
		}
		if at.Topic == event.TopicPoison {
			// Copies of what a tombstone names, kept for a few days.
			if _, named := s.keys[e.Key()]; named && !e.IsTombstone() {
				s.left(&out, rec.Offset)
			}
			return nil
		}
		if e.IsTombstone() {
			if e.Expiry.Policy == eventlog.PulsePolicy {
				return nil
			}
			if out.Tombstones == 0 {
				out.First = rec.Offset
			}
			out.Tombstones++
			out.Last, gone[rec.Key] = rec.Offset, rec.Offset
			s.keys[rec.Key] = struct{}{}
			s.tombstones[at] = append(s.tombstones[at], rec.Offset)
			return nil
		}
		if at.Topic == event.TopicEVE && !e.Recorded.After(s.run.At) {
			s.before[at.ID] = rec.Offset + 1
		}
		if err := s.keysOf(e); err != nil {
			return err
		}
		if e.Type == eve.TypeCharacterForgotten && !e.Recorded.After(s.run.At) {
			s.forgotten[e.Stream] = e.Time
		}
		if _, is := e.Stream.CharacterID(); is || e.Type == access.TypeDataViewed {
			stream := string(e.Stream)
			streams[stream] = append(streams[stream], record{retention.Fact{
				ID: e.ID, Type: e.Type, Subject: eve.About(e.Type, e.Data), Time: e.Time, Offset: rec.Offset,
			}, e.Recorded})
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	for _, stream := range slices.Sorted(maps.Keys(streams)) {
		s.judge(stream, streams[stream], gone, &out)
	}
	return out, s.index(ctx, at, gone)
}

// keysOf notes the keys that were destroyed with a character.
func (s *scan) keysOf(e event.Event) error {
	if e.Type != eve.TypeCharacterForgotten {
		return nil
	}
	p, err := s.worker.Registry.Decode(e)
	if event.CodeOf(err) == event.CodePoisoned {
		return nil // It is parked and reported elsewhere.
	}
	if forgotten, is := p.(eve.CharacterForgotten); is {
		s.destroyed = append(s.destroyed, forgotten.KeyIDs...)
	}
	return err
}

// judge holds the records of a stream that have a value against the tombstones and
// the policies.
func (s *scan) judge(stream string, records []record, gone map[string]int64, out *retention.ScannedPartition) {
	facts := make([]retention.Fact, 0, len(records))
	for _, r := range records {
		key := event.Key(event.Stream(stream), r.fact.ID)
		if at, named := gone[key]; named && r.fact.Offset < at {
			s.left(out, r.fact.Offset)
			continue
		}
		if !r.recorded.After(s.run.At) {
			facts = append(facts, r.fact)
		}
	}
	if out.Topic != event.TopicAccess {
		out.NotExpired += int64(len(s.run.Policies.Expire(facts, s.run.At)))
		return
	}
	for _, f := range facts {
		look := retention.Look{Stream: event.Stream(stream), ID: f.ID, Time: f.Time}
		if _, _, goes := s.run.Policies.ExpireLook(look, s.forgotten[look.Stream], s.run.At); goes && f.Type == access.TypeDataViewed {
			out.NotExpired++
		}
	}
}

func (s *scan) left(out *retention.ScannedPartition, offset int64) {
	if out.NotCompacted == 0 || offset < *out.Oldest {
		out.Oldest = &offset
	}
	out.NotCompacted++
}

// index counts the rows that the index of events has of what tombstones name.
func (s *scan) index(ctx context.Context, at eventlog.Partition, gone map[string]int64) error {
	byOffset := map[int64][]uuid.UUID{}
	var ids []uuid.UUID
	last := int64(0)
	for key, offset := range gone {
		_, text, err := event.ParseKey(key)
		id, err2 := uuid.Parse(text)
		if err != nil || err2 != nil {
			continue
		}
		ids, last = append(ids, id), max(last, offset)
		byOffset[offset] = append(byOffset[offset], id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for some := range slices.Chunk(ids, atOnce) {
		n, err := s.worker.Index.Indexed(ctx, at, some, last)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		// Some may have been observed again since: each by itself then.
		for offset, each := range byOffset {
			for _, id := range each {
				if !slices.Contains(some, id) {
					continue
				}
				n, err := s.worker.Index.Indexed(ctx, at, []uuid.UUID{id}, offset)
				if err != nil {
					return err
				}
				s.indexed += n
			}
		}
	}
	return nil
}

// stores searches what lies beside the log.
func (s *scan) stores(ctx context.Context) ([]retention.ScannedStore, error) {
	found := []retention.ScannedStore{{Name: "clickhouse: event_index", Found: s.indexed}}
	before := s.run.Policies.CutOff(retention.ClassHistory, s.run.At)
	for _, v := range s.worker.Views {
		scanned := retention.ScannedStore{Name: v.Name}
		if !before.IsZero() {
			aged, err := v.Before(ctx, before)
			if err != nil {
				return nil, fmt.Errorf("searching %s: %w", v.Name, err)
			}
			for _, a := range aged {
				// What was told after the run goes with the next one.
				if a.LastOffset < s.before[a.Partition] {
					scanned.Found += a.Rows
				}
			}
		}
		found = append(found, scanned)
	}
	for _, c := range s.worker.Copies {
		scanned := retention.ScannedStore{Name: c.Name}
		if before := s.run.Policies.CutOff(c.class(), s.run.At); !before.IsZero() {
			n, err := c.Count(ctx, before)
			if err != nil {
				return nil, fmt.Errorf("searching %s: %w", c.Name, err)
			}
			scanned.Found = n
		}
		found = append(found, scanned)
	}
	for _, d := range s.worker.Disks {
		if d.Left == nil {
			continue
		}
		left, err := d.Left(ctx)
		if err != nil {
			return nil, fmt.Errorf("searching %s: %w", d.Name, err)
		}
		found = append(found, retention.ScannedStore{Name: d.Name, Found: left})
	}
	if s.worker.Beside != nil {
		beside, err := s.beside(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, beside...)
	}
	if s.worker.Keys == nil {
		return found, nil
	}
	alive, err := s.worker.Keys.Alive(ctx, s.destroyed)
	if err != nil {
		return nil, err
	}
	return append(found, retention.ScannedStore{Name: "postgres: keys of forgotten characters", Found: alive}), nil
}

// besidePatience is how long is waited for tables that are not live to apply the last
// tombstones: what looks after them does so every few seconds.
const besidePatience = 10 * time.Second

// beside counts the tombstones that tables which are not live have not applied: for each of
// them there may be rows of what it names.
func (s *scan) beside(ctx context.Context) ([]retention.ScannedStore, error) {
	until := time.Now().Add(besidePatience)
	for {
		all, err := s.worker.Beside(ctx)
		if err != nil {
			return nil, fmt.Errorf("looking for tables that are not live: %w", err)
		}
		missed := int64(0)
		found := make([]retention.ScannedStore, len(all))
		for i, a := range all {
			found[i].Name = "tombstones that " + a.Name + " has not applied"
			for at, next := range a.Next {
				first, _ := slices.BinarySearch(s.tombstones[at], next)
				found[i].Found += int64(len(s.tombstones[at]) - first)
			}
			missed += found[i].Found
		}
		if missed == 0 || time.Now().After(until) {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// Backlog is what tombstones name and compaction has not removed yet.
type Backlog struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Tombstones is how many there are in the partition, Waiting how many records
	// they name that still have a value.
	Tombstones int64 `json:"tombstones"`
	Waiting    int64 `json:"waiting"`
	// Oldest is the offset of the first of those, OldestTime when it was recorded.
	Oldest     *int64     `json:"oldest,omitempty"`
	OldestTime *time.Time `json:"oldest_time,omitempty"`
}

// Backlogs read the log and tell what compaction has left to do, by partition. A
// partition without tombstones is left out.
func (w *Worker) Backlogs(ctx context.Context) ([]Backlog, error) {
	ends, err := w.Log.Ends(ctx, event.Topics()...)
	if err != nil {
		return nil, err
	}
	var all []Backlog
	for at, span := range ends {
		b, err := w.backlog(ctx, at, span)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", at, err)
		}
		if b.Tombstones > 0 {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b Backlog) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return all, nil
}

func (w *Worker) backlog(ctx context.Context, at eventlog.Partition, span eventlog.Span) (Backlog, error) {
	b := Backlog{Topic: at.Topic, Partition: at.ID}
	type place struct {
		offset int64
		at     time.Time
	}
	values := map[string]place{}
	err := w.Log.ReadRange(ctx, at, span.Start, span.End, func(rec eventlog.Record) error {
		if rec.Value != nil {
			if _, known := values[rec.Key]; !known {
				values[rec.Key] = place{rec.Offset, rec.Timestamp}
			}
			return nil
		}
		if e, err := rec.Event(); err != nil || e.Expiry.Policy == eventlog.PulsePolicy {
			return nil //nolint:nilerr // What is no event is parked and reported elsewhere.
		}
		b.Tombstones++
		if p, there := values[rec.Key]; there {
			b.Waiting++
			if b.Oldest == nil || p.offset < *b.Oldest {
				b.Oldest, b.OldestTime = &p.offset, &p.at
			}
			delete(values, rec.Key)
		}
		return nil
	})
	return b, err
}
