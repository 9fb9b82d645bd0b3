package esi

import (
	"encoding/json"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/internal/simulate/fault"
)

// memory is what a correct client holds of one character after its walks, put
// together in a simpler way than the simulator's.
type memory struct {
	t       *testing.T
	parts   map[string]json.RawMessage
	records map[string]map[string]map[string]json.RawMessage
	names   map[string]json.RawMessage
	// pages are the elements of the list that is being read.
	reading string
}

func newMemory(t *testing.T) *memory {
	return &memory{t: t, parts: map[string]json.RawMessage{}, records: map[string]map[string]map[string]json.RawMessage{}, names: map[string]json.RawMessage{}}
}

func (m *memory) read(v any, data string) {
	require.NoError(m.t, json.Unmarshal([]byte(data), v), "%s", data)
}

func (m *memory) write(v any) json.RawMessage {
	data, err := json.Marshal(v)
	require.NoError(m.t, err)
	return data
}

// see takes an answer in; what follows from a list comes after it.
func (m *memory) see(rt *route, data, target string) {
	switch rt.detail {
	case detailNone:
		m.seeSection(rt, data)
	case detailAssetNames:
		var names []struct {
			Item json.Number `json:"item_id"`
			Name json.RawMessage
		}
		m.read(&names, data)
		for _, n := range names {
			m.names[n.Item.String()] = n.Name
		}
	case detailMailBody:
		var mail map[string]json.RawMessage
		m.read(&mail, data)
		m.lay(sectionMails, target, map[string]json.RawMessage{"body": mail["body"]})
	case detailContractItems:
		m.lay(sectionContracts, target, map[string]json.RawMessage{"items": json.RawMessage(data)})
	case detailContractBids:
		m.lay(sectionContracts, target, map[string]json.RawMessage{"bids": json.RawMessage(data)})
	case detailCalendarEvent, detailKillmail:
		var all map[string]json.RawMessage
		m.read(&all, data)
		m.lay(map[detailKind]section{detailCalendarEvent: sectionCalendar, detailKillmail: sectionKillmails}[rt.detail], target, all)
	}
}

func (m *memory) lay(s section, key string, fields map[string]json.RawMessage) {
	name := sectionNames[s]
	if m.records[name] == nil {
		m.records[name] = map[string]map[string]json.RawMessage{}
	}
	if m.records[name][key] == nil {
		m.records[name][key] = map[string]json.RawMessage{}
	}
	maps.Copy(m.records[name][key], fields)
}

func (m *memory) seeSection(rt *route, data string) {
	name := sectionNames[rt.section]
	if recordKeys[rt.section] != "" {
		var rows []map[string]json.RawMessage
		m.read(&rows, data)
		if m.records[name] == nil {
			m.records[name] = map[string]map[string]json.RawMessage{}
		}
		for _, row := range rows {
			key := string(row[recordKeys[rt.section][1:len(recordKeys[rt.section])-2]])
			if rt.section == sectionMining {
				var date string
				m.read(&date, string(row["date"]))
				key = date + "/" + string(row["solar_system_id"]) + "/" + string(row["type_id"])
			}
			m.lay(rt.section, key, row)
		}
		return
	}
	if rt.paged && m.reading == name {
		var before, more []json.RawMessage
		m.read(&before, string(m.parts[name]))
		m.read(&more, data)
		m.parts[name] = m.write(append(before, more...))
		return
	}
	m.reading = name
	m.parts[name] = json.RawMessage(data)
}

// sections puts the parts together.
func (m *memory) sections() map[string]json.RawMessage {
	out := maps.Clone(m.parts)
	join := func(name string, parts map[string]string) {
		whole := map[string]json.RawMessage{}
		for field, part := range parts {
			whole[field] = m.parts[part]
			delete(out, part)
		}
		out[name] = m.write(whole)
	}
	join("contacts", map[string]string{"contacts": "contacts", "labels": "contacts/labels"})
	join("orders", map[string]string{"orders": "orders", "history": "orders/history"})
	var labels map[string]json.RawMessage
	m.read(&labels, string(m.parts["mails/labels"]))
	labels["lists"] = m.parts["mails/lists"]
	delete(out, "mails/labels")
	delete(out, "mails/lists")
	delete(out, "wallet-journal")
	out["mails"] = m.write(labels)
	var assets []map[string]json.RawMessage
	m.read(&assets, string(m.parts["assets"]))
	for _, asset := range assets {
		if name, ok := m.names[string(asset["item_id"])]; ok && string(name) != `"None"` {
			asset["name"] = name
		}
	}
	out["assets"] = m.write(assets)
	return out
}

