package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

func observed(s eve.Section, value string) eve.SectionObserved {
	return eve.SectionObserved{CharacterID: 5, Section: s, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: at(1), Value: json.RawMessage(value)}
}

func told(s eve.Section, changed bool, items ...string) event.Payload {
	f := eve.Facts{CharacterID: 5, Section: s, Day: "2026-05-01", FetchedAt: at(1)}
	for _, item := range items {
		f.Items = append(f.Items, json.RawMessage(item))
	}
	switch {
	case s == eve.SectionMails && changed:
		return eve.MailChanged{Facts: f}
	case s == eve.SectionMails:
		return eve.MailRecorded{Facts: f}
	case s == eve.SectionKillmails:
		return eve.KillmailRecorded{Facts: f}
	case changed:
		return eve.ContractChanged{Facts: f}
	default:
		return eve.ContractRecorded{Facts: f}
	}
}

func TestElementsAreListedInOrderAndPageByPage(t *testing.T) {
	v := organisation(t)
	v.fold(event.Character(5), at(1), observed(eve.SectionAssets, `[{"item_id": 100, "type_id": 34, "location_flag": "Hangar"}, {"item_id": 9, "type_id": 35}, {"item_id": 1000000000001, "type_id": 34, "quantity": 1e3}]`))
	reader := postgres.NewCharacterReader(v.pool, v.live())
	filter := postgres.ElementFilter{CharacterID: 5, Section: eve.SectionAssets, Limit: 2}
	page, err := reader.Elements(t.Context(), filter)
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.Equal(t, []string{"9", "100"}, []string{page[0].Key, page[1].Key})
	cursor := page[1].Cursor()
	filter.After = &cursor
	page, err = reader.Elements(t.Context(), filter)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Contains(t, string(page[0].Value), "1e3")

	page, err = reader.Elements(t.Context(), postgres.ElementFilter{CharacterID: 5, Section: eve.SectionAssets, Where: map[string]string{"type_id": "34", "location_flag": "Hangar"}})
	require.NoError(t, err)
	require.Len(t, page, 1)

	s, err := reader.Section(t.Context(), 5, eve.SectionAssets)
	require.NoError(t, err)
	require.JSONEq(t, `[{"item_id": 9, "type_id": 35}, {"item_id": 100, "type_id": 34, "location_flag": "Hangar"}, {"item_id": 1000000000001, "type_id": 34, "quantity": 1e3}]`, string(s.Value))
}

func TestADifferenceIsLaidOverTheObservationThatItRefersTo(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	v.fold(event.Character(5), at(1), observed(eve.SectionSkills, `{"skills": [{"skill_id": 1, "x": 1}, {"skill_id": 2}, {"skill_id": 3}], "total_sp": 5, "unallocated_sp": 1.0}`))
	var base uuid.UUID
	v.rows("SELECT base FROM sections WHERE section = 'skills'", &base)
	differ := func(base uuid.UUID, value string) {
		p := observed(eve.SectionSkills, value)
		p.Encoding, p.Base = eve.EncodingDelta, &base
		v.fold(event.Character(5), at(2), p)
	}
	f := func(status postgres.SectionStatus, want string) {
		t.Helper()
		s, err := reader.Section(t.Context(), 5, eve.SectionSkills)
		require.NoError(t, err)
		require.JSONEq(t, want, string(s.Value))
		require.Equal(t, status, s.Status)
	}
	differ(base, `{"head": {"total_sp": 6}, "lists": [{"path": "skills", "added": [{"skill_id": 4}], "changed": [{"skill_id": 1, "x": 2}], "removed": ["2"]}]}`)
	f(postgres.SectionOK, `{"skills": [{"skill_id": 1, "x": 2}, {"skill_id": 3}, {"skill_id": 4}], "total_sp": 6}`)
	// The next one does not build on it.
	differ(base, `{"lists": [{"path": "skills", "removed": ["3"]}]}`)
	f(postgres.SectionOK, `{"skills": [{"skill_id": 1, "x": 1}, {"skill_id": 2}], "total_sp": 5, "unallocated_sp": 1.0}`)
	differ(uuid.New(), `{"lists": [{"path": "skills", "removed": ["1"]}]}`)
	f(postgres.SectionFailing, `{"skills": [{"skill_id": 1, "x": 1}, {"skill_id": 2}], "total_sp": 5, "unallocated_sp": 1.0}`)
	differ(base, `{}`)
	f(postgres.SectionOK, `{"skills": [{"skill_id": 1, "x": 1}, {"skill_id": 2}, {"skill_id": 3}], "total_sp": 5, "unallocated_sp": 1.0}`)
	differ(uuid.New(), `{}`)
	v.fold(event.Character(5), at(3), observed(eve.SectionSkills, `{"total_sp": 0}`))
	f(postgres.SectionOK, `{"skills": [], "total_sp": 0}`)
}

