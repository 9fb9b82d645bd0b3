package eve_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// drawContent draws a value of a section with a head and two lists, of one that is
// a list, or of one that is an object.
func drawContent(t *rapid.T, section eve.Section) eve.Content {
	list := func(key string) string {
		var all []string
		for n := range 6 {
			if rapid.Bool().Draw(t, "there") {
				all = append(all, fmt.Sprintf(`{%q:%d,"x":%s}`, key, n+7, rapid.SampledFrom([]string{"1", "2", `"a"`, "null", "1.0"}).Draw(t, "x")))
			}
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	value := list("item_id")
	switch section { //nolint:exhaustive // the others are lists
	case eve.SectionContacts:
		value = fmt.Sprintf(`{"contacts":%s,"labels":%s,"y":%d}`, list("contact_id"), list("label_id"), rapid.IntRange(1, 2).Draw(t, "y"))
	case eve.SectionShip:
		value = fmt.Sprintf(`{"ship_type_id":%d}`, rapid.IntRange(1, 2).Draw(t, "ship"))
	case eve.SectionWallet:
		value = fmt.Sprint(rapid.IntRange(1, 2).Draw(t, "balance"))
	}
	content, err := eve.Dissect(section, json.RawMessage(value))
	require.NoError(t, err)
	return content
}

func TestChangesMakeTheNewContentOfTheOld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		section := rapid.SampledFrom([]eve.Section{eve.SectionContacts, eve.SectionAssets, eve.SectionShip, eve.SectionWallet}).Draw(t, "section")
		before, after := drawContent(t, section), drawContent(t, section)
		if rapid.IntRange(0, 4).Draw(t, "first") == 0 {
			before = eve.Content{Section: section}
		}
		changes := eve.Differences(before, after)
		made, err := before.Change(changes)
		require.NoError(t, err)
		if len(made.Lists) == len(after.Lists) {
			require.Equal(t, after.Hash(), made.Hash())
		} else {
			// Of the first content, lists without elements are not told.
			require.Empty(t, eve.Differences(made, after))
		}
		require.Empty(t, eve.Differences(after, after))
		require.Equal(t, len(changes) == 0, len(eve.Differences(after, before)) == 0)
		for _, c := range changes {
			require.Equal(t, c.Kind == eve.ChangeAdded, c.Before == nil)
			require.Equal(t, c.Kind == eve.ChangeRemoved, c.After == nil)
		}
	})
}

func TestChangesNameKeysAndFields(t *testing.T) {
	f := func(section eve.Section, before, after string, want ...eve.Change) {
		t.Helper()
		was, err := eve.Dissect(section, json.RawMessage(before))
		require.NoError(t, err)
		is, err := eve.Dissect(section, json.RawMessage(after))
		require.NoError(t, err)
		require.Equal(t, want, eve.Differences(was, is))
	}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	f(eve.SectionShip, `{"ship_type_id":587,"ship_name":"A"}`, `{"ship_name":"B","ship_type_id":587}`,
		eve.Change{Kind: eve.ChangeChanged, Head: true, Before: raw(`{"ship_type_id":587,"ship_name":"A"}`), After: raw(`{"ship_name":"B","ship_type_id":587}`), Fields: []string{"ship_name"}})
	f(eve.SectionShip, `{"a":1,"b":2}`, `{"b":2, "a":1}`)
	f(eve.SectionImplants, `[9,10]`, `[9,11]`, eve.Change{Kind: eve.ChangeRemoved, Key: "10", Before: raw("10")}, eve.Change{Kind: eve.ChangeAdded, Key: "11", After: raw("11")})
	f(eve.SectionSkills, `{"skills":[{"skill_id":1,"trained_skill_level":3}],"total_sp":5}`, `{"skills":[{"skill_id":1,"trained_skill_level":4,"new":true}],"total_sp":5}`,
		eve.Change{Kind: eve.ChangeChanged, List: "skills", Key: "1", Before: raw(`{"skill_id":1,"trained_skill_level":3}`), After: raw(`{"skill_id":1,"trained_skill_level":4,"new":true}`), Fields: []string{"new", "trained_skill_level"}})
}

func TestChangesThatDoNotFitAreRefused(t *testing.T) {
	content, err := eve.Dissect(eve.SectionImplants, []byte(`[1]`))
	require.NoError(t, err)
	for _, c := range []eve.Change{{Kind: eve.ChangeAdded, Key: "1"}, {Kind: eve.ChangeRemoved, Key: "2"}, {Kind: eve.ChangeChanged, Key: "2"}} {
		_, err := content.Change([]eve.Change{c})
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%+v", c)
	}
}

// followed is the chronicle of events, each with its changes.
type followed struct {
	t *testing.T
	c eve.Chronicle
}

func (f *followed) tell(p event.Payload) []eve.Change {
	f.t.Helper()
	e, err := event.New(uuid.New(), event.Character(5), "test", time.Unix(0, 0), p)
	require.NoError(f.t, err)
	changes, _, err := f.c.Follow(e, p)
	require.NoError(f.t, err)
	return changes
}

