package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
)

// Character is the character with the state of its sections. Its login is never
// told: it is not in the log.
func (c *Character) Character(context.Context, int64) (postgres.Character, []postgres.SectionState, error) {
	shown := c.shown()
	return shown, postgres.SectionStates(shown, c.state), nil
}

func (c *Character) shown() postgres.Character {
	who := *c.registration
	if d := c.identity; d != nil {
		name := cmp.Or(d.name, who.name)
		who = *d
		who.name = name
	}
	shown := postgres.Character{
		CharacterID: c.id, Name: who.name, CorporationID: who.corporation, AllianceID: who.alliance, UserID: c.owner.user,
		Status: postgres.CharacterActive, RegisteredAt: c.owner.since, Scopes: slices.Clone(c.owner.scopes), Origin: c.told,
	}
	switch {
	case c.orphaned:
		shown.Status, shown.UserID = postgres.CharacterOrphaned, ""
	case c.disabled:
		shown.Status = postgres.CharacterDisabled
	}
	shown.FailingSections = len(c.model.Character(c.id).Failing)
	return shown
}

func (c *Character) state(section eve.Section) postgres.SectionState {
	var s postgres.SectionState
	seen := func(at time.Time) {
		if s.ObservedAt == nil || s.ObservedAt.Before(at) {
			s.ObservedAt = &at
		}
	}
	if observed, is := c.model.Character(c.id).Sections[section]; is {
		seen(inPostgres(observed.ObservedAt))
	}
	if at, is := c.recorded[section]; is {
		seen(at)
	}
	s.Origin = later(c.seen[section], c.lastTold[section])
	misfit, misfits := c.misfits[section]
	switch f, failing := c.model.Character(c.id).Failing[section]; {
	case failing:
		s.Failure = &postgres.SectionFailure{Class: f.Class, Status: f.Status, Message: f.Message, Since: inPostgres(f.Since)}
	case misfits:
		s.Failure = postgres.MisfitSince(misfit)
	}
	return s
}

// State is a section without its content. It fails with [event.CodeNotFound] if
// there is no such section.
func (c *Character) State(ctx context.Context, id int64, name eve.Section) (postgres.Section, error) {
	_, states, err := c.Character(ctx, id)
	if err != nil {
		return postgres.Section{}, err
	}
	for _, state := range states {
		if state.Section == name {
			return postgres.Section{CharacterID: c.id, SectionState: state}, nil
		}
	}
	return postgres.Section{}, postgres.NoSection(name)
}

// Section is a section, its lists included. It fails with [event.CodeNotFound] if
// there is no such section.
func (c *Character) Section(ctx context.Context, id int64, name eve.Section) (postgres.Section, error) {
	s, err := c.State(ctx, id, name)
	if err != nil {
		return s, err
	}
	observed, is := c.model.Character(c.id).Sections[name]
	if !is {
		return s, nil
	}
	content, err := eve.Dissect(name, postgres.Stored(observed.Value))
	if err != nil {
		return s, err
	}
	for i := range content.Lists {
		slices.SortFunc(content.Lists[i].Items, func(a, b eve.Item) int { return byKey(a.Key, b.Key) })
	}
	at := inPostgres(observed.ObservedAt)
	s.ObservedAt, s.ContentHash, s.Value, s.Origin = &at, observed.ContentHash, content.Value(), c.seen[name]
	return s, nil
}

// byKey orders keys as Postgres does: shorter ones first, which is the order of
// numbers.
func byKey(a, b string) int {
	return cmp.Or(cmp.Compare(utf8.RuneCountInString(a), utf8.RuneCountInString(b)), strings.Compare(a, b))
}

