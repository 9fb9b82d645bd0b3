package esi

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// Rules of ESI, as they appear in violations.
const (
	// RuleUnknownRoute: only routes of the specification are asked for, spelt
	// exactly.
	RuleUnknownRoute = "unknown-route"
	// RuleMethod: a route is asked with its method.
	RuleMethod = "method"
	// RuleCompatibilityDate: every request says X-Compatibility-Date, not in
	// the future and not before the route existed.
	RuleCompatibilityDate = "compatibility-date"
	// RuleUserAgent: User-Agent names the application and a contact.
	RuleUserAgent = "user-agent"
	// RuleAccept: Accept allows JSON.
	RuleAccept = "accept"
	// RuleQuery: only parameters of the specification, with values that exist.
	RuleQuery = "query"
	// RuleBody: a body of the specification's shape.
	RuleBody = "body"
	// RuleToken: a good, current bearer token is sent where one is needed.
	RuleToken = "token"
	// RuleScope: a missing scope must not be found out by asking.
	RuleScope = "scope"
	// RuleSubject: a token opens its own character only.
	RuleSubject = "subject"
	// RuleEarlyRequest: nothing is asked again before it has expired. A client
	// that was killed after an answer cannot know; see [Simulator.Forgive].
	RuleEarlyRequest = "early-request"
	// RuleUnconditional: what was served before is asked for with If-None-Match,
	// but for the later pages of a walk by ids, whose addresses change with what is
	// new so that nobody has to keep them.
	RuleUnconditional = "unconditional-request"
	// RuleBucket: no request is sent to a bucket that is empty.
	RuleBucket = "bucket-overrun"
	// RuleRetryAfter: a bucket that said Retry-After is left alone until then.
	RuleRetryAfter = "ignored-retry-after"
	// RuleErrorLimit: the client stops before its error budget is used up.
	RuleErrorLimit = "error-limit"
	// RuleIgnored420: after 420 nothing is asked until the budget is reset.
	RuleIgnored420 = "ignored-420"
	// RuleSpamming: no more than 20 contracts' items within 10 seconds are asked
	// for by a character.
	RuleSpamming = "spamming"
)

// oldestDate is what a request without a date gets.
const oldestDate = "2020-01-01"

// contact finds an address or a link in a User-Agent.
var contact = regexp.MustCompile(`[^\s@]+@[^\s@]+|https?://`)

// exchange is one request on its way to an answer.
type exchange struct {
	sim  *Simulator
	w    http.ResponseWriter
	r    *http.Request
	now  time.Time
	rt   *route
	id   int64 // the character in the path, or the bearer's for structures
	sub  int64 // what else is named in the path
	hash string
	key  bucketKey
	flaw fault.Fault // what is drawn to go wrong; Kind is empty if nothing
}

// Handler serves ESI, the sign-on and, below /_simulator/, the simulator's own
// books and controls:
//
//	GET    violations            by rule, and the first thousand
//	DELETE violations            forgets them
//	GET    ledger                tokens by group, requests by route and status
//	GET    served[?character=ID] what was served, see [Served]
//	GET    served/summary        see [ServedSummary]
//	GET    organisation          for an import, see [Organisation]
//	GET, POST, DELETE faults     a list of [fault.Fault]
//	POST   health                {"route": NAME, "health": "Down"}, see [Simulator.SetHealth]
//	POST   freeze, thaw          stops the world, lets it go on
//	POST   forgive               after the client was killed, see [Simulator.Forgive]
//	POST   characters/ID         {"revoke": true} or {"transfer": true}
func (s *Simulator) Handler() http.Handler {
	signOn, admin := s.signOn(), s.admin()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// As it was sent: what the URL parser repairs must be seen.
		path, _, _ := strings.Cut(r.RequestURI, "?")
		switch {
		case strings.HasPrefix(path, adminPrefix):
			admin.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/v2/oauth/"), strings.HasPrefix(path, "/oauth/"), strings.HasPrefix(path, "/.well-known/"):
			signOn.ServeHTTP(w, r)
		default:
			s.serveESI(w, r, path)
		}
	})
}

