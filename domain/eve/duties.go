package eve

import "strings"

// Duty is a role in a corporation, at the place where it counts.
type Duty struct {
	// Group is what the game lists it under, such as "Station services"; empty for a
	// role that is in none.
	Group string `json:"group"`
	// Place is universal, headquarters, base or other.
	Place string `json:"place"`
	// Role is ESI's word, such as Hangar_Take_1.
	Role string `json:"role"`
	// Granted tells whether the character has it.
	Granted bool `json:"granted"`
}

// Where roles count. Each is a list of ESI's answer.
const (
	PlaceUniversal    = "universal"
	PlaceHeadquarters = "headquarters"
	PlaceBase         = "base"
	PlaceOther        = "other"
)

// DutyPlaces are the places in their order, each with the list of ESI's answer that has
// its roles.
func DutyPlaces() [][2]string {
	return [][2]string{{PlaceUniversal, "roles"}, {PlaceHeadquarters, "roles_at_hq"}, {PlaceBase, "roles_at_base"}, {PlaceOther, "roles_at_other"}}
}

// dutyGroups are the groups of roles that count everywhere, in the order of the game.
func dutyGroups() []struct {
	name  string
	roles string
} {
	return []struct {
		name  string
		roles string
	}{
		{"General", "Director Personnel_Manager Accountant Junior_Accountant Auditor Trader Contract_Manager Diplomat Communications_Officer Security_Officer Project_Manager Brand_Manager Fitting_Manager Skill_Plan_Manager"},
		{"Station services", "Station_Manager Factory_Manager Rent_Office Rent_Factory_Facility Rent_Research_Facility Deliveries_Query Deliveries_Take Deliveries_Container_Take"},
		{"Starbases", "Config_Equipment Config_Starbase_Equipment Starbase_Defense_Operator Starbase_Fuel_Technician"},
		{"Wallet divisions", "Account_Take_1 Account_Take_2 Account_Take_3 Account_Take_4 Account_Take_5 Account_Take_6 Account_Take_7"},
	}
}

// hangarDivisions is how many hangars an office has.
const hangarDivisions = "1234567"

// Duties lists all roles that the game has, with whether they are granted, group after
// group and place after place, and at the end those that are granted and that nobody
// knows. granted has ESI's lists by their names; nil lists are empty.
func Duties(granted map[string][]string) []Duty {
	var duties []Duty
	left := map[string]map[string]bool{}
	for _, place := range DutyPlaces() {
		left[place[0]] = map[string]bool{}
		for _, role := range granted[place[1]] {
			left[place[0]][role] = true
		}
	}
	add := func(group, place, role string) {
		duties = append(duties, Duty{Group: group, Place: place, Role: role, Granted: left[place][role]})
		delete(left[place], role)
	}
	for _, group := range dutyGroups() {
		for role := range strings.FieldsSeq(group.roles) {
			add(group.name, PlaceUniversal, role)
		}
	}
	for _, place := range DutyPlaces()[1:] {
		for _, right := range [...][2]string{{"Hangar access", "Hangar_Query_"}, {"Hangar access", "Hangar_Take_"}, {"Container access", "Container_Take_"}} {
			for _, division := range hangarDivisions {
				add(right[0], place[0], right[1]+string(division))
			}
		}
	}
	for _, place := range DutyPlaces() {
		for _, role := range granted[place[1]] {
			if left[place[0]][role] {
				add("", place[0], role)
			}
		}
	}
	return duties
}
