package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
)

// Past tells of consortia, characters and other streams as they were; [history.Reader] does, from the log.
type Past interface {
	// At is a consortium as it was at a moment. It fails with
	// [event.CodeNotFound] if nothing was known of it then.
	At(ctx context.Context, consortium string, at time.Time) (*history.Moment, error)
	// Read is what a stream of a topic says, until a moment; the zero time means all.
	Read(ctx context.Context, topic string, stream event.Stream, until time.Time) (history.Story, error)
	// Access is how access changed over a span. It fails with [event.CodeNotFound] if
	// nothing was known of the consortium or the workspace in that time.
	Access(ctx context.Context, q history.AccessQuestion) (history.AccessStory, error)
	PastOfCharacters
}

// AsOfInput is what every GET about a consortium takes.
type AsOfInput struct {
	AsOf time.Time `query:"as_of" doc:"Answer as it was at this moment, from the log; leave it out for now. An observation counts from when AnVIL was asked."`
}

// listAsOf tells the cursors of one list at different moments apart.
func listAsOf(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return "@" + at.UTC().Format(time.RFC3339Nano)
}

// consortia answers about a consortium as of a moment: about now from the read
// model, about the past from the log. It fails with [event.CodeInvalid] for a
// moment that is yet to come.
func (s *Server) consortia(ctx context.Context, consortium string, at time.Time) (ConsortiumReader, error) {
	if at.IsZero() {
		return s.config.Consortia, nil
	}
	if err := s.hasCome(at); err != nil {
		return nil, err
	}
	return s.config.Past.At(ctx, consortium, at)
}

// hasCome fails with [event.CodeInvalid] for a moment that is yet to come.
func (s *Server) hasCome(at time.Time) error {
	if now := s.config.Now(); at.After(now) {
		return event.Errorf(event.CodeInvalid, "as_of: %s is yet to come, it is %s: choose an earlier time, or leave it out for now",
			at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// ofMoments says of figures that cannot be asked for as of a moment why they cannot: they
// are of records with dates of their own, and when Muster came to know a record is not kept
// beside it.
func (s *Server) ofMoments(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	takes := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == "as_of" })
	if takes || ctx.Query("as_of") == "" || !strings.HasPrefix(op.Path, "/v1/analytics/") {
		next(ctx)
		return
	}
	_, w := humachi.Unwrap(ctx)
	answerError(w, s.explain(ctx.Context(), event.Errorf(event.CodeInvalid,
		"as_of: these figures are of records by their own dates, and when a record came to be known is not kept with them: end the range with to, or ask for the character's list as of the moment")))
}
