package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/live"
)

// Dimensions of figures of an organisation.
const (
	ByCause  Dimension = "cause"
	ByGroup  Dimension = "group"
	ByViewer Dimension = "viewer"
	ByOwner  Dimension = "owner"
	ByWay    Dimension = "way"
)

// OrganisationReader answers questions about how an organisation stood over time. It is
// safe for concurrent use.
type OrganisationReader struct {
	conn   driver.Conn
	live   *live.Generations
	budget Budget
}

// NewOrganisationReader reads the projections [OrganisationName] and, for where
// characters were, [FactsName] behind the connection; no question may cost more than the
// budget.
func NewOrganisationReader(conn driver.Conn, generations *live.Generations, budget Budget) *OrganisationReader {
	return &OrganisationReader{conn: conn, live: generations, budget: budget}
}

func (r *OrganisationReader) database(ctx context.Context) (string, error) {
	name, err := r.live.Namespace(ctx, OrganisationName)
	if err != nil {
		return "", queryError("finding the history of the organisation", err)
	}
	return quote(name), nil
}

func (r *OrganisationReader) each(ctx context.Context, doing, sql string, q *query, scan func(driver.Rows) error) error {
	return eachRow(ctx, r.conn, r.budget, doing, sql, q, scan)
}

// CauseNone is the cause of those with whom there is nothing to be put right.
const CauseNone = "none"

// ComplianceQuery says which figures of compliance to make. Zero fields do not filter.
type ComplianceQuery struct {
	// From is inclusive, To exclusive.
	From, To time.Time
	Interval Interval
	// Zone is the time zone of the calendar; UTC if nil.
	Zone    *time.Location
	GroupBy []Dimension

	// Bounded tells that Users alone count, in byte order of their ids; else everybody
	// does.
	Bounded bool
	Users   []string
	// CorporationIDs are where the main was at that moment.
	CorporationIDs []int64
}

func (q *ComplianceQuery) of(user string) bool {
	if !q.Bounded {
		return true
	}
	_, there := slices.BinarySearch(q.Users, user)
	return there
}

// ComplianceGroup is what figures are of. Fields of dimensions that were not asked for
// are empty.
type ComplianceGroup struct {
	// CorporationID is where the main was; zero if there was none, or if that is not
	// known.
	CorporationID int64
	// Cause is a fault, or [CauseNone].
	Cause string
}

// ComplianceFigures are how the users of one group stood at the end of one period, and
// what happened within it.
type ComplianceFigures struct {
	ComplianceGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Users counts those whom reports considered at the end, Compliant those of them that
	// were compliant, and the others those with that fault.
	Users, Compliant, NoMain, NeverRegistered, LoginLost int64
	// BecameCompliant and BecameNonCompliant count changes of users who were considered
	// before and after; Arrived and Left those who were considered from then on, or no
	// more.
	BecameCompliant, BecameNonCompliant, Arrived, Left int64
	// MedianSeconds and P90Seconds are how long those who became compliant had not been
	// so; nil if nobody did. They are values that occurred: those of the nearest rank.
	MedianSeconds, P90Seconds *int64
}

// complianceSums are figures while they are added up. Those of users are by how much
// they differ from the period before.
type complianceSums struct {
	users, compliant, noMain, never, lost int64
	became, fell, arrived, left           int64
	took                                  []int64
}

// stood is how a user stood from a moment on.
type stood struct {
	at                                         time.Time
	considered, compliant, noMain, never, lost bool
	total, unregistered                        int64
}

// open tells whether he was considered and not compliant.
func (s stood) open() bool { return s.considered && !s.compliant }

// causes are his faults; never none at all.
func (s stood) causes() []string {
	var causes []string
	for _, f := range []struct {
		is    bool
		fault access.Fault
	}{{s.noMain, access.FaultNoMain}, {s.never, access.FaultNeverRegistered}, {s.lost, access.FaultLoginLost}} {
		if f.is {
			causes = append(causes, string(f.fault))
		}
	}
	if causes == nil {
		return []string{CauseNone}
	}
	return causes
}

