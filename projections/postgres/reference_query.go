package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
)

// TypeFacts are what reference data say of a type. What is not known is zero.
type TypeFacts struct {
	Name, Group, Category string
	GroupID, CategoryID   int64
	// Volume is in cubic metres, to the letter; empty if it is not known.
	Volume json.Number
	// Price is the average price of the market in ISK, or the adjusted one where there
	// is no average; nil for none.
	Price *decimal.Decimal
	// Slot is that of an implant.
	Slot int64
}

// PlaceFacts are what reference data say of a place. What is not known is zero.
type PlaceFacts struct {
	Name, System, Region string
	SystemID             int64
	// Security is that of the system, to the letter.
	Security json.Number
}

// Reference is what reference data say of some types, places and so on, by id. What
// they do not know is missing.
type Reference struct {
	Types                      map[int64]TypeFacts
	Places                     map[int64]PlaceFacts
	Races, Bloodlines, Planets map[int64]string
}

// ReferenceRequest are the ids that are asked about.
type ReferenceRequest struct{ Types, Places, Races, Bloodlines, Planets []int64 }

// Reference looks types, places and so on up, all in one round trip. There is nothing
// while there is no reference data.
func (r *CharacterReader) Reference(ctx context.Context, ids ReferenceRequest) (Reference, error) {
	found := Reference{Types: map[int64]TypeFacts{}, Places: map[int64]PlaceFacts{}, Races: map[int64]string{}, Bloodlines: map[int64]string{}, Planets: map[int64]string{}}
	// The tables come together, the last of them with this one.
	if there, err := r.there(ctx, "universe.implant"); err != nil || !there {
		return found, err
	}
	batch := &pgx.Batch{}
	if len(ids.Types) > 0 {
		batch.Queue(`SELECT t.type_id, t.name, coalesce(g.name, ''), coalesce(c.name, ''), coalesce(t.group_id, 0), coalesce(g.category_id, 0), coalesce(t.volume::text, ''), p.price, coalesce(i.slot, 0)
			FROM universe.type t LEFT JOIN universe.type_group g USING (group_id) LEFT JOIN universe.category c USING (category_id)
			LEFT JOIN (SELECT type_id, coalesce(average, adjusted)::text AS price FROM universe.price) p USING (type_id) LEFT JOIN universe.implant i USING (type_id)
			WHERE t.type_id = ANY($1)`, ids.Types).Query(found.scanTypes)
	}
	if len(ids.Places) > 0 {
		batch.Queue(`SELECT l.location_id, coalesce(l.name, ''), coalesce(y.name, ''), coalesce(y.region, ''), coalesce(y.system_id, 0), coalesce(y.security::text, '')
			FROM universe.location l LEFT JOIN universe.system y USING (system_id) WHERE l.location_id = ANY($1)`, ids.Places).Query(found.scanPlaces)
	}
	for _, named := range []struct {
		ids  []int64
		sql  string
		into map[int64]string
	}{
		{ids.Races, `SELECT race_id, name FROM universe.race WHERE race_id = ANY($1)`, found.Races},
		{ids.Bloodlines, `SELECT bloodline_id, name FROM universe.bloodline WHERE bloodline_id = ANY($1)`, found.Bloodlines},
		{ids.Planets, `SELECT planet_id, name FROM universe.planet WHERE planet_id = ANY($1)`, found.Planets},
	} {
		if len(named.ids) > 0 {
			batch.Queue(named.sql, named.ids).Query(func(rows pgx.Rows) error {
				var id int64
				var name string
				_, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error { named.into[id] = name; return nil })
				return err
			})
		}
	}
	if batch.Len() == 0 {
		return found, nil
	}
	if err := r.pool.SendBatch(ctx, batch).Close(); err != nil {
		return found, queryError("looking reference data up", err)
	}
	return found, nil
}

func (f Reference) scanTypes(rows pgx.Rows) error {
	var id int64
	var t TypeFacts
	var volume string
	var price *string
	_, err := pgx.ForEachRow(rows, []any{&id, &t.Name, &t.Group, &t.Category, &t.GroupID, &t.CategoryID, &volume, &price, &t.Slot}, func() error {
		var err error
		t.Volume = json.Number(volume)
		t.Price, err = decimalOf(price)
		f.Types[id] = t
		return err
	})
	return err
}

func (f Reference) scanPlaces(rows pgx.Rows) error {
	var id int64
	var p PlaceFacts
	var security string
	_, err := pgx.ForEachRow(rows, []any{&id, &p.Name, &p.System, &p.Region, &p.SystemID, &security}, func() error {
		p.Security = json.Number(security)
		f.Places[id] = p
		return nil
	})
	return err
}

