package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
)

// Contract is a contract of a character. Ids that ESI has not sent, or has sent as
// zero, are zero; texts that it has not sent are empty; everything else that it has
// not sent is nil.
type Contract struct {
	CharacterID, ContractID                int64
	Type, Status, Availability, Title      string
	IssuerID, IssuerCorporationID          int64
	AcceptorID, AssigneeID                 int64
	StartLocationID, EndLocationID         int64
	DateIssued, DateExpired                *time.Time
	DateAccepted, DateCompleted            *time.Time
	Reward, Collateral, Price, BuyoutPrice *eve.ISK
	// Volume is in cubic metres, as a decimal text.
	Volume         *string
	DaysToComplete *int64
}

// ContractItem is an item of a contract. What ESI has not sent is nil.
type ContractItem struct {
	CharacterID, ContractID int64
	RecordID, TypeID        int64
	Quantity, RawQuantity   *int64
	IsIncluded, IsSingleton bool
}

// ContractFilter says which contracts to read, those of all characters. Zero fields
// do not filter.
type ContractFilter struct {
	CharacterID int64
	// CorporationID is the corporation that the character is in now.
	CorporationID int64
	// From is inclusive, To exclusive; they are about when a contract was issued.
	From, To time.Time
	// View is whose contracts may be told; nil tells all.
	View *access.View
}

func (f ContractFilter) conditions(schema string) conditions {
	c := conditions{where: []string{"true"}}
	if f.CharacterID != 0 {
		c.add(`k.character_id = ?`, f.CharacterID)
	}
	if f.CorporationID != 0 {
		c.add(`v.corporation_id = ?`, f.CorporationID)
	}
	if !f.From.IsZero() {
		c.add(`k.date_issued >= ?`, f.From)
	}
	if !f.To.IsZero() {
		c.add(`k.date_issued < ?`, f.To)
	}
	if f.View != nil && !f.View.Everything {
		// Its arguments are numbered behind those that are there.
		v := conditions{args: c.args}
		v.view(schema, *f.View)
		c.args = v.args
		c.add(`k.character_id IN (SELECT c.character_id FROM ` + schema + `.characters c` + v.clause() + `)`)
	}
	return c
}

// EachContract calls each for every contract, the one issued first first, then by
// character and id. Rows are read one by one: what is held does not grow with their
// number. It ends with the first error of each, which it returns as it is.
func (r *CharacterReader) EachContract(ctx context.Context, filter ContractFilter, each func(Contract) error) error {
	schema, err := r.schema(ctx)
	if err != nil {
		return err
	}
	c := filter.conditions(schema)
	where, _ := c.sql(0)
	var k Contract
	var reward, collateral, price, buyout *string
	return r.each(ctx, "reading contracts", `SELECT k.character_id, k.contract_id, coalesce(k.type, ''), coalesce(k.status, ''), coalesce(k.availability, ''), coalesce(k.title, ''),
			coalesce(k.issuer_id, 0), coalesce(k.issuer_corporation_id, 0), coalesce(k.acceptor_id, 0), coalesce(k.assignee_id, 0),
			coalesce(k.start_location_id, 0), coalesce(k.end_location_id, 0), k.date_issued, k.date_expired, k.date_accepted, k.date_completed,
			k.reward::text, k.collateral::text, k.price::text, k.buyout::text, k.volume::text, k.days_to_complete
		FROM `+schema+`.contracts k JOIN `+schema+`.characters v USING (character_id) WHERE `+where+` ORDER BY k.date_issued, k.character_id, k.contract_id`, c.args,
		[]any{
			&k.CharacterID, &k.ContractID, &k.Type, &k.Status, &k.Availability, &k.Title, &k.IssuerID, &k.IssuerCorporationID, &k.AcceptorID, &k.AssigneeID,
			&k.StartLocationID, &k.EndLocationID, &k.DateIssued, &k.DateExpired, &k.DateAccepted, &k.DateCompleted,
			&reward, &collateral, &price, &buyout, &k.Volume, &k.DaysToComplete,
		}, func() error {
			row := k
			for i, text := range []*string{reward, collateral, price, buyout} {
				isk, err := amountOf(text)
				if err != nil {
					return fmt.Errorf("reading contract %d of character %d: %w", k.ContractID, k.CharacterID, err)
				}
				*[]**eve.ISK{&row.Reward, &row.Collateral, &row.Price, &row.BuyoutPrice}[i] = isk
			}
			return each(row)
		})
}

