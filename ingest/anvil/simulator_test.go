package anvil_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/ingest/anvil"
	simulator "github.com/muster-sync/muster/internal/simulate/anvil"
	"github.com/muster-sync/muster/internal/simulate/fault"
)

// simulated is a strict AnVIL with a world that moves when the test says so.
type simulated struct {
	*simulator.Simulator
	now    time.Time
	config anvil.ClientConfig
}

func simulate(t *testing.T) *simulated {
	s := &simulated{now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	s.Simulator, err = simulator.New(simulator.Config{Seed: 7, NoToken: true, Drift: 0.2, Clock: func() time.Time { return s.now }})
	require.NoError(t, err)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	s.config = anvil.ClientConfig{
		SamURL: server.URL, RawlsURL: server.URL, Credentials: anvil.NoCredentials,
		FirstPause: time.Millisecond, Timeout: 500 * time.Millisecond, Patience: 900 * time.Millisecond, Attempts: 3,
	}
	return s
}

// declaration and world are the simulator's, read as files would be.
func (s *simulated) declaration(t *testing.T) domain.Declared {
	data, err := json.Marshal(s.Simulator.Declared())
	require.NoError(t, err)
	return declared(t, string(data))
}

func (s *simulated) world(t *testing.T) *domain.Observed {
	data, err := json.Marshal(s.Answers())
	require.NoError(t, err)
	answers, err := domain.DecodeAnswers(bytes.NewReader(data))
	require.NoError(t, err)
	o, err := domain.ObserveAnswers(answers)
	require.NoError(t, err)
	return o
}

func TestSweepsOfAMovingWorldSeeWhatIsThereAndBreakNoRule(t *testing.T) {
	s := simulate(t)
	d := s.declaration(t)
	b := newBench(t, newClient(t, s.config))
	var observed []int
	for range 4 {
		summary, err := b.Run(t.Context(), consortium, d, nil)
		require.NoError(t, err)
		require.Zero(t, summary.UnseenCount)
		observed = append(observed, summary.Observed)
		requireSame(t, domain.Audit(d, s.world(t), domain.Options{}), b.log.fold(t, d).Audit(domain.Options{}))
		s.now = s.now.Add(24 * time.Hour)
	}
	require.Empty(t, s.Violations())
	require.Less(t, observed[1], observed[0]/2, "only what moved is observed again")
	require.NotZero(t, observed[1]+observed[2]+observed[3])
}

func TestFaultsOfAnVILMakeNoFindingsOfTheirOwn(t *testing.T) {
	for _, kind := range []fault.Kind{fault.ServerError, fault.RateLimitedBare, fault.Downtime, fault.Truncated, fault.CutOff, fault.HTML, fault.WrongTypes, fault.Reset} {
		t.Run(string(kind), func(t *testing.T) {
			s := simulate(t)
			d := s.declaration(t)
			full := map[[4]string]bool{}
			for _, x := range domain.Audit(d, s.world(t), domain.Options{}).Discrepancies() {
				full[[4]string{string(x.Model), x.Scope, x.Record, x.Kind}] = true
			}
			// One route never answers, so that something stays unseen whatever chance and the retries do to the others.
			require.NoError(t, s.Faults().Add(fault.Fault{Kind: kind, Route: "billing-project"}, fault.Fault{Kind: kind, Rate: 0.6}))
			b := newBench(t, newClient(t, s.config))
			summary, err := b.Run(t.Context(), consortium, d, nil)
			require.NoError(t, err)
			require.NotZero(t, summary.UnseenCount)
			for _, x := range b.log.fold(t, d).Audit(domain.Options{}).Discrepancies() {
				require.True(t, full[[4]string{string(x.Model), x.Scope, x.Record, x.Kind}], "%+v", x)
			}
			s.Faults().Clear()
			_, err = b.Run(t.Context(), consortium, d, nil)
			require.NoError(t, err)
			requireSame(t, domain.Audit(d, s.world(t), domain.Options{}), b.log.fold(t, d).Audit(domain.Options{}))
			require.Empty(t, s.Violations())
		})
	}
}

func TestAnAnVILThatAnswers404ToEverythingIsNotEmpty(t *testing.T) {
	s := simulate(t)
	d := s.declaration(t)
	b := newBench(t, newClient(t, s.config))
	require.NoError(t, s.Faults().Add(fault.Fault{Kind: fault.Maintenance}))
	_, err := b.Run(t.Context(), consortium, d, nil)
	require.NoError(t, err)
	r := b.log.fold(t, d).Audit(domain.Options{})
	require.Empty(t, r.Discrepancies())
	require.Empty(t, r.Accounts.Verified)
	require.NotEmpty(t, r.Accounts.Unknown)
	for _, cause := range r.Accounts.Unknown {
		require.Equal(t, "the service answers 404 to everything", cause)
	}
}

// With 50 ms a call, a sweep of the size that the design names is at least 20
// times faster than one call after the other.
func TestSweepAsksManyQuestionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = 50 * time.Millisecond
		d := domain.Declared{ServiceAccount: "app@example.com"}
		for i := range 2000 {
			d.Accounts = append(d.Accounts, domain.Account{Email: fmt.Sprintf("u%d@example.com", i), Status: domain.StatusActive})
		}
		d.Normalise()
		b := newBench(t, askerFunc(func(context.Context, domain.Request) (anvil.Reply, error) {
			<-time.After(latency)
			return anvil.Reply{Status: 200, Body: []byte(`{}`), Calls: 1, At: time.Now()}, nil
		}))
		start := time.Now()
		summary, err := b.Run(context.Background(), consortium, d, []domain.Model{domain.ModelAccounts})
		require.NoError(t, err)
		require.Equal(t, 2000, summary.Calls)
		require.Less(t, time.Since(start), time.Duration(summary.Calls)*latency/20)
	})
}
