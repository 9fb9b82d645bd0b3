package eventlog

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/muster-sync/muster/domain/event"
)

// Metadata that Unmarshal adds to a message. Watermill keeps a record's
// position only in the message's context, which is lost when a message is
// copied or published again.
const (
	metaTopic       = "muster_topic"
	metaPartition   = "muster_partition"
	metaOffset      = "muster_offset"
	metaKey         = "muster_key"
	metaUndecodable = "muster_undecodable"
)

// eventContextKey is where a message carries the event it was made of.
type eventContextKey struct{}

// newMessage wraps an event for watermill.
func newMessage(e *event.Event) *message.Message {
	m := &message.Message{UUID: e.ID.String(), Payload: e.Data}
	m.SetContext(context.WithValue(context.Background(), eventContextKey{}, e))
	return m
}

// eventMarshaler turns messages made by newMessage into records: the key, the
// CloudEvents headers in the order of [event.Event.Headers], the value (null
// for a tombstone) and the recording time.
type eventMarshaler struct{}

// Marshal implements watermill-kafka's Marshaler.
func (eventMarshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	e, ok := m.Context().Value(eventContextKey{}).(*event.Event)
	if !ok {
		return nil, event.Errorf(event.CodeInternal, "message %s for %s carries no event", m.UUID, topic)
	}
	r := &sarama.ProducerMessage{
		Topic:     topic,
		Key:       sarama.StringEncoder(e.Key()),
		Headers:   saramaHeaders(e.Headers()),
		Timestamp: e.Recorded,
	}
	if !e.IsTombstone() {
		r.Value = sarama.ByteEncoder(e.Data)
	}
	return r, nil
}

// saramaHeaders copies all names and values into one piece of memory.
func saramaHeaders(headers []event.Header) []sarama.RecordHeader {
	size := 0
	for _, h := range headers {
		size += len(h.Name) + len(h.Value)
	}
	text := make([]byte, 0, size)
	piece := func(s string) []byte {
		from := len(text)
		text = append(text, s...)
		return text[from:len(text):len(text)]
	}
	all := make([]sarama.RecordHeader, len(headers))
	for i, h := range headers {
		all[i] = sarama.RecordHeader{Key: piece(h.Name), Value: piece(h.Value)}
	}
	return all
}

// recordUnmarshaler turns records into messages. It never fails: watermill
// would end the session on an error and read the same record again for ever. A
// record that is no event becomes a message whose metadata says why.
type recordUnmarshaler struct {
	// only are the types of events that somebody wants; of others the message says
	// nothing but that. Empty is all.
	only []func(event.Type) bool
}

// wants tells whether a record is to be looked at: also one whose type cannot be told.
func (u recordUnmarshaler) wants(r *sarama.ConsumerMessage) bool {
	if len(u.only) == 0 {
		return true
	}
	for _, h := range r.Headers {
		if h != nil && string(h.Key) == event.HeaderType {
			t := event.Type(h.Value)
			return slices.ContainsFunc(u.only, func(wanted func(event.Type) bool) bool { return wanted(t) })
		}
	}
	return true
}

// passed tells whether a message stands for a record that nobody wants.
func passed(m *message.Message) bool { return m.UUID == "" && len(m.Metadata) == 0 }

// Unmarshal implements watermill-kafka's Unmarshaler.
func (u recordUnmarshaler) Unmarshal(r *sarama.ConsumerMessage) (*message.Message, error) {
	if !u.wants(r) {
		return message.NewMessage("", nil), nil
	}
	headers := make([]event.Header, 0, len(r.Headers))
	for _, h := range r.Headers {
		if h != nil {
			headers = append(headers, event.Header{Name: string(h.Key), Value: string(h.Value)})
		}
	}
	e, err := event.FromRecord(string(r.Key), headers, r.Value)
	m := message.NewMessage(e.ID.String(), r.Value)
	for _, h := range headers {
		// FromRecord takes no notice of case, and of several headers of one
		// name it takes the last.
		m.Metadata.Set(strings.ToLower(h.Name), h.Value)
	}
	m.Metadata.Set(metaTopic, r.Topic)
	m.Metadata.Set(metaPartition, strconv.FormatInt(int64(r.Partition), 10))
	m.Metadata.Set(metaOffset, strconv.FormatInt(r.Offset, 10))
	m.Metadata.Set(metaKey, string(r.Key))
	if err != nil {
		m.Metadata.Set(metaUndecodable, err.Error())
	} else {
		delete(m.Metadata, metaUndecodable)
	}
	return m, nil
}

// recorded reads back what Unmarshal put into a message. It fails with
// [event.CodePoisoned] for a record that is no event.
func recorded(m *message.Message) (event.Recorded, error) {
	at, err := position(m)
	if err != nil {
		return event.Recorded{}, err
	}
	if why := m.Metadata.Get(metaUndecodable); why != "" {
		return event.Recorded{Position: at}, event.Errorf(event.CodePoisoned, "record at %s is no event: %s", at, why)
	}
	headers := make([]event.Header, 0, len(m.Metadata))
	for name, value := range m.Metadata {
		headers = append(headers, event.Header{Name: name, Value: value})
	}
	e, err := event.FromRecord(m.Metadata.Get(metaKey), headers, m.Payload)
	if err != nil {
		return event.Recorded{Position: at}, event.Errorf(event.CodePoisoned, "record at %s is no event: %w", at, err)
	}
	return event.Recorded{Event: e, Position: at}, nil
}

func position(m *message.Message) (event.Position, error) {
	partition, err := strconv.ParseInt(m.Metadata.Get(metaPartition), 10, 32)
	if err != nil {
		return event.Position{}, event.Errorf(event.CodeInternal, "message %s carries no partition: %w", m.UUID, err)
	}
	offset, err := strconv.ParseInt(m.Metadata.Get(metaOffset), 10, 64)
	if err != nil {
		return event.Position{}, event.Errorf(event.CodeInternal, "message %s carries no offset: %w", m.UUID, err)
	}
	return event.Position{Topic: m.Metadata.Get(metaTopic), Partition: int32(partition), Offset: offset}, nil
}

// poisonMarshaler writes a message that no reactor could handle: the original
// headers and value, and metadata that says where it came from and why it is
// here, all in the order of their names.
type poisonMarshaler struct{}

// Marshal implements watermill-kafka's Marshaler.
func (poisonMarshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	at, err := position(m)
	if err != nil {
		return nil, err
	}
	r := &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(m.Metadata.Get(metaKey))}
	if m.Metadata.Get(metaKey) == "" {
		// A foreign client may have written it without a key.
		r.Key = sarama.StringEncoder(at.String())
	}
	for _, name := range slices.Sorted(maps.Keys(m.Metadata)) {
		r.Headers = append(r.Headers, sarama.RecordHeader{
			Key:   []byte(name),
			Value: []byte(limit(m.Metadata.Get(name), maxPoisonHeader)),
		})
	}
	if m.Payload != nil {
		r.Value = sarama.ByteEncoder(m.Payload)
	}
	return r, nil
}

// maxPoisonHeader bounds a header of a poisoned record: a reason can quote what
// a foreign client wrote.
const maxPoisonHeader = 4 << 10

func limit(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
