package eve_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// told is an event with its payload.
type told struct {
	event   event.Event
	payload event.Payload
}

func tell(t require.TestingT, p event.Payload) told {
	e, err := event.New(uuid.New(), event.Character(pilot), "test", fetched, p)
	require.NoError(t, err)
	return told{e, p}
}

func apply(t require.TestingT, m *eve.Model, facts ...told) {
	for _, f := range facts {
		require.NoError(t, m.Apply(f.event, f.payload))
	}
}

func TestModelFollowsTheLifeOfACharacter(t *testing.T) {
	m := eve.NewModel()
	apply(t, m, tell(t, eve.CharacterRegistered{CharacterID: pilot, Name: "Old", UserID: "u1", OwnerHash: "h1", Scopes: []string{"s"}}))
	require.Equal(t, eve.Character{
		ID: pilot, Name: "Old", UserID: "u1", OwnerHash: "h1", Scopes: []string{"s"}, Registered: true,
		Sections: map[eve.Section]eve.SectionState{}, Records: map[eve.Section]map[string]map[string]json.RawMessage{}, Failing: map[eve.Section]eve.SectionFailed{}, Journal: map[int64]eve.JournalLine{}, MailingLists: map[int64]string{},
	}, *m.Character(pilot))

	apply(t, m,
		tell(t, eve.CharacterOrphaned{CharacterID: pilot, Reason: "sold"}),
		tell(t, eve.CharacterDisabled{CharacterID: pilot, Reason: "orphan"}),
		tell(t, eve.SectionFailed{CharacterID: pilot, Section: eve.SectionWallet, Class: eve.FailureToken}))
	c := m.Character(pilot)
	require.True(t, c.Orphaned && c.Disabled && c.Registered)
	require.Empty(t, c.UserID)
	require.Equal(t, eve.FailureToken, c.Failing[eve.SectionWallet].Class)

	apply(t, m,
		tell(t, eve.CharacterReclaimed{CharacterID: pilot, UserID: "u2", OwnerHash: "h2"}),
		tell(t, eve.CharacterEnabled{CharacterID: pilot}),
		tell(t, eve.SectionRecovered{CharacterID: pilot, Section: eve.SectionWallet}),
		tell(t, eve.SectionObserved{
			CharacterID: pilot, Section: eve.SectionDetails, Encoding: eve.EncodingFull, FetchedAt: fetched,
			ContentHash: "h", Value: json.RawMessage(`{"name":"New","corporation_id":1}`),
		}))
	c = m.Character(pilot)
	require.False(t, c.Orphaned || c.Disabled)
	require.Empty(t, c.Failing)
	require.Equal(t, "New", c.Name)
	require.Equal(t, "u2", c.UserID)
	require.Equal(t, []int64{pilot}, m.IDs())
}

func TestAShareIsItsOwnersAndEndsWithHisOwnership(t *testing.T) {
	m := eve.NewModel()
	f := func(p event.Payload, want bool) {
		t.Helper()
		apply(t, m, tell(t, p))
		require.Equal(t, want, m.Character(pilot).Shared())
	}
	f(eve.CharacterRegistered{CharacterID: pilot, UserID: "u1"}, false)
	f(eve.CharacterShared{CharacterID: pilot, UserID: "u1"}, true)
	f(eve.CharacterReclaimed{CharacterID: pilot, UserID: "u1"}, true)
	f(eve.CharacterUnshared{CharacterID: pilot}, false)
	f(eve.CharacterShared{CharacterID: pilot, UserID: "u1"}, true)
	f(eve.CharacterReclaimed{CharacterID: pilot, UserID: "u2"}, false)
	f(eve.CharacterShared{CharacterID: pilot, UserID: "u2"}, true)
	f(eve.CharacterOrphaned{CharacterID: pilot}, false)
	f(eve.CharacterReclaimed{CharacterID: pilot, UserID: "u2"}, false)
}

func TestModelRefusesWhatCannotBeFoldedAndStaysAsItWas(t *testing.T) {
	m := eve.NewModel()
	for _, p := range []event.Payload{
		eve.SectionObserved{Section: eve.SectionWallet, Encoding: eve.EncodingDelta, Value: json.RawMessage(`{}`)},
		eve.SectionObserved{Section: eve.SectionDetails, Encoding: eve.EncodingFull, Value: json.RawMessage(`{}`)},
		eve.JournalRecorded{Entries: []eve.JournalEntry{{ID: 1, Amount: "1"}, {ID: 2, Amount: "1e300"}}},
		eve.JournalRecorded{Entries: []eve.JournalEntry{{ID: 1, Balance: "-1e300"}}},
	} {
		f := tell(t, p)
		require.Equal(t, event.CodePoisoned, event.CodeOf(m.Apply(f.event, f.payload)))
	}
	require.Nil(t, m.Character(pilot))
}

func TestModelPassesOverOtherStreams(t *testing.T) {
	m := eve.NewModel()
	f := tell(t, eve.CharacterDisabled{CharacterID: pilot})
	f.event.Stream = event.User("u1")
	apply(t, m, f)
	require.Empty(t, m.IDs())
}

func TestRepeatedEventsCountOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var facts []told
		sum := eve.ISK(0)
		for id := range int64(rapid.IntRange(1, 20).Draw(t, "entries")) {
			cents := eve.ISK(rapid.Int64Range(-1e12, 1e12).Draw(t, "cents"))
			sum += cents
			facts = append(facts, tell(t, eve.JournalRecorded{CharacterID: pilot, Entries: []eve.JournalEntry{
				{ID: id, Date: time.Now(), Amount: json.Number(cents.String())},
			}}))
		}
		// A crash repeats the end of what was appended.
		again := rapid.IntRange(0, len(facts)).Draw(t, "again")
		m := eve.NewModel()
		apply(t, m, slices.Concat(facts, facts[again:])...)
		require.Equal(t, sum, m.Character(pilot).JournalSum())
	})
}

func TestMailingListsThatWereLeftKeepTheirNames(t *testing.T) {
	m := eve.NewModel()
	for _, lists := range []string{`[{"mailing_list_id":1,"name":"Fleets"},{"mailing_list_id":2,"name":"Intel"}]`, `[{"mailing_list_id":2,"name":"Red"},{"mailing_list_id":3},7]`} {
		value := json.RawMessage(`{"labels":[],"lists":` + lists + `}`)
		if lists[len(lists)-2] == '7' {
			require.Equal(t, map[int64]string{2: "Red"}, eve.MailingLists(value), "what cannot be read is passed over")
			value = json.RawMessage(`{"labels":[],"lists":[{"mailing_list_id":2,"name":"Red"}]}`)
		}
		apply(t, m, tell(t, eve.SectionObserved{CharacterID: pilot, Section: eve.SectionMails, Encoding: eve.EncodingFull, FetchedAt: fetched, ContentHash: lists, Value: value}))
	}
	require.Equal(t, map[int64]string{1: "Fleets", 2: "Red"}, m.Character(pilot).MailingLists)
	require.Empty(t, eve.MailingLists([]byte(`[]`)))
}
