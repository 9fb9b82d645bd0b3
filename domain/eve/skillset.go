package eve

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Bounds of skill sets and their groups. That of names is Member Audit's; the
// others keep one event far below what the log takes.
const (
	MaxSkillSetName        = 100
	MaxSkillSetDescription = 10_000
	MaxSkillSetSkills      = 1_000
	MaxSkillSetGroupSets   = 1_000
)

// MaxSkillLevel is the highest level of a skill.
const MaxSkillLevel = 5

// SkillLevel is a level that a skill set asks for: 1 to 5, or 0 for none, which is
// null in JSON.
type SkillLevel int

// MarshalJSON implements [json.Marshaler].
func (l SkillLevel) MarshalJSON() ([]byte, error) {
	if l == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(l), 10), nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It fails for a zero: no level is
// written as null, and a zero may be a slip.
func (l *SkillLevel) UnmarshalJSON(data []byte) error {
	var n *int
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("a level must be a whole number from 1 to %d, or null: %w", MaxSkillLevel, err)
	}
	switch {
	case n == nil:
		*l = 0
	case *n == 0:
		return errors.New("a level of 0 asks for nothing: write null, or leave it out")
	default:
		*l = SkillLevel(*n)
	}
	return nil
}

// Roman is the level as EVE writes it, such as IV; the number itself where EVE has
// no such level.
func (l SkillLevel) Roman() string {
	if l < 1 || l > MaxSkillLevel {
		return strconv.Itoa(int(l))
	}
	return [...]string{"I", "II", "III", "IV", "V"}[l-1]
}

// SetSkill is a skill of a skill set.
type SetSkill struct {
	TypeID int64 `json:"type_id"`
	// Required decides whether a character passes; Recommended never does.
	Required    SkillLevel `json:"required"`
	Recommended SkillLevel `json:"recommended"`
}

// Highest is the higher of both levels: what one has to train for both.
func (s SetSkill) Highest() SkillLevel { return max(s.Required, s.Recommended) }

// SkillSet is what a character needs for something, such as flying a ship of a
// doctrine. All that it asks for is listed: what the ship or the skills themselves
// need is not added.
type SkillSet struct {
	// Name is unique, without regard to case.
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// ShipTypeID is the ship whose picture is shown; 0 for none.
	ShipTypeID int64 `json:"ship_type_id,omitempty"`
	// Visible tells that members are shown how they stand. The others are for
	// auditors alone.
	Visible bool       `json:"visible"`
	Skills  []SetSkill `json:"skills"`
}

// Normalise puts a set into the one form in which it is kept: names without
// surrounding space, skills by ascending id.
func (s *SkillSet) Normalise() {
	s.Name, s.Description = strings.TrimSpace(s.Name), strings.TrimSpace(s.Description)
	s.Skills = slices.Clone(s.Skills)
	slices.SortStableFunc(s.Skills, func(a, b SetSkill) int { return cmp.Compare(a.TypeID, b.TypeID) })
}

// Validate fails with [event.CodeInvalid], naming each rule that is broken: those
// of Member Audit's form, which its database does not hold it to.
func (s SkillSet) Validate() error {
	broken := []error{checkName("name", s.Name), checkDescription(s.Description)}
	if s.ShipTypeID < 0 {
		broken = append(broken, fmt.Errorf("ship_type_id %d: must be the id of a type, or be left out", s.ShipTypeID))
	}
	switch n := len(s.Skills); {
	case n == 0:
		broken = append(broken, errors.New("skills: there must be at least one: a set without skills would be passed by everybody"))
	case n > MaxSkillSetSkills:
		broken = append(broken, fmt.Errorf("skills: there are %d, at most %d are taken", n, MaxSkillSetSkills))
	}
	seen := map[int64]bool{}
	for i, skill := range s.Skills {
		where := fmt.Sprintf("skills[%d], type %d", i, skill.TypeID)
		if skill.TypeID <= 0 {
			broken = append(broken, fmt.Errorf("%s: type_id must be the id of a skill", where))
		}
		if seen[skill.TypeID] {
			broken = append(broken, fmt.Errorf("%s: is there twice: give each skill once, with its required and its recommended level", where))
		}
		seen[skill.TypeID] = true
		if skill.Required == 0 && skill.Recommended == 0 {
			broken = append(broken, fmt.Errorf("%s: must have a required or a recommended level", where))
		}
		broken = append(broken, checkLevel(where+": required", skill.Required), checkLevel(where+": recommended", skill.Recommended))
	}
	return invalid(fmt.Sprintf("skill set %q", s.Name), broken)
}

