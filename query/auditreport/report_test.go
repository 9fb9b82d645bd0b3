package auditreport_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/query/auditreport"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden files anew")

// rich is a report with one of everything, with texts that mean harm.
func rich() auditreport.Report {
	wrong := func(m anvil.Model, scope, record, kind, expected, observed string) anvil.Discrepancy {
		return anvil.Discrepancy{Model: m, Scope: scope, Record: record, Kind: kind, Expected: expected, Observed: observed}
	}
	return auditreport.Report{
		Subject: "primed", SweptAt: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		Result: &anvil.Result{
			BillingProjects: &anvil.Outcome{Verified: []string{"bp"}, Errors: map[string][]string{}},
			Accounts: &anvil.Outcome{
				Verified: []string{"a@example.com", "b@example.com"}, Errors: map[string][]string{"=cmd|' /C calc'!A0": {anvil.ErrNotInAnVIL}},
				Unknown:       map[string]string{"c@example.com": "status 500: <b>oops</b>"},
				Discrepancies: []anvil.Discrepancy{wrong(anvil.ModelAccounts, "", "=cmd|' /C calc'!A0", anvil.ErrNotInAnVIL, "exists as an account", "no such account")},
			},
			ManagedGroups: &anvil.Outcome{
				Errors: map[string][]string{"readers": {anvil.ErrGroupMembership}, "swapped": {anvil.ErrGroupMembership}}, Verified: []string{"writers"}, NotInApp: []string{"<script>alert(1)</script>"},
				Discrepancies: []anvil.Discrepancy{
					wrong(anvil.ModelManagedGroups, "", "readers", anvil.ErrGroupMembership, "members as declared", "2 findings"),
					wrong(anvil.ModelManagedGroups, "", "<script>alert(1)</script>", anvil.NotInApp, "not declared", "the service account is its admin"),
				},
			},
			Memberships: map[string]*anvil.Outcome{
				"readers": {
					Errors:   map[string][]string{"MEMBER: b@example.com": {anvil.ErrAccountMemberMissing}},
					NotInApp: []string{"ADMIN: mallory@example.com"}, Ignored: []string{"MEMBER: robot@example.com"}, IgnoredUnmatched: []string{"gone@example.com"},
					Verified: []string{"MEMBER: a@example.com"}, Unknown: map[string]string{anvil.Everything: "no answer: time-out"},
					Discrepancies: []anvil.Discrepancy{
						wrong(anvil.ModelMemberships, "readers", "MEMBER: b@example.com", anvil.ErrAccountMemberMissing, "MEMBER", "not in the group"),
						wrong(anvil.ModelMemberships, "readers", "ADMIN: mallory@example.com", anvil.NotInApp, "not declared", "ADMIN\nX-Injected: yes"),
					},
				},
				"writers": {Verified: []string{"ADMIN: a@example.com"}, Ignored: []string{"ADMIN: robot@example.com"}},
				"swapped": {
					Errors: map[string][]string{"MEMBER: a@example.com": {anvil.ErrAccountMemberMissing}}, NotInApp: []string{"ADMIN: a@example.com"},
					Discrepancies: []anvil.Discrepancy{{
						Model: anvil.ModelMemberships, Scope: "swapped", Record: "MEMBER: a@example.com", Kind: anvil.ErrAccountMemberMissing,
						Expected: "MEMBER", Observed: "ADMIN", RoleSwap: true,
					}},
				},
			},
			Workspaces: &anvil.Outcome{
				Verified: []string{"bp/ws"}, Beyond: map[string][]string{"bp/hidden": {anvil.ErrProjectOwner}},
				Discrepancies: []anvil.Discrepancy{{
					Model: anvil.ModelWorkspaces, Record: "bp/hidden", Kind: anvil.ErrProjectOwner, Expected: "not declared", Observed: "access PROJECT_OWNER", Beyond: true,
				}},
			},
			Sharing: map[string]*anvil.Outcome{
				"bp/ws": {
					Errors: map[string][]string{"readers@firecloud.org": {anvil.ErrDifferentAccess, anvil.ErrDifferentCanShare}},
					Discrepancies: []anvil.Discrepancy{
						wrong(anvil.ModelSharing, "bp/ws", "readers@firecloud.org", anvil.ErrDifferentAccess, "READER", "WRITER"),
						wrong(anvil.ModelSharing, "bp/ws", "readers@firecloud.org", anvil.ErrDifferentCanShare, "may not share", "may share"),
					},
				},
			},
		},
	}
}

