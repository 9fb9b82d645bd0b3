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
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// wanted lists the operations that Muster uses, in the order of the output, with
// the names of the functions that return them. Every path must have its
// character as the only parameter.
func wanted() []operation {
	return []operation{
		{Func: "CharacterDetails", Path: "/characters/{character_id}"},
		{Func: "CharacterLocation", Path: "/characters/{character_id}/location"},
		{Func: "CharacterWallet", Path: "/characters/{character_id}/wallet"},
		{Func: "CharacterWalletJournal", Path: "/characters/{character_id}/wallet/journal"},
	}
}

type operation struct {
	Func, Path string

	ID, Summary, Group, CacheMode, Since string
	Scopes                               []string
	MaxTokens                            int
	Window, TTL                          time.Duration
	Paged                                bool
}

// document is what is read of the OpenAPI document.
type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]struct {
		Get *specOperation `json:"get"`
	} `json:"paths"`
	Components struct {
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
	Responses map[string]struct {
		Headers map[string]json.RawMessage `json:"headers"`
	} `json:"responses"`
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
	var operations []operation
	for _, o := range wanted() {
		if err := o.fill(doc); err != nil {
			return nil, err
		}
		operations = append(operations, o)
	}
	t, err := template.New("routes").Parse(source)
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

func (o *operation) fill(doc document) error {
	spec := doc.Paths[o.Path].Get
	if spec == nil {
		return fmt.Errorf("GET %s is not in the document", o.Path)
	}
	o.ID, o.Summary, o.Since = spec.OperationID, strings.ToLower(spec.Summary), spec.Since
	o.TTL = time.Duration(spec.TTL) * time.Second
	o.CacheMode = map[string]string{
		"event-based": "EventBased",
		"not-cached":  "NotCached",
		"no-cache":    "NotCached",
	}[spec.CacheMode]
	if o.CacheMode == "" {
		// Unknown modes are treated as the strictest for the client.
		o.CacheMode = "TTLBased"
	}
	for _, requirement := range spec.Security {
		for _, scopes := range requirement {
			o.Scopes = append(o.Scopes, scopes...)
		}
	}
	if limit := spec.RateLimit; limit != nil {
		window, err := time.ParseDuration(limit.Window)
		if err != nil {
			return fmt.Errorf("GET %s: window of its rate limit: %w", o.Path, err)
		}
		o.Group, o.MaxTokens, o.Window = limit.Group, limit.MaxTokens, window
	}
	_, o.Paged = spec.Responses["200"].Headers["X-Pages"]
	return nil
}
