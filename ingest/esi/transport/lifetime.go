package transport

import (
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
		age, err := strconv.Atoi(h.Get("Age"))
		if err != nil || age < 0 {
			age = 0
		}
		return max(0, time.Duration(seconds-age)*time.Second)
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

func maxAge(cacheControl string) (int, bool) {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.Atoi(strings.Trim(value, `"`))
		if err != nil || seconds < 0 {
			return 0, false
		}
		return seconds, true
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

// errorReport reads the headers of the shared error limit.
func errorReport(h http.Header) (left int, reset time.Duration, ok bool) {
	left, err := strconv.Atoi(h.Get("X-Esi-Error-Limit-Remain"))
	if err != nil {
		return 0, 0, false
	}
	seconds, err := strconv.Atoi(h.Get("X-Esi-Error-Limit-Reset"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0, 0, false
	}
	return left, time.Duration(seconds) * time.Second, true
}

// retryAfter reads Retry-After in seconds or as a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}
