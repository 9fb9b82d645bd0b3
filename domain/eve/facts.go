package eve

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events that record and amend facts with a natural key.
const (
	TypeTransactionsRecorded event.Type = "muster.eve.transactions.recorded.v1"
	TypeTransactionsChanged  event.Type = "muster.eve.transactions.changed.v1"
	TypeMiningRecorded       event.Type = "muster.eve.mining.recorded.v1"
	TypeMiningChanged        event.Type = "muster.eve.mining.changed.v1"
	TypeMailRecorded         event.Type = "muster.eve.mail.recorded.v2"
	TypeMailChanged          event.Type = "muster.eve.mail.changed.v2"
	TypeContractRecorded     event.Type = "muster.eve.contract.recorded.v2"
	TypeContractChanged      event.Type = "muster.eve.contract.changed.v2"
	TypeKillmailRecorded     event.Type = "muster.eve.killmail.recorded.v1"
	TypeKillmailChanged      event.Type = "muster.eve.killmail.changed.v1"
	TypeNotificationRecorded event.Type = "muster.eve.notification.recorded.v2"
	TypeNotificationChanged  event.Type = "muster.eve.notification.changed.v2"
	TypeCalendarRecorded     event.Type = "muster.eve.calendar.recorded.v2"
	TypeCalendarChanged      event.Type = "muster.eve.calendar.changed.v2"
)

// Facts are records of one section of a character, all of one UTC day, so that
// what is too old can be removed event by event.
//
// Each item is a JSON object with ESI's own field names, among them those of the
// record's natural key. What a record is now follows by laying its items over one
// another in the order of the log, field by field: the fields of a later item
// replace those of the same name and leave the others. So an amendment may hold
// only some fields, such as the body of a mail or the items of a contract.
type Facts struct {
	CharacterID int64   `json:"character_id"`
	Section     Section `json:"section"`
	// Day is the UTC day of the records, YYYY-MM-DD.
	Day string `json:"day"`
	// FetchedAt is when the answer was received, UTC.
	FetchedAt time.Time `json:"fetched_at"`
	// Items are in ascending order of their keys.
	Items []json.RawMessage `json:"items"`
}

// Keyed are the items with their natural keys, in the order in which they are to
// be laid over one another. It fails with [event.CodeInvalid] for a section without
// records, or an item that is no object or lacks its key.
func (f Facts) Keyed() ([]Item, error) {
	shape, ok := ShapeOf(f.Section)
	if !ok || shape.Records == nil {
		return nil, event.Errorf(event.CodeInvalid, "section %q has no records that this Muster knows", f.Section)
	}
	items := make([]Item, 0, len(f.Items))
	var scratch []member
	for i, raw := range f.Items {
		var key string
		var err error
		if key, scratch, err = keyOf(shape.Records.Key, bytes.TrimSpace(raw), scratch); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "section %s, record %d: %w", f.Section, i+1, err)
		}
		items = append(items, Item{Key: key, Raw: raw})
	}
	return items, nil
}

// FactsEvent is the payload of every event that holds [Facts].
type FactsEvent interface {
	event.Payload
	// Content is what was recorded.
	Content() Facts
}

// Content implements [FactsEvent].
func (f Facts) Content() Facts { return f }

type (
	// TransactionsRecorded holds market transactions that were not known.
	TransactionsRecorded struct{ Facts }
	// TransactionsChanged amends market transactions.
	TransactionsChanged struct{ Facts }
	// MiningRecorded holds lines of the mining ledger that were not known. A
	// line is what was mined of one ore in one system on one day.
	MiningRecorded struct{ Facts }
	// MiningChanged amends lines of the mining ledger: more was mined.
	MiningChanged struct{ Facts }
	// MailRecorded holds headers of mails that were not known.
	MailRecorded struct{ Facts }
	// MailChanged amends mails: read or not, labels, and the body (field "body"),
	// which is fetched apart. body_missing is true for a body that ESI does not
	// have any more.
	MailChanged struct{ Facts }
	// ContractRecorded holds contracts that were not known.
	ContractRecorded struct{ Facts }
	// ContractChanged amends contracts: status and acceptance, and what is
	// fetched apart: the fields "items" and "bids".
	ContractChanged struct{ Facts }
	// KillmailRecorded holds killmails with their details and their
	// "killmail_hash".
	KillmailRecorded struct{ Facts }
	// KillmailChanged amends killmails.
	KillmailChanged struct{ Facts }
	// NotificationRecorded holds notifications that were not known.
	NotificationRecorded struct{ Facts }
	// NotificationChanged amends notifications: read or not.
	NotificationChanged struct{ Facts }
	// CalendarRecorded holds calendar events that were not known.
	CalendarRecorded struct{ Facts }
	// CalendarChanged amends calendar events: the answer, the details, which are
	// fetched apart, and "listed", false once ESI lists an event no more that has
	// not begun.
	CalendarChanged struct{ Facts }
)

