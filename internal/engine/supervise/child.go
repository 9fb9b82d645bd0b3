// Package supervise keeps one child process running: it starts it, waits until it answers, starts it again with a growing pause when it
// dies, and stops it in order. A child never outlives this process.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Spec says what the child is and how to tell that it is well.
type Spec struct {
	// Name is what logs, metrics and errors call the child, for example "postgres".
	Name string
	// Path and Args are the program and its arguments, without the program's name.
	Path string
	Args []string
	// Env is the whole environment of the child. It may hold secrets; it is never logged.
	Env []string
	// Dir is the working directory; empty is this process's.
	Dir string
	// SysProcAttr carries credentials or namespaces; the supervisor adds the process group and the parent-death signal.
	SysProcAttr *syscall.SysProcAttr

	// Prepare, if not nil, runs before each start, for example to clear what a killed predecessor left.
	Prepare func(ctx context.Context) error
	// Ready is asked again and again until it returns nil. Its errors are reported only if time runs out.
	Ready func(ctx context.Context) error
	// ReadyTimeout bounds the time from start to ready. Zero is 30 s.
	ReadyTimeout time.Duration

	// Passing, if not nil, tells from the child's last lines whether a first start that failed is worth more tries, within ReadyTimeout,
	// because what stood in its way will pass by itself.
	Passing func(lastLines string) bool

	// StopSignal asks the child to finish in order. Zero is SIGTERM.
	StopSignal syscall.Signal
	// StopTimeout is how long it may take before it is killed. Zero is 30 s.
	StopTimeout time.Duration
	// OrphanSignal is what the kernel sends the child when this process dies without stopping it. Zero is SIGKILL. Linux only: elsewhere
	// Prepare must deal with a predecessor that lives on.
	OrphanSignal syscall.Signal

	// Level gives the log level of a line that the child wrote. Nil is Info for all.
	Level func(line string) slog.Level
}

// Backoff is the pause before a dead child is started again. The zero value is 100 ms, doubling up to 30 s, forgotten after a minute of
// health.
type Backoff struct {
	Initial, Max time.Duration
	// HealthyAfter is how long a child must have been ready for its next death to be treated as a first one.
	HealthyAfter time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.Initial == 0 {
		b.Initial = 100 * time.Millisecond
	}
	if b.Max == 0 {
		b.Max = 30 * time.Second
	}
	if b.HealthyAfter == 0 {
		b.HealthyAfter = time.Minute
	}
	return b
}

// Options are the surroundings of a child.
type Options struct {
	// Logger receives the child's life and its output. Nil discards.
	Logger *slog.Logger
	// Metrics counts restarts. Nil counts nothing.
	Metrics *Metrics
	Backoff Backoff
	// Started, if not nil, is told the process id each time the child has become ready. It must not block for long and must not call
	// Stop.
	Started func(pid int)
}

// Child is one supervised process. Its methods may be called from several goroutines at once.
type Child struct {
	spec Spec
	opts Options
	log  *slog.Logger
	tail *tail

	startOnce sync.Once
	started   atomic.Bool
	ctx       context.Context // ends when Stop is called
	cancel    context.CancelFunc
	done      chan struct{} // closed when the supervising goroutine has ended
	stopErr   error         // read after done

	pid      atomic.Int64
	restarts atomic.Int64
}

