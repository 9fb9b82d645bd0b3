package esi

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// FirstCharacter is the id of the first simulated character; the others follow
// without a hole.
const FirstCharacter int64 = 90000001

const (
	firstCorporation int64 = 98000001
	firstAlliance    int64 = 99000001
	day                    = 24 * time.Hour
)

// Names of what is drawn; each has its own independent stream.
const (
	drawCharacter uint64 = iota + 1
	drawCorporation
	drawAlliance
	drawMove
	drawLocation
	drawSecurity
	drawJournalBlock
	drawJournalLevel
	drawOwner
	drawUser
	drawExtra
)

// world is a pure function of the seed and the time: nothing in it is stored or
// changes, so it is safe for concurrent use and the same after a restart.
type world struct {
	seed         uint64
	characters   int
	corporations int
	alliances    int
	activity     float64
	// assets is how many each character has; 0 draws the number.
	assets int
}

func newWorld(seed uint64, characters int, activity float64) *world {
	// Corporations of about 25 and alliances of about 10 corporations.
	corporations := characters/25 + 1
	return &world{
		seed:         seed,
		characters:   characters,
		corporations: corporations,
		alliances:    corporations/10 + 1,
		activity:     activity,
	}
}

func (w *world) has(id int64) bool {
	return id >= FirstCharacter && id < FirstCharacter+int64(w.characters)
}

// traits are what stays the same for a character.
type traits struct {
	name       string
	birthday   time.Time
	gender     string
	race       int
	bloodline  int
	biography  string
	moveEvery  time.Duration // between changes of corporation
	movePhase  time.Duration
	jumpEvery  time.Duration // between changes of location
	jumpPhase  time.Duration
	home       int // index of the place it returns to
	level      float64
	perDay     float64 // journal entries
	blockPhase time.Duration
	titled     bool
	extra      bool // ESI sends a field that no specification names
}

var (
	givenNames = [...]string{
		"Aino", "Bram", "Casia", "Dorn", "Eshe", "Falk", "Gita", "Hadrin", "Ilva", "Jorun", "Keto", "Lirien",
		"Maro", "Nyx", "Orsa", "Pell", "Quill", "Rhea", "Søren", "Tamsin", "Ulrik", "Vesna", "Wren", "Ximena", "Yoran", "Zora",
	}
	familyNames = [...]string{
		"Aalto", "Brightwater", "Corvane", "Dusk", "Eldarin", "Fenwick", "Grau", "Holloway", "Ibarra", "Jast",
		"Korhonen", "Lachlan", "Morrow", "Nakamura", "O'Dell", "Petrov", "Quist", "Ravn", "Stormgard", "Thule",
		"Umbra", "Vantage", "Winterbourne", "Xan", "Yarrow", "Zephyrine",
	}
	lineages = [...]struct{ race, bloodline int }{
		{1, 1}, {1, 2}, {1, 11}, {2, 3}, {2, 4}, {2, 14}, {4, 5}, {4, 6}, {4, 13}, {8, 7}, {8, 8}, {8, 12},
	}
	biographies = [...]string{
		"", "", "Fly safe o7", "Retired miner. <br>Do not convo.", "<font size=\"12\" color=\"#bfffffff\">Recruiting!</font>",
		"Ich komme in Frieden — \u2603 \U0001F680", "line one\r\nline two\ttabbed \"quoted\"",
	}
	// places are solar systems with a station in each.
	places = [...]struct{ system, station int64 }{
		{30004088, 60007960},
		{30002392, 60003709},
		{30003034, 60009706},
		{30002969, 60001189},
		{30000181, 60001783},
		{30001708, 60013171},
		{30001424, 60002317},
		{30002971, 60008989},
		{30001831, 60014326},
		{30001404, 60001429},
		{30005079, 60012472},
		{30002100, 60005278},
		{30000162, 60000925},
		{30003482, 60002116},
		{30003578, 60010660},
		{30004111, 60010279},
		{30001362, 60001720},
		{30003795, 60005917},
		{30000190, 60002233},
		{30003284, 60013546},
		{30003391, 60010435},
		{30002805, 60001456},
		{30001603, 60013900},
		{30005273, 60005488},
		{30045322, 60015173},
		{30001833, 60014329},
		{30001403, 60001522},
		{30001894, 60014185},
		{30002406, 60014392},
		{30003826, 60009751},
	}
)

