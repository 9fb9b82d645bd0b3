package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// place names a schema as the live generation of every projection.
type place string

func (p place) Live(context.Context, string) (runner.Generation, error) {
	return runner.Generation{Namespace: string(p)}, nil
}

// views is a schema with the tables of a projection, filled by folding events.
type views struct {
	t          *testing.T
	pool       *pgxpool.Pool
	projection runner.Projection
	schema     string
	offset     int64
}

func newViews(t *testing.T, p runner.Projection) *views {
	t.Helper()
	// A schema whose name has to be quoted.
	v := &views{t: t, pool: enginetest.Postgres(t), projection: p, schema: `muster "x" g1`}
	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{v.schema}.Sanitize())
		return err
	})
	v.enter(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, p.Schema)
		return err
	})
	return v
}

func (v *views) live() *live.Generations { return live.New(place(v.schema)) }

func (v *views) tx(f func(context.Context, pgx.Tx) error) {
	v.t.Helper()
	require.NoError(v.t, pgx.BeginFunc(v.t.Context(), v.pool, func(tx pgx.Tx) error { return f(v.t.Context(), tx) }))
}

func (v *views) enter(f func(context.Context, pgx.Tx) error) {
	v.t.Helper()
	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path TO "+pgx.Identifier{v.schema}.Sanitize()); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// fold applies facts of one stream that happened at a moment.
func (v *views) fold(stream event.Stream, at time.Time, payloads ...event.Payload) {
	v.t.Helper()
	batch := v.projection.NewBatch()
	for _, p := range payloads {
		v.offset++
		e, err := event.New(uuid.New(), stream, "test", at, p)
		require.NoError(v.t, err)
		require.NoError(v.t, batch.Add(runner.Event{Recorded: event.Recorded{Event: e, Position: event.Position{Offset: v.offset}}, Payload: p}))
	}
	v.enter(batch.(runner.PostgresBatch).Write)
}

func at(hour int) time.Time { return time.Date(2026, 5, 1, hour, 0, 0, 0, time.UTC) }

func register(id int64, name, user string, corporation, alliance int64, scopes ...string) eve.CharacterRegistered {
	return eve.CharacterRegistered{CharacterID: id, Name: name, UserID: user, CorporationID: corporation, AllianceID: alliance, Scopes: scopes}
}

// organisation folds a small one.
func organisation(t *testing.T) *views {
	v := newViews(t, postgres.Characters())
	const wallet = "esi-wallet.read_character_wallet.v1"
	v.fold(event.User("u1"), at(0), access.UserRegistered{UserID: "u1", Active: true}, access.UserRegistered{UserID: "u2", Active: true})
	v.fold(event.Character(1), at(1),
		register(5, "bruce Wayne", "u1", 10, 99, wallet),
		register(3, "Alfred 100%_\\", "u1", 10, 0),
		register(4, "Zed", "u2", 20, 99),
		register(2, "alfred", "u2", 20, 0),
		register(1, "Zed", "u2", 20, 0))
	v.fold(event.Character(4), at(2), eve.CharacterOrphaned{CharacterID: 4, Reason: "sold"}, eve.CharacterDisabled{CharacterID: 4, Reason: "x"},
		eve.CharacterDisabled{CharacterID: 2, Reason: "on leave"})
	v.fold(event.Character(5), at(3),
		eve.SectionObserved{
			CharacterID: 5, Section: eve.SectionDetails, Encoding: eve.EncodingFull, ContentHash: "h1", FetchedAt: at(3),
			Value: json.RawMessage(`{"name": "Bruce Wayne", "corporation_id": 11, "new_field": [1.50]}`),
		},
		eve.SectionFailed{CharacterID: 5, Section: eve.SectionWallet, Class: eve.FailureServer, Status: 502, Message: "bad gateway", Since: at(4)},
		eve.SectionFailed{CharacterID: 5, Section: eve.SectionLocation, Class: eve.FailureToken, Status: 403, Message: "the scope is missing", Since: at(4)})
	return v
}

func TestCharactersAreFilteredAndSorted(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	f := func(filter postgres.CharacterFilter, want ...int64) {
		t.Helper()
		filter.Limit = 100
		list, err := reader.Characters(t.Context(), filter)
		require.NoError(t, err)
		got := []int64{}
		for _, c := range list {
			got = append(got, c.CharacterID)
		}
		require.Equal(t, append([]int64{}, want...), got)
	}
	f(postgres.CharacterFilter{}, 2, 3, 5, 1, 4)
	f(postgres.CharacterFilter{Sort: postgres.SortByID}, 1, 2, 3, 4, 5)
	f(postgres.CharacterFilter{Name: "WAYNE"}, 5)
	f(postgres.CharacterFilter{NamePrefix: "ALF"}, 2, 3)
	f(postgres.CharacterFilter{NamePrefix: "wayne"})
	f(postgres.CharacterFilter{Name: "%_\\"}, 3)
	f(postgres.CharacterFilter{Name: "_"}, 3)
	f(postgres.CharacterFilter{CorporationID: 20}, 2, 1, 4)
	f(postgres.CharacterFilter{CorporationID: 11}, 5)
	f(postgres.CharacterFilter{AllianceID: 99}, 4)
	f(postgres.CharacterFilter{UserID: "u2"}, 2, 1)
	f(postgres.CharacterFilter{Status: postgres.CharacterActive}, 3, 5, 1)
	f(postgres.CharacterFilter{Status: postgres.CharacterDisabled}, 2)
	f(postgres.CharacterFilter{Status: postgres.CharacterOrphaned}, 4)
	f(postgres.CharacterFilter{Name: "'; DROP TABLE users; --"})
}

func TestPagesOfCharactersHoldEachOnce(t *testing.T) {
	v := organisation(t)
	for i := range int64(40) {
		v.fold(event.Character(100+i), at(5), register(100+i, fmt.Sprintf("Clone %d", i/4), "u1", 10, 0))
	}
	reader := postgres.NewCharacterReader(v.pool, v.live())
	for _, order := range []postgres.CharacterSort{postgres.SortByID, postgres.SortByName} {
		filter := postgres.CharacterFilter{Sort: order, Limit: 7}
		seen := map[int64]bool{}
		last := ""
		for {
			page, err := reader.Characters(t.Context(), filter)
			require.NoError(t, err)
			for _, c := range page {
				require.False(t, seen[c.CharacterID])
				seen[c.CharacterID] = true
				if order == postgres.SortByName {
					require.LessOrEqual(t, last, strings.ToLower(c.Name))
					last = strings.ToLower(c.Name)
				}
			}
			if len(page) < filter.Limit {
				break
			}
			cursor := page[len(page)-1].Cursor()
			filter.After = &cursor
		}
		require.Len(t, seen, 45)
	}
}

func TestACharacterShowsHowItsSectionsStand(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	c, states, err := reader.Character(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, "Bruce Wayne", c.Name)
	require.Equal(t, int64(11), c.CorporationID)
	require.Zero(t, c.AllianceID)
	require.Equal(t, "u1", c.UserID)
	require.Equal(t, 2, c.FailingSections)
	require.Equal(t, at(1), c.RegisteredAt)

	status := map[eve.Section]postgres.SectionStatus{}
	for _, s := range states {
		status[s.Section] = s.Status
	}
	require.Len(t, status, len(eve.Shapes()))
	for section, want := range map[eve.Section]postgres.SectionStatus{
		eve.SectionDetails: postgres.SectionOK, eve.SectionWallet: postgres.SectionFailing, eve.SectionCorporationHistory: postgres.SectionNotYet,
		eve.SectionLocation: postgres.SectionNotConsented, eve.SectionWalletJournal: postgres.SectionNotYet, eve.SectionAssets: postgres.SectionNotConsented,
	} {
		require.Equal(t, want, status[section], section)
	}
	wallet := slices.IndexFunc(states, func(s postgres.SectionState) bool { return s.Section == eve.SectionWallet })
	require.Equal(t, at(3), *states[0].ObservedAt)
	require.Nil(t, states[0].ValidatedAt)
	require.Equal(t, &postgres.SectionFailure{Class: eve.FailureServer, Status: 502, Message: "bad gateway", Since: at(4)}, states[wallet].Failure)

	v.fold(event.Character(5), at(6), eve.SectionRecovered{CharacterID: 5, Section: eve.SectionWallet, Since: at(6)})
	_, states, err = reader.Character(t.Context(), 5)
	require.NoError(t, err)
	require.Nil(t, states[wallet].Failure)

	_, _, err = reader.Character(t.Context(), 77)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "77")
}

