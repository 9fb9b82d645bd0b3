package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints rows in columns.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// show prints in the format asked for: v as JSON, the rows as CSV or as a table.
func (t *table) show(w io.Writer, format string, v any) error {
	switch format {
	case "json":
		return printJSON(w, v)
	case "csv":
		out := csv.NewWriter(w)
		if err := out.WriteAll(append([][]string{t.head}, t.rows...)); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
		return nil
	default:
		return t.print(w)
	}
}

func (t *table) print(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, strings.ToUpper(strings.Join(t.head, "\t")))
	for _, r := range t.rows {
		fmt.Fprintln(out, strings.Join(r, "\t"))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
