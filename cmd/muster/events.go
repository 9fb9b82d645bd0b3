package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// eventsCommand shows events of the log of a running Muster.
type eventsCommand struct {
	List eventsList `cmd:"" help:"List events, the newest first."`
	Show eventsShow `cmd:"" help:"Show an event with its value, as the log has it."`
}

// Help implements kong's detailed help.
func (c *eventsCommand) Help() string {
	return `Examples:
  muster events list --character 90000001 --section wallet
  muster events list --consortium primed --type-prefix muster.anvil.finding --output csv
  muster events show 0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11`
}

type eventsList struct {
	Type       []string  `help:"Only of these types." placeholder:"TYPE"`
	TypePrefix string    `help:"Only of types that begin with this." placeholder:"TEXT"`
	Stream     string    `help:"Only of this stream." placeholder:"STREAM"`
	Character  int64     `help:"Only of this character." placeholder:"ID"`
	Consortium string    `help:"Only of this consortium." placeholder:"NAME"`
	Actor      string    `help:"Only those that this actor caused." placeholder:"ID"`
	Section    []string  `help:"Only about these sections." placeholder:"NAME"`
	Since      time.Time `help:"Of facts at this moment or later (RFC 3339)." placeholder:"TIME"`
	Until      time.Time `help:"Of facts before this moment (RFC 3339)." placeholder:"TIME"`
	Limit      int       `help:"How many to show." default:"100" placeholder:"N"`
	Output     string    `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// eventAnswer is an event as the API shows it.
type eventAnswer struct {
	ID            string    `json:"id"`
	Stream        string    `json:"stream"`
	World         string    `json:"world"`
	Type          string    `json:"type"`
	StreamVersion *int64    `json:"stream_version"`
	Time          time.Time `json:"time"`
	Recorded      time.Time `json:"recorded"`
	Source        string    `json:"source"`
	Actor         string    `json:"actor"`
	CorrelationID string    `json:"correlation_id"`
	CausationID   string    `json:"causation_id"`
	CharacterID   *int64    `json:"character_id"`
	Consortium    *string   `json:"consortium"`
	Section       *string   `json:"section"`
	ContentHash   *string   `json:"content_hash"`
	Size          uint64    `json:"size"`
	Topic         string    `json:"topic"`
	Partition     int32     `json:"partition"`
	Offset        int64     `json:"offset"`
}

// Run implements the subcommand.
func (c *eventsList) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	query := span(c.Since, c.Until)
	for name, value := range map[string]string{
		"type": strings.Join(c.Type, ","), "type_prefix": c.TypePrefix, "stream": c.Stream, "consortium": c.Consortium, "actor": c.Actor, "section": strings.Join(c.Section, ","),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Character != 0 {
		query.Set("character_id", strconv.FormatInt(c.Character, 10))
	}
	list, err := pages[eventAnswer](ctx, api, "/v1/events", query, c.Limit)
	if err != nil {
		return err
	}
	t := newTable("time", "type", "stream", "section", "by", "bytes", "event", "place")
	for _, e := range list {
		section := ""
		if e.Section != nil {
			section = *e.Section
		}
		t.row(e.Time.UTC().Format(time.RFC3339), e.Type, e.Stream, section, e.Actor, strconv.FormatUint(e.Size, 10), e.ID, placeAnswer{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset}.String())
	}
	return t.show(env.stdout, c.Output, list)
}

type eventsShow struct {
	ID string `arg:"" help:"The event's id."`
}

// Run implements the subcommand.
func (c *eventsShow) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var e json.RawMessage
	if err := api.do(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(c.ID), nil, "", &e); err != nil {
		return err
	}
	return printJSON(env.stdout, e)
}
