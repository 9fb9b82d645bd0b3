package schedule

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
)

// lateAfter is how long after its moment a job that nobody has begun is late.
const lateAfter = time.Minute

// SectionStatus is how one section stands, over the characters looked at.
type SectionStatus struct {
	Section eve.Section
	// Due counts characters whose moment has come, Running those that are being
	// read, Waiting those whose moment is to come. Late are those of Due that have
	// been so for more than a minute.
	Due, Running, Waiting, Late int
	// NotConsented counts characters with a login that does not cover the section;
	// ESI is not asked for them.
	NotConsented int
	// Failing counts characters whose last reading failed, by the class of the
	// failure.
	Failing map[eve.FailureClass]int
	// FollowUps counts what is still to be fetched apart or is looked at again and
	// again, FollowUpsFailing those whose last try failed, by class.
	FollowUps        int
	FollowUpsFailing map[eve.FailureClass]int
	// NeverRead counts characters that ESI was asked for without a good answer yet.
	NeverRead int
	// OldestValidation is when ESI confirmed the character that it confirmed the
	// longest ago; zero if there is none.
	OldestValidation time.Time
}

// Status tells how all sections stand, in the order of [esi.Sections]: of one
// character, or of all if character is 0. It needs no scheduler that runs.
func Status(ctx context.Context, pool *pgxpool.Pool, character int64) ([]SectionStatus, error) {
	sections := esi.Sections(esi.Options{})
	all := make([]SectionStatus, len(sections))
	byName := make(map[eve.Section]*SectionStatus, len(sections))
	var names, scopes []string
	for i, section := range sections {
		all[i] = SectionStatus{Section: section.Name, Failing: map[eve.FailureClass]int{}, FollowUpsFailing: map[eve.FailureClass]int{}}
		byName[section.Name] = &all[i]
		names, scopes = append(names, string(section.Name)), append(scopes, strings.Join(section.Scopes(), " "))
	}
	batch := &pgx.Batch{}
	queueJobs(batch, character, byName)
	queueStates(batch, character, byName)
	queueOutstanding(batch, character, byName)
	queueConsent(batch, character, names, scopes, byName)
	if err := pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("reading the status of the sync: %w", err)
	}
	return all, nil
}

// each calls take with the status of the section that scan reads from each row;
// rows of sections that are not synced any more are passed over.
func each(query *pgx.QueuedQuery, byName map[eve.Section]*SectionStatus, scan func(pgx.Rows) (eve.Section, func(*SectionStatus), error)) {
	query.Query(func(rows pgx.Rows) error {
		for rows.Next() {
			name, take, err := scan(rows)
			if err != nil {
				return err
			}
			if status := byName[name]; status != nil {
				take(status)
			}
		}
		return rows.Err() //nolint:wrapcheck // The caller says what was read.
	})
}

func queueJobs(batch *pgx.Batch, character int64, byName map[eve.Section]*SectionStatus) {
	query := batch.Queue(`
		SELECT args->>'section',
		       count(*) FILTER (WHERE state <> 'running' AND scheduled_at <= now()),
		       count(*) FILTER (WHERE state = 'running'),
		       count(*) FILTER (WHERE state <> 'running' AND scheduled_at > now()),
		       count(*) FILTER (WHERE state <> 'running' AND scheduled_at <= now() - make_interval(secs => $2))
		FROM ingest.river_job
		WHERE kind = '`+syncKind+`' AND state IN ('available', 'pending', 'running', 'scheduled', 'retryable')
		  AND ($1 = 0 OR (args->>'character_id')::bigint = $1)
		GROUP BY 1`, character, lateAfter.Seconds())
	each(query, byName, func(rows pgx.Rows) (eve.Section, func(*SectionStatus), error) {
		var name eve.Section
		var due, running, waiting, late int
		err := rows.Scan(&name, &due, &running, &waiting, &late)
		return name, func(s *SectionStatus) { s.Due, s.Running, s.Waiting, s.Late = due, running, waiting, late }, err
	})
}

func queueStates(batch *pgx.Batch, character int64, byName map[eve.Section]*SectionStatus) {
	query := batch.Queue(`
		SELECT section, coalesce(failure_class, ''), count(*), count(*) FILTER (WHERE validated_at IS NULL), min(validated_at)
		FROM ingest.section_state WHERE $1 = 0 OR character_id = $1 GROUP BY 1, 2`, character)
	each(query, byName, func(rows pgx.Rows) (eve.Section, func(*SectionStatus), error) {
		var name eve.Section
		var class eve.FailureClass
		var count, never int
		var oldest *time.Time
		err := rows.Scan(&name, &class, &count, &never, &oldest)
		return name, func(s *SectionStatus) {
			if class != "" {
				s.Failing[class] += count
			}
			s.NeverRead += never
			if oldest != nil && (s.OldestValidation.IsZero() || oldest.Before(s.OldestValidation)) {
				s.OldestValidation = oldest.UTC()
			}
		}, err
	})
}

func queueOutstanding(batch *pgx.Batch, character int64, byName map[eve.Section]*SectionStatus) {
	query := batch.Queue(`
		SELECT section, class, count(*), count(*) FILTER (WHERE failures > 0)
		FROM ingest.follow_up WHERE ($1 = 0 OR character_id = $1) AND due_at < '9999-01-01T00:00:00Z' GROUP BY 1, 2`, character)
	each(query, byName, func(rows pgx.Rows) (eve.Section, func(*SectionStatus), error) {
		var name eve.Section
		var class eve.FailureClass
		var count, failing int
		err := rows.Scan(&name, &class, &count, &failing)
		return name, func(s *SectionStatus) {
			s.FollowUps += count
			if failing > 0 {
				s.FollowUpsFailing[class] += failing
			}
		}, err
	})
}

// queueConsent counts by the rule of [wanted]: of a login whose scopes are not
// known yet nothing is said.
func queueConsent(batch *pgx.Batch, character int64, names, scopes []string, byName map[eve.Section]*SectionStatus) {
	query := batch.Queue(`
		SELECT s.name, count(*)
		FROM ingest.token t CROSS JOIN unnest($2::text[], $3::text[]) AS s (name, scopes)
		WHERE ($1 = 0 OR t.character_id = $1) AND t.state = 'active' AND s.scopes <> ''
		  AND cardinality(t.scopes) > 0 AND NOT string_to_array(s.scopes, ' ') <@ t.scopes
		GROUP BY 1`, character, names, scopes)
	each(query, byName, func(rows pgx.Rows) (eve.Section, func(*SectionStatus), error) {
		var name eve.Section
		var count int
		err := rows.Scan(&name, &count)
		return name, func(s *SectionStatus) { s.NotConsented = count }, err
	})
}
