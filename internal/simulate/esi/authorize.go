package esi

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"maps"
	"math/bits"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// RuleAuthorize: the browser is sent to the sign-on with all that it needs.
const RuleAuthorize = "authorize-request"

// routeAuthorize is the name of the authorization endpoint among the routes.
const routeAuthorize = "sso-authorize"

// codeLifetime is how long an authorization code is good.
const codeLifetime = 5 * time.Minute

// login is one time that a character's owner has logged in. The first is that
// of the organisation file.
type login struct {
	scopes  uint64 // a bit for each of [Scopes]
	refresh int    // newest generation of refresh token used
	ended   bool
}

// code is an authorization code that was handed out.
type code struct {
	character int64
	client    string
	redirect  string
	challenge string
	scopes    uint64
	expires   time.Time
	used      bool
}

// maskOf is the set of scopes as bits; false if one is not known. The one that
// opens no route is granted and forgotten.
func maskOf(scopes []string) (mask uint64, ok bool) {
	all := Scopes()
	for _, scope := range scopes {
		if scope == "publicData" {
			continue
		}
		i := slices.Index(all, scope)
		if i < 0 {
			return 0, false
		}
		mask |= 1 << i
	}
	return mask, true
}

// scopesIn lists the scopes of a set.
func scopesIn(mask uint64) []string {
	all, out := Scopes(), []string{}
	for ; mask != 0; mask &= mask - 1 {
		out = append(out, all[bits.TrailingZeros64(mask)])
	}
	return out
}

// loginsOf are a character's logins, of which there is always a first. The
// character's lock must be held.
func (s *Simulator) loginsOf(id int64, c *character) []login {
	if len(c.logins) == 0 {
		mask, _ := maskOf(s.tokens.scopesOf(id))
		c.logins = []login{{scopes: mask}}
	}
	return c.logins
}

// serveAuthorize logs a character in at once and sends the browser back with a
// code. Which one says the parameter character_id, or the parameter decline that
// the player does not consent; the real sign-on has neither. Without them a page
// lets a person choose.
func (s *Simulator) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	now, q := s.clock.Wall(), r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	client := q.Get("client_id")
	public := s.withoutSecret(client)
	fault := ""
	mask, known := maskOf(strings.Fields(q.Get("scope")))
	switch {
	case !public && client != s.config.ClientID:
		fault = "unknown client"
	case err != nil || redirect.Scheme == "" || redirect.Host == "":
		fault = "redirect_uri must be a complete address"
	case q.Get("response_type") != "code":
		fault = "response_type must be code"
	case q.Get("state") == "":
		fault = "state is missing"
	case !known:
		fault = "a scope that does not exist"
	case client == s.config.SignInClientID && mask != 0:
		fault = "a scope that the application has not registered"
	case q.Get("code_challenge") == "" && public:
		fault = "code_challenge is missing: the application has no secret"
	case q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256":
		fault = "code_challenge_method must be S256"
	}
	if fault != "" {
		s.report(RuleAuthorize, r, now, "%s", fault)
		s.book.Count(routeAuthorize, http.StatusBadRequest)
		http.Error(w, fault, http.StatusBadRequest)
		return
	}
	if q.Get("decline") != "" {
		s.sendBack(w, r, redirect, url.Values{"error": {"access_denied"}, "state": {q.Get("state")}})
		return
	}
	id, _ := strconv.ParseInt(q.Get("character_id"), 10, 64)
	if s.character(id) == nil {
		s.chooseCharacter(w, r)
		return
	}
	text := s.newCode(&code{
		character: id, client: client, redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
		scopes: mask, expires: now.Add(s.config.shorten(codeLifetime)),
	}, now)
	s.sendBack(w, r, redirect, url.Values{"code": {text}, "state": {q.Get("state")}})
}

// withoutSecret tells whether an application has none.
func (s *Simulator) withoutSecret(client string) bool {
	return client == s.config.PublicClientID || client == s.config.SignInClientID
}

// sendBack sends the browser back to the application.
func (s *Simulator) sendBack(w http.ResponseWriter, r *http.Request, redirect *url.URL, with url.Values) {
	back := redirect.Query()
	maps.Copy(back, with)
	redirect.RawQuery = back.Encode()
	s.book.Count(routeAuthorize, http.StatusFound)
	http.Redirect(w, r, redirect.String(), http.StatusFound) //nolint:gosec // the sign-on of a simulated world sends browsers wherever they ask
}

// newCode remembers a code under a text that nobody has seen yet, and forgets
// those that are long expired.
func (s *Simulator) newCode(c *code, now time.Time) string {
	s.codesMu.Lock()
	defer s.codesMu.Unlock()
	for text, old := range s.codes {
		if now.Sub(old.expires) > time.Hour {
			delete(s.codes, text)
		}
	}
	d := dice.New(s.config.Seed, uint64(c.character), uint64(now.UnixNano()), uint64(len(s.codes)))
	text := strconv.FormatUint(d.Uint64(), 36) + strconv.FormatUint(d.Uint64(), 36)
	s.codes[text] = c
	return text
}

