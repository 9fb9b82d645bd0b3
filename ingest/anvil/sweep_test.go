package anvil_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
)

func TestSweepOfEachVectorGivesTheExpectedAudits(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			fake := newTerra(v.Answers)
			b := newBench(t, newClient(t, fake.start(t)))
			summary, err := b.Run(t.Context(), consortium, v.Declared, nil)
			require.NoError(t, err)
			require.Empty(t, fake.violations, "nothing is asked that no audit needs")
			requireExpected(t, v.Expected, b.log.fold(t, v.Declared).Audit(domain.Options{Compat: true}))
			requireExpected(t, v.Expected, domain.Audit(v.Declared, summary.World, domain.Options{Compat: true}))

			types := b.log.types()
			require.Equal(t, "sweep.started", types[0])
			require.Equal(t, "sweep.completed", types[len(types)-1])
			require.Equal(t, len(types)-2, summary.Observed)

			again, err := b.Run(t.Context(), consortium, v.Declared, nil)
			require.NoError(t, err)
			require.Zero(t, again.Observed, "nothing changed, nothing is observed")
			require.Equal(t, []string{"sweep.started", "sweep.completed"}, b.log.types()[len(types):])
		})
	}
}

// requireExpected compares the outcomes that are not aborted.
func requireExpected(t *testing.T, expected json.RawMessage, r *domain.Result) {
	t.Helper()
	var want, got map[string]map[string]any
	encoded, err := json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, &got))
	require.NoError(t, json.Unmarshal(expected, &want))
	subs := map[string]string{"managed_groups": "managed_group_memberships", "workspaces": "workspace_sharing"}
	for _, model := range domain.Models() {
		if _, aborted := want[string(model)]["aborted"]; aborted {
			continue
		}
		for _, key := range []string{string(model), subs[string(model)]} {
			if key != "" {
				require.Equal(t, want[key], withoutUnknown(got[key]), key)
			}
		}
	}
}

func withoutUnknown(o map[string]any) map[string]any {
	delete(o, "unknown")
	for _, sub := range o {
		if sub, ok := sub.(map[string]any); ok {
			withoutUnknown(sub)
		}
	}
	return o
}

func declared(t testing.TB, text string) domain.Declared {
	d, err := domain.DecodeDeclared(strings.NewReader(text))
	require.NoError(t, err)
	return d
}

const small = `{"service_account": "app@example.com",
 "accounts": [{"email": "a@example.com"}, {"email": "odd+name/x?y@example.com"}],
 "managed_groups": [{"name": "g1", "email": "g1@firecloud.org"}, {"name": "g2", "email": "g2@firecloud.org"}],
 "group_account_memberships": [{"group": "g1", "account": "a@example.com"}]}`

func answer(service, path string, status int, body string) domain.Answer {
	return domain.Answer{Service: service, Method: "GET", Path: path, Status: status, Body: json.RawMessage(body)}
}

// smallWorld agrees with small; more answers replace its own.
func smallWorld(more ...domain.Answer) []domain.Answer {
	return append([]domain.Answer{
		answer("sam", "/api/groups/v1", 200, `[{"groupName":"g1","groupEmail":"g1@firecloud.org","role":"admin"},{"groupName":"g2","groupEmail":"g2@firecloud.org","role":"admin"}]`),
		answer("sam", "/api/users/v1/a@example.com", 200, `{"userSubjectId":"1","userEmail":"a@example.com","googleSubjectId":"1"}`),
		answer("sam", "/api/users/v1/odd+name/x?y@example.com", 200, `{"userSubjectId":"2","userEmail":"odd+name/x?y@example.com","googleSubjectId":"2"}`),
		answer("sam", "/api/groups/v1/g1/member", 200, `["a@example.com"]`),
		answer("sam", "/api/groups/v1/g1/admin", 200, `["app@example.com"]`),
		answer("sam", "/api/groups/v1/g2/member", 200, `[]`),
		answer("sam", "/api/groups/v1/g2/admin", 200, `["app@example.com"]`),
	}, more...)
}

var samModels = []domain.Model{domain.ModelAccounts, domain.ModelManagedGroups}

func TestSweepAsksOnlyForTheModels(t *testing.T) {
	d := declared(t, small)
	fake := newTerra(smallWorld())
	b := newBench(t, newClient(t, fake.start(t)))
	summary, err := b.Run(t.Context(), consortium, d, samModels)
	require.NoError(t, err)
	require.Empty(t, fake.violations)
	require.Equal(t, 7, summary.Calls)
	require.Equal(t, samModels, summary.Models)
	require.Equal(t, map[domain.Kind]int{
		domain.KindAccount: 2, domain.KindGroupList: 1, domain.KindGroupRole: 2,
		domain.KindGroupMembers: 2, domain.KindGroupAdmins: 2,
	}, summary.Covered)
	require.True(t, domain.Audit(d, summary.World, domain.Options{Models: samModels}).OK())
}

