package universe

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/ingesttest"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

const (
	pilot, other = int64(90000001), int64(90000002)
	citadel      = int64(1030000000001)
	scope        = "esi-universe.read_structures.v1"
)

// esi plays ESI's routes about the universe, and counts errors.
type esi struct {
	t     *testing.T
	world *ingesttest.World

	mu sync.Mutex
	// nobody has no name; all others are called "Name of" their id, or as renamed.
	nobody  map[int64]bool
	renamed map[int64]string
	// away knows nothing at all.
	away bool
	// lists are the lists of ids that names were asked for.
	lists  [][]int64
	errors []time.Time
	// allowed are those who may see a structure.
	allowed map[int64]bool
	asked   []string
}

func (e *esi) fail(w http.ResponseWriter, status int, text string) {
	e.errors = append(e.errors, e.world.Clock.Now())
	ingesttest.JSON(w, status, `{"error":"`+text+`"}`)
}

func (e *esi) names(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var ids []int64
	unique := map[int64]bool{}
	if json.Unmarshal(body, &ids) != nil || len(ids) == 0 || len(ids) > 1000 {
		e.t.Errorf("a list of names was asked for that ESI does not take: %.100s", body)
	}
	e.lists = append(e.lists, ids)
	type named struct {
		Category string `json:"category"`
		ID       int64  `json:"id"`
		Name     string `json:"name"`
	}
	answer := []named{}
	for _, id := range ids {
		if unique[id] {
			e.t.Errorf("id %d was asked for twice in one list", id)
		}
		unique[id] = true
		if e.away || e.nobody[id] {
			e.fail(w, http.StatusNotFound, "Ensure all IDs are valid before resolving.")
			return
		}
		category := "character"
		switch eve.RangeOf(id) {
		case eve.RangeStation:
			category = "station"
		case eve.RangeSystem:
			category = "solar_system"
		}
		name := "Name of " + strconv.FormatInt(id, 10)
		if n, ok := e.renamed[id]; ok {
			name = n
		}
		answer = append(answer, named{category, id, name})
	}
	data, err := json.Marshal(answer)
	if err != nil {
		e.t.Error(err)
	}
	ingesttest.JSON(w, http.StatusOK, string(data))
}

// structure answers for the structures in the name of who is logged in, one by one.
func (e *esi) structure(id int64) http.Handler {
	var mu sync.Mutex
	pages := map[string]*ingesttest.Resource{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		who := whose(token)
		e.mu.Lock()
		e.asked = append(e.asked, fmt.Sprintf("%d by %d", id, who))
		may := e.allowed[who]
		if !may {
			e.fail(w, http.StatusForbidden, "Forbidden")
		}
		name := e.renamed[id]
		e.mu.Unlock()
		if !may {
			return
		}
		mu.Lock()
		page := pages[strconv.FormatInt(who, 10)]
		if page == nil {
			page = ingesttest.Page(e.world, time.Hour)
			pages[strconv.FormatInt(who, 10)] = page
		}
		mu.Unlock()
		if name == "" {
			name = "Citadel"
		}
		page.Set(fmt.Sprintf(`{"name":%q,"owner_id":98000777,"solar_system_id":30000142,"type_id":35832,"position":{"x":1,"y":2,"z":3}}`, name))
		page.ServeHTTP(w, r)
	})
}

