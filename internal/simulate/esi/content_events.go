package esi

import (
	"fmt"
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

const (
	// agendaEvery is how far apart the events of a corporation are, in seconds, and
	// agendaDays how many days ahead they are listed.
	agendaEvery, agendaDays = 30 * 3600, 21
	// agendaIDs is the id of the first event.
	agendaIDs = 2_000_000
)

// agenda are the numbers of the events that a character can see at a time, the
// next one first.
func (w *world) agenda(id int64, at time.Time) (numbers []int64) {
	t := w.traitsOf(id)
	corporation := w.corporationOf(id, t, at)
	for n := at.Unix()/agendaEvery - 1; n <= (at.Unix()+agendaDays*86400)/agendaEvery; n++ {
		if second, planned := w.planned(corporation, n); planned && second > at.Unix() {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// planned is when an event of a corporation begins; false if there is none of that
// number.
func (w *world) planned(corporation, n int64) (second int64, ok bool) {
	d := dice.New(w.seed, drawCalendar, uint64(corporation), uint64(n))
	return n*agendaEvery + int64(d.IntN(agendaEvery/60))*60, d.Chance(0.6)
}

// eventID grows with the number, and tells corporations apart.
func (w *world) eventID(corporation, n int64) int64 {
	return agendaIDs + (n-10_000)*1000 + (corporation-firstCorporation)%1000
}

func (w *world) calendarCount(id int64, at time.Time) int { return len(w.agenda(id, at)) }

func (w *world) appendCalendarRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	corporation := w.corporationOf(id, w.traitsOf(id), at)
	numbers := w.agenda(id, at)
	return appendRows(b, lo, hi, func(b []byte, i int) []byte {
		second, _ := w.planned(corporation, numbers[i])
		b = appendTime(b, `{"event_date":`, second)
		b = appendInt(b, `,"event_id":`, w.eventID(corporation, numbers[i]))
		b = appendPlain(b, `,"event_response":`, w.response(id, numbers[i], at))
		b = appendInt(b, `,"importance":`, numbers[i]%5/4)
		return append(appendText(b, `,"title":`, eventTitle(numbers[i])), '}')
	})
}

func eventTitle(n int64) string {
	return [...]string{"Structure timer", "Mining fleet", "Alliance meeting — bring tea", "CTA!", "Movie night 映画"}[n%5] + " " + strconv.FormatInt(n%100, 10)
}

// response is what a character answered, once it has played after the event was
// announced.
func (w *world) response(id, n int64, at time.Time) string {
	p := w.profileOf(id)
	announced := n*agendaEvery - agendaDays*86400/2
	d := dice.New(w.seed, drawCalendar, 1, uint64(id), uint64(n))
	if p.play.start(p.play.session(at.Unix())) < announced {
		return "not_responded"
	}
	return [...]string{"accepted", "tentative", "declined", "not_responded"}[d.IntN(4)]
}

// appendCalendarEvent appends the details of an event that the character can see.
func (w *world) appendCalendarEvent(b []byte, id, event int64, at time.Time) ([]byte, bool) {
	corporation := w.corporationOf(id, w.traitsOf(id), at)
	for _, n := range w.agenda(id, at) {
		if w.eventID(corporation, n) != event {
			continue
		}
		second, _ := w.planned(corporation, n)
		b = appendTime(b, `{"date":`, second)
		b = appendInt(b, `,"duration":`, 60+n%4*30)
		b = appendInt(b, `,"event_id":`, event)
		b = appendInt(b, `,"importance":`, n%5/4)
		b = appendInt(b, `,"owner_id":`, corporation)
		b = appendText(b, `,"owner_name":`, w.corporationName(corporation))
		b = append(b, `,"owner_type":"corporation"`...)
		b = appendPlain(b, `,"response":`, w.response(id, n, at))
		b = appendText(b, `,"text":`, "Form up at <a href=\"showinfo:5//30000142\">home</a>.\r\n\"On time\" means early.")
		return append(appendText(b, `,"title":`, eventTitle(n)), '}'), true
	}
	return b, false
}

// notificationKinds are types with the texts that go with them; the last is of no
// specification.
var notificationKinds = [...]struct{ kind, sender, text string }{
	{"CloneActivationMsg2", "corporation", "cloneStationID: 60003760\ncorpStationID: 60003760\n"},
	{"CorpAppAcceptMsg", "corporation", "applicationText: ''\ncharID: %d\ncorpID: 98000001\n"},
	{"KillReportVictim", "corporation", "killMailHash: 2f3a\nkillMailID: %d\nvictimShipTypeID: 587\n"},
	{"StructureUnderAttack", "corporation", "allianceName: 'Föderation \"Neun\"'\nsolarsystemID: 30000142\nshieldPercentage: 94.88716147275748\n"},
	{"InsurancePayoutMsg", "corporation", "amount: %d.0\nitemID: 1000000000123\npayout: 1\n"},
	{"SkillFinished", "other", "skillTypeID: 3300\n"},
	{"QuantumLinkSevered", "faction", "shard: %d\n"},
}

func (w *world) appendNotifications(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	s := w.seriesOf(drawNotification, &p, false, float64(p.notifications), 90)
	lo, hi := s.window(at, 90, 500)
	login := p.play.start(p.play.session(at.Unix()))
	return appendList(b, int(max(0, hi-lo+1)), func(b []byte, i int) []byte {
		k := hi - int64(i)
		second := s.second(k)
		d := dice.New(w.seed, drawNotification, uint64(id), uint64(k))
		n := &notificationKinds[d.IntN(len(notificationKinds))]
		// What is drawn must not depend on the moment: only the mark changes.
		opened, silent, number := d.Chance(0.8), d.Chance(0.05), d.IntN(1e6)
		b = append(b, '{')
		if opened && second < login {
			b = append(b, `"is_read":true,`...)
		}
		b = appendInt(b, `"notification_id":`, idAt(second, p.number))
		b = appendInt(b, `,"sender_id":`, 1000132)
		b = appendPlain(b, `,"sender_type":`, n.sender)
		if !silent {
			text := n.text
			for j := range text {
				if text[j] == '%' {
					text = fmt.Sprintf(n.text, number)
					break
				}
			}
			b = appendText(b, `,"text":`, text)
		}
		b = appendTime(b, `,"timestamp":`, second)
		return append(appendPlain(b, `,"type":`, n.kind), '}')
	})
}

// killmailDays is how far back ESI lists killmails.
const killmailDays = 90

func (w *world) killsOf(p *profile) series {
	return w.seriesOf(drawKillmail, p, true, p.killmails, killmailDays)
}

func (w *world) killmailsCount(id int64, at time.Time) int {
	p := w.profileOf(id)
	s := w.killsOf(&p)
	lo, hi := s.window(at, killmailDays, 1000)
	return int(max(0, hi-lo+1))
}

func (w *world) appendKillmailsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	p := w.profileOf(id)
	s := w.killsOf(&p)
	_, newest := s.window(at, killmailDays, 1000)
	return appendRows(b, lo, hi, func(b []byte, i int) []byte {
		second := s.second(newest - int64(i))
		b = appendPlain(b, `{"killmail_hash":`, w.killmailHash(id, second))
		return append(appendInt(b, `,"killmail_id":`, idAt(second, p.number)), '}')
	})
}

func (w *world) killmailHash(id, second int64) string {
	d := dice.New(w.seed, drawKillmail, 1, uint64(id), uint64(second))
	return fmt.Sprintf("%016x%016x%08x", d.Uint64(), d.Uint64(), uint32(d.Uint64()))
}

// appendKillmail appends a killmail's details, for who knows its hash.
func (w *world) appendKillmail(b []byte, killmail int64, hash string) ([]byte, bool) {
	second, lane := secondOf(killmail)
	id := FirstCharacter + lane
	if !w.has(id) {
		return b, false
	}
	p := w.profileOf(id)
	s := w.killsOf(&p)
	if !s.has(second) || hash != w.killmailHash(id, second) {
		return b, false
	}
	d := dice.New(w.seed, drawKillmail, 2, uint64(id), uint64(second))
	attacks, n := d.Chance(0.7), 1+d.IntN(8)
	b = append(b, `{"attackers":`...)
	b = appendList(b, n, func(b []byte, i int) []byte {
		b = append(b, '{')
		if i == 0 && attacks {
			b = append(appendInt(b, `"character_id":`, id), ',')
		} else if d.Chance(0.8) {
			b = append(appendInt(b, `"character_id":`, w.anybody(&d)), ',')
		}
		b = appendInt(b, `"damage_done":`, int64(d.IntN(20000)))
		b = appendBool(b, `,"final_blow":`, i == 0)
		b = appendFloat(b, `,"security_status":`, [...]float64{-10, -0.4, 0, 2.3000000000000003, 5}[d.IntN(5)])
		if d.Chance(0.9) {
			b = appendInt(b, `,"ship_type_id":`, shipTypes[d.IntN(len(shipTypes))])
		}
		return append(appendInt(b, `,"weapon_type_id":`, goodTypes[d.IntN(len(goodTypes))]), '}')
	})
	b = appendInt(b, `,"killmail_id":`, killmail)
	b = appendTime(b, `,"killmail_time":`, second)
	b = appendInt(b, `,"solar_system_id":`, places[d.IntN(len(places))].system)
	victim := id
	if attacks {
		victim = w.anybody(&d)
	}
	b = appendInt(b, `,"victim":{"character_id":`, victim)
	b = appendInt(b, `,"corporation_id":`, firstCorporation+int64(d.IntN(w.corporations)))
	b = appendInt(b, `,"damage_taken":`, int64(d.IntN(100000)))
	b = append(b, `,"items":`...)
	b = appendList(b, d.IntN(12), func(b []byte, i int) []byte {
		b = appendInt(b, `{"flag":`, int64(11+i))
		b = appendInt(b, `,"item_type_id":`, goodTypes[d.IntN(len(goodTypes))])
		what := [...]string{`,"quantity_destroyed":`, `,"quantity_dropped":`}[d.IntN(2)]
		b = appendInt(b, what, int64(1+d.IntN(300)))
		return append(appendInt(b, `,"singleton":`, int64(d.IntN(2)*2)), '}')
	})
	b = appendFloat(b, `,"position":{"x":`, 4.52186095192e11)
	b = append(appendFloat(appendFloat(b, `,"y":`, -1.2e10), `,"z":`, float64(d.IntN(1e9))), '}')
	return append(appendInt(b, `,"ship_type_id":`, shipTypes[d.IntN(len(shipTypes))]), '}', '}'), true
}