func TestRecordsAreListedNewestFirstAndOneByOne(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	for i := range 5 {
		v.fold(event.Character(5), at(1), told(eve.SectionMails, false, fmt.Sprintf(`{"mail_id": %d, "timestamp": "2026-05-01T0%d:00:00Z", "is_read": false, "subject": "s"}`, 8+i, i/2)))
	}
	v.fold(event.Character(5), at(2), told(eve.SectionMails, true, `{"mail_id": 9, "is_read": true}`), told(eve.SectionMails, true, `{"mail_id": 9, "body": "<b>"}`))
	filter := postgres.RecordFilter{CharacterID: 5, Section: eve.SectionMails, Limit: 2}
	var keys []string
	for {
		page, err := reader.Records(t.Context(), filter)
		require.NoError(t, err)
		for _, r := range page {
			keys = append(keys, r.Key)
		}
		if len(page) < 2 {
			break
		}
		cursor := page[1].Cursor()
		filter.Before = &cursor
	}
	require.Equal(t, []string{"12", "11", "10", "9", "8"}, keys)
	r, err := reader.Record(t.Context(), 5, eve.SectionMails, "9")
	require.NoError(t, err)
	require.JSONEq(t, `{"mail_id": 9, "timestamp": "2026-05-01T00:00:00Z", "is_read": true, "subject": "s", "body": "<b>"}`, string(r.Value))
	require.Equal(t, at(0), r.At)
	_, err = reader.Record(t.Context(), 5, eve.SectionMails, "99")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	unread, err := reader.Records(t.Context(), postgres.RecordFilter{CharacterID: 5, Section: eve.SectionMails, Limit: 10, Where: map[string]string{"is_read": "false"}, From: at(1), To: at(2)})
	require.NoError(t, err)
	require.Len(t, unread, 2)
	s, err := reader.State(t.Context(), 5, eve.SectionMails)
	require.NoError(t, err)
	require.Equal(t, at(1), *s.ObservedAt)
	require.Equal(t, postgres.SectionOK, s.Status)
}

func TestWhatIsFetchedApartIsCounted(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	v.fold(event.Character(5), at(1), told(eve.SectionMails, false, `{"mail_id": 1}`), told(eve.SectionContracts, false, `{"contract_id": 1}`))
	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE SCHEMA ingest;
			CREATE TABLE ingest.follow_up (character_id bigint, section text, failures integer, class text, message text, due_at timestamptz, fetched_at timestamptz);
			INSERT INTO ingest.follow_up VALUES (5, 'mails', 0, '', '', now(), NULL), (5, 'contracts', 0, '', '', now(), NULL), (5, 'contracts', 0, '', '', now(), now()), (5, 'contracts', 2, 'server', 'bad gateway', now(), now())`)
		return err
	})
	s, err := reader.State(t.Context(), 5, eve.SectionMails)
	require.NoError(t, err)
	require.Equal(t, 1, s.Outstanding)
	require.Equal(t, postgres.SectionIncomplete, s.Status, "a mail without its body is not there yet")
	require.Nil(t, s.Failure, "nothing has failed")
	s, err = reader.State(t.Context(), 5, eve.SectionContracts)
	require.NoError(t, err)
	require.Equal(t, 2, s.Outstanding)
	require.Equal(t, postgres.SectionIncomplete, s.Status)
	require.Contains(t, s.Failure.Message, "bad gateway")
	counts, err := reader.SectionCounts(t.Context())
	require.NoError(t, err)
	incomplete := map[eve.Section]int64{}
	for _, c := range counts {
		if c.Status == postgres.SectionIncomplete {
			incomplete[c.Section] = c.Outstanding
		}
	}
	require.Equal(t, map[eve.Section]int64{eve.SectionMails: 1, eve.SectionContracts: 2}, incomplete)
}

func TestNamesAndPricesComeFromReferenceDataOnceItIsThere(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	v.fold(event.Character(5), at(1), observed(eve.SectionAssets, `[{"item_id": 1, "type_id": 34, "quantity": 3}, {"item_id": 2, "type_id": 34, "quantity": 1, "is_blueprint_copy": true}, {"item_id": 3, "type_id": 99, "quantity": 1}]`))
	ids := postgres.NameRequest{Types: []int64{34, 34, 99}, Locations: []int64{60003760}, Entities: []int64{5}}
	names, err := reader.Names(t.Context(), ids)
	require.NoError(t, err)
	require.Empty(t, names.Types)
	value, err := reader.AssetsValue(t.Context(), 5)
	require.NoError(t, err)
	require.Nil(t, value)

	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE SCHEMA universe;
			CREATE TABLE universe.type (type_id bigint PRIMARY KEY, name text); INSERT INTO universe.type VALUES (34, 'Tritanium');
			CREATE TABLE universe.location (location_id bigint PRIMARY KEY, name text); INSERT INTO universe.location VALUES (60003760, 'Jita');
			CREATE TABLE universe.entity (id bigint PRIMARY KEY, category text, name text); INSERT INTO universe.entity VALUES (5, 'character', 'Bruce');
			CREATE TABLE universe.price (type_id bigint PRIMARY KEY, average numeric, adjusted numeric); INSERT INTO universe.price VALUES (34, NULL, 4.10)`)
		return err
	})
	names, err = reader.Names(t.Context(), ids)
	require.NoError(t, err)
	require.Equal(t, postgres.Names{Types: map[int64]string{34: "Tritanium"}, Locations: map[int64]string{60003760: "Jita"}, Entities: map[int64]string{5: "Bruce"}}, names)
	value, err = reader.AssetsValue(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, "12.3", value.String())
}

