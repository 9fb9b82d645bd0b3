package clickhouse

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/live"
)

// Dimensions of figures of records.
const (
	ByCounterparty Dimension = "counterparty"
	ByStatus       Dimension = "status"
	ByRole         Dimension = "role"
	ByShipType     Dimension = "ship_type"
	ByOutcome      Dimension = "outcome"
	BySender       Dimension = "sender"
	BySection      Dimension = "section"
)

// RecordQuery says which figures of records to make. Zero fields do not filter.
type RecordQuery struct {
	FactQuery

	// AsOf has contracts counted and presence told as they were known then; zero as they
	// are known now.
	AsOf time.Time
	// CounterpartyIDs are the other sides of contracts and mails, and the senders of
	// notifications.
	CounterpartyIDs []int64
	// Kinds are the types of contracts and of notifications, and sections; Statuses those
	// of contracts; Roles those in contracts, directions of mails, outcomes of killmails.
	Kinds, Statuses, Roles []string
}

// RecordGroup is what figures of records are of. Fields of dimensions that were not
// asked for are zero.
type RecordGroup struct {
	FactGroup

	CounterpartyID     int64
	Kind, Status, Role string
}

func compareRecordGroups(a, b RecordGroup) int {
	return cmp.Or(compareFactGroups(a.FactGroup, b.FactGroup), cmp.Compare(a.CounterpartyID, b.CounterpartyID), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Role, b.Role))
}

// admits tells whether what is of a group, with all its fields, is asked for.
func (q *RecordQuery) admits(g RecordGroup) bool {
	return q.counts(g.CorporationID, g.PlaceID) && within(q.TypeIDs, g.TypeID) && within(q.CounterpartyIDs, g.CounterpartyID) &&
		within(q.Kinds, g.Kind) && within(q.Statuses, g.Status) && within(q.Roles, g.Role)
}

// within tells whether a filter lets a value pass; an empty one lets all.
func within[T comparable](filter []T, value T) bool {
	return len(filter) == 0 || slices.Contains(filter, value)
}

// group leaves of a group the fields that are grouped by.
func (q *RecordQuery) group(all RecordGroup) RecordGroup {
	var g RecordGroup
	for _, d := range q.GroupBy {
		switch d {
		case ByCharacter:
			g.CharacterID = all.CharacterID
		case ByCorporation:
			g.CorporationID = all.CorporationID
		case ByShipType:
			g.TypeID = all.TypeID
		case BySolarSystem:
			g.PlaceID = all.PlaceID
		case ByCounterparty, BySender:
			g.CounterpartyID = all.CounterpartyID
		case ByType, BySection:
			g.Kind = all.Kind
		case ByStatus, ByClass:
			g.Status = all.Status
		case ByRole, ByDirection, ByOutcome:
			g.Role = all.Role
		}
	}
	return g
}

// RecordReader answers questions about contracts, killmails, mails, notifications, who
// was online, and the sync. It is safe for concurrent use.
type RecordReader struct {
	facts FactReader
}

// NewRecordReader reads the projection [RecordsName] behind the connection; no question
// may cost more than the budget.
func NewRecordReader(conn driver.Conn, generations *live.Generations, budget Budget) *RecordReader {
	return &RecordReader{FactReader{conn, generations, budget}}
}

func (r *RecordReader) database(ctx context.Context) (string, error) {
	name, err := r.facts.live.Namespace(ctx, RecordsName)
	if err != nil {
		return "", queryError("finding the records", err)
	}
	return quote(name), nil
}

// begin is [FactReader.begin] for this projection.
func (r *RecordReader) begin(ctx context.Context, q *RecordQuery, dimensions ...Dimension) ([]time.Time, string, memberships, error) {
	bounds, err := q.periods(dimensions...)
	if err != nil {
		return nil, "", nil, err
	}
	database, err := r.database(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	where, err := r.facts.memberships(ctx, database, &q.FactQuery)
	return bounds, database, where, err
}

// each hands over row by row, and refuses to read more than may be folded.
func (r *RecordReader) each(ctx context.Context, what, sql string, p *query, scan func(driver.Rows) error) error {
	n := 0
	return eachRow(ctx, r.facts.conn, r.facts.budget, "reading "+what, sql, p, func(rows driver.Rows) error {
		if n++; n > r.facts.budget.Facts {
			return r.facts.budget.tooMany(what)
		}
		return scan(rows)
	})
}

// periodFigures are figures of groups while they are added up.
type periodFigures[F any] struct {
	*table[RecordGroup, F]

	query  *RecordQuery
	bounds []time.Time
}

func newPeriodFigures[F any](q *RecordQuery, bounds []time.Time) periodFigures[F] {
	return periodFigures[F]{newTable[RecordGroup, F](len(bounds)-1, q.GroupBy), q, bounds}
}

// add adds to the figures of the period of a moment, if that and the group are asked for.
func (t periodFigures[F]) add(at time.Time, g RecordGroup, add func(*F)) error {
	if at.Before(t.bounds[0]) || !at.Before(t.bounds[len(t.bounds)-1]) || !t.query.admits(g) {
		return nil
	}
	list, err := t.of(t.query.group(g))
	if err != nil {
		return err
	}
	add(&list[periodOf(t.bounds, at)])
	return nil
}

// all are the figures of each group, period by period.
func (t periodFigures[F]) all(finish func(f *F, g RecordGroup, start, end time.Time)) []F {
	var out []F
	for _, g := range t.inOrder(compareRecordGroups) {
		for i, f := range t.groups[g] {
			finish(&f, g, t.bounds[i], t.bounds[i+1])
			out = append(out, f)
		}
	}
	return out
}

// middle are the median, of an even number the lower one of the middle, and the mean of
// seconds; nil of none.
func middle(took []int64) (median, mean *int64) {
	if len(took) == 0 {
		return nil, nil
	}
	slices.Sort(took)
	var sum int64
	for _, seconds := range took {
		sum += seconds
	}
	return new(took[(len(took)-1)/2]), new(sum / int64(len(took)))
}

// RecordsBefore are the characters of which contracts and mails are still there of UTC
// days before that of a moment, in order of their ids.
func (r *RecordReader) RecordsBefore(ctx context.Context, before time.Time) ([]retention.Aged, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	return agedRows(ctx, r.facts.conn, database, before, "contracts", "mails")
}
