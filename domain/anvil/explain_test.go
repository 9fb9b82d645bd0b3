package anvil_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// chronicle is a consortium's stream with where its events lie and who caused
// them.
type chronicle struct {
	t      require.TestingT
	state  *anvil.State
	story  []anvil.Fact
	hashes map[anvil.RecordKey]string
	known  []anvil.RecordKey
	now    time.Time
	opened []uuid.UUID // findings that the last thing that happened opened
}

func newChronicle(t require.TestingT) *chronicle {
	return &chronicle{t: t, state: anvil.NewState(stream), hashes: map[anvil.RecordKey]string{}, now: noon}
}

func (c *chronicle) add(e event.Event, p event.Payload) anvil.Fact {
	f := anvil.Fact{Recorded: event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAnVIL, Partition: 3, Offset: int64(len(c.story))}}, Payload: p}
	require.NoError(c.t, c.state.Apply(e, p))
	c.story = append(c.story, f)
	return f
}

func (c *chronicle) write(p event.Payload, actor, correlation string) anvil.Fact {
	c.now = c.now.Add(time.Second)
	e, err := event.New(uuid.New(), stream, "test", c.now, p)
	require.NoError(c.t, err)
	e.Actor, e.CorrelationID = actor, correlation
	return c.add(e, p)
}

func (c *chronicle) react(cause anvil.Fact) {
	events, _, err := c.state.Reaction("test", cause.Event, cause.Payload)
	require.NoError(c.t, err)
	registry := event.NewRegistry()
	anvil.Register(registry)
	c.opened = nil
	for _, e := range events {
		p, err := registry.Decode(e)
		require.NoError(c.t, err)
		c.add(e, p)
		if opened, ok := p.(anvil.FindingOpened); ok {
			c.opened = append(c.opened, opened.ID)
		}
	}
}

func (c *chronicle) declare(actor, reason string, d anvil.Declared) {
	plan, err := anvil.Plan(c.state.Declared(), d, anvil.Literal)
	require.NoError(c.t, err)
	c.opened = nil
	for _, p := range anvil.PlanEvents(plan, reason) {
		f := c.write(p, actor, "")
		if _, end := p.(anvil.PlanApplied); end {
			c.react(f)
		}
	}
}

// sweep observes an AnVIL, an hour after what happened before.
func (c *chronicle) sweep(o *anvil.Observed, models ...anvil.Model) uuid.UUID {
	if models == nil {
		models = anvil.Models()
	}
	id := uuid.New()
	c.now = c.now.Add(time.Hour)
	started := c.now
	c.write(anvil.SweepStarted{SweepID: id, Models: models, StartedAt: started}, "", id.String())
	for _, ob := range o.Observations(c.known) {
		hash, err := ob.Hash()
		require.NoError(c.t, err)
		if c.hashes[ob.Key] == hash {
			continue
		}
		if c.hashes[ob.Key] == "" {
			c.known = append(c.known, ob.Key)
		}
		c.hashes[ob.Key] = hash
		c.write(ob.Payload, "", id.String())
	}
	c.react(c.write(anvil.SweepCompleted{SweepID: id, Models: models, StartedAt: started, CompletedAt: c.now}, "", id.String()))
	return id
}

// explain explains the finding of a kind that was opened at some time.
func (c *chronicle) explain(kind string) anvil.Explanation {
	for _, f := range c.story {
		if p, ok := f.Payload.(anvil.FindingOpened); ok && p.Kind == kind {
			return c.explainID(p.ID)
		}
	}
	require.FailNow(c.t, "no finding", kind)
	return anvil.Explanation{}
}

func (c *chronicle) explainID(id uuid.UUID) anvil.Explanation {
	x, err := anvil.Explain(stream, c.story, id)
	require.NoError(c.t, err)
	return x
}

func agreed(x anvil.Explanation) []string {
	var all []string
	for _, m := range x.Timeline {
		all = append(all, strings.TrimSpace(m.Agreed+" "+m.Mark))
	}
	return slices.Compact(all)
}

