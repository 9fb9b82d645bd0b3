// Command gen makes the built-in static data of the files of CCP's export, plain or
// packed, in the folder that it is given: only rows and fields that a reader of the
// demo meets, packed as tightly as possible.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/klauspost/compress/zstd"
)

// kept are the files with the fields that are kept of their rows.
func kept() map[string][]string {
	return map[string][]string{
		"categories":       {"id", "name"},
		"groups":           {"id", "name", "category_id"},
		"types":            {"id", "name", "group_id", "volume", "required_skills"},
		"skills":           {"id", "rank", "primary", "secondary", "required_skills"},
		"systems":          {"id", "name", "security", "constellation", "region"},
		"stations":         {"id", "name", "system_id", "type_id", "corporation_id"},
		"factions":         {"id", "name"},
		"races":            {"id", "name"},
		"bloodlines":       {"id", "name", "race_id"},
		"npc_corporations": {"id", "name", "faction_id"},
	}
}

func main() {
	out := flag.String("out", ".", "folder for the files")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: gen -out FOLDER FOLDER-OF-THE-EXPORT")
		os.Exit(2)
	}
	total := 0
	for name, fields := range kept() {
		n, err := pack(flag.Arg(0), *out, name, fields)
		if err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
		total += n
	}
	fmt.Println(total, "bytes")
}

// pack writes one file anew and returns its size.
func pack(from, to, name string, fields []string) (int, error) {
	rows, err := read(from, name)
	if err != nil {
		return 0, err
	}
	var plain bytes.Buffer
	for _, row := range rows {
		for i, field := range fields {
			switch value := row[field]; {
			case i == 0:
				fmt.Fprintf(&plain, `{"id":%s`, value)
			case value != nil && string(value) != "null":
				fmt.Fprintf(&plain, `,"%s":%s`, field, value)
			}
		}
		plain.WriteString("}\n")
	}
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	packed := packer.EncodeAll(plain.Bytes(), nil)
	return len(packed), os.WriteFile(filepath.Join(to, name+".jsonl.zst"), packed, 0o644) //nolint:gosec // It is public.
}

// read reads the rows of a file in the order of their ids, which packs best.
func read(folder, name string) ([]map[string]json.RawMessage, error) {
	path := filepath.Join(folder, name+".jsonl")
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		file, err = os.Open(path + ".gz")
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var r io.Reader = file
	if filepath.Ext(file.Name()) == ".gz" {
		if r, err = gzip.NewReader(file); err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	var rows []map[string]json.RawMessage
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var row map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		rows = append(rows, row)
	}
	id := func(row map[string]json.RawMessage) int {
		n, _ := strconv.Atoi(string(row["id"]))
		return n
	}
	slices.SortFunc(rows, func(a, b map[string]json.RawMessage) int { return id(a) - id(b) })
	return rows, lines.Err()
}
