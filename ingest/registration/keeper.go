package registration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/keyring"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/command"
)

// SignOn keeps logins and brings players through EVE's sign-on; [*sso.Vault]
// does.
type SignOn interface {
	BeginSignIn(id uuid.UUID, state, redirect string, scopes []string) sso.SignIn
	FinishSignIn(ctx context.Context, id uuid.UUID, verifierSealed []byte, redirect, code string) (sso.Claims, sso.Grant, error)
	PutTx(ctx context.Context, tx pgx.Tx, g sso.Grant) error
	TakeTx(ctx context.Context, tx pgx.Tx, character int64) (sso.Grant, error)
	Revoke(ctx context.Context, g sso.Grant) error
}

// Schedule is what is synced when; [*schedule.Requests] writes to it.
type Schedule interface {
	RefreshTx(ctx context.Context, tx pgx.Tx, character int64, sections ...eve.Section) ([]eve.Section, error)
	DropTx(ctx context.Context, tx pgx.Tx, character int64) (running int, err error)
}

// KeeperConfig is what a [Keeper] works with. SignOn, Woken, Logger and Now have
// defaults; the rest must be set.
type KeeperConfig struct {
	// Pool is on a database with the tables of ingest's schema.
	Pool     *pgxpool.Pool
	Bus      Bus
	View     View
	Schedule Schedule
	// SignOn is nil without an EVE application: nobody can register then.
	SignOn SignOn
	// CallbackURL is where EVE sends browsers back to.
	CallbackURL string
	// Forgetting are told, within the transaction of the decision, of characters
	// that are forgotten, beside those that this package tells by itself.
	Forgetting []Forgetting
	// Woken is told that there are characters to be synced.
	Woken  func()
	Logger *slog.Logger
	Now    func() time.Time
}

// Forgetting removes what a part of Muster keeps of a character, within the
// transaction of the decision.
type Forgetting func(ctx context.Context, tx pgx.Tx, character int64) error

// Keeper decides on single characters: it registers them by EVE's sign-on,
// disables and enables them, ends ownerships, forgets, and has sections read. It
// is safe for concurrent use.
type Keeper struct {
	config KeeperConfig
}

