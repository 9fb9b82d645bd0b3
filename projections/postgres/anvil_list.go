package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// ConsortiumOverview is how a consortium stands.
type ConsortiumOverview struct {
	Name string
	// Sweep is the last sweep of whole models that was completed; nil before the first.
	Sweep *anvil.SweepCompleted
	// Declared counts the declared records by kind.
	Declared map[string]int64
	// Open counts the open findings, by model and severity.
	Open []OpenFindings
}

// OpenFindings are how many findings of a model and severity are open.
type OpenFindings struct {
	Model    anvil.Model
	Severity anvil.Severity
	Findings int64
	// Accepted are those of them that are accepted as they are.
	Accepted int64
}

// All lists the consortia of which anything is known, by name.
func (r *AnVILReader) All(ctx context.Context) ([]ConsortiumOverview, error) {
	schema, err := r.anvilSchema(ctx)
	if err != nil {
		return nil, err
	}
	found := map[event.Stream]*ConsortiumOverview{}
	of := func(stream event.Stream) *ConsortiumOverview {
		if found[stream] == nil {
			name, _ := stream.ConsortiumName()
			found[stream] = &ConsortiumOverview{Name: name, Declared: map[string]int64{}}
		}
		return found[stream]
	}
	var (
		stream event.Stream
		text   *string
		open   OpenFindings
	)
	// What was withdrawn keeps its row, and acceptances are about findings.
	var kind string
	var n int64
	err = r.each(ctx, `SELECT stream, kind, count(*) FILTER (WHERE side = 'declared' AND type NOT LIKE '%.withdrawn.v%') FROM `+schema+`.records
		WHERE kind <> 'acceptance' GROUP BY 1, 2`, []any{&stream, &kind, &n}, func() error {
		if c := of(stream); n > 0 && kind != string(anvil.KindConsortium) {
			c.Declared[kind] = n
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = r.each(ctx, `SELECT DISTINCT ON (stream) stream, CASE WHEN summary->'groups' IS NULL AND summary->'workspaces' IS NULL THEN summary::text END FROM `+schema+`.sweeps
		ORDER BY stream, (completed_at IS NOT NULL AND summary->'groups' IS NULL AND summary->'workspaces' IS NULL) DESC, completed_at DESC NULLS LAST`, []any{&stream, &text}, func() error {
		c := of(stream)
		if text == nil {
			return nil
		}
		c.Sweep = new(anvil.SweepCompleted)
		return json.Unmarshal([]byte(*text), c.Sweep)
	})
	if err != nil {
		return nil, err
	}
	err = r.each(ctx, `SELECT f.stream, f.model, f.severity, count(*), count(a.name) FROM `+fmt.Sprintf(findingTables, schema)+` WHERE f.open GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
		[]any{&stream, &open.Model, &open.Severity, &open.Findings, &open.Accepted}, func() error {
			c := of(stream)
			c.Open = append(c.Open, open)
			return nil
		})
	if err != nil {
		return nil, err
	}
	all := make([]ConsortiumOverview, 0, len(found))
	for _, c := range found {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b ConsortiumOverview) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// each reads rows about the consortia.
func (r *AnVILReader) each(ctx context.Context, sql string, into []any, do func() error) error {
	rows, err := r.pool.Query(ctx, sql)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, do)
	}
	if err != nil {
		return queryError("listing the consortia", err)
	}
	return nil
}
