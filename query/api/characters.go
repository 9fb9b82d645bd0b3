package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
)

// Characters are characters as they are now; [postgres.CharacterReader] knows
// them.
type Characters interface {
	Characters(context.Context, postgres.CharacterFilter) ([]postgres.Character, error)
	Character(ctx context.Context, id int64) (postgres.Character, []postgres.SectionState, error)
	Sections
	Viewers
	Meanings
	Holdings
	// MainOf is the main of a user; nil for none.
	MainOf(ctx context.Context, user string) (*postgres.Main, error)
}

// Meanings are what ids stand for.
type Meanings interface {
	Names(context.Context, postgres.NameRequest) (postgres.Names, error)
	Reference(context.Context, postgres.ReferenceRequest) (postgres.Reference, error)
	MailingLists(ctx context.Context, id int64) (map[int64]string, error)
}

// Holdings are what the sections of a character come to.
type Holdings interface {
	AssetsValue(ctx context.Context, id int64) (*decimal.Decimal, error)
	Assets(ctx context.Context, id int64) ([]eve.Asset, error)
	AssetPlaces(ctx context.Context, id int64, locations, items []int64) (postgres.AssetPlaces, error)
	UnreadByList(ctx context.Context, id int64) (map[int64]int64, error)
}

// Sections are the sections of characters.
type Sections interface {
	Section(ctx context.Context, id int64, name eve.Section) (postgres.Section, error)
	State(ctx context.Context, id int64, name eve.Section) (postgres.Section, error)
	Elements(context.Context, postgres.ElementFilter) ([]postgres.Element, error)
	Records(context.Context, postgres.RecordFilter) ([]postgres.Record, error)
	Record(ctx context.Context, id int64, section eve.Section, key string) (postgres.Record, error)
}

// Wallets are wallets over time; [clickhouse.WalletReader] knows them.
type Wallets interface {
	Journal(context.Context, clickhouse.JournalFilter) ([]clickhouse.JournalEntry, error)
	Analyse(context.Context, clickhouse.WalletQuery) ([]clickhouse.WalletFigures, error)
	Totals(context.Context, clickhouse.WalletQuery) ([]clickhouse.WalletFigures, error)
	Top(ctx context.Context, q clickhouse.WalletQuery, by clickhouse.Measure, limit int) (top []clickhouse.WalletFigures, total clickhouse.WalletFigures, err error)
	Distribution(context.Context, clickhouse.WalletQuery) ([]clickhouse.WalletDistribution, error)
}

// Character is a character in a list.
type Character struct {
	CharacterID     int64     `json:"character_id"`
	Name            string    `json:"name"`
	CorporationID   int64     `json:"corporation_id" doc:"0 if it is not known yet."`
	AllianceID      *int64    `json:"alliance_id" doc:"null for none."`
	UserID          *string   `json:"user_id" doc:"The owner; null for an orphan."`
	Status          string    `json:"status" enum:"active,disabled,orphaned"`
	RegisteredAt    time.Time `json:"registered_at"`
	FailingSections int       `json:"failing_sections" doc:"How many sections cannot be read at present."`
	Traced
}

// CharacterDetail is a character with the state of its sections.
type CharacterDetail struct {
	Character

	CorporationName string         `json:"corporation_name,omitempty" doc:"If it is known; so are the other names."`
	AllianceName    string         `json:"alliance_name,omitempty"`
	MainID          *int64         `json:"main_id,omitempty" doc:"The owner's main; absent without one, of the past, and for links."`
	MainName        string         `json:"main_name,omitempty"`
	IsMain          bool           `json:"is_main,omitempty"`
	AsOf            *time.Time     `json:"as_of,omitempty" doc:"The moment that was asked for."`
	Scopes          []string       `json:"scopes" nullable:"false" doc:"What the owner has consented to."`
	Login           Login          `json:"login"`
	Sections        []SectionState `json:"sections" nullable:"false"`
}

// Login is how the login of a character stands.
type Login struct {
	State  string `json:"state" enum:"active,parked,none,unknown" doc:"parked: it waits until its owner registers the character again. none: there is no login, so only public sections are read. unknown: of the past, for logins are not in the log."`
	Reason string `json:"reason,omitempty" doc:"Why it is parked."`
	// RegisteredAt is absent without a login.
	RegisteredAt *time.Time `json:"registered_at,omitempty" doc:"When the owner last gave it."`
}

// SectionState is how a section of a character stands.
type SectionState struct {
	Section     string     `json:"section"`
	Status      string     `json:"status" enum:"ok,failing,incomplete,not_yet,not_consented"`
	ObservedAt  *time.Time `json:"observed_at" doc:"When its content was last seen to change; null for never."`
	ValidatedAt *time.Time `json:"validated_at" doc:"When its content was last confirmed; null for never."`
	NotBefore   *time.Time `json:"not_before,omitempty" doc:"The earliest moment of the next attempt."`
	Outstanding int        `json:"outstanding,omitempty" doc:"How much of what is fetched apart, such as the bodies of mails, is not there yet."`
	Failure     *Failure   `json:"failure,omitempty"`
	Traced
}

