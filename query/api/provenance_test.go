package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/query/api"
)

// untraced are the resources whose answers hold no row of a read model that one event
// has set, and what they are instead.
func untraced(path string) string {
	for part, what := range map[string]string{
		"/changes": "is told of events, each with its place", "/timeline": "is told of events, each with its place", "/explain": "is told of events, each with its place",
		"/v1/events": "the events themselves", "/v1/streams/": "the events themselves", "/v1/poison": "events that could not be applied, each with its place",
		"/ledger": "computed from a whole journal", "/access": "computed from all that is declared and observed", "{consortium}/audits": "computed from all that is declared and observed",
		"/declared": "computed from all that is declared", "/reports/compliance/corporations": "counts", "/facets": "counts", "/v1/stats": "counts",
		"/v1/sync": "of the sync, which is not in the log", "/v1/projections": "of the projections", "/v1/retention": "of retention's own events",
		"/v1/exports": "files", "/v1/me": "who asks", "/v1/tokens": "not a projection", "/registrations/": "not in the log", "/universe/names": "reference data", "/v1/launcher": "counts",
		"/analytics/anvil/audits/runs": "each has the id of its event", "/analytics/compliance/open": "follows from several events, which the explanation names",
	} {
		if path == "/v1/anvil" {
			return "counts"
		}
		if strings.Contains(path, part) && !strings.Contains(path, "access-log") {
			return what
		}
	}
	return ""
}

func takes(op *huma.Operation, parameter string) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == parameter })
}

func TestWhateverShowsRowsTellsTheirProvenance(t *testing.T) {
	c := newClient(t)
	document := c.server.OpenAPI()
	traced := 0
	for path, item := range document.Paths {
		if item.Get == nil {
			continue
		}
		what := untraced(path)
		require.Equal(t, what == "", takes(item.Get, "provenance"), "%s: %s", path, what)
		if what != "" {
			continue
		}
		traced++
		target := parameters.Replace(path)
		sign := "?"
		if strings.Contains(target, "?") {
			sign = "&"
		}
		a := c.do(http.MethodGet, target+sign+"provenance=1", "", ownerAlone(c, item.Get)...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		requireDeclared(t, document, item.Get, a)
		if strings.HasPrefix(path, "/v1/analytics/") {
			require.Contains(t, a.text, `"rows_at":["/v1/`)
		}
	}
	require.Greater(t, traced, 65)
}

// forgetful is an index that has not come to anything yet, while it is told so.
type forgetful struct {
	api.EventIndex

	behind bool
}

func (f *forgetful) Origins(ctx context.Context, origins []event.Origin) (map[event.Origin]clickhouse.IndexedEvent, error) {
	if f.behind {
		return nil, nil //nolint:nilnil // nothing is known yet
	}
	return f.EventIndex.Origins(ctx, origins)
}

// row is what rows tell of their events.
type row struct {
	Provenance *api.RowProvenance `json:"provenance"`
	Items      []row              `json:"items"`
	Sections   []row              `json:"sections"`
	Value      any                `json:"value"`
}

// happenings appends something of everything that rows are made of, and is how many
// events that were.
func (s *stores) happenings() int {
	const id = 90000001
	day := moment.Add(-200 * time.Hour)
	users := []access.UserRegistered{
		{UserID: "u1", Name: "One", Active: true, State: "Member", Permissions: []string{"basic_access", "share_characters"}},
		{UserID: "u2", Active: true, State: "Member", Permissions: []string{"basic_access"}},
	}
	n := 0
	tell := func(stream event.Stream, payloads ...event.Payload) {
		s.append(stream, day, payloads...)
		n += len(payloads)
	}
	tell(event.User("u1"), users[0], access.CharactersListed{UserID: "u1", Characters: []access.ListedCharacter{{CharacterID: 90000009, Name: "Unseen"}}})
	tell(event.User("u2"), users[1])
	for _, rec := range theirs(s.t).records {
		e, err := rec.Recorded()
		require.NoError(s.t, err)
		require.NoError(s.t, s.appender.Append(s.t.Context(), e.Event))
		n++
	}
	tell(event.Character(id), eve.LinkIssued{CharacterID: id, LinkID: uuid.New(), UserID: "u1", SecretHash: "h", ExpiresAt: moment.Add(time.Hour)})
	tell(event.Org, eve.SkillSetDefined{SkillSetID: gunnersID, SkillSet: eve.SkillSet{Name: "Gunners", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 1}}}},
		eve.SkillSetGroupDefined{SkillSetGroupID: shieldID, SkillSetGroup: eve.SkillSetGroup{Name: "Shield", SkillSetIDs: []uuid.UUID{gunnersID}}})
	tell(event.Roles, access.GroupDefined{GroupID: groupID, ComplianceGroup: access.ComplianceGroup{Name: "Registered"}}, access.RoleDefined{RoleID: uuid.New(), Role: access.Role{Name: "recruiter", Permissions: []string{"basic_access"}}})
	tell(event.User("u1"), access.GroupsGained{UserID: "u1", Groups: []access.GainedGroup{{GroupID: groupID, Name: "Registered"}}, Characters: 1, GroupCause: access.GroupCause{Since: day}})
	look := access.DataViewed{ViewerID: "user:u2", ViewerUserID: "u2", OwnerID: "u1", CharacterID: id, Section: "wallet", Way: access.ByToken, FirstAt: day, LastAt: day, Count: 1}
	tell(look.Stream(), look)
	finding := anvil.Finding{ID: findingID, Model: anvil.ModelAccounts, Record: "a@example.com", Kind: anvil.ErrNotInAnVIL, Severity: anvil.SeverityMedium, OpenedAt: day, ChangedSide: anvil.SideDeclared}
	tell(event.Consortium("acme"),
		anvil.ConsortiumDeclared{ServiceAccount: "sa@example.com"},
		anvil.SweepCompleted{SweepID: sweepID, Models: anvil.Models(), StartedAt: day, CompletedAt: day.Add(time.Second)},
		anvil.FindingOpened{Finding: finding})
	return n
}

