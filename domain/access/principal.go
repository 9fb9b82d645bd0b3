package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Principal is somebody who has proved who he is.
type Principal struct {
	// ID names him in events and logs, such as "token:admin". It holds no secret.
	ID string
	// UserID is the user of the organisation who he is; empty for a program. What a user
	// may do follows from his [Grants] alone, see [ReachOf]: one who was deactivated may
	// do nothing.
	UserID string
	// Superuser may do everything. Of a user it says nothing.
	Superuser bool
	// TokenID is the id of the token that he holds; empty for a person who has signed
	// in, and for the administrator.
	TokenID string
	// Scope bounds what his token may be used for; nil does not. Who is neither a user
	// nor a superuser may do what is in it and nothing else: he is a program.
	Scope []Action
	// Expires is when what he has proved himself with ends; zero for never.
	Expires time.Time
	// Link is the link by which he has come; nil for one who has a token. It bounds
	// him to what it shows.
	Link *Link
}

// UserPrincipal is a user of the organisation who acts for himself.
func UserPrincipal(user string) Principal { return Principal{ID: "user:" + user, UserID: user} }

// program tells whether he is a program with a token of its own.
func (p Principal) program() bool { return p.TokenID != "" && p.UserID == "" }

// Action is something that a principal may or may not do.
type Action string

// The actions that are guarded.
const (
	// ActionReadCharacters: see characters and their sections.
	ActionReadCharacters Action = "characters.read"
	// ActionReadAccessLog: see who looked at data; users see it of their own.
	ActionReadAccessLog Action = "access-log.read"
	// ActionReadAnalytics: see figures over time of the whole organisation.
	ActionReadAnalytics Action = "analytics.read"
	// ActionReadReports: see reports on users and their characters.
	ActionReadReports Action = "reports.read"
	// ActionExport: take whole collections of characters out as files.
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
	// ActionShareCharacter: let others who may open shared characters open it.
	ActionShareCharacter Action = "characters.share"
	// ActionUnshareCharacter: take that back.
	ActionUnshareCharacter Action = "characters.unshare"
	// ActionReadUsers: see users, their permissions and where these come from, and roles.
	ActionReadUsers Action = "users.read"
	// ActionManageUsers: define and remove roles, grant and revoke them, and change users.
	ActionManageUsers Action = "users.change"
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
	// ActionReadSelf: see who one is and what one may do. Everybody may who has proved
	// who he is, whatever his token is for.
	ActionReadSelf Action = "me.read"
	// ActionManageTokens: issue, see and revoke tokens; a user's are his own.
	ActionManageTokens Action = "tokens.manage"
)

// Actions lists every action that is guarded.
func Actions() []Action {
	return []Action{
		ActionReadCharacters, ActionReadAccessLog, ActionReadAnalytics, ActionReadReports, ActionExport, ActionImport,
		ActionRegisterCharacter, ActionUpdateCharacter, ActionResetCharacter, ActionDisableCharacter, ActionEnableCharacter,
		ActionRemoveCharacter, ActionForgetCharacter, ActionShareCharacter, ActionUnshareCharacter, ActionReadUsers, ActionManageUsers, ActionDefineSkillSets, ActionReadAnvil,
		ActionDeclare, ActionSweep, ActionReadEvents, ActionReadOperations, ActionOperate, ActionReadSelf, ActionManageTokens,
	}
}

// outOfScope is why a token may not be used for an action; nil if it may.
func (p Principal) outOfScope(a Action) error {
	if p.Scope == nil || slices.Contains(p.Scope, a) {
		return nil
	}
	return event.Errorf(event.CodeForbidden, "%s may not do %q: its token is not for that, or who has issued it may not do it himself any more", p.ID, a)
}

// Authorize tells whether a program, or somebody with a link, may do something: nil if it may, else an
// error with [event.CodeUnauthenticated] for nobody and [event.CodeForbidden]
// for everybody else. Users are not asked here, where nobody knows what they were
// given, but by [AuthorizeUser].
func Authorize(p Principal, action Action) error {
	switch {
	case p.ID == "":
		return event.Errorf(event.CodeUnauthenticated, "%s needs a bearer token: send the header \"Authorization: Bearer <token>\"", action)
	case action == ActionReadSelf && p.Link == nil:
		return nil
	case p.outOfScope(action) != nil:
		return p.outOfScope(action)
	case p.Link != nil && action == ActionReadCharacters, p.Link == nil && p.UserID == "" && (p.Superuser || p.program() && p.Scope != nil):
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
