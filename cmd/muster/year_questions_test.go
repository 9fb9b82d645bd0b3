//go:build linux

package main

import (
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/internal/simulate/year"
)

// The calendars of these zones change their clocks within the year, on other days; in
// Havana at midnight, in Kolkata never, but its hours begin at half past those of UTC.
const (
	yearBerlin  = "Europe/Berlin"
	yearNewYork = "America/New_York"
	yearHavana  = "America/Havana"
	yearKolkata = "Asia/Kolkata"
)

// yearCut is the day before which retention removes history.
func yearCut() time.Time { return year.Start().AddDate(0, 0, 185) }

// questions are all that the API is asked: before retention, and after it of the time that
// is kept. Those about wallets have to be there before the year is made.
func (r *yearRig) questions() (before, after func() []yearQuestion) {
	w := r.record.wallets
	r.askWallets(w)
	n := len(w.answers)
	r.askKeptWallets(w)
	answers := func(list []func() yearQuestion) []yearQuestion {
		var questions []yearQuestion
		for _, answer := range list {
			questions = append(questions, answer())
		}
		return questions
	}
	var first []yearQuestion
	return func() []yearQuestion {
			if first == nil {
				first = slices.Concat(answers(w.answers[:n]), r.askFacts(), r.askRecords(), r.askOrganisation())
			}
			return first
		}, func() []yearQuestion {
			return slices.Concat(answers(w.answers[n:]), r.askKept())
		}
}

func (r *yearRig) rangeOf(from, to, interval, zone string) *yearRange {
	return newYearRange(r.t, from, to, interval, zone)
}

// whole is the whole year.
func (r *yearRig) whole(interval, zone string) *yearRange {
	return r.rangeOf("2025-03-01T00:00:00Z", "2026-03-01T00:00:00Z", interval, zone)
}

// some are a few of the characters.
func (r *yearRig) some() yearFilter[int64] {
	return lettingPass(year.FirstCharacter, year.FirstCharacter+int64(r.size.Characters/2), year.FirstCharacter+int64(r.size.Characters-1))
}

const (
	corporationA = year.FirstCorporation + 2
	corporationB = year.FirstCorporation + 7
)

