// Package compliance tells the log when users become compliant, when they are so no
// more and when the reasons become others, so that the history of an organisation can be drawn.
//
// A [Watcher] is a reactor: events about users, about roles, which decide whom reports
// consider, and about characters that users are said to own have it look at the read
// model, and what has changed there becomes an event of the user's stream.
package compliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Source names the watcher in events.
const Source = "muster/ingest/compliance"

// Appender appends events to the log, in order, and answers once they are there.
// Appending an event again is harmless.
type Appender interface {
	Append(ctx context.Context, events ...event.Event) error
}

// Config is what a [Watcher] works with. All fields must be set.
type Config struct {
	// Pool is on a database with the tables of ingest's schema.
	Pool *pgxpool.Pool
	// Shown waits until the read model shows an event.
	Shown func(ctx context.Context, at event.Position) error
	// Look tells how a user stands; nil if reports do not consider him.
	Look func(ctx context.Context, user string) (*access.UserCompliance, error)
	// LookAll tells how at most limit users stand whom reports consider, in byte order of
	// their ids, behind the id after.
	LookAll func(ctx context.Context, after string, limit int) ([]access.UserCompliance, error)
	// Listing are the users who are said to own a character that is not registered, or
	// was not when that was said.
	Listing    func(ctx context.Context, character int64) ([]string, error)
	Appender   Appender
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Watcher tells of changes of compliance. It may be given events of several topics at
// the same time, each at least once.
type Watcher struct {
	config  Config
	changes *prometheus.CounterVec
}

// NewWatcher is a watcher. It fails with [event.CodeInvalid] if something is missing.
func NewWatcher(c Config) (*Watcher, error) {
	if c.Pool == nil || c.Shown == nil || c.Look == nil || c.LookAll == nil || c.Listing == nil || c.Appender == nil || c.Registerer == nil || c.Logger == nil {
		return nil, event.Errorf(event.CodeInvalid, "watching compliance needs a pool, the read model, an appender, a registerer and a logger")
	}
	w := &Watcher{config: c, changes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "muster_compliance_changes_total", Help: "Users that became compliant, or are so no more, or have other kinds of things to put right.",
	}, []string{"compliant"})}
	if err := c.Registerer.Register(w.changes); err != nil {
		return nil, fmt.Errorf("registering the metrics of compliance: %w", err)
	}
	return w, nil
}

// React tells what an event has changed. The same event may be given again.
func (w *Watcher) React(ctx context.Context, e event.Recorded) error {
	if e.IsTombstone() || !Watches(e.Type) {
		return nil
	}
	if err := w.config.Shown(ctx, e.Position); err != nil {
		return err
	}
	if e.Stream == event.Roles {
		// Roles give basic access, to whoever holds them.
		return w.tellAll(ctx, e)
	}
	users, err := w.concerned(ctx, e)
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := w.tell(ctx, user, e); err != nil {
			return event.Errorf(event.CodeUnavailable, "telling how user %s stands after %s: %w", user, e.Key(), err)
		}
	}
	return nil
}

// Watches tells whether a [Watcher] is about events of a type.
func Watches(t event.Type) bool {
	switch t {
	case access.TypeUserRegistered, access.TypeMainSet, access.TypeListed,
		access.TypeRoleDefined, access.TypeRoleRemoved, access.TypeRoleGranted, access.TypeRoleRevoked, access.TypeGroupsGained, access.TypeGroupsLost,
		eve.TypeCharacterRegistered, eve.TypeCharacterReclaimed, eve.TypeCharacterOrphaned, eve.TypeCharacterForgotten:
		return true
	default:
		return false
	}
}

// concerned are the users whose compliance may have changed. That a character is
// registered, or is no more, only matters to those who are said to own it: one that
// nobody lists is registered or not there.
func (w *Watcher) concerned(ctx context.Context, e event.Recorded) ([]string, error) {
	if user, ok := e.Stream.UserID(); ok {
		return []string{user}, nil
	}
	character, ok := e.Stream.CharacterID()
	if !ok {
		return nil, nil
	}
	users, err := w.config.Listing(ctx, character)
	if err != nil {
		return nil, fmt.Errorf("looking up who owns character %d: %w", character, err)
	}
	return users, nil
}

// tellAll tells of all users what an event has changed.
func (w *Watcher) tellAll(ctx context.Context, cause event.Recorded) error {
	users, err := w.differing(ctx)
	if err != nil {
		return event.Errorf(event.CodeUnavailable, "looking at how all users stand after %s: %w", cause.Key(), err)
	}
	for _, user := range users {
		if err := w.tell(ctx, user, cause); err != nil {
			return event.Errorf(event.CodeUnavailable, "telling how user %s stands after %s: %w", user, cause.Key(), err)
		}
	}
	return nil
}

