package access_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

var tokenID = uuid.MustParse("0192f0c1-2f0a-7e11-8c55-0d4b6f2d9a01")

func TestAScopeBoundsWhoeverHoldsTheToken(t *testing.T) {
	scope := []access.Action{access.ActionReadCharacters, access.ActionExport}
	for _, p := range []access.Principal{
		{ID: "token:admin", Superuser: true, Scope: scope},
		{ID: "token:x", TokenID: "x", Scope: scope},
		{ID: "user:ada/token:x", UserID: "ada", TokenID: "x", Scope: scope},
	} {
		for _, action := range access.Actions() {
			err := access.Authorize(p, action)
			if action == access.ActionReadSelf {
				require.NoError(t, err)
			} else if !slices.Contains(scope, action) && p.UserID == "" {
				require.Equal(t, event.CodeForbidden, event.CodeOf(err), "%s %s", p.ID, action)
				require.ErrorContains(t, err, "its token is not for that")
			}
		}
	}
	require.NoError(t, access.Authorize(access.Principal{ID: "token:x", TokenID: "x", Scope: scope}, access.ActionExport))
	require.Error(t, access.Authorize(access.Principal{ID: "user:ada/token:x", UserID: "ada", TokenID: "x", Scope: scope}, access.ActionExport), "a scope gives a user nothing")
	require.Error(t, access.Authorize(access.Principal{ID: "token:x", TokenID: "x"}, access.ActionExport), "a program without a scope may do nothing")
	require.Error(t, access.Authorize(access.Principal{ID: "token:admin", Superuser: true, Scope: []access.Action{}}, access.ActionExport))
}

// somebody is anybody who may issue tokens.
func somebody(t *rapid.T) access.Actor {
	if rapid.Bool().Draw(t, "administrator") {
		return access.Actor{Principal: access.Principal{ID: "token:admin", Superuser: true}}
	}
	return access.Actor{Principal: access.UserPrincipal(rapid.SampledFrom([]string{"ada", "bob"}).Draw(t, "issuer")), Grants: grants(t)}
}

func grants(t *rapid.T) access.Grants {
	g := access.Grants{Superuser: rapid.Bool().Draw(t, "superuser"), Active: rapid.Bool().Draw(t, "active")}
	for _, p := range rapid.SliceOf(rapid.SampledFrom(access.Permissions())).Draw(t, "permissions") {
		g.Permissions = append(g.Permissions, string(p))
	}
	return g
}

func TestATokenNeverDoesMoreThanItsIssuerAndItsUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		by := somebody(t)
		wanted := access.NewToken{Name: "x", Lifetime: time.Hour, UserID: rapid.SampledFrom([]string{"", "ada", "bob"}).Draw(t, "user")}
		if rapid.Bool().Draw(t, "bounded") {
			wanted.Scope = rapid.SliceOfNDistinct(rapid.SampledFrom(access.Actions()), 1, 4, rapid.ID[access.Action]).Draw(t, "scope")
		}
		if access.DecideToken(by, wanted, grants(t)) != nil {
			return
		}
		issued := access.TokenIssued{TokenID: tokenID, UserID: wanted.UserID, Scope: wanted.Scope, IssuedBy: by.ID, IssuedByUser: by.UserID}
		// Whatever its issuer and its user may do by then.
		issuer := by
		if by.UserID != "" {
			issuer.Grants = grants(t)
		}
		user := access.Actor{Principal: access.UserPrincipal(wanted.UserID), Grants: grants(t)}
		if wanted.UserID == by.UserID {
			user.Grants = issuer.Grants
		}
		if wanted.UserID != by.UserID && !issuer.Administers() {
			// Such a token is refused altogether.
			return
		}
		holder := access.Actor{Principal: access.TokenPrincipal(issued, issuer)}
		require.Equal(t, wanted.UserID, holder.UserID)
		require.False(t, holder.Superuser)
		require.NotEmpty(t, holder.TokenID)
		if wanted.UserID != "" {
			holder.Grants = user.Grants
		}
		for _, action := range access.Actions() {
			if action == access.ActionReadSelf || holder.May(action) != nil {
				continue
			}
			require.NoError(t, issuer.May(action), "more than its issuer now")
			if wanted.UserID != "" {
				require.NoError(t, user.May(action), "more than its user")
			}
			if wanted.Scope != nil {
				require.Contains(t, wanted.Scope, action)
			}
		}
		holder.Principal.Superuser = true
		require.Error(t, access.DecideToken(holder, wanted, grants(t)), "a token issues none")
	})
}

func TestTokensForOthersAndForProgramsAreSuperusersToGive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		by := somebody(t)
		wanted := access.NewToken{Name: "x", Lifetime: time.Hour, UserID: rapid.SampledFrom([]string{"", "ada", "bob"}).Draw(t, "user"), Scope: []access.Action{access.ActionReadCharacters}}
		user := grants(t)
		err := access.DecideToken(by, wanted, user)
		reads := wanted.UserID == "" || access.AuthorizeUser(access.UserPrincipal(wanted.UserID), user, access.ActionReadCharacters) == nil
		if reads && by.May(access.ActionReadCharacters) == nil && (by.Administers() || wanted.UserID == by.UserID) {
			require.NoError(t, err)
		} else {
			require.Equal(t, event.CodeForbidden, event.CodeOf(err))
		}
	})
}
