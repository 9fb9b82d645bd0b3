package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/query/api"
)

// annals are the log of characters in memory.
type annals struct{ records []eventlog.Record }

func (a *annals) add(e event.Event) {
	at := event.Position{Topic: event.TopicEVE, Offset: int64(len(a.records))}
	a.records = append(a.records, eventlog.Record{Position: at, Key: e.Key(), Headers: e.Headers(), Value: e.Data})
}

func (a *annals) tell(t require.TestingT, id int64, at time.Time, payloads ...event.Payload) {
	for _, p := range payloads {
		e, err := event.New(uuid.New(), event.Character(id), "test", at, p)
		require.NoError(t, err)
		a.add(e)
	}
}

// ReadStream implements [history.Log].
func (a *annals) ReadStream(_ context.Context, _ string, stream event.Stream, _ int64, fn func(eventlog.Record) error) error {
	for _, rec := range a.records {
		if strings.HasPrefix(rec.Key, string(stream)+"/") {
			if err := fn(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *annals) past() *history.Reader {
	registry := event.NewRegistry()
	eve.Register(registry)
	return history.New(a, registry)
}

// theirs are the annals of the world's character.
func theirs(t require.TestingT) *annals {
	a := &annals{}
	const id = 90000001
	at := func(hours int) time.Time { return moment.Add(time.Duration(hours-100) * time.Hour) }
	a.tell(t, id, at(0), eve.CharacterRegistered{CharacterID: id, Name: "Bruce Wayne", UserID: "u1", CorporationID: 98000001, Scopes: []string{"esi-wallet.read_character_wallet.v1"}})
	series := map[eve.Section]eve.Series{}
	observe := func(hours int, section eve.Section, value string) {
		e, next, err := eve.Compare("test", series[section], eve.Snapshot{CharacterID: id, Section: section, FetchedAt: at(hours), Value: json.RawMessage(value)})
		require.NoError(t, err)
		require.NotNil(t, e)
		series[section] = next
		a.add(*e)
	}
	for _, shape := range eve.Shapes() {
		switch {
		case shape.Section == eve.SectionDetails:
			observe(1, shape.Section, `{"name":"Bruce Wayne","corporation_id":98000001}`)
			observe(2, shape.Section, `{"name":"Bruce Wayne","corporation_id":98000002}`)
		case shape.Section == eve.SectionWallet:
			observe(1, shape.Section, `-29500.01`)
			observe(2, shape.Section, `2500000000.5`)
		case shape.Section == eve.SectionImplants:
			observe(1, shape.Section, `[34]`)
			observe(2, shape.Section, `[34,35]`)
		case shape.Valued && len(shape.Lists) > 0 && shape.Lists[0].Path == "" && len(shape.Lists[0].Key) > 0:
			element := func(n int) string {
				fields := []string{`"type_id":34`}
				for _, key := range shape.Lists[0].Key {
					fields = append(fields, fmt.Sprintf(`%q:%d`, key, n))
				}
				return "{" + strings.Join(fields, ",") + "}"
			}
			observe(1, shape.Section, "["+element(1)+"]")
			observe(2, shape.Section, "["+element(1)+","+element(2)+"]")
		case shape.Valued:
			observe(1, shape.Section, `{"x":1}`)
			observe(2, shape.Section, `{"x":2}`)
		}
		if shape.Records != nil {
			fields := []string{`"type_id":34`, fmt.Sprintf(`%q:%q`, shape.Records.Time, at(2).Format(time.RFC3339))}
			for _, key := range shape.Records.Key {
				if key != shape.Records.Time {
					fields = append(fields, fmt.Sprintf(`%q:7`, key))
				}
			}
			facts, err := eve.NewFacts("test", eve.FactsReading{
				CharacterID: id, Section: shape.Section, FetchedAt: at(3), Items: []json.RawMessage{json.RawMessage("{" + strings.Join(fields, ",") + "}")},
			}, &eve.KnownRecords{}, uuid.Nil)
			require.NoError(t, err)
			for _, e := range facts.Events {
				a.add(e)
			}
		}
	}
	a.tell(t, id, at(3), eve.JournalRecorded{CharacterID: id, Day: at(2).Format(time.DateOnly), FetchedAt: at(3), Entries: []eve.JournalEntry{
		{ID: 1, Date: at(2), RefType: "bounty_prizes", Amount: "150.00", Balance: "1150", FirstPartyID: 98000001},
	}})
	return a
}

func (w *world) CharacterAt(ctx context.Context, id int64, at time.Time, sections ...eve.Section) (*history.Character, error) {
	if err := w.enter(ctx); err != nil {
		return nil, err
	}
	return theirs(panicking{}).past().CharacterAt(ctx, id, at, sections...)
}

func (w *world) Life(ctx context.Context, id int64, sections ...eve.Section) (history.Life, error) {
	if err := w.enter(ctx); err != nil {
		return history.Life{}, err
	}
	return theirs(panicking{}).past().Life(ctx, id, sections...)
}

// panicking is a test where there is none.
type panicking struct{}

func (panicking) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panicking) FailNow()                          {}

// retold is the read model of characters, made anew of any events.
type retold struct {
	pool   *pgxpool.Pool
	schema string
	fold   runner.Projection
}

func newRetold(t *testing.T) *retold {
	t.Helper()
	r := &retold{pool: enginetest.Postgres(t), schema: "retold", fold: postgres.Characters()}
	_, err := r.pool.Exec(t.Context(), `CREATE SCHEMA retold; SET search_path TO retold; `+r.fold.Schema+`; SET search_path TO DEFAULT`, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	return r
}

// Live implements [live.Source].
func (r *retold) Live(context.Context, string) (runner.Generation, error) {
	return runner.Generation{Namespace: r.schema}, nil
}

// of makes the read model what it would be of the records until a moment.
func (r *retold) of(ctx context.Context, t require.TestingT, records []eventlog.Record, until time.Time) {
	registry := event.NewRegistry()
	eve.Register(registry)
	var tables []string
	for _, table := range r.fold.Tables {
		tables = append(tables, r.schema+"."+table.Name)
	}
	_, err := r.pool.Exec(ctx, "TRUNCATE "+strings.Join(tables, ", "))
	require.NoError(t, err)
	batch, ok := r.fold.NewBatch().(runner.PostgresBatch)
	require.True(t, ok)
	for i, rec := range records {
		e, err := rec.Recorded()
		require.NoError(t, err)
		if e.Time.After(until) {
			continue
		}
		payload, err := registry.Decode(e.Event)
		require.NoError(t, err)
		require.NoError(t, batch.Add(runner.Event{Recorded: e, Payload: payload}))
		if i%7 != 6 {
			continue
		}
		require.NoError(t, r.write(ctx, batch))
		batch, _ = r.fold.NewBatch().(runner.PostgresBatch)
	}
	require.NoError(t, r.write(ctx, batch))
}

func (r *retold) write(ctx context.Context, batch runner.PostgresBatch) error {
	return pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path TO "+r.schema); err != nil {
			return err
		}
		return batch.Write(ctx, tx)
	})
}

