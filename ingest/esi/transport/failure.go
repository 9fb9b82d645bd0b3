package transport

import (
	"fmt"
	"time"

	"github.com/muster-sync/muster/domain/eve"
)

// Failure is why a reading gave no usable answer. It never holds a token.
type Failure struct {
	Class eve.FailureClass
	// Status is the HTTP status; zero when there was no answer.
	Status int
	// Message says what failed and what to do about it.
	Message string
	// RetryAt is the earliest moment at which to try again, UTC; zero if
	// there is none but the caller's own patience.
	RetryAt time.Time
	// Spread is over how long after RetryAt all that met the same should come back,
	// so that they do not come at one moment; zero if nobody else did.
	Spread time.Duration
	// Deferred tells that the request was held back by us, so that ESI was not
	// asked and nothing was learnt about the section.
	Deferred bool
	// NotConsented tells that the login works, but its owner has left this out. That
	// is no trouble of anybody's.
	NotConsented bool
	// Sample is the answer that could not be read; nil for other classes than
	// [eve.FailureMalformed].
	Sample *Sample
	// Kept are the pages that did come before the reading failed, by their
	// numbers; zero for those that did not. Given to the next reading as Prior,
	// with Partial, they need not be sent again.
	Kept []Page

	err error
}

// Error is the message.
func (f *Failure) Error() string { return f.Message }

// Unwrap is what went wrong underneath, if anything did.
func (f *Failure) Unwrap() error { return f.err }

// Sample is an answer kept aside for people to look at.
type Sample struct {
	CharacterID int64
	Operation   string
	// Path is the path with the query, without the host.
	Path        string
	Status      int
	ContentType string
	// Reason says why the answer could not be read.
	Reason string
	// Body is the beginning of the answer, at most [MaxSample] bytes.
	Body []byte
	At   time.Time
}

// MaxSample is how many bytes of an unreadable answer are kept.
const MaxSample = 64 << 10

func failed(class eve.FailureClass, status int, format string, args ...any) *Failure {
	err := fmt.Errorf(format, args...)
	return &Failure{Class: class, Status: status, Message: err.Error(), err: err}
}

func deferred(until time.Time, format string, args ...any) *Failure {
	f := failed(eve.FailureRateLimited, 0, format, args...)
	f.Deferred, f.RetryAt = true, until
	return f
}

// spreadFor is how long those come back that all waited for the same: they have as
// long as a third of what they waited, up to five minutes.
func spreadFor(wait time.Duration) time.Duration { return min(wait/3, 5*time.Minute) }

// spread says over how long all come back that met the same.
func (f *Failure) spread(over time.Duration) *Failure {
	f.Spread = max(0, over)
	return f
}