// traitsOf draws the lasting traits of a character. The sizes are spread as
// among real players: many idle, a few very busy.
func (w *world) traitsOf(id int64) traits {
	d := dice.New(w.seed, drawCharacter, uint64(id))
	n := int(id - FirstCharacter)
	lineage := lineages[d.IntN(len(lineages))]
	t := traits{
		// The number keeps names unique, as ESI's are.
		name: givenNames[d.IntN(len(givenNames))] + " " + familyNames[d.IntN(len(familyNames))] +
			" " + strconv.FormatInt(int64(n)+1, 36),
		birthday:  time.Date(2004, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(d.IntN(20*365*24*60)) * time.Minute),
		gender:    [...]string{"male", "female"}[d.IntN(2)],
		race:      lineage.race,
		bloodline: lineage.bloodline,
		biography: biographies[d.IntN(len(biographies))],
		home:      d.IntN(len(places)),
		titled:    d.Chance(0.3),
		extra:     d.Chance(0.03),
	}
	// From one and a half months to years in one corporation.
	t.moveEvery = time.Duration(min(d.LogNormal(240, 0.8), 4000)*24) * time.Hour
	t.moveEvery = max(t.moveEvery, 45*day)
	t.movePhase = time.Duration(d.Float() * float64(t.moveEvery))
	// From a jump every ten minutes to one in weeks; busy worlds jump more.
	t.jumpEvery = time.Duration(min(d.LogNormal(20, 1.8), 1000) / w.activity * float64(time.Hour))
	t.jumpEvery = max(t.jumpEvery, 10*time.Minute)
	t.jumpPhase = time.Duration(d.Float() * float64(t.jumpEvery))
	t.level = min(d.LogNormal(2e8, 2), 5e11)
	if !d.Chance(0.45) {
		t.perDay = max(1, min(d.LogNormal(120, 2), 12000)) / 30 * w.activity
	}
	t.blockPhase = time.Duration(d.Float() * float64(30*day))
	return t
}

// period numbers the spans of the given length, shifted by phase, since 1970.
func period(at time.Time, every, phase time.Duration) uint64 {
	return uint64((at.UnixNano() + int64(phase)) / int64(every))
}

// corporationOf is the corporation of a character at a time.
func (w *world) corporationOf(id int64, t traits, at time.Time) int64 {
	d := dice.New(w.seed, drawMove, uint64(id), period(at, t.moveEvery, t.movePhase))
	// Squaring makes the first corporations large and the last ones small.
	f := d.Float()
	return firstCorporation + int64(f*f*float64(w.corporations))
}

// allianceOf is the alliance of a corporation; zero for none. A corporation
// stays where it is, so all its members are always in the same alliance.
func (w *world) allianceOf(corporation int64) int64 {
	d := dice.New(w.seed, drawAlliance, uint64(corporation))
	if d.Chance(0.3) {
		return 0
	}
	return firstAlliance + int64(d.IntN(w.alliances))
}

func (w *world) hasCorporation(id int64) bool {
	return id >= firstCorporation && id < firstCorporation+int64(w.corporations)
}

func (w *world) hasAlliance(id int64) bool {
	return id >= firstAlliance && id < firstAlliance+int64(w.alliances)
}

func (w *world) corporationName(id int64) string {
	d := dice.New(w.seed, drawCorporation, uint64(id))
	return familyNames[d.IntN(len(familyNames))] + " " +
		[...]string{"Industries", "Logistics", "Ventures", "Salvage", "Research", "Trading"}[d.IntN(6)] +
		" " + strconv.FormatInt(id-firstCorporation+1, 10)
}

func allianceName(id int64) string { return "Coalition " + strconv.FormatInt(id-firstAlliance+1, 10) }

