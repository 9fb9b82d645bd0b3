package transport

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// lifetime is how long an answer is fresh from now on: by Cache-Control's
// max-age less the Age, else by Expires against Date, else by the catalogue.
func lifetime(h http.Header, otherwise time.Duration) time.Duration {
	if seconds, ok := maxAge(h.Get("Cache-Control")); ok {
		age, _ := wholeSeconds(h.Get("Age"))
		return max(0, seconds-age)
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return otherwise
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return otherwise
	}
	return max(0, expires.Sub(date))
}

// untold is how long an answer is fresh if its headers do not say: until the
// route's moment of the day, or for its time.
func untold(route catalogue.Route, now time.Time) time.Duration {
	if route.TTL > 0 || route.Daily == 0 {
		return route.TTL
	}
	next := now.UTC().Truncate(24 * time.Hour).Add(route.Daily)
	if !next.After(now) {
		next = next.Add(24 * time.Hour)
	}
	return next.Sub(now)
}

// maxLifetime bounds what a header can ask for, so that one mad answer does not
// silence a route for years.
const maxLifetime = 7 * 24 * time.Hour

// wholeSeconds reads a number of seconds that is not negative; what would not fit
// into any lifetime counts as [maxLifetime].
func wholeSeconds(text string) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return maxLifetime, true
	case err != nil:
		return 0, false
	default:
		return time.Duration(min(seconds, uint64(maxLifetime/time.Second))) * time.Second, true
	}
}

func maxAge(cacheControl string) (time.Duration, bool) {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		return wholeSeconds(strings.Trim(value, `"`))
	}
	return 0, false
}

// bucketReport reads the headers of the token buckets; nil if there are none or
// they make no sense.
func bucketReport(h http.Header) *report {
	remaining, err := strconv.Atoi(h.Get("X-Ratelimit-Remaining"))
	if err != nil || remaining < 0 {
		return nil
	}
	count, window, ok := strings.Cut(h.Get("X-Ratelimit-Limit"), "/")
	if !ok {
		return nil
	}
	limit, err := strconv.Atoi(count)
	if err != nil || limit <= 0 || remaining > limit {
		return nil
	}
	over, err := time.ParseDuration(window)
	if err != nil || over <= 0 {
		return nil
	}
	return &report{limit: limit, remaining: remaining, window: over}
}

// errorReport reads the headers of the shared error limit. A reset that is due now
// is taken for one in a second, so that nothing left is never taken for a new
// window.
func errorReport(h http.Header) (left int, reset time.Duration, ok bool) {
	left, err := strconv.Atoi(h.Get("X-Esi-Error-Limit-Remain"))
	if err != nil {
		return 0, 0, false
	}
	reset, ok = wholeSeconds(h.Get("X-Esi-Error-Limit-Reset"))
	if !ok || reset > time.Hour {
		return 0, 0, false
	}
	return max(0, left), max(reset, time.Second), true
}

// maxRetryAfter bounds how long an answer can have us wait: longer than any
// downtime, and short enough that a mad one passes.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads Retry-After in seconds or as a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if wait, ok := wholeSeconds(value); ok {
		return min(wait, maxRetryAfter), true
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(now)), maxRetryAfter), true
	}
	return 0, false
}

// nearEnd tells whether an answer was taken from a cache that is about to be made
// anew, so that a page that is asked for next may be of another making. It is
// measured by the age that the answer has reached, as far as it is known.
func nearEnd(h http.Header, fresh, ttl time.Duration) bool {
	const near, part = 5 * time.Second, 10
	whole := max(ttl, fresh)
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	date, dateErr := http.ParseTime(h.Get("Date"))
	if err == nil && dateErr == nil && !date.Before(modified) {
		whole = fresh + date.Sub(modified)
	}
	return fresh < min(near, whole/part)
}
