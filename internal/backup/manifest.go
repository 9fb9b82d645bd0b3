package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Place is where backups lie: a folder or a bucket. Names are parted by slashes.
// Package place has the implementations.
type Place interface {
	fmt.Stringer
	// Put writes an object as a whole or not at all.
	Put(ctx context.Context, name string, content io.Reader) error
	// Open fails with [event.CodeNotFound] if there is no such object.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// List tells the names of all objects with a prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}

// manifestFormat is the version of the layout; another one is refused.
const manifestFormat = 1

const (
	manifestName = "manifest.json"
	begunName    = "begun.json"
	maxManifest  = 256 << 20
)

// Object is something that a backup consists of.
type Object struct {
	// Name is what it is called in the place.
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Link names another backup by its id and the hash of its manifest.
type Link struct {
	ID     string `json:"id"`
	SHA256 string `json:"sha256"`
}

// Segment is a file of records: all that the log held from offset From up to, but
// without, To.
type Segment struct {
	Object
	From    int64 `json:"from"`
	To      int64 `json:"to"`
	Records int64 `json:"records"`
}

// Mark tells one log from another: a record of a log and its hash.
type Mark struct {
	Offset int64  `json:"offset"`
	SHA256 string `json:"sha256"`
}

// PartitionPart is what a backup holds of a partition: From up to, but without,
// To. Offsets in between without a record were emptied by compaction or left out.
type PartitionPart struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	From      int64     `json:"from"`
	To        int64     `json:"to"`
	Records   int64     `json:"records"`
	Segments  []Segment `json:"segments"`
	// LeftOut counts records that were still in the log, but removed by a
	// tombstone or by the end of what they tell of.
	LeftOut int64 `json:"left_out"`
	// Last is the last record; nil if there is none.
	Last *Mark `json:"last,omitempty"`
}

// At is the partition.
func (p PartitionPart) At() eventlog.Partition {
	return eventlog.Partition{Topic: p.Topic, ID: p.Partition}
}

// TopicPart is how a topic was set up.
type TopicPart struct {
	Name       string            `json:"name"`
	Partitions int32             `json:"partitions"`
	Settings   map[string]string `json:"settings"`
}

// GroupPart is how far a reactor had come in a partition.
type GroupPart struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
}

// TablePart is a table as a whole.
type TablePart struct {
	Object
	Schema  string   `json:"schema"`
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
}

// SecretKeyPart is about the key that seals what is secret in the tables. The key
// itself is in a backup only if that was asked for, and then under a passphrase.
type SecretKeyPart struct {
	// Fingerprint tells whether a key is the one; nothing follows from it.
	Fingerprint string `json:"fingerprint"`
	// Sealed is the key, encrypted with a passphrase by age; nil if it is not there.
	Sealed *Object `json:"sealed,omitempty"`
}

// Manifest says what a backup holds.
type Manifest struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	// Muster is the version of the program that took it.
	Muster string `json:"muster"`
	// CutAt is when the ends of the log were taken, by Postgres' clock.
	CutAt      time.Time `json:"cut_at"`
	FinishedAt time.Time `json:"finished_at"`
	// Previous is the backup that this one goes on from; nil if it is whole.
	Previous *Link `json:"previous,omitempty"`

	Topics     []TopicPart     `json:"topics"`
	Partitions []PartitionPart `json:"partitions"`
	Groups     []GroupPart     `json:"groups"`
	Tables     []TablePart     `json:"tables"`
	SecretKey  *SecretKeyPart  `json:"secret_key,omitempty"`
}

// Records counts the records of the log that it holds itself.
func (m Manifest) Records() int64 {
	var n int64
	for _, p := range m.Partitions {
		n += p.Records
	}
	return n
}

// Size is how many bytes it takes, without its manifest.
func (m Manifest) Size() int64 {
	var n int64
	for _, o := range m.objects() {
		n += o.Size
	}
	return n
}

func (m Manifest) objects() []Object {
	var all []Object
	for _, p := range m.Partitions {
		for _, s := range p.Segments {
			all = append(all, s.Object)
		}
	}
	for _, t := range m.Tables {
		all = append(all, t.Object)
	}
	if m.SecretKey != nil && m.SecretKey.Sealed != nil {
		all = append(all, *m.SecretKey.Sealed)
	}
	return all
}

