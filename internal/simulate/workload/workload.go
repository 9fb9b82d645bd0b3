// Package workload makes large numbers of well-formed EVE events quickly, for
// benchmarks and for checking replays, together with an account of what any
// correct reader must get out of them.
package workload

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/simulate/dice"
)

const (
	// Source is the source attribute of all generated events.
	Source = "muster/simulate/workload"

	firstCharacter = 90000001
	batchSize      = 500
	// span is the time that a workload covers, however many events it has.
	span = 400 * 24 * time.Hour
)

// epoch is when all workloads begin.
var epoch = time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC)

// Totals are what a correct reader of all events gets for one character.
type Totals struct {
	// Events counts all events of the character's stream.
	Events int
	// Details, Location and Wallet are the values observed last, as JSON; empty
	// if never.
	Details, Location, Wallet string
	// JournalEntries counts entries; Income and Expense are the sums of positive
	// and of negative amounts, and Balance that after the last entry, all in
	// hundredths of ISK.
	JournalEntries           int
	Income, Expense, Balance int64
}

// Generate makes exactly n events that follow from n and the seed alone, ids
// included, and hands them to sink in batches, in the order of the log. It
// returns the totals by character. It stops with sink's first error, or when
// ctx ends. The events of a batch may be kept; sink is never called twice at
// a time.
func Generate(ctx context.Context, n int, seed uint64, sink func(context.Context, ...event.Event) error) (map[int64]Totals, error) {
	g := newGenerator(n, seed)
	batch := make([]event.Event, 0, batchSize)
	for i := range n {
		batch = g.add(batch, i)
		if len(batch) < batchSize && i < n-1 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("generating event %d of %d: %w", i+1, n, err)
		}
		if err := sink(ctx, batch...); err != nil {
			return nil, fmt.Errorf("appending generated events up to number %d of %d: %w", i+1, n, err)
		}
		batch = make([]event.Event, 0, batchSize)
	}
	return g.totals(), nil
}

// Characters is how many characters a workload of n events is about.
func Characters(n int) int { return min(max(n/100, 1), 10_000) }

type generator struct {
	n          int
	dice       dice.Stream
	characters []character
}

// character is the state that a character's next event follows from.
type character struct {
	id       int64
	stream   event.Stream
	totals   Totals
	previous map[event.Type]map[eve.Section]uuid.UUID
	nextID   int64
}

func newGenerator(n int, seed uint64) *generator {
	g := &generator{n: n, dice: dice.New(seed, uint64(n)), characters: make([]character, Characters(n))}
	for i := range g.characters {
		id := int64(firstCharacter + i)
		g.characters[i] = character{
			id: id, stream: event.Character(id), nextID: 1 + int64(i),
			previous: map[event.Type]map[eve.Section]uuid.UUID{},
			totals:   Totals{Balance: int64(1e9 + g.dice.LogNormal(5e9, 1))},
		}
	}
	return g
}

func (g *generator) totals() map[int64]Totals {
	totals := make(map[int64]Totals, len(g.characters))
	for i := range g.characters {
		totals[g.characters[i].id] = g.characters[i].totals
	}
	return totals
}

// add appends event number i: every character is registered first, then things
// happen to all of them in turn and at random.
func (g *generator) add(batch []event.Event, i int) []event.Event {
	// Divided first: the product would not fit.
	at := epoch.Add(time.Duration(float64(span) / float64(g.n) * float64(i))).Truncate(time.Millisecond)
	if i < len(g.characters) {
		return append(batch, g.characters[i].registered(at))
	}
	c := &g.characters[g.dice.IntN(len(g.characters))]
	switch f := g.dice.IntN(100); {
	case f < 60:
		return append(batch, c.journal(at, &g.dice))
	case f < 80:
		return append(batch, c.location(at, &g.dice))
	case f < 95:
		return append(batch, c.wallet(at))
	default:
		return append(batch, c.details(at, &g.dice))
	}
}

// event wraps a value that is JSON already.
func (c *character) event(t event.Type, section eve.Section, hash string, at time.Time, data []byte) event.Event {
	series := c.previous[t]
	if series == nil {
		series = map[eve.Section]uuid.UUID{}
		c.previous[t] = series
	}
	id := event.ObservationID(c.stream, t, series[section], hash)
	series[section] = id
	c.totals.Events++
	return event.Event{ID: id, Type: t, Source: Source, Stream: c.stream, Time: at, Data: data}
}

func (c *character) registered(at time.Time) event.Event {
	b := []byte(`{"character_id":`)
	b = strconv.AppendInt(b, c.id, 10)
	b = append(b, `,"name":"Pilot `...)
	b = strconv.AppendInt(b, c.id-firstCharacter+1, 10)
	b = append(b, `","user_id":"u`...)
	b = strconv.AppendInt(b, (c.id-firstCharacter)/3+1, 10)
	b = append(b, `","corporation_id":`...)
	b = strconv.AppendInt(b, 98000001+c.id%40, 10)
	b = append(b, '}')
	return c.event(eve.TypeCharacterRegistered, "", contentHash(b), at, b)
}

