//go:build linux

package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// anvilFinding is what the tests need of a finding.
type anvilFinding struct {
	ID     string `json:"finding_id"`
	Scope  string `json:"scope"`
	Record string `json:"record"`
	Kind   string `json:"kind"`
	State  string `json:"state"`
}

// anvil: an auditor reads why a record differs, and a steward of the declaration settles it.
func (p *site) anvil(t *testing.T) {
	p.wasSwept(t)
	chief := p.as(t, 90000001)
	p.readsAStory(t, chief)
	p.declaresAMembership(t, chief)
	p.acceptsAFinding(t, chief)
	p.reviewsAudits(t, chief)
	p.declaresAConsortium(t, chief)
	p.mayNot(t)
}

// wasSwept waits until AnVIL was asked about everything once, and what differs is known.
func (p *site) wasSwept(t *testing.T) {
	require.Eventually(t, func() bool {
		var all struct {
			Items []struct {
				SweptAt *time.Time `json:"swept_at"`
				High    int        `json:"high"`
			} `json:"items"`
		}
		p.read(t, "/v1/anvil?consortium=demo", &all)
		return len(all.Items) == 1 && all.Items[0].SweptAt != nil && all.Items[0].High > 0
	}, 2*time.Minute, 500*time.Millisecond)
}

// mayNot: who may not read consortia is told so, and is offered nothing of them.
func (p *site) mayNot(t *testing.T) {
	var all struct {
		Items []struct {
			ID   int64  `json:"character_id"`
			User string `json:"user_id"`
		} `json:"items"`
	}
	p.read(t, "/v1/characters?limit=1000", &all)
	for _, c := range all.Items {
		if c.User == "u1" || c.User == "" {
			continue
		}
		member := p.as(t, c.ID)
		for _, path := range []string{"/anvil", "/anvil/demo", "/anvil/demo/findings", "/anvil/demo/declared", "/anvil/demo/sweeps"} {
			require.Contains(t, member.openTo(http.StatusForbidden, path), "You may not do this")
		}
		require.Zero(t, member.count(`nav.side a[href="/anvil"]`), "what one may not see is not offered")
		break
	}
	require.Contains(t, p.nobody(t).open("/anvil/demo"), "Sign in with EVE Online")
}

// readsAStory goes from the list of consortia to the event that a finding rests on.
func (p *site) readsAStory(t *testing.T, chief *person) {
	require.Contains(t, chief.open("/anvil"), "demo")
	chief.shot("anvil-consortia")
	text := chief.follow(`#list-anvil-consortia tbody a[href="/anvil/demo"]`)
	require.Contains(t, text, "How each audit stands")
	require.Contains(t, text, "Open findings")
	chief.shot("anvil-overview")

	text = chief.follow(`nav.tabs a[href="/anvil/demo/findings"]`)
	require.NotContains(t, text, "Nothing differs")
	chief.choose(`select[name="severity"]`, "high")
	chief.shows("#list-findings", "high")
	chief.shot("anvil-findings")
	text = chief.follow("#list-findings tbody td:nth-child(3) a")
	for _, heading := range []string{"Declared", "Observed", "Why it is there", "What happened, on both sides", "The finding was opened"} {
		require.Contains(t, text, heading)
	}
	require.Positive(t, chief.count("ol.story li.observed"))
	require.Positive(t, chief.count("ol.story li.mark"))
	chief.shot("anvil-finding")
	var event string
	var ok bool
	chief.do(chromedp.AttributeValue("ol.story li a", "href", &event, &ok, chromedp.ByQuery))
	require.True(t, ok)
	status, body := p.ask(t, http.MethodGet, "/v1"+event, "")
	require.Equal(t, http.StatusOK, status, body)

	chief.size(390, 844)
	chief.do(chromedp.Reload(), chromedp.WaitReady("ol.story"))
	chief.look()
	chief.shot("anvil-finding-phone")
	chief.open("/anvil/demo")
	chief.size(1280, 900)

	require.Contains(t, chief.openTo(http.StatusNotFound, "/anvil/nowhere"), "There is no such thing")
	require.Contains(t, chief.openTo(http.StatusNotFound, "/anvil/demo/findings/5f1c1d6e-6d1f-5b7e-9a53-2f4d3c1b7a10"), "There is no such thing")
}

