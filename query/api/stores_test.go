package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/query/api"
	"github.com/muster-sync/muster/query/explain"
	"github.com/muster-sync/muster/query/export"
)

// stores are the real log and the real read models, with projections running.
type stores struct {
	*client

	appender *eventlog.Appender
}

func newStores(t *testing.T) *stores {
	t.Helper()
	return newStoresWith(t, func(*api.Config, *storesParts) {})
}

// storesParts are what the stores consist of.
type storesParts struct {
	pool       *pgxpool.Pool
	appender   *eventlog.Appender
	characters *postgres.CharacterReader
}

// newStoresWith are the stores behind an API whose configuration is changed.
func newStoresWith(t *testing.T, change func(*api.Config, *storesParts)) *stores {
	t.Helper()
	brokers, pool := enginetest.Kafka(t), enginetest.Postgres(t)
	options, err := chgo.ParseDSN(enginetest.ClickHouse(t))
	require.NoError(t, err)
	conn, err := chgo.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	registry := event.NewRegistry()
	access.Register(registry)
	eve.Register(registry)
	anvil.Register(registry)
	manifest := eventlog.DefaultManifest()
	manifest.Partitions = 2
	require.NoError(t, manifest.Ensure(t.Context(), brokers, eventlog.Security{}))
	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, appender.Close()) })
	reader, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(reader.Close)
	control, err := runner.NewControl(t.Context(), pool)
	require.NoError(t, err)

	limits := runner.Limits{Records: 100, Linger: 5 * time.Millisecond}
	bind := func(p runner.Projection, s runner.Store) runner.Bound {
		return runner.Bound{Projection: p, Store: s, Live: limits, Bulk: limits}
	}
	r := runner.New(runner.Config{
		Pool: pool, Control: control, Registry: registry, Logger: slog.New(slog.DiscardHandler),
		Log: runner.Kafka{Reader: reader, Consumer: eventlog.ConsumerConfig{Brokers: brokers}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, bind(postgres.Characters(), runner.NewPostgres(pool)), bind(postgres.AnVIL(), runner.NewPostgres(pool)),
			bind(clickhouse.Wallet(), runner.NewClickHouse(pool, conn, options.Auth.Database)), bind(clickhouse.EventIndex(), runner.NewClickHouse(pool, conn, options.Auth.Database)),
			bind(clickhouse.Facts(), runner.NewClickHouse(pool, conn, options.Auth.Database)), bind(clickhouse.FindingSteps(), runner.NewClickHouse(pool, conn, options.Auth.Database)),
			bind(clickhouse.Records(), runner.NewClickHouse(pool, conn, options.Auth.Database)),
			bind(clickhouse.Organisation(), runner.NewClickHouse(pool, conn, options.Auth.Database)), bind(clickhouse.AnVILHistory(), runner.NewClickHouse(pool, conn, options.Auth.Database)))
	}()
	t.Cleanup(func() { cancel(); <-done })

	generations := live.New(control)
	characters := postgres.NewCharacterReader(pool, generations)
	wallets := clickhouse.NewWalletReader(conn, generations)
	consortia := postgres.NewAnVILReader(pool, generations, registry)
	return &stores{appender: appender, client: newClient(t, func(c *api.Config) {
		c.Explainer = explain.New(consortia, history.New(reader, registry))
		c.Characters, c.Wallets, c.Consortia, c.SkillSets, c.Exports = characters, wallets, consortia, characters, export.New(characters, wallets)
		c.AccessLog, c.Links = characters, characters
		c.Compliance, c.Finder, c.Searcher, c.Figures = characters, characters, characters, characters
		c.Facts, c.FindingTrends = clickhouse.NewFactReader(conn, generations, clickhouse.DefaultBudget()), clickhouse.NewFindingTrendReader(conn, generations, clickhouse.DefaultBudget())
		c.RecordFigures = clickhouse.NewRecordReader(conn, generations, clickhouse.DefaultBudget())
		c.OrganisationTrends = clickhouse.NewOrganisationReader(conn, generations, clickhouse.DefaultBudget())
		c.AnVILTrends = clickhouse.NewAnVILHistoryReader(conn, generations, clickhouse.DefaultBudget())
		c.Prices = characters
		index := clickhouse.NewEventIndexReader(conn, generations, control)
		c.Past = history.New(history.NewIndexed(reader, index), registry)
		c.Events, c.Records = index, reader
		c.Operations = api.NewStanding(control, reader, characters, wallets, consortia)
		change(c, &storesParts{pool, appender, characters})
	})}
}

func (s *stores) append(stream event.Stream, at time.Time, payloads ...event.Payload) {
	s.t.Helper()
	for _, p := range payloads {
		e, err := event.New(uuid.New(), stream, "test", at, p)
		require.NoError(s.t, err)
		require.NoError(s.t, s.appender.Append(s.t.Context(), e))
	}
}

