package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
	"github.com/muster-sync/muster/query/viewlog"
)

// watched is the real stores with the real access log.
type watched struct {
	*stores

	looks *viewlog.Recorder
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{}
	var stop func()
	w.stores = newStoresWith(t, func(c *api.Config, s *storesParts) {
		require.NoError(t, viewlog.Migrate(t.Context(), s.pool))
		var err error
		w.looks, err = viewlog.New(viewlog.Config{Pool: s.pool, Log: s.appender, Window: 50 * time.Millisecond, Poll: 5 * time.Millisecond})
		require.NoError(t, err)
		c.Looks = w.looks
		c.Authenticator = access.Authenticators{tokens{}, api.NewLinkTokens(s.characters, c.Now)}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.looks.Run(ctx) }()
		stop = func() { cancel(); require.NoError(t, <-done) }
	})
	t.Cleanup(stop)
	return w
}

// log is what somebody sees of the access log: looks by viewer and section.
func (w *watched) log(target string, who ...string) map[string]int64 {
	w.t.Helper()
	counts := map[string]int64{}
	for {
		a := w.get(target, who...)
		require.Equal(w.t, http.StatusOK, a.StatusCode, a.text)
		var page api.Page[api.AccessLogEntry]
		require.NoError(w.t, json.Unmarshal([]byte(a.text), &page))
		for _, e := range page.Items {
			counts[e.ViewerID+" "+e.Section+" "+e.Way] += e.Count
		}
		if page.NextCursor == "" {
			return counts
		}
		target = a.Header.Get("Link")
		target = target[1 : len(target)-len(`>; rel="next"`)]
	}
}

func (w *watched) requireLog(want map[string]int64, target string, who ...string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return equalCounts(want, w.log(target, who...)) }, 30*time.Second, 50*time.Millisecond, "%v", want)
}

func equalCounts(a, b map[string]int64) bool {
	if len(a) != len(b) {
		return false
	}
	for k, n := range a {
		if b[k] != n {
			return false
		}
	}
	return true
}

// Ada owns 1 and 2, Cy 3. Bob opens what is shared, the auditor everything.
func (w *watched) organisation() {
	may := func(user string, permissions ...string) {
		w.append(event.User(user), moment, access.UserRegistered{UserID: user, Active: true, State: "Member", Permissions: append(permissions, "basic_access")})
	}
	may("ada", "share_characters")
	may("cy", "share_characters")
	may("bob", "view_shared_characters")
	may("auditor", "view_everything", "characters_access")
	for id, owner := range map[int64]string{1: "ada", 2: "ada", 3: "cy"} {
		w.append(event.Character(id), moment, eve.CharacterRegistered{CharacterID: id, Name: "Pilot", UserID: owner, CorporationID: 7}, eve.CharacterShared{CharacterID: id, UserID: owner})
	}
}

// opens waits until somebody gets the status.
func (w *watched) opens(status int, target string, who ...string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.get(target, who...).StatusCode == status }, 30*time.Second, 20*time.Millisecond, "%s %v", target, who)
}

// refuses waits until a link is good for nothing. Who tries too often without a good one
// is told to wait.
func (w *watched) refuses(by ...string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		status := w.get("/v1/characters/1/wallet", by...).StatusCode
		return status == http.StatusUnauthorized || status == http.StatusTooManyRequests
	}, 30*time.Second, 20*time.Millisecond)
}

