package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

var linkID = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad5")

// accessLog is the world as one that knows who looked.
type accessLog struct{ *world }

func (w accessLog) Record(_ context.Context, look access.DataViewed) error {
	w.looking.Lock()
	defer w.looking.Unlock()
	w.looked = append(w.looked, look)
	return w.unnoted
}

func (w accessLog) Looks(ctx context.Context, f postgres.LookFilter) ([]postgres.Look, error) {
	w.looks = f
	return []postgres.Look{
		{EventID: sweepID, DataViewed: access.DataViewed{
			ViewerID: "link:x", OwnerID: "owner", CharacterID: 90000001, Section: "wallet", Way: access.ByLink, LinkID: &linkID, FirstAt: moment, LastAt: moment, Count: 3,
		}},
		{EventID: findingID, DataViewed: access.DataViewed{ViewerID: "token:admin", Section: "list-characters", Way: access.ByToken, FirstAt: moment, LastAt: moment, Count: 1, Rows: 2}},
	}, w.enter(ctx)
}

func (w *world) Subject(ctx context.Context, _ int64, _ time.Time) (access.Subject, error) {
	return w.subject, w.enter(ctx)
}

func (w *world) Share(ctx context.Context, in api.ShareDecision) (api.CharacterChange, error) {
	return w.decideOwned(ctx, in)
}

func (w *world) Unshare(ctx context.Context, in api.ShareDecision) (api.CharacterChange, error) {
	return w.decideOwned(ctx, in)
}

// decideOwned is what the domain decides: only the owner may.
func (w *world) decideOwned(ctx context.Context, in api.ShareDecision) (api.CharacterChange, error) {
	w.shared = in
	if in.UserID != w.subject.Owner {
		return api.CharacterChange{}, event.Errorf(event.CodeForbidden, "only the owner may, superusers included")
	}
	return api.CharacterChange{CharacterID: in.CharacterID, Changed: true, Version: 3, Shown: w.shown}, w.enter(ctx)
}

func (w *world) IssueLink(ctx context.Context, in api.LinkDecision) (api.IssuedLink, error) {
	w.issued = in
	_, err := w.decideOwned(ctx, api.ShareDecision{UserID: in.UserID, CharacterID: in.CharacterID})
	return api.IssuedLink{ID: linkID, Secret: access.LinkPrefix + "s3cret", ExpiresAt: in.ExpiresAt, Shown: w.shown}, err
}

func (w *world) RevokeLink(ctx context.Context, actor, user string, character int64, _ uuid.UUID) (api.CharacterChange, error) {
	return w.decideOwned(ctx, api.ShareDecision{Actor: actor, UserID: user, CharacterID: character})
}

func (w *world) Links(ctx context.Context, character int64, user string, _ time.Time) ([]postgres.Link, error) {
	link := postgres.Link{ID: linkID, CharacterID: character, UserID: user, Sections: []eve.Section{eve.SectionWallet}, Note: "for Bob", IssuedAt: moment, ExpiresAt: moment.Add(time.Hour), Holds: true}
	expired, revoked, ended := link, link, link
	expired.Holds, expired.ExpiresAt = false, moment
	revoked.Holds, revoked.Revoked = false, true
	ended.Holds = false
	return []postgres.Link{link, expired, revoked, ended}, w.enter(ctx)
}

// ownerAlone are the headers of a request to an operation that is for owners alone, or about
// the user who asks; none for others.
func ownerAlone(c *client, op *huma.Operation) []string {
	if op.OperationID == "get-myself" {
		return as("ada")
	}
	switch access.Action(op.Extensions["x-muster-action"].(string)) {
	case access.ActionShareCharacter, access.ActionUnshareCharacter:
	default:
		return nil
	}
	c.world.grants, c.world.opens = access.Grants{Active: true, Permissions: []string{"basic_access", "share_characters"}}, []int64{90000001}
	return as("owner")
}

