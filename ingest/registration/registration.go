// Package registration puts users and characters under Muster's care: it turns
// an organisation into decisions on their streams and keeps the logins.
package registration

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/command"
)

// chunk bounds how many streams are decided on in one transaction.
const chunk = 200

// Bus decides on streams; [*command.Bus] does.
type Bus interface {
	DoAll(ctx context.Context, streams []event.Stream, in command.BatchInput, decide command.DecideAll) ([]command.Receipt, error)
	Await(ctx context.Context, receipts ...command.Receipt) (bool, error)
}

// Vault keeps logins; [*sso.Vault] does.
type Vault interface {
	PutTx(ctx context.Context, tx pgx.Tx, g sso.Grant) error
	Logins(ctx context.Context) ([]sso.Login, error)
}

// View tells what is known already, as of the last decision on the streams.
type View interface {
	// Users are those of the ids that are known, with their mains; a main of
	// nil is none.
	Users(ctx context.Context, ids []string) (map[string]KnownUser, error)
	// Characters are those of the ids that are known.
	Characters(ctx context.Context, ids []int64) (map[int64]KnownCharacter, error)
	// Mains are the users whose main a character is.
	Mains(ctx context.Context, character int64) ([]string, error)
}

// KnownUser is a user as the read model has him.
type KnownUser struct {
	access.UserRegistered
	// Granted are all his permissions, those of his roles included.
	Granted []string
	Main    *int64
	// HasMain tells whether a main was ever set, be it to none.
	HasMain bool
	// Listed are the characters that he was last said to own without their being
	// registered, by id.
	Listed []access.ListedCharacter
}

// KnownCharacter is a character as the read model has it.
type KnownCharacter struct {
	Name string
	// UserID is the owner; empty for an orphan.
	UserID    string
	OwnerHash string
	Scopes    []string
	// Disabled tells that it is not synced though it may have an owner.
	Disabled bool
	// Shared tells that its present owner has shared it, be it for a time that is over
	// by now; SharedUntil is when that ends, nil for never.
	Shared      bool
	SharedUntil *time.Time
}

// Registrar registers organisations. It is safe for concurrent use.
type Registrar struct {
	bus   Bus
	vault Vault
	view  View
	anew  Anew
	// deactivated is nil if nobody wants to know.
	deactivated Deactivated
}

// Anew is told, within the transaction of the decision, of characters that were not
// known before.
type Anew func(ctx context.Context, tx pgx.Tx, characters ...int64) error

// Deactivated is told, within the transaction of the decision, of users who are not
// active any more.
type Deactivated func(ctx context.Context, tx pgx.Tx, users ...string) error

// New is a registrar. Without a vault (nil) characters are registered but their
// logins are refused. anew is told of characters that were not known before:
// [esi.Remember] is.
func New(bus Bus, vault Vault, view View, anew Anew) *Registrar {
	return &Registrar{bus: bus, vault: vault, view: view, anew: anew}
}

// OnDeactivation is a registrar that tells of users who are not active any more.
func (r *Registrar) OnDeactivation(told Deactivated) *Registrar {
	with := *r
	with.deactivated = told
	return &with
}

// Result is what an import came to. What was as the file says already is not
// counted.
type Result struct {
	Users      int `json:"users"`
	Mains      int `json:"mains"`
	Characters int `json:"characters"`
	Logins     int `json:"logins"`
	// Shown is false when the read model did not show all of it in time: it
	// will.
	Shown bool `json:"shown"`
}

// Import registers the users and the registered characters of an organisation,
// keeps their logins, and notes which characters are shared and which ones users own
// and have not registered. It is idempotent: what is so already is left alone. A
// login that works is not replaced by the one of the file, which may be older;
// one that waits for its owner is.
func (r *Registrar) Import(ctx context.Context, actor string, org access.Organisation) (Result, error) {
	w := &work{Registrar: r, actor: actor, listed: listed(org)}
	if err := w.loadLogins(ctx, org); err != nil {
		return w.result, err
	}
	for part := range slices.Chunk(org.Users, chunk) {
		if err := w.users(ctx, part); err != nil {
			return w.result, fmt.Errorf("registering users: %w", err)
		}
	}
	registered := slices.DeleteFunc(slices.Clone(org.Characters), func(c access.OrganisationCharacter) bool { return !c.Registered })
	for part := range slices.Chunk(registered, chunk) {
		if err := w.characters(ctx, part); err != nil {
			return w.result, fmt.Errorf("registering characters: %w", err)
		}
	}
	var err error
	w.result.Shown, err = r.bus.Await(ctx, w.receipts...)
	return w.result, err
}

