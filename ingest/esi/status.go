package esi

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
)

// Status is how far a section of a character is in step with ESI.
type Status struct {
	CharacterID int64
	Section     eve.Section
	// ChangedAt is when its content last was new, ValidatedAt when ESI last
	// confirmed it; zero if never.
	ChangedAt, ValidatedAt time.Time
	// NextAllowed is the earliest moment of the next request; zero if any.
	NextAllowed time.Time
	// FailureClass is empty unless the section cannot be read at present; then
	// FailureMessage says why and FailingSince since when.
	FailureClass   eve.FailureClass
	FailureMessage string
	FailingSince   time.Time
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Statuses lists the status of the sections of characters that were asked for at
// least once, by character and section; of all characters if none are named.
func Statuses(ctx context.Context, q Querier, characters ...int64) ([]Status, error) {
	rows, err := q.Query(ctx, `
		SELECT character_id, section, changed_at, validated_at, not_before, coalesce(failure_class, ''), failure_message, failing_since
		FROM ingest.section_state WHERE cardinality($1::bigint[]) = 0 OR character_id = ANY ($1)
		ORDER BY character_id, section`, append([]int64{}, characters...))
	if err != nil {
		return nil, fmt.Errorf("reading the status of sections: %w", err)
	}
	statuses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Status, error) {
		var s Status
		var changed, validated, allowed, since *time.Time
		err := row.Scan(&s.CharacterID, &s.Section, &changed, &validated, &allowed, &s.FailureClass, &s.FailureMessage, &since)
		s.ChangedAt, s.ValidatedAt, s.NextAllowed, s.FailingSince = orZero(changed), orZero(validated), orZero(allowed), orZero(since)
		return s, err //nolint:wrapcheck // Wrapped below.
	})
	if err != nil {
		return nil, fmt.Errorf("reading the status of sections: %w", err)
	}
	return statuses, nil
}