func (c *character) journal(at time.Time, d *dice.Stream) event.Event {
	b := make([]byte, 0, 1400)
	b = append(b, `{"character_id":`...)
	b = strconv.AppendInt(b, c.id, 10)
	b = append(b, `,"day":"`...)
	b = at.AppendFormat(b, time.DateOnly)
	b = append(b, `","fetched_at":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","entries":[`...)
	// All entries lie on the day of the event, in the seconds before it.
	date := at.Truncate(time.Second)
	for i, n := 0, 1+d.IntN(9); i < n; i++ {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.entry(b, date, d)
	}
	b = append(b, "]}"...)
	return c.event(eve.TypeJournalRecorded, eve.SectionWalletJournal, contentHash(b), at, b)
}

// refTypes are the kinds of entries with the sign of their amounts.
var refTypes = [...]struct {
	name string
	sign int64
}{
	{"bounty_prizes", 1},
	{"market_transaction", 1},
	{"market_transaction", -1},
	{"transaction_tax", -1},
	{"brokers_fee", -1},
	{"contract_reward", 1},
	{"player_donation", 1},
	{"quantum_levy", -1},
}

func (c *character) entry(b []byte, date time.Time, d *dice.Stream) []byte {
	r := d.Uint64()
	kind := refTypes[r%uint64(len(refTypes))]
	// One to about 30 million ISK, small ones as often as large ones.
	amount := kind.sign * int64(100+r>>8%(1<<(4+r>>4%28)))
	c.totals.Balance += amount
	c.totals.JournalEntries++
	if amount > 0 {
		c.totals.Income += amount
	} else {
		c.totals.Expense += amount
	}
	id := c.nextID
	c.nextID += 10_000
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, id, 10)
	b = append(b, `,"date":"`...)
	b = date.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","ref_type":"`...)
	b = append(b, kind.name...)
	b = append(b, `","amount":`...)
	b = appendISK(b, amount)
	b = append(b, `,"balance":`...)
	b = appendISK(b, c.totals.Balance)
	b = append(b, `,"first_party_id":`...)
	b = strconv.AppendInt(b, c.id, 10)
	b = append(b, `,"second_party_id":`...)
	b = strconv.AppendInt(b, 1000125+int64(r>>32%30), 10)
	return append(b, `,"description":"generated"}`...)
}

func (c *character) location(at time.Time, d *dice.Stream) event.Event {
	b := []byte(`{"solar_system_id":`)
	b = strconv.AppendInt(b, 30000001+int64(d.IntN(5000)), 10)
	b = append(b, '}')
	c.totals.Location = string(b)
	return c.observed(eve.SectionLocation, at, b)
}

func (c *character) wallet(at time.Time) event.Event {
	b := appendISK(nil, c.totals.Balance)
	c.totals.Wallet = string(b)
	return c.observed(eve.SectionWallet, at, b)
}

func (c *character) details(at time.Time, d *dice.Stream) event.Event {
	b := []byte(`{"achievement_score":`)
	b = strconv.AppendInt(b, int64(d.IntN(20000)), 10)
	b = append(b, `,"birthday":"2015-03-24T11:37:00Z","bloodline_id":3,"corporation_id":`...)
	b = strconv.AppendInt(b, 98000001+int64(d.IntN(40)), 10)
	b = append(b, `,"gender":"female","name":"Pilot `...)
	b = strconv.AppendInt(b, c.id-firstCharacter+1, 10)
	b = append(b, `","race_id":2}`...)
	c.totals.Details = string(b)
	return c.observed(eve.SectionDetails, at, b)
}

func (c *character) observed(section eve.Section, at time.Time, value []byte) event.Event {
	hash := contentHash(value)
	b := make([]byte, 0, 200+len(value))
	b = append(b, `{"character_id":`...)
	b = strconv.AppendInt(b, c.id, 10)
	b = append(b, `,"section":"`...)
	b = append(b, section...)
	b = append(b, `","content_hash":"`...)
	b = append(b, hash...)
	b = append(b, `","encoding":"full","fetched_at":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","value":`...)
	b = append(b, value...)
	b = append(b, '}')
	return c.event(eve.TypeSectionObserved, section, hash, at, b)
}

// appendISK appends hundredths as a JSON number.
func appendISK(b []byte, cents int64) []byte {
	if cents < 0 {
		b, cents = append(b, '-'), -cents
	}
	b = strconv.AppendInt(b, cents/100, 10)
	if rest := cents % 100; rest != 0 {
		b = append(b, '.', byte('0'+rest/10), byte('0'+rest%10))
	}
	return b
}

// contentHash is a fast hash: good enough to tell apart what this package makes.
func contentHash(b []byte) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, xxhash.Sum64(b)))
}
