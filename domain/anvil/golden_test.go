package anvil_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

var writeGolden = flag.Bool("write-golden", false, "write golden files that are missing; those that are there are never changed")

// samples are values of the current version of each type, every field set.
func samples() []event.Payload {
	id := uuid.MustParse("0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11")
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	found := anvil.Response{Status: 200}
	refused := anvil.Response{Status: 403, Message: "forbidden"}
	unknown := anvil.Response{Unknown: "no answer: time-out"}
	f := anvil.Finding{
		ID: id, Model: anvil.ModelMemberships, Scope: "readers", Record: "MEMBER: a@example.com", Kind: anvil.ErrAccountMemberMissing,
		Severity: anvil.SeverityMedium, Expected: "MEMBER", Observed: "not in the group", OpenedAt: at, ChangedSide: anvil.SideObserved,
		Evidence: []anvil.Evidence{{Side: anvil.SideObserved, Kind: anvil.KindGroupMembers, Name: "readers", EventID: id}},
	}
	models := []anvil.Model{anvil.ModelAccounts, anvil.ModelManagedGroups}
	scope := anvil.Scope{Groups: []string{"readers"}, Workspaces: []string{"bp/ws"}}
	return []event.Payload{
		anvil.ConsortiumDeclared{ServiceAccount: "app@example.com", Reason: "new key"},
		anvil.BillingProjectDeclared{BillingProject: anvil.BillingProject{Name: "bp", HasAppAsUser: true}, Reason: "r"},
		anvil.BillingProjectWithdrawn{Name: "bp", Reason: "r"},
		anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.com", IsServiceAccount: true, Status: anvil.StatusActive}, Reason: "r"},
		anvil.AccountWithdrawn{Email: "a@example.com", Reason: "r"},
		anvil.GroupDeclared{ManagedGroup: anvil.ManagedGroup{Name: "readers", Email: "Readers@firecloud.org", IsManagedByApp: true}, Reason: "r"},
		anvil.GroupWithdrawn{Name: "readers", Reason: "r"},
		anvil.GroupMembershipDeclared{GroupMembership: anvil.GroupMembership{Parent: "all", Child: "readers", Role: anvil.RoleMember}, Reason: "r"},
		anvil.GroupMembershipWithdrawn{Parent: "all", Child: "readers", Reason: "r"},
		anvil.AccountMembershipDeclared{AccountMembership: anvil.AccountMembership{Group: "readers", Account: "a@example.com", Role: anvil.RoleAdmin}, Reason: "r"},
		anvil.AccountMembershipWithdrawn{Group: "readers", Account: "a@example.com", Reason: "r"},
		anvil.WorkspaceDeclared{Workspace: anvil.Workspace{
			BillingProject: "bp", Name: "ws", AuthorizationDomains: []string{"readers"}, IsLocked: true,
			IsRequesterPays: true, AppAccess: anvil.AppLimited,
		}, Reason: "r"},
		anvil.WorkspaceWithdrawn{BillingProject: "bp", Name: "ws", Reason: "r"},
		anvil.SharingDeclared{Sharing: anvil.Sharing{Workspace: "bp/ws", Group: "readers", Access: anvil.AccessWriter, CanCompute: true}, Reason: "r"},
		anvil.SharingWithdrawn{Workspace: "bp/ws", Group: "readers", Reason: "r"},
		anvil.IgnoredMembershipDeclared{IgnoredMembership: anvil.IgnoredMembership{Group: "readers", Email: "robot@example.com", Note: "n"}, Reason: "r"},
		anvil.IgnoredMembershipWithdrawn{Group: "readers", Email: "robot@example.com", Reason: "r"},
		anvil.IgnoredSharingDeclared{IgnoredSharing: anvil.IgnoredSharing{Workspace: "bp/ws", Email: "robot@example.com", Note: "n"}, Reason: "r"},
		anvil.IgnoredSharingWithdrawn{Workspace: "bp/ws", Email: "robot@example.com", Reason: "r"},
		anvil.PlanApplied{Reason: "r", Added: 1, Changed: 2, Withdrawn: 3},
		anvil.SweepStarted{SweepID: id, Models: models, Scope: scope, ServiceAccount: "app@example.com", StartedAt: at},
		anvil.SweepCompleted{
			SweepID: id, Models: models, Scope: scope, ServiceAccount: "app@example.com", StartedAt: at, CompletedAt: at.Add(time.Second),
			Covered: map[anvil.Kind]int{anvil.KindAccount: 2}, Calls: 4, Retries: 1, Observed: 1, UnseenCount: 1,
			Unseen: []anvil.Unseen{{Kind: anvil.KindAccount, Name: "a@example.com", Cause: "status 500"}},
		},
		anvil.BillingProjectObserved{Name: "bp", Reading: anvil.Reading[anvil.BillingInfo]{
			Response: found,
			Value:    anvil.BillingInfo{Name: "bp", Roles: []string{"User"}, InvalidBillingAccount: true},
		}},
		anvil.AccountObserved{Email: "a@example.com", Reading: anvil.Reading[anvil.AccountInfo]{
			Response: found,
			Value:    anvil.AccountInfo{SubjectID: "1", Email: "A@example.com", Registered: true},
		}},
		anvil.GroupListObserved{Response: unknown},
		anvil.GroupRoleObserved{Name: "readers", Listed: true, Email: "readers@firecloud.org", Roles: []string{"admin", "member"}},
		anvil.GroupObserved{Name: "readers", Reading: anvil.Reading[string]{Response: found, Value: "readers@firecloud.org"}},
		anvil.GroupMembersObserved{Group: "readers", Reading: anvil.Reading[[]string]{Response: found, Value: []string{"A@example.com"}}},
		anvil.GroupAdminsObserved{Group: "readers", Reading: anvil.Reading[[]string]{Response: refused}},
		anvil.WorkspaceListObserved{Response: found},
		anvil.WorkspaceObserved{Listed: true, WorkspaceRow: anvil.WorkspaceRow{
			Namespace: "bp", Name: "ws", AccessLevel: "NO ACCESS", IsLocked: true,
			AuthorizationDomains: []string{"readers"},
		}},
		anvil.AccessListObserved{Workspace: "bp/ws", Reading: anvil.Reading[map[string]anvil.AccessEntry]{
			Response: found,
			Value:    map[string]anvil.AccessEntry{"a@example.com": {AccessLevel: "WRITER", CanShare: true, CanCompute: true, Pending: true}},
		}},
		anvil.SettingsObserved{Workspace: "bp/ws", Reading: anvil.Reading[anvil.Settings]{Response: found, Value: anvil.Settings{RequesterPays: true}}},
		anvil.FindingOpened{Finding: f, Reopened: 1},
		anvil.FindingChanged{Finding: f, ExpectedBefore: "MEMBER", ObservedBefore: "ADMIN"},
		anvil.FindingResolved{Finding: f, ResolvedAt: at.Add(time.Hour)},
		anvil.AuditCompleted{SweepID: &id, AuditedAt: at, Models: []anvil.ModelAudited{
			{Model: anvil.ModelAccounts, Audited: 5, Verified: 2, Errors: 1, Beyond: 1, Unknown: 1, NotInApp: 3, Ignored: 4, Unlisted: 1},
		}},
		anvil.AcceptanceDeclared{Acceptance: anvil.Acceptance{FindingID: id, Reason: "r", Until: at, Expected: "MEMBER", Observed: "ADMIN"}},
		anvil.AcceptanceWithdrawn{FindingID: id, Reason: "r"},
	}
}

