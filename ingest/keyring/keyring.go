// Package keyring keeps the keys that seal the personal texts of characters in the log:
// one for each character, made when there is a first text to seal, and destroyed when
// the character is forgotten. A character that is registered again gets another one.
//
// Keys lie in Postgres, wrapped by the secret key of the installation. They are never in
// the log, in errors or in metrics.
package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/sealed"
	"github.com/muster-sync/muster/ingest/sealing"
)

// SecretSize is the length of the key that wraps all others.
const SecretSize = sealing.KeySize

const (
	// freshFor is how long a key is used before it is asked whether it was destroyed.
	freshFor = time.Second
	// destroyedWithin is how far back is looked for keys that were destroyed meanwhile;
	// who has not looked for half as long trusts none of the keys that he has.
	destroyedWithin = 10 * time.Minute
	// lookUpWithin bounds a look at the table of keys.
	lookUpWithin = 10 * time.Second
	// mostKnown bounds how many keys are held in memory.
	mostKnown = 20_000
)

// Config is what a [Keyring] works with. Now has a default.
type Config struct {
	// Pool is on a database with the tables of package schema.
	Pool *pgxpool.Pool
	// Secret gives the key that wraps the others, [SecretSize] bytes. It is called when
	// there is a text to seal or to open, until it has given one.
	Secret func() ([]byte, error)
	// FormerSecrets are those that Secret has replaced, for what they still wrap; nil if
	// there are none.
	FormerSecrets func() ([][]byte, error)
	// Now is the clock: time.Now.
	Now func() time.Time
}

// Keyring seals and opens personal texts. It is safe for concurrent use, also by several
// programs on one database: what one of them destroys the others use for a second more
// at most.
type Keyring struct {
	config Config

	mu sync.Mutex
	// wrap is nil until the secret was needed.
	wrap    *sealing.Keys
	known   map[uuid.UUID]sealed.Key
	checked time.Time
}

// New is a keyring.
func New(c Config) *Keyring {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keyring{config: c, known: map[uuid.UUID]sealed.Key{}}
}

// Seal seals the personal texts of events of characters, as [eve.PersonalTexts] says
// which those are; all other events stay as they are. It fails with
// [event.CodeNotFound] for a character that was forgotten: it gets no key before it is
// registered again.
func (k *Keyring) Seal(ctx context.Context, events ...event.Event) ([]event.Event, error) {
	out := make([]event.Event, len(events))
	keys := map[int64]sealed.Key{}
	for i, e := range events {
		out[i] = e
		names := textsOf(e)
		character, is := e.Stream.CharacterID()
		if !is || len(names) == 0 {
			continue
		}
		// One that was made by an earlier version and waits to be appended.
		e.Type = eve.Newest(e.Type)
		if !sealed.Has(e.Data, names) {
			continue
		}
		key, there := keys[character]
		if !there {
			var err error
			if key, err = k.current(ctx, character); err != nil {
				return nil, fmt.Errorf("sealing texts of character %d: %w", character, err)
			}
			keys[character] = key
		}
		out[i], _ = sealed.Seal(e, key, names)
	}
	return out, nil
}

func textsOf(e event.Event) map[string]bool {
	texts := eve.PersonalTexts(eve.SectionWithTexts(e))
	if len(texts) == 0 {
		return nil
	}
	names := make(map[string]bool, len(texts))
	for _, name := range texts {
		names[name] = true
	}
	return names
}

// current is the key of a character, which is made if it has none.
func (k *Keyring) current(ctx context.Context, character int64) (sealed.Key, error) {
	wrap, err := k.wrapper()
	if err != nil {
		return sealed.Key{}, err
	}
	for range 2 {
		var id uuid.UUID
		var wrapped []byte
		err := k.config.Pool.QueryRow(ctx, `SELECT key_id, wrapped FROM ingest.text_key WHERE character_id = $1 AND wrapped IS NOT NULL`, character).Scan(&id, &wrapped)
		switch {
		case err == nil:
			return unwrap(wrap, id, character, wrapped)
		case !errors.Is(err, pgx.ErrNoRows):
			return sealed.Key{}, fmt.Errorf("reading the text key: %w", err)
		}
		if err := k.create(ctx, wrap, character); err != nil {
			return sealed.Key{}, err
		}
	}
	return sealed.Key{}, event.Errorf(event.CodeNotFound, "character %d was forgotten: it gets a text key when it is registered again", character)
}

// create makes a key, unless the character was forgotten or has one by now.
func (k *Keyring) create(ctx context.Context, wrap *sealing.Keys, character int64) error {
	secret := make([]byte, sealed.KeySize)
	// Read never fails; it ends the program instead.
	_, _ = rand.Read(secret)
	id := uuid.New()
	_, err := k.config.Pool.Exec(ctx, `
		INSERT INTO ingest.text_key (key_id, character_id, wrapped)
		SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM ingest.forgotten WHERE character_id = $2)
		ON CONFLICT DO NOTHING`, id, character, wrap.Seal(nil, secret, binding(id, character)))
	if err != nil {
		return fmt.Errorf("keeping a new text key: %w", err)
	}
	return nil
}

