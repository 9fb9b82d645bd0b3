package eve

import "github.com/muster-sync/muster/domain/event"

// Types of the events whose personal texts were never sealed. From version 2 on a
// personal text may be sealed in them; the values are the same otherwise.
const (
	TypeSectionObservedV1      event.Type = "muster.eve.section.observed.v1"
	TypeMailRecordedV1         event.Type = "muster.eve.mail.recorded.v1"
	TypeMailChangedV1          event.Type = "muster.eve.mail.changed.v1"
	TypeContractRecordedV1     event.Type = "muster.eve.contract.recorded.v1"
	TypeContractChangedV1      event.Type = "muster.eve.contract.changed.v1"
	TypeNotificationRecordedV1 event.Type = "muster.eve.notification.recorded.v1"
	TypeNotificationChangedV1  event.Type = "muster.eve.notification.changed.v1"
	TypeCalendarRecordedV1     event.Type = "muster.eve.calendar.recorded.v1"
	TypeCalendarChangedV1      event.Type = "muster.eve.calendar.changed.v1"
)

// registerPlain makes the versions readable that hold nothing sealed.
func registerPlain(r *event.Registry) {
	same[SectionObserved](r, TypeSectionObservedV1)
	same[MailRecorded](r, TypeMailRecordedV1)
	same[MailChanged](r, TypeMailChangedV1)
	same[ContractRecorded](r, TypeContractRecordedV1)
	same[ContractChanged](r, TypeContractChangedV1)
	same[NotificationRecorded](r, TypeNotificationRecordedV1)
	same[NotificationChanged](r, TypeNotificationChangedV1)
	same[CalendarRecorded](r, TypeCalendarRecordedV1)
	same[CalendarChanged](r, TypeCalendarChangedV1)
}

// same makes an old version readable that reads like the current one.
func same[P event.Payload](r *event.Registry, old event.Type) {
	event.Upcast(r, old, func(p P) (P, error) { return p, nil })
}

// Newest is the current version of a type that this world has told differently
// before, and the type itself of all others.
func Newest(t event.Type) event.Type {
	switch t {
	case TypeSectionObservedV1:
		return TypeSectionObserved
	case TypeMailRecordedV1:
		return TypeMailRecorded
	case TypeMailChangedV1:
		return TypeMailChanged
	case TypeContractRecordedV1:
		return TypeContractRecorded
	case TypeContractChangedV1:
		return TypeContractChanged
	case TypeNotificationRecordedV1:
		return TypeNotificationRecorded
	case TypeNotificationChangedV1:
		return TypeNotificationChanged
	case TypeCalendarRecordedV1:
		return TypeCalendarRecorded
	case TypeCalendarChangedV1:
		return TypeCalendarChanged
	case TypeCharacterSharedV1:
		return TypeCharacterShared
	default:
		return t
	}
}

// PersonalTexts are the names of the fields of a section that hold what a person wrote
// in his own words, to others or for himself, however deep in the section they lie.
// Names of things (ships, containers, clones, fittings, titles) are not among them, and
// nor are texts that the game makes of ids and numbers, but for those of notifications,
// which quote what people wrote.
func PersonalTexts(s Section) []string {
	switch s {
	case SectionDetails:
		return []string{"description"}
	case SectionMails:
		// The names are those of labels and mailing lists.
		return []string{"subject", "body", "name"}
	case SectionNotifications:
		return []string{"text"}
	case SectionCalendar:
		return []string{"title", "text"}
	case SectionContracts:
		return []string{"title"}
	case SectionContacts:
		return []string{"label_name"}
	case SectionMedals:
		return []string{"description", "reason"}
	case SectionFittings:
		return []string{"description"}
	default:
		return nil
	}
}

// SectionWithTexts is the section of an event that may hold [PersonalTexts]; empty for
// all other events.
func SectionWithTexts(e event.Event) Section {
	switch Newest(e.Type) {
	case TypeSectionObserved, TypeMailRecorded, TypeMailChanged, TypeContractRecorded, TypeContractChanged,
		TypeNotificationRecorded, TypeNotificationChanged, TypeCalendarRecorded, TypeCalendarChanged:
	default:
		return ""
	}
	if i := skipSpace(e.Data, 0); i >= len(e.Data) || e.Data[i] != '{' {
		return ""
	}
	return Section(textOfMember(appendMembers(nil, e.Data), "section"))
}
