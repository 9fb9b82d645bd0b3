package anvil_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

var (
	stream = event.Consortium("test")
	noon   = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

// world is a consortium's stream that is written to and folded at once.
type world struct {
	t        testing.TB
	state    *anvil.State
	registry *event.Registry
	declared anvil.Declared
	known    []anvil.RecordKey
	hashes   map[anvil.RecordKey]string
	now      time.Time
}

func newWorld(t testing.TB) *world {
	registry := event.NewRegistry()
	anvil.Register(registry)
	return &world{t: t, state: anvil.NewState(stream), registry: registry, hashes: map[anvil.RecordKey]string{}, now: noon}
}

// apply writes a payload as an event, reads it back and folds it.
func (w *world) apply(p event.Payload) event.Event {
	w.now = w.now.Add(time.Second)
	e, err := event.New(uuid.New(), stream, "muster/test", w.now, p)
	require.NoError(w.t, err)
	w.fold(e)
	return e
}

func (w *world) fold(e event.Event) {
	require.NoError(w.t, e.Validate())
	decoded, err := w.registry.Decode(e)
	require.NoError(w.t, err)
	require.NoError(w.t, w.state.Apply(e, decoded))
}

// declare carries a declaration out and returns the findings' events that
// follow.
func (w *world) declare(d anvil.Declared) []event.Payload {
	plan, err := anvil.Plan(w.state.Declared(), d, anvil.Literal)
	require.NoError(w.t, err)
	var last event.Event
	var applied event.Payload
	for _, p := range anvil.PlanEvents(plan, "test") {
		last, applied = w.apply(p), p
	}
	w.declared = d
	if applied == nil {
		return nil
	}
	return w.react(last, applied)
}

// sweep observes and returns the findings' events that follow.
func (w *world) sweep(o *anvil.Observed) []event.Payload {
	for _, ob := range o.Observations(w.known) {
		hash, err := ob.Hash()
		require.NoError(w.t, err)
		if w.hashes[ob.Key] == hash {
			continue
		}
		if w.hashes[ob.Key] == "" {
			w.known = append(w.known, ob.Key)
		}
		w.hashes[ob.Key] = hash
		w.apply(ob.Payload)
	}
	done := anvil.SweepCompleted{SweepID: uuid.New()}
	return w.react(w.apply(done), done)
}

func (w *world) react(cause event.Event, p event.Payload) []event.Payload {
	events, _, err := w.state.Reaction("muster/test", cause, p)
	require.NoError(w.t, err)
	again, _, err := w.state.Reaction("muster/test", cause, p)
	require.NoError(w.t, err)
	require.Equal(w.t, events, again, "a repeated audit gives the same events")
	var payloads []event.Payload
	for _, e := range events {
		require.Equal(w.t, cause.ID.String(), e.CausationID)
		w.fold(e)
		w.fold(e)
		decoded, err := w.registry.Decode(e)
		require.NoError(w.t, err)
		payloads = append(payloads, decoded)
	}
	return payloads
}

func TestVectorsComeOutTheSameThroughEvents(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			observed, err := anvil.ObserveAnswers(v.Answers)
			require.NoError(t, err)
			w := newWorld(t)
			w.declare(v.Declared)
			w.sweep(observed)
			require.Equal(t, v.Declared, w.state.Declared())
			for _, compat := range []bool{true, false} {
				requireExpected(t, v, w.state.Audit(anvil.Options{Compat: compat}))
			}
			requireFindings(t, w.state)
		})
	}
}

// requireExpected compares the outcomes that are not aborted.
func requireExpected(t *testing.T, v anvil.Vector, r *anvil.Result) {
	t.Helper()
	var want, got map[string]map[string]any
	encoded, err := json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, &got))
	require.NoError(t, json.Unmarshal(v.Expected, &want))
	subs := map[string]string{"managed_groups": "managed_group_memberships", "workspaces": "workspace_sharing"}
	for _, model := range anvil.Models() {
		if _, aborted := want[string(model)]["aborted"]; aborted {
			continue
		}
		for _, key := range []string{string(model), subs[string(model)]} {
			if key == "" {
				continue
			}
			withoutOurs(want[key], got[key])
			require.Equal(t, want[key], got[key], key)
		}
	}
}