// AssetPlaces says of assets where they come to lie, and what lies in them: the place of
// each location that they lie in, which is the location itself or where the outermost
// asset around it lies, and how much lies directly in each item.
type AssetPlaces struct {
	Place  map[int64]int64
	Within map[int64]int
}

// AssetPlaces looks up where the locations of a character's assets are, and what lies in
// items. It is [eve.AssetTree] for a few of them, by their indexes.
func (r *CharacterReader) AssetPlaces(ctx context.Context, id int64, locations, items []int64) (AssetPlaces, error) {
	found := AssetPlaces{Place: map[int64]int64{}, Within: map[int64]int{}}
	schema, err := r.schema(ctx)
	if err != nil {
		return found, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`WITH RECURSIVE up AS (
			SELECT DISTINCT l AS location, l AS place, 0 AS depth FROM unnest($2::bigint[]) l
			UNION ALL
			SELECT up.location, `+schema+`.number_of(e.value, 'location_id'), up.depth + 1 FROM up JOIN `+schema+`.shown e
				ON e.character_id = $1 AND e.section = 'assets' AND e.list = '' AND length(e.key) = length(up.place::text) AND e.key = up.place::text COLLATE "C"
			WHERE up.depth < $3 AND `+schema+`.number_of(e.value, 'location_id') IS NOT NULL)
		SELECT DISTINCT ON (location) location, place FROM up ORDER BY location, depth DESC`, id, locations, eve.DeepestAsset).Query(func(rows pgx.Rows) error {
		var location, place int64
		_, err := pgx.ForEachRow(rows, []any{&location, &place}, func() error { found.Place[location] = place; return nil })
		return err
	})
	batch.Queue(`SELECT `+schema+`.number_of(value, 'location_id') AS item, count(*) FROM `+schema+`.shown
		WHERE character_id = $1 AND section = 'assets' AND list = '' AND `+schema+`.number_of(value, 'location_id') = ANY($2) GROUP BY 1`, id, items).Query(func(rows pgx.Rows) error {
		var item int64
		var count int
		_, err := pgx.ForEachRow(rows, []any{&item, &count}, func() error { found.Within[item] = count; return nil })
		return err
	})
	if err := r.pool.SendBatch(ctx, batch).Close(); err != nil {
		return found, queryError("looking for the places of assets", err)
	}
	return found, nil
}

// Assets are all assets of a character, the ship that it is in among them, with what
// counts where they are added up. What has no location or no type is left out.
func (r *CharacterReader) Assets(ctx context.Context, id int64) ([]eve.Asset, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, `SELECT item_id, type_id, location_id, coalesce(quantity, 0), coalesce(is_blueprint_copy, false) FROM `+schema+`.assets
		WHERE character_id = $1 AND item_id IS NOT NULL AND type_id IS NOT NULL AND location_id IS NOT NULL`, id)
	if err != nil {
		return nil, queryError("reading assets", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eve.Asset])
	if err != nil {
		return nil, queryError("reading assets", err)
	}
	return list, nil
}

// UnreadByList counts the mails to each mailing list that a character has not read.
func (r *CharacterReader) UnreadByList(ctx context.Context, id int64) (map[int64]int64, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, `SELECT m.recipient_id, count(*) FROM `+schema+`.mail_recipients m JOIN `+schema+`.mails USING (character_id, mail_id)
		WHERE m.character_id = $1 AND m.recipient_type = 'mailing_list' AND NOT is_read AND m.recipient_id IS NOT NULL GROUP BY 1`, id)
	if err != nil {
		return nil, queryError("counting unread mails", err)
	}
	unread := map[int64]int64{}
	var list, count int64
	if _, err := pgx.ForEachRow(rows, []any{&list, &count}, func() error { unread[list] = count; return nil }); err != nil {
		return nil, queryError("counting unread mails", err)
	}
	return unread, nil
}

// MainOf is the main of a user; nil for none.
func (r *CharacterReader) MainOf(ctx context.Context, user string) (*Main, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, `SELECT character_id, name, corporation_id, alliance_id FROM `+schema+`.homes WHERE user_id = $1 LIMIT 1`, user)
	if err != nil {
		return nil, queryError("looking for a main", err)
	}
	mains, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[Main])
	switch {
	case err != nil:
		return nil, queryError("looking for a main", err)
	case len(mains) == 0:
		return nil, nil //nolint:nilnil // none is none
	default:
		return mains[0], nil
	}
}
