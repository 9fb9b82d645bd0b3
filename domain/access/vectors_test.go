package access_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/vector"
)

// vectorFile is a file of acceptance vectors, which lies beside the repository.
func vectorFile(tb testing.TB, kind access.VectorKind) []byte {
	tb.Helper()
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors", "eve", string(kind)+".jsonl"))
	if err != nil {
		tb.Skipf("no acceptance vectors: set MUSTER_SHARED_DIR to the folder that holds vectors/eve (%v)", err)
	}
	return data
}

func TestAllVectorsComeOutAsExpected(t *testing.T) {
	f := func(kind access.VectorKind, cases int) {
		t.Helper()
		report, err := access.RunVectors(bytes.NewReader(vectorFile(t, kind)), kind)
		require.NoError(t, err)
		require.Equal(t, vector.Report{Cases: cases}, report)
	}
	f(access.VectorsOfAccess, 50)
	f(access.VectorsOfCompliance, 20)
}

const (
	smallOrg = `{"users":[{"id":"u1","superuser":false,"active":true,"state":"Member","permissions":["basic_access"],"main":null,"characters":[9007199254740993]}],` +
		`"characters":[{"id":9007199254740993,"corporation_id":1,"alliance_id":null,"registered":true,"shared":false,"owner":"u1"}]}`
	smallVector = `{"kind":"access","name":"small","note":"","org":` + smallOrg + `,"expected":{"viewer":{"u1":[9007199254740993]},` +
		`"accessible_users":{"u1":[]},"finder":{"u1":[]},"exports":{"u1":false},"can_share":{"u1":false}}}`
	smallReport = `{"kind":"compliance","name":"report","note":"","org":` + smallOrg + `,"expected":{"users":[{"user":"u1","main":null,"total":1,"unregistered":0,"registered":true,"compliant":false}],"corporations":[]}}`
)

func TestVectorsReportDifferencesByName(t *testing.T) {
	f := func(old, new string, want ...string) {
		t.Helper()
		changed := strings.Replace(smallVector, old, new, 1)
		require.NotEqual(t, smallVector, changed)
		report, err := access.RunVectors(strings.NewReader(smallVector+"\n\n"+changed+"\n"), access.VectorsOfAccess)
		require.NoError(t, err)
		require.Equal(t, vector.Report{Cases: 2, Differ: 1, Lines: want}, report)
	}
	f(`"exports":{"u1":false}`, `"exports":{"u1":true}`, `small: result.exports.u1 is false, expected true`)
	f(`"exports":{"u1":false}`, `"exports":{}`, `small: result.exports.u1 is false, expected none`)
	f(`"exports":{"u1":false},`, ``, `small: result.exports is {"u1":false}, expected none`)
	f(`"finder":{"u1":[]}`, `"finder":{"u1":[],"u2":[]}`, `small: result.finder.u2 is missing, expected []`)
	// Two ids that are one as a floating point number.
	f(`{"viewer":{"u1":[9007199254740993]}`, `{"viewer":{"u1":[9007199254740992]}`, `small: result.viewer.u1 is [9007199254740993], expected [9007199254740992]`)
	f(`"finder":{"u1":[]}`, `"finder":{"u1":null}`, `small: result.finder.u1 is [], expected null`)
}

func TestReasonsAreNoPartOfWhatIsExpected(t *testing.T) {
	report, err := access.RunVectors(strings.NewReader(smallReport), access.VectorsOfCompliance)
	require.NoError(t, err)
	require.Equal(t, vector.Report{Cases: 1}, report)
	var out strings.Builder
	_, err = report.WriteTo(&out)
	require.NoError(t, err)
	require.Equal(t, "1 cases, 0 differ\n", out.String())
}

func TestVectorsNameBrokenLinesAndGoOn(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		report, err := access.RunVectors(strings.NewReader(line+"\n"+smallVector+"\n"), access.VectorsOfAccess)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, "1 lines are no vectors of access, the first: line 1: ")
		require.ErrorContains(t, err, want)
		require.Equal(t, 1, report.Cases)
		require.Zero(t, report.Differ)
		require.Len(t, report.Lines, 1)
	}
	f(`{"name":`, "not a vector")
	f(`{}`, "kind, name, org and expected must all be there")
	f(`7`, "not a vector")
	f(smallVector+" {}", "something follows the end")
	f(smallReport, `vector report is of kind "compliance", expected "access": is it the right file?`)
	f(strings.Replace(smallVector, `"note"`, `"skills"`, 1), `unknown field "skills"`)
	f(strings.Replace(smallVector, `"owner":"u1"`, `"owner":"u2"`, 1), `vector small: character 9007199254740993: its owner "u2" is no user of this file, or was rejected`)
	f(strings.Replace(smallVector, `"users":[`, `"people":[`, 1), `key "people" is not known`)

	_, err := access.RunVectors(strings.NewReader("\n"), access.VectorsOfAccess)
	require.ErrorContains(t, err, "holds no vector")
}

func FuzzDecodeVector(f *testing.F) {
	f.Add([]byte(smallVector))
	f.Add([]byte(smallReport))
	f.Add([]byte(`{"kind":"x","name":"n","org":{"users":[],"characters":[]},"expected":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		v, err := access.DecodeVector(line)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		v.Compare()
	})
}
