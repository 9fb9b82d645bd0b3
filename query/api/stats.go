package api

import (
	"context"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// SyncRound is the latest time around of a ring of sections: the last successful reading
// of each of its sections of each character.
type SyncRound struct {
	// Ring is 1 to 3 for Member Audit's, 0 for the sections that it does not read.
	Ring                  int
	StartedAt, FinishedAt time.Time
	// Characters counts those of whom every section of the ring is among the readings.
	Characters           int64
	Longest, First, Last SyncRun
	Sections             map[eve.Section]SyncTook
}

// SyncRun is one reading of a section.
type SyncRun struct {
	Section     eve.Section
	CharacterID int64
	Took        time.Duration
}

// SyncTook is how long the readings of a section took, one of each character.
type SyncTook struct {
	Min, Avg, Max time.Duration
	Characters    int64
}

// SyncReport tells how the sync of characters is set, and how it went.
type SyncReport struct {
	// Rounds are the latest ones, of the rings that have any.
	Rounds func(ctx context.Context) ([]SyncRound, error)
	// Settings are shown as they are: there must be no secret among them.
	Settings map[string]any
}

// AppTotals are Member Audit's totals.
type AppTotals struct {
	AllCharacters  int64 `json:"all_characters_count" doc:"All that are known, disabled and orphaned ones too."`
	Assets         int64 `json:"assets_count"`
	Contacts       int64 `json:"contacts_count"`
	Contracts      int64 `json:"contracts_count"`
	Mails          int64 `json:"mails_count"`
	SkillSetGroups int64 `json:"skill_set_groups_count"`
	SkillSets      int64 `json:"skill_sets_count"`
	Users          int64 `json:"users_count" doc:"Users with at least one registered character."`
}

// RingStats are the times of a ring of sections.
type RingStats struct {
	Total    RingTotal              `json:"total"`
	Max      *RunStats              `json:"max" doc:"The reading that took the longest; null before there was any."`
	First    *RunStats              `json:"first" doc:"The one that began first."`
	Last     *RunStats              `json:"last" doc:"The one that was done last."`
	Sections map[string]SectionTook `json:"sections" doc:"By Member Audit's names of sections."`
}

// RingTotal is about all readings of a ring's latest round.
type RingTotal struct {
	Duration   *float64   `json:"duration" doc:"Seconds from the first reading's beginning to the last one's end."`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	// FinshedAt is Member Audit's misspelt key.
	FinshedAt           *time.Time `json:"finshed_at" doc:"As finished_at: Member Audit's key."`
	RootTaskID          *string    `json:"root_task_id" doc:"Always null: each section of each character has a schedule of its own, and no task stands above them."`
	ThroughputEst       *int64     `json:"throughput_est" doc:"Characters an hour, if all took as long."`
	AvailableTime       int64      `json:"available_time" doc:"Seconds that Member Audit has for the ring."`
	WithinAvailableTime *bool      `json:"within_available_time" doc:"Whether the round took no longer than that and the tenth more over which Muster spreads characters."`
	CharactersCount     *int64     `json:"characters_count" doc:"Characters with every section of the ring in the round."`
	Completed           *bool      `json:"completed" doc:"Whether those are all characters."`
}

// RunStats is one reading of a section.
type RunStats struct {
	Section   string  `json:"section"`
	Character int64   `json:"character" doc:"The character's id."`
	Duration  float64 `json:"duration" doc:"In seconds."`
}

// Schema implements [huma.SchemaProvider]: there may be none.
func (RunStats) Schema(huma.Registry) *huma.Schema {
	field := func(kind, description string) *huma.Schema { return &huma.Schema{Type: kind, Description: description} }
	s := &huma.Schema{
		Type: huma.TypeObject, Nullable: true, Required: []string{"section", "character", "duration"}, AdditionalProperties: false,
		Description: "One reading of a section; null where there is none.",
		Properties: map[string]*huma.Schema{
			"section": field(huma.TypeString, "By Member Audit's name."), "character": field(huma.TypeInteger, "The character's id."), "duration": field(huma.TypeNumber, "In seconds."),
		},
	}
	s.PrecomputeMessages()
	return s
}

// SectionTook are seconds that readings of a section took.
type SectionTook struct {
	Max *float64 `json:"max"`
	Avg *float64 `json:"avg"`
	Min *float64 `json:"min"`
}

// ConsortiumStats are numbers about a consortium.
type ConsortiumStats struct {
	Declared        map[string]int64 `json:"declared" doc:"Declared records by kind."`
	Observed        map[string]int64 `json:"observed" doc:"Observed records by kind."`
	Sweeps          int64            `json:"sweeps"`
	SweepsCompleted int64            `json:"sweeps_completed"`
	OpenFindings    int64            `json:"open_findings"`
}

// peerSections are the sections of Member Audit 1.9.4 under its names. It has one more,
// skill_sets, which Muster reckons from skills whenever somebody asks.
func peerSections() map[eve.Section]string {
	return map[eve.Section]string{
		eve.SectionAssets: "assets", eve.SectionAttributes: "attributes", eve.SectionDetails: "character_details", eve.SectionContacts: "contacts",
		eve.SectionContracts: "contracts", eve.SectionCorporationHistory: "corporation_history", eve.SectionImplants: "implants", eve.SectionClones: "jump_clones",
		eve.SectionLocation: "location", eve.SectionLoyalty: "loyalty", eve.SectionMails: "mails", eve.SectionOnline: "online_status", eve.SectionShip: "ship",
		eve.SectionSkills: "skills", eve.SectionSkillQueue: "skill_queue", eve.SectionWallet: "wallet_balance", eve.SectionWalletJournal: "wallet_journal",
		eve.SectionWalletTransactions: "wallet_transactions",
	}
}

// ringMinutes are Member Audit's MEMBERAUDIT_UPDATE_STALE_RING_1 to 3, ringOffset its
// MEMBERAUDIT_UPDATE_STALE_OFFSET.
func ringMinutes() [3]int64 { return [3]int64{60, 240, 480} }

const ringOffset = 5

// updateStatistics are those of Member Audit 1.9.4: all rings, or nothing where nothing
// was read yet.
func updateStatistics(rounds []SyncRound, characters int64) map[string]RingStats {
	stats := map[string]RingStats{}
	for i, minutes := range ringMinutes() {
		ring := RingStats{Sections: map[string]SectionTook{}, Total: RingTotal{AvailableTime: (minutes - ringOffset) * 60}}
		for _, round := range rounds {
			if round.Ring == i+1 {
				ring.fill(round, characters)
			}
		}
		stats[fmt.Sprintf("ring_%d", i+1)] = ring
	}
	if len(rounds) == 0 {
		clear(stats)
	}
	return stats
}

func (r *RingStats) fill(round SyncRound, characters int64) {
	took := round.FinishedAt.Sub(round.StartedAt).Seconds()
	r.Total.Duration, r.Total.StartedAt = new(took), new(round.StartedAt)
	r.Total.FinishedAt, r.Total.FinshedAt = new(round.FinishedAt), new(round.FinishedAt)
	if took > 0 {
		r.Total.ThroughputEst = new(int64(math.Floor(float64(characters) / took * 3600)))
	}
	r.Total.WithinAvailableTime = new(took <= float64(r.Total.AvailableTime)*1.1)
	r.Total.CharactersCount, r.Total.Completed = new(round.Characters), new(round.Characters == characters)
	r.Max, r.First, r.Last = runStats(round.Longest), runStats(round.First), runStats(round.Last)
	for section, name := range peerSections() {
		if t, there := round.Sections[section]; there {
			r.Sections[name] = sectionTook(t)
		}
	}
}

func runStats(r SyncRun) *RunStats {
	name := peerSections()[r.Section]
	if name == "" {
		name = string(r.Section)
	}
	return &RunStats{Section: name, Character: r.CharacterID, Duration: r.Took.Seconds()}
}

func sectionTook(t SyncTook) SectionTook {
	return SectionTook{Max: new(t.Max.Seconds()), Avg: new(t.Avg.Seconds()), Min: new(t.Min.Seconds())}
}

// Reporting has the standing tell of the sync, too. It must be called before it is
// shared.
func (s *Standing) Reporting(sync SyncReport) *Standing {
	s.sync = sync
	return s
}

// peer adds Member Audit's statistics, and how long other sections take.
func (s *Standing) peer(ctx context.Context, stats *Stats) error {
	totals, err := s.characters.Totals(ctx)
	if err != nil {
		return err
	}
	stats.AppTotals = AppTotals{
		AllCharacters: totals.Characters, Assets: totals.Assets, Contacts: totals.Contacts, Contracts: totals.Contracts, Mails: totals.Mails,
		SkillSetGroups: totals.SkillSetGroups, SkillSets: totals.SkillSets, Users: totals.Users,
	}
	stats.Settings, stats.OtherSections = map[string]any{}, map[string]SectionTook{}
	maps.Copy(stats.Settings, s.sync.Settings)
	var rounds []SyncRound
	if s.sync.Rounds != nil {
		if rounds, err = s.sync.Rounds(ctx); err != nil {
			return err
		}
	}
	stats.UpdateStatistics = updateStatistics(rounds, totals.Characters)
	for _, round := range rounds {
		for section, took := range round.Sections {
			if peerSections()[section] == "" {
				stats.OtherSections[string(section)] = sectionTook(took)
			}
		}
	}
	return nil
}

// beyond adds what the log and the consortia have.
func (s *Standing) beyond(ctx context.Context, stats *Stats) error {
	consortia, err := s.consortia.Totals(ctx)
	if err != nil {
		return err
	}
	stats.Consortia = map[string]ConsortiumStats{}
	for name, t := range consortia {
		stats.Consortia[name] = ConsortiumStats{Declared: t.Declared, Observed: t.Observed, Sweeps: t.Sweeps, SweepsCompleted: t.Completed, OpenFindings: stats.OpenFindings[name]}
	}
	ends, err := s.log.Ends(ctx, event.Topics()...)
	if err != nil {
		return fmt.Errorf("reading where the log ends: %w", err)
	}
	stats.Events = map[string]int64{}
	for _, topic := range event.Topics() {
		stats.Events[topic] = 0
	}
	for at, span := range ends {
		stats.Events[at.Topic] += span.End - span.Start
	}
	projections, err := s.Projections(ctx)
	if err != nil {
		return err
	}
	stats.Projections = lags(projections)
	return nil
}