func TestEachSectionHasAViewWithTypedColumns(t *testing.T) {
	v := organisation(t)
	v.fold(event.Character(5), at(1), observed(eve.SectionAssets, `[{"item_id": 1, "type_id": 34, "quantity": 3, "name": "a\u0000b"}, {"item_id": 2, "type_id": "odd"}]`),
		observed(eve.SectionWallet, `243877.49999999997`), observed(eve.SectionImplants, `[10]`), observed(eve.SectionRoles, `{"roles": ["Director"]}`),
		told(eve.SectionContracts, false, `{"contract_id": 7, "price": 0.10000000000000001}`), told(eve.SectionContracts, true, `{"contract_id": 7, "items": [{"record_id": 1, "type_id": 34}]}`),
		told(eve.SectionKillmails, false, `{"killmail_id": 8, "killmail_time": "2026-05-01T00:00:00Z", "attackers": [{"character_id": 9}], "victim": {"items": [{"item_type_id": 3}]}}`))
	for _, set := range postgres.FieldSets() {
		v.enter(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT * FROM "+set.View)
			return err
		})
	}
	var name, balance, role, price string
	var item, implant, contractItem, attacker, lost int64
	v.rows("SELECT item_id, name FROM assets WHERE type_id = 34", &item, &name)
	require.Equal(t, "a\uFFFDb", name)
	v.rows("SELECT balance::text FROM wallet", &balance)
	require.Equal(t, "243877.49999999997", balance)
	v.rows("SELECT type_id FROM implants", &implant)
	v.rows("SELECT role FROM roles WHERE place = 'roles'", &role)
	v.rows("SELECT c.price::text, i.type_id FROM contracts c JOIN contract_items i USING (character_id, contract_id)", &price, &contractItem)
	v.rows("SELECT attacker_id FROM killmail_attackers", &attacker)
	v.rows("SELECT item_type_id FROM killmail_items", &lost)
	require.Equal(t, []any{int64(1), int64(10), "Director", "0.10000000000000001", int64(34), int64(9), int64(3)}, []any{item, implant, role, price, contractItem, attacker, lost})
}

func TestWhatIsForgottenIsGoneAndMayComeBack(t *testing.T) {
	v := organisation(t)
	v.fold(event.Character(5), at(1), observed(eve.SectionAssets, `[{"item_id": 1}]`), told(eve.SectionMails, false, `{"mail_id": 1}`))
	v.fold(event.Character(5), at(2), observed(eve.SectionWallet, `1`), eve.CharacterForgotten{CharacterID: 5, Reason: "asked"}, register(5, "Again", "u1", 1, 0))
	reader := postgres.NewCharacterReader(v.pool, v.live())
	c, states, err := reader.Character(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, "Again", c.Name)
	for _, s := range states {
		require.Nil(t, s.ObservedAt, s.Section)
		require.Nil(t, s.Failure, s.Section)
	}
	var rows int
	v.rows("SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM records) + (SELECT count(*) FROM identities)", &rows)
	require.Zero(t, rows)
	c, _, err = reader.Character(t.Context(), 3)
	require.NoError(t, err)
	require.NotEmpty(t, c.Name)
}

