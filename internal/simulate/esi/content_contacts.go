package esi

import (
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

func (w *world) contactsCount(id int64, at time.Time) int {
	p := w.profileOf(id)
	// The last few come and go.
	return p.contacts - int(slowly(p.play.session(at.Unix()), 9, uint64(id))%3)
}

// contactOf is whom a contact is about: different for each index.
func (w *world) contactOf(p *profile, i int) (contact int64, kind string) {
	d := dice.New(w.seed, drawContact, uint64(p.id))
	base, n := d.Uint64()%1000003, uint64(i/4)
	switch i % 8 {
	case 1, 5:
		if n < uint64(w.characters) {
			return FirstCharacter + int64((base+n)%uint64(w.characters)), "character"
		}
	case 2:
		if n/2 < uint64(w.corporations) {
			return firstCorporation + int64((base+n/2)%uint64(w.corporations)), "corporation"
		}
	case 3:
		if n/2 < uint64(w.alliances) {
			return firstAlliance + int64((base+n/2)%uint64(w.alliances)), "alliance"
		}
	case 6:
		if n/2 < 20 {
			return firstFaction + int64((base+n/2)%20), "faction"
		}
	}
	return firstPerson + int64(base%100003)*37 + int64(i), "character"
}

func (w *world) appendContactsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	p := w.profileOf(id)
	session := p.play.session(at.Unix())
	labels := contactLabels(id)
	return appendRows(b, lo, hi, func(b []byte, i int) []byte {
		contact, kind := w.contactOf(&p, i)
		d := dice.New(w.seed, drawContact, 1, uint64(id), uint64(i))
		version := slowly(session, 150, d.Uint64()%150)
		now := dice.New(w.seed, drawContact, 2, uint64(id), uint64(i), version)
		b = appendInt(b, `{"contact_id":`, contact)
		b = appendPlain(b, `,"contact_type":`, kind)
		odd := now.Uint64()
		if kind == "character" && odd%29 == 0 {
			b = append(b, `,"is_blocked":true`...)
		}
		if kind == "character" && odd%11 == 0 {
			b = append(b, `,"is_watched":true`...)
		}
		if labels > 0 && odd>>8%3 == 0 {
			b = append(b, `,"label_ids":[`...)
			b = strconv.AppendInt(b, labelID(int(odd>>16%uint64(labels))), 10)
			b = append(b, ']')
		}
		standing := [...]float64{-10, -5, 0, 5, 10, 10, 5, 2.5, -7.199999999999999, 0.1}[odd>>24%10]
		b = appendFloat(b, `,"standing":`, standing)
		return append(appendOdd(b, odd>>32), '}')
	})
}

// contactLabels is how many labels a character has made.
func contactLabels(id int64) int { return int(id*31%12) - 3 }

// labelID is a single bit; the last ones need all 64 bits of an id.
func labelID(i int) int64 { return 1 << (i * 8 % 63) }

func (w *world) appendContactLabels(b []byte, id int64, _ time.Time) []byte {
	return appendList(b, max(0, contactLabels(id)), func(b []byte, i int) []byte {
		b = appendInt(b, `{"label_id":`, labelID(i))
		b = appendText(b, `,"label_name":`, [...]string{"Blues", "Röda", "Scammers <!>", "友達", "Agents"}[i%5])
		return append(b, '}')
	})
}

// appendStandings appends what agents, corporations and factions of the game
// think of a character; it changes with what he does for them.
func (w *world) appendStandings(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	session := p.play.session(at.Unix())
	base := dice.New(w.seed, drawStanding, uint64(id))
	first := int64(base.IntN(1000))
	return appendList(b, p.standings, func(b []byte, i int) []byte {
		d := dice.New(w.seed, drawStanding, 1, uint64(id), uint64(i))
		version := slowly(session, uint64(5+i), d.Uint64()%1000)
		now := dice.New(w.seed, drawStanding, 2, uint64(id), uint64(i), version)
		from, kind := firstAgent+(first+int64(i)*17)%agents, "agent"
		switch {
		case i < 20:
			from, kind = firstFaction+int64(i), "faction"
		case i%3 == 0 && i/3 < 180:
			from, kind = firstNPC+int64(i/3), "npc_corp"
		}
		b = appendInt(b, `{"from_id":`, from)
		b = appendPlain(b, `,"from_type":`, kind)
		level := d.Float()*16 - 6
		return append(appendFloat(b, `,"standing":`, level+now.Float()/10), '}')
	})
}

func (w *world) appendLoyalty(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	session := p.play.session(at.Unix())
	d := dice.New(w.seed, drawLoyalty, uint64(id))
	count := max(0, d.IntN(30)-4)
	first := int64(d.IntN(100))
	return appendList(b, count, func(b []byte, i int) []byte {
		version := slowly(session, uint64(4+10*i), uint64(id)%97)
		now := dice.New(w.seed, drawLoyalty, uint64(id), uint64(i), version)
		b = appendInt(b, `{"corporation_id":`, firstNPC+first+int64(i))
		return append(appendInt(b, `,"loyalty_points":`, int64(now.LogNormal(8000, 2))), '}')
	})
}
