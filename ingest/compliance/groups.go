package compliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// DefaultEvery is how often all memberships in compliance groups are looked at.
const DefaultEvery = time.Hour

// usersAtOnce bounds how many users are looked at with one question.
const usersAtOnce = 500

// GroupModel is the read model as memberships in compliance groups need it.
// Implementations are safe for concurrent use.
type GroupModel interface {
	// Shown waits until the read model shows an event.
	Shown(ctx context.Context, at event.Position) error
	// GroupsNow are all compliance groups.
	GroupsNow(ctx context.Context) (*access.ComplianceGroups, error)
	// GroupStandings are what groups ask of users, in byte order of their ids: of those of
	// the ids, or of at most limit users behind the id after if ids is nil.
	GroupStandings(ctx context.Context, ids []string, after string, limit int) ([]access.GroupStanding, error)
	// GroupCandidates are the users whose memberships may change with what is told of a
	// character.
	GroupCandidates(ctx context.Context, character int64) ([]string, error)
}

// GroupConfig is what a [GroupWatcher] works with. Every and Now have defaults, all other
// fields must be set.
type GroupConfig struct {
	// Pool is on a database with the tables of ingest's schema.
	Pool       *pgxpool.Pool
	Registry   *event.Registry
	Model      GroupModel
	Appender   Appender
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Every is how often all users are looked at: [DefaultEvery]. Events tell of nearly
	// all that matters; this finds the rest.
	Every time.Duration
	// Now is the clock: time.Now.
	Now func() time.Time
}

// GroupWatcher keeps users in the compliance groups in which they should be: what has
// changed becomes an event of the user's stream. It is a reactor, and runs on its own
// beside that. It may be given events of several topics at the same time, each at least
// once, and several programs may run one each on the same database.
type GroupWatcher struct {
	config  GroupConfig
	changes *prometheus.CounterVec
}

// NewGroupWatcher is a watcher. It fails with [event.CodeInvalid] if something is
// missing.
func NewGroupWatcher(c GroupConfig) (*GroupWatcher, error) {
	if c.Pool == nil || c.Model == nil || c.Appender == nil || c.Registerer == nil || c.Logger == nil {
		return nil, event.Errorf(event.CodeInvalid, "watching compliance groups needs a pool, the read model, an appender, a registerer and a logger")
	}
	if c.Every <= 0 {
		c.Every = DefaultEvery
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	w := &GroupWatcher{config: c, changes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "muster_compliance_group_changes_total", Help: "Memberships in compliance groups that users have gained or lost.",
	}, []string{"change"})}
	if err := c.Registerer.Register(w.changes); err != nil {
		return nil, fmt.Errorf("registering the metrics of compliance groups: %w", err)
	}
	return w, nil
}

// trigger is what memberships are looked at for.
type trigger struct {
	access.GroupCause
	// id is that of the event; empty for a periodic run.
	id string
}

// React tells what an event has changed. The same event may be given again.
func (w *GroupWatcher) React(ctx context.Context, e event.Recorded) error {
	if e.IsTombstone() || !ConcernsGroups(e.Type) {
		return nil
	}
	if err := w.config.Model.Shown(ctx, e.Position); err != nil {
		return err
	}
	why := trigger{access.GroupCause{Cause: e.Type, Since: e.Time.UTC()}, e.ID.String()}
	if e.Stream == event.Roles {
		// Roles give basic access, to whoever holds them.
		return w.sweep(ctx, why)
	}
	users := []string{}
	if id, ok := e.Stream.UserID(); ok {
		users = append(users, id)
	}
	if character, ok := e.Stream.CharacterID(); ok {
		why.CharacterID = character
		var err error
		if users, err = w.config.Model.GroupCandidates(ctx, character); err != nil {
			return fmt.Errorf("looking up whom character %d concerns: %w", character, err)
		}
	}
	for _, user := range users {
		if err := w.tell(ctx, user, why); err != nil {
			return event.Errorf(event.CodeUnavailable, "telling of the compliance groups of user %s after %s: %w", user, e.Key(), err)
		}
	}
	return nil
}