// undeclaredMember is an open finding of an account that is in a group and not declared so.
func (p *site) undeclaredMember(t *testing.T) (found anvilFinding, account string) {
	var findings struct {
		Items []anvilFinding `json:"items"`
	}
	p.read(t, "/v1/anvil/demo/findings?model=managed_group_memberships&limit=1000", &findings)
	var declared struct {
		Accounts []struct {
			Email  string `json:"email"`
			Status string `json:"status"`
		} `json:"accounts"`
	}
	p.read(t, "/v1/anvil/demo/declared", &declared)
	active := map[string]bool{}
	for _, a := range declared.Accounts {
		active[a.Email] = a.Status == "active"
	}
	for _, f := range findings.Items {
		if email, ok := strings.CutPrefix(f.Record, "MEMBER: "); ok && f.Kind == "not_in_app" && active[email] {
			return f, email
		}
	}
	require.Fail(t, "the example has no account in a group that is not declared so")
	return found, ""
}

// declaresAMembership declares what somebody has forgotten to, and sees the finding go.
func (p *site) declaresAMembership(t *testing.T, chief *person) {
	found, account := p.undeclaredMember(t)
	chief.open("/anvil/demo/declared/group_account_memberships")
	chief.shot("anvil-declared")
	chief.follow(`.actions a[role="button"]`)
	// What breaks a rule is said at the form, and what was typed stays.
	chief.fill(`input[name="group"]`, "no_such_group")
	chief.fill(`input[name="account"]`, account)
	text := chief.follow("form.stack button")
	require.Contains(t, text, "no_such_group")
	require.Equal(t, 1, chief.count(".said[role=alert]"))
	require.Equal(t, account, chief.valueOf(`input[name="account"]`))

	chief.fill(`input[name="group"]`, found.Scope)
	text = chief.follow("form.stack button")
	require.Contains(t, text, "Nothing has changed yet")
	require.Contains(t, text, found.Scope+"/"+account)
	chief.shot("anvil-plan")
	var before struct {
		Memberships []struct{ Group, Account string } `json:"group_account_memberships"`
	}
	p.read(t, "/v1/anvil/demo/declared", &before)
	require.NotContains(t, before.Memberships, struct{ Group, Account string }{found.Scope, account}, "a plan changes nothing")
	chief.fill(`input[name="reason"]`, "approved in May")
	require.Contains(t, chief.follow("form.stack button"), "It is declared.")

	chief.open("/anvil/demo/sweeps")
	chief.fill(`input[name="groups"]`, found.Scope)
	text = chief.follow("form.stack button")
	require.Contains(t, text, "only "+found.Scope)
	chief.shot("anvil-sweeps")
	var now anvilFinding
	require.Eventually(t, func() bool {
		p.read(t, "/v1/anvil/demo/findings/"+found.ID, &now)
		return now.State == "resolved"
	}, time.Minute, 200*time.Millisecond)
	text = chief.open("/anvil/demo/findings/" + found.ID)
	require.Contains(t, text, "What settled it")
	require.Contains(t, text, "approved in May")

	// And back: the form of what is declared withdraws it.
	chief.open("/anvil/demo/declared/group_account_memberships/record?" + url.Values{"group": {found.Scope}, "account": {account}}.Encode())
	require.Contains(t, chief.follow(`button[value="withdraw"]`), "withdrawn")
	chief.follow(".actions a")
	chief.open("/anvil/demo/declared/accounts/record?email=" + url.QueryEscape(account))
	require.Contains(t, chief.follow(`button[value="deactivate"]`), "inactive")
	// What others refer to cannot go alone; the answer says why.
	chief.open("/anvil/demo/declared/managed_groups/record?name=" + url.QueryEscape(found.Scope))
	require.Contains(t, chief.follow(`button[value="withdraw"]`), found.Scope)
	require.Equal(t, 1, chief.count(".said[role=alert]"))
}

// acceptsAFinding accepts a finding for a while, and ends that.
func (p *site) acceptsAFinding(t *testing.T, chief *person) {
	var findings struct {
		Items []anvilFinding `json:"items"`
	}
	p.read(t, "/v1/anvil/demo/findings?model=accounts&limit=1", &findings)
	require.NotEmpty(t, findings.Items)
	path := "/anvil/demo/findings/" + findings.Items[0].ID
	chief.open(path)
	chief.fill(`form.stack input[name="reason"]`, "a guest of the year")
	chief.do(chromedp.SetValue(`input[name="until"]`, "2001-01-01", chromedp.ByQuery))
	chief.follow(`button[value="accept"]`)
	require.Equal(t, 1, chief.count(".said[role=alert]"), "an end in the past is none")
	require.Equal(t, "a guest of the year", chief.valueOf(`form.stack input[name="reason"]`))
	chief.do(chromedp.SetValue(`input[name="until"]`, strconv.Itoa(time.Now().Year()+1)+"-01-01", chromedp.ByQuery))
	text := chief.follow(`button[value="accept"]`)
	require.Contains(t, text, "The finding is accepted as it is.")
	require.Contains(t, text, "a guest of the year")
	require.Contains(t, chief.open("/anvil/demo/findings?accepted=true"), "accepted by user:u1")
	chief.open(path)
	require.Contains(t, chief.follow(`button[value="end"]`), "The acceptance is ended.")
}

