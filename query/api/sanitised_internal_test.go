package api

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

func TestMarkupBecomesHarmlessHTML(t *testing.T) {
	s := newSanitiser()
	f := func(markup, want string) {
		t.Helper()
		got, ok := s.html(markup)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	f(`<font size="13" color="#ffffffff">Hello <b>you</b></font><br>`, `Hello <b>you</b><br>`)
	f(`<script>alert(1)</script>x<img src="https://evil.example/x.png">`, `x`)
	f(`<a href="javascript:alert(1)">go</a>`, `go`)
	f(`<a href="showinfo:1377//90000001">Bruce</a>`, `Bruce`)
	f(`<p style="background:url(https://evil.example)" onclick="x()">a</p>`, `<p>a</p>`)
	f(`<a href="https://example.org/?a=b">out</a>`, `<a href="https://example.org/?a=b" rel="nofollow noreferrer noopener" target="_blank">out</a>`)
	_, ok := s.html(strings.Repeat("x", maxMarkup+1))
	require.False(t, ok)
}

// FuzzHTMLIsHarmless: whatever the markup, what is left has only what is allowed.
func FuzzHTMLIsHarmless(f *testing.F) {
	for _, seed := range []string{"<b", "<a href=//x>", "<svg/onload=x>", "<a href='http://[::1'>", "<p><!-->", "<math><style><img src=x>", "<a href=\"https://a\" onclick=b>c", "&lt;script&gt;"} {
		f.Add(seed)
	}
	s := newSanitiser()
	f.Fuzz(func(t *testing.T, markup string) {
		clean, ok := s.html(markup)
		if !ok {
			return
		}
		tokens := html.NewTokenizer(strings.NewReader(clean))
		for tokens.Next() != html.ErrorToken {
			token := tokens.Token()
			if token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken {
				continue
			}
			require.Contains(t, []string{"a", "b", "i", "u", "strong", "em", "s", "br", "p", "div", "ul", "ol", "li"}, token.Data)
			for _, a := range token.Attr {
				require.Equal(t, "a", token.Data, "only links have attributes")
				switch a.Key {
				case "href":
					require.True(t, strings.HasPrefix(strings.ToLower(a.Val), "http://") || strings.HasPrefix(strings.ToLower(a.Val), "https://"), "%q", a.Val)
				case "rel":
					require.Contains(t, a.Val, "noopener")
				case "target":
					require.Equal(t, "_blank", a.Val)
				default:
					require.Fail(t, "attribute "+a.Key)
				}
			}
		}
	})
}