// Every route that answers with data of a character is noted before it answers, and does
// not answer when that fails.
func TestNoDataOfOthersIsShownWithoutBeingNoted(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "finder_access", "view_shared_characters"}}
	c.world.opens = []int64{90000001}
	noted := 0
	for path, item := range c.server.OpenAPI().Paths {
		if item.Get == nil || item.Get.OperationID == "get-myself" || item.Get.Extensions["x-muster-action"] == string(access.ActionReadAccessLog) || item.Get.Extensions["x-muster-action"] == string(access.ActionUnshareCharacter) {
			continue
		}
		about := strings.Contains(path, "/characters/{id}") || item.Get.OperationID == "get-missing-skills" || strings.HasPrefix(path, "/v1/streams/")
		list := slices.Contains([]string{"list-characters", "report-skill-sets", "analyse-wallets", "get-export"}, item.Get.OperationID)
		for _, prefix := range []string{"/v1/finder", "/v1/search/", "/v1/reports/", "/v1/launcher", "/v1/events", "/v1/analytics/"} {
			list = list || strings.HasPrefix(path, prefix)
		}
		target := parameters.Replace(path)
		for _, who := range [][]string{nil, as("bob"), as("owner")} {
			if who != nil && path == "/v1/launcher" {
				// His own.
				target = path
				list = false
			}
			if who != nil && item.Get.Extensions["x-muster-action"] != string(access.ActionReadCharacters) {
				continue
			}
			c.world.looked, c.world.unnoted = nil, nil
			a := c.get(target, who...)
			require.Equal(t, http.StatusOK, a.StatusCode, a.text)
			if !about && !list || about && len(who) > 0 && strings.HasSuffix(who[1], "owner") {
				require.Empty(t, c.world.looked, "%s %v", target, who)
				continue
			}
			require.Len(t, c.world.looked, 1, "%s %v", target, who)
			look := c.world.looked[0]
			require.NotEmpty(t, look.Section)
			require.NotEmpty(t, look.ViewerID)
			if about {
				require.Equal(t, int64(90000001), look.CharacterID, target)
				require.Equal(t, "owner", look.OwnerID)
				want := access.ByToken
				if who != nil {
					want = access.BySharing
				}
				require.Equal(t, want, look.Way)
			} else {
				require.Zero(t, look.CharacterID)
			}
			c.world.unnoted = event.Errorf(event.CodeUnavailable, "the log is away")
			c.requireProblem(c.get(target, who...), http.StatusServiceUnavailable, "the log is away")
			noted++
		}
	}
	require.Greater(t, noted, 70)
}

func TestWhatIsNotShownIsNotNoted(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "view_shared_characters"}}
	c.requireProblem(c.get("/v1/characters/90000001", as("bob")...), http.StatusNotFound, "")
	c.requireProblem(c.get("/v1/characters/90000009"), http.StatusNotFound, "")
	c.requireProblem(c.get("/v1/characters/90000001/wallet?x=1"), http.StatusUnprocessableEntity, "")
	require.Empty(t, c.world.looked)

	a := c.get("/v1/characters/90000001")
	require.Equal(t, http.StatusNotModified, c.get("/v1/characters/90000001", "If-None-Match", a.Header.Get("ETag")).StatusCode)
	require.Len(t, c.world.looked, 2, "who is told that nothing has changed was shown something")
	require.Equal(t, access.DataViewed{ViewerID: "token:admin", OwnerID: "owner", CharacterID: 90000001, Section: "character", Way: access.ByToken}, c.world.looked[1])

	c.world.looked = nil
	c.get("/v1/characters", as("bob")...)
	require.Equal(t, []access.DataViewed(nil), c.world.looked, "without the finder he lists his own")
	c.world.grants.Permissions = append(c.world.grants.Permissions, "finder_access")
	c.get("/v1/characters", as("bob")...)
	require.Equal(t, []access.DataViewed{{ViewerID: "user:bob", ViewerUserID: "bob", Section: "list-characters", Way: access.BySharing, Rows: 2}}, c.world.looked)
}