// Failure is why a section cannot be read.
type Failure struct {
	Class   string    `json:"class"`
	Status  int       `json:"status,omitempty" doc:"The HTTP status of ESI's answer."`
	Message string    `json:"message"`
	Since   time.Time `json:"since,omitzero" doc:"Absent if it is not known."`
}

// SectionHead is what all sections begin with.
type SectionHead struct {
	CharacterID int64      `json:"character_id"`
	Section     string     `json:"section"`
	ObservedAt  *time.Time `json:"observed_at" doc:"When its content was last seen to change; null for never."`
	ValidatedAt *time.Time `json:"validated_at" doc:"When its content was last confirmed; null for never."`
	Status      string     `json:"status" enum:"ok,failing,incomplete,not_yet,not_consented"`
	Outstanding int        `json:"outstanding,omitempty" doc:"How much of what is fetched apart, such as the bodies of mails, is not there yet."`
	Failure     *Failure   `json:"failure,omitempty"`
	AsOf        *time.Time `json:"as_of,omitempty" doc:"The moment that was asked for."`
	// Traced is about the observation, or the records, that were told last.
	Traced
}

// WalletSection is the section wallet.
type WalletSection struct {
	SectionHead

	Value *WalletValue `json:"value" doc:"null before the first reading."`
}

// WalletValue is what is in a wallet.
type WalletValue struct {
	Balance Money `json:"balance"`
}

// JournalSection is the section wallet-journal, one page of it.
type JournalSection struct {
	SectionHead
	Page[JournalEntry]
}

// JournalEntry is an entry of a wallet journal, with ESI's names.
type JournalEntry struct {
	ID           int64     `json:"id"`
	Date         time.Time `json:"date"`
	RefType      string    `json:"ref_type"`
	Amount       Money     `json:"amount"`
	Balance      *Money    `json:"balance" doc:"The balance after the entry; null if ESI sent none."`
	FirstPartyID *int64    `json:"first_party_id,omitempty"`
	// The names, here and below, if they are known.
	FirstPartyName  string `json:"first_party_name,omitempty"`
	SecondPartyID   *int64 `json:"second_party_id,omitempty"`
	SecondPartyName string `json:"second_party_name,omitempty"`
	Description     string `json:"description"`
	Reason          string `json:"reason"`
	ContextID       *int64 `json:"context_id,omitempty"`
	ContextIDType   string `json:"context_id_type,omitempty"`
	ContextName     string `json:"context_name,omitempty" doc:"If the context is a place, somebody or a type."`
	Tax             Money  `json:"tax"`
	TaxReceiverID   *int64 `json:"tax_receiver_id,omitempty"`
	TaxReceiverName string `json:"tax_receiver_name,omitempty"`
	Traced
}

type charactersInput struct {
	PageInput
	ProvenanceInput

	Name          string `query:"name" maxLength:"100" doc:"A part of the name, in any case."`
	NamePrefix    string `query:"name_prefix" maxLength:"100" doc:"The beginning of the name, in any case."`
	CorporationID int64  `query:"corporation_id" minimum:"1"`
	AllianceID    int64  `query:"alliance_id" minimum:"1"`
	UserID        string `query:"user_id" maxLength:"200"`
	Status        string `query:"status" enum:"active,disabled,orphaned"`
	Sort          string `query:"sort" enum:"name,id" default:"name"`
}

// CharacterInput is what a single thing of a character takes.
type CharacterInput struct {
	Conditional
	CharacterAsOfInput

	ID int64 `path:"id" minimum:"1" doc:"The character's id."`
}

type journalInput struct {
	PageInput
	CharacterAsOfInput

	ID      int64     `path:"id" minimum:"1" doc:"The character's id."`
	From    time.Time `query:"from" doc:"Entries at this moment or later."`
	To      time.Time `query:"to" doc:"Entries before this moment."`
	RefType []string  `query:"ref_type" maxItems:"100" doc:"One or several, separated by commas."`
}

type journalOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *JournalSection
}

