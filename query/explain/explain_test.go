package explain_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/explain"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 1234, time.UTC)

const consortium = "acme"

// written is a log in memory.
type written struct {
	t       *testing.T
	records []eventlog.Record
	down    error
}

func (w *written) add(e event.Event) event.Position {
	at := event.Position{Topic: event.TopicAnVIL, Partition: 2, Offset: int64(10 * len(w.records))}
	w.records = append(w.records, eventlog.Record{Position: at, Key: e.Key(), Headers: e.Headers(), Value: e.Data})
	return at
}

func (w *written) say(minutes int, p event.Payload) event.Event {
	e, err := event.New(uuid.New(), event.Consortium(consortium), "test", noon.Add(time.Duration(minutes)*time.Minute), p)
	require.NoError(w.t, err)
	w.add(e)
	return e
}

func (w *written) ReadStream(_ context.Context, _ string, _ event.Stream, _ int64, fn func(eventlog.Record) error) error {
	for _, rec := range w.records {
		if err := fn(rec); err != nil {
			return err
		}
	}
	return w.down
}

// shown is a read model with one finding.
type shown struct{ place postgres.FindingPlace }

func (s shown) FindingPlace(_ context.Context, id uuid.UUID) (postgres.FindingPlace, error) {
	if id != s.place.Finding.ID {
		return postgres.FindingPlace{}, event.Errorf(event.CodeNotFound, "there is no finding %s", id)
	}
	return s.place, nil
}

