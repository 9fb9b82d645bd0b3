package retention_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
)

const pilot = 90000001

var now = time.Date(2026, 11, 20, 15, 30, 0, 0, time.UTC)

func ago(days int, more ...time.Duration) time.Time {
	at := now.AddDate(0, 0, -days)
	for _, d := range more {
		at = at.Add(d)
	}
	return at
}

// stream makes facts in order of the log.
type stream struct{ facts []retention.Fact }

func (s *stream) add(t event.Type, about eve.Subject, at time.Time) uuid.UUID {
	f := retention.Fact{ID: uuid.New(), Type: t, Subject: about, Time: at, Offset: int64(len(s.facts))}
	s.facts = append(s.facts, f)
	return f.ID
}

func (s *stream) observe(section eve.Section, at time.Time) uuid.UUID {
	return s.add(eve.TypeSectionObserved, eve.Subject{Section: section, Encoding: eve.EncodingFull}, at)
}

func (s *stream) differ(section eve.Section, base uuid.UUID, at time.Time) uuid.UUID {
	return s.add(eve.TypeSectionObserved, eve.Subject{Section: section, Encoding: eve.EncodingDelta, Base: base}, at)
}

func (s *stream) tell(t event.Type, section eve.Section, day, fetched time.Time) uuid.UUID {
	return s.add(t, eve.Subject{Section: section, Day: day.Format(time.DateOnly)}, fetched)
}

func gone(expired []retention.Expired) map[uuid.UUID]retention.Reason {
	ids := map[uuid.UUID]retention.Reason{}
	for _, x := range expired {
		ids[x.ID] = x.Reason
	}
	return ids
}

func TestHistoryGoesByTheDayThatItTellsOf(t *testing.T) {
	var s stream
	old := s.tell(eve.TypeMailRecorded, eve.SectionMails, ago(361), ago(2))
	s.tell(eve.TypeMailRecorded, eve.SectionMails, ago(360), ago(300))
	young := s.tell(eve.TypeContractChanged, eve.SectionContracts, ago(3), ago(3))
	s.tell(eve.TypeKillmailRecorded, eve.SectionKillmails, ago(2000), ago(2000))
	s.add(eve.TypeCharacterRegistered, eve.Subject{}, ago(2000))
	expired := retention.DefaultPolicies().Expire(s.facts, now)
	require.Equal(t, map[uuid.UUID]retention.Reason{old: retention.ReasonAge}, gone(expired))
	require.Equal(t, time.Date(2025, 11, 25, 0, 0, 0, 0, time.UTC), expired[0].CutOff)
	tomb := expired[0].Tombstone(event.Character(pilot), now)
	require.True(t, tomb.IsTombstone())
	require.Equal(t, "history", tomb.Expiry.Policy)

	off := retention.DefaultPolicies()
	off.HistoryDays = 0
	require.Empty(t, off.Expire(s.facts, now))
	_ = young
}

func TestTheStateOfAnyMomentThatCanBeAskedForStays(t *testing.T) {
	var s stream
	long := s.observe(eve.SectionShip, ago(700))
	longer := s.observe(eve.SectionShip, ago(500))
	s.observe(eve.SectionShip, ago(100))
	alone := s.observe(eve.SectionDetails, ago(2000))
	ids := gone(retention.DefaultPolicies().Expire(s.facts, now))
	require.Equal(t, map[uuid.UUID]retention.Reason{long: retention.ReasonSuperseded}, ids, "the ship of 500 days ago was the ship until 100 days ago")
	require.NotContains(t, ids, longer)
	require.NotContains(t, ids, alone, "the latest never goes")
}

func TestAfterThirtyDaysTheLastOfEachDayIsLeft(t *testing.T) {
	var s stream
	noon := now.AddDate(0, 0, -40).Truncate(24 * time.Hour).Add(12 * time.Hour)
	first := s.observe(eve.SectionLocation, noon)
	s.observe(eve.SectionLocation, noon.Add(time.Hour))
	mail := s.observe(eve.SectionMails, noon)
	s.observe(eve.SectionMails, noon.Add(time.Hour))
	young := s.observe(eve.SectionOnline, ago(2))
	s.observe(eve.SectionOnline, ago(2, time.Minute))
	ids := gone(retention.DefaultPolicies().Expire(s.facts, now))
	require.Equal(t, map[uuid.UUID]retention.Reason{first: retention.ReasonThinned}, ids)
	require.NotContains(t, ids, mail, "the names of mailing lists that were left are nowhere else")
	require.NotContains(t, ids, young)
}

