package allianceauth_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/registration/allianceauth"
)

// byHand is what was written down by hand of the organisation that is in the dumps.
func byHand(t *testing.T, version string) allianceauth.Import {
	t.Helper()
	content, err := os.ReadFile("testdata/organisation-" + version + ".json")
	require.NoError(t, err)
	var file struct {
		Organisation json.RawMessage              `json:"organisation"`
		SkillSets    []eve.SkillSet               `json:"skill_sets"`
		Groups       []allianceauth.SkillSetGroup `json:"groups"`
		Disabled     []int64                      `json:"disabled"`
		LeftOut      []allianceauth.LeftOut       `json:"left_out"`
	}
	in := json.NewDecoder(bytes.NewReader(content))
	in.DisallowUnknownFields()
	require.NoError(t, in.Decode(&file))
	org, rejections, err := access.ReadOrganisation(bytes.NewReader(file.Organisation))
	require.NoError(t, err)
	require.Empty(t, rejections)
	return allianceauth.Import{Organisation: org, SkillSets: file.SkillSets, Groups: file.Groups, Disabled: file.Disabled, LeftOut: file.LeftOut}
}

// dumps are the dumps that were made of one organisation.
var dumps = []struct{ version, form string }{
	{"1.9.4", "json"}, {"1.9.4", "csv"}, {"1.9.4", "mysql-batch"}, {"5.1.0", "json"}, {"5.1.0", "csv"}, {"5.1.0", "mysqldump"},
}

func TestEveryDumpOfAnOrganisationIsTheOrganisationMadeByHand(t *testing.T) {
	for _, d := range dumps {
		t.Run(d.version+" "+d.form, func(t *testing.T) {
			read, err := allianceauth.Read(os.DirFS(path.Join("testdata", d.version, d.form)), allianceauth.Options{})
			require.NoError(t, err)
			require.Equal(t, byHand(t, d.version), read)
		})
	}
}

func TestWhatIsReadIsAnOrganisationThatAnImportTakesWhole(t *testing.T) {
	for _, d := range dumps {
		read, err := allianceauth.Read(os.DirFS(path.Join("testdata", d.version, d.form)), allianceauth.Options{Tokens: os.DirFS("testdata/tokens")})
		require.NoError(t, err)
		file, err := json.Marshal(read.Organisation)
		require.NoError(t, err)
		org, rejections, err := access.ReadOrganisation(bytes.NewReader(file))
		require.NoError(t, err)
		require.Empty(t, rejections)
		require.Equal(t, read.Organisation, org)
		for _, set := range read.SkillSets {
			require.NoError(t, set.Validate())
		}
	}
}

func TestLoginsComeOnlyWhenAskedForAndOnlyOfThePresentOwner(t *testing.T) {
	logins := func(in allianceauth.Import) map[int64]string {
		found := map[int64]string{}
		for _, c := range in.Organisation.Characters {
			if c.RefreshToken != "" {
				found[c.ID] = c.RefreshToken + " " + strings.Join(c.Scopes, " ")
			}
		}
		return found
	}
	both := fstest.MapFS{}
	for _, folder := range []string{"testdata/1.9.4/csv", "testdata/tokens-csv"} {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, e := range entries {
			content, err := os.ReadFile(path.Join(folder, e.Name()))
			require.NoError(t, err)
			both[e.Name()] = &fstest.MapFile{Data: content}
		}
	}
	without, err := allianceauth.Read(both, allianceauth.Options{})
	require.NoError(t, err)
	require.Empty(t, logins(without), "they are in the folder, and nobody asked for them")
	require.Empty(t, without.LeftOut)

	for _, tokens := range []fs.FS{os.DirFS("testdata/tokens"), os.DirFS("testdata/tokens-csv"), both} {
		with, err := allianceauth.Read(both, allianceauth.Options{Tokens: tokens})
		require.NoError(t, err)
		require.Equal(t, map[int64]string{90000001: "refresh-bruce esi-assets.read_assets.v1 esi-skills.read_skills.v1"}, logins(with),
			"the one with the most scopes; what is not registered needs none, and what the owner before gave is void")
		require.Equal(t, []allianceauth.LeftOut{{
			Table: "esi_token", Row: "character_id 90000003", Reason: "there is no login of its present owner that can be renewed: he has to register it again",
		}}, with.LeftOut)
	}
}