func TestTheShipThatIsFlownIsAnAssetThoughESIDoesNotListIt(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	const ship = `{"ship_item_id": 1000000000016, "ship_type_id": 587, "ship_name": "Röd \"7\""}`
	assets := func() map[string]string {
		t.Helper()
		list, err := reader.Elements(t.Context(), postgres.ElementFilter{CharacterID: 5, Section: eve.SectionAssets})
		require.NoError(t, err)
		all := map[string]string{}
		for _, e := range list {
			all[e.Key] = string(e.Value)
		}
		return all
	}
	v.fold(event.Character(5), at(1), observed(eve.SectionShip, ship))
	require.Empty(t, assets(), "the assets were not read yet")
	v.fold(event.Character(5), at(1), observed(eve.SectionAssets, `[{"item_id": 9, "type_id": 34, "quantity": 2, "location_id": 1000000000016}]`))
	require.JSONEq(t, `{"is_current_ship": true, "is_singleton": true, "item_id": 1000000000016, "location_flag": "Hangar", "name": "Röd \"7\"", "quantity": 1, "type_id": 587}`,
		assets()["1000000000016"], "where the character is is not known")
	for location, want := range map[string]string{
		`{"solar_system_id": 30000142}`:                                `{"location_id": 30000142, "location_type": "solar_system"}`,
		`{"solar_system_id": 30000142, "station_id": 60003760}`:        `{"location_id": 60003760, "location_type": "station"}`,
		`{"solar_system_id": 30000142, "structure_id": 1000000000001}`: `{"location_id": 1000000000001, "location_type": "item"}`,
	} {
		v.fold(event.Character(5), at(2), observed(eve.SectionLocation, location))
		var got, fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(assets()["1000000000016"]), &got))
		require.NoError(t, json.Unmarshal([]byte(want), &fields))
		require.Subset(t, got, fields)
	}
	var name, flag string
	v.rows("SELECT name, location_flag FROM assets WHERE is_current_ship AND type_id = 587", &name, &flag)
	require.Equal(t, []string{`Röd "7"`, "Hangar"}, []string{name, flag})
	filtered, err := reader.Elements(t.Context(), postgres.ElementFilter{CharacterID: 5, Section: eve.SectionAssets, Where: map[string]string{"type_id": "587"}, Limit: 5})
	require.NoError(t, err)
	require.Len(t, filtered, 1)
	s, err := reader.Section(t.Context(), 5, eve.SectionAssets)
	require.NoError(t, err)
	require.NotContains(t, string(s.Value), "587", "what ESI said is left as it is")

	v.fold(event.Character(5), at(3), observed(eve.SectionShip, `{"ship_item_id": 1000000000017, "ship_type_id": 670, "ship_name": "Capsule"}`))
	require.Len(t, assets(), 1, "a capsule is no asset")
	v.fold(event.Character(5), at(3), observed(eve.SectionShip, ship), observed(eve.SectionAssets, `[{"item_id": 1000000000016, "type_id": 587}]`))
	require.JSONEq(t, `{"item_id": 1000000000016, "type_id": 587}`, assets()["1000000000016"], "ESI lists it itself")
	require.Len(t, assets(), 1)
}

func TestMailingListsThatWereLeftKeepTheirNames(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	names := func() map[int64]string {
		t.Helper()
		names, err := reader.MailingLists(t.Context(), 5)
		require.NoError(t, err)
		return names
	}
	require.Empty(t, names())
	v.fold(event.Character(5), at(1), observed(eve.SectionMails, `{"lists": [{"mailing_list_id": 1, "name": "Fleets"}, {"mailing_list_id": 2, "name": "Intel"}, {"mailing_list_id": 3}]}`))
	v.fold(event.Character(5), at(2), observed(eve.SectionMails, `{"lists": [{"mailing_list_id": 2, "name": "Röd"}]}`))
	require.Equal(t, map[int64]string{1: "Fleets", 2: "Röd"}, names())
	v.fold(event.Character(5), at(3), eve.CharacterForgotten{CharacterID: 5, Reason: "asked"}, register(5, "Again", "u1", 1, 0))
	require.Empty(t, names())
}

