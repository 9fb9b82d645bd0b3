package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/schema"
)

// syncCommand looks at and steers the sync of characters.
type syncCommand struct {
	Status syncStatusCommand `cmd:"" default:"withargs" help:"How each section stands: due, late, failing, still to be fetched."`
	Budget syncBudgetCommand `cmd:"" help:"What keeping in step costs a day in ESI's tokens, foreseen and used."`
	Pause  syncPauseCommand  `cmd:"" help:"Hold syncs back: all, of a character, or of a section."`
	Resume syncResumeCommand `cmd:"" help:"Take a pause back."`
}

type syncStatusCommand struct {
	Character int64  `help:"Only this character." placeholder:"ID"`
	Output    string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *syncStatusCommand) Help() string {
	return `Examples:
  muster sync
  muster sync status --character 90000001 --output json`
}

// syncLine is a section in the answer of muster sync.
type syncLine struct {
	Section          eve.Section    `json:"section"`
	Due              int            `json:"due"`
	Late             int            `json:"late"`
	Running          int            `json:"running"`
	Waiting          int            `json:"waiting"`
	NeverRead        int            `json:"never_read"`
	NotConsented     int            `json:"not_consented"`
	Failing          map[string]int `json:"failing"`
	FollowUps        int            `json:"follow_ups"`
	FollowUpsFailing map[string]int `json:"follow_ups_failing"`
	OldestValidation *time.Time     `json:"oldest_validation"`
}

// Run implements the subcommand.
func (c *syncStatusCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		if err := schema.Migrate(ctx, s.pool); err != nil {
			return err
		}
		sections, err := schedule.Status(ctx, s.pool, c.Character)
		if err != nil {
			return err
		}
		lines := make([]syncLine, len(sections))
		t := newTable("section", "due", "late", "running", "waiting", "never read", "not consented", "failing", "to fetch", "oldest validation")
		for i, status := range sections {
			line := syncLine{
				Section: status.Section, Due: status.Due, Late: status.Late, Running: status.Running, Waiting: status.Waiting,
				NeverRead: status.NeverRead, NotConsented: status.NotConsented, FollowUps: status.FollowUps,
				Failing: classes(status.Failing), FollowUpsFailing: classes(status.FollowUpsFailing),
			}
			oldest := "never"
			if at := status.OldestValidation; !at.IsZero() {
				line.OldestValidation, oldest = &at, at.UTC().Format(time.RFC3339)
			}
			lines[i] = line
			t.row(string(line.Section), strconv.Itoa(line.Due), strconv.Itoa(line.Late), strconv.Itoa(line.Running), strconv.Itoa(line.Waiting),
				strconv.Itoa(line.NeverRead), strconv.Itoa(line.NotConsented), counted(line.Failing), strconv.Itoa(line.FollowUps)+counted(line.FollowUpsFailing), oldest)
		}
		return t.show(env.stdout, c.Output, lines)
	})
}

func classes(counts map[eve.FailureClass]int) map[string]int {
	named := make(map[string]int, len(counts))
	for class, n := range counts {
		named[string(class)] = n
	}
	return named
}

// counted writes counts by class, such as " forbidden 2, server 1".
func counted(counts map[string]int) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, class+" "+strconv.Itoa(counts[class]))
	}
	if len(parts) == 0 {
		return ""
	}
	return " " + strings.Join(parts, ", ")
}

