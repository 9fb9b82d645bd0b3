package transport

import "time"

// Tenure tells which characters this program asks for, where several programs
// share them. It is asked before every request, so it must be quick; it must be
// safe for concurrent use.
type Tenure interface {
	// Since is from when on this program alone asks for a character; false if
	// another one does, or may.
	Since(character int64) (time.Time, bool)
	// Programs is how many ask from this address, at least 1, and Joined when
	// this one began while others did; zero if it was alone.
	Programs() (n int, joined time.Time)
}

// alwaysAlone is the tenure of the only program.
type alwaysAlone struct{}

// Since implements [Tenure].
func (alwaysAlone) Since(int64) (time.Time, bool) { return time.Time{}, true }

// Programs implements [Tenure].
func (alwaysAlone) Programs() (int, time.Time) { return 1, time.Time{} }

// elsewhere is how long a request is held back for a character that another
// program asks for.
const elsewhere = 5 * time.Second

// payer is on whose account a request goes; false if another program asks for the
// character.
func (c *Client) payer(character int64) (payer, bool) {
	programs, joined := c.config.Tenure.Programs()
	if character == 0 {
		return payer{since: joined, programs: max(1, programs)}, true
	}
	since, mine := c.config.Tenure.Since(character)
	return payer{since: since, programs: 1}, mine
}
