package eve

// Asset is what counts of an asset where assets are added up.
type Asset struct {
	ItemID, TypeID int64
	// LocationID is where it lies directly: a place, or another asset.
	LocationID int64
	Quantity   int64
	// IsCopy tells of a blueprint that it is a copy, which has no price of its own.
	IsCopy bool
}

// AssetTree knows of the assets of a character which lie in which. It is not changed
// once it is made.
type AssetTree struct {
	in     map[int64]int64
	within map[int64]int
}

// NewAssetTree makes the tree of all assets of a character.
func NewAssetTree(assets []Asset) *AssetTree {
	t := &AssetTree{in: make(map[int64]int64, len(assets)), within: map[int64]int{}}
	for _, a := range assets {
		t.in[a.ItemID] = a.LocationID
		t.within[a.LocationID]++
	}
	return t
}

// DeepestAsset bounds how many assets may lie one in the other: the game has a module
// in a ship in a container at most, and a loop must come to an end.
const DeepestAsset = 10

// PlaceOf is where something comes to lie that lies in a location: the place itself, or
// that of the outermost asset around it.
func (t *AssetTree) PlaceOf(location int64) int64 {
	for range DeepestAsset {
		around, is := t.in[location]
		if !is {
			return location
		}
		location = around
	}
	return location
}

// Directly tells whether what lies in a location lies in a place, and not in another
// asset.
func (t *AssetTree) Directly(location int64) bool {
	_, inside := t.in[location]
	return !inside
}

// Within counts what lies directly in an asset or a place.
func (t *AssetTree) Within(id int64) int { return t.within[id] }
