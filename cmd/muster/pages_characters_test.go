//go:build linux

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// organised are characters with their owners.
type organised struct {
	ID   int64  `json:"character_id"`
	Name string `json:"name"`
	User string `json:"user_id"`
}

// characters: a member sees his characters at a glance, and a recruiter finds and vets others.
func (p *site) characters(t *testing.T) {
	nobody := p.nobody(t)
	require.Contains(t, nobody.open("/"), "Sign in with EVE Online", "who has not signed in is asked to")

	var all struct {
		Items []organised `json:"items"`
	}
	p.read(t, "/v1/characters?limit=1000", &all)
	require.NotEmpty(t, all.Items)
	mine, theirs := ownedBy(all.Items, "u1"), others(all.Items, "u1")
	for _, c := range []organised{mine[0], theirs[0], others(theirs, theirs[0].User)[0]} {
		p.settled(t, c)
	}
	t.Run("launcher", func(t *testing.T) { p.launcherStory(t, all.Items, mine) })
	t.Run("a member reads everything of his own", func(t *testing.T) { p.viewerStory(t, mine[0]) })
	t.Run("the past", func(t *testing.T) { p.pastStory(t, mine[0]) })
	t.Run("an owner decides", func(t *testing.T) { p.ownerStory(t, theirs[0]) })
	t.Run("a recruiter vets an applicant", func(t *testing.T) { p.recruiterStory(t, theirs[0], others(theirs, theirs[0].User)[0]) })
	t.Run("nothing leaks", func(t *testing.T) { p.closedStory(t, others(theirs, theirs[0].User)[0], mine[0]) })
}

// settled waits until every section of a character was read that its owner has consented to.
func (p *site) settled(t *testing.T, c organised) {
	t.Helper()
	require.Eventually(t, func() bool {
		var read struct {
			Sections []struct {
				Status string `json:"status"`
			} `json:"sections"`
		}
		p.read(t, fmt.Sprintf("/v1/characters/%d", c.ID), &read)
		for _, section := range read.Sections {
			if section.Status == "not_yet" {
				return false
			}
		}
		return true
	}, 10*time.Minute, 2*time.Second, "not all sections of %s were read", c.Name)
}

// typeMoment fills a field for a time, which a browser takes by its value.
func typeMoment(w *person, selector, moment string) {
	w.t.Helper()
	w.do(chromedp.SetValue(selector, moment, chromedp.ByQuery))
}

// typed is what stands in a field.
func typed(w *person, selector string) (text string) {
	w.t.Helper()
	w.do(chromedp.Value(selector, &text, chromedp.ByQuery))
	return text
}

