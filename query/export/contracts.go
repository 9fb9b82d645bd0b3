package export

import (
	"context"
	"strconv"

	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/postgres"
)

// contractColumns are those of Member Audit's topic contract. Its "contract pk" is a
// number of its database; here it is made of the ids of the character and of the
// contract, so that it is the same in each export and differs where two characters
// have one contract.
func contractColumns() []tablefile.Column {
	return []tablefile.Column{
		{Name: "owner character", Kind: tablefile.Text},
		{Name: "owner corporation", Kind: tablefile.Text, Optional: true},
		{Name: "contract pk", Kind: tablefile.Text},
		{Name: "contract id", Kind: tablefile.Integer},
		{Name: "contract_type", Kind: tablefile.Text},
		{Name: "status", Kind: tablefile.Text},
		{Name: "date issued", Kind: tablefile.Time, Optional: true},
		{Name: "date expired", Kind: tablefile.Time, Optional: true},
		{Name: "date accepted", Kind: tablefile.Time, Optional: true},
		{Name: "date completed", Kind: tablefile.Time, Optional: true},
		{Name: "availability", Kind: tablefile.Text},
		{Name: "issuer", Kind: tablefile.Text, Optional: true},
		{Name: "issuer corporation", Kind: tablefile.Text, Optional: true},
		{Name: "acceptor", Kind: tablefile.Text, Optional: true},
		{Name: "assignee", Kind: tablefile.Text, Optional: true},
		{Name: "reward", Kind: tablefile.Money, Optional: true},
		{Name: "collateral", Kind: tablefile.Money, Optional: true},
		{Name: "volume", Kind: tablefile.Number, Optional: true},
		{Name: "days to complete", Kind: tablefile.Integer, Optional: true},
		{Name: "start location", Kind: tablefile.Text, Optional: true},
		{Name: "end location", Kind: tablefile.Text, Optional: true},
		{Name: "price", Kind: tablefile.Money, Optional: true},
		{Name: "buyout", Kind: tablefile.Money, Optional: true},
		{Name: "title", Kind: tablefile.Text, Optional: true},
	}
}

func (e *Exporter) contracts(ctx context.Context, f Filter, out Sink) error {
	b := &batch[postgres.Contract]{write: func(contracts []postgres.Contract) error {
		w := newWanted()
		for _, k := range contracts {
			want(w.owners, k.CharacterID)
			want(w.entities, k.IssuerID, k.IssuerCorporationID, k.AcceptorID, k.AssigneeID)
			want(w.locations, k.StartLocationID, k.EndLocationID)
		}
		n, err := e.look(ctx, w)
		if err != nil {
			return err
		}
		for _, k := range contracts {
			if _, known := n.owners[k.CharacterID]; !known {
				// Forgotten since it was read.
				continue
			}
			if err := out.Write(n.contract(k)); err != nil {
				return err
			}
		}
		return nil
	}}
	if err := e.characters.EachContract(ctx, f.contracts(), b.add); err != nil {
		return err
	}
	return b.flush()
}

// contractKey is the key by which items refer to contracts.
func contractKey(character, contract int64) string {
	return strconv.FormatInt(character, 10) + "-" + strconv.FormatInt(contract, 10)
}

func (n named) contract(k postgres.Contract) []tablefile.Cell {
	owner := n.owners[k.CharacterID]
	volume := tablefile.Cell{}
	if k.Volume != nil {
		volume = tablefile.Decimal(*k.Volume)
	}
	return []tablefile.Cell{
		tablefile.String(owner.Name), n.entity(owner.CorporationID), tablefile.String(contractKey(k.CharacterID, k.ContractID)), tablefile.Int(k.ContractID),
		tablefile.String(words(k.Type)), tablefile.String(words(k.Status)),
		optionalTime(k.DateIssued), optionalTime(k.DateExpired), optionalTime(k.DateAccepted), optionalTime(k.DateCompleted), tablefile.String(availability(k.Availability)),
		n.entity(k.IssuerID), n.entity(k.IssuerCorporationID), n.entity(k.AcceptorID), n.entity(k.AssigneeID),
		optionalISK(k.Reward), optionalISK(k.Collateral), volume, optionalInt(k.DaysToComplete), n.location(k.StartLocationID), n.location(k.EndLocationID),
		optionalISK(k.Price), optionalISK(k.BuyoutPrice), optionalText(k.Title),
	}
}

// availability is whom a contract is open to, as Member Audit writes it.
func availability(word string) string {
	if word == "personal" {
		return "private"
	}
	return words(word)
}

// itemColumns are those of Member Audit's topic contract-item. Where it is wrong this
// is right: "is singleton" is whether the item is one (it says whether it is a
// blueprint), "is blueprint" whether it is a blueprint (it says whether it is an
// original).
func itemColumns() []tablefile.Column {
	return []tablefile.Column{
		{Name: "contract pk", Kind: tablefile.Text},
		{Name: "record id", Kind: tablefile.Integer},
		{Name: "type", Kind: tablefile.Text},
		{Name: "quantity", Kind: tablefile.Integer, Optional: true},
		{Name: "is included", Kind: tablefile.Flag},
		{Name: "is singleton", Kind: tablefile.Flag},
		{Name: "is blueprint", Kind: tablefile.Flag},
		{Name: "is blueprint_original", Kind: tablefile.Flag},
		{Name: "is blueprint_copy", Kind: tablefile.Flag},
		{Name: "raw quantity", Kind: tablefile.Integer, Optional: true},
	}
}

func (e *Exporter) items(ctx context.Context, f Filter, out Sink) error {
	b := &batch[postgres.ContractItem]{write: func(items []postgres.ContractItem) error {
		w := newWanted()
		for _, i := range items {
			want(w.types, i.TypeID)
		}
		n, err := e.look(ctx, w)
		if err != nil {
			return err
		}
		for _, i := range items {
			if err := out.Write(n.item(i)); err != nil {
				return err
			}
		}
		return nil
	}}
	if err := e.characters.EachContractItem(ctx, f.contracts(), b.add); err != nil {
		return err
	}
	return b.flush()
}

func (n named) item(i postgres.ContractItem) []tablefile.Cell {
	blueprint, original, copied := n.blueprint(i)
	return []tablefile.Cell{
		tablefile.String(contractKey(i.CharacterID, i.ContractID)), tablefile.Int(i.RecordID), tablefile.String(n.typeName(i.TypeID)), optionalInt(i.Quantity),
		tablefile.Bool(i.IsIncluded), tablefile.Bool(i.IsSingleton), tablefile.Bool(blueprint), tablefile.Bool(original), tablefile.Bool(copied), optionalInt(i.RawQuantity),
	}
}

// Raw quantities with a meaning of their own, as of ESI's description.
const (
	rawSingleton = -1
	rawCopy      = -2
)

// blueprint tells whether an item is a blueprint, an original, a copy. A raw quantity
// of -1 is an original only of a blueprint: ships that are not packaged have it, too.
// Without reference data there is nothing but that number to go by, and it is taken
// for an original, as Member Audit does.
func (n named) blueprint(i postgres.ContractItem) (is, original, copied bool) {
	raw := int64(0)
	if i.RawQuantity != nil {
		raw = *i.RawQuantity
	}
	copied = raw == rawCopy
	is, known := n.blueprints[i.TypeID]
	if !known {
		is = raw == rawSingleton
	}
	is = is || copied
	return is, is && !copied, copied
}
