package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/schedule"
	pgviews "github.com/muster-sync/muster/projections/postgres"
)

// pageRow is what the page about sections says of how a section is read and
// where it is shown.
func pageRow(section esi.Section) string {
	quoted := func(texts []string) string {
		if len(texts) == 0 {
			return "-"
		}
		return "`" + strings.Join(texts, "`, `") + "`"
	}
	var views []string
	for _, set := range pgviews.FieldSets() {
		if set.Section == section.Name && !slices.Contains(views, set.View) {
			views = append(views, set.View)
		}
	}
	if section.Name == eve.SectionWalletJournal {
		views = nil // it lies in ClickHouse
	}
	paths := []string{string(section.Name)}
	switch section.Name {
	case eve.SectionContracts:
		paths = append(paths, "contracts/{contract_id}")
	case eve.SectionMails:
		paths = append(paths, "mails/{mail_id}")
	case eve.SectionKillmails:
		paths = append(paths, "killmails/{killmail_id}")
	}
	minutes := int(schedule.DefaultIntervals()[section.Name].Minutes())
	return fmt.Sprintf("| `%s` | %d | %s | %s | %s |", section.Name, minutes, quoted(section.Scopes()), quoted(views), quoted(paths))
}

func TestThePageAboutSectionsIsTrue(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "sections.md"))
	require.NoError(t, err)
	lines := strings.Split(string(page), "\n")
	for _, section := range esi.Sections(esi.Options{}) {
		require.Contains(t, lines, pageRow(section))
		told := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "| `"+string(section.Name)+"` |") })
		require.GreaterOrEqual(t, told, 0)
		require.Equal(t, 6, strings.Count(lines[told], "|"), "%s: how it is told, its key, what gone means and what is written", section.Name)
		shape, _ := eve.ShapeOf(section.Name)
		keys := []string{}
		for _, list := range shape.Lists {
			keys = append(keys, list.Key...)
		}
		if shape.Records != nil {
			keys = append(keys, shape.Records.Key...)
		}
		for _, key := range keys {
			require.Contains(t, lines[told], "`"+key+"`", section.Name)
		}
	}
}

// What the page about dependencies lists is what is built in, at these versions.
func TestThePageAboutDependenciesIsUpToDate(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "dependencies.md"))
	require.NoError(t, err)
	modules, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	require.NoError(t, err)
	_, listed, ok := strings.Cut(string(page), "## In the program")
	require.True(t, ok)
	listed, _, ok = strings.Cut(listed, "## ")
	require.True(t, ok)
	rows := 0
	for line := range strings.Lines(listed) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		rows++
		require.Contains(t, string(modules), strings.Trim(cells[1], " `")+" "+strings.TrimSpace(cells[2]), "run `make sbom`")
	}
	require.Greater(t, rows, 50)
}
