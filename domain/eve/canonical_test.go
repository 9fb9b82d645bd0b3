package eve_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func hash(t require.TestingT, s eve.Section, value string) string {
	h, err := eve.ContentHash(s, []byte(value))
	require.NoError(t, err)
	return h
}

func TestContentHashSeesContentAndNotSpelling(t *testing.T) {
	for name, c := range map[string]struct {
		section eve.Section
		a, b    string
		equal   bool
	}{
		"spaces":                      {eve.SectionLocation, `{"a":1}`, " {\n\"a\" : 1 } ", true},
		"order of keys":               {eve.SectionLocation, `{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		"escapes":                     {eve.SectionDetails, `{"name":"Zo\u00eb \/"}`, `{"name":"Zoë /"}`, true},
		"numbers as text":             {eve.SectionWallet, `1.0`, `1`, false},
		"long tails":                  {eve.SectionWallet, `243877.49999999997`, `243877.5`, false},
		"big ids":                     {eve.SectionLocation, `9007199254740993`, `9007199254740992`, false},
		"order of journal entries":    {eve.SectionWalletJournal, `[{"id":1},{"id":2}]`, `[{"id":2},{"id":1}]`, true},
		"order of inner lists":        {eve.SectionWalletJournal, `[{"x":[1,2]}]`, `[{"x":[2,1]}]`, false},
		"order of other lists":        {eve.SectionDetails, `[1,2]`, `[2,1]`, false},
		"number of equal entries":     {eve.SectionWalletJournal, `[{"id":1}]`, `[{"id":1},{"id":1}]`, false},
		"absent is not null":          {eve.SectionLocation, `{"a":null}`, `{}`, false},
		"text is not number":          {eve.SectionLocation, `{"a":"1"}`, `{"a":1}`, false},
		"nothing in two ways is not":  {eve.SectionLocation, `{}`, `[]`, false},
		"the last of equal keys wins": {eve.SectionLocation, `{"a":1,"a":2}`, `{"a":2}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.equal, hash(t, c.section, c.a) == hash(t, c.section, c.b))
		})
	}
}

func TestContentHashTellsSectionsApart(t *testing.T) {
	require.NotEqual(t, hash(t, eve.SectionImplants, "[]"), hash(t, eve.SectionTitles, "[]"))
	require.Len(t, hash(t, eve.SectionImplants, "[]"), 32)
}

func TestContentHashNeverChanges(t *testing.T) {
	// Hashes are kept and compared for years: these must stay as they are.
	require.Equal(t, "ac18400167f8081463c7cf46be050462", hash(t, eve.SectionWallet, "1234.5"))
	require.Equal(t, "ffff6d00e9b775c14da746ea20406123", hash(t, eve.SectionWalletJournal, `[{"b":[true,null,"<&>"],"a":-1.0e2},{}]`))
}

func TestCanonicalRefusesWhatIsNotOneValue(t *testing.T) {
	for _, value := range []string{"", " ", "{", `{"a":}`, "1 2", "{}x", "<html>", "\xff"} {
		_, err := eve.Canonical([]byte(value))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%q", value)
	}
}

// anyJSON draws a JSON value.
func anyJSON(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		if depth == 0 {
			kind %= 4
		}
		switch kind {
		case 0:
			return rapid.Bool().Draw(t, "bool")
		case 1:
			return rapid.String().Draw(t, "text")
		case 2:
			return rapid.Int64().Draw(t, "number")
		case 3:
			return nil
		case 4:
			return rapid.SliceOfN(anyJSON(depth-1), 0, 4).Draw(t, "list")
		default:
			return rapid.MapOfN(rapid.String(), anyJSON(depth-1), 0, 4).Draw(t, "object")
		}
	})
}

func TestCanonicalKeepsTheValueAndIsItsOwnForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain, err := json.Marshal(anyJSON(3).Draw(t, "value"))
		require.NoError(t, err)
		canonical, err := eve.Canonical(plain)
		require.NoError(t, err)
		require.JSONEq(t, string(plain), string(canonical))

		var indented bytes.Buffer
		require.NoError(t, json.Indent(&indented, plain, "", "\t"))
		again, err := eve.Canonical(indented.Bytes())
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(again))
	})
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2,{"b":null}]}`, `[]`, `"\ud800"`, `1e5`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		canonical, err := eve.Canonical(value, "")
		if err != nil {
			require.False(t, json.Valid(value), "refused valid JSON %q: %v", value, err)
			return
		}
		again, err := eve.Canonical(canonical, "")
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(again))
	})
}
