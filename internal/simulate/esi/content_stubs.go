package esi

import "time"

// What is not simulated yet. Whoever writes one of these removes it here.

func (w *world) appendCorporationHistory(b []byte, id int64, at time.Time) []byte {
	return append(b, `[]`...)
}
func (w *world) appendAttributes(b []byte, id int64, at time.Time) []byte {
	return append(b, `{"charisma":19,"intelligence":20,"memory":20,"perception":20,"willpower":20}`...)
}
func (w *world) appendSkills(b []byte, id int64, at time.Time) []byte {
	return append(b, `{"skills":[],"total_sp":0}`...)
}
func (w *world) appendSkillQueue(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) appendImplants(b []byte, id int64, at time.Time) []byte   { return append(b, `[]`...) }
func (w *world) appendRoles(b []byte, id int64, at time.Time) []byte      { return append(b, `{}`...) }
func (w *world) appendTitles(b []byte, id int64, at time.Time) []byte     { return append(b, `[]`...) }
func (w *world) appendMedals(b []byte, id int64, at time.Time) []byte     { return append(b, `[]`...) }
func (w *world) appendClones(b []byte, id int64, at time.Time) []byte {
	return append(b, `{"jump_clones":[]}`...)
}
func (w *world) appendShip(b []byte, id int64, at time.Time) []byte {
	return append(b, `{"ship_item_id":1000000000001,"ship_name":"Boat","ship_type_id":670}`...)
}
func (w *world) appendOnline(b []byte, id int64, at time.Time) []byte {
	return append(b, `{"online":false}`...)
}
func (w *world) appendFatigue(b []byte, id int64, at time.Time) []byte { return append(b, `{}`...) }
func (w *world) assetsCount(id int64, at time.Time) int                { return 0 }
func (w *world) appendAssetsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) transactionsCount(id int64, at time.Time) int { return 0 }
func (w *world) appendTransactionsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendLoyalty(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) mailsCount(id int64, at time.Time) int                 { return 0 }
func (w *world) appendMailsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendMailLabels(b []byte, id int64, at time.Time) []byte { return append(b, `{}`...) }
func (w *world) appendMailLists(b []byte, id int64, at time.Time) []byte  { return append(b, `[]`...) }
func (w *world) contactsCount(id int64, at time.Time) int                 { return 0 }
func (w *world) appendContactsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendContactLabels(b []byte, id int64, at time.Time) []byte {
	return append(b, `[]`...)
}
func (w *world) calendarCount(id int64, at time.Time) int { return 0 }
func (w *world) appendCalendarRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendStandings(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) appendNotifications(b []byte, id int64, at time.Time) []byte {
	return append(b, `[]`...)
}
func (w *world) contractsCount(id int64, at time.Time) int { return 0 }
func (w *world) appendContractsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendIndustryJobs(b []byte, id int64, at time.Time) []byte {
	return append(b, `[]`...)
}
func (w *world) miningCount(id int64, at time.Time) int { return 0 }
func (w *world) appendMiningRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendPlanets(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) blueprintsCount(id int64, at time.Time) int            { return 0 }
func (w *world) appendBlueprintsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendResearch(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) killmailsCount(id int64, at time.Time) int              { return 0 }
func (w *world) appendKillmailsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendOrders(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) orderHistoryCount(id int64, at time.Time) int         { return 0 }
func (w *world) appendOrderHistoryRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendFittings(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) appendFWStats(b []byte, id int64, at time.Time) []byte {
	return append(b, `{"kills":{"last_week":0,"total":0,"yesterday":0},"victory_points":{"last_week":0,"total":0,"yesterday":0}}`...)
}
func (w *world) appendMailBody(b []byte, id, mail int64, at time.Time) ([]byte, bool) {
	return b, false
}
func (w *world) appendContractItems(b []byte, id, contract int64, at time.Time) ([]byte, bool) {
	return b, false
}
func (w *world) appendContractBids(b []byte, id, contract int64, at time.Time) ([]byte, bool) {
	return b, false
}
func (w *world) appendCalendarEvent(b []byte, id, event int64, at time.Time) ([]byte, bool) {
	return b, false
}
func (w *world) appendStructure(b []byte, id, structure int64, at time.Time) ([]byte, bool) {
	return b, false
}
func (w *world) lastLogin(id int64, at time.Time) time.Time            { return at }
func (w *world) hasStructure(structure int64) bool                     { return false }
func (w *world) assetName(id, item int64, at time.Time) (string, bool) { return "", false }
func (w *world) appendKillmail(b []byte, killmail int64, hash string) ([]byte, bool) {
	return b, false
}
func (w *world) appendType(b []byte, typeID int64) ([]byte, bool) { return b, false }
func (w *world) appendMarketPrices(b []byte, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) nameOf(id int64) (category, name string, ok bool) { return "", "", false }
