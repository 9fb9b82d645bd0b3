package esi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
	"github.com/muster-sync/muster/internal/simulate/judge"
)

// adminPrefix is where the simulator's own books and controls are.
const adminPrefix = "/_simulator/"

// Ledger is the simulator's account of what the client has spent.
type Ledger struct {
	WorldTime time.Time `json:"world_time"`
	// Tokens are spent tokens by group.
	Tokens   map[string]int64   `json:"tokens"`
	Requests []judge.RouteCount `json:"requests"`
	// Violations are counted by rule.
	Violations map[string]int64 `json:"violations"`
}

// Ledger is the account so far.
func (s *Simulator) Ledger() Ledger {
	return Ledger{
		WorldTime: s.clock.World(), Tokens: s.ledger.totals(),
		Requests: s.book.Requests(), Violations: s.book.ByRule(),
	}
}

func (s *Simulator) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+adminPrefix+"violations", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"by_rule": s.book.ByRule(), "violations": s.book.Violations()})
	})
	mux.HandleFunc("DELETE "+adminPrefix+"violations", func(w http.ResponseWriter, _ *http.Request) {
		s.book.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+adminPrefix+"ledger", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Ledger()) })
	mux.HandleFunc("GET "+adminPrefix+"served", s.adminServed)
	mux.HandleFunc("GET "+adminPrefix+"served/summary", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, s.ServedSummary())
	})
	mux.HandleFunc("GET "+adminPrefix+"organisation", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Organisation()) })
	mux.HandleFunc("GET "+adminPrefix+"faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.faults.Active()) })
	mux.HandleFunc("POST "+adminPrefix+"faults", func(w http.ResponseWriter, r *http.Request) {
		var faults []fault.Fault
		if !readJSON(w, r, &faults) {
			return
		}
		if err := s.faults.Add(faults...); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, s.faults.Active())
	})
	mux.HandleFunc("DELETE "+adminPrefix+"faults", func(w http.ResponseWriter, _ *http.Request) {
		s.faults.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST "+adminPrefix+"forgive", func(w http.ResponseWriter, _ *http.Request) {
		s.Forgive()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST "+adminPrefix+"freeze", func(w http.ResponseWriter, _ *http.Request) { s.adminFreeze(w, s.clock.World()) })
	mux.HandleFunc("POST "+adminPrefix+"thaw", func(w http.ResponseWriter, _ *http.Request) { s.adminFreeze(w, time.Time{}) })
	mux.HandleFunc("POST "+adminPrefix+"health", s.adminHealth)
	mux.HandleFunc("POST "+adminPrefix+"characters/{id}", s.adminCharacter)
	return mux
}

// adminHealth makes routes well or ill.
func (s *Simulator) adminHealth(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Route  string `json:"route"`
		Health Health `json:"health"`
	}
	if !readJSON(w, r, &change) {
		return
	}
	if err := s.SetHealth(change.Route, change.Health); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// adminServed writes the oracle of all characters, or of the one in the query.
func (s *Simulator) adminServed(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("character")
	if text == "" {
		w.Header().Set("Content-Type", "application/json")
		_ = s.WriteServed(w) // fails only if the client is gone
		return
	}
	id, err := strconv.ParseInt(text, 10, 64)
	served, ok := s.Served(id)
	if err != nil || !ok {
		http.Error(w, "no character "+text+" in this world", http.StatusNotFound)
		return
	}
	writeJSON(w, served)
}

func (s *Simulator) adminFreeze(w http.ResponseWriter, at time.Time) {
	if err := s.Freeze(at); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, map[string]time.Time{"world_time": s.clock.World()})
}

// adminCharacter changes what happens to a character's login.
func (s *Simulator) adminCharacter(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || s.character(id) == nil {
		http.Error(w, "no character "+r.PathValue("id")+" in this world", http.StatusNotFound)
		return
	}
	var change struct {
		Revoke   bool `json:"revoke"`
		Transfer bool `json:"transfer"`
	}
	if !readJSON(w, r, &change) {
		return
	}
	if change.Revoke {
		err = s.Revoke(id)
	}
	if change.Transfer && err == nil {
		err = s.Transfer(id)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Revoke ends the login of a character: its refresh tokens are refused from now
// on. Access tokens live on until they expire, as real ones do.
func (s *Simulator) Revoke(id int64) error {
	return s.changeLogin(id, func(c *character) { c.revoked = true })
}

// Transfer moves a character to another account: its owner hash changes.
func (s *Simulator) Transfer(id int64) error {
	return s.changeLogin(id, func(c *character) { c.transfers++ })
}

func (s *Simulator) changeLogin(id int64, change func(*character)) error {
	c := s.character(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
	return s.state.Append(c.loginLine(id))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the client is gone, and nobody is left to tell
	}
}

// readJSON reads a small body strictly; it answers itself if that fails.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
