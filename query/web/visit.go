package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/event"
)

// visit is one request for a page: who looks, in which language, and at what.
type visit struct {
	*tongue
	site *Site
	w    http.ResponseWriter
	r    *http.Request
	// Me is who looks; nobody on pages for those who have not signed in.
	Me me
}

// errAnswered says that a page has been answered already, such as with a file.
var errAnswered = errors.New("answered already")

func (s *Site) visit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{tongue: s.languages.of(r), site: s, w: w, r: r}
}

// ctx is the request's context.
func (v *visit) ctx() context.Context { return v.r.Context() }

// param is a parameter of the page's own address; empty for none.
func (v *visit) param(name string) string { return strings.TrimSpace(v.r.URL.Query().Get(name)) }

// path is the part of the page's path that the route calls name.
func (v *visit) path(name string) string {
	// Parts may hold slashes and percent signs, which the router leaves as they were sent.
	part := chiParam(v.r, name)
	if text, err := url.PathUnescape(part); err == nil {
		return text
	}
	return part
}

// get asks the API for something to read.
func (v *visit) get(path string, query url.Values) (row, error) {
	a, err := v.site.ask(v.ctx(), v.r, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	return a.read()
}

// send has the API decide something.
func (v *visit) send(method, path string, query url.Values, body any) (row, error) {
	a, err := v.site.ask(v.ctx(), v.r, method, path, query, body)
	if err != nil {
		return nil, err
	}
	return a.read()
}

// want is something that a page asks the API for beside others.
type want struct {
	path  string
	query url.Values
	into  *row
	// optional: the page does without if the API refuses it to who looks, or has none.
	optional bool
}

// gather asks for several things at once.
func (v *visit) gather(wants ...want) error {
	var group errgroup.Group
	for _, w := range wants {
		group.Go(func() error {
			got, err := v.get(w.path, w.query)
			var refused *refusal
			if w.optional && errors.As(err, &refused) && (refused.Status == http.StatusForbidden || refused.Status == http.StatusNotFound) {
				return nil
			}
			*w.into = got
			return err
		})
	}
	return group.Wait()
}

// whoami finds out who looks. It asks the API at most every few seconds.
func (v *visit) whoami() error {
	if m, ok := v.site.known.get(v.r); ok {
		v.Me = m
		return nil
	}
	answered, err := v.get("/v1/me", nil)
	if err != nil {
		return err
	}
	v.Me = me{answered}
	v.site.known.put(v.r, v.Me)
	return nil
}

// screen is what a template shows.
type screen struct {
	*visit
	// Title is the page's, translated.
	Title string
	// Here is the path that the navigation marks.
	Here    string
	Groups  []navGroup
	Theme   string
	Version string
	Tongues []*tongue
	// Done tells what has just been decided, if something was.
	Done string
	Data any
}

// Address is the page's own, to come back to.
func (s screen) Address() string { return s.r.URL.RequestURI() }

// show writes a page. Who has not signed in is asked to.
func (v *visit) show(name, title string, data any) error {
	if err := v.whoami(); err != nil {
		return err
	}
	return v.showTo(http.StatusOK, name, title, data)
}

// showTo writes a page with a status, to whoever it is.
func (v *visit) showTo(status int, name, title string, data any) error {
	screen := screen{visit: v, Title: title, Here: v.r.URL.Path, Version: v.site.config.Version, Tongues: v.site.languages.all, Data: data, Theme: v.theme()}
	if v.Me.row != nil {
		screen.Groups = v.navigation()
	}
	if done := v.param("done"); done != "" {
		screen.Done = v.T("done." + done)
	}
	var body bytes.Buffer
	if err := v.templates[name].ExecuteTemplate(&body, "layout", screen); err != nil {
		return fmt.Errorf("writing the page %s: %w", name, err)
	}
	write(v.w, status, &body)
	return nil
}

// theme is the colours that somebody has chosen; empty for those of his system.
func (v *visit) theme() string {
	c, err := v.r.Cookie(themeCookie)
	if err != nil || c.Value != "dark" && c.Value != "light" {
		return ""
	}
	return c.Value
}

// fail shows why there is no page. Who has not signed in is sent to where he can.
func (v *visit) fail(err error) {
	if errors.Is(err, errAnswered) {
		return
	}
	var refused *refusal
	if !errors.As(err, &refused) {
		refused = &refusal{Status: http.StatusInternalServerError}
		if code := event.CodeOf(err); code == event.CodeInvalid {
			refused = &refusal{Status: http.StatusUnprocessableEntity, Detail: err.Error()}
		} else {
			v.site.config.Logger.ErrorContext(v.ctx(), "a page failed", "path", v.r.URL.Path, "error", err)
		}
	}
	if refused.Status == http.StatusUnauthorized {
		v.site.known.forget(v.r)
		to := "/welcome"
		if v.r.Method == http.MethodGet {
			to += "?return=" + url.QueryEscape(v.r.URL.RequestURI())
		}
		v.goTo(to)
		return
	}
	// The page of a problem has the navigation, if it is known whose.
	if v.Me.row == nil {
		_ = v.whoami()
	}
	title := v.T("problem.title-other")
	for status, id := range map[int]string{
		http.StatusForbidden: "problem.title-403", http.StatusNotFound: "problem.title-404", http.StatusConflict: "problem.title-409",
		http.StatusUnprocessableEntity: "problem.title-422", http.StatusBadRequest: "problem.title-422", http.StatusTooManyRequests: "problem.title-429",
		http.StatusServiceUnavailable: "problem.title-503",
	} {
		if refused.Status == status {
			title = v.T(id)
		}
	}
	if err := v.showTo(refused.Status, "problem", title, refused); err != nil {
		v.site.config.Logger.ErrorContext(v.ctx(), "the page of a problem failed", "error", err)
		http.Error(v.w, title, refused.Status)
	}
}

// goTo sends the browser elsewhere, the whole page also when only a part of it was asked for.
func (v *visit) goTo(address string) {
	if v.r.Header.Get("Hx-Request") != "" {
		v.w.Header().Set("Hx-Redirect", address)
		v.w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
}

// back is where a form says that the browser should go, with what was done; only to Muster's
// own pages.
func (v *visit) back(otherwise, done string) string {
	to := v.r.PostFormValue("back")
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\") {
		to = otherwise
	}
	u, err := url.Parse(to)
	if err != nil {
		u = &url.URL{Path: otherwise}
	}
	q := u.Query()
	q.Del("done")
	if done != "" {
		q.Set("done", done)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
