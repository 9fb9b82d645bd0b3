package supervise

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

const (
	// tailLines is how many of a child's last lines an error about it quotes.
	tailLines = 12
	// maxLine bounds one line, so that a child that writes no newline cannot fill the memory.
	maxLine = 16 << 10
)

// tail turns what a child writes into log lines and remembers the last of them.
// It is an io.Writer for one writing goroutine; quote may be called from any.
type tail struct {
	log   *slog.Logger
	level func(string) slog.Level

	mu      sync.Mutex
	partial []byte
	last    []string
}

func newTail(log *slog.Logger, level func(string) slog.Level) *tail {
	if level == nil {
		level = func(string) slog.Level { return slog.LevelInfo }
	}
	return &tail{log: log, level: level}
}

// Write logs each whole line and never fails: a child must not be stopped by its own logging.
func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	written := len(data)
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if room := maxLine - len(t.partial); len(line) > room {
			line = line[:room]
		}
		t.partial = append(t.partial, line...)
		if whole {
			t.emit()
		}
		data = rest
	}
	return written, nil
}

// flush logs an unfinished last line.
func (t *tail) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.emit()
}

func (t *tail) emit() {
	line := strings.TrimRight(string(t.partial), "\r\n\t ")
	t.partial = t.partial[:0]
	if line == "" {
		return
	}
	t.last = append(t.last, line)
	if len(t.last) > tailLines {
		t.last = t.last[len(t.last)-tailLines:]
	}
	t.log.Log(context.Background(), t.level(line), "engine output", "line", line)
}

// quote gives the last lines in a form that can end an error message, or nothing if there are none.
func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == 0 {
		return ""
	}
	return "; it wrote last:\n  " + strings.Join(t.last, "\n  ")
}

// forget drops the last lines, so that they are not taken for those of the next start.
func (t *tail) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = nil
}
