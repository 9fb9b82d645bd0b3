package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Item is an element of a section with ESI's own fields, those that Muster does
// not know included; names beside ids, and money as text.
type Item map[string]any

// ListSection is a section that is a list, one page of it.
type ListSection struct {
	SectionHead
	Page[Item]

	// Beside the list.
	Labels           []Item        `json:"labels,omitempty" doc:"Of contacts and mails."`
	Lists            []Item        `json:"lists,omitempty" doc:"Mailing lists."`
	TotalUnreadCount *int64        `json:"total_unread_count,omitempty" doc:"Of mails."`
	Places           []AssetsPlace `json:"places,omitempty" doc:"The places where assets lie, by id, with what lies there, of whatever page. On the first page of all assets."`
	TotalValue       *Money        `json:"total_value,omitempty" doc:"Of all assets at average prices; copies of blueprints count as nothing. On the first page, if there are prices."`

	columns []string
	fields  []postgres.Field
}

func (l *ListSection) rows() any { return itemRows{l.columns, l.fields, l.Items} }

// ItemSection is a section that is one object.
type ItemSection struct {
	SectionHead

	Value Item `json:"value" nullable:"true" doc:"null before the first reading."`
}

// RecordSection is one record of a section.
type RecordSection struct {
	CharacterID int64     `json:"character_id"`
	Section     string    `json:"section"`
	ObservedAt  time.Time `json:"observed_at" doc:"When something was last told of it."`
	Value       Item      `json:"value"`

	AsOf *time.Time `json:"as_of,omitempty" doc:"The moment that was asked for."`
	Traced
}

// sectionSpec says how a section is served.
type sectionSpec struct {
	section eve.Section
	summary string
	// list is the list whose elements are the items.
	list string
	// apart are fields of records that only a single one is shown with.
	apart []string
	// shown and names are the fields of the items or of the value with what Muster adds,
	// and the columns of tables; see [sectionSpec.prepared].
	shown []postgres.Field
	names []string
}

// prepared has at hand what requests need, which is put together from a long text.
func (s sectionSpec) prepared() sectionSpec {
	s.shown = s.columns()
	s.names = columnNames(s.shown)
	return s
}

func (s sectionSpec) path() string { return "/v1/characters/{id}/" + string(s.section) }

// fields are the fields of the section's items or of its value.
func (s sectionSpec) fields() []postgres.Field {
	var fields []postgres.Field
	for _, set := range postgres.FieldSets() {
		if set.Section == s.section && set.Path == "" && (set.List == s.list || set.List == "") {
			for _, f := range set.Fields {
				if !slices.Contains(s.apart, f.Name) {
					fields = append(fields, f)
				}
			}
		}
	}
	return fields
}

// SectionInput is what every list of a section takes.
type SectionInput struct {
	PageInput
	CharacterAsOfInput

	ID int64 `path:"id" minimum:"1" doc:"The character's id."`
}

// sectionQuery is what a list of a section is asked for.
type sectionQuery struct {
	PageInput
	CharacterAsOfInput

	id       int64
	list     string
	from, to time.Time
	where    map[string]string
	// directly is of assets, label and recipient are of mails.
	directly         bool
	label, recipient int64
}

// text adds a condition on a field, unless there is none.
func (q sectionQuery) text(field, value string) sectionQuery {
	if value != "" {
		if q.where == nil {
			q.where = map[string]string{}
		}
		q.where[field] = value
	}
	return q
}

func (q sectionQuery) number(field string, value int64) sectionQuery {
	if value == 0 {
		return q
	}
	return q.text(field, strconv.FormatInt(value, 10))
}

// queried is the input of a list of a section.
type queried interface{ query() sectionQuery }

func (in *SectionInput) query() sectionQuery {
	return sectionQuery{PageInput: in.PageInput, CharacterAsOfInput: in.CharacterAsOfInput, id: in.ID}
}

type assetsInput struct {
	SectionInput

	TypeID       int64  `query:"type_id" minimum:"1"`
	LocationID   int64  `query:"location_id" minimum:"1" doc:"What lies directly there: in a station, a structure, a system, or in another asset."`
	LocationFlag string `query:"location_flag" maxLength:"100" doc:"As ESI writes it, such as Hangar."`
	Directly     bool   `query:"directly" doc:"Only what lies in a place, and not in another asset."`
}

func (in *assetsInput) query() sectionQuery {
	q := in.SectionInput.query().number("type_id", in.TypeID).number("location_id", in.LocationID).text("location_flag", in.LocationFlag)
	q.directly = in.Directly
	return q
}

