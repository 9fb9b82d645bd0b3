package api

import (
	"net/url"

	"github.com/microcosm-cc/bluemonday"
)

// maxMarkup bounds the markup that is made HTML, in bytes. ESI's mails have up to
// 10,000 characters.
const maxMarkup = 256 << 10

// sanitiser makes of the game's markup HTML that a page may show. It is safe for
// concurrent use.
type sanitiser struct{ policy *bluemonday.Policy }

// newSanitiser lets plain formatting through, and links to http and https, which open
// apart and tell nobody where they were clicked. There is nothing that loads, runs or
// has a style: no images, no fonts, no attributes but the links' own.
func newSanitiser() sanitiser {
	p := bluemonday.NewPolicy()
	p.AllowElements("b", "i", "u", "strong", "em", "s", "br", "p", "div", "ul", "ol", "li")
	p.AllowAttrs("href").OnElements("a")
	for _, scheme := range []string{"http", "https"} {
		// Without a host, as in "http:x", a browser takes it for a page of this site.
		p.AllowURLSchemeWithCustomPolicy(scheme, func(u *url.URL) bool { return u.Host != "" })
	}
	p.AllowRelativeURLs(false)
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	return sanitiser{p}
}

// html is harmless HTML that says what the markup says; none, and false, for more
// than a page would show.
func (s sanitiser) html(markup string) (string, bool) {
	if len(markup) > maxMarkup {
		return "", false
	}
	return s.policy.Sanitize(markup), true
}
