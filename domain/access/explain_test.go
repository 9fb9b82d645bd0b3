package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// past is what the log tells of a user and his characters.
type past struct {
	t       require.TestingT
	at      time.Time
	told    []access.Fact
	stories map[int64]*access.CharacterStory
}

func newPast(t require.TestingT) *past {
	return &past{t: t, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), stories: map[int64]*access.CharacterStory{}}
}

func (p *past) tick() time.Time {
	p.at = p.at.Add(time.Hour)
	return p.at
}

func (p *past) user(payloads ...event.Payload) *past {
	for _, payload := range payloads {
		e, err := event.New(uuid.New(), event.User("ada"), "test", p.tick(), payload)
		require.NoError(p.t, err)
		e.Actor = "user:admin"
		p.told = append(p.told, access.Fact{Recorded: event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAccess, Offset: int64(len(p.told))}}, Payload: payload})
	}
	return p
}

func (p *past) character(id int64, kind access.CharacterChange, owner, section string) *past {
	story := p.stories[id]
	if story == nil {
		story = &access.CharacterStory{ID: id}
		p.stories[id] = story
	}
	story.Steps = append(story.Steps, access.CharacterStep{
		Kind: kind, At: p.tick(), UserID: owner, Section: section, Words: "a secret about " + owner + ".", EventID: uuid.New(), Position: event.Position{Topic: event.TopicEVE, Offset: int64(len(story.Steps))},
	})
	return p
}

func (p *past) explained() access.ComplianceExplanation {
	var stories []access.CharacterStory
	for _, s := range p.stories {
		stories = append(stories, *s)
	}
	return access.ExplainCompliance("ada", p.told, stories)
}

func listed(ids ...int64) access.CharactersListed {
	l := access.CharactersListed{UserID: "ada"}
	for _, id := range ids {
		l.Characters = append(l.Characters, access.ListedCharacter{CharacterID: id, Name: fmt.Sprintf("Pilot %d", id)})
	}
	return l
}

var (
	ada      = access.UserRegistered{UserID: "ada", Active: true, State: "Member", Permissions: []string{"basic_access"}}
	mainOne  = access.MainSet{UserID: "ada", CharacterID: new(int64(1))}
	mainNone = access.MainSet{UserID: "ada"}
)

func TestComplianceIsExplainedByWhatDecidedIt(t *testing.T) {
	f := func(compliant bool, since int, want []string, p *past) access.ComplianceExplanation {
		t.Helper()
		x := p.explained()
		hour := func(at time.Time) int {
			if at.IsZero() {
				return -1
			}
			return int(at.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Hours())
		}
		require.Equal(t, compliant, x.Compliant)
		require.Equal(t, since, hour(x.Since))
		var got []string
		for _, r := range x.Reasons {
			by := "nothing"
			if r.By != nil {
				by = r.By.Kind
				require.NotZero(t, r.By.EventID)
				require.Equal(t, r.Since, r.By.At)
			}
			got = append(got, fmt.Sprintf("%d %s %v since %d by %s", r.CharacterID, r.Cause, r.Decides, hour(r.Since), by))
			require.NotEmpty(t, r.Words)
		}
		require.Equal(t, want, got)
		require.NotEmpty(t, x.Words)
		return x
	}
	one := func() *past { return newPast(t).user(ada, mainOne).character(1, access.CharacterClaimed, "ada", "") }
	f(true, 2, nil, one())
	x := f(false, 1, []string{"0 no_main true since -1 by nothing"}, newPast(t).user(ada))
	require.Equal(t, "The user never chose a main.", x.Reasons[0].Words)
	f(false, 4, []string{"0 no_main true since 4 by main_taken_back"}, one().user(mainNone))
	x = f(false, 4, []string{"2 never_registered true since 4 by listed"}, one().user(listed(2)))
	require.Equal(t, "Character 2 (Pilot 2) was never registered.", x.Reasons[0].Words)
	require.Equal(t, "user:admin", x.Reasons[0].By.Actor)
	f(true, 5, nil, one().user(listed(2)).character(2, access.CharacterClaimed, "ada", ""))
	f(true, 5, nil, one().user(listed(2)).character(2, access.CharacterClaimed, "bob", ""))
	f(true, 5, nil, one().user(listed(2), listed()))
	f(false, 6, []string{"2 removed true since 6 by removed"}, one().user(listed(2)).character(2, access.CharacterClaimed, "ada", "").character(2, access.CharacterRemoved, "ada", ""))
	// It counts since it is on his list.
	f(false, 6, []string{"2 removed true since 6 by listed"}, one().character(2, access.CharacterClaimed, "ada", "").character(2, access.CharacterRemoved, "ada", "").user(listed(2)))
	f(true, 2, []string{"1 token false since 4 by login_lost"}, one().character(1, access.CharacterLoginLost, "ada", "wallet").character(1, access.CharacterLoginLost, "ada", "skills"))
	f(true, 2, nil, one().character(1, access.CharacterLoginLost, "ada", "wallet").character(1, access.CharacterLoginBack, "ada", "wallet"))
	lacking := one()
	lacking.stories[1].Lacking = []string{"mails"}
	f(true, 2, []string{"1 scopes false since 3 by registered"}, lacking)
	require.Zero(t, newPast(t).explained().Since)
}

