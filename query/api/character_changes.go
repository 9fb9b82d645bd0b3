package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
)

// Provenance is the event that something rests on, and where it lies in the log.
type Provenance struct {
	EventID   uuid.UUID `json:"event_id"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
}

func provenanceOf(f history.Fact) Provenance {
	return Provenance{EventID: f.ID, Topic: f.Topic, Partition: f.Partition, Offset: f.Offset}
}

// SectionChange is what one event changed of a section.
type SectionChange struct {
	ObservedAt time.Time `json:"observed_at" doc:"When ESI was asked."`
	Provenance

	First        bool          `json:"first" doc:"The first reading: nothing was known before. Its contents are only counted; ask for the section as of observed_at to see them."`
	AddedCount   int           `json:"added_count"`
	ChangedCount int           `json:"changed_count"`
	RemovedCount int           `json:"removed_count"`
	Value        *ItemChanged  `json:"value,omitempty" doc:"What the section says beside its lists, if that changed."`
	Added        []ItemThere   `json:"added" nullable:"false"`
	Changed      []ItemChanged `json:"changed" nullable:"false"`
	Removed      []ItemThere   `json:"removed" nullable:"false"`
}

// ItemThere is something that was added or removed.
type ItemThere struct {
	List string `json:"list,omitempty" doc:"Of a section with several lists."`
	Key  string `json:"key" doc:"The natural key: of several fields, joined by slashes."`
	Item Item   `json:"item"`
}

// ItemChanged is something that is not what it was.
type ItemChanged struct {
	List   string   `json:"list,omitempty" doc:"Of a section with several lists."`
	Key    string   `json:"key,omitempty" doc:"The natural key: of several fields, joined by slashes."`
	Fields []string `json:"fields" nullable:"false" doc:"The fields that differ, by ESI's names."`
	Before Item     `json:"before" nullable:"true"`
	After  Item     `json:"after" nullable:"true"`
}

// SectionChanges are a page of the changes of a section.
type SectionChanges struct {
	CharacterID int64  `json:"character_id"`
	Section     string `json:"section"`
	Page[SectionChange]
}

// changeLine is a change as a line of a table.
type changeLine struct {
	ObservedAt time.Time `json:"observed_at"`
	EventID    uuid.UUID `json:"event_id"`
	Topic      string    `json:"topic"`
	Partition  int32     `json:"partition"`
	Offset     int64     `json:"offset"`
	First      bool      `json:"first"`
	Kind       string    `json:"kind"`
	List       string    `json:"list"`
	Key        string    `json:"key"`
	// Fields are separated by commas, Before and After are JSON; empty for none.
	Fields string `json:"fields"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// rows are the changes one by one; of a first reading there is one line that says so.
func (s *SectionChanges) rows() any {
	lines := []changeLine{}
	for _, c := range s.Items {
		line := changeLine{ObservedAt: c.ObservedAt, EventID: c.EventID, Topic: c.Topic, Partition: c.Partition, Offset: c.Offset}
		add := func(kind eve.ChangeKind, list, key string, fields []string, before, after Item) {
			line.Kind, line.List, line.Key, line.Fields, line.Before, line.After = string(kind), list, key, strings.Join(fields, ","), before.text(), after.text()
			lines = append(lines, line)
		}
		if c.First {
			line.First = true
			add("", "", "", nil, nil, nil)
			continue
		}
		if v := c.Value; v != nil {
			add(eve.ChangeChanged, "", "", v.Fields, v.Before, v.After)
		}
		for _, i := range c.Added {
			add(eve.ChangeAdded, i.List, i.Key, nil, nil, i.Item)
		}
		for _, i := range c.Changed {
			add(eve.ChangeChanged, i.List, i.Key, i.Fields, i.Before, i.After)
		}
		for _, i := range c.Removed {
			add(eve.ChangeRemoved, i.List, i.Key, nil, i.Item, nil)
		}
	}
	return lines
}

// text is the item as JSON; empty for none.
func (i Item) text() string {
	if i == nil {
		return ""
	}
	// It was read from JSON.
	text, _ := json.Marshal(i) //nolint:errchkjson // see above
	return string(text)
}

// TimelineItem is something that happened to a character.
type TimelineItem struct {
	At      time.Time `json:"at" doc:"When it was decided, or when ESI was asked: what ESI shows may have happened at any time since the reading before."`
	Kind    string    `json:"kind"`
	Section string    `json:"section,omitempty"`
	Words   string    `json:"words" doc:"What happened, as a sentence."`
	Amount  *Money    `json:"amount,omitempty" doc:"Of a change of the wallet: by how much."`
	Actor   string    `json:"actor,omitempty" doc:"Who decided it."`
	Provenance
}

// SpanInput is what the lists of the past of a character take.
type SpanInput struct {
	PageInput

	ID    int64     `path:"id" minimum:"1" doc:"The character's id."`
	Since time.Time `query:"since" doc:"At this moment or later."`
	Until time.Time `query:"until" doc:"Before this moment."`
	Order string    `query:"order" enum:"newest,oldest" default:"newest" doc:"Which comes first."`
}

// has tells whether a moment is asked for.
func (in *SpanInput) has(at time.Time) bool {
	return (in.Since.IsZero() || !at.Before(in.Since)) && (in.Until.IsZero() || at.Before(in.Until))
}

// factCursor is a place among what happened to a character: an event, and how many
// of the things that it says have been shown.
type factCursor struct {
	Nanos  int64 `json:"t"`
	Offset int64 `json:"o"`
	N      int   `json:"n,omitempty"`
}

func (c factCursor) compare(other factCursor) int {
	return cmp.Or(cmp.Compare(c.Nanos, other.Nanos), cmp.Compare(c.Offset, other.Offset), cmp.Compare(c.N, other.N))
}

func placeOf(f history.Fact, n int) factCursor {
	return factCursor{Nanos: f.Time.UnixNano(), Offset: f.Offset, N: n}
}

// pageOfPast is the page that is asked for of what was gathered of a life.
func pageOfPast[R any](in *SpanInput, list string, all []R, at func(R) factCursor) ([]R, error) {
	after, err := cursorOf[factCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	sign := -1
	if in.Order == "oldest" {
		sign = 1
	}
	slices.SortStableFunc(all, func(a, b R) int { return sign * at(a).compare(at(b)) })
	if after != nil {
		all = slices.DeleteFunc(all, func(r R) bool { return sign*at(r).compare(*after) <= 0 })
	}
	return all[:min(len(all), in.Limit+1)], nil
}

type changesOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *SectionChanges
}

type timelineInput struct {
	SpanInput

	Kind      []string `query:"kind" maxItems:"50" doc:"One or several kinds, separated by commas; all if left out."`
	MinAmount string   `query:"min_amount" maxLength:"30" default:"100000000.00" doc:"Leave out changes of the wallet that are smaller, in ISK."`
}

// registerPast serves what happened to characters.
func (s *Server) registerPast() {
	register(s, access.ActionReadCharacters, asTable(huma.Operation{
		OperationID: "list-timeline", Path: "/v1/characters/{id}/timeline", Tags: []string{tagCharacters}, Errors: []int{http.StatusNotFound},
		Summary:     "What happened to a character, across its sections, the newest first",
		Description: "What the first reading of a section shows did not happen then, so it is not told.",
	}), s.listTimeline)
	for _, shape := range eve.Shapes() {
		register(s, access.ActionReadCharacters, asTable(huma.Operation{
			OperationID: "list-changes-of-" + string(shape.Section), Path: "/v1/characters/{id}/" + string(shape.Section) + "/changes", Tags: []string{tagCharacters}, Errors: []int{http.StatusNotFound},
			Summary: "What changed in the section " + string(shape.Section) + ", event by event, the newest first",
		}), func(ctx context.Context, in *SpanInput) (*changesOutput, error) {
			return s.listChanges(ctx, in, shape.Section)
		})
	}
}

// changed is an event with what it changed of a section.
type changed struct {
	fact    history.Fact
	first   bool
	changes []eve.Change
}

func (c changed) place() factCursor { return placeOf(c.fact, 0) }

func (s *Server) listChanges(ctx context.Context, in *SpanInput, section eve.Section) (*changesOutput, error) {
	life, err := s.config.Past.Life(ctx, in.ID, section)
	if err != nil {
		return nil, err
	}
	if err := life.Registered(in.ID); err != nil {
		return nil, err
	}
	chronicle := eve.Chronicle{Section: section}
	var all []changed
	for _, f := range life.Facts {
		changes, first, err := chronicle.Follow(f.Event, f.Payload)
		if err != nil {
			return nil, fmt.Errorf("following section %s: %w", section, internal(err))
		}
		if (len(changes) > 0 || first) && in.has(f.Time) {
			all = append(all, changed{f, first, changes})
		}
	}
	list := "changes/" + string(section) + "/" + in.Order
	part, err := pageOfPast(in, list, all, changed.place)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, part, showChanged, changed.place)
	if err != nil {
		return nil, err
	}
	if err := s.showItems(ctx, in.ID, section, part, page.Body.Items); err != nil {
		return nil, err
	}
	return &changesOutput{Link: page.Link, Body: &SectionChanges{CharacterID: in.ID, Section: string(section), Page: *page.Body}}, nil
}

