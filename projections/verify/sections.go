package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

type sectionOf struct {
	id      int64
	section eve.Section
}

func (k sectionOf) stream() event.Stream { return event.Character(k.id) }

// canonical is what a JSON value says. NUL and bytes that are no text count as
// U+FFFD, which stands in their place in Postgres.
func canonical(value []byte) string {
	if len(value) == 0 {
		return ""
	}
	written, err := eve.Canonical(bytes.ToValidUTF8(value, []byte("\uFFFD")))
	if err != nil {
		return "not JSON: " + string(value)
	}
	if !bytes.Contains(written, []byte(`\u0000`)) {
		return string(written)
	}
	// A backslash that is itself escaped begins no escape.
	var out strings.Builder
	for i := 0; i < len(written); i++ {
		switch {
		case bytes.HasPrefix(written[i:], []byte(`\u0000`)):
			out.WriteString("\uFFFD")
			i += len(`\u0000`) - 1
		case written[i] == '\\':
			out.Write(written[i : i+2])
			i++
		default:
			out.WriteByte(written[i])
		}
	}
	return out.String()
}

// contentOf takes the value of a section apart. A section that is not known has
// no lists.
func contentOf(s eve.Section, value []byte) (eve.Content, error) {
	if shape, known := eve.ShapeOf(s); !known || len(shape.Lists) == 0 {
		return eve.Content{Section: s, Head: value}, nil
	}
	return eve.Dissect(s, value)
}

// sectionRows compares the sections but for their lists.
func (c characterRows) sectionRows(ctx context.Context) error {
	var (
		id                     int64
		section, hash, eventID string
		value                  *string
		observedAt             time.Time
	)
	log, seen := map[sectionOf]bool{}, map[sectionOf]bool{}
	for _, id := range c.model.IDs() {
		for s := range c.model.Character(id).Sections {
			log[sectionOf{id, s}] = true
		}
	}
	var failed error
	err := c.each(ctx, `SELECT character_id, section, content_hash, observed_at, value::text, event_id::text FROM {schema}.sections WHERE log_partition = $1`,
		[]any{&id, &section, &hash, &observedAt, &value, &eventID}, func() {
			key := sectionOf{id, eve.Section(section)}
			if !c.wanted(key.stream()) {
				return
			}
			seen[key] = true
			c.report.Rows[c.Projection()]++
			want, content := c.state(key), eve.Content{}
			if want.Value != nil {
				var err error
				if content, err = contentOf(key.section, want.Value); err != nil {
					failed = fmt.Errorf("taking section %s of character %d apart: %w", section, id, err)
				}
			}
			live := ""
			if value != nil {
				live = *value
			}
			c.report.same(c.Projection(), key.stream(), "section "+section,
				fmt.Sprintln(want.EventID, want.ContentHash, want.ObservedAt.UnixMicro(), canonical(content.Head)),
				fmt.Sprintln(eventID, hash, observedAt.UnixMicro(), canonical([]byte(live))))
		})
	missing(c, "section", log, seen, sectionOf.stream)
	if err == nil {
		err = failed
	}
	return err
}

func (c characterRows) state(key sectionOf) eve.SectionState {
	if ch := c.model.Character(key.id); ch != nil {
		return ch.Sections[key.section]
	}
	return eve.SectionState{}
}

// elementRows compares the elements of lists. They come section by section, so
// that only one section's are taken apart at a time.
func (c characterRows) elementRows(ctx context.Context) error {
	var (
		id                   int64
		section, list, value string
		current              sectionOf
		wanted               map[string]int
		failed               error
	)
	seen := map[sectionOf]bool{}
	finish := func() {
		for _, element := range slices.Sorted(maps.Keys(wanted)) {
			list, what, _ := strings.Cut(element, "\n")
			c.report.differ(Difference{c.Projection(), string(current.stream()), fmt.Sprintf("element of %s %s", current.section, list), what, "missing"})
		}
		wanted = nil
	}
	begin := func(key sectionOf) {
		finish()
		var err error
		if wanted, err = c.elements(key); err != nil {
			failed = err
		}
		current, seen[key] = key, true
	}
	err := c.each(ctx, `SELECT character_id, section, list, value::text FROM {schema}.elements WHERE log_partition = $1 ORDER BY character_id, section`,
		[]any{&id, &section, &list, &value}, func() {
			key := sectionOf{id, eve.Section(section)}
			if !c.wanted(key.stream()) {
				return
			}
			if !seen[key] {
				begin(key)
			}
			c.report.Rows[c.Projection()]++
			element := list + "\n" + canonical([]byte(value))
			if wanted[element] == 0 {
				c.report.differ(Difference{c.Projection(), string(key.stream()), fmt.Sprintf("element of %s %s", section, list), "missing", value})
				return
			}
			if wanted[element]--; wanted[element] == 0 {
				delete(wanted, element)
			}
		})
	finish()
	for _, id := range c.model.IDs() {
		for s := range c.model.Character(id).Sections {
			if key := (sectionOf{id, s}); err == nil && !seen[key] {
				begin(key)
				finish()
			}
		}
	}
	if err == nil {
		err = failed
	}
	return err
}