func (s *Server) registerCharacters() {
	tags := []string{tagCharacters}
	register(s, access.ActionReadCharacters, asTable(huma.Operation{
		OperationID: "list-characters", Path: "/v1/characters", Tags: tags, Summary: "List characters",
	}), s.listCharacters)
	one := func(id, path, summary string) huma.Operation {
		return notModified(huma.Operation{OperationID: id, Path: path, Tags: tags, Summary: summary, Errors: []int{http.StatusNotFound}})
	}
	register(s, access.ActionReadCharacters, one("get-character", "/v1/characters/{id}", "A character and how its sections stand"), s.getCharacter)
	register(s, access.ActionReadCharacters, one("get-wallet", "/v1/characters/{id}/wallet", "What is in the wallet"), s.getWallet)
	journal := asTable(huma.Operation{
		OperationID: "list-wallet-journal", Path: "/v1/characters/{id}/wallet-journal", Tags: tags, Summary: "The entries of the wallet's journal, the newest first",
		Errors: []int{http.StatusNotFound},
	})
	register(s, access.ActionReadCharacters, journal, s.listJournal)
	s.registerSections()
}

func (s *Server) listCharacters(ctx context.Context, in *charactersInput) (*pageOutput[Character], error) {
	list := "characters/" + in.Sort
	after, err := cursorOf[postgres.CharacterCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	found, err := s.config.Characters.Characters(ctx, postgres.CharacterFilter{
		Name: in.Name, NamePrefix: in.NamePrefix, CorporationID: in.CorporationID, AllianceID: in.AllianceID, UserID: in.UserID,
		Status: postgres.CharacterStatus(in.Status), Sort: postgres.CharacterSort(in.Sort), After: after, Limit: in.Limit + 1,
		View: viewOf(ctx),
	})
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, found, showCharacter, postgres.Character.Cursor)
	return tracePage(ctx, s, in.ProvenanceInput, page, err)
}

func showCharacter(c postgres.Character) Character {
	return Character{
		CharacterID: c.CharacterID, Name: c.Name, CorporationID: c.CorporationID, AllianceID: optional(c.AllianceID), UserID: optional(c.UserID),
		Status: string(c.Status), RegisteredAt: c.RegisteredAt, FailingSections: c.FailingSections,
		Traced: tracedTo(c.Origin),
	}
}

func (s *Server) getCharacter(ctx context.Context, in *CharacterInput) (*single[CharacterDetail], error) {
	of, err := s.character(ctx, in.ID, in.AsOf)
	if err != nil {
		return nil, err
	}
	c, states, err := of.Character(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	detail := &CharacterDetail{Character: showCharacter(c), AsOf: of.asOf(), Scopes: append([]string{}, c.Scopes...), Login: showLogin(c.Login), Sections: []SectionState{}}
	for _, state := range states {
		detail.Sections = append(detail.Sections, SectionState{
			Section: string(state.Section), Status: string(state.Status), ObservedAt: state.ObservedAt, ValidatedAt: state.ValidatedAt,
			NotBefore: state.NotBefore, Outstanding: state.Outstanding, Failure: showFailure(state.Failure),
			Traced: tracedTo(state.Origin),
		})
	}
	if err := s.trace(ctx, in.ProvenanceInput, &detail.Traced); err != nil {
		return nil, err
	}
	if err := trace(ctx, s, in.ProvenanceInput, detail.Sections); err != nil {
		return nil, err
	}
	if detail.AsOf != nil {
		detail.Login = Login{State: "unknown"}
	}
	if err := s.introduce(ctx, detail); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, detail)
}

// introduce adds the names of where a character belongs, and who its owner's main is:
// what goes above a page about it.
func (s *Server) introduce(ctx context.Context, c *CharacterDetail) error {
	wanted := []int64{c.CorporationID}
	if c.AllianceID != nil {
		wanted = append(wanted, *c.AllianceID)
	}
	names, err := s.config.Characters.Names(ctx, postgres.NameRequest{Entities: wanted})
	if err != nil {
		return err
	}
	c.CorporationName = names.Entities[c.CorporationID]
	if c.AllianceID != nil {
		c.AllianceName = names.Entities[*c.AllianceID]
	}
	// A link shows one character, and not who else there is. Who owned it in the past may
	// have another main now, or be somebody whose main is no concern of the present owner.
	if c.UserID == nil || c.AsOf != nil || principalOf(ctx).Link != nil {
		return nil
	}
	main, err := s.config.Characters.MainOf(ctx, *c.UserID)
	if err != nil || main == nil {
		return err
	}
	c.MainID, c.MainName, c.IsMain = &main.CharacterID, main.Name, main.CharacterID == c.CharacterID
	return nil
}

func showLogin(l *postgres.Login) Login {
	switch {
	case l == nil:
		return Login{State: "none"}
	case l.Parked:
		return Login{State: "parked", Reason: l.Reason, RegisteredAt: &l.RegisteredAt}
	default:
		return Login{State: "active", RegisteredAt: &l.RegisteredAt}
	}
}

func showFailure(f *postgres.SectionFailure) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{Class: string(f.Class), Status: f.Status, Message: f.Message, Since: f.Since}
}

