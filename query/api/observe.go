package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/event"
)

// request is what is noted of a request while it is served. It is used by the
// goroutine that serves it.
type request struct {
	id        string
	principal string
	// timeout is how long it may take.
	timeout time.Duration
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// requestID names the request in the log and in problems.
func requestID(ctx context.Context) string {
	if r := requestOf(ctx); r != nil {
		return r.id
	}
	return ""
}

type metrics struct {
	duration *prometheus.HistogramVec
	refused  prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "muster", Subsystem: "api", Name: "request_seconds",
			Help:    "Time to answer a request, by route, method and status.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"route", "method", "status"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "muster", Subsystem: "api", Name: "refused_tokens_total",
			Help: "Requests without a valid token.",
		}),
	}
	for _, c := range []prometheus.Collector{m.duration, m.refused} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of the API: %w", err)
		}
	}
	return m, nil
}

// observe logs and measures every request. It notes the route rather than the
// path, and no query, because both may hold addresses of people.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := s.config.Now()
		seen := &request{id: uuid.NewString()}
		answer := &answer{WrapResponseWriter: middleware.NewWrapResponseWriter(w, r.ProtoMajor), guarded: guarded(r.URL.Path)}
		header := answer.Header()
		header.Set("X-Request-Id", seen.id)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if answer.guarded {
			header.Set("Cache-Control", "private, no-cache")
			header.Add("Vary", "Authorization, Cookie, Accept")
		}
		ctx, span := s.startSpan(context.WithValue(r.Context(), requestKey{}, seen), r, answer.guarded)
		r = r.WithContext(ctx)
		// Also of an answer that is broken off.
		defer func() {
			endSpan(span, r, seen, answer)
			s.noteRequest(r, seen, answer, s.config.Now().Sub(started))
		}()
		next.ServeHTTP(answer, r)
	})
}

func (s *Server) noteRequest(r *http.Request, seen *request, answer *answer, took time.Duration) {
	route, status := routeOf(r), answer.sent()
	s.metrics.duration.WithLabelValues(route, methodLabel(r.Method), strconv.Itoa(status)).Observe(took.Seconds())
	level := slog.LevelInfo
	if !answer.guarded && status < http.StatusBadRequest {
		// Probes and scrapes come every few seconds.
		level = slog.LevelDebug
	}
	s.config.Logger.LogAttrs(r.Context(), level, "request",
		slog.String("request_id", seen.id), slog.String("method", methodLabel(r.Method)), slog.String("route", route), slog.Int("status", status),
		slog.Int("bytes", answer.BytesWritten()), slog.Duration("took", took), slog.String("principal", seen.principal))
}

// routeOf is the route that a request was found to be for, with its parameters in braces.
func routeOf(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil && c.RoutePattern() != "" {
		return c.RoutePattern()
	}
	return "none"
}

// methodLabel keeps clients from inventing values of a label.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

// answer is a response writer that knows what was sent. Below /v1 errors are
// problems in JSON, whatever the client would rather have.
type answer struct {
	middleware.WrapResponseWriter

	guarded bool
}

func (a *answer) WriteHeader(status int) {
	if a.guarded && status >= http.StatusBadRequest && a.Status() == 0 {
		a.Header().Set("Content-Type", mediaProblem)
	}
	a.WrapResponseWriter.WriteHeader(status)
}

// sent is the status that the client got.
func (a *answer) sent() int {
	if status := a.Status(); status != 0 {
		return status
	}
	return http.StatusOK
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.WrapResponseWriter }

// recover turns a panic into a problem, so that one request's defect is no
// other's.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			defect := recover()
			if defect == nil {
				return
			}
			if defect == http.ErrAbortHandler { //nolint:errorlint,err113 // the server compares it like this
				panic(defect)
			}
			id := requestID(r.Context())
			s.config.Logger.LogAttrs(r.Context(), slog.LevelError, "request panicked", slog.String("request_id", id),
				slog.Any("defect", defect), slog.String("stack", string(debug.Stack())))
			if sent, ok := w.(*answer); ok && sent.Status() == 0 {
				writeProblem(w, problem(http.StatusInternalServerError, event.CodeInternal, "a defect of Muster: the log says more about request "+id))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// allowed is how long the request may take.
func (s *Server) allowed(ctx context.Context) time.Duration {
	if r := requestOf(ctx); r != nil && r.timeout > 0 {
		return r.timeout
	}
	return s.config.Timeout
}

// limit bounds the work for one request.
func (s *Server) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timeout := s.timeoutOf(r.URL.Path)
		if seen := requestOf(r.Context()); seen != nil {
			seen.timeout = timeout
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
