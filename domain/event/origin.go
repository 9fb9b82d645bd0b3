package event

// Origin is the event that a row of a read model was last set by: the stream that it
// is of and where it lies in the log. The zero Origin is not known.
type Origin struct {
	Stream   Stream
	Position Position
}

// OriginOf is the origin of a fact.
func OriginOf(r Recorded) Origin { return Origin{Stream: r.Stream, Position: r.Position} }

// Known tells whether there is one.
func (o Origin) Known() bool { return o.Stream != "" }