func (s *Simulator) serveESI(w http.ResponseWriter, r *http.Request, path string) {
	x := &exchange{sim: s, w: w, r: r, now: s.clock.Wall()}
	found, methodWrong := find(s.routes, r.Method, path)
	x.rt, x.id, x.sub, x.hash = found.route, found.character, found.sub, found.hash
	if left, ignored, storming := s.ledger.blocked(x.now); storming {
		if ignored {
			x.report(RuleIgnored420, "the error limit is used up for another %s", left)
		}
		x.answer420(left)
		return
	}
	if x.rt == nil {
		x.rt = &route{name: "unknown", section: sectionNone}
		if methodWrong {
			x.report(RuleMethod, "the path exists with another method")
			x.refuse(http.StatusMethodNotAllowed, "Method not allowed")
			return
		}
		x.report(RuleUnknownRoute, "no route has this path")
		x.refuse(http.StatusNotFound, "Resource not found")
		return
	}
	x.key = bucketKey{group: x.rt.group}
	if x.checkHeaders() && x.authorize() && x.admit() {
		x.serve()
	}
}

func (x *exchange) report(rule, format string, args ...any) {
	x.sim.report(rule, x.r, x.now, format, args...)
}

// checkHeaders judges what every request has to say about itself. Lapses that
// ESI forgives are noted and forgiven.
func (x *exchange) checkHeaders() bool {
	h := x.r.Header
	if agent := h.Get("User-Agent"); !contact.MatchString(agent) {
		x.report(RuleUserAgent, "User-Agent %q names no e-mail address and no link", agent)
	}
	if accept := h.Get("Accept"); !strings.Contains(accept, "application/json") && !strings.Contains(accept, "*/*") {
		x.report(RuleAccept, "Accept is %q, must allow application/json", accept)
	}
	date := h.Get("X-Compatibility-Date")
	missing := date == ""
	if missing {
		x.report(RuleCompatibilityDate, "X-Compatibility-Date is missing")
		date = oldestDate
	}
	// The day rolls at 11:00 UTC.
	newest := x.now.Add(-11 * time.Hour).Format(time.DateOnly)
	if _, err := time.Parse(time.DateOnly, date); err != nil || date > newest {
		x.report(RuleCompatibilityDate, "X-Compatibility-Date %q is no date up to %s", date, newest)
		x.refuse(http.StatusBadRequest, "Invalid compatibility date")
		return false
	}
	x.w.Header().Set("X-Compatibility-Date", date)
	if date < x.rt.since {
		if !missing {
			x.report(RuleCompatibilityDate, "the route exists since %s, the request says %s", x.rt.since, date)
		}
		x.refuse(http.StatusNotFound, "Resource not found")
		return false
	}
	return true
}

// authorize checks the bearer token of routes that need one. The bucket of the
// token's owner pays from then on.
func (x *exchange) authorize() bool {
	if x.rt.scope == "" {
		return true
	}
	token, found := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	if !found {
		x.report(RuleToken, "no bearer token")
		x.refuse(http.StatusUnauthorized, "authorization not provided")
		return false
	}
	b, err := x.sim.tokens.check(token, x.now)
	switch {
	case errors.Is(err, errExpired):
		x.report(RuleToken, "the token of character %d expired at %s", b.character, b.expires)
		x.refuse(http.StatusForbidden, "token is expired")
		return false
	case err != nil:
		x.report(RuleToken, "not a token of this service")
		x.refuse(http.StatusUnauthorized, "token validation failure")
		return false
	}
	x.key.application, x.key.character = b.application, b.character
	if x.id == 0 {
		x.id = b.character
	}
	if b.character != x.id {
		x.report(RuleSubject, "the token of character %d asks for character %d", b.character, x.id)
		x.refuse(http.StatusForbidden, "token does not grant access to this character")
		return false
	}
	if !slices.Contains(b.scopes, x.rt.scope) {
		x.report(RuleScope, "the token lacks %s", x.rt.scope)
		x.refuse(http.StatusForbidden, "Token is not valid for scope(s): "+x.rt.scope)
		return false
	}
	return true
}

