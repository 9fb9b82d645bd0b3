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

// BalanceQuestion says of which part of a ledger somebody asks.
type BalanceQuestion struct {
	// Since and Until bound the entries: at this moment or later, before that one. Zero is
	// no bound.
	Since, Until time.Time
	// Entry is the id of an entry before or after the break that is asked for; zero for all.
	Entry int64
}

// has tells whether a moment is asked for.
func (q BalanceQuestion) has(at time.Time) bool {
	return (q.Since.IsZero() || !at.Before(q.Since)) && (q.Until.IsZero() || at.Before(q.Until))
}

// touches tells whether a break is asked for.
func (q BalanceQuestion) touches(b LedgerBreak) bool {
	if q.Entry != 0 && q.Entry != b.Before && q.Entry != b.After {
		return false
	}
	return (q.Since.IsZero() || !b.To.Before(q.Since)) && (q.Until.IsZero() || b.From.Before(q.Until))
}

// BalanceVerdict is what an explanation of a balance comes to.
type BalanceVerdict string

// The verdicts.
const (
	// BalanceAccounted: the entries account for every ISK.
	BalanceAccounted BalanceVerdict = "accounted_for"
	// BalanceDiffers: they do not, and it is said where and why.
	BalanceDiffers BalanceVerdict = "differs"
	// BalanceUnknown: there are no entries to tell by.
	BalanceUnknown BalanceVerdict = "unknown"
)

// The kinds of the steps of a balance, beside the [BreakKind] of each break.
const (
	// StepEntry is an entry of the journal.
	StepEntry = "entry"
	// StepCause is what a break has as its cause, StepBefore why nothing is known of before.
	StepCause  = "cause"
	StepBefore = "before"
)

// TypeSum is what the entries of one kind come to.
type TypeSum struct {
	// RefType is ESI's word for the kind.
	RefType string
	Entries int
	Sum     ISK
}

// BalanceExplanation is why a balance is what it is.
type BalanceExplanation struct {
	Verdict BalanceVerdict
	// Since is when the first of the breaks began, UTC; zero for none.
	Since time.Time
	// Words sum it up, in sentences.
	Words []string
	// Opening is the balance before the first of the entries, Closing that after the last;
	// nil if not known.
	Opening, Closing *ISK
	Entries          int
	Income, Expense  ISK
	// Missing is by how much opening, income and expense fail to give the closing balance.
	Missing ISK
	// Types are the entries by kind, those that moved most first.
	Types []TypeSum
	// Breaks are those that are asked for, in the order of time.
	Breaks []LedgerBreak
	// Steps are the breaks with their causes and what was recorded, in the order of time;
	// Omitted counts those left out.
	Steps   []Step
	Omitted int
}

// ExplainBalance tells how the balance of a character's wallet came about: which entries
// moved it, where they do not account for it, and the events that say why. facts are those
// of the character in the order of the log. It fails with [event.CodePoisoned] for an entry
// or a balance that cannot be read, and with [event.CodeNotFound] if there is no break at
// the entry that is asked for.
func ExplainBalance(facts []Fact, q BalanceQuestion) (BalanceExplanation, error) {
	var ledger Ledger
	for _, f := range facts {
		if err := ledger.Follow(f.Event, f.Payload); err != nil {
			return BalanceExplanation{}, err
		}
	}
	report := ledger.Report()
	x := BalanceExplanation{Verdict: BalanceAccounted}
	for _, b := range report.Breaks {
		if q.touches(b) {
			x.Breaks = append(x.Breaks, b)
		}
	}
	if q.Entry != 0 && len(x.Breaks) == 0 {
		return x, event.Errorf(event.CodeNotFound, "the ledger has no break at entry %d: its breaks name the entries before and after", q.Entry)
	}
	told := balanceTeller{x: &x, by: factsByID(facts)}
	told.entries(&ledger, report, q)
	told.breaks()
	if q.Entry == 0 && (q.Since.IsZero() || !q.Since.After(report.First)) {
		for _, c := range report.Before {
			told.cause(StepBefore, c, c.To)
		}
	}
	slices.SortStableFunc(x.Steps, func(a, b Step) int { return a.At.Compare(b.At) })
	x.Steps, x.Omitted = bounded(x.Steps)
	switch {
	case len(x.Breaks) > 0:
		x.Verdict, x.Since = BalanceDiffers, x.Breaks[0].From
	case x.Entries == 0:
		x.Verdict = BalanceUnknown
	}
	x.Words = append([]string{x.summary()}, x.Words...)
	return x, nil
}

// balanceTeller puts an explanation together.
type balanceTeller struct {
	x  *BalanceExplanation
	by map[uuid.UUID]Fact
}

