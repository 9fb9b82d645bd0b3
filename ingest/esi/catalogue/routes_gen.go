// Code generated from ESI's OpenAPI document by ./gen. DO NOT EDIT.

package catalogue

import "time"

// CompatibilityDate is the date of ESI's shape that the catalogue was made for.
const CompatibilityDate = "2026-08-04"

// Routes lists all routes of the catalogue.
func Routes() []Route {
	return []Route{
		CharacterDetails(),
		CharacterCorporationHistory(),
		CharacterAttributes(),
		CharacterSkills(),
		CharacterSkillQueue(),
		CharacterImplants(),
		CharacterRoles(),
		CharacterTitles(),
		CharacterMedals(),
		CharacterClones(),
		CharacterLocation(),
		CharacterShip(),
		CharacterOnline(),
		CharacterFatigue(),
		CharacterAssets(),
		CharacterAssetNames(),
		CharacterWallet(),
		CharacterWalletJournal(),
		CharacterWalletTransactions(),
		CharacterLoyaltyPoints(),
		CharacterFactionWarfareStats(),
		CharacterMining(),
		CharacterPlanets(),
		CharacterOrders(),
		CharacterOrderHistory(),
		CharacterIndustryJobs(),
		CharacterBlueprints(),
		CharacterRecentKillmails(),
		CharacterAgentsResearch(),
		CharacterFittings(),
		CharacterStandings(),
		CharacterContacts(),
		CharacterContactLabels(),
		CharacterContracts(),
		CharacterContractItems(),
		CharacterContractBids(),
		CharacterMailHeaders(),
		CharacterMail(),
		CharacterMailLabels(),
		CharacterMailLists(),
		CharacterNotifications(),
		CharacterCalendar(),
		CharacterCalendarEvent(),
		CharacterAffiliations(),
		Killmail(),
		UniverseNames(),
		UniverseStructure(),
		UniverseType(),
		MarketPrices(),
		Status(),
		MetaStatus(),
	}
}

// CharacterDetails is the route that ESI calls: get character's public information.
func CharacterDetails() Route {
	return Route{
		Operation: "GetCharactersDetail",
		Method:    "GET",
		Template:  "/characters/{character_id}",
		TTL:       86400 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2026-06-09",
	}
}

// CharacterCorporationHistory is the route that ESI calls: get corporation history.
func CharacterCorporationHistory() Route {
	return Route{
		Operation:   "GetCharactersCharacterIdCorporationhistory",
		Method:      "GET",
		Template:    "/characters/{character_id}/corporationhistory",
		TTL:         86400 * time.Second,
		Cache:       TTLBased,
		Paging:      Single,
		List:        true,
		Calls:       300,
		CallsPer:    60 * time.Second,
		CallsShared: true,
		Since:       "2020-01-01",
	}
}