type work struct {
	*Registrar
	actor    string
	result   Result
	receipts []command.Receipt
	// working are the characters whose login needs no other.
	working map[int64]bool
	// listed has, by user, what he owns and has not registered.
	listed map[string][]access.ListedCharacter
}

// listed are the characters of an organisation that are owned and not registered, by
// owner and in order of their ids.
func listed(org access.Organisation) map[string][]access.ListedCharacter {
	of := map[string][]access.ListedCharacter{}
	for _, c := range org.Characters {
		if c.Registered || c.Owner == nil {
			continue
		}
		l := access.ListedCharacter{CharacterID: c.ID, Name: c.Name, CorporationID: c.CorporationID}
		if c.AllianceID != nil {
			l.AllianceID = *c.AllianceID
		}
		of[*c.Owner] = append(of[*c.Owner], l)
	}
	for _, list := range of {
		slices.SortFunc(list, func(a, b access.ListedCharacter) int { return cmp.Compare(a.CharacterID, b.CharacterID) })
	}
	return of
}

func (w *work) loadLogins(ctx context.Context, org access.Organisation) error {
	w.working = map[int64]bool{}
	brings := slices.ContainsFunc(org.Characters, func(c access.OrganisationCharacter) bool { return c.RefreshToken != "" })
	if !brings {
		return nil
	}
	if w.vault == nil {
		return event.Errorf(event.CodeInvalid, "the organisation brings logins, but this Muster has no EVE application to use them with: set MUSTER_SSO_CLIENT_ID, or leave refresh_token out")
	}
	logins, err := w.vault.Logins(ctx)
	if err != nil {
		return err
	}
	for _, l := range logins {
		w.working[l.CharacterID] = !l.Parked
	}
	return nil
}

// decide runs decisions on the streams and keeps their receipts.
func (w *work) decide(ctx context.Context, streams []event.Stream, decide command.DecideAll) error {
	receipts, err := w.bus.DoAll(ctx, streams, command.BatchInput{Actor: w.actor}, decide)
	if err != nil {
		return err
	}
	w.receipts = append(w.receipts, receipts...)
	return nil
}

func (w *work) users(ctx context.Context, part []access.OrganisationUser) error {
	streams, ids := make([]event.Stream, len(part)), make([]string, len(part))
	for i, u := range part {
		streams[i], ids[i] = event.User(u.ID), u.ID
	}
	var users, mains int
	err := w.decide(ctx, streams, func(ctx context.Context, tx pgx.Tx, _ map[event.Stream]int64) ([]command.Decision, error) {
		known, err := w.view.Users(ctx, ids)
		if err != nil {
			return nil, err
		}
		users, mains = 0, 0
		var decisions []command.Decision
		var gone []string
		for i, u := range part {
			d := command.Decision{Stream: streams[i]}
			before, there := known[u.ID]
			wanted := access.UserRegistered{UserID: u.ID, Name: u.Name, Superuser: u.Superuser, Active: u.Active, State: u.State, Permissions: u.Permissions}
			if !there || !sameUser(before.UserRegistered, wanted) {
				d.Events = append(d.Events, wanted)
			}
			if before.Active && !wanted.Active {
				gone = append(gone, u.ID)
			}
			if list := w.listed[u.ID]; !slices.Equal(before.Listed, list) {
				d.Events = append(d.Events, access.CharactersListed{UserID: u.ID, Characters: list})
			}
			if len(d.Events) > 0 {
				users++
			}
			if (u.Main != nil || before.HasMain) && !sameID(before.Main, u.Main) {
				d.Events, mains = append(d.Events, access.MainSet{UserID: u.ID, CharacterID: u.Main}), mains+1
			}
			decisions = append(decisions, d)
		}
		if len(gone) > 0 && w.deactivated != nil {
			if err := w.deactivated(ctx, tx, gone...); err != nil {
				return nil, err
			}
		}
		return decisions, nil
	})
	if err != nil {
		return err
	}
	w.result.Users, w.result.Mains = w.result.Users+users, w.result.Mains+mains
	return nil
}

