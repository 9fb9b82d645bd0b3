package esi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// Rules of the sign-on, as they appear in violations.
const (
	// RuleTokenRequest: the token endpoint takes a form by POST, with the
	// client's id and secret by Basic authentication.
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
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
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
	mux.HandleFunc("/v2/oauth/token", s.serveToken)
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
	if f, drawn := s.faults.Draw(routeToken, fault.Torn, fault.ErrorLimited); drawn && s.failToken(w, r, f) {
		return
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		s.report(RuleTokenRequest, r, now, "must be POST of application/x-www-form-urlencoded, got %s of %q", r.Method, r.Header.Get("Content-Type"))
		s.refuseToken(w, http.StatusBadRequest, "invalid_request", "Form-encoded POST expected.")
		return
	}
	client, secret, _ := r.BasicAuth()
	if client != s.config.ClientID || secret != s.config.ClientSecret {
		s.report(RuleTokenRequest, r, now, "client %q: unknown, or its secret is wrong", client)
		s.refuseToken(w, http.StatusUnauthorized, "invalid_client", "The client is not authorized.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "refresh_token" {
		s.report(RuleTokenRequest, r, now, "grant_type %q: only refresh_token is simulated", r.PostForm.Get("grant_type"))
		s.refuseToken(w, http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant type.")
		return
	}
	s.refresh(w, r, now)
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
		s.book.Count(routeToken, http.StatusOK)
		fault.WriteHTML(w, http.StatusOK)
	case fault.RateLimited, fault.RateLimitedBare:
		s.refuseToken(w, http.StatusTooManyRequests, "temporarily_unavailable", "Slow down.")
	default:
		s.refuseToken(w, f.StatusOr(), "server_error", "The sign-on service is not available.")
	}
	return true
}

func (s *Simulator) refresh(w http.ResponseWriter, r *http.Request, now time.Time) {
	id, transfers, generation, ok := s.tokens.readRefreshToken(r.PostForm.Get("refresh_token"))
	c := s.character(id)
	if !ok || c == nil {
		s.report(RuleTokenRequest, r, now, "a refresh token that was never issued")
		s.refuseToken(w, http.StatusBadRequest, "invalid_grant", "Invalid refresh token. Unable to read it.")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.revoked:
		s.refuseToken(w, http.StatusBadRequest, "invalid_grant", "Invalid refresh token. Character grant missing/expired.")
		return
	case generation < c.refresh:
		s.report(RuleSupersededToken, r, now, "generation %d of character %d, whose generation %d was already used", generation, id, c.refresh)
		s.refuseToken(w, http.StatusBadRequest, "invalid_grant", "Invalid refresh token. Token missing/expired.")
		return
	}
	if generation > c.refresh {
		if err := s.state.Append(record{Character: id, Refresh: generation}); err != nil {
			s.fail(w, err)
			return
		}
		c.refresh = generation
	}
	access, err := s.tokens.access(id, c.transfers, now)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.answerPlain(w, routeToken, http.StatusOK, map[string]any{
		"access_token": access, "token_type": "Bearer",
		// One less than it lives, as the real service says.
		"expires_in":    int(s.config.TokenLifetime/time.Second) - 1,
		"refresh_token": s.tokens.refreshToken(id, transfers, generation+1),
	})
}

// fail answers for a defect of the simulator itself, loudly.
func (s *Simulator) fail(w http.ResponseWriter, err error) {
	s.config.Logger.Error("the simulator failed", "error", err)
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
