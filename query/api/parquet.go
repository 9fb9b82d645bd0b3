package api

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/postgres"
)

// writeTable writes rows as Parquet.
func writeTable(w io.Writer, columns []tablefile.Column, rows [][]tablefile.Cell) error {
	file, err := tablefile.NewParquet(w, columns)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := file.Write(row); err != nil {
			return err
		}
	}
	return file.Close()
}

// writeParquet writes a slice of structs as Parquet: the columns of [writeCSV], with
// types. What the JSON leaves out has no value. Lists and objects are JSON.
func writeParquet(w io.Writer, rows any) error {
	list := reflect.ValueOf(rows)
	fields := columnsOf(list.Type().Elem(), nil)
	columns := make([]tablefile.Column, len(fields))
	for i, f := range fields {
		of := list.Type().Elem().FieldByIndex(f.index)
		columns[i] = tablefile.Column{Name: f.name, Kind: kindOf(of.Type), Optional: of.Type.Kind() == reflect.Pointer || leftOut(of)}
	}
	table := make([][]tablefile.Cell, list.Len())
	for n := range table {
		table[n] = make([]tablefile.Cell, len(fields))
		for i, f := range fields {
			value := list.Index(n).FieldByIndex(f.index)
			if columns[i].Optional && value.IsZero() {
				continue
			}
			var err error
			if table[n][i], err = cellOf(columns[i].Kind, value); err != nil {
				return fmt.Errorf("writing %s of row %d as Parquet: %w", f.name, n+1, err)
			}
		}
	}
	return writeTable(w, columns, table)
}

// leftOut tells whether the JSON leaves a field out that is empty.
func leftOut(f reflect.StructField) bool {
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
}

func kindOf(t reflect.Type) tablefile.Kind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return tablefile.Time
	case reflect.TypeFor[Money]():
		return tablefile.Money
	case reflect.TypeFor[json.Number]():
		return tablefile.Number
	}
	switch t.Kind() { //nolint:exhaustive // whatever else there is is written as JSON
	case reflect.String:
		return tablefile.Text
	case reflect.Int, reflect.Int32, reflect.Int64:
		return tablefile.Integer
	case reflect.Float32, reflect.Float64:
		return tablefile.Number
	case reflect.Bool:
		return tablefile.Flag
	default:
		return tablefile.JSON
	}
}

// cellOf is a value of the kind that its type has by [kindOf].
func cellOf(kind tablefile.Kind, v reflect.Value) (tablefile.Cell, error) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return tablefile.Moment(value), nil
	case Money:
		return moneyCell(value)
	}
	switch kind {
	case tablefile.Text:
		return tablefile.String(v.String()), nil
	case tablefile.Integer:
		return tablefile.Int(v.Int()), nil
	case tablefile.Number:
		if v.CanFloat() {
			return tablefile.Decimal(strconv.FormatFloat(v.Float(), 'g', -1, 64)), nil
		}
		return tablefile.Decimal(v.String()), nil
	case tablefile.Flag:
		return tablefile.Bool(v.Bool()), nil
	case tablefile.JSON, tablefile.Money, tablefile.Time:
		return jsonCell(v.Interface())
	default:
		return jsonCell(v.Interface())
	}
}

func moneyCell(m Money) (tablefile.Cell, error) {
	isk, err := eve.ParseISK(json.Number(m))
	return tablefile.Hundredths(int64(isk)), err
}

func jsonCell(v any) (tablefile.Cell, error) {
	text, err := json.Marshal(v)
	return tablefile.String(string(text)), err
}

// writeParquet writes the items in typed columns. A column in which a value is not
// what ESI's description says is JSON on this page, so that nothing gets lost.
func (r itemRows) writeParquet(w io.Writer) error {
	columns := make([]tablefile.Column, len(r.columns))
	table := make([][]tablefile.Cell, len(r.items))
	for n := range table {
		table[n] = make([]tablefile.Cell, len(columns))
	}
	for i, name := range r.columns {
		columns[i] = tablefile.Column{Name: name, Kind: r.kind(name), Optional: true}
		if r.fill(table, i, columns[i].Kind) {
			continue
		}
		columns[i].Kind = tablefile.JSON
		for n, item := range r.items {
			table[n][i] = tablefile.Cell{}
			if item[name] == nil {
				continue
			}
			var err error
			if table[n][i], err = jsonCell(item[name]); err != nil {
				return fmt.Errorf("writing %s of row %d as Parquet: %w", name, n+1, err)
			}
		}
	}
	return writeTable(w, columns, table)
}

// fill sets the cells of a column, unless a value is not of the kind.
func (r itemRows) fill(table [][]tablefile.Cell, column int, kind tablefile.Kind) bool {
	for n, item := range r.items {
		cell, fits := itemCell(kind, item[r.columns[column]])
		if !fits {
			return false
		}
		table[n][column] = cell
	}
	return true
}

// kind is the kind of a column; those with names and plain texts are no fields of
// ESI's.
func (r itemRows) kind(column string) tablefile.Kind {
	at := slices.IndexFunc(r.fields, func(f postgres.Field) bool { return f.Name == column })
	if at < 0 {
		return tablefile.Text
	}
	switch r.fields[at].Kind {
	case postgres.FieldBool:
		return tablefile.Flag
	case postgres.FieldInt, postgres.FieldID, postgres.FieldType, postgres.FieldLocation, postgres.FieldEntity:
		return tablefile.Integer
	case postgres.FieldNumber:
		return tablefile.Number
	case postgres.FieldISK:
		return tablefile.Money
	case postgres.FieldTime:
		return tablefile.Time
	case postgres.FieldJSON:
		return tablefile.JSON
	case postgres.FieldText, postgres.FieldDate, postgres.FieldMarkup:
		return tablefile.Text
	default:
		return tablefile.Text
	}
}

// itemCell is a value of an item, if it is of the kind.
func itemCell(kind tablefile.Kind, v any) (cell tablefile.Cell, fits bool) {
	if v == nil {
		return cell, true
	}
	switch kind {
	case tablefile.Text:
		// Some of the texts that are Muster's own have types of their own.
		text := reflect.ValueOf(v)
		_, number := v.(json.Number)
		if text.Kind() != reflect.String || number {
			return cell, false
		}
		return tablefile.String(text.String()), true
	case tablefile.Flag:
		b, is := v.(bool)
		return tablefile.Bool(b), is
	case tablefile.Integer:
		number, is := v.(json.Number)
		n, err := number.Int64()
		return tablefile.Int(n), is && err == nil
	case tablefile.Number:
		number, is := v.(json.Number)
		_, err := number.Float64()
		return tablefile.Decimal(number.String()), is && err == nil
	case tablefile.Money:
		m, is := v.(Money)
		cell, err := moneyCell(m)
		return cell, is && err == nil
	case tablefile.Time:
		text, _ := v.(string)
		at, err := time.Parse(time.RFC3339, text)
		return tablefile.Moment(at), err == nil
	case tablefile.JSON:
		cell, err := jsonCell(v)
		return cell, err == nil
	default:
		return cell, false
	}
}
