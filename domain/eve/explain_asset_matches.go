package eve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The kinds of what may have taken an asset away.
const (
	// MatchStacked: another stack of its type grew in the same reading.
	MatchStacked = "stacked"
	// MatchNewItem: another item of its type came in the same reading.
	MatchNewItem = "new_item"
	// MatchBoarded: the character was seen in it.
	MatchBoarded = "boarded"
	// MatchContract: a contract gave the type away.
	MatchContract = "contract"
	// MatchOrder: a sell order for the type was placed, which takes it into escrow.
	MatchOrder = "sell_order"
	// MatchSold: the type was sold on the market.
	MatchSold = "sold"
	// MatchJob: an industry job was begun with it, as its blueprint.
	MatchJob = "industry_job"
	// MatchDestroyed: the character lost a ship that was, or held, the type.
	MatchDestroyed = "destroyed"
	// MatchImplant: the type was plugged in.
	MatchImplant = "implant"
	// MatchSkillBook: the skill was injected.
	MatchSkillBook = "skill_book"
)

// mostMatches bounds the matches of a loss.
const mostMatches = 20

// matchFinder finds what may have taken an item away.
type matchFinder struct {
	character, item, typeID int64

	candidates []matchCandidate
}

// matchCandidate is something that happened to the type.
type matchCandidate struct {
	AssetMatch

	// ship is the type of a ship that was lost, with all that it held; zero for others.
	ship int64
	// observed tells that it happened at any time up to the moment, as a reading shows, and
	// not at the moment itself.
	observed bool
}

// of are the matches of a loss, the likeliest first.
func (m *matchFinder) of(loss assetLoss) []AssetMatch {
	found := slices.Clone(loss.beside)
	for _, c := range m.candidates {
		until := loss.Before
		if c.observed {
			// The other section may have been read later.
			until = until.Add(assetLag)
		}
		if c.At.Before(loss.After.Add(-assetLag)) || c.At.After(until) {
			continue
		}
		if c.ship != 0 && c.Quantity == 0 {
			// A wreck may not list what it held, so it must be the item itself, or what it was in.
			if !slices.Contains(loss.containers, c.ship) {
				continue
			}
			c.Quantity = loss.Quantity
		}
		c.Exact = c.Quantity == loss.Quantity
		found = append(found, c.AssetMatch)
	}
	slices.SortStableFunc(found, likelier)
	return found[:min(len(found), mostMatches)]
}

// add notes something that happened.
func (m *matchFinder) add(f Fact, kind string, section Section, at time.Time, quantity int64, said ...any) *matchCandidate {
	m.candidates = append(m.candidates, matchCandidate{AssetMatch: AssetMatch{Step: f.step(kind, section, at, flat(said...)), Quantity: quantity}})
	return &m.candidates[len(m.candidates)-1]
}

// told is a record as it was last told, and the fact that told of it first.
type told struct {
	first Fact
	raw   json.RawMessage
}

// collect goes through what is known of the character.
func (m *matchFinder) collect(facts []Fact) error {
	chronicles := map[Section]*Chronicle{}
	for _, s := range AssetSections() {
		if s != SectionAssets {
			chronicles[s] = &Chronicle{Section: s}
		}
	}
	records, order := map[Section]map[string]told{}, []struct {
		section Section
		key     string
	}{}
	for _, f := range facts {
		section := About(f.Type, f.Data).Section
		chronicle := chronicles[section]
		if chronicle == nil {
			continue
		}
		changes, first, err := chronicle.Follow(f.Event, f.Payload)
		if err != nil {
			return err
		}
		for _, c := range changes {
			switch {
			case section == SectionImplants || section == SectionSkills || section == SectionShip:
				m.reading(f, section, c, first)
			case c.After != nil && !c.Head:
				if records[section] == nil {
					records[section] = map[string]told{}
				}
				r, known := records[section][c.Key]
				if !known {
					r.first = f
					order = append(order, struct {
						section Section
						key     string
					}{section, c.Key})
				}
				r.raw = c.After
				records[section][c.Key] = r
			}
		}
	}
	for _, o := range order {
		m.record(o.section, o.key, records[o.section][o.key])
	}
	return nil
}

// reading looks at what a reading shows for the first time.
func (m *matchFinder) reading(f Fact, section Section, c Change, first bool) {
	at := observationOf(f)
	var found *matchCandidate
	switch {
	case section == SectionShip && c.Head && numberIn(c.After, "ship_item_id") == m.item && numberIn(c.Before, "ship_item_id") != m.item:
		found = m.add(f, MatchBoarded, section, at, 1, "The character was seen in this ship, which ESI need not list among the assets.")
		found.Certain = true
	case first || c.Kind != ChangeAdded || c.Key != strconv.FormatInt(m.typeID, 10):
		return
	case section == SectionImplants:
		found = m.add(f, MatchImplant, section, at, 1, "An implant ", ofType(m.typeID), " was seen plugged in.")
	case section == SectionSkills && c.List == "skills":
		found = m.add(f, MatchSkillBook, section, at, 1, "The skill ", ofType(m.typeID), " was seen injected.")
	}
	if found != nil {
		found.observed = true
	}
}

// observationOf is when ESI was asked for what a fact says.
func observationOf(f Fact) time.Time {
	if p, is := f.Payload.(SectionObserved); is {
		return p.FetchedAt.UTC()
	}
	return f.Time.UTC()
}

