package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

func TestAnImportAnswersWithItsPlanAndWhatItLeftOut(t *testing.T) {
	c := newClient(t)
	const target = "/v1/anvil/acme/imports"
	a := c.do(http.MethodPost, target+"?dry_run=true&reason=because&with_accounts=true&service_account=sa@example.com&expected_version=3", "")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	three := int64(3)
	require.Equal(t, api.ConsortiumImportInput{
		Actor: "token:admin", Consortium: "acme", Reason: "because", DryRun: true, ExpectedVersion: &three,
		Import: anvil.Import{ServiceAccount: "sa@example.com", WithAccounts: true},
	}, c.world.broughtIn)
	require.Contains(t, a.text, `"dry_run":true`)
	require.Contains(t, a.text, `{"action":"added","kind":"account","name":"a@example.com","after":{`)
	require.Contains(t, a.text, `"left_out":[{"kind":"workspace","name":"bp/ws","cause":"the service account is READER there, no OWNER"}]`)

	a = c.do(http.MethodPost, target, "")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Contains(t, a.text, `"version":6`)
	require.Equal(t, api.ConsortiumImportInput{Actor: "token:admin", Consortium: "acme"}, c.world.broughtIn)
	c.world.shown = false
	require.Equal(t, http.StatusAccepted, c.do(http.MethodPost, target, "").StatusCode)

	c.requireProblem(c.do(http.MethodPost, target+"?service_account="+strings.Repeat("x", 321), ""), http.StatusUnprocessableEntity, "320")
	c.world.err = event.Errorf(event.CodeUnavailable, "neither of AnVIL's lists could be read")
	c.requireProblem(c.do(http.MethodPost, target, ""), http.StatusServiceUnavailable, "neither of AnVIL's lists could be read")
}
