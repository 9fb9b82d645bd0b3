package anvil

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
	"github.com/muster-sync/muster/internal/simulate/judge"
)

// adminPrefix is where the simulator's own books and controls are.
const adminPrefix = "/_simulator/"

// workspaceFields are the keys that the list of workspaces can be cut down to.
var workspaceFields = []string{
	"accessLevel", "public", "canShare", "canCompute", "policies", "workspace", "workspace.namespace", "workspace.name",
	"workspace.authorizationDomain", "workspace.isLocked", "workspace.attributes", "workspace.bucketName", "workspace.createdBy",
	"workspace.createdDate", "workspace.lastModified", "workspace.workspaceId", "workspace.googleProject",
	"workspace.workspaceVersion", "workspace.state",
}

// Handler serves Sam and Rawls, whose paths do not meet, and below
// /_simulator/ the simulator's own books and controls:
//
//	GET    violations         by rule, and the first thousand
//	DELETE violations         forgets them
//	GET    ledger             requests by route and status, most at a time
//	GET    served             the last whole answer to each request
//	GET    failures           the requests that a fault broke
//	GET    answers            what a perfect sweep would see now
//	GET    declared           the declaration, for a file
//	GET    changes            what changed in the world; from and to in its time
//	GET, POST, DELETE faults  a list of [fault.Fault]
//	POST   freeze, thaw       stops the world, lets it go on
func (s *Simulator) Handler() http.Handler {
	admin := s.admin()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, adminPrefix) {
			admin.ServeHTTP(w, r)
			return
		}
		n := s.inFlight.Add(1)
		defer s.inFlight.Add(-1)
		for seen := s.maxInFlight.Load(); n > seen && !s.maxInFlight.CompareAndSwap(seen, n); seen = s.maxInFlight.Load() {
		}
		if s.config.MaxInFlight > 0 && n > int64(s.config.MaxInFlight) {
			s.report(RuleConcurrency, r, "%d requests at a time, agreed are %d", n, s.config.MaxInFlight)
		}
		s.serve(w, r)
	})
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	c, path, ok := s.accept(w, r)
	if !ok {
		return
	}
	if s.config.Latency > 0 {
		t := time.NewTimer(s.config.Latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	times := s.broken.ask(c, path)
	f, drawn := s.faults.Draw(c.route, fault.Torn, fault.ErrorLimited, fault.Forbidden, fault.Throttled, fault.BareNotModified)
	fail := func() { s.broken.add(Failure{c.service, path, times, f.Kind}) }
	if drawn && s.failInstead(w, r, c, f, fail) {
		return
	}
	// Milliseconds are what the state folder remembers.
	at := s.clock.World().Truncate(time.Millisecond)
	answered := s.source.answer(c, path, r.URL.RawQuery, at)
	if answered == nil {
		query, err := url.QueryUnescape(r.URL.RawQuery)
		if err == nil {
			answered = s.source.answer(c, path, query, at)
		}
	}
	if answered == nil {
		s.report(RuleUnlisted, r, "no audit needs this request")
		s.write(w, c, report(c.service, http.StatusInternalServerError, "not in the vector"))
		return
	}
	body, err := answered.encode()
	if err != nil {
		s.fail(w, err)
		return
	}
	if drawn && f.Kind != fault.Slow && len(body) > 0 {
		fail()
		s.spoil(w, c, f, body)
		return
	}
	if err := s.remember(c, path, r.URL.RawQuery, at, answered.status, body); err != nil {
		s.fail(w, err)
		return
	}
	s.writeBody(w, c, answered.status, body)
}

// fail answers for a defect of the simulator itself, loudly.
func (s *Simulator) fail(w http.ResponseWriter, err error) {
	s.config.Logger.Error("the simulator failed", "error", err)
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// accept judges a request; it answers itself if the request ends there.
func (s *Simulator) accept(w http.ResponseWriter, r *http.Request) (c call, path string, ok bool) {
	segments, clean := split(sentPath(r))
	if !clean {
		s.report(RuleEscaping, r, "a segment of the path is empty, a dot, or not escaped by itself")
	}
	if c, ok = callOf(segments); !ok {
		s.report(RuleUnknownPath, r, "no service has this path")
		s.write(w, call{route: "unknown", service: rawls}, report(rawls, http.StatusNotFound, "The requested resource could not be found."))
		return c, "", false
	}
	if r.Method != http.MethodGet {
		s.report(RuleMethod, r, "an audit only reads")
		s.write(w, c, report(c.service, http.StatusMethodNotAllowed, "HTTP method not allowed, supported methods: GET"))
		return c, "", false
	}
	if token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !s.config.NoToken && (!found || token == "") {
		s.report(RuleToken, r, "no bearer token")
		s.write(w, c, report(c.service, http.StatusUnauthorized, "Authorization is invalid"))
		return c, "", false
	}
	if !s.acceptQuery(r, c) {
		s.write(w, c, report(c.service, http.StatusBadRequest, "Unrecognized query parameters"))
		return c, "", false
	}
	return c, "/" + strings.Join(segments, "/"), true
}

func (s *Simulator) acceptQuery(r *http.Request, c call) bool {
	if r.URL.RawQuery == "" {
		return true
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || c.route != routeWorkspaces || len(values) != 1 || len(values["fields"]) != 1 {
		s.report(RuleQuery, r, "the only parameter is fields of the list of workspaces")
		return false
	}
	for f := range strings.SplitSeq(values.Get("fields"), ",") {
		if !slices.Contains(workspaceFields, f) {
			s.report(RuleQuery, r, "field %q is not known", f)
			return false
		}
	}
	return true
}

// sentPath is the path as it stood in the request line: what the URL parser
// repairs must be seen.
func sentPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return r.URL.EscapedPath()
	}
	return path
}

// split decodes a path segment by segment. It is clean if no segment is empty
// or a dot, none hides a slash, and none holds a byte that has to be escaped.
func split(escaped string) (segments []string, clean bool) {
	clean = true
	for raw := range strings.SplitSeq(strings.TrimPrefix(escaped, "/"), "/") {
		decoded, err := url.PathUnescape(raw)
		if err != nil || decoded == "" || decoded == "." || decoded == ".." || strings.Contains(decoded, "/") {
			clean = false
		}
		for i := range len(raw) {
			if c := raw[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
				clean = false
			}
		}
		segments = append(segments, decoded)
	}
	return segments, clean
}

// failInstead carries out the faults that replace an answer, after it has noted
// the failure; false means that the request goes on.
func (s *Simulator) failInstead(w http.ResponseWriter, r *http.Request, c call, f fault.Fault, fail func()) bool {
	switch f.Kind {
	case fault.Slow:
		f.Wait(r)
		return false
	case fault.Hang, fault.Reset, fault.ServerError, fault.Maintenance, fault.Downtime, fault.RateLimited, fault.RateLimitedBare:
		fail()
	}
	switch f.Kind {
	case fault.Hang, fault.Reset:
		s.book.Count(c.route, 0)
		f.Break(r)
	case fault.ServerError:
		s.write(w, c, report(c.service, f.StatusOr(), "server error"))
	case fault.Maintenance:
		s.book.Count(c.route, http.StatusNotFound)
		fault.WriteHTML(w, http.StatusNotFound)
	case fault.Downtime:
		fault.RetryAfter(w.Header())
		s.write(w, c, report(c.service, http.StatusServiceUnavailable, "service unavailable"))
	case fault.RateLimited:
		fault.RetryAfter(w.Header())
		s.write(w, c, report(c.service, http.StatusTooManyRequests, "too many requests"))
	case fault.RateLimitedBare:
		s.writeBody(w, c, http.StatusTooManyRequests, nil)
	default:
		return false
	}
	return true
}

// spoil sends a good answer so that the client can tell that it is not.
func (s *Simulator) spoil(w http.ResponseWriter, c call, f fault.Fault, body []byte) {
	s.book.Count(c.route, http.StatusOK)
	w.Header().Set("Content-Type", "application/json")
	switch f.Kind {
	case fault.Truncated:
		fault.WriteHalf(w, body)
	case fault.CutOff:
		fault.WriteCutOff(w, body)
	case fault.HTML:
		fault.WriteHTML(w, http.StatusOK)
	default:
		spoilt := `[{"groupName":17,"workspace":"none"},false]`
		if body[0] == '[' {
			spoilt = `{"acl":[],"items":"none"}`
		}
		_, _ = w.Write([]byte(spoilt))
	}
}

func (s *Simulator) write(w http.ResponseWriter, c call, r reply) {
	body, err := r.encode()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.writeBody(w, c, r.status, body)
}

func (s *Simulator) writeBody(w http.ResponseWriter, c call, status int, body []byte) {
	s.book.Count(c.route, status)
	if len(body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if status == http.StatusNoContent {
		w.Header().Del("Content-Length")
	}
	w.WriteHeader(status)
	// The client is gone if this fails, and nobody is left to tell.
	_, _ = w.Write(body)
}

func sortAnswers(answers []Answer) {
	slices.SortFunc(answers, func(a, b Answer) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Query, b.Query))
	})
}

