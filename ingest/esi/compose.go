package esi

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// elementsOf is what is between the brackets of a JSON list.
func elementsOf(list []byte) ([]byte, error) {
	list = bytes.TrimSpace(list)
	if len(list) < 2 || list[0] != '[' || list[len(list)-1] != ']' {
		return nil, event.Errorf(event.CodeInvalid, "must be a JSON list")
	}
	return bytes.TrimSpace(list[1 : len(list)-1]), nil
}

// field is a part of a composed value.
type field struct {
	name  string
	value []byte
}

// object composes a value of several answers.
func object(fields ...field) json.RawMessage {
	out := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), f.name...), '"', ':'), f.value...)
	}
	return append(out, '}')
}

// lists makes the Changes of a section whose parts are all lists, each named as in
// fields.
func lists(section eve.Section, names ...string) func(Reading) (Changes, error) {
	compose := func(r Reading) (json.RawMessage, error) {
		fields := make([]field, len(names))
		for i, name := range names {
			list, err := r.list(i)
			if err != nil {
				return nil, badPart(i, err)
			}
			fields[i] = field{name, list}
		}
		return object(fields...), nil
	}
	return func(r Reading) (Changes, error) {
		changes, err := value(section, compose)(r)
		if event.CodeOf(err) != event.CodeInvalid {
			return changes, err
		}
		for i, name := range names {
			list, alone := r.list(i)
			if alone == nil {
				alone = eve.Check(section, object(field{name, list}))
			}
			if alone != nil {
				return changes, badPart(i, alone)
			}
		}
		return changes, err
	}
}

// contacts are whom a character knows, with the labels that it gave them.
func contacts() Section {
	return Section{
		Name: eve.SectionContacts,
		Parts: []Part{
			{Name: "labels", Route: catalogue.CharacterContactLabels()},
			{Route: catalogue.CharacterContacts()},
		},
		Changes: lists(eve.SectionContacts, "labels", "contacts"),
	}
}

// orders are the open market orders, and those that were cancelled or ran out.
func orders() Section {
	return Section{
		Name: eve.SectionOrders,
		Parts: []Part{
			{Name: "history", Route: catalogue.CharacterOrderHistory()},
			{Route: catalogue.CharacterOrders()},
		},
		Changes: lists(eve.SectionOrders, "history", "orders"),
	}
}

// mailboxValue is the labels of a mailbox with the count of unread mails, and the
// mailing lists.
func mailboxValue(labels, lists []byte) (json.RawMessage, error) {
	labels = bytes.TrimSpace(labels)
	if len(labels) < 2 || labels[0] != '{' {
		return nil, badPart(mailLabels, event.Errorf(event.CodeInvalid, "section %s: labels must be a JSON object", eve.SectionMails))
	}
	if _, err := elementsOf(lists); err != nil {
		return nil, badPart(mailLists, event.Errorf(event.CodeInvalid, "section %s: mailing lists: %w", eve.SectionMails, err))
	}
	inner := bytes.TrimSpace(labels[1 : len(labels)-1])
	if len(inner) == 0 {
		return object(field{"lists", lists}), nil
	}
	return slices.Concat([]byte{'{'}, inner, []byte(`,"lists":`), lists, []byte{'}'}), nil
}
