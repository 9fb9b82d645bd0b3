package clickhouse_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
)

func TestFiguresOfLooksAgreeWithACountOfTheLooks(t *testing.T) {
	organisation, facts := newOrganisationTables(t)
	reader := organisationReader(organisation, facts)
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, of := question(rt, t, clickhouse.Intervals(), clickhouse.BySection, clickhouse.ByViewer, clickhouse.ByOwner, clickhouse.ByWay)
		q := clickhouse.LookQuery{From: of.From, To: of.To, Interval: of.Interval, Zone: of.Zone, GroupBy: of.GroupBy, CharacterIDs: of.CharacterIDs}
		if rapid.Bool().Draw(rt, "filter") {
			q.Owner, q.Sections = "ada", []string{"wallet", "mails"}
		}
		if rapid.Bool().Draw(rt, "filter viewers") {
			q.Viewers = []string{"bob"}
		}
		moment := func(label string) time.Time {
			return origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, label)) * time.Minute)
		}
		var looks []access.DataViewed
		var events []told
		for range rapid.IntRange(0, 20).Draw(rt, "looks") {
			viewer := rapid.SampledFrom([]string{"", "bob", "cy"}).Draw(rt, "viewer")
			l := access.DataViewed{
				ViewerID: "user:" + viewer, ViewerUserID: viewer, OwnerID: rapid.SampledFrom([]string{"ada", "dan", ""}).Draw(rt, "owner"), CharacterID: rapid.Int64Range(0, 3).Draw(rt, "character"),
				Section: rapid.SampledFrom([]string{"wallet", "skills"}).Draw(rt, "section"), Way: rapid.SampledFrom([]access.Way{access.BySharing, access.ByEverything}).Draw(rt, "way"),
				LastAt: moment("looked"), Count: rapid.Int64Range(1, 9).Draw(rt, "count"),
			}
			l.FirstAt = l.LastAt.Add(-time.Minute)
			looks = append(looks, l)
			events = append(events, told{stream: l.Stream(), at: l.LastAt, payload: l})
		}
		forgotten := map[int64]time.Time{}
		for range rapid.IntRange(0, 2).Draw(rt, "forgotten") {
			at, id := moment("forgotten"), rapid.Int64Range(1, 3).Draw(rt, "who")
			if at.After(forgotten[id]) {
				forgotten[id] = at
			}
			events = append(events, told{stream: event.Character(id), at: at, payload: eve.CharacterForgotten{CharacterID: id}})
		}
		organisation.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), rapid.Permutation(events).Draw(rt, "order")...)
		figures, err := reader.Looks(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, f := range figures {
			got[fmt.Sprintln(f.LookGroup, f.Start, f.End)] = fmt.Sprintln(f.Looks, f.Entries, f.Viewers, f.Owners, f.Characters)
		}

		type sum struct {
			looks, entries      int64
			viewers, owners, of map[string]bool
		}
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		empty := func() []sum {
			list := make([]sum, len(bounds)-1)
			for i := range list {
				list[i] = sum{viewers: map[string]bool{}, owners: map[string]bool{}, of: map[string]bool{}}
			}
			return list
		}
		groups := map[clickhouse.LookGroup][]sum{}
		if len(q.GroupBy) == 0 {
			groups[clickhouse.LookGroup{}] = empty()
		}
		for _, l := range looks {
			i := slices.IndexFunc(bounds[1:], func(end time.Time) bool { return l.LastAt.Before(end) })
			gone, was := forgotten[l.CharacterID]
			switch {
			case i < 0, l.LastAt.Before(bounds[0]), was && !l.LastAt.After(gone), q.Owner != "" && (l.OwnerID != "ada" || l.Section != "wallet"),
				len(q.Viewers) > 0 && l.ViewerUserID != "bob", len(q.CharacterIDs) > 0 && !slices.Contains(q.CharacterIDs, l.CharacterID):
				continue
			}
			var g clickhouse.LookGroup
			for d, field := range map[clickhouse.Dimension]struct {
				to   *string
				from string
			}{clickhouse.BySection: {&g.Section, l.Section}, clickhouse.ByViewer: {&g.Viewer, l.ViewerID}, clickhouse.ByOwner: {&g.Owner, l.OwnerID}, clickhouse.ByWay: {&g.Way, string(l.Way)}} {
				if slices.Contains(q.GroupBy, d) {
					*field.to = field.from
				}
			}
			if groups[g] == nil {
				groups[g] = empty()
			}
			s := &groups[g][i]
			s.looks, s.entries = s.looks+l.Count, s.entries+1
			s.viewers[l.ViewerID] = true
			if l.OwnerID != "" {
				s.owners[l.OwnerID] = true
			}
			if l.CharacterID != 0 {
				s.of[fmt.Sprint(l.CharacterID)] = true
			}
		}
		want := map[string]string{}
		for g, list := range groups {
			for i, s := range list {
				want[fmt.Sprintln(g, bounds[i], bounds[i+1])] = fmt.Sprintln(s.looks, s.entries, len(s.viewers), len(s.owners), len(s.of))
			}
		}
		require.Equal(rt, want, got)
	})
}
