package access

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Compliance is here and not with the characters of EVE: who is considered, which
// main stands for whom and which characters are whose are questions about users,
// and a world of facts knows no users (it imports no other world).

// ComplianceReport tells how far users have registered their characters, by user and
// by the corporation of their mains. Percentages are cut, never rounded up to
// something that is not so.
type ComplianceReport struct {
	// Users are in byte order of their ids, Corporations ascending.
	Users        []UserCompliance        `json:"users"`
	Corporations []CorporationCompliance `json:"corporations"`
}

// UserCompliance is how far one user has registered his characters.
type UserCompliance struct {
	User string `json:"user"`
	// Main is nil for none.
	Main *int64 `json:"main"`
	// Total counts the characters he owns, Unregistered those of them that are not
	// registered.
	Total        int `json:"total"`
	Unregistered int `json:"unregistered"`
	// Registered: at least one is registered.
	Registered bool `json:"registered"`
	// Compliant: he has a main, and all are registered.
	Compliant bool `json:"compliant"`
	// Reasons are what there is to be put right, by character; one without a
	// character comes first. They are no part of Member Audit's report.
	Reasons []Reason `json:"reasons,omitempty"`
}

// Fault is a kind of thing to be put right.
type Fault string

// The faults.
const (
	// FaultNoMain: the user has chosen no main.
	FaultNoMain Fault = "no_main"
	// FaultNeverRegistered: the character was not registered so far.
	FaultNeverRegistered Fault = "never_registered"
	// FaultLoginLost: it was registered, and its login does not work any more. It
	// counts as registered for as long as it is: that is for EVE to say, not for a
	// report.
	FaultLoginLost Fault = "login_lost"
)

// Reason is one thing to be put right.
type Reason struct {
	// CharacterID is zero for what is not about a character.
	CharacterID int64 `json:"character_id,omitempty"`
	Fault       Fault `json:"fault"`
}

// CorporationCompliance is how far the users whose mains are in a corporation have
// registered their characters, wherever those are.
type CorporationCompliance struct {
	CorporationID int64 `json:"corporation_id"`
	// Mains counts the users, Characters all that they own, Unregistered those of
	// them that are not registered.
	Mains        int `json:"mains"`
	Characters   int `json:"characters"`
	Unregistered int `json:"unregistered"`
	// Percent is the share that is registered, cut after two decimals, such as
	// "99.60".
	Percent string `json:"percent_floor_2"`
	// Compliant: all are registered.
	Compliant bool `json:"compliant"`
	// Partly: not all, but at least 85 % of them.
	Partly bool `json:"partly"`
}

// PartlyPercent is the share from which a corporation is partly compliant.
const PartlyPercent = 85

// Compliance reports on users of the roster, such as [Roster.ReportUsers] or
// [Roster.Everybody]; guests and unknown ones are left out. lost tells whether the
// login of a character that was registered once does not work any more; nil for
// never.
func (r *Roster) Compliance(users []string, lost func(character int64) bool) ComplianceReport {
	if lost == nil {
		lost = func(int64) bool { return false }
	}
	report := ComplianceReport{Users: []UserCompliance{}, Corporations: []CorporationCompliance{}}
	corporations := map[int64]*CorporationCompliance{}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(users))) {
		m, known := r.users[id]
		if !known || m.guest {
			continue
		}
		row := m.compliance(lost)
		report.Users = append(report.Users, row)
		if m.home.CorporationID == 0 {
			continue
		}
		c := corporations[m.home.CorporationID]
		if c == nil {
			c = &CorporationCompliance{CorporationID: m.home.CorporationID}
			corporations[c.CorporationID] = c
		}
		c.Mains++
		c.Characters += row.Total
		c.Unregistered += row.Unregistered
	}
	for _, id := range slices.Sorted(maps.Keys(corporations)) {
		c := corporations[id]
		report.Corporations = append(report.Corporations, CorporationOf(id, c.Mains, c.Characters, c.Unregistered))
	}
	return report
}

func (m *member) compliance(lost func(int64) bool) UserCompliance {
	total := len(m.registered) + len(m.unregistered)
	row := UserOf(m.id, m.main, total, len(m.unregistered))
	if m.main == nil {
		row.Reasons = append(row.Reasons, Reason{Fault: FaultNoMain})
	}
	for _, id := range m.unregistered {
		fault := FaultNeverRegistered
		if lost(id) {
			fault = FaultLoginLost
		}
		row.Reasons = append(row.Reasons, Reason{id, fault})
	}
	for _, id := range m.registered {
		if lost(id) {
			row.Reasons = append(row.Reasons, Reason{id, FaultLoginLost})
		}
	}
	slices.SortFunc(row.Reasons, func(a, b Reason) int { return cmp.Compare(a.CharacterID, b.CharacterID) })
	return row
}

// UserOf is the row of a user who owns so many characters, of which so many are not
// registered. It has no reasons. Main is nil for none.
func UserOf(user string, main *int64, total, unregistered int) UserCompliance {
	return UserCompliance{
		User: user, Main: main, Total: total, Unregistered: unregistered,
		Registered: unregistered < total, Compliant: main != nil && unregistered == 0,
	}
}

// CorporationOf is the row of a corporation with the mains of so many users, who own so
// many characters, of which so many are not registered. It is judged with whole numbers
// alone: 249 of 250 is "99.60" and not compliant, 28 of 33 is "84.84" and not partly.
// (Member Audit rounds, and takes 249 of 250 for all of them.)
func CorporationOf(corporation int64, mains, characters, unregistered int) CorporationCompliance {
	c := CorporationCompliance{CorporationID: corporation, Mains: mains, Characters: characters, Unregistered: unregistered}
	registered, hundredths := characters-unregistered, 10000
	if characters > 0 {
		hundredths = 10000 * registered / characters
	}
	c.Percent = fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
	c.Compliant = unregistered == 0
	c.Partly = !c.Compliant && 100*registered >= PartlyPercent*characters
	return c
}
