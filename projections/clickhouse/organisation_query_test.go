package clickhouse_test

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/runner"
)

// twoPlaces are the live generations of the organisation and of the facts.
type twoPlaces struct{ organisation, facts string }

func (p twoPlaces) Live(_ context.Context, projection string) (runner.Generation, error) {
	if projection == clickhouse.FactsName {
		return runner.Generation{Namespace: p.facts}, nil
	}
	return runner.Generation{Namespace: p.organisation}, nil
}

func newOrganisationTables(t testing.TB) (organisation, facts *factTables) {
	t.Helper()
	return newFactTables(t, clickhouse.Organisation()), newFactTables(t, clickhouse.Facts())
}

func organisationReader(organisation, facts *factTables) *clickhouse.OrganisationReader {
	return clickhouse.NewOrganisationReader(organisation.conn, live.New(twoPlaces{organisation.name, facts.name}), clickhouse.DefaultBudget())
}

// fillBoth replaces the rows of both projections.
func (f *factTables) fillBoth(t require.TestingT, ctx testing.TB, copies int, facts *factTables, events, moves []told) {
	f.fill(t, ctx, copies, events...)
	facts.fill(t, ctx, copies, moves...)
}

// percentile is the least value that so many percent of them do not go over.
func percentile(values []int64, percent int) string {
	if len(values) == 0 {
		return "none"
	}
	for _, v := range values {
		n := 0
		for _, other := range values {
			if other <= v {
				n++
			}
		}
		values = append([]int64{}, values...)
		if 100*n >= percent*len(values) {
			lower := false
			for _, other := range values {
				m := 0
				for _, third := range values {
					if third <= other {
						m++
					}
				}
				lower = lower || other < v && 100*m >= percent*len(values)
			}
			if !lower {
				return fmt.Sprint(v)
			}
		}
	}
	return "none"
}

func shown(v *int64) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}

// userChange is a change of compliance as it was drawn.
type userChange struct {
	access.ComplianceChanged

	causes []string
}

// changesOf draws how a user stood, in the order of time.
func changesOf(rt *rapid.T, user string, origin time.Time) []userChange {
	var changes []userChange
	for i := range rapid.IntRange(0, 7).Draw(rt, "changes") {
		c := userChange{ComplianceChanged: access.ComplianceChanged{
			UserID: user, Considered: rapid.IntRange(0, 3).Draw(rt, "considered") > 0, Total: rapid.IntRange(1, 5).Draw(rt, "total"),
			Since: origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "since"))*time.Minute + time.Duration(i+1)*time.Millisecond),
		}}
		if c.Considered {
			c.Compliant = rapid.Bool().Draw(rt, "compliant")
			faults := []access.Fault{access.FaultNoMain, access.FaultNeverRegistered, access.FaultLoginLost}
			if c.Compliant {
				faults = faults[2:]
			}
			for n, f := range faults {
				if rapid.Bool().Draw(rt, string(f)) {
					c.Reasons = append(c.Reasons, access.Reason{CharacterID: int64(n), Fault: f}, access.Reason{CharacterID: int64(n + 10), Fault: f})
					c.causes = append(c.causes, string(f))
				}
			}
			if c.causes == nil {
				c.causes = []string{"none"}
			}
		}
		changes = append(changes, c)
	}
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].Since.Before(changes[j].Since) })
	return changes
}

// mains draws whose main was which character, and tells where a user's main was.
func mains(rt *rapid.T, origin time.Time, users []string, corporation func(int64, time.Time) int64) ([]told, func(user string, at time.Time) int64) {
	type main struct {
		user      string
		at        time.Time
		character int64
	}
	var all []main
	var events []told
	for i := range rapid.IntRange(0, 6).Draw(rt, "mains") {
		m := main{
			rapid.SampledFrom(users).Draw(rt, "user"), origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "main"))*time.Minute + time.Duration(i+1)*time.Millisecond),
			rapid.Int64Range(0, 4).Draw(rt, "character"),
		}
		all = append(all, m)
		p := access.MainSet{UserID: m.user}
		if m.character != 0 {
			p.CharacterID = &m.character
		}
		events = append(events, told{stream: event.User(m.user), at: m.at, payload: p})
	}
	slices.SortStableFunc(all, func(a, b main) int { return a.at.Compare(b.at) })
	// Nobody has registered character 4, but one is said to own it.
	events = append(events, told{at: origin, payload: access.CharactersListed{UserID: users[0], Characters: []access.ListedCharacter{{CharacterID: 4, CorporationID: 12}, {CharacterID: 1}}}})
	return events, func(user string, at time.Time) int64 {
		var now int64
		for _, m := range all {
			if m.user == user && !m.at.After(at) {
				now = m.character
			}
		}
		switch now {
		case 0:
			return 0
		case 4:
			return 12
		default:
			return corporation(now, at)
		}
	}
}

