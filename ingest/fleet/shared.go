package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

const (
	// errorsEvery is how often what other members know of the error limit is looked
	// at; what this one finds out is told at once, but no more often than tellEvery.
	errorsEvery, tellEvery = time.Second, 100 * time.Millisecond
	// refusalsEvery is how often refusals are written down and read.
	refusalsEvery = 10 * time.Second
	// healthEvery is how often it is looked whether another member has read the
	// health of the routes.
	healthEvery = 30 * time.Second
	// healthSlack is how long after its end the health is read again, and how much
	// longer than that the old one holds.
	healthSlack = 5 * time.Second
	// healthAgain is how long after the last try it is tried again at least.
	healthAgain = time.Minute
)

// Shared carries between the members what each learns of the limits that ESI keeps
// for all of them, of the health of its routes, and of what it refuses, which is
// remembered over restarts. Requests do not wait for it: it works beside them.
type Shared struct {
	pool   *pgxpool.Pool
	client *transport.Client
	logger *slog.Logger

	// revision is that of the health which the client has.
	revision int64
	// heard is when refusals were last read, by the database's clock.
	heard time.Time
}

// NewShared makes what carries a client's knowledge to and from a database with the
// tables of package schema.
func NewShared(pool *pgxpool.Pool, client *transport.Client, logger *slog.Logger) *Shared {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Shared{pool: pool, client: client, logger: logger}
}

// Prime has the client know what the database knows. Call it before the first
// request.
func (s *Shared) Prime(ctx context.Context) error {
	if err := s.hearErrors(ctx); err != nil {
		return err
	}
	if err := s.hearRefusals(ctx); err != nil {
		return err
	}
	_, err := s.hearHealth(ctx)
	return err
}

// Run carries until ctx ends. It is called once, after [Shared.Prime].
func (s *Shared) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.carryErrors(ctx); return nil })
	group.Go(func() error { s.carryRefusals(ctx); return nil })
	group.Go(func() error { s.carryHealth(ctx); return nil })
	return group.Wait()
}

func (s *Shared) warn(ctx context.Context, message string, err error) {
	if err != nil && ctx.Err() == nil {
		s.logger.WarnContext(ctx, "limits of ESI are not shared", "trouble", message, "error", err)
	}
}

// sleep waits; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Shared) carryErrors(ctx context.Context) {
	ticker := time.NewTicker(errorsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.warn(ctx, "what other programs know of ESI's error limit cannot be read", s.hearErrors(ctx))
		case <-s.client.ErrorNews():
			s.warn(ctx, "what is known of ESI's error limit cannot be told to other programs; trying again", s.TellErrors(ctx))
			if !sleep(ctx, tellEvery) {
				return
			}
		}
	}
}

// TellErrors tells the other members what the client found out.
func (s *Shared) TellErrors(ctx context.Context) error {
	news, ok := s.client.TakeErrors()
	if !ok {
		return nil
	}
	// Of two counts of one window the lower one holds; a later window begins anew.
	row := s.pool.QueryRow(ctx, `
		UPDATE ingest.esi_errors SET
		    errors_left = CASE
		        WHEN $1::float8 > 0 AND reset_at > now() AND now() + make_interval(secs => $1) < reset_at + interval '5 seconds' THEN least(errors_left, $2)
		        WHEN $1 > 0 THEN $2
		        WHEN reset_at > now() THEN errors_left
		        ELSE 100 END - $3,
		    reset_at = CASE
		        WHEN $1 > 0 THEN now() + make_interval(secs => $1)
		        WHEN reset_at > now() THEN reset_at
		        ELSE now() + interval '1 minute' END,
		    stop_until = greatest(stop_until, now() + make_interval(secs => $4)),
		    incidents = incidents + $5
		RETURNING `+errorColumns, news.Reset.Seconds(), news.Left, news.Silent, news.Stop.Seconds(), news.Incidents)
	if err := s.adoptErrors(row); err != nil {
		s.client.PutBackErrors(news)
		return fmt.Errorf("telling other programs of ESI's error limit: %w", err)
	}
	return nil
}

