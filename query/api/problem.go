package api

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/event"
)

// problemType begins the type of every problem that Muster itself raises; the
// code of the error follows.
const problemType = "urn:muster:problem:"

// retryAfter is how many seconds a client should wait when something is away.
const retryAfter = 5

// statusOf is the HTTP status of an error code. It is the only place where the
// two meet.
func statusOf(code event.Code) int {
	switch code {
	case event.CodeInvalid:
		return http.StatusUnprocessableEntity
	case event.CodeNotFound:
		return http.StatusNotFound
	case event.CodeConflict:
		return http.StatusConflict
	case event.CodeForbidden:
		return http.StatusForbidden
	case event.CodeUnauthenticated:
		return http.StatusUnauthorized
	case event.CodeUnavailable:
		return http.StatusServiceUnavailable
	case event.CodePoisoned, event.CodeInternal:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}

func problem(status int, code event.Code, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{
		Type:   problemType + strings.ReplaceAll(string(code), "_", "-"),
		Title:  http.StatusText(status),
		Status: status,
		Detail: detail,
	}
}

// explain makes a problem of an error. Of a defect the client learns only where
// to find it in the log.
func (s *Server) explain(ctx context.Context, err error) error {
	if already, ok := errors.AsType[huma.StatusError](err); ok && already.GetStatus() != 0 {
		return err
	}
	code := event.CodeOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		code = event.CodeUnavailable
		err = event.Errorf(code, "it took longer than %s: ask for less, or try again later", s.allowed(ctx))
	case errors.Is(err, context.Canceled):
		// Nobody reads the answer.
		code = event.CodeUnavailable
	}
	status := statusOf(code)
	p := problem(status, code, err.Error())
	if status >= http.StatusInternalServerError {
		id := requestID(ctx)
		p.Instance = "urn:muster:request:" + id
		level := slog.LevelError
		if code == event.CodeUnavailable {
			level = slog.LevelWarn
		} else {
			p.Detail = "a defect of Muster: the log says more about request " + id
		}
		s.config.Logger.LogAttrs(ctx, level, "request failed", slog.String("request_id", id), slog.String("code", string(code)), slog.Any("error", err))
	}
	if code == event.CodeUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(retryAfter)}})
	}
	return p
}

// answerError answers with what [Server.explain] makes of an error, outside of
// huma.
func answerError(w http.ResponseWriter, err error) {
	if with, ok := errors.AsType[huma.HeadersError](err); ok {
		maps.Copy(w.Header(), with.GetHeaders())
	}
	if p, ok := errors.AsType[*huma.ErrorModel](err); ok {
		writeProblem(w, p)
	}
}

// writeProblem answers with a problem outside of any operation.
func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	write(w, p.Status, mediaProblem, p)
}

// internal marks an error as Muster's own fault, whatever it was before: what
// lies in a read model was accepted when it came in.
func internal(err error) error { return event.Errorf(event.CodeInternal, "%w", err) }
