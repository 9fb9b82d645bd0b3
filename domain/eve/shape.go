package eve

import (
	"sync"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Shape says of what a section is made and how its changes are told. A section
// has a value, which is observed as a whole and may hold lists of things with a
// natural key; or records, which are facts with a natural key of their own that
// are recorded once and then amended; or both.
type Shape struct {
	Section Section
	// Valued tells that the section has a value, told by [SectionObserved].
	Valued bool
	// Lists are the lists within the value whose order means nothing. What ESI
	// does not list any more is gone from the present, and stays in the log.
	Lists []List
	// Delta tells that the value may be written as a difference.
	Delta bool
	// Records is nil for a section without records.
	Records *Records
}

// List is a list of things within a section's value.
type List struct {
	// Path is the field of the value that holds the list; empty if the value is
	// the list.
	Path string
	// Key are the fields whose values make up an element's natural key; none if
	// the element, a number or a text, is its own key.
	Key []string
}

// Records says how a section's records are told.
type Records struct {
	// Key are the fields whose values make up a record's natural key.
	Key []string
	// Time is the field with the moment of the record, a date or a time.
	Time string
	// Omitted are the values of fields that ESI leaves out, so that a field that
	// is left out again is told as changed.
	Omitted []Omitted
	// Recorded and Changed are the types of the events that record and amend;
	// their payloads hold [Facts].
	Recorded, Changed event.Type
	// Keep is for how long a record may be listed by ESI, and so has to be
	// remembered, after its moment.
	Keep time.Duration
}

// Omitted is a field that ESI leaves out and what that means.
type Omitted struct {
	Field string
	// Value is JSON.
	Value string
}

const fact = 24 * time.Hour

// Shapes lists the shapes of all sections that ESI fills, in the order in which
// sections are shown. The wallet's journal is told by [JournalRecorded] and so
// has neither value nor [Records].
func Shapes() []Shape {
	list := func(key ...string) []List { return []List{{Key: key}} }
	value := func(s Section, lists ...List) Shape { return Shape{Section: s, Valued: true, Lists: lists} }
	delta := func(s Section, lists ...List) Shape {
		return Shape{Section: s, Valued: true, Lists: lists, Delta: true}
	}
	records := func(s Section, at string, recorded, changed event.Type, keep time.Duration, key ...string) Shape {
		return Shape{Section: s, Records: &Records{Key: key, Time: at, Recorded: recorded, Changed: changed, Keep: keep}}
	}
	mails := records(SectionMails, "timestamp", TypeMailRecorded, TypeMailChanged, 400*fact, "mail_id")
	mails.Valued = true
	mails.Records.Omitted = []Omitted{{"is_read", "false"}, {"labels", "[]"}}
	notifications := records(SectionNotifications, "timestamp", TypeNotificationRecorded, TypeNotificationChanged, 400*fact, "notification_id")
	notifications.Records.Omitted = []Omitted{{"is_read", "false"}}
	calendar := records(SectionCalendar, "event_date", TypeCalendarRecorded, TypeCalendarChanged, 400*fact, "event_id")
	calendar.Records.Omitted = []Omitted{{"listed", "true"}}
	mails.Lists = []List{{Path: "labels", Key: []string{"label_id"}}, {Path: "lists", Key: []string{"mailing_list_id"}}}
	return []Shape{
		value(SectionDetails),
		value(SectionCorporationHistory, list("record_id")...),
		delta(SectionAssets, list("item_id")...),
		value(SectionAttributes),
		delta(SectionContacts, List{Path: "contacts", Key: []string{"contact_id"}}, List{Path: "labels", Key: []string{"label_id"}}),
		records(SectionContracts, "date_issued", TypeContractRecorded, TypeContractChanged, 400*fact, "contract_id"),
		value(SectionImplants, list()...),
		value(SectionClones, List{Path: "jump_clones", Key: []string{"jump_clone_id"}}),
		value(SectionLocation),
		value(SectionLoyalty, list("corporation_id")...),
		mails,
		value(SectionOnline),
		value(SectionShip),
		delta(SectionSkills, List{Path: "skills", Key: []string{"skill_id"}}),
		value(SectionSkillQueue, list("queue_position")...),
		value(SectionWallet),
		{Section: SectionWalletJournal},
		records(SectionWalletTransactions, "date", TypeTransactionsRecorded, TypeTransactionsChanged, 400*fact, "transaction_id"),
		value(SectionFWStats),
		records(SectionMining, "date", TypeMiningRecorded, TypeMiningChanged, 60*fact, "date", "solar_system_id", "type_id"),
		value(SectionPlanets, list("planet_id")...),
		value(SectionRoles, List{Path: "roles"}, List{Path: "roles_at_hq"}, List{Path: "roles_at_base"}, List{Path: "roles_at_other"}),
		delta(SectionStandings, list("from_type", "from_id")...),
		value(SectionTitles, list("title_id")...),
		delta(SectionOrders, List{Path: "orders", Key: []string{"order_id"}}, List{Path: "history", Key: []string{"order_id"}}),
		delta(SectionIndustryJobs, list("job_id")...),
		delta(SectionBlueprints, list("item_id")...),
		records(SectionKillmails, "killmail_time", TypeKillmailRecorded, TypeKillmailChanged, 400*fact, "killmail_id"),
		notifications,
		calendar,
		value(SectionFatigue),
		delta(SectionMedals, list("medal_id", "date", "issuer_id")...),
		value(SectionResearch, list("agent_id")...),
		delta(SectionFittings, list("fitting_id")...),
	}
}

// ShapeOf is the shape of a section; false for one that this Muster does not
// know.
func ShapeOf(s Section) (Shape, bool) {
	shape, known := shapesByName()[s]
	return shape, known
}

// shapesByName are the shapes, which never change: that of each record is asked for.
var shapesByName = sync.OnceValue(func() map[Section]Shape {
	byName := map[Section]Shape{}
	for _, shape := range Shapes() {
		byName[shape.Section] = shape
	}
	return byName
})
