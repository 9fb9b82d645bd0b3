package anvil_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

const declaredYAML = `# who may do what
service_account: App@example.com
billing_projects:
  - name: bp
    has_app_as_user: false
accounts:
  - {email: A.B@Example.com, is_service_account: true, status: inactive}
  - email: c@example.com
managed_groups:
  - name: readers
    email: Readers@firecloud.org
  - name: partners
    email: partners@firecloud.org
    is_managed_by_app: false
group_group_memberships:
  - {parent: readers, child: partners}
group_account_memberships:
  - {group: readers, account: A.B@Example.com, role: ADMIN}
workspaces:
  - billing_project: bp
    name: ws
    authorization_domains: [readers]
    is_locked: true
workspace_group_sharing:
  - {workspace: bp/ws, group: readers}
ignored_group_memberships:
  - {group: readers, email: Robot@example.com, note: nightly job}
ignored_workspace_sharing:
`

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	fromYAML, err := anvil.DecodeDeclared(strings.NewReader(declaredYAML))
	require.NoError(t, err)
	want := anvil.Declared{
		ServiceAccount:          "App@example.com",
		BillingProjects:         []anvil.BillingProject{{Name: "bp"}},
		Accounts:                []anvil.Account{{Email: "a.b@example.com", IsServiceAccount: true, Status: anvil.StatusInactive}, {Email: "c@example.com", Status: anvil.StatusActive}},
		ManagedGroups:           []anvil.ManagedGroup{{Name: "readers", Email: "Readers@firecloud.org", IsManagedByApp: true}, {Name: "partners", Email: "partners@firecloud.org"}},
		GroupGroupMemberships:   []anvil.GroupMembership{{Parent: "readers", Child: "partners", Role: anvil.RoleMember}},
		GroupAccountMemberships: []anvil.AccountMembership{{Group: "readers", Account: "a.b@example.com", Role: anvil.RoleAdmin}},
		Workspaces:              []anvil.Workspace{{BillingProject: "bp", Name: "ws", AuthorizationDomains: []string{"readers"}, IsLocked: true, AppAccess: anvil.AppOwner}},
		WorkspaceGroupSharing:   []anvil.Sharing{{Workspace: "bp/ws", Group: "readers", Access: anvil.AccessReader}},
		IgnoredGroupMemberships: []anvil.IgnoredMembership{{Group: "readers", Email: "robot@example.com", Note: "nightly job"}},
		IgnoredWorkspaceSharing: []anvil.IgnoredSharing{},
	}
	require.Equal(t, want, fromYAML)
	require.NoError(t, fromYAML.Validate(anvil.Strict))

	encoded, err := json.MarshalIndent(want, "", "\t")
	require.NoError(t, err)
	fromJSON, err := anvil.DecodeDeclared(bytes.NewReader(encoded))
	require.NoError(t, err)
	require.Equal(t, want, fromJSON)
}

