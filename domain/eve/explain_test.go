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

// story is a character's stream in the making.
type story struct {
	t     require.TestingT
	facts []eve.Fact
}

func (s *story) tell(at time.Time, p event.Payload) *story {
	e, err := event.New(uuid.New(), event.Character(7), "test", at, p)
	require.NoError(s.t, err)
	if p.EventType() == eve.TypeSkillSetDefined {
		e.Actor = "user:ada"
	}
	s.facts = append(s.facts, eve.Fact{Recorded: event.Recorded{Event: e, Position: event.Position{Topic: event.TopicEVE, Partition: 3, Offset: int64(len(s.facts))}}, Payload: p})
	return s
}

func (s *story) see(at time.Time, section eve.Section, value string) *story {
	return s.tell(at, eve.SectionObserved{CharacterID: 7, Section: section, Encoding: eve.EncodingFull, FetchedAt: at, Value: json.RawMessage(value)})
}

func factsOf(section eve.Section, at time.Time, items ...string) eve.Facts {
	f := eve.Facts{CharacterID: 7, Section: section, Day: at.Format(time.DateOnly), FetchedAt: at}
	for _, item := range items {
		f.Items = append(f.Items, json.RawMessage(item))
	}
	return f
}

// spoken are parts as a text, ids by their kind and number.
func spoken(parts []eve.Part) string {
	var out strings.Builder
	for _, p := range parts {
		if p.Kind != "" {
			fmt.Fprintf(&out, "<%s %d>", p.Kind, p.ID)
		}
		out.WriteString(p.Text)
	}
	return out.String()
}

// stepsOf are steps as lines: the offset of the event, the kind and the words.
func stepsOf(t require.TestingT, facts []eve.Fact, steps []eve.Step) []string {
	var lines []string
	for _, s := range steps {
		// Each step names the event that lies at its place.
		require.Equal(t, facts[s.Position.Offset].ID, s.EventID)
		require.NotEmpty(t, s.Words)
		require.False(t, s.At.IsZero())
		lines = append(lines, fmt.Sprintf("%d %s: %s", s.Position.Offset, s.Kind, spoken(s.Words)))
	}
	return lines
}

func at(hour int) time.Time { return ledgerDay.Add(time.Duration(hour) * time.Hour) }

func clock(hour int) string { return at(hour).Format(time.RFC3339) }

