package web

import (
	"encoding/json"
	"strconv"
	"strings"
)

// row is a JSON object that the API answered.
type row map[string]any

// at is what stands at a path such as "value.balance"; nil if nothing does.
func (r row) at(path string) any {
	var here any = map[string]any(r)
	for name := range strings.SplitSeq(path, ".") {
		object, ok := here.(map[string]any)
		if !ok {
			return nil
		}
		here = object[name]
	}
	return here
}

// Text is what stands at a path, as text; empty for nothing. Numbers are as they were sent.
func (r row) Text(path string) string { return textOf(r.at(path)) }

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	default:
		return ""
	}
}

// Int is the whole number at a path; 0 for nothing.
func (r row) Int(path string) int64 {
	n, _ := strconv.ParseInt(r.Text(path), 10, 64)
	return n
}

// Bool is the truth value at a path; false for nothing.
func (r row) Bool(path string) bool {
	b, _ := r.at(path).(bool)
	return b
}

// Has tells whether something stands at a path.
func (r row) Has(path string) bool { return r.at(path) != nil }

// Row is the object at a path; nil for none.
func (r row) Row(path string) row {
	object, _ := r.at(path).(map[string]any)
	return object
}

// Rows are the objects of the list at a path.
func (r row) Rows(path string) []row {
	list, _ := r.at(path).([]any)
	rows := make([]row, 0, len(list))
	for _, item := range list {
		if object, ok := item.(map[string]any); ok {
			rows = append(rows, object)
		}
	}
	return rows
}

// Texts are the texts of the list at a path.
func (r row) Texts(path string) []string {
	list, _ := r.at(path).([]any)
	texts := make([]string, 0, len(list))
	for _, item := range list {
		texts = append(texts, textOf(item))
	}
	return texts
}
