package allianceauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// value is what one column of a row holds.
type value struct {
	text string
	null bool
}

// row is one row of a table. It must not be kept: the next one reuses it.
type row struct {
	source *source
	values map[string]value
}

// name is how the row is called in reports: by its id, or by the ids that it pairs.
func (r row) name() string {
	if v, there := r.values[idColumn]; there && !v.null {
		return "id " + cut(v.text)
	}
	var parts []string
	for _, c := range r.source.columns {
		if v, there := r.values[c.name]; there && strings.HasSuffix(c.name, "_id") {
			parts = append(parts, c.name+" "+cut(v.text))
		}
	}
	return strings.Join(parts, ", ")
}

// cut shortens what a file may have made long.
func cut(text string) string {
	const enough = 40
	if len(text) <= enough {
		return text
	}
	return strings.ToValidUTF8(text[:enough], "") + "..."
}

func (r row) has(column string) bool {
	_, there := r.values[column]
	return there
}

// wrong says what is wrong with a column. Secrets are not repeated.
func (r row) wrong(column, rule string) error {
	if secret(r.source.table) {
		return fmt.Errorf("its %s %s", column, rule)
	}
	return fmt.Errorf("its %s %q %s", column, cut(r.values[column].text), rule)
}

func (r row) missing(column string) error { return fmt.Errorf("it has no %s", column) }

// empty are the ways in which programs write a number that there is none of.
func (v value) empty() bool { return v.null || v.text == "" || v.text == `\N` || v.text == "NULL" }

// id is a number above zero that has to be there.
func (r row) id(column string) (int64, error) {
	n, err := r.optional(column)
	if err == nil && n == 0 {
		err = r.missing(column)
	}
	return n, err
}

// optional is a number above zero, or 0 if there is none.
func (r row) optional(column string) (int64, error) {
	v, there := r.values[column]
	if !there {
		return 0, r.missing(column)
	}
	if v.empty() {
		return 0, nil
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || n <= 0 {
		return 0, r.wrong(column, "is no number above zero")
	}
	return n, nil
}

// flag is a yes or a no, as Django, MySQL and Postgres write it.
func (r row) flag(column string) (bool, error) {
	v, there := r.values[column]
	if !there {
		return false, r.missing(column)
	}
	switch strings.ToLower(v.text) {
	case "1", "t", "true":
		return true, nil
	case "0", "f", "false":
		return false, nil
	default:
		return false, r.wrong(column, "is neither true nor false")
	}
}

// text is a text that may be empty.
func (r row) text(column string) (string, error) {
	v, there := r.values[column]
	switch {
	case !there:
		return "", r.missing(column)
	case v.null || v.text == `\N`:
		return "", nil
	default:
		return v.text, nil
	}
}

// word is a text that must not be empty.
func (r row) word(column string) (string, error) {
	text, err := r.text(column)
	if err == nil && text == "" {
		err = r.missing(column)
	}
	return text, err
}

// errNatural is what is wrong with a key that is not a number.
var errNatural = errors.New("it is not the number of a record: dump without --natural-foreign and --natural-primary")

// ofJSON reads a value of Django's JSON.
func ofJSON(raw json.RawMessage) (value, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return value{null: true}, nil
	case raw[0] == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return value{}, errNotRead
		}
		return value{text: text}, nil
	case raw[0] == '[' || raw[0] == '{':
		return value{}, errNatural
	default:
		return value{text: string(raw)}, nil
	}
}

// errNotRead stands for an error of a decoder, whose words may repeat what it read.
var errNotRead = errors.New("it cannot be read")

// links are pairs of ids by the first of them.
type links map[int64][]int64

// pairs takes the rows of a relation of many to many.
func pairs(of func(*tables) links) func(*tables, row) error {
	return func(t *tables, r row) error {
		from, err := r.id(r.source.columns[0].name)
		if err != nil {
			return err
		}
		to, err := r.id(r.source.columns[1].name)
		if err != nil {
			return err
		}
		if !slices.Contains(of(t)[from], to) {
			of(t)[from] = append(of(t)[from], to)
		}
		return nil
	}
}
