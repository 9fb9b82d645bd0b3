package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// How live parts of pages are kept up.
const (
	// liveEvery is the time between two looks at what a page shows, livePulse that after
	// which something is sent at the latest, so that a connection that is dead is noticed.
	liveEvery = 2 * time.Second
	livePulse = 20 * time.Second
	// liveFor bounds a connection; the browser opens another one.
	liveFor = 4 * time.Minute
	// maxLive bounds how many connections there are at once.
	maxLive = 500
)

// liveTopic makes a part of a page anew.
type liveTopic struct {
	// template has the part under the name "live".
	template string
	data     func(*visit) (any, error)
}

// liveTopics are the parts of pages that follow what happens.
func liveTopics() map[string]liveTopic {
	return map[string]liveTopic{
		"projections": {"projections", func(v *visit) (any, error) { return v.generations() }},
		"sync":        {"sync", func(v *visit) (any, error) { return v.syncData() }},
		"findings":    {"anvil_consortia", func(v *visit) (any, error) { return v.newestFindings() }},
	}
}

// liveCount counts connections; it is safe for concurrent use.
type liveCount struct{ n atomic.Int64 }

// live sends a part of a page whenever it has changed, as server-sent events. Each look asks
// the API as whoever has opened the page: what ends his right ends the stream.
func (s *Site) live(w http.ResponseWriter, r *http.Request) {
	v := s.visit(w, r)
	topic, ok := liveTopics()[v.path("topic")]
	out := http.NewResponseController(w)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.listening.n.Add(1) > maxLive {
		s.listening.n.Add(-1)
		w.Header().Set("Retry-After", "30")
		http.Error(w, v.T("problem.title-429"), http.StatusTooManyRequests)
		return
	}
	defer s.listening.n.Add(-1)
	part, err := v.part(topic)
	if err != nil {
		status := http.StatusServiceUnavailable
		if refused, ok := asRefusal(err); ok {
			status = refused.Status
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	look, end := time.NewTicker(liveEvery), time.NewTimer(liveFor)
	defer look.Stop()
	defer end.Stop()
	sent := time.Time{}
	last := ""
	for {
		now := s.config.Now()
		switch {
		case part != last:
			err = sendEvent(w, part)
			last, sent = part, now
		case now.Sub(sent) >= livePulse:
			_, err = fmt.Fprint(w, ": still here\n\n")
			sent = now
		}
		if err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-end.C:
			return
		case <-look.C:
		}
		if part, err = v.part(topic); err != nil {
			return
		}
	}
}

// part makes the live part of a page.
func (v *visit) part(topic liveTopic) (string, error) {
	data, err := topic.data(v)
	if err != nil {
		return "", err
	}
	var body bytes.Buffer
	if err := v.templates[topic.template].ExecuteTemplate(&body, "live", data); err != nil {
		return "", fmt.Errorf("writing a part of the page %s: %w", topic.template, err)
	}
	return body.String(), nil
}

// sendEvent writes one event with some lines of text.
func sendEvent(w http.ResponseWriter, text string) error {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString("data: ")
		b.WriteString(line)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	_, err := fmt.Fprint(w, b.String())
	return err
}