func TestAFullObservationStaysWhileADifferenceNamesIt(t *testing.T) {
	var s stream
	base := s.observe(eve.SectionAssets, ago(800))
	old := s.differ(eve.SectionAssets, base, ago(790))
	s.differ(eve.SectionAssets, base, ago(780))
	require.Equal(t, map[uuid.UUID]retention.Reason{old: retention.ReasonSuperseded}, gone(retention.DefaultPolicies().Expire(s.facts, now)))
}

func TestWhatLiesBeforeACharacterWasForgottenGoesAtOnce(t *testing.T) {
	var s stream
	registered := s.add(eve.TypeCharacterRegistered, eve.Subject{}, ago(3))
	ship := s.observe(eve.SectionShip, ago(2))
	s.observe(eve.SectionOnline, ago(2))
	s.add(eve.TypeCharacterForgotten, eve.Subject{}, ago(1))
	again := s.facts[2]
	again.Offset = 4
	s.facts = append(s.facts, again)
	expired := retention.Policies{}.Expire(s.facts, now)
	require.Equal(t, map[uuid.UUID]retention.Reason{registered: retention.ReasonForgotten, ship: retention.ReasonForgotten}, gone(expired))
	require.Len(t, expired, 2)
}

func TestAnEventStaysWhileOneOfItsCopiesDoes(t *testing.T) {
	var s stream
	s.observe(eve.SectionShip, ago(800))
	replaced := s.observe(eve.SectionShip, ago(700))
	again := s.facts[0]
	again.Time, again.Offset = ago(600), 2
	s.facts = append(s.facts, again)
	require.Equal(t, map[uuid.UUID]retention.Reason{replaced: retention.ReasonSuperseded}, gone(retention.DefaultPolicies().Expire(s.facts, now)))
}

func TestOfTheClosingsOfAJournalTheLastStays(t *testing.T) {
	var s stream
	old := s.add(eve.TypeJournalClosed, eve.Subject{Section: eve.SectionWalletJournal}, ago(30))
	s.add(eve.TypeJournalClosed, eve.Subject{Section: eve.SectionWalletJournal}, ago(29))
	require.Equal(t, map[uuid.UUID]retention.Reason{old: retention.ReasonClosed}, gone(retention.DefaultPolicies().Expire(s.facts, now)))
}

func TestPoliciesAreBounded(t *testing.T) {
	p, warnings := retention.Policies{HistoryDays: 3, StateDays: 20, StateAllDays: 30}.Bounded()
	require.Equal(t, retention.Policies{HistoryDays: 7, StateDays: 20, StateAllDays: 20}, p)
	require.Len(t, warnings, 2)
	same, warnings := retention.DefaultPolicies().Bounded()
	require.Equal(t, retention.DefaultPolicies(), same)
	require.Empty(t, warnings)
	for text, want := range map[string]int{"360": 360, "\tNone\n": 0, "1": 1} {
		days, err := retention.ParseDays(text)
		require.NoError(t, err)
		require.Equal(t, want, days)
	}
	for _, text := range []string{"", "0", "-1", "12h", "1000000"} {
		_, err := retention.ParseDays(text)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), text)
	}
}