func sameUser(a, b access.UserRegistered) bool {
	return a.Name == b.Name && a.Superuser == b.Superuser && a.Active == b.Active && a.State == b.State && slices.Equal(a.Permissions, b.Permissions)
}

func sameID(a, b *int64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (w *work) characters(ctx context.Context, part []access.OrganisationCharacter) error {
	streams, ids := make([]event.Stream, len(part)), make([]int64, len(part))
	for i, c := range part {
		streams[i], ids[i] = event.Character(c.ID), c.ID
	}
	var characters, logins int
	err := w.decide(ctx, streams, func(ctx context.Context, tx pgx.Tx, _ map[event.Stream]int64) ([]command.Decision, error) {
		known, err := w.view.Characters(ctx, ids)
		if err != nil {
			return nil, err
		}
		characters, logins = 0, 0
		var decisions []command.Decision
		var anew []int64
		for i, c := range part {
			before, there := known[c.ID]
			if !there {
				anew = append(anew, c.ID)
			}
			if events := decideCharacter(c, before, there); len(events) > 0 {
				decisions = append(decisions, command.Decision{Stream: streams[i], Events: events})
				characters++
			}
			if c.RefreshToken == "" || w.working[c.ID] {
				continue
			}
			grant := sso.Grant{CharacterID: c.ID, RefreshToken: c.RefreshToken, OwnerHash: c.OwnerHash, Scopes: c.Scopes}
			if err := w.vault.PutTx(ctx, tx, grant); err != nil {
				return nil, err
			}
			logins++
		}
		if len(anew) > 0 {
			if err := w.anew(ctx, tx, anew...); err != nil {
				return nil, err
			}
		}
		return decisions, nil
	})
	if err != nil {
		return err
	}
	w.result.Characters, w.result.Logins = w.result.Characters+characters, w.result.Logins+logins
	return nil
}

// decideCharacter is what has to happen so that a character is as the file says.
// What the file says nothing of stays as it is while the owner does.
func decideCharacter(c access.OrganisationCharacter, before KnownCharacter, there bool) []event.Payload {
	owner := ""
	if c.Owner != nil {
		owner = *c.Owner
	}
	events := decideOwner(c, owner, before, there)
	// What another owner has shared is not shared by this one.
	shared := before.Shared && before.UserID == owner
	switch {
	case owner == "" || shared == c.Shared:
		return events
	case c.Shared:
		return append(events, eve.CharacterShared{CharacterID: c.ID, UserID: owner})
	default:
		return append(events, eve.CharacterUnshared{CharacterID: c.ID, Reason: "the imported organisation does not share it"})
	}
}

// decideOwner is what has to happen so that a character is the owner's; empty for
// nobody.
func decideOwner(c access.OrganisationCharacter, owner string, before KnownCharacter, there bool) []event.Payload {
	if !there {
		return register(c, owner)
	}
	if owner == "" {
		// Nobody's character has no login, so a hash or scopes change nothing.
		if before.UserID == "" {
			return nil
		}
		return []event.Payload{eve.CharacterOrphaned{CharacterID: c.ID, Reason: "the imported organisation gives it no owner"}}
	}
	claimed := eve.CharacterReclaimed{CharacterID: c.ID, UserID: owner, OwnerHash: c.OwnerHash, Scopes: c.Scopes}
	if before.UserID == owner {
		if claimed.OwnerHash == "" {
			claimed.OwnerHash = before.OwnerHash
		}
		if claimed.Scopes == nil {
			claimed.Scopes = before.Scopes
		}
		if claimed.OwnerHash == before.OwnerHash && slices.Equal(claimed.Scopes, before.Scopes) {
			return nil
		}
	}
	return []event.Payload{claimed}
}

// register is what has to happen to a character that is not known.
func register(c access.OrganisationCharacter, owner string) []event.Payload {
	registered := eve.CharacterRegistered{
		CharacterID: c.ID, Name: c.Name, UserID: owner, OwnerHash: c.OwnerHash, Scopes: c.Scopes, CorporationID: c.CorporationID,
	}
	if c.AllianceID != nil {
		registered.AllianceID = *c.AllianceID
	}
	if owner == "" {
		return []event.Payload{registered, eve.CharacterOrphaned{CharacterID: c.ID, Reason: "imported without an owner"}}
	}
	return []event.Payload{registered}
}