// Elements lists the elements of a list of a section, the ship that the character
// is in among the assets.
func (c *Character) Elements(_ context.Context, filter postgres.ElementFilter) ([]postgres.Element, error) {
	list, err := c.listed(filter.Section, filter.List)
	if err != nil {
		return nil, err
	}
	if filter.Section == eve.SectionAssets {
		if ship, is := c.currentShip(list); is {
			list = append(list, ship)
		}
	}
	slices.SortFunc(list, func(a, b postgres.Element) int { return byKey(a.Key, b.Key) })
	around := map[string]bool{}
	for _, e := range list {
		around[e.Key] = filter.Directly
	}
	list = slices.DeleteFunc(list, func(e postgres.Element) bool {
		location, _ := textOf(fieldsOf(e.Value)["location_id"])
		return around[location] || !matches(e.Value, filter.Where) || (filter.After != nil && byKey(e.Key, filter.After.Key) <= 0)
	})
	if filter.Limit > 0 {
		list = list[:min(len(list), filter.Limit)]
	}
	return list, nil
}

func (c *Character) listed(section eve.Section, path string) ([]postgres.Element, error) {
	observed, is := c.model.Character(c.id).Sections[section]
	if !is {
		return nil, nil
	}
	content, err := eve.Dissect(section, postgres.Stored(observed.Value))
	if err != nil {
		return nil, err
	}
	last := c.seen[section]
	base := c.whole[section]
	before, err := elementsOf(section, base, path)
	if err != nil {
		return nil, err
	}
	var list []postgres.Element
	for _, l := range content.Lists {
		if l.Path != path {
			continue
		}
		for _, item := range l.Items {
			e := postgres.Element{Key: postgres.StoredKey(item.Key), Value: item.Raw, Origin: last}
			if raw, there := before[item.Key]; there && same(raw, item.Raw) {
				// A difference says nothing of what is as it was.
				e.Origin = base.origin
			}
			list = append(list, e)
		}
	}
	return list, nil
}

// elementsOf are the elements of a list of a whole observation by their keys.
func elementsOf(section eve.Section, base whole, path string) (map[string]json.RawMessage, error) {
	content, err := eve.Dissect(section, postgres.Stored(base.value))
	if err != nil {
		return nil, err
	}
	elements := map[string]json.RawMessage{}
	for _, l := range content.Lists {
		if l.Path != path {
			continue
		}
		for _, item := range l.Items {
			elements[item.Key] = item.Raw
		}
	}
	return elements, nil
}

// same tells whether two elements say the same, however they are written.
func same(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, err := eve.Canonical(a)
	y, err2 := eve.Canonical(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// later is that of two events of a stream that comes later in the log.
func later(a, b event.Origin) event.Origin {
	if !b.Known() || a.Known() && a.Position.Offset > b.Position.Offset {
		return a
	}
	return b
}

// currentShip is the ship that the character is in, as an asset, if ESI does not
// list it: see the view current_ships of the read model.
func (c *Character) currentShip(assets []postgres.Element) (postgres.Element, bool) {
	sections := c.model.Character(c.id).Sections
	ship, is := sections[eve.SectionShip]
	if _, known := sections[eve.SectionAssets]; !is || !known {
		return postgres.Element{}, false
	}
	in, at := fieldsOf(ship.Value), fieldsOf(sections[eve.SectionLocation].Value)
	item, is := numberOf(in, "ship_item_id")
	shipType, typed := numberOf(in, "ship_type_id")
	const capsule, goldenCapsule = 670, 33328
	key := strconv.FormatInt(item, 10)
	// Without a type it cannot be told from a capsule.
	if !is || !typed || shipType == capsule || shipType == goldenCapsule || slices.ContainsFunc(assets, func(e postgres.Element) bool { return e.Key == key }) {
		return postgres.Element{}, false
	}
	asset := map[string]any{
		"is_current_ship": true, "is_singleton": true, "item_id": item, "location_flag": "Hangar", "quantity": 1, "type_id": shipType,
	}
	for _, place := range []struct{ field, kind string }{{"station_id", "station"}, {"structure_id", "item"}, {"solar_system_id", "solar_system"}} {
		if id, is := numberOf(at, place.field); is {
			asset["location_id"], asset["location_type"] = id, place.kind
			break
		}
	}
	if name := in["ship_name"]; name != nil && !bytes.Equal(name, []byte("null")) {
		asset["name"] = postgres.Stored(name)
	}
	value, err := json.Marshal(asset)
	return postgres.Element{Key: key, Value: value, Origin: c.seen[eve.SectionShip]}, err == nil
}

func fieldsOf(object json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return nil
	}
	return fields
}

// numberOf is what the read model's function of that name makes of a field.
func numberOf(fields map[string]json.RawMessage, name string) (int64, bool) {
	text, is := textOf(fields[name])
	if !is {
		return 0, false
	}
	number, err := strconv.ParseInt(text, 10, 64)
	return number, err == nil && text[0] != '+'
}

// textOf is a JSON value as a text, as Postgres' ->> has it; false for null.
func textOf(value json.RawMessage) (string, bool) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 || bytes.Equal(value, []byte("null")) {
		return "", false
	}
	if value[0] != '"' {
		return string(value), true
	}
	var text string
	return text, json.Unmarshal(value, &text) == nil
}

