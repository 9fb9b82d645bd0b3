package clickhouse

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
)

// ClickHouse's error codes that this server raises itself or maps to an HTTP status.
const (
	codeBadArguments         = 36
	codeNotImplemented       = 48
	codeLogicalError         = 49
	codeSyntaxError          = 62
	codeUnknownFormat        = 73
	codeUnknownSetting       = 115
	codeTimeoutExceeded      = 159
	codeReadonly             = 164
	codeAuthenticationFailed = 516
	codeTooManyQueries       = 202
	codeNetworkError         = 210
	codeCannotParse          = 27
)

// exception is an error of the engine, or one of this server in the engine's words.
type exception struct {
	code int
	// message is the whole text as the client sees it, "Code: N. DB::Exception: ...".
	message string
}

func (e *exception) Error() string { return e.message }

// newException makes an exception of this server's own, in the form of the engine's.
func newException(code int, name, format string, args ...any) *exception {
	return &exception{code: code, message: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", code, fmt.Sprintf(format, args...), name)}
}

var exceptionCode = regexp.MustCompile(`^Code: (\d+)\.`)

// engineException reads the engine's error text; nil for an empty one.
func engineException(message string) error {
	if message == "" {
		return nil
	}
	if m := exceptionCode.FindStringSubmatch(message); m != nil {
		if code, err := strconv.Atoi(m[1]); err == nil {
			return &exception{code: code, message: message}
		}
	}
	// A few of the library's own refusals carry no code.
	return newException(codeLogicalError, "LOGICAL_ERROR", "%s", message)
}

// status is the HTTP status that ClickHouse's HTTP handler answers for the error, by kind of error.
func (e *exception) status() int {
	switch e.code {
	case 194: // REQUIRED_PASSWORD
		return http.StatusUnauthorized
	case 192, 193, codeAuthenticationFailed, 497, 512: // UNKNOWN_USER, WRONG_PASSWORD, ACCESS_DENIED, SET_NON_GRANTED_ROLE
		return http.StatusForbidden
	case 6, 25, 26, codeCannotParse, 38, 41, 72, 131, 42, 43, 53, codeSyntaxError, 80, 117, 130, 167, 168, 386, 407, 456, 457, 469, codeBadArguments, codeReadonly, codeNetworkError:
		// CANNOT_PARSE_*, wrong number or types of arguments, SYNTAX_ERROR, INCORRECT_*, TOO_DEEP_AST, TOO_BIG_AST,
		// NO_COMMON_TYPE, UNKNOWN_QUERY_PARAMETER, BAD_QUERY_PARAMETER, VIOLATED_CONSTRAINT, and a request that cannot be
		// read to its end
		return http.StatusBadRequest
	case 16, 46, 47, 50, 56, 60, 63, codeUnknownFormat, 81, 105, codeUnknownSetting: // NO_SUCH_COLUMN_IN_TABLE, UNKNOWN_*
		return http.StatusNotFound
	case 241: // MEMORY_LIMIT_EXCEEDED: nothing the client could have asked for differently is known
		return http.StatusInternalServerError
	case codeNotImplemented:
		return http.StatusNotImplemented
	case codeTimeoutExceeded, 209: // TIMEOUT_EXCEEDED, SOCKET_TIMEOUT
		return http.StatusRequestTimeout
	case codeTooManyQueries:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
