package anvil

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/muster-sync/muster/internal/simulate/statefile"
)

// stateFile is the name of the simulator's memory within its state folder.
const stateFile = "anvil-served.jsonl"

// record is one line of the state file. Only the fields of one kind of line are
// set.
type record struct {
	World *worldRecord `json:"world,omitempty"`
	// Frozen is when the world stands still; a zero time thaws it.
	Frozen *time.Time `json:"frozen,omitempty"`

	Path  string `json:"p,omitempty"`
	Query string `json:"q,omitempty"`
	// At is the world time of the answer given last, in Unix milliseconds.
	At int64 `json:"t,omitempty"`
}

// worldRecord is what a world's content and time follow from.
type worldRecord struct {
	worldShape
	Epoch time.Time `json:"epoch"`
	Start time.Time `json:"start"`
	Speed float64   `json:"speed"`
}

// worldShape is the part that must be the same whenever the folder is used.
type worldShape struct {
	Seed       uint64        `json:"seed"`
	Consortium string        `json:"consortium"`
	Accounts   int           `json:"accounts"`
	Groups     int           `json:"groups"`
	Workspaces int           `json:"workspaces"`
	App        string        `json:"service_account"`
	Drift      float64       `json:"drift"`
	DriftEvery time.Duration `json:"drift_every"`
	// WideDrift is left out where it is none: folders older than it hold no word
	// of it.
	WideDrift float64 `json:"wide_drift,omitempty"`
}

func (c *Config) shape() worldShape {
	return worldShape{
		Seed: c.Seed, Consortium: c.Consortium, Accounts: c.Accounts, Groups: c.Groups, Workspaces: c.Workspaces,
		App: c.ServiceAccount, Drift: c.Drift, DriftEvery: c.DriftEvery, WideDrift: c.WideDrift,
	}
}

// remembered is what a state folder holds.
type remembered struct {
	frozen time.Time
	served map[string]record
}

// load reads the state folder and takes over the time of its world.
func (c *Config) load() (remembered, error) {
	old := remembered{served: map[string]record{}}
	if c.StateDir == "" {
		return old, nil
	}
	err := statefile.Read(c.StateDir, stateFile, func(r record) error {
		switch {
		case r.World != nil:
			if r.World.worldShape != c.shape() {
				return fmt.Errorf("the folder belongs to the world %+v, not to %+v: choose another folder or the same world", r.World.worldShape, c.shape())
			}
			c.Epoch, c.Start, c.Speed = r.World.Epoch, r.World.Start, r.World.Speed
		case r.Frozen != nil:
			old.frozen = *r.Frozen
		default:
			old.served[r.Path+"?"+r.Query] = r
		}
		return nil
	})
	return old, err
}

// resume goes on with what the state folder holds.
func (s *Simulator) resume(old remembered) error {
	if !old.frozen.IsZero() {
		s.clock.Freeze(old.frozen)
	}
	for key, r := range old.served {
		c, ok := callOf(strings.Split(strings.TrimPrefix(r.Path, "/"), "/"))
		if !ok {
			return fmt.Errorf("%s: no service has the path %q; remove the file to begin a new world", stateFile, r.Path)
		}
		answered := s.world.reply(c, r.Query, time.UnixMilli(r.At).UTC())
		body, err := answered.encode()
		if err != nil {
			return err
		}
		s.served[key] = newAnswer(c, r.Path, r.Query, answered.status, body)
	}
	if s.config.StateDir == "" {
		return nil
	}
	var err error
	s.state, err = statefile.Rewrite(s.config.StateDir, stateFile, func(l *statefile.Log[record]) error {
		return dump(l, &s.config, old)
	})
	return err
}

func dump(l *statefile.Log[record], c *Config, old remembered) error {
	world := worldRecord{worldShape: c.shape(), Epoch: c.Epoch.UTC(), Start: c.Start.UTC(), Speed: c.Speed}
	if err := l.Append(record{World: &world}); err != nil {
		return err
	}
	if !old.frozen.IsZero() {
		if err := l.Append(record{Frozen: &old.frozen}); err != nil {
			return err
		}
	}
	for _, r := range old.served {
		if err := l.Append(r); err != nil {
			return err
		}
	}
	return nil
}

// remember books that an answer was given whole.
func (s *Simulator) remember(c call, path, query string, at time.Time, status int, body []byte) error {
	if decoded, err := url.QueryUnescape(query); err == nil {
		query = decoded
	}
	a := newAnswer(c, path, query, status, body)
	key := path + "?" + query
	s.servedMu.Lock()
	defer s.servedMu.Unlock()
	if known, ok := s.served[key]; ok && known.Status == a.Status && bytes.Equal(known.Body, a.Body) {
		return nil
	}
	s.served[key] = a
	return s.state.Append(record{Path: path, Query: query, At: at.UnixMilli()})
}

func newAnswer(c call, path, query string, status int, body []byte) Answer {
	if len(body) == 0 {
		body = []byte("null")
	}
	return Answer{c.service, http.MethodGet, path, query, status, body}
}
