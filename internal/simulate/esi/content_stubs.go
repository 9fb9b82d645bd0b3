package esi

import "time"

// What is not simulated yet. Whoever writes one of these removes it here.

func (w *world) appendCorporationHistory(b []byte, id int64, at time.Time) []byte {
	return append(b, `[]`...)
}
func (w *world) appendRoles(b []byte, id int64, at time.Time) []byte  { return append(b, `{}`...) }
func (w *world) appendTitles(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) appendMedals(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) calendarCount(id int64, at time.Time) int             { return 0 }
func (w *world) appendCalendarRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendNotifications(b []byte, id int64, at time.Time) []byte {
	return append(b, `[]`...)
}
func (w *world) killmailsCount(id int64, at time.Time) int { return 0 }
func (w *world) appendKillmailsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	return append(b, `[]`...)
}
func (w *world) appendFittings(b []byte, id int64, at time.Time) []byte { return append(b, `[]`...) }
func (w *world) appendFWStats(b []byte, id int64, at time.Time) []byte {
	return append(b, `{"kills":{"last_week":0,"total":0,"yesterday":0},"victory_points":{"last_week":0,"total":0,"yesterday":0}}`...)
}
func (w *world) appendCalendarEvent(b []byte, id, event int64, at time.Time) ([]byte, bool) {
	return b, false
}
func (w *world) appendKillmail(b []byte, killmail int64, hash string) ([]byte, bool) {
	return b, false
}