func TestWhatChangedOnAnVILIsToldWithTheWindowBetweenTheTwoSweeps(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	first := c.sweep(oneGroup(t, `["a@example.com"]`))
	second := c.sweep(oneGroup(t, `["a@example.com","Spy@example.com"]`))
	x := c.explain(anvil.NotInApp)

	require.True(t, x.Open)
	require.Equal(t, anvil.CauseObserved, x.Cause.Side)
	require.Equal(t, first, x.Cause.Window.FromSweep)
	require.Equal(t, second, x.Cause.Window.ToSweep)
	require.True(t, x.Cause.Window.From.Before(x.Cause.Window.To))
	require.Equal(t, x.Cause.At, x.Cause.Window.To)
	require.Zero(t, x.Cause.Window.Unseen)
	require.Equal(t, anvil.KindGroupMembers, x.Cause.Records[0].Kind)
	require.Equal(t, "members: came Spy@example.com", x.Cause.Records[0].Change)
	require.Contains(t, x.Narrative[1], "somebody made spy@example.com a MEMBER of readers on AnVIL; nobody had declared it.")
	require.Contains(t, agreed(x), "no opened")
	last := x.Evidence[len(x.Evidence)-1]
	require.Equal(t, anvil.TypeFindingOpened, last.Type)
	require.Equal(t, c.story[last.Offset].ID, last.EventID)
}

func TestTheWindowBeginsWithTheReadingOfTheRecordIfThatWasNews(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `[]`))
	c.sweep(oneGroup(t, `["a@example.com"]`))
	var news time.Time
	for _, f := range c.story {
		if p, ok := f.Payload.(anvil.GroupMembersObserved); ok && len(p.Value) == 1 {
			news = f.Time
		}
	}
	c.sweep(oneGroup(t, `[]`))
	x := c.explain(anvil.ErrAccountMemberMissing)
	require.Equal(t, news, x.Cause.Window.From)
	require.Contains(t, x.Cause.Words, "somebody took a@example.com, until then a MEMBER, out of readers on AnVIL; declared is: MEMBER.")
	require.Len(t, x.Earlier, 1, "it was there from the first sweep, and gone in the second")
	require.Equal(t, anvil.CauseNeverAgreed, x.Earlier[0].Cause.Side)
	require.Equal(t, anvil.CauseObserved, x.Earlier[0].Resolution.Side)
	require.Equal(t, 1, x.Reopened)
}

func TestWhatWasDeclaredIsToldWithWhoAndWhy(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["a@example.com"]`))
	d := readers()
	d.GroupAccountMemberships = nil
	d.Normalise()
	c.declare("ben", "left the consortium", d)
	x := c.explain(anvil.NotInApp)

	require.Equal(t, anvil.CauseDeclared, x.Cause.Side)
	require.Equal(t, "ben", x.Cause.Actor)
	require.Equal(t, "left the consortium", x.Cause.Reason)
	require.Nil(t, x.Cause.Window)
	require.Equal(t, anvil.RecordKey{Kind: anvil.KindAccountMembership, Name: "readers/a@example.com"}, anvil.RecordKey{Kind: x.Cause.Records[0].Kind, Name: x.Cause.Records[0].Name})
	require.Contains(t, x.Cause.Words, "ben changed the declaration: account membership readers/a@example.com: not declared; before: role: MEMBER (reason: left the consortium); on AnVIL it is: MEMBER, as a@example.com.")

	c.declare("ada", "came back", readers())
	x = c.explain(anvil.NotInApp)
	require.False(t, x.Open)
	require.Equal(t, anvil.CauseDeclared, x.Resolution.Side)
	require.Equal(t, "came back", x.Resolution.Reason)
	require.Equal(t, "ben", x.Cause.Actor, "why it was there does not change")
	require.NotNil(t, x.ResolvedAt)
	require.Contains(t, x.Narrative[len(x.Narrative)-1], "ada changed the declaration")
}

func TestWhatIsThereFromTheFirstLookHasNeverAgreed(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["spy@example.com"]`))
	for _, kind := range []string{anvil.NotInApp, anvil.ErrAccountMemberMissing, anvil.ErrGroupMembership} {
		x := c.explain(kind)
		require.Equal(t, anvil.CauseNeverAgreed, x.Cause.Side, kind)
		require.Nil(t, x.Cause.Window)
	}
	// An account that is declared later is looked at later.
	d := readers()
	d.Accounts = append(d.Accounts, anvil.Account{Email: "new@example.com", Status: anvil.StatusActive})
	c.declare("ben", "joined", d)
	o := oneGroup(t, `["spy@example.com"]`)
	o.Accounts["new@example.com"] = anvil.Reading[anvil.AccountInfo]{Response: anvil.Response{Status: 404}}
	c.sweep(o)
	x := c.explain(anvil.ErrNotInAnVIL)
	require.Equal(t, anvil.CauseNeverAgreed, x.Cause.Side)
	require.Equal(t, "ben", x.Cause.Actor)
	require.Contains(t, x.Cause.Words, "account new@example.com had been declared before by ben (reason: joined)")
}