// SkillSetGroup is a named collection of skill sets, such as a doctrine. A set may
// be in several groups, or in none.
type SkillSetGroup struct {
	// Name is unique among groups, without regard to case.
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Doctrine groups are shown as "Doctrine: name".
	Doctrine bool `json:"doctrine"`
	// Active only changes how the group is shown: the sets of one that is not
	// active are checked and reported all the same.
	Active bool `json:"active"`
	// SkillSetIDs are the sets in the group.
	SkillSetIDs []uuid.UUID `json:"skill_set_ids"`
}

// Label is how the group is shown, as Member Audit does.
func (g SkillSetGroup) Label() string {
	label := g.Name
	if g.Doctrine {
		label = "Doctrine: " + label
	}
	if !g.Active {
		label += " [Not active]"
	}
	return label
}

// Normalise puts a group into the one form in which it is kept: names without
// surrounding space, sets in order.
func (g *SkillSetGroup) Normalise() {
	g.Name, g.Description = strings.TrimSpace(g.Name), strings.TrimSpace(g.Description)
	g.SkillSetIDs = append([]uuid.UUID{}, g.SkillSetIDs...)
	slices.SortFunc(g.SkillSetIDs, compareIDs)
}

// equal tells whether both groups, normalised, say the same.
func (g SkillSetGroup) equal(other SkillSetGroup) bool {
	return g.Name == other.Name && g.Description == other.Description && g.Doctrine == other.Doctrine && g.Active == other.Active &&
		slices.Equal(g.SkillSetIDs, other.SkillSetIDs)
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// Validate fails with [event.CodeInvalid], naming each rule that is broken.
func (g SkillSetGroup) Validate() error {
	broken := []error{checkName("name", g.Name), checkDescription(g.Description)}
	if n := len(g.SkillSetIDs); n > MaxSkillSetGroupSets {
		broken = append(broken, fmt.Errorf("skill_set_ids: there are %d, at most %d are taken", n, MaxSkillSetGroupSets))
	}
	seen := map[uuid.UUID]bool{}
	for _, id := range g.SkillSetIDs {
		if seen[id] {
			broken = append(broken, fmt.Errorf("skill_set_ids: %s is there twice", id))
		}
		seen[id] = true
	}
	return invalid(fmt.Sprintf("skill set group %q", g.Name), broken)
}

// invalid is nil if nothing is broken.
func invalid(what string, broken []error) error {
	if err := errors.Join(broken...); err != nil {
		return event.Errorf(event.CodeInvalid, "%s: %w", what, err)
	}
	return nil
}

func checkName(field, name string) error {
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(name):
		return fmt.Errorf("%s: must be UTF-8", field)
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("%s: must not be empty", field)
	case n > MaxSkillSetName:
		return fmt.Errorf("%s: has %d characters, at most %d are allowed", field, n, MaxSkillSetName)
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return fmt.Errorf("%s: must be one line without control characters", field)
	}
	return nil
}

func checkDescription(text string) error {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text) || strings.Contains(text, "\x00"):
		return errors.New("description: must be UTF-8 without NUL")
	case n > MaxSkillSetDescription:
		return fmt.Errorf("description: has %d characters, at most %d are kept", n, MaxSkillSetDescription)
	}
	return nil
}

func checkLevel(what string, l SkillLevel) error {
	if l < 0 || l > MaxSkillLevel {
		return fmt.Errorf("%s: level %d: must be from 1 to %d, or null for none", what, l, MaxSkillLevel)
	}
	return nil
}

// SkillState is how a character stands in a skill.
type SkillState struct {
	// Active is the level that counts. It is below Trained for an Alpha clone.
	Active  int `json:"active"`
	Trained int `json:"trained"`
	// Points are the skill points in the skill.
	Points int64 `json:"points,omitempty"`
}

// Skills are the synced skills of a character by type id. One that is not there was
// never injected.
type Skills map[int64]SkillState

// SkillCheck is how a character stands to a skill set.
type SkillCheck struct {
	// FailedRequired and FailedRecommended are the skills whose level of that kind
	// is not reached, by ascending id. They do not influence each other.
	FailedRequired    []SetSkill
	FailedRecommended []SetSkill
	// Missing are the skills of either list, each once, by ascending id.
	Missing []SetSkill
}

