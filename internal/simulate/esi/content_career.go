package esi

import (
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// employers is how many corporations a history goes back.
const employers = 9

// appendCorporationHistory appends where a character was employed, the present
// corporation first. Now and then one of the old ones was closed.
func (w *world) appendCorporationHistory(b []byte, id int64, at time.Time) []byte {
	t := w.traitsOf(id)
	now := int64(period(at, t.moveEvery, t.movePhase))
	return appendList(b, employers, func(b []byte, i int) []byte {
		n := now - int64(i)
		began := time.Unix(0, n*int64(t.moveEvery)-int64(t.movePhase)).UTC()
		// The corporation of a period is the same at any moment in it.
		corporation := w.corporationOf(id, t, began.Add(t.moveEvery/2))
		b = appendInt(b, `{"corporation_id":`, corporation)
		if i > 0 && (corporation+n)%13 == 0 {
			b = append(b, `,"is_deleted":true`...)
		}
		b = appendInt(b, `,"record_id":`, (n&0xfffff)*lanes+(id-FirstCharacter)%lanes)
		return append(appendTime(b, `,"start_date":`, began.Unix()), '}')
	})
}

// roleNames are some of the roles in a corporation; the last one is not in any
// specification.
var roleNames = [...]string{
	"Director", "Accountant", "Auditor", "Factory_Manager", "Hangar_Query_1", "Hangar_Take_1", "Hangar_Take_2", "Personnel_Manager",
	"Project_Manager", "Rent_Office", "Station_Manager", "Trader", "Keeper_of_Keys",
}

// appendRoles appends the roles that a character has; places without any are left
// out.
func (w *world) appendRoles(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	version := slowly(p.play.session(at.Unix()), 60, uint64(id))
	b = append(b, '{')
	first := true
	for place, name := range [...]string{"roles", "roles_at_base", "roles_at_hq", "roles_at_other"} {
		d := dice.New(w.seed, drawRole, uint64(id), uint64(place), version)
		if !d.Chance(0.3) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		from, n := d.IntN(len(roleNames)), 1+d.IntN(4)
		b = append(append(append(b, '"'), name...), `":`...)
		b = appendList(b, n, func(b []byte, i int) []byte {
			return appendPlain(b, "", roleNames[(from+i)%len(roleNames)])
		})
	}
	return append(b, '}')
}

// appendTitles appends the titles that a corporation gave; their names may hold
// markup or be left out.
func (w *world) appendTitles(b []byte, id int64, at time.Time) []byte {
	t := w.traitsOf(id)
	d := dice.New(w.seed, drawRole, 9, uint64(id), period(at, t.moveEvery, t.movePhase))
	return appendList(b, max(0, d.IntN(6)-2), func(b []byte, i int) []byte {
		b = append(b, '{')
		switch d.IntN(6) {
		case 0, 1:
			// Without a name.
		case 2:
			b = append(appendText(b, `"name":`, `<color=0xffffd700>Gold</color> & more`), ',')
		default:
			b = append(appendText(b, `"name":`, [...]string{"Fleet Commander", "Minister of Rust", "書記"}[d.IntN(3)]), ',')
		}
		return append(appendInt(b, `"title_id":`, 1<<i), '}')
	})
}

// appendMedals appends the medals that a character was given; some more than once.
func (w *world) appendMedals(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	s := w.seriesOf(drawMedal, &p, true, 4, 360)
	lo, hi := s.window(at, 720, 20)
	return appendList(b, int(max(0, hi-lo+1)), func(b []byte, i int) []byte {
		second := s.second(lo + int64(i))
		d := dice.New(w.seed, drawMedal, uint64(id), uint64(second))
		b = appendInt(b, `{"corporation_id":`, firstCorporation+int64(d.IntN(w.corporations)))
		b = appendTime(b, `,"date":`, second)
		b = appendText(b, `,"description":`, "For <b>valour</b> in paperwork")
		b = appendInt(b, `,"graphics":[{"color":`, -1)
		b = append(b, `,"graphic":"caldari.1_1","layer":0,"part":1},{"graphic":"compass.1_2","layer":1,"part":2}],"issuer_id":`...)
		b = strconv.AppendInt(b, w.anybody(&d), 10)
		b = appendInt(b, `,"medal_id":`, int64(50000+d.IntN(8)))
		b = appendText(b, `,"reason":`, [...]string{"", "o7", "Was there"}[d.IntN(3)])
		b = appendPlain(b, `,"status":`, [...]string{"public", "private"}[d.IntN(2)])
		return append(appendText(b, `,"title":`, "Medal of the Stapler"), '}')
	})
}

// appendFWStats appends what a character did in the wars of factions; those who
// did not enlist have no faction.
func (w *world) appendFWStats(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	d := dice.New(w.seed, drawWarfare, uint64(id))
	enlisted := p.calling == callingFighter && d.Chance(0.4)
	b = append(b, '{')
	var total int64
	if enlisted {
		rank := int64(d.IntN(10))
		b = appendInt(b, `"current_rank":`, rank)
		b = appendTime(b, `,"enlisted_on":`, genesis.Unix()+int64(86400*d.IntN(1800)))
		b = appendInt(b, `,"faction_id":`, 500001+int64(d.IntN(4)))
		b = append(appendInt(b, `,"highest_rank":`, rank+int64(d.IntN(2))), ',')
		// It is told once a day, at downtime.
		total = (at.Add(-11*time.Hour-5*time.Minute).Unix()/86400 - 14610) * int64(d.IntN(5))
	}
	for i, what := range [...]string{"kills", "victory_points"} {
		factor := int64(1 + 119*i)
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), what...), `":{"last_week":`...)
		b = strconv.AppendInt(b, total%40*factor, 10)
		b = appendInt(b, `,"total":`, total*factor)
		b = append(appendInt(b, `,"yesterday":`, total%7*factor), '}')
	}
	return append(b, '}')
}

// appendFittings appends the ships that a character knows how to fit. Now and then
// one is deleted and another made.
func (w *world) appendFittings(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	session := p.play.session(at.Unix())
	count := dice.New(w.seed, drawFitting, uint64(id))
	return appendList(b, count.IntN(40), func(b []byte, i int) []byte {
		version := slowly(session, 80, uint64(i)*7)
		d := dice.New(w.seed, drawFitting, uint64(id), uint64(i), version)
		b = appendText(b, `{"description":`, [...]string{"", "solo", "<i>cheap</i>\nand cheerful"}[d.IntN(3)])
		b = appendInt(b, `,"fitting_id":`, int64(version%1000)*1000+int64(i))
		b = append(b, `,"items":`...)
		b = appendList(b, 1+d.IntN(12), func(b []byte, slot int) []byte {
			b = appendPlain(b, `{"flag":`, [...]string{"HiSlot", "MedSlot", "LoSlot"}[slot/4]+strconv.Itoa(slot%4))
			b = appendInt(b, `,"quantity":`, 1)
			return append(appendInt(b, `,"type_id":`, goodTypes[d.IntN(len(goodTypes))]), '}')
		})
		b = appendText(b, `,"name":`, "Doctrine "+strconv.Itoa(i+1))
		return append(appendInt(b, `,"ship_type_id":`, shipTypes[d.IntN(len(shipTypes))]), '}')
	})
}
