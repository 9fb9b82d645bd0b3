package eve

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// assetLag is how much older than its reading a list of assets may be, for ESI serves it
// from a cache.
const assetLag = time.Hour

// AssetVerdict is what an explanation of an asset comes to.
type AssetVerdict string

// The verdicts.
const (
	// AssetThere: the last reading that could be read lists it.
	AssetThere AssetVerdict = "there"
	// AssetAboard: it is the ship that the character was last seen in.
	AssetAboard AssetVerdict = "aboard"
	// AssetGone: the last readings do not list it any more.
	AssetGone AssetVerdict = "gone"
)

// The kinds of the steps of an asset.
const (
	StepFirstSeen      = "first_seen"
	StepSeen           = "seen"
	StepSeenAgain      = "seen_again"
	StepMoved          = "moved"
	StepQuantity       = "quantity_changed"
	StepAssetChanged   = "changed"
	StepContainerMoved = "container_moved"
	StepContainerGone  = "container_gone"
	StepGone           = "gone"
	StepNotRead        = "not_read"
	StepReadAgain      = "read_again"
)

// AssetPlace is where an asset was seen.
type AssetPlace struct {
	// LocationID is a station, structure or solar system, or the id of the item that it is
	// in; LocationType is ESI's word for which.
	LocationID   int64
	LocationType string
	// Flag is ESI's word for the part of the place, such as Hangar.
	Flag     string
	Quantity int64
	// In are the items that it is in, the nearest first; none if it is in none.
	In []int64
}

// AssetLoss is that an asset, or a part of it, was gone between two readings.
type AssetLoss struct {
	// After is when it was last seen, Before when it was first not seen any more, UTC. In
	// between other readings may have been made that showed no difference to the first.
	After, Before time.Time
	Quantity      int64
	// Whole tells that nothing was left.
	Whole bool
	// Matches are what may have become of it, the likeliest first. None is certain unless
	// it says so.
	Matches []AssetMatch
}

// AssetMatch is something that may have taken an asset away.
type AssetMatch struct {
	Step

	// Quantity is how many of the type it was about.
	Quantity int64
	// Exact tells that it was about just as many as are gone.
	Exact bool
	// Certain tells that ESI names this very item; of the others it only names the type.
	Certain bool
}

// AssetExplanation is where an asset went.
type AssetExplanation struct {
	Verdict AssetVerdict
	// Since is since when it is where it is, or since when it is gone, UTC.
	Since          time.Time
	ItemID, TypeID int64
	// Last is where it was last seen, and LastAt when.
	Last   AssetPlace
	LastAt time.Time
	Words  []Part
	// Losses are in the order of time.
	Losses []AssetLoss
	// Steps are what was seen of it, in the order of the log; Omitted counts those left
	// out.
	Steps   []Step
	Omitted int
}

// AssetSections are the sections whose events an explanation of an asset is made of, that
// of the assets itself first. Without the others there are fewer matches.
func AssetSections() []Section {
	return []Section{SectionAssets, SectionShip, SectionContracts, SectionWalletTransactions, SectionOrders, SectionIndustryJobs, SectionKillmails, SectionImplants, SectionSkills}
}

// ExplainAsset tells where an item of a character was seen over time, when it or a part of
// it was gone, and what else happened to its type just then. facts are those of the
// character in the order of the log. It fails with [event.CodePoisoned] for an event that
// cannot be read, and with [event.CodeNotFound] if no reading has shown the item.
func ExplainAsset(character, item int64, facts []Fact) (AssetExplanation, error) {
	t := assetTrack{x: AssetExplanation{ItemID: item}, key: strconv.FormatInt(item, 10), assets: Chronicle{Section: SectionAssets}, ship: Chronicle{Section: SectionShip}}
	for _, f := range facts {
		if err := t.follow(f); err != nil {
			return AssetExplanation{}, err
		}
	}
	if t.x.LastAt.IsZero() {
		return AssetExplanation{}, event.Errorf(event.CodeNotFound, "no reading of the assets of character %d has shown item %d", character, item)
	}
	matches := matchFinder{character: character, item: item, typeID: t.x.TypeID}
	if err := matches.collect(facts); err != nil {
		return AssetExplanation{}, err
	}
	for i, loss := range t.losses {
		t.x.Losses = append(t.x.Losses, loss.AssetLoss)
		t.x.Losses[i].Matches = matches.of(loss)
	}
	t.conclude()
	t.x.Steps, t.x.Omitted = bounded(t.x.Steps)
	return t.x, nil
}

