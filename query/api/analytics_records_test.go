package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/query/api"
)

var ofRecords = clickhouse.RecordGroup{FactGroup: ofAll, CounterpartyID: 5, Kind: "courier", Status: "finished", Role: "issuer"}

// Contracts implements [api.RecordFigures].
func (t trends) Contracts(_ context.Context, q clickhouse.RecordQuery) ([]clickhouse.ContractFigures, error) {
	t.note(q)
	return []clickhouse.ContractFigures{{RecordGroup: ofRecords, Start: q.From, End: q.To, Issued: clickhouse.ContractSums{Contracts: 2, Price: decimal.RequireFromString("1.5")}, MedianSeconds: new(int64(9)), MeanSeconds: new(int64(10))}}, nil
}

// Killmails implements [api.RecordFigures].
func (t trends) Killmails(_ context.Context, q clickhouse.RecordQuery, prices map[int64]decimal.Decimal) ([]clickhouse.KillmailFigures, error) {
	t.note(q)
	g := ofRecords
	g.Role = "loss"
	return []clickhouse.KillmailFigures{{RecordGroup: g, Start: q.From, End: q.To, Losses: 1, LostValue: prices[34]}}, nil
}

// Mails implements [api.RecordFigures].
func (t trends) Mails(_ context.Context, q clickhouse.RecordQuery) ([]clickhouse.MailFigures, error) {
	t.note(q)
	g := ofRecords
	g.Role = "sent"
	return []clickhouse.MailFigures{{RecordGroup: g, Start: q.From, End: q.To, Sent: 3}}, nil
}

// Notifications implements [api.RecordFigures].
func (t trends) Notifications(_ context.Context, q clickhouse.RecordQuery) ([]clickhouse.NotificationFigures, error) {
	t.note(q)
	return []clickhouse.NotificationFigures{{RecordGroup: ofRecords, Start: q.From, End: q.To, Notifications: 4}}, nil
}

// Presence implements [api.RecordFigures].
func (t trends) Presence(_ context.Context, q clickhouse.RecordQuery) (*clickhouse.HeatMap, error) {
	t.note(q)
	return &clickhouse.HeatMap{Cells: []clickhouse.HeatCell{{RecordGroup: ofRecords, Weekday: 1, Hour: 20, Seconds: 60, Logins: 1, Characters: 1}}, Sessions: 1, Open: 1, Missed: 2}, nil
}

// Sync implements [api.RecordFigures].
func (t trends) Sync(_ context.Context, q clickhouse.RecordQuery) ([]clickhouse.SyncFigures, error) {
	t.note(q)
	return []clickhouse.SyncFigures{{RecordGroup: clickhouse.RecordGroup{FactGroup: ofAll, Kind: "assets", Status: "token"}, Start: q.From, End: q.To, Failed: 1, Sections: 1, Failing: 1, P95Age: new(int64(7))}}, nil
}

