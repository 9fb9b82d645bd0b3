package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/simulate/esi"
	"github.com/muster-sync/muster/query/api"
)

// pilots are characters of a simulated world, asked as ESI is.
type pilots struct {
	t       *testing.T
	handler http.Handler
	tokens  map[int64]string
}

func newPilots(t *testing.T, now time.Time, characters int) (*pilots, esi.Organisation) {
	t.Helper()
	sim, err := esi.New(esi.Config{Seed: 3, Characters: characters, Activity: 3, Epoch: now, Start: now, Clock: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	p, org := &pilots{t: t, handler: sim.Handler(), tokens: map[int64]string{}}, sim.Organisation()
	for _, c := range org.Characters {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.RefreshToken}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v2/oauth/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("muster-simulated", "simulated-secret")
		var granted struct {
			Access string `json:"access_token"`
		}
		body, _ := p.do(r)
		require.NoError(t, json.Unmarshal(body, &granted))
		p.tokens[c.ID] = granted.Access
	}
	return p, org
}

func (p *pilots) do(r *http.Request) ([]byte, http.Header) {
	p.t.Helper()
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, w.Code, "%s: %s", r.URL, body)
	return body, w.Header()
}

// pages are all pages of a route of a character.
func (p *pilots) pages(id int64, route string) [][]byte {
	p.t.Helper()
	var pages [][]byte
	for page, last := 1, 1; page <= last; page++ {
		r := httptest.NewRequestWithContext(p.t.Context(), http.MethodGet, fmt.Sprintf("/characters/%d/%s", id, route), http.NoBody)
		if page > 1 {
			r.URL.RawQuery = "page=" + strconv.Itoa(page)
		}
		for name, value := range map[string]string{"User-Agent": "Muster/1.0 (ops@example.org)", "Accept": "application/json", "X-Compatibility-Date": "2026-08-04", "Authorization": "Bearer " + p.tokens[id]} {
			r.Header.Set(name, value)
		}
		body, header := p.do(r)
		pages = append(pages, body)
		if of := header.Get("X-Pages"); of != "" {
			var err error
			last, err = strconv.Atoi(of)
			require.NoError(p.t, err)
		}
	}
	return pages
}

// rows are the elements of all pages, read without the code that is tested.
func rows[T any](t *testing.T, pages [][]byte) []T {
	t.Helper()
	var all []T
	for _, page := range pages {
		var list []T
		require.NoError(t, json.Unmarshal(page, &list))
		all = append(all, list...)
	}
	return all
}

// exact is a number as ESI has written it.
func exact(t *testing.T, n json.Number) *big.Rat {
	t.Helper()
	r, is := new(big.Rat).SetString(n.String())
	require.True(t, is, n)
	return r
}

// hundredths rounds to what money has.
func hundredths(t *testing.T, n json.Number) *big.Rat {
	t.Helper()
	return exact(t, json.Number(exact(t, n).FloatString(2)))
}

// truth is what the launcher must say, added up by hand from what ESI serves.
type truth struct {
	wallets, points map[int64]string
	wallet          *big.Rat
	mined, ratted   *big.Rat
	total           int64
	// unpriced and before count what must not count.
	unpriced, before int
}

func (tr *truth) add(t *testing.T, p *pilots, id int64, month time.Time, price func(int64) *big.Rat) {
	t.Helper()
	var balance json.Number
	require.NoError(t, json.Unmarshal(p.pages(id, "wallet")[0], &balance))
	tr.wallets[id] = hundredths(t, balance).FloatString(2)
	tr.wallet.Add(tr.wallet, hundredths(t, balance))
	var skills struct {
		Total int64 `json:"total_sp"`
	}
	require.NoError(t, json.Unmarshal(p.pages(id, "skills")[0], &skills))
	tr.points[id], tr.total = strconv.FormatInt(skills.Total, 10), tr.total+skills.Total
	for _, line := range rows[struct {
		Date     string `json:"date"`
		Type     int64  `json:"type_id"`
		Quantity int64  `json:"quantity"`
	}](t, p.pages(id, "mining")) {
		day, err := time.Parse(time.DateOnly, line.Date)
		require.NoError(t, err)
		worth := price(line.Type)
		switch {
		case day.Before(month):
			tr.before++
		case worth == nil:
			tr.unpriced++
		default:
			tr.mined.Add(tr.mined, new(big.Rat).Mul(worth, big.NewRat(line.Quantity, 1)))
		}
	}
	seen := map[int64]bool{}
	for _, entry := range rows[struct {
		ID     int64       `json:"id"`
		Date   time.Time   `json:"date"`
		Type   string      `json:"ref_type"`
		Amount json.Number `json:"amount"`
	}](t, p.pages(id, "wallet/journal")) {
		if entry.Type != "bounty_prizes" || seen[entry.ID] {
			continue
		}
		seen[entry.ID] = true
		if entry.Date.Before(month) {
			tr.before++
			continue
		}
		tr.ratted.Add(tr.ratted, hundredths(t, entry.Amount))
	}
}

