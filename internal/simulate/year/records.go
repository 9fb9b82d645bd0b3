package year

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
)

// write has the character write and get mails.
func (c *character) write(day time.Time) {
	d := &c.dice
	n := count(d, c.mean(shareMails))
	if n == 0 {
		return
	}
	const sent = 0.4
	items := make([]json.RawMessage, 0, n)
	for _, s := range seconds(d, n) {
		m := Mail{Character: c.id, From: FirstPlayer + int64(d.IntN(Players)), At: day.Add(time.Duration(s) * time.Second), To: []int64{c.id}}
		if d.Chance(sent) {
			m.From, m.To = c.id, nil
			for range d.IntN(4) {
				// A recipient may be named twice.
				m.To = append(m.To, FirstPlayer+int64(d.IntN(20)))
			}
		}
		c.g.tell(&m)
		recipients := make([]string, len(m.To))
		for i, id := range m.To {
			recipients[i] = fmt.Sprintf(`{"recipient_id":%d,"recipient_type":"character"}`, id)
		}
		items = append(items, fmt.Appendf(nil, `{"from":%d,"is_read":false,"labels":[1],"mail_id":%d,"recipients":[%s],"subject":"Fleet","timestamp":%q}`,
			m.From, c.nextID(), strings.Join(recipients, ","), m.At.Format(time.RFC3339)))
	}
	at := c.lateOn(day)
	c.told(eve.SectionMails, at)
	c.add(at, eve.MailRecorded{Facts: c.facts(eve.SectionMails, day, at, items)})
}

// notified has the character get notifications.
func (c *character) notified(day time.Time) {
	d := &c.dice
	n := count(d, c.mean(shareNotifications))
	if n == 0 {
		return
	}
	items := make([]json.RawMessage, 0, n)
	for _, s := range seconds(d, n) {
		m := Notification{
			Character: c.id, Sender: pick(d, []int64{0, Concord, scc, FirstCorporation}), At: day.Add(time.Duration(s) * time.Second),
			Type: pick(d, []string{"KillReportVictim", "KillReportFinalBlow", "StructureUnderAttack", "CharAppAcceptMsg", "BillOutOfMoneyMsg", "InsurancePayoutMsg", "MoonminingExtractionStarted"}),
		}
		c.g.tell(&m)
		sender := ""
		if m.Sender != 0 {
			sender = fmt.Sprintf(`"sender_id":%d,"sender_type":"corporation",`, m.Sender)
		}
		items = append(items, fmt.Appendf(nil, `{"notification_id":%d,%s"timestamp":%q,"type":%q}`, c.nextID(), sender, m.At.Format(time.RFC3339), m.Type))
	}
	at := c.lateOn(day)
	c.told(eve.SectionNotifications, at)
	c.add(at, eve.NotificationRecorded{Facts: c.facts(eve.SectionNotifications, day, at, items)})
}

// contract is a contract with what will become of it, at which days.
type contract struct {
	Contract

	accepts, ends time.Time
	outcome       string
}

// contract issues contracts, and has others accepted and ended.
func (c *character) contract(day time.Time) {
	at := c.lateOn(day)
	c.settle(day, at)
	d := &c.dice
	n := count(d, c.mean(shareContracts))
	if n == 0 {
		return
	}
	items := make([]json.RawMessage, 0, n)
	for _, s := range seconds(d, n) {
		k := c.issued(day.Add(time.Duration(s)*time.Second), at)
		c.contracts = append(c.contracts, k)
		fact := k.Contract
		c.g.tell(&fact)
		items = append(items, fmt.Appendf(nil, `{"acceptor_id":0,"assignee_id":%d,"availability":"personal","collateral":%s,"contract_id":%d,"date_expired":%q,"date_issued":%q,"for_corporation":false,"issuer_corporation_id":%d,"issuer_id":%d,"price":%s,"reward":%s,"status":"outstanding","type":%q,"volume":12.5}`,
			k.Assignee, isk(d, k.Collateral), k.ID, k.Issued.AddDate(0, 0, 14).Format(time.RFC3339), k.Issued.Format(time.RFC3339), FirstCorporation, k.Issuer, isk(d, k.Price), isk(d, k.Reward), k.Type))
	}
	c.told(eve.SectionContracts, at)
	c.add(at, eve.ContractRecorded{Facts: c.facts(eve.SectionContracts, day, at, items)})
}