// showChanged shows an event without the items, which need names.
func showChanged(c changed) SectionChange {
	out := SectionChange{
		ObservedAt: observedAt(c.fact), Provenance: provenanceOf(c.fact), First: c.first,
		Added: []ItemThere{}, Changed: []ItemChanged{}, Removed: []ItemThere{},
	}
	for _, change := range c.changes {
		switch {
		case change.Head:
		case change.Kind == eve.ChangeAdded:
			out.AddedCount++
		case change.Kind == eve.ChangeRemoved:
			out.RemovedCount++
		default:
			out.ChangedCount++
		}
	}
	return out
}

func observedAt(f history.Fact) time.Time {
	switch p := f.Payload.(type) {
	case eve.SectionObserved:
		return p.FetchedAt.UTC()
	case eve.JournalRecorded:
		return p.FetchedAt.UTC()
	case eve.FactsEvent:
		return p.Content().FetchedAt.UTC()
	default:
		return f.Time.UTC()
	}
}

// showItems fills in the items of a page, with all names in one go.
func (s *Server) showItems(ctx context.Context, id int64, section eve.Section, part []changed, into []SectionChange) error {
	var raw []json.RawMessage
	for i := range into {
		if part[i].first {
			continue
		}
		for _, c := range part[i].changes {
			if c.Before != nil {
				raw = append(raw, c.Before)
			}
			if c.After != nil {
				raw = append(raw, c.After)
			}
		}
	}
	shown, err := s.pastItems(ctx, id, section, raw)
	if err != nil {
		return err
	}
	next := func(there json.RawMessage) (item Item) {
		if there != nil {
			item, shown = shown[0], shown[1:]
		}
		return item
	}
	for i := range into {
		if part[i].first {
			continue
		}
		for _, c := range part[i].changes {
			before, after := next(c.Before), next(c.After)
			into[i].add(c, before, after)
		}
	}
	return nil
}

