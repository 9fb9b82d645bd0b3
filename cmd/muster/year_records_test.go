//go:build linux

package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/muster-sync/muster/internal/simulate/year"
)

// yearWorth counts contracts and what they are worth.
type yearWorth struct{ count, price, reward, collateral int64 }

func (w *yearWorth) add(k *year.Contract) {
	w.count++
	w.price += k.Price
	w.reward += k.Reward
	w.collateral += k.Collateral
}

func (w *yearWorth) fields(step string) yearFields {
	return yearFields{step: w.count, step + "_price": yearISK(w.price), step + "_reward": yearISK(w.reward), step + "_collateral": yearISK(w.collateral)}
}

// yearContracts answers about contracts as they were known at a moment; zero is now.
func yearContracts(a *yearAsk, all []year.Contract, stays yearStays, asOf time.Time, kinds, statuses, roles yearFilter[string]) yearQuestion {
	type sums struct {
		issued, accepted, finished, unfinished yearWorth
		waited                                 []int64
	}
	table := newYearTable[sums](a.r, a.by)
	versions := map[[2]int64][]year.Contract{}
	for _, k := range all {
		if asOf.IsZero() || !k.Told.After(asOf) {
			key := [2]int64{k.Character, k.ID}
			versions[key] = append(versions[key], k)
		}
	}
	over := func(status string) string {
		switch status {
		case "outstanding", "in_progress":
			return ""
		case "finished", "finished_issuer", "finished_contractor":
			return "finished"
		default:
			return "unfinished"
		}
	}
	for _, list := range versions {
		k := list[len(list)-1]
		role, other := "other", k.Issuer
		switch k.Character {
		case k.Issuer:
			role, other = "issuer", cmp.Or(k.Acceptor, k.Assignee)
		case k.Acceptor:
			role = "acceptor"
		case k.Assignee:
			role = "assignee"
		}
		if !a.characters.passes(k.Character) || !a.others.passes(other) || !kinds.passes(k.Type) || !statuses.passes(k.Status) || !roles.passes(role) {
			continue
		}
		step := func(at time.Time, count func(*sums)) {
			corporation := stays.at(k.Character, at.UnixMilli())
			if at.IsZero() || !a.r.within(at.UnixMilli()) || !a.corporations.passes(corporation) {
				return
			}
			count(&table.of(yearFields{"character": k.Character, "corporation": corporation, "type": k.Type, "status": k.Status, "role": role, "counterparty": other})[a.r.period(at.UnixMilli())])
		}
		step(k.Issued, func(s *sums) { s.issued.add(&k) })
		step(k.Accepted, func(s *sums) {
			s.accepted.add(&k)
			s.waited = append(s.waited, k.Accepted.Unix()-k.Issued.Unix())
		})
		ended := k.Completed
		if ended.IsZero() {
			// When it was first read so.
			ended = list[slices.IndexFunc(list, func(v year.Contract) bool { return over(v.Status) == over(k.Status) })].Told
		}
		switch over(k.Status) {
		case "finished":
			step(ended, func(s *sums) { s.finished.add(&k) })
		case "unfinished":
			step(ended, func(s *sums) { s.unfinished.add(&k) })
		}
	}
	names := yearNames()
	names["type"] = "type"
	q := a.question(map[string]string{"others": "counterparty_id"}, table.lines(names, func(s *sums) yearFields {
		median, mean := yearMiddle(s.waited)
		return s.issued.fields("issued").and(s.accepted.fields("accepted")).and(s.finished.fields("finished")).and(s.unfinished.fields("unfinished")).and(yearFields{"median_seconds": median, "mean_seconds": mean, "unreadable": 0})
	}))
	return q
}

func yearKillmails(a *yearAsk, all []year.Killmail, stays yearStays, outcomes yearFilter[string]) yearQuestion {
	type sums struct{ kills, losses, blows, solo, destroyed, lost, unpriced int64 }
	table := newYearTable[sums](a.r, a.by)
	prices := yearPrices()
	for i := range all {
		k := &all[i]
		at, outcome := k.At.UnixMilli(), "kill"
		if k.Loss {
			outcome = "loss"
		}
		corporation := stays.at(k.Character, at)
		if !a.r.within(at) || !a.characters.passes(k.Character) || !a.types.passes(k.Ship) || !a.places.passes(k.System) || !outcomes.passes(outcome) || !a.corporations.passes(corporation) {
			continue
		}
		worth, unpriced := int64(0), int64(0)
		for of, quantity := range k.Things {
			price, known := prices[of]
			worth += price * quantity
			if !known && quantity > 0 {
				unpriced = 1
			}
		}
		s := &table.of(yearFields{"character": k.Character, "corporation": corporation, "outcome": outcome, "ship_type": k.Ship, "solar_system": k.System})[a.r.period(at)]
		s.unpriced += unpriced
		if k.Loss {
			s.losses++
			s.lost += worth
			continue
		}
		s.kills++
		s.destroyed += worth
		if k.FinalBlow {
			s.blows++
		}
		if k.Attackers == 1 {
			s.solo++
		}
	}
	return a.question(map[string]string{"types": "ship_type_id", "places": "solar_system_id"}, table.lines(yearNames(), func(s *sums) yearFields {
		return yearFields{
			"kills": s.kills, "losses": s.losses, "final_blows": s.blows, "solo": s.solo, "destroyed_value": yearISK(s.destroyed), "lost_value": yearISK(s.lost), "unpriced": s.unpriced, "unreadable": 0,
		}
	}))
}