func TestFiguresOfComplianceAgreeWithAFoldOfTheChanges(t *testing.T) {
	organisation, facts := newOrganisationTables(t)
	reader := organisationReader(organisation, facts)
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, of := question(rt, t, clickhouse.Intervals(), clickhouse.ByCorporation, clickhouse.ByCause)
		q := clickhouse.ComplianceQuery{From: of.From, To: of.To, Interval: of.Interval, Zone: of.Zone, GroupBy: of.GroupBy, CorporationIDs: of.CorporationIDs}
		moved, corporation := moves(rt, origin)
		users := []string{"ada", "bob", "cy"}
		events, home := mains(rt, origin, users, corporation)
		past := map[string][]userChange{}
		for _, user := range users {
			past[user] = changesOf(rt, user, origin)
			for _, c := range past[user] {
				events = append(events, told{stream: event.User(user), at: c.Since, payload: c.ComplianceChanged})
			}
		}
		organisation.fillBoth(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), facts, events, moved)
		if rapid.Bool().Draw(rt, "bounded") {
			q.Bounded, q.Users = true, rapid.SampledFrom([][]string{{}, {"ada"}, {"ada", "cy"}}).Draw(rt, "whom")
		}
		figures, err := reader.Compliance(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, f := range figures {
			got[fmt.Sprintln(f.ComplianceGroup, f.Start, f.End)] = fmt.Sprintln(f.Users, f.Compliant, f.NoMain, f.NeverRegistered, f.LoginLost,
				f.BecameCompliant, f.BecameNonCompliant, f.Arrived, f.Left, shown(f.MedianSeconds), shown(f.P90Seconds))
		}

		// Each user, moment by moment.
		type sums struct {
			n    [9]int64
			took []int64
		}
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		groups := map[clickhouse.ComplianceGroup][]sums{}
		if len(q.GroupBy) == 0 {
			groups[clickhouse.ComplianceGroup{}] = make([]sums, len(bounds)-1)
		}
		count := func(i int, user string, at time.Time, causes []string, add func(*sums)) {
			in := home(user, at)
			if len(q.CorporationIDs) > 0 && !slices.Contains(q.CorporationIDs, in) {
				return
			}
			if !slices.Contains(q.GroupBy, clickhouse.ByCause) {
				causes = []string{""}
			}
			for _, cause := range causes {
				g := clickhouse.ComplianceGroup{Cause: cause}
				if slices.Contains(q.GroupBy, clickhouse.ByCorporation) {
					g.CorporationID = in
				}
				if groups[g] == nil {
					groups[g] = make([]sums, len(bounds)-1)
				}
				add(&groups[g][i])
			}
		}
		stillOpen := []string{}
		for _, user := range users {
			if q.Bounded && !slices.Contains(q.Users, user) {
				continue
			}
			for i := range len(bounds) - 1 {
				var now userChange
				for _, c := range past[user] {
					if c.Since.Before(bounds[i+1]) {
						now = c
					}
				}
				if now.Considered {
					count(i, user, bounds[i+1].Add(-time.Millisecond), now.causes, func(s *sums) {
						s.n[0]++
						for n, is := range []bool{now.Compliant, slices.Contains(now.causes, "no_main"), slices.Contains(now.causes, "never_registered"), slices.Contains(now.causes, "login_lost")} {
							if is {
								s.n[n+1]++
							}
						}
					})
				}
			}
			var before userChange
			var openSince time.Time
			for _, c := range past[user] {
				i := slices.IndexFunc(bounds[1:], func(end time.Time) bool { return c.Since.Before(end) })
				was, is := before.Considered && !before.Compliant, c.Considered && !c.Compliant
				if is && !was && c.Since.Before(q.To) {
					openSince = c.Since
				}
				if c.Since.Before(bounds[0]) || i < 0 {
					before = c
					continue
				}
				switch {
				case c.Considered && !before.Considered:
					count(i, user, c.Since, c.causes, func(s *sums) { s.n[7]++ })
				case !c.Considered && before.Considered:
					count(i, user, c.Since, before.causes, func(s *sums) { s.n[8]++ })
				case was && c.Compliant:
					took := int64(c.Since.Sub(openSince).Truncate(time.Second).Seconds())
					count(i, user, c.Since, before.causes, func(s *sums) { s.n[5]++; s.took = append(s.took, took) })
				case before.Compliant && is:
					count(i, user, c.Since, c.causes, func(s *sums) { s.n[6]++ })
				}
				before = c
			}
			var last userChange
			for _, c := range past[user] {
				if c.Since.Before(q.To) {
					last = c
				}
			}
			in := home(user, q.To.Add(-time.Millisecond))
			if last.Considered && !last.Compliant && (len(q.CorporationIDs) == 0 || slices.Contains(q.CorporationIDs, in)) {
				stillOpen = append(stillOpen, fmt.Sprintln(openSince.Format(time.RFC3339Nano), user, in, last.causes))
			}
		}
		want := map[string]string{}
		for g, list := range groups {
			for i, s := range list {
				words := make([]string, 0, 11)
				for _, n := range s.n {
					words = append(words, fmt.Sprint(n))
				}
				words = append(words, percentile(s.took, 50), percentile(s.took, 90))
				want[fmt.Sprintln(g, bounds[i], bounds[i+1])] = strings.Join(words, " ") + "\n"
			}
		}
		// A group in which nobody ever counted within the range may be there, with zeros.
		for key, value := range got {
			if _, there := want[key]; !there && value == "0 0 0 0 0 0 0 0 0 none none\n" {
				delete(got, key)
			}
		}
		require.Equal(rt, want, got)

		open, err := reader.OpenCompliance(t.Context(), q)
		require.NoError(rt, err)
		there := []string{}
		for _, o := range open {
			there = append(there, fmt.Sprintln(o.Since.Format(time.RFC3339Nano), o.User, o.CorporationID, o.Causes))
		}
		require.ElementsMatch(rt, stillOpen, there)
		require.True(rt, slices.IsSortedFunc(open, func(a, b clickhouse.OpenCompliance) int { return a.Since.Compare(b.Since) }))
	})
}