func matches(value json.RawMessage, where map[string]string) bool {
	if len(where) == 0 {
		return true
	}
	fields := fieldsOf(value)
	for name, want := range where {
		if text, is := textOf(fields[name]); !is || text != want {
			return false
		}
	}
	return true
}

// Records lists the records of a section, the newest first.
func (c *Character) Records(_ context.Context, filter postgres.RecordFilter) ([]postgres.Record, error) {
	var list []postgres.Record
	for key, r := range c.records[filter.Section] {
		shown, err := r.shown(key)
		if err != nil {
			return nil, err
		}
		switch {
		case !filter.From.IsZero() && shown.At.Before(filter.From), !filter.To.IsZero() && !shown.At.Before(filter.To):
		case !matches(shown.Value, filter.Where), !reaches(shown.Value, filter.Label, filter.Recipient):
		case filter.Before != nil && cmp.Or(shown.At.Compare(filter.Before.At), byKey(key, filter.Before.Key)) >= 0:
		default:
			list = append(list, shown)
		}
	}
	slices.SortFunc(list, func(a, b postgres.Record) int { return -cmp.Or(a.At.Compare(b.At), byKey(a.Key, b.Key)) })
	return list[:min(len(list), filter.Limit)], nil
}

func (r *record) shown(key string) (postgres.Record, error) {
	value, err := postgres.StoredRecord(r.fields)
	return postgres.Record{Key: key, At: r.at, ObservedAt: r.observedAt, Value: value, Origin: r.origin}, err
}

// reaches tells whether a mail bears a label and went to somebody, as far as these are
// not zero.
func reaches(value json.RawMessage, label, recipient int64) bool {
	if label == 0 && recipient == 0 {
		return true
	}
	fields := fieldsOf(value)
	var labels []json.RawMessage
	var recipients []map[string]json.RawMessage
	_ = json.Unmarshal(fields["labels"], &labels) // What is no list has nothing.
	_ = json.Unmarshal(fields["recipients"], &recipients)
	is := func(value json.RawMessage, id int64) bool {
		text, is := textOf(value)
		return is && text == strconv.FormatInt(id, 10)
	}
	return (label == 0 || slices.ContainsFunc(labels, func(v json.RawMessage) bool { return is(v, label) })) &&
		(recipient == 0 || slices.ContainsFunc(recipients, func(r map[string]json.RawMessage) bool { return is(r["recipient_id"], recipient) }))
}

// Record is one record of a section. It fails with [event.CodeNotFound] if there was
// none with the key.
func (c *Character) Record(_ context.Context, id int64, section eve.Section, key string) (postgres.Record, error) {
	r, is := c.records[section][key]
	if !is {
		return postgres.Record{}, postgres.NoRecord(id, section, key)
	}
	return r.shown(key)
}

// MailingLists are the names of the mailing lists that the character was subscribed
// to until then.
func (c *Character) MailingLists(context.Context, int64) (map[int64]string, error) {
	names := make(map[int64]string, len(c.lists))
	for id, name := range c.lists {
		names[id] = strings.ReplaceAll(name, "\x00", "\uFFFD")
	}
	return names, nil
}

// AssetsValue is nil: the prices of then are not known.
func (c *Character) AssetsValue(context.Context, int64) (*decimal.Decimal, error) { return nil, nil }