func TestFiguresOfRecordsAreAskedAsSaid(t *testing.T) {
	c := newClient(t)
	const span = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"
	const head = `"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "tz": "UTC"`
	const interval = `"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"`
	const none = `"issued_reward": "0.00", "issued_collateral": "0.00", "accepted": 0, "accepted_price": "0.00", "accepted_reward": "0.00", "accepted_collateral": "0.00", "finished": 0, "finished_price": "0.00",
		"finished_reward": "0.00", "finished_collateral": "0.00", "unfinished": 0, "unfinished_price": "0.00", "unfinished_reward": "0.00", "unfinished_collateral": "0.00"`
	f := func(target, by, items string) {
		t.Helper()
		groups, err := json.Marshal(strings.Split(by, ","))
		require.NoError(t, err)
		require.JSONEq(t, `{`+head+`, "interval": "month", "group_by": `+string(groups)+`, "items": [{`+interval+`, `+items+`}]}`, c.get("/v1/analytics/"+target+"?interval=month&"+span+"&group_by="+by).text)
	}
	f("contracts", "type,status,role,counterparty", `"type": "courier", "status": "finished", "role": "issuer", "counterparty_id": 5, "issued": 2, "issued_price": "1.50", `+none+`, "median_seconds": 9, "mean_seconds": 10, "unreadable": 0`)
	f("killmails", "outcome,ship_type,solar_system", `"outcome": "loss", "ship_type_id": 3, "solar_system_id": 4, "kills": 0, "losses": 1, "final_blows": 0, "solo": 0, "destroyed_value": "0.00", "lost_value": "5.09", "unpriced": 0, "unreadable": 0`)
	f("mails", "character,direction,counterparty", `"character_id": 1, "direction": "sent", "counterparty_id": 5, "sent": 3, "received": 0, "unreadable": 0`)
	f("notifications", "type,sender,corporation", `"type": "courier", "sender_id": 5, "corporation_id": 2, "notifications": 4, "unreadable": 0`)
	f("sync", "section,class", `"section": "assets", "class": "token", "told": 0, "failed": 1, "recovered": 0, "sections": 1, "failing": 1, "median_unchanged_seconds": null, "p95_unchanged_seconds": 7`)
	require.JSONEq(t, `{`+head+`, "group_by": ["character"], "sessions": 1, "open_sessions": 1, "missed_logins": 2, "items": [{"character_id": 1, "weekday": 1, "hour": 20, "seconds": 60, "logins": 1, "characters": 1}]}`,
		c.get("/v1/analytics/activity?group_by=character&"+span).text)
	for target, why := range map[string]string{
		"contracts?tz=Moon/Crater": "IANA", "contracts?role=moon": "role", "contracts?as_of=2027-01-01T00:00:00Z": "yet to come", "killmails?group_by=moon": "group_by", "mails?group_by=subject": "group_by",
		"activity?interval=day": "interval", "sync?class=grave": "class", "notifications?interval=moon": "interval",
	} {
		c.requireProblem(c.get("/v1/analytics/"+target), http.StatusUnprocessableEntity, why)
	}
	for target, columns := range map[string]string{
		"contracts": "start,end,character_id,corporation_id,type,status,role,counterparty_id,issued,", "killmails": "start,end,character_id,corporation_id,outcome,ship_type_id,", "mails": "start,end,character_id,corporation_id,direction,counterparty_id,sent,",
		"notifications": "start,end,character_id,corporation_id,type,sender_id,notifications,", "activity": "character_id,corporation_id,weekday,hour,seconds,", "sync": "start,end,character_id,corporation_id,section,class,told,",
	} {
		lines := c.get("/v1/analytics/"+target+"?"+span, "Accept", "text/csv").text
		require.True(t, strings.HasPrefix(lines, columns), lines)
		require.True(t, strings.HasPrefix(c.get("/v1/analytics/"+target+"?"+span, "Accept", "application/vnd.apache.parquet").text, "PAR1"), target)
	}
}

// The questions pass on every filter.
func TestFiguresOfRecordsAreFiltered(t *testing.T) {
	var asked any
	c := newClient(t, func(config *api.Config) { config.RecordFigures = trends{&asked} })
	base := clickhouse.RecordQuery{FactQuery: clickhouse.FactQuery{From: moment.Add(-30 * 24 * time.Hour), To: moment, Interval: clickhouse.Day, Zone: time.UTC, CharacterIDs: []int64{1, 2}, CorporationIDs: []int64{3}}}
	f := func(target string, change func(*clickhouse.RecordQuery)) {
		t.Helper()
		want := base
		change(&want)
		a := c.get("/v1/analytics/" + target + "character_id=1,2&corporation_id=3")
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, want, asked)
	}
	f("contracts?as_of=2026-01-01T00:00:00Z&type=courier&status=finished&role=issuer&counterparty_id=9&", func(q *clickhouse.RecordQuery) {
		q.AsOf, q.Kinds, q.Statuses, q.Roles, q.CounterpartyIDs = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), []string{"courier"}, []string{"finished"}, []string{"issuer"}, []int64{9}
	})
	f("killmails?outcome=kill&ship_type_id=587&solar_system_id=30000142&", func(q *clickhouse.RecordQuery) {
		q.Roles, q.TypeIDs, q.PlaceIDs = []string{"kill"}, []int64{587}, []int64{30000142}
	})
	f("mails?direction=sent&counterparty_id=9&", func(q *clickhouse.RecordQuery) { q.Roles, q.CounterpartyIDs = []string{"sent"}, []int64{9} })
	f("notifications?type=WarDeclared&sender_id=9&", func(q *clickhouse.RecordQuery) { q.Kinds, q.CounterpartyIDs = []string{"WarDeclared"}, []int64{9} })
	f("sync?section=assets&class=token&", func(q *clickhouse.RecordQuery) { q.Kinds, q.Statuses = []string{"assets"}, []string{"token"} })
	f("activity?", func(q *clickhouse.RecordQuery) { q.Interval = "" })
	then := moment.Add(-time.Hour)
	until := func(q *clickhouse.RecordQuery) { q.From, q.To = then.Add(-30*24*time.Hour), then }
	asOf := "as_of=" + then.Format(time.RFC3339) + "&"
	f("sync?"+asOf, until)
	f("sync?to="+moment.Format(time.RFC3339)+"&"+asOf, until)
	f("activity?"+asOf, func(q *clickhouse.RecordQuery) { until(q); q.Interval, q.AsOf = "", then })
	f("activity?to=2026-05-01T10:00:00Z&"+asOf, func(q *clickhouse.RecordQuery) {
		q.To = then.Add(-time.Hour)
		q.From, q.Interval, q.AsOf = q.To.Add(-30*24*time.Hour), "", then
	})
}