// EachContractItem calls each for every item of every contract, by character,
// contract and record. It reads and ends as [CharacterReader.EachContract] does.
func (r *CharacterReader) EachContractItem(ctx context.Context, filter ContractFilter, each func(ContractItem) error) error {
	schema, err := r.schema(ctx)
	if err != nil {
		return err
	}
	c := filter.conditions(schema)
	where, _ := c.sql(0)
	var i ContractItem
	return r.each(ctx, "reading the items of contracts", `SELECT k.character_id, k.contract_id, coalesce(i.record_id, 0), coalesce(i.type_id, 0), i.quantity, i.raw_quantity, i.is_included, i.is_singleton
		FROM `+schema+`.contracts k JOIN `+schema+`.characters v USING (character_id) JOIN `+schema+`.contract_items i ON i.character_id = k.character_id AND i.contract_id = k.contract_id
		WHERE `+where+` ORDER BY k.character_id, k.contract_id, i.record_id`, c.args,
		[]any{&i.CharacterID, &i.ContractID, &i.RecordID, &i.TypeID, &i.Quantity, &i.RawQuantity, &i.IsIncluded, &i.IsSingleton},
		func() error { return each(i) })
}

// each calls row for each row of a query, once it is scanned. Pointers that are
// scanned into are new for each row.
func (r *CharacterReader) each(ctx context.Context, doing, sql string, args, into []any, row func() error) error {
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return queryError(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return queryError(doing, err)
		}
		if err := row(); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return queryError(doing, err)
	}
	return nil
}

func amountOf(text *string) (*eve.ISK, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // no amount is no error
	}
	isk, err := eve.ParseISK(json.Number(*text))
	if err != nil {
		return nil, err
	}
	return &isk, nil
}

// Owner is who a character is.
type Owner struct {
	Name string
	// CorporationID is where he is now; zero if that is not known yet.
	CorporationID int64
}

// Owners looks characters up by their ids. Those that are not known are missing.
func (r *CharacterReader) Owners(ctx context.Context, ids []int64) (map[int64]Owner, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	owners := make(map[int64]Owner, len(ids))
	var id int64
	var o Owner
	return owners, r.each(ctx, "looking characters up", `SELECT character_id, name, corporation_id FROM `+schema+`.characters WHERE character_id = ANY($1)`, []any{ids},
		[]any{&id, &o.Name, &o.CorporationID}, func() error {
			owners[id] = o
			return nil
		})
}

// Members are the ids of the characters that are in a corporation now, in order.
func (r *CharacterReader) Members(ctx context.Context, corporation int64) ([]int64, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, `SELECT character_id FROM `+schema+`.characters WHERE corporation_id = $1 ORDER BY character_id`, corporation)
	if err != nil {
		return nil, queryError("listing the characters of a corporation", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, queryError("listing the characters of a corporation", err)
	}
	return ids, nil
}

// blueprintCategory is the category of all blueprints, as of EVE's static data.
const blueprintCategory = 9

// Blueprints tells which types are blueprints. Types whose category is not known are
// missing.
func (r *CharacterReader) Blueprints(ctx context.Context, types []int64) (map[int64]bool, error) {
	for _, table := range []string{"universe.type", "universe.type_group"} {
		if there, err := r.there(ctx, table); err != nil || !there {
			return nil, err
		}
	}
	found := map[int64]bool{}
	var id, category int64
	return found, r.each(ctx, "telling blueprints from other types", `SELECT t.type_id, g.category_id FROM universe.type t JOIN universe.type_group g USING (group_id)
		WHERE t.type_id = ANY($1) AND g.category_id IS NOT NULL`, []any{types}, []any{&id, &category}, func() error {
		found[id] = category == blueprintCategory
		return nil
	})
}
