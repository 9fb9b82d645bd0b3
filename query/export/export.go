// Package export writes whole collections of facts as tables: those that Member
// Audit exports, with its columns in its order and under its names, so that what
// reads its files reads these. Values that it gets wrong are right here; see the
// topics.
//
// The wallets' journals are read from ClickHouse, which alone holds them; contracts
// and their items from Postgres, which alone holds them as they are now; and so are
// names. Everything is read row by row: what is held does not grow with the number of
// rows.
package export

import (
	"context"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
)

// Characters tells of characters and their contracts; [postgres.CharacterReader]
// does.
type Characters interface {
	EachContract(context.Context, postgres.ContractFilter, func(postgres.Contract) error) error
	EachContractItem(context.Context, postgres.ContractFilter, func(postgres.ContractItem) error) error
	Owners(ctx context.Context, ids []int64) (map[int64]postgres.Owner, error)
	Members(ctx context.Context, corporation int64) ([]int64, error)
	Opened(ctx context.Context, view access.View) ([]int64, error)
	Names(context.Context, postgres.NameRequest) (postgres.Names, error)
	Blueprints(ctx context.Context, types []int64) (map[int64]bool, error)
}

// Wallets tells of journals; [clickhouse.WalletReader] does.
type Wallets interface {
	EachEntry(context.Context, clickhouse.EntryFilter, func(clickhouse.OwnedEntry) error) error
}

// Sink takes the rows of a table, a cell for each column. It must not keep a row.
type Sink interface {
	Write(row []tablefile.Cell) error
}

// Filter says of which facts to tell. Zero fields do not filter.
type Filter struct {
	CharacterID int64
	// CorporationID is the corporation that the character is in now.
	CorporationID int64
	// From is inclusive, To exclusive. They are about the date of an entry, and about
	// when a contract was issued.
	From, To time.Time
	// View is of whose characters to tell; nil tells of all.
	View *access.View
}

func (f Filter) contracts() postgres.ContractFilter { return postgres.ContractFilter(f) }

// Topic is something that can be exported.
type Topic struct {
	Name, Title, Description string
	Columns                  []tablefile.Column
}

// Topics lists all topics by name.
func Topics() []Topic {
	return []Topic{
		{"contract", "Contract", "Contracts of all characters, by the date of issue.", contractColumns()},
		{"contract-item", "Contract Item", "Items of contracts, by contract and record. \"contract pk\" is that of the contract.", itemColumns()},
		{"wallet-journal", "Wallet Journal", "Entries of the wallet journals of all characters, by date.", journalColumns()},
	}
}

// Find is the topic of that name. It fails with [event.CodeNotFound] if there is
// none.
func Find(name string) (Topic, error) {
	var names []string
	for _, t := range Topics() {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Topic{}, event.Errorf(event.CodeNotFound, "there is no export %q: choose from %s", name, strings.Join(names, ", "))
}

// Exporter exports topics. It is safe for concurrent use.
type Exporter struct {
	characters Characters
	wallets    Wallets
}

// New reads from these.
func New(characters Characters, wallets Wallets) *Exporter {
	return &Exporter{characters: characters, wallets: wallets}
}

// Export hands the rows of a topic to out, in its order. It fails with
// [event.CodeNotFound] for a topic or a character that does not exist, with
// [event.CodeInvalid] for times that leave nothing, and with what out fails with. Then
// some rows may have been written.
func (e *Exporter) Export(ctx context.Context, topic string, f Filter, out Sink) error {
	if _, err := Find(topic); err != nil {
		return err
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return event.Errorf(event.CodeInvalid, "from: %s is not before to, %s: nothing lies between them", f.From.Format(time.RFC3339), f.To.Format(time.RFC3339))
	}
	if f.CharacterID != 0 {
		known, err := e.characters.Owners(ctx, []int64{f.CharacterID})
		if err != nil {
			return err
		}
		if _, there := known[f.CharacterID]; !there {
			return event.Errorf(event.CodeNotFound, "there is no character %d: see the list of characters for those that are registered", f.CharacterID)
		}
	}
	switch topic {
	case "contract":
		return e.contracts(ctx, f, out)
	case "contract-item":
		return e.items(ctx, f, out)
	default:
		return e.journal(ctx, f, out)
	}
}

// batchRows is how many rows are held until their names are looked up at once.
const batchRows = 1000

// batch holds rows until there are enough of them to look their names up.
type batch[T any] struct {
	rows []T
	// write looks names up and writes the rows.
	write func([]T) error
}

func (b *batch[T]) add(row T) error {
	b.rows = append(b.rows, row)
	if len(b.rows) < batchRows {
		return nil
	}
	return b.flush()
}

func (b *batch[T]) flush() error {
	if len(b.rows) == 0 {
		return nil
	}
	err := b.write(b.rows)
	b.rows = b.rows[:0]
	return err
}
