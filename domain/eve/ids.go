package eve

// IDRange is a range of EVE's ids: what can be told of an id by its number alone.
// The ranges are those of "ID Ranges" in CCP's ESI documentation.
type IDRange int

// The ranges of ids.
const (
	// RangeNone: nothing has such an id.
	RangeNone IDRange = iota
	// RangeVarious: types, groups and other small numbers, used again and again for
	// different things.
	RangeVarious
	RangeFaction
	RangeNPCCorporation
	// RangeNPCCharacter: agents and heads of NPC corporations.
	RangeNPCCharacter
	RangeRegion
	RangeConstellation
	RangeSystem
	// RangeInSpace: celestials, stargates and other places without a name of
	// their own that ESI tells.
	RangeInSpace
	// RangeStation: NPC stations and what became of outposts.
	RangeStation
	// RangePlayer: characters, corporations and alliances of players.
	RangePlayer
	// RangeItem: things that were made in the game, structures of players among
	// them.
	RangeItem
)

// AssetSafety is the location of assets that wait in asset safety.
const AssetSafety int64 = 2004

// RangeOf is the range of an id.
func RangeOf(id int64) IDRange {
	const million = 1_000_000
	switch {
	case id <= 0:
		return RangeNone
	case id < 500_000:
		return RangeVarious
	case id < 600_000:
		return RangeFaction
	case id >= 1*million && id < 2*million:
		return RangeNPCCorporation
	case id >= 3*million && id < 4*million:
		return RangeNPCCharacter
	case id >= 10*million && id < 20*million:
		return RangeRegion
	case id >= 20*million && id < 30*million:
		return RangeConstellation
	case id >= 30*million && id < 40*million:
		return RangeSystem
	case id >= 40*million && id < 60*million:
		return RangeInSpace
	case id >= 60*million && id < 64*million:
		return RangeStation
	case id >= 64*million && id < 90*million:
		return RangeInSpace
	case id >= 90*million && id < 1<<31:
		return RangePlayer
	case id >= million*million:
		return RangeItem
	default:
		return RangeNone
	}
}

// Lookup is the way in which the name of an id is found.
type Lookup string

const (
	// LookupNone: it has no name that could be found.
	LookupNone Lookup = ""
	// LookupName: in static data, else by ESI's list of names.
	LookupName Lookup = "name"
	// LookupType: in static data, else by the type itself.
	LookupType Lookup = "type"
	// LookupStructure: by the structure itself, in the name of a character that
	// may dock there.
	LookupStructure Lookup = "structure"
)

// Lookup is the way to the name of what a field of a kind has the id of. The
// range of the id decides, so that nothing is asked for that cannot have a name.
func (k FieldKind) Lookup(id int64) Lookup {
	r := RangeOf(id)
	switch k { //nolint:exhaustive // The others hold no ids with names.
	case FieldType:
		if r == RangeVarious {
			return LookupType
		}
	case FieldLocation:
		switch r { //nolint:exhaustive // The others are no places with names.
		case RangeSystem, RangeStation:
			return LookupName
		case RangeItem:
			return LookupStructure
		}
	case FieldEntity:
		switch r { //nolint:exhaustive // The others are nobody.
		case RangeFaction, RangeNPCCorporation, RangeNPCCharacter, RangePlayer:
			return LookupName
		}
	}
	return LookupNone
}