// differing are the users who do not stand as was told of them last, or of whom something
// may not be in the log, in byte order of their ids.
func (w *Watcher) differing(ctx context.Context) ([]string, error) {
	before, err := w.toldOfAll(ctx)
	if err != nil {
		return nil, err
	}
	var users []string
	for after := ""; ; {
		page, err := w.config.LookAll(ctx, after, usersAtOnce)
		if err != nil {
			return nil, err
		}
		for _, u := range page {
			t := before[u.User]
			if t.pending != nil || !t.considered || t.compliant != u.Compliant || t.faults != faultsOf(u.Reasons) {
				users = append(users, u.User)
			}
			delete(before, u.User)
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].User
	}
	// Whoever is left is considered no more.
	for user, t := range before {
		if t.considered || t.pending != nil {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users, nil
}

func (w *Watcher) toldOfAll(ctx context.Context) (map[string]told, error) {
	rows, err := w.config.Pool.Query(ctx, `SELECT user_id, considered, compliant, faults, event_id, pending FROM ingest.compliance`)
	if err != nil {
		return nil, err
	}
	all := map[string]told{}
	var user string
	var t told
	_, err = pgx.ForEachRow(rows, []any{&user, &t.considered, &t.compliant, &t.faults, &t.eventID, &t.pending}, func() error {
		one := t
		one.pending = slices.Clone(t.pending)
		all[user] = one
		return nil
	})
	return all, err
}

// told is what was last told of a user.
type told struct {
	considered, compliant bool
	// faults are the kinds of what there is to be put right, in order.
	faults  string
	eventID uuid.UUID
	pending []byte
}

// tell appends that a user's compliance has changed, if it has.
func (w *Watcher) tell(ctx context.Context, user string, cause event.Recorded) error {
	return telling[told]{
		pool: w.config.Pool, lock: "muster/ingest/compliance/", last: w.last, append: w.append,
		waits: func(t told) bool { return t.pending != nil },
		note: func(ctx context.Context, tx pgx.Tx, user string, before told) (told, error) {
			return w.note(ctx, tx, user, before, cause)
		},
	}.of(ctx, user)
}

func (w *Watcher) last(ctx context.Context, q querier, user string) (told, error) {
	var t told
	err := q.QueryRow(ctx, `SELECT considered, compliant, faults, event_id, pending FROM ingest.compliance WHERE user_id = $1`, user).Scan(&t.considered, &t.compliant, &t.faults, &t.eventID, &t.pending)
	if errors.Is(err, pgx.ErrNoRows) {
		return told{}, nil
	}
	return t, err
}

// note writes down what is to be told; the zero value if there is nothing.
func (w *Watcher) note(ctx context.Context, tx pgx.Tx, user string, before told, cause event.Recorded) (told, error) {
	standing, err := w.config.Look(ctx, user)
	if err != nil {
		return told{}, err
	}
	change := access.ComplianceChanged{UserID: user, Since: cause.Time.UTC()}
	if standing != nil {
		change.Considered, change.Compliant = true, standing.Compliant
		change.Total, change.Unregistered, change.Reasons = standing.Total, standing.Unregistered, standing.Reasons
	}
	faults := faultsOf(change.Reasons)
	if change.Considered == before.considered && change.Compliant == before.compliant && faults == before.faults {
		return told{}, nil
	}
	content, err := json.Marshal(change)
	if err != nil {
		return told{}, err
	}
	t := told{
		considered: change.Considered, compliant: change.Compliant, faults: faults, pending: content,
		eventID: event.ObservationID(event.User(user), access.TypeComplianceChanged, before.eventID, fmt.Sprint(change.Considered, change.Compliant, faults)),
	}
	_, err = tx.Exec(ctx, `INSERT INTO ingest.compliance (user_id, considered, compliant, faults, event_id, pending) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (user_id) DO UPDATE SET considered = excluded.considered, compliant = excluded.compliant, faults = excluded.faults, event_id = excluded.event_id, pending = excluded.pending`,
		user, t.considered, t.compliant, t.faults, t.eventID, t.pending)
	return t, err
}

// faultsOf are the kinds of what there is to be put right, each once and in order. How
// many characters are concerned is no change that would be told.
func faultsOf(reasons []access.Reason) string {
	var faults []string
	for _, r := range reasons {
		faults = append(faults, string(r.Fault))
	}
	slices.Sort(faults)
	return strings.Join(slices.Compact(faults), ",")
}

// append appends what is noted down of a user, if it may not be in the log.
func (w *Watcher) append(ctx context.Context, user string, t told) error {
	if t.pending == nil {
		return nil
	}
	var change access.ComplianceChanged
	if err := json.Unmarshal(t.pending, &change); err != nil {
		return err
	}
	e, err := event.New(t.eventID, event.User(user), Source, change.Since, change)
	if err != nil {
		return err
	}
	if err := w.config.Appender.Append(ctx, e); err != nil {
		return err
	}
	tag, err := w.config.Pool.Exec(ctx, `UPDATE ingest.compliance SET pending = NULL WHERE user_id = $1 AND event_id = $2 AND pending IS NOT NULL`, user, t.eventID)
	if err != nil {
		return err
	}
	if tag.RowsAffected() > 0 {
		w.changes.WithLabelValues(strconv.FormatBool(t.compliant)).Inc()
		w.config.Logger.InfoContext(ctx, "compliance changed", "user", user, "considered", t.considered, "compliant", t.compliant, "since", change.Since.Format(time.RFC3339))
	}
	return nil
}