func yearMails(a *yearAsk, all []year.Mail, stays yearStays, directions yearFilter[string]) yearQuestion {
	type sums struct{ sent, received int64 }
	table := newYearTable[sums](a.r, a.by)
	for i := range all {
		m := &all[i]
		at := m.At.UnixMilli()
		corporation := stays.at(m.Character, at)
		direction, others := "received", lettingPass(m.From)
		if m.From == m.Character {
			direction, others = "sent", lettingPass(m.To...)
			if len(m.To) == 0 {
				others = lettingPass[int64](0)
			}
		}
		if !a.r.within(at) || !a.characters.passes(m.Character) || !directions.passes(direction) || !a.corporations.passes(corporation) {
			continue
		}
		for other := range others {
			if !a.others.passes(other) {
				continue
			}
			s := &table.of(yearFields{"character": m.Character, "corporation": corporation, "direction": direction, "counterparty": other})[a.r.period(at)]
			if direction == "sent" {
				s.sent++
			} else {
				s.received++
			}
			if !slices.Contains(a.by, "counterparty") {
				break
			}
		}
	}
	return a.question(map[string]string{"others": "counterparty_id"}, table.lines(yearNames(), func(s *sums) yearFields {
		return yearFields{"sent": s.sent, "received": s.received, "unreadable": 0}
	}))
}

func yearNotifications(a *yearAsk, all []year.Notification, stays yearStays, kinds yearFilter[string]) yearQuestion {
	type sums struct{ count int64 }
	table := newYearTable[sums](a.r, a.by)
	for i := range all {
		n := &all[i]
		at := n.At.UnixMilli()
		corporation := stays.at(n.Character, at)
		if a.r.within(at) && a.characters.passes(n.Character) && kinds.passes(n.Type) && a.others.passes(n.Sender) && a.corporations.passes(corporation) {
			table.of(yearFields{"character": n.Character, "corporation": corporation, "type": n.Type, "sender": n.Sender})[a.r.period(at)].count++
		}
	}
	names := yearNames()
	names["type"] = "type"
	return a.question(map[string]string{"others": "sender_id"}, table.lines(names, func(s *sums) yearFields {
		return yearFields{"notifications": s.count, "unreadable": 0}
	}))
}

// yearStep is a step of the sync in few bytes.
type yearStep struct {
	at                   int64
	character            int32
	section, kind, class uint8
}

// yearWords are words by number.
type yearWords struct {
	words   []string
	numbers map[string]uint8
}

func (w *yearWords) number(word string) uint8 {
	if n, known := w.numbers[word]; known {
		return n
	}
	if w.numbers == nil {
		w.numbers = map[string]uint8{}
	}
	n := uint8(len(w.words))
	w.words, w.numbers[word] = append(w.words, word), n
	return n
}

func yearSync(a *yearAsk, all []yearStep, words *yearWords, stays yearStays, sections, classes yearFilter[string]) yearQuestion {
	type sums struct {
		told, failed, recovered, sections, failing int64
		ages                                       []int64
	}
	table := newYearTable[sums](a.r, a.by)
	of := map[[2]int64][]yearStep{}
	for _, s := range all {
		if sections.passes(words.words[s.section]) && a.characters.passes(int64(s.character)) {
			key := [2]int64{int64(s.character), int64(s.section)}
			of[key] = append(of[key], s)
		}
	}
	for key, steps := range of {
		character, section := key[0], words.words[key[1]]
		slices.SortStableFunc(steps, func(a, b yearStep) int { return cmp.Compare(a.at, b.at) })
		lastTold, class, known := int64(-1), "", false
		for i := range a.r.periods() {
			corporation := stays.at(character, a.r.end(i)-1)
			in := func(class string) *sums {
				if !classes.passes(class) || !a.corporations.passes(corporation) {
					return &sums{}
				}
				return &table.of(yearFields{"character": character, "corporation": corporation, "section": section, "class": class})[i]
			}
			for len(steps) > 0 && steps[0].at < a.r.end(i) {
				s := steps[0]
				steps, known = steps[1:], true
				counts := s.at >= a.r.bounds[0]
				switch words.words[s.kind] {
				case "told":
					if counts && s.at != lastTold {
						in("").told++
					}
					lastTold = s.at
				case "failed":
					if class = words.words[s.class]; counts {
						in(class).failed++
					}
				default:
					if class = ""; counts {
						in("").recovered++
					}
				}
			}
			if !known {
				continue
			}
			now := in(class)
			now.sections++
			if class != "" {
				now.failing++
			}
			if lastTold >= 0 {
				now.ages = append(now.ages, (a.r.end(i)-lastTold)/1000)
			}
		}
	}
	return a.question(nil, table.lines(yearNames(), func(s *sums) yearFields {
		return yearFields{
			"told": s.told, "failed": s.failed, "recovered": s.recovered, "sections": s.sections, "failing": s.failing,
			"median_unchanged_seconds": yearRank(s.ages, 50), "p95_unchanged_seconds": yearRank(s.ages, 95),
		}
	}))
}