// tellOf appends what was served of a character to the log, as the sync does.
func (s *stores) tellOf(p *pilots, id int64, owner string, at time.Time) {
	s.t.Helper()
	full := func(section eve.Section, route string) eve.SectionObserved {
		return eve.SectionObserved{CharacterID: id, Section: section, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: at, Value: p.pages(id, route)[0]}
	}
	s.append(event.Character(id), at, eve.CharacterRegistered{CharacterID: id, Name: fmt.Sprint("Pilot ", id), UserID: owner, CorporationID: 98000001},
		full(eve.SectionWallet, "wallet"), full(eve.SectionSkills, "skills"))
	facts, err := eve.NewFacts("test", eve.FactsReading{CharacterID: id, Section: eve.SectionMining, FetchedAt: at, Items: rows[json.RawMessage](s.t, p.pages(id, "mining"))}, &eve.KnownRecords{}, uuid.Nil)
	require.NoError(s.t, err)
	journal, _, _, err := eve.NewJournalFacts("test", eve.JournalReading{CharacterID: id, FetchedAt: at, Pages: p.pages(id, "wallet/journal")}, &eve.KnownEntries{}, uuid.Nil)
	require.NoError(s.t, err)
	for _, e := range append(facts.Events, journal...) {
		require.NoError(s.t, s.appender.Append(s.t.Context(), e))
	}
}

// spoken is a text that is read when it is printed.
type spoken string

func (s *spoken) String() string { return string(*s) }

// Every figure of the launcher, held against sums over what the simulated ESI serves,
// added up without the code that is tested: whole numbers and fractions, no floats.
func TestTheLaunchersFiguresAreTheSumsOfWhatESIServes(t *testing.T) {
	now := time.Date(2026, 9, 20, 12, 0, 0, 0, time.UTC)
	month := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	p, org := newPilots(t, now, 16)
	// One ore in five has no price, and one in five but an adjusted one.
	price := func(id int64) *big.Rat {
		if id%5 == 0 {
			return nil
		}
		return big.NewRat(id%977*1000+333, 1000)
	}
	ores := map[int64]bool{}
	var inserts []string
	for _, c := range org.Characters {
		for _, line := range rows[struct {
			Type int64 `json:"type_id"`
		}](t, p.pages(c.ID, "mining")) {
			if worth := price(line.Type); worth != nil && !ores[line.Type] {
				average, adjusted := worth.FloatString(3), "1"
				if line.Type%5 == 1 {
					average, adjusted = "NULL", worth.FloatString(3)
				}
				inserts = append(inserts, fmt.Sprintf("INSERT INTO price VALUES (%d, %s, %s) ON CONFLICT (type_id) DO UPDATE SET average = excluded.average, adjusted = excluded.adjusted;", line.Type, average, adjusted))
			}
			ores[line.Type] = true
		}
	}
	require.NotEmpty(t, inserts)
	s := newStoresWith(t, func(c *api.Config, parts *storesParts) {
		refer(t, parts.pool, append([]string{"DELETE FROM price;"}, inserts...)...)
		c.Now = func() time.Time { return now }
	})
	want := truth{wallets: map[int64]string{}, points: map[int64]string{}, wallet: new(big.Rat), mined: new(big.Rat), ratted: new(big.Rat)}
	registered := 0
	for i, c := range org.Characters {
		owner := "ada"
		if i%8 == 7 {
			owner = "bob"
		}
		s.tellOf(p, c.ID, owner, now)
		if owner == "ada" {
			want.add(t, p, c.ID, month, price)
			registered++
		}
	}
	require.Equal(t, 14, registered)
	require.Positive(t, want.before, "something is from the month before")
	require.Positive(t, want.mined.Sign())
	require.Positive(t, want.ratted.Sign())
	s.append(event.User("ada"), now, userOf("ada"), access.MainSet{UserID: "ada", CharacterID: &org.Characters[0].ID},
		access.CharactersListed{UserID: "ada", Characters: []access.ListedCharacter{{CharacterID: 7, Name: "Alt"}, {CharacterID: 8, Name: "Other"}, {CharacterID: 9, Name: "Third"}}})
	s.append(event.User("bob"), now, userOf("bob"))

	var got api.Launcher
	var shown spoken
	require.Eventually(t, func() bool {
		a := s.get("/v1/launcher?user_id=ada")
		got, shown = api.Launcher{}, spoken(a.text)
		return a.StatusCode == http.StatusOK && json.Unmarshal([]byte(a.text), &got) == nil && got.Summary.Characters == 17 && len(got.Unregistered) == 3 &&
			string(got.Summary.Ratted) == want.ratted.FloatString(2) && got.Summary.SkillPoints == want.total && got.Summary.Mined != nil && string(*got.Summary.Mined) == want.mined.FloatString(2)
	}, 30*time.Second, 100*time.Millisecond, "want ratted %s, mined %s, %d skill points, got %s", want.ratted.FloatString(2), want.mined.FloatString(2), want.total, &shown)
	require.Equal(t, want.wallet.FloatString(2), string(got.Summary.Wallet))
	require.Equal(t, 14, got.Summary.Registered)
	// 14 of 17 is 82.3529... %, cut.
	require.Equal(t, "82.35", got.Summary.Percent)
	require.Equal(t, month, got.Summary.MonthFrom)
	require.Nil(t, got.Summary.Players)
	require.NotEmpty(t, got.Summary.PlayersReason)
	require.Len(t, got.Cards, 14)
	for _, card := range got.Cards {
		require.Equal(t, want.wallets[card.CharacterID], string(*card.Balance))
		require.Equal(t, want.points[card.CharacterID], strconv.FormatInt(*card.SkillPoints, 10))
		require.Equal(t, card.CharacterID == org.Characters[0].ID, card.IsMain)
	}
	t.Logf("wallet %s, mined %s, ratted %s, %d skill points; %d lines and entries of the month before and %d without a price did not count",
		got.Summary.Wallet, *got.Summary.Mined, got.Summary.Ratted, got.Summary.SkillPoints, want.before, want.unpriced)
}
