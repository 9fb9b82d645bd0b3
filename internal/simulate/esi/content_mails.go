package esi

import (
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// unreadMost is how many of the newest mails may be unread.
const unreadMost = 200

// mailbox is the mails of a character at a time. In each round of time there is
// one broadcast, the same for all members of an alliance or, without one, of a
// corporation; and after it a number of others, so that any mail can be found
// by its index at once.
type mailbox struct {
	w     *world
	p     profile
	t     traits
	own   int64 // others in a round
	round int64 // seconds
	login int64
	lo    int64 // the oldest that was kept
	hi    int64
}

// mail is the header of a mail.
type mail struct {
	index, second, lane int64
	broadcast           bool
	sender              int64 // corporation or alliance of a broadcast
	read                bool
	label               int64
	odd                 uint64
}

func (w *world) mailboxOf(id int64, at time.Time) mailbox {
	m := mailbox{w: w, p: w.profileOf(id), t: w.traitsOf(id), round: max(60, int64(4*86400/w.activity))}
	if m.p.calling != callingDormant {
		m.own = int64(min(40, float64(m.p.mails)/120))
	}
	m.login = m.p.play.start(m.p.play.session(at.Unix()))
	size := m.own + 1
	k := floorDiv(at.Unix(), m.round)*size + size - 1
	for m.second(k) > at.Unix() {
		k--
	}
	m.hi, m.lo = k, k-int64(m.p.mails)+1
	return m
}

// second is when a mail was sent. The broadcast has the first quarter of its
// round, the others share the rest.
func (m *mailbox) second(k int64) int64 {
	round := floorDiv(k, m.own+1)
	begin, place := round*m.round, k-round*(m.own+1)
	if place == 0 {
		sender := m.sender(round)
		d := dice.New(m.w.seed, drawMail, 1, uint64(sender), uint64(round))
		return begin + int64(d.Uint64()%uint64(m.round/4))
	}
	d := dice.New(m.w.seed, drawMail, 2, uint64(m.p.id), uint64(k))
	step := float64(m.round) * 3 / 4 / float64(m.own)
	return begin + m.round/4 + int64((float64(place-1)+d.Float())*step)
}

// sender is who broadcasts to the character in a round.
func (m *mailbox) sender(round int64) int64 {
	corporation := m.w.corporationOf(m.p.id, m.t, time.Unix(round*m.round, 0))
	if alliance := m.w.allianceOf(corporation); alliance != 0 {
		return alliance
	}
	return corporation
}

// make makes a mail.
func (m *mailbox) make(k int64, out *mail) {
	round := floorDiv(k, m.own+1)
	*out = mail{index: k, second: m.second(k), lane: m.p.number, broadcast: k == round*(m.own+1), label: 1}
	d := dice.New(m.w.seed, drawMail, 3, uint64(m.p.id), uint64(k))
	out.odd = d.Uint64()
	if out.broadcast {
		out.sender = m.sender(round)
		out.lane, out.label = broadcast+out.sender%1000, 4
		if m.w.hasAlliance(out.sender) {
			out.lane, out.label = broadcast+1000+out.sender%1000, 8
		}
	} else {
		switch out.odd % 10 {
		case 0:
			out.label = 2
		case 1:
			out.label = 16
		case 2:
			out.label = 0 // of a mailing list
		}
	}
	out.read = out.label == 2 || k <= m.hi-unreadMost || out.second < m.login && out.odd>>8%5 > 0
}

// found is the index of a mail in the box.
func (m *mailbox) found(id int64) (k int64, ok bool) {
	lo, hi := m.lo, m.hi
	var got mail
	for lo <= hi {
		k = lo + (hi-lo)/2
		m.make(k, &got)
		switch at := idAt(got.second, got.lane); {
		case at == id:
			return k, true
		case at < id:
			lo = k + 1
		default:
			hi = k - 1
		}
	}
	return 0, false
}

func (w *world) mailsCount(id int64, _ time.Time) int {
	p := w.profileOf(id)
	return p.mails
}

func (w *world) appendMailsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	m := w.mailboxOf(id, at)
	var one mail
	return appendRows(b, lo, min(hi, m.p.mails), func(b []byte, i int) []byte {
		m.make(m.hi-int64(i), &one)
		b = appendInt(b, `{"from":`, m.from(&one))
		if one.read {
			b = append(b, `,"is_read":true`...)
		}
		b = m.appendRest(b, &one)
		return append(appendOdd(b, one.odd>>20), '}')
	})
}

// common is what is the same for all who received a mail.
func (m *mailbox) common(one *mail) dice.Stream {
	return dice.New(m.w.seed, drawMail, 4, uint64(one.second), uint64(one.lane))
}

func (m *mailbox) from(one *mail) int64 {
	if one.label == 2 {
		return m.p.id
	}
	d := m.common(one)
	return m.w.anybody(&d)
}