// withoutOurs takes out of an outcome what default mode has and the peer has not.
// What it questions the peer counts as verified.
func withoutOurs(peer, ours map[string]any) {
	if unknown, ok := ours["unknown"].(map[string]any); ok && len(unknown) == 0 {
		delete(ours, "unknown")
	}
	if beyond, ok := ours["beyond"].(map[string]any); ok {
		delete(ours, "beyond")
		theirs, _ := peer["verified"].([]any)
		seen, _ := ours["verified"].([]any)
		verified := append([]any{}, seen...)
		for key := range beyond {
			if slices.Contains(theirs, any(key)) {
				verified = append(verified, key)
			}
		}
		slices.SortFunc(verified, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		ours["verified"] = verified
		if len(beyond) > 0 {
			ours["ok"] = peer["ok"]
		}
	}
	for name, sub := range ours {
		if sub, ok := sub.(map[string]any); ok {
			theirs, _ := peer[name].(map[string]any)
			withoutOurs(theirs, sub)
		}
	}
}

// requireFindings checks that the open findings are the errors and the
// undeclared records of the audits, no more and no less.
func requireFindings(t *testing.T, s *anvil.State) {
	t.Helper()
	want := map[[4]string]bool{}
	for _, a := range s.Audit(anvil.Options{}).All() {
		require.Empty(t, a.Outcome.Aborted)
		for key, texts := range a.Outcome.Errors {
			for _, text := range texts {
				want[[4]string{string(a.Model), a.Scope, key, text}] = true
			}
		}
		for key, texts := range a.Outcome.Beyond {
			for _, text := range texts {
				want[[4]string{string(a.Model), a.Scope, key, text}] = true
			}
		}
		for _, key := range a.Outcome.NotInApp {
			want[[4]string{string(a.Model), a.Scope, key, anvil.NotInApp}] = true
		}
		for _, d := range a.Outcome.Discrepancies {
			if d.RoleSwap {
				delete(want, [4]string{string(a.Model), a.Scope, otherRole(d.Record), anvil.NotInApp})
			}
		}
	}
	got := map[[4]string]bool{}
	for _, f := range s.OpenFindings() {
		got[[4]string{string(f.Model), f.Scope, f.Record, f.Kind}] = true
		require.NotEmpty(t, f.Expected)
		require.NotEmpty(t, f.Observed)
		require.NotEmpty(t, f.Severity)
		require.NotEmpty(t, f.Evidence, "%s %s", f.Record, f.Kind)
	}
	require.Equal(t, want, got)
}

func observe(t testing.TB, answers ...anvil.Answer) *anvil.Observed {
	o, err := anvil.ObserveAnswers(answers)
	require.NoError(t, err)
	return o
}

func sam(path string, status int, body string) anvil.Answer {
	return anvil.Answer{Service: "sam", Method: "GET", Path: path, Status: status, Body: json.RawMessage(body)}
}

const (
	ourGroup = `[{"groupName":"readers","groupEmail":"readers@firecloud.org","role":"admin"}]`
	appIn    = `["app@example.com"]`
	missing  = `{"message":"not found"}`
)

// oneGroup is AnVIL with one group and the given members.
func oneGroup(t testing.TB, members string) *anvil.Observed {
	return observe(t, sam("/api/groups/v1", 200, ourGroup), sam("/api/groups/v1/readers/member", 200, members),
		sam("/api/groups/v1/readers/admin", 200, appIn))
}

func readers() anvil.Declared {
	d := anvil.Declared{
		ServiceAccount: "app@example.com",
		Accounts:       []anvil.Account{{Email: "a@example.com", Status: anvil.StatusActive}},
		ManagedGroups:  []anvil.ManagedGroup{{Name: "readers", Email: "readers@firecloud.org", IsManagedByApp: true}},
		GroupAccountMemberships: []anvil.AccountMembership{
			{Group: "readers", Account: "a@example.com", Role: anvil.RoleMember},
		},
	}
	d.Normalise()
	return d
}

func kinds(payloads []event.Payload) []string {
	var list []string
	for _, p := range payloads {
		happened := strings.Split(string(p.EventType()), ".")[3]
		switch f := p.(type) {
		case anvil.FindingOpened:
			list = append(list, happened+" "+f.Record+": "+f.Kind)
		case anvil.FindingChanged:
			list = append(list, happened+" "+f.Record+": "+f.Kind)
		case anvil.FindingResolved:
			list = append(list, happened+" "+f.Record+": "+f.Kind)
		}
	}
	return list
}

func TestFindingIsOpenedStaysWhileUnknownIsResolvedAndReopened(t *testing.T) {
	w := newWorld(t)
	require.Empty(t, w.declare(readers()), "nothing is found before anything was observed")

	opened := w.sweep(oneGroup(t, `[]`))
	require.Equal(t, []string{"opened readers: Group membership does not match in AnVIL", "opened MEMBER: a@example.com: Account not a member in AnVIL"}, kinds(opened))
	first := opened[1].(anvil.FindingOpened)
	require.Equal(t, "MEMBER", first.Expected)
	require.Equal(t, "not in the group", first.Observed)
	require.Equal(t, anvil.SideObserved, first.ChangedSide)
	require.Equal(t, "readers", first.Scope)
	mark, ok := w.state.DeclaredMark(anvil.RecordKey{Kind: anvil.KindAccountMembership, Name: "readers/a@example.com"})
	require.True(t, ok)
	require.Equal(t, mark.EventID, first.Evidence[0].EventID)

	require.Empty(t, w.sweep(oneGroup(t, `[]`)), "nothing changed, nothing follows")
	require.Empty(t, w.sweep(observe(t, sam("/api/groups/v1", 503, ``))), "an unreadable list settles nothing")
	require.Empty(t, w.sweep(observe(t, sam("/api/groups/v1", 200, ourGroup), sam("/api/groups/v1/readers/member", 500, ``),
		sam("/api/groups/v1/readers/admin", 200, appIn))), "unreadable members settle nothing")
	require.Len(t, w.state.OpenFindings(), 2)

	resolved := w.sweep(oneGroup(t, `["A@Example.com"]`))
	require.ElementsMatch(t, []string{"resolved readers: Group membership does not match in AnVIL", "resolved MEMBER: a@example.com: Account not a member in AnVIL"}, kinds(resolved))
	require.Empty(t, w.state.OpenFindings())
	require.Equal(t, anvil.SideObserved, resolved[0].(anvil.FindingResolved).ChangedSide)

	reopened := w.sweep(oneGroup(t, `[]`))
	again := reopened[1].(anvil.FindingOpened)
	require.Equal(t, first.ID, again.ID, "the same finding keeps its identity")
	require.Equal(t, 1, again.Reopened)
}

func TestFindingSaysWhichSideChanged(t *testing.T) {
	w := newWorld(t)
	d := readers()
	d.GroupAccountMemberships = nil
	d.Normalise()
	w.declare(d)
	opened := w.sweep(oneGroup(t, `["a@example.com"]`))
	require.Equal(t, []string{"opened readers: Group membership does not match in AnVIL", "opened MEMBER: a@example.com: not_in_app"}, kinds(opened))

	resolved := w.declare(readers())
	require.Len(t, resolved, 2)
	for _, p := range resolved {
		if f := p.(anvil.FindingResolved); f.Kind == anvil.NotInApp {
			require.Equal(t, anvil.SideDeclared, f.ChangedSide, "the declaration settled it")
			require.Equal(t, anvil.KindAccountMembership, f.Evidence[0].Kind)
		}
	}
	inactive := readers()
	inactive.Accounts[0].Status = anvil.StatusInactive
	opened = w.declare(inactive)
	require.Equal(t, []string{
		"opened readers: Group membership does not match in AnVIL",
		"opened MEMBER: a@example.com: " + anvil.ErrDeactivatedAccount,
	}, kinds(opened))
	require.Equal(t, anvil.SideDeclared, opened[1].(anvil.FindingOpened).ChangedSide)
}

func TestFindingChangesWithItsValues(t *testing.T) {
	w := newWorld(t)
	w.declare(readers())
	w.sweep(oneGroup(t, `["b@example.com"]`))
	changed := w.sweep(oneGroup(t, `["c@example.com"]`))
	require.Equal(t, []string{
		"changed readers: Group membership does not match in AnVIL",
		"opened MEMBER: c@example.com: not_in_app",
		"resolved MEMBER: b@example.com: not_in_app",
	}, kinds(changed))
	f := changed[0].(anvil.FindingChanged)
	require.Contains(t, f.Observed, "not declared: MEMBER: c@example.com")
	require.Contains(t, f.ObservedBefore, "not declared: MEMBER: b@example.com")
}

func TestFindingsOfAGroupThatCannotBeReadAnyMoreStayUntilItIsWithdrawn(t *testing.T) {
	w := newWorld(t)
	w.declare(readers())
	w.sweep(oneGroup(t, `[]`))
	changed := w.sweep(observe(t, sam("/api/groups/v1", 200, `[]`), sam("/api/groups/v1/readers", 404, missing)))
	require.Equal(t, []string{"opened readers: Not in AnVIL", "resolved readers: Group membership does not match in AnVIL"}, kinds(changed))
	require.Len(t, w.state.OpenFindings(), 2, "nobody saw whether the member is there now")

	none := anvil.Declared{ServiceAccount: "app@example.com"}
	none.Normalise()
	resolved := w.declare(none)
	require.Len(t, resolved, 2)
	require.Empty(t, w.state.OpenFindings())
	require.Equal(t, anvil.SideDeclared, resolved[0].(anvil.FindingResolved).ChangedSide)
}

func TestStateRefusesOtherStreamsAndOtherWorlds(t *testing.T) {
	s := anvil.NewState(stream)
	p := anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.com"}}
	e, err := event.New(uuid.New(), event.Consortium("other"), "muster/test", noon, p)
	require.NoError(t, err)
	require.Equal(t, event.CodeInvalid, event.CodeOf(s.Apply(e, p)))
	e.Stream = stream
	require.ErrorContains(t, s.Apply(e, foreign{}), "holds no muster.eve.x.y.v1")
}

type foreign struct{}

func (foreign) EventType() event.Type { return "muster.eve.x.y.v1" }
