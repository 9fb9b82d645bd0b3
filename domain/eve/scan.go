package eve

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// The functions of this file take valid JSON apart without decoding it. Sections
// can have tens of thousands of elements, of which nearly all are as they were;
// decoding each into maps would cost more than everything else together.

// member is one field of an object.
type member struct {
	// name is what the field's name says.
	name  []byte
	value []byte
}

// skipSpace is the index of the first byte from i on that is no white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipText is the index after the text that begins at i.
func skipText(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// skipValue is the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return skipText(b, i)
	case '{', '[':
		for depth := 0; i < len(b); {
			switch b[i] {
			case '"':
				i = skipText(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(b)
	default:
		for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
			i++
		}
		return i
	}
}

// appendElements appends the elements of a list that is valid JSON.
func appendElements(to [][]byte, list []byte) [][]byte {
	for i := skipSpace(list, 0) + 1; ; {
		i = skipSpace(list, i)
		if i >= len(list) || list[i] == ']' {
			return to
		}
		if list[i] == ',' {
			i++
			continue
		}
		end := skipValue(list, i)
		if end <= i {
			return to
		}
		to = append(to, list[i:end])
		i = end
	}
}

// Elements are the elements of a JSON list, parts of it. It fails for what is no JSON
// list.
func Elements(list []byte) ([]json.RawMessage, error) {
	if i := skipSpace(list, 0); i >= len(list) || list[i] != '[' || !event.ValidJSON(list) {
		return nil, errors.New("must be a JSON list")
	}
	parts := appendElements(nil, list)
	elements := make([]json.RawMessage, len(parts))
	for i, part := range parts {
		elements[i] = part
	}
	return elements, nil
}

// fieldOf is the value of a field of an object that is valid JSON, the last one of that
// name; nil if there is none or if it is no object.
func fieldOf(object []byte, name string) (value []byte) {
	i := skipSpace(object, 0)
	if i >= len(object) || object[i] != '{' {
		return nil
	}
	for i++; ; {
		i = skipSpace(object, i)
		if i < len(object) && object[i] == ',' {
			i++
			continue
		}
		if i >= len(object) || object[i] != '"' {
			return value
		}
		end := skipText(object, i)
		named := string(nameOf(object[i:end])) == name
		i = skipSpace(object, end)
		if i >= len(object) || object[i] != ':' {
			return value
		}
		i = skipSpace(object, i+1)
		end = skipValue(object, i)
		if named {
			value = object[i:end]
		}
		i = end
	}
}

// appendMembers appends the fields of an object that is valid JSON, as they are
// written: repeated ones too.
func appendMembers(to []member, object []byte) []member {
	for i := skipSpace(object, 0) + 1; ; {
		i = skipSpace(object, i)
		if i >= len(object) || object[i] != '"' {
			if i < len(object) && object[i] == ',' {
				i++
				continue
			}
			return to
		}
		end := skipText(object, i)
		name := nameOf(object[i:end])
		i = skipSpace(object, end)
		if i >= len(object) || object[i] != ':' {
			return to
		}
		i = skipSpace(object, i+1)
		end = skipValue(object, i)
		to = append(to, member{name: name, value: object[i:end]})
		i = end
	}
}

// membersOf are the fields of an object, in order of their names; of repeated ones
// the last stands.
func membersOf(object []byte) []member {
	return settle(appendMembers(nil, object))
}

// settle sorts fields and drops all but the last of each name.
func settle(members []member) []member {
	ascending := true
	for i := 1; i < len(members) && ascending; i++ {
		ascending = bytes.Compare(members[i-1].name, members[i].name) < 0
	}
	if ascending {
		return members
	}
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	kept := members[:0]
	for i, m := range members {
		if i+1 == len(members) || !bytes.Equal(members[i+1].name, m.name) {
			kept = append(kept, m)
		}
	}
	return kept
}

// memberOf is the value of a field; nil if there is none.
func memberOf(members []member, name string) []byte {
	for _, m := range members {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// appendObject writes fields as an object.
func appendObject(to []byte, members []member) []byte {
	to = append(to, '{')
	for i, m := range members {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendText(to, m.name)
		to = append(append(to, ':'), m.value...)
	}
	return append(to, '}')
}

// plain tells whether the text between quotes stands for itself, and would be
// written just so.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// textOf is what a JSON text says.
func textOf(quoted []byte) string {
	if len(quoted) >= 2 && plain(quoted[1:len(quoted)-1]) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	// It is valid, so it decodes.
	_ = json.Unmarshal(quoted, &s)
	return s
}

// nameOf is what the name of a field says. It refers to the bytes it was read
// from where it can.
func nameOf(quoted []byte) []byte {
	if name := quoted[1:max(1, len(quoted)-1)]; plain(name) {
		return name
	}
	return []byte(textOf(quoted))
}

// appendText writes a text in the one agreed way.
func appendText(to, s []byte) []byte {
	if plain(s) {
		return append(append(append(to, '"'), s...), '"')
	}
	encoded, _ := json.Marshal(string(s)) //nolint:errchkjson // A string always encodes.
	return append(to, encoded...)
}

// isNull tells whether there is no value.
func isNull(value []byte) bool {
	return len(value) == 0 || bytes.Equal(value, []byte("null"))
}
