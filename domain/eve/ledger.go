package eve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// JournalKept is for how long ESI lists an entry of a wallet journal
// (GET /characters/{id}/wallet/journal: "wallet journal going 30 days back").
const JournalKept = 30 * 24 * time.Hour

// Times that the ledger allows for.
const (
	// balanceLag is how much older than its reading a balance may be, for ESI serves
	// wallets from a cache of its own.
	balanceLag = time.Hour
	// longestDowntime is the longest spell of failures that EVE's daily downtime, which
	// begins at 11:00 UTC, is taken for.
	longestDowntime = 2 * time.Hour
)

// BreakKind is a way in which a ledger fails to be continuous.
type BreakKind string

// The kinds of breaks.
const (
	// BreakGap: entries are missing. The journal was not read for so long that ESI did
	// not list them any more.
	BreakGap BreakKind = "gap"
	// BreakMismatch: an entry's balance is not the one before it and its amount, though
	// ESI listed both at once, and nothing can lie between.
	BreakMismatch BreakKind = "mismatch"
	// BreakConflict: one entry was recorded twice and differently. The first one stands.
	BreakConflict BreakKind = "conflict"
	// BreakUnknownOpening: the first entry has no balance, so nobody can say with how
	// much the ledger begins.
	BreakUnknownOpening BreakKind = "unknown_opening"
	// BreakBalance: the wallet was seen with a balance that no entry left.
	BreakBalance BreakKind = "balance"
)

// CauseKind is a reason for a break.
type CauseKind string

// The kinds of causes.
const (
	// CauseExpired: ESI had dropped the entries before the next reading.
	CauseExpired CauseKind = "expired"
	// CauseNotRegistered: Muster did not know the character yet.
	CauseNotRegistered CauseKind = "not_registered"
	// CauseNoOwner: the character was an orphan, which is not read.
	CauseNoOwner CauseKind = "no_owner"
	// CauseDisabled: somebody had switched the sync off.
	CauseDisabled CauseKind = "disabled"
	// CauseToken: the login did not work, or lacked the scope.
	CauseToken CauseKind = "token"
	// CauseOutage: ESI did not answer, or with errors.
	CauseOutage CauseKind = "outage"
	// CauseDowntime: the same, around EVE's daily downtime.
	CauseDowntime CauseKind = "downtime"
	// CauseUnreadable: what ESI answered could not be taken.
	CauseUnreadable CauseKind = "unreadable"
	// CauseESI: ESI itself said so.
	CauseESI CauseKind = "esi"
	// CauseRetention: a policy has removed the older entries, of which the closing balance
	// is left; see [JournalClosed].
	CauseRetention CauseKind = "retention"
	// CauseUnknown: the log has no reason.
	CauseUnknown CauseKind = "unknown"
)

// LedgerCause is a reason for a break, with when it held.
type LedgerCause struct {
	Kind CauseKind
	// From and To are UTC; To is zero for what still holds, From for what held from the
	// beginning.
	From, To time.Time
	// Words is a sentence.
	Words string
	// Events are the ids of the events that show it, in the order of the log.
	Events []uuid.UUID
}

// LedgerBreak is a place in which a ledger is not continuous.
type LedgerBreak struct {
	Kind BreakKind
	// From and To are the moments between which it lies, UTC.
	From, To time.Time
	// Before and After are the ids of the entries around it; zero for none.
	Before, After int64
	// Expected is the balance that should have been there, Found the one that was; nil
	// if not known.
	Expected, Found *ISK
	// Difference is by how much they differ: of a gap, the sum of what is missing.
	Difference ISK
	// Readings counts, of [BreakBalance], how often the wallet was seen so in a row.
	Readings int
	Causes   []LedgerCause
	// Words say what is wrong and why, in a few sentences.
	Words string
	// Events are the ids of the events that show it: those of the entries around it, or
	// of the readings.
	Events []uuid.UUID
}

