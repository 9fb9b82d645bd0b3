package anvil

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// Sample is an answer that could not be read.
type Sample struct {
	Stream event.Stream `json:"stream"`
	// Kind and Name say which record the answer is about.
	Kind   domain.Kind `json:"kind"`
	Name   string      `json:"name,omitempty"`
	Status int         `json:"status"`
	At     time.Time   `json:"at"`
	// Body is what came. It is full of addresses: it belongs in no log.
	Body []byte `json:"body"`
}

// Quarantine keeps answers that could not be read, for people to look at. It
// must be safe for concurrent use and bound what it keeps.
type Quarantine interface {
	Keep(ctx context.Context, s Sample) error
}

// Folder is a quarantine in a folder: a file for each sample, readable by its
// owner only, the oldest ones removed first. It is safe for concurrent use, but
// by one process at a time.
type Folder struct {
	// Dir is made when it is not there.
	Dir string
	// MaxFiles bounds the number of samples, default 100. MaxBody bounds how
	// much of each one's body is kept, default 1 MiB.
	MaxFiles, MaxBody int

	mu sync.Mutex
}

// Keep writes the sample to a file of its own.
func (f *Folder) Keep(_ context.Context, s Sample) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	maxFiles, maxBody := cmp.Or(f.MaxFiles, 100), cmp.Or(f.MaxBody, 1<<20)
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return fmt.Errorf("making the quarantine folder: %w", err)
	}
	if err := f.makeRoom(maxFiles - 1); err != nil {
		return err
	}
	s.Body = s.Body[:min(len(s.Body), maxBody)]
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding a sample: %w", err)
	}
	name := fmt.Sprintf("anvil-%s-%s.json", s.At.UTC().Format("20060102T150405.000000000"), uuid.NewString())
	if err := os.WriteFile(filepath.Join(f.Dir, name), data, 0o600); err != nil {
		return fmt.Errorf("writing a sample: %w", err)
	}
	return nil
}

// makeRoom removes the oldest samples until at most keep are left. The names
// sort by time.
func (f *Folder) makeRoom(keep int) error {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return fmt.Errorf("listing the quarantine folder: %w", err)
	}
	samples := slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !strings.HasPrefix(e.Name(), "anvil-") || !strings.HasSuffix(e.Name(), ".json")
	})
	for _, e := range samples[:max(len(samples)-keep, 0)] {
		if err := os.Remove(filepath.Join(f.Dir, e.Name())); err != nil {
			return fmt.Errorf("removing an old sample: %w", err)
		}
	}
	return nil
}
