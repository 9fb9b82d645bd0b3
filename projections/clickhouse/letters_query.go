package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Directions of a mail.
const (
	DirectionSent     = "sent"
	DirectionReceived = "received"
)

// MailFigures are how many mails characters of one group wrote and got in one period.
type MailFigures struct {
	RecordGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End     time.Time
	Sent, Received int64
	// Unreadable counts records that are no mails that can be counted.
	Unreadable int64
}

// Mails counts mails by group and period, each once for each character that has it; if
// grouped by counterparty, once for each recipient of what was sent. It fails like
// [RecordReader.Contracts].
func (r *RecordReader) Mails(ctx context.Context, q RecordQuery) ([]MailFigures, error) {
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation, ByDirection, ByCounterparty)
	if err != nil {
		return nil, err
	}
	figures := newPeriodFigures[MailFigures](&q, bounds)
	p := &query{}
	sql := fmt.Sprintf(`SELECT character_id, date, readable, from_id, recipients FROM %s.mails FINAL WHERE date >= %s AND date < %s%s LIMIT %d`+finalByPartition,
		database, p.moment(bounds[0]), p.moment(bounds[len(bounds)-1]), q.filters(p, false), r.facts.budget.Facts+1)
	err = r.each(ctx, "mails", sql, p, func(rows driver.Rows) error {
		var g RecordGroup
		var at time.Time
		var readable bool
		var from int64
		var others []int64
		if err := rows.Scan(&g.CharacterID, &at, &readable, &from, &others); err != nil {
			return err
		}
		g.CorporationID = where.at(g.CharacterID, at)
		if !readable {
			return figures.add(at, g, func(f *MailFigures) { f.Unreadable++ })
		}
		g.Role = DirectionSent
		if from != g.CharacterID {
			g.Role, others = DirectionReceived, []int64{from}
		}
		for _, g.CounterpartyID = range q.counterparties(others) {
			if err := figures.add(at, g, func(f *MailFigures) {
				if g.Role == DirectionSent {
					f.Sent++
				} else {
					f.Received++
				}
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return figures.all(func(f *MailFigures, g RecordGroup, start, end time.Time) {
		f.RecordGroup, f.Start, f.End = g, start, end
	}), nil
}

// counterparties are those of some that something is counted for: each one if they are
// grouped by, else one that is asked for, or any.
func (q *RecordQuery) counterparties(all []int64) []int64 {
	all = slices.Clone(all)
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == 0 {
		all = []int64{0}
	}
	if slices.Contains(q.GroupBy, ByCounterparty) {
		return all
	}
	if i := slices.IndexFunc(all, func(id int64) bool { return within(q.CounterpartyIDs, id) }); i > 0 {
		return all[i : i+1]
	}
	return all[:1]
}

// NotificationFigures are how many notifications characters of one group got in one
// period.
type NotificationFigures struct {
	RecordGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End    time.Time
	Notifications int64
	// Unreadable counts records that are no notifications that can be counted.
	Unreadable int64
}

// Notifications counts notifications by group and period. It fails like
// [RecordReader.Contracts].
func (r *RecordReader) Notifications(ctx context.Context, q RecordQuery) ([]NotificationFigures, error) {
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation, ByType, BySender)
	if err != nil {
		return nil, err
	}
	figures := newPeriodFigures[NotificationFigures](&q, bounds)
	p := &query{}
	sql := fmt.Sprintf(`SELECT character_id, date, readable, kind, sender_id FROM %s.notifications FINAL WHERE date >= %s AND date < %s%s LIMIT %d`+finalByPartition,
		database, p.moment(bounds[0]), p.moment(bounds[len(bounds)-1]), q.filters(p, false), r.facts.budget.Facts+1)
	err = r.each(ctx, "notifications", sql, p, func(rows driver.Rows) error {
		var g RecordGroup
		var at time.Time
		var readable bool
		if err := rows.Scan(&g.CharacterID, &at, &readable, &g.Kind, &g.CounterpartyID); err != nil {
			return err
		}
		g.CorporationID = where.at(g.CharacterID, at)
		return figures.add(at, g, func(f *NotificationFigures) {
			if readable {
				f.Notifications++
			} else {
				f.Unreadable++
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return figures.all(func(f *NotificationFigures, g RecordGroup, start, end time.Time) {
		f.RecordGroup, f.Start, f.End = g, start, end
	}), nil
}
