package spreadsheet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/spreadsheet"
)

func TestATextIsNoFormula(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "",
		"MEMBER: a":          "MEMBER: a",
		"a=b":                "a=b",
		"=1+1":               "'=1+1",
		"+1":                 "'+1",
		"-1":                 "'-1",
		"@SUM(A1)":           "'@SUM(A1)",
		"\t=1":               "'\t=1",
		"\r=1":               "'\r=1",
		"\n=1":               "'\n=1",
		"'=already harmless": "'=already harmless",
		"é":                  "é",
	} {
		require.Equal(t, want, spreadsheet.Harmless(text))
	}
}
