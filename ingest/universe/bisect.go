package universe

// bisection finds the bad ids of a batch of which one bad id spoils all. It is told
// what came of asking for a part, and says which part to ask for next. Of n ids with
// b bad ones it needs at most 1 + b·(2·⌈log₂ n⌉ + 1) answers, of which at most
// 1 + b·(⌈log₂ n⌉ + 1) are refusals.
//
// It is not safe for concurrent use.
type bisection struct {
	// stack has the parts to be asked for, the next one last.
	stack []*part
	// bad are the ids that were refused when they were asked for alone.
	bad []int64
}

// part is a part of a batch.
type part struct {
	ids []int64
	// sure tells that there is a bad id in it, so that asking for all of it is of no
	// use.
	sure bool
	// other is the second half of what this is the first half of.
	other *part
}

func newBisection(ids []int64) *bisection {
	b := &bisection{}
	if len(ids) > 0 {
		b.stack = []*part{{ids: ids}}
	}
	return b
}

// over tells whether nothing is left to be asked for.
func (b *bisection) over() bool { return len(b.stack) == 0 }

// next are the ids to ask for. It must not be over.
func (b *bisection) next() []int64 {
	for {
		top := b.stack[len(b.stack)-1]
		if !top.sure || len(top.ids) == 1 {
			return top.ids
		}
		b.split()
	}
}

// split puts the halves of the part on top in its place.
func (b *bisection) split() {
	top := b.stack[len(b.stack)-1]
	half := len(top.ids) / 2
	second := &part{ids: top.ids[half:]}
	b.stack = append(b.stack[:len(b.stack)-1], second, &part{ids: top.ids[:half], other: second})
}

// good says that what was next has been answered.
func (b *bisection) good() {
	top := b.stack[len(b.stack)-1]
	b.stack = b.stack[:len(b.stack)-1]
	if top.other != nil {
		// The whole was refused and the first half is good, so it is the second.
		top.other.sure = true
	}
}

// refused says that what was next has been refused.
func (b *bisection) refused() {
	top := b.stack[len(b.stack)-1]
	if len(top.ids) > 1 {
		b.split()
		return
	}
	b.stack = b.stack[:len(b.stack)-1]
	b.bad = append(b.bad, top.ids[0])
}