func TestFiguresThatAreNotToldAsOfAMomentSaySo(t *testing.T) {
	c := newClient(t)
	for _, target := range []string{"market", "mining", "killmails", "mails", "notifications"} {
		c.requireProblem(c.get("/v1/analytics/"+target+"?as_of=2026-01-01T00:00:00Z"), http.StatusUnprocessableEntity, "end the range with to")
	}
	for _, target := range []string{"wallet", "wallet/distribution", "wallet/comparison", "skills/points", "sync", "activity"} {
		c.requireProblem(c.get("/v1/analytics/"+target+"?as_of=2027-01-01T00:00:00Z"), http.StatusUnprocessableEntity, "yet to come")
		require.Equal(t, http.StatusOK, c.get("/v1/analytics/"+target+"?as_of=2026-01-01T00:00:00Z").StatusCode)
	}
}

func TestFiguresOfRecordsAreOfCharactersThatOneMayOpen(t *testing.T) {
	for _, part := range []string{"contracts", "killmails", "activity", "mails", "notifications", "sync"} {
		path := "/v1/analytics/" + part
		var last any
		asked := func() []int64 { return last.(clickhouse.RecordQuery).CharacterIDs }
		c := newClient(t, func(config *api.Config) { config.RecordFigures = trends{asked: &last} })
		c.world.grants, c.world.opens = access.Grants{Active: true, Permissions: []string{"basic_access"}}, []int64{90000001, 90000002}
		c.world.subject.Owner = "ada"
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, []int64{90000001, 90000002}, asked())
		require.Equal(t, http.StatusOK, c.get(path+"?character_id=90000002", as("ada")...).StatusCode)
		require.Equal(t, []int64{90000002}, asked())
		c.requireProblem(c.get(path+"?character_id=90000003", as("ada")...), http.StatusNotFound, "90000003")
		c.world.opens = nil
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, []int64{0}, asked(), "nobody's")
		require.Equal(t, http.StatusOK, c.get(path).StatusCode)
		require.Empty(t, asked(), "a program is bounded by its actions")
		c.world.grants = access.Grants{Active: true}
		c.requireProblem(c.get(path, as("ada")...), http.StatusForbidden, "may not")
	}
}

