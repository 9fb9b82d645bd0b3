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

// WalkRequest asks for a list that is paged by the ids of its records. A page is
// conditional if one of Prior was asked from the same id and has its body: with what
// is new the ids that pages begin at change.
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
		came := len(answer.Pages) - 1
		next, err := last.after(answer.Pages[came].Body)
		if err != nil {
			f := r.malformed(nil, &http.Response{StatusCode: http.StatusOK}, answer.Pages[came].Body, err.Error())
			return Answer{}, keepWalked(f, answer, answer.Pages[:came])
		}
		if next == 0 || len(answer.Pages) >= maxPages {
			return answer, nil
		}
		page, err := last.page(ctx, r, next)
		if err != nil {
			return Answer{}, keepWalked(err, answer, answer.Pages)
		}
		answer.Pages = append(answer.Pages, page)
		answer.FetchedAt = c.config.Now().UTC()
	}
}

// keepWalked has a walk that failed keep the pages that came, and not be repeated
// before the first one expires.
func keepWalked(err error, answer Answer, came []Page) error {
	f, ok := err.(*Failure) //nolint:errorlint // page returns its own failures bare
	if !ok {
		return err
	}
	if len(came) > 0 {
		f.Kept = came
	}
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

// page asks for the page that goes on from an id.
func (w *walker) page(ctx context.Context, r *reading, from int64) (Page, error) {
	parameter := map[catalogue.Paging]string{catalogue.FromID: "from_id", catalogue.LastMailID: "last_mail_id", catalogue.FromEvent: "from_event"}[w.Route.Paging]
	var prior Page
	for _, p := range w.Prior {
		if p.From == from && p.Body != nil {
			prior = p
		}
	}
	answer, err := r.page(ctx, url.Values{parameter: {strconv.FormatInt(from, 10)}}, prior.ETag)
	if err != nil {
		return Page{}, err
	}
	if answer.status == http.StatusNotModified {
		return prior, nil
	}
	return Page{ETag: answer.header.Get("ETag"), LastModified: answer.header.Get("Last-Modified"), Body: bytes.TrimSpace(answer.body), From: from}, nil
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

// after is the id from which the page goes on that follows one; 0 if none does.
func (w *walker) after(body []byte) (int64, error) {
	records, err := decodeWalked(body)
	if err != nil {
		return 0, failed(eve.FailureMalformed, http.StatusOK, "must be a list of records: %w", err)
	}
	var last int64
	fresh, known := false, false
	for _, record := range records {
		id := record.id(w.ID)
		if id == 0 {
			return 0, failed(eve.FailureMalformed, http.StatusOK, "a record lacks %s", w.ID)
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
		return 0, nil
	}
	return last, nil
}
