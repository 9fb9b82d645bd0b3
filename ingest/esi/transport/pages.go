package transport

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
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
	// From is the id that a page of a walk was asked to go on from; 0 for its first
	// page, and for pages of other kinds.
	From int64
}

// Request asks for one complete reading of a route.
type Request struct {
	Route catalogue.Route
	// Character is whose login is used, and whose data are asked for.
	Character int64
	// Params fill the path's parameters other than the character.
	Params map[string]string
	// Query are parameters other than those of the paging.
	Query url.Values
	// Body is that of a POST, JSON.
	Body []byte
	// Prior are pages that came before; with them pages that did not change need
	// not be sent again. Leave it empty to get all of them.
	Prior []Page
	// Complete is how many of Prior are the last reading that was taken over. It
	// is 0 if they are what was kept of one that failed.
	Complete int
}

// Answer is one complete and consistent reading.
type Answer struct {
	// NotModified tells that nothing changed since the prior reading, which was
	// complete and whose pages still hold; Pages is then empty.
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
	r, err := c.begin(ctx, request)
	if err != nil {
		return Answer{}, err
	}
	s := set{reading: r, prior: request.Prior, complete: request.Complete}
	first, err := r.page(ctx, numbered(request.Route, 1), s.etag(1))
	if err != nil {
		return Answer{}, err
	}
	count, err := s.count(first)
	if err != nil {
		return Answer{}, err
	}
	s.replies = make([]*reply, count)
	s.replies[0] = first
	err = s.tooLate()
	if err == nil {
		err = s.rest(ctx)
	}
	var answer Answer
	if err == nil {
		answer, err = s.answer()
	}
	var failure *Failure
	if count > 1 && errors.As(err, &failure) {
		s.keep(failure)
	}
	return answer, err
}

