package anvil_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// only are the records of a declaration that are kept, without its service
// account.
func only(d anvil.Declared, keep func(anvil.Change) bool) anvil.Declared {
	plan, err := anvil.Plan(anvil.Declared{}, d, anvil.Strict)
	if err != nil {
		panic(err)
	}
	var kept anvil.Declared
	for _, c := range plan {
		if c.Record.Kind == anvil.KindConsortium || !keep(c) {
			continue
		}
		switch r := c.After.(type) {
		case anvil.BillingProject:
			kept.BillingProjects = append(kept.BillingProjects, r)
		case anvil.Account:
			kept.Accounts = append(kept.Accounts, r)
		case anvil.ManagedGroup:
			kept.ManagedGroups = append(kept.ManagedGroups, r)
		case anvil.GroupMembership:
			kept.GroupGroupMemberships = append(kept.GroupGroupMemberships, r)
		case anvil.AccountMembership:
			kept.GroupAccountMemberships = append(kept.GroupAccountMemberships, r)
		case anvil.Workspace:
			kept.Workspaces = append(kept.Workspaces, r)
		case anvil.Sharing:
			kept.WorkspaceGroupSharing = append(kept.WorkspaceGroupSharing, r)
		case anvil.IgnoredMembership:
			kept.IgnoredGroupMemberships = append(kept.IgnoredGroupMemberships, r)
		case anvil.IgnoredSharing:
			kept.IgnoredWorkspaceSharing = append(kept.IgnoredWorkspaceSharing, r)
		}
	}
	kept.Normalise()
	return kept
}

// records are the declared records by key.
func records(d anvil.Declared) map[anvil.RecordKey]any {
	d.ServiceAccount = "app@example.com"
	plan, err := anvil.Plan(anvil.Declared{}, d, anvil.Strict)
	if err != nil {
		panic(err)
	}
	found := map[anvil.RecordKey]any{}
	for _, c := range plan {
		found[c.Record] = c.After
	}
	return found
}

func TestAPatchLeadsFromAnyDeclarationToAnyOther(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		current, wanted := drawDeclared(rt, "current"), drawDeclared(rt, "wanted")
		kept := records(wanted)
		patch := anvil.Patch{
			Declare:  only(wanted, func(anvil.Change) bool { return true }),
			Withdraw: only(current, func(c anvil.Change) bool { return kept[c.Record] == nil }),
		}
		patch.Declare.ServiceAccount = wanted.ServiceAccount
		got, err := patch.Apply(current)
		require.NoError(rt, err)
		require.Equal(rt, sorted(wanted), sorted(got))
	})
}

// A patch of single records changes those and no others, leads to what its
// plan's events fold to, in the same order, and changes nothing a second time.
// It is refused only if its result could not be declared.
func TestAPatchIsTheFoldOfItsPlan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		plan, err := anvil.Plan(anvil.Declared{}, drawDeclared(rt, "first"), anvil.Strict)
		require.NoError(rt, err)
		for _, p := range anvil.PlanEvents(plan, "") {
			w.apply(p)
		}
		flip := func(anvil.Change) bool { return rapid.IntRange(0, 4).Draw(rt, "pick") == 0 }
		current := w.state.Declared()
		patch := anvil.Patch{Declare: only(drawDeclared(rt, "second"), func(c anvil.Change) bool { return flip(c) })}
		comes := keys(patch.Declare)
		// Most patches that withdraw what can be referred to are refused.
		leaves := rapid.Bool().Draw(rt, "leaves")
		patch.Withdraw = only(current, func(c anvil.Change) bool { return !comes[c.Record] && !(leaves && referable[c.Record.Kind]) && flip(c) })
		before := only(current, func(anvil.Change) bool { return true })
		before.ServiceAccount = current.ServiceAccount

		next, err := patch.Apply(current)
		require.Equal(rt, before, current, "what is declared must not change under the caller")
		if err != nil {
			require.Equal(rt, event.CodeConflict, event.CodeOf(err))
			require.ErrorContains(rt, err, "is referred to by")
			require.Error(rt, next.Validate(anvil.Strict), "it was refused, but breaks no rule")
			return
		}
		plan, err = anvil.Plan(current, next, anvil.Strict)
		if err != nil {
			require.Equal(rt, event.CodeInvalid, event.CodeOf(err))
			return
		}
		goes := keys(patch.Withdraw)
		for _, c := range plan {
			require.Equal(rt, c.Action == anvil.Withdrawn, goes[c.Record], c)
			require.Equal(rt, c.Action != anvil.Withdrawn, comes[c.Record], c)
		}
		for _, p := range anvil.PlanEvents(plan, "") {
			w.apply(p)
		}
		require.Equal(rt, next, w.state.Declared())

		again, err := anvil.Patch{Declare: patch.Declare}.Apply(next)
		require.NoError(rt, err)
		require.Equal(rt, next, again)
	})
}

var referable = map[anvil.Kind]bool{anvil.KindBillingProject: true, anvil.KindAccount: true, anvil.KindGroup: true, anvil.KindWorkspace: true}