// entries are those that are asked for, and what they come to.
func (t *balanceTeller) entries(l *Ledger, report LedgerReport, q BalanceQuestion) {
	sums := map[string]*TypeSum{}
	before := report.Opening
	for _, e := range l.inOrder() {
		after := e.Balance
		if after == nil && before != nil {
			after = new(*before + e.Amount)
		}
		if q.has(e.Date) {
			if t.x.Entries == 0 {
				t.x.Opening = before
				if opening, has := e.before(); before == nil && has {
					t.x.Opening = &opening
				}
			}
			t.x.Entries++
			t.x.Income += max(e.Amount, 0)
			t.x.Expense -= min(e.Amount, 0)
			t.x.Closing = after
			sum := sums[e.RefType]
			if sum == nil {
				sum = &TypeSum{RefType: e.RefType}
				sums[e.RefType] = sum
			}
			sum.Entries++
			sum.Sum += e.Amount
			if q.Entry == 0 || t.beside(e.id) {
				t.entry(e)
			}
		}
		before = after
	}
	if o, c := t.x.Opening, t.x.Closing; o != nil && c != nil {
		t.x.Missing = *c - *o - t.x.Income + t.x.Expense
	}
	for _, sum := range slices.SortedFunc(maps.Values(sums), func(a, b *TypeSum) int {
		return cmp.Or(cmp.Compare(max(b.Sum, -b.Sum), max(a.Sum, -a.Sum)), cmp.Compare(a.RefType, b.RefType))
	}) {
		t.x.Types = append(t.x.Types, *sum)
	}
}

// beside tells whether an entry is next to one of the breaks.
func (t *balanceTeller) beside(id int64) bool {
	return slices.ContainsFunc(t.x.Breaks, func(b LedgerBreak) bool { return b.Before == id || b.After == id })
}

func (t *balanceTeller) entry(e ledgerEntry) {
	left := "left no balance that ESI told"
	if e.Balance != nil {
		left = fmt.Sprintf("left %s ISK", *e.Balance)
	}
	t.x.Steps = append(t.x.Steps, t.by[e.event].step(StepEntry, SectionWalletJournal, e.Date, words(fmt.Sprintf("Entry %d (%s) of %s ISK %s.", e.id, e.RefType, e.Amount, left))))
}

// breaks are told at the moment at which they end, each with its causes before it.
func (t *balanceTeller) breaks() {
	for _, b := range t.x.Breaks {
		t.x.Words = append(t.x.Words, b.Words)
		for _, c := range b.Causes {
			t.cause(StepCause, c, b.To)
		}
		section := SectionWalletJournal
		if b.Kind == BreakBalance {
			section = SectionWallet
		}
		if n := len(b.Events); n > 0 {
			t.x.Steps = append(t.x.Steps, t.by[b.Events[n-1]].step(string(b.Kind), section, b.To, words(b.Words)))
		}
	}
}

// cause tells a cause by each event that shows it. Such a cause as that ESI lists 30 days
// is shown by none, and is said with its break alone.
func (t *balanceTeller) cause(kind string, c LedgerCause, otherwise time.Time) {
	for i, id := range c.Events {
		at := c.From
		if i > 0 || at.IsZero() {
			at = c.To
		}
		if at.IsZero() {
			at = otherwise
		}
		said := c.Words
		if i > 0 {
			said = "It ended: " + said
		}
		f := t.by[id]
		section := About(f.Type, f.Data).Section
		step := f.step(kind, section, at, words(said))
		if !slices.ContainsFunc(t.x.Steps, func(s Step) bool { return s.Kind == kind && s.EventID == id && s.At.Equal(step.At) }) {
			t.x.Steps = append(t.x.Steps, step)
		}
	}
}

// summary is the explanation in a sentence.
func (x BalanceExplanation) summary() string {
	known := func(a *ISK) string {
		if a == nil {
			return "what is not known"
		}
		return a.String() + " ISK"
	}
	if x.Entries == 0 && len(x.Breaks) == 0 {
		return "No entry of the journal is known of that time, so nothing can be said about the balance."
	}
	moved := fmt.Sprintf("The balance went from %s to %s: %d entries brought in %s ISK and took out %s ISK", known(x.Opening), known(x.Closing), x.Entries, x.Income, x.Expense)
	switch {
	case x.Opening == nil || x.Closing == nil:
		return moved + "."
	case x.Missing != 0:
		return fmt.Sprintf("%s, and %s ISK are not accounted for.", moved, x.Missing)
	default:
		return moved + ", which accounts for it."
	}
}
