package clickhouse

import (
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// EntryOf is an entry as the read model shows it: in whole seconds and with ISK in
// two decimals. It fails with [event.CodePoisoned] for amounts that are none.
func EntryOf(j eve.JournalEntry) (JournalEntry, error) {
	m, err := moneyOf(&j)
	if err != nil {
		return JournalEntry{}, event.Errorf(event.CodePoisoned, "journal entry %d: %w", j.ID, err)
	}
	return JournalEntry{
		ID: j.ID, Date: j.Date.UTC().Truncate(time.Second), Type: j.RefType, Amount: m.amount, Balance: m.balance, Tax: m.tax,
		FirstPartyID: j.FirstPartyID, SecondPartyID: j.SecondPartyID, TaxReceiverID: j.TaxReceiverID,
		ContextID: j.ContextID, ContextIDType: j.ContextIDType, Description: j.Description, Reason: j.Reason,
	}, nil
}
