// Command gen writes the route catalogue from ESI's OpenAPI document. It is run
// by go generate when the document changes; its output is committed.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// operation is one that is wanted, with what the document says of it.
type operation struct {
	// Func and Path say which one is meant; Method is GET if it is empty.
	Func, Method, Path string

	// What the document does not say. TTL and Daily are for routes of which it
	// names no lifetime.
	TTL, Daily, CallsPer time.Duration
	Calls                int
	CallsShared          bool
	List                 bool

	ID, Summary, Group, CacheMode, Paging, Since string
	Scopes, Query                                []string
	MaxTokens                                    int
	Window                                       time.Duration
}

// document is what is read of the OpenAPI document.
type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]struct {
		Get  *specOperation `json:"get"`
		Post *specOperation `json:"post"`
	} `json:"paths"`
	Components struct {
		Schemas    map[string]specSchema `json:"schemas"`
		Parameters struct {
			CompatibilityDate struct {
				Schema struct {
					Enum []string `json:"enum"`
				} `json:"schema"`
			} `json:"CompatibilityDate"`
		} `json:"parameters"`
	} `json:"components"`
}

type specOperation struct {
	OperationID string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Security    []map[string][]string `json:"security"`
	Since       string                `json:"x-compatibility-date"`
	TTL         int                   `json:"x-client-cache-ttl"`
	CacheMode   string                `json:"x-server-cache-mode"`
	RateLimit   *struct {
		Group     string `json:"group"`
		MaxTokens int    `json:"max-tokens"`
		Window    string `json:"window-size"`
	} `json:"x-rate-limit"`
	Pagination string `json:"x-pagination"`
	Parameters []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"parameters"`
	Responses map[string]struct {
		Headers map[string]json.RawMessage `json:"headers"`
		Content map[string]struct {
			Schema specSchema `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

// specSchema says what an answer is, or which schema of the document does.
type specSchema struct {
	Type string `json:"type"`
	Ref  string `json:"$ref"`
}

// answersList tells whether a good answer is a list.
func (d document) answersList(spec *specOperation) bool {
	schema := spec.Responses["200"].Content["application/json"].Schema
	if name, refers := strings.CutPrefix(schema.Ref, "#/components/schemas/"); refers {
		schema = d.Components.Schemas[name]
	}
	return schema.Type == "array"
}

//go:embed routes.go.tmpl
var source string

func main() {
	spec := flag.String("spec", "", "ESI's OpenAPI document; default: the one in MUSTER_SHARED_DIR, or in ../shared beside the repository")
	out := flag.String("out", "routes_gen.go", "file to write")
	flag.Parse()
	if err := run(*spec, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(spec, out string) error {
	if spec == "" {
		shared := os.Getenv("MUSTER_SHARED_DIR")
		if shared == "" {
			// go generate runs in the folder of the package.
			shared = filepath.Join("..", "..", "..", "..", "shared")
		}
		spec = filepath.Join(shared, "data", "esi", "openapi-2026-08-04.json")
	}
	data, err := os.ReadFile(spec)
	if err != nil {
		return fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	code, err := Generate(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", spec, err)
	}
	if err := os.WriteFile(out, code, 0o644); err != nil { //nolint:gosec // Source code is readable.
		return fmt.Errorf("writing the catalogue: %w", err)
	}
	return nil
}

// Generate is the catalogue's source for an OpenAPI document.
func Generate(spec []byte) ([]byte, error) {
	var doc document
	if err := json.Unmarshal(spec, &doc); err != nil {
		return nil, fmt.Errorf("not an OpenAPI document: %w", err)
	}
	dates := doc.Components.Parameters.CompatibilityDate.Schema.Enum
	if len(dates) == 0 {
		return nil, errors.New("the document names no compatibility date")
	}
	operations, err := read(doc)
	if err != nil {
		return nil, err
	}
	t, err := template.New("routes").Funcs(template.FuncMap{"duration": expression}).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	var code bytes.Buffer
	if err := t.Execute(&code, map[string]any{"Date": dates[0], "Operations": operations}); err != nil {
		return nil, fmt.Errorf("filling the template: %w", err)
	}
	formatted, err := format.Source(code.Bytes())
	if err != nil {
		return nil, fmt.Errorf("formatting: %w", err)
	}
	return formatted, nil
}

// read is what the document says of all operations that are wanted.
func read(doc document) ([]operation, error) {
	var operations []operation
	for _, o := range wanted() {
		if err := o.fill(doc); err != nil {
			return nil, err
		}
		operations = append(operations, o)
	}
	return operations, nil
}

func (o *operation) fill(doc document) error {
	spec := doc.Paths[o.Path].Get
	if o.Method == http.MethodPost {
		spec = doc.Paths[o.Path].Post
	} else {
		o.Method = http.MethodGet
	}
	if spec == nil {
		return fmt.Errorf("%s %s is not in the document", o.Method, o.Path)
	}
	o.ID, o.Summary, o.Since = spec.OperationID, strings.ToLower(spec.Summary), spec.Since
	o.CacheMode = map[string]string{
		"event-based": "EventBased",
		"not-cached":  "NotCached",
		"no-cache":    "NotCached",
	}[spec.CacheMode]
	switch {
	case o.CacheMode != "":
	case o.Method == http.MethodPost && spec.CacheMode == "":
		o.CacheMode = "NotCached"
	default:
		// Unknown modes are treated as the strictest for the client.
		o.CacheMode = "TTLBased"
	}
	if err := o.fillLifetime(spec); err != nil {
		return err
	}
	for _, requirement := range spec.Security {
		for _, scopes := range requirement {
			o.Scopes = append(o.Scopes, scopes...)
		}
	}
	if limit := spec.RateLimit; limit != nil {
		window, err := time.ParseDuration(limit.Window)
		if err != nil {
			return fmt.Errorf("%s %s: window of its rate limit: %w", o.Method, o.Path, err)
		}
		o.Group, o.MaxTokens, o.Window = limit.Group, limit.MaxTokens, window
	}
	o.List = doc.answersList(spec)
	return o.fillQuery(spec)
}

// fillLifetime takes the document's lifetime, and what is known beside it only
// where it has none.
func (o *operation) fillLifetime(spec *specOperation) error {
	switch known := o.TTL > 0 || o.Daily > 0; {
	case spec.TTL > 0 && known:
		return fmt.Errorf("%s %s: the document names a lifetime now; take ours from the list", o.Method, o.Path)
	case spec.TTL > 0:
		o.TTL = time.Duration(spec.TTL) * time.Second
	case !known && o.CacheMode != "NotCached":
		return fmt.Errorf("%s %s: the document names no lifetime; the list must", o.Method, o.Path)
	}
	return nil
}

// fillQuery tells how the operation is paged, and what else can be asked.
func (o *operation) fillQuery(spec *specOperation) error {
	o.Paging = "Single"
	_, numbered := spec.Responses["200"].Headers["X-Pages"]
	switch {
	case numbered:
		o.Paging = "Pages"
	case spec.Pagination == "cursor":
		o.Paging = "Cursor"
	case spec.Pagination != "":
		return fmt.Errorf("%s %s: unknown paging %q", o.Method, o.Path, spec.Pagination)
	}
	for _, p := range spec.Parameters {
		legacy := map[string]string{"from_id": "FromID", "last_mail_id": "LastMailID", "from_event": "FromEvent"}[p.Name]
		switch {
		case p.In != "query":
		case legacy != "":
			o.Paging = legacy
		case o.Paging == "Pages" && p.Name == "page":
		case o.Paging == "Cursor" && (p.Name == "after" || p.Name == "before" || p.Name == "limit"):
		default:
			o.Query = append(o.Query, p.Name)
		}
	}
	return nil
}

// expression writes a duration as Go does in source.
func expression(d time.Duration) string { return fmt.Sprintf("%.0f * time.Second", d.Seconds()) }
