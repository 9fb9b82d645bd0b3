//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// The organisation that the API is asked about. Of a pattern of some characters every
// event is folded; then what that has left in the tables is repeated until there are as
// many as are asked for, each copy with ids, names, owners and corporations of its own.
// So the tables have the shape that the projectors leave, within a minute.
const (
	// patternCharacters are folded. apiPerUser have the same owner, who has one more
	// that is not registered; corporations have half a pattern.
	patternCharacters = 100
	apiPerUser        = 5
	apiCorporations   = 2
	apiAlliances      = 7
	// apiAssets is how many assets a character has: two millions in all.
	apiAssets = 200

	firstAPICharacter    = 90_000_001
	firstAPIUnregistered = 95_000_001
	firstAPICorporation  = 98_000_001
	firstAPIAlliance     = 99_000_001
	firstAPIItem         = 1_000_000_000_000
)

// apiSections are those that the characters of the organisation have.
func apiSections() []eve.Section {
	return []eve.Section{
		eve.SectionDetails, eve.SectionAssets, eve.SectionSkills, eve.SectionWallet, eve.SectionLocation, eve.SectionContacts,
		eve.SectionMails, eve.SectionContracts, eve.SectionWalletJournal,
	}
}

func apiUser(n int) string { return fmt.Sprintf("user-%06d", n) }
func apiCorporation(i int) int64 {
	return firstAPICorporation + int64(i/(patternCharacters/apiCorporations))
}
func apiAlliance(corporation int64) int64 { return firstAPIAlliance + corporation%apiAlliances }

// apiAppender is what takes the organisation's events.
type apiAppender interface {
	Append(ctx context.Context, events ...event.Event) error
}

// populate fills the tables: characters has to be a multiple of the pattern.
func (r *apiRig) populate(to apiAppender) {
	r.b.Helper()
	started := time.Now()
	const atOnce = 32
	group, ctx := errgroup.WithContext(r.b.Context())
	group.SetLimit(atOnce)
	for i := range patternCharacters {
		group.Go(func() error { return to.Append(ctx, apiCharacter(i)...) })
	}
	group.Go(func() error { return to.Append(ctx, apiSkillSets()...) })
	require.NoError(r.b, group.Wait())
	ends, err := r.stores.reader.Ends(r.b.Context(), event.TopicEVE)
	require.NoError(r.b, err)
	for at, span := range ends {
		r.ends[at] = span.End
	}
	for _, name := range []string{"characters", "wallet"} {
		projection := r.bound(name, 0)
		projection.Name = name
		r.catchUp(projection)
	}
	characters, err := r.stores.control.Live(r.b.Context(), "characters")
	require.NoError(r.b, err)
	wallet, err := r.stores.control.Live(r.b.Context(), "wallet")
	require.NoError(r.b, err)
	r.b.Logf("pattern of %d characters folded within %s", patternCharacters, time.Since(started).Round(time.Second))

	started = time.Now()
	copies := r.characters/patternCharacters - 1
	r.repeat(pgx.Identifier{characters.Namespace}.Sanitize(), copies)
	require.NoError(r.b, r.stores.clickhouse.Exec(r.b.Context(), fmt.Sprintf(`INSERT INTO %[1]s.wallet_journal
		SELECT t.character_id + (n.number + 1) * %[2]d, t.* EXCEPT character_id FROM %[1]s.wallet_journal t CROSS JOIN numbers(%[3]d) n`,
		"`"+wallet.Namespace+"`", patternCharacters, copies)))
	r.surround()
	r.b.Logf("%d characters with %d assets each are there after %s more", r.characters, apiAssets, time.Since(started).Round(time.Second))
}