// mostErrors is the highest number of errors within any minute.
func (e *esi) mostErrors() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	most := 0
	for i, from := range e.errors {
		n := 0
		for _, at := range e.errors[i:] {
			if at.Sub(from) < time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// whose reads the character of a token without checking it.
func whose(token string) int64 {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	id := int64(0)
	if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
		var claims struct {
			Subject string `json:"sub"`
		}
		_ = json.Unmarshal(payload, &claims)
		id, _ = strconv.ParseInt(strings.TrimPrefix(claims.Subject, "CHARACTER:EVE:"), 10, 64)
	}
	return id
}

// rig is a resolver with everything around it.
type rig struct {
	t        *testing.T
	world    *ingesttest.World
	esi      *esi
	pool     *pgxpool.Pool
	vault    *sso.Vault
	finder   *Finder
	resolver *Resolver
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, world: ingesttest.New(t), pool: enginetest.Postgres(t)}
	r.esi = &esi{t: t, world: r.world, nobody: map[int64]bool{}, renamed: map[int64]string{}, allowed: map[int64]bool{}}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	require.NoError(t, migrateTables(t.Context(), r.pool))
	_, err := r.pool.Exec(t.Context(), `INSERT INTO universe.type (type_id, name, source) VALUES (34, 'Tritanium', 'static'), (587, 'Rifter', 'static'), (35832, 'Astrahus', 'static');
		INSERT INTO universe.system (system_id, name, source) VALUES (30000142, 'Jita', 'static');
		INSERT INTO universe.station (station_id, name, source) VALUES (60003760, 'Jita IV', 'static');
		INSERT INTO universe.faction (faction_id, name, source) VALUES (500001, 'Caldari State', 'static');
		INSERT INTO universe.npc_corporation (corporation_id, name, source) VALUES (1000125, 'CONCORD', 'static')`)
	require.NoError(t, err)
	r.world.Handle("/universe/names", http.HandlerFunc(r.esi.names))
	r.world.Handle("/universe/structures/"+strconv.FormatInt(citadel, 10), r.esi.structure(citadel))
	r.vault, err = sso.NewVault(sso.Config{
		Pool: r.pool, Key: sso.NewKey(), URL: r.world.URL, ClientID: ingesttest.ClientID, ClientSecret: ingesttest.ClientSecret,
		Now: r.world.Clock.Now, Timeout: 5 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(r.vault.Close)
	client, err := transport.New(transport.Config{
		BaseURL: r.world.URL, UserAgent: ingesttest.UserAgent, Tokens: r.vault, Registerer: prometheus.NewRegistry(),
		Backoff: time.Millisecond, Timeout: 5 * time.Second, Now: r.world.Clock.Now,
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r.finder, err = NewFinder(r.pool, prometheus.NewRegistry(), nil, r.world.Clock.Now)
	require.NoError(t, err)
	config := Config{Pool: r.pool, Client: client, Finder: r.finder, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now}
	for _, c := range change {
		c(&config)
	}
	r.resolver, err = NewResolver(config)
	require.NoError(t, err)
	return r
}

func (r *rig) login(character int64, scopes ...string) {
	r.t.Helper()
	grant := r.world.Grant(character, scopes...)
	require.NoError(r.t, pgx.BeginFunc(r.t.Context(), r.pool, func(tx pgx.Tx) error { return r.vault.PutTx(r.t.Context(), tx, grant) }))
}

// see appends an event under the finder's eyes.
func (r *rig) see(character int64, p event.Payload) {
	r.t.Helper()
	e, err := event.New(uuid.New(), event.Character(character), "test", r.world.Clock.Now(), p)
	require.NoError(r.t, err)
	require.NoError(r.t, r.finder.Watch(nowhere{}).Append(r.t.Context(), e))
	require.NoError(r.t, r.finder.Flush(r.t.Context()))
}

func (r *rig) observe(character int64, section eve.Section, value string) {
	r.t.Helper()
	r.see(character, eve.SectionObserved{CharacterID: character, Section: section, Encoding: eve.EncodingFull, Value: json.RawMessage(value)})
}

type nowhere struct{ err error }

func (n nowhere) Append(context.Context, ...event.Event) error { return n.err }

// settle does all that can be done now.
func (r *rig) settle() {
	r.t.Helper()
	for _, do := range []step{r.resolver.names, r.resolver.types, r.resolver.structures} {
		for {
			next, err := do(r.t.Context())
			require.NoError(r.t, err)
			if next.After(r.world.Clock.Now()) {
				break
			}
		}
		require.NoError(r.t, r.finder.Flush(r.t.Context()))
	}
}

// pass lets time pass, with all that is done in it.
func (r *rig) pass(d, tick time.Duration) {
	r.t.Helper()
	for range d / tick {
		r.world.Clock.Advance(tick)
		r.settle()
	}
}

func (r *rig) name(view string, id int64) string {
	r.t.Helper()
	key := map[string]string{"entity": "id", "location": "location_id", "type": "type_id"}[view]
	var name string
	require.NoError(r.t, r.pool.QueryRow(r.t.Context(), `SELECT coalesce((SELECT name FROM universe.`+view+` WHERE `+key+` = $1), '')`, id).Scan(&name))
	return name
}

func (r *rig) count(sql string) int {
	r.t.Helper()
	var n int
	require.NoError(r.t, r.pool.QueryRow(r.t.Context(), sql).Scan(&n))
	return n
}

// crowd has a character know many others.
func (r *rig) crowd(first int64, n int) {
	r.t.Helper()
	var contacts []string
	for i := range n {
		contacts = append(contacts, fmt.Sprintf(`{"contact_id":%d}`, first+int64(i)))
	}
	r.observe(first, eve.SectionContacts, `{"contacts":[`+strings.Join(contacts, ",")+`]}`)
}

func TestOneBadIDAmongAThousandSpoilsNoOther(t *testing.T) {
	r := newRig(t)
	r.esi.nobody[90000777] = true
	r.crowd(90000001, 1000)
	r.settle()
	require.Equal(t, 999, r.count(`SELECT count(*) FROM universe.named`))
	require.Equal(t, "Name of 90000776", r.name("entity", 90000776))
	require.Empty(t, r.name("entity", 90000777))
	require.LessOrEqual(t, len(r.esi.lists), 1+2*10+1+1)
	require.LessOrEqual(t, len(r.esi.errors), 12)

	// It is remembered for days.
	asked := len(r.esi.lists)
	r.pass(6*24*time.Hour, 6*time.Hour)
	require.Len(t, r.esi.lists, asked)
	// After which it is asked for again, and then waits twice as long; meanwhile the
	// names of the others have grown old.
	r.world.Clock.Advance(26 * time.Hour)
	r.settle()
	require.Equal(t, 1, r.count(`SELECT count(*) FROM universe.wanted WHERE id = 90000777 AND refusals = 2 AND due_at - now() > interval '-365 days'`))
	require.Equal(t, 999, r.count(`SELECT count(*) FROM universe.named`))
	require.LessOrEqual(t, r.esi.mostErrors(), 20)
}

func TestErrorsNeverExceedTheAllowance(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Settings.ErrorsPerMinute = 14 })
	for i := range int64(40) {
		r.esi.nobody[90000001+i*23] = true
	}
	r.crowd(90000001, 1000)
	var stacks []string
	for i := range 30 {
		stacks = append(stacks, fmt.Sprintf(`{"type_id":%d}`, 400000+i))
	}
	r.observe(pilot, eve.SectionAssets, `[`+strings.Join(stacks, ",")+`]`) // types that do not exist
	r.login(pilot, scope)
	r.observe(pilot, eve.SectionLocation, fmt.Sprintf(`{"structure_id":%d}`, citadel))
	r.pass(2*time.Hour, 5*time.Second)
	require.Equal(t, 960, r.count(`SELECT count(*) FROM universe.named`))
	require.Equal(t, 40, r.count(`SELECT count(*) FROM universe.wanted WHERE lookup = 'name' AND refusals = 1`))
	// A type that is not there is asked for once more after an hour.
	require.Equal(t, 30, r.count(`SELECT count(*) FROM universe.wanted WHERE lookup = 'type' AND refusals BETWEEN 1 AND 2`))
	missing := r.world.Requests("/universe/types/")
	require.LessOrEqual(t, len(missing), 60)
	require.LessOrEqual(t, r.esi.mostErrors(), 14)
	require.GreaterOrEqual(t, r.esi.mostErrors(), 3, "the test must meet the bound")
}

func TestNothingIsConcludedWhileESIKnowsNothingAtAll(t *testing.T) {
	r := newRig(t)
	r.esi.away = true
	r.crowd(90000001, 5)
	r.settle()
	r.pass(2*time.Minute, time.Second)
	require.Zero(t, r.count(`SELECT count(*) FROM universe.wanted WHERE refusals > 0`))
	r.esi.away = false
	r.pass(15*time.Minute, 30*time.Second)
	require.Equal(t, 5, r.count(`SELECT count(*) FROM universe.named`))
	require.LessOrEqual(t, r.esi.mostErrors(), 20)
}

func TestANameThatESILeavesOutIsNotAskedForAgainAtOnce(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/universe/names", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ingesttest.JSON(w, http.StatusOK, `[{"id":90000001,"name":"A\u0000B","category":"character"},{"id":90000001,"name":"twice","category":"character"},{"id":7,"name":"not asked for","category":"character"},{"id":90000002,"name":"","category":"character"}]`)
	}))
	r.crowd(90000001, 2)
	r.settle()
	require.Equal(t, "AB", r.name("entity", 90000001))
	require.Empty(t, r.name("entity", 7))
	require.Equal(t, 1, r.count(`SELECT count(*) FROM universe.wanted WHERE id = 90000002 AND refusals = 1 AND reason LIKE 'ESI left it out%'`))
	require.Len(t, r.world.Requests("/universe/names"), 1)
}