type contactsInput struct {
	SectionInput

	Type string `query:"contact_type" maxLength:"100" doc:"As ESI writes it, such as alliance."`
}

func (in *contactsInput) query() sectionQuery {
	return in.SectionInput.query().text("contact_type", in.Type)
}

// RecordsInput is what every list of records takes.
type RecordsInput struct {
	SectionInput

	From time.Time `query:"from" doc:"At this moment or later."`
	To   time.Time `query:"to" doc:"Before this moment."`
}

func (in *RecordsInput) query() sectionQuery {
	q := in.SectionInput.query()
	q.from, q.to = in.From, in.To
	return q
}

type mailsInput struct {
	RecordsInput

	Unread bool  `query:"unread" doc:"Only those that are not read."`
	FromID int64 `query:"from_id" minimum:"1" doc:"The sender."`
	ToID   int64 `query:"to_id" minimum:"1" doc:"Somebody to whom they went, such as a mailing list."`
	Label  int64 `query:"label_id" minimum:"0" doc:"A label that they bear; 0 for all mails."`
}

func (in *mailsInput) query() sectionQuery {
	q := in.RecordsInput.query().number("from", in.FromID)
	if in.Unread {
		q = q.text("is_read", "false")
	}
	q.label, q.recipient = in.Label, in.ToID
	return q
}

type contractsInput struct {
	RecordsInput

	Status string `query:"status" maxLength:"100" doc:"As ESI writes it, such as outstanding."`
	Type   string `query:"type" maxLength:"100" doc:"As ESI writes it, such as courier."`
}

func (in *contractsInput) query() sectionQuery {
	return in.RecordsInput.query().text("status", in.Status).text("type", in.Type)
}

type typedInput struct {
	RecordsInput

	TypeID int64 `query:"type_id" minimum:"1"`
}

func (in *typedInput) query() sectionQuery {
	return in.RecordsInput.query().number("type_id", in.TypeID)
}

type notificationsInput struct {
	RecordsInput

	Type string `query:"type" maxLength:"100" doc:"As ESI writes it, such as StructureUnderAttack."`
}

func (in *notificationsInput) query() sectionQuery {
	return in.RecordsInput.query().text("type", in.Type)
}

type ordersInput struct {
	SectionInput

	History bool  `query:"history" doc:"Those that were cancelled or have expired, instead of the open ones."`
	TypeID  int64 `query:"type_id" minimum:"1"`
}

func (in *ordersInput) query() sectionQuery {
	q := in.SectionInput.query().number("type_id", in.TypeID)
	if in.History {
		q.list = "history"
	}
	return q
}

type jobsInput struct {
	SectionInput

	Status string `query:"status" maxLength:"100" doc:"As ESI writes it, such as active."`
}

func (in *jobsInput) query() sectionQuery { return in.SectionInput.query().text("status", in.Status) }

type itemTypeInput struct {
	SectionInput

	TypeID int64 `query:"type_id" minimum:"1"`
}

func (in *itemTypeInput) query() sectionQuery {
	return in.SectionInput.query().number("type_id", in.TypeID)
}

type listOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *ListSection
}

