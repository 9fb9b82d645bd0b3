package clickhouse_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
)

// auditQuestion draws a question about audits or sweeps.
func auditQuestion(rt *rapid.T, t *testing.T, dimensions ...clickhouse.Dimension) (time.Time, clickhouse.AuditQuery) {
	origin, of := question(rt, t, clickhouse.Intervals(), dimensions...)
	q := clickhouse.AuditQuery{From: of.From, To: of.To, Interval: of.Interval, Zone: of.Zone, GroupBy: of.GroupBy}
	if rapid.Bool().Draw(rt, "filter consortia") {
		q.Consortia = []string{"acme"}
	}
	return origin, q
}

func auditGroup(q clickhouse.AuditQuery, consortium, model string) clickhouse.AuditGroup {
	var g clickhouse.AuditGroup
	if slices.Contains(q.GroupBy, clickhouse.ByConsortium) {
		g.Consortium = consortium
	}
	if slices.Contains(q.GroupBy, clickhouse.ByModel) {
		g.Model = model
	}
	return g
}

func TestFiguresOfAuditsAgreeWithTheLastAuditOfEachInterval(t *testing.T) {
	f := newFactTables(t, clickhouse.AnVILHistory())
	reader := clickhouse.NewAnVILHistoryReader(f.conn, live.New(place(f.name)), clickhouse.DefaultBudget())
	models := []anvil.Model{anvil.ModelAccounts, anvil.ModelWorkspaces}
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := auditQuestion(rt, t, clickhouse.ByConsortium, clickhouse.ByModel)
		if rapid.Bool().Draw(rt, "filter models") {
			q.Models = []string{string(anvil.ModelAccounts)}
		}
		type audit struct {
			consortium string
			at         time.Time
			id         uuid.UUID
			anvil.ModelAudited
		}
		var audits []audit
		var events []told
		for i := range rapid.IntRange(0, 12).Draw(rt, "audits") {
			consortium := rapid.SampledFrom([]string{"acme", "bell"}).Draw(rt, "consortium")
			at := origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "at"))*time.Minute + time.Duration(i+1)*time.Millisecond)
			p, id := anvil.AuditCompleted{AuditedAt: at}, uuid.New()
			for _, model := range models {
				n := func() int { return rapid.IntRange(0, 9).Draw(rt, "n") }
				m := anvil.ModelAudited{Model: model, Audited: n(), Verified: n(), Errors: n(), Beyond: n(), Unknown: n(), NotInApp: n(), Ignored: n(), Unlisted: n()}
				p.Models = append(p.Models, m)
				audits = append(audits, audit{consortium, at, id, m})
			}
			events = append(events, told{stream: event.Consortium(consortium), at: at, id: id, payload: p})
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		figures, err := reader.Audits(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, a := range figures {
			words := fmt.Sprint(a.Audits)
			if c := a.AuditCounts; c != nil {
				words += fmt.Sprint(" ", *c)
			}
			if words != "0" {
				got[fmt.Sprintln(a.AuditGroup, a.Start, a.End)] = words
			}
		}

		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		slices.SortStableFunc(audits, func(a, b audit) int { return a.at.Compare(b.at) })
		wanted := func(a audit) bool {
			return (len(q.Consortia) == 0 || a.consortium == "acme") && (len(q.Models) == 0 || a.Model == anvil.ModelAccounts)
		}
		want := map[string]string{}
		for i := range len(bounds) - 1 {
			n, sums, known := map[clickhouse.AuditGroup]int{}, map[clickhouse.AuditGroup][8]int{}, map[clickhouse.AuditGroup]bool{}
			for _, consortium := range []string{"acme", "bell"} {
				for _, model := range models {
					var last *audit
					g := auditGroup(q, consortium, string(model))
					for _, a := range audits {
						if a.consortium != consortium || a.Model != model || !wanted(a) || !a.at.Before(bounds[i+1]) {
							continue
						}
						last = &a
						if !a.at.Before(bounds[i]) {
							n[g]++
						}
					}
					if last != nil {
						s := sums[g]
						for k, v := range []int{last.Audited, last.Verified, last.Errors, last.Beyond, last.Unknown, last.NotInApp, last.Ignored, last.Unlisted} {
							s[k] += v
						}
						sums[g], known[g] = s, true
					}
				}
			}
			for g := range known {
				want[fmt.Sprintln(g, bounds[i], bounds[i+1])] = fmt.Sprintf("%d {%s}", n[g], strings.Trim(fmt.Sprint(sums[g]), "[]"))
			}
		}
		require.Equal(rt, want, got)

		// Page by page, the newest first.
		var listed, there []string
		var after *clickhouse.AuditCursor
		for {
			page, err := reader.AuditRuns(t.Context(), q, after, 3)
			require.NoError(rt, err)
			for _, a := range page {
				listed = append(listed, fmt.Sprintln(a.At.UnixMilli(), a.Consortium, a.Model, a.EventID, a.Verified))
			}
			if len(page) < 3 {
				break
			}
			after = new(page[2].Cursor())
		}
		for _, a := range audits {
			if wanted(a) && !a.at.Before(bounds[0]) && a.at.Before(bounds[len(bounds)-1]) {
				there = append(there, fmt.Sprintln(a.at.UnixMilli(), a.consortium, a.Model, a.id, a.Verified))
			}
		}
		require.ElementsMatch(rt, there, listed)
		require.True(rt, slices.IsSortedFunc(listed, func(a, b string) int {
			return strings.Compare(strings.Fields(b)[0], strings.Fields(a)[0])
		}))
	})
}