// biography draws the events of a character's life.
type biography struct {
	*rapid.T
	annals

	id     int64
	now    time.Time
	series map[eve.Section]eve.Series
	known  map[eve.Section]eve.FactsResult
}

func (b *biography) step() {
	b.now = b.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(b.T, "hours")) * time.Hour)
	user := rapid.SampledFrom([]string{"u1", "u2"}).Draw(b.T, "user")
	section := rapid.SampledFrom([]eve.Section{
		eve.SectionDetails, eve.SectionAssets, eve.SectionAssets, eve.SectionShip, eve.SectionLocation, eve.SectionWallet, eve.SectionContacts, eve.SectionSkillQueue,
		eve.SectionImplants, eve.SectionMails, eve.SectionClones, eve.SectionSkills,
	}).Draw(b.T, "section")
	switch rapid.SampledFrom([]string{"observed", "observed", "observed", "observed", "facts", "facts", "facts", "registered", "reclaimed", "orphaned", "disabled", "enabled", "failed", "recovered", "forgotten", "misfit"}).Draw(b.T, "what") {
	case "observed":
		b.observe(section)
	case "facts":
		b.record(rapid.SampledFrom([]eve.Section{eve.SectionMails, eve.SectionContracts, eve.SectionMining, eve.SectionWalletTransactions, eve.SectionCalendar}).Draw(b.T, "of"))
	case "registered":
		b.tell(b.T, b.id, b.now, eve.CharacterRegistered{CharacterID: b.id, Name: "Known as " + user, UserID: user, CorporationID: 7, Scopes: []string{"esi-assets.read_assets.v1"}})
	case "reclaimed":
		b.tell(b.T, b.id, b.now, eve.CharacterReclaimed{CharacterID: b.id, UserID: user, Scopes: []string{"esi-mail.read_mail.v1"}})
	case "orphaned":
		b.tell(b.T, b.id, b.now, eve.CharacterOrphaned{CharacterID: b.id, Reason: "sold"})
	case "disabled":
		b.tell(b.T, b.id, b.now, eve.CharacterDisabled{CharacterID: b.id, Reason: "asked"})
	case "enabled":
		b.tell(b.T, b.id, b.now, eve.CharacterEnabled{CharacterID: b.id})
	case "failed":
		b.tell(b.T, b.id, b.now, eve.SectionFailed{CharacterID: b.id, Section: section, Class: rapid.SampledFrom([]eve.FailureClass{eve.FailureToken, eve.FailureServer}).Draw(b.T, "class"), Status: 502, Message: "m", Since: b.now})
	case "recovered":
		b.tell(b.T, b.id, b.now, eve.SectionRecovered{CharacterID: b.id, Section: section, Since: b.now})
	case "forgotten":
		if rapid.IntRange(0, 3).Draw(b.T, "rarely") == 0 {
			b.tell(b.T, b.id, b.now, eve.CharacterForgotten{CharacterID: b.id, Reason: "asked"})
			b.series, b.known = map[eve.Section]eve.Series{}, map[eve.Section]eve.FactsResult{}
		}
	case "misfit":
		b.tell(b.T, b.id, b.now, eve.SectionObserved{
			CharacterID: b.id, Section: eve.SectionAssets, Encoding: eve.EncodingDelta, Base: &uuid.UUID{9}, ContentHash: "x", FetchedAt: b.now, Value: json.RawMessage(`{}`),
		})
	}
}

