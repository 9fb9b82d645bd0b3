package event_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
)

// jsonSeeds are texts at the borders of what is JSON.
func jsonSeeds() []string {
	return []string{
		"", " ", "null", "nul", "nulll", "true", "false", "fals", " 1 ", "-", "-0", "-01", "01", "0.5", "0.", ".5", "1e5", "1E+05", "1e", "1e-", "1.5e3x", "+1",
		`""`, `"`, `"a`, `"\"`, `"\""`, `"\u00e9"`, `"\u00g9"`, `"\u00e"`, `"\x"`, "\"\n\"", "\"\x7f\"", "\"\xff\"", "\xef\xbb\xbf1", `"\/\b\f\n\r\t\\"`,
		"[]", "[ ]", "[1,2]", "[1,]", "[,1]", "[1 2]", "[", "]", "[1", "[[[]]]", "{}", "{ }", `{"a":1}`, `{"a":1,}`, `{"a" : [ {"b":null} ] , "c":"d"}`, `{"a"}`,
		`{"a":}`, `{a:1}`, `{1:1}`, "{", `{"a":1`, `{"a":1 "b":2}`, `{,}`, "1 2", "[] []", "\u00a01",
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
		strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001),
	}
}

func TestJSONIsWhatTheStandardLibraryTakesForIt(t *testing.T) {
	for _, text := range jsonSeeds() {
		require.Equal(t, json.Valid([]byte(text)), event.ValidJSON([]byte(text)), "%.80q", text)
	}
}

func FuzzValidJSON(f *testing.F) {
	for _, text := range jsonSeeds() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		require.Equal(t, json.Valid(text), event.ValidJSON(text))
	})
}

func BenchmarkValidJSON(b *testing.B) {
	one := `{"amount":-15000.5,"balance":1234567.89,"context_id":4,"date":"2026-08-04T11:22:33Z","description":"Bounty prizes for killing pirates","id":17055,"ref_type":"bounty_prizes"}`
	text := []byte("[" + strings.Repeat(one+",", 2499) + one + "]")
	for name, valid := range map[string]func([]byte) bool{"ours": event.ValidJSON, "encoding/json": json.Valid} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				require.True(b, valid(text))
			}
		})
	}
}
