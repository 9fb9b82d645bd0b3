package anvil_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/ingest/anvil"
	simulator "github.com/muster-sync/muster/internal/simulate/anvil"
	"github.com/muster-sync/muster/internal/simulate/fault"
)

// tellable are the kinds of faults that a client can tell from an answer. A 404
// to a single question is none of them: it cannot.
func tellable() []fault.Kind {
	return []fault.Kind{
		fault.ServerError, fault.RateLimited, fault.RateLimitedBare, fault.Downtime, fault.Truncated, fault.CutOff, fault.HTML, fault.WrongTypes, fault.Reset,
	}
}

// recordOf is the record that a request is about.
func recordOf(t *testing.T, f simulator.Failure) domain.RecordKey {
	o, err := domain.ObserveAnswers([]domain.Answer{{Service: f.Service, Method: http.MethodGet, Path: f.Path, Status: 500}})
	require.NoError(t, err)
	return o.Observations(nil)[0].Key
}

// sights are what was observed: the hash of each record and, if it is
// unknown, the cause.
type sights struct {
	hashes map[domain.RecordKey]string
	unseen map[domain.RecordKey]string
}

func sightsOf(t *testing.T, o *domain.Observed) sights {
	s := sights{map[domain.RecordKey]string{}, map[domain.RecordKey]string{}}
	for _, ob := range o.Observations(nil) {
		hash, err := ob.Hash()
		require.NoError(t, err)
		s.hashes[ob.Key] = hash
		if cause := ob.Unseen(); cause != "" {
			s.unseen[ob.Key] = cause
		}
	}
	return s
}

// faulty is the simulated AnVIL asked without retries, and without the ones that
// the standard library makes of its own on a connection that is used again: each
// failure is one that the sweep sees.
func faulty(t *testing.T, attempts int) *simulated {
	s := simulate(t)
	s.config.Attempts = attempts
	s.config.Transport = &http.Transport{DisableKeepAlives: true}
	return s
}

// requireExactly holds a sweep against the simulator's own book: unknown is what
// it broke, and everything else is as it is.
func requireExactly(t *testing.T, s *simulated, d domain.Declared, got *domain.Observed, broken []simulator.Failure) {
	t.Helper()
	perfect, err := newBench(t, newClient(t, s.config)).Run(t.Context(), consortium, d, nil)
	require.NoError(t, err)
	want := sightsOf(t, perfect.World)
	require.Empty(t, want.unseen, "without faults everything is seen")
	saw := sightsOf(t, got)
	lost := map[domain.RecordKey]bool{}
	for _, f := range broken {
		key := recordOf(t, f)
		lost[key] = true
		require.NotEmpty(t, saw.unseen[key], "%s was broken by %s", key, f.Kind)
	}
	for key, cause := range saw.unseen {
		require.True(t, lost[key], "%s is unknown (%s), but nothing broke its call", key, cause)
	}
	for key, hash := range want.hashes {
		_, there := saw.hashes[key]
		switch {
		case lost[key]:
		case there:
			require.Equal(t, hash, saw.hashes[key], "%s", key)
		default:
			// What a list leads to is not asked for without it.
			require.True(t, follows(key, lost), "%s is missing, and no list is", key)
		}
	}
	for key := range saw.hashes {
		require.Contains(t, want.hashes, key, "nothing is seen that is not there")
	}
}

// follows tells whether a record could not be known because its list was lost.
func follows(key domain.RecordKey, lost map[domain.RecordKey]bool) bool {
	switch key.Kind {
	case domain.KindGroupRole, domain.KindGroup, domain.KindGroupMembers, domain.KindGroupAdmins:
		return lost[domain.RecordKey{Kind: domain.KindGroupList}]
	case domain.KindWorkspace, domain.KindAccessList, domain.KindSettings:
		return lost[domain.RecordKey{Kind: domain.KindWorkspaceList}]
	default:
		return false
	}
}

// requireNothingInvented: an audit in spite of failures finds nothing that the
// perfect one does not, and what it lacks it calls unknown.
func requireNothingInvented(t *testing.T, perfect, got *domain.Result) {
	t.Helper()
	type point struct{ model, scope, record, kind string }
	points := func(r *domain.Result) map[point]bool {
		all := map[point]bool{}
		for _, x := range r.Discrepancies() {
			all[point{string(x.Model), x.Scope, x.Record, x.Kind}] = true
		}
		return all
	}
	want, have := points(perfect), points(got)
	for p := range have {
		require.True(t, want[p], "%+v is invented", p)
	}
	unknown := map[point]bool{}
	for _, a := range got.All() {
		for record := range a.Unknown {
			unknown[point{string(a.Model), a.Scope, record, ""}] = true
		}
	}
	for p := range want {
		if have[p] {
			continue
		}
		parent := map[string]string{string(domain.ModelMemberships): string(domain.ModelManagedGroups), string(domain.ModelSharing): string(domain.ModelWorkspaces)}[p.model]
		require.True(t, unknown[point{p.model, p.scope, p.record, ""}] || unknown[point{p.model, p.scope, domain.Everything, ""}] ||
			unknown[point{parent, "", p.scope, ""}], "%+v is lost", p)
	}
}