// registerSections serves all sections but those that have a form of their own.
func (s *Server) registerSections() {
	value := func(section eve.Section, summary string) {
		s.registerValue(sectionSpec{section: section, summary: summary})
	}
	list := func(section eve.Section, summary string) sectionSpec {
		return sectionSpec{section: section, summary: summary}
	}
	value(eve.SectionDetails, "What everybody can see of a character")
	registerElements[SectionInput](s, list(eve.SectionCorporationHistory, "The corporations that the character was in"))
	registerElements[assetsInput](s, list(eve.SectionAssets, "What the character owns, and what it is worth"))
	value(eve.SectionAttributes, "Attributes and remaps")
	contacts := list(eve.SectionContacts, "Contacts, with the labels beside them")
	contacts.list = "contacts"
	registerElements[contactsInput](s, contacts)
	contracts := list(eve.SectionContracts, "Contracts, the newest first")
	contracts.apart = []string{"items", "bids"}
	registerRecords[contractsInput](s, contracts)
	registerRecord[contractInput](s, contracts, "contract", "contract_id", "A contract with its items and bids")
	registerElements[SectionInput](s, list(eve.SectionImplants, "The implants in the character's head"))
	value(eve.SectionClones, "The home station and the jump clones")
	value(eve.SectionLocation, "Where a character is")
	registerElements[SectionInput](s, list(eve.SectionLoyalty, "Loyalty points by corporation"))
	mails := list(eve.SectionMails, "Mails without their bodies, the newest first, with labels and mailing lists beside them")
	mails.apart = []string{"body"}
	registerRecords[mailsInput](s, mails)
	registerRecord[mailInput](s, mails, "mail", "mail_id", "A mail with its body")
	value(eve.SectionOnline, "Whether a character is online, and when it was last")
	value(eve.SectionShip, "The ship that the character is in")
	value(eve.SectionSkills, "Skills and skill points")
	registerElements[SectionInput](s, list(eve.SectionSkillQueue, "The skills in training, in their order"))
	registerRecords[typedInput](s, list(eve.SectionWalletTransactions, "Market transactions, the newest first"))
	value(eve.SectionFWStats, "Standing in factional warfare")
	registerRecords[typedInput](s, list(eve.SectionMining, "The mining ledger, the newest first"))
	registerElements[SectionInput](s, list(eve.SectionPlanets, "Planetary colonies"))
	value(eve.SectionRoles, "Roles in the corporation")
	registerElements[SectionInput](s, list(eve.SectionStandings, "Standings with agents, corporations and factions"))
	registerElements[SectionInput](s, list(eve.SectionTitles, "Titles in the corporation"))
	orders := list(eve.SectionOrders, "Market orders")
	orders.list = "orders"
	registerElements[ordersInput](s, orders)
	registerElements[jobsInput](s, list(eve.SectionIndustryJobs, "Industry jobs"))
	registerElements[itemTypeInput](s, list(eve.SectionBlueprints, "Blueprints"))
	killmails := list(eve.SectionKillmails, "Killmails, the newest first")
	killmails.apart = []string{"attackers"}
	registerRecords[RecordsInput](s, killmails)
	registerRecord[killmailInput](s, killmails, "killmail", "killmail_id", "A killmail with its attackers")
	registerRecords[notificationsInput](s, list(eve.SectionNotifications, "Notifications, the newest first"))
	registerRecords[RecordsInput](s, list(eve.SectionCalendar, "The calendar, the latest first"))
	value(eve.SectionFatigue, "Jump fatigue")
	registerElements[SectionInput](s, list(eve.SectionMedals, "Medals"))
	registerElements[SectionInput](s, list(eve.SectionResearch, "Research by agents"))
	registerElements[SectionInput](s, list(eve.SectionFittings, "Fittings"))
}

func (s *Server) registerValue(spec sectionSpec) {
	spec = spec.prepared()
	op := notModified(huma.Operation{
		OperationID: "get-" + string(spec.section), Path: spec.path(), Tags: []string{tagCharacters}, Summary: spec.summary, Errors: []int{http.StatusNotFound},
	})
	s.shape(&op, reflect.TypeFor[ItemSection](), "value", spec.schema(), spec.besides)
	register(s, access.ActionReadCharacters, op, func(ctx context.Context, in *CharacterInput) (*single[ItemSection], error) {
		of, err := s.section(ctx, in.ID, in.AsOf, spec.section)
		if err != nil {
			return nil, err
		}
		section, err := of.Section(ctx, in.ID, spec.section)
		if err != nil {
			return nil, err
		}
		out := &ItemSection{SectionHead: headOf(section, of.asOf())}
		if section.Value != nil {
			items, err := s.items(ctx, s.moment(of), spec.section, []json.RawMessage{section.Value}, nil)
			if err != nil {
				return nil, err
			}
			if err := s.derive(ctx, of, in.ID, spec.section, items, nil); err != nil {
				return nil, err
			}
			out.Value = items[0]
		}
		if err := s.trace(ctx, in.ProvenanceInput, &out.Traced); err != nil {
			return nil, err
		}
		return singleOf(in.Conditional, out)
	})
}

func (s *Server) listOperation(spec sectionSpec) huma.Operation {
	op := asTable(huma.Operation{
		OperationID: "list-" + string(spec.section), Path: spec.path(), Tags: []string{tagCharacters}, Summary: spec.summary, Errors: []int{http.StatusNotFound},
	})
	s.shape(&op, reflect.TypeFor[ListSection](), "items", spec.schema(), spec.besides)
	return op
}

