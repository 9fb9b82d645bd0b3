package transport

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/bytedance/sonic"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// WalkRequest asks for a list that is paged by the ids of its records. Its first page
// is conditional, and those further ones that have the same address as the last time:
// the addresses change with what is new.
type WalkRequest struct {
	Request

	// ID is the field of a record that pages go by.
	ID string
	// Max is how many records are enough, rounded up to whole pages; 0 is all.
	Max int
	// Known tells which records need not be read again, and with them all that
	// follow; nil for none.
	Known func(id int64) bool
	// Full has the whole list walked though the first page is as it was. It
	// needs the first page's body in Prior.
	Full bool
}

// walkPage is how many records a page of mails or of the calendar holds; fewer are
// the last.
const walkPage = 50

// Walk reads a list page by page, the newest records first (of a calendar the
// next), until there are no more, enough, or only known ones. The pages of the
// answer are as they came: a record may be on two of them, since ESI does not say
// whether the record that a page is asked to start from comes again. It is
// NotModified if the first page is. Errors are as of [Client.Get].
func (c *Client) Walk(ctx context.Context, w WalkRequest) (Answer, error) {
	r, err := c.begin(ctx, w.Request)
	if err != nil {
		return Answer{}, err
	}
	s := set{reading: r, prior: w.Prior, complete: min(1, w.Complete)}
	first, err := r.page(ctx, nil, s.etag(1))
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{FetchedAt: c.config.Now().UTC(), ExpiresAt: first.expires.UTC()}
	s.replies = []*reply{first}
	page, there := s.content(0)
	if first.status == http.StatusNotModified && (s.complete == 1 && !w.Full || !there) {
		answer.NotModified = true
		return answer, nil
	}
	answer.Pages = []Page{page}
	last := walker{WalkRequest: w, seen: map[int64]bool{}}
	for {
		next, more, err := last.after(answer.Pages[len(answer.Pages)-1].Body)
		if err != nil {
			f := r.malformed(nil, &http.Response{StatusCode: http.StatusOK}, answer.Pages[len(answer.Pages)-1].Body, err.Error())
			f.RetryAt = answer.ExpiresAt
			return Answer{}, f
		}
		if !more || len(answer.Pages) >= maxPages {
			return answer, nil
		}
		kept := w.keptAt(len(answer.Pages), next)
		reply, err := r.page(ctx, next, kept.ETag)
		if err != nil {
			return Answer{}, keepFirst(err, answer)
		}
		if reply.status != http.StatusNotModified {
			kept = Page{ETag: reply.header.Get("ETag"), LastModified: reply.header.Get("Last-Modified"), Body: bytes.TrimSpace(reply.body)}
		}
		answer.Pages = append(answer.Pages, kept)
		answer.FetchedAt = c.config.Now().UTC()
	}
}

// keptAt is what is kept of a page after the first, if it was asked for by the same
// parameters; else nothing.
func (w WalkRequest) keptAt(i int, parameters url.Values) Page {
	if i >= len(w.Prior) || w.Prior[i].ETag == "" || w.Prior[i].Body == nil || w.Prior[i-1].Body == nil {
		return Page{}
	}
	before := walker{WalkRequest: WalkRequest{Request: Request{Route: w.Route}, ID: w.ID}, seen: map[int64]bool{}}
	then, _, err := before.after(w.Prior[i-1].Body)
	if err != nil || then.Encode() != parameters.Encode() {
		return Page{}
	}
	return w.Prior[i]
}

// keepFirst has a walk that failed keep its first page, and not be repeated
// before that expires.
func keepFirst(err error, answer Answer) error {
	f, ok := err.(*Failure) //nolint:errorlint // page returns its own failures bare
	if !ok {
		return err
	}
	f.Kept = answer.Pages[:1]
	if answer.ExpiresAt.After(f.RetryAt) {
		f.RetryAt = answer.ExpiresAt
	}
	return f
}

// walker says where a walk goes on.
type walker struct {
	WalkRequest

	seen map[int64]bool
}

// walked is what a walk needs to know of a record: whichever id its list goes by.
type walked struct {
	TransactionID int64 `json:"transaction_id"`
	MailID        int64 `json:"mail_id"`
	EventID       int64 `json:"event_id"`
}

// id is the one of a field; 0 if there is none.
func (w walked) id(field string) int64 {
	switch field {
	case "transaction_id":
		return w.TransactionID
	case "mail_id":
		return w.MailID
	case "event_id":
		return w.EventID
	default:
		return 0
	}
}

// decodeWalked reads a page, whose JSON is known to be valid.
func decodeWalked(body []byte) ([]walked, error) {
	var records []walked
	if err := sonic.ConfigStd.Unmarshal(body, &records); err != nil {
		return nil, err //nolint:wrapcheck // The caller says what was read.
	}
	return records, nil
}

// after are the parameters of the page that follows one; false if none does.
func (w *walker) after(body []byte) (url.Values, bool, error) {
	records, err := decodeWalked(body)
	if err != nil {
		return nil, false, failed(eve.FailureMalformed, http.StatusOK, "must be a list of records: %w", err)
	}
	var last int64
	fresh, known := false, false
	for _, record := range records {
		id := record.id(w.ID)
		if id == 0 {
			return nil, false, failed(eve.FailureMalformed, http.StatusOK, "a record lacks %s", w.ID)
		}
		if !w.seen[id] {
			w.seen[id], fresh = true, true
		}
		further := id < last
		if w.Route.Paging == catalogue.FromEvent {
			further = true
		}
		if last == 0 || further {
			last = id
		}
	}
	if w.Known != nil && last != 0 {
		known = w.Known(last)
	}
	short := w.Route.Paging != catalogue.FromID && len(records) < walkPage
	if !fresh || known || short || w.Max > 0 && len(w.seen) >= w.Max {
		return nil, false, nil
	}
	parameter := map[catalogue.Paging]string{catalogue.FromID: "from_id", catalogue.LastMailID: "last_mail_id", catalogue.FromEvent: "from_event"}[w.Route.Paging]
	return url.Values{parameter: {strconv.FormatInt(last, 10)}}, true, nil
}
