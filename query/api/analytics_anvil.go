package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// AnVILTrends know how sweeps and audits went over time; [clickhouse.AnVILHistoryReader]
// does.
type AnVILTrends interface {
	Audits(ctx context.Context, q clickhouse.AuditQuery) ([]clickhouse.AuditFigures, error)
	AuditRuns(ctx context.Context, q clickhouse.AuditQuery, after *clickhouse.AuditCursor, limit int) ([]clickhouse.Audit, error)
	Sweeps(ctx context.Context, q clickhouse.AuditQuery) ([]clickhouse.SweepFigures, error)
}

// AuditFigures are what the last audits before the end of an interval came to.
type AuditFigures struct {
	Start           time.Time `json:"start" doc:"Inclusive."`
	End             time.Time `json:"end" doc:"Exclusive."`
	Consortium      *string   `json:"consortium,omitempty" doc:"Only if grouped by consortium."`
	Model           *string   `json:"model,omitempty" doc:"Only if grouped by model."`
	Audits          int64     `json:"audits" doc:"Those of the interval: one for each consortium and model."`
	Audited         *int64    `json:"audited" doc:"Declared records that were looked at by the last audits, carried forward; null before the first."`
	Verified        *int64    `json:"verified" doc:"Those of them with which nothing was wrong."`
	VerifiedPercent *string   `json:"verified_percent_floor_2" doc:"Their share, cut after two decimals; null if nothing was looked at." example:"99.60"`
	Errors          *int64    `json:"errors" doc:"Declared records with an error."`
	Beyond          *int64    `json:"beyond" doc:"Declared records with what the peer passes and an auditor would question."`
	Unknown         *int64    `json:"unknown" doc:"Declared records that could not be audited, wholly or in part."`
	NotInApp        *int64    `json:"not_in_app" doc:"What AnVIL has and nobody declared."`
	Ignored         *int64    `json:"ignored" doc:"What of that ignore rows cover."`
	Unlisted        *int64    `json:"unlisted" doc:"Lists of AnVIL that could not be read."`
}

// AuditRun is what one audit of a model came to.
type AuditRun struct {
	AuditedAt       time.Time  `json:"audited_at"`
	Consortium      string     `json:"consortium"`
	Model           string     `json:"model"`
	SweepID         *uuid.UUID `json:"sweep_id" nullable:"true" doc:"The sweep that led to it; null if a change of the declaration did."`
	Audited         int64      `json:"audited"`
	Verified        int64      `json:"verified"`
	VerifiedPercent *string    `json:"verified_percent_floor_2" example:"99.60"`
	Errors          int64      `json:"errors"`
	Beyond          int64      `json:"beyond"`
	Unknown         int64      `json:"unknown"`
	NotInApp        int64      `json:"not_in_app"`
	Ignored         int64      `json:"ignored"`
	Unlisted        int64      `json:"unlisted"`
	EventID         uuid.UUID  `json:"event_id" doc:"The event that says so."`
}

// SweepFigures are the sweeps that began in an interval.
type SweepFigures struct {
	Start              time.Time `json:"start" doc:"Inclusive."`
	End                time.Time `json:"end" doc:"Exclusive."`
	Consortium         *string   `json:"consortium,omitempty" doc:"Only if grouped by consortium."`
	Completed          int64     `json:"completed"`
	Interrupted        int64     `json:"interrupted" doc:"Those that did not come to their end, or have not yet."`
	Covered            int64     `json:"covered" doc:"Records that were read."`
	Calls              int64     `json:"calls" doc:"Requests, retries included."`
	Retries            int64     `json:"retries"`
	Observed           int64     `json:"observed" doc:"Records that differed from the last observation."`
	Unseen             int64     `json:"unseen" doc:"Records that could not be read."`
	MedianMilliseconds *int64    `json:"median_milliseconds" doc:"How long those took that were completed; null if none was."`
	P90Milliseconds    *int64    `json:"p90_milliseconds"`
	MaxMilliseconds    *int64    `json:"max_milliseconds"`
}

type auditTrendInput struct {
	PastRangeInput

	GroupBy    []string `query:"group_by" enum:"consortium,model" maxItems:"2" doc:"None, one or both, separated by commas."`
	Consortium []string `query:"consortium" maxItems:"100" doc:"One or several, separated by commas."`
	Model      []string `query:"model" maxItems:"100" doc:"One or several, separated by commas."`
}

type auditRunsInput struct {
	PageInput

	From       time.Time `query:"from" doc:"Inclusive; 30 days before to if left out."`
	To         time.Time `query:"to" doc:"Exclusive; now if left out."`
	Consortium []string  `query:"consortium" maxItems:"100" doc:"One or several, separated by commas."`
	Model      []string  `query:"model" maxItems:"100" doc:"One or several, separated by commas."`
}

type sweepTrendInput struct {
	PastRangeInput

	GroupBy    []string `query:"group_by" enum:"consortium" maxItems:"1" doc:"None, or consortium."`
	Consortium []string `query:"consortium" maxItems:"100" doc:"One or several, separated by commas."`
}