// LedgerReport tells how far a wallet's journal accounts for its balance.
type LedgerReport struct {
	// Entries counts the entries, Unbalanced those among them without a balance, which
	// are checked together with the next, and Repeated those that were recorded again
	// just the same.
	Entries, Unbalanced, Repeated int
	// First and Last are the moments of the first and the last entry; zero for none.
	First, Last time.Time
	// Opening is the balance before the first entry, Closing that after the last; nil if
	// not known.
	Opening, Closing *ISK
	// Before are the reasons why nothing is known of before the first entry.
	Before []LedgerCause
	// Income and Expense are the sums of what came in and went out, both positive.
	Income, Expense ISK
	// Missing is the sum of all gaps and mismatches: what entries do not account for.
	Missing ISK
	// SeenAt and Seen are the last balance seen in the wallet; Seen is nil for none.
	SeenAt time.Time
	Seen   *ISK
	// Breaks are in the order of time.
	Breaks []LedgerBreak
}

// Continuous tells whether the entries account for every ISK from the first to the
// last.
func (r LedgerReport) Continuous() bool { return len(r.Breaks) == 0 }

// Ledger puts the events of a character together to a ledger: its journal, the
// balances seen, and when and why nobody read. Its zero value is one of no events. It
// is not safe for concurrent use.
type Ledger struct {
	entries   map[int64]ledgerEntry
	seen      []ledgerBalance
	conflicts []LedgerBreak
	repeated  int
	// ended are spells in which nobody read, open those that still hold.
	ended []LedgerCause
	open  map[CauseKind]LedgerCause
	// begun is when the character was first registered, begunBy the event.
	begun   time.Time
	begunBy uuid.UUID
	// closed is the last closing, nil for none.
	closed *ledgerClosing
}

// ledgerClosing is a [JournalClosed] that has been read.
type ledgerClosing struct {
	JournalClosed

	// day is the moment before which the books are closed.
	day time.Time
	// sum is that of the entries, balance what the last of them left; nil if not known.
	sum     ISK
	balance *ISK
	event   uuid.UUID
}

type ledgerEntry struct {
	JournalLine

	id int64
	// fetched is when the reading was made that it was recorded from.
	fetched time.Time
	// event is the one that recorded it.
	event uuid.UUID
}

// before is the balance before the entry; false if it has none.
func (e ledgerEntry) before() (ISK, bool) {
	if e.Balance == nil {
		return 0, false
	}
	return *e.Balance - e.Amount, true
}

type ledgerBalance struct {
	at      time.Time
	balance ISK
	event   uuid.UUID
}

// failing is the one spell of failures that a section can be in.
const failing CauseKind = "failing"

// Follow applies the next event of the character's stream. It fails with
// [event.CodePoisoned] for an entry, a balance or a closing that cannot be read.
func (l *Ledger) Follow(e event.Event, p event.Payload) error {
	switch p := p.(type) {
	case JournalRecorded:
		return l.record(e, p)
	case JournalClosed:
		return l.close(e, p)
	case SectionObserved:
		if p.Section != SectionWallet {
			return nil
		}
		balance, err := DecodeWallet(p.Value)
		if err != nil {
			return event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
		}
		l.seen = append(l.seen, ledgerBalance{p.FetchedAt.UTC(), balance, e.ID})
	case CharacterRegistered:
		if l.begun.IsZero() {
			l.begun, l.begunBy = e.Time.UTC(), e.ID
		}
		l.end(CauseNoOwner, e)
	case CharacterReclaimed:
		l.end(CauseNoOwner, e)
	case CharacterOrphaned:
		l.begin(CauseNoOwner, LedgerCause{Kind: CauseNoOwner, From: e.Time, Events: []uuid.UUID{e.ID}, Words: fmt.Sprintf("The character had no owner (%s), and is not read without one.", p.Reason)})
	case CharacterDisabled:
		l.begin(CauseDisabled, LedgerCause{Kind: CauseDisabled, From: e.Time, Events: []uuid.UUID{e.ID}, Words: fmt.Sprintf("The sync of the character was switched off (%s).", p.Reason)})
	case CharacterEnabled:
		l.end(CauseDisabled, e)
	case SectionFailed:
		if p.Section != SectionWalletJournal {
			return nil
		}
		l.end(failing, e)
		since := p.Since
		if since.IsZero() || since.After(e.Time) {
			since = e.Time
		}
		l.begin(failing, LedgerCause{Kind: causeOf(p.Class), From: since, Events: []uuid.UUID{e.ID}, Words: fmt.Sprintf("The journal could not be read (%s): %s.", p.Class, p.Message)})
	case SectionRecovered:
		if p.Section == SectionWalletJournal {
			l.end(failing, e)
		}
	}
	return nil
}