// elements are some elements with distinct keys, large enough that differences of
// them are worth telling.
func (b *biography) elements(key, more string) string {
	var all []string
	for n := range 40 {
		if rapid.IntRange(0, 9).Draw(b.T, "there") > 0 {
			all = append(all, fmt.Sprintf(`{%q:%d,"quantity":%d,"location_id":60003760%s,"padding":%q}`, key, n+1, rapid.IntRange(0, 12).Draw(b.T, "quantity")/12+1, more, strings.Repeat("x", 150)))
		}
	}
	return "[" + strings.Join(all, ",") + "]"
}

func (b *biography) observe(section eve.Section) {
	n := rapid.IntRange(1, 3).Draw(b.T, "value")
	value := fmt.Sprintf(`{"x":%d}`, n)
	switch section { //nolint:exhaustive // the others are all alike
	case eve.SectionDetails:
		value = fmt.Sprintf(`{"name":"Seen as %d","corporation_id":%d,"alliance_id":%d}`, n, n, 4-n)
	case eve.SectionAssets:
		value = b.elements("item_id", `,"type_id":34`)
	case eve.SectionContacts:
		value = `{"contacts":` + b.elements("contact_id", `,"contact_type":"character","standing":1.50`) + `,"labels":[{"label_id":1,"label_name":"a\u0000b"}]}`
	case eve.SectionSkills:
		value = fmt.Sprintf(`{"total_sp":%d,"skills":%s}`, n, b.elements("skill_id", ""))
	case eve.SectionShip:
		value = fmt.Sprintf(`{"ship_item_id":%d,"ship_name":"S\u0000","ship_type_id":%d}`, rapid.SampledFrom([]int{3, 1000}).Draw(b.T, "ship"), rapid.SampledFrom([]int{587, 670}).Draw(b.T, "ship type"))
	case eve.SectionLocation:
		value = rapid.SampledFrom([]string{`{"solar_system_id":30000142}`, `{"solar_system_id":30000142,"station_id":60003760}`, `{"solar_system_id":30000142,"structure_id":1000000000001}`}).Draw(b.T, "place")
	case eve.SectionWallet:
		value = fmt.Sprintf(`%d.25`, n)
	case eve.SectionImplants:
		value = rapid.SampledFrom([]string{`[]`, `[10,9]`, `[9]`, `[100,9]`}).Draw(b.T, "implants")
	case eve.SectionSkillQueue:
		value = fmt.Sprintf(`[{"queue_position":0,"skill_id":3300,"start_date":%q,"finish_date":%q},{"queue_position":10,"skill_id":%d}]`,
			b.now.Add(-time.Hour).Format(time.RFC3339), b.now.Add(9*time.Hour).Format(time.RFC3339), n)
	case eve.SectionMails:
		value = fmt.Sprintf(`{"labels":[{"label_id":%d}],"lists":[{"mailing_list_id":%d,"name":"List %d"}],"total_unread_count":%d}`, n, n, n, n)
	case eve.SectionClones:
		value = fmt.Sprintf(`{"home_location":{"location_id":%d},"jump_clones":[{"jump_clone_id":12},{"jump_clone_id":%d}]}`, n, n)
	}
	e, next, err := eve.Compare("test", b.series[section], eve.Snapshot{CharacterID: b.id, Section: section, FetchedAt: b.now, Value: json.RawMessage(value)})
	require.NoError(b.T, err)
	if e != nil {
		b.series[section] = next
		b.add(*e)
	}
}

