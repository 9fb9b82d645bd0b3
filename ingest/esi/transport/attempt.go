package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/sso"
)

// reading is one reading of a route, with the login it uses.
type reading struct {
	client    *Client
	route     catalogue.Route
	character int64
	access    sso.Access
	// resolved is the path with its parameters filled in.
	resolved string
	query    url.Values
	body     []byte
	// renewed tells that the token was given back once and renewed.
	renewed bool
}

// reply is a usable answer: 200 with JSON, or 304.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	expires time.Time
	// nearEnd tells that it is about to expire, by its whole lifetime.
	nearEnd bool
}

// authorize gets the access token and checks its scopes, so that a missing one
// is not found out by asking: a refusal costs more than an answer.
func (r *reading) authorize(ctx context.Context) error {
	if r.route.Public() {
		return nil
	}
	access, err := r.client.config.Tokens.Access(ctx, r.character)
	if err != nil {
		return tokenFailure(r.character, err)
	}
	for _, scope := range r.route.Scopes {
		if !slices.Contains(access.Scopes, scope) {
			f := failed(eve.FailureToken, 0, "the owner of character %d has not consented to %s: to have it, the character is registered again with it", r.character, scope)
			f.NotConsented = true
			return f
		}
	}
	r.access = access
	return nil
}

func tokenFailure(character int64, err error) error {
	switch event.CodeOf(err) { //nolint:exhaustive // All other codes are troubles of our own.
	case event.CodeUnauthenticated:
		return failed(eve.FailureToken, 0, "no access token for character %d: %w", character, err)
	case event.CodeUnavailable:
		return failed(eve.FailureNetwork, 0, "no access token for character %d for now: %w", character, err)
	default:
		return fmt.Errorf("getting the access token of character %d: %w", character, err)
	}
}

