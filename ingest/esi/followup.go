package esi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// FollowUp is something that is fetched apart from the list that names it.
type FollowUp struct {
	// Kind says what it is; ItemID is the record's.
	Kind   string
	ItemID int64
	// Extra is what the request needs beside the id.
	Extra string
	// Moment is that of the record.
	Moment time.Time
	// Once tells that it is fetched once; else it is fetched again and again until
	// it is settled.
	Once bool
}

// The kinds of follow-ups.
const (
	followMailBody      = "mail-body"
	followContractItems = "contract-items"
	followContractBids  = "contract-bids"
	followKillmail      = "killmail"
	followCalendarEvent = "calendar-event"
)

// followKind is how a kind of follow-up is fetched and told.
type followKind struct {
	route  catalogue.Route
	params func(followUp) map[string]string
	// item makes the amendment of the record; body is nil for what ESI does not
	// have any more.
	item func(f followUp, body []byte) (json.RawMessage, error)
	// once: it does not change.
	once bool
	// again is after how many intervals of the section what changes is fetched
	// again; until tells when it is settled.
	again int
	until func(f followUp, now time.Time) bool
	// shared: the answer is the same for all characters, so that ESI is asked once
	// for all of them while it is fresh.
	shared bool
	// records tells that the answer is the record itself.
	records bool
	// missing tells that its absence is told once ESI has said so often enough.
	missing bool
}

// missingAfter is how many times in a row ESI must say that something is not
// there before that is believed: it has said so of everything during maintenance.
const missingAfter = 3

// bidsLast is how long after it was issued an auction is looked at, should ESI stop
// listing it before it says that it is over: auctions run two weeks at most, and
// ESI lists a month.
const bidsLast = 31 * 24 * time.Hour

func followKinds() map[string]followKind {
	named := func(name string) func(followUp) map[string]string {
		return func(f followUp) map[string]string {
			return map[string]string{name: strconv.FormatInt(f.ItemID, 10)}
		}
	}
	listOf := func(key, name string) func(followUp, []byte) (json.RawMessage, error) {
		return func(f followUp, body []byte) (json.RawMessage, error) {
			if _, err := elementsOf(body); err != nil {
				return nil, err
			}
			return object(field{key, strconv.AppendInt(nil, f.ItemID, 10)}, field{name, body}), nil
		}
	}
	return map[string]followKind{
		followMailBody:      {route: catalogue.CharacterMail(), params: named("mail_id"), item: mailBody, once: true, missing: true},
		followContractItems: {route: catalogue.CharacterContractItems(), params: named("contract_id"), item: listOf("contract_id", "items"), once: true},
		followContractBids: {
			route: catalogue.CharacterContractBids(), params: named("contract_id"), item: listOf("contract_id", "bids"), again: 1,
			until: func(f followUp, now time.Time) bool { return f.Once || !now.Before(f.Moment.Add(bidsLast)) },
		},
		followKillmail: {
			route: catalogue.Killmail(), records: true, once: true, shared: true, item: killmail,
			params: func(f followUp) map[string]string {
				return map[string]string{"killmail_id": strconv.FormatInt(f.ItemID, 10), "killmail_hash": f.Extra}
			},
		},
		followCalendarEvent: {
			route: catalogue.CharacterCalendarEvent(), params: named("event_id"), item: calendarEvent, again: 6,
		},
	}
}

// mailBody is a mail's body; a mail without one has an empty body, which is one.
func mailBody(f followUp, body []byte) (json.RawMessage, error) {
	id := field{"mail_id", strconv.AppendInt(nil, f.ItemID, 10)}
	if body == nil {
		return object(id, field{"body_missing", []byte("true")}), nil
	}
	var mail struct {
		Body string `json:"body"`
	}
	if err := json.Unmarshal(body, &mail); err != nil {
		return nil, event.Errorf(event.CodeInvalid, "a mail: %w", err)
	}
	text, err := json.Marshal(mail.Body)
	if err != nil {
		return nil, fmt.Errorf("writing the body of a mail: %w", err)
	}
	return object(id, field{"body", text}), nil
}

// killmail is a killmail's details with its hash.
func killmail(f followUp, body []byte) (json.RawMessage, error) {
	var k struct {
		ID   int64     `json:"killmail_id"`
		Time time.Time `json:"killmail_time"`
	}
	if err := json.Unmarshal(body, &k); err != nil {
		return nil, event.Errorf(event.CodeInvalid, "a killmail: %w", err)
	}
	if k.ID != f.ItemID || k.Time.IsZero() {
		return nil, event.Errorf(event.CodeInvalid, "a killmail: must be number %d and have a killmail_time", f.ItemID)
	}
	hash, err := json.Marshal(f.Extra)
	if err != nil {
		return nil, fmt.Errorf("writing the hash of a killmail: %w", err)
	}
	return withField(body, field{"killmail_hash", hash})
}