func TestSectionsHoldTheWordsOfESI(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	s, err := reader.Section(t.Context(), 5, eve.SectionDetails)
	require.NoError(t, err)
	require.JSONEq(t, `{"name": "Bruce Wayne", "corporation_id": 11, "new_field": [1.50]}`, string(s.Value))
	require.Contains(t, string(s.Value), "1.50")
	require.Equal(t, "h1", s.ContentHash)
	require.Equal(t, postgres.SectionOK, s.Status)

	s, err = reader.Section(t.Context(), 5, eve.SectionWalletJournal)
	require.NoError(t, err)
	require.Nil(t, s.Value)
	require.Equal(t, postgres.SectionNotYet, s.Status)

	for _, missing := range []struct {
		id   int64
		name eve.Section
	}{{5, "moods"}, {77, eve.SectionDetails}} {
		_, err = reader.Section(t.Context(), missing.id, missing.name)
		require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	}
}

func TestTheStateOfALoginIsShownOnceItsTableIsThere(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	login := func(id int64) *postgres.Login {
		t.Helper()
		c, _, err := reader.Character(t.Context(), id)
		require.NoError(t, err)
		return c.Login
	}
	require.Nil(t, login(5))
	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE SCHEMA ingest;
			CREATE TABLE ingest.token (character_id bigint, state text, parked_reason text, registered_at timestamptz, updated_at timestamptz);
			INSERT INTO ingest.token VALUES (5, 'parked', 'EVE says so', '2026-05-01T07:00:00Z', '2026-05-01T08:00:00Z'), (4, 'active', '', '2026-05-01T07:00:00Z', '2026-05-01T07:00:00Z')`)
		return err
	})
	given := time.Date(2026, 5, 1, 7, 0, 0, 0, time.UTC)
	require.Equal(t, &postgres.Login{Parked: true, Reason: "EVE says so", RegisteredAt: given, ChangedAt: given.Add(time.Hour)}, login(5))
	require.Equal(t, &postgres.Login{RegisteredAt: given, ChangedAt: given}, login(4))
	require.Nil(t, login(3))
}

func TestWhatIngestConfirmedIsShownOnceItsTableIsThere(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	_, states, err := reader.Character(t.Context(), 5)
	require.NoError(t, err)
	require.Nil(t, states[3].ValidatedAt)

	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE SCHEMA ingest;
			CREATE TABLE ingest.section_state (character_id bigint, section text, validated_at timestamptz, not_before timestamptz, PRIMARY KEY (character_id, section));
			INSERT INTO ingest.section_state VALUES (5, 'wallet-journal', '2026-05-01T07:00:00Z', '2026-05-01T08:00:00Z'), (4, 'wallet', now(), now())`)
		return err
	})
	// An empty journal brings no event, yet it has been read.
	s, err := reader.Section(t.Context(), 5, eve.SectionWalletJournal)
	require.NoError(t, err)
	require.Equal(t, postgres.SectionOK, s.Status)
	require.Equal(t, at(7), *s.ValidatedAt)
	require.Equal(t, at(8), *s.NotBefore)
}

