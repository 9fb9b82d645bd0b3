package esi

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// state is what is remembered of one section of one character.
type state struct {
	Series eve.Series
	Cursor []byte
	// FetchedAt is when content last came, ChangedAt when it last was new,
	// ValidatedAt when ESI last confirmed it.
	FetchedAt, ChangedAt, ValidatedAt time.Time
	// RunStartedAt and RunFinishedAt are the bounds of the last reading that succeeded:
	// from the first request until the log had what was new.
	RunStartedAt, RunFinishedAt time.Time
	// NotBefore is the earliest moment of the next request.
	NotBefore time.Time
	// Spell is the spell of failures the section is in; nil if it is in none.
	Spell *spell
	// LastSpellID is the id of the last event about a spell.
	LastSpellID uuid.UUID
	// PartsComplete is how many of the kept pages of each part are the last
	// reading that was taken over; 0 if they are what is left of one that failed.
	PartsComplete []int

	// revision is the row that was read; pending what was begun on it.
	revision int64
	pending  *pending
}

// pending is an append that was begun: the events, and the state that follows
// once the log has them. It is written down before the append, so that after a
// crash the very same events are appended again, whatever ESI says by then.
type pending struct {
	Events []event.Event
	Next   state
	// FollowUps and Settled are those of [Changes].
	FollowUps, Settled []FollowUp
}

// encode writes bytes as bytes: a reading of many assets is megabytes.
func (p *pending) encode() ([]byte, error) {
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(p); err != nil {
		return nil, fmt.Errorf("writing down a begun append: %w", err)
	}
	return compress(encoded.Bytes()), nil
}

func decodePending(stored []byte) (*pending, error) {
	encoded, err := decompress(stored)
	if err != nil {
		return nil, fmt.Errorf("reading a begun append: %w", err)
	}
	var p pending
	if err := gob.NewDecoder(bytes.NewReader(encoded)).Decode(&p); err != nil {
		return nil, fmt.Errorf("reading a begun append: %w", err)
	}
	return &p, nil
}

// spell is a run of failures without a success between them.
type spell struct {
	Class   eve.FailureClass
	Status  int
	Message string
	// Since is when the run began, whatever classes it had since.
	Since time.Time
	// LastAt is when the last failure was.
	LastAt time.Time
	// Failures counts those of the present class.
	Failures int
	// Reported tells that an event was appended for the present class.
	Reported bool
	// Known tells that any event was appended for the run.
	Known bool
}

// patience is how many failures in a row of a class make a fact worth an event.
// What passes by itself, and would hit every character at once, gets a second
// chance.
func patience(class eve.FailureClass) int {
	switch class {
	case eve.FailureServer, eve.FailureNetwork, eve.FailureTorn, eve.FailureRateLimited:
		return 2
	default:
		return 1
	}
}

// fail counts a failure.
func (s *state) fail(class eve.FailureClass, status int, message string, at time.Time) {
	next := spell{Class: class, Status: status, Message: message, Since: at.UTC(), LastAt: at.UTC(), Failures: 1}
	if last := s.Spell; last != nil {
		next.Since, next.Known = last.Since, last.Known
		if last.Class == class {
			next.Failures, next.Reported = last.Failures+1, last.Reported
		}
	}
	s.Spell = &next
}

// report makes the event for the spell, once for each class.
func (s *state) report(character int64, section eve.Section, at time.Time) (*event.Event, error) {
	if s.Spell == nil || s.Spell.Reported || s.Spell.Failures < patience(s.Spell.Class) {
		return nil, nil //nolint:nilnil // Nothing to report is the usual case, not a failure.
	}
	e, err := s.spellEvent(character, at, string(section)+"/"+string(s.Spell.Class), eve.SectionFailed{
		CharacterID: character,
		Section:     section,
		Class:       s.Spell.Class,
		Status:      s.Spell.Status,
		Message:     s.Spell.Message,
		Since:       s.Spell.Since,
	})
	if err != nil {
		return nil, err
	}
	s.Spell.Reported, s.Spell.Known = true, true
	return e, nil
}

// recover ends the spell; it makes an event if there was one of its beginning.
func (s *state) recover(character int64, section eve.Section, at time.Time) (*event.Event, error) {
	ended := s.Spell
	if ended == nil {
		return nil, nil //nolint:nilnil // Nothing to report is the usual case, not a failure.
	}
	s.Spell = nil
	if !ended.Known {
		return nil, nil //nolint:nilnil // Nothing to report is the usual case, not a failure.
	}
	return s.spellEvent(character, at, string(section), eve.SectionRecovered{
		CharacterID: character,
		Section:     section,
		Since:       ended.Since,
	})
}

func (s *state) spellEvent(character int64, at time.Time, content string, p event.Payload) (*event.Event, error) {
	stream := event.Character(character)
	id := event.ObservationID(stream, p.EventType(), s.LastSpellID, content+"/"+at.UTC().Format(time.RFC3339Nano))
	e, err := event.New(id, stream, source, at, p)
	if err != nil {
		return nil, fmt.Errorf("making the event of a spell of failures: %w", err)
	}
	s.LastSpellID = id
	return &e, nil
}
