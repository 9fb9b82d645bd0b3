package access_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

var writeGolden = flag.Bool("write-golden", false, "write golden files that are missing; those that are there are never changed")

var roleID = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad9")

// samples are values of the current version of each type, every field set.
func samples() map[string]event.Payload {
	return map[string]event.Payload{
		string(access.TypeUserRegistered): access.UserRegistered{
			UserID: "ada", Name: "Ada", Superuser: true, Active: true, State: "Member", Permissions: []string{"memberaudit.basic_access", "memberaudit.finder_access"},
		},
		string(access.TypeUserRegistered) + ".least": access.UserRegistered{UserID: "bob"},
		string(access.TypeMainSet):                   access.MainSet{UserID: "ada", CharacterID: new(int64(90000001))},
		string(access.TypeMainSet) + ".none":         access.MainSet{UserID: "ada"},
		string(access.TypeListed): access.CharactersListed{UserID: "ada", Characters: []access.ListedCharacter{
			{CharacterID: 90000002, Name: "Alt", CorporationID: 98000001, AllianceID: 99000001},
		}},
		string(access.TypeListed) + ".none": access.CharactersListed{UserID: "ada"},
		string(access.TypeTokenIssued): access.TokenIssued{
			TokenID: uuid.MustParse("0192f0c1-2f0a-7e11-8c55-0d4b6f2d9a01"), Name: "night export", UserID: "ada", IssuedBy: "user:ada", IssuedByUser: "ada",
			Scope: []access.Action{access.ActionReadCharacters}, ExpiresAt: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC),
		},
		string(access.TypeTokenIssued) + ".least": access.TokenIssued{
			TokenID: uuid.MustParse("0192f0c1-2f0a-7e11-8c55-0d4b6f2d9a01"), IssuedBy: "token:admin", ExpiresAt: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC),
		},
		string(access.TypeTokenRevoked):            access.TokenRevoked{TokenID: uuid.MustParse("0192f0c1-2f0a-7e11-8c55-0d4b6f2d9a01"), UserID: "ada"},
		string(access.TypeTokenRevoked) + ".least": access.TokenRevoked{TokenID: uuid.MustParse("0192f0c1-2f0a-7e11-8c55-0d4b6f2d9a01")},
		string(access.TypeDataViewed): access.DataViewed{
			ViewerID: "link:0b3cbb39-6a2f-5b0c-8e6a-9bd1bfb6a3f1", ViewerUserID: "bob", OwnerID: "ada", CharacterID: 90000001, Section: "wallet-journal", Way: access.ByLink,
			LinkID: new(uuid.MustParse("0b3cbb39-6a2f-5b0c-8e6a-9bd1bfb6a3f1")), FirstAt: time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC), LastAt: time.Date(2026, 9, 1, 10, 4, 59, 0, time.UTC), Count: 3,
		},
		string(access.TypeDataViewed) + ".least": access.DataViewed{
			ViewerID: "token:admin", Section: "list-characters", Way: access.ByToken,
			FirstAt: time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC), LastAt: time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC), Count: 1, Rows: 250,
		},
		string(access.TypeRoleDefined): access.RoleDefined{RoleID: roleID, Role: access.Role{
			Name: "Recruiter", Description: "Looks at applicants.", Permissions: []string{"characters_access", "view_everything"}, States: []string{"Member"}, Sections: []string{"skills"},
		}},
		string(access.TypeRoleDefined) + ".groups": access.RoleDefined{RoleID: roleID, Role: access.Role{
			Name: "Recruiter", Permissions: []string{"characters_access"}, Groups: []string{"Registered"},
		}},
		string(access.TypeGroupDefined): access.GroupDefined{GroupID: roleID, ComplianceGroup: access.ComplianceGroup{
			Name: "Registered", Description: "All characters are registered.", States: []string{"Blue", "Member"},
		}},
		string(access.TypeGroupDefined) + ".least": access.GroupDefined{GroupID: roleID, ComplianceGroup: access.ComplianceGroup{Name: "Registered"}},
		string(access.TypeGroupRemoved):            access.GroupRemoved{GroupID: roleID, Name: "Registered", Reason: "over"},
		string(access.TypeGroupRemoved) + ".least": access.GroupRemoved{GroupID: roleID, Name: "Registered"},
		string(access.TypeGroupsGained): access.GroupsGained{
			UserID: "ada", Groups: []access.GainedGroup{{GroupID: roleID, Name: "Registered"}}, Characters: 3,
			GroupCause: access.GroupCause{Cause: "muster.eve.character.registered.v1", CharacterID: 90000001, Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)},
		},
		string(access.TypeGroupsGained) + ".least": access.GroupsGained{
			UserID: "ada", Groups: []access.GainedGroup{{GroupID: roleID, Name: "Registered"}}, Characters: 1, GroupCause: access.GroupCause{Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)},
		},
		string(access.TypeGroupsLost): access.GroupsLost{
			UserID: "ada", Groups: []access.LostGroup{{GroupID: roleID, Name: "Registered", Reasons: []access.GroupReason{
				{Reason: access.Reason{Fault: access.FaultState}},
				{Reason: access.Reason{CharacterID: 90000002, Fault: access.FaultNeverRegistered}, Since: new(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))},
			}}},
			GroupCause: access.GroupCause{Cause: access.TypeListed, Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)},
		},
		string(access.TypeRoleDefined) + ".least": access.RoleDefined{RoleID: roleID, Role: access.Role{Name: "Nothing"}},
		string(access.TypeRoleRemoved):            access.RoleRemoved{RoleID: roleID, Name: "Recruiter", Reason: "nobody recruits"},
		string(access.TypeRoleRemoved) + ".least": access.RoleRemoved{RoleID: roleID, Name: "Recruiter"},
		string(access.TypeRoleGranted):            access.RoleGranted{UserID: "ada", RoleID: roleID, Name: "Recruiter"},
		string(access.TypeRoleRevoked):            access.RoleRevoked{UserID: "ada", RoleID: roleID, Name: "Recruiter", Reason: "has left"},
		string(access.TypeRoleRevoked) + ".least": access.RoleRevoked{UserID: "ada", RoleID: roleID, Name: "Recruiter"},
		string(access.TypeComplianceChanged): access.ComplianceChanged{
			UserID: "ada", Considered: true, Total: 3, Unregistered: 1, Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
			Reasons: []access.Reason{{Fault: access.FaultNoMain}, {CharacterID: 90000002, Fault: access.FaultNeverRegistered}},
		},
		string(access.TypeComplianceChanged) + ".none": access.ComplianceChanged{UserID: "ada", Compliant: false, Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)},
	}
}