func (s *Server) registerAnVILAnalytics() {
	tags := []string{tagAnalytics}
	register(s, access.ActionReadAnvil, asTable(huma.Operation{
		OperationID: "analyse-audits", Path: "/v1/analytics/anvil/audits", Tags: tags, Summary: "Which share of the declared records was verified over time",
		Description: "By the last audit of each consortium and model before the end of each interval, carried forward.",
	}), s.analyseAudits)
	register(s, access.ActionReadAnvil, asTable(huma.Operation{
		OperationID: "list-audits", Path: "/v1/analytics/anvil/audits/runs", Tags: tags, Summary: "What each audit came to, the newest first",
		Description: "An audit follows each sweep and each change of a declaration; it has a row for each model.",
	}), s.listAudits)
	register(s, access.ActionReadAnvil, asTable(huma.Operation{
		OperationID: "analyse-sweeps", Path: "/v1/analytics/anvil/sweeps", Tags: tags, Summary: "How many sweeps there were over time, how long they took and what they asked",
	}), s.analyseSweeps)
}

// percentOf is a share, cut after two decimals; nil of nothing.
func percentOf(part, whole int64) *string {
	if whole <= 0 {
		return nil
	}
	hundredths := 10_000 * part / whole
	return new(fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100))
}

func (s *Server) analyseAudits(ctx context.Context, in *auditTrendInput) (*figuresOutput[AuditFigures], error) {
	from, to, zone, err := s.past(&in.PastRangeInput)
	if err != nil {
		return nil, err
	}
	figures, err := s.config.AnVILTrends.Audits(ctx, clickhouse.AuditQuery{
		From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy), Consortia: in.Consortium, Models: in.Model,
	})
	if err != nil {
		return nil, err
	}
	return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.AuditFigures) AuditFigures {
		out := AuditFigures{Start: f.Start, End: f.End, Audits: f.Audits}
		if c := f.AuditCounts; c != nil {
			out.Audited, out.Verified, out.VerifiedPercent, out.Errors, out.Beyond = &c.Audited, &c.Verified, percentOf(c.Verified, c.Audited), &c.Errors, &c.Beyond
			out.Unknown, out.NotInApp, out.Ignored, out.Unlisted = &c.Unknown, &c.NotInApp, &c.Ignored, &c.Unlisted
		}
		if slices.Contains(in.GroupBy, string(clickhouse.ByConsortium)) {
			out.Consortium = &f.Consortium
		}
		if slices.Contains(in.GroupBy, string(clickhouse.ByModel)) {
			out.Model = &f.Model
		}
		return out
	}).of(in.rowsAt("/v1/analytics/anvil/audits/runs")), nil
}

func (s *Server) listAudits(ctx context.Context, in *auditRunsInput) (*pageOutput[AuditRun], error) {
	const list = "analytics/audits"
	after, err := cursorOf[clickhouse.AuditCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	span := RangeInput{From: in.From, To: in.To, TZ: "UTC"}
	from, to, _, err := span.bounds(s.config.Now())
	if err != nil {
		return nil, err
	}
	audits, err := s.config.AnVILTrends.AuditRuns(ctx, clickhouse.AuditQuery{From: from, To: to, Consortia: in.Consortium, Models: in.Model}, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return pageOf(in.PageInput, list, audits, func(a clickhouse.Audit) AuditRun {
		out := AuditRun{
			AuditedAt: a.At.UTC(), Consortium: a.Consortium, Model: a.Model, EventID: a.EventID, Audited: a.Audited, Verified: a.Verified, VerifiedPercent: percentOf(a.Verified, a.Audited),
			Errors: a.Errors, Beyond: a.Beyond, Unknown: a.Unknown, NotInApp: a.NotInApp, Ignored: a.Ignored, Unlisted: a.Unlisted,
		}
		if a.SweepID != uuid.Nil {
			out.SweepID = &a.SweepID
		}
		return out
	}, clickhouse.Audit.Cursor)
}

func (s *Server) analyseSweeps(ctx context.Context, in *sweepTrendInput) (*figuresOutput[SweepFigures], error) {
	from, to, zone, err := s.past(&in.PastRangeInput)
	if err != nil {
		return nil, err
	}
	figures, err := s.config.AnVILTrends.Sweeps(ctx, clickhouse.AuditQuery{
		From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy), Consortia: in.Consortium,
	})
	if err != nil {
		return nil, err
	}
	return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.SweepFigures) SweepFigures {
		out := SweepFigures{
			Start: f.Start, End: f.End, Completed: f.Completed, Interrupted: f.Interrupted, Covered: f.Covered, Calls: f.Calls, Retries: f.Retries, Observed: f.Observed, Unseen: f.Unseen,
			MedianMilliseconds: f.MedianMilliseconds, P90Milliseconds: f.P90Milliseconds, MaxMilliseconds: f.MaxMilliseconds,
		}
		if slices.Contains(in.GroupBy, string(clickhouse.ByConsortium)) {
			out.Consortium = &f.Consortium
		}
		return out
	}).of(in.rowsAt("/v1/anvil/{consortium}/sweeps")), nil
}
