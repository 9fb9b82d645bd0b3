package esi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/sso"
)

// attempt is one try to read a section.
type attempt struct {
	syncer    *Syncer
	character int64
	section   Section
	// state and prior are what was remembered.
	state state
	prior [][]transport.Page

	reading Reading
	// began is when the first of the answers was asked for.
	began time.Time
	// came are the pages to be kept of each part; nil leaves those that are kept.
	came [][]transport.Page
	// expires is when the last of the answers expires.
	expires time.Time
}

// readWithin is read in a bounded time.
func (a *attempt) readWithin(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return a.read(ctx)
}

// read asks for all parts, one after the other. What came is kept even if a later
// part fails: it must not be asked for again before it expires.
func (a *attempt) read(ctx context.Context) error {
	a.began = a.syncer.config.Now().UTC()
	a.reading = Reading{CharacterID: a.character, Series: a.state.Series, Cursor: a.state.Cursor, FetchedAt: a.began}
	a.came = make([][]transport.Page, len(a.section.Parts))
	for i := range a.section.Parts {
		if err := a.readPart(ctx, i); err != nil {
			return err
		}
	}
	enrich := a.section.Enrich
	if enrich == nil || a.reading.unchanged() && !enrich.Due(a.reading) {
		return nil
	}
	err := enrich.Ask(ctx, a.ask, &a.reading)
	if event.CodeOf(err) == event.CodeInvalid {
		return a.unreadable(err)
	}
	return err
}

func (a *attempt) readPart(ctx context.Context, i int) error {
	part := a.section.Parts[i]
	request := transport.Request{Route: part.Route, Character: a.character, Query: part.Query, Prior: a.prior[i]}
	if i < len(a.state.PartsComplete) {
		request.Complete = a.state.PartsComplete[i]
	}
	var answer transport.Answer
	var err error
	if part.Walk != nil {
		walk := transport.WalkRequest{Request: request, ID: part.Walk.ID, Max: part.Walk.Max}
		if part.Walk.Known != nil {
			if walk.Known, err = part.Walk.Known(a.reading); err != nil {
				return err
			}
		}
		walk.Full = part.Walk.Again != nil && part.Walk.Again(a.reading)
		answer, err = a.syncer.config.Client.Walk(ctx, walk)
	} else {
		answer, err = a.syncer.config.Client.Get(ctx, request)
	}
	if failure, ok := errors.AsType[*transport.Failure](err); ok {
		a.came[i] = failure.Kept
		return err
	}
	if err != nil {
		return err //nolint:wrapcheck // The client says what failed.
	}
	a.reading.FetchedAt = answer.FetchedAt
	if answer.ExpiresAt.After(a.expires) {
		a.expires = answer.ExpiresAt
	}
	read := PartReading{NotModified: answer.NotModified, Pages: answer.Pages}
	if answer.NotModified {
		read.Pages = a.prior[i]
		if request.Complete > 0 && len(read.Pages) > request.Complete {
			read.Pages = read.Pages[:request.Complete]
		}
	} else {
		a.came[i] = answer.Pages
	}
	a.reading.Parts = append(a.reading.Parts, read)
	return nil
}

// ask asks once beside the parts.
func (a *attempt) ask(ctx context.Context, route catalogue.Route, body []byte) ([]byte, error) {
	answer, err := a.syncer.config.Client.Get(ctx, transport.Request{Route: route, Character: a.character, Body: body})
	if err != nil {
		return nil, err //nolint:wrapcheck // The client says what failed.
	}
	return answer.Pages[0].Body, nil
}

// complete is how many pages of each part are taken over.
func (a *attempt) complete() []int {
	complete := make([]int, len(a.section.Parts))
	for i, part := range a.reading.Parts {
		complete[i] = len(part.Pages)
		if a.section.Parts[i].Walk != nil {
			complete[i] = min(1, complete[i])
		}
	}
	return complete
}