func (c *SectionChange) add(change eve.Change, before, after Item) {
	differs := ItemChanged{List: change.List, Key: change.Key, Fields: append([]string{}, change.Fields...), Before: before, After: after}
	switch {
	case change.Head:
		c.Value = &differs
	case change.Kind == eve.ChangeAdded:
		c.Added = append(c.Added, ItemThere{change.List, change.Key, after})
	case change.Kind == eve.ChangeRemoved:
		c.Removed = append(c.Removed, ItemThere{change.List, change.Key, before})
	default:
		c.Changed = append(c.Changed, differs)
	}
}

// apartOf are the fields of records that only a single one is shown with.
func apartOf(section eve.Section) []string {
	switch section { //nolint:exhaustive // the others have none
	case eve.SectionContracts:
		return []string{"items", "bids"}
	case eve.SectionMails:
		return []string{"body"}
	case eve.SectionKillmails:
		return []string{"attackers"}
	default:
		return nil
	}
}

// pastItems shows elements as their section shows them.
func (s *Server) pastItems(ctx context.Context, id int64, section eve.Section, raw []json.RawMessage) ([]Item, error) {
	if section == eve.SectionWalletJournal {
		return s.pastEntries(ctx, raw)
	}
	var known map[int64]string
	var err error
	if section == eve.SectionMails {
		if known, err = s.config.Characters.MailingLists(ctx, id); err != nil {
			return nil, err
		}
	}
	stored := make([]json.RawMessage, len(raw))
	for i, r := range raw {
		stored[i] = postgres.Stored(r)
	}
	items, err := s.items(ctx, s.config.Now(), section, stored, known)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		// How training stands is a matter of the moment.
		delete(item, eve.TrainingState)
		for _, field := range apartOf(section) {
			delete(item, field)
			delete(item, plainField(field))
			delete(item, htmlField(field))
		}
	}
	return items, nil
}

