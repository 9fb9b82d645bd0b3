package access_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

func TestALinkShowsItsSections(t *testing.T) {
	all, some := access.Link{CharacterID: 1}, access.Link{CharacterID: 1, Sections: []string{"wallet"}}
	outside := access.Link{CharacterID: 1, Sections: []string{"details"}}
	require.True(t, all.Shows(1, "mails"))
	require.True(t, all.Shows(1, "character"))
	require.False(t, all.Shows(2, "mails"))
	require.True(t, some.Shows(1, "wallet"))
	require.False(t, some.Shows(1, "wallet-journal"))
	require.False(t, some.Shows(1, "character"))
	require.True(t, outside.Shows(1, "character"), "what a character is goes with its details")
}

func TestWhoComesByALinkReadsCharactersAndNothingElse(t *testing.T) {
	// Also one who would be a superuser.
	by := access.Principal{ID: "link:x", Superuser: true, UserID: "u", Link: &access.Link{CharacterID: 1}}
	for _, action := range access.Actions() {
		if action == access.ActionReadCharacters {
			require.NoError(t, access.Authorize(by, action))
			continue
		}
		require.Equal(t, event.CodeForbidden, event.CodeOf(access.Authorize(by, action)), action)
	}
}

// holder knows the tokens that begin with its name.
type holder struct {
	name string
	err  error
}

func (h holder) Authenticate(_ context.Context, token string) (access.Principal, error) {
	if h.err != nil {
		return access.Principal{}, h.err
	}
	if !strings.HasPrefix(token, h.name) {
		return access.Principal{}, event.Errorf(event.CodeUnauthenticated, "%s does not know it", h.name)
	}
	return access.Principal{ID: h.name}, nil
}

func TestTheFirstWhoKnowsATokenAnswers(t *testing.T) {
	both := access.Authenticators{holder{name: "a"}, holder{name: "b"}}
	for _, token := range []string{"a", "b"} {
		p, err := both.Authenticate(t.Context(), token+"-token")
		require.NoError(t, err)
		require.Equal(t, token, p.ID)
	}
	_, err := both.Authenticate(t.Context(), "c")
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
	require.ErrorContains(t, err, "b does not know it")
	_, err = access.Authenticators{}.Authenticate(t.Context(), "c")
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))

	away := access.Authenticators{holder{name: "a", err: event.Errorf(event.CodeUnavailable, "away")}, holder{name: "b"}}
	_, err = away.Authenticate(t.Context(), "b")
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "who cannot say is not passed over")
}

func TestTheNarrowestWayIsTold(t *testing.T) {
	home := access.Home{CorporationID: 2, AllianceID: 3}
	shared := access.Subject{Owner: "ada", Home: home, Shared: true}
	f := func(v access.View, s access.Subject, want access.Way) {
		t.Helper()
		require.Equal(t, want, v.Way(s))
	}
	f(access.View{Owner: "ada", Shared: true}, shared, access.ByOwnership)
	f(access.View{Everything: true}, shared, access.ByEverything)
	f(access.View{Everything: true}, access.Subject{}, access.ByEverything)
	f(access.View{Owner: "bob", Scope: access.Scope{AllianceID: 3}, Shared: true}, shared, access.ByAlliance)
	f(access.View{Owner: "bob", Scope: access.Scope{CorporationID: 2}, Shared: true}, shared, access.ByCorporation)
	f(access.View{Owner: "bob", Scope: access.Scope{CorporationID: 9}, Shared: true}, shared, access.BySharing)
	f(access.View{Owner: "bob", Scope: access.Scope{CorporationID: 9}}, shared, "")
	f(access.View{Owner: "bob", Shared: true}, access.Subject{Owner: "ada", Home: home}, "")
	f(access.View{Shared: true}, access.Subject{Shared: true}, "")
	f(access.View{}, access.Subject{}, "")
	require.Equal(t, access.BySharing, access.View{Owner: "bob", Shared: true}.Widest())
	require.Equal(t, access.ByOwnership, access.View{Owner: "bob"}.Widest())
	require.Equal(t, access.ByCorporation, access.View{Owner: "bob", Scope: access.Scope{CorporationID: 2}, Shared: true}.Widest())
	require.Equal(t, access.ByAlliance, access.View{Scope: access.Scope{AllianceID: 2}}.Widest())
	require.Equal(t, access.ByEverything, access.View{Everything: true}.Widest())
	require.Empty(t, access.View{}.Widest())
}