// page asks for one page, which paging says, until there is an answer, the
// attempts are used up or asking again cannot help. etag makes the request
// conditional; empty = not.
func (r *reading) page(ctx context.Context, paging url.Values, etag string) (*reply, error) {
	for attempt := 1; ; attempt++ {
		answer, err := r.attempt(ctx, paging, etag)
		var failure *Failure
		if err == nil || !errors.As(err, &failure) {
			return answer, err
		}
		switch {
		case failure.Class == eve.FailureToken && failure.Status != 0 && !r.renewed:
			// The token may have run out on the way; a new one settles it.
			r.renewed = true
			if err := r.renew(ctx); err != nil {
				return nil, err
			}
			attempt--
			continue
		case failure.Deferred || (failure.Class != eve.FailureServer && failure.Class != eve.FailureNetwork):
			return nil, err
		case failure.Status == statusThrottled || refuses(failure.Status) || attempt >= r.client.config.Attempts:
			return nil, err
		}
		wait := r.client.config.Backoff << (attempt - 1)
		wait += rand.N(wait/2 + 1) //nolint:gosec // Jitter needs no secrecy.
		if asked := failure.RetryAt.Sub(r.client.config.Now()); asked > wait {
			if asked > 5*time.Second {
				return nil, err
			}
			wait = asked
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to ask ESI again: %w", context.Cause(ctx))
	}
}

func (r *reading) renew(ctx context.Context) error {
	if err := r.client.config.Tokens.Reject(ctx, r.character, r.access.Token); err != nil {
		return fmt.Errorf("giving back the refused token of character %d: %w", r.character, err)
	}
	return r.authorize(ctx)
}

// attempt sends one request, if all accounts allow it.
func (r *reading) attempt(ctx context.Context, paging url.Values, etag string) (*reply, error) {
	c := r.client
	if err := r.held(paging); err != nil {
		return nil, err
	}
	group := c.group(r.route)
	reserved, err := r.reserve(ctx, group)
	if err != nil {
		return nil, err
	}
	done, err := r.admit(ctx, group)
	if err != nil {
		if reserved != nil {
			reserved.settle(0, nil)
		}
		return nil, err
	}
	answer, err := r.traced(ctx, paging, etag, reserved, group)
	c.budget.end(group != "")
	done(verdict(ctx, err))
	return answer, err
}

// held tells what holds a request back whatever the accounts say.
func (r *reading) held(paging url.Values) error {
	c := r.client
	now := c.config.Now()
	if end, down := c.config.Downtime.until(now); down {
		c.metrics.deferred.WithLabelValues("downtime").Inc()
		return deferred(end, "EVE is down until %s", end.Format(time.TimeOnly)).spread(spreadFor(c.config.Downtime.Length))
	}
	if until, down := c.health.downUntil(r.route, now); down {
		c.metrics.deferred.WithLabelValues("health").Inc()
		return deferred(until, "ESI says that %s is down; it is not asked until %s", r.route.Operation, until.UTC().Format(time.TimeOnly)).spread(time.Minute)
	}
	if r.countsRefusals(paging) {
		if until, storm := c.refusals.closed(r.refusalKey()); storm {
			c.metrics.deferred.WithLabelValues("storm").Inc()
			return deferred(until, "%s refused many characters at once; it is not asked until %s", r.route.Operation, until.UTC().Format(time.TimeOnly)).spread(time.Minute)
		} else if !until.IsZero() {
			c.metrics.deferred.WithLabelValues("refused").Inc()
			return deferred(until, "%s was refused again and again; it is not asked for until %s", r.resolved, until.UTC().Format(time.DateTime))
		}
	}
	return nil
}

// countsRefusals tells whether a refusal would be one of what is asked for, and not
// of one page of it or of what is in the request's body.
func (r *reading) countsRefusals(paging url.Values) bool {
	first := len(paging) == 0 || paging.Get("page") == "1"
	return first && r.route.Method == http.MethodGet
}

func (r *reading) refusalKey() refusalKey {
	return refusalKey{operation: r.route.Operation, path: r.resolved, character: r.character}
}

// reserve sets the worst cost aside in the bucket of a group; nil without one.
func (r *reading) reserve(ctx context.Context, group string) (*reservation, error) {
	if group == "" {
		return nil, nil //nolint:nilnil // There is nothing to set aside.
	}
	c := r.client
	owner := r.bucketOwner()
	for {
		p, mine := c.payer(owner)
		if !mine {
			return nil, r.notMine()
		}
		reserved, until, busy := c.ledger.reserve(bucketKey{group: group, character: owner}, r.route, p)
		switch {
		case reserved != nil:
			return reserved, nil
		case busy == nil:
			c.metrics.deferred.WithLabelValues("bucket").Inc()
			return nil, deferred(until, "rate group %s of character %d is used up until %s", group, r.character, until.UTC().Format(time.TimeOnly))
		}
		freed, err := r.stand(ctx, busy)
		switch {
		case err != nil:
			return nil, fmt.Errorf("waiting for the first answer of rate group %s of character %d: %w", group, r.character, err)
		case !freed:
			return nil, c.queued("bucket", "rate group %s of character %d waits for its first answer", group, r.character)
		}
	}
}

func (r *reading) notMine() error {
	r.client.metrics.deferred.WithLabelValues("elsewhere").Inc()
	until := r.client.config.Now().Add(elsewhere)
	return deferred(until, "another program asks for character %d", r.character)
}

// begin asks the error limit.
func (r *reading) begin(ctx context.Context, group string) error {
	c := r.client
	for {
		until, busy := c.budget.begin(group != "", c.config.Tenure.Programs())
		switch {
		case !until.IsZero():
			c.metrics.deferred.WithLabelValues("error_limit").Inc()
			return deferred(until, "ESI's error limit is nearly used up; requests are held back until %s", until.UTC().Format(time.TimeOnly)).spread(errorWindow / 2)
		case busy == nil:
			return nil
		}
		freed, err := r.stand(ctx, busy)
		switch {
		case err != nil:
			return fmt.Errorf("waiting to ask ESI for %s: %w", r.route.Operation, err)
		case !freed:
			return c.queued("error_limit", "as many requests as may fail are on their way to routes like %s", r.route.Operation)
		}
	}
}

// admit asks the accounts that no bucket keeps. If it fails nothing was taken.
func (r *reading) admit(ctx context.Context, group string) (done func(error), err error) {
	c := r.client
	if err := r.begin(ctx, group); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.budget.end(group != "")
		}
	}()
	if r.route.Calls > 0 {
		owner := r.character
		if r.route.CallsShared {
			owner = 0
		}
		p, mine := c.payer(owner)
		if !mine {
			return nil, r.notMine()
		}
		if until := c.calls.take(r.route, r.character, p); !until.IsZero() {
			c.metrics.deferred.WithLabelValues("calls").Inc()
			return nil, deferred(until, "%s may not be asked more often for character %d until %s", r.route.Operation, r.character, until.UTC().Format(time.TimeOnly))
		}
	}
	done, err = c.breaker(r.route).Allow()
	if err != nil {
		c.metrics.deferred.WithLabelValues("breaker").Inc()
		return nil, deferred(c.config.Now().Add(c.config.BreakFor), "%s failed too often in a row and is cut off for a while", r.route.Operation).spread(c.config.BreakFor)
	}
	return done, nil
}

