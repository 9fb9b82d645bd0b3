package sealing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/keyring"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sealing"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, sealing.KeySize) }

func keysOf(t require.TestingT, current byte, former ...byte) sealing.Keys {
	var others [][]byte
	for _, f := range former {
		others = append(others, key(f))
	}
	keys, err := sealing.NewKeys(key(current), others...)
	require.NoError(t, err)
	return keys
}

func columns() []sealing.Column { return append(sso.SealedColumns(), keyring.SealedColumns()...) }

const logins = 37

// sealedRows are logins, sign-ins under way and a text key, under a key.
func sealedRows(t *testing.T, with byte) *pgxpool.Pool {
	t.Helper()
	pool := enginetest.Postgres(t)
	require.NoError(t, schema.Migrate(t.Context(), pool))
	keys := keysOf(t, with)
	seal := func(c sealing.Column, id string, character int64, text string) []byte {
		binding, err := c.Binding(id, character)
		require.NoError(t, err)
		return keys.Seal(c.Prefix, []byte(text), binding)
	}
	of := columns()
	for i := range int64(logins) {
		access := seal(of[1], "", i, fmt.Sprint("access ", i))
		if i%3 == 0 {
			access = nil
		}
		_, err := pool.Exec(t.Context(), "INSERT INTO ingest.token (character_id, refresh_sealed, access_sealed, registered_at, updated_at) VALUES ($1, $2, $3, now(), now())",
			i, seal(of[0], "", i, fmt.Sprint("refresh ", i)), access)
		require.NoError(t, err)
	}
	id := uuid.New()
	_, err := pool.Exec(t.Context(), "INSERT INTO ingest.sign_in (id, state_hash, verifier_sealed, redirect_uri, user_id, sections, scopes, actor, begun_at, expires_at) VALUES ($1, 's', $2, '', 'u', '{}', '{}', '', now(), now())",
		id, seal(of[2], id.String(), 0, "verifier"))
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "INSERT INTO ingest.person_sign_in (id, state_hash, browser_hash, verifier_sealed, redirect_uri, return_to, begun_at, expires_at) VALUES ($1, 's', 'b', $2, '', '', now(), now())",
		id, seal(of[3], id.String(), 0, "verifier"))
	require.NoError(t, err)
	return pool
}

// opens counts what the keys open, and holds it against what was sealed.
func opens(t *testing.T, pool *pgxpool.Pool, keys sealing.Keys) (n int) {
	t.Helper()
	of := columns()
	for i := range int64(logins) {
		var refresh, access []byte
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT refresh_sealed, access_sealed FROM ingest.token WHERE character_id = $1", i).Scan(&refresh, &access))
		for j, sealed := range [][]byte{refresh, access} {
			if sealed == nil {
				continue
			}
			binding, err := of[j].Binding("", i)
			require.NoError(t, err)
			if secret, _, err := keys.Open(sealed[1:], binding); err == nil {
				require.Equal(t, fmt.Sprintf("%s %d", []string{"refresh", "access"}[j], i), string(secret))
				n++
			}
		}
	}
	return n
}

const tokens = logins + logins - 13

func former(tallies []sealing.Tally) (n int64) {
	for _, t := range tallies {
		n += t.Former
	}
	return n
}

func TestNothingIsUnderTheFormerKeyAfterARotation(t *testing.T) {
	pool := sealedRows(t, 1)
	r := sealing.Rotation{Pool: pool, Keys: keysOf(t, 2, 1), Columns: columns(), Batch: 5, DryRun: true}
	tallies, err := r.Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, tokens+2, former(tallies))
	require.Equal(t, tokens, opens(t, pool, keysOf(t, 1)), "it only looked")

	r.DryRun = false
	looked := map[string]int64{}
	r.Progress = func(column string, n int64) { looked[column] = n }
	tallies, err = r.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, former(tallies))
	require.Equal(t, sealing.Tally{Column: "ingest.token.refresh_sealed", Current: logins, Resealed: logins, Examples: []string{}}, tallies[0])
	require.EqualValues(t, logins, looked["ingest.token.refresh_sealed"])
	require.Equal(t, tokens, opens(t, pool, keysOf(t, 2)))
	require.Zero(t, opens(t, pool, keysOf(t, 1)))
}

func TestARotationThatWasInterruptedGoesOn(t *testing.T) {
	pool := sealedRows(t, 1)
	for stop := int64(1); ; stop++ {
		ctx, cancel := context.WithCancel(t.Context())
		left := stop
		r := sealing.Rotation{Pool: pool, Keys: keysOf(t, 2, 1), Columns: columns(), Batch: 7, Progress: func(string, int64) {
			if left--; left == 0 {
				cancel()
			}
		}}
		tallies, err := r.Run(ctx)
		cancel()
		require.Equal(t, tokens, opens(t, pool, keysOf(t, 2, 1)), "every secret opens at any time")
		if err == nil {
			require.Zero(t, former(tallies))
			require.Greater(t, stop, int64(5))
			require.Equal(t, tokens, opens(t, pool, keysOf(t, 2)))
			return
		}
		require.ErrorIs(t, err, context.Canceled)
	}
}

