// Package ingesttest is the outside world of ingest's tests: a server that
// plays EVE's sign-on and those routes of ESI that a test gives it, holds each
// request to the rules, and keeps a list of all of them; and a clock to steer.
package ingesttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/sso"
)

// What the world takes for the application's identity.
const (
	ClientID     = "test-client"
	ClientSecret = "test-secret"
	UserAgent    = "Muster/test (tests@example.org)"
)

// TokenLifetime is how long an access token is good.
const TokenLifetime = 20 * time.Minute

// Clock is a clock that stands still until it is moved. It is safe for
// concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a moment in the past, away from the time of downtime.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 9, 1, 18, 0, 0, 0, time.UTC)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Request is a request that the world got.
type Request struct {
	// Path has the query with it.
	Path   string
	Header http.Header
	Status int
}

// World is the outside world. It is safe for concurrent use.
type World struct {
	// URL is that of both ESI and the sign-on.
	URL   string
	Clock *Clock

	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey

	mu       sync.Mutex
	routes   map[string]http.Handler
	logins   map[int64]*login
	requests []Request
	breaches []string
	token    http.HandlerFunc
	claims   map[string]any
	trusting bool
}

type login struct {
	character  int64
	refresh    string
	owner      string
	scopes     []string
	generation int
	// access are the tokens given out that ESI takes.
	access map[string]bool
}

// New starts a world, which ends with the test. The test fails if a request
// broke a rule.
func New(t testing.TB) *World {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	w := &World{Clock: NewClock(), rsa: rsaKey, ec: ecKey, routes: map[string]http.Handler{}, logins: map[int64]*login{}}
	server := httptest.NewServer(w)
	w.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		require.Empty(t, w.breaches, "rules of ESI broken")
	})
	return w
}

// Handle answers a path of ESI.
func (w *World) Handle(path string, h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.routes[path] = h
}

// HandleToken answers the token endpoint until it is called with nil.
func (w *World) HandleToken(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.token = h
}

// SetClaims overrides claims of the access tokens to come; nil ends that.
func (w *World) SetClaims(claims map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claims = claims
}

// Grant logs a character in.
func (w *World) Grant(character int64, scopes ...string) sso.Grant {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &login{character: character, owner: "owner-of-" + strconv.FormatInt(character, 10), scopes: scopes, access: map[string]bool{}}
	if old := w.logins[character]; old != nil {
		l.generation = old.generation + 1
	}
	l.rotate()
	w.logins[character] = l
	return sso.Grant{CharacterID: character, RefreshToken: l.refresh, OwnerHash: l.owner, Scopes: scopes}
}

func (l *login) rotate() {
	l.generation++
	l.refresh = fmt.Sprintf("refresh/%d+%d=", l.character, l.generation)
}

// Transfer gives a character to another owner.
func (w *World) Transfer(character int64, owner string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logins[character].owner = owner
}

// Revoke ends a login.
func (w *World) Revoke(character int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.logins, character)
}

// ForgetAccess has ESI refuse all access tokens given out so far.
func (w *World) ForgetAccess(character int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logins[character].access = map[string]bool{}
}

// TrustAnyToken has ESI take any access token, for tests without a sign-on.
func (w *World) TrustAnyToken() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trusting = true
}

// RefreshToken is the one that is good now.
func (w *World) RefreshToken(character int64) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logins[character].refresh
}

// Requests are the requests so far whose path begins so.
func (w *World) Requests(prefix string) []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []Request
	for _, r := range w.requests {
		if strings.HasPrefix(r.Path, prefix) {
			found = append(found, r)
		}
	}
	return found
}

// ServeHTTP implements [http.Handler].
func (w *World) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	recorder := &statusRecorder{ResponseWriter: out}
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.requests = append(w.requests, Request{Path: r.URL.RequestURI(), Header: r.Header.Clone(), Status: recorder.status})
	}()
	switch r.URL.Path {
	case "/oauth/jwks":
		w.jwks(recorder)
	case "/v2/oauth/token":
		w.serveToken(recorder, r)
	default:
		w.serveESI(recorder, r)
	}
}

type statusRecorder struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements [http.ResponseWriter].
func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets handlers get at the connection.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (w *World) breach(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaches = append(w.breaches, fmt.Sprintf(format, args...))
}

func (w *World) serveESI(out http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Compatibility-Date") != "2026-08-04" {
		w.breach("%s: compatibility date %q", r.URL, r.Header.Get("X-Compatibility-Date"))
	}
	if r.Header.Get("User-Agent") != UserAgent {
		w.breach("%s: user agent %q", r.URL, r.Header.Get("User-Agent"))
	}
	if r.Header.Get("Accept") != "application/json" {
		w.breach("%s: accepts %q", r.URL, r.Header.Get("Accept"))
	}
	w.mu.Lock()
	handler := w.routes[r.URL.Path]
	w.mu.Unlock()
	if handler == nil {
		JSON(out, http.StatusNotFound, `{"error":"Not found"}`)
		return
	}
	if !public(r.URL.Path) && !w.authorized(r) {
		JSON(out, http.StatusUnauthorized, `{"error":"token is expired"}`)
		return
	}
	handler.ServeHTTP(out, r)
}

// public tells whether a path is open to everybody.
func public(path string) bool {
	ofCharacter := strings.HasPrefix(path, "/characters/")
	return !ofCharacter || strings.Count(path, "/") <= 2 || strings.HasSuffix(path, "/corporationhistory")
}