// small is a dump of one user with one registered character, in Django's JSON, which
// lines replace or add to by model and number.
func small(lines ...string) fstest.MapFS {
	records := []string{
		`{"model": "auth.user", "pk": 1, "fields": {"username": "one", "is_superuser": false, "is_active": true, "groups": [], "user_permissions": []}}`,
		`{"model": "authentication.userprofile", "pk": 8, "fields": {"user": 1, "main_character": 5, "state": 2}}`,
		`{"model": "authentication.state", "pk": 2, "fields": {"name": "Member", "permissions": []}}`,
		`{"model": "eveonline.evecharacter", "pk": 5, "fields": {"character_id": 90000001, "character_name": "One", "corporation_id": 98000001, "alliance_id": null}}`,
		`{"model": "authentication.characterownership", "pk": 6, "fields": {"user": 1, "character": 5, "owner_hash": "h"}}`,
		`{"model": "memberaudit.character", "pk": 6, "fields": {"is_shared": false}}`,
	}
	for _, line := range lines {
		head, _, _ := strings.Cut(line, `"fields"`)
		at := slices.IndexFunc(records, func(r string) bool { return strings.HasPrefix(r, head) })
		if at < 0 {
			records = append(records, line)
			continue
		}
		records[at] = line
	}
	return fstest.MapFS{"dump.json": &fstest.MapFile{Data: []byte("[" + strings.Join(records, ",\n") + "]")}}
}