// assetTrack follows one item.
type assetTrack struct {
	x      AssetExplanation
	key    string
	assets Chronicle
	ship   Chronicle
	// there tells that the last reading lists it, aboard that the character is in it.
	there, aboard bool
	aboardSince   time.Time
	losses        []assetLoss
}

// assetLoss is a loss with what else the reading showed.
type assetLoss struct {
	AssetLoss

	// containers are the types of what it was in that is gone with it.
	containers []int64
	// beside are matches within the same reading.
	beside []AssetMatch
}

func (t *assetTrack) follow(f Fact) error {
	switch p := f.Payload.(type) {
	case SectionObserved:
		switch p.Section {
		case SectionAssets:
			return t.observe(f, p)
		case SectionShip:
			return t.board(f, p)
		default:
			return nil
		}
	case SectionFailed:
		if p.Section == SectionAssets {
			t.tell(f.step(StepNotRead, p.Section, f.Time, words(fmt.Sprintf("The assets could not be read (%s): %s.", p.Class, p.Message))))
		}
	case SectionRecovered:
		if p.Section == SectionAssets {
			t.tell(f.step(StepReadAgain, p.Section, f.Time, words("The assets could be read again.")))
		}
	case CharacterOrphaned:
		t.tell(f.step(StepNotRead, "", f.Time, words("The character had no owner, and is not read without one.")))
	case CharacterReclaimed:
		t.tell(f.step(StepReadAgain, "", f.Time, words("The character had an owner with a login.")))
	case CharacterDisabled:
		t.tell(f.step(StepNotRead, "", f.Time, words("The sync of the character was switched off.")))
	case CharacterEnabled:
		t.tell(f.step(StepReadAgain, "", f.Time, words("The sync of the character was switched on.")))
	}
	return nil
}

// tell adds a step, once there is an item to tell of.
func (t *assetTrack) tell(s Step) {
	if !t.x.LastAt.IsZero() {
		t.x.Steps = append(t.x.Steps, s)
	}
}

// board follows the ship that the character is in, which ESI may leave out of the assets.
func (t *assetTrack) board(f Fact, p SectionObserved) error {
	if _, _, err := t.ship.Follow(f.Event, f.Payload); err != nil {
		return err
	}
	aboard := numberIn(p.Value, "ship_item_id") == t.x.ItemID
	if aboard && !t.aboard {
		t.aboardSince = p.FetchedAt.UTC()
	}
	t.aboard = aboard
	return nil
}

// observe follows a reading of the assets.
func (t *assetTrack) observe(f Fact, p SectionObserved) error {
	if p.Encoding == EncodingDelta && (p.Base == nil || *p.Base != t.assets.baseID) {
		// It cannot be told what it says; the next full one brings it right.
		return nil
	}
	before := t.assets.last
	changes, first, err := t.assets.Follow(f.Event, f.Payload)
	if err != nil {
		return err
	}
	at := p.FetchedAt.UTC()
	after := t.assets.last
	within := chainOf(before, t.key)
	for _, c := range changes {
		switch {
		case c.Key == t.key:
			t.change(f, at, c, first)
			if lost := t.lost(c); lost > 0 {
				t.lose(f, at, lost, changes, within)
			}
		case slices.Contains(within, c.Key) && t.there:
			t.container(f, at, c)
		}
	}
	if _, there := assetIn(after, t.key); there {
		t.x.LastAt = at
	}
	return nil
}

// assetIn is an item of a list of assets.
func assetIn(c Content, key string) (json.RawMessage, bool) {
	items := itemsAt(c, "")
	i, found := slices.BinarySearchFunc(items, key, func(item Item, key string) int { return strings.Compare(item.Key, key) })
	if !found {
		return nil, false
	}
	return items[i].Raw, true
}

