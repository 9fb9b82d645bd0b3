package clickhouse_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
)

func TestNoQuestionAboutThePastGoesOverItsBudget(t *testing.T) {
	organisation, facts := newOrganisationTables(t)
	history := newFactTables(t, clickhouse.AnVILHistory())
	at := utc(t, "2026-05-01T12:00:00Z")
	var events, audits []told
	for i := range 3 {
		at, user, id := at.Add(time.Duration(i)*time.Minute), []string{"ada", "bob", "cy"}[i], int64(i+1)
		look := access.DataViewed{ViewerID: "user:x", OwnerID: user, CharacterID: id, Section: "wallet", FirstAt: at, LastAt: at, Count: 1}
		events = append(events, told{stream: event.User(user), at: at, payload: access.ComplianceChanged{UserID: user, Considered: true, Since: at}}, told{at: at, payload: look},
			told{stream: event.Org, at: at, payload: eve.SkillSetDefined{SkillSetID: uuid.UUID{byte(id)}, SkillSet: eve.SkillSet{Name: user, Skills: []eve.SetSkill{{TypeID: 1, Required: 1}}}}},
			told{at: at, payload: eve.SectionObserved{CharacterID: id, Section: eve.SectionSkills, Encoding: eve.EncodingFull, FetchedAt: at, Value: json.RawMessage(`{"skills":[{"skill_id":1,"active_skill_level":1}]}`)}})
		audits = append(audits, told{stream: event.Consortium(user), at: at, payload: anvil.SweepStarted{SweepID: uuid.New(), StartedAt: at}},
			told{stream: event.Consortium(user), at: at, payload: anvil.AuditCompleted{AuditedAt: at, Models: []anvil.ModelAudited{{Model: anvil.ModelAccounts}}}})
	}
	organisation.fill(t, t, 1, events...)
	history.fill(t, t, 1, audits...)
	for name, budget := range map[string]clickhouse.Budget{
		"more than 2":      {Rows: 1_000_000, Time: time.Minute, Facts: 2},
		"more than 1 rows": {Rows: 1, Time: time.Minute, Facts: 1_000_000},
	} {
		stood := clickhouse.NewOrganisationReader(organisation.conn, live.New(twoPlaces{organisation.name, facts.name}), budget)
		went := clickhouse.NewAnVILHistoryReader(history.conn, live.New(place(history.name)), budget)
		from, to := at.Add(-time.Hour), at.Add(time.Hour)
		for question, ask := range map[string]func() error{
			"compliance": func() error {
				_, err := stood.Compliance(t.Context(), clickhouse.ComplianceQuery{From: from, To: to, Interval: clickhouse.Day})
				return err
			},
			"open": func() error {
				_, err := stood.OpenCompliance(t.Context(), clickhouse.ComplianceQuery{To: to})
				return err
			},
			"readiness": func() error {
				_, err := stood.Readiness(t.Context(), clickhouse.ReadinessQuery{From: from, To: to, Interval: clickhouse.Day})
				return err
			},
			"looks": func() error {
				_, err := stood.Looks(t.Context(), clickhouse.LookQuery{From: from, To: to, Interval: clickhouse.Day})
				return err
			},
			"audits": func() error {
				_, err := went.Audits(t.Context(), clickhouse.AuditQuery{From: from, To: to, Interval: clickhouse.Day})
				return err
			},
			"sweeps": func() error {
				_, err := went.Sweeps(t.Context(), clickhouse.AuditQuery{From: from, To: to, Interval: clickhouse.Day})
				return err
			},
		} {
			err := ask()
			if question == "looks" && budget.Facts == 2 {
				require.NoError(t, err, "ClickHouse counts them")
				continue
			}
			require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%s: %v", question, err)
			require.ErrorContains(t, err, name, question)
		}
	}
}

func TestAQuestionAboutThePastThatCannotBeIsRefused(t *testing.T) {
	stood := clickhouse.NewOrganisationReader(nil, live.New(place("x")), clickhouse.DefaultBudget())
	went := clickhouse.NewAnVILHistoryReader(nil, live.New(place("x")), clickhouse.DefaultBudget())
	at := utc(t, "2026-05-01T12:00:00Z")
	_, backwards := stood.Compliance(t.Context(), clickhouse.ComplianceQuery{From: at, To: at, Interval: clickhouse.Day})
	_, unknown := stood.Readiness(t.Context(), clickhouse.ReadinessQuery{From: at, To: at.Add(1), Interval: clickhouse.Day, GroupBy: []clickhouse.Dimension{clickhouse.ByModel}})
	_, twice := stood.Looks(t.Context(), clickhouse.LookQuery{From: at, To: at.Add(1), Interval: clickhouse.Day, GroupBy: []clickhouse.Dimension{clickhouse.ByWay, clickhouse.ByWay}})
	_, interval := went.Audits(t.Context(), clickhouse.AuditQuery{From: at, To: at.Add(1), Interval: "moon"})
	_, model := went.Sweeps(t.Context(), clickhouse.AuditQuery{From: at, To: at.Add(1), Interval: clickhouse.Day, GroupBy: []clickhouse.Dimension{clickhouse.ByModel}})
	for _, err := range []error{backwards, unknown, twice, interval, model} {
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	}
}