func causeOf(class FailureClass) CauseKind {
	switch class {
	case FailureToken, FailureForbidden:
		return CauseToken
	case FailureServer, FailureNetwork, FailureRateLimited:
		return CauseOutage
	default:
		return CauseUnreadable
	}
}

func (l *Ledger) begin(slot CauseKind, c LedgerCause) {
	if l.open == nil {
		l.open = map[CauseKind]LedgerCause{}
	}
	if _, holds := l.open[slot]; !holds {
		c.From = c.From.UTC()
		l.open[slot] = c
	}
}

func (l *Ledger) end(slot CauseKind, by event.Event) {
	c, holds := l.open[slot]
	if !holds {
		return
	}
	delete(l.open, slot)
	c.To = by.Time.UTC()
	c.Events = append(slices.Clone(c.Events), by.ID)
	if c.Kind == CauseOutage && c.To.Sub(c.From) <= longestDowntime && inDowntime(c.From, c.To) {
		c.Kind = CauseDowntime
	}
	l.ended = append(l.ended, c)
}

// inDowntime tells whether a span touches the quarter of an hour in which EVE is down
// each day.
func inDowntime(from, to time.Time) bool {
	for day := dayOf(from); !day.After(to); day = day.AddDate(0, 0, 1) {
		if down := day.Add(11 * time.Hour); from.Before(down.Add(15*time.Minute)) && to.After(down) {
			return true
		}
	}
	return false
}

// close takes the closing balance of older entries in, unless a later one is known.
func (l *Ledger) close(e event.Event, p JournalClosed) error {
	if l.closed != nil && p.Before < l.closed.Before {
		return nil
	}
	c := ledgerClosing{JournalClosed: p, event: e.ID}
	var err error
	if c.day, err = time.Parse(dayLayout, p.Before); err != nil {
		return event.Errorf(event.CodePoisoned, "event %s: before %q: must be a day such as 2026-01-31", e.Key(), p.Before)
	}
	if c.sum, err = ParseISK(p.Sum); err != nil {
		return event.Errorf(event.CodePoisoned, "event %s: sum: %w", e.Key(), err)
	}
	if p.Balance != "" {
		balance, err := ParseISK(p.Balance)
		if err != nil {
			return event.Errorf(event.CodePoisoned, "event %s: balance: %w", e.Key(), err)
		}
		c.balance = &balance
	}
	l.closed = &c
	return nil
}

// cause says that retention has removed the older entries.
func (c *ledgerClosing) cause() LedgerCause {
	left := "of which the last had no balance"
	if c.balance != nil {
		left = fmt.Sprintf("which left a balance of %s ISK", *c.balance)
	}
	return LedgerCause{Kind: CauseRetention, To: c.day, Events: []uuid.UUID{c.event}, Words: fmt.Sprintf(
		"Entries of before %s are kept no longer: %d of them, with a sum of %s ISK, were closed, %s.", c.Before, c.JournalClosed.Entries, c.sum, left)}
}

// anchor is the last entry that was closed.
func (c *ledgerClosing) anchor() ledgerEntry {
	return ledgerEntry{JournalLine: JournalLine{Date: c.LastAt.UTC(), Balance: c.balance}, id: c.LastEntryID, event: c.event}
}

func (l *Ledger) record(e event.Event, p JournalRecorded) error {
	lines := make([]ledgerEntry, len(p.Entries))
	for i, entry := range p.Entries {
		line, err := entry.line()
		if err != nil {
			return event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
		}
		line.Date = line.Date.UTC()
		lines[i] = ledgerEntry{line, entry.ID, p.FetchedAt.UTC(), e.ID}
	}
	if l.entries == nil {
		l.entries = map[int64]ledgerEntry{}
	}
	for _, line := range lines {
		first, known := l.entries[line.id]
		switch {
		case !known:
			l.entries[line.id] = line
		case first.sameAs(line):
			l.repeated++
		default:
			b := LedgerBreak{
				Kind: BreakConflict, From: first.Date, To: line.Date, Before: line.id, After: line.id, Expected: &first.Amount, Found: &line.Amount, Difference: line.Amount - first.Amount,
				Events: []uuid.UUID{first.event, line.event},
				Causes: []LedgerCause{{Kind: CauseESI, From: line.fetched, To: line.fetched, Words: "ESI listed one entry with two contents, which it never should."}},
			}
			if b.To.Before(b.From) {
				b.From, b.To = b.To, b.From
			}
			b.Words = fmt.Sprintf("Entry %d was recorded twice and differently: with %s ISK in the reading of %s, with %s ISK in that of %s. The first one stands.",
				line.id, first.Amount, said(first.fetched), line.Amount, said(line.fetched))
			l.conflicts = append(l.conflicts, b)
		}
	}
	return nil
}

