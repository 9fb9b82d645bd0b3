package esi

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// send answers with the content, or with 304 if the client has it, or with what
// the drawn flaw makes of it.
func (x *exchange) send(c content) {
	status := http.StatusOK
	if x.r.Header.Get("If-None-Match") != "" && x.matches(c.etag) {
		status = http.StatusNotModified
	}
	if x.flawed() {
		status = http.StatusOK
	}
	x.settle(status)
	x.describe(c, status)
	if status == http.StatusNotModified {
		x.w.WriteHeader(status)
		return
	}
	body := c.data
	if c.late != nil {
		buffer := borrow()
		defer bodies.Put(buffer)
		*buffer = c.late((*buffer)[:0])
		body = *buffer
	}
	if x.flawed() {
		x.sendFlawed(body)
		return
	}
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(status)
	// The client is gone if this fails, and nobody is left to tell.
	_, _ = x.w.Write(body)
}

// flawed tells whether the answer is spoilt on its way, so that the client
// cannot have it.
func (x *exchange) flawed() bool {
	return x.flaw.Kind != "" && x.flaw.Kind != fault.Torn && x.flaw.Kind != fault.BareNotModified
}

// describe sets the headers about the content's age, lifetime and pages.
func (x *exchange) describe(c content, status int) {
	h := x.w.Header()
	h["Etag"] = []string{x.tag(c.etag)}
	if !c.undated {
		h["Last-Modified"] = []string{time.Unix(c.modified, 0).UTC().Format(http.TimeFormat)}
	}
	h["Date"] = []string{x.now.Format(http.TimeFormat)}
	bare := status == http.StatusNotModified && x.flaw.Kind == fault.BareNotModified
	switch {
	case bare && x.sim.config.Speed == 1:
		// The client goes by the lifetime of the specification, which is that of a
		// world that moves with the clock.
	case c.expires > 0:
		x.describeLifetime(h, c.expires)
	default:
		h["Cache-Control"] = []string{"no-cache"}
	}
	if bare {
		return
	}
	if c.pages > 1 && (status == http.StatusOK || x.talkative()) || c.pages == 1 && x.talkative() {
		h["X-Pages"] = []string{strconv.Itoa(c.pages)}
	}
}

// talkative tells whether a single page is announced, and so are the pages of what has
// not changed. A client must live with both.
func (x *exchange) talkative() bool { return x.id%2 == 0 }

func (x *exchange) describeLifetime(h http.Header, expires int64) {
	maxAge := x.rt.maxAge
	switch x.sim.config.CacheHeaders {
	case CacheHeadersMaxAge:
		maxAge = true
	case CacheHeadersExpires:
		maxAge = false
	}
	visibility := "private"
	if x.rt.scope == "" {
		visibility = "public"
	}
	h["Expires"] = []string{time.Unix(expires, 0).UTC().Format(http.TimeFormat)}
	if maxAge {
		left := strconv.FormatInt(expires-x.now.Unix(), 10)
		visibility += ", max-age=" + left + ", must-revalidate, stale-if-error=900"
	}
	h["Cache-Control"] = []string{visibility}
}

// sendFlawed spoils a good answer. The client can tell each time.
func (x *exchange) sendFlawed(body []byte) {
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	switch x.flaw.Kind {
	case fault.Truncated:
		fault.WriteHalf(x.w, body)
	case fault.CutOff:
		fault.WriteCutOff(x.w, body)
	case fault.HTML:
		fault.WriteHTML(x.w, http.StatusOK)
	default:
		spoilt := `["what", 42, null]`
		switch {
		case body[0] == '[':
			spoilt = `{"items":"none"}`
		case x.rt.section == sectionDetails || x.rt.section == sectionLocation:
			spoilt = `{"name":42,"solar_system_id":"somewhere","corporation_id":[],"birthday":false}`
		}
		_, _ = io.WriteString(x.w, spoilt)
	}
}