func TestNamesGrowOldAndAreAskedAgainWithinBounds(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Settings.NamesPerHour = 30 })
	r.crowd(90000001, 100)
	r.settle()
	require.Equal(t, 100, r.count(`SELECT count(*) FROM universe.named`))
	r.esi.renamed[90000005] = "Somebody Else"
	r.esi.nobody[90000006] = true
	r.world.Clock.Advance(8 * 24 * time.Hour)
	r.settle()
	require.Len(t, r.esi.lists[1], 30)
	r.pass(4*time.Hour, 20*time.Minute)
	require.Equal(t, "Somebody Else", r.name("entity", 90000005))
	require.Equal(t, "Name of 90000006", r.name("entity", 90000006), "what was known stays")
	for _, list := range r.esi.lists[1:] {
		require.LessOrEqual(t, len(list), 30)
	}
}

func TestBidderNamesAreResolved(t *testing.T) {
	r := newRig(t)
	r.see(pilot, eve.ContractChanged{Facts: eve.Facts{
		CharacterID: pilot, Section: eve.SectionContracts, Items: []json.RawMessage{[]byte(`{"contract_id":7,"bids":[{"bid_id":1,"bidder_id":2112000044,"amount":5}]}`)},
	}})
	r.settle()
	require.Equal(t, "Name of 2112000044", r.name("entity", 2112000044))
}

