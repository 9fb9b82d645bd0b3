//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
	// Due names the details that the world has and that were never served.
	Due []string `json:"due"`
}

// heldCharacter is what Muster holds of a character.
type heldCharacter struct {
	Sections map[eve.Section]json.RawMessage
	Records  map[eve.Section]map[string]map[string]json.RawMessage
	// Journal has the entries by their ids; nil if they are judged elsewhere.
	Journal map[int64]eve.JournalLine
	// FollowUps are what is known to be still fetched apart, as section/id/detail;
	// nil if nobody looked.
	FollowUps map[string]bool
}

// detailOfFollowUp is what the oracle calls what a kind of follow-up fetches.
var detailOfFollowUp = map[string]string{
	"mail-body": "body", "contract-items": "items", "contract-bids": "bids", "killmail": "details", "calendar-event": "details",
}

// followUpsOf lists what is still fetched apart, by character.
func followUpsOf(ctx context.Context, pool *pgxpool.Pool) (map[int64]map[string]bool, error) {
	rows, err := pool.Query(ctx, `SELECT character_id, section, kind, item_id FROM ingest.follow_up`)
	if err != nil {
		return nil, err
	}
	open := map[int64]map[string]bool{}
	var character, id int64
	var section, kind string
	_, err = pgx.ForEachRow(rows, []any{&character, &section, &kind, &id}, func() error {
		if open[character] == nil {
			open[character] = map[string]bool{}
		}
		open[character][fmt.Sprintf("%s/%d/%s", section, id, detailOfFollowUp[kind])] = true
		return nil
	})
	return open, err
}

// unserved names the sections of which nobody was ever served anything: a run in
// which there is one proves nothing of it.
func unserved(served ...servedCharacter) []string {
	var missing []string
	for _, shape := range eve.Shapes() {
		name := string(shape.Section)
		if !slices.ContainsFunc(served, func(c servedCharacter) bool {
			return c.Sections[name] != nil || len(c.Records[name]) > 0 || shape.Section == eve.SectionWalletJournal && len(c.Journal) > 0
		}) {
			missing = append(missing, name)
		}
	}
	return missing
}

// judge tells in what Muster differs from what it was served.
func judge(served servedCharacter, held heldCharacter) []error {
	var differ []error
	if len(served.Sections) == 0 {
		// Who was served nothing agrees with everybody.
		differ = append(differ, fmt.Errorf("no section of %d was ever served", served.ID))
	}
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
	for section := range held.Sections {
		if served.Sections[string(section)] == nil {
			differ = append(differ, fmt.Errorf("%s of %d is held and was never served", section, served.ID))
		}
	}
	for section, records := range held.Records {
		if len(records) > 0 && served.Records[string(section)] == nil {
			differ = append(differ, fmt.Errorf("%d records of %s of %d are held, none was ever served", len(records), section, served.ID))
		}
	}
	for name, records := range served.Records {
		section := eve.Section(name)
		told := 0
		for _, record := range records {
			differ = append(differ, judgeDue(served.ID, section, record, held)...)
			if section == eve.SectionKillmails && !slices.Contains(record.Details, "details") && held.Records[section][record.Key] == nil {
				continue // an id and a hash are no killmail
			}
			told++
			differ = append(differ, judgeRecord(served.ID, section, record, held.Records[section][record.Key])...)
		}
		if got := len(held.Records[section]); got != told {
			differ = append(differ, fmt.Errorf("%d records of %s of %d are held, %d were served", got, name, served.ID, told))
		}
	}
	if held.Journal != nil {
		differ = append(differ, judgeJournal(served, held.Journal)...)
	}
	return differ
}

// judgeDue tells what nobody has fetched and nobody is going to.
func judgeDue(id int64, section eve.Section, record servedRecord, held heldCharacter) []error {
	if held.FollowUps == nil {
		return nil
	}
	var differ []error
	fields := held.Records[section][record.Key]
	for _, detail := range record.Due {
		// It may have come since the oracle was asked.
		come := fields[fieldOfDetail(section, detail)] != nil || string(fields["body_missing"]) == "true"
		if !come && !held.FollowUps[string(section)+"/"+record.Key+"/"+detail] {
			differ = append(differ, fmt.Errorf("the %s of %s %s of %d was never fetched, and is not going to be", detail, section, record.Key, id))
		}
	}
	return differ
}

// fieldOfDetail is a field that a record has only once a detail of it has come.
func fieldOfDetail(section eve.Section, detail string) string {
	switch {
	case section == eve.SectionKillmails:
		return "killmail_time"
	case section == eve.SectionCalendar:
		return "owner_id"
	default:
		return detail
	}
}

// judgeJournal compares entry by entry.
func judgeJournal(served servedCharacter, held map[int64]eve.JournalLine) []error {
	var differ []error
	for _, e := range served.Journal {
		line, there := held[e.ID]
		if !there {
			differ = append(differ, fmt.Errorf("journal entry %d of %d was served and is not held", e.ID, served.ID))
			continue
		}
		if int64(line.Amount) != e.Amount || line.Balance == nil || int64(*line.Balance) != e.Balance || line.RefType != e.RefType || !line.Date.Equal(e.Date) {
			differ = append(differ, fmt.Errorf("journal entry %d of %d is %+v, %+v was served", e.ID, served.ID, line, e))
		}
	}
	if len(held) != len(served.Journal) {
		differ = append(differ, fmt.Errorf("%d journal entries of %d are held, %d were served", len(held), served.ID, len(served.Journal)))
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
