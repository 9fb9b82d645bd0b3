package universe

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
)

// FuzzRows: whatever a row holds, it is refused with the code for bad input, or its
// values are such that Postgres takes them.
func FuzzRows(f *testing.F) {
	for i, line := range []string{
		`{"_key":34,"groupID":18,"name":{"en":"Tritanium"},"volume":0.01}`,
		`{"id":34,"name":"Tritanium","required_skills":[[3386,1]]}`,
		`{"_key":1,"dogmaAttributes":[{"attributeID":275,"value":1e300}]}`,
		`{"id":-1}`, `{"name":"\u0000"}`, `{"id":1,"name":"\ud800"}`, `null`,
	} {
		f.Add(i, []byte(line))
	}
	kinds := fileKinds()
	f.Fuzz(func(t *testing.T, n int, line []byte) {
		kind := kinds[uint(n)%uint(len(kinds))]
		id, values, err := kind.decodeLine(line)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		require.GreaterOrEqual(t, id, int64(0))
		require.Len(t, values, len(kind.stageColumns())-2)
		text := func(s string) { require.False(t, strings.ContainsRune(s, 0)); require.Equal(t, s, printable(s)) }
		for _, v := range values {
			switch v := v.(type) {
			case string:
				text(v)
			case *string:
				if v != nil {
					text(*v)
				}
			case *float64:
				require.True(t, v == nil || !math.IsNaN(*v) && !math.IsInf(*v, 0))
			case []int64:
				require.Zero(t, len(v)%2)
			}
		}
	})
}

// FuzzLines: all that is between line ends comes back, but for what is too long.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(content), 16)
		var joined [][]byte
		for {
			line, tooLong, err := readLine(r, nil)
			require.False(t, tooLong)
			joined = append(joined, line)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
		}
		want := bytes.Split(content, []byte("\n"))
		require.Len(t, joined, len(want))
		for i, line := range want {
			require.Equal(t, string(bytes.TrimRight(line, "\r")), string(joined[i]))
		}
	})
}