// eventually asks until the answer has what is wanted.
func (s *stores) eventually(target string, want func(map[string]any) bool) string {
	s.t.Helper()
	var text string
	require.Eventually(s.t, func() bool {
		a := s.get(target)
		text = a.text
		var body map[string]any
		return a.StatusCode == http.StatusOK && json.Unmarshal([]byte(text), &body) == nil && want(body)
	}, 30*time.Second, 50*time.Millisecond, "%s", target)
	return text
}

func TestWhatIsAppendedIsAnsweredFromTheRealStores(t *testing.T) {
	s := newStores(t)
	day := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	s.append(event.User("u1"), day, access.UserRegistered{UserID: "u1", Active: true})
	s.append(event.Character(90000001), day,
		eve.CharacterRegistered{CharacterID: 90000001, Name: "Bruce Wayne", UserID: "u1", CorporationID: 98000001, Scopes: []string{"esi-wallet.read_character_wallet.v1"}},
		eve.SectionObserved{CharacterID: 90000001, Section: eve.SectionWallet, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: day, Value: json.RawMessage(`1149.95`)},
		eve.JournalRecorded{CharacterID: 90000001, Day: "2026-03-01", FetchedAt: day, Entries: []eve.JournalEntry{
			{ID: 1, Date: day, RefType: "bounty_prizes", Amount: "150.00", Balance: "1150"},
			{ID: 2, Date: day.Add(time.Second), RefType: "market_escrow", Amount: "-0.05", Balance: "1149.95"},
		}})
	finding := anvil.Finding{ID: findingID, Model: anvil.ModelAccounts, Record: "a@example.com", Kind: anvil.ErrNotInAnVIL, Severity: anvil.SeverityMedium, OpenedAt: day, ChangedSide: anvil.SideDeclared}
	s.append(event.Consortium("acme"), day,
		anvil.ConsortiumDeclared{ServiceAccount: "sa@example.com"},
		anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.com", Status: anvil.StatusActive}},
		anvil.AccountObserved{Email: "a@example.com", Reading: anvil.Reading[anvil.AccountInfo]{Response: anvil.Response{Status: 404}}},
		anvil.SweepCompleted{SweepID: sweepID, Models: anvil.Models(), StartedAt: day, CompletedAt: day.Add(time.Second)},
		anvil.FindingOpened{Finding: finding})

	s.eventually("/v1/characters/90000001/wallet-journal", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 2 })
	text := s.eventually("/v1/characters/90000001/wallet", func(b map[string]any) bool { return b["value"] != nil })
	require.JSONEq(t, `{"character_id": 90000001, "section": "wallet", "observed_at": "2026-03-01T10:00:00Z", "validated_at": null, "status": "ok", "value": {"balance": "1149.95"}}`, text)
	require.Contains(t, s.get("/v1/characters?name=wayne").text, `"character_id":90000001`)
	require.Contains(t, s.get("/v1/characters/90000001").text, `{"section":"location","status":"not_consented"`)
	require.JSONEq(t, `{"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "interval": "month", "tz": "UTC", "group_by": ["corporation"], "items": [
		{"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z", "corporation_id": 98000001, "income": "150.00", "expense": "0.05", "net": "149.95", "tax": "0.00", "entries": 2, "closing_balance": "1149.95"}]}`,
		s.get("/v1/analytics/wallet?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&interval=month&group_by=corporation").text)

	s.eventually("/v1/anvil/acme/findings", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 1 })
	audit := s.eventually("/v1/anvil/acme/audits?models=accounts", func(map[string]any) bool { return true })
	require.Contains(t, audit, `"errors":{"a@example.com":["Not in AnVIL"]}`)
	require.Contains(t, audit, sweepID.String())
	require.Contains(t, s.get("/v1/anvil/acme/findings/"+findingID.String()).text, `"state":"open"`)
	require.Contains(t, s.get("/v1/anvil/acme/findings?state=resolved").text, `"items":[]`)
	require.Contains(t, s.get("/v1/anvil/acme/findings?model=accounts&severity=medium").text, findingID.String())
	require.Contains(t, s.get("/v1/anvil/acme/findings?model=workspaces").text, `"items":[]`)
	require.Contains(t, s.get("/v1/anvil/acme/sweeps").text, sweepID.String())
	s.requireProblem(s.get("/v1/anvil/nobody/findings"), http.StatusNotFound, "nobody")
	s.requireProblem(s.get("/v1/anvil/acme/findings/"+sweepID.String()), http.StatusNotFound, sweepID.String())

	require.Contains(t, s.get("/v1/findings").text, `"consortium":"acme"`)
	require.Contains(t, s.get("/v1/findings?state=resolved").text, `"items":[]`)
	require.Contains(t, s.get("/v1/findings/"+findingID.String()).text, `"consortium":"acme"`)
	s.requireProblem(s.get("/v1/findings/"+sweepID.String()+"/explain"), http.StatusNotFound, sweepID.String())
	s.requireProblem(s.get("/v1/anvil/other/findings/"+findingID.String()+"/explain"), http.StatusNotFound, "other")
	for _, target := range []string{"/v1/findings/", "/v1/anvil/acme/findings/"} {
		why := s.eventually(target+findingID.String()+"/explain", func(b map[string]any) bool { return b["verified"] == true })
		require.Contains(t, why, `"side":"never_agreed"`)
		require.Contains(t, why, "a@example.com: Not in AnVIL. The finding is open")
	}

	stats := s.get("/v1/stats").text
	require.Contains(t, stats, `"journal_entries":2`)
	require.Contains(t, stats, `"open_findings":{"acme":1}`)
	require.Contains(t, stats, `"consortia":{"acme":{"declared":{`)
	require.Contains(t, stats, `"update_statistics":{}`)
	require.Regexp(t, `"app_totals":{"all_characters_count":\d+,"assets_count":\d+,"contacts_count":\d+,"contracts_count":\d+,"mails_count":\d+,"skill_set_groups_count":\d+,"skill_sets_count":\d+,"users_count":\d+}`, stats)
	require.Regexp(t, `"events":{"muster.access.v1":\d+,"muster.anvil.v1":[1-9]\d*,"muster.eve.v1":[1-9]\d*}`, stats)
	s.eventually("/v1/sync", func(b map[string]any) bool {
		projections, _ := b["projections"].([]any)
		for _, p := range projections {
			if p.(map[string]any)["lag_records"].(float64) != 0 {
				return false
			}
		}
		return len(projections) == 9
	})
	require.Contains(t, s.get("/v1/projections").text, `"status":"live"`)

	s.append(event.Consortium("acme"), day.Add(time.Hour), anvil.FindingResolved{Finding: finding, ResolvedAt: day.Add(time.Hour)})
	s.eventually("/v1/anvil/acme/findings?state=resolved", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 1 })
	require.Contains(t, s.get("/v1/anvil/acme/findings").text, `"items":[]`)

	// The log tells what was so then, and of now the same as the read model.
	require.Contains(t, s.get("/v1/anvil/acme/findings?as_of=2026-03-01T10:59:59Z").text, `"state":"open"`)
	require.Contains(t, s.get("/v1/anvil/acme/findings?as_of=2026-03-01T11:00:00Z").text, `"items":[]`)
	s.requireProblem(s.get("/v1/anvil/acme/audits?as_of=2026-03-01T09:00:00Z"), http.StatusNotFound, "2026-03-01T10:00:00Z")
	for _, path := range []string{"findings?state=all&", "findings/" + findingID.String() + "?", "sweeps?", "audits?", "declared?"} {
		require.Equal(t, s.get("/v1/anvil/acme/"+path).text, s.get("/v1/anvil/acme/"+path+"as_of=2026-05-01T12:00:00Z").text)
	}
}