func TestTheOracleIsWhatACorrectClientHolds(t *testing.T) {
	t.Run("on a good day", func(t *testing.T) { requireOracle(t) })
	t.Run("with answers that cannot be used", func(t *testing.T) {
		requireOracle(t,
			fault.Fault{Kind: fault.ServerError, Rate: 0.05}, fault.Fault{Kind: fault.Truncated, Rate: 0.05},
			fault.Fault{Kind: fault.HTML, Rate: 0.05}, fault.Fault{Kind: fault.WrongTypes, Rate: 0.05},
			fault.Fault{Kind: fault.RateLimitedBare, Rate: 0.05})
	})
}

func TestWhatWasNeverFetchedApartIsDue(t *testing.T) {
	c := newClient(t, Config{Seed: 5, Characters: 40, Activity: 5})
	due := map[string]bool{}
	for id := FirstCharacter; id < FirstCharacter+40; id++ {
		for _, list := range []string{"/mail", "/contracts", "/killmails/recent", "/calendar"} {
			require.Equal(t, 200, c.get(path(id, list), id).StatusCode)
		}
		served, _ := c.sim.Served(id)
		for name, records := range served.Records {
			for _, r := range records {
				require.Empty(t, r.Details)
				for _, what := range r.Due {
					due[name+" "+what] = true
				}
			}
		}
	}
	require.Equal(t, map[string]bool{"mails body": true, "contracts items": true, "contracts bids": true, "killmails details": true, "calendar details": true}, due)
}

// Whoever has read all that the oracle is asked about has read every section.
func TestTheOracleKnowsEverySection(t *testing.T) {
	c := newClient(t, Config{Seed: 5, Characters: 40, PageSize: 60, Window: time.Second, TokenLifetime: 100 * time.Hour, Activity: 5})
	c.spread = 2 * time.Second
	known := map[string]bool{}
	for id := FirstCharacter; id < FirstCharacter+40; id += 7 {
		c.walk(id, func(*route, string) {})
		served, _ := c.sim.Served(id)
		for name := range served.Sections {
			known[name] = true
		}
		for name := range served.Records {
			known[name] = true
		}
		known["wallet-journal"] = known["wallet-journal"] || len(served.Journal) > 0
	}
	for _, shape := range eve.Shapes() {
		require.True(t, known[string(shape.Section)], shape.Section)
		delete(known, string(shape.Section))
	}
	require.Empty(t, known)
}

func requireOracle(t *testing.T, faults ...fault.Fault) {
	config := Config{Seed: 5, Characters: 40, PageSize: 60, Window: time.Second, TokenLifetime: 100 * time.Hour, StateDir: t.TempDir()}
	c := newClient(t, config)
	c.spread = 2 * time.Second
	for id := FirstCharacter; id < FirstCharacter+40; id += 7 {
		c.token(id)
	}
	memories := map[int64]*memory{}
	for round := range 4 {
		for id := FirstCharacter; id < FirstCharacter+40; id += 7 {
			if memories[id] == nil {
				memories[id] = newMemory(t)
			}
			m := memories[id]
			m.reading = ""
			c.walkTargets(id, m.see)
		}
		c.clock.advance([]time.Duration{time.Hour, 5 * day, 40 * day, 0}[round])
		c.sim.Faults().Clear()
		c.tokens = map[int64]string{}
		for id := range memories {
			c.token(id)
		}
		require.NoError(t, c.sim.Faults().Add(faults...))
	}
	check := func(sim *Simulator) {
		for id, m := range memories {
			served, ok := sim.Served(id)
			require.True(t, ok)
			want := m.sections()
			require.Len(t, served.Sections, len(want))
			for name, value := range want {
				require.JSONEq(t, string(value), string(served.Sections[name]), "%s of %d", name, id)
			}
			for name, records := range m.records {
				require.Len(t, served.Records[name], len(records), "%s of %d", name, id)
				for _, r := range served.Records[name] {
					want, err := json.Marshal(records[r.Key])
					require.NoError(t, err)
					require.JSONEq(t, string(want), string(r.Item), "%s %s of %d", name, r.Key, id)
				}
			}
		}
	}
	check(c.sim)
	check(newClient(t, config).sim)
}

func TestPagesOfAnyListAreCompleteAndUnderTheCap(t *testing.T) {
	for count := range 400 {
		for _, most := range []int{1, 2, 60, 1000} {
			_, _, pages := pageBounds(count, most, FirstCharacter, 1)
			next := 0
			for page := 1; page <= pages; page++ {
				lo, hi, same := pageBounds(count, most, FirstCharacter, page)
				require.Equal(t, pages, same)
				require.Equal(t, next, lo)
				require.LessOrEqual(t, hi-lo, most)
				require.True(t, hi > lo || count == 0, "page %d of "+strconv.Itoa(count), page)
				next = hi
			}
			require.Equal(t, count, next)
		}
	}
}
