package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// BenchmarkFold folds what a large organisation brings. Rates are of rows and of
// events a second, decoding excluded.
func BenchmarkFold(b *testing.B) {
	assets := func(first, n int) json.RawMessage {
		var list strings.Builder
		for i := range n {
			fmt.Fprintf(&list, `,{"is_singleton":false,"item_id":%d,"location_flag":"Hangar","location_id":60003760,"location_type":"station","quantity":%d,"type_id":%d}`, 1_000_000_000_000+first+i, i, 34+i%5000)
		}
		return json.RawMessage("[" + list.String()[1:] + "]")
	}
	f := func(name string, events, perBatch, rows int, id func(i int) int64, payload func(i int) event.Payload) {
		b.Run(name, func(b *testing.B) {
			pool, projection := enginetest.Postgres(b), postgres.Characters()
			_, err := pool.Exec(b.Context(), "CREATE SCHEMA g; SET search_path TO g; "+projection.Schema)
			require.NoError(b, err)
			pool.Reset()
			offset := int64(0)
			for b.Loop() {
				for done := 0; done < events; {
					batch := projection.NewBatch()
					for range min(perBatch, events-done) {
						offset++
						p := payload(done)
						e := runner.Event{Payload: p}
						e.ID, e.Stream, e.Offset, e.Time = uuid.New(), event.Character(id(done)), offset, at(1)
						require.NoError(b, batch.Add(e))
						done++
					}
					require.NoError(b, pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
						if _, err := tx.Exec(b.Context(), "SET LOCAL search_path TO g"); err != nil {
							return err
						}
						return batch.(runner.PostgresBatch).Write(context.Background(), tx)
					}))
				}
			}
			seconds := b.Elapsed().Seconds() / float64(b.N)
			b.ReportMetric(float64(events)/seconds, "events/s")
			b.ReportMetric(float64(events*rows)/seconds, "rows/s")
		})
	}
	full := func(id int, s eve.Section, value json.RawMessage) eve.SectionObserved {
		return eve.SectionObserved{CharacterID: int64(id), Section: s, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: at(1), Value: value}
	}
	large := assets(0, 20_000)
	each := func(i int) int64 { return int64(90000001 + i) }
	f("100 assets of 20000", 100, 1, 20_000, each, func(i int) event.Payload { return full(90000001+i, eve.SectionAssets, large) })
	f("100000 locations", 100_000, 5000, 1, each, func(i int) event.Payload {
		return full(90000001+i%10_000, eve.SectionLocation, json.RawMessage(`{"solar_system_id":30000142,"station_id":60003760}`))
	})
	f("100000 implants", 100_000, 5000, 5, each, func(i int) event.Payload {
		return full(90000001+i, eve.SectionImplants, json.RawMessage(`[1,2,3,4,5]`))
	})
	f("2000 times 50 transactions", 2000, 100, 50, each, func(i int) event.Payload {
		facts := eve.Facts{CharacterID: each(i), Section: eve.SectionWalletTransactions, Day: "2026-05-01", FetchedAt: at(1)}
		for n := range 50 {
			facts.Items = append(facts.Items, json.RawMessage(fmt.Sprintf(`{"client_id":90000002,"date":"2026-05-01T10:00:00Z","is_buy":true,"is_personal":true,"journal_ref_id":%d,"location_id":60003760,"quantity":1,"transaction_id":%d,"type_id":34,"unit_price":5.10}`, n, i*100+n)))
		}
		return eve.TransactionsRecorded{Facts: facts}
	})
}
