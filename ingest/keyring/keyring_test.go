package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/sealed"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/keyring"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const pilot, other = int64(90000001), int64(90000002)

// clock is moved by the tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func secret(fill byte) func() ([]byte, error) {
	return func() ([]byte, error) { return bytes.Repeat([]byte{fill}, keyring.SecretSize), nil }
}

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := enginetest.Postgres(t)
	require.NoError(t, schema.Migrate(t.Context(), pool))
	return pool
}

// body is the event of a mail's body.
func body(t *testing.T, character int64, text string) event.Event {
	t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(t, err)
	e, err := eve.Amend("test", eve.Amendment{
		CharacterID: character, Section: eve.SectionMails, FetchedAt: time.Now(), Moment: time.Now(), Item: json.RawMessage(`{"mail_id":7,"body":` + string(quoted) + `}`),
	}, uuid.Nil)
	require.NoError(t, err)
	return e
}

func forget(t *testing.T, pool *pgxpool.Pool, character int64) []uuid.UUID {
	t.Helper()
	var ids []uuid.UUID
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
		if ids, err = keyring.DestroyTx(t.Context(), tx, character); err != nil {
			return err
		}
		return errors.Join(esi.Forget(t.Context(), tx, character), keyring.ExpireTx(t.Context(), tx, character))
	}))
	return ids
}

func seal(t *testing.T, k *keyring.Keyring, e event.Event) event.Event {
	t.Helper()
	out, err := k.Seal(t.Context(), e)
	require.NoError(t, err)
	require.Len(t, out, 1)
	return out[0]
}