func TestARowThatBreaksARuleIsLeftOutWithItsReason(t *testing.T) {
	f := func(line string, users, characters int, want ...string) {
		t.Helper()
		read, err := allianceauth.Read(small(strings.Split(line, "\n")...), allianceauth.Options{})
		require.NoError(t, err)
		var got []string
		for _, l := range read.LeftOut {
			got = append(got, l.Table+" "+l.Row+": "+l.Reason)
		}
		require.Equal(t, want, got)
		require.Len(t, read.Organisation.Users, users)
		require.Len(t, read.Organisation.Characters, characters)
	}
	f("{}", 1, 1)
	const notTaken = `authentication_characterownership id 6: its user 1 is not in auth_user, or was left out`
	f(`{"model": "auth.user", "pk": 1, "fields": {"username": "one", "is_superuser": "perhaps", "is_active": true, "groups": [], "user_permissions": []}}`, 0, 0,
		`auth_user id 1: its is_superuser "perhaps" is neither true nor false`, `authentication_userprofile id 8: its user 1 is not in auth_user`, notTaken)
	f(`{"model": "auth.user", "pk": 1, "fields": {"username": "", "is_superuser": false, "is_active": true, "groups": [], "user_permissions": []}}`, 0, 0,
		`auth_user id 1: it has no username`, `authentication_userprofile id 8: its user 1 is not in auth_user`, notTaken)
	f(`{"model": "authentication.userprofile", "pk": 8, "fields": {"user": 9, "main_character": null, "state": 2}}`, 0, 0,
		`auth_user id 1: it has no row in authentication_userprofile, so its state is not known`, `authentication_userprofile id 8: its user 9 is not in auth_user`, notTaken)
	f(`{"model": "authentication.userprofile", "pk": 8, "fields": {"user": 1, "main_character": null, "state": 3}}`, 0, 0,
		`auth_user id 1: its state 3 is not in authentication_state`, notTaken)
	f(`{"model": "authentication.userprofile", "pk": 8, "fields": {"user": 1, "main_character": 77, "state": 2}}`, 1, 1,
		`authentication_userprofile id 8: its main character 77 is not owned by its user: the user is taken over without a main`)
	f(`{"model": "authentication.characterownership", "pk": 6, "fields": {"user": 1, "character": 7, "owner_hash": "h"}}`, 1, 0,
		`memberaudit_character id 6: its character 7 is not in eveonline_evecharacter`,
		`authentication_characterownership id 6: its character 7 is not in eveonline_evecharacter`,
		`authentication_userprofile id 8: its main character 5 is not owned by its user: the user is taken over without a main`)
	f(`{"model": "authentication.characterownership", "pk": 66, "fields": {"user": 1, "character": 5, "owner_hash": "g"}}`, 1, 1,
		`authentication_characterownership id 66: its character is owned already, by ownership 6`)
	f(`{"model": "eveonline.evecharacter", "pk": 55, "fields": {"character_id": 90000001, "character_name": "One", "corporation_id": 98000001, "alliance_id": null}}`, 1, 1,
		`eveonline_evecharacter id 55: it is the same character as id 5`)
	f(`{"model": "memberaudit.character", "pk": 67, "fields": {"is_shared": false}}`, 1, 1, `memberaudit_character id 67: its ownership is not in authentication_characterownership`)
	f(`{"model": "memberaudit.character", "pk": 1, "fields": {"is_shared": false, "eve_character": 5}}`, 1, 1, `memberaudit_character id 1: its character is registered twice`)
	f(`{"model": "memberaudit.character", "pk": 1, "fields": {"is_shared": true, "eve_character": 59}}
{"model": "eveonline.evecharacter", "pk": 59, "fields": {"character_id": 90000009, "character_name": "Nine", "corporation_id": 98000001, "alliance_id": null}}`, 1, 2,
		`memberaudit_character id 1: it is shared, and there is nobody who shares it: it is taken over as not shared`)
	f(`{"model": "memberaudit.skillset", "pk": 1, "fields": {"name": "Empty", "description": "", "ship_type": null, "is_visible": true}}
{"model": "memberaudit.skillsetskill", "pk": 1, "fields": {"skill_set": 2, "eve_type": 3300, "required_level": 1, "recommended_level": null}}
{"model": "memberaudit.skillset", "pk": 3, "fields": {"name": "Half", "description": "", "ship_type": null, "is_visible": true}}
{"model": "memberaudit.skillsetskill", "pk": 2, "fields": {"skill_set": 3, "eve_type": 3300, "required_level": 1, "recommended_level": null}}
{"model": "memberaudit.skillsetskill", "pk": 3, "fields": {"skill_set": 3, "eve_type": 3301, "required_level": 6, "recommended_level": null}}
{"model": "memberaudit.skillsetgroup", "pk": 4, "fields": {"name": "All", "description": "", "is_doctrine": false, "is_active": true, "skill_sets": [3]}}`, 1, 1,
		`memberaudit_skillsetskill id 3: its required_level "6" is no level: they go from 1 to 5`,
		`memberaudit_skillsetskill skill_set_id 2: there is no such set, or it was left out`,
		`memberaudit_skillset id 1: skill set "Empty": skills: there must be at least one: a set without skills would be passed by everybody`,
		`memberaudit_skillset id 3: one of its skills was left out`,
		`memberaudit_skillsetgroup_skill_sets skillsetgroup_id 4, skillset_id 3: the set is not there, or was left out`)
}

func TestPermissionsThatCannotBeTracedGiveNothing(t *testing.T) {
	read, err := allianceauth.Read(small(
		`{"model": "auth.user", "pk": 1, "fields": {"username": "one", "is_superuser": false, "is_active": true, "groups": [3, 4], "user_permissions": [21, 22, 23]}}`,
		`{"model": "auth.group", "pk": 3, "fields": {"name": "g", "permissions": [24]}}`,
		`{"model": "auth.permission", "pk": 21, "fields": {"codename": "basic_access", "content_type": 9}}`,
		`{"model": "auth.permission", "pk": 22, "fields": {"codename": "finder_access", "content_type": 8}}`,
		`{"model": "auth.permission", "pk": 24, "fields": {"codename": "reports_access", "content_type": 8}}`,
		`{"model": "contenttypes.contenttype", "pk": 8, "fields": {"app_label": "memberaudit", "model": "general"}}`,
	), allianceauth.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"finder_access", "reports_access"}, read.Organisation.Users[0].Permissions)
	require.Equal(t, []allianceauth.LeftOut{
		{Table: "auth_permission", Row: "id 21", Reason: "its content type 9 is not in django_content_type, so its application is not known"},
		{Table: "auth_permission", Row: "id 23", Reason: "somebody was given it, and it is not there"},
		{Table: "auth_user_groups", Row: "user_id 1, group_id 4", Reason: "there is no such group in auth_group"},
	}, read.LeftOut)
}

