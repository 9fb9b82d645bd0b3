package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// AssetsPlace is a place where assets of a character lie.
type AssetsPlace struct {
	PlaceID    int64    `json:"place_id"`
	PlaceName  string   `json:"place_name,omitempty" doc:"If it is known."`
	SystemID   *int64   `json:"system_id" doc:"null if it is not known."`
	SystemName string   `json:"system_name,omitempty"`
	Security   *float64 `json:"security_status,omitempty" doc:"Of the system."`
	Region     string   `json:"region,omitempty"`
	Items      int      `json:"items" doc:"How many assets lie there directly."`
	TotalValue *Money   `json:"total_value,omitempty" doc:"What they and all that lies in them are worth at average prices; absent of the past."`
}

// deriver adds to the items of a section what follows from them, from other sections
// and from reference data.
type deriver struct {
	postgres.Reference

	now time.Time
	// priced is false of the past, whose prices are not known.
	priced bool
	places postgres.AssetPlaces
	// labels are the names of the character's labels.
	labels map[int64]string
	// starts are when the corporation history's records began, by their order.
	starts []corporationStart
	// skills are nil for whom they are not shown.
	skills eve.Skills
}

// derive adds to decorated items of a section what [derivedFields] describes. labels are
// those that are shown beside them.
func (s *Server) derive(ctx context.Context, of told, id int64, section eve.Section, items, labels []Item) error {
	if len(items) == 0 || !s.derives[section] {
		return nil
	}
	d := deriver{now: s.moment(of), priced: of.at.IsZero(), labels: namesOfLabels(labels)}
	wanted := referenceOf(s.kindsOf(section), section, items)
	var err error
	switch section { //nolint:exhaustive // the others follow from the items alone
	case eve.SectionAssets:
		if d.places, err = of.AssetPlaces(ctx, id, wanted.Places, idsOf(items, "item_id")); err == nil {
			wanted.Places = slices.Collect(maps.Values(d.places.Place))
		}
	case eve.SectionCorporationHistory:
		d.starts, err = startsOf(ctx, of, id)
	case eve.SectionStandings:
		var sees bool
		if sees, err = s.sees(ctx, id, eve.SectionSkills); err == nil && sees {
			d.skills, err = skillsOf(ctx, of, id, eve.SkillConnections, eve.SkillDiplomacy)
		}
	}
	if err != nil {
		return err
	}
	if d.Reference, err = s.config.Characters.Reference(ctx, wanted); err != nil {
		return err
	}
	for _, item := range items {
		d.derive(section, item)
	}
	return nil
}

// derivedSections are the sections to whose items Muster adds anything.
func derivedSections() map[eve.Section]bool {
	derives := map[eve.Section]bool{}
	for _, shape := range eve.Shapes() {
		derives[shape.Section] = slices.ContainsFunc([]string{"", "skills", "jump_clones"}, func(at string) bool { return len(derivedFields(shape.Section, at)) > 0 })
	}
	return derives
}

// sees tells whether who asks may see a section of a character that he looks at another
// section of.
func (s *Server) sees(ctx context.Context, id int64, section eve.Section) (bool, error) {
	if link := principalOf(ctx).Link; link != nil {
		return link.Shows(id, string(section)), nil
	}
	switch err := s.boundTo(ctx, access.ActionReadCharacters, id, string(section)); event.CodeOf(err) {
	case event.CodeForbidden, event.CodeNotFound:
		return false, nil
	default:
		return err == nil, err
	}
}

// skillsOf are some skills of a character, never nil.
func skillsOf(ctx context.Context, of told, id int64, types ...int64) (eve.Skills, error) {
	skills, err := of.SkillsOf(ctx, []int64{id}, types)
	if err != nil {
		return nil, err
	}
	if found := skills[id]; found != nil {
		return found, nil
	}
	return eve.Skills{}, nil
}