func TestABalanceIsExplainedByItsEntriesAndBreaks(t *testing.T) {
	s := (&story{t: t}).
		tell(at(0), eve.CharacterRegistered{CharacterID: 7, UserID: "u"}).
		tell(at(2), read(at(2), line(1, at(1), "10", "110"), line(2, at(2), "-5", "105"))).
		tell(at(24), eve.SectionFailed{CharacterID: 7, Section: eve.SectionWalletJournal, Class: eve.FailureToken, Message: "login again", Since: at(24)}).
		tell(at(60*24), eve.SectionRecovered{CharacterID: 7, Section: eve.SectionWalletJournal, Since: at(60 * 24)}).
		tell(at(60*24), read(at(60*24), line(9, at(59*24), "1", "146")))
	x, err := eve.ExplainBalance(s.facts, eve.BalanceQuestion{})
	require.NoError(t, err)
	require.Equal(t, eve.BalanceDiffers, x.Verdict)
	require.Equal(t, at(2), x.Since)
	require.Equal(t, "The balance went from 100.00 ISK to 146.00 ISK: 3 entries brought in 11.00 ISK and took out 5.00 ISK, and 40.00 ISK are not accounted for.", x.Words[0])
	require.Equal(t, []eve.TypeSum{{RefType: "x", Entries: 3, Sum: 600}}, x.Types)
	lines := stepsOf(t, s.facts, x.Steps)
	require.Len(t, lines, 6)
	require.Equal(t, "1 entry: Entry 1 (x) of 10.00 ISK left 110.00 ISK.", lines[0])
	require.Equal(t, "1 entry: Entry 2 (x) of -5.00 ISK left 105.00 ISK.", lines[1])
	require.Equal(t, "2 cause: The journal could not be read (token): login again.", lines[2])
	require.Equal(t, "4 entry: Entry 9 (x) of 1.00 ISK left 146.00 ISK.", lines[3])
	require.Contains(t, lines[4], "4 gap: Entries are missing after 2")
	require.Equal(t, "3 cause: It ended: The journal could not be read (token): login again.", lines[5])

	// Only a part, with the balance that it began with; and only one break.
	x, err = eve.ExplainBalance(s.facts, eve.BalanceQuestion{Until: at(48)})
	require.NoError(t, err)
	require.Equal(t, "105.00", x.Closing.String())
	x, err = eve.ExplainBalance(s.facts, eve.BalanceQuestion{Since: at(2), Until: at(3)})
	require.NoError(t, err)
	require.Equal(t, []string{"110.00", "105.00", "0.00"}, []string{x.Opening.String(), x.Closing.String(), x.Missing.String()})
	x, err = eve.ExplainBalance(s.facts, eve.BalanceQuestion{Entry: 9})
	require.NoError(t, err)
	require.Len(t, x.Breaks, 1)
	require.Len(t, stepsOf(t, s.facts, x.Steps), 5, "the entries around it, the break, and its cause from the beginning to the end")
	_, err = eve.ExplainBalance(s.facts, eve.BalanceQuestion{Entry: 1})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	x, err = eve.ExplainBalance(nil, eve.BalanceQuestion{})
	require.NoError(t, err)
	require.Equal(t, eve.BalanceUnknown, x.Verdict)
}

func TestABalanceThatRetentionClosedSaysSo(t *testing.T) {
	s := (&story{t: t}).
		tell(at(0), closed("2026-01-11", 3, 3, at(9*24), "30", "130")).
		tell(at(12*24), read(at(12*24), line(4, at(11*24), "5", "135")))
	x, err := eve.ExplainBalance(s.facts, eve.BalanceQuestion{})
	require.NoError(t, err)
	require.Equal(t, eve.BalanceAccounted, x.Verdict)
	lines := stepsOf(t, s.facts, x.Steps)
	require.Contains(t, lines[0], "0 before: Entries of before 2026-01-11 are kept no longer: 3 of them, with a sum of 30.00 ISK, were closed, which left a balance of 130.00 ISK.")
	require.Contains(t, x.Words[0], "from 130.00 ISK to 135.00 ISK")
	require.Contains(t, x.Words[0], "which accounts for it")
}

const hangar = `"location_id":60003760,"location_type":"station","location_flag":"Hangar"`

