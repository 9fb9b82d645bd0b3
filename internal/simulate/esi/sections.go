package esi

import "time"

// section numbers what is kept for each character: one for each route of
// characters that is cached as a whole.
type section uint8

const (
	sectionDetails section = iota
	sectionCorporationHistory
	sectionAttributes
	sectionSkills
	sectionSkillQueue
	sectionImplants
	sectionRoles
	sectionTitles
	sectionMedals
	sectionClones
	sectionLocation
	sectionShip
	sectionOnline
	sectionFatigue
	sectionAssets
	sectionWallet
	sectionJournal
	sectionTransactions
	sectionLoyalty
	sectionMails
	sectionMailLabels
	sectionMailLists
	sectionContacts
	sectionContactLabels
	sectionCalendar
	sectionStandings
	sectionNotifications
	sectionContracts
	sectionIndustryJobs
	sectionMining
	sectionPlanets
	sectionBlueprints
	sectionResearch
	sectionKillmails
	sectionOrders
	sectionOrderHistory
	sectionFittings
	sectionFWStats
	sectionCount
	sectionNone section = 255
)

// sectionNames are the names of sections in what was served. Those of a part of
// a section have the part's name after a slash.
var sectionNames = [sectionCount]string{
	"details", "corporation-history", "attributes", "skills", "skill-queue", "implants", "roles", "titles", "medals",
	"clones", "location", "ship", "online", "fatigue", "assets", "wallet", "wallet-journal", "wallet-transactions",
	"loyalty", "mails", "mails/labels", "mails/lists", "contacts", "contacts/labels", "calendar", "standings",
	"notifications", "contracts", "industry-jobs", "mining", "planets", "blueprints", "research", "killmails",
	"orders", "orders/history", "fittings", "fw-stats",
}

// A sectionContent makes the content of a section at a moment of the world. All
// are pure functions of the world, the character and the moment.
//
// Either whole appends the complete JSON value; or the section is a list of
// count elements in the order in which ESI lists them, and items appends the
// elements lo to hi-1 of it as a complete JSON array, brackets included. The
// lists that are paged by ids are in the order of their ids: transactions and
// mails descending, the calendar ascending.
type sectionContent struct {
	whole func(w *world, b []byte, id int64, at time.Time) []byte

	count func(w *world, id int64, at time.Time) int
	items func(w *world, b []byte, id int64, at time.Time, lo, hi int) []byte
}

func whole(f func(w *world, b []byte, id int64, at time.Time) []byte) sectionContent {
	return sectionContent{whole: f}
}

func listed(count func(w *world, id int64, at time.Time) int, items func(w *world, b []byte, id int64, at time.Time, lo, hi int) []byte) sectionContent {
	return sectionContent{count: count, items: items}
}

// sectionContents is the table of all contents. Skills and the queue are asked
// for at the moment of the last login, see [world.lastLogin]: ESI knows no
// later one.
var sectionContents = [sectionCount]sectionContent{
	sectionDetails:            whole((*world).appendDetails),
	sectionCorporationHistory: whole((*world).appendCorporationHistory),
	sectionAttributes:         whole((*world).appendAttributes),
	sectionSkills:             whole((*world).appendSkills),
	sectionSkillQueue:         whole((*world).appendSkillQueue),
	sectionImplants:           whole((*world).appendImplants),
	sectionRoles:              whole((*world).appendRoles),
	sectionTitles:             whole((*world).appendTitles),
	sectionMedals:             whole((*world).appendMedals),
	sectionClones:             whole((*world).appendClones),
	sectionLocation:           whole((*world).appendLocation),
	sectionShip:               whole((*world).appendShip),
	sectionOnline:             whole((*world).appendOnline),
	sectionFatigue:            whole((*world).appendFatigue),
	sectionAssets:             listed((*world).assetsCount, (*world).appendAssetsRange),
	sectionWallet:             whole((*world).appendWallet),
	sectionJournal:            {}, // see journal
	sectionTransactions:       listed((*world).transactionsCount, (*world).appendTransactionsRange),
	sectionLoyalty:            whole((*world).appendLoyalty),
	sectionMails:              listed((*world).mailsCount, (*world).appendMailsRange),
	sectionMailLabels:         whole((*world).appendMailLabels),
	sectionMailLists:          whole((*world).appendMailLists),
	sectionContacts:           listed((*world).contactsCount, (*world).appendContactsRange),
	sectionContactLabels:      whole((*world).appendContactLabels),
	sectionCalendar:           listed((*world).calendarCount, (*world).appendCalendarRange),
	sectionStandings:          whole((*world).appendStandings),
	sectionNotifications:      whole((*world).appendNotifications),
	sectionContracts:          listed((*world).contractsCount, (*world).appendContractsRange),
	sectionIndustryJobs:       whole((*world).appendIndustryJobs),
	sectionMining:             listed((*world).miningCount, (*world).appendMiningRange),
	sectionPlanets:            whole((*world).appendPlanets),
	sectionBlueprints:         listed((*world).blueprintsCount, (*world).appendBlueprintsRange),
	sectionResearch:           whole((*world).appendResearch),
	sectionKillmails:          listed((*world).killmailsCount, (*world).appendKillmailsRange),
	sectionOrders:             whole((*world).appendOrders),
	sectionOrderHistory:       listed((*world).orderHistoryCount, (*world).appendOrderHistoryRange),
	sectionFittings:           whole((*world).appendFittings),
	sectionFWStats:            whole((*world).appendFWStats),
}

// detailContent makes what is fetched apart, one by one: it appends the complete
// JSON value; false if there is no such thing (any more), or it is not the
// character's.
type detailContent func(w *world, b []byte, id, sub int64, at time.Time) ([]byte, bool)

// detailContents is the table of what is fetched apart for one character. A
// structure is shown to those on its access list; whether it exists at all tells
// hasStructure.
var detailContents = map[detailKind]detailContent{
	detailMailBody:      (*world).appendMailBody,
	detailContractItems: (*world).appendContractItems,
	detailContractBids:  (*world).appendContractBids,
	detailCalendarEvent: (*world).appendCalendarEvent,
	detailStructure:     (*world).appendStructure,
}

// What follows no table:
//
//	func (w *world) lastLogin(id int64, at time.Time) time.Time
//	func (w *world) hasStructure(structure int64) bool
//	func (w *world) assetName(id, item int64, at time.Time) (name string, ok bool)   // "None" for unnamed; false if it is not his
//	func (w *world) appendKillmail(b []byte, killmail int64, hash string) ([]byte, bool)
//	func (w *world) appendType(b []byte, typeID int64) ([]byte, bool)
//	func (w *world) appendMarketPrices(b []byte, at time.Time) []byte
//	func (w *world) nameOf(id int64) (category, name string, ok bool)               // of /universe/names, all kinds of ids
