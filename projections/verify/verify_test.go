package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/simulate/workload"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/runner/clustertest"
	"github.com/muster-sync/muster/projections/verify"
)

func TestMain(m *testing.M) {
	// The metrics library of the Kafka client starts this one for good.
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// organisation is a log with its read models, all up to date.
type organisation struct {
	pool     *pgxpool.Pool
	conn     driver.Conn
	appender *eventlog.Appender
	reader   *eventlog.Reader
	registry *event.Registry
	control  *runner.Control
	runner   *runner.Runner
	bound    []runner.Bound
}

func newOrganisation(t *testing.T) *organisation {
	t.Helper()
	brokers := enginetest.Kafka(t)
	manifest := eventlog.DefaultManifest()
	manifest.Partitions = 3
	require.NoError(t, manifest.Ensure(t.Context(), brokers, eventlog.Security{}))
	o := &organisation{pool: enginetest.Postgres(t), registry: event.NewRegistry()}
	eve.Register(o.registry)
	anvil.Register(o.registry)
	access.Register(o.registry)
	var err error
	o.appender, err = eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.appender.Close()) })
	o.reader, err = eventlog.NewReader(eventlog.ReaderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(o.reader.Close)
	overTime := []runner.Projection{chviews.Wallet(), chviews.EventIndex(), chviews.Facts(), chviews.FindingSteps(), chviews.Records(), chviews.Organisation(), chviews.AnVILHistory()}
	conn, database, cluster := clustertest.Connect(t, overTime...)
	o.conn = conn
	o.control, err = runner.NewControl(t.Context(), o.pool)
	require.NoError(t, err)
	o.runner = runner.New(runner.Config{
		Pool: o.pool, Control: o.control, Registry: o.registry, Logger: slog.New(slog.DiscardHandler), KeepRetired: 1,
		Log: runner.Kafka{Reader: o.reader, Consumer: eventlog.ConsumerConfig{Brokers: brokers}},
	})
	limits := runner.Limits{Records: 1000, Linger: 20 * time.Millisecond}
	pg, ch := runner.NewPostgres(o.pool), runner.NewClickHouse(o.pool, o.conn, database).On(cluster)
	for _, p := range []runner.Projection{pgviews.Characters(), pgviews.AnVIL()} {
		o.bound = append(o.bound, runner.Bound{Projection: p, Store: pg, Live: limits, Bulk: limits})
	}
	for _, p := range overTime {
		o.bound = append(o.bound, runner.Bound{Projection: p, Store: ch, Live: limits, Bulk: limits})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = o.runner.Run(ctx, o.bound...)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return o
}

// settle waits until all read models have applied the whole log.
func (o *organisation) settle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, b := range o.bound {
			g, err := o.control.Live(t.Context(), b.Name)
			if err != nil {
				return false
			}
			checkpoints, err := o.control.Checkpoints(t.Context(), g)
			require.NoError(t, err)
			lag, err := o.runner.Lag(t.Context(), g, b.Topics)
			require.NoError(t, err)
			if len(checkpoints) == 0 || lag.Records > 0 {
				return false
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond)
}

func (o *organisation) verify(t *testing.T, percent int) verify.Report {
	t.Helper()
	var releases []func()
	defer func() {
		for _, release := range releases {
			release()
		}
	}()
	for _, b := range o.bound {
		release, err := o.runner.Hold(t.Context(), b)
		require.NoError(t, err)
		releases = append(releases, release)
	}
	report, err := verify.Run(t.Context(), verify.Config{
		Pool: o.pool, ClickHouse: o.conn, Log: o.reader, Registry: o.registry, Control: o.control, Percent: percent,
	}, verify.NewCharacters(o.pool), verify.NewAnVIL(o.pool, o.registry, pgviews.LoadState), verify.NewWallet(o.conn), verify.NewEventIndex(o.conn), verify.NewFacts(o.conn), verify.NewFindingSteps(o.conn), verify.NewRecords(o.conn), verify.NewOrganisation(o.conn), verify.NewAnVILHistory(o.conn))
	require.NoError(t, err)
	return report
}

func (o *organisation) append(t *testing.T, stream event.Stream, payloads ...event.Payload) {
	t.Helper()
	for i, p := range payloads {
		e, err := event.New(uuid.New(), stream, "test", time.Date(2026, 11, 1, 12, 0, i, 0, time.UTC), p)
		require.NoError(t, err)
		require.NoError(t, o.appender.Append(t.Context(), e))
	}
}

func fill(t *testing.T, o *organisation) {
	t.Helper()
	_, err := workload.Generate(t.Context(), 6000, 7, o.appender.Append)
	require.NoError(t, err)
	main := int64(90000001)
	o.append(t, event.User("u1"), access.UserRegistered{UserID: "u1", Name: "One", Active: true, State: "Member", Permissions: []string{"basic_access", "finder_access"}},
		access.MainSet{UserID: "u1", CharacterID: &main},
		access.ComplianceChanged{UserID: "u1", Considered: true, Total: 3, Unregistered: 1, Reasons: []access.Reason{{CharacterID: 8, Fault: access.FaultNeverRegistered}}, Since: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)},
		access.ComplianceChanged{UserID: "u1", Considered: true, Compliant: true, Total: 3, Since: time.Date(2026, 11, 1, 13, 0, 0, 5e6, time.UTC)})
	recruiter := access.Role{Name: "Recruiter", Permissions: []string{"characters_access"}, States: []string{"Member"}, Sections: []string{"skills", "wallet"}}
	kept, gone := uuid.UUID{5}, uuid.UUID{6}
	o.append(t, event.Roles, access.RoleDefined{RoleID: kept, Role: access.Role{Name: "Recruits"}}, access.RoleDefined{RoleID: gone, Role: recruiter},
		access.RoleDefined{RoleID: kept, Role: recruiter}, access.RoleRemoved{RoleID: gone, Name: "Recruiter"})
	o.append(t, event.User("u1"), access.RoleGranted{UserID: "u1", RoleID: kept, Name: "Recruiter"}, access.RoleGranted{UserID: "u1", RoleID: gone, Name: "Recruiter"},
		access.RoleRevoked{UserID: "u1", RoleID: gone, Name: "Recruiter"})
	registered, over := access.GainedGroup{GroupID: uuid.UUID{7}, Name: "Registered"}, access.GainedGroup{GroupID: uuid.UUID{8}, Name: "Over"}
	o.append(t, event.Roles, access.GroupDefined{GroupID: over.GroupID, ComplianceGroup: access.ComplianceGroup{Name: "Over"}},
		access.GroupDefined{GroupID: registered.GroupID, ComplianceGroup: access.ComplianceGroup{Name: "Registered", States: []string{"Blue", "Member"}}},
		access.GroupRemoved{GroupID: over.GroupID, Name: "Over"})
	o.append(t, event.User("u1"), access.GroupsGained{UserID: "u1", Groups: []access.GainedGroup{registered, over}, Characters: 1},
		access.GroupsLost{UserID: "u1", Groups: []access.LostGroup{{GroupID: over.GroupID, Name: "Over"}}})
	o.append(t, event.User("u2"), access.UserRegistered{UserID: "u2"}, access.MainSet{UserID: "u2"},
		access.CharactersListed{UserID: "u2", Characters: []access.ListedCharacter{{CharacterID: 8, Name: "Eight"}}},
		access.CharactersListed{UserID: "u2", Characters: []access.ListedCharacter{{CharacterID: 9, Name: "Nine", CorporationID: 7, AllianceID: 8}}})
	one, two := uuid.UUID{1}, uuid.UUID{2}
	gunners := eve.SkillSet{Name: "Gunners", ShipTypeID: 587, Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}, {TypeID: 3301, Required: 4, Recommended: 5}}}
	o.append(t, event.Org, eve.SkillSetDefined{SkillSetID: one, SkillSet: gunners}, eve.SkillSetDefined{SkillSetID: two, SkillSet: gunners},
		eve.SkillSetGroupDefined{SkillSetGroupID: one, SkillSetGroup: eve.SkillSetGroup{Name: "Shield", Active: true, SkillSetIDs: []uuid.UUID{one, two}}},
		eve.SkillSetGroupDefined{SkillSetGroupID: two, SkillSetGroup: eve.SkillSetGroup{Name: "Armour"}},
		eve.SkillSetDefined{SkillSetID: one, SkillSet: eve.SkillSet{Name: "Pilots", Description: "x", Skills: gunners.Skills[1:]}},
		eve.SkillSetRemoved{SkillSetID: two}, eve.SkillSetGroupRemoved{SkillSetGroupID: two})
	o.append(t, event.Character(5), eve.CharacterRegistered{CharacterID: 5, Name: "Five", UserID: "u1", OwnerHash: "h", Scopes: []string{"a", "b"}},
		eve.SectionFailed{CharacterID: 5, Section: eve.SectionWallet, Class: eve.FailureToken, Message: "gone"},
		eve.CharacterShared{CharacterID: 5, UserID: "u1"},
		eve.CharacterOrphaned{CharacterID: 5, Reason: "sold"}, eve.CharacterReclaimed{CharacterID: 5, UserID: "u2"}, eve.CharacterDisabled{CharacterID: 5, Reason: "asked"})
	o.append(t, event.Character(6), eve.CharacterRegistered{CharacterID: 6, Name: "Six", UserID: "u1"}, eve.CharacterShared{CharacterID: 6, UserID: "u1"})
	end, when := time.Date(2026, 12, 1, 12, 0, 0, 5000, time.UTC), time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	o.append(t, event.Character(6), eve.CharacterShared{CharacterID: 6, UserID: "u1", Until: &end},
		eve.LinkIssued{CharacterID: 6, LinkID: uuid.UUID{3}, UserID: "u1", SecretHash: "a", ExpiresAt: end}, eve.CharacterOrphaned{CharacterID: 6, Reason: "sold"},
		eve.CharacterReclaimed{CharacterID: 6, UserID: "u1"}, eve.CharacterShared{CharacterID: 6, UserID: "u1", Until: &end},
		eve.LinkIssued{CharacterID: 6, LinkID: uuid.UUID{4}, UserID: "u1", SecretHash: "b", Sections: []eve.Section{eve.SectionWallet, eve.SectionSkills}, Note: "n", ExpiresAt: end},
		eve.LinkIssued{CharacterID: 6, LinkID: uuid.UUID{5}, UserID: "u1", SecretHash: "c", ExpiresAt: end}, eve.LinkRevoked{CharacterID: 6, LinkID: uuid.UUID{5}})
	o.append(t, event.Character(7), eve.CharacterRegistered{CharacterID: 7, Name: "Seven", UserID: "u1"}, eve.CharacterForgotten{CharacterID: 7, Reason: "asked"})
	for i, d := range []access.DataViewed{
		{ViewerID: "user:u2", ViewerUserID: "u2", OwnerID: "u1", CharacterID: 6, Section: "wallet", Way: access.ByLink, LinkID: &uuid.UUID{4}},
		{ViewerID: "user:u2", ViewerUserID: "u2", OwnerID: "u1", CharacterID: 7, Section: "wallet", Way: access.BySharing},
		{ViewerID: "token:admin", Section: "list-characters", Way: access.ByToken, Rows: 3},
	} {
		d.FirstAt, d.LastAt, d.Count = when, when, int64(i+1)
		o.append(t, d.Stream(), d)
	}
	var contacts, mails strings.Builder
	for i := range 30 {
		fmt.Fprintf(&contacts, `,{"contact_id":%d,"standing":1.50,"note":"a\u0000b %0200d"}`, i, i)
		fmt.Fprintf(&mails, `,{"mail_id":%d,"timestamp":"2026-11-01T12:00:00Z","subject":"<b>"}`, i)
	}
	first := json.RawMessage(`{"contacts":[` + contacts.String()[1:] + `],"labels":[{"label_id":1}]}`)
	second := json.RawMessage(`{"contacts":[` + contacts.String()[1:] + `,{"contact_id":99}],"labels":[]}`)
	series := eve.Series{}
	for i, value := range []json.RawMessage{first, second} {
		e, next, err := eve.Compare("test", series, eve.Snapshot{CharacterID: 5, Section: eve.SectionContacts, FetchedAt: time.Date(2026, 11, 1, 12, i, 0, 0, time.UTC), Value: value})
		require.NoError(t, err)
		require.Equal(t, i > 0, strings.Contains(string(e.Data), `"delta"`))
		require.NoError(t, o.appender.Append(t.Context(), *e))
		series = next
	}
	facts, err := eve.NewFacts("test", eve.FactsReading{
		CharacterID: 5, Section: eve.SectionMails, FetchedAt: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), Items: list(t, "["+mails.String()[1:]+"]"),
	}, &eve.KnownRecords{}, uuid.Nil)
	require.NoError(t, err)
	for _, e := range facts.Events {
		require.NoError(t, o.appender.Append(t.Context(), e))
	}
	for _, lists := range []string{`{"lists":[{"mailing_list_id":1,"name":"Fleets"},{"mailing_list_id":2,"name":"x"}]}`, `{"lists":[{"mailing_list_id":2,"name":"y\u0000"}]}`} {
		o.append(t, event.Character(5), eve.SectionObserved{
			CharacterID: 5, Section: eve.SectionMails, Encoding: eve.EncodingFull, ContentHash: lists, FetchedAt: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), Value: json.RawMessage(lists),
		})
	}
	body := eve.Facts{CharacterID: 5, Section: eve.SectionMails, Day: "2026-11-01", Items: list(t, `[{"mail_id":3,"body":"x"}]`)}
	o.append(t, event.Character(5), eve.MailChanged{Facts: body})
	noon := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	traded := eve.Facts{CharacterID: 5, Section: eve.SectionWalletTransactions, Day: "2026-11-01", FetchedAt: noon, Items: list(t, `[{"transaction_id":101,"date":"2026-11-01T11:00:00Z","type_id":34,"quantity":3,"unit_price":5.0900000000000007,"is_buy":true,"location_id":60003760},
		{"transaction_id":102,"date":"2026-11-01T11:00:00Z","type_id":34,"quantity":0},{"transaction_id":103,"type_id":34}]`)}
	corrected := traded
	corrected.Items = list(t, `[{"transaction_id":101,"date":"2026-11-01T11:00:00Z","type_id":34,"quantity":4,"unit_price":5.09,"is_buy":true,"location_id":60003760}]`)
	mined := eve.Facts{CharacterID: 5, Section: eve.SectionMining, Day: "2026-11-01", FetchedAt: noon, Items: list(t, `[{"date":"2026-11-01","solar_system_id":30000142,"type_id":1230,"quantity":10},{"date":"2026-11-01","solar_system_id":30000142,"type_id":1231,"quantity":7}]`)}
	more := mined
	more.Items = list(t, `[{"date":"2026-11-01","solar_system_id":30000142,"type_id":1230,"quantity":25}]`)
	o.append(t, event.Character(5), eve.TransactionsRecorded{Facts: traded}, eve.TransactionsChanged{Facts: corrected}, eve.MiningRecorded{Facts: mined}, eve.MiningChanged{Facts: more},
		eve.SectionObserved{CharacterID: 5, Section: eve.SectionDetails, Encoding: eve.EncodingFull, FetchedAt: noon, Value: json.RawMessage(`{"name":"Five","corporation_id":98000001}`)})
	contract := eve.Facts{CharacterID: 5, Section: eve.SectionContracts, Day: "2026-11-01", FetchedAt: noon, Items: list(t, `[{"contract_id":201,"type":"courier","status":"outstanding","issuer_id":5,"assignee_id":6,"date_issued":"2026-11-01T11:00:00Z","reward":5.25},{"contract_id":202,"price":"dear"}]`)}
	taken := contract
	taken.Items = list(t, `[{"contract_id":201,"status":"in_progress","acceptor_id":6,"date_accepted":"2026-11-01T11:30:00Z"},{"contract_id":201,"items":[]}]`)
	killed := eve.Facts{CharacterID: 5, Section: eve.SectionKillmails, Day: "2026-11-01", FetchedAt: noon, Items: list(t, `[{"killmail_id":301,"killmail_time":"2026-11-01T11:00:00Z","solar_system_id":30000142,"victim":{"character_id":5,"ship_type_id":587,"items":[{"item_type_id":34,"quantity_dropped":2}]}},{"killmail_id":302}]`)}
	notified := eve.Facts{CharacterID: 5, Section: eve.SectionNotifications, Day: "2026-11-01", FetchedAt: noon, Items: list(t, `[{"notification_id":401,"timestamp":"2026-11-01T11:00:00Z","type":"WarDeclared","sender_id":9}]`)}
	o.append(t, event.Character(5), eve.ContractRecorded{Facts: contract}, eve.ContractChanged{Facts: taken}, eve.KillmailRecorded{Facts: killed}, eve.NotificationRecorded{Facts: notified},
		eve.SectionObserved{CharacterID: 5, Section: eve.SectionOnline, Encoding: eve.EncodingFull, FetchedAt: noon, Value: json.RawMessage(`{"online":true,"last_login":"2026-11-01T11:00:00Z","logins":7}`)})
	trained := func(total, level int) json.RawMessage {
		var skills strings.Builder
		for i := range 30 {
			fmt.Fprintf(&skills, `,{"skill_id":%d,"trained_skill_level":%[2]d,"active_skill_level":%[2]d,"skillpoints_in_skill":%0300[3]d}`, i, level*max(0, 1-i), 0)
		}
		return json.RawMessage(fmt.Sprintf(`{"total_sp":%d,"unallocated_sp":1,"skills":[%s]}`, total, strings.ReplaceAll(skills.String()[1:], ":"+strings.Repeat("0", 299), ":1"+strings.Repeat("0", 299))))
	}
	learned := eve.Series{}
	for i, value := range []json.RawMessage{trained(100, 1), trained(120, 1), trained(100, 2)} {
		e, next, err := eve.Compare("test", learned, eve.Snapshot{CharacterID: 5, Section: eve.SectionSkills, FetchedAt: noon.Add(time.Duration(i) * time.Minute), Value: value})
		require.NoError(t, err)
		require.Equal(t, i > 0, strings.Contains(string(e.Data), `"delta"`))
		require.NoError(t, o.appender.Append(t.Context(), *e))
		learned = next
	}
	group := anvil.ManagedGroup{Name: "g", Email: "g@firecloud.org", IsManagedByApp: true}
	o.append(t, event.Consortium("c"),
		anvil.ConsortiumDeclared{ServiceAccount: "app@example.org"}, anvil.GroupDeclared{ManagedGroup: group},
		anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.org", Status: "active"}},
		anvil.AccountDeclared{Account: anvil.Account{Email: "b@example.org", Status: "active"}},
		anvil.AccountWithdrawn{Email: "b@example.org"},
		anvil.GroupRoleObserved{Name: "g", Listed: true, Email: "g@firecloud.org", Roles: []string{"admin"}},
		anvil.FindingOpened{Finding: anvil.Finding{ID: uuid.New(), Model: anvil.ModelManagedGroups, Record: "g", Kind: "x"}},
		anvil.SweepCompleted{SweepID: uuid.New(), CompletedAt: time.Date(2026, 11, 1, 13, 0, 0, 0, time.UTC)},
		anvil.SweepStarted{SweepID: uuid.UUID{7}, StartedAt: time.Date(2026, 11, 1, 14, 0, 0, 0, time.UTC)},
		anvil.AuditCompleted{SweepID: &uuid.UUID{7}, AuditedAt: time.Date(2026, 11, 1, 14, 0, 0, 0, time.UTC), Models: []anvil.ModelAudited{{Model: anvil.ModelAccounts, Audited: 3, Verified: 2, Errors: 1}, {Model: anvil.ModelWorkspaces}}},
		anvil.SweepStarted{SweepID: uuid.UUID{8}, Models: []anvil.Model{anvil.ModelAccounts}, StartedAt: time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC)},
		anvil.SweepCompleted{
			SweepID: uuid.UUID{8}, Models: []anvil.Model{anvil.ModelAccounts}, Scope: anvil.Scope{Groups: []string{"g"}}, StartedAt: time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC), CompletedAt: time.Date(2026, 11, 1, 15, 0, 1, 0, time.UTC),
			Covered: map[anvil.Kind]int{anvil.KindAccount: 2}, Calls: 5, Retries: 1, Observed: 2, UnseenCount: 1,
		})
	o.settle(t)
}

