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
			} else if !slices.Contains(scope, action) {
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

// somebody is any principal who may issue tokens, and what he is beside it.
func somebody(t *rapid.T) access.Issuer {
	superuser := rapid.Bool().Draw(t, "superuser")
	if rapid.Bool().Draw(t, "administrator") {
		return access.Issuer{Principal: access.Principal{ID: "token:admin", Superuser: true}, Superuser: true}
	}
	return access.Issuer{Principal: access.UserPrincipal(rapid.SampledFrom([]string{"ada", "bob"}).Draw(t, "issuer")), Superuser: superuser}
}

func TestATokenNeverDoesMoreThanItsIssuerAndItsUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		by := somebody(t)
		wanted := access.NewToken{Name: "x", Lifetime: time.Hour, UserID: rapid.SampledFrom([]string{"", "ada", "bob"}).Draw(t, "user")}
		if rapid.Bool().Draw(t, "bounded") {
			wanted.Scope = rapid.SliceOfNDistinct(rapid.SampledFrom(access.Actions()), 1, 4, rapid.ID[access.Action]).Draw(t, "scope")
		}
		if access.DecideToken(by, wanted) != nil {
			return
		}
		issued := access.TokenIssued{TokenID: tokenID, UserID: wanted.UserID, Scope: wanted.Scope, IssuedBy: by.ID, IssuedByUser: by.UserID}
		// Whatever its issuer may do by then.
		issuer := by.Principal
		if rapid.Bool().Draw(t, "bounded since") {
			issuer.Scope = rapid.SliceOf(rapid.SampledFrom(access.Actions())).Draw(t, "issuer's scope")
		}
		holder := access.TokenPrincipal(issued, issuer)
		require.Equal(t, wanted.UserID, holder.UserID)
		require.False(t, holder.Superuser)
		require.NotEmpty(t, holder.TokenID)
		for _, action := range access.Actions() {
			if action == access.ActionReadSelf || access.Authorize(holder, action) != nil {
				continue
			}
			require.NoError(t, access.Authorize(by.Principal, action), "more than its issuer")
			if wanted.UserID != "" {
				require.NoError(t, access.Authorize(access.UserPrincipal(wanted.UserID), action), "more than its user")
			}
			if wanted.Scope != nil {
				require.Contains(t, wanted.Scope, action)
				require.NoError(t, access.Authorize(issuer, action), "more than its issuer now")
			}
		}
		require.Error(t, access.DecideToken(access.Issuer{Principal: holder, Superuser: true}, wanted), "a token issues none")
	})
}

func TestTokensForOthersAndForProgramsAreSuperusersToGive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		by := somebody(t)
		wanted := access.NewToken{Name: "x", Lifetime: time.Hour, UserID: rapid.SampledFrom([]string{"", "ada", "bob"}).Draw(t, "user"), Scope: []access.Action{access.ActionReadCharacters}}
		err := access.DecideToken(by, wanted)
		if by.Superuser || wanted.UserID == by.UserID {
			require.NoError(t, err)
		} else {
			require.Equal(t, event.CodeForbidden, event.CodeOf(err))
		}
	})
}
