package eve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/muster-sync/muster/domain/event"
)

// HappeningKind is a kind of thing that happens to a character.
type HappeningKind string

// The kinds of happenings.
const (
	HappenedRegistered         HappeningKind = "registered"
	HappenedRenewed            HappeningKind = "renewed"
	HappenedReclaimed          HappeningKind = "reclaimed"
	HappenedTransferred        HappeningKind = "transferred"
	HappenedOrphaned           HappeningKind = "orphaned"
	HappenedDisabled           HappeningKind = "disabled"
	HappenedEnabled            HappeningKind = "enabled"
	HappenedShared             HappeningKind = "shared"
	HappenedUnshared           HappeningKind = "unshared"
	HappenedSectionFailed      HappeningKind = "section_failed"
	HappenedSectionRecovered   HappeningKind = "section_recovered"
	HappenedNameChanged        HappeningKind = "name_changed"
	HappenedCorporationChanged HappeningKind = "corporation_changed"
	HappenedAllianceChanged    HappeningKind = "alliance_changed"
	HappenedLocationChanged    HappeningKind = "location_changed"
	HappenedShipChanged        HappeningKind = "ship_changed"
	HappenedSkillTrained       HappeningKind = "skill_trained"
	HappenedSkillLost          HappeningKind = "skill_lost"
	HappenedImplantsChanged    HappeningKind = "implants_changed"
	HappenedHomeChanged        HappeningKind = "home_changed"
	HappenedJumpClonesChanged  HappeningKind = "jump_clones_changed"
	HappenedWalletChanged      HappeningKind = "wallet_changed"
	HappenedContractRecorded   HappeningKind = "contract_recorded"
	HappenedContractChanged    HappeningKind = "contract_changed"
	HappenedKillmailRecorded   HappeningKind = "killmail_recorded"
	HappenedRolesChanged       HappeningKind = "roles_changed"
)

// HappeningKinds lists all kinds, in the order of what they are about.
func HappeningKinds() []HappeningKind {
	return []HappeningKind{
		HappenedRegistered, HappenedRenewed, HappenedReclaimed, HappenedTransferred, HappenedOrphaned, HappenedDisabled, HappenedEnabled, HappenedShared, HappenedUnshared,
		HappenedSectionFailed, HappenedSectionRecovered, HappenedNameChanged, HappenedCorporationChanged, HappenedAllianceChanged, HappenedLocationChanged, HappenedShipChanged,
		HappenedSkillTrained, HappenedSkillLost, HappenedImplantsChanged, HappenedHomeChanged, HappenedJumpClonesChanged, HappenedWalletChanged,
		HappenedContractRecorded, HappenedContractChanged, HappenedKillmailRecorded, HappenedRolesChanged,
	}
}

// Part is a part of what is said of a happening: a text, or an id to be said by its
// name.
type Part struct {
	Text string
	// Kind is [FieldType], [FieldLocation] or [FieldEntity] for an id; empty for a
	// text.
	Kind FieldKind
	ID   int64
}

// Happening is one thing that happened to a character.
type Happening struct {
	Kind HappeningKind
	// Section is the section that it shows in; empty for what concerns the character
	// as a whole.
	Section Section
	// Words say what happened, as one sentence.
	Words []Part
	// Amount is by how much the wallet changed; zero for other kinds.
	Amount ISK
}

// TimelineSections are the sections that a [Timeline] tells of beside their failures.
func TimelineSections() []Section {
	return []Section{
		SectionDetails, SectionLocation, SectionShip, SectionSkills, SectionImplants, SectionClones, SectionWallet, SectionContracts, SectionKillmails, SectionRoles,
	}
}

// Timeline makes of the events of a character what happened to it. What the first
// reading of a section shows did not happen then, so it tells of changes alone. It
// is not safe for concurrent use.
type Timeline struct {
	// MinWallet is the least change of the wallet's balance that is told.
	MinWallet ISK

	chronicles map[Section]*Chronicle
	owner      string
	// ended is why the last ownership ended; empty while there is one.
	ended string
}

