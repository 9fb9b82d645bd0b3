package anvil

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/migrate"
)

// closeTimeout bounds the goodbye to Postgres at the end of a session.
const closeTimeout = 2 * time.Second

// Schema is the Postgres schema that the store owns.
const Schema = "anvil_ingest"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables of the store.
func Migrations() migrate.Set { return migrate.Set{Schema: Schema, Files: migrations} }

// PostgresStore is a [StateStore] in Postgres. It is safe for concurrent use, by
// several processes, too.
type PostgresStore struct{ pool *pgxpool.Pool }

// NewPostgresStore makes a store and brings its schema forward.
func NewPostgresStore(ctx context.Context, pool *pgxpool.Pool) (*PostgresStore, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("opening the migrations of %s: %w", Schema, err)
	}
	if err := migrate.Postgres(ctx, pool, Schema, files); err != nil {
		return nil, err
	}
	return &PostgresStore{pool: pool}, nil
}

// postgresSession holds a connection with an advisory lock: if the process
// dies, Postgres lets the lock go.
type postgresSession struct {
	stream  event.Stream
	conn    *pgxpool.Conn
	marks   map[domain.RecordKey]Mark
	pending []event.Event
}

// Begin implements [StateStore].
func (s *PostgresStore) Begin(ctx context.Context, stream event.Stream) (Session, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to the state of %s: %w", stream, err)
	}
	var locked bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('anvil_ingest/' || $1, 0))`, string(stream)).Scan(&locked)
	if err != nil {
		conn.Release()
		return nil, fmt.Errorf("locking the state of %s: %w", stream, err)
	}
	if !locked {
		conn.Release()
		return nil, event.Errorf(event.CodeConflict, "another sweep of %s is going on: wait until it is over", stream)
	}
	session := &postgresSession{stream: stream, conn: conn, marks: map[domain.RecordKey]Mark{}}
	if err := session.load(ctx); err != nil {
		session.Close()
		return nil, fmt.Errorf("reading the state of %s: %w", stream, err)
	}
	return session, nil
}

func (s *postgresSession) load(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, `SELECT kind, name, hash, event_id FROM anvil_ingest.records WHERE stream = $1`, string(s.stream))
	if err != nil {
		return err
	}
	var key domain.RecordKey
	var mark Mark
	var id [16]byte
	_, err = pgx.ForEachRow(rows, []any{&key.Kind, &key.Name, &mark.Hash, &id}, func() error {
		mark.EventID = uuid.UUID(id)
		s.marks[key] = mark
		return nil
	})
	if err != nil {
		return err
	}
	var stored []byte
	err = s.conn.QueryRow(ctx, `SELECT events FROM anvil_ingest.pending WHERE stream = $1`, string(s.stream)).Scan(&stored)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	s.pending, err = decodeEvents(stored)
	return err
}

func (s *postgresSession) Marks() map[domain.RecordKey]Mark { return s.marks }

func (s *postgresSession) Pending() []event.Event { return s.pending }

func (s *postgresSession) Prepare(ctx context.Context, b Batch) error {
	encoded, err := encodeEvents(b.Events)
	if err != nil {
		return fmt.Errorf("preparing %d events of %s: %w", len(b.Events), s.stream, err)
	}
	n := len(b.Marks)
	kinds, names, hashes, ids := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n), make([][16]byte, 0, n)
	for key, mark := range b.Marks {
		kinds, names = append(kinds, string(key.Kind)), append(names, key.Name)
		hashes, ids = append(hashes, mark.Hash), append(ids, [16]byte(mark.EventID))
	}
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO anvil_ingest.pending (stream, events) VALUES ($1, $2)`, string(s.stream), encoded); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO anvil_ingest.pending_records (stream, kind, name, hash, event_id)
			SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[])`, string(s.stream), kinds, names, hashes, ids)
		return err
	})
	if err != nil {
		return fmt.Errorf("preparing %d events of %s: %w", len(b.Events), s.stream, err)
	}
	s.pending = b.Events
	return nil
}

func (s *postgresSession) Commit(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `INSERT INTO anvil_ingest.records (stream, kind, name, hash, event_id)
			SELECT stream, kind, name, hash, event_id FROM anvil_ingest.pending_records WHERE stream = $1
			ON CONFLICT (stream, kind, name) DO UPDATE SET hash = excluded.hash, event_id = excluded.event_id
			RETURNING kind, name, hash, event_id`, string(s.stream))
		if err != nil {
			return err
		}
		var key domain.RecordKey
		var mark Mark
		var id [16]byte
		_, err = pgx.ForEachRow(rows, []any{&key.Kind, &key.Name, &mark.Hash, &id}, func() error {
			mark.EventID = uuid.UUID(id)
			s.marks[key] = mark
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM anvil_ingest.pending_records WHERE stream = $1`, string(s.stream)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM anvil_ingest.pending WHERE stream = $1`, string(s.stream))
		return err
	})
	if err != nil {
		return fmt.Errorf("committing the state of %s: %w", s.stream, err)
	}
	s.pending = nil
	return nil
}

// Close lets the lock go. If that cannot be done for sure, the connection goes,
// and the lock with it.
func (s *postgresSession) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var unlocked bool
	err := s.conn.QueryRow(ctx, `SELECT pg_advisory_unlock(hashtextextended('anvil_ingest/' || $1, 0))`, string(s.stream)).Scan(&unlocked)
	if err == nil && unlocked {
		s.conn.Release()
		return
	}
	// Nothing depends on a goodbye: a failed one closes the connection as well.
	_ = s.conn.Hijack().Close(ctx)
}

// storedEvent is an event as it goes into the log.
type storedEvent struct {
	Key string `json:"key"`
	// Headers are names and values, in order.
	Headers [][2]string     `json:"headers"`
	Value   json.RawMessage `json:"value"`
}

func encodeEvents(events []event.Event) ([]byte, error) {
	stored := make([]storedEvent, len(events))
	for i, e := range events {
		stored[i] = storedEvent{Key: e.Key(), Value: e.Data}
		for _, h := range e.Headers() {
			stored[i].Headers = append(stored[i].Headers, [2]string{h.Name, h.Value})
		}
	}
	return json.Marshal(stored)
}

func decodeEvents(data []byte) ([]event.Event, error) {
	var stored []storedEvent
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, fmt.Errorf("reading the prepared events: %w", err)
	}
	events := make([]event.Event, len(stored))
	for i, s := range stored {
		headers := make([]event.Header, len(s.Headers))
		for j, h := range s.Headers {
			headers[j] = event.Header{Name: h[0], Value: h[1]}
		}
		e, err := event.FromRecord(s.Key, headers, s.Value)
		if err != nil {
			return nil, fmt.Errorf("reading a prepared event: %w", err)
		}
		events[i] = e
	}
	return events, nil
}
