package esi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// walker asks for everything there is of a character, as a client does that
// knows nothing yet.
type walker struct {
	c    *client
	id   int64
	seen func(rt *route, data, key string)
}

// walk visits all routes with a character.
func (c *client) walk(id int64, seen func(rt *route, data string)) {
	c.walkTargets(id, func(rt *route, data, _ string) { seen(rt, data) })
}

// walkTargets is walk that also tells which thing a detail is of.
func (c *client) walkTargets(id int64, seen func(rt *route, data, key string)) {
	w := walker{c, id, seen}
	for _, rt := range c.sim.routes {
		switch {
		case rt.section != sectionNone:
			w.section(rt)
		case rt.detail == detailAffiliation, rt.detail == detailNames:
			w.ask(rt, "/"+strings.Join(rt.path, "/"), "["+strconv.FormatInt(id, 10)+"]")
		case rt.detail >= detailPrices:
			w.ask(rt, "/"+strings.Join(rt.path, "/"), "")
		}
	}
}

// ask asks for one URL; it returns the answer and how many pages there are.
func (w walker) ask(rt *route, target, body string) (answer []byte, pages int) {
	c := w.c
	if c.spread > 0 {
		c.clock.advance(c.spread)
	}
	r := request(rt.method, target, strings.NewReader(body))
	if rt.scope != "" {
		r.Header.Set("Authorization", "Bearer "+c.token(w.id))
	}
	rec := httptest.NewRecorder()
	c.handler.ServeHTTP(rec, r)
	if rec.Code >= 429 || rec.Code == http.StatusOK && !rightShape(rt, rec.Body.Bytes()) {
		return w.ask(rt, target, body)
	}
	if rec.Code == http.StatusForbidden && rt.detail == detailStructure {
		return nil, 1
	}
	require.Equal(c.t, http.StatusOK, rec.Code, "%s: %s", target, rec.Body)
	segments := strings.Split(target, "/")
	key := segments[min(len(segments)-1, 4)]
	if rt.detail == detailKillmail {
		key = segments[2]
	}
	w.seen(rt, rec.Body.String(), key)
	pages, _ = strconv.Atoi(rec.Header().Get("X-Pages"))
	return rec.Body.Bytes(), max(1, pages)
}

// section asks for all pages of a section and for what it leads to.
func (w walker) section(rt *route) {
	base := strings.TrimSuffix(path(w.id, "/")+strings.Join(rt.path[2:], "/"), "/")
	switch {
	case rt.cursor != "":
		w.cursor(rt, base)
	case rt.section == sectionIndustryJobs:
		w.ask(rt, base+"?include_completed=true", "")
	default:
		data, pages := w.ask(rt, base, "")
		w.follow(rt, data)
		for page := 2; page <= pages; page++ {
			data, _ = w.ask(rt, base+"?page="+strconv.Itoa(page), "")
			w.follow(rt, data)
		}
	}
}

func (w walker) cursor(rt *route, base string) {
	target := base
	last := int64(0)
	for range 40 {
		data, _ := w.ask(rt, target, "")
		w.follow(rt, data)
		keys := keysOf(rt.section, data)
		if len(keys) == 0 || keys[len(keys)-1] == last {
			return
		}
		last = keys[len(keys)-1]
		target = base + "?" + rt.cursor + "=" + strconv.FormatInt(last, 10)
	}
}

func (w walker) route(kind detailKind) *route {
	for _, rt := range w.c.sim.routes {
		if rt.detail == kind {
			return rt
		}
	}
	return nil
}

// follow asks for the details of at most five elements of a list.
func (w walker) follow(rt *route, data []byte) {
	own := path(w.id, "")
	each := func(f func(key string, row map[string]json.RawMessage)) {
		var rows []map[string]json.RawMessage
		require.NoError(w.c.t, json.Unmarshal(data, &rows))
		for i, row := range rows {
			if i == 5 {
				return
			}
			f(string(bytes.TrimSuffix([]byte(recordKeys[rt.section]), []byte(":"))), row)
		}
	}
	number := func(row map[string]json.RawMessage, quoted string) string {
		return string(row[strings.Trim(quoted, `"`)])
	}
	switch rt.section {
	case sectionMails:
		each(func(key string, row map[string]json.RawMessage) {
			w.ask(w.route(detailMailBody), own+"/mail/"+number(row, key), "")
		})
	case sectionContracts:
		each(func(key string, row map[string]json.RawMessage) {
			w.ask(w.route(detailContractItems), own+"/contracts/"+number(row, key)+"/items", "")
			if string(row["type"]) == `"auction"` {
				w.ask(w.route(detailContractBids), own+"/contracts/"+number(row, key)+"/bids", "")
			}
		})
	case sectionCalendar:
		each(func(key string, row map[string]json.RawMessage) {
			w.ask(w.route(detailCalendarEvent), own+"/calendar/"+number(row, key), "")
		})
	case sectionKillmails:
		each(func(key string, row map[string]json.RawMessage) {
			w.ask(w.route(detailKillmail), "/killmails/"+number(row, key)+"/"+strings.Trim(string(row["killmail_hash"]), `"`), "")
		})
	case sectionAssets:
		each(func(_ string, row map[string]json.RawMessage) {
			w.ask(w.route(detailAssetNames), own+"/assets/names", "["+string(row["item_id"])+"]")
			w.ask(w.route(detailType), "/universe/types/"+string(row["type_id"]), "")
		})
	case sectionLocation:
		var place struct {
			Structure int64 `json:"structure_id"`
		}
		require.NoError(w.c.t, json.Unmarshal(data, &place))
		if place.Structure != 0 {
			w.ask(w.route(detailStructure), "/universe/structures/"+strconv.FormatInt(place.Structure, 10), "")
		}
	}
}

// rightShape tells whether an answer can be what the route answers with.
func rightShape(rt *route, data []byte) bool {
	if !json.Valid(data) {
		return false
	}
	switch {
	case rt.section == sectionWallet:
		return data[0] != '[' && data[0] != '{'
	case rt.section == sectionDetails, rt.section == sectionLocation:
		return !bytes.Contains(data, []byte("somewhere"))
	case sectionIsList(rt):
		return data[0] == '['
	default:
		return data[0] == '{'
	}
}

func sectionIsList(rt *route) bool {
	switch rt.section {
	case sectionAttributes, sectionSkills, sectionRoles, sectionClones, sectionShip, sectionOnline, sectionFatigue, sectionMailLabels, sectionFWStats:
		return false
	case sectionNone:
		return rt.detail == detailContractItems || rt.detail == detailContractBids || rt.detail == detailAssetNames ||
			rt.detail == detailNames || rt.detail == detailAffiliation || rt.detail == detailPrices
	default:
		return true
	}
}