// begin resolves a request and gets the login that it needs.
func (c *Client) begin(ctx context.Context, request Request) (*reading, error) {
	path, err := request.Route.Resolve(request.Character, request.Params)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "asking ESI: %w", err)
	}
	r := &reading{client: c, route: request.Route, character: request.Character, resolved: path, query: request.Query, body: request.Body}
	if err := r.authorize(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// numbered are the query parameters of a numbered page; none for a route without.
func numbered(route catalogue.Route, number int) url.Values {
	if route.Paging != catalogue.Pages {
		return nil
	}
	return url.Values{"page": {strconv.Itoa(number)}}
}

// set is a set of pages while it is read.
type set struct {
	reading  *reading
	prior    []Page
	complete int
	replies  []*reply
	// unannounced tells that the number of pages is not known, where there were
	// several before.
	unannounced bool
	// unproven tells that no 304 shows which pages belong together.
	unproven bool
}

// etag makes the request for a page conditional. But for a single page that was
// taken over, that only helps if the page's body is still there.
func (s *set) etag(number int) string {
	if number > len(s.prior) {
		return ""
	}
	if s.complete != 1 && s.prior[number-1].Body == nil {
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
	case announced == "" && first.status == http.StatusNotModified && s.complete == 0:
		// What is kept is of a set that failed; it has a place for every page.
		return max(1, len(s.prior)), nil
	case announced == "" && first.status == http.StatusNotModified:
		return s.complete, nil
	case announced == "" && s.complete > 1:
		// ESI has left the header out before. That all further pages are gone is
		// believed only if the second one is.
		s.unannounced = true
		return 2, nil
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
	if err := s.room(); err != nil {
		return err
	}
	// When a page fails no other is begun, but those on their way are paid for
	// and worth keeping.
	var group errgroup.Group
	var gaveUp atomic.Bool
	group.SetLimit(s.reading.client.config.ParallelPages)
	for number := 2; number <= len(s.replies); number++ {
		group.Go(func() error {
			if gaveUp.Load() {
				return nil
			}
			// Each page has a reading of its own, since renewing the login
			// changes it.
			r := *s.reading
			answer, err := r.page(ctx, numbered(r.route, number), s.etag(number))
			if err != nil {
				gaveUp.Store(true)
			}
			s.replies[number-1] = answer
			return err
		})
	}
	err := group.Wait()
	var failure *Failure
	gone := errors.As(err, &failure) && failure.Class == eve.FailureNotFound
	switch {
	case gone && s.unannounced:
		s.replies = s.replies[:1]
		return nil
	case err == nil && s.unannounced:
		return s.torn("the first page does not say how many there are, but there is more than one")
	case gone:
		// The page was there when the first one was read.
		return s.torn("page went away while the set was read")
	}
	return err
}

// tooLate holds a set back whose first page is about to be made anew: the others
// would be of another making. A moment after that the whole of it is asked for.
func (s *set) tooLate() error {
	if len(s.replies) == 1 || !s.replies[0].nearEnd {
		return nil
	}
	r := s.reading
	r.client.metrics.deferred.WithLabelValues("near_end").Inc()
	return deferred(s.expires(), "the first of %d pages of %s of character %d is about to be made anew", len(s.replies), r.route.Operation, r.character)
}

// room makes sure that a set is not begun that the bucket cannot see through:
// half a set is worth nothing.
func (s *set) room() error {
	c, r := s.reading.client, s.reading
	group := c.group(r.route)
	if group == "" {
		return nil
	}
	owner := r.bucketOwner()
	p, mine := c.payer(owner)
	if !mine {
		return r.notMine()
	}
	until, ever := c.ledger.room(bucketKey{group: group, character: owner}, len(s.replies)-1, c.config.ParallelPages, p)
	switch {
	case !ever:
		return failed(eve.FailureRateLimited, 0, "%s of character %d has %d pages, more than rate group %s can ever pay for", r.route.Operation, r.character, len(s.replies), group)
	case until.After(c.config.Now()):
		c.metrics.deferred.WithLabelValues("bucket").Inc()
		return deferred(until, "rate group %s of character %d cannot pay for %d pages until %s", group, r.character, len(s.replies), until.UTC().Format(time.TimeOnly))
	default:
		return nil
	}
}

// answer joins the pages if they belong together.
func (s *set) answer() (Answer, error) {
	answer := Answer{FetchedAt: s.reading.client.config.Now().UTC(), ExpiresAt: s.expires()}
	if s.unchanged() && len(s.replies) == s.complete {
		answer.NotModified = true
		return answer, nil
	}
	for i, page := range s.replies {
		if why := s.mismatch(i); why != "" {
			s.unproven = page.status != s.replies[0].status && (s.modified(i) == "" || s.modified(0) == "")
			return Answer{}, s.torn(why)
		}
		content, ok := s.content(i)
		if !ok {
			s.unproven = true
			return Answer{}, s.torn("a page did not change, but its content is not kept")
		}
		if page.status == http.StatusNotModified {
			content.LastModified = s.modified(i)
		}
		answer.Pages = append(answer.Pages, content)
	}
	return answer, nil
}

// expires is when the last of the pages that came expires.
func (s *set) expires() time.Time {
	var last time.Time
	for _, page := range s.replies {
		if page != nil && page.expires.After(last) {
			last = page.expires.UTC()
		}
	}
	return last
}

// unchanged tells whether every page was answered with 304.
func (s *set) unchanged() bool {
	for _, page := range s.replies {
		if page.status != http.StatusNotModified {
			return false
		}
	}
	return true
}

// content is a page with its body, which of an unchanged page is the one that
// was kept; false if it was not kept.
func (s *set) content(i int) (Page, bool) {
	page := s.replies[i]
	switch {
	case page == nil:
		return Page{}, false
	case page.status != http.StatusNotModified:
		return Page{ETag: page.header.Get("ETag"), LastModified: page.header.Get("Last-Modified"), Body: bytes.TrimSpace(page.body)}, true
	case i < len(s.prior) && s.prior[i].Body != nil:
		return s.prior[i], true
	default:
		return Page{}, false
	}
}

// keep has a failed reading remember the pages that did come, and not be
// repeated before they expire. Where it was conditional requests that made the set
// worthless, nothing is remembered, so that the next ones are not.
func (s *set) keep(f *Failure) {
	f.Kept = make([]Page, len(s.replies))
	for i := range s.replies {
		page, came := s.content(i)
		switch {
		case s.unproven:
		case came:
			f.Kept[i] = page
		case i < len(s.prior):
			f.Kept[i] = s.prior[i]
		}
	}
	if expires := s.expires(); expires.After(f.RetryAt) {
		f.RetryAt = expires
	}
}

// modified is when a page was made. A 304 may leave it out; then what was said
// of the kept page holds, provided that no page of the set is newer.
func (s *set) modified(i int) string {
	said := s.replies[i].header.Get("Last-Modified")
	if said == "" && i < len(s.prior) && s.unchanged() {
		return s.prior[i].LastModified
	}
	return said
}

// mismatch tells why a page does not belong to the first one; empty if it does.
// All pages of one reading were made at the same moment, so they have the same
// Last-Modified, and a page without one proves nothing if others have it.
func (s *set) mismatch(i int) string {
	first, page := s.replies[0], s.replies[i]
	switch {
	case s.modified(i) != s.modified(0):
		return "pages were made at different moments"
	case page.status != first.status && s.modified(i) == "":
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
	f.RetryAt = s.expires()
	return f
}