// answered takes a good answer.
func (a *attempt) answered(ctx context.Context) (Outcome, error) {
	next := a.state
	next.ValidatedAt, next.NotBefore = a.reading.FetchedAt, a.expires
	next.PartsComplete = a.complete()
	next.RunStartedAt, next.RunFinishedAt = a.began, a.syncer.config.Now().UTC()
	var changes Changes
	if !a.reading.unchanged() || a.reading.Extra != nil {
		var err error
		if changes, err = a.section.Changes(a.reading); err != nil {
			return a.failed(ctx, a.unreadable(err))
		}
		next.FetchedAt = a.reading.FetchedAt
		next.Series, next.Cursor = changes.Series, changes.Cursor
	}
	events := changes.Events
	changed := len(events) > 0
	if changed {
		next.ChangedAt = a.reading.FetchedAt
	}
	recovered, err := next.recover(a.character, a.section.Name, a.reading.FetchedAt)
	if err != nil {
		return Outcome{}, err
	}
	if recovered != nil {
		events = append(events, *recovered)
	}
	err = a.record(ctx, events, taken{next: next, parts: a.came, followUps: changes.FollowUps, settled: changes.Settled})
	if changed && event.CodeOf(err) == event.CodeInvalid {
		return a.failed(ctx, a.unreadable(err))
	}
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{
		Result: Unchanged, Events: len(events), ValidatedAt: next.ValidatedAt, NotBefore: next.NotBefore, FollowUps: len(changes.FollowUps) > 0,
	}
	if changed {
		outcome.Result = Changed
	}
	return outcome, nil
}

// failed takes a failure: it is counted, and reported when it is worth it.
func (a *attempt) failed(ctx context.Context, failure *transport.Failure) (Outcome, error) {
	next := a.state
	// What came need not be sent again, and must not be asked for before it
	// expires. What is kept of a part is not taken over.
	kept := false
	a.dropSpoilt()
	next.PartsComplete = slices.Clone(a.state.PartsComplete)
	for i, pages := range a.came {
		if pages != nil {
			kept = true
			if i < len(next.PartsComplete) {
				next.PartsComplete[i] = 0
			}
		}
	}
	if failure.RetryAt.After(next.NotBefore) {
		next.NotBefore = failure.RetryAt.UTC()
	}
	if a.expires.After(next.NotBefore) {
		next.NotBefore = a.expires.UTC()
	}
	if failure.Deferred {
		if kept {
			if err := a.syncer.store.commit(ctx, a.character, a.section, a.state.revision, taken{next: next, parts: a.came}); err != nil {
				return Outcome{}, err
			}
		}
		return Outcome{Result: Deferred, ValidatedAt: a.state.ValidatedAt, NotBefore: later(failure.RetryAt, a.expires), Failure: failure}, nil
	}
	if failure.NotConsented {
		// A login was given anew, with less, while this was on the schedule.
		return Outcome{Result: Failed, ValidatedAt: a.state.ValidatedAt, Failure: failure}, nil
	}
	now := a.syncer.config.Now().UTC()
	if failure.Sample != nil {
		if err := a.syncer.store.keep(ctx, *failure.Sample); err != nil {
			return Outcome{}, err
		}
	}
	next.fail(failure.Class, failure.Status, failure.Message, now)
	events, orphaned, err := a.report(&next, failure, now)
	if err != nil {
		return Outcome{}, err
	}
	if err := a.record(ctx, events, taken{next: next, parts: a.came}); err != nil {
		return Outcome{}, err
	}
	if orphaned {
		// Only after the log has the fact: were the login parked first, a crash
		// would lose it.
		if err := a.syncer.config.Logins.Park(ctx, a.character, "the character changed its owner"); err != nil {
			return Outcome{}, fmt.Errorf("parking the login of character %d: %w", a.character, err)
		}
	}
	a.syncer.config.Logger.WarnContext(ctx, "section could not be read", "character", a.character, "section", string(a.section.Name),
		"class", string(failure.Class), "status", failure.Status, "failures", next.Spell.Failures, "reason", failure.Message)
	return Outcome{
		Result:      Failed,
		Events:      len(events),
		ValidatedAt: next.ValidatedAt,
		NotBefore:   next.NotBefore,
		Failure:     failure,
		Failures:    next.Spell.Failures,
	}, nil
}

