package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/event"
)

// ConsortiumFinding is a finding with the consortium that it belongs to.
type ConsortiumFinding struct {
	Finding

	Consortium string
}

// FindingPlace says where the events that a finding's row comes from lie in the
// log, as the read model has it.
type FindingPlace struct {
	ConsortiumFinding

	// EventID is the finding's last event and At its position.
	EventID uuid.UUID
	At      event.Position
	// Evidence are the positions of the finding's evidence. Events that were
	// followed by a newer one of the same record are not in it.
	Evidence map[uuid.UUID]event.Position
}

// AllFindings lists findings of all consortia, at most filter.Limit, the newest
// first; filter.Consortium limits it to one if it is set.
func (r *AnVILReader) AllFindings(ctx context.Context, filter FindingFilter) ([]ConsortiumFinding, error) {
	schema, err := r.anvilSchema(ctx)
	if err != nil {
		return nil, err
	}
	sql, args := filter.complete(fmt.Sprintf(selectConsortiumFindings, schema)+` WHERE ($1 = '' OR f.stream = $1)`, streamOrAll(filter.Consortium))
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, queryError("listing findings", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ConsortiumFinding, error) {
		p, err := scanPlace(row)
		return p.ConsortiumFinding, err
	})
	if err != nil {
		return nil, queryError("listing findings", err)
	}
	return list, nil
}

// FindingPlace is the finding of an id, of whichever consortium, and where its
// events lie. It fails with [event.CodeNotFound] if there is none.
func (r *AnVILReader) FindingPlace(ctx context.Context, id uuid.UUID) (FindingPlace, error) {
	schema, err := r.anvilSchema(ctx)
	if err != nil {
		return FindingPlace{}, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(selectConsortiumFindings, schema)+` WHERE f.finding_id = $1`, id)
	if err != nil {
		return FindingPlace{}, queryError("reading a finding", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanPlace)
	if errors.Is(err, pgx.ErrNoRows) {
		return FindingPlace{}, event.Errorf(event.CodeNotFound, "there is no finding %s: GET /v1/findings?state=all lists them", id)
	}
	if err != nil {
		return FindingPlace{}, queryError("reading a finding", err)
	}
	ids := make([]uuid.UUID, 0, len(p.Finding.Evidence))
	for _, e := range p.Finding.Evidence {
		ids = append(ids, e.EventID)
	}
	rows, err = r.pool.Query(ctx, `SELECT event_id, log_partition, log_offset FROM `+schema+`.records WHERE stream = $1 AND event_id = ANY($2)`,
		string(event.Consortium(p.Consortium)), ids)
	if err != nil {
		return FindingPlace{}, queryError("reading the evidence of a finding", err)
	}
	p.Evidence = map[uuid.UUID]event.Position{}
	var evidence uuid.UUID
	at := event.Position{Topic: event.TopicAnVIL}
	_, err = pgx.ForEachRow(rows, []any{&evidence, &at.Partition, &at.Offset}, func() error {
		p.Evidence[evidence] = at
		return nil
	})
	if err != nil {
		return FindingPlace{}, queryError("reading the evidence of a finding", err)
	}
	return p, nil
}

const selectConsortiumFindings = `SELECT ` + findingColumns + `, f.event_id FROM ` + findingTables

func scanPlace(row pgx.CollectableRow) (FindingPlace, error) {
	var p FindingPlace
	var f scannedFinding
	if err := row.Scan(append(f.columns(), &p.EventID)...); err != nil {
		return p, err
	}
	p.Consortium, _ = f.stream.ConsortiumName()
	var err error
	p.Finding, err = f.decoded()
	p.At = p.Finding.Origin.Position
	return p, err
}

// anvilSchema is the quoted schema of the live generation.
func (r *AnVILReader) anvilSchema(ctx context.Context) (string, error) {
	name, err := r.live.Namespace(ctx, AnVILName)
	if err != nil {
		return "", queryError("finding the consortia", err)
	}
	return pgx.Identifier{name}.Sanitize(), nil
}

func streamOrAll(consortium string) string {
	if consortium == "" {
		return ""
	}
	return string(event.Consortium(consortium))
}