func list(t *testing.T, value string) []json.RawMessage {
	t.Helper()
	var items []json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(value), &items))
	return items
}

func TestFoldOfTheLogEqualsTheReadModels(t *testing.T) {
	o := newOrganisation(t)
	fill(t, o)
	report := o.verify(t, 100)
	require.Empty(t, report.Differences)
	require.Positive(t, report.Rows["characters"])
	require.Positive(t, report.Rows["wallet"])
	require.EqualValues(t, 4, report.Rows["anvil"])
	require.Greater(t, report.Rows["event_index"], int64(6000))
	require.Greater(t, report.Rows["facts"], int64(3+2+3+1))
	require.EqualValues(t, 1, report.Rows["finding_steps"])
	require.Greater(t, report.Rows["records"], int64(100))

	sample := o.verify(t, 20)
	require.Empty(t, sample.Differences)
	require.Less(t, sample.Events, report.Events)
	require.Positive(t, sample.Events)
}

func TestReplayOfTheReadModelsIsEqual(t *testing.T) {
	o := newOrganisation(t)
	fill(t, o)
	for _, b := range o.bound {
		result, err := o.runner.Replay(t.Context(), b, runner.ReplayOptions{})
		require.NoError(t, err)
		require.True(t, result.Equal, "%s: %+v", b.Name, result.Tables)
		require.True(t, result.Promoted)
	}
	require.Empty(t, o.verify(t, 100).Differences)
}