func TestStructureContextIsNotLost(t *testing.T) {
	r := newRig(t)
	r.login(pilot, scope)
	r.esi.allowed[pilot] = true
	r.see(pilot, eve.JournalRecorded{CharacterID: pilot, Entries: []eve.JournalEntry{{ID: 1, ContextID: citadel, ContextIDType: "structure_id"}}})
	r.settle()
	require.Equal(t, "Citadel", r.name("location", citadel))
	require.Equal(t, 1, r.count(`SELECT count(*) FROM universe.structure WHERE system_id = 30000142 AND type_id = 35832 AND owner_id = 98000777`))
	r.settle()
	require.Equal(t, "Name of 98000777", r.name("entity", 98000777), "the owner is looked up, too")
}

func TestTaxReceiverIsNotLost(t *testing.T) {
	r := newRig(t)
	r.see(pilot, eve.JournalRecorded{CharacterID: pilot, Entries: []eve.JournalEntry{{ID: 1, Tax: "5", TaxReceiverID: 98000123}}})
	r.settle()
	require.Equal(t, "Name of 98000123", r.name("entity", 98000123))
}

func TestTitleIDsAreNotTakenForEntityIDs(t *testing.T) {
	r := newRig(t)
	r.observe(pilot, eve.SectionTitles, `[{"title_id":98000001,"name":"Director"}]`)
	r.settle()
	require.Equal(t, [][]int64{{pilot}}, r.esi.lists, "only the character itself")
}