func headOf(section postgres.Section, asOf *time.Time) SectionHead {
	return SectionHead{
		CharacterID: section.CharacterID, Section: string(section.Section), ObservedAt: section.ObservedAt, ValidatedAt: section.ValidatedAt,
		Status: string(section.Status), Outstanding: section.Outstanding, Failure: showFailure(section.Failure),
		AsOf: asOf, Traced: tracedTo(section.Origin),
	}
}

func (s *Server) getWallet(ctx context.Context, in *CharacterInput) (*single[WalletSection], error) {
	of, err := s.section(ctx, in.ID, in.AsOf, eve.SectionWallet)
	if err != nil {
		return nil, err
	}
	section, err := of.Section(ctx, in.ID, eve.SectionWallet)
	if err != nil {
		return nil, err
	}
	wallet := &WalletSection{SectionHead: headOf(section, of.asOf())}
	if section.Value != nil {
		balance, err := eve.DecodeWallet(section.Value)
		if err != nil {
			return nil, fmt.Errorf("reading the wallet of character %d: %w", in.ID, internal(err))
		}
		wallet.Value = &WalletValue{Balance: Money(balance.String())}
	}
	if err := s.trace(ctx, in.ProvenanceInput, &wallet.Traced); err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, wallet)
}

func (s *Server) listJournal(ctx context.Context, in *journalInput) (*journalOutput, error) {
	list := "wallet-journal" + listAsOf(in.AsOf)
	before, err := cursorOf[clickhouse.JournalCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	of, err := s.section(ctx, in.ID, in.AsOf, eve.SectionWalletJournal)
	if err != nil {
		return nil, err
	}
	section, err := of.State(ctx, in.ID, eve.SectionWalletJournal)
	if err != nil {
		return nil, err
	}
	entries, err := of.Journal(ctx, clickhouse.JournalFilter{
		CharacterID: in.ID, From: in.From, To: in.To, RefTypes: in.RefType, Before: before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, entries, showEntry, clickhouse.JournalEntry.Cursor)
	if err != nil {
		return nil, err
	}
	if err := s.nameEntries(ctx, page.Body.Items); err != nil {
		return nil, err
	}
	out := &JournalSection{SectionHead: headOf(section, of.asOf()), Page: *page.Body}
	if err := s.trace(ctx, in.ProvenanceInput, &out.Traced); err != nil {
		return nil, err
	}
	return &journalOutput{Link: page.Link, Body: out}, trace(ctx, s, in.ProvenanceInput, out.Items)
}

// nameEntries puts names beside the ids of entries.
func (s *Server) nameEntries(ctx context.Context, entries []JournalEntry) error {
	var wanted postgres.NameRequest
	parties := func(e *JournalEntry) [3]struct {
		id   *int64
		name *string
	} {
		return [3]struct {
			id   *int64
			name *string
		}{{e.FirstPartyID, &e.FirstPartyName}, {e.SecondPartyID, &e.SecondPartyName}, {e.TaxReceiverID, &e.TaxReceiverName}}
	}
	for i := range entries {
		e := &entries[i]
		for _, party := range parties(e) {
			if party.id != nil {
				wanted.Entities = append(wanted.Entities, *party.id)
			}
		}
		if e.ContextID == nil {
			continue
		}
		switch eve.ContextKind(e.ContextIDType) { //nolint:exhaustive // the others have no names
		case eve.FieldLocation:
			wanted.Locations = append(wanted.Locations, *e.ContextID)
		case eve.FieldEntity:
			wanted.Entities = append(wanted.Entities, *e.ContextID)
		case eve.FieldType:
			wanted.Types = append(wanted.Types, *e.ContextID)
		}
	}
	names, err := s.config.Characters.Names(ctx, wanted)
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		for _, party := range parties(e) {
			if party.id != nil {
				*party.name = names.Entities[*party.id]
			}
		}
		if e.ContextID == nil {
			continue
		}
		switch eve.ContextKind(e.ContextIDType) { //nolint:exhaustive // the others have no names
		case eve.FieldLocation:
			e.ContextName = names.Locations[*e.ContextID]
		case eve.FieldEntity:
			e.ContextName = names.Entities[*e.ContextID]
		case eve.FieldType:
			e.ContextName = names.Types[*e.ContextID]
		}
	}
	return nil
}

func showEntry(j clickhouse.JournalEntry) JournalEntry {
	return JournalEntry{
		ID: j.ID, Date: j.Date, RefType: j.Type, Amount: money(j.Amount), Balance: optionalMoney(j.Balance),
		FirstPartyID: optional(j.FirstPartyID), SecondPartyID: optional(j.SecondPartyID), Description: j.Description, Reason: j.Reason,
		ContextID: optional(j.ContextID), ContextIDType: j.ContextIDType, Tax: money(j.Tax), TaxReceiverID: optional(j.TaxReceiverID),
		Traced: tracedTo(j.Origin),
	}
}
