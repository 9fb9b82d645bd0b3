//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// fitting is what somebody pastes; one of its lines is nothing that EVE knows.
const fitting = "[Rifter, Rifter brawler]\nDamage Control II\n\n200mm AutoCannon II\nNo Such Module XL\n"

// organisation: a director sees who is not compliant and why, skill sets are made and held
// against everybody, an analyst reads figures and takes them along, and a member sees who
// looked at what is his.
func (p *site) organisation(t *testing.T) {
	var all struct {
		Items []struct {
			ID   int64  `json:"character_id"`
			Name string `json:"name"`
			User string `json:"user_id"`
		} `json:"items"`
	}
	p.read(t, "/v1/characters?limit=1000", &all)
	mains := map[string]int64{}
	for _, c := range all.Items {
		if _, ok := mains[c.User]; !ok && c.User != "" {
			mains[c.User] = c.ID
		}
	}
	require.Greater(t, len(mains), 2)
	chief := p.as(t, 90000001)
	var others []string
	for user := range mains {
		var who struct {
			Permissions []struct {
				Permission string `json:"permission"`
			} `json:"permissions"`
			Superuser bool `json:"superuser"`
		}
		p.read(t, "/v1/users/"+user, &who)
		if user != "u1" && !who.Superuser && !strings.Contains(fmt.Sprint(who.Permissions), "reports_access") {
			others = append(others, user)
		}
	}
	require.GreaterOrEqual(t, len(others), 2, "the demo has members")
	p.grant(t, others[0], "Director", "basic_access", "reports_access", "view_everything")

	t.Run("compliance", func(t *testing.T) { p.compliance(t, p.as(t, mains[others[0]]), chief) })
	t.Run("skill sets", func(t *testing.T) { p.skillSets(t, chief) })
	t.Run("figures", func(t *testing.T) { p.figures(t, chief) })
	t.Run("who looked", func(t *testing.T) { p.whoLooked(t, chief, p.as(t, mains[others[1]]), mains[others[1]], others[1]) })
	t.Run("who may not", func(t *testing.T) {
		member := p.as(t, mains[others[1]])
		home := member.open("/")
		require.NotContains(t, home, "Compliance", "what he may not do is not offered")
		require.Contains(t, member.openTo(http.StatusForbidden, "/compliance"), "You may not do this")
		require.Contains(t, member.openTo(http.StatusForbidden, "/skill-sets/new"), "superusers")
		require.Contains(t, member.openTo(http.StatusForbidden, "/exports"), "You may not do this")
		require.Contains(t, member.openTo(http.StatusNotFound, "/skill-sets/01980000-0000-7000-8000-000000000000"), "There is no such thing")
	})
}

// compliance: a director finds who has something to put right, and why.
func (p *site) compliance(t *testing.T, director, chief *person) {
	t.Helper()
	chief.t = t
	text := director.open("/compliance")
	require.Contains(t, text, "compliant")
	require.NotContains(t, text, "Ilse")
	require.Contains(t, director.open("/compliance/open"), "Nobody is non-compliant.")
	require.Contains(t, director.open("/compliance/groups"), "There is no compliance group yet.")
	require.NotContains(t, director.look(), "Define a group", "groups are for superusers to define")

	status, answer := p.ask(t, http.MethodPost, "/v1/import", `{"users": [{"id": "ilse", "name": "Ilse", "superuser": false, "active": true, "state": "Member",
		"permissions": ["basic_access"], "main": 91000001, "characters": [91000001, 91000002]}], "characters": [
		{"id": 91000001, "name": "Ilse Blythe", "corporation_id": 98000001, "alliance_id": null, "registered": true, "shared": false, "owner": "ilse"},
		{"id": 91000002, "name": "Ilse Second", "corporation_id": 98000001, "alliance_id": null, "registered": false, "shared": false, "owner": "ilse"}]}`)
	require.Less(t, status, 300, answer)
	p.eventually("the report has the new user", func(ctx context.Context) error {
		var report struct {
			Items []struct {
				Compliant bool `json:"compliant"`
			} `json:"items"`
		}
		if err := p.get(ctx, p.apiURL+"/v1/reports/compliance/users?user_id=ilse", &report); err != nil {
			return err
		}
		if len(report.Items) != 1 || report.Items[0].Compliant {
			return fmt.Errorf("it has %v", report.Items)
		}
		return nil
	})
	director.open("/compliance")
	require.Equal(t, 1, director.count("#list-compliance-users tr.warn"), "orange: something is registered, not all")
	director.shot("compliance")
	director.choose(`select[name="compliant"]`, "false")
	// The list is exchanged: what is looked at is the new one, no more faded.
	director.do(chromedp.Poll(`document.querySelectorAll("#list-compliance-users tbody tr").length === 1 && !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling")`, nil, chromedp.WithPollingTimeout(0)))
	director.shows("#list-compliance-users", "never registered")
	require.Contains(t, director.look(), "Ilse Second")
	story := director.follow(`#list-compliance-users tbody tr td a`)
	require.Contains(t, story, "not compliant")
	require.Contains(t, story, "What there is to be put right")
	require.Contains(t, story, "91000002")
	director.shot("compliance-why")
	require.Contains(t, director.open("/compliance/corporations"), "partly compliant", "never rounded up to all")
	require.Contains(t, director.open("/compliance/open"), "never registered")
	require.Contains(t, director.open("/compliance/trend?range=7"), "Not compliant")
	require.Equal(t, 3, director.count("figure.chart canvas"), "charts are drawn from their tables")
	director.shot("compliance-trend")
	require.Contains(t, director.open("/compliance/trend?range=7&group_by=cause"), "never registered")
	director.openTo(http.StatusNotFound, "/compliance/users/nobody")

	chief.open("/compliance/groups")
	chief.fill(`#define input[name="name"]`, "All in order")
	chief.fill(`#define input[name="states"]`, "Member")
	require.Contains(t, chief.follow(`#define button[value="define"]`), "The group is defined")
	chief.do(chromedp.Evaluate(`window.confirm = () => true; true`, nil))
	require.Contains(t, chief.follow(`#define button[value="remove"]`), "The group is removed.")
}