// reviewsAudits looks at audits as the peer has them, and at who can come where.
func (p *site) reviewsAudits(t *testing.T, chief *person) {
	require.Contains(t, chief.open("/anvil/demo/audits"), "problems found")
	chief.shot("anvil-audits")
	require.Contains(t, chief.follow(`#list-anvil-outcomes a[href="/anvil/demo/audits/managed_groups"]`), "Group membership does not match in AnVIL")
	chief.follow("#list-anvil-managed_group_memberships tbody a")
	chief.shot("anvil-audit-of-group")
	require.Contains(t, chief.open("/anvil/demo/audits/accounts?compat=true"), "exactly the results of django-anvil-consortium-manager")
	chief.open("/anvil/demo/audits/workspaces")
	require.Contains(t, chief.follow(".actions form button"), "AnVIL was asked; this is how it stands now.")
	require.Contains(t, chief.open("/anvil/demo/audits/runs?model=accounts"), "a sweep")
	chief.openTo(http.StatusUnprocessableEntity, "/anvil/demo/audits?as_of=2999-01-01T00:00")

	chief.open("/anvil/demo/access")
	chief.follow("ul.columns a")
	require.Positive(t, chief.count("#list-anvil-access tbody tr"))
	chief.shot("anvil-access")
	chief.follow("#list-anvil-access tbody a")
	require.Positive(t, chief.count("#list-anvil-access-of tbody tr"))

	german := chief.follow(`button[name="language"]`)
	require.Contains(t, german, "Konsortien")
	require.Contains(t, german, "In welche Arbeitsbereiche die Adresse kommt")
	chief.follow(`button[name="language"]`)
	chief.openTo(http.StatusNotFound, "/anvil/demo/access/workspaces/no/where")
}

// declaresAConsortium declares a new consortium by a whole file, which it gets wrong first.
func (p *site) declaresAConsortium(t *testing.T, chief *person) {
	chief.open("/anvil")
	chief.fill(`input[name="declare"]`, "fresh")
	chief.follow("main form button")
	for _, bad := range []string{"accounts: [", "service_account: sa@example.org\nmoons: []\n"} {
		chief.do(chromedp.SetValue("textarea[name=text]", bad, chromedp.ByQuery))
		chief.follow("form.stack button")
		require.Equal(t, 1, chief.count(".said[role=alert]"))
		require.Equal(t, bad, chief.valueOf("textarea[name=text]"), "what was pasted stays")
	}
	chief.do(chromedp.SetValue("textarea[name=text]", "service_account: sa@example.org\n", chromedp.ByQuery))
	require.Contains(t, chief.follow("form.stack button"), "sa@example.org")
	chief.fill(`input[name="reason"]`, "a new one")
	require.Contains(t, chief.follow("form.stack button"), "It is declared.")

	// What the first sweep finds comes to the page by itself.
	chief.open("/anvil")
	chief.shows("[sse-connect] td", "fresh")

	// What AnVIL has can be looked at before it is declared.
	chief.open("/anvil/fresh/import")
	require.Contains(t, chief.follow("form.stack button"), "The plan")
	chief.follow(".actions a, main > p > a")

	// Of what is not there each page says so. What AnVIL has may have been seen by now.
	chief.open("/anvil/fresh")
	require.Contains(t, chief.open("/anvil/fresh/findings?accepted=true"), "Nothing differs")
	chief.open("/anvil/fresh/audits")
	chief.open("/anvil/fresh/sweeps")
	require.Contains(t, chief.open("/anvil/fresh/declared"), "Nothing of the kind is declared")
	chief.open("/anvil/fresh/access")
}

// valueOf is what is in a field.
func (w *person) valueOf(selector string) string {
	w.t.Helper()
	var value string
	w.do(chromedp.Value(selector, &value, chromedp.ByQuery))
	return value
}
