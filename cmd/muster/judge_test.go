//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/muster-sync/muster/domain/eve"
)

// servedCharacter is what the simulated ESI says it has served of a character.
type servedCharacter struct {
	ID       int64                      `json:"character_id"`
	Sections map[string]json.RawMessage `json:"sections"`
	Records  map[string][]servedRecord  `json:"records"`
	Journal  []servedEntry              `json:"journal"`
	Sum      int64                      `json:"journal_sum"`
}

// servedRecord is one record with the details that were served of it.
type servedRecord struct {
	Key     string          `json:"key"`
	Item    json.RawMessage `json:"item"`
	Details []string        `json:"details"`
}

// heldCharacter is what Muster holds of a character.
type heldCharacter struct {
	Sections map[eve.Section]json.RawMessage
	Records  map[eve.Section]map[string]map[string]json.RawMessage
}

// judge tells in what Muster differs from what it was served.
func judge(served servedCharacter, held heldCharacter) []error {
	var differ []error
	for name, want := range served.Sections {
		section := eve.Section(name)
		wantHash, err := eve.ContentHash(section, want)
		if err != nil {
			differ = append(differ, fmt.Errorf("%s of %d was served as what cannot be read: %w", name, served.ID, err))
			continue
		}
		got, there := held.Sections[section]
		if !there {
			differ = append(differ, fmt.Errorf("%s of %d was served and is not held", name, served.ID))
			continue
		}
		if gotHash, err := eve.ContentHash(section, got); err != nil || gotHash != wantHash {
			differ = append(differ, fmt.Errorf("%s of %d is %.300s, last served was %.300s (%w)", name, served.ID, got, want, err))
		}
	}
	for name, records := range served.Records {
		section := eve.Section(name)
		told := 0
		for _, record := range records {
			if section == eve.SectionKillmails && !slices.Contains(record.Details, "details") {
				continue // an id and a hash are no killmail
			}
			told++
			differ = append(differ, judgeRecord(served.ID, section, record, held.Records[section][record.Key])...)
		}
		if got := len(held.Records[section]); got != told {
			differ = append(differ, fmt.Errorf("%d records of %s of %d are held, %d were served", got, name, served.ID, told))
		}
	}
	return differ
}

// judgeRecord compares the fields that were served; Muster holds some that ESI
// leaves out.
func judgeRecord(id int64, section eve.Section, want servedRecord, got map[string]json.RawMessage) []error {
	if got == nil {
		return []error{fmt.Errorf("%s %s of %d was served and is not held", section, want.Key, id)}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(want.Item, &fields); err != nil {
		return []error{fmt.Errorf("%s %s of %d was served as what cannot be read: %w", section, want.Key, id, err)}
	}
	var differ []error
	for name, value := range fields {
		wanted, err1 := eve.Canonical(value)
		held, err2 := eve.Canonical(got[name])
		if err1 != nil || err2 != nil || !bytes.Equal(wanted, held) {
			differ = append(differ, fmt.Errorf("%s of %s %s of %d is %.200s, last served was %.200s", name, section, want.Key, id, got[name], value))
		}
	}
	return differ
}
