package clickhouse

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
)

// ReadinessQuery says which figures of skill sets to make. Zero fields do not filter.
type ReadinessQuery struct {
	// From is inclusive, To exclusive.
	From, To time.Time
	Interval Interval
	// Zone is the time zone of the calendar; UTC if nil.
	Zone    *time.Location
	GroupBy []Dimension

	CharacterIDs []int64
	// CorporationIDs are where the character was at that moment.
	CorporationIDs []int64
	// SkillSetIDs are sets, GroupIDs groups that they were in at that moment.
	SkillSetIDs, GroupIDs []uuid.UUID
}

// ReadinessGroup is what figures are of. Fields of dimensions that were not asked for are
// zero.
type ReadinessGroup struct {
	SkillSetID uuid.UUID
	// GroupID is a group that the set was in; zero for a set that was in none.
	GroupID uuid.UUID
	// CorporationID is where the character was; zero if none is known.
	CorporationID int64
	CharacterID   int64
}

func compareReadinessGroups(a, b ReadinessGroup) int {
	return cmp.Or(bytes.Compare(a.SkillSetID[:], b.SkillSetID[:]), bytes.Compare(a.GroupID[:], b.GroupID[:]), cmp.Compare(a.CorporationID, b.CorporationID), cmp.Compare(a.CharacterID, b.CharacterID))
}

// ReadinessFigures are how characters stood to a skill set at the end of one period, and
// what happened within it.
type ReadinessFigures struct {
	ReadinessGroup

	// SkillSetName and GroupName are how both were called last before the end of the
	// range; empty for none.
	SkillSetName, GroupName string
	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Characters counts those whose skills were known at the end, Passed those of them who
	// reached all that the set required, Recommended those who reached that and what it
	// recommended.
	Characters, Passed, Recommended int64
	// GainedByCharacter counts those who passed from then on because they learned,
	// GainedBySkillSet because the set asked for less, or was defined. Likewise those who
	// did not pass any more.
	GainedByCharacter, GainedBySkillSet, LostByCharacter, LostBySkillSet int64
}

// readinessSums are figures while they are added up. Those of characters are by how much
// they differ from the period before.
type readinessSums struct {
	characters, passed, recommended                              int64
	gainedCharacter, gainedSkillSet, lostCharacter, lostSkillSet int64
}

// setVersion is what a skill set asked for from a moment on; nil if it was removed.
type setVersion struct {
	since time.Time
	asks  *eve.SkillSet
}

// groupVersion is what sets a group had from a moment on.
type groupVersion struct {
	since time.Time
	sets  []uuid.UUID
}

// doctrine are skill sets and groups over time.
type doctrine struct {
	sets       map[uuid.UUID][]setVersion
	groups     map[uuid.UUID][]groupVersion
	setNames   map[uuid.UUID]string
	groupNames map[uuid.UUID]string
}

