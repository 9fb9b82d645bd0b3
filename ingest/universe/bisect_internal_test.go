package universe

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBisectingFindsExactlyTheBadIDsWithinABoundedNumberOfRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, mostNames).Draw(t, "ids")
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = int64(i + 1)
		}
		most := rapid.SampledFrom([]int{0, 1, 2, 5, n}).Draw(t, "most bad")
		bad := map[int64]bool{}
		for _, id := range rapid.SliceOfN(rapid.Int64Range(1, int64(n)), 0, most).Draw(t, "bad") {
			bad[id] = true
		}
		b := newBisection(ids)
		var good []int64
		requests, refusals := 0, 0
		for !b.over() {
			part := slices.Clone(b.next())
			require.NotEmpty(t, part)
			requests++
			if slices.ContainsFunc(part, func(id int64) bool { return bad[id] }) {
				refusals++
				b.refused()
				continue
			}
			good = append(good, part...)
			b.good()
		}
		require.Len(t, b.bad, len(bad))
		for _, id := range b.bad {
			require.True(t, bad[id])
		}
		slices.Sort(good)
		require.Len(t, good, n-len(bad), "each good id is answered once")
		require.Len(t, slices.Compact(good), n-len(bad))
		depth := bits.Len(uint(n - 1)) // ⌈log₂ n⌉
		require.LessOrEqual(t, requests, 1+len(bad)*(2*depth+1))
		require.LessOrEqual(t, refusals, 1+len(bad)*(depth+1))
	})
}
