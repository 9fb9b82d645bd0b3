package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
)

// auditFiles are a declaration and AnVIL's answers: the project is there, and of
// two accounts one is not.
func auditFiles(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	declared := write("declared.yaml", `service_account: app@example.com
billing_projects:
  - {name: bp, has_app_as_user: true}
accounts:
  - {email: a@example.com, status: active}
  - {email: b@example.com, status: active}
`)
	observed := write("answers.json", `[
		{"service": "rawls", "method": "GET", "path": "/api/billing/v2/bp", "query": "", "status": 200, "body": {"projectName": "bp", "invalidBillingAccount": false, "roles": ["User"]}},
		{"service": "sam", "method": "GET", "path": "/api/users/v1/a@example.com", "query": "", "status": 200, "body": {"userSubjectId": "1", "googleSubjectId": "2", "userEmail": "a@example.com"}},
		{"service": "sam", "method": "GET", "path": "/api/users/v1/b@example.com", "query": "", "status": 404, "body": {"message": "not found"}}]`)
	return []string{"audit", "--declared", declared, "--observed", observed, "--models", "Account,billing_projects"}
}

// muster runs a command line without anything else.
func muster(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	status = p.run(t.Context(), args)
	return out.String(), errs.String(), status
}

func TestAnAuditOfFilesIsPrintedAsAsked(t *testing.T) {
	args := auditFiles(t)
	stdout, stderr, status := muster(t, args...)
	require.Equal(t, exitFindings, status, stderr)
	require.Regexp(t, `(?m)^billing_projects +ok +1 of 1 \(100\.0 %\)`, stdout)
	require.Regexp(t, `(?m)^accounts +not ok +1 of 2 \(50\.0 %\) +1 `, stdout)
	require.Regexp(t, `(?m)^accounts +b@example\.com +Not in AnVIL +exists as an account +no such account +medium$`, stdout)

	stdout, _, status = muster(t, append(args, "--output", "json")...)
	require.Equal(t, exitFindings, status)
	require.JSONEq(t, `{
		"billing_projects": {"ok": true, "verified": ["bp"], "errors": {}, "not_in_app": [], "ignored": [], "ignored_unmatched": [], "beyond": {}, "unknown": {}},
		"accounts": {"ok": false, "verified": ["a@example.com"], "errors": {"b@example.com": ["Not in AnVIL"]}, "not_in_app": [], "ignored": [], "ignored_unmatched": [], "beyond": {}, "unknown": {}}}`, stdout)

	stdout, _, status = muster(t, append(args, "--output", "csv")...)
	require.Equal(t, exitFindings, status)
	lines, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, [][]string{
		{"audit", "scope", "record", "result", "finding", "expected", "observed", "severity"},
		{"billing_projects", "", "bp", "verified", "", "", "", ""},
		{"accounts", "", "b@example.com", "error", "Not in AnVIL", "exists as an account", "no such account", "medium"},
		{"accounts", "", "a@example.com", "verified", "", "", "", ""},
	}, lines)

	stdout, _, status = muster(t, append(args, "--output", "html")...)
	require.Equal(t, exitFindings, status)
	require.Contains(t, stdout, "AnVIL audit of declared.yaml against answers.json")
	require.Contains(t, stdout, "2 of 3 (66.6 %)")
}

func TestErrorsOnlyPrintsOnlyAuditsThatAreNotOK(t *testing.T) {
	args := append(auditFiles(t), "--errors-only")
	for _, format := range []string{"table", "json", "csv", "html"} {
		stdout, _, status := muster(t, append(args, "--output", format)...)
		require.Equal(t, exitFindings, status)
		require.Contains(t, stdout, "b@example.com", format)
		require.NotContains(t, stdout, "billing_projects", format)
	}
	stdout, _, status := muster(t, append(args, "--models", "BillingProject", "--output", "json")...)
	require.Equal(t, exitFindings, status, "the models add up")
	require.Contains(t, stdout, "accounts")
}

func TestErrorsOnlyIsSilentWhenAllAgrees(t *testing.T) {
	args := auditFiles(t)
	args = append(args[:len(args)-1], "BillingProject", "--errors-only")
	stdout, stderr, status := muster(t, args...)
	require.Equal(t, exitOK, status, stderr)
	require.Empty(t, stdout+stderr)
	stdout, _, status = muster(t, append(args, "--output", "json")...)
	require.Equal(t, exitOK, status)
	require.JSONEq(t, `{}`, stdout)
}

// remoteAudit is what the API says of the same.
const remoteAudit = `{"consortium": "primed", "ok": false, "sweep_id": null, "swept_at": "2026-05-01T12:00:00Z",
	"result": {"managed_groups": {"ok": true, "verified": ["g"], "errors": {}, "not_in_app": [], "ignored": [], "ignored_unmatched": [], "unknown": {}},
		"managed_group_memberships": {"g": {"ok": false, "verified": [], "errors": {}, "not_in_app": ["MEMBER: m@example.com"], "ignored": ["ADMIN: robot@example.com"], "ignored_unmatched": [], "unknown": {}}}},
	"discrepancies": [{"model": "managed_group_memberships", "scope": "g", "record": "MEMBER: m@example.com", "kind": "not_in_app", "expected": "not declared", "observed": "MEMBER", "severity": "high"}]}`

