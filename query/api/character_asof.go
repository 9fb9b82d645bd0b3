package api

import (
	"context"
	"time"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
)

// PastOfCharacters tells of characters as they were; [history.Reader] does, from
// the log.
type PastOfCharacters interface {
	// CharacterAt is a character as it was at a moment, which can answer about the
	// sections, or about all if none is named. It fails with [event.CodeNotFound] if
	// there was no such character then.
	CharacterAt(ctx context.Context, id int64, at time.Time, sections ...eve.Section) (*history.Character, error)
	// Life is what the log tells of a character; with sections, only of those.
	Life(ctx context.Context, id int64, sections ...eve.Section) (history.Life, error)
}

// CharacterAsOfInput is what every GET about a character and its sections takes.
type CharacterAsOfInput struct {
	ProvenanceInput

	AsOf time.Time `query:"as_of" doc:"Answer as it was at this moment, from the log; leave it out for now. An observation counts from when ESI was asked, a decision from when it was taken."`
}

// answers tell of one character, as it is now or as it was.
type answers interface {
	Character(ctx context.Context, id int64) (postgres.Character, []postgres.SectionState, error)
	Sections
	MailingLists(ctx context.Context, id int64) (map[int64]string, error)
	AssetsValue(ctx context.Context, id int64) (*decimal.Decimal, error)
	Holdings
	Journal(context.Context, clickhouse.JournalFilter) ([]clickhouse.JournalEntry, error)
	trained
}

// trained knows the skills of characters, of the types given.
type trained interface {
	SkillsOf(ctx context.Context, characters, types []int64) (map[int64]eve.Skills, error)
}

// present is a character as it is now.
type present struct {
	Characters
	Wallets
	trained
}

// told is a character with the moment that it is told of.
type told struct {
	answers

	// at is zero for now.
	at time.Time
}

// asOf echoes the moment; nil for now.
func (t told) asOf() *time.Time {
	if t.at.IsZero() {
		return nil
	}
	return new(t.at.UTC())
}

// character answers about a character as of a moment: about now from the read
// models, about the past from the log. With sections it answers about those alone.
// It fails with [event.CodeInvalid] for a moment that is yet to come.
func (s *Server) character(ctx context.Context, id int64, at time.Time, sections ...eve.Section) (told, error) {
	if at.IsZero() {
		return told{answers: present{s.config.Characters, s.config.Wallets, s.config.SkillSets}}, nil
	}
	if err := s.hasCome(at); err != nil {
		return told{}, err
	}
	then, err := s.config.Past.CharacterAt(ctx, id, at, sections...)
	return told{answers: then, at: at}, err
}

// section is [Server.character] for one section.
func (s *Server) section(ctx context.Context, id int64, at time.Time, section eve.Section) (told, error) {
	return s.character(ctx, id, at, history.SectionsFor(section)...)
}

// moment is the moment that an answer is about.
func (s *Server) moment(t told) time.Time {
	if t.at.IsZero() {
		return s.config.Now()
	}
	return t.at
}
