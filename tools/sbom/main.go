// Command sbom writes the page of what Muster is made of, from the bill of materials of the
// program (CycloneDX) and the lock files of what its pages and its engines are fetched by. It
// fails if something has a licence that nobody has agreed to, or none that is known.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// part is something that Muster is made of.
type part struct{ Name, Version, Licence string }

// agreed are the licences under which parts may be used.
func agreed() []string {
	return []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-Source-Code", "ISC", "MIT", "MIT-0", "MPL-2.0"}
}

// read are the licences that were read by eye, of parts of which they are not told otherwise.
func read(name string) string {
	return map[string]string{
		"github.com/pressly/goose/v3":    "MIT",
		"github.com/rcrowley/go-metrics": "BSD-2-Clause",
		"htmx-ext-sse":                   "0BSD",
	}[name]
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// run takes the bill, the page to write, and lock files.
func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: sbom BILL.json PAGE.md [package-lock.json...]")
	}
	modules, err := ofBill(args[0])
	if err != nil {
		return fmt.Errorf("reading %s: %w", args[0], err)
	}
	var packages []part
	for _, file := range args[2:] {
		more, err := ofLock(file)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		packages = append(packages, more...)
	}
	for _, p := range slices.Concat(modules, packages) {
		if !slices.Contains(agreed(), p.Licence) {
			return fmt.Errorf("%s %s has the licence %q, which is none that was agreed to: read it, and name it in tools/sbom or use something else", p.Name, p.Version, p.Licence)
		}
	}
	return os.WriteFile(args[1], page(modules, packages), 0o644) //nolint:gosec // a page for everybody to read
}

// ofBill are the modules of a bill of materials.
func ofBill(file string) ([]part, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var bill cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(content), cyclonedx.BOMFileFormatJSON).Decode(&bill); err != nil {
		return nil, err
	}
	if bill.Components == nil {
		return nil, errors.New("it lists nothing")
	}
	var parts []part
	for _, c := range *bill.Components {
		p := part{Name: c.Name, Version: c.Version, Licence: read(c.Name)}
		if c.Evidence != nil && c.Evidence.Licenses != nil {
			for _, l := range *c.Evidence.Licenses {
				if l.License != nil {
					p.Licence = l.License.ID
				}
			}
		}
		parts = append(parts, p)
	}
	return sorted(parts), nil
}

// ofLock are the packages of a lock file of npm that are not for its tests alone.
func ofLock(file string) ([]part, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct {
			Version, License string
			Dev              bool
		}
	}
	if err := json.Unmarshal(content, &lock); err != nil {
		return nil, err
	}
	var parts []part
	for path, p := range lock.Packages {
		if _, name, ok := strings.Cut(path, "node_modules/"); ok && !p.Dev {
			parts = append(parts, part{name, p.Version, cmp.Or(p.License, read(name))})
		}
	}
	return sorted(parts), nil
}

func sorted(parts []part) []part {
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.Name, b.Name) })
	return parts
}

func page(modules, packages []part) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# What Muster is made of")
	fmt.Fprintln(&b, "\nWritten by `make sbom`, which also leaves a bill of materials (CycloneDX) at `bin/muster.cdx.json`. It fails on a licence that was not agreed to.")
	table := func(title, text string, parts []part) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| what | version | licence |\n| --- | --- | --- |\n", title, text)
		for _, p := range parts {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Name, p.Version, p.Licence)
		}
	}
	table("In the program", "Go modules that are compiled in.", modules)
	table("In the pages, and the embedded engines", "Packages that pages load, embedded into the program, and that the engines are fetched by.", packages)
	return b.Bytes()
}