// dropSpoilt forgets pages that came beside what failed and are no lists where lists are
// due. Nobody has taken them apart yet: kept, they would be confirmed by their ETags.
func (a *attempt) dropSpoilt() {
	for i, pages := range a.came {
		if !a.section.Parts[i].Route.List {
			continue
		}
		for n, page := range pages {
			if body := bytes.TrimSpace(page.Body); len(body) > 0 && body[0] != '[' {
				a.came[i] = slices.Clone(a.came[i])
				a.came[i][n] = transport.Page{}
			}
		}
	}
}

// report makes the events of a failure, if it is worth any.
func (a *attempt) report(next *state, failure *transport.Failure, now time.Time) (events []event.Event, orphaned bool, err error) {
	reported, err := next.report(a.character, a.section.Name, now)
	if err != nil {
		return nil, false, err
	}
	if reported != nil {
		events = append(events, *reported)
	}
	orphan, err := orphan(a.character, failure, now)
	if err != nil {
		return nil, false, err
	}
	if orphan != nil {
		events = append(events, *orphan)
	}
	return events, orphan != nil, nil
}

// orphan makes the event of a changed owner, if that is what failed.
func orphan(character int64, failure *transport.Failure, at time.Time) (*event.Event, error) {
	var changed *sso.OwnerChangedError
	if !errors.As(failure, &changed) {
		return nil, nil //nolint:nilnil // Nothing to report is the usual case, not a failure.
	}
	stream := event.Character(character)
	id := event.ObservationID(stream, eve.TypeCharacterOrphaned, uuid.Nil, changed.Was+"/"+changed.Is)
	e, err := event.New(id, stream, source, at, eve.CharacterOrphaned{
		CharacterID: character,
		Reason:      "its owner changed: EVE's owner hash is another one",
	})
	if err != nil {
		return nil, fmt.Errorf("making the event of an orphan: %w", err)
	}
	return &e, nil
}

// record appends events and then takes over what follows. The events are written
// down first, so that a crash at any point repeats exactly them. It fails with
// [event.CodeInvalid] if the log refuses them for good; then nothing is left of
// them.
func (a *attempt) record(ctx context.Context, events []event.Event, t taken) error {
	if len(events) > 0 {
		if err := a.append(ctx, events, t); err != nil {
			return err
		}
		if t.next.Spell == nil {
			t.next.RunFinishedAt = a.syncer.config.Now().UTC()
		}
	}
	return a.syncer.store.commit(ctx, a.character, a.section, a.state.revision, t)
}

// append writes events down and appends them.
func (a *attempt) append(ctx context.Context, events []event.Event, t taken) error {
	s := a.syncer
	// Before they are written down anywhere.
	events, err := s.seal(ctx, events)
	if err != nil {
		return fmt.Errorf("appending for section %s of character %d: %w", a.section.Name, a.character, err)
	}
	begun := &pending{Events: events, Next: t.next, FollowUps: t.followUps, Settled: t.settled}
	if err := s.store.begin(ctx, a.character, a.section.Name, &a.state, begun); err != nil {
		return err
	}
	err = s.door.Append(ctx, events...)
	if event.CodeOf(err) == event.CodeInvalid {
		if err := s.store.commit(ctx, a.character, a.section, a.state.revision, taken{next: a.state}); err != nil {
			return err
		}
		a.state.revision++
	}
	if err != nil {
		return errors.Join(fmt.Errorf("appending for section %s of character %d: %w", a.section.Name, a.character, err), a.keepPages(ctx, t.parts))
	}
	return nil
}

// keepPages keeps what has come although the log does not have it yet, also if the
// program is about to stop: the append is made again, and ESI is only asked whether
// something has changed since.
func (a *attempt) keepPages(ctx context.Context, parts [][]transport.Page) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	return a.syncer.store.keepPages(ctx, a.character, a.section, a.state.revision, parts)
}