type syncBudgetCommand struct {
	Intervals map[string]time.Duration `name:"interval" env:"MUSTER_INTERVALS" help:"Time between two readings of a section, as the ingest workers have it." placeholder:"SECTION=DURATION"`
	Output    string                   `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *syncBudgetCommand) Help() string {
	return `What is read by the clock is reckoned from the intervals and from what answers cost in the last seven
days; what is fetched as it turns up, such as bodies of mails, goes on as it did. Routes without a rate
group cost no tokens; they are counted as if they did, to compare with Member Audit, which is reckoned
with 220 calls of 2 tokens for a character and day.

Examples:
  muster sync budget
  muster sync budget --interval assets=2h`
}

// budgetAnswer is the answer of muster sync budget.
type budgetAnswer struct {
	Characters int          `json:"characters"`
	Groups     []budgetLine `json:"groups"`
	Total      budgetLine   `json:"total"`
	// PeerTokens is what Member Audit would use for as many characters.
	PeerTokens float64 `json:"peer_tokens"`
}

type budgetLine struct {
	Group        string  `json:"group"`
	Requests     float64 `json:"requests"`
	Tokens       float64 `json:"tokens"`
	UsedRequests int64   `json:"used_requests_today"`
	UsedTokens   int64   `json:"used_tokens_today"`
}

// Run implements the subcommand.
func (c *syncBudgetCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		if err := schema.Migrate(ctx, s.pool); err != nil {
			return err
		}
		b, err := schedule.PredictBudget(ctx, s.pool, sectionIntervals(c.Intervals), time.Now())
		if err != nil {
			return err
		}
		answer := budgetAnswer{Characters: b.Characters, Total: showBudget(b.Total(), "total"), PeerTokens: b.PeerTokens}
		t := newTable("group", "requests a day", "tokens a day", "requests today", "tokens today")
		for _, line := range b.Lines {
			name := line.Group
			if name == "" {
				name = "(no group)"
			}
			answer.Groups = append(answer.Groups, showBudget(line, name))
		}
		for _, line := range append(slices.Clone(answer.Groups), answer.Total) {
			t.row(line.Group, fmt.Sprintf("%.0f", line.Requests), fmt.Sprintf("%.0f", line.Tokens), strconv.FormatInt(line.UsedRequests, 10), strconv.FormatInt(line.UsedTokens, 10))
		}
		if err := t.show(env.stdout, c.Output, answer); err != nil || c.Output != "table" {
			return err
		}
		fmt.Fprintf(env.stdout, "%d characters; Member Audit would use %.0f tokens a day for them\n", b.Characters, b.PeerTokens)
		return nil
	})
}

func showBudget(l schedule.BudgetLine, name string) budgetLine {
	return budgetLine{Group: name, Requests: l.Requests, Tokens: l.Tokens, UsedRequests: l.UsedRequests, UsedTokens: l.UsedTokens}
}

func sectionIntervals(byName map[string]time.Duration) map[eve.Section]time.Duration {
	intervals := make(map[eve.Section]time.Duration, len(byName))
	for section, interval := range byName {
		intervals[eve.Section(section)] = interval
	}
	return intervals
}

// pauseFlags say what is paused.
type pauseFlags struct {
	Character int64  `help:"Only this character." placeholder:"ID"`
	Section   string `help:"Only this section." placeholder:"NAME"`
	All       bool   `help:"Every section of every character."`
}

func (f pauseFlags) pause(reason string) (schedule.Pause, error) {
	if f.All == (f.Character != 0 || f.Section != "") {
		return schedule.Pause{}, event.Errorf(event.CodeInvalid, "say either --all, or a --character, a --section or both")
	}
	return schedule.Pause{CharacterID: f.Character, Section: eve.Section(f.Section), Reason: reason}, nil
}

type syncPauseCommand struct {
	pauseFlags
	Reason string `help:"Why; it is shown to others." placeholder:"TEXT"`
}

// Help implements kong's detailed help.
func (c *syncPauseCommand) Help() string {
	return `A pause holds from the next look at the schedule on, within a minute, and outlives restarts. What is under
way comes to its end.

Examples:
  muster sync pause --all --reason "moving house"
  muster sync pause --character 90000001 --section mails`
}

// Run implements the subcommand.
func (c *syncPauseCommand) Run(ctx context.Context, env *environment) error {
	p, err := c.pause(c.Reason)
	if err != nil {
		return err
	}
	return env.withStores(ctx, func(s *stores) error {
		if err := schema.Migrate(ctx, s.pool); err != nil {
			return err
		}
		return schedule.SetPause(ctx, s.pool, p)
	})
}

type syncResumeCommand struct{ pauseFlags }

// Run implements the subcommand.
func (c *syncResumeCommand) Run(ctx context.Context, env *environment) error {
	p, err := c.pause("")
	if err != nil {
		return err
	}
	return env.withStores(ctx, func(s *stores) error {
		if err := schema.Migrate(ctx, s.pool); err != nil {
			return err
		}
		return schedule.Unpause(ctx, s.pool, p)
	})
}
