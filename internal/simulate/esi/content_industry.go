package esi

import (
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// appendIndustryJobs appends the jobs of the last 90 days. A job that is done is
// delivered when the character logs in again.
func (w *world) appendIndustryJobs(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	s := w.seriesOf(drawJob, &p, true, min(float64(p.jobs)*w.activity, 1500), 90)
	lo, hi := s.window(at, 90, 2000)
	now := at.Unix()
	return appendRows(b, int(lo), int(hi+1), func(b []byte, i int) []byte {
		start := s.second(int64(i))
		d := dice.New(w.seed, drawJob, uint64(id), uint64(start))
		duration := int64(min(600+d.LogNormal(80000, 1.3), 30*86400))
		odd := d.Uint64()
		location, _ := stationOrStructure(&d)
		end := start + duration
		completed := p.play.start(p.play.session(end)+1) + 60
		status := "active"
		cancelled := odd%23 == 0
		switch {
		case cancelled && now >= start+duration/2:
			status, completed = "cancelled", start+duration/2
		case now >= completed:
			status = "delivered"
		case now >= end:
			status = "ready"
		case odd%37 == 1 && now >= start+duration/3:
			status = "paused"
		}
		done := status == "delivered" || status == "cancelled"
		activity := [...]int64{1, 1, 1, 3, 4, 5, 8, 9}[d.IntN(8)]
		runs := 1 + int64(d.IntN(40))
		b = appendInt(b, `{"activity_id":`, activity)
		// One of the character's blueprints, if it has any.
		stock := stock{w: w, p: p}
		slot := p.ships + d.IntN(max(1, p.blueprints))
		b = appendInt(b, `,"blueprint_id":`, stock.itemID(slot, 0))
		b = appendInt(b, `,"blueprint_location_id":`, location)
		kind := dice.New(w.seed, drawAsset, uint64(id), 2, uint64(slot))
		kind.Uint64()
		b = appendInt(b, `,"blueprint_type_id":`, blueprintTypes[kind.IntN(len(blueprintTypes))])
		if done {
			b = appendInt(b, `,"completed_character_id":`, id)
			b = appendTime(b, `,"completed_date":`, completed)
		}
		b = appendMoney(b, `,"cost":`, d.LogNormal(80000, 1.2), odd)
		b = appendInt(b, `,"duration":`, duration)
		b = appendTime(b, `,"end_date":`, end)
		b = appendInt(b, `,"facility_id":`, location)
		b = appendInt(b, `,"installer_id":`, id)
		b = appendInt(b, `,"job_id":`, idAt(start, p.number))
		if activity != 3 && activity != 4 {
			b = appendInt(b, `,"licensed_runs":`, 200)
		}
		b = appendInt(b, `,"output_location_id":`, location)
		if status == "paused" {
			b = appendTime(b, `,"pause_date":`, start+duration/3)
		}
		if activity == 8 {
			b = append(b, `,"probability":0.34000000000000002`...)
		}
		b = appendInt(b, `,"product_type_id":`, goodTypes[d.IntN(len(goodTypes))])
		b = appendInt(b, `,"runs":`, runs)
		b = appendTime(b, `,"start_date":`, start)
		b = appendInt(b, `,"station_id":`, location)
		b = appendPlain(b, `,"status":`, status)
		if status == "delivered" {
			b = appendInt(b, `,"successful_runs":`, runs-runs*int64(odd%3)/4)
		}
		return append(appendOdd(b, odd>>40), '}')
	})
}

// miningWindow is how many days ESI shows of the ledger.
const miningWindow = 30

// eachMined calls f with the rows of the ledger, the newest day first.
func (w *world) eachMined(id int64, at time.Time, f func(date, system, kind, quantity int64)) {
	p := w.profileOf(id)
	if p.calling != callingMiner && (p.calling != callingPilot || id%3 > 0) {
		return
	}
	now := at.Unix()
	today := floorDiv(now, 86400)
	for date := today; date > today-miningWindow; date-- {
		start := p.play.start(p.play.session(date*86400-1) + 1)
		if start > now || start >= (date+1)*86400 {
			continue
		}
		d := dice.New(w.seed, drawMining, uint64(id), uint64(date))
		if p.calling != callingMiner && d.Chance(0.7) {
			continue
		}
		// The holds are emptied every ten minutes.
		done := float64(min(now-start, p.play.length)/600) * 600 / float64(p.play.length)
		system, first := places[d.IntN(len(places))].system, d.IntN(len(oreTypes))
		for i := range 1 + d.IntN(6) {
			f(date, system, oreTypes[(first+i)%len(oreTypes)], 1+int64(d.LogNormal(8000, 1)*done))
		}
	}
}

func (w *world) miningCount(id int64, at time.Time) int {
	n := 0
	w.eachMined(id, at, func(int64, int64, int64, int64) { n++ })
	return n
}

func (w *world) appendMiningRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	n := 0
	b = append(b, '[')
	w.eachMined(id, at, func(date, system, kind, quantity int64) {
		if n >= lo && n < hi {
			if n > lo {
				b = append(b, ',')
			}
			b = append(b, `{"date":"`...)
			b = time.Unix(date*86400, 0).UTC().AppendFormat(b, time.DateOnly)
			b = appendInt(b, `","quantity":`, quantity)
			b = appendInt(b, `,"solar_system_id":`, system)
			b = append(appendInt(b, `,"type_id":`, kind), '}')
		}
		n++
	})
	return append(b, ']')
}