// NewTimeline is the timeline of a character of which nothing is known yet. Changes
// of the wallet below minWallet are not told.
func NewTimeline(minWallet ISK) *Timeline {
	t := &Timeline{MinWallet: minWallet, chronicles: map[Section]*Chronicle{}}
	for _, s := range TimelineSections() {
		t.chronicles[s] = &Chronicle{Section: s}
	}
	return t
}

// Follow applies the next event of the character's stream and tells what happened by
// it. It fails with [event.CodePoisoned] for an event that cannot be read.
func (t *Timeline) Follow(e event.Event, p event.Payload) ([]Happening, error) {
	say := func(kind HappeningKind, format string, args ...any) []Happening {
		return []Happening{{Kind: kind, Words: words(fmt.Sprintf(format, args...))}}
	}
	switch p := p.(type) {
	case CharacterRegistered:
		t.owner, t.ended = p.UserID, ""
		return say(HappenedRegistered, "Registered by user %s.", p.UserID), nil
	case CharacterReclaimed:
		return t.claim(p), nil
	case CharacterOrphaned:
		t.owner, t.ended = "", p.Reason
		return say(HappenedOrphaned, "Has no owner any more: %s.", p.Reason), nil
	case CharacterDisabled:
		return say(HappenedDisabled, "Sync switched off: %s.", p.Reason), nil
	case CharacterEnabled:
		if p.Reason == "" {
			return say(HappenedEnabled, "Sync switched on."), nil
		}
		return say(HappenedEnabled, "Sync switched on: %s.", p.Reason), nil
	case CharacterShared:
		return say(HappenedShared, "Shared by user %s.", p.UserID), nil
	case CharacterUnshared:
		return say(HappenedUnshared, "Shared no more."), nil
	case SectionFailed:
		return []Happening{{Kind: HappenedSectionFailed, Section: p.Section, Words: words(fmt.Sprintf("Section %s cannot be read (%s): %s.", p.Section, p.Class, p.Message))}}, nil
	case SectionRecovered:
		return []Happening{{Kind: HappenedSectionRecovered, Section: p.Section, Words: words(fmt.Sprintf("Section %s can be read again.", p.Section))}}, nil
	case SectionObserved:
		return t.follow(e, p, p.Section)
	case FactsEvent:
		return t.follow(e, p, p.Content().Section)
	default:
		return nil, nil
	}
}

func words(text string) []Part { return []Part{{Text: text}} }

func (t *Timeline) claim(p CharacterReclaimed) []Happening {
	h := Happening{Kind: HappenedReclaimed, Words: words("Has an owner again: user " + p.UserID + ".")}
	switch {
	case t.ended == ReasonOwnerHash || t.ended == ReasonOtherUser:
		h.Kind, h.Words = HappenedTransferred, words("Transferred to user "+p.UserID+".")
	case t.owner == p.UserID:
		h.Kind, h.Words = HappenedRenewed, words("Login renewed by user "+p.UserID+".")
	}
	t.owner, t.ended = p.UserID, ""
	return []Happening{h}
}

func (t *Timeline) follow(e event.Event, p event.Payload, section Section) ([]Happening, error) {
	chronicle := t.chronicles[section]
	if chronicle == nil {
		return nil, nil
	}
	changes, first, err := chronicle.Follow(e, p)
	if err != nil || first {
		return nil, err
	}
	var told []Happening
	for _, c := range changes {
		told = append(told, t.interpret(section, c)...)
	}
	if section == SectionImplants && len(changes) > 0 {
		told = []Happening{{Kind: HappenedImplantsChanged, Words: gainsAndLosses("Implants changed", FieldType, changes)}}
	}
	if section == SectionRoles && len(changes) > 0 {
		told = []Happening{{Kind: HappenedRolesChanged, Words: gainsAndLosses("Roles in the corporation changed", "", changes)}}
	}
	for i := range told {
		told[i].Section = section
	}
	return told, nil
}

// interpret makes of a change what happened.
func (t *Timeline) interpret(section Section, c Change) []Happening {
	switch section { //nolint:exhaustive // those of [TimelineSections] that are told change by change
	case SectionDetails:
		return detailsHappened(c)
	case SectionLocation:
		return locationHappened(c)
	case SectionShip:
		return shipHappened(c)
	case SectionSkills:
		return skillHappened(c)
	case SectionClones:
		return clonesHappened(c)
	case SectionWallet:
		return t.walletHappened(c)
	case SectionContracts:
		return contractHappened(c)
	case SectionKillmails:
		return killmailHappened(c)
	default:
		return nil
	}
}