// referenceOf is what reference data are asked about some items, whose fields are of these
// kinds.
func referenceOf(kinds map[string]postgres.FieldKind, section eve.Section, items []Item) postgres.ReferenceRequest {
	mentioned := decorator{kinds: kinds}
	for _, item := range items {
		mentioned.collect(item)
	}
	wanted := postgres.ReferenceRequest{Types: mentioned.wanted.Types, Places: mentioned.wanted.Locations}
	switch section { //nolint:exhaustive // the others mention no other things
	case eve.SectionDetails:
		wanted.Races, wanted.Bloodlines = idsOf(items, "race_id"), idsOf(items, "bloodline_id")
	case eve.SectionPlanets:
		wanted.Planets = idsOf(items, "planet_id")
	case eve.SectionClones:
		for _, item := range items {
			for _, clone := range objectsIn(item, "jump_clones") {
				wanted.Types = append(wanted.Types, numbersIn(clone, "implants")...)
			}
		}
	}
	return wanted
}

func (d *deriver) derive(section eve.Section, item Item) {
	switch section { //nolint:exhaustive // nothing is derived of the others
	case eve.SectionDetails:
		put(item, "race_name", d.Races[whole(item["race_id"])])
		put(item, "bloodline_name", d.Bloodlines[whole(item["bloodline_id"])])
	case eve.SectionCorporationHistory:
		d.corporation(item)
	case eve.SectionAssets:
		d.asset(item)
	case eve.SectionContacts:
		d.contact(item)
	case eve.SectionContracts:
		d.contract(item)
	case eve.SectionImplants:
		put(item, "slot", d.Types[whole(item["type_id"])].Slot)
		d.group(item, "type_id")
	case eve.SectionClones:
		d.clones(item)
	case eve.SectionLocation:
		d.system(item)
	case eve.SectionMails:
		d.label(item, "labels")
	case eve.SectionShip:
		d.group(item, "ship_type_id")
	case eve.SectionSkills:
		for _, skill := range objectsIn(item, "skills") {
			d.group(skill, "skill_id")
		}
	case eve.SectionSkillQueue:
		d.queued(item)
	case eve.SectionWalletTransactions:
		d.transaction(item)
	case eve.SectionFWStats:
		d.militia(item)
	case eve.SectionMining:
		d.group(item, "type_id")
		put(item, "volume", d.Types[whole(item["type_id"])].Volume)
		d.price(item)
		d.system(item)
	case eve.SectionPlanets:
		put(item, "planet_name", d.Planets[whole(item["planet_id"])])
		d.system(item)
	case eve.SectionRoles:
		d.duties(item)
	case eve.SectionStandings:
		d.standing(item)
	}
}

// group adds the group of the type that a field names.
func (d *deriver) group(object map[string]any, field string) {
	t := d.Types[whole(object[field])]
	put(object, "group_id", t.GroupID)
	put(object, "group_name", t.Group)
}

// price adds what one of an object is worth, and what all of it is.
func (d *deriver) price(object map[string]any) {
	t, known := d.Types[whole(object["type_id"])]
	if !known || t.Price == nil || !d.priced {
		return
	}
	put(object, "price", money(*t.Price))
	put(object, "total", money(t.Price.Mul(decimal.NewFromInt(whole(object["quantity"])))))
}

// place adds the system in which a place is.
func (d *deriver) place(object map[string]any, id int64) {
	p := d.Places[id]
	put(object, "system_id", p.SystemID)
	put(object, "system_name", p.System)
	put(object, "security_status", p.Security)
	put(object, "region", p.Region)
}

// system adds of a system what its name does not say.
func (d *deriver) system(object map[string]any) {
	p := d.Places[whole(object["solar_system_id"])]
	put(object, "security_status", p.Security)
	put(object, "region", p.Region)
}