func TestPoisonOfTheRealLogIsListedAndSkipped(t *testing.T) {
	s := newStores(t)
	// A section that this Muster cannot read, and one that waits behind it.
	broken := eve.SectionObserved{CharacterID: 5, Section: eve.SectionDetails, Encoding: "riddle", FetchedAt: moment, Value: json.RawMessage(`{}`)}
	s.append(event.Character(5), moment, eve.CharacterRegistered{CharacterID: 5, Name: "Early", UserID: "u"}, broken,
		eve.CharacterDisabled{CharacterID: 5, Reason: "later"})
	text := s.eventually("/v1/poison?projection=characters", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 2 })
	var page api.Page[api.ParkedEvent]
	require.NoError(t, json.Unmarshal([]byte(text), &page))
	poisoned := page.Items[0]
	require.Equal(t, "poisoned", poisoned.State)
	require.Contains(t, poisoned.Reason, "riddle")
	require.Equal(t, "waiting", page.Items[1].State)

	decision, err := json.Marshal(api.PoisonDecision{Action: "skip", Projection: "characters", Topic: poisoned.Topic, Partition: poisoned.Partition, Offset: poisoned.Offset, Reason: "made for a test"})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, s.do(http.MethodPost, "/v1/poison", string(decision)).StatusCode)
	s.eventually("/v1/poison?projection=characters", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 0 })
	s.eventually("/v1/characters/5", func(b map[string]any) bool { return b["status"] == "disabled" })
	s.requireProblem(s.do(http.MethodPost, "/v1/poison", `{"action": "retry", "projection": "characters", "topic": "muster.eve.v1", "partition": 0, "offset": 999}`), http.StatusNotFound, "999")
}