// aborted is the report of an audit that the peer would have no result of.
func aborted() auditreport.Report {
	return auditreport.Report{Subject: "declared.yaml", Compat: true, Result: &anvil.Result{
		Accounts:      &anvil.Outcome{Aborted: "AnVILAPIError500: <down>"},
		ManagedGroups: &anvil.Outcome{Verified: []string{"g"}}, Memberships: map[string]*anvil.Outcome{"g": {Verified: []string{"MEMBER: a@example.com"}}},
	}}
}

func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *writeGolden {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "if this is meant, write it anew with -write-golden and read the difference")
}

func TestReportsLookAsTheyDid(t *testing.T) {
	for name, report := range map[string]auditreport.Report{"rich": rich(), "aborted": aborted()} {
		var page, lines bytes.Buffer
		require.NoError(t, report.HTML(&page))
		require.NoError(t, report.CSV(&lines))
		requireGolden(t, name+".html", page.String())
		requireGolden(t, name+".csv", lines.String())
		mails, err := report.Mails()
		require.NoError(t, err)
		for _, m := range mails {
			requireGolden(t, name+"_"+string(m.Model)+".txt", m.Text)
			requireGolden(t, name+"_"+string(m.Model)+".mail.html", m.HTML)
		}
	}
}

// walk visits all nodes of a page.
func walk(t *testing.T, page string, visit func(*html.Node)) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	for n := range root.Descendants() {
		visit(n)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func TestAPageLoadsNothingAndRunsNothing(t *testing.T) {
	for _, report := range []auditreport.Report{rich(), aborted()} {
		var page bytes.Buffer
		require.NoError(t, report.HTML(&page))
		mails, err := report.Mails()
		require.NoError(t, err)
		texts := []string{page.String()}
		for _, m := range mails {
			texts = append(texts, m.HTML)
		}
		for _, text := range texts {
			walk(t, text, func(n *html.Node) {
				require.NotContains(t, []atom.Atom{atom.Script, atom.Img, atom.Link, atom.Iframe, atom.Object, atom.B}, n.DataAtom, "%v", n.Attr)
				for _, a := range n.Attr {
					require.False(t, strings.HasPrefix(a.Key, "on") || a.Key == "src", "%v", n.Attr)
					if a.Key == "href" {
						require.True(t, strings.HasPrefix(a.Val, "#"), a.Val)
					}
				}
			})
		}
		require.NotContains(t, page.String(), "url(")
		require.NotContains(t, page.String(), "@import")
	}
}

func TestAPageCanBeReadAloud(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, rich().HTML(&page))
	ids, refs, tables := map[string]bool{}, []string{}, 0
	walk(t, page.String(), func(n *html.Node) {
		if id := attribute(n, "id"); id != "" {
			require.False(t, ids[id], "id %s is there twice", id)
			ids[id] = true
		}
		for _, name := range []string{"aria-labelledby", "href"} {
			if ref := attribute(n, name); ref != "" {
				refs = append(refs, strings.TrimPrefix(ref, "#"))
			}
		}
		switch n.DataAtom {
		case atom.Table:
			tables++
			first := n.FirstChild
			for first != nil && first.Type == html.TextNode {
				first = first.NextSibling
			}
			require.Equal(t, atom.Caption, first.DataAtom, "a table says what it is")
		case atom.Th:
			require.Contains(t, []string{"col", "row"}, attribute(n, "scope"))
		case atom.Html:
			require.Equal(t, "en", attribute(n, "lang"))
		}
	})
	require.Greater(t, tables, 5)
	for _, ref := range refs {
		require.True(t, ids[ref], "nothing is named %s", ref)
	}
}