// keys name the records of a part of a patch, whatever it refers to.
func keys(part anvil.Declared) map[anvil.RecordKey]bool {
	found := map[anvil.RecordKey]bool{}
	add := func(kind anvil.Kind, name string) { found[anvil.RecordKey{Kind: kind, Name: name}] = true }
	for _, r := range part.BillingProjects {
		add(anvil.KindBillingProject, r.Name)
	}
	for _, r := range part.Accounts {
		add(anvil.KindAccount, r.Email)
	}
	for _, r := range part.ManagedGroups {
		add(anvil.KindGroup, r.Name)
	}
	for _, r := range part.GroupGroupMemberships {
		add(anvil.KindGroupMembership, r.Parent+"/"+r.Child)
	}
	for _, r := range part.GroupAccountMemberships {
		add(anvil.KindAccountMembership, r.Group+"/"+r.Account)
	}
	for _, r := range part.Workspaces {
		add(anvil.KindWorkspace, r.BillingProject+"/"+r.Name)
	}
	for _, r := range part.WorkspaceGroupSharing {
		add(anvil.KindSharing, r.Workspace+"/"+r.Group)
	}
	for _, r := range part.IgnoredGroupMemberships {
		add(anvil.KindIgnoredMembership, r.Group+"/"+r.Email)
	}
	for _, r := range part.IgnoredWorkspaceSharing {
		add(anvil.KindIgnoredSharing, r.Workspace+"/"+r.Email)
	}
	return found
}

func decodePatch(t *testing.T, text string) anvil.Patch {
	p, err := anvil.DecodePatch(strings.NewReader(text))
	require.NoError(t, err)
	return p
}

func TestAPatchReplacesARecordAsAWholeInItsPlace(t *testing.T) {
	current, err := anvil.DecodeDeclared(strings.NewReader(`{"service_account": "app@example.com",
		"accounts": [{"email": "a@example.com", "is_service_account": true}, {"email": "b@example.com"}]}`))
	require.NoError(t, err)
	next, err := decodePatch(t, `{"declare": {"accounts": [{"email": "c@example.com"}, {"email": "A@example.com", "status": "inactive"}]}}`).Apply(current)
	require.NoError(t, err)
	require.Equal(t, []anvil.Account{
		{Email: "a@example.com", Status: anvil.StatusInactive},
		{Email: "b@example.com", Status: anvil.StatusActive},
		{Email: "c@example.com", Status: anvil.StatusActive},
	}, next.Accounts)
	require.Equal(t, "app@example.com", next.ServiceAccount)
	next, err = decodePatch(t, `{"declare": {"service_account": "other@example.com"}}`).Apply(current)
	require.NoError(t, err)
	require.Equal(t, "other@example.com", next.ServiceAccount)
	require.Equal(t, current.Accounts, next.Accounts)
}

func TestAPatchNamesARecordByItsKeyAlone(t *testing.T) {
	current := readers()
	current.GroupAccountMemberships[0].Role = anvil.RoleAdmin
	next, err := decodePatch(t, `{"withdraw": {"group_account_memberships": [{"group": "readers", "account": "A@example.com", "role": "MEMBER"}],
		"accounts": [{"email": "a@example.com"}]}}`).Apply(current)
	require.NoError(t, err)
	require.Empty(t, next.GroupAccountMemberships)
	require.Empty(t, next.Accounts, "who refers to it goes with it")
	require.Len(t, next.ManagedGroups, 1)
}