// issued is a contract as it was issued, with what will become of it.
func (c *character) issued(at, told time.Time) *contract {
	d := &c.dice
	other := FirstPlayer + int64(d.IntN(40))
	k := &contract{Contract: Contract{
		Character: c.id, ID: c.nextID(), Told: told, Type: pick(d, []string{"courier", "item_exchange", "auction"}), Status: "outstanding",
		Issuer: c.id, Assignee: other, Issued: at, Price: int64(d.LogNormal(1e9, 1)), Reward: int64(d.LogNormal(1e8, 1)), Collateral: int64(d.LogNormal(5e9, 1)),
	}}
	const others = 0.5
	if d.Chance(others) {
		k.Issuer, k.Assignee = other, pick(d, []int64{c.id, FirstCorporation, 0})
	}
	hours := func(most int) time.Duration { return time.Duration(60+d.IntN(most*3600)) * time.Second }
	const day, week = 24, 7 * 24
	k.outcome = pick(d, []string{"finished", "finished", "finished_issuer", "finished_contractor", "cancelled", "failed", "", "rejected"})
	switch k.outcome {
	case "cancelled", "rejected":
		k.ends = at.Add(hours(week))
	case "":
	default:
		k.accepts = at.Add(hours(2 * day))
		k.ends = k.accepts.Add(hours(3 * week))
	}
	return k
}

// settle tells what has become of contracts by the end of a day.
func (c *character) settle(day, told time.Time) {
	d := &c.dice
	over := day.AddDate(0, 0, 1)
	changes := map[string][]json.RawMessage{}
	c.contracts = slices.DeleteFunc(c.contracts, func(k *contract) bool {
		fields := ""
		if !k.accepts.IsZero() && k.Accepted.IsZero() && k.accepts.Before(over) {
			k.Accepted, k.Status, k.Acceptor = k.accepts, "in_progress", FirstPlayer+int64(d.IntN(40))
			if k.Issuer != c.id {
				k.Acceptor = pick(d, []int64{c.id, k.Acceptor})
			}
			fields = fmt.Sprintf(`"acceptor_id":%d,"date_accepted":%q,`, k.Acceptor, k.Accepted.Format(time.RFC3339))
		}
		if !k.ends.IsZero() && k.ends.Before(over) {
			k.Status = k.outcome
			if !k.Accepted.IsZero() {
				// ESI tells when a contract was completed, not when it was called off.
				k.Completed = k.ends
				fields += fmt.Sprintf(`"date_completed":%q,`, k.Completed.Format(time.RFC3339))
			}
		}
		if k.Status == "outstanding" || fields == "" && k.Status == "in_progress" {
			return false
		}
		k.Told = told
		fact := k.Contract
		c.g.tell(&fact)
		of := k.Issued.Format(time.DateOnly)
		changes[of] = append(changes[of], fmt.Appendf(nil, `{%s"contract_id":%d,"status":%q}`, fields, k.ID, k.Status))
		return k.Status == k.outcome
	})
	for _, of := range slices.Sorted(maps.Keys(changes)) {
		c.told(eve.SectionContracts, told)
		facts := c.facts(eve.SectionContracts, day, told, changes[of])
		facts.Day = of
		c.add(told, eve.ContractChanged{Facts: facts})
	}
}

