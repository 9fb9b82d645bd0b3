// Package statefile keeps what a simulator must remember over a restart in a
// file of JSON lines that only grows, until it is rewritten in its shortest form
// at the next start.
package statefile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Log appends records of type R. Each reaches the operating system before
// Append returns, so that it outlives the process, though not the machine. It is
// safe for concurrent use; a nil Log does nothing.
type Log[R any] struct {
	mu   sync.Mutex
	file *os.File
	path string
}

// Append writes a record.
func (l *Log[R]) Append(r R) error {
	if l == nil {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a line of %s: %w", l.path, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing %s: %w", l.path, err)
	}
	return nil
}

// Close closes the file.
func (l *Log[R]) Close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// Read calls f with each record of the file of that name in dir; a missing file
// has none. A last line without an end was cut off by a crash and is left out.
func Read[R any](dir, name string, f func(R) error) error {
	path := filepath.Join(dir, name)
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the simulator's state: %w", err)
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 1<<16)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		var r R
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("%s line %d: %w; remove the file to begin a new world", path, n, err)
		}
		if err := f(r); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
	}
}

// Rewrite replaces the file by what write appends, in one step, and leaves it
// open for more. The folder is made if it is missing.
func Rewrite[R any](dir, name string, write func(*Log[R]) error) (*Log[R], error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the simulator's state folder: %w", err)
	}
	path := filepath.Join(dir, name)
	fresh, err := os.Create(path + ".new")
	if err != nil {
		return nil, fmt.Errorf("making the simulator's state: %w", err)
	}
	l := &Log[R]{file: fresh, path: path}
	if err := write(l); err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, errors.Join(fmt.Errorf("replacing the simulator's state: %w", err), fresh.Close())
	}
	return l, nil
}
