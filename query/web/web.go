// Package web is Muster's face to people: pages that are made on the server from
// what the API answers, and from nothing else.
//
// A page asks the API within the process, as whoever is looking at it. So a page
// cannot show what the API would not give, and each look at data of others is noted
// as it is for programs.
package web

import (
	"bytes"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/muster-sync/muster/domain/event"
)

// Config is what the pages work with. Fields without a default must be set.
type Config struct {
	// API answers everything that pages ask for, and what is no page.
	API http.Handler
	// Version is Muster's, at the foot of each page.
	Version string
	// Images lets pages load portraits and pictures of types from the game's image
	// server; else they show a neutral drawing, and browsers ask no other host.
	Images bool
	Logger *slog.Logger
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Site serves the pages, and hands everything else on to the API. It is safe for
// concurrent use.
type Site struct {
	config    Config
	router    *chi.Mux
	languages *languages
	assets    *assets
	known     *known
	policy    string
	listening liveCount
}

// New makes the pages. It fails with [event.CodeInvalid] if something is missing, and
// if a template or a catalogue of texts cannot be read.
func New(config Config) (*Site, error) {
	if config.API == nil {
		return nil, event.Errorf(event.CodeInvalid, "the pages need Config.API")
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	files, err := newAssets()
	if err != nil {
		return nil, err
	}
	spoken, err := newLanguages(files)
	if err != nil {
		return nil, err
	}
	s := &Site{config: config, router: chi.NewRouter(), languages: spoken, assets: files, known: newKnown(config.Now), policy: policyOf(config.Images)}
	s.router.Use(s.guard)
	s.router.Get(assetPath+"*", files.serve)
	s.router.Get("/welcome", s.page(s.welcome))
	s.router.Post("/preferences", s.preferences)
	s.router.Post("/sign-out", s.signOut)
	s.registerCharacters()
	s.registerOrganisation()
	s.registerAnvil()
	s.registerOperations()
	// What is no page is the API's.
	s.router.NotFound(config.API.ServeHTTP)
	s.router.MethodNotAllowed(config.API.ServeHTTP)
	return s, nil
}

// Handler answers all requests, those to the API as well.
func (s *Site) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAPI(r.URL.Path) {
			s.config.API.ServeHTTP(w, r)
			return
		}
		s.router.ServeHTTP(w, r)
	})
}

// imageServer is where CCP keeps portraits, logos and icons.
const imageServer = "https://images.evetech.net"

// policyOf is what browsers may load for a page: what Muster itself serves. Nothing is
// inline, neither scripts nor styles.
func policyOf(images bool) string {
	from := "'self' data:"
	if images {
		from += " " + imageServer
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src " + from +
		"; connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}

// guard sets what holds for each page, and lets no defect take the process along.
func (s *Site) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", s.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // panics are compared as net/http does
					panic(p)
				}
				s.config.Logger.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "panic", p)
				http.Error(w, "Muster has a defect here; the log says more.", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// page serves a page to whoever has signed in; others are asked to.
func (s *Site) page(show func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := s.visit(w, r)
		if err := show(v); err != nil {
			v.fail(err)
		}
	}
}

// decision serves a form that decides something: do says where the browser goes then. What
// another site sends is refused by the API, which sees the same headers.
func (s *Site) decision(do func(*visit) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := s.visit(w, r)
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
		if err := r.ParseForm(); err != nil {
			v.fail(event.Errorf(event.CodeInvalid, "the form cannot be read: %w", err))
			return
		}
		next, err := do(v)
		if err != nil {
			v.fail(err)
			return
		}
		if next != "" {
			http.Redirect(w, r, next, http.StatusSeeOther)
		}
	}
}

// maxFormBytes bounds what a form may send: skill plans and declarations are the longest.
const maxFormBytes = 16 << 20

// write sends a finished page.
func write(w http.ResponseWriter, status int, body *bytes.Buffer) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