// registerElements serves a section whose items are elements of a list.
func registerElements[I any, P interface {
	*I
	queried
}](s *Server, spec sectionSpec) {
	spec = spec.prepared()
	register(s, access.ActionReadCharacters, s.listOperation(spec), func(ctx context.Context, in *I) (*listOutput, error) {
		q := P(in).query()
		filter := postgres.ElementFilter{CharacterID: q.id, Section: spec.section, List: spec.list, Where: q.where, Directly: q.directly, Limit: q.Limit + 1}
		if q.list != "" {
			filter.List = q.list
		}
		name := string(spec.section) + "/" + filter.List + listAsOf(q.AsOf)
		after, err := cursorOf[postgres.ElementCursor](q.PageInput, name)
		if err != nil {
			return nil, err
		}
		of, err := s.section(ctx, q.id, q.AsOf, spec.section)
		if err != nil {
			return nil, err
		}
		section, err := of.State(ctx, q.id, spec.section)
		if err != nil {
			return nil, err
		}
		filter.After = after
		elements, err := of.Elements(ctx, filter)
		if err != nil {
			return nil, err
		}
		page, err := pageOf(q.PageInput, name, elements, func(e postgres.Element) placed { return placed{e.Value, e.Origin} }, postgres.Element.Cursor)
		if err != nil {
			return nil, err
		}
		out, err := s.listed(ctx, of, spec, section, q.ProvenanceInput, page)
		if err == nil && spec.section == eve.SectionAssets && after == nil {
			// Not on each page: it reads all assets.
			err = s.addTotals(ctx, of, out.Body, q.directly || len(q.where) == 0)
		}
		return out, err
	})
}

// registerRecords serves a section whose items are records.
func registerRecords[I any, P interface {
	*I
	queried
}](s *Server, spec sectionSpec) {
	spec = spec.prepared()
	register(s, access.ActionReadCharacters, s.listOperation(spec), func(ctx context.Context, in *I) (*listOutput, error) {
		q := P(in).query()
		name := string(spec.section) + listAsOf(q.AsOf)
		before, err := cursorOf[postgres.RecordCursor](q.PageInput, name)
		if err != nil {
			return nil, err
		}
		of, err := s.section(ctx, q.id, q.AsOf, spec.section)
		if err != nil {
			return nil, err
		}
		section, err := of.State(ctx, q.id, spec.section)
		if err != nil {
			return nil, err
		}
		records, err := of.Records(ctx, postgres.RecordFilter{
			CharacterID: q.id, Section: spec.section, From: q.from, To: q.to, Where: q.where, Label: q.label, Recipient: q.recipient, Before: before, Limit: q.Limit + 1,
		})
		if err != nil {
			return nil, err
		}
		page, err := pageOf(q.PageInput, name, records, func(r postgres.Record) placed { return placed{r.Value, r.Origin} }, postgres.Record.Cursor)
		if err != nil {
			return nil, err
		}
		return s.listed(ctx, of, spec, section, q.ProvenanceInput, page)
	})
}

// placed is an element or a record, and the event that it is from.
type placed struct {
	value  json.RawMessage
	origin event.Origin
}

// listed is the answer with a page of a section.
func (s *Server) listed(ctx context.Context, of told, spec sectionSpec, section postgres.Section, in ProvenanceInput, page *pageOutput[placed]) (*listOutput, error) {
	out := &ListSection{SectionHead: headOf(section, of.asOf()), columns: spec.names, fields: spec.shown}
	known, err := s.beside(ctx, of, out, section)
	if err != nil {
		return nil, err
	}
	raw, origins := make([]json.RawMessage, len(page.Body.Items)), make([]event.Origin, len(page.Body.Items))
	for i, p := range page.Body.Items {
		raw[i], origins[i] = p.value, p.origin
	}
	items, err := s.items(ctx, s.moment(of), spec.section, raw, known)
	if err != nil {
		return nil, err
	}
	if err := s.derive(ctx, of, section.CharacterID, spec.section, items, out.Labels); err != nil {
		return nil, err
	}
	for _, item := range items {
		for _, field := range spec.apart {
			delete(item, field)
			delete(item, plainField(field))
			delete(item, htmlField(field))
		}
	}
	if err := s.traceItems(ctx, in, items, origins); err != nil {
		return nil, err
	}
	if err := s.trace(ctx, in, &out.Traced); err != nil {
		return nil, err
	}
	out.Page = Page[Item]{Items: items, NextCursor: page.Body.NextCursor}
	return &listOutput{Link: page.Link, Body: out}, nil
}