func TestAnAuditOfARunningMusterIsPrintedLikeOneOfFiles(t *testing.T) {
	show := func(args ...string) string {
		asked, stdout, stderr, exit := declaring(t, http.StatusOK, remoteAudit, append([]string{"audit", "--consortium", "primed", "--models", "ManagedGroup"}, args...)...)
		require.Equal(t, exitFindings, exit, stderr)
		require.Equal(t, "/v1/anvil/primed/audits", asked[0].path)
		require.Equal(t, "ManagedGroup", asked[0].query.Get("models"))
		return stdout
	}
	require.Regexp(t, `(?m)^managed_group_memberships g +MEMBER: m@example\.com +not_in_app +not declared +MEMBER +high$`, show())
	require.Contains(t, show("--output", "csv"), "managed_group_memberships,g,MEMBER: m@example.com,not in app,not_in_app,not declared,MEMBER,high")
	require.Contains(t, show("--output", "html"), "2026-05-01T12:00:00Z")
	require.Contains(t, show("--output", "json"), `"ADMIN: robot@example.com"`)
	require.NotContains(t, show("--errors-only"), "managed_groups")
}

// mailbox is a mail server that keeps what it is sent.
type mailbox struct {
	listener net.Listener
	mails    chan string
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &mailbox{listener: listener, mails: make(chan string, 9)}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { b.talk(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	return b
}

// args send e-mail there.
func (b *mailbox) args(t *testing.T) []string {
	t.Helper()
	_, port, err := net.SplitHostPort(b.listener.Addr().String())
	require.NoError(t, err)
	return []string{"--notify-email-host", "127.0.0.1", "--notify-email-port", port, "--notify-email-from", "muster@example.org", "--notify-email-tls", "none"}
}

func (b *mailbox) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewScanner(conn)
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 mailbox")
	var text strings.Builder
	for in.Scan() {
		switch verb, _, _ := strings.Cut(strings.ToUpper(in.Text()), " "); verb {
		case "RCPT":
			text.WriteString(in.Text() + "\n")
			say("250 ok")
		case "DATA":
			say("354 go on")
			for in.Scan() && in.Text() != "." {
				text.WriteString(in.Text() + "\n")
			}
			b.mails <- text.String()
			text.Reset()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func TestEachAuditedModelIsMailed(t *testing.T) {
	b := newMailbox(t)
	args := append(append(auditFiles(t), "--email", "a@example.org", "--email", "b@example.org"), b.args(t)...)
	_, stderr, status := muster(t, args...)
	require.Equal(t, exitFindings, status, stderr)
	require.Len(t, b.mails, 2)
	first, second := <-b.mails, <-b.mails
	require.Contains(t, first, "Subject: AnVIL audit BillingProjectAudit -- ok\n")
	require.Contains(t, first, "1 instance(s) verified.")
	require.Contains(t, second, "Subject: AnVIL audit AccountAudit -- errors!\n")
	for _, part := range []string{"Content-Type: text/plain", "Content-Type: text/html", "TO:<a@example.org>", "TO:<b@example.org>", "b@example.com", "exists as an account"} {
		require.Contains(t, second, part)
	}

	_, _, status = muster(t, append(args, "--errors-only")...)
	require.Equal(t, exitFindings, status)
	require.Len(t, b.mails, 1)
	require.Contains(t, <-b.mails, "AccountAudit -- errors!")

	// The peer would now send to nobody.
	_, _, status = muster(t, append(append(auditFiles(t), "--errors-only"), b.args(t)...)...)
	require.Equal(t, exitFindings, status)
	require.Empty(t, b.mails)
}

func TestTheThresholdOfFindingsIsASeverityOrNone(t *testing.T) {
	for setting, want := range map[string]anvil.Severity{"none": "", "high": anvil.SeverityHigh, "medium": anvil.SeverityMedium, "low": anvil.SeverityLow} {
		got, err := notices{Findings: setting}.threshold()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, stderr, status := muster(t, "ingest", "--notify-findings", "grave")
	require.Equal(t, exitError, status)
	require.Contains(t, stderr, `"none","high","medium","low"`)
}

func TestWhatKeepsResultsFromBeingMailedIsNamed(t *testing.T) {
	for args, want := range map[string]string{
		"--email a@example.org":                                            "MUSTER_NOTIFY_EMAIL_HOST",
		"--email a@example.org --notify-email-host h":                      "MUSTER_NOTIFY_EMAIL_FROM",
		"--email nobody --notify-email-host h --notify-email-from a@b.org": `--email "nobody"`,
	} {
		stdout, stderr, status := muster(t, append(auditFiles(t), strings.Fields(args)...)...)
		require.Equal(t, exitError, status)
		require.Contains(t, stderr, want)
		require.Empty(t, stdout, "it is said before anything is audited")
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	stdout, stderr, status := muster(t, append(auditFiles(t), "--email", "a@example.org", "--notify-email-from", "m@example.org",
		"--notify-email-host", "127.0.0.1", "--notify-email-port", strconv.Itoa(port), "--notify-email-tls", "none")...)
	require.Equal(t, exitError, status)
	require.Contains(t, stderr, "sending an e-mail by 127.0.0.1")
	require.Contains(t, stdout, "b@example.com", "what was found is not lost")

	_, stderr, status = muster(t, append(auditFiles(t), "--models", "Moon")...)
	require.Equal(t, exitError, status)
	require.Contains(t, stderr, "BillingProject")
}