func (b *biography) record(section eve.Section) {
	shape, _ := eve.ShapeOf(section)
	var items []json.RawMessage
	for n := range rapid.IntRange(1, 4).Draw(b.T, "records") {
		fields := []string{
			fmt.Sprintf(`%q:%q`, shape.Records.Time, b.now.Add(-time.Duration(n)*30*time.Hour).Truncate(24*time.Hour).Format(time.RFC3339)), `"is_read":true`, `"type_id":34`,
			fmt.Sprintf(`"status":%q,"quantity":%d`, rapid.SampledFrom([]string{"outstanding", "finished"}).Draw(b.T, "status"), rapid.IntRange(1, 3).Draw(b.T, "quantity")),
		}
		for _, key := range shape.Records.Key {
			if key != shape.Records.Time {
				fields = append(fields, fmt.Sprintf(`%q:%d`, key, rapid.IntRange(1, 12).Draw(b.T, "key")))
			}
		}
		items = append(items, json.RawMessage("{"+strings.Join(fields, ",")+"}"))
	}
	last := b.known[section]
	if last.Known == nil {
		last.Known = &eve.KnownRecords{}
	}
	told, err := eve.NewFacts("test", eve.FactsReading{CharacterID: b.id, Section: section, FetchedAt: b.now, Items: items}, last.Known, last.LastID)
	require.NoError(b.T, err)
	b.known[section] = told
	for _, e := range told.Events {
		b.add(e)
	}
}

// plain is an answer without what is only said of the past and what is only known
// of the present.
func plain(t require.TestingT, text string) map[string]any {
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &body), text)
	delete(body, "as_of")
	delete(body, "login")
	return body
}

// pastTargets are the resources of character 5 that can be asked for as of a moment.
func pastTargets(t *testing.T, c *client) []string {
	t.Helper()
	var targets []string
	for path, item := range c.server.OpenAPI().Paths {
		if rest, is := strings.CutPrefix(path, "/v1/characters/{id}"); is && item.Get != nil && !strings.Contains(rest, "wallet-journal") && !strings.Contains(rest, "{") {
			for _, p := range item.Get.Parameters {
				if p.Name == "as_of" {
					targets = append(targets, "/v1/characters/5"+rest)
				}
			}
		}
	}
	require.Greater(t, len(targets), 33)
	return append(targets, "/v1/characters/5/assets?type_id=34", "/v1/characters/5/assets?limit=3", "/v1/characters/5/mails?limit=2", "/v1/characters/5/mails?unread=true",
		"/v1/characters/5/contracts?status=finished", "/v1/characters/5/contracts/7", "/v1/characters/5/mails/7")
}

func TestAnswersAsOfAMomentAreThoseThatTheReadModelWouldHaveGivenThen(t *testing.T) {
	r := newRetold(t)
	characters := postgres.NewCharacterReader(r.pool, live.New(r))
	var then time.Time
	var told annals
	now := newClient(t, func(c *api.Config) {
		c.Characters, c.SkillSets = characters, characters
		c.Now = func() time.Time { return then }
	})
	later := newClient(t, func(c *api.Config) {
		c.Characters, c.SkillSets, c.Past = characters, characters, told.past()
	})
	targets := pastTargets(t, now)
	found, gone := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		b := &biography{T: t, id: 5, now: moment.Add(-2000 * time.Hour), series: map[eve.Section]eve.Series{}, known: map[eve.Section]eve.FactsResult{}}
		if rapid.IntRange(0, 5).Draw(t, "known from the start") > 0 {
			b.tell(t, b.id, b.now, eve.CharacterRegistered{CharacterID: b.id, Name: "First", UserID: "u1", CorporationID: 7})
		}
		b.Repeat(map[string]func(*rapid.T){"": func(*rapid.T) {}, "step": func(*rapid.T) { b.step() }})
		told = b.annals
		if len(told.records) == 0 {
			return
		}
		at, err := told.records[rapid.IntRange(0, len(told.records)-1).Draw(t, "moment")].Recorded()
		require.NoError(t, err)
		then = at.Time.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "off by")) * time.Minute)
		var forgotten bool
		for _, rec := range told.records {
			e, err := rec.Recorded()
			require.NoError(t, err)
			forgotten = forgotten || (e.Type == eve.TypeCharacterForgotten && e.Time.After(then))
		}
		r.of(context.Background(), t, told.records, then)
		for _, target := range targets {
			question := target + "?"
			if strings.Contains(target, "?") {
				question = target + "&"
			}
			past := later.get(question + "as_of=" + then.Format(time.RFC3339))
			if forgotten {
				gone++
				later.requireProblem(past, http.StatusNotFound, "forgotten")
				continue
			}
			present := now.get(target)
			require.Equal(t, present.StatusCode, past.StatusCode, "%s\nthen: %s\npast: %s", question, present.text, past.text)
			if present.StatusCode != http.StatusOK {
				continue
			}
			found++
			require.Contains(t, past.text, `"as_of":"`+then.Format(time.RFC3339)+`"`)
			want, have := plain(t, present.text), plain(t, past.text)
			// Cursors of the past are its own.
			require.Equal(t, want["next_cursor"] == nil, have["next_cursor"] == nil)
			delete(want, "next_cursor")
			delete(have, "next_cursor")
			require.Equal(t, want, have, question)
		}
	})
	require.Positive(t, found)
	t.Logf("%d answers compared, %d of forgotten characters", found, gone)
}

