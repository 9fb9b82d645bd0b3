package esi

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// route is a line of the simulator's own table of ESI. It is written by hand
// from the published rules and shares nothing with a client, so that it can
// judge one; a test compares it with the specification.
type route struct {
	name   string
	method string
	// path has segments; those in braces stand for ids, {character_id} for a
	// character's, and {killmail_hash} for a hash.
	path []string
	// ttl is how long an answer is held; zero means it is made anew each time.
	ttl time.Duration
	// daily answers are held until five minutes after the downtime.
	daily bool
	// group and tokens are the bucket that pays; without a group the shared
	// error limit applies.
	group  string
	tokens int
	// scope is what the bearer must hold; empty for public routes.
	scope string
	// since is the first compatibility date at which the route exists.
	since string
	// maxAge: the lifetime is announced by Cache-Control, as converted routes
	// do; otherwise by Expires alone.
	maxAge bool
	// section numbers the cached content of a character.
	section section
	// detail is what is fetched apart.
	detail detailKind
	// paged lists have numbered pages, and X-Pages; others a cursor, which is
	// the name of its parameter. most is the most elements that a page holds.
	paged  bool
	cursor string
	most   int
	// hiddenLimit is how many requests of all callers the server takes within
	// a minute, without saying so; zero is no limit.
	hiddenLimit int
}

const (
	scopeSkills        = "esi-skills.read_skills.v1"
	scopeSkillQueue    = "esi-skills.read_skillqueue.v1"
	scopeImplants      = "esi-clones.read_implants.v1"
	scopeRoles         = "esi-characters.read_corporation_roles.v1"
	scopeTitles        = "esi-characters.read_titles.v1"
	scopeMedals        = "esi-characters.read_medals.v1"
	scopeClones        = "esi-clones.read_clones.v1"
	scopeLocation      = "esi-location.read_location.v1"
	scopeShip          = "esi-location.read_ship_type.v1"
	scopeOnline        = "esi-location.read_online.v1"
	scopeFatigue       = "esi-characters.read_fatigue.v1"
	scopeAssets        = "esi-assets.read_assets.v1"
	scopeWallet        = "esi-wallet.read_character_wallet.v1"
	scopeLoyalty       = "esi-characters.read_loyalty.v1"
	scopeMail          = "esi-mail.read_mail.v1"
	scopeContacts      = "esi-characters.read_contacts.v1"
	scopeCalendar      = "esi-calendar.read_calendar_events.v1"
	scopeStandings     = "esi-characters.read_standings.v1"
	scopeNotifications = "esi-characters.read_notifications.v1"
	scopeContracts     = "esi-contracts.read_character_contracts.v1"
	scopeIndustryJobs  = "esi-industry.read_character_jobs.v1"
	scopeMining        = "esi-industry.read_character_mining.v1"
	scopePlanets       = "esi-planets.manage_planets.v1"
	scopeBlueprints    = "esi-characters.read_blueprints.v1"
	scopeResearch      = "esi-characters.read_agents_research.v1"
	scopeKillmails     = "esi-killmails.read_killmails.v1"
	scopeOrders        = "esi-markets.read_character_orders.v1"
	scopeFittings      = "esi-fittings.read_fittings.v1"
	scopeFWStats       = "esi-characters.read_fw_stats.v1"
	scopeStructures    = "esi-universe.read_structures.v1"
)

// Scopes lists the scopes that the simulated routes ask for; every character
// of the simulated organisation has granted them all.
func Scopes() []string {
	return []string{
		scopeSkills,
		scopeSkillQueue,
		scopeImplants,
		scopeRoles,
		scopeTitles,
		scopeMedals,
		scopeClones,
		scopeLocation,
		scopeShip,
		scopeOnline,
		scopeFatigue,
		scopeAssets,
		scopeWallet,
		scopeLoyalty,
		scopeMail,
		scopeContacts,
		scopeCalendar,
		scopeStandings,
		scopeNotifications,
		scopeContracts,
		scopeIndustryJobs,
		scopeMining,
		scopePlanets,
		scopeBlueprints,
		scopeResearch,
		scopeKillmails,
		scopeOrders,
		scopeFittings,
		scopeFWStats,
		scopeStructures,
	}
}

