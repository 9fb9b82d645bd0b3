package judge

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllViolationsAreCountedAndSomeKept(t *testing.T) {
	var b Book
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 500 {
				b.Report(Violation{Rule: "early-request"})
			}
		})
	}
	wg.Wait()
	b.Report(Violation{Rule: "user-agent"})
	require.Len(t, b.Violations(), maxKept)
	require.Equal(t, map[string]int64{"early-request": 1500, "user-agent": 1}, b.ByRule())
	b.Clear()
	require.Empty(t, b.Violations())
	require.Empty(t, b.ByRule())
}

func TestRequestsAreCountedInOrder(t *testing.T) {
	var b Book
	require.Empty(t, b.Requests())
	b.Count("wallet", 304)
	b.Count("wallet", 200)
	b.Count("location", 200)
	b.Count("wallet", 304)
	require.Equal(t, []RouteCount{{"location", 200, 1}, {"wallet", 200, 1}, {"wallet", 304, 2}}, b.Requests())
}
