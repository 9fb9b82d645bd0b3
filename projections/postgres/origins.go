package postgres

import (
	"github.com/muster-sync/muster/domain/event"
)

// origin is where a row says that its event lies.
type origin struct {
	partition *int32
	offset    *int64
}

// columns are where log_partition and log_offset go, in that order.
func (o *origin) columns() []any { return []any{&o.partition, &o.offset} }

// of is the event, which is of the stream and lies in the topic. It is not known if the
// row has no place, as that of an outer join.
func (o *origin) of(stream event.Stream, topic string) event.Origin {
	if o.partition == nil || o.offset == nil {
		return event.Origin{}
	}
	return event.Origin{Stream: stream, Position: event.Position{Topic: topic, Partition: *o.partition, Offset: *o.offset}}
}

// ofCharacter is the event of a character's stream.
func (o *origin) ofCharacter(id int64) event.Origin {
	return o.of(event.Character(id), event.TopicEVE)
}