// errorColumns are how many errors are left, for how many seconds that holds, and
// for how many seconds nothing is asked.
const errorColumns = `errors_left, extract(epoch FROM reset_at - now())::float8, extract(epoch FROM stop_until - now())::float8`

func (s *Shared) hearErrors(ctx context.Context) error {
	if err := s.adoptErrors(s.pool.QueryRow(ctx, `SELECT `+errorColumns+` FROM ingest.esi_errors`)); err != nil {
		return fmt.Errorf("reading what other programs know of ESI's error limit: %w", err)
	}
	return nil
}

func (s *Shared) adoptErrors(row pgx.Row) error {
	var told transport.ErrorLimit
	var reset, stop float64
	if err := row.Scan(&told.Left, &reset, &stop); err != nil {
		return err //nolint:wrapcheck // The caller says what was read.
	}
	told.Reset, told.Stop = max(0, seconds(reset)), max(0, seconds(stop))
	s.client.AdoptErrors(told)
	return nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func (s *Shared) carryRefusals(ctx context.Context) {
	for sleep(ctx, refusalsEvery) {
		s.warn(ctx, "what ESI refuses cannot be written down; it will be asked again after a restart", s.TellRefusals(ctx))
		s.warn(ctx, "what ESI refuses to others cannot be read", s.hearRefusals(ctx))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthSlack)
	defer cancel()
	s.warn(last, "what ESI refuses cannot be written down; it will be asked again after a restart", s.TellRefusals(last))
}

// TellRefusals writes down what the client is refused.
func (s *Shared) TellRefusals(ctx context.Context) error {
	news := s.client.TakeRefusals()
	if len(news) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, r := range news {
		if r.Count == 0 {
			batch.Queue(`DELETE FROM ingest.esi_refusal WHERE operation = $1 AND path = $2 AND character_id = $3`, r.Operation, r.Path, r.Character)
			continue
		}
		batch.Queue(`
			INSERT INTO ingest.esi_refusal (operation, path, character_id, refusals, until) VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
			ON CONFLICT (operation, path, character_id) DO UPDATE SET refusals = excluded.refusals, until = excluded.until, updated_at = now()`,
			r.Operation, r.Path, r.Character, r.Count, r.For.Seconds())
	}
	batch.Queue(`DELETE FROM ingest.esi_refusal WHERE updated_at < now() - interval '30 days'`)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("writing down what ESI refuses: %w", err)
	}
	return nil
}

// mostRefusals bounds how many refusals are read at once.
const mostRefusals = 20_000

// hearRefusals has the client know what was refused since it last did. It reads a
// little further back, for what was written and not yet committed then.
func (s *Shared) hearRefusals(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `
		SELECT operation, path, character_id, refusals, greatest(0, extract(epoch FROM until - now()))::float8, updated_at FROM ingest.esi_refusal
		WHERE updated_at > $1 AND until > now() - interval '1 day' ORDER BY updated_at DESC LIMIT $2`, s.heard.Add(-time.Minute), mostRefusals)
	if err != nil {
		return fmt.Errorf("reading what ESI refuses: %w", err)
	}
	heard := s.heard
	refusals, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (transport.Refusal, error) {
		var r transport.Refusal
		var left float64
		var at time.Time
		err := row.Scan(&r.Operation, &r.Path, &r.Character, &r.Count, &left, &at)
		r.For = seconds(left)
		if at.After(heard) {
			heard = at
		}
		return r, err
	})
	if err != nil {
		return fmt.Errorf("reading what ESI refuses: %w", err)
	}
	s.heard = heard
	s.client.AdoptRefusals(refusals)
	return nil
}

