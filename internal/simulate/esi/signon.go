package esi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// Rules of the sign-on, as they appear in violations.
const (
	// RuleTokenRequest: the token endpoint takes a form by POST, with the
	// client's id and secret by Basic authentication, or the id alone in the form
	// for an application without a secret.
	RuleTokenRequest = "token-request"
	// RuleSupersededToken: once the new refresh token was used, the old one is
	// dead.
	RuleSupersededToken = "superseded-refresh-token"
)

// routeToken is the name of the token endpoint among the routes.
const routeToken = "sso-token"

// signOn is the handler of the simulated single sign-on.
func (s *Simulator) signOn() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		base := "http://" + r.Host
		s.answerPlain(w, "sso-metadata", http.StatusOK, map[string]any{
			"issuer": s.config.Issuer, "authorization_endpoint": base + "/v2/oauth/authorize",
			"token_endpoint": base + "/v2/oauth/token", "jwks_uri": base + "/oauth/jwks",
			"revocation_endpoint":                   base + "/v2/oauth/revoke",
			"response_types_supported":              []string{"code"},
			"subject_types_supported":               []string{"public"},
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "none"},
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
			"code_challenge_methods_supported":      []string{"S256"},
		})
	})
	mux.HandleFunc("GET /oauth/jwks", func(w http.ResponseWriter, _ *http.Request) {
		keys, err := s.tokens.jwks()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		s.answerPlain(w, "sso-jwks", http.StatusOK, keys)
	})
	mux.HandleFunc("GET /v2/oauth/authorize", s.serveAuthorize)
	mux.HandleFunc("/v2/oauth/token", s.serveToken)
	mux.HandleFunc("/v2/oauth/revoke", s.serveRevoke)
	return mux
}

func (s *Simulator) answerPlain(w http.ResponseWriter, route string, status int, body any) {
	s.book.Count(route, status)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		return // the client is gone, and nobody is left to tell
	}
}

func (s *Simulator) refuseToken(w http.ResponseWriter, status int, code, text string) {
	s.answerPlain(w, routeToken, status, map[string]string{"error": code, "error_description": text})
}

// serveToken exchanges a refresh token for an access token and the next refresh
// token.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	now := s.clock.Wall()
	if f, drawn := s.faults.Draw(routeToken, fault.Torn, fault.ErrorLimited, fault.Forbidden, fault.Throttled, fault.BareNotModified); drawn && s.failToken(w, r, f) {
		return
	}
	client, ok := s.readTokenForm(w, r, now)
	if !ok {
		return
	}
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "refresh_token":
		s.refresh(w, r, client, now)
	case "authorization_code":
		s.exchangeCode(w, r, client, now)
	default:
		s.report(RuleTokenRequest, r, now, "grant_type %q: use authorization_code or refresh_token", grant)
		s.refuseToken(w, http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant type.")
	}
}

// readTokenForm reads the form of a request to the sign-on and tells which
// application sends it; it answers itself if that is wrong. An application with
// a secret proves itself by Basic authentication, one without names itself in
// the form.
func (s *Simulator) readTokenForm(w http.ResponseWriter, r *http.Request, now time.Time) (client string, ok bool) {
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Method != http.MethodPost || mediaType != "application/x-www-form-urlencoded" {
		s.report(RuleTokenRequest, r, now, "must be POST of application/x-www-form-urlencoded, got %s of %q", r.Method, mediaType)
		s.refuseToken(w, http.StatusBadRequest, "invalid_request", "Form-encoded POST expected.")
		return "", false
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if err := r.ParseForm(); err != nil {
		s.report(RuleTokenRequest, r, now, "the body is no form")
		s.refuseToken(w, http.StatusBadRequest, "invalid_request", "Form-encoded POST expected.")
		return "", false
	}
	client, secret, basic := r.BasicAuth()
	if named := r.PostForm.Get("client_id"); !basic && s.withoutSecret(named) {
		return named, true
	}
	if client != s.config.ClientID || secret != s.config.ClientSecret {
		s.report(RuleTokenRequest, r, now, "client %q: unknown, or its secret is wrong", client)
		s.refuseToken(w, http.StatusUnauthorized, "invalid_client", "The client is not authorized.")
		return "", false
	}
	return client, true
}

// failToken carries out a fault; false means that the request goes on.
func (s *Simulator) failToken(w http.ResponseWriter, r *http.Request, f fault.Fault) bool {
	switch f.Kind {
	case fault.Slow:
		f.Wait(r)
		return false
	case fault.Hang, fault.Reset, fault.CutOff:
		s.book.Count(routeToken, 0)
		f.Break(r)
	case fault.HTML, fault.Truncated, fault.WrongTypes:
		status := orDefault(f.Status, http.StatusOK)
		s.book.Count(routeToken, status)
		fault.WriteHTML(w, status)
	case fault.RateLimited, fault.RateLimitedBare:
		s.refuseToken(w, http.StatusTooManyRequests, "temporarily_unavailable", "Slow down.")
	default:
		s.refuseToken(w, f.StatusOr(), "server_error", "The sign-on service is not available.")
	}
	return true
}

// refresh exchanges a refresh token for an access token and the next refresh
// token.
func (s *Simulator) refresh(w http.ResponseWriter, r *http.Request, client string, now time.Time) {
	t, ok := s.tokens.readRefreshToken(r.PostForm.Get("refresh_token"))
	c := s.character(t.character)
	if !ok || c == nil {
		s.report(RuleTokenRequest, r, now, "a refresh token that was never issued")
		s.refuseToken(w, http.StatusBadRequest, "invalid_grant", "Invalid refresh token. Unable to read it.")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	logins := s.loginsOf(t.character, c)
	if t.login >= len(logins) || logins[t.login].ended || c.revoked {
		// Both words were seen.
		code := "invalid_grant"
		if t.character%3 == 0 {
			code = "invalid_token"
		}
		s.refuseToken(w, http.StatusBadRequest, code, "Invalid refresh token. Character grant missing/expired.")
		return
	}
	l := &logins[t.login]
	if t.generation < l.refresh {
		s.report(RuleSupersededToken, r, now, "generation %d of character %d, whose generation %d was already used", t.generation, t.character, l.refresh)
		s.refuseToken(w, http.StatusBadRequest, "invalid_grant", "Invalid refresh token. Token missing/expired.")
		return
	}
	if t.generation > l.refresh {
		l.refresh = t.generation
		if err := s.state.Append(c.loginLine(t.character)); err != nil {
			s.fail(w, err)
			return
		}
	}
	s.answerTokens(w, t.character, c, t.login, t.generation+1, client, now)
}

// fail answers for a defect of the simulator itself, loudly.
func (s *Simulator) fail(w http.ResponseWriter, err error) {
	s.config.Logger.Error("the simulator failed", "error", err)
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