// missing is a log of an account that AnVIL does not have, with the read model's
// row of the finding.
func missing(t *testing.T) (*written, shown) {
	w := &written{t: t}
	sweep := uuid.New()
	w.say(0, anvil.ConsortiumDeclared{ServiceAccount: "app@example.com"})
	declared := w.say(0, anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.com", Status: anvil.StatusActive}, Reason: "joined"})
	w.say(0, anvil.PlanApplied{Added: 2})
	w.say(1, anvil.SweepStarted{SweepID: sweep, Models: anvil.Models(), StartedAt: noon.Add(time.Minute)})
	observed := w.say(2, anvil.AccountObserved{Email: "a@example.com", Reading: anvil.Reading[anvil.AccountInfo]{Response: anvil.Response{Status: 404}}})
	w.say(3, anvil.SweepCompleted{SweepID: sweep, Models: anvil.Models(), StartedAt: noon.Add(time.Minute), CompletedAt: noon.Add(3 * time.Minute)})
	f := anvil.Finding{
		ID:    anvil.FindingID(event.Consortium(consortium), anvil.ModelAccounts, "", "a@example.com", anvil.ErrNotInAnVIL),
		Model: anvil.ModelAccounts, Record: "a@example.com", Kind: anvil.ErrNotInAnVIL, Severity: anvil.SeverityMedium,
		Expected: "exists as an account", Observed: "no such account", OpenedAt: noon.Add(3 * time.Minute), ChangedSide: anvil.SideObserved,
		Evidence: []anvil.Evidence{
			{Side: anvil.SideDeclared, Kind: anvil.KindAccount, Name: "a@example.com", EventID: declared.ID},
			{Side: anvil.SideObserved, Kind: anvil.KindAccount, Name: "a@example.com", EventID: observed.ID},
		},
	}
	opened := w.say(3, anvil.FindingOpened{Finding: f})
	at := func(n int) event.Position { return w.records[n].Position }
	return w, shown{postgres.FindingPlace{
		ConsortiumFinding: postgres.ConsortiumFinding{
			// Postgres keeps no more than microseconds.
			Finding:    postgres.Finding{Finding: f, Open: true, ChangedAt: opened.Time.Truncate(time.Microsecond)},
			Consortium: consortium,
		},
		EventID: opened.ID, At: at(6), Evidence: map[uuid.UUID]event.Position{declared.ID: at(1), observed.ID: at(4)},
	}}
}

func explainer(w *written, s shown) *explain.Explainer {
	registry := event.NewRegistry()
	anvil.Register(registry)
	return explain.New(s, history.New(w, registry))
}

func differences(x explain.Explanation) []string {
	all := []string{}
	for _, c := range x.Checks {
		if !c.Verified {
			all = append(all, c.Differs)
		}
	}
	return all
}

func TestAnExplanationIsVerifiedIfReadModelAndLogAgree(t *testing.T) {
	w, s := missing(t)
	for _, name := range []string{consortium, ""} {
		x, err := explainer(w, s).Finding(t.Context(), name, s.place.Finding.ID)
		require.NoError(t, err)
		require.True(t, x.Verified, "%v", x.Checks)
		require.Len(t, x.Checks, 3)
		require.Equal(t, "muster.anvil.v1/2@10", x.Checks[0].Position)
		require.Equal(t, "the declared account:a@example.com is in the log", x.Checks[0].What)
		require.Equal(t, consortium, x.Consortium)
		require.Equal(t, anvil.CauseNeverAgreed, x.Cause.Side)
		require.Equal(t, "joined", x.Cause.Reason)
		require.True(t, x.Open)
	}
}

func TestWhatDiffersIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*written, *postgres.FindingPlace)
		want   string
	}{
		"evidence elsewhere": {func(_ *written, p *postgres.FindingPlace) {
			p.Evidence[p.Finding.Evidence[1].EventID] = event.Position{Topic: event.TopicAnVIL, Partition: 2, Offset: 41}
		}, "the read model has it at muster.anvil.v1/2@41"},
		"evidence of something else": {func(_ *written, p *postgres.FindingPlace) { p.Finding.Evidence[0].Name = "b@example.com" }, "the event is about the declared account:a@example.com"},
		"evidence that is not there": {func(_ *written, p *postgres.FindingPlace) { p.Finding.Evidence[0].EventID = uuid.Nil }, "the log has no event 00000000-0000-0000-0000-000000000000"},
		"another value":              {func(_ *written, p *postgres.FindingPlace) { p.Observed = "an account" }, `observed is "no such account" in the log and "an account" in the read model`},
		"another state":              {func(_ *written, p *postgres.FindingPlace) { p.Open, p.Reopened = false, 2 }, `open is "true" in the log and "false" in the read model; reopened is "0" in the log and "2" in the read model`},
		"another time":               {func(_ *written, p *postgres.FindingPlace) { p.ChangedAt = p.ChangedAt.Add(time.Microsecond) }, "changed_at is"},
		"another event":              {func(_ *written, p *postgres.FindingPlace) { p.EventID = uuid.Nil }, "the log has no event 00000000-0000-0000-0000-000000000000 of the finding at muster.anvil.v1/2@60"},
		"another place":              {func(_ *written, p *postgres.FindingPlace) { p.At.Offset++ }, "the event lies at muster.anvil.v1/2@60"},
		"a read model behind the log": {func(w *written, p *postgres.FindingPlace) {
			w.say(9, anvil.FindingResolved{Finding: p.Finding.Finding, ResolvedAt: noon})
		}, "the read model is behind: the log has 1 newer events of the finding"},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := missing(t)
			c.change(w, &s.place)
			x, err := explainer(w, s).Finding(t.Context(), consortium, s.place.Finding.ID)
			require.NoError(t, err)
			require.False(t, x.Verified)
			require.NotEmpty(t, differences(x))
			require.Contains(t, differences(x)[0], c.want)
		})
	}
}

func TestSecondCopiesInTheLogDoNotDiffer(t *testing.T) {
	w, s := missing(t)
	w.records = append(w.records, w.records...)
	for i := range w.records {
		w.records[i].Position.Offset = int64(10 * i)
	}
	x, err := explainer(w, s).Finding(t.Context(), consortium, s.place.Finding.ID)
	require.NoError(t, err)
	require.True(t, x.Verified, "%v", differences(x))
}

func TestWhatCannotBeReadIsCounted(t *testing.T) {
	w, s := missing(t)
	broken := w.say(4, anvil.AccountWithdrawn{Email: "b@example.com"})
	w.records[len(w.records)-1].Value = []byte(`{"email":7}`)
	require.NotEmpty(t, broken.Data)
	x, err := explainer(w, s).Finding(t.Context(), consortium, s.place.Finding.ID)
	require.NoError(t, err)
	require.Equal(t, 1, x.Unreadable)
}

func TestWhatIsNotThereOrAwayIsAnError(t *testing.T) {
	w, s := missing(t)
	_, err := explainer(w, s).Finding(t.Context(), consortium, uuid.New())
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = explainer(w, s).Finding(t.Context(), "elsewhere", s.place.Finding.ID)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "elsewhere")
	w.down = event.Errorf(event.CodeUnavailable, "the broker is away")
	_, err = explainer(w, s).Finding(t.Context(), consortium, s.place.Finding.ID)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
}