// skillSets: somebody makes a skill set of a fitting, with a mistake first, and sees who comes
// closest.
func (p *site) skillSets(t *testing.T, chief *person) {
	t.Helper()
	chief.t = t
	require.Contains(t, chief.open("/skill-sets"), "There is no such skill set yet.")
	chief.open("/skill-sets/import")
	chief.do(chromedp.SetValue(`textarea[name="text"]`, "this is no fitting", chromedp.ByQuery))
	chief.follow(`button[value="preview"]`)
	chief.shows(`[role="alert"]`, "fitting")
	var typed string
	chief.do(chromedp.Value(`textarea[name="text"]`, &typed, chromedp.ByQuery))
	require.Equal(t, "this is no fitting", typed, "what was typed is kept")
	chief.do(chromedp.SetValue(`textarea[name="text"]`, fitting, chromedp.ByQuery))
	read := chief.follow(`button[value="preview"]`)
	require.Contains(t, read, "No Such Module XL", "lines that are ignored are shown")
	require.Contains(t, read, "Minmatar Frigate")
	chief.shot("skill-set-import")
	require.Contains(t, chief.follow(`button[value="make"]`), "The skill set is saved.")
	p.eventually("the skill set is there", func(ctx context.Context) error {
		var sets struct {
			Items []struct{} `json:"items"`
		}
		if err := p.get(ctx, p.apiURL+"/v1/skill-sets", &sets); err != nil || len(sets.Items) == 1 {
			return err
		}
		return fmt.Errorf("there are %d", len(sets.Items))
	})
	chief.open("/skill-sets")
	set := chief.follow(`#list-skill-sets tbody a`)
	require.Contains(t, set, "Who is closest")
	require.Positive(t, chief.count("#list-skill-set-closest tbody tr"))
	chief.shot("skill-set")
	require.Contains(t, chief.follow(`#list-skill-set-closest tbody tr td:last-child a`), "Missing skills, to copy")
	var missing string
	chief.do(chromedp.Value(`#missing`, &missing, chromedp.ByQuery))
	require.Regexp(t, `^[A-Z][A-Za-z ]+ [IV]+`, missing)

	// The same name again is refused, and nothing typed is lost.
	chief.open("/skill-sets/new")
	chief.fill(`input[name="name"]`, "rifter BRAWLER")
	chief.do(chromedp.SetValue(`input[name="skill"]`, "Gunnery", chromedp.ByQuery), chromedp.SetValue(`select[name="required"]`, "4", chromedp.ByQuery))
	chief.follow(`button[value="more"]`)
	require.Equal(t, 6, chief.count(`input[name="skill"]`), "one that was typed and five empty ones")
	chief.follow(`button[value="save"]`)
	chief.shows(`[role="alert"]`, "name")
	chief.fill(`input[name="name"]`, "Gunners")
	require.Contains(t, chief.follow(`button[value="save"]`), "The skill set is saved.")
	chief.open("/skill-sets/groups")
	chief.fill(`#define input[name="name"]`, "Home defence")
	chief.do(chromedp.Click(`#define input[name="doctrine"]`, chromedp.ByQuery), chromedp.Click(`#define input[name="skill_set_ids"]`, chromedp.ByQuery))
	require.Contains(t, chief.follow(`#define button[value="save"]`), "is saved")
	chief.open("/skill-sets/groups")
	chief.shows("#list-skill-set-groups", "Doctrine: Home defence")
	report := chief.open("/skill-sets/report")
	require.Contains(t, report, "Gunners")
	require.Contains(t, report, "Rifter brawler")
	require.Contains(t, chief.open("/skill-sets/readiness?range=1"), "Gunners")
	chief.shot("readiness")
}

