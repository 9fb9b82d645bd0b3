package eve_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestPresenceIsRead(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	read := func(value string) (eve.Presence, error) {
		return eve.DecodePresence(eve.SectionObserved{Section: eve.SectionOnline, FetchedAt: at, Value: json.RawMessage(value)})
	}
	p, err := read(`{"online":true,"last_login":"2026-05-01T11:00:00Z","last_logout":"2026-05-01T09:00:00Z","logins":7}`)
	require.NoError(t, err)
	require.Equal(t, eve.Presence{At: at, Online: true, LastLogin: at.Add(-time.Hour), LastLogout: at.Add(-3 * time.Hour), Logins: 7}, p)
	p, err = read(`{"online":false}`)
	require.NoError(t, err)
	require.Equal(t, eve.Presence{At: at}, p)
	for _, bad := range []string{`[]`, `{"logins":-1}`, `{"last_login":"soon"}`} {
		_, err := read(bad)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), bad)
	}
}

// Somebody plays, and is looked at now and then: what is told of it was so, and what was
// not seen is counted.
func TestSessionsThatAreToldWereSo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		played := []eve.Session{}
		at := begin
		for range rapid.IntRange(1, 12).Draw(rt, "sessions") {
			at = at.Add(time.Duration(rapid.IntRange(1, 300).Draw(rt, "away")) * time.Minute)
			s := eve.Session{From: at, Known: true}
			at = at.Add(time.Duration(rapid.IntRange(1, 300).Draw(rt, "online")) * time.Minute)
			s.To = at
			played = append(played, s)
		}
		var seen []eve.Presence
		look := begin
		for range rapid.IntRange(0, 20).Draw(rt, "looks") {
			look = look.Add(time.Duration(rapid.IntRange(1, 400).Draw(rt, "later")) * time.Minute)
			p := eve.Presence{At: look}
			for i, s := range played {
				if s.From.After(look) {
					break
				}
				p.LastLogin, p.Logins, p.Online = s.From, int64(i+1), s.To.After(look)
				if !p.Online {
					p.LastLogout = s.To
				}
			}
			seen = append(seen, p)
			if rapid.Bool().Draw(rt, "twice") {
				seen = append(seen, p)
			}
		}
		told, missed := eve.Sessions(seen)
		first, last := int64(0), int64(0)
		for _, p := range seen {
			if first == 0 {
				first = p.Logins
			}
			last = max(last, p.Logins)
		}
		if first > 0 {
			require.Equal(rt, last-first+1, int64(len(told))+missed, "each login since the first that was seen is told or counted as missed")
		}
		var before time.Time
		for _, s := range told {
			require.True(rt, s.From.After(before), "in order")
			before = s.From
			var truth *eve.Session
			for i := range played {
				if played[i].From.Equal(s.From) {
					truth = &played[i]
				}
			}
			require.NotNil(rt, truth, "no session began then")
			if s.Known {
				require.Equal(rt, truth.To, s.To)
			} else {
				require.False(rt, s.To.Before(s.From))
				require.False(rt, s.To.After(truth.To), "more was told than was")
			}
		}
	})
}

func FuzzDecodePresence(f *testing.F) {
	f.Add([]byte(`{"online":true,"last_login":"2026-05-01T11:00:00Z","logins":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := eve.DecodePresence(eve.SectionObserved{Value: b})
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		require.GreaterOrEqual(t, p.Logins, int64(0))
	})
}