// calendarEvent is an event's details.
func calendarEvent(f followUp, body []byte) (json.RawMessage, error) {
	return withField(body, field{"event_id", strconv.AppendInt(nil, f.ItemID, 10)})
}

// withField puts a field in front of an object's own; its own stands if it has
// one of that name.
func withField(body []byte, f field) (json.RawMessage, error) {
	body = bytes.TrimSpace(body)
	if len(body) < 2 || body[0] != '{' {
		return nil, event.Errorf(event.CodeInvalid, "must be a JSON object")
	}
	head := object(f)
	rest := bytes.TrimSpace(body[1:])
	if len(rest) == 1 {
		return head, nil
	}
	return append(append(head[:len(head)-1], ','), rest...), nil
}

// followUp is a follow-up as it is stored.
type followUp struct {
	FollowUp

	etag, contentHash string
	lastEventID       uuid.UUID
	failures          int
	class             eve.FailureClass
	since             time.Time
	due               time.Time
}

// followed is what became of a follow-up.
type followed struct {
	followUp

	// over: the row goes.
	over             bool
	dueAt, notBefore time.Time
	status           int
	// message is why it failed; empty if it did not.
	message string
}

const (
	// followAtOnce bounds how many follow-ups one call fetches.
	followAtOnce = 25
	// finishWithin bounds how long what has come is written down after a call was
	// given up.
	finishWithin = 5 * time.Second
)

// FollowOutcome is what a call of [Syncer.FollowUp] came to.
type FollowOutcome struct {
	// Events is how many events were appended, Failed how many follow-ups failed.
	Events, Failed int
	// NextAt is when the next follow-up of the section is due; zero if there is
	// none.
	NextAt time.Time
	// Failure is the last failure, or what holds requests back; nil if there is
	// none.
	Failure *transport.Failure
}

// FollowUp fetches what is due of what a section's list named, and appends it. What
// fails is tried again later, each by itself. Errors are as of [Syncer.Sync].
func (s *Syncer) FollowUp(ctx context.Context, character int64, name eve.Section) (FollowOutcome, error) {
	if _, ok := s.sections[name]; !ok {
		return FollowOutcome{}, event.Errorf(event.CodeNotFound, "section %q is not synced by this Muster", name)
	}
	return s.tracedFollowUp(ctx, character, name)
}

func (s *Syncer) followUp(ctx context.Context, character int64, name eve.Section) (FollowOutcome, error) {
	next, held, err := s.store.nextFollowUps(ctx, character, name, followAtOnce+1)
	if err == nil && held != nil {
		err = s.release(ctx, character, name, held)
	}
	if err != nil {
		return FollowOutcome{}, err
	}
	outcome, done, events, broken := s.followAll(ctx, character, name, next[:min(len(next), followAtOnce)])
	if broken != nil && ctx.Err() != nil {
		// What came before it must not be asked for again, also if the program is
		// about to stop.
		finishing, finished := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
		defer finished()
		ctx = finishing
	}
	held = nil
	if events, err = s.seal(ctx, events); err != nil {
		// Nothing is taken over, so that it is fetched again.
		return outcome, errors.Join(broken, fmt.Errorf("appending what was fetched apart for section %s of character %d: %w", name, character, err))
	}
	if len(events) > 0 {
		if err := s.door.Append(ctx, events...); err != nil {
			broken = errors.Join(broken, fmt.Errorf("appending what was fetched apart for section %s of character %d: %w", name, character, err))
			if event.CodeOf(err) == event.CodeInvalid {
				return outcome, broken
			}
			held = &pending{Events: events}
			finishing, finished := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
			defer finished()
			ctx = finishing
		}
	}
	outcome.Events = len(events)
	s.events.WithLabelValues(string(name)).Add(float64(len(events)))
	if outcome.NextAt, err = s.store.followedUp(ctx, character, name, done, next[len(done):], held); err != nil {
		return outcome, errors.Join(broken, err)
	}
	if broken != nil {
		return outcome, broken
	}
	if f := outcome.Failure; f != nil && f.Deferred && f.RetryAt.After(outcome.NextAt) {
		outcome.NextAt = f.RetryAt
	}
	return outcome, nil
}

