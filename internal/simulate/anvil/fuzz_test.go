package anvil

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Any path of segments that were escaped one by one is clean and comes back as
// it was.
func FuzzSplit(f *testing.F) {
	f.Add("api", "users", "first+tag@example.org")
	f.Add("a b", "100%", "grün/..")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		want := []string{a, b, c}
		escaped := make([]string, len(want))
		odd := false
		for i, s := range want {
			escaped[i] = url.PathEscape(s)
			odd = odd || s == "" || s == "." || s == ".." || strings.Contains(s, "/")
		}
		got, clean := split("/" + strings.Join(escaped, "/"))
		require.Equal(t, want, got)
		require.Equal(t, !odd, clean)
	})
}
