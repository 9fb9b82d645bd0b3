package sealed

import (
	"bytes"

	"github.com/muster-sync/muster/domain/event"
)

// What is looked for are names and how they stand: in JSON a quoted text that a colon
// follows is a name, and a quote within a text has a backslash before it. So a value
// need not be read into anything, and what is not looked for stays to the letter.

// member is the value of a field.
type member struct {
	name       string
	start, end int
}

// fieldsOf finds the values of fields with one of the names that hold something, in
// their order. What lies within such a value is not looked into.
func fieldsOf(data []byte, names map[string]bool) []member {
	var found []member
	for i := 0; i < len(data); i++ {
		if data[i] != '"' {
			continue
		}
		end := textEnd(data, i)
		colon := space(data, end)
		if colon >= len(data) || data[colon] != ':' || end-1 <= i || !names[string(data[i+1:end-1])] {
			i = end - 1
			continue
		}
		m := member{name: string(data[i+1 : end-1]), start: space(data, colon+1)}
		m.end = valueEnd(data, m.start)
		if value := data[m.start:m.end]; holds(value) {
			found = append(found, m)
		}
		i = max(m.end, end) - 1
	}
	return found
}

// holds tells whether a value is worth sealing.
func holds(value []byte) bool {
	switch string(value) {
	case "", "null", `""`:
		return false
	}
	return value[0] != '{' || len(boxesOf(append([]byte(`"":`), value...))) == 0
}

var mark = []byte(`"` + event.SealMark + `"`)

// boxesOf finds what is sealed, in its order.
func boxesOf(data []byte) []box {
	var found []box
	for from := 0; ; {
		at := bytes.Index(data[from:], mark)
		if at < 0 {
			return found
		}
		at += from
		from = at + len(mark)
		b, ok := boxAt(data, at)
		if ok {
			found = append(found, b)
			from = b.end
		}
	}
}

// boxAt reads the object whose only field is the mark at a place.
func boxAt(data []byte, at int) (b box, ok bool) {
	open := spaceBefore(data, at)
	colon := spaceBefore(data, open)
	if open < 0 || data[open] != '{' || colon < 0 || data[colon] != ':' {
		return b, false
	}
	quote := spaceBefore(data, colon)
	if quote < 0 || data[quote] != '"' {
		return b, false
	}
	first := bytes.LastIndexByte(data[:quote], '"')
	if first < 0 {
		return b, false
	}
	i := space(data, at+len(mark))
	if i >= len(data) || data[i] != ':' {
		return b, false
	}
	text := space(data, i+1)
	if text >= len(data) || data[text] != '"' {
		return b, false
	}
	end := textEnd(data, text)
	last := space(data, end)
	if last >= len(data) || data[last] != '}' || end-1 <= text {
		return b, false
	}
	return box{field: string(data[first+1 : quote]), start: open, end: last + 1, text: string(data[text+1 : end-1])}, true
}

// space is the first place from i on that is no white space.
func space(data []byte, i int) int {
	for i < len(data) && blank(data[i]) {
		i++
	}
	return i
}

// spaceBefore is the last place before i that is no white space, or -1.
func spaceBefore(data []byte, i int) int {
	for i--; i >= 0 && blank(data[i]); i-- {
	}
	return max(i, -1)
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// textEnd is the place behind the text that begins at i.
func textEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// valueEnd is the place behind the value that begins at i.
func valueEnd(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '"':
			i = textEnd(data, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		default:
			if depth == 0 && blank(data[i]) {
				return i
			}
		}
		i++
	}
	return len(data)
}