// verdict is what a breaker is told of an attempt.
func verdict(ctx context.Context, err error) error {
	var failure *Failure
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil || !errors.As(err, &failure):
		return errNoVerdict
	case failure.Status == statusThrottled || refuses(failure.Status):
		// It is told of one character, or is counted apart.
		return errNoVerdict
	case failure.Class == eve.FailureServer || failure.Class == eve.FailureNetwork:
		return errServer
	default:
		return nil
	}
}

// bucketOwner is whose bucket pays: without a token it is that of the address.
func (r *reading) bucketOwner() int64 {
	if r.route.Public() {
		return 0
	}
	return r.character
}

// path is the path of a page with its query.
func (r *reading) path(paging url.Values) string {
	query := url.Values{}
	maps.Copy(query, r.query)
	maps.Copy(query, paging)
	if len(query) == 0 {
		return r.resolved
	}
	return r.resolved + "?" + query.Encode()
}

// send sends the request, settles the accounts and judges the answer.
func (r *reading) send(ctx context.Context, paging url.Values, etag string, reserved *reservation, group string) (*reply, error) {
	c := r.client
	limited, cancel := outlast(ctx, c.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, r.route.Method, c.config.BaseURL+r.path(paging), bytes.NewReader(r.body))
	if err != nil {
		if reserved != nil {
			reserved.settle(0, nil)
		}
		return nil, fmt.Errorf("making the request of %s: %w", r.route.Operation, err)
	}
	r.setHeaders(request, etag)
	started := time.Now()
	response, err := c.http.Do(request) //nolint:bodyclose // readBody closes it.
	var body []byte
	if err == nil {
		body, err = readBody(response, c.config.MaxBody)
	}
	status := 0
	if response != nil {
		status = response.StatusCode
	}
	c.metrics.request(r.route.Operation, status, time.Since(started).Seconds(), len(body))
	c.usage.count(r.route.Operation, group, status)
	r.account(status, response, reserved, group)
	switch {
	case err == nil:
		return r.judge(ctx, paging, response, body)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("asking ESI for %s: %w", r.route.Operation, context.Cause(ctx))
	case errors.Is(err, errTooLong):
		return nil, r.malformed(paging, response, body, fmt.Sprintf("the answer is longer than %d bytes", c.config.MaxBody))
	default:
		return nil, failed(eve.FailureNetwork, status, "no complete answer to %s: %w", r.route.Operation, err)
	}
}

// answerGrace is how long the answer to a request is waited for that is on its way when
// nobody waits for it any more: it may say that a limit is used up, and what it costs.
const answerGrace = 2 * time.Second

// outlast is a context for one request, which goes on for a moment when ctx ends.
func outlast(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(answerGrace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-limited.Done():
		}
	})
	return limited, func() { stop(); cancel() }
}

func (r *reading) setHeaders(request *http.Request, etag string) {
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", r.client.config.UserAgent)
	request.Header.Set("X-Compatibility-Date", compatibilityDate(r.client.config.Now()))
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	if len(r.body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.access.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.access.Token)
	}
}

var errTooLong = errors.New("answer too long")

// readBody reads at most limit bytes; what was read comes back with an error,
// too.
func readBody(response *http.Response, limit int64) ([]byte, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return body, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return body[:limit], errTooLong
	}
	return body, nil
}

// account settles bucket and error limit with what the server says.
func (r *reading) account(status int, response *http.Response, reserved *reservation, group string) {
	c := r.client
	var header http.Header
	if response != nil {
		header = response.Header
	}
	said := bucketReport(header)
	if said != nil {
		c.nameGroup(r.route, header.Get("X-Ratelimit-Group"))
	}
	if reserved != nil {
		reserved.settle(costOf(status), said)
		c.metrics.tokens.WithLabelValues(group).Add(float64(costOf(status)))
	}
	now := c.config.Now()
	wait, told := retryAfter(header, now)
	if status == http.StatusTooManyRequests && reserved != nil {
		if !told {
			wait = time.Minute
		}
		reserved.block(now.Add(wait))
	}
	left, reset, counted := errorReport(header)
	switch {
	case counted:
		c.budget.report(left, reset, status >= 400)
	case group == "" && (status == 0 || status >= 400):
		c.budget.count()
	}
	if status == statusErrorLimited {
		if !counted {
			reset = errorWindow
		}
		if told {
			reset = max(reset, wait)
		}
		c.budget.stop(reset)
		c.metrics.incidents.Inc()
		c.config.Logger.Error("ESI's error limit was used up: every request waits until it is reset; other programs at this address may have used it",
			"operation", r.route.Operation, "reset", reset)
	}
}

