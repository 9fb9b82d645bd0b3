package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// oddJSON is JSON at which decoders differ.
func oddJSON() []string {
	return []string{
		`null`, `true`, `0`, `-0`, `1.50`, `1e400`, `243877.49999999997`, `9223372036854775808`, `""`, `[]`, `{}`, `{"a":1,"a":2}`, `"\u003cb\u003e <&> \u2028"`,
		`"\ud83d\ude80 \ud83d x"`, `"\/\b\f\n\r\t\"\\"`, `{"b":[{"d":1,"c":null}],"a":{"":""}}`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "\"\xff\"", ` { "a" : [ 1 , 2 ] } `,
		``, `{`, `{"a":1`, `{"a":1} x`, `01`, `"\x"`, `nul`, "\"\n\"",
	}
}

// requireSameJSON requires that JSON is read and written as encoding/json does.
func requireSameJSON(t *testing.T, raw []byte) {
	t.Helper()
	slow := json.NewDecoder(bytes.NewReader(raw))
	slow.UseNumber()
	var want any
	wantErr := slow.Decode(&want)
	got, err := decodeAny(raw)
	require.Equal(t, wantErr == nil, err == nil, "%q: %v", raw, err)
	if err != nil {
		return
	}
	require.Equal(t, want, got, "%q", raw)
	text, err := encode(got)
	require.NoError(t, err)
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(want))
	var back, wantBack any
	require.NoError(t, json.Unmarshal(text, &back), "%q", text)
	require.NoError(t, json.Unmarshal(plain.Bytes(), &wantBack))
	require.Equal(t, wantBack, back, "%q", raw)
}

func TestJSONIsReadAndWrittenAsTheStandardLibraryDoes(t *testing.T) {
	for _, raw := range oddJSON() {
		if strings.Contains(raw, "1e400") {
			continue // It can be passed on, and not be read as a number.
		}
		requireSameJSON(t, []byte(raw))
	}
	v, err := decodeAny(json.RawMessage(`{"z":1e400,"a":"<"}`))
	require.NoError(t, err)
	text, err := encode(v)
	require.NoError(t, err)
	require.Equal(t, `{"a":"<","z":1e400}`, string(text))

	at := time.Date(2026, 5, 1, 12, 0, 0, 500, time.UTC)
	value := struct {
		SectionHead
		Page[Item]
		None *int64   `json:"none"`
		Rate *float64 `json:"rate,omitempty"`
	}{SectionHead: SectionHead{CharacterID: 7, Section: "wallet", ObservedAt: &at}, Page: Page[Item]{Items: []Item{{"b": Money("1.50"), "a": json.Number("1.0")}}}, Rate: new(1e21)}
	want, err := json.Marshal(value)
	require.NoError(t, err)
	text, err = encode(value)
	require.NoError(t, err)
	require.Equal(t, string(want), string(text), "the order of fields is that of their types")
	_, err = encode(func() {})
	require.Error(t, err)
}

func FuzzJSON(f *testing.F) {
	for _, raw := range oddJSON() {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			// A number that no float64 holds, or no JSON, of which the store has none.
			return
		}
		requireSameJSON(t, raw)
	})
}