func TestTruthsThatESILeavesOutAreFalse(t *testing.T) {
	v := organisation(t)
	v.fold(event.Character(5), at(1), observed(eve.SectionOrders, `{"orders": [{"order_id": 1}, {"order_id": 2, "is_buy_order": true}], "history": []}`),
		observed(eve.SectionContacts, `{"contacts": [{"contact_id": 9}], "labels": []}`))
	var buy, sell int
	v.rows("SELECT count(*) FILTER (WHERE is_buy_order), count(*) FILTER (WHERE NOT is_buy_order) FROM orders", &buy, &sell)
	require.Equal(t, []int{1, 1}, []int{buy, sell})
	var watched bool
	v.rows("SELECT is_watched OR is_blocked FROM contacts", &watched)
	require.False(t, watched)
}

func TestIDsAreOf64Bits(t *testing.T) {
	v := organisation(t)
	v.fold(event.Character(5), at(1), observed(eve.SectionContacts, `{"contacts": [], "labels": [{"label_id": 9223372036854775807}, {"label_id": 4611686018427387904}, {"label_id": 9223372036854775808}]}`),
		observed(eve.SectionCorporationHistory, `[{"record_id": 5000000000, "corporation_id": 98000001}]`))
	var labels, odd int
	v.rows("SELECT count(*) FILTER (WHERE label_id IN (9223372036854775807, 4611686018427387904)), count(*) FILTER (WHERE label_id IS NULL) FROM contact_labels", &labels, &odd)
	require.Equal(t, []int{2, 1}, []int{labels, odd})
	var record int64
	v.rows("SELECT record_id FROM corporation_history", &record)
	require.Equal(t, int64(5000000000), record)
}

// Defect 20 of Member Audit: it takes the skill at position 0 for the one that is
// trained.
func TestDefect20TheSkillInTrainingIsToldByItsDates(t *testing.T) {
	v := organisation(t)
	now := time.Now().UTC()
	entry := func(position int, from, to time.Duration) string {
		return fmt.Sprintf(`{"queue_position": %d, "skill_id": 3300, "finished_level": 1, "start_date": %q, "finish_date": %q}`,
			position, now.Add(from).Format(time.RFC3339), now.Add(to).Format(time.RFC3339))
	}
	v.fold(event.Character(5), at(1), observed(eve.SectionSkillQueue, "["+entry(0, -3*time.Hour, -2*time.Hour)+","+entry(1, -2*time.Hour, time.Hour)+","+entry(2, time.Hour, 2*time.Hour)+`, {"queue_position": 3, "skill_id": 3301}]`))
	var states []string
	v.rows("SELECT array_agg(training_state ORDER BY queue_position) FROM skill_queue", &states)
	require.Equal(t, []string{eve.TrainingFinished, eve.TrainingActive, eve.TrainingQueued, eve.TrainingPaused}, states)
}

func TestAllThatIsKeptOfSectionsIsGoneThrough(t *testing.T) {
	v := organisation(t)
	v.fold(event.Character(5), at(1), observed(eve.SectionAssets, `[{"item_id": 1, "type_id": 34}, {"item_id": 2, "type_id": 35}]`),
		observed(eve.SectionImplants, `[9899, 10]`), observed(eve.SectionLocation, `{"solar_system_id": 30000142}`),
		told(eve.SectionContracts, false, `{"contract_id": 7, "issuer_id": 90000009}`))
	found := map[eve.Mention]bool{}
	mentions := eve.NewMentions()
	require.NoError(t, postgres.SectionContents(t.Context(), v.pool, v.generation(), 5, func(s eve.Section, value []byte) {
		mentions.OfSection(s, value, func(m eve.Mention) { found[m] = true })
	}))
	for _, m := range []eve.Mention{{Kind: eve.FieldType, ID: 34}, {Kind: eve.FieldType, ID: 35}, {Kind: eve.FieldType, ID: 9899}, {Kind: eve.FieldType, ID: 10}, {Kind: eve.FieldLocation, ID: 30000142}, {Kind: eve.FieldEntity, ID: 90000009}} {
		require.True(t, found[m], "%v", m)
	}
	require.ErrorContains(t, postgres.SectionContents(t.Context(), v.pool, runner.Generation{Namespace: "gone"}, 5, nil), "reading the sections of character 5")
}
