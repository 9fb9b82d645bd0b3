package transport

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

func FuzzRetryAfterAndErrorLimit(f *testing.F) {
	f.Add("17", "20", "30", "2026-08-04")
	f.Add("Tue, 01 Sep 2026 18:00:00 GMT", "0", "0", "")
	f.Add("-1", "-5", "99999999999999999999", "tomorrow")
	f.Fuzz(func(t *testing.T, retry, remain, reset, date string) {
		h := header("Retry-After", retry, "X-ESI-Error-Limit-Remain", remain, "X-ESI-Error-Limit-Reset", reset, "X-Compatibility-Date", date)
		if wait, ok := retryAfter(h, start); ok {
			require.GreaterOrEqual(t, wait, time.Duration(0))
			require.LessOrEqual(t, wait, maxRetryAfter)
		}
		if left, reset, ok := errorReport(h); ok {
			require.GreaterOrEqual(t, left, 0)
			require.GreaterOrEqual(t, reset, time.Second)
			require.LessOrEqual(t, reset, time.Hour)
			b := newBudget(func() time.Time { return start })
			b.report(left, reset, true)
			require.Equal(t, left > pauseAt, b.asks(false).IsZero(), "%d left", left)
		}
		var e echoes
		said, first := e.foreign(catalogue.CharacterWallet(), catalogue.CompatibilityDate, h)
		require.Equal(t, said != "" && said != catalogue.CompatibilityDate, first)
		_, again := e.foreign(catalogue.CharacterWallet(), catalogue.CompatibilityDate, h)
		require.False(t, again)
	})
}

func FuzzPageHeaders(f *testing.F) {
	f.Add("3", "Tue, 01 Sep 2026 18:00:00 GMT", "Tue, 01 Sep 2026 18:30:00 GMT", "x", 304, 2)
	f.Fuzz(func(t *testing.T, pages, modified, date, expires string, status, kept int) {
		h := header("X-Pages", pages, "Last-Modified", modified, "Date", date, "Expires", expires)
		s := set{reading: &reading{route: catalogue.CharacterWalletJournal()}, prior: make([]Page, max(0, kept%10)), complete: max(0, kept%10)}
		count, err := s.count(&reply{status: status, header: h})
		if err == nil {
			require.GreaterOrEqual(t, count, 1)
			require.LessOrEqual(t, count, maxPages)
		}
		fresh := lifetime(h, time.Hour)
		if nearEnd(h, fresh, time.Hour) {
			require.Less(t, fresh, 5*time.Second)
		}
	})
}

func FuzzHealth(f *testing.F) {
	f.Add([]byte(`{"routes":[{"method":"GET","path":"/characters/{character_id}/wallet","status":"Down"}]}`))
	f.Add([]byte(`{"error":"later"}`))
	f.Add([]byte(`{"routes":[{},null]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		health, err := ParseHealth(body)
		if err != nil {
			return
		}
		down, of := health.Down()
		require.LessOrEqual(t, down, of)
		require.Positive(t, of)
		health.works(catalogue.CharacterWallet())
	})
}

func FuzzWalkedPage(f *testing.F) {
	f.Add([]byte(`[{"mail_id":7},{"mail_id":5}]`))
	f.Add([]byte(`[{"mail_id":7.5}]`))
	f.Add([]byte(`[null]`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`[{"mail_id":9223372036854775808}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !validJSON(body) {
			return
		}
		for _, route := range []catalogue.Route{catalogue.CharacterMailHeaders(), catalogue.CharacterCalendar(), catalogue.CharacterWalletTransactions()} {
			w := walker{WalkRequest: WalkRequest{Request: Request{Route: route}, ID: "mail_id"}, seen: map[int64]bool{}}
			next, err := w.after(body)
			if err != nil || next == 0 {
				continue
			}
			next, err = w.after(body)
			require.NoError(t, err)
			require.Zero(t, next, "the same page again is the end of a walk")
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	const token = "eyJ.secret.token"
	f.Add([]byte(`{"error":"token is expired","sso_status":401}`), 403)
	f.Add([]byte(`{"error":"I saw eyJ.secret.token"}`), 404)
	f.Add([]byte(`<html>`), 502)
	f.Add([]byte(`{"error":7}`), 420)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		client, err := New(Config{BaseURL: "http://127.0.0.1", UserAgent: "Muster/1 (a@example.org)", Tokens: noTokens{}, Registerer: discard{}, Now: func() time.Time { return start }})
		require.NoError(t, err)
		r := &reading{client: client, route: catalogue.CharacterWallet(), character: 1, resolved: "/characters/1/wallet"}
		r.access.Token = token
		failure := r.refused(t.Context(), nil, &http.Response{StatusCode: status, Header: http.Header{}}, body)
		require.NotEmpty(t, failure.Class)
		require.Equal(t, status, failure.Status)
		if !strings.Contains(string(body), token[:8]) {
			return
		}
		require.NotContains(t, failure.Message, token)
	})
}