// A program renews a login between the look at a row and its sealing anew.
func TestWhatWasRenewedMeanwhileStays(t *testing.T) {
	pool := sealedRows(t, 1)
	of := columns()[0]
	renewed := 0
	renew := func(with byte) {
		binding, err := of.Binding("", 0)
		require.NoError(t, err)
		_, err = pool.Exec(t.Context(), "UPDATE ingest.token SET refresh_sealed = $1 WHERE character_id = 0", keysOf(t, with).Seal(of.Prefix, []byte("refresh 0"), binding))
		require.NoError(t, err)
		renewed++
	}
	r := sealing.Rotation{Pool: pool, Keys: keysOf(t, 2, 1), Columns: columns(), Batch: 100, Progress: func(column string, _ int64) {
		if column == of.String() && renewed < 2 {
			renew(1)
		}
	}}
	tallies, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, renewed, "it was gone after")
	require.Zero(t, former(tallies))
	require.EqualValues(t, logins+2, tallies[0].Resealed)

	// A program that knows the former key alone does not stop.
	r.Progress = func(column string, _ int64) {
		if column == of.String() {
			renew(1)
		}
	}
	renew(1)
	_, err = r.Run(t.Context())
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "a running process still seals with it")
}

func TestWhatNoKeyOpensIsNamedAndLeft(t *testing.T) {
	pool := sealedRows(t, 1)
	_, err := pool.Exec(t.Context(), "UPDATE ingest.token SET refresh_sealed = 'nonsense' WHERE character_id = 5")
	require.NoError(t, err)
	tallies, err := sealing.Rotation{Pool: pool, Keys: keysOf(t, 2, 1), Columns: columns()}.Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, tallies[0].Unopened)
	require.Equal(t, []string{"5"}, tallies[0].Examples)
	var left []byte
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT refresh_sealed FROM ingest.token WHERE character_id = 5").Scan(&left))
	require.Equal(t, "nonsense", string(left))
}

// Keyrings of programs that were started with the keys in one order or the other read one
// another's texts, before and after.
func TestPersonalTextsAreReadThroughARotation(t *testing.T) {
	pool := sealedRows(t, 1)
	ring := func(current byte, others ...byte) *keyring.Keyring {
		return keyring.New(keyring.Config{
			Pool: pool, Secret: func() ([]byte, error) { return key(current), nil },
			FormerSecrets: func() (out [][]byte, _ error) {
				for _, o := range others {
					out = append(out, key(o))
				}
				return out, nil
			},
		})
	}
	text, err := eve.Amend("test", eve.Amendment{
		CharacterID: 7, Section: eve.SectionMails, FetchedAt: time.Now(), Moment: time.Now(), Item: json.RawMessage(`{"mail_id":7,"body":"hello"}`),
	}, uuid.Nil)
	require.NoError(t, err)
	sealed, err := ring(1).Seal(t.Context(), text)
	require.NoError(t, err)
	require.NotContains(t, string(sealed[0].Data), "hello")
	_, err = ring(2).Open(sealed[0])
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.ErrorContains(t, err, "MUSTER_SECRET_KEY_PREVIOUS")
	requireHello := func(k *keyring.Keyring) {
		t.Helper()
		opened, err := k.Open(sealed[0])
		require.NoError(t, err)
		require.Contains(t, string(opened.Data), "hello")
	}
	requireHello(ring(2, 1))
	requireHello(ring(1, 2))
	_, err = sealing.Rotation{Pool: pool, Keys: keysOf(t, 2, 1), Columns: columns()}.Run(t.Context())
	require.NoError(t, err)
	requireHello(ring(2))
	requireHello(ring(1, 2))

	// One that was destroyed stays so.
	_, err = pool.Exec(t.Context(), "UPDATE ingest.text_key SET wrapped = NULL, destroyed_at = now()")
	require.NoError(t, err)
	tallies, err := sealing.Rotation{Pool: pool, Keys: keysOf(t, 3, 2), Columns: columns()}.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, tallies[4].Current)
}

func TestKeysThatCannotBeAreRefused(t *testing.T) {
	for want, keys := range map[string][][]byte{
		"must have 32 (MUSTER_SECRET_KEY or":                   {key(1)[1:]},
		"must have 32 (MUSTER_SECRET_KEY_PREVIOUS or":          {key(1), nil},
		"MUSTER_SECRET_KEY_PREVIOUS must have other keys than": {key(1), key(2), key(1)},
	} {
		_, err := sealing.NewKeys(keys[0], keys[1:]...)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
	}
	_, _, err := keysOf(t, 1).Open([]byte("short"), nil)
	require.ErrorIs(t, err, sealing.ErrOtherKey)
}
