package esi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// books are what was served of one character, copied so that nothing waits
// while it is read.
type books struct {
	served  [sectionCount]int64
	journal spans
	records [sectionCount][]checkpoint
	details []detail
	names   []named
}

func (s *Simulator) booksOf(c *character) books {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := books{served: c.served, journal: c.journal, records: c.records, details: slices.Clone(c.details), names: slices.Clone(c.names)}
	for i := range b.records {
		b.records[i] = slices.Clone(b.records[i])
	}
	return b
}

func (b *books) detailOf(k detailKind, id int64) *detail {
	c := character{details: b.details}
	return c.detailOf(k, id)
}

// compose fills in the sections and the records.
func (s *Simulator) compose(out *Served, b books) error {
	for i, ms := range b.served {
		if ms == 0 {
			continue
		}
		section := section(i)
		if recordKeys[section] != "" {
			records, err := s.composeRecords(out.CharacterID, section, b)
			if err != nil {
				return fmt.Errorf("records of %s: %w", sectionNames[i], err)
			}
			out.Records[sectionNames[i]] = records
			continue
		}
		name, value, err := s.composeSection(out.CharacterID, section, b)
		if err != nil {
			return fmt.Errorf("section %s: %w", sectionNames[i], err)
		}
		if name != "" {
			out.Sections[name] = value
		}
	}
	return nil
}

// composeSection is a section and its value; without a name if the section is a
// part of another.
func (s *Simulator) composeSection(id int64, which section, b books) (name string, value json.RawMessage, err error) {
	part := func(i section) json.RawMessage {
		return s.world.contentAt(nil, i, id, time.UnixMilli(b.served[i]).UTC())
	}
	name = sectionNames[which]
	switch which {
	case sectionContacts:
		if b.served[sectionContactLabels] == 0 {
			return "", nil, nil
		}
		value, err = json.Marshal(map[string]json.RawMessage{"contacts": part(which), "labels": part(sectionContactLabels)})
	case sectionOrders:
		if b.served[sectionOrderHistory] == 0 {
			return "", nil, nil
		}
		value, err = json.Marshal(map[string]json.RawMessage{"orders": part(which), "history": part(sectionOrderHistory)})
	case sectionMailLabels:
		if b.served[sectionMailLists] == 0 {
			return "", nil, nil
		}
		name = sectionNames[sectionMails]
		value, err = overlay(part(which), map[string]json.RawMessage{"lists": part(sectionMailLists)})
	case sectionContactLabels, sectionOrderHistory, sectionMailLists:
		return "", nil, nil
	case sectionAssets:
		value, err = s.composeAssets(id, part(which), b.names)
	default:
		value = part(which)
	}
	return name, value, err
}

// composeAssets merges the names that were served into the list of assets.
func (s *Simulator) composeAssets(id int64, list json.RawMessage, names []named) (json.RawMessage, error) {
	if len(names) == 0 {
		return list, nil
	}
	at := make(map[int64]time.Time, len(names))
	for _, n := range names {
		at[n.item] = time.UnixMilli(n.world).UTC()
	}
	var assets []json.RawMessage
	if err := json.Unmarshal(list, &assets); err != nil {
		return nil, err
	}
	for i, raw := range assets {
		var asset struct {
			ID int64 `json:"item_id"`
		}
		if err := json.Unmarshal(raw, &asset); err != nil {
			return nil, err
		}
		when, served := at[asset.ID]
		name, ok := "", false
		if served {
			name, ok = s.world.assetName(id, asset.ID, when)
		}
		if !ok || name == "None" {
			continue
		}
		merged, err := overlay(raw, map[string]json.RawMessage{"name": appendString(nil, name)})
		if err != nil {
			return nil, err
		}
		assets[i] = merged
	}
	return json.Marshal(assets)
}

