package anvil_test

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/vector"
)

// vectorFile is the file of acceptance vectors, which lies beside the
// repository.
func vectorFile(tb testing.TB) []byte {
	tb.Helper()
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors", "anvil", "cases.jsonl"))
	if err != nil {
		tb.Skipf("no acceptance vectors: set MUSTER_SHARED_DIR to the folder that holds vectors/anvil/cases.jsonl (%v)", err)
	}
	return data
}

func vectors(tb testing.TB) []anvil.Vector {
	tb.Helper()
	var all []anvil.Vector
	lines := bufio.NewScanner(bytes.NewReader(vectorFile(tb)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		v, err := anvil.DecodeVector(lines.Bytes())
		require.NoError(tb, err)
		all = append(all, v)
	}
	require.NoError(tb, lines.Err())
	return all
}

func TestAllVectorsComeOutAsExpected(t *testing.T) {
	report, err := anvil.RunVectors(bytes.NewReader(vectorFile(t)), nil)
	require.NoError(t, err)
	require.Empty(t, report.Lines)
	require.Equal(t, 120, report.Cases)
	require.Zero(t, report.Differ)
	var out strings.Builder
	_, err = report.WriteTo(&out)
	require.NoError(t, err)
	require.Equal(t, "120 cases, 0 differ\n", out.String())
}

const smallVector = `{"name":"small","note":"","declared":{"service_account":"app@example.com","accounts":[{"email":"A@example.com"}]},` +
	`"anvil":[{"service":"sam","method":"GET","path":"/api/users/v1/a@example.com","query":"","status":404,"body":null}],` +
	`"expected":{"accounts":{"ok":false,"verified":[],"errors":{"a@example.com":["Not in AnVIL"]},"not_in_app":[],"ignored":[],"ignored_unmatched":[]}}}`

func TestVectorsReportDifferencesByNameAndOnlyInTheModelsAsked(t *testing.T) {
	report, err := anvil.RunVectors(strings.NewReader(smallVector+"\n"), []string{"accounts"})
	require.NoError(t, err)
	require.Equal(t, vector.Report{Cases: 1}, report)

	changed := strings.Replace(smallVector, "Not in AnVIL", "not in anvil", 1)
	report, err = anvil.RunVectors(strings.NewReader(smallVector+"\n\n"+changed), []string{"accounts"})
	require.NoError(t, err)
	require.Equal(t, 2, report.Cases)
	require.Equal(t, 1, report.Differ)
	require.Equal(t, []string{`small: accounts.errors.a@example.com is ["Not in AnVIL"], expected ["not in anvil"]`}, report.Lines)

	report, err = anvil.RunVectors(strings.NewReader(smallVector), nil)
	require.NoError(t, err)
	require.Equal(t, 1, report.Differ, "what is expected of the other models is not in the vector")

	_, err = anvil.RunVectors(strings.NewReader(smallVector), []string{"nonsense"})
	require.ErrorContains(t, err, `model "nonsense": must be one of`)
}

func TestVectorsNameBrokenLinesAndGoOn(t *testing.T) {
	report, err := anvil.RunVectors(strings.NewReader("{\"name\":\n"+smallVector+"\n{}\n"), []string{"accounts"})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "2 lines are no vectors, the first: line 1:")
	require.Equal(t, 1, report.Cases)
	require.Len(t, report.Lines, 2)
	require.Contains(t, report.Lines[1], "line 3: not a vector")

	_, err = anvil.RunVectors(strings.NewReader(""), nil)
	require.ErrorContains(t, err, "holds no vector")
}