const (
	// statusErrorLimited is ESI's answer to everything once the error limit is used
	// up.
	statusErrorLimited = 420
	// statusThrottled is the answer of the game's own servers to who asks too fast.
	statusThrottled = 520
)

// judge turns an answer into a reply or a failure.
func (r *reading) judge(ctx context.Context, paging url.Values, response *http.Response, body []byte) (*reply, error) {
	now := r.client.config.Now()
	r.checkDate(ctx, response.Header)
	ttl := untold(r.route, now)
	fresh := min(lifetime(response.Header, ttl), maxLifetime)
	answer := &reply{status: response.StatusCode, header: response.Header, body: body, expires: now.Add(fresh)}
	answer.nearEnd = nearEnd(response.Header, fresh, ttl)
	switch {
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNotModified:
		return nil, r.refused(ctx, paging, response, body)
	case response.StatusCode == http.StatusOK && !validJSON(body):
		// No lifetime holds for this: it is not what ESI's cache has.
		return nil, r.malformed(paging, response, body, notJSON(body))
	}
	if r.countsRefusals(paging) {
		r.client.refusals.answered(r.refusalKey())
	}
	return answer, nil
}

// checkDate makes it known when a route answers by another date than was asked for:
// what it sends may then have another shape.
func (r *reading) checkDate(ctx context.Context, h http.Header) {
	c := r.client
	asked := compatibilityDate(c.config.Now())
	said, first := c.echoes.foreign(r.route, asked, h)
	if !first {
		return
	}
	if len(said) > len(time.DateOnly) {
		said = "other"
	}
	c.metrics.echoes.WithLabelValues(r.route.Operation, said).Inc()
	c.config.Logger.WarnContext(ctx, "ESI answers by another compatibility date than was asked for", "operation", r.route.Operation, "asked", asked, "answered", said)
}

func notJSON(body []byte) string {
	switch trimmed := bytes.TrimSpace(body); {
	case len(trimmed) == 0:
		return "the answer is empty"
	case isHTML(trimmed):
		return "the answer is HTML, not JSON"
	default:
		return "the answer is no JSON, or cut off"
	}
}

// refused turns a status other than 200 and 304 into a failure.
func (r *reading) refused(ctx context.Context, paging url.Values, response *http.Response, body []byte) *Failure {
	status, operation := response.StatusCode, r.route.Operation
	said := r.reason(body)
	now := r.client.config.Now()
	wait, told := retryAfter(response.Header, now)
	switch {
	case refuses(status) && isHTML(body):
		// ESI itself answers in JSON: this came from what is in front of it.
		return failed(eve.FailureServer, status, "something in front of ESI answered %s with %d and a page of HTML", operation, status)
	case refuses(status):
		return r.refusedThis(ctx, paging, status, body, said)
	case status == statusErrorLimited:
		f := failed(eve.FailureRateLimited, status, "ESI's error limit is used up (420); all requests wait")
		f.RetryAt = r.client.budget.stopped()
		return f.spread(errorWindow / 2)
	case status == http.StatusTooManyRequests:
		f := failed(eve.FailureRateLimited, status, "%s is asked too often for character %d (429)", operation, r.character)
		if !told {
			wait = time.Minute
		}
		f.RetryAt = now.Add(wait)
		return f.spread(spreadFor(wait))
	case status >= http.StatusInternalServerError:
		f := failed(eve.FailureServer, status, "ESI failed at %s (%d%s)", operation, status, said)
		if told {
			f.RetryAt = now.Add(wait)
			f.Spread = spreadFor(wait)
		}
		if status == statusThrottled {
			f.RetryAt = later(f.RetryAt, r.client.calls.throttled(r.route, r.character))
		}
		return f
	default:
		return r.malformed(paging, response, body, fmt.Sprintf("unexpected status %d%s", status, said))
	}
}

