package clickhouse

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEngineErrorsKeepTheirCode(t *testing.T) {
	require.NoError(t, engineException(""))
	for message, want := range map[string]struct{ code, status int }{
		"Code: 60. DB::Exception: Unknown table":   {60, http.StatusNotFound},
		"Code: 62. DB::Exception: Syntax error":    {62, http.StatusBadRequest},
		"Code: 241. DB::Exception: Memory limit":   {241, http.StatusInternalServerError},
		"Code: 159. DB::Exception: Timeout":        {159, http.StatusRequestTimeout},
		"Code: 48. DB::Exception: Not implemented": {48, http.StatusNotImplemented},
		"No active streaming query":                {49, http.StatusInternalServerError},
	} {
		var ex *exception
		require.ErrorAs(t, engineException(message), &ex)
		require.Equal(t, want.code, ex.code, message)
		require.Equal(t, want.status, ex.status(), message)
		require.Regexp(t, `^Code: \d+\. DB::Exception: `, ex.message)
		require.Contains(t, ex.message, message)
	}
}

func TestExceptionBlockIsFramedAndBounded(t *testing.T) {
	require.Equal(t, "\r\n__exception__\r\nTAGTAGTAGTAGTAGT\r\nCode: 1. x\n11 TAGTAGTAGTAGTAGT\r\n__exception__\r\n", exceptionBlock("Code: 1. x", "TAGTAGTAGTAGTAGT"))
	require.Less(t, len(exceptionBlock(strings.Repeat("x", 1<<20), "TAGTAGTAGTAGTAGT")), 17<<10)
}

func TestSettingNamesAreCheckedBeforeTheyEnterSQL(t *testing.T) {
	for name, want := range map[string]bool{"max_threads": true, "a.b": true, "_x1": true, "": false, "1a": false, ".a": false, "a b": false, "a=1, b": false, "a`": false, "ü": false} {
		require.Equal(t, want, isSettingName(name), name)
	}
}
