package eve

import (
	"cmp"
	"encoding/json"
	"math"

	"github.com/muster-sync/muster/domain/event"
)

// SkillNature is what static data says of a skill.
type SkillNature struct {
	// Rank multiplies the skill points of each level; 0 if it is not known.
	Rank int
	// Primary and Secondary are ids of attributes, 164 to 168.
	Primary, Secondary int64
	// Needs are the skills that have to be trained first, with Required set.
	Needs []SetSkill
}

// Attributes are a character's, as ESI tells them: those of implants are included.
type Attributes struct {
	Charisma     int `json:"charisma"`
	Intelligence int `json:"intelligence"`
	Memory       int `json:"memory"`
	Perception   int `json:"perception"`
	Willpower    int `json:"willpower"`
}

// DecodeAttributes reads the attributes out of the section [SectionAttributes]. It
// fails with [event.CodeInvalid].
func DecodeAttributes(value []byte) (Attributes, error) {
	var a Attributes
	if err := json.Unmarshal(value, &a); err != nil {
		return Attributes{}, event.Errorf(event.CodeInvalid, "attributes: %w", err)
	}
	return a, nil
}

// Of is the attribute with one of EVE's ids; 0 for another id.
func (a Attributes) Of(id int64) int {
	switch id {
	case 164:
		return a.Charisma
	case 165:
		return a.Intelligence
	case 166:
		return a.Memory
	case 167:
		return a.Perception
	case 168:
		return a.Willpower
	default:
		return 0
	}
}

// SkillPoints are the points at which a skill of the rank reaches a level: 250 times
// the rank, times the square root of 32 for each level above the first, rounded up.
// (EVE University, "Skills and learning": 250, 1415, 8000, 45255 and 256000 for rank 1.)
func SkillPoints(rank int, level SkillLevel) int64 {
	if level <= 0 {
		return 0
	}
	return int64(math.Ceil(250 * float64(rank) * math.Pow(2, 2.5*float64(level-1))))
}

// Training is what is left to be trained for something.
type Training struct {
	// Skills are the levels to train, prerequisites included, by ascending id.
	Skills []SetSkill
	// Points are the skill points that are left.
	Points int64
	// Seconds are how long training them takes with these attributes, as an Omega
	// clone; nil if an attribute, or the rank of a skill, is not known.
	Seconds *int64
}

// TrainingFor is what a character has to train for skills at their required levels.
// What they need themselves is added. What is trained already, or partly, counts, also
// where it is not active: an Alpha clone that becomes an Omega need not train it again.
//
// A skill trains at the primary attribute plus half of the secondary one in points a
// minute (EVE University, "Skills and learning"). Queues, boosters and unallocated
// points play no part. natures has what is known of skills.
func TrainingFor(wanted []SetSkill, skills Skills, attributes *Attributes, natures map[int64]SkillNature) Training {
	levels := highest{}
	var need func(s SetSkill)
	need = func(s SetSkill) {
		if int(s.Required) <= max(skills[s.TypeID].Trained, int(levels[s.TypeID])) {
			return
		}
		levels[s.TypeID] = s.Required
		for _, n := range natures[s.TypeID].Needs {
			need(n)
		}
	}
	for _, s := range wanted {
		need(s)
	}
	t := Training{Skills: levels.skills()}
	known, seconds := attributes != nil, 0.0
	for _, s := range t.Skills {
		nature := natures[s.TypeID]
		points := max(0, SkillPoints(nature.Rank, s.Required)-skills[s.TypeID].Points)
		t.Points += points
		if !known {
			continue
		}
		// Points a minute.
		speed := float64(attributes.Of(nature.Primary)) + float64(attributes.Of(nature.Secondary))/2
		if nature.Rank <= 0 || attributes.Of(nature.Primary) <= 0 || attributes.Of(nature.Secondary) <= 0 {
			known = false
			continue
		}
		seconds += float64(points) / speed * 60
	}
	if known {
		t.Seconds = new(int64(math.Ceil(seconds)))
	}
	return t
}

// Closest orders what is left to train of several: the shortest time first, then those
// of whom it is not known, by their points.
func Closest(a, b Training) int {
	switch {
	case a.Seconds != nil && b.Seconds != nil:
		return cmp.Compare(*a.Seconds, *b.Seconds)
	case a.Seconds != nil:
		return -1
	case b.Seconds != nil:
		return 1
	default:
		return cmp.Compare(a.Points, b.Points)
	}
}
