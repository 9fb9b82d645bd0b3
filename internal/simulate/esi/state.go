package esi

import "time"

// stateFile is the name of the simulator's memory within its state folder.
const stateFile = "esi-served.jsonl"

// record is one line of the state file. Only the fields of one kind of line are
// set.
type record struct {
	World *worldRecord `json:"world,omitempty"`
	// Frozen is when the world stands still; a zero time thaws it.
	Frozen *time.Time `json:"frozen,omitempty"`

	Character int64  `json:"c,omitempty"`
	Section   string `json:"s,omitempty"`
	// At is the world time, in Unix milliseconds, of the content served last.
	At int64 `json:"t,omitempty"`
	// Lo and Hi are the indexes of the journal entries served.
	Lo *int64 `json:"lo,omitempty"`
	Hi *int64 `json:"hi,omitempty"`
	// Records replace all checkpoints of a section.
	Records [][3]int64 `json:"r,omitempty"`
	// Detail is the route by which the thing ID was fetched.
	Detail string `json:"d,omitempty"`
	ID     int64  `json:"id,omitempty"`
	// Names are items whose names were served.
	Names []int64 `json:"n,omitempty"`

	// Logins replace all logins of a character.
	Logins    []loginRecord `json:"logins,omitempty"`
	Revoked   bool          `json:"revoked,omitempty"`
	Transfers int           `json:"transfers,omitempty"`
}

// loginRecord is one login: a bit for each scope, and the newest generation of
// refresh token that was used.
type loginRecord struct {
	Scopes  uint64 `json:"scopes"`
	Refresh int    `json:"refresh,omitempty"`
	Ended   bool   `json:"ended,omitempty"`
}

// worldRecord is what a world's content and time follow from.
type worldRecord struct {
	Seed       uint64    `json:"seed"`
	Characters int       `json:"characters"`
	Activity   float64   `json:"activity"`
	Assets     int       `json:"assets,omitempty"`
	Epoch      time.Time `json:"epoch"`
	Start      time.Time `json:"start"`
	Speed      float64   `json:"speed"`
}