// newRoutes is the table of the simulated routes.
func newRoutes() []*route {
	own := func(name, rest string, rt route) *route {
		rt.name, rt.method, rt.path = name, http.MethodGet, []string{"characters", "{character_id}"}
		if rest != "" {
			rt.path = append(rt.path, strings.Split(rest, "/")...)
		}
		rt.since = orDefault(rt.since, oldestDate)
		return &rt
	}
	shared := func(method, name, path string, rt route) *route {
		rt.name, rt.method, rt.path, rt.section = name, method, strings.Split(path, "/"), sectionNone
		rt.since = orDefault(rt.since, oldestDate)
		return &rt
	}
	return []*route{
		own("character", "", route{ttl: 24 * time.Hour, since: "2026-06-09", maxAge: true, section: sectionDetails}),
		own("character-corporation-history", "corporationhistory", route{ttl: 24 * time.Hour, section: sectionCorporationHistory, hiddenLimit: 300}),
		own("character-attributes", "attributes", route{ttl: 2 * time.Minute, group: "char-detail", tokens: 600, scope: scopeSkills, section: sectionAttributes}),
		own("character-skills", "skills", route{ttl: time.Minute, group: "char-detail", tokens: 600, scope: scopeSkills, maxAge: true, section: sectionSkills}),
		own("character-skill-queue", "skillqueue", route{ttl: time.Minute, group: "char-detail", tokens: 600, scope: scopeSkillQueue, maxAge: true, section: sectionSkillQueue}),
		own("character-implants", "implants", route{ttl: 2 * time.Minute, group: "char-detail", tokens: 600, scope: scopeImplants, section: sectionImplants}),
		own("character-roles", "roles", route{ttl: time.Hour, group: "char-detail", tokens: 600, scope: scopeRoles, section: sectionRoles}),
		own("character-titles", "titles", route{ttl: time.Hour, group: "char-detail", tokens: 600, scope: scopeTitles, section: sectionTitles}),
		own("character-medals", "medals", route{ttl: time.Hour, group: "char-detail", tokens: 600, scope: scopeMedals, section: sectionMedals}),
		own("character-clones", "clones", route{ttl: 2 * time.Minute, group: "char-location", tokens: 1200, scope: scopeClones, section: sectionClones}),
		own("character-location", "location", route{ttl: 5 * time.Second, group: "char-location", tokens: 1200, scope: scopeLocation, section: sectionLocation}),
		own("character-ship", "ship", route{ttl: 5 * time.Second, group: "char-location", tokens: 1200, scope: scopeShip, section: sectionShip}),
		own("character-online", "online", route{ttl: time.Minute, group: "char-location", tokens: 1200, scope: scopeOnline, section: sectionOnline}),
		own("character-fatigue", "fatigue", route{ttl: 5 * time.Minute, group: "char-location", tokens: 1200, scope: scopeFatigue, section: sectionFatigue}),
		own("character-assets", "assets", route{ttl: time.Hour, group: "char-asset", tokens: 1800, scope: scopeAssets, section: sectionAssets, paged: true, most: 1000}),
		own("character-wallet", "wallet", route{ttl: 2 * time.Minute, group: "char-wallet", tokens: 150, scope: scopeWallet, section: sectionWallet}),
		own("character-wallet-journal", "wallet/journal", route{ttl: time.Hour, group: "char-wallet", tokens: 150, scope: scopeWallet, section: sectionJournal, paged: true, most: 2500}),
		own("character-wallet-transactions", "wallet/transactions", route{ttl: time.Hour, group: "char-wallet", tokens: 150, scope: scopeWallet, section: sectionTransactions, cursor: "from_id", most: 2500}),
		own("character-loyalty", "loyalty/points", route{ttl: time.Hour, group: "char-wallet", tokens: 150, scope: scopeLoyalty, section: sectionLoyalty}),
		own("character-mails", "mail", route{ttl: 30 * time.Second, group: "char-social", tokens: 600, scope: scopeMail, section: sectionMails, cursor: "last_mail_id", most: 50}),
		own("character-mail-labels", "mail/labels", route{ttl: 30 * time.Second, group: "char-social", tokens: 600, scope: scopeMail, section: sectionMailLabels}),
		own("character-mail-lists", "mail/lists", route{ttl: 2 * time.Minute, group: "char-social", tokens: 600, scope: scopeMail, section: sectionMailLists}),
		own("character-mail", "mail/{mail_id}", route{ttl: 30 * time.Second, group: "char-social", tokens: 600, scope: scopeMail, section: sectionNone, detail: detailMailBody}),
		own("character-contacts", "contacts", route{ttl: 5 * time.Minute, group: "char-social", tokens: 600, scope: scopeContacts, section: sectionContacts, paged: true, most: 1024}),
		own("character-contact-labels", "contacts/labels", route{ttl: 5 * time.Minute, group: "char-social", tokens: 600, scope: scopeContacts, section: sectionContactLabels}),
		own("character-calendar", "calendar", route{ttl: 5 * time.Second, group: "char-social", tokens: 600, scope: scopeCalendar, section: sectionCalendar, cursor: "from_event", most: 50}),
		own("character-calendar-event", "calendar/{event_id}", route{ttl: 5 * time.Second, group: "char-social", tokens: 600, scope: scopeCalendar, section: sectionNone, detail: detailCalendarEvent}),
		own("character-standings", "standings", route{ttl: time.Hour, group: "char-social", tokens: 600, scope: scopeStandings, section: sectionStandings}),
		own("character-notifications", "notifications", route{ttl: 10 * time.Minute, group: "char-notification", tokens: 15, scope: scopeNotifications, section: sectionNotifications}),
		own("character-contracts", "contracts", route{ttl: 5 * time.Minute, group: "char-contract", tokens: 600, scope: scopeContracts, section: sectionContracts, paged: true, most: 1000}),
		own("character-contract-items", "contracts/{contract_id}/items", route{ttl: time.Hour, group: "char-contract", tokens: 600, scope: scopeContracts, section: sectionNone, detail: detailContractItems}),
		own("character-contract-bids", "contracts/{contract_id}/bids", route{ttl: 5 * time.Minute, group: "char-contract", tokens: 600, scope: scopeContracts, section: sectionNone, detail: detailContractBids}),
		own("character-industry-jobs", "industry/jobs", route{ttl: 5 * time.Minute, group: "char-industry", tokens: 600, scope: scopeIndustryJobs, section: sectionIndustryJobs}),
		own("character-mining", "mining", route{ttl: 10 * time.Minute, group: "char-industry", tokens: 600, scope: scopeMining, section: sectionMining, paged: true, most: 1000}),
		own("character-planets", "planets", route{ttl: 10 * time.Minute, group: "char-industry", tokens: 600, scope: scopePlanets, section: sectionPlanets}),
		own("character-blueprints", "blueprints", route{ttl: time.Hour, group: "char-industry", tokens: 600, scope: scopeBlueprints, section: sectionBlueprints, paged: true, most: 1000}),
		own("character-research", "agents_research", route{ttl: time.Hour, group: "char-industry", tokens: 600, scope: scopeResearch, section: sectionResearch}),
		own("character-killmails", "killmails/recent", route{ttl: 5 * time.Minute, group: "char-killmail", tokens: 30, scope: scopeKillmails, section: sectionKillmails, paged: true, most: 1000}),
		own("character-orders", "orders", route{ttl: 20 * time.Minute, scope: scopeOrders, section: sectionOrders}),
		own("character-order-history", "orders/history", route{ttl: time.Hour, scope: scopeOrders, section: sectionOrderHistory, paged: true, most: 1000}),
		own("character-fittings", "fittings", route{ttl: 5 * time.Minute, group: "fitting", tokens: 150, scope: scopeFittings, section: sectionFittings}),
		own("character-fw-stats", "fw/stats", route{daily: true, group: "factional-warfare", tokens: 150, scope: scopeFWStats, section: sectionFWStats}),
		shared(http.MethodPost, "character-asset-names", "characters/{character_id}/assets/names",
			route{group: "char-asset", tokens: 1800, scope: scopeAssets, detail: detailAssetNames}),
		shared(http.MethodPost, "affiliation", "characters/affiliation", route{ttl: time.Hour, detail: detailAffiliation}),
		shared(http.MethodPost, "universe-names", "universe/names", route{detail: detailNames}),
		shared(http.MethodGet, "universe-structure", "universe/structures/{structure_id}",
			route{ttl: time.Hour, scope: scopeStructures, detail: detailStructure}),
		shared(http.MethodGet, "universe-type", "universe/types/{type_id}", route{daily: true, detail: detailType}),
		shared(http.MethodGet, "killmail", "killmails/{killmail_id}/{killmail_hash}",
			route{ttl: 30 * day, group: "killmail", tokens: 3600, detail: detailKillmail}),
		shared(http.MethodGet, "market-prices", "markets/prices", route{ttl: time.Hour, detail: detailPrices}),
		shared(http.MethodGet, "status", "status", route{ttl: 30 * time.Second, group: "status", tokens: 600, maxAge: true, detail: detailStatus}),
		shared(http.MethodGet, "meta-status", "meta/status", route{group: "meta", tokens: 150, since: "2025-11-06", maxAge: true, detail: detailMetaStatus}),
	}
}

