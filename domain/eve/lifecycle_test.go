package eve_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestWhatAClaimComesTo(t *testing.T) {
	claim := eve.Claim{CharacterID: pilot, Name: "Pilot", UserID: "ada", OwnerHash: "h", Scopes: []string{"s"}}
	claimed := eve.CharacterReclaimed{CharacterID: pilot, UserID: "ada", OwnerHash: "h", Scopes: []string{"s"}}
	f := func(s eve.Standing, want eve.Registration, events ...event.Payload) {
		t.Helper()
		got, came, err := eve.DecideRegistration(s, claim)
		require.NoError(t, err)
		require.Equal(t, want, came)
		require.Equal(t, events, got)
	}
	orphaned := func(reason string) event.Payload {
		return eve.CharacterOrphaned{CharacterID: pilot, Reason: reason}
	}

	f(eve.Standing{}, eve.RegisteredNew, eve.CharacterRegistered{CharacterID: pilot, Name: "Pilot", UserID: "ada", OwnerHash: "h", Scopes: []string{"s"}})
	f(eve.Standing{Known: true, UserID: "ada", OwnerHash: "h"}, eve.RegisteredAgain, claimed)
	f(eve.Standing{Known: true, UserID: "ada"}, eve.RegisteredAgain, claimed)
	f(eve.Standing{Known: true, UserID: "ada", OwnerHash: "h", Disabled: true}, eve.RegisteredAgain, claimed)
	f(eve.Standing{Known: true}, eve.RegisteredOrphan, claimed)
	f(eve.Standing{Known: true, OwnerHash: "other"}, eve.RegisteredOrphan, claimed)
	f(eve.Standing{Known: true, UserID: "bob", OwnerHash: "other"}, eve.RegisteredTransfer, orphaned(eve.ReasonOwnerHash), claimed)
	f(eve.Standing{Known: true, UserID: "ada", OwnerHash: "other"}, eve.RegisteredTransfer, orphaned(eve.ReasonOwnerHash), claimed)
	f(eve.Standing{Known: true, UserID: "bob", OwnerHash: "h"}, eve.RegisteredTransfer, orphaned(eve.ReasonOtherUser), claimed)
	f(eve.Standing{Known: true, UserID: "bob"}, eve.RegisteredTransfer, orphaned(eve.ReasonOtherUser), claimed)
}

func TestAClaimThatProvesNothingIsRefused(t *testing.T) {
	for want, claim := range map[string]eve.Claim{
		"both must be named": {CharacterID: pilot, OwnerHash: "h"},
		"character 0":        {UserID: "ada", OwnerHash: "h"},
		"names no owner":     {CharacterID: pilot, UserID: "ada"},
	} {
		_, _, err := eve.DecideRegistration(eve.Standing{}, claim)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
	}
}

func TestDecisionsAboutACharacter(t *testing.T) {
	owned, orphan := eve.Standing{Known: true, UserID: "ada"}, eve.Standing{Known: true}
	off := eve.Standing{Known: true, UserID: "ada", Disabled: true}
	type decide = func(eve.Standing, int64, string) ([]event.Payload, error)
	f := func(d decide, s eve.Standing, events ...event.Payload) {
		t.Helper()
		got, err := d(s, pilot, " asked for ")
		require.NoError(t, err)
		require.Equal(t, events, got)
	}
	const reason = "asked for"
	f(eve.DecideDisable, owned, eve.CharacterDisabled{CharacterID: pilot, Reason: reason})
	f(eve.DecideDisable, orphan, eve.CharacterDisabled{CharacterID: pilot, Reason: reason})
	f(eve.DecideDisable, off)
	f(eve.DecideEnable, off, eve.CharacterEnabled{CharacterID: pilot, Reason: reason})
	f(eve.DecideEnable, owned)
	f(eve.DecideRemove, owned, eve.CharacterOrphaned{CharacterID: pilot, Reason: reason})
	f(eve.DecideRemove, off, eve.CharacterOrphaned{CharacterID: pilot, Reason: reason})
	f(eve.DecideRemove, orphan)
	f(eve.DecideForget, owned, eve.CharacterForgotten{CharacterID: pilot, Reason: reason})
	f(eve.DecideForget, orphan, eve.CharacterForgotten{CharacterID: pilot, Reason: reason})

	for name, d := range map[string]decide{"disable": eve.DecideDisable, "enable": eve.DecideEnable, "remove": eve.DecideRemove, "forget": eve.DecideForget} {
		_, err := d(eve.Standing{}, pilot, reason)
		require.Equal(t, event.CodeNotFound, event.CodeOf(err), name)
	}
	for name, d := range map[string]decide{"disabling": eve.DecideDisable, "removing": eve.DecideRemove, "forgetting": eve.DecideForget} {
		for want, reason := range map[string]string{"needs a reason": " \n", "say it in short": strings.Repeat("x", 2001)} {
			_, err := d(owned, pilot, reason)
			require.Equal(t, event.CodeInvalid, event.CodeOf(err), name)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, name)
		}
	}
	_, err := eve.DecideEnable(off, pilot, "")
	require.NoError(t, err, "enabling needs no reason")
}

