package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/query/api"
)

// statsCommand tells the numbers of a running Muster.
type statsCommand struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *statsCommand) Help() string {
	return `The JSON has the keys of Member Audit 1.9.4's memberaudit_stats, sorted, with null where there is nothing, and more
of Muster's own.

Examples:
  muster stats
  muster stats --output json`
}

// Run implements the subcommand.
func (c *statsCommand) Run(ctx context.Context, env *environment) error {
	muster, err := env.settings.client()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := muster.do(ctx, http.MethodGet, "/v1/stats", nil, "", &answer); err != nil {
		return err
	}
	in := json.NewDecoder(bytes.NewReader(answer))
	in.UseNumber()
	var stats map[string]any
	if err := in.Decode(&stats); err != nil {
		return fmt.Errorf("reading Muster's answer: %w", err)
	}
	if c.Output == "json" {
		// Maps are written with their keys sorted.
		e := json.NewEncoder(env.stdout)
		e.SetIndent("", "    ")
		if err := e.Encode(stats); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
		return nil
	}
	t := newTable("name", "value")
	flatten(t, "", stats)
	return t.show(env.stdout, c.Output, nil)
}

// flatten makes a row of each number of a document, called by the way to it.
func flatten(t *table, name string, v any) {
	below := func(key string) string {
		if name == "" {
			return key
		}
		return name + "." + key
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			flatten(t, below(key), v[key])
		}
	case []any:
		for i, item := range v {
			flatten(t, below(strconv.Itoa(i)), item)
		}
	case nil:
		t.row(name, "")
	default:
		t.row(name, fmt.Sprint(v))
	}
}

// syncReport tells the API how the sync is set and how it went.
func (r *roles) syncReport() api.SyncReport {
	intervals := schedule.Intervals(sectionIntervals(r.worlds.Intervals))
	return api.SyncReport{
		Settings: r.shownSettings(intervals),
		Rounds: func(ctx context.Context) ([]api.SyncRound, error) {
			rounds, err := schedule.Rounds(ctx, r.pool, intervals)
			if err != nil {
				return nil, err
			}
			shown := make([]api.SyncRound, len(rounds))
			for i, round := range rounds {
				shown[i] = api.SyncRound{
					Ring: round.Ring, StartedAt: round.StartedAt, FinishedAt: round.FinishedAt, Characters: round.Characters,
					Longest: api.SyncRun(round.Longest), First: api.SyncRun(round.First), Last: api.SyncRun(round.Last),
					Sections: make(map[eve.Section]api.SyncTook, len(round.Sections)),
				}
				for section, took := range round.Sections {
					shown[i].Sections[section] = api.SyncTook(took)
				}
			}
			return shown, nil
		},
	}
}

// staleOffset is Member Audit's MEMBERAUDIT_UPDATE_STALE_OFFSET, which its rings are
// less by.
const staleOffset = 5 * time.Minute

// shownSettings are the settings that may be shown to those who operate Muster: those of
// Member Audit 1.9.4 with what Muster has in their place, null for what has nothing, and
// Muster's own. Addresses of stores, tokens and keys are not among them.
func (r *roles) shownSettings(intervals map[eve.Section]time.Duration) map[string]any {
	w := r.worlds
	beat := map[string]string{}
	for section, interval := range intervals {
		beat["muster sync "+string(section)] = "every " + interval.String()
	}
	beat["muster sweep"] = "every " + w.SweepEvery.String()
	ring := func(of eve.Section) int { return int((intervals[of] + staleOffset) / time.Minute) }
	// Null is for ever, as with Member Audit. Days that cannot be read do not come this far.
	var kept any
	if policies, err := w.Retention.policies(); err == nil && policies.HistoryDays > 0 {
		bounded, _ := policies.Bounded()
		kept = bounded.HistoryDays
	}
	return map[string]any{
		"CELERYBEAT_SCHEDULE":                    beat,
		"MEMBERAUDIT_APP_NAME":                   nil,
		"MEMBERAUDIT_BULK_METHODS_BATCH_SIZE":    nil,
		"MEMBERAUDIT_DATA_EXPORT_MIN_UPDATE_AGE": nil,
		"MEMBERAUDIT_DATA_RETENTION_LIMIT":       kept,
		"MEMBERAUDIT_DEVELOPER_MODE":             nil,
		"MEMBERAUDIT_ESI_ERROR_LIMIT_THRESHOLD":  nil,
		"MEMBERAUDIT_LOCATION_STALE_HOURS":       w.Universe.StructuresEvery.Hours(),
		"MEMBERAUDIT_LOG_UPDATE_STATS":           nil,
		"MEMBERAUDIT_MAX_MAILS":                  w.MaxMails,
		"MEMBERAUDIT_TASKS_MAX_ASSETS_PER_PASS":  nil,
		"MEMBERAUDIT_TASKS_OBJECT_CACHE_TIMEOUT": nil,
		"MEMBERAUDIT_TASKS_TIME_LIMIT":           nil,
		"MEMBERAUDIT_UPDATE_STALE_OFFSET":        int(staleOffset / time.Minute),
		"MEMBERAUDIT_UPDATE_STALE_RING_1":        ring(eve.SectionLocation),
		"MEMBERAUDIT_UPDATE_STALE_RING_2":        ring(eve.SectionSkills),
		"MEMBERAUDIT_UPDATE_STALE_RING_3":        ring(eve.SectionAssets),
		"MUSTER_ESI_DOWNTIME":                    w.Downtime,
		"MUSTER_ESI_URL":                         w.ESIURL,
		"MUSTER_INGEST_WORKERS":                  w.Workers,
		"MUSTER_KAFKA_PARTITIONS":                r.settings.KafkaPartitions,
		"MUSTER_LISTEN":                          r.settings.Listen,
		"MUSTER_LOG_LEVEL":                       r.settings.LogLevel.String(),
		"MUSTER_MAX_MAILS":                       w.MaxMails,
		"MUSTER_SPARE_IDLE":                      w.SpareIdle,
		"MUSTER_SSO_URL":                         w.SSOURL,
		"MUSTER_SWEEP_EVERY":                     w.SweepEvery.String(),
	}
}
