package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/query/api"
)

// chronicle is a log in memory that holds the stream of the consortium acme.
type chronicle []eventlog.Record

func (c chronicle) ReadStream(_ context.Context, _ string, stream event.Stream, _ int64, fn func(eventlog.Record) error) error {
	for _, rec := range c {
		if strings.HasPrefix(rec.Key, string(stream)+"/") {
			if err := fn(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// add has something happen, so many hours before [moment].
func (c *chronicle) add(hoursBefore int, payloads ...event.Payload) {
	for _, p := range payloads {
		e, err := event.New(uuid.New(), event.Consortium("acme"), "test", moment.Add(-time.Duration(hoursBefore)*time.Hour), p)
		if err != nil {
			panic(err)
		}
		*c = append(*c, eventlog.Record{Position: event.Position{Topic: event.TopicAnVIL, Offset: int64(len(*c))}, Key: e.Key(), Headers: e.Headers(), Value: e.Data})
	}
}

var ok200 = anvil.Response{Status: 200}

// acme is a consortium that is declared nine hours before the moment, swept six
// hours before it and changed three hours before it.
func acme() chronicle {
	account := func(email string, status anvil.AccountStatus) anvil.AccountDeclared {
		return anvil.AccountDeclared{Account: anvil.Account{Email: email, Status: status}}
	}
	acl := map[string]anvil.AccessEntry{
		"sa@example.com": {AccessLevel: "OWNER", CanShare: true, CanCompute: true}, "readers@firecloud.org": {AccessLevel: "READER"},
		"=late@example.com": {AccessLevel: "WRITER", CanCompute: true, Pending: true}, "closed@firecloud.org": {AccessLevel: "READER"},
	}
	finding := anvil.Finding{
		ID: findingID, Model: anvil.ModelMemberships, Scope: "readers", Record: "MEMBER: b@example.com", Kind: anvil.ErrAccountMemberMissing, Severity: anvil.SeverityMedium,
		Expected: "MEMBER", Observed: "not in the group", OpenedAt: moment.Add(-6 * time.Hour), ChangedSide: anvil.SideObserved,
	}
	sweep := anvil.SweepCompleted{SweepID: sweepID, Models: anvil.Models(), StartedAt: moment.Add(-6 * time.Hour), CompletedAt: moment.Add(-6 * time.Hour)}
	var c chronicle
	c.add(9, anvil.ConsortiumDeclared{ServiceAccount: "sa@example.com"}, anvil.BillingProjectDeclared{BillingProject: anvil.BillingProject{Name: "bp"}}, account("b@example.com", anvil.StatusInactive), account("a@example.com", anvil.StatusActive),
		anvil.GroupDeclared{ManagedGroup: anvil.ManagedGroup{Name: "readers", Email: "readers@firecloud.org", IsManagedByApp: true}},
		anvil.AccountMembershipDeclared{AccountMembership: anvil.AccountMembership{Group: "readers", Account: "a@example.com", Role: anvil.RoleMember}},
		anvil.AccountMembershipDeclared{AccountMembership: anvil.AccountMembership{Group: "readers", Account: "b@example.com", Role: anvil.RoleMember}},
		anvil.WorkspaceDeclared{Workspace: anvil.Workspace{BillingProject: "bp", Name: "ws", AuthorizationDomains: []string{}, AppAccess: anvil.AppOwner}},
		anvil.SharingDeclared{Sharing: anvil.Sharing{Workspace: "bp/ws", Group: "readers", Access: anvil.AccessReader}})
	c.add(6, anvil.SweepStarted{SweepID: sweepID, Models: anvil.Models(), StartedAt: sweep.StartedAt},
		anvil.GroupListObserved{Response: ok200}, anvil.GroupRoleObserved{Name: "readers", Email: "readers@firecloud.org", Roles: []string{"admin"}, Listed: true},
		anvil.GroupMembersObserved{Group: "readers", Reading: anvil.Reading[[]string]{Response: ok200, Value: []string{"A@example.com"}}},
		anvil.GroupAdminsObserved{Group: "readers", Reading: anvil.Reading[[]string]{Response: ok200, Value: []string{"sa@example.com"}}},
		anvil.WorkspaceListObserved{Response: ok200},
		anvil.WorkspaceObserved{WorkspaceRow: anvil.WorkspaceRow{Namespace: "bp", Name: "ws", AccessLevel: "OWNER", AuthorizationDomains: []string{}}, Listed: true},
		anvil.AccessListObserved{Workspace: "bp/ws", Reading: anvil.Reading[map[string]anvil.AccessEntry]{Response: ok200, Value: acl}},
		sweep, anvil.FindingOpened{Finding: finding})
	c.add(3, anvil.AccountMembershipWithdrawn{Group: "readers", Account: "b@example.com"}, anvil.PlanApplied{Withdrawn: 1},
		anvil.FindingResolved{Finding: finding, ResolvedAt: moment.Add(-3 * time.Hour)})
	return c
}

func (w *world) At(ctx context.Context, consortium string, at time.Time) (*history.Moment, error) {
	registry := event.NewRegistry()
	anvil.Register(registry)
	m, err := history.New(acme(), registry).At(ctx, consortium, at)
	if err == nil {
		err = w.enter(ctx)
	}
	return m, err
}

func (w *world) Access(ctx context.Context, q history.AccessQuestion) (history.AccessStory, error) {
	registry := event.NewRegistry()
	anvil.Register(registry)
	if err := w.enter(ctx); err != nil {
		return history.AccessStory{}, err
	}
	return history.New(acme(), registry).Access(ctx, q)
}

// consortia is the world as it knows consortia: sections have a State, too.
type consortia struct{ *world }

func (w consortia) State(ctx context.Context, consortium string) (*anvil.State, error) {
	m, err := w.At(ctx, consortium, time.Time{})
	if err != nil {
		return nil, err
	}
	return m.State(ctx, consortium)
}

func TestWhoCanComeToAWorkspaceIsAnswered(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/anvil/acme/workspaces/bp/ws/access")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.JSONEq(t, `{"consortium": "acme", "as_of": null, "sweep_id": "`+sweepID.String()+`", "swept_at": "2026-05-01T06:00:00Z", "workspace": "bp/ws",
		"declared": {"authorization_domains": [], "opaque": [], "project_owners": []},
		"observed": {"authorization_domains": [], "project_owners": [], "opaque": [
			{"group": "closed", "reason": "the service account does not see this group", "level": "READER", "can_share": false, "can_compute": false}]},
		"items": [
			{"address": "=late@example.com", "is_app": false, "is_service_account": false, "account": "undeclared", "agreement": "observed_only", "observed":
				{"address": "=late@example.com", "level": "WRITER", "can_share": false, "can_compute": true, "admission": "in", "pending": true, "paths": [
					{"level": "WRITER", "can_share": false, "can_compute": true, "pending": true, "through": []}]}},
			{"address": "a@example.com", "is_app": false, "is_service_account": false, "account": "active", "agreement": "agrees",
				"declared": {"address": "a@example.com", "level": "READER", "can_share": false, "can_compute": false, "admission": "in", "paths": [
					{"level": "READER", "can_share": false, "can_compute": false, "through": [{"group": "readers", "role": "MEMBER"}]}]},
				"observed": {"address": "a@example.com", "level": "READER", "can_share": false, "can_compute": false, "admission": "in", "paths": [
					{"level": "READER", "can_share": false, "can_compute": false, "through": [{"group": "readers", "role": "MEMBER"}]}]}},
			{"address": "sa@example.com", "is_app": true, "is_service_account": false, "account": "undeclared", "agreement": "agrees",
				"declared": {"address": "sa@example.com", "level": "OWNER", "can_share": true, "can_compute": true, "admission": "in", "paths": [
					{"level": "OWNER", "can_share": true, "can_compute": true, "through": []}, {"level": "READER", "can_share": false, "can_compute": false, "through": [{"group": "readers", "role": "ADMIN"}]}]},
				"observed": {"address": "sa@example.com", "level": "OWNER", "can_share": true, "can_compute": true, "admission": "in", "paths": [
					{"level": "OWNER", "can_share": true, "can_compute": true, "through": []}, {"level": "READER", "can_share": false, "can_compute": false, "through": [{"group": "readers", "role": "ADMIN"}]}]}}
		]}`, a.text)
	a = c.get("/v1/anvil/acme/workspaces/bp/ws/access?side=declared")
	require.NotContains(t, a.text, "observed")
	require.NotContains(t, a.text, "agreement")
	require.NotContains(t, a.text, "late@example.com")
	c.requireProblem(c.get("/v1/anvil/acme/workspaces/bp/none/access"), http.StatusNotFound, "bp/none")
	c.requireProblem(c.get("/v1/anvil/acme/workspaces/bp/ws/access?side=left"), http.StatusUnprocessableEntity, "side")
}

func TestAccessIsToldPageByPageAndAsATable(t *testing.T) {
	c := newClient(t)
	target, seen := "/v1/anvil/acme/workspaces/bp/ws/access?limit=1", []string{}
	for target != "" {
		a := c.get(target)
		var page api.WorkspaceAccess
		require.NoError(t, json.Unmarshal([]byte(a.text), &page))
		for _, item := range page.Items {
			seen = append(seen, item.Address)
		}
		link := a.Header.Get("Link")
		target = strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
	}
	require.Equal(t, []string{"=late@example.com", "a@example.com", "sa@example.com"}, seen)

	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/anvil/acme/workspaces/bp/ws/access", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, [][]string{
		{"address", "is_app", "is_service_account", "account", "agreement", "declared_level", "declared_can_share", "declared_can_compute", "declared_admission", "declared_paths", "observed_level", "observed_can_share", "observed_can_compute", "observed_admission", "observed_paths", "pending"},
		{"'=late@example.com", "false", "false", "undeclared", "observed_only", "", "false", "false", "", "", "WRITER", "false", "true", "in", "WRITER directly", "true"},
		{"a@example.com", "false", "false", "active", "agrees", "READER", "false", "false", "in", "READER readers (MEMBER)", "READER", "false", "false", "in", "READER readers (MEMBER)", "false"},
		{"sa@example.com", "true", "false", "undeclared", "agrees", "OWNER", "true", "true", "in", "OWNER directly; READER readers (ADMIN)", "OWNER", "true", "true", "in", "OWNER directly; READER readers (ADMIN)", "false"},
	}, lines)
}

func TestTheWorkspacesOfAnAddressAreAnswered(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/anvil/acme/accounts/A@Example.com/access")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var got api.AccountAccess
	require.NoError(t, json.Unmarshal([]byte(a.text), &got))
	require.Equal(t, api.AddressOf{Address: "a@example.com", Account: "active"}, got.AddressOf)
	require.Len(t, got.Items, 1)
	require.Equal(t, "bp/ws", got.Items[0].Workspace)
	require.Equal(t, "agrees", got.Items[0].Agreement)
	require.Equal(t, "readers", got.Items[0].Observed.Paths[0].Through[0].Group)

	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/anvil/acme/accounts/stranger@example.com/access").text), &got))
	require.Equal(t, "unknown", got.Items[0].Agreement, "who is in a group that nobody can read is not known")
	require.NotEmpty(t, got.Items[0].ObservedSide.Opaque)
	require.JSONEq(t, `[]`, itemsOf(t, c.get("/v1/anvil/acme/accounts/stranger@example.com/access?side=declared")))
	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/anvil/acme/accounts/stranger@example.com/access", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, "closed: the service account does not see this group", lines[1][len(lines[1])-1])
}

func itemsOf(t *testing.T, a answer) string {
	t.Helper()
	var page struct{ Items json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(a.text), &page), a.text)
	return string(page.Items)
}

func TestConsortiaAreAnsweredAsTheyWere(t *testing.T) {
	c := newClient(t)
	at := func(hoursBefore int) string {
		return "?as_of=" + moment.Add(-time.Duration(hoursBefore)*time.Hour).Format(time.RFC3339)
	}
	a := c.get("/v1/anvil/acme/workspaces/bp/ws/access" + at(4))
	require.Contains(t, a.text, `"as_of":"2026-05-01T08:00:00Z"`)
	require.Contains(t, a.text, `{"address":"b@example.com","is_app":false,"is_service_account":false,"account":"inactive","agreement":"unknown"`)
	require.NotContains(t, c.get("/v1/anvil/acme/workspaces/bp/ws/access"+at(3)).text, "b@example.com")
	a = c.get("/v1/anvil/acme/workspaces/bp/ws/access" + at(7))
	require.Contains(t, a.text, `"sweep_id":null`)
	require.Contains(t, a.text, `"unknown":"the list of workspaces: not observed"`)
	require.Contains(t, c.get("/v1/anvil/acme/accounts/b@example.com/access"+at(4)).text, `"level":"READER"`)

	require.Contains(t, c.get("/v1/anvil/acme/findings"+at(4)).text, findingID.String())
	require.JSONEq(t, `[]`, itemsOf(t, c.get("/v1/anvil/acme/findings"+at(3))))
	require.JSONEq(t, `[]`, itemsOf(t, c.get("/v1/anvil/acme/findings"+at(7)+"&state=all")))
	require.Contains(t, c.get("/v1/anvil/acme/findings/"+findingID.String()+at(3)).text, `"resolved_at":"2026-05-01T09:00:00Z"`)
	require.Contains(t, c.get("/v1/anvil/acme/findings/"+findingID.String()+at(4)).text, `"resolved_at":null`)
	c.requireProblem(c.get("/v1/anvil/acme/findings/"+findingID.String()+at(7)), http.StatusNotFound, "then")
	require.Contains(t, c.get("/v1/anvil/acme/sweeps"+at(6)).text, sweepID.String())
	require.JSONEq(t, `[]`, itemsOf(t, c.get("/v1/anvil/acme/sweeps"+at(7))))
	require.Contains(t, c.get("/v1/anvil/acme/audits"+at(4)).text, `"MEMBER: b@example.com":["Account is deactivated but still has membership records in the app.","Account not a member in AnVIL"]`)
	require.NotContains(t, c.get("/v1/anvil/acme/audits"+at(3)).text, "b@example.com")
	require.Contains(t, c.get("/v1/anvil/acme/declared"+at(4)).text, `"account":"b@example.com"`)
}

func TestAMomentThatCannotBeAnsweredIsRefused(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{"audits", "findings", "findings/" + findingID.String(), "sweeps", "declared", "workspaces/bp/ws/access", "accounts/a@example.com/access"} {
		c.requireProblem(c.get("/v1/anvil/acme/"+path+"?as_of=2026-05-01T12:00:01Z"), http.StatusUnprocessableEntity, "yet to come")
		c.requireProblem(c.get("/v1/anvil/acme/"+path+"?as_of=2026-05-01T02:59:59Z"), http.StatusNotFound, "choose a time from 2026-05-01T03:00:00Z on")
		c.requireProblem(c.get("/v1/anvil/acme/"+path+"?as_of=yesterday"), http.StatusUnprocessableEntity, "as_of")
		c.requireProblem(c.get("/v1/anvil/nobody/"+path+"?as_of=2026-05-01T12:00:00Z"), http.StatusNotFound, "nobody")
	}
	page := c.get("/v1/anvil/acme/workspaces/bp/ws/access?limit=1&as_of=2026-05-01T12:00:00Z")
	var body struct {
		NextCursor string `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(page.text), &body))
	c.requireProblem(c.get("/v1/anvil/acme/workspaces/bp/ws/access?limit=1&cursor="+body.NextCursor), http.StatusUnprocessableEntity, "cursor")
}

func TestTheDeclarationCanBeDeclaredAgain(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/anvil/acme/declared")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	d, err := anvil.DecodeDeclared(strings.NewReader(a.text))
	require.NoError(t, err)
	require.NoError(t, d.Validate(anvil.Strict))
	require.Equal(t, []anvil.Account{{Email: "a@example.com", Status: anvil.StatusActive}, {Email: "b@example.com", Status: anvil.StatusInactive}}, d.Accounts)
	require.Equal(t, http.StatusNotModified, c.get("/v1/anvil/acme/declared", "If-None-Match", a.Header.Get("ETag")).StatusCode)
	require.Equal(t, http.StatusCreated, c.do(http.MethodPost, "/v1/anvil/acme/declarations", a.text, "Content-Type", "application/json").StatusCode)
	require.Equal(t, c.world.declared.Wanted, d)
}

func TestAddressesThatAreAskedForStayOutOfTheLog(t *testing.T) {
	c := newClient(t)
	c.get("/v1/anvil/acme/accounts/a@example.com/access")
	require.NotContains(t, c.log.String(), "a@example.com")
}

func TestAccessOverTimeIsTold(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/anvil/acme/accounts/B@Example.com/access/history")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var got api.AccessHistory
	require.NoError(t, json.Unmarshal([]byte(a.text), &got))
	require.Nil(t, got.From)
	require.Equal(t, moment, got.To)
	require.Equal(t, sweepID, *got.SweepID)
	steps := func(list []api.AccessStep) (words []string) {
		for _, s := range list {
			words = append(words, strings.Join([]string{s.At.Format("15:04"), s.Address, s.Side, s.Change, string(s.Before.Reach) + ">" + string(s.After.Reach), s.After.Level}, " "))
		}
		return words
	}
	require.Equal(t, []string{"03:00 b@example.com declared gained no>yes READER", "03:00 b@example.com observed doubtful no>unknown ", "09:00 b@example.com declared lost yes>no "}, steps(got.Items))
	lost := got.Items[2]
	require.Equal(t, 1, lost.Events)
	require.Equal(t, "muster.anvil.accountmembership.withdrawn.v1", lost.Causes[0].Type)
	require.NotZero(t, lost.Causes[0].EventID)

	// From a moment on, how everybody stood comes first.
	from := "?from=" + moment.Add(-5*time.Hour).Format(time.RFC3339)
	a = c.get("/v1/anvil/acme/workspaces/bp/ws/access/history" + from)
	require.NoError(t, json.Unmarshal([]byte(a.text), &got))
	require.Equal(t, []string{
		"07:00 =late@example.com observed held no>no WRITER", "07:00 a@example.com declared held yes>yes READER", "07:00 a@example.com observed held yes>yes READER",
		"07:00 b@example.com declared held yes>yes READER", "07:00 b@example.com observed held unknown>unknown ",
		"07:00 sa@example.com declared held yes>yes OWNER", "07:00 sa@example.com observed held yes>yes OWNER",
		"09:00 b@example.com declared lost yes>no ",
	}, steps(got.Items))
	var one api.AccessHistory
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/anvil/acme/accounts/a@example.com/access/history?side=declared&from=2026-05-01T12:00:00Z").text), &one))
	require.Equal(t, []string{"12:00 a@example.com declared held yes>yes READER"}, steps(one.Items))

	target, paged := "/v1/anvil/acme/workspaces/bp/ws/access/history"+from+"&limit=1", []string{}
	for target != "" {
		a := c.get(target)
		var page api.AccessHistory
		require.NoError(t, json.Unmarshal([]byte(a.text), &page))
		paged = append(paged, steps(page.Items)...)
		target = strings.TrimPrefix(strings.TrimSuffix(a.Header.Get("Link"), `>; rel="next"`), "<")
	}
	require.Equal(t, steps(got.Items), paged)

	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/anvil/acme/workspaces/bp/ws/access/history"+from+"&side=declared", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 5)
	require.Equal(t, []string{"2026-05-01T09:00:00Z", "bp/ws", "b@example.com", "declared", "lost", "yes", "READER"}, lines[4][:7])
	require.Equal(t, "muster.anvil.accountmembership.withdrawn.v1", lines[4][len(lines[4])-2])
}

func TestASpanOfAccessThatCannotBeToldIsRefused(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{"workspaces/bp/ws", "accounts/a@example.com"} {
		path = "/v1/anvil/acme/" + path + "/access/history"
		c.requireProblem(c.get(path+"?to=2026-05-01T12:00:01Z"), http.StatusUnprocessableEntity, "yet to come")
		c.requireProblem(c.get(path+"?from=2026-05-01T12:00:00Z&to=2026-05-01T11:00:00Z"), http.StatusUnprocessableEntity, "is behind to")
		c.requireProblem(c.get(path+"?from=yesterday"), http.StatusUnprocessableEntity, "from")
		c.requireProblem(c.get(path+"?to=2026-05-01T02:59:59Z"), http.StatusNotFound, "choose a later time")
		c.requireProblem(c.get(path+"?cursor=x"), http.StatusUnprocessableEntity, "cursor")
		c.requireProblem(c.get(strings.Replace(path, "acme", "nobody", 1)), http.StatusNotFound, "nobody")
	}
	c.requireProblem(c.get("/v1/anvil/acme/workspaces/bp/none/access/history"), http.StatusNotFound, "bp/none")
}