// count adds a user to the sums, or takes him away.
func (s stood) count(to *complianceSums, by int64) {
	to.users += by
	for _, f := range []struct {
		is    bool
		count *int64
	}{{s.compliant, &to.compliant}, {s.noMain, &to.noMain}, {s.never, &to.never}, {s.lost, &to.lost}} {
		if f.is {
			*f.count += by
		}
	}
}

// groups are the groups that a user who stands like this counts in at a moment.
func (q *ComplianceQuery) groups(s stood, corporation int64) []ComplianceGroup {
	if !s.considered || len(q.CorporationIDs) > 0 && !slices.Contains(q.CorporationIDs, corporation) {
		return nil
	}
	var g ComplianceGroup
	if slices.Contains(q.GroupBy, ByCorporation) {
		g.CorporationID = corporation
	}
	if !slices.Contains(q.GroupBy, ByCause) {
		return []ComplianceGroup{g}
	}
	var groups []ComplianceGroup
	for _, cause := range s.causes() {
		groups = append(groups, ComplianceGroup{g.CorporationID, cause})
	}
	return groups
}

// Compliance counts users by group and period, as they stood at its end, with what
// happened within it. Groups come in order, each with all its periods. A user counts for
// the corporation that his main was in at that moment. Grouped by cause he counts in each
// of his; one who became compliant in those that he had until then.
//
// It fails with [event.CodeInvalid] for a question that cannot be or goes over the
// budget, and with [event.CodeUnavailable] if the projections or ClickHouse are not
// there.
func (r *OrganisationReader) Compliance(ctx context.Context, q ComplianceQuery) ([]ComplianceFigures, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	if err := checkDimensions(q.GroupBy, []Dimension{ByCorporation, ByCause}); err != nil {
		return nil, err
	}
	bounds, err := Bounds(q.From, q.To, q.Interval, q.Zone)
	if err != nil {
		return nil, err
	}
	where, err := r.homes(ctx, slices.Contains(q.GroupBy, ByCorporation) || len(q.CorporationIDs) > 0, bounds[len(bounds)-1])
	if err != nil {
		return nil, err
	}
	f := complianceFold{q: q, bounds: bounds, where: where, figures: newTable[ComplianceGroup, complianceSums](len(bounds)-1, q.GroupBy)}
	if err := r.users(ctx, bounds[len(bounds)-1], q.of, f.add); err != nil {
		return nil, err
	}
	return f.result(), nil
}

// users hands over how each user stood before a moment, user by user, in the order of
// time.
func (r *OrganisationReader) users(ctx context.Context, end time.Time, of func(string) bool, add func(user string, past []stood) error) error {
	database, err := r.database(ctx)
	if err != nil {
		return err
	}
	p := &query{}
	sql := fmt.Sprintf(`SELECT user_id, since, considered, compliant, no_main, never_registered, login_lost, total, unregistered
		FROM %s.compliance FINAL WHERE since < toDateTime64(%s, 3, 'UTC') ORDER BY user_id, since, log_offset LIMIT %d`, database, p.moment(end), r.budget.Facts+1)
	var user string
	var past []stood
	n := 0
	err = r.each(ctx, "reading how users stood", sql, p, func(rows driver.Rows) error {
		var id string
		var s stood
		if err := rows.Scan(&id, &s.at, &s.considered, &s.compliant, &s.noMain, &s.never, &s.lost, &s.total, &s.unregistered); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("changes of compliance")
		}
		if id != user && len(past) > 0 {
			if err := add(user, past); err != nil {
				return err
			}
			past = past[:0]
		}
		if user = id; of(id) {
			past = append(past, s)
		}
		return nil
	})
	if err != nil || len(past) == 0 {
		return err
	}
	return add(user, past)
}

// complianceFold adds up users, one after the other.
type complianceFold struct {
	q       ComplianceQuery
	bounds  []time.Time
	where   *homes
	figures *table[ComplianceGroup, complianceSums]
}