func TestEveryLookIsInTheLogWithItsCountAndOwnersSeeTheirs(t *testing.T) {
	w := newWatched(t)
	w.organisation()
	// One's own looks, with which it is seen that all is there, are not noted.
	w.opens(http.StatusOK, "/v1/characters/1", as("ada")...)
	w.opens(http.StatusOK, "/v1/characters/2", as("ada")...)
	w.opens(http.StatusOK, "/v1/characters/3", as("cy")...)
	require.Eventually(t, func() bool {
		shown := w.get("/v1/characters/1/views", as("ada")...)
		return shown.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond)
	w.opens(http.StatusForbidden, "/v1/characters/1/views", as("bob")...)
	w.opens(http.StatusForbidden, "/v1/characters/3/views", as("auditor")...)

	const looks = 40
	var group errgroup.Group
	group.SetLimit(8)
	for range looks {
		for _, ask := range []struct{ target, user string }{
			{"/v1/characters/1/wallet", "bob"}, {"/v1/characters/3/wallet", "bob"}, {"/v1/characters/1/skills", "auditor"}, {"/v1/characters/1/wallet", "ada"}, {"/v1/characters/3/mails", "ada"},
		} {
			group.Go(func() error {
				w.get(ask.target, as(ask.user)...)
				return nil
			})
		}
		group.Go(func() error { w.get("/v1/characters/1"); return nil })
	}
	require.NoError(t, group.Wait())
	adas := map[string]int64{"user:bob wallet shared": looks, "user:auditor skills view_everything": looks, "token:admin character token": looks}
	w.requireLog(adas, "/v1/access-log?limit=3", as("ada")...)
	w.requireLog(adas, "/v1/characters/1/views", as("ada")...)
	w.requireLog(map[string]int64{}, "/v1/characters/2/views", as("ada")...)
	w.requireLog(map[string]int64{"user:bob wallet shared": looks}, "/v1/access-log", as("cy")...)
	w.requireLog(map[string]int64{}, "/v1/access-log", as("bob")...)
	w.requireLog(map[string]int64{"user:bob wallet shared": 2 * looks}, "/v1/access-log?viewer=bob")
	w.requireLog(map[string]int64{"token:admin character token": looks}, "/v1/access-log?section=character")

	// Who gets the character sees what comes, and Ada what was.
	w.append(event.Character(1), moment, eve.CharacterOrphaned{CharacterID: 1, Reason: "sold"}, eve.CharacterReclaimed{CharacterID: 1, UserID: "cy"})
	w.opens(http.StatusOK, "/v1/characters/1/views", as("cy")...)
	w.requireLog(map[string]int64{}, "/v1/characters/1/views", as("cy")...)
	w.requireLog(adas, "/v1/access-log", as("ada")...)

	w.append(event.Character(1), time.Now().Add(time.Hour), eve.CharacterForgotten{CharacterID: 1, Reason: "asked for"})
	w.requireLog(map[string]int64{}, "/v1/access-log", as("ada")...)
}

func TestALinkDiesWithItsEndItsOwnerAndItsPermission(t *testing.T) {
	w := newWatched(t)
	w.organisation()
	issue := func(n byte, sections ...eve.Section) []string {
		secret := access.LinkPrefix + string('a'+rune(n))
		w.append(event.Character(1), moment, eve.LinkIssued{
			CharacterID: 1, LinkID: uuid.UUID{n}, UserID: "ada", SecretHash: access.HashSecret(secret), Sections: sections, ExpiresAt: moment.Add(time.Minute),
		})
		return []string{"Authorization", "Bearer " + secret}
	}
	all, some, revoked := issue(1), issue(2, eve.SectionWallet), issue(3)
	for _, by := range [][]string{all, some, revoked} {
		w.opens(http.StatusOK, "/v1/characters/1/wallet", by...)
	}
	w.requireProblem(w.get("/v1/characters/1/skills", some...), http.StatusForbidden, "skills")
	w.requireProblem(w.get("/v1/characters/2/wallet", all...), http.StatusNotFound, "2")
	w.requireProblem(w.get("/v1/characters", all...), http.StatusForbidden, "one character")
	require.Eventually(t, func() bool {
		counts := w.log("/v1/characters/1/views", as("ada")...)
		return counts["link:"+uuid.UUID{1}.String()+" wallet share_link"] == 1 && counts["link:"+uuid.UUID{2}.String()+" wallet share_link"] == 1 &&
			counts["link:"+uuid.UUID{3}.String()+" wallet share_link"] == 1
	}, 30*time.Second, 20*time.Millisecond)
	require.Contains(t, w.get("/v1/characters/1/share-links", as("ada")...).text, `"status":"active"`)

	w.append(event.Character(1), moment, eve.LinkRevoked{CharacterID: 1, LinkID: uuid.UUID{3}})
	w.refuses(revoked...)
	permit := func(permissions ...string) {
		w.append(event.User("ada"), moment, access.UserRegistered{UserID: "ada", Active: true, State: "Member", Permissions: permissions})
	}
	permit("basic_access")
	w.refuses(all...)
	w.opens(http.StatusNotFound, "/v1/characters/1/wallet", as("bob")...)
	permit("basic_access", "share_characters")
	w.opens(http.StatusOK, "/v1/characters/1/wallet", all...)
	w.append(event.Character(1), moment, eve.CharacterOrphaned{CharacterID: 1, Reason: "sold"}, eve.CharacterReclaimed{CharacterID: 1, UserID: "cy"})
	w.refuses(all...)
	w.requireProblem(w.get("/v1/characters/1/share-links", as("ada")...), http.StatusNotFound, "")
}

func TestASharingThatHasRunOutGivesNothing(t *testing.T) {
	w := newWatched(t)
	w.organisation()
	w.opens(http.StatusOK, "/v1/characters/1/wallet", as("bob")...)
	// The clock of these tests stands at the moment: it is no part of the sharing.
	w.append(event.Character(1), moment, eve.CharacterShared{CharacterID: 1, UserID: "ada", Until: &moment})
	w.opens(http.StatusNotFound, "/v1/characters/1/wallet", as("bob")...)
	w.append(event.Character(1), moment, eve.CharacterShared{CharacterID: 1, UserID: "ada", Until: new(moment.Add(time.Microsecond))})
	w.opens(http.StatusOK, "/v1/characters/1/wallet", as("bob")...)
}