// admit asks the bucket and draws what goes wrong. It answers itself where the
// request ends here.
func (x *exchange) admit() bool {
	s := x.sim
	if x.rt.group != "" {
		if a := s.ledger.admit(x.key, x.rt.tokens, x.now); !a.ok {
			switch {
			case a.ignored:
				x.report(RuleRetryAfter, "bucket %s of character %d is closed for another %s", x.key.group, x.key.character, a.retryAfter)
			case !a.injected:
				x.report(RuleBucket, "bucket %s of character %d is empty", x.key.group, x.key.character)
			}
			x.answer429(a.retryAfter)
			return false
		}
	}
	return x.inService() && x.admitHidden() && x.admitFaults()
}

// injectedWait is what a 429 says that is none of the client's doing.
const injectedWait = 5 * time.Second

// inService answers itself while the server or the route is down.
func (x *exchange) inService() bool {
	s := x.sim
	at := s.clock.At(x.now)
	since := at.Sub(at.Truncate(day).Add(11 * time.Hour))
	switch {
	case since >= 0 && since < s.config.Downtime:
		// At first the gateway tries in vain, then it knows.
		if since < time.Minute && x.now.UnixNano()%2 == 0 {
			x.refuse(http.StatusBadGateway, "Bad gateway")
			return false
		}
	case !s.down(x.rt):
		return true
	}
	fault.RetryAfter(x.w.Header())
	x.refuse(http.StatusServiceUnavailable, "The datasource tranquility is temporarily unavailable")
	return false
}

// admitHidden counts against limits that no header and no specification tells.
func (x *exchange) admitHidden() bool {
	if x.rt.hiddenLimit == 0 {
		return true
	}
	l := x.sim.ledger
	wait, ignored := l.countHidden(x.rt.name, x.rt.hiddenLimit, x.now)
	if wait == 0 {
		return true
	}
	if ignored {
		x.report(RuleRetryAfter, "route %s is closed for another %s", x.rt.name, wait)
	}
	x.answer429(wait)
	return false
}

// admitItems answers itself where a character asks for the items of more than
// 20 contracts within 10 seconds.
func (x *exchange) admitItems() bool {
	wait, plain := x.sim.ledger.countItems(x.id, x.now)
	if wait == 0 {
		return true
	}
	if plain {
		x.report(RuleSpamming, "items of more than %d contracts within %s", itemsMax, x.sim.ledger.itemsPeriod)
	}
	x.refuseThrottled(wait)
	return false
}

func (x *exchange) refuseThrottled(wait time.Duration) {
	x.refuse(520, "ConStopSpamming, details: {\"remainingTime\": "+strconv.FormatInt(int64(wait/100), 10)+"}")
}

