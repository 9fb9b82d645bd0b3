package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/spreadsheet"
)

// characterHistory shows the past of a character.
type characterHistory struct {
	ID      int64     `arg:"" help:"The character's id."`
	Section string    `help:"What changed in this section, instead of what happened across all." placeholder:"NAME"`
	AsOf    time.Time `help:"The character, or the section, as it was at this moment (RFC 3339)." placeholder:"TIME"`
	Kind    []string  `help:"Only what is of these kinds, such as corporation_changed." placeholder:"KIND"`
	Since   time.Time `help:"What is at this moment or later (RFC 3339)." placeholder:"TIME"`
	Until   time.Time `help:"What is before this moment (RFC 3339)." placeholder:"TIME"`
	Limit   int       `help:"How much to show, the newest first." default:"100" placeholder:"N"`
	Output  string    `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}. As of a moment it is always JSON."`
}

// Help implements kong's detailed help.
func (c *characterHistory) Help() string {
	return `Examples:
  muster character history 90000001
  muster character history 90000001 --kind corporation_changed --kind transferred
  muster character history 90000001 --section assets --since 2026-05-01T00:00:00Z
  muster character history 90000001 --section wallet --as-of 2026-05-01T12:00:00Z`
}

// happenedAnswer is what the API says happened to a character.
type happenedAnswer struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Section string    `json:"section,omitempty"`
	Words   string    `json:"words"`
	Amount  string    `json:"amount,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	placeAnswer
}

// placeAnswer is an event and where it lies.
type placeAnswer struct {
	EventID   string `json:"event_id"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (p placeAnswer) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// changeAnswer is what the API says that an event changed of a section.
type changeAnswer struct {
	ObservedAt time.Time `json:"observed_at"`
	placeAnswer
	First        bool            `json:"first,omitempty"`
	AddedCount   int             `json:"added_count"`
	ChangedCount int             `json:"changed_count"`
	RemovedCount int             `json:"removed_count"`
	Value        *itemAnswer     `json:"value,omitempty"`
	Added        json.RawMessage `json:"added"`
	Changed      []itemAnswer    `json:"changed"`
	Removed      json.RawMessage `json:"removed"`
}

type itemAnswer struct {
	List   string          `json:"list,omitempty"`
	Key    string          `json:"key,omitempty"`
	Fields []string        `json:"fields"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// Run implements the subcommand.
func (c *characterHistory) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	path := "/v1/characters/" + strconv.FormatInt(c.ID, 10)
	if !c.AsOf.IsZero() {
		if c.Section != "" {
			path += "/" + url.PathEscape(c.Section)
		}
		query := url.Values{"as_of": {c.AsOf.UTC().Format(time.RFC3339Nano)}}
		var then json.RawMessage
		if err := api.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, "", &then); err != nil {
			return err
		}
		return printJSON(env.stdout, then)
	}
	query := span(c.Since, c.Until)
	if c.Section != "" {
		if len(c.Kind) > 0 {
			return event.Errorf(event.CodeInvalid, "--kind chooses from what happened across all sections: leave it out with --section")
		}
		return c.changes(ctx, env, api, path+"/"+url.PathEscape(c.Section)+"/changes", query)
	}
	if len(c.Kind) > 0 {
		query.Set("kind", strings.Join(c.Kind, ","))
	}
	list, err := pages[happenedAnswer](ctx, api, path+"/timeline", query, c.Limit)
	if err != nil {
		return err
	}
	t := newTable("at", "kind", "what", "by", "event", "place")
	for _, h := range list {
		words := h.Words
		if c.Output == "csv" {
			// It has names in it that players chose.
			words = spreadsheet.Harmless(words)
		}
		t.row(h.At.UTC().Format(time.RFC3339), h.Kind, words, h.Actor, h.EventID, h.String())
	}
	return t.show(env.stdout, c.Output, list)
}

func (c *characterHistory) changes(ctx context.Context, env *environment, api *client, path string, query url.Values) error {
	list, err := pages[changeAnswer](ctx, api, path, query, c.Limit)
	if err != nil {
		return err
	}
	t := newTable("observed", "added", "changed", "removed", "fields", "event", "place")
	for _, change := range list {
		fields := ""
		switch {
		case change.First:
			fields = "(first reading)"
		case change.Value != nil:
			fields = strings.Join(change.Value.Fields, " ")
		}
		t.row(change.ObservedAt.UTC().Format(time.RFC3339), strconv.Itoa(change.AddedCount), strconv.Itoa(change.ChangedCount), strconv.Itoa(change.RemovedCount),
			fields, change.EventID, change.String())
	}
	return t.show(env.stdout, c.Output, list)
}

// span are the parameters of a span of time.
func span(since, until time.Time) url.Values {
	query := url.Values{}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if !until.IsZero() {
		query.Set("until", until.UTC().Format(time.RFC3339Nano))
	}
	return query
}

// pages reads a list page by page, up to limit items.
func pages[T any](ctx context.Context, api *client, path string, query url.Values, limit int) ([]T, error) {
	if limit < 1 {
		return nil, event.Errorf(event.CodeInvalid, "--limit %d: must be positive", limit)
	}
	list := []T{}
	for {
		const most = 1000
		query.Set("limit", strconv.Itoa(min(most, limit-len(list))))
		var page struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if err := api.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, "", &page); err != nil {
			return nil, err
		}
		list = append(list, page.Items...)
		if page.NextCursor == "" || len(list) >= limit {
			return list, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
