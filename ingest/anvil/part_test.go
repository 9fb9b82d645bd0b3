package anvil_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
)

// everyOther is a scope of every other declared group and workspace.
func everyOther(d domain.Declared) domain.Scope {
	var s domain.Scope
	for i, g := range d.ManagedGroups {
		if i%2 == 0 {
			s.Groups = append(s.Groups, g.Name)
		}
	}
	for i, w := range d.Workspaces {
		if i%2 == 0 {
			s.Workspaces = append(s.Workspaces, w.Key())
		}
	}
	slices.Sort(s.Groups)
	slices.Sort(s.Workspaces)
	return s
}

// allObserved are the hashes of everything that the state knows.
func allObserved(t *testing.T, s *domain.State) map[domain.RecordKey]string {
	hashes := map[domain.RecordKey]string{}
	for _, ob := range s.Observed().Observations(nil) {
		hash, err := ob.Hash()
		require.NoError(t, err)
		hashes[ob.Key] = hash
	}
	return hashes
}

func TestASweepOfAPartSeesThatPartAnewAndLeavesTheRestAsItWas(t *testing.T) {
	s := simulate(t)
	d := s.declaration(t)
	scope := everyOther(d)
	b := newBench(t, newClient(t, s.config))
	whole, err := b.Run(t.Context(), consortium, d, nil)
	require.NoError(t, err)
	before := allObserved(t, b.log.fold(t, d))

	s.now = s.now.Add(48 * time.Hour)
	part, err := b.RunPart(t.Context(), consortium, d, scope)
	require.NoError(t, err)
	state := b.log.fold(t, d)
	now := allObserved(t, state)
	last, ok := state.LastSweep()
	require.True(t, ok)
	require.Equal(t, whole.SweepID, last.SweepID)
	require.Less(t, part.Calls, whole.Calls)
	require.Equal(t, scope, part.Scope)
	require.NotZero(t, part.Observed)
	require.Equal(t, len(scope.Groups), part.Covered[domain.KindGroupRole]+part.Covered[domain.KindGroup])
	begun, err := registry().Decode(b.log.events[len(b.log.events)-part.Observed-2])
	require.NoError(t, err)
	require.Equal(t, domain.SweepStarted{
		SweepID: part.SweepID, Models: []domain.Model{domain.ModelManagedGroups, domain.ModelWorkspaces},
		Scope: scope, ServiceAccount: d.ServiceAccount, StartedAt: part.StartedAt,
	}, begun)

	_, err = b.Run(t.Context(), consortium, d, nil)
	require.NoError(t, err)
	after := allObserved(t, b.log.fold(t, d))
	moved := 0
	for key := range after {
		if scope.Covers(key) {
			require.Equal(t, after[key], now[key], "%s is as it is on AnVIL", key)
			if now[key] != before[key] {
				moved++
			}
			continue
		}
		require.Equal(t, before[key], now[key], "%s was not asked for", key)
	}
	require.NotZero(t, moved, "the world has moved")
	require.NotEqual(t, before, after)
	require.Empty(t, s.Violations())
}

func TestNothingIsGoneThatASweepOfAPartDidNotAskFor(t *testing.T) {
	d := declared(t, small)
	fake := newTerra(smallWorld())
	b := newBench(t, newClient(t, fake.start(t)))
	_, err := b.Run(t.Context(), consortium, d, samModels)
	require.NoError(t, err)
	roles := func() []domain.GroupRow { return b.log.fold(t, d).Observed().GroupList.Value }
	require.Len(t, roles(), 2)

	fake.set([]domain.Answer{answer("sam", "/api/groups/v1", 200, `[]`), answer("sam", "/api/groups/v1/g1", 404, ``)})
	_, err = b.RunPart(t.Context(), consortium, d, domain.Scope{Groups: []string{"g1"}})
	require.NoError(t, err)
	require.Equal(t, []domain.GroupRow{{Name: "g2", Email: "g2@firecloud.org", Role: "admin"}}, roles(), "of the two that are gone one was asked for")
	r := b.log.fold(t, d).Audit(domain.Options{Models: samModels})
	require.Equal(t, map[string][]string{"g1": {domain.ErrNotInAnVIL}}, r.ManagedGroups.Errors)
	require.Equal(t, []string{"g2"}, r.ManagedGroups.Verified)
	require.Empty(t, fake.violations)
}

func TestAListThatASweepOfAPartCannotReadMakesNothingElseUnknown(t *testing.T) {
	d := declared(t, small)
	fake := newTerra(smallWorld())
	b := newBench(t, newClient(t, fake.start(t)))
	_, err := b.Run(t.Context(), consortium, d, samModels)
	require.NoError(t, err)
	before := allObserved(t, b.log.fold(t, d))

	fake.set(smallWorld(answer("sam", "/api/groups/v1", 500, ``)))
	part, err := b.RunPart(t.Context(), consortium, d, domain.Scope{Groups: []string{"g1"}})
	require.NoError(t, err)
	require.Equal(t, []domain.Unseen{{Kind: domain.KindGroupList, Cause: "status 500"}}, part.Unseen)
	require.Equal(t, before, allObserved(t, b.log.fold(t, d)))

	_, err = b.Run(t.Context(), consortium, d, samModels)
	require.NoError(t, err)
	require.NotEmpty(t, b.log.fold(t, d).Audit(domain.Options{Models: samModels}).ManagedGroups.Unknown[domain.Everything], "a whole sweep does not know the list")
	fake.set(smallWorld())
	_, err = b.RunPart(t.Context(), consortium, d, domain.Scope{Groups: []string{"g1"}})
	require.NoError(t, err)
	require.Equal(t, before, allObserved(t, b.log.fold(t, d)), "then the whole list is taken from a sweep of a part")
}

