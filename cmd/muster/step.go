package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

// testSteps is the environment variable by which tests follow a process through the
// things that it writes down, and end it after one of them: FILE, or FILE,STEP or
// FILE,STEP#N. The name of each step is added to the file; after the Nth of that name the
// process is killed as by kill -9. It is for tests alone.
const testSteps = "MUSTER_TEST_STEPS"

// steps are how often a process has come by each step.
type steps struct {
	mu   sync.Mutex
	seen map[string]int
}

// step is called after each thing that is written down by a run of retention, a rebuild of
// a read model, or a batch.
func (e *environment) step(name string) {
	setting := os.Getenv(testSteps)
	if setting == "" || e.steps == nil {
		return
	}
	e.steps.mu.Lock()
	defer e.steps.mu.Unlock()
	file, last, _ := strings.Cut(setting, ",")
	e.steps.seen[name]++
	if err := note(file, name); err != nil {
		panic(fmt.Sprintf("noting a step for a test: %v", err))
	}
	last, count, numbered := strings.Cut(last, "#")
	n := 1
	if numbered {
		n, _ = strconv.Atoi(count)
	}
	if name != last || e.steps.seen[name] != n {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // Nothing more is done, however long the signal takes.
}

func note(file, line string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

// stepping is a log that says when decisions have come to it and nobody has noted that yet.
type stepping struct {
	command.Appender

	step func(name string)
}

// Append implements [command.Appender].
func (s stepping) Append(ctx context.Context, events ...event.Event) error {
	err := s.Appender.Append(ctx, events...)
	if err == nil {
		s.step("outbox.appended")
	}
	return err
}
