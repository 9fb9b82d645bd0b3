package web

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// flat are the ids of a catalogue with their texts.
func flat(t *testing.T, prefix string, value any, into map[string]string) {
	t.Helper()
	switch v := value.(type) {
	case string:
		_, twice := into[prefix]
		require.False(t, twice, "%s is in two files", prefix)
		into[prefix] = v
	case map[string]any:
		if _, plural := v["other"]; plural {
			into[prefix] = "plural"
			return
		}
		for name, inner := range v {
			require.NotContains(t, []string{"id", "description", "hash", "leftdelim", "rightdelim", "zero", "one", "two", "few", "many"}, name, "%s: this name means something else in catalogues", prefix)
			id := name
			if prefix != "" {
				id = prefix + "." + name
			}
			flat(t, id, inner, into)
		}
	default:
		t.Fatalf("%s is no text: write it in quotes", prefix)
	}
}

// catalogue are all texts of a language.
func catalogue(t *testing.T, code string) map[string]string {
	t.Helper()
	names, err := fs.Glob(messageFiles, "messages/*."+code+".yaml")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	all := map[string]string{}
	for _, name := range names {
		b, err := messageFiles.ReadFile(name)
		require.NoError(t, err)
		var tree map[string]any
		require.NoError(t, yaml.Unmarshal(b, &tree), name)
		flat(t, "", tree, all)
	}
	return all
}

func TestEveryLanguageHasEveryText(t *testing.T) {
	english := catalogue(t, "en")
	places := regexp.MustCompile(`{{\.(\w+)}}`)
	for _, tongue := range spoken()[1:] {
		other := catalogue(t, tongue.Code)
		for id, text := range english {
			_, ok := other[id]
			require.True(t, ok, "%s lacks %s", tongue.Name, id)
			wanted, got := places.FindAllString(text, -1), places.FindAllString(other[id], -1)
			slices.Sort(wanted)
			slices.Sort(got)
			require.Equal(t, wanted, got, "%s in %s", id, tongue.Name)
		}
		for id := range other {
			_, ok := english[id]
			require.True(t, ok, "%s alone has %s", tongue.Name, id)
		}
	}
}

func TestEveryTextThatIsNamedIsInTheCatalogue(t *testing.T) {
	texts := catalogue(t, "en")
	uses := map[*regexp.Regexp]string{
		regexp.MustCompile(`\bt "([a-z][^"]*)"`):                 "",
		regexp.MustCompile(`\.T\("([a-z][^"]*[^."-])"[,)]`):      "",
		regexp.MustCompile(`column\{Name: "([a-z_]+)"`):          "column.",
		regexp.MustCompile(`{Name: "([a-z_]+)", (?:Field|Cell)`): "column.",
		regexp.MustCompile(`{"(nav\.[a-z-]+)", "/`):              "",
		regexp.MustCompile(`{Name: "([a-z_]+)"(?:, (?:Kind: "(?:text|number|search|date|month|datetime|time)"|Options:|Wide:))`): "filter.",
		regexp.MustCompile(`filter{{?Name: "([a-z_]+)"`):   "filter.",
		regexp.MustCompile(`list{\s*ID: "([a-z-]*[a-z])"`): "list.",
	}
	seen := 0
	check := func(name, source string) {
		for use, prefix := range uses {
			for _, found := range use.FindAllStringSubmatch(source, -1) {
				_, ok := texts[prefix+found[1]]
				require.True(t, ok, "%s names %s", name, prefix+found[1])
				seen++
			}
		}
	}
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		check(name, string(b))
	}
	for name, source := range templateSources(t) {
		check(name, source)
	}
	require.Greater(t, seen, 100, "the patterns find what is named")
}

func templateSources(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(templateFiles, "templates/*.html")
	require.NoError(t, err)
	sources := map[string]string{}
	for _, name := range names {
		b, err := templateFiles.ReadFile(name)
		require.NoError(t, err)
		sources[name] = string(b)
	}
	return sources
}

// What is between tags comes from the catalogue, and nothing that the policy about contents
// forbids is in a template.
func TestTemplatesHaveNoTextsAndNothingInline(t *testing.T) {
	actions := regexp.MustCompile(`(?s){{.*?}}`)
	word := regexp.MustCompile(`\p{L}{2,}`)
	for name, source := range templateSources(t) {
		z := html.NewTokenizer(strings.NewReader(actions.ReplaceAllString(source, " ")))
		code := 0
		for z.Next() != html.ErrorToken {
			token := z.Token()
			switch token.Type {
			case html.StartTagToken, html.SelfClosingTagToken:
				if token.Data == "code" {
					code++
				}
				for _, a := range token.Attr {
					require.NotEqual(t, "style", a.Key, "%s has an inline style", name)
					require.False(t, strings.HasPrefix(a.Key, "on"), "%s has an inline script: %s", name, a.Key)
					if slices.Contains([]string{"title", "aria-label", "placeholder", "alt"}, a.Key) {
						require.False(t, word.MatchString(a.Val), "%s: %s=%q is no text of the catalogue", name, a.Key, a.Val)
					}
				}
			case html.EndTagToken:
				if token.Data == "code" {
					code--
				}
			case html.TextToken:
				for _, found := range word.FindAllString(token.Data, -1) {
					require.True(t, code > 0 || slices.Contains([]string{"Muster", "ISK"}, found), "%s says %q, which is no text of the catalogue", name, found)
				}
			default:
			}
		}
	}
}