func TestTheAccessLogShowsUsersWhatConcernsThem(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "view_shared_characters"}}
	c.world.opens = []int64{90000001}
	f := func(target string, who []string, want postgres.LookFilter) {
		t.Helper()
		c.world.looks = postgres.LookFilter{}
		a := c.get(target, who...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		want.Limit = 101
		require.Equal(t, want, c.world.looks)
	}
	f("/v1/access-log", nil, postgres.LookFilter{})
	f("/v1/access-log?user_id=cy&viewer=bob&character_id=7&section=wallet&since=2026-05-01T12:00:00Z", nil,
		postgres.LookFilter{OwnerID: "cy", ViewerUserID: "bob", CharacterID: 7, Section: "wallet", Since: moment})
	f("/v1/access-log?character_id=7", as("owner"), postgres.LookFilter{OwnerID: "owner", CharacterID: 7})
	f("/v1/access-log?user_id=owner", as("owner"), postgres.LookFilter{OwnerID: "owner"})
	c.requireProblem(c.get("/v1/access-log?user_id=cy", as("owner")...), http.StatusForbidden, "leave user_id out")
	f("/v1/characters/90000001/views", as("owner"), postgres.LookFilter{OwnerID: "owner", CharacterID: 90000001})
	f("/v1/characters/90000001/views", nil, postgres.LookFilter{CharacterID: 90000001})
	c.requireProblem(c.get("/v1/characters/90000001/views", as("bob")...), http.StatusForbidden, "only the owner")
	c.world.grants = access.Grants{Active: true, Superuser: true}
	f("/v1/characters/90000001/views", as("root"), postgres.LookFilter{CharacterID: 90000001})
	require.Empty(t, c.world.looked, "looks at the log are not noted")

	lines := strings.Split(strings.TrimSpace(c.get("/v1/access-log", "Accept", "text/csv").text), "\r\n")
	require.Equal(t, "event_id,first_at,last_at,count,viewer_id,viewer_user_id,viewer_name,user_id,user_name,character_id,character_name,section,way,link_id,rows", lines[0])
	require.Len(t, lines, 3)
	require.Equal(t, http.StatusOK, c.get("/v1/access-log", "Accept", "application/vnd.apache.parquet").StatusCode)
}

func TestOnlyOwnersDecideWhatIsShown(t *testing.T) {
	c := newClient(t)
	c.world.opens = []int64{90000001}
	do := func(method, path, body string, who ...string) answer {
		return c.do(method, "/v1/characters/90000001/"+path, body, who...)
	}
	all := func(f func(method, path, body string)) {
		f(http.MethodPut, "share", `{}`)
		f(http.MethodDelete, "share", "")
		f(http.MethodPost, "share-links", bodies["create-share-link"])
		f(http.MethodGet, "share-links", "")
		f(http.MethodDelete, "share-links/"+linkID.String(), "")
	}
	c.world.grants = access.Grants{Active: true, Superuser: true}
	all(func(method, path, body string) {
		c.requireProblem(do(method, path, body), http.StatusForbidden, "superusers included")
		c.requireProblem(do(method, path, body, as("root")...), http.StatusForbidden, "superusers included")
		require.Less(t, do(method, path, body, as("owner")...).StatusCode, 300)
	})
	// To take back what is shown, basic_access is enough.
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access"}}
	all(func(method, path, body string) {
		if method == http.MethodPut || method == http.MethodPost {
			c.requireProblem(do(method, path, body, as("owner")...), http.StatusForbidden, "share_characters")
			return
		}
		require.Less(t, do(method, path, body, as("owner")...).StatusCode, 300)
	})
	c.world.grants = access.Grants{Permissions: []string{"basic_access", "share_characters"}}
	all(func(method, path, body string) {
		c.requireProblem(do(method, path, body, as("owner")...), http.StatusForbidden, "active")
	})
	c.world.grants.Active = true
	until := moment.Add(time.Hour)
	require.Equal(t, http.StatusCreated, do(http.MethodPut, "share", `{"until": "2026-05-01T13:00:00Z"}`, as("owner")...).StatusCode)
	require.Equal(t, api.ShareDecision{Actor: "user:owner", UserID: "owner", CharacterID: 90000001, Until: &until}, c.world.shared)
	a := do(http.MethodPost, "share-links", bodies["create-share-link"], as("owner")...)
	require.Contains(t, a.text, "s3cret")
	require.Equal(t, api.LinkDecision{
		Actor: "user:owner", UserID: "owner", CharacterID: 90000001, Sections: []eve.Section{eve.SectionWallet}, Note: "for Bob", ExpiresAt: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC),
	}, c.world.issued)
	require.NotContains(t, c.log.String(), "s3cret")
	a = do(http.MethodGet, "share-links", "", as("owner")...)
	require.NotContains(t, a.text, "s3cret")
	var page api.Page[api.ShareLink]
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	var statuses []string
	for _, l := range page.Items {
		statuses = append(statuses, l.Status)
	}
	require.Equal(t, []string{"active", "expired", "revoked", "ended"}, statuses)
	c.requireProblem(do(http.MethodPost, "share-links", `{"note": "no end"}`, as("owner")...), http.StatusUnprocessableEntity, "expires_at")
}