// beside adds what is shown beside a list, and tells the names that only the
// character itself knows: those of its mailing lists.
func (s *Server) beside(ctx context.Context, of told, out *ListSection, section postgres.Section) (map[int64]string, error) {
	switch section.Section {
	case eve.SectionContacts:
		labels, err := of.Elements(ctx, postgres.ElementFilter{CharacterID: section.CharacterID, Section: section.Section, List: "labels"})
		if err != nil {
			return nil, err
		}
		raw := make([]json.RawMessage, len(labels))
		for i, label := range labels {
			raw[i] = label.Value
		}
		if out.Labels, err = s.items(ctx, s.moment(of), section.Section, raw, nil); err != nil {
			return nil, err
		}
	case eve.SectionMails:
		return s.besideMails(ctx, of, out, section.CharacterID)
	default:
	}
	return nil, nil
}

func (s *Server) besideMails(ctx context.Context, of told, out *ListSection, id int64) (map[int64]string, error) {
	known, err := of.MailingLists(ctx, id)
	if err != nil {
		return nil, err
	}
	section, err := of.Section(ctx, id, eve.SectionMails)
	if err != nil || section.Value == nil {
		return known, err
	}
	var value struct {
		Labels           []json.RawMessage `json:"labels"`
		Lists            []json.RawMessage `json:"lists"`
		TotalUnreadCount *int64            `json:"total_unread_count"`
	}
	if err := json.Unmarshal(section.Value, &value); err != nil {
		return nil, fmt.Errorf("reading the labels of mails: %w", internal(err))
	}
	if out.Labels, err = s.items(ctx, s.moment(of), eve.SectionMails, value.Labels, nil); err != nil {
		return nil, err
	}
	if out.Lists, err = s.items(ctx, s.moment(of), eve.SectionMails, value.Lists, nil); err != nil {
		return nil, err
	}
	if len(out.Lists) > 0 {
		unread, err := of.UnreadByList(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, list := range out.Lists {
			if number, is := idOf(list["mailing_list_id"]); is {
				put(list, "unread_count", any(unread[number]))
			}
		}
	}
	out.TotalUnreadCount = value.TotalUnreadCount
	return known, nil
}

// registerRecord serves one record of a section, with all that is known of it.
func registerRecord[I any, P interface {
	*I
	picked
}](s *Server, spec sectionSpec, what, key, summary string) {
	op := notModified(huma.Operation{
		OperationID: "get-" + what, Path: spec.path() + "/{" + key + "}", Tags: []string{tagCharacters}, Summary: summary, Errors: []int{http.StatusNotFound},
	})
	full := spec
	full.apart = nil
	s.shape(&op, reflect.TypeFor[RecordSection](), "value", full.schema(), full.besides)
	register(s, access.ActionReadCharacters, op, func(ctx context.Context, in *I) (*single[RecordSection], error) {
		at, id := P(in).pick()
		of, err := s.section(ctx, at.ID, at.AsOf, spec.section)
		if err != nil {
			return nil, err
		}
		record, err := of.Record(ctx, at.ID, spec.section, strconv.FormatInt(id, 10))
		if err != nil {
			return nil, err
		}
		var shown ListSection
		known, err := s.beside(ctx, of, &shown, postgres.Section{CharacterID: at.ID, SectionState: postgres.SectionState{Section: spec.section}})
		if err != nil {
			return nil, err
		}
		items, err := s.items(ctx, s.moment(of), spec.section, []json.RawMessage{record.Value}, known)
		if err != nil {
			return nil, err
		}
		if err := s.derive(ctx, of, at.ID, spec.section, items, shown.Labels); err != nil {
			return nil, err
		}
		out := &RecordSection{
			CharacterID: at.ID, Section: string(spec.section), ObservedAt: record.ObservedAt, Value: items[0], AsOf: of.asOf(), Traced: tracedTo(record.Origin),
		}
		if err := s.trace(ctx, at.ProvenanceInput, &out.Traced); err != nil {
			return nil, err
		}
		return singleOf(at.Conditional, out)
	})
}

// picked is the input of a single record.
type picked interface {
	pick() (CharacterInput, int64)
}

type contractInput struct {
	CharacterInput

	ContractID int64 `path:"contract_id" minimum:"1"`
}

func (in *contractInput) pick() (CharacterInput, int64) { return in.CharacterInput, in.ContractID }

type mailInput struct {
	CharacterInput

	MailID int64 `path:"mail_id" minimum:"1"`
}

func (in *mailInput) pick() (CharacterInput, int64) { return in.CharacterInput, in.MailID }

type killmailInput struct {
	CharacterInput

	KillmailID int64 `path:"killmail_id" minimum:"1"`
}

func (in *killmailInput) pick() (CharacterInput, int64) { return in.CharacterInput, in.KillmailID }
