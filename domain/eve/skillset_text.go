package eve

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/muster-sync/muster/domain/event"
)

// Bounds of texts that are read into skill sets. The longest fitting that EVE makes
// has some hundred lines, the longest skill plan five for each skill.
const (
	MaxSkillText      = 1 << 20
	maxSkillTextLines = 5_000
)

// KnownType is what a reader must know of a type.
type KnownType struct {
	TypeID int64
	// Skill tells that the type is a skill.
	Skill bool
	// Needs are the skills that are needed to use the type, with Required set, in any
	// order. What those need themselves is not among them.
	Needs []SetSkill
	// NeedsUnknown tells that Needs is empty because nobody knows them.
	NeedsUnknown bool
}

// TypeLookup knows types by their English names, without regard to case.
type TypeLookup interface {
	TypeNamed(name string) (KnownType, bool)
}

// TypesByName is a [TypeLookup] of a few types. Its keys are names in lower case.
type TypesByName map[string]KnownType

// TypeNamed implements [TypeLookup].
func (t TypesByName) TypeNamed(name string) (KnownType, bool) {
	known, ok := t[strings.ToLower(name)]
	return known, ok
}

// IgnoredLine is a line of a text of which nothing came into the skill set.
type IgnoredLine struct {
	// Line is counted from 1.
	Line   int    `json:"line"`
	Text   string `json:"text"`
	Reason string `json:"reason"`
}

// String is the line with the reason.
func (l IgnoredLine) String() string { return fmt.Sprintf("line %d: %q: %s", l.Line, l.Text, l.Reason) }

// textLine is a line that says something, without surrounding space.
type textLine struct {
	number int
	text   string
}

// linesOf are the lines of a text that are not blank. It fails with
// [event.CodeInvalid] for a text that is too long or is none.
func linesOf(what, text string) ([]textLine, error) {
	switch {
	case len(text) > MaxSkillText:
		return nil, event.Errorf(event.CodeInvalid, "the %s is %d bytes long, at most %d are read", what, len(text), MaxSkillText)
	case !utf8.ValidString(text):
		return nil, event.Errorf(event.CodeInvalid, "the %s is no text in UTF-8", what)
	}
	var lines []textLine
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		if number > maxSkillTextLines {
			return nil, event.Errorf(event.CodeInvalid, "the %s has more than %d lines: is it one?", what, maxSkillTextLines)
		}
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, textLine{number, line})
		}
	}
	if lines == nil {
		return nil, event.Errorf(event.CodeInvalid, "the %s is empty", what)
	}
	return lines, nil
}

// Fitting is a fitting in EFT's format, as EVE and most tools copy it: a title
// "[ship, name]", and then one line for each module, charge, drone, implant and so on.
// What the lines mean depends on the names of types, so that they are kept until
// those are known.
type Fitting struct {
	Ship, Name string

	titleLine int
	items     []textLine
}

// ParseFitting reads a fitting. It fails with [event.CodeInvalid], naming the line,
// if the first line is no title.
func ParseFitting(text string) (Fitting, error) {
	lines, err := linesOf("fitting", text)
	if err != nil {
		return Fitting{}, err
	}
	title := lines[0]
	inside, opened := strings.CutPrefix(title.text, "[")
	inside, closed := strings.CutSuffix(inside, "]")
	// Names of fittings may have commas, those of ships have none.
	ship, name, named := strings.Cut(inside, ",")
	f := Fitting{Ship: strings.TrimSpace(ship), Name: strings.TrimSpace(name), titleLine: title.number}
	if !opened || !closed || !named || f.Ship == "" {
		return Fitting{}, event.Errorf(event.CodeInvalid, "line %d: %.80q is no title: a fitting begins with [ship, name]", title.number, title.text)
	}
	for _, line := range lines[1:] {
		if !emptySlot(line.text) {
			f.items = append(f.items, line)
		}
	}
	return f, nil
}

// emptySlot tells whether a line stands for a slot with nothing in it, such as
// "[Empty High slot]".
func emptySlot(line string) bool {
	line = strings.ToLower(line)
	return strings.HasPrefix(line, "[empty ") && strings.HasSuffix(line, "slot]")
}

// readings are the ways to read a line of a fitting: each is the names of all types
// in it, and the first of which all are known is right. A line may end with a quantity
// such as "x5", or with "/OFFLINE", and may name a charge behind a comma; but names of
// types have all kinds of endings and commas, too.
func readings(line string) [][]string {
	if cut := strings.TrimSpace(strings.TrimSuffix(line, "/OFFLINE")); cut != "" {
		line = cut
	}
	all := [][]string{{line}}
	if item, quantity, ok := cutLast(line, " "); ok && isQuantity(quantity) {
		return append(all, []string{item})
	}
	if module, charge, ok := cutLast(line, ","); ok {
		all = append(all, []string{module, charge})
	}
	return all
}

// cutLast cuts at the last separator; false if either side is empty.
func cutLast(s, separator string) (before, after string, ok bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return "", "", false
	}
	before, after = strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+len(separator):])
	return before, after, before != "" && after != ""
}