// life is a made-up life of a character, as the rules of this world make it.
func life(t *rapid.T) ([]retention.Fact, []event.Event, []event.Payload) {
	var facts []retention.Fact
	var events []event.Event
	var payloads []event.Payload
	at := ago(900)
	put := func(id uuid.UUID, p event.Payload) {
		e, err := event.New(id, event.Character(pilot), "test", at, p)
		require.NoError(t, err)
		facts = append(facts, retention.Fact{ID: e.ID, Type: e.Type, Subject: eve.About(e.Type, e.Data), Time: e.Time, Offset: int64(len(facts))})
		events, payloads = append(events, e), append(payloads, p)
	}
	put(uuid.New(), eve.CharacterRegistered{CharacterID: pilot, Name: "Pilot", UserID: "u1"})
	series := map[eve.Section]eve.Series{}
	var contacts []int
	for i := range rapid.IntRange(1, 25).Draw(t, "steps") {
		at = at.Add(time.Duration(rapid.IntRange(1, 60*24*50).Draw(t, "minutes")) * time.Minute)
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0:
			observe(t, series, eve.SectionShip, fmt.Sprintf(`{"ship_item_id":%d,"ship_name":"a","ship_type_id":1}`, i+1), at, put)
		case 1:
			for n := range 120 {
				contacts = append(contacts, i*1000+n+1)
			}
			observe(t, series, eve.SectionContacts, contactsOf(contacts), at, put)
		case 2:
			contacts = append(contacts, i*1000+999)
			observe(t, series, eve.SectionContacts, contactsOf(contacts), at, put)
		case 3:
			day := at.AddDate(0, 0, -rapid.IntRange(0, 40).Draw(t, "earlier"))
			put(uuid.New(), eve.MailRecorded{Facts: eve.Facts{
				CharacterID: pilot, Section: eve.SectionMails, Day: day.Format(time.DateOnly), FetchedAt: at,
				Items: []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"mail_id":%d,"timestamp":%q}`, i+1, day.Format(time.RFC3339)))},
			}})
		case 4:
			observe(t, series, eve.SectionMails, fmt.Sprintf(`{"labels":[],"lists":[{"mailing_list_id":%d,"name":"l"}]}`, rapid.IntRange(1, 3).Draw(t, "list")), at, put)
		}
	}
	return facts, events, payloads
}

func contactsOf(ids []int) string {
	value := make([]map[string]any, len(ids))
	for i, id := range ids {
		value[i] = map[string]any{"contact_id": id, "contact_type": "character", "standing": 1, "note": "long enough to be worth a difference"}
	}
	raw, err := json.Marshal(map[string]any{"contacts": value, "labels": []int{}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func observe(t *rapid.T, series map[eve.Section]eve.Series, s eve.Section, value string, at time.Time, put func(uuid.UUID, event.Payload)) {
	e, next, err := eve.Compare("test", series[s], eve.Snapshot{CharacterID: pilot, Section: s, FetchedAt: at, Value: json.RawMessage(value)})
	require.NoError(t, err)
	if e == nil {
		return
	}
	var p eve.SectionObserved
	require.NoError(t, json.Unmarshal(e.Data, &p))
	put(e.ID, p)
	series[s] = next
}

// What is left is readable, folds to the same present state, and loses nothing at a
// second look; and time only adds to what goes.
func TestWhatIsLeftFoldsToTheSamePresentState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts, events, payloads := life(t)
		policies := retention.Policies{
			HistoryDays: rapid.SampledFrom([]int{0, 7, 100, 360}).Draw(t, "history"), StateDays: rapid.SampledFrom([]int{0, 10, 360}).Draw(t, "state"),
			StateAllDays: rapid.SampledFrom([]int{0, 5, 30}).Draw(t, "all"),
		}
		expired := policies.Expire(facts, now)
		ids := gone(expired)
		whole, left := eve.NewModel(), eve.NewModel()
		var rest []retention.Fact
		for i, e := range events {
			require.NoError(t, whole.Apply(e, payloads[i]))
			if _, is := ids[e.ID]; !is {
				rest = append(rest, facts[i])
				require.NoError(t, left.Apply(e, payloads[i]), "a difference is readable")
			}
		}
		for _, x := range expired {
			whole.Expire(pilot, x.ID)
			if x.Class == retention.ClassHistory {
				whole.ExpireHistory(pilot, x.CutOff)
			}
		}
		a, b := whole.Character(pilot), left.Character(pilot)
		require.Equal(t, a.Sections, b.Sections)
		require.Equal(t, a.MailingLists, b.MailingLists)
		require.Len(t, b.Records[eve.SectionMails], len(a.Records[eve.SectionMails]))
		for key, record := range a.Records[eve.SectionMails] {
			require.Equal(t, record, b.Records[eve.SectionMails][key])
		}
		require.Equal(t, a.Name, b.Name)
		require.Empty(t, policies.Expire(rest, now), "what was looked at once gives nothing at a second look")
		later := gone(policies.Expire(facts, now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "days"))*24*time.Hour)))
		for id := range ids {
			require.Contains(t, later, id, "time only adds")
		}
	})
}