func (f *complianceFold) add(user string, past []stood) error {
	if err := f.happened(user, past); err != nil {
		return err
	}
	// Nothing is different at the end of a period in which nothing changed.
	moments := f.where.changes(user)
	for _, s := range past {
		moments = append(moments, s.at)
	}
	periods := map[int]bool{}
	for _, at := range moments {
		if i := max(0, periodOf(f.bounds, at)); i < len(f.bounds)-1 {
			periods[i] = true
		}
	}
	order := make([]int, 0, len(periods))
	for i := range periods {
		order = append(order, i)
	}
	slices.Sort(order)
	var before stood
	var in []ComplianceGroup
	for _, i := range order {
		at := f.bounds[i+1].Add(-time.Nanosecond)
		n := sort.Search(len(past), func(n int) bool { return past[n].at.After(at) })
		if n == 0 {
			continue
		}
		now := past[n-1]
		groups := f.q.groups(now, f.where.at(user, at))
		if err := f.move(i, before, in, -1); err != nil {
			return err
		}
		if err := f.move(i, now, groups, 1); err != nil {
			return err
		}
		before, in = now, groups
	}
	return nil
}

func (f *complianceFold) move(period int, s stood, groups []ComplianceGroup, by int64) error {
	for _, g := range groups {
		list, err := f.figures.of(g)
		if err != nil {
			return err
		}
		s.count(&list[period], by)
	}
	return nil
}

// happened counts the changes of a user within the range.
func (f *complianceFold) happened(user string, past []stood) error {
	var before stood
	var since time.Time
	for _, now := range past {
		if now.open() && !before.open() {
			since = now.at
		}
		as, count := now, func(*complianceSums) {}
		switch {
		case !before.considered && now.considered:
			count = func(s *complianceSums) { s.arrived++ }
		case before.considered && !now.considered:
			as, count = before, func(s *complianceSums) { s.left++ }
		case before.open() && now.compliant:
			seconds := int64(now.at.Sub(since) / time.Second)
			as, count = before, func(s *complianceSums) { s.became, s.took = s.became+1, append(s.took, seconds) }
		case before.compliant && now.open():
			count = func(s *complianceSums) { s.fell++ }
		default:
			as = stood{}
		}
		before = now
		period := periodOf(f.bounds, now.at)
		if period < 0 {
			continue
		}
		for _, g := range f.q.groups(as, f.where.at(user, now.at)) {
			list, err := f.figures.of(g)
			if err != nil {
				return err
			}
			count(&list[period])
		}
	}
	return nil
}

func (f *complianceFold) result() []ComplianceFigures {
	var out []ComplianceFigures
	for _, g := range f.figures.inOrder(func(a, b ComplianceGroup) int {
		return cmp.Or(cmp.Compare(a.CorporationID, b.CorporationID), strings.Compare(a.Cause, b.Cause))
	}) {
		var held complianceSums
		for i, s := range f.figures.groups[g] {
			held.users += s.users
			held.compliant += s.compliant
			held.noMain += s.noMain
			held.never += s.never
			held.lost += s.lost
			out = append(out, ComplianceFigures{
				ComplianceGroup: g, Start: f.bounds[i], End: f.bounds[i+1],
				Users: held.users, Compliant: held.compliant, NoMain: held.noMain, NeverRegistered: held.never, LoginLost: held.lost,
				BecameCompliant: s.became, BecameNonCompliant: s.fell, Arrived: s.arrived, Left: s.left,
				MedianSeconds: nearestRank(s.took, 50), P90Seconds: nearestRank(s.took, 90),
			})
		}
	}
	return out
}

// nearestRank is the least of the values that so many percent of them do not go over;
// nil if there are none. It sorts them.
func nearestRank(values []int64, percent int) *int64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return new(values[(len(values)*percent+99)/100-1])
}

// OpenCompliance is a user who is considered and not compliant at a moment.
type OpenCompliance struct {
	User string
	// Since is when he last became so, UTC.
	Since time.Time
	// CorporationID is where his main is; zero if he has none, or if that is not known.
	CorporationID int64
	// Causes are his faults.
	Causes              []string
	Total, Unregistered int64
}

