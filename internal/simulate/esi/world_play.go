package esi

import (
	"math"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// Names of what is drawn for the contents of sections, apart from those of the
// world itself.
const (
	drawProfile uint64 = iota + 1000
	drawSession
	drawSeries
	drawAsset
	drawSkill
	drawQueue
	drawMail
	drawContact
	drawContract
	drawBid
	drawKillmail
	drawTransaction
	drawOrder
	drawJob
	drawMining
	drawPlanet
	drawBlueprint
	drawClone
	drawRole
	drawStanding
	drawNotification
	drawCalendar
	drawFitting
	drawMedal
	drawResearch
	drawLoyalty
	drawWarfare
	drawAttributes
	drawStructure
	drawType
	drawShip
	drawPerson
)

// calling is what a character is for; it decides which of its sections are
// large.
type calling uint8

const (
	callingPilot calling = iota // a bit of everything
	callingIndustrialist
	callingTrader
	callingFighter
	callingMiner
	callingAlt
	callingDormant
)

// callingWheel makes callings as frequent as they are among real players.
var callingWheel = [...]calling{
	callingPilot, callingPilot, callingPilot, callingPilot, callingFighter, callingFighter, callingFighter,
	callingFighter, callingIndustrialist, callingIndustrialist, callingTrader, callingMiner, callingMiner,
	callingAlt, callingAlt, callingAlt, callingAlt, callingDormant, callingDormant, callingDormant,
}

// profile is how large a character's sections are, drawn once, and when it
// plays. Counts are of what is kept at a time.
type profile struct {
	id      int64
	number  int64 // of the character, from 0
	calling calling
	play    play

	assets, ships, blueprints int
	mails                     int
	contacts, standings       int
	skills                    int
	orders, jobs              int
	notifications             int
	// What happens within the days that ESI shows of it.
	contracts, killmails, transactions float64
}

// play is when a character plays: in one session within each span of time. In
// seconds of the world, since 1970.
type play struct {
	seed   uint64
	id     uint64
	phase  int64
	every  int64 // length of a span
	length int64 // of a session
}

// profileOf draws the profile of a character.
func (w *world) profileOf(id int64) profile {
	d := dice.New(w.seed, drawProfile, uint64(id))
	p := profile{id: id, number: id - FirstCharacter, calling: callingWheel[d.IntN(len(callingWheel))]}
	p.play = w.playOf(id, p.calling, &d)
	p.assets = int(max(2, min(d.LogNormal(400, 1.78), 60000)))
	p.mails = int(min(d.LogNormal(150, 2.3), 12000))
	p.contacts = int(max(20, min(d.LogNormal(90, 1), 1000)))
	p.standings = 50 + d.IntN(350)
	p.skills = 200 + d.IntN(221)
	p.notifications = 50 + d.IntN(451)
	p.contracts = min(d.LogNormal(2, 2.6), 1000)
	share := d.Float()
	switch p.calling {
	case callingIndustrialist:
		p.blueprints, p.jobs = int(40+share*share*1960), 5+d.IntN(60)
		p.orders = d.IntN(60)
	case callingTrader:
		p.orders, p.transactions = 20+d.IntN(286), 100+share*4000
		p.contracts *= 2
	case callingFighter:
		p.killmails, p.transactions = 5+share*share*295, share*60
	case callingMiner:
		p.orders, p.jobs = d.IntN(10), d.IntN(4)
	case callingPilot:
		p.orders, p.jobs, p.blueprints = d.IntN(12), d.IntN(6), d.IntN(40)
		p.killmails, p.transactions = share*12, share*120
	case callingAlt, callingDormant:
		p.skills, p.notifications = 60+d.IntN(121), 50+d.IntN(60)
		p.assets, p.contracts, p.mails = max(2, p.assets/3), p.contracts/8, p.mails/3
	}
	if w.assets > 0 {
		p.assets = min(w.assets, mostAssets)
	}
	p.blueprints = min(p.blueprints, p.assets/3)
	p.ships = max(1, min(p.assets/12, 60))
	return p
}

// playOf draws when a character plays. On a day a quarter of all characters do.
func (w *world) playOf(id int64, c calling, d *dice.Stream) play {
	days := max(1, min(d.LogNormal(5, 1.1), 120))
	hours := 1 + 5*d.Float()
	if c == callingDormant {
		days = 300 + 600*d.Float()
	}
	every := max(1800, int64(days*86400/w.activity))
	return play{
		seed: w.seed, id: uint64(id), every: every, phase: int64(d.Float() * float64(every)),
		length: min(int64(hours*3600), every*6/10),
	}
}

// start is when session n begins.
func (p *play) start(n int64) int64 {
	d := dice.New(p.seed, drawSession, p.id, uint64(n))
	return n*p.every - p.phase + int64(d.Float()*float64(p.every-p.length))
}

// session is the number of the last session that began not after a second.
func (p *play) session(second int64) int64 {
	n := floorDiv(second+p.phase, p.every)
	if p.start(n) > second {
		n--
	}
	return n
}

// played is how many seconds were played until then.
func (p *play) played(second int64) int64 {
	n := p.session(second)
	return n*p.length + min(second-p.start(n), p.length)
}

// moment is the second at which so much has been played.
func (p *play) moment(played int64) int64 {
	n := floorDiv(played, p.length)
	return p.start(n) + played - n*p.length
}

// seen is the last moment not after a time at which a character was playing.
func (p *play) seen(at time.Time) time.Time {
	start := p.start(p.session(at.Unix()))
	return time.Unix(min(at.Unix(), start+p.length), 0).UTC()
}

// lastLogin is when a character logged in last.
func (w *world) lastLogin(id int64, at time.Time) time.Time {
	p := w.profileOf(id)
	return time.Unix(p.play.start(p.play.session(at.Unix())), 0).UTC()
}

// series is a sequence of things without beginning or end, one in each step of
// time, so that any of them can be found at once. With a play the time is the
// one played.
type series struct {
	seed, kind, id uint64
	play           *play
	step           int64 // seconds; zero if there is nothing
	phase          int64
}

// seriesOf is a series of which about rate happen within a span of days.
func (w *world) seriesOf(kind uint64, p *profile, played bool, rate, days float64) series {
	s := series{seed: w.seed, kind: kind, id: uint64(p.id)}
	if rate <= 0 {
		return s
	}
	seconds := days * 86400
	if played {
		s.play = &p.play
		seconds *= float64(p.play.length) / float64(p.play.every)
	}
	s.step = max(2, int64(min(seconds/rate, 1e10)))
	d := dice.New(w.seed, drawSeries, kind, uint64(p.id))
	s.phase = int64(d.Float() * float64(s.step))
	return s
}

// second is when the thing of an index happens.
func (s *series) second(k int64) int64 {
	d := dice.New(s.seed, drawSeries, s.kind, s.id, uint64(k))
	t := k*s.step - s.phase + int64(d.Uint64()%uint64(s.step))
	if s.play != nil {
		return s.play.moment(t)
	}
	return t
}

// last is the index of the newest thing not after a second.
func (s *series) last(second int64) int64 {
	if s.step == 0 {
		return -1
	}
	t := second
	if s.play != nil {
		t = s.play.played(second)
	}
	k := floorDiv(t+s.phase, s.step) + 1
	for s.second(k) > second {
		k--
	}
	return k
}

// window is the range of indices within the last days; hi < lo if none.
func (s *series) window(at time.Time, days, most int64) (lo, hi int64) {
	if s.step == 0 {
		return 0, -1
	}
	hi = s.last(at.Unix())
	lo = s.last(at.Unix()-days*86400) + 1
	return max(lo, hi-most+1), hi
}

// has tells whether a thing happens at a second.
func (s *series) has(second int64) bool {
	return s.step != 0 && s.second(s.last(second)) == second
}

// lanes is how many characters ids tell apart.
const (
	lanes     = 100000
	idsBegin  = 1262304000
	broadcast = lanes / 2 // lane of the first sender of broadcasts
)

// idAt is the id of what happens at a second to the owner of a lane: ids grow
// with time.
func idAt(second, lane int64) int64 { return (second-idsBegin)*lanes + lane%lanes }

// secondOf is the inverse of idAt.
func secondOf(id int64) (second, lane int64) { return id/lanes + idsBegin, id % lanes }

// slowly numbers the versions of something that changes each so many sessions.
func slowly(session int64, every, phase uint64) uint64 {
	return (uint64(session+1<<40) + phase) / every
}

// round2 rounds to hundredths.
func round2(f float64) float64 { return math.Round(f*100) / 100 }