// ConcernsGroups tells whether events of a type can change who is in which group.
func ConcernsGroups(t event.Type) bool {
	switch t {
	case access.TypeUserRegistered, access.TypeListed,
		access.TypeRoleDefined, access.TypeRoleRemoved, access.TypeRoleGranted, access.TypeRoleRevoked,
		access.TypeGroupDefined, access.TypeGroupRemoved,
		eve.TypeCharacterRegistered, eve.TypeCharacterReclaimed, eve.TypeCharacterOrphaned, eve.TypeCharacterForgotten:
		return true
	default:
		return false
	}
}

// sweepRetry is the longest pause before all users are looked at again when that could not
// be done, as right after a start, when the read model may not be there yet.
const sweepRetry = 15 * time.Second

// Run looks at all users from time to time, until ctx ends. A database that is away is
// logged and waited for.
func (w *GroupWatcher) Run(ctx context.Context) {
	for {
		pause := w.config.Every
		if err := w.Sweep(ctx); err != nil && ctx.Err() == nil {
			pause = min(pause, sweepRetry)
			w.config.Logger.WarnContext(ctx, "compliance groups could not be looked at; trying again later", "again_in", pause.String(), "error", err)
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// Sweep looks at all users, once.
func (w *GroupWatcher) Sweep(ctx context.Context) error {
	return w.sweep(ctx, trigger{GroupCause: access.GroupCause{Since: w.config.Now().UTC()}})
}

func (w *GroupWatcher) sweep(ctx context.Context, why trigger) error {
	groups, err := w.config.Model.GroupsNow(ctx)
	if err != nil {
		return fmt.Errorf("reading the compliance groups that there are: %w", err)
	}
	for after := ""; ; {
		page, err := w.config.Model.GroupStandings(ctx, nil, after, usersAtOnce)
		if err != nil {
			return fmt.Errorf("reading how users stand to compliance groups: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		ids := make([]string, len(page))
		for i, s := range page {
			ids[i] = s.UserID
		}
		told, err := w.toldOf(ctx, ids)
		if err != nil {
			return event.Errorf(event.CodeUnavailable, "reading what was told of compliance groups: %w", err)
		}
		for _, s := range page {
			before := told[s.UserID]
			if events, _ := groups.DecideMemberships(before.member, s, why.GroupCause); len(events) == 0 && before.pending == nil {
				continue
			}
			if err := w.tell(ctx, s.UserID, why); err != nil {
				return event.Errorf(event.CodeUnavailable, "telling of the compliance groups of user %s: %w", s.UserID, err)
			}
		}
		after = page[len(page)-1].UserID
	}
}

// groupsTold is what was last told of a user's groups.
type groupsTold struct {
	member  map[uuid.UUID]string
	eventID uuid.UUID
	pending []pendingChange
}

// pendingChange is an event that may not be in the log yet: one of both is there.
type pendingChange struct {
	ID          uuid.UUID            `json:"id"`
	CausationID string               `json:"causation_id,omitempty"`
	Lost        *access.GroupsLost   `json:"lost,omitempty"`
	Gained      *access.GroupsGained `json:"gained,omitempty"`
}

func (p pendingChange) event(user string) (event.Event, error) {
	var payload event.Payload
	var at time.Time
	if p.Lost != nil {
		payload, at = *p.Lost, p.Lost.Since
	} else {
		payload, at = *p.Gained, p.Gained.Since
	}
	e, err := event.New(p.ID, event.User(user), Source, at, payload)
	e.CausationID = p.CausationID
	return e, err
}

// tell appends how a user's memberships have changed, if they have.
func (w *GroupWatcher) tell(ctx context.Context, user string, why trigger) error {
	return telling[groupsTold]{
		pool: w.config.Pool, lock: "muster/ingest/compliance/groups/", last: last, append: w.append,
		waits: func(t groupsTold) bool { return t.pending != nil },
		note: func(ctx context.Context, tx pgx.Tx, user string, before groupsTold) (groupsTold, error) {
			return w.note(ctx, tx, user, before, why)
		},
	}.of(ctx, user)
}

// last is what was last told of a user.
func last(ctx context.Context, q querier, user string) (groupsTold, error) {
	var t groupsTold
	err := q.QueryRow(ctx, `SELECT member, event_id, pending FROM ingest.compliance_groups WHERE user_id = $1`, user).Scan(&t.member, &t.eventID, &t.pending)
	if errors.Is(err, pgx.ErrNoRows) {
		return groupsTold{}, nil
	}
	return t, err
}

// toldOf is what was last told of several users.
func (w *GroupWatcher) toldOf(ctx context.Context, ids []string) (map[string]groupsTold, error) {
	rows, err := w.config.Pool.Query(ctx, `SELECT user_id, member, event_id, pending FROM ingest.compliance_groups WHERE user_id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	told := map[string]groupsTold{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var user string
		var t groupsTold
		err := row.Scan(&user, &t.member, &t.eventID, &t.pending)
		told[user] = t
		return user, err
	})
	return told, err
}

// note writes down what is to be told; the zero value if there is nothing.
func (w *GroupWatcher) note(ctx context.Context, tx pgx.Tx, user string, before groupsTold, why trigger) (groupsTold, error) {
	groups, err := w.config.Model.GroupsNow(ctx)
	if err != nil {
		return groupsTold{}, err
	}
	if len(groups.ByID) == 0 && len(before.member) == 0 {
		return groupsTold{}, nil
	}
	// Somebody who is not known holds nothing.
	standing := access.GroupStanding{UserID: user}
	found, err := w.config.Model.GroupStandings(ctx, []string{user}, "", 1)
	if err != nil {
		return groupsTold{}, err
	}
	if len(found) > 0 {
		standing = found[0]
	}
	events, after := groups.DecideMemberships(before.member, standing, why.GroupCause)
	if len(events) == 0 {
		return groupsTold{}, nil
	}
	t := groupsTold{member: after, eventID: before.eventID}
	for _, p := range events {
		content, err := json.Marshal(p)
		if err != nil {
			return groupsTold{}, err
		}
		change := pendingChange{ID: event.ObservationID(event.User(user), p.EventType(), t.eventID, string(content)), CausationID: why.id}
		switch p := p.(type) {
		case access.GroupsLost:
			change.Lost = &p
		case access.GroupsGained:
			change.Gained = &p
		}
		t.eventID, t.pending = change.ID, append(t.pending, change)
	}
	_, err = tx.Exec(ctx, `INSERT INTO ingest.compliance_groups (user_id, member, event_id, pending) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET member = excluded.member, event_id = excluded.event_id, pending = excluded.pending`,
		user, t.member, t.eventID, t.pending)
	return t, err
}

// append appends what is noted down of a user, if it may not be in the log.
func (w *GroupWatcher) append(ctx context.Context, user string, t groupsTold) error {
	if t.pending == nil {
		return nil
	}
	events := make([]event.Event, len(t.pending))
	for i, change := range t.pending {
		var err error
		if events[i], err = change.event(user); err != nil {
			return err
		}
	}
	if err := w.config.Appender.Append(ctx, events...); err != nil {
		return err
	}
	tag, err := w.config.Pool.Exec(ctx, `UPDATE ingest.compliance_groups SET pending = NULL WHERE user_id = $1 AND event_id = $2 AND pending IS NOT NULL`, user, t.eventID)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	for _, change := range t.pending {
		if change.Lost != nil {
			w.changes.WithLabelValues("lost").Add(float64(len(change.Lost.Groups)))
			w.config.Logger.InfoContext(ctx, "compliance groups lost", "user", user, "groups", len(change.Lost.Groups), "cause", string(change.Lost.Cause), "since", change.Lost.Since.Format(time.RFC3339))
			continue
		}
		w.changes.WithLabelValues("gained").Add(float64(len(change.Gained.Groups)))
		w.config.Logger.InfoContext(ctx, "compliance groups gained", "user", user, "groups", len(change.Gained.Groups), "cause", string(change.Gained.Cause), "since", change.Gained.Since.Format(time.RFC3339))
	}
	return nil
}
