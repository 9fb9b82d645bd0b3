package api_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

func TestAnAuditCanBeHadAsAPageAndAsATable(t *testing.T) {
	const target = "/v1/anvil/acme/audits?models=ManagedGroup"
	c := newClient(t)
	etags := map[string]bool{}
	for media, begins := range map[string]string{"text/html": "<!DOCTYPE html>", "text/csv": "audit,scope,record,result,", "application/json": `{"consortium":`} {
		a := c.get(target, "Accept", media)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, media, a.Header.Get("Content-Type"))
		require.True(t, strings.HasPrefix(a.text, begins), a.text)
		etag := a.Header.Get("ETag")
		require.False(t, etags[etag], "a page that a client has is no table")
		etags[etag] = true
		require.Equal(t, http.StatusNotModified, c.get(target, "Accept", media, "If-None-Match", etag).StatusCode)
	}
	require.Equal(t, []anvil.Model{anvil.ModelManagedGroups}, c.world.options.Models, "the peer's names are understood")

	// As a browser asks, and as a browser asks for what is no page.
	browser := "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	require.Contains(t, c.get(target, "Accept", browser).text, "AnVIL audit of acme")
	require.Equal(t, "application/json", c.get("/v1/anvil/acme/findings", "Accept", browser).Header.Get("Content-Type"))
	require.Equal(t, "application/json", c.get("/v1/stats", "Accept", browser).Header.Get("Content-Type"))
	require.Equal(t, "text/csv", c.get("/v1/anvil/acme/findings", "Accept", "text/html, text/csv;q=0.5").Header.Get("Content-Type"))

	// Problems are problems.
	c.requireProblem(c.get("/v1/anvil/none/audits", "Accept", "text/html"), http.StatusNotFound, "none")
	c.requireProblem(c.get("/v1/anvil/acme/audits?models=moon", "Accept", "text/html"), http.StatusUnprocessableEntity, "moon")
}

func TestAnAuditExplainsWhatItFound(t *testing.T) {
	c := newClient(t)
	c.world.observed.GroupList = anvil.Reading[[]anvil.GroupRow]{
		Response: anvil.Response{Status: http.StatusOK}, Value: []anvil.GroupRow{{Name: "=h", Email: "h@firecloud.org", Role: "Admin"}},
	}
	var answer struct {
		Discrepancies []map[string]any `json:"discrepancies"`
	}
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/anvil/acme/audits?models=managed_groups").text), &answer))
	require.Contains(t, answer.Discrepancies, map[string]any{
		"model": "managed_groups", "record": "=h", "kind": anvil.NotInApp, "severity": "medium", "expected": "not declared", "observed": "the service account is an admin of it",
		"beyond": false, "role_swap": false, "finding_id": anvil.FindingID(event.Consortium("acme"), anvil.ModelManagedGroups, "", "=h", anvil.NotInApp).String(),
	})
	require.NotContains(t, c.get("/v1/anvil/acme/audits?models=managed_groups&compat=true").text, "finding_id", "in compat mode results are lines, not findings")
	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/anvil/acme/audits?models=managed_groups", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Contains(t, lines, []string{"managed_groups", "", "'=h", "not in app", "not_in_app", "not declared", "the service account is an admin of it", "medium"})
}