// fetched is the answer to a page that is not gone to.
func fetched(w *person, path string) (status int, text string) {
	w.t.Helper()
	var got struct {
		Status int    `json:"status"`
		Text   string `json:"text"`
	}
	w.do(chromedp.Evaluate(fmt.Sprintf(`fetch(%q).then(async r => ({status: r.status, text: await r.text()}))`, path), &got,
		func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return got.Status, got.Text
}

func ownedBy(all []organised, user string) (owned []organised) {
	for _, c := range all {
		if c.User == user {
			owned = append(owned, c)
		}
	}
	return owned
}

// others are the characters of others who have an owner.
func others(all []organised, user string) (rest []organised) {
	for _, c := range all {
		if c.User != user && c.User != "" {
			rest = append(rest, c)
		}
	}
	return rest
}

// sections are those that the viewer shows.
func sections() []string {
	return strings.Fields(`details location ship online fatigue assets orders blueprints fittings wallet-journal wallet-transactions contracts wallet loyalty
		skills skill-queue skill-sets attributes implants clones mails contacts standings notifications calendar corporation-history roles titles medals
		industry-jobs mining planets research killmails fw-stats`)
}

func (p *site) launcherStory(t *testing.T, all, mine []organised) {
	chief := p.as(t, 90000001)
	home := chief.open("/")
	require.Contains(t, home, "Register a character")
	chief.shot("launcher")
	for _, c := range mine {
		require.Contains(t, home, c.Name)
	}
	chief.open("/finder")
	chief.shot("finder")
	require.GreaterOrEqual(t, chief.count("#list-finder tbody tr"), len(all), "those that are not registered are beside them")
	chief.choose(`select[name="status"]`, "orphaned")
	chief.shows("#list-finder", "There is nothing here.")

	chief.size(390, 844)
	chief.open("/")
	chief.shot("launcher-phone")
	require.Contains(t, chief.open(fmt.Sprintf("/characters/%d", mine[0].ID)), mine[0].Name)
	chief.shot("viewer-phone")
	chief.open(fmt.Sprintf("/characters/%d/wallet-journal", mine[0].ID))
	chief.open(fmt.Sprintf("/characters/%d/manage", mine[0].ID))
}

// viewerStory: each section is a click away, and tells how it stands.
func (p *site) viewerStory(t *testing.T, c organised) {
	owner := p.as(t, c.ID)
	home := fmt.Sprintf("/characters/%d", c.ID)
	glance := owner.open(home)
	for _, shown := range []string{c.Name, "Balance, ISK", "Skill points", "Home station", "Last login", "sections are in step with EVE"} {
		require.Contains(t, glance, shown)
	}
	owner.shot("viewer")
	for _, section := range sections() {
		page := owner.open(home + "/" + section)
		require.Contains(t, page, c.Name, section)
		require.NotContains(t, page, "There is no such thing", section)
	}
	// Assets by place, then what lies there.
	owner.open(home + "/assets")
	owner.shot("viewer-assets")
	require.Contains(t, owner.follow("#list-places tbody a"), "All items")
	if owner.count(`#list-assets tbody td.num a`) > 0 {
		require.Contains(t, owner.follow(`#list-assets tbody td.num a`), "What is inside")
	}
	// A mail, as text that does nothing.
	owner.open(home + "/mails")
	owner.shot("viewer-mails")
	if owner.count("#list-mails tbody a") > 0 {
		require.Contains(t, owner.follow("#list-mails tbody a"), "Back: Mails")
		require.Zero(t, owner.count("#tab img, #tab script, #tab iframe"))
	}
	owner.open(home + "/contracts")
	if owner.count("#list-contracts tbody a") > 0 {
		require.Contains(t, owner.follow("#list-contracts tbody a"), "Back: Contracts")
	}
	owner.open(home + "/killmails")
	if owner.count("#list-killmails tbody a") > 0 {
		require.Contains(t, owner.follow("#list-killmails tbody a"), "Attackers")
	}
	// What is missing of a skill set, and why.
	status, text := p.ask(t, http.MethodPost, "/v1/skill-sets", `{"name": "Pages", "description": "", "visible": true, "skills": [{"type_name": "Gunnery", "required": 5}]}`)
	require.Less(t, status, 300, text)
	require.Contains(t, owner.open(home+"/skill-sets"), "Pages")
	require.Contains(t, owner.follow("#list-skill-sets tbody a"), "How it came about")
	require.Contains(t, owner.look(), "Gunnery")
	// Filters that are the page's own, and one that the API refuses.
	owner.open(home + "/skills?level_at_least=5")
	require.Contains(t, owner.openTo(http.StatusUnprocessableEntity, home+"/wallet-journal?from=yesterday"), "validation failed")

	require.Contains(t, owner.open(home+"/ledger"), "Does the journal account for the balance?")
	require.Contains(t, owner.open(home+"/ledger?_since=2020-01-01T00:00"), "What the entries of each kind come to")
	owner.shot("ledger")
	owner.open("/search/assets")
	owner.fill(`input[name="type"]`, "a")
	require.NotEmpty(t, owner.open("/search/skills?level_at_least=5"))
	for _, kind := range []string{"assets?type=rifter", "contacts?contact_type=character", "contracts?type=courier", "mails?subject=a", "standings?from_type=agent", "implants?group=cyber", "clones?region=the"} {
		owner.open("/search/" + kind)
	}
	require.Contains(t, owner.openTo(http.StatusUnprocessableEntity, "/search/contacts?standing_at_least=much"), "standing_at_least")

	german := p.as(t, c.ID)
	german.open(home)
	require.Contains(t, german.follow(`button[lang="de"]`), "Skillpunkte")
	for _, page := range []string{"", "/skills", "/timeline", "/manage", "/ledger"} {
		german.open(home + page)
	}
}

// pastStory: everything as of a moment, what has changed since, and the story of it.
func (p *site) pastStory(t *testing.T, c organised) {
	owner := p.as(t, c.ID)
	home := fmt.Sprintf("/characters/%d", c.ID)
	// A moment at which all was read, to the minute that a field has.
	var skills struct {
		ObservedAt time.Time `json:"observed_at"`
	}
	p.read(t, "/v1"+home+"/skills", &skills)
	then := skills.ObservedAt.UTC().Add(time.Minute).Truncate(time.Minute)
	require.Eventually(t, func() bool { return time.Now().UTC().After(then) }, 2*time.Minute, time.Second)
	at := then.Format("2006-01-02T15:04")
	for _, section := range []string{"", "/skills", "/assets", "/wallet", "/mails"} {
		require.Contains(t, owner.open(home+section+"?as_of="+at), "You see how it was on "+then.Format("2006-01-02 15:04")+" UTC.", section)
	}
	owner.shot("viewer-past")
	require.Contains(t, owner.follow(".past-note a"), "what differs")
	for _, section := range []string{"skills", "wallet", "wallet-journal", "contracts", "location"} {
		require.Contains(t, owner.open(home+"/"+section+"?as_of="+at+"&_against=now"), "what differs", section)
	}
	owner.shot("viewer-compared")
	require.Contains(t, owner.openTo(http.StatusNotFound, home+"/skills?as_of=2001-01-01T00:00"), c.Name, "before the character was known there is nothing, and the page says so")
	require.Contains(t, owner.openTo(http.StatusUnprocessableEntity, home+"/skills?as_of=2999-01-01T00:00"), c.Name)

	require.Contains(t, owner.open(home+"/wallet/changes"), "Changes: Balance")
	require.Contains(t, owner.open(home+"/assets/changes"), "The first reading:")
	require.Contains(t, owner.open(home+"/timeline?order=oldest"), "registered")
	owner.shot("timeline")
	owner.open(home + "/timeline")
	owner.choose(`select[name="kind"]`, "skill_lost")
	owner.shows("#list-timeline", "Nothing happened in this time.")
	require.Contains(t, owner.openTo(http.StatusUnprocessableEntity, home+"/timeline?min_amount=much"), "min_amount")
}

// ownerStory: an owner shares his character, shows it by a link, and sees who has looked.
func (p *site) ownerStory(t *testing.T, c organised) {
	p.grant(t, c.User, "sharers", "share_characters")
	owner := p.as(t, c.ID)
	manage := fmt.Sprintf("/characters/%d/manage", c.ID)
	require.Contains(t, owner.open(manage), "It is not shared.")
	require.Contains(t, owner.follow(`button[value="share"]`), "The character is shared.")
	require.Contains(t, owner.follow(`button[value="unshare"]`), "The character is shared no more.")

	owner.do(chromedp.Click("article details summary", chromedp.ByQuery))
	owner.fill(`input[name="note"]`, "for the recruiter")
	typeMoment(owner, `input[name="expires_at"]`, "2001-01-01T00:00")
	page := owner.follow(`button[value="link"]`)
	require.Contains(t, page, "give a later moment", "what is refused is said at the form")
	require.Equal(t, "for the recruiter", typed(owner, `input[name="note"]`), "and what was typed stays")
	typeMoment(owner, `input[name="expires_at"]`, time.Now().UTC().Add(48*time.Hour).Format("2006-01-02T15:04"))
	page = owner.follow(`button[value="link"]`)
	require.Contains(t, page, "musterlink_")
	owner.shot("share-link")
	page = owner.open(manage)
	require.NotContains(t, page, "musterlink_", "the secret is shown once")
	require.Contains(t, page, "for the recruiter")
	require.Contains(t, owner.follow(`button[value="revoke-link"]`), "The link is revoked.")
	require.Contains(t, owner.follow(`button[value="update"]`), "will be read")
	require.Zero(t, owner.count(`button[value="forget"]`), "only superusers may have a character forgotten")
	owner.open(fmt.Sprintf("/characters/%d/views", c.ID))

	chief := p.as(t, 90000001)
	chief.open(manage)
	chief.fill(`input[name="name"]`, "somebody else")
	require.Contains(t, chief.follow(`button[value="forget"]`), "nothing was forgotten")
}

// recruiterStory: from the finder to skills, assets, wallet, mails and contacts in a few clicks.
func (p *site) recruiterStory(t *testing.T, recruit, applicant organised) {
	p.grant(t, recruit.User, "recruiters", "basic_access", "finder_access", "characters_access", "view_everything", "view_skill_sets")
	recruiter := p.as(t, recruit.ID)
	recruiter.open("/finder")
	require.Contains(t, recruiter.open("/finder?search="+strings.ReplaceAll(applicant.Name, " ", "+")), applicant.Name)
	require.Contains(t, recruiter.follow("#list-finder tbody a"), applicant.Name)
	for _, group := range []string{"skills", "assets", "wallet-journal", "mails"} {
		require.Contains(t, recruiter.follow(fmt.Sprintf(`nav.tabs a[href="/characters/%d/%s"]`, applicant.ID, group)), applicant.Name)
	}
	require.Contains(t, recruiter.follow(fmt.Sprintf(`nav.tabs a[href="/characters/%d/contacts"]`, applicant.ID)), applicant.Name)
	require.Zero(t, recruiter.count(`a[href$="/manage"]`), "what an owner decides is not offered")
	require.Contains(t, recruiter.openTo(http.StatusForbidden, fmt.Sprintf("/characters/%d/manage", applicant.ID)), "Only the owner")

	// The owner sees that somebody has looked, and at what.
	owner := p.as(t, applicant.ID)
	seen := owner.open(fmt.Sprintf("/characters/%d/views", applicant.ID))
	require.Contains(t, seen, recruit.User)
	require.Contains(t, seen, "Mails")
}

// closedStory: what a member may not open is not there for him, on no page.
func (p *site) closedStory(t *testing.T, member, closed organised) {
	who := p.as(t, member.ID)
	require.Contains(t, who.open("/"), member.Name)
	home := fmt.Sprintf("/characters/%d", closed.ID)
	for _, page := range []string{"", "/timeline", "/ledger", "/manage", "/views", "/mails/1", "/assets/1", "/skills/changes", "/skills?as_of=2020-01-01T00:00"} {
		text := who.openTo(http.StatusNotFound, home+page)
		require.Contains(t, text, "There is no such thing", page)
		require.NotContains(t, text, closed.Name, page)
	}
	for _, section := range sections() {
		status, text := fetched(who, home+"/"+section)
		require.Equal(t, http.StatusNotFound, status, section)
		require.NotContains(t, text, closed.Name, section)
	}
}
