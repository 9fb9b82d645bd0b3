package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/muster-sync/muster/domain/event"
)

// Principal is somebody who has proved who he is.
type Principal struct {
	// ID names him in events and logs, such as "token:admin". It holds no secret.
	ID string
	// UserID is the user of the organisation who he is; empty for a program. A user may
	// read characters, as far as his [View] goes, also if he is a superuser: one who
	// was deactivated sees nothing.
	UserID string
	// Superuser may do everything.
	Superuser bool
}

// Action is something that a principal may or may not do.
type Action string

// The actions that are guarded.
const (
	// ActionReadCharacters: see characters and their sections.
	ActionReadCharacters Action = "characters.read"
	// ActionReadAnalytics: see figures over time of the whole organisation.
	ActionReadAnalytics Action = "analytics.read"
	// ActionExport: take whole collections of all characters out as files.
	ActionExport Action = "exports.read"
	// ActionImport: bring in users, mains, characters and their logins.
	ActionImport Action = "organisation.import"
	// ActionRegisterCharacter: have a character registered by EVE's sign-on, for any
	// user.
	ActionRegisterCharacter Action = "characters.register"
	// ActionUpdateCharacter: have sections of a character read now.
	ActionUpdateCharacter Action = "characters.update"
	// ActionResetCharacter: have sections of a character read anew and in full.
	ActionResetCharacter Action = "characters.reset"
	// ActionDisableCharacter: switch the sync of a character off.
	ActionDisableCharacter Action = "characters.disable"
	// ActionEnableCharacter: switch it on again.
	ActionEnableCharacter Action = "characters.enable"
	// ActionRemoveCharacter: end the ownership of a character.
	ActionRemoveCharacter Action = "characters.remove"
	// ActionForgetCharacter: take everything about a character out of Muster.
	ActionForgetCharacter Action = "characters.forget"
	// ActionDefineSkillSets: define and remove skill sets and their groups, and see those
	// that are not visible to members.
	ActionDefineSkillSets Action = "skill-sets.define"
	// ActionReadAnvil: see declarations, audits, findings and sweeps.
	ActionReadAnvil Action = "anvil.read"
	// ActionDeclare: change what a consortium declares.
	ActionDeclare Action = "anvil.declare"
	// ActionSweep: have AnVIL asked now.
	ActionSweep Action = "anvil.sweep"
	// ActionReadEvents: see every event of the log with its value, whatever it is about.
	ActionReadEvents Action = "events.read"
	// ActionReadOperations: see how Muster itself fares.
	ActionReadOperations Action = "operations.read"
	// ActionOperate: retry or skip events that could not be applied.
	ActionOperate Action = "operations.change"
)

// Actions lists every action that is guarded.
func Actions() []Action {
	return []Action{
		ActionReadCharacters, ActionReadAnalytics, ActionExport, ActionImport,
		ActionRegisterCharacter, ActionUpdateCharacter, ActionResetCharacter, ActionDisableCharacter, ActionEnableCharacter,
		ActionRemoveCharacter, ActionForgetCharacter, ActionDefineSkillSets, ActionReadAnvil,
		ActionDeclare, ActionSweep, ActionReadEvents, ActionReadOperations, ActionOperate,
	}
}

// Authorize tells whether somebody may do something: nil if he may, else an
// error with [event.CodeUnauthenticated] for nobody and [event.CodeForbidden]
// for everybody else. Which characters a user may read is for his [View] to say.
func Authorize(p Principal, action Action) error {
	switch {
	case p.ID == "":
		return event.Errorf(event.CodeUnauthenticated, "%s needs a bearer token: send the header \"Authorization: Bearer <token>\"", action)
	case p.Superuser, p.UserID != "" && action == ActionReadCharacters:
		return nil
	default:
		return event.Errorf(event.CodeForbidden, "%s may not do %q: ask an administrator", p.ID, action)
	}
}

// Authenticator finds out who holds a token. Implementations are safe for
// concurrent use. They fail with [event.CodeUnauthenticated] for a token that
// nobody holds, and never say more about it.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Principal, error)
}

// minTokenLength is the least number of bytes of an administrator's token: what
// 128 random bits need in base 64.
const minTokenLength = 22

// AdminToken is an [Authenticator] that knows a single token, the
// administrator's. It keeps only the token's hash and is safe for concurrent
// use.
type AdminToken struct {
	hash [sha256.Size]byte
}

// NewAdminToken takes the administrator's token. It fails with
// [event.CodeInvalid] for one that is too short to be a secret.
func NewAdminToken(token string) (*AdminToken, error) {
	if len(token) < minTokenLength {
		return nil, event.Errorf(event.CodeInvalid, "the administrator's token must be at least %d characters long: remove the file and start again to get a new one", minTokenLength)
	}
	return &AdminToken{hash: sha256.Sum256([]byte(token))}, nil
}

// Authenticate implements [Authenticator]. How long it takes says nothing about
// the token.
func (a *AdminToken) Authenticate(_ context.Context, token string) (Principal, error) {
	given := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(given[:], a.hash[:]) != 1 {
		return Principal{}, event.Errorf(event.CodeUnauthenticated, "nobody holds this token: use the one in the file admin-token of the data folder")
	}
	return Principal{ID: "token:admin", Superuser: true}, nil
}