// fight has kills and losses.
func (c *character) fight(day time.Time) {
	d := &c.dice
	n := count(d, c.mean(shareKillmails))
	if n == 0 {
		return
	}
	items := make([]json.RawMessage, 0, n)
	for _, s := range seconds(d, n) {
		k := Killmail{
			Character: c.id, At: day.Add(time.Duration(s) * time.Second), Loss: d.Chance(0.4), Attackers: 1 + d.IntN(4),
			Ship: FirstType + int64(d.IntN(Types)), System: 30_000_100 + int64(d.IntN(12)), Things: map[int64]int64{},
		}
		k.FinalBlow = !k.Loss && d.Chance(0.5)
		k.Things[k.Ship]++
		items = append(items, c.killmail(&k))
		c.g.tell(&k)
	}
	at := c.lateOn(day)
	c.told(eve.SectionKillmails, at)
	c.add(at, eve.KillmailRecorded{Facts: c.facts(eve.SectionKillmails, day, at, items)})
}

// killmail is the record of a killmail. It adds the things that were lost to the fact.
func (c *character) killmail(k *Killmail) json.RawMessage {
	d := &c.dice
	things := make([]string, d.IntN(5))
	for i := range things {
		of, dropped, destroyed := FirstType+int64(d.IntN(Types-1)), int64(d.IntN(3)), int64(d.IntN(900))
		k.Things[of] += dropped + destroyed
		things[i] = fmt.Sprintf(`{"flag":5,"item_type_id":%d,"quantity_destroyed":%d,"quantity_dropped":%d,"singleton":0}`, of, destroyed, dropped)
	}
	victim := FirstPlayer + int64(d.IntN(Players))
	attackers := make([]string, k.Attackers)
	for i := range attackers {
		attackers[i] = fmt.Sprintf(`{"character_id":%d,"damage_done":9,"final_blow":%t,"security_status":0.5}`, FirstPlayer+Players+i, i == 0 && !k.FinalBlow)
	}
	if k.Loss {
		victim = c.id
	} else {
		attackers[len(attackers)-1] = fmt.Sprintf(`{"character_id":%d,"damage_done":9,"final_blow":%t,"security_status":0.5}`, c.id, k.FinalBlow)
	}
	if !k.Loss && k.Attackers == 1 {
		// Somebody struck it.
		k.FinalBlow = true
		attackers[0] = fmt.Sprintf(`{"character_id":%d,"damage_done":9,"final_blow":true,"security_status":0.5}`, c.id)
	}
	return fmt.Appendf(nil, `{"attackers":[%s],"killmail_hash":"ab","killmail_id":%d,"killmail_time":%q,"solar_system_id":%d,"victim":{"character_id":%d,"damage_taken":9,"items":[%s],"ship_type_id":%d}}`,
		strings.Join(attackers, ","), c.nextID(), k.At.Format(time.RFC3339), k.System, victim, strings.Join(things, ","), k.Ship)
}

// presence is when a character was online, and what was seen of it last.
type presence struct {
	// sessions are the last two.
	sessions []Session
	logins   int64
	seen     string
}

// comeOnline has the character come online, and Muster look now and then.
func (c *character) comeOnline(day time.Time) {
	d := &c.dice
	const hour = 3600
	for _, from := range seconds(d, d.IntN(4)) {
		s := Session{Character: c.id, Number: c.presence.logins + 1, From: day.Add(time.Duration(from) * time.Second)}
		if n := len(c.presence.sessions); n > 0 && !s.From.After(c.presence.sessions[n-1].To) {
			continue
		}
		s.To = s.From.Add(time.Duration(60+d.IntN(5*hour)) * time.Second)
		c.presence.logins++
		c.presence.sessions = append(c.presence.sessions, s)
		c.g.tell(&s)
	}
	looks := make([]time.Time, count(d, c.mean(shareLooks)))
	for i := range looks {
		looks[i] = moment(d, day)
	}
	slices.SortFunc(looks, time.Time.Compare)
	for _, at := range looks {
		c.look(at)
	}
	if n := len(c.presence.sessions); n > 8 {
		c.presence.sessions = slices.Clone(c.presence.sessions[n-8:])
	}
}