func TestMailingListsAreNotAskedFor(t *testing.T) {
	r := newRig(t)
	r.see(pilot, eve.MailRecorded{Facts: eve.Facts{CharacterID: pilot, Section: eve.SectionMails, Items: []json.RawMessage{
		[]byte(`{"mail_id":7,"from":90000002,"recipients":[{"recipient_id":145156607,"recipient_type":"mailing_list"}]}`),
	}}})
	r.settle()
	require.Equal(t, [][]int64{{pilot, other}}, r.esi.lists)
}

func TestWhatStaticDataNamesIsNotAskedFor(t *testing.T) {
	r := newRig(t)
	r.observe(pilot, eve.SectionAssets, `[{"type_id":34,"location_id":60003760,"location_flag":"Hangar"},{"type_id":587,"location_id":30000142}]`)
	r.observe(pilot, eve.SectionStandings, `[{"from_id":500001},{"from_id":1000125}]`)
	r.settle()
	require.Equal(t, [][]int64{{pilot}}, r.esi.lists)
	require.Equal(t, 1, r.count(`SELECT count(*) FROM universe.wanted`), "no row is written for what is known")
	// A second look does not even reach the database.
	r.finder.See()
	before := len(r.finder.known)
	r.observe(pilot, eve.SectionStandings, `[{"from_id":500001},{"from_id":1000125}]`)
	require.Len(t, r.finder.known, before)
	require.Empty(t, r.finder.pending)
}

func TestPlacesAndTypesThatStaticDataLacksAreAskedFor(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/universe/types/99000", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ingesttest.JSON(w, http.StatusOK, `{"type_id":99000,"name":"Novelty","description":"","published":true,"group_id":18,"volume":0.5,"new_field":{}}`)
	}))
	r.world.Handle("/universe/types/99001", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ingesttest.JSON(w, http.StatusOK, `{"type_id":1,"name":"Something Else"}`)
	}))
	r.observe(pilot, eve.SectionAssets, `[{"type_id":99000,"location_id":61000001,"location_flag":"Hangar"},{"type_id":99001,"location_id":39999999},{"type_id":99002}]`)
	r.settle()
	require.Equal(t, "Novelty", r.name("type", 99000))
	require.Equal(t, "Name of 61000001", r.name("location", 61000001))
	require.Equal(t, "Name of 39999999", r.name("location", 39999999))
	require.Empty(t, r.name("type", 99001))
	require.Equal(t, 2, r.count(`SELECT count(*) FROM universe.wanted WHERE lookup = 'type' AND refusals = 1`))
	asked := len(r.world.Requests("/universe/"))
	r.pass(50*time.Minute, 10*time.Minute)
	require.Len(t, r.world.Requests("/universe/"), asked)
}

func TestStructuresAreAskedForInTheNameOfWhoMaySeeThem(t *testing.T) {
	r := newRig(t)
	r.login(pilot, scope)
	r.login(other, scope)
	r.login(90000003, "esi-location.read_location.v1")
	r.esi.allowed[other] = true
	for _, character := range []int64{90000003, pilot, other} {
		r.observe(character, eve.SectionLocation, fmt.Sprintf(`{"solar_system_id":30000142,"structure_id":%d}`, citadel))
	}
	r.settle()
	by := func(character int64) string { return fmt.Sprintf("%d by %d", citadel, character) }
	require.Equal(t, []string{by(pilot), by(other)}, r.esi.asked, "who has not consented is not tried, who is refused is followed by another")
	require.Equal(t, "Citadel", r.name("location", citadel))

	// It is good for 24 hours; then who was let in asks again.
	r.pass(23*time.Hour, time.Hour)
	require.Len(t, r.esi.asked, 2)
	r.esi.renamed[citadel] = "Renamed"
	r.pass(2*time.Hour, time.Hour)
	require.Equal(t, []string{by(pilot), by(other), by(other)}, r.esi.asked)
	require.Equal(t, "Renamed", r.name("location", citadel))
	r.pass(25*time.Hour, time.Hour)
	require.Len(t, r.esi.asked, 4)
	last := r.world.Requests("/universe/structures/")
	require.Equal(t, http.StatusNotModified, last[len(last)-1].Status, "what is known need not be sent again")
	require.Equal(t, 1, r.count(`SELECT count(*) FROM universe.structure_seen WHERE character_id = 90000001 AND refusals = 1 AND retry_at - refused_at = interval '7 days'`))
}