// New describes a child without starting it.
func New(spec Spec, opts Options) *Child {
	if spec.ReadyTimeout == 0 {
		spec.ReadyTimeout = 30 * time.Second
	}
	if spec.StopSignal == 0 {
		spec.StopSignal = syscall.SIGTERM
	}
	if spec.StopTimeout == 0 {
		spec.StopTimeout = 30 * time.Second
	}
	if spec.OrphanSignal == 0 {
		spec.OrphanSignal = syscall.SIGKILL
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Backoff = opts.Backoff.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	log := opts.Logger.With("engine", spec.Name)
	return &Child{
		spec:   spec,
		opts:   opts,
		log:    log,
		tail:   newTail(log, spec.Level),
		ctx:    ctx,
		cancel: cancel,
		done:   make(chan struct{}),
	}
}

// Start starts the child and returns when it is ready. A child that dies or stays silent on this first start is an error, with the last
// lines it wrote; later deaths are repaired in the background until Stop. ctx bounds the waiting only. Start may be called once.
func (c *Child) Start(ctx context.Context) error {
	err := fmt.Errorf("starting %s: it was started before", c.spec.Name)
	c.startOnce.Do(func() {
		c.started.Store(true)
		ready := make(chan error, 1)
		go c.run(ready)
		select {
		case err = <-ready:
		case <-ctx.Done():
			err = fmt.Errorf("starting %s: %w", c.spec.Name, context.Cause(ctx))
			c.cancel()
			<-c.done
		}
	})
	return err
}

// Stop asks the child to finish, kills it if it takes too long, and returns when it is gone. Further calls wait for the same end. The
// error says that the child had to be killed.
func (c *Child) Stop() error {
	c.cancel()
	c.startOnce.Do(func() {}) // waits for a Start under way; a Start after Stop is refused
	if !c.started.Load() {
		return nil
	}
	<-c.done
	return c.stopErr
}

// Done is closed when a started child was stopped, or failed on its first start.
func (c *Child) Done() <-chan struct{} { return c.done }

// PID is the process id of the running child, or 0 while it is down or not ready. Never hand a 0 to kill(2), which takes it for the caller's
// own process group: use Signal.
func (c *Child) PID() int { return int(c.pid.Load()) }

// Signal sends the running child a signal, as a test of its recovery does. It fails while the child is down.
func (c *Child) Signal(signal syscall.Signal) error {
	pid := c.PID()
	if pid == 0 {
		return fmt.Errorf("signalling %s: %w", c.spec.Name, os.ErrProcessDone)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("signalling %s (pid %d): %w", c.spec.Name, pid, err)
	}
	return nil
}

// Restarts is how often the child was started again after it died.
func (c *Child) Restarts() int { return int(c.restarts.Load()) }

// run is the life of the child: the first start, whose outcome it reports, then watching and restarting until Stop.
func (c *Child) run(ready chan<- error) {
	defer close(c.done)
	p, err := c.firstStart()
	ready <- err
	if err != nil {
		return
	}
	pause := c.pauses()
	for {
		readyAt := time.Now()
		select {
		case <-c.ctx.Done():
			c.stopErr = c.terminate(p)
			c.down()
			return
		case <-p.exited:
		}
		c.down()
		c.log.Error("engine died and will be started again", "outcome", outcome(p.err))
		if time.Since(readyAt) >= c.opts.Backoff.HealthyAfter {
			pause.Reset()
		}
		if p = c.restart(pause); p == nil {
			return
		}
	}
}

// firstStart starts the child and reports its failure, unless that will pass by itself.
func (c *Child) firstStart() (*process, error) {
	pause := c.pauses()
	deadline := time.Now().Add(c.spec.ReadyTimeout)
	for {
		p, err := c.startReady()
		if err == nil || c.spec.Passing == nil || !c.spec.Passing(c.tail.quote()) || time.Now().After(deadline) {
			return p, err
		}
		c.log.Warn("engine could not start yet and will be tried again", "error", err)
		if !c.sleep(pause.NextBackOff()) {
			return nil, err
		}
		c.tail.forget()
	}
}

func (c *Child) pauses() *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = c.opts.Backoff.Initial
	pause.MaxInterval = c.opts.Backoff.Max
	pause.Multiplier = 2
	pause.Reset()
	return pause
}