func (e ledgerEntry) sameAs(other ledgerEntry) bool {
	return e.Date.Equal(other.Date) && e.RefType == other.RefType && e.Amount == other.Amount &&
		(e.Balance == nil) == (other.Balance == nil) && (e.Balance == nil || *e.Balance == *other.Balance)
}

func said(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Report checks the ledger.
func (l *Ledger) Report() LedgerReport {
	entries := l.inOrder()
	r := LedgerReport{Entries: len(entries), Repeated: l.repeated, Breaks: slices.Clone(l.conflicts)}
	if n := len(l.seen); n > 0 {
		latest := slices.MaxFunc(l.seen, func(a, b ledgerBalance) int { return a.at.Compare(b.at) })
		r.SeenAt, r.Seen = latest.at, &latest.balance
	}
	switch {
	case len(entries) > 0:
		l.follow(&r, entries)
		l.compareBalances(&r, entries)
	case l.closed != nil:
		r.Before = []LedgerCause{l.closed.cause()}
		r.Opening, r.Closing = l.closed.balance, l.closed.balance
	}
	slices.SortStableFunc(r.Breaks, func(a, b LedgerBreak) int {
		return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To), cmp.Compare(a.After, b.After))
	})
	return r
}

// follow goes from entry to entry.
func (l *Ledger) follow(r *LedgerReport, entries []ledgerEntry) {
	first, last := entries[0], entries[len(entries)-1]
	r.First, r.Last = first.Date, last.Date
	r.Before = l.reasons(first.fetched.Add(-JournalKept), first.Date, false)
	if !l.begun.IsZero() && first.Date.Before(l.begun) {
		r.Before = append([]LedgerCause{{Kind: CauseNotRegistered, To: l.begun, Events: []uuid.UUID{l.begunBy}, Words: fmt.Sprintf("The character was registered on %s, and ESI lists 30 days.", said(l.begun))}}, r.Before...)
	}
	// running is the balance after the entry before, known if there is one.
	var running ISK
	known := false
	var anchor ledgerEntry
	if c := l.closed; c != nil && !first.Date.Before(c.day) {
		r.Before = append([]LedgerCause{c.cause()}, r.Before...)
		if c.balance != nil {
			running, known, anchor, r.Opening = *c.balance, true, c.anchor(), c.balance
		}
	}
	for i, e := range entries {
		r.Income += max(e.Amount, 0)
		r.Expense -= min(e.Amount, 0)
		before, has := e.before()
		switch {
		case !has && i == 0 && !known:
			r.Breaks = append(r.Breaks, LedgerBreak{
				Kind: BreakUnknownOpening, From: e.Date, To: e.Date, After: e.id, Events: []uuid.UUID{e.event}, Causes: []LedgerCause{{Kind: CauseESI, From: e.fetched, To: e.fetched, Words: "ESI sent no balance with the entry."}},
				Words: fmt.Sprintf("The first entry, %d of %s, has no balance, so nobody can say with how much the ledger begins.", e.id, said(e.Date)),
			})
		case i == 0 && !known:
			r.Opening = &before
		case has && known && before != running:
			r.Breaks = append(r.Breaks, l.between(anchor, e, running, before))
			r.Missing += before - running
		}
		switch {
		case has:
			running, known, anchor = *e.Balance, true, e
		default:
			r.Unbalanced++
			running += e.Amount
		}
	}
	if known {
		r.Closing = &running
	}
}

