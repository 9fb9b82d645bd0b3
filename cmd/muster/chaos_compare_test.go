//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
)

// servedEntry is a journal entry with its amounts in hundredths of ISK.
type servedEntry struct {
	ID      int64     `json:"id"`
	Date    time.Time `json:"date"`
	Amount  int64     `json:"amount"`
	Balance int64     `json:"balance"`
	RefType string    `json:"ref_type"`
}

// compare holds every read model against what the worlds have served.
func (c *chaos) compare() {
	c.t.Helper()
	served := c.served()
	entries := 0
	for _, s := range served {
		entries += len(s.Journal)
	}
	require.Len(c.t, served, chaosCharacters)
	require.Greater(c.t, entries, 100*chaosCharacters, "the world has to be worth comparing")
	for _, check := range []struct {
		what string
		does func(context.Context, map[int64]servedCharacter) error
	}{
		{"everything arrives", func(ctx context.Context, _ map[int64]servedCharacter) error { return c.drained(ctx) }},
		{"sections in Postgres", c.compareSections},
		{"journal rows in ClickHouse", c.compareJournal},
		{"sums of the API", c.compareAnalytics},
		{"audit and findings", c.compareFindings},
	} {
		c.eventually(check.what, func(ctx context.Context) error { return check.does(ctx, served) })
	}
	c.t.Logf("compared: %d characters, %d journal entries", len(served), entries)
	c.verify()
	c.t.Log(c.run("replay"))
	var parked []any
	require.NoError(c.t, json.Unmarshal([]byte(c.run("poison", "list", "--output", "json")), &parked))
	require.Empty(c.t, parked, "events that could not be applied")
	ends, err := c.watch.reader.Ends(c.t.Context(), event.TopicPoison)
	require.NoError(c.t, err)
	for at, span := range ends {
		require.Zero(c.t, span.Len(), "poisoned messages in %s", at)
	}
}

// verify folds the log in memory, as a user would have it done.
func (c *chaos) verify() {
	c.t.Helper()
	stdout, stderr, status, err := runProgram(c.t.Context(), c.binary, c.env, "verify", "--output", "json")
	require.NoError(c.t, err)
	require.Equal(c.t, exitOK, status, "muster verify: %s%s", stdout, stderr)
	c.t.Log("verified: ", compact([]byte(stdout)))
}

// served asks the simulated ESI what it has served.
func (c *chaos) served() map[int64]servedCharacter {
	c.t.Helper()
	var answer struct {
		Characters map[string]servedCharacter `json:"characters"`
	}
	require.NoError(c.t, c.get(c.t.Context(), c.esiURL+"/_simulator/served", &answer))
	served := map[int64]servedCharacter{}
	for _, s := range answer.Characters {
		served[s.ID] = s
	}
	return served
}

// compareSections holds the sections and records in Postgres against those served.
func (c *chaos) compareSections(ctx context.Context, served map[int64]servedCharacter) error {
	held, err := c.held(ctx)
	if err != nil {
		return err
	}
	var differ []error
	for id, s := range served {
		differ = append(differ, judge(s, held[id])...)
	}
	if missing := unserved(slices.Collect(maps.Values(served))...); len(missing) > 0 {
		differ = append(differ, fmt.Errorf("nothing was ever served of %v", missing))
	}
	if len(held) != chaosCharacters {
		differ = append(differ, fmt.Errorf("%d characters in Postgres, %d were imported", len(held), chaosCharacters))
	}
	return firstOf(differ)
}

