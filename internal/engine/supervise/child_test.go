package supervise_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine/supervise"
)

// roleVariable makes this test binary play a child instead of running the tests.
const roleVariable = "SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		goleak.VerifyTestMain(m)
	case "obedient":
		serve(os.Getenv("ADDRESS"), true)
	case "stubborn":
		serve(os.Getenv("ADDRESS"), false)
	case "failing":
		fmt.Fprintln(os.Stdout, "opening the thing")
		fmt.Fprintln(os.Stderr, "the thing is not there")
		os.Exit(3) //nolint:forbidigo // the child's end is what the test is about
	case "parent":
		parent()
	default:
		panic("no such role: " + role)
	}
}

// serve accepts connections, which is how the tests see that the child is ready, until SIGTERM.
func serve(address string, obedient bool) {
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	for {
		<-terminate
		if obedient {
			_ = listener.Close()
			os.Exit(0) //nolint:forbidigo // the child's end is what the test is about
		}
	}
}

// parent supervises a child, says its process id and waits to be killed.
func parent() {
	child := supervise.New(spec("obedient", os.Getenv("ADDRESS")), supervise.Options{})
	if err := child.Start(context.Background()); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, child.PID())
	select {}
}

func spec(role, address string) supervise.Spec {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return supervise.Spec{
		Name: role,
		Path: self,
		Env:  []string{roleVariable + "=" + role, "ADDRESS=" + address},
		Ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func gone(pid int) func() bool {
	return func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
}

func TestStopLeavesNoProcessAndMayBeRepeated(t *testing.T) {
	child := supervise.New(spec("obedient", freeAddress(t)), supervise.Options{})
	require.NoError(t, child.Start(t.Context()))
	pid := child.PID()
	require.False(t, gone(pid)())

	require.NoError(t, child.Stop())
	require.True(t, gone(pid)())
	require.Zero(t, child.PID())
	require.NoError(t, child.Stop())
	require.ErrorContains(t, child.Start(t.Context()), "started before")
}

func TestStopWithoutStartReturnsAtOnce(t *testing.T) {
	child := supervise.New(spec("obedient", freeAddress(t)), supervise.Options{})
	require.NoError(t, child.Stop())
	require.Error(t, child.Start(t.Context()), "a stopped child must not start")
}

func TestChildThatDiesIsStartedAgain(t *testing.T) {
	metrics := prometheus.NewRegistry()
	started := make(chan int, 1)
	child := supervise.New(spec("obedient", freeAddress(t)), supervise.Options{
		Metrics: supervise.NewMetrics(metrics),
		Backoff: supervise.Backoff{Initial: 10 * time.Millisecond, HealthyAfter: time.Nanosecond},
		Started: func(pid int) { started <- pid },
	})
	require.NoError(t, child.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, child.Stop()) })
	// A pause that doubled each time instead of being forgotten after a healthy spell would be far beyond a minute at the end.
	const deaths = 14
	last := <-started
	for range deaths {
		require.Equal(t, last, child.PID())
		require.NoError(t, child.Signal(syscall.SIGKILL))
		select {
		case pid := <-started:
			require.NotEqual(t, last, pid)
			last = pid
		case <-time.After(20 * time.Second):
			require.Fail(t, "the child was not started again")
		}
	}
	require.Equal(t, deaths, child.Restarts())
	require.NoError(t, testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP muster_engine_restarts_total How often an embedded engine was started again after it died.
# TYPE muster_engine_restarts_total counter
muster_engine_restarts_total{engine="obedient"} 14
# HELP muster_engine_up 1 while an embedded engine answers, 0 while it is down.
# TYPE muster_engine_up gauge
muster_engine_up{engine="obedient"} 1
`)))
}

func TestPauseGrowsWhileTheChildDoesNotComeBack(t *testing.T) {
	var mu sync.Mutex
	var tries []time.Time
	enough := make(chan struct{})
	s := spec("obedient", freeAddress(t))
	s.Prepare = func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		tries = append(tries, time.Now())
		switch len(tries) {
		case 1:
			return nil
		case 6:
			close(enough)
		}
		return errors.New("not today")
	}
	const initial = 20 * time.Millisecond
	child := supervise.New(s, supervise.Options{Backoff: supervise.Backoff{Initial: initial}})
	require.NoError(t, child.Start(t.Context()))
	require.NoError(t, child.Signal(syscall.SIGKILL))
	<-enough
	require.ErrorIs(t, child.Signal(syscall.SIGKILL), os.ErrProcessDone, "there is nobody to signal while the child is down")
	require.NoError(t, child.Stop(), "a stop while the child is down has nothing to wait for")

	mu.Lock()
	defer mu.Unlock()
	want := initial
	for i := 2; i < 6; i++ {
		want *= 2
		// Each pause is spread by half around its length, so that many children do not come back at one time.
		require.GreaterOrEqual(t, tries[i].Sub(tries[i-1]), want/2, "pause before try %d", i+1)
	}
}

func TestStubbornChildIsKilled(t *testing.T) {
	s := spec("stubborn", freeAddress(t))
	s.StopTimeout = 50 * time.Millisecond
	child := supervise.New(s, supervise.Options{})
	require.NoError(t, child.Start(t.Context()))
	pid := child.PID()
	err := child.Stop()
	require.ErrorContains(t, err, "stopping stubborn: it did not end within 50ms of terminated and was killed")
	require.True(t, gone(pid)())
	require.Equal(t, err, child.Stop())
}

func TestFirstStartThatFailsSaysWhatTheChildWrote(t *testing.T) {
	child := supervise.New(spec("failing", freeAddress(t)), supervise.Options{})
	err := child.Start(t.Context())
	require.ErrorContains(t, err, "starting failing: it ended before it was ready (exit status 3)")
	require.ErrorContains(t, err, "the thing is not there")
	require.NoError(t, child.Stop())
}

func TestFirstStartIsTriedAgainWhileItsObstacleWillPass(t *testing.T) {
	tries := 0
	s := spec("failing", freeAddress(t))
	s.Prepare = func(context.Context) error {
		tries++
		return nil
	}
	s.Passing = func(lastLines string) bool { return strings.Contains(lastLines, "not there") && tries < 3 }
	child := supervise.New(s, supervise.Options{Backoff: supervise.Backoff{Initial: time.Millisecond}})
	require.ErrorContains(t, child.Start(t.Context()), "the thing is not there")
	require.Equal(t, 3, tries)
}

func TestProgramThatIsNotThereIsNamed(t *testing.T) {
	child := supervise.New(supervise.Spec{Name: "ghost", Path: "/no/such/program"}, supervise.Options{})
	require.ErrorContains(t, child.Start(t.Context()), "starting ghost (/no/such/program)")
}

func TestChildThatIsNotReadyInTimeIsEnded(t *testing.T) {
	s := spec("obedient", freeAddress(t))
	s.Ready = func(context.Context) error { return errors.New("not yet") }
	s.ReadyTimeout = 100 * time.Millisecond
	child := supervise.New(s, supervise.Options{})
	err := child.Start(t.Context())
	require.ErrorContains(t, err, "not ready within 100ms: not yet")
	require.NoError(t, child.Stop())
}

func TestStartIsBoundedByItsContext(t *testing.T) {
	asked := make(chan struct{})
	var once sync.Once
	s := spec("obedient", freeAddress(t))
	s.Ready = func(context.Context) error {
		once.Do(func() { close(asked) })
		return errors.New("not yet")
	}
	child := supervise.New(s, supervise.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	require.ErrorIs(t, child.Start(ctx), context.Canceled)
	<-child.Done()
}

func TestChildDoesNotOutliveAKilledParent(t *testing.T) {
	if !parentDeathSignal {
		t.Skip("this system has no parent-death signal")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = []string{roleVariable + "=parent", "ADDRESS=" + freeAddress(t)}
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.False(t, gone(pid)())

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return gone(pid)() || zombie(pid) }, 10*time.Second, 10*time.Millisecond)
}

// zombie tells whether a process has ended and only waits to be collected: in a container the first process may be slow to collect others'
// children.
func zombie(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(status), ") ")
	return strings.HasPrefix(state, "Z")
}
