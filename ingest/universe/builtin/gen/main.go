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
	"strings"

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
	slots, err := implants(flag.Arg(0))
	if err == nil {
		var n int
		n, err = write(*out, "implants", slots, []string{"id", "slot"})
		total += n
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
	fmt.Println(total, "bytes")
}

// pack makes one file anew and returns its size.
func pack(from, to, name string, fields []string) (int, error) {
	rows, err := read(from, name)
	if err != nil {
		return 0, err
	}
	return write(to, name, rows, fields)
}

func write(to, name string, rows []map[string]json.RawMessage, fields []string) (int, error) {
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

// implants are the slots of implants. Exports with the plain fields have no attributes of
// types, but CCP's names follow the slots: those of attributes say what they are, those of
// sets have a letter of the Greek alphabet, hardwirings a number whose hundreds are the
// slot. What is named otherwise is left out.
func implants(from string) ([]map[string]json.RawMessage, error) {
	const categoryImplant = "20"
	groups, err := read(from, "groups")
	if err != nil {
		return nil, err
	}
	types, err := read(from, "types")
	if err != nil {
		return nil, err
	}
	of := map[string]bool{}
	for _, group := range groups {
		of[string(group["id"])] = string(group["category_id"]) == categoryImplant && string(group["name"]) != `"Booster"`
	}
	var slots []map[string]json.RawMessage
	for _, t := range types {
		var name string
		if err := json.Unmarshal(t["name"], &name); err != nil {
			return nil, fmt.Errorf("type %s: %w", t["id"], err)
		}
		if slot := slotOf(name); slot > 0 && of[string(t["group_id"])] {
			slots = append(slots, map[string]json.RawMessage{"id": t["id"], "slot": json.RawMessage(strconv.Itoa(slot))})
		}
	}
	return slots, nil
}

// slotOf is the slot that the name of an implant says; 0 if it says none.
func slotOf(name string) int {
	for i, words := range [][]string{{"Ocular Filter"}, {"Memory Augmentation"}, {"Neural", "Boost"}, {"Cybernetic", "Subprocessor"}, {"Social Adaptation Chip"}} {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(name, word) }) {
			return i + 1
		}
	}
	last := name[strings.LastIndexByte(name, ' ')+1:]
	if i := slices.Index([]string{"Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Omega"}, last); i >= 0 {
		return i + 1
	}
	const mindlink = 10
	if strings.HasSuffix(name, "Command Mindlink") || strings.HasSuffix(name, "Foreman Mindlink") || strings.HasSuffix(name, "Director Mindlink") {
		return mindlink
	}
	letters, digits, _ := strings.Cut(last, "-")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil || len(letters) != 2 || strings.ToUpper(letters) != letters:
		return 0
	case strings.Contains(name, "Core Augmentation"):
		return n
	case n >= 600 && n < 1100:
		return n / 100
	default:
		return 0
	}
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
