package tablefile

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

const (
	// rowsPerGroup is the most rows of Parquet that are held: a row group.
	rowsPerGroup = 20_000

	// moneyDigits and moneyDecimals are those of amounts; moneyBytes is how many
	// bytes so many digits take.
	moneyDigits, moneyDecimals, moneyBytes = 20, 2, 9
)

// Parquet writes a table as Apache Parquet: integers as INT64, amounts as
// DECIMAL(20,2), times as TIMESTAMP(MILLIS, UTC), numbers as DOUBLE, texts as
// STRING or JSON, flags as BOOLEAN, compressed by Zstandard. A row group at a time
// is held, besides what the file says at its end of each group. Without its end the file
// cannot be read, so a torn one is never taken for a whole one. It must not be used
// concurrently.
type Parquet struct {
	columns []Column
	out     *parquet.GenericWriter[any]
	row     parquet.Row
	amounts [][moneyBytes]byte
	held    int
}

// NewParquet writes the beginning of a file. Names of columns must differ.
func NewParquet(w io.Writer, columns []Column) (*Parquet, error) {
	seen := map[string]bool{}
	for _, c := range columns {
		if c.Name == "" || seen[c.Name] {
			return nil, fmt.Errorf("writing Parquet: the column %q has no name of its own", c.Name)
		}
		seen[c.Name] = true
	}
	schema := parquet.NewSchema("muster", recordOf(columns))
	return &Parquet{
		columns: columns, row: make(parquet.Row, len(columns)), amounts: make([][moneyBytes]byte, len(columns)),
		out: parquet.NewGenericWriter[any](w, schema, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("muster", "", "")),
	}, nil
}

// Write writes a row with a cell for each column. The row is not kept. It fails if
// a cell has no value and its column is not optional.
func (p *Parquet) Write(row []Cell) error {
	if len(row) != len(p.columns) {
		return fmt.Errorf("writing Parquet: a row has %d cells, there are %d columns", len(row), len(p.columns))
	}
	for i, column := range p.columns {
		present := 0
		if column.Optional {
			present = 1
		}
		if row[i].None() {
			if !column.Optional {
				return fmt.Errorf("writing Parquet: %s has no value and must have one", column.Name)
			}
			p.row[i] = parquet.NullValue().Level(0, 0, i)
			continue
		}
		value, err := p.value(i, row[i])
		if err != nil {
			return fmt.Errorf("writing Parquet: %s: %w", column.Name, err)
		}
		p.row[i] = value.Level(0, present, i)
	}
	if _, err := p.out.WriteRows([]parquet.Row{p.row}); err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	if p.held++; p.held < rowsPerGroup {
		return nil
	}
	p.held = 0
	if err := p.out.Flush(); err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	return nil
}

// Held counts the rows that were taken and not handed on yet.
func (p *Parquet) Held() int { return p.held }

// Close writes what is held and the end of the file. It does not close what is
// written to.
func (p *Parquet) Close() error {
	p.held = 0
	if err := p.out.Close(); err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	return nil
}

func (p *Parquet) value(i int, cell Cell) (parquet.Value, error) {
	switch p.columns[i].Kind {
	case Integer:
		return parquet.Int64Value(cell.number), nil
	case Number:
		number, err := strconv.ParseFloat(cell.text, 64)
		if err != nil {
			return parquet.Value{}, fmt.Errorf("%.64q is no number that fits into 64 bits", cell.text)
		}
		return parquet.DoubleValue(number), nil
	case Money:
		// Two's complement, the highest byte first.
		into := &p.amounts[i]
		into[0] = byte(cell.number >> 63)
		binary.BigEndian.PutUint64(into[1:], uint64(cell.number))
		return parquet.FixedLenByteArrayValue(into[:]), nil
	case Time:
		return parquet.Int64Value(cell.at.UnixMilli()), nil
	case Flag:
		return parquet.BooleanValue(cell.number != 0), nil
	case Text, JSON:
		return parquet.ByteArrayValue([]byte(strings.ToValidUTF8(cell.text, "\uFFFD"))), nil
	default:
		return parquet.Value{}, fmt.Errorf("a column of kind %d cannot be written", p.columns[i].Kind)
	}
}

// nodeOf is the type of a column.
func nodeOf(c Column) parquet.Node {
	var node parquet.Node
	switch c.Kind {
	case JSON:
		node = parquet.JSON()
	case Integer:
		node = parquet.Int(64)
	case Number:
		node = parquet.Leaf(parquet.DoubleType)
	case Money:
		node = parquet.Decimal(moneyDecimals, moneyDigits, parquet.FixedLenByteArrayType(moneyBytes))
	case Time:
		node = parquet.Timestamp(parquet.Millisecond)
	case Flag:
		node = parquet.Leaf(parquet.BooleanType)
	case Text:
		node = parquet.String()
	default:
		node = parquet.String()
	}
	if c.Optional {
		return parquet.Optional(node)
	}
	return parquet.Required(node)
}

// record is the type of a row: a [parquet.Group], which would order its fields by
// name, in the order of the columns.
type record struct {
	parquet.Group

	ordered []parquet.Field
}

func recordOf(columns []Column) record {
	r := record{Group: parquet.Group{}}
	for _, c := range columns {
		r.Group[c.Name] = nodeOf(c)
	}
	byName := map[string]parquet.Field{}
	for _, f := range r.Group.Fields() {
		byName[f.Name()] = f
	}
	for _, c := range columns {
		r.ordered = append(r.ordered, byName[c.Name])
	}
	return r
}

// Fields implements [parquet.Node].
func (r record) Fields() []parquet.Field { return r.ordered }