// elements counts what the log says the lists of a section hold.
func (c characterRows) elements(key sectionOf) (map[string]int, error) {
	state := c.state(key)
	if state.Value == nil {
		return map[string]int{}, nil
	}
	content, err := contentOf(key.section, state.Value)
	if err != nil {
		return nil, fmt.Errorf("taking section %s of character %d apart: %w", key.section, key.id, err)
	}
	elements := map[string]int{}
	for _, list := range content.Lists {
		for _, item := range list.Items {
			elements[list.Path+"\n"+canonical(item.Raw)]++
		}
	}
	return elements, nil
}

type recordOf struct {
	sectionOf
	key string
}

// recordRows compares the records, field by field.
func (c characterRows) recordRows(ctx context.Context) error {
	var (
		id                  int64
		section, key, value string
	)
	log, seen := map[recordOf]bool{}, map[recordOf]bool{}
	for _, id := range c.model.IDs() {
		for s, records := range c.model.Character(id).Records {
			for key := range records {
				log[recordOf{sectionOf{id, s}, key}] = true
			}
		}
	}
	err := c.each(ctx, `SELECT character_id, section, key, value::text FROM {schema}.records WHERE log_partition = $1`,
		[]any{&id, &section, &key, &value}, func() {
			row := recordOf{sectionOf{id, eve.Section(section)}, key}
			if !c.wanted(row.stream()) {
				return
			}
			seen[row] = true
			c.report.Rows[c.Projection()]++
			want := map[string]string{}
			if ch := c.model.Character(id); ch != nil {
				for name, value := range ch.Records[row.section][key] {
					want[name] = canonical(value)
				}
			}
			var fields map[string]json.RawMessage
			live := map[string]string{}
			if err := json.Unmarshal([]byte(value), &fields); err != nil {
				live["not an object"] = value
			}
			for name, value := range fields {
				live[name] = canonical(value)
			}
			c.report.same(c.Projection(), row.stream(), "record "+key+" of "+section, fmt.Sprint(want), fmt.Sprint(live))
		})
	missing(c, "record", log, seen, func(k recordOf) event.Stream { return k.stream() })
	return err
}

// listRows compares the names of mailing lists.
func (c characterRows) listRows(ctx context.Context) error {
	type listOf struct{ id, list int64 }
	log, seen := map[listOf]bool{}, map[listOf]bool{}
	for _, id := range c.model.IDs() {
		for list := range c.model.Character(id).MailingLists {
			log[listOf{id, list}] = true
		}
	}
	var id, list int64
	var name string
	err := c.each(ctx, `SELECT character_id, mailing_list_id, name FROM {schema}.mailing_list_names WHERE log_partition = $1`, []any{&id, &list, &name}, func() {
		key := listOf{id, list}
		if !c.wanted(event.Character(id)) {
			return
		}
		seen[key] = true
		c.report.Rows[c.Projection()]++
		want := ""
		if ch := c.model.Character(id); ch != nil {
			want = strings.ReplaceAll(ch.MailingLists[list], "\x00", "\uFFFD")
		}
		c.report.same(c.Projection(), event.Character(id), fmt.Sprintf("mailing list %d", list), want, name)
	})
	missing(c, "mailing list", log, seen, func(k listOf) event.Stream { return event.Character(k.id) })
	return err
}