func TestSweepMakesOnlyTheRecordUnknownThatCannotBeRead(t *testing.T) {
	d := declared(t, small)
	for name, f := range map[string]struct {
		answer domain.Answer
		cause  string
		kept   int
	}{
		"HTML":         {answer("sam", "/api/groups/v1/g1/member", 200, `<html>secret@example.com</html>`), "malformed answer: the body is HTML", 1},
		"truncated":    {answer("sam", "/api/groups/v1/g1/member", 200, `["a@exam`), "malformed answer: the body is no complete JSON", 1},
		"wrong type":   {answer("sam", "/api/groups/v1/g1/member", 200, `{"secret@example.com": 1}`), `malformed answer: object where slice is due in field ""`, 1},
		"null":         {answer("sam", "/api/groups/v1/g1/member", 200, `null`), "malformed answer: null where a list is due", 1},
		"empty":        {answer("sam", "/api/groups/v1/g1/member", 200, ``), "malformed answer: the body is empty", 1},
		"server error": {answer("sam", "/api/groups/v1/g1/member", 503, `{"message":"busy"}`), "status 503: busy", 0},
		"forbidden":    {answer("sam", "/api/groups/v1/g1/member", 403, ``), "status 403", 0},
		"rate limited": {answer("sam", "/api/groups/v1/g1/member", 429, ``), "status 429", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, newClient(t, newTerra(smallWorld(f.answer)).start(t)))
			summary, err := b.Run(t.Context(), consortium, d, samModels)
			require.NoError(t, err)
			require.Equal(t, 1, summary.UnseenCount)
			require.Equal(t, []domain.Unseen{{Kind: domain.KindGroupMembers, Name: "g1", Cause: f.cause}}, summary.Unseen)
			require.Len(t, b.samples.list, f.kept)

			r := b.log.fold(t, d).Audit(domain.Options{Models: samModels})
			require.Equal(t, map[string]string{"g1": "*: " + f.cause}, r.ManagedGroups.Unknown)
			require.Equal(t, []string{"g2"}, r.ManagedGroups.Verified)
			require.Empty(t, r.ManagedGroups.Errors)
			require.Len(t, r.Accounts.Verified, 2)
			require.False(t, r.OK(), "what was not seen is not ok")
		})
	}
}

func TestSweepSeesThatAGroupIsGoneOnlyInACompleteList(t *testing.T) {
	d := declared(t, `{"service_account": "app@example.com"}`)
	fake := newTerra([]domain.Answer{answer("sam", "/api/groups/v1", 200, `[{"groupName":"stray","groupEmail":"stray@firecloud.org","role":"admin"}]`)})
	b := newBench(t, newClient(t, fake.start(t)))
	run := func() *domain.Outcome {
		_, err := b.Run(t.Context(), consortium, d, []domain.Model{domain.ModelManagedGroups})
		require.NoError(t, err)
		return b.log.fold(t, d).Audit(domain.Options{}).ManagedGroups
	}
	require.Equal(t, []string{"stray"}, run().NotInApp)

	fake.set([]domain.Answer{answer("sam", "/api/groups/v1", 500, ``)})
	require.Equal(t, map[string]string{domain.Everything: "status 500"}, run().Unknown)

	fake.set([]domain.Answer{answer("sam", "/api/groups/v1", 200, `[]`)})
	gone := run()
	require.True(t, gone.OK())
	require.Equal(t, []string{"sweep.started", "grouplist.observed", "grouprole.observed", "sweep.completed"}, b.log.types()[len(b.log.types())-4:])
}

func TestSweepRefusesToRunTwiceAtOnceAndInvalidDeclarations(t *testing.T) {
	b := newBench(t, newClient(t, newTerra(nil).start(t)))
	session, err := b.store.Begin(t.Context(), stream)
	require.NoError(t, err)
	_, err = b.Run(t.Context(), consortium, declared(t, small), nil)
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	session.Close()

	_, err = b.Run(t.Context(), consortium, domain.Declared{}, nil)
	require.ErrorContains(t, err, "service_account is empty")
	require.Empty(t, b.log.events)
}

func TestSweepThatIsInterruptedAppendsNothingButItsStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, askerFunc(func(ctx context.Context, q domain.Request) (anvil.Reply, error) {
		cancel()
		<-ctx.Done()
		return anvil.Reply{}, ctx.Err()
	}))
	_, err := b.Run(ctx, consortium, declared(t, small), samModels)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"sweep.started"}, b.log.types())
	require.Empty(t, b.store.marks)
}