// numberIn is a field that holds a whole number; zero if there is none.
func numberIn(object json.RawMessage, field string) int64 {
	if len(object) == 0 || object[0] != '{' {
		return 0
	}
	n, err := strconv.ParseInt(string(memberOf(membersOf(object), field)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// textIn is a field that holds a text; empty if there is none.
func textIn(object json.RawMessage, field string) string {
	if len(object) == 0 || object[0] != '{' {
		return ""
	}
	value := memberOf(membersOf(object), field)
	if len(value) == 0 || value[0] != '"' {
		return ""
	}
	return textOf(value)
}

// fromTo says that something changed from one thing to another; an id of zero is
// none.
func fromTo(what string, kind FieldKind, before, after int64) []Part {
	named := func(id int64) Part {
		if id == 0 {
			return Part{Text: "none"}
		}
		return Part{Kind: kind, ID: id}
	}
	return []Part{{Text: what + " changed from "}, named(before), {Text: " to "}, named(after), {Text: "."}}
}

func detailsHappened(c Change) []Happening {
	var told []Happening
	if before, after := textIn(c.Before, "name"), textIn(c.After, "name"); before != after {
		told = append(told, Happening{Kind: HappenedNameChanged, Words: words(fmt.Sprintf("Name changed from %s to %s.", before, after))})
	}
	if before, after := numberIn(c.Before, "corporation_id"), numberIn(c.After, "corporation_id"); before != after {
		told = append(told, Happening{Kind: HappenedCorporationChanged, Words: fromTo("Corporation", FieldEntity, before, after)})
	}
	if before, after := numberIn(c.Before, "alliance_id"), numberIn(c.After, "alliance_id"); before != after {
		told = append(told, Happening{Kind: HappenedAllianceChanged, Words: fromTo("Alliance", FieldEntity, before, after)})
	}
	return told
}

// place is where a location is: the station or structure, or else the system.
func place(location json.RawMessage) int64 {
	for _, field := range []string{"station_id", "structure_id", "solar_system_id"} {
		if id := numberIn(location, field); id != 0 {
			return id
		}
	}
	return 0
}

func locationHappened(c Change) []Happening {
	before, after := place(c.Before), place(c.After)
	if before == after {
		return nil
	}
	return []Happening{{Kind: HappenedLocationChanged, Words: fromTo("Location", FieldLocation, before, after)}}
}

func shipHappened(c Change) []Happening {
	before, after := numberIn(c.Before, "ship_type_id"), numberIn(c.After, "ship_type_id")
	if before == after && numberIn(c.Before, "ship_item_id") == numberIn(c.After, "ship_item_id") {
		return nil
	}
	return []Happening{{Kind: HappenedShipChanged, Words: fromTo("Ship", FieldType, before, after)}}
}

func skillHappened(c Change) []Happening {
	id, err := strconv.ParseInt(c.Key, 10, 64)
	if c.Head || c.List != "skills" || err != nil {
		return nil
	}
	before, after := numberIn(c.Before, "trained_skill_level"), numberIn(c.After, "trained_skill_level")
	skill := Part{Kind: FieldType, ID: id}
	switch {
	case c.Kind == ChangeRemoved:
		return []Happening{{Kind: HappenedSkillLost, Words: []Part{{Text: "Skill lost: "}, skill, {Text: "."}}}}
	case c.Kind == ChangeAdded && after == 0:
		return []Happening{{Kind: HappenedSkillTrained, Words: []Part{{Text: "Skill injected: "}, skill, {Text: "."}}}}
	case after > before:
		return []Happening{{Kind: HappenedSkillTrained, Words: []Part{{Text: "Skill trained: "}, skill, {Text: fmt.Sprintf(" to level %d.", after)}}}}
	case after < before:
		return []Happening{{Kind: HappenedSkillLost, Words: []Part{{Text: "Skill lost: "}, skill, {Text: fmt.Sprintf(" from level %d to %d.", before, after)}}}}
	default:
		return nil
	}
}

func clonesHappened(c Change) []Happening {
	if c.Head {
		home := func(head json.RawMessage) int64 {
			if len(head) == 0 || head[0] != '{' {
				return 0
			}
			return numberIn(memberOf(membersOf(head), "home_location"), "location_id")
		}
		if before, after := home(c.Before), home(c.After); before != after {
			return []Happening{{Kind: HappenedHomeChanged, Words: fromTo("Home", FieldLocation, before, after)}}
		}
		return nil
	}
	at := func(what string, clone json.RawMessage) []Happening {
		return []Happening{{Kind: HappenedJumpClonesChanged, Words: []Part{{Text: "Jump clone " + what + ": "}, {Kind: FieldLocation, ID: numberIn(clone, "location_id")}, {Text: "."}}}}
	}
	switch c.Kind {
	case ChangeAdded:
		return at("made", c.After)
	case ChangeRemoved:
		return at("gone", c.Before)
	default:
		return at("changed", c.After)
	}
}

func (t *Timeline) walletHappened(c Change) []Happening {
	before, err := DecodeWallet(c.Before)
	if err != nil {
		return nil
	}
	after, err := DecodeWallet(c.After)
	if err != nil {
		return nil
	}
	by := after - before
	if by == 0 || max(by, -by) < t.MinWallet {
		return nil
	}
	return []Happening{{Kind: HappenedWalletChanged, Amount: by, Words: words(fmt.Sprintf("Wallet changed by %s ISK, from %s to %s.", by, before, after))}}
}

func contractHappened(c Change) []Happening {
	what := "Contract " + c.Key
	if kind := textIn(c.After, "type"); kind != "" {
		what += " (" + kind + ")"
	}
	status := textIn(c.After, "status")
	switch {
	case c.Kind == ChangeAdded:
		said := []Part{{Text: what + " by "}, {Kind: FieldEntity, ID: numberIn(c.After, "issuer_id")}}
		if to := numberIn(c.After, "assignee_id"); to != 0 {
			said = append(said, Part{Text: " for "}, Part{Kind: FieldEntity, ID: to})
		}
		return []Happening{{Kind: HappenedContractRecorded, Words: append(said, Part{Text: ": " + status + "."})}}
	case slices.Contains(c.Fields, "status"):
		return []Happening{{Kind: HappenedContractChanged, Words: words(fmt.Sprintf("%s changed from %s to %s.", what, textIn(c.Before, "status"), status))}}
	default:
		return nil
	}
}

func killmailHappened(c Change) []Happening {
	if c.Kind != ChangeAdded {
		return nil
	}
	said := []Part{{Text: "Killmail " + c.Key}}
	if object := c.After; len(object) > 0 && object[0] == '{' {
		victim := memberOf(membersOf(object), "victim")
		if id := numberIn(victim, "character_id"); id != 0 {
			said = append(said, Part{Text: ": "}, Part{Kind: FieldEntity, ID: id})
		}
		if id := numberIn(victim, "ship_type_id"); id != 0 {
			said = append(said, Part{Text: " lost "}, Part{Kind: FieldType, ID: id})
		}
	}
	return []Happening{{Kind: HappenedKillmailRecorded, Words: append(said, Part{Text: "."})}}
}

// gainsAndLosses says what came to lists of scalars and what went.
func gainsAndLosses(what string, kind FieldKind, changes []Change) []Part {
	said := []Part{{Text: what + ":"}}
	for i, c := range changes {
		sign := " +"
		if c.Kind == ChangeRemoved {
			sign = " -"
		}
		if i > 0 {
			sign = "," + sign
		}
		name := Part{Text: c.Key}
		if c.Head {
			name.Text = "other"
		}
		if c.List != "" && c.List != "roles" {
			name.Text += " (" + c.List + ")"
		}
		if id, err := strconv.ParseInt(c.Key, 10, 64); err == nil && kind != "" {
			name = Part{Kind: kind, ID: id}
		}
		said = append(said, Part{Text: sign}, name)
	}
	return append(said, Part{Text: "."})
}
