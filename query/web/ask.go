package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"
)

// isAPI tells whether a path is the API's, without looking at pages.
func isAPI(path string) bool {
	for _, prefix := range []string{"/v1/", "/auth/", "/sso/", "/openapi", "/docs", "/metrics", "/livez", "/readyz"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.body.Write(p)
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// rawBody is what a request sends as it is, instead of JSON that is made of a value.
type rawBody struct{ media, text string }

// refusal is a problem that the API answered, as RFC 9457 has it.
type refusal struct {
	// FromAPI: its words are the API's, which are English, and not the catalogue's.
	FromAPI bool `json:"-"`

	Status   int    `json:"status"`
	Title    string `json:"title"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	Errors   []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Title, r.Detail) }

// asRefusal is what the API has answered, if that is what an error says.
func asRefusal(err error) (*refusal, bool) {
	var refused *refusal
	ok := errors.As(err, &refused)
	return refused, ok
}

// atForm is what the API has against what somebody asked for or sent, to be shown where he did
// that, with what he typed. It is nil for what is a page of its own: that he has to sign in, that
// he may not do this, or a defect.
func atForm(err error) *refusal {
	refused, ok := asRefusal(err)
	if !ok {
		return nil
	}
	switch refused.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError:
		return nil
	default:
		return refused
	}
}

// worthShowing tells whether the API has refused something for a reason that is worth showing
// where it was asked for: not to somebody who has to sign in.
func worthShowing(err error, into **refusal) bool {
	return errors.As(err, into) && (*into).Status != http.StatusUnauthorized
}

// statusOf is the status of a page with a form: that of what was refused.
func statusOf(problem *refusal) int {
	if problem == nil {
		return http.StatusOK
	}
	return problem.Status
}

// Lines are what the problem says, a sentence each.
func (r *refusal) Lines() []string {
	var lines []string
	if r.Detail != "" {
		lines = append(lines, r.Detail)
	}
	for _, e := range r.Errors {
		line := e.Message
		if e.Location != "" {
			line = e.Location + ": " + line
		}
		lines = append(lines, line)
	}
	return lines
}

// passedOn are the headers of a browser, or of a program, by which the API judges a request.
func passedOn() []string {
	return []string{"Authorization", "Cookie", "Origin", "Sec-Fetch-Site", "X-Forwarded-For", "X-Forwarded-Proto", "Traceparent", "User-Agent"}
}

// ask sends a request to the API as whoever sent r. What the API refuses comes back as a
// [*refusal].
func (s *Site) ask(ctx context.Context, r *http.Request, method, path string, query url.Values, body any) (*answer, error) {
	return s.askFor(ctx, r, method, path, query, body, "application/json")
}

// askFor is [Site.ask] for an answer of another kind than JSON.
func (s *Site) askFor(ctx context.Context, r *http.Request, method, path string, query url.Values, body any, accept string) (*answer, error) {
	var sent io.Reader = http.NoBody
	media := "application/json"
	if f, ok := body.(rawBody); ok {
		sent, media = strings.NewReader(f.text), f.media
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("writing what to ask %s for: %w", path, err)
		}
		sent = bytes.NewReader(b)
	}
	q, err := s.request(ctx, r, method, path, query, sent)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Accept", accept)
	if body != nil {
		q.Header.Set("Content-Type", media)
	}
	a := &answer{header: http.Header{}}
	s.config.API.ServeHTTP(a, q)
	if a.status < http.StatusBadRequest {
		return a, nil
	}
	problem := &refusal{FromAPI: true, Status: a.status, Title: http.StatusText(a.status)}
	if err := json.Unmarshal(a.body.Bytes(), problem); err != nil {
		problem.Detail = ""
	}
	problem.Status = a.status
	return nil, problem
}

// request makes a request to the API as whoever sent r.
func (s *Site) request(ctx context.Context, r *http.Request, method, path string, query url.Values, sent io.Reader) (*http.Request, error) {
	target := path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	// The API routes by itself, whatever page this is for.
	ctx = context.WithValue(ctx, chi.RouteCtxKey, (*chi.Context)(nil))
	q, err := http.NewRequestWithContext(ctx, method, target, sent) //nolint:gosec // it goes to the API of this process alone
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", path, err)
	}
	q.Host, q.RemoteAddr, q.TLS, q.RequestURI = r.Host, r.RemoteAddr, r.TLS, target
	for _, name := range passedOn() {
		if values := r.Header.Values(name); len(values) > 0 {
			q.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return q, nil
}

// chiParam is a part of the path of a page.
func chiParam(r *http.Request, name string) string { return chi.URLParam(r, name) }

// read decodes an answer. Numbers stay what was sent, to the last digit.
func (a *answer) read() (row, error) {
	d := json.NewDecoder(bytes.NewReader(a.body.Bytes()))
	d.UseNumber()
	value := row{}
	if a.body.Len() == 0 {
		return value, nil
	}
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("reading an answer of the API: %w", err)
	}
	return value, nil
}