func TestAnExplanationOfComplianceHidesWhatItsViewerMayNotOpen(t *testing.T) {
	p := newPast(t).user(ada, mainOne).character(1, access.CharacterClaimed, "ada", "").user(listed(2, 3)).
		character(2, access.CharacterClaimed, "bob", "").character(2, access.CharacterRemoved, "bob", "").
		character(3, access.CharacterClaimed, "ada", "").character(3, access.CharacterRemoved, "ada", "").character(3, access.CharacterClaimed, "bob", "").
		character(1, access.CharacterLoginLost, "ada", "wallet")
	p.stories[1].Lacking = []string{"mails"}
	whole := p.explained()
	secret := func(x access.ComplianceExplanation, of int64) bool {
		for _, s := range x.Steps {
			if s.CharacterID == of && s.Position.Topic == event.TopicEVE {
				return true
			}
		}
		for _, r := range x.Reasons {
			if r.CharacterID == of && r.By != nil && r.By.Position.Topic == event.TopicEVE {
				return true
			}
		}
		return false
	}
	x := whole.For("carl", func(int64) bool { return false })
	for id := int64(1); id <= 3; id++ {
		require.True(t, secret(whole, id))
		require.False(t, secret(x, id))
	}
	require.Equal(t, 3, x.Hidden)
	require.NotContains(t, fmt.Sprintf("%+v", x), "a secret about")
	require.Equal(t, whole.Since, x.Since)
	require.Len(t, x.Reasons, 2, "that of missing scopes is nobody's business")
	for _, r := range x.Reasons {
		require.Equal(t, access.CauseHidden, r.Cause)
		require.Equal(t, access.FaultLoginLost, r.Fault)
		require.NotZero(t, r.Since)
	}
	// The owner is told what happened while they were his.
	x = whole.For("ada", func(id int64) bool { return id == 1 })
	require.True(t, secret(x, 1))
	require.False(t, secret(x, 2))
	require.True(t, secret(x, 3))
	require.NotContains(t, fmt.Sprintf("%+v", x), "a secret about bob")
	require.Equal(t, 2, x.Hidden)
	x = whole.For("", func(int64) bool { return true })
	require.Equal(t, whole, x)
}

// Whatever happened to a user and his characters, the explanation says of him what the
// report of compliance says.
func TestComplianceIsExplainedAsItIsReported(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPast(t).user(ada)
		var main *int64
		onList := map[int64]bool{}
		type state struct {
			owner   string
			removed bool
			lost    bool
		}
		states := map[int64]*state{}
		for range rapid.IntRange(0, 20).Draw(t, "events") {
			id := rapid.Int64Range(1, 3).Draw(t, "character")
			s := states[id]
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				if main = nil; rapid.Bool().Draw(t, "main") {
					main = &id
				}
				p.user(access.MainSet{UserID: "ada", CharacterID: main})
			case 1:
				onList = map[int64]bool{}
				var ids []int64
				for listed := int64(1); listed <= 3; listed++ {
					if rapid.Bool().Draw(t, "listed") {
						ids = append(ids, listed)
						onList[listed] = true
					}
				}
				p.user(listed(ids...))
			case 2:
				owner := rapid.SampledFrom([]string{"ada", "bob"}).Draw(t, "owner")
				lost := s != nil && s.lost
				states[id] = &state{owner: owner, lost: lost}
				p.character(id, access.CharacterClaimed, owner, "")
			case 3:
				if s != nil && !s.removed {
					s.removed = true
					p.character(id, access.CharacterRemoved, s.owner, "")
				}
			case 4:
				if s != nil && !s.removed {
					s.lost = true
					p.character(id, access.CharacterLoginLost, s.owner, "wallet")
				}
			case 5:
				if s != nil && s.lost {
					s.lost = false
					p.character(id, access.CharacterLoginBack, s.owner, "wallet")
				}
			}
		}
		org := access.Organisation{Users: []access.OrganisationUser{{ID: "ada", Active: true, State: "Member", Permissions: []string{"basic_access"}, Main: main}, {ID: "bob"}}}
		for id := int64(1); id <= 3; id++ {
			s := states[id]
			switch {
			case s != nil && !s.removed:
				org.Characters = append(org.Characters, access.OrganisationCharacter{ID: id, Registered: true, Owner: &s.owner})
			case onList[id]:
				org.Characters = append(org.Characters, access.OrganisationCharacter{ID: id, Owner: new("ada")})
			}
		}
		want := access.NewRoster(org).Compliance([]string{"ada"}, func(id int64) bool { return states[id] != nil && (states[id].removed || states[id].lost) }).Users[0]
		x := p.explained()
		require.Equal(t, want.Compliant, x.Compliant)
		var got []access.Reason
		decides := false
		for _, r := range x.Reasons {
			got = append(got, r.Reason)
			decides = decides || r.Decides
		}
		require.Equal(t, want.Reasons, got)
		require.Equal(t, !x.Compliant, decides)
	})
}
