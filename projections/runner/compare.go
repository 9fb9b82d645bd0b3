package runner

import (
	"context"
)

// ranges is into how many key ranges a table is divided for comparison; a
// power of two.
const ranges = 64

// RangeSum is what there is in one range of keys: the number of rows, and a sum
// over their hashes that does not depend on their order.
type RangeSum struct {
	Range int32
	Rows  int64
	Sum   string
}

// TableSums are the sums of a table by key range; empty ranges are left out.
type TableSums []RangeSum

// TableEvidence is the comparison of one table between two generations.
type TableEvidence struct {
	Table string `json:"table"`
	// Rows of the live generation and of the new one.
	LiveRows int64 `json:"live_rows"`
	NewRows  int64 `json:"new_rows"`
	// Ranges is how many key ranges hold rows in either; Different lists those
	// in which the counts or the checksums differ.
	Ranges    int     `json:"ranges"`
	Different []int32 `json:"different,omitempty"`
	Equal     bool    `json:"equal"`
}

// compare holds the tables of two generations at the same position against
// each other.
func compare(ctx context.Context, b Bound, live, other Generation) ([]TableEvidence, error) {
	evidence := make([]TableEvidence, 0, len(b.Tables))
	for _, t := range b.Tables {
		before, err := b.sums(ctx, live, t)
		if err != nil {
			return nil, err
		}
		after, err := b.sums(ctx, other, t)
		if err != nil {
			return nil, err
		}
		evidence = append(evidence, compareTable(t.Name, before, after))
	}
	return evidence, nil
}

func compareTable(name string, live, other TableSums) TableEvidence {
	e := TableEvidence{Table: name}
	var a, b [ranges]RangeSum
	for _, s := range live {
		a[s.Range] = s
		e.LiveRows += s.Rows
	}
	for _, s := range other {
		b[s.Range] = s
		e.NewRows += s.Rows
	}
	for i := range int32(ranges) {
		if a[i].Rows > 0 || b[i].Rows > 0 {
			e.Ranges++
		}
		if a[i].Rows != b[i].Rows || a[i].Sum != b[i].Sum {
			e.Different = append(e.Different, i)
		}
	}
	e.Equal = len(e.Different) == 0
	return e
}