// overlay replaces and adds fields of a JSON object.
func overlay(object json.RawMessage, fields map[string]json.RawMessage) (json.RawMessage, error) {
	merged := map[string]json.RawMessage{}
	if err := json.Unmarshal(object, &merged); err != nil {
		return nil, err
	}
	maps.Copy(merged, fields)
	return json.Marshal(merged)
}

// composeRecords are the records of a section with their details.
func (s *Simulator) composeRecords(id int64, which section, b books) ([]ServedRecord, error) {
	held, err := s.world.held(which, id, b.records[which])
	if err != nil {
		return nil, err
	}
	out := make([]ServedRecord, 0, len(held))
	for _, h := range held {
		r := ServedRecord{Key: recordKey(which, h), Item: h.raw, Details: []string{}, Due: []string{}}
		if err := s.addDetails(&r, id, which, h.key, b); err != nil {
			return nil, fmt.Errorf("record %s: %w", r.Key, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// recordKey is the text of a record's natural key.
func recordKey(which section, h heldRecord) string {
	if which != sectionMining {
		return strconv.FormatInt(h.key, 10)
	}
	date := time.Unix(h.key>>44*86400, 0).UTC().Format(time.DateOnly)
	return strings.Join([]string{date, strconv.FormatInt(h.key>>20&(1<<24-1)+30_000_000, 10), strconv.FormatInt(h.key&(1<<20-1), 10)}, "/")
}

// addDetails lays the details that were served over a record.
func (s *Simulator) addDetails(r *ServedRecord, id int64, which section, key int64, b books) error {
	now := s.clock.World()
	add := func(kind detailKind, name, field string) error {
		at, d := now, b.detailOf(kind, key)
		if d != nil {
			at = d.world()
		}
		body, ok := detailContents[kind](s.world, nil, id, key, at)
		switch {
		case !ok:
			return nil
		case d == nil:
			r.Due = append(r.Due, name)
			return nil
		default:
			return r.lay(name, field, body)
		}
	}
	switch which {
	case sectionMails:
		return add(detailMailBody, "body", "body")
	case sectionCalendar:
		return add(detailCalendarEvent, "details", "")
	case sectionContracts:
		return addContract(r, add)
	case sectionKillmails:
		return s.addKillmail(r, key)
	}
	return nil
}

// addContract adds what contracts of a type have.
func addContract(r *ServedRecord, add func(kind detailKind, name, field string) error) error {
	var listed struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(r.Item, &listed); err != nil {
		return err
	}
	if listed.Type == "item_exchange" || listed.Type == "auction" {
		if err := add(detailContractItems, "items", "/items"); err != nil {
			return err
		}
	}
	if listed.Type != "auction" {
		return nil
	}
	return add(detailContractBids, "bids", "/bids")
}

func (s *Simulator) addKillmail(r *ServedRecord, key int64) error {
	s.sharedMu.Lock()
	_, served := s.killmails[key]
	s.sharedMu.Unlock()
	var listed struct {
		Hash string `json:"killmail_hash"`
	}
	if err := json.Unmarshal(r.Item, &listed); err != nil {
		return err
	}
	body, ok := s.world.appendKillmail(nil, key, listed.Hash)
	switch {
	case !ok:
		return nil
	case !served:
		r.Due = append(r.Due, "details")
		return nil
	default:
		return r.lay("details", "", body)
	}
}

// lay lays a detail over the record: one of its fields; all of them if field is
// empty; or all of it as one field if field begins with a slash.
func (r *ServedRecord) lay(name, field string, body json.RawMessage) error {
	fields := map[string]json.RawMessage{}
	if whole, ok := strings.CutPrefix(field, "/"); ok {
		fields[whole] = body
	} else {
		if err := json.Unmarshal(body, &fields); err != nil {
			return err
		}
		if field != "" {
			fields = map[string]json.RawMessage{field: fields[field]}
		}
	}
	merged, err := overlay(r.Item, fields)
	if err != nil {
		return err
	}
	r.Item, r.Details = merged, append(r.Details, name)
	return nil
}
