package token_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/token"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// users are what users were given.
type users map[string]access.Grants

func (u users) Grants(_ context.Context, user string) (access.Grants, bool, error) {
	g, known := u[user]
	return g, known, nil
}

// countingUsers counts how often it is asked.
type countingUsers struct {
	users
	asked int
}

func (u *countingUsers) Grants(ctx context.Context, user string) (access.Grants, bool, error) {
	u.asked++
	return u.users.Grants(ctx, user)
}

func TestTheUserOfHisOwnTokenIsAskedForOnce(t *testing.T) {
	r := newRig(t)
	own, given := r.issue(ada, access.NewToken{UserID: "ada"}), r.issue(access.UserPrincipal("root"), access.NewToken{UserID: "ada"})
	bus, err := command.New(command.Config{Pool: r.pool, View: command.ViewFunc(func(context.Context, event.Stream) (int64, error) { return 0, nil })})
	require.NoError(t, err)
	counting := &countingUsers{users: r.users}
	tokens, err := token.New(token.Config{Pool: r.pool, Bus: bus, Users: counting, Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	p, err := tokens.Authenticate(t.Context(), own.Secret)
	require.NoError(t, err)
	require.Equal(t, "ada", p.UserID)
	require.Equal(t, 1, counting.asked)
	_, err = tokens.Authenticate(t.Context(), given.Secret)
	require.NoError(t, err)
	require.Equal(t, 3, counting.asked, "of a token that somebody else has issued both are asked for")
	r.users["ada"] = access.Grants{}
	_, err = tokens.Authenticate(t.Context(), own.Secret)
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err), "he is not active any more")
}

type rig struct {
	*token.Tokens

	t     *testing.T
	pool  *pgxpool.Pool
	users users
	now   time.Time
}