// look sees whether the character is online. Nothing is told if it is as before.
func (c *character) look(at time.Time) {
	var login, logout time.Time
	var logins int64
	online := false
	for _, s := range c.presence.sessions {
		if !s.From.After(at) {
			login, logins, online = s.From, s.Number, s.To.After(at)
			if !online {
				logout = s.To
			}
		}
	}
	if logins == 0 {
		return
	}
	value := fmt.Sprintf(`{"last_login":%q,"logins":%d,"online":%t}`, login.Format(time.RFC3339), logins, online)
	if !logout.IsZero() {
		value = fmt.Sprintf(`{"last_login":%q,"last_logout":%q,"logins":%d,"online":%t}`, login.Format(time.RFC3339), logout.Format(time.RFC3339), logins, online)
	}
	if value == c.presence.seen {
		return
	}
	c.presence.seen = value
	c.g.tell(&Look{Character: c.id, At: at})
	c.observe(eve.SectionOnline, at, []byte(value))
}

// skills are what a character has learned.
type skills struct {
	levels             map[int64]int
	total, unallocated int64
	// base is the last full observation, with the levels and the day of it.
	base    uuid.UUID
	of      map[int64]int
	head    string
	basedOn int
}

// FirstSkill is the id of the first of Skills skills.
const (
	FirstSkill = 3_300
	Skills     = 12
)

// learn has the character learn, and now and then lose a skill, every few days.
func (c *character) learn(n int, day time.Time) {
	d := &c.dice
	const every, fullEvery = 4, 28
	k := &c.skills
	if k.levels == nil {
		k.levels, k.total, k.basedOn = map[int64]int{}, int64(d.LogNormal(2e7, 1)), -fullEvery
		for i := range Skills {
			k.levels[FirstSkill+int64(i)] = d.IntN(6)
		}
	} else if n%every != c.index%every {
		return
	}
	for range d.IntN(3) {
		id := FirstSkill + int64(d.IntN(Skills))
		k.levels[id] = min(5, k.levels[id]+1)
	}
	const lost, still = 0.2, 0.2
	if d.Chance(lost) {
		k.levels[FirstSkill+int64(d.IntN(Skills))] = d.IntN(3)
	}
	if !d.Chance(still) {
		k.total += int64(d.IntN(200_000))
		k.unallocated = int64(d.IntN(50_000))
	}
	at := moment(d, day)
	c.g.tell(&Points{Character: c.id, At: at, Total: k.total, Unallocated: k.unallocated})
	c.g.tell(&Levels{Character: c.id, At: at, Levels: maps.Clone(k.levels)})
	head := fmt.Sprintf(`{"total_sp":%d,"unallocated_sp":%d}`, k.total, k.unallocated)
	whole := fmt.Appendf(nil, `{"skills":[%s],"total_sp":%d,"unallocated_sp":%d}`, strings.Join(k.list(nil), ","), k.total, k.unallocated)
	if n-k.basedOn >= fullEvery {
		k.base = c.observe(eve.SectionSkills, at, whole)
		k.of, k.head, k.basedOn = maps.Clone(k.levels), head, n
		return
	}
	var delta eve.Delta
	if head != k.head {
		delta.Head = json.RawMessage(head)
	}
	if changed := k.list(k.of); len(changed) > 0 {
		list := eve.ListDelta{Path: "skills"}
		for _, skill := range changed {
			list.Changed = append(list.Changed, json.RawMessage(skill))
		}
		delta.Lists = []eve.ListDelta{list}
	}
	value, err := json.Marshal(delta)
	if err != nil {
		panic(fmt.Errorf("BUG: a difference of skills cannot be written: %w", err))
	}
	base := k.base
	c.told(eve.SectionSkills, at)
	c.add(at, eve.SectionObserved{CharacterID: c.id, Section: eve.SectionSkills, ContentHash: hash(eve.SectionSkills, whole), Encoding: eve.EncodingDelta, Base: &base, FetchedAt: at, Value: value})
}

// list are the skills that differ from others.
func (k *skills) list(from map[int64]int) []string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(k.levels)) {
		if from == nil || from[id] != k.levels[id] {
			list = append(list, fmt.Sprintf(`{"active_skill_level":%[2]d,"skill_id":%[1]d,"skillpoints_in_skill":%[3]d,"trained_skill_level":%[2]d}`, id, k.levels[id], 1000*k.levels[id]))
		}
	}
	return list
}
