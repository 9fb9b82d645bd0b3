package esi

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// serveDetail answers for one thing of a character, made for this request.
func (x *exchange) serveDetail() {
	s := x.sim
	if x.r.URL.RawQuery != "" {
		x.report(RuleQuery, "the route has no parameters")
	}
	c := s.character(x.id)
	if c == nil {
		x.refuse(http.StatusNotFound, "Character not found")
		return
	}
	if x.rt.detail == detailContractItems && !x.admitItems() {
		return
	}
	at := s.clock.At(x.now)
	buffer := borrow()
	defer bodies.Put(buffer)
	body, ok := detailContents[x.rt.detail](s.world, (*buffer)[:0], x.id, x.sub, at)
	if !ok {
		if x.rt.detail == detailStructure && s.world.hasStructure(x.sub) {
			x.refuse(http.StatusForbidden, "Forbidden")
			return
		}
		x.refuse(http.StatusNotFound, "Not found!")
		return
	}
	*buffer = body
	answer := content{
		etag: hashOf(body), data: body, modified: x.now.Unix(),
		expires: x.now.Add(s.lifetime(x.rt, x.now)).Unix(),
	}
	if err := x.acceptDetail(c, at, answer); err != nil {
		s.fail(x.w, err)
		return
	}
	x.send(answer)
}

// acceptDetail judges whether the client may ask, and books that it has the
// answer.
func (x *exchange) acceptDetail(c *character, at time.Time, answer content) error {
	s := x.sim
	begin := s.clock.Start().Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.detailOf(x.rt.detail, x.sub); known != nil && known.expiry() > 0 {
		x.judgeRepeat(begin+known.expiry(), answer.etag)
	}
	if x.flawed() {
		return nil
	}
	c.serveDetail(x.rt.detail, x.sub, at, answer.expires-begin)
	return s.state.Append(record{Character: x.id, Detail: x.rt.name, ID: x.sub, At: at.UnixMilli()})
}

// serveAssetNames answers for the names of a character's assets, as they are in
// the list that it was shown.
func (x *exchange) serveAssetNames() {
	s := x.sim
	c := s.character(x.id)
	ids, ok := x.readIDs(1000)
	if !ok {
		return
	}
	if c == nil {
		x.refuse(http.StatusNotFound, "Character not found")
		return
	}
	c.mu.Lock()
	world := c.cache[sectionAssets].world
	c.mu.Unlock()
	at := time.UnixMilli(world).UTC()
	if world == 0 {
		at = s.clock.At(x.now)
	}
	body := []byte{'['}
	for i, item := range ids {
		name, ok := s.world.assetName(x.id, item, at)
		if !ok {
			x.refuse(http.StatusNotFound, "Invalid IDs in the request")
			return
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = strconv.AppendInt(append(body, `{"item_id":`...), item, 10)
		body = append(appendString(append(body, `,"name":`...), name), '}')
	}
	body = append(body, ']')
	if !x.flawed() {
		c.mu.Lock()
		c.serveNames(ids, at.UnixMilli())
		err := s.state.Append(record{Character: x.id, Names: ids, At: at.UnixMilli()})
		c.mu.Unlock()
		if err != nil {
			s.fail(x.w, err)
			return
		}
	}
	x.send(content{etag: hashOf(body), modified: x.now.Unix(), data: body})
}

// readIDs reads a list of different ids; it answers itself if the body is none.
func (x *exchange) readIDs(most int) ([]int64, bool) {
	body, err := io.ReadAll(io.LimitReader(x.r.Body, 1<<17))
	var ids []int64
	if err == nil {
		err = json.Unmarshal(body, &ids)
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	if err != nil || len(ids) == 0 || len(ids) > most || len(slices.Compact(sorted)) != len(ids) {
		x.report(RuleBody, "must be a list of 1 to %d different ids", most)
		x.refuse(http.StatusBadRequest, "Invalid body")
		return nil, false
	}
	return ids, true
}
