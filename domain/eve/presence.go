package eve

import (
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Presence is what an observation of the section online tells: ESI's GET
// /characters/{id}/online at compatibility date 2026-06-09.
type Presence struct {
	// At is when it was observed.
	At     time.Time
	Online bool
	// LastLogin and LastLogout are zero if ESI does not tell them. While somebody is
	// online, the last logout is that of the session before.
	LastLogin, LastLogout time.Time
	// Logins counts all since the character was made; zero if ESI does not tell.
	Logins int64
}

// DecodePresence reads a full observation of the section online. It fails with
// [event.CodeInvalid] for a value that is none.
func DecodePresence(p SectionObserved) (Presence, error) {
	var v struct {
		Online     bool       `json:"online"`
		LastLogin  *time.Time `json:"last_login"`
		LastLogout *time.Time `json:"last_logout"`
		Logins     int64      `json:"logins"`
	}
	if err := decodeObject(SectionOnline, p.Value, &v); err != nil {
		return Presence{}, err
	}
	if v.Logins < 0 {
		return Presence{}, event.Errorf(event.CodeInvalid, "section %s: logins %d: is below zero", SectionOnline, v.Logins)
	}
	seen := Presence{At: p.FetchedAt.UTC(), Online: v.Online, Logins: v.Logins}
	if v.LastLogin != nil {
		seen.LastLogin = v.LastLogin.UTC()
	}
	if v.LastLogout != nil {
		seen.LastLogout = v.LastLogout.UTC()
	}
	return seen, nil
}

// Session is a time that a character was online.
type Session struct {
	// From is the login.
	From time.Time
	// To is the logout; if Known is false, the last moment at which the character is
	// known to have been online still.
	To    time.Time
	Known bool
}

// Sessions are the sessions that observations in the order of time tell of, and how
// many logins there were between them that nobody saw. ESI tells the last login and the
// last logout alone, so of several sessions between two observations only the last is
// known, and of one that was followed by several no more than when it was seen last.
func Sessions(seen []Presence) (sessions []Session, missed int64) {
	var logins int64
	var login time.Time
	for _, p := range seen {
		if p.LastLogin.IsZero() {
			continue
		}
		fresh := !p.LastLogin.Equal(login)
		if fresh && login.After(p.LastLogin) {
			// ESI's servers do not all know the same; an older answer tells nothing new.
			continue
		}
		between := int64(0)
		if logins > 0 && p.Logins > logins {
			between = p.Logins - logins
		}
		logins = max(logins, p.Logins)
		if fresh {
			missed += max(0, between-1)
			if n := len(sessions); n > 0 && !sessions[n-1].Known && between <= 1 && p.LastLogout.After(sessions[n-1].From) && p.LastLogout.Before(p.LastLogin) {
				// It was the session before this one, so this is its logout.
				sessions[n-1].To, sessions[n-1].Known = p.LastLogout, true
			}
			login = p.LastLogin
			sessions = append(sessions, Session{From: login, To: login})
		}
		last := &sessions[len(sessions)-1]
		switch {
		case !p.LastLogout.Before(login):
			last.To, last.Known = p.LastLogout, true
		case p.Online && !last.Known && p.At.After(last.To):
			last.To = p.At
		}
	}
	return sessions, missed
}
