package api

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMarkupIsReadAsPlainText(t *testing.T) {
	for markup, want := range map[string]string{
		"":      "",
		"Scout": "Scout",
		`<color=0xFF00FF00>Director</color> <b>of</b> Ops`:                              "Director of Ops",
		`<font size="12">Form up.<br>Bring <a href="showinfo:587">a Rifter</a>.</font>`: "Form up.\nBring a Rifter.",
		`See <url=https://example.com/?a=1&b=2>the list</url>`:                          "See the list",
		`a &lt;b&gt; &amp; c`:                              "a <b> & c",
		`<script>alert(1)</script>hello<style>p{}</style>`: "hello",
		`<img src=x onerror=alert(1)>hello`:                "hello",
		`<p>one</p><p>two</p>`:                             "one\ntwo",
		`5 < 7 and 7 > 5`:                                  "5 < 7 and 7 > 5",
		`cut <b off`:                                       "cut",
		`Röda<!-- hidden --> ✉`:                            "Röda ✉",
	} {
		require.Equal(t, want, plainText(markup), markup)
	}
}

func FuzzPlainText(f *testing.F) {
	for _, seed := range []string{"<b>x</b>", "<script>a", "&lt;", "<br><br>", "<!--", "a<", "\x00<\xff>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, markup string) {
		plain := plainText(markup)
		if !strings.ContainsAny(markup, "<&") {
			require.Equal(t, markup, plain)
		}
		if !strings.Contains(markup, "&") {
			require.LessOrEqual(t, strings.Count(plain, "<"), strings.Count(markup, "<"), "nothing becomes a tag that was none")
		}
	})
}
