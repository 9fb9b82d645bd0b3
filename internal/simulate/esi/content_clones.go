package esi

import (
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// appendOnline appends whether a character is playing and since when.
func (w *world) appendOnline(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	n := p.play.session(at.Unix())
	start := p.play.start(n)
	online := at.Unix() < start+p.play.length
	b = append(b, '{')
	if id%50 != 0 {
		logout := start + p.play.length
		if online {
			logout = p.play.start(n-1) + p.play.length
		}
		b = appendTime(b, `"last_login":`, start)
		b = appendTime(b, `,"last_logout":`, logout)
		b = appendInt(b, `,"logins":`, n-p.play.session(genesis.Unix())+1)
		b = append(b, ',')
	}
	return append(appendBool(b, `"online":`, online), '}')
}

// appendFatigue appends the fatigue of jumps: fighters jump now and then, who
// never did has no dates.
func (w *world) appendFatigue(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	if p.calling != callingFighter && p.calling != callingPilot {
		return append(b, `{}`...)
	}
	s := w.seriesOf(drawClone, &p, true, 4, 30)
	last := s.second(s.last(at.Unix()))
	d := dice.New(w.seed, drawClone, uint64(id), uint64(last))
	b = appendTime(b, `{"jump_fatigue_expire_date":`, last+600+int64(d.IntN(300*60)))
	b = appendTime(b, `,"last_jump_date":`, last)
	return append(appendTime(b, `,"last_update_date":`, last), '}')
}

// appendPlugged appends a set of implants.
func appendPlugged(b []byte, d *dice.Stream, count int) []byte {
	first := d.IntN(len(implantTypes))
	return appendList(b, count, func(b []byte, i int) []byte {
		return strconv.AppendInt(b, implantTypes[(first+i)%len(implantTypes)], 10)
	})
}

// cloneJumps is how often a character has changed clones.
func (p *profile) cloneJumps(at time.Time) uint64 {
	return slowly(p.play.session(at.Unix()), 20, uint64(p.id)%20)
}

// appendImplants appends the implants of the clone in use.
func (w *world) appendImplants(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	d := dice.New(w.seed, drawClone, 1, uint64(id), p.cloneJumps(at))
	if d.Chance(0.35) {
		return append(b, `[]`...)
	}
	return appendPlugged(b, &d, d.IntN(11))
}

// appendClones appends the clones elsewhere. One of them changes with each jump.
func (w *world) appendClones(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	d := dice.New(w.seed, drawClone, 2, uint64(id))
	count := 1 + d.IntN(6)
	jumps := p.cloneJumps(at)
	b = append(b, '{')
	if !d.Chance(0.03) {
		location, structure := stationOrStructure(&d)
		b = appendInt(b, `"home_location":{"location_id":`, location)
		b = appendPlain(b, `,"location_type":`, stationType(structure))
		b = append(b, `},`...)
	}
	b = append(b, `"jump_clones":`...)
	b = appendList(b, count, func(b []byte, i int) []byte {
		// Clone i is replaced by each count-th jump.
		version := (jumps + uint64(i)) / uint64(count)
		c := dice.New(w.seed, drawClone, 3, uint64(id), uint64(i), version)
		b = append(b, `{"implants":`...)
		b = appendPlugged(b, &c, max(0, c.IntN(14)-3))
		b = appendInt(b, `,"jump_clone_id":`, 40000000+(p.number*8+int64(i))*64+int64(version%64))
		location, structure := stationOrStructure(&c)
		b = appendInt(b, `,"location_id":`, location)
		b = appendPlain(b, `,"location_type":`, stationType(structure))
		if c.Chance(0.4) {
			b = appendText(b, `,"name":`, [...]string{"", "PvP", "Träning", "+5 \"full\""}[c.IntN(4)])
		}
		return append(b, '}')
	})
	if jumped := p.play.start(int64(jumps*20-uint64(id)%20)-1<<40-1) + 120; jumped <= at.Unix() && jumps%4 != 0 {
		b = appendTime(b, `,"last_clone_jump_date":`, jumped)
	}
	if d.Chance(0.3) {
		b = appendTime(b, `,"last_station_change_date":`, genesis.Unix()+int64(d.IntN(5*365*86400)))
	}
	return append(b, '}')
}

func stationType(structure bool) string {
	if structure {
		return "structure"
	}
	return "station"
}