func TestRefusalsAreRemembered(t *testing.T) {
	r := newRig(t)
	r.login(pilot, scope)
	r.observe(pilot, eve.SectionLocation, fmt.Sprintf(`{"structure_id":%d}`, citadel))
	r.settle()
	require.Len(t, r.esi.asked, 1)
	require.Equal(t, 1, r.count(`SELECT count(*) FROM universe.wanted WHERE lookup = 'structure' AND reason = 'all characters that know it were refused'`))
	r.pass(6*24*time.Hour, 6*time.Hour)
	require.Len(t, r.esi.asked, 1)

	// Somebody else who has been there is tried at once.
	r.login(other, scope)
	r.esi.allowed[other] = true
	r.observe(other, eve.SectionLocation, fmt.Sprintf(`{"structure_id":%d}`, citadel))
	r.settle()
	require.Len(t, r.esi.asked, 2)
	require.Equal(t, "Citadel", r.name("location", citadel))

	// And what was known stays when nobody may look any more.
	r.esi.allowed[other] = false
	r.pass(48*time.Hour, time.Hour)
	require.Equal(t, "Citadel", r.name("location", citadel))
	require.LessOrEqual(t, len(r.esi.asked), 4)
}

func TestAStructureWaitsForALogin(t *testing.T) {
	r := newRig(t)
	r.observe(pilot, eve.SectionLocation, fmt.Sprintf(`{"structure_id":%d}`, citadel))
	r.settle()
	require.Empty(t, r.esi.asked)
	r.esi.allowed[pilot] = true
	r.login(pilot, scope)
	r.world.Revoke(pilot)
	r.world.Clock.Advance(61 * time.Minute)
	r.settle()
	require.Empty(t, r.esi.asked, "a login that does not work asks nothing")
	r.login(pilot, scope)
	r.pass(3*time.Hour, 30*time.Minute)
	require.Equal(t, "Citadel", r.name("location", citadel))
	require.Empty(t, r.esi.errors)
}