// OpenCompliance lists the users who were considered and not compliant at the end of a
// range, q.To, those first who have been so for longest. Of the question it heeds whom
// it may be about and the corporations. It fails like [OrganisationReader.Compliance].
func (r *OrganisationReader) OpenCompliance(ctx context.Context, q ComplianceQuery) ([]OpenCompliance, error) {
	end := wholeSecond(q.To)
	where, err := r.homes(ctx, true, end)
	if err != nil {
		return nil, err
	}
	open := []OpenCompliance{}
	last := end.Add(-time.Nanosecond)
	err = r.users(ctx, end, q.of, func(user string, past []stood) error {
		now := past[len(past)-1]
		corporation := where.at(user, last)
		if !now.open() || len(q.CorporationIDs) > 0 && !slices.Contains(q.CorporationIDs, corporation) {
			return nil
		}
		first := len(past) - 1
		for first > 0 && past[first-1].open() {
			first--
		}
		open = append(open, OpenCompliance{user, past[first].at, corporation, now.causes(), now.total, now.unregistered})
		return nil
	})
	slices.SortFunc(open, func(a, b OpenCompliance) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.User, b.User))
	})
	return open, err
}

// mainFrom is which character was a main from when on; zero for none.
type mainFrom struct {
	since     time.Time
	character int64
}

// homes are where the mains of users were; nil if nobody asks.
type homes struct {
	mains map[string][]mainFrom
	stays memberships
}

// at is the corporation of a user's main at a moment; zero if he had none, or if that is
// not known.
func (h *homes) at(user string, at time.Time) int64 {
	if h == nil {
		return 0
	}
	mains := h.mains[user]
	n := sort.Search(len(mains), func(i int) bool { return mains[i].since.After(at) })
	if n == 0 || mains[n-1].character == 0 {
		return 0
	}
	return h.stays.at(mains[n-1].character, at)
}

// changes are the moments at which the corporation of a user's main may have changed.
func (h *homes) changes(user string) []time.Time {
	if h == nil {
		return nil
	}
	var moments []time.Time
	for _, m := range h.mains[user] {
		moments = append(moments, m.since)
		for _, s := range h.stays[m.character] {
			moments = append(moments, s.since)
		}
	}
	return moments
}

// homes reads where the mains of users were before a moment, if somebody asks.
func (r *OrganisationReader) homes(ctx context.Context, asked bool, end time.Time) (*homes, error) {
	if !asked {
		return nil, nil //nolint:nilnil // nobody asks where they were
	}
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	name, err := r.live.Namespace(ctx, FactsName)
	if err != nil {
		return nil, queryError("finding where characters were", err)
	}
	h := &homes{mains: map[string][]mainFrom{}, stays: memberships{}}
	p := &query{}
	err = r.each(ctx, "reading who was whose main", fmt.Sprintf("SELECT user_id, since, character_id FROM %s.mains FINAL WHERE since < toDateTime64(%s, 3, 'UTC') ORDER BY user_id, since, log_offset", database, p.moment(end)), p, func(rows driver.Rows) error {
		var user string
		var m mainFrom
		err := rows.Scan(&user, &m.since, &m.character)
		h.mains[user] = append(h.mains[user], m)
		return err
	})
	if err != nil {
		return nil, err
	}
	sql := fmt.Sprintf(`SELECT character_id, since, corporation_id FROM (
			SELECT character_id, since, corporation_id, 0 AS listed FROM %[1]s.affiliations FINAL WHERE character_id IN (SELECT character_id FROM %[2]s.mains)
			UNION ALL SELECT character_id, since, corporation_id, 1 AS listed FROM %[2]s.listed FINAL WHERE character_id IN (SELECT character_id FROM %[2]s.mains))
		ORDER BY character_id, since, listed DESC`, quote(name), database)
	return h, r.each(ctx, "reading where mains were", sql, &query{}, func(rows driver.Rows) error {
		var id int64
		var s stay
		err := rows.Scan(&id, &s.since, &s.corporation)
		h.stays[id] = append(h.stays[id], s)
		return err
	})
}