func TestSweepsThatCouldNotTellWidenTheWindow(t *testing.T) {
	unread := func() *anvil.Observed {
		o := oneGroup(t, `[]`)
		o.GroupMembers["readers"] = anvil.Reading[[]string]{Response: anvil.Response{Status: 502, Message: "server error"}}
		return o
	}
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	first := c.sweep(oneGroup(t, `["a@example.com"]`))
	c.sweep(unread())
	c.sweep(unread())
	c.sweep(observe(t), anvil.ModelAccounts)
	last := c.sweep(oneGroup(t, `[]`))
	x := c.explain(anvil.ErrAccountMemberMissing)
	require.Equal(t, anvil.CauseObserved, x.Cause.Side)
	require.Equal(t, first, x.Cause.Window.FromSweep)
	require.Equal(t, last, x.Cause.Window.ToSweep)
	require.Equal(t, 3, x.Cause.Window.Unseen)
	require.Contains(t, x.Cause.Window.Why, "server error")
	require.Contains(t, x.Cause.Words, "(3 sweeps in between could not tell: ")
	require.Contains(t, agreed(x), "unknown")
}

func TestADeclarationThatIsFirstSeenToBeWrongLaterIsStillTheCause(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["a@example.com"]`))
	o := oneGroup(t, `[]`)
	o.GroupMembers["readers"] = anvil.Reading[[]string]{Response: anvil.Response{Status: 502}}
	c.sweep(o)
	d := readers()
	d.GroupAccountMemberships[0].Role = anvil.RoleAdmin
	c.declare("ben", "promoted", d)
	c.sweep(oneGroup(t, `["a@example.com"]`))
	x := c.explain(anvil.ErrAccountAdminMissing)
	require.Equal(t, anvil.CauseDeclared, x.Cause.Side, "the members are as they were before they could not be read")
	require.Equal(t, "promoted", x.Cause.Reason)
}

func TestTheEndOfAnIgnoreRowIsTheCause(t *testing.T) {
	stray := `["a@example.com","robot@example.com"]`
	for name, later := range map[string]string{
		"and nothing else":           stray,
		"and something else with it": `["a@example.com","robot@example.com","other@example.com"]`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newChronicle(t)
			d := readers()
			ends := noon.Add(90 * time.Minute)
			d.IgnoredGroupMemberships = []anvil.IgnoredMembership{{Group: anvil.Anywhere, Email: "robot@example.com", Note: "a copy", ExpiresAt: ends}}
			c.declare("ada", "for the freeze", d)
			c.sweep(oneGroup(t, stray))
			require.Empty(t, c.opened)
			c.sweep(oneGroup(t, later))
			var x anvil.Explanation
			for _, id := range c.opened {
				if found := c.explainID(id); found.Finding.Record == "MEMBER: robot@example.com" {
					x = found
				}
			}
			require.Equal(t, anvil.CauseDeclared, x.Cause.Side)
			require.Equal(t, ends, x.Cause.At)
			require.Equal(t, "ada", x.Cause.Actor)
			require.Equal(t, anvil.KindIgnoredMembership, x.Cause.Records[0].Kind)
			require.Equal(t, "At 2026-05-01 13:30:00 UTC the time of the ignored membership */robot@example.com was over, which ada had declared at 2026-05-01 12:00:05 UTC (reason: for the freeze); AnVIL has what nobody has declared.", x.Cause.Words)
		})
	}
}

func TestAnAddressThatComesAfterItsIgnoreRowHasEndedIsAChangeOfTheWorld(t *testing.T) {
	c := newChronicle(t)
	d := readers()
	d.IgnoredGroupMemberships = []anvil.IgnoredMembership{{Group: "readers", Email: "robot@example.com", Note: "a copy", ExpiresAt: noon.Add(90 * time.Minute)}}
	c.declare("ada", "for the freeze", d)
	c.sweep(oneGroup(t, `["a@example.com"]`))
	c.sweep(oneGroup(t, `["a@example.com"]`))
	c.sweep(oneGroup(t, `["a@example.com","robot@example.com"]`))
	require.Equal(t, anvil.CauseObserved, c.explain(anvil.NotInApp).Cause.Side)
}

func TestAcceptancesStandInTheTimeline(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["a@example.com"]`))
	c.sweep(oneGroup(t, `["a@example.com","x@example.com"]`))
	id := c.explain(anvil.NotInApp).Finding.ID
	p, err := c.state.Accept(id, "a guest", time.Time{}, c.now)
	require.NoError(t, err)
	c.write(p, "ben", "")
	p, err = c.state.Unaccept(id, "gone home")
	require.NoError(t, err)
	c.write(p, "ada", "")
	timeline := c.explainID(id).Timeline
	accepted, withdrawn := timeline[len(timeline)-2], timeline[len(timeline)-1]
	require.Equal(t, []string{"accepted", "ben", "a guest"}, []string{accepted.Mark, accepted.Actor, accepted.Reason})
	require.Equal(t, []string{"unaccepted", "ada", "gone home"}, []string{withdrawn.Mark, withdrawn.Actor, withdrawn.Reason})
}