// linkFinder knows one link.
type linkFinder struct {
	link postgres.Link
	away bool
}

func (f *linkFinder) LinkOf(_ context.Context, hash string, at time.Time) (postgres.Link, error) {
	switch {
	case f.away:
		return postgres.Link{}, event.Errorf(event.CodeUnavailable, "away")
	case hash != access.HashSecret(access.LinkPrefix+"good"):
		return postgres.Link{}, event.Errorf(event.CodeNotFound, "there is no such link")
	}
	l := f.link
	l.Holds = at.Before(l.ExpiresAt)
	return l, nil
}

func TestALinkShowsOneCharacterToBeReadAndNothingElse(t *testing.T) {
	f := &linkFinder{link: postgres.Link{ID: linkID, CharacterID: 90000001, UserID: "owner", ExpiresAt: moment.Add(time.Hour)}}
	now := moment
	c := newClient(t, func(c *api.Config) {
		c.Authenticator = access.Authenticators{tokens{}, api.NewLinkTokens(f, func() time.Time { return now })}
	})
	by := []string{"Authorization", "Bearer " + access.LinkPrefix + "good"}
	shown := 0
	for path, item := range c.server.OpenAPI().Paths {
		for method, op := range operations(item) {
			target := parameters.Replace(path)
			a := c.do(method, target, bodies[op.OperationID], by...)
			if !strings.Contains(path, "/characters/{id}") || op.Extensions["x-muster-action"] != string(access.ActionReadCharacters) {
				c.requireProblem(a, http.StatusForbidden, "")
				continue
			}
			require.Equal(t, http.StatusOK, a.StatusCode, target)
			c.requireProblem(c.do(method, strings.Replace(target, "90000001", "90000002", 1), "", by...), http.StatusNotFound, "90000002")
			shown++
		}
	}
	require.Greater(t, shown, 30)
	for _, look := range c.world.looked {
		require.Equal(t, access.ByLink, look.Way)
		require.Equal(t, &linkID, look.LinkID)
		require.Equal(t, "link:"+linkID.String(), look.ViewerID)
		require.Empty(t, look.ViewerUserID)
	}

	f.link.Sections = []eve.Section{eve.SectionWallet}
	require.Equal(t, http.StatusOK, c.get("/v1/characters/90000001/wallet", by...).StatusCode)
	c.requireProblem(c.get("/v1/characters/90000001/wallet-journal", by...), http.StatusForbidden, "wallet-journal")
	c.requireProblem(c.get("/v1/characters/90000001/mails/7", by...), http.StatusForbidden, "mails")
	c.requireProblem(c.get("/v1/characters/90000001", by...), http.StatusForbidden, "character")
	f.link.Sections = append(f.link.Sections, eve.SectionDetails, eve.SectionMails)
	require.Equal(t, http.StatusOK, c.get("/v1/characters/90000001", by...).StatusCode)
	require.Equal(t, http.StatusOK, c.get("/v1/characters/90000001/mails/7", by...).StatusCode)

	c.requireProblem(c.get("/v1/characters/90000001/wallet", "Authorization", "Bearer "+access.LinkPrefix+"bad"), http.StatusUnauthorized, "nobody holds this token")
	f.away = true
	c.requireProblem(c.get("/v1/characters/90000001/wallet", by...), http.StatusServiceUnavailable, "away")
	f.away, now = false, moment.Add(time.Hour)
	c.requireProblem(c.get("/v1/characters/90000001/wallet", by...), http.StatusUnauthorized, "nobody holds this token")
}
