package web

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumbersAreWrittenExactlyInEachLanguage(t *testing.T) {
	files, err := newAssets()
	require.NoError(t, err)
	all, err := newLanguages(files)
	require.NoError(t, err)
	english, german := all.all[0], all.all[1]
	f := func(amount, inEnglish, inGerman string) {
		t.Helper()
		require.Equal(t, inEnglish, english.ISK(amount))
		require.Equal(t, inGerman, german.ISK(amount))
	}
	f("", "", "")
	f("0.00", "0.00", "0,00")
	f("-1234.50", "−1,234.50", "−1.234,50")
	f("999.99", "999.99", "999,99")
	f("92233720368547758.07", "92,233,720,368,547,758.07", "92.233.720.368.547.758,07")
	f("no number", "no number", "no number")
	require.Equal(t, "0.7251", english.Number("0.72519999"), "cut, so that nothing is more than it is")
	require.Equal(t, "2 d 3 h", english.Span(51*time.Hour))
	require.Equal(t, "2 T 3 Std.", german.Span(-51*time.Hour))
	require.Equal(t, "2026-11-28 05:43", english.Time("2026-11-28T07:43:59.12+02:00"))
	require.Equal(t, "yesterday", english.Time("yesterday"), "what is no time is shown as it is")
	require.Equal(t, "99,60 %", german.Percent("99.60"))
}
