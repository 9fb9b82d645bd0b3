package web

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed messages/*.yaml
var messageFiles embed.FS

//go:embed templates/*.html
var templateFiles embed.FS

// languageCookie holds the language that somebody has chosen, themeCookie the colours.
const (
	languageCookie = "muster_language"
	themeCookie    = "muster_theme"
)

// languages are the languages that pages speak. They never change while the process runs.
type languages struct {
	matcher language.Matcher
	all     []*tongue
}

// tongue is one language: its texts, how it writes numbers, and the templates in it.
type tongue struct {
	// Code is the language's, such as "en"; Name what it calls itself.
	Code, Name string

	localizer *i18n.Localizer
	templates map[string]*template.Template
	// thousands and decimal are what stands in numbers.
	thousands, decimal string
}

// spoken are the languages with a catalogue; the first is the one that everything is in.
func spoken() []*tongue {
	return []*tongue{
		{Code: "en", Name: "English", thousands: ",", decimal: "."},
		{Code: "de", Name: "Deutsch", thousands: ".", decimal: ","},
	}
}

// newLanguages reads all catalogues and templates. It fails if one of them cannot be read.
func newLanguages(files *assets) (*languages, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("yaml", yaml.Unmarshal)
	names, err := fs.Glob(messageFiles, "messages/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("looking for catalogues of texts: %w", err)
	}
	for _, name := range names {
		if _, err := bundle.LoadMessageFileFS(messageFiles, name); err != nil {
			return nil, fmt.Errorf("reading the catalogue %s: %w", path.Base(name), err)
		}
	}
	l := &languages{all: spoken()}
	var tags []language.Tag
	for _, t := range l.all {
		t.localizer = i18n.NewLocalizer(bundle, t.Code)
		if t.templates, err = parseTemplates(t, files); err != nil {
			return nil, err
		}
		tags = append(tags, language.MustParse(t.Code))
	}
	l.matcher = language.NewMatcher(tags)
	return l, nil
}

// of is the language of a request: what was chosen, else what the browser asks for.
func (l *languages) of(r *http.Request) *tongue {
	if c, err := r.Cookie(languageCookie); err == nil {
		for _, t := range l.all {
			if t.Code == c.Value {
				return t
			}
		}
	}
	_, index := language.MatchStrings(l.matcher, r.Header.Get("Accept-Language"))
	return l.all[index]
}

// T is a text of the catalogue, with what its places stand for: pairs of a name and a value.
// With "Count" it is in the plural that the number needs. A text that is missing is its id:
// a test sees to it that none is.
func (t *tongue) T(id string, pairs ...any) string {
	config := &i18n.LocalizeConfig{MessageID: id}
	if len(pairs) > 0 {
		data := make(map[string]any, len(pairs)/2)
		for i := 0; i+1 < len(pairs); i += 2 {
			name, _ := pairs[i].(string)
			data[name] = pairs[i+1]
			if name == "Count" {
				config.PluralCount = pairs[i+1]
			}
		}
		config.TemplateData = data
	}
	text, err := t.localizer.Localize(config)
	if err != nil {
		return id
	}
	return text
}

// Word is the text of a value that comes from outside, such as a status: from the catalogue
// if it has "word.<value>", else the value itself with spaces for underscores.
func (t *tongue) Word(value string) string {
	if value == "" {
		return ""
	}
	id := "word." + strings.ToLower(value)
	if text, err := t.localizer.Localize(&i18n.LocalizeConfig{MessageID: id}); err == nil {
		return text
	}
	return strings.ReplaceAll(value, "_", " ")
}

// parseTemplates reads each page together with what all of them share. Files whose names
// begin with an underscore are shared.
func parseTemplates(t *tongue, files *assets) (map[string]*template.Template, error) {
	shared := template.New("").Option("missingkey=zero").Funcs(template.FuncMap{
		"t": t.T, "word": t.Word, "asset": files.link,
		"isk": t.ISK, "number": t.Number, "time": t.Time, "day": t.Day, "percent": t.Percent,
		"dict": dict, "now": time.Now,
	})
	shared, err := shared.ParseFS(templateFiles, "templates/_*.html")
	if err != nil {
		return nil, fmt.Errorf("reading what templates share: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/[a-z]*.html")
	if err != nil {
		return nil, fmt.Errorf("looking for templates: %w", err)
	}
	parsed := make(map[string]*template.Template, len(names))
	for _, name := range names {
		one, err := shared.Clone()
		if err != nil {
			return nil, fmt.Errorf("reading the template %s: %w", name, err)
		}
		if one, err = one.ParseFS(templateFiles, name); err != nil {
			return nil, fmt.Errorf("reading the template %s: %w", name, err)
		}
		parsed[strings.TrimSuffix(path.Base(name), ".html")] = one
	}
	return parsed, nil
}

// dict makes a map of pairs, to hand several things to a template.
func dict(pairs ...any) map[string]any {
	made := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			made[name] = pairs[i+1]
		}
	}
	return made
}
