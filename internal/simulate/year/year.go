// Package year makes a year of an organisation of EVE characters: the events, as Muster
// appends them, and beside them the plain facts, which are the record that answers about
// the year are judged by.
//
// Everything follows from the seed and the size. Days go by for all characters together,
// so that the log has the order that it would have had.
package year

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/simulate/dice"
)

const (
	// Source is the source attribute of all events.
	Source = "muster/simulate/year"

	// Days is how many days a year has.
	Days = 365

	// FirstCharacter is where the ids of characters begin.
	FirstCharacter = 91_000_001
	// FirstCorporation is where those of corporations begin.
	FirstCorporation = 98_000_101
	// FirstType is where those of types begin.
	FirstType = 1_001
	// Types is how many types are traded, mined, flown and lost; of the last of them
	// nobody knows a price.
	Types = 60
	// Corporations is how many corporations there are.
	Corporations = 12
	// PerUser is how many characters a user owns.
	PerUser = 5
)

// Start is when the year begins.
func Start() time.Time { return time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC) }

// End is when the year is over.
func End() time.Time { return Start().AddDate(0, 0, Days) }

// Config says how large a year is.
type Config struct {
	Characters int
	// Rows is about how many facts happen to all characters together.
	Rows int
	Seed uint64
}

// Sink takes events in the order of the log; it may keep them.
type Sink func(ctx context.Context, events ...event.Event) error

