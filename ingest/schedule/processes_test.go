package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/fleet"
	"github.com/muster-sync/muster/ingest/ingesttest"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/sso"
)

// This test runs several schedulers as processes of their own, so that one can be
// killed, against a strict ESI in the process of the test.

// Settings of a process: its name, the database and ESI.
const (
	childOf       = "MUSTER_TEST_SCHEDULER"
	childDatabase = "MUSTER_TEST_DATABASE"
	childESI      = "MUSTER_TEST_ESI"

	firstPilot = int64(90_000_000)
	pilots     = 48
)

// child is such a process. It works until it is told to stop.
func child() int {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("program", os.Getenv(childOf))
	if err := runChild(logger); err != nil {
		logger.Error("it failed", "error", err)
		return 1
	}
	return 0
}

func runChild(logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.New(ctx, os.Getenv(childDatabase))
	if err != nil {
		return err
	}
	defer pool.Close()
	member, err := fleet.New(fleet.Config{Pool: pool, Logger: logger})
	if err != nil {
		return err
	}
	client, err := transport.New(transport.Config{
		BaseURL: os.Getenv(childESI), UserAgent: ingesttest.UserAgent, Tokens: named(os.Getenv(childOf)),
		Registerer: prometheus.NewRegistry(), Logger: logger, Tenure: member,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	shared := fleet.NewShared(pool, client, logger)
	if err := shared.Prime(ctx); err != nil {
		return err
	}
	var ids characters
	for i := range int64(pilots) {
		ids = append(ids, firstPilot+i)
	}
	scheduler, err := schedule.New(schedule.Config{
		Pool: pool, Syncer: asking{client}, Characters: ids, Registerer: prometheus.NewRegistry(), Logger: logger, Member: member,
		Sections: slices.DeleteFunc(fourSections(), func(s esi.Section) bool {
			return s.Name != eve.SectionDetails && s.Name != eve.SectionLocation
		}),
		Intervals: map[eve.Section]time.Duration{eve.SectionDetails: time.Second, eve.SectionLocation: time.Second}, SweepEvery: time.Second,
	})
	if err != nil {
		return err
	}
	carried := make(chan error, 1)
	go func() { carried <- shared.Run(ctx) }()
	return errors.Join(scheduler.Run(ctx), <-carried)
}

// named gives tokens by which ESI knows a program.
type named string

func (n named) Access(context.Context, int64) (sso.Access, error) {
	return sso.Access{Token: string(n), Scopes: []string{"esi-location.read_location.v1"}}, nil
}

func (named) Reject(context.Context, int64, string) error { return nil }

// asking asks ESI and remembers nothing.
type asking struct{ client *transport.Client }

func (a asking) Refresh(ctx context.Context, character int64, section eve.Section) (esi.Outcome, error) {
	return a.Sync(ctx, character, section)
}

func (a asking) Sync(ctx context.Context, character int64, section eve.Section) (esi.Outcome, error) {
	route := catalogue.CharacterLocation()
	if section == eve.SectionDetails {
		route = catalogue.CharacterDetails()
	}
	_, err := a.client.Get(ctx, transport.Request{Route: route, Character: character})
	var failure *transport.Failure
	switch {
	case errors.As(err, &failure) && failure.Deferred:
		return esi.Outcome{Result: esi.Deferred, NotBefore: failure.RetryAt, Failure: failure}, nil
	case errors.As(err, &failure):
		return esi.Outcome{Result: esi.Failed, NotBefore: failure.RetryAt, Failure: failure, Failures: 1}, nil
	case err != nil:
		return esi.Outcome{}, err
	default:
		return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
	}
}

func (asking) FollowUp(context.Context, int64, eve.Section) (esi.FollowOutcome, error) {
	return esi.FollowOutcome{}, nil
}

// strictESI answers the two routes and writes down each rule that is broken.
type strictESI struct {
	mu       sync.Mutex
	breaches []string
	// asking are the programs that ask for a character now.
	asking map[int64]map[string]int
	// owner is the program that asked last, charges what its bucket was charged.
	owner   map[int64]string
	charges map[int64][]time.Time
	// asked counts answers by program, last is when a character last had one.
	asked map[string]int
	last  map[int64]time.Time
	// errors are those of the present minute.
	errors int
	reset  time.Time
}

const (
	// A character's bucket holds seven good answers in ten seconds, which is less
	// than is asked for.
	bucketLimit  = 15
	bucketWindow = 10 * time.Second
	// answerTime is how long an answer takes.
	answerTime = 20 * time.Millisecond
)

func (s *strictESI) breach(format string, args ...any) {
	s.breaches = append(s.breaches, fmt.Sprintf(format, args...))
}

func (s *strictESI) location(character int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		program := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		now := time.Now()
		s.mu.Lock()
		if s.asking[character] == nil {
			s.asking[character] = map[string]int{}
		}
		s.asking[character][program]++
		if len(s.asking[character]) > 1 {
			s.breach("character %d is asked for by several at once: %v", character, s.asking[character])
		}
		charges := slices.DeleteFunc(s.charges[character], func(at time.Time) bool { return now.Sub(at) >= bucketWindow })
		left := bucketLimit - 2*len(charges)
		first := s.owner[character] != program
		s.owner[character] = program
		status := http.StatusOK
		if left < 2 {
			status = http.StatusTooManyRequests
			if !first {
				// Who has just taken a character over cannot know; anybody else must.
				s.breach("the bucket of character %d is empty", character)
			}
		} else {
			charges = append(charges, now)
			left -= 2
		}
		s.charges[character] = charges
		s.mu.Unlock()

		<-time.After(answerTime)
		s.mu.Lock()
		if s.asking[character][program]--; s.asking[character][program] == 0 {
			delete(s.asking[character], program)
		}
		if status == http.StatusOK {
			s.asked[program]++
			s.last[character] = now
		}
		s.mu.Unlock()
		w.Header().Set("X-Ratelimit-Group", "char-location")
		w.Header().Set("X-Ratelimit-Limit", fmt.Sprintf("%d/%ds", bucketLimit, int(bucketWindow.Seconds())))
		w.Header().Set("X-Ratelimit-Remaining", strconv.Itoa(left))
		if status != http.StatusOK {
			w.Header().Set("Retry-After", "10")
		}
		ingesttest.JSON(w, status, `{"solar_system_id":30000142}`)
	}
}

// details knows every eighth character not, which counts as an error of them all.
func (s *strictESI) details(character int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		s.mu.Lock()
		if !now.Before(s.reset) {
			s.errors, s.reset = 0, now.Add(time.Minute)
		}
		status := http.StatusOK
		if character%8 == 0 {
			status = http.StatusNotFound
			if s.errors++; s.errors > 100 {
				s.breach("the error limit is used up")
			}
		}
		left, reset := 100-s.errors, s.reset.Sub(now)
		s.mu.Unlock()
		w.Header().Set("X-ESI-Error-Limit-Remain", strconv.Itoa(left))
		w.Header().Set("X-ESI-Error-Limit-Reset", strconv.Itoa(1+int(reset.Seconds())))
		ingesttest.JSON(w, status, `{}`)
	}
}

