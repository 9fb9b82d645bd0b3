package api

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// plainText is the text of the game's markup, as in titles, biographies and mails:
// without tags and comments, with lines where the markup breaks them. What people
// put in between the tags of scripts and styles is left out with them. The result
// may hold any character, < and & among them: it is text and no HTML.
func plainText(markup string) string {
	if !strings.ContainsAny(markup, "<&") {
		return markup
	}
	var out strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(markup))
	hidden := atom.Atom(0)
	for {
		switch tokens.Next() { //nolint:exhaustive // comments and document types say nothing
		case html.ErrorToken:
			// Only the end: a text cannot fail to be read.
			return strings.TrimSpace(out.String())
		case html.TextToken:
			if hidden == 0 {
				out.WriteString(tokens.Token().Data)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			switch tag := tokens.Token(); tag.DataAtom {
			case atom.Br, atom.P, atom.Div, atom.Li:
				if out.Len() > 0 && tag.DataAtom == atom.Br || out.Len() > 0 && !strings.HasSuffix(out.String(), "\n") {
					out.WriteByte('\n')
				}
			case atom.Script, atom.Style:
				if tag.Type == html.StartTagToken {
					hidden = tag.DataAtom
				}
			}
		case html.EndTagToken:
			if tokens.Token().DataAtom == hidden {
				hidden = 0
			}
		}
	}
}
