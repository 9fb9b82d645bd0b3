package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// Operations tell how Muster fares; [Standing] does.
type Operations interface {
	// Projections lists all projections with their generations.
	Projections(ctx context.Context) ([]Projection, error)
	// Sections counts sections by status.
	Sections(ctx context.Context) ([]postgres.SectionCount, error)
	// Stats counts what there is.
	Stats(ctx context.Context) (Stats, error)
	// ParkedEvents, Retry and Skip are those of [runner.Control].
	ParkedEvents(ctx context.Context, projection string) ([]runner.Parked, error)
	Retry(ctx context.Context, projection string, at event.Position) error
	Skip(ctx context.Context, projection string, at event.Position, actor, reason string) error
}

// Projection is a read model with its generations.
type Projection struct {
	Name string `json:"name"`
	// Live is the number of the generation that queries read; 0 before the first.
	Live int `json:"live_generation" doc:"The generation that queries read; 0 before the first."`
	// LagRecords and LagSeconds are those of the live generation.
	LagRecords  int64        `json:"lag_records" doc:"Offsets between the live generation and the end of the log."`
	LagSeconds  float64      `json:"lag_seconds" doc:"Age of the last applied record if there are newer ones; else 0."`
	Parked      int          `json:"parked" doc:"Events set aside: poisoned, or waiting behind a poisoned one."`
	Generations []Generation `json:"generations" nullable:"false"`
}

