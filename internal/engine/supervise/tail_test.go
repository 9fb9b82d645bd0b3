package supervise

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOutputIsLoggedByLineHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`[a-z ]{0,20}[a-z]`), 1, 30).Draw(t, "lines")
		text := strings.Join(lines, "\n")
		if rapid.Bool().Draw(t, "last line ends") {
			text += "\n"
		}
		var logged bytes.Buffer
		tail := newTail(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if attr.Key != "line" {
				return slog.Attr{}
			}
			return attr
		}})), nil)
		for text != "" {
			cut := rapid.IntRange(1, len(text)).Draw(t, "cut")
			written, err := tail.Write([]byte(text[:cut]))
			require.NoError(t, err)
			require.Equal(t, cut, written)
			text = text[cut:]
		}
		tail.flush()
		require.Equal(t, len(lines), strings.Count(logged.String(), "line="))
		for _, line := range lines[max(0, len(lines)-tailLines):] {
			require.Contains(t, tail.quote(), strings.TrimRight(line, " "))
		}
	})
}

func TestEndlessLineIsBounded(t *testing.T) {
	tail := newTail(slog.New(slog.DiscardHandler), nil)
	for range 8 {
		_, err := tail.Write(bytes.Repeat([]byte("x"), maxLine/2))
		require.NoError(t, err)
	}
	tail.flush()
	require.LessOrEqual(t, len(tail.quote()), maxLine+100)
}