func (d *deriver) asset(item Item) {
	t := d.Types[whole(item["type_id"])]
	d.group(item, "type_id")
	put(item, "category_id", t.CategoryID)
	put(item, "category_name", t.Category)
	if t.CategoryID != 0 {
		const ship = 6
		put(item, "is_ship", any(t.CategoryID == ship))
	}
	put(item, "volume", t.Volume)
	if isCopy, _ := item["is_blueprint_copy"].(bool); !isCopy {
		d.price(item)
	}
	put(item, "within", int64(d.places.Within[whole(item["item_id"])]))
	place := d.places.Place[whole(item["location_id"])]
	put(item, "place_id", place)
	put(item, "place_name", d.Places[place].Name)
	d.place(item, place)
}

func (d *deriver) contact(item Item) {
	kind, _ := item["contact_type"].(string)
	if id := whole(item["contact_id"]); id != 0 && kind != "" {
		put(item, "is_npc", any(eve.IsNPC(kind, id)))
	}
	if standing, is := item["standing"].(json.Number); is {
		put(item, "standing_level", eve.StandingLevel(standing))
	}
	d.label(item, "label_ids")
}

// label adds the names of the labels whose ids a field lists, those that are known.
func (d *deriver) label(item Item, field string) {
	names := []string{}
	for _, id := range numbersIn(item, field) {
		if name := d.labels[id]; name != "" {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		put(item, "label_names", any(names))
	}
}

func namesOfLabels(labels []Item) map[int64]string {
	names := map[int64]string{}
	for _, label := range labels {
		for _, field := range []string{"name", "label_name"} {
			if name, is := label[field].(string); is {
				names[whole(label["label_id"])] = name
			}
		}
	}
	return names
}

func (d *deriver) contract(item Item) {
	items := objectsIn(item, "items")
	for _, of := range items {
		d.group(of, "type_id")
		put(of, "volume", d.Types[whole(of["type_id"])].Volume)
		// A blueprint says by this what it is: -1 an original, -2 a copy.
		isCopy := whole(of["raw_quantity"]) == -2
		put(of, "is_blueprint_copy", isCopy)
		if !isCopy {
			d.price(of)
		}
	}
	kind, _ := item["type"].(string)
	put(item, "summary", d.summary(kind, item, items))
	bids, told := item["bids"].([]any)
	if kind != "auction" || !told {
		return
	}
	put(item, "bids_count", any(len(bids)))
	var highest *decimal.Decimal
	for _, bid := range objectsIn(item, "bids") {
		amount, is := bid["amount"].(Money)
		if value, err := decimal.NewFromString(string(amount)); is && err == nil && (highest == nil || value.GreaterThan(*highest)) {
			highest = &value
		}
	}
	if highest != nil {
		put(item, "current_bid", money(*highest))
	}
}

// summary says in a few words what a contract is about; empty if that is not known yet.
func (d *deriver) summary(kind string, item Item, items []map[string]any) string {
	switch kind {
	case "":
		return ""
	case "courier":
		volume, _ := item["volume"].(json.Number)
		return fmt.Sprintf("%s >> %s (%s m3)", d.end(item, "start"), d.end(item, "end"), cmp.Or(volume, "0"))
	}
	if _, told := item["items"].([]any); !told && (kind == "item_exchange" || kind == "auction") {
		return ""
	}
	included := slices.DeleteFunc(slices.Clone(items), func(of map[string]any) bool { return of["is_included"] != true })
	switch len(included) {
	case 0:
		return "(no items)"
	case 1:
		name, _ := included[0]["type_name"].(string)
		return cmp.Or(name, fmt.Sprintf("type %d", whole(included[0]["type_id"])))
	default:
		return "[Multiple Items]"
	}
}

// end is where a courier contract begins or ends: the system, or what is known of it.
func (d *deriver) end(item Item, which string) string {
	id := whole(item[which+"_location_id"])
	name, _ := item[which+"_location_name"].(string)
	return cmp.Or(d.Places[id].System, name, fmt.Sprintf("location %d", id))
}

func (d *deriver) clones(item Item) {
	if home, is := item["home_location"].(map[string]any); is {
		d.place(home, whole(home["location_id"]))
	}
	for _, clone := range objectsIn(item, "jump_clones") {
		d.place(clone, whole(clone["location_id"]))
		types := numbersIn(clone, "implants")
		slices.SortFunc(types, func(a, b int64) int { return cmp.Or(cmp.Compare(d.Types[a].Slot, d.Types[b].Slot), cmp.Compare(a, b)) })
		implants := []Item{}
		for _, id := range types {
			implant := Item{"type_id": id}
			put(implant, "type_name", d.Types[id].Name)
			put(implant, "slot", d.Types[id].Slot)
			implants = append(implants, implant)
		}
		put(clone, "implant_types", any(implants))
	}
}

func (d *deriver) queued(item Item) {
	d.group(item, "skill_id")
	p := eve.ProgressOf(eve.QueuedSkill{
		Start: timeOf(item["start_date"]), Finish: timeOf(item["finish_date"]),
		LevelStart: whole(item["level_start_sp"]), LevelEnd: whole(item["level_end_sp"]), TrainingStart: whole(item["training_start_sp"]),
	}, d.now)
	put(item, "percent", p.Percent)
	if p.Left != nil {
		put(item, "seconds_left", any(int64(p.Left.Seconds())))
	}
}

func (d *deriver) transaction(item Item) {
	d.group(item, "type_id")
	d.place(item, whole(item["location_id"]))
	price, is := item["unit_price"].(Money)
	value, err := decimal.NewFromString(string(price))
	if !is || err != nil {
		return
	}
	value = value.Mul(decimal.NewFromInt(whole(item["quantity"])))
	if bought, _ := item["is_buy"].(bool); bought {
		value = value.Neg()
	}
	put(item, "total", money(value))
}

func (d *deriver) militia(item Item) {
	for _, which := range []string{"current_rank", "highest_rank"} {
		if rank, is := item[which].(json.Number); is {
			put(item, which+"_name", eve.MilitiaRank(whole(item["faction_id"]), whole(rank)))
		}
	}
}

func (d *deriver) duties(item Item) {
	granted := map[string][]string{}
	for _, place := range eve.DutyPlaces() {
		roles, _ := item[place[1]].([]any)
		for _, role := range roles {
			if name, is := role.(string); is {
				granted[place[1]] = append(granted[place[1]], name)
			}
		}
	}
	put(item, "duties", any(eve.Duties(granted)))
}

func (d *deriver) standing(item Item) {
	standing, is := item["standing"].(json.Number)
	if !is {
		return
	}
	if d.skills != nil {
		effective, is := eve.EffectiveStanding(standing, d.skills[eve.SkillConnections].Active, d.skills[eve.SkillDiplomacy].Active)
		if !is {
			return
		}
		put(item, "effective_standing", effective)
		standing = effective
	}
	put(item, "standing_level", eve.StandingLevel(standing))
}

// corporationStart is when a record of the corporation history begins.
type corporationStart struct {
	record int64
	at     string
}

// startsOf are the beginnings of all records, the page has but some of them.
func startsOf(ctx context.Context, of told, id int64) ([]corporationStart, error) {
	elements, err := of.Elements(ctx, postgres.ElementFilter{CharacterID: id, Section: eve.SectionCorporationHistory})
	if err != nil {
		return nil, err
	}
	var starts []corporationStart
	for _, e := range elements {
		item, err := decodeItem(eve.SectionCorporationHistory, e.Value)
		if err != nil {
			return nil, fmt.Errorf("reading the corporation history: %w", internal(err))
		}
		at, _ := item["start_date"].(string)
		starts = append(starts, corporationStart{whole(item["record_id"]), at})
	}
	slices.SortFunc(starts, func(a, b corporationStart) int {
		return cmp.Or(timeOf(a.at).Compare(timeOf(b.at)), cmp.Compare(a.record, b.record))
	})
	return starts, nil
}

func (d *deriver) corporation(item Item) {
	at := slices.IndexFunc(d.starts, func(s corporationStart) bool { return s.record == whole(item["record_id"]) })
	from := timeOf(item["start_date"])
	if at < 0 || from.IsZero() {
		return
	}
	until := d.now
	if at+1 < len(d.starts) {
		put(item, "end_date", d.starts[at+1].at)
		until = timeOf(d.starts[at+1].at)
	}
	put(item, "days", any(int64(until.Sub(from)/(24*time.Hour))))
}

// addTotals adds what all assets are worth, and with places where they lie.
func (s *Server) addTotals(ctx context.Context, of told, out *ListSection, places bool) error {
	value, err := of.AssetsValue(ctx, out.CharacterID)
	if err != nil {
		return err
	}
	out.TotalValue = optionalMoney(value)
	if !places {
		return nil
	}
	assets, err := of.Assets(ctx, out.CharacterID)
	if err != nil {
		return err
	}
	tree := eve.NewAssetTree(assets)
	at := map[int64]*AssetsPlace{}
	var wanted postgres.ReferenceRequest
	for _, a := range assets {
		id := tree.PlaceOf(a.LocationID)
		if at[id] == nil {
			at[id] = &AssetsPlace{PlaceID: id}
		}
		if tree.Directly(a.LocationID) {
			at[id].Items++
		}
		wanted.Types = append(wanted.Types, a.TypeID)
	}
	wanted.Places = slices.Sorted(maps.Keys(at))
	slices.Sort(wanted.Types)
	wanted.Types = slices.Compact(wanted.Types)
	known, err := s.config.Characters.Reference(ctx, wanted)
	if err != nil {
		return err
	}
	worth := map[int64]decimal.Decimal{}
	for _, a := range assets {
		if price := known.Types[a.TypeID].Price; price != nil && !a.IsCopy {
			id := tree.PlaceOf(a.LocationID)
			worth[id] = worth[id].Add(price.Mul(decimal.NewFromInt(a.Quantity)))
		}
	}
	for _, id := range wanted.Places {
		place, facts := at[id], known.Places[id]
		place.PlaceName, place.SystemID, place.SystemName, place.Region = facts.Name, optional(facts.SystemID), facts.System, facts.Region
		if security, err := facts.Security.Float64(); err == nil {
			place.Security = &security
		}
		if value != nil {
			place.TotalValue = new(money(worth[id]))
		}
		out.Places = append(out.Places, *place)
	}
	return nil
}

// put sets a field that ESI does not send itself, if there is something to say: the
// zero value is not, unless it comes as an any.
func put[V comparable](object map[string]any, field string, value V) {
	var zero V
	if _, there := object[field]; there || value == zero {
		return
	}
	object[field] = value
}

// whole is a whole number; 0 for what is none.
func whole(v any) int64 {
	number, _ := v.(json.Number)
	n, _ := number.Int64()
	return n
}

// idsOf are the ids in a field of items.
func idsOf(items []Item, field string) []int64 {
	var ids []int64
	for _, item := range items {
		if id, is := idOf(item[field]); is {
			ids = append(ids, id)
		}
	}
	return ids
}

// objectsIn are the objects of a list in a field.
func objectsIn(object map[string]any, field string) []map[string]any {
	list, _ := object[field].([]any)
	var objects []map[string]any
	for _, v := range list {
		if o, is := v.(map[string]any); is {
			objects = append(objects, o)
		}
	}
	return objects
}

// numbersIn are the whole numbers of a list in a field.
func numbersIn(object map[string]any, field string) []int64 {
	list, _ := object[field].([]any)
	var numbers []int64
	for _, v := range list {
		if n := whole(v); n != 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