// besideParts stands for an answer that was asked for beside the parts.
const besideParts = -1

// partError says which answer of a section cannot be read; it has the code
// [event.CodeInvalid].
type partError struct {
	// part is the number of the part, or besideParts with the route and the body.
	part  int
	route catalogue.Route
	body  []byte

	err error
}

func badPart(part int, err error) error {
	if err == nil {
		return nil
	}
	return &partError{part: part, err: event.Errorf(event.CodeInvalid, "%w", err)}
}

// Error implements error.
func (e *partError) Error() string { return e.err.Error() }

// Unwrap is what is wrong with the answer.
func (e *partError) Unwrap() error { return e.err }

// unreadable is the failure of an answer that is JSON, but not what it should be.
func (a *attempt) unreadable(err error) *transport.Failure {
	reason := err.Error()
	route, body := a.blame(err)
	return &transport.Failure{
		Class:   eve.FailureMalformed,
		Status:  200,
		Message: fmt.Sprintf("%s of character %d: %s; the answer is kept in quarantine", route.Operation, a.character, reason),
		RetryAt: a.expires,
		Sample: &transport.Sample{
			CharacterID: a.character,
			Operation:   route.Operation,
			Path:        route.Path(a.character),
			Status:      200,
			ContentType: "application/json",
			Reason:      reason,
			Body:        body,
			At:          a.reading.FetchedAt,
		},
	}
}

// blame finds the answer that is not as it should be, which is not trusted to be
// the same the next time. The others are good, and need not be sent again.
func (a *attempt) blame(err error) (route catalogue.Route, sample []byte) {
	part := len(a.reading.Parts) - 1
	bad, known := errors.AsType[*partError](err)
	switch {
	case known && bad.part == besideParts:
		return bad.route, bad.body[:min(len(bad.body), transport.MaxSample)]
	case known:
		part = bad.part
	case len(a.reading.Parts) > 1:
		// Nobody knows which.
		for i := range a.reading.Parts {
			a.came[i] = a.distrusted(i)
		}
		var pages []transport.Page
		for _, part := range a.reading.Parts {
			pages = append(pages, part.Pages...)
		}
		return a.section.route(), sampleOf(pages)
	}
	pages := a.reading.Parts[part].Pages
	kept := a.distrusted(part)
	if page, ofPage := errors.AsType[*eve.PageError](err); ofPage && len(pages) > 1 && page.Page <= len(pages) {
		kept = slices.Clone(pages)
		kept[page.Page-1] = a.before(part, page.Page-1, pages[page.Page-1])
	}
	a.came[part] = kept
	return a.section.Parts[part].Route, sampleOf(pages)
}

// distrusted are the pages to be kept of a part that cannot be read: those that were
// kept before it came. If ESI has confirmed just these none is, so that it is not
// asked for by its ETag for ever.
func (a *attempt) distrusted(part int) []transport.Page {
	for i, page := range a.reading.Parts[part].Pages {
		if i >= len(a.prior[part]) || !bytes.Equal(a.prior[part][i].Body, page.Body) {
			return nil
		}
	}
	return make([]transport.Page, len(a.prior[part]))
}

// before is what was kept of a page before one came that cannot be read; nothing if
// it is just that.
func (a *attempt) before(part, page int, bad transport.Page) transport.Page {
	if page >= len(a.prior[part]) || bytes.Equal(a.prior[part][page].Body, bad.Body) {
		return transport.Page{}
	}
	return a.prior[part][page]
}

// sampleOf is the beginning of all pages, one a line.
func sampleOf(pages []transport.Page) []byte {
	var sample []byte
	for _, page := range pages {
		sample = append(append(sample, page.Body[:min(len(page.Body), transport.MaxSample)]...), '\n')
		if len(sample) >= transport.MaxSample {
			return slices.Clip(sample[:transport.MaxSample])
		}
	}
	return sample
}
