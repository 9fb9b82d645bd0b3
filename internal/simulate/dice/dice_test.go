package dice

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Simulated worlds live as long as their state folders: the draws must never
// change.
func TestDrawsNeverChange(t *testing.T) {
	s := New(1, 2, 3)
	require.Equal(t, []uint64{0x33827e21fffca26f, 0xcf0f97f0e443015}, []uint64{s.Uint64(), s.Uint64()})
}

func TestStreamsAreIndependent(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := range uint64(20) {
		for a := range uint64(20) {
			for b := range uint64(20) {
				s := New(seed, a, b)
				v := s.Uint64()
				require.False(t, seen[v])
				seen[v] = true
			}
		}
	}
	short, long := New(1, 2), New(1, 2, 0)
	require.NotEqual(t, short.Uint64(), long.Uint64())
}

func TestDistributions(t *testing.T) {
	s := New(42)
	const n = 100_000
	var sum, squares, mean float64
	hits := 0
	sizes := make([]float64, n)
	for i := range n {
		f := s.Float()
		require.True(t, f >= 0 && f < 1)
		mean += f / n
		z := s.Normal()
		sum += z
		squares += z * z
		if s.Chance(0.2) {
			hits++
		}
		v := s.IntN(7)
		require.True(t, v >= 0 && v < 7)
		sizes[i] = s.LogNormal(120, 2)
	}
	require.InDelta(t, 0.5, mean, 0.01)
	require.InDelta(t, 0, sum/n, 0.02)
	require.InDelta(t, 1, squares/n, 0.03)
	require.InDelta(t, 0.2, float64(hits)/n, 0.01)
	slices.Sort(sizes)
	require.InDelta(t, 120, sizes[n/2], 6)
	require.InDelta(t, math.Log(120*math.Exp(2*1.2816)), math.Log(sizes[n*9/10]), 0.1)
}