func (r *yearRig) askWallets(w *yearWallets) {
	w.series(&yearFlows{r: r.whole("month", "UTC")})
	w.series(&yearFlows{r: r.whole("day", yearBerlin)})
	w.series(&yearFlows{r: r.whole("week", yearNewYork), by: []string{"corporation"}})
	w.series(&yearFlows{r: r.whole("quarter", yearHavana), by: []string{"character"}})
	w.series(&yearFlows{r: r.whole("month", yearKolkata), by: []string{"ref_type", "direction"}})
	w.series(&yearFlows{r: r.whole("year", "UTC"), by: []string{"counterparty"}})
	w.series(&yearFlows{r: r.whole("month", yearBerlin), by: []string{"corporation", "ref_type"}, corporations: lettingPass[int64](corporationA, corporationB)})
	w.series(&yearFlows{r: r.whole("week", yearBerlin), by: []string{"character"}, characters: r.some()})
	w.series(&yearFlows{r: r.whole("month", yearNewYork), by: []string{"character", "corporation"}, corporations: lettingPass[int64](corporationA)})
	w.series(&yearFlows{r: r.whole("month", "UTC"), refTypes: lettingPass("bounty_prizes", "player_donation")})
	w.series(&yearFlows{r: r.whole("quarter", yearBerlin), by: []string{"direction"}, others: lettingPass[int64](year.Concord, year.FirstPlayer+3)})
	// Hours of the days on which clocks change.
	w.series(&yearFlows{r: r.rangeOf("2025-10-25T10:30:07Z", "2025-10-27T11:00:00Z", "hour", yearBerlin)})
	w.series(&yearFlows{r: r.rangeOf("2025-03-08T10:00:00Z", "2025-03-10T12:00:00Z", "hour", yearNewYork), by: []string{"direction"}})
	w.series(&yearFlows{r: r.rangeOf("2025-03-07T10:00:00Z", "2025-03-11T12:00:00Z", "day", yearHavana), by: []string{"ref_type"}})
	w.series(&yearFlows{r: r.rangeOf("2025-11-01T03:00:00Z", "2025-11-03T12:00:00Z", "day", yearHavana)})
	w.series(&yearFlows{r: r.rangeOf("2025-07-01T00:00:00Z", "2025-07-02T12:00:00Z", "hour", yearKolkata), by: []string{"corporation", "direction"}})
	march := func() *yearRange { return r.rangeOf("2025-03-10T00:00:00Z", "2025-04-10T00:00:00Z", "", "") }
	all := func() *yearRange { return r.rangeOf("2025-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "", "") }
	w.top(&yearFlows{r: all(), by: []string{"character"}}, "income", 10)
	w.top(&yearFlows{r: all(), by: []string{"counterparty"}}, "expense", 25)
	w.top(&yearFlows{r: march(), by: []string{"corporation", "ref_type"}}, "net", 1000)
	w.top(&yearFlows{r: all(), by: []string{"ref_type"}}, "tax", 5)
	w.top(&yearFlows{r: march(), by: []string{"character"}, refTypes: lettingPass("bounty_prizes")}, "entries", 50)
	w.distribution(&yearFlows{r: march(), by: []string{"ref_type"}})
	w.distribution(&yearFlows{r: march(), by: []string{"corporation"}})
	w.distribution(&yearFlows{r: all(), by: []string{"character"}, characters: r.some()})
	w.distribution(&yearFlows{r: r.rangeOf("2025-12-24T00:00:00Z", "2025-12-27T00:00:00Z", "", "")})
	w.comparison(&yearFlows{r: r.rangeOf("2025-09-01T00:00:00Z", "2026-03-01T00:00:00Z", "", ""), by: []string{"corporation"}},
		&yearFlows{r: r.rangeOf("2025-03-04T00:00:00Z", "2025-09-01T00:00:00Z", "", ""), by: []string{"corporation"}}, url.Values{"with": {"previous"}})
	// Of the year before nothing is known but its last month.
	w.comparison(&yearFlows{r: r.rangeOf("2026-02-20T23:00:00Z", "2026-03-30T22:00:00Z", "", ""), by: []string{"ref_type", "direction"}},
		&yearFlows{r: r.rangeOf("2025-02-20T23:00:00Z", "2025-03-30T22:00:00Z", "", ""), by: []string{"ref_type", "direction"}}, url.Values{"with": {"year_before"}, "tz": {yearBerlin}})
	w.comparison(&yearFlows{r: march(), by: []string{"character"}, characters: r.some()},
		&yearFlows{r: r.rangeOf("2025-02-07T00:00:00Z", "2025-03-10T00:00:00Z", "", ""), by: []string{"character"}, characters: r.some()}, nil)
}

// askKeptWallets asks of the time that retention leaves.
func (r *yearRig) askKeptWallets(w *yearWallets) {
	w.series(&yearFlows{r: r.kept("month", yearBerlin)})
	w.series(&yearFlows{r: r.kept("week", yearNewYork), by: []string{"ref_type", "direction"}})
	w.series(&yearFlows{r: r.kept("day", "UTC"), by: []string{"counterparty"}, others: lettingPass[int64](year.Concord)})
	w.top(&yearFlows{r: r.kept("", ""), by: []string{"counterparty"}}, "income", 20)
}

// kept is the time of which nothing was removed, from a day after the cut.
func (r *yearRig) kept(interval, zone string) *yearRange {
	return r.rangeOf(yearCut().AddDate(0, 0, 1).Format(time.RFC3339), "2026-03-01T00:00:00Z", interval, zone)
}

func (r *yearRig) askFacts() []yearQuestion {
	stays, m := r.record.stays, &r.record.market
	market := func(a yearAsk) yearQuestion {
		a.path = "/v1/analytics/market"
		return m.ask(&a, stays)
	}
	mining := func(a yearAsk) yearQuestion {
		a.path = "/v1/analytics/mining"
		return yearMining(&a, r.record.mined, stays)
	}
	points := func(a yearAsk) yearQuestion {
		a.path = "/v1/analytics/skills/points"
		return yearSkillPoints(&a, r.record.points, stays)
	}
	return []yearQuestion{
		market(yearAsk{r: r.whole("month", yearBerlin)}),
		market(yearAsk{r: r.whole("week", yearNewYork), by: []string{"type"}}),
		market(yearAsk{r: r.whole("quarter", "UTC"), by: []string{"corporation", "location"}}),
		market(yearAsk{r: r.rangeOf("2025-10-20T00:00:00Z", "2025-11-05T00:00:00Z", "day", yearBerlin), by: []string{"corporation"}, corporations: lettingPass[int64](corporationA, corporationB)}),
		market(yearAsk{r: r.whole("month", "UTC"), by: []string{"type", "location"}, types: lettingPass[int64](year.FirstType+3, year.FirstType+9)}),
		market(yearAsk{r: r.whole("month", "UTC"), by: []string{"character"}, characters: r.some(), places: lettingPass[int64](60_003_760, 60_003_763)}),
		mining(yearAsk{r: r.whole("month", "UTC")}),
		mining(yearAsk{r: r.whole("week", "UTC"), by: []string{"type"}}),
		mining(yearAsk{r: r.whole("quarter", "UTC"), by: []string{"corporation", "solar_system"}, corporations: lettingPass[int64](corporationA)}),
		mining(yearAsk{r: r.rangeOf("2025-05-05T12:00:00Z", "2025-06-05T00:00:00Z", "day", "UTC"), types: lettingPass[int64](year.FirstType+year.Types-1, year.FirstType+year.Types-2), places: lettingPass[int64](30_000_101)}),
		mining(yearAsk{r: r.whole("month", "UTC"), by: []string{"character"}, characters: r.some()}),
		points(yearAsk{r: r.whole("month", yearBerlin)}),
		points(yearAsk{r: r.whole("week", yearNewYork), by: []string{"corporation"}}),
		points(yearAsk{r: r.whole("quarter", yearHavana), by: []string{"character"}}),
		points(yearAsk{r: r.rangeOf("2025-08-01T00:00:00Z", "2025-08-08T00:00:00Z", "day", yearKolkata), by: []string{"character", "corporation"}, characters: r.some()}),
		points(yearAsk{r: r.whole("month", "UTC"), corporations: lettingPass[int64](corporationA, corporationB)}),
	}
}

func (r *yearRig) askRecords() []yearQuestion {
	d, stays := r.record, r.record.stays
	contracts := func(asOf time.Time, a yearAsk, kinds, statuses, roles yearFilter[string]) yearQuestion {
		a.path, a.more = "/v1/analytics/contracts", url.Values{}
		kinds.set(a.more, "type")
		statuses.set(a.more, "status")
		roles.set(a.more, "role")
		if !asOf.IsZero() {
			a.more.Set("as_of", asOf.Format(time.RFC3339))
		}
		return yearContracts(&a, d.contracts, stays, asOf, kinds, statuses, roles)
	}
	killmails := func(a yearAsk, outcomes yearFilter[string]) yearQuestion {
		a.path, a.more = "/v1/analytics/killmails", url.Values{}
		outcomes.set(a.more, "outcome")
		return yearKillmails(&a, d.killmails, stays, outcomes)
	}
	mails := func(a yearAsk, directions yearFilter[string]) yearQuestion {
		a.path, a.more = "/v1/analytics/mails", url.Values{}
		directions.set(a.more, "direction")
		return yearMails(&a, d.mails, stays, directions)
	}
	notifications := func(a yearAsk, kinds yearFilter[string]) yearQuestion {
		a.path, a.more = "/v1/analytics/notifications", url.Values{}
		kinds.set(a.more, "type")
		return yearNotifications(&a, d.notifications, stays, kinds)
	}
	sync := func(a yearAsk, sections, classes yearFilter[string]) yearQuestion {
		a.path, a.more = "/v1/analytics/sync", url.Values{}
		sections.set(a.more, "section")
		classes.set(a.more, "class")
		return yearSync(&a, d.steps, &d.words, stays, sections, classes)
	}
	activity := func(a yearAsk) yearQuestion {
		a.path = "/v1/analytics/activity"
		q := yearActivity(&a, d.sessions, d.looks, stays)
		return q
	}
	var now time.Time
	summer := time.Date(2025, 8, 15, 12, 0, 0, 0, time.UTC)
	return []yearQuestion{
		contracts(now, yearAsk{r: r.whole("month", yearBerlin)}, nil, nil, nil),
		contracts(now, yearAsk{r: r.whole("week", yearNewYork), by: []string{"type", "status"}}, nil, nil, nil),
		contracts(now, yearAsk{r: r.whole("quarter", "UTC"), by: []string{"role", "corporation"}}, nil, nil, nil),
		contracts(now, yearAsk{r: r.whole("month", "UTC"), by: []string{"counterparty"}}, lettingPass("courier"), nil, lettingPass("issuer")),
		contracts(now, yearAsk{r: r.rangeOf("2025-10-20T00:00:00Z", "2025-11-05T00:00:00Z", "day", yearBerlin), by: []string{"corporation"}, corporations: lettingPass[int64](corporationA, corporationB)}, nil, lettingPass("finished", "cancelled"), nil),
		contracts(summer, yearAsk{r: r.rangeOf("2025-07-01T00:00:00Z", "2025-09-01T00:00:00Z", "week", yearBerlin), by: []string{"status"}}, nil, nil, nil),
		contracts(summer, yearAsk{r: r.rangeOf("2025-03-01T00:00:00Z", "2025-09-01T00:00:00Z", "month", "UTC"), others: lettingPass[int64](year.FirstPlayer+1, year.FirstPlayer+2)}, nil, nil, nil),
		killmails(yearAsk{r: r.whole("month", yearBerlin)}, nil),
		killmails(yearAsk{r: r.whole("quarter", yearNewYork), by: []string{"ship_type", "outcome"}}, nil),
		killmails(yearAsk{r: r.whole("week", "UTC"), by: []string{"corporation"}, corporations: lettingPass[int64](corporationA, corporationB)}, nil),
		killmails(yearAsk{r: r.whole("month", "UTC"), by: []string{"character", "solar_system"}, characters: r.some(), places: lettingPass[int64](30_000_100, 30_000_101)}, lettingPass("loss")),
		killmails(yearAsk{r: r.whole("year", "UTC"), types: lettingPass[int64](year.FirstType + year.Types - 1)}, nil),
		mails(yearAsk{r: r.whole("month", yearBerlin)}, nil),
		mails(yearAsk{r: r.whole("week", yearNewYork), by: []string{"corporation", "direction"}}, nil),
		mails(yearAsk{r: r.whole("quarter", "UTC"), by: []string{"counterparty"}}, lettingPass("sent")),
		mails(yearAsk{r: r.whole("month", "UTC"), others: lettingPass[int64](year.FirstPlayer+1, year.FirstPlayer+4)}, nil),
		notifications(yearAsk{r: r.whole("day", yearBerlin)}, nil),
		notifications(yearAsk{r: r.whole("month", yearNewYork), by: []string{"type", "corporation"}}, nil),
		notifications(yearAsk{r: r.whole("month", "UTC"), by: []string{"sender"}, characters: r.some()}, lettingPass("BillOutOfMoneyMsg", "KillReportVictim")),
		sync(yearAsk{r: r.whole("month", yearBerlin)}, nil, nil),
		sync(yearAsk{r: r.whole("week", yearNewYork), by: []string{"section", "class"}}, nil, nil),
		sync(yearAsk{r: r.whole("month", "UTC"), by: []string{"corporation"}}, lettingPass("mails", "assets"), nil),
		sync(yearAsk{r: r.whole("quarter", "UTC"), by: []string{"character", "section"}, characters: r.some()}, nil, lettingPass("token", "server")),
		activity(yearAsk{r: r.rangeOf("2025-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "", yearBerlin)}),
		activity(yearAsk{r: r.rangeOf("2025-10-20T11:00:00Z", "2025-11-10T07:30:00Z", "", yearNewYork), by: []string{"corporation"}}),
		activity(yearAsk{r: r.rangeOf("2025-06-01T00:00:00Z", "2025-07-01T00:00:00Z", "", yearKolkata), by: []string{"character"}, characters: r.some()}),
	}
}

func (r *yearRig) askOrganisation() []yearQuestion {
	u, d := &r.record.users, &r.record.doctrine
	compliance := func(a yearAsk) yearQuestion {
		a.path = "/v1/analytics/compliance"
		return u.compliance(&a)
	}
	readiness := func(a yearAsk, sets ...uuid.UUID) yearQuestion {
		a.path = "/v1/analytics/skill-sets"
		return d.readiness(&a, sets...)
	}
	looks := func(a yearAsk, owner string, viewers, sections yearFilter[string]) yearQuestion {
		a.path = "/v1/analytics/access-log"
		return yearLooks(&a, r.record.viewed, owner, viewers, sections)
	}
	summer := time.Date(2025, 8, 15, 12, 0, 0, 0, time.UTC)
	return []yearQuestion{
		compliance(yearAsk{r: r.whole("month", yearBerlin)}),
		compliance(yearAsk{r: r.whole("week", yearNewYork), by: []string{"cause"}}),
		compliance(yearAsk{r: r.whole("month", "UTC"), by: []string{"corporation", "cause"}}),
		compliance(yearAsk{r: r.rangeOf("2025-10-20T00:00:00Z", "2025-11-05T00:00:00Z", "day", yearBerlin), corporations: lettingPass[int64](corporationA, corporationB)}),
		u.open(summer, nil),
		u.open(summer, lettingPass[int64](corporationA, corporationB)),
		readiness(yearAsk{r: r.whole("month", yearBerlin)}),
		readiness(yearAsk{r: r.whole("week", yearNewYork), by: []string{"group"}}),
		readiness(yearAsk{r: r.whole("quarter", "UTC"), by: []string{"corporation"}}),
		readiness(yearAsk{r: r.rangeOf("2025-05-20T00:00:00Z", "2025-06-05T00:00:00Z", "day", yearBerlin), by: []string{"corporation"}, corporations: lettingPass[int64](corporationA)}, d.sets[0].ID),
		readiness(yearAsk{r: r.rangeOf("2025-03-01T00:00:00Z", "2025-06-05T00:00:00Z", "month", "UTC"), by: []string{"character"}}, d.sets[1].ID),
		looks(yearAsk{r: r.whole("month", yearBerlin)}, "", nil, nil),
		looks(yearAsk{r: r.whole("week", yearNewYork), by: []string{"section", "way"}}, "", nil, nil),
		looks(yearAsk{r: r.whole("quarter", "UTC"), by: []string{"owner"}}, "", nil, lettingPass("skills", "assets")),
		looks(yearAsk{r: r.whole("month", "UTC"), by: []string{"viewer"}}, "user-0001", nil, nil),
	}
}

// askKept asks of records of the time that retention leaves.
func (r *yearRig) askKept() []yearQuestion {
	d, stays := r.record, r.record.stays
	mails := yearAsk{path: "/v1/analytics/mails", r: r.kept("week", yearBerlin), by: []string{"corporation"}}
	mining := yearAsk{path: "/v1/analytics/mining", r: r.kept("month", "UTC"), by: []string{"type"}}
	compliance := yearAsk{path: "/v1/analytics/compliance", r: r.whole("month", yearBerlin), by: []string{"cause"}}
	return []yearQuestion{yearMails(&mails, d.mails, stays, nil), yearMining(&mining, d.mined, stays), d.users.compliance(&compliance)}
}
