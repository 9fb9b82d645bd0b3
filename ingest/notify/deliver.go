package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/event"
)

// Channel is a way to people. Implementations are safe for concurrent use. Their
// errors hold no secret.
type Channel interface {
	// Name names the channel in Postgres, the log and metrics.
	Name() string
	// Send sends a notice, or fails; then it is sent again later.
	Send(ctx context.Context, n Notice) error
}

// DelivererConfig is what a [Deliverer] works with. Zero values mean the defaults
// named; Pool, Channels, Registerer and Logger must be set.
type DelivererConfig struct {
	// Pool is on a database with the tables of ingest's schema.
	Pool     *pgxpool.Pool
	Channels []Channel
	// Attempts is how often a notice is tried before it is given up: 12, which
	// takes about a day and a half.
	Attempts int
	// FirstRetry is the pause after the first failure, which grows fourfold with
	// each up to MaxRetry: 10 s and 6 h.
	FirstRetry, MaxRetry time.Duration
	// SendTimeout bounds one attempt: 30 s.
	SendTimeout time.Duration
	// Poll is how often notices are looked for that nobody has told of: 5 s.
	Poll time.Duration
	// Keep is how long it is remembered that a notice was delivered: 30 days.
	Keep       time.Duration
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Now is the clock: time.Now.
	Now func() time.Time
}

func (c *DelivererConfig) setDefaults() {
	for _, d := range []struct {
		field     *time.Duration
		otherwise time.Duration
	}{
		{&c.FirstRetry, 10 * time.Second},
		{&c.MaxRetry, 6 * time.Hour},
		{&c.SendTimeout, 30 * time.Second},
		{&c.Poll, 5 * time.Second},
		{&c.Keep, 30 * 24 * time.Hour},
	} {
		if *d.field == 0 {
			*d.field = d.otherwise
		}
	}
	if c.Attempts == 0 {
		c.Attempts = 12
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Deliverer sends notices that are due. Several programs may run one each on the
// same database. A crash between sending a notice and noting that sends it twice;
// nothing else does.
type Deliverer struct {
	config   DelivererConfig
	channels map[string]Channel
	wake     chan struct{}
	pruned   time.Time
	sent     *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
}

// NewDeliverer is a deliverer. It fails with [event.CodeInvalid] if something that
// has no default is missing, or if two channels have one name.
func NewDeliverer(c DelivererConfig) (*Deliverer, error) {
	if c.Pool == nil || len(c.Channels) == 0 || c.Registerer == nil || c.Logger == nil {
		return nil, event.Errorf(event.CodeInvalid, "delivering notices needs a pool, channels, a registerer and a logger")
	}
	c.setDefaults()
	d := &Deliverer{
		config: c, channels: map[string]Channel{}, wake: make(chan struct{}, 1),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_notice_attempts_total", Help: "Attempts to deliver notices: delivered, retried, or failed for good.",
		}, []string{"channel", "result"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_notices", Help: "Notices that wait to be delivered, and those that were given up.",
		}, []string{"channel", "state"}),
	}
	for _, channel := range c.Channels {
		if _, twice := d.channels[channel.Name()]; twice {
			return nil, event.Errorf(event.CodeInvalid, "two channels of notices are named %s", channel.Name())
		}
		d.channels[channel.Name()] = channel
	}
	for _, m := range []prometheus.Collector{d.sent, d.waiting} {
		if err := c.Registerer.Register(m); err != nil {
			return nil, fmt.Errorf("registering the metrics of notices: %w", err)
		}
	}
	return d, nil
}

// Names are the names of the channels, as [Config] takes them.
func (d *Deliverer) Names() []string {
	names := make([]string, len(d.config.Channels))
	for i, channel := range d.config.Channels {
		names[i] = channel.Name()
	}
	return names
}

