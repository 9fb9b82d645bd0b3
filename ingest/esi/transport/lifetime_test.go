package transport

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestLifetimePrefersMaxAgeThenExpiresThenTheCatalogue(t *testing.T) {
	const date, expires = "Tue, 01 Sep 2026 18:00:00 GMT", "Tue, 01 Sep 2026 18:02:00 GMT"
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"max-age":                {header("Cache-Control", "public, max-age=300, must-revalidate, stale-if-error=900", "Date", date, "Expires", expires), 300 * time.Second},
		"less the age":           {header("Cache-Control", "max-age=300", "Age", "100"), 200 * time.Second},
		"older than it may be":   {header("Cache-Control", "max-age=300", "Age", "1000"), 0},
		"nonsense age":           {header("Cache-Control", "max-age=300", "Age", "-5"), 300 * time.Second},
		"bare public":            {header("Cache-Control", "public", "Date", date, "Expires", expires), 2 * time.Minute},
		"nonsense max-age":       {header("Cache-Control", "max-age=soon", "Date", date, "Expires", expires), 2 * time.Minute},
		"expired":                {header("Date", expires, "Expires", date), 0},
		"expires without a date": {header("Expires", expires), time.Hour},
		"expires: 0":             {header("Date", date, "Expires", "0"), time.Hour},
		"nothing":                {header(), time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, lifetime(c.header, time.Hour))
		})
	}
}

func TestBucketReport(t *testing.T) {
	require.Equal(t, &report{limit: 150, remaining: 148, window: quarter}, bucketReport(header("X-Ratelimit-Limit", "150/15m", "X-Ratelimit-Remaining", "148")))
	for _, h := range []http.Header{
		header(), header("X-Ratelimit-Limit", "150/15m"), header("X-Ratelimit-Remaining", "5"),
		header("X-Ratelimit-Limit", "150", "X-Ratelimit-Remaining", "5"), header("X-Ratelimit-Limit", "0/15m", "X-Ratelimit-Remaining", "0"),
		header("X-Ratelimit-Limit", "5/15m", "X-Ratelimit-Remaining", "6"), header("X-Ratelimit-Limit", "5/-1m", "X-Ratelimit-Remaining", "5"),
		header("X-Ratelimit-Limit", "5/15m", "X-Ratelimit-Remaining", "-1"),
	} {
		require.Nil(t, bucketReport(h), "a missing or mad header is not zero: %v", h)
	}
}

func TestErrorReport(t *testing.T) {
	left, reset, ok := errorReport(header("X-ESI-Error-Limit-Remain", "97", "X-ESI-Error-Limit-Reset", "31"))
	require.True(t, ok)
	require.Equal(t, 97, left)
	require.Equal(t, 31*time.Second, reset)
	for _, h := range []http.Header{header(), header("X-ESI-Error-Limit-Remain", "97"), header("X-ESI-Error-Limit-Remain", "x", "X-ESI-Error-Limit-Reset", "1"), header("X-ESI-Error-Limit-Remain", "1", "X-ESI-Error-Limit-Reset", "-1")} {
		_, _, ok := errorReport(h)
		require.False(t, ok, "%v", h)
	}
}

func TestRetryAfter(t *testing.T) {
	wait, ok := retryAfter(header("Retry-After", "17"), start)
	require.True(t, ok)
	require.Equal(t, 17*time.Second, wait)
	wait, ok = retryAfter(header("Retry-After", start.Add(time.Minute).Format(http.TimeFormat)), start)
	require.True(t, ok)
	require.Equal(t, time.Minute, wait)
	_, ok = retryAfter(header("Retry-After", "soon"), start)
	require.False(t, ok)
}

func FuzzHeaders(f *testing.F) {
	f.Add("max-age=1", "5", "Tue, 01 Sep 2026 18:00:00 GMT", "150/15m", "3")
	f.Fuzz(func(t *testing.T, cacheControl, age, expires, limit, remaining string) {
		h := header("Cache-Control", cacheControl, "Age", age, "Expires", expires, "Date", "Tue, 01 Sep 2026 18:00:00 GMT", "X-Ratelimit-Limit", limit, "X-Ratelimit-Remaining", remaining)
		require.GreaterOrEqual(t, lifetime(h, time.Minute), time.Duration(0))
		if said := bucketReport(h); said != nil {
			require.LessOrEqual(t, said.remaining, said.limit)
			require.Positive(t, said.window)
		}
	})
}

func TestRoutesThatAreMadeAtDowntimeAreFreshUntilTheNextOne(t *testing.T) {
	daily := catalogue.Route{Daily: 11*time.Hour + 5*time.Minute}
	for at, want := range map[time.Time]time.Duration{
		time.Date(2026, 9, 1, 11, 0, 0, 0, time.UTC): 5 * time.Minute,
		time.Date(2026, 9, 1, 11, 5, 0, 0, time.UTC): 24 * time.Hour,
		time.Date(2026, 9, 1, 12, 5, 0, 0, time.UTC): 23 * time.Hour,
	} {
		require.Equal(t, want, untold(daily, at), at)
	}
	require.Equal(t, time.Hour, untold(catalogue.Route{TTL: time.Hour, Daily: time.Hour}, time.Now()))
}