// followAll fetches what is due of follow-ups, one after the other, until one of them
// fails in a way that the others would, too.
func (s *Syncer) followAll(ctx context.Context, character int64, name eve.Section, next []followUp) (FollowOutcome, []followed, []event.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.ReadWithin)
	defer cancel()
	now := s.config.Now()
	var outcome FollowOutcome
	var events []event.Event
	var done []followed
	for _, f := range next {
		if f.due.After(now) {
			break
		}
		if s.door.closed() {
			outcome.Failure = s.door.held(character, name, s.config.Now())
			break
		}
		result, e, failure, err := s.follow(ctx, character, name, f)
		if err != nil {
			return outcome, done, events, err
		}
		if failure != nil {
			outcome.Failure = failure
		}
		if failure != nil && (failure.Deferred || failure.Class == eve.FailureToken) {
			// The others would meet the same.
			break
		}
		if result.message != "" {
			outcome.Failed++
		}
		done = append(done, result)
		if e != nil {
			events = append(events, *e)
		}
	}
	return outcome, done, events, nil
}

// release appends what the log did not take when it was fetched.
func (s *Syncer) release(ctx context.Context, character int64, name eve.Section, held *pending) error {
	// What an earlier version held back may not be sealed.
	events, err := s.seal(ctx, held.Events)
	if err == nil {
		err = s.door.Append(ctx, events...)
	}
	switch {
	case event.CodeOf(err) == event.CodeInvalid:
		// The log will never take them.
		s.config.Logger.ErrorContext(ctx, "the log refuses what was fetched apart earlier; it is dropped", "character", character, "section", string(name), "error", err)
	case err != nil:
		return fmt.Errorf("appending what was fetched apart earlier for section %s of character %d: %w", name, character, err)
	}
	return s.store.released(ctx, character, name)
}

// follow fetches one follow-up.
func (s *Syncer) follow(ctx context.Context, character int64, name eve.Section, f followUp) (followed, *event.Event, *transport.Failure, error) {
	kind, known := s.kinds[f.Kind]
	result := followed{followUp: f}
	if !known {
		return result, nil, nil, event.Errorf(event.CodeNotFound, "follow-up of kind %q: this Muster is older than the one that made it", f.Kind)
	}
	request := transport.Request{Route: kind.route, Character: character, Params: kind.params(f)}
	if f.etag != "" {
		request.Prior, request.Complete = []transport.Page{{ETag: f.etag}}, 1
	}
	answer, err := s.fetch(ctx, kind, f, request)
	var failure *transport.Failure
	now := s.config.Now().UTC()
	switch {
	case errors.As(err, &failure):
		if failure.Class == eve.FailureNotFound && kind.missing && f.failures+1 >= missingAfter {
			return s.followMissing(character, name, kind, result, now)
		}
		return s.followFailed(ctx, name, result, failure, now), nil, failure, nil
	case err != nil:
		return result, nil, nil, err //nolint:wrapcheck // The client says what failed.
	}
	result.failures, result.class, result.since = 0, "", time.Time{}
	result.dueAt, result.notBefore = later(now.Add(time.Duration(kind.again)*s.config.Options.interval(name)), answer.ExpiresAt), answer.ExpiresAt
	result.over = kind.once
	if kind.until != nil && kind.until(f, now) {
		// The row stays for its ETag: what is over may come back.
		result.dueAt = dormantAt()
	}
	if answer.NotModified {
		return result, nil, nil, nil
	}
	e, err := s.tell(character, name, kind, &result, answer.Pages[0].Body, answer.FetchedAt)
	if event.CodeOf(err) == event.CodeInvalid {
		retry := answer.ExpiresAt
		if kind.once {
			// How long it is good says of what never changes only that it never
			// changes, and not that a spoilt copy is right.
			retry = time.Time{}
		}
		failure := &transport.Failure{
			Class: eve.FailureMalformed, Status: http.StatusOK, RetryAt: retry,
			Message: fmt.Sprintf("%s of character %d, number %d: %v; the answer is kept in quarantine", kind.route.Operation, character, f.ItemID, err),
			Sample: &transport.Sample{
				CharacterID: character, Operation: kind.route.Operation, Path: kind.route.Path(character), Status: http.StatusOK,
				ContentType: "application/json", Reason: err.Error(), Body: sampleOf(answer.Pages), At: answer.FetchedAt,
			},
		}
		// It is not over: it is asked for again, without the ETag of what cannot be read.
		return s.followFailed(ctx, name, followed{followUp: f, notBefore: retry}, failure, now), nil, failure, nil
	}
	result.etag = answer.Pages[0].ETag
	return result, e, nil, err
}