// record looks at a record, or at a thing of a list that ESI keeps for a while.
func (m *matchFinder) record(section Section, key string, r told) {
	switch section { //nolint:exhaustive // those of [AssetSections] that have such things
	case SectionContracts:
		m.contract(key, r)
	case SectionWalletTransactions:
		if numberIn(r.raw, "type_id") != m.typeID || flagIn(r.raw, "is_buy") || !flagIn(r.raw, "is_personal") {
			return
		}
		n := numberIn(r.raw, "quantity")
		m.add(r.first, MatchSold, section, momentIn(r.raw, "date"), n, fmt.Sprintf("Transaction %s sold %d of ", key, n), ofType(m.typeID), " to ", Part{Kind: FieldEntity, ID: numberIn(r.raw, "client_id")}, ".")
	case SectionOrders:
		if numberIn(r.raw, "type_id") != m.typeID || flagIn(r.raw, "is_buy_order") || flagIn(r.raw, "is_corporation") {
			return
		}
		n := numberIn(r.raw, "volume_total")
		m.add(r.first, MatchOrder, section, momentIn(r.raw, "issued"), n, fmt.Sprintf("Sell order %s took %d of ", key, n), ofType(m.typeID), " into escrow.")
	case SectionIndustryJobs:
		if numberIn(r.raw, "blueprint_id") != m.item {
			return
		}
		c := m.add(r.first, MatchJob, section, momentIn(r.raw, "start_date"), 1, "Industry job "+key+" was begun with this blueprint.")
		c.Certain = true
	case SectionKillmails:
		m.killmail(key, r)
	}
}

// contract looks at what a contract takes from the character: what it gives if he has
// issued it, what it asks for if he has accepted it.
func (m *matchFinder) contract(key string, r told) {
	issued, accepted := numberIn(r.raw, "issuer_id") == m.character, numberIn(r.raw, "acceptor_id") == m.character
	if flagIn(r.raw, "for_corporation") || !issued && !accepted {
		return
	}
	n := int64(0)
	for _, item := range elementsIn(r.raw, "items") {
		if numberIn(item, "type_id") == m.typeID && flagIn(item, "is_included") == issued {
			n += max(1, numberIn(item, "quantity"))
		}
	}
	if n == 0 {
		return
	}
	what := fmt.Sprintf("Contract %s (%s, %s)", key, textIn(r.raw, "type"), textIn(r.raw, "status"))
	if issued {
		said := flat(what+fmt.Sprintf(", issued by the character, holds %d of ", n), ofType(m.typeID))
		if to := numberIn(r.raw, "assignee_id"); to != 0 {
			said = flat(said, " for ", Part{Kind: FieldEntity, ID: to})
		}
		m.add(r.first, MatchContract, SectionContracts, momentIn(r.raw, "date_issued"), n, said, ".")
		return
	}
	m.add(r.first, MatchContract, SectionContracts, momentIn(r.raw, "date_accepted"), n, what+fmt.Sprintf(", accepted by the character, asked for %d of ", n), ofType(m.typeID), ".")
}

// killmail looks at a ship that the character lost.
func (m *matchFinder) killmail(key string, r told) {
	victim := memberIn(r.raw, "victim")
	if numberIn(victim, "character_id") != m.character {
		return
	}
	at, ship := momentIn(r.raw, "killmail_time"), numberIn(victim, "ship_type_id")
	n := int64(0)
	for _, item := range elementsIn(victim, "items") {
		for _, inner := range append([]json.RawMessage{item}, elementsIn(item, "items")...) {
			if numberIn(inner, "item_type_id") == m.typeID {
				n += numberIn(inner, "quantity_destroyed") + numberIn(inner, "quantity_dropped")
			}
		}
	}
	switch {
	case ship == m.typeID:
		m.add(r.first, MatchDestroyed, SectionKillmails, at, 1, "Killmail "+key+": the character lost a ", ofType(ship), ".")
	case n > 0:
		m.add(r.first, MatchDestroyed, SectionKillmails, at, n, "Killmail "+key+": the character lost a ", ofType(ship), fmt.Sprintf(", which held %d of ", n), ofType(m.typeID), ".")
	default:
		c := m.add(r.first, MatchDestroyed, SectionKillmails, at, 0, "Killmail "+key+": the character lost a ", ofType(ship), ", of the type that it was in.")
		c.ship = ship
	}
}

// memberIn is a field of an object; nil if there is none.
func memberIn(object json.RawMessage, field string) json.RawMessage {
	if len(object) == 0 || object[0] != '{' {
		return nil
	}
	return memberOf(membersOf(object), field)
}

// flagIn is a field that is true.
func flagIn(object json.RawMessage, field string) bool {
	return string(memberIn(object, field)) == "true"
}

// momentIn is a field that holds a moment, UTC; zero if there is none.
func momentIn(object json.RawMessage, field string) time.Time {
	at, err := time.Parse(time.RFC3339, textIn(object, field))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// elementsIn are the elements of a field that holds a list.
func elementsIn(object json.RawMessage, field string) []json.RawMessage {
	list := memberIn(object, field)
	var elements []json.RawMessage
	if len(list) == 0 || list[0] != '[' || json.Unmarshal(list, &elements) != nil {
		return nil
	}
	return elements
}