func TestAPatchThatCannotBeAppliedSaysWhy(t *testing.T) {
	declared, err := anvil.DecodeDeclared(strings.NewReader(`{"service_account": "app@example.com",
		"billing_projects": [{"name": "bp"}], "accounts": [{"email": "a@example.com"}],
		"managed_groups": [{"name": "g", "email": "g@firecloud.org"}, {"name": "h", "email": "h@firecloud.org"}, {"name": "i", "email": "i@firecloud.org"}],
		"group_account_memberships": [{"group": "g", "account": "a@example.com"}],
		"group_group_memberships": [{"parent": "h", "child": "g"}, {"parent": "i", "child": "g"}],
		"workspaces": [{"billing_project": "bp", "name": "ws", "authorization_domains": ["g"]}],
		"workspace_group_sharing": [{"workspace": "bp/ws", "group": "g"}],
		"ignored_group_memberships": [{"group": "g", "email": "x@example.com", "note": "robot"}],
		"ignored_workspace_sharing": [{"workspace": "bp/ws", "email": "x@example.com", "note": "robot"}]}`))
	require.NoError(t, err)
	for patch, want := range map[string][]string{
		`{"withdraw": {"accounts": [{"email": "b@example.com"}]}}`:         {`conflict`, `account "b@example.com" is not declared, so it cannot be withdrawn`},
		`{"withdraw": {"accounts": [{}]}}`:                                 {`conflict`, `account "" is not declared`},
		`{"withdraw": {"managed_groups": [{"name": "G"}, {"name": "J"}]}}`: {`conflict`, `group "G" is not declared`, `group "J" is not declared`},
		`{"withdraw": {"accounts": [{"email": "a@example.com"}]}}`:         {`conflict`, `account "a@example.com" cannot be withdrawn, it is referred to by account_membership "g/a@example.com": withdraw or change that first`},
		`{"withdraw": {"managed_groups": [{"name": "g"}]}}`: {
			`conflict`, `workspace "bp/ws"`, `account_membership "g/a@example.com"`, `group_membership "h/g"`, `group_membership "i/g"`, `sharing "bp/ws/g", 1 more: withdraw`,
		},
		`{"withdraw": {"managed_groups": [{"name": "h"}]}}`:                                       {`conflict`, `group "h"`, `by group_membership "h/g": `},
		`{"withdraw": {"billing_projects": [{"name": "bp"}]}}`:                                    {`conflict`, `billing_project "bp"`, `by workspace "bp/ws": `},
		`{"withdraw": {"workspaces": [{"billing_project": "bp", "name": "ws"}]}}`:                 {`conflict`, `by sharing "bp/ws/g", ignored_sharing "bp/ws/x@example.com": `},
		`{"withdraw": {"service_account": "app@example.com"}}`:                                    {`invalid`, "the service account cannot be withdrawn: declare another one"},
		`{"withdraw": {"accounts": [{"email": "b@x.org"}, {"email": "B@x.org"}]}}`:                {`invalid`, `account "b@x.org" is withdrawn twice`},
		`{"declare": {"accounts": [{"email": "b@x.org"}, {"email": "B@x.org"}]}}`:                 {`invalid`, `account "b@x.org" is declared twice`},
		`{"declare": {"accounts": [{"email": "b"}]}, "withdraw": {"accounts": [{"email": "b"}]}}`: {`invalid`, `account "b" is both declared and withdrawn`},
	} {
		_, err := decodePatch(t, patch).Apply(declared)
		require.Error(t, err, patch)
		require.Equal(t, event.Code(want[0]), event.CodeOf(err), patch)
		for _, text := range want[1:] {
			require.ErrorContains(t, err, text)
		}
	}

	// A record that comes with the patch refers to what goes with it, too.
	_, err = decodePatch(t, `{"withdraw": {"group_account_memberships": [{"group": "g", "account": "a@example.com"}], "accounts": [{"email": "a@example.com"}]},
		"declare": {"group_account_memberships": [{"group": "h", "account": "a@example.com"}]}}`).Apply(declared)
	require.ErrorContains(t, err, `account_membership "h/a@example.com"`)
}

func TestPatchesAreReadStrictlyAndErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		``:                               "the file ends too early",
		`[]`:                             "line 1: expected {",
		`{}`:                             "it is empty: say what to declare or to withdraw",
		`{"declare": {}} {}`:             "something follows the patch",
		`{"declare": {}, "declare": {}}`: `field "declare" is there twice`,
		"{\n\"accounts\": []}":           `line 2: unknown field "accounts": a patch has declare, withdraw, deactivate and activate`,
		`{"declare": null}`:              "declare: line 1: expected {",
		`{"declare": {"accounts": {}}}`:  "declare: accounts must be a list",
		"{\"withdraw\": {},\n \"declare\":\n {\"accounts\": [\n {\"mail\": 7}]}}": `declare: line 4: accounts[0]: unknown field "mail"`,
		"{\"withdraw\":\n\n{\"acounts\": []}}":                                    `withdraw: line 3: unknown field "acounts"`,
		`{"withdraw": {"accounts": [{"email": 7}]}}`:                              `withdraw: line 1: accounts[0]: field "email" must be a text, not number`,
		`{"declare": {"accounts": [`:                                              "the file ends too early",
	} {
		_, err := anvil.DecodePatch(strings.NewReader(text))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), text)
		require.ErrorContains(t, err, want, text)
	}
	p := decodePatch(t, `{"declare": {"managed_groups": [{"name": "g", "email": "G@firecloud.org"}]}, "withdraw": {"accounts": [{"email": "A@x.org"}]}}`)
	require.Equal(t, []anvil.ManagedGroup{{Name: "g", Email: "G@firecloud.org", IsManagedByApp: true}}, p.Declare.ManagedGroups)
	require.Equal(t, "a@x.org", p.Withdraw.Accounts[0].Email)
}

func FuzzDecodePatch(f *testing.F) {
	f.Add([]byte(`{"declare":{"service_account":"a","accounts":[{"email":"A@b"}]},"withdraw":{"managed_groups":[{"name":"g"}]}}`))
	f.Add([]byte("{\n\"withdraw\":\n{\"workspaces\":[{}]}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := anvil.DecodePatch(bytes.NewReader(data))
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		again, err := json.Marshal(map[string]anvil.Declared{"declare": p.Declare, "withdraw": p.Withdraw})
		require.NoError(t, err)
		same, err := anvil.DecodePatch(bytes.NewReader(again))
		require.NoError(t, err)
		require.True(t, reflect.DeepEqual(p, same))
		if _, err := p.Apply(readers()); err != nil {
			require.True(t, slices.Contains([]event.Code{event.CodeInvalid, event.CodeConflict}, event.CodeOf(err)), err)
		}
	})
}