// CharacterAttributes is the route that ESI calls: get character attributes.
func CharacterAttributes() Route {
	return Route{
		Operation: "GetCharactersCharacterIdAttributes",
		Method:    "GET",
		Template:  "/characters/{character_id}/attributes",
		Scopes:    []string{"esi-skills.read_skills.v1"},
		Group:     "char-detail",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       120 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterSkills is the route that ESI calls: get character skills.
func CharacterSkills() Route {
	return Route{
		Operation: "GetCharactersCharacterIdSkills",
		Method:    "GET",
		Template:  "/characters/{character_id}/skills",
		Scopes:    []string{"esi-skills.read_skills.v1"},
		Group:     "char-detail",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       60 * time.Second,
		Cache:     EventBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterSkillQueue is the route that ESI calls: get character's skill queue.
func CharacterSkillQueue() Route {
	return Route{
		Operation: "GetCharactersCharacterIdSkillqueue",
		Method:    "GET",
		Template:  "/characters/{character_id}/skillqueue",
		Scopes:    []string{"esi-skills.read_skillqueue.v1"},
		Group:     "char-detail",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       60 * time.Second,
		Cache:     EventBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterImplants is the route that ESI calls: get active implants.
func CharacterImplants() Route {
	return Route{
		Operation: "GetCharactersCharacterIdImplants",
		Method:    "GET",
		Template:  "/characters/{character_id}/implants",
		Scopes:    []string{"esi-clones.read_implants.v1"},
		Group:     "char-detail",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       120 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterRoles is the route that ESI calls: get character corporation roles.
func CharacterRoles() Route {
	return Route{
		Operation: "GetCharactersCharacterIdRoles",
		Method:    "GET",
		Template:  "/characters/{character_id}/roles",
		Scopes:    []string{"esi-characters.read_corporation_roles.v1"},
		Group:     "char-detail",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterTitles is the route that ESI calls: get character corporation titles.
func CharacterTitles() Route {
	return Route{
		Operation: "GetCharactersCharacterIdTitles",
		Method:    "GET",
		Template:  "/characters/{character_id}/titles",
		Scopes:    []string{"esi-characters.read_titles.v1"},
		Group:     "char-detail",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterMedals is the route that ESI calls: get medals.
func CharacterMedals() Route {
	return Route{
		Operation: "GetCharactersCharacterIdMedals",
		Method:    "GET",
		Template:  "/characters/{character_id}/medals",
		Scopes:    []string{"esi-characters.read_medals.v1"},
		Group:     "char-detail",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterClones is the route that ESI calls: get clones.
func CharacterClones() Route {
	return Route{
		Operation: "GetCharactersCharacterIdClones",
		Method:    "GET",
		Template:  "/characters/{character_id}/clones",
		Scopes:    []string{"esi-clones.read_clones.v1"},
		Group:     "char-location",
		MaxTokens: 1200,
		Window:    900 * time.Second,
		TTL:       120 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterLocation is the route that ESI calls: get character location.
func CharacterLocation() Route {
	return Route{
		Operation: "GetCharactersCharacterIdLocation",
		Method:    "GET",
		Template:  "/characters/{character_id}/location",
		Scopes:    []string{"esi-location.read_location.v1"},
		Group:     "char-location",
		MaxTokens: 1200,
		Window:    900 * time.Second,
		TTL:       5 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterShip is the route that ESI calls: get current ship.
func CharacterShip() Route {
	return Route{
		Operation: "GetCharactersCharacterIdShip",
		Method:    "GET",
		Template:  "/characters/{character_id}/ship",
		Scopes:    []string{"esi-location.read_ship_type.v1"},
		Group:     "char-location",
		MaxTokens: 1200,
		Window:    900 * time.Second,
		TTL:       5 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterOnline is the route that ESI calls: get character online.
func CharacterOnline() Route {
	return Route{
		Operation: "GetCharactersCharacterIdOnline",
		Method:    "GET",
		Template:  "/characters/{character_id}/online",
		Scopes:    []string{"esi-location.read_online.v1"},
		Group:     "char-location",
		MaxTokens: 1200,
		Window:    900 * time.Second,
		TTL:       60 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterFatigue is the route that ESI calls: get jump fatigue.
func CharacterFatigue() Route {
	return Route{
		Operation: "GetCharactersCharacterIdFatigue",
		Method:    "GET",
		Template:  "/characters/{character_id}/fatigue",
		Scopes:    []string{"esi-characters.read_fatigue.v1"},
		Group:     "char-location",
		MaxTokens: 1200,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterAssets is the route that ESI calls: get character assets.
func CharacterAssets() Route {
	return Route{
		Operation: "GetCharactersCharacterIdAssets",
		Method:    "GET",
		Template:  "/characters/{character_id}/assets",
		Scopes:    []string{"esi-assets.read_assets.v1"},
		Group:     "char-asset",
		MaxTokens: 1800,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterAssetNames is the route that ESI calls: get character asset names.
func CharacterAssetNames() Route {
	return Route{
		Operation: "PostCharactersCharacterIdAssetsNames",
		Method:    "POST",
		Template:  "/characters/{character_id}/assets/names",
		Scopes:    []string{"esi-assets.read_assets.v1"},
		Group:     "char-asset",
		MaxTokens: 1800,
		Window:    900 * time.Second,
		Cache:     NotCached,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterWallet is the route that ESI calls: get a character's wallet balance.
func CharacterWallet() Route {
	return Route{
		Operation: "GetCharactersCharacterIdWallet",
		Method:    "GET",
		Template:  "/characters/{character_id}/wallet",
		Scopes:    []string{"esi-wallet.read_character_wallet.v1"},
		Group:     "char-wallet",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       120 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterWalletJournal is the route that ESI calls: get character wallet journal.
func CharacterWalletJournal() Route {
	return Route{
		Operation: "GetCharactersCharacterIdWalletJournal",
		Method:    "GET",
		Template:  "/characters/{character_id}/wallet/journal",
		Scopes:    []string{"esi-wallet.read_character_wallet.v1"},
		Group:     "char-wallet",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterWalletTransactions is the route that ESI calls: get wallet transactions.
func CharacterWalletTransactions() Route {
	return Route{
		Operation: "GetCharactersCharacterIdWalletTransactions",
		Method:    "GET",
		Template:  "/characters/{character_id}/wallet/transactions",
		Scopes:    []string{"esi-wallet.read_character_wallet.v1"},
		Group:     "char-wallet",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    FromID,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterLoyaltyPoints is the route that ESI calls: get loyalty points.
func CharacterLoyaltyPoints() Route {
	return Route{
		Operation: "GetCharactersCharacterIdLoyaltyPoints",
		Method:    "GET",
		Template:  "/characters/{character_id}/loyalty/points",
		Scopes:    []string{"esi-characters.read_loyalty.v1"},
		Group:     "char-wallet",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterFactionWarfareStats is the route that ESI calls: overview of a character involved in faction warfare.
func CharacterFactionWarfareStats() Route {
	return Route{
		Operation: "GetCharactersCharacterIdFwStats",
		Method:    "GET",
		Template:  "/characters/{character_id}/fw/stats",
		Scopes:    []string{"esi-characters.read_fw_stats.v1"},
		Group:     "factional-warfare",
		MaxTokens: 150,
		Window:    900 * time.Second,
		Daily:     39900 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterMining is the route that ESI calls: character mining ledger.
func CharacterMining() Route {
	return Route{
		Operation: "GetCharactersCharacterIdMining",
		Method:    "GET",
		Template:  "/characters/{character_id}/mining",
		Scopes:    []string{"esi-industry.read_character_mining.v1"},
		Group:     "char-industry",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       600 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterPlanets is the route that ESI calls: get colonies.
func CharacterPlanets() Route {
	return Route{
		Operation: "GetCharactersCharacterIdPlanets",
		Method:    "GET",
		Template:  "/characters/{character_id}/planets",
		Scopes:    []string{"esi-planets.manage_planets.v1"},
		Group:     "char-industry",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterOrders is the route that ESI calls: list open orders from a character.
func CharacterOrders() Route {
	return Route{
		Operation: "GetCharactersCharacterIdOrders",
		Method:    "GET",
		Template:  "/characters/{character_id}/orders",
		Scopes:    []string{"esi-markets.read_character_orders.v1"},
		TTL:       1200 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterOrderHistory is the route that ESI calls: list historical orders by a character.
func CharacterOrderHistory() Route {
	return Route{
		Operation: "GetCharactersCharacterIdOrdersHistory",
		Method:    "GET",
		Template:  "/characters/{character_id}/orders/history",
		Scopes:    []string{"esi-markets.read_character_orders.v1"},
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterIndustryJobs is the route that ESI calls: list character industry jobs.
func CharacterIndustryJobs() Route {
	return Route{
		Operation: "GetCharactersCharacterIdIndustryJobs",
		Method:    "GET",
		Template:  "/characters/{character_id}/industry/jobs",
		Query:     []string{"include_completed"},
		Scopes:    []string{"esi-industry.read_character_jobs.v1"},
		Group:     "char-industry",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterBlueprints is the route that ESI calls: get blueprints.
func CharacterBlueprints() Route {
	return Route{
		Operation: "GetCharactersCharacterIdBlueprints",
		Method:    "GET",
		Template:  "/characters/{character_id}/blueprints",
		Scopes:    []string{"esi-characters.read_blueprints.v1"},
		Group:     "char-industry",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterRecentKillmails is the route that ESI calls: get a character's recent kills and losses.
func CharacterRecentKillmails() Route {
	return Route{
		Operation: "GetCharactersCharacterIdKillmailsRecent",
		Method:    "GET",
		Template:  "/characters/{character_id}/killmails/recent",
		Scopes:    []string{"esi-killmails.read_killmails.v1"},
		Group:     "char-killmail",
		MaxTokens: 30,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterAgentsResearch is the route that ESI calls: get agents research.
func CharacterAgentsResearch() Route {
	return Route{
		Operation: "GetCharactersCharacterIdAgentsResearch",
		Method:    "GET",
		Template:  "/characters/{character_id}/agents_research",
		Scopes:    []string{"esi-characters.read_agents_research.v1"},
		Group:     "char-industry",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterFittings is the route that ESI calls: get fittings.
func CharacterFittings() Route {
	return Route{
		Operation: "GetCharactersCharacterIdFittings",
		Method:    "GET",
		Template:  "/characters/{character_id}/fittings",
		Scopes:    []string{"esi-fittings.read_fittings.v1"},
		Group:     "fitting",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterStandings is the route that ESI calls: get standings.
func CharacterStandings() Route {
	return Route{
		Operation: "GetCharactersCharacterIdStandings",
		Method:    "GET",
		Template:  "/characters/{character_id}/standings",
		Scopes:    []string{"esi-characters.read_standings.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterContacts is the route that ESI calls: get contacts.
func CharacterContacts() Route {
	return Route{
		Operation: "GetCharactersCharacterIdContacts",
		Method:    "GET",
		Template:  "/characters/{character_id}/contacts",
		Scopes:    []string{"esi-characters.read_contacts.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterContactLabels is the route that ESI calls: get contact labels.
func CharacterContactLabels() Route {
	return Route{
		Operation: "GetCharactersCharacterIdContactsLabels",
		Method:    "GET",
		Template:  "/characters/{character_id}/contacts/labels",
		Scopes:    []string{"esi-characters.read_contacts.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterContracts is the route that ESI calls: get contracts.
func CharacterContracts() Route {
	return Route{
		Operation: "GetCharactersCharacterIdContracts",
		Method:    "GET",
		Template:  "/characters/{character_id}/contracts",
		Scopes:    []string{"esi-contracts.read_character_contracts.v1"},
		Group:     "char-contract",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterContractItems is the route that ESI calls: get contract items.
func CharacterContractItems() Route {
	return Route{
		Operation: "GetCharactersCharacterIdContractsContractIdItems",
		Method:    "GET",
		Template:  "/characters/{character_id}/contracts/{contract_id}/items",
		Scopes:    []string{"esi-contracts.read_character_contracts.v1"},
		Group:     "char-contract",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Calls:     20,
		CallsPer:  10 * time.Second,
		Since:     "2020-01-01",
	}
}

// CharacterContractBids is the route that ESI calls: get contract bids.
func CharacterContractBids() Route {
	return Route{
		Operation: "GetCharactersCharacterIdContractsContractIdBids",
		Method:    "GET",
		Template:  "/characters/{character_id}/contracts/{contract_id}/bids",
		Scopes:    []string{"esi-contracts.read_character_contracts.v1"},
		Group:     "char-contract",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       300 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterMailHeaders is the route that ESI calls: return mail headers.
func CharacterMailHeaders() Route {
	return Route{
		Operation: "GetCharactersCharacterIdMail",
		Method:    "GET",
		Template:  "/characters/{character_id}/mail",
		Query:     []string{"labels"},
		Scopes:    []string{"esi-mail.read_mail.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       30 * time.Second,
		Cache:     TTLBased,
		Paging:    LastMailID,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterMail is the route that ESI calls: return a mail.
func CharacterMail() Route {
	return Route{
		Operation: "GetCharactersCharacterIdMailMailId",
		Method:    "GET",
		Template:  "/characters/{character_id}/mail/{mail_id}",
		Scopes:    []string{"esi-mail.read_mail.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       30 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterMailLabels is the route that ESI calls: get mail labels and unread counts.
func CharacterMailLabels() Route {
	return Route{
		Operation: "GetCharactersCharacterIdMailLabels",
		Method:    "GET",
		Template:  "/characters/{character_id}/mail/labels",
		Scopes:    []string{"esi-mail.read_mail.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       30 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterMailLists is the route that ESI calls: return mailing list subscriptions.
func CharacterMailLists() Route {
	return Route{
		Operation: "GetCharactersCharacterIdMailLists",
		Method:    "GET",
		Template:  "/characters/{character_id}/mail/lists",
		Scopes:    []string{"esi-mail.read_mail.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       120 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterNotifications is the route that ESI calls: get character notifications.
func CharacterNotifications() Route {
	return Route{
		Operation: "GetCharactersCharacterIdNotifications",
		Method:    "GET",
		Template:  "/characters/{character_id}/notifications",
		Scopes:    []string{"esi-characters.read_notifications.v1"},
		Group:     "char-notification",
		MaxTokens: 15,
		Window:    900 * time.Second,
		TTL:       600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterCalendar is the route that ESI calls: list calendar event summaries.
func CharacterCalendar() Route {
	return Route{
		Operation: "GetCharactersCharacterIdCalendar",
		Method:    "GET",
		Template:  "/characters/{character_id}/calendar",
		Scopes:    []string{"esi-calendar.read_calendar_events.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       5 * time.Second,
		Cache:     TTLBased,
		Paging:    FromEvent,
		List:      true,
		Since:     "2020-01-01",
	}
}

// CharacterCalendarEvent is the route that ESI calls: get an event.
func CharacterCalendarEvent() Route {
	return Route{
		Operation: "GetCharactersCharacterIdCalendarEventId",
		Method:    "GET",
		Template:  "/characters/{character_id}/calendar/{event_id}",
		Scopes:    []string{"esi-calendar.read_calendar_events.v1"},
		Group:     "char-social",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       5 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterAffiliations is the route that ESI calls: character affiliation.
func CharacterAffiliations() Route {
	return Route{
		Operation: "PostCharactersAffiliation",
		Method:    "POST",
		Template:  "/characters/affiliation",
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// Killmail is the route that ESI calls: get a single killmail.
func Killmail() Route {
	return Route{
		Operation: "GetKillmailsKillmailIdKillmailHash",
		Method:    "GET",
		Template:  "/killmails/{killmail_id}/{killmail_hash}",
		Group:     "killmail",
		MaxTokens: 3600,
		Window:    900 * time.Second,
		TTL:       2592000 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// UniverseNames is the route that ESI calls: get names and categories for a set of ids.
func UniverseNames() Route {
	return Route{
		Operation: "PostUniverseNames",
		Method:    "POST",
		Template:  "/universe/names",
		Cache:     NotCached,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// UniverseStructure is the route that ESI calls: get structure information.
func UniverseStructure() Route {
	return Route{
		Operation: "GetUniverseStructuresStructureId",
		Method:    "GET",
		Template:  "/universe/structures/{structure_id}",
		Scopes:    []string{"esi-universe.read_structures.v1"},
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// UniverseType is the route that ESI calls: get type information.
func UniverseType() Route {
	return Route{
		Operation: "GetUniverseTypesTypeId",
		Method:    "GET",
		Template:  "/universe/types/{type_id}",
		Daily:     39900 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// MarketPrices is the route that ESI calls: list market prices.
func MarketPrices() Route {
	return Route{
		Operation: "GetMarketsPrices",
		Method:    "GET",
		Template:  "/markets/prices",
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		List:      true,
		Since:     "2020-01-01",
	}
}

// Status is the route that ESI calls: retrieve the uptime and player counts.
func Status() Route {
	return Route{
		Operation: "GetStatus",
		Method:    "GET",
		Template:  "/status",
		Group:     "status",
		MaxTokens: 600,
		Window:    900 * time.Second,
		TTL:       30 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// MetaStatus is the route that ESI calls: get health status.
func MetaStatus() Route {
	return Route{
		Operation: "GetMetaStatus",
		Method:    "GET",
		Template:  "/meta/status",
		Group:     "meta",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       600 * time.Second,
		Cache:     EventBased,
		Paging:    Single,
		Since:     "2025-11-06",
	}
}