func TestARollUpIsExplainedByWhatItSumsUp(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["a@example.com"]`))
	c.sweep(oneGroup(t, `["spy@example.com"]`))
	x := c.explain(anvil.ErrGroupMembership)
	require.Equal(t, anvil.CauseObserved, x.Cause.Side)
	require.Equal(t, 2, x.PartCount)
	for _, p := range x.Parts {
		require.Equal(t, c.explainID(p.FindingID).Cause, p.Cause)
	}
	require.Contains(t, strings.Join(x.Narrative, "\n"), "It sums up 2 findings:")
	require.Equal(t, []string{"MEMBER: a@example.com", "MEMBER: spy@example.com"}, slices.Sorted(slices.Values([]string{x.Parts[0].Record, x.Parts[1].Record})))

	c.sweep(oneGroup(t, `["a@example.com"]`))
	x = c.explain(anvil.ErrGroupMembership)
	require.False(t, x.Open)
	require.Equal(t, 2, x.PartCount, "what it summed up the last time")
}

func TestWhatChangedInTheSameSweepIsTouched(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["a@example.com"]`))
	o := oneGroup(t, `[]`)
	for i := range 60 {
		email := "u" + string(rune('0'+i/10)) + string(rune('0'+i%10)) + "@example.com"
		o.Accounts[email] = anvil.Reading[anvil.AccountInfo]{Response: anvil.Response{Status: 404}}
	}
	c.sweep(o)
	x := c.explain(anvil.ErrAccountMemberMissing)
	require.Equal(t, 60, x.TouchedCount)
	require.Len(t, x.Touched, anvil.MaxTouched)
	require.Equal(t, "no such account", x.Touched[0].Change)
}

