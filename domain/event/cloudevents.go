package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Header is one header of a record.
type Header struct {
	Name  string
	Value string
}

// Names of the headers of the CloudEvents 1.0 Kafka binding in binary mode,
// and of Muster's extensions.
const (
	HeaderSpecVersion   = "ce_specversion"
	HeaderID            = "ce_id"
	HeaderType          = "ce_type"
	HeaderSource        = "ce_source"
	HeaderSubject       = "ce_subject"
	HeaderTime          = "ce_time"
	HeaderContentType   = "content-type"
	HeaderRecorded      = "ce_recorded"
	HeaderActor         = "ce_actor"
	HeaderCorrelationID = "ce_correlationid"
	HeaderCausationID   = "ce_causationid"
	HeaderVersion       = "ce_streamversion"
	HeaderTraceParent   = "traceparent"
	HeaderPolicy        = "ce_retentionpolicy"
	HeaderCutOff        = "ce_retentioncutoff"
)

const (
	specVersion = "1.0"
	contentType = "application/json"
	timeLayout  = "2006-01-02T15:04:05.999999999Z07:00"
)

// Headers are the record headers of the event, always in the same order.
// Attributes that are empty are left out.
func (e Event) Headers() []Header {
	h := make([]Header, 0, 12)
	add := func(name, value string) {
		if value != "" {
			h = append(h, Header{name, value})
		}
	}
	add(HeaderSpecVersion, specVersion)
	add(HeaderID, e.ID.String())
	add(HeaderType, string(e.Type))
	add(HeaderSource, e.Source)
	add(HeaderSubject, string(e.Stream))
	add(HeaderTime, formatTime(e.Time))
	if !e.IsTombstone() {
		add(HeaderContentType, contentType)
	}
	add(HeaderRecorded, formatTime(e.Recorded))
	add(HeaderActor, e.Actor)
	add(HeaderCorrelationID, e.CorrelationID)
	add(HeaderCausationID, e.CausationID)
	if e.Version > 0 {
		add(HeaderVersion, strconv.FormatInt(e.Version, 10))
	}
	add(HeaderTraceParent, e.TraceParent)
	if e.Expiry != nil {
		add(HeaderPolicy, e.Expiry.Policy)
		add(HeaderCutOff, formatTime(e.Expiry.CutOff))
	}
	return h
}

// FromRecord reads an event from a record's key, headers and value. Unknown
// headers are ignored. It fails with [CodePoisoned] and names the header or the
// key at fault; the record is then no event of Muster.
func FromRecord(key string, headers []Header, value []byte) (Event, error) {
	e := Event{Data: value}
	var expiry Expiry
	var spec string
	for _, h := range headers {
		var err error
		switch strings.ToLower(h.Name) {
		case HeaderSpecVersion:
			spec = h.Value
		case HeaderID:
			e.ID, err = uuid.Parse(h.Value)
		case HeaderType:
			e.Type = Type(h.Value)
		case HeaderSource:
			e.Source = h.Value
		case HeaderSubject:
			e.Stream = Stream(h.Value)
		case HeaderTime:
			e.Time, err = parseTime(h.Value)
		case HeaderRecorded:
			e.Recorded, err = parseTime(h.Value)
		case HeaderActor:
			e.Actor = h.Value
		case HeaderCorrelationID:
			e.CorrelationID = h.Value
		case HeaderCausationID:
			e.CausationID = h.Value
		case HeaderVersion:
			e.Version, err = parseVersion(h.Value)
		case HeaderTraceParent:
			e.TraceParent = h.Value
		case HeaderPolicy:
			expiry.Policy = h.Value
		case HeaderCutOff:
			expiry.CutOff, err = parseTime(h.Value)
		}
		if err != nil {
			return Event{}, Errorf(CodePoisoned, "record %q: header %s is %q: %w", key, h.Name, h.Value, err)
		}
	}
	if value == nil {
		e.Expiry = &expiry
	}
	if spec != specVersion {
		return Event{}, Errorf(CodePoisoned, "record %q: header %s is %q, must be %q", key, HeaderSpecVersion, spec, specVersion)
	}
	if e.Key() != key {
		return Event{}, Errorf(CodePoisoned, "record %q: its headers say stream %q and id %s, so its key must be %q", key, e.Stream, e.ID, e.Key())
	}
	if err := validateRecord(e); err != nil {
		return Event{}, Errorf(CodePoisoned, "record %q: %w", key, err)
	}
	return e, nil
}

// validateRecord checks the attributes but not the value: whether the value can
// be read is for the registry to say, with the type at hand.
func validateRecord(e Event) error {
	if err := e.Stream.Validate(); err != nil {
		return err
	}
	if err := e.Type.Validate(); err != nil {
		return err
	}
	if e.ID == uuid.Nil || e.Time.IsZero() {
		return fmt.Errorf("headers %s and %s must be there", HeaderID, HeaderTime)
	}
	return nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, err
	}
	t = t.UTC()
	if !writable(t) {
		return time.Time{}, errors.New("in UTC its year is not one of 0 to 9999")
	}
	return t, nil
}

// writable tells whether RFC 3339 can write a time: its years have four digits.
func writable(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 0 && year <= 9999
}

func parseVersion(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil && v < 0 {
		err = errors.New("versions are counted from 1")
	}
	return v, err
}