func TestTheRateSaysWhatItIsOf(t *testing.T) {
	total := rich().Total()
	// bp; a, b, one wrong, one unseen; readers, writers and swapped; two of readers, one
	// of writers, one swapped; the workspace and its sharing. What is beyond the declared
	// is not counted, the hidden workspace included.
	require.Equal(t, 14, total.Checked)
	require.Equal(t, 7, total.Verified)
	require.Equal(t, "7 of 14 (50.0 %)", total.Rate())
	require.Equal(t, 1, total.Beyond)
	require.Equal(t, "none to verify", auditreport.Count{}.Rate())
	require.Equal(t, "1999 of 2000 (99.9 %)", auditreport.Count{Checked: 2000, Verified: 1999}.Rate(), "all but one is not all")
	require.Equal(t, "3 of 3 (100.0 %)", auditreport.Count{Checked: 3, Verified: 3}.Rate())
	require.False(t, total.OK())
}

func TestEveryRecordOfAResultHasARow(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, rich().CSV(&out))
	lines, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	seen := map[string]int{}
	for _, line := range lines[1:] {
		seen[line[3]]++
		for _, cell := range line {
			require.False(t, cell != "" && strings.ContainsRune("=+-@", rune(cell[0])), "%q is a formula", cell)
		}
	}
	require.Equal(t, map[string]int{"verified": 7, "error": 7, "not in app": 3, "to question": 1, "ignored": 2, "unmatched ignore": 1, "unknown": 2}, seen)
	require.Contains(t, lines, []string{"workspace_sharing", "bp/ws", "readers@firecloud.org", "error", anvil.ErrDifferentAccess, "READER", "WRITER", "high"})
	require.Contains(t, lines, []string{"managed_group_memberships", "readers", "*", "unknown", "no answer: time-out", "", "", ""})
}

func TestAnErrorWithoutExplanationIsShownAllTheSame(t *testing.T) {
	report := auditreport.Report{Result: &anvil.Result{Accounts: &anvil.Outcome{
		Errors: map[string][]string{"a@example.com": {anvil.ErrNotInAnVIL}}, NotInApp: []string{"x"},
	}}}
	require.Equal(t, []auditreport.Row{
		{Model: anvil.ModelAccounts, Record: "a@example.com", Verdict: auditreport.Wrong, Finding: anvil.ErrNotInAnVIL, Severity: anvil.SeverityMedium},
		{Model: anvil.ModelAccounts, Record: "x", Verdict: auditreport.NotInApp, Finding: anvil.NotInApp, Severity: anvil.SeverityMedium},
	}, report.Rows())
}

func TestEachAuditedModelHasAMailOfItsOwn(t *testing.T) {
	mails, err := rich().Mails()
	require.NoError(t, err)
	subjects := map[string]bool{}
	for _, m := range mails {
		subjects[m.Subject] = m.OK
	}
	require.Equal(t, map[string]bool{
		"AnVIL audit BillingProjectAudit -- ok": true, "AnVIL audit AccountAudit -- errors!": false,
		// The workspace itself is as it should be, and its sharing is not.
		"AnVIL audit ManagedGroupAudit -- errors!": false, "AnVIL audit WorkspaceAudit -- errors!": false,
	}, subjects)
	for _, text := range []string{mails[2].Text, mails[2].HTML} {
		require.Contains(t, text, "1 instance(s) verified.")
		require.Contains(t, text, "Ignoring 2 record(s).", "those that an ignore row covers, and not the rows")
		require.Contains(t, text, "mallory@example.com")
	}
	require.NotContains(t, mails[2].Text, "\nX-Injected", "what is in a value stays in its line")
}

func TestAResultReadFromAnAnswerGivesTheSameReport(t *testing.T) {
	report := rich()
	text, err := json.Marshal(report.Result)
	require.NoError(t, err)
	explained, err := json.Marshal(report.Result.Discrepancies())
	require.NoError(t, err)
	again := report
	again.Result = &anvil.Result{}
	require.NoError(t, json.Unmarshal(text, again.Result))
	var discrepancies []anvil.Discrepancy
	require.NoError(t, json.Unmarshal(explained, &discrepancies))
	again.Result.Explain(discrepancies)
	require.Equal(t, report.Rows(), again.Rows())
	require.Equal(t, report.Counts(), again.Counts())
}