func TestAnAssetIsFollowedWhereverItGoes(t *testing.T) {
	list := func(items ...string) string { return "[" + strings.Join(items, ",") + "]" }
	box := `{"item_id":5,"type_id":3293,"quantity":1,` + hangar + `}`
	moved := strings.Replace(box, "60003760", "60008494", 1)
	boxed := func(quantity int) string {
		return fmt.Sprintf(`{"item_id":9,"type_id":34,"quantity":%d,"location_id":5,"location_type":"item","location_flag":"Unlocked"}`, quantity)
	}
	sale := func(id, hour, quantity int, buy bool) string {
		return fmt.Sprintf(`{"transaction_id":%d,"date":%q,"type_id":34,"quantity":%d,"is_buy":%v,"is_personal":true,"client_id":8,"unit_price":1}`, id, clock(hour), quantity, buy)
	}
	s := (&story{t: t}).
		see(at(0), eve.SectionAssets, list(box)).
		see(at(10), eve.SectionAssets, list(box, `{"item_id":9,"type_id":34,"quantity":100,`+hangar+`}`)).
		see(at(20), eve.SectionAssets, list(box, boxed(100))).
		see(at(30), eve.SectionAssets, list(moved, boxed(100))).
		see(at(40), eve.SectionAssets, list(moved, boxed(60))).
		tell(at(41), eve.TransactionsRecorded{Facts: factsOf(eve.SectionWalletTransactions, at(39), sale(1, 38, 40, false), sale(2, 38, 40, true), sale(3, 35, 7, false), sale(4, 20, 40, false))}).
		tell(at(42), eve.SectionFailed{CharacterID: 7, Section: eve.SectionAssets, Class: eve.FailureServer, Message: "502", Since: at(42)}).
		tell(at(45), eve.SectionRecovered{CharacterID: 7, Section: eve.SectionAssets}).
		see(at(50), eve.SectionAssets, "[]").
		tell(at(51), eve.KillmailRecorded{Facts: factsOf(eve.SectionKillmails, at(47),
			fmt.Sprintf(`{"killmail_id":3,"killmail_time":%q,"victim":{"character_id":7,"ship_type_id":587,"items":[{"item_type_id":34,"quantity_destroyed":20,"quantity_dropped":40}]}}`, clock(47)),
			fmt.Sprintf(`{"killmail_id":4,"killmail_time":%q,"victim":{"character_id":8,"ship_type_id":587,"items":[{"item_type_id":34,"quantity_destroyed":60}]}}`, clock(47)))}).
		tell(at(51), eve.ContractRecorded{Facts: factsOf(eve.SectionContracts, at(46), fmt.Sprintf(`{"contract_id":7,"type":"item_exchange","status":"outstanding","issuer_id":7,"assignee_id":99,"date_issued":%q}`, clock(46)))}).
		tell(at(52), eve.ContractChanged{Facts: factsOf(eve.SectionContracts, at(46), `{"contract_id":7,"items":[{"record_id":1,"type_id":34,"quantity":61,"is_included":true},{"record_id":2,"type_id":34,"quantity":5,"is_included":false}]}`)})
	x, err := eve.ExplainAsset(7, 9, s.facts)
	require.NoError(t, err)
	require.Equal(t, []string{
		"1 seen: Seen for the first time: 100 of <type 34> at <loc 60003760> (Hangar).",
		"2 moved: Moved: it was at <loc 60003760> (Hangar) and is in item 5 (Unlocked).",
		"3 container_moved: Item 5, a <type 3293> that it is in, is at <loc 60008494> (Hangar) now.",
		"4 quantity_changed: Quantity changed from 100 to 60.",
		"6 not_read: The assets could not be read (server): 502.",
		"7 read_again: The assets could be read again.",
		"8 container_gone: Item 5, a <type 3293> that it was in, is not among the assets any more.",
		"8 gone: Not among the assets any more. It was last seen in item 5 (Unlocked) in the reading of 2026-01-02T16:00:00Z.",
	}, stepsOf(t, s.facts, x.Steps))
	require.Equal(t, eve.AssetGone, x.Verdict)
	require.Equal(t, at(50), x.Since)
	require.Equal(t, int64(34), x.TypeID)
	require.Equal(t, []int64{5}, x.Last.In)
	require.Len(t, x.Losses, 2)
	matches := func(loss eve.AssetLoss) (lines []string) {
		for _, m := range loss.Matches {
			require.False(t, m.Certain, "ESI names no item")
			lines = append(lines, fmt.Sprintf("%d %s %d %v", m.Position.Offset, m.Kind, m.Quantity, m.Exact))
		}
		return lines
	}
	require.Equal(t, []string{"5 sold 40 true", "5 sold 7 false"}, matches(x.Losses[0]), "no purchase, and nothing from before the last reading")
	require.Equal(t, []string{"9 destroyed 60 true", "10 contract 61 false"}, matches(x.Losses[1]), "nobody else's ship")
	require.Equal(t, []time.Time{at(40), at(50)}, []time.Time{x.Losses[1].After, x.Losses[1].Before})
	require.Contains(t, spoken(x.Words), "2 things happened to its type then that may have taken it; none of them names this item.")

	_, err = eve.ExplainAsset(7, 1234, s.facts)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	x, err = eve.ExplainAsset(7, 9, s.facts[:5])
	require.NoError(t, err)
	require.Equal(t, eve.AssetThere, x.Verdict)
	require.Equal(t, int64(60), x.Last.Quantity)
}

