package api

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/internal/spreadsheet"
	"github.com/muster-sync/muster/projections/postgres"
)

// Media types.
const (
	mediaJSON    = "application/json"
	mediaYAML    = "application/yaml"
	mediaCSV     = "text/csv"
	mediaHTML    = "text/html"
	mediaProblem = "application/problem+json"
	mediaParquet = "application/vnd.apache.parquet"
)

// offered is the key of an operation's metadata that holds the media types beside
// JSON that its answer can be had as.
const offered = "media"

// files is the key of an operation's metadata that holds the media types that its
// answer can be had as, if JSON is none of them.
const files = "files"

// table is an answer that can be written as CSV and as Parquet: a slice of structs,
// or items.
type table interface{ rows() any }

// document is an answer that can be written as a page and as CSV.
type document interface {
	writeHTML(w io.Writer) error
	writeCSV(w io.Writer) error
}

func formats() map[string]huma.Format {
	return map[string]huma.Format{
		mediaJSON: answerJSON(),
		"json":    answerJSON(),
		mediaCSV: {
			Marshal: func(w io.Writer, v any) error {
				v = thingOf(v)
				if d, ok := v.(document); ok {
					return d.writeCSV(w)
				}
				if t, ok := v.(table); ok {
					if rows, ok := t.rows().(itemRows); ok {
						return rows.writeCSV(w)
					}
					return writeCSV(w, t.rows())
				}
				// A problem; see [answer.WriteHeader].
				return huma.DefaultJSONFormat.Marshal(w, v)
			},
		},
		mediaParquet: {
			Marshal: func(w io.Writer, v any) error {
				v = thingOf(v)
				if t, ok := v.(table); ok {
					if rows, ok := t.rows().(itemRows); ok {
						return rows.writeParquet(w)
					}
					return writeParquet(w, t.rows())
				}
				// A problem, as above.
				return huma.DefaultJSONFormat.Marshal(w, v)
			},
		},
		mediaHTML: {
			Marshal: func(w io.Writer, v any) error {
				v = thingOf(v)
				if d, ok := v.(document); ok {
					return d.writeHTML(w)
				}
				// A problem, as above.
				return huma.DefaultJSONFormat.Marshal(w, v)
			},
		},
	}
}

// asTable makes an operation's answer available as CSV and as Parquet.
func asTable(op huma.Operation) huma.Operation {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[offered] = []string{mediaCSV, mediaParquet}
	op.Responses = map[string]*huma.Response{
		"200": {Description: "OK", Content: map[string]*huma.MediaType{
			mediaJSON:    {},
			mediaCSV:     {Schema: &huma.Schema{Type: huma.TypeString, Description: "The items as CSV with a header line. The next page's address is in the header Link."}},
			mediaParquet: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "The items as Apache Parquet with typed columns. The next page's address is in the header Link."}},
		}},
	}
	return op
}

// asDocument makes an operation's answer available as CSV and as a page.
func asDocument(op huma.Operation, lines, page string) huma.Operation {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[offered] = []string{mediaCSV, mediaHTML}
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		mediaJSON: {},
		mediaCSV:  {Schema: &huma.Schema{Type: huma.TypeString, Description: lines}},
		mediaHTML: {Schema: &huma.Schema{Type: huma.TypeString, Description: page}},
	}}
	return op
}

// negotiate has each operation answer in what it offers that the client likes
// best, and in the first of that, which is JSON except for files, if that is nothing.
func (s *Server) negotiate(ctx huma.Context, next func(huma.Context)) {
	offers, isFile := ctx.Operation().Metadata[files].([]string)
	if !isFile {
		others, _ := ctx.Operation().Metadata[offered].([]string)
		offers = append([]string{mediaJSON}, others...)
	}
	best := negotiation.SelectQValue(ctx.Header("Accept"), offers)
	if best == "" {
		best = offers[0]
	}
	next(settled{ctx, best})
}

// requested is [huma.Context] under another name: it has a method Context, which
// a field of that name would hide.
type requested = huma.Context

// settled is a request whose client accepts one media type alone.
type settled struct {
	requested

	media string
}

func (c settled) Header(name string) string {
	if strings.EqualFold(name, "Accept") {
		return c.media
	}
	return c.requested.Header(name)
}

// Unwrap gives the adapter its own context back.
func (c settled) Unwrap() huma.Context { return c.requested }

// writeCSV writes a slice of structs as RFC 4180 has it, with a header line of
// the fields' names in JSON. Lists and objects are written as JSON.
func writeCSV(w io.Writer, rows any) error {
	list := reflect.ValueOf(rows)
	out := csv.NewWriter(w)
	out.UseCRLF = true
	columns := columnsOf(list.Type().Elem(), nil)
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.name
	}
	if err := out.Write(line); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	for n := range list.Len() {
		for i, c := range columns {
			text, err := cell(list.Index(n).FieldByIndex(c.index))
			if err != nil {
				return fmt.Errorf("writing %s of line %d as CSV: %w", c.name, n+1, err)
			}
			line[i] = text
		}
		if err := out.Write(line); err != nil {
			return fmt.Errorf("writing CSV: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// itemRows are items with the columns in which they are written.
type itemRows struct {
	columns []string
	// fields are ESI's fields among them.
	fields []postgres.Field
	items  []Item
}

func (r itemRows) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(r.columns); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	line := make([]string, len(r.columns))
	for n, item := range r.items {
		for i, name := range r.columns {
			line[i] = ""
			if v := item[name]; v != nil {
				text, err := cell(reflect.ValueOf(v))
				if err != nil {
					return fmt.Errorf("writing %s of line %d as CSV: %w", name, n+1, err)
				}
				line[i] = text
			}
		}
		if err := out.Write(line); err != nil {
			return fmt.Errorf("writing CSV: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

type csvColumn struct {
	name  string
	index []int
}

func columnsOf(t reflect.Type, at []int) []csvColumn {
	var columns []csvColumn
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int{}, at...), i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Tag.Get("table") == "-":
		case f.Anonymous && name == "":
			columns = append(columns, columnsOf(f.Type, index)...)
		case f.IsExported() && name != "-":
			columns = append(columns, csvColumn{name, index})
		}
	}
	return columns
}

// cell is a value as a spreadsheet may read it.
func cell(v reflect.Value) (string, error) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "", nil
		}
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return value.Format(time.RFC3339Nano), nil
	case Money:
		// A negative amount begins with a sign and is no formula.
		return string(value), nil
	case json.Number:
		return string(value), nil
	case uuid.UUID:
		return value.String(), nil
	}
	switch v.Kind() { //nolint:exhaustive // whatever else there is is written as JSON
	case reflect.String:
		return spreadsheet.Harmless(v.String()), nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), nil
	default:
		text, err := json.Marshal(v.Interface())
		return spreadsheet.Harmless(string(text)), err
	}
}
