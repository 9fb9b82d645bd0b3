package event

import (
	"errors"
	"fmt"
)

// Code classifies an error for those who must act on it: the HTTP status of
// the API and the exit status of a command follow from it.
type Code string

// The codes of errors that cross a package's border.
const (
	// CodeInvalid: the input breaks a rule; repeating it will not help.
	CodeInvalid Code = "invalid"
	// CodeNotFound: there is no such thing, or the caller may not know of it.
	CodeNotFound Code = "not_found"
	// CodeConflict: it contradicts what is already there.
	CodeConflict Code = "conflict"
	// CodeForbidden: the caller may not do this.
	CodeForbidden Code = "forbidden"
	// CodeUnauthenticated: nobody has proved who is calling.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeUnavailable: something it needs is away; repeating it may help.
	CodeUnavailable Code = "unavailable"
	// CodePoisoned: an event of the log cannot be read or folded.
	CodePoisoned Code = "poisoned"
	// CodeInternal: a defect of Muster.
	CodeInternal Code = "internal"
)

// Error is an error with a code.
type Error struct {
	Code Code
	err  error
}

// Errorf makes an error with a code. The format may wrap with %w.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, err: fmt.Errorf(format, args...)}
}

// Error is the text of the error, without the code.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap is the error without the code: whatever the format wraps, be it
// several errors, is found through it.
func (e *Error) Unwrap() error { return e.err }

// CodeOf is the code of the outermost error in the chain that has one;
// [CodeInternal] for any other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if coded, ok := errors.AsType[*Error](err); ok {
		return coded.Code
	}
	return CodeInternal
}
