package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
)

// peerSettings are the settings of Member Audit, those of 1.9.4 first, and of what it
// leans on.
func peerSettings() []string {
	return []string{
		"MEMBERAUDIT_APP_NAME", "MEMBERAUDIT_DATA_RETENTION_LIMIT", "MEMBERAUDIT_ESI_ERROR_LIMIT_THRESHOLD", "APPUTILS_ESI_ERROR_LIMIT_THRESHOLD",
		"APPUTILS_ESI_DOWNTIME_START", "APPUTILS_ESI_DOWNTIME_END", "APP_UTILS_NOTIFY_THROTTLED_TIMEOUT", "MEMBERAUDIT_BULK_METHODS_BATCH_SIZE",
		"MEMBERAUDIT_LOCATION_STALE_HOURS", "MEMBERAUDIT_MAX_MAILS", "MEMBERAUDIT_TASKS_MAX_ASSETS_PER_PASS", "MEMBERAUDIT_TASKS_TIME_LIMIT",
		"MEMBERAUDIT_TASKS_OBJECT_CACHE_TIMEOUT", "MEMBERAUDIT_UPDATE_STALE_RING_1", "MEMBERAUDIT_UPDATE_STALE_RING_2", "MEMBERAUDIT_UPDATE_STALE_RING_3",
		"MEMBERAUDIT_UPDATE_STALE_OFFSET", "MEMBERAUDIT_LOG_UPDATE_STATS", "MEMBERAUDIT_DATA_EXPORT_MIN_UPDATE_AGE", "MEMBERAUDIT_DEVELOPER_MODE",

		"MEMBERAUDIT_SECTION_STALE_MINUTES_GLOBAL_DEFAULT", "MEMBERAUDIT_SECTION_STALE_MINUTES_CONFIG", "MEMBERAUDIT_STORE_ESI_DATA_ENABLED",
		"MEMBERAUDIT_STORE_ESI_DATA_SECTIONS", "MEMBERAUDIT_STORE_ESI_DATA_CHARACTERS", "MEMBERAUDIT_FEATURE_ROLES_ENABLED", "MEMBERAUDIT_NOTIFY_TOKEN_ERRORS",
		"MEMBERAUDIT_SHARING_TIMEOUT", "MEMBERAUDIT_TASKS_HIGH_PRIORITY", "MEMBERAUDIT_TASKS_NORMAL_PRIORITY", "MEMBERAUDIT_TASKS_LOW_PRIORITY", "CELERYBEAT_SCHEDULE",
	}
}

// binary are the variables and the commands that the binary's help names.
func binary(t *testing.T) (variables, commands []string) {
	t.Helper()
	var cli commandLine
	grammar, err := kong.New(&cli, kong.Vars{"version": version, "data_dir": defaultDataDir()}, kong.Name("muster"))
	require.NoError(t, err)
	require.NoError(t, kong.Visit(grammar.Model, func(node kong.Visitable, next kong.Next) error {
		switch node := node.(type) {
		case *kong.Flag:
			variables = append(variables, node.Envs...)
		case *kong.Command:
			commands = append(commands, strings.TrimSpace(strings.SplitN(strings.TrimPrefix(node.FullPath(), "muster"), "<", 2)[0]))
		}
		return next(nil)
	}))
	return variables, commands
}

// tableRows are the rows of all tables of a page, cell by cell.
func tableRows(page string) [][]string {
	var rows [][]string
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| ---") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestThePageAboutComingFromMemberAuditIsTrue(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "coming-from-member-audit.md"))
	require.NoError(t, err)
	page := string(content)
	first := map[string]bool{}
	for _, row := range tableRows(page) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[0], -1) {
			word, _, _ := strings.Cut(name[1], " ")
			first[word] = true
			require.NotEmpty(t, row[1], word)
		}
	}
	for _, setting := range peerSettings() {
		require.True(t, first[setting], "the page has no row for %s", setting)
	}
	for _, permission := range access.Permissions() {
		require.True(t, first[string(permission)], "the page has no row for %s", permission)
	}
	for _, command := range []string{"memberaudit_data_export", "memberaudit_load_eve", "memberaudit_reset_characters", "memberaudit_update_characters", "memberaudit_stats"} {
		require.True(t, first[command], "the page has no row for %s", command)
	}

	variables, commands := binary(t)
	for _, name := range regexp.MustCompile(`MUSTER_[A-Z_]+`).FindAllString(page, -1) {
		require.Contains(t, variables, name, "the page names a variable that nothing reads")
	}
	require.NotEmpty(t, commands)
	// What follows these is an argument.
	arguments := []string{"export"}
	for _, named := range regexp.MustCompile("`muster ([a-z]+(?: [a-z]+(?:-[a-z]+)?)?)").FindAllStringSubmatch(page, -1) {
		head, _, more := strings.Cut(named[1], " ")
		require.Contains(t, commands, head)
		if more && !slices.Contains(arguments, head) {
			require.Contains(t, commands, named[1], "the page names a command that is not there")
		}
	}
}

func TestTheSettingsInStatsAreThoseOfMemberAudit(t *testing.T) {
	shown := (&roles{environment: &environment{settings: &settings{}}}).shownSettings(nil)
	// Those that came after 1.9.4 are not in its statistics.
	for _, name := range peerSettings()[:20] {
		if strings.HasPrefix(name, "MEMBERAUDIT_") {
			require.Contains(t, shown, name)
		}
	}
	require.Contains(t, shown, "CELERYBEAT_SCHEDULE")
	variables, _ := binary(t)
	for name := range shown {
		if strings.HasPrefix(name, "MUSTER_") {
			require.Contains(t, variables, name)
			require.NotRegexp(t, "SECRET|TOKEN|DSN|KEY|PASSWORD|CONTACT|EMAIL", name)
		}
	}
}

// testsIn are the tests of a package, by name.
func testsIn(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "there is no package %s with tests", folder)
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func TestEveryDefectOfMemberAuditHasATest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "defects.md"))
	require.NoError(t, err)
	rows := tableRows(string(page))[1:]
	require.Len(t, rows, 22)
	named := regexp.MustCompile("`([a-z/]+)` `(Test[A-Za-z0-9]+)`")
	for i, row := range rows {
		require.Len(t, row, 3)
		require.Equal(t, strconv.Itoa(i+1), row[0])
		require.NotEmpty(t, row[1])
		tests := named.FindAllStringSubmatch(row[2], -1)
		if strings.HasPrefix(row[2], "not yet: ") {
			require.Empty(t, tests)
			continue
		}
		require.NotEmpty(t, tests, "defect %s", row[0])
		for _, test := range tests {
			require.Contains(t, testsIn(t, test[1]), test[2], "defect %s is shown by a test of %s that is not there", row[0], test[1])
		}
	}
}