func TestPricesAreReadAgainWhenTheyAreOld(t *testing.T) {
	r := newRig(t)
	market := r.world.Serve("/markets/prices", time.Hour, `[{"type_id":34,"average_price":5.01,"adjusted_price":4.9000000000000004},{"type_id":35,"adjusted_price":7},{"type_id":"x"},{"type_id":36,"average_price":"much"},{"type_id":37,"average_price":1e999999999},{"type_id":34,"average_price":1}]`)
	prices := func() string {
		var text string
		require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(concat_ws(' ', type_id, coalesce(average::text, '-'), coalesce(adjusted::text, '-')), ', ' ORDER BY type_id), '') FROM universe.price`).Scan(&text))
		return text
	}
	again := func() {
		for {
			next, err := r.resolver.prices(t.Context())
			require.NoError(t, err)
			if next.After(r.world.Clock.Now()) {
				return
			}
		}
	}
	again()
	require.Equal(t, "34 5.01 4.9000000000000004, 35 - 7", prices())
	r.world.Clock.Advance(239 * time.Minute)
	again()
	require.Len(t, r.world.Requests("/markets/prices"), 1)
	r.world.Clock.Advance(time.Minute)
	again()
	requests := r.world.Requests("/markets/prices")
	require.Len(t, requests, 2)
	require.Equal(t, http.StatusNotModified, requests[1].Status)

	market.Set(`[{"type_id":35,"average_price":8}]`)
	r.world.Clock.Advance(240 * time.Minute)
	again()
	require.Equal(t, "35 8 -", prices())
	market.Set(`{}`)
	r.world.Clock.Advance(240 * time.Minute)
	next, err := r.resolver.prices(t.Context())
	require.NoError(t, err)
	require.Equal(t, time.Hour, next.Sub(r.world.Clock.Now()), "an answer that cannot be read is not asked for in a row")
	require.Equal(t, "35 8 -", prices())
}

func TestPlayersAreCountedNowAndThen(t *testing.T) {
	r := newRig(t)
	server := r.world.Serve("/status", 30*time.Second, `{"players":21345,"server_version":"3561556","start_time":"2026-05-01T11:05:00Z"}`)
	known := func() string {
		var text string
		require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT coalesce((SELECT concat_ws(' ', players, to_char(started_at AT TIME ZONE 'UTC', 'HH24:MI'), version, vip) FROM universe.server_status), '')`).Scan(&text))
		return text
	}
	again := func() time.Duration {
		for {
			next, err := r.resolver.players(t.Context())
			require.NoError(t, err)
			if wait := next.Sub(r.world.Clock.Now()); wait > 0 {
				return wait
			}
		}
	}
	require.Empty(t, known())
	require.Equal(t, 5*time.Minute, again().Round(time.Second))
	require.Equal(t, "21345 11:05 3561556 f", known())
	r.world.Clock.Advance(4 * time.Minute)
	again()
	require.Len(t, r.world.Requests("/status"), 1)
	r.world.Clock.Advance(time.Minute)
	again()
	requests := r.world.Requests("/status")
	require.Len(t, requests, 2)
	require.Equal(t, http.StatusNotModified, requests[1].Status)
	var read time.Time
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT read_at FROM universe.server_status`).Scan(&read))
	require.WithinDuration(t, r.world.Clock.Now(), read, time.Minute, "it holds as of now")

	server.Set(`{"players":7,"vip":true}`)
	r.world.Clock.Advance(5 * time.Minute)
	again()
	require.Equal(t, "7  t", known())
	for _, odd := range []string{`{"server_version":"x"}`, `{"players":-1}`, `[]`, `{"players":"many"}`} {
		server.Set(odd)
		r.world.Clock.Advance(2 * time.Hour)
		next, err := r.resolver.players(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Hour, next.Sub(r.world.Clock.Now()), "an answer that cannot be read is not asked for in a row")
		require.Equal(t, "7  t", known())
	}
}

// library is a read model.
type library map[int64]map[eve.Section]string

func (l library) CharacterIDs(context.Context) ([]int64, error) {
	var ids []int64
	for id := range l {
		ids = append(ids, id)
	}
	return ids, nil
}

func (l library) Contents(_ context.Context, character int64, each func(eve.Section, []byte)) error {
	for section, value := range l[character] {
		each(section, []byte(value))
	}
	return nil
}

func TestIDsThatWereAppendedBeforeAnybodyLookedAreFound(t *testing.T) {
	views := library{pilot: {eve.SectionContacts: `[{"contact_id":98000050}]`}}
	for i := range int64(2 * sweepAtOnce) {
		views[90001000+i] = nil
	}
	r := newRig(t, func(c *Config) { c.Views = views })
	held, err := r.resolver.Resolve(t.Context(), time.Minute, func(string, int64) {})
	require.NoError(t, err)
	require.Empty(t, held)
	require.Equal(t, "Name of 98000050", r.name("entity", 98000050))
	require.Equal(t, "Name of 90000001", r.name("entity", pilot))

	// After days the characters are looked through again, some at a time.
	views[pilot][eve.SectionContacts] = `[{"contact_id":98000051}]`
	r.world.Clock.Advance(8 * 24 * time.Hour)
	calls := 0
	for next := (time.Time{}); next.Sub(r.world.Clock.Now()) < sweepLook; calls++ {
		next, err = r.resolver.sweep(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, 3, calls)
	require.Equal(t, 1, r.count(`SELECT count(*) FROM universe.wanted WHERE id = 98000051`))
}

func TestResolvingAtOnceTellsWhatItWaitsFor(t *testing.T) {
	r := newRig(t)
	r.esi.away = true
	r.crowd(90000001, 3)
	held, err := r.resolver.Resolve(t.Context(), time.Minute, func(string, int64) {})
	require.NoError(t, err)
	require.Contains(t, held, "ESI is not to be asked before")
}

func TestOneProgramAtATimeLooksForNames(t *testing.T) {
	r := newRig(t)
	first, err := r.resolver.lead(t.Context())
	require.NoError(t, err)
	require.NotNil(t, first)
	second, err := r.resolver.lead(t.Context())
	require.NoError(t, err)
	require.Nil(t, second)
	first.end()
	require.Eventually(t, func() bool {
		second, err = r.resolver.lead(t.Context())
		return err == nil && second != nil
	}, 10*time.Second, 10*time.Millisecond)
	second.end()
}

func TestARunningResolverNamesWhatTurnsUpAndEnds(t *testing.T) {
	r := newRig(t)
	r.world.Serve("/markets/prices", time.Hour, `[{"type_id":34,"average_price":5}]`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- r.resolver.Run(ctx) }()
	go func() { done <- r.finder.Run(ctx) }()
	e, err := event.New(uuid.New(), event.Character(pilot), "test", time.Now(), eve.SectionObserved{CharacterID: pilot, Section: eve.SectionLoyalty, Value: json.RawMessage(`[{"corporation_id":98000009}]`)})
	require.NoError(t, err)
	require.NoError(t, r.finder.Watch(nowhere{}).Append(ctx, e))
	require.Eventually(t, func() bool {
		return r.name("entity", 98000009) != "" && r.count(`SELECT count(*) FROM universe.price`) == 1
	}, 20*time.Second, 20*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
}

func TestOnlyWhatTheLogHasIsLookedThrough(t *testing.T) {
	r := newRig(t)
	e, err := event.New(uuid.New(), event.Character(pilot), "test", time.Now(), eve.SectionObserved{CharacterID: pilot, Section: eve.SectionLoyalty, Value: json.RawMessage(`[{"corporation_id":98000009}]`)})
	require.NoError(t, err)
	require.ErrorIs(t, r.finder.Watch(nowhere{io.ErrClosedPipe}).Append(t.Context(), e), io.ErrClosedPipe)
	require.Empty(t, r.finder.pending)
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	for says, change := range map[string]func(*Settings){
		"MUSTER_UNIVERSE_NAMES_EVERY":       func(s *Settings) { s.Names = time.Second },
		"MUSTER_UNIVERSE_PRICES_EVERY":      func(s *Settings) { s.Prices = -time.Hour },
		"MUSTER_UNIVERSE_PLAYERS_EVERY":     func(s *Settings) { s.Players = 30 * time.Second },
		"MUSTER_UNIVERSE_ERRORS_PER_MINUTE": func(s *Settings) { s.ErrorsPerMinute = 100 },
		"MUSTER_UNIVERSE_NAMES_PER_HOUR":    func(s *Settings) { s.NamesPerHour = -1 },
	} {
		var s Settings
		s.setDefaults()
		require.NoError(t, s.validate())
		change(&s)
		require.ErrorContains(t, s.validate(), says)
		require.Equal(t, event.CodeInvalid, event.CodeOf(s.validate()))
	}
	_, err := NewResolver(Config{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`[{"id":1,"name":"x","category":"character"}]`))
	f.Add([]byte(`{"type_id":5,"name":"x","solar_system_id":7}`))
	f.Add([]byte(`[{"type_id":5,"average_price":1e400}]`))
	f.Add([]byte(`{"players":5,"server_version":"x","start_time":"2026-05-01T11:05:00Z","vip":true}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if s, err := decodeServer(body); err == nil {
			require.True(t, *s.Players >= 0 && s.Version == printable(s.Version))
		}
		if names, err := decodeNames(body); err == nil {
			for _, n := range names {
				require.True(t, n.ID > 0 && n.Name == printable(n.Name))
			}
		}
		if s, err := decodeStructure(body, 1); err == nil {
			require.NotEmpty(t, s.Name)
		}
		if s, err := decodeType(body, 5); err == nil {
			require.EqualValues(t, 5, s.ID)
		}
		if p, err := decodePrices(body); err == nil {
			require.Len(t, p.averages, len(p.types))
			require.False(t, slices.Contains(p.types, 0))
		}
	})
}