// refusedThis judges a 401, 403 or 404. None of them proves anything by itself.
func (r *reading) refusedThis(ctx context.Context, paging url.Values, status int, body []byte, said string) *Failure {
	operation := r.route.Operation
	hiccup := status == http.StatusForbidden && tokenHiccup(body)
	if (status == http.StatusUnauthorized || hiccup) && !r.renewed && !r.route.Public() {
		// It is asked again with another token before anything is made of it.
		return failed(eve.FailureToken, status, "ESI does not take the token of character %d (%d%s)", r.character, status, said)
	}
	count, until, storm := 1, time.Time{}, false
	if r.countsRefusals(paging) && !hiccup {
		count, until, storm = r.client.refusals.refused(r.route, r.refusalKey())
	}
	var f *Failure
	switch {
	case storm:
		f = failed(eve.FailureServer, status, "ESI refuses %s to many characters at once (%d%s): that is taken for a fault of ESI", operation, status, said)
		r.client.metrics.storms.WithLabelValues(operation).Inc()
		r.client.config.Logger.WarnContext(ctx, "ESI refuses a route to many characters at once; it is left alone for a while",
			"operation", operation, "status", status, "until", until.UTC())
		f.Spread = time.Minute
	case hiccup:
		f = failed(eve.FailureServer, status, "ESI cannot check the token of character %d, which was just renewed (403%s)", r.character, said)
	case status == http.StatusUnauthorized && count < refuseAfter:
		// The sign-on has just given this token: that ESI does not take it may well
		// pass.
		f = failed(eve.FailureServer, status, "ESI does not take the token of character %d, which was just renewed (401%s)", r.character, said)
		until = r.client.config.Now().Add(refuseFor << (count - 1))
	case status == http.StatusUnauthorized:
		f = failed(eve.FailureToken, status, "ESI does not take the tokens of character %d for %s, again and again (401%s)", r.character, operation, said)
	case status == http.StatusForbidden:
		f = failed(eve.FailureForbidden, status, "ESI forbids %s for character %d (403%s)", operation, r.character, said)
	default:
		f = failed(eve.FailureNotFound, status, "ESI knows nothing at %s (404%s); that alone proves nothing", r.path(paging), said)
	}
	f.RetryAt = until
	return f
}

// tokenHiccup tells whether a 403 is about the token and not about what was asked
// for: it ran out on the way, or ESI and the sign-on do not understand one another
// for the moment. None of this is the end of a login.
func tokenHiccup(body []byte) bool {
	var said struct {
		Error     string          `json:"error"`
		SSOStatus json.RawMessage `json:"sso_status"`
	}
	if json.Unmarshal(body, &said) != nil {
		return false
	}
	text := strings.ToLower(said.Error)
	return len(said.SSOStatus) > 0 || strings.Contains(text, "expire") || strings.Contains(text, "expiry") ||
		strings.Contains(text, "unexpected end of json") || strings.Contains(text, "sso")
}

func isHTML(body []byte) bool {
	trimmed := bytes.TrimSpace(body)
	return len(trimmed) > 0 && trimmed[0] == '<'
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// reason is ESI's own word for an error, if it sent one, ready to be appended.
func (r *reading) reason(body []byte) string {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		return ""
	}
	text := said.Error
	if r.access.Token != "" {
		text = strings.ReplaceAll(text, r.access.Token, "[token]")
	}
	return fmt.Sprintf(": %.200q", text)
}

func (r *reading) malformed(paging url.Values, response *http.Response, body []byte, reason string) *Failure {
	f := failed(eve.FailureMalformed, response.StatusCode, "%s of character %d: %s; the answer is kept in quarantine", r.route.Operation, r.character, reason)
	f.Sample = &Sample{
		CharacterID: r.character,
		Operation:   r.route.Operation,
		Path:        r.path(paging),
		Status:      response.StatusCode,
		ContentType: response.Header.Get("Content-Type"),
		Reason:      reason,
		Body:        bytes.Clone(body[:min(len(body), MaxSample)]),
		At:          r.client.config.Now().UTC(),
	}
	return f
}

const (
	// standAtMost is how long a request waits for others that are on their way. What
	// hangs must not hold up all workers.
	standAtMost = time.Second
	// queuedFor is when a request comes back that has waited for so long, spread over
	// queuedOver.
	queuedFor, queuedOver = 2 * time.Second, 8 * time.Second
)

// stand waits for others; false if that takes too long.
func (r *reading) stand(ctx context.Context, busy <-chan struct{}) (bool, error) {
	timer := time.NewTimer(standAtMost)
	defer timer.Stop()
	select {
	case <-busy:
		return true, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// queued puts a request off that has waited for others for too long.
func (c *Client) queued(reason, format string, args ...any) *Failure {
	c.metrics.deferred.WithLabelValues(reason).Inc()
	return deferred(c.config.Now().Add(queuedFor), format, args...).spread(queuedOver)
}
