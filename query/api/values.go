package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/event"
)

// Money is an amount of ISK as a decimal string with two decimals, such as
// "-1234.50": JSON's numbers are floats to many clients.
type Money string

// Schema implements [huma.SchemaProvider].
func (Money) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: `^-?[0-9]+\.[0-9]{2}$`, Description: "ISK with two decimals", Examples: []any{"1234.50"}}
}

func money(d decimal.Decimal) Money { return Money(d.StringFixed(2)) }

func optionalMoney(d *decimal.Decimal) *Money {
	if d == nil {
		return nil
	}
	return new(money(*d))
}

// optional is nil for the zero value, for ids that stand for "none".
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items" nullable:"false"`
	// NextCursor is absent at the end of the list.
	NextCursor string `json:"next_cursor,omitempty" doc:"Send it as cursor to get what follows; absent at the end."`
}

func (p *Page[T]) rows() any { return p.Items }

// PageInput is what every list takes.
type PageInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"The next_cursor of the page before; leave it out for the first page."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most items of a page."`

	url url.URL
}

// Resolve implements [huma.Resolver]: the request's address is that of the next
// page but for the cursor.
func (p *PageInput) Resolve(ctx huma.Context) []error {
	p.url = ctx.URL()
	return nil
}

// pageOutput is a page of a list.
type pageOutput[T any] struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *Page[T]
}

// cursorText is what a cursor says: of which list, and where in it.
type cursorText[C any] struct {
	List string `json:"l"`
	At   C      `json:"a"`
}

// cursorOf reads a cursor of the named list; nil if there is none. One of
// another list, or of another order of it, is refused with [event.CodeInvalid].
func cursorOf[C any](p PageInput, list string) (*C, error) {
	if p.Cursor == "" {
		return nil, nil //nolint:nilnil // no cursor is the first page
	}
	var c cursorText[C]
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil || c.List != list {
		return nil, event.Errorf(event.CodeInvalid, "cursor: is not one that this list has given: leave it out to start from the beginning")
	}
	return &c.At, nil
}

// pageOf makes a page of up to limit+1 records: one more than fits says that
// there is a next page.
func pageOf[R, T, C any](p PageInput, list string, records []R, show func(R) T, cursor func(R) C) (*pageOutput[T], error) {
	more := len(records) > p.Limit
	if more {
		records = records[:p.Limit]
	}
	out := &pageOutput[T]{Body: &Page[T]{Items: make([]T, 0, len(records))}}
	for _, r := range records {
		out.Body.Items = append(out.Body.Items, show(r))
	}
	if !more {
		return out, nil
	}
	text, err := json.Marshal(cursorText[C]{list, cursor(records[len(records)-1])})
	if err != nil {
		return nil, fmt.Errorf("making a cursor: %w", err)
	}
	out.Body.NextCursor = base64.RawURLEncoding.EncodeToString(text)
	query := p.url.Query()
	query.Set("cursor", out.Body.NextCursor)
	out.Link = fmt.Sprintf("<%s?%s>; rel=\"next\"", p.url.EscapedPath(), query.Encode())
	return out, nil
}

// Conditional is what a GET of a single thing takes.
type Conditional struct {
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag that the client has: if it is still good the answer is 304."`
}

// single is a single thing.
type single[T any] struct {
	ETag string `header:"ETag"`
	Body *versioned[T]
}

// singleOf answers with a thing, or with 304 if the client has it. What a thing
// is called follows from its content, so it holds across servers.
func singleOf[T any](c Conditional, body *T) (*single[T], error) {
	return singleIn(c, "", body)
}

// singleIn is [singleOf] for a thing that can be had in several forms: each has
// versions of its own.
func singleIn[T any](c Conditional, form string, body *T) (*single[T], error) {
	text, err := encode(body)
	if err != nil {
		return nil, fmt.Errorf("naming a version: %w", err)
	}
	// The text itself is written later and stays as it is.
	sum := sha256.Sum256(append(slices.Clip(text), form...))
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	known := slices.ContainsFunc(strings.Split(c.IfNoneMatch, ","), func(s string) bool {
		s = strings.TrimPrefix(strings.TrimSpace(s), "W/")
		return s == etag || s == "*"
	})
	if known {
		return nil, huma.ErrorWithHeaders(huma.Status304NotModified(), http.Header{"Etag": {etag}})
	}
	return &single[T]{ETag: etag, Body: &versioned[T]{body, text}}, nil
}

// notModified is in the description of every GET of a single thing.
func notModified(op huma.Operation) huma.Operation {
	op.Responses = map[string]*huma.Response{"304": {Description: "What the client has is still good."}}
	return op
}

// utcTime is a moment in UTC, for those that come from outside.
func utcTime(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}