// appendPlanets appends the colonies; they are looked after now and then.
func (w *world) appendPlanets(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	d := dice.New(w.seed, drawPlanet, uint64(id))
	count := 0
	if p.calling != callingDormant && d.Chance(0.35) {
		count = 1 + d.IntN(6)
	}
	session := p.play.session(at.Unix())
	return appendList(b, count, func(b []byte, i int) []byte {
		version := slowly(session, 4, uint64(i))
		looked := p.play.start(int64(version*4)-int64(i)-1<<40) + int64(i)*60
		own := dice.New(w.seed, drawPlanet, uint64(id), uint64(i))
		now := dice.New(w.seed, drawPlanet, uint64(id), uint64(i), version/8)
		b = appendTime(b, `{"last_update":`, looked)
		b = appendInt(b, `,"num_pins":`, int64(2+now.IntN(20)))
		b = appendInt(b, `,"owner_id":`, id)
		b = appendInt(b, `,"planet_id":`, 40000000+int64(own.IntN(40000))*6+int64(i))
		b = appendPlain(b, `,"planet_type":`, planetTypes[own.IntN(len(planetTypes))])
		b = appendInt(b, `,"solar_system_id":`, places[own.IntN(len(places))].system)
		return append(appendInt(b, `,"upgrade_level":`, int64(own.IntN(6))), '}')
	})
}

// appendResearch appends the agents that do research for a character.
func (w *world) appendResearch(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	d := dice.New(w.seed, drawResearch, uint64(id))
	count := 0
	if p.calling == callingIndustrialist || d.Chance(0.05) {
		count = d.IntN(6)
	}
	version := slowly(p.play.session(at.Unix()), 60, uint64(id)%60)
	return appendList(b, count, func(b []byte, i int) []byte {
		own := dice.New(w.seed, drawResearch, uint64(id), uint64(i))
		now := dice.New(w.seed, drawResearch, uint64(id), uint64(i), version)
		b = appendInt(b, `{"agent_id":`, firstAgent+int64(own.IntN(1000)*10+i))
		b = appendFloat(b, `,"points_per_day":`, 20+80*own.Float())
		b = appendFloat(b, `,"remainder_points":`, now.Float()*20000)
		b = appendInt(b, `,"skill_type_id":`, [...]int64{11433, 11441, 11442, 11443, 11449, 11450}[own.IntN(6)])
		return append(appendTime(b, `,"started_at":`, genesis.Unix()+int64(own.IntN(4*365*86400))), '}')
	})
}