// ownerHash changes whenever the character is transferred to another account.
func (w *world) ownerHash(id int64, transfers int) string {
	d := dice.New(w.seed, drawOwner, uint64(id), uint64(transfers))
	var raw [20]byte
	for i := range raw {
		raw[i] = byte(d.Uint64())
	}
	return base64.StdEncoding.EncodeToString(raw[:])
}

// security is a character's security status, rounded to one decimal as ESI
// does; it drifts by a little from day to day.
func (w *world) security(id int64, at time.Time) float64 {
	base := dice.New(w.seed, drawSecurity, uint64(id))
	level := base.Float()*15 - 10
	daily := dice.New(w.seed, drawSecurity, uint64(id), period(at, 5*day, 0))
	return math.Round(min(5, max(-10, level+daily.Normal()/5))*10) / 10
}

// place is where a character is: mostly at home, else somewhere; docked in a
// station, docked in a structure, or in space.
func (w *world) place(id int64, t traits, at time.Time) (system, station, structure int64) {
	d := dice.New(w.seed, drawLocation, uint64(id), period(at, t.jumpEvery, t.jumpPhase))
	p := places[t.home]
	if d.Chance(0.6) {
		p = places[d.IntN(len(places))]
	}
	switch f := d.Float(); {
	case f < 0.5:
		return p.system, p.station, 0
	case f < 0.7:
		return p.system, 0, 1030000000000 + p.system
	default:
		return p.system, 0, 0
	}
}

// appendDetails appends the public details of a character at a time.
func (w *world) appendDetails(b []byte, id int64, at time.Time) []byte {
	t := w.traitsOf(id)
	corporation := w.corporationOf(id, t, at)
	alliance := w.allianceOf(corporation)
	b = append(b, `{"achievement_score":`...)
	b = strconv.AppendUint(b, 10*period(at, 9*day, t.movePhase)%20000, 10)
	if alliance != 0 {
		b = append(b, `,"alliance_id":`...)
		b = strconv.AppendInt(b, alliance, 10)
	}
	b = append(b, `,"birthday":"`...)
	b = t.birthday.AppendFormat(b, time.RFC3339)
	b = append(b, `","bloodline_id":`...)
	b = strconv.AppendInt(b, int64(t.bloodline), 10)
	b = append(b, `,"corporation_id":`...)
	b = strconv.AppendInt(b, corporation, 10)
	if t.titled {
		b = append(b, `,"corporation_title":"Director of <b>Paperwork</b>"`...)
	}
	b = append(b, `,"description":`...)
	b = appendString(b, t.biography)
	b = append(b, `,"gender":"`...)
	b = append(b, t.gender...)
	b = append(b, `","name":`...)
	b = appendString(b, t.name)
	b = append(b, `,"race_id":`...)
	b = strconv.AppendInt(b, int64(t.race), 10)
	b = append(b, `,"security_status":`...)
	b = strconv.AppendFloat(b, w.security(id, at), 'f', -1, 64)
	if t.extra {
		b = append(b, `,"portrait_frame":{"id":7,"tint":null}`...)
	}
	return append(b, '}')
}

// appendLocation appends where a character is at a time.
func (w *world) appendLocation(b []byte, id int64, at time.Time) []byte {
	system, station, structure := w.place(id, w.traitsOf(id), at)
	b = append(b, `{"solar_system_id":`...)
	b = strconv.AppendInt(b, system, 10)
	if station != 0 {
		b = append(b, `,"station_id":`...)
		b = strconv.AppendInt(b, station, 10)
	}
	if structure != 0 {
		b = append(b, `,"structure_id":`...)
		b = strconv.AppendInt(b, structure, 10)
	}
	return append(b, '}')
}

// appendWallet appends the balance of a character at a time, a bare number.
func (w *world) appendWallet(b []byte, id int64, at time.Time) []byte {
	return appendISK(b, w.journalOf(id).balanceAt(at), false)
}

// appendString appends a JSON string. The simulated texts hold no control
// characters but line ends and tabs.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r < ' ':
			b = append(b, fmt.Sprintf(`\u%04x`, r)...)
		case r == '<' || r == '>' || r == '&':
			b = append(b, fmt.Sprintf(`\u%04x`, r)...)
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}
