package esi

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/esi/transport"
)

// FuzzFollowUps gives what is fetched apart any valid JSON: it becomes an amendment
// that is an object of valid JSON, or is refused.
func FuzzFollowUps(f *testing.F) {
	for _, seed := range []string{
		`{"subject":"s","body":"<b>hello</b>"}`, `{"killmail_id":7,"killmail_time":"2026-08-31T12:00:00Z"}`, `[{"record_id":1}]`, `{}`, `[]`, `7`, `null`, `{"body":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		for name, kind := range followKinds() {
			item, err := kind.item(followUp{FollowUp: FollowUp{Kind: name, ItemID: 7, Extra: "hash"}}, body)
			if err != nil {
				continue
			}
			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(item, &fields), "%s: %s", name, item)
			require.NotEmpty(t, fields)
		}
	})
}

// FuzzPages joins any two pages of valid JSON: a list of valid JSON, or an error.
func FuzzPages(f *testing.F) {
	f.Add([]byte(`[1, 2]`), []byte(` [] `))
	f.Add([]byte(`[{"a":1}]`), []byte(`{}`))
	f.Add([]byte(`[`), []byte(`]`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if !json.Valid(first) || !json.Valid(second) {
			return
		}
		r := Reading{Parts: []PartReading{{Pages: []transport.Page{{Body: first}, {Body: second}}}}}
		list, err := r.list(0)
		if err != nil {
			return
		}
		var a, b, joined []json.RawMessage
		require.NoError(t, json.Unmarshal(first, &a))
		require.NoError(t, json.Unmarshal(second, &b))
		require.NoError(t, json.Unmarshal(list, &joined))
		require.Len(t, joined, len(a)+len(b))
	})
}