func goldenFile(t event.Type) string { return filepath.Join("testdata", "golden", string(t)+".json") }

func TestEveryVersionOfEveryEventStaysReadable(t *testing.T) {
	registry := event.NewRegistry()
	anvil.Register(registry)
	current := map[event.Type]event.Payload{}
	for _, p := range samples() {
		current[p.EventType()] = p
		path := goldenFile(p.EventType())
		if _, err := os.Stat(path); *writeGolden && os.IsNotExist(err) {
			data, err := json.MarshalIndent(p, "", "  ")
			require.NoError(t, err)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, append(data, '\n'), 0o644))
		}
	}
	types := registry.Types()
	for _, name := range types {
		t.Run(string(name), func(t *testing.T) {
			data, err := os.ReadFile(goldenFile(name))
			require.NoError(t, err, "run the tests with -write-golden after adding a type or a version")
			p, err := registry.Decode(event.Event{Type: name, Stream: stream, ID: uuid.New(), Time: noon, Data: data})
			require.NoError(t, err)
			if registry.IsCurrent(name) {
				require.Equal(t, current[name], p, "a golden file holds every field")
				again, err := json.Marshal(p)
				require.NoError(t, err)
				require.JSONEq(t, string(data), string(again))
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "golden"))
	require.NoError(t, err)
	require.Len(t, files, len(types), "one golden file a version, and no version without a reader")
}