func TestASweepOfAPartMayBeTheFirst(t *testing.T) {
	d := declared(t, small)
	fake := newTerra(smallWorld())
	b := newBench(t, newClient(t, fake.start(t)))
	_, err := b.RunPart(t.Context(), consortium, d, domain.Scope{Groups: []string{"g1"}})
	require.NoError(t, err)
	r := b.log.fold(t, d).Audit(domain.Options{})
	require.Equal(t, []string{"g1"}, r.ManagedGroups.Verified)
	require.Equal(t, map[string]string{"g2": "*: not observed"}, r.ManagedGroups.Unknown)
	require.Empty(t, r.ManagedGroups.Errors)
	require.Empty(t, fake.violations)
}

func TestASweepOfAGroupThatNobodyKnowsLeavesNoTrace(t *testing.T) {
	d := declared(t, small)
	fake := newTerra(smallWorld(
		answer("sam", "/api/groups/v1", 200, `[{"groupName":"g1","groupEmail":"g1@firecloud.org","role":"admin"},{"groupName":"stray","groupEmail":"s@firecloud.org","role":"member"}]`),
		answer("rawls", "/api/workspaces", 500, ``)))
	b := newBench(t, newClient(t, fake.start(t)))
	_, err := b.RunPart(t.Context(), consortium, d, domain.Scope{Groups: []string{"g1", "nobody"}})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, `group "nobody" is neither declared nor in AnVIL's list`)
	_, err = b.RunPart(t.Context(), consortium, d, domain.Scope{Workspaces: []string{"bp/ws"}})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.Empty(t, b.log.events)

	part, err := b.RunPart(t.Context(), consortium, d, domain.Scope{Groups: []string{"stray"}})
	require.NoError(t, err, "what is listed need not be declared")
	require.Equal(t, 1, part.Calls)
}

func TestASweepOfAPartLeadsToAnAudit(t *testing.T) {
	bus := &logBus{log: &memoryLog{failAfter: -1}}
	d := declared(t, small)
	_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: d})
	require.NoError(t, err)
	fake := newTerra(smallWorld(answer("sam", "/api/groups/v1/g1/member", 200, `[]`)))
	b := newBench(t, newClient(t, fake.start(t)))
	_, err = b.RunPart(t.Context(), consortium, d, domain.Scope{Groups: []string{"g1"}})
	require.NoError(t, err)
	require.NoError(t, bus.log.Append(t.Context(), b.log.events...))
	last := bus.log.events[len(bus.log.events)-1]
	require.Equal(t, domain.TypeSweepCompleted, last.Type)
	auditor := newAuditor(t, bus.load, bus.log)
	require.NoError(t, auditor.React(t.Context(), event.Recorded{Event: last}))
	require.Len(t, bus.state(t).OpenFindings(), 2, "the member who is missing, and the group whose members differ")

	old := last
	old.Type = "muster.anvil.sweep.completed.v1"
	require.NoError(t, auditor.React(t.Context(), event.Recorded{Event: old}), "and so does one of the first version")
}

func TestASweepOfAPartDoesNotPutOffTheNextWholeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &logBus{log: &memoryLog{failAfter: -1}}
		world := &moving{answers: map[string]domain.Answer{}}
		for _, a := range smallWorld() {
			world.answers[a.Path] = a
		}
		b := newBench(t, world)
		d := declared(t, small)
		_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: d})
		require.NoError(t, err)
		show := func(ctx context.Context, s event.Stream) (*domain.State, error) {
			if err := bus.log.Append(ctx, b.log.events...); err != nil {
				return nil, err
			}
			b.log.events = nil
			return bus.load(ctx, s)
		}
		// The part is swept between two looks of the rounds.
		start, parted := time.Now(), false
		look := func(ctx context.Context, s event.Stream) (*domain.State, error) {
			if !parted && time.Since(start) > 50*time.Minute {
				parted = true
				if _, err := b.RunPart(ctx, consortium, d, domain.Scope{Groups: []string{"g1"}}); err != nil {
					return nil, err
				}
			}
			return show(ctx, s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		rounds := &anvil.Rounds{
			Sweeper: b.Sweeper, Every: time.Hour, Logger: quiet(), Load: look,
			Consortia: func(context.Context) ([]string, error) { return []string{consortium}, nil },
		}
		done := make(chan error)
		go func() { done <- rounds.Run(ctx) }()
		<-time.After(90*time.Minute + 30*time.Second)
		cancel()
		require.NoError(t, <-done)
		_, err = show(t.Context(), stream)
		require.NoError(t, err)
		var whole []bool
		for _, e := range bus.log.events {
			p, err := registry().Decode(e)
			require.NoError(t, err)
			if done, ok := p.(domain.SweepCompleted); ok {
				whole = append(whole, done.Whole())
			}
		}
		require.Equal(t, []bool{true, false, true}, whole)
	})
}