func TestSecondCopiesOfEventsExplainNothingElse(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["a@example.com"]`))
	c.sweep(oneGroup(t, `[]`))
	want := c.explain(anvil.ErrAccountMemberMissing)
	c.story = append(c.story, c.story...)
	require.Equal(t, want, c.explain(anvil.ErrAccountMemberMissing))
}

func TestWhatWasRemovedFromTheLogIsNotGuessed(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `["a@example.com"]`))
	c.sweep(oneGroup(t, `[]`))
	id := anvil.FindingID(stream, anvil.ModelMemberships, "readers", "MEMBER: a@example.com", anvil.ErrAccountMemberMissing)
	require.Equal(t, anvil.CauseObserved, c.explainID(id).Cause.Side)
	decided := c.explainID(id).Cause.Records[0].EventID
	c.story = slices.DeleteFunc(c.story, func(f anvil.Fact) bool { return f.ID == decided })
	x := c.explainID(id)
	require.Equal(t, anvil.CauseUnclear, x.Cause.Side)
	require.Empty(t, x.Cause.Records)
	require.Contains(t, x.Cause.Words, "nothing that the log still holds decides it")
}

func TestWhatIsNoFindingOfTheStreamIsNotExplained(t *testing.T) {
	c := newChronicle(t)
	c.declare("ada", "start", readers())
	c.sweep(oneGroup(t, `[]`))
	_, err := anvil.Explain(stream, c.story, uuid.New())
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = anvil.Explain(event.Consortium("elsewhere"), c.story, c.opened[0])
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

// If only the declaration changes, the declaration is the cause of all that comes
// of it; if only AnVIL does, that is, within the two sweeps.
func TestTheSideThatChangedIsTheCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDeclared(t, "declared")
		other := drawDeclared(t, "other")
		other.ServiceAccount = d.ServiceAccount
		world := func(d anvil.Declared) *anvil.Observed {
			o, err := anvil.ObserveAnswers(agreeing(d))
			require.NoError(t, err)
			return o
		}
		c := newChronicle(t)
		c.declare("ada", "start", d)
		first := c.sweep(world(d))
		for _, id := range c.opened {
			require.Equal(t, anvil.CauseNeverAgreed, c.explainID(id).Cause.Side)
		}
		before := *c
		before.hashes, before.known = maps.Clone(c.hashes), slices.Clone(c.known)

		c.declare("ben", "otherwise", other)
		for _, id := range c.opened {
			x := c.explainID(id)
			require.Equal(t, anvil.CauseDeclared, x.Cause.Side, "%v", x.Narrative)
			require.Equal(t, "ben", x.Cause.Actor)
		}

		c = &before
		c.state = anvil.NewState(stream)
		for _, f := range c.story {
			require.NoError(t, c.state.Apply(f.Event, f.Payload))
		}
		second := c.sweep(world(other))
		for _, id := range c.opened {
			x := c.explainID(id)
			require.Contains(t, []anvil.CauseSide{anvil.CauseObserved, anvil.CauseNeverAgreed}, x.Cause.Side, "%v", x.Narrative)
			if x.Cause.Side == anvil.CauseObserved {
				require.Equal(t, [2]uuid.UUID{first, second}, [2]uuid.UUID{x.Cause.Window.FromSweep, x.Cause.Window.ToSweep}, "%v", x.Narrative)
			}
			require.Equal(t, x, c.explainID(id), "the same story gives the same explanation")
		}
	})
}

// BenchmarkExplain explains a roll-up of a large consortium after 200 sweeps in
// which some group changed each time.
func BenchmarkExplain(b *testing.B) {
	d, o := bigWorld(b)
	c := newChronicle(b)
	c.declare("ada", "start", d)
	watched := d.ManagedGroups[0].Name
	for n := range 200 {
		name := d.ManagedGroups[n%2*(n%len(d.ManagedGroups))].Name
		r := o.GroupMembers[name]
		r.Value = append(slices.Clone(r.Value), uuid.NewString()+"@example.com")
		if n%3 == 0 {
			r.Value = r.Value[:1]
		}
		o.GroupMembers[name] = r
		c.sweep(o)
	}
	id := anvil.FindingID(stream, anvil.ModelManagedGroups, "", watched, anvil.ErrGroupMembership)
	b.ReportMetric(float64(len(c.story)), "events")
	for b.Loop() {
		_, err := anvil.Explain(stream, c.story, id)
		require.NoError(b, err)
	}
}
