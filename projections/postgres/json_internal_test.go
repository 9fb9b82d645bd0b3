package postgres

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestOnlyWhatPostgresCannotReadIsReplaced(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		require.Equal(t, want, storable([]byte(raw)))
	}
	same := func(raw string) {
		t.Helper()
		f(raw, raw)
	}
	same(`{"a": 1e3,  "b":"\u00e9\n\\u0000\/"}`)
	same(`"\ud83d\ude00"`)
	f(`"a\u0000b"`, `"a\ufffdb"`)
	f(`"\\\u0000"`, `"\\\ufffd"`)
	f(`"\ud83d"`, `"\ufffd"`)
	f(`"\ud83dx\ude00"`, `"\ufffdx\ufffd"`)
	f(`"\ud83d\u0041"`, `"\ufffd\u0041"`)
	f("\"\xff\"", "\"\uFFFD\"")
	f("\"\xed\xa0\x80\\u0000\"", "\"\uFFFD\\ufffd\"")
}

func TestKeysAreStoredAsTheyAreOrElseApart(t *testing.T) {
	require.Equal(t, "agent/3001", storableKey("agent/3001"))
	require.Equal(t, `"a\x00"`, storableKey("a\x00"))
	require.Equal(t, `"a\xff"`, storableKey("a\xff"))
	require.NotEqual(t, storableKey(strings.Repeat("x", 2000)), storableKey(strings.Repeat("x", 2001)))
	require.Less(t, len(storableKey(strings.Repeat("x", 2000))), maxKey)
}

func FuzzStorable(f *testing.F) {
	f.Add(`{"a":"\u0000\ud83d\ude00"}`)
	f.Add(`"\ud83d\ud83d\ude00\\u0000"`)
	f.Fuzz(func(t *testing.T, raw string) {
		if !json.Valid([]byte(raw)) {
			return
		}
		stored := storable([]byte(raw))
		require.True(t, utf8.ValidString(stored))
		var before, after any
		require.NoError(t, json.Unmarshal([]byte(strings.ToValidUTF8(raw, "\uFFFD")), &before))
		require.NoError(t, json.Unmarshal([]byte(stored), &after))
		require.Equal(t, withoutNUL(before), after)
		require.Equal(t, stored, storable([]byte(stored)))
	})
}

func withoutNUL(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", "\uFFFD")
	case []any:
		for i := range v {
			v[i] = withoutNUL(v[i])
		}
		return v
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[withoutNUL(name).(string)] = withoutNUL(value)
		}
		return out
	default:
		return v
	}
}
