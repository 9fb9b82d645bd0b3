package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// SignIns signs people in by EVE's sign-on and knows who is signed in.
type SignIns interface {
	// BeginSignIn begins to sign somebody in who wants to a path of Muster afterwards,
	// or nowhere. It fails with [event.CodeInvalid] for another address, and with
	// [event.CodeConflict] if nobody can sign in here.
	BeginSignIn(ctx context.Context, returnTo string) (BegunSignIn, error)
	// FinishSignIn signs him in. It fails with [event.CodeNotFound] for a state that is
	// no good, and with [event.CodeForbidden] for somebody who may not.
	FinishSignIn(ctx context.Context, back SignInAnswer) (SignedIn, error)
	// SignedIn is who a session is. It fails with [event.CodeUnauthenticated] for one
	// that is over.
	SignedIn(ctx context.Context, session string) (access.Principal, error)
	// SignOut ends a session, if it is one.
	SignOut(ctx context.Context, session string) error
}

// BegunSignIn is a sign-in that was begun: where the browser has to go, and what it has
// to show again. Both are secrets.
type BegunSignIn struct {
	AuthorizeURL, Browser string
	ExpiresAt             time.Time
}

// SignInAnswer is what a browser brings back from EVE's sign-on, and what it was given
// before. All but Error are secrets.
type SignInAnswer struct{ State, Code, Browser, Error string }

// SignedIn is somebody who has signed in. Session is a secret.
type SignedIn struct {
	Session       string
	EndsAt        time.Time
	UserID        string
	CharacterName string
	ReturnTo      string
}

// Paths of signing in.
const (
	signInPath         = "/auth/sign-in"
	signInCallbackPath = "/auth/callback"
	signOutPath        = "/auth/sign-out"
)

// SignInStatePrefix begins the states of sign-ins; those of registrations have none.
const SignInStatePrefix = "in."

// How often sign-ins are begun from one address, which may be that of a proxy: a second,
// and at once.
const (
	beginRate  = 1
	beginBurst = 60
)

// site is where browsers reach Muster, as far as cookies have to know.
type site struct {
	// secure: by https.
	secure bool
	// possible: nobody else can listen to the cookies.
	possible bool
}

// siteOf reads an origin such as https://muster.example.org. Plain http is for one's own
// machine alone. It fails with [event.CodeInvalid].
func siteOf(origin string) (site, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return site{}, event.Errorf(event.CodeInvalid, "Config.Origin %q: must be like https://muster.example.org", origin)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return site{secure: u.Scheme == "https", possible: u.Scheme == "https" || loopback}, nil
}

// sessionCookie is the name of the cookie that holds a session. With the prefix
// browsers take it from https alone, and from this host alone.
func (s site) sessionCookie() string {
	if s.secure {
		return "__Host-muster"
	}
	return "muster_session"
}

// signInCookie is the name of the cookie that ties a sign-in to its browser.
func (s site) signInCookie() string {
	if s.secure {
		return "__Host-muster-sign-in"
	}
	return "muster_sign_in"
}

// cookie is one that scripts do not see and other sites do not send, except by a link.
func (s site) cookie(name, value string, lifetime time.Duration) *http.Cookie {
	//nolint:gosec // Only on the machine itself is a cookie sent over plain http.
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode, MaxAge: int(lifetime / time.Second)}
	if value == "" {
		c.MaxAge, c.Expires = -1, time.Unix(1, 0)
	}
	return c
}

// cookieOf is the value of a cookie of a request; empty for none.
func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// bearerOf is the token of a request; false if it has no Authorization at all.
func bearerOf(r *http.Request) (token string, given bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", false
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return token, true
}

// principal finds out who calls: the holder of a bearer token, or else who is signed
// in, if the request cannot come from another site.
func (s *Server) principal(r *http.Request) (access.Principal, error) {
	token, given := bearerOf(r)
	if given && token != "" {
		return s.config.Authenticator.Authenticate(r.Context(), token)
	}
	session := cookieOf(r, s.site.sessionCookie())
	if given || session == "" {
		return access.Principal{}, event.Errorf(event.CodeUnauthenticated, "a bearer token is needed: send the header \"Authorization: Bearer <token>\", or sign in at %s", signInPath)
	}
	p, err := s.config.SignIns.SignedIn(r.Context(), session)
	if err != nil {
		return access.Principal{}, err
	}
	return p, s.sameOrigin(r)
}

// sameOrigin refuses what a browser sends on behalf of another site. A program has no
// browser that another site could make use of.
func (s *Server) sameOrigin(r *http.Request) error {
	if err := s.crossOrigin.Check(r); err != nil {
		return event.Errorf(event.CodeForbidden, "this request comes from another site, so it does nothing: use Muster's own pages, or send a bearer token")
	}
	return nil
}

