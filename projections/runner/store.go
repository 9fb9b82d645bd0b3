package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// errFenced says that another process has moved a checkpoint: this one must
// drop what it has prepared and read the checkpoints again.
var errFenced = errors.New("another process has moved the checkpoint")

// Store writes batches of a projection and knows how to compare generations.
// Methods other than commit may be called concurrently.
type Store interface {
	// prefix begins the names of the namespaces that the store makes.
	prefix() string
	// prepare makes the generation's tables; it may be called again.
	prepare(ctx context.Context, p Projection, g Generation) error
	// drop removes the generation's tables; it may be called again.
	drop(ctx context.Context, g Generation) error
	// recover settles a batch whose fate is unknown since a crash, if any: read
	// yields the records of the range again.
	recover(ctx context.Context, f *fold, read readRange) error
	// commit writes a batch and the checkpoints that go with it.
	commit(ctx context.Context, f *fold, p *prepared) error
	// sums are the checksums of a table of the generation by key range.
	sums(ctx context.Context, g Generation, t Table) (TableSums, error)
}

// advance moves the checkpoints of a batch forward within tx, each only if it
// still stands where the batch began, and records what goes with them.
func advance(ctx context.Context, tx pgx.Tx, f *fold, p *prepared, clearPending bool) error {
	list := p.partitions()
	topics, numbers := make([]string, len(list)), make([]int32, len(list))
	from, to, counts := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	times := make([]any, len(list))
	for i, at := range list {
		s := p.spans[at]
		topics[i], numbers[i], from[i], to[i], counts[i] = at.Topic, at.ID, s.from, s.to, s.records
		times[i] = s.recordTime
	}
	pending := ""
	if clearPending {
		pending = ", pending_to = NULL, pending_token = NULL"
	}
	tag, err := tx.Exec(ctx, `UPDATE runner.checkpoints c
		SET next_offset = b.upto, record_time = b.at, records = c.records + b.n`+pending+`
		FROM unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::bigint[]) AS b(topic, partition, since, upto, at, n)
		WHERE c.name = $1 AND c.generation = $2 AND c.topic = b.topic AND c.partition = b.partition AND c.next_offset = b.since`,
		f.generation.Projection, f.generation.Number, topics, numbers, from, to, times, counts)
	if err != nil {
		return fmt.Errorf("moving the checkpoints of %s: %w", f.generation.Namespace, err)
	}
	if int(tag.RowsAffected()) != len(list) {
		return errFenced
	}
	if err := saveVersions(ctx, tx, f, p); err != nil {
		return err
	}
	if err := saveParked(ctx, tx, f, p); err != nil {
		return err
	}
	return forgetParked(ctx, tx, f, p)
}

func saveVersions(ctx context.Context, tx pgx.Tx, f *fold, p *prepared) error {
	if len(p.versions) == 0 {
		return nil
	}
	streams, versions := make([]string, 0, len(p.versions)), make([]int64, 0, len(p.versions))
	for s, v := range p.versions {
		streams, versions = append(streams, s), append(versions, v)
	}
	_, err := tx.Exec(ctx, `INSERT INTO runner.stream_versions (name, generation, stream, version)
		SELECT $1, $2, b.* FROM unnest($3::text[], $4::bigint[]) AS b
		ON CONFLICT (name, generation, stream) DO UPDATE SET version = excluded.version`,
		f.generation.Projection, f.generation.Number, streams, versions)
	if err != nil {
		return fmt.Errorf("saving the applied versions of %s: %w", f.generation.Namespace, err)
	}
	return nil
}