func TestATableThatIsMissingIsNamedWithHowToDumpIt(t *testing.T) {
	entries, err := os.ReadDir("testdata/1.9.4/csv")
	require.NoError(t, err)
	for _, missing := range entries {
		dump := fstest.MapFS{}
		for _, e := range entries {
			if e != missing {
				content, err := os.ReadFile("testdata/1.9.4/csv/" + e.Name())
				require.NoError(t, err)
				dump[e.Name()] = &fstest.MapFile{Data: content}
			}
		}
		table := strings.TrimSuffix(missing.Name(), ".csv")
		read, err := allianceauth.Read(dump, allianceauth.Options{})
		if table == "memberaudit_skillsetgroup" {
			require.NoError(t, err, "there may be no groups")
			require.Empty(t, read.Groups)
			continue
		}
		require.Error(t, err, table)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, "\n  "+table+": `python manage.py dumpdata ")
		require.ErrorContains(t, err, `\copy `+table+` to '`+table+`.csv' csv header`)
		require.Equal(t, 1, strings.Count(err.Error(), "\n"), "no other is: %v", err)
	}
	_, err = allianceauth.Read(small(), allianceauth.Options{Tokens: fstest.MapFS{}})
	require.ErrorContains(t, err, "esi_token: `python manage.py dumpdata esi.token -o esi_token.json`")
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	f := func(name, content, want string) {
		t.Helper()
		dump := small()
		dump[name] = &fstest.MapFile{Data: []byte(content)}
		_, err := allianceauth.Read(dump, allianceauth.Options{})
		require.ErrorContains(t, err, name+": ")
		require.ErrorContains(t, err, want)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	}
	f("a.json", `{"users": []}`, "it is not the list of records")
	f("a.json", `[{"model": "auth.group"`, "the file ends too early")
	f("a.json", `[] []`, "something follows the end")
	f("a.json", `[{"model": "auth.group", "pk": ["Members"], "fields": {}}]`, "dump without --natural-foreign")
	f("a.json", `[{"model": "auth.permission", "pk": 1, "fields": {"codename": "c", "content_type": ["memberaudit", "general"]}}]`, "auth.permission id 1, field content_type: it is not the number of a record")
	f("a.json", `[{"model": "auth.group", "pk": 1, "fields": {"permissions": [["basic_access", "memberaudit", "general"]]}}]`, "auth.group id 1, field permissions")
	f("auth_group.csv", "", "it is empty")
	f("auth_group.csv", "name\nx\n", "there is no column id among the 1 that its header names")
	f("auth_group.csv", "id,name\n1,a\n2\n", "line 3: wrong number of fields")
	f("auth_group.csv", "id,name\n1,\"a\n", "line 2: extraneous or missing")
	f("auth_group.tsv", "id\tname\n1\ta\tb\n", "line 2: it has 3 values, there are 2 columns")
	f("auth_group.tsv", "id\tname\n1\ta\\", "ends after a backslash")
	f("auth_group.txt", "1\ta\n", "auth_group.sql is missing")
	f("esi_token.csv.json", "oops", "it is not the list of records")

	_, err := allianceauth.Read(fstest.MapFS{"auth_group.csv": {Data: []byte("id\n1\n")}, "auth_group.tsv": {Data: []byte("id\n1\n")}}, allianceauth.Options{})
	require.ErrorContains(t, err, "the table auth_group is in auth_group.csv and in auth_group.tsv")
}