// target is what a path names.
type target struct {
	route     *route
	character int64
	sub       int64
	hash      string
}

// find is the route of a path and the ids in it. The path is matched as it was
// sent: a doubled or trailing slash or a needless escape is no route.
// methodWrong tells that the path exists with another method.
func find(routes []*route, method, path string) (found target, methodWrong bool) {
	var space [8]string
	segments, rest := space[:0], strings.TrimPrefix(path, "/")
	for more := true; more && len(segments) < len(space); {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		segments = append(segments, segment)
	}
	for _, rt := range routes {
		t, ok := rt.match(segments)
		if !ok {
			continue
		}
		if rt.method == method {
			return t, false
		}
		methodWrong = true
	}
	return target{}, methodWrong
}

func (rt *route) match(segments []string) (t target, ok bool) {
	if len(segments) != len(rt.path) {
		return t, false
	}
	t.route = rt
	for i, want := range rt.path {
		got := segments[i]
		switch {
		case want[0] != '{':
			if got != want {
				return t, false
			}
			continue
		case want == "{killmail_hash}":
			t.hash = got
			continue
		}
		id, err := strconv.ParseInt(got, 10, 64)
		if err != nil || id < 1 || strconv.FormatInt(id, 10) != got {
			return t, false
		}
		if want == "{character_id}" {
			t.character = id
		} else {
			t.sub = id
		}
	}
	return t, true
}