func (m Manifest) part(p eventlog.Partition) (PartitionPart, bool) {
	i := slices.IndexFunc(m.Partitions, func(have PartitionPart) bool { return have.At() == p })
	if i < 0 {
		return PartitionPart{}, false
	}
	return m.Partitions[i], true
}

// validate reports what makes a manifest of that id useless: parts that do not
// fit together. Hashes are for whoever reads the parts.
func (m Manifest) validate(id string) error {
	switch {
	case m.Format != manifestFormat:
		return fmt.Errorf("its format is %d and this Muster reads %d: use the version of Muster that made it (%s)", m.Format, manifestFormat, m.Muster)
	case m.ID != id:
		return fmt.Errorf("it is the manifest of %q", m.ID)
	}
	for _, p := range m.Partitions {
		next, records := p.From, int64(0)
		for _, s := range p.Segments {
			if s.From != next || s.To < s.From || s.To > p.To {
				return fmt.Errorf("%s: a segment from offset %d to %d does not go on from %d", p.At(), s.From, s.To, next)
			}
			next, records = s.To, records+s.Records
		}
		if next != p.To || records != p.Records {
			return fmt.Errorf("%s: its segments end at offset %d with %d records, not at %d with %d", p.At(), next, records, p.To, p.Records)
		}
	}
	for _, o := range m.objects() {
		if !strings.HasPrefix(o.Name, id+"/") || len(o.SHA256) != 2*sha256.Size || o.Size < 0 {
			return fmt.Errorf("%q is no object of it", o.Name)
		}
	}
	return nil
}

// List tells the ids of all backups that are whole, oldest first, and of those
// that were begun and not finished.
func List(ctx context.Context, at Place) (finished, unfinished []string, err error) {
	names, err := at.List(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	begun := map[string]bool{}
	for _, name := range names {
		id, rest, _ := strings.Cut(name, "/")
		switch {
		case !isID(id):
		case rest == manifestName:
			finished = append(finished, id)
			begun[id] = false
		case rest == begunName:
			begun[id] = true
		}
	}
	for id, open := range begun {
		if open {
			unfinished = append(unfinished, id)
		}
	}
	slices.Sort(finished)
	slices.Sort(unfinished)
	return finished, unfinished, nil
}

// idLayout makes ids that sort by time.
const idLayout = "20060102T150405.000Z"

func isID(id string) bool {
	_, err := time.Parse(idLayout, id)
	return err == nil
}

// load reads the manifest of a backup.
func load(ctx context.Context, at Place, id string) (Manifest, Link, error) {
	var m Manifest
	data, err := readAll(ctx, at, id+"/"+manifestName, maxManifest)
	if err != nil {
		return m, Link{}, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, Link{}, event.Errorf(event.CodePoisoned, "the manifest of backup %s in %s cannot be read: %w", id, at, err)
	}
	if err := m.validate(id); err != nil {
		return m, Link{}, event.Errorf(event.CodePoisoned, "the manifest of backup %s in %s: %w", id, at, err)
	}
	return m, Link{ID: id, SHA256: hashOf(data)}, nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// markOf makes a mark of a record.
func markOf(rec *eventlog.Record) *Mark {
	return &Mark{Offset: rec.Offset, SHA256: hashOf(appendRecord(nil, rec, rec.Offset, 0))}
}

// readAll reads an object of at most limit bytes.
func readAll(ctx context.Context, at Place, name string, limit int64) ([]byte, error) {
	in, err := at.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", name, at, err)
	}
	if n > limit {
		return nil, event.Errorf(event.CodePoisoned, "%s of %s is longer than the %d bytes it should have", name, at, limit)
	}
	return b.Bytes(), nil
}

// readObject reads an object as a whole and holds it against its hash.
func readObject(ctx context.Context, at Place, o Object) ([]byte, error) {
	data, err := readAll(ctx, at, o.Name, o.Size)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != o.Size || hashOf(data) != o.SHA256 {
		return nil, event.Errorf(event.CodePoisoned, "%s of %s is damaged: it has %d bytes with hash %s, not %d with %s", o.Name, at, len(data), hashOf(data), o.Size, o.SHA256)
	}
	return data, nil
}