// sleep waits and tells whether to go on; it returns false at once when Stop is called.
func (c *Child) sleep(length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-c.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// restart tries until the child is ready again, or returns nil once Stop was called.
func (c *Child) restart(pause *backoff.ExponentialBackOff) *process {
	for {
		if !c.sleep(pause.NextBackOff()) {
			return nil
		}
		c.restarts.Add(1)
		c.opts.Metrics.restarted(c.spec.Name)
		p, err := c.startReady()
		if err == nil {
			c.log.Info("engine is back", "restarts", c.Restarts())
			return p
		}
		if c.ctx.Err() != nil {
			return nil
		}
		c.log.Error("engine did not come back and will be tried again", "error", err)
	}
}

func (c *Child) down() {
	c.pid.Store(0)
	c.opts.Metrics.up(c.spec.Name, false)
}

// startReady starts the process and waits until it answers; on any failure no process is left.
func (c *Child) startReady() (*process, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting %s: it was stopped before it was ready", c.spec.Name)
	}
	if c.spec.Prepare != nil {
		if err := c.spec.Prepare(c.ctx); err != nil {
			return nil, fmt.Errorf("preparing to start %s: %w", c.spec.Name, err)
		}
	}
	begun := time.Now()
	p, err := c.launch()
	if err != nil {
		return nil, fmt.Errorf("starting %s (%s): %w", c.spec.Name, c.spec.Path, err)
	}
	if err := c.awaitReady(p); err != nil {
		_ = c.terminate(p) // the reason it is being stopped matters more
		return nil, err
	}
	c.pid.Store(int64(p.cmd.Process.Pid))
	c.opts.Metrics.up(c.spec.Name, true)
	c.log.Info("engine is ready", "pid", p.cmd.Process.Pid, "after", time.Since(begun).Round(time.Millisecond).String())
	if c.opts.Started != nil {
		c.opts.Started(p.cmd.Process.Pid)
	}
	return p, nil
}

func (c *Child) awaitReady(p *process) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.spec.ReadyTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-p.exited:
			return fmt.Errorf("starting %s: it ended before it was ready (%s)%s", c.spec.Name, outcome(p.err), c.tail.quote())
		default:
		}
		err := c.ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-p.exited:
		case <-tick.C:
		case <-ctx.Done():
			if c.ctx.Err() != nil {
				return fmt.Errorf("starting %s: it was stopped before it was ready", c.spec.Name)
			}
			return fmt.Errorf("starting %s: not ready within %s: %w%s", c.spec.Name, c.spec.ReadyTimeout, errors.Join(last), c.tail.quote())
		}
	}
}

func (c *Child) ready(ctx context.Context) error {
	if c.spec.Ready == nil {
		return nil
	}
	// One probe must not eat the whole time: a half-open port may accept and never answer.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c.spec.Ready(ctx)
}

// process is one run of the child. err is set before exited is closed.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
}

// launch starts the process on an operating system thread that lives exactly as long as the process: Linux ties the parent-death
// signal to the thread that made the child, and Go may end any thread that no goroutine is locked to.
func (c *Child) launch() (*process, error) {
	cmd := exec.Command(c.spec.Path, c.spec.Args...) //nolint:gosec,noctx // starting programs is its purpose, and their life ends by Stop
	cmd.Env = c.spec.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.Dir = c.spec.Dir
	cmd.SysProcAttr = attributes(c.spec.SysProcAttr, c.spec.OrphanSignal)
	cmd.Stdout = c.tail
	cmd.Stderr = c.tail
	// Grandchildren may hold the output open for a moment after the child is gone.
	cmd.WaitDelay = 3 * time.Second
	p := &process{cmd: cmd, exited: make(chan struct{})}
	launched := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			launched <- err
			return
		}
		launched <- nil
		p.err = cmd.Wait()
		c.tail.flush()
		close(p.exited)
	}()
	return p, <-launched
}

// terminate ends the process in order, or kills it and its process group when time is up.
func (c *Child) terminate(p *process) error {
	select {
	case <-p.exited:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(c.spec.StopSignal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.log.Warn("engine could not be signalled", "signal", c.spec.StopSignal.String(), "error", err)
	}
	timer := time.NewTimer(c.spec.StopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		c.log.Info("engine stopped")
		return nil
	case <-timer.C:
	}
	// The negative id is the whole process group: whatever the child started goes with it.
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		_ = p.cmd.Process.Kill() // an error here means that it is gone, which is what is wanted
	}
	<-p.exited
	return fmt.Errorf("stopping %s: it did not end within %s of %s and was killed", c.spec.Name, c.spec.StopTimeout, c.spec.StopSignal)
}

// outcome words how a process ended.
func outcome(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