type askerFunc func(context.Context, domain.Request) (anvil.Reply, error)

func (askerFunc) CheckToken() error { return nil }

func (f askerFunc) Ask(ctx context.Context, q domain.Request) (anvil.Reply, error) { return f(ctx, q) }

// moving is a world that answers from a list which tests change.
type moving struct{ answers map[string]domain.Answer }

func (m *moving) CheckToken() error { return nil }

func (m *moving) Ask(_ context.Context, q domain.Request) (anvil.Reply, error) {
	a, ok := m.answers[q.Path()]
	if !ok {
		return anvil.Reply{Failure: "no answer: the connection failed", Calls: 1, At: time.Now()}, nil
	}
	return anvil.Reply{Status: a.Status, Body: a.Body, Calls: 1, At: time.Now()}, nil
}

// Whatever happens between and during sweeps, the log tells what the last
// sweep that succeeded saw.
func TestCrashesLoseNothingAndSayNothingTwiceDifferently(t *testing.T) {
	d := declared(t, small)
	rapid.Check(t, func(t *rapid.T) {
		world := &moving{}
		b := newBench(t, world)
		for range rapid.IntRange(1, 8).Draw(t, "sweeps") {
			world.answers = drawWorld(t)
			b.log.failAfter = rapid.SampledFrom([]int{-1, -1, -1, 0, 1, 2, 5}).Draw(t, "append fails after")
			b.store.failCommit = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "commit fails")
			// Whether it succeeds is what this test leaves to chance.
			_, _ = b.Run(context.Background(), consortium, d, samModels)
		}
		b.log.failAfter, b.store.failCommit = -1, false
		last, err := b.Run(context.Background(), consortium, d, samModels)
		require.NoError(t, err)
		state := b.log.fold(t, d)
		requireSame(t, domain.Audit(d, last.World, domain.Options{Models: samModels}), state.Audit(domain.Options{Models: samModels}))
		require.Equal(t, observations(t, last.World), observations(t, state.Observed()), "the fold knows all that the last sweep saw")
	})
}

func requireSame(t require.TestingT, want, got *domain.Result) {
	w, err := json.Marshal(want)
	require.NoError(t, err)
	g, err := json.Marshal(got)
	require.NoError(t, err)
	// Only the wording of an error may be that of an earlier sweep.
	wording := regexp.MustCompile(`trouble \d`)
	require.JSONEq(t, wording.ReplaceAllString(string(w), ""), wording.ReplaceAllString(string(g), ""))
}

// observations are the hashes of what was observed in a world's lists and of
// all accounts; other records may be there from earlier sweeps.
func observations(t require.TestingT, o *domain.Observed) map[domain.RecordKey]string {
	hashes := map[domain.RecordKey]string{}
	for _, ob := range o.Observations(nil) {
		switch ob.Key.Kind {
		case domain.KindGroupRole, domain.KindGroupList, domain.KindAccount:
			hash, err := ob.Hash()
			require.NoError(t, err)
			if ob.Key.Kind != domain.KindGroupRole || o.GroupList.Found() {
				hashes[ob.Key] = hash
			}
		}
	}
	return hashes
}

func drawWorld(t *rapid.T) map[string]domain.Answer {
	answers := map[string]domain.Answer{}
	for _, a := range smallWorld() {
		answers[a.Path] = a
	}
	bodies := []string{`[]`, `["a@example.com"]`, `["A@example.com","b@example.com"]`, `["app@example.com"]`, `<html>`}
	for _, path := range slices.Sorted(maps.Keys(answers)) {
		a := answers[path]
		switch rapid.IntRange(0, 5).Draw(t, path) {
		case 0:
			a.Status = rapid.SampledFrom([]int{403, 404, 500}).Draw(t, "status")
			a.Body = json.RawMessage(fmt.Sprintf(`{"message":"trouble %d"}`, rapid.IntRange(0, 9).Draw(t, "message")))
		case 1:
			delete(answers, path)
			continue
		case 2:
			if strings.HasSuffix(path, "/member") || strings.HasSuffix(path, "/admin") {
				a.Body = json.RawMessage(rapid.SampledFrom(bodies).Draw(t, "body"))
			}
			if path == "/api/groups/v1" {
				a.Body = json.RawMessage(`[{"groupName":"g1","groupEmail":"g1@firecloud.org","role":"admin"},{"groupName":"g9","groupEmail":"g9@firecloud.org","role":"admin"}]`)
			}
		}
		answers[path] = a
	}
	return answers
}