// SealedColumns are those of the tables that hold what a [Keyring] wraps.
func SealedColumns() []sealing.Column {
	return []sealing.Column{{
		Table: "ingest.text_key", Name: "wrapped", Key: "key_id", KeyType: "uuid", Character: "character_id",
		Binding: func(key string, character int64) ([]byte, error) {
			id, err := uuid.Parse(key)
			return binding(id, character), err
		},
	}}
}

// binding is what a key is wrapped with, so that it is that of no other character.
func binding(id uuid.UUID, character int64) []byte {
	return fmt.Appendf(nil, "muster/text-key/%s/%d", id, character)
}

func unwrap(wrap *sealing.Keys, id uuid.UUID, character int64, wrapped []byte) (sealed.Key, error) {
	secret, _, err := wrap.Open(wrapped, binding(id, character))
	if err != nil {
		return sealed.Key{}, event.Errorf(event.CodeUnavailable, "text key %s of character %d cannot be opened: it was sealed with another key; set that one as MUSTER_SECRET_KEY_PREVIOUS", id, character)
	}
	return sealed.NewKey(id, secret)
}

func (k *Keyring) wrapper() (*sealing.Keys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wrap != nil {
		return k.wrap, nil
	}
	secret, err := k.config.Secret()
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "personal texts are sealed: %w", err)
	}
	var former [][]byte
	if k.config.FormerSecrets != nil {
		if former, err = k.config.FormerSecrets(); err != nil {
			return nil, event.Errorf(event.CodeUnavailable, "personal texts are sealed: %w", err)
		}
	}
	keys, err := sealing.NewKeys(secret, former...)
	if err != nil {
		// Nothing is wrong with the event whose text is to be opened.
		return nil, event.Errorf(event.CodeUnavailable, "personal texts are sealed: %w", err)
	}
	k.wrap = &keys
	return k.wrap, nil
}

// Open is an [event.Opener]. A text whose key was destroyed is null and marked as
// [sealed.Forgotten]. It fails with [event.CodeUnavailable] if the keys or the secret
// key cannot be had now, and with [event.CodePoisoned] if there is no such key.
func (k *Keyring) Open(e event.Event) (event.Event, error) {
	// A registry decodes without a context: what is read of the log is decoded to its
	// end, and the bound is short.
	ctx, cancel := context.WithTimeout(context.Background(), lookUpWithin)
	defer cancel()
	if err := k.refresh(ctx); err != nil {
		return e, err
	}
	character, _ := e.Stream.CharacterID()
	return sealed.Open(e, func(id uuid.UUID) (sealed.Key, error) { return k.find(ctx, id, character) })
}

// refresh lets go of keys that were destroyed meanwhile.
func (k *Keyring) refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.config.Now()
	if now.Sub(k.checked) < freshFor {
		return nil
	}
	if now.Sub(k.checked) > destroyedWithin/2 || len(k.known) > mostKnown {
		clear(k.known)
	}
	if len(k.known) > 0 {
		rows, err := k.config.Pool.Query(ctx, `SELECT key_id FROM ingest.text_key WHERE destroyed_at > now() - $1::interval`, destroyedWithin)
		if err != nil {
			return event.Errorf(event.CodeUnavailable, "reading which text keys were destroyed: %w", err)
		}
		gone, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return event.Errorf(event.CodeUnavailable, "reading which text keys were destroyed: %w", err)
		}
		for _, id := range gone {
			delete(k.known, id)
		}
	}
	k.checked = now
	return nil
}

func (k *Keyring) find(ctx context.Context, id uuid.UUID, character int64) (sealed.Key, error) {
	k.mu.Lock()
	key, there := k.known[id]
	k.mu.Unlock()
	if there {
		return key, nil
	}
	var wrapped []byte
	err := k.config.Pool.QueryRow(ctx, `SELECT wrapped FROM ingest.text_key WHERE key_id = $1`, id).Scan(&wrapped)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return key, event.Errorf(event.CodePoisoned, "there is no text key %s of character %d: bring the table ingest.text_key back from a backup", id, character)
	case err != nil:
		return key, event.Errorf(event.CodeUnavailable, "reading text key %s: %w", id, err)
	case wrapped == nil:
		return key, sealed.ErrDestroyed
	}
	wrap, err := k.wrapper()
	if err != nil {
		return key, err
	}
	if key, err = unwrap(wrap, id, character, wrapped); err != nil {
		return key, err
	}
	k.mu.Lock()
	k.known[id] = key
	k.mu.Unlock()
	return key, nil
}