func TestFindsEachRowThatWasTamperedWith(t *testing.T) {
	o := newOrganisation(t)
	fill(t, o)
	characters, err := o.control.Live(t.Context(), pgviews.CharactersName)
	require.NoError(t, err)
	consortia, err := o.control.Live(t.Context(), pgviews.AnVILName)
	require.NoError(t, err)
	wallet, err := o.control.Live(t.Context(), chviews.WalletName)
	require.NoError(t, err)
	for _, sql := range []string{
		"UPDATE " + characters.Namespace + ".users SET superuser = true WHERE user_id = 'u1'",
		"UPDATE " + characters.Namespace + ".role_definitions SET sections = '{}' WHERE NOT removed",
		"UPDATE " + characters.Namespace + ".role_grants SET granted = true WHERE NOT granted",
		"UPDATE " + characters.Namespace + ".compliance_groups SET states = '{}' WHERE NOT removed",
		"UPDATE " + characters.Namespace + ".compliance_memberships SET member = true WHERE NOT member",
		"UPDATE " + characters.Namespace + ".owners SET user_id = 'u1' WHERE character_id = 5",
		"UPDATE " + characters.Namespace + ".sharings SET shared = false WHERE character_id = 6",
		"UPDATE " + characters.Namespace + ".listed SET corporation_id = 1 WHERE character_id = 9",
		"DELETE FROM " + characters.Namespace + ".failures WHERE character_id = 5",
		"UPDATE " + characters.Namespace + `.sections SET value = '1' WHERE (character_id, section) = (SELECT character_id, section FROM ` + characters.Namespace + ".sections WHERE section = 'wallet' LIMIT 1)",
		"UPDATE " + characters.Namespace + `.items SET value = '{"contact_id":4}' WHERE key = '4' AND list = 'contacts'`,
		"UPDATE " + characters.Namespace + ".changes SET gone = true WHERE key = '99'",
		"UPDATE " + characters.Namespace + `.records SET value = '{"mail_id":3,"body":"y"}' WHERE key = '3'`,
		"DELETE FROM " + characters.Namespace + ".records WHERE key = '7'",
		"DELETE FROM " + characters.Namespace + ".mailing_list_names WHERE mailing_list_id = 1",
		"UPDATE " + characters.Namespace + ".skill_set_skills SET required = NULL WHERE type_id = 3301",
		"DELETE FROM " + characters.Namespace + ".skill_set_memberships",
		"UPDATE " + characters.Namespace + ".links SET note = 'x' WHERE note = 'n'",
		"UPDATE " + characters.Namespace + ".looks SET count = 9 WHERE character_id = 6",
		"DELETE FROM " + characters.Namespace + ".looks WHERE character_id = 0",
		"UPDATE " + consortia.Namespace + ".findings SET open = false",
	} {
		tag, err := o.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
		require.EqualValues(t, 1, tag.RowsAffected(), sql)
	}
	if clustertest.Asked() {
		t.Skip("rows of a distributed table cannot be tampered with by this")
	}
	require.NoError(t, o.conn.Exec(t.Context(), "ALTER TABLE "+wallet.Namespace+".wallet_journal UPDATE amount = amount + 0.01 WHERE (character_id, id) = (SELECT character_id, id FROM "+
		wallet.Namespace+".wallet_journal ORDER BY character_id, id LIMIT 1) SETTINGS mutations_sync = 2"))
	index, err := o.control.Live(t.Context(), chviews.EventIndexName)
	require.NoError(t, err)
	for _, sql := range []string{"UPDATE actor = 'somebody' WHERE stream = 'eve:org' AND type LIKE '%removed%' AND type LIKE '%skillsetgroup%'", "DELETE WHERE stream = 'eve:user:u1' AND type LIKE '%main%'"} {
		require.NoError(t, o.conn.Exec(t.Context(), "ALTER TABLE "+index.Namespace+".event_index "+sql+" SETTINGS mutations_sync = 2"))
	}
	records, err := o.control.Live(t.Context(), chviews.RecordsName)
	require.NoError(t, err)
	facts, err := o.control.Live(t.Context(), chviews.FactsName)
	require.NoError(t, err)
	steps, err := o.control.Live(t.Context(), chviews.FindingStepsName)
	require.NoError(t, err)
	stood, err := o.control.Live(t.Context(), chviews.OrganisationName)
	require.NoError(t, err)
	audits, err := o.control.Live(t.Context(), chviews.AnVILHistoryName)
	require.NoError(t, err)
	for _, sql := range []string{
		stood.Namespace + ".compliance UPDATE total = 9 WHERE compliant", stood.Namespace + ".mains DELETE WHERE user_id = 'u2'", stood.Namespace + ".listed UPDATE corporation_id = 9 WHERE character_id = 9",
		stood.Namespace + ".looks UPDATE count = 7 WHERE character_id = 6", stood.Namespace + ".forgettings DELETE WHERE character_id = 7", stood.Namespace + ".skill_sets UPDATE name = 'x' WHERE NOT defined",
		stood.Namespace + ".skill_set_groups UPDATE sets = [] WHERE name = 'Shield'", stood.Namespace + ".skill_levels UPDATE levels = [3] WHERE character_id = 5 AND levels = [2]",
		audits.Namespace + ".audits UPDATE verified = 3 WHERE model = 'accounts'", audits.Namespace + ".sweeps DELETE WHERE NOT completed",
		facts.Namespace + ".transactions UPDATE unit_price = 6 WHERE transaction_id = 101", facts.Namespace + ".transactions DELETE WHERE transaction_id = 102",
		facts.Namespace + ".mining UPDATE quantity = 8 WHERE type_id = 1231", facts.Namespace + ".affiliations UPDATE corporation_id = 1 WHERE character_id = 5",
		facts.Namespace + ".skill_points UPDATE total = 121 WHERE total = 120", steps.Namespace + ".finding_steps UPDATE step = 'resolved' WHERE true",
		records.Namespace + ".contracts UPDATE reward = 6 WHERE reward = 5.25", records.Namespace + ".killmails DELETE WHERE killmail_id = 301", records.Namespace + ".notifications UPDATE kind = 'x' WHERE notification_id = 401",
		records.Namespace + ".presence UPDATE logins = 8 WHERE character_id = 5", records.Namespace + ".sync_steps UPDATE class = 'x' WHERE character_id = 5 AND section = 'online'",
	} {
		require.NoError(t, o.conn.Exec(t.Context(), "ALTER TABLE "+sql+" SETTINGS mutations_sync = 2"))
	}
	report := o.verify(t, 100)
	require.EqualValues(t, 46, report.Count, "%+v", report.Differences)
}

