package esi

import (
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// Ids of types by what they are; facts of the game.
var (
	shipTypes = [...]int64{
		582, 583, 584, 585, 586, 587, 588, 589, 590, 591, 592, 593, 594, 596, 597, 598, 599, 601, 602, 603,
		605, 606, 607, 608, 609, 620, 621, 622, 623, 624, 625, 626, 627, 628, 629, 630, 631, 632, 633, 634,
		638, 639, 640, 641, 642, 643, 644, 645, 648, 649, 650, 651, 652, 653, 654, 655, 656, 657, 671,
	}
	containerTypes = [...]int64{3293, 3296, 3297, 3465, 3466, 3467, 11488, 11489, 17363, 17364, 17365, 17366}
	mineralTypes   = [...]int64{34, 35, 36, 37, 38, 39, 40, 11399}
	oreTypes       = [...]int64{18, 19, 20, 21, 22, 1223, 1224, 1225, 1226, 1227, 1228, 1229, 1230, 1231, 1232}
	goodTypes      = [...]int64{
		178, 179, 180, 181, 182, 183, 184, 185, 187, 188, 190, 192, 193, 195, 196, 197, 198, 199, 200, 201,
		202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 215, 216, 217, 218, 219, 220, 221,
		222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241,
		2046, 2048, 2281, 2297, 2301, 2364, 2404, 2410, 2420, 2454, 2456, 2486, 2488, 3244, 3831, 3841, 28668, 44992,
	}
	blueprintTypes = [...]int64{
		683, 684, 685, 686, 687, 688, 689, 690, 691, 784, 785, 786, 788, 790, 803, 804,
		805, 806, 807, 808, 809, 810, 811, 812, 813, 814, 819, 820, 836, 837, 838, 839,
	}
	implantTypes = [...]int64{
		9899, 9941, 9942, 9943, 9956, 9957, 10208, 10209, 10212, 10213, 10216, 10217, 10221, 10222, 10225, 10226,
		13216, 13219, 13231, 13242, 13253, 19684, 19685, 19686, 19687, 19688, 19689,
	}
	planetTypes = [...]string{"temperate", "barren", "oceanic", "ice", "gas", "lava", "storm", "plasma"}
)

// corporationNPC are the first and the last NPC corporation that is used.
const (
	firstNPC, lastNPC         int64 = 1000002, 1000182
	firstAgent                int64 = 3008416
	agents                          = 10000
	firstFaction, lastFaction int64 = 500001, 500020
	firstPerson               int64 = 2112000000
	persons                         = 30000000
	firstStructure                  = 1030000000000
	assetSafety               int64 = 2004
)

// hasStructure tells whether there is such a structure: one in each place.
func (w *world) hasStructure(structure int64) bool {
	for i := range places {
		if structure == firstStructure+places[i].system {
			return true
		}
	}
	return false
}

// appendStructure appends a structure, if the character is on its access list.
func (w *world) appendStructure(b []byte, id, structure int64, _ time.Time) ([]byte, bool) {
	acl := dice.New(w.seed, drawStructure, uint64(structure), uint64(id))
	if !w.hasStructure(structure) || acl.Chance(0.15) {
		return b, false
	}
	d := dice.New(w.seed, drawStructure, uint64(structure))
	name := "Freeport – “" + familyNames[d.IntN(len(familyNames))] + "” " + strconv.Itoa(1+d.IntN(99))
	b = appendText(b, `{"name":`, name)
	b = appendInt(b, `,"owner_id":`, firstCorporation+int64(d.IntN(w.corporations)))
	b = appendFloat(b, `,"position":{"x":`, d.Normal()*1e12)
	b = appendFloat(b, `,"y":`, d.Normal()*1e11)
	b = appendFloat(b, `,"z":`, d.Normal()*1e12)
	b = appendInt(b, `},"solar_system_id":`, structure-firstStructure)
	b = appendInt(b, `,"type_id":`, [...]int64{35832, 35833, 35834, 35825, 35826, 35835}[d.IntN(6)])
	return append(b, '}'), true
}

// nameOf is the kind and the name of an id that is no simulated character,
// corporation or alliance.
func (w *world) nameOf(id int64) (category, name string, ok bool) {
	number := strconv.FormatInt(id, 10)
	switch {
	case id >= firstPerson && id < firstPerson+persons:
		d := dice.New(w.seed, drawPerson, uint64(id))
		return "character", givenNames[d.IntN(len(givenNames))] + " " + familyNames[d.IntN(len(familyNames))] + " " + number, true
	case id >= firstAgent && id < firstAgent+agents:
		return "character", "Agent " + number, true
	case id >= 1000000 && id < 1001000:
		return "corporation", "Bureau " + number, true
	case id >= firstFaction && id <= lastFaction+10:
		return "faction", "Faction " + number, true
	case id >= 30000000 && id < 34000000:
		return "solar_system", "System " + number, true
	case id >= 20000000 && id < 21000000:
		return "constellation", "Constellation " + number, true
	case id >= 10000000 && id < 12000000:
		return "region", "Region " + number, true
	case id >= 60000000 && id < 64000000:
		return "station", "Station " + number, true
	case id > 0 && id < 100000:
		return "inventory_type", "Type " + number, true
	default:
		return "", "", false
	}
}

// appendType appends a type that static data may not have.
func (w *world) appendType(b []byte, typeID int64) ([]byte, bool) {
	if typeID <= 0 || typeID >= 100000 {
		return b, false
	}
	d := dice.New(w.seed, drawType, uint64(typeID))
	b = append(b, `{"capacity":0.0,"description":"Made of <b>parts</b>.\r\nKeep dry — 保持乾燥."`...)
	b = appendInt(b, `,"group_id":`, int64(18+d.IntN(1000)))
	b = appendFloat(b, `,"mass":`, float64(d.IntN(1e7)))
	b = appendText(b, `,"name":`, "Type "+strconv.FormatInt(typeID, 10))
	b = append(b, `,"portion_size":1,"published":true`...)
	b = appendInt(b, `,"type_id":`, typeID)
	b = appendFloat(b, `,"volume":`, round2(d.LogNormal(10, 2)))
	return append(b, '}'), true
}

// priceOf is a type's usual price in ISK.
func (w *world) priceOf(typeID int64) float64 {
	d := dice.New(w.seed, drawType, uint64(typeID), 1)
	return round2(d.LogNormal(2e5, 2.2) + 0.01)
}

// appendMarketPrices appends the prices of all types that are traded; they
// drift from day to day.
func (w *world) appendMarketPrices(b []byte, at time.Time) []byte {
	today := uint64(at.Unix() / 86400)
	all := [][]int64{shipTypes[:], containerTypes[:], mineralTypes[:], oreTypes[:], goodTypes[:], blueprintTypes[:], implantTypes[:]}
	b = append(b, '[')
	first := true
	for _, types := range all {
		for _, t := range types {
			if !first {
				b = append(b, ',')
			}
			first = false
			d := dice.New(w.seed, drawType, uint64(t), 2, today)
			price := w.priceOf(t) * (1 + d.Normal()/50)
			b = appendFloat(b, `{"adjusted_price":`, price)
			if t%7 != 0 {
				b = appendMoney(b, `,"average_price":`, price*1.01, d.Uint64())
			}
			b = append(appendInt(b, `,"type_id":`, t), '}')
		}
	}
	return append(b, ']')
}

// anybody draws a character: of the simulated or from outside.
func (w *world) anybody(d *dice.Stream) int64 {
	if d.Chance(0.4) {
		return FirstCharacter + int64(d.IntN(w.characters))
	}
	return firstPerson + int64(d.IntN(persons))
}

// stationOrStructure draws where something lies: mostly in a station.
func stationOrStructure(d *dice.Stream) (location int64, structure bool) {
	p := &places[d.IntN(len(places))]
	if d.Chance(0.35) {
		return firstStructure + p.system, true
	}
	return p.station, false
}