func TestBrokenDeclarationsAreRefusedByLineAndField(t *testing.T) {
	for name, f := range map[string]struct{ text, want string }{
		"JSON unknown field":   {"{\"service_account\": \"a\",\n\"accounts\": [\n{\"email\": \"a@b\"},\n{\"mail\": \"a@b\"}]}", `line 4: accounts[1]: unknown field "mail"`},
		"JSON wrong type":      {"{\"accounts\": [\n{\"email\": 7}]}", `line 2: accounts[0]: field "email" must be a text, not number`},
		"JSON wrong boolean":   {"{\"managed_groups\": [{\"is_managed_by_app\": \"yes\"}]}", `field "is_managed_by_app" must be true or false, not string`},
		"JSON unknown list":    {"{\n\"acounts\": []}", `line 2: unknown field "acounts": a declaration has service_account`},
		"JSON no list":         {"{\"accounts\": {}}", "accounts must be a list: line 1: expected [, found {"},
		"JSON no object":       {"{\"accounts\": [\n\"a@b\"]}", `line 2: accounts[0] must be an object, not "a@b"`},
		"JSON twice":           {"{\"accounts\": [],\n\"accounts\": []}", `line 2: field "accounts" is there twice`},
		"JSON cut off":         {"{\"accounts\": [\n{\"email\": \"a@b\"},", "accounts[1]: line 2: the file ends too early"},
		"JSON syntax":          {"{\"accounts\": [\n{\"email\" \"a@b\"}]}", "not JSON"},
		"JSON trailing":        {"{}\n{}", "line 2: something follows the declaration"},
		"JSON service account": {"{\"service_account\": 7}", "line 1: service_account must be a text"},
		"YAML unknown field":   {"accounts:\n  - email: a@b\n  - mail: a@b\n", `accounts[1]: line 3: unknown field "mail"`},
		"YAML wrong type":      {"managed_groups:\n  - name: g\n    is_managed_by_app: perhaps\n", "managed_groups[0]: line 3:"},
		"YAML unknown list":    {"\nacounts: []\n", `line 2: unknown field "acounts"`},
		"YAML no list":         {"accounts: a@b\n", "line 1: accounts must be a list"},
		"YAML no mapping":      {"accounts:\n  - a@b\n", "line 2: accounts[0] must be a mapping"},
		"YAML twice":           {"accounts: []\naccounts: []\n", "accounts"},
		"YAML syntax":          {"accounts: [\n", "line"},
		"YAML list":            {"- a\n", "a declaration is a mapping of lists"},
		"YAML two documents":   {"accounts: []\n---\naccounts: []\n", "exactly one declaration"},
		"empty":                {"", "exactly one declaration"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := anvil.DecodeDeclared(strings.NewReader(f.text))
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			require.ErrorContains(t, err, f.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestDeclarationsThatBreakARuleAreRefusedByIt(t *testing.T) {
	long := strings.Repeat("x", 61)
	for name, f := range map[string]struct {
		change  func(*anvil.Declared)
		want    string
		literal bool
	}{
		"no service account": {func(d *anvil.Declared) { d.ServiceAccount = "" }, "service_account is empty", true},
		"account twice": {func(d *anvil.Declared) {
			d.Accounts = append(d.Accounts, anvil.Account{Email: "C@example.com", Status: "active"})
		}, `account "c@example.com" is declared twice`, true},
		"group twice":        {func(d *anvil.Declared) { d.ManagedGroups[1].Name = "readers" }, `group "readers" is declared twice`, true},
		"group address":      {func(d *anvil.Declared) { d.ManagedGroups[1].Email = "Readers@firecloud.org" }, `address "Readers@firecloud.org" is declared twice`, true},
		"unknown status":     {func(d *anvil.Declared) { d.Accounts[0].Status = "gone" }, `status is "gone", must be one of [active inactive]`, true},
		"unknown role":       {func(d *anvil.Declared) { d.GroupAccountMemberships[0].Role = "OWNER" }, `role is "OWNER", must be one of [MEMBER ADMIN]`, true},
		"unknown access":     {func(d *anvil.Declared) { d.WorkspaceGroupSharing[0].Access = "NONE" }, "access is \"NONE\"", true},
		"unknown app access": {func(d *anvil.Declared) { d.Workspaces[0].AppAccess = "NONE" }, "app_access is \"NONE\"", true},
		"two roles of an account": {func(d *anvil.Declared) {
			d.GroupAccountMemberships = append(d.GroupAccountMemberships, anvil.AccountMembership{Group: "readers", Account: "a.b@example.com", Role: anvil.RoleMember})
		}, "an account has one role in a group", true},
		"two roles of a group": {func(d *anvil.Declared) {
			d.GroupGroupMemberships = append(d.GroupGroupMemberships, anvil.GroupMembership{Parent: "readers", Child: "partners", Role: anvil.RoleAdmin})
		}, "a group has one role in a group", true},
		"unknown child":       {func(d *anvil.Declared) { d.GroupGroupMemberships[0].Child = "x" }, `child "x" is not declared in managed_groups`, true},
		"unknown project":     {func(d *anvil.Declared) { d.Workspaces[0].BillingProject = "x" }, `billing_project "x" is not declared`, true},
		"unknown domain":      {func(d *anvil.Declared) { d.Workspaces[0].AuthorizationDomains = []string{"x"} }, `authorization domain "x" is not declared`, true},
		"unknown shared":      {func(d *anvil.Declared) { d.WorkspaceGroupSharing[0].Workspace = "bp/x" }, `workspace "bp/x" is not declared`, true},
		"unknown ignored":     {func(d *anvil.Declared) { d.IgnoredGroupMemberships[0].Group = "x" }, `ignored_group_memberships[0]: group "x"`, true},
		"slash in a name":     {func(d *anvil.Declared) { d.BillingProjects[0].Name = "b/p" }, "holds a slash", true},
		"group in itself":     {func(d *anvil.Declared) { d.GroupGroupMemberships[0].Child = "readers" }, "cannot be a member of itself", false},
		"long name":           {func(d *anvil.Declared) { d.ManagedGroups[1].Name, d.GroupGroupMemberships[0].Child = long, long }, "at most 60 are allowed", false},
		"odd name":            {func(d *anvil.Declared) { d.Workspaces[0].Name = "w s" }, "only letters, digits, hyphens and underscores", false},
		"no address":          {func(d *anvil.Declared) { d.Accounts[1].Email = "nobody" }, "is no e-mail address", false},
		"reader who computes": {func(d *anvil.Declared) { d.WorkspaceGroupSharing[0].CanCompute = true }, "a READER cannot compute", false},
		"owner who does not":  {func(d *anvil.Declared) { d.WorkspaceGroupSharing[0].Access = anvil.AccessOwner }, "an OWNER can always compute", false},
		"ignored without why": {func(d *anvil.Declared) { d.IgnoredGroupMemberships[0].Note = "" }, "note is empty", false},
		"circle": {func(d *anvil.Declared) {
			d.GroupGroupMemberships = append(d.GroupGroupMemberships, anvil.GroupMembership{Parent: "partners", Child: "readers", Role: anvil.RoleMember})
		}, "readers > partners > readers contain one another in a circle", false},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := anvil.DecodeDeclared(strings.NewReader(declaredYAML))
			require.NoError(t, err)
			f.change(&d)
			d.Normalise()
			err = d.Validate(anvil.Strict)
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			require.ErrorContains(t, err, f.want)
			if f.literal {
				require.ErrorContains(t, d.Validate(anvil.Literal), f.want)
			} else if name != "odd name" {
				require.NoError(t, d.Validate(anvil.Literal), "older rows are audited as they are")
			}
		})
	}
}

func TestObservationsAreAListOrAnObjectAndNothingElse(t *testing.T) {
	const one = `[{"service":"sam","method":"GET","path":"/api/groups/v1","query":"","status":200,"body":[]}]`
	for _, text := range []string{one, `{"name":"x","anvil":` + one + `}`} {
		answers, err := anvil.DecodeAnswers(strings.NewReader(text))
		require.NoError(t, err)
		require.Len(t, answers, 1)
		_, err = anvil.ObserveAnswers(answers)
		require.NoError(t, err)
	}
	for text, want := range map[string]string{
		`{"x":1}`:           `the object has no field "anvil"`,
		`7`:                 "must be a list of answers",
		"[\n{]":             "line 2: not JSON",
		`[{"service":"a"}]`: "",
		`[{"stat":200}]`:    `answer 1: unknown field "stat"`,
	} {
		answers, err := anvil.DecodeAnswers(strings.NewReader(text))
		if want != "" {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		_, err = anvil.ObserveAnswers(answers)
		require.ErrorContains(t, err, `answer 1: service "a": must be "sam" or "rawls"`)
	}
	for _, path := range []string{"/api/groups/v2", "/api/groups/v1/", "/api/groups/v1/g/owner", "/api/users/v1/"} {
		_, err := anvil.ObserveAnswers([]anvil.Answer{sam(path, 200, `[]`)})
		require.ErrorContains(t, err, "is the path misspelt?", path)
	}
	_, err := anvil.ObserveAnswers([]anvil.Answer{{Service: "sam", Method: "POST", Path: "/api/groups/v1"}})
	require.ErrorContains(t, err, "every question to AnVIL is a GET")
}

func TestOfTwoSpellingsInAnAccessListTheLastCounts(t *testing.T) {
	o := observe(t, anvil.Answer{Service: "rawls", Method: "GET", Path: "/api/workspaces/bp/ws/acl", Status: 200, Body: json.RawMessage(
		`{"acl":{"a@x.org":{"accessLevel":"READER"},"A@x.org":{"accessLevel":"WRITER","canCompute":true}}}`)})
	require.Equal(t, map[string]anvil.AccessEntry{"a@x.org": {AccessLevel: "WRITER", CanCompute: true}}, o.AccessLists["bp/ws"].Value)
}

func TestAnswersOfOddShapesAreUnknownAndQuoteNothing(t *testing.T) {
	const secret = "secret@example.com"
	bodies := []string{
		``, `null`, `<html>` + secret, `{"a":"` + secret + `"`, `"` + secret + `"`, `[null]`, `[7]`, `{}`, `[{}]`, `7`, `true`,
		`{"acl":7}`, `{"acl":{"` + secret + `":null}}`, `{"acl":{"` + secret + `":{"accessLevel":7}}}`, `[{"groupName":"g\u0000","role":"admin"}]`,
	}
	kinds := []anvil.Kind{
		anvil.KindBillingProject, anvil.KindAccount, anvil.KindGroupList, anvil.KindGroup, anvil.KindGroupMembers, anvil.KindGroupAdmins,
		anvil.KindWorkspaceList, anvil.KindAccessList, anvil.KindSettings,
	}
	unreadable := map[anvil.Kind]int{}
	for _, kind := range kinds {
		for _, body := range bodies {
			o := anvil.NewObserved()
			if !o.Record(anvil.RecordKey{Kind: kind, Name: "n/n"}, 200, []byte(body)) {
				continue
			}
			unreadable[kind]++
			for _, ob := range o.Observations(nil) {
				require.NotEmpty(t, ob.Unseen())
				require.NotContains(t, ob.Unseen(), "secret")
			}
		}
		require.GreaterOrEqual(t, unreadable[kind], 8, kind)
	}
}

func FuzzDecodeDeclared(f *testing.F) {
	f.Add([]byte(declaredYAML))
	f.Add([]byte(`{"service_account":"a","accounts":[{"email":"A@b"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := anvil.DecodeDeclared(bytes.NewReader(data))
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		again, err := json.Marshal(d)
		require.NoError(t, err)
		same, err := anvil.DecodeDeclared(bytes.NewReader(again))
		require.NoError(t, err)
		if d.Validate(anvil.Literal) == nil {
			require.Equal(t, d, same)
			require.NotNil(t, anvil.Audit(d, anvil.NewObserved(), anvil.Options{}))
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add(0, 200, []byte(`[{"groupName":"g","groupEmail":"g@x","role":"admin"}]`))
	f.Add(7, 200, []byte(`{"acl":{"a@b":{"accessLevel":"OWNER","canShare":true}}}`))
	kinds := []anvil.Kind{
		anvil.KindGroupList, anvil.KindBillingProject, anvil.KindAccount, anvil.KindGroup, anvil.KindGroupMembers,
		anvil.KindGroupAdmins, anvil.KindWorkspaceList, anvil.KindAccessList, anvil.KindSettings,
	}
	f.Fuzz(func(t *testing.T, kind, status int, body []byte) {
		o := anvil.NewObserved()
		o.Record(anvil.RecordKey{Kind: kinds[uint(kind)%uint(len(kinds))], Name: "a/b"}, status, body)
		for _, ob := range o.Observations(nil) {
			_, err := ob.Hash()
			require.NoError(t, err)
			require.NotContains(t, ob.Unseen(), "\n")
		}
	})
}

func FuzzDecodeVector(f *testing.F) {
	f.Add([]byte(smallVector))
	f.Fuzz(func(t *testing.T, line []byte) {
		v, err := anvil.DecodeVector(line)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		v.Compare([]string{"accounts", "managed_groups"})
	})
}