// chainOf are the keys of the items that an item is in, the nearest first.
func chainOf(c Content, key string) []string {
	var chain []string
	for raw, there := assetIn(c, key); there; raw, there = assetIn(c, key) {
		key = strconv.FormatInt(numberIn(raw, "location_id"), 10)
		if _, is := assetIn(c, key); !is || slices.Contains(chain, key) {
			break
		}
		chain = append(chain, key)
	}
	return chain
}

// placeIn is where an item of a list of assets is.
func placeIn(c Content, key string, raw json.RawMessage) AssetPlace {
	p := AssetPlace{
		LocationID: numberIn(raw, "location_id"), LocationType: textIn(raw, "location_type"), Flag: textIn(raw, "location_flag"), Quantity: max(1, numberIn(raw, "quantity")),
	}
	for _, outer := range chainOf(c, key) {
		// Keys of assets are their ids.
		id, _ := strconv.ParseInt(outer, 10, 64)
		p.In = append(p.In, id)
	}
	return p
}

// words say the place, such as "in Jita (Hangar)".
func (p AssetPlace) words() []Part {
	said := sentence("at ", Part{Kind: FieldLocation, ID: p.LocationID})
	if len(p.In) > 0 {
		said = words(fmt.Sprintf("in item %d", p.LocationID))
	}
	if p.Flag != "" {
		said = append(said, Part{Text: " (" + p.Flag + ")"})
	}
	return said
}

// lost is how many of the item a change took away.
func (t *assetTrack) lost(c Change) int64 {
	switch was := max(1, numberIn(c.Before, "quantity")); c.Kind {
	case ChangeRemoved:
		return was
	case ChangeChanged:
		return was - max(1, numberIn(c.After, "quantity"))
	default:
		return 0
	}
}

// change tells what changed of the item.
func (t *assetTrack) change(f Fact, at time.Time, c Change, first bool) {
	say := func(kind string, said ...any) {
		t.x.Steps = append(t.x.Steps, f.step(kind, SectionAssets, at, flat(said...)))
	}
	was := t.x.Last
	if c.After != nil {
		t.x.TypeID, t.x.Last = numberIn(c.After, "type_id"), placeIn(t.assets.last, t.key, c.After)
	}
	now := t.x.Last
	switch {
	case c.Kind == ChangeRemoved:
		t.there, t.x.Since = false, at
		say(StepGone, "Not among the assets any more. It was last seen ", was.words(), " in the reading of "+said(t.x.LastAt)+".")
	case c.Kind == ChangeAdded:
		kind, began := StepSeen, "Seen for the first time: "
		switch {
		case first:
			kind, began = StepFirstSeen, "In the first reading of the assets: "
		case !t.x.LastAt.IsZero():
			kind, began = StepSeenAgain, "Seen again: "
		}
		t.there, t.x.Since = true, at
		say(kind, fmt.Sprintf("%s%d of ", began, now.Quantity), ofType(t.x.TypeID), " ", now.words(), ".")
	default:
		t.amend(say, at, c, was, now)
	}
}

// amend tells what changed of an item that is still there.
func (t *assetTrack) amend(say func(kind string, said ...any), at time.Time, c Change, was, now AssetPlace) {
	if was.LocationID != now.LocationID || was.Flag != now.Flag {
		t.x.Since = at
		say(StepMoved, "Moved: it was ", was.words(), " and is ", now.words(), ".")
	}
	if was.Quantity != now.Quantity {
		say(StepQuantity, fmt.Sprintf("Quantity changed from %d to %d.", was.Quantity, now.Quantity))
	}
	others := slices.DeleteFunc(slices.Clone(c.Fields), func(field string) bool {
		return slices.Contains([]string{"location_id", "location_flag", "location_type", "quantity"}, field)
	})
	if len(others) > 0 {
		say(StepAssetChanged, "Changed in "+strings.Join(others, ", ")+".")
	}
}

// flat puts texts, parts and lists of parts one after the other.
func flat(said ...any) []Part {
	var parts []Part
	for _, s := range said {
		if list, is := s.([]Part); is {
			parts = append(parts, list...)
			continue
		}
		parts = append(parts, sentence(s)...)
	}
	return parts
}