// EventType implements [event.Payload].
func (TransactionsRecorded) EventType() event.Type { return TypeTransactionsRecorded }

// EventType implements [event.Payload].
func (TransactionsChanged) EventType() event.Type { return TypeTransactionsChanged }

// EventType implements [event.Payload].
func (MiningRecorded) EventType() event.Type { return TypeMiningRecorded }

// EventType implements [event.Payload].
func (MiningChanged) EventType() event.Type { return TypeMiningChanged }

// EventType implements [event.Payload].
func (MailRecorded) EventType() event.Type { return TypeMailRecorded }

// EventType implements [event.Payload].
func (MailChanged) EventType() event.Type { return TypeMailChanged }

// EventType implements [event.Payload].
func (ContractRecorded) EventType() event.Type { return TypeContractRecorded }

// EventType implements [event.Payload].
func (ContractChanged) EventType() event.Type { return TypeContractChanged }

// EventType implements [event.Payload].
func (KillmailRecorded) EventType() event.Type { return TypeKillmailRecorded }

// EventType implements [event.Payload].
func (KillmailChanged) EventType() event.Type { return TypeKillmailChanged }

// EventType implements [event.Payload].
func (NotificationRecorded) EventType() event.Type { return TypeNotificationRecorded }

// EventType implements [event.Payload].
func (NotificationChanged) EventType() event.Type { return TypeNotificationChanged }

// EventType implements [event.Payload].
func (CalendarRecorded) EventType() event.Type { return TypeCalendarRecorded }

// EventType implements [event.Payload].
func (CalendarChanged) EventType() event.Type { return TypeCalendarChanged }

func registerFacts(r *event.Registry) {
	event.Register[TransactionsRecorded](r)
	event.Register[TransactionsChanged](r)
	event.Register[MiningRecorded](r)
	event.Register[MiningChanged](r)
	event.Register[MailRecorded](r)
	event.Register[MailChanged](r)
	event.Register[ContractRecorded](r)
	event.Register[ContractChanged](r)
	event.Register[KillmailRecorded](r)
	event.Register[KillmailChanged](r)
	event.Register[NotificationRecorded](r)
	event.Register[NotificationChanged](r)
	event.Register[CalendarRecorded](r)
	event.Register[CalendarChanged](r)
}

// payloadOf puts facts into the payload of an event type; nil for a type that
// holds none.
func payloadOf(t event.Type, f Facts) event.Payload {
	switch t {
	case TypeTransactionsRecorded:
		return TransactionsRecorded{f}
	case TypeTransactionsChanged:
		return TransactionsChanged{f}
	case TypeMiningRecorded:
		return MiningRecorded{f}
	case TypeMiningChanged:
		return MiningChanged{f}
	case TypeMailRecorded:
		return MailRecorded{f}
	case TypeMailChanged:
		return MailChanged{f}
	case TypeContractRecorded:
		return ContractRecorded{f}
	case TypeContractChanged:
		return ContractChanged{f}
	case TypeKillmailRecorded:
		return KillmailRecorded{f}
	case TypeKillmailChanged:
		return KillmailChanged{f}
	case TypeNotificationRecorded:
		return NotificationRecorded{f}
	case TypeNotificationChanged:
		return NotificationChanged{f}
	case TypeCalendarRecorded:
		return CalendarRecorded{f}
	case TypeCalendarChanged:
		return CalendarChanged{f}
	default:
		return nil
	}
}