func TestALoginIsInNoErrorAndNoReason(t *testing.T) {
	const refresh = "s3cr3t"
	for _, tokens := range []string{
		`[{"model": "esi.token", "pk": 1, "fields": {"refresh_token": "s3cr3t", "character_id": "s3cr3t", "character_owner_hash": "s3cr3t", "scopes": []}}]`,
		`[{"model": "esi.token", "pk": 1, "fields": {"refresh_token": ["s3cr3t"], "character_id": 1, "character_owner_hash": "h", "scopes": []}}]`,
		`[{"model": "esi.token", "pk": 1, "fields": {"refresh_token": "s3cr3t`,
		`[{"model": "esi.token", "pk": 1, "fields": {"refresh_token": s3cr3t}}]`,
		`[{"model": "esi.token", "pk": 1, "fields": {"refresh_token": "s3cr3t", "scopes": "s3cr3t"}}]`,
	} {
		read, err := allianceauth.Read(small(), allianceauth.Options{Tokens: fstest.MapFS{"t.json": {Data: []byte(tokens)}}})
		if err != nil {
			require.NotContains(t, err.Error(), refresh)
			continue
		}
		for _, l := range read.LeftOut {
			require.NotContains(t, l.Row+l.Reason, refresh)
		}
		require.NotEmpty(t, read.LeftOut)
	}
	_, err := allianceauth.Read(small(), allianceauth.Options{Tokens: fstest.MapFS{"esi_token.csv": {Data: []byte("id,refresh_token\n1,\"s3cr3t\"s3cr3t\n")}}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), refresh)
}

// long is a folder with one file that is made while it is read.
type long struct {
	fs.FS

	file func() io.Reader
}

func (l long) Open(name string) (fs.File, error) {
	if name == "assets.json" {
		return longFile{l.file()}, nil
	}
	return l.FS.Open(name)
}

func (l long) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(l.FS, name)
	return append(entries, fs.FileInfoToDirEntry(longFile{})), err
}

type longFile struct{ io.Reader }

func (longFile) Name() string                 { return "assets.json" }
func (longFile) Size() int64                  { return 0 }
func (longFile) Mode() fs.FileMode            { return 0 }
func (longFile) ModTime() time.Time           { return time.Time{} }
func (longFile) IsDir() bool                  { return false }
func (longFile) Sys() any                     { return nil }
func (longFile) Close() error                 { return nil }
func (l longFile) Stat() (fs.FileInfo, error) { return l, nil }

// repeated reads a text many times over, between a beginning and an end.
func repeated(open, text string, times int, end string) io.Reader {
	readers := []io.Reader{strings.NewReader(open)}
	for range times {
		readers = append(readers, strings.NewReader(text))
	}
	return io.MultiReader(append(readers, strings.NewReader(end))...)
}

func TestWhatIsNotReadOfADumpIsNotHeld(t *testing.T) {
	record := `{"model": "memberaudit.characterasset", "pk": 1, "fields": {"name": "` + strings.Repeat("x", 1<<20) + `"}},`
	dump := long{small(), func() io.Reader { return repeated("[", record, 64, `{"model": "a", "pk": 1, "fields": {}}]`) }}
	var most uint64
	dump.FS = small()
	read, err := allianceauth.Read(watched{dump, &most}, allianceauth.Options{})
	require.NoError(t, err)
	require.Len(t, read.Organisation.Users, 1)
	require.Less(t, most, uint64(48<<20), "64 MiB went by")
}

// watched notes how much was in use when a file was opened or a part of it read.
type watched struct {
	long

	most *uint64
}

func (w watched) Open(name string) (fs.File, error) {
	file, err := w.long.Open(name)
	return watchedFile{file, w.most}, err
}

type watchedFile struct {
	fs.File

	most *uint64
}

func (w watchedFile) Read(p []byte) (int, error) {
	n, err := w.File.Read(p)
	if n > 1<<16 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		*w.most = max(*w.most, m.HeapAlloc)
	}
	return n, err
}

func TestARecordThatNeverEndsIsRefused(t *testing.T) {
	_, err := allianceauth.Read(long{small(), func() io.Reader {
		return repeated(`[{"model": "x`, strings.Repeat("x", 1<<20), 40, "")
	}}, allianceauth.Options{})
	require.ErrorContains(t, err, "a record is longer than 16 MiB")
}