// allAskedSince tells whether every character had an answer after a moment.
func (s *strictESI) allAskedSince(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range int64(pilots) {
		if !s.last[firstPilot+i].After(t) {
			return false
		}
	}
	return true
}

func (s *strictESI) answered(program string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[program]
}

func TestThreeProcessesShareTheCharactersThoughOneIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	r := newRig(t)
	for i := range int64(pilots) {
		r.login(t, firstPilot+i)
	}
	world := ingesttest.New(t)
	world.TrustAnyToken()
	judge := &strictESI{
		asking: map[int64]map[string]int{}, owner: map[int64]string{}, charges: map[int64][]time.Time{}, asked: map[string]int{}, last: map[int64]time.Time{},
	}
	for i := range int64(pilots) {
		id := firstPilot + i
		world.Handle(fmt.Sprintf("/characters/%d/location", id), judge.location(id))
		world.Handle(fmt.Sprintf("/characters/%d", id), judge.details(id))
	}
	begin := func(name string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childOf+"="+name, childDatabase+"="+r.pool.Config().ConnString(), childESI+"="+world.URL)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		return cmd
	}
	wait := func(what string, within time.Duration, condition func() bool) {
		t.Helper()
		require.Eventually(t, condition, within, 20*time.Millisecond, what)
	}

	first, second, third := begin("first"), begin("second"), begin("third")
	wait("all three ask, for all characters", time.Minute, func() bool {
		return judge.answered("first") > 50 && judge.answered("second") > 50 && judge.answered("third") > 50 && judge.allAskedSince(time.Time{})
	})

	require.NoError(t, second.Process.Kill())
	killed := time.Now()
	require.Error(t, second.Wait())
	wait("the others take over", 30*time.Second, func() bool { return judge.allAskedSince(killed) })
	t.Logf("all characters had an answer %s after one of three processes was killed", time.Since(killed))

	fourth := begin("fourth")
	wait("one that comes gets its part", time.Minute, func() bool { return judge.answered("fourth") > 50 })
	handed := time.Now()
	wait("and all go on", time.Minute, func() bool { return judge.allAskedSince(handed) })

	for _, cmd := range []*exec.Cmd{first, third, fourth} {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait(), "it stops in order")
	}
	judge.mu.Lock()
	defer judge.mu.Unlock()
	require.Empty(t, judge.breaches)
	require.Positive(t, judge.errors, "errors were counted, too")
	var owned int
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT count(owner) FROM ingest.shard").Scan(&owned))
	require.Zero(t, owned, "those that stopped gave everything up")
}