// Generation is one build of a read model.
type Generation struct {
	Number     int        `json:"generation"`
	Version    int        `json:"version"`
	Status     string     `json:"status"`
	Reason     string     `json:"reason,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	PromotedAt *time.Time `json:"promoted_at"`
	Progress   *Progress  `json:"progress,omitempty" doc:"While it is being built."`
}

// Progress is how much of the log the build of a generation has read.
type Progress struct {
	Read    int64 `json:"read" doc:"Offsets read."`
	Records int64 `json:"records" doc:"Offsets in the log, those of removed events included."`
	Percent int   `json:"percent" minimum:"0" maximum:"100" doc:"Rounded down."`
}

// ProjectionLag is how far behind a read model is.
type ProjectionLag struct {
	Name       string  `json:"name"`
	Generation int     `json:"generation" doc:"The generation that queries read; 0 before the first."`
	LagRecords int64   `json:"lag_records" doc:"Offsets between the read model and the end of the log."`
	LagSeconds float64 `json:"lag_seconds" doc:"Age of the last applied record if there are newer ones; else 0."`
	Parked     int     `json:"parked"`
}

// SectionCount counts the characters whose section has a status.
type SectionCount struct {
	Section           string     `json:"section"`
	Status            string     `json:"status" enum:"ok,failing,incomplete,not_yet,not_consented"`
	Characters        int64      `json:"characters"`
	OldestValidatedAt *time.Time `json:"oldest_validated_at" doc:"The longest that one of them has not been confirmed; null if none ever was."`
	Outstanding       int64      `json:"outstanding" doc:"How much of what is fetched apart, such as the bodies of mails, is not there yet."`
}

// Sync is how far Muster has got.
type Sync struct {
	Projections []ProjectionLag `json:"projections" nullable:"false"`
	Sections    []SectionCount  `json:"sections" nullable:"false"`
}

// Stats are numbers of things.
type Stats struct {
	Users          int64            `json:"users"`
	Characters     map[string]int64 `json:"characters" doc:"By status."`
	Sections       map[string]int64 `json:"sections" doc:"Sections with content, by section."`
	Failing        map[string]int64 `json:"failing_sections" doc:"Sections that cannot be read at present, by section."`
	JournalEntries uint64           `json:"journal_entries"`
	Balances       uint64           `json:"balances"`
	OpenFindings   map[string]int64 `json:"open_findings" doc:"By consortium; those without any are left out."`
	PlayersOnline

	AppTotals        AppTotals                  `json:"app_totals" doc:"Member Audit's totals."`
	Settings         map[string]any             `json:"settings" doc:"Member Audit's settings with Muster's values, null for what has no counterpart, and Muster's own; no secrets."`
	UpdateStatistics map[string]RingStats       `json:"update_statistics" doc:"How long the sections of Member Audit's rings took when they were last read; empty before anything was."`
	OtherSections    map[string]SectionTook     `json:"other_sections" doc:"How long the sections took that Member Audit 1.9.4 does not read."`
	Consortia        map[string]ConsortiumStats `json:"consortia"`
	Events           map[string]int64           `json:"events" doc:"Offsets between the beginning and the end of each topic: what was deleted from the middle counts."`
	Projections      []ProjectionLag            `json:"projections" nullable:"false"`
}

// ParkedEvent is an event that a read model has set aside.
type ParkedEvent struct {
	Projection string    `json:"projection"`
	Topic      string    `json:"topic"`
	Partition  int32     `json:"partition"`
	Offset     int64     `json:"offset"`
	Stream     string    `json:"stream"`
	Sequence   string    `json:"sequence" doc:"Everything of the same sequence waits."`
	EventID    string    `json:"event_id"`
	Type       string    `json:"type"`
	Reason     string    `json:"reason" doc:"Why it cannot be applied; empty if it only waits."`
	State      string    `json:"state" enum:"poisoned,waiting,retry"`
	ParkedAt   time.Time `json:"parked_at"`
}

// PoisonDecision says what to do with a parked event.
type PoisonDecision struct {
	Action     string `json:"action" enum:"retry,skip" doc:"retry: try again, for instance after an upgrade. skip: take it out of the read model for good; it stays in the log."`
	Projection string `json:"projection" minLength:"1"`
	Topic      string `json:"topic" minLength:"1"`
	Partition  int32  `json:"partition" minimum:"0"`
	Offset     int64  `json:"offset" minimum:"0"`
	Reason     string `json:"reason,omitempty" maxLength:"2000" doc:"Why; needed to skip."`
}

type nothing struct{}

type body[T any] struct {
	Body *T
}

type parkedInput struct {
	Projection string `query:"projection" maxLength:"100" doc:"Of this projection; of all if left out."`
}

type poisonInput struct {
	Body PoisonDecision
}

func (s *Server) registerOperations() {
	op := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Path: path, Tags: []string{tagOperations}, Summary: summary}
	}
	register(s, access.ActionReadOperations, op("get-sync", "/v1/sync", "How far Muster has got"), s.getSync)
	register(s, access.ActionReadOperations, asTable(op("list-projections", "/v1/projections", "The read models with their generations")), s.listProjections)
	register(s, access.ActionReadOperations, op("get-stats", "/v1/stats", "Numbers of things, those of Member Audit 1.9.4 among them"), s.getStats)
	register(s, access.ActionReadOperations, asTable(op("list-poison", "/v1/poison", "Events that could not be applied, and those that wait behind them")), s.listPoison)
	decide := op("decide-poison", "/v1/poison", "Retry a parked event, or skip it")
	decide.Method, decide.DefaultStatus = http.MethodPost, http.StatusAccepted
	decide.Description = "The projection does it between two batches: see the list for what has come of it."
	decide.Errors = []int{http.StatusNotFound}
	register(s, access.ActionOperate, decide, s.decidePoison)
	rebuild := op("rebuild-projection", "/v1/projections/{name}/rebuilds", "Rebuild a read model from the log beside the live one")
	rebuild.Method, rebuild.DefaultStatus = http.MethodPost, http.StatusAccepted
	rebuild.Description = "It is built, brought to the position of the live one, compared with it, and takes its place if they are equal: /v1/projections tells how far it is, and what has come of it."
	rebuild.Errors = []int{http.StatusConflict, http.StatusNotFound}
	register(s, access.ActionOperate, rebuild, s.rebuildProjection)
}

// Rebuilder rebuilds read models.
type Rebuilder interface {
	// Rebuild begins to rebuild a read model and does not wait for its end. It fails with
	// [event.CodeNotFound] if there is none of the name, with [event.CodeConflict] while this
	// process rebuilds one.
	Rebuild(ctx context.Context, projection, actor string) error
}

type rebuildInput struct {
	Name string `path:"name" maxLength:"100" doc:"The read model's name." example:"wallet"`
}

// Rebuild is one that was begun.
type Rebuild struct {
	Projection string `json:"projection"`
}

func (s *Server) rebuildProjection(ctx context.Context, in *rebuildInput) (*body[Rebuild], error) {
	if err := s.config.Rebuilder.Rebuild(ctx, in.Name, principalOf(ctx).ID); err != nil {
		return nil, err
	}
	return &body[Rebuild]{&Rebuild{Projection: in.Name}}, nil
}

func (s *Server) getSync(ctx context.Context, _ *nothing) (*body[Sync], error) {
	projections, err := s.config.Operations.Projections(ctx)
	if err != nil {
		return nil, err
	}
	sections, err := s.config.Operations.Sections(ctx)
	if err != nil {
		return nil, err
	}
	out := &Sync{Projections: lags(projections), Sections: []SectionCount{}}
	for _, c := range sections {
		out.Sections = append(out.Sections, SectionCount{
			Section: string(c.Section), Status: string(c.Status), Characters: c.Characters, OldestValidatedAt: utcTime(c.OldestValidatedAt), Outstanding: c.Outstanding,
		})
	}
	return &body[Sync]{out}, nil
}

func lags(projections []Projection) []ProjectionLag {
	list := []ProjectionLag{}
	for _, p := range projections {
		list = append(list, ProjectionLag{Name: p.Name, Generation: p.Live, LagRecords: p.LagRecords, LagSeconds: p.LagSeconds, Parked: p.Parked})
	}
	return list
}

func (s *Server) listProjections(ctx context.Context, _ *nothing) (*body[Page[Projection]], error) {
	projections, err := s.config.Operations.Projections(ctx)
	if err != nil {
		return nil, err
	}
	return &body[Page[Projection]]{&Page[Projection]{Items: append([]Projection{}, projections...)}}, nil
}

func (s *Server) getStats(ctx context.Context, _ *nothing) (*body[Stats], error) {
	stats, err := s.config.Operations.Stats(ctx)
	if err != nil {
		return nil, err
	}
	return &body[Stats]{&stats}, nil
}

func (s *Server) listPoison(ctx context.Context, in *parkedInput) (*body[Page[ParkedEvent]], error) {
	parked, err := s.config.Operations.ParkedEvents(ctx, in.Projection)
	if err != nil {
		return nil, err
	}
	page := &Page[ParkedEvent]{Items: []ParkedEvent{}}
	for _, p := range parked {
		page.Items = append(page.Items, ParkedEvent{
			Projection: p.Projection, Topic: p.Topic, Partition: p.Partition, Offset: p.Offset, Stream: p.Stream, Sequence: p.Sequence,
			EventID: p.EventID, Type: p.Type, Reason: p.Reason, State: p.State, ParkedAt: p.ParkedAt.UTC(),
		})
	}
	return &body[Page[ParkedEvent]]{page}, nil
}

func (s *Server) decidePoison(ctx context.Context, in *poisonInput) (*body[PoisonDecision], error) {
	d := &in.Body
	at := event.Position{Topic: d.Topic, Partition: d.Partition, Offset: d.Offset}
	var err error
	if d.Action == "skip" {
		err = s.config.Operations.Skip(ctx, d.Projection, at, principalOf(ctx).ID, d.Reason)
	} else {
		err = s.config.Operations.Retry(ctx, d.Projection, at)
	}
	if err != nil {
		return nil, err
	}
	return &body[PoisonDecision]{d}, nil
}