func (w *World) authorized(r *http.Request) bool {
	parts := strings.Split(r.URL.Path, "/")
	character, err := strconv.ParseInt(parts[2], 10, 64)
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err != nil || !ok {
		w.breach("%s: no bearer token", r.URL)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.logins[character]
	return w.trusting || (l != nil && l.access[token])
}

// JSON answers with a status and a body.
func JSON(out http.ResponseWriter, status int, body string) {
	out.Header().Set("Content-Type", "application/json; charset=utf-8")
	out.WriteHeader(status)
	// The client is gone if this fails.
	_, _ = out.Write([]byte(body))
}

func (w *World) jwks(out http.ResponseWriter) {
	point, err := w.ec.PublicKey.Bytes()
	if err != nil {
		w.breach("encoding the key: %v", err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	keys, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "JWT-Signature-Key", "n": b64(w.rsa.N.Bytes()), "e": b64(big.NewInt(int64(w.rsa.E)).Bytes())},
		{"kty": "EC", "alg": "ES256", "use": "sig", "kid": "other-key", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
	}})
	if err != nil {
		w.breach("encoding the keys: %v", err)
	}
	JSON(out, http.StatusOK, string(keys))
}

func (w *World) serveToken(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	override := w.token
	w.mu.Unlock()
	if override != nil {
		override(out, r)
		return
	}
	id, secret, _ := r.BasicAuth()
	if id != ClientID || secret != ClientSecret {
		JSON(out, http.StatusUnauthorized, `{"error":"invalid_client"}`)
		return
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.PostFormValue("grant_type") != "refresh_token" {
		w.breach("token request: %s %s %q", r.Method, r.Header.Get("Content-Type"), r.PostFormValue("grant_type"))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.logins {
		if l.refresh != r.PostFormValue("refresh_token") {
			continue
		}
		l.rotate()
		access, err := w.sign(l)
		if err != nil {
			w.breaches = append(w.breaches, err.Error())
		}
		l.access[access] = true
		answer, err := json.Marshal(map[string]any{
			"access_token": access, "refresh_token": l.refresh, "token_type": "Bearer", "expires_in": int(TokenLifetime.Seconds()) - 1,
		})
		if err != nil {
			w.breaches = append(w.breaches, err.Error())
		}
		JSON(out, http.StatusOK, string(answer))
		return
	}
	JSON(out, http.StatusBadRequest, `{"error":"invalid_grant","error_description":"Invalid refresh token. Character grant missing/expired."}`)
}

// sign makes the access token; characters with even ids get an EC signature.
func (w *World) sign(l *login) (string, error) {
	now := w.Clock.Now()
	claims := jwt.MapClaims{
		"iss": "https://login.eveonline.com", "aud": []string{ClientID, "EVE Online"}, "azp": ClientID,
		"sub": "CHARACTER:EVE:" + strconv.FormatInt(l.character, 10), "name": "Pilot", "owner": l.owner,
		"scp": l.scopes, "iat": now.Unix(), "exp": now.Add(TokenLifetime).Unix(), "jti": strconv.Itoa(l.generation),
	}
	if len(l.scopes) == 1 {
		claims["scp"] = l.scopes[0]
	}
	maps.Copy(claims, w.claims)
	var method jwt.SigningMethod = jwt.SigningMethodRS256
	var key crypto.PrivateKey = w.rsa
	kid := "JWT-Signature-Key"
	if l.character%2 == 0 {
		method, key, kid = jwt.SigningMethodES256, w.ec, "other-key"
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return signed, nil
}

// Resource is a route of ESI that behaves: it has ETags, a lifetime and pages,
// and records it as a breach if it is asked before it expired. Its fields may be
// changed between requests.
type Resource struct {
	World *World
	// Pages are the bodies.
	Pages []string
	// Modified is when the content was made.
	Modified time.Time
	// MaxAge is the lifetime.
	MaxAge time.Duration

	mu      sync.Mutex
	expires map[string]time.Time
}

// Serve answers a path with content of one page.
func (w *World) Serve(path string, maxAge time.Duration, pages ...string) *Resource {
	r := Page(w, maxAge, pages...)
	w.Handle(path, r)
	return r
}

// Page is content that a handler of the test's own chooses to answer with.
func Page(w *World, maxAge time.Duration, pages ...string) *Resource {
	return &Resource{World: w, Pages: pages, Modified: w.Clock.Now(), MaxAge: maxAge, expires: map[string]time.Time{}}
}

// Set changes the content.
func (r *Resource) Set(pages ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Pages, r.Modified = pages, r.World.Clock.Now()
}

// ServeHTTP implements [http.Handler].
func (r *Resource) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number := 1
	if text := request.URL.Query().Get("page"); text != "" {
		number, _ = strconv.Atoi(text)
	}
	if number < 1 || number > len(r.Pages) {
		JSON(out, http.StatusNotFound, `{"error":"Requested page does not exist!"}`)
		return
	}
	now, key := r.World.Clock.Now(), request.URL.RequestURI()
	if now.Before(r.expires[key]) {
		r.World.breach("%s asked before it expired", key)
	}
	r.expires[key] = now.Add(r.MaxAge)
	body := r.Pages[number-1]
	etag := fmt.Sprintf("%q", base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatUint(hash(body), 36))))
	h := out.Header()
	h.Set("ETag", etag)
	h.Set("Last-Modified", r.Modified.Format(http.TimeFormat))
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(r.MaxAge.Seconds())))
	if len(r.Pages) > 1 {
		h.Set("X-Pages", strconv.Itoa(len(r.Pages)))
	}
	if slices.Contains(request.Header.Values("If-None-Match"), etag) {
		out.WriteHeader(http.StatusNotModified)
		return
	}
	JSON(out, http.StatusOK, body)
}

func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(s) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