func TestSectionCountsFollowTheRulesOfASingleCharacter(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	type key struct {
		section eve.Section
		status  postgres.SectionStatus
	}
	want := map[key]int64{}
	list, err := reader.Characters(t.Context(), postgres.CharacterFilter{Status: postgres.CharacterActive, Limit: 100})
	require.NoError(t, err)
	for _, c := range list {
		_, states, err := reader.Character(t.Context(), c.CharacterID)
		require.NoError(t, err)
		for _, s := range states {
			want[key{s.Section, s.Status}]++
		}
	}
	counts, err := reader.SectionCounts(t.Context())
	require.NoError(t, err)
	got := map[key]int64{}
	for _, c := range counts {
		got[key{c.Section, c.Status}] = c.Characters
	}
	require.Equal(t, want, got)
	require.Len(t, got, len(eve.Shapes())+4)
}

func TestCharactersAreCounted(t *testing.T) {
	v := organisation(t)
	counts, err := postgres.NewCharacterReader(v.pool, v.live()).Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), counts.Users)
	require.Equal(t, map[postgres.CharacterStatus]int64{postgres.CharacterActive: 3, postgres.CharacterDisabled: 1, postgres.CharacterOrphaned: 1}, counts.Characters)
	require.Equal(t, int64(1), counts.Observed[eve.SectionDetails])
	require.Equal(t, int64(1), counts.Failing[eve.SectionWallet])
}

func TestQueriesSayWhatIsAway(t *testing.T) {
	v := organisation(t)
	gone := postgres.NewCharacterReader(v.pool, live.New(place("dropped_a_moment_ago")))
	_, err := gone.Characters(t.Context(), postgres.CharacterFilter{Limit: 1})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "%v", err)

	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/none?connect_timeout=1")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = postgres.NewCharacterReader(pool, v.live()).Characters(t.Context(), postgres.CharacterFilter{Limit: 1})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "%v", err)
}

func TestTheStateOfOneSectionIsThatAmongAll(t *testing.T) {
	v, reader := searchable(t)
	v.fold(event.Character(3), at(7), eve.SectionFailed{CharacterID: 3, Section: eve.SectionAssets, Class: eve.FailureServer, Status: 502, Message: "bad gateway", Since: at(7)})
	for id := int64(1); id <= 5; id++ {
		_, states, err := reader.Character(t.Context(), id)
		require.NoError(t, err)
		require.Len(t, states, len(eve.Shapes()))
		for _, state := range states {
			one, err := reader.State(t.Context(), id, state.Section)
			require.NoError(t, err)
			require.Equal(t, postgres.Section{CharacterID: id, SectionState: state}, one)
		}
	}
	_, err := reader.State(t.Context(), 99, eve.SectionWallet)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "character 99")
	_, err = reader.State(t.Context(), 1, "soul")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "soul")
}
