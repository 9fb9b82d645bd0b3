package event_test

import "testing"

// BenchmarkDecode reads a small value of the current version.
func BenchmarkDecode(b *testing.B) {
	r := history()
	e := written("muster.eve.ship.painted.v3", `{"colour":"red","coats":3,"unknown":[1,2,3]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Decode(e); err != nil {
			b.Fatal(err)
		}
	}
}