var choosePage = template.Must(template.New("choose").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Simulated sign-on</title></head>
<body><h1>Simulated sign-on</h1><p>Choose a character to log in with.</p>
<ul>{{range .Choices}}<li><a href="{{.Link}}">{{.Name}}</a></li>
{{end}}</ul><p><a href="{{.Decline}}">Decline</a></p></body></html>
`))

// chooseCharacter shows the first characters of the world as links that log
// them in.
func (s *Simulator) chooseCharacter(w http.ResponseWriter, r *http.Request) {
	type choice struct{ Name, Link string }
	var choices []choice
	for i := range min(len(s.characters), 500) {
		id := FirstCharacter + int64(i)
		q := r.URL.Query()
		q.Set("character_id", strconv.FormatInt(id, 10))
		choices = append(choices, choice{s.world.traitsOf(id).name, "?" + q.Encode()})
	}
	s.book.Count(routeAuthorize, http.StatusOK)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// The browser is gone if this fails, and nobody is left to tell.
	q := r.URL.Query()
	q.Set("decline", "1")
	_ = choosePage.Execute(w, struct {
		Choices []choice
		Decline string
	}{choices, "?" + q.Encode()})
}

// exchangeCode turns an authorization code into the first tokens of a login.
func (s *Simulator) exchangeCode(w http.ResponseWriter, r *http.Request, client string, now time.Time) {
	s.codesMu.Lock()
	c := s.codes[r.PostForm.Get("code")]
	refusal := ""
	switch {
	case c == nil:
		refusal = "a code that was never issued"
	case c.used:
		refusal = "a code that was used before"
	case !now.Before(c.expires):
		refusal = "a code that has expired"
	case c.client != client:
		refusal = "a code of another application"
	case r.PostForm.Has("redirect_uri") && r.PostForm.Get("redirect_uri") != c.redirect:
		refusal = "another redirect_uri than that of the code"
	case c.challenge != "" && challengeOf(r.PostForm.Get("code_verifier")) != c.challenge:
		refusal = "code_verifier is not that of code_challenge"
	default:
		c.used = true
	}
	s.codesMu.Unlock()
	if refusal != "" {
		s.report(RuleTokenRequest, r, now, "%s", refusal)
		s.refuseToken(w, http.StatusBadRequest, "invalid_grant", "Authorization code is invalid.")
		return
	}
	s.beginLogin(w, c, now)
}

// challengeOf is the S256 challenge of a PKCE verifier.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// beginLogin adds a login to a character. Earlier ones with other scopes end;
// those with the same go on beside it. What one application is granted is nothing to
// the one that signs people in.
func (s *Simulator) beginLogin(w http.ResponseWriter, granted *code, now time.Time) {
	id := granted.character
	c := s.character(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if granted.client == s.config.SignInClientID {
		s.answerAccess(w, id, c, granted.client, []string{}, "", now)
		return
	}
	c.logins = s.loginsOf(id, c)
	for i := range c.logins {
		c.logins[i].ended = c.logins[i].ended || c.revoked || c.logins[i].scopes != granted.scopes
	}
	c.logins = append(c.logins, login{scopes: granted.scopes})
	c.revoked = false
	if err := s.state.Append(record{Character: id, Logins: c.loginLine(id).Logins, Transfers: c.transfers}); err != nil {
		s.fail(w, err)
		return
	}
	s.answerTokens(w, id, c, len(c.logins)-1, 0, granted.client, now)
}

// answerTokens answers with an access token and, unless no scope was asked for,
// a refresh token of the given generation.
func (s *Simulator) answerTokens(w http.ResponseWriter, id int64, c *character, login, generation int, client string, now time.Time) {
	scopes, refresh := scopesIn(c.logins[login].scopes), ""
	if len(scopes) > 0 {
		refresh = s.tokens.loginToken(id, c.transfers, login, generation)
	}
	s.answerAccess(w, id, c, client, scopes, refresh, now)
}

// answerAccess answers with an access token and, unless it is empty, the refresh
// token.
func (s *Simulator) answerAccess(w http.ResponseWriter, id int64, c *character, client string, scopes []string, refresh string, now time.Time) {
	access, err := s.tokens.accessOf(id, c.transfers, client, scopes, now)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer := map[string]any{
		"access_token": access, "token_type": "Bearer",
		// One less than it lives, as the real service says.
		"expires_in": int(s.config.TokenLifetime/time.Second) - 1,
	}
	if refresh != "" {
		answer["refresh_token"] = refresh
	}
	s.answerPlain(w, routeToken, http.StatusOK, answer)
}

// serveRevoke ends the login of a refresh token. It answers 200 whatever the
// token is.
func (s *Simulator) serveRevoke(w http.ResponseWriter, r *http.Request) {
	now := s.clock.Wall()
	if _, ok := s.readTokenForm(w, r, now); !ok {
		return
	}
	t, ok := s.tokens.readRefreshToken(r.PostForm.Get("token"))
	if c := s.character(t.character); ok && c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.logins = s.loginsOf(t.character, c); t.login < len(c.logins) {
			c.logins[t.login].ended = true
			if err := s.state.Append(c.loginLine(t.character)); err != nil {
				s.fail(w, err)
				return
			}
		}
	}
	s.book.Count("sso-revoke", http.StatusOK)
	w.WriteHeader(http.StatusOK)
}