// fetch asks ESI, unless the answer is one for all characters and still fresh.
func (s *Syncer) fetch(ctx context.Context, kind followKind, f followUp, request transport.Request) (transport.Answer, error) {
	if !kind.shared {
		return s.config.Client.Get(ctx, request) //nolint:wrapcheck // The client says what failed.
	}
	path, err := request.Route.Resolve(request.Character, request.Params)
	if err != nil {
		return transport.Answer{}, event.Errorf(event.CodeInvalid, "asking ESI: %w", err)
	}
	for {
		answer, mine, err := s.answers.do(ctx, path, func() (transport.Answer, error) {
			return s.fetchShared(ctx, path, request, func(answer transport.Answer) bool {
				_, err := kind.item(f, answer.Pages[0].Body)
				return err == nil
			})
		})
		switch {
		case ctx.Err() != nil && !mine:
			return transport.Answer{}, fmt.Errorf("asking ESI for %s: %w", path, err)
		case !mine && errors.Is(err, context.Canceled):
			// The call that was joined was given up, this one was not.
			continue
		}
		return answer, err
	}
}

// fetchShared keeps what is usable.
func (s *Syncer) fetchShared(ctx context.Context, path string, request transport.Request, usable func(transport.Answer) bool) (transport.Answer, error) {
	kept, there, err := s.store.shared(ctx, path, s.config.Now())
	if err != nil || there {
		return kept, err
	}
	answer, err := s.config.Client.Get(ctx, request)
	if err != nil {
		return answer, err //nolint:wrapcheck // The client says what failed.
	}
	if !usable(answer) {
		return answer, nil
	}
	return answer, s.store.share(ctx, path, answer)
}

// tell makes the event of an answer, unless it says what the last one said.
func (s *Syncer) tell(character int64, name eve.Section, kind followKind, f *followed, body []byte, at time.Time) (*event.Event, error) {
	item, err := kind.item(f.followUp, body)
	if err != nil {
		return nil, err
	}
	hash, err := eve.RecordHash(name, item)
	if err != nil || hash == f.contentHash {
		return nil, err
	}
	moment := f.Moment
	amendment := eve.Amendment{CharacterID: character, Section: name, FetchedAt: at, Moment: moment, Item: item}
	build := eve.Amend
	if kind.records {
		build = eve.Record
		var head struct {
			Time time.Time `json:"killmail_time"`
		}
		if json.Unmarshal(item, &head) == nil && !head.Time.IsZero() {
			amendment.Moment = head.Time
		}
	}
	e, err := build(source, amendment, f.lastEventID)
	if err != nil {
		return nil, err
	}
	f.contentHash, f.lastEventID = hash, e.ID
	return &e, nil
}

// followMissing tells that ESI does not have it any more.
func (s *Syncer) followMissing(character int64, name eve.Section, kind followKind, result followed, now time.Time) (followed, *event.Event, *transport.Failure, error) {
	result.over = true
	e, err := s.tell(character, name, kind, &result, nil, now)
	return result, e, nil, err
}

// giveUpAfter is how many times in a row ESI must say that something is not there
// before it is not asked for any more.
const giveUpAfter = 10

// The wait after a failed follow-up, in parts of the section's interval: a minute at
// first, doubled each time, and about a day at most.
const (
	patienceParts = 235
	patienceMost  = 6
	// stubborn is what that is multiplied with where trying again seldom helps.
	stubborn = 10
)

// followFailed counts a failure. What failed so often is tried ever more seldom.
func (s *Syncer) followFailed(ctx context.Context, name eve.Section, result followed, failure *transport.Failure, now time.Time) followed {
	if failure.Sample != nil {
		if err := s.store.keep(ctx, *failure.Sample); err != nil {
			s.config.Logger.ErrorContext(ctx, "an unreadable answer could not be kept aside", "error", err)
		}
	}
	interval := s.config.Options.interval(name)
	wait := max(interval/patienceParts, time.Second)
	if failure.Class == eve.FailureForbidden || failure.Class == eve.FailureNotFound {
		wait *= stubborn
	}
	for range min(result.failures, 20) {
		wait = min(2*wait, patienceMost*interval)
	}
	if result.failures == 0 || result.since.IsZero() {
		result.since = now
	}
	result.failures++
	result.class, result.status, result.message = failure.Class, failure.Status, failure.Message
	result.dueAt = later(now.Add(wait), failure.RetryAt)
	if failure.Class == eve.FailureNotFound && result.failures >= giveUpAfter {
		s.config.Logger.WarnContext(ctx, "something that is fetched apart is not there any more; it is given up",
			"kind", result.Kind, "id", result.ItemID, "failures", result.failures)
		result.over = true
	}
	return result
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
