package api

import (
	"fmt"
	"time"

	"github.com/muster-sync/muster/projections/postgres"
)

// PlayersOnline is how many characters are online in the whole game.
type PlayersOnline struct {
	Players       *int64     `json:"players_online" doc:"Characters online in the whole game, by ESI; null if that is not known."`
	PlayersAt     *time.Time `json:"players_online_at" doc:"When ESI said so; null if it never did."`
	PlayersReason string     `json:"players_online_reason,omitempty" doc:"Why it is not known."`
}

// playersHold is how long a count of players says something about now: it takes more than
// the daily downtime, in which ESI is not asked, to make it worthless.
const playersHold = 30 * time.Minute

// showPlayers shows who is online; nil if ESI was never asked.
func showPlayers(p *postgres.Players, now time.Time) PlayersOnline {
	switch {
	case p == nil:
		return PlayersOnline{PlayersReason: "ESI has not been asked so far"}
	case now.Sub(p.ReadAt) > playersHold:
		return PlayersOnline{PlayersAt: &p.ReadAt, PlayersReason: fmt.Sprintf("ESI has not said so for more than %d minutes", int(playersHold.Minutes()))}
	default:
		return PlayersOnline{Players: &p.Online, PlayersAt: &p.ReadAt}
	}
}
