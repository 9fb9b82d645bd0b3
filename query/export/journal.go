package export

import (
	"context"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// journalColumns are those of Member Audit's topic wallet-journal. Where it is wrong
// this is right: an entry without a balance has none (it fails), the context
// structure_id is a "structure ID" (it says "undefined"), and the receiver of the tax
// is named (before 5.0.0 it never is).
func journalColumns() []tablefile.Column {
	return []tablefile.Column{
		{Name: "date", Kind: tablefile.Time},
		{Name: "owner character", Kind: tablefile.Text},
		{Name: "owner corporation", Kind: tablefile.Text, Optional: true},
		{Name: "entry id", Kind: tablefile.Integer},
		{Name: "ref type", Kind: tablefile.Text},
		{Name: "first party", Kind: tablefile.Text, Optional: true},
		{Name: "second party", Kind: tablefile.Text, Optional: true},
		{Name: "amount", Kind: tablefile.Money},
		{Name: "balance", Kind: tablefile.Money, Optional: true},
		{Name: "context_id", Kind: tablefile.Integer, Optional: true},
		{Name: "context_id_type", Kind: tablefile.Text},
		{Name: "tax", Kind: tablefile.Money, Optional: true},
		{Name: "tax_receiver", Kind: tablefile.Text, Optional: true},
		{Name: "description", Kind: tablefile.Text},
		{Name: "reason", Kind: tablefile.Text},
	}
}

// journal writes the entries of journals. Those of characters that the read model of
// characters does not know, such as forgotten ones, are left out.
func (e *Exporter) journal(ctx context.Context, f Filter, out Sink) error {
	filter := clickhouse.EntryFilter{From: f.From, To: f.To}
	if f.CharacterID != 0 {
		filter.CharacterIDs = []int64{f.CharacterID}
	}
	if f.CorporationID != 0 {
		members, err := e.characters.Members(ctx, f.CorporationID)
		if err != nil {
			return err
		}
		filter.CharacterIDs = both(members, f.CharacterID)
	}
	if f.View != nil && !f.View.Everything {
		opened, err := e.characters.Opened(ctx, *f.View)
		if err != nil {
			return err
		}
		if filter.CharacterIDs == nil {
			filter.CharacterIDs = opened
		} else {
			filter.CharacterIDs = slices.DeleteFunc(filter.CharacterIDs, func(id int64) bool { return !slices.Contains(opened, id) })
		}
	}
	row := make([]tablefile.Cell, len(journalColumns()))
	b := &batch[clickhouse.OwnedEntry]{write: func(entries []clickhouse.OwnedEntry) error {
		w := newWanted()
		for _, j := range entries {
			want(w.owners, j.CharacterID)
			want(w.entities, j.FirstPartyID, j.SecondPartyID, j.TaxReceiverID)
		}
		n, err := e.look(ctx, w)
		if err != nil {
			return err
		}
		for _, j := range entries {
			if _, known := n.owners[j.CharacterID]; !known {
				continue
			}
			n.entry(row, j)
			if err := out.Write(row); err != nil {
				return err
			}
		}
		return nil
	}}
	if err := e.wallets.EachEntry(ctx, filter, b.add); err != nil {
		return err
	}
	return b.flush()
}

// both are the members that are also the character; all of them for no character.
func both(members []int64, character int64) []int64 {
	chosen := []int64{}
	for _, id := range members {
		if character == 0 || id == character {
			chosen = append(chosen, id)
		}
	}
	return chosen
}

func (n named) entry(row []tablefile.Cell, j clickhouse.OwnedEntry) {
	owner := n.owners[j.CharacterID]
	cells := []tablefile.Cell{
		tablefile.Moment(j.Date), tablefile.String(owner.Name), n.entity(owner.CorporationID), tablefile.Int(j.ID), tablefile.String(titleCase(words(j.Type))),
		n.entity(j.FirstPartyID), n.entity(j.SecondPartyID), hundredths(j.Amount),
		{},
		{},
		tablefile.String(contextType(j.ContextIDType)),
		{},
		n.entity(j.TaxReceiverID), tablefile.String(j.Description), tablefile.String(j.Reason),
	}
	if j.Balance != nil {
		cells[8] = hundredths(*j.Balance)
	}
	if j.ContextID != 0 {
		cells[9] = tablefile.Int(j.ContextID)
	}
	// ESI leaves out the tax where there is none.
	if !j.Tax.IsZero() {
		cells[11] = hundredths(j.Tax)
	}
	copy(row, cells)
}

// hundredths is an amount, which the read model keeps with two decimals.
func hundredths(d decimal.Decimal) tablefile.Cell {
	return tablefile.Hundredths(d.Shift(2).IntPart())
}

// contextType is the type of a context as Member Audit writes it.
func contextType(kind string) string {
	switch {
	case kind == "":
		return "undefined"
	case strings.HasSuffix(kind, "_id"):
		return words(strings.TrimSuffix(kind, "_id")) + " ID"
	default:
		return words(kind)
	}
}