// Generate makes the year: it tells of each fact, and hands the events of each day to
// sink, which works while the next day is made. It stops with sink's first error. tell is
// never called twice at a time.
func Generate(ctx context.Context, c Config, sink Sink, tell func(fact any)) error {
	g := &generator{Config: c, tell: tell, dice: dice.New(c.Seed, 1), wheel: wheel()}
	g.perDay = float64(c.Rows) / float64(c.Characters) / Days
	g.characters = make([]*character, c.Characters)
	for i := range g.characters {
		g.characters[i] = newCharacter(g, i)
	}
	group, ctx := errgroup.WithContext(ctx)
	days := make(chan []event.Event)
	group.Go(func() error {
		for events := range days {
			if err := sink(ctx, events...); err != nil {
				return fmt.Errorf("appending a day of the year: %w", err)
			}
		}
		return nil
	})
	group.Go(func() error {
		defer close(days)
		g.begin()
		for day := range Days {
			at := Start().AddDate(0, 0, day)
			g.organisation(day, at)
			for _, c := range g.characters {
				c.day(day, at)
			}
			events := g.events
			g.events = make([]event.Event, 0, len(events)+len(events)/8)
			select {
			case days <- events:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// generator makes a year.
type generator struct {
	Config

	tell       func(fact any)
	dice       dice.Stream
	characters []*character
	users      []*user
	// perDay is how many facts happen to a character a day.
	perDay float64
	wheel  []kind
	events []event.Event
}

// newID is an id as good as the real ones: they look random.
func newID(d *dice.Stream) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], d.Uint64())
	binary.BigEndian.PutUint64(id[8:], d.Uint64())
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	return id
}

// add appends an event and gives back its id. Now and then it is there twice, as after a
// crash.
func (g *generator) add(d *dice.Stream, stream event.Stream, at time.Time, p event.Payload) uuid.UUID {
	e, err := event.New(newID(d), stream, Source, at, p)
	if err != nil {
		panic(fmt.Errorf("BUG: the simulated year has an event that cannot be: %w", err))
	}
	g.events = append(g.events, e)
	const twice = 0.002
	if d.Chance(twice) {
		g.events = append(g.events, e)
	}
	return e.ID
}

// count draws a number whose mean is given.
func count(d *dice.Stream, mean float64) int {
	x := 2 * mean * d.Float()
	n := int(x)
	if d.Chance(x - float64(n)) {
		n++
	}
	return n
}

// moment is a moment within a day, in milliseconds.
func moment(d *dice.Stream, day time.Time) time.Time {
	const milliseconds = 24 * 60 * 60 * 1000
	return day.Add(time.Duration(d.IntN(milliseconds)) * time.Millisecond)
}

// pick is one of several.
func pick[T any](d *dice.Stream, of []T) T { return of[d.IntN(len(of))] }

// isk is an amount as ESI sends it: now and then with the long tail of a float.
func isk(d *dice.Stream, hundredths int64) string {
	sign := ""
	if hundredths < 0 {
		sign, hundredths = "-", -hundredths
	}
	const tails = 25
	switch n := d.IntN(tails); {
	case n == 0 && hundredths > 0:
		hundredths--
		return fmt.Sprintf("%s%d.%02d999999997", sign, hundredths/100, hundredths%100)
	case n == 1:
		return fmt.Sprintf("%s%d.%02d0000001", sign, hundredths/100, hundredths%100)
	case hundredths%100 == 0:
		return sign + strconv.FormatInt(hundredths/100, 10)
	default:
		return fmt.Sprintf("%s%d.%02d", sign, hundredths/100, hundredths%100)
	}
}

// character is one of those to whom things happen.
type character struct {
	g      *generator
	dice   dice.Stream
	index  int
	id     int64
	stream event.Stream
	// activity is how much happens to it, 1 being the mean; first is its first day.
	activity float64
	first    int
	// homeless tells that nobody knows its corporation; silent that it has no journal.
	homeless, silent bool
	corporation      int64

	balance, lastEntry int64
	previous           *eve.JournalEntry
	ids                int64
	contracts          []*contract
	skills             skills
	presence           presence
	failing            map[eve.Section]eve.FailureClass
}

func newCharacter(g *generator, index int) *character {
	const homeless, silent, late = 0.01, 0.02, 0.1
	c := &character{
		g: g, dice: dice.New(g.Seed, 2, uint64(index)), index: index, id: FirstCharacter + int64(index), failing: map[eve.Section]eve.FailureClass{},
	}
	c.stream = event.Character(c.id)
	c.activity = 0.4 + 1.2*c.dice.Float()
	c.homeless, c.silent = c.dice.Chance(homeless), c.dice.Chance(silent)
	if c.dice.Chance(late) {
		c.first = c.dice.IntN(Days)
	}
	if !c.homeless {
		c.corporation = FirstCorporation + int64(index*Corporations/g.Characters)
	}
	c.balance = int64(c.dice.LogNormal(5e10, 1))
	return c
}

// user is the one who owns the character.
func (c *character) user() string { return userName(c.index / PerUser) }

// name is what the character is called.
func (c *character) name() string { return fmt.Sprintf("Pilot %05d", c.index) }

// mean is how many facts of a kind happen to the character on a day, if the kind has that
// share of all.
func (c *character) mean(share float64) float64 { return share * c.g.perDay * c.activity }

// told tells that a section was read and said something new.
func (c *character) told(s eve.Section, at time.Time) {
	c.g.tell(&Step{Character: c.id, Section: string(s), Kind: "told", At: at})
}

// add appends an event of the character.
func (c *character) add(at time.Time, p event.Payload) uuid.UUID {
	return c.g.add(&c.dice, c.stream, at, p)
}

// observe appends a full observation of a section.
func (c *character) observe(s eve.Section, at time.Time, value []byte) uuid.UUID {
	c.told(s, at)
	return c.add(at, eve.SectionObserved{CharacterID: c.id, Section: s, ContentHash: hash(s, value), Encoding: eve.EncodingFull, FetchedAt: at, Value: value})
}

// Shares of the kinds of facts. The rest is what is observed of a character's state.
const (
	shareJournal       = 0.86
	shareTrades        = 0.085
	shareMining        = 0.015
	shareMails         = 0.012
	shareNotifications = 0.015
	shareContracts     = 0.003
	shareKillmails     = 0.003
	shareLooks         = 0.007
)

// day is what happens to the character on a day.
func (c *character) day(n int, day time.Time) {
	if n < c.first {
		return
	}
	if n == c.first {
		c.register(day)
	}
	c.move(n, day)
	c.journal(day)
	c.seeWallet(n, day)
	c.trade(day)
	c.mine(day)
	c.write(day)
	c.notified(day)
	c.contract(day)
	c.fight(day)
	c.comeOnline(day)
	c.learn(n, day)
	c.fail(day)
}

// register puts the character under Muster's care.
func (c *character) register(day time.Time) {
	at := day.Add(time.Duration(c.index%1000) * time.Millisecond)
	c.add(at, eve.CharacterRegistered{CharacterID: c.id, Name: c.name(), UserID: c.user(), CorporationID: c.corporation})
	if !c.homeless {
		c.g.tell(&Stay{Character: c.id, Corporation: c.corporation, Since: at})
	}
}

// move has the character change its corporation, once or twice a year.
func (c *character) move(n int, day time.Time) {
	const moves = 1.5 / Days
	if c.homeless || n == c.first || !c.dice.Chance(moves) {
		return
	}
	at := moment(&c.dice, day)
	c.corporation = FirstCorporation + int64(c.dice.IntN(Corporations))
	c.g.tell(&Stay{Character: c.id, Corporation: c.corporation, Since: at})
	c.observe(eve.SectionDetails, at, fmt.Appendf(nil, `{"birthday":"2015-03-24T11:37:00Z","bloodline_id":3,"corporation_id":%d,"gender":"female","name":%q,"race_id":2,"security_status":%d.5}`,
		c.corporation, c.name(), c.dice.IntN(5)))
}

// fail begins and ends spells in which sections cannot be read.
func (c *character) fail(day time.Time) {
	const begins, ends = 0.01, 0.3
	for _, s := range []eve.Section{eve.SectionAssets, eve.SectionMails, eve.SectionContracts} {
		at := moment(&c.dice, day)
		class, fails := c.failing[s]
		switch {
		case !fails && c.dice.Chance(begins), fails && c.dice.Chance(begins):
			other := pick(&c.dice, []eve.FailureClass{eve.FailureToken, eve.FailureServer, eve.FailureForbidden, eve.FailureNetwork})
			if other == class {
				continue
			}
			c.failing[s] = other
			c.g.tell(&Step{Character: c.id, Section: string(s), Kind: "failed", Class: string(other), At: at})
			c.add(at, eve.SectionFailed{CharacterID: c.id, Section: s, Class: other, Status: 500, Message: "ESI answered 500", Since: at})
		case fails && c.dice.Chance(ends):
			delete(c.failing, s)
			c.g.tell(&Step{Character: c.id, Section: string(s), Kind: "recovered", At: at})
			c.add(at, eve.SectionRecovered{CharacterID: c.id, Section: s, Since: at})
		}
	}
}