func TestWhatMayHaveBecomeOfAnAssetIsSaidWithoutGuessing(t *testing.T) {
	item := `{"item_id":9,"type_id":%d,"quantity":%d,` + hangar + `}`
	f := func(want string, certain bool, typeID, quantity int, rest string, then func(*story)) {
		t.Helper()
		s := (&story{t: t}).see(at(0), eve.SectionImplants, "[]").see(at(0), eve.SectionSkills, `{"skills":[]}`).see(at(0), eve.SectionShip, `{"ship_item_id":1,"ship_type_id":670}`).
			see(at(0), eve.SectionAssets, "["+fmt.Sprintf(item, typeID, quantity)+`,{"item_id":2,"type_id":34,"quantity":5,`+hangar+`}]`).
			see(at(10), eve.SectionAssets, rest)
		if then != nil {
			then(s)
		}
		x, err := eve.ExplainAsset(7, 9, s.facts)
		require.NoError(t, err)
		require.Len(t, x.Losses, 1)
		if want == "" {
			require.Empty(t, x.Losses[0].Matches)
			require.Contains(t, spoken(x.Words), "Nothing that is known of that time tells where it went.")
			return
		}
		require.NotEmpty(t, x.Losses[0].Matches)
		m := x.Losses[0].Matches[0]
		require.Equal(t, want, m.Kind)
		require.Equal(t, certain, m.Certain)
		require.True(t, m.Exact)
		require.Equal(t, s.facts[m.Position.Offset].ID, m.EventID)
	}
	other := `[{"item_id":2,"type_id":34,"quantity":5,` + hangar + `}]`
	f("", false, 34, 3, other, nil)
	f(eve.MatchStacked, false, 34, 3, strings.Replace(other, ":5,", ":8,", 1), nil)
	f(eve.MatchNewItem, false, 34, 3, strings.Replace(other, "]", `,{"item_id":3,"type_id":34,"quantity":3,`+hangar+`}]`, 1), nil)
	f(eve.MatchBoarded, true, 587, 1, other, func(s *story) { s.see(at(10), eve.SectionShip, `{"ship_item_id":9,"ship_type_id":587}`) })
	f(eve.MatchImplant, false, 9899, 1, other, func(s *story) { s.see(at(10), eve.SectionImplants, `[9899]`) })
	f(eve.MatchSkillBook, false, 3300, 1, other, func(s *story) {
		s.see(at(10), eve.SectionSkills, `{"skills":[{"skill_id":3300,"trained_skill_level":0}]}`)
	})
	f(eve.MatchOrder, false, 34, 3, other, func(s *story) {
		s.see(at(12), eve.SectionOrders, fmt.Sprintf(`{"orders":[{"order_id":1,"type_id":34,"volume_total":3,"issued":%q}],"history":[]}`, clock(9)))
	})
	f(eve.MatchJob, true, 691, 1, other, func(s *story) {
		s.see(at(12), eve.SectionIndustryJobs, fmt.Sprintf(`[{"job_id":1,"blueprint_id":9,"start_date":%q}]`, clock(9)))
	})
	f(eve.MatchDestroyed, false, 587, 1, other, func(s *story) {
		s.tell(at(12), eve.KillmailRecorded{Facts: factsOf(eve.SectionKillmails, at(9), fmt.Sprintf(`{"killmail_id":1,"killmail_time":%q,"victim":{"character_id":7,"ship_type_id":587}}`, clock(9)))})
	})
	f(eve.MatchContract, false, 34, 3, other, func(s *story) {
		s.tell(at(12), eve.ContractRecorded{Facts: factsOf(eve.SectionContracts, at(9), fmt.Sprintf(`{"contract_id":1,"issuer_id":8,"acceptor_id":7,"date_accepted":%q,"items":[{"type_id":34,"quantity":3,"is_included":false}]}`, clock(9)))})
	})
	// Not in its time, a purchase, the corporation's: no match.
	f("", false, 34, 3, other, func(s *story) {
		s.see(at(12), eve.SectionOrders, fmt.Sprintf(`{"orders":[{"order_id":1,"type_id":34,"volume_total":3,"issued":%q},{"order_id":2,"type_id":34,"volume_total":3,"is_buy_order":true,"issued":%q}],"history":[]}`, clock(12), clock(9)))
		s.tell(at(12), eve.ContractRecorded{Facts: factsOf(eve.SectionContracts, at(9), fmt.Sprintf(`{"contract_id":1,"issuer_id":7,"for_corporation":true,"date_issued":%q,"items":[{"type_id":34,"quantity":3,"is_included":true}]}`, clock(9)))})
	})
}

