package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plannedAnswer is what the API says of a change of one record.
const plannedAnswer = `{"consortium": "primed", "dry_run": true, "version": 7,
	"changes": [{"action": "added", "kind": "account", "name": "a@example.com", "after": {"email": "a@example.com"}}]}`

// sent is a request that a command has sent.
type sent struct {
	method, path, token, body string
	query                     url.Values
}

// declaring runs a command against an API that gives one answer. It returns
// what was asked, what was printed and the exit status.
func declaring(t *testing.T, status int, answer string, args ...string) (asked []sent, stdout, stderr string, exit int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, sent{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body), r.URL.Query()})
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	exit = p.run(t.Context(), append(args, "--url", server.URL, "--token", "let-me-in"))
	return asked, out.String(), errs.String(), exit
}

func TestRecordsAreDeclaredAndWithdrawnByCommand(t *testing.T) {
	for args, want := range map[string]string{
		"consortium --service-account app@example.com": `{"declare": {"service_account": "app@example.com"}}`,

		"account --email A@example.com":                              `{"declare": {"accounts": [{"email": "A@example.com", "is_service_account": false, "status": "active"}]}}`,
		"account --email a@example.com --inactive --service-account": `{"declare": {"accounts": [{"email": "a@example.com", "is_service_account": true, "status": "inactive"}]}}`,
		"account --email a@example.com --withdraw":                   `{"withdraw": {"accounts": [{"email": "a@example.com", "is_service_account": false, "status": "active"}]}}`,
		"group --name My_Group":                                      `{"declare": {"managed_groups": [{"name": "My_Group", "email": "my_group@firecloud.org", "is_managed_by_app": true}]}}`,
		"group --name g --email G@example.com --unmanaged":           `{"declare": {"managed_groups": [{"name": "g", "email": "G@example.com", "is_managed_by_app": false}]}}`,
		"group --name g --withdraw":                                  `{"withdraw": {"managed_groups": [{"name": "g", "email": "g@firecloud.org", "is_managed_by_app": true}]}}`,
		"membership --group g --account a@example.com":               `{"declare": {"group_account_memberships": [{"group": "g", "account": "a@example.com", "role": "MEMBER"}]}}`,
		"membership --group g --account a@example.com --role ADMIN":  `{"declare": {"group_account_memberships": [{"group": "g", "account": "a@example.com", "role": "ADMIN"}]}}`,
		"membership --group g --account a@example.com --withdraw":    `{"withdraw": {"group_account_memberships": [{"group": "g", "account": "a@example.com", "role": "MEMBER"}]}}`,
		"membership --group g --child h --role=ADMIN":                `{"declare": {"group_group_memberships": [{"parent": "g", "child": "h", "role": "ADMIN"}]}}`,
		"membership --group g --child h --role ADMIN --withdraw":     `{"withdraw": {"group_group_memberships": [{"parent": "g", "child": "h", "role": "ADMIN"}]}}`,
	} {
		t.Run(args, func(t *testing.T) {
			command := append([]string{"declare"}, strings.Fields(args)...)
			asked, stdout, stderr, exit := declaring(t, http.StatusCreated, plannedAnswer, append(command, "--consortium", "a b", "--reason", "it moved")...)
			require.Equal(t, exitOK, exit, stderr)
			require.Len(t, asked, 1)
			require.Equal(t, http.MethodPatch, asked[0].method)
			require.Equal(t, "/v1/anvil/a%20b/declarations", asked[0].path)
			require.Equal(t, "Bearer let-me-in", asked[0].token)
			require.Equal(t, url.Values{"reason": {"it moved"}}, asked[0].query)
			require.JSONEq(t, want, asked[0].body)
			require.Contains(t, stdout, "1 changes applied")
		})
	}
}

func TestAFileIsDeclaredWithOrWithoutItsCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "declared.yaml")
	require.NoError(t, os.WriteFile(file, []byte("service_account: app@example.com\n"), 0o600))
	for _, command := range [][]string{{"declare"}, {"declare", "file"}} {
		asked, stdout, stderr, exit := declaring(t, http.StatusOK, plannedAnswer, append(command, "--consortium", "primed", "-f", file, "--dry-run")...)
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, []sent{{http.MethodPost, "/v1/anvil/primed/declarations", "Bearer let-me-in", "service_account: app@example.com\n", url.Values{"dry_run": {"true"}}}}, asked)
		require.Contains(t, stdout, "1 changes planned, nothing changed")
	}
}

func TestPlansArePrintedAsAsked(t *testing.T) {
	show := func(format string) string {
		_, stdout, stderr, exit := declaring(t, http.StatusOK, plannedAnswer, "declare", "account", "--consortium", "primed", "--email", "a@example.com", "--dry-run", "--output", format)
		require.Equal(t, exitOK, exit, stderr)
		return stdout
	}
	require.JSONEq(t, plannedAnswer, show("json"))
	require.Equal(t, "action,kind,record,before,after\nadded,account,a@example.com,,\"{\"\"email\"\": \"\"a@example.com\"\"}\"\n", show("csv"))
	require.Regexp(t, `(?s)^ACTION .*added +account +a@example.com .*1 changes planned, nothing changed\n$`, show("table"))
}

func TestARefusedDeclarationIsAnError(t *testing.T) {
	_, stdout, stderr, exit := declaring(t, http.StatusConflict, `{"title": "Conflict", "detail": "patch: account \"a\" is not declared", "errors": [{"message": "no", "location": "here"}]}`,
		"declare", "account", "--consortium", "primed", "--email", "a", "--withdraw")
	require.Equal(t, exitError, exit)
	require.Empty(t, stdout)
	require.Equal(t, "muster: patch: account \"a\" is not declared\n  here: no\n", stderr)
}

func TestContradictoryFlagsAreRefusedBeforeAnythingIsAsked(t *testing.T) {
	for args, want := range map[string]string{
		"":                       "missing flags: --consortium=NAME, --file=FILE",
		"account --consortium c": "missing flags: --email=EMAIL",
		"account --consortium c --email a --withdraw --inactive":        "--inactive and --withdraw can't be used together",
		"account --consortium c --email a --withdraw --service-account": "--service-account and --withdraw can't be used together",
		"group --consortium c --name g --withdraw --unmanaged":          "--unmanaged and --withdraw can't be used together",
		"membership --consortium c --group g":                           "missing flags: --account=EMAIL or --child=GROUP",
		"membership --consortium c --group g --account a --child h":     "--account and --child can't be used together",
		"membership --consortium c --group g --account a --role OWNER":  `must be one of "MEMBER","ADMIN"`,
		"--consortium c account --email a":                              `flag --consortium applies to the default command "file", not "account"`,
	} {
		asked, _, stderr, exit := declaring(t, http.StatusCreated, plannedAnswer, append([]string{"declare"}, strings.Fields(args)...)...)
		require.Equal(t, exitError, exit, args)
		require.Contains(t, stderr, want, args)
		require.Empty(t, asked, args)
	}
}
