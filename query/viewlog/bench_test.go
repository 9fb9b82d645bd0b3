package viewlog_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/query/viewlog"
)

// BenchmarkRecord is what noting a look adds to an answer; the bare commit is what the
// disk alone asks for.
func BenchmarkRecord(b *testing.B) {
	pool := enginetest.Postgres(b)
	require.NoError(b, viewlog.Migrate(b.Context(), pool))
	r, err := viewlog.New(viewlog.Config{Pool: pool, Log: &memoryLog{events: map[string]event.Event{}}})
	require.NoError(b, err)
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, r.Record(context.Background(), look("bob", 1)))
		}
	})
	_, err = pool.Exec(b.Context(), `CREATE TABLE bare (n bigint PRIMARY KEY, count bigint NOT NULL); INSERT INTO bare VALUES (1, 1)`)
	require.NoError(b, err)
	b.Run("bare commit", func(b *testing.B) {
		for b.Loop() {
			_, err := pool.Exec(context.Background(), `UPDATE bare SET count = count + 1 WHERE n = 1`)
			require.NoError(b, err)
		}
	})
}