// member is what users have who are not superusers.
var member = access.Grants{Active: true, Permissions: []string{"basic_access"}}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, pool: enginetest.Postgres(t), now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), users: users{
		"ada": member, "bob": member, "root": {Active: true, Superuser: true}, "zed": {},
	}}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	require.NoError(t, command.Migrate(t.Context(), r.pool))
	bus, err := command.New(command.Config{Pool: r.pool, View: command.ViewFunc(func(ctx context.Context, s event.Stream) (version int64, err error) {
		err = r.pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM command.outbox WHERE stream = $1`, string(s)).Scan(&version)
		return version, err
	})})
	require.NoError(t, err)
	r.Tokens, err = token.New(token.Config{Pool: r.pool, Bus: bus, Users: r.users, Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	return r
}

var (
	admin = access.Principal{ID: "token:admin", Superuser: true}
	ada   = access.UserPrincipal("ada")
)

func (r *rig) issue(by access.Principal, wanted access.NewToken) token.Issued {
	r.t.Helper()
	wanted.Name = "a token"
	issued, err := r.Issue(r.t.Context(), by, wanted)
	require.NoError(r.t, err)
	require.True(r.t, issued.Shown)
	return issued
}

func (r *rig) holds(secret string) access.Principal {
	r.t.Helper()
	p, err := r.Authenticate(r.t.Context(), secret)
	require.NoError(r.t, err)
	return p
}

func (r *rig) refused(secret string) {
	r.t.Helper()
	p, err := r.Authenticate(r.t.Context(), secret)
	require.Equal(r.t, event.CodeUnauthenticated, event.CodeOf(err), "%v", err)
	require.ErrorContains(r.t, err, "nobody holds this token, or it is good no more")
	require.Empty(r.t, p)
	if secret != "" {
		require.NotContains(r.t, err.Error(), secret)
	}
}

// written is all that Postgres has of tokens, the events among it.
func (r *rig) written() (text string) {
	r.t.Helper()
	require.NoError(r.t, r.pool.QueryRow(r.t.Context(), `SELECT (SELECT string_agg(to_json(t)::text, ' ') FROM ingest.api_token t) || (SELECT string_agg(to_json(o)::text, ' ') FROM command.outbox o)`).Scan(&text))
	return text
}

func TestAUsersTokenActsAsHe(t *testing.T) {
	r := newRig(t)
	issued := r.issue(ada, access.NewToken{UserID: "ada"})
	p := r.holds(issued.Secret)
	require.Equal(t, access.Principal{
		ID: "user:ada/token:" + issued.TokenID.String(), UserID: "ada", TokenID: issued.TokenID.String(), Expires: r.now.Add(token.DefaultLifetime),
	}, p)
	bounded := r.holds(r.issue(ada, access.NewToken{UserID: "ada", Scope: []access.Action{access.ActionManageTokens}}).Secret)
	require.NoError(t, access.AuthorizeUser(bounded, member, access.ActionManageTokens))
	require.Equal(t, event.CodeForbidden, event.CodeOf(access.AuthorizeUser(bounded, member, access.ActionReadCharacters)))

	_, err := r.Issue(t.Context(), p, access.NewToken{Name: "another", UserID: "ada"})
	require.Equal(t, event.CodeForbidden, event.CodeOf(err))
	require.ErrorContains(t, err, "tokens issue no tokens")
}

func TestAProgramsTokenHasActions(t *testing.T) {
	r := newRig(t)
	p := r.holds(r.issue(admin, access.NewToken{Scope: []access.Action{access.ActionExport, access.ActionReadAnvil}}).Secret)
	require.Empty(t, p.UserID)
	for _, action := range access.Actions() {
		err := access.Authorize(p, action)
		switch action {
		case access.ActionExport, access.ActionReadAnvil, access.ActionReadSelf:
			require.NoError(t, err)
		default:
			require.Equal(t, event.CodeForbidden, event.CodeOf(err), action)
		}
	}
}

func TestNothingButTheHashOfATokenIsWritten(t *testing.T) {
	r := newRig(t)
	issued := r.issue(admin, access.NewToken{UserID: "ada"})
	_, err := r.Revoke(t.Context(), admin, issued.TokenID)
	require.NoError(t, err)
	text := r.written()
	require.Contains(t, text, string(access.TypeTokenIssued))
	require.Contains(t, text, string(access.TypeTokenRevoked))
	require.Contains(t, text, `"stream":"eve:user:ada"`)
	for _, part := range []string{issued.Secret, strings.TrimPrefix(issued.Secret, token.Prefix), issued.Secret[len(token.Prefix) : len(token.Prefix)+20]} {
		require.NotContains(t, text, part)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", issued, issued, issued), part)
	}
	var events string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT string_agg(data::text, ' ') FROM command.outbox`).Scan(&events))
	require.NotContains(t, events, "hash")
}

func TestATokenThatIsGoodNoMoreIsRefused(t *testing.T) {
	r := newRig(t)
	issued := r.issue(ada, access.NewToken{UserID: "ada", Lifetime: time.Hour})
	for _, wrong := range []string{"", "x", issued.Secret[1:], issued.Secret + "A", strings.ToLower(issued.Secret), issued.Secret[:len(issued.Secret)-1] + "B"} {
		r.refused(wrong)
	}
	other := r.issue(ada, access.NewToken{UserID: "ada", Lifetime: time.Hour})
	r.holds(issued.Secret)
	revoked, err := r.Revoke(t.Context(), ada, issued.TokenID)
	require.NoError(t, err)
	require.True(t, revoked.Changed)
	require.Equal(t, int64(3), revoked.Version)
	r.refused(issued.Secret)
	revoked, err = r.Revoke(t.Context(), ada, issued.TokenID)
	require.NoError(t, err)
	require.False(t, revoked.Changed)

	r.users["ada"] = access.Grants{}
	r.refused(other.Secret)
	r.users["ada"] = member
	r.holds(other.Secret)
	r.now = r.now.Add(time.Hour)
	r.refused(other.Secret)
}

func TestATokenNeverDoesMoreThanItsIssuerMay(t *testing.T) {
	r := newRig(t)
	root := access.UserPrincipal("root")
	_, err := r.Issue(t.Context(), ada, access.NewToken{Name: "x", UserID: "ada", Scope: []access.Action{access.ActionForgetCharacter}})
	require.Equal(t, event.CodeForbidden, event.CodeOf(err))
	program := r.issue(root, access.NewToken{Scope: []access.Action{access.ActionReadCharacters}})
	forBob := r.issue(root, access.NewToken{UserID: "bob"})
	r.holds(program.Secret)
	p := r.holds(forBob.Secret)
	require.Equal(t, "bob", p.UserID)
	require.False(t, p.Superuser)

	r.users["root"] = member
	r.refused(program.Secret)
	r.refused(forBob.Secret)
	r.users["root"] = access.Grants{Superuser: true}
	r.refused(program.Secret)
}

func TestWhoMayIssueWhat(t *testing.T) {
	r := newRig(t)
	f := func(by access.Principal, wanted access.NewToken, code event.Code, text string) {
		t.Helper()
		if wanted.Name == "" {
			wanted.Name = "x"
		}
		_, err := r.Issue(t.Context(), by, wanted)
		require.Equal(t, code, event.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, text)
	}
	read := []access.Action{access.ActionReadCharacters}
	f(ada, access.NewToken{Scope: read}, event.CodeForbidden, "only superusers")
	f(ada, access.NewToken{UserID: "bob"}, event.CodeForbidden, "only superusers")
	f(ada, access.NewToken{UserID: "ada", Scope: []access.Action{access.ActionImport}}, event.CodeForbidden, "only what its issuer and its user may")
	f(admin, access.NewToken{UserID: "ada", Scope: []access.Action{access.ActionImport}}, event.CodeForbidden, "only what its issuer and its user may")
	f(admin, access.NewToken{UserID: "nobody"}, event.CodeInvalid, `no user "nobody"`)
	f(admin, access.NewToken{UserID: "zed"}, event.CodeInvalid, "not active")
	f(admin, access.NewToken{}, event.CodeInvalid, "needs a scope")
	f(admin, access.NewToken{UserID: "ada", Scope: []access.Action{}}, event.CodeInvalid, "names no action")
	f(admin, access.NewToken{Scope: []access.Action{"fly"}}, event.CodeInvalid, `no action "fly"`)
	f(admin, access.NewToken{Scope: append(read, read...)}, event.CodeInvalid, "twice")
	f(admin, access.NewToken{Name: " ", Scope: read}, event.CodeInvalid, "needs a name")
	f(admin, access.NewToken{Name: strings.Repeat("x", 101), Scope: read}, event.CodeInvalid, "101 bytes")
	f(admin, access.NewToken{Scope: read, Lifetime: access.MaxTokenLifetime + 1}, event.CodeInvalid, "within 366 days")
	f(admin, access.NewToken{Scope: read, Lifetime: -1}, event.CodeInvalid, "within 366 days")
	var n int
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM ingest.api_token`).Scan(&n))
	require.Zero(t, n)
}

func TestEverybodyKnowsOfHisOwnTokensAndSuperusersOfAll(t *testing.T) {
	r := newRig(t)
	program := r.issue(admin, access.NewToken{Scope: []access.Action{access.ActionExport, access.ActionManageTokens}})
	adas := r.issue(ada, access.NewToken{UserID: "ada"})
	bobs := r.issue(access.UserPrincipal("bob"), access.NewToken{UserID: "bob", Scope: []access.Action{access.ActionReadCharacters}})
	list := func(by access.Principal, after uuid.UUID, limit int, want ...token.Issued) {
		t.Helper()
		found, err := r.List(t.Context(), by, after, limit)
		require.NoError(t, err)
		var ids, wanted []uuid.UUID
		for i, one := range found {
			ids, wanted = append(ids, one.TokenID), append(wanted, want[i].TokenID)
		}
		require.Equal(t, wanted, ids)
		require.Len(t, found, len(want))
	}
	list(ada, uuid.Nil, 10, adas)
	list(access.UserPrincipal("bob"), uuid.Nil, 10, bobs)
	for _, all := range []access.Principal{admin, access.UserPrincipal("root"), r.holds(program.Secret)} {
		list(all, uuid.Nil, 10, bobs, adas, program)
		list(all, uuid.Nil, 2, bobs, adas)
		list(all, adas.TokenID, 2, program)
	}
	for _, id := range []uuid.UUID{bobs.TokenID, program.TokenID, uuid.New()} {
		_, err := r.Revoke(t.Context(), ada, id)
		require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	}
	_, err := r.Revoke(t.Context(), admin, bobs.TokenID)
	require.NoError(t, err)
	found, err := r.List(t.Context(), admin, uuid.Nil, 1)
	require.NoError(t, err)
	require.Equal(t, bobs.TokenIssued, found[0].TokenIssued, "as it was issued")
	require.Equal(t, "token:admin", found[0].RevokedBy)
	require.Equal(t, r.now, *found[0].RevokedAt)
}

func TestTokensThatAreGoodAreCounted(t *testing.T) {
	r := newRig(t)
	for range 100 {
		r.issue(ada, access.NewToken{UserID: "ada", Lifetime: time.Hour})
	}
	_, err := r.Issue(t.Context(), ada, access.NewToken{Name: "one too many", UserID: "ada"})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "revoke some first")
	r.issue(admin, access.NewToken{UserID: "bob"})
	r.now = r.now.Add(time.Hour)
	r.issue(ada, access.NewToken{UserID: "ada"})
}

func TestATokenMayEndItself(t *testing.T) {
	r := newRig(t)
	issued := r.issue(ada, access.NewToken{UserID: "ada"})
	_, err := r.Revoke(t.Context(), r.holds(issued.Secret), issued.TokenID)
	require.NoError(t, err)
	r.refused(issued.Secret)
	require.Contains(t, r.written(), `"revoked_by":"user:ada/token:`+issued.TokenID.String()+`"`)
}

func TestUseIsNotedToTheMinute(t *testing.T) {
	r := newRig(t)
	secret, first := r.issue(ada, access.NewToken{UserID: "ada"}).Secret, r.now
	used := func() *time.Time {
		found, err := r.List(t.Context(), ada, uuid.Nil, 1)
		require.NoError(t, err)
		return found[0].LastUsedAt
	}
	require.Nil(t, used())
	r.holds(secret)
	require.Equal(t, first, *used())
	r.now = first.Add(59 * time.Second)
	r.holds(secret)
	require.Equal(t, first, *used())
	r.now = first.Add(time.Minute)
	r.holds(secret)
	require.Equal(t, r.now, *used())
}

func TestTokensAreFoundByTheirForm(t *testing.T) {
	r := newRig(t)
	secret := r.issue(ada, access.NewToken{UserID: "ada"}).Secret
	require.Regexp(t, `^muster_tok_[A-Z2-7]{59}$`, secret)
	require.True(t, token.WellFormed(secret))
	rapid.Check(t, func(t *rapid.T) {
		// One character that is another one is noticed, whichever it is.
		i := rapid.IntRange(0, len(secret)-1).Draw(t, "place")
		c := rapid.SampledFrom([]byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")).Draw(t, "character")
		if changed := secret[:i] + string(c) + secret[i+1:]; changed != secret {
			require.False(t, token.WellFormed(changed), changed)
		}
	})
}

func FuzzWellFormed(f *testing.F) {
	f.Add("muster_tok_")
	f.Add("muster_tok_" + strings.Repeat("A", 59))
	f.Fuzz(func(t *testing.T, text string) {
		if token.WellFormed(text) {
			require.Regexp(t, `^muster_tok_`, text)
			require.False(t, token.WellFormed(text+"A"))
		}
	})
}