func (s *Shared) carryHealth(ctx context.Context) {
	for {
		wait, err := s.CarryHealth(ctx)
		s.warn(ctx, "the health of ESI's routes cannot be told; all of them count as well", err)
		wait = min(max(wait, time.Second), healthEvery)
		if !sleep(ctx, wait+rand.N(time.Second)) { //nolint:gosec // Jitter needs no secrecy.
			return
		}
	}
}

// CarryHealth reads the health of ESI's routes if the last reading is old and no
// other member does, and has the client know what is known. It tells when to come
// again.
func (s *Shared) CarryHealth(ctx context.Context) (time.Duration, error) {
	wait, err := s.hearHealth(ctx)
	if err != nil || wait > 0 {
		return wait, err
	}
	var etag string
	err = s.pool.QueryRow(ctx, `
		UPDATE ingest.esi_health SET taken_until = now() + make_interval(secs => $1)
		WHERE expires_at + make_interval(secs => $2) <= now() AND taken_until <= now() RETURNING etag`, healthAgain.Seconds(), healthSlack.Seconds()).Scan(&etag)
	if errors.Is(err, pgx.ErrNoRows) {
		// Another member reads it.
		return time.Second, nil
	}
	if err != nil {
		return healthAgain, fmt.Errorf("taking the reading of the health of ESI's routes: %w", err)
	}
	if err := s.readHealth(ctx, etag); err != nil {
		return healthAgain, err
	}
	return s.hearHealth(ctx)
}

// readHealth asks ESI. A reading that fails is put off; what it left is not held
// against any route.
func (s *Shared) readHealth(ctx context.Context, etag string) error {
	answer, err := s.client.ReadHealth(ctx, etag)
	var body []byte
	if err == nil && !answer.NotModified {
		body = answer.Pages[0].Body
		etag = answer.Pages[0].ETag
		_, err = transport.ParseHealth(body)
	}
	if err != nil {
		_, putOff := s.pool.Exec(ctx, `UPDATE ingest.esi_health SET expires_at = now() + make_interval(secs => $1), etag = '', body = ''`, healthAgain.Seconds())
		if putOff != nil {
			return event.Errorf(event.CodeUnavailable, "putting the reading of the health of ESI's routes off: %w", putOff)
		}
		return fmt.Errorf("reading the health of ESI's routes: %w", err)
	}
	lifetime := max(time.Until(answer.ExpiresAt), healthAgain)
	_, err = s.pool.Exec(ctx, `
		UPDATE ingest.esi_health SET revision = revision + 1, body = coalesce($1, body), etag = $2, read_at = now(),
		    expires_at = now() + make_interval(secs => $3), taken_until = now()`, body, etag, lifetime.Seconds())
	if err != nil {
		return fmt.Errorf("writing down the health of ESI's routes: %w", err)
	}
	return nil
}

// hearHealth has the client know the last reading. It tells in how long the next
// one is due; nothing or less if it is.
func (s *Shared) hearHealth(ctx context.Context) (time.Duration, error) {
	var revision int64
	var left float64
	var body []byte
	err := s.pool.QueryRow(ctx, `
		SELECT revision, extract(epoch FROM expires_at - now())::float8, CASE WHEN revision <> $1 THEN body END FROM ingest.esi_health`, s.revision,
	).Scan(&revision, &left, &body)
	if err != nil {
		return healthAgain, fmt.Errorf("reading what is known of the health of ESI's routes: %w", err)
	}
	due := seconds(left) + healthSlack
	if revision == s.revision || len(body) == 0 {
		return due, nil
	}
	health, err := transport.ParseHealth(body)
	if err != nil {
		return due, fmt.Errorf("what is known of the health of ESI's routes: %w", err)
	}
	s.revision = revision
	s.client.SetHealth(health, max(0, due+healthSlack))
	if down, of := health.Down(); down > 0 {
		s.logger.InfoContext(ctx, "ESI says that routes are down; they are not asked until it is read again", "down", down, "of", of)
	}
	return due, nil
}
