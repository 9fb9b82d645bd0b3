package retention

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Certificate says what was searched for what retention should have removed, and
// what was found. It names nobody. Each holds the hash of the one before, so that
// none can be taken out or changed without its showing.
type Certificate struct {
	// Format is the version of this form.
	Format int       `json:"format"`
	MadeAt time.Time `json:"made_at"`
	// RunID is the last completed run, RunAt the moment at which it applied the
	// policies.
	RunID    string    `json:"run_id"`
	RunAt    time.Time `json:"run_at"`
	Policies Policies  `json:"policies"`
	CutOffs  []CutOff  `json:"cut_offs"`
	// Keys is how many keys the tombstones of the log name, KeysHash the SHA-256
	// over all of them in order, a line each.
	Keys     int64  `json:"keys"`
	KeysHash string `json:"keys_hash"`
	// DestroyedTextKeys is how many keys of personal texts the log says were destroyed
	// with characters that were forgotten. How many of them are still there is among
	// Stores.
	DestroyedTextKeys int64 `json:"destroyed_text_keys,omitempty"`
	// Partitions are what was read of the log.
	Partitions []ScannedPartition `json:"partitions"`
	// Stores are the other places that were searched.
	Stores []ScannedStore `json:"stores"`
	// Found is how much was found that should be gone; zero is clean.
	Found int64 `json:"found"`
	// NotProven says what this certificate does not prove.
	NotProven []string `json:"not_proven"`
	// Previous is the hash of the certificate before; empty for the first.
	Previous string `json:"previous,omitempty"`
	// Hash is the SHA-256 of all the rest.
	Hash string `json:"hash"`
}

// ScannedPartition is what was read of a partition and found there.
type ScannedPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Start and End are its first and its next offset, Records how many were there.
	Start   int64 `json:"start"`
	End     int64 `json:"end"`
	Records int64 `json:"records"`
	// Tombstones is how many there were, between the offsets First and Last.
	Tombstones int64 `json:"tombstones"`
	First      int64 `json:"first_tombstone,omitempty"`
	Last       int64 `json:"last_tombstone,omitempty"`
	// NotCompacted is how many records have a value though a later tombstone names
	// them: compaction has not come to them yet. Oldest is the offset of the first.
	NotCompacted int64  `json:"not_compacted"`
	Oldest       *int64 `json:"oldest_not_compacted,omitempty"`
	// NotExpired is how many records the policies would have had removed, and no
	// tombstone names.
	NotExpired int64 `json:"not_expired"`
}

// ScannedStore is what was searched beside the log.
type ScannedStore struct {
	Name  string `json:"name"`
	Found int64  `json:"found"`
}

// certificateFormat is the present version of the form.
const certificateFormat = 1

// Sealed is the certificate with what follows from the rest of it: its format, how
// much was found, and its hash.
func (c Certificate) Sealed() (Certificate, error) {
	c.Format, c.Found = certificateFormat, 0
	for _, p := range c.Partitions {
		c.Found += p.NotCompacted + p.NotExpired
	}
	for _, s := range c.Stores {
		c.Found += s.Found
	}
	hash, err := c.sum()
	c.Hash = hash
	return c, err
}

func (c Certificate) sum() (string, error) {
	c.Hash = ""
	text, err := json.Marshal(c)
	if err != nil {
		return "", event.Errorf(event.CodeInvalid, "writing a certificate: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// ReadCertificate reads a certificate and checks its hash. It fails with
// [event.CodeInvalid] for what is none, was changed, or says something that this
// Muster does not know.
func ReadCertificate(text []byte) (Certificate, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var c Certificate
	if err := d.Decode(&c); err != nil {
		return Certificate{}, event.Errorf(event.CodeInvalid, "this is no certificate of retention: %w", err)
	}
	if d.More() {
		return Certificate{}, event.Errorf(event.CodeInvalid, "something follows the certificate: give one file for each")
	}
	if c.Format != certificateFormat {
		return Certificate{}, event.Errorf(event.CodeInvalid, "the certificate has format %d, and this Muster reads %d: use the one that wrote it", c.Format, certificateFormat)
	}
	sealed, err := c.Sealed()
	if err != nil {
		return Certificate{}, err
	}
	if sealed.Hash != c.Hash || sealed.Found != c.Found {
		return Certificate{}, event.Errorf(event.CodeInvalid, "the certificate was changed: its hash is %s, and its content gives %s", c.Hash, sealed.Hash)
	}
	return c, nil
}