func TestOnlyWhatIsSyncedIsRead(t *testing.T) {
	f := func(s eve.Standing, code event.Code) {
		t.Helper()
		require.Equal(t, code, event.CodeOf(eve.CheckSynced(s, pilot)))
	}
	require.NoError(t, eve.CheckSynced(eve.Standing{Known: true, UserID: "ada"}, pilot))
	f(eve.Standing{}, event.CodeNotFound)
	f(eve.Standing{Known: true}, event.CodeConflict)
	f(eve.Standing{Known: true, Disabled: true, UserID: "ada"}, event.CodeConflict)
}

// standingOf is the standing that the model of all events comes to.
func standingOf(m *eve.Model) eve.Standing {
	c := m.Character(pilot)
	if c == nil || !c.Registered {
		return eve.Standing{}
	}
	return eve.Standing{Known: true, UserID: c.UserID, OwnerHash: c.OwnerHash, Disabled: c.Disabled}
}

// TestLifecyclesFollowTheirModel runs any commands in any order: what the fold of
// the decided events says is what the plain model of the rules says.
func TestLifecyclesFollowTheirModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fold := eve.NewModel()
		// The rules in words of their own: who owns it, with which hash, and whether
		// it is off.
		var known, off bool
		var owner, hash string
		apply := func(events []event.Payload) {
			for _, p := range events {
				e, err := event.New(uuid.New(), event.Character(pilot), "test", time.Unix(1, 0), p)
				require.NoError(rt, err)
				require.NoError(rt, fold.Apply(e, p))
			}
		}
		owners := rapid.SampledFrom([]string{"ada", "bob"})
		hashes := rapid.SampledFrom([]string{"h1", "h2"})
		need := func(err error) bool {
			if !known {
				require.Equal(rt, event.CodeNotFound, event.CodeOf(err))
			} else {
				require.NoError(rt, err)
			}
			return known
		}
		rt.Repeat(map[string]func(*rapid.T){
			"register": func(rt *rapid.T) {
				user, proof := owners.Draw(rt, "user"), hashes.Draw(rt, "hash")
				events, came, err := eve.DecideRegistration(standingOf(fold), eve.Claim{CharacterID: pilot, UserID: user, OwnerHash: proof})
				require.NoError(rt, err)
				want := eve.RegisteredAgain
				switch {
				case !known:
					want = eve.RegisteredNew
				case owner == "":
					want = eve.RegisteredOrphan
				case owner != user || hash != proof:
					want = eve.RegisteredTransfer
				}
				require.Equal(rt, want, came)
				apply(events)
				known, owner, hash = true, user, proof
			},
			"disable": func(rt *rapid.T) {
				events, err := eve.DecideDisable(standingOf(fold), pilot, "r")
				if need(err) {
					require.Equal(rt, off, len(events) == 0, "disabling what is disabled changes nothing")
					off = true
				}
				apply(events)
			},
			"enable": func(rt *rapid.T) {
				events, err := eve.DecideEnable(standingOf(fold), pilot, "")
				if need(err) {
					require.Equal(rt, !off, len(events) == 0)
					off = false
				}
				apply(events)
			},
			"remove": func(rt *rapid.T) {
				events, err := eve.DecideRemove(standingOf(fold), pilot, "r")
				if need(err) {
					require.Equal(rt, owner == "", len(events) == 0)
					owner = ""
				}
				apply(events)
			},
			"forget": func(rt *rapid.T) {
				events, err := eve.DecideForget(standingOf(fold), pilot, "r")
				if need(err) {
					known, off, owner, hash = false, false, "", ""
				}
				apply(events)
			},
			"": func(rt *rapid.T) {
				s := standingOf(fold)
				require.Equal(rt, known, s.Known)
				require.Equal(rt, owner, s.UserID)
				require.Equal(rt, known && off, s.Disabled)
				synced := known && owner != "" && !off
				require.Equal(rt, synced, eve.CheckSynced(s, pilot) == nil)
			},
		})
	})
}
