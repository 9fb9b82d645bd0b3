package enginetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	for range 2 {
		t.Run("database", func(t *testing.T) {
			t.Parallel()
			pool := enginetest.Postgres(t)
			_, err := pool.Exec(t.Context(), "create table only_here (id bigint primary key)")
			require.NoError(t, err)
		})
	}
}

func TestKafkaKeepsRecords(t *testing.T) {
	for name, brokers := range map[string]func(testing.TB) []string{"embedded": enginetest.Kafka, "real": enginetest.RealKafka} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			produceAndConsume(t, brokers(t))
		})
	}
}

func produceAndConsume(t *testing.T, brokers []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("kept"), kgo.DefaultProduceTopic("kept"))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, 3, 1, nil, "kept")
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(ctx, kgo.StringRecord("a fact")).FirstErr())
	fetches := client.PollFetches(ctx)
	require.NoError(t, fetches.Err())
	require.Equal(t, "a fact", string(fetches.Records()[0].Value))
}

func TestClickHouseGivesEachTestItsOwnDatabase(t *testing.T) {
	for range 2 {
		t.Run("database", func(t *testing.T) {
			t.Parallel()
			options, err := clickhouse.ParseDSN(enginetest.ClickHouse(t))
			require.NoError(t, err)
			conn, err := clickhouse.Open(options)
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close()) }()
			require.NoError(t, conn.Exec(t.Context(), "create table only_here (id UInt64) engine = MergeTree order by id"))
			require.NoError(t, conn.Exec(t.Context(), "insert into only_here values (7)"))
			var id uint64
			require.NoError(t, conn.QueryRow(t.Context(), "select id from only_here").Scan(&id))
			require.Equal(t, uint64(7), id)
		})
	}
}