// admitFaults draws what goes wrong.
func (x *exchange) admitFaults() bool {
	s := x.sim
	f, drawn := s.faults.Draw(x.rt.name, x.senseless()...)
	if !drawn {
		return true
	}
	switch f.Kind {
	case fault.Slow:
		f.Wait(x.r)
	case fault.Hang, fault.Reset:
		s.book.Count(x.rt.name, 0)
		f.Break(x.r)
	case fault.ServerError:
		x.refuse(f.StatusOr(), "Bad gateway")
		return false
	case fault.Maintenance:
		x.refuse(http.StatusNotFound, "Not found")
		return false
	case fault.Downtime:
		fault.RetryAfter(x.w.Header())
		x.refuse(http.StatusServiceUnavailable, "The datasource tranquility is temporarily unavailable")
		return false
	case fault.HTML:
		if f.Status == 0 {
			x.flaw = f
			return true
		}
		x.settle(f.Status)
		fault.WriteHTML(x.w, f.Status)
		return false
	case fault.RateLimited:
		if x.rt.group != "" {
			s.ledger.refuse(x.key, x.now, injectedWait)
		}
		x.answer429(injectedWait)
		return false
	case fault.Forbidden:
		x.refuse(http.StatusForbidden, "unexpected end of JSON input")
		return false
	case fault.Throttled:
		x.refuseThrottled(time.Second)
		return false
	case fault.RateLimitedBare:
		s.book.Count(x.rt.name, http.StatusTooManyRequests)
		x.w.WriteHeader(http.StatusTooManyRequests)
		return false
	case fault.ErrorLimited:
		s.ledger.storm(x.now)
		left, _, _ := s.ledger.blocked(x.now)
		x.answer420(left)
		return false
	default:
		// Truncated, cut off, wrong types, torn, bare: the answer is made first.
		x.flaw = f
	}
	return true
}

// senseless lists the faults that cannot happen to this request: only later
// pages can be torn from the first, and only who has an answer can be told that
// it has not changed.
func (x *exchange) senseless() []fault.Kind {
	var kinds []fault.Kind
	if !x.rt.paged || x.r.URL.RawQuery == "" || x.r.URL.RawQuery == "page=1" {
		kinds = append(kinds, fault.Torn)
	}
	if x.r.Header.Get("If-None-Match") == "" {
		kinds = append(kinds, fault.BareNotModified)
	}
	return kinds
}

// refuse answers with an error of ESI's shape.
func (x *exchange) refuse(status int, text string) {
	x.settle(status)
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	// The client is gone if this fails, and nobody is left to tell.
	_, _ = x.w.Write(append(appendString([]byte(`{"error":`), text), '}'))
}

// settle books the answer and sets the headers of the limiter that applies:
// never both.
func (x *exchange) settle(status int) {
	s := x.sim
	s.book.Count(x.rt.name, status)
	h := x.w.Header()
	if x.rt.group == "" {
		remain, reset, exhausted := s.ledger.countError(status, x.now)
		if exhausted {
			x.report(RuleErrorLimit, "100 errors within a minute")
		}
		h["X-Esi-Error-Limit-Remain"] = []string{strconv.Itoa(remain)}
		h["X-Esi-Error-Limit-Reset"] = []string{strconv.Itoa(int(reset / time.Second))}
		return
	}
	used := cost(status)
	remaining := s.ledger.charge(x.key, x.rt.tokens, used, x.now)
	h["X-Ratelimit-Group"] = []string{x.rt.group}
	h["X-Ratelimit-Limit"] = []string{limitText(x.rt.tokens, s.config.Window)}
	h["X-Ratelimit-Remaining"] = []string{strconv.Itoa(remaining)}
	h["X-Ratelimit-Used"] = []string{strconv.Itoa(used)}
}

func (x *exchange) answer429(wait time.Duration) {
	x.w.Header().Set("Retry-After", strconv.Itoa(int(wholeSeconds(wait)/time.Second)))
	x.refuse(http.StatusTooManyRequests, "Too many requests")
}

// answer420 is the same on every route, bucketed or not.
func (x *exchange) answer420(left time.Duration) {
	name := "unknown"
	if x.rt != nil {
		name = x.rt.name
	}
	x.sim.book.Count(name, 420)
	h := x.w.Header()
	h["X-Esi-Error-Limit-Remain"] = []string{"0"}
	h["X-Esi-Error-Limit-Reset"] = []string{strconv.Itoa(int(wholeSeconds(left) / time.Second))}
	h.Set("Content-Type", "application/json")
	x.w.WriteHeader(420)
	_, _ = io.WriteString(x.w, `{"error":"This software has exceeded the error limit for ESI. If you are a user, please contact the maintainer of this software."}`)
}