func TestWhatIsForgottenIsGoneFromAllReadModelsAndBeginsAnew(t *testing.T) {
	o := newOrganisation(t)
	day := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	history := func(id int64) []event.Payload {
		return []event.Payload{
			eve.CharacterRegistered{CharacterID: id, Name: "Early", UserID: "u1", CorporationID: 7, OwnerHash: "h"},
			eve.SectionObserved{CharacterID: id, Section: eve.SectionWallet, Encoding: eve.EncodingFull, FetchedAt: day, Value: json.RawMessage(`5.25`)},
			eve.SectionFailed{CharacterID: id, Section: eve.SectionMails, Class: eve.FailureToken, Message: "gone", Since: day},
			eve.CharacterDisabled{CharacterID: id, Reason: "r"},
			eve.TransactionsRecorded{Facts: eve.Facts{CharacterID: id, Section: eve.SectionWalletTransactions, Day: "2026-10-01", Items: list(t, `[{"transaction_id":1,"date":"2026-10-01T11:00:00Z","type_id":34,"quantity":3,"unit_price":5,"is_buy":true}]`)}},
			eve.MiningRecorded{Facts: eve.Facts{CharacterID: id, Section: eve.SectionMining, Day: "2026-10-01", Items: list(t, `[{"date":"2026-10-01","solar_system_id":1,"type_id":2,"quantity":10}]`)}},
			eve.SectionObserved{CharacterID: id, Section: eve.SectionSkills, Encoding: eve.EncodingFull, FetchedAt: day, Value: json.RawMessage(`{"total_sp":5,"skills":[]}`)},
			eve.JournalRecorded{CharacterID: id, Day: "2026-10-01", FetchedAt: day, Entries: []eve.JournalEntry{
				{ID: 1, Date: day, RefType: "bounty_prizes", Amount: "5.25", Balance: "5.25"},
				{ID: 2, Date: day, RefType: "bounty_prizes", Amount: "0.75", Balance: "6.00"},
			}},
		}
	}
	// The streams lie in all partitions. Some are forgotten in a later batch, some
	// in that of their history, some come back.
	const characters = 12
	for id := int64(1); id <= characters; id++ {
		o.append(t, event.Character(id), history(id)...)
	}
	o.settle(t)
	gone := eve.CharacterForgotten{Reason: "asked for"}
	for id := int64(1); id <= characters; id++ {
		gone.CharacterID = id
		switch id % 4 {
		case 0:
			o.append(t, event.Character(id), gone)
		case 1:
			o.append(t, event.Character(id), append([]event.Payload{gone}, history(id)...)...)
		case 2:
			o.append(t, event.Character(id), append(history(id), gone)...)
		}
	}
	for id := int64(1); id <= characters; id++ {
		look := access.DataViewed{ViewerID: "token:admin", OwnerID: "u1", CharacterID: id, Section: "wallet", Way: access.ByToken, FirstAt: day, LastAt: day, Count: 1}
		o.append(t, look.Stream(), look)
	}
	o.settle(t)
	report := o.verify(t, 100)
	require.Empty(t, report.Differences)

	rows := func(table string, id int64) (n uint64) {
		g, err := o.control.Live(t.Context(), chviews.WalletName)
		require.NoError(t, err)
		require.NoError(t, o.conn.QueryRow(t.Context(), fmt.Sprintf("SELECT count() FROM `%s`.%s FINAL WHERE character_id = %d", g.Namespace, table, id)).Scan(&n))
		return n
	}
	requireRows := func() {
		t.Helper()
		for id := int64(1); id <= characters; id++ {
			forgotten := id%4 == 0 || id%4 == 2
			for table, want := range map[string]uint64{"wallet_journal": 2, "balances": 1, "affiliations": 1} {
				if forgotten {
					want = 0
				}
				require.Equal(t, want, rows(table, id), "%s of character %d", table, id)
			}
		}
	}
	requireRows()
	g, err := o.control.Live(t.Context(), pgviews.CharactersName)
	require.NoError(t, err)
	tables := 0
	for _, table := range pgviews.Characters().Tables {
		if !strings.Contains(table.Key, "character_id") || table.Name == "forgettings" {
			// That it was forgotten stays: a look that is told later is from before.
			continue
		}
		tables++
		var n int
		require.NoError(t, o.pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(*) FROM %q.%s WHERE character_id %% 4 IN (0, 2)`, g.Namespace, table.Name)).Scan(&n))
		require.Zero(t, n, table.Name)
	}
	require.GreaterOrEqual(t, tables, 12)
	var looks []int64
	require.NoError(t, o.pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT array_agg(character_id ORDER BY character_id) FROM %q.looks`, g.Namespace)).Scan(&looks))
	require.Equal(t, []int64{3, 7, 11}, looks, "of the others, looks are from before they were forgotten")

	// A replay reads all in one go and comes out equal.
	for _, b := range o.bound {
		result, err := o.runner.Replay(t.Context(), b, runner.ReplayOptions{})
		require.NoError(t, err)
		require.True(t, result.Equal, "%s: %+v", b.Name, result.Tables)
	}
	requireRows()
	require.Empty(t, o.verify(t, 100).Differences)
}
