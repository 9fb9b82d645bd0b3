package anvil_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/ingest/anvil"
	simulator "github.com/muster-sync/muster/internal/simulate/anvil"
	"github.com/muster-sync/muster/internal/simulate/fault"
)

var everythingIsMissing = fault.Fault{Kind: fault.Maintenance}

func decodeVectors(t testing.TB, data []byte) []domain.Vector {
	t.Helper()
	var all []domain.Vector
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		v, err := domain.DecodeVector(lines.Bytes())
		require.NoError(t, err)
		all = append(all, v)
	}
	require.NoError(t, lines.Err())
	return all
}

// ownVectors were worked out by hand from the rules of the audits.
func ownVectors(t testing.TB) []domain.Vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.jsonl")
	require.NoError(t, err)
	return decodeVectors(t, data)
}

// simulatedVector is the strict simulator with a vector's answers and no others.
func simulatedVector(t testing.TB, v domain.Vector) (*simulator.Simulator, anvil.ClientConfig) {
	t.Helper()
	data, err := json.Marshal(v.Answers)
	require.NoError(t, err)
	var answers []simulator.Answer
	require.NoError(t, json.Unmarshal(data, &answers))
	s, err := simulator.NewFromVector(simulator.Config{NoToken: true}, answers)
	require.NoError(t, err)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return s, anvil.ClientConfig{
		SamURL: server.URL, RawlsURL: server.URL, Credentials: anvil.NoCredentials, FirstPause: time.Microsecond, Attempts: 2,
	}
}

// requireWholePath takes a vector all the way: it is declared, AnVIL is asked
// over HTTP, the events of both are read back as they stand in the log and
// folded, and the audit of the fold is what the vector expects, aborted audits
// included.
func requireWholePath(t *testing.T, v domain.Vector) {
	t.Helper()
	s, config := simulatedVector(t, v)
	b := newBench(t, newClient(t, config))
	for range 2 {
		_, err := b.Run(t.Context(), consortium, v.Declared, nil)
		require.NoError(t, err)
		require.Empty(t, s.Violations(), "nothing is asked that no audit needs")
		state := b.log.fold(t, v.Declared)
		require.Equal(t, v.Declared, state.Declared())
		require.Empty(t, v.CompareResult(state.Audit(domain.Options{Compat: true}), nil))
	}
}

func TestEachVectorAgreesAllTheWayFromItsDeclarationToItsAudit(t *testing.T) {
	for name, load := range map[string]func(testing.TB) []domain.Vector{"acceptance": vectors, "own": ownVectors} {
		t.Run(name, func(t *testing.T) {
			for _, v := range load(t) {
				t.Run(v.Name, func(t *testing.T) { requireWholePath(t, v) })
			}
		})
	}
}

func TestOwnVectorsComeOutAsExpectedFromFilesToo(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.jsonl")
	require.NoError(t, err)
	report, err := domain.RunVectors(bytes.NewReader(data), nil)
	require.NoError(t, err)
	require.Empty(t, report.Lines)
	require.GreaterOrEqual(t, report.Cases, 10)
}

// A test of vectors is worth something only if a wrong world does not pass.
func TestAVectorThatExpectsSomethingElseDoesNotAgree(t *testing.T) {
	for _, v := range ownVectors(t) {
		s, config := simulatedVector(t, v)
		b := newBench(t, newClient(t, config))
		require.NoError(t, s.Faults().Add(everythingIsMissing))
		_, err := b.Run(t.Context(), consortium, v.Declared, nil)
		require.NoError(t, err)
		require.NotEmpty(t, v.CompareResult(b.log.fold(t, v.Declared).Audit(domain.Options{Compat: true}), nil), v.Name)
	}
}
