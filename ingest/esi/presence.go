package esi

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// Some sections change only while their character is being played: where it is, what
// it trains, whom it knows. As long as the section online says that it has not
// logged in since such a section was read, asking again brings nothing new, and is
// spared. ESI itself makes skills and the skill queue anew only at a login.

const (
	// settleAfter is how long after a logout the world may still move a character: its
	// ship stays in space for a while, and may be shot.
	settleAfter = 30 * time.Minute
	// sparedMost is for how many of its intervals a section is spared at most, and
	// sparedLongest for how long: a station may be destroyed around a sleeper.
	sparedMost    = 8
	sparedLongest = 24 * time.Hour
)

// presence is when a character was last played, as of a reading of the section
// online.
type presence struct {
	online                bool
	lastLogin, lastLogout time.Time
	// seenAt is when ESI last confirmed it.
	seenAt time.Time
}

// presenceOf reads what the section online says; false if it does not say enough.
func presenceOf(body []byte) (presence, bool) {
	var said struct {
		Online     bool      `json:"online"`
		LastLogin  time.Time `json:"last_login"`
		LastLogout time.Time `json:"last_logout"`
	}
	if json.Unmarshal(body, &said) != nil || said.LastLogout.IsZero() {
		return presence{}, false
	}
	return presence{online: said.Online, lastLogin: said.LastLogin, lastLogout: said.LastLogout}, true
}

// spare tells whether a section need not be read at a moment, and until when.
func (p presence) spare(o Options, section Section, st state, now time.Time) (time.Time, bool) {
	settled := settleAfter
	for _, part := range section.Parts {
		// What was read may be as old as its cache.
		settled = max(settled, settleAfter+part.Route.TTL)
	}
	interval := o.interval(section.Name)
	until := st.ValidatedAt.Add(min(sparedMost*interval, sparedLongest))
	next := now.Add(interval)
	if next.After(until) {
		next = until
	}
	switch {
	case st.ValidatedAt.IsZero() || st.Spell != nil || slices.Contains(st.PartsComplete, 0):
		return next, false
	case p.online || p.lastLogin.After(p.lastLogout) || st.ValidatedAt.Before(p.lastLogout.Add(settled)):
		return next, false
	case now.Sub(p.seenAt) > 2*o.interval(eve.SectionOnline):
		// Nobody knows whether it has logged in since.
		return next, false
	default:
		return next, now.Before(until)
	}
}

// queryPresence asks when characters were last played, for what was asked that depends
// on it; nothing is said of those of whom nobody knows.
func queryPresence(batch *pgx.Batch, characters []int64, asked []*call[wanted, kept]) {
	if len(characters) == 0 {
		return
	}
	batch.Queue(`
		SELECT p.character_id, p.online, p.last_login, p.last_logout, s.validated_at FROM ingest.presence p
		JOIN ingest.section_state s ON s.character_id = p.character_id AND s.section = $2
		WHERE p.character_id = ANY ($1) AND s.validated_at IS NOT NULL AND s.failing_since IS NULL`, characters, string(eve.SectionOnline),
	).Query(func(rows pgx.Rows) error {
		var character int64
		var p presence
		_, err := pgx.ForEachRow(rows, []any{&character, &p.online, &p.lastLogin, &p.lastLogout, &p.seenAt}, func() error {
			said := p
			for _, c := range asked {
				if c.ask.character == character && c.ask.section.Played {
					c.result.presence = &said
				}
			}
			return nil
		})
		return err //nolint:wrapcheck // The caller says what was read.
	})
}

// queuePresence notes when a character was last played, if the section tells.
func queuePresence(batch *pgx.Batch, character int64, section eve.Section, parts [][]transport.Page) {
	if section != eve.SectionOnline || len(parts) == 0 || len(parts[0]) == 0 {
		return
	}
	p, told := presenceOf(parts[0][0].Body)
	if !told {
		batch.Queue(`DELETE FROM ingest.presence WHERE character_id = $1`, character)
		return
	}
	batch.Queue(`
		INSERT INTO ingest.presence (character_id, online, last_login, last_logout) VALUES ($1, $2, $3, $4)
		ON CONFLICT (character_id) DO UPDATE SET online = $2, last_login = $3, last_logout = $4`, character, p.online, p.lastLogin, p.lastLogout)
}
