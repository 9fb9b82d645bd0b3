package esi

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// stateFile is the name of the simulator's memory within its state folder.
const stateFile = "esi-served.jsonl"

// record is one line of the state file. Only the fields of one kind of line are
// set.
type record struct {
	World *worldRecord `json:"world,omitempty"`
	// Frozen is when the world stands still; a zero time thaws it.
	Frozen *time.Time `json:"frozen,omitempty"`

	Character int64  `json:"c,omitempty"`
	Section   string `json:"s,omitempty"`
	// At is the world time, in Unix milliseconds, of the content served last.
	At int64 `json:"t,omitempty"`
	// Lo and Hi are the indexes of the journal entries served.
	Lo *int64 `json:"lo,omitempty"`
	Hi *int64 `json:"hi,omitempty"`
	// Refresh is the newest generation of refresh token that was used.
	Refresh   int  `json:"refresh,omitempty"`
	Revoked   bool `json:"revoked,omitempty"`
	Transfers int  `json:"transfers,omitempty"`
}

// worldRecord is what a world's content and time follow from.
type worldRecord struct {
	Seed       uint64    `json:"seed"`
	Characters int       `json:"characters"`
	Activity   float64   `json:"activity"`
	Epoch      time.Time `json:"epoch"`
	Start      time.Time `json:"start"`
	Speed      float64   `json:"speed"`
}

// stateLog appends what must survive a restart. Each line reaches the
// operating system before the call returns, so that it outlives the process,
// though not the machine. It is safe for concurrent use; nil does nothing.
type stateLog struct {
	mu   sync.Mutex
	file *os.File
	path string
}

func (l *stateLog) append(r record) error {
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

func (l *stateLog) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// readState calls f with each line of the state file in dir; a missing file has
// none. A last line without an end was cut off by a crash before it was
// answered for, and is left out.
func readState(dir string, f func(record) error) error {
	path := filepath.Join(dir, stateFile)
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the simulator's state: %w", err)
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<16)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		var rec record
		if err := json.Unmarshal(line, &rec); err != nil {
			return fmt.Errorf("%s line %d: %w; remove the file to begin a new world", path, n, err)
		}
		if err := f(rec); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
	}
}

// rewriteState replaces the state file in dir by what write appends, in one
// step, and opens it for more.
func rewriteState(dir string, write func(*stateLog) error) (*stateLog, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the simulator's state folder: %w", err)
	}
	path := filepath.Join(dir, stateFile)
	fresh, err := os.Create(path + ".new")
	if err != nil {
		return nil, fmt.Errorf("making the simulator's state: %w", err)
	}
	l := &stateLog{file: fresh, path: path}
	if err := write(l); err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, errors.Join(fmt.Errorf("replacing the simulator's state: %w", err), fresh.Close())
	}
	return l, nil
}