func TestTextsAreSealedWithAKeyOfTheCharacter(t *testing.T) {
	pool := newPool(t)
	k := keyring.New(keyring.Config{Pool: pool, Secret: secret(1)})
	plain := body(t, pilot, "meet me at the usual place")
	located, err := event.New(uuid.New(), event.Character(other), "test", time.Now(), eve.SectionObserved{CharacterID: other, Section: eve.SectionLocation, Value: json.RawMessage(`{"description":"x"}`)})
	require.NoError(t, err)
	out, err := k.Seal(t.Context(), plain, located)
	require.NoError(t, err)
	require.NotContains(t, string(out[0].Data), "usual place")
	require.Equal(t, located, out[1])
	var keys int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM ingest.text_key`).Scan(&keys))
	require.Equal(t, 1, keys, "who has no text has no key")
	require.Equal(t, out[0], seal(t, k, plain), "made again it is the same")
	require.Equal(t, out[0], seal(t, k, out[0]))
	require.NotEqual(t, sealed.KeyIDs(out[0].Data), sealed.KeyIDs(seal(t, k, body(t, other, "meet me at the usual place")).Data))

	opened, err := k.Open(out[0])
	require.NoError(t, err)
	require.Equal(t, string(plain.Data), string(opened.Data))
	// Another process with the same secret opens it, too, and needs it only then.
	opened, err = keyring.New(keyring.Config{Pool: pool, Secret: secret(1)}).Open(out[0])
	require.NoError(t, err)
	require.Equal(t, string(plain.Data), string(opened.Data))

	old := plain
	old.Type = eve.TypeMailChangedV1
	require.Equal(t, eve.TypeMailChanged, seal(t, k, old).Type, "what an earlier version wrote down is sealed in the present one")
}

func TestADestroyedKeyIsGoneForEverybodyWithinASecond(t *testing.T) {
	pool := newPool(t)
	c := &clock{now: time.Now()}
	here, there := keyring.New(keyring.Config{Pool: pool, Secret: secret(1), Now: c.Now}), keyring.New(keyring.Config{Pool: pool, Secret: secret(1), Now: c.Now})
	s := seal(t, here, body(t, pilot, "a secret"))
	_, err := there.Open(s)
	require.NoError(t, err)
	ids := forget(t, pool, pilot)
	require.Equal(t, sealed.KeyIDs(s.Data), ids)
	c.pass(time.Second)
	for _, k := range []*keyring.Keyring{here, there} {
		opened, err := k.Open(s)
		require.NoError(t, err)
		require.NotContains(t, string(opened.Data), "a secret")
		require.Contains(t, string(opened.Data), `"body":null,"body_forgotten":true`)
	}
	_, err = here.Seal(t.Context(), body(t, pilot, "another secret"))
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "a forgotten character gets no key")

	// Who has slept for long trusts nothing that he has.
	s = seal(t, here, body(t, other, "a secret"))
	_, err = there.Open(s)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `UPDATE ingest.text_key SET wrapped = NULL, destroyed_at = now() - interval '1 hour' WHERE character_id = $1`, other)
	require.NoError(t, err)
	c.pass(time.Hour)
	opened, err := there.Open(s)
	require.NoError(t, err)
	require.Contains(t, string(opened.Data), "body_forgotten")

	// Registered again, it has another key, and what was before stays unreadable.
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return esi.Remember(t.Context(), tx, pilot) }))
	again := seal(t, here, body(t, pilot, "a secret"))
	require.NotEqual(t, ids, sealed.KeyIDs(again.Data))
	opened, err = here.Open(again)
	require.NoError(t, err)
	require.Contains(t, string(opened.Data), "a secret")
}

func TestKeysThatComeBackAreDestroyedAgain(t *testing.T) {
	pool := newPool(t)
	k := keyring.New(keyring.Config{Pool: pool, Secret: secret(1)})
	s := seal(t, k, body(t, pilot, "a secret"))
	_, err := pool.Exec(t.Context(), `CREATE TABLE copy AS SELECT * FROM ingest.text_key`)
	require.NoError(t, err)
	ids := forget(t, pool, pilot)
	_, err = pool.Exec(t.Context(), `DELETE FROM ingest.text_key; INSERT INTO ingest.text_key SELECT * FROM copy`)
	require.NoError(t, err)
	unknown := uuid.New()
	alive, err := k.Alive(t.Context(), append(ids, unknown))
	require.NoError(t, err)
	require.EqualValues(t, 1, alive)
	for _, back := range []int{1, 0} {
		n, err := k.DestroyAgain(t.Context(), pilot, append(ids, unknown))
		require.NoError(t, err)
		require.Equal(t, back, n)
	}
	alive, err = k.Alive(t.Context(), append(ids, unknown))
	require.NoError(t, err)
	require.Zero(t, alive)
	opened, err := keyring.New(keyring.Config{Pool: pool, Secret: secret(1)}).Open(s)
	require.NoError(t, err)
	require.Contains(t, string(opened.Data), "body_forgotten")
}

func TestWithoutTheRightSecretNothingIsReadWrongly(t *testing.T) {
	pool := newPool(t)
	s := seal(t, keyring.New(keyring.Config{Pool: pool, Secret: secret(1)}), body(t, pilot, "a secret"))
	f := func(secret func() ([]byte, error), text string) {
		t.Helper()
		k := keyring.New(keyring.Config{Pool: pool, Secret: secret})
		_, err := k.Open(s)
		require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
		require.ErrorContains(t, err, text)
		_, err = k.Seal(t.Context(), body(t, pilot, "a secret"))
		require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
		require.ErrorContains(t, err, text)
		require.NotContains(t, err.Error(), "a secret")
	}
	f(secret(2), "set that one as MUSTER_SECRET_KEY_PREVIOUS")
	f(func() ([]byte, error) { return nil, errors.New("no key is configured") }, "no key is configured")
	f(func() ([]byte, error) { return []byte("short"), nil }, "must have 32")

	_, err := pool.Exec(t.Context(), `DELETE FROM ingest.text_key`)
	require.NoError(t, err)
	_, err = keyring.New(keyring.Config{Pool: pool, Secret: secret(1)}).Open(s)
	require.Equal(t, event.CodePoisoned, event.CodeOf(err))
	require.ErrorContains(t, err, "bring the table ingest.text_key back from a backup")
}

func TestManyWritersMakeOneKey(t *testing.T) {
	pool := newPool(t)
	e := body(t, pilot, "a secret")
	var all sync.WaitGroup
	out := make([]event.Event, 8)
	for i := range out {
		all.Go(func() {
			k := keyring.New(keyring.Config{Pool: pool, Secret: secret(1)})
			if events, err := k.Seal(context.Background(), e); err == nil {
				out[i] = events[0]
			}
		})
	}
	all.Wait()
	for _, e := range out {
		require.Equal(t, out[0], e)
	}
	require.NotEmpty(t, out[0].Data)
}

func TestWhoWaitsForTombstonesIsToldUntilTheyAreThere(t *testing.T) {
	pool := newPool(t)
	k := keyring.New(keyring.Config{Pool: pool, Secret: secret(1)})
	forget(t, pool, pilot)
	waiting, err := k.Waiting(t.Context())
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	// Forgotten once more meanwhile, it still waits.
	forget(t, pool, pilot)
	require.NoError(t, k.Expired(t.Context(), waiting))
	waiting, err = k.Waiting(t.Context())
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.NoError(t, k.Expired(t.Context(), waiting))
	waiting, err = k.Waiting(t.Context())
	require.NoError(t, err)
	require.Empty(t, waiting)
}