func TestFiguresOfRecordsComeFromTheRealStores(t *testing.T) {
	s := newStores(t)
	day := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) // a Monday
	const id = 90000001
	facts := func(section eve.Section, items ...string) eve.Facts {
		f := eve.Facts{CharacterID: id, Section: section, Day: "2026-03-02", FetchedAt: day}
		for _, item := range items {
			f.Items = append(f.Items, json.RawMessage(item))
		}
		return f
	}
	s.append(event.User("u1"), day, access.UserRegistered{UserID: "u1", Active: true})
	s.append(event.Character(id), day,
		eve.CharacterRegistered{CharacterID: id, Name: "Bruce Wayne", UserID: "u1", CorporationID: 98000001},
		eve.ContractRecorded{Facts: facts(eve.SectionContracts, fmt.Sprintf(`{"contract_id":7,"type":"courier","status":"finished","issuer_id":%d,"assignee_id":9,"acceptor_id":9,"date_issued":"2026-03-02T01:00:00Z","date_accepted":"2026-03-02T02:00:00Z","date_completed":"2026-03-02T03:00:00Z","date_expired":"2026-03-20T03:00:00Z","availability":"personal","for_corporation":false,"issuer_corporation_id":98000001,"reward":12.34}`, id))},
		eve.KillmailRecorded{Facts: facts(eve.SectionKillmails, fmt.Sprintf(`{"killmail_id":5,"killmail_hash":"ab","killmail_time":"2026-03-02T01:00:00Z","solar_system_id":30000142,"victim":{"character_id":%d,"ship_type_id":587,"damage_taken":9},"attackers":[{"character_id":2,"final_blow":true,"damage_done":9,"security_status":0}]}`, id))},
		eve.MailRecorded{Facts: facts(eve.SectionMails, `{"mail_id":3,"from":9,"timestamp":"2026-03-02T01:00:00Z","subject":"the plan","recipients":[{"recipient_id":90000001,"recipient_type":"character"}]}`)},
		eve.NotificationRecorded{Facts: facts(eve.SectionNotifications, `{"notification_id":4,"sender_id":9,"sender_type":"corporation","timestamp":"2026-03-02T01:00:00Z","type":"WarDeclared","text":"the plan"}`)},
		eve.SectionObserved{CharacterID: id, Section: eve.SectionOnline, Encoding: eve.EncodingFull, ContentHash: "o", FetchedAt: day, Value: json.RawMessage(`{"online":false,"last_login":"2026-03-02T08:30:00Z","last_logout":"2026-03-02T09:15:00Z","logins":3}`)},
		eve.SectionFailed{CharacterID: id, Section: eve.SectionAssets, Class: eve.FailureToken, Message: "the login is gone", Since: day})

	const span = "?from=2026-03-02T00:00:00Z&to=2026-03-03T00:00:00Z"
	some := func(field string) func(map[string]any) bool {
		return func(b map[string]any) bool {
			items, _ := b["items"].([]any)
			for _, item := range items {
				fields, _ := item.(map[string]any)
				if n, _ := fields[field].(float64); n > 0 {
					return true
				}
			}
			return false
		}
	}
	require.Contains(t, s.eventually("/v1/analytics/sync"+span+"&section=assets", some("failed")), `"told":0,"failed":1,"recovered":0,"sections":1,"failing":1,"median_unchanged_seconds":null`)
	contracts := s.eventually("/v1/analytics/contracts"+span+"&group_by=role,counterparty", some("finished"))
	require.Contains(t, contracts, `"role":"issuer","counterparty_id":9,"issued":1,"issued_price":"0.00","issued_reward":"12.34"`)
	require.Contains(t, contracts, `"median_seconds":3600,"mean_seconds":3600`)
	require.Contains(t, s.get("/v1/analytics/contracts"+span+"&as_of=2026-03-02T09:00:00Z").text, `"issued":0,`)
	require.Contains(t, s.eventually("/v1/analytics/killmails"+span, some("losses")), `"kills":0,"losses":1,"final_blows":0,"solo":0,"destroyed_value":"0.00","lost_value":"0.00","unpriced":1`)
	mails := s.eventually("/v1/analytics/mails"+span+"&group_by=counterparty", some("received"))
	require.Contains(t, mails, `"counterparty_id":9,"sent":0,"received":1`)
	require.NotContains(t, mails, "plan")
	notes := s.eventually("/v1/analytics/notifications"+span+"&group_by=type", some("notifications"))
	require.Contains(t, notes, `"type":"WarDeclared","notifications":1`)
	require.NotContains(t, notes, "plan")
	activity := s.eventually("/v1/analytics/activity"+span+"&tz=Europe/Berlin", some("logins"))
	require.Contains(t, activity, `{"weekday":1,"hour":9,"seconds":1800,"logins":1,"characters":1},{"weekday":1,"hour":10,"seconds":900,"logins":0,"characters":1}`)
}