// streamsOf are the streams that rows of a resource may be of.
func streamsOf(path string) []string {
	switch {
	case strings.HasPrefix(path, "/v1/skill-set"), strings.HasPrefix(path, "/v1/reports/skill-sets"), path == "/v1/characters/{id}/skill-sets":
		return []string{"eve:org"}
	case strings.HasPrefix(path, "/v1/users"), strings.HasSuffix(path, "/members"), strings.HasPrefix(path, "/v1/reports/compliance"):
		return []string{"eve:user:u1", "eve:user:u2"}
	case path == "/v1/finder":
		return []string{"eve:character:90000001", "eve:user:u1"}
	case strings.HasPrefix(path, "/v1/roles"), strings.HasPrefix(path, "/v1/compliance-groups"):
		return []string{"eve:roles"}
	case strings.HasPrefix(path, "/v1/anvil/"), strings.HasPrefix(path, "/v1/findings"):
		return []string{"anvil:acme"}
	default:
		return []string{"eve:character:90000001"}
	}
}

func TestTheEventOfEachRowIsInTheLogAndOfTheRightStream(t *testing.T) {
	var index *forgetful
	s := newStoresWith(t, func(c *api.Config, parts *storesParts) {
		index = &forgetful{EventIndex: c.Events}
		c.Events, c.Users = index, parts.characters
	})
	n := s.happenings()
	s.eventually("/v1/events?limit=1000", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == n })
	s.eventually("/v1/sync", func(b map[string]any) bool {
		list, _ := b["projections"].([]any)
		return len(list) == 9 && !slices.ContainsFunc(list, func(p any) bool { return p.(map[string]any)["lag_records"].(float64) != 0 })
	})
	s.eventually("/v1/characters/90000001/wallet", func(b map[string]any) bool { return b["value"] != nil })
	seen := map[string]int{}
	events := map[uuid.UUID]api.Event{}
	trace := func(path string, r row, streams []string) {
		require.NotNil(t, r.Provenance, path)
		p := *r.Provenance
		require.Contains(t, streams, p.Stream, path)
		if _, known := events[p.EventID]; !known {
			a := s.get("/v1/events/" + p.EventID.String())
			require.Equal(t, http.StatusOK, a.StatusCode, "%s: %s", path, a.text)
			var e api.Event
			require.NoError(t, json.Unmarshal([]byte(a.text), &e))
			events[p.EventID] = e
		}
		e := events[p.EventID]
		require.Equal(t, e.Stream, p.Stream, path)
		require.Equal(t, []any{e.Type, e.Topic, e.Partition, e.Offset, e.Time, e.Recorded}, []any{p.Type, p.Topic, p.Partition, p.Offset, p.Time, p.RecordedAt}, path)
		seen[path]++
	}
	walk := func(asOf string) {
		for path, item := range s.server.OpenAPI().Paths {
			if item.Get == nil || !takes(item.Get, "provenance") || strings.HasPrefix(path, "/v1/analytics/") || asOf != "" && !takes(item.Get, "as_of") {
				continue
			}
			target := strings.NewReplacer("/users/ada", "/users/u1", "/contracts/7", "/contracts/7").Replace(parameters.Replace(path))
			sign := "?"
			if strings.Contains(target, "?") {
				sign = "&"
			}
			a := s.do(http.MethodGet, target+sign+"provenance=1"+asOf, "", ownerOf(item.Get)...)
			if a.StatusCode == http.StatusNotFound && strings.Contains(a.text, "nothing with the id") {
				continue
			}
			require.Equal(t, http.StatusOK, a.StatusCode, "%s: %s", path, a.text)
			var r row
			require.NoError(t, json.Unmarshal([]byte(a.text), &r))
			for _, of := range r.Items {
				trace(path, of, streamsOf(path))
			}
			for _, of := range r.Sections {
				if of.Provenance != nil {
					trace(path, of, streamsOf(path))
				}
			}
			if r.Provenance != nil || len(r.Items) == 0 && r.Value != nil {
				trace(path, r, append(streamsOf(path), "eve:character:90000001"))
			}
		}
	}
	walk("")
	for _, path := range []string{
		"/v1/characters", "/v1/characters/{id}", "/v1/characters/{id}/wallet", "/v1/characters/{id}/wallet-journal", "/v1/characters/{id}/assets", "/v1/characters/{id}/mining",
		"/v1/characters/{id}/wallet-transactions", "/v1/characters/{id}/contracts", "/v1/characters/{id}/skill-sets", "/v1/finder", "/v1/search/assets", "/v1/users", "/v1/users/{id}",
		"/v1/roles", "/v1/compliance-groups", "/v1/compliance-groups/{name}", "/v1/compliance-groups/{name}/members", "/v1/reports/compliance/users", "/v1/reports/skill-sets", "/v1/skill-sets", "/v1/skill-set-groups", "/v1/access-log", "/v1/characters/{id}/views",
		"/v1/characters/{id}/share-links", "/v1/anvil/{consortium}/findings", "/v1/anvil/{consortium}/findings/{id}", "/v1/anvil/{consortium}/sweeps", "/v1/findings", "/v1/findings/{id}",
	} {
		require.Positive(t, seen[path], "%s: no row was seen; of %v", path, slices.Sorted(maps.Keys(seen)))
	}
	require.Greater(t, len(seen), 50)
	now := len(seen)
	index.behind = true
	walk("")
	require.Len(t, seen, now)
	index.behind = false
	walk("&as_of=" + moment.Format(time.RFC3339))
	t.Logf("%d resources, %d events", len(seen), len(events))
	require.NotContains(t, s.get("/v1/characters").text, "provenance")
}

// ownerOf is whoever may ask what only an owner may.
func ownerOf(op *huma.Operation) []string {
	if op.Extensions["x-muster-action"] == string(access.ActionUnshareCharacter) {
		return as("u1")
	}
	return nil
}