// groupsOf are the groups that a set was in at a moment, in order. A set leaves its
// groups when it is removed, and does not come back into them by being defined again.
func (d *doctrine) groupsOf(set uuid.UUID, at time.Time) []uuid.UUID {
	var in []uuid.UUID
	for id, versions := range d.groups {
		n := sort.Search(len(versions), func(i int) bool { return versions[i].since.After(at) })
		if n == 0 || !slices.Contains(versions[n-1].sets, set) {
			continue
		}
		removed := slices.ContainsFunc(d.sets[set], func(v setVersion) bool {
			return v.asks == nil && !v.since.Before(versions[n-1].since) && !v.since.After(at)
		})
		if !removed {
			in = append(in, id)
		}
	}
	slices.SortFunc(in, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return in
}

// at is what a set asked for at a moment; nil if there was none.
func (d *doctrine) at(set uuid.UUID, at time.Time) *eve.SkillSet {
	versions := d.sets[set]
	n := sort.Search(len(versions), func(i int) bool { return versions[i].since.After(at) })
	if n == 0 {
		return nil
	}
	return versions[n-1].asks
}

// asked are all skills that the sets ever asked for.
func (d *doctrine) asked() []int64 {
	var ids []int64
	for _, versions := range d.sets {
		for _, v := range versions {
			if v.asks != nil {
				for _, s := range v.asks.Skills {
					ids = append(ids, s.TypeID)
				}
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Readiness counts characters by skill set, group and period, as they stood at its end,
// with what happened within it. Groups come in order, each with all its periods; the set
// is always part of them. The last skills observed are carried forward. In groups of
// corporations a character counts for the one it is in at that moment; a set that is in
// several groups counts in each.
//
// It fails with [event.CodeInvalid] for a question that cannot be or goes over the
// budget, and with [event.CodeUnavailable] if the projections or ClickHouse are not
// there.
func (r *OrganisationReader) Readiness(ctx context.Context, q ReadinessQuery) ([]ReadinessFigures, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	if err := checkDimensions(q.GroupBy, []Dimension{ByGroup, ByCorporation, ByCharacter}); err != nil {
		return nil, err
	}
	bounds, err := Bounds(q.From, q.To, q.Interval, q.Zone)
	if err != nil {
		return nil, err
	}
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	d, err := r.doctrine(ctx, database, q, bounds[len(bounds)-1])
	if err != nil || len(d.sets) == 0 {
		return nil, err
	}
	name, err := r.live.Namespace(ctx, FactsName)
	if err != nil {
		return nil, queryError("finding where characters were", err)
	}
	places := &FactReader{conn: r.conn, live: r.live, budget: r.budget}
	where, err := places.memberships(ctx, quote(name), &FactQuery{GroupBy: q.GroupBy, CharacterIDs: q.CharacterIDs, CorporationIDs: q.CorporationIDs})
	if err != nil {
		return nil, err
	}
	f := readinessFold{q: q, bounds: bounds, where: where, doctrine: d, figures: newTable[ReadinessGroup, readinessSums](len(bounds)-1, []Dimension{ByGroup})}
	if err := f.begin(); err != nil {
		return nil, err
	}
	if err := r.learners(ctx, database, q, d.asked(), bounds[len(bounds)-1], f.add); err != nil {
		return nil, err
	}
	return f.result(), nil
}

// doctrine reads the skill sets that a question is about, and all groups.
func (r *OrganisationReader) doctrine(ctx context.Context, database string, q ReadinessQuery, end time.Time) (*doctrine, error) {
	d := &doctrine{sets: map[uuid.UUID][]setVersion{}, groups: map[uuid.UUID][]groupVersion{}, setNames: map[uuid.UUID]string{}, groupNames: map[uuid.UUID]string{}}
	p := &query{}
	sql := fmt.Sprintf(`SELECT skill_set_id, since, defined, name, skills, required, recommended FROM %s.skill_sets FINAL WHERE since < toDateTime64(%s, 3, 'UTC') ORDER BY skill_set_id, since, log_offset`, database, p.moment(end))
	err := r.each(ctx, "reading what skill sets asked for", sql, p, func(rows driver.Rows) error {
		var id uuid.UUID
		var v setVersion
		var defined bool
		var name string
		var skills []int64
		var required, recommended []int8
		if err := rows.Scan(&id, &v.since, &defined, &name, &skills, &required, &recommended); err != nil {
			return err
		}
		if len(q.SkillSetIDs) > 0 && !slices.Contains(q.SkillSetIDs, id) {
			return nil
		}
		if defined {
			v.asks, d.setNames[id] = &eve.SkillSet{Name: name}, name
			for i := range skills {
				v.asks.Skills = append(v.asks.Skills, eve.SetSkill{TypeID: skills[i], Required: eve.SkillLevel(required[i]), Recommended: eve.SkillLevel(recommended[i])})
			}
		}
		d.sets[id] = append(d.sets[id], v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	p = &query{}
	sql = fmt.Sprintf(`SELECT group_id, since, defined, name, sets FROM %s.skill_set_groups FINAL WHERE since < toDateTime64(%s, 3, 'UTC') ORDER BY group_id, since, log_offset`, database, p.moment(end))
	return d, r.each(ctx, "reading groups of skill sets", sql, p, func(rows driver.Rows) error {
		var id uuid.UUID
		var v groupVersion
		var defined bool
		var name string
		if err := rows.Scan(&id, &v.since, &defined, &name, &v.sets); err != nil {
			return err
		}
		if defined {
			d.groupNames[id] = name
		}
		d.groups[id] = append(d.groups[id], v)
		return nil
	})
}

// learned are the levels of a character from a moment on, as far as anybody asks.
type learned struct {
	at     time.Time
	skills eve.Skills
}

// learners hands over the skills of each character before a moment, character by
// character, in the order of time. Observations that change nothing that is asked for are
// left out by ClickHouse.
func (r *OrganisationReader) learners(ctx context.Context, database string, q ReadinessQuery, asked []int64, end time.Time, add func(character int64, past []learned) error) error {
	p := &query{}
	filter := ""
	if len(q.CharacterIDs) > 0 {
		filter = " AND character_id IN " + p.integers(q.CharacterIDs)
	}
	skills := p.integers(asked)
	sql := fmt.Sprintf(`SELECT character_id, observed_at, event_id, base_id, known.1, known.2, lost FROM (
			SELECT character_id, observed_at, log_offset, event_id, base_id, arrayFilter((s, l) -> has(%[2]s, s), skills, levels) AS wanted,
				(wanted, arrayFilter((l, s) -> has(%[2]s, s), levels, skills)) AS known, arrayFilter(s -> has(%[2]s, s), gone) AS lost,
				lagInFrame((base_id, known, lost)) OVER (PARTITION BY character_id ORDER BY observed_at, log_offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
			FROM %[1]s.skill_levels FINAL WHERE observed_at < toDateTime64(%[3]s, 3, 'UTC')%[4]s)
		WHERE before != (base_id, known, lost) ORDER BY character_id, observed_at, log_offset LIMIT %[5]d`, database, skills, p.moment(end), filter, r.budget.Facts+1)
	var character int64
	var past []learned
	bases := map[uuid.UUID]eve.Skills{}
	n := 0
	err := r.each(ctx, "reading the skills of characters", sql, p, func(rows driver.Rows) error {
		var id int64
		var at time.Time
		var eventID, base uuid.UUID
		var skills, lost []int64
		var levels []int8
		if err := rows.Scan(&id, &at, &eventID, &base, &skills, &levels, &lost); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("observations of skills")
		}
		if id != character {
			if len(past) > 0 {
				if err := add(character, past); err != nil {
					return err
				}
			}
			character, past = id, nil
			clear(bases)
		}
		has := eve.Skills{}
		if base != eventID {
			below, there := bases[base]
			if !there {
				// Retention keeps bases for as long as differences from them. What lacks its
				// base all the same says nothing of the whole.
				return nil
			}
			maps.Copy(has, below)
		}
		for _, skill := range lost {
			delete(has, skill)
		}
		for i, skill := range skills {
			has[skill] = eve.SkillState{Active: int(levels[i])}
		}
		if base == eventID {
			bases[base] = has
		}
		past = append(past, learned{at, has})
		return nil
	})
	if err != nil || len(past) == 0 {
		return err
	}
	return add(character, past)
}

// readinessFold adds up characters, one after the other.
type readinessFold struct {
	q        ReadinessQuery
	bounds   []time.Time
	where    memberships
	doctrine *doctrine
	figures  *table[ReadinessGroup, readinessSums]
}

// groups are the groups that a character counts in with a set at a moment.
func (f *readinessFold) groups(set uuid.UUID, character int64, at time.Time) []ReadinessGroup {
	g := ReadinessGroup{SkillSetID: set}
	corporation := f.where.at(character, at)
	if len(f.q.CorporationIDs) > 0 && !slices.Contains(f.q.CorporationIDs, corporation) {
		return nil
	}
	byGroup := false
	for _, d := range f.q.GroupBy {
		switch d {
		case ByCorporation:
			g.CorporationID = corporation
		case ByCharacter:
			g.CharacterID = character
		default:
			byGroup = true
		}
	}
	if !byGroup && len(f.q.GroupIDs) == 0 {
		return []ReadinessGroup{g}
	}
	in := f.doctrine.groupsOf(set, at)
	if len(f.q.GroupIDs) > 0 {
		in = slices.DeleteFunc(in, func(id uuid.UUID) bool { return !slices.Contains(f.q.GroupIDs, id) })
		if len(in) == 0 {
			return nil
		}
	}
	switch {
	case !byGroup:
		return []ReadinessGroup{g}
	case len(in) == 0:
		return []ReadinessGroup{g}
	}
	var groups []ReadinessGroup
	for _, id := range in {
		g.GroupID = id
		groups = append(groups, g)
	}
	return groups
}

// begin makes a row for each set, also one to which nobody stands, if nothing else is
// grouped by.
func (f *readinessFold) begin() error {
	if len(f.q.GroupBy) > 0 || len(f.q.GroupIDs) > 0 {
		return nil
	}
	for id := range f.doctrine.sets {
		if _, err := f.figures.of(ReadinessGroup{SkillSetID: id}); err != nil {
			return err
		}
	}
	return nil
}

// standing is how a character stands to a set at a moment.
type standing struct{ known, passed, recommended bool }

func (s standing) count(to *readinessSums, by int64) {
	for is, count := range map[*int64]bool{&to.characters: s.known, &to.passed: s.passed, &to.recommended: s.recommended} {
		if count {
			*is += by
		}
	}
}

func stands(has eve.Skills, asks *eve.SkillSet) standing {
	if has == nil || asks == nil {
		return standing{}
	}
	check := eve.CheckSkills(has, *asks)
	return standing{true, check.HasRequired(), check.HasRequired() && check.HasRecommended()}
}

func (f *readinessFold) add(character int64, past []learned) error {
	for set := range f.doctrine.sets {
		if err := f.addSet(character, past, set); err != nil {
			return err
		}
	}
	return nil
}

// turn is a moment at which a character's standing to a set may have changed.
type turn struct {
	at time.Time
	// bySet tells that the set changed, else the character did.
	bySet bool
}

// turns are the moments at which a character's standing to a set may have changed, in
// order; of one moment the set's comes first.
func (f *readinessFold) turns(past []learned, set uuid.UUID) []turn {
	var turns []turn
	for _, v := range f.doctrine.sets[set] {
		turns = append(turns, turn{v.since, true})
	}
	for _, l := range past {
		turns = append(turns, turn{l.at, false})
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return a.at.Compare(b.at) })
	return turns
}

func (f *readinessFold) addSet(character int64, past []learned, set uuid.UUID) error {
	periods := map[int]bool{}
	touch := func(at time.Time) {
		if i := max(0, periodOf(f.bounds, at)); i < len(f.bounds)-1 {
			periods[i] = true
		}
	}
	var has eve.Skills
	var asks *eve.SkillSet
	learnt, versions := past, f.doctrine.sets[set]
	passed := false
	for _, t := range f.turns(past, set) {
		touch(t.at)
		if t.bySet {
			asks, versions = versions[0].asks, versions[1:]
		} else {
			has, learnt = learnt[0].skills, learnt[1:]
		}
		now := stands(has, asks).passed
		if now != passed {
			if err := f.turned(character, set, t, now); err != nil {
				return err
			}
		}
		passed = now
	}
	for _, s := range f.where[character] {
		touch(s.since)
	}
	if slices.Contains(f.q.GroupBy, ByGroup) || len(f.q.GroupIDs) > 0 {
		for _, versions := range f.doctrine.groups {
			for _, v := range versions {
				touch(v.since)
			}
		}
	}
	return f.stood(character, past, set, periods)
}

// turned counts that a character passes a set from a moment on, or does no more.
func (f *readinessFold) turned(character int64, set uuid.UUID, t turn, passes bool) error {
	period := periodOf(f.bounds, t.at)
	if period < 0 {
		return nil
	}
	in := t.at
	if t.bySet && !passes && f.doctrine.at(set, t.at) == nil {
		// With the set that is removed its place in groups is gone, too.
		in = t.at.Add(-time.Nanosecond)
	}
	for _, g := range f.groups(set, character, in) {
		list, err := f.figures.of(g)
		if err != nil {
			return err
		}
		s := &list[period]
		switch {
		case passes && t.bySet:
			s.gainedSkillSet++
		case passes:
			s.gainedCharacter++
		case t.bySet:
			s.lostSkillSet++
		default:
			s.lostCharacter++
		}
	}
	return nil
}

// stood counts how a character stood to a set at the end of the periods in which
// something may have changed.
func (f *readinessFold) stood(character int64, past []learned, set uuid.UUID, periods map[int]bool) error {
	order := make([]int, 0, len(periods))
	for i := range periods {
		order = append(order, i)
	}
	slices.Sort(order)
	var before standing
	var in []ReadinessGroup
	for _, i := range order {
		at := f.bounds[i+1].Add(-time.Nanosecond)
		n := sort.Search(len(past), func(n int) bool { return past[n].at.After(at) })
		if n == 0 {
			continue
		}
		now := stands(past[n-1].skills, f.doctrine.at(set, at))
		groups := f.groups(set, character, at)
		for _, m := range []struct {
			standing standing
			groups   []ReadinessGroup
			by       int64
		}{{before, in, -1}, {now, groups, 1}} {
			if !m.standing.known {
				continue
			}
			for _, g := range m.groups {
				list, err := f.figures.of(g)
				if err != nil {
					return err
				}
				m.standing.count(&list[i], m.by)
			}
		}
		before, in = now, groups
	}
	return nil
}

func (f *readinessFold) result() []ReadinessFigures {
	var out []ReadinessFigures
	for _, g := range f.figures.inOrder(compareReadinessGroups) {
		var held readinessSums
		for i, s := range f.figures.groups[g] {
			held.characters += s.characters
			held.passed += s.passed
			held.recommended += s.recommended
			out = append(out, ReadinessFigures{
				ReadinessGroup: g, SkillSetName: f.doctrine.setNames[g.SkillSetID], GroupName: f.doctrine.groupNames[g.GroupID],
				Start: f.bounds[i], End: f.bounds[i+1], Characters: held.characters, Passed: held.passed, Recommended: held.recommended,
				GainedByCharacter: s.gainedCharacter, GainedBySkillSet: s.gainedSkillSet, LostByCharacter: s.lostCharacter, LostBySkillSet: s.lostSkillSet,
			})
		}
	}
	return out
}