// HasRequired tells whether the character passes the set: no required level is
// failed. Recommended ones never decide it (Member Audit 5.0.4; before that a
// recommended skill that was missing did).
func (c SkillCheck) HasRequired() bool { return len(c.FailedRequired) == 0 }

// HasRecommended tells whether no recommended level is failed.
func (c SkillCheck) HasRecommended() bool { return len(c.FailedRecommended) == 0 }

// CheckSkills holds a character's skills against a set. A level is failed if the
// character lacks the skill or its active level is lower; what is trained but not
// active does not count. So a character without skills fails every level, and a set
// without required levels is passed by everybody. Groups and visibility play no
// part.
func CheckSkills(skills Skills, set SkillSet) SkillCheck {
	var c SkillCheck
	for _, s := range set.Skills {
		// A skill that is not there is active at 0, and levels begin at 1.
		active := SkillLevel(skills[s.TypeID].Active)
		if active < s.Required {
			c.FailedRequired = append(c.FailedRequired, s)
		}
		if active < s.Recommended {
			c.FailedRecommended = append(c.FailedRecommended, s)
		}
		if active < s.Highest() {
			c.Missing = append(c.Missing, s)
		}
	}
	for _, list := range [][]SetSkill{c.FailedRequired, c.FailedRecommended, c.Missing} {
		slices.SortFunc(list, func(a, b SetSkill) int { return cmp.Compare(a.TypeID, b.TypeID) })
	}
	return c
}

// MissingText is what is missing in the form in which EVE takes a skill plan from
// the clipboard, and in which Member Audit (1.12) gives it: one line for each skill
// with its name and the higher of both levels in Roman numerals. name knows the
// names of types; a skill without one is called by its id.
func (c SkillCheck) MissingText(name func(typeID int64) string) string {
	lines := make([]string, len(c.Missing))
	for i, s := range c.Missing {
		called := name(s.TypeID)
		if called == "" {
			called = strconv.FormatInt(s.TypeID, 10)
		}
		lines[i] = called + " " + s.Highest().Roman()
	}
	return strings.Join(lines, "\n")
}

// SkillSetChange is one difference between two versions of a skill set.
type SkillSetChange struct {
	// Field is name, description, ship_type_id, visible or skill.
	Field string `json:"field"`
	// TypeID is the skill; 0 for other fields.
	TypeID int64 `json:"type_id,omitempty"`
	// Before and After are the values as text; empty for what is not there. Those of
	// a skill are its levels, such as "III, recommended V".
	Before string `json:"before"`
	After  string `json:"after"`
}

// DiffSkillSets tells what changed from one version of a set to another: first the
// set itself, then its skills by ascending id. Equal sets have no changes; the order
// of skills is none.
func DiffSkillSets(before, after SkillSet) []SkillSetChange {
	var changes []SkillSetChange
	field := func(name, was, is string) {
		if was != is {
			changes = append(changes, SkillSetChange{Field: name, Before: was, After: is})
		}
	}
	ship := func(id int64) string {
		if id == 0 {
			return ""
		}
		return strconv.FormatInt(id, 10)
	}
	field("name", before.Name, after.Name)
	field("description", before.Description, after.Description)
	field("ship_type_id", ship(before.ShipTypeID), ship(after.ShipTypeID))
	field("visible", strconv.FormatBool(before.Visible), strconv.FormatBool(after.Visible))

	was, is := map[int64]string{}, map[int64]string{}
	var ids []int64
	for levels, set := range map[*map[int64]string]SkillSet{&was: before, &is: after} {
		for _, s := range set.Skills {
			(*levels)[s.TypeID] = s.words()
			ids = append(ids, s.TypeID)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if was[id] != is[id] {
			changes = append(changes, SkillSetChange{Field: "skill", TypeID: id, Before: was[id], After: is[id]})
		}
	}
	return changes
}

// words are the levels of the skill as text.
func (s SetSkill) words() string {
	var words []string
	if s.Required != 0 {
		words = append(words, s.Required.Roman())
	}
	if s.Recommended != 0 {
		words = append(words, "recommended "+s.Recommended.Roman())
	}
	if words == nil {
		return "no level"
	}
	return strings.Join(words, ", ")
}