func TestASweepWithFiveCallsInAHundredFailingLosesNothingElse(t *testing.T) {
	broken := 0
	for seed := range 3 {
		for _, kind := range tellable() {
			t.Run(fmt.Sprintf("%s %d", kind, seed), func(t *testing.T) {
				s := faulty(t, 1)
				d := s.declaration(t)
				b := newBench(t, newClient(t, s.config))
				require.NoError(t, s.Faults().Add(fault.Fault{Kind: kind, Rate: 0.05}))
				summary, err := b.Run(t.Context(), consortium, d, nil)
				require.NoError(t, err)
				s.Faults().Clear()
				// The lists are asked again at the end of a sweep that met a 404, to see
				// whether it means anything. Nothing rests on those answers.
				var failures []simulator.Failure
				for _, f := range s.Failures() {
					if f.Times == 1 {
						failures = append(failures, f)
					}
				}
				broken += len(failures)
				require.Equal(t, len(failures), summary.UnseenCount)
				require.Zero(t, summary.Retries)
				state := b.log.fold(t, d)
				requireExactly(t, s, d, summary.World, failures)
				requireExactly(t, s, d, state.Observed(), failures)
				perfect := domain.Audit(d, s.world(t), domain.Options{})
				requireNothingInvented(t, perfect, state.Audit(domain.Options{}))

				_, err = b.Run(t.Context(), consortium, d, nil)
				require.NoError(t, err)
				requireSame(t, perfect, b.log.fold(t, d).Audit(domain.Options{}))
				require.Empty(t, s.Violations())
			})
		}
	}
	require.Greater(t, broken, 27, "calls did fail")
}

// With all kinds at once, at a rate at which two attempts are often not enough.
func TestASweepWhoseRetriesAreExhaustedLosesNothingElse(t *testing.T) {
	exhausted := 0
	for range 5 {
		s := faulty(t, 2)
		s.config.Patience = 10 * time.Second
		d := s.declaration(t)
		b := newBench(t, newClient(t, s.config))
		for _, kind := range []fault.Kind{fault.ServerError, fault.RateLimitedBare, fault.Truncated, fault.CutOff, fault.HTML, fault.WrongTypes, fault.Reset} {
			for _, route := range []string{"billing-project", "user", "group", "group-members", "group-admins", "workspace-acl", "workspace-settings"} {
				require.NoError(t, s.Faults().Add(fault.Fault{Kind: kind, Route: route, Rate: 0.05}))
			}
		}
		summary, err := b.Run(t.Context(), consortium, d, nil)
		require.NoError(t, err)
		s.Faults().Clear()
		failures := s.LastFailures()
		require.Greater(t, len(s.Failures()), len(failures), "some were answered at the second attempt")
		require.NotZero(t, summary.Retries)
		exhausted += len(failures)
		require.Equal(t, len(failures), summary.UnseenCount)
		state := b.log.fold(t, d)
		requireExactly(t, s, d, state.Observed(), failures)
		requireNothingInvented(t, domain.Audit(d, s.world(t), domain.Options{}), state.Audit(domain.Options{}))
	}
	require.NotZero(t, exhausted)
}

// What a failed sweep leaves unknown was not unknown before: findings stay as
// they were until it is seen again.
func TestFailuresNeitherOpenNorResolveFindings(t *testing.T) {
	s := faulty(t, 1)
	d := s.declaration(t)
	bus := &logBus{log: &memoryLog{failAfter: -1}}
	_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: d})
	require.NoError(t, err)
	b := newBench(t, newClient(t, s.config))
	sweepAndAudit := func() []domain.Finding {
		before := len(b.log.events)
		_, err := b.Run(t.Context(), consortium, d, nil)
		require.NoError(t, err)
		require.NoError(t, bus.log.Append(t.Context(), b.log.events[before:]...))
		state := bus.state(t)
		last := b.log.events[len(b.log.events)-1]
		p, err := registry().Decode(last)
		require.NoError(t, err)
		events, _, err := state.Reaction("test", last, p)
		require.NoError(t, err)
		require.NoError(t, bus.log.Append(t.Context(), events...))
		return bus.state(t).OpenFindings()
	}
	whole, err := json.Marshal(sweepAndAudit())
	require.NoError(t, err)
	require.NotEqual(t, "null", string(whole))
	for _, kind := range tellable() {
		require.NoError(t, s.Faults().Add(fault.Fault{Kind: kind, Rate: 0.05}))
	}
	var ids []string
	for _, f := range sweepAndAudit() {
		ids = append(ids, f.ID.String())
	}
	var was []domain.Finding
	require.NoError(t, json.Unmarshal(whole, &was))
	for _, f := range was {
		require.Contains(t, ids, f.ID.String(), "%s %s is not resolved by what was not seen", f.Record, f.Kind)
	}
	require.Len(t, ids, len(was))
}