func isQuantity(s string) bool {
	digits, ok := strings.CutPrefix(s, "x")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// TypeNames are the names that the fitting may hold, each once, in their order: what
// a [TypeLookup] has to know, if it is a type.
func (f Fitting) TypeNames() []string {
	names := []string{f.Ship}
	for _, item := range f.items {
		for _, reading := range readings(item.text) {
			names = append(names, reading...)
		}
	}
	return unique(names)
}

// SkillSet is what is needed to use everything in the fitting: of hull, modules,
// charges, drones, fighters, implants, boosters and cargo the highest level of each
// skill, as its required level. What those skills need themselves is not added
// (Member Audit). The set is called like the fitting, and visible.
//
// Lines of which a type is not known, or what it needs, are reported; those that can
// be read count. It fails with [event.CodeInvalid], naming the line, if the ship is
// not known, and if nothing needs a skill.
func (f Fitting) SkillSet(types TypeLookup) (SkillSet, []IgnoredLine, error) {
	ship, known := types.TypeNamed(f.Ship)
	if !known {
		return SkillSet{}, nil, event.Errorf(event.CodeInvalid, "line %d: there is no ship called %.80q: its name must be the English one", f.titleLine, f.Ship)
	}
	var ignored []IgnoredLine
	needs := highest{}
	if ship.NeedsUnknown {
		ignored = append(ignored, IgnoredLine{f.titleLine, f.Ship, needsUnknown})
	}
	needs.add(ship.Needs...)
	for _, item := range f.items {
		found, reason := resolve(item.text, types)
		if reason != "" {
			ignored = append(ignored, IgnoredLine{item.number, item.text, reason})
		}
		for _, t := range found {
			needs.add(t.Needs...)
		}
	}
	set := SkillSet{Name: f.Name, ShipTypeID: ship.TypeID, Visible: true, Skills: needs.skills()}
	if len(set.Skills) == 0 {
		return SkillSet{}, ignored, event.Errorf(event.CodeInvalid, "nothing in the fitting needs a skill, or nothing is known of what it needs")
	}
	return set, ignored, nil
}

const needsUnknown = "what this type needs is not known: load newer reference data"

// resolve finds the types of a line. The reason says what could not be found.
func resolve(line string, types TypeLookup) (found []KnownType, reason string) {
	all := readings(line)
	for _, reading := range all {
		found = found[:0]
		for _, name := range reading {
			if t, known := types.TypeNamed(name); known {
				found = append(found, t)
			}
		}
		if len(found) == len(reading) {
			if slices.ContainsFunc(found, func(t KnownType) bool { return t.NeedsUnknown }) {
				reason = needsUnknown
			}
			return found, reason
		}
	}
	// Of a module and its charge one may be known; the last reading has both.
	var missing []string
	for _, name := range all[len(all)-1] {
		if _, known := types.TypeNamed(name); !known {
			missing = append(missing, strconv.Quote(name))
		}
	}
	return found, "there is no type called " + strings.Join(missing, " or ")
}

// SkillPlan is a skill plan as text: one skill with its level in each line.
type SkillPlan struct{ lines []textLine }

// ParseSkillPlan reads a skill plan. It fails with [event.CodeInvalid] for what is no
// text; lines are looked at once types are known.
func ParseSkillPlan(text string) (SkillPlan, error) {
	lines, err := linesOf("skill plan", text)
	return SkillPlan{lines}, err
}

// TypeNames are the names that the plan holds, each once, in their order.
func (p SkillPlan) TypeNames() []string {
	var names []string
	for _, line := range p.lines {
		if name, _, reason := planLine(line.text); reason == "" {
			names = append(names, name)
		}
	}
	return unique(names)
}

// SkillSet is the set that requires the levels of the plan, of each skill the highest.
// It has no name, and is visible. What the skills need themselves is not added.
//
// Lines that cannot be read are reported; the others count. It fails with
// [event.CodeInvalid], naming the first line, if none can be read.
func (p SkillPlan) SkillSet(types TypeLookup) (SkillSet, []IgnoredLine, error) {
	var ignored []IgnoredLine
	needs := highest{}
	for _, line := range p.lines {
		name, level, reason := planLine(line.text)
		t, known := types.TypeNamed(name)
		switch {
		case reason != "":
		case !known:
			reason = fmt.Sprintf("there is no skill called %q: its name must be the English one", name)
		case !t.Skill:
			reason = fmt.Sprintf("%q is no skill", name)
		default:
			needs.add(SetSkill{TypeID: t.TypeID, Required: level})
			continue
		}
		ignored = append(ignored, IgnoredLine{line.number, line.text, reason})
	}
	if len(needs) == 0 {
		return SkillSet{}, ignored, event.Errorf(event.CodeInvalid, "the skill plan has no line that can be read, such as \"Gunnery III\" or \"Gunnery 3\"; %s", ignored[0])
	}
	return SkillSet{Visible: true, Skills: needs.skills()}, ignored, nil
}

// planLine takes a line of a skill plan apart: the level is its last word, in Roman or
// Arabic numerals.
func planLine(line string) (name string, level SkillLevel, reason string) {
	i := strings.LastIndexFunc(line, unicode.IsSpace)
	if i < 0 {
		return "", 0, "a line must be the name of a skill and a level"
	}
	name, last := strings.Join(strings.Fields(line[:i]), " "), strings.TrimSpace(line[i:])
	for level = 1; level <= MaxSkillLevel; level++ {
		if strings.EqualFold(last, level.Roman()) || last == strconv.Itoa(int(level)) {
			return name, level, ""
		}
	}
	return "", 0, fmt.Sprintf("%q is no level: it must be from I to V, or from 1 to %d", last, MaxSkillLevel)
}

// highest has the highest required level of each skill.
type highest map[int64]SkillLevel

func (h highest) add(skills ...SetSkill) {
	for _, s := range skills {
		if s.Required > 0 {
			h[s.TypeID] = max(h[s.TypeID], s.Required)
		}
	}
}

// skills are sorted by id.
func (h highest) skills() []SetSkill {
	skills := make([]SetSkill, 0, len(h))
	for id, level := range h {
		skills = append(skills, SetSkill{TypeID: id, Required: level})
	}
	slices.SortFunc(skills, func(a, b SetSkill) int { return cmp.Compare(a.TypeID, b.TypeID) })
	return skills
}

func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		twice := seen[name]
		seen[name] = true
		return twice
	})
}
