// Package runner folds the log into read models. It owns everything about a
// projection but the fold itself: what to read next, the checkpoint that is
// stored with the data, generations, poisoned events, comparison and metrics.
// It is the same for live running, catching up and rebuilding; only the limits
// of a batch differ.
package runner

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/event"
)

// Event is an event of the log with its decoded value, ready to be folded. The
// payload is nil for the types that a projection takes bare.
type Event struct {
	event.Recorded
	Payload event.Payload
}

// Projection is a pure fold of the log into tables. Its methods must not do
// I/O and must be safe for concurrent use.
type Projection struct {
	// Name is the projection's name; tables live in namespaces named after it.
	Name string
	// Version grows with every change of Schema or of the fold. A generation of
	// another version is never written to: a new one is built instead.
	Version int
	// Topics are the topics that are folded.
	Topics []string
	// Schema makes the tables of an empty generation. It is SQL with names
	// that carry no schema or database; statements are separated by ";".
	Schema string
	// Tables are the tables that are compared between generations.
	Tables []Table
	// Bare are the types of which the fold needs nothing but the envelope: their
	// values are not decoded, and Payload is nil.
	Bare []event.Type
	// Envelopes says that the fold takes every event as it lies in the log: also
	// those of types that nobody knows, and tombstones. Values are not decoded, so
	// Payload is nil, and nothing waits behind a record that is no event.
	Envelopes bool
	// Tombstones says that the fold takes tombstones, too, of the streams that it
	// folds: it removes the rows that came from what they name. Payload is nil then.
	// What a tombstone named must leave no trace, whether the fold has seen it or
	// not, so that a rebuild of the compacted log comes out equal.
	Tombstones bool
	// Sequence names what must be kept in order when an event cannot be
	// applied: later events of the same sequence wait behind it. Nil: the stream.
	Sequence func(Event) string
	// NewBatch is an empty batch: a [PostgresBatch] or a [ClickHouseBatch],
	// as the store asks for.
	NewBatch func() Batch
}

// Table is a table of a projection, with what identifies a row.
//
// A column log_offset is where the event lies that a row was told by. An event may have been
// appended twice, the first copy tells the row, and compaction leaves the last one: so a
// comparison of two generations leaves the column out, unless rows are copies themselves.
type Table struct {
	Name string
	// Key is the SQL expression list of the natural key.
	Key string
	// Replacing says that ClickHouse keeps several versions of a row until it
	// merges them, so that it must be read with FINAL.
	Replacing bool
	// Copies are the columns, as an SQL expression list, by which rows are copies of one
	// another: a comparison looks at the one with the highest log_offset alone, which is
	// what compaction leaves. Empty if there are none. Only for ClickHouse.
	Copies string
}

// Batch gathers what a run of events changes. It is used by one goroutine.
type Batch interface {
	// Add folds one event in. An error means that this event can never be
	// folded; the batch is then as it was before.
	Add(Event) error
}

// PostgresBatch is a batch that is written to Postgres.
type PostgresBatch interface {
	Batch
	// Write brings the changes to the tables of the generation, which is first
	// in the transaction's search path. Statements guard against going back: a
	// row is only replaced by one of a higher offset.
	Write(ctx context.Context, tx pgx.Tx) error
}

// ClickHouseBatch is a batch that is inserted into ClickHouse.
type ClickHouseBatch interface {
	Batch
	// Inserts are the blocks to insert, in an order that depends on nothing
	// but the events added, so that a repeated batch is the same one.
	Inserts() []Insert
}

// ClickHouseRemover is a [ClickHouseBatch] that also removes rows of earlier
// batches.
type ClickHouseRemover interface {
	ClickHouseBatch
	// Removals are made before the inserts, so that what is inserted cannot be
	// merged with what goes. They are made again with a repeated batch, and must
	// not touch its own rows.
	Removals() []Removal
}

// Removal says which rows of a table go.
type Removal struct {
	Table string
	// Where is a condition in ClickHouse's SQL. It holds nothing that came from
	// outside but numbers.
	Where string
}

// Insert is one block of rows for one table.
type Insert struct {
	Table   string
	Columns string
	Rows    int
	// Fill hands over the columns.
	Fill func(driver.Batch) error
}

func (p Projection) sequence(e Event) string {
	switch {
	case p.Envelopes:
		return ""
	case p.Sequence == nil:
		return string(e.Stream)
	default:
		return p.Sequence(e)
	}
}
