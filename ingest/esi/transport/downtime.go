package transport

import "time"

// Downtime is the time of each day in which the game restarts and ESI is not
// asked. Its zero value is none.
type Downtime struct {
	// Start is the offset from midnight UTC.
	Start time.Duration
	// Length is how long it lasts; zero turns it off.
	Length time.Duration
}

// Daily is the downtime of the real game: 11:00 to 11:15 UTC. CCP promises no
// length; a quarter of an hour is the custom among clients.
func Daily() Downtime { return Downtime{Start: 11 * time.Hour, Length: 15 * time.Minute} }

// until is the end of the downtime that the moment lies in; false if it lies in
// none.
func (d Downtime) until(now time.Time) (time.Time, bool) {
	start := now.UTC().Truncate(24 * time.Hour).Add(d.Start)
	end := start.Add(d.Length)
	return end, !now.Before(start) && now.Before(end)
}