func TestFiguresOfSweepsAgreeWithACountOfTheSweeps(t *testing.T) {
	f := newFactTables(t, clickhouse.AnVILHistory())
	reader := clickhouse.NewAnVILHistoryReader(f.conn, live.New(place(f.name)), clickhouse.DefaultBudget())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := auditQuestion(rt, t, clickhouse.ByConsortium)
		type sweep struct {
			anvil.SweepCompleted

			consortium string
			completed  bool
		}
		var sweeps []sweep
		var events []told
		for range rapid.IntRange(0, 12).Draw(rt, "sweeps") {
			s := sweep{consortium: rapid.SampledFrom([]string{"acme", "bell"}).Draw(rt, "consortium"), completed: rapid.IntRange(0, 3).Draw(rt, "completed") > 0}
			n := func() int { return rapid.IntRange(0, 9).Draw(rt, "n") }
			at := origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "at")) * time.Minute)
			s.SweepCompleted = anvil.SweepCompleted{
				SweepID: uuid.New(), StartedAt: at, CompletedAt: at.Add(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "took")) * time.Millisecond),
				Covered: map[anvil.Kind]int{anvil.KindAccount: n(), anvil.KindWorkspace: n()}, Calls: n(), Retries: n(), Observed: n(), UnseenCount: n(),
			}
			sweeps = append(sweeps, s)
			events = append(events, told{stream: event.Consortium(s.consortium), at: at, payload: anvil.SweepStarted{SweepID: s.SweepID, StartedAt: at}})
			if s.completed {
				events = append(events, told{stream: event.Consortium(s.consortium), at: s.CompletedAt, payload: s.SweepCompleted})
			}
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		figures, err := reader.Sweeps(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, s := range figures {
			got[fmt.Sprintln(s.AuditGroup, s.Start, s.End)] = fmt.Sprintln(s.Completed, s.Interrupted, s.Covered, s.Calls, s.Retries, s.Observed, s.Unseen, shown(s.MedianMilliseconds), shown(s.P90Milliseconds), shown(s.MaxMilliseconds))
		}

		type sums struct {
			n    [7]int
			took []int64
		}
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		groups := map[clickhouse.AuditGroup][]sums{}
		if len(q.GroupBy) == 0 {
			groups[clickhouse.AuditGroup{}] = make([]sums, len(bounds)-1)
		}
		for _, s := range sweeps {
			i := slices.IndexFunc(bounds[1:], func(end time.Time) bool { return s.StartedAt.Before(end) })
			if i < 0 || s.StartedAt.Before(bounds[0]) || len(q.Consortia) > 0 && s.consortium != "acme" {
				continue
			}
			g := auditGroup(q, s.consortium, "")
			if groups[g] == nil {
				groups[g] = make([]sums, len(bounds)-1)
			}
			to := &groups[g][i]
			if !s.completed {
				to.n[1]++
				continue
			}
			for k, v := range []int{1, 0, s.Covered[anvil.KindAccount] + s.Covered[anvil.KindWorkspace], s.Calls, s.Retries, s.Observed, s.UnseenCount} {
				to.n[k] += v
			}
			to.took = append(to.took, s.CompletedAt.Sub(s.StartedAt).Milliseconds())
		}
		want := map[string]string{}
		for g, list := range groups {
			for i, s := range list {
				want[fmt.Sprintln(g, bounds[i], bounds[i+1])] = fmt.Sprintln(strings.Trim(fmt.Sprint(s.n), "[]"), percentile(s.took, 50), percentile(s.took, 90), percentile(s.took, 100))
			}
		}
		require.Equal(rt, want, got)
	})
}
