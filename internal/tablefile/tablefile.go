// Package tablefile writes tables row by row as files that other programs read:
// CSV and Parquet. What it holds in memory does not grow with the number of rows.
package tablefile

import (
	"strconv"
	"time"
)

// Kind says what a column holds.
type Kind int

// The kinds of columns.
const (
	// Text is any text.
	Text Kind = iota
	// JSON is a text that is one JSON value.
	JSON
	// Integer is a whole number of 64 bits, such as an id.
	Integer
	// Number is a number with any decimals, such as a volume.
	Number
	// Money is an amount with two decimals.
	Money
	// Time is a moment, to the millisecond, UTC.
	Time
	// Flag is true or false.
	Flag
)

// Column is a column of a table.
type Column struct {
	Name string
	Kind Kind
	// Optional tells that a cell may have no value.
	Optional bool
}

// Cell is a value of a row. Its zero value is none.
type Cell struct {
	set    bool
	text   string
	number int64
	at     time.Time
}

// String is a cell of the kinds [Text] and [JSON].
func String(text string) Cell { return Cell{set: true, text: text} }

// Int is a cell of kind [Integer].
func Int(n int64) Cell { return Cell{set: true, number: n} }

// Decimal is a cell of kind [Number], written as in JSON.
func Decimal(number string) Cell { return Cell{set: true, text: number} }

// Hundredths is a cell of kind [Money]: an amount in hundredths.
func Hundredths(n int64) Cell { return Cell{set: true, number: n} }

// Moment is a cell of kind [Time].
func Moment(t time.Time) Cell { return Cell{set: true, at: t.UTC()} }

// Bool is a cell of kind [Flag].
func Bool(b bool) Cell {
	if b {
		return Int(1)
	}
	return Int(0)
}

// None tells that the cell has no value.
func (c Cell) None() bool { return !c.set }

// amount is an amount in hundredths as a decimal text.
func amount(hundredths int64) string {
	sign, n := "", uint64(hundredths)
	if hundredths < 0 {
		sign, n = "-", -n
	}
	text := strconv.FormatUint(n, 10)
	for len(text) < 3 {
		text = "0" + text
	}
	return sign + text[:len(text)-2] + "." + text[len(text)-2:]
}