// appendRest appends what headers and bodies have in common.
func (m *mailbox) appendRest(b []byte, one *mail) []byte {
	b = append(b, `,"labels":[`...)
	if one.label != 0 {
		b = strconv.AppendInt(b, one.label, 10)
	}
	b = append(b, ']')
	b = appendInt(b, `,"mail_id":`, idAt(one.second, one.lane))
	d := m.common(one)
	d.Uint64()
	recipient, kind := m.p.id, "character"
	switch {
	case one.label == 8:
		recipient, kind = one.sender, "alliance"
	case one.label == 4:
		recipient, kind = one.sender, "corporation"
	case one.label == 2:
		recipient = m.w.anybody(&d)
	case one.label == 0:
		recipient, kind = listID(m.p.number, one.odd>>4%uint64(m.lists())), "mailing_list"
	}
	b = appendInt(b, `,"recipients":[{"recipient_id":`, recipient)
	b = appendPlain(b, `,"recipient_type":`, kind)
	b = append(b, '}')
	if kind == "character" && one.odd>>12%6 == 0 {
		b = appendInt(b, `,{"recipient_id":`, firstPerson+int64(one.odd>>20%persons))
		b = append(b, `,"recipient_type":"character"}`...)
	}
	b = append(b, ']')
	b = appendText(b, `,"subject":`, subjects[d.IntN(len(subjects))])
	return appendTime(b, `,"timestamp":`, one.second)
}

var subjects = [...]string{
	"CTA tonight", "Re: Re: your offer", "", "Structure timer — \u00bfqui\u00e9n viene?", "Contract accepted", "Welcome to the corporation!",
	"<b>Doctrine</b> change", "新しい星系", "Fleet moved to 19:00", "Buyback programme & prices",
}

var mailTexts = [...]string{
	"", "o7\r\n", "<font size=\"12\" color=\"#bfffffff\">Form up in staging.<br>Bring <a href=\"showinfo:587//1000000000001\">a Rifter</a>.</font>",
	"<font size=\"13\" color=\"#ff00ff00\"><b>Все на флот!</b></font><br><br>Pings at <loc>Jita</loc>.", "See <url=https://example.com/?a=1&b=2>the list</url>.",
}

// appendMailBody appends a mail with its text, which never changes.
func (w *world) appendMailBody(b []byte, id, mailID int64, at time.Time) ([]byte, bool) {
	m := w.mailboxOf(id, at)
	k, ok := m.found(mailID)
	if !ok {
		return b, false
	}
	var one mail
	m.make(k, &one)
	d := m.common(&one)
	d.Uint64()
	d.Uint64()
	d.Uint64()
	b = append(b, `{"body":"`...)
	if text := mailTexts[d.IntN(len(mailTexts))]; text != "" {
		for range 1 + d.IntN(8) {
			quoted := len(b)
			b = appendString(b, text)
			// One string of many: the quotes between are left out.
			copy(b[quoted:], b[quoted+1:len(b)-1])
			b = b[:len(b)-2]
		}
	}
	b = appendInt(b, `","from":`, m.from(&one))
	b = m.appendRest(b, &one)
	if one.read {
		b = append(b, `,"read":true`...)
	}
	return append(b, '}'), true
}

// appendMailLabels appends the labels and how many mails of each are unread.
func (w *world) appendMailLabels(b []byte, id int64, at time.Time) []byte {
	m := w.mailboxOf(id, at)
	var one mail
	var unread [17]int64
	total := int64(0)
	for k := max(m.lo, m.hi-unreadMost+1); k <= m.hi; k++ {
		if m.make(k, &one); !one.read {
			unread[one.label]++
			total++
		}
	}
	names := [...]struct {
		id          int64
		name, color string
	}{
		{1, "Inbox", "#ffffff"},
		{2, "Sent", "#ffffff"},
		{4, "[Corp]", "#ffffff"},
		{8, "[Alliance]", "#ffffff"},
		{16, "Später lesen ✉", "#660066"},
	}
	b = append(b, `{"labels":`...)
	b = appendList(b, len(names), func(b []byte, i int) []byte {
		n := &names[i]
		b = appendPlain(b, `{"color":`, n.color)
		b = appendInt(b, `,"label_id":`, n.id)
		b = appendText(b, `,"name":`, n.name)
		return append(appendInt(b, `,"unread_count":`, unread[n.id]), '}')
	})
	return append(appendInt(b, `,"total_unread_count":`, total), '}')
}

// lists is how many mailing lists a character has subscribed to.
func (m *mailbox) lists() int64 { return 1 + m.p.id%4 }

// listID is the id of a mailing list, which nothing resolves.
func listID(number int64, n uint64) int64 {
	return 145000000 + int64(uint64(number)*7919%200+n)
}

func (w *world) appendMailLists(b []byte, id int64, at time.Time) []byte {
	m := w.mailboxOf(id, at)
	return appendList(b, int(m.lists()), func(b []byte, i int) []byte {
		list := listID(m.p.number, uint64(i))
		b = appendInt(b, `{"mailing_list_id":`, list)
		b = appendText(b, `,"name":`, "intel.\u00fc "+strconv.FormatInt(list, 36))
		return append(b, '}')
	})
}
