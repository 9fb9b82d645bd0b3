package anvil

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
)

// Most of a consortium agrees with its declaration, and every kind of
// disagreement occurs.
func TestTheDeclarationMostlyAgreesWithTheWorld(t *testing.T) {
	s, _ := newSim(t, Config{Seed: 1, Accounts: 400, Groups: 120, Workspaces: 150})
	declaredJSON, err := json.Marshal(s.Declared())
	require.NoError(t, err)
	declared, err := domain.DecodeDeclared(bytes.NewReader(declaredJSON))
	require.NoError(t, err)
	answersJSON, err := json.Marshal(s.Answers())
	require.NoError(t, err)
	answers, err := domain.DecodeAnswers(bytes.NewReader(answersJSON))
	require.NoError(t, err)
	observed, err := domain.ObserveAnswers(answers)
	require.NoError(t, err)

	texts := map[string]int{}
	verified, wrong := 0, 0
	for _, audited := range domain.Audit(declared, observed, domain.Options{Compat: true}).All() {
		require.Empty(t, audited.Outcome.Aborted, "%s %s", audited.Model, audited.Scope)
		verified += len(audited.Outcome.Verified)
		for _, errors := range audited.Outcome.Errors {
			wrong++
			for _, text := range errors {
				texts[text]++
			}
		}
		texts["not in app, "+string(audited.Model)] += len(audited.Outcome.NotInApp)
		texts["ignored, "+string(audited.Model)] += len(audited.Outcome.Ignored)
	}
	t.Log(verified, wrong, texts)
	require.Greater(t, verified, 5*wrong)
	for _, text := range []string{
		"Not in AnVIL", "App has a different role in this group", "Group membership does not match in AnVIL",
		"Account not a member in AnVIL", "Account is deactivated but still has membership records in the app.",
		"Group not a member in AnVIL", "Workspace sharing does not match on AnVIL", "Not shared in AnVIL",
		"Workspace bucket requester_pays status does not match on AnVIL", "Workspace lock status does not match on AnVIL",
		"not in app, managed_groups", "not in app, managed_group_memberships", "ignored, managed_group_memberships",
	} {
		require.Positive(t, texts[text], text)
	}
}