// Assets are all assets of the character, the ship that it was in among them.
func (c *Character) Assets(ctx context.Context, id int64) ([]eve.Asset, error) {
	list, err := c.Elements(ctx, postgres.ElementFilter{CharacterID: id, Section: eve.SectionAssets})
	if err != nil {
		return nil, err
	}
	var assets []eve.Asset
	for _, e := range list {
		fields := fieldsOf(e.Value)
		item, is := numberOf(fields, "item_id")
		kind, typed := numberOf(fields, "type_id")
		location, placed := numberOf(fields, "location_id")
		if !is || !typed || !placed {
			continue
		}
		quantity, _ := numberOf(fields, "quantity")
		isCopy, _ := textOf(fields["is_blueprint_copy"])
		assets = append(assets, eve.Asset{ItemID: item, TypeID: kind, LocationID: location, Quantity: quantity, IsCopy: isCopy == "true"})
	}
	return assets, nil
}

// AssetPlaces says where locations of assets are, and what lies in items.
func (c *Character) AssetPlaces(ctx context.Context, id int64, locations, items []int64) (postgres.AssetPlaces, error) {
	assets, err := c.Assets(ctx, id)
	found := postgres.AssetPlaces{Place: map[int64]int64{}, Within: map[int64]int{}}
	tree := eve.NewAssetTree(assets)
	for _, location := range locations {
		found.Place[location] = tree.PlaceOf(location)
	}
	for _, item := range items {
		if n := tree.Within(item); n > 0 {
			found.Within[item] = n
		}
	}
	return found, err
}

// UnreadByList counts the mails to each mailing list that were not read.
func (c *Character) UnreadByList(context.Context, int64) (map[int64]int64, error) {
	unread := map[int64]int64{}
	for key, r := range c.records[eve.SectionMails] {
		shown, err := r.shown(key)
		if err != nil {
			return nil, err
		}
		var recipients []map[string]json.RawMessage
		fields := fieldsOf(shown.Value)
		_ = json.Unmarshal(fields["recipients"], &recipients) // What is no list has nobody.
		if read, _ := textOf(fields["is_read"]); read == "true" {
			continue
		}
		for _, recipient := range recipients {
			if kind, _ := textOf(recipient["recipient_type"]); kind == "mailing_list" {
				if id, is := numberOf(recipient, "recipient_id"); is {
					unread[id]++
				}
			}
		}
	}
	return unread, nil
}

// Journal lists entries of the wallet's journal, at most filter.Limit, the newest
// first.
func (c *Character) Journal(_ context.Context, filter clickhouse.JournalFilter) ([]clickhouse.JournalEntry, error) {
	var list []clickhouse.JournalEntry
	for _, e := range c.journal {
		switch {
		case !filter.From.IsZero() && e.Date.Before(filter.From), !filter.To.IsZero() && !e.Date.Before(filter.To):
		case len(filter.RefTypes) > 0 && !slices.Contains(filter.RefTypes, e.Type):
		case filter.Before != nil && cmp.Or(e.Date.Compare(filter.Before.Date), cmp.Compare(e.ID, filter.Before.ID)) >= 0:
		default:
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b clickhouse.JournalEntry) int {
		return -cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.ID, b.ID))
	})
	return list[:min(len(list), filter.Limit)], nil
}

// SkillsOf are the skills of the character, of the given types alone.
func (c *Character) SkillsOf(_ context.Context, _, types []int64) (map[int64]eve.Skills, error) {
	list, err := c.listed(eve.SectionSkills, "skills")
	if err != nil {
		return nil, err
	}
	skills := eve.Skills{}
	for _, e := range list {
		id, err := strconv.ParseInt(e.Key, 10, 64)
		if err != nil || !slices.Contains(types, id) {
			continue
		}
		fields := fieldsOf(e.Value)
		active, _ := numberOf(fields, "active_skill_level")
		trained, _ := numberOf(fields, "trained_skill_level")
		points, _ := numberOf(fields, "skillpoints_in_skill")
		skills[id] = eve.SkillState{Active: int(active), Trained: int(trained), Points: points}
	}
	return map[int64]eve.Skills{c.id: skills}, nil
}