// repeat copies the rows of the pattern. Columns that name characters, users,
// corporations and items are moved on by what a copy has of them.
func (r *apiRig) repeat(schema string, copies int) {
	r.b.Helper()
	ctx := r.b.Context()
	corporation := fmt.Sprintf("(CASE WHEN t.corporation_id = 0 THEN 0 ELSE t.corporation_id + g.k * %d END)", apiCorporations)
	name := fmt.Sprintf("'Pilot ' || lpad((t.character_id + g.k * %d - %d)::text, 6, '0') || ' of the Fleet'", patternCharacters, firstAPICharacter)
	moved := map[string]string{
		"character_id":   fmt.Sprintf("t.character_id + g.k * %d", patternCharacters),
		"user_id":        fmt.Sprintf("'user-' || lpad((substr(t.user_id, 6)::bigint + g.k * %d)::text, 6, '0')", patternCharacters/apiPerUser),
		"corporation_id": corporation,
		"alliance_id":    fmt.Sprintf("(%d + %s %% %d)", firstAPIAlliance, corporation, apiAlliances),
		"event_id":       "gen_random_uuid()",
	}
	const shift = "(t.key::bigint + g.k * 1000000)::text"
	of := func(table string, replaced map[string]string) {
		rows, err := r.direct.Query(ctx, `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, schema+"."+table)
		require.NoError(r.b, err)
		columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(r.b, err)
		values := make([]string, len(columns))
		for i, c := range columns {
			values[i] = "t." + c
			if expression, special := replaced[c]; special {
				values[i] = expression
			} else if expression, special := moved[c]; special {
				values[i] = expression
			}
		}
		_, err = r.direct.Exec(ctx, fmt.Sprintf(`INSERT INTO %[1]s.%[2]s (%[3]s) SELECT %[4]s FROM (SELECT * FROM %[1]s.%[2]s) t CROSS JOIN generate_series(1, %[5]d) g(k)`,
			schema, table, strings.Join(columns, ", "), strings.Join(values, ", "), copies))
		require.NoError(r.b, err, table)
	}
	of("users", map[string]string{"name": moved["user_id"]})
	for _, table := range []string{"mains", "listings", "owners", "sharings", "sections", "recorded", "records", "mailing_list_names", "failures"} {
		of(table, nil)
	}
	for _, table := range []string{"registrations", "identities", "listed"} {
		of(table, map[string]string{"name": name})
	}
	// Assets have ids of their own.
	item := map[string]string{
		"key":   "CASE WHEN t.section = 'assets' THEN " + shift + " ELSE t.key END",
		"value": "CASE WHEN t.section = 'assets' THEN replace(t.value::text, t.key, " + shift + ")::json ELSE t.value END",
	}
	r.withoutIndexes(schema, "items", func() { of("items", item) })
	of("changes", item)
}

// withoutIndexes fills a table faster: its indexes are made when it is full.
func (r *apiRig) withoutIndexes(schema, table string, fill func()) {
	r.b.Helper()
	ctx := r.b.Context()
	rows, err := r.direct.Query(ctx, `SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = $1::regclass`, schema+"."+table)
	require.NoError(r.b, err)
	type index struct{ Name, Definition string }
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	require.NoError(r.b, err)
	for _, i := range indexes {
		_, err = r.direct.Exec(ctx, "DROP INDEX "+i.Name)
		require.NoError(r.b, err)
	}
	fill()
	require.NoError(r.b, pgx.BeginFunc(ctx, r.direct, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL maintenance_work_mem = '512MB'"); err != nil {
			return err
		}
		for _, i := range indexes {
			if _, err := tx.Exec(ctx, i.Definition); err != nil {
				return fmt.Errorf("%s: %w", i.Definition, err)
			}
		}
		return nil
	}))
}

// surround adds what other parts keep: when sections were last confirmed, logins, names
// and prices.
func (r *apiRig) surround() {
	r.b.Helper()
	sections := make([]string, 0, len(apiSections()))
	for _, s := range apiSections() {
		sections = append(sections, string(s))
	}
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{
			`INSERT INTO ingest.section_state (character_id, section, revision, content_hash, fetched_at, changed_at, validated_at, not_before)
			SELECT $1 + c, s, 1, md5(s || c), now(), now(), now(), now() + interval '1 hour' FROM generate_series(0, $2::bigint - 1) c CROSS JOIN unnest($3::text[]) s`,
			[]any{int64(firstAPICharacter), r.characters, sections},
		},
		{
			`INSERT INTO ingest.token (character_id, refresh_sealed, registered_at, updated_at) SELECT $1 + c, '\x00', now(), now() FROM generate_series(0, $2::bigint - 1) c`,
			[]any{int64(firstAPICharacter), r.characters},
		},
		{`INSERT INTO universe.type (type_id, name, group_id, source) SELECT t, 'Thing No. ' || t, 25, 'static' FROM generate_series(587, 3400) t ON CONFLICT DO NOTHING`, nil},
		{`INSERT INTO universe.price (type_id, average, adjusted) SELECT t, t * 1000, t * 990 FROM generate_series(587, 1500) t ON CONFLICT DO NOTHING`, nil},
		{`INSERT INTO universe.station (station_id, name, system_id, source) SELECT s, 'Station No. ' || s, 30000142, 'static' FROM generate_series(60000000, 60005000) s ON CONFLICT DO NOTHING`, nil},
		{
			`INSERT INTO universe.named (id, category, name, fetched_at)
			SELECT $1 + c, 'corporation', 'Corporation No. ' || c, now() FROM generate_series(0, $2::bigint) c
			UNION ALL SELECT $3 + a, 'alliance', 'Alliance No. ' || a, now() FROM generate_series(0, 20) a ON CONFLICT DO NOTHING`,
			[]any{int64(firstAPICorporation), r.characters / (patternCharacters / apiCorporations), int64(firstAPIAlliance)},
		},
	} {
		_, err := r.direct.Exec(r.b.Context(), statement.sql, statement.args...)
		require.NoError(r.b, err, statement.sql)
	}
	_, err := r.direct.Exec(r.b.Context(), "VACUUM ANALYZE")
	require.NoError(r.b, err)
}

// apiCharacter is what is known of a character of the pattern.
func apiCharacter(i int) []event.Event {
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	id, corporation, user := int64(firstAPICharacter+i), apiCorporation(i), apiUser(i/apiPerUser)
	var events []event.Event
	add := func(stream event.Stream, p event.Payload) uuid.UUID {
		e, err := event.New(uuid.NewSHA1(event.Namespace, fmt.Appendf(nil, "%s %d %d", stream, i, len(events))), stream, "bench", at, p)
		if err != nil {
			panic(err)
		}
		events = append(events, e)
		return e.ID
	}
	if i%apiPerUser == 0 {
		add(event.User(user), access.UserRegistered{UserID: user, Name: user, Active: true, State: "Member", Permissions: []string{"basic_access", "share_characters"}})
		add(event.User(user), access.MainSet{UserID: user, CharacterID: &id})
		add(event.User(user), access.CharactersListed{UserID: user, Characters: []access.ListedCharacter{{
			CharacterID: firstAPIUnregistered + int64(i), Name: fmt.Sprintf("Pilot %06d of the Fleet", 5_000_000+i), CorporationID: corporation, AllianceID: apiAlliance(corporation),
		}}})
	}
	name := fmt.Sprintf("Pilot %06d of the Fleet", i)
	var scopes []string
	for _, s := range []string{
		"assets.read_assets", "wallet.read_character_wallet", "skills.read_skills", "characters.read_contacts", "mail.read_mail", "contracts.read_character_contracts", "location.read_location",
	} {
		scopes = append(scopes, "esi-"+s+".v1")
	}
	add(event.Character(id), eve.CharacterRegistered{CharacterID: id, Name: name, UserID: user, CorporationID: corporation, AllianceID: apiAlliance(corporation), Scopes: scopes})
	if i%apiPerUser == 1 {
		add(event.Character(id), eve.CharacterShared{CharacterID: id, UserID: user})
	}
	section := func(section eve.Section, encoding eve.Encoding, base *uuid.UUID, value string) uuid.UUID {
		return add(event.Character(id), eve.SectionObserved{
			CharacterID: id, Section: section, Encoding: encoding, Base: base, ContentHash: fmt.Sprintf("%s-%d-%d", section, i, len(events)), FetchedAt: at, Value: json.RawMessage(value),
		})
	}
	full := func(name eve.Section, value string) uuid.UUID { return section(name, eve.EncodingFull, nil, value) }
	full(eve.SectionDetails, fmt.Sprintf(`{"alliance_id":%d,"birthday":"2015-03-24T11:37:00Z","bloodline_id":3,"corporation_id":%d,"description":"<b>A pilot</b> of the fleet","gender":"male","name":%q,"race_id":2,"security_status":1.5}`,
		apiAlliance(corporation), corporation, name))
	base := full(eve.SectionAssets, listOf(apiAssets, func(n int) string { return apiAsset(i, n, n+1) }))
	// A tenth differs from the last full observation.
	delta, err := json.Marshal(eve.Delta{Lists: []eve.ListDelta{{Changed: rawList(apiAssets/10, func(n int) string { return apiAsset(i, n*10, 7) })}}})
	if err != nil {
		panic(err)
	}
	section(eve.SectionAssets, eve.EncodingDelta, &base, string(delta))
	full(eve.SectionSkills, `{"skills":`+listOf(60, func(n int) string {
		return fmt.Sprintf(`{"active_skill_level":%d,"skill_id":%d,"skillpoints_in_skill":%d,"trained_skill_level":%d}`, (n+i)%6, 3300+n, 1000*n, (n+i)%6)
	})+`,"total_sp":5000000,"unallocated_sp":0}`)
	full(eve.SectionWallet, fmt.Sprintf("%d.50", 1_000_000+i))
	full(eve.SectionLocation, fmt.Sprintf(`{"solar_system_id":30000142,"station_id":%d}`, 60_003_000+i%40))
	full(eve.SectionContacts, `{"contacts":`+listOf(30, func(n int) string {
		return fmt.Sprintf(`{"contact_id":%d,"contact_type":"corporation","label_ids":[1],"standing":%d}`, firstAPICorporation+(i+n)%100, n%10)
	})+`,"labels":[{"label_id":1,"label_name":"friends"}]}`)
	facts := func(section eve.Section, items []json.RawMessage) eve.Facts {
		return eve.Facts{CharacterID: id, Section: section, Day: at.Format(time.DateOnly), FetchedAt: at, Items: items}
	}
	full(eve.SectionMails, `{"labels":[{"label_id":1,"name":"Inbox","unread_count":3}],"lists":[],"total_unread_count":3}`)
	add(event.Character(id), eve.MailRecorded{Facts: facts(eve.SectionMails, rawList(50, func(n int) string {
		return fmt.Sprintf(`{"from":%d,"is_read":%t,"labels":[1],"mail_id":%d,"recipients":[{"recipient_id":%d,"recipient_type":"character"}],"subject":"Fleet No. %d","timestamp":"2026-09-01T%02d:%02d:00Z","body":"<font>Form up</font>"}`,
			firstAPICharacter+(i+n)%patternCharacters, n%3 == 0, 400_000_000+i*100+n, id, n, n/10, n%60)
	}))})
	add(event.Character(id), eve.ContractRecorded{Facts: facts(eve.SectionContracts, rawList(20, func(n int) string {
		return fmt.Sprintf(`{"availability":"personal","assignee_id":%d,"acceptor_id":0,"contract_id":%d,"date_expired":"2026-09-15T00:00:00Z","date_issued":"2026-09-01T%02d:00:00Z","for_corporation":false,"issuer_corporation_id":%d,"issuer_id":%d,"price":%d.5,"start_location_id":%d,"end_location_id":%d,"status":"outstanding","title":"lot %d","type":"item_exchange","volume":12.5}`,
			id, 200_000_000+i*100+n, n, corporation, id, n*1_000_000, 60_003_000+n%40, 60_003_000+n%40, n)
	}))})
	var entries []eve.JournalEntry
	for n := range 60 {
		entries = append(entries, eve.JournalEntry{
			ID: 20_000_000_000 + int64(n), Date: at.Add(-time.Duration(n) * time.Minute), RefType: "bounty_prizes", Amount: json.Number(fmt.Sprintf("%d.25", 1000+n)),
			Balance: json.Number(fmt.Sprintf("%d.50", 1_000_000+n)), FirstPartyID: firstAPICorporation + int64(n%40), SecondPartyID: id, Description: "for services rendered", ContextID: 60_003_000 + int64(n%40), ContextIDType: "station_id",
		})
	}
	add(event.Character(id), eve.JournalRecorded{CharacterID: id, Day: at.Format(time.DateOnly), FetchedAt: at, Entries: entries})
	if i%10 == 3 {
		add(event.Character(id), eve.SectionFailed{CharacterID: id, Section: eve.SectionContacts, Class: eve.FailureServer, Status: 502, Message: "ESI answered 502", Since: at})
	}
	return events
}

func apiAsset(i, n, quantity int) string {
	return fmt.Sprintf(`{"is_singleton":false,"item_id":%d,"location_flag":"Hangar","location_id":%d,"location_type":"station","quantity":%d,"type_id":%d}`,
		int64(firstAPIItem)+int64(i)*1000+int64(n), 60_003_000+n%40, quantity, 587+(i*7+n*13)%900)
}

func rawList(count int, element func(n int) string) []json.RawMessage {
	list := make([]json.RawMessage, count)
	for n := range list {
		list[n] = json.RawMessage(element(n))
	}
	return list
}

func listOf(count int, element func(n int) string) string {
	texts := make([]string, count)
	for n := range texts {
		texts[n] = element(n)
	}
	return "[" + strings.Join(texts, ",") + "]"
}

// apiSkillSets are some doctrines.
func apiSkillSets() []event.Event {
	events := make([]event.Event, 0, 5)
	for n := range cap(events) {
		set := eve.SkillSetDefined{SkillSetID: uuid.NewSHA1(event.Namespace, fmt.Appendf(nil, "skill set %d", n)), SkillSet: eve.SkillSet{Name: fmt.Sprintf("Doctrine %d", n), Visible: true}}
		for s := range 10 {
			set.Skills = append(set.Skills, eve.SetSkill{TypeID: int64(3300 + s*5 + n), Required: eve.SkillLevel(1 + s%4), Recommended: 5})
		}
		e, err := event.New(uuid.NewSHA1(event.Namespace, fmt.Appendf(nil, "defined %d", n)), event.Org, "bench", time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), set)
		if err != nil {
			panic(err)
		}
		events = append(events, e)
	}
	return events
}

// apiRoles are those who ask, with what they hold; the superuser sees everything, the
// member only what is his.
func apiRoles() []apiRole {
	reader := []string{"basic_access", "share_characters", "finder_access", "reports_access", "characters_access", "view_skill_sets"}
	with := func(more ...string) []string { return append(append([]string{}, reader...), more...) }
	return []apiRole{
		{name: "superuser", user: apiUser(0), superuser: true},
		{name: "everything", user: apiUser(1), permissions: with("view_everything")},
		{name: "alliance auditor", user: apiUser(2), permissions: with("view_same_alliance")},
		{name: "corporation recruiter", user: apiUser(3), permissions: with("view_same_corporation", "view_shared_characters")},
		{name: "shared viewer", user: apiUser(4), permissions: with("view_shared_characters")},
		{name: "member", user: apiUser(5), permissions: []string{"basic_access", "share_characters", "finder_access"}},
	}
}

// apiRole is somebody who asks.
type apiRole struct {
	name, user  string
	superuser   bool
	permissions []string
	token       string
}

// appoint gives the roles to users, and a token to each.
func (r *apiRig) appoint(b *testing.B, of *roles) []apiRole {
	b.Helper()
	door, err := of.newDoors()
	require.NoError(b, err)
	live, err := r.stores.control.Live(b.Context(), "characters")
	require.NoError(b, err)
	appointed := apiRoles()
	group, ctx := errgroup.WithContext(b.Context())
	for i, role := range appointed {
		if role.permissions == nil {
			appointed[i].permissions = []string{}
		}
		_, err := r.direct.Exec(b.Context(), `UPDATE `+pgx.Identifier{live.Namespace}.Sanitize()+`.users SET superuser = $2, permissions = $3 WHERE user_id = $1`, role.user, role.superuser, appointed[i].permissions)
		require.NoError(b, err)
		group.Go(func() error {
			issued, err := door.tokens.Issue(ctx, access.UserPrincipal(role.user), access.NewToken{Name: "bench", UserID: role.user})
			appointed[i].token = issued.Secret
			return err
		})
	}
	require.NoError(b, group.Wait())
	return appointed
}