func registry() *event.Registry {
	r := event.NewRegistry()
	access.Register(r)
	return r
}

func decode(t *testing.T, file string) event.Payload {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, ".least"), ".none"), ".groups")
	p, err := registry().Decode(event.Event{ID: uuid.New(), Stream: event.User("ada"), Type: event.Type(name), Time: time.Now(), Data: data})
	require.NoError(t, err)
	return p
}

func TestEveryEventEverWrittenIsRead(t *testing.T) {
	for name, p := range samples() {
		path := filepath.Join("testdata", "golden", name+".json")
		if _, err := os.Stat(path); *writeGolden && os.IsNotExist(err) {
			data, err := json.Marshal(p)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, append(data, '\n'), 0o600))
		}
		require.Equal(t, p, decode(t, path))
	}
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.json"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), len(samples()))
	seen := map[event.Type]bool{}
	for _, file := range files {
		seen[decode(t, file).EventType()] = true
	}
	for _, typ := range registry().Types() {
		require.True(t, seen[typ], "no golden file of %s", typ)
	}
}

func TestEventsAreWrittenAsTheyWereBefore(t *testing.T) {
	for name, p := range samples() {
		golden, err := os.ReadFile(filepath.Join("testdata", "golden", name+".json"))
		require.NoError(t, err)
		data, err := json.Marshal(p)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSuffix(string(golden), "\n"), string(data))
	}
}
