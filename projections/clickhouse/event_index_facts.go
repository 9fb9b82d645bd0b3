package clickhouse

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
)

// CharacterStreams are the streams of characters that the index has records of,
// those of forgotten ones among them, in order of their names.
func (r *EventIndexReader) CharacterStreams(ctx context.Context) ([]event.Stream, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.conn.Query(ctx, "SELECT DISTINCT stream FROM "+database+".event_index WHERE startsWith(stream, 'eve:character:') ORDER BY stream")
	if err != nil {
		return nil, queryError("listing the streams of characters", err)
	}
	defer func() { _ = rows.Close() }()
	var streams []event.Stream
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, queryError("listing the streams of characters", err)
		}
		streams = append(streams, event.Stream(name))
	}
	return streams, rows.Err()
}

// Facts are what retention has to know of all records of some streams of characters,
// of each in order of the log: also of those before it was forgotten, and of all
// copies.
func (r *EventIndexReader) Facts(ctx context.Context, streams []event.Stream) (map[event.Stream][]retention.Fact, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(streams))
	for i, s := range streams {
		names[i] = string(s)
	}
	q := &query{}
	// Without FINAL: a row that is there twice is a copy like others.
	rows, err := r.conn.Query(ctx, "SELECT stream, event_id, type, section, day, encoding, base, time, log_offset FROM "+database+
		".event_index WHERE stream IN "+q.texts(names)+" AND topic = "+q.text(event.TopicEVE)+" ORDER BY stream, log_offset", q.arguments...)
	if err != nil {
		return nil, queryError("reading what is recorded of characters", err)
	}
	defer func() { _ = rows.Close() }()
	facts := make(map[event.Stream][]retention.Fact, len(streams))
	for rows.Next() {
		var (
			f                               retention.Fact
			stream, kind, section, encoding string
			day, at                         time.Time
		)
		if err := rows.Scan(&stream, &f.ID, &kind, &section, &day, &encoding, &f.Base, &at, &f.Offset); err != nil {
			return nil, queryError("reading what is recorded of characters", err)
		}
		f.Type, f.Section, f.Encoding, f.Time = event.Type(kind), eve.Section(section), eve.Encoding(encoding), at.UTC()
		if day.Unix() != 0 {
			f.Day = day.Format(time.DateOnly)
		}
		facts[event.Stream(stream)] = append(facts[event.Stream(stream)], f)
	}
	return facts, rows.Err()
}

// looksAtOnce is how many looks are read at once.
const looksAtOnce = 10_000

// EachLook calls fn with all looks at data of others, in order of their streams, and when the
// character was last forgotten; the zero time if it was not.
func (r *EventIndexReader) EachLook(ctx context.Context, fn func(l retention.Look, forgotten time.Time) error) error {
	database, err := r.database(ctx)
	if err != nil {
		return err
	}
	stream, offset := "", int64(-1)
	for {
		q := &query{}
		rows, err := r.conn.Query(ctx, "SELECT l.stream, l.log_offset, l.event_id, l.time, f.at FROM (SELECT stream, log_offset, event_id, time FROM "+database+
			".event_index WHERE topic = "+q.text(event.TopicAccess)+" AND type = "+q.text(string(access.TypeDataViewed))+
			" AND (stream, log_offset) > ("+q.text(stream)+", "+q.integer(offset)+") ORDER BY stream, log_offset LIMIT "+q.integer(looksAtOnce)+
			") AS l LEFT JOIN (SELECT stream, max(time) AS at FROM "+database+".forgotten GROUP BY stream) AS f ON f.stream = l.stream ORDER BY l.stream, l.log_offset", q.arguments...)
		if err != nil {
			return queryError("reading who looked at data of others", err)
		}
		n := 0
		var page []retention.Look
		var forgotten []time.Time
		for rows.Next() {
			var l retention.Look
			var at time.Time
			if err := rows.Scan(&stream, &offset, &l.ID, &l.Time, &at); err != nil {
				return errors.Join(queryError("reading who looked at data of others", err), rows.Close())
			}
			l.Stream, l.Time = event.Stream(stream), l.Time.UTC()
			if at.Unix() == 0 {
				at = time.Time{} // It was not forgotten.
			}
			page, forgotten = append(page, l), append(forgotten, at.UTC())
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return queryError("reading who looked at data of others", err)
		}
		// What fn does takes its time, and the server's patience ends.
		for i, l := range page {
			if err := fn(l, forgotten[i]); err != nil {
				return err
			}
		}
		if n < looksAtOnce {
			return nil
		}
	}
}

// Indexed is how many rows the index has of the ids given that lie before an offset
// of their partition.
func (r *EventIndexReader) Indexed(ctx context.Context, partition eventlog.Partition, ids []uuid.UUID, before int64) (int64, error) {
	database, err := r.database(ctx)
	if err != nil {
		return 0, err
	}
	q := &query{}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	var n uint64
	sql := "SELECT count() FROM " + database + ".event_index WHERE topic = " + q.text(partition.Topic) + " AND log_partition = " + q.integer(int64(partition.ID)) +
		" AND log_offset < " + q.integer(before) + " AND toString(event_id) IN " + q.texts(texts)
	if err := r.conn.QueryRow(ctx, sql, q.arguments...).Scan(&n); err != nil {
		return 0, queryError("counting what is left in the index of events", err)
	}
	return int64(n), nil
}

// EntriesBefore are the characters whose journals still show entries before a
// moment, in order of their ids.
func (r *WalletReader) EntriesBefore(ctx context.Context, before time.Time) ([]retention.Aged, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	q := &query{}
	rows, err := r.conn.Query(ctx, "SELECT character_id, toInt64(count()), any(log_partition), max(log_offset) FROM "+database+
		".wallet_journal WHERE date < toDateTime("+q.integer(max(0, before.Unix()))+", 'UTC') GROUP BY character_id ORDER BY character_id", q.arguments...)
	if err != nil {
		return nil, queryError("looking for old journal entries", err)
	}
	return collectAged(rows, "looking for old journal entries")
}

// RecordsBefore are the characters of which trades and lines of the mining ledger are
// still there of UTC days before that of a moment, in order of their ids.
func (r *FactReader) RecordsBefore(ctx context.Context, before time.Time) ([]retention.Aged, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	return agedRows(ctx, r.conn, database, before, "transactions", "mining")
}

// agedRows are the characters with rows of days before that of a moment, in tables.
func agedRows(ctx context.Context, conn driver.Conn, database string, before time.Time, tables ...string) ([]retention.Aged, error) {
	q := &query{}
	var parts []string
	for _, table := range tables {
		parts = append(parts, "SELECT character_id, log_partition, log_offset FROM "+database+"."+table+" WHERE day < toDate(toDateTime("+q.integer(max(0, before.Unix()))+", 'UTC'))")
	}
	doing := "looking for old " + strings.Join(tables, " and ")
	rows, err := conn.Query(ctx, "SELECT character_id, toInt64(count()), any(log_partition), max(log_offset) FROM ("+strings.Join(parts, " UNION ALL ")+
		") GROUP BY character_id ORDER BY character_id", q.arguments...)
	if err != nil {
		return nil, queryError(doing, err)
	}
	return collectAged(rows, doing)
}

func collectAged(rows driver.Rows, doing string) ([]retention.Aged, error) {
	defer func() { _ = rows.Close() }()
	var all []retention.Aged
	for rows.Next() {
		var a retention.Aged
		if err := rows.Scan(&a.CharacterID, &a.Rows, &a.Partition, &a.LastOffset); err != nil {
			return nil, queryError(doing, err)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}