// Wake has notices sent at once that were just written.
func (d *Deliverer) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run sends notices when they are due, until ctx ends. A database that is away is
// logged and waited for. It is called once.
func (d *Deliverer) Run(ctx context.Context) {
	ticker := time.NewTicker(d.config.Poll)
	defer ticker.Stop()
	for {
		if err := d.Deliver(ctx); err != nil && ctx.Err() == nil {
			d.config.Logger.WarnContext(ctx, "notices are not delivered for now; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-d.wake:
		}
	}
}

// due is a notice that is to be sent now.
type due struct {
	eventID  uuid.UUID
	channel  string
	content  []byte
	attempts int
}

// deliverAtOnce bounds the notices that one program takes at once.
const deliverAtOnce = 5

// Deliver sends all notices that are due now, once.
func (d *Deliverer) Deliver(ctx context.Context) error {
	for {
		list, err := d.take(ctx)
		if err != nil {
			return err
		}
		for _, n := range list {
			if err := d.deliver(ctx, n); err != nil {
				return err
			}
		}
		if len(list) == 0 {
			return d.tidy(ctx)
		}
	}
}

// take takes notices that are due, so that no other program has them before this
// one is through with them.
func (d *Deliverer) take(ctx context.Context) ([]due, error) {
	now := d.config.Now().UTC()
	rows, err := d.config.Pool.Query(ctx, `
		UPDATE ingest.notice n SET due_at = $3, attempts = attempts + 1 FROM (
		    SELECT event_id, channel FROM ingest.notice WHERE state = 'due' AND due_at <= $1 AND channel = ANY ($2)
		    ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) t
		WHERE n.event_id = t.event_id AND n.channel = t.channel
		RETURNING n.event_id, n.channel, n.content, n.attempts`,
		now, d.Names(), now.Add(2*deliverAtOnce*d.config.SendTimeout), deliverAtOnce)
	if err != nil {
		return nil, fmt.Errorf("looking for notices: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (due, error) {
		var n due
		return n, row.Scan(&n.eventID, &n.channel, &n.content, &n.attempts)
	})
	if err != nil {
		return nil, fmt.Errorf("looking for notices: %w", err)
	}
	return list, nil
}

// deliver sends one notice and writes down what came of it. Its error is that of
// the database.
func (d *Deliverer) deliver(ctx context.Context, n due) error {
	var notice Notice
	err := json.Unmarshal(n.content, &notice)
	if err == nil && notice.Kind == KindFindings {
		// What it tells is put together now that nothing is added to it any more.
		notice.Findings, err = d.news(ctx, n.eventID)
	}
	if err == nil {
		sending, cancel := context.WithTimeout(ctx, d.config.SendTimeout)
		err = d.channels[n.channel].Send(sending, notice)
		cancel()
	}
	if ctx.Err() != nil {
		// The program is stopping; whether it was sent is not known, so it is sent
		// again.
		ctx = context.WithoutCancel(ctx)
		if err != nil {
			_, err := d.config.Pool.Exec(ctx, `UPDATE ingest.notice SET due_at = $3, attempts = attempts - 1 WHERE event_id = $1 AND channel = $2`, n.eventID, n.channel, d.config.Now().UTC())
			return err
		}
	}
	now := d.config.Now().UTC()
	state, dueAt, said, result := "delivered", now, "", "delivered"
	var settled *time.Time
	switch {
	case err == nil:
		settled = &now
	case n.attempts >= d.config.Attempts:
		state, said, result, settled = "failed", message(err), "failed", &now
		d.config.Logger.ErrorContext(ctx, "a notice cannot be delivered and is given up", "channel", n.channel, "kind", string(notice.Kind),
			"character", notice.CharacterID, "user", notice.UserID, "consortium", notice.Consortium, "event_id", n.eventID.String(), "attempts", n.attempts, "error", err)
	default:
		state, dueAt, said, result = "due", now.Add(d.pause(n.attempts)), message(err), "retried"
		d.config.Logger.WarnContext(ctx, "a notice was not delivered; trying again", "channel", n.channel, "kind", string(notice.Kind),
			"character", notice.CharacterID, "user", notice.UserID, "consortium", notice.Consortium, "event_id", n.eventID.String(), "again_at", dueAt, "error", err)
	}
	d.sent.WithLabelValues(n.channel, result).Inc()
	_, err = d.config.Pool.Exec(ctx, `UPDATE ingest.notice SET state = $3, due_at = $4, last_error = $5, settled_at = $6 WHERE event_id = $1 AND channel = $2`,
		n.eventID, n.channel, state, dueAt, said, settled)
	if err != nil {
		return fmt.Errorf("writing down what came of a notice: %w", err)
	}
	return nil
}

// pause is how long to wait after a number of attempts.
func (d *Deliverer) pause(attempts int) time.Duration {
	wait := d.config.FirstRetry
	for range min(attempts-1, 30) {
		wait = min(4*wait, d.config.MaxRetry)
	}
	return wait
}

// message is an error as Postgres can keep it.
func message(err error) string {
	return strings.ToValidUTF8(strings.ReplaceAll(fmt.Sprintf("%.500s", err.Error()), "\x00", ""), "")
}

// pruneEvery is how often old notices are removed.
const pruneEvery = time.Hour

// tidy counts what waits and removes what is remembered long enough.
func (d *Deliverer) tidy(ctx context.Context) error {
	rows, err := d.config.Pool.Query(ctx, `SELECT channel, state, count(*) FROM ingest.notice WHERE state IN ('due', 'failed') GROUP BY 1, 2`)
	if err != nil {
		return fmt.Errorf("counting notices: %w", err)
	}
	d.waiting.Reset()
	for _, name := range d.Names() {
		d.waiting.WithLabelValues(name, "due").Set(0)
		d.waiting.WithLabelValues(name, "failed").Set(0)
	}
	var channel, state string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&channel, &state, &n}, func() error {
		d.waiting.WithLabelValues(channel, state).Set(float64(n))
		return nil
	}); err != nil {
		return fmt.Errorf("counting notices: %w", err)
	}
	now := d.config.Now()
	if now.Sub(d.pruned) < pruneEvery {
		return nil
	}
	if _, err := d.config.Pool.Exec(ctx, `DELETE FROM ingest.notice WHERE state <> 'due' AND settled_at < $1`, now.Add(-d.config.Keep).UTC()); err != nil {
		return fmt.Errorf("removing old notices: %w", err)
	}
	if _, err := d.config.Pool.Exec(ctx, `DELETE FROM ingest.notice_finding f WHERE NOT EXISTS (SELECT 1 FROM ingest.notice n WHERE n.event_id = f.notice_id)`); err != nil {
		return fmt.Errorf("removing what old notices told: %w", err)
	}
	d.pruned = now
	return nil
}
