package esi

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// discard is a client that reads nothing.
type discard struct {
	header http.Header
	bytes  int64
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(b []byte) (int, error) {
	d.bytes += int64(len(b))
	return len(b), nil
}

// BenchmarkTenThousandCharacters asks for all sections of all characters in
// turn, without the cost of a network. The memory
// it reports is all that the process has, the requests themselves included.
func BenchmarkTenThousandCharacters(b *testing.B) {
	sim, err := New(Config{Seed: 1, Characters: 10_000, StateDir: b.TempDir()})
	require.NoError(b, err)
	defer sim.Close()
	handler := sim.Handler()
	var requests []*http.Request
	for id := FirstCharacter; id < FirstCharacter+10_000; id++ {
		token, err := sim.tokens.access(id, 0, sim.clock.Wall())
		require.NoError(b, err)
		for _, rest := range []string{"", "/location", "/wallet", "/wallet/journal"} {
			r := request(http.MethodGet, path(id, rest), nil)
			r.Header.Set("Authorization", "Bearer "+token)
			requests = append(requests, r)
		}
	}
	b.ResetTimer()
	d := &discard{}
	for i := range b.N {
		d.header = http.Header{}
		handler.ServeHTTP(d, requests[i%len(requests)])
	}
	b.StopTimer()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(memory.Sys)/1e6, "MB-of-the-system")
	b.ReportMetric(float64(d.bytes)/float64(b.N), "B/answer")
}