// container tells what happened to something that the item is in.
func (t *assetTrack) container(f Fact, at time.Time, c Change) {
	say := func(kind string, said ...any) {
		t.x.Steps = append(t.x.Steps, f.step(kind, SectionAssets, at, flat(said...)))
	}
	switch {
	case c.Kind == ChangeRemoved:
		say(StepContainerGone, "Item "+c.Key+", a ", ofType(numberIn(c.Before, "type_id")), " that it was in, is not among the assets any more.")
	case slices.Contains(c.Fields, "location_id") && c.After != nil:
		t.x.Since = at
		say(StepContainerMoved, "Item "+c.Key+", a ", ofType(numberIn(c.After, "type_id")), " that it is in, is ", placeIn(t.assets.last, c.Key, c.After).words(), " now.")
	}
}

// lose notes that some of the item is gone, and what else the reading showed.
func (t *assetTrack) lose(f Fact, at time.Time, quantity int64, all []Change, within []string) {
	loss := assetLoss{AssetLoss: AssetLoss{After: t.x.LastAt, Before: at, Quantity: quantity, Whole: !t.there}}
	beside := func(kind string, number int64, said ...any) {
		loss.beside = append(loss.beside, AssetMatch{Step: f.step(kind, SectionAssets, at, flat(said...)), Quantity: number, Exact: number == quantity})
	}
	for _, c := range all {
		is := max(1, numberIn(c.After, "quantity"))
		switch {
		case c.Kind == ChangeRemoved && slices.Contains(within, c.Key):
			loss.containers = append(loss.containers, numberIn(c.Before, "type_id"))
		case c.Key == t.key || c.Kind == ChangeRemoved || numberIn(c.After, "type_id") != t.x.TypeID:
		case c.Kind == ChangeAdded:
			beside(MatchNewItem, is, "The same reading shows a new item "+c.Key+fmt.Sprintf(" with %d of ", is), ofType(t.x.TypeID), ": what is split, unpacked or packed up has another id.")
		default:
			if grown := is - max(1, numberIn(c.Before, "quantity")); grown > 0 {
				beside(MatchStacked, grown, "In the same reading item "+c.Key+fmt.Sprintf(" has %d more of ", grown), ofType(t.x.TypeID), ": it may have been put on that stack.")
			}
		}
	}
	t.losses = append(t.losses, loss)
}

// conclude says what it all comes to.
func (t *assetTrack) conclude() {
	x := &t.x
	x.Verdict = AssetThere
	switch {
	case !t.there && t.aboard:
		x.Verdict, x.Since = AssetAboard, t.aboardSince
		x.Words = flat("Item "+t.key+", a ", ofType(x.TypeID), ", is the ship that the character is in since the reading of "+said(x.Since)+"; ESI need not list it among the assets.")
	case !t.there:
		x.Verdict = AssetGone
		last := x.Losses[len(x.Losses)-1]
		outcome := " Nothing that is known of that time tells where it went."
		switch n := len(last.Matches); {
		case n > 0 && last.Matches[0].Certain:
			outcome = " What became of it is known."
		case n > 0:
			outcome = fmt.Sprintf(" %d things happened to its type then that may have taken it; none of them names this item.", n)
		}
		x.Words = flat("Item "+t.key+", a ", ofType(x.TypeID), ", was gone between "+said(last.After)+" and "+said(last.Before)+"; it was last seen ", x.Last.words(), "."+outcome)
	default:
		x.Words = flat("Item "+t.key+", a ", ofType(x.TypeID), ", is ", x.Last.words(), fmt.Sprintf(", %d of it, since the reading of %s.", x.Last.Quantity, said(x.Since)))
	}
}

// likelier orders matches: certain ones first, then those about just as many, then by time.
func likelier(a, b AssetMatch) int {
	first := func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case a:
			return -1
		default:
			return 1
		}
	}
	return cmp.Or(first(a.Certain, b.Certain), first(a.Exact, b.Exact), a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Position.Offset, b.Position.Offset))
}
