package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
)

// Ledger tells how far a character's wallet journal accounts for its balance, and
// holds a page of the places where it does not.
type Ledger struct {
	CharacterID int64         `json:"character_id"`
	Continuous  bool          `json:"continuous" doc:"Whether the entries account for every ISK from the first to the last."`
	Entries     int           `json:"entries"`
	Unbalanced  int           `json:"unbalanced" doc:"Entries to which ESI sent no balance: they are checked together with the next."`
	Repeated    int           `json:"repeated" doc:"Entries that were recorded again just the same, which does no harm."`
	First       *time.Time    `json:"first" doc:"The moment of the first entry."`
	Last        *time.Time    `json:"last" doc:"The moment of the last entry."`
	Opening     *Money        `json:"opening_balance" doc:"Before the first entry; null if not known."`
	Closing     *Money        `json:"closing_balance" doc:"After the last entry; null if not known."`
	Income      Money         `json:"income"`
	Expense     Money         `json:"expense" doc:"As a positive amount."`
	Missing     Money         `json:"missing" doc:"The sum of all gaps and mismatches: opening balance, income and this, less expense, is the closing balance."`
	Seen        *Money        `json:"seen_balance" doc:"The last balance seen in the wallet."`
	SeenAt      *time.Time    `json:"seen_at"`
	Before      []LedgerCause `json:"before" nullable:"false" doc:"Why nothing is known of before the first entry."`
	Page[LedgerBreak]
}

func (l *Ledger) rows() any {
	lines := make([]ledgerLine, len(l.Items))
	for i, b := range l.Items {
		lines[i] = ledgerLine{b.Kind, b.From, b.To, b.EntryBefore, b.EntryAfter, b.Expected, b.Found, b.Difference, b.Readings, b.Words}
	}
	return lines
}

// ledgerLine is a break as a line of a table.
type ledgerLine struct {
	Kind        string    `json:"kind"`
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	EntryBefore *int64    `json:"entry_before"`
	EntryAfter  *int64    `json:"entry_after"`
	Expected    *Money    `json:"expected"`
	Found       *Money    `json:"found"`
	Difference  Money     `json:"difference"`
	Readings    int       `json:"readings"`
	Words       string    `json:"words"`
}

// LedgerBreak is a place where a journal does not account for the balance.
type LedgerBreak struct {
	Kind        string        `json:"kind" enum:"gap,mismatch,conflict,unknown_opening,balance" doc:"gap: entries are missing. mismatch: balances that ESI listed together do not add up. conflict: one entry was recorded with two contents. unknown_opening: the first entry has no balance. balance: the wallet held what no entry left."`
	From        time.Time     `json:"from"`
	To          time.Time     `json:"to"`
	EntryBefore *int64        `json:"entry_before" doc:"The id of the entry before."`
	EntryAfter  *int64        `json:"entry_after" doc:"The id of the entry after."`
	Expected    *Money        `json:"expected" doc:"The balance that should have been there; of a conflict, the amount."`
	Found       *Money        `json:"found" doc:"The one that was."`
	Difference  Money         `json:"difference" doc:"Of a gap, the sum of the entries that are missing."`
	Readings    int           `json:"readings" doc:"Of a balance: how often it was seen so in a row; else 0."`
	Causes      []LedgerCause `json:"causes" nullable:"false"`
	Words       string        `json:"words" doc:"What is wrong and why."`
}

// LedgerCause is a reason for a break.
type LedgerCause struct {
	Kind  string     `json:"kind" enum:"expired,not_registered,no_owner,disabled,token,outage,downtime,unreadable,esi,retention,unknown"`
	From  *time.Time `json:"from" doc:"null: from the beginning."`
	To    *time.Time `json:"to" doc:"null: still."`
	Words string     `json:"words"`
}

type ledgerOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *Ledger
}

func (s *Server) registerLedger() {
	register(s, access.ActionReadCharacters, asTable(huma.Operation{
		OperationID: "check-ledger", Path: "/v1/characters/{id}/ledger", Tags: []string{tagCharacters}, Errors: []int{http.StatusNotFound},
		Summary:     "Whether the wallet journal accounts for the balance, where it does not, and why",
		Description: "Each entry is held against the balance of the one before it, and balances seen in the wallet against the entries; the reasons come from the log.",
	}), s.checkLedger)
}

func (s *Server) checkLedger(ctx context.Context, in *SpanInput) (*ledgerOutput, error) {
	life, err := s.config.Past.Life(ctx, in.ID, eve.SectionWalletJournal, eve.SectionWallet)
	if err != nil {
		return nil, err
	}
	if err := life.Registered(in.ID); err != nil {
		return nil, err
	}
	var ledger eve.Ledger
	for _, f := range life.Facts {
		if err := ledger.Follow(f.Event, f.Payload); err != nil {
			return nil, internal(err)
		}
	}
	report := ledger.Report()
	out := showLedger(in.ID, report)
	report.Breaks = slices.DeleteFunc(report.Breaks, func(b eve.LedgerBreak) bool {
		return !in.Since.IsZero() && b.To.Before(in.Since) || !in.Until.IsZero() && !b.From.Before(in.Until)
	})
	kinds := []eve.BreakKind{eve.BreakGap, eve.BreakMismatch, eve.BreakConflict, eve.BreakUnknownOpening, eve.BreakBalance}
	place := func(b eve.LedgerBreak) factCursor {
		return factCursor{Nanos: b.From.UnixNano(), Offset: b.After, N: slices.Index(kinds, b.Kind)}
	}
	list := "ledger/" + in.Order
	part, err := pageOfPast(in, list, report.Breaks, place)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, part, showBreak, place)
	if err != nil {
		return nil, err
	}
	out.Page = *page.Body
	return &ledgerOutput{Link: page.Link, Body: out}, nil
}

func isk(a eve.ISK) Money { return Money(a.String()) }

func optionalISK(a *eve.ISK) *Money {
	if a == nil {
		return nil
	}
	return new(isk(*a))
}

func showLedger(id int64, r eve.LedgerReport) *Ledger {
	return &Ledger{
		CharacterID: id, Continuous: r.Continuous(), Entries: r.Entries, Unbalanced: r.Unbalanced, Repeated: r.Repeated,
		First: optional(r.First), Last: optional(r.Last), Opening: optionalISK(r.Opening), Closing: optionalISK(r.Closing),
		Income: isk(r.Income), Expense: isk(r.Expense), Missing: isk(r.Missing), Seen: optionalISK(r.Seen), SeenAt: optional(r.SeenAt), Before: showCauses(r.Before),
	}
}

func showBreak(b eve.LedgerBreak) LedgerBreak {
	return LedgerBreak{
		Kind: string(b.Kind), From: b.From, To: b.To, EntryBefore: optional(b.Before), EntryAfter: optional(b.After),
		Expected: optionalISK(b.Expected), Found: optionalISK(b.Found), Difference: isk(b.Difference), Readings: b.Readings, Causes: showCauses(b.Causes), Words: b.Words,
	}
}

func showCauses(causes []eve.LedgerCause) []LedgerCause {
	out := make([]LedgerCause, len(causes))
	for i, c := range causes {
		out[i] = LedgerCause{Kind: string(c.Kind), From: optional(c.From), To: optional(c.To), Words: c.Words}
	}
	return out
}