// fetched asks for a file as the browser would, with its session.
func (w *person) fetched(href string) (status int, disposition, text string) {
	w.t.Helper()
	var answer struct {
		Status      int    `json:"status"`
		Disposition string `json:"disposition"`
		Text        string `json:"text"`
	}
	w.do(chromedp.Evaluate(`fetch(`+fmt.Sprintf("%q", href)+`).then(r => r.text().then(t => ({status: r.status, disposition: r.headers.get("Content-Disposition") || "", text: t})))`, &answer,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return answer.Status, answer.Disposition, answer.Text
}

// figures: an analyst reads the trend of wallets, and takes the figures and a whole
// collection along.
func (p *site) figures(t *testing.T, analyst *person) {
	t.Helper()
	analyst.t = t
	text := analyst.open("/analytics/wallet?range=90")
	require.Contains(t, text, "Balance at the end")
	require.Equal(t, 2, analyst.count("figure.chart canvas"))
	analyst.shot("analytics-wallet")
	analyst.choose(`select[name="group_by"]`, "ref_type")
	analyst.shows("#figures", "What each comes to")
	var csv string
	analyst.do(chromedp.AttributeValue(`#figures .files a`, "href", &csv, nil, chromedp.ByQuery))
	status, disposition, file := analyst.fetched(csv)
	require.Equal(t, http.StatusOK, status, file)
	require.Contains(t, disposition, "wallet.csv")
	require.True(t, strings.HasPrefix(file, "start,end,"), file[:min(len(file), 100)])
	require.Contains(t, file, "bounty_prizes")

	for _, page := range []string{"market", "mining", "contracts", "skills", "killmails", "activity", "mails", "notifications", "sync", "wallet/top", "wallet/distribution", "wallet/comparison"} {
		analyst.open("/analytics/" + page)
	}
	analyst.open("/analytics/activity?range=7&tz=Europe/Berlin")
	require.Equal(t, 7*24, analyst.count("table.heat td[class]"))
	analyst.shot("analytics-activity")
	require.Contains(t, analyst.openTo(http.StatusUnprocessableEntity, "/analytics/wallet?tz=Middle/Earth"), "no time zone")
	require.Equal(t, 1, analyst.count(`form.filters select[name="interval"]`), "the question can be put in another way")
	require.Contains(t, analyst.openTo(http.StatusUnprocessableEntity, "/analytics/wallet?from=2000-01-01&interval=hour"), "coarser")
	require.Contains(t, analyst.open("/analytics/market?from=2001-01-01&to=2001-01-31"), "0.00")

	analyst.open("/exports")
	analyst.shot("exports")
	status, disposition, file = analyst.fetched("/exports/wallet-journal/download?format=csv")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, disposition, "muster_wallet-journal.csv")
	require.Greater(t, strings.Count(file, "\n"), 100)
	status, _, file = analyst.fetched("/exports/wallet-journal/download?format=csv&character_id=-5")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, file, "character_id", "the page says what is wrong")
	analyst.size(390, 844)
	analyst.open("/analytics/wallet")
	analyst.open("/analytics/activity")
	analyst.open("/skill-sets/report")
	analyst.open("/compliance")
	analyst.open("/exports")
	analyst.size(1280, 900)
}

// whoLooked: a member sees who looked at what is his, and makes a token for a program of his.
func (p *site) whoLooked(t *testing.T, chief, member *person, character int64, user string) {
	t.Helper()
	chief.t = t
	chief.open(fmt.Sprintf("/characters/%d", character))
	p.eventually("the look is told", func(ctx context.Context) error {
		var looks struct {
			Items []struct {
				Section string `json:"section"`
			} `json:"items"`
		}
		if err := p.get(ctx, p.apiURL+"/v1/access-log?section=character&user_id="+url.QueryEscape(user), &looks); err != nil || len(looks.Items) > 0 {
			return err
		}
		return fmt.Errorf("there is no entry")
	})
	me := member.open("/me")
	require.Contains(t, me, "the character itself")
	require.Contains(t, me, "may see everything")
	require.Contains(t, me, "Use Muster")
	member.shot("me")
	mine := member.open("/access-log")
	require.Equal(t, 0, member.count(`.filters input[name="user_id"]`), "others' looks are not his to ask for")
	require.Contains(t, mine, "may see everything")
	require.Contains(t, member.open("/access-log/trend?range=1"), "Looks")
	require.Contains(t, chief.open("/access-log"), "may see everything")
	chief.open("/access-log/trend?range=1&group_by=viewer")

	require.Contains(t, member.open("/me/tokens"), "There is no token.")
	member.fill(`#issue input[name="name"]`, "spreadsheet")
	issued := member.follow(`#issue button`)
	require.Regexp(t, `muster_tok_[A-Z2-7]{59}`, issued)
	require.NotContains(t, member.open("/me/tokens"), "muster_tok_", "it is shown this once")
	member.do(chromedp.Evaluate(`window.confirm = () => true; true`, nil))
	require.Contains(t, member.follow(`button.danger`), "good for nothing any more")
}
