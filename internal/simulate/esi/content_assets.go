package esi

import (
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

const (
	mostAssets = 65535
	// firstItem begins the ids of items: each character has a range of its own,
	// within it each slot, and within that each item that takes the slot in turn.
	firstItem int64 = 1_000_000_000_000
	perSlot   int64 = 512
	// groupSize is how many slots there are from one container to the next.
	groupSize = 32
)

// asset is what is in a slot.
type asset struct {
	id, kind, quantity int64
	location           int64
	where, flag        string
	singleton, copied  bool
	named              bool
	odd                uint64
}

// stock is the assets of a character at a time.
type stock struct {
	w       *world
	p       profile
	t       traits
	at      time.Time
	session int64
	count   int
	// flown is the slot of the ship that is flown in space, which ESI does not
	// list, though it lists what is in it; the count if it lies somewhere.
	flown int
}

func (w *world) stockOf(id int64, at time.Time) stock {
	s := stock{w: w, p: w.profileOf(id), t: w.traitsOf(id), at: at}
	s.session = s.p.play.session(at.Unix())
	d := dice.New(w.seed, drawAsset, uint64(id), 1, slowly(s.session, 5, uint64(id)))
	s.count = s.p.assets
	if w.assets == 0 {
		s.count -= d.IntN(s.count/50 + 1)
	}
	s.flown = s.count
	if _, station, structure := w.place(id, s.t, s.p.play.seen(at)); station == 0 && structure == 0 {
		s.flown = s.active()
	}
	return s
}

// listed is how many assets ESI lists.
func (s *stock) listed() int {
	if s.flown < s.count {
		return s.count - 1
	}
	return s.count
}

// slot is that of an asset in ESI's list.
func (s *stock) slot(listed int) int {
	if listed >= s.flown {
		return listed + 1
	}
	return listed
}

func (s *stock) itemID(slot int, version uint64) int64 {
	return firstItem + (s.p.number<<16+int64(slot))*perSlot + int64(version%uint64(perSlot))
}

// active is the slot of the ship that is flown.
func (s *stock) active() int {
	d := dice.New(s.w.seed, drawShip, uint64(s.p.id), slowly(s.session, 3, uint64(s.p.id)))
	return d.IntN(s.p.ships)
}

// fill makes what is in a slot.
func (s *stock) fill(slot int, a *asset) {
	d := dice.New(s.w.seed, drawAsset, uint64(s.p.id), 2, uint64(slot))
	*a = asset{id: s.itemID(slot, 0), quantity: 1, where: "station", flag: "Hangar", odd: d.Uint64()}
	loose := slot - s.p.ships - s.p.blueprints
	switch {
	case slot < s.p.ships:
		s.ship(slot, &d, a)
	case loose < 0:
		a.kind = blueprintTypes[d.IntN(len(blueprintTypes))]
		a.singleton, a.copied = true, a.odd%10 < 7
		s.lay(a, &d)
	case loose%groupSize == 0:
		a.kind = containerTypes[d.IntN(len(containerTypes))]
		a.singleton, a.named = true, a.odd%3 > 0
		s.lay(a, &d)
		if a.odd%23 == 0 {
			a.kind, a.named = 60, false
			a.location, a.where, a.flag = assetSafety, "other", "AssetSafety"
		}
	default:
		s.thing(slot, loose, &d, a)
	}
}

// lay puts an asset into a hangar.
func (s *stock) lay(a *asset, d *dice.Stream) {
	location, structure := stationOrStructure(d)
	a.location = location
	if structure {
		// That is how ESI calls structures.
		a.where = "item"
	}
}

func (s *stock) ship(slot int, d *dice.Stream, a *asset) {
	a.kind = shipTypes[d.IntN(len(shipTypes))]
	a.singleton, a.named = true, a.odd%4 > 0
	s.lay(a, d)
	if slot != s.active() {
		return
	}
	switch _, station, structure := s.w.place(s.p.id, s.t, s.p.play.seen(s.at)); {
	case station != 0:
		a.location, a.where = station, "station"
	case structure != 0:
		a.location, a.where = structure, "item"
	}
}

// thing fills a slot with a stack or a module: in the container before it, in a
// ship, or in a hangar. Some change from session to session.
func (s *stock) thing(slot, loose int, d *dice.Stream, a *asset) {
	switch f := d.Float(); {
	case f < 0.6:
		a.location, a.where, a.flag = s.itemID(slot-loose%groupSize, 0), "item", "Unlocked"
	case f < 0.75:
		a.location, a.where = s.itemID(d.IntN(s.p.ships), 0), "item"
		a.flag = [...]string{"Cargo", "DroneBay", "HiSlot0", "HiSlot1", "MedSlot0", "MedSlot1", "LoSlot0", "RigSlot0", "SpecializedOreHold", "ColonyResourcesHold"}[d.IntN(10)]
		a.singleton = a.flag != "Cargo" && a.flag != "DroneBay"
	default:
		s.lay(a, d)
	}
	version, change := uint64(0), d.IntN(100)
	if change < 12 {
		version = slowly(s.session, uint64(20+d.IntN(200)), a.odd%1000)
	}
	if change < 5 {
		a.id = s.itemID(slot, version)
	}
	if !a.singleton && d.Chance(0.3) {
		a.kind = mineralTypes[d.IntN(len(mineralTypes))]
	} else {
		a.kind = goodTypes[d.IntN(len(goodTypes))]
	}
	if !a.singleton {
		size := dice.New(s.w.seed, drawAsset, uint64(s.p.id), 3, uint64(slot), version)
		// Most stacks are small, a few are of millions: cubed, which is cheaper
		// than a logarithm.
		f := size.Float()
		a.quantity = 1 + int64(f*f*f*f*f*f*float64(uint64(10)<<(a.odd%20)))
	}
}

func (w *world) assetsCount(id int64, at time.Time) int {
	s := w.stockOf(id, at)
	return s.listed()
}

func (w *world) appendAssetsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	s := w.stockOf(id, at)
	var a asset
	return appendRows(b, lo, min(hi, s.listed()), func(b []byte, i int) []byte {
		s.fill(s.slot(i), &a)
		return appendAsset(b, &a)
	})
}

