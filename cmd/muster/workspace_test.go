package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// accessAnswer is what the API says of a workspace.
const accessAnswer = `{"consortium": "primed", "as_of": "2026-05-01T12:00:00Z", "sweep_id": "7d444840-9dc0-11d1-b245-5ffdce74fad3", "swept_at": "2026-05-01T06:00:00Z",
	"workspace": "bp/ws", "declared": {"authorization_domains": ["dom"], "opaque": [], "project_owners": []},
	"observed": {"authorization_domains": [], "project_owners": ["app@example.com"], "opaque": [{"group": "g9", "reason": "closed to us", "level": "WRITER", "can_share": false, "can_compute": false}]},
	"items": [{"address": "a@example.com", "is_app": false, "is_service_account": false, "account": "active", "agreement": "level_differs",
		"declared": {"address": "a@example.com", "level": "READER", "can_share": false, "can_compute": false, "admission": "barred", "lacks": ["dom"],
			"paths": [{"level": "READER", "can_share": false, "can_compute": false, "through": [{"group": "g1", "role": "MEMBER"}, {"group": "g2", "role": "ADMIN"}]}]},
		"observed": {"address": "a@example.com", "level": "OWNER", "can_share": true, "can_compute": true, "admission": "in", "pending": true,
			"paths": [{"level": "OWNER", "can_share": true, "can_compute": true, "through": []}, {"level": "READER", "can_share": false, "can_compute": false, "through": [{"group": "g1", "role": "MEMBER"}]}]}}]}`

func TestWhoCanComeToAWorkspaceIsPrinted(t *testing.T) {
	show := func(format string) (sent, string) {
		t.Helper()
		asked, stdout, stderr, exit := declaring(t, http.StatusOK, accessAnswer, "workspace", "access", "--consortium", "a b", "bp/w s", "--as-of", "2026-05-01T14:00:00+02:00", "--output", format)
		require.Equal(t, exitOK, exit, stderr)
		require.Len(t, asked, 1)
		return asked[0], stdout
	}
	asked, stdout := show("json")
	require.Equal(t, "/v1/anvil/a%20b/workspaces/bp/w%20s/access", asked.path)
	require.Equal(t, url.Values{"as_of": {"2026-05-01T12:00:00Z"}, "side": {"both"}, "limit": {"1000"}}, asked.query)
	require.JSONEq(t, accessAnswer, stdout)
	_, stdout = show("csv")
	require.Equal(t, "address,account,agreement,declared,declared ways,observed,observed ways\n"+
		"a@example.com,active,level_differs,\"READER, barred: dom\",READER g1 (MEMBER) > g2 (ADMIN),\"OWNER, share, compute, pending\",OWNER directly; READER g1 (MEMBER)\n", stdout)
	_, stdout = show("table")
	for _, want := range []string{
		"OWNER directly, +1\n", "as of 2026-05-01T12:00:00Z; AnVIL was last asked at 2026-05-01T06:00:00Z, sweep 7d444840", "group g9 is opaque, others in it have WRITER: closed to us",
		"app@example.com owns the billing project", "no access list names them",
	} {
		require.Contains(t, stdout, want)
	}
}

func TestTheWorkspacesOfAnAddressArePrinted(t *testing.T) {
	const answer = `{"consortium": "primed", "as_of": null, "sweep_id": null, "swept_at": null, "address": "a@example.com", "is_app": false, "is_service_account": false, "account": "active",
		"items": [{"workspace": "bp/ws", "agreement": "unknown", "declared_side": {"authorization_domains": [], "opaque": [], "project_owners": []},
			"observed_side": {"unknown": "the access list: status 403", "authorization_domains": [], "opaque": [], "project_owners": []}}]}`
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, "workspace", "of", "--consortium", "primed", "A@example.com", "--side", "declared")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/anvil/primed/accounts/A@example.com/access", asked[0].path)
	require.Equal(t, "declared", asked[0].query.Get("side"))
	require.Regexp(t, `(?s)^WORKSPACE .*bp/ws +unknown +the access list: status 403\nnow; AnVIL had not been asked\n$`, stdout)
}