func TestWhatWasInAShipThatWasLostMayBeGoneWithIt(t *testing.T) {
	s := (&story{t: t}).
		see(at(0), eve.SectionAssets, `[{"item_id":5,"type_id":587,`+hangar+`},{"item_id":9,"type_id":34,"quantity":6,"location_id":5,"location_type":"item","location_flag":"Cargo"}]`).
		see(at(10), eve.SectionAssets, "[]").
		tell(at(12), eve.KillmailRecorded{Facts: factsOf(eve.SectionKillmails, at(9), fmt.Sprintf(`{"killmail_id":1,"killmail_time":%q,"victim":{"character_id":7,"ship_type_id":587}}`, clock(9)))})
	x, err := eve.ExplainAsset(7, 9, s.facts)
	require.NoError(t, err)
	require.Equal(t, eve.MatchDestroyed, x.Losses[0].Matches[0].Kind)
	require.False(t, x.Losses[0].Matches[0].Certain)
	require.Contains(t, spoken(x.Losses[0].Matches[0].Words), "of the type that it was in")
}

// Wherever an item goes at random, the explanation ends where it is, has a loss for each
// time that there was less of it, and knows nothing that took it.
func TestAnAssetIsWhereItsExplanationEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &story{t: t}
		have, losses, ever := int64(0), 0, false
		var place int64
		for i := range rapid.IntRange(1, 12).Draw(t, "readings") {
			quantity := rapid.Int64Range(0, 3).Draw(t, "quantity")
			if quantity < have {
				losses++
			}
			value := "[]"
			if quantity > 0 {
				ever = true
				place = rapid.Int64Range(60000001, 60000003).Draw(t, "place")
				value = fmt.Sprintf(`[{"item_id":9,"type_id":34,"quantity":%d,"location_id":%d,"location_type":"station","location_flag":"Hangar"}]`, quantity, place)
			}
			have = quantity
			s.see(at(i), eve.SectionAssets, value)
		}
		x, err := eve.ExplainAsset(7, 9, s.facts)
		if !ever {
			require.Equal(t, event.CodeNotFound, event.CodeOf(err))
			return
		}
		require.NoError(t, err)
		require.Equal(t, have == 0, x.Verdict == eve.AssetGone)
		require.Equal(t, place, x.Last.LocationID)
		if have > 0 {
			require.Equal(t, have, x.Last.Quantity)
		}
		require.Len(t, x.Losses, losses)
		for _, loss := range x.Losses {
			require.True(t, loss.After.Before(loss.Before))
			require.Empty(t, loss.Matches)
		}
		stepsOf(t, s.facts, x.Steps)
	})
}

var gunnery = uuid.MustParse("11111111-0000-4000-8000-000000000001")

func defined(skills ...eve.SetSkill) eve.SkillSetDefined {
	return eve.SkillSetDefined{SkillSetID: gunnery, SkillSet: eve.SkillSet{Name: "Gunners", Visible: true, Skills: skills}}
}