// yearActivity tells when characters were online, by all sessions and all looks.
func yearActivity(a *yearAsk, sessions []year.Session, looks []year.Look, stays yearStays) yearQuestion {
	type cell struct {
		seconds, logins int64
		who             map[int64]bool
	}
	where, err := time.LoadLocation(a.r.zone)
	if err != nil {
		panic(err)
	}
	groups, cells := map[string]yearFields{}, map[string]*[7 * 24]cell{}
	of := func(character, corporation int64) *[7 * 24]cell {
		all, group := yearFields{"character": character, "corporation": corporation}, yearFields{}
		for _, by := range a.by {
			group[yearNames()[by]] = all[by]
		}
		key := group.line()
		if cells[key] == nil {
			cells[key], groups[key] = &[7 * 24]cell{}, group
		}
		return cells[key]
	}
	if len(a.by) == 0 {
		of(0, 0)
	}
	slot := func(at time.Time) int {
		local := at.In(where)
		return (int(local.Weekday())+6)%7*24 + local.Hour()
	}
	ofCharacter, looksAt := map[int64][]year.Session{}, map[int64][]time.Time{}
	for _, s := range sessions {
		ofCharacter[s.Character] = append(ofCharacter[s.Character], s)
	}
	for _, l := range looks {
		looksAt[l.Character] = append(looksAt[l.Character], l.At)
	}
	from, to := a.r.from, a.r.to
	var total, open, missed int64
	for id, seen := range looksAt {
		if !a.characters.passes(id) {
			continue
		}
		slices.SortFunc(seen, time.Time.Compare)
		missed += yearMissed(ofCharacter[id], seen, from, to)
		for n, s := range ofCharacter[id] {
			begin, end, known, told := yearSeen(ofCharacter[id], n, seen)
			if !told || !begin.Before(to) || begin.Before(from) && !end.After(from) {
				continue
			}
			total++
			if !known {
				open++
			}
			all := of(id, stays.at(id, s.From.UnixMilli()))
			count := func(at time.Time) *cell {
				c := &all[slot(at)]
				if c.who == nil {
					c.who = map[int64]bool{}
				}
				c.who[id] = true
				return c
			}
			if !begin.Before(from) {
				count(begin).logins++
			}
			// Hours of every zone begin at quarters of an hour.
			const quarter = 15 * 60
			for at, last := max(begin.Unix(), from.Unix()), min(end.Unix(), to.Unix()); at < last; {
				until := min(at-at%quarter+quarter, last)
				count(time.Unix(at, 0)).seconds += until - at
				at = until
			}
		}
	}
	var lines []string
	for key, all := range cells {
		for i := range all {
			lines = append(lines, groups[key].and(yearFields{"weekday": i/24 + 1, "hour": i % 24, "seconds": all[i].seconds, "logins": all[i].logins, "characters": len(all[i].who)}).line())
		}
	}
	q := a.question(nil, lines)
	q.heads = yearFields{"sessions": total, "open_sessions": open, "missed_logins": missed}
	return q
}

// yearSeen is what is known of a session by looks, which are in order.
func yearSeen(all []year.Session, n int, looks []time.Time) (from, to time.Time, known, told bool) {
	s := all[n]
	from, to = s.From, s.From
	next := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	until := next
	if n+1 < len(all) {
		next, until = all[n+1].From, all[n+1].To
	}
	for _, at := range looks {
		switch {
		case at.Before(s.From):
		case at.Before(next):
			told = true
			if at.Before(s.To) {
				to = at
			} else {
				known = true
			}
		case at.Before(until) && told:
			// While it is online again ESI still tells the logout before.
			known = true
		}
	}
	if known {
		to = s.To
	}
	return from, to, known, told
}

// yearMissed counts the logins between two looks that nobody saw, of those looks that lie
// within a time or reach into it.
func yearMissed(all []year.Session, looks []time.Time, from, to time.Time) int64 {
	lastLogin := func(at time.Time) int64 {
		n := int64(0)
		for _, s := range all {
			if !s.From.After(at) {
				n = s.Number
			}
		}
		return n
	}
	missed := int64(0)
	for i := 1; i < len(looks); i++ {
		if looks[i].Before(from) || !looks[i-1].Before(to) {
			continue
		}
		missed += max(0, lastLogin(looks[i])-lastLogin(looks[i-1])-1)
	}
	return missed
}