// held is what Postgres holds of all characters.
func (c *chaos) held(ctx context.Context) (map[int64]heldCharacter, error) {
	g, err := c.watch.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	ids, err := pgviews.SyncableCharacters(ctx, c.watch.pool, g)
	if err != nil {
		return nil, err
	}
	followUps, err := followUpsOf(ctx, c.watch.pool)
	if err != nil {
		return nil, err
	}
	reader := pgviews.NewCharacterReader(c.watch.pool, live.New(c.watch.control))
	held := map[int64]heldCharacter{}
	for _, id := range ids {
		h := heldCharacter{Sections: map[eve.Section]json.RawMessage{}, Records: map[eve.Section]map[string]map[string]json.RawMessage{}, FollowUps: followUps[id]}
		if h.FollowUps == nil {
			h.FollowUps = map[string]bool{}
		}
		for _, shape := range eve.Shapes() {
			if !shape.Valued {
				continue
			}
			section, err := reader.Section(ctx, id, shape.Section)
			if err != nil {
				return nil, err
			}
			if section.Value != nil {
				h.Sections[shape.Section] = section.Value
			}
		}
		held[id] = h
	}
	rows, err := c.watch.pool.Query(ctx, `SELECT character_id, section, key, value::text FROM `+g.Namespace+`.records`)
	if err != nil {
		return nil, err
	}
	var id int64
	var section eve.Section
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&id, &section, &key, &value}, func() error {
		records := held[id].Records[section]
		if records == nil {
			records = map[string]map[string]json.RawMessage{}
			held[id].Records[section] = records
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(value), &fields); err != nil {
			return err
		}
		records[key] = fields
		return nil
	})
	return held, err
}

func compact(text []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return string(text)
	}
	return b.String()
}

// firstOf shows a few of many differences.
func firstOf(differences []error) error {
	const shown = 5
	if n := len(differences); n > shown {
		differences = append(differences[:shown:shown], fmt.Errorf("and %d more", n-shown))
	}
	return errors.Join(differences...)
}

