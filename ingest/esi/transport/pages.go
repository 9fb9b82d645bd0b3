package transport

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// maxPages bounds a set of pages; the longest known has about a hundred.
const maxPages = 1000

// Page is one page of a complete reading, as it is kept for the next one.
type Page struct {
	// ETag and LastModified are the header values as sent; they may be empty.
	ETag         string
	LastModified string
	// Body is the page's JSON. For the next reading it is needed only if there
	// is more than one page.
	Body []byte
}

// Request asks for one complete reading of a route.
type Request struct {
	Route     catalogue.Route
	Character int64
	// Prior are the pages of the last complete reading; with them pages that
	// did not change need not be sent again. Leave it empty to get all of them.
	Prior []Page
}

// Answer is one complete and consistent reading.
type Answer struct {
	// NotModified tells that nothing changed since the prior reading, whose
	// pages still hold; Pages is then empty.
	NotModified bool
	// Pages are all pages in order, with their bodies.
	Pages []Page
	// FetchedAt is when the answer was received.
	FetchedAt time.Time
	// ExpiresAt is the earliest moment at which to ask again.
	ExpiresAt time.Time
}

// Get reads all pages of a route as one set. If the set cannot be shown to be of
// one piece it is discarded and a [Failure] of class torn tells when to try
// again. All that the outside world does wrong comes back as a [*Failure]; any
// other error is a trouble of Muster's own or the context's.
func (c *Client) Get(ctx context.Context, request Request) (Answer, error) {
	r := &reading{client: c, route: request.Route, character: request.Character}
	if err := r.authorize(ctx); err != nil {
		return Answer{}, err
	}
	s := set{reading: r, prior: request.Prior}
	first, err := r.page(ctx, 1, s.etag(1))
	if err != nil {
		return Answer{}, err
	}
	count, err := s.count(first)
	if err != nil {
		return Answer{}, err
	}
	s.replies = make([]*reply, count)
	s.replies[0] = first
	if err := s.rest(ctx); err != nil {
		return Answer{}, err
	}
	return s.answer()
}

// set is a set of pages while it is read.
type set struct {
	reading *reading
	prior   []Page
	replies []*reply
}

// etag makes the request for a page conditional. Where there are several pages,
// that only helps if the page's body is still there.
func (s *set) etag(number int) string {
	if number > len(s.prior) {
		return ""
	}
	if len(s.prior) > 1 && s.prior[number-1].Body == nil {
		return ""
	}
	return s.prior[number-1].ETag
}

// count is how many pages the first one announces.
func (s *set) count(first *reply) (int, error) {
	announced := first.header.Get("X-Pages")
	switch {
	case s.reading.route.Paging != catalogue.Pages:
		return 1, nil
	case announced == "" && first.status == http.StatusNotModified:
		return max(1, len(s.prior)), nil
	case announced == "":
		return 1, nil
	}
	count, err := strconv.Atoi(announced)
	if err != nil || count < 0 || count > maxPages {
		return 0, failed(eve.FailureMalformed, first.status, "%s of character %d announces %.20q pages", s.reading.route.Operation, s.reading.character, announced)
	}
	return max(1, count), nil
}

// rest reads the pages after the first, several at once.
func (s *set) rest(ctx context.Context) error {
	if len(s.replies) == 1 {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.reading.client.config.ParallelPages)
	for number := 2; number <= len(s.replies); number++ {
		group.Go(func() error {
			// Each page has a reading of its own, since renewing the login
			// changes it.
			r := *s.reading
			answer, err := r.page(ctx, number, s.etag(number))
			s.replies[number-1] = answer
			return err
		})
	}
	err := group.Wait()
	var failure *Failure
	if errors.As(err, &failure) && failure.Class == eve.FailureNotFound {
		// The page was there when the first one was read.
		return s.torn("page went away while the set was read")
	}
	return err
}

// answer joins the pages if they belong together.
func (s *set) answer() (Answer, error) {
	answer := Answer{FetchedAt: s.reading.client.config.Now().UTC()}
	changed := len(s.replies) != len(s.prior)
	for _, page := range s.replies {
		changed = changed || page.status == http.StatusOK
		if page.expires.After(answer.ExpiresAt) {
			answer.ExpiresAt = page.expires.UTC()
		}
	}
	if !changed {
		answer.NotModified = true
		return answer, nil
	}
	for i, page := range s.replies {
		if why := s.mismatch(page); why != "" {
			return Answer{}, s.torn(why)
		}
		if page.status == http.StatusNotModified {
			if i >= len(s.prior) || (s.prior[i].Body == nil) {
				return Answer{}, s.torn("a page did not change, but its content is not kept")
			}
			answer.Pages = append(answer.Pages, s.prior[i])
			answer.Pages[i].LastModified = page.header.Get("Last-Modified")
			continue
		}
		answer.Pages = append(answer.Pages, Page{
			ETag:         page.header.Get("ETag"),
			LastModified: page.header.Get("Last-Modified"),
			Body:         bytes.TrimSpace(page.body),
		})
	}
	return answer, nil
}

// mismatch tells why a page does not belong to the first one; empty if it does.
// All pages of one reading were made at the same moment, so they have the same
// Last-Modified, and a page without one proves nothing if others have it.
func (s *set) mismatch(page *reply) string {
	first := s.replies[0]
	switch {
	case page.header.Get("Last-Modified") != first.header.Get("Last-Modified"):
		return "pages were made at different moments"
	case page.status == http.StatusNotModified && first.status == http.StatusOK && page.header.Get("Last-Modified") == "",
		page.status == http.StatusOK && first.status == http.StatusNotModified && page.header.Get("Last-Modified") == "":
		return "nothing shows that changed and unchanged pages belong together"
	case page.header.Get("X-Pages") != "" && s.pages(page) != len(s.replies):
		return "pages announce different numbers of pages"
	default:
		return ""
	}
}

func (s *set) pages(page *reply) int {
	count, err := strconv.Atoi(page.header.Get("X-Pages"))
	if err != nil {
		return -1
	}
	return max(1, count)
}

// torn discards the set until all of its pages have expired.
func (s *set) torn(why string) *Failure {
	f := failed(eve.FailureTorn, 0, "%s of character %d: %s; the set is discarded and read again", s.reading.route.Operation, s.reading.character, why)
	for _, page := range s.replies {
		if page != nil && page.expires.After(f.RetryAt) {
			f.RetryAt = page.expires.UTC()
		}
	}
	return f
}
