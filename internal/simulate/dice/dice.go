// Package dice draws numbers that depend on nothing but a seed and the name of
// what is drawn, so that any part of a simulated world can be made at any time,
// in any order, and always comes out the same.
package dice

import "math"

// Stream is a sequence of draws. The zero Stream is usable. It is a value:
// copying it copies its position. It is not safe for concurrent use.
type Stream struct{ state uint64 }

// golden is the step of splitmix64, 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// New is the stream of the thing that the parts name within the world of seed.
// Different parts give independent streams.
func New(seed uint64, parts ...uint64) Stream {
	s := mix(seed + golden)
	for _, p := range parts {
		// Multiplied first: with a mere sum or exclusive or, a part that equals the
		// seed would cancel it out.
		s = mix(s*0xd1342543de82ef95 + mix(p+golden) + golden)
	}
	return Stream{state: s}
}

// mix is the finaliser of splitmix64: each bit of the result depends on every
// bit of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64 draws 64 random bits.
func (s *Stream) Uint64() uint64 {
	s.state += golden
	return mix(s.state)
}

// Float draws from [0, 1).
func (s *Stream) Float() float64 { return float64(s.Uint64()>>11) / (1 << 53) }

// IntN draws from [0, n). n must be positive.
func (s *Stream) IntN(n int) int {
	// The bias of the remainder is below n/2^64, far under what a simulated
	// world could show.
	return int(s.Uint64() % uint64(n))
}

// Chance is true with probability p.
func (s *Stream) Chance(p float64) bool { return s.Float() < p }

// Normal draws from the standard normal distribution.
func (s *Stream) Normal() float64 {
	// Box and Muller; 1-Float is never zero, so the logarithm is finite.
	u, v := 1-s.Float(), s.Float()
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// LogNormal draws a positive size with the given median; sigma is the standard
// deviation of its logarithm.
func (s *Stream) LogNormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*s.Normal())
}