// between is the break between two entries.
func (l *Ledger) between(a, b ledgerEntry, expected, found ISK) LedgerBreak {
	out := LedgerBreak{From: a.Date, To: b.Date, Before: a.id, After: b.id, Expected: &expected, Found: &found, Difference: found - expected, Events: []uuid.UUID{a.event, b.event}}
	listed := b.fetched.Add(-JournalKept)
	if !listed.After(a.Date) {
		out.Kind = BreakMismatch
		out.Causes = []LedgerCause{{Kind: CauseESI, From: b.fetched, To: b.fetched, Words: fmt.Sprintf("The reading of %s lists all entries since %s, so none can be missing between the two: ESI's own amounts and balances do not add up.", said(b.fetched), said(listed))}}
		out.Words = fmt.Sprintf("After entry %d of %s the balance was %s ISK, before entry %d of %s it was %s ISK: %s ISK do not add up. %s",
			a.id, said(a.Date), expected, b.id, said(b.Date), found, out.Difference, out.Causes[0].Words)
		return out
	}
	out.Kind = BreakGap
	out.Causes = append([]LedgerCause{{
		Kind: CauseExpired, From: a.Date, To: listed,
		Words: fmt.Sprintf("ESI lists 30 days, and the next reading that brought anything was made on %s: what happened before %s was not listed any more.", said(b.fetched), said(listed)),
	}}, l.reasons(a.Date, b.fetched, true)...)
	out.Words = fmt.Sprintf("Entries are missing after %d of %s and before %d of %s: the balance went from %s to %s ISK, so that they add up to %s ISK.",
		a.id, said(a.Date), b.id, said(b.Date), expected, found, out.Difference)
	for _, c := range out.Causes {
		out.Words += " " + c.Words
	}
	return out
}

// mostReasons bounds the reasons that are told of one break.
const mostReasons = 5

// reasons are why nobody read between two moments, those that held longest first.
// Downtimes are told only if nothing else is. If there is none and one is asked for, the
// reason is that there is none.
func (l *Ledger) reasons(from, to time.Time, must bool) []LedgerCause {
	overlap := func(c LedgerCause) time.Duration {
		begin, end := c.From, c.To
		if begin.Before(from) {
			begin = from
		}
		if end.IsZero() || end.After(to) {
			end = to
		}
		return end.Sub(begin)
	}
	all := slices.Concat(l.ended, slices.Collect(maps.Values(l.open)))
	found := slices.DeleteFunc(all, func(c LedgerCause) bool { return overlap(c) <= 0 })
	if !l.begun.IsZero() && from.Before(l.begun) && must {
		found = append(found, LedgerCause{Kind: CauseNotRegistered, To: l.begun, Events: []uuid.UUID{l.begunBy}, Words: fmt.Sprintf("The character was registered on %s.", said(l.begun))})
	}
	if grave := slices.DeleteFunc(slices.Clone(found), func(c LedgerCause) bool { return c.Kind == CauseDowntime }); len(grave) > 0 {
		found = grave
	}
	slices.SortFunc(found, func(a, b LedgerCause) int {
		return cmp.Or(cmp.Compare(overlap(b), overlap(a)), a.From.Compare(b.From), cmp.Compare(a.Kind, b.Kind))
	})
	if len(found) == 0 && must {
		return []LedgerCause{{Kind: CauseUnknown, From: from, To: to, Words: "The log has no reason why the journal was not read."}}
	}
	return found[:min(len(found), mostReasons)]
}

// compareBalances holds the balances seen in the wallet against what the entries left.
// Before the first entry and after the last nothing can be said, and within a gap
// nothing new.
func (l *Ledger) compareBalances(r *LedgerReport, entries []ledgerEntry) {
	gaps := slices.Clone(r.Breaks)
	seen := slices.Clone(l.seen)
	slices.SortStableFunc(seen, func(a, b ledgerBalance) int { return a.at.Compare(b.at) })
	first, last := entries[0].Date, entries[len(entries)-1].Date
	var run *LedgerBreak
	flush := func() {
		if run == nil {
			return
		}
		run.Causes = l.reasons(run.From.Add(-balanceLag), run.To, true)
		run.Words = fmt.Sprintf("The wallet was seen with %s ISK on %s, but the entries until then left %s ISK: %s ISK are not accounted for. It was seen to differ %d times in a row, until %s.",
			*run.Found, said(run.From), *run.Expected, run.Difference, run.Readings, said(run.To))
		for _, c := range run.Causes {
			run.Words += " " + c.Words
		}
		r.Breaks = append(r.Breaks, *run)
		run = nil
	}
	for _, s := range seen {
		if s.at.Add(-balanceLag).Before(first) || s.at.After(last) {
			continue
		}
		if slices.ContainsFunc(gaps, func(b LedgerBreak) bool { return !s.at.Before(b.From) && !s.at.Add(-balanceLag).After(b.To) }) {
			flush()
			continue
		}
		left, known, fits := leftBy(entries, s)
		switch {
		case !known || fits:
			flush()
		case run == nil:
			run = &LedgerBreak{Kind: BreakBalance, From: s.at, To: s.at, Expected: &left, Found: &s.balance, Difference: s.balance - left, Readings: 1, Events: []uuid.UUID{s.event}}
		default:
			run.To = s.at
			// The first reading and the last one show it.
			run.Events = append(run.Events[:1], s.event)
			run.Readings++
		}
	}
	flush()
}

