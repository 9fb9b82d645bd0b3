package year

import (
	"time"

	"github.com/google/uuid"
)

// The facts are what really happened, as plain numbers: what every answer about the year
// has to come to. Amounts are hundredths of ISK, moments UTC. The function that is told of
// them gets a pointer that holds for the call alone.
type (
	// Entry is an entry of a wallet journal. It is told once, also if the log has it
	// twice.
	Entry struct {
		Character, ID int64
		// At is in seconds since 1970.
		At           int64
		RefType      string
		Amount, Tax  int64
		Balance      int64
		HasBalance   bool
		Counterparty int64
	}
	// Balance is what was seen in a wallet.
	Balance struct {
		Character int64
		At        time.Time
		Amount    int64
	}
	// Stay is where a character was from a moment on.
	Stay struct {
		Character, Corporation int64
		Since                  time.Time
	}
	// Trade is a market transaction; one that is not readable has no more than its day.
	Trade struct {
		Character, ID   int64
		At              time.Time
		Readable, Buy   bool
		Type, Location  int64
		Quantity, Price int64
	}
	// Mined is a line of the mining ledger, with what it came to in the end.
	Mined struct {
		Character    int64
		Day          time.Time
		System, Type int64
		Quantity     int64
	}
	// Points are skill points as observed.
	Points struct {
		Character          int64
		At                 time.Time
		Total, Unallocated int64
	}
	// Levels are the active levels of all skills of a character as observed.
	Levels struct {
		Character int64
		At        time.Time
		Levels    map[int64]int
	}
	// Contract is a contract as a character saw it at the moment Told: each change of it
	// is told as a whole.
	Contract struct {
		Character, ID               int64
		Told                        time.Time
		Type, Status                string
		Issuer, Assignee, Acceptor  int64
		Issued, Accepted, Completed time.Time
		Price, Reward, Collateral   int64
	}
	// Killmail is a killmail of a character. Things holds quantities by type, the ship
	// included.
	Killmail struct {
		Character       int64
		At              time.Time
		Loss, FinalBlow bool
		Attackers       int
		Ship, System    int64
		Things          map[int64]int64
	}
	// Session is a time online; Number counts all logins of a character from 1.
	Session struct {
		Character, Number int64
		From, To          time.Time
	}
	// Look is a moment at which it was seen whether a character is online.
	Look struct {
		Character int64
		At        time.Time
	}
	// Mail is a mail that a character has.
	Mail struct {
		Character, From int64
		At              time.Time
		To              []int64
	}
	// Notification is a notification that a character got.
	Notification struct {
		Character, Sender int64
		At                time.Time
		Type              string
	}
	// Step is a step of the sync of a section: told, failed with a class, or recovered.
	Step struct {
		Character            int64
		Section, Kind, Class string
		At                   time.Time
	}
	// Standing is how a user stood from a moment on.
	Standing struct {
		User                          string
		Since                         time.Time
		Considered, Compliant         bool
		NoMain, NeverRegistered, Lost bool
		Total, Unregistered           int
	}
	// Main is who was a user's main from a moment on; zero for nobody.
	Main struct {
		User      string
		Since     time.Time
		Character int64
	}
	// Viewed are looks at data of others.
	Viewed struct {
		Viewer, ViewerUser, Owner string
		Character                 int64
		Section, Way              string
		At                        time.Time
		Count                     int64
	}
	// SkillSet is what a skill set asked for from a moment on; nil for a set that is gone.
	SkillSet struct {
		ID    uuid.UUID
		Since time.Time
		Name  string
		Asks  []Asked
	}
	// Asked are the levels of a skill that are required and recommended; 0 for none.
	Asked struct {
		Skill                 int64
		Required, Recommended int
	}
	// Group is which sets a group had from a moment on.
	Group struct {
		ID    uuid.UUID
		Since time.Time
		Name  string
		Sets  []uuid.UUID
	}
)