// NewKeeper is a keeper. It fails with [event.CodeInvalid] for a configuration
// that cannot work.
func NewKeeper(c KeeperConfig) (*Keeper, error) {
	if c.Pool == nil || c.Bus == nil || c.View == nil || c.Schedule == nil {
		return nil, event.Errorf(event.CodeInvalid, "a keeper of characters needs a pool, a bus, a view and a schedule")
	}
	if c.SignOn != nil {
		if err := checkCallback(c.CallbackURL); err != nil {
			return nil, err
		}
	}
	if c.Woken == nil {
		c.Woken = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keeper{config: c}, nil
}

// ChangeInput says who decides what on a character, and why.
type ChangeInput struct {
	Actor string
	// UserID is the user who decides; empty for a program and for the administrator.
	UserID      string
	CharacterID int64
	Reason      string
	// ExpectedVersion is the version of the character's stream that the sender has
	// seen; nil expects nothing.
	ExpectedVersion *int64
}

// ChangeResult is what a decision came to.
type ChangeResult struct {
	// Version is that of the character's stream.
	Version int64
	// Changed is false if it was so already.
	Changed bool
	// Shown is false when the read model did not show the change in time: it will.
	Shown bool
}

// Disable switches the sync of a character off, as [eve.DecideDisable] says.
func (k *Keeper) Disable(ctx context.Context, in ChangeInput) (ChangeResult, error) {
	return k.change(ctx, in, func(ctx context.Context, tx pgx.Tx, s eve.Standing) ([]event.Payload, error) {
		events, err := eve.DecideDisable(s, in.CharacterID, in.Reason)
		if err == nil && len(events) > 0 {
			_, err = k.config.Schedule.DropTx(ctx, tx, in.CharacterID)
		}
		return events, err
	})
}

// Enable switches it on again, as [eve.DecideEnable] says.
func (k *Keeper) Enable(ctx context.Context, in ChangeInput) (ChangeResult, error) {
	defer k.config.Woken()
	return k.change(ctx, in, func(_ context.Context, _ pgx.Tx, s eve.Standing) ([]event.Payload, error) {
		return eve.DecideEnable(s, in.CharacterID, in.Reason)
	})
}

// Remove ends the ownership of a character, as [eve.DecideRemove] says. Its login
// goes, what is known of it stays, and nobody has it as his main any more. If its owner
// has done so it is his all the same: it comes on the list of what he has not registered.
func (k *Keeper) Remove(ctx context.Context, in ChangeInput) (ChangeResult, error) {
	var login sso.Grant
	result, err := k.change(ctx, in, func(ctx context.Context, tx pgx.Tx, s eve.Standing) ([]event.Payload, error) {
		events, err := eve.DecideRemove(s, in.CharacterID, in.Reason)
		if err != nil || len(events) == 0 {
			return nil, err
		}
		if login, err = k.takeLogin(ctx, tx, in.CharacterID); err != nil {
			return nil, err
		}
		_, err = k.config.Schedule.DropTx(ctx, tx, in.CharacterID)
		return events, err
	})
	if err == nil {
		k.giveBack(ctx, login)
	}
	return result, err
}

// Bounds of the wait for syncs that are under way when a character is forgotten.
const (
	forgetPatience = 20 * time.Second
	forgetPause    = 200 * time.Millisecond
)

// errUnderWay says that a section of the character is being read.
var errUnderWay = errors.New("a section of it is being read")

// Forget takes a character out of everything, as [eve.DecideForget] says: its
// login, its state, what waits for it, what the read models show, and the key without
// which nobody reads its personal texts in the log any more. Syncs that
// are under way are waited for, so that nothing of it is appended afterwards; if
// they take too long it fails with [event.CodeUnavailable] and has changed
// nothing. Registered again, the character begins anew.
func (k *Keeper) Forget(ctx context.Context, in ChangeInput) (ChangeResult, error) {
	patience, cancel := context.WithTimeout(ctx, forgetPatience)
	defer cancel()
	for {
		var login sso.Grant
		result, err := k.change(ctx, in, func(ctx context.Context, tx pgx.Tx, s eve.Standing) ([]event.Payload, error) {
			events, err := eve.DecideForget(s, in.CharacterID, in.Reason)
			if err != nil {
				return nil, err
			}
			var keys []uuid.UUID
			login, keys, err = k.forget(ctx, tx, in.CharacterID)
			return naming(events, keys), err
		})
		if err == nil {
			k.giveBack(ctx, login)
			return result, nil
		}
		if !errors.Is(err, errUnderWay) {
			return result, err
		}
		// What waits is taken off by itself, so that only what is under way is left.
		if err := pgx.BeginFunc(ctx, k.config.Pool, func(tx pgx.Tx) error {
			_, err := k.config.Schedule.DropTx(ctx, tx, in.CharacterID)
			return err
		}); err != nil {
			return result, err
		}
		timer := time.NewTimer(forgetPause)
		select {
		case <-timer.C:
		case <-patience.Done():
			timer.Stop()
			k.config.Woken()
			return result, err
		}
	}
}

// naming has the log remember the keys that were destroyed with a character.
func naming(events []event.Payload, keys []uuid.UUID) []event.Payload {
	for i, p := range events {
		if forgotten, is := p.(eve.CharacterForgotten); is {
			forgotten.KeyIDs = keys
			events[i] = forgotten
		}
	}
	return events
}

// forget removes what ingest keeps of a character, and destroys the key of its texts.
func (k *Keeper) forget(ctx context.Context, tx pgx.Tx, character int64) (login sso.Grant, keys []uuid.UUID, err error) {
	login, err = k.takeLogin(ctx, tx, character)
	if err != nil {
		return login, nil, err
	}
	running, err := k.config.Schedule.DropTx(ctx, tx, character)
	if err == nil && running > 0 {
		err = event.Errorf(event.CodeUnavailable, "forgetting character %d: %w; try again in a few seconds", character, errUnderWay)
	}
	if err == nil {
		keys, err = keyring.DestroyTx(ctx, tx, character)
	}
	for _, forget := range append(slices.Clone(k.config.Forgetting), esi.Forget, forgetSignIns, keyring.ExpireTx) {
		if err == nil {
			err = forget(ctx, tx, character)
		}
	}
	return login, keys, err
}

// takeLogin removes a login, and returns it if there is somebody to give it back
// to.
func (k *Keeper) takeLogin(ctx context.Context, tx pgx.Tx, character int64) (sso.Grant, error) {
	if k.config.SignOn == nil {
		return sso.Grant{}, sso.DeleteTx(ctx, tx, character)
	}
	return k.config.SignOn.TakeTx(ctx, tx, character)
}

// giveBack tells EVE that a login is not used any more. Muster has forgotten it
// either way; its owner can also revoke it at EVE.
func (k *Keeper) giveBack(ctx context.Context, login sso.Grant) {
	if k.config.SignOn == nil || login.RefreshToken == "" {
		return
	}
	if err := k.config.SignOn.Revoke(context.WithoutCancel(ctx), login); err != nil {
		k.config.Logger.WarnContext(ctx, "a login that is not used any more could not be given back to EVE", "character", login.CharacterID, "error", err)
	}
}

// Update has sections of a character read as soon as ESI's caches allow it, all of
// them if none is named, before all that is merely due. It returns the sections,
// and fails like [eve.CheckSynced] and [schedule.Requests.RefreshTx].
func (k *Keeper) Update(ctx context.Context, actor string, character int64, sections ...eve.Section) ([]eve.Section, error) {
	return k.request(ctx, actor, "update", character, sections, func(pgx.Tx) error { return nil })
}

// Reset has sections of a character read anew and in full, as [esi.Reset] says and
// as soon as ESI's caches allow it. It returns the sections, and fails like
// [Keeper.Update].
func (k *Keeper) Reset(ctx context.Context, actor string, character int64, sections ...eve.Section) ([]eve.Section, error) {
	return k.request(ctx, actor, "reset", character, sections, func(tx pgx.Tx) error { return esi.Reset(ctx, tx, character, sections...) })
}

func (k *Keeper) request(ctx context.Context, actor, what string, character int64, sections []eve.Section, before func(pgx.Tx) error) ([]eve.Section, error) {
	s, err := k.standing(ctx, character)
	if err != nil {
		return nil, err
	}
	if err := eve.CheckSynced(s, character); err != nil {
		return nil, err
	}
	var asked []eve.Section
	err = pgx.BeginFunc(ctx, k.config.Pool, func(tx pgx.Tx) error {
		if err := before(tx); err != nil {
			return err
		}
		var err error
		asked, err = k.config.Schedule.RefreshTx(ctx, tx, character, sections...)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.config.Logger.InfoContext(ctx, "sections asked for", "actor", actor, "what", what, "character", character, "sections", len(asked))
	return asked, nil
}

// standing is how a character stands by the read model.
func (k *Keeper) standing(ctx context.Context, character int64) (eve.Standing, error) {
	known, err := k.config.View.Characters(ctx, []int64{character})
	if err != nil {
		return eve.Standing{}, err
	}
	c, there := known[character]
	return eve.Standing{Known: there, UserID: c.UserID, OwnerHash: c.OwnerHash, Disabled: c.Disabled}, nil
}

// decideOne decides on a character that stands so.
type decideOne func(ctx context.Context, tx pgx.Tx, s eve.Standing) ([]event.Payload, error)

// change runs a decision on a character and waits until it shows.
func (k *Keeper) change(ctx context.Context, in ChangeInput, decide decideOne) (ChangeResult, error) {
	receipts, err := k.decide(ctx, in, "", decide)
	if err != nil {
		return ChangeResult{}, err
	}
	shown, err := k.config.Bus.Await(ctx, receipts...)
	if err != nil {
		return ChangeResult{}, err
	}
	result := ChangeResult{Shown: shown}
	for _, r := range receipts {
		if r.Stream == event.Character(in.CharacterID) {
			result.Version, result.Changed = r.Version, len(r.EventIDs) > 0
		}
	}
	return result, nil
}

// errMoved says that somebody has chosen the character as his main meanwhile.
var errMoved = errors.New("the character has become a main")

// decide runs a decision on a character. Where it ends an ownership the character
// is nobody's main any more, but for the user who keeps it, and is listed for the owner
// who has given it up himself.
func (k *Keeper) decide(ctx context.Context, in ChangeInput, keeps string, decide decideOne) ([]command.Receipt, error) {
	stream := event.Character(in.CharacterID)
	batch := command.BatchInput{Actor: in.Actor}
	if in.ExpectedVersion != nil {
		batch.Expected = map[event.Stream]int64{stream: *in.ExpectedVersion}
	}
	for {
		mains, err := k.config.View.Mains(ctx, in.CharacterID)
		if err != nil {
			return nil, err
		}
		streams := []event.Stream{stream}
		for _, user := range mains {
			streams = append(streams, event.User(user))
		}
		if in.UserID != "" && !slices.Contains(mains, in.UserID) {
			streams = append(streams, event.User(in.UserID))
		}
		receipts, err := k.config.Bus.DoAll(ctx, streams, batch, func(ctx context.Context, tx pgx.Tx, _ map[event.Stream]int64) ([]command.Decision, error) {
			s, err := k.standing(ctx, in.CharacterID)
			if err != nil {
				return nil, err
			}
			events, err := decide(ctx, tx, s)
			if err != nil {
				return nil, err
			}
			decisions := []command.Decision{{Stream: stream, Events: events}}
			if !endsOwnership(events) {
				return decisions, nil
			}
			now, err := k.config.View.Mains(ctx, in.CharacterID)
			if err != nil {
				return nil, err
			}
			for _, user := range now {
				switch {
				case !slices.Contains(mains, user):
					return nil, errMoved
				case user != keeps:
					decisions = append(decisions, command.Decision{Stream: event.User(user), Events: []event.Payload{access.MainSet{UserID: user}}})
				}
			}
			return k.listGivenUp(ctx, in, s, decisions)
		})
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("deciding on character %d: %w", in.CharacterID, err)
		}
		return receipts, nil
	}
}

// listGivenUp adds to decisions that an owner has not registered the character that he has
// given up himself: he has taken it out of Muster, and has it still. What the organisation's
// application says with the next import counts after that.
func (k *Keeper) listGivenUp(ctx context.Context, in ChangeInput, s eve.Standing, decisions []command.Decision) ([]command.Decision, error) {
	if in.UserID == "" || in.UserID != s.UserID || !givesUp(decisions[0].Events) {
		return decisions, nil
	}
	users, err := k.config.View.Users(ctx, []string{in.UserID})
	if err != nil {
		return nil, err
	}
	characters, err := k.config.View.Characters(ctx, []int64{in.CharacterID})
	if err != nil {
		return nil, err
	}
	of := func(c access.ListedCharacter) bool { return c.CharacterID == in.CharacterID }
	list := slices.Clone(users[in.UserID].Listed)
	if slices.ContainsFunc(list, of) {
		return decisions, nil
	}
	list = append(list, access.ListedCharacter{CharacterID: in.CharacterID, Name: characters[in.CharacterID].Name})
	slices.SortFunc(list, func(a, b access.ListedCharacter) int { return cmp.Compare(a.CharacterID, b.CharacterID) })
	listed := access.CharactersListed{UserID: in.UserID, Characters: list}
	for i, d := range decisions {
		if d.Stream == event.User(in.UserID) {
			decisions[i].Events = slices.Concat(d.Events, []event.Payload{listed})
			return decisions, nil
		}
	}
	return append(decisions, command.Decision{Stream: event.User(in.UserID), Events: []event.Payload{listed}}), nil
}

// givesUp tells whether the character is nobody's after these events, and still known.
func givesUp(events []event.Payload) bool {
	if len(events) == 0 {
		return false
	}
	_, orphaned := events[len(events)-1].(eve.CharacterOrphaned)
	return orphaned
}

// endsOwnership tells whether somebody has lost the character by these events, or
// had lost it before and somebody else has it now.
func endsOwnership(events []event.Payload) bool {
	return slices.ContainsFunc(events, func(p event.Payload) bool {
		switch p.(type) {
		case eve.CharacterOrphaned, eve.CharacterForgotten, eve.CharacterReclaimed, eve.CharacterRegistered:
			return true
		default:
			return false
		}
	})
}