// leftBy is the balance that the entries until a moment left, and whether one that
// was seen then fits any that a cache may have held.
func leftBy(entries []ledgerEntry, s ledgerBalance) (left ISK, known, fits bool) {
	end, _ := slices.BinarySearchFunc(entries, s.at, func(e ledgerEntry, at time.Time) int {
		if e.Date.After(at) {
			return 1
		}
		return -1
	})
	oldest := s.at.Add(-balanceLag)
	for i := end - 1; i >= 0; i-- {
		e := entries[i]
		if e.Balance == nil {
			return 0, false, false
		}
		if i == end-1 {
			left, known = *e.Balance, true
		}
		if *e.Balance == s.balance {
			return left, known, true
		}
		if e.Date.Before(oldest) {
			break
		}
	}
	return left, known, false
}

// inOrder are the entries as they followed one another: by moment, and within a second
// by id, unless only another order adds up. Closed ones of which some are removed
// already are left out: what is left of them has holes that are no breaks.
func (l *Ledger) inOrder() []ledgerEntry {
	entries := slices.SortedFunc(maps.Values(l.entries), func(a, b ledgerEntry) int {
		return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.id, b.id))
	})
	if c := l.closed; c != nil {
		n, _ := slices.BinarySearchFunc(entries, c.day, func(e ledgerEntry, day time.Time) int { return e.Date.Compare(day) })
		if int64(n) < c.JournalClosed.Entries {
			entries = entries[n:]
		}
	}
	var running *ISK
	for from := 0; from < len(entries); {
		to := from + 1
		for to < len(entries) && entries[to].Date.Equal(entries[from].Date) {
			to++
		}
		second := entries[from:to]
		// After a gap an order cannot begin where the entry before ended.
		for _, begin := range []*ISK{running, nil} {
			if chained(second, begin) {
				break
			}
			if order, found := chain(second, begin); found {
				copy(second, order)
				break
			}
		}
		running = second[len(second)-1].Balance
		from = to
	}
	return entries
}

// chained tells whether each entry begins with what the one before left.
func chained(entries []ledgerEntry, running *ISK) bool {
	for _, e := range entries {
		before, has := e.before()
		if !has || running != nil && *running != before {
			return false
		}
		running = e.Balance
	}
	return true
}

// chain finds an order in which each entry begins with what the one before left: a walk
// that takes every entry once from one balance to another (Hierholzer). It finds none if
// an entry is missing or has no balance.
func chain(entries []ledgerEntry, running *ISK) ([]ledgerEntry, bool) {
	from := map[ISK][]ledgerEntry{}
	degree := map[ISK]int{}
	for _, e := range entries {
		before, has := e.before()
		if !has {
			return nil, false
		}
		from[before] = append(from[before], e)
		degree[before]++
		degree[*e.Balance]--
	}
	start, _ := entries[0].before()
	for _, e := range entries {
		if before, _ := e.before(); degree[before] > 0 {
			start = before
			break
		}
	}
	if running != nil {
		start = *running
	}
	at := func(path []ledgerEntry) ISK {
		if len(path) == 0 {
			return start
		}
		return *path[len(path)-1].Balance
	}
	var path, order []ledgerEntry
	for {
		if next := from[at(path)]; len(next) > 0 {
			from[at(path)] = next[1:]
			path = append(path, next[0])
			continue
		}
		if len(path) == 0 {
			break
		}
		order = append(order, path[len(path)-1])
		path = path[:len(path)-1]
	}
	slices.Reverse(order)
	return order, len(order) == len(entries) && chained(order, running)
}