func TestAllPagesOfAccessAreRead(t *testing.T) {
	var cursors []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cursor := r.URL.Query().Get("cursor")
		cursors = append(cursors, cursor)
		if cursor == "" {
			_, _ = io.WriteString(w, `{"items": [{"address": "a@example.com"}], "next_cursor": "more"}`)
			return
		}
		_, _ = io.WriteString(w, `{"items": [{"address": "b@example.com"}]}`)
	}))
	defer server.Close()
	var out, errs strings.Builder
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	exit := p.run(t.Context(), []string{"workspace", "access", "--consortium", "primed", "bp/ws", "--output", "csv", "--url", server.URL, "--token", "x"})
	require.Equal(t, exitOK, exit, errs.String())
	require.Equal(t, []string{"", "more"}, cursors)
	require.Equal(t, 3, strings.Count(out.String(), "\n"))
}

func TestAnAuditIsAskedForAsOfAMoment(t *testing.T) {
	asked, _, stderr, exit := declaring(t, http.StatusOK, `{"ok": true, "result": {}}`, "audit", "--consortium", "primed", "--as-of", "2026-05-01T12:00:00Z")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, url.Values{"as_of": {"2026-05-01T12:00:00Z"}}, asked[0].query)
}

func TestMomentsAndWorkspacesThatCannotBeReadAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"audit --consortium primed --as-of yesterday":                   "write a time such as",
		"audit --as-of 2026-05-01T12:00:00Z":                            "--as-of needs --consortium",
		"workspace access --consortium primed ws":                       "BILLING-PROJECT/NAME",
		"workspace access --consortium primed bp/ws --as-of 2026-05-01": "write a time such as",
		"workspace access --consortium primed bp/ws --side left":        `must be one of "declared","observed","both"`,
		"workspace of a@example.com":                                    "missing flags: --consortium=NAME",
	} {
		asked, _, stderr, exit := declaring(t, http.StatusOK, `{}`, strings.Fields(args)...)
		require.Equal(t, exitError, exit, args)
		require.Contains(t, stderr, want, args)
		require.Empty(t, asked, args)
	}
}

func TestAccessOverTimeIsPrinted(t *testing.T) {
	const answer = `{"consortium": "primed", "from": null, "to": "2026-05-01T12:00:00Z", "sweep_id": null, "swept_at": null, "items": [{"at": "2026-05-01T09:00:00Z", "workspace": "bp/ws", "address": "a@example.com",
		"side": "declared", "change": "lost", "before": {"reach": "yes", "level": "READER", "can_share": false, "can_compute": true, "admission": "in"}, "after": {"reach": "no", "level": "", "can_share": false, "can_compute": false},
		"events": 1, "causes": [{"event_id": "7d444840-9dc0-11d1-b245-5ffdce74fad3", "topic": "muster.anvil.v1", "partition": 0, "offset": 7, "type": "muster.anvil.accountmembership.withdrawn.v1", "actor": "user:ada"}]}]}`
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, "workspace", "history", "--consortium", "a b", "--workspace", "bp/w s", "--from", "2026-05-01T14:00:00+02:00", "--to", "2026-05-02T00:00:00Z", "--side", "declared", "--output", "csv")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/anvil/a%20b/workspaces/bp/w%20s/access/history", asked[0].path)
	require.Equal(t, url.Values{"from": {"2026-05-01T12:00:00Z"}, "to": {"2026-05-02T00:00:00Z"}, "side": {"declared"}, "limit": {"1000"}}, asked[0].query)
	require.Equal(t, "at,workspace,address,side,change,before,after,events,first event,by\n"+
		"2026-05-01T09:00:00Z,bp/ws,a@example.com,declared,lost,\"yes, READER, compute\",no,1,muster.anvil.accountmembership.withdrawn.v1 7d444840-9dc0-11d1-b245-5ffdce74fad3,user:ada\n", stdout)
	asked, _, stderr, exit = declaring(t, http.StatusOK, answer, "workspace", "history", "--consortium", "primed", "--address", "A@example.com")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/anvil/primed/accounts/A@example.com/access/history", asked[0].path)
	require.NotEmpty(t, asked[0].query.Get("to"), "all pages are about one span")
	for want, args := range map[string][]string{
		"BILLING-PROJECT/NAME": {"--workspace", "ws"}, "--from": {"--address", "a@example.com", "--from", "yesterday"}, "missing flags": {}, "can't be used together": {"--address", "a", "--workspace", "b/c"},
	} {
		asked, _, stderr, exit := declaring(t, http.StatusOK, answer, append([]string{"workspace", "history", "--consortium", "primed"}, args...)...)
		require.NotEqual(t, exitOK, exit)
		require.Empty(t, asked)
		require.Contains(t, stderr, want)
	}
}