// compareJournal holds every journal row in ClickHouse against the entries served.
func (c *chaos) compareJournal(ctx context.Context, served map[int64]servedCharacter) error {
	g, err := c.watch.control.Live(ctx, chviews.WalletName)
	if err != nil {
		return err
	}
	rows, err := c.watch.clickhouse.Query(ctx, `SELECT character_id, id, date, amount, balance, ref_type FROM `+g.Namespace+`.wallet_journal FINAL
		ORDER BY character_id, id`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	got := map[int64][]servedEntry{}
	for rows.Next() {
		var id int64
		var e servedEntry
		var amount decimal.Decimal
		var balance *decimal.Decimal
		if err := rows.Scan(&id, &e.ID, &e.Date, &amount, &balance, &e.RefType); err != nil {
			return err
		}
		e.Amount = amount.Shift(2).IntPart()
		if balance != nil {
			e.Balance = balance.Shift(2).IntPart()
		}
		e.Date = e.Date.UTC()
		got[id] = append(got[id], e)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var differ []error
	for id, s := range served {
		differ = append(differ, compareEntries(id, s.Journal, got[id])...)
		delete(got, id)
	}
	for id, rows := range got {
		differ = append(differ, fmt.Errorf("%d journal rows of %d, of whom nothing was served", len(rows), id))
	}
	return firstOf(differ)
}

func compareEntries(id int64, want, got []servedEntry) []error {
	var differ []error
	if len(want) != len(got) {
		differ = append(differ, fmt.Errorf("character %d: %d journal rows, %d entries were served", id, len(got), len(want)))
	}
	byID := map[int64]servedEntry{}
	for _, e := range got {
		if _, twice := byID[e.ID]; twice {
			differ = append(differ, fmt.Errorf("character %d: entry %d is there twice", id, e.ID))
		}
		byID[e.ID] = e
	}
	for _, e := range want {
		if byID[e.ID] != e {
			differ = append(differ, fmt.Errorf("character %d: entry %+v was served, the row is %+v", id, e, byID[e.ID]))
		}
	}
	return differ
}

// compareAnalytics holds the sums of the API against those of the entries served.
func (c *chaos) compareAnalytics(ctx context.Context, served map[int64]servedCharacter) error {
	type figures struct {
		CharacterID int64           `json:"character_id"`
		Income      decimal.Decimal `json:"income"`
		Expense     decimal.Decimal `json:"expense"`
		Net         decimal.Decimal `json:"net"`
		Entries     int64           `json:"entries"`
	}
	query := url.Values{
		"from": {time.Now().AddDate(-2, 0, 0).UTC().Format(time.RFC3339)}, "to": {time.Now().AddDate(0, 0, 1).UTC().Format(time.RFC3339)},
		"interval": {"year"}, "group_by": {"character"},
	}
	var answer struct {
		Items []figures `json:"items"`
	}
	if err := c.get(ctx, c.apiURL+"/v1/analytics/wallet?"+query.Encode(), &answer); err != nil {
		return err
	}
	got := map[int64]figures{}
	for _, f := range answer.Items {
		sum := got[f.CharacterID]
		got[f.CharacterID] = figures{f.CharacterID, sum.Income.Add(f.Income), sum.Expense.Add(f.Expense), sum.Net.Add(f.Net), sum.Entries + f.Entries}
	}
	var differ []error
	for id, s := range served {
		var income, expense int64
		for _, e := range s.Journal {
			income, expense = income+max(e.Amount, 0), expense+max(-e.Amount, 0)
		}
		f := got[id]
		if f.Entries != int64(len(s.Journal)) || !f.Income.Equal(decimal.New(income, -2)) || !f.Expense.Equal(decimal.New(expense, -2)) || !f.Net.Equal(decimal.New(s.Sum, -2)) {
			differ = append(differ, fmt.Errorf("character %d: %d entries, income %s, expense %s, net %s; served were %d entries, %s, %s, %s",
				id, f.Entries, f.Income, f.Expense, f.Net, len(s.Journal), decimal.New(income, -2), decimal.New(expense, -2), decimal.New(s.Sum, -2)))
		}
	}
	return firstOf(differ)
}

// compareFindings audits the simulated world itself and holds the audit of the
// read model and the findings that are open against that.
func (c *chaos) compareFindings(ctx context.Context, _ map[int64]servedCharacter) error {
	var answers json.RawMessage
	if err := c.get(ctx, c.anvilURL+"/_simulator/answers", &answers); err != nil {
		return err
	}
	if err := os.WriteFile(c.file("answers.json"), answers, 0o600); err != nil {
		return err
	}
	want, err := c.audit(ctx, "--declared", c.file("declared.json"), "--observed", c.file("answers.json"))
	if err != nil {
		return err
	}
	got, err := c.audit(ctx, "--consortium", chaosConsortium)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the audit of the read model is %s, of the world %s", got, want)
	}
	expected, err := c.discrepancies()
	if err != nil {
		return err
	}
	reader := pgviews.NewAnVILReader(c.watch.pool, live.New(c.watch.control), c.watch.registry)
	findings, err := reader.Findings(ctx, pgviews.FindingFilter{Consortium: chaosConsortium, State: pgviews.FindingsOpen, Limit: 10_000})
	if err != nil {
		return err
	}
	open := make([]string, len(findings))
	for i, f := range findings {
		open[i] = strings.Join([]string{string(f.Model), f.Scope, f.Record, f.Kind, f.Expected, f.Observed}, " | ")
	}
	slices.Sort(open)
	if !slices.Equal(open, expected) {
		return fmt.Errorf("open findings are\n%s\nthe world differs in\n%s", strings.Join(open, "\n"), strings.Join(expected, "\n"))
	}
	if len(open) == 0 {
		return errors.New("nothing differs from what is declared: that is not worth comparing")
	}
	return nil
}

// audit is the printed result of an audit.
func (c *chaos) audit(ctx context.Context, args ...string) (string, error) {
	stdout, stderr, status, err := runProgram(ctx, c.binary, c.env, append([]string{"audit", "--output", "json"}, args...)...)
	if err != nil {
		return "", err
	}
	if status != exitOK && status != exitFindings {
		return "", fmt.Errorf("muster audit: exit status %d: %s", status, stderr)
	}
	return compact([]byte(stdout)), nil
}

// discrepancies are what an audit of the world finds, in order.
func (c *chaos) discrepancies() ([]string, error) {
	declared, err := readFile(c.file("declared.json"), anvil.DecodeDeclared)
	if err != nil {
		return nil, err
	}
	answers, err := readFile(c.file("answers.json"), anvil.DecodeAnswers)
	if err != nil {
		return nil, err
	}
	observed, err := anvil.ObserveAnswers(answers)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, d := range anvil.Audit(declared, observed, anvil.Options{}).Discrepancies() {
		all = append(all, strings.Join([]string{string(d.Model), d.Scope, d.Record, d.Kind, d.Expected, d.Observed}, " | "))
	}
	slices.Sort(all)
	return all, nil
}