func FuzzADumpIsReadOrRefused(f *testing.F) {
	for _, d := range dumps {
		folder := os.DirFS(path.Join("testdata", d.version, d.form))
		entries, err := fs.ReadDir(folder, ".")
		require.NoError(f, err)
		for _, e := range entries {
			content, err := fs.ReadFile(folder, e.Name())
			require.NoError(f, err)
			f.Add(e.Name(), content)
		}
	}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if !fs.ValidPath(name) || strings.Contains(name, "/") || name == "." {
			return
		}
		dump := maps.Clone(small())
		dump[name] = &fstest.MapFile{Data: content}
		dump["auth_group.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE `auth_group` (\n  `id` int,\n  `name` text\n)")}
		read, err := allianceauth.Read(dump, allianceauth.Options{Tokens: dump})
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
			return
		}
		file, err := json.Marshal(read.Organisation)
		require.NoError(t, err)
		_, rejections, err := access.ReadOrganisation(bytes.NewReader(file))
		require.NoError(t, err)
		require.Empty(t, rejections)
		for _, set := range read.SkillSets {
			require.NoError(t, set.Validate())
		}
		twice, err := allianceauth.Read(dump, allianceauth.Options{Tokens: dump})
		require.NoError(t, err)
		require.Equal(t, read, twice)
	})
}

// Defect 15 of Member Audit (1.9.4), in part: numbers of profiles are taken for those of
// users, so that reports have the rows of the wrong ones where they differ.
func TestDefect15AProfilesNumberIsNotItsUsers(t *testing.T) {
	read, err := allianceauth.Read(small(
		`{"model": "authentication.userprofile", "pk": 8, "fields": {"user": 1, "main_character": 5, "state": 2}}`,
		`{"model": "auth.user", "pk": 8, "fields": {"username": "eight", "is_superuser": false, "is_active": true, "groups": [], "user_permissions": []}}`,
		`{"model": "authentication.userprofile", "pk": 1, "fields": {"user": 8, "main_character": null, "state": 3}}`,
		`{"model": "authentication.state", "pk": 3, "fields": {"name": "Guest", "permissions": []}}`,
	), allianceauth.Options{})
	require.NoError(t, err)
	require.Empty(t, read.LeftOut)
	one, eight := read.Organisation.Users[0], read.Organisation.Users[1]
	require.Equal(t, []string{"one", "Member", "eight", "Guest"}, []string{one.Name, one.State, eight.Name, eight.State})
	require.Equal(t, int64(90000001), *one.Main)
	require.Nil(t, eight.Main)
}

// big writes a dump of many users with five characters each.
func big(w io.Writer, users int) {
	separator := "["
	record := func(model string, pk int, fields string) {
		_, _ = fmt.Fprintf(w, `%s{"model": %q, "pk": %d, "fields": %s}`, separator, model, pk, fields)
		separator = ",\n"
	}
	record("authentication.state", 1, `{"name": "Member", "permissions": []}`)
	for u := 1; u <= users; u++ {
		record("auth.user", u, fmt.Sprintf(`{"username": "user %d", "is_superuser": false, "is_active": true, "groups": [], "user_permissions": []}`, u))
		record("authentication.userprofile", u, fmt.Sprintf(`{"user": %d, "main_character": %d, "state": 1}`, u, 5*u))
		for c := 5 * u; c < 5*u+5; c++ {
			record("eveonline.evecharacter", c, fmt.Sprintf(`{"character_id": %d, "character_name": "Character %d", "corporation_id": 98000001, "alliance_id": 99000001}`, 90000000+c, c))
			record("authentication.characterownership", c, fmt.Sprintf(`{"character": %d, "user": %d, "owner_hash": "hash-%022d="}`, c, u, c))
			record("memberaudit.character", c, `{"is_shared": true}`)
		}
	}
	_, _ = io.WriteString(w, "]")
}

func TestFiftyThousandCharactersAreHeldInLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	read, err := allianceauth.Read(long{fstest.MapFS{}, func() io.Reader {
		r, w := io.Pipe()
		go func() {
			buffered := bufio.NewWriter(w)
			big(buffered, 10_000)
			_ = buffered.Flush()
			_ = w.Close()
		}()
		return r
	}}, allianceauth.Options{})
	require.NoError(t, err)
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Len(t, read.Organisation.Users, 10_000)
	require.Len(t, read.Organisation.Characters, 50_000)
	require.Empty(t, read.LeftOut)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(64<<20))
	runtime.KeepAlive(read)
}