// Ledger is the simulator's account of the client's requests.
type Ledger struct {
	WorldTime time.Time          `json:"world_time"`
	Requests  []judge.RouteCount `json:"requests"`
	// MaxInFlight is the most requests that were open at a time.
	MaxInFlight int64 `json:"max_in_flight"`
	// Violations are counted by rule.
	Violations map[string]int64 `json:"violations"`
}

// Ledger is the account so far.
func (s *Simulator) Ledger() Ledger {
	return Ledger{
		WorldTime: s.clock.World(), Requests: s.book.Requests(),
		MaxInFlight: s.maxInFlight.Load(), Violations: s.book.ByRule(),
	}
}

func (s *Simulator) admin() http.Handler {
	mux := http.NewServeMux()
	get := func(name string, value func() any) {
		mux.HandleFunc("GET "+adminPrefix+name, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, value()) })
	}
	get("violations", func() any {
		return map[string]any{"by_rule": s.book.ByRule(), "violations": s.book.Violations()}
	})
	get("ledger", func() any { return s.Ledger() })
	get("served", func() any { return s.Served() })
	get("failures", func() any { return s.Failures() })
	get("answers", func() any { return s.Answers() })
	get("declared", func() any { return s.Declared() })
	mux.HandleFunc("GET "+adminPrefix+"changes", s.adminChanges)
	get("faults", func() any { return s.faults.Active() })
	mux.HandleFunc("DELETE "+adminPrefix+"violations", func(w http.ResponseWriter, _ *http.Request) {
		s.book.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE "+adminPrefix+"faults", func(w http.ResponseWriter, _ *http.Request) {
		s.faults.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST "+adminPrefix+"faults", s.adminFaults)
	mux.HandleFunc("POST "+adminPrefix+"freeze", func(w http.ResponseWriter, _ *http.Request) {
		s.adminFreeze(w, s.clock.World())
	})
	mux.HandleFunc("POST "+adminPrefix+"thaw", func(w http.ResponseWriter, _ *http.Request) {
		s.adminFreeze(w, time.Time{})
	})
	return mux
}

func (s *Simulator) adminFreeze(w http.ResponseWriter, at time.Time) {
	if err := s.Freeze(at); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, map[string]time.Time{"world_time": s.clock.World()})
}

func (s *Simulator) adminFaults(w http.ResponseWriter, r *http.Request) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	var faults []fault.Fault
	if err := d.Decode(&faults); err != nil {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.faults.Add(faults...); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, s.faults.Active())
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the client is gone, and nobody is left to tell
	}
}
