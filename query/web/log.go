package web

import (
	"bytes"
	"encoding/json"
	"net/url"
)

// events lists what is in the log.
func (s *Site) events(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(eventList("events", "/v1/events", []filter{
		{Name: "stream", Wide: true},
		{Name: "type_prefix", Wide: true},
		{Name: "character_id", Kind: "number"},
		{Name: "consortium"},
		{Name: "actor"},
		{Name: "section"},
		{Name: "correlation_id", Wide: true},
		{Name: "since", Kind: "datetime"},
		{Name: "until", Kind: "datetime"},
	}))
	if err != nil {
		return err
	}
	return v.show("list", v.T("events.title"), listPage{Intro: v.T("events.intro"), Table: t})
}

// eventList is how lists of events are shown.
func eventList(id, path string, filters []filter) list {
	return list{
		ID: id, Path: path, Filters: filters,
		Columns: []column{
			{Name: "time", Field: "time", Kind: kindTime},
			{Name: "event", Field: "type", Href: toEvent("id")},
			{Name: "stream", Field: "stream", Href: toStream},
			{Name: "section", Cell: sectionCell},
			{Name: "actor", Field: "actor"},
			{Name: "log_position", Cell: positionCell},
			{Name: "size", Field: "size", Kind: kindNumber},
		},
	}
}

// event shows one event with its value.
func (s *Site) event(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	one, err := v.get("/v1/events/"+url.PathEscape(v.path("id")), nil)
	if err != nil {
		return err
	}
	value, err := json.MarshalIndent(one.at("data"), "", "  ")
	if err != nil {
		return err
	}
	return v.show("event", one.Text("type"), struct {
		Facts []fact
		Value string
	}{
		v.facts(one,
			column{Name: "time", Field: "time", Kind: kindTime}, column{Name: "recorded_at", Field: "recorded", Kind: kindTime}, column{Name: "stream", Field: "stream", Href: toStream},
			column{Name: "section", Cell: sectionCell}, column{Name: "actor", Field: "actor"}, column{Name: "source", Field: "source"}, column{Name: "log_position", Cell: positionCell},
			column{Name: "event_id", Field: "id"}, column{Name: "correlation", Field: "correlation_id"}, column{Name: "causation", Field: "causation_id", Href: toEvent("causation_id")},
			column{Name: "size", Field: "size", Kind: kindNumber},
		), string(bytes.TrimSpace(value)),
	})
}

// stream shows one stream from its beginning.
func (s *Site) stream(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	l := eventList("stream", "/v1/streams/"+url.PathEscape(v.path("stream")), []filter{{Name: "order", Options: words("oldest", "newest")}})
	t, answered, err := v.list(l)
	if err != nil {
		return err
	}
	return v.show("stream", v.path("stream"), struct {
		Facts []fact
		Table *table
	}{
		v.facts(answered,
			column{Name: "events", Field: "events", Kind: kindNumber}, column{Name: "size", Field: "bytes", Kind: kindNumber}, column{Name: "first_event", Field: "first_at", Kind: kindTime},
			column{Name: "last_event", Field: "last_at", Kind: kindTime}, column{Name: "partition", Field: "partition"}, column{Name: "topic", Field: "topic"},
		), t,
	})
}
