package doctor_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// verdict is the worst of an outcome, and all that was said of problems.
func verdict(o doctor.Outcome) (doctor.Verdict, string) {
	r := doctor.Run(context.Background(), time.Minute, doctor.Check{Name: "it", Look: func(context.Context) (doctor.Outcome, error) { return o, nil }})[0]
	if len(r.Problems) == 0 {
		return r.Verdict, ""
	}
	return r.Verdict, r.Seen + " / " + r.Remedy
}

// judged is a case of a table: what came out, how bad it ought to be, and words that ought
// to be said.
type judged struct {
	name    string
	outcome doctor.Outcome
	verdict doctor.Verdict
	says    string
}

func requireJudged(t *testing.T, cases []judged) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, said := verdict(c.outcome)
			require.Equal(t, c.verdict, got, said)
			require.Contains(t, said, c.says)
			for _, p := range c.outcome.Problems {
				require.NotEmpty(t, p.Remedy, "a problem has a remedy")
			}
			if len(c.outcome.Problems) == 0 {
				require.NotEmpty(t, c.outcome.Seen)
			}
		})
	}
}

func TestChecksAreMadeAtOnceAndInTimeAndKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meet := make(chan struct{})
		both := func(send bool) func(context.Context) (doctor.Outcome, error) {
			return func(ctx context.Context) (doctor.Outcome, error) {
				if send {
					meet <- struct{}{}
				} else {
					<-meet
				}
				return doctor.Outcome{Seen: "met"}, nil
			}
		}
		started := time.Now()
		deaf := make(chan struct{})
		results := doctor.Run(t.Context(), 5*time.Second,
			doctor.Check{Name: "one", Look: both(true)},
			doctor.Check{Name: "deaf", Look: func(context.Context) (doctor.Outcome, error) {
				<-deaf // as a file system that hangs
				return doctor.Outcome{}, nil
			}},
			doctor.Check{Name: "other", Look: both(false)},
			doctor.Check{Name: "slow", Look: func(ctx context.Context) (doctor.Outcome, error) {
				<-ctx.Done()
				return doctor.Outcome{}, fmt.Errorf("asking: %w", ctx.Err())
			}},
			doctor.Check{Name: "depends", Look: func(context.Context) (doctor.Outcome, error) {
				return doctor.Outcome{}, doctor.NotLooked{Why: "kafka is not reached", Remedy: "see the line of kafka"}
			}},
		)
		close(deaf)
		require.Equal(t, 5*time.Second, time.Since(started))
		require.Equal(t, doctor.Result{Name: "one", Verdict: doctor.OK, Seen: "met", Problems: []doctor.Problem{}}, results[0])
		require.Equal(t, "met", results[2].Seen)
		for _, i := range []int{1, 3} {
			require.Equal(t, doctor.Warning, results[i].Verdict)
			require.Equal(t, "not looked at: no answer within 5s", results[i].Seen)
		}
		require.Equal(t, "not looked at: kafka is not reached", results[4].Seen)
		require.Equal(t, "see the line of kafka", results[4].Remedy)
		require.Equal(t, doctor.Warning, doctor.Worst(results))
	})
}

func TestTheWorstProblemIsTheVerdict(t *testing.T) {
	o := doctor.Outcome{Seen: "two things", Problems: []doctor.Problem{{Verdict: doctor.Failed, Seen: "a", Remedy: "mend a"}, {Verdict: doctor.Warning, Seen: "b", Remedy: "mend b"}}}
	got, said := verdict(o)
	require.Equal(t, doctor.Failed, got)
	require.Equal(t, "a; b / mend a; mend b", said)
	require.Equal(t, doctor.OK, doctor.Worst(nil))
}

func TestReasonsTellNothingOfAddressesAndSecrets(t *testing.T) {
	_, parsed := pgx.ParseConfig("postgres://ada:hush@db.internal:5432/x?sslmode=what")
	require.Error(t, parsed)
	refused := &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 5432}, Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		err  error
		want string
	}{
		{parsed, "it does not answer as it should"},
		{errors.New("dial postgres://ada:hush@db.internal"), "it does not answer as it should"},
		{fmt.Errorf("reaching ada:hush: %w", refused), "the connection is refused: nothing listens at its address"},
		{&net.DNSError{Name: "db.internal", Err: "no such host"}, "its host name is not known"},
		{&pgconn.PgError{Code: "28P01", Message: `password authentication failed for user "ada"`}, "Postgres does not accept the user or the password"},
		{&pgconn.PgError{Code: "53300"}, "all connections of Postgres are taken"},
		{&pgconn.PgError{Code: "XX000", Message: "hush"}, "Postgres answers with code XX000"},
		{&clickhouse.Exception{Code: 516, Message: "ada: hush"}, "ClickHouse does not accept the user or the password"},
		{&clickhouse.Exception{Code: 1, Message: "hush"}, "ClickHouse refuses the question"},
		{fmt.Errorf("asking: %w", kerr.SaslAuthenticationFailed), "Kafka answers SASL_AUTHENTICATION_FAILED"},
		{x509.UnknownAuthorityError{}, "its certificate is not accepted"},
		{fmt.Errorf("asking db.internal: %w", context.DeadlineExceeded), "no answer in time"},
	} {
		got := doctor.Reason(c.err)
		require.Equal(t, c.want, got)
		for _, secret := range []string{"hush", "ada", "db.internal", "10.9.8.7", "5432"} {
			require.NotContains(t, got, secret)
		}
	}
}