func skillsOf(levels ...[3]int) string {
	list := []string{}
	for _, l := range levels {
		list = append(list, fmt.Sprintf(`{"skill_id":%d,"active_skill_level":%d,"trained_skill_level":%d,"skillpoints_in_skill":%d}`, l[0], l[1], l[2], 1000*l[2]))
	}
	return `{"total_sp":1,"skills":[` + strings.Join(list, ",") + `]}`
}

func TestASkillSetThatIsNotMetSaysByWhichSkillAndSinceWhen(t *testing.T) {
	f := func(want eve.SkillSetStanding, since time.Time, lacks []string, sets, life *story) eve.SkillSetExplanation {
		t.Helper()
		x, err := eve.ExplainSkillSet(gunnery, sets.facts, life.facts)
		require.NoError(t, err)
		require.Equal(t, want, x.Verdict, spoken(x.Words))
		require.Equal(t, since, x.Since)
		var got []string
		for _, l := range x.Lacks {
			got = append(got, fmt.Sprintf("%d %s %s since %d: %s", l.TypeID, l.Cause, l.Required.Roman(), int(l.Since.Sub(ledgerDay).Hours()), spoken(l.Step.Words)))
			require.NotZero(t, l.Step.EventID)
		}
		require.Equal(t, lacks, got)
		require.NotEmpty(t, x.Words)
		return x
	}
	sets := func() *story {
		return (&story{t: t}).tell(at(0), defined(eve.SetSkill{TypeID: 1, Required: 3}, eve.SetSkill{TypeID: 2, Recommended: 5}))
	}
	life := func() *story { return &story{t: t} }
	f(eve.SkillSetUnknown, time.Time{}, nil, sets(), life())
	f(eve.SkillSetMet, at(1), nil, sets(), life().see(at(1), eve.SectionSkills, skillsOf([3]int{1, 3, 3})))
	f(eve.SkillSetNeverMet, at(1), []string{"1 not_injected III since 1: The skill <type 1> is at active level 0, and 3 is required."}, sets(), life().see(at(1), eve.SectionSkills, skillsOf()))
	f(eve.SkillSetNeverMet, at(1), []string{"1 not_trained III since 1: The skill <type 1> was trained from level 1 to 2."}, sets(),
		life().see(at(1), eve.SectionSkills, skillsOf([3]int{1, 1, 1})).see(at(2), eve.SectionSkills, skillsOf([3]int{1, 2, 2})))
	// Extracted.
	f(eve.SkillSetNoLongerMet, at(2), []string{"1 lost III since 2: The skill <type 1> fell from trained level 4 to 2 and by 2000 skill points, as it does when skill points are extracted."}, sets(),
		life().see(at(1), eve.SectionSkills, skillsOf([3]int{1, 4, 4})).see(at(2), eve.SectionSkills, skillsOf([3]int{1, 2, 2})))
	f(eve.SkillSetNoLongerMet, at(2), []string{"1 lost III since 2: The skill <type 1>, trained to level 4, is gone."}, sets(),
		life().see(at(1), eve.SectionSkills, skillsOf([3]int{1, 4, 4})).see(at(2), eve.SectionSkills, skillsOf()))
	// An Alpha clone, and Omega again.
	alpha := life().see(at(1), eve.SectionSkills, skillsOf([3]int{1, 4, 4})).see(at(2), eve.SectionSkills, skillsOf([3]int{1, 2, 4}))
	f(eve.SkillSetNoLongerMet, at(2), []string{"1 inactive III since 2: The active level of <type 1> fell from 4 to 2 while 4 stayed trained, as it does when an Omega clone becomes an Alpha clone."}, sets(), alpha)
	f(eve.SkillSetMet, at(3), nil, sets(), alpha.see(at(3), eve.SectionSkills, skillsOf([3]int{1, 4, 4})))
	// The set asks for more.
	more := sets().tell(at(5), defined(eve.SetSkill{TypeID: 1, Required: 5}))
	x := f(eve.SkillSetNoLongerMet, at(5), []string{"1 set_changed V since 5: The skill set asks for <type 1> at V instead of III."}, more, life().see(at(1), eve.SectionSkills, skillsOf([3]int{1, 3, 3})))
	require.Equal(t, "user:ada", x.Lacks[0].Step.Actor)
	kinds := []string{}
	for _, s := range x.Steps {
		kinds = append(kinds, s.Kind)
	}
	require.Equal(t, []string{"set_defined", "skills_read", "met", "set_changed", "set_changed", "not_met"}, kinds)
	// Skills that the set does not ask for, and other sets, are no steps.
	x = f(eve.SkillSetMet, at(1), nil, sets(), life().see(at(1), eve.SectionSkills, skillsOf([3]int{1, 3, 3})).see(at(2), eve.SectionSkills, skillsOf([3]int{1, 3, 3}, [3]int{9, 1, 1})))
	require.Len(t, x.Steps, 3)

	_, err := eve.ExplainSkillSet(uuid.New(), sets().facts, nil)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = eve.ExplainSkillSet(gunnery, sets().tell(at(1), eve.SkillSetRemoved{SkillSetID: gunnery}).facts, nil)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

// Whatever the skills and the set become, the explanation says what a check of both says,
// and since the moment at which that was last different.
func TestASkillSetIsExplainedAsItIsChecked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sets, life := &story{t: t}, &story{t: t}
		var set *eve.SkillSet
		var skills eve.Skills
		var since time.Time
		was, checked, once := false, false, false
		for i := range rapid.IntRange(1, 15).Draw(t, "events") {
			if rapid.Bool().Draw(t, "definition") {
				p := defined(eve.SetSkill{TypeID: 1, Required: eve.SkillLevel(rapid.IntRange(1, 5).Draw(t, "required"))}, eve.SetSkill{TypeID: 2, Required: eve.SkillLevel(rapid.IntRange(1, 2).Draw(t, "second"))})
				set = &p.SkillSet
				sets.tell(at(i), p)
			} else {
				skills = eve.Skills{}
				var levels [][3]int
				for id := 1; id <= 2; id++ {
					if trained := rapid.IntRange(-1, 5).Draw(t, "trained"); trained >= 0 {
						active := rapid.IntRange(0, trained).Draw(t, "active")
						skills[int64(id)] = eve.SkillState{Active: active, Trained: trained}
						levels = append(levels, [3]int{id, active, trained})
					}
				}
				life.see(at(i), eve.SectionSkills, skillsOf(levels...))
			}
			if set == nil || skills == nil {
				continue
			}
			met := eve.CheckSkills(skills, *set).HasRequired()
			if !checked || met != was {
				since = at(i)
			}
			was, checked, once = met, true, once || met
		}
		x, err := eve.ExplainSkillSet(gunnery, sets.facts, life.facts)
		switch {
		case set == nil:
			require.Equal(t, event.CodeNotFound, event.CodeOf(err))
			return
		case !checked:
			require.Equal(t, eve.SkillSetUnknown, x.Verdict)
			return
		}
		require.NoError(t, err)
		require.Equal(t, since, x.Since)
		require.Equal(t, was, x.Verdict == eve.SkillSetMet)
		require.Equal(t, !was && once, x.Verdict == eve.SkillSetNoLongerMet)
		failed := eve.CheckSkills(skills, *set).FailedRequired
		require.Len(t, x.Lacks, len(failed))
		for i, l := range x.Lacks {
			require.Equal(t, failed[i].TypeID, l.TypeID)
			require.Equal(t, failed[i].Required, l.Required)
			require.Equal(t, l.Cause == eve.LackInactive, eve.SkillLevel(l.State.Trained) >= l.Required)
		}
	})
}
