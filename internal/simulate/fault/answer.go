package fault

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Defaults of faults that leave them open.
const (
	defaultStatus    = http.StatusBadGateway
	defaultSlow      = 2 * time.Second
	defaultHang      = time.Minute
	retryAfterSecond = 5
)

// page is what a load balancer shows to people.
const page = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n" +
	"<body><h1>Bad Gateway</h1><p>The server is &quot;resting&quot;.</p></body></html>\n"

// StatusOr is the status of a server error.
func (f Fault) StatusOr() int {
	if f.Status == 0 {
		return defaultStatus
	}
	return f.Status
}

// Wait holds the request back as a slow fault says. It returns early when the
// client is gone.
func (f Fault) Wait(r *http.Request) {
	pause(r, time.Duration(f.Delay), defaultSlow)
}

// Break carries out the faults that end a connection without a whole answer;
// it does not return. Hang waits first, until the client is gone.
func (f Fault) Break(r *http.Request) {
	if f.Kind == Hang {
		pause(r, time.Duration(f.Delay), defaultHang)
	}
	panic(http.ErrAbortHandler)
}

func pause(r *http.Request, d, otherwise time.Duration) {
	if d == 0 {
		d = otherwise
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// WriteHTML answers with a page for people where JSON was asked for.
func WriteHTML(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page))
}

// WriteHalf sends the first half of a JSON body as if it were whole. What it
// sends is never valid JSON: half of a number would be a number, and no client
// could tell.
func WriteHalf(w http.ResponseWriter, body []byte) {
	half := bytes.Clone(body[:len(body)/2])
	if json.Valid(half) {
		half = append(half, 'e')
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(half)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(half)
}

// WriteCutOff announces the whole body, sends half of it and closes the
// connection; it does not return.
func WriteCutOff(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// RetryAfter is the header that a rate-limited or absent service sends.
func RetryAfter(h http.Header) { h.Set("Retry-After", strconv.Itoa(retryAfterSecond)) }