func appendAsset(b []byte, a *asset) []byte {
	b = append(b, '{')
	if a.copied {
		b = append(b, `"is_blueprint_copy":true,`...)
	}
	b = appendBool(b, `"is_singleton":`, a.singleton)
	b = appendInt(b, `,"item_id":`, a.id)
	b = appendPlain(b, `,"location_flag":`, a.flag)
	b = appendInt(b, `,"location_id":`, a.location)
	b = appendPlain(b, `,"location_type":`, a.where)
	b = appendInt(b, `,"quantity":`, a.quantity)
	b = appendInt(b, `,"type_id":`, a.kind)
	return append(appendOdd(b, a.odd>>16), '}')
}

// assetName is what a character calls an item; ESI says "None" if nothing. False
// if it has no such item at that time.
func (w *world) assetName(id, item int64, at time.Time) (string, bool) {
	slot := (item-firstItem)/perSlot - (id-FirstCharacter)<<16
	s := w.stockOf(id, at)
	if item < firstItem || slot < 0 || slot >= int64(s.count) || slot == int64(s.flown) {
		return "", false
	}
	var a asset
	if s.fill(int(slot), &a); a.id != item {
		return "", false
	}
	return s.name(int(slot), &a), true
}

// name is what an asset is called; names change now and then.
func (s *stock) name(slot int, a *asset) string {
	if !a.named {
		return "None"
	}
	d := dice.New(s.w.seed, drawAsset, uint64(s.p.id), 4, uint64(slot), slowly(s.session, 300, a.odd%300))
	word := [...]string{"Old ", "Blåtann ", "“Lucky” ", "雪 ", "<b>Loot</b> ", "Mk. "}[d.IntN(6)]
	return word + familyNames[d.IntN(len(familyNames))] + " " + strconv.Itoa(d.IntN(100))
}

// appendShip appends the ship that a character flies, one of its assets.
func (w *world) appendShip(b []byte, id int64, at time.Time) []byte {
	s := w.stockOf(id, at)
	var a asset
	slot := s.active()
	s.fill(slot, &a)
	name := s.name(slot, &a)
	if name == "None" {
		name = s.t.name + "'s ship"
	}
	b = appendInt(b, `{"ship_item_id":`, a.id)
	b = appendText(b, `,"ship_name":`, name)
	b = appendInt(b, `,"ship_type_id":`, a.kind)
	return append(b, '}')
}

func (w *world) blueprintsCount(id int64, _ time.Time) int {
	p := w.profileOf(id)
	return p.blueprints
}

// appendBlueprintsRange appends blueprints; they are assets too.
func (w *world) appendBlueprintsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	s := w.stockOf(id, at)
	var a asset
	return appendRows(b, lo, min(hi, s.p.blueprints), func(b []byte, i int) []byte {
		slot := s.p.ships + i
		s.fill(slot, &a)
		d := dice.New(w.seed, drawBlueprint, uint64(id), uint64(slot))
		quantity, runs := int64(-1), int64(-1)
		version := slowly(s.session, 50, a.odd%50)
		material, hours := 2*int64(d.IntN(6)), 4*int64(d.IntN(6))
		if a.copied {
			quantity, runs = -2, 1+int64((a.odd+version)%300)
		} else if a.odd%20 == 15 {
			// Researched, step by step.
			material = min(10, int64(version%1000))
		}
		b = appendInt(b, `{"item_id":`, a.id)
		b = appendPlain(b, `,"location_flag":`, a.flag)
		b = appendInt(b, `,"location_id":`, a.location)
		b = appendInt(b, `,"material_efficiency":`, material)
		b = appendInt(b, `,"quantity":`, quantity)
		b = appendInt(b, `,"runs":`, runs)
		b = appendInt(b, `,"time_efficiency":`, hours)
		b = appendInt(b, `,"type_id":`, a.kind)
		return append(b, '}')
	})
}