// prepareSignIn sets up what guards signing in and how fast people ask.
func (s *Server) prepareSignIn() error {
	var err error
	if s.site, err = siteOf(s.config.Origin); err != nil {
		return err
	}
	// Behind a proxy the host of a request may be another than the browser's.
	s.crossOrigin = http.NewCrossOriginProtection()
	if err = s.crossOrigin.AddTrustedOrigin(s.config.Origin); err != nil {
		return event.Errorf(event.CodeInvalid, "Config.Origin %q: %w", s.config.Origin, err)
	}
	s.begun = newLimiters(s.config.Now, beginRate, beginBurst)
	if s.config.Rate > 0 && s.config.Burst > 0 {
		s.pace = newLimiters(s.config.Now, rate.Limit(s.config.Rate), s.config.Burst)
	}
	return nil
}

func (s *Server) registerSignIn() {
	s.router.Get(signInPath, s.beginSignIn)
	s.router.Get(signInCallbackPath, s.finishSignIn)
	s.router.Post(signOutPath, s.signOut)
}

// beginSignIn sends a browser to EVE's sign-on.
func (s *Server) beginSignIn(w http.ResponseWriter, r *http.Request) {
	const failed = "You cannot sign in"
	if !s.site.possible {
		showPage(w, http.StatusConflict, page{Title: failed, Text: "Muster is reached by http from other machines, where anybody on the way can read along. Serve it by https, and set MUSTER_SIGN_IN_CALLBACK_URL accordingly."})
		return
	}
	// Each leaves something behind for minutes.
	if s.begun.take(hostOf(r.RemoteAddr)) > 0 {
		tooMany(w)
		return
	}
	begun, err := s.config.SignIns.BeginSignIn(r.Context(), r.URL.Query().Get("return"))
	if err != nil {
		s.showRefusal(w, r, failed, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.SetCookie(w, s.site.cookie(s.site.signInCookie(), begun.Browser, begun.ExpiresAt.Sub(s.config.Now())))
	http.Redirect(w, r, begun.AuthorizeURL, http.StatusFound)
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "60")
	showPage(w, http.StatusTooManyRequests, page{Title: "Too many attempts", Text: "Wait a minute, and sign in again."})
}

// showRefusal tells a browser why somebody is not signed in.
func (s *Server) showRefusal(w http.ResponseWriter, r *http.Request, title string, err error) {
	switch code := event.CodeOf(err); code {
	case event.CodeNotFound:
		showPage(w, http.StatusBadRequest, page{Title: title, Text: err.Error()})
	case event.CodeInvalid, event.CodeConflict, event.CodeForbidden:
		showPage(w, statusOf(code), page{Title: title, Text: err.Error()})
	default:
		p := s.explain(r.Context(), err)
		s.config.Logger.DebugContext(r.Context(), "a sign-in was not finished", "error", p)
		showPage(w, http.StatusServiceUnavailable, page{Title: title, Text: "Muster cannot sign you in now. Try again in a few minutes; the log says more about request " + requestID(r.Context()) + "."})
	}
}

// finishSignIn takes a browser back from EVE's sign-on.
func (s *Server) finishSignIn(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	signed, err := s.config.SignIns.FinishSignIn(r.Context(), SignInAnswer{State: q.Get("state"), Code: q.Get("code"), Error: q.Get("error"), Browser: cookieOf(r, s.site.signInCookie())})
	http.SetCookie(w, s.site.cookie(s.site.signInCookie(), "", 0))
	if err != nil {
		code := event.CodeOf(err)
		if (code == event.CodeNotFound || code == event.CodeForbidden) && !s.failures.allow(r.RemoteAddr) {
			tooMany(w)
			return
		}
		s.showRefusal(w, r, "You are not signed in", err)
		return
	}
	// One browser, one session: the former is nobody's any more.
	if former := cookieOf(r, s.site.sessionCookie()); former != "" {
		if err := s.config.SignIns.SignOut(r.Context(), former); err != nil {
			s.config.Logger.WarnContext(r.Context(), "a former session was not ended", "error", err)
		}
	}
	http.SetCookie(w, s.site.cookie(s.site.sessionCookie(), signed.Session, signed.EndsAt.Sub(s.config.Now())))
	if signed.ReturnTo != "" {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, signed.ReturnTo, http.StatusSeeOther)
		return
	}
	showPage(w, http.StatusOK, page{Title: "You are signed in", Text: "You are the user " + signed.UserID + ", as " + signed.CharacterName + "."})
}

// signOut ends the session of a browser.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.sameOrigin(r); err != nil {
		answerError(w, s.explain(r.Context(), err))
		return
	}
	if session := cookieOf(r, s.site.sessionCookie()); session != "" {
		if err := s.config.SignIns.SignOut(r.Context(), session); err != nil {
			answerError(w, s.explain(r.Context(), err))
			return
		}
	}
	http.SetCookie(w, s.site.cookie(s.site.sessionCookie(), "", 0))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// tokenKey is whom failures with a token are counted for: the token, by its hash. It is
// empty without one.
func tokenKey(r *http.Request) string {
	token, _ := bearerOf(r)
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return "token " + hex.EncodeToString(sum[:])
}