func TestPagesOfThePastFollowEachOther(t *testing.T) {
	c := newClient(t)
	first := c.get("/v1/characters/90000001/assets?limit=1&as_of=" + moment.Format(time.RFC3339))
	require.Equal(t, http.StatusOK, first.StatusCode, first.text)
	var page struct {
		NextCursor string `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(first.text), &page))
	second := c.get("/v1/characters/90000001/assets?limit=1&as_of=" + moment.Format(time.RFC3339) + "&cursor=" + page.NextCursor)
	require.Contains(t, second.text, `"item_id":2`)
	require.NotContains(t, second.text, "next_cursor")
	c.requireProblem(c.get("/v1/characters/90000001/assets?limit=1&cursor="+page.NextCursor), http.StatusUnprocessableEntity, "cursor")
}

func TestThereIsNoCharacterBeforeItWasRegisteredAndNoneInTheFuture(t *testing.T) {
	c := newClient(t)
	early := moment.Add(-101 * time.Hour)
	c.requireProblem(c.get("/v1/characters/90000001?as_of="+early.Format(time.RFC3339)), http.StatusNotFound, moment.Add(-100*time.Hour).Format(time.RFC3339))
	c.requireProblem(c.get("/v1/characters/90000001/wallet?as_of="+early.Format(time.RFC3339)), http.StatusNotFound, "not registered")
	c.requireProblem(c.get("/v1/characters/90000001/wallet?as_of="+moment.Add(time.Hour).Format(time.RFC3339)), http.StatusUnprocessableEntity, "yet to come")
	c.requireProblem(c.get("/v1/characters/7?as_of="+moment.Format(time.RFC3339)), http.StatusNotFound, "no character 7")
	journal := c.get("/v1/characters/90000001/wallet-journal?as_of=" + moment.Format(time.RFC3339))
	require.Contains(t, journal.text, `"amount":"150.00"`)
	require.Contains(t, journal.text, `"first_party_name":"Wayne Enterprises"`)
	require.Contains(t, c.get("/v1/characters/90000001/wallet-journal?as_of="+moment.Add(-98*time.Hour).Format(time.RFC3339)).text, `"items":[]`)
	require.Contains(t, c.get("/v1/characters/90000001?as_of="+moment.Format(time.RFC3339)).text, `"login":{"state":"unknown"}`)
}

func TestThePastOfACharacterIsOnlyForThoseWhoMayOpenIt(t *testing.T) {
	c := newClient(t)
	c.world.grants, c.world.subject.Owner = access.Grants{Active: true, Permissions: []string{"basic_access"}}, "ada"
	for _, target := range []string{"/v1/characters/90000001", "/v1/characters/90000001/wallet", "/v1/characters/90000001/mails"} {
		target += "?as_of=" + moment.Format(time.RFC3339)
		c.requireProblem(c.get(target, "Authorization", "Bearer "+limited), http.StatusForbidden, "may not do")
		c.world.opens = nil
		c.requireProblem(c.get(target, as("ada")...), http.StatusNotFound, postgres.NoCharacter(90000001).Error())
		c.world.opens = []int64{90000001}
		require.Equal(t, http.StatusOK, c.get(target, as("ada")...).StatusCode, target)
	}
}
