package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/muster-sync/muster/domain/eve"
)

// weekHours are the cells of a heat map.
const weekHours = 7 * 24

// HeatCell is an hour of the week.
type HeatCell struct {
	RecordGroup

	// Weekday is 1 for Monday to 7 for Sunday, Hour 0 to 23, by the calendar of the zone.
	Weekday, Hour int64
	// Seconds are those that characters are known to have been online in such hours,
	// added up. Logins are the sessions that began in them, Characters those who were
	// online in any of them.
	Seconds, Logins, Characters int64
}

// HeatMap is when characters were online.
type HeatMap struct {
	// Cells are all hours of the week of each group, in order.
	Cells []HeatCell
	// Sessions is what the cells rest on. Of Open ones no logout is known: they count
	// until the character was last seen online. Missed logins lie between two
	// observations, and nobody knows when.
	Sessions, Open, Missed int64
}

// Presence tells at which hours of the week characters were online within a range. A
// session counts for the corporation in which the character was when it began. The
// interval of the question means nothing. It fails like [RecordReader.Contracts].
func (r *RecordReader) Presence(ctx context.Context, q RecordQuery) (*HeatMap, error) {
	q.Interval = Year
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation)
	if err != nil {
		return nil, err
	}
	f := presenceFold{
		query: &q, where: where, from: bounds[0], to: bounds[len(bounds)-1],
		cells: newTable[RecordGroup, HeatCell](weekHours, q.GroupBy), heat: &HeatMap{},
	}
	p := &query{}
	err = r.each(ctx, "observations of who is online", f.sql(p, database, r.facts.budget.Facts+1), p, func(rows driver.Rows) error {
		var character int64
		var seen eve.Presence
		if err := rows.Scan(&character, &seen.At, &seen.Online, &seen.LastLogin, &seen.LastLogout, &seen.Logins); err != nil {
			return err
		}
		for _, at := range []*time.Time{&seen.LastLogin, &seen.LastLogout} {
			if at.Unix() == 0 {
				*at = time.Time{}
			}
		}
		if character != f.character {
			if err := f.flush(); err != nil {
				return err
			}
			f.character = character
		}
		f.seen = append(f.seen, seen)
		return nil
	})
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		return nil, err
	}
	for _, g := range f.cells.inOrder(compareRecordGroups) {
		for i, c := range f.cells.groups[g] {
			c.RecordGroup, c.Weekday, c.Hour = g, int64(i/24)+1, int64(i%24)
			f.heat.Cells = append(f.heat.Cells, c)
		}
	}
	return f.heat, nil
}

// presenceFold makes sessions of what was seen of one character after the other.
type presenceFold struct {
	query     *RecordQuery
	where     memberships
	from, to  time.Time
	cells     *table[RecordGroup, HeatCell]
	heat      *HeatMap
	character int64
	seen      []eve.Presence
}

// sql takes the observations within the range, and of each character the last before it
// and the first after it, which tell of sessions that reach into it. The first after it may
// tell of the login alone: the first that tells of the logout is taken, too.
func (f *presenceFold) sql(p *query, database string, limit int) string {
	from, to := "toDateTime64("+p.moment(f.from)+", 3, 'UTC')", "toDateTime64("+p.moment(f.to)+", 3, 'UTC')"
	characters := f.query.filters(p, false)
	known := ""
	if !f.query.AsOf.IsZero() {
		known = " AND observed_at <= fromUnixTimestamp64Milli(" + p.integer(f.query.AsOf.UnixMilli()) + ", 'UTC')"
	}
	return fmt.Sprintf(`SELECT character_id, observed_at, online, last_login, last_logout, logins FROM %[1]s.presence FINAL
		WHERE (observed_at >= %[2]s AND observed_at < %[3]s
			OR (character_id, observed_at) IN (SELECT character_id, max(observed_at) FROM %[1]s.presence WHERE observed_at < %[2]s%[4]s GROUP BY character_id)
			OR (character_id, observed_at) IN (SELECT character_id, arrayJoin([min(observed_at), minIf(observed_at, NOT online OR last_login >= %[3]s)]) FROM %[1]s.presence WHERE observed_at >= %[3]s%[6]s%[4]s GROUP BY character_id))%[4]s
		ORDER BY character_id, observed_at LIMIT %[5]d`+finalByPartition, database, from, to, characters, limit, known)
}

// flush counts the sessions of a character.
func (f *presenceFold) flush() error {
	sessions, missed := eve.Sessions(f.seen)
	f.seen = nil
	var online [weekHours]map[RecordGroup]bool
	counted := len(f.query.CorporationIDs) == 0
	for _, s := range sessions {
		if !s.From.Before(f.to) || s.From.Before(f.from) && !s.To.After(f.from) {
			continue
		}
		g := RecordGroup{FactGroup: FactGroup{CharacterID: f.character, CorporationID: f.where.at(f.character, s.From)}}
		if !f.query.admits(g) {
			continue
		}
		counted = true
		cells, err := f.cells.of(f.query.group(g))
		if err != nil {
			return err
		}
		f.heat.Sessions++
		if !s.Known {
			f.heat.Open++
		}
		f.fill(cells, s, func(cell int) {
			if online[cell] == nil {
				online[cell] = map[RecordGroup]bool{}
			}
			online[cell][f.query.group(g)] = true
		})
	}
	if counted {
		f.heat.Missed += missed
	}
	for cell := range online {
		for g := range online[cell] {
			f.cells.groups[g][cell].Characters++
		}
	}
	return nil
}

// fill adds a session to the hours that it lies in.
func (f *presenceFold) fill(cells []HeatCell, s eve.Session, online func(cell int)) {
	cellOf := func(at time.Time) int {
		local := at.In(f.query.Zone)
		return (int(local.Weekday())+6)%7*24 + local.Hour()
	}
	at, end := s.From, s.To.Truncate(time.Second)
	if at.Before(f.from) {
		at = f.from
	} else {
		cell := cellOf(at)
		cells[cell].Logins++
		online(cell)
	}
	if end.After(f.to) {
		end = f.to
	}
	for at.Before(end) {
		until := next(at, Hour, f.query.Zone)
		if until.After(end) {
			until = end
		}
		cell := cellOf(at)
		cells[cell].Seconds += int64(until.Sub(at) / time.Second)
		online(cell)
		at = until
	}
}
