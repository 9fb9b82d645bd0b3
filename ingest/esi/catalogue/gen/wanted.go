package main

import "time"

// wanted lists the operations that Muster uses, in the order of the output, with
// the names of the functions that return them and what is known of them beside
// the document.
func wanted() []operation {
	return append(append(ofCharacters(), ofSocialLife()...), others()...)
}

// atDowntime is when data made at downtime is taken to be there.
const atDowntime = 11*time.Hour + 5*time.Minute

func ofCharacters() []operation {
	const character = "/characters/{character_id}"
	return []operation{
		{Func: "CharacterDetails", Path: character},
		// ESI throttles it at about 300 a minute for a caller, whatever its headers
		// say.
		{Func: "CharacterCorporationHistory", Path: character + "/corporationhistory", Calls: 300, CallsPer: time.Minute, CallsShared: true},
		{Func: "CharacterAttributes", Path: character + "/attributes"},
		{Func: "CharacterSkills", Path: character + "/skills"},
		{Func: "CharacterSkillQueue", Path: character + "/skillqueue"},
		{Func: "CharacterImplants", Path: character + "/implants"},
		{Func: "CharacterRoles", Path: character + "/roles"},
		{Func: "CharacterTitles", Path: character + "/titles"},
		{Func: "CharacterMedals", Path: character + "/medals"},
		{Func: "CharacterClones", Path: character + "/clones"},
		{Func: "CharacterLocation", Path: character + "/location"},
		{Func: "CharacterShip", Path: character + "/ship"},
		{Func: "CharacterOnline", Path: character + "/online"},
		{Func: "CharacterFatigue", Path: character + "/fatigue"},
		{Func: "CharacterAssets", Path: character + "/assets"},
		{Func: "CharacterAssetNames", Method: "POST", Path: character + "/assets/names"},
		{Func: "CharacterWallet", Path: character + "/wallet"},
		{Func: "CharacterWalletJournal", Path: character + "/wallet/journal"},
		{Func: "CharacterWalletTransactions", Path: character + "/wallet/transactions"},
		{Func: "CharacterLoyaltyPoints", Path: character + "/loyalty/points"},
		{Func: "CharacterFactionWarfareStats", Path: character + "/fw/stats", Daily: atDowntime},
		{Func: "CharacterMining", Path: character + "/mining"},
		{Func: "CharacterPlanets", Path: character + "/planets"},
		{Func: "CharacterOrders", Path: character + "/orders"},
		{Func: "CharacterOrderHistory", Path: character + "/orders/history"},
		{Func: "CharacterIndustryJobs", Path: character + "/industry/jobs"},
		{Func: "CharacterBlueprints", Path: character + "/blueprints"},
		{Func: "CharacterRecentKillmails", Path: character + "/killmails/recent"},
		{Func: "CharacterAgentsResearch", Path: character + "/agents_research"},
		{Func: "CharacterFittings", Path: character + "/fittings"},
	}
}

func ofSocialLife() []operation {
	const character = "/characters/{character_id}"
	return []operation{
		{Func: "CharacterStandings", Path: character + "/standings"},
		{Func: "CharacterContacts", Path: character + "/contacts"},
		{Func: "CharacterContactLabels", Path: character + "/contacts/labels"},
		{Func: "CharacterContracts", Path: character + "/contracts"},
		// CCP in esi-issues #636: 20 in 10 seconds for each character, then 520.
		{Func: "CharacterContractItems", Path: character + "/contracts/{contract_id}/items", Calls: 20, CallsPer: 10 * time.Second},
		{Func: "CharacterContractBids", Path: character + "/contracts/{contract_id}/bids"},
		{Func: "CharacterMailHeaders", Path: character + "/mail"},
		{Func: "CharacterMail", Path: character + "/mail/{mail_id}"},
		{Func: "CharacterMailLabels", Path: character + "/mail/labels"},
		{Func: "CharacterMailLists", Path: character + "/mail/lists"},
		{Func: "CharacterNotifications", Path: character + "/notifications"},
		{Func: "CharacterCalendar", Path: character + "/calendar"},
		{Func: "CharacterCalendarEvent", Path: character + "/calendar/{event_id}"},
	}
}

func others() []operation {
	return []operation{
		{Func: "CharacterAffiliations", Method: "POST", Path: "/characters/affiliation"},
		{Func: "Killmail", Path: "/killmails/{killmail_id}/{killmail_hash}"},
		{Func: "UniverseNames", Method: "POST", Path: "/universe/names"},
		{Func: "UniverseStructure", Path: "/universe/structures/{structure_id}"},
		{Func: "UniverseType", Path: "/universe/types/{type_id}", Daily: atDowntime},
		{Func: "MarketPrices", Path: "/markets/prices"},
		{Func: "Status", Path: "/status"},
		{Func: "MetaStatus", Path: "/meta/status", TTL: 10 * time.Minute},
	}
}
