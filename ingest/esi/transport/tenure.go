package transport

import "time"

// Tenure tells which characters this program asks for, where several programs
// share them. It is asked before every request, so it must be quick; it must be
// safe for concurrent use.
type Tenure interface {
	// Since is from when on this program alone asks for a character; false if
	// another one does, or may.
	Since(character int64) (time.Time, bool)
	// Programs is how many ask from this address, or did until lately; at least 1.
	Programs() int
}

// alwaysAlone is the tenure of the only program.
type alwaysAlone struct{}

// Since implements [Tenure].
func (alwaysAlone) Since(int64) (time.Time, bool) { return time.Time{}, true }

// Programs implements [Tenure].
func (alwaysAlone) Programs() int { return 1 }

// elsewhere is how long a request is held back for a character that another
// program asks for.
const elsewhere = 5 * time.Second

// payer is on whose account a request goes; false if another program asks for the
// character.
func (c *Client) payer(character int64) (payer, bool) {
	if character == 0 {
		return payer{programs: max(1, c.config.Tenure.Programs())}, true
	}
	since, mine := c.config.Tenure.Since(character)
	return payer{since: since, programs: 1}, mine
}
