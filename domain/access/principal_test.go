package access_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

func TestOnlyTheExactTokenAuthenticates(t *testing.T) {
	token := strings.Repeat("k3", 16)
	a, err := access.NewAdminToken(token)
	require.NoError(t, err)

	p, err := a.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.True(t, p.Superuser)
	require.NotContains(t, p.ID, token)

	for _, wrong := range []string{"", token[1:], token + "k", strings.ToUpper(token), " " + token} {
		_, err := a.Authenticate(t.Context(), wrong)
		require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err), "%q", wrong)
		require.NotContains(t, err.Error(), token)
	}
}

func TestShortTokensAreRefusedWithoutShowingThem(t *testing.T) {
	_, err := access.NewAdminToken("hunter2")
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.NotContains(t, err.Error(), "hunter2")
}

func TestProgramsMayDoEverythingOrNothing(t *testing.T) {
	for _, action := range access.Actions() {
		require.NoError(t, access.Authorize(access.Principal{ID: "token:admin", Superuser: true}, action))
		for _, p := range []access.Principal{{ID: "user:ada", UserID: "ada"}, {ID: "user:root", UserID: "root", Superuser: true}, {ID: "token:x"}} {
			if action == access.ActionReadSelf {
				require.NoError(t, access.Authorize(p, action), "who somebody is is no secret from himself")
				continue
			}
			require.Equal(t, event.CodeForbidden, event.CodeOf(access.Authorize(p, action)), "a user is asked with what he was given")
		}
		require.Equal(t, event.CodeUnauthenticated, event.CodeOf(access.Authorize(access.Principal{Superuser: true}, action)))
	}
}