func TestAChronicleReadsDifferencesAndMakesOutWhatChangedSinceTheLastReading(t *testing.T) {
	c := eve.Chronicle{Section: eve.SectionAssets}
	var series eve.Series
	value := func(quantity int, more string) json.RawMessage {
		var all []string
		for n := range 50 {
			all = append(all, fmt.Sprintf(`{"item_id":%d,"quantity":1,"padding":%q}`, n, strings.Repeat("x", 100)))
		}
		return json.RawMessage(fmt.Sprintf(`[{"item_id":99,"quantity":%d},%s%s]`, quantity, strings.Join(all, ","), more))
	}
	var told [][]eve.Change
	for i, v := range []json.RawMessage{value(1, ""), value(2, ""), value(2, `,{"item_id":100}`), value(3, "")} {
		e, next, err := eve.Compare("test", series, eve.Snapshot{CharacterID: 5, Section: eve.SectionAssets, FetchedAt: time.Unix(int64(i), 0), Value: v})
		require.NoError(t, err)
		series = next
		var p eve.SectionObserved
		require.NoError(t, json.Unmarshal(e.Data, &p))
		require.Equal(t, i > 0, p.Encoding == eve.EncodingDelta)
		changes, first, err := c.Follow(*e, p)
		require.NoError(t, err)
		require.Equal(t, i == 0, first)
		told = append(told, changes)
	}
	require.Len(t, told[0], 51)
	require.Equal(t, []string{"99"}, keysOf(told[1]))
	require.Equal(t, []string{"100"}, keysOf(told[2]))
	require.Equal(t, []string{"100", "99"}, keysOf(told[3]))
	require.Equal(t, eve.ChangeRemoved, told[3][0].Kind)
	require.JSONEq(t, `{"item_id":99,"quantity":2}`, string(told[3][1].Before))

	// A difference from what is not known says nothing.
	stray := eve.SectionObserved{Section: eve.SectionAssets, Encoding: eve.EncodingDelta, Base: &uuid.UUID{7}, Value: json.RawMessage(`{}`)}
	changes, _, err := c.Follow(event.Event{}, stray)
	require.NoError(t, err)
	require.Empty(t, changes)
	_, _, err = c.Follow(event.Event{}, eve.SectionObserved{Section: eve.SectionAssets, Encoding: "riddle"})
	require.Equal(t, event.CodePoisoned, event.CodeOf(err))
}

func keysOf(changes []eve.Change) []string {
	var keys []string
	for _, c := range changes {
		keys = append(keys, c.Key)
	}
	return keys
}

func TestAChronicleOfFactsTellsWhatAnAmendmentChanged(t *testing.T) {
	f := followed{t, eve.Chronicle{Section: eve.SectionMails}}
	facts := func(items ...string) eve.Facts {
		out := eve.Facts{CharacterID: 5, Section: eve.SectionMails, Day: "2026-01-01"}
		for _, item := range items {
			out.Items = append(out.Items, json.RawMessage(item))
		}
		return out
	}
	require.Equal(t, []string{"1", "2"}, keysOf(f.tell(eve.MailRecorded{Facts: facts(`{"mail_id":1,"is_read":false}`, `{"mail_id":2}`)})))
	changes := f.tell(eve.MailChanged{Facts: facts(`{"mail_id":1,"is_read":true}`, `{"mail_id":2}`)})
	require.Len(t, changes, 1)
	require.Equal(t, []string{"is_read"}, changes[0].Fields)
	require.JSONEq(t, `{"mail_id":1,"is_read":true}`, string(changes[0].After))
	require.Empty(t, f.tell(eve.CharacterDisabled{CharacterID: 5}))

	j := followed{t, eve.Chronicle{Section: eve.SectionWalletJournal}}
	entry := eve.JournalEntry{ID: 7, RefType: "bounty_prizes", Amount: "1.00"}
	require.Equal(t, []string{"7"}, keysOf(j.tell(eve.JournalRecorded{Entries: []eve.JournalEntry{entry}})))
	require.Empty(t, j.tell(eve.JournalRecorded{Entries: []eve.JournalEntry{entry}}))
}

func TestAnEventTellsWhatItIsAboutWithoutBeingRead(t *testing.T) {
	base := uuid.New()
	f := func(p event.Payload, want eve.Subject) {
		t.Helper()
		data, err := json.Marshal(p)
		require.NoError(t, err)
		require.Equal(t, want, eve.About(p.EventType(), data))
	}
	f(eve.SectionObserved{Section: eve.SectionWallet, ContentHash: "h", Encoding: eve.EncodingFull, Value: json.RawMessage(`5`)}, eve.Subject{Section: eve.SectionWallet, ContentHash: "h", Encoding: eve.EncodingFull})
	f(eve.SectionObserved{Section: eve.SectionAssets, ContentHash: "h", Encoding: eve.EncodingDelta, Base: &base, Value: json.RawMessage(`{}`)},
		eve.Subject{Section: eve.SectionAssets, ContentHash: "h", Encoding: eve.EncodingDelta, Base: base})
	f(eve.SectionFailed{Section: eve.SectionMails}, eve.Subject{Section: eve.SectionMails})
	f(eve.JournalRecorded{Day: "2026-01-02"}, eve.Subject{Section: eve.SectionWalletJournal, Day: "2026-01-02"})
	f(eve.JournalClosed{Before: "2026-01-02"}, eve.Subject{Section: eve.SectionWalletJournal})
	f(eve.MailRecorded{Facts: eve.Facts{Section: eve.SectionMails, Day: "2026-01-02"}}, eve.Subject{Section: eve.SectionMails, Day: "2026-01-02"})
	f(eve.CharacterRegistered{CharacterID: 5}, eve.Subject{})
	require.Zero(t, eve.About(eve.TypeSectionObserved, []byte(`{"section":7}`)))
	require.Equal(t, eve.Subject{Section: eve.SectionWalletJournal}, eve.About(eve.TypeJournalRecorded, []byte(`{"day":7}`)))
}