func (s *Server) pastEntries(ctx context.Context, raw []json.RawMessage) ([]Item, error) {
	entries := make([]JournalEntry, len(raw))
	for i, r := range raw {
		var entry eve.JournalEntry
		if err := json.Unmarshal(r, &entry); err != nil {
			return nil, fmt.Errorf("reading a journal entry: %w", err)
		}
		shown, err := clickhouse.EntryOf(entry)
		if err != nil {
			return nil, internal(err)
		}
		entries[i] = showEntry(shown)
	}
	if err := s.nameEntries(ctx, entries); err != nil {
		return nil, err
	}
	items := make([]Item, len(entries))
	for i, entry := range entries {
		text, err := json.Marshal(entry)
		if err != nil {
			return nil, fmt.Errorf("writing a journal entry: %w", err)
		}
		if items[i], err = decodeItem(eve.SectionWalletJournal, text); err != nil {
			return nil, fmt.Errorf("writing a journal entry: %w", err)
		}
	}
	return items, nil
}

// happened is something that happened, and the event that tells of it.
type happened struct {
	fact history.Fact
	n    int
	eve.Happening
}

func (h happened) place() factCursor { return placeOf(h.fact, h.n) }

func (s *Server) listTimeline(ctx context.Context, in *timelineInput) (*pageOutput[TimelineItem], error) {
	for _, kind := range in.Kind {
		if !slices.Contains(eve.HappeningKinds(), eve.HappeningKind(kind)) {
			return nil, event.Errorf(event.CodeInvalid, "kind: there is no %q: choose from %s", kind, kindsInWords())
		}
	}
	least, err := eve.ParseISK(json.Number(in.MinAmount))
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "min_amount: %w", err)
	}
	life, err := s.config.Past.Life(ctx, in.ID, eve.TimelineSections()...)
	if err != nil {
		return nil, err
	}
	if err := life.Registered(in.ID); err != nil {
		return nil, err
	}
	timeline := eve.NewTimeline(least)
	var all []happened
	for _, f := range life.Facts {
		told, err := timeline.Follow(f.Event, f.Payload)
		if err != nil {
			return nil, fmt.Errorf("telling what happened: %w", internal(err))
		}
		for n, h := range told {
			if in.has(f.Time) && (len(in.Kind) == 0 || slices.Contains(in.Kind, string(h.Kind))) {
				all = append(all, happened{f, n, h})
			}
		}
	}
	list := "timeline/" + in.Order
	part, err := pageOfPast(&in.SpanInput, list, all, happened.place)
	if err != nil {
		return nil, err
	}
	names, err := s.namesIn(ctx, part)
	if err != nil {
		return nil, err
	}
	return pageOf(in.PageInput, list, part, func(h happened) TimelineItem {
		item := TimelineItem{
			At: h.fact.Time.UTC(), Kind: string(h.Kind), Section: string(h.Section), Words: inWords(h.Words, names), Actor: h.fact.Actor, Provenance: provenanceOf(h.fact),
		}
		if h.Kind == eve.HappenedWalletChanged {
			item.Amount = new(Money(h.Amount.String()))
		}
		return item
	}, happened.place)
}

func kindsInWords() string {
	var all []string
	for _, kind := range eve.HappeningKinds() {
		all = append(all, string(kind))
	}
	return strings.Join(all, ", ")
}

// namesIn looks up the names of what is said.
func (s *Server) namesIn(ctx context.Context, told []happened) (postgres.Names, error) {
	var wanted postgres.NameRequest
	for _, h := range told {
		for _, p := range h.Words {
			switch p.Kind { //nolint:exhaustive // the others have no names
			case eve.FieldType:
				wanted.Types = append(wanted.Types, p.ID)
			case eve.FieldLocation:
				wanted.Locations = append(wanted.Locations, p.ID)
			case eve.FieldEntity:
				wanted.Entities = append(wanted.Entities, p.ID)
			}
		}
	}
	return s.config.Characters.Names(ctx, wanted)
}

// inWords is a sentence with names, and with ids where they are not known.
func inWords(parts []eve.Part, names postgres.Names) string {
	var out strings.Builder
	for _, p := range parts {
		var name string
		switch p.Kind { //nolint:exhaustive // the others have no names
		case eve.FieldType:
			name = cmp.Or(names.Types[p.ID], fmt.Sprintf("type %d", p.ID))
		case eve.FieldLocation:
			name = cmp.Or(names.Locations[p.ID], fmt.Sprintf("location %d", p.ID))
		case eve.FieldEntity:
			name = cmp.Or(names.Entities[p.ID], fmt.Sprintf("entity %d", p.ID))
		default:
			name = p.Text
		}
		out.WriteString(name)
	}
	return out.String()
}
