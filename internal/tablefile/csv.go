package tablefile

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/spreadsheet"
)

// csvHeld is the most rows of CSV that are held back.
const csvHeld = 256

// CSV writes a table as RFC 4180 has it, with a header line. Times are written as
// "2006-01-02 15:04:05" in UTC, amounts as "1234.50", flags as "yes" and "no", and
// what has no value as nothing. Texts that a spreadsheet would take for formulas
// are made harmless. It must not be used concurrently.
type CSV struct {
	columns []Column
	out     *csv.Writer
	line    []string
	held    int
}

// NewCSV writes the header. It fails if w does.
func NewCSV(w io.Writer, columns []Column) (*CSV, error) {
	c := &CSV{columns: columns, out: csv.NewWriter(w), line: make([]string, len(columns))}
	c.out.UseCRLF = true
	for i, column := range columns {
		c.line[i] = spreadsheet.Harmless(column.Name)
	}
	if err := c.out.Write(c.line); err != nil {
		return nil, fmt.Errorf("writing CSV: %w", err)
	}
	return c, nil
}

// Write writes a row with a cell for each column. The row is not kept.
func (c *CSV) Write(row []Cell) error {
	if len(row) != len(c.columns) {
		return fmt.Errorf("writing CSV: a row has %d cells, there are %d columns", len(row), len(c.columns))
	}
	for i, column := range c.columns {
		c.line[i] = csvText(column.Kind, row[i])
	}
	if err := c.out.Write(c.line); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	if c.held++; c.held >= csvHeld {
		return c.flush()
	}
	return nil
}

// Held counts the rows that were taken and not handed on yet.
func (c *CSV) Held() int { return c.held }

func (c *CSV) flush() error {
	c.held = 0
	c.out.Flush()
	if err := c.out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// Close hands on what is held. It does not close what is written to.
func (c *CSV) Close() error { return c.flush() }

func csvText(kind Kind, cell Cell) string {
	if cell.None() {
		return ""
	}
	switch kind {
	case Integer:
		return strconv.FormatInt(cell.number, 10)
	case Number:
		// It is digits, and below zero no formula.
		return cell.text
	case Money:
		return amount(cell.number)
	case Time:
		return cell.at.Format(time.DateTime)
	case Flag:
		if cell.number != 0 {
			return "yes"
		}
		return "no"
	case Text, JSON:
		return spreadsheet.Harmless(cell.text)
	default:
		return ""
	}
}
