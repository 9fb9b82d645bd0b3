package esi

import (
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// discard is a client that reads nothing but the number of pages.
type discard struct {
	header http.Header
	status int
	bytes  int64
}

func (d *discard) Header() http.Header    { return d.header }
func (d *discard) WriteHeader(status int) { d.status = status }
func (d *discard) Write(b []byte) (int, error) {
	d.bytes += int64(len(b))
	return len(b), nil
}

// rounds asks for sections of all characters in turn, without the cost of a
// network.
type rounds struct {
	sim     *Simulator
	handler http.Handler
	tokens  []string
	d       discard
	asked   int
	clock   *wallClock
}

func newRounds(tb testing.TB, config Config) *rounds {
	// A clock of its own: no limit is reached, however fast the machine is.
	clock := &wallClock{now: start}
	config.Clock, config.TokenLifetime = clock.time, 100*day
	sim, err := New(config)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, sim.Close()) })
	r := &rounds{sim: sim, handler: sim.Handler(), clock: clock}
	for i := range config.Characters {
		token, err := sim.tokens.access(FirstCharacter+int64(i), 0, sim.clock.Wall())
		require.NoError(tb, err)
		r.tokens = append(r.tokens, token)
	}
	return r
}

func (r *rounds) get(id int64, target string) (pages int) {
	q := request(http.MethodGet, target, nil)
	q.Header.Set("Authorization", "Bearer "+r.tokens[id-FirstCharacter])
	r.d.header = http.Header{}
	r.handler.ServeHTTP(&r.d, q)
	r.asked++
	pages, _ = strconv.Atoi(r.d.header.Get("X-Pages"))
	return pages
}

// all asks for all sections of a character, with all their pages.
func (r *rounds) all(tb testing.TB, id int64) {
	r.clock.advance(300 * time.Millisecond)
	for _, rt := range r.sim.routes {
		if rt.section == sectionNone {
			continue
		}
		target := strings.TrimSuffix(path(id, "/")+strings.Join(rt.path[2:], "/"), "/")
		pages := r.get(id, target)
		for page := 2; page <= pages; page++ {
			r.get(id, target+"?page="+strconv.Itoa(page))
		}
		require.Less(tb, r.d.status, 400, target)
	}
}

// residentMB is the memory of this process as the system sees it.
func residentMB(tb testing.TB) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip("only Linux tells the memory of a process")
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			require.NoError(tb, err)
			return float64(kb) / 1024
		}
	}
	tb.Fatal("no VmHWM")
	return 0
}

func processorTime(tb testing.TB) time.Duration {
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkTenThousandCharacters walks all sections of ten thousand characters
// once, however often it is asked to. It reports the most memory that the whole
// process had, the client's tokens included, and the processor's time.
func BenchmarkTenThousandCharacters(b *testing.B) {
	r := newRounds(b, Config{Seed: 1, Characters: 10_000})
	runtime.GC()
	b.ResetTimer()
	begin := processorTime(b)
	for i := range r.tokens {
		r.all(b, FirstCharacter+int64(i))
	}
	b.StopTimer()
	took := processorTime(b) - begin
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(residentMB(b), "MB-resident-at-most")
	b.ReportMetric(float64(memory.HeapAlloc)/1e6, "MB-live")
	b.ReportMetric(float64(r.asked), "requests")
	b.ReportMetric(float64(r.asked)/took.Seconds(), "requests/s/core")
	b.ReportMetric(float64(r.d.bytes)/float64(r.asked), "B/answer")
}

// BenchmarkSections asks for each section in turn, of characters who were not
// asked for yet.
func BenchmarkSections(b *testing.B) {
	for _, rt := range newRoutes() {
		if rt.section == sectionNone {
			continue
		}
		b.Run(rt.name, func(b *testing.B) {
			r := newRounds(b, Config{Seed: 1, Characters: 200})
			b.ResetTimer()
			for i := range b.N {
				r.clock.advance(day / 2)
				id := FirstCharacter + int64(i%200)
				r.sim.characters[id-FirstCharacter].cache = [sectionCount]snapshot{}
				r.get(id, strings.TrimSuffix(path(id, "/")+strings.Join(rt.path[2:], "/"), "/"))
			}
			b.ReportMetric(float64(r.d.bytes)/float64(r.asked), "B/answer")
		})
	}
}

// The budget of the whole is a gigabyte for ten thousand characters; a hundred
// of them must keep within a fair share of what they need beyond the program.
func TestBooksAreSmall(t *testing.T) {
	const characters = 200
	r := newRounds(t, Config{Seed: 1, Characters: characters})
	live := func() float64 {
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return float64(memory.HeapAlloc)
	}
	before := live()
	for i := range r.tokens {
		r.all(t, FirstCharacter+int64(i))
	}
	perCharacter := (live() - before) / characters
	t.Logf("%.1f kB a character", perCharacter/1000)
	require.Less(t, perCharacter, 60e3)
}
